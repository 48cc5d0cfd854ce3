"""Commands for reproducible research: bundle, verify, methods."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .. import host
from ..bundle import (
    Named,
    Opened,
    Plan,
    Project,
    Verification,
    check_target,
    find_notebook,
    methods,
    named_of,
    open_bundle,
    plan_bundle,
    read_document,
    select,
    shown_by,
    verify,
    verify_notebook,
    write_bundle,
)
from ..errors import CellError, RecipeError, SettingsError, StoreError, WanError
from ..subcommands import SubCall
from ..text import count_of, was
from .context import Context
from .research_tables import size_text, verification_bundle, verification_text

EXIT_OK, EXIT_PROBLEM, EXIT_UNREADABLE = 0, 1, 2
_LISTED: Final = 500
_TEXT_CHARACTERS: Final = 2000


def do_bundle(call: SubCall, ctx: Context) -> None:
    """Pack this notebook with its pictures, or open somebody's bundle."""
    if source := call.options.get("open"):
        _open(Path(source).expanduser(), ctx)
        return
    target = Path(call.positionals[0]).expanduser()
    target = target if target.suffix else target.with_suffix(".zip")
    check_target(target)
    home = ctx.home
    notebook = _notebook(ctx)
    document = read_document(notebook)
    named = [item.job_id for item in document.named() if item.job_id]
    here = shown_by(ctx.session)
    if not any(text.strip() for text in document.code):
        message = f"{notebook.name} holds no cell on disk: the bundle would be empty. Nothing was written."
        raise CellError(message, hint="Save the notebook (Ctrl+S) and run this again.")
    tags, all_takes = call.options.get("tags", ()), bool(call.options.get("all_takes"))
    selection = select(home.ledger, [*named, *here], tags=tags, all_takes=all_takes, notebook=str(notebook))
    plan = plan_bundle(Project.of(notebook, home.ledger, home.store), selection, keys=_keys(ctx), texts=_texts(ctx))
    ctx.say("\n".join([*_unsaved(named, here, ctx), *_listing(plan, target)]))
    size_bytes = write_bundle(plan, target)
    ctx.say(f"wrote {target}: {size_text(size_bytes)}")


def _open(source: Path, ctx: Context) -> None:
    home, cwd = ctx.home, Path.cwd().resolve()
    above = home.store.folder.resolve().parent
    done = open_bundle(source, home.ledger, home.store, above if cwd.is_relative_to(above) else cwd)
    ctx.say("\n".join(_opened_lines(source, done)))


def _opened_lines(source: Path, done: Opened) -> Iterator[str]:
    jobs = count_of(len(done.added), "job")
    here = f" ({len(done.present)} {was(len(done.present))} here already)" if done.present else ""
    yield f"opened {source.name}: {jobs} added{here}, $0.00: what they cost was paid elsewhere"
    if done.written or done.restored:
        restored = f", {len(done.restored)} of them put back where they were missing" if done.restored else ""
        files = count_of(len(done.written) + len(done.restored), "file")
        yield f"  {files} written ({size_text(done.written_bytes)}){restored}"
    for name in done.placed:
        yield f"  {name}"
    for note in done.notes:
        yield f"  note: {note}"


def _listing(plan: Plan, target: Path) -> Iterator[str]:
    """Name every file with its size, and their total, before anything is written."""
    sizes = plan.sizes
    yield f"{target.name} will hold {count_of(plan.pictures, 'picture')} of {count_of(len(plan.rows), 'job')}:"
    for name, size_bytes in sizes[:_LISTED]:
        yield f"  {size_text(size_bytes):>9}  {name}"
    if len(sizes) > _LISTED:
        left = sum(size_bytes for _, size_bytes in sizes[_LISTED:])
        yield f"  {size_text(left):>9}  in {len(sizes) - _LISTED} more files"
    yield f"  {size_text(sum(size_bytes for _, size_bytes in sizes)):>9}  in {len(sizes)} files"
    for note in plan.notes:
        yield f"note: {note}"


def _unsaved(named: list[str], here: tuple[str, ...], ctx: Context) -> Iterator[str]:
    missing = len(set(here) - set(named))
    if missing and ctx.front_end is not host.FrontEnd.HEADLESS:  # there the file is written when the run ends
        jobs = "1 job that this kernel showed is" if missing == 1 else f"{missing} jobs that this kernel showed are"
        yield f"note: {jobs} not in the saved notebook: save it (Ctrl+S) and repeat, so that its outputs show the same"


def _keys(ctx: Context) -> list[str]:
    """Return every key that could leak, to look for it; it is shown nowhere."""
    found = []
    for provider in ("gateway", "dashscope"):
        try:
            key = ctx.session.settings(provider).provider.key
        except SettingsError:
            continue
        if key is not None:
            found += [key.reveal(), key.fingerprint]
    return found


def _texts(ctx: Context) -> list[str]:
    """Return the short texts among the notebook's variables: an address of an input may be one."""
    names = ctx.shell.user_ns if ctx.shell is not None else {}
    return [v for v in list(names.values()) if isinstance(v, str) and len(v) < _TEXT_CHARACTERS]


def do_verify(call: SubCall, ctx: Context) -> None:
    """Check that every picture that the notebook shows is present and unchanged; a problem fails the cell."""
    if call.positionals:
        found = verify_notebook(Path(call.positionals[0]).expanduser(), ctx.env, now=ctx.session.wall_clock())
    else:
        found = _verify_here(ctx)
    ctx.publish(verification_bundle(found))
    if not found.is_ok:
        raise StoreError(f"{found.summary}.", hint="The table says how to get each one back.")


def _verify_here(ctx: Context) -> Verification:
    """Check what this notebook's file names and what this kernel has shown: the file may not be saved yet."""
    rows = [ctx.ledger.get(job_id) for job_id in shown_by(ctx.session)]
    try:
        notebook = _notebook(ctx)
    except CellError:
        if not rows:
            raise
        named, what = [], "this kernel"
    else:
        named = _named_now(notebook, ctx)
        what = notebook.name if named or not rows else "this kernel"
    known = {item.job_id for item in named}
    fresh = named_of([row for row in rows if row.id not in known], "this kernel")
    return verify([*named, *fresh], ctx.ledger, ctx.home.store, what=what, now=ctx.session.wall_clock())


def _notebook(ctx: Context) -> Path:
    return find_notebook(host.notebook_path(ctx.shell), Path.cwd(), host.cells_run(ctx.shell))


def _named_now(notebook: Path, ctx: Context) -> list[Named]:
    """Return what the file's outputs name, but for cells that were run since it was saved: they show other jobs now.

    Where nobody watches the file is written when the run ends, and every output in it is of an earlier run.
    """
    if ctx.front_end is host.FrontEnd.HEADLESS and shown_by(ctx.session):
        return []
    return read_document(notebook).without(host.cells_run(ctx.shell)).named()


def do_methods(call: SubCall, ctx: Context) -> None:
    """Show the paragraph for the paper, about the pictures that this notebook shows."""
    latex = bool(call.options.get("latex"))
    try:
        notebook: Path | None = _notebook(ctx)
        named = [item.job_id for item in _named_now(notebook, ctx) if item.job_id] if notebook else []
    except (CellError, RecipeError):
        notebook, named = None, []
    tags = call.options.get("tags", ())
    selection = select(ctx.ledger, [*named, *shown_by(ctx.session)], tags=tags, notebook=str(notebook or ""))
    text = methods(selection.rows, latex=latex)
    data = {"text/plain": text} if latex else {"text/markdown": text, "text/plain": text}
    ctx.publish((data, {"wan": {"schema": 1, "view": "methods"}}))


def run_verify(notebook: Path) -> int:
    """Check a notebook's file from a command line: 0 if all is well, 1 if not, 2 if it cannot be read."""
    try:
        found = verify_notebook(notebook, os.environ, now=time.time())
    except WanError as error:
        print("\n".join(error.lines()))  # noqa: T201 - a command line
        return EXIT_UNREADABLE
    print(verification_text(found))  # noqa: T201
    return EXIT_OK if found.is_ok else EXIT_PROBLEM
