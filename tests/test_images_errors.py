"""What is no usable picture is one short error that names it and says what to do; hostile bytes never crash."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from wan_notebook.errors import DownloadError, ImageInputError
from wan_notebook.images import NotAPictureError, check_picture, load_image, looks_like_image, mime_of, preview, probe


def encoded(kind: str, size: tuple[int, int] = (256, 240), **options: object) -> bytes:
    """A small colourful file of a kind."""
    buffer = io.BytesIO()
    rgb = Image.merge("RGB", [Image.linear_gradient("L").rotate(turn).resize(size) for turn in (0, 90, 180)])
    rgb.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


FRAMES = [Image.new("RGB", (250, 250), "red"), Image.new("RGB", (250, 250), "blue")]
WHOLE = {
    "JPEG": encoded("JPEG"),
    "progressive": encoded("JPEG", progressive=True),
    "PNG": encoded("PNG"),
    "WEBP": encoded("WEBP"),
    "lossless": encoded("WEBP", lossless=True),
    "extended": encoded("WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"),
    "BMP": encoded("BMP"),
    "GIF": encoded("GIF"),
}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "the file is empty"),
        (b"Dear reader, this is a letter.\n" * 40, "is text, not an image"),
        ("é".encode() * 600, "is text, not an image"),
        (b"<!DOCTYPE html><html>", "is an HTML page"),
        (b"<?xml version='1.0'?><svg>", "is an SVG drawing"),
        (b"%PDF-1.7", "is a PDF document"),
        (b"\0\0\0\x18ftypisom" + b"\0" * 40, "is a video"),
        (bytes(range(256)), "not an image of a known format"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 12, "HEIC cannot be read here"),
        (None, "it is None"),
        ([1, 2], "it is a list"),
        (3.5, "it is a float"),
        (object(), "it is an object"),
        ("", "the path is empty"),
        ("a\0b", "there is no file|it cannot be read"),
        ("x" * 5000, "cannot be read"),
        ("data:image/png;base64", "no comma"),
        ("data:image/png;base64,%%%", "base64 is broken"),
        (Image.new("RGB", (0, 0)), "it is empty"),
        (Image.new("RGB", (239, 5000)), r"239×5000 px \(RGB image\); each side must be at least 240"),
        (Image.new("RGB", (100, 50)), r"Enlarge it: photo.resize\(\(480, 240\)\)"),
        (Image.new("RGB", (8000, 100)), "Crop it"),
        (Image.new("RGB", (9000, 250)), "its short side would be 222 px, under 240. Crop it"),
        (np.zeros((3, 300, 300), "u1"), r"photo.transpose\(1, 2, 0\)"),
        (np.zeros((300, 300), bool), r"photo.astype\('uint8'\) \* 255"),
        (np.zeros((300, 300), "u2"), r"photo / photo.max\(\)"),
        (np.zeros((300, 300), int), "from 0 to 255"),
        (np.full((300, 300), 200.0), "photo / 255"),
        (np.full((300, 300), -1.0), "floats run from 0 to 1"),
        (np.full((300, 300), np.nan), "holds NaN"),
        (np.zeros((300, 300, 2), "u1"), "a picture is H×W"),
        (np.zeros((300, 0), "u1"), "is empty"),
        (np.zeros(5, "u1"), "a picture is H×W"),
        (np.zeros((100, 50), "u1"), r"Enlarge it: PIL.Image.fromarray\(photo\).resize\(\(240, 480\)\)"),
        (encoded("PNG", (100, 50)), r"Enlarge it, e.g. with PIL: Image.open\(…\).resize\(\(480, 240\)\)"),
        (WHOLE["JPEG"][:-9], "cut off"),
        (WHOLE["PNG"].replace(b"IDAT", b"IDAU"), "the file is damaged"),
        ("file:///nowhere/a.png", "there is no file /nowhere/a.png"),
        ("s3://bucket/a.png", "s3:// addresses are not fetched"),
    ],
)
def test_bad_input_is_one_exact_message(value: object, message: str) -> None:
    """Each error names the image, says what it is, and what to do."""
    with pytest.raises(ImageInputError, match=message) as caught:
        load_image(value, name="photo")
    assert caught.value.problems[0].value == "photo"
    assert caught.value.problems[0].field == "image"
    assert caught.value.problems[0].hint


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    """A slip in a file's name is answered with the nearest names of that folder."""
    for name in ("astronaut.png", "Coffee.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ImageInputError, match=r"there is no file .*astronot.png.*Did you mean astronaut.png"):
        load_image(str(tmp_path / "astronot.png"), name="ref")
    with pytest.raises(ImageInputError, match=r"Did you mean Coffee.JPG"):
        load_image(tmp_path / "coffee.jpg", name="ref")
    with pytest.raises(ImageInputError, match="no folder"):
        load_image(tmp_path / "nowhere" / "a.png", name="ref")
    with pytest.raises(ImageInputError, match="it is a folder"):
        load_image(tmp_path, name="ref")
    (tmp_path / "notes.txt").write_text("hello there")
    with pytest.raises(ImageInputError, match=r"image = .*notes.txt: the file is text"):
        load_image(tmp_path / "notes.txt", name=str(tmp_path / "notes.txt"))


def test_a_failing_fetch_names_the_image() -> None:
    """What goes wrong while fetching a URL is said about that image; so is a fetch that nobody supplied."""

    def fetch(url: str) -> bytes:
        raise DownloadError("404 not found")

    with pytest.raises(ImageInputError, match=r"example.org/a.png.*404 not found"):
        load_image("https://example.org/a.png", name="https://example.org/a.png", fetch=fetch)
    with pytest.raises(ImageInputError, match="cannot be fetched here"):
        load_image("https://example.org/a.png", name="ref")
    with pytest.raises(ImageInputError, match="more than 10 MB"):
        load_image("https://example.org/a.png", name="ref", fetch=lambda _: b"\0" * (10 * 1024 * 1024 + 1))


@pytest.mark.parametrize(
    "value",
    [png_header(100_000, 100_000), Image.new("1", (12_000, 12_000)), np.broadcast_to(np.uint8(0), (60_000, 60_000))],
)
def test_a_decompression_bomb_is_refused_unopened(value: object) -> None:
    """More pixels than any photograph has are refused from the header, without Pillow's warning."""
    with pytest.raises(ImageInputError, match="million pixels"):
        load_image(value, name="bomb")


def test_bombs_of_other_formats_are_refused_too() -> None:
    """A format that only Pillow reads goes through the same limit."""
    with pytest.raises(ImageInputError, match="pixels"):
        load_image(b"P6 60000 60000 255\n" + b"\0" * 100, name="bomb")
    with pytest.raises(NotAPictureError) as caught:
        preview(png_header(50_000, 50_000), max_px=64)
    assert caught.value.kind == "too-large"


def test_an_object_that_fails_to_draw_is_named() -> None:
    """What foreign code raises while drawing becomes an error about that image."""

    class Broken:
        def _repr_png_(self) -> bytes:
            raise KeyError("no renderer")

    class Strange:
        def _repr_png_(self) -> bytes:
            return b"not a png"

    with pytest.raises(ImageInputError, match=r"could not draw itself.*no renderer"):
        load_image(Broken(), name="plot")
    with pytest.raises(ImageInputError, match="is no picture"):
        load_image(Strange(), name="plot")


def test_a_closed_picture_is_named(tmp_path: Path) -> None:
    """A lazily opened image whose file is gone is an error, not a traceback from Pillow."""
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))
    with Image.open(path) as picture:
        pass
    with pytest.raises(ImageInputError, match="cannot be decoded"):
        load_image(picture, name="photo")


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(WHOLE)), share=st.floats(0, 1, exclude_max=True))
@example(kind="JPEG", share=0.9999)
@example(kind="PNG", share=0.9999)
@example(kind="GIF", share=0.99999)
def test_a_file_cut_off_anywhere_is_refused(kind: str, share: float) -> None:
    """A truncated file is an error wherever it ends, for an upload and for a download."""
    whole = WHOLE[kind]
    cut = whole[: int(len(whole) * share)]
    with pytest.raises(ImageInputError):
        load_image(cut, name="photo")
    with pytest.raises(NotAPictureError):
        check_picture(cut, max_pixels=10**7)


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(WHOLE)), data=st.data())
def test_damaged_files_load_or_are_refused(kind: str, data: st.DataObject) -> None:
    """Flipped bytes give an upload that still decodes or an error of ours, never another exception."""
    damaged = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = load_image(bytes(damaged), name="photo")
    except ImageInputError:
        return
    assert 240 <= image.width_px <= 8000


MAGIC = [
    b"",
    *(whole[:n] for whole in WHOLE.values() for n in (4, 16, 30)),
    b"II*\0",
    b"MM\0*",
    b"P6 ",
    b"\0\0\0\x0cjP  ",
]
MAGIC += [b"\0\0\0\x1cftypavif", b"\0\0\1\0"]


@settings(max_examples=250, deadline=None)
@given(head=st.sampled_from(MAGIC), tail=st.binary(max_size=300))
def test_arbitrary_bytes_never_crash(head: bytes, tail: bytes) -> None:
    """Readers of bytes raise only their own error, whatever the bytes are."""
    data = head + tail
    mime_of(data)
    looks_like_image(data)
    kinds = set()
    for read in (probe, lambda d: check_picture(d, max_pixels=10**6), lambda d: preview(d, max_px=32)):
        try:
            read(data)
        except NotAPictureError as error:
            kinds.add(error.kind)
    assert kinds <= {"not-image", "truncated", "corrupt", "too-large"}
    with contextlib.suppress(ImageInputError):
        load_image(data, name="photo")


def test_a_flipped_bit_in_a_png_is_found() -> None:
    """Downloads are checked by all checksums, so that a damaged picture is fetched again while it can be."""
    whole = bytearray(WHOLE["PNG"])
    whole[len(whole) // 2] ^= 1
    with pytest.raises(NotAPictureError, match="checksum") as caught:
        check_picture(bytes(whole), max_pixels=10**6)
    assert caught.value.kind == "corrupt"


@pytest.mark.parametrize("kind", sorted(WHOLE))
def test_a_whole_picture_passes_the_check(kind: str) -> None:
    """The check gives format and size, and refuses more pixels than were ordered."""
    facts = check_picture(WHOLE[kind], max_pixels=256 * 240)
    assert (facts.width_px, facts.height_px) == (256, 240)
    assert facts == probe(WHOLE[kind])
    assert facts.mime == mime_of(WHOLE[kind])
    with pytest.raises(NotAPictureError, match="expected") as caught:
        check_picture(WHOLE[kind], max_pixels=256 * 240 - 1)
    assert caught.value.kind == "too-large"


@pytest.mark.parametrize("kind", ["TIFF", "AVIF", "JPEG2000", "PPM"])
def test_rarer_formats_are_pictures_too(kind: str) -> None:
    """Formats that Pillow alone knows are checked by decoding, and sent as PNG."""
    data = encoded(kind)
    assert check_picture(data, max_pixels=10**6).height_px == 240
    image = load_image(data, name="photo")
    assert (image.mime, image.width_px) == ("image/png", 256)
    with pytest.raises(ImageInputError):
        load_image(data[: len(data) // 2], name="photo")
