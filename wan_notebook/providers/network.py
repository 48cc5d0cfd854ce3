"""Connections: proxies and certificates as the environment sets them, and what it means when one fails.

A failure is a ``NotSentError`` only if it is certain that no byte of the request left; otherwise the request may have
arrived. Nothing here is chained to httpx's exceptions: they hold the request, and the request holds the key.
"""

import logging
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import httpx

from ..errors import ConnectionFailedError, ConnectionLostError, NotSentError, SettingsError
from ..text import one_line

log = logging.getLogger(__name__)

CONNECTIONS_MAX: Final = 10
"""httpx's pool slows down with many connections and with callers that wait inside it: they wait in front."""

POOLED: Final = httpx.Limits(
    max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX, keepalive_expiry=30.0
)
"""30 s is below the idle limit of usual servers: a POST on a connection that they just close would be in doubt."""

_CAUSES_MAX: Final = 30
_NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ProxyError,  # raised only while a tunnel is being asked for
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)


@dataclass(frozen=True)
class Proxy:
    """The proxy that the environment sets for an address, and the variable that names it."""

    url: str = field(repr=False)  # it may hold a password
    variable: str

    @property
    def address(self) -> str:
        """Host and port, without user name and password."""
        try:
            url = httpx.URL(self.url)
            return f"{url.host}:{url.port}" if url.port else url.host
        except httpx.InvalidURL:
            return "an address that cannot be read"


def proxy_for(url: httpx.URL) -> Proxy | None:
    """Return the proxy for an address; None if there is none, or ``NO_PROXY`` excepts the host."""
    proxies = getproxies()
    scheme = url.scheme if proxies.get(url.scheme) else "all"
    address = proxies.get(scheme, "")
    if not address or proxy_bypass(url.host):
        return None
    return Proxy(address if "://" in address else f"http://{address}", f"{scheme.upper()}_PROXY")


class EnvironmentTransport(httpx.AsyncBaseTransport):
    """httpx's own transport, with the proxy and the certificates that the environment sets when it is needed.

    Changes of the environment count from the next request on. The request extension ``is_direct`` says that no proxy
    is to be used.
    """

    def __init__(self, limits: httpx.Limits) -> None:
        self._limits = limits
        self._transports: dict[tuple[str, str], httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises ``NotSentError`` if the certificates or the proxy cannot be used."""
        proxy = None if request.extensions.get("is_direct") else proxy_for(request.url)
        key = (proxy.url if proxy else "", os.environ.get("SSL_CERT_FILE", ""))
        if key not in self._transports:
            self._transports[key] = _new_transport(proxy, self._limits)
        return await self._transports[key].handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        for transport in self._transports.values():
            await transport.aclose()


def _new_transport(proxy: Proxy | None, limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
    failure: NotSentError
    try:
        tls = httpx.create_ssl_context()
    except (OSError, ValueError) as error:  # ssl.SSLError, a broken file, is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        hint = "Correct or unset SSL_CERT_FILE (it names the file of trusted certificates), then run this again."
        failure = NotSentError(f"The certificates cannot be loaded: {reason}.", kind="setting", hint=hint)
    else:
        try:
            return httpx.AsyncHTTPTransport(verify=tls, limits=limits, proxy=proxy.url if proxy else None)
        except (ImportError, ValueError, TypeError, httpx.InvalidURL) as error:  # its text may hold a password
            address, variable = (proxy.address, proxy.variable) if proxy else ("", "ALL_PROXY")
            hint = f"Correct or unset {variable}, then run this again."
            if isinstance(error, ImportError):
                hint = f"Run `pip install httpx[socks]`, or unset {variable}, then run this again."
            failure = NotSentError(f"The proxy in {variable} ({address}) cannot be used.", kind="setting", hint=hint)
    raise failure


@dataclass
class SendTrace:
    """Records from httpcore's trace events whether the request's first byte may have left.

    Transports that are not httpcore's report no events; then the class of the exception decides.
    """

    is_traced: bool = False
    is_sending: bool = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Take one event, such as ``http11.send_request_headers.started``."""
        self.is_traced = True
        if event.endswith("send_request_headers.started"):
            # A tunnel through a proxy begins with a CONNECT, which tells the service nothing.
            self.is_sending = self.is_sending or info["request"].method != b"CONNECT"

    @property
    def is_certainly_unsent(self) -> bool:
        """Whether the request was followed and had not begun to leave."""
        return self.is_traced and not self.is_sending


def explain(error: Exception, host: str, proxy: Proxy | None, trace: SendTrace) -> ConnectionFailedError:
    """Return our error for an exception of a connection; ``kind`` tells what happened.

    Kinds of ``NotSentError``: ``refused``, ``dns``, ``connect_timeout``, ``unreachable`` (may pass by
    itself), ``setting``, ``key``, ``proxy``, ``tls``, ``url``, ``protocol`` (somebody must change something). Kinds of
    ``ConnectionLostError``: ``timeout``, ``lost``.
    """
    log.debug("the connection to %s failed with %s", host, type(error).__name__)
    if isinstance(error, NotSentError):  # the connection could not be built
        return error
    if isinstance(error, SettingsError):
        return NotSentError(error.message, kind="key", hint=error.hint)
    if isinstance(error, _NEVER_SENT) or trace.is_certainly_unsent:
        return _not_sent(error, host, proxy)
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return ConnectionLostError(f"{host} did not answer in time.", kind="timeout")
    return ConnectionLostError(f"The connection to {host} broke before the answer was complete.", kind="lost")


def _not_sent(error: Exception, host: str, proxy: Proxy | None) -> NotSentError:
    causes = list(_causes(error))
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    is_refused = any(isinstance(cause, ConnectionRefusedError) for cause in causes)
    hint = "Check the network and the base URL: `%wan doctor`."
    if tls is not None:
        reason = getattr(tls, "verify_message", "") or getattr(tls, "reason", "") or "no reason given"
        hint = (
            "Check this computer's clock; behind a proxy that reads traffic, name its certificate file in "
            "SSL_CERT_FILE (REQUESTS_CA_BUNDLE is not read). Verification is never switched off."
        )
        kind, message = "tls", f"No secure connection to {host}: {reason.rstrip('.')}."
    elif isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        kind, message, hint = "url", f"The address {host} cannot be used.", "Check WAN_BASE_URL."
    elif isinstance(error, httpx.LocalProtocolError):
        kind, message = "protocol", f"The request to {host} is not valid HTTP and cannot be sent."
    elif proxy is not None:
        how = "refused the connection" if is_refused else f"made no connection to {host}"
        how += f" ({one_line(error, 60)})" if isinstance(error, httpx.ProxyError) else ""
        kind, message = "proxy", f"The proxy {proxy.address} ({proxy.variable}) {how}."
        hint = f"Check {proxy.variable}, or add {host} to NO_PROXY."
    elif any(isinstance(cause, socket.gaierror | UnicodeError) for cause in causes):
        kind, message = "dns", f"The host {host} is not known (DNS)."
    elif is_refused:
        kind, message = "refused", f"Nothing answers at {host} (connection refused)."
    elif any(isinstance(cause, TimeoutError | httpx.TimeoutException) for cause in causes):
        kind, message = "connect_timeout", f"{host} accepted no connection in time."
    else:
        kind, message = "unreachable", f"No connection to {host} could be made."
    return NotSentError(message, kind=kind, hint=hint)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk causes, contexts and groups; bounded, since they may form a ring."""
    waiting: list[BaseException] = [error]
    for _ in range(_CAUSES_MAX):
        if not waiting:
            return
        current = waiting.pop(0)
        yield current
        waiting += [cause for cause in (current.__cause__, current.__context__) if cause is not None]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
