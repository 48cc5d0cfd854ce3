"""The bundle as an RO-Crate: what each file is, and which act of which model made which picture from what."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from ..errors import CellError
from ..folders import FOLDER_NAME
from ..ledger import JobRow
from .manifest import Item

NAME: Final = "ro-crate-metadata.json"
CRATE_VERSION: Final = "1.1"
"""The version that archives read today; newer ones add nothing that is needed here."""

_KINDS: Final = {
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".db": "application/vnd.sqlite3",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}


def rocrate() -> Any:
    """Return the library that writes RO-Crates. Raises ``CellError`` that says how to install it."""
    try:
        from rocrate.model.contextentity import ContextEntity
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        message = "bundles are RO-Crates, and the library for them (rocrate) is not installed."
        raise CellError(message, hint='Run `pip install "wan-notebook[bundle]"`.') from error
    return ROCrate, ContextEntity


def crate_json(items: Sequence[Item], rows: Sequence[JobRow], *, notebook: str, manifest: str) -> bytes:
    """Return ``ro-crate-metadata.json`` for these files and jobs, the same bytes for the same content.

    Works offline: the library is given no source to fetch or to check.
    """
    make, entity = rocrate()
    crate = make(version=CRATE_VERSION)
    crate.metadata.extra_terms["sha256"] = "https://schema.org/sha256"  # newer than the context of 1.1
    title = PurePosixPath(notebook).stem
    root = crate.root_dataset
    root["name"] = title
    root["description"] = (
        f"The notebook {notebook} with the pictures that it shows, their inputs and the record of how each was made. "
        "Unzip it and run all cells: the pictures come from the record; nothing is asked of a service and nothing paid."
    )
    root["datePublished"] = _day(max(row.created_at for row in rows))
    files = {item.path: crate.add_file(dest_path=item.path, properties=_file(item, notebook)) for item in items}
    crate.add_file(dest_path=manifest, properties=_described(manifest, "sizes and SHA-256 of every other file"))
    root["mainEntity"] = files[notebook]
    models = {(row.model, row.provider): None for row in rows}
    tools = {pair: crate.add(entity(crate, f"#model-{n}", _model(*pair))) for n, pair in enumerate(sorted(models))}
    for row in rows:
        action = crate.add(entity(crate, f"#job-{row.id}", _action(row)))
        action["instrument"] = tools[row.model, row.provider]
        inputs = dict.fromkeys(f"{FOLDER_NAME}/{record.file}" for record in row.inputs)
        results = [f"{FOLDER_NAME}/{picture.file}" for picture in row.pictures]
        for role, paths in (("object", inputs), ("result", results)):
            if known := [files[path] for path in paths if path in files]:
                action[role] = known
    root["mentions"] = [crate.dereference(f"#job-{row.id}") for row in rows]
    return _text(crate.metadata.generate())


def kind_of(path: str) -> str:
    """Return a file's media type by its name."""
    return _KINDS.get(PurePosixPath(path).suffix.lower(), "application/octet-stream")


def _file(item: Item, notebook: str) -> dict[str, Any]:
    made = _described(item.path, "")
    made |= {"contentSize": str(item.size_bytes), "sha256": item.sha256}
    if item.path == notebook:
        made |= {"@type": ["File", "SoftwareSourceCode"], "programmingLanguage": "Python"}
    elif made["encodingFormat"].startswith("image/"):
        made["@type"] = ["File", "ImageObject"]
    return made


def _described(path: str, description: str) -> dict[str, Any]:
    made = {"name": PurePosixPath(path).name, "encodingFormat": kind_of(path)}
    return {**made, "description": description} if description else made


def _model(model: str, provider: str) -> dict[str, Any]:
    served = "the built-in simulator, which is no model" if provider == "simulator" else f"served by {provider}"
    return {"@type": "SoftwareApplication", "name": model, "description": f"image generation, {served}"}


def _action(row: JobRow) -> dict[str, Any]:
    made = {
        "@type": "CreateAction",
        "name": f"{row.mode}, seed {row.seed}" if row.seed is not None else row.mode,
        "description": row.prompt,
        "startTime": _time(row.created_at),
        "identifier": row.task_id or row.id,
    }
    return {**made, "endTime": _time(row.finished_at)} if row.finished_at is not None else made


def _time(at: float) -> str:
    return dt.datetime.fromtimestamp(at, tz=dt.UTC).isoformat(timespec="seconds")


def _day(at: float) -> str:
    return _time(at)[:10]


def _text(graph: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(graph, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()
    except UnicodeEncodeError:  # half a character
        return (json.dumps(graph, indent=1, sort_keys=True) + "\n").encode()
