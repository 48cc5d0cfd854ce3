"""Look into a file without decoding it: which format, which size, whole or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wan_notebook.images import formats, jpeg, png
from wan_notebook.images.facts import Container, NotAPictureError, PictureFacts, mime_of, not_an_image
from wan_notebook.images.pillow import open_picture, quietly, reading

_HEADERS: Final[dict[str, Callable[[bytes], PictureFacts]]] = {
    "image/png": png.header,
    "image/jpeg": jpeg.header,
    "image/webp": formats.webp_header,
    "image/bmp": formats.bmp_header,
    "image/gif": formats.gif_header,
}
_INSPECTORS: Final[dict[str, Callable[[bytes], Container]]] = {
    "image/png": png.inspect,
    "image/jpeg": jpeg.inspect,
    "image/webp": formats.webp,
    "image/bmp": formats.bmp,
    "image/gif": formats.gif,
}


def probe(data: bytes) -> PictureFacts:
    """Read format and size (px) from the header alone.

    Raises NotAPictureError for what is no picture; a file whose later parts are missing or damaged passes.
    """
    mime = mime_of(data)
    if mime in _HEADERS:
        return _HEADERS[mime](data)
    return _through_pillow(data, mime).facts


def inspect(data: bytes) -> Container:
    """Check a whole file and find its metadata; NotAPictureError says what is wrong with it."""
    mime = mime_of(data)
    if mime in _INSPECTORS:
        return _INSPECTORS[mime](data)
    if mime in ("image/avif", "image/heic"):
        formats.check_boxes(data)
    return _through_pillow(data, mime)


def check_picture(data: bytes, *, max_pixels: int) -> PictureFacts:
    """Check that bytes are one whole picture of at most ``max_pixels``, without decoding a common format.

    PNG by all checksums up to IEND, JPEG by its segments up to EOI, WebP, BMP and GIF by their lengths; rarer formats
    are decoded. Raises NotAPictureError.
    """
    facts = probe(data)
    if facts.width_px * facts.height_px > max_pixels:
        raise NotAPictureError(
            f"the picture declares {facts.width_px}×{facts.height_px} pixels, more than the {max_pixels} expected",
            kind="too-large",
        )
    if facts.mime in _INSPECTORS:
        return inspect(data).facts
    with quietly(), reading():
        open_picture(data, mime_of(data)).load()
    return facts


def _through_pillow(data: bytes, mime: str | None) -> Container:
    if mime is not None and mime.startswith("video/"):
        raise not_an_image(data)
    with quietly(), reading(), open_picture(data, mime) as picture:
        known = mime or f"image/{(picture.format or 'unknown').lower()}"
        animated = getattr(picture, "n_frames", 1) > 1
        return Container(data, known, picture.width, picture.height, animated=animated)
