"""Run a ``%%wan`` cell or a ``%wan`` line: read it, call the session or a command, show the result."""

import argparse
import secrets
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ..batch import Batch, find_batch, start_batch
from ..database import HistoryQuery
from ..display import FrontEnd, Table, dry_run_bundle, plan_bundle, publish, show, table_bundle
from ..errors import CellError, RequestError, StoreError, WanError
from ..files import write_private
from ..jobs import Job, Picture
from ..session import Session
from ..text import EXPOSED_HINT, did_you_mean, looks_like_key, mask_keys, one_line
from .cell import read_batch, read_cell
from .expressions import LONE_FIELD, evaluate_item, is_known, job_reference, read_value
from .frontend import show_jobs_in_cells
from .options import cell_parser, command_parsers, find_command, help_text
from .parser import split_line, unquoted

Pick = tuple[Job, int | None]
"""A job, or one of its pictures by index: looking at the picture itself would wait for the job."""


@contextmanager
def last_resort() -> Iterator[None]:
    """Let our own errors and interrupts through, and turn every other exception into one line with an id.

    Its traceback goes into a private file. Nothing of the environment and no local variable is kept: a traceback
    shows places and the exception's text.
    """
    try:
        yield
    except WanError:
        raise
    except Exception as failure:  # noqa: BLE001 - the boundary to the notebook
        error_id = secrets.token_hex(4)
        path = Path(tempfile.gettempdir()) / f"wan_notebook-{error_id}.log"
        with suppress(OSError):
            write_private(path, mask_keys("".join(traceback.format_exception(failure))))
        message = f"something unexpected went wrong ({type(failure).__name__}, error {error_id})."
        hint = f"What was sent is in `%wan history`. Please report it with that id; its traceback is in {path}."
        raise WanError(message, hint=hint) from None


@dataclass(frozen=True, repr=False)  # a person's variables belong in no traceback
class Runner:
    """What one cell or line works with: the shell, the session, the variables, and how to find jobs and show results.

    ``namespace`` has the variables of the notebook and of the function that the magic stands in; ``panel`` returns the
    package ``panel``, which stands above this one: None in a script.
    """

    shell: Any
    session: Session
    namespace: Mapping[str, Any]
    front_end: FrontEnd = FrontEnd.TERMINAL
    panel: Callable[[], ModuleType] | None = None

    @last_resort()
    def line(self, line: str) -> Job | Batch | None:
        """Run one command. ``make`` returns its job, or its batch."""
        words = split_line(line)
        if words and words[0].text == "make":
            return self.make(line[words[0].end :])
        name, options = read_command(line, self.namespace)
        modules = (import_module(f"{__package__}.commands.{module}") for module in ("records", "jobs", "setup"))
        run = f"run_{name or 'status'}"
        next(getattr(module, run) for module in modules if hasattr(module, run))(options, self)
        return None

    @last_resort()
    def make(self, line: str, body: str | None = None) -> Job | Batch | None:
        """Make the pictures of a cell; without ``body``, of a line that has the text in it."""
        read = command_parsers()["make"].read_with_text(line) if body is None else cell_parser().read(line)
        session, options, cell = self.session, read.options, self.session.cell()
        if options.help:
            self.show_text(help_text())
            return None
        resolver = session.resolver(self.namespace, may_fetch=not options.dry_run)
        body = read.text if body is None else body
        made: Job | Batch
        if options.over is not None:
            plan, timeout_s = read_batch(read, body, session, resolver)
            submission = plan.submission
            if submission.notes:
                self.say(*submission.notes)
            if options.dry_run:
                publish(plan_bundle(plan))
                return None
            made = start_batch(session, plan)
        else:
            submission, timeout_s = read_cell(read, body, resolver)
            submission = replace(submission, cell=cell)
            if options.dry_run:
                publish(dry_run_bundle(session.plan(submission)))
                return None
            made = session.submit(submission)
        if submission.name:
            self.shell.user_ns[submission.name] = made
        made.shown_in = cell.execution
        wait = session.settings(submission.provider).wait if options.wait is None else options.wait
        self.show(made, wait=wait, timeout_s=timeout_s, raises=True)
        return made

    # For commands --------------------------------------------------------------------------------------------------

    def say(self, *lines: str) -> None:
        """Show a message, in which text between backticks is a command."""
        publish(table_bundle(Table(lines="\n".join(lines).split("\n")), "message"))

    def show_text(self, text: str) -> None:
        """Write text as it is, where columns matter or a cell is to be copied."""
        print(text)  # noqa: T201 - on the cell's own thread

    def show(self, shown: Job | Batch, **how: Any) -> None:
        """Show a job or a batch; ``how`` is as in ``display.show``."""
        show(shown, self.session, self.front_end, **how)

    def picks(self, word: str | None) -> list[Pick]:
        """Return the jobs and pictures that a word names, as ``-i`` takes it; without one the last job.

        Raises
        ------
        CellError, RequestError, StoreError
            With the nearest name or id; also for a batch.
        """
        found = self.things(word)
        if batches := [one for one, _ in found if isinstance(one, Batch)]:
            hint = f"`%wan history --batch {batches[0].name or batches[0].id}` lists them."
            raise CellError(f"{word} is a batch; this takes one of its jobs.", hint=hint)
        return found

    def things(self, word: str | None) -> list[tuple[Any, int | None]]:
        """Return what ``picks`` does, and batches, which a word names by a variable or by their own name."""
        if not word:
            return [(self._newest(), None)]
        text = LONE_FIELD.sub(r"\1", unquoted(word) or word)
        if text not in self.namespace and self.session.known_project():
            with suppress(StoreError):
                return [(find_batch(self.session, text), None)]
        is_id = (reference := job_reference(text)) and not is_known(reference[0], self.namespace)
        value, index = (text, None) if is_id else evaluate_item(text, self.namespace, "job")
        given = value if isinstance(value, list | tuple) else [value]
        if not given or not all(isinstance(one, Job | Picture | Batch | str) for one in given):
            hint = "All of them: `--all`." if word == "all" else "`%wan history` lists the jobs."
            raise CellError(f"{word} is not a job (type {type(value).__name__}).", hint=hint)
        return [(one, None) if isinstance(one, Batch) else self._pick(one, index) for one in given]

    def _pick(self, value: Job | Picture | str, index: int | None) -> Pick:
        if isinstance(value, str):
            job_id, index = job_reference(value) or (value, None)
            return self.session.job(job_id), index
        return (value, index) if isinstance(value, Job) else (value.job, value.index)

    def _newest(self) -> Job:
        if self.session.last:
            return self.session.last[-1][1]
        project = self.session.known_project()
        rows = project.database.history(HistoryQuery(limit=1)).rows if project else ()
        if not rows:
            raise CellError("there is no job yet.", hint="Make a picture first: `%wan make a fox in snow`.")
        return self.session.job_of_row(rows[0])


def read_command(line: str, namespace: Mapping[str, Any]) -> tuple[str, argparse.Namespace]:
    """Read what follows ``%wan``: the command's name, and its options, each in its type. Jobs stay as typed.

    Raises
    ------
    CellError, RequestError
        With the nearest command, or with everything that is wrong.
    """
    words = split_line(line)
    first = words[0].text if words else "status"
    parser = find_command(first)
    if parser is None:
        if any(map(looks_like_key, line.split())):
            raise CellError("that looks like a key; it was not used.", hint=EXPOSED_HINT)
        parsers, text = command_parsers(), one_line(line.strip(), 80)
        known = parsers["make"].named if first[:1] == "-" else parsers
        near = "" if first in known else did_you_mean(first.lower(), filter(None, known), cutoff=0.75)
        if near and first[:1] == "-":  # the advice is to be one that works
            text = f"{near[:-1].split()[-1]}{text.removeprefix(first)}"
        hint = f"{near} For a picture: `%wan make {text}`. `%wan?` lists all commands.".strip()
        raise CellError(f"{first!r} is not a command.", hint=hint)
    rest = line[words[0].end :] if words else ""
    if parser.prog == "%wan help":  # `%wan help --size` asks about the option
        rest = " ".join(word.text.lstrip("-") for word in words[1:])
    read = parser.read(rest)
    name = parser.prog.removeprefix("%wan").strip()
    if read.options.help:
        return "help", argparse.Namespace(topic=name or None)
    problems = list(read.problems)
    for action in (*parser.options, *parser.positionals):
        given, field = getattr(read.options, action.dest), next(iter(action.option_strings), parser.prog)
        try:
            setattr(read.options, action.dest, read_value(action, given, namespace, name=field))
        except RequestError as error:
            problems += error.problems
    if problems:
        raise RequestError(problems)
    return name, read.options


show_jobs_in_cells()
