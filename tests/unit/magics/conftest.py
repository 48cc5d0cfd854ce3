"""A shell in which cells run over the built-in simulator."""

import atexit
from collections.abc import Iterator
from dataclasses import replace

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from tests.kit import small_png
from wan_notebook.magics import Extension
from wan_notebook.session import default_session


class Notebook:
    """A shell in which cells run, as a person would run them."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.names = shell.user_ns

    def run(self, cell: str) -> str:
        """Run a cell; return what it shows as plain text. Raises the cell's error."""
        with capture_output() as captured:
            result = self.shell.run_cell(cell, store_history=True)
        if result.error_in_exec or result.error_before_exec:
            raise result.error_in_exec or result.error_before_exec
        shown = [output.data.get("text/plain", "") for output in captured.outputs]
        return "\n".join([captured.stdout, *shown])

    def tasks(self) -> int:
        """Count what was made at the service."""
        return default_session().clients.simulator_app().state.simulator.tasks_created


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """A shell with the extension loaded, in which no setting has been read."""
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "0")
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    extension = Extension(shell)
    extension.load()
    yield Notebook(shell)
    extension.unload()
    default_session().close()
    atexit.unregister(shell.atexit_operations)
    InteractiveShell.clear_instance()


@pytest.fixture
def notebook(fresh: Notebook) -> Notebook:
    """The same on a simulator that paints nothing."""
    simulator = default_session().clients.simulator_app().state.simulator
    simulator.config = replace(simulator.config, fixed_picture=small_png())
    return fresh
