"""What jobs at one service account share: its client, its poller under one pace, its gate for submits."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ..client import Client
from ..ledger import JobRow
from ..schedule import Pacer
from .parts import Parts
from .poller import Poller
from .submit import SubmitGate

Account = tuple[str, str]


def account_of(row: JobRow) -> Account:
    """Return whose limit a job's polls count against: the service, and the key by its fingerprint."""
    return row.provider, row.key_fingerprint


@dataclass(frozen=True)
class Service:
    """One client with all that its jobs share."""

    client: Client
    poller: Poller
    gate: SubmitGate
    account: Account


class Services:
    """Makes each once. Lives on the runtime's loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._known: dict[int, Service] = {}
        self._owners: dict[Account, int] = {}

    def of(self, row: JobRow) -> Service:
        """Return the service of a job, with the key that is in force now."""
        client = self._parts.client_for(row)
        known = self._known.get(id(client))  # the entry holds the client, so its id stays its own
        if known is None:
            known = self._known[id(client)] = self._made(client, row)
        return known

    def by_hand(self) -> None:
        """A person acts: what stopped the submits or the polls may be mended, and the pace set anew."""
        for service in self._known.values():
            service.poller.set_pace(self._parts.setting(), self._parts.queries_per_s())
            service.gate.stopped_by = None
            if service.poller.waits_for_person:
                service.poller.let_go()

    def forget(self) -> None:
        """Make all anew: a key or an address has changed. Tasks are asked for by the new clients."""
        known, self._known = self._known, {}
        for service in known.values():
            service.poller.let_go()

    def end(self) -> None:
        """Ask for nothing and send nothing from now on."""
        for service in self._known.values():
            service.poller.end()
            service.gate.pause(math.inf)

    def share(self, rows: Iterable[JobRow], own_token: str, now: float) -> None:
        """Divide each account's limit among the living kernels that have open jobs of it in this ledger."""
        owners: defaultdict[Account, set[str]] = defaultdict(set)
        for row in rows:
            if row.owner_token and (row.lease_until or 0.0) >= now:
                owners[account_of(row)].add(row.owner_token)
        self._owners = {account: len(tokens | {own_token}) for account, tokens in owners.items()}
        for service in self._known.values():
            service.poller.pacer.set_share(1.0 / self._owners.get(service.account, 1))

    def _made(self, client: Client, row: JobRow) -> Service:
        parts, account = self._parts, account_of(row)
        share = 1.0 / self._owners.get(account, 1)
        poller = Poller(
            client,
            pacer=Pacer(queries_per_s=parts.queries_per_s(), share=share),
            setting=parts.setting(),
            rng=parts.rng,
            clock=parts.clock,
            wall_clock=parts.wall_clock,
            sleep=parts.sleep,
        )
        return Service(client, poller, SubmitGate(client, parts.rng, parts.clock, parts.sleep), account)
