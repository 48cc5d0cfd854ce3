"""The ledger against a model: any order of moves, leases, crashes and reopenings leaves what the model says."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from tests.ledger_kit import NOON, Clock, draft, owner, reported, saved_picture
from wan_notebook.ledger import Ledger, LedgerConflict
from wan_notebook.states import FINAL, OPEN, JobState, may_follow

KERNELS = ("one", "two")


class LedgerMachine(RuleBasedStateMachine):
    """Two kernels on one file; the model is a dictionary a job."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.kernels = {name: self._open() for name in KERNELS}
        self.state: dict[str, JobState] = {}
        self.moves: dict[str, list[str]] = {}
        self.holder: dict[str, tuple[str, float]] = {}
        self.saved: dict[str, set[int]] = {}

    def _open(self) -> Ledger:
        return Ledger.open(self.folder / "ledger.db", wall_clock=self.clock)

    @rule(target=jobs, kernel=st.sampled_from(KERNELS))
    def create(self, kernel: str) -> str:
        """A kernel makes a job and holds it."""
        job_id = self.kernels[kernel].create_jobs([draft()], owner=owner(kernel))[0].id
        self.state[job_id] = JobState.INTENT
        self.moves[job_id] = ["intent"]
        self.holder[job_id] = (kernel, self.clock.now + 15)
        self.saved[job_id] = set()
        return job_id

    @rule(job=jobs, kernel=st.sampled_from(KERNELS), new=st.sampled_from(JobState), must_hold=st.booleans())
    def move(self, job: str, kernel: str, new: JobState, must_hold: bool) -> None:
        """A kernel moves a job, if it may."""
        old = self.state[job]
        columns = reported("0.01") if new is JobState.SUCCEEDED else {}
        moved = self.kernels[kernel].transition(job, new, holder=kernel if must_hold else "", **columns)
        holds = self.holder.get(job, ("", 0))[0] == kernel
        if may_follow(old, new) and old is not new and (holds or not must_hold):
            assert moved.result(10).state is new
            self.state[job] = new
            self.moves[job].append(new)
        else:
            error = moved.exception(10)
            assert isinstance(error, LedgerConflict)
            assert error.current is old

    @rule(job=jobs, kernel=st.sampled_from(KERNELS), idx=st.integers(0, 2), is_saved=st.booleans())
    def picture(self, job: str, kernel: str, idx: int, is_saved: bool) -> None:
        """A kernel learns of a picture, or has it on disk."""
        record = saved_picture(idx, saved_at=NOON if is_saved else None)
        self.kernels[kernel].save_picture(job, record).result(10)
        if is_saved:
            self.saved[job].add(idx)

    @rule(job=jobs, kernel=st.sampled_from(KERNELS))
    def lease(self, job: str, kernel: str) -> None:
        """A kernel asks for a job."""
        held = self.kernels[kernel].lease([job], owner(kernel)).result(10)
        holder, until = self.holder.get(job, ("", 0.0))
        free = not holder or holder == kernel or until < self.clock.now
        expected = free and self.state[job] not in FINAL
        assert (job in held) is expected
        if expected:
            self.holder[job] = (kernel, self.clock.now + 15)

    @rule(job=jobs, kernel=st.sampled_from(KERNELS))
    def release(self, job: str, kernel: str) -> None:
        """A kernel lets go of a job, if it is its own."""
        self.kernels[kernel].release([job], owner(kernel)).result(10)
        if self.holder.get(job, ("", 0))[0] == kernel:
            self.holder.pop(job)

    @rule(seconds=st.integers(1, 20))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.clock.now += seconds

    @rule(kernel=st.sampled_from(KERNELS))
    def restart(self, kernel: str) -> None:
        """A kernel ends and another one takes its name."""
        self.kernels[kernel].close()
        self.kernels[kernel] = self._open()

    @invariant()
    def both_kernels_see_the_model(self) -> None:
        """State, history, pictures, open jobs and money are what the model says, in both kernels."""
        for ledger in self.kernels.values():
            assert {row.id for row in ledger.open_jobs()} == {job for job, state in self.state.items() if state in OPEN}
            assert ledger.spend().jobs == len(self.state)
        ledger = self.kernels["one"]
        for job, state in self.state.items():
            row = ledger.get(job)
            assert row.state is state
            assert row.picture_count == len(self.saved[job])
            assert [event.state for event in ledger.events(job) if event.kind == "state"] == self.moves[job]

    def teardown(self) -> None:
        for ledger in self.kernels.values():
            ledger.close()
        shutil.rmtree(self.folder)


LedgerMachine.TestCase.settings = settings(max_examples=8, stateful_step_count=20, deadline=None)
TestLedgerMachine = LedgerMachine.TestCase
