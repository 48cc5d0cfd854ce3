"""What a batch would do: its rows as tasks, each with the job that answers it, and the most that the rest costs."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ..database import BATCH_KEY, OCCURRENCE_KEY, BatchTaskRow, JobRow, Price, Status, new_id
from ..errors import Problem, RequestError, StoreError
from ..images import InputImage, fit_request_body
from ..jobs import DISPLAY, DurationLaw
from ..project import new_job
from ..replay import PlannedJob, Submission, refuse_unanswered
from ..session import cost_text
from ..text import EXPOSED_HINT, pluralize
from ..validation import record_of
from .rows import PlannedRow, plan_rows
from .tables import Grid, Table

if TYPE_CHECKING:
    from ..environment import Settings
    from ..request import ImageRequest
    from ..resolver import Resolver
    from ..session import Session


class PlannedTask(NamedTuple):
    """One task of the row at ``row`` (from 0), and the number (``seq``) and status of the job that answers it."""

    row: int
    job: PlannedJob
    answer: tuple[int, Status] | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class BatchPlan:
    """What a call of ``map`` does: its rows, what is new, and the most that it can cost. It shows itself.

    Attributes
    ----------
    rows : tuple of PlannedRow
        The rows, each with its request.
    new_tasks : int
        Tasks of the service that neither the store nor a running job answers.
    from_store : int
        Tasks whose pictures are in the store.
    pictures_max : int
        The most pictures that the new tasks can make.
    duration_s : float or None
        How long that takes at the account's limits, in seconds; None if nothing is new.
    in_flight : int
        Tasks at once; 0 for no limit.
    """

    rows: tuple[PlannedRow, ...]
    tasks: tuple[PlannedTask, ...]
    submission: Submission
    settings: "Settings"
    prices: Mapping[str, Price | None]
    axes: tuple[str, ...] = ()
    duration_s: float | None = None

    @property
    def new(self) -> tuple[PlannedTask, ...]:
        """The tasks that nothing answers."""
        return tuple(task for task in self.tasks if task.answer is None)

    @property
    def new_tasks(self) -> int:
        """How many tasks are new."""
        return len(self.new)

    @property
    def from_store(self) -> int:
        """How many tasks have their pictures in the store."""
        return sum(task.answer is not None and task.answer[1] is Status.SAVED for task in self.tasks)

    @property
    def pictures_max(self) -> int:
        """The most pictures that new tasks can make."""
        return sum(self.pictures.values())

    @cached_property
    def pictures(self) -> Mapping[str, int]:
        """The most pictures that new tasks of each model can make."""
        found = Counter[str]()
        for task in self.new:
            found[task.job.request.model] += task.job.request.pictures_asked
        return found

    @property
    def in_flight(self) -> int:
        """How many tasks run at once."""
        return self.settings.in_flight

    @property
    def cost_text(self) -> str:
        """The most that it can cost: ``up to $6.00 (price as set)``, ``$0.00``, ``price unknown (…)``."""
        return cost_text(self.settings, self.prices, self.pictures)

    @property
    def rows_hash(self) -> str:
        """A hash of all requests, in the order of rows."""
        hashes = "\n".join(task.job.request_hash for task in self.tasks)
        return hashlib.sha256(hashes.encode()).hexdigest()

    def _repr_mimebundle_(self, **_: Any) -> Any:
        return DISPLAY["bundle"](self)

    def __repr__(self) -> str:
        new, rows = pluralize(self.new_tasks, "new task"), pluralize(len(self.rows), "row")
        return f"<BatchPlan: {rows}, {new}, {self.from_store} from the store, {self.cost_text}>"


def plan_batch(
    session: "Session",
    rows: object,
    prompt: str | None,
    submission: Submission,
    **how: Any,
) -> BatchPlan:
    """Return what ``map``, or a cell with ``--over``, would do, without doing it; ``how`` is as in ``plan_rows``.

    Raises ``RequestError`` with every problem, for a request that holds a key too, and ``ReplayError`` where nothing
    may be bought.
    """
    cell, (planned, notes) = session.cell(), plan_rows(rows, prompt, **how)
    batch = submission.name or cell.cell_id
    submission = replace(submission, notes=(*submission.notes, *notes), cell=cell, batch=batch)
    settings, project = session.settings(submission.provider), session.known_project()
    tasks = list(_tasks(session, planned))
    if project is not None and not submission.fresh:
        mode = session.replay_mode(settings)
        simulated_ok = settings.is_simulated or project.replays_only
        wanted = [_wanted(task.job, submission.batch) for task in tasks]
        found = project.database.answers(wanted, simulated_ok=simulated_ok, replay=mode != "off")
        tasks = [task._replace(answer=answer) for task, answer in zip(tasks, found, strict=True)]
    new = [task for task in tasks if task.answer is None]
    if new:
        keys = session.loader.known_keys()
        requests = [task.job.request for task in new]
        texts = dict.fromkeys(text for request in requests for text in (request.prompt, request.negative_prompt))
        tags = (tag for row in planned for tag in row.tags)
        cells = (cell for row in planned for cell in row.columns.values() if isinstance(cell, str))
        if keys.is_in(submission.name, *texts, *dict.fromkeys([*tags, *cells])):
            raise RequestError([Problem("rows", "", "contain an API key.", EXPOSED_HINT)])
        if session.replay_mode(settings) == "only":
            refuse_unanswered([new[0].job], fresh=submission.fresh, by_store=settings.replay != "only")
    budgets = session.budgets_of(settings, submission.cell.notebook)
    models = dict.fromkeys(task.job.request.model for task in new)
    plan = BatchPlan(
        rows=planned,
        tasks=tuple(tasks),
        submission=submission,
        settings=settings,
        prices={model: budgets.unit_price(settings.provider, model) for model in models},
        axes=tuple(rows.axes) if isinstance(rows, Grid | Table) else (),
    )
    return replace(plan, duration_s=_duration_s(session, plan)) if new else plan


def _tasks(session: "Session", rows: Sequence[PlannedRow]) -> Iterator[PlannedTask]:
    """Give the tasks of each row; one without a seed is the n-th of its kind in the batch."""
    met = Counter[str]()
    for at, row in enumerate(rows):
        request, seed = row.request, row.request.seed
        asked = request.request_hash(with_seed=False) if seed is None else ""
        if seed is None:
            seed = session.rng.randint(0, record_of(request.model).seed_max - request.n)
        for part, task in enumerate(request.split(seed)):
            with_seed, occurrence = task.request_hash(with_seed=True), met[asked]
            met[asked] += bool(asked)
            job = PlannedJob(
                request=task,
                request_hash=asked or with_seed,
                request_hash_with_seed=with_seed,
                position=part,
                occurrence=occurrence,
            )
            yield PlannedTask(at, job)


def _wanted(job: PlannedJob, key: str) -> JobRow:
    """Return a job as far as it says what may answer it."""
    hashes = {"request_hash": job.request_hash, "request_hash_with_seed": job.request_hash_with_seed}
    return JobRow(**hashes, versions={BATCH_KEY: key, OCCURRENCE_KEY: job.occurrence})


def _with_data(resolver: "Resolver", row: "PlannedRow", request: "ImageRequest") -> "ImageRequest":
    """Return a request with the bytes of its pictures, read again from their files. Raises ``StoreError``."""
    images = list(request.images)
    for at, image in enumerate(images):
        if isinstance(image, InputImage) and not image.data:
            (images[at],) = resolver.image(row.files[image.identity], image.name)
            if getattr(images[at], "identity", "") != image.identity:
                message = f"{image.name} was changed after its row had been checked. Its row was not sent."
                raise StoreError(message, hint="Run the cell again.")
    return request.replace(images=fit_request_body(tuple(images)))


def new_tasks(
    session: "Session", plan: BatchPlan, part: Sequence[PlannedTask], prices: Mapping[str, Price | None]
) -> list[tuple[BatchTaskRow, JobRow | None]]:
    """Return tasks as the ledger takes them, with a new job for each that nothing answers."""
    storage, resolver, run = session.project().storage, session.resolver({}), session.run_of(plan.submission.cell)
    made, groups = list[tuple[BatchTaskRow, JobRow | None]](), dict[int, str]()
    for at, planned, answer in part:
        row, job = plan.rows[at], None
        if answer is None:
            submission = replace(plan.submission, tags=(*plan.submission.tags, *row.tags))
            whole = replace(planned, request=_with_data(resolver, row, planned.request))
            job = new_job(whole, submission, plan.settings, prices[planned.request.model], storage, run)
            job.id = new_id()
            # The tasks of one row are one job of a person.
            job.group_id, job.group_position = groups.setdefault(at, job.id), planned.position
        task = BatchTaskRow(
            position=at,
            part=planned.position,
            occurrence=planned.occurrence,
            request_hash=planned.request_hash,
            columns={} if planned.position else dict(row.columns),
            job_seq=answer[0] if answer else None,
        )
        made.append((task, job))
    return made


def _duration_s(session: "Session", plan: BatchPlan) -> float:
    """Return how long the new tasks take: by what such tasks took here, at the account's limits."""
    first, project, settings = plan.new[0].job.request, session.known_project(), plan.settings
    kind = JobRow(
        provider=settings.provider,
        model=first.model,
        mode=first.mode.value,
        size_tier=str(first.parameters().get("size", "")),
        n=first.pictures_asked,
    )
    law = DurationLaw(project.database.durations(kind) if project else ())
    at_once = min(settings.in_flight or plan.new_tasks, plan.new_tasks)
    by_pace_s = plan.new_tasks / settings.submits_per_s if settings.submits_per_s else 0.0
    return max(plan.new_tasks * law.quantile_s(0.5) / at_once, by_pace_s)
