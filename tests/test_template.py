"""The cell's text: fields, braces, the negative prompt, hints."""

from __future__ import annotations

import datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.template import escape, expand, literal, split_negative, text_hints


class Grumpy:
    """Fails whatever is asked of it."""

    @property
    def mood(self):
        raise RuntimeError("not today")

    def __str__(self):
        raise ZeroDivisionError("no text")

    def __getitem__(self, key):
        raise OSError(f"no {key}")

    def __dir__(self):
        raise ValueError("nothing to see")


NAMES = {
    "animal": "fox",
    "d": {"key": "snow", "a b": "ice", "7": "seven", 8: "eight", 'q"t': "quoted"},
    "a": ["zero", "one"],
    "x": 3.14159,
    "obj": SimpleNamespace(attr=SimpleNamespace(deep="well")),
    "braced": "{animal} {{",
    "now": datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC),
    "grumpy": Grumpy(),
    "größe": "groß",
    "thing": object(),
}


def only_problem(text):
    """Return the one problem of a text."""
    found = expand(text, NAMES)
    assert len(found.problems) == 1
    return str(found.problems[0])


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a {animal}", "a fox"),
        ("{ animal }", "fox"),
        ("{obj.attr.deep}", "well"),
        ("{d[key]}", "snow"),
        ('{d["key"]}', "snow"),
        ("{d['a b']}", "ice"),
        ("{d[a b]}", "ice"),
        ("{d[7]} {d[8]}", "seven eight"),
        (r'{d["q\"t"]}', "quoted"),
        ("{a[0]} {a[-1]}", "zero one"),
        ("{x:.2f}", "3.14"),
        ("{animal!r:>7}", "  'fox'"),
        ("{now:%Y-%m-%d}", "2026-11-24"),
        ("{größe}", "groß"),
        ("{{animal}}", "{animal}"),
        ("{{{animal}}}", "{fox}"),
        ("{braced}", "{animal} {{"),
        (r'{"\u2028\n"}', "\u2028\n"),
        ("no braces at all", "no braces at all"),
        ("", ""),
    ],
)
def test_fields_are_replaced_once(text, result):
    """Names, attributes, items, formats; a value's own braces stay as they are."""
    assert expand(text, NAMES).text == result
    assert expand(text, NAMES).problems == ()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{anmal}", ["{anmal}", "no variable anmal", "animal", "--raw"]),
        ("{zzzzzz}", ["no variable zzzzzz", "Define it"]),
        ("{obj.atr}", ["no atr", "attr"]),
        ("{d[kez]}", ["no key 'kez'", "key"]),
        ("{a[9]}", ["no item 9", "it has 2"]),
        ("{a[x]}", ["TypeError"]),
        ("{x:banana}", ["ValueError"]),
        ("{x:999999999}", ["too wide"]),
        ("{obj.__class__}", ["__class__", "internal"]),
        ("{obj.attr.__dict__[deep]}", ["__dict__"]),
        ("{grumpy.mood}", ["RuntimeError", "not today"]),
        ("{grumpy.smile}", ["no smile"]),
        ("{grumpy[1]}", ["OSError"]),
        ("{grumpy}", ["ZeroDivisionError"]),
        ("one\n  {", ["line 2, column 3", "{{", "--raw"]),
        ("}", ["line 1, column 1", "without its {"]),
        ("{}", ["no name"]),
        ("{0}", ["no variable name"]),
        ("{animal.upper()}", ["no field"]),
        ("{animal + 1}", ["no field"]),
        ("{animal", ["no field"]),
        ('{"a": 1}', ["no variable name"]),
        ("{x:{a[0]}}", ["no field"]),
    ],
)
def test_what_cannot_be_replaced_is_one_problem(text, parts):
    """Each says what is wrong, where, and the two ways out; nothing is called."""
    said = only_problem(text)
    for part in parts:
        assert part in said


def test_all_problems_of_a_text_come_together():
    """Three unknown names are three problems of one error."""
    assert len(expand("{p} and {q} and {animal} and {", NAMES).problems) == 3


def test_an_object_in_the_prompt_draws_a_hint():
    """``<object at 0x…>`` is hardly ever what should be painted."""
    assert "{thing}" in expand("a {thing}", NAMES).hints[0]
    assert expand("a {animal}", NAMES).hints == ()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a fox\nNegative prompt: dark, blurry", ("a fox", "dark, blurry")),
        ("a fox\n  negative PROMPT:dark \n\n", ("a fox", "dark")),
        ("Negative prompt: dark", ("", "dark")),
        ("a fox\nNegative prompt : dark", ("a fox", "dark")),
        ("一只狐狸\nNegative prompt：模糊", ("一只狐狸", "模糊")),
        ("a fox\nNegative prompt:", ("a fox", "")),
        ("Negative prompt: dark\na fox", ("Negative prompt: dark\na fox", None)),
        ("a negative prompt: dark", ("a negative prompt: dark", None)),
        ("a fox", ("a fox", None)),
        ("", ("", None)),
    ],
)
def test_the_last_line_may_be_the_negative_prompt(text, parts):
    """Only the last line, only with these words at its start, in any case."""
    assert split_negative(text) == parts


@pytest.mark.parametrize(
    ("text", "images", "part"),
    [
        ("a fox --ar 16:9", 0, "--size 16:9"),
        ("a (fox:1.3) in snow", 0, "fox"),
        ("a fox <lora:inky:0.8>", 0, "LoRA"),
        ("fox::2 snow", 0, "::2"),
        ("put the cat of image 5 here", 2, "image 5, but 2 are given"),
        ("like image 1", 0, "no picture is given"),
        ("把图3放在左边", 2, "image 3"),
        ("a fox\nSteps: 20, Seed: 42", 0, "--seed 42"),
        ("a fox --seed 5", 0, "--seed"),
        ("a fox -n 2", 0, "-n 2"),
        ('"a red fox"', 0, "quotes"),
        ("Negative prompt: dark\na fox", 0, "last line only"),
    ],
)
def test_what_other_tools_read_draws_a_hint(text, images, part):
    """What this model takes for words is said, with what to write instead."""
    assert any(part in hint for hint in text_hints(text, images))


@pytest.mark.parametrize(
    "text",
    [
        "a fox (in the snow) at 10:30, ratio 16:9",
        "the image 1 style on image 2",
        "well-known -- and loved",
        "std::vector",
        "a 35mm photo",
        'the sign says "open"',
    ],
)
def test_ordinary_text_draws_no_hint(text):
    """A hint that cries wolf is not read."""
    assert text_hints(text, 2) == ()


# Properties ----------------------------------------------------------------------------------------------------------

any_text = st.text(
    st.one_of(st.sampled_from(list("{}[].:!\"\\'ra0 \n")), st.characters(exclude_categories=())), max_size=60
)
field_like = st.builds(
    lambda name, steps, tail: "{" + name + "".join(steps) + tail + "}",
    st.sampled_from([*NAMES, "nobody", ""]),
    st.lists(st.sampled_from([".attr", "[0]", "[key]", '["a b"]', ".__class__", "[", ".mood", ".upper"]), max_size=3),
    st.sampled_from(["", "!r", "!x", ":.2f", ":>9", ":d", ":9999", " "]),
)


@given(st.lists(st.one_of(any_text, field_like), max_size=5).map("".join))
def test_no_text_makes_it_fail(text):
    """Any text gives a text and problems, never an exception."""
    found = expand(text, NAMES)
    assert isinstance(found.text, str)
    assert all(problem.field == "prompt" for problem in found.problems)


@given(any_text)
def test_escaped_text_comes_back(text):
    """Doubling the braces is all that a literal text needs."""
    found = expand(escape(text), {})
    assert found.text == text
    assert found.problems == ()


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_literal_characters_come_back_from_one_line(text):
    """What an editor would lose is written on one line and given back exactly."""
    written = literal(text)
    assert len(f"{written}x".splitlines()) == 1
    assert expand(f"a{written}b", {}).text == f"a{text}b"


@given(any_text, any_text)
def test_a_value_is_never_expanded_again(value, around):
    """What a variable holds is text, whatever it looks like."""
    found = expand(f"{escape(around)}{{value}}", {"value": value})
    assert found.text == around + value


@given(any_text, st.integers(0, 4))
def test_hints_never_fail(text, images):
    """Hints are drawn from any text."""
    assert all(isinstance(hint, str) for hint in text_hints(text, images))
