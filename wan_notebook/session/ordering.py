"""Creating the jobs that have no answer yet: everything on disk, within the budget, and never a twin of an open one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..jobs import Engine, LiveJob
from ..ledger import JobRow, SpendReader
from ..settings import Settings
from .caps import Caps
from .drafts import draft_of
from .home import Home
from .order import Order
from .replay import Part

ROOM_BYTES = 16 * 1024 * 1024
"""Free space that is asked for each picture: a 2048² PNG needs at most about 13 MB."""


class _AlreadyOpenError(Exception):
    """Raised inside the transaction: other kernels have begun some of these requests."""

    def __init__(self, rows: Mapping[int, JobRow]) -> None:
        super().__init__()
        self.rows = rows


@dataclass(frozen=True)
class Ordering:
    """One call's way into the ledger."""

    settings: Settings
    order: Order
    home: Home
    caps: Caps
    run: str

    def create(self, parts: Sequence[Part]) -> list[Part]:
        """Return the parts, each with its job: a new one, or an open one that it joins.

        Raises ``StoreError`` or ``BudgetError``; then no job was created.
        """
        settled = list(parts)
        while wanted := [index for index, part in enumerate(settled) if part.answer is None]:
            try:
                rows = self._insert([settled[index] for index in wanted])
            except _AlreadyOpenError as found:
                for position, row in found.rows.items():
                    self._join(settled, wanted[position], row)
                continue
            for index, row in zip(wanted, rows, strict=True):
                settled[index] = replace(settled[index], answer=row, is_new=True)
        return settled

    def _join(self, parts: list[Part], index: int, row: JobRow) -> None:
        """Answer a part with a job that is there; one without a seed of its own brings all parts of its request."""
        if not parts[index].goes_by_request:
            parts[index] = replace(parts[index], answer=row)
            return
        last = next((k for k in range(index + 1, len(parts)) if parts[k].place == 0), len(parts))
        if row.seed is None:
            raise AssertionError  # what is sent has a seed
        parts[index:last] = [part.joining(row.seed) for part in parts[index:last]]

    def _insert(self, parts: Sequence[Part]) -> list[JobRow]:
        home, provider = self.home, self.settings.provider.name
        home.store.check_writable(need_bytes=len(parts) * ROOM_BYTES)
        caps = self.caps.all()
        unit = self.caps.known_price(provider) if caps else self.caps.unit_price(provider)
        drafts = [draft_of(part, self.settings, self.order, unit, home.store, self.run) for part in parts]
        with self.caps.checking(caps, parts, provider) as check_budget:

            def check(reader: SpendReader) -> None:
                self._check_open(parts, reader)
                check_budget(reader)

            return home.ledger.create_jobs(
                drafts, check=check, owner=home.engine.leases.owner, instead_of=self.order.instead_of
            )

    def _check_open(self, parts: Sequence[Part], reader: SpendReader) -> None:
        """An open request is joined, never bought again; in the transaction, so that two kernels cannot both begin."""
        if self.order.fresh:
            return
        rows = {position: row for position, part in enumerate(parts) if (row := self._found(part, reader)) is not None}
        if rows:
            raise _AlreadyOpenError(rows)

    def _found(self, part: Part, reader: SpendReader) -> JobRow | None:
        simulated_ok = self.settings.provider.name == "simulator"
        if part.goes_by_request:
            return reader.find_open_request(part.fp_asked, simulated_ok=simulated_ok)
        row = reader.find_open(part.fp_sent, by="sent", simulated_ok=simulated_ok)
        if row is not None or (self.settings.replay == "off" and not part.joins):
            return row
        # Another kernel may have begun and finished it since this one looked.
        return reader.find_answer(part.fp_sent, by="sent", simulated_ok=simulated_ok)


def live_of(home: Home, part: Part, order: Order) -> LiveJob:
    """Return the job that answers a part; that it was shown again is remembered."""
    if part.answer is None:
        raise AssertionError  # what had no answer was ordered
    live = home.engine.live(part.answer)
    if part.is_replay:
        home.ledger.record_shown(live.id, order.place.notebook, order.place.cell_id, "replay")
    return live


def begin(engine: Engine, parts: Sequence[Part], lives: Sequence[LiveJob]) -> None:
    """Send what is new, follow what was joined."""
    pairs = list(zip(parts, lives, strict=True))
    for part, live in pairs:
        if part.is_new:
            live.request = part.request
    if new := [live for part, live in pairs if part.is_new]:
        engine.start(new)
    if joined := [live.row for part, live in pairs if not part.is_new and not part.is_replay]:
        engine.take_up(joined)
