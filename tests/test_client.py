"""Client: what is sent, how answers become results and errors, and that nothing is ever repeated by itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.client_kit import BASE, KEY, REQUEST, Answers, client, pieces, raised, run
from wan_notebook.client import Client
from wan_notebook.errors import (
    AuthError,
    ConnectionLostError,
    ForbiddenError,
    InvalidRequestError,
    NotSentError,
    RateLimitError,
    ServerError,
    ServiceError,
    SettingsError,
    UnexpectedReplyError,
    WanError,
)
from wan_notebook.secret import Secret
from wan_notebook.wire import Phase, Submitted

ACCEPTED = {"id": "task-7f3a", "status": "in_progress"}


async def submit(c: Client) -> Submitted:
    """Submit the usual request."""
    return await c.submit(REQUEST)


async def status(c: Client) -> Any:
    """Ask for the usual task."""
    return await c.status("task-7f3a")


# Submit --------------------------------------------------------------------------------------------------------------


def test_a_submit_is_one_post_with_the_key() -> None:
    """WAN_API §2: bearer key, JSON, the documented path; one request and no more."""
    answers = Answers(httpx.Response(200, json=ACCEPTED, headers={"x-request-id": "r-1"}))
    c = client(answers)
    assert run(submit, c) == Submitted("task-7f3a", "r-1", "in_progress")
    (request,) = answers.requests
    assert (request.method, str(request.url)) == ("POST", f"{BASE}/model/v1/generation")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content)["input"]["messages"][0]["content"] == [{"text": REQUEST.prompt}]
    assert c.requests_sent == {"submit": 1}


def test_a_dashscope_submit_asks_for_a_task() -> None:
    """WAN_API §3: without X-DashScope-Async the service refuses; the base URL gains /api/v1."""
    answers = Answers(httpx.Response(200, json={"output": {"task_id": "t-1"}, "request_id": "r-2"}))
    assert run(submit, client(answers, provider="dashscope")) == Submitted("t-1", "r-2")
    (request,) = answers.requests
    assert request.headers["x-dashscope-async"] == "enable"
    assert request.url.path == "/api/v1/services/aigc/image-generation/generation"


def test_without_a_key_none_is_sent() -> None:
    """The simulator needs none; an empty bearer would be a wrong one."""
    answers = Answers(httpx.Response(200, json=ACCEPTED))
    run(submit, client(answers, key=None))
    assert "authorization" not in answers.requests[0].headers


def envelope_of(request: httpx.Request) -> str:
    """Tell which form of the body a request has."""
    return "params" if isinstance(json.loads(request.content)["input"], list) else "flat"


@pytest.mark.parametrize("refusal", [400, 422])
def test_auto_tries_the_other_envelope_once_and_remembers(refusal: int) -> None:
    """WAN_API §2: flat; on 400 or 422, which create no task, params once; what worked is kept."""
    bad, good = httpx.Response(refusal, json={"error": "input"}), httpx.Response(200, json=ACCEPTED)
    answers = Answers(bad, good, httpx.Response(200, json=ACCEPTED))
    c = client(answers)

    async def twice(c: Client) -> None:
        await c.submit(REQUEST)
        await c.submit(REQUEST)

    run(twice, c)
    assert [envelope_of(r) for r in answers.requests] == ["flat", "params", "params"]
    assert c.envelope == "params"


def test_auto_keeps_flat_once_it_worked() -> None:
    """After a success a later 400 is about the request: the same request must not be sent twice."""
    answers = Answers(httpx.Response(200, json=ACCEPTED), httpx.Response(400, json={"error": "size"}))
    c = client(answers)

    async def twice(c: Client) -> None:
        await c.submit(REQUEST)
        await c.submit(REQUEST)

    assert "size" in str(raised(twice, c))
    assert [envelope_of(r) for r in answers.requests] == ["flat", "flat"]


def test_when_both_envelopes_are_refused_the_first_error_counts() -> None:
    """The first form is the documented one, so its error says what is wrong; nothing is remembered."""
    first = httpx.Response(400, json={"error": {"code": "bad_size", "message": "size is wrong"}})
    answers = Answers(first, httpx.Response(422, json={"error": "no input"}))
    c = client(answers)
    error = raised(submit, c)
    assert isinstance(error, InvalidRequestError)
    assert (error.code, error.http_status) == ("bad_size", 400)
    assert "size is wrong" in str(error)
    assert "flat, params" in str(error)
    assert c.envelope == "auto"


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
    answers = Answers(httpx.Response(400, json={"error": "input"}), second)
    assert type(raised(submit, client(answers))) is kind


@pytest.mark.parametrize(
    "answer",
    [
        *[httpx.Response(code) for code in (401, 402, 403, 404, 409, 413, 429, 500, 502, 503, 504)],
        httpx.Response(200, json={"error": {"code": "x", "message": "y"}}),
        httpx.Response(200, text="<html>"),
        httpx.Response(302, headers={"location": f"{BASE}/elsewhere"}),
        httpx.ReadError("reset"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("cut"),
        httpx.ReadTimeout("slow"),
    ],
    ids=repr,
)
def test_nothing_else_is_ever_sent_twice(answer: Any) -> None:
    """A submit is not idempotent (WAN_API §4): only 400 and 422 allow the second form."""
    answers = Answers(answer)
    raised(submit, client(answers))
    assert len(answers.requests) == 1


@pytest.mark.parametrize("envelope", ["flat", "params"])
def test_a_chosen_envelope_is_the_only_one(envelope: str) -> None:
    """The setting has three values; the two plain ones never try another."""
    answers = Answers(httpx.Response(400))
    raised(submit, client(answers, envelope=envelope))
    assert [envelope_of(r) for r in answers.requests] == [envelope]


def test_an_error_inside_a_success_is_a_refused_submit() -> None:
    """WAN_API §2: an error and no id is a failed submit even with HTTP 200."""
    error = raised(submit, client(Answers(httpx.Response(200, json={"error": {"code": "E", "message": "no"}}))))
    assert isinstance(error, InvalidRequestError)
    assert (error.code, error.service_message, error.http_status) == ("E", "no", None)


# Errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("http_status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthError),
        (402, ForbiddenError),
        (403, ForbiddenError),
        (404, InvalidRequestError),
        (418, InvalidRequestError),
        (422, InvalidRequestError),
        (429, RateLimitError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
        (301, UnexpectedReplyError),
        (307, UnexpectedReplyError),
        (304, UnexpectedReplyError),
        (666, UnexpectedReplyError),
    ],
)
def test_each_status_has_its_error(http_status: int, kind: type[ServiceError]) -> None:
    """The tree in errors.py: the engine decides by class, people read code, message and request id."""
    body = {"code": "E7", "message": "that is wrong", "request_id": "r-9"}
    error = raised(status, client(Answers(httpx.Response(http_status, json=body)), provider="dashscope"))
    assert type(error) is kind
    assert isinstance(error, ServiceError)
    assert error.http_status == http_status
    assert error.remedy or http_status >= 400
    if kind is not UnexpectedReplyError:
        assert (error.code, error.service_message, error.request_id) == ("E7", "that is wrong", "r-9")
        assert all(word in str(error) for word in ("E7", "that is wrong", "r-9", str(http_status)))


def test_a_refused_key_names_regions_and_the_command() -> None:
    """WAN_API §3: keys belong to a region; a key of another region fails with 401."""
    error = raised(status, client(Answers(httpx.Response(401)), provider="dashscope"))
    assert all(word in error.remedy for word in ("Beijing", "Singapore", "Virginia", "%wan login", "service.example"))
    assert "%wan login" in raised(status, client(Answers(httpx.Response(401)))).remedy


@pytest.mark.parametrize("name", ["x-request-id", "x-dashscope-request-id"])
def test_the_request_id_may_stand_in_a_header(name: str) -> None:
    """Without it nobody at the service can help."""
    error = raised(status, client(Answers(httpx.Response(500, text="oops", headers={name: "r-77"}))))
    assert "r-77" in str(error)
    assert "oops" in str(error)


PAGE = "<!DOCTYPE html><html><head><title>Bad gateway</title></head>" + "<p>x</p>" * 500


@pytest.mark.parametrize("http_status", [401, 403, 404, 502, 504])
def test_a_web_page_is_never_shown(http_status: int) -> None:
    """A proxy's page is no message: it is not parsed, and at most its first 200 bytes are kept."""
    error = raised(status, client(Answers(httpx.Response(http_status, html=PAGE))))
    assert "Bad gateway" not in str(error)
    assert "web page" in str(error)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (httpx.Response(200, html=PAGE), "web page"),
        (httpx.Response(200, text="<?xml?><Error/>"), "web page"),
        (httpx.Response(200, text=""), "no task id"),
        (httpx.Response(204), "no task id"),
        (httpx.Response(200, text='{"id": "task-7f'), "no task id"),
        (httpx.Response(200, json=[1, 2]), "no task id"),
        (httpx.Response(200, text="[" * 100_000), "no task id"),
        (httpx.Response(200, text='{"id": ' + "9" * 10_000 + "}"), "no task id"),
        (httpx.Response(200, content=b"\xff\xfe\x00"), "no task id"),
        (httpx.Response(200, content=b"x" * 9_000_000), "larger than"),
        (httpx.Response(200, content=pieces(b"no gzip"), headers={"content-encoding": "gzip"}), "cut after"),
    ],
)
def test_an_unreadable_submit_reply_is_in_doubt(answer: httpx.Response, what: str) -> None:
    """A task may exist: the error says what came, and is neither a refusal nor a crash."""
    error = raised(submit, client(Answers(answer)))
    assert isinstance(error, UnexpectedReplyError)
    assert what in str(error)
    assert len(error.head) <= 200


def test_a_cut_submit_reply_still_gives_the_task_id() -> None:
    """What arrived before the cut is searched for the id, so that the task can be confirmed by a poll."""
    body = pieces(b'{"id": "task-', b'7f3a", "status', end=httpx.ReadError("reset"))
    error = raised(submit, client(Answers(httpx.Response(200, content=body))))
    assert isinstance(error, UnexpectedReplyError)
    assert error.salvaged_task_id == "task-7f3a"
    assert "cut after" in str(error)


def test_an_id_under_an_unknown_wrapping_is_salvaged() -> None:
    """The gateway may wrap its reply one day; the id is then confirmed by a poll before it is believed."""
    error = raised(submit, client(Answers(httpx.Response(200, json={"data": {"id": "task-7f3a"}}))))
    assert isinstance(error, UnexpectedReplyError)
    assert error.salvaged_task_id == "task-7f3a"


def test_a_cut_error_keeps_its_status() -> None:
    """The status line is enough to know that the request was refused."""
    body = pieces(b'{"error": {"co', end=httpx.ReadError("reset"))
    error = raised(status, client(Answers(httpx.Response(403, content=body))))
    assert isinstance(error, ForbiddenError)


@pytest.mark.parametrize(
    ("value", "date", "wait_s"),
    [
        ("7", None, 7.0),
        ("0.5", None, 0.5),
        (" 7 ", None, 7.0),
        ("-3", None, 0.0),
        ("nan", None, None),
        ("inf", None, None),
        ("soon", None, None),
        ("", None, None),
        ("Fri, 09 Jan 2026 10:00:30 GMT", "Fri, 09 Jan 2026 10:00:00 GMT", 30.0),
        ("Fri, 09 Jan 2026 10:00:30 GMT", None, 20.0),
        ("Fri, 09 Jan 2026 09:00:00 GMT", None, 0.0),
        ("Fri, 99 Jan 2026 09:00:00 GMT", None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str, date: str | None, wait_s: float | None) -> None:
    """Seconds or a date, the date against the server's own clock where it shows one; nonsense is no wait."""
    now_s = datetime(2026, 1, 9, 10, 0, 10, tzinfo=UTC).timestamp()
    headers = {"retry-after": value, **({"date": date} if date else {})}
    error = raised(status, client(Answers(httpx.Response(429, headers=headers)), wall_clock=lambda: now_s))
    assert isinstance(error, RateLimitError)
    assert error.retry_after_s == wait_s


def test_a_redirect_is_never_followed() -> None:
    """301 and 302 would turn the POST into a GET, and the key would go to another host."""
    answers = Answers(httpx.Response(302, headers={"location": "https://evil.example/"}))
    error = raised(submit, client(answers))
    assert isinstance(error, UnexpectedReplyError)
    assert "redirected" in str(error)
    assert len(answers.requests) == 1


def test_control_characters_of_a_service_never_reach_a_terminal() -> None:
    """Text from outside is hostile: escape sequences would rewrite the screen."""
    error = raised(status, client(Answers(httpx.Response(400, json={"message": "a\x1b]0;x\x07b\nc"}))))
    assert not any(character in str(error) for character in "\x1b\x07\n")


# Status, cancel, list ------------------------------------------------------------------------------------------------


def test_a_status_query_is_one_get() -> None:
    """WAN_API §2: poll by id; the server's words arrive as a TaskState."""
    body = {"id": "other", "status": "completed", "output": [{"content": [{"type": "image", "url": "https://h/1"}]}]}
    answers = Answers(httpx.Response(200, json=body, headers={"x-request-id": "r-3"}))
    c = client(answers)
    state = run(status, c)
    assert (state.task_id, state.phase, state.request_id) == ("task-7f3a", Phase.SUCCEEDED, "r-3")
    assert answers.requests[0].url.path == "/model/v1/generation/task/task-7f3a"
    assert answers.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert c.requests_sent == {"poll": 1}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, html=PAGE),
        httpx.Response(200, json={"error": {"message": "busy"}}),
        httpx.Response(200, text='{"status": "fai'),
        httpx.Response(200, content=pieces(b'{"status": "failed"}', end=httpx.ReadError("x"))),
    ],
)
def test_an_unreadable_status_says_nothing_about_the_task(answer: httpx.Response) -> None:
    """The fault matrix: retry, never FAILED."""
    error = raised(status, client(Answers(answer)))
    assert isinstance(error, UnexpectedReplyError)
    assert not error.salvaged_task_id


def test_cancel_tells_whether_it_worked() -> None:
    """WAN_API §3: only pending tasks can be cancelled; the gateway has no such call, so nothing is sent there."""

    async def cancel(c: Client) -> bool:
        return await c.cancel("t-1")

    answers = Answers(httpx.Response(200, json={"request_id": "r"}))
    assert run(cancel, client(answers, provider="dashscope")) is True
    assert (answers.requests[0].method, answers.requests[0].url.path) == ("POST", "/api/v1/tasks/t-1/cancel")
    refusal = httpx.Response(400, json={"code": "UnsupportedOperation", "message": "Not pending."})
    assert run(cancel, client(Answers(refusal), provider="dashscope")) is False
    inside = httpx.Response(200, json={"code": "UnsupportedOperation", "message": "Not pending."})
    assert run(cancel, client(Answers(inside), provider="dashscope")) is False
    gateway = client(Answers())
    assert run(cancel, gateway) is False
    assert not gateway.requests_sent
    assert isinstance(raised(cancel, client(Answers(httpx.Response(401)), provider="dashscope")), AuthError)


START = datetime(2026, 1, 9, 3, 0, 0, tzinfo=UTC)


def page(*ids: str, **more: Any) -> httpx.Response:
    """Answer with one page of a list."""
    return httpx.Response(200, json={"data": [{"task_id": i, "status": "RUNNING"} for i in ids], **more})


def listed(answers: Answers, hours: float = 1) -> list[str]:
    """List the tasks of some hours."""

    async def work(c: Client) -> list[str]:
        return [t.task_id for t in await c.list_tasks(start=START, end=START + timedelta(hours=hours))]

    return run(work, client(answers, provider="dashscope"))


def test_all_pages_of_a_list_are_read() -> None:
    """The service may give fewer a page than asked; the stated total ends it, and no task comes twice."""
    answers = Answers(page("a", "b", total=3), page("b", "c", total=3))
    assert listed(answers) == ["a", "b", "c"]
    assert [r.url.params["page_no"] for r in answers.requests] == ["1", "2"]


@pytest.mark.parametrize("last", [page(), page("a")])
def test_a_list_without_totals_ends_when_nothing_new_comes(last: httpx.Response) -> None:
    """A service that repeats a page for ever must not be asked for ever."""
    assert listed(Answers(page("a"), last)) == ["a"]


def test_a_list_is_bounded() -> None:
    """However much a service claims to have, the number of queries of one call is limited."""
    answers = Answers(*[page(f"t-{k}", total=10**9) for k in range(60)])
    assert len(listed(answers)) == 50


def test_a_long_time_is_asked_for_a_day_at_a_time() -> None:
    """The service answers for at most 24 hours at once; ±14 h around a lost submit is more."""
    answers = Answers(page("a", total=1), page("b", total=1))
    assert listed(answers, hours=28) == ["a", "b"]
    spans = [(r.url.params["start_time"], r.url.params["end_time"]) for r in answers.requests]
    assert spans == [("20260109030000", "20260110030000"), ("20260110030000", "20260110070000")]


def test_a_service_without_a_list_says_so() -> None:
    """An empty list would mean that the task does not exist."""

    async def work(c: Client) -> Any:
        return await c.list_tasks(start=START, end=START)

    assert isinstance(raised(work, client(Answers())), InvalidRequestError)


@pytest.mark.parametrize("answer", [httpx.Response(200, html=PAGE), httpx.Response(200, text="{")])
def test_an_unreadable_list_is_no_empty_list(answer: httpx.Response) -> None:
    """Absence of a task must be the service's word, not a broken reply's."""

    async def work(c: Client) -> Any:
        return await c.list_tasks(start=START, end=START + timedelta(hours=1))

    assert isinstance(raised(work, client(Answers(answer), provider="dashscope")), UnexpectedReplyError)


# Construction --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["sk-ключ", "sk 1", "sk-1\n", 'sk"1', "sk-1\x7f"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    """Httpx would name the whole header in its own error."""
    with pytest.raises(SettingsError) as caught:
        client(Answers(), key=Secret(key))
    assert "sk" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "https://xn--\u2028.example", "https://" + "a" * 70_000])
def test_a_base_url_that_cannot_be_used_is_a_setting_error(url: str) -> None:
    """It is told when the client is made, before anything is sent."""
    with pytest.raises(SettingsError) as caught:
        client(Answers(), base_url=url)
    assert len(str(caught.value)) < 1000


def test_an_unknown_envelope_is_a_setting_error_where_there_is_a_choice() -> None:
    """DashScope has one form, so the gateway's setting means nothing there."""
    with pytest.raises(SettingsError, match="auto, flat, params"):
        client(Answers(), envelope="nested")
    assert client(Answers(), provider="dashscope", envelope="params").envelope == "flat"


def test_the_servers_clock_is_compared_with_ours() -> None:
    """Expiry is the service's 24 hours: with a wrong local clock the difference must be known."""
    answers = Answers(httpx.Response(200, json=ACCEPTED, headers={"date": "Fri, 09 Jan 2026 10:00:30 GMT"}))
    now_s = datetime(2026, 1, 9, 10, 0, 10, tzinfo=UTC).timestamp()
    c = client(answers, wall_clock=lambda: now_s)
    assert c.clock_offset_s is None
    run(submit, c)
    assert c.clock_offset_s == 20.0
    assert (c.can_cancel, c.can_list, c.provider, c.base_url) == (False, False, "gateway", BASE)
