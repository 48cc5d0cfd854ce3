"""The table of options, what is drawn from it, and the grammar of a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.line import duration_s, read_line
from wan_notebook.options import CELL_OPTIONS, SUBCOMMANDS, Kind, subcommand, subcommand_names
from wan_notebook.usage import help_text, options_table_markdown, subcommand_help, subcommands_table_markdown
from wan_notebook.words import expression_at, quote, split_list, text_at, unquoted


def read(line):
    """Read a cell's first line."""
    return read_line(line, CELL_OPTIONS, help_at="%%wan?")


def problem_text(line):
    """Return what is wrong with a line, as people read it."""
    return "\n".join(map(str, read(line).problems))


def test_flags_are_unique_in_every_table():
    """No flag means two things in one table, or the parser would take the first silently."""
    for options in (CELL_OPTIONS, *(s.options for s in SUBCOMMANDS)):
        flags = [flag for option in options for flag in (*option.flags, *option.off)]
        assert len(flags) == len(set(flags))


def test_every_option_and_command_is_in_help_and_tables():
    """Help, README and parser cannot drift apart: one table feeds them."""
    for option in CELL_OPTIONS:
        assert option.shown in help_text()
        assert f"`{option.shown}`" in options_table_markdown()
    for command in SUBCOMMANDS:
        assert command.help in help_text()
        assert command.help in subcommands_table_markdown()


def test_help_fits_a_terminal():
    """Help is read in a pager of 100 columns."""
    assert max(map(len, help_text().splitlines())) <= 100


def test_a_pipe_does_not_break_a_markdown_table():
    """A usage such as day|notebook holds pipes, which end a cell in Markdown."""
    for row in subcommands_table_markdown().splitlines():
        assert row.replace("\\|", "").count("|") == 3


def test_help_of_one_command_names_its_options():
    """``%wan help history`` shows what only history takes."""
    history = subcommand("history")
    assert history is not None
    assert "--running" in subcommand_help(history)


def test_aliases_are_commands():
    """``%wan defaults`` is ``%wan config``."""
    assert subcommand("defaults") is subcommand("config")
    assert "defaults" in subcommand_names()
    assert subcommand("nothing") is None


@pytest.mark.parametrize(
    "expression",
    [
        "photo",
        'd["key"]',
        'd["a key"]',
        "a[0]",
        "im.resize((512, 512))",
        "[a, b]",
        '"my cat.jpg"',
        "'my cat.jpg'",
        "cat.jpg",
        "~/my-pictures/x(1.png",
        "./it's.png",
        "cat's.jpg",
        "https://example.org/a(b'c.png?x=[1",
        "a3f9c2[0]",
        "3fa",
        'f"{folder}/x y.png"',
        "C:\\pictures\\new.png",
        "{'a': b}['a']",
        'f("(")',
        r'd["a\" ]"]',
    ],
)
def test_an_image_is_one_word_as_it_stands(expression):
    """Brackets and quotes hold an expression together; a path or URL ends at a space only."""
    for line in (f"-i {expression} -n 2", f"--image={expression} -n 2", f"-n 2 -i {expression}"):
        found = read(line)
        assert found.problems == ()
        assert [word.value for word in found.words_of("image")] == [expression]
        assert found.word_of("n").value == "2"


def test_an_apostrophe_in_a_path_opens_no_string():
    """Two names with apostrophes are two paths, not one string between them."""
    found = read("-i cat's.jpg -i dog's.jpg")
    assert [word.value for word in found.words_of("image")] == ["cat's.jpg", "dog's.jpg"]


@pytest.mark.parametrize("line", ["-n 3", "-n=3", "-n3", "-n  3", "-n= 3", "–n 3", "–n3", "—n=3"])
def test_n_may_be_written_in_every_usual_way(line):
    """``-n 3``, ``-n=3``, ``-n3``, and dashes that a word processor made."""
    assert read(line).problems == ()
    assert read(line).word_of("n").value == "3"


@pytest.mark.parametrize("dashes", ["–", "—", "―", "−", "––", "‐‐", "-–"])
def test_a_pasted_dash_is_an_option_and_is_said_so(dashes):
    """Text pasted from a document works, and the person learns how it was read."""
    found = read(f"{dashes}seed 5")
    assert found.word_of("seed").value == "5"
    assert found.problems == ()
    assert any("--seed" in hint for hint in found.hints)


def test_a_pasted_dash_inside_a_name_is_plain():
    """``--no‑wait`` with a non-breaking hyphen is ``--no-wait``."""
    assert read("--no‑wait").says("wait") is False


@pytest.mark.parametrize("space", ["\u00a0", "\u202f", "\u3000", "\u200b", "\ufeff", "\t"])
def test_other_spaces_are_spaces(space):
    """A non-breaking space, which looks like any other, separates words."""
    found = read(f"-n{space}2{space}-i{space}im.resize((1,{space}2))")
    assert found.problems == ()
    assert found.word_of("n").value == "2"
    assert found.word_of("image").value == "im.resize((1, 2))"


def test_a_space_inside_quotes_stays_as_it_is():
    """A file's name may hold a non-breaking space."""
    assert read('-i "a\u202fb.png"').word_of("image").value == '"a\u202fb.png"'


def test_a_list_of_seeds_may_have_spaces():
    """``--seed 5, 9 ,12`` is one value."""
    found = read("--seed 5, 9 ,12 -n 2")
    assert found.word_of("seed").value == "5, 9 ,12"
    assert found.problems == ()


def test_texts_are_quoted_or_bare():
    """Quotes are taken off; an apostrophe is no quote."""
    assert read('--negative "blurry, dark"').word_of("negative").value == "blurry, dark"
    assert read("--negative=“blurry, dark”").word_of("negative").value == "blurry, dark"
    assert read("--negative 'a \"b\"'").word_of("negative").value == 'a "b"'
    assert read("--negative cat's --raw").word_of("negative").value == "cat's"
    assert read("--tag 'tis --tag b").words_of("tags")[0].value == "'tis"
    assert read('--tag ""').word_of("tags").value == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--prompt-extend", True),
        ("--prompt-extend true", True),
        ("--prompt-extend false", False),
        ("--prompt-extend=False", False),
        ("--no-prompt-extend", False),
        ("--no-prompt-extend=false", True),
        ("--rewrite", True),
        ("--no-rewrite", False),
        ("--rewrite --rewrite", True),
        ("-n 2", None),
    ],
)
def test_rewriting_has_every_spelling(line, said):
    """The service's own name for it works as well, with and without a value."""
    assert read(line).problems == ()
    assert read(line).says("rewrite") is said


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("--sede 5 -n 2", ["--sede", "unknown option", "--seed", "%%wan?"]),
        ("--ar 16:9", ["--size 16:9"]),
        ("-negative x", ["unknown option", "--negative"]),
        ("-x", ["-x", "unknown option"]),
        ("--seed", ["--seed", "missing", "SEED"]),
        ("--negative --raw", ["missing"]),
        ("--negative -blurry", ["missing", '"-blurry"']),
        ("--seed 5 --seed 6", ["more than once", "5 and 6"]),
        ("--wait --no-wait", ["contradict"]),
        ("--rewrite --no-prompt-extend", ["--rewrite", "--no-prompt-extend", "contradict"]),
        ("a red fox", ["a red fox", "cell's text", "%wan make"]),
        ("-i photo photo1", ["-i photo -i photo1"]),
        ("-i photo, photo1", ["-i photo -i photo1"]),
        ("-i a + b", ["brackets", "-i (a +"]),
        ("--negative very dark", ["quotes", '"very dark"']),
        ("--watermark false", ["--watermark=false"]),
        ("--watermark=maybe", ["--watermark", "maybe"]),
        ("-i photo[", ["not closed", "column 9"]),
        ("-i f(a]", ["closes"]),
        ('--negative "dark', ["not closed", '"']),
        ('--negative "dark"er', ["directly after"]),
    ],
)
def test_what_cannot_be_read_says_why_and_what_to_do(line, parts):
    """Each slip of the pen gets the offending word and a hint, and one problem only."""
    assert len(read(line).problems) == 1
    for part in parts:
        assert part in problem_text(line)


def test_all_problems_of_a_line_come_together():
    """Nobody has to run a cell five times to find five slips."""
    text = problem_text("--sede 5 --wait --no-wait stray --negative")
    for part in ("--sede", "contradict", "stray", "missing"):
        assert part in text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("1.5h", 5400), ("2 min", 120), ("7d", 604800), ("250ms", 0.25)],
)
def test_durations_have_units(text, seconds):
    """Seconds, or a number with its unit."""
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-5", "5 parsecs", "inf", "nan", "1e9", "٣"])
def test_what_is_no_duration_is_none(text):
    """No guess about what was meant."""
    assert duration_s(text) is None


def test_a_list_is_split_at_its_own_commas():
    """Commas inside brackets and quotes belong to the items."""
    assert split_list('[a, f(b, c), "d,e", 3fa[0],]') == ["a", "f(b, c)", '"d,e"', "3fa[0]"]
    assert split_list("[]") == []


def test_a_quoted_word_is_no_python_literal():
    """A Windows path in quotes keeps its backslashes."""
    assert unquoted('"C:\\new\\table.png"') == "C:\\new\\table.png"
    assert unquoted("'it\\'s.png'") == "it's.png"
    assert unquoted('"a" + "b"') is None
    assert unquoted("photo") is None


# Properties ----------------------------------------------------------------------------------------------------------

line_text = st.text(
    st.one_of(st.sampled_from(list("-–—=in35..,[](){}\"'“” \u00a0\\ab:/~%")), st.characters()), max_size=60
)
line_words = st.lists(
    st.one_of(
        st.sampled_from([f for o in CELL_OPTIONS for f in (*o.flags, *o.off)]),
        st.sampled_from(["photo", "[a, b]", '"x y"', "5..8", "{k}", "'", "(", "-1", "--", "=", "--x", "true", "—n"]),
        line_text,
    ),
    max_size=8,
).map(" ".join)


@given(st.one_of(line_text, line_words))
def test_reading_a_line_never_raises(line):
    """Whatever is typed or pasted ends in values and problems."""
    found = read(line)
    for given_option in found.given:
        assert (given_option.word is None) == (given_option.option.kind is Kind.FLAG)


@given(st.text(st.characters(exclude_categories=()), max_size=80))
def test_a_quoted_text_is_read_back(text):
    """Any text can be the value of an option, on one line."""
    written = quote(text)
    assert len(f"{written}x".splitlines()) == 1
    word = text_at(f"{written} -n 2", 0)
    assert word.value == text
    assert word.end == len(written)


@given(
    st.recursive(
        st.sampled_from(["a", "b1", '"x (y"', "'[ '"]),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
            st.tuples(inner, inner).map(lambda pair: f"f({pair[0]}, {pair[1]})"),
        ),
        max_leaves=8,
    )
)
def test_a_balanced_expression_is_one_word(expression):
    """However deep brackets and quotes go, the word ends where the expression ends."""
    word = expression_at(f"{expression} --seed 5", 0)
    assert word.value == expression
