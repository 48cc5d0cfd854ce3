"""The gateway's dialect, shape by shape (WAN_API §2)."""

from __future__ import annotations

from decimal import Decimal

import pytest

SUBMIT = "/model/v1/generation"


def test_submit_reply_has_the_documented_shape(caller, request_of):
    """A submit answers with id, status, model and an integer created_at, and nothing else."""
    reply = caller.submit("gateway", request_of()).json()
    assert isinstance(reply.pop("id"), str)
    assert reply == {"status": "in_progress", "model": "wan26_image", "created_at": 1767952324}


def test_progress_rises_while_a_task_runs(caller, request_of):
    """A running task says in_progress with a progress between 0 and 1, which never falls."""
    task_id = caller.task("gateway", request_of())
    seen = []
    for _ in range(4):
        reply = caller.poll("gateway", task_id).json()
        assert reply == {
            "id": task_id,
            "status": "in_progress",
            "model": "wan26_image",
            "created_at": 1767952324,
            "progress": reply["progress"],
        }
        seen.append(reply["progress"])
        caller.clock.advance(2.6)
    assert seen == sorted(seen)
    assert 0 <= seen[0] < seen[-1] < 1


def test_success_has_the_documented_shape(caller, request_of, data_url):
    """A finished edit lists its pictures with type, url and jobId, and its cost as a decimal string."""
    task_id = caller.task("gateway", request_of(images=[data_url()], n=2))
    caller.clock.advance(10)
    reply = caller.poll("gateway", task_id).json()
    items = [item for group in reply["output"] for item in group["content"]]
    assert [set(item) for item in items] == [{"type", "url", "jobId"}] * 2
    assert all(item["url"].startswith("http://simulator/results/") for item in items)
    del reply["output"]
    assert reply == {
        "id": task_id,
        "status": "completed",
        "model": "wan26_image",
        "created_at": 1767952324,
        "usage": {"cost": "0.06", "discount": 1},
        "metadata": {},
    }


def test_interleaved_text_stands_between_the_pictures(caller, request_of):
    """Illustrated text comes as text and image items by turns, in one group."""
    task_id = caller.task("gateway", request_of(max_images=2))
    caller.clock.advance(10)
    (group,) = caller.poll("gateway", task_id).json()["output"]
    assert [item["type"] for item in group["content"]] == ["text", "image", "text", "image"]


def test_failed_task_has_code_and_message(caller, request_of):
    """A failed task says so with an error object, and has neither output nor usage."""
    task_id = caller.task("gateway", request_of(text="[[fail]] a fox"))
    caller.clock.advance(10)
    reply = caller.poll("gateway", task_id).json()
    assert reply["status"] == "failed"
    assert reply["error"]["code"] == "DataInspectionFailed"
    assert reply["error"]["message"]
    assert not {"output", "usage"} & set(reply)


def test_success_without_a_picture_costs_nothing(caller, request_of):
    """A success may bring text alone: no picture, cost "0"."""
    task_id = caller.task("gateway", request_of(text="[[empty]] a fox"))
    caller.clock.advance(10)
    reply = caller.poll("gateway", task_id).json()
    assert [item["type"] for item in reply["output"][0]["content"]] == ["text"]
    assert reply["usage"]["cost"] == "0"


@pytest.mark.parametrize(("price", "cost"), [("0", "0"), ("0.035", "0.070"), ("1", "2")])
def test_cost_is_price_times_pictures_made(make_caller, request_of, data_url, price, cost):
    """The cost is exact decimal arithmetic, and a price of nothing is shown as "0"."""
    caller = make_caller(price=Decimal(price))
    task_id = caller.task("gateway", request_of(images=[data_url()], n=2))
    caller.clock.advance(10)
    assert caller.poll("gateway", task_id).json()["usage"]["cost"] == cost


def test_n_is_one_by_default(caller, request_of, data_url):
    """The gateway documents 1 as the default of n."""
    task_id = caller.task("gateway", request_of(images=[data_url()]))
    caller.clock.advance(10)
    assert len(caller.result_urls("gateway", task_id)) == 1


def test_params_envelope_means_the_same(caller, request_of):
    """The fields wrapped in input[0].params make the same task as the flat ones."""
    flat = request_of(max_images=1)
    wrapped = {
        "model": flat["model"],
        "input": [{"params": {"input": flat["input"], "parameters": flat["parameters"]}}],
    }
    pictures = []
    for document in (flat, wrapped):
        task_id = caller.task("gateway", document)
        caller.clock.advance(10)
        pictures.append(caller.fetch(caller.result_urls("gateway", task_id)[0]).content)
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(("accepted", "refused"), [("flat", "params"), ("params", "flat")])
def test_a_gateway_can_know_one_envelope_only(make_caller, request_of, accepted, refused):
    """With one envelope chosen the other one is a 400 that creates no task."""
    caller = make_caller(envelope=accepted)
    flat = request_of()
    documents = {
        "flat": flat,
        "params": {
            "model": flat["model"],
            "input": [{"params": {"input": flat["input"], "parameters": flat["parameters"]}}],
        },
    }
    response = caller.submit("gateway", documents[refused])
    assert response.status_code == 400
    assert "input" in response.json()["error"]["message"]
    assert caller.simulator.tasks_created == 0
    assert caller.submit("gateway", documents[accepted]).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("POST", SUBMIT), ("GET", SUBMIT + "/task/none"), ("GET", SUBMIT + "/task/none/")]
)
def test_every_call_needs_a_key(make_caller, method, path):
    """Without a bearer key each call is a 401 in the gateway's shape."""
    response = make_caller(key="").request(method, path, json={})
    assert response.status_code == 401
    assert set(response.json()["error"]) == {"code", "message"}


def test_unknown_task_is_a_404(caller):
    """A task that nobody made is a 404 in the gateway's shape."""
    response = caller.poll("gateway", "none")
    assert response.status_code == 404
    assert set(response.json()) == {"error"}


def test_tasks_of_one_dialect_are_unknown_to_the_other(caller, request_of):
    """The two services know nothing of each other's tasks."""
    task_id = caller.task("gateway", request_of())
    assert caller.poll("dashscope", task_id).json()["output"]["task_status"] == "UNKNOWN"


def test_unknown_path_answers_in_json(caller):
    """A path that does not exist is a 404 with an error object."""
    response = caller.get("/model/v1/nonsense")
    assert response.status_code == 404
    assert "no such path" in response.json()["error"]["message"]
