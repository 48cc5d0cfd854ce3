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

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .errors import CellError, WanError
from .likeness import assert_same_picture, assert_similar, distance
from .text import count_of, is_or_are, was

if TYPE_CHECKING:
    import pytest

REPLAY_ONLY: Final[Mapping[str, str]] = {"WAN_REPLAY": "only", "WAN_PROVIDER": "simulator"}
"""What makes a kernel show stored pictures, real and practice ones, and ask nobody."""

KEYS: Final = ("WAN_API_KEY", "DASHSCOPE_API_KEY", "WAN_BASE_URL")
SANITIZE: Final = Path(__file__).with_name("nbval_sanitize.cfg")
"""For nbval: what differs in our outputs between a first run and one from the store."""


# ------------------------------------------------------------------ notebooks


@dataclass(frozen=True)
class NotebookChecked:
    """What a check went through: cells that were run, and pictures that are the same as the saved ones."""

    cells: int
    pictures: int


def check_notebook(path: str | os.PathLike[str], *, timeout_s: float = 600.0) -> NotebookChecked:
    """Check a saved notebook: its pictures are present and unchanged, and running it shows the very same ones.

    It is run in its folder with a kernel that only replays: no key, no purchase, no network. The file is not changed;
    what its cells write is written. Raises ``AssertionError`` that says cell by cell what differs, and ``CellError``
    without the ``notebook`` extra.
    """
    from .bundle import read_document, verify_notebook

    notebook = Path(path)
    try:
        saved = read_document(notebook)
        verified = verify_notebook(notebook, os.environ, now=0.0)
    except WanError as error:
        raise AssertionError("\n".join(error.lines())) from error
    wrong = [f"{check.cell}: {check.expr} is {check.finding}; {check.hint}" for check in verified.problems]
    if wrong:
        raise AssertionError("\n".join([f"{notebook}: {verified.summary}", *wrong]))
    before, after = _pictures_of(saved.content), _pictures_of(_run(notebook, timeout_s))
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


def _run(notebook: Path, timeout_s: float) -> dict[str, Any]:
    try:
        nbformat: Any = import_module("nbformat")
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        message = "checking a notebook needs Jupyter's notebook tools."
        raise CellError(message, hint='Run `pip install "wan-notebook[notebook]"`.') from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about ids that older notebooks lack
        document = nbformat.read(notebook, as_version=4)
    place = {"metadata": {"path": str(notebook.absolute().parent)}}
    client = NotebookClient(document, timeout=round(timeout_s), resources=place)
    try:
        client.execute(env=replay_environment())
    except CellExecutionError as error:
        raise AssertionError(f"{notebook} does not run: {error.ename}: {error.evalue}") from error
    return dict(document)


def _pictures_of(content: Mapping[str, Any]) -> dict[int, list[str]]:
    """Return the hashes that each code cell's outputs name, by the cell's place."""
    from .bundle.document import Document

    found = {}
    cells = [cell for cell in content.get("cells", []) if cell.get("cell_type") == "code"]
    for number, cell in enumerate(cells):
        named = Document({"cells": [cell]}).named()
        if hashes := [digest for item in named for digest in item.sha256]:
            found[number] = hashes
    return found


def _difference(saved: list[str], now: list[str]) -> str:
    if not saved:
        return f"shows {count_of(len(now), 'picture')}, and none were saved; run the notebook and save it"
    if not now:
        return f"shows no picture, and {len(saved)} {was(len(saved))} saved"
    pairs = [f"{a[:12]}… was saved, {b[:12]}… is shown" for a, b in zip(saved, now, strict=False) if a != b]
    counts = (
        [f"{len(saved)} {was(len(saved))} saved, {len(now)} {is_or_are(len(now))} shown"]
        if len(saved) != len(now)
        else []
    )
    return "; ".join([*counts, *pairs])


# ------------------------------------------------------------------ pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--wan-replay-only``."""
    text = "let every test and notebook show stored pictures only: no key is used, nothing can be bought"
    parser.getgroup("wan").addoption("--wan-replay-only", action="store_true", default=False, help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Put the whole run, kernels that it starts included, into replay-only mode if asked."""
    if config.getoption("--wan-replay-only", default=False):
        if getattr(config.option, "nbval_sanitize_with", "") is None:  # nbval is here, and nobody chose a file
            config.option.nbval_sanitize_with = str(SANITIZE)
        before = dict(os.environ)
        _enter(os.environ)
        config.add_cleanup(lambda: _restore(before))


def _enter(env: Any) -> None:
    for name in KEYS:
        env.pop(name, None)
    env.update(REPLAY_ONLY)


def _restore(before: Mapping[str, str]) -> None:
    for name in (*KEYS, *REPLAY_ONLY):
        if name in before:
            os.environ[name] = before[name]
        else:
            os.environ.pop(name, None)


def _fixture() -> Any:
    """Return the fixture where pytest is installed; the functions above work without it."""
    try:
        import pytest
    except ImportError:
        return None

    @pytest.fixture(name="wan_replay_only")
    def wan_replay_only(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
        """Let a test show stored pictures only: no key, no purchase. Gives the environment for kernels it starts."""
        for name in KEYS:
            monkeypatch.delenv(name, raising=False)
        for name, value in REPLAY_ONLY.items():
            monkeypatch.setenv(name, value)
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
