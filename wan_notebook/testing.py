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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .errors import CellError, WanError
from .images import assert_same_picture, assert_similar, distance
from .text import pluralize

if TYPE_CHECKING:
    import pytest

REPLAY_ONLY: Final[Mapping[str, str]] = {"WAN_REPLAY": "only", "WAN_PROVIDER": "simulator"}
"""What makes a kernel show stored pictures, real and practice ones, and send nothing."""
KEYS: Final = ("WAN_API_KEY", "DASHSCOPE_API_KEY", "WAN_BASE_URL")
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
    from .research import read_notebook, verify_notebook
    from .session import Session
    from .settings import SettingsLoader

    notebook = Path(path)
    session = Session(SettingsLoader(cwd=notebook.absolute().parent))
    try:
        saved = read_notebook(notebook)
        verified = verify_notebook(session, notebook)
    except WanError as error:
        raise AssertionError("\n".join(error.lines())) from error
    finally:
        session.close()
    wrong = [f"{check.cell}: {check.expression} is {check.finding}; {check.hint}" for check in verified.problems]
    if wrong:
        raise AssertionError("\n".join([f"{notebook}: {verified.summary}", *wrong]))
    try:
        shown = execute(notebook, notebook.absolute().parent, replay_environment(), timeout_s=timeout_s)
    except CellError:  # without the extra
        raise
    except WanError as error:
        raise AssertionError(error.message) from error
    before, after = _pictures_of(saved.content), _pictures_of(shown)
    differing = [
        f"code cell {number + 1}: {_difference(before.get(number, []), after.get(number, []))}"
        for number in sorted(before.keys() | after.keys())
        if before.get(number) != after.get(number)
    ]
    if differing:
        raise AssertionError("\n".join([f"{notebook} shows other pictures than were saved", *differing]))
    return NotebookChecked(len(saved.code), sum(len(hashes) for hashes in before.values()))


def replay_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which nothing can be bought: of this process, or of ``base``."""
    kept = {name: value for name, value in (os.environ if base is None else base).items() if name not in KEYS}
    return {**kept, **REPLAY_ONLY}


def _pictures_of(content: Mapping[str, Any]) -> dict[int, list[str]]:
    """Return the hashes that each code cell's outputs name, by the cell's position."""
    from .research import NotebookFile

    found = {}
    cells = [cell for cell in content.get("cells", []) if cell.get("cell_type") == "code"]
    for number, cell in enumerate(cells):
        named = NotebookFile({"cells": [cell]}).named()
        if hashes := [sha256 for item in named for sha256 in item.sha256]:
            found[number] = hashes
    return found


def _difference(saved: list[str], now: list[str]) -> str:
    pairs = [f"{a[:12]}… was saved, {b[:12]}… is shown" for a, b in zip(saved, now, strict=False) if a != b]
    return "; ".join([f"{pluralize(len(saved), 'picture')} saved, {len(now)} shown", *pairs])


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
    import pytest

    patch = pytest.MonkeyPatch()
    _only_replay(patch)
    config.add_cleanup(patch.undo)


def _only_replay(patch: "pytest.MonkeyPatch") -> None:
    for name in KEYS:
        patch.delenv(name, raising=False)
    for name, value in REPLAY_ONLY.items():
        patch.setenv(name, value)


def _fixture() -> Any:
    """Return the fixture where pytest is installed; the functions above work without it."""
    try:
        import pytest
    except ImportError:
        return None

    @pytest.fixture(name="wan_replay_only")
    def wan_replay_only(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
        """Let a test show stored pictures only: no key, no purchase. Gives the environment for kernels it starts."""
        _only_replay(monkeypatch)
        return replay_environment()

    return wan_replay_only


wan_replay_only = _fixture()

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
