"""The settings of a simulator."""

import dataclasses
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from .reply_forms import REPLY_FORMS

NotNegative = Field(ge=0, allow_inf_nan=False)


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
        The request bodies that the gateway accepts.

    Raises
    ------
    pydantic.ValidationError
        A number is negative or not finite, or a name is unknown.
    """

    seconds: Annotated[float, NotNegative] = 3.0
    pending_share: Annotated[float, NotNegative] = 0.15
    price: Annotated[Decimal, NotNegative] = Decimal("0.03")
    queries_per_s: Annotated[float, NotNegative] = 20.0
    submits_per_s: Annotated[float, NotNegative] = 5.0
    in_flight: Annotated[int, Field(ge=0)] = 5
    clock: Callable[[], float] = time.time
    fixed_picture: bytes | None = dataclasses.field(default=None, repr=False)
    state_path: Path | None = None
    reply_form: str = "documented"
    keys: frozenset[str] = dataclasses.field(default=frozenset(), repr=False)
    envelope: Literal["flat", "params", "both"] = "both"

    @field_validator("reply_form")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if not set(value.split("+")) <= REPLY_FORMS.keys():
            raise ValueError(f"must be of {', '.join(REPLY_FORMS)}")
        return value

    @property
    def reply_forms(self) -> frozenset[str]:
        """The single names in `reply_form`."""
        return frozenset(self.reply_form.split("+"))
