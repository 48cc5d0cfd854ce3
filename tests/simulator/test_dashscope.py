"""DashScope's dialect, shape by shape (WAN_API §3)."""

from __future__ import annotations

import pytest

SUBMIT = "/api/v1/services/aigc/image-generation/generation"
TASKS = "/api/v1/tasks"


def test_submit_reply_has_the_documented_shape(caller, request_of):
    """A submit answers PENDING with a task id and a request id."""
    reply = caller.submit("dashscope", request_of("dashscope")).json()
    assert set(reply) == {"output", "request_id"}
    assert set(reply["output"]) == {"task_status", "task_id"}
    assert reply["output"]["task_status"] == "PENDING"


def test_synchronous_calls_are_refused(caller, request_of):
    """Without `X-DashScope-Async: enable` the documented words come back, and no task is made."""
    response = caller.post(SUBMIT, request_of("dashscope"))
    assert response.status_code == 403
    assert set(response.json()) == {"code", "message", "request_id"}
    assert "current user api does not support synchronous calls" in response.json()["message"]
    assert caller.simulator.tasks_created == 0


@pytest.mark.parametrize(
    ("elapsed_s", "status"), [(0, "PENDING"), (1.4, "PENDING"), (1.6, "RUNNING"), (9.9, "RUNNING")]
)
def test_states_follow_the_clock(caller, request_of, elapsed_s, status):
    """A task waits for a first share of its time, then runs."""
    task_id = caller.task("dashscope", request_of("dashscope"))
    caller.clock.advance(elapsed_s)
    assert caller.poll("dashscope", task_id).json()["output"]["task_status"] == status


def test_success_has_the_documented_shape(caller, request_of, data_url):
    """A finished edit has times without zone, one choice per image and a usage without price."""
    task_id = caller.task("dashscope", request_of("dashscope", images=[data_url((1280, 720))], n=2, size="1376*768"))
    caller.clock.advance(60)
    reply = caller.poll("dashscope", task_id).json()
    choices = reply["output"].pop("choices")
    assert [choice["finish_reason"] for choice in choices] == ["stop", "stop"]
    for choice in choices:
        assert choice["message"]["role"] == "assistant"
        (item,) = choice["message"]["content"]
        assert set(item) == {"type", "image"}
        assert item["type"] == "image"
        assert ".png?Expires=" in item["image"]
    assert isinstance(reply.pop("request_id"), str)
    assert reply == {
        "output": {
            "task_id": task_id,
            "task_status": "SUCCEEDED",
            "submit_time": "2026-01-09 17:52:04.136",
            "scheduled_time": "2026-01-09 17:52:05.636",
            "end_time": "2026-01-09 17:52:14.136",
            "finished": True,
        },
        "usage": {"size": "1376*768", "image_count": 2, "input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
    }


def test_interleaved_items_stand_in_order_in_one_choice(caller, request_of):
    """Illustrated text is one choice whose content holds text and image items by turns."""
    task_id = caller.task("dashscope", request_of("dashscope", max_images=2))
    caller.clock.advance(10)
    (choice,) = caller.poll("dashscope", task_id).json()["output"]["choices"]
    items = choice["message"]["content"]
    assert [item["type"] for item in items] == ["text", "image", "text", "image"]
    assert all(item.get("text") or item.get("image") for item in items)


def test_n_is_four_by_default(caller, request_of, data_url):
    """DashScope documents 4 as the default of n: a forgotten n quadruples the bill here too."""
    task_id = caller.task("dashscope", request_of("dashscope", images=[data_url()]))
    caller.clock.advance(10)
    assert caller.poll("dashscope", task_id).json()["usage"]["image_count"] == 4


def test_failed_task_has_code_and_message_inside_output(caller, request_of):
    """A failed task carries its reason inside output, and no usage."""
    task_id = caller.task("dashscope", request_of("dashscope", text="[[fail]]"))
    caller.clock.advance(10)
    reply = caller.poll("dashscope", task_id).json()
    assert reply["output"]["task_status"] == "FAILED"
    assert reply["output"]["code"] == "DataInspectionFailed"
    assert reply["output"]["message"]
    assert "usage" not in reply


def test_unknown_task_is_a_status(caller):
    """A task that nobody made is a 200 with UNKNOWN."""
    response = caller.poll("dashscope", "none")
    assert response.status_code == 200
    assert response.json()["output"] == {"task_id": "none", "task_status": "UNKNOWN"}


def test_tasks_belong_to_an_account(caller, request_of):
    """Another key sees UNKNOWN, an empty list, and cannot cancel."""
    task_id = caller.task("dashscope", request_of("dashscope"))
    caller.headers = {"Authorization": "Bearer sk-other"}
    assert caller.poll("dashscope", task_id).json()["output"]["task_status"] == "UNKNOWN"
    assert caller.get(TASKS).json()["total"] == 0
    assert caller.post(f"{TASKS}/{task_id}/cancel").status_code == 400


def test_task_data_live_for_24_hours(caller, request_of):
    """A day after the submit the task is UNKNOWN and no longer listed."""
    task_id = caller.task("dashscope", request_of("dashscope"))
    caller.clock.advance(24 * 3600)
    assert caller.poll("dashscope", task_id).json()["output"]["task_status"] == "SUCCEEDED"
    caller.clock.advance(1)
    assert caller.poll("dashscope", task_id).json()["output"]["task_status"] == "UNKNOWN"
    assert caller.get(TASKS).json()["data"] == []


def test_cancel_works_while_pending_only(caller, request_of):
    """PENDING can be cancelled and stays CANCELED; RUNNING cannot, in the documented words."""
    first, second = (caller.task("dashscope", request_of("dashscope")) for _ in range(2))
    response = caller.post(f"{TASKS}/{first}/cancel")
    assert response.status_code == 200
    assert set(response.json()) == {"request_id"}
    caller.clock.advance(5)
    refused = caller.post(f"{TASKS}/{second}/cancel/")
    assert refused.status_code == 400
    assert refused.json()["code"] == "UnsupportedOperation"
    caller.clock.advance(5)
    assert caller.poll("dashscope", first).json()["output"]["task_status"] == "CANCELED"
    assert caller.poll("dashscope", second).json()["output"]["task_status"] == "SUCCEEDED"


def test_polls_with_a_trailing_slash_are_the_same(caller, request_of):
    """One of the SDKs polls `/tasks/{id}/`: no redirect, the same answer."""
    task_id = caller.task("dashscope", request_of("dashscope"))
    response = caller.get(f"{TASKS}/{task_id}/")
    assert response.status_code == 200
    assert response.json()["output"]["task_id"] == task_id


class TestList:
    """The task list, which finds a task whose submit reply was lost."""

    def test_rows_have_the_documented_fields(self, caller, request_of):
        """A row names task, model and state, with times in milliseconds."""
        task_id = caller.task("dashscope", request_of("dashscope"))
        caller.clock.advance(10)
        page = caller.get(f"{TASKS}/").json()
        assert set(page) == {"total", "data", "total_page", "page_no", "page_size", "request_id"}
        (row,) = page["data"]
        assert row["task_id"] == task_id
        assert row["model_name"] == "wan2.6-image"
        assert row["status"] == "SUCCEEDED"
        assert row["gmt_create"] == 1767952324136
        assert row["start_time"] == 1767952325636
        assert row["end_time"] == 1767952334136

    def test_filters_by_time_model_and_status(self, caller, request_of):
        """Each filter keeps what it names; the times are those of the service's zone."""
        old = caller.task("dashscope", request_of("dashscope"))
        caller.clock.advance(60)
        new = caller.task("dashscope", request_of("dashscope"))

        def found(**filters):
            query = "&".join(f"{name}={value}" for name, value in filters.items())
            return [row["task_id"] for row in caller.get(f"{TASKS}?{query}").json()["data"]]

        assert found() == [new, old]
        assert found(start_time="20260109175300") == [new]
        assert found(end_time="20260109175204") == [old]
        assert found(status="SUCCEEDED") == [old]
        assert found(model_name="wan2.6-image") == [new, old]
        assert found(model_name="another") == []

    def test_pages(self, caller, request_of):
        """page_no and page_size cut the list; the totals count all of it."""
        ids = [caller.task("dashscope", request_of("dashscope")) for _ in range(5)]
        page = caller.get(f"{TASKS}?page_no=2&page_size=2").json()
        assert [row["task_id"] for row in page["data"]] == [ids[2], ids[1]]
        assert (page["total"], page["total_page"], page["page_no"], page["page_size"]) == (5, 3, 2, 2)

    @pytest.mark.parametrize("query", ["page_no=0", "page_size=101", "page_size=x", "start_time=yesterday"])
    def test_nonsense_is_refused(self, caller, query):
        """A value that makes no sense is a 400 that names the field."""
        response = caller.get(f"{TASKS}?{query}")
        assert response.status_code == 400
        assert query.partition("=")[0] in response.json()["message"]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", SUBMIT), ("GET", TASKS), ("GET", f"{TASKS}/x"), ("POST", f"{TASKS}/x/cancel")]
)
def test_every_call_needs_a_key(make_caller, method, path):
    """Without a key each call is a 401 with InvalidApiKey, message and request id."""
    response = make_caller(key="").request(method, path, json={})
    assert response.status_code == 401
    assert response.json() == {
        "code": "InvalidApiKey",
        "message": "No API-key provided.",
        "request_id": response.json()["request_id"],
    }


def test_wrong_key_is_refused_where_keys_are_named(make_caller):
    """With a list of keys any other one is a 401."""
    caller = make_caller(keys=frozenset({"sk-right"}))
    assert caller.poll("dashscope", "x").json()["message"] == "Invalid API-key provided."
    caller.headers = {"Authorization": "Bearer sk-right"}
    assert caller.poll("dashscope", "x").status_code == 200
