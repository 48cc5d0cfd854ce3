"""Opening a bundle into a project: everything is checked first, then added; nothing that is here is changed.

A bundle is a zip file with an RO-Crate. Bundles of the first edition keep sizes and hashes in a ``manifest.json``.
"""

import hashlib
import json
import re
import stat
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from ..database import Database, InputRow, JobRow, PictureRow
from ..errors import RecipeError, WanError
from ..files import explained, is_inside
from ..images import mime_of
from ..metadata import changed_in
from ..session import Session
from ..storage import Storage
from ..text import one_line, pluralize

CRATE: Final = "ro-crate-metadata.json"
LEDGER_LINES: Final = "ledger.jsonl"
FOLDER: Final = "wan-pictures"
VERSION: Final = 2
_MANIFEST: Final = "manifest.json"
_JSON_MAX_VALUES: Final = 2_000_000
# Device names of Windows, with any ending; the superscript digits are devices there too.
_DEVICE: Final = re.compile(r"(?i)(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?")
_PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".bin"})
_STORED: Final = _PICTURES | {".mp4", ".webm", ".corrupt"}
_Record = PictureRow | InputRow


def _refused(what: str) -> RecipeError:
    return RecipeError(f"{what}: refused, nothing was written.")


def check_names(names: Iterable[str]) -> None:
    """Refuse names that are not safe to join to a folder on every system, and those that are one for some system.

    Not safe are names that lead elsewhere (absolute, ``..``, drives, streams, devices), that some system reads
    differently (trailing dots and spaces, control and reordering characters), hidden parts, and great length. A file
    that is another one's folder is refused too. Raises ``RecipeError``.
    """
    files, folders = set[str](), set[str]()
    for name in names:
        parts = name.split("/")
        if (
            not is_inside(name)
            or len(name) > 400
            or len(parts) > 8
            or any(c in '*?"<>|' or unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in name)
            or any(part[0] in ". " or len(part.encode()) > 200 or _DEVICE.fullmatch(part) for part in parts)
        ):
            raise _refused(f"The name {name[:80]!a} leads out of a folder or is not valid on every system")
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        above = {key[:at] for at, char in enumerate(key) if char == "/"}
        if key in files or key in folders or above & files:
            raise _refused(f"The bundle names {name[:80]!a} twice")
        files.add(key)
        folders |= above


class Contents(BaseModel):
    """What a bundle holds: ``files`` maps paths to size and SHA-256, ``named`` are pictures that cells read."""

    notebook: str = Field(pattern=r"\.ipynb$")
    files: dict[str, tuple[int, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]]
    named: tuple[str, ...] = ()


class Archive:
    """A bundle's zip file whose directory has been checked: names, kinds, sizes, ratios.

    ``read`` gives a file's bytes, never more than declared. Raises ``RecipeError`` before anything is unpacked.
    """

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        files = [info for info in file.infolist() if not info.is_dir()]
        check_names(info.orig_filename for info in files)
        for info in files:
            is_bomb = info.file_size > max(256 * 1024, min(512 * 1024 * 1024, info.compress_size * 200))
            is_file = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
            if is_bomb or not is_file or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _refused(f"{info.filename[:80]!a} would unpack to {info.file_size} bytes, or is not a plain file")
        self.contents = self._read_contents()

    def read(self, name: str) -> bytes:
        """Return a file's bytes. Raise ``RecipeError`` if it is missing or damaged."""
        with _explained(f"{name[:80]!a} in the bundle"):
            return self._file.read(name)

    def checked(self, name: str) -> bytes:
        """Return a file's bytes after comparing them with their size and hash in the record."""
        data = self.read(name)
        if (len(data), hashlib.sha256(data).hexdigest()) != self.contents.files[name]:
            raise _refused(f"{name[:80]!a} is not what the bundle's record says (its hash differs)")
        return data

    def json(self, name: str) -> bytes:
        """Return a JSON file's bytes; what would become too many values to hold is refused before it is parsed."""
        data = self.read(name)
        if len(data) > 64 * 1024 * 1024 or sum(map(data.count, (b",", b"[", b"{"))) > _JSON_MAX_VALUES:
            raise _refused(f"{name} in the bundle holds more values than a record can have")
        return data

    def _read_contents(self) -> Contents:
        """Read what the bundle says that it holds, from the manifest of the first edition or from the crate."""
        is_first = _MANIFEST in self._file.namelist()
        with _explained("the bundle's record"):
            facts = json.loads(self.json(_MANIFEST if is_first else CRATE))
            if is_first:
                files = {file["path"]: (file["size_bytes"], file["sha256"]) for file in facts["files"]}
            else:
                graph = {item["@id"]: item for item in facts["@graph"]}
                files = {path: (i["contentSize"], i["sha256"]) for path, i in graph.items() if "sha256" in i}
                facts = {**json.loads(graph["./"]["wanBundle"]), "notebook": graph["./"]["mainEntity"]["@id"]}
            if facts["version"] > (1 if is_first else VERSION):
                raise RecipeError("This bundle is newer than this.", hint="Upgrade: pip install -U wan-notebook.")
            contents = Contents.model_validate({**facts, "files": files})
            if lost := {contents.notebook, LEDGER_LINES, *contents.named} - files.keys():
                raise ValueError(f"{min(lost)[:80]!a} is not in it")
        return contents


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except WanError:
        raise
    except Exception as error:  # hostile bytes make zipfile and json raise nearly anything
        reason = getattr(error, "strerror", None) or one_line(error, 120) or type(error).__name__
        raise RecipeError(
            f"{what} cannot be read ({reason}).", hint="Check the path, or get the bundle again."
        ) from error


# Opening -------------------------------------------------------------------------------------------------------------


def open_bundle(source: Path, session: Session) -> list[str]:
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
    project = session.project()
    database, storage = project.database, project.storage
    here, above = Path.cwd().resolve(), storage.folder.resolve().parent
    with _explained(str(source)):
        if not stat.S_ISREG(source.stat().st_mode):  # a pipe would wait for ever
            raise RecipeError(f"{source} is not a file.", hint="Check the path.")
        file = zipfile.ZipFile(source)
        archive = Archive(file)
    with file:
        rows = _checked_rows(archive)
        storage.check_writable(need_bytes=sum(size for size, _ in archive.contents.files.values()))
        known = database.jobs(row.id for row, _ in rows)
        for row, line in rows:
            names = _place_files(row, known.get(row.id), archive, storage)
            for record in (*line["inputs"], *line["pictures"]):  # what is not packed may name a file of this folder
                record["file"] = names.get(record["file"], "")
                record.pop("corrupt_file", None)
        report = database.import_rows(line for _, line in rows)
        done = list(_place_beside(above if here.is_relative_to(above) else here, archive))
    added = f"{pluralize(len(report.added), 'job')} added, {len(report.present)} already here"
    return [
        f"opened {source.name}: {added}, $0.00: what they cost was paid elsewhere",
        *(f"  {line}" for line in done),
        *(f"  note: job {job_id} is another one here: it was left alone" for job_id in report.conflicts),
    ]


def _checked_rows(archive: Archive) -> list[tuple[JobRow, dict[str, Any]]]:
    """Return the bundle's jobs as a ledger takes them and as they are written, after checking the whole bundle."""
    for name in archive.contents.files:
        mime, suffix = mime_of(archive.checked(name)) or "", PurePosixPath(name).suffix.lower()
        is_picture = mime.startswith("image/") and suffix in _PICTURES and not name.startswith(f"{FOLDER}/")
        if name in archive.contents.named and not is_picture:
            raise _refused(f"{name[:80]!a} in the bundle is not a picture that a cell reads")
    with _explained(f"{LEDGER_LINES} in the bundle"):
        lines = [dict(json.loads(line)) for line in archive.json(LEDGER_LINES).splitlines() if line.strip()]
    with (
        tempfile.TemporaryDirectory(prefix="wan-bundle-") as folder,
        closing(Database.open(Path(folder, "ledger.db"))) as database,
    ):
        by_id = database.jobs(database.import_rows(lines).added)
    if len(by_id) < len(lines):
        raise _refused("The bundle names a job twice")
    rows = [by_id[line["job"]["id"]] for line in lines]
    for row in rows:
        records: list[_Record] = [picture for picture in row.pictures if picture.saved_at]
        for record in [*records, *(record for record in row.inputs if _is_packed(record, archive))]:
            if not _is_packed(record, archive) or change_of(archive.read(f"{FOLDER}/{record.file}"), record):
                raise _refused(f"{record.file[:80]!a} is not the picture that job {row.id} says")
    return list(zip(rows, lines, strict=True))


def _is_packed(record: _Record, archive: Archive) -> bool:
    """Say whether a bundle has a picture or input: never the ledger, nor anything else of the folder's own."""
    path = PurePosixPath(record.file)
    return len(path.parts) > 1 and path.suffix.lower() in _STORED and f"{FOLDER}/{path}" in archive.contents.files


def change_of(data: bytes, record: _Record) -> str:
    """Return what of a file is not as it was recorded: ``picture``, ``metadata`` or nothing."""
    if isinstance(record, PictureRow):
        hashes = {"file_sha256": record.file_sha256, "metadata_sha256": record.metadata_sha256}
        return changed_in(data, sha256=record.sha256, **hashes)
    return "" if record.sha256 in ("", hashlib.sha256(data).hexdigest()) else "picture"


def _place_files(row: JobRow, ours: JobRow | None, archive: Archive, storage: Storage) -> dict[str, str]:
    """Write the files of a job, of one that is here (``ours``) those that it has lost; return their names here."""
    names: dict[str, str] = {}
    here = ours or row
    pairs: list[tuple[_Record, _Record]] = [*zip(row.inputs, here.inputs, strict=False)]
    for packed, record in [*pairs, *zip(row.pictures, here.pictures, strict=False)]:
        path = f"{FOLDER}/{packed.file}"
        if not _is_packed(packed, archive) or (ours and (not record.file or storage.exists(record.file))):
            continue
        if not change_of(data := archive.checked(path), record):
            names[packed.file] = storage.add(record.file, data)
            if f"{path}.json" in archive.contents.files:
                storage.add(f"{names[packed.file]}.json", archive.checked(f"{path}.json"))
    return names


def _place_beside(root: Path, archive: Archive) -> Iterator[str]:
    """Put the notebook and the pictures that its cells read into the project, where nothing has their name."""
    for name in (archive.contents.notebook, *archive.contents.named):
        target, data = root / name, archive.checked(name)
        if not target.resolve().is_relative_to(root.resolve()):
            yield f"note: {name} leads out of {root} here, through a link: it was not unpacked"
        elif not target.exists():
            with explained(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as file:
                    file.write(data)
            yield name
        elif not target.is_file() or target.read_bytes() != data:
            yield f"note: {name} is here already and differs: it was left alone"
