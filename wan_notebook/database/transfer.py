"""Rows that leave for a bundle and come from one: nothing private leaves, and nothing is believed unchecked."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PureWindowsPath
from typing import Any, Final

from sqlalchemy import select

from ..errors import StoreError
from ..money import to_decimal
from ..request import hash_of_canonical
from ..text import one_line
from ..validation import Mode
from .jobs import Jobs, append_event, reindex
from .models import AMOUNT, Base, EventRow, InputRow, JobRow, JobSummary, PictureRow, check, columns_of
from .status import FINAL, Status

EXPORT_VERSION: Final = 2
"""2 has ``recipe_sha256`` in the place of ``file_sha256``."""

CHILDREN_MAX: Final = 100

# What says who and where, what may hold a signed address or a local path, and what only this ledger needs.
_PRIVATE: Final = {"user", "key_fingerprint", "base_url", "service_metadata", "notes", "error_text", "pending_inputs"}
_LOCAL: Final = {"seq", "job_seq", "cost_nano", "picture_count", "trashed_at", "purged_at", "imported_at", "url"}
_OWNER: Final = {"owner_host", "owner_pid", "owner_started", "owner_token", "lease_until"}
_ADDRESS: Final = re.compile(r"https?://[^\s\"']+")
_ID: Final = re.compile(r"[0-9a-f]{6,40}")
_SHA256: Final = re.compile(r"([0-9a-f]{64})?")


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import did, as ids. ``conflicts`` are other jobs here with the same id: they were left alone."""

    added: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


class Transfer(Jobs):
    """Exports and imports jobs."""

    def export_rows(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return finished jobs as JSON-ready data, without anything private, under the names of the columns."""
        made = []
        with self.reading() as session:
            for row in map(self.get, ids):
                if not row.is_final or row.purged_at is not None or row.damage:
                    why = "purged" if row.purged_at is not None else row.damage or row.status
                    raise StoreError(f"Job {row.id} cannot be exported: it is {why}.")
                moves = select(EventRow).where(EventRow.job_seq == row.seq, EventRow.kind == "state")
                job = {**_exported(row), "notebook": _last_part(row.notebook), "usage": _without_addresses(row.usage)}
                inputs = [{**_exported(given), "name": _public_name(given.name)} for given in row.inputs]
                pictures = [_exported(picture) for picture in row.pictures]
                found = session.scalars(moves.order_by(EventRow.number))
                events = [{"at": event.at, "state": event.status} for event in found]
                made.append(
                    {"ledger": EXPORT_VERSION, "job": job, "inputs": inputs, "pictures": pictures, "events": events}
                )
        return made

    def import_rows(self, rows: Iterable[Mapping[str, Any]]) -> ImportReport:
        """Add jobs of a bundle that this ledger does not have; all or none, and safe to repeat.

        Both hashes and every shown column are recomputed from the row's request, so that a picture cannot pass as the
        answer to another one. Their cost was paid elsewhere: it is shown, and counts in no sum.

        Raises
        ------
        StoreError
            If a row cannot be trusted; then nothing was imported.
        """
        report = ImportReport()
        with self.writing() as session:
            now = self.now()
            for given in rows:
                row, events = _read(given)
                known = select(JobSummary.request_hash_with_seed, JobSummary.created_at).where(JobSummary.id == row.id)
                found = session.execute(known).first()
                if found is not None:
                    is_same = tuple(found) == (row.request_hash_with_seed, row.created_at)
                    (report.present if is_same else report.conflicts).append(row.id)
                    continue
                row.imported_at = now
                session.add(row)
                reindex(session, [row])
                for event in events:
                    append_event(session, row.seq, event.at, "state", status=event.status)
                append_event(session, row.seq, now, "imported")
                report.added.append(row.id)
        return report


# ------------------------------------------------------------------ out


def _exported(row: Base) -> dict[str, Any]:
    values = {name: getattr(row, attribute) for name, attribute in _attributes(type(row)).items()}
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def _attributes(model: type[Base]) -> dict[str, str]:
    """Return the attributes that travel, by the names of their columns."""
    return {c.name: name for name, c in columns_of(model).items() if name not in _PRIVATE | _LOCAL | _OWNER}


def _without_addresses(value: Any) -> Any:
    if isinstance(value, str):
        return _ADDRESS.sub("(address removed)", value)
    if isinstance(value, Mapping):
        return {key: _without_addresses(item) for key, item in value.items()}
    return [_without_addresses(item) for item in value] if isinstance(value, list) else value


def _public_name(name: str) -> str:
    if "://" in name:
        return _last_part(name.split("?", 1)[0])
    is_absolute = name.startswith(("/", "~")) or PureWindowsPath(name).is_absolute()
    return _last_part(name) if is_absolute else name


def _last_part(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


# ------------------------------------------------------------------ in


def _read(given: Mapping[str, Any]) -> tuple[JobRow, list[EventRow]]:
    """Return an exported row as a job with its events; raise ``StoreError`` for what cannot be trusted."""
    version = given.get("ledger")
    if not isinstance(version, int) or not 1 <= version <= EXPORT_VERSION:
        hint = "If the bundle is newer than this wan_notebook, upgrade: pip install --upgrade wan-notebook"
        raise StoreError("A row of the bundle cannot be read by this version. Nothing was imported.", hint=hint)
    try:
        row = _row(JobRow, given["job"])
        row.status = Status(row.status)
        row.inputs = [_row(InputRow, child) for child in _children(given, "inputs")]
        row.pictures = [_row(PictureRow, child) for child in _children(given, "pictures")]
        row.picture_count = sum(picture.saved_at is not None for picture in row.pictures)
        events = [EventRow(at=child["at"], status=Status(child["state"])) for child in _children(given, "events")]
        for event in events:
            check(event)
        problem = _problem(row)
    except (StoreError, TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        problem = f"cannot be read ({one_line(error, 120)})"
    if problem:
        raise StoreError(f"A job of the bundle {problem}. Nothing was imported.")
    return row, events


def _row(model: type[Base], given: Mapping[str, Any]) -> Any:
    attributes = _attributes(model)
    values = {attributes[name]: value for name, value in given.items()}
    for name, value in values.items():
        if isinstance(value, str) and columns_of(model)[name].type is AMOUNT:
            amount = to_decimal(value)
            values[name] = value if amount is None else amount
    row = model(**values)
    check(row)
    return row


def _children(given: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    children = given[kind]
    if not isinstance(children, list) or len(children) > CHILDREN_MAX:
        raise ValueError(f"{kind} are not a list of at most {CHILDREN_MAX}")
    return children


def _problem(row: JobRow) -> str:
    """Compare every column that is shown with the request that the hashes are of; return what is wrong."""
    if not _ID.fullmatch(row.id) or row.status not in FINAL:
        return "has no proper id, or is not finished"
    request, parameters = dict(row.request), dict(row.request["parameters"])
    without_seed = {name: value for name, value in parameters.items() if name != "seed"}
    with_seed = hash_of_canonical(request)
    seedless = hash_of_canonical({**request, "parameters": without_seed})
    if row.request_hash_with_seed != with_seed or row.request_hash not in (with_seed, seedless):
        return "has hashes that are not those of its request"
    is_edit = parameters["enable_interleave"] is False
    expected = {
        "model": request["model"],
        "prompt": request["prompt"],
        "parameters": parameters,
        "negative_prompt": parameters.get("negative_prompt", ""),
        "seed": parameters.get("seed"),
        "size_tier": str(parameters.get("size", "")),
        "n": parameters["n" if is_edit else "max_images"],
    }
    different = [name for name, value in expected.items() if getattr(row, name) != value]
    different += [] if (row.mode == Mode.EDIT) is is_edit and row.mode else ["mode"]
    different += [] if [given.identity for given in row.inputs] == request["images"] else ["inputs"]
    if different:
        return f"contradicts its request: {', '.join(different)}"
    if not all(isinstance(value, str | int) for value in parameters.values()):
        return "has parameters that are not plain values"
    hashes = [given.sha256 for given in row.inputs] + [picture.sha256 for picture in row.pictures]
    return "" if all(map(_SHA256.fullmatch, hashes)) else "has a hash that is not a SHA-256"
