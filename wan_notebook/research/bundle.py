"""Packing a notebook with its pictures, inputs and records as an RO-Crate; all is listed before it is written.

Writing needs the ``rocrate`` library (extra ``bundle``); reading does not.
"""

import datetime as dt
import hashlib
import json
import platform
import re
import sqlite3
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path, PurePosixPath
from typing import Any, Final

from .._version import __version__
from ..database import Database, InputRow, JobRow, PictureRow
from ..errors import CellError, RecipeError, SettingsError, StoreError
from ..files import writing
from ..images import SUFFIXES, open_header
from ..project import REPLAY_META
from ..session import Session
from ..storage import Storage
from ..text import file_size, pluralize
from .methods import pictures_of, render
from .notebook_file import read_notebook, select_jobs
from .redact import NamedFiles, Redactor, addresses_in, files_in_code, imports_of, json_bytes, local_paths
from .unbundle import CRATE, FOLDER, LEDGER_LINES, VERSION, change_of, check_names, opened

_REQUIREMENTS: Final = "requirements.txt"
_FIXED_TIME: Final = (1980, 1, 1, 0, 0, 0)
_GPS_TAG: Final = 0x8825
_PICTURE_KINDS: Final = {suffix: mime for mime, suffix in SUFFIXES.items()} | {".jpeg": "image/jpeg"}
_KINDS: Final = {
    **_PICTURE_KINDS,
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".db": "application/vnd.sqlite3",
    ".txt": "text/plain",
    ".md": "text/markdown",
}


@dataclass(frozen=True, kw_only=True)
class BundlePlan:
    """All that a bundle will hold, and what a person should know before it is published.

    ``files`` are bytes made for it, or files of the project, by their path in the bundle; ``records`` are what the
    ledger knows of them. ``kept`` maps hashes of addresses to kept copies inside the folder of pictures.
    """

    target: Path
    notebook: str
    files: Mapping[str, bytes | Path]
    records: Mapping[str, PictureRow | InputRow]
    rows: tuple[JobRow, ...]
    named: tuple[str, ...]
    kept: Mapping[str, str]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Name every file with its size, and what should be known."""
        sizes = {
            path: len(content) if isinstance(content, bytes) else content.stat().st_size
            for path, content in self.files.items()
        }
        return [
            f"{self.target.name} will hold {pluralize(pictures_of(self.rows), 'picture')}:",
            *(f"{path} · {file_size(size)}" for path, size in sizes.items()),
            f"{len(self.files)} files · {file_size(sum(sizes.values()))} in all",
            *(f"note: {note}" for note in self.notes),
        ]


def plan_bundle(
    session: Session,
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
    _rocrate()
    _refuse_to_replace(target)
    project, notebook = session.project(), notebook.resolve()
    database, storage, pictures = project.database, project.storage, project.storage.folder.resolve()
    root = pictures.parent if notebook.is_relative_to(pictures.parent) else notebook.parent
    document = read_notebook(notebook)
    if not any(text.strip() for text in document.code):
        message = f"{notebook.name} holds no cell on disk: the bundle would be empty. Nothing was written."
        raise CellError(message, hint="Save the notebook (Ctrl+S) and run this again.")
    redactor = Redactor(root=root, pictures=pictures, keys=_keys(session))
    saved = [item.job_id for item in document.named() if item.job_id]
    rows, notes = select_jobs(database, [*saved, *shown], tags=tags, all_versions=all_versions, notebook=str(notebook))
    named = files_in_code(document.code, rows, folder=notebook.parent, root=root, pictures=pictures)
    kept = _kept_addresses(database, storage, [*document.code, *texts])
    lines = database.export_rows([row.id for row in rows])
    for line in lines:  # an input's name may be an expression with a path of this machine in it
        line["inputs"] = [{**record, "name": redactor.text(record["name"])} for record in line["inputs"]]
    name = notebook.relative_to(root).as_posix()
    redacted = redactor.notebook(document, notebook.read_bytes())
    made = {
        name: redacted,
        "README.md": _readme(name, rows),
        _REQUIREMENTS: _requirements(imports_of(document.code)),
        LEDGER_LINES: b"".join(json_bytes(line, sort_keys=True, separators=(",", ":")) + b"\n" for line in lines),
        f"{FOLDER}/ledger.db": _ledger(lines, kept, max(row.created_at for row in rows)),
    }
    for path, data in made.items():
        if redactor.holds_key(data.decode(errors="replace")):
            hint = "Take it out (`%wan login` keeps keys elsewhere) and trash the job whose prompt holds it."
            raise CellError(f"{path} holds your key: nothing was written.", hint=hint)
    records: dict[str, PictureRow | InputRow] = {}
    for row in rows:
        records |= {given.file: given for given in row.inputs if storage.exists(given.file)}
        records |= {picture.file: picture for picture in row.pictures if picture.saved_at}
    beside = [f"{file}.json" for file in records if storage.exists(f"{file}.json")]
    stored = {f"{FOLDER}/{file}": storage.path(file) for file in (*records, *beside, *kept.values())}
    if missing := [str(path) for path in stored.values() if not path.is_file()]:
        message = f"{missing[0]} is missing: the bundle would not be complete."
        raise StoreError(message, hint="`%wan verify` says how to get it back.")
    packed = {path.relative_to(root).as_posix(): path for path in named.pictures}
    files: dict[str, bytes | Path] = {**stored, **packed, **made}
    try:
        check_names([*files, CRATE])
    except RecipeError as error:
        raise CellError(error.message, hint="Rename that file, so that the bundle opens on every system.") from error
    if saved and set(shown) - set(saved):
        notes = ("the saved notebook does not show every job of this kernel: save it (Ctrl+S) and repeat", *notes)
    dead = document.dead_links(PurePosixPath(name).parent, files.keys())
    return BundlePlan(
        target=target,
        notebook=name,
        files=dict(sorted(files.items())),
        records={f"{FOLDER}/{file}": record for file, record in records.items()},
        rows=rows,
        named=tuple(packed),
        kept=kept,
        notes=(*notes, *_notes(redacted, named, rows, storage, dead)),
    )


def write_bundle(plan: BundlePlan) -> str:
    """Write a bundle and say so; the same plan gives the same bytes, since times are fixed and names sorted.

    Raises ``StoreError``; then nothing changed. Only an older bundle is replaced.
    """
    with writing(plan.target), tempfile.TemporaryDirectory(dir=plan.target.parent, prefix=".wan-bundle-") as folder:
        made = Path(folder, plan.target.name)
        with zipfile.ZipFile(made, "w") as archive:
            facts = {}
            for path, content in plan.files.items():
                data = content if isinstance(content, bytes) else content.read_bytes()
                record = plan.records.get(path)
                if record is not None and change_of(data, record):
                    message = f"{path} has changed since it was recorded: the bundle was not written."
                    raise StoreError(message, hint="`%wan verify` says what it should be and how to get it back.")
                facts[path] = {"contentSize": str(len(data)), "sha256": hashlib.sha256(data).hexdigest()}
                _write(archive, path, data)
            _write(archive, CRATE, _crate(plan, facts))
        made.replace(plan.target)
    return f"wrote {plan.target}: {file_size(plan.target.stat().st_size)}"


def _refuse_to_replace(target: Path) -> None:
    """Raise ``StoreError`` where a file is that is not a bundle."""
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
    is_compressed = PurePosixPath(name).suffix in _PICTURE_KINDS
    info.compress_type = zipfile.ZIP_STORED if is_compressed else zipfile.ZIP_DEFLATED
    archive.writestr(info, data, compresslevel=6)


def _keys(session: Session) -> Iterator[str]:
    """Yield every key that could leak, to look for it; it is not shown anywhere."""
    for provider in ("gateway", "dashscope"):
        with suppress(SettingsError):
            settings = session.settings(provider)
            if settings.key is not None:
                yield from (settings.key.get_secret_value(), settings.key_fingerprint)


def _kept_addresses(database: Database, storage: Storage, texts: Iterable[str]) -> dict[str, str]:
    """Return the kept copies of addresses that the cells name, by the address's hash, as the resolver keeps them."""
    keys = ("url:" + hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest() for text in addresses_in(texts))
    found = {key: database.meta_get(key) for key in keys}
    return {key: file for key, file in found.items() if file and storage.exists(file)}


def _notes(
    redacted: bytes, named: NamedFiles, rows: Sequence[JobRow], storage: Storage, dead: Sequence[str]
) -> Iterator[str]:
    gone = {record.name: None for row in rows for record in row.inputs if not storage.exists(record.file)}
    for what, found in (
        ("kept copies of inputs are gone and not packed", gone),
        ("pictures that cells need say where they were taken (GPS)", map(str, filter(_has_place, named.pictures))),
        ("only pictures inside the project are packed; cells also name", named.left_out),
        ("links in cells lead to files that are not packed", dead),
        ("the notebook still names folders of this machine", local_paths(redacted)),
    ):
        if listed := ", ".join(list(found)[:8]):
            yield f"{what}: {listed}"


def _has_place(path: Path) -> bool:
    with suppress(Exception):  # a picture that Pillow cannot read says nothing
        return bool(open_header(path.read_bytes()).getexif().get_ifd(_GPS_TAG))
    return False


def _ledger(lines: Sequence[Mapping[str, Any]], kept: Mapping[str, str], at: float) -> bytes:
    """Return a ledger of these rows that only replays, the same bytes for the same rows; ``at`` is its time."""
    with tempfile.TemporaryDirectory(prefix="wan-bundle-") as folder:
        made, packed = Path(folder, "ledger.db"), Path(folder, "packed.db")
        with closing(Database.open(made, wall_clock=lambda: at)) as database:
            database.import_rows(lines)
            for key, value in sorted({REPLAY_META: "only", **kept}.items()):
                database.meta_set(key, value)
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("VACUUM INTO ?", (str(packed),))  # one tight file without traces of how it came about
        return packed.read_bytes()


def _requirements(imported: Iterable[str]) -> bytes:
    """Return the installed versions of what this package needs and of what the cells import."""
    foreign = [module for module in imported if module not in sys.stdlib_module_names]
    distributions = packages_distributions() if foreign else {}
    ours = [re.split(r"[^\w.-]", needed)[0] for needed in requires("wan-notebook") or () if "extra ==" not in needed]
    names = {
        "wan-notebook",
        "jupyterlab",
        *ours,
        *(name for module in foreign for name in distributions.get(module, ())),
    }
    lines = [f"# made with Python {platform.python_version()}"]
    for name in sorted(names, key=str.lower):
        with suppress(PackageNotFoundError):
            lines.append(f"{name}=={version(name)}")
    return ("\n".join(lines) + "\n").encode()


def _readme(notebook: str, rows: Sequence[JobRow]) -> bytes:
    """Return what a person who unzips the bundle reads first."""
    return render(
        "readme.md",
        title=PurePosixPath(notebook).stem,
        notebook=notebook,
        pictures=pluralize(pictures_of(rows), "picture"),
        practice=pictures_of([row for row in rows if row.is_simulated]),
        requirements=_REQUIREMENTS,
        lines=LEDGER_LINES,
        crate=CRATE,
    ).encode()


# The RO-Crate: what each file is, its size and hash, and which act of which model made which picture ------------------


def _rocrate() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the classes of the library that writes RO-Crates. Raise ``CellError`` that says how to install it."""
    try:
        from rocrate.model.contextentity import ContextEntity
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        message = "bundles are RO-Crates, and the library for them (rocrate) is not installed."
        raise CellError(message, hint='Run `pip install "wan-notebook[bundle]"`.') from error
    return ROCrate, ContextEntity


def _crate(plan: BundlePlan, facts: Mapping[str, Mapping[str, str]]) -> bytes:
    """Return ``ro-crate-metadata.json``, the same bytes for the same content; nothing is fetched or checked online."""
    make, entity = _rocrate()
    crate = make(version="1.1")
    crate.metadata.extra_terms |= {term: f"https://schema.org/{term}" for term in ("sha256", "wanBundle")}
    root = crate.root_dataset
    root["name"] = PurePosixPath(plan.notebook).stem
    root["description"] = (
        f"The notebook {plan.notebook} with the pictures that it shows, their inputs and the record of how each "
        "was made. Unzip it and run all cells: the pictures come from the record, and nothing is sent or paid."
    )
    root["datePublished"] = _time(max(row.created_at for row in plan.rows))[:10]
    ours = {"version": VERSION, "made_by": f"wan-notebook {__version__}", "named": plan.named, "kept": plan.kept}
    root["wanBundle"] = json.dumps(ours, sort_keys=True)
    files = {}
    for path, known in facts.items():
        kind = _KINDS.get(PurePosixPath(path).suffix.lower(), "application/octet-stream")
        properties: dict[str, Any] = {"name": PurePosixPath(path).name, "encodingFormat": kind, **known}
        if path == plan.notebook:
            properties |= {"@type": ["File", "SoftwareSourceCode"], "programmingLanguage": "Python"}
        elif kind.startswith("image/"):
            properties["@type"] = ["File", "ImageObject"]
        files[path] = crate.add_file(dest_path=path, properties=properties)
    root["mainEntity"] = files[plan.notebook]
    tools: dict[tuple[str, str], Any] = {}
    for model, provider in sorted({(row.model, row.provider) for row in plan.rows}):
        tool = {"@type": "SoftwareApplication", "name": model, "description": f"image generation by {provider}"}
        tools[model, provider] = crate.add(entity(crate, f"#model-{len(tools)}", tool))
    actions = []
    for row in plan.rows:
        made = {
            "@type": "CreateAction",
            "name": f"{row.mode}, seed {row.seed}",
            "description": row.prompt,
            "startTime": _time(row.created_at),
            "endTime": _time(row.finished_at or row.created_at),
            "identifier": row.task_id or row.id,
        }
        action = crate.add(entity(crate, f"#job-{row.id}", made))
        action["instrument"] = tools[row.model, row.provider]
        for role, records in (("object", row.inputs), ("result", row.pictures)):
            if paths := {f"{FOLDER}/{one.file}" for one in records} & files.keys():
                action[role] = [files[path] for path in sorted(paths)]
        actions.append(action)
    root["mentions"] = actions
    return json_bytes(crate.metadata.generate(), indent=1, sort_keys=True) + b"\n"


def _time(at: float) -> str:
    return dt.datetime.fromtimestamp(at, tz=dt.UTC).isoformat(timespec="seconds")
