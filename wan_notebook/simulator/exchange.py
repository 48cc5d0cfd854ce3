"""One request that a fault strikes: serve it, keep the answer, send parts of it, break the connection."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .core import Simulator
from .transports import reset


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold a complete answer of the application."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    whole_picture: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """Hold one request that a fault strikes, and the ways to answer it."""

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    simulator: Simulator
    phase: str

    async def read(self) -> None:
        """Read the request to its end, so that refusing it does not break the connection."""
        while (await self.receive()).get("more_body"):
            pass

    async def reply(self, response: Response) -> None:
        """Answer something of our own instead of serving the request."""
        await self.read()
        await response(self.scope, self.receive, self.send)

    async def serve(self) -> Answer:
        """Let the application do its work, and keep the answer."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(self.scope, self.receive, keep)
        body = b"".join(message.get("body", b"") for message in messages[1:])
        whole = bool(self.scope.get("wan.whole_picture"))
        return Answer(messages[0]["status"], list(messages[0]["headers"]), body, whole)

    async def start(self, answer: Answer, length: int | None) -> None:
        """Send status and headers, promising `length` bytes."""
        headers = [(name, value) for name, value in answer.headers if name.lower() != b"content-length"]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        await self.send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def part(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body."""
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def relay(self, answer: Answer, body: bytes | None = None) -> None:
        """Send a whole answer, with another body if one is given."""
        body = answer.body if body is None else body
        await self.start(answer, len(body))
        await self.part(body, more=False)

    async def hang_up(self, *, hard: bool) -> None:
        """End the connection with RST or FIN; in process, raise what a broken connection raises."""
        transport = self.simulator.transports.of(self.scope)
        if transport is None:
            raise ConnectionResetError("the simulator broke this connection")
        if hard:
            reset(transport)
        else:
            transport.close()
        await self.disconnected()

    async def disconnected(self) -> None:
        """Wait until the peer, or the fault, has ended the connection."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
