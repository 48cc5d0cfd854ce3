"""Models, limits, sizes and endpoints: data with its source, no logic. WAN_API section numbers are given as §."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

MODEL: Final = "wan2.6-image"
"""The canonical model id, used in fingerprints and recipes whatever a provider calls it."""

PROVIDERS: Final = ("gateway", "dashscope", "simulator")
MODEL_NAME: Final = MappingProxyType({"gateway": "wan26_image", "dashscope": "wan2.6-image"})  # §1 `model`

PROMPT_MAX_CHARACTERS: Final = 2000  # §1 `text`, one per code point
NEGATIVE_PROMPT_MAX_CHARACTERS: Final = 500  # §1 `parameters.negative_prompt`
EDIT_IMAGES_MIN: Final = 1  # §1, input images
EDIT_IMAGES_MAX: Final = 4
INTERLEAVED_IMAGES_MAX: Final = 1
N_MAX: Final = 4  # §1 `parameters.n`, editing
MAX_IMAGES_MAX: Final = 5  # §1 `parameters.max_images`, interleaved
MAX_IMAGES_DEFAULT: Final = 5
SEED_MAX: Final = 2**31 - 1  # §1 `parameters.seed`

TASKS_PER_CALL_MAX: Final = 200
"""Ours: the most tasks that one cell may start; a slip of the finger must not order a thousand pictures."""

IMAGE_SIDE_MIN_PX: Final = 240  # §1, input images
IMAGE_SIDE_MAX_PX: Final = 8000
IMAGE_FILE_MAX_BYTES: Final = 10 * 1024 * 1024

SIZE_STEP_PX: Final = 16  # §1 `size`: output is rounded to the nearest multiple of 16
TOTAL_MIN_PX: Final = 768 * 768
TOTAL_1K_PX: Final = 1280 * 1280
TOTAL_2K_PX: Final = 2048 * 2048
ASPECT_MIN: Final = 1 / 4
ASPECT_MAX: Final = 4.0
TIERS: Final = MappingProxyType({"1K": TOTAL_1K_PX, "2K": TOTAL_2K_PX})

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

GATEWAY_URL: Final = "https://cloud.vtrix.ai"  # §2
DASHSCOPE_REGIONS: Final = MappingProxyType(  # §3; a key belongs to one region
    {
        "Beijing": "https://dashscope.aliyuncs.com/api/v1",
        "Singapore": "https://dashscope-intl.aliyuncs.com/api/v1",
        "Virginia": "https://dashscope-us.aliyuncs.com/api/v1",
    }
)
DASHSCOPE_URL: Final = DASHSCOPE_REGIONS["Beijing"]

QUERIES_PER_S: Final = 20.0  # §3, per account
RESULT_LIFETIME_S: Final = 24 * 3600  # §4
RESULT_MAX_BYTES: Final = 64 * 1024 * 1024
"""Ours: a 2048² RGB PNG cannot be larger than about 13 MB; a video may."""
