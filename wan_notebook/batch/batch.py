"""``Batch``: what a person holds of a call of ``map``. The state itself is in the ledger."""

import asyncio
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, SupportsIndex, overload

from ..budget import price_of
from ..database import (
    BATCH_KEY,
    FREE,
    OCCURRENCE_KEY,
    OPEN,
    SETTLED,
    WRITTEN_AT_ONCE,
    BatchRow,
    BatchTaskRow,
    Database,
    JobRow,
    Price,
    Status,
)
from ..errors import BudgetError, JobError, JobTimeout, NoSuchPictureError, StoreError, WanError, require
from ..figure import Comparison, comparison_of
from ..jobs import DISPLAY, FORMATS, HEARTBEAT_S, Job, Marked, WaitInterrupted, error_of, save_copies
from ..money import Total
from ..project import new_job, request_of_row
from ..replay import CellId, PlannedJob, Submission
from ..session import FREE_BYTES_PER_PICTURE, cost_text
from ..text import pluralize
from .export import save_sheet, to_dataset, to_pandas
from .plan import BatchPlan, PlannedTask, new_tasks
from .run import Run

if TYPE_CHECKING:
    from ..environment import Settings
    from ..jobs import TrackedJob, Worker
    from ..request import ImageRequest
    from ..session import Session
    from .run import Write

LOOK_EVERY_S: Final = 0.5
CANCELLED: Final = "It was cancelled."
SHOWN_FAILURES: Final = 5


@dataclass(frozen=True, kw_only=True)
class BatchProgress:
    """How a batch stands: counts of its tasks, its pace, and its money.

    A row of text to image with ``n=3`` has three tasks. ``from_store`` of the saved ones were there before this
    kernel's call. ``most`` is the most that is still to come, as text; ``paused`` says why nothing is sent.
    """

    total: int
    saved: int
    running: int
    waiting: int
    failed: int
    cancelled: int
    in_doubt: int
    from_store: int
    rate_per_min: float | None
    left_s: float | None
    spent: Total
    most: str
    paused: str
    is_over: bool


@dataclass(eq=False, repr=False)
class Batch(Marked):
    """The jobs of the rows of a table, as ``wan.map`` returns them at once.

    It knows how many rows it has (``len``), gives their jobs in the order of rows (iteration, ``batch[3]``), and shows
    itself as one card.

    Attributes
    ----------
    session : Session
        Whose worker runs it.
    row : BatchRow
        Its record in the ledger.
    plan : BatchPlan or None
        What this kernel's call was to do; None for a batch of another kernel.
    shown_in : str
        Where it is displayed.

    Examples
    --------
    >>> zoo = wan.map(wan.grid(animal=["fox", "owl"], seed=[1, 2]), "A {animal} in ink", name="zoo")
    >>> zoo.status
    {'saved': 3, 'running': 1}
    >>> zoo.result().figure(rows="animal", columns="seed").save("zoo.png")
    """

    session: "Session"
    row: BatchRow
    plan: BatchPlan | None = None
    shown_in: str = ""

    # What is known now -----------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """Its id in the ledger."""
        return self.row.id

    @property
    def name(self) -> str:
        """Its name; empty if it has none."""
        return self.row.name

    @property
    def notebook(self) -> str:
        """The notebook that it was made in."""
        return self.row.notebook

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes of the grid that it was made from; none for other tables."""
        return tuple(self.row.details.get("axes", ()))

    @property
    def status(self) -> dict[str, int]:
        """How many tasks stand where: ``{'saved': 3, 'running': 2, 'intent': 5}``; what waits is ``intent``."""
        counts = self._counts()
        return {status.value: counts[status] for status in reversed(Status) if counts[status]}

    @property
    def is_done(self) -> bool:
        """Whether all is over, well or badly."""
        return set(self._counts()) <= SETTLED

    @property
    def paused(self) -> str:
        """Why nothing more is sent although rows are waiting; empty if that is not so."""
        return "" if self.is_done else self._reason

    @property
    def cost(self) -> Total:
        """What its pictures have cost, whichever call paid for them."""
        return self._database.batch_spend(self.row).total

    @property
    def progress(self) -> BatchProgress:
        """Everything that its card says; one look at the ledger."""
        counts, spend, run = self._counts(), self._database.batch_spend(self.row), self._run
        left = sum(count for status, count in counts.items() if status not in SETTLED)
        running = sum(counts[s] for s in (Status.SENDING, Status.ACCEPTED, Status.RUNNING, Status.SUCCEEDED))
        pace_per_s = run.pace_per_s if run and left else None
        expected_s = self.plan.duration_s if self.plan and left and not pace_per_s else None
        settings = self.session.settings(self.row.provider)
        pictures = self._pictures_to_come(spend.pictures_reserved) if left else {}
        budgets = self.session.budgets_of(settings, self.row.notebook)
        prices = {model: budgets.unit_price(settings.provider, model) for model in pictures}
        return BatchProgress(
            total=sum(counts.values()),
            saved=counts[Status.SAVED],
            running=running,
            waiting=counts[Status.INTENT],
            failed=counts[Status.FAILED] + counts[Status.REFUSED] + counts[Status.EXPIRED],
            cancelled=counts[Status.CANCELLED],
            in_doubt=counts[Status.IN_DOUBT],
            from_store=self.plan.from_store if self.plan else 0,
            rate_per_min=pace_per_s * 60 if pace_per_s else None,
            left_s=left / pace_per_s if pace_per_s else expected_s,
            spent=spend.total,
            most=cost_text(settings, prices, pictures) if spend.pictures_reserved and left else "",
            paused=self._reason if left else "",
            is_over=not left,
        )

    # Its rows --------------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The caller's rows, in their order; one that is not written down yet is left out."""
        if self.plan is not None:
            return [dict(row.columns) for row in self.plan.rows]
        return [dict(columns) for columns in self._database.batch_columns(self.row)]

    @property
    def jobs(self) -> list[Job]:
        """The job of each row, in their order."""
        return list(self)

    def __len__(self) -> int:
        return self.row.row_count

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Job]:
        for at in range(0, len(self), WRITTEN_AT_ONCE):
            yield from self._jobs(range(at, min(at + WRITTEN_AT_ONCE, len(self))))

    @overload
    def __getitem__(self, index: SupportsIndex) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Job | list[Job]:
        require("index", index, SupportsIndex | slice, "the number of a row: [0] is the first")
        try:
            found = range(len(self))[index]
        except IndexError:
            message = f"{self._title} has {pluralize(len(self), 'row')}; [{index}] does not exist."
            raise NoSuchPictureError(message, hint="[0] is the first.") from None
        if isinstance(found, range):
            return [self._jobs(range(at, at + 1))[0] for at in found]
        return self._jobs(range(found, found + 1))[0]

    def _jobs(self, positions: range) -> list[Job]:
        if (run := self._run) is not None:
            futures.wait([run.written])
        found, worker = [], self.session.project().worker
        rows = self._database.batch_jobs(self.row, positions)
        for position, tasks in groupby(rows, key=itemgetter(0)):
            parts = [(columns, row) for _, columns, row in tasks]
            tracked = [worker.track(row) for _, row in parts]
            request = self._request(position, parts[0][1])
            replayed = frozenset(row.id for _, row in parts if row.seq in self._stored)
            found.append(Job(tracked, worker, request=request, replayed=replayed, columns=dict(parts[0][0])))
        return found

    def _request(self, position: int, row: JobRow) -> "ImageRequest":
        if self.plan is not None:
            return self.plan.rows[position].request.replace(seed=row.seed)
        return request_of_row(row, self.session.project().storage)

    @property
    def _stored(self) -> frozenset[int]:
        tasks = self.plan.tasks if self.plan else ()
        return frozenset(task.answer[0] for task in tasks if task.answer and task.answer[1] is Status.SAVED)

    # Waiting ---------------------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all rows are over, without raising if some failed. An interrupt ends the waiting only.

        Parameters
        ----------
        timeout : float, optional
            The longest wait in seconds; without it, as long as it takes.

        Returns
        -------
        bool
            Whether all is over.

        Raises
        ------
        JobError
            If waiting would be in vain: the batch is paused, or its rows were not sent by the kernel that is gone.
        """
        if timeout is not None:
            require("timeout", timeout, int | float, "seconds, such as 60", least=0)
        until_s = None if timeout is None else time.monotonic() + timeout
        try:
            while not (done := self._follow().done).done():
                left_s = HEARTBEAT_S if until_s is None else until_s - time.monotonic()
                if left_s <= 0:
                    return False
                futures.wait([done], timeout=min(left_s, HEARTBEAT_S))
        except KeyboardInterrupt:
            raise WaitInterrupted(f"Stopped waiting; {self._title} goes on. Come back: {self._come_back}") from None
        if not self.is_done:
            raise self._stopped_error()
        return True

    def result(self, timeout: float | None = None) -> "Batch":
        """Wait for all pictures and return this batch.

        Parameters
        ----------
        timeout : float, optional
            The longest wait in seconds; without it, as long as it takes.

        Raises
        ------
        JobError
            If rows ended without their pictures: it names the first of them. ``JobTimeout`` if the batch goes on.
        """
        if not self.wait(timeout):
            left = pluralize(sum(n for s, n in self._counts().items() if s not in SETTLED), "task")
            message = f"{self._title} is not over after {timeout:g} s: {left} to go; it goes on."
            raise JobTimeout(message, job_id=self.id, hint=f"Come back: {self._come_back}")
        if failures := self.failures():
            shown = [f"row {position + 1}: {reason}" for position, reason in failures[:SHOWN_FAILURES]]
            more = f"; and {len(failures) - SHOWN_FAILURES} more" if len(failures) > SHOWN_FAILURES else ""
            message = f"{self._title}: {len(failures)} of {pluralize(len(self), 'row')} have no picture. "
            hint = "batch.retry() tries those again that failed; batch.resolve() decides about those in doubt."
            raise JobError(f"{message}{'; '.join(shown)}{more}.", job_id=self.id, hint=hint)
        return self

    def failures(self) -> list[tuple[int, str]]:
        """Return the rows that ended without their pictures: their numbers, from 0, and why."""
        ended = dict[int, str]()
        for task in self._database.batch_tasks(self.row):
            if task.status in SETTLED and task.status is not Status.SAVED:
                ended.setdefault(task.position, task.job_id)
        rows = self._database.jobs(ended.values())
        reasons = {job_id: row.error_message or error_of(row).message for job_id, row in rows.items()}
        return [(position, reasons[job_id].rstrip(".")) for position, job_id in ended.items()]

    def as_completed(self, timeout: float | None = None) -> Iterator[Job]:
        """Give the jobs of rows as they end, well or badly; first those that have ended already.

        Parameters
        ----------
        timeout : float, optional
            The longest wait for all in seconds; then ``JobTimeout`` is raised.
        """
        until_s, given = None if timeout is None else time.monotonic() + timeout, set[int]()
        while True:
            run = self._follow()
            is_last = run.done.done()
            ended = dict[int, bool]()
            for task in self._database.batch_tasks(self.row):
                ended[task.position] = ended.get(task.position, True) and task.status in SETTLED
            for position in [at for at, is_over in ended.items() if is_over and at not in given]:
                given.add(position)
                yield self[position]
            if is_last:
                if not self.is_done:
                    raise self._stopped_error()
                return
            if until_s is not None and time.monotonic() >= until_s:
                message = f"{self._title} is not over after {timeout:g} s; it goes on."
                raise JobTimeout(message, job_id=self.id, hint=f"Come back: {self._come_back}")
            futures.wait([run.done], timeout=LOOK_EVERY_S)

    def __await__(self) -> "Generator[Any, None, Batch]":
        return self._waited().__await__()

    async def _waited(self) -> "Batch":
        done = asyncio.wrap_future((await asyncio.to_thread(self._follow)).done)
        while not done.done():
            await asyncio.wait([done], timeout=HEARTBEAT_S)
        return await asyncio.to_thread(self.result)

    # What a person does to it ----------------------------------------------------------------------------------------

    def cancel(self) -> str:
        """Cancel what is not sent, for free, and what only waits at the service; return what that means."""
        if (run := self._run) is not None:
            run.stop(CANCELLED)
        worker, database = self.session.project().worker, self._database
        if run is not None:
            futures.wait([run.written])
        self.row, unsent = database.cancel_batch(self.row)
        tasks = [task for task in database.batch_tasks(self.row, only_open=True) if task.status not in SETTLED]
        if not (unsent or tasks):
            return f"Nothing of {self._title} is running."
        lines = [f"{self._title}: {pluralize(unsent, 'task')} not sent, nothing is paid for them."]
        rows = database.jobs([task.job_id for task in tasks if task.status is Status.ACCEPTED])
        if rows:
            lines.append(worker.cancel([worker.track(row) for row in rows.values()]))
        if going := len(tasks) - len(rows):
            lines.append(f"{pluralize(going, 'task')} at the service will be fetched.")
        worker.refresh(worker.mine)
        return "\n".join(lines)

    def retry(self) -> "Batch":
        """Order anew what failed or was refused or cancelled, within the budget; return this batch.

        Raises ``BudgetError``; then nothing was sent.
        """
        session, database, ended = self.session, self._database, FREE | {Status.EXPIRED}
        if (run := self._run) is not None:
            run.leave()
        project, settings = session.project(), session.settings(self.row.provider)
        tasks = [task for task in database.batch_tasks(self.row) if task.status in ended]
        pictures, budgets = self._database.batch_pictures(self.row, ended), session.budgets_of(settings, self.notebook)
        prices = budgets.counted_prices(pictures)
        with budgets.checked(pictures) as check:
            for at in range(0, len(tasks), WRITTEN_AT_ONCE):
                again = [(task, database.get(task.job_id)) for task in tasks[at : at + WRITTEN_AT_ONCE]]
                new = [self._again(task, row, settings, prices[row.model]) for task, row in again]
                how = {"simulated_ok": settings.is_simulated, "check": check}
                database.write_tasks(self.row, new, owner=project.worker.owner, is_last=True, **how)
        return self.resume()

    def _again(self, task: Any, row: JobRow, settings: "Settings", price: Price | None) -> tuple[BatchTaskRow, JobRow]:
        """Return a task with a new job in place of one that ended."""
        project, session = self.session.project(), self.session
        told = str(row.versions.get(OCCURRENCE_KEY) or 0).partition("-")[0]
        planned = PlannedJob(
            request=request_of_row(row, project.storage),
            request_hash=row.request_hash,
            request_hash_with_seed=row.request_hash_with_seed,
            occurrence=int(told),
        )
        cell = CellId(notebook=row.notebook, cell_id=row.cell_id)
        key = str(row.versions.get(BATCH_KEY, ""))
        submission = Submission((), name=row.name, tags=row.tags, batch=key, cell=cell)
        run = session.run_of(session.cell())
        return BatchTaskRow(seq=task.seq), new_job(planned, submission, settings, price, project.storage, run)

    def resume(self) -> "Batch":
        """Send what is waiting, after a pause or from another kernel, within the budget; return this batch.

        Raises ``BudgetError``; then nothing was sent.
        """
        if (run := self._run) is not None and not run.done.done() and not run.stopped and run.sends:
            return self
        settings, owner = self.session.settings(self.row.provider), self.session.project().worker.owner
        if run is not None:
            run.leave()
        pictures = self._database.batch_pictures(self.row, OPEN)
        with self.session.budgets_of(settings, self.notebook).checked(pictures) as check:
            self.row = self._database.take_batch(self.row, owner, check)
        self._start(Run(self.session, self.row, sends=True))
        return self

    def resolve(self, choice: str) -> str:
        """Settle all tasks in doubt: send them ``again``, or ``abandon`` them; return what was done, a line each."""
        said = []
        for task in self._database.batch_tasks(self.row):
            if task.status is Status.IN_DOUBT:
                job = self.session.job_of_row(self._database.get(task.job_id), is_alone=True)
                said.append(self.session.resolve(job, choice))
        self._database.relink_batch(self.row)
        if choice == "again" and said:
            self._start(Run(self.session, self.row, sends=True))
        return "\n".join(said) or f"Nothing of {self._title} is in doubt."

    # Showing and exporting -------------------------------------------------------------------------------------------

    def to_pandas(self) -> Any:
        """Return the caller's rows as a pandas DataFrame, with state, seed, cost and file of each."""
        return to_pandas(self)

    def figure(self, rows: str | None = None, columns: str | None = None) -> "Comparison":
        """Return all pictures as a figure with axes; it shows itself, and ``save`` writes PNG, PDF or HTML.

        Parameters
        ----------
        rows, columns : str, optional
            A column of the table, or a fact such as ``seed`` or ``model``, down and across. By default the first two
            axes of a grid. Further axes stand side by side in a cell.

        Raises
        ------
        CellError
            For an axis that there is not; it names those that there are.

        Examples
        --------
        >>> zoo.figure(rows="style", columns="animal").save("zoo.pdf")
        """
        return comparison_of(self.jobs, rows=rows, columns=columns, axes=self.axes)

    def save(self, folder: str | Path, *, clean: bool = False, overwrite: bool = False) -> list[Path]:
        """Copy all pictures into a folder under their own names, as ``job.save`` does. Waits; return the files."""
        if Path(folder).suffix.lower() in FORMATS:
            message = f"{self._title} has many pictures: {folder} cannot hold them."
            raise StoreError(message, hint="Name a folder, or use batch.sheet: one picture of all.")
        with suppress(JobError):  # it does not go on: what is there
            self.wait()
        saved = [pictures for job in self if (pictures := job.saved_pictures)]
        how = {"clean": clean, "overwrite": overwrite}
        return [file for pictures in saved for file in save_copies(pictures, f"{folder}/", **how)]

    def sheet(self, path: str | Path) -> Path:
        """Write a contact sheet of all saved pictures (.png, .jpg or .pdf), and return its path."""
        return save_sheet(self, path)

    def to_dataset(self, folder: str | Path) -> Path:
        """Write the pictures with ``metadata.jsonl``, as ``datasets.load_dataset("imagefolder", …)`` reads them."""
        return to_dataset(self, folder)

    def _ipython_display_(self) -> None:
        if not DISPLAY["show"](self):
            raise NotImplementedError  # IPython then asks for the bundle

    def _marked(self) -> "tuple[Worker, list[tuple[TrackedJob, int | None]]]":
        return self.session.project().worker, [(tracked, None) for job in self for tracked in job.tracked]

    def __repr__(self) -> str:
        counts = ""
        with suppress(WanError):  # of a session that was closed
            counts = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in self.status.items())
        return f"<Batch {self.name or self.id}: {pluralize(len(self), 'row')}, {counts or 'nothing yet'}>"

    # Inside ----------------------------------------------------------------------------------------------------------

    @property
    def _title(self) -> str:
        return f"batch {self.name or self.id}"

    @property
    def _come_back(self) -> str:
        return f"wan.batch({self.name or self.id!r})"

    @property
    def _database(self) -> Database:
        return self.session.project().database

    @property
    def _run(self) -> Run | None:
        run: Run | None = self.session.runs.get(self.id)
        return run

    @property
    def _reason(self) -> str:
        return self._run.stopped if self._run else self._database.batch_now(self.row).paused_reason

    def _counts(self) -> Counter[Status]:
        counts: Counter[Status] = self._database.batch_counts(self.row)
        if (unwritten := self.row.task_count - sum(counts.values())) > 0:
            counts[Status.INTENT] += unwritten
        return counts

    def _pictures_to_come(self, pictures: int) -> Mapping[str, int]:
        """Return how many pictures its open tasks can make, by model: all of one, if there is only one."""
        models = list(self.plan.prices) if self.plan else []
        return {models[0]: pictures} if len(models) == 1 else self._database.batch_pictures(self.row, OPEN)

    def _start(self, run: Run) -> Run:
        self.session.runs[self.id] = run
        return run

    def _follow(self) -> Run:
        """Return what runs it in this kernel; without one, what was sent is followed."""
        return self._run or self._start(Run(self.session, self.row, sends=False))

    def _stopped_error(self) -> JobError:
        reason = self.paused.rstrip(".") or "nobody sends what is waiting"
        counts = self._counts()
        message = f"{self._title} does not go on: {reason}. {pluralize(counts[Status.INTENT], 'task')} not sent."
        hint = "Mend the cause, then run the cell again or call batch.resume(): nothing is paid twice."
        return JobError(message, job_id=self.id, hint=hint)


def start_batch(session: "Session", plan: BatchPlan) -> Batch:
    """Write a batch down within the budget, and begin with it; return at once.

    Raises ``BudgetError``, ``SettingsError`` or ``StoreError``; then nothing was written or sent.
    """
    submission, settings, cell = plan.submission, plan.settings, plan.submission.cell
    budgets = session.budgets_of(settings, cell.notebook)
    if plan.new:
        session.require_usable(settings)
    project, prices = session.project(), budgets.counted_prices(plan.prices)
    price = price_of(plan.pictures, prices)
    project.storage.check_writable(need_bytes=min(len(plan.new), WRITTEN_AT_ONCE // 10) * FREE_BYTES_PER_PICTURE)
    pictures = plan.pictures_max
    row = BatchRow(
        name=submission.name,
        notebook=cell.notebook,
        cell_id=cell.cell_id,
        rows_hash=plan.rows_hash,
        user=settings.user,
        provider=settings.provider,
        is_simulated=settings.is_simulated,
        row_count=len(plan.rows),
        task_count=len(plan.tasks),
        reserved_pictures=pictures,
        reserved_amount=price.amount if price else None,
        reserved_currency=price.currency if price else "",
        details={"axes": list(plan.axes)},
    )
    for run in session.runs.values():
        if all(getattr(run.batch, name) == getattr(row, name) for name in row.identity):
            run.leave()
    with budgets.checked(plan.pictures) as check:
        try:
            row = project.database.open_batch(row, check)
        except BudgetError as error:
            hint = error.hint.replace("Ask for fewer pictures", "Take fewer rows (limit=10)")
            raise BudgetError(error.message, hint=hint) from None
    joining = {
        "simulated_ok": settings.is_simulated,
        "fresh": submission.fresh,
        "replay": settings.replay != "off",
    }

    def write(part: Sequence[PlannedTask], is_last: bool) -> "Mapping[str, ImageRequest]":
        tasks = new_tasks(session, plan, part, prices)
        project.database.write_tasks(row, tasks, owner=project.worker.owner, is_last=is_last, **joining)
        return {
            job.id: task.job.request
            for (_, job), task in zip(tasks, part, strict=True)
            if job is not None and job.pending_inputs
        }

    parts = [plan.tasks[at : at + WRITTEN_AT_ONCE] for at in range(0, len(plan.tasks), WRITTEN_AT_ONCE)]
    writes: list[Write] = [partial(write, part, is_last=part is parts[-1]) for part in parts]
    session.runs[row.id] = Run(session, row, writes, sends=True)
    return Batch(session, row, plan)


def find_batch(session: "Session", name: str) -> Batch:
    """Return the batch of a name or id, from any kernel. Raises ``StoreError`` naming those that there are."""
    return Batch(session, session.project().database.batch(name, session.cell().notebook))
