"""Connections: proxies and certificates of the environment, which addresses may be reached, what a failure means.

A failure is a ``NotSentError`` only if it is certain that no byte of the request left; otherwise the request may have
arrived. Nothing here is chained to httpx's exceptions: they hold the request, and the request holds the key.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.request import getproxies, proxy_bypass

import httpx

from ..errors import ConnectionFailedError, ConnectionLostError, DownloadError, NotSentError
from ..text import one_line

CONNECTIONS_MAX: Final = 10
"""httpx's pool slows down with many connections and with callers that wait inside it: they wait in front."""

POOLED: Final = httpx.Limits(
    max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX, keepalive_expiry=30.0
)
"""30 s is below the idle limit of usual servers: a POST on a connection that they just close would be in doubt."""

_BAD_REQUEST: Final = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL)
# httpx raises a ProxyError only while a tunnel is being asked for.
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, *_BAD_REQUEST)


@dataclass(frozen=True)
class Timeouts:
    """Limits in seconds; every API call has an overall deadline, since a trickle of bytes trips no read timeout.

    A submit's deadline is ``submit_s`` and its body's time at ``upload_bytes_per_s``. A download has no deadline, but
    must have moved ``min_bytes_per_s`` on average after ``stall_window_s``.
    """

    connect_s: float = 10.0
    submit_s: float = 120.0
    status_s: float = 20.0
    upload_bytes_per_s: float = 125_000.0
    stall_window_s: float = 20.0
    min_bytes_per_s: float = 4096.0


@dataclass(frozen=True)
class Proxy:
    """The proxy that the environment sets for an address, and the variable that names it."""

    url: str = field(repr=False)  # it may hold a password
    variable: str

    def __str__(self) -> str:
        return f"{self.url.rpartition('@')[2].rpartition('//')[2]} ({self.variable})"


def proxy_for(url: httpx.URL) -> Proxy | None:
    """Return the proxy for an address; None if there is none, or ``NO_PROXY`` excepts the host."""
    proxies = getproxies()
    scheme = url.scheme if proxies.get(url.scheme) else "all"
    address = proxies.get(scheme, "")
    if not address or proxy_bypass(url.host):
        return None
    return Proxy(address if "://" in address else f"http://{address}", f"{scheme.upper()}_PROXY")


def new_transport(proxy: Proxy | None, limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
    """Return a transport with the certificates of the environment. Raises ``NotSentError`` if they cannot be used."""
    hint = ""
    try:
        context = httpx.create_ssl_context()
        return httpx.AsyncHTTPTransport(verify=context, limits=limits, proxy=proxy.url if proxy else None)
    except OSError as error:  # a broken certificate file raises ssl.SSLError, which is one
        variable = "SSL_CERT_FILE (it names the file of trusted certificates)"
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        message = f"The certificates cannot be loaded: {reason}."
    except (ImportError, ValueError, TypeError, httpx.InvalidURL) as error:  # its text may hold a password
        variable, message = proxy.variable if proxy else "ALL_PROXY", f"The proxy {proxy} cannot be used."
        hint = 'Run `pip install "httpx[socks]"`, or: ' if isinstance(error, ImportError) else ""
    hint = f"{hint}Correct or unset {variable}, then run this again."
    raise NotSentError(message, kind="setting", hint=hint)


def explain(
    error: Exception, host: str, proxy: Proxy | None, *, is_unsent: bool = False, is_sent: bool = False
) -> ConnectionFailedError:
    """Return our error for an exception of a connection; ``kind`` tells what happened.

    Kinds of ``NotSentError``: ``unreachable`` and ``proxy`` (may pass by themselves), ``setting``, ``tls``, ``url``
    (somebody must change something). Kinds of ``ConnectionLostError``: ``timeout``, ``lost``.
    """
    if isinstance(error, NotSentError):  # the connection could not be built
        return error
    is_never = isinstance(error, _NEVER_SENT) and not (is_sent and isinstance(error, httpx.InvalidURL))
    if not (is_never or is_unsent):  # an odd address in a reply is an error of httpx's, too
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            return ConnectionLostError(f"{host} did not answer in time.", kind="timeout")
        return ConnectionLostError(f"The connection to {host} broke before the answer was complete.", kind="lost")
    causes = [cause for cause in _causes(error) if isinstance(cause, OSError)]
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if tls is not None:
        reason = getattr(tls, "verify_message", "") or getattr(tls, "reason", "") or "no reason given"
        kind, message = "tls", f"No secure connection to {host}: {reason.rstrip('.')}."
        hint = (
            "Check this computer's clock; behind a proxy that reads traffic, name its certificate file in "
            "SSL_CERT_FILE (REQUESTS_CA_BUNDLE is not read). Verification is never switched off."
        )
    elif isinstance(error, _BAD_REQUEST):
        kind, message, hint = "url", f"The address {host} cannot be used.", "Check WAN_BASE_URL."
    elif proxy is not None:
        said = f" ({one_line(error, 60)})" if isinstance(error, httpx.ProxyError) else ""
        kind, message = "proxy", f"The proxy {proxy} made no connection to {host}{said}."
        hint = f"Check {proxy.variable}, or add {host} to NO_PROXY."
    else:
        why = next((cause.strerror for cause in reversed(causes) if cause.strerror), "no answer in time")
        kind, message = "unreachable", f"No connection to {host}: {why}."
        hint = "Check the network and the base URL: `%wan doctor`."
    return NotSentError(message, kind=kind, hint=hint)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk causes, contexts and groups; bounded, since they may form a ring."""
    waiting: list[BaseException | None] = [error]
    for _ in range(30):
        current = waiting.pop(0) if waiting else None
        if current is not None:
            yield current
            waiting += [current.__cause__, current.__context__, *getattr(current, "exceptions", ())]


# Addresses that a download may reach ----------------------------------------------------------------------------------
#
# A result's URL, a person's picture URL and every redirect come from outside and must not make this machine ask its own
# network. A name is resolved once, all its addresses are judged, and the connection goes to one that was judged, so
# that a second resolution cannot lead elsewhere.

Resolver = Callable[[str], Awaitable[list[str]]]

SEPARATE: Final = httpx.Limits(max_connections=10, max_keepalive_connections=0)
"""httpcore pools by address: a kept connection was verified for one host name and must not serve another."""

_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""IPv6-only networks reach IPv4 addresses by this prefix."""


async def resolve(host: str) -> list[str]:
    """Return the addresses of a host name. Raises ``OSError`` if it is not known."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def literal_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read a host that is an IP address; None for a name.

    The decimal, octal, hexadecimal and shortened IPv4 spellings that a system's resolver takes are read too; an IPv4
    address inside an IPv6 one is returned as such.
    """
    bare = host.strip("[]").partition("%")[0].rstrip(".")
    with suppress(OSError, ValueError):
        return ipaddress.IPv4Address(socket.inet_aton(bare))
    with suppress(ValueError):
        address = ipaddress.IPv6Address(bare)
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        return inner or address.ipv4_mapped or address.sixtofour or address
    return None


def is_loopback(host: str) -> bool:
    """Say whether a host means this machine."""
    name = host.rstrip(".").lower()
    address = literal_address(name)
    return address.is_loopback if address else name == "localhost" or name.endswith(".localhost")


def is_public(host: str) -> bool:
    """Say whether a host is an address on the public internet."""
    address = literal_address(host)
    return (
        address is not None
        and (address.version == 4 or address in _GLOBAL_UNICAST)
        and address.is_global
        and not address.is_multicast
    )


@dataclass(kw_only=True)
class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to public addresses, to the configured host, and to this machine if the configured host is this machine.

    Parameters
    ----------
    service_host
        Host of the configured service, whose results may lie beside it in a private network.
    inner
        What connects. Names are resolved by ``resolver`` if there is one.
    """

    inner: httpx.AsyncBaseTransport
    service_host: str
    resolver: Resolver | None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to an address of its host that may be reached.

        Raises
        ------
        DownloadError
            Kind ``private``: an address of the host may not be reached.
        """
        host, is_proxied = request.url.host, proxy_for(request.url) is not None
        is_name = literal_address(host) is None and not is_loopback(host)
        addresses = [] if is_name else [host]
        if is_name and self.resolver:
            try:
                addresses = await self.resolver(host)
            except (OSError, UnicodeError) as error:
                if not is_proxied:
                    raise httpx.ConnectError(f"{host} is not known") from error
        is_local = is_loopback(self.service_host)
        private = [found for found in addresses if not is_public(found) and not (is_local and is_loopback(found))]
        if private and host != self.service_host:
            message = f"{host} is on this computer or in a private network; pictures are not fetched from there."
            raise DownloadError(message, kind="private", hint="Save the picture as a file and give its path.")
        if is_proxied or not addresses:
            return await self.inner.handle_async_request(request)  # the proxy resolves the name itself
        for address in addresses[:4]:
            # Host header and certificate stay those of the name.
            more = {**request.extensions, "sni_hostname": host, "is_direct": True}
            url = request.url.copy_with(host=address)
            pinned = httpx.Request("GET", url, headers=request.headers, extensions=more)
            try:
                return await self.inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure

    async def aclose(self) -> None:
        """Close the connections."""
        await self.inner.aclose()
