"""The models and their limits, one record each, and the services' addresses: data with its source, no logic.

WAN_API section numbers are given as §. Everything that knows a limit (validation, help, panel, completion, methods
paragraphs) reads it from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

MODEL: Final = "wan2.6-image"
"""The model of every request that names none, always: it is part of the request hash."""


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """One model: its names at the services, its modes, and every limit that a request must keep.

    Totals are pixels in all (width × height), sides are pixels, aspects are width / height.
    """

    name: str
    gateway_name: str
    dashscope_name: str
    prompt_max_chars: int
    negative_prompt_max_chars: int
    edit_images_min: int
    edit_images_max: int
    illustrated_images_max: int
    n_max: int
    max_images_max: int
    max_images_default: int
    seed_max: int
    image_side_min_px: int
    image_side_max_px: int
    image_file_max_bytes: int
    size_step_px: int
    total_min_px: int
    text_total_max_px: int
    edit_total_max_px: int
    aspect_min: float
    aspect_max: float
    tiers: Mapping[str, int]
    """Names of sizes in editing, with their total pixels."""
    source: str


WAN26_IMAGE: Final = ModelRecord(
    name=MODEL,
    gateway_name="wan26_image",
    dashscope_name="wan2.6-image",
    prompt_max_chars=2000,
    negative_prompt_max_chars=500,
    edit_images_min=1,
    edit_images_max=4,
    illustrated_images_max=1,
    n_max=4,
    max_images_max=5,
    max_images_default=5,
    seed_max=2**31 - 1,
    image_side_min_px=240,
    image_side_max_px=8000,
    image_file_max_bytes=10 * 1024 * 1024,
    size_step_px=16,
    total_min_px=768 * 768,
    text_total_max_px=1280 * 1280,
    edit_total_max_px=2048 * 2048,
    aspect_min=1 / 4,
    aspect_max=4.0,
    tiers=MappingProxyType({"1K": 1280 * 1280, "2K": 2048 * 2048}),
    source="WAN_API §1 (the service's page of the model)",
)

MODELS: Final[Mapping[str, ModelRecord]] = MappingProxyType({record.name: record for record in (WAN26_IMAGE,)})

RATIOS: Final = MappingProxyType(  # §1 `size`, the recommended table
    {
        "1:1": (1280, 1280),
        "2:3": (800, 1200),
        "3:2": (1200, 800),
        "3:4": (960, 1280),
        "4:3": (1280, 960),
        "9:16": (720, 1280),
        "16:9": (1280, 720),
        "21:9": (1344, 576),
    }
)

PROVIDERS: Final = ("gateway", "dashscope", "simulator")
GATEWAY_URL: Final = "https://cloud.vtrix.ai"  # §2
DASHSCOPE_REGIONS: Final = MappingProxyType(  # §3; a key belongs to one region
    {
        "Beijing": "https://dashscope.aliyuncs.com/api/v1",
        "Singapore": "https://dashscope-intl.aliyuncs.com/api/v1",
        "Virginia": "https://dashscope-us.aliyuncs.com/api/v1",
    }
)
DASHSCOPE_URL: Final = DASHSCOPE_REGIONS["Beijing"]

QUERIES_PER_S: Final = 20.0  # §3, an account's limits
SUBMITS_PER_S: Final = 5.0
TASKS_IN_FLIGHT: Final = 5
REQUEST_BODY_MAX_BYTES: Final = 16 * 1024 * 1024  # §3, all pictures together, decoded
RESULT_LIFETIME_S: Final = 24 * 3600  # §4
RESULT_MAX_BYTES: Final = 64 * 1024 * 1024
"""Ours: a 2048² RGB PNG cannot be larger than about 13 MB; a video may."""
TASKS_PER_CALL_MAX: Final = 200
"""Ours: the most tasks that one cell may start; a slip of the finger must not order a thousand pictures."""
