"""Commands that only show: status, help, history."""

import argparse

from ...kernel import notebook_path
from ..help import help_text, topic_help
from .context import Context


def run_status(_options: argparse.Namespace, context: Context) -> None:
    """Show the state of things in a few lines, and what to do next."""
    from ...display import publish, status_table, table_bundle

    publish(table_bundle(status_table(context.session)))


def run_help(options: argparse.Namespace, context: Context) -> None:
    """Show the help, or that of one command or option."""
    context.show_text(topic_help(options.topic) if options.topic else help_text())


def run_history(options: argparse.Namespace, context: Context) -> None:
    """Show what was asked and made, newest first."""
    from ...database import HistoryQuery
    from ...display import history_table, publish, table_bundle

    notebook = options.notebook
    query = HistoryQuery(
        words=" ".join(options.words),
        status=options.state or ("open" if options.running else None),
        since=options.since,
        tags=tuple(options.tags or ()),
        notebook="" if notebook is None else notebook or notebook_path(context.shell),
        seed=options.seed,
        starred=options.starred,
        only_trashed=options.trash,
        limit=20 if options.limit is None else options.limit,
    )
    publish(table_bundle(history_table(context.session, query, everywhere=options.everywhere)))
