"""Commands on jobs: show, wait, cancel, resume, resolve, save, star, tag, trash."""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ...database import SETTLED, Status, count_open
from ...display import pages_bundles, picture_bundle, publish, versions_bundle
from ...errors import CellError, JobError
from ...jobs import Job, explain, status_words
from ...money import Total
from ...settings import LEDGER_NAME
from ...text import pluralize
from ..magics import open_lines
from ..runner import Runner


def run_show(options: argparse.Namespace, runner: Runner) -> None:
    """Show jobs again, or single pictures; a running job gets a live card."""
    for job, index in runner.picks(options.job):
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
    if options.job:
        for job, _ in runner.picks(options.job):
            runner.show(job.result(options.timeout), wait=True)
        return
    jobs = _open_jobs(runner)
    if not jobs:
        runner.say("Nothing is running.")
        return
    begin_s, waiting, width = time.monotonic(), list(jobs), 0
    while waiting and (options.timeout is None or time.monotonic() - begin_s < options.timeout):
        line = _progress(jobs, begin_s)
        print(f"\r{line:<{(width := max(width, len(line)))}}", end="", flush=True)  # noqa: T201 - written over
        is_over = True
        with suppress(JobError):  # it does not go on before a person acts; the summary says in which state it is
            is_over = waiting[0].wait(0.5)
        waiting = waiting[is_over:]
    goes_on = " · what is not finished goes on" if waiting else ""
    line = f"{_progress(jobs, begin_s)} · {sum((job.cost for job in jobs), Total())}{goes_on}"
    runner.show_text(f"\r{line:<{width}}")  # what was longer would be read as part of the amount


def _progress(jobs: Sequence[Job], begin_s: float) -> str:
    """Write ``22 of 24 saved, 2 running · 10 s``."""
    rows = [row for job in jobs for row in job.rows]
    others = Counter(status_words(row) for row in rows if row.status is not Status.SAVED)
    counts = [f"{len(rows) - others.total()} of {len(rows)} saved", *(f"{n} {words}" for words, n in others.items())]
    return f"{', '.join(counts)} · {time.monotonic() - begin_s:.0f} s"


def _open_jobs(runner: Runner) -> list[Job]:
    """Return every task that is not settled as a job of its own."""
    project = runner.session.known_project()
    rows = [row for row in project.database.open_jobs() if row.status not in SETTLED] if project else []
    return [runner.session.job_of_row(row, is_alone=True) for row in rows]


def run_cancel(options: argparse.Namespace, runner: Runner) -> None:
    """Cancel where the service can, and say what that means."""
    if not options.job and not options.all:
        raise CellError("`%wan cancel` needs a job.", hint="Example: `%wan cancel fox`, or `%wan cancel --all`.")
    jobs = _open_jobs(runner) if options.all else [job for job, _ in runner.picks(options.job)]
    runner.say(*(dict.fromkeys(job.cancel() for job in jobs)) or ["Nothing is running."])


def run_resume(options: argparse.Namespace, runner: Runner) -> None:
    """Go on with every unfinished job, and say what is open."""
    session = runner.session
    resumed = session.resume(foreign=options.all)
    lines = [f"{pluralize(len(resumed), 'job')} picked up" if resumed else "", session.left_alone]
    lines[1:1] = open_lines(count_open(session.loader.folder / LEDGER_NAME), session.wall_clock(), advice="")
    runner.say(*list(filter(None, lines)) or ["Nothing is open."])


def run_resolve(options: argparse.Namespace, runner: Runner) -> None:
    """Decide about a job that may or may not have arrived; without a choice, show what is known."""
    job, choice = runner.picks(options.job)[0][0], options.choice
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
    """Copy a job's pictures, or one of them, elsewhere."""
    for job, index in runner.picks(options.job):
        saved = (job if index is None else job[index]).save(options.path, clean=options.clean, overwrite=options.force)
        runner.say(*(f"saved {file}" for file in ([saved] if isinstance(saved, Path) else saved)))


def run_star(options: argparse.Namespace, runner: Runner) -> None:
    """Star jobs or pictures, or take the star away."""
    picks = [job if index is None else job[index] for job, index in runner.picks(options.job)]
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
    """Add tags to jobs, or take them away."""
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
