"""The history as a value and as data: right types, exact money, documented columns, nothing cut off."""

import csv
import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wan_notebook as wan
from tests.kit import WAIT_S, House, ask, small_png
from tests.unit.database.kit import Desk, create, finish, move, new, owner, reported, sql
from tests.unit.database.kit import given as input_row
from wan_notebook import export
from wan_notebook.database import NOT_SENT, Status
from wan_notebook.display import cost_table
from wan_notebook.errors import CellError, StoreError
from wan_notebook.history import History, parse_since
from wan_notebook.session import Session

NASTY = 'say "hi", then\nnew line; 狐 =1+1'
NOW = dt.datetime(2026, 11, 25, 15, 30).timestamp()  # noqa: DTZ001 - a Wednesday, local


class Archive(Desk):
    """A folder with a ledger, and a kernel over it."""

    def __init__(self, tmp_path: Path, name: str = "one") -> None:
        super().__init__(tmp_path, name)
        self.session = Session(self.loader)

    def history(self, *words: str, **options: Any) -> History:
        """Return a part of the history."""
        return wan.history(*words, session=self.session, **options)

    def job(self, prompt: str = "a fox", **options: Any) -> str:
        """Put a finished job into the ledger, a second after the one before."""
        self.clock.now += 1
        return finish(self.database, prompt, **options)

    def close(self) -> None:
        """Close everything."""
        self.session.close()
        super().close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Give three jobs: billed with two pictures and an input, without a price, practice. Tests may add others."""
    made = Archive(tmp_path_factory.mktemp("desk"))
    photo = input_row(name="photo", identity="pixels:1")
    tagged = {"tags": ("figure-2", "a;b"), "name": "fox", "inputs": (photo,), "mode": "edit"}
    made.job(seed=5, n=2, pictures=2, cost=reported("0.0510"), **tagged)
    made.job("an owl", seed=6, price="")
    practice = {"cost_amount": Decimal(0), "cost_currency": "USD", "cost_source": "simulated"}
    made.job("a heron", seed=7, is_simulated=True, cost={**practice, "cost_note": "would cost $0.03"})
    yield made
    made.close()


# Data ----------------------------------------------------------------------------------------------------------------


def test_every_column_is_documented_and_filled(desk: Archive) -> None:
    """A record has exactly the documented columns, in their order, one a job or one a picture."""
    for by, columns in (("job", export.COLUMNS), ("picture", export.PICTURE_COLUMNS)):
        assert list(desk.history().to_dicts(by=by)[0]) == list(columns)
        assert all(column.says for column in columns.values())
    with pytest.raises(CellError, match="by = 'day'"):
        desk.history().to_dicts(by="day")  # type: ignore[arg-type]


def test_the_data_knows_inputs_groups_stars_and_practice(desk: Archive) -> None:
    """The input picture is the independent variable of an edit; a star on a picture is not lost."""
    fox = desk.history(seed=5).rows[0]
    desk.database.mark(fox.id, 1, is_starred=True)
    job = desk.history(seed=5).to_dicts()[0]
    assert (job["inputs"], job["input_hashes"], job["group"]) == (["photo"], ["pixels:1"], fox.id)
    assert (job["starred"], job["imported"], job["pictures"]) == (True, False, 2)
    pictures = desk.history(seed=5).to_dicts(by="picture")
    assert [(r["picture"], r["starred"]) for r in pictures] == [(0, False), (1, True)]
    assert desk.history(seed=7).to_dicts()[0]["practice_price"] == Decimal("0.03")


@pytest.mark.parametrize(("status", "code"), [(Status.REFUSED, NOT_SENT), (Status.REFUSED, "E1"), (Status.FAILED, "E")])
def test_what_is_never_billed_has_no_price(tmp_path: Path, status: Status, code: str) -> None:
    """Nobody reported "$0.00" for a job that was not sent, refused or failed (USER_TRIAL P5.2)."""
    desk = Archive(tmp_path)
    path = [Status.SENDING, *([Status.ACCEPTED] if status is Status.FAILED else []), status]
    move(desk.database, create(desk.database), *path, error_code=code)
    frame, told = desk.history().to_pandas(), cost_table(desk.session).to_text()
    assert (frame["cost_amount"][0], frame["cost_source"][0]) == (None, "not billed")
    assert "1 job" not in told
    shown = desk.history()._repr_mimebundle_()[0]["text/plain"]
    assert "not billed" in shown
    assert "reported" not in shown
    assert ("not sent" in shown) is (code == NOT_SENT)
    desk.close()


def test_pandas_and_parquet_keep_types(desk: Archive, tmp_path: Path) -> None:
    """Money is Decimal beside its currency, never a float nor rounded; seeds are whole, times UTC, unknown missing."""
    frame = desk.history().to_pandas()
    types = [str(frame[name].dtype) for name in ("seed", "starred", "cost_amount")]
    assert (types, str(frame["created_at"].dtype)[-4:]) == (["Int64", "boolean", "object"], "UTC]")
    fox, owl = frame[frame["seed"] == 5].iloc[0], frame[frame["seed"] == 6].iloc[0]
    assert (fox["cost_amount"], fox["tags"]) == (Decimal("0.051"), ["figure-2", "a;b"])
    assert (owl["cost_amount"], owl["cost_source"]) == (None, "unknown")
    assert str(desk.history("nothing like it").to_pandas()["seed"].dtype) == "Int64"

    path = desk.history().to_parquet(tmp_path / "out" / "history.parquet")
    table = pq.read_table(path)
    field = table.schema.field("cost_amount")
    assert pa.types.is_decimal128(field.type)
    assert table.schema.field("created_at").type == pa.timestamp("us", tz="UTC")
    assert field.metadata[b"description"].startswith(b"cost of the job")
    by_seed = {row["seed"]: row for row in table.to_pylist()}
    assert (by_seed[5]["cost_amount"], by_seed[6]["cost_amount"]) == (Decimal("0.051"), None)
    assert by_seed[5]["tags"] == ["figure-2", "a;b"]
    record = {**desk.history(seed=5).to_dicts()[0], "cost_amount": Decimal("0.0000000000001")}
    with pytest.raises(CellError, match="does not fit"):
        export.to_parquet([record], tmp_path / "a.parquet", "job")
    assert not (tmp_path / "a.parquet").exists()


def test_csv_can_be_read_back(desk: Archive, tmp_path: Path) -> None:
    """Line breaks, quotes and half characters break no row; lists are JSON; missing is empty."""
    desk.job(NASTY, seed=80, price="")
    path = desk.history().to_csv(tmp_path / "history.csv")
    with path.open(encoding="utf-8", newline="") as file:
        found = {row["seed"]: row for row in csv.DictReader(file)}

    assert found["80"]["prompt"] == NASTY
    assert json.loads(found["5"]["tags"]) == ["figure-2", "a;b"]
    assert (found["5"]["cost_amount"], found["6"]["cost_amount"], found["5"]["simulated"]) == ("0.0510", "", "false")
    assert dt.datetime.fromisoformat(found["5"]["created_at"]).tzinfo is not None


def test_a_prompt_is_not_run_as_a_formula(desk: Archive, tmp_path: Path) -> None:
    """What a spreadsheet would calculate gets an apostrophe before it, in CSV and Excel; JSON Lines stays exact."""
    guarded = ["'=HYPERLINK(1)", "'+1", "'-1", "'@SUM(A1)", "\t'=1", "\n'=1", "'＝1", "a;'=1", "a; b\n'@c", "a;b -1"]
    prompts = [text.replace("'", "") for text in guarded]
    for prompt in reversed(prompts):
        desk.job(prompt, seed=8, price="", name=prompt.strip(), tags=("t;=1",))
    history = desk.history(seed=8)
    with history.to_csv(tmp_path / "h.csv").open(encoding="utf-8", newline="") as file:
        assert [row["prompt"] for row in csv.DictReader(file)] == guarded
    for separator in ";\t":
        with (tmp_path / "h.csv").open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file, delimiter=separator) for cell in row]
        assert {cell[:1] for cell in cells} & set("=+@-") == set()
    names, *rows = openpyxl.load_workbook(history.to_excel(tmp_path / "h.xlsx")).active.values
    assert [dict(zip(names, row, strict=True))["prompt"] for row in rows] == guarded
    lines = history.to_jsonl(tmp_path / "h.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["prompt"] for line in lines] == prompts


def test_excel_takes_the_history(desk: Archive, tmp_path: Path) -> None:
    """Times are local and without a zone, which Excel does not know; money is a number; control characters are none."""
    desk.job("a\x1b[31m\x0bfox", seed=81, price="", tags=("half \ud800",))
    frame = pd.read_excel(desk.history().to_excel(tmp_path / "history.xlsx", by="picture"))
    fox = frame[frame["seed"] == 5].iloc[0]

    assert list(frame.columns) == list(export.PICTURE_COLUMNS)
    assert frame[frame["seed"] == 81]["prompt"].iloc[0] == "a\ufffd[31m\ufffdfox"
    local = dt.datetime.fromtimestamp(desk.history(seed=5).rows[0].created_at)  # noqa: DTZ006 - as Excel shows it
    assert abs(fox["created_at"].to_pydatetime() - local) < dt.timedelta(seconds=1)
    assert fox["cost_amount"] == pytest.approx(0.051)


def test_data_are_every_job_that_matches(desk: Archive) -> None:
    """The table shows the newest 20; jobs, pictures and data are never cut off there, unless a limit was given."""
    desk.clock.now += 1
    desk.database.create_or_join([new("many", seed=seed) for seed in range(22)], owner=owner(), simulated_ok=False)
    whole = desk.history("many")
    assert len(whole) == len(whole.to_dicts()) == len(list(whole)) == 22
    assert len(whole.page.rows) == 20
    assert [r["seed"] for r in desk.history("many", limit=3).to_dicts()] == [21, 20, 19]


def test_everywhere_reads_the_persons_other_folders(tmp_path: Path) -> None:
    """With everywhere, data come from every folder and say from which."""
    one, other = Archive(tmp_path), Archive(tmp_path, "two")
    one.job(seed=5)
    other.job("elsewhere", seed=99)
    found = {r["seed"]: r["folder"] for r in one.history(everywhere=True).to_dicts()}

    assert found == {99: str(other.folder), 5: str(one.folder)}
    one.close()
    other.close()


@pytest.mark.parametrize("write", [History.to_csv, History.to_jsonl, History.to_parquet, History.to_excel])
def test_a_place_that_cannot_be_written_is_named(
    desk: Archive, tmp_path: Path, write: Callable[[History, Path], Path]
) -> None:
    """An unwritable place is an error with the path, and leaves nothing behind; so is what can be no path."""
    for odd in ("", "a\0b", "~nobody-9/x"):
        with pytest.raises(StoreError, match="cannot write"):
            write(desk.history(), odd)  # type: ignore[arg-type]
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(StoreError, match=f"cannot write .*{blocked}"):
        write(desk.history(), blocked / "out")
    assert blocked.read_text() == "x"


# Jobs and pictures ---------------------------------------------------------------------------------------------------


def test_a_history_gives_jobs_and_chosen_pictures(house: House, tmp_path: Path) -> None:
    """Iterating gives jobs; of starred ones the pictures that have the star; export copies them with their table."""
    session = house.kernel()
    first = ask(session, seed=[1, 2], images=[small_png()]).result(WAIT_S)
    second = ask(session, seed=3).result(WAIT_S)
    first[1].star()
    history = wan.history(session=session)

    assert [type(job) for job in history] == [wan.Job] * 3
    assert history[0].id == second.id
    assert [job.id for job in history[:2]] == [second.id, first.rows[1].id]
    assert len(history.pictures) == 3
    starred = wan.history(starred=True, session=session)
    assert [(picture.seed, picture.row.is_starred) for picture in starred.pictures] == [(2, True)]
    written = starred.export(tmp_path / "chosen", csv=True)
    assert [path.name for path in written] == [first[1].file.name, "pictures.csv"]
    with written[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["starred"], Path(row["file"]).name) for row in rows] == [("2", "true", written[0].name)]


def test_odd_pictures_stop_neither_export_nor_trash(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that leads elsewhere, and a file that is a link or gone, are left out and named; the others come."""
    session = house.kernel()
    odd, sound = (ask(session, seed=seed).result(WAIT_S) for seed in ([1, 2, 3, 4], 5))
    sound.files[0].with_name("link.png").symlink_to(tmp_path / "outside.png")
    day = sound.files[0].parent.name
    (tmp_path / "outside.png").write_bytes(small_png())
    session.close()
    for number, file in enumerate(("../outside.png", "", f"{day}/link.png", f"{day}/gone.png"), 1):
        sql(house.folder, f"UPDATE pictures SET file = '{file}' WHERE job_seq = {number}")  # noqa: S608
    session = house.kernel()
    written = wan.history(session=session).export(tmp_path / "chosen", csv=True)
    assert [path.name for path in written] == [sound.files[0].name, "pictures.csv"]
    told = capsys.readouterr().err
    assert all(f"{row.id}[0]" in told for row in odd.rows)
    for job in wan.history(session=session):
        job.trash()
    session.wall_clock = lambda: time.time() + 40 * 86400
    for _ in range(2):
        session.empty_trash()
    assert (sound.files[0].exists(), (tmp_path / "outside.png").exists()) == (False, True)
    assert "not deleted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda session: wan.history(session=session)[99], r"\[99\]: there are"),
        (lambda session: wan.history(limit="a", session=session), "limit = 'a': must be a whole number"),
        (lambda session: wan.history(seed=1.5, session=session), "seed = 1.5: must"),
        (lambda session: wan.history(5, session=session), "words = 5: must be text"),
        (lambda session: wan.history(tag=[1], session=session), "tag = .1.: must be text"),
        (lambda session: wan.history(since=10**400, session=session), "is not a valid time"),
        (lambda session: wan.compare(small_png(), columns="a", session=session), "Only jobs and their pictures have"),
        (lambda session: wan.compare(small_png(), columns=0, session=session), "columns = 0: must"),
        (lambda session: wan.compare([], session=session), "compare needs pictures"),
        (lambda session: wan.history(sinse=3, session=session), r"sinse = 3: not a parameter\. Did you mean since\?"),
        (
            lambda session: wan.compare(colums=3, session=session),
            "Did you mean columns",
        ),
    ],
)
def test_a_wrong_type_or_name_is_one_clear_error(desk: Archive, wrong: Callable[[Session], Any], words: str) -> None:
    """It repeats the value and says what to write instead of what Python would say."""
    with pytest.raises(CellError, match=words) as caught:
        wrong(desk.session)
    assert caught.value.hint


# Times ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", "2026-11-25"),
        ("Yesterday", "2026-11-24"),
        ("thursday", "2026-11-19"),
        ("7d", "2026-11-18T15:30"),
        ("90 min", "2026-11-25T14:00"),
        ("2 weeks ago", "2026-11-11T15:30"),
        ("an hour", "2026-11-25T14:30"),
        ("2026-11-24 14:30", "2026-11-24T14:30"),
        ("2026/11/24", "2026-11-24"),
        (" 2026-11-24t14:30 ", "2026-11-24T14:30"),
        (dt.date(2026, 11, 24), "2026-11-24"),
        (dt.datetime(2026, 11, 24, tzinfo=dt.UTC), "2026-11-24T00:00+00:00"),
        (dt.timedelta(hours=1), "2026-11-25T14:30"),
    ],
)
def test_times_are_read_as_people_write_them(text: Any, expected: str) -> None:
    """Days and weekdays are local midnights, spans count back from now; values are times too."""
    assert parse_since(text, NOW) == dt.datetime.fromisoformat(expected).timestamp()


@pytest.mark.parametrize("wrong", ["", "soon", "7", "d", "7 parsecs", "2026-13-01", [5], float("nan"), True, "9" * 400])
def test_what_is_not_a_time_is_refused(wrong: Any) -> None:
    """The error repeats it, and shows the forms."""
    with pytest.raises(CellError, match="is not a valid time") as caught:
        parse_since(wrong)
    assert "yesterday" in caught.value.hint
    assert len(caught.value.message) < 100


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_an_error(text: str) -> None:
    """Nothing but our own error comes out."""
    with suppress(CellError):
        assert isinstance(parse_since(text, NOW), float)
