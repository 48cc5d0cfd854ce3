"""Carry out the faults: break connections, answer nonsense, spoil pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from .core import Simulator
from .errors import ACCESS_DENIED, INTERNAL, INVALID_KEY, INVALID_PARAMETER, NOT_FOUND, RATE_LIMITED, ApiError
from .exchange import Answer, Exchange
from .faults import Armed
from .replies import dialect_of, error_document, error_reply, json_reply, storage_error
from .results import serve_result
from .rewrites import FORCED, ONLY_ON_SUCCESS, rewrite_poll, spoil_picture

AWAY_PATH = "/elsewhere/"
EARLY_BYTES = 8
TRICKLE_PIECES = 64
ENDLESS_BYTES = 96 * 2**20
RESET_DELAY_S = 0.02  # lets the first half leave the machine before the reset overtakes it

_HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr><center>nginx</center></body></html>"
_STATUSES = {
    400: (INVALID_PARAMETER, "The request is invalid."),
    401: (INVALID_KEY, "Invalid API-key provided."),
    403: (ACCESS_DENIED, "Access denied."),
    404: (NOT_FOUND, "Not found."),
    429: (RATE_LIMITED, "Requests rate limit exceeded, please try again later."),
    500: (INTERNAL, "An internal error has occurred, please try again later or contact service support."),
    503: ("ServiceUnavailable", "The service is unavailable, please try again later."),
}


async def strike(armed: Armed, exchange: Exchange) -> None:
    """Carry out an armed fault on one request."""
    name = armed.fault.name
    status, _, detail = name.partition("_")
    if status.isdecimal():
        await _status(exchange, int(status), detail)
    elif name in _ACTIONS:
        await _ACTIONS[name](exchange)
    elif exchange.phase == "download":
        answer = await exchange.serve()
        await exchange.relay(answer, spoil_picture(name, answer.body))
    elif name in ONLY_ON_SUCCESS or name in FORCED or exchange.phase == "poll":
        await _rewrite(armed, exchange)
    else:
        raise NotImplementedError(name)


async def _status(exchange: Exchange, status: int, detail: str) -> None:
    """Answer an HTTP error; `detail` says whether the work was done and what the answer carries."""
    if detail.endswith("after") and "retry" not in detail:
        await exchange.serve()
        response = _error(exchange, status, html="html" in detail)
        await response(exchange.scope, exchange.receive, exchange.send)
        return
    response = _error(exchange, status, html="html" in detail)
    delay_s = exchange.simulator.config.retry_after_s
    if detail == "retry_after":
        response.headers["retry-after"] = str(delay_s)
    elif detail == "retry_after_date":
        response.headers["retry-after"] = formatdate(exchange.simulator.now() + delay_s, usegmt=True)
    await exchange.reply(response)


def _error(exchange: Exchange, status: int, *, html: bool) -> Response:
    if html:
        return HTMLResponse(_HTML.format(f"{status} Bad Gateway" if status == 502 else f"{status} Error"), status)
    code, message = _STATUSES[status]
    if exchange.phase == "download":
        return storage_error(status, code, message)
    return error_reply(dialect_of(exchange.scope["path"]), ApiError(status, code, message))


async def _reset_before(exchange: Exchange) -> None:
    await exchange.hang_up(hard=True)


async def _reset_after(exchange: Exchange) -> None:
    await exchange.serve()
    await exchange.hang_up(hard=True)


async def _fin_after(exchange: Exchange) -> None:
    await exchange.serve()
    await exchange.hang_up(hard=False)


async def _stall_before(exchange: Exchange) -> None:
    await exchange.disconnected()


async def _stall_after(exchange: Exchange) -> None:
    await exchange.serve()
    await exchange.disconnected()


async def _stall_mid_body(exchange: Exchange) -> None:
    answer = await exchange.serve()
    await exchange.start(answer, len(answer.body))
    await exchange.part(answer.body[: len(answer.body) // 2], more=True)
    await exchange.disconnected()


async def _reset_mid_body(exchange: Exchange) -> None:
    answer = await exchange.serve()
    await exchange.start(answer, len(answer.body))
    await exchange.part(answer.body[: len(answer.body) // 2], more=True)
    await asyncio.sleep(RESET_DELAY_S)
    await exchange.hang_up(hard=True)


async def _cut_body(exchange: Exchange) -> None:
    answer = await exchange.serve()
    await _cut(exchange, answer, max(len(answer.body) - EARLY_BYTES, 0))


async def _cut_early(exchange: Exchange) -> None:
    await _cut(exchange, await exchange.serve(), EARLY_BYTES)


async def _cut(exchange: Exchange, answer: Answer, sent_n: int) -> None:
    await exchange.start(answer, len(answer.body))
    if exchange.simulator.transports.of(exchange.scope) is None:
        # In process nobody checks the length: the client gets the short body, as from a careless proxy.
        await exchange.part(answer.body[:sent_n], more=False)
        return
    await exchange.part(answer.body[:sent_n], more=True)
    await exchange.hang_up(hard=False)


async def _trickle(exchange: Exchange) -> None:
    answer = await exchange.serve()
    await exchange.start(answer, len(answer.body))
    step = max(1, -(-len(answer.body) // TRICKLE_PIECES))
    for first in range(0, len(answer.body), step):
        await asyncio.sleep(exchange.simulator.config.fault_pace_s)
        await exchange.part(answer.body[first : first + step], more=True)
    await exchange.part(b"", more=False)
    if answer.whole_picture:
        exchange.simulator.images_served += 1


async def _redirect(exchange: Exchange) -> None:
    await exchange.reply(RedirectResponse(_location(exchange, away=False), 302))


async def _redirect_away(exchange: Exchange) -> None:
    await exchange.reply(RedirectResponse(_location(exchange, away=True), 302))


def _location(exchange: Exchange, *, away: bool) -> str:
    request = Request(exchange.scope)
    host, path = request.headers.get("host", "simulator"), request.url.path
    if away:
        name, _, port = host.partition(":")
        name = "localhost" if name == "127.0.0.1" else "127.0.0.1"
        host, path = (f"{name}:{port}" if port else name), AWAY_PATH.rstrip("/") + path
    query = "&".join(filter(None, [request.url.query, "moved=1"]))
    return f"{request.url.scheme}://{host}{path}?{query}"


async def _html_200(exchange: Exchange) -> None:
    await exchange.reply(HTMLResponse(_HTML.format("Welcome to the hotel's network: please sign in")))


async def _truncated_json(exchange: Exchange) -> None:
    answer = await exchange.serve()
    await exchange.relay(answer, answer.body[:-EARLY_BYTES])


async def _truncated_json_early(exchange: Exchange) -> None:
    answer = await exchange.serve()
    await exchange.relay(answer, answer.body[:EARLY_BYTES])


async def _no_task_id(exchange: Exchange) -> None:
    await exchange.relay(await exchange.serve(), b'{"message":"ok"}')


async def _error_200(exchange: Exchange) -> None:
    code, message = _STATUSES[500]
    await exchange.reply(json_reply(error_document(dialect_of(exchange.scope["path"]), code, message)))


async def _endless(exchange: Exchange) -> None:
    answer = await exchange.serve()
    await exchange.start(answer, None)
    await exchange.part(answer.body, more=True)
    filler = bytes(65536)
    for _ in range(ENDLESS_BYTES // len(filler)):
        await exchange.part(filler, more=True)
        await asyncio.sleep(0)
    await exchange.part(b"", more=False)


async def _no_range(exchange: Exchange) -> None:
    headers = [(name, value) for name, value in exchange.scope["headers"] if name.lower() != b"range"]
    exchange.scope["headers"] = headers
    answer = await exchange.serve()
    await exchange.relay(answer)
    exchange.simulator.images_served += answer.whole_picture


async def _expired_url(exchange: Exchange) -> None:
    exchange.simulator.signer.void(exchange.scope["path"].split("/")[2])
    await exchange.reply(storage_error(403, "AccessDenied", "Request has expired."))


async def _rewrite(armed: Armed, exchange: Exchange) -> None:
    """Change what a poll says; a fault of successes waits for one."""
    name = armed.fault.name
    task_id = exchange.scope["path"].rsplit("/", 1)[-1]
    if name in FORCED:
        exchange.simulator.forced[task_id] = FORCED[name]
    answer = await exchange.serve()
    body = rewrite_poll(name, dialect_of(exchange.scope["path"]), task_id, answer.body)
    if body is None:
        exchange.simulator.faults.put_back(armed, exchange.phase)
    if name == "unknown" and dialect_of(exchange.scope["path"]) == "gateway":
        answer = Answer(404, answer.headers, answer.body, whole_picture=False)
    await exchange.relay(answer, body)


_ACTIONS: dict[str, Callable[[Exchange], Awaitable[Any]]] = {
    "reset_before": _reset_before,
    "reset_after": _reset_after,
    "fin_after": _fin_after,
    "stall_before": _stall_before,
    "stall_after": _stall_after,
    "stall_mid_body": _stall_mid_body,
    "reset_mid_body": _reset_mid_body,
    "cut_body": _cut_body,
    "cut_early": _cut_early,
    "trickle": _trickle,
    "redirect": _redirect,
    "redirect_away": _redirect_away,
    "html_200": _html_200,
    "truncated_json": _truncated_json,
    "truncated_json_early": _truncated_json_early,
    "no_task_id": _no_task_id,
    "error_200": _error_200,
    "endless": _endless,
    "no_range": _no_range,
    "expired_url": _expired_url,
}


async def serve_away(request: Request) -> Response:
    """Stand in for another host: note a key that was sent there; serve result files, and HTML for the rest."""
    simulator: Simulator = request.app.state.simulator
    if request.url.path.startswith(AWAY_PATH + "results/"):
        _, _, _, task_id, name = request.url.path.split("/")
        request.path_params.update(task_id=task_id, index=int(name.removesuffix(".png")))
        return await serve_result(request)
    if "authorization" in request.headers:
        simulator.keys_leaked.append(request.url.path)
    return HTMLResponse(_HTML.format("another host"))
