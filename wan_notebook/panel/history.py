"""The history's feed: one page of the ledger as asked for, the sums of everything that matches, and CSV."""

from __future__ import annotations

import csv
import datetime as dt
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from ..errors import WanError
from ..jobs.outcome import cost_of_row, was_never_sent
from ..ledger import HistoryQuery, JobRow
from ..money import Source
from ..present import Presenter, words
from ..present.previews import Previews
from ..session import Session
from ..session.home import Home
from ..states import SETTLED, JobState
from ..views import html
from ..views.history_widget import HistoryTable
from ..views.looks import NEVER_SENT, look
from ..views.panel_widgets import Message
from .loop import Follower

PAGE: Final = 25
THUMB_PX, THUMB_BYTES = 96, 4_000
RUNNING: Final = "not finished"
_CSV_PAGE: Final = 1000
_FORMULA: Final = tuple("=+-@\t\r")
_SORTS: Final = frozenset({"created", "prompt", "state", "mode", "seed", "pictures", "duration", "cost"})
COLUMNS: Final = (
    "id", "created", "state", "mode", "prompt", "negative_prompt", "seed", "asked", "pictures", "width_px", "height_px",
    "duration_s", "cost", "currency", "cost_source", "provider", "tags", "name", "notebook", "files",
)  # fmt: skip
"""The columns of the CSV: times in ISO 8601 with a zone, lengths in px, durations in seconds, costs as decimals."""


class HistoryFeed:
    """Feeds one table. ``recall`` fills the form from a job; ``changed`` is told when a job goes to the trash."""

    def __init__(
        self,
        session: Session,
        home: Home,
        presenter: Presenter,
        *,
        recall: Callable[[JobRow], None],
        changed: Callable[[], None],
    ) -> None:
        self._session, self._home, self._presenter = session, home, presenter
        self._recall, self._changed = recall, changed
        self._previews = Previews(home.store)
        self._guard = threading.RLock()
        self._query = HistoryQuery(limit=PAGE)
        states = [RUNNING, *(state.value for state in JobState)]
        self.widget = HistoryTable(self._receive, states=states)
        self._follower = Follower(session.runtime, self._update)

    def touch(self) -> None:
        """Look again."""
        self._follower.touch()

    def close(self) -> None:
        """End it."""
        self._follower.close()

    # ------------------------------------------------------------------ the page

    def _update(self) -> None:
        query = self._query
        page = self._home.ledger.history(query)
        self.widget.show(
            page={
                "rows": [_row(row) for row in page.rows],
                "offset": query.offset,
                "limit": query.limit,
                "total_rows": page.total_rows,
                "totals": f"{_counted(page.total_rows, 'job')} · {_counted(page.pictures, 'picture')} · {page.total}",
                "sort": query.sort,
                "descending": query.descending,
            }
        )

    def _receive(self, message: Message, _buffers: Sequence[Any]) -> None:
        run = partial(self._session.runtime.call_back, self._answer)
        match message:
            case {"kind": "hello"}:
                self.touch()
            case {"kind": "query"}:
                self._query = _query_of(message)
                self.touch()
            case {"kind": "thumbs", "keys": list(keys)}:
                run(self._send_thumbs, [key for key in keys if isinstance(key, str)])
            case {"kind": "cell", "job": str(job)}:
                run(self._send_cell, job)
            case {"kind": "csv"}:
                run(self._send_csv)
            case {"kind": "act", "what": str(what), "job": str(job)}:
                run(self._act, what, job)

    def _answer(self, work: Callable[..., None], *args: Any) -> None:
        try:
            work(*args)
        except WanError:
            self.touch()  # what is gone is not in the next page

    def _send_thumbs(self, keys: Sequence[str]) -> None:
        buffers = []
        for key in keys:
            job_id, _, index = key.partition("/")
            row = self._home.ledger.get(job_id)
            found = [p for p in row.pictures if str(p.idx) == index]
            previews = self._previews.of_size(found[0], THUMB_PX, THUMB_BYTES) if found else ()
            buffers.append(previews[0].data if previews else b"")
        self.widget.send({"kind": "thumbs", "keys": list(keys)}, buffers)

    def _send_cell(self, job_id: str) -> None:
        row = self._home.ledger.get(job_id)
        cell = self._presenter.cell_text(self._session.request_of(row), row)
        self.widget.send({"kind": "cell", "job": job_id, "cell": cell})

    def _act(self, what: str, job_id: str) -> None:
        ledger = self._home.ledger
        row = ledger.get(job_id)
        if what == "recall":
            self._recall(row)
        elif what in ("trash", "restore") and row.state in SETTLED:
            ledger.trash(row.id, on=what == "trash")
            self._session.empty_trash()  # what has lain there for 30 days
            self.touch()
            self._changed()

    # ------------------------------------------------------------------ CSV

    def _send_csv(self) -> None:
        text = "".join(csv_lines(self._rows_of_filter()))
        day = dt.datetime.now().astimezone().date().isoformat()
        answer = {"kind": "csv", "name": f"wan-history-{day}.csv"}
        self.widget.send(answer, [b"\xef\xbb\xbf" + text.encode("utf-8", "replace")])  # the mark tells Excel UTF-8

    def _rows_of_filter(self) -> Iterator[JobRow]:
        values = {name: getattr(self._query, name) for name in HistoryQuery.__dataclass_fields__}
        offset = 0
        while True:
            page = self._home.ledger.history(HistoryQuery(**{**values, "offset": offset, "limit": _CSV_PAGE}))
            yield from page.rows
            offset += len(page.rows)
            if len(page.rows) < _CSV_PAGE:
                return


def csv_lines(rows: Iterator[JobRow]) -> Iterator[str]:
    """Write jobs as CSV. A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    yield _line(COLUMNS)
    for row in rows:
        yield _line([_harmless(value) for value in _values(row)])


def _values(row: JobRow) -> list[Any]:
    saved = [p for p in row.pictures if p.saved_at]
    cost = cost_of_row(row)
    created = dt.datetime.fromtimestamp(row.created_at, tz=dt.UTC).isoformat(timespec="seconds")
    return [
        row.id, created, row.state.value, row.mode, row.prompt, row.negative_prompt, row.seed, row.n, len(saved),
        saved[0].width_px if saved else None, saved[0].height_px if saved else None, row.duration_s,
        None if cost.amount is None else f"{cost.amount:f}", cost.currency if cost.amount is not None else "",
        cost.source.value, row.provider, ", ".join(row.tags), row.name, row.notebook, "\n".join(p.file for p in saved),
    ]  # fmt: skip


def _harmless(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


def _line(values: Sequence[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(values)
    return buffer.getvalue()


def _row(row: JobRow) -> dict[str, Any]:
    cost, seen = cost_of_row(row), look(NEVER_SENT if was_never_sent(row) else row.state)
    cost_text = "$0.00" if cost.source is Source.SIMULATED else str(cost).partition(" (")[0]
    saved = [p for p in row.pictures if p.saved_at]
    return {
        "id": row.id,
        "key": f"{row.id}/{saved[0].idx}" if saved and saved[0].kind == "image" else "",
        "when": words.when_text(row.created_at),
        "prompt": html.one_line(row.prompt, 200),
        "state": seen.word,
        "icon": seen.icon,
        "tone": seen.tone,
        "mode": row.mode,
        "size": f"{saved[0].width_px}×{saved[0].height_px}" if saved else row.size_tier,
        "seed": row.seed,
        "pictures": len(saved) if saved or row.state in SETTLED else f"of {row.n}",
        "took": words.duration_text(row.duration_s),
        "cost": cost_text,
        "source": "" if cost.source.value in cost_text else cost.source.value,  # "price unknown" says it
        "tags": html.one_line(", ".join(row.tags), 60),
        "trashed": row.trashed_at is not None,
        "settled": row.state in SETTLED,
    }


def _query_of(message: Mapping[str, Any]) -> HistoryQuery:
    texts = {name: str(message.get(name) or "")[:200] for name in ("words", "tag", "state", "seed", "sort")}
    offset = message.get("offset")
    seed = texts["seed"]
    is_running = texts["state"] == RUNNING
    known = texts["state"] in {state.value for state in JobState}
    return HistoryQuery(
        words=texts["words"],
        tag=texts["tag"],
        state=texts["state"] if known else None,
        running=is_running,
        seed=int(seed) if seed.isdecimal() and len(seed) < 12 else None,
        include_trashed=bool(message.get("trash")),
        sort=texts["sort"] if texts["sort"] in _SORTS else "created",
        descending=bool(message.get("descending", True)),
        offset=max(0, offset) if isinstance(offset, int) else 0,
        limit=PAGE,
    )


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
