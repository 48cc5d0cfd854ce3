"""Anything a person calls an image becomes one upload that the service accepts, or one exact error."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image, ImageCms

from wan_notebook.errors import ImageInputError
from wan_notebook.images import describe, load_image
from wan_notebook.inputs import InputImage

LIMIT = 10 * 1024 * 1024


def gradient(width: int = 320, height: int = 256, mode: str = "RGB") -> Image.Image:
    """A picture whose every corner differs, so that a turned or mirrored one is noticed."""
    red = Image.linear_gradient("L").resize((width, height))
    blue = red.transpose(Image.Transpose.ROTATE_90).resize((width, height))
    return Image.merge("RGB", (red, Image.new("L", (width, height), 60), blue)).convert(mode)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels_of(image: InputImage) -> Image.Image:
    """What the service would see."""
    with Image.open(io.BytesIO(image.data)) as picture:
        return picture.convert("RGB")


def assert_sendable(image: InputImage) -> None:
    """What the service accepts (sides, bytes, format) and what privacy asks (no metadata at all)."""
    assert image.mime in ("image/jpeg", "image/png", "image/webp", "image/bmp")
    assert len(image.data) <= LIMIT
    assert 240 <= image.width_px <= 8000
    assert 240 <= image.height_px <= 8000
    with Image.open(io.BytesIO(image.data)) as picture:
        picture.load()
        assert (picture.mode, picture.size) == ("RGB", (image.width_px, image.height_px))
        assert not picture.getexif()
        assert not set(picture.info) & {"icc_profile", "xmp", "exif", "comment", "photoshop", "parameters"}
    assert load_image(image.data, name="again").data is image.data  # clean: nothing is left to remove


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 90}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
    ],
)
def test_clean_files_pass_byte_for_byte(kind: str, options: dict[str, object]) -> None:
    """What is already acceptable and clean is sent byte for byte: the very object that was given."""
    data = encoded(gradient(), kind, **options)
    image = load_image(data, name="photo")
    assert image.data is data
    assert image.notes == ()
    assert image.identity == f"bytes:sha256:{hashlib.sha256(data).hexdigest()}"
    assert_sendable(image)


def test_every_way_to_give_bytes_is_the_same_picture(tmp_path: Path) -> None:
    """A path, a data URL, a URL, bytes and their relatives have one identity: that of the original bytes."""
    data = encoded(gradient(), "JPEG")
    path = tmp_path / "a photo.jpg"
    path.write_bytes(data)
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return data

    url = "https://example.org/p.jpg?Signature=s3cret"
    given_as = [
        data,
        bytearray(data),
        memoryview(data),
        io.BytesIO(data),
        path,
        str(path),
        f"data:image/jpeg;base64,{base64.b64encode(data).decode()}",
        url,
    ]
    images = [load_image(value, name="photo", fetch=fetch) for value in given_as]
    assert {image.data for image in images} == {data}
    assert len({image.identity for image in images}) == 1
    assert asked == [url]


def test_a_name_never_carries_a_signature_or_a_whole_picture() -> None:
    """The name goes into records: a URL loses its query and password, a data URL its content."""
    data = encoded(gradient(), "PNG")
    url = "https://user:pw@example.org/a/p.png?Signature=s3cret#x"
    assert load_image(url, name=url, fetch=lambda _: data).name == "https://example.org/a/p.png"
    inline = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    assert load_image(inline, name=inline).name == "data:image/png URL"


def test_an_input_image_passes_unchanged() -> None:
    """What was checked before is not checked again."""
    image = load_image(gradient(), name="photo")
    assert load_image(image, name="other") is image


def test_pictures_in_memory_are_known_by_their_pixels() -> None:
    """PIL, NumPy and float arrays of the same pixels are one identity, whatever encoder made the upload."""
    picture = gradient()
    array = np.asarray(picture)
    images = [load_image(value, name="photo") for value in (picture, array, array / 255.0, array.astype("f4") / 255)]
    assert len({image.identity for image in images}) == 1
    expected = hashlib.sha256(b"RGB 320x256\n" + picture.tobytes()).hexdigest()
    assert images[0].identity == f"pixels:sha256:{expected}"
    for image in images:
        assert pixels_of(image).tobytes() == picture.tobytes()
        assert_sendable(image)
    assert load_image(gradient(321), name="photo").identity != images[0].identity


def test_the_same_indices_with_another_palette_are_another_picture() -> None:
    """Identity takes in all that changes what is seen."""
    one, two = Image.new("P", (300, 300), 1), Image.new("P", (300, 300), 1)
    one.putpalette([0, 0, 0, 255, 0, 0])
    two.putpalette([0, 0, 0, 0, 255, 0])
    first, second = load_image(one, name="a"), load_image(two, name="b")
    assert first.identity != second.identity
    assert pixels_of(first).getpixel((5, 5)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    """CMYK, palette, 16-bit, grey with alpha and the rest become plain RGB."""
    source = gradient(mode="L" if mode in ("I;16", "I", "F", "PA") else "RGB")
    picture = source.convert("LA").convert("PA") if mode == "PA" else source.convert(mode)
    image = load_image(picture, name="photo")
    assert_sendable(image)
    assert image.mime == "image/png"


@pytest.mark.parametrize(
    ("mode", "value", "grey"),
    [
        ("I;16", 65535, 255),
        ("I;16", 32896, 128),
        ("I", 200, 200),
        ("I", 65535, 255),
        ("F", 0.5, 128),
        ("F", 100.0, 100),
    ],
)
def test_wide_grey_is_scaled_not_clipped(mode: str, value: float, grey: int) -> None:
    """16-bit and float pictures keep their brightness."""
    image = load_image(Image.new(mode, (300, 300), value), name="scan")
    assert pixels_of(image).getpixel((9, 9)) == (grey, grey, grey)


def test_transparency_becomes_white() -> None:
    """A clear pixel is white in the upload, whatever colour hides beneath it; the note says so."""
    picture = Image.new("RGBA", (300, 300), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 150, 300))
    for value in (picture, encoded(picture, "PNG"), encoded(picture, "WEBP", lossless=True)):
        image = load_image(value, name="logo")
        assert pixels_of(image).getpixel((200, 9)) == (255, 255, 255)
        assert pixels_of(image).getpixel((9, 9)) == (0, 0, 255)
        assert image.notes == ("transparency flattened on white",)
        assert_sendable(image)


def test_opaque_alpha_is_no_change_to_speak_of() -> None:
    """An alpha channel that hides nothing is dropped without a note."""
    assert load_image(gradient(mode="RGBA"), name="photo").notes == ()


def test_a_transparent_colour_of_rgb_and_palette_is_flattened() -> None:
    """The tRNS chunk is transparency too."""
    plain = encoded(Image.new("RGB", (300, 300), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert pixels_of(load_image(plain, name="a")).getpixel((9, 9)) == (255, 255, 255)
    palette = Image.new("P", (300, 300), 0)
    palette.putpalette([1, 2, 3])
    indexed = encoded(palette, "PNG", transparency=0)
    assert pixels_of(load_image(indexed, name="b")).getpixel((9, 9)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_sent(kind: str) -> None:
    """Animated files become plain RGB, first frame."""
    frames = [Image.new("RGB", (300, 300), colour) for colour in ("red", "green", "blue")]
    extra = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **extra)
    image = load_image(data, name="film")
    assert pixels_of(image).getpixel((9, 9)) == (255, 0, 0)
    assert image.notes[0] == "first frame of several"
    assert_sendable(image)


def test_a_figure_draws_itself() -> None:
    """A matplotlib figure, its axes and anything with a PNG representation are images."""
    figure = Figure(figsize=(4, 3), dpi=100)
    axes = figure.add_subplot()
    axes.plot([1, 2, 1])
    for value in (figure, axes):
        image = load_image(value, name="figure")
        assert (image.width_px, image.height_px) == (400, 300)
        assert image.identity.startswith("pixels:")
        assert_sendable(image)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_what_an_object_draws_is_sent_byte_for_byte(kind: str) -> None:
    """A clean PNG or JPEG is not encoded again; the picture is known by its pixels, as drawing again may differ."""
    buffer, other = io.BytesIO(), io.BytesIO()
    gradient().save(buffer, kind, optimize=True)
    Image.open(io.BytesIO(buffer.getvalue())).save(other, "PNG")

    def drawing(content: bytes) -> object:
        return type("Drawing", (), {"_repr_png_": lambda _: content})()

    image = load_image(drawing(buffer.getvalue()), name="plot")
    assert image.data == buffer.getvalue()
    assert image.identity == load_image(drawing(other.getvalue()), name="plot").identity


@pytest.mark.parametrize("as_text", [False, True])
def test_rich_objects_are_images(as_text: bool) -> None:
    """``_repr_png_``, ``_repr_jpeg_`` and ``_repr_mimebundle_``, as bytes or base64, with or without metadata."""
    png, jpeg = encoded(gradient(), "PNG"), encoded(gradient(), "JPEG")

    def wire(data: bytes) -> bytes | str:
        return base64.b64encode(data).decode() if as_text else data

    class WithPng:
        def _repr_png_(self) -> object:
            return wire(png)

    class WithJpeg:
        def _repr_png_(self) -> None:
            return None

        def _repr_jpeg_(self) -> object:
            return wire(jpeg), {"width": 3}

    class WithBundle:
        def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> object:
            return {"text/plain": "x", "image/png": wire(png)}, {}

    for value in (WithPng(), WithJpeg(), WithBundle()):
        assert_sendable(load_image(value, name="thing"))
    assert pixels_of(load_image(WithPng(), name="thing")).tobytes() == gradient().tobytes()


def test_a_user_s_picture_is_left_as_it_was() -> None:
    """Loading copies: the person's own object keeps its pixels, its mode and its info."""
    picture = Image.open(io.BytesIO(encoded(gradient(), "JPEG", comment="mine", dpi=(300, 300))))
    before = dict(picture.info)
    assert_sendable(load_image(picture, name="photo"))
    assert picture.info == before
    assert picture.mode == "RGB"


def test_a_profile_other_than_srgb_is_converted_and_dropped() -> None:
    """Colours stay what they were: a wide profile is converted, an sRGB profile is simply dropped."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(gradient(), "JPEG", icc_profile=srgb, quality=95)
    image = load_image(data, name="photo")
    assert image.notes == ("metadata removed",)
    assert pixels_of(image).tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()
    # The same profile with red and blue primaries exchanged: channels must change places.
    swapped = srgb.replace(b"rXYZ", b"tmp0").replace(b"bXYZ", b"rXYZ").replace(b"tmp0", b"bXYZ")
    for kind in ("JPEG", "PNG", "WEBP"):
        odd = load_image(encoded(Image.new("RGB", (300, 300), "red"), kind, icc_profile=swapped), name="photo")
        assert odd.notes == ("colours converted to sRGB",)
        red, _, blue = pixels_of(odd).getpixel((9, 9))
        assert blue > 240 > 20 > red
        assert_sendable(odd)


def test_description_is_short() -> None:
    """One line names what is sent."""
    image = load_image(encoded(gradient(), "JPEG"), name="photo")
    assert describe(image).startswith("photo (320×256 JPEG, ")


@settings(max_examples=40, deadline=None)
@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"]),
    size=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    kind=st.sampled_from([None, "PNG", "TIFF"]),
    seed=st.integers(0, 255),
)
def test_any_mode_and_size_is_sendable_or_a_named_error(
    mode: str, size: tuple[int, int], kind: str | None, seed: int
) -> None:
    """Whatever the picture, there are two outcomes: an upload that fits all rules, or an error that names it."""
    noise = np.random.default_rng(seed).integers(0, 256, size[0] * size[1] * 4, dtype=np.uint8).tobytes()
    needed = len(Image.new(mode, size).tobytes())
    picture = Image.frombytes(mode, size, noise[:needed])
    value: object = picture
    if kind is not None and (kind, mode) not in {("PNG", "CMYK"), ("PNG", "YCbCr"), ("PNG", "F"), ("PNG", "I")}:
        value = encoded(picture, kind)
    if min(size) < 240:
        with pytest.raises(ImageInputError, match=r"image = photo: it is .* each side must be at least 240 px"):
            load_image(value, name="photo")
        return
    try:
        image = load_image(value, name="photo")
    except ImageInputError:
        assert mode == "F"  # random bits hold NaN
    else:
        assert_sendable(image)
