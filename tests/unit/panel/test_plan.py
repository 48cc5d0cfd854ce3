"""What the button says before a click, and what a click orders."""

import pytest

from tests.fakes.pictures import gradient
from tests.kit import ask, ended, until
from tests.unit.panel.conftest import Shell
from wan_notebook.errors import CellError
from wan_notebook.panel import latest


def test_opening_sends_nothing(open_panel, house):
    """A panel that is opened orders nothing; an untouched form is no error yet."""
    page = open_panel()
    check = page.wait(lambda panel: panel.check).check
    assert (check["label"], check["is_ready"], check["problems"]) == ("Generate", False, {})
    assert check["hints"]["prompt"] == "Describe the picture that you want."
    assert latest() is page.panel
    page.click(1, terms=[])
    with pytest.raises(CellError, match="Describe"):
        page.panel.generate()
    assert house.service.tasks_created == 0


def test_every_problem_stands_at_its_field(open_panel):
    """All are found together, in words of the panel; typing runs no code."""
    wrong = {"prompt": "a {animl}", "images": ("photo", "nothing"), "n": 9, "size": "5000x100", "tags": "{b"}
    wrong |= {"seed": "open('x')", "name": "1st"}
    check = open_panel(shell=Shell(photo=gradient(), animal="fox"), **wrong).wait(lambda panel: panel.check).check
    assert set(check["problems"]) == set(wrong)
    assert "animal" in check["problems"]["prompt"][0]
    assert "not a seed" in check["problems"]["seed"][0]
    assert "--raw" not in str(check["problems"])
    assert (check["label"], check["is_ready"]) == ("Generate", False)


def test_the_button_says_what_a_click_costs(open_panel, house):
    """Practice is free, a list price or a known one is the most that can be billed, what the store has is free."""
    seeded = {"prompt": "a fox", "n": 4, "seed": 5}
    practice = open_panel(**seeded)
    real = open_panel(house.kernel(WAN_PROVIDER="gateway", WAN_API_KEY="sk-very-secret-123456"), **seeded)
    assert practice.wait(lambda panel: panel.check).check["label"] == "Generate · practice (free)"
    assert real.wait(lambda panel: panel.check).check["label"] == "Generate · up to $0.12"
    assert "list price, Dec 2026" in real.panel.check["detail"]
    real.session.loader.store(prices={"gateway": ["0.04", "USD"]})
    real.shell.run_cell()
    check = real.wait(lambda panel: "as set" in panel.check["detail"]).check
    assert (check["label"], check["detail"]) == ("Generate · up to $0.16", "4 pictures · price as set")
    assert "very-secret" not in repr(real.panel.get_state())
    ended(practice.panel.generate())
    check = practice.wait(lambda panel: "store" in panel.check["label"]).check
    assert check["label"] == "From store · $0.00"
    assert check["detail"] == "Already in the store: nothing will be sent"
    practice.type(n=5)
    practice.wait(lambda panel: panel.check["detail"] == "1 picture · 4 more from the store")


def test_a_click_while_it_runs_joins(open_panel, house):
    """The button says that the same request is running, and a click buys nothing; Cancel is passed on."""
    house.configure(seconds=600)
    page = open_panel(prompt="a fox", seed=7)
    page.wait(lambda panel: panel.check)
    page.click(1)
    check = page.wait(lambda panel: "running" in panel.check["label"]).check
    assert check["label"] == "Already running · $0.00"
    assert check["detail"] == "The same request is in progress; its result will appear here"
    page.click(2)
    until(lambda: page.panel.jobs["running"] == 1)
    (job_id,) = {job.id for _, job in page.session.last}
    for wanted in ("no such job", job_id):
        page.send("jobs", "cancel", job=wanted)
    page.wait(lambda panel: "cannot cancel" in "".join(panel.notice))


def test_one_click_orders_once_what_was_typed_last(open_panel, house):
    """A click that arrives twice is one order; the page's own values come with it; without a seed each is new."""
    page = open_panel(prompt="a fo", name="fox")
    page.wait(lambda panel: panel.check)
    page.click(1, prompt="a fox in snow")
    page.click(1)
    page.click(2)
    jobs = [ended(job) for _, job in page.session.last]
    assert [job.prompt for job in jobs] == ["a fox in snow"] * 2
    assert house.service.tasks_created == 2
    assert page.shell.user_ns["fox"] is jobs[-1]


def test_a_price_that_nobody_saw_is_not_paid(open_panel, house):
    """Terms other than the button's send nothing, nor does what a budget forbids, and the panel says so."""
    page = open_panel(house.kernel(WAN_PROVIDER="gateway", WAN_API_KEY="key"), prompt="a fox", seed=5)
    page.wait(lambda panel: panel.check)
    for click, terms in enumerate((["gateway", 1, "0.03", "USD"], ["simulator", 1], ["gateway", 4]), 1):
        page.click(click, terms=terms)
        page.wait(lambda panel: panel.notice[:1] == ["The price has changed."])
    assert page.session.last == []
    page = open_panel(house.kernel(WAN_BUDGET="1 pictures"), prompt="a fox", n=3)
    page.wait(lambda panel: panel.check)
    page.click(1)
    page.wait(lambda panel: "budget" in " ".join(panel.notice))
    assert house.service.tasks_created == 0


def test_rows_follow_every_job_of_the_kernel(open_panel, house):
    """A cell's job has its row, in a second panel too; a failed one says why, and rows can be taken away."""
    first, session = open_panel(prompt="a fox"), house.sessions[0]
    second = open_panel(session)
    failed = ended(ask(session, "[[fail]] a lynx"))
    first.shell.run_cell()
    for page in (first, second):
        page.wait(lambda panel: [row["state"] for row in panel.jobs.get("rows", ())] == ["failed"])
    (row,) = first.panel.jobs["rows"]
    assert (row["id"], row["prompt"], bool(row["lines"])) == (failed.id, "[[fail]] a lynx", True)
    first.send("jobs", "dismiss", job=failed.id)
    first.wait(lambda panel: panel.jobs["rows"] == [])
    assert second.panel.jobs["rows"]


def test_what_stays_without_a_kernel(open_panel, monkeypatch):
    """Text and HTML of the output name the cell and what to do."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: shown.append(data))
    open_panel(prompt="a <fox>", seed=5).panel._ipython_display_()
    assert "application/vnd.jupyter.widget-view+json" in shown[0]
    for kind, prompt in (("text/plain", "a <fox>"), ("text/html", "a &lt;fox&gt;")):
        assert all(text in shown[1][kind] for text in ("run this cell again", "%%wan --seed 5", prompt))


def test_messages_that_mean_nothing_do_nothing(open_panel, house):
    """A page can send anything: nothing of it is ordered, and the panel goes on."""
    page = open_panel(prompt="a fox")
    for message in (
        *({}, {"to": 5}, {"to": "form"}, {"to": "nobody", "kind": "x"}, {"to": "form", "kind": "generate"}),
        *({"to": "gallery", "kind": "want"}, {"to": "gallery", "kind": "want", "size": "x", "keys": ["::"]}),
        *({"to": "picker", "kind": "upload", "id": 1}, {"to": "history", "kind": "query", "offset": "x"}),
        {"to": "gallery", "kind": "mark", "what": "star", "ids": ["../../etc/passwd"], "on": True},
    ):
        page.send(**{"to": None, "kind": None, **message})
    page.type(prompt="a lynx")
    page.wait(lambda panel: panel.check.get("cell", "").endswith("a lynx"))
    assert house.service.tasks_created == 0
