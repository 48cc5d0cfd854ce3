"""Settings: the only reader of the environment, of stored configuration and of keys.

Precedence: this session's overrides, the environment, what was stored (``%wan login``, ``%wan config``), the default.
"""

from __future__ import annotations

import getpass
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from . import catalog
from .errors import SettingsError
from .folders import config_dir, store_folder, write_private
from .keys import KeyStore
from .money import to_decimal
from .secret import Secret, shown

CONFIG_NAME = "config.json"
VARIABLES = (
    "WAN_PROVIDER",
    "WAN_API_KEY",
    "DASHSCOPE_API_KEY",
    "WAN_BASE_URL",
    "WAN_HOME",
    "WAN_REPLAY",
    "WAN_BUDGET",
    "WAN_QUERIES_PER_S",
)
"""Every variable of the environment that is read here."""

KEY_VARIABLE = {"gateway": "WAN_API_KEY", "dashscope": "DASHSCOPE_API_KEY"}
Replay = Literal["on", "only", "off"]


@dataclass(frozen=True)
class Provider:
    """Which service is asked, where, with which key, and how that was decided."""

    name: str
    base_url: str
    key: Secret | None
    key_source: str
    chosen_because: str
    is_url_named: bool = False
    is_named: bool = False
    looked_in: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """Everything that steers a session. Amounts in their currency, times in seconds."""

    provider: Provider
    folder: Path
    replay: Replay = "on"
    budget_texts: tuple[str, ...] = ()
    queries_per_s: float = catalog.QUERIES_PER_S
    envelope: Literal["auto", "flat", "params"] = "auto"
    wait: bool | None = None
    polling: Literal["prompt", "economical"] = "prompt"
    embed: bool = True
    prices: Mapping[str, tuple[Decimal, str]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    user: str = ""


@dataclass
class Sources:
    """Where settings are read from; tests give their own."""

    env: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)  # it holds keys
    cwd: Path = field(default_factory=Path.cwd)
    config_path: Path = field(default_factory=lambda: config_dir() / CONFIG_NAME)
    keys: KeyStore = field(default_factory=KeyStore)
    session: dict[str, Any] = field(default_factory=dict)
    session_keys: dict[str, Secret] = field(default_factory=dict)

    def stamp(self) -> tuple[object, ...]:
        """Return what changes when any setting does: cheap enough to ask before each use."""
        try:
            written = self.config_path.stat().st_mtime_ns
        except OSError:
            written = 0
        keys = tuple((name, key.fingerprint) for name, key in self.session_keys.items())
        variables = hash(tuple(map(self.env.get, VARIABLES)))  # not the values: one may be a key, and this is kept
        return (written, keys, tuple(self.session.items()), variables)

    def stored(self) -> dict[str, Any]:
        """Return what ``%wan config`` and ``%wan login`` stored."""
        try:
            value = json.loads(self.config_path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            message = f"the settings in {self.config_path} cannot be read ({error})."
            raise SettingsError(message, hint="Mend or delete that file.") from error
        return value if isinstance(value, dict) else {}

    def store(self, **changes: Any) -> None:
        """Remember settings for later sessions; None removes one."""
        merged = {**self.stored(), **changes}
        write_private(self.config_path, json.dumps({k: v for k, v in merged.items() if v is not None}, indent=1))


def read_settings(sources: Sources, *, provider: str | None = None) -> Settings:
    """Resolve all settings. ``provider`` names one for a single call. Raises ``SettingsError``."""
    config = {**sources.stored(), **sources.session}
    env = sources.env
    return Settings(
        provider=_provider(sources, config, provider),
        folder=store_folder(sources.cwd, env),
        replay=_choice("WAN_REPLAY", env.get("WAN_REPLAY") or config.get("replay") or "on", ("on", "only", "off")),
        budget_texts=_caps(env.get("WAN_BUDGET", "")),
        queries_per_s=_number(env.get("WAN_QUERIES_PER_S"), "WAN_QUERIES_PER_S", catalog.QUERIES_PER_S),
        envelope=_choice("envelope", config.get("envelope") or "auto", ("auto", "flat", "params")),
        wait=config.get("wait"),
        polling=_choice("polling", config.get("polling") or "prompt", ("prompt", "economical")),
        embed=config.get("embed", True),
        prices=_prices(config.get("prices") or {}),
        defaults=config.get("defaults") or {},
        user=_user(env),
    )


def _caps(text: str) -> tuple[str, ...]:
    """Return the caps of ``WAN_BUDGET``; ``off`` or ``none`` in their place says that the environment sets none."""
    found = [cap.strip() for cap in re.split("[,;\n]", text)]
    return tuple(cap for cap in found if cap and cap.lower() not in ("off", "none"))


def _provider(sources: Sources, config: Mapping[str, Any], named: str | None) -> Provider:
    env, looked = sources.env, []
    name = named or sources.session.get("provider") or env.get("WAN_PROVIDER", "").strip() or ""
    because = "named for this call" if named else "set in this session or in WAN_PROVIDER"
    is_named = bool(name)
    if not name:
        for candidate in ("gateway", "dashscope"):
            looked.append(KEY_VARIABLE[candidate])
            if candidate in sources.session_keys or env.get(KEY_VARIABLE[candidate], "").strip():
                name, because = candidate, f"{KEY_VARIABLE[candidate]} is set"
                break
    if not name and config.get("provider"):
        name, because, is_named = str(config["provider"]), _chosen(sources, config), True
    if not name:
        looked.append("%wan login")
        name, because = "simulator", "no key was found"
    name = name.lower()
    if name not in catalog.PROVIDERS:
        known = ", ".join(catalog.PROVIDERS)
        message = f"provider = {shown(name)} is not known."
        raise SettingsError(message, hint=f"Use one of: {known}.")
    key, source = _key(sources, name)
    base_url, url_named = _base_url(env, config, name)
    if name == "simulator" and named and not _is_at_url(sources, config):
        key, source, base_url, url_named = Secret("simulator"), "built in", "", False
    return Provider(name, base_url, key, source, because, url_named, is_named, tuple(looked))


def _chosen(sources: Sources, config: Mapping[str, Any]) -> str:
    """Say which command stored the provider; what was stored before that was noted may come from either."""
    if "provider" in sources.session:
        return "chosen in this session"
    if config["provider"] == "simulator":
        return "chosen with %wan config"
    return f"chosen with %wan {config.get('provider_by') or 'login or %wan config'}"


def _key(sources: Sources, provider: str) -> tuple[Secret | None, str]:
    if provider in sources.session_keys:
        return sources.session_keys[provider], "this session"
    # A simulator on a port takes any bearer; with a key set there, that one.
    variable = KEY_VARIABLE.get(provider, "WAN_API_KEY")
    if value := sources.env.get(variable, "").strip():
        return Secret(value, variable), variable
    if provider == "simulator":
        return Secret("simulator"), "built in"
    return sources.keys.read(provider)


def _base_url(env: Mapping[str, str], config: Mapping[str, Any], provider: str) -> tuple[str, bool]:
    if url := env.get("WAN_BASE_URL", "").strip():
        return url, True
    urls = config.get("base_urls")
    if isinstance(urls, dict) and isinstance(urls.get(provider), str):
        return urls[provider], False
    return {"gateway": catalog.GATEWAY_URL, "dashscope": catalog.DASHSCOPE_URL}.get(provider, ""), False


def _is_at_url(sources: Sources, config: Mapping[str, Any]) -> bool:
    """Whether WAN_BASE_URL is a simulator's. Else ``--provider simulator`` would order real pictures as practice."""
    chosen = sources.session.get("provider") or sources.env.get("WAN_PROVIDER", "").strip() or config.get("provider")
    return str(chosen or "").lower() == "simulator"


def with_base_url(provider: Provider, base_url: str) -> Provider:
    """Return the same provider at another address, e.g. while ``%wan login`` tries the regions."""
    return replace(provider, base_url=base_url)


def _choice(name: str, value: object, known: tuple[str, ...]) -> Any:
    text = str(value).strip().lower()
    if text not in known:
        message = f"{name} = {shown(str(value))} is not known."
        raise SettingsError(message, hint=f"Use one of: {', '.join(known)}.")
    return text


def _number(text: str | None, name: str, default: float) -> float:
    if text is None or not text.strip():
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        message = f"{name} = {shown(text)} is no number of 0 or more."
        raise SettingsError(message, hint="Use e.g. 20, or 0 for no limit.")
    return value


def _prices(stored: Mapping[str, Any]) -> dict[str, tuple[Decimal, str]]:
    found = {}
    for provider, pair in stored.items():
        if isinstance(pair, list) and len(pair) == 2 and (amount := to_decimal(pair[0])) is not None:
            found[provider] = (amount, str(pair[1]))
    return found


def _user(env: Mapping[str, str]) -> str:
    if name := env.get("JUPYTERHUB_USER") or env.get("USER") or env.get("USERNAME"):
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
