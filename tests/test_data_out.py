"""The history as data: right types, exact money, documented columns, nothing cut off."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import bundle_kit
from tests.bundle_kit import KEY_FINGERPRINT, SIGNED_URL, Project
from wan_notebook import data_out
from wan_notebook.api import History, history
from wan_notebook.errors import CellError, StoreError
from wan_notebook.ledger import HistoryQuery, PictureRecord
from wan_notebook.session import Session
from wan_notebook.settings import Sources
from wan_notebook.states import JobState

project, other = bundle_kit.project, bundle_kit.other
NASTY = 'say "hi", then\nnew line; 狐 =1+1'
HALF = "half \ud800"


@pytest.fixture
def session(project: Project) -> Iterator[Session]:
    """A kernel over the project's store."""
    env = {"WAN_HOME": str(project.store.folder)}
    made = Session(Sources(env=env, cwd=project.root, config_path=project.root / "config.json"))
    yield made
    made.close()


@pytest.fixture
def rows(project: Project) -> Project:
    """Three jobs: billed, without a price, not fetched yet."""
    project.job(seed=5, pictures=2, cost="0.0255", tags=("figure-2", "a;b"), name="fox")
    project.job("an owl", seed=6, cost=None)
    project.job("a heron", seed=7, state=JobState.SUCCEEDED, cost=None)
    return project


def test_every_column_is_documented_and_filled(rows: Project) -> None:
    """A record has exactly the documented columns, in their order."""
    record = data_out.record_of(rows.ledger.history().rows[0], "folder")

    assert list(record) == list(data_out.COLUMNS)
    assert all(column.says for column in data_out.COLUMNS.values())


def test_pandas_keeps_types(rows: Project, session: Session) -> None:
    """Money stays Decimal beside its currency, seeds stay whole, times are UTC, unknown is missing and not 0."""
    frame = history(session=session).to_pandas()

    assert list(frame.columns) == list(data_out.COLUMNS)
    assert str(frame["created_at"].dtype).endswith("UTC]")
    assert str(frame["seed"].dtype) == "Int64"
    assert str(frame["starred"].dtype) == "boolean"
    fox = frame[frame["seed"] == 5].iloc[0]
    assert fox["cost_amount"] == Decimal("0.0510")
    assert isinstance(fox["cost_amount"], Decimal)
    assert fox["tags"] == ["figure-2", "a;b"]
    owl = frame[frame["seed"] == 6].iloc[0]
    assert owl["cost_amount"] is None
    assert owl["cost_source"] == "unknown"


def test_an_empty_history_has_the_same_columns_and_types(session: Session) -> None:
    """A filter that matches nothing gives an empty frame that can be joined to others."""
    frame = history("nothing like it", session=session).to_pandas()

    assert len(frame) == 0
    assert str(frame["seed"].dtype) == "Int64"
    assert str(frame["cost_amount"].dtype) == "object"


def test_parquet_holds_decimals_times_and_lists(rows: Project, session: Session, tmp_path: Path) -> None:
    """Parquet keeps money as decimal128, never as a float, and says what each column means."""
    path = history(session=session).to_parquet(tmp_path / "out" / "history.parquet")
    table = pq.read_table(path)

    field = table.schema.field("cost_amount")
    assert pa.types.is_decimal128(field.type)
    assert table.schema.field("created_at").type == pa.timestamp("us", tz="UTC")
    assert field.metadata[b"description"].startswith(b"what the job cost")
    by_seed = {row["seed"]: row for row in table.to_pylist()}
    assert by_seed[5]["cost_amount"] == Decimal("0.051")
    assert by_seed[6]["cost_amount"] is None
    assert by_seed[5]["tags"] == ["figure-2", "a;b"]
    assert pd.read_parquet(path)["seed"].tolist() == [7, 6, 5]


def test_an_amount_that_would_be_rounded_is_refused(project: Project, tmp_path: Path) -> None:
    """Money is never rounded silently: 13 decimals do not fit the Parquet column, and CSV is named instead."""
    record = data_out.record_of(project.job())
    with pytest.raises(CellError, match="does not fit") as caught:
        data_out.to_parquet([{**record, "cost_amount": Decimal("0.0000000000001")}], tmp_path / "a.parquet")
    assert "JSON Lines" in caught.value.hint
    assert list(tmp_path.glob("a.parquet*")) == []


def test_csv_can_be_read_back(rows: Project, session: Session, tmp_path: Path) -> None:
    """Line breaks, quotes and half characters in a prompt break no row; lists are JSON; missing is empty."""
    rows.job(NASTY, seed=8, name=HALF)
    path = history(session=session).to_csv(tmp_path / "history.csv")
    with path.open(encoding="utf-8", newline="") as file:
        found = {row["seed"]: row for row in csv.DictReader(file)}

    assert found["8"]["prompt"] == NASTY
    assert found["8"]["name"] == "half \\ud800"
    assert json.loads(found["5"]["tags"]) == ["figure-2", "a;b"]
    assert found["5"]["cost_amount"] == "0.0510"
    assert found["6"]["cost_amount"] == ""
    assert found["5"]["simulated"] == "false"
    assert dt.datetime.fromisoformat(found["5"]["created_at"]).tzinfo is not None


def test_json_lines_can_be_read_back(rows: Project, session: Session, tmp_path: Path) -> None:
    """Each line is one JSON object; money is decimal text, half a character survives as its escape."""
    rows.job(NASTY, seed=8, name=HALF)
    path = history(session=session).to_jsonl(tmp_path / "history.jsonl")
    found = {row["seed"]: row for row in map(json.loads, path.read_text("utf-8").splitlines())}

    assert (found[8]["prompt"], found[8]["name"]) == (NASTY, HALF)
    assert found[5]["cost_amount"] == "0.0510"
    assert found[6]["cost_amount"] is None
    assert found[5]["files"] == [p.file for p in rows.ledger.history(HistoryQuery(seed=5)).rows[0].pictures]


def test_data_are_every_job_that_matched(project: Project, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table shows the newest 20; data are never cut off there, unless a limit was asked for."""
    monkeypatch.setattr(data_out, "PAGE", 4)
    for seed in range(1, 26):
        project.job(seed=seed, cost=None, pictures=1)

    whole = history(session=session)
    assert len(whole) == 20
    assert [r["seed"] for r in whole.to_dicts()] == list(range(25, 0, -1))
    assert len(history(session=session, limit=3).to_dicts()) == 3


def test_filters_by_tag_notebook_seed_date_and_state(rows: Project, session: Session) -> None:
    """Each filter narrows the data, dates included; a date is its local midnight."""

    def seeds(**filters: Any) -> list[int]:
        return sorted(r["seed"] for r in history(session=session, **filters).to_dicts())

    created = dt.datetime.fromtimestamp(rows.ledger.history(HistoryQuery(seed=6)).rows[0].created_at, tz=dt.UTC)
    assert seeds(tag="figure-2") == seeds(tag=["figure-2", "a;b"]) == [5]
    assert seeds(tag=["figure-2", "b"]) == []
    assert seeds(notebook=str(rows.notebook)) == [5, 6, 7]
    assert seeds(seed=6) == [6]
    assert seeds(state="saved") == [5, 6]
    assert seeds(since=created) == [6, 7]
    assert seeds(until=created) == [5]
    assert seeds(since=created.timestamp(), until=created.timestamp() + 1) == [6]
    assert seeds(since=dt.date(2026, 11, 20), until=dt.date(2026, 11, 29)) == [5, 6, 7]
    assert seeds(since=dt.date(2026, 11, 29)) == []
    assert seeds(since="2026-11-20", until="2026-11-29") == [5, 6, 7]
    assert seeds(since=created.isoformat()) == [6, 7]
    assert seeds(since="2026-11-29") == seeds(until="36500d") == []
    for wrong in ("yesterday", "", [5], float("nan")):
        with pytest.raises(CellError, match="is no time"):
            history(session=session, since=wrong)  # type: ignore[arg-type]


def test_everywhere_reads_the_persons_other_folders(
    rows: Project, other: Project, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With everywhere, data come from every folder and say from which."""
    other.job("elsewhere", seed=99)
    monkeypatch.setattr("wan_notebook.past.known_folders", lambda: [rows.store.folder, other.store.folder])

    found = {r["seed"]: r["folder"] for r in history(session=session, everywhere=True).to_dicts()}
    assert found[99] == str(other.store.folder)
    assert found[5] == str(rows.store.folder)
    assert len(found) == 4


def test_a_place_that_cannot_be_written_is_named(rows: Project, session: Session, tmp_path: Path) -> None:
    """An unwritable place is an error with the path, and leaves nothing behind."""
    blocked = tmp_path / "file"
    blocked.write_text("x")
    for write in (History.to_csv, History.to_jsonl, History.to_parquet):
        with pytest.raises(StoreError, match="cannot write"):
            write(history(session=session), blocked / "out.csv")
    assert blocked.read_text() == "x"


def test_a_failed_write_leaves_the_old_file(rows: Project, tmp_path: Path) -> None:
    """An export that breaks off keeps what was there: the file is replaced in one step."""
    target = tmp_path / "history.csv"
    target.write_text("old")

    def broken() -> Iterator[dict[str, Any]]:
        yield data_out.record_of(rows.ledger.history().rows[0])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        data_out.to_csv(broken(), target)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.glob("history*")] == ["history.csv"]


def test_a_job_is_json_ready(rows: Project, session: Session) -> None:
    """``job.to_dict()`` goes through json as it is, exact in its money, and names neither key nor signed address."""
    row = rows.ledger.history(HistoryQuery(seed=5)).rows[0]
    record = session.job(row.id).to_dict()
    text = json.dumps(record)

    assert json.loads(text) == record
    assert record["jobs"][0]["cost_amount"] == "0.0510"
    assert record["jobs"][0]["created_at"].endswith("+00:00")
    assert KEY_FINGERPRINT not in text
    assert all("url" not in picture for picture in record["jobs"][0]["pictures"])


def test_an_unfetched_picture_has_no_address_in_the_record(project: Project, session: Session) -> None:
    """A signed address that is still kept does not leave with the record."""
    row = project.job(state=JobState.SUCCEEDED)
    project.ledger.save_picture(row.id, PictureRecord(idx=0, url=SIGNED_URL)).result(10)
    record = session.job(row.id).to_dict()["jobs"][0]
    assert SIGNED_URL not in json.dumps(record["pictures"])


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the extra, the error says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    calls: list[Callable[[], Any]] = [lambda: data_out.to_pandas([]), lambda: data_out.to_parquet([], tmp_path / "x")]
    for call in calls:
        with pytest.raises(CellError) as caught:
            call()
        assert "wan-notebook[pandas]" in caught.value.hint
