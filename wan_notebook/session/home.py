"""One folder of pictures, opened: its store, its ledger, and the engine that works on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from ..folders import LEDGER_NAME, remember_folder
from ..jobs import Engine, Parts
from ..ledger import Ledger
from ..runtime import Runtime
from ..schedule import ECONOMICAL, PROMPT
from ..settings import Settings, Sources
from ..store import Store
from .caps import Caps
from .drafts import recipe_writer
from .providers import Providers
from .resolver import image_of_record

REPLAY = "replay"
"""The ledger's note that a folder only replays: an opened bundle."""


@dataclass(eq=False)
class Home:
    """A folder in use. ``replays_only``: it never buys, whatever the environment says."""

    store: Store
    ledger: Ledger
    engine: Engine
    replays_only: bool


class Surroundings(Protocol):
    """What a home needs of the session that opens it."""

    runtime: Runtime
    providers: Providers
    sources: Sources
    wall_clock: Callable[[], float]
    engine_parts: Mapping[str, Any]

    def settings(self, provider: str | None = None) -> Settings:
        """Return the settings as they are now."""


class Homes:
    """The folders that a session has opened; each is opened once."""

    def __init__(self, session: Surroundings) -> None:
        self._session = session
        self._open: dict[Path, Home] = {}
        self._guard = threading.RLock()

    def get(self, settings: Settings, *, create: bool) -> Home | None:
        """Return a folder's home; None if there is no ledger yet and none is to be made."""
        found = self._open.get(settings.folder)
        if found is not None:
            return found
        with self._guard:
            if settings.folder not in self._open:
                if not create and not (settings.folder / LEDGER_NAME).is_file():
                    return None
                self._open[settings.folder] = self._opened(settings)
            return self._open[settings.folder]

    def all(self) -> list[Home]:
        """Return every open home."""
        return list(self._open.values())

    def each(self, call: Callable[[Home], None]) -> None:
        """Do something with every open home."""
        for home in self.all():
            call(home)

    def close(self) -> None:
        """Let go of every lease and ledger."""
        with self._guard:
            homes, self._open = list(self._open.values()), {}
        for home in homes:
            home.engine.let_go()
            home.ledger.close()

    def _opened(self, settings: Settings) -> Home:
        store = Store(settings.folder)
        store.ensure()
        store.clean_parts()  # a kernel that was killed cannot do it
        ledger = Ledger.open(settings.folder / LEDGER_NAME, wall_clock=self._session.wall_clock)
        remember_folder(settings.folder)
        engine = self._engine(store, ledger)
        return Home(store, ledger, engine, replays_only=ledger.meta_get(REPLAY) == "only")

    def _engine(self, store: Store, ledger: Ledger) -> Engine:
        session = self._session
        parts = Parts(
            runtime=session.runtime,
            ledger=ledger,
            store=store,
            client_for=lambda row: session.providers.client_of_row(session.settings, row),
            key_fingerprint_for=lambda row: session.providers.key_fingerprint(session.settings, row),
            price_for=lambda row: Caps(session.settings(), ledger, session.sources, "").unit_price(row.provider),
            picture_of=lambda row, record, name: image_of_record(store, row, record, name),
            hint_for=session.providers.durations_s,
            recipe_of=recipe_writer(session.settings),
            setting=lambda: ECONOMICAL if session.settings().polling == "economical" else PROMPT,
            queries_per_s=lambda: session.settings().queries_per_s,
            wall_clock=session.wall_clock,
        )
        return Engine(replace(parts, **session.engine_parts))
