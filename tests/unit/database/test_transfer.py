"""Rows that travel in a bundle: nothing private leaves, nothing that cannot be trusted comes in."""

import copy
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from tests.unit.database.kit import NOON, PATH, Clock, create, finish, given, ledger, move, owner, reported
from wan_notebook.database import Database, Status
from wan_notebook.errors import StoreError
from wan_notebook.request import hash_of_canonical


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Database]:
    """The ledger that rows go to."""
    with ledger(tmp_path / "other", Clock(NOON + 9)) as opened:
        yield opened


def travelled(database: Database, *ids: str) -> list[dict[str, Any]]:
    """Return rows as they are after a way through JSON Lines."""
    return [json.loads(json.dumps(row)) for row in database.export_rows(ids)]


def test_a_job_arrives_as_it_left(database: Database, target: Database) -> None:
    """What is needed to show a picture again and to prove where it came from arrives exactly, marked as imported."""
    texts = {"tags": ("t",), "name": "hero", "versions": {"python": "3.12"}}
    job_id = finish(database, "狐 \x00", inputs=(given(),), pictures=2, cost=reported("0.0255"), seedless=True, **texts)
    database.mark(job_id, 1, is_starred=True)
    report = target.import_rows(travelled(database, job_id))
    assert (report.added, report.present, report.conflicts) == ([job_id], [], [])
    old, row = database.get(job_id), target.get(job_id)
    same = "id group_id status provider model mode request_hash request_hash_with_seed seed n name prompt tags cost "
    same += "negative_prompt parameters request versions items created_at saved_at duration_s picture_count missing"
    for name in same.split():
        assert getattr(row, name) == getattr(old, name), name
    assert [p.file for p in row.pictures] == [p.file for p in old.pictures]
    assert [(p.sha256, p.is_starred) for p in row.pictures] == [("2" * 64, False), ("2" * 64, True)]
    assert [(i.name, i.identity, i.file) for i in row.inputs] == [("photo", "bytes:sha256:1", "inputs/abc.png")]
    assert row.imported_at == NOON + 9
    told = [(event.kind, event.status) for event in target.events(job_id)]
    assert told == [*[("state", status) for status in ("intent", *PATH)], ("imported", "")]
    assert [found.id for found in target.results(old.request_hash_with_seed, with_seed=True)] == [job_id]
    assert row.is_complete


def test_an_imported_cost_is_shown_and_counts_nowhere(database: Database, target: Database) -> None:
    """It was paid by the one who made it; another job under the same id keeps it."""
    job_id = finish(database, cost=reported("5"))
    target.import_rows(travelled(database, job_id))
    page = target.history()
    assert (page.rows[0].cost.amount, page.total_rows, str(page.total)) == (Decimal(5), 1, "$0.00")
    assert (target.spend().jobs, target.cost_by("day")) == (0, [])
    assert target.last_price("gateway", "wan2.6-image") is None
    twin = travelled(database, finish(database, "another"))
    twin[0]["job"]["id"] = job_id
    assert target.import_rows(twin).conflicts == [job_id]
    assert target.get(job_id).prompt == "a fox"


def test_nothing_private_leaves(database: Database) -> None:
    """No key's fingerprint, person, signed address, path or host of this machine is in an exported row."""
    private = ["ann", "feedc0de", "/home/ann", "sig=secret", "https://", "kernelhost", "C:\\Users"]
    names = ["/home/ann/photo.png", "https://files.test/a/cat.png?sig=secret", "C:\\Users\\ann\\dog.png", "own/a.png"]
    job_id = create(
        database,
        by=owner("kernelhost", host="kernelhost"),
        user="ann",
        key_fingerprint="feedc0de",
        notebook="/home/ann/study/a.ipynb",
        notes=("reduced /home/ann/x.png",),
        inputs=tuple(given(k, name=name) for k, name in enumerate(names)),
    )
    address = "https://files.test/x?sig=secret"
    said = {"usage": {"log": [f"see {address}"]}, "detail": {"said": address}, "service_metadata": {"who": "ann"}}
    move(database, job_id, *PATH[:4], pictures=[{"index": 0, "url": address}], error_message="/home/ann", **said)
    move(database, job_id, Status.EXPIRED)
    (row,) = travelled(database, job_id)
    assert not [word for word in private if word in json.dumps(row)]
    assert [record["name"] for record in row["inputs"]] == ["photo.png", "cat.png", "dog.png", "own/a.png"]
    assert row["job"]["notebook"] == "a.ipynb"


def test_only_what_is_finished_and_whole_leaves(database: Database) -> None:
    """An open job would be fetched twice, a purged one has nothing to show."""
    with pytest.raises(StoreError, match="intent"):
        database.export_rows([create(database)])
    job_id = finish(database)
    database.trash(job_id)
    database.purge_trash(NOON + 1, lambda _: True)
    with pytest.raises(StoreError, match="purged"):
        database.export_rows([job_id])


def changed(row: dict[str, Any], *path: Any, value: Any) -> dict[str, Any]:
    """Return a row with one value changed."""
    made = copy.deepcopy(row)
    at: Any = made
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return made


BROKEN = """
ledger | 3 | this version
job | null | cannot be read
job.id | "../../x" | proper id
job.state | "running" | not finished
job.state | "happy" | status
job.parameters.size | 5 | parameters =
job.parameters.n | "x" | parameters =
job.owner_token | "mine" | owner_token
job.picture_count | 99 | picture_count
job.banana | 1 | banana
job.cost_amount | "-1" | cost_amount
job.cost_amount | "٣" | cost_amount
job.cost_source | "guessed" | cost_source
inputs | {"a": 1} | inputs
inputs.0.file | "../../etc/passwd" | cannot be stored
inputs.0.position | "first" | position
pictures.0.corrupt_file | "C:\\\\x" | cannot be stored
events.0 | {} | cannot be read
events.0.state | "happy" | happy
events.0.at | 1e308 | at =
job.fp_asked | "wan1:sha256:00" | hashes
job.request.prompt | "your own prompt" | hashes
job.model | "other" | model
job.n | 7 | n
job.negative_prompt | "fog" | negative_prompt
job.size_tier | "2K" | size_tier
job.mode | "text to image" | mode
job.parameters.watermark | true | parameters
inputs.0.identity | "bytes:sha256:2" | inputs
inputs | [] | inputs
"""
UNTRUSTED = [line.split(" | ") for line in BROKEN.strip().splitlines()]


@pytest.fixture(scope="module")
def rows(one_database: Database) -> list[dict[str, Any]]:
    """Two jobs as a bundle brings them, the second one with an input and a cost."""
    ids = [finish(one_database, seed=71), finish(one_database, inputs=(given(),), cost=reported("1"))]
    return travelled(one_database, *ids)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A ledger into which nothing gets."""
    with ledger(tmp_path_factory.mktemp("empty")) as opened:
        yield opened


@pytest.mark.parametrize(("path", "value", "said"), UNTRUSTED)
def test_an_untrusted_row_is_refused_and_nothing_of_its_bundle_stays(
    rows: list[dict[str, Any]], empty: Database, path: str, value: str, said: str
) -> None:
    """A row is hostile until it has been read, and its picture must be the answer to the request that it shows.

    One bad row keeps all others out.
    """
    place = [int(step) if step.isdecimal() else step for step in path.split(".")]
    with pytest.raises(StoreError, match=said):
        empty.import_rows([rows[0], changed(rows[1], *place, value=json.loads(value))])
    assert empty.history().total_rows == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
PLACES = st.sampled_from([("ledger",), ("job",), ("inputs",), ("pictures",), ("events",)]) | st.sampled_from(
    [("job", name) for name in ("id", "state", "created_at", "n", "usage", "items", "tags", "cost_amount", "envelope")]
    + [("pictures", 0, name) for name in ("idx", "kind", "width_px", "saved_at")]
    + [("job", "request", "parameters", name) for name in ("seed", "size", "n")]
)


@hypothesis_given(place=PLACES, value=JSON)
def test_any_json_at_all_is_imported_or_refused(
    rows: list[dict[str, Any]], one_database: Database, place: tuple[Any, ...], value: object
) -> None:
    """Whatever stands in a bundle, the answer is a sound job or our own error, and never another one."""
    row = changed(rows[0], "job", "id", value=uuid4().hex[:10])
    try:
        row = changed(row, *place, value=value)
        if place[:3] == ("job", "request", "parameters"):  # consistent, and still hostile
            row["job"]["parameters"] = row["job"]["request"]["parameters"]
            row["job"]["fp_sent"] = row["job"]["fp_asked"] = hash_of_canonical(row["job"]["request"])
        report = one_database.import_rows([row])
    except StoreError:
        return
    for added in report.added:
        job = one_database.get(added)
        assert job.damage == ""
        str(job.cost)
        one_database.export_rows([added])
