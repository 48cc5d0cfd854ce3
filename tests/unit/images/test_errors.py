"""What is not a usable picture is one short error that names it and says what to do; hostile bytes never crash."""

import base64
import contextlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from tests.fakes.pictures import bomb, encoded, gradient, png_with_texts
from wan_notebook.errors import DownloadError, ImageInputError
from wan_notebook.images import BadImageError, image_info, load_image, looks_like_image, open_image, thumbnail

SMALL = gradient(256, 240)
OPTIONS: dict[str, dict[str, object]] = {
    "progressive": {"kind": "JPEG", "progressive": True},
    "lossless": {"kind": "WEBP", "lossless": True},
    "extended": {"kind": "WEBP", "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"},
}
KINDS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM", *OPTIONS)
WHOLE = {kind: encoded(SMALL, **OPTIONS.get(kind, {"kind": kind})) for kind in KINDS}  # type: ignore[arg-type]
WHOLE["GIF"] = WHOLE["GIF"][:-2]  # nobody misses its trailer
TEXT_BASE64 = base64.b64encode(WHOLE["PNG"]).decode()


def made(name: str, **methods: object) -> object:
    """Return an object of a new class with these methods or attributes."""
    return type(name, (), methods)()


def fail(*_: object, **__: object) -> None:
    """Stand for a method that cannot do what its class offers."""
    raise TypeError("no renderer")


CUDA = made("Cuda", numpy=fail)  # a tensor that lives elsewhere
TABLE = made("Table", columns=("a", "b"), __array__=lambda _: np.zeros((300, 300)))
STRANGE = made("Strange", _repr_png_=lambda _: b"not a png")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"", "the file is empty"),
        ("é".encode() * 600, "is text, not a picture"),
        (b"<!DOCTYPE html><html>", "is an HTML page"),
        (b"<?xml version='1.0'?><svg>", "export it as PNG"),
        (b"\0\0\0\x18ftypisom" + b"\0" * 40, "is a video"),
        (bytes(range(256)), "not in a known picture format"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 12, "a HEIC picture, which cannot be read here.*pillow_heif"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer.*git lfs pull"),
        (None, "it is of type NoneType, not a picture"),
        ([1, 2], r"it holds 2 values, and one picture is needed. Choose one: photo\[0\]"),
        ({"one": 1, "two": 2}, r"Choose one: photo\['one'\]"),
        (object(), "it is of type object, not a picture"),
        (TABLE, "it is of type Table, not a picture"),
        (CUDA, r"it cannot be read \(TypeError: no renderer\)"),
        (STRANGE, "the file is text"),
        (io.StringIO("text"), r"open as text. Open it with open\(path, 'rb'\)"),
        ("", "it is not a file"),
        ("x" * 5000, "cannot be read"),
        (TEXT_BASE64[:-9] + "*" + TEXT_BASE64[-8:], "base64"),
        (TEXT_BASE64[:-40], "cut off"),
        (Image.new("RGB", (239, 5000)), "239×5000 px; each side must have 240 to 8000 px"),
        (encoded(Image.new("RGB", (100, 50))), "Enlarge it, or crop it"),
        (Image.new("RGB", (9000, 250)), "crop it to at most 33:1"),
        (np.zeros((300, 300, 2), "u1"), "a picture is H×W"),
        (np.zeros((300, 0), "u1"), "it is 0×300 px"),
        (np.zeros((300, 300), "U3"), "pixels are uint8, or float from 0 to 1"),
        (WHOLE["JPEG"][:-9], "cut off"),
        (WHOLE["PNG"].replace(b"IDAT", b"IDAU"), "cannot be read"),
        ("file:///nowhere/a.png", "there is no file /nowhere/a.png"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_bad_input_is_one_exact_message(value: object, message: str) -> None:
    """Each error names the picture, says what it is, and what to do."""
    with pytest.raises(ImageInputError, match=message) as caught:
        load_image(value, name="photo")
    assert (caught.value.problems[0].field, caught.value.problems[0].value) == ("image", "photo")
    assert caught.value.problems[0].hint


def test_a_path_that_is_no_file_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip is answered with a path that works as it stands; opening a pipe would wait for ever."""
    work = tmp_path / "deep"
    work.mkdir()
    monkeypatch.chdir(work)
    for name in ("astronaut.png", "Coffee.JPG"):
        (work / name).write_bytes(WHOLE["PNG"])
    (tmp_path / "cat.png").write_bytes(WHOLE["PNG"])
    slips = {"astronot.png": "astronaut.png", "coffee.jpg": "Coffee.JPG", "cat.png": "../cat.png"}
    for typed, meant in {**slips, str(work / "astronot.png"): str(work / "astronaut.png")}.items():
        with pytest.raises(ImageInputError, match="there is no file") as caught:
            load_image(typed, name="ref")
        assert caught.value.problems[0].hint == f"Did you mean {meant}?"
        assert load_image(meant, name="ref").data
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", Path("/dev/zero"), tmp_path):
        with pytest.raises(ImageInputError, match="it is not a file"):
            load_image(path, name="ref")


def test_a_failing_fetch_names_the_image() -> None:
    """What goes wrong while fetching is said about that picture, in the server's words."""

    def fetch(url: str) -> bytes:
        raise DownloadError("HTTP 403: bots not allowed.")

    with pytest.raises(ImageInputError, match=r"HTTP 403: bots not allowed\. Save the picture"):
        load_image("https://example.org/a.png", name="ref", fetch=fetch)
    with pytest.raises(ImageInputError, match="cannot be fetched here"):
        load_image("https://example.org/a.png", name="ref")


def test_a_decompression_bomb_is_refused_unopened() -> None:
    """More pixels than any photograph has are refused from the header."""
    files = (bomb(), b"P6 60000 60000 255\n" + b"\0" * 100)
    for value in (*files, Image.new("1", (12_000, 12_000)), np.broadcast_to(np.uint8(0), (60_000, 60_000))):
        with pytest.raises(ImageInputError, match=r"it declares .* pixels"):
            load_image(value, name="bomb")
    for data in files:
        for read in (image_info, open_image, lambda data: thumbnail(data, max_px=64)):
            with pytest.raises(BadImageError) as caught:
                read(data)
            assert caught.value.kind == "too-large"


@given(kind=st.sampled_from(sorted(WHOLE)), share=st.floats(0, 1, exclude_max=True))
@example(kind="JPEG", share=0.9999)
@example(kind="PNG", share=0.9999)
@example(kind="progressive", share=0.767578125)  # within the header of a segment
def test_a_file_cut_off_anywhere_is_refused(kind: str, share: float) -> None:
    """A truncated file is an error wherever it ends, for an upload and for a download."""
    cut = WHOLE[kind][: int(len(WHOLE[kind]) * share)]
    with pytest.raises(ImageInputError):
        load_image(cut, name="photo")
    with pytest.raises(BadImageError) as caught:
        image_info(cut)
    if len(cut) > 100 and kind in ("JPEG", "progressive", "PNG"):
        assert caught.value.kind == "truncated"


def test_a_cut_jpeg_is_refused_whatever_pillow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that lets Pillow load cut files must not make us take half a download for a picture."""
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    for kind in ("JPEG", "progressive", "PNG"):
        with pytest.raises(BadImageError):
            image_info(WHOLE[kind][:-300])


@given(kind=st.sampled_from(sorted(WHOLE)), data=st.data(), tail=st.binary(max_size=300))
def test_damaged_and_arbitrary_bytes_load_or_are_refused(kind: str, data: st.DataObject, tail: bytes) -> None:
    """Flipped bytes, or any behind a known beginning, give a picture or an error of ours, never another exception."""
    damaged = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    for value in (bytes(damaged), WHOLE[kind][: data.draw(st.sampled_from([0, 4, 16, 30]))] + tail):
        looks_like_image(value)
        for read in (image_info, open_image, lambda data: thumbnail(data, max_px=32)):
            with contextlib.suppress(BadImageError):
                read(value)
        with contextlib.suppress(ImageInputError):
            assert 240 <= load_image(value, name="photo").width_px <= 8000


@pytest.mark.parametrize("kind", sorted(WHOLE))
def test_a_download_is_checked_whole(kind: str) -> None:
    """The check gives format and size, refuses more pixels than were ordered, and finds a flipped bit in a PNG."""
    mime, *size = image_info(WHOLE[kind], max_pixels=256 * 240)
    assert (mime[:6], size) == ("image/", [256, 240])
    damaged = bytearray(WHOLE["PNG"])
    damaged[len(damaged) // 2] ^= 1
    for data, fault in ((WHOLE[kind], "too-large"), (bytes(damaged), "corrupt")):
        with pytest.raises(BadImageError) as caught:
            image_info(data, max_pixels=256 * 240 - (fault == "too-large"))
        assert caught.value.kind == fault


def test_megabytes_of_chunks_and_fill_bytes_end_soon() -> None:
    """Files made of nothing but structure cost a bounded time."""
    many = WHOLE["PNG"][:33] + b"\0\0\0\0tEXt\0\0\0\0" * 110_000
    for data in (many, b"\xff\xd8" + b"\xff" * 1_000_000, b"\xff\xd8" + b"\xff\xfe\0\2" * 110_000):
        with pytest.raises(BadImageError):
            image_info(data)
    assert image_info(png_with_texts(**{f"k{n}": "x" * 2000 for n in range(500)}))[0] == "image/png"
