"""What is said to somebody who mistyped: the nearest thing that exists, and a line that works when it is pasted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import wan_notebook as wan
from tests.engine.kit import ask, ended, rig
from wan_notebook.cell import CellCall, DictResolver, read_cell
from wan_notebook.commands.naming import find_job
from wan_notebook.completion import complete
from wan_notebook.errors import CellError, WanError
from wan_notebook.options import subcommand
from wan_notebook.testing import assert_same_picture
from wan_notebook.usage import subcommand_help


def cell(line: str, body: str = "a fox", **names: object) -> CellCall:
    """Read a cell."""
    return read_cell(line, body, DictResolver(names))


def said(line: str, body: str = "a fox", **names: object) -> str:
    """Return what is wrong with a cell."""
    with pytest.raises(WanError) as caught:
        cell(line, body, **names)
    return "\n".join(caught.value.lines())


@pytest.fixture(autouse=True)
def _pictures() -> None:
    for name in ("cat.jpg", "coffee.jpg"):
        Image.new("RGB", (300, 300)).save(name)


@pytest.mark.parametrize(
    ("line", "wanted", "unwanted"),
    [
        ("--as my fox", "--as my_fox", "quotes"),
        ("--as my red fox", "--as my_red_fox", "quotes"),
        ("--input cat.jpg", "Nearest: -i", "--timeout"),
        ("-i cats.jpg", "Did you mean cat.jpg?", "coffee"),
        ("--size 4K", "1K", "1K, 2K"),
        ("--size 4K", "2K is for editing", "nothing else"),
        ("--size 4K -i cat.jpg", "1K, 2K", "for editing"),
        ("-n 0", "Choose a number in that range", "for more"),
        ("--seed abc", "5..8", "path"),
    ],
)
def test_a_slip_gets_the_line_that_works(line: str, wanted: str, unwanted: str) -> None:
    """The advice fits the slip: it names what is near, and nothing that would fail in turn."""
    text = said(line)
    assert wanted in text
    assert unwanted not in text


@pytest.mark.parametrize(("line", "seeds"), [('--seed "5, 9"', [5, 9]), ("--seed '5..7'", [5, 6, 7])])
def test_seeds_in_quotes_mean_what_they_say(line: str, seeds: list[int]) -> None:
    """Nobody who quotes a list means a text."""
    assert [request.seed for request in cell(line).requests] == seeds


def test_an_empty_prompt_is_worded_for_cells_and_python() -> None:
    """`wan.generate("")` has no cell."""
    with pytest.raises(WanError) as caught:
        wan.ImageRequest(prompt="")
    assert "Write what the picture shows." in str(caught.value)
    assert "cell" not in str(caught.value)


def test_a_broken_field_is_shown_to_its_end() -> None:
    """Two fields in one line: each problem shows its own, whole."""
    text = said("", "{3.14159:.2f} and {os.getcwd()}")
    assert "prompt = {3.14159:.2f}:" in text
    assert "prompt = {os.getcwd()}:" in text


def test_a_small_array_is_enlarged_as_a_picture() -> None:
    """An array's own `resize` would fill with zeros."""
    assert "fromarray(tiny).resize((320, 240))" in said("-i tiny", tiny=np.zeros((30, 40, 3), "uint8"))


def test_a_mistyped_job_names_the_nearest_variable(tmp_path: Path) -> None:
    """`%wan show fxo` means `fox`; ids that resemble nothing are called the newest, not the nearest."""
    with rig(tmp_path) as made:
        session = made.kernel()
        names = {"fox": ended(ask(session, seed=1)), "photo": 5, "_wan": None}
        with pytest.raises(CellError, match=r"called fxo\. Nearest: fox\."):
            find_job(session, names, "fxo")
        with pytest.raises(CellError, match="photo is no job but: int"):
            find_job(session, names, "photo")
        with pytest.raises(WanError, match=rf"Newest: {names['fox'].id}"):  # type: ignore[attr-defined]
            find_job(session, names, "zzz")


def test_the_help_of_config_lists_its_keys() -> None:
    """`%wan help config` is where one looks for them."""
    command = subcommand("config")
    assert command is not None
    text = subcommand_help(command)
    assert [key for key in command.choices if key.rstrip("=") not in text] == []


def test_wan_itself_is_offered_last() -> None:
    """`_wan` stands behind whatever has a name, jobs and files too."""
    names = {"_wan": Image.new("RGB", (300, 300)), "photo": Image.new("RGB", (300, 300))}
    found = complete("%%wan -i ", 9, names, ["a3f9c2d1e0"]).candidates
    assert found[-1] == "_wan"
    assert found[0] == "photo"


@pytest.mark.parametrize("line", ["%wan login ", "%wan logout "])
def test_the_services_are_offered_to_login(line: str) -> None:
    """An argument is chosen, not typed; a key is never typed there."""
    assert complete(line, len(line), {}, ()).candidates[:2] == ("gateway", "dashscope")


def test_the_package_lists_what_is_public() -> None:
    """Tab after `wan.` shows the names of the manual, not the modules that happen to be loaded."""
    assert dir(wan) == sorted(wan.__all__)


def test_a_comparison_names_a_picture_s_file_whole(tmp_path: Path) -> None:
    """A path that is cut cannot be opened."""
    with rig(tmp_path) as made:
        job = ended(ask(made.kernel(), seed=1))
        with pytest.raises(AssertionError) as caught:
            assert_same_picture(job[0], "cat.jpg")
        assert str(job[0].file) in str(caught.value)
