"""Commands on jobs: show, wait, cancel, resume, resolve, save, star, tag, trash."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...database import SETTLED, Status, count_open
from ...display import FrontEnd, message_bundle, pages_bundles, picture_bundle, publish, versions_bundle
from ...errors import CellError, JobError
from ...jobs import Job, explain, status_words
from ...money import Total
from ...text import pluralize
from ..magics import open_lines
from ..runner import Runner

_STEP_S = 0.5


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
    line, begin_s, waiting = _LiveLine(runner.front_end), time.monotonic(), list(jobs)
    while waiting and (options.timeout is None or time.monotonic() - begin_s < options.timeout):
        line.update(_progress(jobs, begin_s))
        try:
            is_over = waiting[0].wait(_STEP_S)
        except JobError:  # it does not go on before a person acts; the summary says in which state it is
            is_over = True
        waiting = waiting[1:] if is_over else waiting
    line.finish(f"{_progress(jobs, begin_s)} · {sum((job.cost for job in jobs), Total())}")


def _progress(jobs: Sequence[Job], begin_s: float) -> str:
    """Write ``22 of 24 saved, 2 running · 10 s``."""
    rows = [row for job in jobs for row in job.rows]
    others = Counter(status_words(row) for row in rows if row.status is not Status.SAVED)
    saved = f"{len(rows) - others.total()} of {len(rows)} saved"
    counts = [saved, *(f"{count} {words}" for words, count in others.most_common())]
    return f"{', '.join(counts)} · {time.monotonic() - begin_s:.0f} s"


class _LiveLine:
    """One line of text that is written over while a command waits, then stays as its result."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._handle: Any = None
        self._width = 0

    def update(self, text: str) -> None:
        """Show how far it is; where nobody watches, nothing."""
        if self._front_end is FrontEnd.TERMINAL:
            self._width = max(self._width, len(text))
            sys.stdout.write(f"\r{text.ljust(self._width)}")
            sys.stdout.flush()
        elif self._front_end is not FrontEnd.HEADLESS:
            self.finish(text)

    def finish(self, text: str) -> None:
        """Show the result in the same place."""
        from IPython.display import display

        sys.stdout.write(f"\r{' ' * self._width}\r" if self._width else "")
        data, metadata = message_bundle(text)
        if self._handle is None:
            self._handle = display(data, metadata=metadata, raw=True, display_id=True)
        else:
            self._handle.update(data, metadata=metadata, raw=True)


def _open_jobs(runner: Runner) -> list[Job]:
    """Return every job that is not settled, each task once: a group stands for its members."""
    project = runner.session.known_project()
    found: dict[str, Job] = {}
    for row in project.database.open_jobs() if project else []:
        if row.id not in found and row.status not in SETTLED:
            job = runner.session.job_of_row(row)
            found |= dict.fromkeys((tracked.id for tracked in job.tracked), job)
    return list(dict.fromkeys(found.values()))


def run_cancel(options: argparse.Namespace, runner: Runner) -> None:
    """Cancel where the service can, and say what that means."""
    if not options.job and not options.all:
        hint = "Example: `%wan cancel fox`, or `%wan cancel --all`."
        raise CellError("`%wan cancel` needs a job.", hint=hint)
    jobs = _open_jobs(runner) if options.all else [job for job, _ in runner.picks(options.job)]
    runner.say(*(dict.fromkeys(job.cancel() for job in jobs)) or ["Nothing is running."])


def run_resume(options: argparse.Namespace, runner: Runner) -> None:
    """Go on with every unfinished job, and say what is open."""
    session = runner.session
    resumed = session.resume(foreign=options.all)
    project = session.known_project()
    path = project.database.path if project else None
    lines = open_lines(count_open(path), session.wall_clock(), advice="") if path else []
    lines = lines or [f"{pluralize(len(resumed), 'job')} picked up"] * bool(resumed)
    runner.say(*filter(None, [*lines, session.left_alone]) if lines or session.left_alone else ["Nothing is open."])


def run_resolve(options: argparse.Namespace, runner: Runner) -> None:
    """Decide about a job that may or may not have arrived; without a choice, show what is known."""
    job, choice = runner.picks(options.job)[0][0], options.choice
    if choice is None:
        runner.say(explain(job))
        return
    if (choice == "adopt") != bool(options.task):
        what = "needs the task's id" if choice == "adopt" else "takes nothing after it"
        example = f"%wan resolve {options.job} {choice}{' TASK' if choice == 'adopt' else ''}"
        raise CellError(f"{choice} {what}.", hint=f"Write `{example}`")
    runner.say(runner.session.resolve(job, choice, options.task or ""))
    if choice == "adopt":
        runner.show(job)


def run_save(options: argparse.Namespace, runner: Runner) -> None:
    """Copy a job's pictures, or one of them, elsewhere."""
    saved = []
    for job, index in runner.picks(options.job):
        if index is None:
            saved += job.save(options.path, clean=options.clean, overwrite=options.force)
        else:
            saved.append(job[index].save(options.path, clean=options.clean, overwrite=options.force))
    runner.say(*(f"saved {file}" for file in saved))


def run_star(options: argparse.Namespace, runner: Runner) -> None:
    """Star jobs or pictures, or take the star away."""
    picks = [job if index is None else job[index] for job, index in runner.picks(options.job)]
    is_starred = (picks[0].rows[0] if isinstance(picks[0], Job) else picks[0].row).is_starred
    for pick in picks:
        pick.mark(is_starred=not is_starred)
    runner.say(f"{options.job} is {'no longer starred' if is_starred else 'starred'}.")


def _jobs_of(word: str, runner: Runner) -> list[Job]:
    """Return the jobs that a word names; of a picture, the one that made it, without the others of its call."""
    picks = runner.picks(word)
    return [
        job if index is None else runner.session.job_of_row(job[index].tracked.row, is_alone=True)
        for job, index in picks
    ]


def run_tag(options: argparse.Namespace, runner: Runner) -> None:
    """Add tags to jobs, or take them away."""
    for job in _jobs_of(options.job, runner):
        tags = job.tag(remove=options.words) if options.remove else job.tag(*options.words)
        runner.say(f"tags of job {job.id}: {', '.join(tags) or 'none'}")


def run_trash(options: argparse.Namespace, runner: Runner) -> None:
    """Put jobs into the trash, or take them out again (``--undo``, or the same command once more)."""
    for job in dict.fromkeys(_jobs_of(options.job, runner)):
        in_trash = [row.trashed_at is not None for row in job.rows]
        if options.undo and not any(in_trash):
            runner.say(f"job {job.id} is not in the trash.")
        elif options.undo or all(in_trash):
            job.untrash()
            deleted = ", but its pictures are deleted" if any(row.purged_at is not None for row in job.rows) else ""
            runner.say(f"job {job.id} is out of the trash{deleted}.")
        else:
            job.trash()
            # A group has no id of its own: only its variable names all of it.
            name = job.id if len(job.rows) == 1 or options.job.startswith("_") else options.job
            text = f"job {job.id} is in the trash: its pictures, inputs and prompt are deleted after 30 days; "
            runner.say(f"{text}the cost stays. To undo: `%wan trash {name} --undo`")
    runner.session.empty_trash()
