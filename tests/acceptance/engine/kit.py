"""A kernel over the simulator in which hours pass in a moment: for faults, crashes and clocks."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.engine.conftest import small_png
from wan_notebook.api import generate
from wan_notebook.client import Client
from wan_notebook.client.timeouts import Timeouts
from wan_notebook.folders import config_dir
from wan_notebook.jobs import Job
from wan_notebook.keys import KeyStore
from wan_notebook.runtime import Runtime
from wan_notebook.session import Session
from wan_notebook.session.providers import Providers
from wan_notebook.settings import Sources
from wan_notebook.simulator import SimulatorConfig, create_app
from wan_notebook.simulator.server import serve_in_thread

WAIT_S = 30.0
SPEED = 100.0
IN_PROCESS = "http://simulator.test"
SHORT = Timeouts(connect_s=2.0, submit_s=0.8, status_s=0.4, stall_window_s=0.3)
"""Real seconds: a fault that stalls costs so much, and a noisy machine must not look like one."""


class FastTime:
    """Clocks that run ``speed`` times as fast as real ones, and can jump."""

    def __init__(self, speed: float = SPEED) -> None:
        self.speed = speed
        self._from, self._wall_from = time.monotonic(), time.time()
        self.slept_s = 0.0

    def clock(self) -> float:
        """Tell monotonic seconds; a sleeping laptop does not count."""
        return 1000.0 + (time.monotonic() - self._from) * self.speed

    def wall_clock(self) -> float:
        """Tell Unix seconds."""
        return self._wall_from + (time.monotonic() - self._from) * self.speed + self.slept_s

    async def sleep(self, for_s: float) -> None:
        """Wait so many fast seconds."""
        await asyncio.sleep(max(0.0, for_s) / self.speed)

    def laptop_sleeps(self, for_s: float) -> None:
        """Let the wall clock go on alone."""
        self.slept_s += for_s


class Rig:
    """One folder, one service, one dialect; kernels on them in fast time."""

    def __init__(self, folder: Path, *, dialect: str = "gateway", url: str = "", speed: float = SPEED, **config: Any):
        self.time = FastTime(speed)
        settings = {
            "seconds": 0.0,
            "price": Decimal("0.03"),
            "queries_per_s": 0.0,
            "fixed_picture": small_png(),
            "fault_pace_s": 0.001,
            "clock": self.time.wall_clock,
        }
        self.app = create_app(SimulatorConfig(**{**settings, **config}))
        self.dialect, self.url = dialect, url
        self.folder = folder / "wan-pictures"
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.transport: Callable[[Any], Any] | None = None
        self.clients: list[Client] = []
        self._sessions: list[Session] = []
        self._stack = ExitStack()

    @property
    def service(self) -> Any:
        """What the service counted."""
        return self.app.state.simulator

    def serve(self) -> str:
        """Put the service on a port of this machine."""
        self.url = self._stack.enter_context(serve_in_thread(self.app))
        return self.url

    def arm(self, *faults: str) -> None:
        """Let these faults strike, and no others."""
        self.service.faults._armed.clear()
        for fault in faults:
            self.service.add_fault(fault)

    def kernel(self, *, speed: bool = True, **env: str) -> Session:
        """Start a kernel."""
        key = "DASHSCOPE_API_KEY" if self.dialect == "dashscope" else "WAN_API_KEY"
        settings = {
            "WAN_HOME": str(self.folder),
            "WAN_PROVIDER": self.dialect,
            key: "key-one",
            "WAN_BASE_URL": self.url or IN_PROCESS,
            "WAN_QUERIES_PER_S": "0",
        }
        sources = Sources(
            env={**settings, **env},
            cwd=self.folder.parent,
            config_path=config_dir() / "config.json",
            keys=KeyStore(use_keyring=False),
        )
        fast: dict[str, Any] = {"clock": self.time.clock, "sleep": self.time.sleep} if speed else {}
        session = Session(
            sources,
            runtime=Runtime("test"),
            providers=Providers(factory=self._client),
            rng=random.Random(len(self._sessions)),  # noqa: S311 - seeds and pauses, no secrets
            engine_parts={"rng": random.Random(len(self._sessions)), **fast},  # noqa: S311
            **({"wall_clock": self.time.wall_clock} if speed else {}),
        )
        self._sessions.append(session)
        return session

    def _client(self, **settings: Any) -> Client:
        extra: dict[str, Any] = {"timeouts": SHORT}
        if self.transport is not None:
            extra["transport"] = self.transport(self.app)
        elif not self.url:
            extra["app"] = self.app
        self.clients.append(Client(**{**settings, **extra}))
        return self.clients[-1]

    def close(self) -> None:
        """End every kernel and the service."""
        for session in self._sessions:
            session.close()
        self._stack.close()


@contextmanager
def rig(folder: Path, **options: Any) -> Iterator[Rig]:
    """Make a rig and close it."""
    made = Rig(folder, **options)
    try:
        yield made
    finally:
        made.close()


def ended(job: Job) -> Job:
    """Wait until nothing more happens to a job by itself."""
    for live in job.lives:
        live.settled().result(WAIT_S)
    return job


def ask(session: Session, prompt: str = "a fox in snow", **options: Any) -> Job:
    """Order something."""
    return generate(prompt, session=session, **options)


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread does; fail after a while."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)
