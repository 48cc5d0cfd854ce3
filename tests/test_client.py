"""Client: what is sent, how answers become results and errors, and that nothing is ever repeated by itself."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.client_kit import BASE, KEY, REQUEST, Answers, client, raised, run, submit
from wan_notebook.client import Client
from wan_notebook.errors import (
    ConnectionLostError,
    InvalidRequestError,
    NotSentError,
    RateLimitError,
    ServerError,
    UnexpectedReplyError,
    WanError,
)
from wan_notebook.wire import Submitted

ACCEPTED = {"id": "task-7f3a", "status": "in_progress"}


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
