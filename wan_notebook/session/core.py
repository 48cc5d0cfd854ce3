"""The composition root: settings → client, ledger, store, runtime; and the way of a request through them."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from .. import interrupts
from ..client import Client
from ..errors import SettingsError
from ..jobs import Job, LiveJob
from ..ledger import JobRow, Ledger
from ..request import ImageRequest
from ..runtime import Runtime
from ..settings import Replay, Settings, Sources, read_settings
from ..store import Store
from .caps import Caps
from .doubts import Doubts
from .home import Home, Homes
from .leaving import CLOSING_S, GRACE_S, goodbye, is_script, wait_for_submits
from .meetings import Meetings, Place
from .order import Order
from .ordering import Ordering, begin, live_of
from .providers import Providers
from .rebuild import rebuild
from .replay import Lookup, Part, refuse_if_only
from .resolver import Resolver

CLOSE_TIMEOUT_S = 0.3
TRASH_KEPT_S = 30 * 24 * 3600.0


class Session:
    """One kernel's use of the house. Everything heavy is made on first use."""

    def __init__(
        self,
        sources: Sources | None = None,
        *,
        runtime: Runtime | None = None,
        providers: Providers | None = None,
        rng: random.Random | None = None,
        wall_clock: Callable[[], float] = time.time,
        engine_parts: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a session; ``engine_parts`` replace some of ``jobs.Parts``: clocks and waiting, for tests."""
        self.sources = sources or Sources()
        self.runtime = runtime or Runtime()
        self.providers = providers or Providers()
        self.meetings = Meetings()
        self.wall_clock = wall_clock
        self.engine_parts = engine_parts or {}
        self.last: list[tuple[Place, Job]] = []
        self.place: Callable[[], Place] = Place
        self.doubts = Doubts(self)
        self._rng = rng or random.SystemRandom()
        self._homes = Homes(self)
        self._settings: dict[str | None, tuple[object, Settings]] = {}
        self.is_closed = False

    # What there is ---------------------------------------------------------------------------------------------------

    def settings(self, provider: str | None = None) -> Settings:
        """Return the settings as they are now: the environment may change between cells."""
        stamp = self.sources.stamp()
        known = self._settings.get(provider)
        if known is None or known[0] != stamp:
            known = (stamp, self.providers.located(read_settings(self.sources, provider=provider)))
            self._settings[provider] = known
        return known[1]

    def home(self, *, create: bool = True) -> Home | None:
        """Return the folder of pictures with its ledger; None if there is none yet and none is to be made."""
        return self._homes.get(self.settings(), create=create)

    def need_home(self) -> Home:
        """Return the folder of pictures with its ledger, made if need be."""
        home = self.home()
        if home is None:
            raise AssertionError  # home() creates it
        return home

    def ledger(self) -> Ledger | None:
        """Return the ledger if there is one."""
        home = self.home(create=False)
        return home.ledger if home else None

    def resolver(self, namespace: Mapping[str, Any], *, may_fetch: bool = True) -> Resolver:
        """Return what turns a cell's names into pictures."""
        home = self.home(create=False)
        return Resolver(
            namespace=namespace,
            ledger=self.ledger,
            store=home.store if home else Store(self.settings().folder),
            live=lambda row: self.need_home().engine.live(row),
            download=self.download,
            may_fetch=may_fetch,
        )

    # A request's way -------------------------------------------------------------------------------------------------

    def submit(self, order: Order) -> Job:
        """Take what the store has, join what is on its way, and order the rest: on disk first, then sent.

        Raises ``BudgetError``, ``ReplayError``, ``SettingsError`` or ``StoreError``; then nothing was sent.
        Interrupted, it has sent nothing, or what was ordered goes on and is in the history.
        """
        with interrupts.held():
            return self._submit(order)

    def _submit(self, order: Order) -> Job:
        settings = self.settings(order.provider)
        lookup = self._lookup(settings, order)
        parts = lookup.all_parts(order.requests)
        refuse_if_only(parts, lookup.replay, fresh=order.fresh, by_store=settings.replay != "only")
        if any(part.answer is None for part in parts):
            parts = self._ordering(settings, order).create(parts)
        home = self.need_home()
        lives = [live_of(home, part, order) for part in parts]
        begin(home.engine, parts, lives)
        replayed = frozenset(live.id for part, live in zip(parts, lives, strict=True) if part.is_replay)
        request = order.requests[0].replace(seed=parts[0].request.seed)
        job = Job(lives, home.engine, request=request, name=order.name, replayed=replayed)
        self.last.append((order.place, job))
        return job

    def plan(self, order: Order) -> tuple[Settings, list[Part]]:
        """Return what ``submit`` would do, without doing it: for a dry run."""
        settings = self.settings(order.provider)
        return settings, self._lookup(settings, order, meetings=Meetings()).all_parts(order.requests)

    def replay_mode(self, settings: Settings) -> Replay:
        """Return the mode of replay; an opened bundle's store says by itself that it never buys."""
        return _replay_mode(settings, self.home(create=False))

    def job(self, id_or_prefix: str) -> Job:
        """Return a handle of a job of the history. Raises ``LedgerError`` naming the nearest ids."""
        home = self.need_home()
        return self.job_of_row(home.ledger.get(id_or_prefix))

    def job_of_row(self, row: JobRow) -> Job:
        """Return a handle of a row's job; one that is open is followed."""
        home = self.need_home()
        rows = home.ledger.batch(row.batch_id) if row.id == row.batch_id else [row]
        lives = [home.engine.live(one) for one in rows]
        waiting = [live.row for live in lives if not live.is_settled]
        if waiting and self.replay_mode(self.settings()) != "only":
            home.engine.take_up(waiting)
        return Job(lives, home.engine, request=self.request_of(row), name=row.name)

    def request_of(self, row: JobRow) -> ImageRequest:
        """Rebuild the request that a row was made from."""
        return rebuild(row, self.need_home().store)

    def submit_again(self, job: Job, doubtful: Sequence[LiveJob]) -> Job:
        """Order anew what is in doubt, because a person decided so. Only whole requests are repeated."""
        requests = tuple(self.request_of(live.row) for live in doubtful)
        row = doubtful[0].row
        given_up = tuple(live.id for live in doubtful)
        order = Order(requests, name=job.name, tags=row.tags, fresh=True, provider=row.provider, place=self.place(),
                      instead_of=given_up)  # fmt: skip
        try:
            return self.submit(order)
        finally:
            self.refresh(job)

    def refresh(self, job: Job) -> None:
        """Read a job's rows again, after a person changed them."""
        ledger = self.need_home().ledger
        for live in job.lives:
            live.changed(ledger.get(live.id))

    def empty_trash(self) -> int:
        """Delete the files of jobs that have been in the trash for 30 days; return how many."""
        home = self.need_home()
        files = home.ledger.purge_trash(self.wall_clock() - TRASH_KEPT_S)
        gone = [file for file in files if home.store.delete(file) or not home.store.exists(file)]
        home.ledger.files_deleted(gone)
        return len(gone)

    def resume(self) -> list[LiveJob]:
        """Take up every open job of the ledger that no living kernel owns."""
        home = self.home(create=False)
        if home is None:
            return []
        rows = home.ledger.open_jobs()
        return home.engine.take_up(rows) if rows else []

    def download(self, url: str) -> bytes:
        """Fetch a person's input picture, without any key."""
        client = self.providers.fetcher(self.settings())
        return self.runtime.submit(client.fetch_image(url)).result(timeout=120)

    def client(self, settings: Settings) -> Client:
        """Return the client of a provider, made once."""
        return self.providers.client(settings)

    def forget_clients(self) -> None:
        """Use new keys and addresses from now on."""
        self._settings.clear()
        self.providers.forget()
        self._homes.each(lambda home: home.engine.forget_clients())

    def close(self, *, within_s: float = CLOSE_TIMEOUT_S) -> None:
        """Let go of everything; jobs on the service go on, and their ids are safe."""
        self.is_closed = True
        if self.runtime.is_running:
            with suppress(TimeoutError):  # a connection that will not close must not hold up a shutdown
                self.runtime.submit(self._wind_up()).result(timeout=within_s)
        self.runtime.stop(within_s)
        self._homes.close()

    def end(self) -> None:
        """The program ends: send what is not sent within what is left of half a second, and say what goes on."""
        until_s = time.monotonic() + GRACE_S
        homes = self._homes.all()
        if self.runtime.is_running:
            self._homes.each(lambda home: home.engine.hurry())
        wait_for_submits(homes, until_s - CLOSING_S)
        lives = [live for home in homes for live in home.engine.mine]
        on_the_way = {live.id for live in lives if live.is_sending}
        self.close(within_s=max(CLOSING_S / 4, (until_s - time.monotonic()) / 2))
        if is_script() and (line := goodbye(lives, on_the_way)):
            print(line, file=sys.stderr)  # noqa: T201 - a script's own last words

    def leave(self) -> None:
        """In a forked process: its threads, connections and leases are the parent's."""
        self.is_closed = True
        self.runtime.on_exit = None  # this process's end is not the program's
        for home in self._homes.all():
            home.engine.leave()
            home.ledger.leave()

    async def _wind_up(self) -> None:
        await asyncio.gather(*(home.engine.wind_up() for home in self._homes.all()))
        await self.providers.aclose()

    # ------------------------------------------------------------------------------------------------------------------

    def _lookup(self, settings: Settings, order: Order, *, meetings: Meetings | None = None) -> Lookup:
        home = self.home(create=False)
        return Lookup(
            ledger=home.ledger if home else None,
            replay=_replay_mode(settings, home),
            fresh=order.fresh,
            # An opened bundle shows its record as it is, whatever key its reader has.
            simulated_ok=settings.provider.name == "simulator" or (home is not None and home.replays_only),
            meetings=meetings or self.meetings,
            place=order.place,
            rng=self._rng,
        )

    def _ordering(self, settings: Settings, order: Order) -> Ordering:
        home = self.home(create=False)
        self.providers.require_usable(settings, home.ledger if home else None)
        home = home or self.need_home()
        caps = Caps(settings, home.ledger, self.sources, order.place.notebook)
        return Ordering(settings, order, home, caps, run=self.meetings.run(order.place))


def _replay_mode(settings: Settings, home: Home | None) -> Replay:
    return "only" if settings.replay == "on" and home is not None and home.replays_only else settings.replay


_default: list[Session] = []
_inherited: list[Session] = []
_default_guard = threading.Lock()


def default_session() -> Session:
    """Return this process's session, made on first use. Raises ``SettingsError`` in a process forked after that."""
    if _inherited:
        message = "this process was forked from one that uses wan_notebook, and may not open its ledger."
        hint = "Start it anew: multiprocessing.get_context('spawn'), or ask before and after in the first process."
        raise SettingsError(message, hint=hint)
    with _default_guard:
        if not _default or _default[0].is_closed:
            _default[:] = [Session()]
            _default[0].runtime.on_exit = _default[0].end
        return _default[0]


def _after_fork() -> None:
    """Let a forked process leave alone what it inherited: SQLite's locks and our threads are the parent's.

    It may not even open the ledger anew: SQLite would believe that it holds the locks which the parent has, or wait
    for ever for one of the parent's threads.
    """
    for session in _default:
        session.leave()
    _inherited.extend(_default)
    _default.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
