"""A cell's line, text and variables to requests, and what the first edition read in the same cell."""

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.magics.names import Pictures, call, made, notebook, picture, problems_of, request
from wan_notebook.errors import RequestError
from wan_notebook.replay import Submission
from wan_notebook.validation import Mode


def test_every_option_arrives():
    """No option is parsed and ignored; names, times and services may be variables too (CASES M3)."""
    submission, timeout_s = call(
        '-i photo --image=photo1 -n count --size {width}x720 --seed 7 --negative "no {animal}" --no-rewrite '
        '--watermark --as {who} --timeout {s} --fresh --tag a --tag "b {animal}" --provider {p} --no-embed',
        "A {animal}",
        notebook(who="owl", s="2m", p="simulator"),
    )
    (only,) = submission.requests
    assert [image.name for image in only.images] == ["photo", "photo1"]
    assert (only.n, only.size, only.seed, only.prompt_extend, only.watermark) == (3, "1280x720", 7, False, True)
    assert (only.prompt, only.negative_prompt, timeout_s) == ("A fox", "no fox", 120)
    assert (submission.name, submission.provider, submission.tags) == ("owl", "simulator", ("a", "b fox"))
    assert (submission.fresh, submission.embed, submission.notes) == (True, False, ())
    plain = request("", "\n\n A fox in the snow. \n\n")
    assert (plain.prompt, plain.mode, plain.n, plain.seed) == ("A fox in the snow.", Mode.TEXT_TO_IMAGE, 1, None)
    assert call("") == (Submission(requests=(request(""),)), None)
    assert request("--interleave --max-images count", "A story").pictures_asked == 3
    assert request('--raw --negative "{x}"', "a {animal} {").prompt == "a {animal} {"


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("-n {count}", "n", 3),
        ("--seed {count}", "seed", 3),
        ("--seed count+1", "seed", 4),
        ("-i {photo}", "images", (replace(picture("x"), name="photo"),)),
        ("--size {shape}", "size", "1024x768"),
        ("--size (1024, 768)", "size", "1024x768"),
        ("--size {width}x{width}", "size", "1280x1280"),
        ("--ar {ratio}", "size", "3:2"),
        ("--like {photo1} -i photo", "size", "736*2208"),
        ("--like photo1 -i photo --size 2K", "size", "1168*3536"),
        ("--like a3f[1]", "size", "1472*1104"),
    ],
)
def test_a_value_may_be_a_variable_in_every_option(line, field, value):
    """A lone ``{name}`` is that variable, a value may be an expression (CASES M3, M12), or a picture's shape."""
    found = getattr(request(line, names=notebook(ratio="3:2")), field)
    assert (found.replace(" ", "").strip("()").replace(",", "x") if field == "size" else found) == value


def test_a_picture_is_evaluated_once():
    """``-i next(frames)`` must not lose a frame to ``--like``, to a second look or to the first edition's reading."""
    frames = iter([picture("1"), picture("2"), picture("3")])
    names = Pictures(frames=frames)
    found = made("-i next(frames) -i next(frames) --like next(frames) a fox {{x}} --seed 2", names)
    assert [image.identity for image in found.requests[0].images] == ["test:1", "test:2"]
    assert [image.identity for image in found.former[0].images] == ["test:1", "test:2"]
    assert next(frames).name == "3"


@pytest.mark.parametrize("result", [3.5, object()])
def test_a_refused_picture_is_evaluated_once(result):
    """What is refused, now or then, is not asked again for the sake of the first edition's reading."""
    calls = []
    names = notebook(slow=lambda: calls.append(1) or result)
    with contextlib.suppress(RequestError):
        assert call("-i slow() --like slow() --seed 5", "a {{x}}", names)[0].former
    assert calls == [1]
    assert "ZeroDivisionError" in problems_of("-i slow()", "a {{x}}", notebook(slow=lambda: 1 / 0))


def test_all_problems_of_a_line_and_its_request_come_together():
    """A misspelt option does not hide the missing variable behind it, nor an unreadable picture the wrong size."""
    text = problems_of("--sede 5 -i photo2 -i animal_ -n 0 --seed -1 --size banana --as 2x", "a {anmal}")
    parts = ("8 problems", "--sede", "photo2", "animal", "n = 0", "seed = -1", "banana", "{anmal}", "2x")
    assert [part for part in parts if part not in text] == []
    assert "1 problem," in problems_of("-i nobody -n 2 --size 2K --no-rewrite")


@pytest.mark.parametrize(
    ("line", "body", "parts"),
    [
        ("--provider gatway", "x", ["'gatway'", "Did you mean gateway?"]),
        ("-n animal", "x", ["whole number"]),
        ("-n 10**5000", "x", ["n = <int>", "1 to 200"]),
        ("--seed 10**5000", "x", ["0 to 2147483647"]),
        ("--size (10**5000,1)", "x", ["size"]),
        ("--timeout 10**5000", "x", ["not a valid time"]),
        ("-i photo.resize(", "x", ["not closed"]),
        ("-i photo2", "x", ["no variable photo2", "Did you mean photo?"]),
        ("--seed [1,'x']", "x", ["whole number"]),
        ("--seed 8..5", "x", ["Write 5..8"]),
        ("--like photo1 -i photo --size 800x800", "x", ["like = photo1", "800x800"]),
        ("--like running", "x", ["not here yet", "%wan wait"]),
    ],
)
def test_bad_input_is_a_short_message_with_a_hint(line, body, parts):
    """Every rule of the service and of the line is checked before anything is sent."""
    text = problems_of(line, body)
    assert [part for part in parts if part not in text] == []
    assert all(len(one) < 400 for one in text.splitlines())


@pytest.mark.parametrize(
    ("line", "seeds"),
    [
        ("--seed 5..8", [5, 6, 7, 8]),
        ("--seed 9, 5, 12", [9, 5, 12]),
        ('--seed "5, 9"', [5, 9]),
        ("--seed count..count+1", [3, 4]),
        ("--seed (s for s in seeds)", [3, 4, 5]),
    ],
)
def test_seeds_make_one_request_each_in_order(line, seeds):
    """A sweep is one request a seed, each once, in the order that was asked."""
    assert [one.seed for one in call(line)[0].requests] == seeds


@pytest.mark.parametrize(
    ("text", "value", "name"),
    [
        ('"my cat.jpg"', "my cat.jpg", "my cat.jpg"),
        ("2026-11-24.png", "2026-11-24.png", "2026-11-24.png"),
        ("pics/cat", "pics/cat", "cat"),
        ('"C:\\new\\cat.png"', "C:\\new\\cat.png", "cat.png"),
        ("data:image/png;base64,AAAA", "data:image/png;base64,AAAA", "data URL"),
        ("holder.png", "an attribute", "holder.png"),
        ("im.png", "im.png", "im.png"),
        ("both[1]", "b", "both[1]"),
        ("d['a b']", "k", "d['a b']"),
        ("a3f9c2[0]", "a3f9c2", 0),
    ],
)
def test_what_stands_after_i_is_a_path_an_expression_or_a_job(text, value, name):
    """Paths and URLs are never evaluated; a variable comes before a file and before a job's id."""
    held = {"d": {"a b": "k"}, "both": ["a", "b"]}
    names = Pictures(**held, im=picture("i"), holder=SimpleNamespace(png="an attribute"))
    with contextlib.suppress(RequestError):
        call(f"-i {text}", names=names)
    assert names.asked[0] == (value, name)


def test_lists_are_taken_apart():
    """Every item of a list is what ``-i`` takes, named so that it can be pasted."""
    held = Pictures(a=picture("1"), d={"k": picture("2")})
    images = request('-i [cat.jpg, a, "x y.png"] -i [one for one in [d["k"]]]', names=held).images
    assert [image.name for image in images] == ["cat.jpg", "a", "x y.png", '[one for one in [d["k"]]][0]']
    assert set(held.namespace) == {"a", "d"}  # eval would add __builtins__


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("a fox --ar 16:9", "'--ar' is part of the prompt: put options before the text"),
        ("{nothing} in snow", "{nothing} became None"),
        ("{pixels} in snow", "{pixels} became [[1. 0.]"),
        ("a fox\nSteps: 20, Sampler: Euler a, Seed: 5, Size: 1024x768", "not used"),
    ],
)
def test_what_is_hardly_meant_draws_a_note(body, part):
    """What is worth saying, but not an error, reaches the card (CASES M8, M9); ordinary text has none."""
    assert [note for note in call("-i photo", body, notebook(pixels=np.eye(2)))[0].notes if part in note]
    text = 'a fox (in snow) at 10:30, ratio 16:9, image 1 on image 2, well-known -- and loved, std::vector, "open"'
    assert call("-i [photo, photo1]", text)[0].notes == ()


@pytest.mark.parametrize(
    ("line", "prompt", "options"),
    [
        ("a lime --seed 3 --size 16:9", "a lime", {"seed": 3, "size": "16:9"}),
        ("--size 1:1 a lime --seed 3", "a lime", {"seed": 3, "size": "1:1"}),
        ("—seed 5, 6 — a fox", "— a fox", {}),
        ("--raw a {animal} --red", "a {animal} --red", {}),
        ("-- -n is an option", "-n is an option", {}),
        ("a fox — red —wild", "a fox — red —wild", {}),
        ('what\'s this, "a {{fox}}" or a dog?', 'what\'s this, "a {fox}" or a dog?', {}),
        ("(a fox --seed 3) in snow", "(a fox --seed 3) in snow", {}),
        ("--negative fog a fox Negative prompt: x", "a fox Negative prompt: x", {"negative_prompt": "fog"}),
    ],
)
def test_a_line_has_options_before_its_text_or_after_it(line, prompt, options):
    """Braces are filled as in a cell; single dashes and what stands in quotes or brackets are text."""
    one = made(line).requests[0]
    assert one.prompt == prompt
    assert {name: getattr(one, name) for name in options} == options


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("a fox --red", ["--red", "unknown option", "--raw"]),
        ("a --seed 3 fox", ["--seed", "stands inside the text"]),
        ("a {anmal} fox", ["{anmal}", "animal"]),
        ("a fox --seed", ["--seed", "needs a value"]),
    ],
)
def test_a_line_that_would_be_paid_as_words_is_refused(line, parts):
    """What looks like an option, or names no variable, is refused, unless the store has what the first edition read."""
    submission = made(line)
    text = "\n".join(submission.refusal.lines())
    assert [part for part in parts if part not in text] == []
    assert submission.requests == ()
    assert all(one.prompt in line for one in submission.former)


texts = st.lists(st.one_of(st.sampled_from(["{", "}", "\n", "-i ", "--seed ", "Steps: 1, A: b"]), st.text(max_size=5)))


@given(texts.map("".join), texts.map("".join), texts.map("".join))
def test_no_cell_makes_reading_fail(line, body, value):
    """Whatever stands in a cell or line ends in requests or in one of our errors."""
    names = Pictures(value=value, photo=picture("x"), n=value)
    for first in (line, f"-i {line}", f"--seed {line}", f"-n {line} --tag {body}", "-i photo " + line):
        with contextlib.suppress(RequestError):
            assert call(first, body, names)
        with contextlib.suppress(RequestError):
            assert made(f"{first} {body}", names)
