"""The ledger inside a bundle: as lines of JSON for everybody, and as a ready database that only replays."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from ..errors import RecipeError
from ..folders import LEDGER_NAME
from ..ledger import JobRow, Ledger
from ..session.home import REPLAY
from .manifest import LEDGER_LINES, load_object

ROWS_MAX: Final = 200_000
LINE_MAX_BYTES: Final = 4 * 1024 * 1024


def to_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return exported rows as JSON Lines, the same bytes for the same rows."""
    return b"".join(_line(row) for row in rows)


def _line(row: Mapping[str, Any]) -> bytes:
    text = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # half a character
        return json.dumps(row, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def from_lines(data: bytes) -> list[dict[str, Any]]:
    """Read JSON Lines of any origin. Raises ``RecipeError``; what the rows say is checked by the ledger."""
    lines = data.split(b"\n")
    if len(lines) > ROWS_MAX or any(len(line) > LINE_MAX_BYTES for line in lines):
        raise RecipeError(f"The bundle's {LEDGER_LINES} is larger than it can be: nothing was unpacked.")
    return [load_object(line, LEDGER_LINES) for line in lines if line.strip()]


def database(rows: Sequence[Mapping[str, Any]], fetched: Mapping[str, str], at: float) -> bytes:
    """Return a ledger that holds these rows and never buys, the same bytes for the same rows.

    ``fetched`` are kept copies of addresses; ``at`` stands for the moment of the import.
    """
    with tempfile.TemporaryDirectory(prefix="wan-bundle-") as name:
        made, packed = Path(name, LEDGER_NAME), Path(name, "packed.db")
        with Ledger.open(made, journal="rollback", wall_clock=lambda: at) as ledger:
            ledger.import_rows(rows)
            ledger.meta_set(REPLAY, "only")
            for key, file in sorted(fetched.items()):
                ledger.meta_set(key, file)
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("VACUUM INTO ?", (str(packed),))  # one tight file, without traces of how it came about
        return packed.read_bytes()


def sound_rows(rows: Sequence[Mapping[str, Any]]) -> list[JobRow]:
    """Return rows of any origin as a ledger takes them, in a place of its own. Raises ``LedgerError``."""
    with tempfile.TemporaryDirectory(prefix="wan-bundle-") as name, Ledger.open(Path(name, LEDGER_NAME)) as ledger:
        try:
            report = ledger.import_rows(rows)
        except RecursionError as error:
            raise RecipeError("The bundle's rows nest too deep: refused, nothing was unpacked.") from error
        if report.present or report.conflicts:
            raise RecipeError("The bundle names a job twice: refused, nothing was unpacked.")
        found = [ledger.get(job_id) for job_id in report.added]
        for row in found:
            row.details  # noqa: B018 - read before the ledger closes
        return found
