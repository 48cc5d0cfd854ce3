"""What went wrong on the line, told from httpx's exceptions: certainly not sent, or possibly arrived.

Nothing here is chained to httpx's exceptions: they hold the request, and the request holds the key.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Final

import httpx

from wan_notebook.errors import ConnectionFailedError, ConnectionLostError, NotSentError

_CAUSES_MAX: Final = 30


def explain(error: Exception, host: str) -> ConnectionFailedError:
    """Return our error for one of httpx's.

    Before a connection stands nothing can have been sent: refused, unknown host, TLS, proxy, no free connection, an
    address or header that cannot be sent at all. Everything else may have arrived.
    """
    name = type(error).__name__
    match error:
        case httpx.ConnectError():
            return _explain_connect(error, host)
        case httpx.ConnectTimeout():
            return _not_sent(f"{host} accepted no connection in time.", "connect_timeout")
        case httpx.PoolTimeout():
            return _not_sent("No connection became free in time.", "pool")
        case httpx.ProxyError():  # raised only while a tunnel is being asked for
            remedy = "Check HTTPS_PROXY, ALL_PROXY and NO_PROXY."
            return NotSentError(f"The proxy let no connection to {host} through.", kind="proxy", remedy=remedy)
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            remedy = "Check WAN_BASE_URL."
            return NotSentError(f"The address of {host} cannot be used ({name}).", kind="url", remedy=remedy)
        case httpx.LocalProtocolError():
            return NotSentError(f"The request to {host} cannot be sent ({name}).", kind="protocol")
        case httpx.TimeoutException():
            return timed_out(host, name)
    return ConnectionLostError(f"The connection to {host} broke before the answer was complete ({name}).", kind="lost")


def timed_out(host: str, what: str) -> ConnectionLostError:
    """Return the error for an answer that did not come in time."""
    return ConnectionLostError(f"{host} did not answer in time ({what}).", kind="timeout")


def _not_sent(message: str, kind: str) -> NotSentError:
    return NotSentError(message, kind=kind, remedy="Check the network and the base URL: `%wan doctor`.")


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
    remedy = (
        "Check this computer's clock; behind a proxy that reads traffic, name its CA file in SSL_CERT_FILE. "
        "Verification is never switched off."
    )
    return NotSentError(f"No secure connection to {host}: {reason}.", kind="tls", remedy=remedy)


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
