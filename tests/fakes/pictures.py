"""Small pictures and their files, whole, odd and hostile, for the tests of every room."""

import io
import random
import struct
import zlib

from PIL import Image, ImageCms, PngImagePlugin

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = SRGB.replace(b"rXYZ", b"tmp0").replace(b"bXYZ", b"rXYZ").replace(b"tmp0", b"bXYZ")
"""A colour profile in which red and blue have changed places."""


def gradient(width: int = 320, height: int = 256, mode: str = "RGB") -> Image.Image:
    """A picture whose every corner differs, so that a turned or mirrored one is noticed."""
    red = Image.linear_gradient("L").resize((width, height))
    blue = red.transpose(Image.Transpose.ROTATE_90).resize((width, height))
    return Image.merge("RGB", (red, Image.new("L", (width, height), 60), blue)).convert(mode)


def noise(width: int, height: int) -> Image.Image:
    """A picture that does not compress."""
    return Image.frombytes("RGB", (width, height), random.Random(5).randbytes(width * height * 3))  # noqa: S311


def encoded(picture: Image.Image | None = None, kind: str = "PNG", **options: object) -> bytes:
    """A picture as a file's bytes."""
    buffer = io.BytesIO()
    (picture or gradient()).save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    """A file's pixels as RGB."""
    with Image.open(io.BytesIO(data)) as picture:
        return picture.convert("RGB")


def exif(orientation: int = 1, **texts: bytes | str) -> Image.Exif:
    """Exif as a camera writes it, with a place in it; ``comment`` is the UserComment, ``model`` the camera."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = "secret"
    tags.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 0.0), 29: "secret"})
    if "comment" in texts:
        tags.get_ifd(0x8769)[0x9286] = texts["comment"]
    if "model" in texts:
        tags[0x0110] = texts["model"]
    return tags


def png_with_texts(**texts: str) -> bytes:
    """A PNG with iTXt chunks."""
    info = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        info.add_itxt(keyword, text)
    return encoded(Image.new("RGB", (300, 300), "teal"), pnginfo=info)


def chunk(kind: bytes, content: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def behind_header(*chunks: bytes) -> bytes:
    """A PNG with raw chunks behind IHDR."""
    data = encoded(Image.new("RGB", (8, 8)))
    return data[:33] + b"".join(chunks) + data[33:]


def bomb(width: int = 100_000, height: int = 100_000) -> bytes:
    """A PNG that declares a size and holds next to nothing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
