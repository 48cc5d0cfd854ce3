"""What may go wrong on the line: certainly not sent or possibly arrived, and the key in none of it."""

from __future__ import annotations

import asyncio
import inspect
import socket
import ssl
from typing import Any

import httpx
import pytest

from tests.client_kit import BASE, KEY, Answers, client, never, pieces, raised, run, status, submit
from wan_notebook.client import Client, Timeouts
from wan_notebook.client.network import CONNECTIONS_MAX
from wan_notebook.errors import ConnectionFailedError, ConnectionLostError, NotSentError, UnexpectedReplyError

NOT_SENT = {
    httpx.ConnectError: "unreachable",
    httpx.ConnectTimeout: "connect_timeout",
    httpx.PoolTimeout: "pool",
    httpx.ProxyError: "proxy",
    httpx.UnsupportedProtocol: "url",
    httpx.LocalProtocolError: "protocol",
    httpx.InvalidURL: "url",
}


def httpx_exceptions() -> list[type[Exception]]:
    """Return every exception class that httpx exports and that can be made from a message."""
    found = [v for v in vars(httpx).values() if inspect.isclass(v) and issubclass(v, Exception)]
    return [v for v in found if v not in (httpx.HTTPStatusError, httpx.StreamConsumed, httpx.StreamClosed)]


def test_the_table_of_exceptions_is_complete() -> None:
    """A new version of httpx may bring new ones: they must be looked at."""
    assert len(httpx_exceptions()) >= 24
    assert set(NOT_SENT) <= set(httpx_exceptions())


@pytest.mark.parametrize("kind", httpx_exceptions(), ids=lambda kind: kind.__name__)
def test_every_exception_of_httpx_becomes_one_of_ours(kind: type[Exception]) -> None:
    """Only what certainly preceded the request is NotSentError; everything else may have arrived."""
    is_plain = kind in (httpx.RequestNotRead, httpx.ResponseNotRead)
    error = raised(submit, client(Answers(kind() if is_plain else kind(f"{BASE} Bearer {KEY}"))))
    assert isinstance(error, ConnectionFailedError)
    assert type(error) is (NotSentError if kind in NOT_SENT else ConnectionLostError)
    lost = "timeout" if issubclass(kind, httpx.TimeoutException) else "lost"
    assert error.kind == NOT_SENT.get(kind, lost)
    assert "service.example" in str(error) or error.kind == "pool"
    assert kind.__name__ not in str(error)


@pytest.mark.parametrize("kind", [httpx.StreamConsumed, httpx.StreamClosed, RuntimeError, ssl.SSLError, OSError])
def test_whatever_else_breaks_may_have_arrived(kind: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody expected must not look like a refusal, nor show what its frames hold.

    People read words; the class's name is for the log.
    """
    caplog.set_level("DEBUG", "wan_notebook")
    error = raised(submit, client(Answers(kind())))
    assert isinstance(error, ConnectionLostError)
    assert kind.__name__ in caplog.text
    assert kind.__name__ not in str(error)


def connect_error(cause: BaseException) -> httpx.ConnectError:
    """Build what httpx raises, with its cause two levels down as in reality."""
    middle = OSError("All connection attempts failed")
    middle.__cause__ = cause
    error = httpx.ConnectError("failed")
    error.__cause__ = middle
    return error


def certificate_error() -> ssl.SSLCertVerificationError:
    """Build the error of a certificate that nobody signed."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("cause", "kind", "word"),
    [
        (ConnectionRefusedError(111, "refused"), "refused", "refused"),
        (socket.gaierror(-2, "Name or service not known"), "dns", "DNS"),
        (certificate_error(), "tls", "self-signed certificate"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "tls", "TLS"),
        (ExceptionGroup("many", [OSError("x"), ConnectionRefusedError(111, "refused")]), "refused", "refused"),
        (OSError(101, "Network is unreachable"), "unreachable", "No connection"),
    ],
    ids=["refused", "dns", "certificate", "tls", "group", "unreachable"],
)
def test_a_connection_that_failed_says_why(cause: BaseException, kind: str, word: str) -> None:
    """TLS stops everything while refused and DNS are tried again, so they must be told apart."""
    error = raised(submit, client(Answers(connect_error(cause))))
    assert isinstance(error, NotSentError)
    assert error.kind == kind
    assert word in str(error)
    assert error.hint
    assert kind != "tls" or "never switched off" in error.hint


def test_causes_in_a_ring_are_walked_once() -> None:
    """Exception chains can be circular; explaining one must end."""
    error = httpx.ConnectError("failed")
    inner = OSError("inner")
    error.__cause__, inner.__context__ = inner, error
    assert isinstance(raised(submit, client(Answers(error))), NotSentError)


# Deadlines -----------------------------------------------------------------------------------------------------------

SHORT = Timeouts(submit_s=0.05, status_s=0.05)


def test_a_service_that_never_answers_meets_the_deadline() -> None:
    """After sending began, time is no proof that nothing arrived."""

    async def silent(request: httpx.Request) -> httpx.Response:
        await never()
        return httpx.Response(200)

    for work in (submit, status):
        error = raised(work, client(silent, timeouts=SHORT))
        assert isinstance(error, ConnectionLostError)
        assert error.kind == "timeout"


def test_a_trickle_meets_the_deadline_and_keeps_what_came() -> None:
    """Each byte resets a read time-out, so there is an overall deadline; the id that came is not lost."""
    body = pieces(b'{"id": "task-7f3a", ', is_endless=True)
    error = raised(submit, client(Answers(httpx.Response(200, content=body)), timeouts=SHORT))
    assert isinstance(error, UnexpectedReplyError)
    assert error.salvaged_task_id == "task-7f3a"
    assert "deadline" in str(error)


def test_a_long_body_gets_more_time() -> None:
    """Four pictures of 10 MB take minutes on a slow line; a deadline in mid-upload would leave them in doubt."""
    timeouts = Timeouts()
    assert timeouts.submit_deadline_s(0) == 120
    assert timeouts.submit_deadline_s(50_000_000) == pytest.approx(520)


def test_a_call_that_is_cancelled_gives_its_connection_back() -> None:
    """Ten abandoned calls must not block the eleventh."""
    calls: list[httpx.Request] = []
    all_hang = asyncio.Event()

    async def first_ten_hang(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        if len(calls) == 10:
            all_hang.set()
        if len(calls) <= 10:
            await never()
        return httpx.Response(200, json={"status": "pending"})

    async def work(c: Client) -> Any:
        hanging = [asyncio.ensure_future(c.status("t")) for _ in range(10)]
        await all_hang.wait()
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        return await c.status("t")

    assert run(work, client(first_ten_hang)).raw_status == "pending"


def test_at_most_ten_calls_are_under_way() -> None:
    """Httpx's pool degrades with waiting callers, so they wait in front of it."""
    now, most = 0, 0

    async def counting(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(5):
            await asyncio.sleep(0)
        now -= 1
        return httpx.Response(200, json={"status": "pending"})

    async def work(c: Client) -> None:
        await asyncio.gather(*(c.status("t") for _ in range(60)))

    run(work, client(counting))
    assert most == CONNECTIONS_MAX <= 10
