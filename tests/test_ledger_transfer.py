"""Rows that travel in a bundle: nothing private leaves, nothing unsound comes in."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger_kit import NOON, WAY, an_input, create, finish, move, owner, reported, saved_picture
from wan_notebook.ledger import Ledger, LedgerError, PictureRecord
from wan_notebook.ledger.creating import new_id
from wan_notebook.ledger.transfer import EXPORT_VERSION
from wan_notebook.states import JobState


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The ledger that rows come from."""
    with Ledger.open(tmp_path / "ledger.db", wall_clock=lambda: NOON) as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Ledger]:
    """The ledger that rows go to."""
    with Ledger.open(tmp_path / "other.db", wall_clock=lambda: NOON + 9) as opened:
        yield opened


def travelled(ledger: Ledger, *ids: str) -> list[dict[str, Any]]:
    """Return rows as they are after a way through JSON Lines."""
    lines = [json.dumps(row) for row in ledger.export_rows(ids)]
    return [json.loads(line) for line in lines]


def test_a_job_arrives_as_it_left(ledger: Ledger, other: Ledger) -> None:
    """What is needed to show a picture again and to prove where it came from arrives exactly."""
    job_id = finish(
        ledger, prompt="狐 \x00", tags=("t",), name="hero", inputs=(an_input(),), pictures=2, cost=reported("0.0255"),
        versions={"python": "3.12"},
    )  # fmt: skip
    ledger.star(job_id, 1)
    report = other.import_rows(travelled(ledger, job_id))
    assert (report.added, report.present, report.conflicts) == ((job_id,), (), ())
    old, new = ledger.get(job_id), other.get(job_id)
    same = (
        "id",
        "batch_id",
        "state",
        "provider",
        "model",
        "mode",
        "fp_asked",
        "fp_sent",
        "seed",
        "n",
        "task_id",
        "name",
    )
    same += ("prompt", "negative_prompt", "parameters", "request", "versions", "items", "inputs", "pictures", "tags")
    same += ("cost", "created_at", "saved_at", "duration_s", "picture_count", "missing")
    for name in same:
        assert getattr(new, name) == getattr(old, name), name
    assert new.imported_at == NOON + 9
    assert [(e.kind, e.state) for e in other.events(job_id)] == [
        *[("state", state) for state in ("intent", *WAY)],
        ("imported", ""),
    ]
    found = other.find_answer(old.fp_sent, by="sent", simulated_ok=False)
    assert found is not None
    assert found.id == job_id


def test_importing_twice_adds_nothing(ledger: Ledger, other: Ledger) -> None:
    """Opening a bundle again, or in the folder that it came from, changes nothing."""
    job_id = finish(ledger)
    rows = travelled(ledger, job_id)
    other.import_rows(rows)
    assert other.import_rows(rows).present == (job_id,)
    assert ledger.import_rows(rows).present == (job_id,)
    assert ledger.get(job_id).imported_at is None
    assert len(other.events(job_id)) == 7


def test_another_job_with_the_same_id_is_left_alone(ledger: Ledger, other: Ledger) -> None:
    """A clash of ids is reported; the job that was here first stays as it is."""
    job_id = finish(ledger)
    rows = travelled(ledger, job_id)
    rows[0]["job"]["fp_sent"] = "something else"
    assert ledger.import_rows(rows).conflicts == (job_id,)
    assert ledger.get(job_id).fp_sent == "wan1:sha256:sent"


def test_an_imported_cost_is_shown_and_counts_nowhere(ledger: Ledger, other: Ledger) -> None:
    """It was paid by whoever made it: no budget and no total here counts it."""
    other.import_rows(travelled(ledger, finish(ledger, cost=reported("5"))))
    row = other.history().rows[0]
    assert row.cost.amount == Decimal(5)
    assert (other.history().total_rows, str(other.history().total)) == (1, "$0.00")
    assert other.spend().jobs == 0
    assert other.cost_by("day") == []
    assert other.last_price("gateway", "wan26_image") is None


def test_nothing_private_leaves(ledger: Ledger) -> None:
    """No key's fingerprint, no person, no signed address, no path of this machine, no host is in an exported row."""
    private = ["ann", "feedc0de", "/home/ann", "sig=secret", "https://", "kernelhost", "C:\\Users"]
    job_id = create(
        ledger, user="ann", key_fingerprint="feedc0de", notebook="/home/ann/study/a.ipynb",
        notes=("reduced /home/ann/x.png",),
        inputs=(
            an_input(0, name="/home/ann/photo.png"),
            an_input(1, name="https://files.test/a/cat.png?sig=secret"),
            an_input(2, name="C:\\Users\\ann\\dog.png"),
            an_input(3, name="photos/own.png"),
        ),
    )  # fmt: skip
    ledger.lease([job_id], owner("kernelhost")).result(10)
    move(ledger, job_id, *WAY[:4], usage={"log": ["see https://files.test/x?sig=secret"]}, metadata={"who": "ann"},
         pictures=[PictureRecord(idx=0, url="https://files.test/0?sig=secret")],
         detail={"said": "https://files.test/x?sig=secret"}, error_message="/home/ann")  # fmt: skip
    move(ledger, job_id, JobState.EXPIRED)
    row = travelled(ledger, job_id)[0]
    assert not [word for word in private if word in json.dumps(row)]
    assert [record["name"] for record in row["inputs"]] == ["photo.png", "cat.png", "dog.png", "photos/own.png"]
    assert row["job"]["notebook"] == "a.ipynb"


def test_only_what_is_finished_and_whole_leaves(ledger: Ledger) -> None:
    """An open job would be fetched twice, a purged one has nothing to show."""
    with pytest.raises(LedgerError, match="intent"):
        ledger.export_rows([create(ledger)])
    job_id = finish(ledger)
    ledger.trash(job_id)
    ledger.purge_trash(NOON + 1)
    with pytest.raises(LedgerError, match="purged"):
        ledger.export_rows([job_id])


def broken(row: dict[str, Any], *path: Any, value: Any) -> dict[str, Any]:
    """Return a row with one value changed."""
    made = copy.deepcopy(row)
    at: Any = made
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("ledger",), EXPORT_VERSION + 1, "newer wan_notebook"),
        (("ledger",), "1", "no exported row"),
        (("job",), None, "proper id"),
        (("job", "id"), "../../x", "proper id"),
        (("job", "id"), "abc", "proper id"),
        (("job", "state"), "running", "not finished"),
        (("job", "state"), "happy", "not finished"),
        (("job", "created_at"), "today", "no time"),
        (("job", "created_at"), True, "cannot store"),
        (("job", "seed"), "5; DROP TABLE jobs", "cannot store"),
        (("job", "owner_token"), "mine", "owner_token"),
        (("job", "picture_count"), 99, "picture_count"),
        (("job", "banana"), 1, "banana"),
        (("job", "cost_amount"), "-1", "no amount"),
        (("job", "cost_amount"), "1e999999", "no amount"),
        (("job", "cost_source"), "", "cost_source"),
        (("job", "cost_source"), "guessed", "cannot store"),
        (("job", "tags"), {"a": 1}, "cannot store"),
        (("job", "tags"), [1], "not sound"),
        (("job", "parameters"), [1], "cannot store"),
        (("inputs",), {"a": 1}, "inputs"),
        (("inputs", 0), "x", "without its columns"),
        (("inputs", 0, "file"), "../../etc/passwd", "no path inside"),
        (("inputs", 0, "position"), "first", "cannot store"),
        (("pictures", 0, "file"), "/etc/passwd", "no path inside"),
        (("pictures", 0, "corrupt_file"), "C:\\x", "no path inside"),
        (("pictures", 0, "file"), 7, "no path inside"),
        (("pictures", 0, "saved_at"), "now", "cannot store"),
        (("pictures",), [{"idx": k} for k in range(101)], "at most 100"),
        (("events", 0), {}, "not sound"),
        (("events", 0, "state"), "happy", "not sound"),
        (("events", 0, "at"), "now", "not sound"),
    ],
)
def test_an_unsound_row_is_refused_and_nothing_of_its_bundle_stays(
    ledger: Ledger, other: Ledger, path: tuple[Any, ...], value: object, said: str
) -> None:
    """A row from outside is hostile until it has been read; one bad row keeps all others out."""
    good, bad = travelled(ledger, finish(ledger), finish(ledger, inputs=(an_input(),), cost=reported("1")))
    with pytest.raises(LedgerError, match=said):
        other.import_rows([good, broken(bad, *path, value=value)])
    assert other.history().total_rows == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
KEYS = ["ledger", "job", "inputs", "pictures", "events"]
COLUMNS = ["id", "state", "created_at", "prompt", "seed", "cost_amount", "cost_source", "tags", "items", "usage", "n"]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """One ledger for all that is tried on it."""
    with Ledger.open(tmp_path_factory.mktemp("reader") / "ledger.db") as opened:
        yield opened


@given(data=st.data())
def test_any_json_at_all_is_imported_or_refused(reader: Ledger, data: st.DataObject) -> None:
    """Whatever stands in a bundle, the answer is a sound job or our own error, and never another one."""
    row: dict[str, Any] = {
        "ledger": 1,
        "job": {"id": new_id(), "state": "saved", "created_at": 1.0, "fp_sent": "x"},
        "inputs": [], "pictures": [saved_as_json()], "events": [],
    }  # fmt: skip
    for key in data.draw(st.lists(st.sampled_from(KEYS), max_size=1)):
        row[key] = data.draw(JSON)
    if isinstance(row["job"], dict):
        row["job"] |= data.draw(st.dictionaries(st.sampled_from(COLUMNS), JSON, max_size=2))
    try:
        report = reader.import_rows([row])
    except LedgerError:
        return
    for job_id in report.added:
        job = reader.get(job_id)
        str(job.cost)
        job.to_dict()
        reader.export_rows([job_id])
        reader.trash(job_id)


def saved_as_json() -> dict[str, Any]:
    """Return a picture as an exported row has it."""
    record = saved_picture()
    return {name: getattr(record, name) for name in type(record).__dataclass_fields__ if name not in ("job_id", "url")}
