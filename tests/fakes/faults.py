"""Fault injection in front of a service: broken connections, wrong statuses, unreadable bodies, spoilt pictures.

    faults = Faults(create_app(SimulatorConfig(seconds=0)))
    faults.add("submit.reset_after", "poll.503:2")

    transport = faults.transport()       # in process: an httpx.AsyncBaseTransport for the client under test
    with faults.serve() as base_url:     # on a port of this machine, where connections really break
        ...

In process the transport raises what httpx raises for the same fault on a socket; bytes that arrive before a connection
breaks arrive here too, and a stalled reply ends with `httpx.ReadTimeout` after the request's own read timeout.

A fault is named `[PHASE.]NAME[:COUNT|:always][@SKIP]`: PHASE is submit, poll, download, list or cancel (without it,
every phase that the fault applies to), COUNT is how many requests are struck (1), SKIP how many pass before that.
`FAULTS` lists the names. `tests/fakes/connections.py` has what fails before anything is sent.
"""

import asyncio
import errno
import json
import re
import socket
import struct
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from wan_notebook.simulator import Simulator, request_kind, serve_in_thread

PHASES = ("submit", "poll", "download", "list", "cancel")
CALLS = ("submit", "poll", "list", "cancel")
STATUSES = {
    400: ("InvalidParameter", "The request is invalid."),
    401: ("InvalidApiKey", "Invalid API-key provided."),
    403: ("AccessDenied", "Access denied."),
    404: ("NotFound", "Not found."),
    429: ("Throttling.RateQuota", "Requests rate limit exceeded, please try again later."),
    500: ("InternalError", "An internal error has occurred, please try again later or contact service support."),
    503: ("ServiceUnavailable", "The service is unavailable, please try again later."),
}
# before: nothing was done; after: the request was done (a submit has created its task); mid_body: half of the reply
# came. cut_body and truncated_json end eight bytes early (after the task id), the *_early ones after eight bytes.
_CONNECTION = "reset_before reset_after fin_after stall_before stall_after stall_mid_body reset_mid_body"
_BODY = "cut_body cut_early trickle html_200 redirect redirect_away"  # redirect_away: to a host that notes a key
_REPLY = (
    "500_after 502_html 502_html_after 504_html 504_html_after 429_retry_after 429_retry_after_date 503_retry_after"
)
_STATE = "unknown failed failed_plain canceled odd_status fewer_images no_urls"  # what a poll says of its task
# no_range: the whole picture, whatever was asked for; expired_url: void for good, the next poll gives a fresh one.
_PICTURE = "truncate corrupt_crc bomb xml_200 empty_200 endless no_range 403_html expired_url"
FAULTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys([*_CONNECTION.split(), *_BODY.split(), *map(str, STATUSES), *_REPLY.split()], PHASES),
    **dict.fromkeys(("truncated_json", "truncated_json_early"), CALLS),
    **dict.fromkeys(("no_task_id", "error_200"), ("submit", "poll")),
    **dict.fromkeys(_STATE.split(), ("poll",)),
    **dict.fromkeys(_PICTURE.split(), ("download",)),
}
"""The phases that each fault applies to."""

LASTING = {"failed", "failed_plain", "canceled"}
ON_SUCCESS = {"fewer_images", "no_urls"}
REWRITES = LASTING | ON_SUCCESS | {"unknown", "odd_status"}
EARLY_BYTES = 8
ENDLESS_BYTES = 96 * 2**20  # where an endless picture ends
RESET_DELAY_S = 0.02  # lets the first half leave the machine before the reset overtakes it

_HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr><center>nginx</center></body></html>"
_Document = dict[str, Any]


@dataclass(kw_only=True)
class Reply:
    """A reply, and how it is delivered.

    `sent_bytes` of the body (None: all) leave in `pieces`, and `ending` follows: whole, fin, reset or stall. `has_head`
    False sends nothing at all before that.
    `promised_bytes` is the Content-Length (None: that of the body; -1: no such header).
    """

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    ending: str = "whole"
    has_head: bool = True
    sent_bytes: int | None = None
    promised_bytes: int | None = None
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
        """Return the headers with their Content-Length."""
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers]
        promised = len(self.body) if self.promised_bytes is None else self.promised_bytes
        return headers if promised < 0 else [*headers, (b"content-length", str(promised).encode())]

    def parts(self) -> Iterator[bytes]:
        """Yield the pieces of the body that are sent."""
        body = self.body[: self.sent_bytes]
        step = max(1, -(-len(body) // self.pieces))
        yield from (body[first : first + step] for first in range(0, len(body), step))
        yield from (bytes(65536) for _ in range(self.endless_bytes // 65536))


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a request asks, as faults see it."""

    method: str
    scheme: str
    host: str
    path: str
    query: str
    headers: dict[str, str]

    @property
    def phase(self) -> str:
        """The kind of the request: one of PHASES, or other."""
        return request_kind(self.method, self.path)

    @property
    def task_id(self) -> str:
        """The task of a poll or a download."""
        return self.path.rstrip("/").split("/")[2 if self.path.startswith("/results/") else -1]

    @property
    def is_dashscope(self) -> bool:
        """Whether it is DashScope that is called, not the gateway."""
        return self.path.startswith("/api/v1/")


Serve = Callable[[Call], Awaitable[Reply]]


@dataclass
class _Armed:
    name: str
    phases: tuple[str, ...]
    left: float
    skip: int
    reply: Reply | None = None


class Faults:
    """An ASGI application in front of another one, with faults that wait for their requests.

    Parameters
    ----------
    app
        An application of `wan_notebook.simulator.create_app`.

    Attributes
    ----------
    simulator
        The simulator behind it.
    struck
        How often each `phase.name` has happened.
    keys_leaked
        Paths on another host to which a key was sent.
    retry_after_s
        What Retry-After headers say.
    pace_s
        Pause between the pieces of a trickling reply, in real seconds.
    on_submit
        Called when a task has been created, before the reply leaves.
    """

    def __init__(self, app: Starlette) -> None:
        self.simulator: Simulator = app.state.simulator
        self.retry_after_s = 1
        self.pace_s = 0.001
        self.struck: Counter[str] = Counter()
        self.keys_leaked: list[str] = []
        self.on_submit: Callable[[], None] | None = None
        self._app = app
        self._armed: list[_Armed] = []
        self._lasting: dict[str, str] = {}
        self._voided: Counter[str] = Counter()
        self._connections: dict[Any, asyncio.Transport] = {}

    def add(self, *faults: str) -> None:
        """Arm faults; raise ValueError for a name that does not exist or does not apply to its phase."""
        self._armed += [_parse(fault) for fault in faults]

    def answer(self, phase: str, reply: Reply, *, times: float = 1) -> None:
        """Give this reply to the next requests of a phase, which are not served."""
        self._armed.append(_Armed("answer", (phase,), times, 0, reply))

    def clear(self) -> None:
        """Disarm all faults; what is for good (failed tasks, void URLs) stays so."""
        self._armed.clear()

    def transport(self) -> httpx.AsyncBaseTransport:
        """Return a transport to the application in this process."""
        return _FaultTransport(self, self._app)

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Serve the application on a port of this machine; yield its base URL."""
        with serve_in_thread(self, http=_protocol(self._connections)) as base_url:
            yield base_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = False

        async def serve(call: Call) -> Reply:
            nonlocal is_read
            is_read = True
            messages: list[Message] = []

            async def keep(message: Message) -> None:
                messages.append(message)

            headers = [(name.encode(), value.encode("latin-1")) for name, value in call.headers.items()]
            served = {**scope, "path": call.path, "raw_path": call.path.encode(), "headers": headers}
            await self._app(served, receive, keep)
            body = b"".join(message.get("body", b"") for message in messages[1:])
            kept = [(name.decode(), value.decode("latin-1")) for name, value in messages[0]["headers"]]
            return Reply(status=messages[0]["status"], headers=kept, body=body)

        given = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        call = Call(
            method=scope["method"],
            scheme=scope["scheme"],
            host=given.get("host", ""),
            path=scope["path"],
            query=scope["query_string"].decode(),
            headers=given,
        )
        reply = await self.respond(call, serve)
        if reply is None:
            await self._app(scope, receive, send)
            return
        while reply.has_head and not is_read and (await receive()).get("more_body"):
            pass  # a refused request is read to its end, so that refusing does not break the connection
        await self._deliver(reply, scope, receive, send)

    async def _deliver(self, reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
        if reply.has_head:
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.head()})
            for part in reply.parts():
                await asyncio.sleep(self.pace_s if reply.pieces > 1 else 0)
                await send({"type": "http.response.body", "body": part, "more_body": True})
        if reply.ending == "whole":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        connection = self._connections.get(tuple(scope["client"]))
        if connection is None:
            raise RuntimeError(f"no connection to {reply.ending}: use Faults.transport() in process")
        if reply.ending == "fin":
            connection.close()
        elif reply.ending == "reset":
            await asyncio.sleep(RESET_DELAY_S)
            linger_off = struct.pack("ii", 1, 0)
            connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_off)
            connection.abort()
        while (await receive())["type"] != "http.disconnect":
            pass

    async def respond(self, call: Call, serve: Serve) -> Reply | None:
        """Return the reply to a request that a fault strikes, or None for one that is served as usual."""
        if call.path.startswith("/elsewhere/"):
            return await self._elsewhere(call, serve)
        phase, generation = call.phase, self._voided[call.task_id]
        if phase == "download" and generation and f"void={generation}" not in call.query:
            return self._dated(_storage_error(403, "AccessDenied", "Request has expired."))
        armed = self._take(phase)
        is_changed = phase == "poll" and (call.task_id in self._lasting or generation)
        if armed is not None:
            reply = armed.reply or await self._inject(armed, call, self._watched(serve))
        elif is_changed or (phase == "submit" and self.on_submit):
            reply = await self._watched(serve)(call)
        else:
            return None
        if phase == "poll" and reply.status == 200:
            reply = self._with_lasting_effects(reply, call)
        return self._dated(reply)

    def _watched(self, serve: Serve) -> Serve:
        """Return a server that tells `on_submit` of a new task."""

        async def served(call: Call) -> Reply:
            before = self.simulator.tasks_created
            reply = await serve(call)
            if self.on_submit and self.simulator.tasks_created > before:
                self.on_submit()
            return reply

        return served

    def _take(self, phase: str) -> _Armed | None:
        for armed in self._armed:
            if phase not in armed.phases or armed.left <= 0:
                continue
            if armed.skip > 0:
                armed.skip -= 1
                continue
            armed.left -= 1
            self.struck[f"{phase}.{armed.name}"] += 1
            return armed
        return None

    def _dated(self, reply: Reply) -> Reply:
        headers = [(name, value) for name, value in reply.headers if name.lower() not in ("date", "content-length")]
        return replace(reply, headers=[*headers, ("date", formatdate(self.simulator.now(), usegmt=True))])

    async def _inject(self, armed: _Armed, call: Call, serve: Serve) -> Reply:
        name = armed.name
        if name in ("reset_before", "stall_before"):
            return Reply(has_head=False, ending=name.removesuffix("_before"))
        if match := re.fullmatch(r"(\d{3})(_html)?(_retry_after|_retry_after_date)?(_after)?", name):
            return await self._status(call, serve, int(match[1]), match[2], match[3] or "", match[4])
        if name in ("redirect", "redirect_away"):
            return Reply(status=302, headers=[("location", _location(call, is_away=name == "redirect_away"))])
        if name == "html_200":
            return Reply.html("Welcome to the hotel's network: please sign in")
        if name == "error_200":
            return replace(_error(call, 500), status=200)
        if name == "expired_url":
            self._voided[call.task_id] += 1
            return _storage_error(403, "AccessDenied", "Request has expired.")
        if name == "no_range":
            kept = {header: value for header, value in call.headers.items() if header != "range"}
            return await serve(replace(call, headers=kept))
        reply = await serve(call)
        if name == "endless":
            return replace(reply, promised_bytes=-1, endless_bytes=ENDLESS_BYTES)
        if name in REWRITES:
            return self._rewrite(armed, call, reply)
        return _spoil(name, reply)

    async def _status(self, call: Call, serve: Serve, status: int, html: str, retry: str, after: str) -> Reply:
        if after:
            await serve(call)
        reply = Reply.html(f"{status} Error", status) if html else _error(call, status)
        at = self.simulator.now() + self.retry_after_s
        if retry:
            value = formatdate(at, usegmt=True) if retry.endswith("date") else str(self.retry_after_s)
            reply.headers.append(("retry-after", value))
        return reply

    def _rewrite(self, armed: _Armed, call: Call, reply: Reply) -> Reply:
        """Change what a poll says; a fault of successes waits for one."""
        document: _Document = json.loads(reply.body)
        if armed.name in ON_SUCCESS and not _contents(document):
            armed.left += 1
            self.struck[f"{call.phase}.{armed.name}"] -= 1
            return reply
        if armed.name in LASTING:
            self._lasting[call.task_id] = armed.name
            return reply
        if armed.name == "unknown":
            if not call.is_dashscope:
                error = {"code": "not_found", "message": f"task {call.task_id} not found"}
                return Reply.json({"error": error}, 404)
            document["output"] = {"task_id": call.task_id, "task_status": "UNKNOWN"}
        elif armed.name == "odd_status":
            # Without a picture: an unknown status beside one would be a success.
            if call.is_dashscope:
                document = {"output": {"task_id": call.task_id, "task_status": "SUSPENDED"}, "request_id": "fault"}
            else:
                document = {"id": call.task_id, "status": "under_review", "model": document["model"]}
        else:
            items = [(content, item) for content in _contents(document) for item in content if item["type"] == "image"]
            if armed.name == "fewer_images":
                items[-1][0].remove(items[-1][1])
            else:
                for _, item in items:
                    del item["image" if call.is_dashscope else "url"]
        return replace(reply, body=json.dumps(document, ensure_ascii=False).encode())

    def _with_lasting_effects(self, reply: Reply, call: Call) -> Reply:
        """Keep a failed task failed, and give fresh URLs to a task whose URLs are void."""
        name, generation = self._lasting.get(call.task_id), self._voided[call.task_id]
        if generation:
            reply = replace(reply, body=re.sub(rb"(&Signature=[^\"&]+)", rb"\1&void=%d" % generation, reply.body))
        if name is None:
            return reply
        document: _Document = json.loads(reply.body)
        error = {"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."}
        if name == "canceled":
            error = {"code": "TaskCanceled", "message": "The task was canceled."}
        elif name == "failed_plain":
            error = {"message": "Something went wrong."}
        if call.is_dashscope:
            times = {key: value for key, value in document["output"].items() if key.endswith("_time")}
            status = "CANCELED" if name == "canceled" else "FAILED"
            document["output"] = {"task_id": call.task_id, "task_status": status, **times, **error}
            document.pop("usage", None)
        else:
            kept = {key: document[key] for key in ("id", "model", "created_at")}
            said = error["message"] if name == "failed_plain" else error
            document = {**kept, "status": "failed", "error": said}
        return replace(reply, body=json.dumps(document, ensure_ascii=False).encode())

    async def _elsewhere(self, call: Call, serve: Serve) -> Reply:
        """Stand in for another host: note a key that was sent there; serve result files, and HTML for the rest."""
        path = call.path.removeprefix("/elsewhere")
        if request_kind(call.method, path) == "download":
            return await serve(replace(call, path=path))
        if "authorization" in call.headers:
            self.keys_leaked.append(call.path)
        return Reply.html("another host")


def _parse(text: str) -> _Armed:
    match = re.fullmatch(r"(?:([a-z]+)\.)?(\w+)(?::(\d+|always))?(?:@(\d+))?", text)
    if match is None:
        raise ValueError(f"{text!r} is not a fault of the form [PHASE.]NAME[:COUNT|:always][@SKIP]")
    phase, name, count, skip = match.groups()
    if name not in FAULTS:
        raise ValueError(f"unknown fault {name!r}; known are: {', '.join(FAULTS)}")
    phases = FAULTS[name]
    if phase and phase not in phases:
        raise ValueError(f"fault {name!r} does not apply to {phase!r}, only to {', '.join(phases)}")
    left = float("inf") if count == "always" else int(count or 1)
    return _Armed(name, (phase,) if phase else phases, left, int(skip or 0))


def _error(call: Call, status: int) -> Reply:
    code, message = STATUSES[status]
    if call.phase == "download":
        return _storage_error(status, code, message)
    error = {"code": code, "message": message}
    return Reply.json({**error, "request_id": "fault"} if call.is_dashscope else {"error": error}, status)


def _storage_error(status: int, code: str, message: str) -> Reply:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>\n'
    return Reply(status=status, headers=[("content-type", "application/xml")], body=body.encode())


def _location(call: Call, *, is_away: bool) -> str:
    host, path = call.host, call.path
    if is_away:
        name, _, port = host.partition(":")
        name = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}.get(name, "elsewhere.test")
        host, path = (f"{name}:{port}" if port else name), f"/elsewhere{path}"
    query = "&".join(filter(None, [call.query, "moved=1"]))
    return f"{call.scheme}://{host}{path}?{query}"


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
        "bomb": {"body": png_bomb()},
        "xml_200": {"body": _storage_error(200, "NoSuchKey", "The specified key does not exist.").body},
        "empty_200": {"body": b""},
    }
    return replace(reply, **changes[name])


def png_bomb(side_px: int = 60_000) -> bytes:
    """Return a small PNG that says it has so many pixels a side."""
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


# ------------------------------------------------------------------ in process


class _FaultTransport(httpx.AsyncBaseTransport):
    """Hands requests to an application, and raises what httpx raises where a connection breaks."""

    def __init__(self, faults: Faults, app: Starlette) -> None:
        self._faults = faults
        self._inner = httpx.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async def serve(call: Call) -> Reply:
            url = request.url.copy_with(path=call.path)
            served = httpx.Request(request.method, url, headers=call.headers, content=await request.aread())
            response = await self._inner.handle_async_request(served)
            body = b"".join([part async for part in response.aiter_raw()])
            return Reply(status=response.status_code, headers=response.headers.multi_items(), body=body)

        call = Call(
            method=request.method,
            scheme=request.url.scheme,
            host=request.url.netloc.decode(),
            path=request.url.path,
            query=request.url.query.decode(),
            headers=dict(request.headers),
        )
        reply = await self._faults.respond(call, serve)
        if reply is None:
            return await self._inner.handle_async_request(request)
        stream = _FaultStream(reply, request, self._faults.pace_s)
        if not reply.has_head:
            await stream.end()
        return httpx.Response(reply.status, headers=reply.head(), stream=stream, request=request)


class _FaultStream(httpx.AsyncByteStream):
    """Sends what a reply sends, then ends as it ends."""

    def __init__(self, reply: Reply, request: httpx.Request, pace_s: float) -> None:
        self._reply = reply
        self._request = request
        self._pace_s = pace_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._reply.parts():
            await asyncio.sleep(self._pace_s if self._reply.pieces > 1 else 0)
            yield part
        await self.end()

    async def end(self) -> None:
        """Raise what httpx raises for the ending; a stall lasts for the request's read timeout."""
        ending, request = self._reply.ending, self._request
        if ending == "reset":
            raise httpx.ReadError("", request=request) from ConnectionResetError(errno.ECONNRESET, "reset by peer")
        if ending == "fin" and not self._reply.has_head:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        if ending == "fin":
            words = "peer closed connection without sending complete message body"
            raise httpx.RemoteProtocolError(words, request=request)
        if ending == "stall":
            timeout_s = request.extensions.get("timeout", {}).get("read")
            await (asyncio.Event().wait() if timeout_s is None else asyncio.sleep(timeout_s))
            raise httpx.ReadTimeout("", request=request)


def _protocol(connections: dict[Any, asyncio.Transport]) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol, which notes each connection under the address of its peer."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class FaultProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            connections[tuple(transport.get_extra_info("peername")[:2])] = transport
            super().connection_made(transport)

    return FaultProtocol
