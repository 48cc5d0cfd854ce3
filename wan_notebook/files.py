"""Writing files so that no reader ever sees half of one, and locks between processes."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from .errors import StoreError, WanError
from .text import one_line

_READ_MAX_BYTES: Final = 256 * 2**20  # as of an input picture


def read_file(path: Path) -> bytes:
    """Read a file of ordinary size: a planted pipe would wait for ever, and a file of holes fill the memory."""
    if path.exists() and not (path.is_file() and path.stat().st_size <= _READ_MAX_BYTES):
        raise OSError(errno.EINVAL, "it is not a file, or is too large")
    return path.read_bytes()


def atomic_write(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write ``data`` durably under a temporary name, then rename it over ``path``.

    ``mode`` is subject to the umask. The temporary file is created exclusively and never through a link.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")  # as short for a long name
    safe = os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | safe, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def explained(path: object, doing: str = "write", hint: str = "Choose another place, or make room.") -> Iterator[None]:
    """Turn what the system raises about a path, odd ones included, into one line. Raises ``StoreError``."""
    try:
        yield
    except WanError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # NUL, half a character, no name, an unknown ~user
        reason = getattr(error, "strerror", None) or one_line(error)
        raise StoreError(f"cannot {doing} {one_line(path, 200)} ({reason}).", hint=hint) from error


def is_inside(relative: str) -> bool:
    """Say whether a path with ``/`` stays in its folder, on every system: a bundle opens on all of them."""
    is_odd = any(char in relative for char in "\\:\x00")
    return not is_odd and not any(part in ("", ".", "..") or part != part.rstrip(" .") for part in relative.split("/"))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read (mode 0600), creating its folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    atomic_write(path, text.encode("utf-8"), mode=0o600)


@contextmanager
def locked(path: Path, timeout_s: float = 10.0) -> Iterator[None]:
    """Hold a lock over all processes of this machine; where no lock file can be made, go on without one.

    Raises
    ------
    TimeoutError
        If another process holds the lock for longer than ``timeout_s``.
    """
    from filelock import FileLock, Timeout

    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(path, timeout=timeout_s, mode=0o600))
        except Timeout:
            raise
        except OSError:  # of a read-only or missing home: the lock protects nothing that could be written
            pass
        yield
