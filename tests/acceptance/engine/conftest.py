"""A house for tests: a session over the simulator in this process, with its own folder."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from wan_notebook.folders import config_dir
from wan_notebook.keys import KeyStore
from wan_notebook.runtime import Runtime
from wan_notebook.session import Session
from wan_notebook.session.providers import Providers
from wan_notebook.settings import Sources
from wan_notebook.simulator import SimulatorConfig, create_app


def small_png() -> bytes:
    """Return a picture that costs nothing to make; its size differs from what is asked, which is only a note."""
    buffer = io.BytesIO()
    Image.new("RGB", (640, 640), "teal").save(buffer, "PNG")
    return buffer.getvalue()


class House:
    """Sessions (kernels) that share one folder and one service."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "store" / "wan-pictures"
        self.config = {"seconds": 0.0, "price": Decimal("0.03"), "queries_per_s": 0.0, "fixed_picture": small_png()}
        self.env: dict[str, str] = {"WAN_HOME": str(self.folder)}
        self.sessions: list[Session] = []
        self._app: Any = None

    @property
    def app(self) -> Any:
        """The one service."""
        if self._app is None:
            self._app = create_app(SimulatorConfig(**self.config))
        return self._app

    @property
    def service(self) -> Any:
        """What the service counted."""
        return self.app.state.simulator

    def kernel(self, **env: str) -> Session:
        """Start a kernel; each has its own memory of what it met."""
        sources = Sources(
            env={**self.env, **env},
            cwd=self.folder.parent,
            config_path=config_dir() / "config.json",
            keys=KeyStore(use_keyring=False),
        )
        session = Session(
            sources,
            runtime=Runtime("test"),
            providers=Providers(simulator=lambda: self.app),
            rng=random.Random(len(self.sessions)),  # noqa: S311 - seeds of pictures, no secrets
        )
        self.sessions.append(session)
        return session

    def close(self) -> None:
        """End every kernel."""
        for session in self.sessions:
            session.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A folder and a service, with as many kernels as a test wants."""
    made = House(tmp_path)
    made.folder.parent.mkdir(parents=True)
    yield made
    made.close()


@pytest.fixture
def ask(house: House) -> Callable[..., Any]:
    """Order something in a kernel, through the public function."""
    from wan_notebook.api import generate

    def order(session: Session, prompt: str = "a fox in snow", **options: Any) -> Any:
        return generate(prompt, session=session, **options)

    return order
