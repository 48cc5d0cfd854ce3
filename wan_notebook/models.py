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

    ``name`` is that at DashScope. ``aspect_max`` is the longer side of a result by the shorter one,
    ``image_aspect_max`` that of an input picture. ``ratios`` are sizes by the names of their shapes: those that the
    service recommends, or of the same kind. ``list_prices`` are amounts and currencies of one picture by place
    (``gateway`` or a region of DashScope), as listed in ``list_date``. ``n`` is always sent: where it is not, the
    services make 4 pictures, and 12 of a set. The sources stand below each record.
    """

    name: str
    gateway_name: str
    modes: Mapping[Mode, ModeLimits]
    prompt_max_chars: int
    negative_prompt_max_chars: int = 500
    max_images_max: int = 5
    max_images_default: int = 5
    seed_max: int = 2**31 - 1
    image_side_min_px: int = 240
    image_side_max_px: int = 8000
    image_file_max_bytes: int = 10 * 1024 * 1024
    image_aspect_max: float = 8000 / 240  # no page states another
    aspect_max: float = 4.0
    size_step_px: int = 1
    ratios: Mapping[str, Size]
    list_prices: Mapping[str, tuple[str, str]]
    list_date: str = "Dec 2026"


def _ratios(sizes: str) -> Mapping[str, Size]:
    """Return sizes by the names of their shapes, in that order."""
    names = ("1:1", "2:3", "3:2", "3:4", "4:3", "9:16", "16:9", "21:9")
    pairs = (size.split("x") for size in sizes.split())
    return {name: (int(width), int(height)) for name, (width, height) in zip(names, pairs, strict=True)}


_AVOIDS: Final = frozenset({"negative_prompt"})
_REWRITES: Final = _AVOIDS | {"prompt_extend"}
_TIERS: Final = {"1K": 1280 * 1280, "2K": 2048 * 2048}
WAN26_IMAGE: Final = ModelRecord(
    name=MODEL,
    gateway_name="wan26_image",
    modes={
        Mode.EDIT: ModeLimits(images_max=4, options=_REWRITES, tiers=_TIERS, size="1K"),
        # It is illustrated text of one picture, which has no tiers: 1K can only mean this.
        Mode.TEXT_TO_IMAGE: ModeLimits(
            n_max=1, splits=True, options=_AVOIDS, sent_as={"1K": "1280*1280"}, total_max_px=1280 * 1280
        ),
        Mode.ILLUSTRATED: ModeLimits(images_max=1, n_max=1, options=_AVOIDS | {"max_images"}, total_max_px=1280 * 1280),
    },
    prompt_max_chars=2000,
    size_step_px=16,
    ratios=_ratios("1280x1280 800x1200 1200x800 960x1280 1280x960 720x1280 1280x720 1344x576"),
    list_prices={"gateway": ("0.03", "USD"), "Beijing": ("0.20", "CNY"), "Singapore": ("0.03", "USD")},
)
"""The gateway's page of the model (§1, §2); help.aliyun.com/zh/model-studio/model-pricing."""
WAN26_T2I: Final = ModelRecord(
    name="wan2.6-t2i",
    gateway_name="wan26_t2i",  # §2; no other page names it
    modes={
        # Three recommended sizes have fewer pixels in all than the same page allows: they are taken, too.
        Mode.TEXT_TO_IMAGE: ModeLimits(
            options=_REWRITES, size="1280*1280", total_min_px=1280 * 1280, total_max_px=1440 * 1440
        )
    },
    prompt_max_chars=2100,
    # 2:3, 3:2 and 21:9 are ours, here and below: no page recommends any.
    ratios=_ratios("1280x1280 1088x1632 1632x1088 1104x1472 1472x1104 960x1696 1696x960 2016x864"),
    list_prices={"Beijing": ("0.20", "CNY"), "Singapore": ("0.03", "USD")},
)
"""help.aliyun.com/zh/model-studio/text-to-image-v2-api-reference and …/model-pricing;
docs.qwencloud.com/api-reference/image-generation/wan-text-to-image-v2/create-task."""
_TIERS_27: Final = {"1K": 1024 * 1024, "2K": 2048 * 2048}
_TEXT_27: Final = ModeLimits(options=frozenset({"thinking"}), tiers=_TIERS_27, size="2K")
WAN27_IMAGE: Final = ModelRecord(
    name="wan2.7-image",
    gateway_name="wan27_image",
    modes={
        Mode.EDIT: ModeLimits(images_max=9, tiers=_TIERS_27, size="2K"),
        Mode.TEXT_TO_IMAGE: _TEXT_27,
        Mode.SET: ModeLimits(images_max=9, n_min=2, n_max=12, tiers=_TIERS_27, size="2K"),
    },
    prompt_max_chars=5000,
    image_file_max_bytes=20_000_000,
    image_aspect_max=8.0,
    aspect_max=8.0,
    ratios=_ratios("2048x2048 1664x2496 2496x1664 1728x2368 2368x1728 1536x2688 2688x1536 3024x1296"),
    list_prices={"Beijing": ("0.20", "CNY"), "Singapore": ("0.03", "USD")},
)
"""help.aliyun.com/zh/model-studio/wan-image-generation-and-editing-api-reference and …/model-pricing;
docs.qwencloud.com/api-reference/image-generation/wan27-image-gen-edit/create-task and
…/developer-guides/image-generation/text-to-image; names at the gateway: its command-line client."""
WAN27_IMAGE_PRO: Final = replace(
    WAN27_IMAGE,
    name="wan2.7-image-pro",
    gateway_name="wan27_image_pro",
    modes={
        **WAN27_IMAGE.modes,
        Mode.TEXT_TO_IMAGE: replace(_TEXT_27, tiers={**_TIERS_27, "4K": 4096 * 4096}, total_max_px=4096 * 4096),
    },
    list_prices={"Beijing": ("0.50", "CNY"), "Singapore": ("0.075", "USD")},
)
"""As ``WAN27_IMAGE``."""
MODELS: Final[Mapping[str, ModelRecord]] = {
    record.name: record for record in (WAN26_IMAGE, WAN26_T2I, WAN27_IMAGE, WAN27_IMAGE_PRO)
}
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
