"""Which small copy of each picture goes into an output, so that any number of pictures stays within its bytes.

Quality gives way first, then size, then number. A ready-made preview that fits is used as it is: decoding a 2048² PNG
takes 100 ms, which a replayed cell does not have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from wan_notebook import images
from wan_notebook.views.model import PictureView, Preview

MAX_SHOWN: Final = 64
"""More pictures than this are counted, not shown: their thumbnails would say nothing at the bytes that are left."""

FEW: Final = 16
"""Up to here captions are full and the contact sheet is large."""

HTML_BYTES: Final = 400_000
SHEET_BYTES: Final = 60_000
_SHEET_PX: Final = 512
_RESERVED_BYTES: Final = 24_000  # head, prompt and parameters
_CAPTION_BYTES: Final = 1_500  # a figure's HTML, its line of text and its metadata
_ENOUGH_BYTES: Final = {1024: 180_000, 640: 54_000, 256: 12_000}
_DECODERS: Final = 2  # the decoder releases the GIL; more threads gained nothing
_CLOSE_ENOUGH: Final = 0.6


@dataclass(frozen=True)
class Thumb:
    """A picture as it goes into the page: a data URL with its real size in px."""

    url: str
    width_px: int
    height_px: int


def side_px(count: int) -> int:
    """Return the longest side for pictures in an output of ``count``: 1024 px alone, 640 up to four, else 256."""
    if count <= 1:
        return 1024
    return 640 if count <= 4 else 256


def sheet_limit(count: int) -> int:
    """Return how many bytes the contact sheet of ``count`` pictures may take, from those of the whole output."""
    return SHEET_BYTES if count <= FEW else SHEET_BYTES * 2 // 3


def preview_plan(count: int) -> tuple[int, int]:
    """Return ``(max_px, max_bytes)`` of the preview worth keeping for each of ``count`` pictures shown together.

    A preview made to this plan when a picture is saved goes into its card untouched.
    """
    side = side_px(count)
    shown = max(1, min(count, MAX_SHOWN))
    share = (HTML_BYTES - sheet_limit(count) * 4 // 3 - _RESERVED_BYTES) // shown - _CAPTION_BYTES
    return side, min(_ENOUGH_BYTES[side], share * 3 // 4)


def _pixels(preview: Preview) -> int:
    return preview.width_px * preview.height_px


def ready(picture: PictureView, max_px: int, max_bytes: int) -> Preview | None:
    """Return the largest ready-made preview that fits as it is, if it is large enough to stand for the picture."""
    fits = [p for p in picture.previews if max(p.width_px, p.height_px) <= max_px and len(p.data) <= max_bytes]
    best = max(fits, key=_pixels, default=None)
    if best is None:
        return None
    if picture.data is None and best is max(picture.previews, key=_pixels):
        return best  # there is nothing better to make one from
    whole = max(picture.width_px, picture.height_px) or max_px
    return best if max(best.width_px, best.height_px) >= _CLOSE_ENOUGH * min(max_px, whole) else None


def source_of(picture: PictureView, max_px: int) -> bytes | None:
    """Return the cheapest bytes to make a copy of ``max_px`` from: a larger preview, the file, any preview."""
    larger = [p for p in picture.previews if max(p.width_px, p.height_px) >= max_px]
    if larger:
        return min(larger, key=_pixels).data
    if picture.data is not None:
        return picture.data
    return max(picture.previews, key=_pixels).data if picture.previews else None


def _made(picture: PictureView, max_px: int, max_bytes: int) -> Preview | None:
    source = source_of(picture, max_px)
    if source is None:
        return None
    try:
        data, width, height = images.preview(source, max_px=max_px, max_bytes=max_bytes)
    except images.NotAPictureError:
        return None  # the caption says that it cannot be shown; the file is still there
    return Preview(data=data, width_px=width, height_px=height)


def small_copies(pictures: Sequence[PictureView], *, max_px: int, bytes_each: int) -> list[Preview | None]:
    """Return a copy of each picture within both limits; None for a video, a missing file or bytes that are no picture.

    Several that must be decoded are done on two threads.
    """
    found = [ready(p, max_px, bytes_each) if p.kind == "image" else None for p in pictures]
    todo = [i for i, (f, p) in enumerate(zip(found, pictures, strict=True)) if f is None and p.kind == "image"]
    if len(todo) > 1:
        with ThreadPoolExecutor(_DECODERS) as pool:
            made = list(pool.map(lambda i: _made(pictures[i], max_px, bytes_each), todo))
    else:
        made = [_made(pictures[i], max_px, bytes_each) for i in todo]
    for i, preview in zip(todo, made, strict=True):
        found[i] = preview
    return found


def as_thumb(preview: Preview | None) -> Thumb | None:
    """Return a preview as a data URL."""
    if preview is None:
        return None
    return Thumb(images.data_url(preview.data, preview.mime), preview.width_px, preview.height_px)


def shown_size(width_px: int, height_px: int, *, max_width: int, max_height: int) -> tuple[int, int]:
    """Return the size in CSS px at which a picture is shown within a box; it is never enlarged."""
    scale = min(1.0, max_width / max(1, width_px), max_height / max(1, height_px))
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))


def contact_sheet(pictures: Sequence[PictureView], *, max_bytes: int = SHEET_BYTES) -> bytes | None:
    """Return one JPEG of all pictures, for readers that take no HTML; None if there is nothing to show.

    Worth keeping as ``CardView.sheet``: it costs 10–50 ms, more than all the rest of a replayed card.
    """
    shown = [p for p in pictures[:MAX_SHOWN] if p.kind == "image"]
    cell_px = _SHEET_PX // max(1, math.ceil(math.sqrt(len(shown))))
    sources = [source for p in shown if (source := source_of(p, cell_px)) is not None]
    return images.contact_sheet(sources, max_bytes=max_bytes, max_px=_SHEET_PX) if sources else None
