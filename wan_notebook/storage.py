"""Picture and input files under one visible folder: durable before they are named, named once, never overwritten."""

import contextlib
import datetime as dt
import errno
import filecmp
import hashlib
import itertools
import logging
import os
import re
import secrets
import shutil
import sys
import time
import unicodedata
from pathlib import Path
from typing import Final

from .errors import StoreError
from .files import atomic_write, explained, is_inside, read_file
from .images import SUFFIXES, InputImage
from .text import one_line

log = logging.getLogger(__name__)

_FOLDERS: Final = re.compile(r"\d{4}-\d\d-\d\d|\.parts|\.cache|inputs")
_FILES: Final = re.compile(r"ledger\.db(-\w+)?|\.gitignore")
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
_WORDS_MAX_BYTES: Final = 60  # whole names stay under the 143 bytes of encrypted home folders, with `.corrupt` behind
# Older than a result's address can live: such a part can no longer be finished, wherever its process ran.
_PART_KEPT_S: Final = 25 * 3600.0
_HINT: Final = (
    "Free some space, make it writable, or set WAN_HOME to another folder; `%wan doctor` shows the one in use."
)


def refuse_kept(target: Path) -> None:
    """Raise ``StoreError`` for a place whose file is not ours to replace: a device, or what a folder of pictures keeps.

    That is its ledger and every picture in it, which may be the only one.
    """
    target, why = target.resolve(), ""
    if target.exists() and not target.is_file():
        why = "it is not a file"
    for folder in target.parents:
        first = target.relative_to(folder).parts[0]
        if (_FOLDERS.fullmatch(first) or _FILES.fullmatch(first)) and (folder / "ledger.db").exists():
            why = "a folder of pictures keeps it"
    if why:
        raise StoreError(f"cannot write {target} ({why}).", hint="Choose another place.")


def write_file(path: str | Path, data: bytes) -> Path:
    """Write a file that a person named, and return its path. Raise ``StoreError``."""
    with explained(path):
        target = Path(path).expanduser().resolve()  # a link stays a link
        refuse_kept(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(target, data)
    return Path(path)


class Storage:
    """One folder of pictures. Nothing is created before something is written.

    Every method that touches the disk raises ``StoreError``, which names the file and says what to do. Paths are
    relative to the folder, with ``/``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer, self._numbers = secrets.token_hex(8), itertools.count(1)

    def ensure(self) -> None:
        """Create the folder, with a ``.gitignore`` that keeps it out of version control.

        Refuses links in the places of our own files and folders, which would lead pictures elsewhere, and pipes, which
        SQLite would wait for without end.
        """
        with explained(self.folder, "create", _HINT):
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True, exist_ok=True)
                ignored = "# Pictures, their inputs and the ledger stay out of version control without this line.\n*\n"
                atomic_write(self.folder / ".gitignore", ignored.encode())
                _sync_folder(self.folder)
                _sync_folder(self.folder.parent)
            for path in self.folder.iterdir():
                is_folder = _FOLDERS.fullmatch(path.name) is not None
                is_ours = is_folder or _FILES.fullmatch(path.name)
                if is_ours and (path.is_symlink() or path.is_fifo() or (is_folder and not path.is_dir())):
                    message = f"{one_line(path, 200)} is a link or a file where a folder of pictures belongs."
                    raise StoreError(message, hint="Remove it, or set WAN_HOME to another folder.")

    def check_writable(self, need_bytes: int = 0) -> None:
        """Make sure that pictures can be saved, before money is spent."""
        self.ensure()
        probe = self.folder / ".parts" / f"probe-{next(self._numbers)}.{self._writer}.part"
        with explained(self.folder, "write to", _HINT):
            probe.parent.mkdir(exist_ok=True)
            atomic_write(probe, b"can this disk be written?\n")
            probe.unlink()
            free_bytes = shutil.disk_usage(self.folder).free
        if free_bytes < need_bytes:
            sizes = f"{free_bytes / 1e6:.0f} MB free, and this needs {need_bytes / 1e6:.0f} MB"
            raise StoreError(f"The disk of {one_line(self.folder, 200)} has {sizes}. Nothing was sent.", hint=_HINT)

    def path(self, relative: str) -> Path:
        """Return the full path of a file. Raises ``StoreError`` if it leads out of the folder or through a link."""
        if not is_inside(relative):
            raise StoreError(f"{one_line(relative, 80)!r} is not a path inside the folder of pictures.")
        path = self.folder / relative
        inside = itertools.takewhile(lambda step: step != self.folder, (path, *path.parents))
        if any(map(os.path.islink, inside)):  # which may also give the ledger another name
            message = f"{one_line(relative, 80)!r} leads through a link in {one_line(self.folder, 200)}."
            raise StoreError(message, hint="Remove the link.")
        return path

    # Saving -----------------------------------------------------------------------------------------------------------

    def save_input(self, image: InputImage) -> str:
        """Keep an input picture as it is sent, and return its path; beside a kept file that was edited by hand."""
        relative = f"inputs/{image.sha256[:16]}{SUFFIXES.get(image.mime, '.bin')}"
        return relative if self.holds(relative, image.sha256) else self.add(relative, image.data)

    def part_path(self, job_id: str, index: int) -> Path:
        """Return where this process downloads a picture of a job; no other process uses the same path."""
        return self.folder / ".parts" / f"{_words(job_id)}-{index}.{self._writer}.part"

    def clean_parts(self) -> None:
        """Delete what downloads that can no longer be finished left behind."""
        for path in (self.folder / ".parts").glob("*"):
            with contextlib.suppress(OSError):  # another kernel was faster, or the folder is read-only
                if path.suffix in (".part", ".ready") and time.time() - path.lstat().st_mtime > _PART_KEPT_S:
                    path.unlink()

    def picture_name(
        self, created_at_local: dt.datetime, prompt: str, seed: int | None, index: int, suffix: str, inputs: str = ""
    ) -> str:
        """Return a name that no file here has: ``2026-11-24/1432-a-fox-in-snow-s5-1.png``; ``index`` counts from 0.

        The names of what was edited stand behind the prompt: they tell apart what one prompt made of two photos.
        """
        words = f"{_words(prompt)}-{_words(inputs, 24)}" if inputs else _words(prompt)
        words += "" if seed is None else f"-s{seed}"
        return self._free_name(f"{created_at_local:%Y-%m-%d/%H%M}-{words}-{index + 1}{suffix}")

    def stage(self, part: Path, data: bytes | None = None) -> Path:
        """Make a picture durable without naming it yet: ``data``, or without them the part as it is.

        Once its name and hash are recorded, it can be told after a crash whether ``publish`` was done.
        """
        self.ensure()
        with explained(self.folder, "save a picture in", _HINT):
            if data is None:
                with part.open("rb+") as file:
                    os.fsync(file.fileno())
                return part
            part.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(ready := part.with_suffix(".ready"), data)
            return ready

    def publish(self, staged: Path, relative: str, sidecar: str = "") -> str:
        """Give staged bytes their name, or its next free variant, and return it: no file is ever overwritten.

        ``sidecar`` is the text that goes beside the picture.
        """
        final = self.path(relative)
        with explained(final, "save", _HINT):
            if not final.parent.is_dir():
                final.parent.mkdir(parents=True, exist_ok=True)
                _sync_folder(final.parent.parent)
            while not _name(staged, final):
                final = self.path(self._free_name(relative))
            try:
                if sidecar:
                    atomic_write(final.with_name(f"{final.name}.json"), sidecar.encode("utf-8", "backslashreplace"))
            except OSError as error:  # the picture is safe without it
                log.warning("the metadata beside %s could not be written: %s", final, error.strerror)
            _sync_folder(final.parent)
        return final.relative_to(self.folder).as_posix()

    def add(self, relative: str, data: bytes) -> str:
        """Write a new file and return its name. The same bytes are left alone, other ones are not touched."""
        return self.publish(self.stage(self.part_path("new", next(self._numbers)), data), relative)

    # What is there ----------------------------------------------------------------------------------------------------

    def exists(self, relative: str) -> bool:
        """Say whether there is a file of this name."""
        path = self.path(relative)
        with explained(path, "look at", _HINT):
            return path.is_file()

    def holds(self, relative: str, sha256: str) -> bool:
        """Say whether there is a file with exactly these bytes."""
        try:
            return hashlib.sha256(read_file(self.path(relative))).hexdigest() == sha256
        except (OSError, UnicodeError):
            return False

    def read(self, relative: str) -> bytes:
        """Return a file's bytes."""
        path = self.path(relative)
        with explained(path, "read", "`%wan doctor` shows the folder in use."):
            return read_file(path)

    def delete(self, relative: str) -> None:
        """Delete a file and its sidecar; neither needs to be there."""
        path = self.path(relative)
        with explained(path, "delete", _HINT):
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}.json").unlink(missing_ok=True)

    def _free_name(self, relative: str) -> str:
        """Return the name, or its first numbered variant that is not taken, by a link either."""
        stem, dot, suffix = relative.rpartition(".")
        names = itertools.chain([relative], (f"{stem}_{count}{dot}{suffix}" for count in itertools.count(2)))
        return next(name for name in names if not os.path.lexists(self.folder / name))


def _words(text: str, max_bytes: int = _WORDS_MAX_BYTES) -> str:
    """Return the words of a text as a part of a file name: letters and digits, joined by ``-``.

    Letters of any script, but plain ASCII where the system's locale writes nothing else.
    """
    # Lower case and NFC: two names that a Mac or Windows takes for the same one are then the same one.
    text = unicodedata.normalize("NFC", text[:400].lower())
    if sys.getfilesystemencoding().lower() in ("ascii", "ansi_x3.4-1968"):
        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    kept = "".join(char if char.isalnum() or unicodedata.category(char) in ("Mn", "Mc") else " " for char in text)
    words = [word for word in kept.split() if any(map(str.isalnum, word))] or ["picture"]
    while len(words) > 1 and len("-".join(words).encode()) > max_bytes:
        words.pop()
    return "-".join(words).encode()[:max_bytes].decode(errors="ignore")


def _sync_folder(path: Path) -> None:
    """Make the names in a folder durable: without it a power cut can take back a rename."""
    if os.name != "nt":  # Windows has no such call, and its rename is journaled
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _name(temporary: Path, final: Path) -> bool:
    """Give a file its name in one step; False if another file has it. The same bytes, fetched again, are kept once."""
    try:
        try:
            final.hardlink_to(temporary)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # A file system without links (FAT, some network drives): an empty file reserves the name, which only its
            # maker then replaces.
            final.touch(exist_ok=False)
            temporary.replace(final)
    except FileExistsError:
        if not (final.is_file() and filecmp.cmp(temporary, final, shallow=False)):
            return False
    temporary.unlink(missing_ok=True)
    return True
