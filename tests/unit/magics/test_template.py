"""The cell's text: fields, braces, the negative prompt."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.magics import split_negative
from wan_notebook.template import escape, expand


class Grumpy:
    """Fails whatever is asked of it."""

    @property
    def mood(self):
        raise RuntimeError("not today")

    def __str__(self):
        raise ZeroDivisionError("no text")


NAMES = {
    "animal": "fox",
    "d": {"key": "snow", "a b": "ice", 8: "eight", 'q"t': "quoted"},
    "a": ["zero", "one"],
    "x": 3.14159,
    "obj": SimpleNamespace(attr=SimpleNamespace(deep="well")),
    "braced": "{animal} {{",
    "grumpy": Grumpy(),
    "größe": "groß",
}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a { animal } {größe}", "a fox groß"),
        ("{obj.attr.deep}", "well"),
        ("{d[key]} {d[\"key\"]} {d['a b']}", "snow snow ice"),
        ("{d[8]}", "eight"),
        (r'{d["q\"t"]}', "quoted"),
        ("{a[0]} {a[-1]}", "zero one"),
        ("{x:.2f} {animal!r:>7}", "3.14   'fox'"),
        ("{{animal}} {{{animal}}}", "{animal} {fox}"),
        ("{braced}", "{animal} {{"),
        (r'{"\u2028\n"}', "\u2028\n"),
    ],
)
def test_fields_are_replaced_once(text, result):
    """Names, attributes, items, formats; a value's own braces stay as they are."""
    assert expand(text, NAMES) == (result, (), ())


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{anmal}", ["{anmal}", "no variable anmal", "animal", "--raw"]),
        ("{obj.atr}", ["AttributeError", "Did you mean attr?"]),
        ("{d[kez]}", ["KeyError", "kez"]),
        ("{obj.__class__}", ["not a field"]),
        ("{grumpy.mood}", ["RuntimeError", "not today"]),
        ("{grumpy}", ["ZeroDivisionError"]),
        ("one\n  {", ["{{", "--raw"]),
        ("{animal.upper()}", ["not a field"]),
    ],
)
def test_what_cannot_be_replaced_is_one_problem(text, parts):
    """Each says what is wrong, and the two ways out; nothing is called. All of a text come together."""
    (problem,) = expand(text, NAMES).problems
    assert [part for part in parts if part not in str(problem)] == []
    assert len(expand(f"{{p}} and {{animal}} and {text}", NAMES).problems) == 2


@pytest.mark.parametrize(
    ("text", "prompt", "negative"),
    [
        ("a fox\n  negative PROMPT:dark \n\n", "a fox", "dark"),
        ("a fox\nNegative prompt : fog,\n  blur\n", "a fox", "fog,\n  blur"),
        ("一只狐狸\nNegative prompt：模糊", "一只狐狸", "模糊"),
        ("a fox\nNegative prompt:", "a fox", ""),
        ("a fox\nNegative prompt: x\nNegative prompt:", "a fox\nNegative prompt: x", ""),
        ("a fox\nNegative prompt: fog\nSteps: 20, Sampler: Euler, Seed: 5, Size: 512x512", "a fox", "fog"),
        ("a fox\nSteps: 20, Sampler: Euler", "a fox", None),
        ("a fox\nSteps: 20\nin snow", "a fox\nSteps: 20\nin snow", None),
    ],
)
def test_the_last_paragraph_may_be_the_negative_prompt(text, prompt, negative):
    """It begins with these words, in any case, and goes on to the end; pasted settings belong to neither (M9)."""
    assert split_negative(text)[:2] == (prompt, negative)


any_text = st.text(
    st.one_of(st.sampled_from(list("{}[].:!\"\\'ra0 \n")), st.characters(exclude_categories=())), max_size=60
)


@given(
    st.lists(st.one_of(any_text, st.sampled_from(["{d[key]}", "{obj.attr!x}", "{grumpy}", "{a[0]:>9999}"]))).map(
        "".join
    )
)
def test_no_text_makes_it_fail(text):
    """Any text gives a text and problems, never an exception; doubled braces give it back."""
    assert all(problem.field == "prompt" for problem in expand(text, NAMES).problems)
    assert expand(escape(text), NAMES) == expand(escape(text), {}) == (text, (), ())
    prompt, negative, _ = split_negative(text)
    assert prompt in text
    assert (negative or "") in text
