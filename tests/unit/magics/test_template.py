"""The cell's text: fields, braces, the negative prompt, notes."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.magics import escape, expand, literal, split_negative, text_notes


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
    "grumpy": Grumpy(),
    "größe": "groß",
    "thing": object(),
    "nothing": None,
}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a {animal}", "a fox"),
        ("{ animal }", "fox"),
        ("{obj.attr.deep}", "well"),
        ("{d[key]}", "snow"),
        ('{d["key"]}', "snow"),
        ("{d['a b']}", "ice"),
        ("{d[7]} {d[8]}", "seven eight"),
        (r'{d["q\"t"]}', "quoted"),
        ("{a[0]} {a[-1]}", "zero one"),
        ("{x:.2f}", "3.14"),
        ("{animal!r:>7}", "  'fox'"),
        ("{größe}", "groß"),
        ("{{animal}}", "{animal}"),
        ("{{{animal}}}", "{fox}"),
        ("{braced}", "{animal} {{"),
        (r'{"\u2028\n"}', "\u2028\n"),
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
        ("{obj.atr}", ["AttributeError", "Did you mean attr?"]),
        ("{d[kez]}", ["KeyError", "Did you mean key?"]),
        ("{a[9]}", ["IndexError"]),
        ("{x:banana}", ["ValueError"]),
        ("{obj.__class__}", ["internal"]),
        ("{grumpy.mood}", ["RuntimeError", "not today"]),
        ("{grumpy}", ["ZeroDivisionError"]),
        ("one\n  {", ["line 2, column 3", "{{", "--raw"]),
        ("}", ["line 1, column 1"]),
        ("{}", ["not a field"]),
        ("{animal.upper()}", ["not a field"]),
    ],
)
def test_what_cannot_be_replaced_is_one_problem(text, parts):
    """Each says what is wrong, and the two ways out; nothing is called."""
    (problem,) = expand(text, NAMES).problems
    assert [part for part in parts if part not in str(problem)] == []


def test_all_problems_of_a_text_come_together():
    """Three unknown names and an open brace are four problems of one error."""
    assert len(expand("{p} and {q} and {animal} and {r} and {", NAMES).problems) == 4


@pytest.mark.parametrize("text", ["{thing}", "{nothing}"])
def test_a_value_that_is_hardly_meant_draws_a_note(text):
    """``None`` and ``<object at 0x…>`` are hardly ever what should be painted (CASES M8)."""
    assert f"{text} became" in expand(f"a {text}", NAMES).notes[0]
    assert expand("a {animal}", NAMES).notes == ()


@pytest.mark.parametrize(
    ("text", "prompt", "negative"),
    [
        ("a fox\nNegative prompt: dark, blurry", "a fox\n", "dark, blurry"),
        ("a fox\n  negative PROMPT:dark \n\n", "a fox\n", "dark"),
        ("a fox\nNegative prompt : fog,\n  blur\n", "a fox\n", "fog,\n  blur"),
        ("一只狐狸\nNegative prompt：模糊", "一只狐狸\n", "模糊"),
        ("a fox\nNegative prompt:", "a fox\n", ""),
        ("a fox\nNegative prompt: x\nNegative prompt:", "a fox\nNegative prompt: x\n", ""),
        ("a fox\nNegative prompt: fog\nSteps: 20, Sampler: Euler, Seed: 5, Size: 512x512", "a fox\n", "fog"),
        ("a fox\nSteps: 20, Sampler: Euler", "a fox", None),
        ("a fox\nSteps: 20\nin snow", "a fox\nSteps: 20\nin snow", None),
        ("a negative prompt: dark", "a negative prompt: dark", None),
    ],
)
def test_the_last_paragraph_may_be_the_negative_prompt(text, prompt, negative):
    """It begins with these words, in any case, and goes on to the end; pasted settings belong to neither (M9)."""
    assert split_negative(text)[:2] == (prompt, negative)


def test_pasted_settings_are_not_used_and_said_so():
    """Seeds and sizes of another model are not guesses for this one: the note says what asks for the same."""
    (note,) = split_negative("a fox\nSteps: 20, Sampler: Euler a, Seed: 5, Size: 1024x768")[2]
    assert "--seed 5 --size 1024x768" in note


@pytest.mark.parametrize(
    ("text", "images", "part"),
    [
        ("a fox --ar 16:9", 0, "--size 16:9"),
        ("a (fox:1.3) in snow", 0, "fox"),
        ("a fox <lora:inky:0.8>", 0, "LoRA"),
        ("put the cat of image 5 here", 2, "image 5, but 2 are given"),
        ("like image 1", 0, "no picture is given"),
        ("把图3放在左边", 2, "image 3"),
        ("Seed: 42, a fox", 0, "--seed 42"),
        ("a fox --seed 5", 0, "'--seed' is part of the prompt"),
        ('"a red fox"', 0, "quotes"),
    ],
)
def test_what_other_tools_read_draws_a_note(text, images, part):
    """What this model takes for words is said, with what to write instead."""
    assert any(part in note for note in text_notes(text, images))


def test_ordinary_text_draws_no_note():
    """A note that cries wolf is not read."""
    text = 'a fox (in snow) at 10:30, ratio 16:9, image 1 on image 2, well-known -- and loved, std::vector, "open"'
    assert text_notes(text, 2) == ()


any_text = st.text(
    st.one_of(st.sampled_from(list("{}[].:!\"\\'ra0 \n")), st.characters(exclude_categories=())), max_size=60
)
field_like = st.builds(
    lambda name, steps, tail: "{" + name + "".join(steps) + tail + "}",
    st.sampled_from([*NAMES, "nobody", ""]),
    st.lists(st.sampled_from([".attr", "[0]", "[key]", '["a b"]', ".__class__", "[", ".mood", ".upper"]), max_size=3),
    st.sampled_from(["", "!r", "!x", ":.2f", ":>9", ":d", ":9999", " ", ":{x}"]),
)


@given(st.lists(st.one_of(any_text, field_like), max_size=5).map("".join))
def test_no_text_makes_it_fail(text):
    """Any text gives a text and problems, never an exception."""
    found = expand(text, NAMES)
    assert all(problem.field == "prompt" for problem in found.problems)
    assert all(isinstance(note, str) for note in text_notes(found.text, 2))
    prompt, negative, _ = split_negative(text)
    assert prompt in text
    assert (negative or "") in text


@given(any_text)
def test_escaped_text_comes_back(text):
    """Doubling the braces is all that a literal text needs."""
    assert expand(escape(text), {}) == expand(escape(text), NAMES)
    assert (expand(escape(text), {}).text, expand(escape(text), {}).problems) == (text, ())


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_literal_characters_come_back_from_one_line(text):
    """What an editor would lose is written on one line and given back exactly."""
    written = literal(text)
    assert len(f"{written}x".splitlines()) == 1
    assert expand(f"a{written}b", {}).text == f"a{text}b"
