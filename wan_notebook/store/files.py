"""What the store asks of the operating system: the one seam where tests let a disk be full, read-only or broken."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from wan_notebook.errors import StoreError

_LARGE_BYTES = 256 * 1024
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


class Files:
    """The real thing; a test's subclass makes one of these fail."""

    def write_new(self, path: Path, *pieces: bytes | memoryview) -> None:
        """Create a file with these bytes, durably; ``FileExistsError`` if there is one."""
        # Each call to the system lets go of the interpreter's lock; Python's file objects make four more.
        descriptor = os.open(path, _NEW, 0o666)
        try:
            _write(descriptor, [memoryview(piece) for piece in pieces if piece])
            _sync(descriptor, sum(map(len, pieces)))
        finally:
            os.close(descriptor)

    def sync(self, path: Path) -> None:
        """Make a written file durable."""
        with path.open("rb+") as file:
            _sync(file.fileno(), path.stat().st_size)

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable: without it a power cut can take back a rename."""
        if os.name == "nt":  # Windows has no such call, and its rename is journaled
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def publish(self, temporary: Path, final: Path) -> None:
        """Give a file its name in one step; ``FileExistsError`` if the name is taken, by whomever."""
        if os.name == "nt":
            temporary.rename(final)  # refuses to overwrite there
            return
        try:
            self.link(temporary, final)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # A file system without links (FAT, some network drives): an empty file reserves the name, which only
            # its maker then replaces.
            final.touch(exist_ok=False)
            temporary.replace(final)
            return
        temporary.unlink()

    def link(self, temporary: Path, final: Path) -> None:
        """Give a file a second name; ``FileExistsError`` if it is taken, another error where links do not exist."""
        final.hardlink_to(temporary)

    def make_folder(self, path: Path) -> bool:
        """Create a folder with its parents; say whether it is new."""
        if path.is_dir():
            return False
        path.mkdir(parents=True, exist_ok=True)
        return True

    def free_bytes(self, path: Path) -> int:
        """Return how much this user may still write there."""
        return shutil.disk_usage(path).free


def _write(descriptor: int, views: list[memoryview]) -> None:
    while views:
        count = os.writev(descriptor, views) if hasattr(os, "writev") else os.write(descriptor, views[0])
        while views and count >= len(views[0]):
            count -= len(views.pop(0))
        if views:
            views[0] = views[0][count:]


def _sync(descriptor: int, size_bytes: int) -> None:
    os.fsync(descriptor)
    if size_bytes >= _LARGE_BYTES and hasattr(os, "posix_fadvise"):
        # What is on the disk leaves the system's cache: hundreds of pictures would push out what a person works with,
        # and to be given fresh memory for each costs several times what the writing does.
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def explained(path: Path, doing: str) -> Iterator[None]:
    """Turn an error of the operating system into one that names the path and the hint."""
    try:
        yield
    except OSError as error:
        message, hint = _words(path, doing, error)
        raise StoreError(message, hint=hint) from error


def _words(path: Path, doing: str, error: OSError) -> tuple[str, str]:
    if error.errno in _FULL:
        return (
            f"{doing} {path} failed: the disk is full.",
            "Free some space there, or set WAN_HOME to a folder on another disk.",
        )
    if error.errno in _READ_ONLY:
        return (
            f"{doing} {path} failed: it is not writable ({error.strerror}).",
            "Make the folder writable, or set WAN_HOME to another one.",
        )
    if isinstance(error, FileNotFoundError):
        return f"{doing} {path} failed: it is not there.", "%wan doctor shows the folder in use."
    reason = error.strerror or str(error) or type(error).__name__
    return f"{doing} {path} failed: {reason}.", "%wan doctor checks the folder."
