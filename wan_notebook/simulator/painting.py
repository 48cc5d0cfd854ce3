"""Simulated pictures: hills, and a band that says SIMULATED.

The same request and index give the same bytes, in every process.
"""

import functools
import io
import math
import random

from PIL import Image, ImageDraw, ImageFont, ImageOps

from .validation import TaskRequest

YELLOW, INK, WHITE = (255, 196, 64), (12, 14, 22), (255, 255, 255)


@functools.lru_cache(maxsize=8)
def paint(request: TaskRequest, index: int) -> bytes:
    """Return one result as an RGB PNG of the requested size."""
    size = (request.width_px, request.height_px)
    rng = random.Random(f"{request.seed} {index} {request.prompt}")  # noqa: S311 (pictures, not secrets)
    hue = rng.randrange(360)
    # Painted small and enlarged: the time goes with the pixels, and soft edges suit it.
    sky = Image.linear_gradient("L").resize((size[0] // 2, size[1] // 2))
    picture = ImageOps.colorize(sky, f"hsl({hue},45%,35%)", f"hsl({hue + 40},70%,85%)")
    (width, height), draw = picture.size, ImageDraw.Draw(picture)
    for layer in range(4):  # from the haze to the dark foreground
        wave, phase = rng.uniform(4, 9), rng.uniform(0, math.tau)
        outline = [(x / 64, 0.5 + 0.13 * layer - 0.06 * math.sin(wave * x / 64 + phase)) for x in range(65)]
        hills = [(0, height), *((width * x, height * y) for x, y in outline), (width, height)]
        draw.polygon(hills, f"hsl({hue},40%,{60 - 15 * layer}%)")
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    _draw_band(picture, request, index)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


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
