"""Run a ``%%wan`` cell or a ``%wan`` line: read it, call the session, show the result."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from ..display import dry_run_bundle, publish, set_cell_text, show_job
from ..jobs import Job
from ..session import Session, default_session
from .cell import call_of
from .commands import Context, run_command
from .frontend import front_end, show_jobs_in_cells, writes_bare_out
from .guard import last_resort
from .help import help_text
from .options import cell_parser, command_parsers
from .parser import ReadLine
from .render_cell import cell_of_job
from .tokenize import split_line

if TYPE_CHECKING:
    from ..replay import CellId
    from ..settings import SettingsLoader

LAST: Final = "_wan"
"""The variable that holds the last job of another cell."""


class Runner:
    """Cells and commands of one shell, over the kernel's session."""

    def __init__(
        self,
        shell: Any,
        session: Session | None = None,
        *,
        loader: "SettingsLoader | None" = None,
        panel: Callable[[], ModuleType] | None = None,
    ) -> None:
        self.shell, self.panel = shell, panel
        self.session = session or default_session(loader)
        set_cell_text(cell_of_job)
        show_jobs_in_cells()

    def cell(self, line: str, body: str, local_ns: Mapping[str, Any] | None = None) -> None:
        """Turn a cell into pictures."""
        with last_resort("%%wan"):
            read = cell_parser().read(line)
            if read.options.help:
                self._context(local_ns).show_text(help_text())
            else:
                self._make(read, body, local_ns)

    def line(self, line: str, local_ns: Mapping[str, Any] | None = None) -> Job | None:
        """Run one command. ``make`` returns its job."""
        with last_resort("%wan"):
            words = split_line(line)
            if not words or words[0].text != "make":
                run_command(line, self._context(local_ns))
                return None
            read = command_parsers()["make"].read_with_text(line[words[0].end :])
            if read.options.help:
                run_command("help make", self._context(local_ns))
                return None
            job = self._make(read, read.text, local_ns)
            # A terminal would write an empty Out[n] for it: it has been shown, and nobody takes it.
            return None if writes_bare_out(self.shell) else job

    def before_cell(self) -> None:
        """Let ``_wan`` be the last job of another cell, for whatever the cell that begins says."""
        self._set_last(self.session.cell())

    def after_cell(self) -> None:
        """Let ``_wan`` be the last job, for completion and whatever looks between cells."""
        if self.session.last:
            self.shell.user_ns[LAST] = self.session.last[-1][1]

    def job_ids(self) -> tuple[str, ...]:
        """Return the ids of this kernel's jobs, newest first."""
        return tuple(dict.fromkeys(job.id for _, job in reversed(self.session.last)))

    def tags(self) -> list[str]:
        """Return the tags in use."""
        project = self.session.project(create=False)
        return [row.key for row in project.database.cost_by("tag") if row.key] if project else []

    def _make(self, read: ReadLine, body: str, local_ns: Mapping[str, Any] | None) -> Job | None:
        session, cell = self.session, self.session.cell()
        self._set_last(cell)
        resolver = session.resolver(self._variables(local_ns), may_fetch=not read.options.dry_run)
        call = call_of(read, body, resolver)
        submission = replace(call.submission, cell=cell)
        if call.dry_run:
            publish(dry_run_bundle(session.plan(submission)))
            return None
        job = session.submit(submission)
        if submission.name:
            self.shell.user_ns[submission.name] = job
        job.shown_in = cell.execution
        wait = session.settings(submission.provider).wait if call.wait is None else call.wait
        show_job(job, session, front_end(self.shell), wait=wait, timeout_s=call.timeout_s)
        return job

    def _variables(self, local_ns: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Return the notebook's variables, and those of the function that the magic stands in."""
        names: Mapping[str, Any] = self.shell.user_ns
        return names if local_ns is None or local_ns is names else {**names, **local_ns}

    def _set_last(self, cell: "CellId") -> None:
        """Bind ``_wan`` to another cell's last job, so that a cell that is run again does not edit its own result."""
        others = [job for where, job in self.session.last if not _is_same_cell(where, cell)]
        if others:
            self.shell.user_ns[LAST] = others[-1]
        else:
            self.shell.user_ns.pop(LAST, None)

    def _context(self, local_ns: Mapping[str, Any] | None) -> Context:
        return Context(self.session, self.shell, self._variables(local_ns), self.panel)


def _is_same_cell(one: "CellId", other: "CellId") -> bool:
    if one.cell_id or other.cell_id:
        return one.cell_id == other.cell_id
    return one.execution == other.execution
