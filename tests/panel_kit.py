"""A panel over the simulator in this process, without a browser: what a page would send is sent by the test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.engine.conftest import House
from wan_notebook.panel import Panel
from wan_notebook.session import Session


class Sent:
    """What a widget sent to the page, in place of a page."""

    def __init__(self, widget: Any) -> None:
        self.messages: list[tuple[dict[str, Any], list[bytes]]] = []
        widget.send = lambda content, buffers=None: self.messages.append((content, list(buffers or ())))

    def of(self, kind: str) -> list[tuple[dict[str, Any], list[bytes]]]:
        """Return the messages of one kind."""
        return [pair for pair in self.messages if pair[0]["kind"] == kind]

    def wait(self, kind: str, count: int = 1) -> tuple[dict[str, Any], list[bytes]]:
        """Wait for the count-th message of a kind."""
        until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


def until(is_so: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait until something is so; other threads make it so."""
    end, pause = time.monotonic() + timeout_s, threading.Event()
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError("it did not come")
        pause.wait(0.005)


class Desk:
    """One panel with the variables of a notebook."""

    def __init__(self, house: House, variables: dict[str, Any] | None = None, **env: str) -> None:
        self.house = house
        self.session: Session = house.kernel(**env)
        self.variables = variables if variables is not None else {}
        self.panel = Panel(self.session, variables=self.variables, base=house.folder.parent)
        self.clicks = 0

    def fill(self, **values: Any) -> None:
        """Type into stock fields, and choose pictures and a size."""
        if "images" in values:
            self.panel._sources.widget.chosen = list(values.pop("images"))
        if "size" in values:
            self.panel._fields.size.value = values.pop("size")
        for name, value in values.items():
            self.panel._fields.stock[name].value = value

    def check(self) -> Any:
        """Read the form at once, as the follower would in a moment; return the button."""
        self.panel._check()
        return self.panel._run

    def problems(self, field: str) -> list[str]:
        """Return what stands beside a field."""
        if field == "images":
            return list(self.panel._sources.widget.problems)
        if field == "size":
            return list(self.panel._fields.size.problems)
        return list(self.panel._fields.notes[field].problems)

    def click(self, *, shown: str | None = None, texts: dict[str, str] | None = None, again: bool = False) -> None:
        """Press the button as a page does, and wait for the answer."""
        self.clicks += 0 if again else 1
        label = self.panel._run.label if shown is None else shown
        message = {"kind": "generate", "click": self.clicks, "shown": label, "texts": texts or {}}
        self.panel._run._receive(None, message, [])
        if not again:
            until(lambda: self.panel._run.answered >= self.clicks)

    def generate(self, **values: Any) -> Any:
        """Fill in, press, wait until every job is settled, and return the newest job."""
        self.fill(**values)
        self.check()
        self.click()
        assert self.panel._run.lines == []
        job = self.session.last[-1][1]
        assert job.wait(30)
        return job

    @property
    def tasks(self) -> int:
        """How many tasks the service was given."""
        return int(self.house.service.tasks_created)

    def close(self) -> None:
        """Take the panel away."""
        self.panel.close()


def photo(folder: Path, name: str = "photo.png", colour: str = "teal", side: int = 300) -> Path:
    """Write a picture that may be an input."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    Image.new("RGB", (side, side), colour).save(path)
    return path
