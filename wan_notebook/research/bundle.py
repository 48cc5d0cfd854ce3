"""Packing a notebook with its pictures, inputs and records: everything is known and listed before it is written."""

import hashlib
import json
import platform
import secrets
import sqlite3
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from .._version import __version__
from ..database import Database, PictureRow
from ..errors import CellError, RecipeError, SettingsError, StoreError
from ..images import open_header
from ..project import REPLAY_META
from ..text import file_size, pluralize
from .methods import render
from .notebook_file import read_notebook
from .redact import NamedFiles, Redactor, addresses_in, files_in_code, imports_of, json_bytes, local_paths
from .ro_crate import FOLDER, LEDGER_LINES, NAME, Contents, check_name, check_no_twins, require_rocrate, write_crate
from .selection import select_jobs
from .unbundle import change_of, opened

if TYPE_CHECKING:
    from ..database import JobRow
    from ..session import Session
    from ..storage import Storage

README: Final = "README.md"
REQUIREMENTS: Final = "requirements.txt"
LEDGER_NAME: Final = "ledger.db"
_FIXED_TIME: Final = (1980, 1, 1, 0, 0, 0)
_COMPRESSED: Final = frozenset({".ipynb", ".json", ".jsonl", ".db", ".txt", ".md"})
_FILES_LISTED: Final = 500
_GPS_TAG: Final = 0x8825
_PARTS: Final = (
    "anywidget",
    "httpx",
    "ipykernel",
    "ipython",
    "ipywidgets",
    "jinja2",
    "jupyterlab",
    "pillow",
    "pydantic",
    "pydantic-settings",
    "rocrate",
    "SQLAlchemy",
    "starlette",
    "wan-notebook",
)


@dataclass(frozen=True, kw_only=True)
class BundleFile:
    """One file to pack: bytes made for it, or a file of the project; ``record`` is what the ledger knows of it."""

    path: str
    size_bytes: int
    data: bytes | None = None
    source: Path | None = None
    record: PictureRow | str = ""

    def read(self) -> bytes:
        """Return the bytes. Raise ``StoreError`` if they are not what was recorded."""
        data = self.data if self.data is not None else self.source.read_bytes() if self.source else b""
        if isinstance(self.record, PictureRow):
            is_changed = bool(change_of(data, self.record))
        else:
            is_changed = self.record not in ("", hashlib.sha256(data).hexdigest())
        if is_changed or len(data) != self.size_bytes:
            message = f"{self.source or self.path} has changed since it was recorded: the bundle was not written."
            raise StoreError(message, hint="`%wan verify` says what it should be and how to get it back.")
        return data


@dataclass(frozen=True, kw_only=True)
class BundlePlan:
    """All that a bundle will hold, and what a person should know before it is published."""

    target: Path
    notebook: str
    files: tuple[BundleFile, ...]
    rows: "tuple[JobRow, ...]"
    named: tuple[str, ...]
    kept: Mapping[str, str]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Name every file with its size, and what should be known."""
        pictures = sum(row.picture_count for row in self.rows)
        jobs = pluralize(len(self.rows), "job")
        listed = [f"  {file_size(file.size_bytes):>9}  {file.path}" for file in self.files[:_FILES_LISTED]]
        if left := len(self.files) - len(listed):
            listed.append(f"  and {left} more files")
        total = sum(file.size_bytes for file in self.files)
        return [
            f"{self.target.name} will hold {pluralize(pictures, 'picture')} of {jobs}:",
            *listed,
            f"  {file_size(total):>9}  in {len(self.files)} files",
            *(f"note: {note}" for note in self.notes),
        ]


def plan_bundle(
    session: "Session",
    notebook: Path,
    target: Path,
    *,
    shown: Sequence[str] = (),
    tags: Sequence[str] = (),
    all_versions: bool = False,
    texts: Sequence[str] = (),
) -> BundlePlan:
    """Find everything that belongs into a bundle of a notebook; nothing is written.

    Parameters
    ----------
    session
        Whose ledger and pictures are packed.
    notebook, target
        The notebook's file, and the ``.zip`` to write.
    shown
        Ids of the jobs that this kernel shows; those that the saved outputs name come along.
    tags
        Pack only jobs with every one of these tags.
    all_versions
        Pack every result of each request.
    texts
        Further texts in which addresses of inputs may stand (the notebook's variables).

    Raises
    ------
    CellError, StoreError, RecipeError
        For what would make the bundle incomplete or give something away.
    """
    require_rocrate()
    check_target(target)
    project, notebook = session.need_project(), notebook.resolve()
    pictures_folder = project.storage.folder.resolve()
    root = pictures_folder.parent if notebook.is_relative_to(pictures_folder.parent) else notebook.parent
    document = read_notebook(notebook)
    if not any(text.strip() for text in document.code):
        message = f"{notebook.name} holds no cell on disk: the bundle would be empty. Nothing was written."
        raise CellError(message, hint="Save the notebook (Ctrl+S) and run this again.")
    keys = [*_keys(session)]
    guard = Redactor(root=root, pictures=pictures_folder, keys=keys)
    for number, text in enumerate(document.code, 1):
        if guard.holds_key(text):
            message = f"code cell {number} of the notebook holds your key: nothing was written."
            raise CellError(message, hint="Take it out (`%wan login` keeps keys elsewhere), save, then repeat.")
    saved = [item.job_id for item in document.named() if item.job_id]
    selection = select_jobs(
        project.database, [*saved, *shown], tags=tags, all_versions=all_versions, notebook=str(notebook)
    )
    rows = selection.rows
    redactor = Redactor(root=root, pictures=pictures_folder, keys=[*keys, *{row.key_fingerprint for row in rows}])
    named = files_in_code(document.code, rows, folder=notebook.parent, root=root, pictures=pictures_folder)
    kept = _kept_addresses(project.database, project.storage, [*document.code, *texts])
    lines = project.database.export_rows([row.id for row in rows])
    for line in lines:  # an input's name may be an expression with a path of this machine in it
        line["inputs"] = [{**record, "name": redactor.text(record["name"])} for record in line["inputs"]]
    name = notebook.relative_to(root).as_posix()
    redacted = redactor.notebook(document, notebook.read_bytes())
    made = {
        name: redacted,
        README: _readme(name, rows),
        REQUIREMENTS: _requirements(imports_of(document.code)),
        LEDGER_LINES: b"".join(json_bytes(line, sort_keys=True, separators=(",", ":")) + b"\n" for line in lines),
        f"{FOLDER}/{LEDGER_NAME}": _ledger(lines, kept, max(row.created_at for row in rows)),
    }
    for path, data in made.items():
        if redactor.holds_key(data.decode("utf-8", "replace")):
            message = f"{path} would hold your key (in a prompt?): nothing was written."
            raise CellError(message, hint="Put the job whose prompt holds it into the trash, and make a new one.")
    stored, missing = _stored_files(project.storage, rows, kept.values())
    packed = tuple(path.relative_to(root).as_posix() for path in named.pictures)
    files = [BundleFile(path=path, size_bytes=len(data), data=data) for path, data in made.items()]
    files += [_file_of(path.relative_to(root).as_posix(), path) for path in named.pictures]
    unsaved = len(set(shown) - set(saved))
    notes = [f"{pluralize(unsaved, 'job')} of this kernel not in the saved notebook: save it (Ctrl+S) and repeat"]
    return BundlePlan(
        target=target,
        notebook=name,
        files=_in_order([*files, *stored]),
        rows=rows,
        named=packed,
        kept=kept,
        notes=(*(notes if unsaved and saved else ()), *selection.notes, *missing, *_notes(document, redacted, named)),
    )


def write_bundle(plan: BundlePlan) -> str:
    """Write a bundle and say so; the same plan gives the same bytes, since times are fixed and names sorted.

    Raises ``StoreError``; then nothing changed. Only an older bundle is replaced.
    """
    check_target(plan.target)
    temporary = plan.target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w") as archive:
            facts = {}
            for file in plan.files:
                data = file.read()
                facts[file.path] = (len(data), hashlib.sha256(data).hexdigest())
                _write(archive, file.path, data)
            contents = Contents(notebook=plan.notebook, files=facts, named=plan.named, kept=plan.kept)
            _write(archive, NAME, write_crate(contents, plan.rows, made_by=f"wan-notebook {__version__}"))
        temporary.replace(plan.target)
    except OSError as error:
        message = f"cannot write {plan.target} ({error.strerror or error})."
        raise StoreError(message, hint="Choose another folder, or make room.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return f"wrote {plan.target}: {file_size(plan.target.stat().st_size)}"


def check_target(target: Path) -> None:
    """Raise ``StoreError`` where no bundle can be written: no such folder, or a file that is not a bundle."""
    if not target.parent.is_dir():
        message = f"cannot write {target}: there is no folder {target.parent}."
        raise StoreError(message, hint="Make it first, or choose another one.")
    if target.exists():
        try:
            with opened(target):
                return
        except RecipeError as error:
            message = f"{target} exists and is not a bundle: it was left alone."
            raise StoreError(message, hint="Choose another name.") from error


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _FIXED_TIME)
    info.create_system, info.external_attr = 3, 0o100644 << 16
    is_compressed = PurePosixPath(name).suffix in _COMPRESSED  # pictures are compressed already
    info.compress_type = zipfile.ZIP_DEFLATED if is_compressed else zipfile.ZIP_STORED
    archive.writestr(info, data, compresslevel=6)


def _keys(session: "Session") -> Iterator[str]:
    """Yield every key that could leak, to look for it; it is shown nowhere."""
    for provider in ("gateway", "dashscope"):
        with suppress(SettingsError):
            settings = session.settings(provider)
            if settings.key is not None:
                yield settings.key.get_secret_value()
                yield settings.key_fingerprint


def _file_of(path: str, source: Path, record: PictureRow | str = "") -> BundleFile:
    try:
        return BundleFile(path=path, size_bytes=source.stat().st_size, source=source, record=record)
    except OSError as error:
        message = f"{source} is missing: the bundle would not be complete."
        raise StoreError(message, hint="`%wan verify` says how to get it back.") from error


def _stored_files(
    storage: "Storage", rows: "Sequence[JobRow]", kept: Iterable[str]
) -> tuple[list[BundleFile], list[str]]:
    """Return the files of these jobs, and notes on what should be there but is not needed to show them."""
    wanted: dict[str, PictureRow | str] = {}
    notes = []
    for row in rows:
        for record in row.inputs:
            if storage.exists(record.file):
                wanted[record.file] = record.sha256
            else:
                notes.append(f"the kept copy of {record.name}, an input of job {row.id}, is gone: it is not packed")
        for picture in row.pictures:
            if picture.saved_at:
                wanted[picture.file] = picture
            beside = (f"{picture.file}.json" if picture.saved_at else "", picture.corrupt_file)
            wanted |= {file: "" for file in beside if file and storage.exists(file)}
    wanted |= dict.fromkeys(kept, "")
    return [_file_of(f"{FOLDER}/{file}", storage.path(file), record) for file, record in wanted.items()], notes


def _kept_addresses(database: Database, storage: "Storage", texts: Iterable[str]) -> dict[str, str]:
    """Return the kept copies of addresses that the cells name, by the address's hash, as the resolver keeps them."""
    found = {}
    for address in addresses_in(texts):
        key = "url:" + hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
        if (file := database.meta_get(key)) and storage.exists(file):
            found[key] = file
    return found


def _in_order(files: Iterable[BundleFile]) -> tuple[BundleFile, ...]:
    ordered = tuple(sorted(files, key=lambda file: file.path))
    try:
        for file in ordered:
            check_name(file.path)
        check_no_twins([*(file.path for file in ordered), NAME])
    except RecipeError as error:
        raise CellError(error.message, hint="Rename that file, so that the bundle opens on every system.") from error
    return ordered


def _notes(document: Any, redacted: bytes, named: NamedFiles) -> Iterator[str]:
    for path in named.pictures:
        with suppress(Exception):  # a picture that Pillow cannot read says nothing
            if open_header(path.read_bytes()).getexif().get_ifd(_GPS_TAG):
                yield f"{path.name} says where it was taken (GPS), and the cell needs this very file"
    if named.others:
        yield f"only pictures are packed; cells also name: {', '.join(named.others[:8])}; add them to the zip yourself"
    if named.outside:
        yield f"cells read pictures outside the project ({', '.join(named.outside[:4])}); elsewhere they will stop"
    if left := local_paths(type(document)(json.loads(redacted))):
        yield f"the notebook still names folders of this machine: {', '.join(left[:4])}"
    if any(text.lstrip().startswith("%") and "--fresh" in text.splitlines()[0] for text in document.code):
        yield "a cell says --fresh: it asks anew, so that it cannot be replayed; take the option out"


def _ledger(lines: Sequence[Mapping[str, Any]], kept: Mapping[str, str], at: float) -> bytes:
    """Return a ledger of these rows that only replays, the same bytes for the same rows; ``at`` is its time."""
    with tempfile.TemporaryDirectory(prefix="wan-bundle-") as folder:
        made, packed = Path(folder, LEDGER_NAME), Path(folder, "packed.db")
        database = Database.open(made, wall_clock=lambda: at)
        try:
            database.import_rows(lines)
            database.meta_set(REPLAY_META, "only")
            for key, file in sorted(kept.items()):
                database.meta_set(key, file)
        finally:
            database.close()
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("VACUUM INTO ?", (str(packed),))  # one tight file without traces of how it came about
        return packed.read_bytes()


def _requirements(imported: Iterable[str]) -> bytes:
    """Return the installed versions of this package's parts and of what the cells import."""
    foreign = [module for module in imported if module not in sys.stdlib_module_names]
    distributions = packages_distributions() if foreign else {}
    names = {*_PARTS, *(name for module in foreign for name in distributions.get(module, ()))}
    lines = [f"# made with Python {platform.python_version()}"]
    for name in sorted(names, key=str.lower):
        with suppress(PackageNotFoundError):
            lines.append(f"{name}=={version(name)}")
    return ("\n".join(lines) + "\n").encode()


def _readme(notebook: str, rows: "Sequence[JobRow]") -> bytes:
    """Return what a person who unzips the bundle reads first."""
    pictures = sum(row.picture_count for row in rows)
    simulated = sum(row.picture_count for row in rows if row.is_simulated)
    return render(
        "readme.md",
        title=PurePosixPath(notebook).stem,
        notebook=notebook,
        pictures=pluralize(pictures, "picture"),
        practice="All" if simulated == pictures else str(simulated) if simulated else "",
        requirements=REQUIREMENTS,
        lines=LEDGER_LINES,
        crate=NAME,
    ).encode()
