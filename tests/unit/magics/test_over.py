"""``%%wan --over``: a cell that makes a batch, and the commands that take one."""

import re
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.magics.conftest import Notebook
from wan_notebook.batch import Batch
from wan_notebook.errors import BudgetError, CellError, RequestError, StoreError
from wan_notebook.session import default_session

ROWS = "import wan_notebook as wan\nrows = wan.grid(animal=['fox', 'owl'], style=['ink', 'oil'])\nmood = 'calm'"
ZOO = "%%wan --over rows --as zoo --seed 1\n{animal} in {style}, {mood}"


@pytest.fixture
def zoo(notebook: Notebook) -> Notebook:
    """A notebook that has made a batch of four rows."""
    notebook.run(ROWS)
    notebook.run(ZOO)
    return notebook


def problems_of(notebook: Notebook, cell: str) -> list[str]:
    """Return the lines of the one error that a cell gives."""
    with pytest.raises(RequestError) as caught:
        notebook.run(cell)
    return caught.value.lines()


def test_a_cell_makes_a_picture_for_each_row(notebook: Notebook) -> None:
    """Braces take columns first, then variables, in the negative prompt and tags too; the rest is for all rows."""
    notebook.names["style"] = "a variable"
    notebook.run(ROWS)
    line = "%%wan --over rows --as zoo --seed 1..2 --tag {style} --tag calm --size 1:1"
    cell = f"{line}\n{{animal}} in {{style}}, {{mood}}\nNegative prompt: {{style}} frame"
    shown = notebook.run(cell)
    zoo = notebook.names["zoo"]
    assert isinstance(zoo, Batch)
    assert (zoo.name, len(zoo), zoo.axes) == ("zoo", 8, ("animal", "style"))
    assert [job.prompt for job in zoo][::4] == ["fox in ink, calm", "owl in ink, calm"]
    assert [job.seed for job in zoo] == [1, 2] * 4
    last = zoo[7]
    assert (last.request.negative_prompt, last.rows[0].tags) == ("oil frame", ("oil", "calm"))
    assert last.request.parameters()["size"] == "1280*1280"
    assert "8 of 8 saved" in shown
    assert "_wan" not in notebook.names, "`_wan` is a job"
    assert "from store" in notebook.run(cell)
    assert notebook.tasks() == 8
    notebook.run(cell.replace("--as", "--fresh --as"))
    assert notebook.tasks() == 16


def test_the_cell_and_python_make_the_same_batch(zoo: Notebook) -> None:
    """What was made by one is free for the other, and found under its name in any kernel."""
    zoo.run("again = wan.map(rows, '{animal} in {style}, {mood}', seed=1, name='zoo').result()")
    assert [job.id for job in zoo.names["again"]] == [job.id for job in zoo.names["zoo"]]
    assert zoo.names["again"].id == zoo.names["zoo"].id
    assert zoo.tasks() == 4
    made = zoo.run("job = %wan make --over rows[:1] --seed 9 a {animal}\nprint(type(job).__name__, job[0].prompt)")
    assert "Batch a fox" in made


@pytest.mark.parametrize(
    "over", ["rows.csv", "'rows.csv'", "./rows.csv", "{table}", "table", "frame", "frame[frame.animal > 'a']", "rows"]
)
def test_rows_are_an_expression_or_a_path(notebook: Notebook, over: str) -> None:
    """A variable comes before a file; a prompt may stand in the table alone."""
    Path("rows.csv").write_text("animal,prompt\nfox,a fox\nowl,an owl\n", "utf-8")
    notebook.run("import pandas\ntable = 'rows.csv'\nframe = pandas.read_csv(table)\nrows = frame.to_dict('records')")
    notebook.run(f"%%wan --over {over} --as zoo --limit 1\n")
    assert [job.prompt for job in notebook.names["zoo"]] == ["a fox"]


def test_pictures_are_columns_or_of_all_rows(notebook: Notebook) -> None:
    """A bare name that is a column means it, before a variable of that name; the order is that of the options."""
    for colour in ("red", "blue"):
        Image.new("RGB", (300, 400), colour).save(f"{colour}.png")
    frame, photo = (Image.new("RGB", (500, 300), colour) for colour in ("green", "white"))
    notebook.names.update(rows=[{"photo": "red.png"}, {"photo": "blue.png"}], photo=photo, frame=frame)
    notebook.run("%%wan --over rows -i photo -i frame --like photo --size 1K --as edits\nput {{it}} into the frame")
    edits = notebook.names["edits"]
    assert [[image.name for image in job.request.images] for job in edits] == [
        ["red.png", "frame"],
        ["blue.png", "frame"],
    ]
    assert {job.prompt for job in edits} == {"put {it} into the frame"}
    assert notebook.tasks() == 2
    notebook.run("%%wan --over rows -i photo --raw --as raw\n{it}")
    assert notebook.names["raw"][1].prompt == "{it}"


def test_all_problems_come_together_with_the_numbers_of_rows(notebook: Notebook) -> None:
    """Those of the line, the text and the rows; nothing is written or sent."""
    notebook.names["rows"] = [{"animal": "fox", "size": "7"}, {"animal": "owl", "n": -1}, {"animal": "cat"}]
    told = problems_of(
        notebook, "%%wan --over rows --as 1x --sede 4 -i nophoto --negative x\n{anmal}\nNegative prompt: y"
    )
    for words in ("--sede", "--as", "nophoto", "Did you mean animal", "row 2, n = -1", "option and stands below"):
        assert any(words in line for line in told), (words, told)
    assert "no variable nix" in problems_of(notebook, "%%wan --over nix --sede 4\nx")[2]
    assert "needs --over" in problems_of(notebook, "%%wan --limit 3\nx")[1]
    assert "whole number from 1" in problems_of(notebook, "%%wan --over rows --limit 0\n{animal}")[1]
    assert not default_session().loader.folder.exists()
    assert notebook.tasks() == 0


def test_a_dry_run_shows_the_plan_and_a_budget_stops_the_whole(notebook: Notebook) -> None:
    """Rows, new tasks and the most they cost; what does not fit is refused, with `limit` as the way out."""
    notebook.run(ROWS)
    shown = notebook.run(ZOO.replace("%%wan", "%%wan --dry-run"))
    assert "dry run · nothing was sent · 4 rows · 4 new" in shown
    assert "zoo" not in notebook.names
    notebook.run("%wan budget 3 pictures")
    with pytest.raises(BudgetError, match="limit"):
        notebook.run(ZOO)
    notebook.run(ZOO.replace("--seed", "--limit 3 --seed"))
    assert notebook.tasks() == 3


def test_a_key_in_the_table_is_not_written_down(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even in a column that nothing uses: the ledger keeps the rows."""
    monkeypatch.setenv("WAN_API_KEY", key := "sk-veryverysecret0123456789")
    notebook.names["rows"] = [{"animal": "fox", "note": f"asked with {key}"}]
    told = problems_of(notebook, "%%wan --provider simulator --over rows\n{animal}")
    assert "contain an API key" in told[1]
    assert not default_session().loader.folder.exists()


def test_what_nothing_uses_is_said(notebook: Notebook) -> None:
    """A misspelled column is a note above the pictures."""
    notebook.names["rows"] = [{"animal": "fox", "sizes": "1:1"}]
    assert "Did you mean size?" in notebook.run("%%wan --over rows --seed 1\n{animal}")


def test_commands_take_a_batch_where_that_makes_sense(zoo: Notebook) -> None:
    """By its variable, or by its name in a kernel that has no such variable; the others say that they need a job."""
    for shown in (zoo.run("%wan show zoo"), zoo.run("%wan wait {zoo}"), zoo.run("del zoo\n%wan show zoo")):
        assert "4 of 4 saved" in shown
    assert "4 of 4 jobs" in zoo.run("%wan history --batch zoo")
    assert "zoo is starred" in zoo.run("%wan star zoo")
    assert "tags of batch zoo: poster" in zoo.run("%wan tag zoo poster")
    assert len(zoo.shell.ev("wan.history(tag='poster', starred=True, batch='zoo')")) == 4
    assert zoo.run("%wan save zoo figures").count("saved figures/") == 4
    assert len(list(Path("figures").iterdir())) == 4
    with pytest.raises(StoreError, match="sheet"):
        zoo.run("%wan save zoo figures.png")
    for command in (
        "trash zoo",
        "recall zoo",
        "show zoo --takes",
        "resolve zoo",
        "resolve --batch zoo adopt",
        "resolve --batch zoo",
    ):
        with pytest.raises(CellError, match="batch"):
            zoo.run(f"%wan {command}")
    assert "Nothing of batch zoo is running" in zoo.run("%wan cancel zoo")
    assert "Nothing of batch zoo is in doubt" in zoo.run("%wan resolve zoo again\n%wan resolve --batch zoo abandon")


def test_a_batch_is_no_picture(zoo: Notebook) -> None:
    """Its display holds a sheet of all pictures, which must not be edited by mistake; a job of it is one."""
    for call in ("%%wan -i zoo\nnight", "wan.generate('night', images=zoo)", "%%wan --over rows -i zoo\nnight"):
        assert "Choose one of its jobs: zoo[0]" in "".join(problems_of(zoo, call))
    zoo.run("%%wan -i zoo[1] --as edit\nat night")
    assert zoo.names["edit"].rows[0].inputs[0].source_job == zoo.names["zoo"][1].id


def test_a_row_is_recalled_as_a_cell_of_its_own(zoo: Notebook) -> None:
    """It asks for the same picture, and does not bind the batch's name to a job."""
    cell = zoo.run("job = zoo[3]\n%wan recall zoo[3]")
    cell = cell[cell.index("%%wan") :].strip()
    assert cell == "%%wan --seed 1\nowl in oil, calm"
    assert "from store" in zoo.run(f"{cell}\n")
    assert isinstance(zoo.names["zoo"], Batch)


def test_a_batch_is_waited_for_and_cancelled_with_the_rest(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """`%wan wait` ends in one line over jobs and batches; `cancel --all` sends no more; both say what is not sent."""
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "0.3")
    notebook.run(ROWS)
    notebook.run("%%wan --seed 9 --no-wait\na bear")
    notebook.run(ZOO.replace("%%wan", "%%wan --no-wait"))
    screen = notebook.run("%wan wait --timeout 30").rstrip("\n").split("\r")[-1]
    assert re.fullmatch(r"5 of 5 saved · \d s · \$0\.00 *", screen)
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "30")
    notebook.run("%%wan --over rows --as slow --seed 1..5 --no-wait\na {animal}, {style}")
    said = notebook.run("%wan cancel --all")
    assert "batch slow: " in said
    assert "not sent, nothing is paid for them" in said
    assert notebook.names["slow"].status.get("intent", 0) == 0
    assert notebook.names["slow"].status["cancelled"] >= 10
