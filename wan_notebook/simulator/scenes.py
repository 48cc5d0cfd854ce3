"""Generative scenes for pictures made from text: sky, clouds, light and land, seeded by the request."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageOps

Colour = tuple[int, int, int]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Palette:
    """Hold the colours of a scene, from the top of the sky to the nearest land."""

    sky: tuple[Colour, Colour, Colour]
    light: Colour
    far: Colour
    near: Colour


PALETTES = {
    "dawn": Palette(((58, 78, 132), (214, 132, 140), (255, 209, 158)), (255, 240, 214), (150, 120, 150), (38, 34, 62)),
    "day": Palette(((40, 104, 178), (118, 178, 222), (226, 240, 238)), (255, 252, 232), (126, 164, 180), (28, 74, 72)),
    "dusk": Palette(((36, 24, 74), (150, 60, 110), (248, 150, 92)), (255, 222, 160), (118, 70, 110), (26, 16, 44)),
    "night": Palette(((8, 12, 34), (20, 34, 74), (66, 88, 132)), (232, 238, 255), (42, 58, 94), (6, 10, 24)),
    "snow": Palette(
        ((104, 134, 172), (176, 198, 216), (238, 240, 240)), (255, 255, 248), (176, 194, 212), (74, 96, 122)
    ),
    "forest": Palette(
        ((70, 116, 122), (150, 186, 160), (236, 236, 200)), (255, 250, 216), (120, 158, 134), (18, 50, 40)
    ),
    "autumn": Palette(
        ((110, 128, 150), (222, 178, 130), (250, 220, 160)), (255, 244, 206), (190, 124, 82), (70, 30, 26)
    ),
    "desert": Palette(
        ((70, 130, 170), (190, 190, 170), (250, 222, 168)), (255, 248, 222), (222, 160, 104), (122, 62, 38)
    ),
}
_WORDS = {
    "night": ("night", "star", "moon", "夜", "星", "月"),
    "snow": ("snow", "winter", "ice", "frost", "雪", "冬"),
    "autumn": ("autumn", "fall", "harvest", "秋"),
    "forest": ("forest", "tree", "jungle", "garden", "森", "树", "林"),
    "desert": ("desert", "dune", "sand", "沙"),
    "dusk": ("dusk", "sunset", "evening", "晚", "夕"),
    "dawn": ("dawn", "sunrise", "morning", "晨", "朝"),
}
_SEA_WORDS = ("sea", "ocean", "lake", "river", "beach", "harbour", "harbor", "boat", "海", "湖", "河")


def scene(rng: random.Random, variant: random.Random, size: Size, prompt: str) -> Image.Image:
    """Paint a landscape or seascape; `rng` decides what is seen, `variant` how this picture differs."""
    words = prompt.lower()
    drawn_palette, drawn_sea = rng.choice(sorted(PALETTES)), rng.random() < 0.4
    palette = PALETTES[
        next((name for name, keys in _WORDS.items() if any(key in words for key in keys)), drawn_palette)
    ]
    sea = drawn_sea or any(word in words for word in _SEA_WORDS)
    horizon = 0.50 + 0.12 * variant.random()
    light = (0.18 + 0.64 * variant.random(), horizon - 0.10 - 0.22 * variant.random())
    picture = vertical_gradient(size, palette.sky, horizon)
    if max(palette.sky[0]) < 60:
        _stars(picture, variant, horizon)
    picture = _glow(picture, light, palette.light, reach=0.9, strength=0.75)
    _clouds(picture, variant, palette, horizon)
    _disc(picture, light, palette.light)
    if sea:
        _sea(picture, variant, palette, horizon, light[0])
    _ridges(picture, variant, palette, horizon, count=2 if sea else 5)
    if "snow" in words or "雪" in prompt:
        _flakes(picture, variant)
    return picture


def field_of_colour(seed: str, size: Size) -> Image.Image:
    """Paint an abstract picture in place of an input that only its URL names."""
    rng = random.Random(seed)  # noqa: S311 (pictures, not secrets)
    palette = PALETTES[rng.choice(sorted(PALETTES))]
    tones = fractal_noise(rng, size, cells=2)
    picture = ImageOps.colorize(tones, palette.near, palette.sky[2], palette.sky[1])
    draw = ImageDraw.Draw(picture, "RGBA")
    for _ in range(7):
        radius = min(size) * (0.06 + 0.22 * rng.random())
        x, y = size[0] * rng.random(), size[1] * rng.random()
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*palette.light, 46))
    return picture


def vertical_gradient(size: Size, colours: tuple[Colour, Colour, Colour], bend: float) -> Image.Image:
    """Paint a gradient from top to bottom through three colours, the third reached at `bend` of the height."""
    steps = 256
    column = Image.new("RGB", (1, steps))
    for y in range(steps):
        place = min(1.0, y / (steps * bend)) * 2
        pair = colours[:2] if place < 1 else colours[1:]
        column.putpixel((0, y), mix(pair[0], pair[1], place % 1 if place < 2 else 1.0))
    return column.resize(size, Image.Resampling.BICUBIC)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Mix two colours; `share` is how much of the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def fractal_noise(rng: random.Random, size: Size, *, cells: int, octaves: int = 5, stretch: int = 1) -> Image.Image:
    """Make soft grey noise by adding ever finer grids of random values."""
    small = (max(16, size[0] // 2), max(16, size[1] // 2))
    noise = _noise(rng, small, cells, stretch)
    for octave in range(1, octaves):
        finer = _noise(rng, small, cells * 2**octave, stretch)
        noise = Image.blend(noise, finer, 0.5 / (octave + 0.5))
    return ImageOps.autocontrast(noise).resize(size, Image.Resampling.BILINEAR)


def _noise(rng: random.Random, size: Size, cells: int, stretch: int) -> Image.Image:
    grid = (cells + 2, cells * stretch + 2)
    return Image.frombytes("L", grid, rng.randbytes(grid[0] * grid[1])).resize(size, Image.Resampling.BICUBIC)


def _radial(size: Size, centre: tuple[float, float], radius: float) -> Image.Image:
    """Make a mask that is white at the centre and black from `radius` (a share of the longer side) on."""
    side = max(2, round(2 * radius * max(size)))
    spot = ImageOps.invert(Image.radial_gradient("L")).point([max(0, v - 76) * 255 // 179 for v in range(256)])
    mask = Image.new("L", size)
    corner = (round(centre[0] * size[0] - side / 2), round(centre[1] * size[1] - side / 2))
    mask.paste(spot.resize((side, side), Image.Resampling.BILINEAR), corner)
    return mask


def _glow(
    picture: Image.Image, centre: tuple[float, float], colour: Colour, *, reach: float, strength: float
) -> Image.Image:
    mask = _radial(picture.size, centre, reach).point([round(v * v / 255 * strength) for v in range(256)])
    light = Image.composite(Image.new("RGB", picture.size, colour), Image.new("RGB", picture.size), mask)
    return ImageChops.screen(picture, light)


def _disc(picture: Image.Image, centre: tuple[float, float], colour: Colour) -> None:
    radius = 0.045 * max(picture.size)
    x, y = centre[0] * picture.width, centre[1] * picture.height
    ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _stars(picture: Image.Image, rng: random.Random, horizon: float) -> None:
    draw = ImageDraw.Draw(picture)
    for _ in range(220):
        x, y = rng.random() * picture.width, rng.random() ** 1.5 * horizon * picture.height
        glow = rng.randrange(110, 255)
        draw.rectangle((x, y, x + rng.choice((0, 0, 1)), y), fill=(glow, glow, 255))


def _clouds(picture: Image.Image, rng: random.Random, palette: Palette, horizon: float) -> None:
    noise = fractal_noise(rng, picture.size, cells=3, stretch=3)
    threshold = rng.randrange(110, 150)
    mask = noise.point([min(150, max(0, (v - threshold) * 2)) for v in range(256)])
    fade = Image.linear_gradient("L").resize((picture.width, max(1, round(picture.height * horizon * 1.3))))
    shade = Image.new("L", picture.size)
    shade.paste(ImageOps.invert(fade))
    tint = mix(palette.sky[2], palette.light, 0.6)
    picture.paste(tint, (0, 0), ImageChops.multiply(mask, shade.point([min(255, v * 2) for v in range(256)])))


def _sea(picture: Image.Image, rng: random.Random, palette: Palette, horizon: float, light_x: float) -> None:
    top = round(picture.height * horizon)
    size = (picture.width, picture.height - top)
    near = mix(palette.sky[0], palette.near, 0.35)
    water = vertical_gradient(size, (palette.sky[2], mix(palette.sky[1], near, 0.5), near), 1.0)
    draw = ImageDraw.Draw(water, "RGBA")
    for _ in range(420):
        depth = rng.random() ** 1.6
        y = depth * size[1]
        length = (0.01 + 0.09 * depth * rng.random()) * size[0]
        spread = 0.035 + 0.20 * depth
        near_light = rng.random() < 0.55
        x = (light_x + rng.gauss(0, spread)) * size[0] if near_light else rng.random() * size[0]
        colour = palette.light if near_light else mix(palette.sky[1], palette.light, 0.3)
        alpha = rng.randrange(50, 150) if near_light else rng.randrange(16, 50)
        thick = 1 + round(3 * depth)
        draw.rounded_rectangle((x - length, y, x + length, y + thick), radius=thick / 2, fill=(*colour, alpha))
    picture.paste(water, (0, top))


def _ridges(picture: Image.Image, rng: random.Random, palette: Palette, horizon: float, *, count: int) -> None:
    """Draw `count` layers of hills, from the haze to the dark foreground."""
    width, height = picture.size
    # Drawn at twice the size and reduced: the edges of the hills become smooth.
    for layer in range(count):
        share = (layer + 1) / count
        base = horizon + (0.98 - horizon) * (layer / count) ** 1.2 if count > 2 else 0.80 + 0.12 * layer
        amplitude = (0.05 + 0.09 * rng.random()) * (1.15 - 0.5 * share)
        outline = _outline(rng, width, base * height, amplitude * height, roughness=2.2 - 0.9 * share)
        mask = Image.new("L", (width * 2, height * 2))
        points = [(x * 2, y * 2) for x, y in outline]
        ImageDraw.Draw(mask).polygon([(0, height * 2), *points, (width * 2, height * 2)], fill=255)
        colour = mix(mix(palette.far, palette.sky[2], 0.45 * (1 - share)), palette.near, share**1.4)
        picture.paste(colour, (0, 0), mask.reduce(2))


def _outline(
    rng: random.Random, width: int, base: float, amplitude: float, *, roughness: float
) -> list[tuple[float, float]]:
    """Make the line of a range of hills by halving: midpoint displacement."""
    heights = [rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-1, 1)]
    spread = 1.0
    while len(heights) < 257:
        spread /= roughness
        middles = [(a + b) / 2 + rng.uniform(-spread, spread) for a, b in itertools.pairwise(heights)]
        heights = [h for pair in zip(heights, middles, strict=False) for h in pair] + heights[-1:]
    step = width / (len(heights) - 1)
    return [(index * step, base - amplitude * height) for index, height in enumerate(heights)]


def _flakes(picture: Image.Image, rng: random.Random) -> None:
    draw = ImageDraw.Draw(picture, "RGBA")
    for _ in range(260):
        x, y = rng.random() * picture.width, rng.random() * picture.height
        radius = rng.choice((1, 1, 1.5, 2, 3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 255, 255, rng.randrange(90, 220)))
