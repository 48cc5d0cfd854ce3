"""Small copies of pictures, kept in the store's cache folder: a replayed cell has no time to decode the full ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import StoreError
from ..images import NotAPictureError, preview, probe
from ..ledger import PictureRecord
from ..store import Store
from ..views.model import CardView, Preview
from ..views.thumbs import contact_sheet, preview_plan, sheet_limit

CACHE = ".cache"


class Previews:
    """Makes each preview once; a cache that cannot be written is no reason to fail."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, record: PictureRecord, count: int) -> tuple[Preview, ...]:
        """Return a picture's preview for an output of ``count`` pictures; empty if the file is gone or no picture."""
        max_px, max_bytes = preview_plan(count)
        return self.of_size(record, max_px, max_bytes)

    def sheet(self, card: CardView) -> bytes | None:
        """Return the contact sheet of a card's pictures, made once; None if it has none."""
        if not card.pictures:
            return None
        path = self._store.folder / CACHE / _sheet_name(card)
        try:
            return path.read_bytes()
        except OSError:
            made = contact_sheet(card.pictures, max_bytes=sheet_limit(len(card.pictures)))
        if made is not None:
            _write(path, made)
        return made

    def of_size(self, record: PictureRecord, max_px: int, max_bytes: int) -> tuple[Preview, ...]:
        """Return a picture's preview of at most these pixels and bytes."""
        if record.kind != "image" or not record.saved_at:
            return ()
        path = self._store.folder / CACHE / f"{record.sha256[:24]}-{max_px}-{max_bytes}.webp"
        if found := _read(path):
            return (found,)
        try:
            data, width, height = preview(self._store.read(record.file), max_px=max_px, max_bytes=max_bytes)
        except (StoreError, NotAPictureError):
            return ()
        _write(path, data)
        return (Preview(data=data, width_px=width, height_px=height),)


def _sheet_name(card: CardView) -> str:
    """Name a contact sheet by what is on it."""
    shown = "\n".join(picture.sha256 for picture in card.pictures)
    return f"sheet-{hashlib.sha256(shown.encode()).hexdigest()[:24]}.jpg"


def _read(path: Path) -> Preview | None:
    try:
        data = path.read_bytes()
        facts = probe(data)
    except (OSError, NotAPictureError):
        return None
    return Preview(data=data, width_px=facts.width_px, height_px=facts.height_px)


def _write(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        return
