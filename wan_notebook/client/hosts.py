"""Which addresses a download may reach.

A result's URL and every redirect come from outside, so they must not make this machine ask its own network: literal
addresses are judged as they stand, ``localhost`` by name, other names by what they resolve to. A name may resolve
differently a moment later; this keeps out mistakes and plain attempts, not an owner of a DNS zone with a stopwatch.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable

Resolver = Callable[[str], Awaitable[list[str]]]


async def resolve(host: str) -> list[str]:
    """Return a name's addresses, none if it is unknown here (behind a proxy that is normal)."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(item[4][0]) for item in found]


class Hosts:
    """Judges hosts, each name once; those in ``private`` are given.

    Without a resolver only literal addresses and ``localhost`` are told.
    """

    def __init__(self, resolver: Resolver | None, *, private: Iterable[str] = ()) -> None:
        self._resolver = resolver
        self._known = dict.fromkeys(private, True)

    async def is_private(self, host: str) -> bool:
        """Tell whether a host is this machine, its local network, or otherwise not on the public internet."""
        name = host.rstrip(".").lower()
        if name in self._known:
            return self._known[name]
        if name == "localhost" or name.endswith(".localhost"):
            return True
        if (literal := _is_private_address(name)) is not None:
            return literal
        addresses = await self._resolver(name) if self._resolver else []
        found = any(_is_private_address(address) for address in addresses)
        if addresses:  # a name that is unknown now may be known later
            self._known[name] = found
        return found


def _is_private_address(text: str) -> bool | None:
    """Judge a literal address; None if the text is none."""
    try:
        address = ipaddress.ip_address(text.strip("[]").split("%")[0])
    except ValueError:
        return None
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    judged = inner or address
    return not judged.is_global or judged.is_multicast
