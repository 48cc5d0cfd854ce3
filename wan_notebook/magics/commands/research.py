"""Commands for reproducible research: bundle, verify, methods."""

import argparse
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ...errors import CellError, RecipeError, StoreError
from ...kernel import notebook_path
from ..frontend import cells_run
from .context import Context

_TEXT_MAX_CHARS: Final = 2000


def run_bundle(options: argparse.Namespace, context: Context) -> None:
    """Pack this notebook with its pictures, or open somebody's bundle."""
    from ...research import open_bundle, plan_bundle, write_bundle

    if options.open and (options.path or options.tags or options.all_takes):
        raise CellError("--open takes nothing beside it.", hint=f"Write `%wan bundle --open {options.open}`")
    if options.open:
        context.say(*open_bundle(Path(options.open).expanduser(), context.session))
        return
    if not options.path:
        raise CellError("`%wan bundle` needs a path.", hint="Write `%wan bundle paper.zip`, or `--open paper.zip`")
    target = Path(options.path).expanduser()
    target = target if target.suffix else target.with_suffix(".zip")
    # An address of an input may be one of the notebook's variables.
    texts = [v for v in list(context.namespace.values()) if isinstance(v, str) and len(v) < _TEXT_MAX_CHARS]
    plan = plan_bundle(
        context.session,
        _notebook(context),
        target,
        shown=_shown(context),
        tags=options.tags or (),
        all_versions=options.all_takes,
        texts=texts,
    )
    context.say(*plan.lines())
    context.say(write_bundle(plan))


def run_verify(options: argparse.Namespace, context: Context) -> None:
    """Check that every picture that the notebook shows is present and unchanged; a problem fails the cell."""
    from ...display import publish, table_bundle
    from ...research import verify_notebook

    if options.path:
        found = verify_notebook(context.session, Path(options.path).expanduser())
    else:
        found = verify_notebook(context.session, _saved_notebook(context), **_of_kernel(context))
    publish(table_bundle(found.table(), "verify"))
    if not found.is_ok:
        raise StoreError(f"{found.summary}.", hint="The table says how to get each one back.")


def run_methods(options: argparse.Namespace, context: Context) -> None:
    """Show the paragraph for the paper, about the pictures that this notebook shows."""
    from ...display import publish
    from ...research import methods_paragraph

    text = methods_paragraph(
        context.session,
        _saved_notebook(context),
        tags=options.tags or (),
        latex=options.latex,
        **_of_kernel(context),
    )
    data = {"text/plain": text} if options.latex else {"text/markdown": text, "text/plain": text}
    publish((data, {"wan": {"schema": 1, "view": "methods"}}))


def _of_kernel(context: Context) -> dict[str, Any]:
    return {"shown": _shown(context), "cells_run": cells_run(context.shell)}


def _shown(context: Context) -> list[str]:
    """Return the ids of the jobs that this kernel showed, oldest first."""
    return list(dict.fromkeys(row.id for _, job in context.session.last for row in job.rows))


def _notebook(context: Context) -> Path:
    from ...research import find_notebook

    return find_notebook(notebook_path(context.shell), Path.cwd(), cells_run(context.shell))


def _saved_notebook(context: Context) -> Path | None:
    """Return this notebook's file if its outputs are those of this run: headless, it is written when the run ends."""
    from ...display import FrontEnd

    if context.front_end is FrontEnd.HEADLESS and context.session.last:
        return None
    with suppress(CellError, RecipeError):
        return _notebook(context)
    return None
