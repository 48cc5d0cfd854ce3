"""Networks for tests: scripted answers, a file as object storage serves it, a raw server on 127.0.0.1."""

import asyncio
import re
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from wan_notebook.environment import Settings
from wan_notebook.errors import WanError
from wan_notebook.providers import ServiceClient
from wan_notebook.request import ImageRequest
from wan_notebook.settings import IN_PROCESS_URL

KEY = "sk-TEST-0123456789abcdef"
BASE_URL = "https://service.example"
RESULT_URL = "https://files.example/1.png?Expires=1&Signature=abc"
REQUEST = ImageRequest(prompt="a fox in snow", seed=5)
PAGE = "<!DOCTYPE html><html><head><title>Bad gateway</title></head>" + "<p>x</p>" * 500

Handler = Callable[[httpx.Request], Any]


def make_client(
    handler: Handler,
    *,
    provider: str = "gateway",
    base_url: str = BASE_URL,
    key: str = KEY,
    envelope: str = "auto",
    **options: Any,
) -> ServiceClient:
    """Return a client whose requests all go to a function."""
    settings = Settings.model_construct(
        provider=provider,
        is_simulated=provider == "simulator",
        base_url=base_url,
        in_process=base_url == IN_PROCESS_URL,
        key=SecretStr(key) if key else None,
        envelope=envelope,
    )
    return ServiceClient(settings, **{"transport": httpx.MockTransport(handler), **options})


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


def run(client: ServiceClient, *calls: Callable[[ServiceClient], Coroutine[Any, Any, Any]]) -> Any:
    """Make calls one after the other on a loop of their own, close the client, and return the last result."""

    async def main() -> Any:
        result = None
        try:
            for call in calls:
                result = await call(client)
            return result
        finally:
            await client.aclose()

    return asyncio.run(main())


def failure_of(client: ServiceClient, *calls: Callable[[ServiceClient], Coroutine[Any, Any, Any]]) -> Any:
    """Return the error that the calls end with, after a search for the key in every text that it could show."""
    try:
        run(client, *calls)
    except WanError as error:
        assert_no_key(error)
        return error
    raise AssertionError("nothing was raised")


async def submit(client: ServiceClient) -> Any:
    """Submit the usual request."""
    return await client.submit(REQUEST)


async def status(client: ServiceClient) -> Any:
    """Ask for the usual task."""
    return await client.status("task-7f3a")


def assert_no_key(error: BaseException) -> None:
    """Fail if the key, or a part of it, stands in an error, its attributes, its chain or the locals of its frames."""
    chain: list[BaseException] = [error]
    while (follow := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(follow)
    for link in chain:
        shown = "".join(traceback.TracebackException.from_exception(link, capture_locals=True).format())
        for text in (shown, str(link), repr(link), repr(vars(link))):
            assert KEY[:12] not in text
            assert KEY[12:] not in text


async def pieces(*chunks: bytes, end: Exception | None = None) -> AsyncIterator[bytes]:
    """Deliver a body in pieces, then end or break."""
    for chunk in chunks:
        yield chunk
    if end is not None:
        raise end


class FileServer:
    """One file as object storage serves it: ETag, ranges, and cuts where it is told to."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.cut_after: int | None = None
        self.ranges: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers, "storage needs no key"
        asked = request.headers.get("range", "")
        self.ranges.append(asked)
        start, code, headers = 0, 200, {"etag": '"e-1"', "content-type": "image/png"}
        if asked and request.headers.get("if-range") == headers["etag"]:
            start, code = int(re.findall(r"\d+", asked)[0]), 206
            headers["content-range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        rest = self.data[start:]
        headers["content-length"] = str(len(rest))
        chunks = [rest[at : at + 65_536] for at in range(0, len(rest), 65_536)]
        if self.cut_after is None:
            return httpx.Response(code, headers=headers, content=pieces(*chunks))
        cut = pieces(rest[: self.cut_after], end=httpx.RemoteProtocolError("cut"))
        return httpx.Response(code, headers=headers, content=cut)


@asynccontextmanager
async def raw_server(reply: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Give each request on a free port of 127.0.0.1 these bytes, then hang up; yield the base URL and the requests."""
    requests: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if length := re.search(rb"content-length: (\d+)", head.lower()):
            await reader.readexactly(int(length[1]))
        requests.append(head)
        writer.write(reply)
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests


def http_reply(body: bytes, status_line: str = "200 OK", *headers: str) -> bytes:
    """Return a whole HTTP reply as bytes."""
    head = "\r\n".join([f"HTTP/1.1 {status_line}", f"Content-Length: {len(body)}", *headers])
    return f"{head}\r\n\r\n".encode() + body
