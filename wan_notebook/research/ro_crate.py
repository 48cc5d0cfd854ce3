"""The bundle as an RO-Crate: what each file is, its size and hash, and which act of which model made which picture.

Writing needs the ``rocrate`` library (extra ``bundle``); reading does not. Bundles of the first edition keep sizes and
hashes in a ``manifest.json`` beside it, which is read too.
"""

import datetime as dt
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ..errors import CellError, RecipeError
from .redact import json_bytes

if TYPE_CHECKING:
    from ..database import JobRow

NAME: Final = "ro-crate-metadata.json"
MANIFEST: Final = "manifest.json"
LEDGER_LINES: Final = "ledger.jsonl"
FOLDER: Final = "wan-pictures"
VERSION: Final = 2
_CRATE_VERSION: Final = "1.1"
_TERMS: Final = "https://schema.org/"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_ADDRESS_KEY: Final = re.compile(r"url:[0-9a-f]{64}")
# Device names of Windows, with any ending; the superscript digits are devices there too.
_DEVICE: Final = re.compile(r"(?i)(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9¹²³])")
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


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a bundle holds: ``files`` maps paths to (size in bytes, SHA-256), ``named`` are pictures that cells read.

    ``kept`` maps hashes of addresses to kept copies inside the folder of pictures.
    """

    notebook: str
    files: Mapping[str, tuple[int, str]]
    named: Sequence[str] = ()
    kept: Mapping[str, str] = field(default_factory=dict)


def require_rocrate() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the classes of the library that writes RO-Crates. Raise ``CellError`` that says how to install it."""
    try:
        from rocrate.model.contextentity import ContextEntity
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        message = "bundles are RO-Crates, and the library for them (rocrate) is not installed."
        raise CellError(message, hint='Run `pip install "wan-notebook[bundle]"`.') from error
    return ROCrate, ContextEntity


def write_crate(contents: Contents, rows: "Sequence[JobRow]", *, made_by: str) -> bytes:
    """Return ``ro-crate-metadata.json``, the same bytes for the same content; nothing is fetched or checked online."""
    make, entity = require_rocrate()
    crate = make(version=_CRATE_VERSION)
    for term in ("sha256", "wanBundle"):
        crate.metadata.extra_terms[term] = f"{_TERMS}{term}"
    title = PurePosixPath(contents.notebook).stem
    root = crate.root_dataset
    root["name"] = title
    root["description"] = (
        f"The notebook {contents.notebook} with the pictures that it shows, their inputs and the record of how each "
        "was made. Unzip it and run all cells: the pictures come from the record, and nothing is sent or paid."
    )
    root["datePublished"] = _time(max(row.created_at for row in rows))[:10]
    root["wanBundle"] = json.dumps(
        {"version": VERSION, "made_by": made_by, "named": list(contents.named), "kept": dict(contents.kept)},
        sort_keys=True,
    )
    files = {
        path: crate.add_file(dest_path=path, properties=_file_facts(path, size, sha256, contents.notebook))
        for path, (size, sha256) in contents.files.items()
    }
    root["mainEntity"] = files[contents.notebook]
    pairs = sorted({(row.model, row.provider) for row in rows})
    tools = {pair: crate.add(entity(crate, f"#model-{n}", _model_facts(*pair))) for n, pair in enumerate(pairs)}
    for row in rows:
        action = crate.add(entity(crate, f"#job-{row.id}", _job_facts(row)))
        action["instrument"] = tools[row.model, row.provider]
        for role, records in (("object", row.inputs), ("result", row.pictures)):
            known = [files[p] for p in dict.fromkeys(f"{FOLDER}/{one.file}" for one in records) if p in files]
            if known:
                action[role] = known
    root["mentions"] = [crate.dereference(f"#job-{row.id}") for row in rows]
    return json_bytes(crate.metadata.generate(), indent=1, sort_keys=True) + b"\n"


def _file_facts(path: str, size: int, sha256: str, notebook: str) -> dict[str, Any]:
    kind = _KINDS.get(PurePosixPath(path).suffix.lower(), "application/octet-stream")
    facts: dict[str, Any] = {"name": PurePosixPath(path).name, "encodingFormat": kind}
    facts |= {"contentSize": str(size), "sha256": sha256}
    if path == notebook:
        facts |= {"@type": ["File", "SoftwareSourceCode"], "programmingLanguage": "Python"}
    elif kind.startswith("image/"):
        facts["@type"] = ["File", "ImageObject"]
    return facts


def _model_facts(model: str, provider: str) -> dict[str, Any]:
    served = "the built-in simulator, which is not a model" if provider == "simulator" else f"served by {provider}"
    return {"@type": "SoftwareApplication", "name": model, "description": f"image generation, {served}"}


def _job_facts(row: "JobRow") -> dict[str, Any]:
    facts = {
        "@type": "CreateAction",
        "name": f"{row.mode}, seed {row.seed}" if row.seed is not None else row.mode,
        "description": row.prompt,
        "startTime": _time(row.created_at),
        "identifier": row.task_id or row.id,
    }
    return {**facts, "endTime": _time(row.finished_at)} if row.finished_at is not None else facts


def _time(at: float) -> str:
    return dt.datetime.fromtimestamp(at, tz=dt.UTC).isoformat(timespec="seconds")


# Reading -------------------------------------------------------------------------------------------------------------


def read_contents(read: Callable[[str], bytes], names: Iterable[str]) -> Contents:
    """Return what a bundle of any origin says that it holds.

    Parameters
    ----------
    read
        Returns the bytes of a file in the archive.
    names
        The archive's files: a manifest of the first edition is read in preference to the crate.

    Raises
    ------
    RecipeError
        For a newer version, or for anything that is not sound.
    """
    if MANIFEST in set(names):
        content = load_object(read(MANIFEST), MANIFEST)
        if content.get("schema") != "wan-notebook/bundle":
            raise RecipeError("This is not a bundle of wan_notebook: its manifest says something else.")
        entries = [(f.get("path"), f.get("size_bytes"), f.get("sha256")) for f in _objects(content.get("files"))]
        notebook, facts, newest = content.get("notebook"), content, 1
        kept = content.get("fetched", {})
    else:
        graph = _objects(load_object(read(NAME), NAME).get("@graph"))
        by_id = {str(item.get("@id")): item for item in graph}
        root = by_id.get("./", {})
        facts = load_object(str(root.get("wanBundle", "")).encode(), NAME)
        main = root.get("mainEntity")
        notebook = main.get("@id") if isinstance(main, dict) else None
        entries = [(i.get("@id"), _size(i.get("contentSize")), i.get("sha256")) for i in graph if "sha256" in i]
        newest, kept = VERSION, facts.get("kept", {})
    version = facts.get("version")
    if type(version) is not int or version < 1:
        raise _damaged("its version")
    if version > newest:
        message = f"This bundle has version {version}; this wan_notebook reads up to {VERSION}. Nothing was unpacked."
        raise RecipeError(message, hint="Upgrade: pip install --upgrade wan-notebook.")
    files: dict[str, tuple[int, str]] = {}
    for path, size, sha256 in entries:
        if not isinstance(path, str) or type(size) is not int or not 0 <= size < 2**53:
            raise _damaged("a file's entry")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise _damaged(f"the hash of {path[:80]!a}")
        files[check_name(path)] = (size, sha256)
    check_no_twins([path for path, _, _ in entries if isinstance(path, str)])
    named = facts.get("named", [])
    if not isinstance(named, list) or not all(isinstance(name, str) and name in files for name in named):
        raise _damaged("its named files")
    if not isinstance(kept, dict) or not all(
        _ADDRESS_KEY.fullmatch(str(key)) and f"{FOLDER}/{file}" in files for key, file in kept.items()
    ):
        raise _damaged("its kept addresses")
    if not isinstance(notebook, str) or notebook not in files or not notebook.endswith(".ipynb"):
        raise _damaged("its notebook")
    if LEDGER_LINES not in files:
        raise _damaged("its ledger")
    return Contents(notebook=notebook, files=files, named=named, kept=kept)


def _objects(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _damaged("its list of files")
    return value


def _size(value: object) -> int | None:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16 else None


def load_object(data: bytes, what: str) -> dict[str, Any]:
    """Parse one JSON object of any origin. Raise ``RecipeError`` for anything else."""

    def refuse(name: str) -> float:
        raise ValueError(name)

    try:
        value = json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"The bundle's {what} is damaged: it is not JSON.") from error
    if not isinstance(value, dict):
        raise RecipeError(f"The bundle's {what} is damaged: it is not an object.")
    return value


def _damaged(what: str) -> RecipeError:
    return RecipeError(f"The bundle is damaged: {what} cannot be read. Nothing was unpacked.")


def check_name(name: str) -> str:
    """Return a name that is safe to join to a folder on every system. Raise ``RecipeError`` for any other.

    Refused are names that lead elsewhere (absolute, ``..``, drives, streams, devices), that some system reads
    differently (trailing dots and spaces, control and reordering characters), hidden parts, and great length.
    """
    parts = name.split("/")
    is_bad = (
        not 0 < len(name.encode("utf-8", "surrogatepass")) <= 400
        or len(parts) > 8
        or any(char in '\\:*?"<>|' or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in name)
        or any(
            not part
            or part.startswith(".")
            or part != part.strip(" ").rstrip(".")
            or len(part.encode()) > 200
            or _DEVICE.fullmatch(part.split(".", 1)[0].rstrip(" "))
            for part in parts
        )
    )
    if is_bad:
        message = f"The name {name[:80]!a} leads out of a folder or is not valid on every system"
        raise RecipeError(f"{message}: refused, nothing was unpacked.")
    return name


def check_no_twins(names: Sequence[str]) -> None:
    """Refuse names that some system takes for one, and a file that is another one's folder. Raise ``RecipeError``."""
    keys = [unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()) for name in names]
    folders = {"/".join(key.split("/")[:end]) for key in keys for end in range(1, key.count("/") + 1)}
    seen: set[str] = set()
    for name, key in zip(names, keys, strict=True):
        if key in seen or key in folders:
            raise RecipeError(f"The bundle names {name[:80]!a} twice: refused, nothing was unpacked.")
        seen.add(key)
