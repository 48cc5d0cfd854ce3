"""An upload is changed as little as possible: stripped without loss, reduced just enough, with a note that says so."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from wan_notebook.images import load_image
from wan_notebook.inputs import InputImage

LIMIT = 10 * 1024 * 1024


def gradient(size: tuple[int, int] = (320, 256)) -> Image.Image:
    """A picture whose every corner differs."""
    red = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (red, Image.new("L", size, 60), Image.radial_gradient("L").resize(size)))


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels_of(image: InputImage) -> bytes:
    """What the service would see."""
    with Image.open(io.BytesIO(image.data)) as picture:
        assert picture.mode == "RGB"
        return picture.tobytes()


def exif(orientation: int = 1) -> Image.Exif:
    """Exif as a camera writes it, with a place in it."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = "secret"
    tags.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 0.0), 29: "secret"})
    return tags


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_metadata_goes_without_touching_a_pixel(kind: str) -> None:
    """Exif, GPS, XMP, comments and text are cut out of the file; what stays is the file without them, byte for byte."""
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    bare = encoded(gradient(), kind, **options)
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "secret prompt")
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta secret/>")
    if kind == "JPEG":
        extra = {"comment": "secret", "xmp": b"<x:xmpmeta secret/>"}
    else:
        extra = {"pnginfo": text} if kind == "PNG" else {"xmp": b"<x:xmpmeta secret/>"}
    data = encoded(gradient(), kind, **options, exif=exif(), **extra)
    assert b"secret" in data
    image = load_image(data, name="photo")
    assert image.data == bare
    assert image.notes == ("metadata removed",)
    assert b"secret" not in image.data


def test_what_follows_the_picture_goes_too() -> None:
    """Bytes after the end of the image are metadata of some kind (a second picture, a video): never sent."""
    for kind in ("JPEG", "PNG", "WEBP", "BMP"):
        bare = encoded(gradient(), kind)
        image = load_image(bare + b"\0secret video", name="photo")
        assert image.data == bare


def test_jpeg_segments_that_hold_more_than_the_picture() -> None:
    """IPTC, maker segments, a JFIF thumbnail and a long Adobe segment go; what decoding needs stays."""
    bare = encoded(gradient(), "JPEG")
    jfif_end = 20
    assert bare[2:4] == b"\xff\xe0"
    thumbnail = bare[:4] + (16 + 27).to_bytes(2) + bare[6:18] + b"\x03\x03" + b"T" * 27
    iptc = b"\xff\xed\x00\x10Photoshop 3.0\0"
    jfxx = b"\xff\xe0\x00\x10JFXX\0\x13TTTTTTTT"
    image = load_image(thumbnail + iptc + jfxx + bare[jfif_end:], name="photo")
    assert image.data == bare
    adobe = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\x01"
    with_adobe = bare[:jfif_end] + adobe + bare[jfif_end:]
    assert load_image(with_adobe, name="photo").data is with_adobe
    longer = bare[:jfif_end] + b"\xff\xee\x00\x14" + adobe[4:] + b"secret" + bare[jfif_end:]
    assert load_image(longer, name="photo").data == with_adobe


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_applied(kind: str, orientation: int) -> None:
    """What the camera says about up is done to the pixels, because the service may ignore Exif."""
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    upright = gradient()
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)  # Transpose that a viewer would undo
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    for value in (encoded(stored, kind, exif=exif(orientation), **options),):
        image = load_image(value, name="photo")
        opened = load_image(Image.open(io.BytesIO(value)), name="photo")
        for result in (image, opened):
            assert (result.width_px, result.height_px) == upright.size
            difference = [abs(a - b) for a, b in zip(pixels_of(result), upright.tobytes(), strict=True)]
            assert sum(difference) / len(difference) < 3
        turned = "turned upright as its Exif says"
        assert (turned in image.notes) == (orientation != 1)
        assert b"secret" not in image.data


def test_broken_exif_does_not_cost_the_picture() -> None:
    """Exif that cannot be read counts as none."""
    bare = encoded(gradient(), "JPEG")
    broken = bare[:2] + b"\xff\xe1\x00\x20Exif\0\0II*\0\xff\xff\xff\xff" + b"\xee" * 16 + bare[2:]
    assert load_image(broken, name="photo").data == bare


def test_grey_files_become_rgb() -> None:
    """The service's list says nothing of grey pictures, so they are sent as what it names: RGB."""
    for kind in ("JPEG", "PNG"):
        image = load_image(encoded(gradient().convert("L"), kind), name="photo")
        assert pixels_of(image)
        assert image.mime == f"image/{kind.lower()}"


def test_cmyk_jpegs_keep_their_colours() -> None:
    """A print file becomes RGB, still as JPEG."""
    data = encoded(Image.new("CMYK", (300, 300), (0, 255, 255, 0)), "JPEG", quality=95)
    image = load_image(data, name="print")
    red, green, blue = pixels_of(image)[:3]
    assert (red > 240, green < 20, blue < 20, image.mime) == (True, True, True, "image/jpeg")


def test_sixteen_bit_files_become_eight_bit() -> None:
    """A 16-bit grey PNG is scaled, not clipped."""
    data = encoded(Image.new("I;16", (300, 300), 32896), "PNG")
    assert pixels_of(load_image(data, name="scan"))[:3] == bytes((128, 128, 128))


def test_an_srgb_png_profile_is_dropped_without_loss() -> None:
    """The common profile says nothing that the service would not assume."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in ("PNG", "WEBP"):
        bare = encoded(gradient(), kind)
        assert load_image(encoded(gradient(), kind, icc_profile=srgb), name="photo").data == bare


@pytest.mark.parametrize(
    ("size", "reduced"), [((9000, 6000), "8000×5333"), ((8001, 300), "8000×300"), ((260, 8400), "248×8000")]
)
def test_long_sides_are_reduced_just_enough(size: tuple[int, int], reduced: str) -> None:
    """8000 px is the most a side may have; the note says what was done."""
    image = load_image(encoded(Image.new("RGB", size, "navy"), "JPEG"), name="wall")
    assert f"{image.width_px}×{image.height_px}" == reduced
    assert image.notes == (f"reduced from {size[0]}×{size[1]} to {reduced} (at most 8000 px a side)",)
    assert image.mime == "image/jpeg"


def noise(size: tuple[int, int]) -> Image.Image:
    """The worst that a PNG can meet."""
    return Image.frombytes("RGB", size, random.Random(5).randbytes(size[0] * size[1] * 3))  # noqa: S311


def test_large_files_are_reduced_just_enough() -> None:
    """Over 10 MB: a lossless picture becomes JPEG of the same size; the note says from what to what."""
    data = encoded(noise((2048, 1900)), "PNG", compress_level=1)
    assert len(data) > LIMIT
    image = load_image(data, name="noise")
    assert len(image.data) <= LIMIT
    assert (image.width_px, image.height_px, image.mime) == (2048, 1900, "image/jpeg")
    assert image.notes[0].startswith(f"reduced from {len(data) / 1024**2:.1f} MB to ")
    assert image.notes[0].endswith("(at most 10 MB a file): JPEG of quality 95")


def test_a_large_bmp_of_few_colours_stays_lossless() -> None:
    """A plain format that only packs badly is packed better, not thrown into JPEG."""
    data = encoded(Image.new("RGB", (2400, 1600), "navy"), "BMP")
    assert len(data) > LIMIT
    image = load_image(data, name="plan")
    assert (image.mime, image.width_px) == ("image/png", 2400)
    assert image.notes[0].endswith("PNG")


def test_pixels_go_only_when_quality_does_not_suffice() -> None:
    """The last resort is fewer pixels, in the same shape."""
    image = load_image(noise((4200, 3900)), name="noise")
    assert LIMIT * 0.7 < len(image.data) <= LIMIT
    assert image.width_px / image.height_px == pytest.approx(4200 / 3900, rel=0.01)
    assert image.notes == (f"reduced from 4200×3900 to {image.width_px}×{image.height_px} (at most 10 MB a file)",)


def test_metadata_that_makes_a_file_too_large_is_all_that_goes() -> None:
    """A small picture with a large thumbnail or video behind it is not reduced."""
    bare = encoded(gradient(), "JPEG")
    assert load_image(bare + b"\0" * (LIMIT + 1), name="motion").data == bare
