"""What a ``%%wan`` cell or a ``%wan`` line does: decode, call the session, display."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from . import host
from .cell import CellCall, asks_for_help, is_dry_run, read_cell
from .commands import Context, run
from .displaying import display_job
from .jobs import Job
from .present import Presenter, bundler, dry_run
from .rendering import set_bundler, set_renderer
from .session import Order, Place, Session, default_session
from .show import show
from .subcommands import read_subcall
from .usage import help_text
from .views.dryrun import dry_run_bundle

LAST = "_wan"


class Runner:
    """Cells and commands of one shell, over the kernel's session."""

    def __init__(self, shell: Any, session: Session | None = None) -> None:
        self.shell = shell
        self.session = session or default_session()
        self.session.place = lambda: host.place(self.shell)
        set_renderer(self.render)
        set_bundler(bundler(lambda: self.session))

    def line(self, line: str) -> Any:
        """Run one subcommand. ``make`` returns its job."""
        call = read_subcall(line)
        if call.name == "make":
            # A one-line prompt is verbatim, braces and all.
            options = str(call.options.get("line", ""))
            job = self._order(options if "--raw" in options else f"{options} --raw".strip(), call.positionals[0])
            # A terminal would write an empty Out[n] for it: it has been shown, and nobody takes it.
            return None if host.writes_bare_out(self.shell) else job
        return run(call, self._context())

    def cell(self, line: str, body: str) -> None:
        """Turn a cell into pictures."""
        if asks_for_help(line):
            self._context().say(help_text())
        else:
            self._order(line, body)

    def before_cell(self) -> None:
        """Let ``_wan`` be the last job of another cell, in whatever the cell that begins says."""
        self._namespace(host.place(self.shell))

    def after_cell(self) -> None:
        """Let ``_wan`` be the last job, for completion and whatever looks between cells."""
        if self.session.last:
            self.shell.user_ns[LAST] = self.session.last[-1][1]

    def resume(self) -> None:
        """Take up the open jobs of the ledger."""
        self.session.resume()

    def known_ids(self) -> tuple[str, ...]:
        """Return the ids of this kernel's jobs, newest first, for completion."""
        return tuple(dict.fromkeys(job.id for _, job in reversed(self.session.last)))

    def render(self, job: Job) -> bool:
        """Display a job that a cell's last line names, unless this very cell has shown it already."""
        return display_job(job, self.session, self.shell)

    def close(self) -> None:
        """Let go. The session stays: jobs that run go on, and whoever waits for them or reloads still has them."""
        set_renderer(None)
        set_bundler(None)

    # ------------------------------------------------------------------------------------------------------------------

    def _order(self, line: str, body: str) -> Job | None:
        place = host.place(self.shell)
        resolver = self.session.resolver(self._namespace(place), may_fetch=not is_dry_run(line))
        call = read_cell(line, body, resolver)
        order = Order.of_cell(call, place)
        if call.dry_run:
            context = self._context()
            context.publish(dry_run_bundle(dry_run(self.session, self.session.home(create=False), order)))
            return None
        job = self.session.submit(order)
        if call.name:
            self.shell.user_ns[call.name] = job
        self._show(job, call, place)
        return job

    def _show(self, job: Job, call: CellCall, place: Place) -> None:
        settings = self.session.settings(call.provider)
        wait = settings.wait if call.wait is None else call.wait
        presenter = Presenter(self.session, self.session.need_home(), base=host.notebook_folder())
        job.shown_in = place.execution
        show(
            job,
            presenter,
            self.session.runtime,
            host.front_end(self.shell),
            wait=wait,
            timeout_s=call.timeout_s,
        )

    def _namespace(self, place: Place) -> Mapping[str, Any]:
        """Return the variables; ``_wan`` is another cell's last job, so that a re-run does not edit its own result."""
        others = [job for where, job in self.session.last if not _is_same_cell(where, place)]
        if others:
            self.shell.user_ns[LAST] = others[-1]
        else:
            self.shell.user_ns.pop(LAST, None)
        namespace: Mapping[str, Any] = self.shell.user_ns
        return namespace

    def _context(self) -> Context:
        return Context(self.session, self.shell, dict(os.environ))


def _is_same_cell(one: Place, other: Place) -> bool:
    if one.cell_id or other.cell_id:
        return one.cell_id == other.cell_id
    return one.execution == other.execution
