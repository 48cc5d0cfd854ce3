"""Paint a result: a scene or an edit of the inputs, under a band that says it is simulated; always the same bytes."""

from __future__ import annotations

import io

from PIL import Image

from .caption import caption_lines, draw_band, draw_watermark
from .edits import edit
from .inputs import InputPicture
from .order import Order
from .scenes import field_of_colour, scene

# Painted small and enlarged: the time goes with the pixels, and soft edges suit both kinds of picture.
WORK_SIDE_PX = 1024
COMPRESS_LEVEL = 1


def paint_png(order: Order, index: int, inputs: list[InputPicture]) -> bytes:
    """Return the PNG (RGB, of the order's size) of one result; the same order and index give the same bytes."""
    size = (order.width_px, order.height_px)
    work_size = _work_size(size)
    if inputs:
        picture = edit(order, index, [_load(source) for source in inputs], work_size)
    else:
        picture = scene(order.rng("scene"), order.rng("variant", index), work_size, order.prompt)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    draw_band(picture, caption_lines(order, index), order.prompt)
    if order.watermark:
        draw_watermark(picture)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=COMPRESS_LEVEL)
    return buffer.getvalue()


def _work_size(size: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, WORK_SIDE_PX / max(size))
    return max(16, round(size[0] * scale)), max(16, round(size[1] * scale))


def _load(source: InputPicture) -> Image.Image:
    if source.jpeg:
        with Image.open(io.BytesIO(source.jpeg)) as picture:
            return picture.convert("RGB")
    return field_of_colour(source.input_id, (source.width_px, source.height_px))
