"""Commands on jobs: show, wait, cancel, resume, resolve, save, recall, star, trash."""

from __future__ import annotations

from ..errors import CellError
from ..greeting import summary_line
from ..jobs import Job
from ..ledger import peek_open
from ..show import display_pages, show
from ..states import SETTLED
from ..subcommands import SubCall
from ..text import count_of, was
from ..views.gallery import bundle
from .context import Context
from .recalling import recall_text


def do_show(call: SubCall, ctx: Context) -> None:
    """Show a job again, or one of its pictures; a running one gets a live card."""
    word = call.positionals[0] if call.positionals else ""
    job, index = ctx.pictures(word)
    presenter = ctx.presenter()
    if call.options.get("takes"):
        ctx.publish(bundle(presenter.takes(job)))
    elif call.options.get("all") and job.is_done:
        display_pages(job, presenter)
    elif index is not None:
        ctx.publish(bundle(presenter.picture_card(job[index])))
    else:
        # A failed job that is only looked at is no error of this cell.
        show(job, presenter, ctx.session.runtime, ctx.front_end, raises=False)


def do_wait(call: SubCall, ctx: Context) -> None:
    """Wait for one job, or for all that are open."""
    timeout_s = call.options.get("timeout")
    if call.positionals:
        job = ctx.job(call.positionals[0])
        job.result(timeout_s)
        show(job, ctx.presenter(), ctx.session.runtime, ctx.front_end, wait=True)
        return
    rows = [row for row in ctx.ledger.open_jobs() if row.state not in SETTLED]
    jobs = [ctx.session.job_of_row(row) for row in rows]
    for job in jobs:
        job.wait(timeout_s)
    ctx.say("\n".join(str(job) for job in jobs) or "Nothing is running.")


def do_cancel(call: SubCall, ctx: Context) -> None:
    """Cancel where the service can, and say honestly what that means."""
    ctx.say(ctx.job(call.positionals[0]).cancel())


def do_resume(_call: SubCall, ctx: Context) -> None:
    """Take up every open job and fetch what is finished."""
    lives = ctx.session.resume()
    if not lives:
        ctx.say("Nothing is open.")
        return
    ctx.say(summary_line(peek_open(ctx.ledger.path), ctx.session.wall_clock()))


def do_resolve(call: SubCall, ctx: Context) -> None:
    """Decide about a job that may or may not have arrived; without a choice, show what is known."""
    word, *choice = call.positionals
    job = ctx.job(word)
    if not choice:
        ctx.say(ctx.session.doubts.explain(job))
        return
    ctx.say(ctx.session.doubts.resolve(job, choice[0], choice[1] if len(choice) > 1 else ""))
    if choice[0] == "adopt":
        show(job, ctx.presenter(), ctx.session.runtime, ctx.front_end)


def do_save(call: SubCall, ctx: Context) -> None:
    """Copy a job's pictures, or one of them, elsewhere."""
    word, path = call.positionals
    job, index = ctx.pictures(word)
    clean, force = bool(call.options.get("clean")), bool(call.options.get("force"))
    of = job if index is None else job[index]
    found = of.save(path, clean=clean, overwrite=force)
    saved = found if isinstance(found, list) else [found]
    ctx.say("\n".join(f"saved {file}" for file in saved))


def do_recall(call: SubCall, ctx: Context) -> None:
    """Insert the cell that made a picture below, without running it."""
    text, notes = recall_text(call.positionals[0], ctx)
    if ctx.shell is not None:
        ctx.shell.set_next_input(text)
    ctx.say("\n".join([*notes, text]))


def do_star(call: SubCall, ctx: Context) -> None:
    """Star a job or a picture, or take the star away."""
    job, index = ctx.pictures(call.positionals[0])
    if index is None:
        starred = not job.rows[0].starred
        for row in job.rows:
            ctx.ledger.star(row.id, on=starred)
    else:
        picture = job[index]
        starred = not picture.record.starred
        ctx.ledger.star(picture.live.id, picture.record.idx, on=starred)
    ctx.session.refresh(job)
    ctx.say(f"{call.positionals[0]} is {'starred' if starred else 'no longer starred'}.")


def do_trash(call: SubCall, ctx: Context) -> None:
    """Put a job into the trash, or take it out again (``--undo``, or once more the same).

    After 30 days its pictures, inputs and prompt go.
    """
    job = ctx.job(call.positionals[0])
    if any(live.state not in SETTLED for live in job.lives):
        message = f"job {job.id} is still {job.status}."
        raise CellError(message, hint="Wait for it, or cancel it, then put it into the trash.")
    undo, there = bool(call.options.get("undo")), [row.trashed_at is not None for row in job.rows]
    back = any(there) if undo else all(there)
    if undo and not back:
        ctx.say(f"job {job.id} is not in the trash.")
        return
    for row in job.rows:
        ctx.ledger.trash(row.id, on=not back)
    ctx.session.refresh(job)
    removed = ctx.session.empty_trash()
    deleted = f" {count_of(removed, 'old file')} {was(removed)} deleted." if removed else ""
    ctx.say(f"job {job.id} {_of_trash(job, call.positionals[0], back=back)}{deleted}")


def _of_trash(job: Job, word: str, *, back: bool) -> str:
    if not back:
        command = f"%wan trash {_lasting_name(word, job)} --undo"
        return f"is in the trash: after 30 days pictures, inputs and prompt go; costs stay. Back: {command}"
    if any(row.purged_at is not None for row in job.rows):
        return "is out of the trash, but its pictures are deleted."
    return "is out of the trash."


def _lasting_name(word: str, job: Job) -> str:
    """Return what names a job later too; a handle of several jobs has no id of its own, only a variable."""
    return job.id if word.startswith("_") or len(job.rows) == 1 else word
