"""A cell's line, body and namespace to requests."""

from __future__ import annotations

import pytest

from tests.cell_names import Pictures, notebook, picture, problems_of
from wan_notebook.cell import CellCall, asks_for_help, is_dry_run, read_cell
from wan_notebook.errors import CellError, RequestError
from wan_notebook.request import Mode


@pytest.fixture
def names():
    """A notebook's variables."""
    return notebook()


def test_a_cell_without_options_is_text_to_image(names):
    """The body alone is enough."""
    call = read_cell("", "\n\n A fox in the snow. \n\n", names)
    assert call == CellCall(
        requests=call.requests,
        seeds_asked=False,
        image_expressions=(),
        like="",
        name="",
        tags=(),
        provider=None,
        wait=None,
        timeout_s=None,
        dry_run=False,
        raw=False,
        fresh=False,
        embed=None,
        hints=(),
    )
    (request,) = call.requests
    assert request.prompt == "A fox in the snow."
    assert request.mode is Mode.TEXT_TO_IMAGE
    assert (request.n, request.seed, request.size) == (1, None, None)


def test_every_option_arrives(names):
    """No option is parsed and ignored."""
    call = read_cell(
        '-i photo --image=photo1 -n count --size {width}x720 --seed 7 --negative "no {animal}" --no-rewrite '
        '--watermark --as result --no-wait --timeout 2m --dry-run --fresh --tag a --tag "b {animal}" '
        "--provider simulator --no-embed",
        "A {animal}",
        names,
    )
    (request,) = call.requests
    assert [image.name for image in request.images] == ["photo", "photo1"]
    assert (request.n, request.size, request.seed) == (3, "1280x720", 7)
    assert (request.prompt, request.negative_prompt) == ("A fox", "no fox")
    assert (request.prompt_extend, request.watermark) == (False, True)
    assert (call.name, call.wait, call.timeout_s, call.provider) == ("result", False, 120, "simulator")
    assert (call.dry_run, call.fresh, call.embed, call.raw, call.seeds_asked) == (True, True, False, False, True)
    assert call.tags == ("a", "b fox")
    assert call.image_expressions == ("photo", "photo1")
    assert call.hints == ()


def test_illustrated_text_has_its_own_count(names):
    """``--max-images`` takes an expression, as ``-n`` does."""
    (request,) = read_cell("--interleave --max-images count", "A story", names).requests
    assert request.mode is Mode.ILLUSTRATED
    assert request.pictures_asked == 3


def test_raw_takes_the_text_as_it_stands(names):
    """Braces are no fields with ``--raw``."""
    call = read_cell('--raw --negative "{x}"', "a {animal} {", names)
    assert call.raw
    assert call.requests[0].prompt == "a {animal} {"
    assert call.requests[0].negative_prompt == "{x}"


def test_the_negative_prompt_stands_in_one_place(names):
    """A last line, or an option, but not both."""
    assert read_cell("", "a fox\nNegative prompt: {animal}", names).requests[0].negative_prompt == "fox"
    assert "Keep one" in problems_of("--negative dark", "a fox\nNegative prompt: blurry", names)


def test_a_picture_is_evaluated_once():
    """``-i next(frames)`` must not lose a frame to ``--like`` or to a second look."""
    frames = iter([picture("1"), picture("2"), picture("3")])
    names = Pictures(frames=frames)
    call = read_cell("-i next(frames) -i next(frames) --like next(frames)", "a fox", names)
    assert [image.identity for image in call.requests[0].images] == ["test:1", "test:2"]
    assert next(frames).name == "3"


def test_a_waiting_picture_passes_through(names):
    """A job that is not finished is waited for elsewhere; the cell can be read now."""
    call = read_cell("-i running", "a fox", names)
    assert call.requests[0].is_pending
    assert call.requests[0].images[0].name == "running"


def test_all_problems_of_a_request_come_together(names):
    """Unknown names, bad pictures and broken rules are one error, said before anything is sent."""
    text = problems_of("-i photo2 -i animal -n 0 --seed -1 --size banana", "a {anmal}", names)
    for part in ("6 problems", "photo2", "Nearest: photo", "animal", "n = 0", "seed = -1", "banana", "{anmal}"):
        assert part in text


def test_a_picture_that_is_missing_still_counts(names):
    """With an unreadable picture the mode stays editing, so no false problem is added."""
    text = problems_of("-i nobody -n 2 --size 2K --no-rewrite", "a fox", names)
    assert "1 problem," in text


def test_a_line_and_its_request_are_one_error(names):
    """A misspelt option does not hide the missing variable behind it."""
    with pytest.raises(CellError) as caught:
        read_cell("--sede 5 -i photo2", "", names)
    text = "\n".join(caught.value.lines())
    for part in ("--sede", "--seed", "photo2", "prompt", "3 problems"):
        assert part in text


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("--as class", ["class", "Python"]),
        ("--as 2x", ["2x", "variable name"]),
        ("--as a.b", ["a.b"]),
        ("--timeout soon", ["soon", "90s"]),
        ("--timeout 0", ["--timeout = 0"]),
        ("--provider gatway", ["gatway", "gateway"]),
        ("--provider x", ["Known", "dashscope"]),
        ("a red fox", ["cell's text"]),
        ("--help", ["%%wan?"]),
    ],
)
def test_what_is_ours_is_checked_too(names, line, parts):
    """Names, times and services are wrong here, not later."""
    with pytest.raises(CellError) as caught:
        read_cell(line, "a fox", names)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("line", "body", "part"),
    [
        ("", "", "is empty"),
        ("", "x" * 2001, "2001 characters"),
        ("-i photo -i photo -i photo -i photo -i photo", "x", "1 to 4"),
        ("--interleave -i photo -i photo", "x", "at most 1"),
        ("-n 0", "x", "n = 0"),
        ("-i photo -n 5", "x", "n = 5"),
        ("-n 2.0", "x", "whole number"),
        ("-n animal", "x", "whole number"),
        ("-n 10**5000", "x", "too large"),
        ("--size 100x100", "x", "10,000"),
        ("--size 5000x100", "x", "1:4"),
        ("--size 2K", "x", "1280×1280"),
        ("--size {nowhere}x1", "x", "no variable nowhere"),
        ("-i []", "x", "holds no picture"),
        ("-i photo.resize(", "x", "not closed"),
        ("-i photo.nothing", "x", "AttributeError"),
        ("-i a3f9c2", "x", "a3f9c2[0] or a3f9c2[1]"),
    ],
)
def test_bad_input_is_a_short_message_with_a_hint(names, line, body, part):
    """Every rule of the service and of the line is checked before anything is sent."""
    with pytest.raises((RequestError, CellError)) as caught:
        read_cell(line, body, names)
    assert part in "\n".join(caught.value.lines())


def test_hints_come_from_line_text_and_names(names):
    """What is worth saying, but no error, reaches the card."""
    call = read_cell("—as photo -i photo", "the {animal} of image 2 --ar 16:9", names)
    text = "\n".join(call.hints)
    for part in ("—as was read as --as", "edits its own result", "image 2", "--size 16:9"):
        assert part in text


def test_the_kind_of_line_is_known_before_it_is_read(names):
    """A dry run must fetch nothing, so its resolver is chosen before the cell is read."""
    assert is_dry_run("-i photo --dry-run")
    assert not is_dry_run('-i photo --negative "--dry-run"')
    assert asks_for_help("—help")
    assert not asks_for_help("-n 2")
    assert names.asked == []
