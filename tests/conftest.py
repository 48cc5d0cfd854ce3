"""What holds for every test: a private home, no settings from outside, no network but this machine.

Helpers are imported by absolute name (`from tests.lab.harness import Lab`). Markers beside those of `pyproject.toml`:
`process` for a test that starts processes of its own, `nightly` for one that only `make nightly` runs. Hypothesis has
two profiles: `fast` (the default) and `nightly` (`--hypothesis-profile nightly`).

The fixture `chromium` is one browser a test module, not one a session: Playwright's loop stays current in the main
thread as long as it lives, and `asyncio.run` in a later test would then refuse to work.
"""

import atexit
import gc
import ipaddress
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from IPython.core.interactiveshell import InteractiveShell

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # a bare `pytest` does not put the checkout on the path; `python -m pytest` does
    sys.path.insert(0, str(ROOT))

from tests.environment import KEPT, PREFIXES, private_environment  # noqa: E402
from tests.fakes.ledgers import make_ledgers_cheap  # noqa: E402

COMMON = settings(
    deadline=None,  # a busy machine is slow at times, and that is no failure
    derandomize=bool(os.environ.get("CI")),
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fast", COMMON, max_examples=10)
settings.register_profile("nightly", COMMON, max_examples=200)
settings.load_profile("fast")

MARKERS = (
    "process: starts processes of its own, each of which imports everything anew",
    "nightly: only for `make nightly`",
)


MEMORY = Path("/dev/shm")  # commits cost nothing here


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers of this folder, and keep what tests write in memory where there is room for it."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 1024**3:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    # jsonschema, which nbformat imports, spends two seconds on this one's grammars for a format that no notebook uses.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]


def pytest_collection_finish() -> None:
    """Keep what was imported out of every later garbage collection, which would look through all of it."""
    gc.collect()
    gc.freeze()


# ------------------------------------------------------------------ a private home


@pytest.fixture(scope="session", autouse=True)
def _session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Private folders for what outlives one test: servers, browsers, and what libraries read once."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in private_environment(tmp_path_factory.mktemp("home")).items():
            patch.setenv(name, value)
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
        patch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
        patch.setenv("MPLBACKEND", "Agg")
        make_ledgers_cheap(patch, tmp_path_factory.mktemp("empty"))
        yield


@pytest.fixture(autouse=True)
def _private_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test inherit settings, touch the person's folders or leave files in the checkout."""
    for name in [n for n in os.environ if n.startswith(PREFIXES) and n not in KEPT]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    for name, value in private_environment(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WAN_HOME", str(tmp_path / "wan-pictures"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Any]:
    """A folder and the built-in simulator of a test's own: `tests.kit.House`."""
    from tests.kit import House

    made = House(tmp_path / "house")
    yield made
    made.close()


# ------------------------------------------------------------------ no network


class NetworkBlockedError(RuntimeError):
    """A test tried to reach another machine. Not an OSError: no code may take it for a lost connection."""


ATTEMPTS: list[str] = []


def is_loopback(host: object) -> bool:
    """Tell whether a host names this machine (`None` and the empty string do: they are for listening)."""
    if host in (None, "", "localhost", b"localhost"):
        return True
    name = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return name in (socket.gethostname(), "ip6-localhost")
    return address.is_loopback or address.is_unspecified


def _refuse(where: object) -> None:
    ATTEMPTS.append(repr(where))
    raise NetworkBlockedError(
        f"a test tried to reach {where!r}; tests talk to 127.0.0.1 only: give the client a transport instead"
    )


@pytest.fixture(autouse=True)
def _no_shell() -> Iterator[None]:
    """Leave no shell behind: what a kernel or a terminal is, is read from the shell of this process."""
    yield
    if InteractiveShell.initialized():
        atexit.unregister(InteractiveShell.instance().atexit_operations)  # each would take half a second
        InteractiveShell.clear_instance()


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Refuse every connection and every name look-up that leaves this machine."""
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
            _refuse(address)

    def guarded_connect(self: socket.socket, address: Any) -> None:
        check(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        check(self, address)
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_loopback(host):
            _refuse(host)
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        yield


@pytest.fixture(autouse=True)
def network_attempts() -> Iterator[list[str]]:
    """Fail a test whose code tried the network and swallowed the refusal, in a thread or an `except`."""
    ATTEMPTS.clear()
    yield ATTEMPTS
    attempts = list(ATTEMPTS)
    ATTEMPTS.clear()
    assert not attempts, f"tried to reach {', '.join(attempts)}"


# ------------------------------------------------------------------ the browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Give a headless Chromium under Playwright to the tests of one module."""
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import launch

    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Leave each phase's report on the item, so that a fixture can photograph a failure."""
    report = yield
    setattr(item, f"report_{report.when}", report)
    return report
