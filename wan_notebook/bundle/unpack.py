"""Opening a bundle into a project: everything is checked first, then added; nothing that is here is changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ..errors import RecipeError, StoreError
from ..folders import FOLDER_NAME
from ..images import mime_of
from ..ledger import InputRecord, JobRow, Ledger, PictureRecord
from ..recipe import changed_in
from ..request import fingerprint
from ..store import Store
from .archive import Archive, Limits, opened
from .ledger_file import ROWS_MAX, from_lines, sound_rows
from .manifest import LEDGER_LINES, Manifest, read_manifest
from .manifest import MAX_BYTES as MANIFEST_MAX_BYTES
from .manifest import NAME as MANIFEST
from .names import checked_name, shown
from .selection import get_jobs

_PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".bin"})
_STORED: Final = _PICTURES | {".mp4", ".webm", ".corrupt"}
_FINGERPRINT: Final = "wan1:sha256:"
_VARIANTS_MAX: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What opening did: job ids, and files by path. ``conflicts`` are other jobs here with the same id."""

    added: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()
    placed: tuple[str, ...] = ()
    written_bytes: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """A bundle that passed: its archive, its manifest, its rows as they are written and as a ledger takes them."""

    archive: Archive
    manifest: Manifest
    lines: tuple[dict[str, Any], ...]
    rows: tuple[JobRow, ...]

    def stored(self, relative: str) -> bytes:
        """Return a file of the bundle's store. Raises ``RecipeError`` if it changed since it was checked."""
        name = f"{FOLDER_NAME}/{relative}"
        data = self.archive.read(name)
        if hashlib.sha256(data).hexdigest() != self.manifest.by_path[name].sha256:
            raise RecipeError(f"{shown(name)} changed while the bundle was opened.")
        return data


def open_bundle(path: Path, ledger: Ledger, store: Store, root: Path, *, limits: Limits | None = None) -> Opened:
    """Add a bundle's jobs, pictures and inputs to a store, and its notebook to ``root``; safe to repeat.

    Names, sizes and hashes are all checked before anything is written. A file that is here is never overwritten; one
    that is missing here is put back. What it cost was paid elsewhere and counts in no sum. Raises ``RecipeError`` for a
    bundle that is damaged, hostile or of a newer version, ``StoreError`` where this project cannot take it.
    """
    with opened(path, limits) as archive:
        checked = check(archive)
        store.check_writable(need_bytes=archive.total_bytes)
        return _Merge(checked, ledger, store).run(root)


def check(archive: Archive) -> Checked:
    """Check a bundle whole: its manifest against its files, its rows against its manifest, every hash."""
    manifest = read_manifest(archive.read(MANIFEST, max_bytes=MANIFEST_MAX_BYTES))
    for item in manifest.items:
        info = archive.entries.get(item.path)
        if info is None or info.file_size != item.size_bytes:
            raise RecipeError(f"{shown(item.path)} is not in the bundle as its manifest says: nothing was unpacked.")
    if len(manifest.items) > ROWS_MAX * 4:
        raise RecipeError("The bundle names more files than it can have: nothing was unpacked.")
    lines = tuple(from_lines(archive.read(LEDGER_LINES)))
    rows = tuple(sound_rows(lines))
    _check_files(manifest, rows)
    pictures: dict[str, list[PictureRecord]] = {}
    for picture in (p for row in rows for p in row.pictures if p.saved_at):
        pictures.setdefault(f"{FOLDER_NAME}/{picture.file}", []).append(picture)
    for item in manifest.items:
        data = archive.read(item.path)
        if hashlib.sha256(data).hexdigest() != item.sha256:
            raise RecipeError(f"{shown(item.path)} is not what the manifest says (its hash differs): nothing unpacked.")
        _check_content(item.path, data, pictures.get(item.path, ()), manifest)
    return Checked(archive, manifest, lines, rows)


def _check_files(manifest: Manifest, rows: Sequence[JobRow]) -> None:
    known = manifest.by_path
    for row in rows:
        if row.fp_sent.startswith(_FINGERPRINT) and fingerprint(row.request) != row.fp_sent:
            raise RecipeError(f"Job {row.id} of the bundle answers another request than it says: nothing was unpacked.")
        for name, digest, is_needed in _files_of(row):
            _check_store_name(name)
            item = known.get(f"{FOLDER_NAME}/{name}")
            if (item is None and is_needed) or (item is not None and digest and item.sha256 != digest):
                raise RecipeError(f"Job {row.id} names {shown(name)}, which is not in the bundle as it says.")
    for name in manifest.fetched.values():
        _check_store_name(name)
    for name in manifest.named:
        if PurePosixPath(name).suffix.lower() not in _PICTURES or name.startswith(f"{FOLDER_NAME}/"):
            raise RecipeError(f"{shown(name)} in the bundle is no picture that a cell reads: nothing was unpacked.")


def _files_of(row: JobRow) -> Iterator[tuple[str, str, bool]]:
    """Yield what a job has in the store: the file, its hash if it is known, and whether it must be there."""
    for record in row.inputs:
        if record.file:
            yield record.file, record.sha256, False
    for picture in row.pictures:
        if picture.file:
            yield picture.file, "", bool(picture.saved_at)  # its content is compared with the record, see below
        if picture.corrupt_file:
            yield picture.corrupt_file, "", False


def _check_store_name(name: str) -> None:
    path = PurePosixPath(checked_name(name))
    if len(path.parts) < 2 or path.suffix.lower() not in _STORED:
        raise RecipeError(f"{shown(name)} is no picture of a store: refused, nothing was unpacked.")


def _check_content(path: str, data: bytes, pictures: Sequence[PictureRecord], manifest: Manifest) -> None:
    if any(changed_in(data, picture) for picture in pictures):  # several jobs may say that it is theirs
        raise RecipeError(f"{shown(path)} is not the picture that its job says: refused, nothing was unpacked.")
    if path in manifest.named and not (mime_of(data) or "").startswith("image/"):
        raise RecipeError(f"{shown(path)} in the bundle is no picture: refused, nothing was unpacked.")


class _Merge:
    """Adds one checked bundle to one store."""

    def __init__(self, checked: Checked, ledger: Ledger, store: Store) -> None:
        self._bundle, self._ledger, self._store = checked, ledger, store
        self._known = frozenset(checked.manifest.by_path)
        self._names: dict[str, str] = {}
        self._written: list[str] = []
        self._restored: list[str] = []
        self._bytes = 0

    def run(self, root: Path) -> Opened:
        new = []
        known = get_jobs(self._ledger, [row.id for row in self._bundle.rows])
        for line, row in zip(self._bundle.lines, self._bundle.rows, strict=True):
            here = known.get(row.id)
            if here is None:
                new.append(self._renamed(line))
            else:
                self._restore(here, row)
                new.append(line)
        report = self._ledger.import_rows(new)
        for key, file in sorted(self._bundle.manifest.fetched.items()):
            if not self._ledger.meta_get(key):
                self._ledger.meta_set(key, self._place(file))
        placed, notes = self._beside(root)
        notes += [f"job {job_id} is another one here: it was left alone" for job_id in report.conflicts]
        return Opened(
            added=report.added,
            present=report.present,
            conflicts=report.conflicts,
            written=tuple(self._written),
            restored=tuple(self._restored),
            placed=tuple(placed),
            written_bytes=self._bytes,
            notes=tuple(notes),
        )

    def _renamed(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Put a new job's files into the store and return its row with the names that they have there."""
        made = dict(line)
        for kind, fields in (("inputs", ("file",)), ("pictures", ("file", "corrupt_file"))):
            records = []
            for record in line.get(kind, []):
                names = {f: self._place(record[f]) for f in fields if record.get(f)}
                records.append({**record, **names})
                if kind == "pictures" and record.get("file"):
                    self._sidecar(record["file"], names["file"])
            made[kind] = records
        return made

    def _place(self, relative: str) -> str:
        """Put a file of the bundle into the store: under its name, or beside another file of that name."""
        if relative in self._names or f"{FOLDER_NAME}/{relative}" not in self._known:
            return self._names.get(relative, relative)
        item = self._bundle.manifest.by_path[f"{FOLDER_NAME}/{relative}"]
        for name in _variants(relative):
            if self._store.holds(name, item.sha256):
                break
            if not self._store.exists(name):
                name = self._store.add(name, self._bundle.stored(relative)).file
                self._written.append(name)
                self._bytes += item.size_bytes
                break
        else:
            raise StoreError(f"There are too many files named like {relative}.", hint="Move some of them elsewhere.")
        self._names[relative] = name
        return name

    def _sidecar(self, given: str, here: str) -> None:
        if f"{FOLDER_NAME}/{given}.json" in self._known and not self._store.exists(f"{here}.json"):
            self._store.write_sidecar(here, self._bundle.stored(f"{given}.json").decode("utf-8", "replace"))

    def _restore(self, here: JobRow, row: JobRow) -> None:
        """Put back files of a job that is here already and has lost them."""
        pictures = {picture.idx: picture.file for picture in row.pictures if picture.saved_at}
        for picture in here.pictures:
            if picture.saved_at and picture.idx in pictures:
                self._put_back(picture.file, pictures[picture.idx], picture)
        inputs = {record.position: record.file for record in row.inputs if record.file}
        for record in here.inputs:
            if record.file and record.position in inputs:
                self._put_back(record.file, inputs[record.position], record)

    def _put_back(self, file: str, name: str, recorded: PictureRecord | InputRecord) -> None:
        if self._store.exists(file) or f"{FOLDER_NAME}/{name}" not in self._known:
            return
        data = self._bundle.stored(name)
        if isinstance(recorded, PictureRecord):
            is_the_same = not changed_in(data, recorded)
        else:
            is_the_same = hashlib.sha256(data).hexdigest() == recorded.sha256
        if is_the_same:
            self._store.add(file, data)
            self._sidecar(name, file)
            self._restored.append(file)
            self._bytes += len(data)

    def _beside(self, root: Path) -> tuple[list[str], list[str]]:
        """Put the notebook and the pictures that its cells read into the project, where nothing has their name."""
        placed, notes = [], []
        for name in (self._bundle.manifest.notebook, *self._bundle.manifest.named):
            target, data = root.joinpath(name), self._bundle.archive.read(name)
            if not target.resolve().is_relative_to(root.resolve()):
                notes.append(f"{name} leads out of {root} here, by a link: it was not unpacked")
            elif not target.exists():
                _write_new(target, data)
                placed.append(name)
            elif not target.is_file() or target.read_bytes() != data:
                notes.append(f"{name} is here already and differs: it was left alone")
        return placed, notes


def _variants(relative: str) -> Iterator[str]:
    path = PurePosixPath(relative)
    yield relative
    for count in range(2, _VARIANTS_MAX):
        yield str(path.with_name(f"{path.stem}_{count}{path.suffix}"))


def _write_new(target: Path, data: bytes) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.write(data)
    except OSError as error:
        message = f"cannot write {target} ({error.strerror or error})."
        raise StoreError(message, hint="Make room or make it writable, then open the bundle again.") from error


__all__ = ["Checked", "Opened", "check", "open_bundle"]
