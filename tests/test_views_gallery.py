"""The lasting card: everything is said, nothing acts, and any number of pictures fits."""

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
    article,
    as_previews,
    batch,
    card,
    each_picture,
    job,
    picture,
    picture_bytes,
    poisoned,
    size_of,
    sweep,
)
from wan_notebook import images
from wan_notebook.states import JobState
from wan_notebook.views.gallery import bundle, pages
from wan_notebook.views.looks import LOOKS
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


def samples() -> dict[str, CardView]:
    """Return a card of each kind."""
    ends = {state: card(job(state, error_lines=("It broke.",), task_id="t-1")) for state in EVERY_STATE}
    return {**ends, "one": card(), "batch": batch(3), "sweep": sweep(6), "article": article()}


# ------------------------------------------------------------------ what it says


def test_one_picture_says_everything() -> None:
    """Seed, size in px, cost, time, the expression to paste and the link to the full file stand under a picture."""
    page = page_of(card())
    for said in ("✓ saved", "text to image", "seed 5", "320×240 px", "$0.03", "3.2 s", "fox[0]", "full file", "a3f9c2"):
        assert said in page.text
    assert page.all("a")[0]["href"] == "wan-pictures/2026-11-24/1432-a-fox-s5-1.png"
    (image,) = page.all("img")
    assert image["alt"] == "fox[0], seed 5: A fox asleep in fresh snow"
    assert (image["width"], image["height"]) == ("320", "240")
    assert "max-width:100%;height:auto" in (image["style"] or "")


def test_pictures_that_share_a_seed_say_which_they_are() -> None:
    """Several pictures of one task share a seed: the caption says so, and that the prompt was rewritten."""
    page = page_of(batch(4))
    for i in range(4):
        assert f"fox[{i}] · seed 5 · {i + 1} of 4, one batch · rewrite on" in page.text
    assert page.text.count("rewrite on ·") == 4


def test_stored_and_practice_pictures_say_so() -> None:
    """A replay is marked with its date and the way to a new picture; a practice picture says why it is one."""
    view = job(
        items=(picture(),),
        replay_text="from store · $0.00 · 24 Nov",
        again_text="run again for a new picture",
        simulated_note="No key found (looked in WAN_API_KEY): practice picture. `%wan login`",
    )
    page = page_of(card(view))
    assert "from store · $0.00 · 24 Nov · run again for a new picture" in page.text
    assert "practice picture. %wan login" in page.text
    assert {"dir": "ltr"} in page.all("code")


def test_illustrated_text_reads_as_an_article() -> None:
    """Texts and pictures stand in the service's order, headings and bold are read, the rest is text."""
    text = page_of(article()).text
    order = [text.index(piece) for piece in ("First", "Before dawn.", "fox[0]", "Then noon.", "fox[1]", "Prompt and")]
    assert order == sorted(order)
    assert "**" not in text


def test_a_success_without_pictures_shows_its_text() -> None:
    """A success with no picture is said to have none, and its text is there."""
    text = page_of(card(job(items=(TextView(text="I would rather describe it."),)))).text
    assert "saved · 0 pictures" in text
    assert "I would rather describe it." in text


def test_what_is_missing_is_counted() -> None:
    """Pictures that were asked for and not delivered, a lost file, and notes are all stated."""
    view = job(items=(picture(0), picture(1, data=None)), missing=2, notes=("image 1 was reduced",))
    page = page_of(card(view))
    assert "2 pictures that were asked for were not delivered." in page.text
    assert "The file is missing: wan-pictures/2026-11-24/1432-a-fox-s5-2.png" in page.text
    assert "Note: image 1 was reduced" in page.text
    assert len(page.all("img")) == 1


def test_a_picture_that_cannot_be_read_hides_no_other() -> None:
    """Bytes that are no picture, and a video, become a line with a link; the others are shown."""
    broken, video = picture(1, data=b"no picture"), picture(2, kind="video", data=b"....")
    page = page_of(card(job(items=(picture(0), broken, video))))
    assert len(page.all("img")) == 1
    assert "cannot be shown as a picture" in page.text
    assert "video, kept as a file" in page.text


@pytest.mark.parametrize("state", ["refused", "failed", "cancelled", "in_doubt", "expired"])
def test_an_end_without_pictures_is_honest(state: str) -> None:
    """What happened, what it cost and what to do next; doubt and expiry never claim that nothing was paid."""
    page = page_of(card(job(state, error_lines=("The prompt was found inappropriate.",), most_text="up to $0.12")))
    assert "What happened" in page.text
    assert "The prompt was found inappropriate." in page.text
    assert "What next" in page.text
    free = state in ("refused", "failed", "cancelled")
    assert ("Nothing:" in page.text) is free
    assert ("Unknown:" in page.text) is not free


def test_doubt_offers_three_ways_and_takes_none() -> None:
    """The three choices are commands to paste, with what each can cost."""
    text = page_of(card(job("in_doubt"))).text
    for command in ("adopt TASK", "again", "abandon"):
        assert f"%wan resolve a3f9c2 {command}" in text
    assert "adopt t-9" in page_of(card(job("in_doubt", task_id="t-9"))).text


@pytest.mark.parametrize("state", EVERY_STATE)
def test_a_state_is_a_word_and_an_icon(state: str) -> None:
    """A state never speaks by colour alone, and its word is its name."""
    text = page_of(card(job(state))).text
    assert text.startswith(f"{LOOKS[state].icon} {LOOKS[state].word}")
    assert LOOKS[state].word.replace(" ", "_") == state or state == "intent"


def test_colours_can_be_seen_on_light_and_dark() -> None:
    """Each tone keeps a contrast of 3:1 on white and on JupyterLab's dark ground; text takes the page's own colour."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for seen in LOOKS.values():
        for ground in ("#ffffff", "#111111"):
            light, dark = sorted((luminance(seen.tone), luminance(ground)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3, (seen.word, ground)
    html = "".join(bundle(view)[0]["text/html"] for view in samples().values())
    used = set(re.findall(r"[;\"]color:([^;\"]+)", html))
    assert used <= {"inherit", *(seen.tone for seen in LOOKS.values())}


def test_several_jobs_are_one_grid_with_the_total() -> None:
    """A sweep is labelled by seed, says its total first, and keeps a place for what failed or still runs."""
    jobs = list(sweep(6).jobs)
    jobs[3] = job("failed", seed=3, error_lines=("Inappropriate.",))
    jobs[4] = job("in_doubt", seed=4, job_id="beef01")
    page = page_of(card(*jobs, title="seeds 0–5", total_text="$0.12 reported"))
    assert page.text.startswith(
        "? 4 saved, 1 failed, 1 in doubt · seeds 0–5 · text to image · 4 pictures · total $0.12"
    )
    order = [
        page.text.index(p) for p in ("s[2] · seed 2", "✕ failed", "seed 3", "Inappropriate.", "? in doubt", "s[5]")
    ]
    assert order == sorted(order)
    assert "%wan show beef01" in page.text
    assert "Seeds 0, 1, 2, 3, 4, 5" in page.text


def test_jobs_of_several_pictures_stand_under_their_own_lines() -> None:
    """Several edits with two pictures each are sections named by their seed."""
    jobs = [
        job(job_id=f"a{i}", seed=i, items=(picture(0, expr=f"a{i}[0]"), picture(1, expr=f"a{i}[1]"))) for i in (7, 8)
    ]
    text = page_of(card(*jobs)).text
    order = [text.index(piece) for piece in ("seed 7", "a7[0]", "a7[1]", "seed 8", "a8[0]", "a8[1]")]
    assert order == sorted(order)


def test_the_prompt_and_its_parameters_are_folded_below() -> None:
    """Prompt, negative prompt, parameters, tags and the cell that asks the same are there in full."""
    view = job(
        items=(picture(),),
        prompt="two\nlines",
        negative_prompt="text",
        parameters=(("Size", "1280*1280"),),
        tags=("figure-2",),
        cell_text="%%wan --seed 5\ntwo\nlines",
        rewrite=False,
    )
    page = page_of(card(view))
    assert "details" in {tag for tag, _ in page.tags}
    for said in (
        "Prompt two lines",
        "Negative prompt text",
        "1280*1280",
        "figure-2",
        "%%wan --seed 5 two",
        "Rewrite off",
    ):
        assert said in page.text


# ------------------------------------------------------------------ what it may not do


@pytest.mark.parametrize("name", samples())
def test_it_needs_no_styles_scripts_or_classes(name: str) -> None:
    """Only elements and attributes that a sanitiser leaves; without any style the same text is read, separated."""
    html = bundle(samples()[name])[0]["text/html"]
    page = Page(html)
    page.assert_harmless()
    assert Page(re.sub(r' style="[^"]*"', "", html)).text == page.text
    for image in page.all("img"):
        assert image["alt"]
        assert int(image["width"] or 0) > 0
        assert int(image["height"] or 0) > 0


@pytest.mark.parametrize("name", samples())
def test_hostile_text_everywhere_stays_text(name: str) -> None:
    """Every field of every card may hold markup, overrides, half characters: nothing of it acts."""
    data, metadata = bundle(poisoned(samples()[name]))
    page = Page(data["text/html"])
    page.assert_harmless()
    assert "onerror" in page.text
    for text in (data["text/html"], data["text/plain"]):
        text.encode("utf-8")
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", text)
    json.dumps(metadata)


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
