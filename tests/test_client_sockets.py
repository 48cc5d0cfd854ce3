"""The same over real sockets, where the fault is one of sockets: 127.0.0.1, a port that the system chooses."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.client_kit import KEY, REQUEST, assert_no_key, read_request, served
from wan_notebook.client import Client, DownloadProgress
from wan_notebook.client.timeouts import Timeouts
from wan_notebook.errors import ConnectionLostError, DownloadError, NotSentError, UnexpectedReplyError, WanError
from wan_notebook.secret import Secret


def client(base_url: str, **options: Any) -> Client:
    """Return a client with a real network."""
    return Client(provider="gateway", base_url=base_url, key=Secret(KEY), **options)


async def caught(c: Client, call: Any) -> WanError:
    """Return what a call raises."""
    with pytest.raises(WanError) as info:
        await call
    await c.aclose()
    assert_no_key(info.value)
    return info.value


def answer(body: bytes, status: str = "200 OK", **headers: object) -> bytes:
    """Write an HTTP answer."""
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_a_refused_connection_was_not_sent() -> None:
    """Nothing listens: certain, so it may be tried again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> None:
        c = client(f"http://127.0.0.1:{port}")
        error = await caught(c, c.submit(REQUEST))
        assert isinstance(error, NotSentError)
        assert error.kind == "refused"

    asyncio.run(main())


def test_a_server_without_tls_is_a_tls_failure() -> None:
    """It must be told apart from a network that is away: it stops the queue and verification stays on."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async def main() -> None:
        async with served(plain) as (base, _):
            c = client(base.replace("http:", "https:"))
            error = await caught(c, c.submit(REQUEST))
            assert isinstance(error, NotSentError)
            assert error.kind == "tls"

    asyncio.run(main())


@pytest.mark.parametrize("is_reset", [True, False])
def test_a_connection_that_ends_after_the_request_is_lost(is_reset: bool) -> None:
    """The request had arrived; nobody answers for what became of it. It is sent exactly once."""
    received: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await read_request(reader))
        if is_reset:
            writer.transport.abort()

    async def main() -> None:
        async with served(hang_up) as (base, _):
            c = client(base)
            error = await caught(c, c.submit(REQUEST))
            assert isinstance(error, ConnectionLostError)
            assert error.kind == "lost"

    asyncio.run(main())
    assert len(received) == 1
    assert f"authorization: Bearer {KEY}".encode() in received[0].replace(b"Authorization", b"authorization")


def test_a_reply_cut_by_the_server_gives_its_task_id() -> None:
    """Content-Length promises more than comes."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(b'{"id": "task-7f3a", "sta', content_length=500))
        await writer.drain()

    async def main() -> None:
        async with served(cut) as (base, _):
            c = client(base)
            error = await caught(c, c.submit(REQUEST))
            assert isinstance(error, UnexpectedReplyError)
            assert error.salvaged_task_id == "task-7f3a"

    asyncio.run(main())


def test_garbage_instead_of_http_is_lost() -> None:
    """Something else listens on that port."""

    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"\x00\x01SSH-2.0\r\n\r\n")
        await writer.drain()

    async def main() -> None:
        async with served(garbage) as (base, _):
            c = client(base)
            assert isinstance(await caught(c, c.status("t")), ConnectionLostError)

    asyncio.run(main())


def test_connections_are_reused_and_at_most_ten() -> None:
    """Each connection costs TLS set-up: 300 calls of 60 at a time open ten."""
    body = b'{"status": "in_progress"}'

    async def polite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(answer(body, content_length=len(body)))
            await writer.drain()

    async def main() -> int:
        async with served(polite) as (base, connections):
            c = client(base)
            for _ in range(5):
                await asyncio.gather(*(c.status("t") for _ in range(60)))
            assert c.requests_sent["poll"] == 300
            await c.aclose()
            return len(connections)

    assert asyncio.run(main()) <= 10


def test_a_download_cut_by_the_server_is_continued(tmp_path: Path) -> None:
    """Range and If-Range over a real line; the file is the same as if it had never been cut."""
    data = bytes(range(256)) * 8000
    ranges: list[bytes] = []

    async def flaky(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_request(reader)
        found = [line for line in head.split(b"\r\n") if line.lower().startswith(b"range:")]
        ranges.extend(found)
        start = int(found[0].split(b"=")[1].rstrip(b"-")) if found else 0
        rest = data[start:]
        status = "206 Partial Content" if start else "200 OK"
        span = {"content_range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        writer.write(answer(rest[:700_000], status, etag='"e"', content_length=len(rest), **span))
        await writer.drain()

    async def main() -> str:
        async with served(flaky) as (base, _):
            c = client(base)
            progress, kinds = DownloadProgress(), []
            while True:
                try:
                    done = await c.download(f"{base}/x", part=tmp_path / "x.part", resume=progress)
                except DownloadError as error:
                    kinds.append(error.kind)
                    assert len(kinds) < 9
                else:
                    assert kinds == ["truncated", "truncated"]
                    await c.aclose()
                    return done.sha256

    assert asyncio.run(main()) == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "x.part").read_bytes() == data
    assert [r.split(b"=")[1] for r in ranges] == [b"700000-", b"1400000-"]


def test_a_head_that_trickles_has_an_end(tmp_path: Path) -> None:
    """Four such answers would otherwise hold up all other pictures for ever."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not writer.is_closing():
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.02)  # the pace of the trickle

    async def main() -> None:
        async with served(trickle) as (base, _), asyncio.timeout(10):
            c = client(base, timeouts=Timeouts(connect_s=0.1, stall_window_s=0.2))
            error = await caught(c, c.download(f"{base}/x", part=tmp_path / "x.part", resume=DownloadProgress()))
            assert isinstance(error, DownloadError)
            assert error.kind == "timeout"

    asyncio.run(main())


def test_beside_an_application_in_this_process_the_network_is_the_network() -> None:
    """Without a key the simulator runs in-process, but a person's picture URL means the real address."""

    async def picture(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert KEY.encode() not in await read_request(reader)
        writer.write(answer(b"picture", content_length=7))
        await writer.drain()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'{"id": "task-1"}'})

    async def main() -> None:
        async with served(picture) as (base, connections):
            c = Client(provider="simulator", base_url="http://simulator", key=Secret(KEY), app=app)
            assert (await c.submit(REQUEST)).task_id == "task-1"
            assert await c.fetch_image(f"{base}/photo.jpg") == b"picture"
            assert len(connections) == 1
            await c.aclose()

    asyncio.run(main())
