"""What every command needs: the session, the shell, and ways to show something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import host
from ..jobs import Job
from ..ledger import Ledger
from ..present import Presenter, Tables
from ..session import Session
from ..session.home import Home
from .naming import find_job, find_pictures


@dataclass(frozen=True)
class Context:
    """One command's surroundings; ``shell`` is IPython's, or None in a script."""

    session: Session
    shell: Any
    env: Mapping[str, str]

    @property
    def home(self) -> Home:
        """The folder of pictures with its ledger."""
        return self.session.need_home()

    @property
    def ledger(self) -> Ledger:
        """The ledger, made if need be."""
        return self.home.ledger

    @property
    def front_end(self) -> host.FrontEnd:
        """Who watches."""
        return host.front_end(self.shell)

    def presenter(self) -> Presenter:
        """Return what makes cards and tables of jobs."""
        return Presenter(self.session, self.home, base=host.notebook_folder())

    def tables(self) -> Tables:
        """Return what makes tables of the ledger, of none if there is none: who only looks creates nothing."""
        return Tables(self.session, self.session.home(create=False), base=host.notebook_folder())

    def publish(self, bundle: tuple[Mapping[str, Any], Mapping[str, Any]]) -> None:
        """Display a MIME bundle in the cell."""
        from IPython.display import publish_display_data

        publish_display_data(*bundle)

    def say(self, text: str) -> None:
        """Write plain lines into the cell."""
        print(text)  # noqa: T201 - on the cell's own thread

    @property
    def variables(self) -> Mapping[str, Any]:
        """The notebook's variables."""
        return self.shell.user_ns if self.shell is not None else {}

    def job(self, word: str = "") -> Job:
        """Return the job that a word names: a variable, an id or its beginning; without one the last job."""
        return find_job(self.session, self.variables, word)

    def pictures(self, word: str) -> tuple[Job, int | None]:
        """Return a job and, for ``job[1]``, the index of one of its pictures."""
        return find_pictures(self.session, self.variables, word)
