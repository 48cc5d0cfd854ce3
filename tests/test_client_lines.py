"""Connections without httpcore's pool: reused, never one in an unknown state, never more than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpcore
import pytest

from tests.client_kit import read_request
from wan_notebook.client.lines import Lines

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Say = Callable[[int, int, asyncio.StreamWriter], Awaitable[bool]]


class Server:
    """Counts connections; ``say(connection, request, writer)`` answers, and says whether to go on."""

    def __init__(self, say: Say) -> None:
        self.connections = 0
        self.url = ""
        self.closed = asyncio.Event()
        self._say = say

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        me, asked = self.connections, 0
        try:
            while True:
                await read_request(reader)
                asked += 1
                if not await self._say(me, asked, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            await writer.wait_closed()
            self.closed.set()


@asynccontextmanager
async def serving(say: Say) -> AsyncIterator[Server]:
    """Run a server on a port that the system chooses."""
    made = Server(say)
    server = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield made
    finally:
        server.close()


async def say_ok(_connection: int, _request: int, writer: asyncio.StreamWriter) -> bool:
    """Answer, and go on."""
    writer.write(OK)
    return True


async def get(lines: Lines, url: str) -> bytes:
    """Ask, read, and give the line back."""
    response = await lines.handle_async_request(httpcore.Request("GET", url, headers=[("Host", "x")]))
    try:
        return await response.aread()
    finally:
        await response.aclose()


def test_many_requests_share_as_few_connections_as_were_needed_at_once() -> None:
    """A connection for each request would cost a handshake each time."""

    async def main() -> None:
        async with serving(say_ok) as server:
            lines = Lines(most=3, keepalive_s=30)
            for _ in range(5):
                assert await asyncio.gather(*(get(lines, server.url) for _ in range(3))) == [b"ok"] * 3
            assert server.connections == 3
            await lines.aclose()

    asyncio.run(main())


def test_a_connection_that_the_server_closed_meanwhile_is_not_used() -> None:
    """A POST on it would be in doubt, although nobody has read it."""

    async def once(_connection: int, _request: int, writer: asyncio.StreamWriter) -> bool:
        writer.write(OK)
        return False

    async def main() -> None:
        async with serving(once) as server:
            lines = Lines(most=1, keepalive_s=30)
            for _ in range(3):
                assert await get(lines, server.url) == b"ok"
                await server.closed.wait()
                server.closed.clear()
            assert server.connections == 3
            await lines.aclose()

    asyncio.run(main())


def test_more_than_the_answer_is_no_answer_to_the_next_request() -> None:
    """A server that counts its bytes wrong must not give one job's task or picture to another job."""

    async def too_much(connection: int, _request: int, writer: asyncio.StreamWriter) -> bool:
        writer.write(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad" if connection == 1 else OK)
        return True

    async def main() -> None:
        async with serving(too_much) as server:
            lines = Lines(most=1, keepalive_s=30)
            assert [await get(lines, server.url) for _ in range(3)] == [b"ok"] * 3
            assert server.connections == 2
            await lines.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("read_first", [False, True])
def test_an_answer_that_was_not_read_to_its_end_takes_its_connection_along(read_first: bool) -> None:
    """The next request would get the rest of this one's answer."""

    async def half(connection: int, _request: int, writer: asyncio.StreamWriter) -> bool:
        writer.write(OK if connection > 1 else b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        return True

    async def main() -> None:
        async with serving(half) as server:
            lines = Lines(most=1, keepalive_s=30)
            response = await lines.handle_async_request(httpcore.Request("GET", server.url, headers=[("Host", "x")]))
            if read_first:
                assert await anext(aiter(response.stream)) == b"abc"  # type: ignore[arg-type]
            await response.aclose()
            assert not lines.connections
            assert await get(lines, server.url) == b"ok"
            await lines.aclose()

    asyncio.run(main())


def test_a_request_that_is_given_up_takes_its_connection_along() -> None:
    """Its answer may still come, and must not pass for another one's."""
    asked = asyncio.Event()

    async def silent(connection: int, _request: int, writer: asyncio.StreamWriter) -> bool:
        asked.set()
        if connection > 1:
            writer.write(OK)
        return True

    async def main() -> None:
        async with serving(silent) as server:
            lines = Lines(most=1, keepalive_s=30)
            waiting = asyncio.create_task(get(lines, server.url))
            await asked.wait()
            waiting.cancel()
            await asyncio.wait({waiting})
            assert not lines.connections
            assert await get(lines, server.url) == b"ok"
            await lines.aclose()

    asyncio.run(main())


def test_an_idle_connection_to_another_host_makes_room() -> None:
    """At most so many are open in all: pictures lie on another host than the service."""

    async def main() -> None:
        async with serving(say_ok) as one, serving(say_ok) as other:
            lines = Lines(most=2, keepalive_s=30)
            await asyncio.gather(get(lines, one.url), get(lines, one.url))
            await get(lines, other.url)
            assert len(lines.connections) == 2
            await get(lines, one.url)
            assert (one.connections, other.connections) == (2, 1)
            await lines.aclose()

    asyncio.run(main())


def test_a_connection_that_was_idle_too_long_is_closed() -> None:
    """Servers close such a connection, perhaps just when it is used again."""

    async def main() -> None:
        async with serving(say_ok) as server:
            lines = Lines(most=2, keepalive_s=0.0)
            await get(lines, server.url)
            await get(lines, server.url)
            assert server.connections == 2
            await lines.aclose()
            assert not lines.connections

    asyncio.run(main())


def test_a_connection_that_cannot_be_made_leaves_nothing_behind() -> None:
    """Else the count of open ones would grow with every refusal."""

    async def main() -> None:
        async with serving(say_ok) as server:
            url = server.url
        lines = Lines(most=1, keepalive_s=30)
        with pytest.raises(httpcore.ConnectError):
            await get(lines, url)
        assert not lines.connections

    asyncio.run(main())
