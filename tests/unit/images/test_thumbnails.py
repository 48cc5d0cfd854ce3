"""Small copies stay small, and guessing what an image is costs nothing and starts nothing."""

import io
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tests.fakes.pictures import decoded, encoded, exif, gradient, noise
from wan_notebook.images import contact_sheet, image_info, looks_like_image, mime_of, thumbnail


@pytest.mark.parametrize("format_name", ["webp", "jpeg"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_thumbnail_keeps_the_shape_and_fits(kind: str, format_name: str) -> None:
    """The longer side is as asked; quality, then size give way to a limit of bytes; a small picture stays small."""
    data, width, height = thumbnail(encoded(noise(450, 300), kind), max_px=150, format=format_name)
    assert (width, height) == (150, 100)
    assert image_info(data) == (f"image/{format_name}", 150, 100)
    assert thumbnail(encoded(noise(50, 40)), max_px=1024)[1:] == (50, 40)
    assert thumbnail(encoded(gradient(400, 200), "JPEG", exif=exif(6)), max_px=100)[1:] == (50, 100)
    for max_bytes in (10_000, 700):
        data, *size = thumbnail(encoded(noise(300, 300), kind), max_px=250, max_bytes=max_bytes, format=format_name)
        assert len(data) <= max_bytes
        assert [*decoded(data).size] == size


def test_a_thumbnail_of_any_mode_is_what_one_sees() -> None:
    """Transparency on white, grey, palette and 16 bits all become small RGB pictures."""
    clear = Image.new("RGBA", (400, 400), (255, 0, 0, 0))
    assert min(decoded(thumbnail(encoded(clear), max_px=64)[0]).getpixel((30, 30))) > 250
    for mode in ("P", "1", "I;16", "LA"):
        assert thumbnail(encoded(gradient(400, 300, "L").convert(mode)), max_px=100)[1:] == (100, 75)


def test_a_contact_sheet_places_each_picture() -> None:
    """One JPEG of at most 60 KB: each in its place, in reading order; what cannot be read is a grey field."""
    colours = ["red", "lime", "blue"]
    files = [encoded(Image.new("RGB", (300, 300), colour)) for colour in colours]
    sheet = decoded(contact_sheet([*files, b"broken"]))
    quarters = [sheet.getpixel((sheet.width * x // 4, sheet.height * y // 4)) for y in (1, 3) for x in (1, 3)]
    for found, expected in zip(quarters, [(255, 0, 0), (0, 255, 0), (0, 0, 255), (208, 208, 208)], strict=True):
        assert found == pytest.approx(expected, abs=20)
    for count in (1, 12):
        data = contact_sheet([encoded(noise(320, 200), "JPEG")] * count)
        assert (len(data) <= 60_000, mime_of(data), max(decoded(data).size) <= 1024) == (True, "image/jpeg", True)


class Drawable:
    """An object with a PNG representation, which must not be drawn for a guess."""

    def _repr_png_(self) -> NoReturn:
        raise AssertionError("drawn for a guess")


class Hostile:
    """Everything that one may touch raises."""

    @property  # type: ignore[misc]
    def __class__(self) -> NoReturn:
        raise RuntimeError("touched")

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError("touched")


IMAGES = [Image.new("RGB", (4, 4)), np.zeros((300, 300, 3), "u1"), np.zeros((300, 300)), Figure(), Drawable()]
IMAGES += [Path("a/b.JPG"), "photo.png", " photo.png\n", "https://example.org/a.webp?x=1", "data:image/png;base64,AAAA"]
IMAGES += [b"\x89PNG\r\n\x1a\n", io.BytesIO(b"\xff\xd8\xff")]
OTHERS = [None, 3, "a fox", "notes.txt", Path("x.csv"), b"text", [], "one\nphoto.png", "clip.mp4", io.BytesIO()]
OTHERS += [np.zeros(500), np.zeros((5, 5)), np.zeros((300, 300), int), np.zeros((3, 30, 30), "u1"), Drawable, Image]


def test_what_looks_like_an_image() -> None:
    """Pickers and completion offer what may be one; nothing is touched, read or drawn to find out."""
    assert [value for value in IMAGES if not looks_like_image(value)] == []
    assert [value for value in [*OTHERS, Hostile()] if looks_like_image(value)] == []
