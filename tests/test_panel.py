"""The panel over the built-in service: what it orders, what it refuses, what it never does by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.engine.conftest import House
from tests.panel_kit import Desk, Sent, photo, until
from wan_notebook.panel.recall import recalled_of_file


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A folder and a service; kernels run in the notebook's folder."""
    made = House(tmp_path)
    made.folder.parent.mkdir(parents=True)
    monkeypatch.chdir(made.folder.parent)
    yield made
    made.close()


@pytest.fixture
def desk(house: House) -> Iterator[Callable[..., Desk]]:
    """Open a panel."""
    made: list[Desk] = []

    def opened(variables: dict[str, Any] | None = None, **env: str) -> Desk:
        made.append(Desk(house, variables, **env))
        return made[-1]

    yield opened
    for one in made:
        one.close()


Opened = Callable[..., Desk]


def test_opening_sends_nothing(desk: Opened) -> None:
    """A panel that is opened has ordered nothing, and offers nothing that could be clicked yet."""
    one = desk()
    run = one.check()
    assert (run.label, run.enabled, one.tasks) == ("Generate", False, 0)


def test_a_request_from_a_variable_is_generated(desk: Opened) -> None:
    """A variable's picture and a text with a name become a job whose cell a person could have written."""
    one = desk({"photo": Image.new("RGB", (400, 300), "teal"), "animal": "fox"})
    job = one.generate(images=["photo"], prompt="a {animal} in snow", n=2)
    assert (job.status, job.prompt, job.mode, len(job.files)) == ("saved", "a fox in snow", "edit", 2)
    assert one.panel._cell.text == "%%wan -i photo -n 2\na {animal} in snow"
    assert one.tasks == 1


def test_what_cannot_be_sent_cannot_be_clicked(desk: Opened) -> None:
    """Problems stand at their fields, the button is off, and a click that comes anyway orders nothing."""
    one = desk()
    one.fill(prompt="a fox", n=0, size="9x9")
    assert not one.check().enabled
    assert one.problems("n")[0].startswith("0: must be 1")
    assert "proportion" in " ".join(one.problems("size")) or "total" in " ".join(one.problems("size"))
    one.click()
    assert one.tasks == 0


def test_a_long_text_is_not_repeated_below_itself(desk: Opened) -> None:
    """What is wrong with a prompt is said without its first letters in front."""
    one = desk()
    one.fill(prompt="x" * 2001)
    one.check()
    assert one.problems("prompt")[0].startswith("2001 characters")


def test_one_click_orders_once(desk: Opened) -> None:
    """A click that arrives twice is one order; the next click of a seedless form is a new picture."""
    one = desk()
    one.fill(prompt="a fox")
    one.check()
    one.click()
    one.click(again=True)
    one.click()
    until(lambda: all(job.is_done for _, job in one.session.last))
    assert len(one.session.last) == 2
    assert one.tasks == 2


def test_a_seed_that_was_answered_is_shown_from_the_store(desk: Opened) -> None:
    """The button says so before the click, and nothing is sent."""
    one = desk()
    job = one.generate(prompt="a fox", seed="7")
    assert one.check().label == "From store · $0.00"
    again = one.generate(prompt="a fox", seed="7")
    assert (again.id, one.tasks) == (job.id, 1)


def test_a_running_twin_is_joined(house: House, desk: Opened) -> None:
    """The same seeded request is not bought again while it runs, and the button says that."""
    house.config["seconds"] = 0.4
    one = desk()
    one.fill(prompt="a fox", seed="7")
    one.check()
    one.click()
    assert one.check().label == "Join the running job · $0.00"
    one.click()
    until(lambda: all(job.is_done for _, job in one.session.last))
    assert one.tasks == 1


def test_the_button_says_what_it_costs(desk: Opened) -> None:
    """Practice is free, an unknown price is unknown, a known one is the most that can be billed."""
    assert _label(desk()) == "Generate · practice (free)"
    real = desk(WAN_PROVIDER="gateway", WAN_API_KEY="k")
    assert _label(real) == "Generate · price unknown"
    real.session.sources.session["prices"] = {"gateway": ["0.03", "USD"]}
    assert _label(real) == "Generate · up to $0.12"
    assert real.panel._run.detail == "4 pictures · price as set"


def _label(one: Desk) -> str:
    one.fill(prompt="a fox", n=4)
    return str(one.check().label)


def test_a_price_that_nobody_saw_is_not_paid(desk: Opened) -> None:
    """If the price at the click is another than the one on the button, nothing is sent; a free one needs no asking."""
    one = desk(WAN_PROVIDER="gateway", WAN_API_KEY="k")
    one.fill(prompt="a fox", n=1)
    one.check()
    one.click(shown="Generate · up to $0.03")
    assert "What it costs has changed" in one.panel._run.lines[0]
    assert not one.session.last


def test_what_was_typed_last_is_what_is_ordered(desk: Opened) -> None:
    """The page's own texts come with the click: a change may still be on its way when the button is pressed."""
    one = desk()
    one.fill(prompt="a fo")
    one.check()
    one.click(texts={"prompt": "a fox in snow", "seed": "5", "n": "2", "max_images": "", "junk": "x"})
    job = one.session.last[-1][1]
    assert (job.prompt, job.seeds) == ("a fox in snow", (5, 6))


def test_a_refusal_is_said_at_the_button(desk: Opened) -> None:
    """A cap on spending stops the call, the panel says so, and the click is answered."""
    one = desk(WAN_BUDGET="1 pictures")
    one.fill(prompt="a fox", n=3)
    one.check()
    one.click()
    assert one.panel._run.lines
    assert one.tasks == 0


def test_the_name_is_bound(house: House) -> None:
    """--as binds the job in the notebook, as a cell does."""

    class Shell:
        user_ns: dict[str, Any] = {}  # noqa: RUF012
        events = None

    from wan_notebook.panel import Panel

    session = house.kernel()
    panel = Panel(session, shell=Shell(), base=house.folder.parent)
    panel._fields.stock["prompt"].value, panel._fields.stock["name"].value = "a fox", "fox"
    panel._check()
    panel._generate({"kind": "generate", "click": 1, "shown": panel._run.label, "texts": {}})
    assert Shell.user_ns["fox"] is session.last[-1][1]
    panel.close()


def test_recall_fills_in_and_runs_nothing(desk: Opened) -> None:
    """What made a job stands in the fields, with its tags; the service stays; nothing is sent."""
    one = desk({"photo": Image.new("RGB", (400, 300), "teal")})
    job = one.generate(
        images=["photo"], prompt="a {{fox}}", negative="rain", n=2, size="16:9", rewrite=False, tags="red, two words"
    )
    one.fill(images=[], prompt="other", negative="", n=1, size="", rewrite=True, tags="mine", provider="simulator")
    one.panel.recall_job(job)
    form = one.panel.form
    assert (form.prompt, form.negative, form.n, form.size, form.rewrite) == ("a {{fox}}", "rain", 2, "16:9", False)
    assert (form.tags, form.provider, form.seed) == ("red, two words", "simulator", str(job.seed))
    assert one.check().enabled
    assert one.tasks == 1


@pytest.mark.parametrize("way", ["job", "file"])
def test_recall_binds_nothing_that_another_request_named(desk: Opened, way: str) -> None:
    """Tags and variable of the request that stood there go: to generate must not bind somebody else's variable."""
    one = desk({"hero": 1})
    job = one.generate(prompt="a fox", seed="7")
    one.fill(prompt="other", name="hero", tags="mine")
    if way == "job":
        one.panel.recall_job(job)
    else:
        path = job.files[0]
        store = one.session.need_home().store
        one.panel.recall(recalled_of_file(path.read_bytes(), path.name, store, str))
    assert (one.panel.form.prompt, one.panel.form.name, one.panel.form.tags) == ("a fox", "", "")


def test_recall_brings_a_jobs_own_name_unless_it_means_something_else_by_now(desk: Opened) -> None:
    """The recalled cell is the one that was run; where its variable holds other work, the field stays empty."""
    one = desk()
    job = one.generate(prompt="a fox", seed="7", name="fox")
    one.fill(name="")
    one.panel.recall_job(job)
    assert one.panel.form.name == "fox"
    for held, name in ((job, "fox"), ("my own work", "")):
        one.variables["fox"] = held
        one.panel.recall_job(job)
        assert one.panel.form.name == name


def test_a_person_reads_the_name_that_they_gave(desk: Opened, house: House, tmp_path: Path) -> None:
    """An input is kept under its hash; size note, history and other kernels call it what the person called it."""
    one = desk({"coffee": Image.new("RGB", (400, 300), "teal")})
    job = one.generate(images=["coffee"], prompt="blue", seed="7")
    one.fill(images=[], prompt="other")
    one.panel.recall_job(job)
    one.check()
    assert one.panel._fields.size.expected.endswith("shape of image 1 (coffee)")
    data = photo(tmp_path / "up").read_bytes()
    message = {"kind": "upload", "id": "u", "name": "cat.jpg", "part": 0, "parts": 1, "how": "chosen"}
    one.fill(images=[])
    one.panel._sources.widget._receive(None, message, [data])
    until(lambda: one.panel._sources.chosen)
    one.check()
    assert one.panel._fields.size.expected.endswith("shape of image 1 (cat.jpg)")
    made = one.generate(prompt="make it green", seed="8")
    assert made.rows[0].inputs[0].name == "cat.jpg"
    kept = house.folder / made.rows[0].inputs[0].file
    other = house.kernel()
    (seen,) = other.resolver({}).image(str(kept), kept.name)
    assert seen.name == "cat.jpg"


def test_a_dropped_picture_offers_its_recipe(desk: Opened) -> None:
    """A picture made here offers to fill the form; it fills nothing until a person says so."""
    one = desk()
    job = one.generate(prompt="a fox", seed="7")
    data = job.files[0].read_bytes()
    one.fill(prompt="other", seed="")
    widget = one.panel._sources.widget
    half = len(data) // 2
    for part, piece in enumerate((data[:half], data[half:])):
        message = {"kind": "upload", "id": "u", "name": "x.png", "part": part, "parts": 2, "how": "dropped"}
        widget._receive(None, message, [piece])
    until(lambda: widget.offer)
    assert "a fox · seed 7" in widget.offer["text"]
    assert one.panel.form.prompt == "other"
    widget._receive(None, {"kind": "offer", "id": "u", "what": "recall"}, [])
    until(lambda: one.panel.form.prompt == "a fox")
    assert (one.panel.form.seed, one.panel.form.images, one.tasks) == ("7", (), 1)


def test_an_uploaded_picture_becomes_an_input_that_the_cell_can_name(
    desk: Opened, house: House, tmp_path: Path
) -> None:
    """The file is kept in the store, the cell names it by path, and the cell alone gives the same request."""
    one = desk()
    data = photo(tmp_path / "up").read_bytes()
    message = {"kind": "upload", "id": "u", "name": "../<b>me</b>.png", "part": 0, "parts": 1, "how": "chosen"}
    one.panel._sources.widget._receive(None, message, [data])
    until(lambda: one.panel._sources.chosen)
    (expression,) = one.panel._sources.chosen
    kept = house.folder.parent / expression.strip('"')
    assert kept.read_bytes() == data
    assert kept.parent == house.folder / "inputs"
    job = one.generate(prompt="make it blue")
    assert job.mode == "edit"
    assert one.panel._sources.widget.facts[expression]["label"] == "../<b>me</b>.png"


def test_bytes_that_are_no_picture_are_refused_by_name(desk: Opened) -> None:
    """A file that is no picture is named, and nothing is chosen."""
    one = desk()
    message = {"kind": "upload", "id": "u", "name": "notes.png", "part": 0, "parts": 1, "how": "dropped"}
    one.panel._sources.widget._receive(None, message, [b"hello, I am a text"])
    until(lambda: one.problems("images"))
    assert "notes.png" in one.problems("images")[0]
    assert one.panel._sources.chosen == ()


@pytest.mark.parametrize("text", ["open('x')", "__import__('os').system('x')", "a.b()", "photo.resize((1, 1))"])
def test_a_place_runs_no_code(desk: Opened, text: str) -> None:
    """The field for URLs and paths evaluates names only: what is looked at while typing must not do anything."""
    one = desk({"photo": Image.new("RGB", (400, 300))})
    one.panel._sources.widget._receive(None, {"kind": "place", "text": text}, [])
    until(lambda: one.problems("images"))
    assert one.panel._sources.chosen == ()


def test_variables_are_followed(desk: Opened) -> None:
    """What cells define appears, with a thumbnail that changes when the picture does; other values do not."""
    variables: dict[str, Any] = {"number": 5, "text": "hello", "_hidden": Image.new("RGB", (300, 300))}
    one = desk(variables)
    sources = one.panel._sources
    sources.refresh()
    assert sources.widget.variables == []
    variables["photo"] = Image.new("RGB", (400, 300), "teal")
    sources.refresh()
    (first,) = sources.widget.variables
    variables["photo"].paste("red", (0, 0, 400, 300))
    sources.refresh()
    (second,) = sources.widget.variables
    assert first["expression"] == second["expression"] == "photo"
    assert first["key"] != second["key"]
    sent = Sent(sources.widget)
    sources.widget._receive(None, {"kind": "thumbs", "keys": [second["key"], "nonsense"]}, [])
    message, buffers = sent.wait("thumbs")
    assert message["keys"] == [second["key"], "nonsense"]
    assert buffers[0].startswith(b"RIFF")
    assert buffers[1] == b""


def test_a_variable_that_misbehaves_does_not_break_the_panel(desk: Opened) -> None:
    """A person's own object may raise at any look: the others are still offered."""

    class Angry:
        def _repr_png_(self) -> bytes:
            raise RuntimeError("no")

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no")

        __hash__ = None  # type: ignore[assignment]

    one = desk({"angry": Angry(), "photo": Image.new("RGB", (400, 300))})
    one.panel._scan()
    assert "photo" in [v["expression"] for v in one.panel._sources.widget.variables]
    one.fill(images=["angry"], prompt="a fox")
    one.check()
    assert "could not draw itself" in one.problems("images")[0]


def test_typing_does_not_encode_pictures_again(desk: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at the form many times a second loads each picture once; another picture in the name is loaded anew."""
    from wan_notebook.session import resolver

    variables = {"photo": Image.new("RGB", (400, 300), "teal")}
    one = desk(variables)
    calls: list[str] = []
    real = resolver.load_image
    monkeypatch.setattr(resolver, "load_image", lambda value, **kw: (calls.append(kw["name"]), real(value, **kw))[1])
    one.fill(images=["photo"])
    for text in ("a", "a f", "a fox"):
        one.fill(prompt=text)
        one.check()
    assert calls.count("photo") <= 1
    variables["photo"] = Image.new("RGB", (400, 300), "red")
    one.check()
    assert calls.count("photo") <= 2


def test_cancel_is_passed_on_and_honest(house: House, desk: Opened) -> None:
    """A wish to cancel reaches the engine from whichever thread it comes, and its answer is shown."""
    house.config["seconds"] = 30.0
    one = desk()
    one.fill(prompt="a fox")
    one.check()
    one.click()
    jobs = one.panel._jobs
    until(lambda: jobs.widget.jobs and jobs.widget.jobs[0]["state"] in ("accepted", "running"))
    jobs.widget._receive(None, {"kind": "cancel", "job": jobs.widget.jobs[0]["id"]}, [])
    until(lambda: jobs.widget.jobs[0]["cancel_requested"] or not jobs.widget.jobs[0]["ticking"])
    jobs.widget._receive(None, {"kind": "cancel", "job": "no such job"}, [])


def test_messages_that_mean_nothing_are_ignored(desk: Opened) -> None:
    """A page can send anything; nothing of it is an error, and nothing is ordered."""
    one = desk()
    nonsense: list[Any] = [None, 5, "x", [], {}, {"kind": 5}, {"kind": "generate"}, {"kind": "thumbs"},
                           {"kind": "upload", "id": 1}, {"kind": "act", "what": "use"},
                           {"kind": "query", "offset": "x"},
                           {"kind": "star", "id": "zz/0", "on": True}, {"kind": "full", "key": "::"},
                           {"kind": "details", "id": "../../etc/passwd"}]  # fmt: skip
    for part in (one.panel._run, one.panel._sources, one.panel._gallery, one.panel._history, one.panel._jobs):
        widget = getattr(part, "widget", part)
        for message in nonsense:
            widget._receive(None, message, [b"x"])
    assert one.tasks == 0


def test_no_trait_holds_a_key(desk: Opened) -> None:
    """What goes to the browser never contains the key."""
    one = desk(WAN_PROVIDER="gateway", WAN_API_KEY="sk-very-secret-1234567890")
    one.fill(prompt="a fox")
    one.check()
    one.panel._scan()
    seen, queue = "", [one.panel]
    while queue:
        widget = queue.pop()
        seen += repr(widget.get_state())
        queue += list(getattr(widget, "children", ()))
    assert "very-secret" not in seen


def test_jobs_of_cells_have_their_rows_too(house: House, desk: Opened) -> None:
    """What a cell orders in this kernel is followed by the panel, once a cell has run."""
    from wan_notebook.api import generate

    one = desk()
    job = generate("a fox from a cell", session=one.session)
    one.panel._on_cell_run()
    until(lambda: any(row["id"] == job.id for row in one.panel._jobs.widget.jobs))


def test_a_row_says_what_happened_what_it_cost_and_what_to_do(house: House, desk: Opened) -> None:
    """A job that failed is never given a price, known or unknown: it costs nothing."""
    one = desk()
    house.service.add_fault("failed")
    one.fill(prompt="a fox")
    one.check()
    one.click()
    until(lambda: any(row["state"] == "failed" for row in one.panel._jobs.widget.jobs))
    (row,) = one.panel._jobs.widget.jobs
    assert row["cost"] == "cost nothing"
    assert len(row["reasons"]) == 2
    assert "run again" in row["reasons"][1]
