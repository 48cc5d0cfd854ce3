"""Fixtures for tests in real front ends; `tests.lab.harness` tells how to use them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.harness import Lab
from tests.lab.kernels import ensure_kernel6
from tests.lab.servers import LabServer, NotebookServer, Server, VoilaServer
from tests.lab.voila import VoilaPage

HERE = Path(__file__).parent
FAILURES = Path(tempfile.gettempdir()) / "wan-notebook-failures"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder `lab`, with the time that a server's start takes allowed for."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(240))


def _running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab, started once."""
    yield from _running(LabServer(tmp_path_factory.mktemp("lab")))


@pytest.fixture(scope="session")
def notebook_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Notebook 7, started once."""
    yield from _running(NotebookServer(tmp_path_factory.mktemp("notebook")))


@pytest.fixture(scope="session")
def voila_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Voilà, started once."""
    yield from _running(VoilaServer(tmp_path_factory.mktemp("voila")))


@pytest.fixture(scope="session")
def kernel6(lab_server: Server) -> str:
    """Give the name of a kernel with ipykernel 6.31; its environment is made once and kept in the checkout."""
    return lab_server.add_kernel("k6", ensure_kernel6())


def _photograph(request: pytest.FixtureRequest, page: Any) -> None:
    report = getattr(request.node, "report_call", None)
    if report is None or not report.failed:
        return
    FAILURES.mkdir(exist_ok=True)
    path = FAILURES / f"{request.node.name.replace('/', '_')[:80]}.png"
    page.screenshot(path=str(path))
    report.sections.append(("screenshot", str(path)))
    print(f"screenshot: {path}")


def _driven(driver: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    try:
        yield driver
        _photograph(request, driver.page)
        uncaught = driver.uncaught()
    finally:
        driver.close()
    assert not uncaught, f"uncaught in the page: {uncaught}"


@pytest.fixture
def lab(lab_server: LabServer, chromium: Any, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Give a page in JupyterLab."""
    yield from _driven(Lab(lab_server, chromium), request)


@pytest.fixture
def notebook7(notebook_server: NotebookServer, chromium: Any, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Give a page in Notebook 7."""
    yield from _driven(Lab(notebook_server, chromium), request)


@pytest.fixture
def voila(voila_server: VoilaServer, chromium: Any, request: pytest.FixtureRequest) -> Iterator[VoilaPage]:
    """Give a page in Voilà."""
    yield from _driven(VoilaPage(voila_server, chromium), request)
