"""``Settings``: what a call is made with, checked by pydantic, which is imported at first use only."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from .errors import SettingsError
from .models import QUERIES_PER_S, SUBMITS_PER_S, TASKS_IN_FLIGHT
from .money import to_decimal
from .text import shown


def _ascii_decimal(value: object) -> Decimal:
    amount = to_decimal(value)
    if amount is None:
        raise ValueError("is not a number of 0 or more")
    return amount


Number = Annotated[float, BeforeValidator(_ascii_decimal)]
"""A finite number of 0 or more, in ASCII digits."""

NUMBERS: Final = {
    name: f"WAN_{name.upper()}"
    for name in ("queries_per_s", "in_flight", "submits_per_s", "simulator_seconds", "simulator_price")
}
"""The fields whose environment variable holds a number."""
STORED: Final = ("envelope", "wait", "polling", "embed")
"""The fields that ``%wan config`` stores as they are."""


class Settings(BaseModel):
    """Everything that steers a call. Amounts in their currency, times in seconds.

    ``provider`` is ``gateway``, ``dashscope`` or ``simulator``; ``key_source`` and ``chosen_because`` say how key and
    provider were found. ``key_fingerprint`` is 12 hex digits that tell keys apart, empty without a key. An empty
    ``ledger_url`` means ``ledger.db`` in the folder. ``notes`` say which changes do not count before the next kernel.
    """

    model_config = ConfigDict(hide_input_in_errors=True, frozen=True)

    provider: str
    is_simulated: bool
    """Whether a simulator answers, built in or at an address."""
    base_url: str
    in_process: bool
    """Whether the simulator inside this process answers."""
    folder: Path
    key: SecretStr | None
    key_source: str
    key_fingerprint: str
    chosen_because: str
    is_provider_named: bool
    is_url_named: bool
    ledger_url: str = Field(repr=False)  # it may hold a password
    replay: Literal["on", "only", "off"]
    budget_texts: tuple[str, ...]
    account: str
    envelope: Literal["auto", "flat", "params"] = "auto"
    wait: bool | None = None
    polling: Literal["prompt", "economical"] = "prompt"
    embed: bool = True
    prices: Mapping[str, tuple[Decimal, str]]
    by_list: tuple[str, ...]
    """The services whose list prices budgets may go by."""
    user: str
    notes: tuple[str, ...]
    queries_per_s: Number = QUERIES_PER_S
    in_flight: Annotated[int, BeforeValidator(_ascii_decimal)] = TASKS_IN_FLIGHT
    submits_per_s: Number = SUBMITS_PER_S
    simulator_seconds: Number | None = None
    simulator_price: Annotated[Decimal, BeforeValidator(_ascii_decimal)] = Decimal("0.03")


def settings_error(error: ValidationError, stored_in: Path) -> SettingsError:
    """Return what names each variable and each entry that is wrong."""
    said = []
    for item in error.errors(include_url=False):
        name, why = str(item["loc"][0]), item["msg"].removeprefix("Value error, ").removeprefix("Input ")
        where = f"the entry {name} in {stored_in}" if name in STORED else f"WAN_{name.upper()} ="
        said.append(f"{where} {shown(str(item['input']))} {why}")
    return SettingsError(f"{'; '.join(said)}.", hint="Correct it, or unset the variable or delete the file.")
