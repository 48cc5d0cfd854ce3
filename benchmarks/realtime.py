"""Polling in real time: the whole engine over sockets, a service in another process, jobs that start together.

Durations are lognormal, median 12 s, sigma 0.4. The delay is what a person sees: from the task's end, by the service's
own times, until the answer is in the ledger. A query that was refused counts as a query. About three minutes.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.engine import make_session
from benchmarks.folders import folder
from benchmarks.service import service
from benchmarks.sizes import size
from wan_notebook.api import generate
from wan_notebook.client import Client
from wan_notebook.errors import RateLimitError
from wan_notebook.ledger import JobDraft, JobRow, Ledger
from wan_notebook.session import Session
from wan_notebook.states import JobState
from wan_notebook.wire import TaskState

MEDIAN_S, SIGMA = 12.0, 0.4
WAY = (JobState.SENDING, JobState.ACCEPTED)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is run, and what it should reach."""

    name: str
    aim: str
    jobs: int = 200
    past: int = 20
    limit_per_s: float = 0.0
    polling: str = "prompt"


ROWS = (
    Row(name="prompt, 20 past", aim="7.6 polls, 0.75 s"),
    Row(name="economical, 20 past", aim="3.3 polls, 2.0 s", polling="economical"),
    Row(name="cold start", aim="7.0 polls, 1.5 s", past=0),
    Row(name="20/s enforced, 50 jobs", aim="p95 3.9 s, no 429", jobs=50, limit_per_s=20.0),
    Row(name="20/s enforced, 200 jobs", aim="no 429, none lost", limit_per_s=20.0),
)


def remember(ledger: Ledger, like: JobRow, count: int, seed: int) -> None:
    """Write so many finished jobs of the same kind as ``like`` into the ledger."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    kind = {name: getattr(like, name) for name in ("provider", "model", "mode", "size_tier", "n")}
    drafts = [
        JobDraft(**kind, prompt="past", request={}, fp_asked=f"past {i}", fp_sent=f"past {i}") for i in range(count)
    ]
    for job_id in [row.id for row in ledger.create_jobs(drafts)]:
        for state in WAY:
            ledger.transition(job_id, state)
        took_s = MEDIAN_S * math.exp(chance.gauss(0, SIGMA))
        ledger.transition(job_id, JobState.SUCCEEDED, duration_s=took_s, finished_at=time.time()).result(60)
        ledger.transition(job_id, JobState.SAVED).result(60)


def first_row(base_url: str, folder: Path) -> JobRow:
    """Return a row of the kind that is measured, from a service that answers at once."""
    session = make_session(base_url, folder, WAN_PROVIDER="dashscope", DASHSCOPE_API_KEY="bench")
    row = generate("kind", seed=0, session=session).result(60).rows[0]
    session.close()
    return row


def count_refused(client: Client) -> list[str]:
    """Return the list into which the tasks of refused queries are written."""
    refused: list[str] = []
    ask = client.status

    async def status(task_id: str) -> TaskState:
        try:
            return await ask(task_id)
        except RateLimitError:
            refused.append(task_id)
            raise

    client.status = status  # type: ignore[method-assign]
    return refused


def run(row: Row, base_url: str, folder: Path, like: JobRow, seed: int) -> str:
    """Run one row and describe it."""
    env = {"WAN_PROVIDER": "dashscope", "DASHSCOPE_API_KEY": "bench", "WAN_QUERIES_PER_S": f"{row.limit_per_s:g}"}
    session: Session = make_session(base_url, folder, **env)
    session.sources.session["polling"] = row.polling
    remember(session.need_home().ledger, like, row.past, seed)
    client = session.client(session.settings())
    refused = count_refused(client)
    jobs = [generate("measured", seed=number, session=session) for number in range(row.jobs)]
    for job in jobs:
        job.result(600)
    rows = [job.rows[0] for job in jobs]
    delays = sorted((r.finished_at or 0) - (r.accepted_at or 0) - (r.duration_s or 0) for r in rows)
    polls = client.requests_sent["poll"]
    session.close()
    p95 = delays[math.ceil(0.95 * len(delays)) - 1]
    lost = sum(r.state is not JobState.SAVED for r in rows)
    return (
        f"{row.name:24} {polls / row.jobs:5.2f} polls a task, delay {statistics.fmean(delays):.2f} s "
        f"(p95 {p95:.2f}), {len(refused)} times 429, {lost} lost   (aim {row.aim})"
    )


def main(seed: int = 1) -> None:
    """Print a line for each row."""
    for usual in ROWS:
        row = replace(usual, jobs=size("REALTIME_JOBS", usual.jobs))
        with folder() as name:
            place = Path(name)
            with service() as instant:
                like = first_row(instant, place / "kind")
            with service(seconds=MEDIAN_S, sigma=SIGMA, queries_per_s=row.limit_per_s) as base_url:
                print(run(row, base_url, place / "run", like, seed), flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
