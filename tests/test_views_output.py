"""The lasting output as a whole: any number of pictures and any length of text fits, and its parts agree."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import subprocess
import sys
from typing import Any

import pytest
from PIL import Image

from tests.views_samples import (
    HOSTILE,
    Page,
    as_previews,
    batch,
    card,
    each_picture,
    job,
    picture,
    picture_bytes,
    size_of,
    sweep,
)
from wan_notebook import images
from wan_notebook.states import JobState
from wan_notebook.views.gallery import bundle, pages
from wan_notebook.views.model import CardView, JobView, Preview, TextView
from wan_notebook.views.thumbs import HTML_BYTES, SHEET_BYTES, preview_plan, side_px

EVERY_STATE = [str(state) for state in JobState]


def page_of(view: CardView) -> Page:
    """Return a card's HTML as a page reads it."""
    return Page(bundle(view)[0]["text/html"])


def shown_sizes(data: dict[str, str]) -> list[tuple[int, int]]:
    """Return the real sizes of the pictures in an output."""
    found = re.findall(r'src="data:image/webp;base64,([^"]+)"', data["text/html"])
    return [Image.open(io.BytesIO(base64.b64decode(each))).size for each in found]


# ------------------------------------------------------------------ how large it is


@pytest.mark.parametrize(("count", "side"), [(1, 1024), (2, 640), (4, 640), (5, 256), (64, 256)])
def test_pictures_are_as_large_as_their_number_allows(count: int, side: int) -> None:
    """One picture at up to 1024 px, two to four at up to 640, more at 256; none is enlarged."""
    assert side_px(count) == side
    if count <= 5:
        big = picture_bytes(size=(1280, 960), kind="JPEG")
        data, _ = bundle(batch(count, data=big, width_px=1280, height_px=960))
        assert len(shown_sizes(data)) == count
        assert all(max(size) == side for size in shown_sizes(data))
    assert all(max(size) <= 320 for size in shown_sizes(bundle(batch(2))[0]))


@pytest.mark.parametrize("count", [1, 4, 16, 200])
def test_any_number_of_pictures_fits(count: int) -> None:
    """The whole output stays within 400 KB, and what is left out is counted with the command that shows it."""
    noisy = [picture_bytes(i, size=(512, 512), kind="JPEG") for i in range(2)]
    view = sweep(count, width_px=512, height_px=512)
    number = iter(range(count))
    view = each_picture(view, lambda p: dataclasses.replace(p, data=noisy[next(number) % 2]))
    made = bundle(view)
    assert size_of(made) <= HTML_BYTES
    assert len(base64.b64decode(made[0]["image/jpeg"])) <= SHEET_BYTES
    assert len(shown_sizes(made[0])) == min(count, 64)
    text = Page(made[0]["text/html"]).text
    assert (f"and {count - 64} more: %wan show a00000 --all" in text) is (count > 64)


def test_any_length_of_text_fits() -> None:
    """Prompts, articles, errors and hundreds of jobs of any length cannot push an output over its bytes."""
    long = "狐<&\u202e" * 2000
    items = (TextView(text=long * 5), picture(0), TextView(text=long))
    for view in (
        card(job(prompt=long, cell_text=long, items=items, notes=(long,) * 50, parameters=((long, long),) * 99)),
        card(job("failed", error_lines=(long,) * 50, task_id=long, request_id=long)),
        card(*[job(prompt=f"{i}{long}", items=items, notes=(f"{i}{long}",)) for i in range(20)]),
        card(*[job("failed", job_id=f"a{i}", error_lines=(long,), fingerprint_asked=long) for i in range(150)]),
    ):
        assert size_of(bundle(view)) <= HTML_BYTES
    assert "more characters: %wan show a3f9c2 --all" in page_of(card(job(items=items))).text


def test_text_makes_room_for_pictures() -> None:
    """An article whose escaped text would fill the output alone is cut, so that its picture can still be seen."""
    view = card(job(items=(TextView(text="\u202e" * 60_000), picture(0))))  # eight bytes a character
    data, _ = made = bundle(view)
    assert size_of(made) <= HTML_BYTES
    assert max(shown_sizes(data)[0]) >= 256


def test_all_pictures_can_be_had_in_several_outputs() -> None:
    """`--all` leaves nothing out: each output within its bytes, together every picture once."""
    view = sweep(70, data=picture_bytes(size=(64, 64), kind="JPEG"))
    made = pages(view)
    assert len(made) == 3
    assert all(size_of(each) <= HTML_BYTES for each in made)
    assert sum(len(shown_sizes(data)) for data, _ in made) == 70
    assert "part 2 of 3" in Page(made[1][0]["text/html"]).text
    assert len(pages(batch(2))) == 1


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16, 40, 64])
def test_a_preview_made_to_plan_goes_in_untouched(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made when a picture was saved is used as it is: a replayed card decodes and encodes nothing."""
    px, most = preview_plan(count)
    data = picture_bytes(size=(1400, 1000), kind="JPEG")
    ready = as_previews(picture(data=data, width_px=1400, height_px=1000), px, most)
    view = each_picture(
        sweep(count), lambda p: dataclasses.replace(ready, job_id=p.job_id, expr=p.expr, file=p.file, sha256=p.sha256)
    )
    view = dataclasses.replace(view, sheet=b"\xff\xd8 ready")

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("decoded")

    monkeypatch.setattr(images, "preview", never)
    monkeypatch.setattr(images, "contact_sheet", never)
    made = bundle(view)
    want = base64.b64encode(ready.previews[0].data).decode()
    assert made[0]["text/html"].count(want) == count
    assert size_of(made) <= HTML_BYTES


def test_a_preview_that_does_not_fit_is_made_anew() -> None:
    """A preview that is far too small gives way to the file; one that is too large is a cheaper source than it."""
    small = Preview(data=b"tiny", width_px=32, height_px=24)
    data, _ = bundle(batch(2, previews=(small,)))
    assert shown_sizes(data) == [(320, 240)] * 2
    large = Preview(data=picture_bytes(size=(900, 600)), width_px=900, height_px=600)
    data, _ = bundle(batch(2, previews=(large,), data=None, width_px=900, height_px=600))
    assert all(max(size) == 640 for size in shown_sizes(data))


# ------------------------------------------------------------------ the rest of the bundle


def test_the_other_parts_of_an_output() -> None:
    """Plain text names each picture's file from the notebook's folder; the JPEG is one picture of all of them."""
    data, metadata = bundle(batch(3))
    assert set(data) == {"text/html", "text/plain", "image/jpeg"}
    assert "wan-pictures/2026-11-24/1432-a-fox-s5-3.png" in data["text/plain"]
    assert "/home/ann" not in json.dumps([data, metadata])
    sheet = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))
    assert sheet.format == "JPEG"
    assert "image/jpeg" not in bundle(card(job("failed")))[0]


def test_metadata_names_jobs_and_pictures() -> None:
    """A program can tell from the output which jobs, requests and files it shows."""
    _, metadata = bundle(batch(2))
    assert metadata == {
        "wan": {
            "schema": 1,
            "jobs": [
                {
                    "id": "a3f9c2",
                    "state": "saved",
                    "fingerprint_asked": "wan1:sha256:" + "a" * 64,
                    "fingerprint_sent": "wan1:sha256:" + "b" * 64,
                    "sha256": [f"{0:064x}", f"{1:064x}"],
                }
            ],
        }
    }
    assert bundle(card(*[job("failed")] * 400))[1]["wan"]["jobs_left_off"] > 0


def test_the_same_card_gives_the_same_output() -> None:
    """A notebook that is run again does not change where nothing changed."""
    assert bundle(batch(2)) == bundle(batch(2))


def test_a_card_needs_a_job() -> None:
    """An empty card is a mistake of the caller's, and is said to be one."""
    with pytest.raises(ValueError, match="at least one job"):
        CardView(jobs=())


def test_static_views_need_no_widget_library() -> None:
    """What is shown lastingly works where no widget library is installed or loaded."""
    modules = "article compare costs dryrun figures gallery live looks model record tables terminal thumbs trouble"
    imports = ",".join(f"wan_notebook.views.{name}" for name in modules.split())
    heavy = ("anywidget", "ipywidgets", "IPython", "httpx", "sqlalchemy", "PIL")
    code = f"import sys,{imports}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_the_needed_fields() -> None:
    """A job with nothing but its id and state is a card."""
    for state in EVERY_STATE:
        Page(bundle(CardView(jobs=(JobView(job_id="a3f9c2", state=state),)))[0]["text/html"]).assert_harmless()
    assert "a state of tomorrow" in page_of(card(job("a_state_of_tomorrow"))).text


def test_hostile_text_is_shown_and_not_dropped() -> None:
    """Neutralising keeps the words: the person can see what the text was."""
    text = page_of(card(job("failed", error_lines=(HOSTILE,)))).text
    assert "<img src=x onerror=\"document.title='pwned'\"></script><b>" in text
