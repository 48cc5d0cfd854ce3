"""Commands that only show: status, help, history."""

from __future__ import annotations

import datetime as dt
import time

from .. import host
from ..errors import CellError
from ..ledger import HistoryQuery
from ..options import subcommand
from ..subcommands import SubCall
from ..usage import help_text, subcommand_help
from ..views.tables import history_bundle, status_bundle
from .context import Context

DEFAULT_LIMIT = 20


def do_status(_call: SubCall, ctx: Context) -> None:
    """Say in five lines where one stands and what to type next."""
    ctx.publish(status_bundle(ctx.tables().status()))


def do_help(call: SubCall, ctx: Context) -> None:
    """Show the help, or one command's."""
    command = subcommand(call.positionals[0]) if call.positionals else None
    ctx.say(subcommand_help(command) if command else help_text())


def do_history(call: SubCall, ctx: Context) -> None:
    """Show what was asked and made, newest first."""
    options = call.options
    if options.get("limit") == 0:
        message = "--limit = 0: must be 1 or more."
        raise CellError(message, hint="Leave it out for the newest 20.")
    query = HistoryQuery(
        words=" ".join(call.positionals),
        running=bool(options.get("running")),
        since=_since(options.get("since")),
        tag=options.get("tags", ()),
        notebook=_notebook(options.get("notebook"), ctx),
        seed=options.get("seed"),
        state=options.get("state"),
        starred=bool(options.get("starred")),
        only_trashed=bool(options.get("trash")),
        limit=options.get("limit") or DEFAULT_LIMIT,
    )
    ctx.publish(history_bundle(ctx.tables().history(query, everywhere=bool(options.get("everywhere")))))


def _since(value: dt.timedelta | dt.datetime | None) -> float | None:
    if isinstance(value, dt.timedelta):
        return time.time() - value.total_seconds()
    return value.astimezone().timestamp() if value is not None else None


def _notebook(value: str | None, ctx: Context) -> str:
    if value is None:
        return ""
    return value or host.notebook_path(ctx.shell)
