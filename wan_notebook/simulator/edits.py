"""Edits that visibly derive from their inputs: the first one graded, the others inset with their numbers."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from .caption import font
from .order import Order
from .scenes import Colour, mix

Size = tuple[int, int]

TINTS: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((28, 20, 64), (196, 86, 112), (255, 226, 170)),
    ((8, 34, 60), (46, 134, 150), (240, 246, 220)),
    ((48, 16, 22), (206, 104, 52), (255, 240, 200)),
    ((22, 36, 24), (110, 146, 82), (250, 246, 214)),
    ((30, 22, 48), (118, 106, 190), (236, 232, 255)),
)
_STYLE_WORDS = {
    "night": ("night", "dark", "moon", "夜", "月"),
    "sketch": ("sketch", "drawing", "pencil", "ink", "line", "素描", "线"),
    "paint": ("paint", "watercolor", "watercolour", "oil", "impression", "画", "油", "水彩"),
    "film": ("film", "vintage", "retro", "old", "photo", "胶片"),
}


def edit(order: Order, index: int, inputs: list[Image.Image], size: Size) -> Image.Image:
    """Compose a result from its inputs; requests, seeds and indices differ in style and colour."""
    rng, variant = order.rng("edit"), order.rng("edit", index)
    words = order.prompt.lower()
    asked = next((style for style, keys in _STYLE_WORDS.items() if any(key in words for key in keys)), None)
    style = asked or rng.choice(("duotone", "paint", "film"))
    tint = TINTS[(rng.randrange(len(TINTS)) + index) % len(TINTS)]
    base = _zoomed(inputs[0], size, variant.uniform(0.88, 1.0), variant.random(), variant.random())
    picture = _STYLES[style](base, tint)
    if style != "sketch":  # paper has no dark corners
        picture = _vignette(picture)
    side = round(min(size) * 0.30)
    draw_label(picture, "image 1", (round(min(size) * 0.03), round(min(size) * 0.03)))
    for number, source in enumerate(inputs[1:], start=2):
        _inset(picture, source, number, side)
    return picture


def draw_label(picture: Image.Image, text: str, corner: tuple[int, int]) -> None:
    """Write a small label with its upper left corner there."""
    face = font(max(12, round(min(picture.size) * 0.026)))
    draw = ImageDraw.Draw(picture, "RGBA")
    left, top, right, bottom = draw.textbbox(corner, text, font=face)
    pad = round(face.size * 0.45)
    draw.rounded_rectangle((left - pad, top - pad, right + pad, bottom + pad), radius=pad, fill=(10, 12, 20, 165))
    draw.text(corner, text, font=face, fill=(255, 255, 255))


def _zoomed(source: Image.Image, size: Size, zoom: float, x: float, y: float) -> Image.Image:
    """Cut the largest part of the size's shape out of a picture, a little smaller and off centre."""
    width, height = source.size
    scale = min(width / size[0], height / size[1]) * zoom
    cut = (size[0] * scale, size[1] * scale)
    left, top = (width - cut[0]) * x, (height - cut[1]) * y
    box = (left, top, left + cut[0], top + cut[1])
    return source.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)


def _duotone(picture: Image.Image, tint: tuple[Colour, Colour, Colour]) -> Image.Image:
    toned = ImageOps.colorize(ImageOps.autocontrast(ImageOps.grayscale(picture), cutoff=1), tint[0], tint[2], tint[1])
    return Image.blend(picture, toned, 0.72)


def _paint(picture: Image.Image, tint: tuple[Colour, Colour, Colour]) -> Image.Image:
    soft = picture.reduce(3).filter(ImageFilter.ModeFilter(5)).resize(picture.size, Image.Resampling.BICUBIC)
    flat = ImageOps.posterize(soft, 4)
    edges = ImageOps.invert(ImageOps.grayscale(soft).filter(ImageFilter.FIND_EDGES))
    ImageDraw.Draw(edges).rectangle((0, 0, edges.width - 1, edges.height - 1), outline=255, width=2)  # no frame
    painted = ImageChops.multiply(Image.blend(soft, flat, 0.6), edges.convert("RGB"))
    return ImageEnhance.Color(Image.blend(painted, _duotone(painted, tint), 0.3)).enhance(1.35)


def _sketch(picture: Image.Image, tint: tuple[Colour, Colour, Colour]) -> Image.Image:
    grey = ImageOps.grayscale(picture)
    softened = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(max(picture.size) / 110))
    # The classic dodge of a picture by its blurred negative leaves pencil lines.
    lines = ImageChops.add(grey, softened, scale=1.0, offset=0)
    paper = mix(tint[2], (255, 255, 255), 0.5)
    drawn = ImageOps.colorize(lines.point([max(0, (v - 140) * 255 // 115) for v in range(256)]), tint[0], paper)
    return Image.blend(drawn, picture, 0.18)


def _film(picture: Image.Image, tint: tuple[Colour, Colour, Colour]) -> Image.Image:
    faded = ImageEnhance.Contrast(ImageEnhance.Color(picture).enhance(0.75)).enhance(0.92)
    warm = Image.blend(faded, Image.new("RGB", picture.size, mix(tint[2], (255, 190, 120), 0.5)), 0.18)
    return Image.blend(warm, _duotone(warm, tint), 0.25)


def _night(picture: Image.Image, tint: tuple[Colour, Colour, Colour]) -> Image.Image:
    dark = ImageOps.colorize(ImageOps.grayscale(picture), (4, 8, 26), (176, 204, 255), (44, 66, 128))
    mixed = Image.blend(ImageEnhance.Brightness(picture).enhance(0.55), dark, 0.68)
    return Image.blend(mixed, Image.new("RGB", picture.size, tint[0]), 0.12)


_STYLES: dict[str, Callable[[Image.Image, tuple[Colour, Colour, Colour]], Image.Image]] = {
    "duotone": _duotone,
    "paint": _paint,
    "sketch": _sketch,
    "film": _film,
    "night": _night,
}


def _vignette(picture: Image.Image) -> Image.Image:
    shade = ImageOps.invert(Image.radial_gradient("L")).point([min(255, 150 + v) for v in range(256)])
    return ImageChops.multiply(picture, shade.resize(picture.size, Image.Resampling.BILINEAR).convert("RGB"))


def _inset(picture: Image.Image, source: Image.Image, number: int, side: int) -> None:
    """Lay a smaller input on the picture like a print: white edge, shadow, label."""
    small = source.copy()
    small.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    edge = max(3, side // 32)
    print_size = (small.width + 2 * edge, small.height + 2 * edge)
    margin = round(min(picture.size) * 0.035)
    x = picture.width - margin - print_size[0]
    y = margin + (number - 2) * round(side * 0.84)
    draw = ImageDraw.Draw(picture, "RGBA")
    for spread in range(3):
        offset = edge * (spread + 1) // 2
        draw.rectangle(
            (x + offset, y + offset, x + print_size[0] + offset, y + print_size[1] + offset), fill=(0, 0, 0, 46)
        )
    draw.rectangle((x, y, x + print_size[0], y + print_size[1]), fill=(250, 248, 242))
    picture.paste(small, (x + edge, y + edge))
    draw_label(picture, f"image {number}", (x + 3 * edge, y + 3 * edge))
