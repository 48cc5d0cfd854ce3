"""A panel as its page and its notebook meet it."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.kit import House, until
from wan_notebook.panel import Panel
from wan_notebook.session import Session


class Shell:
    """A notebook: its variables, and the event after each cell."""

    def __init__(self, **variables: Any) -> None:
        self.user_ns = variables
        self.events = self
        self._callbacks: list[Callable[..., object]] = []

    def register(self, _event: str, callback: Callable[..., object]) -> None:
        self._callbacks.append(callback)

    def unregister(self, _event: str, callback: Callable[..., object]) -> None:
        self._callbacks.remove(callback)

    def run_cell(self, **variables: Any) -> None:
        """Assign variables, as a cell does."""
        self.user_ns.update(variables)
        for callback in list(self._callbacks):
            callback(None)


class Page:
    """A panel, what its page sends, and what the kernel answers."""

    def __init__(self, session: Session, shell: Shell | None = None, **fields: Any) -> None:
        self.shell = shell or Shell()
        self.panel = Panel(session, self.shell, **fields)
        self.session = session
        self.answers: list[tuple[dict[str, Any], list[bytes]]] = []
        self.panel.send = lambda content, buffers=(): self.answers.append((content, list(buffers)))

    def send(self, to: Any, kind: Any, *buffers: bytes, **data: Any) -> None:
        """Send a message, as the page does."""
        self._arrive({"method": "custom", "content": {"to": to, "kind": kind, **data}}, buffers)

    def type(self, **fields: Any) -> None:
        """Type into fields: the page sends all of them."""
        self._arrive({"method": "update", "state": {"values": {**self.panel.values, **fields}}, "buffer_paths": []})

    def _arrive(self, data: dict[str, Any], buffers: Any = ()) -> None:
        self.panel.comm.handle_msg({"content": {"data": data}, "buffers": list(buffers)})

    def click(self, number: int, *, terms: list[object] | None = None, **fields: Any) -> None:
        """Press the button, and wait for the kernel's answer."""
        terms = self.panel.check["terms"] if terms is None else terms
        self.send("form", "generate", click=number, terms=terms, values={**self.panel.values, **fields})
        until(lambda: self.panel.answered >= number)

    def wait(self, condition: Callable[[Panel], object]) -> Panel:
        """Wait until something holds of the panel."""
        until(lambda: condition(self.panel))
        return self.panel

    def ask(self, to: str, kind: str, answer: str, **data: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Send a message, and wait for its answer."""
        self.send(to, kind, **data)
        return self.answer(answer)

    def answer(self, kind: str) -> tuple[dict[str, Any], list[bytes]]:
        """Wait for a message of the kernel, and take it."""
        until(lambda: any(one[0]["kind"] == kind for one in self.answers))
        return self.answers.pop([one[0]["kind"] for one in self.answers].index(kind))

    @property
    def images(self) -> list[str]:
        """The keys of the gallery's pictures, newest first."""
        return [item["id"] for item in self.panel.gallery.get("items", ())]


@pytest.fixture
def open_panel(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Page]]:
    """Open panels, by default in a new kernel without a key; they update at once."""
    monkeypatch.setattr(sys.modules["wan_notebook.panel.feeds"], "UPDATE_EVERY_S", 0.003)
    opened: list[Page] = []

    def start(session: Session | None = None, shell: Shell | None = None, **fields: Any) -> Page:
        page = Page(session or house.kernel(), shell, **fields)
        opened.append(page)
        return page

    yield start
    for page in opened:
        page.panel.close()
