"""The fields as a cell, and a cell as fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.magics.names import notebook
from wan_notebook.errors import CellError, RequestError
from wan_notebook.magics import cell_parser, read_cell
from wan_notebook.panel import Form

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


FULL = """\
%%wan -i photo -i ref[0] -n 2 --size 2K --seed 5 --no-rewrite --watermark --as fox --tag one --tag "two words"
a {animal}
Negative prompt: rain"""


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        (Form(prompt="a fox"), "%%wan\na fox"),
        (Form(prompt="x", interleave=True, max_images=3, n=4), "%%wan --interleave --max-images 3\nx"),
        (Form(prompt="x", prompt_extend=False), "%%wan\nx"),  # only edits have it
        (Form(prompt="x", seed=" 5 .. 8 "), "%%wan --seed 5..8\nx"),
        (Form(prompt="x", tags="one, two  words,, one"), '%%wan --tag one --tag "two words"\nx'),
        (Form(prompt="x", provider="simulator"), "%%wan --provider simulator\nx"),
        (Form(prompt="x", seed="f()"), "%%wan\nx"),  # what cannot be written is not
        (Form().with_cell("%%wan --size 16:9 --negative {x}\na"), "%%wan --size 16:9\na\nNegative prompt: {x}"),
        (Form().with_cell(FULL), FULL),
    ],
)
def test_the_cell_is_what_a_person_would_write(form, cell):
    """Only what is not the default is written, names stay names, and the negative prompt is the last line."""
    assert str(form.cell) == cell


def test_a_cell_fills_the_form():
    """Every field is the cell's, except for the service, which stays what it was."""
    form = Form(prompt="other", provider="gateway", tags="mine", seed="7").with_cell(FULL)
    assert (form.prompt, form.negative_prompt, form.images, form.n) == ("a {animal}", "rain", ("photo", "ref[0]"), 2)
    assert (form.size, form.seed, form.prompt_extend, form.watermark) == ("2K", "5", False, True)
    assert (form.name, form.tags, form.provider) == ("fox", "one, two words", "gateway")
    assert Form.of_values(form.values) == form
    assert Form.of_values({"prompt": None, "n": "many", "junk": 1}) == Form()


@given(prompt=TEXT, negative_prompt=TEXT, tags=TEXT, name=TEXT, seed=TEXT, size=TEXT)
def test_no_text_becomes_an_option(prompt, negative_prompt, tags, name, seed, size):
    """Whatever is typed, the cell asks for nothing else than the fields say."""
    form = Form(prompt=prompt, negative_prompt=negative_prompt, tags=tags, name=name, seed=seed, size=size)
    assert "\n" not in form.cell.line
    try:
        read = cell_parser().read(form.cell.line)
        submission, _ = read_cell(read, form.cell.body, notebook())
    except (RequestError, CellError):
        return
    request = submission.requests[0]
    assert submission.requests[0].images == ()
    assert (read.options.dry_run, submission.fresh) == (False, False)
    assert (request.n, request.interleave, request.watermark) == (1, False, False)
    if not {*"{}\r"} & {*prompt}:
        assert request.prompt == prompt.strip()


def test_fields_take_the_types_of_generate():
    """What ``generate`` takes can be filled in; lists become the texts of their fields."""
    form = Form().with_fields(
        {"size": (1280, 720), "seed": range(5, 8), "tags": ["a", "b"], "n": "2", "images": "photo", "prompt": None}
    )
    assert (form.size, form.seed, form.tags, form.n, form.images) == ("1280x720", "5, 6, 7", "a, b", 2, ("photo",))
    assert Form(n=3).with_fields({"n": None}).n == 1
    with pytest.raises(CellError, match="no field promt") as caught:
        form.with_fields({"promt": "x"})
    assert "prompt" in caught.value.hint
