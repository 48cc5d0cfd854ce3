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

MEETING_KEY = "meeting"
"""Where they say which meeting of that cell (of that kernel, where nobody names cells) it answers, from 0."""

_DIGITS = 4


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
    """Return the take to show, or None to ask anew. ``takes`` are complete answers, newest first.

    The k-th meeting shows the newest take of a k-th meeting, whichever run made it: a loop that was made longer, or a
    twin cell that came later, shows all of its pictures again.
    """
    if meeting.is_rerun:
        return None
    place = meeting.place
    if not place.cell_id:
        before = [take for take in takes if _session(take) != _session_of(meeting.run)]
        if place.by_hand:
            return before[0] if before else None
        return _at(_in_order(before), meeting.index)
    others = [take for take in takes if _run(take) != meeting.run]
    if any(take.cell_id == place.cell_id for take in others):
        return _newest_of_each(others).get((place.cell_id, meeting.index))
    if meeting.index:
        return None
    return _at(_in_order(others), meeting.in_kernel) or (others[0] if others else None)


def _run(take: JobRow) -> str:
    return str(take.versions.get(RUN_KEY, ""))


def _session(take: JobRow) -> str:
    return _session_of(_run(take))


def _session_of(run: str) -> str:
    return run.split(":", 1)[0]


def _newest_of_each(takes: Sequence[JobRow]) -> dict[tuple[str, int], JobRow]:
    """Return the newest take of each cell and meeting; where nobody names cells, a kernel's meetings count through."""
    newest: dict[tuple[str, int], JobRow] = {}
    in_run: Counter[str] = Counter()
    found = []
    for take in reversed(takes):
        run = _run(take) if take.cell_id else _session(take)
        noted = str(take.versions.get(MEETING_KEY, ""))  # perhaps of somebody else's ledger
        index = int(noted) if noted.isdecimal() and len(noted) <= _DIGITS else in_run[run]
        found.append(((take.cell_id, index), take))
        in_run[run] += 1
    for slot, take in reversed(found):
        newest.setdefault(slot, take)
    return newest


def _in_order(takes: Sequence[JobRow]) -> list[JobRow]:
    """Return what a kernel that names no cells shows, meeting by meeting: what the newest session left, then the rest.

    A cell that was run again has only its newest run, in the place of its first.
    """
    newest = _newest_of_each(takes)
    since = next((number for number, take in enumerate(takes) if take.cell_id), len(takes))
    recent = {take.id for take in takes[:since]}  # made since anybody last named a cell: their meetings count
    placed = {index: take for (_, index), take in newest.items() if take.id in recent}
    rank = {session: number for number, session in enumerate(dict.fromkeys(_session(take) for take in takes))}
    latest: dict[str, int] = {}  # cells that made something lately come first, in the order of their first takes
    first: dict[str, int] = {}
    for number, take in enumerate(takes):
        latest.setdefault(take.cell_id, rank[_session(take)])
        first[take.cell_id] = number
    rest = sorted(
        (slot for slot, take in newest.items() if take.id not in recent),
        key=lambda slot: (latest[slot[0]], -first[slot[0]], slot[1]),
    )
    waiting = iter([newest[slot] for slot in rest])
    count = max([len(newest), *(index + 1 for index in placed)])
    shown = (placed.get(index) or next(waiting, None) for index in range(count))
    return [take for take in shown if take is not None]


def _at(takes: Sequence[JobRow], index: int) -> JobRow | None:
    return takes[index] if index < len(takes) else None
