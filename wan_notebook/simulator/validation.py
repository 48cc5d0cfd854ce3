"""The rules of a request (WAN_API §1): a JSON body becomes a `TaskRequest`, or an `ApiError` that names the field."""

import base64
import binascii
import hashlib
import io
import json
import math
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from PIL import Image, ImageOps

from .errors import ApiError, invalid, require, shown
from .tasks import Provider, TaskRequest, directives_of

Size = tuple[int, int]

BODY_MAX_BYTES = 16 * 1024 * 1024  # all pictures of a request together, decoded
KEPT_SIDE_PX = 1024
CONTENT = "input.messages[0].content"
PARAMETERS: Mapping[str, type] = {
    "enable_interleave": bool,
    "n": int,
    "max_images": int,
    "size": str,
    "negative_prompt": str,
    "prompt_extend": bool,
    "watermark": bool,
    "seed": int,
}

_TYPE_NAMES = {bool: "a boolean", int: "an integer", str: "a string"}
_SIZE = re.compile(r"[0-9]{1,5}\*[0-9]{1,5}")
_DATA_URL = re.compile(r"data:image/(jpeg|jpg|png|bmp|webp);base64,", re.ASCII | re.IGNORECASE)
_decoding = threading.Lock()  # one picture of 64 megapixels at a time is memory enough


@dataclass(frozen=True, kw_only=True)
class ModeLimits:
    """Limits of one mode of a model; ranges are (least, most), both included, totals are width × height."""

    inputs: tuple[int, int]
    total_px: tuple[int, int]
    tiers_px: Mapping[str, int] = field(default_factory=dict)
    follows_small_inputs: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelLimits:
    """Names and limits of one model; another model is another record in `MODELS`."""

    names: Mapping[Provider, str]
    default_n: Mapping[Provider, int]
    prompt_chars: int
    negative_prompt_chars: int
    ranges: Mapping[str, tuple[int, int]]
    edit: ModeLimits
    interleaved: ModeLimits
    input_bytes: int
    input_side_px: tuple[int, int]
    default_total_px: int
    aspect_max: float
    grid_px: int


class InputPicture(NamedTuple):
    """An input picture: its size as people see it, and a reduced JPEG in base64, or its address."""

    size_px: Size
    content: str


MODELS = (
    ModelLimits(
        names={"gateway": "wan26_image", "dashscope": "wan2.6-image"},
        default_n={"gateway": 1, "dashscope": 4},
        prompt_chars=2000,
        negative_prompt_chars=500,
        ranges={"n": (1, 4), "max_images": (1, 5), "seed": (0, 2**31 - 1)},
        edit=ModeLimits(inputs=(1, 4), total_px=(768**2, 2048**2), tiers_px={"1K": 1280**2, "2K": 2048**2}),
        interleaved=ModeLimits(inputs=(0, 1), total_px=(768**2, 1280**2), follows_small_inputs=True),
        input_bytes=10 * 1024 * 1024,
        input_side_px=(240, 8000),
        default_total_px=1280**2,
        aspect_max=4.0,
        grid_px=16,
    ),
)


def read_request(body: bytes, provider: Provider, envelope: str = "flat") -> TaskRequest:
    """Check a request body and return the request.

    `envelope` ("flat", "params" or "both") is what the service accepts. Texts that are too long are cut without an
    error, as the services do.

    Raises
    ------
    ApiError
        A rule is broken.
    """
    document = _document(body, envelope)
    limits = next((model for model in MODELS if model.names[provider] == document.get("model")), None)
    if limits is None:
        raise invalid("model", f"{shown(document.get('model'))} does not exist")
    parameters = _parameters(document.get("parameters") or {}, limits)
    is_interleaved = parameters.get("enable_interleave", False)
    mode = limits.interleaved if is_interleaved else limits.edit
    prompt, sources = _content(document, mode)
    n = parameters.get("n", 1 if is_interleaved else limits.default_n[provider])
    require(n == 1 or not is_interleaved, "parameters.n", f"must be 1 when enable_interleave is true, got {n}")
    if sum(len(source) for _, source in sources if source.startswith("data:")) * 3 // 4 > BODY_MAX_BYTES:
        raise ApiError(413, "BadRequest.TooLarge", f"Payload Too Large: at most {BODY_MAX_BYTES} bytes of pictures")
    inputs = [read_input(source, where, limits) for where, source in sources]
    last_input_px = inputs[-1].size_px if inputs else None
    width, height = output_size(parameters.get("size"), limits, mode, last_input_px)
    seed = parameters.get("seed", secrets.randbelow(2**31))
    asked = parameters.get("max_images", limits.ranges["max_images"][1]) if is_interleaved else n
    made, withheld = _images_made(prompt, seed, asked, is_interleaved=is_interleaved)
    return TaskRequest(
        model=limits.names[provider],
        is_interleaved=is_interleaved,
        prompt=_well_formed(prompt)[: limits.prompt_chars],
        negative_prompt=_well_formed(parameters.get("negative_prompt", ""))[: limits.negative_prompt_chars],
        inputs=tuple(picture.content for picture in inputs),
        width_px=width,
        height_px=height,
        images_n=made,
        withheld_n=withheld,
        prompt_extend=parameters.get("prompt_extend", True),
        watermark=parameters.get("watermark", False),
        seed=seed,
    )


def output_size(size: str | None, limits: ModelLimits, mode: ModeLimits, last_input_px: Size | None) -> Size:
    """Return width and height of the results; raise ApiError for a size that the mode does not allow."""
    width, height = last_input_px or (1, 1)
    scale, grid = 1.0, limits.grid_px
    if size is None or size in mode.tiers_px:
        total_px = mode.tiers_px.get(size or "", limits.default_total_px)
        if last_input_px and mode.follows_small_inputs and width * height <= total_px:
            return last_input_px
        scale = math.sqrt(total_px / (width * height))
    else:
        names = " or ".join([*mode.tiers_px, "W*H such as 1280*1280"])
        require(_SIZE.fullmatch(size) is not None, "parameters.size", f"must be {names}, got {shown(size)}")
        width, height = map(int, size.split("*"))
        least, most = mode.total_px
        sides = f"{math.isqrt(least)}*{math.isqrt(least)} and {math.isqrt(most)}*{math.isqrt(most)}"
        is_allowed = least <= width * height <= most
        require(is_allowed, "parameters.size", f"total pixels must be between {sides}, got {size}")
        is_allowed = max(width, height) <= limits.aspect_max * min(width, height)
        require(is_allowed, "parameters.size", f"aspect ratio must be between 1:4 and 4:1, got {size}")
    columns, rows = (max(1, math.floor(side * scale / grid + 0.5)) for side in (width, height))
    return columns * grid, rows * grid


def read_input(source: str, where: str, limits: ModelLimits = MODELS[0]) -> InputPicture:
    """Check one `image` value of the field `where`, and reduce it.

    An http address is never fetched: it stands for a picture of 1024×768 pixels.
    """
    if source.startswith(("http://", "https://")):
        return InputPicture((1024, 768), _well_formed(source))
    match = _DATA_URL.match(source)
    if match is None:
        raise invalid(where, "must be an http(s) URL or data:{MIME};base64,{data} of a JPEG, PNG, BMP or WEBP picture")
    try:
        content = base64.b64decode(source[match.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise invalid(where, "the base64 data cannot be decoded") from None
    require(len(content) <= limits.input_bytes, where, f"file size must not exceed 10MB, got {len(content)} bytes")
    least, most = limits.input_side_px
    try:
        with _decoding, Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "BMP", "WEBP")) as picture:
            width, height = picture.size
            is_allowed = all(least <= side <= most for side in picture.size)
            require(is_allowed, where, f"width and height must be {least} to {most} pixels, got {width}*{height}")
            is_transparent = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
            is_allowed = not is_transparent or picture.format != "PNG"
            require(is_allowed, where, "PNG with a transparency channel is not supported")
            if picture.getexif().get(0x0112, 1) in (5, 6, 7, 8):  # turned by its orientation
                width, height = height, width
            picture.draft("RGB", (KEPT_SIDE_PX, KEPT_SIDE_PX))  # a JPEG is decoded at a fraction of its size
            small = ImageOps.exif_transpose(picture).convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise invalid(where, f"width and height must be {least} to {most} pixels") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as problem:
        raise invalid(where, f"the picture cannot be decoded ({type(problem).__name__})") from None
    small.thumbnail((KEPT_SIDE_PX, KEPT_SIDE_PX), Image.Resampling.BICUBIC, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=88)
    return InputPicture((width, height), base64.b64encode(buffer.getvalue()).decode())


def _document(body: bytes, envelope: str) -> dict[str, Any]:
    """Parse a body, and bring the gateway's "params" envelope to the flat form (WAN_API §2)."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("body", "must be valid JSON") from None
    match document:
        case {"input": [{"params": dict(params)}]} if envelope != "flat":
            return {**params, "model": document.get("model")}
        case {"input": dict()} if envelope != "params":
            return dict(document)
    wanted = "an object" if envelope == "flat" else 'an array of one {"params": {...}}'
    raise invalid("input", f"must be {wanted}")


def _parameters(given: Any, limits: ModelLimits) -> dict[str, Any]:
    """Return the parameters that are set, each of its type and within its range."""
    require(isinstance(given, dict), "parameters", "must be an object")
    found = {name: given[name] for name in PARAMETERS if given.get(name) is not None}
    for name, value in found.items():
        is_allowed = type(value) is PARAMETERS[name]  # not isinstance: True must not pass as an integer
        require(is_allowed, f"parameters.{name}", f"must be {_TYPE_NAMES[PARAMETERS[name]]}, got {shown(value)}")
    for name, (least, most) in limits.ranges.items():
        value = found.get(name, least)
        require(least <= value <= most, f"parameters.{name}", f"must be {least} to {most}, got {shown(value)}")
    return found


def _content(document: dict[str, Any], mode: ModeLimits) -> tuple[str, list[tuple[str, str]]]:
    """Return the text, and the images with the names of their fields."""
    texts: list[str] = []
    images: list[tuple[str, str]] = []
    match document:
        case {"input": {"messages": [{"role": "user", "content": [*items]}]}}:
            pass
        case _:
            raise invalid("input.messages", "must be one message with the role 'user' and an array of content")
    for index, item in enumerate(items):
        match item:
            case {"text": str(text)} if text.strip() and "image" not in item:
                texts.append(text)
            case {"image": str(image)} if image.strip() and "text" not in item:
                images.append((f"{CONTENT}[{index}].image", image))
            case _:
                raise invalid(f"{CONTENT}[{index}]", "must hold either a text or an image, which must not be empty")
    least, most = mode.inputs
    require(len(texts) == 1, CONTENT, f"must contain exactly one text object, got {len(texts)}")
    is_allowed = least <= len(images) <= most
    require(is_allowed, CONTENT, f"must contain {least} to {most} images in this mode, got {len(images)}")
    return texts[0], images


def _images_made(prompt: str, seed: int, asked: int, *, is_interleaved: bool) -> tuple[int, int]:
    """Return how many pictures are made and how many withheld; an illustrated text may stop before its limit."""
    directives = directives_of(prompt)
    if "empty" in directives:
        return 0, 0
    if is_interleaved:
        asked = min(asked, 2 + hashlib.sha256(f"{seed} {prompt}".encode(errors="replace")).digest()[0] % 4)
    left_out = 1 if asked > 1 and directives.keys() & {"partial", "fewer"} else 0
    return asked - left_out, left_out if "partial" in directives else 0


def _well_formed(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can carry and UTF-8 cannot."""
    return text.encode(errors="replace").decode()
