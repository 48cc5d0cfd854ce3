"""Transitions: committed to the ledger first, then told to whoever watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from .. import catalog
from ..errors import ServiceError, WanError
from ..ledger import JobDetails, JobRow, Ledger, PictureRecord
from ..states import JobState
from .live import LiveJob

_DETAILS = frozenset(f.name for f in fields(JobDetails))


def carry_details(old: JobRow, new: JobRow) -> None:
    """Let a new row keep what the old one has read, where a transition did not touch it: a query less each time."""
    if "details" in vars(old):
        vars(new)["details"] = old.details


class Moves:
    """The one way in which a job changes its state in this kernel."""

    def __init__(self, ledger: Ledger, *, wall_clock: Callable[[], float] = time.time) -> None:
        self.ledger = ledger
        self.wall_clock = wall_clock

    async def to(
        self,
        live: LiveJob,
        state: JobState,
        *,
        detail: Mapping[str, Any] | None = None,
        expect: JobState | None = None,
        pictures: Sequence[PictureRecord] = (),
        **columns: Any,
    ) -> None:
        """Commit a transition, then tell. Raises ``LedgerConflict`` if another kernel was first."""
        move = self.ledger.transition(
            live.id, state, detail=detail or {}, expect=expect or (), pictures=pictures, **columns
        )
        row: JobRow = await asyncio.wrap_future(move)
        if not (pictures or _DETAILS.intersection(columns)):
            carry_details(live.row, row)
        live.note = ""
        live.changed(row)

    async def update(self, live: LiveJob, **columns: Any) -> None:
        """Commit a change that is no transition, then tell."""
        row: JobRow = await asyncio.wrap_future(self.ledger.update(live.id, **columns))
        live.changed(row)

    async def fail(self, live: LiveJob, state: JobState, error: BaseException, reason: str) -> None:
        """Commit an ending with its error: the service's own code and words where there are any."""
        code = error.code if isinstance(error, ServiceError) else ""
        message = error.message if isinstance(error, WanError) else f"{type(error).__name__}: {error}"
        said = error.service_message if isinstance(error, ServiceError) else message
        request_id = error.request_id if isinstance(error, ServiceError) else ""
        status = error.http_status if isinstance(error, ServiceError) else None
        detail = {"reason": reason, "error": message, "http_status": status}
        columns: dict[str, Any] = {"error_code": code or (f"HTTP {status}" if status else ""), "error_message": said}
        if request_id:
            columns["request_id"] = request_id
        await self.to(live, state, detail=detail, finished_at=self.wall_clock(), **columns)

    def expires_at(self, live: LiveJob) -> float:
        """Return until when the service keeps the result, counted from the submit (WAN_API §4)."""
        return (live.row.sending_at or self.wall_clock()) + catalog.RESULT_LIFETIME_S
