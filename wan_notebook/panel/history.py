"""The history as a table: one page of the ledger as asked for, the sums of everything that matches, and CSV."""

import datetime as dt
import tempfile
from pathlib import Path
from typing import Any, Final

from ..database import SETTLED, HistoryQuery, JobRow, Status
from ..display import format_duration, format_time, row_style, safe_line
from ..history import History
from ..jobs import cost_of
from ..money import Source
from ..text import pluralize
from .feeds import Feed, Message, query_of

PAGE: Final = 25


class HistoryFeed(Feed):
    """Keeps ``panel.history``: one page, sorted and filtered by the database."""

    name = "history"

    def start(self) -> None:
        """Begin with the newest page."""
        self._query = HistoryQuery(limit=PAGE)

    def update(self) -> None:
        """Show the page that was asked for."""
        query, page = self._query, self.project.database.history(self._query)
        self.panel.show(
            history={
                "statuses": ["open", "not sent", *Status],
                "rows": [_shown(row) for row in page.rows],
                "total_rows": page.total_rows,
                "totals": f"{pluralize(page.total_rows, 'job')} · {pluralize(page.pictures, 'picture')} · {page.total}",
                "offset": query.offset,
                "limit": query.limit,
                "sort": query.sort,
                "descending": query.descending,
            }
        )

    # Messages --------------------------------------------------------------------------------------------------------

    def on_query(self, message: Message) -> None:
        """Show another page, in another order or of another filter."""
        more = ("status", "include_trashed", "sort", "descending", "offset")
        self._query = query_of(message, limit=PAGE, **{name: message[name] for name in more})
        self.touch()

    def on_cell(self, message: Message) -> None:
        """Send the cell that asks for a job."""
        row = self.project.database.get(message["job"])
        self.panel.send({"kind": "cell", "job": row.id, "cell": self.panel.cell_of(row)})

    def on_csv(self, _message: Message) -> None:
        """Send everything that matches, in the columns of ``wan.history().to_csv()``."""
        name = f"wan-history-{dt.datetime.now().astimezone().date()}.csv"
        with tempfile.TemporaryDirectory() as folder:
            data = History(self.session, self._query).to_csv(Path(folder) / name).read_bytes()
        self.panel.send({"kind": "save", "name": name}, [b"\xef\xbb\xbf" + data])  # the mark tells Excel UTF-8

    def on_recall(self, message: Message) -> None:
        """Fill the form with what made a job."""
        self.panel.recall_row(self.project.database.get(message["job"]))

    def on_trash(self, message: Message) -> None:
        """Put a job into the trash, or take it out."""
        self.project.database.trash(message["job"], message["on"])
        self.session.empty_trash()
        self.panel.refresh()


def _shown(row: JobRow) -> dict[str, Any]:
    cost, style = cost_of(row), row_style(row)
    cost_text = "$0.00" if cost.source is Source.SIMULATED else str(cost).partition(" (")[0]
    saved = [picture for picture in row.pictures if picture.saved_at]
    is_settled = row.status in SETTLED
    return {
        "id": row.id,
        "key": f"{row.id}/{saved[0].index}" if saved and saved[0].kind == "image" else "",
        "when": format_time(row.created_at),
        "prompt": safe_line(row.prompt, 200),
        "status": style.word,
        "icon": style.icon,
        "tone": style.tone,
        "mode": row.mode,
        "size": f"{saved[0].width_px}×{saved[0].height_px}" if saved else row.size_tier.replace("*", "×"),
        "seed": "" if row.seed is None else str(row.seed),
        "pictures": str(len(saved)) if saved or is_settled else f"of {row.n}",
        "took": format_duration(row.duration_s),
        "cost": cost_text,
        "source": "" if cost.source.value in cost_text else cost.source.value,  # "price unknown" says it
        "tags": safe_line(", ".join(row.tags), 60),
        "is_trashed": row.trashed_at is not None,
        "is_settled": is_settled,
    }
