"""The rows of jobs: what runs, what it says of itself, and the wish to cancel, passed on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..jobs import Job, LiveJob
from ..present import Presenter
from ..session import Session
from ..states import FREE, JobState
from ..views import html
from ..views.live import live_job
from ..views.looks import NEVER_SENT, next_sentence
from ..views.model import JobView
from ..views.panel_widgets import JobRows, Message
from .loop import Follower

ROWS_MAX: Final = 40
REFRESH_EVERY_S: Final = 2.0  # an ETA changes with the time alone


class JobsFeed:
    """Follows jobs and shows a row for each task.

    ``moved`` is called when a job has a new state, ``settled`` when one has ended, both on a worker thread.
    """

    def __init__(
        self, session: Session, presenter: Presenter, *, moved: Callable[[], None], settled: Callable[[], None]
    ) -> None:
        self._session, self._presenter, self._moved, self._settled = session, presenter, moved, settled
        self._guard = threading.RLock()
        self._jobs: list[Job] = []
        self._stops: list[Callable[[], None]] = []
        self._gone: set[str] = set()
        self._answers: dict[str, str] = {}
        self._ended: set[str] = set()
        self._states: dict[str, str] = {}
        self.widget = JobRows(self._receive)
        self._follower = Follower(session.runtime, self._update, again_s=REFRESH_EVERY_S, is_busy=self._is_running)

    def follow(self, job: Job, *, is_new: bool = False) -> None:
        """Show a job from now on; a new one clears away what is saved."""
        with self._guard:
            if is_new:
                self._gone |= {live.id for other in self._jobs for live in other.lives if live.state is JobState.SAVED}
                self._gone -= {live.id for live in job.lives}
            known = {live.id for other in self._jobs for live in other.lives}
            if not {live.id for live in job.lives} <= known:
                self._jobs.insert(0, job)
                self._stops += [live.listen(self._heard) for live in job.lives]
        self._follower.touch()

    def is_known(self, job_id: str) -> bool:
        """Whether a job has its row, or had one."""
        with self._guard:
            return any(live.id == job_id for job in self._jobs for live in job.lives)

    def close(self) -> None:
        """Stop listening; the jobs go on."""
        self._follower.close()
        for stop in self._stops:
            stop()

    # ------------------------------------------------------------------------------------------------------------------

    def _heard(self, _live: LiveJob) -> None:
        self._follower.touch()

    @property
    def running(self) -> int:
        """How many of the jobs still run."""
        return sum(not live.is_settled for job in self._jobs for live in job.lives)

    def _is_running(self) -> bool:
        return self.running > 0

    def _receive(self, message: Message, _buffers: Sequence[Any]) -> None:
        job_id = message.get("job")
        if message["kind"] == "hello":
            # A reloaded page counts on from here, whatever its own clock says.
            self.widget.send({"kind": "clock", "now": self._session.wall_clock()})
        elif message["kind"] == "cancel" and isinstance(job_id, str):
            self._session.runtime.call_back(self._cancel, job_id)
        elif message["kind"] == "dismiss" and isinstance(job_id, str):
            with self._guard:
                self._gone.add(job_id)
            self._follower.touch()

    def _cancel(self, job_id: str) -> None:
        for job in list(self._jobs):
            for live in job.lives:
                if live.id == job_id:
                    self._answers[job_id] = job.owner.cancel([live])
        self._follower.touch()

    def _update(self) -> None:
        with self._guard:
            jobs = list(self._jobs)
        now = self._session.wall_clock()
        rows: list[dict[str, Any]] = []
        ended = set()
        states = {}
        for job in jobs:
            if len(rows) >= ROWS_MAX:
                break
            for view, live in zip(self._presenter.card(job, with_pictures=False).jobs, job.lives, strict=True):
                states[live.id] = view.state
                if live.is_settled:
                    ended.add(live.id)
                if view.job_id not in self._gone:
                    rows.append(self._row(view))
        if _without_time(rows) != _without_time(self.widget.jobs) or now - self.widget.sent_at > REFRESH_EVERY_S - 0.2:
            self.widget.show(jobs=rows[:ROWS_MAX], sent_at=now)
        if states != self._states:
            self._states = states
            self._moved()
        if ended - self._ended:
            self._ended |= ended
            self._settled()

    def _row(self, view: JobView) -> dict[str, Any]:
        row = live_job(view)
        answer = self._answers.get(view.job_id, "")
        cost = view.cost_text or ("cost nothing" if view.state in (*FREE, NEVER_SENT) else view.most_text)
        reasons = [] if view.state == JobState.SAVED else [row["reason"], next_sentence(view)]
        return {
            **{key: row[key] for key in _KEPT},
            "prompt": html.one_line(answer or view.prompt, 160),
            "reasons": [html.one_line(line, 240) for line in reasons if line and not row["ticking"]],
            "cost": html.one_line(view.replay_text or cost, 80),
        }


_KEPT: Final = (
    "id", "state", "icon", "word", "tone", "label", "elapsed_s", "ticking", "progress", "eta", "can_cancel",
    "cancel_requested",
)  # fmt: skip


def _without_time(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "elapsed_s": None} for row in rows]
