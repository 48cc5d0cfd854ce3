"""What the engine is made of."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from .. import catalog
from ..client import Client
from ..inputs import InputImage
from ..ledger import JobRow, Ledger, PictureRecord
from ..runtime import Runtime
from ..schedule import PROMPT, PollSetting
from ..store import Store
from .download import RecipeOf
from .outcome import Price

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Parts:
    """What the engine is made of; tests give their own clocks, stores and clients.

    ``clock`` is monotonic, ``wall_clock`` Unix time, ``sleep`` waits so many seconds of them.
    """

    runtime: Runtime
    ledger: Ledger
    store: Store
    client_for: Callable[[JobRow], Client]
    key_fingerprint_for: Callable[[JobRow], str]
    price_for: Callable[[JobRow], Price | None]
    picture_of: Callable[[JobRow, PictureRecord, str], InputImage]
    hint_for: Callable[[JobRow], Sequence[float]] = lambda _row: ()
    """Durations in seconds to begin with, where the service says them by itself: the simulator's setting."""
    recipe_of: RecipeOf = lambda _row, _picture: None
    setting: Callable[[], PollSetting] = lambda: PROMPT
    queries_per_s: Callable[[], float] = lambda: catalog.QUERIES_PER_S
    rng: random.Random = field(default_factory=random.Random)
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    sleep: Sleep = asyncio.sleep
