"""What is read from environment variables and from ``config.json``, checked by pydantic.

Import this module at first use only: pydantic-settings takes a noticeable part of a second.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .errors import SettingsError
from .masking import shown
from .models import QUERIES_PER_S, SUBMITS_PER_S, TASKS_IN_FLIGHT
from .money import to_decimal


def _ascii_decimal(value: object) -> Decimal:
    amount = to_decimal(value)
    if amount is None:
        message = "not a decimal amount"
        raise ValueError(message)
    return amount


AsciiDecimal = Annotated[Decimal, BeforeValidator(_ascii_decimal)]
Rate = Annotated[float, BeforeValidator(_ascii_decimal)]
"""A finite number of 0 or more, in ASCII digits."""


class Environment(BaseSettings):
    """The environment variables of wan_notebook; a blank one counts as not set."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", hide_input_in_errors=True, str_strip_whitespace=True, frozen=True
    )

    wan_provider: str = ""
    wan_api_key: SecretStr | None = None
    dashscope_api_key: SecretStr | None = None
    wan_base_url: str = ""
    wan_home: str = ""
    wan_ledger: str = Field("", repr=False)
    wan_replay: str = ""
    wan_budget: str = ""
    wan_queries_per_s: Rate = QUERIES_PER_S
    wan_in_flight: Annotated[int, BeforeValidator(_ascii_decimal)] = TASKS_IN_FLIGHT
    wan_submits_per_s: Rate = SUBMITS_PER_S
    wan_account: str = ""
    wan_simulator_seconds: Rate | None = None
    wan_simulator_price: AsciiDecimal | None = None
    jupyterhub_user: str = ""
    user: str = ""
    username: str = ""

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, values: Any) -> Any:
        return {name: value.strip() for name, value in values.items() if isinstance(value, str) and value.strip()}


VARIABLES = tuple(name.upper() for name in Environment.model_fields)
_NUMBER_HINTS = {
    "wan_queries_per_s": "Use for example 20, or 0 for no limit.",
    "wan_in_flight": "Use a whole number such as 5, or 0 for no limit.",
    "wan_submits_per_s": "Use for example 5, or 0 for no limit.",
    "wan_simulator_seconds": "Use for example 3.",
    "wan_simulator_price": "Use an amount in USD, for example 0.03.",
}


def read_environment(given: Mapping[str, str]) -> Environment:
    """Check environment variables; those in ``given`` (by field name) take the place of the process's own.

    Raises
    ------
    SettingsError
        Naming each variable that is wrong, with its value.
    """
    try:
        return Environment.model_validate(given)
    except ValidationError as error:
        found = [(str(item["loc"][0]), item["input"]) for item in error.errors(include_url=False)]
    wrong = "; ".join(f"{name.upper()} = {shown(str(value))} is not a number of 0 or more" for name, value in found)
    raise SettingsError(f"{wrong}.", hint=" ".join(dict.fromkeys(_NUMBER_HINTS.get(name, "") for name, _ in found)))


class StoredSettings(BaseModel):
    """What ``%wan config`` and ``%wan login`` stored, of which settings are made."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True, frozen=True)

    provider: str = ""
    provider_by: str = ""
    base_urls: dict[str, str] = {}
    replay: str = "on"
    envelope: Literal["auto", "flat", "params"] = "auto"
    wait: bool | None = None
    polling: Literal["prompt", "economical"] = "prompt"
    embed: bool = True
    prices: dict[str, tuple[AsciiDecimal, str]] = {}


def read_stored(stored: Mapping[str, Any], path: Path) -> StoredSettings:
    """Check what ``config.json`` holds. Raise ``SettingsError`` naming the file and the entry."""
    try:
        return StoredSettings.model_validate({name: value for name, value in stored.items() if value is not None})
    except ValidationError as error:
        names = ", ".join(dict.fromkeys(str(item["loc"][0]) for item in error.errors(include_url=False)))
    message = f"the settings in {path} have an entry that is not valid: {names}."
    raise SettingsError(message, hint="Correct that entry, or delete the file.")
