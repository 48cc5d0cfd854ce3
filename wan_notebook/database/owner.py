"""Which process works on a job, and whether it still lives. A recycled process id does not count as alive."""

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

SAME_START_S: Final = 0.5  # far above the rounding of one clock


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process that works on jobs. ``token`` is unique to this run of it; ``started`` is in seconds since boot."""

    host: str
    pid: int
    started: float
    token: str

    @classmethod
    def this_process(cls) -> Self:
        """Return an owner for this process, with a token of its own."""
        started = _process_start(os.getpid()) or 0.0
        return cls(host=socket.gethostname(), pid=os.getpid(), started=started, token=secrets.token_hex(8))

    def is_here(self) -> bool:
        """Say whether it runs, or ran, on this host, so that it can be told whether it lives."""
        return self.host == socket.gethostname()

    def is_dead(self) -> bool:
        """Say whether this owner certainly lives no more: it ran on this host, and its pid is gone or reused."""
        if not self.is_here():
            return False
        started = _process_start(self.pid)
        is_reused = min(started or 0.0, self.started) > 0 and abs((started or 0.0) - self.started) > SAME_START_S
        return started is None or is_reused


def _process_start(pid: int) -> float | None:
    """Return when a process started, in seconds since boot; None if there is none, 0.0 if that cannot be told.

    Not in Unix seconds: after a correction of the wall clock every owner would seem to have another start, thus dead.
    """
    try:
        if Path("/proc/stat").exists():
            stat = Path(f"/proc/{pid}/stat").read_text()
            return float(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        if os.name != "nt":  # where signal 0 would end the process
            os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except (OSError, ValueError, IndexError):
        pass
    return 0.0
