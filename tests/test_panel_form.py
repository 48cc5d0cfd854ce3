"""The panel's fields as a cell, and a cell as the panel's fields."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.cell import DictResolver, read_cell
from wan_notebook.errors import CellError, RequestError
from wan_notebook.inputs import InputImage
from wan_notebook.panel.form import Form, cell_of, form_of_cell, size_name, tags_of
from wan_notebook.panel.reading import preview_of, read_form
from wan_notebook.rules import Mode

TEXT = st.text(st.characters(blacklist_categories=("Cs",)), max_size=60)
WORD = InputImage(name="photo", identity="x", data=b"", mime="image/png", width_px=600, height_px=400)
NAMES = {"photo": WORD, "ref": replace(WORD, name="ref"), "animal": "fox", "n5": 5, "many": {"k": 1}}


def read(form: Form) -> object:
    """Read a form as the panel does."""
    return read_form(form, DictResolver(NAMES))


def test_a_form_is_the_cell_that_a_person_would_write() -> None:
    """Only what is not the default is written, names stay names, and the negative prompt is the last line."""
    form = Form(prompt="a {animal}", negative="rain", images=("photo", "ref"), n=2, seed="5", rewrite=False, name="fox",
                tags="one, two words", size="2K", watermark=True, provider="simulator")  # fmt: skip
    assert cell_of(form).text == (
        "%%wan -i photo -i ref -n 2 --size 2K --seed 5 --no-rewrite --watermark --as fox --tag one"
        ' --tag "two words" --provider simulator\na {animal}\nNegative prompt: rain'
    )
    assert cell_of(Form(prompt="a fox")).text == "%%wan\na fox"
    assert cell_of(Form(prompt="x", interleave=True, max_images=3)).text == "%%wan --interleave --max-images 3\nx"


def test_the_cell_reads_back_to_the_same_fields() -> None:
    """Recall of a panel's own cell gives the panel's fields; tags and name with them; the service stays what it was."""
    form = Form(
        prompt="a fox\nin snow", negative="rain", images=("photo",), n=3, size="16:9", seed="5..8", rewrite=False
    )
    base = Form(provider="gateway", tags="mine", name="keep", prompt="other", watermark=True)
    assert form_of_cell(cell_of(form).text, base) == replace(form, provider="gateway")


@given(prompt=TEXT, negative=TEXT, tags=TEXT, name=TEXT, seed=TEXT, size=TEXT)
def test_no_text_becomes_an_option(prompt: str, negative: str, tags: str, name: str, seed: str, size: str) -> None:
    """Whatever is typed, the cell asks for nothing else than the fields say: no option is smuggled in by a text."""
    form = Form(prompt=prompt, negative=negative, tags=tags, name=name, seed=seed, size=size)
    cell = cell_of(form)
    assert "\n" not in cell.line
    try:
        call = read_cell(cell.line, cell.body, DictResolver({}))
    except (RequestError, CellError):
        return
    request = call.requests[0]
    assert call.image_expressions == ()
    assert (request.n, request.interleave, request.watermark, call.fresh, call.dry_run) == (
        1,
        False,
        False,
        False,
        False,
    )
    if "{" not in prompt and "}" not in prompt:
        expected = prompt.replace("\r\n", "\n").replace("\r", "\n").strip()
        assert request.prompt == expected
    if "{" not in tags and "}" not in tags:
        assert call.tags == tags_of(tags)


@pytest.mark.parametrize("seed", ["5 --watermark", "__import__('os')", "f()", "-1", "1.5", "5;6", "[1]"])
def test_a_seed_runs_no_code_and_is_refused_beside_its_field(seed: str) -> None:
    """Typing is looked at many times a second: only numbers, ranges, lists and names are ever evaluated."""
    found = read(Form(prompt="a fox", seed=seed))
    assert found.call is None
    assert "is no seed" in found.problems["seed"][0]


@pytest.mark.parametrize(("seed", "expected"), [("5", [5]), ("5..7", [5, 6, 7]), ("5, 9", [5, 9]), ("n5", [5])])
def test_seeds_are_numbers_ranges_lists_and_names(seed: str, expected: list[int]) -> None:
    """What a cell's --seed takes, the field takes."""
    assert [request.seed for request in read(Form(prompt="a fox", seed=seed)).call.requests] == expected


def test_every_problem_stands_at_its_field() -> None:
    """All problems are found together, each under the field that a person can mend."""
    form = Form(
        prompt="a {animl}", images=("photo", "nothing"), n=9, size="5000x100", seed="x y", name="1st", tags="{b"
    )
    problems = read(form).problems
    assert set(problems) == {"prompt", "images", "n", "size", "seed", "name", "tags"}
    assert "Nearest: animal" in problems["prompt"][0]
    assert "--raw" not in " ".join(line for lines in problems.values() for line in lines)


def test_an_untouched_form_is_no_error_yet() -> None:
    """A form without a prompt says what to do, in a calm tone; any other problem is a problem."""
    assert read(Form()).is_untouched
    assert read(Form()).problems == {"prompt": ("Write what the picture shows.",)}
    assert not read(Form(n=0)).is_untouched


def test_lengths_are_those_of_the_text_that_is_sent() -> None:
    """Names are resolved before the characters are counted, by code points; 2000 pass, 2001 do not."""
    found = read(Form(prompt="{animal} 狐😀", negative="雨"))
    assert (found.characters, found.negative_characters) == (6, 1)
    assert read(Form(prompt="狐" * 2000)).call is not None
    assert "2001 characters" in read(Form(prompt="狐" * 2001)).problems["prompt"][0]


def test_names_are_shown_resolved_and_unknown_ones_marked() -> None:
    """The preview tells text, values and unknown names apart; a text without braces needs none."""
    pieces = preview_of("a {animal} {{x}} {nope} {many[k]}", NAMES)
    assert pieces == (
        ("text", "a "), ("value", "fox"), ("text", " "), ("text", "{"), ("text", "x"), ("text", "}"), ("text", " "),
        ("unknown", "{nope}"), ("text", " "), ("value", "1"),
    )  # fmt: skip
    assert preview_of("plain", NAMES) == ()


@given(text=st.text(alphabet="{}a: \n!.[]", max_size=40))
def test_the_preview_never_fails(text: str) -> None:
    """Half-typed braces are shown as they are."""
    assert isinstance(preview_of(text, {"a": 1}), tuple)


def test_the_mode_follows_the_input() -> None:
    """No picture: text to image; pictures: edit; the switch: illustrated text. What a mode lacks is not written."""
    assert Form().mode is Mode.TEXT_TO_IMAGE
    assert Form(images=("photo",)).mode is Mode.EDIT
    assert Form(images=("photo",), interleave=True).mode is Mode.ILLUSTRATED
    assert cell_of(Form(prompt="x", rewrite=False)).line == ""
    assert cell_of(Form(prompt="x", interleave=True, n=4)).line == "--interleave"


def test_a_prompt_that_ends_like_a_negative_one_stays_a_prompt() -> None:
    """The last line belongs to whom it was typed for."""
    found = read(Form(prompt="a sign:\nNegative prompt: none")).call.requests[0]
    assert found.prompt == "a sign:\nNegative prompt: none"
    assert found.negative_prompt == ""


def test_sizes_have_their_names_back() -> None:
    """A size that stands in the table of ratios is shown as its ratio, others with their pixels."""
    assert (size_name("1280*720"), size_name("1000*800"), size_name("2k")) == ("16:9", "1000x800", "2K")


def test_what_is_no_cell_cannot_be_recalled() -> None:
    """A text without the magic is refused, not half-read."""
    with pytest.raises(CellError):
        form_of_cell("a fox", Form())
