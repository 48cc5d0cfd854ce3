"""``Settings``: what a call is made with, checked by pydantic-settings.

``settings.SettingsLoader`` says what each layer holds. This module is imported at first use only, since
pydantic-settings takes a noticeable part of a second.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, SettingsConfigDict

from .errors import SettingsError
from .models import QUERIES_PER_S, SUBMITS_PER_S, TASKS_IN_FLIGHT
from .money import to_decimal
from .text import shown


def _ascii_decimal(value: object) -> Decimal:
    amount = to_decimal(value)
    if amount is None:
        raise ValueError("not a number of 0 or more")
    return amount


Amount = Annotated[Decimal, BeforeValidator(_ascii_decimal)]
Number = Annotated[float, BeforeValidator(_ascii_decimal)]
"""A finite number of 0 or more, in ASCII digits."""

NUMBERS: Final = {
    "queries_per_s": "Use for example 20, or 0 for no limit.",
    "in_flight": "Use a whole number such as 5, or 0 for no limit.",
    "submits_per_s": "Use for example 5, or 0 for no limit.",
    "simulator_seconds": "Use for example 3.",
    "simulator_price": "Use an amount in USD such as 0.03.",
}
"""The fields whose environment variable holds a number, with a hint."""


class Settings(BaseSettings):
    """Everything that steers a call. Amounts in their currency, times in seconds.

    ``provider`` is ``gateway``, ``dashscope`` or ``simulator``; ``key_source`` and ``chosen_because`` say how key and
    provider were found, ``looked_in`` where a key was looked for. ``key_fingerprint`` is 12 hex digits that tell keys
    apart, empty without a key. An empty ``ledger_url`` means ``ledger.db`` in the folder. ``notes`` say which changes
    do not count before the next kernel.
    """

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)

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
    looked_in: tuple[str, ...]
    ledger_url: str = Field(repr=False)  # it may hold a password
    replay: Literal["on", "only", "off"]
    budget_texts: tuple[str, ...]
    account: str
    envelope: Literal["auto", "flat", "params"] = "auto"
    wait: bool | None = None
    polling: Literal["prompt", "economical"] = "prompt"
    embed: bool = True
    prices: Mapping[str, tuple[Amount, str]]
    user: str
    notes: tuple[str, ...]
    queries_per_s: Number = QUERIES_PER_S
    in_flight: Annotated[int, BeforeValidator(_ascii_decimal)] = TASKS_IN_FLIGHT
    submits_per_s: Number = SUBMITS_PER_S
    simulator_seconds: Number | None = None
    simulator_price: Amount = Decimal("0.03")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, *_: Any, **__: Any
    ) -> tuple[InitSettingsSource, ...]:
        """Take the layers as the loader gives them, and nothing from the process itself."""
        return tuple(InitSettingsSource(settings_cls, init_kwargs=layer) for layer in init_settings()["layers"])

    def with_base_url(self, base_url: str) -> "Settings":
        """Return the same settings at another address, e.g. while ``%wan login`` tries the regions."""
        is_same = base_url == self.base_url
        return self.model_copy(update={"base_url": base_url, "in_process": self.in_process and is_same})


def settings_of(*layers: Mapping[str, Any], stored_in: Path) -> Settings:
    """Return the settings of these layers, the first one that has a value wins; an empty value is none.

    Raises ``SettingsError`` naming each variable or entry of ``stored_in`` that is wrong.
    """
    try:
        given = [{name: value for name, value in layer.items() if value not in ("", None)} for layer in layers[1:]]
        return Settings(layers=[layers[0], *given])  # type: ignore[call-arg]
    except ValidationError as error:
        found = {str(item["loc"][0]): item["input"] for item in error.errors(include_url=False)}
    said, hints = [], []
    for name, value in found.items():
        if name in NUMBERS:
            kind = "a whole number" if name == "in_flight" else "a number"
            said.append(f"WAN_{name.upper()} = {shown(str(value))} is not {kind} of 0 or more")
            hints.append(NUMBERS[name])
        elif name == "replay":
            said.append(f"WAN_REPLAY = {shown(str(value))} is not valid")
            hints.append("Use on, only or off.")
        else:
            said.append(f"the entry {name} in {stored_in} is not valid")
            hints.append("Correct that entry, or delete the file.")
    raise SettingsError(f"{'; '.join(said)}.", hint=" ".join(dict.fromkeys(hints)))
