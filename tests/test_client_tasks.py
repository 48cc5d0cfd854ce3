"""Client: asking for a task's state, cancelling, and the list that finds a lost one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.client_kit import KEY, Answers, client, pieces, raised, run, status
from wan_notebook.client import Client
from wan_notebook.errors import AuthError, InvalidRequestError, UnexpectedReplyError
from wan_notebook.wire import Phase

PAGE = "<!DOCTYPE html><html><head><title>Bad gateway</title></head>" + "<p>x</p>" * 500


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


def test_a_list_is_empty_where_the_service_says_so() -> None:
    """An empty array, or a total of 0 without one."""
    nothing = httpx.Response(200, json={"data": None, "total": 0})
    assert listed(Answers(page())) == listed(Answers(nothing)) == []
    assert listed(Answers(page("a"), httpx.Response(200, json={"data": None}))) == ["a"]


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


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, html=PAGE),
        httpx.Response(200, text="{"),
        *(
            httpx.Response(200, json=body)
            for body in ({"data": None}, [], {"code": "Throttling"}, {"data": [{"x": 1}]})
        ),
    ],
)
def test_an_unreadable_list_is_no_empty_list(answer: httpx.Response) -> None:
    """Absence of a task must be the service's word, not a broken reply's."""

    async def work(c: Client) -> Any:
        return await c.list_tasks(start=START, end=START + timedelta(hours=1))

    assert isinstance(raised(work, client(Answers(answer), provider="dashscope")), UnexpectedReplyError)
