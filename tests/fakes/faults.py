"""Fault injection in front of a service: broken connections, wrong statuses, unreadable bodies, spoilt pictures.

In process the transport raises what httpx raises for the same fault on a socket; bytes that arrive before a connection
breaks arrive here too, and a stalled reply ends with `httpx.ReadTimeout` after the request's own read timeout.

A fault is named `PHASE.NAME[:COUNT|:always][@SKIP]`: PHASE is submit, poll, download, list or cancel, COUNT is how many
requests are struck (1), SKIP how many pass before that. `FAULTS` lists the names.
"""

import asyncio
import errno
import json
import re
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from tests.fakes.pictures import bomb
from wan_notebook.simulator import Simulator, serve_in_thread

STATUSES = {
    400: ("InvalidParameter", "The request is invalid."),
    401: ("InvalidApiKey", "Invalid API-key provided."),
    403: ("AccessDenied", "Access denied."),
    404: ("NotFound", "Not found."),
    429: ("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    500: ("InternalError", "An internal error has occurred, please try again later or contact service support."),
    503: ("ServiceUnavailable", "The service is unavailable, please try again later."),
}
# Nothing is sent: refused, no such host, a bad certificate, no connection in time. In process only.
UNSENT = "connect_refused dns tls connect_timeout"
# before: nothing was done; after: the request was done (a submit has created its task); mid_body: half of the reply
# came. cut_body and truncated_json end eight bytes early (after the task id), the *_early ones after eight bytes;
# redirect_away: to a host that notes a key.
_ANY = """
reset_before reset_after fin_after stall_before stall_after stall_mid_body reset_mid_body cut_body cut_early trickle
html_200 redirect redirect_away 400 401 403 404 429 500 503 500_after 502_html 502_html_after 504_html 504_html_after
429_retry_after 429_retry_after_date 503_retry_after
"""
_JSON = "truncated_json truncated_json_early no_task_id error_200 failed_200"
_STATE = "unknown failed failed_plain canceled odd_status fewer_images no_urls"  # what a poll says of its task
# no_range: the whole picture, whatever was asked for; expired_url: void for good, the next poll gives a fresh one.
_PICTURE = "truncate corrupt_crc bomb xml_200 empty_200 endless no_range 403_html expired_url"
FAULTS = f"{UNSENT} {_ANY} {_JSON} {_STATE} {_PICTURE}".split()

LASTING, ON_SUCCESS = {"failed", "failed_plain", "canceled"}, {"fewer_images", "no_urls"}
FAILED_UNNAMED = {"status": "failed", "output": {"task_status": "FAILED"}, "message": "upstream timeout"}
REWRITES = LASTING | ON_SUCCESS | {"unknown", "odd_status"}
EARLY_BYTES = 8
ENDLESS_BYTES = 96 * 2**20  # where an endless picture ends
RESET_DELAY_S = 0.02  # lets the first half leave the machine before the reset overtakes it

_HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr><center>nginx</center></body></html>"
_Document = dict[str, Any]


@dataclass(kw_only=True)
class Reply:
    """A reply, and how it is delivered.

    `sent_bytes` of the body (None: all) leave in `pieces`, and `ending` follows: whole, fin, reset, stall, or one of
    what fails unsent. `has_head` False sends nothing at all before that.
    """

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    ending: str = "whole"
    has_head: bool = True
    sent_bytes: int | None = None
    pieces: int = 1
    endless_bytes: int = 0

    @classmethod
    def json(cls, document: Any, status: int = 200) -> "Reply":
        """Return a JSON reply."""
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(status=status, headers=[("content-type", "application/json")], body=body)

    @classmethod
    def html(cls, title: str, status: int = 200) -> "Reply":
        """Return a page such as a proxy or a captive portal shows."""
        return cls(status=status, headers=[("content-type", "text/html")], body=_HTML.format(title).encode())

    def head(self) -> list[tuple[bytes, bytes]]:
        """Return the headers with their Content-Length, which an endless body has not."""
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers]
        return headers if self.endless_bytes else [*headers, (b"content-length", b"%d" % len(self.body))]

    async def parts(self, pace_s: float) -> AsyncIterator[bytes]:
        """Yield the pieces of the body that are sent, with pauses if there are several."""
        body = self.body[: self.sent_bytes]
        step = max(1, -(-len(body) // self.pieces))
        for first in range(0, len(body), step):
            await asyncio.sleep(pace_s if self.pieces > 1 else 0)
            yield body[first : first + step]
        nothing = bytes(2**20)
        for _ in range(self.endless_bytes // len(nothing)):
            await asyncio.sleep(0)
            yield nothing


@dataclass
class _Armed:
    phase: str
    name: str
    left: float
    skip: int
    reply: Reply | None = None


class Faults:
    """An ASGI application in front of one of `wan_notebook.simulator`, with faults that wait for their requests."""

    def __init__(self, app: Starlette) -> None:
        self.simulator: Simulator = app.state.simulator
        self.retry_after_s = 1  # what Retry-After headers say
        self.pace_s = 0.001  # between the pieces of a trickling reply, in real seconds
        self.struck: Counter[str] = Counter()  # how often each `phase.name` has happened
        self.keys_leaked: list[str] = []  # paths on another host to which a key was sent
        self.on_submit: Callable[[], None] | None = None  # called when there is a task, before the reply leaves
        self._app = httpx.ASGITransport(app=app)
        self._armed: list[_Armed] = []
        self._lasting: dict[str, str] = {}
        self._voided: Counter[str] = Counter()
        self._connections: dict[Any, asyncio.Transport] = {}

    def add(self, *faults: str) -> None:
        """Arm faults, of which each must exist and apply to its phase."""
        for fault in faults:
            match = re.fullmatch(r"([a-z]+)\.(\w+)(?::(\d+|always))?(?:@(\d+))?", fault)
            assert match, f"{fault!r} is no PHASE.NAME[:COUNT|:always][@SKIP]"
            phase, name, count, skip = match.groups()
            assert name in FAULTS, name
            self._armed.append(
                _Armed(phase, name, float(count.replace("always", "inf") if count else 1), int(skip or 0))
            )

    def answer(self, phase: str, reply: Reply, *, times: float = 1) -> None:
        """Give this reply to the next requests of a phase, which are not served."""
        self._armed.append(_Armed(phase, "answer", times, 0, reply))

    def clear(self) -> None:
        """Disarm all faults; what is for good (failed tasks, void URLs) stays so."""
        self._armed.clear()

    def transport(self) -> httpx.AsyncBaseTransport:
        """Return a transport to the application in this process."""
        return _FaultTransport(self)

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Serve the application on a port of this machine; yield its base URL."""
        with serve_in_thread(self, http=_protocol(self._connections)) as base_url:
            yield base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Request(scope, receive)
        content = await asked.body()
        reply = await self.respond(
            httpx.Request(asked.method, str(asked.url), headers=asked.headers.raw, content=content)
        )
        if reply.has_head:
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.head()})
            async for part in reply.parts(self.pace_s):
                await send({"type": "http.response.body", "body": part, "more_body": True})
        if reply.ending == "whole":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        connection = self._connections[tuple(scope["client"])]
        if reply.ending == "fin":
            connection.close()
        elif reply.ending == "reset":
            await asyncio.sleep(RESET_DELAY_S)
            linger_off = struct.pack("ii", 1, 0)
            connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_off)
            connection.abort()
        while (await receive())["type"] != "http.disconnect":
            pass

    async def respond(self, request: httpx.Request) -> Reply:
        """Return the reply to a request: struck by a fault, or as the service gives it."""
        if request.url.path.startswith("/elsewhere/"):
            return await self._elsewhere(request)
        phase, task_id = _phase(request), _task_id(request)
        generation = self._voided[task_id]
        if phase == "download" and generation and f"void={generation}" not in str(request.url):
            return self._dated(_storage_error(403, "AccessDenied", "Request has expired."))
        armed = self._take(phase)
        if armed is None:
            reply = await self._served(request)
        else:
            reply = self._dated(armed.reply or await self._inject(armed, request))
        if phase == "poll" and reply.status == 200:
            reply = self._with_lasting_effects(reply, request)
        return reply

    async def _served(self, request: httpx.Request) -> Reply:
        """Let the service answer, and tell `on_submit` of a new task."""
        await request.aread()
        before = self.simulator.tasks_created
        response = await self._app.handle_async_request(request)
        body = b"".join([part async for part in response.aiter_raw()])
        if self.on_submit and self.simulator.tasks_created > before:
            self.on_submit()
        headers = [pair for pair in response.headers.multi_items() if pair[0] != "content-length"]
        return Reply(status=response.status_code, headers=headers, body=body)

    def _take(self, phase: str) -> _Armed | None:
        for armed in self._armed:
            if phase != armed.phase or armed.left <= 0:
                continue
            if armed.skip > 0:
                armed.skip -= 1
                continue
            armed.left -= 1
            self.struck[f"{phase}.{armed.name}"] += 1
            return armed
        return None

    def _dated(self, reply: Reply) -> Reply:
        return replace(reply, headers=[*reply.headers, ("date", formatdate(self.simulator.now(), usegmt=True))])

    async def _inject(self, armed: _Armed, request: httpx.Request) -> Reply:
        name = armed.name
        if name in UNSENT.split():
            return Reply(has_head=False, ending=name)
        if name in ("reset_before", "stall_before"):
            return Reply(has_head=False, ending=name.removesuffix("_before"))
        if match := re.fullmatch(r"(\d{3})(_html)?(_retry_after|_retry_after_date)?(_after)?", name):
            return await self._status(request, int(match[1]), match[2], match[3] or "", match[4])
        if name in ("redirect", "redirect_away"):
            return Reply(status=302, headers=[("location", _location(request.url, is_away=name == "redirect_away"))])
        if name == "html_200":
            return Reply.html("Welcome to the hotel's network: please sign in")
        if name in ("error_200", "failed_200"):
            return replace(_error(request, 500), status=200) if name == "error_200" else Reply.json(FAILED_UNNAMED)
        if name == "expired_url":
            self._voided[_task_id(request)] += 1
            return _storage_error(403, "AccessDenied", "Request has expired.")
        if name == "no_range":
            request.headers.pop("range", None)
            return await self._served(request)
        reply = await self._served(request)
        return self._rewrite(armed, request, reply) if name in REWRITES else _spoil(name, reply)

    async def _status(self, request: httpx.Request, status: int, html: str, retry: str, after: str) -> Reply:
        if after:
            await self._served(request)
        reply = Reply.html(f"{status} Error", status) if html else _error(request, status)
        at = self.simulator.now() + self.retry_after_s
        if retry:
            value = formatdate(at, usegmt=True) if retry.endswith("date") else str(self.retry_after_s)
            reply.headers.append(("retry-after", value))
        return reply

    def _rewrite(self, armed: _Armed, request: httpx.Request, reply: Reply) -> Reply:
        """Change what a poll says; a fault of successes waits for one."""
        document: _Document = json.loads(reply.body)
        task_id, is_dashscope = _task_id(request), _is_dashscope(request)
        if armed.name in ON_SUCCESS and not _contents(document):
            armed.left += 1
            self.struck[f"poll.{armed.name}"] -= 1
            return reply
        if armed.name in LASTING:
            self._lasting[task_id] = armed.name
            return reply
        if armed.name == "unknown":
            if not is_dashscope:
                return Reply.json({"error": {"code": "not_found", "message": f"task {task_id} not found"}}, 404)
            document["output"] = {"task_id": task_id, "task_status": "UNKNOWN"}
        elif armed.name == "odd_status":
            # Without a picture: an unknown status beside one would be a success.
            odd = {"task_id": task_id, "task_status": "SUSPENDED"}
            document = {"output": odd} if is_dashscope else {"id": task_id, "status": "under_review"}
        else:
            items = [(content, item) for content in _contents(document) for item in content if item["type"] == "image"]
            if armed.name == "fewer_images":
                items[-1][0].remove(items[-1][1])
            else:
                for _, item in items:
                    del item["image" if is_dashscope else "url"]
        return replace(reply, body=Reply.json(document).body)

    def _with_lasting_effects(self, reply: Reply, request: httpx.Request) -> Reply:
        """Keep a failed task failed, and give fresh URLs to a task whose URLs are void."""
        task_id = _task_id(request)
        name, generation = self._lasting.get(task_id), self._voided[task_id]
        if generation:
            reply = replace(reply, body=re.sub(rb"(&Signature=[^\"&]+)", rb"\1&void=%d" % generation, reply.body))
        if name is None:
            return reply
        document: _Document = json.loads(reply.body)
        error = {
            "failed": {"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."},
            "failed_plain": {"message": "Something went wrong."},
            "canceled": {"code": "TaskCanceled", "message": "The task was canceled."},
        }[name]
        if _is_dashscope(request):
            times = {key: value for key, value in document["output"].items() if key.endswith("_time")}
            status = "CANCELED" if name == "canceled" else "FAILED"
            document["output"] = {"task_id": task_id, "task_status": status, **times, **error}
            document.pop("usage", None)
        else:
            kept = {key: document[key] for key in ("id", "model", "created_at")}
            said = error["message"] if name == "failed_plain" else error
            document = {**kept, "status": "failed", "error": said}
        return replace(reply, body=Reply.json(document).body)

    async def _elsewhere(self, request: httpx.Request) -> Reply:
        """Stand in for another host: note a key that was sent there; serve result files, and HTML for the rest."""
        if "authorization" in request.headers:
            self.keys_leaked.append(request.url.path)
        request.url = request.url.copy_with(path=request.url.path.removeprefix("/elsewhere"))
        return await self._served(request) if _phase(request) == "download" else Reply.html("another host")


def _phase(request: httpx.Request) -> str:
    """Return what a request is for."""
    phases = {
        "submit": "POST .*/generation",
        "poll": "GET .*/tasks?/[^/]+",
        "list": "GET .*/tasks",
        "cancel": "POST .*/cancel",
        "download": "[A-Z]+ /results/.*",
    }
    asked = f"{request.method} {request.url.path.rstrip('/')}"
    return next((phase for phase, pattern in phases.items() if re.fullmatch(pattern, asked)), "other")


def _task_id(request: httpx.Request) -> str:
    """Return the task of a poll or a download."""
    path = request.url.path
    return path.rstrip("/").split("/")[2 if path.startswith("/results/") else -1]


def _is_dashscope(request: httpx.Request) -> bool:
    """Tell whether it is DashScope that is called, not the gateway."""
    return request.url.path.startswith("/api/v1/")


def _error(request: httpx.Request, status: int) -> Reply:
    code, message = STATUSES[status]
    if _phase(request) == "download":
        return _storage_error(status, code, message)
    error = {"code": code, "message": message}
    return Reply.json({**error, "request_id": "fault"} if _is_dashscope(request) else {"error": error}, status)


def _storage_error(status: int, code: str, message: str) -> Reply:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>\n'
    return Reply(status=status, headers=[("content-type", "application/xml")], body=body.encode())


def _location(url: httpx.URL, *, is_away: bool) -> str:
    if is_away:
        host = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}.get(url.host, "elsewhere.test")
        url = url.copy_with(host=host, path=f"/elsewhere{url.path}")
    return f"{url}{'&' if url.query else '?'}moved=1"


def _contents(document: _Document) -> list[list[_Document]]:
    """Return the lists of content items of a success, in either API; empty for any other poll."""
    output = document.get("output", [])
    if isinstance(output, list):
        return [group["content"] for group in output]
    return [choice["message"]["content"] for choice in output.get("choices", [])]


def _spoil(name: str, reply: Reply) -> Reply:
    """Break off, slow down or damage the reply to a request that was served."""
    body, half = reply.body, len(reply.body) // 2
    if name == "corrupt_crc":
        return replace(reply, body=body[:half] + bytes([body[half] ^ 0x10]) + body[half + 1 :])
    changes: dict[str, dict[str, Any]] = {
        "reset_after": {"has_head": False, "ending": "reset"},
        "fin_after": {"has_head": False, "ending": "fin"},
        "stall_after": {"has_head": False, "ending": "stall"},
        "stall_mid_body": {"sent_bytes": half, "ending": "stall"},
        "reset_mid_body": {"sent_bytes": half, "ending": "reset"},
        "cut_body": {"sent_bytes": max(0, len(body) - EARLY_BYTES), "ending": "fin"},
        "cut_early": {"sent_bytes": EARLY_BYTES, "ending": "fin"},
        "trickle": {"pieces": 64},
        "truncated_json": {"body": body[:-EARLY_BYTES]},
        "truncated_json_early": {"body": body[:EARLY_BYTES]},
        "no_task_id": {"body": b'{"message":"ok"}'},
        "truncate": {"body": body[:half]},
        "endless": {"endless_bytes": ENDLESS_BYTES},
        "bomb": {"body": bomb(60_000, 60_000)},
        "xml_200": {"body": _storage_error(200, "NoSuchKey", "The specified key does not exist.").body},
        "empty_200": {"body": b""},
    }
    return replace(reply, **changes[name])


class _FaultTransport(httpx.AsyncBaseTransport):
    """Hands requests to an application, and raises what httpx raises where a connection breaks."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        reply = await self._faults.respond(request)
        if not reply.has_head:
            await _end(reply, request)
        stream = _FaultStream(reply, request, self._faults.pace_s)
        return httpx.Response(reply.status, headers=reply.head(), stream=stream, request=request)


@dataclass
class _FaultStream(httpx.AsyncByteStream):
    """Sends what a reply sends, then ends as it ends."""

    reply: Reply
    request: httpx.Request
    pace_s: float

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self.reply.parts(self.pace_s):
            yield part
        await _end(self.reply, self.request)


def _bad_certificate() -> Exception:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


_RAISED: dict[str, tuple[type[httpx.RequestError], Exception | None]] = {
    "reset": (httpx.ReadError, ConnectionResetError(errno.ECONNRESET, "reset by peer")),
    "fin": (httpx.RemoteProtocolError, None),
    "stall": (httpx.ReadTimeout, None),
    "connect_refused": (httpx.ConnectError, ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")),
    "dns": (httpx.ConnectError, socket.gaierror(socket.EAI_NONAME, "Name or service not known")),
    "tls": (httpx.ConnectError, _bad_certificate()),
    "connect_timeout": (httpx.ConnectTimeout, TimeoutError(errno.ETIMEDOUT, "Connection timed out")),
}


async def _end(reply: Reply, request: httpx.Request) -> None:
    """Raise what httpx raises for the ending; a stall lasts for the request's read timeout."""
    if reply.ending == "stall":
        timeout_s = request.extensions.get("timeout", {}).get("read")
        await (asyncio.Event().wait() if timeout_s is None else asyncio.sleep(timeout_s))
    if reply.ending in _RAISED:
        kind, cause = _RAISED[reply.ending]
        raise kind("the connection broke", request=request) from cause


def _protocol(connections: dict[Any, asyncio.Transport]) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol, which notes each connection under the address of its peer."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class FaultProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            connections[tuple(transport.get_extra_info("peername")[:2])] = transport
            super().connection_made(transport)

    return FaultProtocol
