"""Settings: the only reader of environment variables, of stored configuration, of keys and of folders.

Precedence: what this session says, the environment, what was stored (``%wan login``, ``%wan config``), the default.
The environment is read again between cells, except for what protects (folder, ledger, budget, prices, limits): that
is frozen when the loader is made, and can be tightened but not loosened in the same process.
"""

import getpass
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .errors import SettingsError
from .files import locked, write_private
from .models import DASHSCOPE_URL, GATEWAY_URL, PROVIDERS
from .money import format_amount, to_decimal
from .text import KeyMask, did_you_mean, key_fingerprint, shown

if TYPE_CHECKING:
    from pydantic import SecretStr

    from .environment import Settings

FOLDER_NAME: Final = "wan-pictures"
LEDGER_NAME: Final = "ledger.db"
IN_PROCESS_URL: Final = "http://simulator.invalid"
"""Stands for the simulator inside this process, in settings and in rows."""
KEY_VARIABLE: Final = {"gateway": "WAN_API_KEY", "dashscope": "DASHSCOPE_API_KEY"}
BUILT_IN: Final = "built in"

_APP: Final = ("wan_notebook", False)
_VARIABLES: Final = (
    *("WAN_PROVIDER", "WAN_API_KEY", "DASHSCOPE_API_KEY", "WAN_BASE_URL", "WAN_REPLAY", "WAN_BUDGET"),
    *("WAN_SIMULATOR_SECONDS", "WAN_SIMULATOR_PRICE", "JUPYTERHUB_USER", "USER"),
)
_FROZEN: Final = (
    *("WAN_HOME", "WAN_LEDGER", "WAN_BUDGET", "WAN_ACCOUNT"),
    *("WAN_QUERIES_PER_S", "WAN_IN_FLIGHT", "WAN_SUBMITS_PER_S"),
)
_KEY_MIN_CHARS: Final = 8
_USUAL_ENVELOPE: Final = "flat"


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
        self._frozen: dict[str, str] = {name: self._variable_now(name) for name in _FROZEN}
        self.folder = folder or picture_folder(cwd or _working_directory(), self._frozen["WAN_HOME"])
        self.config_path = (config_dir or Path(platformdirs.user_config_dir(*_APP))) / "config.json"
        self.data_dir = data_dir or Path(platformdirs.user_data_dir(*_APP))
        self.keys = KeyStore(self.config_path.parent, use_keyring=use_keyring)
        self.session: dict[str, Any] = {}
        self.session_keys: dict[str, SecretStr] = {}
        self._highest_prices: dict[tuple[str, str], Decimal] = {}
        self._real_urls: set[str] = set()
        self._loaded: dict[str | None, tuple[object, Settings]] = {}
        self._index = self.data_dir / "folders.json"
        self._folders = self._folders_in_index()
        self._learn_address()

    def __repr__(self) -> str:
        return f"SettingsLoader(folder={str(self.folder)!r})"  # the environment holds keys

    def load(self, provider: str | None = None) -> "Settings":
        """Return all settings as they are now; ``provider`` names one for a single call. Raise ``SettingsError``."""
        stamp = self.stamp()
        known = self._loaded.get(provider)
        if known is None or known[0] != stamp:
            known = self._loaded[provider] = (stamp, self._read(provider))
        return known[1]

    def _read(self, named: str | None) -> "Settings":
        from .environment import NUMBERS, settings_of

        stored = {**self.stored(), **self.session}
        self._learn_address()
        provider, because, is_named, looked_in = self._choose_provider(stored, named)
        url = self._variable("WAN_BASE_URL")
        default = {"gateway": GATEWAY_URL, "dashscope": DASHSCOPE_URL}.get(provider, IN_PROCESS_URL)
        base_url = url or str(self.stored_table("base_urls").get(provider) or default)
        if provider == "simulator" and base_url in self._real_urls:  # which would take practice for an order
            url, base_url = "", IN_PROCESS_URL
        key, source = self._key(provider, in_process=base_url == IN_PROCESS_URL)
        fingerprint = key_fingerprint(key.get_secret_value()) if key else ""
        prices, price_notes = self._protected_prices()
        computed = {
            "provider": provider,
            "is_simulated": provider == "simulator",
            "base_url": base_url,
            "in_process": provider == "simulator" and base_url == IN_PROCESS_URL,
            "folder": self.folder,
            "key": key,
            "key_source": source,
            "key_fingerprint": fingerprint,
            "chosen_because": because,
            "is_provider_named": is_named,
            "is_url_named": bool(url),
            "looked_in": looked_in,
            "ledger_url": self._frozen["WAN_LEDGER"],
            "replay": (self._variable("WAN_REPLAY") or str(stored.get("replay") or "on")).lower(),
            "budget_texts": self._budget_texts(),
            "account": self._variable("WAN_ACCOUNT") or fingerprint,
            "prices": prices,
            "user": self._variable("JUPYTERHUB_USER") or self._variable("USER") or _login_name(),
            "notes": (*self._frozen_notes(), *price_notes),
        }
        environment = {name: self._variable(f"WAN_{name.upper()}") for name in NUMBERS}
        # Nothing else of what was stored: limits in that file could be loosened from a cell.
        kept = {name: stored.get(name) for name in ("envelope", "wait", "polling", "embed")}
        return settings_of(computed, environment, kept, stored_in=self.config_path)

    def _learn_address(self) -> None:
        """Remember ``WAN_BASE_URL`` of a real service: it gets no practice when the provider is changed later."""
        with suppress(SettingsError):  # which is raised where the provider is needed
            if self._choose_provider({**self.stored(), **self.session}, None)[0] != "simulator":
                self._real_urls.add(self._variable("WAN_BASE_URL"))

    def forget(self) -> None:
        """Read everything again: a stored key leaves no trace in the stamp."""
        self._loaded.clear()

    def stamp(self) -> tuple[object, ...]:
        """Return a value that changes when any setting does, cheap enough to compare before each use."""
        try:
            written_ns = self.config_path.stat().st_mtime_ns
        except OSError:
            written_ns = 0
        keys = tuple((name, key_fingerprint(key.get_secret_value())) for name, key in self.session_keys.items())
        # The hash, not the values: one may be a key, and the stamp is kept.
        return written_ns, keys, tuple(self.session.items()), hash(tuple(map(self._variable_now, _VARIABLES)))

    def known_keys(self, settings: "Settings") -> KeyMask:
        """Return a mask of the keys that must not leave this machine: those of a call, the environment, the session."""
        held = [*self.session_keys.values(), *([settings.key] if settings.key_source != BUILT_IN else [])]
        keys = [*map(self._variable, KEY_VARIABLE.values()), *(key.get_secret_value() for key in held if key)]
        # A shorter one stands in for a key in a test, and is part of many words.
        return KeyMask(*(key for key in keys if len(key) >= _KEY_MIN_CHARS))

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
        return str(self.stored_table("envelopes").get(base_url.rstrip("/"), ""))

    def remember_envelope(self, base_url: str, envelope: str) -> None:
        """Note the form that worked at an address. Never raises: without the note, one more request is refused."""
        with suppress(SettingsError):
            if (self.envelope(base_url) or _USUAL_ENVELOPE) != envelope:
                self.store(envelopes={**self.stored_table("envelopes"), base_url.rstrip("/"): envelope})

    def stored_table(self, name: str) -> dict[str, Any]:
        """Return one table of what is stored; an empty one if there is none."""
        table = self.stored().get(name)
        return table if isinstance(table, dict) else {}

    def _folders_in_index(self) -> list[Path]:
        return [Path(name) for name in _json_in(self._index, []) if isinstance(name, str)]

    # How settings are chosen -----------------------------------------------------------------------------------------

    def _choose_provider(self, stored: Mapping[str, Any], named: str | None) -> tuple[str, str, bool, tuple[str, ...]]:
        """Return the provider, why, whether somebody named it, and where a key was looked for."""
        if name := named or self.session.get("provider") or self._variable("WAN_PROVIDER"):
            because = "named for this call" if named else "set in this session or in WAN_PROVIDER"
            return _provider_name(name), because, True, ()
        for provider, variable in KEY_VARIABLE.items():
            if provider in self.session_keys or self._variable(variable):
                return provider, f"{variable} is set", False, tuple(KEY_VARIABLE.values())
        looked_in = (*KEY_VARIABLE.values(), "%wan login")
        if name := str(stored.get("provider") or ""):
            by = "config" if name == "simulator" else stored.get("provider_by") or "login or %wan config"
            return _provider_name(name), f"chosen with %wan {by}", True, looked_in
        return "simulator", "no key was found", False, looked_in

    def _key(self, provider: str, *, in_process: bool) -> "tuple[SecretStr | None, str]":
        from pydantic import SecretStr

        if provider in self.session_keys:
            return self.session_keys[provider], "this session"
        # A simulator at an address takes any bearer; if a key is set, that one.
        variable = KEY_VARIABLE.get(provider, "WAN_API_KEY")
        if not in_process and self._variable(variable):
            return SecretStr(self._variable(variable)), variable
        return (SecretStr("simulator"), BUILT_IN) if provider == "simulator" else self.keys.read(provider)

    def _variable(self, name: str) -> str:
        """Return an environment variable, as it was at load if it protects.

        One value at a time: no frame, and so no verbose traceback, holds the whole environment.
        """
        return self._frozen[name] if name in self._frozen else self._variable_now(name)

    def _variable_now(self, name: str) -> str:
        return (os.environ if self._env is None else self._env).get(name, "").strip()

    def _budget_texts(self) -> tuple[str, ...]:
        """Return the budgets of ``WAN_BUDGET`` as at load, and those that were added since."""
        both = f"{self._variable('WAN_BUDGET')},{self._variable_now('WAN_BUDGET')}"
        texts = [text.strip() for text in re.split("[,;\n]", both)]
        return tuple(dict.fromkeys(text for text in texts if text and text.lower() not in ("off", "none")))

    def _frozen_notes(self) -> list[str]:
        changed = [n for n, value in self._frozen.items() if n != "WAN_BUDGET" and self._variable_now(n) != value]
        return [f"{name} was changed after wan_notebook was loaded; restart the kernel to use it" for name in changed]

    def _protected_prices(self) -> tuple[dict[str, Any], list[str]]:
        """Return the prices in force and notes: a price may be set or raised in a session, but not lowered."""
        prices: dict[str, Any] = {}
        notes = []
        for provider, pair in self.stored_table("prices").items():
            text, currency = map(str, pair) if isinstance(pair, list) and len(pair) == 2 else ("", "")
            if (amount := to_decimal(text)) is None:
                continue
            # Another currency loosens nothing: amounts are not compared across currencies.
            highest = max(amount, self._highest_prices.get((provider, currency), amount))
            self._highest_prices[provider, currency] = highest
            prices[provider] = (highest, currency)
            if highest > amount:
                lower, own = format_amount(amount, currency), format_amount(highest, currency)
                told = f"the price of {lower} for {provider} counts from the next kernel on"
                notes.append(f"{told}; this one keeps {own}, so that no budget is loosened")
        return prices, notes


def picture_folder(start: Path, home: str = "") -> Path:
    """Return the folder of pictures: ``home`` (``WAN_HOME``), else the nearest upward, else beside the notebook.

    It need not exist yet; nothing is created here.
    """
    if "://" in home:
        raise SettingsError(f"WAN_HOME = {home!r}: not a folder of this machine.", hint="Write the path of a folder.")
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


def _provider_name(name: str) -> str:
    lower = name.strip().lower()
    if lower in PROVIDERS:
        return lower
    hint = did_you_mean(lower, PROVIDERS) or f"Use one of: {', '.join(PROVIDERS)}."
    raise SettingsError(f"{shown(name)} is not a known provider.", hint=hint)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _json_in(path: Path, default: Any) -> Any:
    """Return what a JSON file holds; the default if it cannot be read or holds another type."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return default
    return value if isinstance(value, type(default)) else default


# Stored keys ---------------------------------------------------------------------------------------------------------

_SERVICE: Final = "wan_notebook"
_OTHERS: Final = 0o077


class KeyStore:
    """Keys, one a provider: in the system's keyring where there is one, else in ``path``, a file of mode 0600."""

    def __init__(self, folder: Path, *, use_keyring: bool = True) -> None:
        self.path = folder / "keys.json"
        self._use_keyring = use_keyring

    def read(self, provider: str) -> "tuple[SecretStr | None, str]":
        """Return the stored key of a provider (None if there is none) and where it was found."""
        from pydantic import SecretStr

        if backend := self._keyring():
            with suppress(Exception):  # a locked or broken keyring is as good as none
                if value := backend.get_password(_SERVICE, provider):
                    return SecretStr(value), "keyring"
        value = _json_in(self.path, {}).get(provider)
        return (SecretStr(value), str(self.path)) if isinstance(value, str) and value else (None, "")

    def write(self, provider: str, key: "SecretStr") -> str:
        """Store a key and return where it went. Raise ``SettingsError`` if it cannot be stored anywhere."""
        check_key(key)
        if backend := self._keyring():
            with suppress(Exception):  # falls through to the file
                backend.set_password(_SERVICE, provider, key.get_secret_value())
                return "keyring"
        self._write_file({**_json_in(self.path, {}), provider: key.get_secret_value()})
        return str(self.path)

    def delete(self, provider: str) -> None:
        """Remove a provider's key from everywhere. Raise ``SettingsError`` if its file cannot be written."""
        if backend := self._keyring():
            with suppress(Exception):  # it was not there
                backend.delete_password(_SERVICE, provider)
        known = _json_in(self.path, {})
        if known.pop(provider, None):
            self._write_file(known)

    def exposure(self) -> str:
        """Return why others may read the key file, and the command that ends it; empty if they cannot."""
        try:
            mode = self.path.stat().st_mode & 0o777
        except OSError:
            return ""
        return f"others can read {self.path} (mode {mode:04o}): run chmod 600 {self.path}" if mode & _OTHERS else ""

    def _write_file(self, keys: dict[str, Any]) -> None:
        try:
            write_private(self.path, json.dumps(keys))
            return
        except OSError as error:
            reason = error.strerror or type(error).__name__
        # Outside of `except`: the error that is shown has no frame that holds a key.
        keys.clear()
        message = f"the key could not be stored in {self.path} ({reason})."
        raise SettingsError(message, hint="Make that folder writable, or set the key's environment variable instead.")

    def _keyring(self) -> Any:  # keyring ships no types
        if not self._use_keyring:
            return None
        with suppress(Exception):  # not installed, or broken
            import keyring

            backend = keyring.get_keyring()
            return backend if backend.priority > 0 else None  # keyring's own stand-ins for none have 0 and less
        return None


def check_key(key: "SecretStr | None") -> None:
    """Refuse a key that no HTTP header can carry. Raise ``SettingsError``, which does not show it."""
    if key and not all("!" <= char <= "~" and char not in '"\\' for char in key.get_secret_value()):
        message = "The key contains a character that keys never have (a space, a quote, an accented letter …)."
        raise SettingsError(message, hint="Copy it again and run `%wan login`.")
