"""The one place that knows how a kernel is put together: sessions over the simulator, with clocks that tests drive.

`Rig` is a folder and a service in which hours pass in a moment, for faults, crashes and clocks. `House` is the same in
real time, with the built-in simulator. Both start as many kernels (sessions) as a test wants.
"""

import gc
import io
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image
from traitlets.config import Config

from tests.environment import ROOT
from tests.fakes.clock import FastClock
from tests.fakes.faults import Faults
from wan_notebook.api import generate
from wan_notebook.database import Database, HistoryQuery, JobRow
from wan_notebook.environment import Settings
from wan_notebook.errors import WanError
from wan_notebook.jobs import Background, Job
from wan_notebook.magics import Runner
from wan_notebook.providers import ClientPool, Timeouts
from wan_notebook.replay import CellId, Submission
from wan_notebook.session import Session, default_session
from wan_notebook.settings import SettingsLoader
from wan_notebook.simulator import Simulator, SimulatorConfig, create_app

WAIT_S = 30.0
IN_PROCESS = "http://simulator.test"
KEY_VARIABLE = {"gateway": "WAN_API_KEY", "dashscope": "DASHSCOPE_API_KEY"}
SHORT = Timeouts(connect_s=2.0, submit_s=0.8, status_s=0.4, stall_window_s=0.3)
"""Real seconds: a fault that stalls costs so much, and a busy machine must not look like one."""

NO_LIMITS = {"WAN_QUERIES_PER_S": "0", "WAN_SUBMITS_PER_S": "0", "WAN_IN_FLIGHT": "0"}


@cache
def small_png(colour: str = "teal") -> bytes:
    """Return a picture that costs nothing to make; its size differs from what is asked, which is only a note."""
    buffer = io.BytesIO()
    Image.new("RGB", (640, 640), colour).save(buffer, "PNG")
    return buffer.getvalue()


def unlimited(seconds: float = 0.0) -> SimulatorConfig:
    """Return the settings of a service without limits, for a port of this machine."""
    limits = {"queries_per_s": 0, "submits_per_s": 0, "in_flight": 0}
    return SimulatorConfig(seconds=seconds, price=Decimal("0.03"), fixed_picture=small_png(), **limits)


def run_script(script: str, url: str = "", *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own; with an address its pictures come from the gateway there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WAN_", "DASHSCOPE_"))}
    keys = {"WAN_PROVIDER": "gateway", "WAN_API_KEY": "k", "WAN_BASE_URL": url} if url else {}
    command = [sys.executable, "-W", "ignore", "-c", script, *arguments]
    env = {**kept, **keys, **env, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=100, check=False)


class Rig:
    """One folder, one service, one provider; kernels on them in fast time.

    `config` are settings of the simulator, which has no limits here unless told otherwise. `around`, if it is set,
    wraps the transport of every client.
    """

    def __init__(
        self, folder: Path, *, provider: str = "gateway", url: str = "", speed: float = 100.0, **config: Any
    ) -> None:
        self.time = FastClock(speed)
        settings = {"clock": self.time.wall_clock, **config}
        self.faults = Faults(create_app(replace(unlimited(), **settings)))
        self.provider, self.url = provider, url
        self.folder = folder / "wan-pictures"
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.around: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport] | None = None
        self._asked: Counter[int] = Counter()
        self.sessions: list[Session] = []
        self._stack = ExitStack()

    @property
    def service(self) -> Simulator:
        """The service, which counts what happens."""
        return self.faults.simulator

    @property
    def struck(self) -> Counter[str]:
        """How often each fault happened, by `phase.name`."""
        return self.faults.struck

    def configure(self, **changes: Any) -> None:
        """Change the service's settings while it runs."""
        self.service.config = replace(self.service.config, **changes)

    def serve(self) -> str:
        """Put the service on a port of this machine."""
        self.url = self._stack.enter_context(self.faults.serve())
        return self.url

    def arm(self, *faults: str) -> None:
        """Let these faults strike, and no others."""
        self.faults.clear()
        self.faults.add(*faults)

    def kernel(self, *, fast: bool = True, provider: str = "", **env: str) -> Session:
        """Start a kernel; `fast` gives it the rig's clocks. Change its variables later with `set_env`."""
        provider = provider or self.provider
        named = {"WAN_PROVIDER": provider, KEY_VARIABLE.get(provider, "WAN_API_KEY"): "key-one"}
        address = {"WAN_BASE_URL": self.url or IN_PROCESS}
        variables = {"WAN_HOME": str(self.folder), **(named | address if provider else {}), **NO_LIMITS, **env}
        loader = SettingsLoader(env=variables, cwd=self.folder.parent, use_keyring=False)
        clocks = {"clock": self.time.clock, "wall_clock": self.time.wall_clock, "sleep": self.time.sleep}
        session = Session(
            loader,
            background=Background("test"),
            clients=ClientPool(
                loader, transport_for=partial(self._transport, loader), timeouts=SHORT if fast else Timeouts()
            ),
            rng=random.Random(len(self.sessions)),  # noqa: S311 - seeds and pauses, no secrets
            **(clocks if fast else {}),
        )
        _environments[id(session)] = variables
        self.sessions.append(session)
        return session

    def clients_of(self, session: Session) -> int:
        """Return how many clients a kernel has made so far: none as long as it asks nobody."""
        return self._asked[id(session.loader)]

    def _transport(self, loader: SettingsLoader, _settings: Settings) -> httpx.AsyncBaseTransport | None:
        self._asked[id(loader)] += 1
        if self.url and not self.around:
            return None
        inner = httpx.AsyncHTTPTransport() if self.url else self.faults.transport()
        return self.around(inner) if self.around else inner

    def close(self) -> None:
        """End every kernel and the service."""
        for session in self.sessions:
            session.close()
        self._stack.close()


_environments: dict[int, dict[str, str]] = {}


def set_env(session: Session, **variables: str) -> None:
    """Change variables of a kernel's environment, as `%env` does."""
    _environments[id(session)].update(variables)


@contextmanager
def rig(folder: Path, **options: Any) -> Iterator[Rig]:
    """Make a rig and close it."""
    made = Rig(folder, **options)
    try:
        yield made
    finally:
        made.close()


class House(Rig):
    """A folder and the built-in simulator, without a key; each kernel meets its requests anew."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "store", provider="", speed=100.0)

    def kernel(self, **env: str) -> Session:  # type: ignore[override]
        """Start a kernel."""
        return super().kernel(**env)


# ------------------------------------------------------------------ what tests do with a session


def ask(session: Session, prompt: str = "a fox in snow", **options: Any) -> Job:
    """Ask for pictures through the public function."""
    return generate(prompt, session=session, **options)


def ended(job: Job) -> Job:
    """Wait until nothing more happens to a job by itself."""
    for tracked in job.tracked:
        tracked.settled().result(WAIT_S)
    return job


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread does; fail after a while."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def side_by_side(*calls: Callable[[], Any]) -> list[Any]:
    """Make calls at the same moment, each in a thread; return their results, or our errors."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return call()
        except WanError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def at_cell(session: Session, cell_id: str = "", execution: str = "", **more: Any) -> Session:
    """Let a session's next calls come from a cell."""
    cell = CellId(cell_id=cell_id, execution=execution, **more)
    session.cell = lambda: cell
    return session


def project_of(session: Session) -> Any:
    """Return a session's project, made if need be."""
    return session.project()


def database_of(session: Session) -> Database:
    """Return a session's ledger."""
    return project_of(session).database


def history_of(session: Session, **query: Any) -> list[JobRow]:
    """Return every job of a session's ledger, newest first."""
    return list(database_of(session).history(HistoryQuery(**{"limit": 1000, **query})).rows)


def row_of(session: Session, job: Job) -> JobRow:
    """Return a job's row as it is on disk."""
    return database_of(session).get(job.id)


class _Shell:
    """A shell without IPython: variables, and the cells that commands insert."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self.user_ns = dict(namespace)
        self.inserted: list[str] = []

    def set_next_input(self, text: str, replace: bool = False) -> None:
        """Keep a cell."""
        self.inserted.append(text)


def in_shell(session: Session, *, line: str = "", cell: tuple[str, str] | None = None, **namespace: Any) -> list[str]:
    """Run a `%wan` line or a `%%wan` cell without IPython; return the cells that it inserted."""
    shell = _Shell(namespace)
    runner = Runner(shell, session, namespace)
    if cell is not None:
        runner.make(*cell)
    else:
        runner.line(line)
    return shell.inserted


def command(session: Session, line: str) -> None:
    """Run a `%wan` line in a shell without variables."""
    in_shell(session, line=line)


class Kernel:
    """IPython as after Kernel → Restart: nothing is loaded in it."""

    def __init__(self) -> None:
        InteractiveShell.clear_instance()
        self.shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
        self.names = self.shell.user_ns

    def run(self, cell: str) -> list[dict[str, str]]:
        """Run a cell; return what it prints and displays. Raises the cell's error."""
        with capture_output() as captured:
            self.shell.run_cell(cell).raise_error()
        printed = [{"text/plain": captured.stdout}] if captured.stdout else []
        return printed + [output.data for output in captured.outputs]

    def close(self) -> None:
        """End it."""
        self.shell.run_line_magic("unload_ext", "wan_notebook")
        default_session().close()


class _CapturedError(BaseException):
    """Ends a cell once its submission is known; not an Exception, so that nothing takes it for a fault."""


def submission_of(session: Session, line: str, body: str | None, namespace: Mapping[str, Any]) -> Submission:
    """Return what a `%%wan` cell would submit, or `%wan make LINE` if `body` is None."""
    runner = Runner(_Shell(namespace), session, namespace)
    found: list[Submission] = []

    def capture(submission: Submission) -> None:
        found.append(submission)
        raise _CapturedError

    session.submit = capture  # type: ignore[method-assign, assignment]
    try:
        if body is None:
            runner.line(f"make {line}")
        else:
            runner.make(line, body)
    except _CapturedError:
        pass
    finally:
        del session.submit
    return found[0]


def shown_by_objects() -> str:
    """Return the reprs of all objects of the package that are alive, as debuggers and verbose tracebacks show them."""
    gc.collect()  # what nobody holds any more may have no session to show itself with
    return "\n".join(repr(one) for one in gc.get_objects() if str(type(one).__module__).startswith("wan_notebook"))


class NoRequests(httpx.AsyncBaseTransport):
    """A network that nobody may use; `asked` are the requests that were tried."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse."""
        self.asked.append(str(request.url))
        raise httpx.ConnectError("no request was expected", request=request)


def kernel_in(folder: Path, transport: httpx.AsyncBaseTransport, *, provider: str = "gateway", **env: str) -> Session:
    """Start a kernel in a folder that exists, with every client on one transport; close it afterwards."""
    variables = {
        "WAN_HOME": str(folder / "wan-pictures"),
        "WAN_PROVIDER": provider,
        "WAN_API_KEY": "key-one",
        "DASHSCOPE_API_KEY": "key-one",
        **({} if provider == "simulator" else {"WAN_BASE_URL": "http://127.0.0.1:9"}),
        **NO_LIMITS,
        **env,
    }
    loader = SettingsLoader(env=variables, cwd=folder, use_keyring=False)
    pool = ClientPool(loader, transport_for=lambda _settings: transport)
    return Session(loader, background=Background("test"), clients=pool)
