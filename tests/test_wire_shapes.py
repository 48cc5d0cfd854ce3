"""The dialects: replies that say nothing, errors of every shape, cut replies, base URLs, bodies."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from wan_notebook.errors import RequestError, SettingsError
from wan_notebook.inputs import InputImage, PendingImage
from wan_notebook.request import ImageRequest
from wan_notebook.wire import Output, Phase, TaskPage, TaskState, dialect_for, encode_body


@pytest.mark.parametrize("provider", ["gateway", "dashscope"])
@pytest.mark.parametrize("body", [None, 3, "", "no", [], {}, {"message": "ok"}, {"code": 0, "message": "done"}])
def test_a_submit_reply_without_id_or_error_is_neither_accepted_nor_refused(provider: str, body: object) -> None:
    """Nobody knows what happened then: the job must become in_doubt, not refused and not accepted."""
    assert dialect_for(provider).read_submit(body) is None


@pytest.mark.parametrize("provider", ["gateway", "dashscope"])
@pytest.mark.parametrize("body", [None, [], {}, {"error": {"message": "busy"}}, {"output": {}}, {"output": []}])
def test_a_poll_reply_that_says_nothing_of_the_task_is_not_an_answer(provider: str, body: object) -> None:
    """An error without a status is the query's, not the task's: the task must not be taken for failed."""
    assert dialect_for(provider).read_poll(body, task_id="t") is None


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": {"code": "E1", "message": "no"}}, "E1", "no"),
        ({"error": {"type": "E1", "message": "no"}}, "E1", "no"),
        ({"error": "no"}, "", "no"),
        ({"message": "no"}, "", "no"),
        ({"code": "E1", "message": "no"}, "E1", "no"),
        ({"code": 1403, "msg": "no"}, "1403", "no"),
        ({"code": 403, "message": "no"}, "", "no"),
        ({"detail": "no"}, "", "no"),
        ({"output": {"code": "E1", "message": "no"}}, "E1", "no"),
        ("no", "", "no"),
        (None, "", ""),
        ([1, 2], "", ""),
        ({"message": "a\x1b[31m\r\nb\u202e"}, "", "a [31m b"),
    ],
)
def test_errors_of_every_shape_are_read_as_harmless_words(body: object, code: str, message: str) -> None:
    """WAN_API §2: `message` or `error`, a string or an object, or no JSON at all; never a terminal's escape codes."""
    fault = dialect_for("gateway").read_error(body, 403)
    assert (fault.code, fault.message) == (code, message)


@pytest.mark.parametrize(
    ("provider", "partial", "task_id"),
    [
        ("gateway", b'{"id": "task-7f3a", "stat', "task-7f3a"),
        ("gateway", b'{"request_id": "r-1", "id" : "task-7f3a"', "task-7f3a"),
        ("gateway", b'{"id": "task-7f', ""),
        ("gateway", b'{"request_id": "r-12345"', ""),
        ("gateway", b'{"id": "../../x"', ""),
        ("dashscope", b'{"output":{"task_status":"PENDING","task_id":"0385dc79-5ff8"},"requ', "0385dc79-5ff8"),
        ("dashscope", b'{"request_id":"4909100c","output":{"task_id":"0385dc', ""),
        ("dashscope", b"\xff\x00", ""),
    ],
)
def test_a_task_id_is_salvaged_from_a_cut_reply_only_if_it_is_whole(
    provider: str, partial: bytes, task_id: str
) -> None:
    """A cut reply is searched for its task id; half an id would name another task."""
    assert dialect_for(provider).salvage_task_id(partial) == task_id


@pytest.mark.parametrize(
    ("provider", "given", "base"),
    [
        ("gateway", "https://cloud.vtrix.ai", "https://cloud.vtrix.ai"),
        ("gateway", " https://cloud.vtrix.ai/ ", "https://cloud.vtrix.ai"),
        ("gateway", "https://cloud.vtrix.ai/model/v1/generation", "https://cloud.vtrix.ai"),
        ("simulator", "http://127.0.0.1:8123/", "http://127.0.0.1:8123"),
        ("dashscope", "https://dashscope.aliyuncs.com", "https://dashscope.aliyuncs.com/api/v1"),
        ("dashscope", "https://dashscope.aliyuncs.com/api/v1/", "https://dashscope.aliyuncs.com/api/v1"),
        ("dashscope", "https://w1.cn-beijing.maas.aliyuncs.com", "https://w1.cn-beijing.maas.aliyuncs.com/api/v1"),
        ("dashscope", "http://127.0.0.1:9/proxy/", "http://127.0.0.1:9/proxy/api/v1"),
    ],
)
def test_base_urls_are_brought_into_one_form(provider: str, given: str, base: str) -> None:
    """WAN_API §3: a base URL may be given with or without `/api/v1`; a trailing slash never doubles."""
    assert dialect_for(provider).base_url(given) == base


@pytest.mark.parametrize(
    "url", ["", "cloud.vtrix.ai", "ftp://h", "https://", "http://[::1", "https://h:99999999", "https://u:p@h"]
)
def test_a_base_url_that_cannot_work_is_an_error_with_a_hint(url: str) -> None:
    """A wrong WAN_BASE_URL is told before anything is sent, and never shows a password."""
    with pytest.raises(SettingsError) as caught:
        dialect_for("gateway").base_url(url)
    assert caught.value.hint
    assert "u:p" not in str(caught.value)


def test_megabytes_of_picture_are_put_into_the_body_whole() -> None:
    """The base64 bypasses the JSON encoder; the body must be the same as if it had not."""
    data = bytes(range(256)) * 4000
    images = [InputImage("a", "a", data, "image/png", 300, 300), InputImage("b", "b", data[:-1], "image/bmp", 300, 300)]
    request = ImageRequest(prompt='say "hi" \\ \u2028 {}', images=images, seed=1)
    body = json.loads(encode_body(dialect_for("gateway").submit(request, envelope="flat")))
    text, first, second = body["input"]["messages"][0]["content"]
    assert text == {"text": request.prompt}
    assert first["image"] == "data:image/png;base64," + base64.b64encode(data).decode()
    assert second["image"] == "data:image/bmp;base64," + base64.b64encode(data[:-1]).decode()


def test_a_picture_that_is_not_finished_is_never_sent() -> None:
    """Whoever submits resolves pending pictures first; a placeholder must not reach a paid service."""
    request = ImageRequest(prompt="a", images=[PendingImage("job", "a3f")])
    with pytest.raises(RequestError, match="not finished"):
        dialect_for("gateway").submit(request, envelope="flat")


def test_unknown_providers_and_envelopes_are_named() -> None:
    """A misspelt setting is an error that says what is known."""
    with pytest.raises(SettingsError, match="dashscope"):
        dialect_for("dashskope")
    with pytest.raises(SettingsError, match="params"):
        dialect_for("gateway").submit(ImageRequest(prompt="a"), envelope="nested")


def test_what_a_service_lacks_is_said() -> None:
    """WAN_API §2: the gateway documents neither cancel nor list."""
    gateway = dialect_for("gateway")
    assert (gateway.can_cancel, gateway.can_list, gateway.read_list({"data": [1]})) == (False, False, TaskPage())
    with pytest.raises(NotImplementedError):
        gateway.cancel("t")
    with pytest.raises(NotImplementedError):
        gateway.list_tasks(start=datetime.now(UTC), end=datetime.now(UTC), page=1, page_size=1)


@pytest.mark.parametrize(
    ("provider", "path"), [("gateway", "/model/v1/generation/task/a%2Fb%3F"), ("dashscope", "/tasks/a%2Fb%3F")]
)
def test_task_ids_are_quoted_in_paths(provider: str, path: str) -> None:
    """An id comes from outside: it must not lead to another call."""
    dialect = dialect_for(provider)
    assert dialect.poll("a/b?").path == path
    if dialect.can_cancel:
        assert dialect.cancel("a/b?").path == f"{path}/cancel"


def test_a_result_url_is_not_shown_by_repr() -> None:
    """The query string is a signature: it must not reach logs or tracebacks by accident."""
    state = TaskState("t", Phase.SUCCEEDED, outputs=(Output("image", url="https://h/1.png?Signature=abc"),))
    assert "Signature" not in repr(state)
