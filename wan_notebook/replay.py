"""Replay: which jobs a request needs, and which it already has. Only lookups: nothing is created here.

A request with a seed that was answered before shows its newest result. One without a seed does so the first time that
a kernel meets it: a notebook that is run again from the top is free, loops and twin cells included, while a cell that
a person runs once more asks for a new picture. So results are told apart by the run that made them: one execution of
one cell.
"""

import random
import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from .database import OCCURRENCE_KEY, OPEN, Database, JobRow, Status
from .errors import ReplayError, WanError
from .images import InputImage
from .request import ImageRequest
from .text import one_line
from .validation import record_of

Replay = Literal["on", "only", "off"]

RUN_KEY: Final = "run"
"""Key in a row's ``versions``: the session and execution that made it, ``session:execution``."""

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

    ``replacing`` are jobs in doubt that a person gives up for these. ``batch`` is the key of the batch that asks.
    ``former`` are the requests that the first
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
    batch: str = ""
    cell: CellId = field(default_factory=CellId)
    former: tuple[ImageRequest, ...] = ()
    refusal: WanError | None = None


# Occurrences of seedless requests ------------------------------------------------------------------------------------


@dataclass
class Occurrences:
    """The seedless requests that this kernel has met so far, by request hash."""

    session: str = field(default_factory=lambda: secrets.token_hex(6))
    _in_kernel: Counter[str] = field(default_factory=Counter)
    _in_cell: defaultdict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))

    def run(self, cell: CellId) -> str:
        """Return the name of this execution."""
        return f"{self.session}:{cell.execution}"

    def count(self, request_hash: str, cell: CellId) -> None:
        """Count one occurrence."""
        self._in_kernel[request_hash] += 1
        self._in_cell[cell.cell_id, request_hash].append(cell.execution)

    def choose(
        self, results: Sequence[JobRow], request_hash: str, cell: CellId, *, ahead: int = 0
    ) -> tuple[int, JobRow | None]:
        """Return the number of the next occurrence in its run and the result that it shows, None to ask anew.

        Nothing is counted. ``results`` are complete, newest first; ``ahead`` more of the same cell come before it. The
        k-th occurrence shows the newest result of a k-th occurrence, whichever run made it: a loop that was made
        longer, or a twin cell that came later, shows all of its pictures again.
        """
        in_kernel = self._in_kernel[request_hash] + ahead
        if not cell.cell_id:
            before = [row for row in results if _session_of(row) != self.session]
            if cell.is_interactive:
                return 0, next((row for row in before if not in_kernel), None)
            return in_kernel, _at(_in_order(before), in_kernel)
        earlier = [*self._in_cell[cell.cell_id, request_hash], *[cell.execution] * ahead]
        index = earlier.count(cell.execution)
        others = [row for row in results if _run_of(row) != self.run(cell)]
        if len(earlier) > index:  # the cell is run again
            return index, None
        if any(row.cell_id == cell.cell_id for row in others):
            return index, dict(_occurrences_of(others)).get((cell.cell_id, index))
        return index, None if index else _at(_in_order(others), in_kernel) or _at(others, 0)


def _run_of(row: JobRow) -> str:
    return str(row.versions.get(RUN_KEY, ""))


def _session_of(row: JobRow) -> str:
    return _run_of(row).partition(":")[0]


def _occurrences_of(results: Sequence[JobRow]) -> list[tuple[tuple[str, int], JobRow]]:
    """Return each result with its cell and occurrence, oldest first; without cell ids a kernel's count through."""
    in_run: Counter[str] = Counter()
    found = []
    for row in reversed(results):
        run = _run_of(row) if row.cell_id else _session_of(row)
        first, last = _noted(row)
        index = in_run[run] if first is None else first
        found += [((row.cell_id, at), row) for at in range(index, max(index, last or 0) + 1)]
        in_run[run] += 1
    return found


def _noted(row: JobRow) -> list[int | None]:
    """Return the first and the last occurrence that a row answers, as far as it says; it may be somebody else's."""
    first, _, last = str(row.versions.get(OCCURRENCE_KEY, "")).partition("-")
    return [int(each) if each.isdecimal() and len(each) <= _DIGITS_MAX else None for each in (first, last)]


def shared_versions(row: JobRow, occurrence: int, cell: CellId) -> Mapping[str, object] | None:
    """Return the ``versions`` of an open job that answers a later occurrence of its cell, too; None if they say so.

    So that the loop that joined it is shown the same when it is run again, instead of buying what it never had.
    """
    first, last = _noted(row)
    is_known = row.cell_id != cell.cell_id or occurrence <= max(first or 0, last or 0)
    return None if is_known else {**row.versions, OCCURRENCE_KEY: f"{first or 0}-{occurrence}"}


def _in_order(results: Sequence[JobRow]) -> list[JobRow]:
    """Return what a kernel without cell ids shows, by occurrence.

    Cells come in the order of their first results; what was made without cell ids has the place of its occurrence. Of
    several results for a place the newest is shown.
    """
    found = _occurrences_of(results)
    cells = list(dict.fromkeys(cell_id for (cell_id, _), _ in found))
    order = sorted({slot for slot, _ in found if slot[0]}, key=lambda slot: (cells.index(slot[0]), slot[1]))
    placed = {order.index(slot) if slot[0] else slot[1]: row for slot, row in found}
    return [placed[place] for place in sorted(placed)]


def _at(results: Sequence[JobRow], index: int) -> JobRow | None:
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
    result: JobRow | None = None

    @property
    def is_open(self) -> bool:
        """Whether its answer is on its way rather than complete."""
        return self.result is not None and self.result.status in OPEN


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Looks up the answers to the requests of one call; without ``database`` there are none.

    ``now`` (Unix seconds) tells which leases are alive.
    """

    database: Database | None
    occurrences: Occurrences
    cell: CellId
    replay: Replay
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
        rows = self._rows(request_hash, with_seed=False)
        complete = [row for row in rows if row.status is Status.SAVED and self.replay != "off"]
        occurrence, chosen = self.occurrences.choose(complete, request_hash, self.cell, ahead=ahead)
        if chosen is None and complete and self.replay == "only":
            chosen = complete[0]  # a store that only replays shows what it has, however often a cell is run
        running = self._running(request, rows) if chosen is None else None
        if running is not None:  # its tasks are known by their seeds, whichever of them are done
            return [replace(job, occurrence=occurrence) for job in self._by_seeds(request, running.seed or 0)]
        seed = chosen.seed or 0 if chosen else self.rng.randint(0, record_of(request.model).seed_max - request.n)
        first, *others = self._by_seeds(request, seed, is_drawn=chosen is None)
        # Only the first of several tasks stands for the request; the others go by their seeds.
        first = replace(first, request_hash=request_hash, result=chosen)
        return [replace(job, occurrence=occurrence) for job in (first, *others)]

    def _by_seeds(self, request: ImageRequest, seed: int, *, is_drawn: bool = False) -> list[PlannedJob]:
        """Return the tasks of a request by their seeds, each with its answer; seeds that were just drawn have none."""
        found = []
        for position, task in enumerate(request.split(seed)):
            with_seed = task.request_hash(with_seed=True)
            rows = [] if is_drawn else self._rows(with_seed, with_seed=True)
            complete = [row for row in rows if row.is_complete and self.replay != "off"]
            ours = [row for row in complete if row.cell_id and row.cell_id == self.cell.cell_id]
            result = next((row for row in (*ours, *complete, *filter(self._is_running, rows))), None)
            job = PlannedJob(
                request=task,
                request_hash=with_seed,
                request_hash_with_seed=with_seed,
                position=position,
                result=result,
            )
            found.append(job)
        return found

    def _rows(self, request_hash: str, *, with_seed: bool) -> list[JobRow]:
        """Return the jobs of a request that may answer it, newest first."""
        rows = self.database.results(request_hash, with_seed=with_seed) if self.database else []
        return [row for row in reversed(rows) if self.simulated_ok or not row.is_simulated]

    def _running(self, request: ImageRequest, rows: Sequence[JobRow]) -> JobRow | None:
        """Return the first job of the newest call of which any task is still open."""
        if self.database is None or not rows:
            return None
        open_rows = list(filter(self._is_running, self.database.open_jobs()))
        groups = {row.group_id for row in open_rows if row.group_id} if request.n > 1 else set()
        return next((row for row in rows if row.group_id in groups or self._is_running(row)), None)

    def _is_running(self, row: JobRow) -> bool:
        # What has expired before its time may still be fetched: only --fresh pays for it again.
        may_come = row.status is Status.EXPIRED and bool(row.task_id) and self.now < (row.expires_at or 0.0)
        return may_come or (row.status in OPEN and not row.is_abandoned(self.now))


def former_readings(submission: Submission) -> list[tuple[ImageRequest, ...]]:
    """Return the first edition's readings of the same call.

    They are looked up before anything is bought or refused, so that nothing that was paid is bought again: the cell's
    text was read in another way, or a picture had another identity.
    """
    readings = [submission.requests, (), submission.former]
    for reading in (submission.requests, submission.former):
        renamed = []
        for request in reading:
            images = tuple(
                replace(image, identity=image.former_identity)
                if isinstance(image, InputImage) and image.former_identity
                else image
                for image in request.images
            )
            renamed.append(request.replace(images=images))
        readings.append(tuple(renamed))
    return [reading for at, reading in enumerate(readings) if at > 1 and reading not in readings[:at]]


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
    job = next((job for job in jobs if fresh or job.result is None), None)
    if job is not None:
        who = "The folder of an opened bundle" if by_store else "WAN_REPLAY=only"
        seed = f"seed {job.request.seed} of " if job.request.seed is not None else ""
        missing = f"the store has none for {seed}{one_line(job.request.prompt, 60)!r}"
        what = "--fresh asks for one" if fresh else missing
        hint = "Run the notebook in a folder of your own." if by_store else "Unset WAN_REPLAY to ask the service."
        raise ReplayError(f"{who} never buys pictures, and {what}.", hint=hint)
