"""Replay: which jobs a request needs, and which it already has. Only lookups: nothing is created here.

A request with a seed that was answered before shows its newest result. One without a seed does so the first time that
a kernel meets it: a notebook that is run again from the top is free, loops and twin cells included, while a cell that
a person runs once more asks for a new picture. So results are told apart by the run that made them: one execution of
one cell.
"""

import random
import secrets
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from .database import OPEN, Status
from .errors import ReplayError, WanError
from .images import InputImage
from .request import ImageRequest
from .text import one_line
from .validation import record_of

if TYPE_CHECKING:
    from .database import Database, JobRow

Replay = Literal["on", "only", "off"]

RUN_KEY: Final = "run"
"""Key in a row's ``versions``: the session and execution that made it, ``session:execution``."""

OCCURRENCE_KEY: Final = "meeting"
"""Key in a row's ``versions``: which occurrence in its cell (or kernel, without cell ids) it answers, from 0."""

_DIGITS_MAX: Final = 4


@dataclass(frozen=True)
class CellId:
    """The notebook, cell and execution that a request comes from, as far as the front end says.

    ``is_interactive``: typed at a prompt, one input at a time.
    """

    notebook: str = ""
    cell_id: str = ""
    execution: str = ""
    is_interactive: bool = False


@dataclass(frozen=True)
class Submission:
    """What a cell, ``generate`` or the panel wants: validated requests, and how they are to be treated.

    ``replacing`` are jobs in doubt that a person gives up for these. ``former`` are the requests that the first
    edition read in the same cell, if they differ; ``refusal`` is why the cell is refused today (``requests`` is then
    empty), unless the store answers ``former``.
    """

    requests: tuple[ImageRequest, ...]
    name: str = ""
    tags: tuple[str, ...] = ()
    fresh: bool = False
    provider: str | None = None
    embed: bool | None = None
    notes: tuple[str, ...] = ()
    replacing: tuple[str, ...] = ()
    cell: CellId = field(default_factory=CellId)
    former: tuple[ImageRequest, ...] = ()
    refusal: WanError | None = None


# Occurrences of seedless requests ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Occurrence:
    """One occurrence of a seedless request in this kernel. ``index`` counts within the run that may be replayed."""

    cell: CellId
    run: str
    index: int
    in_kernel: int
    is_rerun: bool


@dataclass
class Occurrences:
    """The seedless requests that this kernel has met so far, by request hash."""

    session: str = field(default_factory=lambda: secrets.token_hex(6))
    _in_kernel: Counter[str] = field(default_factory=Counter)
    _in_cell: defaultdict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def run(self, cell: CellId) -> str:
        """Return the name of this execution."""
        return f"{self.session}:{cell.execution}"

    def next(self, request_hash: str, cell: CellId, *, ahead: int = 0) -> Occurrence:
        """Describe the next occurrence, after ``ahead`` more of the same cell, without counting it."""
        in_kernel = self._in_kernel[request_hash] + ahead
        if cell.cell_id:
            earlier = [*self._in_cell.get((cell.cell_id, request_hash), ()), *[cell.execution] * ahead]
            index = earlier.count(cell.execution)
            is_rerun = len(earlier) > index
        else:
            index = 0 if cell.is_interactive else in_kernel
            is_rerun = cell.is_interactive and in_kernel > 0
        return Occurrence(cell, self.run(cell), index, in_kernel, is_rerun)

    def count(self, request_hash: str, cell: CellId) -> None:
        """Count one occurrence."""
        self._in_kernel[request_hash] += 1
        if cell.cell_id:
            self._in_cell[cell.cell_id, request_hash].append(cell.execution)


def choose_result(results: Sequence["JobRow"], occurrence: Occurrence) -> "JobRow | None":
    """Return the result to show, or None to ask anew. ``results`` are complete, newest first.

    The k-th occurrence shows the newest result of a k-th occurrence, whichever run made it: a loop that was made
    longer, or a twin cell that came later, shows all of its pictures again.
    """
    if occurrence.is_rerun:
        return None
    cell = occurrence.cell
    if not cell.cell_id:
        before = [row for row in results if _session_of(row) != occurrence.run.split(":", 1)[0]]
        if cell.is_interactive:
            return before[0] if before else None
        return _at(_in_order(before), occurrence.index)
    others = [row for row in results if _run_of(row) != occurrence.run]
    if any(row.cell_id == cell.cell_id for row in others):
        return _newest_of_each(others).get((cell.cell_id, occurrence.index))
    if occurrence.index:
        return None
    return _at(_in_order(others), occurrence.in_kernel) or (others[0] if others else None)


def _run_of(row: "JobRow") -> str:
    return str(row.versions.get(RUN_KEY, ""))


def _session_of(row: "JobRow") -> str:
    return _run_of(row).split(":", 1)[0]


def _newest_of_each(results: Sequence["JobRow"]) -> dict[tuple[str, int], "JobRow"]:
    """Return the newest result of each cell and occurrence; without cell ids a kernel's occurrences count through."""
    in_run: Counter[str] = Counter()
    found = []
    for row in reversed(results):
        run = _run_of(row) if row.cell_id else _session_of(row)
        noted = str(row.versions.get(OCCURRENCE_KEY, ""))  # perhaps of somebody else's ledger
        index = int(noted) if noted.isdecimal() and len(noted) <= _DIGITS_MAX else in_run[run]
        found.append(((row.cell_id, index), row))
        in_run[run] += 1
    newest: dict[tuple[str, int], JobRow] = {}
    for slot, row in reversed(found):
        newest.setdefault(slot, row)
    return newest


def _in_order(results: Sequence["JobRow"]) -> list["JobRow"]:
    """Return what a kernel without cell ids shows, by occurrence: what the newest session left, then the rest.

    A cell that was run again has only its newest run, in the position of its first.
    """
    newest = _newest_of_each(results)
    since = next((number for number, row in enumerate(results) if row.cell_id), len(results))
    recent = {row.id for row in results[:since]}  # made since the last result with a cell id: their occurrences count
    placed = {index: row for (_, index), row in newest.items() if row.id in recent}
    rank = {session: number for number, session in enumerate(dict.fromkeys(_session_of(row) for row in results))}
    latest: dict[str, int] = {}  # cells that made something lately come first, in the order of their first results
    first: dict[str, int] = {}
    for number, row in enumerate(results):
        latest.setdefault(row.cell_id, rank[_session_of(row)])
        first[row.cell_id] = number
    rest = sorted(
        (slot for slot, row in newest.items() if row.id not in recent),
        key=lambda slot: (latest[slot[0]], -first[slot[0]], slot[1]),
    )
    waiting = iter([newest[slot] for slot in rest])
    count = max([len(newest), *(index + 1 for index in placed)])
    shown = (placed.get(index) or next(waiting, None) for index in range(count))
    return [row for row in shown if row is not None]


def _at(results: Sequence["JobRow"], index: int) -> "JobRow | None":
    return results[index] if index < len(results) else None


# What a call needs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PlannedJob:
    """One task of the service: its request with a concrete seed, and the job that answers it, if there is one.

    ``request_hash`` is that of the request as asked: without the seed on the first task of a seedless request.
    ``position`` counts the tasks of one request.
    """

    request: ImageRequest
    request_hash: str
    request_hash_with_seed: str
    position: int = 0
    occurrence: int = 0
    result: "JobRow | None" = None

    @property
    def is_open(self) -> bool:
        """Whether its answer is on its way rather than complete."""
        return self.result is not None and self.result.status in OPEN

    @property
    def is_replay(self) -> bool:
        """Whether the store answers it."""
        return self.result is not None and not self.is_open

    @property
    def is_seedless(self) -> bool:
        """Whether it stands for a request without a seed."""
        return self.request_hash != self.request_hash_with_seed


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Looks up the answers to the requests of one call. ``now`` (Unix seconds) tells which leases are alive."""

    database: "Database | None"
    occurrences: Occurrences
    cell: CellId
    replay: Replay
    fresh: bool
    simulated_ok: bool
    rng: random.Random
    now: float

    def jobs(self, requests: Sequence[ImageRequest]) -> tuple[PlannedJob, ...]:
        """Return the jobs of several requests, each with its answer if there is one."""
        found: list[PlannedJob] = []
        met: Counter[str] = Counter()
        for request in requests:
            if request.seed is not None:
                found += self._by_seeds(request, request.seed)
                continue
            request_hash = request.request_hash(with_seed=False)
            found += self._seedless(request, request_hash, ahead=met[request_hash])
            met[request_hash] += 1
        return tuple(found)

    def _seedless(self, request: ImageRequest, request_hash: str, *, ahead: int) -> list[PlannedJob]:
        occurrence = self.occurrences.next(request_hash, self.cell, ahead=ahead)
        rows = list(reversed(self.database.results(request_hash))) if self.database and not self.fresh else []
        rows = [row for row in rows if self._may_answer(row)]
        complete = [row for row in rows if row.status is Status.SAVED and self.replay != "off"]
        chosen = choose_result(complete, occurrence)
        if chosen is None and complete and self.replay == "only":
            chosen = complete[0]  # a store that only replays shows what it has, however often a cell is run
        running = self._running(request, rows) if chosen is None else None
        if running is not None:  # its tasks are known by their seeds, whichever of them are done
            return self._by_seeds(request, running.seed or 0)
        if chosen is not None:
            first, *others = self._by_seeds(request, chosen.seed or 0)
            first = replace(first, result=chosen)
        else:
            seed = self.rng.randint(0, record_of(request.model).seed_max - request.n)
            first, *others = self._by_seeds(request, seed, is_drawn=True)
        # Only the first of several tasks stands for the request; the others go by their seeds.
        jobs = [replace(first, request_hash=request_hash), *others]
        return [replace(job, occurrence=occurrence.index) for job in jobs]

    def _by_seeds(self, request: ImageRequest, seed: int, *, is_drawn: bool = False) -> list[PlannedJob]:
        """Return the tasks of a request by their seeds, each with its answer; seeds that were just drawn have none."""
        found = []
        for position, task in enumerate(request.split(seed)):
            with_seed, row, complete = task.request_hash(with_seed=True), None, []
            if self.database is not None and not self.fresh and not is_drawn:
                rows = [row for row in self.database.results(with_seed, with_seed=True) if self._may_answer(row)]
                if self.replay != "off":
                    complete = [row for row in reversed(rows) if row.is_complete]
                running = [row for row in reversed(rows) if self._is_running(row)]
                ours = [row for row in complete if row.cell_id and row.cell_id == self.cell.cell_id]
                row = next(iter([*ours, *complete, *running]), None)
            found.append(
                PlannedJob(
                    request=task,
                    request_hash=with_seed,
                    request_hash_with_seed=with_seed,
                    position=position,
                    result=row,
                )
            )
        return found

    def _may_answer(self, row: "JobRow") -> bool:
        return self.simulated_ok or not row.is_simulated

    def _running(self, request: ImageRequest, rows: Sequence["JobRow"]) -> "JobRow | None":
        """Return the first job of the newest call of which any task is still open."""
        if self.database is None or not rows:
            return None
        open_rows = [row for row in self.database.open_jobs() if self._is_running(row)]
        ids = {row.id for row in open_rows}
        groups = {row.group_id for row in open_rows if row.group_id} if request.n > 1 else set()
        return next((row for row in rows if row.id in ids or row.group_id in groups), None)

    def _is_running(self, row: "JobRow") -> bool:
        return row.status in OPEN and not row.is_abandoned(self.now)


def former_readings(submission: Submission) -> list[tuple[ImageRequest, ...]]:
    """Return the first edition's readings of the same call.

    They are looked up before anything is bought or refused, so that nothing that was paid is bought again: the cell's
    text was read in another way, or a picture had another identity.
    """
    readings = [submission.requests, submission.former]
    known = [submission.requests]
    for reading in (submission.former, *(tuple(map(_with_former_identities, requests)) for requests in readings)):
        if reading and reading not in known:
            known.append(reading)
    return known[1:]


def _with_former_identities(request: ImageRequest) -> ImageRequest:
    images = tuple(
        replace(image, identity=image.former_identity)
        if isinstance(image, InputImage) and image.former_identity
        else image
        for image in request.images
    )
    return request.replace(images=images) if images != request.images else request


def read_submission(submission: Submission, lookup: Lookup) -> tuple[tuple[ImageRequest, ...], tuple[PlannedJob, ...]]:
    """Return the requests that a call means, and their jobs: as read today, or formerly if only that is answered.

    Raises ``submission.refusal`` if there is one and no former reading is answered.
    """
    found = []
    for requests in [submission.requests, *([] if submission.fresh else former_readings(submission))]:
        found.append(lookup.jobs(requests))
        if found[-1] and all(job.result is not None for job in found[-1]):
            return requests, found[-1]
    if submission.refusal is not None:
        raise submission.refusal
    return submission.requests, found[0]


def refuse_unanswered(jobs: Sequence[PlannedJob], *, fresh: bool, by_store: bool) -> None:
    """Refuse what the store cannot answer where nothing may be bought. Raise ``ReplayError``.

    ``by_store``: an opened bundle's folder says so, not ``WAN_REPLAY``.
    """
    who = "The folder of an opened bundle" if by_store else "WAN_REPLAY=only"
    own = "To make new pictures, run the notebook in a folder of your own."
    if fresh:
        hint = f"Leave out --fresh. {own}" if by_store else "Leave out --fresh, or unset WAN_REPLAY."
        raise ReplayError(f"{who} never buys pictures, but --fresh asks for a new one.", hint=hint)
    for job in jobs:
        if job.result is None:
            seed = "without a seed" if job.is_seedless else f"seed {job.request.seed}"
            message = f"{who} never buys pictures, and the store has no answer to {one_line(job.request.prompt, 60)!r}"
            hint = own if by_store else "Unset WAN_REPLAY to ask the service, or bring the folder that has the picture."
            raise ReplayError(f"{message} ({seed}).", hint=hint)
