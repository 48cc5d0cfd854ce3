"""Settings: the only reader of environment variables, of stored configuration, of keys and of folders.

Precedence: what this session says, the environment, what was stored (``%wan login``, ``%wan config``), the default.
The environment is read again between cells, except for what protects (folder, ledger, budget, prices, limits): that
is frozen when the loader is made, and can be tightened but not loosened in the same process.
"""

import getpass
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from .errors import SettingsError
from .files import locked, write_private
from .keystore import KeyStore
from .masking import key_fingerprint, shown
from .models import DASHSCOPE_URL, GATEWAY_URL, PROVIDERS, QUERIES_PER_S, SUBMITS_PER_S, TASKS_IN_FLIGHT
from .money import format_amount
from .text import did_you_mean

if TYPE_CHECKING:
    from pydantic import SecretStr

    from .environment import Environment, StoredSettings

FOLDER_NAME: Final = "wan-pictures"
LEDGER_NAME: Final = "ledger.db"
IN_PROCESS_URL: Final = "http://simulator.invalid"
"""Stands for the simulator inside this process, in settings and in rows."""
KEY_VARIABLE: Final = {"gateway": "WAN_API_KEY", "dashscope": "DASHSCOPE_API_KEY"}

_FROZEN: Final = (
    "WAN_HOME",
    "WAN_LEDGER",
    "WAN_BUDGET",
    "WAN_ACCOUNT",
    "WAN_QUERIES_PER_S",
    "WAN_IN_FLIGHT",
    "WAN_SUBMITS_PER_S",
)
_USUAL_ENVELOPE: Final = "flat"
_ENVELOPES_MAX: Final = 50

Replay = Literal["on", "only", "off"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that steers a call. Amounts in their currency, times in seconds.

    ``provider`` is ``gateway``, ``dashscope`` or ``simulator``; ``key_source`` and ``chosen_because`` say how key and
    provider were found, ``looked_in`` where a key was looked for. An empty ``ledger_url`` means ``ledger.db`` in the
    folder. ``notes`` say which changes do not count before the next kernel.
    """

    provider: str
    base_url: str
    folder: Path
    key: "SecretStr | None" = None
    key_source: str = ""
    chosen_because: str = ""
    is_provider_named: bool = False
    is_url_named: bool = False
    looked_in: tuple[str, ...] = ()
    ledger_url: str = field(default="", repr=False)  # it may hold a password
    replay: Replay = "on"
    budget_texts: tuple[str, ...] = ()
    queries_per_s: float = QUERIES_PER_S
    in_flight: int = TASKS_IN_FLIGHT
    submits_per_s: float = SUBMITS_PER_S
    account: str = ""
    envelope: Literal["auto", "flat", "params"] = "auto"
    wait: bool | None = None
    polling: Literal["prompt", "economical"] = "prompt"
    embed: bool = True
    prices: Mapping[str, tuple[Decimal, str]] = field(default_factory=dict)
    user: str = ""
    simulator_seconds: float | None = None
    simulator_price: Decimal | None = None
    notes: tuple[str, ...] = ()

    @property
    def key_fingerprint(self) -> str:
        """12 hex digits that tell keys apart; empty without a key."""
        return key_fingerprint(self.key.get_secret_value()) if self.key else ""

    @property
    def in_process(self) -> bool:
        """Whether the built-in simulator answers."""
        return self.provider == "simulator" and self.base_url == IN_PROCESS_URL

    @property
    def is_simulated(self) -> bool:
        """Whether a simulator answers, built in or at an address."""
        return self.provider == "simulator"

    def with_base_url(self, base_url: str) -> "Settings":
        """Return the same settings at another address, e.g. while ``%wan login`` tries the regions."""
        return replace(self, base_url=base_url)


class SettingsLoader:
    """Reads settings; what it holds beside them is ``session`` and ``session_keys``, overrides of this session.

    Parameters
    ----------
    env : mapping, optional
        Environment variables; the process's own by default.
    cwd : Path, optional
        Where the folder of pictures is looked for; the working directory by default.
    config_dir, data_dir : Path, optional
        The person's folders for settings and keys, and for the index of picture folders.
    folder : Path, optional
        The folder of pictures, instead of what ``WAN_HOME`` and the working directory say.
    use_keyring : bool
        Whether keys may be stored in the system's keyring.
    """

    def __init__(
        self,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        config_dir: Path | None = None,
        data_dir: Path | None = None,
        *,
        folder: Path | None = None,
        use_keyring: bool = True,
    ) -> None:
        import platformdirs

        self._env = env
        self._frozen = {name.lower(): self._variable(name) for name in _FROZEN}
        self.cwd = cwd or _working_directory()
        self.folder = folder or picture_folder(self.cwd, self._frozen["wan_home"])
        self.config_path = (config_dir or Path(platformdirs.user_config_dir(*_APP))) / "config.json"
        self.data_dir = data_dir or Path(platformdirs.user_data_dir(*_APP))
        self.keys = KeyStore(self.config_path.parent, use_keyring=use_keyring)
        self.session: dict[str, Any] = {}
        self.session_keys: dict[str, SecretStr] = {}
        self._prices: dict[str, tuple[Decimal, str]] = {}
        self._folders = self._folders_in_index()

    def __repr__(self) -> str:
        return f"SettingsLoader(folder={str(self.folder)!r})"  # the environment holds keys

    def load(self, provider: str | None = None) -> Settings:
        """Return all settings; ``provider`` names one for a single call. Raise ``SettingsError``."""
        from .environment import read_stored

        env = self._environment()
        stored = read_stored({**self.stored(), **self.session}, self.config_path)
        name, because, is_named, looked_in = self._choose_provider(env, stored, provider)
        key, source = self._key(env, name)
        base_url, is_url_named = _base_url(env, stored, name)
        at_url = (self.session.get("provider") or env.wan_provider or stored.provider).lower() == "simulator"
        if name == "simulator" and provider and not at_url:
            # WAN_BASE_URL is a real service's then, which would take practice for an order.
            base_url, is_url_named = IN_PROCESS_URL, False
            key, source = _built_in_key()
        prices, price_notes = self._protected_prices(stored)
        return Settings(
            provider=name,
            base_url=base_url,
            folder=self.folder,
            key=key,
            key_source=source,
            chosen_because=because,
            is_provider_named=is_named,
            is_url_named=is_url_named,
            looked_in=looked_in,
            ledger_url=env.wan_ledger,
            replay=_replay(env.wan_replay or stored.replay),
            budget_texts=self._budget_texts(env),
            queries_per_s=env.wan_queries_per_s,
            in_flight=env.wan_in_flight,
            submits_per_s=env.wan_submits_per_s,
            account=env.wan_account or (key_fingerprint(key.get_secret_value()) if key else ""),
            envelope=stored.envelope,
            wait=stored.wait,
            polling=stored.polling,
            embed=stored.embed,
            prices=prices,
            user=env.jupyterhub_user or env.user or env.username or _login_name(),
            simulator_seconds=env.wan_simulator_seconds,
            simulator_price=env.wan_simulator_price,
            notes=(*self._frozen_notes(), *price_notes),
        )

    def stamp(self) -> tuple[object, ...]:
        """Return a value that changes when any setting does, cheap enough to compare before each use."""
        try:
            written_ns = self.config_path.stat().st_mtime_ns
        except OSError:
            written_ns = 0
        keys = tuple((name, key_fingerprint(key.get_secret_value())) for name, key in self.session_keys.items())
        # The hash, not the values: one may be a key, and the stamp is kept.
        return written_ns, keys, tuple(self.session.items()), hash(tuple(map(self._variable, _variable_names())))

    # What is stored --------------------------------------------------------------------------------------------------

    def stored(self) -> dict[str, Any]:
        """Return what ``%wan config`` and ``%wan login`` stored. Raise ``SettingsError`` if it cannot be read."""
        try:
            value = json.loads(self.config_path.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            if isinstance(error, PermissionError) and not os.access(self.config_path.parent, os.X_OK):
                return {}  # somebody else's home: nothing of this person can be in it
            reason = error.strerror if isinstance(error, OSError) else error
            message = f"the settings in {self.config_path} cannot be read ({reason})."
            raise SettingsError(message, hint="Correct or delete that file.") from error
        return value if isinstance(value, dict) else {}

    def store(self, **changes: Any) -> None:
        """Keep settings for later sessions; None removes one. Raise ``SettingsError`` if the file cannot be written."""
        try:
            with locked(self.config_path.with_suffix(".lock")):
                merged = {**self.stored(), **changes}
                kept = {name: value for name, value in merged.items() if value is not None}
                write_private(self.config_path, json.dumps(kept, indent=1))
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "strerror", None) or error
            message = f"settings could not be stored in {self.config_path} ({reason})."
            hint = "Make that folder writable, or set XDG_CONFIG_HOME to one that is and restart the kernel."
            raise SettingsError(message, hint=hint) from error

    def known_folders(self) -> list[Path]:
        """Return every folder of pictures that this person has used and that still has a ledger."""
        folders = dict.fromkeys((*self._folders, *self._folders_in_index()))
        return [folder for folder in folders if _is_there(folder / LEDGER_NAME)]

    def remember_folder(self, folder: Path) -> None:
        """Add a folder to the person's index; a folder that cannot be noted is not worth failing for."""
        if folder in self._folders_in_index():
            return
        self._folders = [*self._folders, folder]
        with suppress(OSError, TimeoutError), locked(self._index.with_suffix(".lock")):
            names = [str(known) for known in dict.fromkeys((*self._folders_in_index(), folder))]
            write_private(self._index, json.dumps(names, indent=1))

    def envelope(self, base_url: str) -> str:
        """Return the form of a submit's body that worked at an address; empty if nothing is known."""
        known = self.stored().get("envelopes")
        form = known.get(base_url.rstrip("/")) if isinstance(known, dict) else ""
        return form if isinstance(form, str) else ""

    def remember_envelope(self, base_url: str, envelope: str) -> None:
        """Note the form that worked at an address. Never raises: without the note, one more request is refused."""
        base_url = base_url.rstrip("/")
        with suppress(SettingsError):
            if (self.envelope(base_url) or _USUAL_ENVELOPE) == envelope:
                return
            known = self.stored().get("envelopes")
            merged = {**(known if isinstance(known, dict) else {}), base_url: envelope}
            self.store(envelopes=dict(list(merged.items())[-_ENVELOPES_MAX:]))

    @property
    def _index(self) -> Path:
        return self.data_dir / "folders.json"

    def _folders_in_index(self) -> list[Path]:
        try:
            names = json.loads(self._index.read_text("utf-8"))
        except (OSError, ValueError):
            return []
        return [Path(name) for name in names if isinstance(name, str)] if isinstance(names, list) else []

    # How settings are chosen -----------------------------------------------------------------------------------------

    def _variable(self, name: str) -> str:
        # One value at a time: no frame, and so no verbose traceback, holds the whole environment.
        return (os.environ if self._env is None else self._env).get(name, "").strip()

    def _environment(self) -> "Environment":
        from .environment import VARIABLES, read_environment

        if self._env is None:
            return read_environment(self._frozen)
        return read_environment({name.lower(): self._variable(name) for name in VARIABLES} | self._frozen)

    def _choose_provider(
        self, env: "Environment", stored: "StoredSettings", named: str | None
    ) -> tuple[str, str, bool, tuple[str, ...]]:
        """Return the provider, why, whether somebody named it, and where a key was looked for."""
        if name := named or self.session.get("provider") or env.wan_provider:
            because = "named for this call" if named else "set in this session or in WAN_PROVIDER"
            return _provider_name(name), because, True, ()
        keys = {"gateway": env.wan_api_key, "dashscope": env.dashscope_api_key}
        for name, key in keys.items():
            if name in self.session_keys or key:
                return name, f"{KEY_VARIABLE[name]} is set", False, tuple(KEY_VARIABLE.values())
        looked_in = (*KEY_VARIABLE.values(), "%wan login")
        if stored.provider:
            by = "config" if stored.provider == "simulator" else stored.provider_by or "login or %wan config"
            return _provider_name(stored.provider), f"chosen with %wan {by}", True, looked_in
        return "simulator", "no key was found", False, looked_in

    def _key(self, env: "Environment", provider: str) -> "tuple[SecretStr | None, str]":
        if provider in self.session_keys:
            return self.session_keys[provider], "this session"
        # A simulator at an address takes any bearer; if a key is set, that one.
        variable = KEY_VARIABLE.get(provider, "WAN_API_KEY")
        if key := env.dashscope_api_key if provider == "dashscope" else env.wan_api_key:
            return key, variable
        return _built_in_key() if provider == "simulator" else self.keys.read(provider)

    def _budget_texts(self, env: "Environment") -> tuple[str, ...]:
        """Return the budgets of ``WAN_BUDGET`` as at load, and those that were added since."""
        both = f"{env.wan_budget},{self._variable('WAN_BUDGET')}"
        texts = [text.strip() for text in both.replace(";", ",").replace("\n", ",").split(",")]
        return tuple(dict.fromkeys(text for text in texts if text and text.lower() not in ("off", "none")))

    def _frozen_notes(self) -> list[str]:
        changed = [n for n in _FROZEN if n != "WAN_BUDGET" and self._variable(n) != self._frozen[n.lower()]]
        return [f"{name} was changed after wan_notebook was loaded; restart the kernel to use it" for name in changed]

    def _protected_prices(self, stored: "StoredSettings") -> tuple[dict[str, tuple[Decimal, str]], list[str]]:
        """Return the prices in force and notes: a price may be set or raised in a session, but not lowered."""
        notes = []
        for provider, (amount, currency) in stored.prices.items():
            kept = self._prices.get(provider)
            if kept is None or (kept[1] == currency and amount >= kept[0]):
                self._prices[provider] = (amount, currency)
            else:
                text = f"the price of {format_amount(amount, currency)} for {provider} counts from the next kernel on"
                notes.append(f"{text}; this one keeps {format_amount(*kept)}, so that no budget is loosened")
        return dict(self._prices), notes


_APP: Final = ("wan_notebook", False)


def picture_folder(start: Path, home: str = "") -> Path:
    """Return the folder of pictures: ``home`` (``WAN_HOME``), else the nearest upward, else beside the notebook.

    It need not exist yet; nothing is created here.
    """
    if home:
        try:
            return Path(home).expanduser().absolute()
        except RuntimeError as error:  # ~somebody, or a process without a home
            raise SettingsError(f"WAN_HOME = {home!r}: {error}.", hint="Write the whole path.") from error
    for folder in (start, *start.parents):
        if _is_there(folder / FOLDER_NAME, folder=True):
            return folder / FOLDER_NAME
    return start / FOLDER_NAME


def _is_there(path: Path, *, folder: bool = False) -> bool:
    try:
        return path.is_dir() if folder else path.is_file()
    except OSError:  # a folder above it that may not be read
        return False


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        message = "the folder that this process runs in was deleted."
        raise SettingsError(message, hint="Change to a folder that exists, or restart the kernel.") from error


def _variable_names() -> tuple[str, ...]:
    from .environment import VARIABLES

    return VARIABLES


def _built_in_key() -> "tuple[SecretStr, str]":
    from pydantic import SecretStr

    return SecretStr("simulator"), "built in"


def _base_url(env: "Environment", stored: "StoredSettings", provider: str) -> tuple[str, bool]:
    if env.wan_base_url:
        return env.wan_base_url, True
    default = {"gateway": GATEWAY_URL, "dashscope": DASHSCOPE_URL}.get(provider, IN_PROCESS_URL)
    return stored.base_urls.get(provider, default), False


def _provider_name(name: str) -> str:
    lower = name.strip().lower()
    if lower in PROVIDERS:
        return lower
    hint = did_you_mean(lower, PROVIDERS) or f"Use one of: {', '.join(PROVIDERS)}."
    raise SettingsError(f"{shown(name)} is not a known provider.", hint=hint)


def _replay(text: str) -> Replay:
    match text.strip().lower():
        case "on" | "only" | "off" as known:
            return known
    raise SettingsError(f"WAN_REPLAY = {shown(text)} is not valid.", hint="Use on, only or off.")


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
