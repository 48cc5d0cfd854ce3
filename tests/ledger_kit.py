"""What the ledger's tests share: drafts, a clock that is set by hand, and a way through a job's states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from wan_notebook.ledger import InputRecord, JobDraft, JobRow, Ledger, Owner, PictureRecord
from wan_notebook.states import JobState

NOON = 1_795_608_000.0  # 2026-11-25 12:00 UTC

WAY = (JobState.SENDING, JobState.ACCEPTED, JobState.RUNNING, JobState.SUCCEEDED, JobState.SAVED)


class Clock:
    """Wall time that only a test moves."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


DRAFT = JobDraft(
    provider="gateway",
    base_url="https://example.test",
    model="wan26_image",
    mode="edit",
    prompt="a fox in snow",
    negative_prompt="dogs",
    parameters={"n": 2, "seed": 5},
    request={"prompt": "a fox in snow"},
    fp_asked="wan1:sha256:asked",
    fp_sent="wan1:sha256:sent",
    n=2,
    seed=5,
    size_tier="1K",
    reserved_amount=Decimal("0.06"),
    reserved_currency="USD",
)


def draft(**changes: Any) -> JobDraft:
    """Return a usual draft with changes."""
    return replace(DRAFT, **changes)


def reported(amount: str, currency: str = "USD") -> dict[str, Any]:
    """Return the columns of a cost as a service reports it."""
    return {"cost_amount": Decimal(amount), "cost_currency": currency, "cost_source": "reported"}


def an_input(position: int = 0, file: str = "inputs/abc.png", **changes: Any) -> InputRecord:
    """Return an input picture's record."""
    record = InputRecord(
        position=position,
        name="photo",
        identity="bytes:sha256:1",
        sha256="1" * 64,
        file=file,
        width_px=640,
        height_px=480,
        mime="image/png",
    )
    return replace(record, **changes)


def saved_picture(idx: int = 0, file: str = "2026-11-25/1200-a-fox-1.png", **changes: Any) -> PictureRecord:
    """Return the record of a picture that is on disk."""
    record = PictureRecord(idx=idx, sha256="2" * 64, file=file, file_sha256="3" * 64, saved_at=NOON, mime="image/png")
    return replace(record, **changes)


def owner(token: str) -> Owner:
    """Return a kernel."""
    return Owner(host="here", pid=4242, started=1.0, token=token)


def create(ledger: Ledger, **changes: Any) -> str:
    """Create one job."""
    return ledger.create_jobs([draft(**changes)])[0].id


def move(ledger: Ledger, job_id: str, *states: JobState, **columns: Any) -> JobRow:
    """Move a job through states; the columns go with the last one."""
    row = ledger.get(job_id)
    for state in states:
        row = ledger.transition(job_id, state, **(columns if state is states[-1] else {})).result(10)
    return row


def finish(ledger: Ledger, *, pictures: int = 1, cost: dict[str, Any] | None = None, **changes: Any) -> str:
    """Create a job and bring it to ``saved`` with its pictures on disk."""
    job_id = create(ledger, **changes)
    move(ledger, job_id, *WAY[:4], **(cost or {}))
    for idx in range(pictures):
        ledger.save_picture(job_id, saved_picture(idx, file=f"2026-11-25/{job_id}-{idx}.png")).result(10)
    move(ledger, job_id, JobState.SAVED)
    return job_id


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[Ledger]:
    """Open a ledger and close it."""
    with Ledger.open(path, **options) as ledger:
        yield ledger
