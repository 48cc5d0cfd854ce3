"""Which jobs a request needs, and which it already has (DESIGN: Replay). Only look-ups: nothing is created here."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .. import catalog
from ..errors import ReplayError
from ..ledger import JobRow, Ledger
from ..request import ImageRequest
from ..settings import Replay
from ..states import JobState
from .meetings import Meeting, Meetings, Place, choose_take


@dataclass(frozen=True)
class Part:
    """One task: its request with a concrete seed, and the stored or open job that answers it, if there is one.

    ``place`` counts within the request that it is a part of. ``joins``: that request was found on its way.
    """

    request: ImageRequest
    fp_asked: str
    fp_sent: str
    answer: JobRow | None = None
    meeting: int = 0
    is_new: bool = False
    place: int = 0
    joins: bool = False

    @property
    def is_replay(self) -> bool:
        """Whether the answer is complete already, rather than on its way."""
        return self.answer is not None and self.answer.is_final

    @property
    def goes_by_request(self) -> bool:
        """Whether it is looked for by what was asked, since its own seed was drawn by this call."""
        return self.fp_asked != self.fp_sent and not self.joins

    def joining(self, seed: int) -> Part:
        """Return this part of the same request as it is on its way already, with that one's first seed."""
        task = self.request.replace(seed=(seed + self.place) % (catalog.SEED_MAX + 1))
        sent = task.fingerprint(with_seed=True)
        asked = self.fp_asked if self.goes_by_request else sent
        return replace(self, request=task, fp_asked=asked, fp_sent=sent, joins=True)


@dataclass(frozen=True)
class Lookup:
    """How one call looks for answers."""

    ledger: Ledger | None
    replay: Replay
    fresh: bool
    simulated_ok: bool
    meetings: Meetings
    place: Place
    rng: random.Random

    def all_parts(self, requests: Sequence[ImageRequest]) -> list[Part]:
        """Return the tasks of several requests."""
        return [part for request in requests for part in self.parts(request)]

    def parts(self, request: ImageRequest) -> list[Part]:
        """Return a request's tasks, each with its answer if the store has one.

        What is still open is found later, in the transaction that would create its twin (``ordering``).
        """
        asked = request.fingerprint(with_seed=request.seed is not None)
        is_seedless = request.seed is None
        meeting = self.meetings.meet(asked, self.place) if is_seedless else None
        first = self._seedless(asked, meeting) if meeting else None
        seed = first.seed if first is not None else request.seed
        if seed is None:
            seed = self.rng.randint(0, catalog.SEED_MAX - request.n)
        found = []
        for index, task in enumerate(request.split(seed)):
            sent = task.fingerprint(with_seed=True)
            # Only the first of several seedless tasks answers for the request; the others go by their seeds.
            fp_asked = asked if index == 0 and is_seedless else sent
            answer = first if index == 0 else None
            if answer is None and not (is_seedless and first is None):
                answer = self._seeded(sent)
            met = meeting.index if meeting else 0
            found.append(Part(task, fp_asked, sent, answer, meeting=met, place=index))
        return found

    def _seedless(self, fingerprint: str, meeting: Meeting) -> JobRow | None:
        if self.ledger is None or self.fresh or self.replay == "off":
            return None
        takes = complete_takes(self.ledger, fingerprint, simulated_ok=self.simulated_ok)
        chosen = choose_take(takes, meeting) if takes else None
        # A store that only replays shows what it has, however often a cell is run.
        return chosen or (takes[0] if takes and self.replay == "only" else None)

    def _seeded(self, fingerprint: str) -> JobRow | None:
        if self.ledger is None or self.fresh or self.replay == "off":
            return None
        return self.ledger.find_answer(
            fingerprint, by="sent", simulated_ok=self.simulated_ok, cell_id=self.place.cell_id
        )


def complete_takes(ledger: Ledger, fingerprint: str, *, simulated_ok: bool) -> list[JobRow]:
    """Return the complete answers to a seedless request, newest first. Simulated ones never serve a real provider."""
    return [
        take
        for take in reversed(ledger.takes(fingerprint, "asked"))
        if take.state is JobState.SAVED and (simulated_ok or not take.simulated)
    ]


def refuse_if_only(parts: Sequence[Part], replay: Replay, *, fresh: bool, by_store: bool) -> None:
    """Under ``WAN_REPLAY=only`` nothing is bought: what is not in the store is an error.

    ``by_store``: an unpacked bundle's store says so, and not the environment.
    """
    if replay != "only":
        return
    who = "this store is a bundle's record (replay=only), which" if by_store else "WAN_REPLAY=only"
    own = "To make new pictures, open the bundle in a project of your own: `%wan bundle --open FILE.zip`."
    if fresh:
        message = f"--fresh asks for a new picture, and {who} never buys."
        raise ReplayError(
            message, hint=f"Leave out --fresh. {own}" if by_store else "Leave out --fresh, or unset WAN_REPLAY."
        )
    if missing := [part for part in parts if part.answer is None]:
        first = missing[0]
        prompt = " ".join(first.request.prompt.split())
        shown = prompt[:60] + ("…" if len(prompt) > 60 else "")
        seeds = "no seed asked" if first.fp_asked != first.fp_sent else f"seed {first.request.seed}"
        message = f"{f'{who} never buys' if by_store else who}, and the store has no answer to {shown!r} ({seeds})."
        hint = own if by_store else "Unset WAN_REPLAY to ask the service, or add the store that has it."
        raise ReplayError(f"{message[0].upper()}{message[1:]}", hint=hint)
