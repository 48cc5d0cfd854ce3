"""The sizes of results: parse, check and round them (WAN_API §1, `size`)."""

from __future__ import annotations

import math
import re

from .errors import invalid, shown

Size = tuple[int, int]

FIELD = "parameters.size"
TIERS_PX = {"1K": 1280 * 1280, "2K": 2048 * 2048}
LEAST_PX = 768 * 768
MOST_PX = {"edit": 2048 * 2048, "interleave": 1280 * 1280}
INTERLEAVED_PX = 1280 * 1280
GRID_PX = 16
MOST_ASPECT = 4.0

_EXPLICIT = re.compile(r"([0-9]{1,5})\*([0-9]{1,5})")


def on_grid(value_px: float) -> int:
    """Round to the nearest multiple of 16, at least 16."""
    return max(GRID_PX, math.floor(value_px / GRID_PX + 0.5) * GRID_PX)


def with_total(shape: Size, total_px: int) -> Size:
    """Give the shape of a picture about `total_px` pixels, on the grid."""
    width, height = shape
    scale = math.sqrt(total_px / (width * height))
    return on_grid(width * scale), on_grid(height * scale)


def output_size(size: str | None, *, mode: str, last_input: Size | None) -> Size:
    """Tell the size of the results in pixels; raise ApiError for a size the mode does not allow."""
    if size is None:
        return _default_size(mode, last_input)
    if mode == "edit" and size in TIERS_PX and last_input is not None:
        return with_total(last_input, TIERS_PX[size])
    match = _EXPLICIT.fullmatch(size)
    if match is None:
        tiers = "1K, 2K or " if mode == "edit" else ""
        raise invalid(FIELD, f"must be {tiers}W*H such as 1280*1280, got {shown(size)}")
    return _explicit_size(int(match[1]), int(match[2]), mode)


def _default_size(mode: str, last_input: Size | None) -> Size:
    if last_input is None:
        return 1280, 1280
    if mode == "edit":
        return with_total(last_input, TIERS_PX["1K"])
    if last_input[0] * last_input[1] <= INTERLEAVED_PX:
        return last_input
    return with_total(last_input, INTERLEAVED_PX)


def _explicit_size(width: int, height: int, mode: str) -> Size:
    most_px = MOST_PX[mode]
    side = math.isqrt(most_px)
    if not LEAST_PX <= width * height <= most_px:
        raise invalid(FIELD, f"total pixels must be between 768*768 and {side}*{side}, got {width}*{height}")
    if max(width, height) > MOST_ASPECT * min(width, height):
        raise invalid(FIELD, f"aspect ratio must be between 1:4 and 4:1, got {width}*{height}")
    return on_grid(width), on_grid(height)
