"""``%wan`` and ``%%wan`` in IPython: what loading the extension registers. The rest is imported by the first cell.

The magics take their line as it stands (``no_var_expand``): IPython would expand ``{…}`` and ``$…`` before us. With
``needs_local_scope`` a magic inside a function sees the function's variables.
"""

import re
import time
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.magic import needs_local_scope, no_var_expand

from ..database import OpenSummary, count_open
from ..errors import WanError
from ..settings import LEDGER_NAME, SettingsLoader
from ..text import pluralize
from .options import help_text

if TYPE_CHECKING:
    from ..session import Session
    from .runner import Runner

F = TypeVar("F", bound=Callable[..., Any])
LAST: Final = "_wan"
"""The variable that holds the last job of another cell."""


def with_help(magic: F) -> F:
    """Let ``%wan?`` and Shift-Tab show our help, which is written when IPython asks for it."""
    magic.getdoc = help_text  # type: ignore[attr-defined] # IPython's own name for it
    return magic


class Extension:
    """The magics of a shell: what loading registers, and unloading takes back.

    ``panel`` returns the package ``panel``, which stands above this one.
    """

    def __init__(self, shell: Any, panel: Callable[[], ModuleType] | None = None) -> None:
        self.shell, self.panel = shell, panel
        self.loader = SettingsLoader()  # what protects is frozen from here on, also when it is loaded again
        self.session: Session | None = None
        """The kernel's session, once a cell or command has needed it."""

    def load(self) -> None:
        """Register magics, completion and the input transformer; say in a line what is open."""
        self.shell.register_magic_function(self.on_line, "line", "wan")
        self.shell.register_magic_function(self.on_cell, "cell", "wan")
        if self.shell.Completer is not None:
            self.shell.Completer.custom_matchers.append(self.match)
        self.shell.input_transformers_cleanup.append(transform_lines)
        self.shell.events.register("pre_run_cell", self.before_cell)
        summary = count_open(self.loader.folder / LEDGER_NAME)
        lines = open_lines(summary, time.time())
        if summary.sending or summary.running or summary.to_fetch:
            from .runner import last_resort

            with last_resort():
                session = self.runner().session
                session.resume()
                lines += filter(None, [session.left_alone])
        if lines:
            print("\n".join(lines))  # noqa: T201 - in the cell that loads the extension

    def unload(self) -> None:
        """Take everything back; jobs at the service go on."""
        for kind in ("line", "cell"):
            self.shell.magics_manager.magics[kind].pop("wan", None)
        if self.shell.Completer is not None:
            self.shell.Completer.custom_matchers.remove(self.match)
        self.shell.input_transformers_cleanup.remove(transform_lines)
        self.shell.events.unregister("pre_run_cell", self.before_cell)

    def runner(self, local_ns: Any = None) -> "Runner":
        """Return what runs a cell or command where it stands."""
        from ..session import default_session
        from .frontend import front_end
        from .runner import Runner

        if self.session is None or self.session.is_closed:
            self.session = default_session(self.loader)
            self.before_cell()
        names = {**self.shell.user_ns, **(local_ns or {})}
        return Runner(self.shell, self.session, names, front_end(self.shell), self.panel)

    @with_help
    @no_var_expand
    @needs_local_scope
    def on_line(self, line: str, local_ns: Any = None) -> Any:
        """Run a command, or make a picture from one line."""
        return self.runner(local_ns).line(line)

    @with_help
    @no_var_expand
    def on_cell(self, line: str, cell: str) -> None:
        """Make pictures: the cell's text is the prompt."""
        # IPython hands cell magics the notebook's variables for local ones; two frames up is the caller of the magic.
        self.runner(self.shell.get_local_scope(2)).make(line, cell)

    @context_matcher()  # type: ignore[untyped-decorator] # IPython ships it without types
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Complete a line of ours."""
        from .completion import Known, complete, known_to

        line, names = context.line_with_cursor, self.shell.user_ns
        try:
            found = complete(line, known_to(self.runner().session if "%wan " in line else None, names))
        except WanError:  # the cell will say what cannot be read
            found = complete(line, Known(names))
        return {
            "completions": [SimpleCompletion(text=text, type="wan") for text in found.candidates],
            "matched_fragment": found.matched_fragment,
            "suppress": bool(found.candidates),
            "ordered": True,
        }

    def before_cell(self, _info: object = None) -> None:
        """Let ``_wan`` be the last job of another cell, so that a cell that is run again does not edit its result."""
        if self.session is None:
            return
        here, names = self.session.cell(), self.shell.user_ns
        key = here.cell_id or here.execution
        others = [job for where, job in self.session.last if (where.cell_id or where.execution) != key]
        names.pop(LAST, None)
        if others:
            names[LAST] = others[-1]


def open_lines(summary: OpenSummary, now: float, *, advice: str = " (`%wan resume`)") -> list[str]:
    """Say in plain lines what is open, and what to do about it; ``now`` in Unix seconds."""
    if summary.problem:
        return [f"wan: the ledger cannot be read: {summary.problem}"]
    counts = {"running": summary.sending + summary.running, "finished, not downloaded yet": summary.to_fetch}
    said = ", ".join(f"{pluralize(count, 'job')} {words}" for words, count in counts.items() if count)
    left_min = int((summary.earliest_expiry or now) - now) // 60
    left = f"{left_min // 60} h" if left_min >= 60 else f"{left_min} min"
    until = f"; results can be fetched for another {left}" if left_min > 0 else ""
    lines = [
        f"{said}{until}{advice}" if said else "",
        f'{summary.in_doubt} in doubt (`%wan history --state "in doubt"`)' if summary.in_doubt else "",
        f"{summary.unsent} not sent: run the cell again" if summary.unsent else "",
    ]
    return list(filter(None, lines))


def transform_lines(lines: list[str]) -> list[str]:
    """Return a cell's lines as IPython can read them, changed only where they are ours.

    A ``%%wan`` without a body would raise IPython's own error, one below a comment would be Python.
    """
    written = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not written or not re.match(r"\s*%%wan(?:\s|\Z)", written[0]):
        return lines
    below = lines[lines.index(written[0]) :]
    return below if len(below) > 1 else [f"{below[0].strip()}\n", "\n"]


# A terminal asks after each line whether the cell is complete; there the body is still to come.
transform_lines.has_side_effects = True  # type: ignore[attr-defined]
