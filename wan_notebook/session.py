"""One kernel's session: settings, clients, database and worker, and a call's way through them.

``session.submit`` is the single way to a picture: cells, ``generate``, the panel and ``resolve`` all take it.
``session.plan`` is what it would do, for a dry run and for the price on the panel's button.
"""

import asyncio
import copyreg
import itertools
import os
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .budget import BudgetBook, price_of
from .database import BATCH_KEY, FINAL, Database, JobRow, Price, Status
from .environment import Settings
from .errors import Problem, RequestError, SettingsError, StoreError, WanError
from .images import fit_request_body
from .jobs import Background, Job, TrackedJob, Worker, goodbye, resolve_job
from .kernel import current_cell, current_shell
from .money import Cost, Source, format_amount
from .project import REPLAY_META, Project, ledger_exists, new_job, request_of_row
from .providers import ClientPool
from .replay import (
    RUN_KEY,
    CellId,
    Lookup,
    Occurrences,
    PlannedJob,
    Replay,
    Submission,
    former_readings,
    read_submission,
    refuse_unanswered,
    shared_versions,
)
from .request import ImageRequest
from .resolver import Resolver
from .settings import LEDGER_NAME, SettingsLoader
from .storage import Storage
from .text import EXPOSED_HINT, pluralize

if TYPE_CHECKING:
    from .batch import Run

FREE_BYTES_PER_PICTURE: Final = 16 * 1024 * 1024
"""Asked for before a call: a 2048² PNG has at most about 13 MB, a 4096² one four times as much."""
MANY_PICTURES: Final = 4
"""More new pictures than these are pointed out where no price is known."""
TRASH_KEPT_S: Final = 30 * 24 * 3600.0
GRACE_S: Final = 2.0
"""The longest that the end of a program waits for what is about to be sent."""
END_S: Final = 0.8
"""The longest that it then takes to end."""
DOWNLOAD_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a submission would do: its jobs, each with its answer if there is one, and the most that the rest costs.

    ``requests`` are those of the submission, or of its former reading if the store answers that one.
    """

    submission: Submission
    settings: Settings
    requests: tuple[ImageRequest, ...]
    jobs: tuple[PlannedJob, ...]
    price: Price | None

    @property
    def new_jobs(self) -> tuple[PlannedJob, ...]:
        """The jobs that neither the store nor a running job answers."""
        return tuple(job for job in self.jobs if job.result is None)

    @property
    def pictures_max(self) -> int:
        """The most pictures that new jobs can make."""
        return sum(job.request.pictures_asked for job in self.new_jobs)

    @property
    def is_free(self) -> bool:
        """Whether nothing will be sent."""
        return not self.new_jobs

    @property
    def cost_text(self) -> str:
        """The most that it can cost: ``up to $0.12 (price as set)``, ``$0.00``, ``price unknown (…)``."""
        model = self.requests[0].model  # a call has one
        return cost_text(self.settings, {model: self.price}, {model: self.pictures_max})


def cost_text(settings: Settings, prices: Mapping[str, Price | None], wanted: Mapping[str, int]) -> str:
    """Return the most that pictures of models can cost: ``up to $0.12 (price as set)``, ``$0.00`` if there are none."""
    pictures, price = sum(wanted.values()), price_of(wanted, prices)
    if not pictures:
        return "$0.00"
    if settings.is_simulated:
        would = settings.simulator_price * pictures if settings.in_process else None
        return str(Cost.zero(Source.SIMULATED, f"would cost up to {format_amount(would)}" if would else ""))
    if price is None:
        return f"price unknown ({pluralize(pictures, 'picture')} at most)"
    cost = Cost(price.amount, price.currency, Source.ESTIMATED, price.note)
    return f"up to {str(cost).removeprefix('≈')}"


class Session:
    """Settings, clients, database and worker of one kernel; everything heavy is made on first use.

    Attributes
    ----------
    loader, clients, background
        What it works with.
    settings
        Returns the settings as they are now, of a named provider if one is given: some may change between cells.
    cell
        Returns the cell that runs now.
    last
        The jobs of this kernel with their cells, oldest first.
    runs
        What runs batches in this kernel, by the ids of the batches.
    left_alone
        A line about open jobs that ``resume`` did not touch; empty if there are none.
    """

    def __init__(
        self,
        loader: SettingsLoader | None = None,
        *,
        background: Background | None = None,
        clients: ClientPool | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.loader = loader or SettingsLoader()
        self.settings = self.loader.load
        self.background = background or Background()
        self.clients = clients or ClientPool(self.loader)
        self.wall_clock = wall_clock
        self.cell: Callable[[], CellId] = self._current_cell
        self._notebook: str | None = None
        self.last: list[tuple[CellId, Job]] = []
        self.runs: dict[str, Run] = {}
        self._asked_for: set[str] = set()
        self.left_alone, self.is_closed = "", False
        self.rng, self._clock, self._sleep = rng or random.SystemRandom(), clock, sleep
        self._occurrences = Occurrences()
        self._project: Project | None = None
        self._guard = threading.RLock()

    def _current_cell(self) -> CellId:
        """Return the cell that runs now. Its notebook is that of the first call: no variable lifts a budget."""
        cell = current_cell()
        self._notebook = cell.notebook if self._notebook is None else self._notebook
        return replace(cell, notebook=self._notebook)

    def known_project(self) -> Project | None:
        """Return the folder of pictures in use; None if there is none yet."""
        return self._project or (self.project() if ledger_exists(self.settings()) else None)

    def project(self) -> Project:
        """Return the folder of pictures in use, made if need be."""
        with self._guard:
            if self.is_closed:
                raise StoreError("This session of wan_notebook was closed.", hint="Run the cell again.")
            if self._project is None:
                settings = self.settings()
                storage = Storage(settings.folder)
                storage.ensure()
                storage.clean_parts()  # a kernel that was killed could not do it
                ledger = settings.ledger_url or settings.folder / LEDGER_NAME
                database = Database.open(ledger, wall_clock=self.wall_clock)
                worker = Worker(
                    self.background,
                    database,
                    storage,
                    self.clients,
                    settings=self.settings,
                    price_for=lambda row: self.budgets_of(self.settings(), row.notebook).unit_price(
                        row.provider, row.model, row.base_url
                    ),
                    rng=self.rng,
                    clock=self._clock,
                    wall_clock=self.wall_clock,
                    sleep=self._sleep,
                )
                self._project = Project(storage, database, worker, database.meta_get(REPLAY_META) == "only")
                self.loader.remember_folder(settings.folder)
            return self._project

    @property
    def budgets(self) -> BudgetBook:
        """The budgets that bind a call from this notebook."""
        return self.budgets_of(self.settings(), self.cell().notebook)

    def budgets_of(self, settings: Settings, notebook: str) -> BudgetBook:
        """Return the budgets that bind calls from a notebook to the service of these settings."""
        project = self.known_project()
        database = project.database if project else None
        return BudgetBook(self.loader, settings, database, notebook, self.wall_clock, lambda: self.project().database)

    def resolver(self, namespace: Mapping[str, Any], *, may_fetch: bool = True) -> Resolver:
        """Return what turns the values of one call into input pictures; a dry run fetches nothing."""

        def download(url: str) -> bytes:
            return self.background.submit(self.clients.fetcher().fetch_image(url)).result(DOWNLOAD_TIMEOUT_S)

        return Resolver(namespace, self.known_project(), download, may_fetch)

    # A call's way ----------------------------------------------------------------------------------------------------

    def plan(self, submission: Submission) -> Plan:
        """Return what ``submit`` would do, without doing it.

        Raises ``RequestError`` for a request that holds a key, ``ImageInputError`` for pictures that are too large
        together, and the submission's ``refusal``.
        """
        settings, project, cell = self.settings(submission.provider), self.known_project(), submission.cell
        lookup = Lookup(
            database=project.database if project and not submission.fresh else None,
            occurrences=self._occurrences,
            cell=cell,
            replay=self.replay_mode(settings),
            # An opened bundle shows its record as it is, whatever key its reader has.
            simulated_ok=settings.is_simulated or (project is not None and project.replays_only),
            rng=self.rng,
            now=self.wall_clock(),
        )
        requests, jobs = read_submission(submission, lookup)
        if any(job.result is None for job in jobs):
            # A key in any form would land in the ledger, in files and at the service.
            texts = {
                "name": [submission.name],
                "tag": submission.tags,
                "prompt": [request.prompt for request in submission.requests],
                "negative_prompt": [request.negative_prompt for request in submission.requests],
                "image": [image.name for request in submission.requests for image in request.images],
            }
            keys = self.loader.known_keys()
            if exposed := [field for field, given in texts.items() if keys.is_in(*given)]:
                raise RequestError([Problem(field, "", "contains an API key.", EXPOSED_HINT) for field in exposed])
            jobs = tuple(
                job
                if job.result
                else replace(job, request=job.request.replace(images=fit_request_body(job.request.images)))
                for job in jobs
            )
        run, notes = self._occurrences.run(cell), list(submission.notes)
        joined = [job.result for job in jobs if job.result and job.is_open]
        is_seedless = any(request.seed is None for request in requests)
        if is_seedless and any(row.versions.get(RUN_KEY) == run for row in joined):
            # A loop without a seed gets one picture each time round, where it may have meant several.
            notes.append("the same request in this run, shown again; -n 3 (n=3) makes three different pictures")
        price = self.budgets_of(settings, cell.notebook).unit_price(settings.provider, requests[0].model)
        pictures = sum(job.request.pictures_asked for job in jobs if job.result is None)
        if pictures > MANY_PICTURES and price is None and not settings.is_simulated:
            notes.append(f"{pictures} pictures, price unknown: `%wan budget 40 pictures` limits what a slip can cost")
        submission = replace(submission, notes=tuple(notes))
        return Plan(submission=submission, settings=settings, requests=requests, jobs=jobs, price=price)

    def submit(self, what: Submission | Plan) -> Job:
        """Take what the store has, join what is under way, and order the rest: on disk first, then sent.

        Raises ``BudgetError``, ``ReplayError``, ``RequestError``, ``SettingsError`` or ``StoreError``; then nothing
        was sent. An interrupt only ends the waiting here: what was ordered goes on and is in the history.
        """
        with self._guard:
            plan = what if isinstance(what, Plan) else self.plan(what)
            submission, settings = plan.submission, plan.settings
            # One run of a cell is one occurrence of every reading's requests without a seed.
            for request in itertools.chain(submission.requests, *former_readings(submission)):
                if request.seed is None:
                    self._occurrences.count(request.request_hash(with_seed=False), submission.cell)
        if self.replay_mode(settings) == "only":
            refuse_unanswered(plan.jobs, fresh=submission.fresh, by_store=settings.replay != "only")
        if all(job.result and not job.is_open for job in plan.jobs):
            return self._place(plan)
        self.require_usable(settings)
        return self.background.submit(self.background.in_thread(self._place, plan)).result()

    def require_usable(self, settings: Settings) -> None:
        """Raise ``SettingsError`` if nothing could be sent with these settings."""
        project, is_simulator = self.known_project(), settings.provider == "simulator"
        has_real_jobs = is_simulator and project is not None and project.database.has_real_jobs()
        self.clients.require_usable(settings, has_real_jobs)

    def run_of(self, cell: CellId) -> str:
        """Return the name of this execution of a cell, as rows keep it."""
        return self._occurrences.run(cell)

    def _place(self, plan: Plan) -> Job:
        """Write down what is new within the budget, start it, follow what is open, and return the job."""
        submission, settings, cell = plan.submission, plan.settings, plan.submission.cell
        project = self._project or self.project()
        worker, made, skipped = project.worker, list[tuple[JobRow, bool]](), list[str]()
        # What was found open may have ended since: the transaction that would create its twin looks again.
        is_former = plan.requests != submission.requests
        wanted = [at for at, job in enumerate(plan.jobs) if (not job.result or job.is_open) and not is_former]
        if wanted:
            large = 4 if plan.requests[0].limits.total_max_px > 2048**2 else 1
            project.storage.check_writable(need_bytes=len(wanted) * large * FREE_BYTES_PER_PICTURE)
            budgets, run = self.budgets_of(settings, cell.notebook), self._occurrences.run(cell)
            skipped = budgets.skipped
            model, asked = plan.requests[0].model, sum(plan.jobs[at].request.pictures_asked for at in wanted)
            price = budgets.counted_prices([model])[model]
            new = [new_job(plan.jobs[at], submission, settings, price, project.storage, run) for at in wanted]
            with budgets.checked({model: asked}) as check:
                made = project.database.create_or_join(
                    new,
                    check=check,
                    owner=worker.owner,
                    simulated_ok=settings.is_simulated,
                    replacing=submission.replacing,
                    fresh=submission.fresh,
                    replay=settings.replay != "off",
                )
        for at, (answer, is_new) in zip(wanted, made, strict=True):
            if not is_new and (versions := shared_versions(answer, plan.jobs[at].occurrence, cell)):
                project.database.update(answer.id, versions=versions)
        rows = {at: row for at, (row, _) in zip(wanted, made, strict=True)}
        fresh = {row.id for row, is_new in made if is_new}
        tracked = [worker.track(row) for at, job in enumerate(plan.jobs) if (row := rows.get(at, job.result))]
        replayed = frozenset(job.id for job in tracked if job.id not in fresh and job.status in FINAL)
        if open_jobs := [job for job in tracked if job.status not in FINAL]:
            # One that was joined is sent, too: its owner may never do it.
            intents = {at: row for at, row in rows.items() if row.status is Status.INTENT}
            requests = {row.id: plan.jobs[at].request.replace(seed=row.seed) for at, row in intents.items()}
            worker.start(open_jobs, requests)
        request, notes = plan.requests[0].replace(seed=tracked[0].row.seed), () if fresh else submission.notes
        notes = (*notes, *(f"the budget does not count {folder}, which cannot be read" for folder in skipped))
        job = Job(tracked, worker, request=request, name=submission.name, replayed=replayed, notes=notes)
        self.last.append((cell, job))
        return job

    def replay_mode(self, settings: Settings) -> Replay:
        """Return the mode of replay; an opened bundle's folder says by itself that nothing is bought."""
        project = self.known_project()
        return "only" if settings.replay == "on" and project is not None and project.replays_only else settings.replay

    # Jobs of the history ---------------------------------------------------------------------------------------------

    def job(self, id_or_prefix: str) -> Job:
        """Return a job of the history. Raises ``StoreError`` naming the newest ids."""
        return self.job_of_row(self.project().database.get(id_or_prefix))

    def job_of_row(self, row: JobRow, *, is_alone: bool = False) -> Job:
        """Return a row's job; one that is open is followed.

        The first row of a group stands for all of it, unless ``is_alone``.
        """
        is_group = row.id == row.group_id and not is_alone
        return self.job_of_rows(self.project().database.group(row.group_id) if is_group else [row])

    def job_of_rows(self, rows: Sequence[JobRow]) -> Job:
        """Return one job for these rows, as ``job_of_row`` does."""
        worker = self.project().worker
        tracked = [worker.track(row) for row in rows]
        self.follow([job.row for job in tracked if job.status not in FINAL])
        return Job(tracked, worker, request=self.request_of(rows[0]), name=rows[0].name)

    def request_of(self, row: JobRow) -> ImageRequest:
        """Return the request that a row was made from."""
        return request_of_row(row, self.project().storage)

    def resume(self, *, foreign: bool = False) -> list[TrackedJob]:
        """Go on with every open job that no living kernel works on.

        Jobs that were made with a key which is not in use here are left alone unless ``foreign``: they may come from
        somebody else's folder. ``left_alone`` says so.
        """
        self.left_alone = ""
        project = self.known_project()
        rows = project.database.open_jobs() if project else []
        # What waits in a batch is the batch's to send.
        rows = [row for row in rows if row.status is not Status.INTENT or not row.versions.get(BATCH_KEY)]
        return self.follow(rows, foreign=foreign)

    def follow(self, rows: Sequence[JobRow], *, foreign: bool = False) -> list[TrackedJob]:
        """Go on with these open jobs, as ``resume`` does with all."""
        if not rows or self.replay_mode(self.settings()) == "only":
            return []
        worker = self.project().worker
        jobs = [worker.track(row) for row in rows]
        self._asked_for |= {job.id for job in jobs if foreign}
        if others := [job for job in jobs if not (job.id in self._asked_for or self._is_ours(job.row))]:
            said = "made with another key: left alone. `%wan resume --all` asks their service."
            self.left_alone = f"{pluralize(len(others), 'job')} {said}"
            for job in others:
                self.background.call(job.stop, said)
        if jobs := [job for job in jobs if job not in others]:
            worker.start(jobs, {})
        return jobs

    def _is_ours(self, row: JobRow) -> bool:
        if row.is_simulated and row.provider == "simulator":
            return True
        with suppress(SettingsError):
            # Without a key here nothing can be given away: the client says which variable is missing.
            return self.settings(row.provider).key_fingerprint in ("", row.key_fingerprint)
        return False

    def resolve(self, job: Job, choice: str, task_id: str = "") -> str:
        """Settle a job in doubt: ``adopt`` its task, send it ``again``, or ``abandon`` it; return what was done."""
        return resolve_job(job, choice, task_id, resubmit=self._resubmit)

    def _resubmit(self, job: Job, ids: Sequence[str]) -> Job:
        rows = [row for row in job.rows if row.id in ids]
        return self.submit(
            Submission(
                requests=tuple(self.request_of(row) for row in rows),
                name=job.name,
                tags=rows[0].tags,
                fresh=True,
                provider=rows[0].provider,
                replacing=tuple(ids),
                cell=self.cell(),
            )
        )

    def empty_trash(self) -> int:
        """Delete the files of jobs that have been in the trash for 30 days; return how many."""
        project = self.project()

        def is_gone(file: str) -> bool:
            try:
                project.storage.delete(file)
            except StoreError as error:
                print(f"not deleted: {error.message}", file=sys.stderr)  # noqa: T201 - the others are
                return False
            return True

        return project.database.purge_trash(self.wall_clock() - TRASH_KEPT_S, is_gone)

    # The end ---------------------------------------------------------------------------------------------------------

    def forget_clients(self) -> None:
        """Use new keys and addresses from now on."""
        if self._project is not None:
            self.background.call(self._project.worker.wake, True)

    def close(self, *, grace_s: float = 0.0) -> None:
        """Let go of everything; jobs at the service go on, and their ids are on disk.

        What is about to be sent gets ``grace_s`` for it.
        """
        with self._guard:
            self.is_closed = True
            project, self._project = self._project, None

        async def end() -> None:
            if project is not None:
                await project.worker.shutdown(grace_s)
            await self.clients.aclose()  # also under a submit that waits: the next kernel calls it in doubt

        if self.background.is_running:
            with suppress(TimeoutError):  # a connection that does not close must not hold up the end
                self.background.submit(end()).result(grace_s + END_S)
            self.background.stop()
        if project is not None:
            for run in self.runs.values():
                with suppress(WanError):
                    project.database.release_batch(run.batch, project.worker.owner)
            project.worker.close()
            project.database.close()

    def end(self) -> None:
        """Close at the end of the program, and tell a script which jobs go on."""
        jobs = self._project.worker.mine if self._project is not None else []
        self.close(grace_s=GRACE_S)
        if current_shell() is None and (line := goodbye(jobs)):
            print(line, file=sys.stderr)  # noqa: T201 - a script's own last words

    def leave(self) -> None:
        """Touch nothing more, in a forked process: threads, connections and leases are its parent's."""
        self.is_closed, self.background.on_exit = True, None
        if self._project is not None:
            self._project.database.close(is_forked=True)
            self._project = None


# One session a process -----------------------------------------------------------------------------------------------

_sessions: dict[Path | None, Session] = {}
"""The default session under None, those of pickled jobs of other folders under their folder."""
_inherited: list[Session] = []
_sessions_guard = threading.Lock()


def default_session(loader: SettingsLoader | None = None, *, folder: Path | None = None) -> Session:
    """Return this process's session (or its session of another folder), made on first use, with ``loader`` if given.

    Raises ``SettingsError`` in a process that was forked after that.
    """
    if _inherited:
        message = "this process was forked from one that uses wan_notebook, and may not open its ledger."
        hint = "Use the method spawn: multiprocessing.get_context('spawn'); or make pictures in the first process only."
        raise SettingsError(message, hint=hint)
    with _sessions_guard:
        session = _sessions.get(folder)
        if session is None or session.is_closed:
            session = _sessions[folder] = Session(loader or SettingsLoader(folder=folder))
            if folder is None:
                session.background.on_exit = session.end
        return session


def reopen(folder: str, ids: tuple[str, ...], _name: str = "") -> Job:
    """Return a pickled job, from the folder that it belongs to. Raises ``StoreError`` if that is gone."""
    session, path = default_session(), Path(folder)
    if session.loader.folder != path:
        session = default_session(folder=path)
    if not ledger_exists(session.settings()):
        message = f"this job belongs to {path}, which does not exist here."
        raise StoreError(message, hint="Bring that folder back to where it was: its pictures are in it.")
    return session.job_of_rows([session.project().database.get(job_id) for job_id in ids])


def _after_fork() -> None:
    for session in _sessions.values():
        session.leave()
    _inherited.extend(_sessions.values())
    _sessions.clear()


copyreg.pickle(Job, lambda job: (reopen, (str(job.worker.storage.folder), tuple(row.id for row in job.rows), job.name)))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
