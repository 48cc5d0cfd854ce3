"""Fixtures for tests in real front ends; `tests.lab.harness` tells how to use them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.harness import FrontEndPage, Lab, VoilaPage
from tests.lab.servers import LabServer, NotebookServer, Server, VoilaServer

HERE = Path(__file__).parent
FAILURES = Path(tempfile.gettempdir()) / "wan-notebook-failures"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder `lab`, with the time that a server's start takes allowed for."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give what starts a server of a kind, once."""
    running: dict[type[Server], Server] = {}

    def started(kind: type[Server]) -> Server:
        if kind not in running:
            running[kind] = kind(tmp_path_factory.mktemp(kind.__name__)).start()
        return running[kind]

    yield started
    for each in running.values():
        each.stop()


@pytest.fixture(scope="module")
def kept(chromium: Any) -> list[Any]:
    """Give the page of JupyterLab that the last test left open, if it went well; it ends with the browser."""
    return []


def _driven(driver: FrontEndPage, request: pytest.FixtureRequest, kept: list[Any] | None = None) -> Iterator[Any]:
    is_kept = False
    try:
        yield driver
        report = getattr(request.node, "report_call", None)
        if report is not None and report.failed:
            FAILURES.mkdir(exist_ok=True)
            path = FAILURES / f"{request.node.name.replace('/', '_')[:80]}.png"
            driver.page.screenshot(path=str(path))
            report.sections.append(("screenshot", str(path)))
        uncaught = driver.uncaught()
        if isinstance(driver, Lab) and kept is not None and report is not None and report.passed and not uncaught:
            kept.append(driver.leave())
            is_kept = True
    finally:
        if not is_kept:
            driver.close()
    assert not uncaught, f"uncaught in the page: {uncaught}"


@pytest.fixture
def lab(server: Any, chromium: Any, kept: list[Any], request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Give JupyterLab, without a notebook."""
    yield from _driven(Lab(server(LabServer), chromium, kept.pop() if kept else None), request, kept)


@pytest.fixture
def notebook7(server: Any, chromium: Any, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Give a page in Notebook 7."""
    yield from _driven(Lab(server(NotebookServer), chromium), request)


@pytest.fixture
def voila(server: Any, chromium: Any, request: pytest.FixtureRequest) -> Iterator[VoilaPage]:
    """Give a page in Voilà."""
    yield from _driven(VoilaPage(server(VoilaServer), chromium), request)
