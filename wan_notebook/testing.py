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

import hashlib
import io
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .errors import CellError, WanError
from .text import count_of, is_or_are, was

if TYPE_CHECKING:
    import pytest
    from PIL.Image import Image

    from .jobs import Job, Picture

    AnyPicture = Picture | Job | bytes | str | os.PathLike[str]

REPLAY_ONLY: Final[Mapping[str, str]] = {"WAN_REPLAY": "only", "WAN_PROVIDER": "simulator"}
"""What makes a kernel show stored pictures, real and practice ones, and ask nobody."""

KEYS: Final = ("WAN_API_KEY", "DASHSCOPE_API_KEY", "WAN_BASE_URL")
SANITIZE: Final = Path(__file__).with_name("nbval_sanitize.cfg")
"""For nbval: what differs in our outputs between a first run and one from the store."""

MAX_DISTANCE: Final = 0.1
_GRID: Final = 8
_STEP: Final = 3  # grey levels: smaller differences between neighbours are noise


# ------------------------------------------------------------------ pictures


def assert_same_picture(one: AnyPicture, other: AnyPicture) -> None:
    """Fail unless two pictures are the same bytes as a service sent them; their recipes do not count.

    Each is a picture of a job (or a job with one), bytes, or a path.
    """
    first, second = _clean(one), _clean(other)
    if first == second:
        return
    hashes = [hashlib.sha256(data).hexdigest()[:16] for data in (first, second)]
    message = f"the pictures differ: {_name(one)} is {hashes[0]}…, {_name(other)} is {hashes[1]}…"
    raise AssertionError(f"{message}{_how_far(first, second)}")


def assert_similar(one: AnyPicture | Image, other: AnyPicture | Image, *, max_distance: float = MAX_DISTANCE) -> None:
    """Fail unless two pictures look alike: ``distance`` is at most ``max_distance``."""
    found = distance(one, other)
    if found > max_distance:
        message = f"the pictures are {found:.3f} apart, more than {max_distance:g}: {_name(one)} and {_name(other)}"
        raise AssertionError(message)


def distance(one: AnyPicture | Image, other: AnyPicture | Image) -> float:
    """Return how different two pictures look: 0 for the same, about 0.5 for unrelated ones, at most 1.

    The largest of three: the share of differing bits of a difference hash (which of two neighbours on an 8×8 grid is
    brighter, across and down), the mean difference of colour on that grid, and the difference of shape (log of the
    aspect ratios). Size in pixels, encoding and slight noise do not count.
    """
    first, second = _opened(one), _opened(other)
    bits = [a != b for a, b in zip(_hash(first), _hash(second), strict=True)]
    pairs = list(zip(_colours(first), _colours(second), strict=True))
    shape = abs(math.log((first.width / first.height) / (second.width / second.height)))
    colour = sum(abs(a - b) for a, b in pairs) / (255 * len(pairs))
    return min(1.0, max(sum(bits) / len(bits), colour, shape if shape > 0.02 else 0.0))


def _hash(picture: Image) -> Iterator[bool]:
    """Yield whether each point of a grid is brighter than its neighbour to the left, then above."""
    from PIL.Image import Resampling

    grey = picture.convert("L")
    across = grey.resize((_GRID + 1, _GRID), Resampling.BOX).tobytes()
    down = grey.resize((_GRID, _GRID + 1), Resampling.BOX).tobytes()
    for row in range(_GRID):
        for column in range(_GRID):
            at = row * (_GRID + 1) + column
            yield across[at + 1] - across[at] > _STEP
            yield down[(row + 1) * _GRID + column] - down[row * _GRID + column] > _STEP


def _colours(picture: Image) -> bytes:
    from PIL.Image import Resampling

    return picture.resize((_GRID, _GRID), Resampling.BOX).tobytes()


def _opened(value: AnyPicture | Image) -> Image:
    from .images.ducks import is_pil

    if is_pil(value):
        return value.convert("RGB")
    from PIL import Image

    with Image.open(io.BytesIO(_clean(value))) as picture:  # type: ignore[arg-type]
        return picture.convert("RGB")


def _clean(value: AnyPicture) -> bytes:
    """Return a picture's bytes without the recipe that this package writes into them."""
    from .jobs import Job, Picture
    from .recipe import strip

    if isinstance(value, Job):
        if len(value) != 1:
            raise TypeError(f"job {value.id} has {len(value)} pictures: name one, such as job[0]")
        value = value[0]
    if isinstance(value, Picture):
        return value.data
    if isinstance(value, bytes):
        return strip(value)
    if isinstance(value, str | os.PathLike):
        return strip(Path(value).read_bytes())
    raise TypeError(f"{type(value).__name__} has no bytes to compare: give a picture of a job, bytes or a path")


def _name(value: Any) -> str:
    from .jobs import Picture

    if isinstance(value, str | os.PathLike):
        return str(value)
    if isinstance(value, Picture):
        return f"{value.job.id}[{value.index}] ({value.file})"  # whole, so that it can be opened
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


def _how_far(first: bytes, second: bytes) -> str:
    try:
        return f"; they look {distance(first, second):.3f} apart (0: the same, 0.5: unrelated)"
    except (OSError, ValueError):
        return "; one of them is no picture"


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
    wrong = [f"{check.cell}: {check.expr} is {check.finding}; {check.remedy}" for check in verified.problems]
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
        raise CellError(message, remedy='Run `pip install "wan-notebook[notebook]"`.') from error
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
