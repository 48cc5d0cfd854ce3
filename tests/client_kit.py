"""What the client's tests share: a client over a handler instead of a network, and a search for a leaked key."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx

from wan_notebook.client import Client
from wan_notebook.errors import WanError
from wan_notebook.request import ImageRequest
from wan_notebook.secret import Secret
from wan_notebook.wire import Submitted, TaskState

KEY = "sk-TEST-0123456789abcdef"
BASE = "https://service.example"
RESULT = "https://files.example/1.png?Expires=1&Signature=abc"
REQUEST = ImageRequest(prompt="a fox in snow", seed=5)

T = TypeVar("T")
Handler = Callable[[httpx.Request], Any]


def client(handler: Handler, *, provider: str = "gateway", **options: Any) -> Client:
    """Return a client whose requests all go to a function."""
    options = {"base_url": BASE, "key": Secret(KEY), "transport": httpx.MockTransport(handler), **options}
    return Client(provider=provider, **options)


async def submit(c: Client) -> Submitted:
    """Submit the usual request."""
    return await c.submit(REQUEST)


async def status(c: Client) -> TaskState:
    """Ask for the usual task."""
    return await c.status("task-7f3a")


class Answers:
    """A handler that gives one answer after the other and keeps the requests; an exception is raised."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def run(work: Callable[[Client], Coroutine[Any, Any, T]], speaker: Client) -> T:
    """Run one coroutine with a client on a loop of its own, and close the client."""

    async def main() -> T:
        try:
            return await work(speaker)
        finally:
            await speaker.aclose()

    return asyncio.run(main())


def raised(work: Callable[[Client], Coroutine[Any, Any, Any]], speaker: Client) -> WanError:
    """Return the error that a call raises, after a search for the key in every text that it could show."""
    try:
        run(work, speaker)
    except WanError as error:
        assert_no_key(error)
        return error
    message = "nothing was raised"
    raise AssertionError(message)


def assert_no_key(error: BaseException) -> None:
    """Fail if a key, or a part of it, stands in an error, its attributes, its chain or the locals of its frames."""
    chain: list[BaseException] = [error]
    while (follow := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(follow)
    for link in chain:
        shown = "".join(traceback.TracebackException.from_exception(link, capture_locals=True).format())
        for text in (shown, str(link), repr(link), repr(vars(link))):
            assert KEY not in text
            assert KEY[:12] not in text
        assert not isinstance(link, httpx.HTTPError), "it holds the request, and the request the key"


async def never() -> None:
    """Wait for ever; a deadline must end it."""
    await asyncio.Event().wait()


async def pieces(*chunks: bytes, end: Exception | None = None, is_endless: bool = False) -> AsyncIterator[bytes]:
    """Deliver a body in pieces, then end, break, or wait for ever."""
    for chunk in chunks:
        yield chunk
    if end is not None:
        raise end
    if is_endless:
        await never()


@asynccontextmanager
async def served(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
) -> AsyncIterator[tuple[str, list[int]]]:
    """Serve on a free port of 127.0.0.1; yields the base URL and a list with one entry a connection."""
    connections: list[int] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    finally:
        server.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one request with its body, as raw bytes."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + (await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b"")
