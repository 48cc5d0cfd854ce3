"""The key store: the ``keyring`` extra where it works, else a file that only its owner can read."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import SettingsError
from .folders import config_dir, write_private
from .secret import Secret

SERVICE = "wan_notebook"
FILE_NAME = "keys.json"


class KeyStore:
    """Stored keys, one a provider."""

    def __init__(self, folder: Path | None = None, *, use_keyring: bool = True) -> None:
        self._folder = folder
        self._use_keyring = use_keyring

    @property
    def path(self) -> Path:
        """The file used where there is no keyring."""
        return (self._folder or config_dir()) / FILE_NAME

    def read(self, provider: str) -> tuple[Secret | None, str]:
        """Return the stored key of a provider and where it was found."""
        if backend := self._keyring():
            with suppress(Exception):  # a locked or broken keyring is as good as none
                if value := backend.get_password(SERVICE, provider):
                    return Secret(value, "keyring"), "keyring"
        value = self._file().get(provider)
        if not isinstance(value, str) or not value:
            return None, ""
        return Secret(value, str(self.path)), str(self.path)

    def write(self, provider: str, key: Secret) -> str:
        """Store a key and return where it went."""
        if backend := self._keyring():
            with suppress(Exception):  # falls through to the file
                backend.set_password(SERVICE, provider, key.reveal())
                return "keyring"
        write_private(self.path, json.dumps({**self._file(), provider: key.reveal()}))
        return str(self.path)

    def forget(self, provider: str) -> None:
        """Remove a provider's key from everywhere."""
        if backend := self._keyring():
            with suppress(Exception):  # it was not there
                backend.delete_password(SERVICE, provider)
        if provider in (known := self._file()):
            write_private(self.path, json.dumps({k: v for k, v in known.items() if k != provider}))

    def _file(self) -> dict[str, object]:
        try:
            value = json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def _keyring(self) -> Any:  # keyring ships no types
        if not self._use_keyring:
            return None
        try:
            import keyring
            from keyring.backends import chainer, fail, null
        except ImportError:
            return None
        backend = keyring.get_keyring()
        if isinstance(backend, fail.Keyring | null.Keyring):
            return None
        if isinstance(backend, chainer.ChainerBackend) and not backend.backends:
            return None
        return backend


def check_key(key: Secret | None) -> None:
    """Refuse a key that no header can carry: httpx would name it in its error. Raises ``SettingsError``."""
    if key and not all("!" <= character <= "~" and character not in '"\\' for character in key.reveal()):
        message = "The key contains a character that no key has (a space, a quote, a letter with an accent …)."
        raise SettingsError(message, hint="Copy it again: `%wan login`.")
