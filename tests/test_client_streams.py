"""Connections straight on asyncio: plain and with TLS, broken off, held back, timed out."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpcore
import pytest

from tests.client_kit import KEY, read_request
from wan_notebook.client import Client
from wan_notebook.client.lines import Lines
from wan_notebook.client.sockets import BUFFERED_MAX_BYTES, Sockets, Stream, _cause
from wan_notebook.errors import NotSentError
from wan_notebook.secret import Secret

CERTIFICATE = Path(__file__).parent / "data" / "localhost.pem"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def connected(serve: Serve) -> AsyncIterator[Stream]:
    """Yield a connection to a server on a port that the system chooses."""
    writers: list[asyncio.StreamWriter] = []

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await serve(reader, writer)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    stream = await Sockets().connect_tcp("127.0.0.1", server.sockets[0].getsockname()[1], timeout=5)
    assert isinstance(stream, Stream)
    try:
        yield stream
    finally:
        await stream.aclose()
        for writer in writers:
            if not writer.is_closing():
                writer.transport.abort()
        server.close()
        await asyncio.sleep(0)


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Take the connection, and neither read nor write."""
    reader._transport.pause_reading()  # type: ignore[attr-defined]


def test_what_arrives_is_handed_on_in_order_and_whole() -> None:
    """No byte is lost, doubled or swapped, however the pieces fall; the end is an empty piece."""
    data = bytes(range(256)) * 20_000

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.close()

    async def main() -> bytes:
        got = b""
        async with connected(serve) as stream:
            while piece := await stream.read(65_536, timeout=5):
                got += piece
        return got

    assert asyncio.run(main()) == data


def test_a_slow_reader_holds_the_other_side_back() -> None:
    """A fast line must not fill the memory: beyond a bound the socket is left alone until the reader catches up."""
    total = 12 * BUFFERED_MAX_BYTES

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(total))
        await writer.drain()
        writer.close()

    async def main() -> None:
        got, most = 0, 0
        async with connected(serve) as stream:
            while piece := await stream.read(65_536, timeout=5):
                got += len(piece)
                for _ in range(5):  # the loop takes in what it may, while nobody reads
                    await asyncio.sleep(0)
                most = max(most, sum(map(len, stream._line.pieces)))
        assert got == total
        assert BUFFERED_MAX_BYTES // 2 < most <= BUFFERED_MAX_BYTES + 256 * 1024

    asyncio.run(main())


def test_what_came_before_a_break_is_not_lost() -> None:
    """A task's id may stand in the bytes before a reset; the break itself is an error, not a regular end."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half an answer")
        await writer.drain()
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await asyncio.sleep(0)
        writer.transport.abort()

    async def main() -> None:
        async with connected(serve) as stream:
            assert await stream.read(100, timeout=5) == b"half an answer"
            with pytest.raises(httpcore.ReadError):
                await stream.read(100, timeout=5)
            with pytest.raises(httpcore.WriteError):
                await stream.write(b"more", timeout=5)

    asyncio.run(main())


def test_waiting_has_an_end() -> None:
    """Reading from a server that says nothing, and writing to one that takes nothing, end with their own errors."""

    async def main() -> None:
        async with connected(say_nothing) as stream:
            with pytest.raises(httpcore.ReadTimeout):
                await stream.read(100, timeout=0.01)
            with pytest.raises(httpcore.WriteTimeout):
                await stream.write(bytes(64 * 1024 * 1024), timeout=0.05)

    asyncio.run(main())


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_answer_ends_the_sending_of_what_it_did_not_wait_for(interim: bytes) -> None:
    """Who is refused at the first bytes need not wait until a server takes the rest, which it may never do."""
    refused, may_go_on = asyncio.Event(), asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(interim)
        await may_go_on.wait()
        writer.write(b"HTTP/1.1 413 Too Large\r\n\r\n")
        await refused.wait()

    async def main() -> None:
        async with connected(serve) as stream:
            sending = asyncio.create_task(stream.write(bytes(64 * 1024 * 1024), timeout=5))
            if interim and not stream._line.pieces:
                await stream._line.arrival(5)
                await asyncio.sleep(0)
            assert not sending.done()  # to go on is no refusal
            may_go_on.set()
            with pytest.raises(httpcore.WriteError, match="before all was sent"):
                await sending
            came = await stream.read(100, timeout=5)
            while b"413" not in came:
                came += await stream.read(100, timeout=5)
            refused.set()

    asyncio.run(main())


def test_a_handshake_that_goes_unanswered_has_an_end() -> None:
    """It counts as no connection: certainly nothing was sent."""

    async def main() -> None:
        async with connected(say_nothing) as stream:
            with pytest.raises(httpcore.ConnectTimeout):
                await stream.start_tls(ssl.create_default_context(), "127.0.0.1", timeout=0.05)

    asyncio.run(main())


@pytest.mark.parametrize("has_poll", [True, False])
def test_a_connection_that_the_server_closed_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch, *, has_poll: bool
) -> None:
    """A POST on it would be in doubt: the close is seen even before the loop has heard of it, on Windows too."""
    if not has_poll:
        monkeypatch.delattr(select, "poll")

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            stream = await Sockets().connect_tcp("127.0.0.1", server.getsockname()[1], timeout=5)
            accepted, _ = server.accept()
            assert stream.get_extra_info("is_readable") is False
            accepted.close()
            assert stream.get_extra_info("is_readable") is True  # nothing was awaited in between
            await stream.read(10, timeout=5)
            assert stream.get_extra_info("is_readable") is True
            await stream.aclose()

    asyncio.run(main())


def test_a_loop_of_another_make_is_asked_only_for_what_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person may have made uvloop the loop of the process; it has no happy eyeballs."""

    class Other:
        """A loop that is none of asyncio's own."""

        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self._loop = loop

        async def create_connection(self, factory: Any, host: str, port: int) -> Any:
            return await self._loop.create_connection(factory, host, port)

    async def main() -> bytes:
        other = Other(asyncio.get_running_loop())
        with socket.create_server(("127.0.0.1", 0)) as server:
            with monkeypatch.context() as patch:
                patch.setattr(asyncio, "get_running_loop", lambda: other)
                stream = await Sockets().connect_tcp("127.0.0.1", server.getsockname()[1])
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(b"here")
                got = await stream.read(10, timeout=5)
            await stream.aclose()
        return got

    assert asyncio.run(main()) == b"here"


@pytest.mark.parametrize(
    ("error", "is_refused"),
    [
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect …"), True),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 101] Network …"), False),
        (OSError(errno.EHOSTUNREACH, "No route to host"), False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed"), True),
    ],
)
def test_a_name_with_several_addresses_that_all_refuse_is_refused(error: OSError, is_refused: bool) -> None:
    """They are reported as one text; what it means must not depend on how many addresses there are."""
    assert isinstance(_cause(error), ConnectionRefusedError) is is_refused


# TLS -----------------------------------------------------------------------------------------------------------------


async def answer_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give one short answer a request."""
    try:
        while await read_request(reader):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


@asynccontextmanager
async def secure_server(serve: Serve) -> AsyncIterator[int]:
    """Serve over TLS; yields the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def test_requests_go_over_tls_and_reuse_the_connection() -> None:
    """The real services are https: several answers come over one verified connection."""

    async def main() -> None:
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
        async with secure_server(answer_each) as port:
            lines = Lines(most=2, keepalive_s=30, ssl_context=trusting, network_backend=Sockets())
            for _ in range(3):
                response = await lines.request("GET", f"https://127.0.0.1:{port}/x")
                assert (response.status, len(response.content)) == (200, 300_000)
            assert len(lines.connections) == 1
            stream = lines.connections[0]._connection._network_stream  # type: ignore[attr-defined]
            assert stream.get_extra_info("ssl_object").version().startswith("TLSv1")
            await lines.aclose()

    asyncio.run(main())


def test_each_piece_that_is_sent_over_tls_goes_out_at_once() -> None:
    """Head and body of an order are two pieces; neither may wait until something else happens on the line."""

    async def main() -> None:
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
        async with secure_server(answer_each) as port:
            plain = await Sockets().connect_tcp("127.0.0.1", port, timeout=5)
            stream = await plain.start_tls(trusting, "127.0.0.1", timeout=5)
            for piece in (b"POST /x HTTP/1.1\r\n", b"Content-Length: 2\r\n\r\n", b"o", b"k"):
                await stream.write(piece, timeout=5)
            assert await stream.read(65_536, timeout=5)
            await stream.aclose()

    asyncio.run(main())


def test_a_line_with_an_unsent_rest_is_not_used_again() -> None:
    """An upload that is refused early: behind its rest, which nobody takes, the next order would be in doubt."""
    writers: list[asyncio.StreamWriter] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    async def main() -> None:
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
        async with secure_server(refuse) as port, asyncio.timeout(10):
            lines = Lines(most=1, keepalive_s=30, ssl_context=trusting, network_backend=Sockets())
            for size in (20_000_000, 2):
                response = await lines.request("POST", f"https://127.0.0.1:{port}/x", content=bytes(size))
                assert response.status == 413
            assert len(writers) == 2
            await lines.aclose()
            for writer in writers:
                writer.transport.abort()
            await asyncio.sleep(0)

    asyncio.run(main())


def test_a_certificate_that_nobody_vouches_for_is_refused_in_words() -> None:
    """Verification is never switched off; the error says that it is the certificate, and nothing was sent."""

    async def main() -> None:
        async with secure_server(answer_each) as port:
            client = Client(provider="gateway", base_url=f"https://127.0.0.1:{port}", key=Secret(KEY))
            with pytest.raises(NotSentError, match="certificate is not accepted") as caught:
                await client.status("t")
            assert caught.value.kind == "tls"
            await client.aclose()

    asyncio.run(main())
