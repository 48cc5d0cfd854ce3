"""The main job on real input: photographs through the whole path, over HTTP, in both dialects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from wan_notebook.api import generate
from wan_notebook.jobs import Job
from wan_notebook.keys import KeyStore
from wan_notebook.money import Source
from wan_notebook.recipe import read_recipe, strip
from wan_notebook.session import Session
from wan_notebook.settings import Sources
from wan_notebook.simulator import SimulatorConfig, create_app
from wan_notebook.simulator.server import serve_in_thread

PHOTOGRAPHS = Path(__file__).parents[2] / "notebooks" / "data"
KEY = "a-key-that-must-not-be-seen"
LONG_S = 60


@pytest.fixture(params=["gateway", "dashscope"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    """A kernel with a key, and the service on a port."""
    app = create_app(SimulatorConfig(seconds=0.0, keys=frozenset({KEY})))
    with serve_in_thread(app) as url:
        variable = {"gateway": "WAN_API_KEY", "dashscope": "DASHSCOPE_API_KEY"}[request.param]
        env = {
            "WAN_PROVIDER": request.param,
            variable: KEY,
            "WAN_BASE_URL": url,
            "WAN_HOME": str(tmp_path / "wan-pictures"),
        }
        sources = Sources(env=env, cwd=tmp_path, config_path=tmp_path / "config.json", keys=KeyStore(use_keyring=False))
        made = Session(sources)
        yield made
        made.close()
        assert not app.state.simulator.keys_leaked


def check(job: Job, count: int, session: Session) -> None:
    """Every picture is on disk, whole, and says how it was made."""
    assert len(job.images) == count
    for picture in job:
        recipe = read_recipe(picture.file.read_bytes())
        assert recipe is not None
        assert recipe.task_id == picture.live.row.task_id
        assert strip(picture.file.read_bytes()) == picture.data
    source = job.cost.source
    assert source is (Source.REPORTED if session.settings().provider.name == "gateway" else Source.UNKNOWN)


def test_photographs_are_edited_with_two_images(session: Session) -> None:
    """Two photographs, two results, in the shape of the last one, exactly as many as asked."""
    cat = Image.open(PHOTOGRAPHS / "chelsea.jpg")
    job = generate("the cat by the cup", [PHOTOGRAPHS / "coffee.jpg", cat], n=2, seed=7, session=session)
    job.result(LONG_S)

    check(job, 2, session)
    width, height = job.images[0].size
    assert abs(width / height - cat.width / cat.height) < 0.03
    assert abs(width * height - 1280 * 1280) < 60_000


def test_a_picture_is_made_from_text_and_then_edited_at_2k(session: Session) -> None:
    """Without an image at most 1280×1280; the result is edited at 2K."""
    first = generate("a rocket at dawn", size="16:9", seed=1, session=session).result(LONG_S)
    second = generate("at night", first[0], size="2K", seed=2, session=session).result(LONG_S)

    check(first, 1, session)
    check(second, 1, session)
    assert first.images[0].size == (1280, 720)
    assert second.images[0].width > 2048


def test_text_is_illustrated_from_a_photograph(session: Session) -> None:
    """Texts and pictures come in the service's order, at most as many as asked."""
    job = generate(
        "the cat's day", PHOTOGRAPHS / "chelsea.jpg", interleave=True, max_images=3, seed=3, session=session
    ).result(LONG_S)

    check(job, len(job.files), session)
    assert 1 <= len(job.files) <= 3
    assert job.text
    assert [next(iter(item)) for item in job.rows[0].items][:2] == ["text", "picture"]


def test_the_key_is_in_no_file_and_no_repr(session: Session, tmp_path: Path) -> None:
    """Whatever a run writes or shows, the key is not in it."""
    job = generate("a fox", seed=5, session=session).result(LONG_S)
    shown = repr(job) + repr(session.settings()) + str(job.to_dict()) + repr(session.providers.clients)

    assert KEY not in shown
    found = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert found == []
