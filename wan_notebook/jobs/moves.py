"""Transitions: committed to the ledger first, then told to whoever watches.

A disk that takes nothing must not lose what a service said: everything but the permission to send is written again
until it is on disk; meanwhile the job says so.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import fields, replace
from typing import Any, TypeVar

from .. import catalog
from ..errors import ServiceError, StoreError, WanError
from ..ledger import JobDetails, JobRow, Ledger, LedgerConflict, PictureRecord, with_hint
from ..runtime import from_thread
from ..states import JobState
from .live import LiveJob

T = TypeVar("T")
_DETAILS = frozenset(f.name for f in fields(JobDetails))
_LISTS = frozenset({"items", "notes", "pending_inputs"})
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 20.0
LAST_WAIT_S = 0.03
"""Between the attempts of a kernel that ends: it has half a second."""


def carry_details(
    old: JobRow, new: JobRow, columns: Mapping[str, Any] = {}, pictures: Sequence[PictureRecord] = ()
) -> JobRow:
    """Let a new row keep what the old one has read, with what was just written: a query less each time."""
    details = vars(old).get("details")
    if details is not None:
        changed = {
            name: tuple(value) if name in _LISTS else value for name, value in columns.items() if name in _DETAILS
        }
        if pictures:
            changed["pictures"] = _merged(details.pictures, pictures)
        vars(new)["details"] = replace(details, **changed) if changed else details
    return new


def _merged(old: Sequence[PictureRecord], new: Sequence[PictureRecord]) -> tuple[PictureRecord, ...]:
    """Return the pictures by their index; as in the ledger, one that is on disk is not forgotten for an address."""
    found = {record.idx: record for record in old}
    for record in new:
        before = found.get(record.idx)
        if before is None or before.saved_at is None or record.saved_at is not None:
            found[record.idx] = record
    return tuple(found[idx] for idx in sorted(found))


class Moves:
    """The one way in which a job changes its state in this kernel."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.ledger = ledger
        self.wall_clock = wall_clock
        self._sleep = sleep
        self._ends = asyncio.Event()

    def hurry(self) -> None:
        """The kernel ends: try again at once what waits for room on the disk. On the loop."""
        self._ends.set()

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
        """Commit a transition, then tell. Raises ``LedgerConflict`` if another kernel was first.

        What is only about to happen (``sending``) is not repeated: it raises ``StoreError``, and nothing is sent.
        """

        def write() -> Future[JobRow]:
            return self.ledger.transition(
                live.id, state, detail=detail or {}, expect=expect or (), pictures=pictures, **columns
            )

        if state is JobState.SENDING:
            row = await from_thread(write())
        else:
            row = await self._until_written(live, write, state)
        live.note = live.stopped = ""
        live.changed(carry_details(live.row, row, columns, pictures))

    async def picture(self, live: LiveJob, record: PictureRecord) -> None:
        """Commit what is known of a picture, then tell."""
        await self._until_written(live, lambda: self.ledger.save_picture(live.id, record))
        live.changed(carry_details(live.row, replace(live.row), pictures=(record,)))

    async def remember(self, live: LiveJob, kind: str, detail: Mapping[str, Any]) -> None:
        """Append to a job's history what moves nothing."""
        await self._until_written(live, lambda: self.ledger.add_event(live.id, kind, detail))

    async def _until_written(self, live: LiveJob, write: Callable[[], Future[T]], state: JobState | None = None) -> Any:
        wait_s = 0.0
        while True:
            try:
                return await from_thread(write())
            except LedgerConflict as conflict:
                if not wait_s or conflict.current is not state:
                    raise
                # The attempt before did reach the disk, although the disk said otherwise.
                return await asyncio.get_running_loop().run_in_executor(None, self.ledger.get, live.id)
            except StoreError as error:
                if not isinstance(error.__cause__, sqlite3.Error | OSError):
                    raise
                wait_s = min(max(FIRST_WAIT_S, 2 * wait_s), LONGEST_WAIT_S)
                task = f" (task {live.unwritten_task})" if live.unwritten_task else ""
                kept = f"What the service said{task} is kept in memory, and written as soon as it can be"
                live.note = f"{error.message} {kept}"
                live.changed()
                await self._before_next(wait_s)

    async def _before_next(self, wait_s: float) -> None:
        """Wait before the next attempt; not for long once the kernel ends."""
        if self._ends.is_set():
            await self._sleep(LAST_WAIT_S)
            return
        waits = [asyncio.ensure_future(self._sleep(wait_s)), asyncio.ensure_future(self._ends.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def fail(self, live: LiveJob, state: JobState, error: BaseException, reason: str, **more: Any) -> None:
        """Commit an ending with its error: the service's own code and words where there are any.

        ``more`` goes into the event.
        """
        code = error.code if isinstance(error, ServiceError) else ""
        message = error.message if isinstance(error, WanError) else f"{type(error).__name__}: {error}"
        said = error.service_message if isinstance(error, ServiceError) else message
        request_id = error.request_id if isinstance(error, ServiceError) else ""
        status = error.http_status if isinstance(error, ServiceError) else None
        named = f"HTTP {status}" if status else ""
        if code and named:
            said = f"{said.rstrip('.')} ({named})"
        hint = error.hint if isinstance(error, WanError) else ""
        detail = {"reason": reason, "error": message, "http_status": status, **more}
        columns: dict[str, Any] = {"error_code": code or named, "error_message": with_hint(said, hint)}
        if request_id:
            columns["request_id"] = request_id
        await self.to(live, state, detail=detail, finished_at=self.wall_clock(), **columns)

    def expires_at(self, live: LiveJob) -> float:
        """Return until when the service keeps the result, counted from the submit (WAN_API §4)."""
        return (live.row.sending_at or self.wall_clock()) + catalog.RESULT_LIFETIME_S
