"""ServiceClient: what is sent, how replies become results and errors, and that nothing is ever repeated by itself."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.attacks import echoes
from tests.fakes.network import BASE_URL, KEY, PAGE, Answers, failure_of, make_client, pieces, run, status, submit
from wan_notebook.errors import (
    AuthError,
    ConnectionLostError,
    DownloadError,
    ForbiddenError,
    InvalidRequestError,
    NotSentError,
    RateLimitError,
    ServerError,
    ServiceError,
    UnexpectedReplyError,
    WanError,
)
from wan_notebook.providers import Phase, TaskState
from wan_notebook.text import KeyMask

ACCEPTED = {"id": "task-7f3a", "status": "in_progress"}


# Submit ---------------------------------------------------------------------------------------------------------------


def test_a_submit_is_one_post_with_the_key() -> None:
    """WAN_API §2, §3: bearer key (none if there is none), JSON; one request and no more."""
    for key, sent in ((KEY, f"Bearer {KEY}"), ("", None)):
        answers = Answers(httpx.Response(200, json={"output": {"task_id": "t-1"}, "request_id": "r-2"}))
        assert run(make_client(answers, provider="dashscope", key=key), submit) == TaskState(
            "t-1", Phase.PENDING, request_id="r-2"
        )
        (request,) = answers.requests
        assert request.method == "POST"
        assert str(request.url) == f"{BASE_URL}/api/v1/services/aigc/image-generation/generation"
        assert request.headers.get("authorization") == sent
        assert request.headers["content-type"] == "application/json"


BAD, OK = httpx.Response(400, json={"error": "size"}), httpx.Response(200, json=ACCEPTED)


@pytest.mark.parametrize(
    ("envelope", "replies", "sent", "error"),
    [
        ("auto", [BAD, OK, OK], ["flat", "params", "params"], None),
        ("auto", [httpx.Response(422), OK], ["flat", "params"], None),
        ("auto", [OK, BAD], ["flat", "flat"], InvalidRequestError),  # after a success a 400 is about the request
        ("params", [BAD], ["params"], InvalidRequestError),
        ("auto", [BAD, httpx.Response(422)], ["flat", "params"], InvalidRequestError),
        # The second POST may have made a task: the first refusal must not hide that.
        ("auto", [BAD, httpx.ReadError("reset")], ["flat", "params"], ConnectionLostError),
        ("auto", [BAD, httpx.ConnectError("refused")], ["flat", "params"], NotSentError),
        ("auto", [BAD, httpx.Response(500)], ["flat", "params"], ServerError),
        ("auto", [BAD, httpx.Response(429)], ["flat", "params"], RateLimitError),
        ("auto", [BAD, httpx.Response(200, text="{")], ["flat", "params"], UnexpectedReplyError),
    ],
)
def test_auto_tries_the_other_envelope_once_and_remembers(
    envelope: str, replies: list[Any], sent: list[str], error: type[WanError] | None
) -> None:
    """WAN_API §2: flat; on 400 or 422, which create no task, params once; what worked is kept."""
    answers = Answers(*replies)
    client = make_client(answers, envelope=envelope)
    calls = [submit] * (len(replies) - (sent[0] != sent[-1]))
    if error:
        failure = failure_of(client, *calls)
        assert type(failure) is error
        assert ("size" in str(failure)) is (error is InvalidRequestError), "the refusal of the documented form counts"
    else:
        run(client, *calls)
    bodies = [json.loads(request.content) for request in answers.requests]
    assert ["params" if isinstance(body["input"], list) else "flat" for body in bodies] == sent


def test_nothing_else_is_ever_sent_twice() -> None:
    """A submit is not idempotent (WAN_API §4): only 400 and 422 allow the second form, and no redirect is followed."""
    replies: list[Any] = [httpx.Response(code) for code in (401, 402, 403, 404, 409, 413, 429, 500, 502, 503, 504)]
    replies += [httpx.Response(200, json={"error": {"code": "x", "message": "y"}}), httpx.Response(200, text="<html>")]
    replies += [httpx.Response(code, headers={"location": f"{BASE_URL}/elsewhere"}) for code in (302, 307)]
    replies += [httpx.ReadError("x"), httpx.ConnectError("x"), httpx.RemoteProtocolError("x"), httpx.ReadTimeout("x")]
    for reply in replies:
        answers = Answers(reply)
        failure_of(make_client(answers), submit)
        assert len(answers.requests) == 1, reply


# Replies --------------------------------------------------------------------------------------------------------------


E7 = {"code": "E7", "message": "that is wrong", "request_id": "r-9"}
REFUSALS: list[tuple[int, Any, type[ServiceError], str]] = [
    *[(code, E7, ForbiddenError, "") for code in (402, 403)],
    *[(code, E7, InvalidRequestError, "") for code in (400, 404, 418)],
    *[(code, E7, ServerError, "") for code in (500, 502, 503, 504)],
    *[(code, E7, UnexpectedReplyError, "") for code in (301, 304, 307)],
    (429, E7, RateLimitError, "Wait"),
    (401, E7, AuthError, "Virginia"),  # keys belong to a region
    (401, PAGE, AuthError, "%wan login"),
    # The status 400 is about the account or the endpoint as often as about the request.
    (400, {"code": "Arrearage", "message": "x"}, InvalidRequestError, "unpaid bill"),
    (400, {"code": "AccessDenied", "message": "no asynchronous calls"}, InvalidRequestError, "region"),
    (400, {"code": "AllocationQuota.FreeTierOnly"}, InvalidRequestError, "free quota"),
    (400, {"code": "Throttling.BurstRate"}, RateLimitError, "Wait"),
    (400, {"error": {"code": "data_inspection_failed"}}, InvalidRequestError, "content check"),  # the gateway's word
    # With status 200 it means what its code says.
    (200, {"data": None, "status": {"code": 429, "message": "slow"}}, RateLimitError, "Wait"),
    (200, {"data": None, "status": {"code": 401, "message": "key"}}, AuthError, "%wan login"),
    (200, {"code": "InvalidApiKey"}, AuthError, "%wan login"),
    (200, {"error": {"code": "rate_limit_exceeded"}}, RateLimitError, "Wait"),
    (200, {"data": None, "status": {"code": 404, "message": "none"}}, InvalidRequestError, ""),
]


@pytest.mark.parametrize(("http_status", "body", "kind", "hint"), REFUSALS)
def test_a_refusal_is_known_by_status_and_code(
    http_status: int, body: Any, kind: type[ServiceError], hint: str
) -> None:
    """The worker decides by class; people read code, message, request id, and advice that fits. No page is shown."""
    content: dict[str, Any] = {"html": body} if body is PAGE else {"json": body}
    answer = httpx.Response(http_status, **content)
    error = failure_of(make_client(Answers(answer), provider="dashscope", envelope="flat"), status)
    assert (type(error), error.is_page) == (kind, body is PAGE)
    assert hint in error.hint
    assert "Bad gateway" not in str(error)
    if body is E7 and kind is not UnexpectedReplyError:
        assert all(word in str(error) for word in ("E7", "that is wrong", "r-9", str(http_status)))


@pytest.mark.parametrize("body", [{"data": None, "status": {"code": 500, "message": "oops"}}, {"error": "oops"}])
def test_an_error_without_an_id_refuses_a_submit_and_says_nothing_of_a_task(body: Any) -> None:
    """WAN_API §2: with status 200 no task was made; of a poll, what may pass is no failure."""
    for call, kind in ((submit, InvalidRequestError), (status, UnexpectedReplyError)):
        assert type(failure_of(make_client(Answers(httpx.Response(200, json=body))), call)) is kind


@pytest.mark.parametrize(
    ("provider", "chunks", "task_id"),
    [
        ("gateway", (b'{"id": "task-', b'7f3a", "status'), "task-7f3a"),
        ("gateway", (b'{"data": {"id" : "task-7f3a"',), "task-7f3a"),
        ("gateway", (b'{"id": "task-7f',), ""),
        ("gateway", (b'{"request_id": "r-12345"',), ""),
        ("gateway", (b'{"id": "../../x"',), ""),
        ("dashscope", (b'{"output":{"task_id":"0385dc79-5ff8"},"requ',), "0385dc79-5ff8"),
        ("dashscope", (b'{"request_id":"4909100c","output":{"task_id":"0385dc',), ""),
    ],
)
def test_a_cut_submit_reply_gives_the_task_id_if_it_is_whole(provider: str, chunks: Any, task_id: str) -> None:
    """What arrived before the cut is searched for the id; half an id would name another task."""
    answer = httpx.Response(200, content=pieces(*chunks, end=httpx.ReadError("reset")))
    error = failure_of(make_client(Answers(answer), provider=provider), submit)
    assert (type(error), error.salvaged_task_id) == (UnexpectedReplyError, task_id)
    assert "cut off" in str(error)


DATE = "Fri, 09 Jan 2026 10:00:{:02} GMT"
WAITS = [("7", 7.0), (" 0.5 ", 0.5), ("-3", 0.0), ("nan", None), ("soon", None), (DATE.format(30), 30.0)]


@pytest.mark.parametrize(("value", "wait_s"), [*WAITS, ("Fri, 99 Jan 2026 09:00:00 GMT", None)])
def test_retry_after_is_read_in_both_forms(value: str, wait_s: float | None) -> None:
    """Seconds or a date, the date against the server's own clock; nonsense is no wait."""
    headers = {"retry-after": value, "date": DATE.format(0)}
    assert failure_of(make_client(Answers(httpx.Response(429, headers=headers))), status).retry_after_s == wait_s


# Queries --------------------------------------------------------------------------------------------------------------


START = datetime(2026, 1, 9, 3, 4, 5, tzinfo=UTC)


def page(*ids: str) -> httpx.Response:
    """Answer with one page of a list."""
    return httpx.Response(200, json={"data": [{"task_id": i, "status": "SUCCEEDED"} for i in ids]})


def listing(answers: Answers, hours: float = 1) -> Any:
    """Return the client and the call that lists the tasks of some hours."""
    client = make_client(answers, provider="dashscope")
    return client, lambda client: client.list_tasks(start=START, end=START + timedelta(hours=hours))


def test_a_list_is_read_page_by_page() -> None:
    """The service may give fewer a page than asked; no task comes twice."""
    answers = Answers(page("a", "b"), page("b", "c"), page("c"))
    assert [task.task_id for task in run(*listing(answers, hours=24))] == ["a", "b", "c"]
    asked = dict(answers.requests[0].url.params)
    assert (asked["start_time"], asked["end_time"]) == ("20260109030405", "20260110030405")
    assert (asked["model_name"], asked["page_size"]) == ("wan2.6-image", "50")
    assert [request.url.params["page_no"] for request in answers.requests] == ["1", "2", "3"]


@pytest.mark.parametrize("body", [{"data": None}, [], {"data": [{"x": 1}]}])
def test_a_list_that_cannot_be_read_is_not_empty(body: Any) -> None:
    """Absence of a task must be the service's word, not a broken reply's; a service without a list says so."""
    answers = Answers(httpx.Response(200, json=body))
    assert type(failure_of(*listing(answers))) is UnexpectedReplyError
    assert type(failure_of(make_client(Answers()), listing(Answers())[1])) is InvalidRequestError


# The key --------------------------------------------------------------------------------------------------------------

ECHOES = dict(echoes(KEY))


@pytest.mark.parametrize("form", ECHOES)
def test_a_service_that_echoes_the_key_does_not_show_it(form: str) -> None:
    """Error texts are displayed and saved in notebooks: every form is masked before a text is cut to length."""
    echo = ECHOES[form]
    headers = {"location": f"https://evil.example/{echo}"}
    body = {"error": {"code": echo, "message": "x" * 470 + echo}, "request_id": echo, echo: echo}
    for code in (200, 302, 400, 401, 500):
        for content in ({"json": body}, {"html": f"<p>{echo}</p>"}):
            answer = httpx.Response(code, headers=headers, **content)
            error = failure_of(make_client(Answers(answer), envelope="flat"), submit)  # it searches for the key
            assert echo not in str(error) + repr(vars(error))


def test_a_text_made_to_be_slow_is_masked_at_once() -> None:
    """What a service sends must not stop the kernel: a key is looked for in one pass."""
    text, begin_s = "52" * 100_000, time.perf_counter()
    assert KeyMask(f"{KEY}5").mask(text) == text
    assert time.perf_counter() - begin_s < 1


@pytest.mark.parametrize("form", ECHOES)
def test_a_success_that_echoes_the_key_is_recorded_without_it(form: str) -> None:
    """Texts, usage and metadata go into the ledger and the notebook."""
    echo = ECHOES[form]
    content: list[Any] = [{"type": "text", "text": f"by {echo}"}, {"error": {"code": echo}}]
    content.append({"url": "https://files.example/2.png", "jobId": echo})
    body = {"status": "completed", "output": [{"content": content}], "metadata": {"auth": [{echo: echo}]}}
    body["usage"] = {"cost": "0.03", "by": f"Bearer {echo}", "id": echo, "log": {"url": f"https://log.example/?{echo}"}}
    state = run(make_client(Answers(httpx.Response(200, json=body))), status)
    assert echo not in repr(state)
    assert (str(state.cost_usd), state.files[0].url) == ("0.03", "https://files.example/2.png")
    escaped = json.dumps({"status": "failed", "error": KEY}).replace("s", "\\u0073", 1).replace("sk-", "\\u0073k-")
    assert KEY[:8] not in run(make_client(Answers(httpx.Response(200, text=escaped))), status).error_message


@pytest.mark.parametrize("form", ECHOES)
def test_a_key_that_comes_back_as_a_task_or_a_link_is_none(form: str, tmp_path: Path) -> None:
    """It would be recorded in the ledger and sent to the link's host: a submit is in doubt, a poll tells nothing."""
    echo = ECHOES[form]
    for end in ("", "}"):
        answer = httpx.Response(200, text=f'{{"id": {json.dumps(echo)}, "status": "in_progress"{end}')
        error = failure_of(make_client(Answers(answer)), submit)
        assert (type(error), error.salvaged_task_id) == (UnexpectedReplyError, "")
    link = f"https://files.example/1.png?Signature={echo}"
    content = [{"type": "image", "url": link, "image": link}]
    choices = {"task_status": "SUCCEEDED", "choices": [{"message": {"content": content}}]}
    for name, body in (
        ("gateway", {"status": "completed", "output": [{"content": content}]}),
        ("dashscope", {"output": choices}),
    ):
        error = failure_of(make_client(Answers(httpx.Response(200, json=body)), provider=name), status)
        assert (type(error), echo in str(error)) == (UnexpectedReplyError, False)
        assert "link that holds your key" in error.message
    with pytest.raises(DownloadError, match="holds your key"):  # recorded by an earlier version
        run(make_client(Answers()), lambda client: client.download(link, part=tmp_path / "x.part"))


def test_no_log_line_and_no_repr_holds_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """People switch debug logging on and paste it into issues."""
    caplog.set_level("DEBUG")
    failure_of(make_client(Answers(httpx.Response(400, json={"error": f"bad key {KEY}"}))), status)
    client = make_client(Answers(httpx.Response(200, text=f"echo {KEY}")))
    failure_of(client, submit)
    assert "echo •••" in caplog.text
    assert KEY[:10] not in caplog.text + repr(client) + repr(vars(client))
