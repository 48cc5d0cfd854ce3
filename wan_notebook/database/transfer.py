"""Rows that leave for a bundle and come from one: nothing private leaves, and nothing is believed unchecked."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final

from sqlalchemy import select

from ..errors import StoreError
from ..money import to_decimal
from ..request import hash_of_canonical
from ..text import one_line
from ..validation import Mode
from .column_types import Amount, Enumerated, JsonList
from .engine import DatabaseEngine
from .jobs import append_event, reindex
from .models import EventRow, InputRow, JobRow, JobSummary, PictureRow
from .queries import find_job
from .status import FINAL, Status

EXPORT_VERSION: Final = 2
"""2 has ``recipe_sha256`` in the place of ``file_sha256``."""

CHILDREN_MAX: Final = 100

# What says who and where, what may hold a signed address or a local path, and what only this ledger needs.
_PRIVATE: Final = {"user", "key_fingerprint", "base_url", "service_metadata", "notes", "error_text", "pending_inputs"}
_LOCAL: Final = {"seq", "job_seq", "cost_nano", "picture_count", "trashed_at", "purged_at", "imported_at", "url"} | {
    *("owner_host", "owner_pid", "owner_started", "owner_token", "lease_until")
}
_ADDRESS: Final = re.compile(r"https?://[^\s\"']+")
_ID: Final = re.compile(r"[0-9a-f]{6,40}")
_SHA256: Final = re.compile(r"([0-9a-f]{64})?")
_NOT_IN_A_PATH: Final = frozenset("\\:\x00")


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import did, as ids. ``conflicts`` are other jobs here with the same id: they were left alone."""

    added: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


class Transfer(DatabaseEngine):
    """Exporting and importing jobs."""

    def export_rows(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return finished jobs as JSON-ready data, without anything private, under the names of the columns."""
        made = []
        with self.reading() as session:
            for job_id in ids:
                row = find_job(session, job_id)
                if not row.is_final or row.purged_at is not None or row.damage:
                    why = "purged" if row.purged_at is not None else row.damage or f"{row.status}"
                    raise StoreError(f"Job {row.id} cannot be exported: it is {why}.")
                moves = select(EventRow).where(EventRow.job_seq == row.seq, EventRow.kind == "state")
                made.append(
                    {
                        "ledger": EXPORT_VERSION,
                        "job": _exported(row)
                        | {"notebook": _last_part(row.notebook), "usage": _without_addresses(row.usage)},
                        "inputs": [_exported(new) | {"name": _public_name(new.name)} for new in row.inputs],
                        "pictures": [_exported(picture) for picture in row.pictures],
                        "events": [
                            {"at": event.at, "state": event.status}
                            for event in session.scalars(moves.order_by(EventRow.number))
                        ],
                    }
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
        added, present, conflicts = list[str](), list[str](), list[str]()
        with self.writing() as session:
            now = self.now(session)
            for given in rows:
                row, events = _read(given)
                known = session.execute(
                    select(JobSummary.request_hash_with_seed, JobSummary.created_at).where(JobSummary.id == row.id)
                ).first()
                if known is not None:
                    is_same = tuple(known) == (row.request_hash_with_seed, row.created_at)
                    (present if is_same else conflicts).append(row.id)
                    continue
                row.imported_at = now
                session.add(row)
                session.flush()
                reindex(session, [row])
                for at, status in events:
                    append_event(session, row.seq, at, "state", status=status)
                append_event(session, row.seq, now, "imported")
                added.append(row.id)
        return ImportReport(added=tuple(added), present=tuple(present), conflicts=tuple(conflicts))


# ------------------------------------------------------------------ out


def _exported(row: JobRow | InputRow | PictureRow) -> dict[str, Any]:
    return {name: _plain(getattr(row, attribute)) for name, attribute in _columns(type(row)).items()}


def _columns(model: type[JobRow | InputRow | PictureRow]) -> dict[str, str]:
    """Return the attributes that travel, by the names of their columns."""
    attributes = model.__mapper__.column_attrs
    return {a.columns[0].name: a.key for a in attributes if a.key not in _PRIVATE | _LOCAL}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


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


def _read(given: Mapping[str, Any]) -> tuple[JobRow, list[tuple[float, str]]]:
    """Return an exported row as a job, with its events; raise ``StoreError`` for what cannot be trusted."""
    version = given.get("ledger")
    if not isinstance(version, int) or version < 1:
        raise StoreError("This is not an exported row of a ledger.")
    if version > EXPORT_VERSION:
        raise StoreError(
            f"The row was exported by a newer wan_notebook (version {version}; this one knows {EXPORT_VERSION}).",
            hint="Upgrade: pip install --upgrade wan-notebook. Nothing was imported.",
        )
    try:
        row = _row(JobRow, given["job"])
        row.inputs = [_row(InputRow, child) for child in _children(given, "inputs")]
        row.pictures = [_row(PictureRow, child) for child in _children(given, "pictures")]
        row.picture_count = sum(picture.saved_at is not None for picture in row.pictures)
        events = [(float(child["at"]), Status(child["state"]).value) for child in _children(given, "events")]
        _check(row)
    except StoreError as error:
        raise StoreError(f"A job of the bundle cannot be trusted: {error.message} Nothing was imported.") from error
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        reason = one_line(repr(error), 80)
        raise StoreError(f"A job of the bundle cannot be read ({reason}). Nothing was imported.") from error
    return row, events


def _row(model: type[Any], given: Mapping[str, Any]) -> Any:
    columns = _columns(model)
    if unknown := given.keys() - columns.keys():
        raise StoreError(f"It has columns that no ledger has: {one_line(', '.join(sorted(map(str, unknown))))}.")
    types = {column.name: column.type for table in model.__mapper__.tables for column in table.columns}
    return model(**{columns[name]: _typed(types[name], value) for name, value in given.items()})


def _typed(column_type: object, value: Any) -> Any:
    if isinstance(column_type, Amount) and value is not None:
        return to_decimal(value) if isinstance(value, str) else value
    if isinstance(column_type, Enumerated) and value in column_type.words:
        return column_type.kind(value)
    return tuple(value) if isinstance(column_type, JsonList) and isinstance(value, list) else value


def _children(given: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    children = given.get(kind, [])
    if not isinstance(children, list) or len(children) > CHILDREN_MAX:
        raise StoreError(f"Its {kind} are not a list of at most {CHILDREN_MAX}.")
    return children


def _check(row: JobRow) -> None:
    """Compare every column that is shown with the request that the hashes are of."""
    if not _ID.fullmatch(row.id) or row.status not in FINAL:
        raise StoreError("It has no proper id, or is not finished.")
    if row.cost_amount is not None and not (row.cost_source and row.cost_currency):
        raise StoreError("Its cost has no source or no currency.")
    request = dict(row.request)
    parameters = dict(request["parameters"])
    seedless = {**request, "parameters": {name: value for name, value in parameters.items() if name != "seed"}}
    with_seed = hash_of_canonical(request)
    is_edit = parameters.get("enable_interleave") is False
    modes = {Mode.EDIT} if is_edit else {Mode.TEXT_TO_IMAGE, Mode.ILLUSTRATED}
    if row.request_hash_with_seed != with_seed or row.request_hash not in (with_seed, hash_of_canonical(seedless)):
        raise StoreError("Its hashes are not those of its request.")
    expected = {
        "model": request["model"],
        "prompt": request["prompt"],
        "parameters": parameters,
        "negative_prompt": parameters.get("negative_prompt", ""),
        "seed": parameters.get("seed"),
        "size_tier": str(parameters.get("size", "")),
        "n": parameters["n"] if is_edit else parameters["max_images"],
        "mode": row.mode if row.mode in modes else "a mode that fits the request",
    }
    different = [name for name, value in expected.items() if getattr(row, name) != value]
    if [new.identity for new in row.inputs] != request["images"]:
        different.append("inputs")
    if different:
        raise StoreError(f"Its columns contradict its request: {', '.join(different)}.")
    if not all(isinstance(value, str | int) for value in parameters.values()):
        raise StoreError("Its parameters are not plain values.")
    _check_files(row)


def _check_files(row: JobRow) -> None:
    files = [new.file for new in row.inputs] + [file for p in row.pictures for file in (p.file, p.corrupt_file)]
    for file in files:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or _NOT_IN_A_PATH & set(file):
            raise StoreError(f"{one_line(repr(file))} is not a path inside a folder of pictures.")
    for sha256 in [new.sha256 for new in row.inputs] + [picture.sha256 for picture in row.pictures]:
        if not _SHA256.fullmatch(sha256):
            raise StoreError(f"{one_line(repr(sha256))} is not a SHA-256.")
