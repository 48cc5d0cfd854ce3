"""The fields as a cell, and a cell as fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.magics.names import notebook
from wan_notebook.errors import CellError, RequestError
from wan_notebook.magics import cell_parser, read_cell
from wan_notebook.panel import FIELDS, cell_of_values, read_values, values_of_cell

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


FULL = """\
%%wan -i photo -i ref[0] -n 2 --size 2K --seed 5 --no-rewrite --watermark --as fox --tag one --tag "two words"
a {animal}
Negative prompt: rain"""


SET = "%%wan -i fox -n 4 --model wan2.7-image-pro --size 1K --sequential\na"


@pytest.mark.parametrize(
    ("values", "cell"),
    [
        ({}, "%%wan\nx"),
        ({"interleave": True, "max_images": 3, "n": 4}, "%%wan --interleave --max-images 3\nx"),
        ({"prompt_extend": False}, "%%wan\nx"),  # only edits have it
        ({"model": "wan2.7-image", "thinking": False, "n": 3}, "%%wan -n 3 --model wan2.7-image --no-thinking\nx"),
        ({"model": "wan2.7-image", "interleave": True, "prompt_extend": False}, "%%wan --model wan2.7-image\nx"),
        ({"model": "wan2.7-image", "sequential": True, "n": 9}, "%%wan -n 9 --model wan2.7-image --sequential\nx"),
        ({"model": "wan2.6-t2i", "prompt_extend": False}, "%%wan --model wan2.6-t2i --no-rewrite\nx"),
        ({"sequential": True, "thinking": False}, "%%wan\nx"),
        ({"seed": " 5 .. 8 "}, "%%wan --seed 5..8\nx"),
        ({"tags": "one, two  words,, one"}, '%%wan --tag one --tag "two words"\nx'),
        ({"provider": "simulator"}, "%%wan --provider simulator\nx"),
        ({"seed": "f()"}, "%%wan\nx"),  # what cannot be written is not
        (values_of_cell("%%wan --size 16:9 --negative {x}\na"), "%%wan --size 16:9\na\nNegative prompt: {x}"),
        (values_of_cell(FULL), FULL),
        (values_of_cell(SET), SET),
    ],
)
def test_the_cell_is_what_a_person_would_write(values, cell):
    """Only what is not the default is written, names stay names, and the negative prompt is the last line."""
    assert str(cell_of_values({**FIELDS, "prompt": "x", **values})) == cell


@given(prompt=TEXT, negative_prompt=TEXT, tags=TEXT, name=TEXT, seed=TEXT, size=TEXT)
def test_no_text_becomes_an_option(**texts):
    """Whatever is typed, the cell asks for nothing else than the fields say."""
    cell, prompt = cell_of_values({**FIELDS, **texts}), texts["prompt"]
    assert "\n" not in cell.line
    read = cell_parser().read(cell.line)
    try:
        submission, _ = read_cell(read, cell.body, notebook())
    except (RequestError, CellError):
        return
    request = submission.requests[0]
    assert request.images == ()
    assert (read.options.dry_run, submission.fresh) == (False, False)
    assert (request.n, request.interleave, request.watermark) == (1, False, False)
    if not {*"{}\r"} & {*prompt}:
        assert request.prompt == prompt.strip()


def test_fields_take_the_types_of_generate():
    """What ``generate`` takes can be filled in; lists become the texts of their fields."""
    given = {"size": (1280, 720), "seed": range(5, 8), "tags": ["a", "b"], "n": "2", "images": "photo", "prompt": None}
    read = {"size": "1280x720", "seed": "5, 6, 7", "tags": "a, b", "n": 2, "images": ["photo"], "prompt": ""}
    assert read_values(given) == read
    assert read_values({"n": None, "max_images": "many"}) == {"n": 1, "max_images": 5}
    with pytest.raises(CellError, match="no field promt") as caught:
        read_values({"promt": "x"})
    assert "prompt" in caught.value.hint
