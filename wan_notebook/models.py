"""The models and their limits, one record each, and the services' addresses: data with its source, no logic.

WAN_API section numbers are given as §. Everything that knows a limit (validation, help, panel, completion, methods
paragraphs) reads it from here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

MODEL: Final = "wan2.6-image"
"""The model of every request that names none, always: it is part of the request hash."""


class Mode(StrEnum):
    """The service's task; it follows from the input."""

    EDIT = "edit"
    TEXT_TO_IMAGE = "text to image"
    ILLUSTRATED = "illustrated text"
    SET = "picture set"


Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ModeLimits:
    """What one mode of a model takes.

    ``n_max`` are pictures of one task; where a mode ``splits``, each of several pictures is a task of its own.
    ``options`` are the fields of a request that act here. Totals are pixels in all (width × height). ``tiers`` are
    names of sizes with their totals, ``sent_as`` names that go out as pixels, ``size`` is what is sent where none is
    asked for (None leaves it to the service).
    """

    images_max: int = 0
    n_min: int = 1
    n_max: int = 4
    splits: bool = False
    options: frozenset[str] = frozenset()
    tiers: Mapping[str, int] = field(default_factory=dict)
    sent_as: Mapping[str, str] = field(default_factory=dict)
    size: str | None = None
    total_min_px: int = 768 * 768
    total_max_px: int = 2048 * 2048


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """One model: its names at the services, its modes, and every limit that a request must keep.

    ``aspect_max`` is the longer side of a result by the shorter one, ``image_aspect_max`` that of an input picture
    (None: not stated). ``ratios`` are sizes by the names of their shapes: those that the service recommends, or of the
    same kind. ``list_prices`` are amounts and currencies of one picture by place (``gateway`` or a region of
    DashScope), as seen in ``list_date``; ``sources`` say where all of this stands. ``n`` is always sent: where it is
    not, the services make 4 pictures, and 12 of a set.
    """

    name: str
    gateway_name: str
    dashscope_name: str
    modes: Mapping[Mode, ModeLimits]
    prompt_max_chars: int
    negative_prompt_max_chars: int = 500
    max_images_max: int = 5
    max_images_default: int = 5
    seed_max: int = 2**31 - 1
    image_side_min_px: int = 240
    image_side_max_px: int = 8000
    image_file_max_bytes: int = 10 * 1024 * 1024
    image_aspect_max: float | None = None
    aspect_max: float = 4.0
    size_step_px: int = 1
    ratios: Mapping[str, Size]
    list_prices: Mapping[str, tuple[str, str]]
    list_date: str = "Dec 2026"
    sources: tuple[str, ...]


_MODEL_STUDIO: Final = "help.aliyun.com/zh/model-studio"
_EDITS: Final = frozenset({"negative_prompt", "prompt_extend"})
_TIERS: Final = MappingProxyType({"1K": 1280 * 1280, "2K": 2048 * 2048})
WAN26_IMAGE: Final = ModelRecord(
    name=MODEL,
    gateway_name="wan26_image",
    dashscope_name="wan2.6-image",
    modes=MappingProxyType(
        {
            Mode.EDIT: ModeLimits(images_max=4, options=_EDITS, tiers=_TIERS, size="1K"),
            # The service makes it as illustrated text of one picture, which has no tiers: 1K can only mean this.
            Mode.TEXT_TO_IMAGE: ModeLimits(
                n_max=1,
                splits=True,
                options=frozenset({"negative_prompt"}),
                sent_as=MappingProxyType({"1K": "1280*1280"}),
                total_max_px=1280 * 1280,
            ),
            Mode.ILLUSTRATED: ModeLimits(
                images_max=1, n_max=1, options=frozenset({"negative_prompt", "max_images"}), total_max_px=1280 * 1280
            ),
        }
    ),
    prompt_max_chars=2000,
    size_step_px=16,
    ratios=MappingProxyType(  # §1 `size`, the recommended table
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
    ),
    list_prices=MappingProxyType(
        {"gateway": ("0.03", "USD"), "Beijing": ("0.20", "CNY"), "Singapore": ("0.03", "USD")}
    ),
    sources=("the gateway's page of the model (§1, §2)", f"{_MODEL_STUDIO}/model-pricing"),
)
WAN26_T2I: Final = ModelRecord(
    name="wan2.6-t2i",
    gateway_name="wan26_t2i",  # §2; no other page names it
    dashscope_name="wan2.6-t2i",
    modes=MappingProxyType(
        {
            # Three of the recommended sizes have less than the least total that the same page states: both are taken.
            Mode.TEXT_TO_IMAGE: ModeLimits(
                options=_EDITS, size="1280*1280", total_min_px=1280 * 1280, total_max_px=1440 * 1440
            )
        }
    ),
    prompt_max_chars=2100,
    ratios=MappingProxyType(  # 2:3, 3:2 and 21:9 are ours: no page recommends any
        {
            "1:1": (1280, 1280),
            "2:3": (1088, 1632),
            "3:2": (1632, 1088),
            "3:4": (1104, 1472),
            "4:3": (1472, 1104),
            "9:16": (960, 1696),
            "16:9": (1696, 960),
            "21:9": (2016, 864),
        }
    ),
    list_prices=MappingProxyType({"Beijing": ("0.20", "CNY"), "Singapore": ("0.03", "USD")}),
    sources=(
        f"{_MODEL_STUDIO}/text-to-image-v2-api-reference",
        "docs.qwencloud.com/api-reference/image-generation/wan-text-to-image-v2/create-task",
        f"{_MODEL_STUDIO}/model-pricing",
    ),
)
_TIERS_27: Final = MappingProxyType({"1K": 1024 * 1024, "2K": 2048 * 2048})
_THINKS: Final = frozenset({"thinking"})
_EDIT_27: Final = ModeLimits(images_max=9, tiers=_TIERS_27, size="2K")
_TEXT_27: Final = ModeLimits(options=_THINKS, tiers=_TIERS_27, size="2K")
_SET_27: Final = ModeLimits(images_max=9, n_min=2, n_max=12, tiers=_TIERS_27, size="2K")
WAN27_IMAGE: Final = ModelRecord(
    name="wan2.7-image",
    gateway_name="wan27_image",
    dashscope_name="wan2.7-image",
    modes=MappingProxyType({Mode.EDIT: _EDIT_27, Mode.TEXT_TO_IMAGE: _TEXT_27, Mode.SET: _SET_27}),
    prompt_max_chars=5000,
    negative_prompt_max_chars=0,
    image_file_max_bytes=20_000_000,
    image_aspect_max=8.0,
    aspect_max=8.0,
    ratios=MappingProxyType(  # 2:3, 3:2 and 21:9 are ours: no page recommends any
        {
            "1:1": (2048, 2048),
            "2:3": (1664, 2496),
            "3:2": (2496, 1664),
            "3:4": (1728, 2368),
            "4:3": (2368, 1728),
            "9:16": (1536, 2688),
            "16:9": (2688, 1536),
            "21:9": (3024, 1296),
        }
    ),
    list_prices=MappingProxyType({"Beijing": ("0.20", "CNY"), "Singapore": ("0.03", "USD")}),
    sources=(
        f"{_MODEL_STUDIO}/wan-image-generation-and-editing-api-reference",
        "docs.qwencloud.com/api-reference/image-generation/wan27-image-gen-edit/create-task",
        "docs.qwencloud.com/developer-guides/image-generation/text-to-image",
        f"{_MODEL_STUDIO}/model-pricing",
        "the gateway's command-line client (its name there)",
    ),
)
WAN27_IMAGE_PRO: Final = replace(
    WAN27_IMAGE,
    name="wan2.7-image-pro",
    gateway_name="wan27_image_pro",
    dashscope_name="wan2.7-image-pro",
    modes=MappingProxyType(
        {
            **WAN27_IMAGE.modes,
            Mode.TEXT_TO_IMAGE: replace(
                _TEXT_27, tiers=MappingProxyType({**_TIERS_27, "4K": 4096 * 4096}), total_max_px=4096 * 4096
            ),
        }
    ),
    list_prices=MappingProxyType({"Beijing": ("0.50", "CNY"), "Singapore": ("0.075", "USD")}),
)
MODELS: Final[Mapping[str, ModelRecord]] = MappingProxyType(
    {record.name: record for record in (WAN26_IMAGE, WAN26_T2I, WAN27_IMAGE, WAN27_IMAGE_PRO)}
)
TIERS: Final = tuple(
    dict.fromkeys(tier for record in MODELS.values() for limits in record.modes.values() for tier in limits.tiers)
)
"""The names of sizes that any model has."""
RATIOS: Final = WAN26_IMAGE.ratios
"""The names of shapes, which every model has, with the default model's sizes."""

PROVIDERS: Final = ("gateway", "dashscope", "simulator")
GATEWAY_URL: Final = "https://cloud.vtrix.ai"  # §2
DASHSCOPE_REGIONS: Final = MappingProxyType(  # §3; a key belongs to one region
    {
        "Beijing": "https://dashscope.aliyuncs.com/api/v1",
        "Singapore": "https://dashscope-intl.aliyuncs.com/api/v1",
        "Virginia": "https://dashscope-us.aliyuncs.com/api/v1",
    }
)
WORKSPACE_HOST: Final = "maas.aliyuncs.com"
WORKSPACE_REGIONS: Final = MappingProxyType(  # §3: https://{workspace}.{region}.maas.aliyuncs.com/api/v1
    {
        "Beijing": "cn-beijing",
        "Singapore": "ap-southeast-1",
        "Virginia": "us-east-1",
        "Frankfurt": "eu-central-1",
        "Hong Kong": "cn-hongkong",
        "Tokyo": "ap-northeast-1",
    }
)

QUERIES_PER_S: Final = 20.0  # §3, an account's limits
SUBMITS_PER_S: Final = 5.0
TASKS_IN_FLIGHT: Final = 5
REQUEST_BODY_MAX_BYTES: Final = 16 * 1024 * 1024  # §3, all pictures together, decoded
LIKE_STEP_PX: Final = 16
"""Ours: sizes that follow a picture's shape are multiples of it."""
RESULT_LIFETIME_S: Final = 24 * 3600  # §4
RESULT_MAX_BYTES: Final = 96 * 1024 * 1024
"""Ours: a 4096² PNG, the largest, has 64 MiB of pixels if it is transparent; a video may have more."""
TASKS_PER_CALL_MAX: Final = 200
"""Ours: the most tasks that one cell may start; a slip of the finger must not order a thousand pictures."""
