"""Simulated pictures: a landscape for a text, a regraded photograph for an edit, and a band that says SIMULATED.

The same request and index give the same bytes, in every process.
"""

import base64
import functools
import hashlib
import io
import json
import math
import random
import re
import textwrap
import zlib
from dataclasses import asdict

from PIL import Image, ImageDraw, ImageFont, ImageOps

from .tasks import TaskRequest

Size = tuple[int, int]

WORK_SIDE_PX = 1024  # painted at this size and enlarged: the time goes with the pixels, and soft edges suit it
YELLOW, INK, WHITE = (255, 196, 64), (12, 14, 22), (255, 255, 255)
PALETTES = (  # words in a prompt; top, middle and lower end of the sky, light, far and near land
    ("night star moon dark 夜 星 月", ("#080c22", "#14224a", "#425884", "#e8eeff", "#2a3a5e", "#060a18")),
    ("desert dune sand 沙", ("#4682aa", "#bebeaa", "#fadea8", "#fff8de", "#dea068", "#7a3e26")),
    ("dusk sunset evening 晚 夕", ("#24184a", "#963c6e", "#f8965c", "#ffdea0", "#76466e", "#1a102c")),
    ("snow winter ice frost 雪 冬", ("#6886ac", "#b0c6d8", "#eef0f0", "#fffff8", "#b0c2d4", "#4a607a")),
    ("autumn fall harvest 秋", ("#6e8096", "#deb282", "#fadca0", "#fff4ce", "#be7c52", "#461e1a")),
    ("day sky summer sea 夏 海", ("#2868b2", "#76b2de", "#e2f0ee", "#fffce8", "#7ea4b4", "#1c4a48")),
    ("dawn sunrise morning 晨 朝", ("#3a4e84", "#d6848c", "#ffd19e", "#fff0d6", "#967896", "#26223e")),
    ("forest tree garden 森 树 林", ("#46747a", "#96baa0", "#ececc8", "#fffad8", "#789e86", "#123228")),
)

_NOT_IN_DEFAULT_FONT = re.compile(r"[^\x20-\x7e\u00a0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u2010-\u2026]+")


@functools.lru_cache(maxsize=8)
def paint(request: TaskRequest, index: int) -> bytes:
    """Return one result as an RGB PNG of the requested size."""
    size = (request.width_px, request.height_px)
    scale = min(1.0, WORK_SIDE_PX / max(size))
    work_size = (max(16, round(size[0] * scale)), max(16, round(size[1] * scale)))
    picture = (_edit if request.inputs else _landscape)(request, index, work_size)
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    _draw_band(picture, request, index)
    if request.watermark:
        face = _font(max(12, round(min(size) * 0.028)))
        corner = (size[0] - face.size, size[1] - 0.8 * face.size)
        ImageDraw.Draw(picture).text(corner, "AI Generated", WHITE, face, "rs", stroke_width=2, stroke_fill=INK)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _random(request: TaskRequest, *words: object) -> random.Random:
    """Return a generator that depends on the request and the words, but not on how many pictures were asked for."""
    fields = {name: value for name, value in asdict(request).items() if name not in ("model", "images_n", "withheld_n")}
    seed = hashlib.sha256(json.dumps([fields, *words]).encode()).digest()
    return random.Random(seed)  # noqa: S311 (pictures, not secrets)


def _palette_number(request: TaskRequest) -> int:
    """Return the palette that a word of the prompt names, or else one that the seed selects."""
    tokens = {token.removesuffix("s") for token in re.findall(r"[a-z]+", request.prompt.lower())}
    for number, (words, _) in enumerate(PALETTES):
        if any(word in tokens if word.isascii() else word in request.prompt for word in words.split()):
            return number
    return (zlib.crc32(request.prompt.encode()) + request.seed) % len(PALETTES)


def _landscape(request: TaskRequest, index: int, size: Size) -> Image.Image:
    """Paint sky, light and hills."""
    top, middle, low, light, far, near = PALETTES[_palette_number(request)][1]
    rng, (width, height) = _random(request, "landscape", index), size
    horizon = 0.50 + 0.12 * rng.random()
    x, y = round(width * (0.18 + 0.64 * rng.random())), round(height * (horizon - 0.10 - 0.22 * rng.random()))
    grey = Image.linear_gradient("L").resize(size, Image.Resampling.BICUBIC)
    end = round(255 * horizon)
    picture = ImageOps.colorize(grey, top, low, mid=middle, whitepoint=end, midpoint=end // 2)
    reach, radius = round(0.95 * max(size)), round(0.045 * max(size))
    glow = Image.radial_gradient("L").point([round(190 * (max(0, 181 - v) / 181) ** 2) for v in range(256)])
    picture.paste(light, (x - reach, y - reach), glow.resize((2 * reach, 2 * reach), Image.Resampling.BICUBIC))
    ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), light)
    layers = rng.randrange(3, 7)
    for layer in range(layers):  # from the haze to the dark foreground
        base = horizon + (0.98 - horizon) * (layer / layers) ** 1.2
        waves = [(0.06 * rng.random() / k, rng.uniform(2, 4) * k, rng.uniform(0, math.tau)) for k in range(1, 5)]
        heights = [base - sum(a * math.sin(f * i / 64 + phase) for a, f, phase in waves) for i in range(129)]
        outline = [(width * i / 64, 2 * height * v) for i, v in enumerate(heights)]
        mask = Image.new("L", (2 * width, 2 * height))  # at twice the size, then reduced: smooth edges
        ImageDraw.Draw(mask).polygon([(0, 2 * height), *outline, (2 * width, 2 * height)], 255)
        land = ImageOps.colorize(Image.new("L", size, round(255 * (layer + 1) / layers)), far, near)
        picture.paste(land, (0, 0), mask.reduce(2))
    return picture


def _edit(request: TaskRequest, index: int, size: Size) -> Image.Image:
    """Regrade the first input in the colours of a palette; lay the others on it like prints."""
    inputs = [
        _landscape(request, number, (1024, 768))  # an address is never fetched
        if content.startswith("http")
        else Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")
        for number, content in enumerate(request.inputs)
    ]
    # Siblings get palettes that are far apart, so that they can be told from each other.
    _, middle, _, light, _, near = PALETTES[(_palette_number(request) + 3 * index) % len(PALETTES)][1]
    rng = _random(request, "edit", index)
    centering, bleed = (rng.random(), rng.random()), rng.uniform(0.0, 0.06)
    photo = ImageOps.fit(inputs[0], size, Image.Resampling.BICUBIC, bleed, centering)
    grey = ImageOps.autocontrast(ImageOps.grayscale(photo), cutoff=1)
    picture = Image.blend(photo, ImageOps.colorize(grey, near, light, mid=middle), rng.uniform(0.5, 0.65))
    side, margin = round(min(size) * 0.30), round(min(size) * 0.035)
    for number, source in enumerate(inputs[1:]):
        small = ImageOps.contain(source, (side, side), Image.Resampling.BICUBIC)
        framed = ImageOps.expand(small, max(3, side // 32), (250, 248, 242))
        picture.paste(framed, (size[0] - margin - framed.width, margin + number * round(side * 0.84)))
    return picture


@functools.lru_cache(maxsize=32)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    face = ImageFont.load_default(size_px)
    if not isinstance(face, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType: the simulator cannot write on its pictures")
    return face


def _draw_band(picture: Image.Image, request: TaskRequest, index: int) -> None:
    """Draw the band along the lower edge: SIMULATED, mode, seed, size, and up to two lines of the prompt."""
    width, height = picture.size
    face = _font(max(11, min(round((width * height) ** 0.5 * 0.024), width // 42)))
    margin, leading, pad = round(face.size * 1.1), round(face.size * 1.4), face.size * 0.35
    mode = "text to image" if request.is_text_to_image else "illustrated text" if request.is_interleaved else "edit"
    facts = f"{mode}  ·  seed {request.seed}  ·  {request.width_px} x {request.height_px}"
    if request.images_n > 1:
        facts += f"  ·  {index + 1} of {request.images_n}"
    # Pillow's own font has no Chinese; without a font for it the band says what it could not write.
    prompt = " ".join(request.prompt.split())[:400]
    prompt = _NOT_IN_DEFAULT_FONT.sub(lambda run: f"({len(run[0])} characters)", prompt)
    line_chars = int(0.94 * (width - 2 * margin) * len(prompt) / max(1.0, face.getlength(prompt)))
    lines = textwrap.wrap(prompt, max(8, line_chars), max_lines=2, placeholder="…")
    top = height - 2 * margin - (1 + len(lines)) * leading - round(pad)
    draw = ImageDraw.Draw(picture, "RGBA")
    draw.rectangle((0, top, width, height), (*INK, 205))
    draw.rectangle((0, top, width, top + max(2, face.size // 8)), YELLOW)
    left, upper, right, lower = draw.textbbox((margin + pad, top + margin), "SIMULATED", face)
    draw.rounded_rectangle((left - pad, upper - pad, right + pad, lower + pad), pad, YELLOW)
    draw.text((margin + pad, top + margin), "SIMULATED", INK, face)
    draw.text((right + pad + margin, top + margin), facts, (206, 212, 224), face)
    for number, line in enumerate(lines, start=1):
        draw.text((margin, top + margin + pad + number * leading), line, WHITE, face)
