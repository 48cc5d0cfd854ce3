"""Commands read from a line, what loading says, cells for IPython, and what nobody foresaw."""

import re
import time
from pathlib import Path

import pytest

from wan_notebook.database import OpenSummary
from wan_notebook.errors import CellError, RequestError, WanError
from wan_notebook.magics import last_resort, open_lines, read_command, transform_lines

RESUME = " (`%wan resume`)"
KEYS = ("sk-LOGIN-0123456789abcdef", "0123456789abcdef0123456789abcdef")


@pytest.mark.parametrize(
    ("line", "name", "options"),
    [
        ("", "", {}),
        ('show jobs["a b"] --takes', "show", {"job": 'jobs["a b"]', "takes": True}),
        ("wait job --timeout 15m", "wait", {"job": "job", "timeout": 900.0}),
        ("wait --timeout {s}", "wait", {"job": None, "timeout": 90.0}),
        ("resolve a3f adopt task-1", "resolve", {"job": "a3f", "choice": "adopt", "task": "task-1"}),
        (
            "history red fox --running --tag a --tag {t} --notebook --seed s --state saved --limit {k}",
            "history",
            {"words": ["red", "fox"], "running": True, "tags": ["a", "t1"], "notebook": "", "seed": 90, "limit": 9},
        ),
        ('history "red fox" cat\'s', "history", {"words": ["red fox", "cat's"], "notebook": None, "limit": None}),
        ('save job[0] "my cat.png" --clean', "save", {"job": "job[0]", "path": "my cat.png", "clean": True}),
        ('save job "C:\\new\\cat.png"', "save", {"path": "C:\\new\\cat.png"}),
        ('defaults price=0.03 "a=b c"', "config", {"words": ["price=0.03", "a=b c"]}),
        ("tag fox poster final --remove", "tag", {"job": "fox", "words": ["poster", "final"], "remove": True}),
        ('bundle --open "my paper.zip"', "bundle", {"path": None, "open": "my paper.zip"}),
        ("help --size", "help", {"topic": "size"}),
        ("show --help", "help", {"topic": "show"}),
    ],
)
def test_each_command_becomes_typed_options(line, name, options):
    """Words as typed, values in their types, from variables too."""
    found, read = read_command(line, {"s": 90, "t": "t1", "k": 9})
    assert found == name
    assert {key: getattr(read, key) for key in options} == options


@pytest.mark.parametrize("since", ["today", "7d", '"1 week"', "1 week", "{s}"])
def test_a_time_is_a_word_or_two(since):
    """`1 week`, with quotes or without, takes no word of the search (CASES M10)."""
    read = read_command(f"history --since {since} fox", {"s": "7d"})[1]
    assert (0 <= time.time() - read.since <= 7 * 86400 + 3600, read.words) == (True, ["fox"])


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("histroy", ["'histroy' is not a command", "Did you mean history?"]),
        ("--siez 16:9 a fox", ["Did you mean --size?", "`%wan make --size 16:9 a fox`"]),
        ("star", ["needs JOB", "%wan star fox[0]"]),
        ("cancel a b", ["'b' is unexpected. Example: `%wan cancel fox`"]),
        ("show --nosuchthing", ["`%wan help show` lists the options"]),
        ("resolve a3f maybe", ["'maybe' is not one of the choices", "adopt"]),
        ("history --since soon", ["'soon' is not a valid time", "yesterday"]),
        ("history --tag {nobody}", ["no variable nobody"]),
        ("wait --timeout soon --al", ["2 problems", "--al", "soon"]),
    ],
)
def test_a_slip_gets_the_nearest_and_a_hint(line, parts):
    """A prompt typed after ``%wan`` and a misspelt command both find their way; all problems come together."""
    with pytest.raises((CellError, RequestError)) as caught:
        read_command(line, {})
    text = "\n".join(caught.value.lines())
    assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize(
    ("summary", "lines"),
    [
        (OpenSummary(), []),
        (
            OpenSummary(running=1, sending=1, to_fetch=1, earliest_expiry=1000.0 + 23 * 3600 + 60),
            ["2 jobs running, 1 job finished, not downloaded yet; results can be fetched for another 23 h" + RESUME],
        ),
        (OpenSummary(to_fetch=2, earliest_expiry=9.0), ["2 jobs finished, not downloaded yet" + RESUME]),
        (OpenSummary(unsent=3), ["3 not sent: run the cell again"]),
        (OpenSummary(in_doubt=1), ['1 in doubt (`%wan history --state "in doubt"`)']),
        (OpenSummary(problem="ledger.db: damaged"), ["wan: the ledger cannot be read: ledger.db: damaged"]),
    ],
)
def test_what_is_open_is_said_in_plain_lines(summary, lines):
    """What loading says works when it is followed."""
    assert open_lines(summary, 1000.0) == lines
    for command in re.findall(r"`%wan ([^`]+)`", "".join(lines)):
        assert read_command(command, {})


@pytest.mark.parametrize(
    ("cell", "seen"),
    [
        ("%%wan\n", "%%wan\n\n"),
        ("\n  %%wan --seed 5\n", "%%wan --seed 5\n\n"),
        ("%%wan\na fox\n", "%%wan\na fox\n"),
        ("# my fox\n\n%%wan\n# a fox\n", "%%wan\n# a fox\n"),
        ("%%wander\n", "%%wander\n"),
    ],
)
def test_cells_reach_ipython_in_a_form_that_it_can_read(cell, seen):
    """A bare ``%%wan``, and one below a comment (CASES M7)."""
    assert "".join(transform_lines(cell.splitlines(keepends=True))) == seen


def test_an_unforeseen_exception_is_one_line_and_a_private_file(monkeypatch, tmp_path):
    """Neither the environment nor a variable's value is shown; the file has the places, for its owner alone."""
    monkeypatch.setenv("WAN_API_KEY", KEYS[0])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    secret = KEYS[1]
    with pytest.raises(WanError) as caught, last_resort():
        raise KeyError(KEYS[0], len(secret))
    text = "\n".join(caught.value.lines())
    file = Path(re.search(r"is in (\S+\.log)\.", text)[1])
    assert "KeyError" in text
    assert re.search(r"error ([0-9a-f]{8})", text)[1] in file.name
    assert file.stat().st_mode & 0o777 == 0o600
    for shown in (text, file.read_text("utf-8")):
        assert KEYS[0] not in shown
        assert secret not in shown
    assert "test_commands.py" in file.read_text("utf-8")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    with pytest.raises(KeyboardInterrupt), last_resort():  # an interrupt has its own words
        raise KeyboardInterrupt
