"""Cells and commands in IPython, over the built-in simulator: what they do, show and leave behind."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.utils.capture import capture_output
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.kit import shown_by_objects, small_png
from tests.unit.database.kit import sql
from tests.unit.magics.conftest import Notebook
from wan_notebook import load_ipython_extension, unload_ipython_extension
from wan_notebook.errors import BudgetError, CellError, RequestError, StoreError, WanError
from wan_notebook.jobs import Job
from wan_notebook.magics import Runner
from wan_notebook.providers import ClientPool
from wan_notebook.replay import Submission
from wan_notebook.request import ImageRequest
from wan_notebook.session import default_session
from wan_notebook.settings import SettingsLoader


def test_a_cell_makes_a_picture_and_binds_its_job(notebook: Notebook) -> None:
    """The body is the prompt, --as binds the job, the output names what to paste."""
    notebook.names.update(animal="a {fox}", place={"where": "snow"})
    shown = notebook.run("%%wan --as fox --seed 5\n{animal} in {place[where]}, {{really}}\nNegative prompt: text")
    job = notebook.names["fox"]
    assert isinstance(job, Job)
    assert (job.prompt, job.request.negative_prompt) == ("a {fox} in snow, {really}", "text")
    assert "fox[0]" in shown
    assert "$0.00 simulated (would cost 0.03 USD)" in shown  # two dollar signs would be a formula (USER_TRIAL A2.10)
    assert "seed 5" in shown


def test_tab_knows_the_tags_before_the_first_cell(fresh: Notebook) -> None:
    """Those of practice too (USER_TRIAL P7.4); a broken ledger is no traceback. Shift-Tab has the help, too."""

    def offered(line: str) -> list[str]:
        with provisionalcompleter():
            return [found.text for found in fresh.shell.Completer.completions(line, len(line))]

    default_session().submit(Submission((ImageRequest(prompt="a fox", seed=1),), tags=("poster",))).result()
    assert offered("%%wan --tag ") == ["poster"]
    default_session().close()
    (default_session().settings().folder / "ledger.db").write_bytes(b"broken" * 100)
    assert offered("%%wan --pro") == ["--prompt-extend", "--provider"]
    assert "--seed SEED" in fresh.shell.object_inspect("%%wan")["docstring"]


def test_a_line_is_filled_from_the_variables_where_it_stands(notebook: Notebook) -> None:
    """In loops and functions too, and its options may stand behind the text (CASES M1)."""
    notebook.run(
        "def make(who):\n"
        "    job = %wan make what's a {who}, or a dog? --seed {n}\n"
        "    get_ipython().run_cell_magic('wan', '--as cell --seed {n}', 'a {who}')\n"
        "    return job\n"
        "n = 4\n"
        "jobs = [make(who) for who in ('fox', 'owl')]"
    )
    prompts = ["what's a fox, or a dog?", "what's a owl, or a dog?"]
    assert [(job.prompt, job.seed) for job in notebook.names["jobs"]] == [(prompt, 4) for prompt in prompts]
    assert notebook.names["cell"].prompt == "a owl"


@pytest.mark.parametrize(
    ("cell", "kind", "words"),
    [
        ("%%wan -i nothing.png\nx", RequestError, "no file"),
        ("%%wan --provider gateway\nx", WanError, "WAN_API_KEY"),
        ("%wan show abc123", StoreError, "No job"),
        ("%wan show number", CellError, "number is not a job .type int"),
        ("%wan cancel all", CellError, "--all"),
        ("%wan config wait=maybe price=many", RequestError, "wait"),
        ("%wan save fox /proc/x.png", StoreError, "cannot write /proc/x.png"),
    ],
)
def test_bad_input_is_a_short_error_and_nothing_is_sent(notebook: Notebook, cell: str, kind: Any, words: str) -> None:
    """What happened, the offending value, what to do; no traceback, no request, no job."""
    notebook.names.update(number=3, animal="fox")
    if "fox" in cell:
        notebook.run("%%wan --as fox --seed 5\na fox")
    before = notebook.tasks()
    with pytest.raises(kind, match=words) as caught:
        notebook.run(cell)
    assert len(caught.value._render_traceback_()) <= 12
    assert notebook.tasks() == before


def test_wan_is_the_last_job_of_another_cell(notebook: Notebook) -> None:
    """Editing `_wan` takes the picture made before; in Python it is the last job, of another cell too."""
    notebook.run("%%wan --as fox --seed 5\na fox")
    notebook.run("%%wan -i _wan --as edit --seed 6\nat night")
    assert notebook.names["edit"].rows[0].inputs[0].source_job == notebook.names["fox"].id
    notebook.run("seen = _wan")
    assert notebook.names["seen"] is notebook.names["edit"]


def test_a_dry_run_says_how_many_and_sends_nothing(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures by name and size, how many are made, the list price, or that nobody knows it (USER_TRIAL P6.5)."""
    notebook.names["photo"] = np.zeros((300, 400, 3), dtype=np.uint8)
    shown = notebook.run("%%wan --dry-run -i photo -i http://127.0.0.1:9/x.png -n 3\nblue")
    assert "3 pictures" in shown
    assert "nothing was sent" in shown
    assert "x.png" in shown
    monkeypatch.setenv("WAN_API_KEY", "sk-dryrun0123456789")
    shown = " ".join(notebook.run("%%wan --dry-run -n 9 --provider gateway\nblue").split())
    assert "up to $0.27 (list price, Dec 2026)" in shown
    shown = " ".join(notebook.run("%%wan --dry-run -n 3 --provider gateway --model wan2.7-image\nblue").split())
    assert "price unknown (3 pictures at most)" in shown
    assert notebook.tasks() == 0


def test_a_request_that_was_answered_is_not_sent_again(notebook: Notebook) -> None:
    """Neither one that the first edition read in another way: its answer is shown, and a refusal comes after it."""
    notebook.run("%wan make --raw --seed 5 a {nobody} fox --red")
    shown = notebook.run("job = %wan make --seed 5 a {nobody} fox --red\njob")
    assert notebook.tasks() == 1
    assert notebook.names["job"].prompt == "a {nobody} fox --red"
    assert "from store" in shown
    with pytest.raises(RequestError, match="--red"):
        notebook.run("%wan make --seed 6 a {nobody} fox --red")


def test_marks_take_expressions(notebook: Notebook) -> None:
    """`best[0]` and `rows.job[0]` name a picture as ``-i`` takes it; a list stands for all of it (USER_TRIAL A2.4)."""
    notebook.run("%%wan --as fox --seed 5..6\na fox")
    notebook.run("from types import SimpleNamespace\nbest = [fox[1], fox[0]]\nrows = SimpleNamespace(job=fox)")
    assert "No job has a tag yet." in notebook.run("%wan cost --by tag")
    assert "best[0] is starred" in notebook.run("%wan star best[0]")
    assert [picture.row.is_starred for picture in notebook.names["fox"]] == [False, True]
    assert ["no longer" in notebook.run("%wan star best") for _ in range(2)] == [False, True], "all of it, then none"
    assert "is starred" in notebook.run("%wan star rows.job[1]")
    with pytest.raises(RequestError, match="a job, not text"):
        notebook.run("%wan make {fox} at night")
    assert "poster, final" in notebook.run("%wan tag best poster final")
    assert "a fox" in notebook.run("%wan history --tag poster")
    assert "none" in notebook.run("%wan tag {fox.id} poster final --remove")
    assert "saved" in notebook.run("%wan save best[0] best.png")
    assert "2 of" not in notebook.run("%wan show best[0]")
    with pytest.raises(RequestError, match="Did you mean best"):
        notebook.run("%wan star bets")
    notebook.run("%wan tag fox[1] poster\n%wan trash fox[1]")  # of a sweep, one task: not that of all
    shown = notebook.run("%wan cost --by tag")  # a newcomer sees what practice would have cost (P1.6)
    assert "practice by tag" in shown
    assert "2 practice pictures · 2 jobs" in shown
    assert re.search(r"poster .*\$0\.03 estimated +1 +1", shown)
    fox = notebook.names["fox"]
    assert [(row.tags, row.trashed_at is not None) for row in fox.rows] == [((), False), (("poster",), True)]


def test_the_way_back_from_the_trash_is_seen(notebook: Notebook) -> None:
    """The command that undoes it is named, and works; the same cell once more undoes nothing."""
    notebook.run("%%wan --seed 5 --as fox\na fox")
    undo = re.search(r"%wan trash \w+ --undo", notebook.run("%wan trash fox\n%wan trash fox"))[0]
    assert "1 job" in notebook.run("%wan history --trash")
    assert "out of the trash" in notebook.run(undo)


def test_waiting_for_all_ends_in_one_line(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task is counted once, with the time and the cost, and nothing of a longer line is left behind."""
    assert "Nothing is running" in notebook.run("%wan wait")
    monkeypatch.setenv("WAN_SIMULATOR_SECONDS", "0.3")
    notebook.run("%%wan --seed 1..3 --no-wait\na fox")
    shown = notebook.run("%wan wait --timeout 30")
    screen = ""
    for line in shown.rstrip("\n").split("\r"):
        screen = line + screen[len(line) :]
    assert re.fullmatch(r"3 of 3 saved · \d s · \$0\.00 *", screen)
    notebook.run("%%wan --seed 4..6 --no-wait\na fox")
    assert len(notebook.run("%wan cancel --all").strip().splitlines()) == 3


@pytest.mark.parametrize("command", ["cancel --all", "resume", "cost", "budget", "config", "history", "doctor", ""])
def test_commands_answer_in_an_empty_folder(notebook: Notebook, command: str) -> None:
    """Before there is any picture, every question has an answer, and who only looks creates nothing."""
    assert notebook.run(f"%wan {command}".strip()).strip()
    assert not default_session().loader.folder.exists()


def test_settings_and_budgets_say_what_changed(notebook: Notebook) -> None:
    """`%wan config x=y` names the change, `%wan budget off` what it removed (USER_TRIAL P1.5, P1.7)."""
    assert "wait: auto → off; price.gateway: not set → $0.03" in notebook.run("%wan config wait=off price.gateway=0.03")
    assert "$0.03 → $0.02 after a restart; this kernel keeps" in notebook.run("%wan config price.gateway=0.02")
    assert "wait: off → auto" in notebook.run("%wan config wait=auto")
    assert "set: 40 pictures in total" in notebook.run("%wan budget 40 pictures")
    notebook.run("%wan budget $5 --per day")
    shown = notebook.run("%wan budget off")
    assert "40 pictures in total" in shown.splitlines()[1]
    assert "$5.00 per day" in shown.splitlines()[1]


def test_recall_writes_the_cell_that_made_a_picture(notebook: Notebook) -> None:
    """From a job or a copy with metadata, its input named by the kept copy; a copy without metadata says so."""
    Image.new("RGB", (300, 400), "red").save("photo.png")
    notebook.run("%%wan --as fox --seed 5 -i photo.png --size 2K --no-rewrite\na {{fox}}\nNegative prompt: text")
    notebook.run("%wan save fox fox.png\n%wan save fox clean.png --clean")
    for what in ("fox", "fox.png", "fox[0]"):
        cell = notebook.run(f"%wan recall {what}")
        cell = cell[cell.index("%%wan") :].strip()
        notebook.run(cell.replace("--as fox", ""))
        assert "from store" in notebook.run(f"{cell}\n")
    assert notebook.tasks() == 1
    next(default_session().settings().folder.glob("inputs/*")).write_bytes(small_png())  # another one
    assert "-i MISSING" in notebook.run("%wan recall fox.png")
    with Path("huge.png").open("wb") as file:
        file.truncate(40 * 2**30)  # one hole
    for name, words in (("clean.png", "no recipe"), ("huge.png", "too large")):
        with pytest.raises(WanError, match=words):
            notebook.run(f"%wan recall {name}")


def test_no_text_of_a_foreign_ledger_is_run_as_code(notebook: Notebook) -> None:
    """A recalled cell names inputs by jobs; what is none is refused, never called."""
    called = notebook.names["called"] = []
    notebook.run("f = lambda: called.append(1)\n%wan make a fox --as fox --seed 5\ncat = %wan make a cat -i fox")
    sql(default_session().settings().folder, "UPDATE inputs SET source_job = 'f()'")
    cell = notebook.run(f"%wan recall {notebook.names['cat'].id}")
    with pytest.raises(WanError):
        notebook.run(cell[cell.index("%%wan") :].replace("%%wan", "%%wan --fresh"))
    assert called == []


def test_a_foreign_picture_gives_a_cell_that_is_refused_rather_than_guessed(notebook: Notebook) -> None:
    """A cell without a prompt never runs, whatever a picture's metadata does not say (CASES P22)."""
    text = PngInfo()
    text.add_text("parameters", "\nSteps: 20, Sampler: Euler, Seed: 5, Size: 1024x1024")
    Image.new("RGB", (300, 300)).save("x.png", pnginfo=text)
    cell = notebook.run("%wan recall x.png").partition("%%wan")[2].strip()
    assert "--seed 5" in cell
    for line in (f"%%wan {cell}\n", "%wan make --seed 5"):
        with pytest.raises(RequestError, match=r"^prompt: must not be empty[^;]*$"):  # said once
            notebook.run(line)


def test_loading_again_lifts_no_budget(fresh: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """What protects is as it was when the extension was first loaded, in this kernel and until it ends."""
    shell = fresh.shell
    monkeypatch.setenv("WAN_BUDGET", "1 picture per day")
    load_ipython_extension(shell)
    monkeypatch.setenv("WAN_BUDGET", "off")
    transforms = len(shell.input_transformers_cleanup)
    unload_ipython_extension(shell)
    assert "wan" not in shell.magics_manager.magics["cell"]  # everything is taken back
    assert len(shell.input_transformers_cleanup) == transforms - 1
    load_ipython_extension(shell)
    with pytest.raises(BudgetError, match="1 picture"):
        fresh.run("%%wan -n 2\na fox")
    unload_ipython_extension(shell)


def test_no_object_shows_a_persons_variables(notebook: Notebook) -> None:
    """Of what works with the notebook's variables no repr shows them: one may hold a key."""
    notebook.names["mine"] = "sk-veryverysecret0123456789"
    session = default_session()
    held = Runner(notebook.shell, session, notebook.names), session.resolver(notebook.names)
    assert held
    assert "veryverysecret" not in shown_by_objects()


@pytest.mark.parametrize("place", [(SettingsLoader, "known_keys"), (SettingsLoader, "stored"), (ClientPool, "client")])
@pytest.mark.parametrize("cell", ["wan.generate('a fox')", "%%wan\na fox", "%wan make a fox", "%wan doctor", "%wan"])
def test_no_verbose_traceback_shows_a_secret(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, place: tuple[type, str], cell: str
) -> None:
    """`%xmode Verbose` prints the variables of every frame: none holds a key; cells and commands show no frames."""
    for name in ("WAN_API_KEY", "DASHSCOPE_API_KEY", "OTHER_SECRET"):
        monkeypatch.setenv(name, "sk-veryverysecret0123456789")
    monkeypatch.setenv("WAN_BASE_URL", "http://127.0.0.1:9")
    notebook.run("import wan_notebook as wan\n%xmode Verbose")
    monkeypatch.setattr(*place, lambda *_, **__: 1 / 0)
    with capture_output() as captured:
        result = notebook.shell.run_cell(cell)
    assert result.error_in_exec is not None or "ZeroDivision" not in captured.stdout
    assert cell[0] != "%" or isinstance(result.error_in_exec, WanError | None)
    assert "veryverysecret" not in captured.stdout + captured.stderr
