"""An upload is changed as little as possible: stripped without loss, reduced just enough, with a note that says so."""

import pytest
from PIL import Image, PngImagePlugin

from tests.fakes.pictures import SRGB, decoded, encoded, exif, gradient, noise
from wan_notebook.errors import ImageInputError
from wan_notebook.images import InputImage, PendingImage, fit_request_body, load_image

LIMIT = 10 * 1024 * 1024


@pytest.mark.parametrize("kind", ["JPEG", "progressive", "PNG", "WEBP", "lossless"])
def test_clean_files_pass_byte_for_byte(kind: str) -> None:
    """What is already acceptable and clean is sent byte for byte: the very object that was given."""
    options = {"progressive": {"kind": "JPEG", "progressive": True}, "lossless": {"kind": "WEBP", "lossless": True}}
    data = encoded(**options.get(kind, {"kind": kind}))
    image = load_image(data, name="photo")
    assert image.data is data
    assert image.notes == ()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_metadata_goes_without_touching_a_pixel(kind: str) -> None:
    """Exif, GPS, XMP, comments and text are never sent; a PNG or JPEG stays the file without them, byte for byte."""
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "secret prompt")
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta secret/>")
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    extra = {"pnginfo": text} if kind == "PNG" else {"xmp": b"<x:xmpmeta secret/>"}
    extra |= {"comment": "secret"} if kind == "JPEG" else {}
    data = encoded(kind=kind, **options, exif=exif(), **extra) + b"\0secret video"
    image = load_image(data, name="photo")
    assert b"secret" in data
    assert b"secret" not in image.data
    if kind == "WEBP":
        assert decoded(image.data).tobytes() == decoded(data).tobytes()
    else:
        assert image.data == encoded(kind=kind)
        assert image.notes == ("metadata removed",)


def test_jpeg_segments_that_hold_more_than_the_picture() -> None:
    """IPTC, maker segments, broken Exif, a JFIF thumbnail and further pictures go; what decoding needs stays."""
    bare, jfif_end = encoded(kind="JPEG"), 20
    thumbnail = bare[:4] + (16 + 27).to_bytes(2) + bare[6:18] + b"\x03\x03" + b"T" * 27
    iptc, jfxx = b"\xff\xed\x00\x10Photoshop 3.0\0", b"\xff\xe0\x00\x10JFXX\0\x13TTTTTTTT"
    broken = b"\xff\xe1\x00\x20Exif\0\0II*\0\xff\xff\xff\xff" + b"\xee" * 16
    assert load_image(thumbnail + iptc + jfxx + broken + b"\xff\xff\xff" + bare[jfif_end:], name="photo").data == bare
    adobe = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\x01"
    with_adobe = bare[:jfif_end] + adobe + bare[jfif_end:]
    assert load_image(with_adobe, name="photo").data is with_adobe
    image = load_image(encoded(kind="MPO", save_all=True, append_images=[gradient(400, 400)]), name="phone")
    assert (image.mime, image.width_px, image.notes) == ("image/jpeg", 320, ("metadata removed",))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "AVIF"])
def test_other_formats_and_grey_become_rgb(kind: str) -> None:
    """What the service does not name, or names as RGB only, is encoded anew; a lossy file stays one."""
    for picture in (gradient(mode="L"), gradient()):
        image = load_image(encoded(picture, kind), name="photo")
        assert image.mime == ("image/jpeg" if kind == "JPEG" else "image/png")
        assert image.notes == ()
    cmyk = load_image(encoded(Image.new("CMYK", (300, 300), (0, 255, 255, 0)), "JPEG", quality=95), name="print")
    red, green, blue = decoded(cmyk.data).getpixel((5, 5))
    assert (red > 240, green < 20, blue < 20, cmyk.mime) == (True, True, True, "image/jpeg")


@pytest.mark.parametrize(
    ("size", "reduced"), [((9000, 600), "8000×533"), ((8001, 300), "8000×300"), ((260, 8400), "248×8000")]
)
def test_long_sides_are_reduced_just_enough(size: tuple[int, int], reduced: str) -> None:
    """8000 px is the most a side may have; the note says what was done."""
    image = load_image(encoded(Image.new("RGB", size, "navy"), "JPEG", icc_profile=SRGB), name="wall")
    assert f"{image.width_px}×{image.height_px}" == reduced
    assert [note[:40].startswith(f"reduced from {size[0]}×{size[1]} to {reduced}") for note in image.notes] == [True]
    assert image.mime == "image/jpeg"


def test_large_files_are_reduced_just_enough() -> None:
    """Over 10 MiB a lossless picture becomes a JPEG of the same size; what only packs badly is packed better."""
    data = encoded(noise(2048, 1900), compress_level=0)
    image = load_image(data, name="noise")
    assert len(image.data) <= LIMIT < len(data)
    assert (image.width_px, image.height_px, image.mime) == (2048, 1900, "image/jpeg")
    assert "as JPEG (at most 8000 px a side and 10.5 MB a file)" in image.notes[0]
    plan = load_image(encoded(Image.new("RGB", (2400, 1600), "navy"), "BMP"), name="plan")
    assert (plan.mime, plan.width_px, plan.notes) == ("image/png", 2400, ())
    bare = encoded(kind="JPEG")
    assert load_image(bare + b"\0" * (LIMIT + 1), name="motion").data == bare


def upload(name: str, size: tuple[int, int], kind: str = "PNG", **options: object) -> InputImage:
    """A picture that is large for its size."""
    return load_image(encoded(noise(*size), kind, **options), name=name)


def test_the_largest_is_encoded_first_and_never_resized() -> None:
    """Together within the limit: as JPEG of quality 95, one after the other, with a note and the same identity."""
    small, large = upload("small", (300, 300)), upload("large", (600, 500))
    limit = len(small.data) + len(large.data) - 1000
    kept, pending, made = fit_request_body((small, PendingImage(name="p", job_id="a"), large), limit)
    assert kept is small
    assert isinstance(pending, PendingImage)
    assert isinstance(made, InputImage)
    assert (made.mime, made.width_px, made.height_px) == ("image/jpeg", 600, 500)
    assert (made.identity, decoded(made.data).size) == (large.identity, (600, 500))
    assert len(small.data) + len(made.data) <= limit
    assert [note.startswith("large: ") and "JPEG of quality 95" in note for note in made.notes] == [True]


def test_what_still_does_not_fit_is_refused() -> None:
    """The error names the largest picture, the sum and the limit; a JPEG that would only grow stays."""
    images = (upload("a", (400, 400)), upload("b", (600, 600), "JPEG", quality=100), upload("c", (300, 300)))
    with pytest.raises(ImageInputError, match=r"image = [ab]: the pictures have .* together, and 50.0 KB are allowed"):
        fit_request_body(images, 50_000)
