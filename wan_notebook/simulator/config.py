"""What can be set about a simulator, and the two environment variables that set it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

ENVELOPES = ("both", "flat", "params")


@dataclass(frozen=True, kw_only=True)
class SimulatorConfig:
    """Hold the settings of one simulator.

    `seconds` is how long a task takes (the median of a lognormal law if `sigma` > 0, drawn reproducibly from
    `durations_seed`), `price` the USD of one picture on the gateway, `state_path` a SQLite file in which tasks
    outlive the process, `queries_per_s` the limit per account (0 = none), `keys` the accepted keys (empty = any),
    `faults` a list of `NAME[:COUNT]`, `clock` the wall time, `fixed_picture` bytes served as every result,
    `envelope` which gateway envelopes are accepted, `fault_pace_s` the pause between the pieces of a trickling
    answer, `retry_after_s` what a Retry-After header says. Raises ValueError for values out of range.
    """

    seconds: float = 3.0
    price: Decimal = Decimal("0.03")
    state_path: Path | None = None
    queries_per_s: float = 20.0
    keys: frozenset[str] = field(default=frozenset(), repr=False)
    faults: tuple[str, ...] = ()
    sigma: float = 0.0
    durations_seed: int | None = None
    clock: Callable[[], float] = time.time
    fixed_picture: bytes | None = field(default=None, repr=False)
    envelope: str = "both"
    fault_pace_s: float = 0.5
    retry_after_s: int = 1

    def __post_init__(self) -> None:
        for name in ("seconds", "queries_per_s", "sigma", "fault_pace_s", "retry_after_s"):
            _require_not_negative(name, getattr(self, name))
        _require_not_negative("price", self.price)
        if self.envelope not in ENVELOPES:
            raise ValueError(f"envelope must be one of {', '.join(ENVELOPES)}, got {self.envelope!r}")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **settings: Any) -> SimulatorConfig:
        """Read WAN_SIMULATOR_SECONDS and WAN_SIMULATOR_PRICE; `settings` given here win over them."""
        environ = os.environ if environ is None else environ
        found: dict[str, Any] = {}
        for name, variable in (("seconds", "WAN_SIMULATOR_SECONDS"), ("price", "WAN_SIMULATOR_PRICE")):
            text = environ.get(variable, "").strip()
            if text:
                number = _number(variable, text)
                found[name] = number if name == "price" else float(number)
        return cls(**{**found, **settings})


def parse_price(text: str) -> Decimal:
    """Read a price in USD; raise ValueError unless it is a number of at least 0."""
    return _number("price", text)


def _number(name: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{name} must be a number, got {text!r}") from None
    _require_not_negative(name, number)
    return number


def _require_not_negative(name: str, value: float | Decimal) -> None:
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value}")
