"""Picture and input files under one visible folder: written durably, named once, never overwritten."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import itertools
import logging
import os
import platform
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from wan_notebook.errors import StoreError
from wan_notebook.inputs import InputImage

from . import names, parts
from .files import Files, explained
from .model import Saved, Staged, Usage

log = logging.getLogger(__name__)
GITIGNORE: Final = (
    "# Pictures, their inputs and the ledger stay out of version control unless you remove this line.\n*\n"
)
TRIED_FOR_S: Final = 1.0
_PLACES_MAX: Final = 100
_run, _numbers = secrets.token_hex(4), itertools.count(1)  # to draw anew for each name is a call to the system


class Store:
    """One folder of pictures. Nothing is created before something is written."""

    def __init__(self, folder: Path, *, files: Files | None = None, pid: int | None = None, host: str = "") -> None:
        self.folder = folder
        self._files = files or Files()
        self._try_again_at = 0.0
        self.input_names: dict[str, str] = {}
        """What a person calls a kept input that no job has used yet, by its path: an upload's own name."""
        name = host or platform.node()
        self._host = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
        self._writer = f"{self._host}-{os.getpid() if pid is None else pid}"

    # ------------------------------------------------------------------ the folder

    def ensure(self) -> None:
        """Create the folder, with a ``.gitignore`` that keeps it out of version control. Raises ``StoreError``."""
        with explained(self.folder, "Creating"):
            if self._files.make_folder(self.folder):
                with contextlib.suppress(FileExistsError):
                    self._files.write_new(self.folder / ".gitignore", GITIGNORE.encode())
                self._files.sync_folder(self.folder)
                self._files.sync_folder(self.folder.parent)

    def check_writable(self, need_bytes: int = 0) -> None:
        """Make sure that pictures can be saved, before money is spent. Raises ``StoreError``: read-only, or full.

        Of many orders in a row one a second tries it; the others rely on the ledger, which writes each of them too.
        """
        self.ensure()
        with explained(self.folder, "Writing to"):
            if time.monotonic() >= self._try_again_at:
                probe = self._temporary("probe")
                try:
                    self._write(probe, b"is this disk writable?\n")
                finally:
                    _discard(probe)
                self._try_again_at = time.monotonic() + TRIED_FOR_S
            free = self._files.free_bytes(self.folder)
        if free < need_bytes:
            raise StoreError(
                f"The disk of {self.folder} has {free / 1e6:.0f} MB free, and this needs {need_bytes / 1e6:.0f} MB.",
                hint="Free some space there, or set WAN_HOME to a folder on another disk. Nothing was sent.",
            )

    def path(self, relative: str) -> Path:
        """Return the full path of a file of the store. Raises ``StoreError`` if it leads out of the folder."""
        return names.inside(self.folder, relative)

    def usage(self) -> Usage:
        """Count everything in the folder."""
        sizes = []
        for root, _, found in os.walk(self.folder):
            for name in found:
                with contextlib.suppress(OSError):
                    sizes.append(Path(root, name).stat().st_size)
        return Usage(size_bytes=sum(sizes), files=len(sizes))

    # ------------------------------------------------------------------ inputs

    def save_input(self, image: InputImage) -> str:
        """Keep an input picture as it is sent; return its path. Kept once, however often it is given."""
        ext = names.EXTENSIONS.get(image.mime, "bin")
        short = f"inputs/{image.sha256[:16]}.{ext}"
        # Somebody may have changed the kept file: then the full hash is the name.
        for relative in (short, f"inputs/{image.sha256}.{ext}"):
            if self.holds(relative, image.sha256):
                return relative
            if not self.path(relative).exists():
                return self.add(relative, image.data).file
        raise StoreError(f"{self.path(short)} was changed by hand.", hint="Delete it; it will be written again.")

    # ------------------------------------------------------------------ pictures

    def part_path(self, job_id: str, idx: int) -> Path:
        """Return where this process downloads picture ``idx`` of a job; no other process uses the same path.

        Its folder is made by whoever writes there first.
        """
        return self.folder / parts.FOLDER / f"{names.slug(job_id)}-{idx}.{self._writer}.part"

    def clean_parts(self) -> list[str]:
        """Delete what downloads of dead processes left behind; return their names."""
        return parts.clean(self.folder / parts.FOLDER, self._host)

    def picture_name(self, created_at_local: dt.datetime, prompt: str, seed: int | None, idx: int, ext: str) -> str:
        """Return a name that no file here has: ``2026-11-24/1432-a-fox-in-snow-s5-1.png``."""
        return names.picture_name(
            created_at_local, prompt, seed, idx, ext, lambda name: os.path.lexists(self.folder / name)
        )

    def stage(
        self,
        part: Path,
        relative: str,
        *,
        pieces: Sequence[bytes | memoryview] = (),
        sidecar: str = "",
    ) -> Staged:
        """Make a download durable, but do not name it yet.

        ``pieces`` are the file's bytes where they are in memory; without them they are what the part holds, which then
        is the file itself. Whoever records ``file`` and hashes of it now can tell after a crash that ``publish`` had
        been done. ``sidecar`` is the text that goes beside the picture then.
        """
        with explained(self.folder / relative, "Saving"):
            if pieces:
                temporary = part.with_name(f"{part.name.removesuffix('.part')}.ready")
                self._write(temporary, *pieces)
                size_bytes = sum(map(len, pieces))
            else:
                temporary, size_bytes = part, part.stat().st_size
                self._files.sync(part)
            return Staged(temporary, relative, size_bytes, sidecar)

    def publish(self, staged: Staged) -> Saved:
        """Give staged bytes their name, or its next free variant: no file is ever overwritten."""
        final = self._name(staged)
        if staged.sidecar:
            try:
                self._put_sidecar(self.folder / final, staged.sidecar)
            except StoreError as error:  # the picture is safe without it
                log.warning("the description of %s could not be written: %s", final, error)
        with explained(self.folder / final, "Saving"):  # both names at once
            self._files.sync_folder((self.folder / final).parent)
        return Saved(final, staged.size_bytes)

    def keep_corrupt(self, part: Path, relative: str) -> str:
        """Keep bytes that are no picture, beside where the picture would be, as ``….corrupt``; return their path."""
        return self.publish(self.stage(part, f"{relative}.corrupt")).file

    def add(self, relative: str, data: bytes) -> Saved:
        """Write a new file durably. The same bytes under the same name are left alone, other ones are not touched."""
        temporary = self._temporary("new")
        with explained(self.path(relative), "Saving"):
            self._write(temporary, data)
        staged = Staged(temporary, relative, len(data))
        try:
            return self.publish(staged)
        finally:
            _discard(temporary)

    def write_sidecar(self, relative: str, text: str) -> str:
        """Write ``<picture>.json`` beside a picture, replacing an older one; return its path."""
        self._folder_for(self.path(relative).parent)
        target = self._put_sidecar(self.path(relative), text)
        with explained(target, "Saving"):
            self._files.sync_folder(target.parent)
        return f"{relative}.json"

    # ------------------------------------------------------------------ what is there

    def exists(self, relative: str) -> bool:
        """Say whether the store has a file of this name."""
        return self.path(relative).is_file()

    def holds(self, relative: str, sha256: str) -> bool:
        """Say whether a file is here with exactly these bytes."""
        try:
            return hashlib.sha256(self.path(relative).read_bytes()).hexdigest() == sha256
        except OSError:
            return False

    def read(self, relative: str) -> bytes:
        """Return a file's bytes. Raises ``StoreError`` if it is gone."""
        path = self.path(relative)
        with explained(path, "Reading"):
            return path.read_bytes()

    def delete(self, relative: str) -> bool:
        """Delete a file and its sidecar; say whether it was there. Its folder goes when it is empty."""
        path = self.path(relative)
        with explained(path, "Deleting"):
            was_there = path.is_file()
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}.json").unlink(missing_ok=True)
        if path.parent != self.folder:
            with contextlib.suppress(OSError):  # it holds other files
                path.parent.rmdir()
        return was_there

    # ------------------------------------------------------------------ how

    def _name(self, staged: Staged) -> str:
        wanted = staged.file
        for _ in range(_PLACES_MAX):
            final = self.path(wanted)
            with explained(final, "Saving"):
                try:
                    self._in_folder(final, partial(self._files.publish, staged.temporary, final))
                except FileExistsError:
                    if _are_same(staged.temporary, final):
                        _discard(staged.temporary)
                        return wanted
                    wanted = names.free_name(staged.file, lambda name: os.path.lexists(self.path(name)))
                    continue
                return wanted
        raise StoreError(f"No free name like {staged.file} could be had.", hint="Move some files elsewhere.")

    def _put_sidecar(self, picture: Path, text: str) -> Path:
        target = picture.with_name(f"{picture.name}.json")
        temporary = self._temporary("json")
        with explained(target, "Saving"):
            self._write(temporary, text.encode("utf-8", "backslashreplace"))
            try:
                temporary.replace(target)
            except OSError:
                _discard(temporary)
                raise
        return target

    def _write(self, temporary: Path, *pieces: bytes | memoryview) -> None:
        """Write a file that has no name yet; one that an earlier attempt left there goes."""
        try:
            self._in_folder(temporary, partial(self._files.write_new, temporary, *pieces))
        except FileExistsError:
            temporary.unlink()
            self._write(temporary, *pieces)
        except OSError:
            _discard(temporary)
            raise

    def _in_folder(self, path: Path, make: Callable[[], None]) -> None:
        """Make a file; its folder first if it is not there: to look each time would cost more than the file."""
        try:
            make()
        except FileNotFoundError:
            self._folder_for(path.parent)
            make()

    def _folder_for(self, path: Path) -> None:
        self.ensure()
        with explained(path, "Creating"):
            if self._files.make_folder(path):
                self._files.sync_folder(path.parent)

    def _temporary(self, what: str) -> Path:
        return self.folder / parts.FOLDER / f"{what}-{_run}{next(_numbers)}.{self._writer}.part"


def _are_same(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()
    except OSError:  # a folder, or nothing that we may read: another one in any case
        return False


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
