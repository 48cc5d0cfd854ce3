"""Small copies of pictures for outputs, made once and kept in the folder's cache.

Any number of pictures stays within the bytes of one output: quality gives way first, then size, then number. A cached
copy is used as it is, since decoding a 2048² PNG takes 100 ms, which a replayed cell does not have.
"""

import hashlib
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import StoreError
from ..files import atomic_write
from ..images import BadImageError, contact_sheet, thumbnail

if TYPE_CHECKING:
    from ..database import PictureRow
    from ..storage import Storage

CACHE_FOLDER: Final = ".cache"
MAX_SHOWN: Final = 64
"""More pictures than this are counted, not shown: at the bytes that are left their copies would say nothing."""
HTML_MAX_BYTES: Final = 400_000
FEW: Final = 16
"""Up to here captions are full and the contact sheet is large."""
_SHEET_MAX_BYTES: Final = 60_000
_SHEET_PX: Final = 512
_TEXT_BYTES: Final = 24_000  # head, prompt and parameters
_CAPTION_BYTES: Final = 1_500  # a figure's HTML, its line of text and its metadata
_ENOUGH_BYTES: Final = {1024: 180_000, 640: 54_000, 256: 12_000}
_DECODERS: Final = 2  # the decoder releases the GIL; more threads gained nothing


def copy_plan(count: int) -> tuple[int, int]:
    """Return the longest side in px and the most bytes of each copy in an output of ``count`` pictures."""
    side_px = 1024 if count <= 1 else 640 if count <= 4 else 256
    shown = max(1, min(count, MAX_SHOWN))
    share = (HTML_MAX_BYTES - sheet_max_bytes(count) * 4 // 3 - _TEXT_BYTES) // shown - _CAPTION_BYTES
    return side_px, min(_ENOUGH_BYTES[side_px], share * 3 // 4)


def sheet_max_bytes(count: int) -> int:
    """Return how many bytes of an output the contact sheet of ``count`` pictures may take."""
    return _SHEET_MAX_BYTES if count <= FEW else _SHEET_MAX_BYTES * 2 // 3


def shown_size(width_px: int, height_px: int, *, max_width_px: int, max_height_px: int) -> tuple[int, int]:
    """Return the size in CSS px at which a picture is shown within a box; it is never enlarged."""
    scale = min(1.0, max_width_px / max(1, width_px), max_height_px / max(1, height_px))
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))


class Thumbnails:
    """The small copies of one folder's pictures; a cache that cannot be written fails nothing."""

    def __init__(self, storage: "Storage") -> None:
        self._storage = storage
        self._folder = storage.folder / CACHE_FOLDER

    def get(self, record: "PictureRow", *, max_px: int, max_bytes: int) -> bytes | None:
        """Return a picture's copy as WebP; None for a video, a file that is gone, or bytes that are no picture."""
        if record.kind != "image" or not record.saved_at:
            return None
        path = self._folder / f"{record.sha256[:24]}-{max_px}-{max_bytes}.webp"
        with suppress(OSError):
            return path.read_bytes()
        try:
            data, _, _ = thumbnail(self._storage.read(record.file), max_px=max_px, max_bytes=max_bytes)
        except (StoreError, BadImageError):
            return None
        self._keep(path, data)
        return data

    def get_all(self, records: Sequence["PictureRow"], *, max_px: int, max_bytes: int) -> list[bytes | None]:
        """Return the copies of several pictures; what must be decoded is decoded on two threads."""
        with ThreadPoolExecutor(_DECODERS) as pool:
            return list(pool.map(lambda record: self.get(record, max_px=max_px, max_bytes=max_bytes), records))

    def sheet(self, records: Sequence["PictureRow"]) -> bytes | None:
        """Return one JPEG of all pictures, for readers that take no HTML; None if there is nothing to show."""
        shown = [record for record in records[:MAX_SHOWN] if record.kind == "image" and record.saved_at]
        name = hashlib.sha256("\n".join(record.sha256 for record in shown).encode()).hexdigest()[:24]
        path = self._folder / f"sheet-{name}.jpg"
        with suppress(OSError):
            return path.read_bytes()
        cell_px = _SHEET_PX // max(1, math.ceil(math.sqrt(len(shown))))
        side_px, max_bytes = copy_plan(len(records))
        side_px = side_px if side_px >= cell_px else cell_px
        sources = [copy for copy in self.get_all(shown, max_px=side_px, max_bytes=max_bytes) if copy is not None]
        if not sources:
            return None
        made = contact_sheet(sources, max_bytes=sheet_max_bytes(len(records)), max_px=_SHEET_PX)
        self._keep(path, made)
        return made

    def _keep(self, path: Path, data: bytes) -> None:
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            atomic_write(path, data)
