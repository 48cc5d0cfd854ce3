"""The rows of jobs: those that this kernel asked for, and a page of the ledger with the sums of all that matches."""

from typing import Final

from ..database import SETTLED, STATES, HistoryQuery, Status
from ..display import Card, history_facts, live_state, safe_line
from ..text import pluralize
from .feeds import Feed, Message

PAGE: Final = 25
JOBS_MAX: Final = 20
REFRESH_EVERY_S: Final = 2.0
"""The time left changes with the time alone."""


class JobFeed(Feed):
    """Keeps ``panel.jobs``, and lets the other parts look again when a job has another status.

    Every job of the session has its rows, whichever cell or panel asked for it.
    """

    name = "jobs"

    def start(self) -> None:
        """Hide the jobs whose pictures are in the gallery already."""
        self._statuses: dict[str, Status] = {}
        self._hidden = {one.id for _, job in self.session.last for one in job.tracked if one.status is Status.SAVED}

    def update(self) -> None:
        """Show the newest jobs; new ones are followed, and take the place of those that were saved before."""
        newest = {job.id: job for _, job in reversed(self.session.last[-JOBS_MAX:])}  # one shown again is the same job
        tracked, before = {one.id: one for job in newest.values() for one in job.tracked}, self._statuses
        self._statuses = {job_id: one.status for job_id, one in tracked.items()}
        for job_id in tracked.keys() - before:
            tracked[job_id].listen(self.touch)
            self._hidden |= {job_id for job_id, status in before.items() if status is Status.SAVED}
        states = [state for job in newest.values() for state in live_state(Card(job, self.session))["jobs"]]
        rows = [
            {**state, "prompt": safe_line(tracked[state["id"]].row.prompt, 160)}
            for state in states
            if state["id"] not in self._hidden
        ]
        running = sum(one.status not in SETTLED for one in tracked.values())
        self.repeat_s = REFRESH_EVERY_S if running else None
        self.panel.show(jobs={"rows": rows, "running": running, "sent_at": self.session.wall_clock()})
        if self._statuses != before:
            self.panel.refresh()

    def on_cancel(self, message: Message) -> None:
        """Pass on the wish to cancel; the answer says what is still made and paid."""
        wanted = [one for _, job in self.session.last for one in job.tracked if one.id == message["job"]]
        self.panel.show(notice=self.project.worker.cancel(wanted[:1]).splitlines())

    def on_dismiss(self, message: Message) -> None:
        """Take a row away."""
        self._hidden.add(message["job"])
        self.touch()


class HistoryFeed(Feed):
    """Keeps ``panel.history``: one page, sorted and filtered by the database."""

    name = "history"

    _query = HistoryQuery(limit=PAGE, is_folded=True)

    def update(self) -> None:
        """Show the page that was asked for."""
        query, database = self._query, self.project.database
        is_batch_running = any(not run.done.done() for run in tuple(self.session.runs.values()))
        self.repeat_s = REFRESH_EVERY_S if is_batch_running else None
        page = database.history(query)
        rows = [
            {
                **history_facts(row, database, page),
                "key": f"{row.id}/0",
                "is_trashed": row.trashed_at is not None,
                "is_settled": row.status in SETTLED,
            }
            for row in page.rows
        ]
        self.panel.show(
            history={
                "statuses": ["open", *STATES],
                "rows": rows,
                "total_rows": page.lines,
                "batch": query.batch,
                "totals": f"{pluralize(page.total_rows, 'job')} · {pluralize(page.pictures, 'picture')} · {page.total}",
                "offset": query.offset,
                "limit": query.limit,
            }
        )

    # Messages --------------------------------------------------------------------------------------------------------

    def on_query(self, message: Message) -> None:
        """Show another page, in another order or of another filter."""
        asked = ("words", "status", "include_trashed", "sort", "descending", "offset", "batch")
        given = {name: message[name] for name in asked}
        self._query = HistoryQuery(limit=PAGE, is_folded=not given["batch"], **given)
        self.touch()

    def on_recall(self, message: Message) -> None:
        """Fill the form with what made a job."""
        self.panel.recall(self.panel.cell_of(self.project.database.get(message["job"])))

    def on_trash(self, message: Message) -> None:
        """Put a job into the trash, or take it out."""
        self.project.database.trash(message["job"], message["on"])
        self.session.empty_trash()
        self.panel.refresh()
