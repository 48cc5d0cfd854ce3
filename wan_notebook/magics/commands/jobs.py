"""Commands on jobs: show, wait, cancel, resume, resolve, save, star, tag, trash."""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ...batch import Batch, find_batch
from ...database import SETTLED, JobRow, Status, count_open
from ...display import join_facts, pages_bundles, picture_bundle, publish, versions_bundle
from ...errors import CellError, JobError
from ...jobs import Job, Picture, explain, status_words
from ...money import Total
from ...settings import LEDGER_NAME
from ...text import pluralize
from ..magics import open_lines
from ..runner import Pick, Runner


def run_show(options: argparse.Namespace, runner: Runner) -> None:
    """Show jobs again, single pictures, or a batch; what is running gets a live card."""
    found = runner.named(options.job)
    if isinstance(found, Batch) and not (options.takes or options.all):
        runner.show(found)
        return
    for job, index in runner.picks(options.job) if isinstance(found, Batch) else found:
        if options.takes:
            publish(versions_bundle(job, runner.session))
        elif options.all and job.is_done:
            for bundle in pages_bundles(job, runner.session):
                publish(bundle)
        elif index is not None:
            publish(picture_bundle(job[index], runner.session))
        else:
            runner.show(job)


def run_wait(options: argparse.Namespace, runner: Runner) -> None:
    """Wait for one job, or for all that are open: one live line, then one line of result."""
    session = runner.session
    if options.job:
        found = runner.named(options.job)
        for one in [found] if isinstance(found, Batch) else [job for job, _ in found]:
            runner.show(one.result(options.timeout), wait=True)
        return
    batches = [Batch(session, run.batch) for run in session.runs.values() if not run.done.done()]
    rows, worker = _open_rows(runner, batches), session.project().worker
    unsent = [row for row in rows if row.is_abandoned(session.wall_clock()) and not worker.may_send(row)]
    jobs = [session.job_of_row(row, is_alone=True) for row in rows if row not in unsent]
    left = f"{len(unsent)} not sent: run the cell again" if unsent else ""
    if not (jobs or batches):
        runner.say(left or "Nothing is running.")
        return
    begin_s, width = time.monotonic(), 0
    waiting: list[Job | Batch] = [*jobs, *batches]
    while waiting and (options.timeout is None or time.monotonic() - begin_s < options.timeout):
        line = _progress(jobs, batches, begin_s)
        print(f"\r{line:<{(width := max(width, len(line)))}}", end="", flush=True)  # noqa: T201 - written over
        is_over = True
        with suppress(JobError):  # it does not go on before a person acts; the summary says in which state it is
            is_over = waiting[0].wait(0.5)
        waiting = waiting[is_over:]
    goes_on = " · what is not finished goes on" if waiting else ""
    cost = sum((job.cost for job in jobs), sum((batch.cost for batch in batches), Total()))
    line = join_facts([_progress(jobs, batches, begin_s), f"{cost}{goes_on}", left])
    runner.show_text(f"\r{line:<{width}}")  # what was longer would be read as part of the amount


def _progress(jobs: Sequence[Job], batches: Sequence[Batch], begin_s: float) -> str:
    """Write ``22 of 24 saved, 2 running · 10 s``."""
    found = Counter(status_words(row) for job in jobs for row in job.rows)
    for batch in batches:
        found.update({status_words(JobRow(status=Status(name))): count for name, count in batch.status.items()})
    saved, total = found.pop("saved", 0), found.total()
    counts = [f"{saved} of {saved + total} saved", *(f"{n} {words}" for words, n in found.items())]
    return f"{', '.join(counts)} · {time.monotonic() - begin_s:.0f} s"


def _open_rows(runner: Runner, batches: Sequence[Batch] = ()) -> list[JobRow]:
    """Return every task that is not settled, but those of some batches."""
    if (project := runner.session.known_project()) is None:
        return []
    database = project.database
    others = {task.job_id for batch in batches for task in database.batch_tasks(batch.row, only_open=True)}
    return [row for row in database.open_jobs() if row.status not in SETTLED and row.id not in others]


def run_cancel(options: argparse.Namespace, runner: Runner) -> None:
    """Cancel where the service can, and say what that means; batches send nothing more."""
    if not options.job and not options.all:
        raise CellError("`%wan cancel` needs a job.", hint="Example: `%wan cancel fox`, or `%wan cancel --all`.")
    session, lines = runner.session, list[str]()
    if options.all:
        project = session.known_project()
        known = [Batch(session, row) for row in project.database.batches()] if project else []
        batches = [batch for batch in known if not batch.is_done]
        lines += [f"batch {batch.name or batch.id}: {batch.cancel()}" for batch in batches]
        jobs = [session.job_of_row(row, is_alone=True) for row in _open_rows(runner, batches)]
    elif isinstance(found := runner.named(options.job), Batch):
        lines, jobs = [found.cancel()], []
    else:
        jobs = [job for job, _ in found]
    runner.say(*dict.fromkeys([*lines, *(job.cancel() for job in jobs)]) or ["Nothing is running."])


def run_resume(options: argparse.Namespace, runner: Runner) -> None:
    """Go on with every unfinished job, and say what is open."""
    session = runner.session
    resumed = session.resume(foreign=options.all)
    lines = [f"{pluralize(len(resumed), 'job')} picked up" if resumed else "", session.left_alone]
    lines[1:1] = open_lines(count_open(session.loader.folder / LEDGER_NAME), session.wall_clock(), advice="")
    runner.say(*list(filter(None, lines)) or ["Nothing is open."])


def run_resolve(options: argparse.Namespace, runner: Runner) -> None:
    """Decide about a job that may or may not have arrived; without a choice, show what is known."""
    words = [options.job, options.choice, options.task]
    if not (options.job or options.batch):
        raise CellError("`%wan resolve` needs a job.", hint="Example: `%wan resolve a3f9 again`.")
    if options.batch:
        found: Batch | list[Pick] = find_batch(runner.session, options.batch)
    else:
        found, *words = runner.named(options.job), *words[1:]
    if isinstance(found, Batch):
        if words[0] not in ("again", "abandon") or any(words[1:]):
            hint = f"Write `%wan resolve --batch {found.name or found.id} again`, or `abandon`."
            raise CellError("a batch is resolved as a whole.", hint=hint)
        runner.say(found.resolve(words[0]))
        return
    job, choice = found[0][0], options.choice
    if choice is None:
        runner.say(explain(job))
        return
    if (choice == "adopt") != bool(options.task):
        hint = f"Write `%wan resolve {options.job} adopt TASK`, `again` or `abandon`."
        raise CellError("only adopt takes a task's id, and needs it.", hint=hint)
    runner.say(runner.session.resolve(job, choice, options.task or ""))
    if choice == "adopt":
        runner.show(job)


def run_save(options: argparse.Namespace, runner: Runner) -> None:
    """Copy a job's pictures, one of them, or those of a batch elsewhere."""
    found = runner.named(options.job)
    if isinstance(found, Batch):
        files = found.save(options.path, clean=options.clean, overwrite=options.force)
        runner.say(f"saved {pluralize(len(files), 'picture')} in {options.path}")
        return
    for job, index in found:
        saved = (job if index is None else job[index]).save(options.path, clean=options.clean, overwrite=options.force)
        runner.say(*(f"saved {file}" for file in ([saved] if isinstance(saved, Path) else saved)))


def run_star(options: argparse.Namespace, runner: Runner) -> None:
    """Star jobs, pictures or all jobs of a batch, or take the star away."""
    found, picks = runner.named(options.job), list[Job | Picture]()
    picks += found.jobs if isinstance(found, Batch) else [job if index is None else job[index] for job, index in found]
    is_starred = all((pick.rows[0] if isinstance(pick, Job) else pick.row).is_starred for pick in picks)
    for pick in picks:
        pick.mark(is_starred=not is_starred)
    runner.say(f"{options.job} is {'no longer starred' if is_starred else 'starred'}.")


def _jobs_of(word: str, runner: Runner) -> list[Job]:
    """Return the jobs that a word names; of a picture, the one that made it, without the others of its call."""
    return [
        job if index is None else runner.session.job_of_row(job[index].tracked.row, is_alone=True)
        for job, index in runner.picks(word)
    ]


def run_tag(options: argparse.Namespace, runner: Runner) -> None:
    """Add tags to jobs or to all of a batch, or take them away."""
    if isinstance(found := runner.named(options.job), Batch):
        tags = found.tag(remove=options.words) if options.remove else found.tag(*options.words)
        runner.say(f"tags of {pluralize(len(found), 'job')} of {options.job}: {', '.join(tags) or 'none'}")
        return
    for job in _jobs_of(options.job, runner):
        tags = job.tag(remove=options.words) if options.remove else job.tag(*options.words)
        runner.say(f"tags of job {job.id}: {', '.join(tags) or 'none'}")


def run_trash(options: argparse.Namespace, runner: Runner) -> None:
    """Put jobs into the trash, or take them out again (``--undo``); a cell that runs again undoes nothing."""
    for job in dict.fromkeys(_jobs_of(options.job, runner)):
        if options.undo:
            job.untrash()
            runner.say(f"job {job.id} is out of the trash.")
        else:
            job.trash()
            runner.say(
                f"job {job.id} is in the trash: all but its cost is deleted after 30 days.",
                f"To undo: `%wan trash {options.job} --undo`",
            )
    runner.session.empty_trash()
