"""When a seedless request is served from the store: the first time that a kernel meets it (DESIGN: Replay).

A notebook that is run again from the top must be free, loops and twin cells included, while a cell that a person runs
once more asks for a new picture. So takes are told apart by the run that made them: one execution of one cell.
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..ledger import JobRow

RUN_KEY = "run"
"""Where a job's ``versions`` say which session and execution made it: ``session:execution``."""


@dataclass(frozen=True)
class Place:
    """Where a request comes from, as far as the front end says. ``by_hand``: typed at a prompt, cell by cell."""

    notebook: str = ""
    cell_id: str = ""
    execution: str = ""
    by_hand: bool = False


@dataclass(frozen=True)
class Meeting:
    """One meeting of a kernel with a seedless request. ``index`` counts within the run that may be replayed."""

    place: Place
    run: str
    index: int
    in_kernel: int
    is_rerun: bool


@dataclass
class Meetings:
    """What this kernel has met so far."""

    session: str = field(default_factory=lambda: secrets.token_hex(6))
    _in_kernel: Counter[str] = field(default_factory=Counter)
    _in_cell: defaultdict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def run(self, place: Place) -> str:
        """Return the name of this execution."""
        return f"{self.session}:{place.execution}"

    def meet(self, fingerprint: str, place: Place) -> Meeting:
        """Count a meeting and describe it."""
        in_kernel = self._in_kernel[fingerprint]
        self._in_kernel[fingerprint] += 1
        if place.cell_id:
            earlier = self._in_cell[place.cell_id, fingerprint]
            index = earlier.count(place.execution)
            is_rerun = len(earlier) > index
            earlier.append(place.execution)
        else:
            index = 0 if place.by_hand else in_kernel
            is_rerun = place.by_hand and in_kernel > 0
        return Meeting(place, self.run(place), index, in_kernel, is_rerun)


def choose_take(takes: Sequence[JobRow], meeting: Meeting) -> JobRow | None:
    """Return the take to show, or None to ask anew. ``takes`` are complete answers, newest first."""
    if meeting.is_rerun:
        return None
    session = meeting.run.split(":", 1)[0]
    if not meeting.place.cell_id:
        before = [take for take in takes if _run(take).split(":", 1)[0] != session]
        if meeting.place.by_hand:
            return before[0] if before else None
        return _at(_same_session(before), meeting.index)
    others = [take for take in takes if _run(take) != meeting.run]
    own = [take for take in others if take.cell_id == meeting.place.cell_id]
    if own:
        return _at([take for take in own if _run(take) == _run(own[0])], meeting.index)
    if meeting.index:
        return None
    return _at(_same_session(others), meeting.in_kernel) or (others[0] if others else None)


def _run(take: JobRow) -> str:
    return str(take.versions.get(RUN_KEY, ""))


def _same_session(takes: Sequence[JobRow]) -> list[JobRow]:
    if not takes:
        return []
    newest = _run(takes[0]).split(":", 1)[0]
    return [take for take in takes if _run(take).split(":", 1)[0] == newest]


def _at(takes: Sequence[JobRow], index: int) -> JobRow | None:
    """Return the k-th take of a run in the order in which they were made."""
    return takes[len(takes) - 1 - index] if index < len(takes) else None
