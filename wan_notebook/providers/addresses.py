"""Which addresses a download may reach, checked on the very address that is connected to.

A result's URL, a person's picture URL and every redirect come from outside and must not make this machine ask its own
network. A name is resolved once, all its addresses are judged, and the connection goes to one that was judged, so that
a second resolution cannot lead elsewhere.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import httpx

from ..errors import DownloadError
from .network import proxy_for

Resolver = Callable[[str], Awaitable[list[str]]]

ADDRESSES_TRIED_MAX: Final = 4
SEPARATE: Final = httpx.Limits(max_connections=10, max_keepalive_connections=0)
"""httpcore pools by address: a kept connection was verified for one host name and must not serve another."""

_GLOBAL_UNICAST: Final = ipaddress.ip_network("2000::/3")
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""IPv6-only networks reach IPv4 addresses by this prefix."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


async def resolve(host: str) -> list[str]:
    """Return the addresses of a host name. Raises ``OSError`` if it is not known."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def literal_address(host: str) -> _Address | None:
    """Read a host that is an IP address; None for a name.

    The decimal, octal, hexadecimal and shortened IPv4 spellings that a system's resolver takes are read too; an IPv4
    address inside an IPv6 one is returned as such.
    """
    bare = host.strip("[]").partition("%")[0].rstrip(".")
    address: _Address
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(bare))
        except (OSError, ValueError):
            return None
    if address.version == 4:
        return address
    inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
    return inner or address.ipv4_mapped or address.sixtofour or address


def is_loopback(host: str) -> bool:
    """Say whether a host means this machine."""
    name = host.rstrip(".").lower()
    address = literal_address(name)
    return address.is_loopback if address else name == "localhost" or name.endswith(".localhost")


def is_public(address: _Address) -> bool:
    """Say whether an address is on the public internet."""
    is_unicast = address.version == 4 or address in _GLOBAL_UNICAST
    return is_unicast and address.is_global and not address.is_multicast


@dataclass(kw_only=True)
class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to public addresses, to the configured host, and to this machine if the configured host is this machine.

    Parameters
    ----------
    service_host
        Host of the configured service, whose results may lie beside it in a private network.
    allows_loopback
        Whether this machine may be reached.
    inner
        What connects. Names are resolved by ``resolver`` if there is one.
    """

    inner: httpx.AsyncBaseTransport
    service_host: str
    allows_loopback: bool
    resolver: Resolver | None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to an address of its host that may be reached.

        Raises
        ------
        DownloadError
            Kind ``private``: an address of the host may not be reached.
        """
        is_proxied = proxy_for(request.url) is not None
        addresses = await self._judged_addresses(request.url.host, is_proxied=is_proxied)
        failure: Exception | None = None
        for address in addresses[:ADDRESSES_TRIED_MAX]:
            try:
                return await self.inner.handle_async_request(_pinned(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        if failure is not None:
            raise failure
        return await self.inner.handle_async_request(request)  # the proxy resolves the name itself

    async def aclose(self) -> None:
        """Close the connections."""
        await self.inner.aclose()

    async def _judged_addresses(self, host: str, *, is_proxied: bool) -> list[str]:
        """Return the addresses to connect to, none where the name is not resolved here."""
        addresses = [host]
        if literal_address(host) is None and not is_loopback(host):
            try:
                addresses = await self.resolver(host) if self.resolver else []
            except (OSError, UnicodeError) as error:
                if not is_proxied:
                    raise httpx.ConnectError(f"{host} is not known") from error
                addresses = []
        for address in addresses:
            found = literal_address(address)
            is_own = host == self.service_host or (self.allows_loopback and is_loopback(address))
            if not is_own and (found is None or not is_public(found)):
                message = f"{host} is on this computer or in a private network; pictures are not fetched from there."
                raise DownloadError(message, kind="private", hint="Save the picture as a file and give its path.")
        return [] if is_proxied else addresses


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    """Return the same request for one address; Host header and certificate stay those of the name."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host, "is_direct": True},
    )
