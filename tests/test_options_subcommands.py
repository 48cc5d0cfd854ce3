"""``%wan SUBCOMMAND …`` to plain data."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_notebook.errors import CellError
from wan_notebook.options import SUBCOMMANDS, subcommand_names
from wan_notebook.subcommands import SubCall, read_subcall


@pytest.mark.parametrize(
    ("line", "name", "words", "options"),
    [
        ("", "status", (), {}),
        ("  \u00a0 ", "status", (), {}),
        ("make a fox or a dog?", "make", ("a fox or a dog?",), {"line": ""}),
        ("make the cat's  \"den\" it's", "make", ("the cat's  \"den\" it's",), {"line": ""}),
        ("make -n 2 --seed 5, 6 a fox -n 3?", "make", ("a fox -n 3?",), {"line": "-n 2 --seed 5, 6"}),
        ('make -i d["a b"] --raw {x}', "make", ("{x}",), {"line": '-i d["a b"] --raw'}),
        ("make -- -n is an option", "make", ("-n is an option",), {"line": ""}),
        ("make —n 2 a fox", "make", ("a fox",), {"line": "—n 2"}),
        ("make --prompt-extend false hope", "make", ("hope",), {"line": "--prompt-extend false"}),
        ("show", "show", (), {}),
        ("show a3f9c2 --all", "show", ("a3f9c2",), {"all": True}),
        ('show jobs["a b"] --takes', "show", ('jobs["a b"]',), {"takes": True}),
        ("wait", "wait", (), {}),
        ("wait job --timeout 15m", "wait", ("job",), {"timeout": 900.0}),
        ("cancel job[0]", "cancel", ("job[0]",), {}),
        ("resume", "resume", (), {}),
        ("resolve a3f", "resolve", ("a3f",), {}),
        ("resolve a3f adopt task-1", "resolve", ("a3f", "adopt", "task-1"), {}),
        ("resolve a3f again", "resolve", ("a3f", "again"), {}),
        ("resolve a3f Abandon", "resolve", ("a3f", "abandon"), {}),
        (
            "history red fox --running --since 7d --tag a --tag b --notebook --seed 5 --state saved --limit 9",
            "history",
            ("red", "fox"),
            {
                "running": True,
                "since": timedelta(days=7),
                "tags": ("a", "b"),
                "notebook": "",
                "seed": 5,
                "state": "saved",
                "limit": 9,
            },
        ),
        ('history "red fox" cat\'s', "history", ("red fox", "cat's"), {}),
        ("history --notebook n.ipynb --everywhere", "history", (), {"notebook": "n.ipynb", "everywhere": True}),
        ("history --since 2026-11-24", "history", (), {"since": datetime(2026, 11, 24)}),  # noqa: DTZ001
        ("cost --by day", "cost", (), {"by": "day"}),
        ("cost --by=tag --everywhere", "cost", (), {"by": "tag", "everywhere": True}),
        ('save job[0] "my cat.png" --clean', "save", ("job[0]", "my cat.png"), {"clean": True}),
        ("login", "login", (), {}),
        ("config", "config", (), {}),
        ("defaults price=0.03 \"a=b c\"", "config", (), {"settings": {"price": "0.03", "a": "b c"}}),
        ("budget", "budget", (), {}),
        ("budget 5.00 --per day", "budget", (), {"amount": Decimal("5.00"), "currency": "USD", "per": "day"}),
        ("budget $5", "budget", (), {"amount": Decimal(5), "currency": "USD"}),
        ("budget ¥40.5", "budget", (), {"amount": Decimal("40.5"), "currency": "CNY"}),
        ("budget 5 eur", "budget", (), {"amount": Decimal(5), "currency": "EUR"}),
        ("budget 40 pictures --per total", "budget", (), {"pictures": 40, "per": "total"}),
        ("budget off --per notebook", "budget", (), {"off": True, "per": "notebook"}),
        ("doctor", "doctor", (), {}),
        ("nest", "nest", (), {}),
        ("panel --from a3f[0]", "panel", (), {"job": "a3f[0]"}),
        ('recall "my cat.png"', "recall", ("my cat.png",), {}),
        ("trash a3f", "trash", ("a3f",), {}),
        ("star a3f[1]", "star", ("a3f[1]",), {}),
        ("bundle p.zip --tag fig-2 --all-takes", "bundle", ("p.zip",), {"tags": ("fig-2",), "all_takes": True}),
        ('bundle --open "my paper.zip"', "bundle", (), {"open": "my paper.zip"}),
        ("verify", "verify", (), {}),
        ("verify a.ipynb", "verify", ("a.ipynb",), {}),
        ("methods --latex", "methods", (), {"latex": True}),
        ("help", "help", (), {}),
        ("help defaults", "help", ("config",), {}),
        ("—help", "help", (), {}),
        ("show --help", "help", ("show",), {}),
    ],
)  # fmt: skip
def test_each_command_becomes_plain_data(line, name, words, options):
    """Words as typed, options in their types, only what was given."""
    call = read_subcall(line)
    assert (call.name, call.positionals, dict(call.options)) == (name, words, options)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("a red fox", ["no command a", "%wan make a red fox", "history"]),
        ("--seed 5 a fox", ["%wan make --seed 5 a fox"]),
        ("histroy", ["no command histroy", "history"]),
        ("Show", ["show"]),
        ("make", ["something is missing", "TEXT"]),
        ("make -n 2", ["something is missing"]),
        ("make --ar 16:9 a fox", ["--ar", "--size 16:9"]),
        ("cancel", ["%wan cancel JOB"]),
        ("cancel a b", ["= b", "one word too many"]),
        ("doctor now", ["now", "one word too many"]),
        ("show --al", ["--al", "--all"]),
        ("save job", ["PATH"]),
        ("resolve a3f maybe", ["maybe", "adopt"]),
        ("resolve a3f adopt", ["task's id"]),
        ("resolve a3f again x", ["x"]),
        ("history --since 7", ["7d"]),
        ("history --since yesterday", ["yesterday"]),
        ("history --since 999999999w", ["999999999w"]),
        ("history --seed five", ["five"]),
        ("history --state savd", ["savd", "saved"]),
        ("history --seed 5 --seed 6", ["more than once"]),
        ("cost --by colour", ["colour", "notebook"]),
        ("wait --timeout soon", ["soon"]),
        ("config price", ["price", "KEY=VALUE"]),
        ("config a=1 a=2", ["more than once"]),
        ("budget lots", ["lots", "5.00"]),
        ("budget -5", ["-5"]),
        ("budget 5 pis", ["5 pis"]),
        ("budget 1.5 pictures", ["1.5", "whole number"]),
        ("budget 5 USD --per week", ["week", "day"]),
        ("bundle", ["PATH"]),
        ("bundle --open a.zip --tag x", ["stands alone"]),
        ("bundle a.zip --open b.zip", ["stands alone"]),
        ("help me", ["me"]),
        ('recall "cat', ["not closed"]),
    ],
)
def test_a_slip_gets_the_nearest_and_a_hint(line, parts):
    """A prompt typed after ``%wan`` and a misspelt command both find their way."""
    with pytest.raises(CellError) as caught:
        read_subcall(line)
    text = "\n".join(caught.value.lines())
    for part in parts:
        assert part in text


def test_every_command_of_the_table_can_be_typed():
    """What help lists, the parser knows."""
    example = {"adopt": "", "make": "make a fox", "save": "save job x.png", "bundle": "bundle x.zip"}
    for command in SUBCOMMANDS:
        line = example.get(command.name, " ".join([command.name, *["x"] * command.least]))
        assert read_subcall(line).name == command.name


def test_a_call_is_frozen():
    """What was parsed is not changed on its way."""
    call = read_subcall("cost --by day")
    with pytest.raises(TypeError):
        call.options["by"] = "tag"  # type: ignore[index]
    assert SubCall("status").options == {}


words = st.one_of(
    st.sampled_from(
        [*subcommand_names(), "--tag", "--by", "--since", "7d", "5", "off", "a=1", "--help", "—n", "'", "[", "--"]
    ),
    st.text(max_size=8),
)


@given(st.lists(words, max_size=6).map(" ".join))
def test_no_line_makes_it_fail(line):
    """Whatever stands after ``%wan`` is a call or our error."""
    try:
        call = read_subcall(line)
    except CellError as error:
        text = str(error)
        assert text
    else:
        assert call.name in subcommand_names()
