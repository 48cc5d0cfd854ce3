"""``wan.generate`` obeys the rules of a cell: what is wrong is said before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.engine.kit import ask, ended, rig
from wan_notebook.api import compare
from wan_notebook.errors import CellError, ImageInputError, RequestError

PHOTO = Image.new("RGB", (600, 400), "teal")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"like": PHOTO, "size": "16:9"}, "like: is the size already"),
        ({"like": PHOTO, "size": "2K"}, "then edit the result at 2K"),
        ({"like": [PHOTO, PHOTO]}, "holds 2 pictures"),
        ({"like": "nowhere.png"}, r"like = nowhere\.png: there is no file"),
        ({"seed": [1, 2], "n": 2}, "collide"),
        ({"seed": range(201)}, "more than 200 seeds"),
        ({"seed": np.zeros((2, 2))}, "seed = .*whole number.* Choose"),
        ({"n": np.arange(2)}, "n = .*whole number.* Choose"),
        ({"name": "my fox"}, "name = 'my fox'.*fox_1"),
        ({"name": "class"}, "no variable name"),
        ({"seed": 1.5}, "whole number. Choose"),
        ({"size": (1280, 720)}, "must be text. Write"),
    ],
)
def test_a_call_that_no_cell_could_make_is_refused(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    """No option is dropped or reinterpreted silently: the picture would be paid for and wrong."""
    with rig(tmp_path) as made:
        with pytest.raises(RequestError, match=words):
            ask(made.kernel(), **options)

        assert made.service.tasks_created == 0


def test_the_shape_of_a_running_job_is_not_guessed(tmp_path: Path) -> None:
    """``like`` a job that still runs says to wait for it, instead of sending another size."""
    with rig(tmp_path, seconds=1000.0) as made:
        session = made.kernel()
        running = ask(session, seed=1)
        with pytest.raises(RequestError, match=f"not finished.*%wan wait {running.id}"):
            ask(session, seed=2, like=running)


def test_seeds_and_tags_of_every_kind(tmp_path: Path) -> None:
    """Arrays and ranges are several seeds, one that is listed twice is asked once, a text is one tag."""
    with rig(tmp_path, seconds=0.0) as made:
        job = ended(ask(made.kernel(), seed=np.array([3, 4, 3]), tags="poster"))

        assert job.seeds == (3, 4)
        assert {row.tags for row in job.rows} == {("poster",)}
        assert "seed 3 is listed more than once: asked once" in job.rows[0].notes


def test_anything_that_is_an_image_is_compared(tmp_path: Path) -> None:
    """A photograph stands beside the result of it, by its file's name or its place, however small it is."""
    path = tmp_path / "cat.png"
    PHOTO.save(path)
    with rig(tmp_path, seconds=0.0) as made:
        session = made.kernel()
        job = ended(ask(session, seed=1))
        given = (PHOTO, job[0], path, np.asarray(PHOTO), Image.open(path), Image.new("P", (20, 10)))
        shown = compare(*given, session=session)
        data, _ = shown._repr_mimebundle_()

        assert [item.picture.expr for item in shown.items][::2] == ["image 1", "cat.png", "cat.png"]
        assert data["text/html"].count("<img") == 6
        assert "20×10" in data["text/html"]
        with pytest.raises(ImageInputError, match="an int, not an image"):
            compare(PHOTO, 3, session=session)
        with pytest.raises(CellError, match="compare needs pictures"):
            compare(session=session)
