"""What a bundle will hold, known and listed before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from .._version import __version__
from ..errors import CellError, RecipeError, StoreError
from ..folders import FOLDER_NAME, LEDGER_NAME
from ..ledger import JobRow, Ledger, PictureRecord
from ..recipe import changed_in
from ..store import Store
from . import crate, papers
from .document import Document, document_of
from .ledger_file import database, to_lines
from .manifest import LEDGER_LINES, Item, Manifest
from .manifest import NAME as MANIFEST
from .named_files import NamedFiles, addresses, imports_of, named_files, says_where
from .names import checked_name, refuse_twins
from .scrub import Scrubber, places_left
from .selection import Selection

_NO_HASH: Final = "0" * 64


@dataclass(frozen=True, kw_only=True)
class Content:
    """One file to pack: bytes made for it, or a file of the project.

    ``recorded`` is what the ledger knows of it: its hash, or the record of the picture that it is; empty if nothing.
    """

    path: str
    size_bytes: int
    data: bytes | None = None
    source: Path | None = None
    recorded: str | PictureRecord = ""

    def is_unchanged(self, data: bytes, sha256: str) -> bool:
        """Whether bytes with this hash are what was planned and recorded."""
        if len(data) != self.size_bytes:
            return False
        if isinstance(self.recorded, str):
            return self.recorded in ("", sha256)
        return not changed_in(data, self.recorded)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a bundle will hold, and what a person should know before it is published."""

    contents: tuple[Content, ...]
    rows: tuple[JobRow, ...]
    manifest: Manifest
    notes: tuple[str, ...] = ()

    @property
    def pictures(self) -> int:
        """How many pictures come along."""
        return sum(row.picture_count for row in self.rows)

    @property
    def sizes(self) -> list[tuple[str, int]]:
        """Every file with its bytes, in the order in which they stand in the bundle."""
        head, manifest = self.describing([_NO_HASH] * len(self.contents))
        made = [(c.path, c.size_bytes) for c in self.contents]
        return [*made, (crate.NAME, len(head)), (MANIFEST, len(manifest))]

    def describing(self, hashes: Sequence[str]) -> tuple[bytes, bytes]:
        """Return the crate's file and the manifest; their lengths do not depend on the hashes."""
        pairs = zip(self.contents, hashes, strict=True)
        items = tuple(Item(path=c.path, size_bytes=c.size_bytes, sha256=h) for c, h in pairs)
        head = crate.crate_json(items, self.rows, notebook=self.manifest.notebook, manifest=MANIFEST)
        described = Item(path=crate.NAME, size_bytes=len(head), sha256=hashlib.sha256(head).hexdigest())
        return head, replace(self.manifest, items=(*items, described)).to_bytes()


@dataclass(frozen=True)
class Project:
    """A notebook with the store that it uses; ``root`` is the folder whose layout the bundle keeps."""

    notebook: Path
    root: Path
    ledger: Ledger
    store: Store

    @classmethod
    def of(cls, notebook: Path, ledger: Ledger, store: Store) -> Project:
        """Return the project: the folder that holds both, or the notebook's own if the store lies elsewhere."""
        notebook, above = notebook.resolve(), store.folder.resolve().parent
        return cls(notebook, above if notebook.is_relative_to(above) else notebook.parent, ledger, store)

    def name(self, path: Path) -> str:
        """Return a file's path inside the bundle."""
        return path.relative_to(self.root).as_posix()


def plan_bundle(project: Project, selection: Selection, *, keys: Iterable[str] = (), texts: Iterable[str] = ()) -> Plan:
    """Find everything that belongs in a bundle; nothing is written.

    ``keys`` are secrets that must not leave; ``texts`` are further texts in which addresses may stand (variables).
    Raises ``CellError``, ``StoreError`` or ``RecipeError`` for what would make it incomplete or give something away.
    """
    crate.rocrate()  # before anything else: without it there is no bundle
    rows, folder = selection.rows, project.store.folder.resolve()
    private = [*keys, *{row.key_fingerprint for row in rows}]
    scrubber = Scrubber.of(root=project.root, store=folder, secrets=private)
    original = _read(project.notebook)
    document = document_of(original, str(project.notebook))
    _refuse_keys(document, scrubber)
    cleaned = scrubber.notebook(document, original)
    named = named_files(document.code, rows, project.notebook.parent, project.root, folder)
    fetched = _fetched(project, [*document.code, *texts])
    exported = [_without_places(line, scrubber) for line in project.ledger.export_rows([row.id for row in rows])]
    name = project.name(project.notebook)
    made = {
        name: cleaned,
        papers.README: papers.readme(name, rows),
        papers.REQUIREMENTS: papers.requirements(imports_of(document.code)),
        LEDGER_LINES: to_lines(exported),
        f"{FOLDER_NAME}/{LEDGER_NAME}": database(exported, fetched, max(row.created_at for row in rows)),
    }
    _refuse_leaks(made, scrubber)
    pictures = tuple(project.name(path) for path in named.pictures)
    contents = [Content(path=path, size_bytes=len(data), data=data) for path, data in made.items()]
    contents += [_of_file(project.name(path), path) for path in named.pictures]
    kept, missing = _of_store(project.store, rows, fetched.values())
    notes = (*selection.notes, *missing, *_notes(document_of(cleaned, name), named, project))
    manifest = Manifest(notebook=name, items=(), named=pictures, fetched=fetched, made_by=f"wan-notebook {__version__}")
    return Plan(contents=_in_order([*contents, *kept]), rows=rows, manifest=manifest, notes=notes)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror or error})."
        raise StoreError(message, hint="Save the notebook, then repeat.") from error


def _without_places(line: dict[str, Any], scrubber: Scrubber) -> dict[str, Any]:
    """An input's name may be an expression with a path of this machine in it."""
    return {**line, "inputs": [{**record, "name": scrubber.text(record["name"])} for record in line["inputs"]]}


def _of_file(name: str, source: Path, recorded: str | PictureRecord = "") -> Content:
    try:
        return Content(path=name, size_bytes=source.stat().st_size, source=source, recorded=recorded)
    except OSError as error:
        message = f"{source} is missing: the bundle would not be whole."
        raise StoreError(message, hint="`%wan verify` says how to get it back.") from error


def _of_store(store: Store, rows: Sequence[JobRow], fetched: Iterable[str]) -> tuple[list[Content], list[str]]:
    """Return the store's files of these jobs, and what should be there and is not needed to show them."""
    wanted: dict[str, str | PictureRecord] = {}
    notes = []
    for row in rows:
        for record in row.inputs:
            if store.exists(record.file):
                wanted[record.file] = record.sha256
            else:
                notes.append(f"the kept copy of {record.name}, an input of job {row.id}, is gone: it is not packed")
        for picture in row.pictures:
            if picture.saved_at:
                wanted[picture.file] = picture
            if picture.saved_at and store.exists(f"{picture.file}.json"):
                wanted[f"{picture.file}.json"] = ""
            if picture.corrupt_file and store.exists(picture.corrupt_file):
                wanted[picture.corrupt_file] = ""
    wanted |= dict.fromkeys(fetched, "")
    return [_of_file(f"{FOLDER_NAME}/{name}", store.path(name), known) for name, known in wanted.items()], notes


def _fetched(project: Project, texts: Sequence[str]) -> dict[str, str]:
    """Return the kept copies of addresses that the cells name, by the address's hash, as the resolver keeps them."""
    found = {}
    for address in addresses(texts):
        key = "url:" + hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()
        if (kept := project.ledger.meta_get(key)) and project.store.exists(kept):
            found[key] = kept
    return found


def _in_order(contents: Iterable[Content]) -> tuple[Content, ...]:
    ordered = tuple(sorted(contents, key=lambda content: content.path))
    try:
        for content in ordered:
            checked_name(content.path)
        refuse_twins([*(content.path for content in ordered), crate.NAME, MANIFEST])
    except RecipeError as error:
        raise CellError(error.message, hint="Rename that file, so that the bundle opens on every system.") from error
    return ordered


def _notes(document: Document, named: NamedFiles, project: Project) -> Iterator[str]:
    for path in named.pictures:
        if says_where(path):
            yield f"{project.name(path)} says where it was taken (GPS), and the cell needs this very file"
    if named.others:
        listed = _listed(named.others, 8)
        yield f"cells name files that are not packed, since only pictures are: {listed}; add them to the zip yourself"
    if named.outside:
        listed = _listed(named.outside, 4)
        yield f"cells read pictures outside the project: {listed}; elsewhere they stop, so name copies in it"
    if left := places_left(document):
        yield f"the notebook still names places of this machine: {_listed(left, 4)}"
    if any(text.lstrip().startswith("%") and "--fresh" in text.splitlines()[0] for text in document.code):
        yield "a cell says --fresh: it asks anew, so that it cannot be replayed; take the option out"


def _listed(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _refuse_keys(document: Document, scrubber: Scrubber) -> None:
    for number, text in enumerate(document.code, 1):
        if scrubber.secrets_in(text):
            message = f"code cell {number} of the notebook holds your key: nothing was written."
            raise CellError(message, hint="Take it out (`%wan login` keeps keys elsewhere), save, then repeat.")


def _refuse_leaks(made: Mapping[str, bytes], scrubber: Scrubber) -> None:
    for name, data in made.items():
        if any(secret.encode() in data for secret in scrubber.secrets):
            message = f"{name} would hold your key (in a prompt?): nothing was written."
            raise CellError(message, hint="Put the job whose prompt holds it into the trash, and make a new one.")
