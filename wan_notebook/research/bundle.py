"""Packing a notebook with its pictures, inputs and records as an RO-Crate."""

import datetime as dt
import hashlib
import json
import mimetypes
import platform
import re
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from importlib.metadata import distributions, packages_distributions
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from .._version import __version__
from ..batch import TABLE_FILES
from ..database import Database, InputRow, JobRow, PictureRow
from ..errors import CellError, StoreError
from ..files import explained, read_file
from ..images import SUFFIXES, mime_of
from ..project import REPLAY_META
from ..resolver import FETCHED
from ..session import Session
from ..storage import Storage
from ..text import file_size, pluralize
from .methods import render
from .notebook_file import NotebookFile, history_of, ids_of, read_notebook, select_jobs
from .redact import Redactor, imports_of, json_bytes, pictures_in_code
from .unbundle import CRATE, FOLDER, LEDGER_LINES, VERSION, change_of, check_names

_RO_CRATE: Final = "https://w3id.org/ro/crate/1.1"
_TABLE: Final = re.compile(rf"[^\s\"'=(,]+({'|'.join(map(re.escape, TABLE_FILES))})\b", re.IGNORECASE)
_URL: Final = re.compile(r"https?://[^\s\"'<>\\]{1,2000}")


def write_bundle(
    session: Session,
    notebook: Path,
    target: Path,
    *,
    shown: Sequence[str] = (),
    tags: Sequence[str] = (),
    all_versions: bool = False,
    texts: Sequence[str] = (),
) -> list[str]:
    """Write everything that belongs into a bundle of a notebook; only an older bundle is replaced.

    The same content gives the same bytes, since times are fixed and names sorted.

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

    Returns
    -------
    list of str
        What it holds, each file with its size, and what a person should know before it is published.

    Raises
    ------
    CellError, StoreError, RecipeError
        For what would make the bundle incomplete or give something away; then nothing was written.
    """
    with explained(target):
        is_free = not target.exists()
    if not is_free and not (target.is_file() and zipfile.is_zipfile(target) and zipfile.Path(target, CRATE).exists()):
        raise StoreError(f"{target} exists and is not a bundle: it was left alone.", hint="Choose another name.")
    project, notebook = session.project(), notebook.resolve()
    database, storage, pictures = project.database, project.storage, project.storage.folder.resolve()
    root = pictures.parent if notebook.is_relative_to(pictures.parent) else notebook.parent
    document, name = read_notebook(notebook), notebook.relative_to(root).as_posix()
    if not any(text.strip() for text in document.code):
        raise CellError(f"{notebook.name} holds no cell on disk.", hint="Save the notebook (Ctrl+S) and repeat.")
    keys = session.loader.known_keys()
    redactor = Redactor(root=root, pictures=pictures, keys=keys)
    saved = ids_of(document.named(), database)
    rows, lost = select_jobs(database, [*saved, *shown], tags=tags, all_versions=all_versions, notebook=str(notebook))
    named = pictures_in_code(document.code, rows, folder=notebook.parent, root=root, pictures=pictures)
    kept = _kept_addresses(database, storage, [*document.code, *texts])
    lines = [  # an input's name may be an expression with a path of this machine in it
        {**line, "inputs": [{**given, "name": redactor.text(given["name"])} for given in line["inputs"]]}
        for line in database.export_rows([row.id for row in rows])
    ]
    count = pluralize(sum(row.picture_count for row in rows), "picture")
    made = {
        name: redactor.notebook(document, notebook.read_bytes()),
        "README.md": render("readme.md", notebook=name, pictures=count).encode(),
        "requirements.txt": _requirements(imports_of(document.code)),
        LEDGER_LINES: b"".join(json_bytes(line, sort_keys=True, separators=(",", ":")) + b"\n" for line in lines),
        f"{FOLDER}/ledger.db": _ledger(lines, kept, max(row.created_at for row in rows)),
    }
    if leaks := [path for path, data in made.items() if keys.is_in(data.decode(errors="replace"))]:
        raise CellError(f"{leaks[0]} holds your key.", hint="Take it out, and trash the job whose prompt holds it.")
    records: dict[str, PictureRow | InputRow | None] = {
        **dict.fromkeys(kept.values()),
        **{given.file: given for row in rows for given in row.inputs if storage.exists(given.file)},
        **{picture.file: picture for row in rows for picture in row.pictures if picture.saved_at},
    }
    records |= dict.fromkeys(f"{file}.json" for file in [*records] if storage.exists(f"{file}.json"))
    packed = {path.relative_to(root).as_posix(): path for path in named}
    stored = {f"{FOLDER}/{file}": record for file, record in records.items()}
    files: dict[str, bytes | Path] = {f"{FOLDER}/{file}": storage.path(file) for file in records}
    files = dict(sorted({**files, **packed, **made}.items()))
    check_names([*files, CRATE])
    facts = {path: _facts(path, content, stored.get(path)) for path, content in files.items()}
    ours = {"version": VERSION, "made_by": f"wan-notebook {__version__}", "named": list(packed), "kept": kept}
    unsaved, unpacked = _left_out(database, document, rows, str(notebook))
    unpacked = [] if tags else unpacked
    tables = {match[0] for text in document.code for match in _TABLE.finditer(text)}
    remarks = {
        "not shown by the saved notebook (save it and repeat), jobs": sorted(set(shown) - set(saved)) if saved else [],
        "made by cells that the notebook on disk does not have (save it and repeat), jobs": unsaved,
        "not packed, since no output of their cells shows them (run these cells and repeat), jobs": unpacked,
        "without a picture here, so that their cells cannot be replayed, jobs": lost,
        "kept copies of inputs are gone": [r.name for row in rows for r in row.inputs if r.file not in records],
        "tables that cells read are not packed": sorted(name for name in tables if (notebook.parent / name).is_file()),
        "links in cells lead to files that are not packed": document.dead_links(PurePosixPath(name).parent, files),
    }
    _write(target, {**files, CRATE: _crate(name, rows, facts, json.dumps(ours, sort_keys=True))})
    return [
        f"wrote {target}: {count}, {file_size(target.stat().st_size)}",
        *(f"{path} · {file_size(int(fact['contentSize']))}" for path, fact in facts.items()),
        *(f"note: {what}: {', '.join(found)}" for what, found in remarks.items() if found),
    ]


def _left_out(
    database: Database, document: NotebookFile, packed: Sequence[JobRow], notebook: str
) -> tuple[list[str], list[str]]:
    """Return the packed jobs of cells that are not on disk, and the jobs of cells on disk that are not packed.

    A loop that shows nothing names no job in the saved outputs, and another kernel than its own does not know them.
    """
    named = {
        str(cell["id"]): any(item.job_id for item in document._replace(content={"cells": [cell]}).named())
        for cell in document.code_cells
        if "id" in cell  # since format 4.5
    }
    own = [row for row in packed if named and row.cell_id and row.notebook == notebook]
    hashes = {row.request_hash for row in packed}
    silent = [row for row in history_of(database, notebook=notebook) if named.get(row.cell_id) is False]
    left = [row.id for row in reversed(silent) if row.is_result and row.request_hash not in hashes]
    return [row.id for row in own if row.cell_id not in named], left


def _write(target: Path, files: Mapping[str, bytes | Path]) -> None:
    with explained(target), tempfile.TemporaryDirectory(dir=target.parent, prefix=".wan-bundle-") as folder:
        made = Path(folder, target.name)
        with zipfile.ZipFile(made, "w") as archive:
            for path, content in files.items():
                info = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
                info.create_system, info.external_attr = 3, 0o100644 << 16
                data = content if isinstance(content, bytes) else read_file(content)
                is_compressed = PurePosixPath(path).suffix in SUFFIXES.values()
                archive.writestr(info, data, zipfile.ZIP_STORED if is_compressed else zipfile.ZIP_DEFLATED, 6)
        made.replace(target)


def _kept_addresses(database: Database, storage: Storage, texts: Iterable[str]) -> dict[str, str]:
    """Return the kept copies of addresses that the cells name, by the address's hash, as the resolver keeps them."""
    addresses = {match[0].rstrip(",;)]}") for text in texts for match in _URL.finditer(text)}
    keys = ["url:" + hashlib.sha256(address.encode(errors="surrogatepass")).hexdigest() for address in addresses]
    kept = {key: database.meta_get(key) or "" for key in keys}
    kept = {key: file for key, file in kept.items() if file.startswith(FETCHED) and storage.exists(file)}
    return {key: file for key, file in kept.items() if mime_of(storage.read(file))}  # a hard link may be any file


def _ledger(lines: Sequence[Mapping[str, Any]], kept: Mapping[str, str], at: float) -> bytes:
    """Return a ledger of these rows that only replays, the same bytes for the same rows; ``at`` is its time."""
    with tempfile.TemporaryDirectory(prefix="wan-bundle-") as folder:
        made = Path(folder, "ledger.db")
        with closing(Database.open(made, wall_clock=lambda: at)) as database:
            database.import_rows(lines)
            for key, value in sorted({REPLAY_META: "only", **kept}.items()):
                database.meta_set(key, value)
        return made.read_bytes()


def _requirements(imported: Iterable[str]) -> bytes:
    """Return the installed versions of this package and of what the cells import."""
    known = packages_distributions()
    names = {"wan-notebook", "jupyterlab", *(name for module in imported for name in known.get(module, ()))}
    pins = sorted({f"{found.name}=={found.version}" for found in distributions() if found.name in names}, key=str.lower)
    return "\n".join([f"# made with Python {platform.python_version()}", *pins, ""]).encode()


def _facts(path: str, content: bytes | Path, record: PictureRow | InputRow | None) -> dict[str, Any]:
    """Return what the RO-Crate says of a file. Raise ``StoreError`` if it is not as it was recorded."""
    hint = "`%wan verify` says what it should be and how to get it back."
    with explained(path, "read", hint):
        data = content if isinstance(content, bytes) else read_file(content)
    if record is not None and change_of(data, record):
        raise StoreError(f"{path} has changed since it was recorded: the bundle was not written.", hint=hint)
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return {
        "@id": path,
        "@type": ["File", "ImageObject"] if kind.startswith("image/") else "File",
        "name": PurePosixPath(path).name,
        "encodingFormat": kind,
        "contentSize": str(len(data)),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _crate(notebook: str, rows: Sequence[JobRow], files: Mapping[str, dict[str, Any]], ours: str) -> bytes:
    """Return ``ro-crate-metadata.json``: what each file is, and which act of which model made which picture."""

    def refs(ids: Iterable[str]) -> list[dict[str, str]]:
        return [{"@id": id_} for id_ in sorted(ids)]

    def time(at: float) -> str:
        return dt.datetime.fromtimestamp(at, tz=dt.UTC).isoformat(timespec="seconds")

    about = {"@id": CRATE, "@type": "CreativeWork", "about": {"@id": "./"}, "conformsTo": {"@id": _RO_CRATE}}
    used = {row.id: quote(f"{row.model}-{row.provider}") for row in rows}
    tools = [{"@id": f"#{name}", "@type": "SoftwareApplication", "name": name} for name in sorted({*used.values()})]
    actions: list[dict[str, Any]] = [
        {
            "@id": f"#job-{row.id}",
            "@type": "CreateAction",
            "name": f"{row.mode}, seed {row.seed}",
            "description": row.prompt,
            "startTime": time(row.created_at),
            "endTime": time(row.finished_at or row.created_at),
            "identifier": row.task_id or row.id,
            "instrument": {"@id": f"#{used[row.id]}"},
            "object": refs({f"{FOLDER}/{given.file}" for given in row.inputs} & files.keys()),
            "result": refs({f"{FOLDER}/{picture.file}" for picture in row.pictures} & files.keys()),
        }
        for row in rows
    ]
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": PurePosixPath(notebook).stem,
        "description": f"{notebook} with the pictures that it shows, their inputs and the record of how each was made.",
        "datePublished": time(max(row.created_at for row in rows))[:10],
        "mainEntity": {"@id": notebook},
        "hasPart": refs(files),
        "mentions": refs(action["@id"] for action in actions),
        "wanBundle": ours,
    }
    context = [f"{_RO_CRATE}/context", {term: f"https://schema.org/{term}" for term in ("sha256", "wanBundle")}]
    graph = [about, root, *files.values(), *tools, *actions]
    return json_bytes({"@context": context, "@graph": graph}, indent=1) + b"\n"
