"""The card of a batch: what it says while it runs, its lasting output, and how long a cell waits for it."""

import json
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from tests.kit import House, ask, command, small_png, until
from wan_notebook import api
from wan_notebook.batch import Batch, grid
from wan_notebook.display import FrontEnd, batch_bundle, plan_bundle, show
from wan_notebook.errors import JobError, JobFailed, JobTimeout
from wan_notebook.figure import CompareItem, Comparison
from wan_notebook.history import history
from wan_notebook.jobs import Job
from wan_notebook.money import Total
from wan_notebook.request import ImageRequest

HOSTILE = "<img src=x onerror=alert(1)> $x$ \u202eevil"


NOTHING = Total()


@dataclass(frozen=True, kw_only=True)
class FakeProgress:
    """What `Batch.progress` gives."""

    total: int = 0
    saved: int = 0
    running: int = 0
    waiting: int = 0
    failed: int = 0
    cancelled: int = 0
    in_doubt: int = 0
    from_store: int = 0
    rate_per_min: float | None = None
    left_s: float | None = None
    spent: Total = NOTHING
    most: str = ""
    paused: str = ""
    is_over: bool = False


@dataclass
class FakeBatch:
    """A batch over jobs that exist; its progress is what a test says, or what the jobs say."""

    session: Any
    jobs: Sequence[Job]
    name: str = "zoo"
    id: str = "b1"
    plan: Any = None
    axes: tuple[str, ...] = ()
    said: FakeProgress | None = None
    asked: int = 0
    shown_in: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)

    def __len__(self) -> int:
        return len(self.jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def __getitem__(self, index: Any) -> Any:
        return self.jobs[index]

    @property
    def progress(self) -> FakeProgress:
        self.asked += 1
        if self.said:
            return self.said
        states = [job.status for job in self.jobs]
        failed, running = states.count("failed"), sum(not job.is_done for job in self.jobs)
        counts = {"total": len(states), "saved": states.count("saved"), "failed": failed, "running": running}
        return FakeProgress(**counts, is_over=not running)

    @property
    def status(self) -> dict[str, int]:
        now = self.progress
        return {"saved": now.saved, "running": now.running}

    @property
    def is_done(self) -> bool:
        return self.progress.is_over

    def wait(self, timeout: float | None = None) -> bool:
        end_s = time.monotonic() + (timeout or 0.0)
        while not (now := self.progress).is_over:
            if now.paused:
                raise JobError("batch zoo does not go on: 401")
            if time.monotonic() >= end_s:
                return False
            self.cancelled.wait(0.01)
        return True

    def result(self, timeout: float | None = None) -> "FakeBatch":
        if not self.wait(timeout):
            raise JobTimeout("batch zoo is not over")
        for job in self.jobs:
            job.result(5)
        return self

    def failures(self) -> list[tuple[int, str]]:
        return [(at, "the reason") for at, job in enumerate(self.jobs) if job.status != "saved"]

    def cancel(self) -> str:
        self.cancelled.set()
        return "2 rows were not sent and are cancelled; 1 that runs is still made and paid."

    def figure(self) -> Any:
        return Comparison((CompareItem("a cell", small_png()),))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One folder and service for all tests."""
    made = House(tmp_path_factory.mktemp("house"))
    yield made
    made.close()


def batch_of(house: House, *rows: Mapping[str, Any], **options: Any) -> FakeBatch:
    """Make a batch whose rows are over."""
    session = house.kernel()
    jobs = []
    for number, columns in enumerate(rows):
        job = ask(session, columns.get("prompt", "a fox"), seed=number)
        job.columns = columns
        job.wait(20)
        jobs.append(job)
    return FakeBatch(session, jobs, **options)


def published(*args: Any, **options: Any) -> list[Any]:
    """Return the outputs that `show` displays."""
    with capture_output() as captured:
        show(*args, **options)
    return list(captured.outputs)


def test_the_lasting_output_has_counts_pictures_columns_and_what_failed(house: House) -> None:
    """A person reads how many came, each row with its columns, why others did not, and where all of it is."""
    rows = [{"animal": "fox", "style": HOSTILE}, {"animal": "owl"}, {"animal": "bat", "prompt": "no [[fail]]"}]
    data, metadata = batch_bundle(batch_of(house, *rows, axes=("animal",)))
    html, text = data["text/html"], re.sub(r"<[^>]*>", "", data["text/html"]).replace("\xa0", " ")
    for said in (
        "partly saved",
        "zoo",
        "2 of 3 saved",
        "1 failed",
        "row 1",
        "animal fox",
        "row 2",
        "wan.batch(",
        "--batch zoo",
    ):
        assert said in text
        assert said in data["text/plain"]
    assert re.search(r"✕ row 3 · animal bat · .*: the reason", text, re.DOTALL)
    assert "<img src=x" not in html
    assert "\u202e" not in html
    assert html.count("data:image/webp") == 2
    assert "image/jpeg" in data
    assert [len(job["sha256"]) for job in metadata["wan"]["jobs"]] == [1, 1, 0]


def test_many_rows_stay_within_the_bytes_of_one_output(house: House) -> None:
    """400 KB, whatever the number of rows and the length of their texts; what is left out is counted."""
    batch = batch_of(house, *({"animal": "狐" * 500, "n": n} for n in range(3)), {"prompt": "[[fail]]", "a": "x" * 900})
    batch.jobs = [*batch.jobs[:3]] * 400 + [batch.jobs[3]] * 100
    batch.said = FakeProgress(total=1300, saved=1200, failed=100, is_over=True)
    data, metadata = batch_bundle(batch)
    assert len(json.dumps([data, metadata], ensure_ascii=False).encode()) <= 400_000
    text = re.sub(r"<[^>]*>", "", data["text/html"])
    assert "and 1,176 more" in text
    assert "and 80 more" in text
    named = metadata["wan"]
    assert len(named["jobs"]) + named["jobs_left_off"] == 1300


@pytest.mark.parametrize(
    ("axes", "is_figure"),
    [(("a", "b"), True), (("a", "b", "seed"), True), (("a", "seed"), True), (("a", "b", "c"), False), ((), False)],
)
def test_a_grid_of_two_axes_is_shown_as_its_figure(house: House, axes: tuple[str, ...], is_figure: bool) -> None:
    """Seeds beside two axes stand in the cells; any other batch shows its first rows."""
    html = batch_bundle(batch_of(house, {"a": 1}, axes=axes))[0]["text/html"]
    assert ("a cell" in html, "row\xa01" in html) == (is_figure, not is_figure)


def test_the_dry_run_says_rows_price_and_time() -> None:
    """Nothing was sent; what is new, what the store has, the most that it costs, how long it takes."""
    row = SimpleNamespace(columns={"animal": "fox", "empty": None}, request=ImageRequest(prompt=HOSTILE))
    counts = {"new_tasks": 20, "from_store": 4, "pictures_max": 20, "cost_text": "up to $0.60"}
    data, _ = plan_bundle(SimpleNamespace(rows=(row,) * 24, **counts, duration_s=125.0, in_flight=5))
    wanted = (
        "nothing was sent",
        "24 rows",
        "20 new",
        "4 from store",
        "At most 20 new pictures",
        "up to $0.60",
        "about 2 min at 5 at once",
        "and 14 more",
    )
    for said in (*wanted, "animal", "fox"):
        assert said in data["text/plain"]
    assert "<img" not in data["text/html"]


def test_the_history_has_one_line_a_batch(house: House) -> None:
    """In the place of its newest job, with what opens it; other tools, and the data, have every job."""
    session = house.kernel()
    ask(session, "before", seed=70).result(20)
    rows = grid(animal=["fox", "owl [[fail]]"], seed=[71, 72])
    batch = api.map(rows, "a {animal}", name="ark", session=session)
    assert isinstance(batch, Batch)
    batch.wait(20)
    ask(session, "after", seed=73).result(20)
    found = history(session=session)
    text = repr(found._repr_mimebundle_()[0]["text/plain"])
    assert re.search(r"after.*ark: 4 rows, 2 saved, 2 failed +%wan history --batch ark.*before", text)
    assert text.count("ark") == 2
    opened = history(batch="ark", session=session)
    assert (len(opened), len(opened.to_dicts())) == (4, 4)
    assert len(found.to_dicts()) == len(found) >= 6
    with capture_output() as captured:
        command(session, "history --batch ark --state failed")
    (output,) = captured.outputs
    assert "2 of 2 jobs" in output.data["text/plain"]


# ------------------------------------------------------------------ waiting


@pytest.fixture(autouse=True)
def _shell() -> Iterator[None]:
    """IPython, which takes outputs."""
    InteractiveShell.clear_instance()
    InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    yield
    InteractiveShell.clear_instance()


def test_where_nobody_watches_the_cell_waits_and_fails_with_a_row(house: House) -> None:
    """The output is there first, then the error of the row: Run All stops."""
    batch = batch_of(house, {"animal": "fox"}, {"prompt": "[[fail]]"})
    with capture_output() as captured, pytest.raises(JobFailed):
        show(batch, batch.session, FrontEnd.HEADLESS, raises=True)
    assert "1 of 2 saved" in captured.outputs[0].data["text/plain"]
    (output,) = published(batch, batch.session, FrontEnd.HEADLESS, raises=False)
    assert "1 failed" in output.data["text/plain"]


def test_patience_runs_anew_with_each_row_that_settles(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody watches a batch may take hours, as long as something comes; then what is there is shown."""
    monkeypatch.setattr(sys.modules[show.__module__], "HEADLESS_TIMEOUT_S", 0.3)
    batch = batch_of(house, {"animal": "fox"})
    batch.said, started_s = FakeProgress(total=4, running=4), time.monotonic()

    def settle() -> None:
        for saved in (1, 2, 3):
            batch.cancelled.wait(0.2)
            batch.said = FakeProgress(total=4, saved=saved, running=4 - saved)

    threading.Thread(target=settle, daemon=True).start()
    with capture_output() as captured, pytest.raises(JobTimeout, match="not over"):
        show(batch, batch.session, FrontEnd.HEADLESS, raises=True)
    assert time.monotonic() - started_s > 0.6
    assert "3 of 4 saved" in captured.outputs[0].data["text/plain"]


def test_a_paused_batch_is_not_waited_for(house: House) -> None:
    """Nobody can go on with it before a person acts: the reason is shown, and is the cell's error."""
    batch = batch_of(house, {"animal": "fox"})
    batch.said = FakeProgress(total=4, saved=1, waiting=3, paused="401: the key is not valid. `%wan login`")
    with capture_output() as captured, pytest.raises(JobError, match="401"):
        show(batch, batch.session, FrontEnd.HEADLESS, raises=True)
    assert "‖ paused" in captured.outputs[0].data["text/plain"]


def test_a_terminal_has_one_line_that_is_written_over(house: House) -> None:
    """Counts and time left, then the output."""
    batch = batch_of(house, {"animal": "fox"})
    batch.said = FakeProgress(total=3, saved=1, running=2, rate_per_min=8.24, left_s=42.0)
    with capture_output() as captured, pytest.raises(JobTimeout):
        show(batch, batch.session, FrontEnd.TERMINAL, timeout_s=0.1, raises=True)
    assert "\r◐ running · zoo · 1 of 3 saved · 2 running · about 40 s more · 8.2 a minute" in captured.stdout


# ------------------------------------------------------------------ the live card


class Handle:
    """What `display` gives, as far as the card uses it."""

    def __init__(self, shown: Any, made: list["Handle"]) -> None:
        self.shown, self.updates = shown, list[Any]()
        made.append(self)

    def update(self, data: Any, **_: Any) -> None:
        """Keep what takes the output's place."""
        self.updates.append(data)


@pytest.fixture
def handles(monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    """Return the outputs that are displayed and can be replaced."""
    made: list[Handle] = []
    monkeypatch.setattr("IPython.display.display", lambda shown, **_: Handle(shown, made))
    return made


def test_the_live_card_gives_its_place_to_the_lasting_output(house: House, handles: list[Handle]) -> None:
    """It counts while the batch runs and sends only what is new; Cancel is answered; then the pictures are there."""
    batch = batch_of(house, {"animal": "fox"})
    batch.said = FakeProgress(total=3, saved=1, running=1, waiting=1, from_store=1, most="up to $0.06")
    batch.session.wall_clock = lambda: 1e9  # no time goes by: only what is new is sent
    show(batch, batch.session, FrontEnd.LIVE)
    card, fallback = handles
    views: list[Any] = []
    card.shown.observe(lambda change: views.append(change["new"]), "view")
    asked = batch.asked
    until(lambda: batch.asked >= asked + 2)
    assert views == []
    assert 'wan.batch("zoo")' in fallback.shown["text/plain"]
    card.shown._receive(None, {"kind": "cancel"}, [])
    until(lambda: card.shown.view["answer"])
    batch.said = replace(batch.said, waiting=0, cancelled=1, paused="It was cancelled.")
    until(lambda: card.shown.view["paused"])
    assert card.shown.view["word"] == "running"
    batch.said = replace(batch.said, waiting=1, cancelled=0, paused="")
    until(lambda: not card.shown.view["paused"])
    assert card.shown.view["answer"] == [batch.cancel()]
    assert [one["count"] for one in card.shown.view["counts"]] == [1, 1, 1, 0, 0, 0, 1]
    batch.said = replace(batch.said, saved=1, running=0, waiting=0, cancelled=2, is_over=True)
    until(lambda: fallback.updates)
    assert "row 1" in card.updates[0]["text/html"].replace("\xa0", " ")
    assert card.shown.view["html"] == card.updates[0]["text/html"]
    assert "1 of 3 saved · 2 cancelled" in repr(card.shown)
