"""The ledger against a model: any order of calls, transitions, and leases leaves what it says."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from tests.unit.database.kit import ACCOUNT, Clock, ledger, new, owner, reported
from wan_notebook.database import FINAL, NOT_SENT, OPEN, TRANSITIONS, Conflict, Status

KERNELS = st.sampled_from(["one", "two"])


class LedgerMachine(RuleBasedStateMachine):
    """Two kernels on one file; the model is what each job should be."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.kernels = {name: ledger(self.folder, self.clock) for name in ("one", "two")}
        self.seed: dict[str, int] = {}
        self.status: dict[str, Status] = {}
        self.holder: dict[str, tuple[str, float]] = {}

    def held_by(self, job: str) -> str:
        holder, until = self.holder.get(job, ("", 0.0))
        return holder if until >= self.clock.now else ""

    def hold(self, job: str, kernel: str) -> None:
        self.holder[job] = (kernel, self.clock.now + 15)

    @rule(target=jobs, kernel=KERNELS, seed=st.integers(0, 2))
    def ask(self, kernel: str, seed: int) -> str:
        """A kernel asks for a picture: what is open is joined, an abandoned intent taken over, else a job is made."""
        options = {"owner": owner(kernel), "simulated_ok": False, "replay": False}
        ((row, is_new),) = self.kernels[kernel].create_or_join([new(seed=seed)], **options)
        same = [job for job, status in self.status.items() if status in OPEN and self.seed[job] == seed]
        free = [job for job in same if self.status[job] is Status.INTENT and not self.held_by(job)]
        if same:
            assert row.id in same
            assert is_new is (row.id in free)
            assert not is_new or len(free) == len(same)
        else:
            assert is_new
            self.status[row.id], self.seed[row.id] = Status.INTENT, seed
        if is_new:
            self.hold(row.id, kernel)
        return row.id

    @rule(job=jobs, kernel=KERNELS, to=st.sampled_from(Status))
    def move(self, job: str, kernel: str, to: Status) -> None:
        """A kernel moves a job, if it may."""
        old = self.status[job]
        columns = reported("0.01") if to is Status.SUCCEEDED else {}
        may = to in TRANSITIONS[old] and old is not to
        try:
            row = self.kernels[kernel].transition(job, to, detail={NOT_SENT: "429"}, **columns)
        except Conflict:
            assert not may
        else:
            assert may
            assert row.status is to
            self.status[job] = to

    @rule(job=jobs, kernel=KERNELS, in_flight=st.integers(0, 2))
    def claim(self, job: str, kernel: str, in_flight: int) -> None:
        """A kernel wants to send a job: only an intent that nobody else holds, and only within the limit."""
        limits = {"account": ACCOUNT, "in_flight": in_flight, "submits_per_s": 0, "key_fingerprint": "k"}
        may = self.status[job] is Status.INTENT and self.held_by(job) in ("", kernel)
        try:
            claim = self.kernels[kernel].claim_to_send(job, owner(kernel), **limits)
        except Conflict:
            assert not may
            return
        assert may
        assert claim.row is None or not in_flight or claim.running <= in_flight
        if claim.row is not None:
            self.status[job] = Status.SENDING
            self.hold(job, kernel)

    @rule(job=jobs, kernel=KERNELS)
    def lease(self, job: str, kernel: str) -> None:
        """A kernel takes up a job."""
        expected = self.held_by(job) in ("", kernel) and self.status[job] not in FINAL
        assert (job in self.kernels[kernel].lease([job], owner(kernel))) is expected
        if expected:
            self.hold(job, kernel)

    @rule(job=consumes(jobs), kernel=KERNELS)
    def release(self, job: str, kernel: str) -> None:
        """A kernel lets go of a job, if it is its own."""
        self.kernels[kernel].release([job], owner(kernel))
        if self.holder.get(job, ("", 0))[0] == kernel:
            self.holder.pop(job)

    @rule(seconds=st.integers(1, 20))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.clock.now += seconds

    @rule()
    def look(self) -> None:
        """Status, history, open jobs and reserved pictures are what the model says."""
        is_open = {job for job, status in self.status.items() if status in OPEN}
        abandoned = {job for job in is_open if self.status[job] is Status.INTENT and not self.held_by(job)}
        for database in self.kernels.values():
            assert {row.id for row in database.open_jobs()} == is_open
            spend = database.spend()
            assert (spend.jobs, spend.pictures_reserved) == (len(self.status), len(is_open - abandoned))
        for job, row in self.kernels["one"].jobs(self.status).items():
            assert row.status == self.status[job]

    def teardown(self) -> None:
        """At the end all is as the model says."""
        self.look()
        for database in self.kernels.values():
            database.close()
        shutil.rmtree(self.folder)


LedgerMachine.TestCase.settings = settings(stateful_step_count=12)
TestLedgerMachine = pytest.mark.nightly(pytest.mark.timeout(600)(LedgerMachine.TestCase))  # the long profile takes it
