"""Words of a line, options and their values, what is wrong with them, and the help."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.errors import CellError
from wan_notebook.magics import (
    cell_parser,
    command_parsers,
    commands_table_markdown,
    help_text,
    options_table_markdown,
    quote,
    split_line,
    topic_help,
)

FLAGS = [flag for option in cell_parser().options for flag in option.option_strings]


def options(line):
    """Return the options of a cell's line, which must be right."""
    read = cell_parser().read(line)
    assert not read.problems
    return read.options


def problems(line):
    """Return what is wrong with a line, as people read it."""
    return [str(problem) for problem in cell_parser().read(line).problems]


@pytest.mark.parametrize(
    "expression",
    [
        *("photo", 'd["key"]', 'd["a key"]', "a[0]", "im.resize((512, 512))", "[a, b]", '"my cat.jpg"', "'my cat.jpg'"),
        *("cat.jpg", "~/my-pictures/x(1.png", "./it's.png", "cat's.jpg", "https://example.org/a(b'c.png?x=[1"),
        *("a3f9c2[0]", "3fa", 'f"{folder}/x y.png"', "C:\\pictures\\new.png", "{'a': b}['a']", 'f("(")', r'd["a\" ]"]'),
        *("[a, f(x, y)]", "{photo}"),
    ],
)
def test_an_expression_is_one_word_as_it_stands(expression):
    """Brackets and quotes hold an expression together; a path or URL ends at a space only."""
    for line in (f"-i {expression} -n 2", f"--image={expression} -n 2", f"-n 2 -i {expression}"):
        found = options(line)
        assert (found.image, found.n) == ([expression], "2")


def test_what_a_word_processor_made_is_understood():
    """Dashes and spaces of every kind; ``-n 3``, ``-n=3`` and ``-n3`` are the same."""
    for line in ("-n 3", "-n=3", "-n3", "-n= 3", "–n 3", "–n3", "—n=3"):
        assert options(line).n == "3"
    for dashes in ("–", "—", "―", "−", "––", "‐‐", "-–"):
        assert options(f"{dashes}seed 5 --no‑wait").seed == "5"
    for space in "\u00a0\u202f\u3000\u200b\ufeff\t":
        found = options(f'-n{space}2{space}-i{space}"a{space}b.png"')
        assert (found.n, found.image) == ("2", [f'"a{space}b.png"'])


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("--seed 5, 9 ,12 -n 2", "seed", "5, 9 ,12"),
        ('--negative "blurry, dark"', "negative", "blurry, dark"),
        ("--negative=“blurry, dark”", "negative", "blurry, dark"),
        ("--negative cat's --raw", "negative", "cat's"),
        ("--tag 'tis --tag b", "tags", ["'tis", "b"]),
        ('--tag ""', "tags", [""]),
        (r'--negative "two\nlines \u2028"', "negative", "two\nlines \u2028"),
        ("--ar 16:9", "size", "16:9"),
        ("--size (1024, 768)", "size", "(1024, 768)"),
        ("--prompt-extend true", "prompt_extend", True),
        ("--prompt-extend=False", "prompt_extend", False),
        ("--no-prompt-extend=false", "prompt_extend", True),
        ("--no-rewrite", "prompt_extend", False),
        ("--rewrite --rewrite", "prompt_extend", True),
        ("-n 2", "prompt_extend", None),
    ],
)
def test_values_and_switches_have_every_usual_spelling(line, name, value):
    """Quotes are taken off, an apostrophe is not a quote, and the service's own names work as well."""
    assert getattr(options(line), name) == value


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("--sede 5 -n 2", ["--sede", "unknown option", "--seed"]),
        ("--input cat.jpg", ["Did you mean -i?"]),
        ("--name fox", ["Did you mean --as?"]),
        ("--style raw", ["--style: unknown option. Wan has no such setting: leave it out."]),
        ("-negative x", ["unknown option", "--negative"]),
        ("--seed", ["--seed", "needs a value", "SEED"]),
        ("--negative --raw", ["needs a value"]),
        ("--negative -blurry", ["needs quotes", '"-blurry"']),
        ("--seed 5 --seed 6", ["more than once", "5 and 6"]),
        ("--wait --no-wait", ["more than once", "--wait and --no-wait"]),
        ("a red fox", ["a red fox", "below this line", "%wan make"]),
        ("-i photo photo1", ["-i photo1"]),
        ("--negative very dark", ["quotes", '"very dark"']),
        ("--watermark=maybe", ["--watermark", "maybe"]),
        ("-i photo[", ["not closed", "column 9"]),
        ("-i f(a]", ["the ( in column 5 is not closed"]),
        ('--negative "dark', ["not closed", '"']),
    ],
)
def test_what_cannot_be_read_says_why_and_what_to_do(line, parts):
    """Each slip gets the offending word and a hint, and one problem only."""
    (found,) = problems(line)
    assert [part for part in parts if part not in found] == []


def test_all_problems_of_a_line_come_together():
    """Nobody has to run a cell four times to find four slips."""
    text = "\n".join(problems("--sede 5 --wait --no-wait stray --negative"))
    for part in ("--sede", "more than once", "stray", "needs a value"):
        assert part in text


# Help ----------------------------------------------------------------------------------------------------------------


def test_every_option_and_command_is_in_help_and_tables():
    """Help, README and parser cannot drift apart: one table feeds them."""
    for parser in (cell_parser(), *command_parsers().values()):
        flags = [flag for option in parser.options for flag in option.option_strings]
        assert len(flags) == len(set(flags))
    for option in cell_parser().options[1:]:
        assert str(option.help).replace("|", "\\|") in options_table_markdown()
        assert option.option_strings[0] in help_text()
    for parser in command_parsers().values():
        assert parser.summary in help_text()
        assert parser.summary in commands_table_markdown()
    assert max(map(len, help_text().splitlines())) <= 100
    for row in commands_table_markdown().splitlines():
        assert row.replace("\\|", "").count("|") == 3


def test_every_command_and_option_is_a_topic_with_an_example_that_can_be_read():
    """`%wan help history` and `%wan help size` show a line to start from."""
    for topic, parser in command_parsers().items():
        if topic:
            example = topic_help(topic).partition("Example: ")[2].splitlines()[0]
            read = parser.read_with_text if topic == "make" else parser.read
            assert read(example.removeprefix(parser.prog)).problems == []
    for option in cell_parser().options[1:]:
        for name in option.option_strings:
            text = topic_help(name.lstrip("-"))
            assert str(option.help) in text
            assert cell_parser().read(text.rpartition("Example: %%wan")[2]).problems == []


def test_another_topic_is_refused_with_the_nearest():
    """What is neither is named as typed."""
    with pytest.raises(CellError, match="'sized' is not a command or an option"):
        topic_help("sized")
    assert "price.gateway=0.03" in topic_help("config")


# Properties ----------------------------------------------------------------------------------------------------------

line_text = st.text(
    st.one_of(st.sampled_from(list("-–—=in35..,[](){}\"'“” \u00a0\\ab:/~%")), st.characters()), max_size=60
)
pieces = st.sampled_from(["photo", "[a, b]", '"x y"', "5..8", "{k}", "'", "(", "-1", "--", "=", "--x", "true", "—n"])
line_words = st.lists(st.one_of(st.sampled_from(FLAGS), pieces, line_text), max_size=8).map(" ".join)


@given(st.one_of(line_text, line_words))
def test_reading_a_line_never_raises(line):
    """Whatever is typed or pasted ends in values and problems."""
    cell_parser().read(line)
    read = command_parsers()["make"].read_with_text(line)
    assert read.text in line


@given(line_text)
def test_words_cover_the_line(line):
    """No character between two words is anything but a space."""
    end = 0
    for word in split_line(line):
        assert line[word.start : word.end] == word.text
        assert split_line(line[end : word.start]) == []
        end = word.end


@given(st.text(st.characters(exclude_categories=()), max_size=80))
def test_a_quoted_text_is_read_back(text):
    """Any text can be the value of an option, on one line."""
    written = quote(text)
    assert len(f"{written}x".splitlines()) == 1
    found = options(f"--negative {written} -n 2")
    assert (found.negative, found.n) == (text, "2")


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
    assert split_line(f"{expression} --seed 5")[0].text == expression
