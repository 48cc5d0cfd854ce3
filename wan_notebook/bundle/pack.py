"""Writing a bundle in one step: hashed as it is written, and never over anything but an older bundle."""

from __future__ import annotations

import hashlib
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..errors import RecipeError, StoreError
from . import crate
from .archive import opened
from .manifest import NAME as MANIFEST
from .manifest import read_manifest
from .plan import Content, Plan

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_UNIX, _PLAIN_FILE = 3, 0o100644 << 16
_PACKED: Final = frozenset({".ipynb", ".json", ".jsonl", ".db", ".txt", ".md"})
_TIGHT: Final = 100
_TIGHT_FROM_BYTES: Final = 256 * 1024
_Loaded = tuple[bytes, str, bool]
"""A content's bytes, their hash, and whether they are what was planned."""


def write_bundle(plan: Plan, target: Path) -> int:
    """Write a bundle and return its bytes. Raises ``StoreError``; then nothing changed.

    Only an older bundle is replaced. The same plan gives the same bytes: times are fixed, names sorted.
    """
    check_target(target)
    part = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with zipfile.ZipFile(part, "w") as zipped:
            hashes = [_put(zipped, content, *loaded) for content, loaded in _loaded(plan.contents)]
            head, manifest = plan.describing(hashes)
            _write(zipped, crate.NAME, head)
            _write(zipped, MANIFEST, manifest)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
        return target.stat().st_size
    except OSError as error:
        message = f"cannot write {target} ({error.strerror or error})."
        raise StoreError(message, hint="Choose another place, or make room.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _loaded(contents: Sequence[Content]) -> Iterator[tuple[Content, _Loaded]]:
    """Yield each content's bytes with their hash; the next one is read and hashed while this one is written."""
    with ThreadPoolExecutor(1, thread_name_prefix="wan-bundle") as pool:
        ahead = [pool.submit(_load, content) for content in contents[:1]]
        for position, content in enumerate(contents):
            current = ahead.pop(0)
            if position + 1 < len(contents):
                ahead.append(pool.submit(_load, contents[position + 1]))
            yield content, current.result()


def _load(content: Content) -> _Loaded:
    data = content.data if content.data is not None else content.source.read_bytes() if content.source else b""
    digest = hashlib.sha256(data).hexdigest()
    return data, digest, content.is_unchanged(data, digest)


def _put(zipped: zipfile.ZipFile, content: Content, data: bytes, digest: str, is_unchanged: bool) -> str:
    if not is_unchanged:
        message = f"{content.source or content.path} has changed since it was recorded: the bundle was not written."
        raise StoreError(message, hint="`%wan verify` says what it should be and how to get it back.")
    _write(zipped, content.path, data)
    return digest


def _write(zipped: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system, info.external_attr = _UNIX, _PLAIN_FILE
    info.compress_type = zipfile.ZIP_DEFLATED if _is_packed(name, data) else zipfile.ZIP_STORED
    zipped.writestr(info, data, compresslevel=6)


def _is_packed(name: str, data: bytes) -> bool:
    """Whether to compress: pictures are compressed already, and what is packed too tightly reads like a bomb."""
    if Path(name).suffix not in _PACKED:
        return False
    return len(data) < _TIGHT_FROM_BYTES or len(zlib.compress(data, 1)) * _TIGHT > len(data)


def check_target(target: Path) -> None:
    """Raise ``StoreError`` where no bundle can be written: no such folder, or a file that is no bundle."""
    if not target.parent.is_dir():
        message = f"cannot write {target}: there is no folder {target.parent}."
        raise StoreError(message, hint="Make it first, or choose another place.")
    if not target.exists():
        return
    try:
        with opened(target) as archive:
            read_manifest(archive.read(MANIFEST))
    except RecipeError as error:
        message = f"{target} is there already and is no bundle: it was left alone."
        raise StoreError(message, hint="Choose another name.") from error
