"""Stored keys, one a provider: in the system's keyring where there is one, else in a file of mode 0600."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .errors import SettingsError
from .files import write_private

if TYPE_CHECKING:
    from pydantic import SecretStr

SERVICE: Final = "wan_notebook"
FILE_NAME: Final = "keys.json"
_OTHERS: Final = 0o077


class KeyStore:
    """Reads, writes and deletes keys. ``path`` is the file that is used where there is no keyring."""

    def __init__(self, folder: Path, *, use_keyring: bool = True) -> None:
        self.path = folder / FILE_NAME
        self._use_keyring = use_keyring

    def read(self, provider: str) -> "tuple[SecretStr | None, str]":
        """Return the stored key of a provider (None if there is none) and where it was found."""
        from pydantic import SecretStr

        if backend := self._keyring():
            with suppress(Exception):  # a locked or broken keyring is as good as none
                if value := backend.get_password(SERVICE, provider):
                    return SecretStr(value), "keyring"
        value = self._file().get(provider)
        return (SecretStr(value), str(self.path)) if isinstance(value, str) and value else (None, "")

    def write(self, provider: str, key: "SecretStr") -> str:
        """Store a key and return where it went. Raise ``SettingsError`` if it cannot be stored anywhere."""
        check_key(key)
        if backend := self._keyring():
            with suppress(Exception):  # falls through to the file
                backend.set_password(SERVICE, provider, key.get_secret_value())
                return "keyring"
        self._write_file({**self._file(), provider: key.get_secret_value()})
        return str(self.path)

    def delete(self, provider: str) -> None:
        """Remove a provider's key from everywhere. Raise ``SettingsError`` if its file cannot be written."""
        if backend := self._keyring():
            with suppress(Exception):  # it was not there
                backend.delete_password(SERVICE, provider)
        known = self._file()
        if known.pop(provider, None):
            self._write_file(known)

    def exposure(self) -> str:
        """Return why others may read the key file, and the command that ends it; empty if they cannot."""
        try:
            mode = self.path.stat().st_mode & 0o777
        except OSError:
            return ""
        return f"others can read {self.path} (mode {mode:04o}): run chmod 600 {self.path}" if mode & _OTHERS else ""

    def _file(self) -> dict[str, Any]:
        try:
            keys = json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return keys if isinstance(keys, dict) else {}

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
