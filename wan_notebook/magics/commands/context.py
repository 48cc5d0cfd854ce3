"""What every command works with: the session, the shell, the variables, and ways to find jobs and to show results."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ...errors import CellError
from ...jobs import Job, Picture
from ...session import Session
from ..expressions import evaluate, is_known, item_of, job_reference, without_braces
from ..frontend import front_end
from ..template import near_names
from ..tokenize import unquoted

if TYPE_CHECKING:
    from ...display import FrontEnd

Pick = tuple[Job, int | None]
"""A job, or one of its pictures by index: looking at the picture itself would wait for the job."""


@dataclass(frozen=True)
class Context:
    """One command's surroundings.

    ``shell`` is IPython's; ``namespace`` holds the variables where the line stands; ``panel`` returns the package
    ``panel``, which stands above this one: None in a script.
    """

    session: Session
    shell: Any
    namespace: Mapping[str, Any]
    panel: Callable[[], ModuleType] | None = None

    @property
    def front_end(self) -> "FrontEnd":
        """The front end that shows the outputs."""
        return front_end(self.shell)

    def say(self, *lines: str) -> None:
        """Show a message, in which text between backticks is a command."""
        from ...display import message_bundle, publish

        publish(message_bundle("\n".join(lines)))

    def show_text(self, text: str) -> None:
        """Write text as it is, where columns matter or a cell is to be copied."""
        print(text)  # noqa: T201 - on the cell's own thread

    def show(self, job: Job, *, wait: bool | None = None) -> None:
        """Show a job; that it ended badly is not an error of this cell."""
        from ...display import show_job

        show_job(job, self.session, self.front_end, wait=wait, raises=False)

    def job(self, word: str | None) -> Job:
        """Return the job that a word names; without one the last job. Raise ``CellError`` or ``StoreError``."""
        return self.picks(word)[0][0]

    def picks(self, word: str | None) -> list[Pick]:
        """Return the jobs and pictures that a word names, as ``-i`` takes it: a variable, an expression or an id.

        Raises
        ------
        CellError, RequestError, StoreError
            With the nearest name or id.
        """
        if not word:
            return [(self._newest(), None)]
        text = without_braces(unquoted(word) or word)
        reference = job_reference(text)
        if reference and not is_known(reference[0], self.namespace):
            return [(self.session.job(reference[0]), reference[1])]
        if text.isidentifier() and not is_known(text, self.namespace):
            if hint := near_names(text, self.namespace):
                raise CellError(f"there is no variable or job called {text}.", hint=hint)
            return [(self.session.job(text), None)]  # raises, and names the newest ids
        base, index = item_of(text, "job")
        value = evaluate(base, self.namespace, "job")
        if index is not None and isinstance(value, Job):
            return [(value, index)]
        found = list(self._picks_of(value if index is None else evaluate(text, self.namespace, "job"), word))
        if not found:
            raise CellError(f"{word} holds no job.", hint="Give a job, a picture, or a list of them.")
        return found

    def _picks_of(self, value: object, word: str) -> Iterator[Pick]:
        if isinstance(value, Job):
            yield value, None
        elif isinstance(value, Picture):
            yield value.job, value.index
        elif isinstance(value, list | tuple):
            for item in value:
                yield from self._picks_of(item, word)
        elif isinstance(value, str) and (reference := job_reference(value)):
            yield self.session.job(reference[0]), reference[1]
        else:
            kind = type(value).__name__
            article = "an" if kind[0].lower() in "aeiou" else "a"
            raise CellError(f"{word} is {article} {kind}, not a job.", hint="`%wan history` lists the jobs.")

    def _newest(self) -> Job:
        if self.session.last:
            return self.session.last[-1][1]
        from ...database import HistoryQuery

        project = self.session.project(create=False)
        rows = project.database.history(HistoryQuery(limit=1)).rows if project else ()
        if not rows:
            raise CellError("there is no job yet.", hint="Make a picture first: `%wan make a fox in snow`.")
        return self.session.job_of_row(rows[0])


class LiveLine:
    """One line of text that is written over while a command waits, then stays as its result."""

    def __init__(self, front_end: "FrontEnd") -> None:
        self._front_end = front_end
        self._handle: Any = None
        self._width = 0

    def update(self, text: str) -> None:
        """Show how far it is; where nobody watches, nothing."""
        from ...display import FrontEnd

        if self._front_end is FrontEnd.TERMINAL:
            self._width = max(self._width, len(text))
            sys.stdout.write(f"\r{text.ljust(self._width)}")
            sys.stdout.flush()
        elif self._front_end is not FrontEnd.HEADLESS:
            self._display(text)

    def finish(self, text: str) -> None:
        """Show the result in the same place."""
        if self._width:
            sys.stdout.write("\r" + " " * self._width + "\r")
        self._display(text)

    def _display(self, text: str) -> None:
        from IPython.display import display

        from ...display import message_bundle

        data, metadata = message_bundle(text)
        if self._handle is None:
            self._handle = display(data, metadata=metadata, raw=True, display_id=True)
        else:
            self._handle.update(data, metadata=metadata, raw=True)
