"""Reading a zip file of any origin: bounded in entries, bytes and ratio; nothing in it is believed unchecked."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from ..errors import RecipeError
from .names import checked_name, refuse_twins, shown


@dataclass(frozen=True)
class Limits:
    """How much a bundle may hold. A file of more than ``ratio_from_bytes`` may not be packed tighter than ``ratio``."""

    entries: int = 100_000
    directory_bytes: int = 16 * 1024 * 1024
    file_bytes: int = 512 * 1024 * 1024
    total_bytes: int = 64 * 1024**3
    ratio: int = 200
    ratio_from_bytes: int = 256 * 1024


_FAULTS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    LookupError,
    OverflowError,
    MemoryError,
)
"""What Python's reader raises for damaged or hostile files."""

_ENCRYPTED: Final = 0x1
_LOCAL_HEADER_BYTES: Final = 30
_END, _END_64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
_TAIL_BYTES: Final = _END.size + 65_535


class Archive:
    """A bundle's zip file whose directory has been checked; ``read`` gives a file's bytes, never more than declared."""

    def __init__(self, zipped: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> None:
        self._zip = zipped
        self.entries = entries

    @property
    def total_bytes(self) -> int:
        """How much all files hold together, unpacked."""
        return sum(info.file_size for info in self.entries.values())

    def read(self, name: str, *, max_bytes: int | None = None) -> bytes:
        """Return a file's bytes. Raises ``RecipeError`` if it is damaged or not what its entry says."""
        info = self.entries.get(name)
        if info is None:
            raise RecipeError(f"The bundle has no {shown(name)}.")
        if max_bytes is not None and info.file_size > max_bytes:
            raise RecipeError(f"{shown(name)} in the bundle is larger than it can be ({info.file_size} bytes).")
        with _explained(f"{shown(name)} in the bundle"), self._zip.open(info) as file:
            data = file.read(info.file_size)
            rest = file.read(1)
        if len(data) != info.file_size or rest:
            raise RecipeError(f"{shown(name)} in the bundle is not as long as it says: refused.")
        return data


@contextmanager
def opened(path: Path, limits: Limits | None = None) -> Iterator[Archive]:
    """Open a zip file and check its directory: names, kinds, counts, sizes, ratios, overlaps.

    Raises ``RecipeError``, before any of its content is unpacked.
    """
    bounds = limits or Limits()
    with _explained(str(path)):
        file = path.open("rb")
    with file:
        size = _check_directory(file, path, bounds)
        with _explained(str(path)):
            zipped = zipfile.ZipFile(file)
        with zipped:
            yield Archive(zipped, _checked(zipped, size, bounds))


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:
        reason = getattr(error, "strerror", None) or str(error)[:120] or type(error).__name__
        hint = "Get the file again; a bundle is the .zip that %wan bundle wrote."
        raise RecipeError(f"{what} cannot be read ({reason}).", hint=hint) from error


def _check_directory(file: BinaryIO, path: Path, limits: Limits) -> int:
    """Bound the directory before it is read into memory; return the file's size."""
    with _explained(str(path)):
        size = file.seek(0, 2)
        start = max(0, size - _TAIL_BYTES - 20 - _END_64.size)
        file.seek(start)
        tail = file.read()
        at = len(tail) - _END.size
        if at < 0 or tail[at : at + 4] != b"PK\5\6" or tail[-2:] != b"\0\0":
            at = tail.rfind(b"PK\5\6")
        if at < 0 or at + _END.size > len(tail):
            raise zipfile.BadZipFile("it is no zip file")
        _, _, _, _, count, directory_bytes, _, _ = _END.unpack_from(tail, at)
        if (wide := at - 20 - _END_64.size) >= 0 and tail[wide : wide + 4] == b"PK\6\6":
            record = _END_64.unpack_from(tail, wide)
            count, directory_bytes = max(count, record[7]), max(directory_bytes, record[8])
        elif count == 0xFFFF or directory_bytes == 0xFFFFFFFF:
            raise zipfile.BadZipFile("its directory is damaged")
        file.seek(0)
    if count > limits.entries or directory_bytes > limits.directory_bytes:
        raise RecipeError(f"{path} names {count} files: more than a bundle can have. Nothing was unpacked.")
    return size


def _checked(zipped: zipfile.ZipFile, size: int, limits: Limits) -> dict[str, zipfile.ZipInfo]:
    infos = zipped.infolist()
    if len(infos) > limits.entries:
        raise RecipeError(f"The bundle names {len(infos)} files: more than it can have. Nothing was unpacked.")
    for info in infos:
        _check_entry(info, limits)
    files = [info for info in infos if not _is_folder(info)]
    refuse_twins([info.orig_filename for info in files])
    total = sum(info.file_size for info in files)
    if total > limits.total_bytes:
        raise RecipeError(f"The bundle would unpack to {total / 1e9:.1f} GB: refused, nothing was unpacked.")
    _refuse_overlaps(files, size)
    return {info.orig_filename: info for info in files}


def _check_entry(info: zipfile.ZipInfo, limits: Limits) -> None:
    name = info.orig_filename
    checked_name(name.removesuffix("/"))
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if _is_folder(info) else stat.S_IFREG):
        raise RecipeError(f"{shown(name)} in the bundle is a link or a device: refused, nothing was unpacked.")
    if info.flag_bits & _ENCRYPTED:
        raise RecipeError(f"{shown(name)} in the bundle is encrypted; a bundle never is.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RecipeError(f"{shown(name)} in the bundle is packed in a way that bundles are not.")
    too_tight = info.file_size > limits.ratio_from_bytes and info.file_size > info.compress_size * limits.ratio
    if info.file_size > limits.file_bytes or too_tight or (_is_folder(info) and info.file_size):
        raise RecipeError(f"{shown(name)} would unpack to {info.file_size} bytes: refused, nothing was unpacked.")


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return info.orig_filename.endswith("/")  # ZipInfo.is_dir raises IndexError for a name that begins with a NUL


def _refuse_overlaps(infos: list[zipfile.ZipInfo], size: int) -> None:
    """Files that share bytes let a small file unpack to any amount."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    ends = [info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size for info in ordered]
    begins = [*(info.header_offset for info in ordered[1:]), size]
    for info, end, begin in zip(ordered, ends, begins, strict=True):
        if end > begin:
            raise RecipeError(f"{shown(info.orig_filename)} shares its bytes with another file: refused.")
