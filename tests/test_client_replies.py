"""Client: every answer that is no success, and every success that cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from tests.client_kit import KEY, Answers, client, pieces, raised, run, status, submit
from wan_notebook.errors import (
    AuthError,
    ForbiddenError,
    InvalidRequestError,
    RateLimitError,
    ServerError,
    ServiceError,
    UnexpectedReplyError,
)


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
    assert error.hint or http_status >= 400
    if kind is not UnexpectedReplyError:
        assert (error.code, error.service_message, error.request_id) == ("E7", "that is wrong", "r-9")
        assert all(word in str(error) for word in ("E7", "that is wrong", "r-9", str(http_status)))


def test_a_refused_key_names_regions_and_the_command() -> None:
    """WAN_API §3: keys belong to a region; a key of another region fails with 401."""
    error = raised(status, client(Answers(httpx.Response(401)), provider="dashscope"))
    assert all(word in error.hint for word in ("Beijing", "Singapore", "Virginia", "%wan login", "service.example"))
    assert "%wan login" in raised(status, client(Answers(httpx.Response(401)))).hint


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


@pytest.mark.parametrize("location", ["https://evil.example/", "/moved"])
def test_a_submit_never_follows_a_redirect(location: str) -> None:
    """301 and 302 would turn the POST into a GET, 307 would make it twice; elsewhere the key would go along."""
    answers = Answers(httpx.Response(302, headers={"location": location}))
    error = raised(submit, client(answers))
    assert isinstance(error, UnexpectedReplyError)
    assert "redirected" in str(error)
    assert len(answers.requests) == 1


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_query_follows_a_redirect_within_its_origin(code: int) -> None:
    """A slash added by a proxy is no trouble; the key goes where it went before."""
    done = httpx.Response(200, json={"id": "task-7f3a", "status": "in_progress"})
    answers = Answers(httpx.Response(code, headers={"location": "/model/v1/generation/task/task-7f3a/"}), done)
    assert run(status, client(answers)).raw_status == "in_progress"
    assert [request.url.path[-1] for request in answers.requests] == ["a", "/"]
    assert {request.headers["authorization"] for request in answers.requests} == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "location",
    ["https://evil.example/", "http://service.example/", "https://service.example:444/", "//evil.example", "https://["],
)
def test_a_query_follows_no_redirect_to_another_origin(location: str) -> None:
    """Another host, port or scheme never hears of the query, and never sees the key."""
    answers = Answers(httpx.Response(307, headers={"location": location}))
    error = raised(status, client(answers))
    assert isinstance(error, UnexpectedReplyError)
    assert len(answers.requests) == 1


def test_a_query_in_a_ring_of_redirects_ends() -> None:
    """A ring is an answer that says nothing; the task is asked for again later."""
    answers = Answers(*[httpx.Response(302, headers={"location": "?"}) for _ in range(9)])
    assert isinstance(raised(status, client(answers)), UnexpectedReplyError)
    assert len(answers.requests) <= 4


def test_control_characters_of_a_service_never_reach_a_terminal() -> None:
    """Text from outside is hostile: escape sequences would rewrite the screen."""
    error = raised(status, client(Answers(httpx.Response(400, json={"message": "a\x1b]0;x\x07b\nc"}))))
    assert not any(character in str(error) for character in "\x1b\x07\n")
