"""The end of the program: what is not sent yet gets the rest of half a second, and a script is told what goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from ..jobs import LiveJob
from ..states import JobState
from .home import Home

GRACE_S: Final = 0.5
"""All that a shutdown may take."""
CLOSING_S: Final = 0.14
"""What closing connections and files needs of it."""
LOOK_S: Final = 0.003
SHOWN: Final = 5
UNSENT: Final = frozenset({JobState.INTENT, JobState.SENDING})


def wait_for_submits(homes: Sequence[Home], until_s: float) -> None:
    """Let jobs that are about to be sent go out and their ids reach the disk; ``until_s`` is of the monotonic clock."""
    waiting = [live for home in homes for live in home.engine.unsent()]
    while waiting and time.monotonic() < until_s:
        time.sleep(LOOK_S)
        waiting = [live for live in waiting if not live.ends_waiting and live.state in UNSENT]


def goodbye(lives: Iterable[LiveJob], on_the_way: Collection[str] = ()) -> str:
    """Return one line about what is not over; empty if nothing is. ``on_the_way`` had no answer when it was cut."""
    left = [live for live in lives if not live.is_settled]
    unwritten = [live for live in left if live.unwritten_task]
    doubtful = [
        live for live in left if live.state is JobState.SENDING and live.id in on_the_way and live not in unwritten
    ]
    unsent = [live for live in left if live.state in UNSENT and live not in doubtful and live not in unwritten]
    going = [live for live in left if live.state not in UNSENT and live not in unwritten]
    parts = []
    if going:
        goes = "1 job goes" if len(going) == 1 else f"{len(going)} jobs go"
        it = "it" if len(going) == 1 else "them"
        parts.append(f"{goes} on at the service ({_ids(going)}); `python -m wan_notebook fetch` collects {it}")
    if unsent:
        were = "1 job was" if len(unsent) == 1 else f"{len(unsent)} jobs were"
        parts.append(f"{were} never sent ({_ids(unsent)}): the program ended first, nothing was paid")
    if doubtful:
        were = "1 job was" if len(doubtful) == 1 else f"{len(doubtful)} jobs were"
        parts.append(f"{were} being sent ({_ids(doubtful)}); `python -m wan_notebook fetch` says what is known")
    parts += [  # each of them: nothing else knows these ids any more
        f"the task of job {live.id} could not be written to disk; once there is room `python -m wan_notebook fetch`, "
        f"then `python -m wan_notebook resolve {live.id} adopt {live.unwritten_task}`"
        for live in unwritten
    ]
    return f"wan_notebook: {'; '.join(parts)}. End the script with job.result() to have its pictures." if parts else ""


def is_script() -> bool:
    """Whether no IPython shell runs here. IPython is not imported for asking."""
    ipython = sys.modules.get("IPython")
    return ipython is None or ipython.get_ipython() is None


def _ids(lives: Sequence[LiveJob]) -> str:
    return ", ".join(live.id for live in lives[:SHOWN]) + (", …" if len(lives) > SHOWN else "")


__all__ = ["CLOSING_S", "GRACE_S", "goodbye", "is_script", "wait_for_submits"]
