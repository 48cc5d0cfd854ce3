"""Words of a line, options and their values, what is wrong with them, and the help."""

import pytest

from tests.environment import ROOT
from wan_notebook.errors import CellError
from wan_notebook.magics import cell_parser, command_parsers, help_text, topic_help


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
        *("photo", 'd["a key"]', "im.resize((512, 512))", "f([a, g(b, \"x (y\")], {'k': 1})", "{photo}"),
        *("cat.jpg", "~/my-pictures/x(1.png", "./it's.png", "cat's.jpg", "https://example.org/a(b'c.png?x=[1"),
        *("3fa", 'f"{folder}/x y.png"', "C:\\pictures\\new.png", "{'a': b}['a']", 'f("(")', r'd["a\" ]"]'),
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
        ("--negative=“blurry, dark”", "negative", "blurry, dark"),
        ("--negative cat's --raw", "negative", "cat's"),
        ("--tag 'tis --tag b", "tags", ["'tis", "b"]),
        (r'--negative "two\nlines \u2028"', "negative", "two\nlines \u2028"),
        ("--prompt-extend true", "prompt_extend", True),
        ("--prompt-extend=False", "prompt_extend", False),
        ("--no-rewrite", "prompt_extend", False),
        ("--rewrite --rewrite", "prompt_extend", True),
    ],
)
def test_values_and_switches_have_every_usual_spelling(line, name, value):
    """Quotes are taken off, an apostrophe is not a quote, and the service's own names work as well."""
    assert getattr(options(line), name) == value


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("--sede 5 -n 2", ["--sede", "unknown option", "--seed"]),
        ("--negative --raw", ["needs a value", "quotes"]),
        ("--seed 5 --seed 6", ["--seed", "more than once"]),
        ("--wait --no-wait", ["--wait", "more than once"]),
        ("a red fox", ["a red fox", "below this line"]),
        ("-i photo photo1", ["repeat -i"]),
        ("--negative very dark", ["quotes"]),
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


def test_every_option_and_command_is_in_help_and_tables():
    """Help, README and parser cannot drift apart: one table feeds them."""
    readme = (ROOT / "README.md").read_text("utf-8")
    for option in cell_parser().options[1:]:
        assert str(option.help).replace("|", "\\|") in readme
        assert option.option_strings[0] in help_text()
    for parser in command_parsers().values():
        assert parser.summary in help_text()
        assert parser.summary in readme
    assert max(map(len, help_text().splitlines())) <= 100


def test_every_topic_has_an_example_that_can_be_read():
    """`%wan help history` and `%wan help size` show a line to start from; another topic gets the nearest."""
    for topic, parser in command_parsers().items():
        if topic:
            example = topic_help(topic).partition("Example: ")[2].splitlines()[0]
            read = parser.read_with_text if topic == "make" else parser.read
            assert read(example.removeprefix(parser.prog)).problems == []
    for option in cell_parser().options[1:]:
        for name in option.option_strings:
            text = topic_help(name.lstrip("-"))
            assert str(option.help) in " ".join(text.split())
            assert max(map(len, text.splitlines())) <= 100  # JupyterLab breaks longer ones in mid-word
            assert cell_parser().read(text.rpartition("Example: %%wan")[2]).problems == []
    with pytest.raises(CellError, match=r"'sized' is not a command or an option.*Did you mean size"):
        topic_help("sized")
