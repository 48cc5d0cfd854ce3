"""Simulated pictures: hills, and a band that says SIMULATED.

The same request and index give the same bytes, in every process.
"""

import functools
import io
import math
import random

from PIL import Image, ImageDraw, ImageFont, ImageOps

from .validation import Size, TaskRequest

YELLOW, INK, WHITE = (255, 196, 64), (12, 14, 22), (255, 255, 255)


@functools.lru_cache(maxsize=8)
def paint(request: TaskRequest, index: int) -> bytes:
    """Return one result as an RGB PNG of the requested size."""
    size = (request.width_px, request.height_px)
    rng = random.Random(f"{request.seed} {index} {request.prompt}")  # noqa: S311 (pictures, not secrets)
    # Painted small and enlarged: the time goes with the pixels, and soft edges suit it.
    picture = _landscape(rng, (size[0] // 2, size[1] // 2)).resize(size, Image.Resampling.BICUBIC)
    _draw_band(picture, request, index)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _landscape(rng: random.Random, size: Size) -> Image.Image:
    """Paint sky, light and four rows of hills, from the haze to the dark foreground."""
    (width, height), hue = size, rng.randrange(360)
    sky = Image.linear_gradient("L").resize(size)
    picture = ImageOps.colorize(sky, f"hsl({hue},45%,35%)", f"hsl({hue + 40},70%,85%)")
    draw = ImageDraw.Draw(picture)
    sun = (width * rng.uniform(0.2, 0.8), height * rng.uniform(0.2, 0.45))
    draw.circle(sun, 0.05 * max(size), f"hsl({hue + 40},90%,95%)")
    for layer in range(4):
        level, wave, phase = 0.52 + 0.13 * layer, rng.uniform(4, 9), rng.uniform(0, math.tau)
        sides = [step / 64 for step in range(65)]
        heights = [level - 0.05 * math.sin(wave * x + phase) - 0.02 * math.sin(3.1 * wave * x) for x in sides]
        outline = [(width * x, height * y) for x, y in zip(sides, heights, strict=True)]
        draw.polygon([(0, height), *outline, (width, height)], f"hsl({hue},40%,{60 - 15 * layer}%)")
    return picture


def _draw_band(picture: Image.Image, request: TaskRequest, index: int) -> None:
    """Draw the band along the lower edge: SIMULATED, seed, size, and the beginning of the prompt."""
    width, height = picture.size
    letter_px = max(11, round(math.sqrt(width * height) / 42))
    face, draw = ImageFont.load_default(letter_px), ImageDraw.Draw(picture)
    facts = f"seed {request.seed}  ·  {width} x {height}  ·  {index + 1} of {request.images_n}"
    prompt = " ".join(request.prompt.split())
    prompt = prompt[: int(0.94 * width * len(prompt) / max(1.0, face.getlength(prompt)))]
    top = height - 4 * letter_px
    draw.rectangle((0, top, width, height), INK)
    draw.text((letter_px, top + letter_px // 2), "SIMULATED", YELLOW, face)
    draw.text((8 * letter_px, top + letter_px // 2), facts, WHITE, face)
    draw.text((letter_px, top + 2 * letter_px), prompt, WHITE, face)
