"""What ``%load_ext`` says: which jobs are open here. It reads with the standard library alone and creates nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

from .folders import LEDGER_NAME, store_folder
from .ledger.peek import OpenSummary, peek_open


def open_jobs_line(cwd: Path) -> str:
    """Return one line about open jobs; empty if there are none."""
    summary = peek_open(store_folder(cwd, os.environ) / LEDGER_NAME)
    return summary_line(summary, time.time()) if summary else ""


def opens_jobs() -> bool:
    """Whether open jobs are taken up by themselves: never where nothing may be asked."""
    return os.environ.get("WAN_REPLAY", "").strip().lower() != "only"


def summary_line(summary: OpenSummary, now: float) -> str:
    """Word what is open: ``2 running, 1 finished and not fetched, gone in 3 h 10 min``."""
    if summary.problem:
        return f"wan: the ledger cannot be read: {summary.problem}"
    parts = [
        f"{count} {text}"
        for count, text in (
            (summary.unsent, "not sent"),
            (summary.sending, "being sent"),
            (summary.running, "running"),
            (summary.unfetched, "finished and not fetched"),
            (summary.in_doubt, "in doubt (`%wan history --state in_doubt`)"),
        )
        if count
    ]
    if summary.earliest_expiry is not None and (summary.running or summary.unfetched):
        left_s = summary.earliest_expiry - now
        hours, minutes = divmod(max(0, int(left_s // 60)), 60)
        parts.append(f"gone in {hours} h {minutes} min" if left_s > 0 else "their 24 hours are over")
    return f"wan: {', '.join(parts)}."
