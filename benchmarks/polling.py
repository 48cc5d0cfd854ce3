"""Measure the polling policy on a double of the service: polls a task, delay of detection, refusals, ETA coverage.

`python benchmarks/polling.py` runs every row in virtual time, averaged over seeds; `--real` adds one run of the first
row in real time on an asyncio loop. The delay is the time from a task's end until its answer is back, waiting for one
of six connections and 50 ms of network included. The figures hold for the laws stated, not for the real service.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import math
import random
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from wan_notebook.schedule import ECONOMICAL, PROMPT, DurationModel, Durations, Pacer, PollQueue, PollSetting

CONNECTIONS = 6
NETWORK_S = 0.05
Law = Callable[[random.Random], float]


def usual(rng: random.Random) -> float:
    """Draw from the law that the aims are stated for: lognormal, median 12 s, sigma 0.4."""
    return 12.0 * math.exp(rng.gauss(0, 0.4))


def bimodal(rng: random.Random) -> float:
    """Draw from law B: 70 % around 8 s, 30 % around 30 s, sigma 0.25."""
    return (8.0 if rng.random() < 0.7 else 30.0) * math.exp(rng.gauss(0, 0.25))


def short(rng: random.Random) -> float:
    """Draw from a law twelve times as quick as the usual one."""
    return 1.0 * math.exp(rng.gauss(0, 0.4))


def instant(rng: random.Random) -> float:
    """Draw from the law of a simulator that answers at once."""
    return rng.uniform(0.0, 0.01)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: what is run, and what it must reach (None: shown only)."""

    name: str
    law: Law = usual
    jobs: int = 200
    past: int = 20
    limit_per_s: float = 0.0
    setting: PollSetting = PROMPT
    service_times: bool = True
    most_polls: float | None = None
    most_delay_s: float | None = None
    most_p95_s: float | None = None


ROWS = (
    Row(name="prompt, 20 past", most_polls=7.6, most_delay_s=0.75),
    Row(name="prompt, 20 past, no service times", service_times=False, most_polls=7.6, most_delay_s=0.75),
    Row(name="economical, 20 past", setting=ECONOMICAL, most_polls=3.3, most_delay_s=2.0),
    Row(name="cold start", past=0, most_polls=7.0, most_delay_s=1.5),
    Row(name="cold start, 1 job", past=0, jobs=1, most_polls=7.0, most_delay_s=1.5),
    Row(name="economical, cold start", past=0, setting=ECONOMICAL),
    Row(name="20/s enforced, 50 jobs", jobs=50, limit_per_s=20, most_p95_s=3.9),
    Row(name="20/s enforced, 200 jobs", limit_per_s=20),
    Row(name="20/s enforced, 200 jobs, cold", limit_per_s=20, past=0),
    Row(name="law B, 20 past", law=bimodal),
    Row(name="law B, 50 past", law=bimodal, past=50),
    Row(name="law B, cold start", law=bimodal, past=0),
    Row(name="median 1 s, cold start", law=short, past=0),
    Row(name="median 1 s, cold start, 1 job", law=short, past=0, jobs=1),
    Row(name="instant, cold start", law=instant, past=0),
    Row(name="instant, 20 past", law=instant),
)


@dataclass
class Service:
    """Keep tasks and their ends, count queries in a sliding second, refuse above the limit."""

    ends_s: dict[str, float]
    limit_per_s: float
    queries: int = 0
    refused: int = 0
    peak: int = 0
    _recent_s: deque[float] = field(default_factory=deque)

    def ask(self, task_id: str, now_s: float) -> bool | None:
        """Answer whether the task is finished; None is a 429."""
        while self._recent_s and self._recent_s[0] <= now_s - 1.0:
            self._recent_s.popleft()
        self._recent_s.append(now_s)
        self.queries += 1
        self.peak = max(self.peak, len(self._recent_s))
        if self.limit_per_s and len(self._recent_s) > self.limit_per_s:
            self.refused += 1
            return None
        return self.ends_s[task_id] <= now_s


@dataclass(frozen=True)
class Outcome:
    """What one run came to. Delays in seconds; the ETA counts are (held, asked), in all and in the slowest tenth."""

    polls: float
    delays_s: tuple[float, ...]
    refused: int
    peak: int
    lost: int
    eta: tuple[int, int]
    eta_tail: tuple[int, int]

    @property
    def delay_s(self) -> float:
        """Return the mean delay."""
        return statistics.fmean(self.delays_s)

    @property
    def p95_s(self) -> float:
        """Return the 95th percentile of the delay."""
        ordered = sorted(self.delays_s)
        return ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)) - 1)]


class Run:
    """One run of a row in virtual time: a queue, a pacer, six connections and a service."""

    def __init__(self, row: Row, seed: int) -> None:
        self.row = row
        self.rng = random.Random(seed)  # noqa: S311 - a simulation
        self.kind = Durations(row.law(self.rng) for _ in range(row.past))
        self.service = Service({str(i): row.law(self.rng) for i in range(row.jobs)}, row.limit_per_s)
        self.pacer = Pacer(queries_per_s=row.limit_per_s)
        self.queue = PollQueue(self.pacer, setting=row.setting)
        self.delays_s: list[float] = []
        self.events: list[tuple[float, int, str, str]] = []  # time, number, "arrive"/"answer"/"wake", task
        self.answers: dict[str, bool | None] = {}
        self.free = CONNECTIONS
        self.eta, self.eta_tail = [0, 0], [0, 0]
        self.next_eta_s = 0.0
        ends = sorted(self.service.ends_s.values())
        self.tail_from_s = ends[int(0.9 * len(ends))]

    def go(self) -> Outcome:
        """Run to the end in virtual time."""
        for task_id in self.service.ends_s:
            self.queue.add(task_id, self.kind, accepted_s=0.0)
        now_s = 0.0
        while len(self.queue):
            self._send(now_s)
            wait_s = self.queue.wait_s(now_s) if self.free else math.inf
            late_s = self.rng.expovariate(1 / 0.002)  # a timer of a busy loop is late
            event_s = self.events[0][0] if self.events else math.inf
            now_s = min(event_s, now_s + wait_s + late_s)
            self._check_etas(now_s)
            while self.events and self.events[0][0] <= now_s:
                self.happen(*heapq.heappop(self.events))
        return self.outcome()

    def outcome(self) -> Outcome:
        """Sum the run up."""
        service = self.service
        return Outcome(
            polls=service.queries / self.row.jobs,
            delays_s=tuple(self.delays_s),
            refused=service.refused,
            peak=service.peak,
            lost=self.row.jobs - len(self.delays_s),
            eta=(self.eta[0], self.eta[1]),
            eta_tail=(self.eta_tail[0], self.eta_tail[1]),
        )

    def _send(self, now_s: float) -> None:
        while self.free and (task_id := self.queue.take(now_s)) is not None:
            self.free -= 1
            answer_s = now_s + NETWORK_S * self.rng.uniform(0.6, 1.4)
            arrive_s = self.rng.uniform(now_s, answer_s)
            heapq.heappush(self.events, (arrive_s, self.service.queries, "arrive", task_id))
            heapq.heappush(self.events, (answer_s, self.service.queries, "answer", task_id))

    def happen(self, now_s: float, _number: int, what: str, task_id: str) -> None:
        """Let a query arrive at the service, or its answer at the client."""
        if what == "arrive":
            self.answers[task_id] = self.service.ask(task_id, now_s)
            return
        self.free += 1
        answer = self.answers.pop(task_id)
        end_s = self.service.ends_s[task_id]
        if answer is None:
            self.pacer.slow_down(now_s)
            self.pacer.pause(now_s, 0.5)
            self.queue.retry(task_id, now_s, 0.5)
        elif answer:
            self.delays_s.append(now_s - end_s)
            self.queue.finished(task_id, now_s, end_s if self.row.service_times else None)
        else:
            self.queue.running(task_id, now_s)

    def _check_etas(self, now_s: float) -> None:
        """Each second, as a card would, state the ETA of every running task and see whether it will hold."""
        while self.next_eta_s <= now_s:
            age_s, self.next_eta_s = self.next_eta_s, self.next_eta_s + 1.0
            eta = self.kind.model.eta(age_s)
            if eta is None:
                continue
            for end_s in self.service.ends_s.values():
                if end_s > age_s:
                    held = eta[0] <= end_s - age_s <= eta[1]
                    for count in (self.eta, self.eta_tail) if age_s >= self.tail_from_s else (self.eta,):
                        count[0] += held
                        count[1] += 1


def simulate(row: Row, seeds: range) -> list[Outcome]:
    """Run a row once a seed."""
    return [Run(row, seed).go() for seed in seeds]


def coverage(counts: list[tuple[int, int]]) -> float:
    """Return the share of ETAs that held, over all runs (not-a-number if none was asked)."""
    asked = sum(count[1] for count in counts)
    return sum(count[0] for count in counts) / asked if asked else math.nan


def worst(outcomes: list[Outcome]) -> tuple[float, float]:
    """Return the 90th percentiles over the runs of polls a task and of the mean delay."""
    last = max(0, math.ceil(0.9 * len(outcomes)) - 1)
    return sorted(o.polls for o in outcomes)[last], sorted(o.delay_s for o in outcomes)[last]


def lines(seeds: range) -> Iterator[str]:
    """Yield the table."""
    yield (
        f"{'':35}{'polls':>6}{'(p90)':>7}{'aim':>5}{'delay':>7}{'(p90)':>7}{'aim':>6}{'p95':>6}{'aim':>5}"
        f"{'peak/s':>7}{'429':>4}{'lost':>5}{'ETA':>6}{'tail':>6}"
    )
    for row in ROWS:
        runs = simulate(row, seeds)
        polls, delay_s = statistics.fmean(r.polls for r in runs), statistics.fmean(r.delay_s for r in runs)
        high = worst(runs)
        yield (
            f"{row.name:35}{polls:6.2f}{high[0]:7.2f}{row.most_polls or '':>5}{delay_s:7.2f}{high[1]:7.2f}"
            f"{row.most_delay_s or '':>6}{statistics.fmean(r.p95_s for r in runs):6.2f}{row.most_p95_s or '':>5}"
            f"{max(r.peak for r in runs):7}{sum(r.refused for r in runs):4}{sum(r.lost for r in runs):5}"
            f"{coverage([r.eta for r in runs]):6.0%}{coverage([r.eta_tail for r in runs]):6.0%}"
        )


async def real_run(row: Row, seed: int) -> Outcome:
    """Run a row in real time: the loop that an engine would have, with the network replaced by sleeps."""
    run = Run(row, seed)
    woken = asyncio.Event()
    under_way: set[asyncio.Task[None]] = set()
    start_s = time.monotonic()

    async def ask(task_id: str) -> None:
        await asyncio.sleep(NETWORK_S / 2)
        run.answers[task_id] = run.service.ask(task_id, time.monotonic() - start_s)
        await asyncio.sleep(NETWORK_S / 2)
        run.happen(time.monotonic() - start_s, 0, "answer", task_id)
        woken.set()

    for task_id in run.service.ends_s:
        run.queue.add(task_id, run.kind, accepted_s=0.0)
    while len(run.queue):
        woken.clear()
        while run.free and (due_id := run.queue.take(time.monotonic() - start_s)) is not None:
            run.free -= 1
            task = asyncio.create_task(ask(due_id))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        wait_s = run.queue.wait_s(time.monotonic() - start_s) if run.free else math.inf
        try:
            await asyncio.wait_for(woken.wait(), None if wait_s == math.inf else wait_s)
        except TimeoutError:
            continue
    return run.outcome()


def cost_lines() -> Iterator[str]:
    """Yield what the policy costs in CPU time."""
    rng = random.Random(1)  # noqa: S311 - a simulation
    past = [usual(rng) for _ in range(200)]
    start_s = time.process_time()
    for _ in range(20):
        model = DurationModel.fit(past, [5.0] * 200)
    yield f"fit to 200 durations: {(time.process_time() - start_s) / 20 * 1e3:.1f} ms"
    start_s = time.process_time()
    for i in range(10_000):
        model.waste_since(8.0, 8.0 + i / 1000)
    yield f"one look-up: {(time.process_time() - start_s) / 10_000 * 1e6:.1f} µs"


def main(seeds: int = 8, *, real: bool = False) -> None:
    """Print the table, each row averaged over so many seeds."""
    for line in (*lines(range(seeds)), *cost_lines()):
        sys.stdout.write(line + "\n")
    if real:
        outcome = asyncio.run(real_run(ROWS[0], 0))
        sys.stdout.write(
            f"in real time, {ROWS[0].name}: {outcome.polls:.2f} polls, {outcome.delay_s:.2f} s mean delay\n"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="measure the polling policy in virtual time")
    parser.add_argument("--seeds", type=int, default=20, help="runs averaged in each row")
    parser.add_argument("--real", action="store_true", help="add one run in real time (about 35 s)")
    options = parser.parse_args()
    main(options.seeds, real=options.real)
