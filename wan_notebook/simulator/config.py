"""The settings of a simulator, and the environment variables that set them."""

import math
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from .reply_forms import REPLY_FORMS

VARIABLES: Mapping[str, tuple[str, type]] = {
    "seconds": ("WAN_SIMULATOR_SECONDS", float),
    "price": ("WAN_SIMULATOR_PRICE", Decimal),
    "queries_per_s": ("WAN_QUERIES_PER_S", float),
    "submits_per_s": ("WAN_SUBMITS_PER_S", float),
    "in_flight": ("WAN_IN_FLIGHT", int),
}


@dataclass(frozen=True, kw_only=True)
class SimulatorConfig:
    """Settings of one simulator; its limits are those of the real services unless told otherwise.

    Parameters
    ----------
    seconds
        How long a task takes from submit to end. 0: the first poll finds it done.
    pending_share
        The part of that time in which the task is PENDING, so that it can still be cancelled.
    price
        USD of one picture, as the gateway reports it. Nothing is billed.
    queries_per_s, submits_per_s, in_flight
        The limits of one account: status queries and submits in any second, tasks in process at once. 0: no limit.
        A file in `state_path` shares `in_flight` with other processes.
    clock
        Unix time in seconds.
    fixed_picture
        Bytes that are served as every result, in place of a painted picture.
    state_path
        A SQLite file in which tasks survive a restart; several processes may share it. None: kept in memory.
    reply_form
        Names of `REPLY_FORMS`, joined by `+`.
    keys
        The accepted keys; empty: any key.
    envelope
        The request bodies that the gateway accepts: "flat", "params" or "both".

    Raises
    ------
    ValueError
        A number is negative or not finite, or a name is unknown.
    """

    seconds: float = 3.0
    pending_share: float = 0.15
    price: Decimal = Decimal("0.03")
    queries_per_s: float = 20.0
    submits_per_s: float = 5.0
    in_flight: int = 5
    clock: Callable[[], float] = time.time
    fixed_picture: bytes | None = field(default=None, repr=False)
    state_path: Path | None = None
    reply_form: str = "documented"
    keys: frozenset[str] = field(default=frozenset(), repr=False)
    envelope: str = "both"

    def __post_init__(self) -> None:
        for name in ("seconds", "pending_share", "price", "queries_per_s", "submits_per_s", "in_flight"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise ValueError(f"{name} must be a finite number of at least 0, got {value}")
        if self.envelope not in ("both", "flat", "params"):
            raise ValueError(f"envelope must be 'both', 'flat' or 'params', got {self.envelope!r}")
        if unknown := self.reply_forms - REPLY_FORMS.keys():
            raise ValueError(f"reply_form must be of {', '.join(REPLY_FORMS)}; got {', '.join(sorted(unknown))!r}")

    @property
    def reply_forms(self) -> frozenset[str]:
        """The single names in `reply_form`."""
        return frozenset(self.reply_form.split("+"))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **settings: Any) -> "SimulatorConfig":
        """Read the variables of `VARIABLES`; `settings` given here win over them.

        Raises
        ------
        ValueError
            A variable does not hold a plain decimal number.
        """
        environ = os.environ if environ is None else environ
        for name, (variable, convert) in VARIABLES.items():
            text = environ.get(variable, "").strip()
            if text and not re.fullmatch(r"[0-9]+" if convert is int else r"[0-9]+(\.[0-9]+)?", text):
                kind = "whole number such as 5" if convert is int else "number such as 0.5"
                raise ValueError(f"{variable} must be a {kind}, got {text!r}")
            if text:
                settings.setdefault(name, convert(text))
        return cls(**settings)
