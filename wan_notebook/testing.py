"""For the tests of people's own notebooks: replay without a key, compare pictures, check a whole notebook.

As a pytest plugin (installed with this package, or ``pytest_plugins = ["wan_notebook.testing"]`` in ``conftest.py``)::

    def test_figure(wan_replay_only):               # nothing can be bought while it runs
        job = wan.generate("a red fox", seed=5)     # from the store, or an error
        assert_same_picture(job[0], "figures/fox.png")

    def test_notebook():
        check_notebook("study.ipynb")               # runs it, and compares every picture

nbval runs cells without fixtures and never compares pictures: ``pytest --nbval --wan-replay-only study.ipynb`` keeps
its kernels from buying and takes what a replay says differently as the same (``SANITIZE``, unless
``--nbval-sanitize-with`` names another file); ``check_notebook`` compares the pictures.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest import mock

from .errors import CellError, WanError
from .images import assert_same_picture, assert_similar, distance

REPLAY_ONLY: Final[Mapping[str, str]] = {
    "WAN_REPLAY": "only",
    "WAN_PROVIDER": "simulator",
    **dict.fromkeys(("WAN_API_KEY", "DASHSCOPE_API_KEY", "WAN_BASE_URL"), ""),  # which counts as none
}
"""What makes a kernel show stored pictures, real and practice ones, and send nothing."""
SANITIZE: Final = Path(__file__).with_name("nbval_sanitize.cfg")
"""For nbval: what differs in our outputs between a first run and one from the store."""


@dataclass(frozen=True)
class NotebookChecked:
    """What a check went through: cells that were run, and pictures that are the same as the saved ones."""

    cells: int
    pictures: int


def check_notebook(path: str | os.PathLike[str], *, timeout_s: float = 600.0) -> NotebookChecked:
    """Check a saved notebook: its pictures are present and unchanged, and running it shows the very same ones.

    It is run in its folder with a kernel that only replays: no key, no purchase, no network. The file is not changed;
    what its cells write is written.

    Parameters
    ----------
    path
        The notebook's file.
    timeout_s
        Seconds that one cell may take.

    Returns
    -------
    NotebookChecked
        How many code cells and pictures were checked.

    Raises
    ------
    AssertionError
        Says cell by cell what differs.
    CellError
        Without the ``notebook`` extra.

    Examples
    --------
    >>> check_notebook("study.ipynb")
    NotebookChecked(cells=12, pictures=7)
    """
    from .demo import execute
    from .research import NotebookFile, read_notebook, verify_notebook
    from .session import Session
    from .settings import SettingsLoader

    def hashes(file: NotebookFile) -> list[list[str]]:
        """Return the hashes of pictures that the outputs of each code cell name."""
        cells = [NotebookFile({"cells": [cell]}) for cell in file.code_cells]
        return [[sha256 for item in cell.named() for sha256 in item.sha256] for cell in cells]

    notebook = Path(path)
    folder = notebook.absolute().parent
    try:
        with closing(Session(SettingsLoader(cwd=folder))) as session:
            saved = hashes(read_notebook(notebook))
            verified = verify_notebook(session, notebook)
        if verified.problems:
            wrong = [f"{one.cell}: {one.expression} is {one.finding}; {one.hint}" for one in verified.problems]
            raise AssertionError("\n".join([f"{notebook}: {verified.summary}", *wrong]))
        shown = hashes(NotebookFile(execute(notebook, folder, replay_environment(), timeout_s=timeout_s)))
    except CellError:  # without the extra
        raise
    except WanError as error:
        raise AssertionError("\n".join(error.lines())) from error
    differing = [
        f"code cell {number}: {', '.join(before) or 'none'} saved, {', '.join(after) or 'none'} shown"
        for number, (before, after) in enumerate(zip(saved, shown, strict=True), 1)
        if before != after
    ]
    if differing:
        raise AssertionError("\n".join([f"{notebook} shows other pictures than were saved", *differing]))
    return NotebookChecked(len(saved), sum(map(len, saved)))


def replay_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which nothing can be bought: of this process, or of ``base``."""
    return {**(os.environ if base is None else base), **REPLAY_ONLY}


# pytest --------------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: "pytest.Parser") -> None:
    """Add ``--wan-replay-only``."""
    text = "let every test and notebook show stored pictures only: no key is used, nothing can be bought"
    parser.getgroup("wan").addoption("--wan-replay-only", action="store_true", default=False, help=text)


def pytest_configure(config: "pytest.Config") -> None:
    """Put the whole run, kernels that it starts included, into replay-only mode if asked."""
    if not config.getoption("--wan-replay-only", default=False):
        return
    if getattr(config.option, "nbval_sanitize_with", "") is None:  # nbval is here, and no file was chosen
        config.option.nbval_sanitize_with = str(SANITIZE)
    patch = mock.patch.dict(os.environ, REPLAY_ONLY)
    patch.start()
    config.add_cleanup(patch.stop)


try:
    import pytest
except ImportError:  # the functions above work without it
    wan_replay_only = None
else:

    @pytest.fixture
    def wan_replay_only() -> Iterator[Mapping[str, str]]:
        """Let a test show stored pictures only: no key, no purchase. Gives the environment for kernels it starts."""
        with mock.patch.dict(os.environ, REPLAY_ONLY):
            yield replay_environment()


__all__ = [
    "SANITIZE",
    "NotebookChecked",
    "assert_same_picture",
    "assert_similar",
    "check_notebook",
    "distance",
    "replay_environment",
    "wan_replay_only",
]
