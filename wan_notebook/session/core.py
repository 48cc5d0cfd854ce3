"""The composition root: settings → client, ledger, store, runtime; and the way of a request through them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..cell import CellCall
from ..client import Client
from ..folders import LEDGER_NAME, remember_folder
from ..jobs import Engine, Job, LiveJob, Parts
from ..ledger import JobRow, Ledger
from ..request import ImageRequest
from ..runtime import Runtime
from ..schedule import ECONOMICAL, PROMPT
from ..settings import Settings, Sources, read_settings
from ..store import Store
from .caps import Caps
from .doubts import Doubts
from .drafts import draft_of, embedder, sidecar_writer
from .meetings import Meetings, Place
from .providers import Providers
from .rebuild import rebuild
from .replay import Lookup, Part, refuse_if_only
from .resolver import Resolver, image_of_record

TRASH_KEPT_S = 30 * 24 * 3600.0


@dataclass(frozen=True)
class Order:
    """What is wanted: validated requests and how they are to be treated."""

    requests: tuple[ImageRequest, ...]
    name: str = ""
    tags: tuple[str, ...] = ()
    fresh: bool = False
    provider: str | None = None
    embed: bool | None = None
    hints: tuple[str, ...] = ()
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
            place=place,
        )


@dataclass(eq=False)
class Home:
    """One folder of pictures with its ledger and its engine."""

    store: Store
    ledger: Ledger
    engine: Engine


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
    ) -> None:
        self.sources = sources or Sources()
        self.runtime = runtime or Runtime()
        self.providers = providers or Providers()
        self.meetings = Meetings()
        self.wall_clock = wall_clock
        self.last: list[tuple[Place, Job]] = []
        self.place: Callable[[], Place] = Place
        self.doubts = Doubts(self)
        self._rng = rng or random.SystemRandom()
        self._homes: dict[Path, Home] = {}
        self.is_closed = False
        self._guard = threading.RLock()

    # What there is ---------------------------------------------------------------------------------------------------

    def settings(self, provider: str | None = None) -> Settings:
        """Return the settings as they are now: the environment may change between cells."""
        settings = read_settings(self.sources, provider=provider)
        return self.providers.located(settings)

    def home(self, *, create: bool = True) -> Home | None:
        """Return the folder of pictures with its ledger; None if there is none yet and none is to be made."""
        settings = self.settings()
        with self._guard:
            found = self._homes.get(settings.folder)
            if found is not None or not (create or (settings.folder / LEDGER_NAME).is_file()):
                return found
            store = Store(settings.folder)
            if create:
                store.ensure()
            ledger = Ledger.open(settings.folder / LEDGER_NAME, wall_clock=self.wall_clock)
            remember_folder(settings.folder)
            home = self._homes[settings.folder] = Home(store, ledger, self._engine(settings, store, ledger))
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
        """
        settings = self.settings(order.provider)
        lookup = self._lookup(settings, order)
        parts = [part for request in order.requests for part in lookup.parts(request)]
        replay = self.replay_mode(settings)
        refuse_if_only(parts, replay, fresh=order.fresh)
        wanted = [part for part in parts if part.answer is None]
        made = iter(self._create(settings, order, wanted) if wanted else ())
        lives = [self._answered(part, order) if part.answer is not None else next(made) for part in parts]
        request = order.requests[0].replace(seed=parts[0].request.seed)
        replayed = frozenset(part.answer.id for part in parts if part.answer is not None and part.is_replay)
        job = Job(lives, self.need_home().engine, request=request, name=order.name, replayed=replayed)
        self.last.append((order.place, job))
        return job

    def plan(self, order: Order) -> tuple[Settings, list[Part]]:
        """Return what ``submit`` would do, without doing it: for a dry run."""
        settings = self.settings(order.provider)
        lookup = self._lookup(settings, order, meetings=Meetings())
        return settings, [part for request in order.requests for part in lookup.parts(request)]

    def replay_mode(self, settings: Settings) -> Any:
        """Return the mode of replay; an opened bundle's store says by itself that it never buys."""
        ledger = self.ledger()
        if settings.replay == "on" and ledger is not None and ledger.meta_get("replay") == "only":
            return "only"
        return settings.replay

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
        order = Order(requests, name=job.name, tags=doubtful[0].row.tags, fresh=True, place=self.place())
        return self.submit(order)

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
        self.providers.forget()
        for home in self._homes.values():
            home.engine.forget_clients()

    def close(self) -> None:
        """Let go of everything; jobs on the service go on, and their ids are safe."""
        self.is_closed = True
        self.runtime.stop()
        with self._guard:
            homes, self._homes = list(self._homes.values()), {}
        for home in homes:
            home.engine.let_go()
            home.ledger.close()

    # ------------------------------------------------------------------------------------------------------------------

    def need_home(self) -> Home:
        """Return the folder of pictures with its ledger, made if need be."""
        home = self.home()
        if home is None:
            raise AssertionError  # home() creates it
        return home

    def _lookup(self, settings: Settings, order: Order, *, meetings: Meetings | None = None) -> Lookup:
        return Lookup(
            ledger=self.ledger(),
            replay=self.replay_mode(settings),
            fresh=order.fresh,
            simulated_ok=settings.provider.name == "simulator",
            meetings=meetings or self.meetings,
            place=order.place,
            rng=self._rng,
        )

    def _answered(self, part: Part, order: Order) -> LiveJob:
        if part.answer is None:
            message = "a part without an answer"
            raise LookupError(message)
        home = self.need_home()
        live = home.engine.live(part.answer)
        if part.is_replay:
            home.ledger.record_shown(live.id, order.place.notebook, order.place.cell_id, "replay")
        else:
            home.engine.take_up([part.answer])
        return live

    def _create(self, settings: Settings, order: Order, parts: Sequence[Part]) -> list[LiveJob]:
        self.providers.require_key(settings, self.ledger())
        home = self.need_home()
        home.store.check_writable(need_bytes=len(parts) * 16 * 1024 * 1024)
        caps = Caps(settings, home.ledger, self.sources, order.place.notebook)
        unit = caps.unit_price(settings.provider.name)
        drafts = [draft_of(part, settings, order, unit, home.store, self.meetings.run(order.place)) for part in parts]
        ids = home.ledger.create_jobs(
            drafts, check=caps.checker(parts, settings.provider.name), owner=home.engine.leases.owner
        )
        self.providers.note_real(settings, home.ledger)
        lives = []
        for job_id, part in zip(ids, parts, strict=True):
            live = home.engine.live(home.ledger.get(job_id))
            live.request = part.request
            lives.append(live)
        home.engine.start(lives)
        return lives

    def _engine(self, settings: Settings, store: Store, ledger: Ledger) -> Engine:
        return Engine(
            Parts(
                runtime=self.runtime,
                ledger=ledger,
                store=store,
                client_for=lambda row: self.providers.client_of_row(self.settings, row),
                key_fingerprint_for=lambda row: self.providers.key_fingerprint(self.settings, row),
                price_for=lambda row: Caps(self.settings(), ledger, self.sources, "").unit_price(row.provider),
                picture_of=lambda row, record, name: image_of_record(store, row, record, name),
                hint_for=self.providers.durations_s,
                embed=embedder(self.settings),
                sidecar=sidecar_writer(self.settings, store),
                setting=ECONOMICAL if settings.polling == "economical" else PROMPT,
                queries_per_s=settings.queries_per_s,
                wall_clock=self.wall_clock,
            )
        )


_default: list[Session] = []
_default_guard = threading.Lock()


def default_session() -> Session:
    """Return this process's session, made on first use."""
    with _default_guard:
        if not _default or _default[0].is_closed:
            _default[:] = [Session()]
        return _default[0]
