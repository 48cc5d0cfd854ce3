"""What went wrong on the line, told from httpx's exceptions: certainly not sent, or possibly arrived.

Nothing here is chained to httpx's exceptions: they hold the request, and the request holds the key.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Final

import httpx

from wan_notebook.errors import ConnectionFailedError, ConnectionLostError, NotSentError

log = logging.getLogger(__name__)
_CAUSES_MAX: Final = 30
_HOW_IT_BROKE: Final[Mapping[type[Exception], str]] = {  # for people: the names of Python's classes tell them nothing
    httpx.RemoteProtocolError: "the other side hung up, or what it sent is no HTTP",
    httpx.ReadError: "reading failed",
    httpx.WriteError: "sending failed",
    httpx.CloseError: "closing failed",
    httpx.DecodingError: "what came cannot be unpacked",
}
_WAITED_FOR: Final[Mapping[type[Exception], str]] = {
    httpx.ReadTimeout: "nothing came",
    httpx.WriteTimeout: "it took nothing",
}


def explain(error: Exception, host: str) -> ConnectionFailedError:
    """Return our error for one of httpx's.

    Before a connection stands nothing can have been sent: refused, unknown host, TLS, proxy, no free connection, an
    address or header that cannot be sent at all. Everything else may have arrived.
    """
    log.debug("the line to %s failed with %s", host, type(error).__name__)
    match error:
        case httpx.ConnectError():
            return _explain_connect(error, host)
        case httpx.ConnectTimeout():
            return _not_sent(f"{host} accepted no connection in time.", "connect_timeout")
        case httpx.PoolTimeout():
            return _not_sent("No connection became free in time.", "pool")
        case httpx.ProxyError():  # raised only while a tunnel is being asked for
            hint = "Check HTTPS_PROXY, ALL_PROXY and NO_PROXY."
            return NotSentError(f"The proxy let no connection to {host} through.", kind="proxy", hint=hint)
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            hint = "Check WAN_BASE_URL."
            return NotSentError(f"The address {host} cannot be used.", kind="url", hint=hint)
        case httpx.LocalProtocolError():
            return NotSentError(f"The request to {host} is no HTTP, so it cannot be sent.", kind="protocol")
        case httpx.TimeoutException():
            return timed_out(host, _words_of(error, _WAITED_FOR))
    how = _words_of(error, _HOW_IT_BROKE)
    how = f": {how}" if how else ""
    return ConnectionLostError(f"The connection to {host} broke before the answer was complete{how}.", kind="lost")


def _words_of(error: Exception, words: Mapping[type[Exception], str]) -> str:
    return next((text for kind, text in words.items() if isinstance(error, kind)), "")


def timed_out(host: str, what: str) -> ConnectionLostError:
    """Return the error for an answer that did not come in time."""
    what = f": {what}" if what else ""
    return ConnectionLostError(f"{host} did not answer in time{what}.", kind="timeout")


def _not_sent(message: str, kind: str) -> NotSentError:
    return NotSentError(message, kind=kind, hint="Check the network and the base URL: `%wan doctor`.")


def _explain_connect(error: httpx.ConnectError, host: str) -> NotSentError:
    causes = list(_causes(error))
    for cause in causes:
        match cause:
            case ssl.SSLCertVerificationError():
                return _tls(host, f"its certificate is not accepted ({cause.verify_message})")
            case ssl.SSLError():
                return _tls(host, f"TLS failed ({getattr(cause, 'reason', None) or 'no reason given'})")
            case socket.gaierror():
                return _not_sent(f"The host {host} is not known (DNS).", "dns")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return _not_sent(f"Nothing answers at {host} (connection refused).", "refused")
    return _not_sent(f"No connection to {host} could be made.", "unreachable")


def _tls(host: str, reason: str) -> NotSentError:
    hint = (
        "Check this computer's clock; behind a proxy that reads traffic, name its CA file in SSL_CERT_FILE. "
        "Verification is never switched off."
    )
    return NotSentError(f"No secure connection to {host}: {reason}.", kind="tls", hint=hint)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk causes, contexts and groups; bounded, since they may form a ring."""
    waiting: list[BaseException] = [error]
    for _ in range(_CAUSES_MAX):
        if not waiting:
            return
        current = waiting.pop(0)
        yield current
        waiting += [e for e in (current.__cause__, current.__context__) if e is not None]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
