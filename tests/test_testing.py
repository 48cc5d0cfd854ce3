"""`wan_notebook.testing`: what people's own tests rely on."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbval.plugin import get_sanitize_patterns
from PIL import Image, ImageFilter

from tests import bundle_kit
from tests.bundle_kit import Project, png
from tests.environment import ROOT
from wan_notebook import testing
from wan_notebook.api import generate
from wan_notebook.errors import ReplayError
from wan_notebook.present import Presenter
from wan_notebook.recipe import Recipe, embed
from wan_notebook.session import Session
from wan_notebook.settings import Sources
from wan_notebook.testing import (
    SANITIZE,
    assert_same_picture,
    assert_similar,
    check_notebook,
    distance,
    replay_environment,
)
from wan_notebook.views.gallery import bundle

project = bundle_kit.project
wan_replay_only = testing.wan_replay_only  # people get it as a plugin
CUP = ROOT / "notebooks" / "data" / "coffee.jpg"
PHOTO = ROOT / "notebooks" / "data" / "chelsea.jpg"


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return a picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def photo() -> Image.Image:
    """A real photograph."""
    with Image.open(PHOTO) as picture:
        return picture.convert("RGB")


# ------------------------------------------------------------------ the same picture


def test_the_recipe_does_not_count(tmp_path: Path) -> None:
    """A file with its recipe, the same without, and the bytes are one picture."""
    plain = png(1)
    with_recipe = embed(plain, Recipe(model="m", provider="p", mode="edit", prompt="a fox"))
    (tmp_path / "a.png").write_bytes(with_recipe)

    assert_same_picture(plain, with_recipe)
    assert_same_picture(tmp_path / "a.png", plain)
    assert_same_picture(str(tmp_path / "a.png"), plain)


def test_other_bytes_are_another_picture(photo: Image.Image, tmp_path: Path) -> None:
    """The same pixels in another encoding are not the same bytes; the message says how near they look."""
    one, other = encoded(photo), encoded(photo, compress_level=1)
    with pytest.raises(AssertionError, match=r"differ: .*look 0\.000 apart"):
        assert_same_picture(one, other)
    (tmp_path / "no.png").write_text("no picture")
    with pytest.raises(AssertionError, match=r"no\.png is .*one of them is no picture"):
        assert_same_picture(tmp_path / "no.png", one)


def test_jobs_and_their_pictures_can_be_compared(project: Project) -> None:
    """A picture of a job, or a job with one picture, stands for its bytes; of several, one must be named."""
    row, two = project.job(), project.job("two", seed=6, pictures=2)
    env = {"WAN_HOME": str(project.store.folder)}
    session = Session(Sources(env=env, cwd=project.root, config_path=project.root / "config.json"))
    job, several = session.job(row.id), session.job(two.id)

    assert_same_picture(job, job[0])
    assert_same_picture(job[0], project.file(row))
    assert_similar(job, job[0], max_distance=0)
    with pytest.raises(TypeError, match="2 pictures"):
        assert_same_picture(several, job)
    with pytest.raises(TypeError, match="int has no bytes"):
        assert_same_picture(5, job)  # type: ignore[arg-type]
    session.close()


# ------------------------------------------------------------------ similar pictures


def test_what_looks_the_same_is_near(photo: Image.Image) -> None:
    """Encoding, size, slight noise and blur keep a picture near itself."""
    assert distance(photo, photo) == 0
    small = photo.resize((photo.width // 3, photo.height // 3))
    for other in (
        encoded(photo, "JPEG", quality=60),
        encoded(photo, "WEBP"),
        small,
        photo.filter(ImageFilter.BoxBlur(2)),
    ):
        assert_similar(photo, other)
        assert distance(photo, other) == distance(other, photo) < 0.06


def test_what_looks_different_is_far(photo: Image.Image) -> None:
    """Another picture, mirrored, negative, turned, cropped or of other colours is none that looks alike."""
    with Image.open(ROOT / "notebooks" / "data" / "coffee.jpg") as picture:
        coffee = picture.convert("RGB")
    red, green, blue = photo.split()
    others = [
        coffee,
        photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        photo.transpose(Image.Transpose.ROTATE_180),
        photo.point(lambda value: 255 - value),
        photo.crop((0, 0, photo.width // 2, photo.height)),
        Image.merge("RGB", (blue, red, green)).point(lambda value: value // 2),
    ]
    for other in others:
        with pytest.raises(AssertionError, match="apart, more than"):
            assert_similar(photo, other)


def test_flat_pictures_differ_by_their_colour() -> None:
    """Two plain colours have no edges to compare: their colour decides, and noise of a few levels does not."""
    red, blue = Image.new("RGB", (64, 64), (200, 0, 0)), Image.new("RGB", (64, 64), (0, 0, 200))
    noisy = Image.new("RGB", (64, 64), (201, 1, 2))
    assert distance(red, blue) > 0.3
    assert distance(red, noisy) < 0.02


# ------------------------------------------------------------------ replay only


def test_nothing_can_be_bought(
    project: Project, monkeypatch: pytest.MonkeyPatch, wan_replay_only: Mapping[str, str]
) -> None:
    """Under the fixture stored pictures are shown, real and practice ones, and anything else is an error."""
    monkeypatch.setenv("WAN_HOME", str(project.store.folder))
    assert replay_environment({"WAN_API_KEY": "k"}).items() <= wan_replay_only.items()
    real = project.job("a fox", seed=5)
    practice = project.job("an owl", seed=6, simulated=True, provider="simulator", cost=None)
    session = Session(Sources(cwd=project.root, config_path=project.root / "config.json"))

    assert generate("a fox", seed=5, session=session).id == real.id
    assert generate("an owl", seed=6, session=session).id == practice.id
    with pytest.raises(ReplayError):
        generate("a fox", seed=7, session=session)
    session.close()


PLUGIN_TEST = """
import os
pytest_plugins = ["wan_notebook.testing"]

def test_inside(wan_replay_only):
    assert os.environ["WAN_REPLAY"] == wan_replay_only["WAN_REPLAY"] == "only"
    assert "WAN_API_KEY" not in os.environ
    assert "WAN_API_KEY" not in wan_replay_only

def test_outside():
    assert os.environ.get("WAN_REPLAY") == os.environ.get("EXPECTED")
    assert ("WAN_API_KEY" in os.environ) == ("EXPECTED" not in os.environ)
"""


def test_the_plugin_in_a_run_of_its_own(tmp_path: Path) -> None:
    """The fixture holds for its test; --wan-replay-only for the whole run and every kernel that it starts."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["wan_notebook.testing"]\n')
    (tmp_path / "test_it.py").write_text(PLUGIN_TEST.replace('pytest_plugins = ["wan_notebook.testing"]\n', ""))
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "."]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "WAN_API_KEY": "k"}
    plain = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    (tmp_path / "conftest.py").unlink()
    whole = subprocess.run(
        [*run, "-p", "wan_notebook.testing", "--wan-replay-only"],
        cwd=tmp_path, env={**env, "EXPECTED": "only"}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert plain.returncode == 0, plain.stdout
    assert whole.returncode == 0, whole.stdout


def test_an_installed_package_is_a_plugin(tmp_path: Path) -> None:
    """Where the package is installed, fixture and option are there by themselves, also if a conftest names it too."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]
    site = tmp_path / "site" / "installed-1.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1\n")
    lines = [f"{name} = {module}" for name, module in declared.items()]
    (site / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    (tmp_path / "test_it.py").write_text(PLUGIN_TEST.replace('pytest_plugins = ["wan_notebook.testing"]\n', ""))
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "--wan-replay-only", "."]
    paths = os.pathsep.join([str(site.parent), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": paths, "WAN_API_KEY": "k", "EXPECTED": "only"}
    for conftest in ("", 'pytest_plugins = ["wan_notebook.testing"]\n'):
        (tmp_path / "conftest.py").write_text(conftest)
        done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "asked",
    [{"prompt": "a fox", "seed": 5}, {"prompt": "owls", "n": 2}, {"prompt": "a cup", "n": 2, "images": [CUP]},
     {"prompt": "a story", "interleave": True, "max_images": 2}, {"prompt": "boats", "seed": [1, 2]}],
    ids=["one", "several", "batch", "article", "sweep"],
)  # fmt: skip
def test_nbval_takes_a_replay_for_the_run_that_it_repeats(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With our file of patterns the outputs of a first run and of one from the store are the same, but for pictures."""
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "0")
    shown = []
    for named in (False, True):
        if named:
            monkeypatch.setenv("WAN_PROVIDER", "simulator")
        session = Session()
        job = generate(session=session, **asked).result()
        data, _ = bundle(Presenter(session, session.need_home()).card(job))
        session.close()
        shown.append({kind: sanitized(data[kind]) for kind in ("text/html", "text/plain")})

    assert "from store" in data["text/plain"]
    assert shown[0] == shown[1]


def sanitized(text: str) -> str:
    """Return a text as nbval compares it."""
    for pattern, replacement in get_sanitize_patterns(SANITIZE.read_text("utf-8")):
        text = re.sub(pattern, replacement, text)
    return text


# ------------------------------------------------------------------ whole notebooks


def execute(path: Path, *cells: str) -> Path:
    """Run cells on the simulator in the notebook's folder and save them with their outputs."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    env = {**os.environ, "WAN_PROVIDER": "simulator", "WAN_SIMULATOR_SECONDS": "0", "PYTHONPATH": str(ROOT)}
    NotebookClient(made, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute(env=env)
    nbformat.write(made, path)
    return path


@pytest.mark.notebook
@pytest.mark.timeout(300)
def test_a_notebook_is_checked_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs without a purchase and shows the very pictures that were saved; each way in which it may not is told."""
    monkeypatch.delenv("WAN_HOME")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    folder = tmp_path / "study"
    folder.mkdir()
    path = execute(folder / "a.ipynb", "%load_ext wan_notebook", "%%wan --seed 5\na fox", "%%wan\na seedless owl")
    before = path.read_bytes()
    found = check_notebook(path)
    assert (found.cells, found.pictures) == (3, 2)
    assert path.read_bytes() == before

    other = json.loads(before)
    other["cells"][1]["source"] = "%%wan --seed 6\na fox"
    (folder / "b.ipynb").write_text(json.dumps(other))
    with pytest.raises(AssertionError, match=r"does not run: ReplayError: .*no answer"):
        check_notebook(folder / "b.ipynb")

    other["cells"][1]["source"] = "1 + 1"
    (folder / "c.ipynb").write_text(json.dumps(other))
    with pytest.raises(AssertionError, match="code cell 2: shows no picture, and 1 was saved"):
        check_notebook(folder / "c.ipynb")

    other["cells"][1] = {**json.loads(before)["cells"][1], "outputs": []}
    (folder / "d.ipynb").write_text(json.dumps(other))
    with pytest.raises(AssertionError, match="code cell 2: shows 1 picture, and none were saved"):
        check_notebook(folder / "d.ipynb")

    next((folder / "wan-pictures").rglob("*fox*.png")).unlink()
    with pytest.raises(AssertionError, match="is missing"):
        check_notebook(path)


def test_what_is_no_notebook_fails_the_test(tmp_path: Path) -> None:
    """A path that leads nowhere fails with the reader's words."""
    with pytest.raises(AssertionError, match=r"none\.ipynb cannot be read"):
        check_notebook(tmp_path / "none.ipynb")
