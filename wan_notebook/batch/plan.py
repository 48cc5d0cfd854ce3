"""What a batch would do: its rows as tasks, each with the job that answers it, and the most that the rest costs."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..database import JobRow, NewTask, Price, Status, Wanted, new_id
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


@dataclass(frozen=True, kw_only=True)
class PlannedTask:
    """One task of the service: the ``part``-th of a row, its request with a seed, and what may answer it.

    ``answer`` is the number (``seq``) and status of the job that does.
    """

    position: int
    part: int
    request: "ImageRequest"
    wanted: Wanted
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
            found[task.request.model] += task.request.pictures_asked
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
        hashes = "\n".join(task.wanted.request_hash for task in self.tasks)
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
    *,
    name: str | None = None,
    fresh: bool = False,
    provider: str | None = None,
    embed: bool | None = None,
    notes: Sequence[str] = (),
    **how: Any,
) -> BatchPlan:
    """Return what ``map``, or a cell with ``--over``, would do, without doing it; ``how`` is as in ``plan_rows``.

    Raises ``RequestError`` with every problem, for a request that holds a key too, and ``ReplayError`` where nothing
    may be bought.
    """
    cell, (planned, more) = session.cell(), plan_rows(rows, prompt, **how)
    submission = Submission(
        requests=(),
        name=name or "",
        fresh=fresh,
        provider=provider,
        embed=embed,
        notes=(*notes, *more),
        cell=cell,
        batch=name or cell.cell_id,
    )
    settings, project = session.settings(submission.provider), session.known_project()
    tasks = list(_tasks(session, planned, submission.batch))
    if project is not None and not submission.fresh:
        mode = session.replay_mode(settings)
        simulated_ok = settings.is_simulated or project.replays_only
        wanted = [task.wanted for task in tasks]
        found = project.database.answers(wanted, simulated_ok=simulated_ok, replay=mode != "off")
        tasks = [replace(task, answer=answer) for task, answer in zip(tasks, found, strict=True)]
    new = [task for task in tasks if task.answer is None]
    if new:
        keys = session.loader.known_keys()
        texts = dict.fromkeys(text for task in new for text in (task.request.prompt, task.request.negative_prompt))
        tags = (tag for row in planned for tag in row.tags)
        cells = (cell for row in planned for cell in row.columns.values() if isinstance(cell, str))
        if keys.is_in(submission.name, *texts, *dict.fromkeys([*tags, *cells])):
            raise RequestError([Problem("rows", "", "contain an API key.", EXPOSED_HINT)])
        if session.replay_mode(settings) == "only":
            refuse_unanswered(
                [_planned_job(new[0], new[0].request)], fresh=submission.fresh, by_store=settings.replay != "only"
            )
    budgets = session.budgets_of(settings, submission.cell.notebook)
    models = dict.fromkeys(task.request.model for task in new)
    plan = BatchPlan(
        rows=planned,
        tasks=tuple(tasks),
        submission=submission,
        settings=settings,
        prices={model: budgets.unit_price(settings.provider, model) for model in models},
        axes=tuple(rows.axes) if isinstance(rows, Grid | Table) else (),
    )
    return replace(plan, duration_s=_duration_s(session, plan)) if new else plan


def _tasks(session: "Session", rows: Sequence[PlannedRow], key: str) -> "Sequence[PlannedTask]":
    met, found = Counter[str](), []
    for position, row in enumerate(rows):
        request, drawn = row.request, row.request.seed
        asked = "" if drawn is not None else request.request_hash(with_seed=False)
        if drawn is None:
            drawn = session.rng.randint(0, record_of(request.model).seed_max - request.n)
        for part, task in enumerate(request.split(drawn)):
            if asked:
                wanted = Wanted(asked, False, key, met[asked])
                met[asked] += 1
            else:
                wanted = Wanted(task.request_hash(with_seed=True), True)
            found.append(PlannedTask(position=position, part=part, request=task, wanted=wanted))
    return found


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


def _planned_job(task: PlannedTask, request: "ImageRequest") -> PlannedJob:
    """Return a task as ``new_job`` takes it."""
    wanted = task.wanted
    with_seed = wanted.request_hash if wanted.has_seed else task.request.request_hash(with_seed=True)
    return PlannedJob(
        request=request,
        request_hash=wanted.request_hash,
        request_hash_with_seed=with_seed,
        occurrence=wanted.occurrence,
    )


def new_tasks(
    session: "Session", plan: BatchPlan, part: Sequence[PlannedTask], prices: Mapping[str, Price | None]
) -> list[NewTask]:
    """Return tasks as the ledger takes them, with a new job for each that nothing answers."""
    storage, resolver, made = session.project().storage, session.resolver({}), []
    groups: dict[int, str] = {}
    for task in part:
        row = plan.rows[task.position]
        job = None
        if task.answer is None:
            submission = replace(plan.submission, tags=(*plan.submission.tags, *row.tags))
            run = session.run_of(submission.cell)
            price = prices[task.request.model]
            planned = _planned_job(task, _with_data(resolver, row, task.request))
            job = new_job(planned, submission, plan.settings, price, storage, run)
            job.id, job.group_position = new_id(), task.part
            job.group_id = groups.setdefault(task.position, job.id)  # the tasks of one row are one job of a person
        columns = row.columns if task.part == 0 else {}
        made.append(
            NewTask(
                position=task.position,
                part=task.part,
                wanted=task.wanted,
                columns=columns,
                job=job,
                job_seq=task.answer[0] if task.answer else None,
            )
        )
    return made


def _duration_s(session: "Session", plan: BatchPlan) -> float:
    """Return how long the new tasks take: by what such tasks took here, at the account's limits."""
    first, project, settings = plan.new[0].request, session.known_project(), plan.settings
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
