"""Opening a bundle into a project: everything is checked first, then added; nothing that is here is changed."""

import hashlib
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ..database import Database, PictureRow
from ..errors import RecipeError, StoreError
from ..images import mime_of
from ..metadata import changed_in
from ..text import file_size, pluralize
from .ro_crate import FOLDER, LEDGER_LINES, Contents, check_name, check_no_twins, load_object, read_contents

if TYPE_CHECKING:
    from ..database import ImportReport, InputRow, JobRow
    from ..session import Session
    from ..storage import Storage

ENTRIES_MAX: Final = 100_000
FILE_MAX_BYTES: Final = 512 * 1024 * 1024
TOTAL_MAX_BYTES: Final = 64 * 1024**3
JSON_MAX_BYTES: Final = 64 * 1024 * 1024
RATIO_MAX: Final = 200
_RATIO_FROM_BYTES: Final = 256 * 1024
_ROWS_MAX: Final = 200_000
_LOCAL_HEADER_BYTES: Final = 30
_PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".bin"})
_STORED: Final = _PICTURES | {".mp4", ".webm", ".corrupt"}
_ZIP_FAULTS: Final = (
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


class Archive:
    """A bundle's zip file whose directory has been checked; ``read`` gives a file's bytes, never more than declared."""

    def __init__(self, archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> None:
        self._archive = archive
        self.entries = entries
        self.contents: Contents = read_contents(lambda name: self.read(name, max_bytes=JSON_MAX_BYTES), entries)

    def read(self, name: str, *, max_bytes: int = FILE_MAX_BYTES) -> bytes:
        """Return a file's bytes. Raise ``RecipeError`` if it is damaged or not what its entry says."""
        info = self.entries.get(name)
        if info is None or info.file_size > max_bytes:
            raise RecipeError(f"{name[:80]!a} is missing in the bundle or larger than it can be.")
        with _explained(f"{name[:80]!a} in the bundle"), self._archive.open(info) as file:
            data = file.read(info.file_size + 1)
        if len(data) != info.file_size:
            raise RecipeError(f"{name[:80]!a} in the bundle is not as long as it says: refused.")
        return data

    def checked(self, name: str) -> bytes:
        """Return a file's bytes after comparing them with their size and hash in the record."""
        data = self.read(name)
        if (len(data), hashlib.sha256(data).hexdigest()) != self.contents.files[name]:
            message = f"{name[:80]!a} is not what the bundle's record says (its hash differs)"
            raise RecipeError(f"{message}: nothing was unpacked.")
        return data


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open a bundle and check its directory: names, kinds, counts, sizes, ratios, overlaps.

    Raises ``RecipeError``, before any of its content is unpacked.
    """
    with _explained(str(path)):
        archive = zipfile.ZipFile(path)
    with archive:
        with _explained(str(path)):
            infos, size = archive.infolist(), path.stat().st_size
        if len(infos) > ENTRIES_MAX or sum(info.file_size for info in infos) > TOTAL_MAX_BYTES:
            raise RecipeError(f"{path} names {len(infos)} files or more bytes than a bundle can have: refused.")
        for info in infos:
            _check_entry(info)
        files = [info for info in infos if not info.orig_filename.endswith("/")]
        check_no_twins([info.orig_filename for info in files])
        _refuse_overlaps(files, size)
        yield Archive(archive, {info.orig_filename: info for info in files})


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except _ZIP_FAULTS as error:
        reason = getattr(error, "strerror", None) or str(error)[:120] or type(error).__name__
        hint = "Get the file again; a bundle is the .zip that %wan bundle wrote."
        raise RecipeError(f"{what} cannot be read ({reason}).", hint=hint) from error


def _check_entry(info: zipfile.ZipInfo) -> None:
    name = info.orig_filename
    is_folder = name.endswith("/")
    check_name(name.removesuffix("/"))
    reason = ""
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFDIR if is_folder else stat.S_IFREG):
        reason = "is a link or a device"
    elif info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        reason = "is encrypted or packed in a way that bundles are not"
    elif (
        info.file_size > FILE_MAX_BYTES
        or (is_folder and info.file_size)
        or (info.file_size > _RATIO_FROM_BYTES and info.file_size > info.compress_size * RATIO_MAX)
    ):
        reason = f"would unpack to {info.file_size} bytes"
    if reason:
        raise RecipeError(f"{name[:80]!a} in the bundle {reason}: refused, nothing was unpacked.")


def _refuse_overlaps(infos: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse files that share bytes, which let a small file unpack to any amount (Python itself since 3.11.8)."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    begins = [*(info.header_offset for info in ordered[1:]), size]
    for info, begin in zip(ordered, begins, strict=True):
        if info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size > begin:
            raise RecipeError(f"{info.orig_filename[:80]!a} shares its bytes with another file: refused.")


# Opening -------------------------------------------------------------------------------------------------------------


def open_bundle(source: Path, session: "Session") -> list[str]:
    """Add a bundle's jobs, pictures and inputs to the session's folder, and its notebook beside it; safe to repeat.

    Names, sizes, hashes and records are all checked before anything is written. A file that is here is never
    overwritten; one that is missing is put back. The bundle's copies of addresses are not taken over: they answer for
    its own jobs only. What the jobs cost was paid elsewhere and counts in no sum.

    Returns
    -------
    list of str
        What was done, one line each.

    Raises
    ------
    RecipeError
        For a bundle that is damaged, hostile or of a newer version.
    StoreError
        Where this project cannot take it.
    """
    project = session.need_project()
    here, above = Path.cwd().resolve(), project.storage.folder.resolve().parent
    with opened(source) as archive:
        lines, rows = _checked_rows(archive)
        project.storage.check_writable(need_bytes=sum(size for size, _ in archive.contents.files.values()))
        merge = _Merge(archive, project.database, project.storage)
        report = merge.add(lines, rows)
        placed, notes = merge.place_beside(above if here.is_relative_to(above) else here)
    notes += [f"job {job_id} is another one here: it was left alone" for job_id in report.conflicts]
    present = f" ({len(report.present)} already here)" if report.present else ""
    added = pluralize(len(report.added), "job")
    written = f"  {pluralize(len(merge.written), 'file')} written ({file_size(merge.written_bytes)})"
    return [
        f"opened {source.name}: {added} added{present}, $0.00: what they cost was paid elsewhere",
        *([written] if merge.written else []),
        *(f"  {name}" for name in placed),
        *(f"  note: {note}" for note in notes),
    ]


def _checked_rows(archive: Archive) -> "tuple[list[dict[str, Any]], list[JobRow]]":
    """Return the bundle's rows as they are written and as a ledger takes them, after checking the whole bundle."""
    contents = archive.contents
    for name in contents.files:
        data = archive.checked(name)
        if name in contents.named and not (mime_of(data) or "").startswith("image/"):
            raise RecipeError(f"{name[:80]!a} in the bundle is not a picture: refused, nothing was unpacked.")
    raw = archive.read(LEDGER_LINES).split(b"\n")
    if len(raw) > _ROWS_MAX:
        raise RecipeError(f"The bundle's {LEDGER_LINES} has more rows than it can have: nothing was unpacked.")
    lines = [load_object(line, LEDGER_LINES) for line in raw if line.strip()]
    with tempfile.TemporaryDirectory(prefix="wan-bundle-") as folder:
        database = Database.open(Path(folder, "ledger.db"))
        try:
            report = database.import_rows(lines)
            if report.present or report.conflicts:
                raise RecipeError("The bundle names a job twice: refused, nothing was unpacked.")
            by_id = database.jobs(report.added)
        except StoreError as error:
            raise RecipeError(error.message, hint=error.hint) from error
        finally:
            database.close()
    rows = [by_id[job_id] for job_id in report.added]
    for row in rows:
        _check_files(row, archive)
    for name in contents.named:
        if PurePosixPath(name).suffix.lower() not in _PICTURES or name.startswith(f"{FOLDER}/"):
            raise RecipeError(f"{name[:80]!a} is not a picture that a cell reads: nothing was unpacked.")
    return lines, rows


def _check_files(row: "JobRow", archive: Archive) -> None:
    for picture in row.pictures:
        if picture.saved_at and change_of(_stored(archive, row.id, picture.file), picture):
            message = f"{picture.file[:80]!a} is not the picture that job {row.id} says"
            raise RecipeError(f"{message}: refused, nothing was unpacked.")
    for record in row.inputs:
        if f"{FOLDER}/{record.file}" in archive.contents.files:
            data = _stored(archive, row.id, record.file)
            if record.sha256 and hashlib.sha256(data).hexdigest() != record.sha256:
                raise RecipeError(f"{record.file[:80]!a} is not the input that job {row.id} says: refused.")


def _stored(archive: Archive, job_id: str, relative: str) -> bytes:
    path = PurePosixPath(check_name(relative))
    if len(path.parts) < 2 or path.suffix.lower() not in _STORED or f"{FOLDER}/{path}" not in archive.contents.files:
        raise RecipeError(f"Job {job_id} names {relative[:80]!a}, which is not in the bundle as it says.")
    return archive.read(f"{FOLDER}/{path}")


def change_of(data: bytes, picture: PictureRow) -> str:
    """Return what of a picture's file is not as it was recorded: ``picture``, ``metadata`` or nothing."""
    return changed_in(
        data, sha256=picture.sha256, file_sha256=picture.file_sha256, metadata_sha256=picture.metadata_sha256
    )


class _Merge:
    """Adds one checked bundle to one project."""

    def __init__(self, archive: Archive, database: Database, storage: "Storage") -> None:
        self._archive, self._database, self._storage = archive, database, storage
        self._names: dict[str, str] = {}
        self.written: list[str] = []
        self.written_bytes = 0

    def add(self, lines: list[dict[str, Any]], rows: "list[JobRow]") -> "ImportReport":
        """Import the rows, with their files under names that are free here; put back what known jobs have lost."""
        known = self._database.jobs(row.id for row in rows)
        renamed = []
        for line, row in zip(lines, rows, strict=True):
            here = known.get(row.id)
            if here is None:
                renamed.append(self._with_files_placed(line))
                continue
            renamed.append(line)
            theirs = {picture.index: picture for picture in row.pictures}
            for picture in here.pictures:
                if picture.saved_at and picture.index in theirs:
                    self._put_back(picture, theirs[picture.index].file)
            inputs = {record.position: record for record in row.inputs}
            for record in here.inputs:
                if record.file and record.position in inputs:
                    self._put_back(record, inputs[record.position].file)
        return self._database.import_rows(renamed)

    def _with_files_placed(self, line: Mapping[str, Any]) -> dict[str, Any]:
        placed = dict(line)
        for kind, fields in (("inputs", ("file",)), ("pictures", ("file", "corrupt_file"))):
            placed[kind] = [
                {**record, **{name: self._place(record[name]) for name in fields if record.get(name)}}
                for record in line.get(kind, [])
            ]
        return placed

    def _place(self, relative: str) -> str:
        """Put a file of the bundle, with its sidecar, under its name or beside another file of that name."""
        name = f"{FOLDER}/{relative}"
        if relative in self._names or name not in self._archive.contents.files:
            return self._names.get(relative, relative)
        path, sha256 = PurePosixPath(relative), self._archive.contents.files[name][1]
        variants = [relative, *(str(path.with_name(f"{path.stem}_{n}{path.suffix}")) for n in range(2, 1000))]
        for variant in variants:
            if self._storage.holds(variant, sha256):
                self._names[relative] = variant
                return variant
            if not self._storage.exists(variant):
                self._names[relative] = self._write(variant, self._archive.checked(name))
                if f"{name}.json" in self._archive.contents.files:
                    self._write(f"{self._names[relative]}.json", self._archive.checked(f"{name}.json"))
                return self._names[relative]
        raise StoreError(f"There are too many files named like {relative}.", hint="Move some of them elsewhere.")

    def _write(self, relative: str, data: bytes) -> str:
        saved = self._storage.add(relative, data)
        self.written.append(saved.file)
        self.written_bytes += saved.size_bytes
        return saved.file

    def _put_back(self, record: "PictureRow | InputRow", relative: str) -> None:
        """Write a file of a job that is here already and has lost it."""
        if self._storage.exists(record.file) or f"{FOLDER}/{relative}" not in self._archive.contents.files:
            return
        data = self._archive.checked(f"{FOLDER}/{relative}")
        if isinstance(record, PictureRow):
            is_changed = bool(change_of(data, record))
        else:
            is_changed = hashlib.sha256(data).hexdigest() != record.sha256
        if not is_changed:
            self._write(record.file, data)

    def place_beside(self, root: Path) -> tuple[list[str], list[str]]:
        """Put the notebook and the pictures that its cells read into the project, where nothing has their name."""
        placed, notes = [], []
        contents = self._archive.contents
        for name in (contents.notebook, *contents.named):
            target, data = root.joinpath(name), self._archive.checked(name)
            if not target.resolve().is_relative_to(root.resolve()):
                notes.append(f"{name} leads out of {root} here, through a link: it was not unpacked")
            elif not target.exists():
                try:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("xb") as file:
                        file.write(data)
                except OSError as error:
                    message = f"cannot write {target} ({error.strerror or error})."
                    raise StoreError(message, hint="Make room, then open the bundle again.") from error
                placed.append(name)
            elif not target.is_file() or target.read_bytes() != data:
                notes.append(f"{name} is here already and differs: it was left alone")
        return placed, notes


__all__ = ["Archive", "change_of", "open_bundle", "opened"]
