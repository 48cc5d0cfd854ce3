"""The gallery: which pictures there are, their copies and files, and marks, tags, downloads and trash for several."""

import io
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ..database import HistoryQuery, JobRow, PictureRow
from ..display import history_facts, safe_line, small_copy
from ..errors import WanError
from ..images import mime_of, thumbnail
from ..request import hash_of_canonical
from ..text import safe_text
from .feeds import Feed, Message

JOBS_MAX: Final = 500
_THUMB: Final[dict[str, Any]] = {"max_px": 256, "max_bytes": 9_000}


class GalleryFeed(Feed):
    """Keeps ``panel.gallery``, and carries out what is asked for one picture or several.

    The page's key ``JOB/INDEX`` is a result, ``JOB/INDEX/POSITION`` an input of its job; the picker's have a colon.
    """

    name = "gallery"

    _query = HistoryQuery(status="saved", limit=JOBS_MAX)
    _show_rejected = False

    def update(self) -> None:
        """Show the newest pictures that the filter matches."""
        page = self.project.database.history(self._query)
        items = [_item(row, picture) for row in page.rows for picture in row.pictures if picture.saved_at]
        items = [
            one
            for one in items
            if (one["is_starred"] or not self._query.starred) and (self._show_rejected or not one["is_rejected"])
        ]
        total = page.pictures if len(page.rows) < page.total_rows else len(items)
        tags = {tag for row in page.rows for tag in row.tags} | set(self.panel.gallery.get("tags", ()))
        self.panel.show(gallery={"items": items, "total": total, "tags": sorted(tags)})

    def _find(self, key: str) -> tuple[JobRow, PictureRow]:
        """Return the job and the picture of a key. Raise ``StoreError`` or ``LookupError``."""
        job_id, index = key.split("/")[:2]
        row = self.project.database.get(job_id)
        return row, {str(picture.index): picture for picture in row.pictures}[index]

    def _bytes(self, key: str, *, whole: bool) -> bytes:
        """Return a picture's file or a small copy. Raise ``WanError`` or ``LookupError`` if there is none."""
        if ":" in key:
            return self.panel.picker.copy_of(key, **_THUMB)
        row, picture = self._find(key)
        inputs = {f"{row.id}/{picture.index}/{given.position}": given.file for given in row.inputs}
        if not whole and key not in inputs:
            return small_copy(self.project.storage, picture, **_THUMB) or b""
        data = self.project.storage.read(inputs.get(key, picture.file))
        return data if whole else thumbnail(data, **_THUMB)[0]

    # Messages --------------------------------------------------------------------------------------------------------

    def on_want(self, message: Message) -> None:
        """Send each picture as soon as it is read or made, ``thumb`` or ``full``; one that is gone is sent empty."""
        for key in message["keys"]:
            data = b""
            with suppress(WanError, ValueError, LookupError):
                data = self._bytes(key, whole=message["size"] == "full")
            self.panel.send({"kind": message["size"], "key": key, "mime": mime_of(data) or "image/png"}, [data])

    def on_filter(self, message: Message) -> None:
        """Show other pictures."""
        self._show_rejected = message["rejected"]
        wanted = {"words": message["words"], "tags": (message["tag"],), "starred": message["starred"]}
        self._query = HistoryQuery(status="saved", limit=JOBS_MAX, **wanted)
        self.touch()

    def on_details(self, message: Message) -> None:
        """Send the rest of what is known of a picture."""
        key = message["id"]
        row, picture = self._find(key)
        path = self.project.storage.path(picture.file)
        home = f"~/{path.relative_to(Path.home()).as_posix()}" if path.is_relative_to(Path.home()) else ""
        self.panel.send(
            {
                "kind": "details",
                "id": key,
                "prompt": safe_text(row.prompt),
                "negative": safe_text(row.negative_prompt),
                "cell": self.panel.cell_of(row),
                "inputs": [{"id": f"{key}/{one.position}", "label": safe_line(one.name, 60)} for one in row.inputs],
                # A Jupyter page may know its own folder whole, without links, or from the home folder.
                "paths": [path.as_posix(), path.resolve().as_posix(), home],
            }
        )

    def on_mark(self, message: Message) -> None:
        """Star, reject or tag pictures, or put their jobs into the trash; ``on`` is False to take a mark away."""
        what, is_on, database = message["what"], message["on"], self.project.database
        found = [self._find(key) for key in message["ids"]]
        for row, picture in found:
            if what == "tag":
                self.project.worker.tag(row.id, **{"add" if is_on else "remove": [message["tag"]]})
            elif what == "trash":
                database.trash(row.id)
            else:
                marks = {"is_starred" if what == "star" else "is_rejected": is_on}
                database.mark(row.id, picture.index, **marks)
                if not is_on:
                    database.mark(row.id, **marks)  # perhaps the whole job was marked
        if what == "trash":
            self.session.empty_trash()  # of what has been there for 30 days
            self.panel.show(notice=["In the trash for 30 days: History, Include trash, Restore brings it back."])
        self.project.worker.refresh([self.project.worker.track(row) for row, _ in found])
        self.panel.refresh()

    def on_download(self, message: Message) -> None:
        """Send one picture as its file, several as a zip."""
        files: dict[str, bytes] = {}
        for key in message["ids"]:
            with suppress(WanError):  # a file that is gone is left out
                files[self._find(key)[1].file] = self._bytes(key, whole=True)
        if len(files) > 1:
            with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:  # pictures are compressed already
                for file, data in files.items():
                    archive.writestr(file, data)
            files = {f"wan-pictures-{len(files)}.zip": buffer.getvalue()}
        for file, data in files.items():
            self.panel.send({"kind": "save", "name": Path(file).name}, [data])

    def on_recall(self, message: Message) -> None:
        """Fill the form with what made a picture."""
        cell = self.panel.cell_of(self._find(message["id"])[0])
        self.panel.recall(cell, **({"seed": ""} if message["new_seed"] else {}))


def _item(row: JobRow, picture: PictureRow) -> dict[str, Any]:
    said = history_facts(row)
    seed = f"seed {said['seed']}" if said["seed"] else ""
    several = f"{picture.index + 1} of {len(row.pictures)}" if len(row.pictures) > 1 else ""
    facts = [
        *(seed, several, *(said[name] for name in ("size", "mode", "when", "took", "cost"))),
        *("" if row.imported_at is None else "imported", picture.file, picture.note),
    ]
    return {
        "id": f"{row.id}/{picture.index}",
        "expression": f"{row.id}[{picture.index}]",
        # What all pictures share that differ only in their seed.
        "stack": hash_of_canonical({**row.request, "parameters": {**row.parameters, "seed": None}}),
        "seed": row.seed,
        "is_starred": bool(picture.is_starred or row.is_starred),
        "is_rejected": bool(picture.is_rejected or row.is_rejected),
        "kind": picture.kind,
        "label": said["prompt"] or f"job {row.id}",
        "caption": " · ".join(filter(None, (seed, several))),
        "tags": [safe_line(tag, 60) for tag in row.tags],
        "facts": [safe_line(fact, 120) for fact in facts if fact],
    }
