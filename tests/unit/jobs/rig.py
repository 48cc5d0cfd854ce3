"""A worker over the simulator in this process, without a session: for what happens to one job."""

import io
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from tests.fakes.clock import FastClock
from tests.fakes.faults import Faults
from wan_notebook.database import Database, JobRow
from wan_notebook.environment import Settings
from wan_notebook.jobs import Background, Job, Worker, WorkerConfig, new_inputs
from wan_notebook.providers import ClientPool, Timeouts
from wan_notebook.request import ImageRequest
from wan_notebook.settings import SettingsLoader
from wan_notebook.simulator import SimulatorConfig, create_app
from wan_notebook.storage import Storage

WAIT_S = 30.0
SHORT = Timeouts(connect_s=2.0, submit_s=0.8, status_s=0.4, stall_window_s=0.3)
KEYS = {"gateway": "WAN_API_KEY", "dashscope": "DASHSCOPE_API_KEY"}


def small_png(colour: str = "teal") -> bytes:
    """Return a small picture; its size differs from what is asked for, which is only a note."""
    buffer = io.BytesIO()
    Image.new("RGB", (640, 640), colour).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Project:
    """What a job needs of its project."""

    worker: Worker
    database: Database
    storage: Storage
    background: Background
    env: dict[str, str]


class Rig:
    """One folder and one service; each `kernel()` is a worker of its own on them."""

    def __init__(self, folder: Path, *, provider: str = "gateway", speed: float = 100.0, **config: Any) -> None:
        self.clock = FastClock(speed)
        self.folder, self.provider = folder / "wan-pictures", provider
        unlimited = {"queries_per_s": 0.0, "submits_per_s": 0.0, "in_flight": 0}
        usual = {"seconds": 0.0, "fixed_picture": small_png(), "clock": self.clock.wall_clock, **unlimited}
        self.faults = Faults(create_app(SimulatorConfig(**{**usual, **config})))
        self.projects: list[Project] = []

    @property
    def service(self) -> Any:
        """The simulator, which counts what happens."""
        return self.faults.simulator

    def configure(self, **changes: Any) -> None:
        """Change the service's settings while it runs."""
        self.service.config = replace(self.service.config, **changes)

    def arm(self, *faults: str) -> None:
        """Let these faults strike, and no others."""
        self.faults.clear()
        self.faults.add(*faults)

    def kernel(self, **env: str) -> Project:
        """Start a kernel."""
        limits = {"WAN_QUERIES_PER_S": "0", "WAN_SUBMITS_PER_S": "0", "WAN_IN_FLIGHT": "0"}
        key = {KEYS[self.provider]: "key-one"}
        address = {"WAN_PROVIDER": self.provider, "WAN_BASE_URL": "http://simulator.test"}
        variables = {"WAN_HOME": str(self.folder), **address, **key, **limits, **env}
        loader = SettingsLoader(env=variables, cwd=self.folder.parent, use_keyring=False)
        storage = Storage(self.folder)
        storage.ensure()
        database = Database.open(self.folder / "ledger.db", wall_clock=self.clock.wall_clock)
        background = Background("test")

        def transport_for(_settings: Settings) -> Any:
            return self.faults.transport()

        worker = Worker(
            WorkerConfig(
                background=background,
                database=database,
                storage=storage,
                clients=ClientPool(loader, transport_for=transport_for, timeouts=SHORT),
                settings=loader.load,
                price_for=lambda _row: None,
                rng=random.Random(len(self.projects)),  # noqa: S311 - delays, no secrets
                clock=self.clock.clock,
                wall_clock=self.clock.wall_clock,
                sleep=self.clock.sleep,
            )
        )
        self.projects.append(Project(worker, database, storage, background, variables))
        return self.projects[-1]

    def close(self) -> None:
        """End every kernel."""
        for project in self.projects:
            end(project)


@contextmanager
def rig(folder: Path, **options: Any) -> Iterator[Rig]:
    """Make a rig and close it."""
    made = Rig(folder, **options)
    try:
        yield made
    finally:
        made.close()


def end(project: Project) -> None:
    """End a kernel in good order."""
    if project.background.is_running:
        project.background.submit(project.worker.shutdown()).result(WAIT_S)
    project.worker.close()
    project.background.stop()
    project.database.close()


def ask(project: Project, prompt: str = "a fox in snow", *, seed: int = 5, **fields: Any) -> Job:
    """Ask for pictures as a session does: the row first, then the worker."""
    request = ImageRequest(prompt=prompt, seed=seed, **fields)
    settings = project.worker.settings(None)
    request_hash = request.request_hash(with_seed=True)
    row, is_new = project.database.create_or_join(
        [
            JobRow(
                provider=settings.provider,
                base_url=settings.base_url,
                is_simulated=settings.is_simulated,
                model=request.model,
                mode=request.mode.value,
                prompt=prompt,
                request=request.canonical(with_seed=True),
                request_hash=request_hash,
                request_hash_with_seed=request_hash,
                seed=seed,
                n=request.pictures_asked,
                parameters=request.parameters(),
                key_fingerprint=settings.key_fingerprint,
                inputs=new_inputs(request, project.storage),
                pending_inputs=tuple({"name": i.name} for i in request.images if hasattr(i, "job_id")),
            )
        ],
        owner=project.worker.owner,
        simulated_ok=settings.is_simulated,
    )[0]
    tracked = project.worker.track(row)
    requests: Mapping[str, ImageRequest] = {row.id: request} if is_new else {}
    project.worker.start([tracked], requests)
    return Job([tracked], project, request=request)


def ended(job: Job) -> Job:
    """Wait until nothing more happens to a job by itself."""
    for tracked in job.tracked:
        tracked.settled().result(WAIT_S)
    return job
