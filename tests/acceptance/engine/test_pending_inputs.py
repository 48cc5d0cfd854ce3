"""Pictures of jobs that still run, as inputs: the cell goes on at once, and the right picture is sent later."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.kit import ask, ended, rig
from wan_notebook.cell_images import pictures_of
from wan_notebook.errors import ImageInputError
from wan_notebook.inputs import PendingImage
from wan_notebook.request import ImageRequest
from wan_notebook.session import Order


@pytest.mark.parametrize(
    ("text", "part", "index"),
    [("p[1]", 1, 0), ("p[-1]", 2, 0), ("d['key'][0]", 0, 0), ("[p[2]]", 2, 0), ("edit[-1]", 0, -1), ("edit[1]", 0, 1)],
)
def test_an_index_does_not_wait_for_the_job(tmp_path: Path, text: str, part: int, index: int) -> None:
    """``-i p[1]``, as captions print it, names the picture that will be made; looking it up must not hold up a cell."""
    with rig(tmp_path, seconds=1000.0) as made:
        session = made.kernel()
        source = ask(session, seed=1)
        names = {"p": ask(session, seed=5, n=3), "edit": ask(session, images=source, n=2, seed=8)}
        names["d"] = {"key": names["p"]}  # type: ignore[assignment]
        (found,) = pictures_of(text, session.resolver(names))

        assert isinstance(found, PendingImage)
        job = names["edit" if "edit" in text else "p"]
        assert (found.job_id, found.index) == (job.lives[part].id, index)
        assert not job.is_done


def test_the_picture_that_was_named_is_the_one_that_is_sent(tmp_path: Path) -> None:
    """Once the other job is over, its second picture goes out, not its first."""
    with rig(tmp_path, seconds=5.0) as made:
        session = made.kernel()
        both = ask(session, seed=5, n=2)
        (second,) = pictures_of("both[1]", session.resolver({"both": both}))
        request = ImageRequest(prompt="at night", images=(second,), seed=9)
        edit = ended(session.submit(Order((request,), place=session.place())))

        assert edit.status == "saved"
        assert edit.rows[0].inputs[0].source_job == both.lives[1].id


def test_an_index_that_is_not_there_lists_the_choices(tmp_path: Path) -> None:
    """The error names what can be typed instead, whether the job is over or not."""
    with rig(tmp_path, seconds=1.0) as made:
        session = made.kernel()
        job = ended(ask(session, seed=5, n=2))
        for running in (job, ask(session, seed=50, n=2)):
            for index in (2, -3):
                with pytest.raises(ImageInputError, match=r"2 pictures.* Choose one: p\[0\], p\[1\]"):
                    pictures_of(f"p[{index}]", session.resolver({"p": running}))
