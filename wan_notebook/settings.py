"""Settings: the only reader of environment variables, of stored configuration, of keys and of folders.

Precedence: the call, the environment, what was stored (``%wan login``, ``%wan config``), the default.
The environment is read again between cells, except for what protects (folder, ledger, budget, prices, limits): that
is frozen when the loader is made, and can be tightened but not loosened in the same process.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .errors import SettingsError
from .files import locked, write_private
from .models import DASHSCOPE_REGIONS, GATEWAY_URL, PROVIDERS
from .money import to_decimal
from .text import KeyMask, shown

if TYPE_CHECKING:
    from pydantic import SecretStr

    from .environment import Settings

T = TypeVar("T", dict[str, Any], list[Any])
FOLDER_NAME: Final = "wan-pictures"
LEDGER_NAME: Final = "ledger.db"
IN_PROCESS_URL: Final = "http://simulator.invalid"
"""Stands for the simulator inside this process, in settings and in rows."""
BY_LIST: Final = "list"
"""Stands for the list price among the stored prices."""
KEY_VARIABLE: Final = {"gateway": "WAN_API_KEY", "dashscope": "DASHSCOPE_API_KEY"}

_APP: Final = "wan_notebook"
_URLS: Final = {"gateway": GATEWAY_URL, "dashscope": DASHSCOPE_REGIONS["Beijing"], "simulator": IN_PROCESS_URL}
_FROZEN: Final = (
    *("WAN_HOME", "WAN_LEDGER", "WAN_BUDGET", "WAN_ACCOUNT"),
    *("WAN_QUERIES_PER_S", "WAN_IN_FLIGHT", "WAN_SUBMITS_PER_S"),
)
_THIS_MACHINE: Final = re.compile(r"https?://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/|$)")
_mask_of: Final = lru_cache(maxsize=4)(KeyMask)


class SettingsLoader:
    """Reads settings.

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
        self._frozen = {name: self._variable(name) for name in _FROZEN}
        self.folder = folder or picture_folder(cwd or Path.cwd(), self._frozen["WAN_HOME"])
        self.config_path = (config_dir or Path(platformdirs.user_config_dir(_APP, False))) / "config.json"
        self.data_dir = data_dir or Path(platformdirs.user_data_dir(_APP, False))
        self.keys = KeyStore(self.config_path.parent, use_keyring=use_keyring)
        self._highest_prices: dict[tuple[str, str], Decimal] = {}
        self._index = self.data_dir / "folders.json"
        self._folders = self._folders_in_index()
        stored = _json_in(self.config_path, dict)
        self._protected_prices(prices if isinstance(prices := stored.get("prices"), dict) else {})
        # An address of a real service, which gets no practice when the provider is changed later.
        is_real = self._usual_provider(stored)[0] in KEY_VARIABLE
        self._real_urls = {self._usual_provider(stored)[0]: self._variable("WAN_BASE_URL")} if is_real else {}

    def load(self, provider: str | None = None) -> "Settings":
        """Return all settings as they are now; ``provider`` names one for a single call. Raise ``SettingsError``."""
        from pydantic import ValidationError

        from .environment import NUMBERS, STORED, Settings, settings_error

        stored, url = self.stored(), self._variable("WAN_BASE_URL")
        name, because, is_named = self._usual_provider(stored)
        self._real_urls |= {name: url} if name in KEY_VARIABLE else {}
        if provider:
            usual, because, is_named = name, "named for this call", True
            name = provider.strip().lower()
            if name != usual:  # an address elsewhere belongs to one service
                url = self._real_urls.get(name) or (url if _THIS_MACHINE.match(url) else "")
        if name not in PROVIDERS:
            raise SettingsError(f"{shown(name)} is not a known provider.", hint=f"Use one of: {', '.join(PROVIDERS)}.")
        is_simulated = name == "simulator"
        if is_simulated and url in self._real_urls.values():  # which would take practice for an order
            url = ""
        base_url = url or str(stored.get("base_urls", {}).get(name) or _URLS[name])
        in_process = is_simulated and base_url == IN_PROCESS_URL
        key, source = self._key(name)
        # Tells keys apart without giving one away.
        fingerprint = (
            hashlib.sha256(b"wan-notebook key\0" + key.get_secret_value().encode(errors="replace")).hexdigest()[:12]
            if key
            else ""
        )
        now = {name: self._variable(name) for name in _FROZEN}
        changed = [name for name, value in self._frozen.items() if name != "WAN_BUDGET" and now[name] != value]
        # The budgets as at load, and those that were added since.
        budgets = [text.strip() for text in re.split("[,;\n]", f"{self._frozen['WAN_BUDGET']},{now['WAN_BUDGET']}")]
        # Nothing else of what was stored: limits in that file could be loosened from a cell.
        given = {
            **{field: stored.get(field) for field in STORED},
            **{field: self._frozen.get(variable, self._variable(variable)) for field, variable in NUMBERS.items()},
        }
        values = {
            **{field: value for field, value in given.items() if value not in ("", None)},
            "provider": name,
            "is_simulated": is_simulated,
            "base_url": base_url,
            "in_process": in_process,
            "folder": self.folder,
            "key": key,
            "key_source": source,
            "key_fingerprint": fingerprint,
            "chosen_because": because,
            "is_provider_named": is_named,
            "is_url_named": bool(url),
            "ledger_url": self._frozen["WAN_LEDGER"],
            "replay": (self._variable("WAN_REPLAY") or str(stored.get("replay") or "on")).lower(),
            "budget_texts": tuple(dict.fromkeys(text for text in budgets if text.lower() not in ("", "off", "none"))),
            "account": self._frozen["WAN_ACCOUNT"] or fingerprint,
            "prices": self._protected_prices(stored.get("prices", {})),
            "by_list": tuple(name for name, price in stored.get("prices", {}).items() if price == BY_LIST),
            "user": next(filter(None, map(self._variable, ("JUPYTERHUB_USER", "USER", "USERNAME"))), ""),
            "notes": tuple(f"{name} was changed after loading; restart the kernel to use it" for name in changed),
        }
        try:
            return Settings.model_validate(values)
        except ValidationError as error:
            raise settings_error(error, self.config_path) from None

    def known_keys(self) -> KeyMask:
        """Return a mask of the keys that must not leave this machine: set or stored, of every provider."""
        held = [
            self._key(provider)[0]
            for provider, variable in KEY_VARIABLE.items()
            if self._variable(variable) or self.keys.may_hold(provider)
        ]
        # A shorter one stands in for a key in a test.
        return _mask_of(*(key.get_secret_value() for key in held if key and len(key) >= 8))

    # What is stored --------------------------------------------------------------------------------------------------

    def stored(self) -> dict[str, Any]:
        """Return what ``%wan config`` and ``%wan login`` stored. Raise ``SettingsError`` if it cannot be read."""
        if not os.access(self.config_path, os.F_OK):  # in somebody else's home there is nothing of this person
            return {}
        try:
            stored = dict(json.loads(self.config_path.read_text("utf-8")))
            tables = {name: dict(stored[name]) for name in ("base_urls", "budgets", "prices") if name in stored}
            for per, texts in tables.get("budgets", {}).items():
                tables["budgets"][per] = list(texts)
            return stored | tables
        except (OSError, ValueError, TypeError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or error
            message = f"the settings in {self.config_path} cannot be read ({reason})."
            raise SettingsError(message, hint="Correct or delete that file.") from error

    def store(self, **changes: Any) -> None:
        """Keep settings for later sessions; None removes one. Raise ``SettingsError`` if the file cannot be written."""
        with locked(self.config_path.with_suffix(".lock")):
            merged = {**self.stored(), **changes}
            _write(self.config_path, {name: value for name, value in merged.items() if value is not None}, "settings")

    def known_folders(self) -> list[Path]:
        """Return every folder of pictures that this person has used and that still has a ledger."""
        folders = dict.fromkeys((*self._folders, *self._folders_in_index()))
        return [folder for folder in folders if os.path.exists(folder / LEDGER_NAME)]  # noqa: PTH110 - no odd name raises

    def remember_folder(self, folder: Path) -> None:
        """Add a folder to the person's index; a folder that cannot be noted is not worth failing for."""
        self._folders.append(folder)
        with suppress(OSError, TimeoutError), locked(self._index.with_suffix(".lock")):
            names = [str(known) for known in dict.fromkeys((*self._folders_in_index(), folder))]
            write_private(self._index, json.dumps(names, indent=1))

    def _folders_in_index(self) -> list[Path]:
        return [Path(name) for name in _json_in(self._index, list) if isinstance(name, str)]

    # How settings are chosen -----------------------------------------------------------------------------------------

    def _usual_provider(self, stored: Mapping[str, Any]) -> tuple[str, str, bool]:
        """Return the provider of calls that name none, why, and whether somebody named it."""
        if named := self._variable("WAN_PROVIDER"):
            return named.lower(), "set in WAN_PROVIDER", True
        for provider, variable in KEY_VARIABLE.items():
            if self._variable(variable):
                return provider, f"{variable} is set", False
        if chosen := str(stored.get("provider") or ""):
            return chosen, f"chosen with %wan {stored.get('provider_by') or 'config'}", True
        return "simulator", "no key was found", False

    def _key(self, provider: str) -> "tuple[SecretStr | None, str]":
        from pydantic import SecretStr

        if provider == "simulator":  # which takes any bearer, wherever it is
            return SecretStr("simulator"), "built in"
        variable = KEY_VARIABLE[provider]
        given = self._variable(variable)
        return (SecretStr(given), variable) if given else self.keys.read(provider)

    def _variable(self, name: str) -> str:
        # One value at a time: no frame, and so no verbose traceback, holds the whole environment.
        return (os.environ if self._env is None else self._env).get(name, "").strip()

    def _protected_prices(self, stored: Mapping[str, Any]) -> dict[str, tuple[Decimal, str]]:
        """Return the prices in force: one may be set or raised in a session, but not lowered or removed."""
        prices = {provider: (amount, currency) for (provider, currency), amount in self._highest_prices.items()}
        for provider, pair in stored.items():
            amount = to_decimal(pair[0]) if isinstance(pair, list) and len(pair) == 2 else None
            if amount is not None:
                kind = provider, str(pair[1])  # another currency loosens nothing: amounts are never converted
                self._highest_prices[kind] = max(amount, self._highest_prices.get(kind, amount))
                prices[provider] = self._highest_prices[kind], kind[1]
        return prices


def picture_folder(start: Path, home: str = "") -> Path:
    """Return the folder of pictures: ``home`` (``WAN_HOME``), else the nearest upward, else beside the notebook.

    It need not exist yet; nothing is created here.
    """
    if home:
        with suppress(RuntimeError):  # ~somebody, or a process without a home
            if "://" not in home:
                return Path(home).expanduser().absolute()
        raise SettingsError(f"WAN_HOME = {home!r} is not a folder of this machine.", hint="Write its whole path.")
    folders = [folder / FOLDER_NAME for folder in (start, *start.parents)]
    return next(filter(os.path.isdir, folders), folders[0])  # False, and no error, where a folder may not be read


def _json_in(path: Path, kind: type[T]) -> T:
    """Return what a JSON file holds; an empty value if it cannot be read or holds another type."""
    with suppress(OSError, ValueError, TypeError, RecursionError):
        return kind(json.loads(path.read_text("utf-8")))
    return kind()


def _write(path: Path, values: dict[str, Any], what: str) -> None:
    """Write a JSON file that its owner alone can read. Raise ``SettingsError``."""
    try:
        write_private(path, json.dumps(values, indent=1))
    except OSError as error:
        values.clear()  # no frame of the error that is shown holds a key
        hint = "Make that folder writable, or set XDG_CONFIG_HOME to one that is and restart the kernel."
        raise SettingsError(f"{what} could not be stored in {path} ({error.strerror}).", hint=hint) from None


# Stored keys ---------------------------------------------------------------------------------------------------------


class KeyStore:
    """Keys, one a provider: in the system's keyring where there is one, else in ``path``, a file of mode 0600."""

    def __init__(self, folder: Path, *, use_keyring: bool = True) -> None:
        self.path = folder / "keys.json"
        self._use_keyring = use_keyring
        self._in_keyring: dict[str, Any] = {}

    def read(self, provider: str) -> "tuple[SecretStr | None, str]":
        """Return the stored key of a provider (None if there is none) and where it was found."""
        from pydantic import SecretStr

        if provider not in self._in_keyring:  # which takes its time
            self._in_keyring[provider] = self._keyring("get_password", provider)
        found = {"keyring": self._in_keyring[provider], str(self.path): _json_in(self.path, dict).get(provider)}
        where = next((place for place, value in found.items() if isinstance(value, str) and value), "")
        return SecretStr(found[where]) if where else None, where

    def may_hold(self, provider: str) -> bool:
        """Say whether a key was read, or was ever stored from here: asking a keyring takes time, and may ask back."""
        paths = self.path, self.path.with_name("config.json")  # which a login writes, too
        return provider in self._in_keyring or any(os.access(path, os.F_OK) for path in paths)

    def write(self, provider: str, key: "SecretStr") -> str:
        """Store a key and return where it went. Raise ``SettingsError`` if it cannot be stored anywhere."""
        check_key(key)
        self._keyring("set_password", provider, key.get_secret_value())
        self._in_keyring.clear()
        if self.read(provider) == (key, "keyring"):
            return "keyring"
        _write(self.path, {**_json_in(self.path, dict), provider: key.get_secret_value()}, "the key")
        return str(self.path)

    def delete(self, provider: str) -> None:
        """Remove a provider's key from everywhere. Raise ``SettingsError`` if its file cannot be written."""
        self._keyring("delete_password", provider)
        self._in_keyring.clear()
        known = _json_in(self.path, dict)
        if known.pop(provider, None):
            _write(self.path, known, "the key")

    def exposure(self) -> str:
        """Return why others may read the key file, and the command that ends it; empty if they cannot."""
        mode = self.path.stat().st_mode & 0o777 if os.access(self.path, os.F_OK) else 0
        return f"others can read {self.path} (mode {mode:04o}): run chmod 600 {self.path}" if mode & 0o077 else ""

    def _keyring(self, action: str, *arguments: str) -> Any:  # keyring ships no types
        """Ask the system's keyring; None if there is none, or it is locked or broken."""
        with suppress(Exception):
            import keyring

            backend = keyring.get_keyring()
            if self._use_keyring and backend.priority > 0:  # keyring's own stand-ins for none have 0 and less
                return getattr(backend, action)(_APP, *arguments)
        return None


def check_key(key: "SecretStr | None") -> None:
    """Refuse a key that no HTTP header can carry. Raise ``SettingsError``, which does not show it."""
    if key and not all("!" <= char <= "~" and char not in '"\\' for char in key.get_secret_value()):
        message = "The key contains a character that keys never have (a space, a quote, an accented letter …)."
        raise SettingsError(message, hint="Copy it again and run `%wan login`.")
