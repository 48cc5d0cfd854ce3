"""The live TCP connections of a port, so that a fault can cut the one it is asked to cut."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

_LINGER_OFF = struct.pack("ii", 1, 0)


class Transports:
    """Know the transports of a port by the peer's address; in process there are none."""

    def __init__(self) -> None:
        self.accepted = 0
        self._live: dict[tuple[str, int], asyncio.Transport] = {}

    def add(self, transport: asyncio.Transport) -> None:
        """Note a new connection."""
        self.accepted += 1
        self._live[_peer(transport)] = transport

    def remove(self, transport: asyncio.Transport) -> None:
        """Forget a connection."""
        self._live.pop(_peer(transport), None)

    def of(self, scope: Any) -> asyncio.Transport | None:
        """Find the connection of an ASGI request."""
        client = scope.get("client")
        return self._live.get((client[0], client[1])) if client else None

    def reset_all(self) -> None:
        """Cut every connection, so that a server with stalled answers can stop at once."""
        for transport in list(self._live.values()):
            transport.abort()


def reset(transport: asyncio.Transport) -> None:
    """End a connection with RST."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
    transport.abort()


def _peer(transport: asyncio.Transport) -> tuple[str, int]:
    address = transport.get_extra_info("peername") or ("", 0)
    return str(address[0]), int(address[1])
