"""The models and their limits, one record each, and the services' addresses: data with its source, no logic.

WAN_API section numbers are given as §. Everything that knows a limit (validation, help, panel, completion, methods
paragraphs) reads it from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

MODEL: Final = "wan2.6-image"
"""The model of every request that names none, always: it is part of the request hash."""


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """One model: its names at the services, its modes, and every limit that a request must keep.

    Totals are pixels in all (width × height), sides are pixels, aspects are width / height. The defaults are those of
    Wan 2.6 Image, from the service's page of the model (§1).
    """

    name: str = MODEL
    gateway_name: str = "wan26_image"
    dashscope_name: str = "wan2.6-image"
    prompt_max_chars: int = 2000
    negative_prompt_max_chars: int = 500
    edit_images_max: int = 4
    illustrated_images_max: int = 1
    n_max: int = 4
    max_images_max: int = 5
    max_images_default: int = 5
    seed_max: int = 2**31 - 1
    image_side_min_px: int = 240
    image_side_max_px: int = 8000
    image_file_max_bytes: int = 10 * 1024 * 1024
    size_step_px: int = 16
    total_min_px: int = 768 * 768
    text_total_max_px: int = 1280 * 1280
    edit_total_max_px: int = 2048 * 2048
    aspect_min: float = 1 / 4
    aspect_max: float = 4.0
    tiers: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({"1K": 1280 * 1280, "2K": 2048 * 2048}))
    """Names of sizes in editing, with their total pixels."""


WAN26_IMAGE: Final = ModelRecord()
MODELS: Final[Mapping[str, ModelRecord]] = MappingProxyType({WAN26_IMAGE.name: WAN26_IMAGE})

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

QUERIES_PER_S: Final = 20.0  # §3, an account's limits
SUBMITS_PER_S: Final = 5.0
TASKS_IN_FLIGHT: Final = 5
REQUEST_BODY_MAX_BYTES: Final = 16 * 1024 * 1024  # §3, all pictures together, decoded
RESULT_LIFETIME_S: Final = 24 * 3600  # §4
RESULT_MAX_BYTES: Final = 64 * 1024 * 1024
"""Ours: a 2048² RGB PNG cannot be larger than about 13 MB; a video may."""
TASKS_PER_CALL_MAX: Final = 200
"""Ours: the most tasks that one cell may start; a slip of the finger must not order a thousand pictures."""
