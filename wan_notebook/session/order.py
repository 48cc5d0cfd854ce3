"""What a call wants: plain data between a cell, a panel or a script and the session."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..cell import CellCall
from ..request import ImageRequest
from .meetings import Place


@dataclass(frozen=True)
class Order:
    """What is wanted: validated requests and how they are to be treated.

    ``instead_of`` are jobs in doubt that a person gives up for these.
    """

    requests: tuple[ImageRequest, ...]
    name: str = ""
    tags: tuple[str, ...] = ()
    fresh: bool = False
    provider: str | None = None
    embed: bool | None = None
    hints: tuple[str, ...] = ()
    size_follows: str = ""
    instead_of: tuple[str, ...] = ()
    place: Place = field(default_factory=Place)

    @classmethod
    def of_cell(cls, call: CellCall, place: Place) -> Order:
        """Return the order that a cell is."""
        return cls(
            requests=call.requests,
            name=call.name or "",
            tags=call.tags,
            fresh=call.fresh,
            provider=call.provider,
            embed=call.embed,
            hints=call.hints,
            size_follows=call.size_follows,
            place=place,
        )
