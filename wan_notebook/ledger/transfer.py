"""Rows that leave for a bundle and come from one: plain JSON, nothing private, and nothing believed unchecked."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from wan_notebook.states import FINAL, JobState

from . import changes, codec, find, pictures, schema
from .faults import LedgerError
from .figures import ImportReport
from .job_row import JobRow
from .rows import InputRecord, PictureRecord
from .searching import reindex
from .tx import Read, Tx, insert

T = TypeVar("T")

EXPORT_VERSION: Final = 2
"""2 has ``recipe_sha256`` in the place of ``file_sha256``: an older reader would find every picture changed."""

CHILDREN_MAX: Final = 100

# What says who and where, what may hold a signed address or a local path, and what only this ledger needs.
_PRIVATE = {"user", "key_fingerprint", "base_url", "metadata", "notes", "error_message", "pending_inputs"}
_LOCAL = {"seq", "lease_until", "trashed_at", "purged_at", "imported_at", "picture_count", "owner_host", "owner_pid"}
_LOCAL |= {"owner_started", "owner_token"}
_COLUMNS = tuple(n for n in (*codec.JOB_COLUMNS, *codec.TEXT_COLUMNS) if n not in _PRIVATE | _LOCAL)
_INPUT_FIELDS = tuple(f.name for f in dataclasses.fields(InputRecord))
_PICTURE_FIELDS = tuple(f.name for f in dataclasses.fields(PictureRecord) if f.name not in ("job_id", "url"))
_ADDRESS = re.compile(r"https?://[^\s\"']+")
_ID = re.compile(r"[0-9a-f]{6,40}")

_j = schema.jobs.c
_KNOWN = sa.select(_j.fp_sent, _j.created_at).where(_j.id == sa.bindparam("id"))


def export_rows(read: Read, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return jobs as JSON-ready data, in the order asked for. Raises ``LedgerError`` for one that is open or purged."""
    made = []
    for job_id in ids:
        row = find.get(read, job_id)
        if not row.is_final or row.purged_at is not None:
            why = "purged" if row.purged_at is not None else str(row.state)
            raise LedgerError(f"Job {row.id} is {why}: only a finished one can be exported.")
        moves = [event for event in find.events(read, row.id) if event.kind == "state"]
        made.append(
            {
                "ledger": EXPORT_VERSION,
                "job": _public(row),
                "inputs": [_input(record) for record in row.inputs],
                "pictures": [{name: getattr(record, name) for name in _PICTURE_FIELDS} for record in row.pictures],
                "events": [{"at": event.at, "state": event.state} for event in moves],
            }
        )
    return made


def _public(row: JobRow) -> dict[str, Any]:
    made = {name: _plain(getattr(row, name)) for name in _COLUMNS}
    made["notebook"] = _last_part(row.notebook)
    made["usage"] = _without_addresses(made["usage"])
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, JobState):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _without_addresses(value: Any) -> Any:
    if isinstance(value, str):
        return _ADDRESS.sub("(address removed)", value)
    if isinstance(value, Mapping):
        return {key: _without_addresses(item) for key, item in value.items()}
    return [_without_addresses(item) for item in value] if isinstance(value, list) else value


def _input(record: InputRecord) -> dict[str, Any]:
    name = record.name
    if "://" in name:
        name = _last_part(name.split("?", 1)[0])
    elif name.startswith(("/", "~")) or PureWindowsPath(name).is_absolute():
        name = _last_part(name)
    return {**dataclasses.asdict(record), "name": name}


def _last_part(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def import_rows(tx: Tx, rows: Iterable[Mapping[str, Any]]) -> ImportReport:
    """Add jobs that this ledger does not have; all or none. Raises ``LedgerError`` if a row cannot be trusted."""
    added, present, conflicts = [], [], []
    for row in rows:
        job = _soundly(_checked, row)
        known = tx.run(_KNOWN, {"id": job["id"]}).fetchone()
        if known is None:
            _soundly(_insert, tx, job, row)
            added.append(job["id"])
        elif tuple(known) == (job["fp_sent"], job["created_at"]):
            present.append(job["id"])
        else:
            conflicts.append(job["id"])
    return ImportReport(added=tuple(added), present=tuple(present), conflicts=tuple(conflicts))


def _checked(row: Mapping[str, Any]) -> Mapping[str, Any]:
    version = row.get("ledger")
    if not isinstance(version, int) or version < 1:
        raise LedgerError("This is no exported row of a ledger.")
    if version > EXPORT_VERSION:
        raise LedgerError(
            f"The row was exported by a newer wan_notebook (version {version}; this one knows {EXPORT_VERSION}).",
            hint="Upgrade: pip install --upgrade wan-notebook. Nothing was imported.",
        )
    job = row.get("job")
    if not isinstance(job, Mapping) or not isinstance(job.get("id"), str) or not _ID.fullmatch(job["id"]):
        raise LedgerError("An exported row has no job with a proper id.")
    if unknown := job.keys() - set(_COLUMNS):
        shown = ", ".join(sorted(map(str, unknown))[:5])
        raise LedgerError(f"Job {job['id']} has columns that no ledger has: {shown[:80]}.")
    if job.get("state") not in FINAL or not isinstance(job.get("created_at"), int | float):
        raise LedgerError(f"Job {job['id']} is not finished, or has no time: it cannot be imported.")
    return {"fp_sent": "", **job}


def _soundly(step: Callable[..., T], *given: Any) -> T:
    try:
        return step(*given)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:  # hostile until it has been read
        raise LedgerError(f"A job of the bundle is not sound ({str(error)[:80]}): nothing was imported.") from error


def _insert(tx: Tx, job: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    narrow, wide = changes.split(tx, {name: _typed(name, value) for name, value in job.items()})
    narrow["imported_at"] = tx.now
    seq = tx.run(insert(schema.jobs, tuple(narrow)), narrow).lastrowid or 0
    tx.run(insert(schema.job_texts, ("job_seq", *wide)), {"job_seq": seq, **wide})
    reindex(tx, seq)
    pictures.set_inputs(tx, seq, [_record(InputRecord, child) for child in _children(row, "inputs")])
    for child in _children(row, "pictures"):
        pictures.save_picture(tx, seq, _record(PictureRecord, child))
    pictures.count_pictures(tx, seq)
    for event in _children(row, "events"):
        changes.add_event(tx, seq, float(event["at"]), "state", JobState(event["state"]).value, {})
    changes.add_event(tx, seq, tx.now, "imported", "", {})


def _typed(name: str, value: Any) -> Any:
    if name in ("reserved_amount", "cost_amount") and value is not None:
        return codec.decimal_of(value)
    return value


def _children(row: Mapping[str, Any], kind: str) -> Sequence[Mapping[str, Any]]:
    children = row.get(kind, [])
    if not isinstance(children, list) or len(children) > CHILDREN_MAX:
        raise LedgerError(f"An exported row's {kind} are no list of at most {CHILDREN_MAX}.")
    return children


def _record(kind: Any, child: Mapping[str, Any]) -> Any:
    allowed = _INPUT_FIELDS if kind is InputRecord else _PICTURE_FIELDS
    try:
        made = kind(**{name: value for name, value in child.items() if name in allowed})
    except (TypeError, AttributeError):
        raise LedgerError("An exported row has a picture without its columns.") from None
    for path in (made.file, getattr(made, "corrupt_file", "")):
        if not isinstance(path, str) or not _is_safe(path):
            raise LedgerError(f"{str(path)[:80]!r} is no path inside a folder of pictures: nothing was imported.")
    return made


def _is_safe(path: str) -> bool:
    bad = any(c in path for c in "\\:\x00") or path.startswith("/")
    return not bad and ".." not in PurePosixPath(path).parts
