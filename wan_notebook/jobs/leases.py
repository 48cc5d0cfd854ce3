"""Who works on a job: one kernel at a time, by a lease in the ledger. A dead local owner is replaced at once."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path

from ..errors import WanError
from ..ledger import JobRow, Ledger, Owner

log = logging.getLogger(__name__)
RENEW_EVERY_S = 5.0
SAME_START_S = 0.5  # far above the rounding of one clock


class Leases:
    """The identity of this kernel and the leases that it holds."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._wall_clock = wall_clock
        self._sleep = sleep
        self.owner = Owner(
            host=socket.gethostname(),
            pid=os.getpid(),
            started=process_start(os.getpid()) or 0.0,
            token=secrets.token_hex(8),
        )
        self._task: asyncio.Task[None] | None = None

    async def claim(self, rows: Sequence[JobRow]) -> dict[str, JobRow]:
        """Take the jobs that nobody living holds; return their rows as they are now."""
        if not rows:
            return {}
        dead = {row.owner.token for row in rows if row.owner is not None and self.is_dead(row.owner)}
        held = await asyncio.wrap_future(self._ledger.lease([row.id for row in rows], self.owner, replacing=dead))
        return await asyncio.get_running_loop().run_in_executor(None, self._ledger.jobs, held)

    def is_dead(self, owner: Owner) -> bool:
        """Whether an owner on this machine certainly lives no more."""
        if owner.host != self.owner.host or owner.pid == self.owner.pid:
            return False
        started = process_start(owner.pid)
        return started is None or (owner.started > 0 and abs(started - owner.started) > SAME_START_S)

    def may_claim(self, row: JobRow) -> bool:
        """Whether a job seems to be nobody's; ``claim`` then decides inside the ledger."""
        owner = row.owner
        is_over = row.lease_until is None or row.lease_until < self._wall_clock()
        return owner is None or is_over or owner.token == self.owner.token or self.is_dead(owner)

    def keep(
        self,
        owned: Callable[[], list[str]],
        lost: Callable[[Collection[str]], None],
        beat: Callable[[], Awaitable[None]],
    ) -> None:
        """Renew the leases of what is owned, as long as anything is; tell of those that others took. On the loop.

        ``beat`` is called along with each renewal.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._renew(owned, lost, beat), name="wan-leases")

    def release(self, job_ids: Sequence[str]) -> None:
        """Let go, so that another kernel need not wait for the lease to run out."""
        if job_ids:
            self._ledger.release(job_ids, self.owner)

    async def _renew(
        self,
        owned: Callable[[], list[str]],
        lost: Callable[[Collection[str]], None],
        beat: Callable[[], Awaitable[None]],
    ) -> None:
        while job_ids := owned():
            try:
                await beat()
                await self._sleep(RENEW_EVERY_S)
                if job_ids := owned():
                    held = await asyncio.wrap_future(self._ledger.renew(job_ids, self.owner))
                    lost(set(job_ids) - held)
            except WanError as error:  # a full disk must not end the renewing
                log.warning("leases could not be renewed: %s", error)
                await self._sleep(1.0)


def process_start(pid: int) -> float | None:
    """Return when a process of this machine started, in seconds since boot; None if there is none, 0.0 if unknown.

    Not in Unix seconds: the kernel's moment of boot moves with the wall clock, so that after a correction of it every
    living owner would seem to have begun at another time, and thus be dead.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        return float(stat.read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    except FileNotFoundError:
        if Path("/proc/stat").exists():
            return None
    except (OSError, ValueError, IndexError):
        return 0.0
    return 0.0 if _is_alive(pid) else None


def _is_alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # signal 0 would end it there; the lease's time decides instead
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
