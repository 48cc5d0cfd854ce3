"""`%wan` and `%%wan` in IPython: what a cell does, shows and leaves behind; errors that are short and exact."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image
from traitlets.config import Config

import wan_notebook
from wan_notebook.errors import CellError, MissingKeyError, RequestError, StoreError
from wan_notebook.jobs import Job
from wan_notebook.ledger import LedgerError
from wan_notebook.session import default_session


class Notebook:
    """A shell in which cells run, as a person would run them."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.names = shell.user_ns

    def run(self, cell: str) -> str:
        """Run a cell; return what it shows as plain text. Raises the cell's error."""
        with capture_output() as captured:
            result = self.shell.run_cell(cell, store_history=True)
        if result.error_in_exec or result.error_before_exec:
            raise result.error_in_exec or result.error_before_exec
        shown = [output.data.get("text/plain", "") for output in captured.outputs]
        return "\n".join([captured.stdout, *shown])


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Notebook]:
    """A fresh shell with the extension loaded, on a simulator that is quick."""
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "0")
    monkeypatch.setenv("WAN_HOME", str(tmp_path / "wan-pictures"))
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_line_magic("load_ext", "wan_notebook")
    yield Notebook(shell)
    shell.run_line_magic("unload_ext", "wan_notebook")
    default_session().close()
    InteractiveShell.clear_instance()


def requests(notebook: Notebook) -> int:
    """Count what was sent to the service."""
    return sum(sum(client.requests_sent.values()) for client in default_session().providers.clients)


def test_a_cell_makes_a_picture_and_binds_its_job(notebook: Notebook) -> None:
    """The body is the prompt, --as binds the job, the output names what to paste."""
    shown = notebook.run("%%wan --as fox --seed 5\na fox in {place}".replace("{place}", "snow"))

    assert isinstance(notebook.names["fox"], Job)
    assert notebook.names["fox"].images[0].size == (1280, 1280)
    assert "fox[0]" in shown
    assert "seed 5" in shown


def test_variables_stand_in_the_text_and_values_are_not_expanded_again(notebook: Notebook) -> None:
    """{name} comes from the notebook; a value's own braces stay."""
    notebook.names.update(animal="a {fox}", place={"where": "snow"})
    notebook.run("%%wan --as job --seed 5\n{animal} in {place[where]}, {{literally}}\nNegative prompt: text")

    assert notebook.names["job"].prompt == "a {fox} in snow, {literally}"
    assert notebook.names["job"].request.negative_prompt == "text"


def test_a_one_line_prompt_is_verbatim(notebook: Notebook) -> None:
    """Apostrophes, question marks and braces reach the service as typed, and the job comes back."""
    notebook.run("job = %wan make --seed 5 what's {this}, a fox or a dog?")

    assert notebook.names["job"].prompt == "what's {this}, a fox or a dog?"


@pytest.mark.parametrize(
    ("cell", "kind", "words"),
    [
        ("%%wan", RequestError, "empty"),
        ("%%wan\n   \n", RequestError, "empty"),
        ("%%wan -i missing\nx", RequestError, "missing"),
        ("%%wan -i number\nx", RequestError, "not an image"),
        ("%%wan -i nothing.png\nx", RequestError, "no file"),
        ("%%wan -i tiny\nx", RequestError, "240"),
        ("%%wan --seed 5 --sise 2K\nx", CellError, "--size"),
        ("%%wan stray\nx", CellError, "%wan make"),
        ("%wan mkae a fox", CellError, "make"),
        ("%wan show nosuchjob", LedgerError, "No job"),
        ("%%wan --provider gateway\nx", MissingKeyError, "WAN_API_KEY"),
        ("%%wan --as 2fox\nx", CellError, "2fox"),
        ("%%wan\na {animl} in snow", RequestError, "animal"),
        ("%wan budget lots", CellError, "lots"),
        ("%wan history --limit 0", CellError, "1 or more"),
        ("import wan_notebook as wan; wan.history(limit=0)", CellError, "1 or more"),
        ("import wan_notebook as wan; wan.history(since='soon')", CellError, "7d"),
        ("%wan config colour=red", CellError, "colour"),
    ],
)
def test_bad_input_is_a_short_error_and_nothing_is_sent(
    notebook: Notebook, cell: str, kind: type[Exception], words: str
) -> None:
    """What happened, the offending value, what to do; no traceback, no request, no job."""
    notebook.names.update(number=3, tiny=Image.new("RGB", (100, 100)), animal="fox")
    with pytest.raises(kind, match=words) as caught:
        notebook.run(cell)

    lines = caught.value._render_traceback_()
    assert len(lines) <= 5
    assert all(len(line) < 400 for line in lines)
    assert requests(notebook) == 0
    assert not wan_notebook.history()


def test_a_dry_run_sends_and_fetches_nothing(notebook: Notebook) -> None:
    """It shows the exact request with pictures by name, size and hash, and the most it can cost."""
    notebook.names["photo"] = np.zeros((300, 400, 3), dtype=np.uint8)
    shown = notebook.run("%%wan --dry-run -i photo -i http://127.0.0.1:9/x.png --size 2K\nblue")

    assert "photo: 400×300" in shown
    assert "nothing was sent" in shown
    assert "base64" not in shown
    assert requests(notebook) == 0


def test_a_dry_run_shows_what_would_be_sent_of_pictures_that_are_not_here(notebook: Notebook) -> None:
    """An address counts as the picture that it will be: mode, parameters and places are those of the real request."""
    shown = notebook.run("%%wan --dry-run -i http://127.0.0.1:9/x.png\nblue")
    body = json.loads(shown[shown.index("\n{") :])

    assert body["input"]["messages"][0]["content"] == [{"text": "blue"}, {"image": "<x.png: not here yet>"}]
    assert body["parameters"] == {
        "enable_interleave": False,
        "watermark": False,
        "n": 1,
        "prompt_extend": True,
        "size": "1K",
        "seed": "(chosen when it is sent)",
    }
    assert "shape of image 1 (x.png)" in shown
    assert requests(notebook) == 0


def test_a_dry_run_of_a_shape_that_is_not_here(notebook: Notebook) -> None:
    """``--like`` an address is no error in a dry run, and no size is made up for it."""
    shown = notebook.run("%%wan --dry-run --like http://127.0.0.1:9/x.png --seed 5,9\nblue")

    assert '"size": "(the shape of x.png, which is not here yet)"' in shown
    assert "× 2, each with its seed: 5, 9" in shown
    assert requests(notebook) == 0


def test_a_dry_run_names_the_address_that_would_be_asked(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """DashScope's base URL may be given without /api/v1; the call goes to the whole one."""
    monkeypatch.setenv("WAN_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-x")

    shown = notebook.run("%%wan --dry-run\nblue")
    assert "POST http://127.0.0.1:9/api/v1/services/aigc/image-generation/generation" in shown


def test_the_simulator_named_for_one_cell_is_the_built_in_one(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """WAN_BASE_URL is the chosen service's: a practice picture must not be ordered, and paid for, there."""
    monkeypatch.setenv("WAN_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WAN_API_KEY", "sk-real")
    notebook.run("%%wan --as fox --seed 5 --provider simulator\na fox")

    (row,) = notebook.names["fox"].rows
    assert (row.state, row.simulated, row.base_url) == ("saved", True, "http://simulator.invalid")


def test_wan_is_the_last_job_of_another_cell(notebook: Notebook) -> None:
    """Editing `_wan` takes the picture made before, and a re-run of the edit does not edit its own result."""
    notebook.run("%%wan --as fox --seed 5\na fox")
    notebook.run("%%wan -i _wan --as edit --seed 6\nat night")

    assert notebook.names["edit"].rows[0].inputs[0].source_job == notebook.names["fox"].id


def test_wan_can_be_used_in_python_too(notebook: Notebook) -> None:
    """After the first cell `_wan` is its job, in the next cell's Python and for completion as well."""
    notebook.run("%%wan --as fox --seed 5\na fox")
    assert notebook.names["_wan"] is notebook.names["fox"]

    notebook.run("%%wan --as hare --seed 6\na hare")
    notebook.run("seen = _wan")
    assert notebook.names["seen"] is notebook.names["hare"]

    notebook.run("import wan_notebook as wan\nedit = wan.generate('at night', [_wan], seed=7)\nagain = _wan")
    assert notebook.names["again"] is notebook.names["hare"]


def test_a_seed_sweep_is_one_card_of_labelled_jobs(notebook: Notebook) -> None:
    """One job a seed, the total said."""
    shown = notebook.run("%%wan --seed 5..7 --as sweep\na fox")

    assert notebook.names["sweep"].seeds == (5, 6, 7)
    assert all(f"seed {seed}" in shown for seed in (5, 6, 7))


def test_a_failed_job_fails_the_cell(notebook: Notebook) -> None:
    """Run All stops at the cell whose picture did not come, and the card says that it cost nothing."""
    with pytest.raises(Exception, match="cost nothing"):
        notebook.run("%%wan\n[[fail]] a fox")


def test_a_success_without_a_picture_shows_its_text(notebook: Notebook) -> None:
    """0 pictures is an answer, not an error."""
    assert "0 pictures" in notebook.run("%%wan\n[[empty]] a fox")


def test_the_help_names_every_option(notebook: Notebook) -> None:
    """``%wan?`` and ``%%wan?`` show the whole help."""
    for method in (
        notebook.shell.magics_manager.magics["line"]["wan"],
        notebook.shell.magics_manager.magics["cell"]["wan"],
    ):
        assert "--dry-run" in str(method.__doc__)


@pytest.mark.parametrize(
    "command", ["", "history", "cost", "budget", "config", "doctor", "history fox --since 7d", "resume"]
)
def test_commands_answer_in_an_empty_folder(notebook: Notebook, command: str) -> None:
    """Before there is any picture, every question has an answer."""
    assert notebook.run(f"%wan {command}".strip()).strip()


def test_saving_and_recalling(notebook: Notebook, tmp_path: Path) -> None:
    """A saved copy carries its recipe, a clean one does not, and the recipe becomes the cell that made it."""
    notebook.run("%%wan --as fox --seed 5 --size 16:9\na fox\nNegative prompt: text")
    notebook.run(f"%wan save fox {tmp_path / 'fox.png'}")
    notebook.run(f"%wan save fox {tmp_path / 'clean.png'} --clean")
    recalled = notebook.run(f"%wan recall {tmp_path / 'fox.png'}")

    assert "--size 1280*720" in recalled or "--size 16:9" in recalled
    assert "--seed 5" in recalled
    assert "a fox\nNegative prompt: text" in recalled
    with pytest.raises(Exception, match="no recipe"):
        notebook.run(f"%wan recall {tmp_path / 'clean.png'}")


def test_saving_over_a_photograph_needs_force(notebook: Notebook, tmp_path: Path) -> None:
    """A mistyped name must not cost a file that was not made here; what it was made for runs again."""
    notebook.run("%%wan --as fox --seed 5\na fox")
    (tmp_path / "cat.jpg").write_bytes(b"a photograph")
    with pytest.raises(StoreError, match="--force"):
        notebook.run(f"%wan save fox {tmp_path / 'cat.jpg'}")
    notebook.run(f"%wan save fox[0] {tmp_path / 'cat.jpg'} --force")
    with Image.open(tmp_path / "cat.jpg") as saved:
        assert saved.format == "JPEG"
    assert "--seed 5" in notebook.run(f"%wan recall {tmp_path / 'cat.jpg'}")
    assert f"saved {tmp_path / 'bare.png'}" in notebook.run(f"%wan save fox {tmp_path / 'bare'}")
    with pytest.raises(StoreError, match="folder of pictures"):
        notebook.names["fox"].save(notebook.names["fox"].files[0], clean=True, overwrite=True)


def outputs_of(notebook: Notebook, cell: str) -> list[dict[str, Any]]:
    """Run a cell and return the bundles that it displays, its value's among them."""
    shown: list[dict[str, Any]] = []
    with capture_output() as captured:
        value = notebook.shell.run_cell(cell, store_history=True).result
    shown += [output.data for output in captured.outputs]
    if value is not None and not shown:
        shown.append(notebook.shell.display_formatter.format(value)[0])
    return shown


def test_a_picture_shows_itself(notebook: Notebook) -> None:
    """`fox[0]`, which every caption invites to type, shows the picture as the gallery does, and prints as one line."""
    notebook.run("%%wan --as fox --seed 5..6\na fox")
    (data,) = outputs_of(notebook, "fox[1]")

    assert set(data) == {"text/plain", "text/html", "image/jpeg"}
    assert data["text/html"].count("<img") == 1
    assert "seed 6" in data["text/html"]
    assert "fox[1]" in data["text/plain"]
    assert "<script" not in data["text/html"]
    assert notebook.run("print(fox[1])").strip().count("\n") == 0
    assert "<img" in outputs_of(notebook, "import wan_notebook as wan; wan.history()[0]")[0]["text/html"]
    assert outputs_of(notebook, "%wan show fox[1]")[0]["text/html"].count("<img") == 1


def test_a_picture_that_is_not_there_is_named_in_short(notebook: Notebook) -> None:
    """One sentence with the choices, for the expression and for the command."""
    notebook.run("%%wan --as fox --seed 5\na fox")
    for cell in ("fox[9]", "%wan save fox[9] x.png", "%%wan -i fox[9]\nat night"):
        with pytest.raises(Exception, match=r"has 1 picture[;,] there is no \[9\]") as caught:
            notebook.run(cell)
        assert ".." not in str(caught.value)
    with pytest.raises(IndexError):
        notebook.names["fox"][9]


def test_recalling_by_what_lies_beside(notebook: Notebook, tmp_path: Path) -> None:
    """A picture of a kind that holds no recipe has it in the file beside it; a path that is no file is called one."""
    notebook.run("%%wan --as fox --seed 5\na fox")
    png = notebook.shell.user_ns["fox"].files[0]
    Image.new("RGB", (8, 8)).save(tmp_path / "fox.jpg")
    with pytest.raises(Exception, match="no recipe"):
        notebook.run(f"%wan recall {tmp_path / 'fox.jpg'}")
    (tmp_path / "fox.jpg.json").write_text(png.with_name(f"{png.name}.json").read_text("utf-8"), "utf-8")

    assert "--seed 5" in notebook.run(f"%wan recall {tmp_path / 'fox.jpg'}")
    with pytest.raises(Exception, match=r"there is no file fox\.png"):
        notebook.run("%wan recall fox.png")


def test_the_line_of_settings_names_the_version(notebook: Notebook) -> None:
    """A1111-style tools show which program made the picture, with its version."""
    notebook.run("%%wan --as fox --seed 5\na fox")
    data = notebook.names["fox"].files[0].read_bytes()
    assert f"Version: wan_notebook {wan_notebook.__version__}".encode() in data


def test_stars_and_trash(notebook: Notebook) -> None:
    """A star is put on and taken off; the trash keeps the cost and can be undone."""
    notebook.run("%%wan --as fox --seed 5\na fox")
    job = notebook.names["fox"].id
    assert "is starred" in notebook.run("%wan star fox")
    assert "no longer" in notebook.run("%wan star fox")
    assert "30 days" in notebook.run(f"%wan trash {job}")
    assert len(wan_notebook.history()) == 0
    assert "out of the trash" in notebook.run(f"%wan trash {job}")
    assert len(wan_notebook.history()) == 1


def test_the_way_back_from_the_trash_is_seen(notebook: Notebook) -> None:
    """The command, the history and the job itself name it; undoing twice does not put it in again."""
    notebook.run("%%wan --as fox --seed 5\na fox")
    back = f"%wan trash {notebook.names['fox'].id} --undo"
    assert back in notebook.run("%wan trash fox")
    assert "1 job in the trash: %wan history --trash" in notebook.run("%wan history")
    assert "a fox" in notebook.run("%wan history --trash")
    assert len(wan_notebook.history(trash=True)) == 1
    assert back in notebook.run("%wan show fox")
    assert "out of the trash" in notebook.run(back)
    assert "is not in the trash" in notebook.run(back)
    assert "trash" not in notebook.run("%wan history")


def test_the_trash_names_several_jobs_by_their_variable(notebook: Notebook) -> None:
    """One id of a sweep would bring back one picture."""
    notebook.run("%%wan --seed 5\na fox")
    notebook.run("%%wan --as foxes --seed 5,9\na fox")
    assert "%wan trash foxes --undo" in notebook.run("%wan trash foxes")
    assert "Note: in the trash" in notebook.run("%wan show foxes")
    notebook.run("%wan trash foxes --undo")
    assert len(wan_notebook.history()) == 2


def test_the_history_of_starred_jobs(notebook: Notebook) -> None:
    """The command has what the function has."""
    notebook.run("%%wan --as fox --seed 5\na fox")
    notebook.run("%%wan --seed 6\nan owl")
    notebook.run("%wan star fox")
    shown = notebook.run("%wan history --starred")
    assert "a fox" in shown
    assert "an owl" not in shown


@pytest.mark.parametrize("name", ["print", "list", "_", "_wan", "_fox", "get_ipython", "None"])
def test_a_name_that_others_need_is_refused(notebook: Notebook, name: str) -> None:
    """`list((1, 2))` means in the next cell what it meant before; IPython's and our own names stay theirs."""
    with pytest.raises(CellError, match=r"--as.*(belongs to Python|underscore).*Write|Use"):
        notebook.run(f"%%wan --as {name}\na fox")
    with pytest.raises(RequestError, match="name"):
        wan_notebook.generate("a fox", name=name)
    assert requests(notebook) == 0


def test_a_dry_run_on_the_simulator_says_what_it_would_cost(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Practice costs nothing, and is there to learn what the real thing costs."""
    monkeypatch.setenv("WAN_SIMULATOR_PRICE", "0.05")
    assert "would cost up to $0.15" in notebook.run("%%wan --dry-run --seed 5..7\na fox")
    notebook.run("%%wan --seed 5..7\na fox")
    assert "would cost" not in notebook.run("%%wan --dry-run --seed 5..7\na fox")


def test_the_parameters_bear_one_set_of_names(notebook: Notebook) -> None:
    """No raw names of the service beside words, and the seeds that were asked, not a range."""
    (data,) = outputs_of(notebook, "%%wan --seed 5,9 --size 16:9\na fox")
    html = data["text/html"]
    assert "seeds 5, 9" in html
    assert "1280×720 px" in html
    assert "Watermark" in html
    for raw in ("max_images", "watermark", "prompt_extend", "False", "1280*720<"):
        assert raw not in html
    assert "Rewrite" not in html


def test_a_line_in_a_terminal_leaves_no_empty_out(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was shown is not announced again with nothing behind it; an assignment has its job."""
    monkeypatch.setattr(notebook.shell, "simple_prompt", True, raising=False)
    monkeypatch.setattr(notebook.shell.history_manager, "input_hist_raw", ["", "%wan make --seed 5 a fox"])
    assert notebook.shell.run_cell("%wan make --seed 5 a fox").result is None
    monkeypatch.setattr(notebook.shell.history_manager, "input_hist_raw", ["", "job = %wan make --seed 5 a fox"])
    notebook.run("job = %wan make --seed 5 a fox")
    assert isinstance(notebook.names["job"], Job)


def test_the_history_is_a_data_frame(notebook: Notebook) -> None:
    """One row a job, types right, Decimal kept."""
    notebook.run("%%wan --seed 5..6\na fox")
    frame = wan_notebook.history().to_pandas()

    assert list(frame["seed"]) == [6, 5]
    assert str(frame["created_at"].dtype).startswith("datetime64")
    assert set(frame["cost_source"]) == {"simulated"}


def test_a_full_or_readonly_folder_refuses_before_anything_is_sent(
    notebook: Notebook, monkeypatch: Any, tmp_path: Path
) -> None:
    """No room for the picture means no request: the money stays."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("WAN_HOME", str(tmp_path / "file" / "wan-pictures"))
    with pytest.raises(StoreError):
        notebook.run("%%wan\na fox")

    assert requests(notebook) == 0


def test_one_picture_shows_itself(notebook: Notebook, tmp_path: Path) -> None:
    """A cell that ends in `job[0]` shows the picture, small enough for a notebook, and never fails."""
    notebook.run("%%wan --as fox --seed 5\na fox")
    picture = notebook.names["fox"][0]
    data, _ = notebook.shell.display_formatter.format(picture)

    assert "data:image/webp" in data["text/html"]
    assert len(base64.b64decode(data["image/jpeg"])) <= 60_000
    assert picture.save(tmp_path).name == picture.file.name
    picture.file.unlink()
    data, _ = notebook.shell.display_formatter.format(picture)
    assert "seed 5" in data["text/plain"]


def test_bare_wan_is_five_lines(notebook: Notebook) -> None:
    """Where one stands and what to type next, in five lines."""
    notebook.run("%%wan --as fox --seed 5\na fox")
    lines = notebook.run("%wan").strip().splitlines()

    assert len(lines) == 5
    assert lines[-1].startswith("next")
    assert "%wan login" in lines[-1]
    assert "%wan?" in lines[-1]


def test_unloading_takes_everything_back(notebook: Notebook) -> None:
    """No magic, no matcher, no transformer stays; loading twice registers once."""
    before = len(notebook.shell.input_transformers_cleanup)
    notebook.shell.run_line_magic("load_ext", "wan_notebook")
    wan_notebook.load_ipython_extension(notebook.shell)
    assert len(notebook.shell.input_transformers_cleanup) == before
    wan_notebook.unload_ipython_extension(notebook.shell)

    assert "wan" not in notebook.shell.magics_manager.magics["cell"]
    assert len(notebook.shell.input_transformers_cleanup) == before - 1


@pytest.mark.parametrize(
    ("cell", "shows"),
    [
        ("%wan history", "Nothing was made yet."),
        ("%wan history fox --tag a --state saved", "Nothing found."),
        ("%wan cost", "$0.00"),
        ("%wan budget", "no cap is set"),
        ("%wan", "none open"),
        ("%%wan --dry-run --seed 5\na fox", "a fox"),
        ("import wan_notebook as wan; print(wan.history(), wan.history().to_dicts())", "0 of 0 jobs"),
    ],
)
def test_who_only_looks_creates_nothing(notebook: Notebook, tmp_path: Path, cell: str, shows: str) -> None:
    """Before the first order nothing is written, so that looking works where nothing can be written."""
    assert shows in notebook.run(cell)
    assert not (tmp_path / "wan-pictures").exists()


def test_a_wrong_question_is_an_error_without_a_ledger_too(notebook: Notebook) -> None:
    """An empty folder does not hide that a state is misspelt or a page too long."""
    with pytest.raises(LedgerError, match="finished"):
        len(wan_notebook.history(state="finished"))
    with pytest.raises(LedgerError, match="1000"):
        notebook.run("%wan history --limit 5000")


def test_several_tags_narrow_the_history(notebook: Notebook) -> None:
    """--tag a --tag b shows the jobs that bear both, and says so."""
    notebook.run("%wan make --tag a --tag b --seed 1 a fox")
    notebook.run("%wan make --tag a --seed 2 an owl")

    shown = notebook.run("%wan history --tag a --tag b")
    assert "a fox" in shown
    assert "an owl" not in shown
