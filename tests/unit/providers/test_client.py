"""ServiceClient: what is sent, how replies become results and errors, and that nothing is ever repeated by itself."""

import json
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
from wan_notebook.providers import ServiceClient, Submitted

ACCEPTED = {"id": "task-7f3a", "status": "in_progress"}


# Submit ---------------------------------------------------------------------------------------------------------------


def test_a_submit_is_one_post_with_the_key() -> None:
    """WAN_API §2, §3: bearer key (none if there is none), JSON, the documented path; one request and no more."""
    answers = Answers(httpx.Response(200, json=ACCEPTED))
    assert run(make_client(answers), submit) == Submitted("task-7f3a")
    (request,) = answers.requests
    assert (request.method, str(request.url)) == ("POST", f"{BASE_URL}/model/v1/generation")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    answers = Answers(httpx.Response(200, json={"output": {"task_id": "t-1"}, "request_id": "r-2"}))
    assert run(make_client(answers, provider="dashscope", key=""), submit) == Submitted("t-1", "r-2")
    assert answers.requests[0].url.path == "/api/v1/services/aigc/image-generation/generation"
    assert "authorization" not in answers.requests[0].headers


BAD, OK = httpx.Response(400, json={"error": "size"}), httpx.Response(200, json=ACCEPTED)


@pytest.mark.parametrize(
    ("options", "replies", "sent", "is_refused"),
    [
        ({}, [BAD, OK, OK], ["flat", "params", "params"], False),
        ({}, [httpx.Response(422), OK], ["flat", "params"], False),
        ({}, [OK, BAD], ["flat", "flat"], True),  # after a success a later 400 is about the request
        ({"envelope": "params"}, [BAD], ["params"], True),
        ({}, [BAD, httpx.Response(422)], ["flat", "params"], True),  # that of the documented form counts
    ],
)
def test_auto_tries_the_other_envelope_once_and_remembers(
    options: dict[str, str], replies: list[httpx.Response], sent: list[str], is_refused: bool
) -> None:
    """WAN_API §2: flat; on 400 or 422, which create no task, params once; what worked is kept."""
    answers = Answers(*replies)
    client = make_client(answers, **options)
    calls = [submit] * (len(replies) - (sent[0] != sent[-1]))
    if is_refused:
        assert "size" in str(failure_of(client, *calls))
    else:
        run(client, *calls)
    bodies = [json.loads(request.content) for request in answers.requests]
    assert ["params" if isinstance(body["input"], list) else "flat" for body in bodies] == sent


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (httpx.ReadError("reset"), ConnectionLostError),
        (httpx.ConnectError("refused"), NotSentError),
        (httpx.Response(500), ServerError),
        (httpx.Response(429), RateLimitError),
        (httpx.Response(200, text="{"), UnexpectedReplyError),
    ],
)
def test_an_uncertain_second_envelope_is_never_called_refused(second: Any, kind: type[WanError]) -> None:
    """The second POST may have made a task: the first refusal must not hide that."""
    assert type(failure_of(make_client(Answers(httpx.Response(400), second)), submit)) is kind


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


STATUSES = {AuthError: [401], ForbiddenError: [402, 403], InvalidRequestError: [400, 404, 418], RateLimitError: [429]}
STATUSES |= {ServerError: [500, 502, 503, 504], UnexpectedReplyError: [301, 304, 307]}


@pytest.mark.parametrize(("http_status", "kind"), [(code, kind) for kind, codes in STATUSES.items() for code in codes])
def test_each_status_has_its_error(http_status: int, kind: type[ServiceError]) -> None:
    """The worker decides by class, people read code, message and request id."""
    body = {"code": "E7", "message": "that is wrong", "request_id": "r-9"}
    error = failure_of(make_client(Answers(httpx.Response(http_status, json=body)), provider="dashscope"), status)
    assert (type(error), error.http_status) == (kind, http_status)
    assert bool(error.hint) or http_status not in (301, 401, 402, 429)
    if kind is not UnexpectedReplyError:
        assert all(word in str(error) for word in ("E7", "that is wrong", "r-9", str(http_status)))


@pytest.mark.parametrize(
    ("body", "kind", "hint"),
    [
        ({"code": "Arrearage", "message": "x"}, InvalidRequestError, "unpaid bill"),
        ({"code": "AccessDenied", "message": "no asynchronous calls"}, InvalidRequestError, "region"),
        ({"code": "AllocationQuota.FreeTierOnly"}, InvalidRequestError, "free quota"),
        ({"code": "Throttling.BurstRate"}, RateLimitError, "Wait"),
        ({"error": {"code": "data_inspection_failed"}}, InvalidRequestError, "content check"),  # the gateway's spelling
        ({"code": "E7"}, InvalidRequestError, ""),
    ],
)
def test_advice_follows_from_the_code(body: dict[str, str], kind: type[ServiceError], hint: str) -> None:
    """WAN_API §3: the status 400 is about the account or the endpoint as often as about the request."""
    error = failure_of(make_client(Answers(httpx.Response(400, json=body)), provider="dashscope"), submit)
    assert type(error) is kind
    assert hint in error.hint


@pytest.mark.parametrize(
    ("body", "kind", "poll_kind"),
    [
        ({"data": None, "status": {"code": 429, "message": "slow"}}, RateLimitError, RateLimitError),
        ({"data": None, "status": {"code": 401, "message": "key"}}, AuthError, AuthError),
        ({"error": {"code": "rate_limit_exceeded"}}, RateLimitError, RateLimitError),
        ({"code": "InvalidApiKey"}, AuthError, AuthError),
        ({"error": {"code": "invalid_api_key"}}, AuthError, AuthError),
        ({"data": None, "status": {"code": 404, "message": "none"}}, InvalidRequestError, InvalidRequestError),
        ({"data": None, "status": {"code": 500, "message": "oops"}}, InvalidRequestError, UnexpectedReplyError),
        ({"error": "oops"}, InvalidRequestError, UnexpectedReplyError),
    ],
)
def test_an_error_with_status_200_means_what_its_code_says(
    body: Any, kind: type[ServiceError], poll_kind: type[ServiceError]
) -> None:
    """WAN_API §2: an error without an id is a refused submit; of a poll, what may pass says nothing about the task."""
    assert type(failure_of(make_client(Answers(httpx.Response(200, json=body))), submit)) is kind
    assert type(failure_of(make_client(Answers(httpx.Response(200, json=body))), status)) is poll_kind


def test_a_refused_key_names_the_regions_and_the_command() -> None:
    """WAN_API §3: keys belong to a region. No page is ever shown."""
    hint = failure_of(make_client(Answers(httpx.Response(401)), provider="dashscope"), status).hint
    assert all(word in hint for word in ("Beijing", "Virginia", "%wan login"))
    error = failure_of(make_client(Answers(httpx.Response(401, html=PAGE))), status)
    assert ("%wan login" in error.hint, error.is_page, "Bad gateway" in str(error)) == (True, True, False)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (httpx.Response(200, html=PAGE), "web page"),
        (httpx.Response(200, text="<?xml?><Error/>"), "web page"),
        (httpx.Response(204), "no task id"),
        (httpx.Response(200, text="[" * 100_000), "no task id"),
        (httpx.Response(200, text='{"id": ' + "9" * 10_000 + "}"), "no task id"),
        (httpx.Response(200, content=b"\xff\xfe\x00"), "no task id"),
        (httpx.Response(200, content=b"x" * 2_000_000), "larger than"),
    ],
)
def test_an_unreadable_submit_reply_is_in_doubt(answer: httpx.Response, what: str) -> None:
    """A task may exist: the error says what came, and is neither a refusal nor a crash."""
    error = failure_of(make_client(Answers(answer)), submit)
    assert (type(error), what in str(error)) == (UnexpectedReplyError, True)


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


def test_retry_after_is_read_in_both_forms() -> None:
    """Seconds or a date, the date against the server's own clock where it shows one; nonsense is no wait."""
    date = "Fri, 09 Jan 2026 10:00:{:02} GMT"
    seconds = [("7", 7.0), (" 0.5 ", 0.5), ("-3", 0.0), ("nan", None), ("soon", None), ("", None)]
    for value, wait_s in [*seconds, (date.format(30), 30.0), ("Fri, 99 Jan 2026 09:00:00 GMT", None)]:
        headers = {"retry-after": value, "date": date.format(0)}
        assert failure_of(make_client(Answers(httpx.Response(429, headers=headers))), status).retry_after_s == wait_s
    past = httpx.Response(429, headers={"retry-after": date.format(0)})
    assert failure_of(make_client(Answers(past)), status).retry_after_s == 0.0


# Queries --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("http_status", "body", "worked"),
    [(200, {"request_id": "r"}, True), (400, {"code": "UnsupportedOperation"}, False), (200, {"code": "E7"}, False)],
)
def test_cancel_tells_whether_it_worked(http_status: int, body: dict[str, str], worked: bool) -> None:
    """WAN_API §3: only pending tasks can be cancelled; the gateway has no such call, so nothing is sent there."""

    async def cancel(client: ServiceClient) -> bool:
        return await client.cancel("t-1")

    answers = Answers(httpx.Response(http_status, json=body))
    assert run(make_client(answers, provider="dashscope"), cancel) is worked
    assert (answers.requests[0].method, answers.requests[0].url.path) == ("POST", "/api/v1/tasks/t-1/cancel")
    gateway = make_client(Answers())
    assert (run(gateway, cancel), gateway.can_cancel, gateway.can_list) == (False, False, False)
    assert type(failure_of(make_client(Answers(httpx.Response(401)), provider="dashscope"), cancel)) is AuthError


START = datetime(2026, 1, 9, 3, 4, 5, tzinfo=UTC)


def page(*ids: str) -> httpx.Response:
    """Answer with one page of a list."""
    return httpx.Response(200, json={"data": [{"task_id": i, "status": "SUCCEEDED"} for i in ids]})


def listing(answers: Answers, hours: float = 1) -> Any:
    """Return the client and the call that lists the tasks of some hours."""
    client = make_client(answers, provider="dashscope")
    return client, lambda client: client.list_tasks(start=START, end=START + timedelta(hours=hours))


def test_a_list_is_read_page_by_page_and_day_by_day() -> None:
    """The service may give fewer a page than asked, and answers for a day at most; no task comes twice."""
    answers = Answers(page("a", "b"), page("b", "c"), page("c"), page("d"), page())
    assert [task.task_id for task in run(*listing(answers, hours=28))] == ["a", "b", "c", "d"]
    asked = dict(answers.requests[0].url.params)
    assert (asked["start_time"], asked["end_time"]) == ("20260109030405", "20260110030405")
    assert (asked["model_name"], asked["page_size"]) == ("wan2.6-image", "50")
    assert [request.url.params["page_no"] for request in answers.requests] == ["1", "2", "3", "1", "2"]
    assert answers.requests[3].url.params["end_time"] == "20260110070405"


def test_a_list_is_empty_only_where_the_service_says_so() -> None:
    """Absence of a task must be the service's word, not a broken reply's; a service without a list says so."""
    for answer in (page(), httpx.Response(200, json={"data": None, "total": 0})):
        assert run(*listing(Answers(answer))) == []
    unreadable = [httpx.Response(200, html=PAGE), httpx.Response(200, text="{")]
    unreadable += [httpx.Response(200, json=body) for body in ({"data": None}, [], {"data": [{"x": 1}]})]
    for answer in unreadable:
        assert type(failure_of(*listing(Answers(answer)))) is UnexpectedReplyError
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
        for content in ({"json": body}, {"text": f"no such key: {echo}"}, {"html": f"<p>{echo}</p>"}):
            answer = httpx.Response(code, headers=headers, **content)
            for call in (submit, status):
                error = failure_of(make_client(Answers(answer), envelope="flat"), call)  # it searches for the key
                assert echo not in str(error) + repr(vars(error))


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
    for name in ("gateway", "dashscope"):
        content = [{"type": "image", "url": link, "image": link}]
        body = {"status": "completed", "output": [{"content": content}]}
        if name == "dashscope":
            body = {"output": {"task_status": "SUCCEEDED", "choices": [{"message": {"content": content}}]}}
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
