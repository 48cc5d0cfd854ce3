"""The subcommands of ``%wan``: each takes its parsed call and a context, and shows what it did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..subcommands import SubCall
from . import on_jobs, on_login, on_money, on_panel, on_research, on_setup, on_view
from .context import Context

COMMANDS: Final[dict[str, Callable[[SubCall, Context], None]]] = {
    "status": on_view.do_status,
    "help": on_view.do_help,
    "history": on_view.do_history,
    "show": on_jobs.do_show,
    "wait": on_jobs.do_wait,
    "cancel": on_jobs.do_cancel,
    "resume": on_jobs.do_resume,
    "resolve": on_jobs.do_resolve,
    "save": on_jobs.do_save,
    "recall": on_panel.do_recall,
    "panel": on_panel.do_panel,
    "star": on_jobs.do_star,
    "trash": on_jobs.do_trash,
    "cost": on_money.do_cost,
    "budget": on_money.do_budget,
    "config": on_setup.do_config,
    "login": on_login.do_login,
    "logout": on_login.do_logout,
    "doctor": on_setup.do_doctor,
    "nest": on_setup.do_nest,
    "bundle": on_research.do_bundle,
    "verify": on_research.do_verify,
    "methods": on_research.do_methods,
}


def run(call: SubCall, context: Context) -> None:
    """Carry out one command."""
    COMMANDS[call.name](call, context)


__all__ = ["COMMANDS", "Context", "run"]
