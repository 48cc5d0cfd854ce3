"""The rows of jobs that this kernel asked for: their states, and the wish to cancel one."""

from typing import Any, Final

from ..database import Status
from ..display import Card, live_state, safe_line
from ..jobs import Job, TrackedJob
from .feeds import Feed, Message

JOBS_MAX: Final = 20
ROWS_MAX: Final = 40
REFRESH_EVERY_S: Final = 2.0
"""The time left changes with the time alone."""


class JobFeed(Feed):
    """Keeps ``panel.jobs``, and lets the other parts look again when a job has another status.

    Every job of the session has its rows, whichever cell or panel asked for it.
    """

    name = "jobs"

    def start(self) -> None:
        """Begin with the jobs whose pictures are not in the gallery yet."""
        self._statuses: dict[str, Status] = {}
        self._hidden = {tracked.id for tracked in self._tracked() if tracked.status is Status.SAVED}

    def update(self) -> None:
        """Show the newest jobs; new ones are followed, and take the place of those that were saved before."""
        tracked, before = self._tracked(), self._statuses
        self._statuses = {job.id: job.status for job in tracked}
        for job in tracked:
            if job.id not in before:
                job.listen(self.touch)
                self._hidden |= {job_id for job_id, status in before.items() if status is Status.SAVED}
        rows = [row for job in self._jobs() for row in self._rows(job)]
        running = sum(not job.is_settled for job in tracked)
        self.repeat_s = REFRESH_EVERY_S if running else None
        self.panel.show(jobs={"rows": rows[:ROWS_MAX], "running": running, "sent_at": self.session.wall_clock()})
        if self._statuses != before:
            self.panel.refresh()

    def _jobs(self) -> list[Job]:
        """Return the session's jobs, newest first; one that was shown again is the same job."""
        newest = [job for _, job in reversed(self.session.last[-JOBS_MAX:])]
        return list({job.id: job for job in newest}.values())

    def _tracked(self) -> list[TrackedJob]:
        return [tracked for job in self._jobs() for tracked in job.tracked]

    def _rows(self, job: Job) -> list[dict[str, Any]]:
        shown = {tracked.id: tracked for tracked in job.tracked if tracked.id not in self._hidden}
        states = live_state(Card(job, self.session))["jobs"] if shown else []
        return [_row(state, shown[state["id"]]) for state in states if state["id"] in shown]

    def on_cancel(self, message: Message) -> None:
        """Pass on the wish to cancel; the answer says what is still made and paid."""
        wanted = [tracked for tracked in self._tracked() if tracked.id == message["job"]]
        self.panel.show(notice=self.project.worker.cancel(wanted[:1]).splitlines())

    def on_dismiss(self, message: Message) -> None:
        """Take a row away."""
        self._hidden.add(message["job"])
        self.touch()


def _row(state: dict[str, Any], tracked: TrackedJob) -> dict[str, Any]:
    lines = [*([tracked.note] if tracked.note and not tracked.is_settled else []), *state["lines"]]
    return {**state, "lines": [safe_line(line, 240) for line in lines], "prompt": safe_line(tracked.row.prompt, 160)}
