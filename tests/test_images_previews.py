"""Small copies stay small, and guessing what an image is costs nothing and starts nothing."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from wan_notebook.images import NotAPictureError, contact_sheet, data_url, load_image, looks_like_image, preview, probe


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def busy(size: tuple[int, int]) -> Image.Image:
    """A picture that does not compress well."""
    return Image.effect_noise(size, 80).convert("RGB")


@pytest.mark.parametrize(("format", "mime"), [("webp", "image/webp"), ("jpeg", "image/jpeg")])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_preview_keeps_the_shape(kind: str, format: str, mime: str) -> None:
    """The longer side is as asked; the size told is that of the bytes."""
    data, width, height = preview(encoded(busy((900, 600)), kind), max_px=300, format=format)
    assert (width, height) == (300, 200)
    facts = probe(data)
    assert (facts.mime, facts.width_px, facts.height_px) == (mime, 300, 200)


def test_a_preview_never_enlarges() -> None:
    """A small picture stays as small as it is."""
    assert preview(encoded(busy((50, 40)), "PNG"), max_px=1024)[1:] == (50, 40)


@pytest.mark.parametrize("max_bytes", [60_000, 10_000, 2_000, 700])
@pytest.mark.parametrize("format", ["webp", "jpeg"])
def test_a_preview_fits_its_bytes(max_bytes: int, format: str) -> None:
    """Quality, then size give way, because an output has a limit."""
    data, width, height = preview(encoded(busy((500, 500)), "PNG"), max_px=400, max_bytes=max_bytes, format=format)
    assert len(data) <= max_bytes
    assert (probe(data).width_px, probe(data).height_px) == (width, height)


def test_an_impossible_limit_still_ends() -> None:
    """No picture has five bytes: the smallest one is returned."""
    assert preview(encoded(busy((300, 300)), "PNG"), max_px=256, max_bytes=5)[1:] == (1, 1)


def test_a_preview_of_any_mode_is_what_one_sees() -> None:
    """Transparency on white, grey, palette and 16 bits all become small RGB pictures."""
    clear = Image.new("RGBA", (400, 400), (255, 0, 0, 0))
    small = Image.open(io.BytesIO(preview(encoded(clear, "PNG"), max_px=64)[0])).convert("RGB")
    assert min(small.getpixel((30, 30))) > 250
    for mode in ("P", "1", "I;16", "LA"):
        picture = busy((400, 300)).convert("L").convert(mode)
        assert preview(encoded(picture, "PNG"), max_px=100)[1:] == (100, 75)


def test_what_is_no_picture_has_no_preview() -> None:
    """The caller hears it by the error of this module."""
    with pytest.raises(NotAPictureError):
        preview(b"<html>", max_px=64)
    with pytest.raises(NotAPictureError):
        preview(encoded(busy((300, 300)), "PNG")[:2000], max_px=64)


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_a_contact_sheet_is_one_small_jpeg(count: int) -> None:
    """All pictures of an output in at most 60 KB, for viewers that show no HTML."""
    sheet = contact_sheet([encoded(busy((640, 400)), "JPEG")] * count)
    facts = probe(sheet)
    assert len(sheet) <= 60_000
    assert facts.mime == "image/jpeg"
    assert max(facts.width_px, facts.height_px) <= 1024


def test_a_contact_sheet_places_each_picture() -> None:
    """Four pictures: each colour in its quarter, in reading order."""
    colours = ["red", "lime", "blue", "black"]
    sheet = Image.open(io.BytesIO(contact_sheet([encoded(Image.new("RGB", (300, 300), c), "PNG") for c in colours])))
    quarters = [sheet.getpixel((sheet.width * x // 4, sheet.height * y // 4)) for y in (1, 3) for x in (1, 3)]
    expected = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]
    assert all(abs(a - b) < 20 for q, e in zip(quarters, expected, strict=True) for a, b in zip(q, e, strict=True))


def test_one_damaged_picture_does_not_hide_the_others() -> None:
    """What cannot be read is a grey field."""
    sheet = Image.open(io.BytesIO(contact_sheet([encoded(Image.new("RGB", (300, 300), "red"), "PNG"), b"broken"])))
    assert sheet.getpixel((sheet.width // 4, sheet.height // 2))[1] < 20
    assert sheet.getpixel((sheet.width * 3 // 4, sheet.height // 2)) == pytest.approx((208, 208, 208), abs=10)
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])


def test_data_urls_hold_the_bytes() -> None:
    """What goes into HTML can be had back."""
    url = data_url(b"\0\1\2", "image/png")
    assert url.startswith("data:image/png;base64,")
    assert base64.b64decode(url.partition(",")[2]) == b"\0\1\2"


class Drawable:
    """An object with a PNG representation, which must not be drawn for a guess."""

    def _repr_png_(self) -> NoReturn:
        raise AssertionError("drawn for a guess")


class Hostile:
    """Everything that one may touch raises."""

    @property
    def shape(self) -> NoReturn:
        raise RuntimeError("touched")

    @property  # type: ignore[misc]
    def __class__(self) -> NoReturn:
        raise RuntimeError("touched")

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError("touched")


@pytest.mark.parametrize(
    "value",
    [
        Image.new("RGB", (4, 4)),
        np.zeros((300, 300, 3), "u1"),
        np.zeros((300, 300)),
        Figure(),
        Drawable(),
        Path("a/b.JPG"),
        "photo.png",
        "https://example.org/a.webp?x=1",
        "data:image/png;base64,AAAA",
        b"\x89PNG\r\n\x1a\n",
        io.BytesIO(b"\xff\xd8\xff"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_looks_like_an_image(value: object) -> None:
    """Pickers and completion offer these."""
    assert looks_like_image(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        "a fox",
        "notes.txt",
        Path("x.csv"),
        b"text",
        [],
        np.zeros(500),
        np.zeros((5, 5)),
        np.zeros((300, 300), int),
        Drawable,
        Image,
        np.zeros((3, 300, 300), "u1"),
        "line one\nphoto.png",
        io.BytesIO(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not(value: object) -> None:
    """The rest is left out, and nothing is touched, read or drawn to find out."""
    assert not looks_like_image(value)


def test_guessing_never_raises() -> None:
    """An object on which everything raises is simply no image."""
    assert not looks_like_image(Hostile())


def test_importing_costs_neither_pillow_nor_numpy() -> None:
    """``%load_ext`` must stay fast: the heavy libraries come with the first picture."""
    code = (
        "import sys, wan_notebook.images as i; i.looks_like_image(3);"
        "sys.exit(any(m in sys.modules for m in ('PIL', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_uploads_can_be_previewed() -> None:
    """What was checked can be shown."""
    image = load_image(busy((500, 400)), name="photo")
    assert preview(image.data, max_px=100)[1:] == (100, 80)
