"""Anything a person calls a picture becomes one upload that the service accepts, with a frozen identity."""

import base64
import datetime
import hashlib
import io
import re
import types
import unicodedata
from pathlib import Path

import IPython.display
import ipywidgets
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tests.fakes.pictures import SRGB, SWAPPED, decoded, encoded, exif, gradient
from wan_notebook.errors import ImageInputError
from wan_notebook.images import InputImage, former_identity, load_image, pixel_identity

LIMIT = 10 * 1024 * 1024
NOW = datetime.datetime.now(tz=datetime.UTC)
PNG, JPEG = encoded(), encoded(kind="JPEG")


def shot(value: object, **options: object) -> Image.Image:
    """What the service would see."""
    return decoded(load_image(value, name="photo", **options).data)


def assert_sendable(image: InputImage) -> None:
    """What the service accepts (sides, bytes, format) and what privacy asks (no metadata at all)."""
    assert image.mime in ("image/jpeg", "image/png", "image/webp")
    assert len(image.data) <= LIMIT
    assert 240 <= min(image.width_px, image.height_px) <= max(image.width_px, image.height_px) <= 8000
    with Image.open(io.BytesIO(image.data)) as picture:
        picture.load()
        assert (picture.mode, picture.size) == ("RGB", (image.width_px, image.height_px))
        assert not picture.getexif()
        assert not set(picture.info) & {"icc_profile", "xmp", "exif", "comment", "photoshop", "parameters"}
    assert load_image(image.data, name="again").data is image.data  # clean: nothing is left to remove


# ------------------------------------------------------------------ what may be given


def test_every_way_to_give_bytes_is_the_same_picture(tmp_path: Path) -> None:
    """Paths, addresses, open files, uploads, base64 and encoded arrays are known by the picture's original bytes."""
    path = tmp_path / "a photo.jpg"
    path.write_bytes(JPEG)
    text = base64.b64encode(JPEG).decode()
    url_safe = base64.urlsafe_b64encode(JPEG).decode().rstrip("=")
    item = {"name": "a.jpg", "type": "image/jpeg", "size": len(JPEG), "content": memoryview(JPEG), "last_modified": NOW}
    upload = ipywidgets.FileUpload()
    upload.value = (item,)
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return JPEG

    with path.open("rb") as opened:
        opened.seek(100)
        given_as = [
            *(JPEG, bytearray(JPEG), memoryview(JPEG), io.BytesIO(JPEG), opened),
            *(path, str(path), f"  {path}\n", path.as_uri(), f"data:image/jpeg;base64,{text}"),
            *(f"data:image/jpeg;base64,{text}".encode(), text, text.encode(), url_safe, f"{text[:76]}\n{text[76:]}"),
            *("https://example.org/p.jpg?Signature=s3cret", " https://example.org/p.jpg?Signature=s3cret\n"),
            *(np.frombuffer(JPEG, "uint8"), np.frombuffer(JPEG, "uint8")[:, None]),
            *(upload, upload.value, item, {"a.jpg": {"metadata": {}, "content": JPEG}}, [path]),
            *(ipywidgets.Image(value=JPEG), ipywidgets.Image(value=str(path).encode(), format="url")),
            IPython.display.Image(url="https://example.org/p.jpg?Signature=s3cret"),
            types.SimpleNamespace(read=lambda _: JPEG),
        ]
        images = [load_image(value, name="photo", fetch=fetch) for value in given_as]
    upload.value = (item, item)
    with pytest.raises(ImageInputError, match=r"image = up.value: it holds 2 values.* Choose one: up.value\[0\]"):
        load_image(upload, name="up")
    assert {image.identity for image in images} == {f"bytes:sha256:{hashlib.sha256(JPEG).hexdigest()}"}
    assert all(image.data == JPEG for image in images)
    assert set(asked) == {"https://example.org/p.jpg?Signature=s3cret"}


def test_an_image_output_of_any_kind_is_taken() -> None:
    """IPython's Image: PNG and JPEG are known by their pixels, as ever; WebP and GIF by their bytes."""
    seen = load_image(gradient(), name="a").identity
    assert load_image(IPython.display.Image(data=PNG), name="out").identity == seen
    for kind in ("WEBP", "GIF"):
        data = encoded(kind=kind)
        output = IPython.display.Image(data=data, format=kind.lower())
        assert load_image(output, name="out").identity == load_image(data, name="file").identity


def drawing(**methods: object) -> object:
    """An object that draws itself."""
    return type("Drawing", (), {name: lambda _, content=content, **__: content for name, content in methods.items()})()


class Tensor:
    """A tensor as Torch and TensorFlow have them: no NumPy array, but a way to one, once it is detached."""

    def __init__(self, array: np.ndarray, *, is_detached: bool = False) -> None:
        self.array, self.is_detached = array, is_detached

    def detach(self) -> "Tensor":
        return Tensor(self.array, is_detached=True)

    def numpy(self) -> np.ndarray:
        assert self.is_detached
        return self.array


def test_pictures_in_memory_are_known_by_their_pixels() -> None:
    """Pillow, NumPy, floats and tensors of the same pixels are one identity, whatever encoder made the upload."""
    array = np.asarray(gradient())
    values = [gradient(), array, array / 255.0, array.astype("f4") / 255, Tensor(array), drawing(__array__=array)]
    images = [load_image(value, name="photo") for value in values]
    assert {image.identity for image in images} == {pixel_identity(gradient())}
    for image in images:
        assert decoded(image.data).tobytes() == gradient().tobytes()
        assert load_image(image, name="other") is image
        assert_sendable(image)
    assert load_image(gradient(321), name="photo").identity != images[0].identity


# ------------------------------------------------------------------ what the notebook shows is what is sent


def test_a_picture_changed_by_hand_is_sent_as_it_is_shown(tmp_path: Path) -> None:
    """Exif and profile apply to an untouched file only; the first edition's identity can still be looked up."""
    photo = Image.new("RGB", (400, 300), "white")
    photo.paste("red", (0, 0, 100, 100))
    data = encoded(photo, "JPEG", exif=exif(6), icc_profile=SWAPPED, quality=95)
    opened = Image.open(io.BytesIO(data))
    assert (shot(opened).size, shot(data).size) == ((300, 400), (300, 400))
    assert former_identity(opened) is None
    upright = opened.rotate(-90, expand=True)
    sent = shot(upright)
    red, _, blue = sent.getpixel((290, 10))
    assert (sent.size, red > 200, blue < 60) == ((300, 400), True, True)
    (tmp_path / "photo.jpg").write_bytes(data)
    untouched, small, painted = (Image.open(tmp_path / "photo.jpg") for _ in range(3))
    small.thumbnail((360, 360))
    painted.paste("blue", (0, 0, 9, 9))
    untouched.load()
    assert [shot(one).size for one in (untouched, small, painted)] == [(300, 400), (360, 270), (400, 300)]
    for changed in (upright, opened.crop((0, 0, 300, 300)), opened.resize((250, 250)), opened.convert("L")):
        image = load_image(changed, name="photo")
        assert decoded(image.data).tobytes() == changed.convert("RGB").tobytes()
        assert image.notes == ()
        assert image.former_identity == pixel_identity(changed) != image.identity
    for same in (photo, Image.open(io.BytesIO(PNG)).rotate(90), np.asarray(photo), PNG, "https://a.example/a.png"):
        assert former_identity(same) is None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    """CMYK, palette, 16-bit, grey with alpha and the rest become plain RGB; the person's own object stays."""
    source = gradient(mode="L" if mode in ("I;16", "PA") else "RGB")
    picture = source.convert("LA").convert("PA") if mode == "PA" else source.convert(mode)
    picture.info["comment"] = "mine"
    before = picture.tobytes(), picture.mode, dict(picture.info)
    image = load_image(picture, name="photo")
    assert_sendable(image)
    assert image.mime == "image/png"
    assert (picture.tobytes(), picture.mode, dict(picture.info)) == before


def test_the_same_picture_is_never_another_one() -> None:
    """Looking at a picture leaves it as it is: an indexed one with a clear colour would else be paid twice."""
    picture = gradient(mode="P")
    picture.info["transparency"] = 3
    for same in (picture, Image.open(io.BytesIO(encoded(picture, transparency=3)))):
        assert load_image(same, name="photo").identity == load_image(same, name="photo").identity


def pgm(value: int) -> bytes:
    """A 16-bit grey file, which declares its range."""
    return b"P5 300 300 65535\n" + value.to_bytes(2) * 90_000


@pytest.mark.parametrize(
    ("value", "grey"),
    [
        (Image.new("I;16", (300, 300), 32896), 128),
        (pgm(32896), 128),
        (Image.open(io.BytesIO(pgm(65535))), 255),
        (Image.new("F", (300, 300), 1.0005), 255),
        (encoded(Image.new("F", (300, 300), 0.5), "TIFF"), 128),
        (np.full((300, 300), 0.5, "f2"), 128),
    ],
)
def test_declared_ranges_are_scaled_not_clipped(value: object, grey: int) -> None:
    """16-bit grey keeps its brightness, float grey from 0 to 1 too."""
    assert shot(value).getpixel((9, 9)) == (grey, grey, grey)


DIM = np.full((300, 300), 6553, "uint16")
DIM[0, 0] = 13107


@pytest.mark.parametrize(
    ("pic", "mean"),
    [
        (DIM, 25),
        (np.zeros((300, 300), "u2"), 0),
        (np.full((300, 300), 32768), 128),
        (np.full((300, 300), 200.0), 200),
        (np.array([[0.5, 1.02]] * 300).repeat(150, axis=1), 191),
        (np.full((300, 300), np.nan), 0),
        (np.zeros((3, 300, 300), "u1"), 0),
        (np.zeros((2, 3, 300, 300), "u1"), 0),
        (Tensor(np.zeros((3, 300, 300), "u1")), 0),
        (np.full((300, 300, 1), 0.5), 128),
        (Image.fromarray(np.full((300, 300), 32768, "int32")), 128),
        (Image.fromarray(np.array([[0.5, 1.02]] * 300, "float32").repeat(150, axis=1)), 191),
        (Image.fromarray(np.array([[0.5, np.nan]] * 300, "float32").repeat(150, axis=1)), 63),
    ],
)
def test_ranges_and_shapes_are_never_guessed_and_hints_work(pic: object, mean: int) -> None:
    """A value range or shape that a picture does not declare is an error, whose hint can be pasted and is right."""
    for _ in range(3):  # a hint may lead to one more
        try:
            assert round(np.asarray(shot(pic)).mean()) == pytest.approx(mean, abs=1)
        except ImageInputError as error:
            hint = error.problems[0].hint
            code = re.search(r"\(?(?:photo|numpy|Image)\b.*(?=\.$)", hint)
            assert code, hint
            names = {"photo": pic, "numpy": np, "Image": Image}
            pic = eval(code[0], names)  # noqa: S307 - the very thing that a person does
        else:
            return
    pytest.fail("the hints lead nowhere")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_to_files(orientation: int) -> None:
    """What the camera says about up is done to the pixels, because the service may ignore Exif."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)  # the Transpose that a viewer undoes
    stored = gradient() if undo is None else gradient().transpose(Image.Transpose(undo))
    files = [encoded(stored, kind, exif=exif(orientation)) for kind in ("JPEG", "PNG", "WEBP")]
    for value in (*files, Image.open(io.BytesIO(files[0]))):
        image = load_image(value, name="photo")
        difference = np.abs(np.asarray(decoded(image.data), int) - np.asarray(gradient(), int))
        assert difference.mean() < 6
        assert ("turned upright as its Exif says" in image.notes) == (orientation != 1)
        assert b"secret" not in image.data


def test_transparency_becomes_white() -> None:
    """A clear pixel is white in the upload, whatever colour hides beneath it; the note says so."""
    picture = Image.new("RGBA", (300, 300), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 150, 300))
    for value in (picture, encoded(picture), encoded(picture, "WEBP", lossless=True)):
        image = load_image(value, name="logo")
        sent = decoded(image.data)
        assert (sent.getpixel((200, 9)), sent.getpixel((9, 9))) == ((255, 255, 255), (0, 0, 255))
        assert image.notes == ("transparency flattened on white",)
    assert load_image(gradient(mode="RGBA"), name="photo").notes == ()
    for mode, colour in (("RGB", (1, 2, 3)), ("P", 0)):
        keyed = encoded(Image.new(mode, (300, 300), colour), transparency=colour)
        assert shot(keyed).getpixel((9, 9)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_sent(kind: str) -> None:
    """Animated files become plain RGB, first frame."""
    frames = [Image.new("RGB", (300, 300), colour) for colour in ("red", "green")]
    image = load_image(encoded(frames[0], kind, save_all=True, append_images=frames[1:]), name="film")
    assert decoded(image.data).getpixel((9, 9))[0] > 250
    assert image.notes[0] == "first frame of several"
    assert_sendable(image)


def test_a_profile_other_than_srgb_is_converted_and_dropped() -> None:
    """Colours of a file stay what they were: a wide profile is converted, an sRGB profile is simply dropped."""
    for kind in ("JPEG", "PNG", "WEBP"):
        odd = load_image(encoded(Image.new("RGB", (300, 300), "red"), kind, icc_profile=SWAPPED), name="photo")
        red, _, blue = decoded(odd.data).getpixel((9, 9))
        assert (odd.notes, blue > 240 > 20 > red) == (("colours converted to sRGB",), True)
        assert_sendable(odd)
        plain = load_image(encoded(kind=kind, icc_profile=SRGB), name="photo")
        assert plain.data == encoded(kind=kind) or kind == "WEBP"
    for broken in (b"x" * 200, SWAPPED[:200], SRGB[:16] + b"GRAY" + SRGB[20:]):
        assert_sendable(load_image(encoded(icc_profile=broken), name="photo"))


# ------------------------------------------------------------------ names, figures, files


def test_a_name_never_carries_a_signature_or_a_whole_picture() -> None:
    """The name goes into records: a URL loses its query and password, inline content is left out."""
    url = "https://user:pw@example.org/a/p.png?Signature=s3cret#x"
    assert load_image(url, name=url, fetch=lambda _: PNG).name == "https://example.org/a/p.png"
    inline = base64.b64encode(PNG).decode()
    for text in (inline, f"data:image/png;base64,{inline}"):
        assert load_image(text, name=text).name == "pasted picture"


def test_rich_objects_are_images() -> None:
    """PNG, JPEG and bundles, as bytes or base64, with or without metadata; known by their pixels, sent as drawn."""
    other = load_image(drawing(_repr_png_=encoded(compress_level=1)), name="plot")
    text = base64.b64encode(PNG).decode()
    for value in (
        *(drawing(_repr_png_=PNG), drawing(_repr_jpeg_=None, _repr_png_=(text, {"width": 3}))),
        drawing(_repr_png_=None, _repr_mimebundle_=({"text/plain": "x", "image/png": text}, {})),
    ):
        image = load_image(value, name="plot")
        assert (image.data, image.identity) == (PNG, other.identity)
    assert load_image(drawing(_repr_jpeg_=JPEG), name="plot").data == JPEG
    figure = Figure(figsize=(4, 3), dpi=100)
    for value in (figure, figure.add_subplot()):
        assert shot(value).size == (400, 300)


def test_a_path_is_taken_as_typed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blank that belongs to a file's name stays; then a name that is composed differently is found."""
    monkeypatch.chdir(tmp_path)
    Path(" a.jpg").write_bytes(JPEG)
    Path("a.jpg").write_bytes(encoded(gradient(256, 320), "JPEG"))
    assert (shot(" a.jpg").size, shot("a.jpg ").size) == ((320, 256), (256, 320))
    Path(unicodedata.normalize("NFD", "é.jpg")).write_bytes(JPEG)
    for form in ("NFC", "NFD"):
        assert shot(unicodedata.normalize(form, f"{tmp_path}/é.jpg")).size == (320, 256)
