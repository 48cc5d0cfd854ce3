"""What a handle says of its job at any moment, read from the ledger's rows: nothing here waits."""

from __future__ import annotations

from collections.abc import Sequence

from ..ledger import JobRow
from ..money import Cost
from ..request import ImageRequest
from .live import LiveJob
from .outcome import cost_of_row
from .owner import Owner
from .several import furthest, together


class JobFacts:
    """One task of the service, or several that belong together, as they stand now."""

    def __init__(
        self,
        lives: Sequence[LiveJob],
        owner: Owner,
        *,
        request: ImageRequest,
        name: str = "",
        replayed: frozenset[str] = frozenset(),
    ) -> None:
        self.lives = tuple(lives)
        self.owner = owner
        self.name = name
        self.replayed = replayed
        self.shown_in = ""
        self._request = request

    @property
    def id(self) -> str:
        """The id in the history; of several, the first one's."""
        return self.lives[0].id

    @property
    def request(self) -> ImageRequest:
        """What was asked, with the seed that was used."""
        return self._request

    @property
    def rows(self) -> tuple[JobRow, ...]:
        """The ledger's rows."""
        return tuple(live.row for live in self.lives)

    @property
    def status(self) -> str:
        """A state's name; of several jobs, the one that is furthest from being saved."""
        return furthest(self.lives).state.value

    @property
    def is_done(self) -> bool:
        """Whether waiting is over, well or badly."""
        return all(live.is_settled for live in self.lives)

    @property
    def prompt(self) -> str:
        """The prompt as sent."""
        return self._request.prompt

    @property
    def mode(self) -> str:
        """``edit``, ``text to image`` or ``illustrated text``."""
        return self._request.mode.value

    @property
    def seed(self) -> int | None:
        """The seed; of several jobs, the first one's (see ``seeds``)."""
        return self.lives[0].row.seed

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """Every job's seed, in order."""
        return tuple(live.row.seed for live in self.lives)

    @property
    def cost(self) -> Cost:
        """What it cost, with its source; unknown as long as nobody said."""
        costs = [cost_of_row(live.row) for live in self.lives]
        return costs[0] if len(costs) == 1 else together(costs)

    @property
    def missing(self) -> int:
        """How many pictures were asked for and not delivered, as far as that is settled."""
        return sum(live.row.missing or 0 for live in self.lives if live.is_settled)
