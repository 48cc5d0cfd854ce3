"""Rows that leave for a bundle and come from one: nothing private leaves, and nothing is believed unchecked."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PureWindowsPath
from typing import Any, Final

from sqlalchemy import select

from ..errors import StoreError
from ..text import one_line
from ..validation import Mode, mode_for
from .batches import Batches
from .jobs import append_event, reindex
from .models import AMOUNT, STATUS, Base, EventRow, InputRow, JobRow, JobSummary, PictureRow, check, columns_of
from .status import FINAL, Status

EXPORT_VERSION: Final = 2
"""2 has ``recipe_sha256`` in the place of ``file_sha256``."""

# What says who and where, what may hold a signed address or a local path, and what only this ledger needs.
_STAYS: Final = frozenset(
    {"user", "key_fingerprint", "base_url", "service_metadata", "notes", "error_text", "pending_inputs", "url"}
    | {"seq", "job_seq", "cost_nano", "picture_count", "trashed_at", "purged_at", "imported_at"}
    | {"owner_host", "owner_pid", "owner_started", "owner_token", "lease_until"}
)


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import did, as ids. ``conflicts`` are other jobs here with the same id: they were left alone."""

    added: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


class Transfer(Batches):
    """Exports and imports jobs."""

    def export_rows(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return finished jobs as JSON-ready data, without anything private, under the names of the columns."""
        made = []
        with self.reading():
            for row in map(self.get, ids):
                if row.status not in FINAL or row.purged_at is not None or row.damage:
                    why = "purged" if row.purged_at is not None else row.damage or row.status
                    raise StoreError(f"Job {row.id} cannot be exported: it is {why}.")
                usage = json.loads(re.sub(r"https?://[^\s\"'\\]+", "(address removed)", json.dumps(row.usage)))
                events = [event for event in self.events(row.id) if event.kind == "state"]
                exported = {
                    "ledger": EXPORT_VERSION,
                    "job": {**_exported(row), "notebook": _last_part(row.notebook), "usage": usage},
                    "inputs": [{**_exported(given), "name": _public_name(given.name)} for given in row.inputs],
                    "pictures": [_exported(picture) for picture in row.pictures],
                    "events": [{"at": event.at, "state": event.status} for event in events],
                }
                made.append(exported)
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
                if (found := session.execute(known).first()) is not None:
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


def _attributes(model: type[Base]) -> dict[str, str]:
    """Return the attributes that travel, by the names of their columns."""
    return {column.name: name for name, column in columns_of(model).items() if name not in _STAYS}


def _exported(row: Base) -> dict[str, Any]:
    values = {name: getattr(row, attribute) for name, attribute in _attributes(type(row)).items()}
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def _public_name(name: str) -> str:
    is_elsewhere = "://" in name or name.startswith(("/", "~")) or PureWindowsPath(name).is_absolute()
    return _last_part(name) if is_elsewhere else name


def _last_part(path: str) -> str:
    return re.split(r"[\\/]", path.partition("?")[0].rstrip("\\/"))[-1]


def _read(given: Mapping[str, Any]) -> tuple[JobRow, list[EventRow]]:
    """Return an exported row as a job with its events; raise ``StoreError`` for what cannot be trusted."""
    version = given.get("ledger")
    if not isinstance(version, int) or not 1 <= version <= EXPORT_VERSION:
        hint = "If the bundle is newer than this wan_notebook, upgrade: pip install --upgrade wan-notebook"
        raise StoreError("A row of the bundle cannot be read by this version. Nothing was imported.", hint=hint)
    try:
        row = _row(JobRow, given["job"])
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
    values, attributes = {}, _attributes(model)
    for name, value in given.items():
        kind = columns_of(model)[attributes[name]].type
        values[attributes[name]] = kind.read(value) if kind in (AMOUNT, STATUS) else value
    row = model(**values)
    check(row)
    return row


def _children(given: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    children = given[kind]
    if not isinstance(children, list) or len(children) > 100:
        raise ValueError(f"{kind} are not a list of at most 100")
    return children


def _problem(row: JobRow) -> str:
    """Compare every column that is shown with the request that the hashes are of; return what is wrong."""
    if not re.fullmatch(r"[0-9a-f]{6,40}", row.id) or row.status not in FINAL:
        return "has no proper id, or is not finished"
    if not row.hashes_agree():
        return "has hashes that are not those of its request and inputs"
    parameters = row.request["parameters"]
    is_story = parameters.get("enable_interleave") is True
    is_set = parameters.get("enable_sequential") is True
    mode = mode_for(row.request["images"], interleave=is_story, sequential=is_set)
    expected = {
        "model": row.request["model"],
        "prompt": row.request["prompt"],
        "parameters": parameters,
        "negative_prompt": parameters.get("negative_prompt", ""),
        "seed": parameters.get("seed"),
        "size_tier": str(parameters.get("size", "")),
        "n": parameters["max_images" if is_story else "n"],
    }
    different = [name for name, value in expected.items() if getattr(row, name) != value]
    # One picture of illustrated text is how Wan 2.6 Image makes a picture from text.
    is_mode = row.mode == mode or (is_story and row.mode == Mode.TEXT_TO_IMAGE)
    different += [] if is_mode else ["mode"]
    if different:
        return f"contradicts its request: {', '.join(different)}"
    if not all(isinstance(value, str | int | float) and value == value for value in parameters.values()):
        return "has parameters that are not plain values"
    hashes = [given.sha256 for given in row.inputs] + [picture.sha256 for picture in row.pictures]
    is_sound = all(re.fullmatch(r"([0-9a-f]{64})?", value) for value in hashes)
    return "" if is_sound else "has a hash that is not a SHA-256"
