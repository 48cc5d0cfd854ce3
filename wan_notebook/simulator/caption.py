"""The band on every picture that says it is simulated, with prompt, mode, seed and size; and the watermark."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from .order import Order

WATERMARK = "AI Generated"
TITLE = "SIMULATED"
MODE_NAMES = {"edit": "edit", "interleave": "illustrated text"}

# Where systems keep a font with Chinese; without one the caption says what it could not draw.
_CJK_FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/opentype/noto/NotoSerifCJK-Bold.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/System/Library/Fonts/PingFang.ttc",
    "C:/Windows/Fonts/msyh.ttc",
)
_FOREIGN = re.compile(r"[^\x20-\x7e\u00a0-\u024f\u2010-\u2026\u20ac]+")
_SPACES = re.compile(r"\s+")


@functools.lru_cache(maxsize=32)
def font(size_px: int, path: str = "") -> ImageFont.FreeTypeFont:
    """Return the font of a file, or Pillow's own."""
    if path:
        return ImageFont.truetype(path, size_px)
    face = ImageFont.load_default(size_px)
    if not isinstance(face, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType: the simulator cannot write on its pictures")
    return face


def caption_lines(order: Order, index: int) -> tuple[str, str]:
    """Return title and facts of a picture."""
    mode = MODE_NAMES[order.mode]
    if order.mode == "interleave" and not order.inputs and order.images_n == 1:
        mode = "text to image"
    place = f"  ·  {index + 1} of {order.images_n}" if order.images_n > 1 else ""
    return TITLE, f"{mode}  ·  seed {order.seed}  ·  {order.width_px} x {order.height_px}{place}"


def draw_band(picture: Image.Image, lines: tuple[str, str], prompt: str) -> None:
    """Draw the band along the lower edge."""
    width, height = picture.size
    text_px = max(11, min(round((width * height) ** 0.5 * 0.024), round(width * 0.045)))
    margin, leading = round(text_px * 1.1), round(text_px * 1.4)
    text, face = _drawable(prompt, text_px)
    wrapped = _wrap(text, face, width - 2 * margin, most_lines=2)
    rows = 1 + len(wrapped)
    facts_face = font(text_px)
    title_face = font(round(text_px * 1.15))
    narrow = title_face.getlength(lines[0]) + facts_face.getlength(lines[1]) + 5 * margin > width
    gap = round(text_px * 0.35)
    band = (rows + narrow) * leading + 2 * margin + gap
    draw = ImageDraw.Draw(picture, "RGBA")
    top = height - band
    draw.rectangle((0, top, width, height), fill=(12, 14, 22, 205))
    draw.rectangle((0, top, width, top + max(2, text_px // 8)), fill=(255, 196, 64))
    y = top + margin
    right = _pill(draw, lines[0], title_face, (margin, y))
    if narrow:
        y += leading + gap
        right = 0
    facts = _fit(lines[1], facts_face, width - right - 2 * margin)
    draw.text((right + margin, y), facts, font=facts_face, fill=(206, 212, 224))
    y += 0 if narrow else gap
    for line in wrapped:
        y += leading
        draw.text((margin, y), line, font=face, fill=(255, 255, 255))


def draw_watermark(picture: Image.Image) -> None:
    """Write the service's fixed text into the lower right corner."""
    text_px = max(12, round(min(picture.size) * 0.028))
    face = font(text_px)
    draw = ImageDraw.Draw(picture, "RGBA")
    place = (picture.width - text_px * 0.8, picture.height - text_px * 0.7)
    draw.text(
        place, WATERMARK, font=face, anchor="rs", fill=(255, 255, 255, 235), stroke_width=2, stroke_fill=(0, 0, 0, 150)
    )


def _pill(draw: ImageDraw.ImageDraw, text: str, face: ImageFont.FreeTypeFont, corner: tuple[int, int]) -> int:
    """Write the title on a yellow ground; return its right edge."""
    left, top, right, bottom = draw.textbbox(corner, text, font=face)
    pad = face.size * 0.32
    draw.rounded_rectangle((left, top - pad, right + 2 * pad, bottom + pad), radius=pad, fill=(255, 196, 64))
    draw.text((corner[0] + pad, corner[1]), text, font=face, fill=(20, 20, 28), stroke_width=face.size / 40)
    return round(right + 2 * pad)


def _drawable(prompt: str, text_px: int) -> tuple[str, ImageFont.FreeTypeFont]:
    """Return the prompt as it can be written, and the font for it."""
    text = _SPACES.sub(" ", prompt).strip()[:400]
    if not _FOREIGN.search(text):
        return text, font(text_px)
    path = next((path for path in _CJK_FONTS if Path(path).exists()), None)
    if path:
        return text, font(text_px, path)
    return _FOREIGN.sub(lambda run: f"({len(run[0])} characters this font lacks)", text), font(text_px)


def _fit(text: str, face: ImageFont.FreeTypeFont, width_px: float) -> str:
    """Shorten a line to a width."""
    if face.getlength(text) <= width_px:
        return text
    while text and face.getlength(text + "…") > width_px:
        text = text[:-1]
    return text.rstrip() + "…"


def _wrap(text: str, face: ImageFont.FreeTypeFont, width_px: int, *, most_lines: int) -> list[str]:
    """Break a text into lines, between words where there are any, and shorten the last one."""
    lines: list[str] = []
    while text and len(lines) < most_lines - 1:
        end = _fitting(text, face, width_px)
        space = text.rfind(" ", 0, end + 1)
        if end < len(text) and space > end // 2:
            end = space
        lines.append(text[:end].strip())
        text = text[end:].strip()
    if text:
        lines.append(_fit(text, face, width_px))
    return lines


def _fitting(text: str, face: ImageFont.FreeTypeFont, width_px: int) -> int:
    """Tell how many characters of a text fit into a width, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if face.getlength(text[:middle]) <= width_px else (low, middle - 1)
    return low
