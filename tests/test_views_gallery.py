"""The lasting card: everything is said, and nothing acts."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from tests.views_samples import (
    Page,
    article,
    batch,
    card,
    job,
    picture,
    poisoned,
    sweep,
)
from wan_notebook.states import JobState
from wan_notebook.views.gallery import bundle
from wan_notebook.views.looks import LOOKS, total_phrase
from wan_notebook.views.model import CardView, TextView
from wan_notebook.views.terminal import card_text

EVERY_STATE = [str(state) for state in JobState]


def page_of(view: CardView) -> Page:
    """Return a card's HTML as a page reads it."""
    return Page(bundle(view)[0]["text/html"])


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
        simulated_note="practice picture: no key · `%wan login`",
    )
    page = page_of(card(view))
    assert "from store · $0.00 · 24 Nov · run again for a new picture" in page.text
    assert "practice picture: no key · %wan login" in page.text
    assert {"dir": "ltr"} in page.all("code")


def test_several_jobs_say_once_how_many_came_from_the_store() -> None:
    """A sweep that was served says so in one line, HTML and text alike; a part of it is counted."""
    said = "from store · $0.00 · 24 Nov"
    whole = [replace(view, replay_text=said) for view in sweep(3).jobs]
    seedless = card(replace(whole[0], again_text="run again for a new picture"), *whole[1:])
    partly = card(*whole[:2], *sweep(3).jobs[2:], total_text="$0.03 reported")

    assert page_of(seedless).text.count(said) == 1
    assert f"{said} · run again for a new picture" in page_of(seedless).text
    assert card_text(seedless).splitlines()[:2] == [
        f"✓ 3 saved · 3 pictures · {said}", "  run again for a new picture",
    ]  # fmt: skip
    for text in (page_of(partly).text, card_text(partly)):
        assert "total $0.03 reported" in text
        assert f"2 of 3 {said}" in text


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


@pytest.mark.parametrize(
    ("text", "said"),
    [("3 unknown", "price unknown"), ("$0.12 reported + 1 unknown", "total $0.12 reported + 1 unknown"), ("", "")],
)
def test_a_total_of_nothing_known_says_so(text: str, said: str) -> None:
    """What has no price at all is 'price unknown', as for one job, never a number of unknowns called a total."""
    assert total_phrase(card(*sweep(3).jobs, total_text=text)) == said


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
