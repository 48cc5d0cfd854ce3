"""Commands on jobs: show, wait, cancel, resume, resolve, save, star, tag, trash."""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ...batch import Batch, find_batch
from ...database import SETTLED, count_open
from ...display import pages_bundles, picture_bundle, publish, versions_bundle
from ...errors import CellError, JobError
from ...jobs import Job, explain, status_words
from ...money import Total
from ...settings import LEDGER_NAME
from ...text import pluralize
from ..magics import open_lines
from ..runner import Runner

SAID_MAX: Final = 20


def run_show(options: argparse.Namespace, runner: Runner) -> None:
    """Show jobs again, single pictures, or batches; what is running gets a live card."""
    find = runner.picks if options.takes or options.all else runner.things
    for job, index in find(options.job):
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
    """Wait for one job or batch, or for all that are open: one live line, then one line of result."""
    if options.job:
        for one, _ in runner.things(options.job):
            runner.show(one.result(options.timeout), wait=True)
        return
    found = _going(runner)
    if not found:
        runner.say("Nothing is running.")
        return
    begin_s, waiting, width = time.monotonic(), list(found), 0
    while waiting and (options.timeout is None or time.monotonic() - begin_s < options.timeout):
        line = _progress(found, begin_s)
        print(f"\r{line:<{(width := max(width, len(line)))}}", end="", flush=True)  # noqa: T201 - written over
        is_over = True
        with suppress(JobError):  # it does not go on before a person acts; the summary says in which state it is
            is_over = waiting[0].wait(0.5)
        waiting = waiting[is_over:]
    goes_on = " · what is not finished goes on" if waiting else ""
    progress = _progress(found, begin_s, "queued" if waiting else "not sent: run the cell again")
    line = f"{progress} · {sum((one.cost for one in found), Total())}{goes_on}"
    runner.show_text(f"\r{line:<{width}}")  # what was longer would be read as part of the amount


def _progress(found: Sequence[Job | Batch], begin_s: float, queued: str = "queued") -> str:
    """Write ``22 of 24 saved, 2 running · 10 s``."""
    counts = Counter[str]()
    for one in found:
        words = one.status if isinstance(one, Batch) else Counter(status_words(row) for row in one.rows)
        for word, count in words.items():
            counts[queued if word in ("queued", "intent") else word.replace("_", " ")] += count
    total, saved = counts.total(), counts.pop("saved", 0)
    said = ", ".join([f"{saved} of {total} saved", *(f"{n} {words}" for words, n in counts.items())])
    return f"{said} · {time.monotonic() - begin_s:.0f} s"


def _going(runner: Runner) -> list[Job | Batch]:
    """Return what is not settled: batches, and every other task as a job of its own."""
    if (project := runner.session.known_project()) is None:
        return []
    session, database = runner.session, project.database
    batches = [Batch(session, row) for row in database.batches() if row.finished_at is None]
    batches = [batch for batch in batches if not batch.is_done]
    taken = {task.job_id for batch in batches for task in database.batch_tasks(batch.row, only_open=True)}
    rows = [row for row in database.open_jobs() if row.status not in SETTLED and row.id not in taken]
    return [*(session.job_of_row(row, is_alone=True) for row in rows), *batches]


def run_cancel(options: argparse.Namespace, runner: Runner) -> None:
    """Cancel where the service can, and say what that means; a batch sends nothing more."""
    if not options.job and not options.all:
        raise CellError("`%wan cancel` needs a job.", hint="Example: `%wan cancel fox`, or `%wan cancel --all`.")
    found = _going(runner) if options.all else [one for one, _ in runner.things(options.job)]
    runner.say(*(dict.fromkeys(one.cancel() for one in found)) or ["Nothing is running."])


def run_resume(options: argparse.Namespace, runner: Runner) -> None:
    """Go on with every unfinished job, and say what is open."""
    session = runner.session
    resumed = session.resume(foreign=options.all)
    lines = [f"{pluralize(len(resumed), 'job')} picked up" if resumed else "", session.left_alone]
    lines[1:1] = open_lines(count_open(session.loader.folder / LEDGER_NAME), session.wall_clock(), advice="")
    runner.say(*list(filter(None, lines)) or ["Nothing is open."])


def run_resolve(options: argparse.Namespace, runner: Runner) -> None:
    """Decide about a job that may or may not have arrived; without a choice, show what is known."""
    job: Any
    if options.batch:
        job, choice, task = find_batch(runner.session, options.batch), options.job, options.choice
    else:
        job, choice, task = runner.things(options.job)[0][0], options.choice, options.task
    if isinstance(job, Batch):
        if choice not in ("again", "abandon") or task:
            hint = f"Write `%wan resolve --batch {job.name or job.id} again`, or `abandon`."
            raise CellError("a batch is resolved as a whole.", hint=hint)
        runner.say(job.resolve(choice))
        return
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
    """Copy the pictures of a job or batch, or one of them, elsewhere."""
    for job, index in runner.things(options.job):
        saved = (job if index is None else job[index]).save(options.path, clean=options.clean, overwrite=options.force)
        files = [saved] if isinstance(saved, Path) else saved
        more = [f"and {len(files) - SAID_MAX} more"] if len(files) > SAID_MAX else []
        runner.say(*(f"saved {file}" for file in files[:SAID_MAX]), *more)


def run_star(options: argparse.Namespace, runner: Runner) -> None:
    """Star jobs, pictures or all jobs of a batch, or take the star away."""
    things = [one if index is None else one[index] for one, index in runner.things(options.job)]
    picks = [pick for one in things for pick in (one.jobs if isinstance(one, Batch) else [one])]
    is_starred = all((pick.rows[0] if isinstance(pick, Job) else pick.row).is_starred for pick in picks)
    for pick in picks:
        pick.mark(is_starred=not is_starred)
    runner.say(f"{options.job} is {'no longer starred' if is_starred else 'starred'}.")


def _jobs_of(found: Sequence[tuple[Any, int | None]], runner: Runner) -> list[Any]:
    """Return what a word names; for a picture the job that made it, without the others of its call."""
    return [
        job if index is None else runner.session.job_of_row(job[index].tracked.row, is_alone=True)
        for job, index in found
    ]


def run_tag(options: argparse.Namespace, runner: Runner) -> None:
    """Add tags to jobs, or to all of a batch, or take them away."""
    for one in _jobs_of(runner.things(options.job), runner):
        tags = one.tag(remove=options.words) if options.remove else one.tag(*options.words)
        what = f"batch {one.name or one.id}" if isinstance(one, Batch) else f"job {one.id}"
        runner.say(f"tags of {what}: {', '.join(tags) or 'none'}")


def run_trash(options: argparse.Namespace, runner: Runner) -> None:
    """Put jobs into the trash, or take them out again (``--undo``); a cell that runs again undoes nothing."""
    for job in dict.fromkeys(_jobs_of(runner.picks(options.job), runner)):
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
