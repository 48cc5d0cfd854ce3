"""The rules of a request (WAN_API §1): a JSON body becomes a `TaskRequest`, or an `ApiError` that names the field."""

import base64
import hashlib
import io
import json
import math
import re
import reprlib
import secrets
import threading
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from PIL import Image, ImageOps
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from .tasks import Provider, TaskRequest, directives_of

Size = tuple[int, int]

MODELS: Mapping[Provider, str] = {"gateway": "wan26_image", "dashscope": "wan2.6-image"}
DEFAULT_N: Mapping[Provider, int] = {"gateway": 1, "dashscope": 4}
PROMPT_CHARS, NEGATIVE_PROMPT_CHARS = 2000, 500
BODY_MAX_BYTES = 16 * 1024 * 1024  # all pictures of a request together, decoded
INPUT_MAX_BYTES = 10 * 1024 * 1024
INPUT_SIDE_PX = (240, 8000)
TIERS_PX: Mapping[str, int] = {"1K": 1280**2, "2K": 2048**2}  # total pixels; only in editing
GRID_PX = 16
KEPT_SIDE_PX = 1024
CONTENT = "input.messages[0].content"

ERRORS: Mapping[str, tuple[int, str]] = {
    "AccessDenied": (403, "current user api does not support asynchronous calls"),
    "AllocationQuota.FreeTierOnly": (403, "The free tier of the model has been exhausted."),
    "Arrearage": (400, "Access denied, please make sure your account is in good standing."),
    "DataInspectionFailed": (400, "Input data may contain inappropriate content."),
    "InternalError.Algo": (500, "inference error"),
    "TaskCanceled": (400, "The task was canceled."),
    "Throttling.AllocationQuota": (429, "Too many tasks in process, please try again later."),
    "Throttling.BurstRate": (429, "Request rate increased too quickly, please try again later."),
    "Throttling.RateQuota": (429, "Requests rate limit exceeded, please try again later."),
}
"""Of each code of WAN_API §2 and §3: DashScope's HTTP status, and what the services say."""

_OTHER = (400, "An internal error has occurred, please try again later or contact service support.")
_SIZE = re.compile(r"[0-9]{1,5}\*[0-9]{1,5}")
_DATA_URL = re.compile(r"data:image/(jpeg|jpg|png|bmp|webp);base64,", re.ASCII | re.IGNORECASE)
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_decoding = threading.Lock()  # one picture of 64 megapixels at a time is memory enough


class ApiError(Exception):
    """A refused request: an HTTP status, DashScope's code, and a message that names the field."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    @classmethod
    def of(cls, code: str) -> "ApiError":
        """Return the error that the services give with a code."""
        return cls(ERRORS.get(code, _OTHER)[0], code, ERRORS.get(code, _OTHER)[1])


def invalid(field: str, problem: str) -> ApiError:
    """Return the 400 for one field of a request."""
    return ApiError(400, "InvalidParameter", f"{field}: {problem}")


def require(is_allowed: bool, field: str, problem: str) -> None:
    """Raise the 400 for a field unless its value is allowed."""
    if not is_allowed:
        raise invalid(field, problem)


# Halves of surrogate pairs, which JSON can carry and UTF-8 cannot, are replaced.
_Text = Annotated[str, AfterValidator(lambda text: text.encode(errors="replace").decode())]


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True)


class _Content(_Fields):
    text: _Text = ""
    image: _Text = ""


class _Message(_Fields):
    role: Literal["user"]
    content: list[_Content]


class _Input(_Fields):
    messages: Annotated[list[_Message], Field(min_length=1, max_length=1)]


class _Parameters(_Fields):
    enable_interleave: bool = False
    n: Annotated[int, Field(ge=1, le=4)] | None = None
    max_images: Annotated[int, Field(ge=1, le=5)] = 5
    size: str | None = None
    negative_prompt: _Text = ""
    prompt_extend: bool = True
    watermark: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None


class _Request(_Fields):
    model: str
    input: _Input
    parameters: _Parameters = _Parameters()


def read_request(body: bytes, provider: Provider) -> TaskRequest:
    """Check a request body and return the request; texts that are too long are cut, as the services do.

    Raises
    ------
    ApiError
        A rule is broken.
    """
    try:
        asked = _Request.model_validate(_document(body, provider))
    except ValidationError as problem:
        first = problem.errors()[0]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        raise invalid(field.removeprefix("."), first["msg"]) from None
    require(asked.model == MODELS[provider], "model", f"{reprlib.repr(asked.model)} does not exist")
    given, items = asked.parameters, asked.input.messages[0].content
    is_interleaved = given.enable_interleave
    for index, item in enumerate(items):
        is_allowed = bool(item.text.strip()) != bool(item.image.strip())
        require(is_allowed, f"{CONTENT}[{index}]", "must hold either a text or an image, which must not be empty")
    texts = [item.text for item in items if item.text]
    sources = {f"{CONTENT}[{index}].image": item.image for index, item in enumerate(items) if item.image}
    require(len(texts) == 1, CONTENT, f"must contain exactly one text object, got {len(texts)}")
    least, most = (0, 1) if is_interleaved else (1, 4)
    is_allowed = least <= len(sources) <= most
    require(is_allowed, CONTENT, f"must contain {least} to {most} images in this mode, got {len(sources)}")
    n = given.n or (1 if is_interleaved else DEFAULT_N[provider])
    require(n == 1 or not is_interleaved, "parameters.n", f"must be 1 when enable_interleave is true, got {n}")
    if sum(len(source) for source in sources.values() if source.startswith("data:")) * 3 // 4 > BODY_MAX_BYTES:
        raise ApiError(413, "BadRequest.TooLarge", f"Payload Too Large: at most {BODY_MAX_BYTES} bytes of pictures")
    inputs = [_read_input(source, where) for where, source in sources.items()]
    width, height = _output_size(given.size, inputs[-1][0] if inputs else None, is_interleaved=is_interleaved)
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    if is_interleaved:  # an illustrated text may stop before its limit
        n = min(given.max_images, 2 + hashlib.sha256(f"{seed} {texts[0]}".encode()).digest()[0] % 4)
    directives = directives_of(texts[0])
    withheld = 1 if n > 1 and "partial" in directives else 0
    return TaskRequest(
        model=asked.model,
        is_interleaved=is_interleaved,
        prompt=texts[0][:PROMPT_CHARS],
        negative_prompt=given.negative_prompt[:NEGATIVE_PROMPT_CHARS],
        inputs=tuple(content for _, content in inputs),
        width_px=width,
        height_px=height,
        images_n=0 if "empty" in directives else n - withheld,
        withheld_n=withheld,
        prompt_extend=given.prompt_extend,
        watermark=given.watermark,
        seed=seed,
    )


def _output_size(size: str | None, last_input_px: Size | None, *, is_interleaved: bool) -> Size:
    """Return width and height of the results; raise ApiError for a size that the mode does not allow."""
    tiers = {} if is_interleaved else TIERS_PX
    width, height = last_input_px or (1, 1)
    scale = 1.0
    if size is None or size in tiers:
        total_px = tiers[size] if size else TIERS_PX["1K"]
        if last_input_px and is_interleaved and width * height <= total_px:
            return last_input_px
        scale = math.sqrt(total_px / (width * height))
    else:
        field, names = "parameters.size", " or ".join([*tiers, "W*H such as 1280*1280"])
        require(_SIZE.fullmatch(size) is not None, field, f"must be {names}, got {reprlib.repr(size)}")
        width, height = map(int, size.split("*"))
        side = 1280 if is_interleaved else 2048
        is_allowed = 768**2 <= width * height <= side**2
        require(is_allowed, field, f"total pixels must be between 768*768 and {side}*{side}, got {size}")
        is_allowed = max(width, height) <= 4 * min(width, height)
        require(is_allowed, field, f"aspect ratio must be between 1:4 and 4:1, got {size}")
    columns, rows = (max(1, math.floor(side * scale / GRID_PX + 0.5)) for side in (width, height))
    return columns * GRID_PX, rows * GRID_PX


def _read_input(source: str, where: str) -> tuple[Size, str]:
    """Check one `image` value of the field `where`; return its size as people see it, and a reduced JPEG in base64.

    An http address is never fetched: it is returned as it is, and stands for a picture of 1024×768 pixels.
    """
    if source.startswith(("http://", "https://")):
        return (1024, 768), source
    match = _DATA_URL.match(source)
    if match is None:
        raise invalid(where, "must be an http(s) URL or data:{MIME};base64,{data} of a JPEG, PNG, BMP or WEBP picture")
    try:
        content = base64.b64decode(source[match.end() :], validate=True)
    except ValueError:
        raise invalid(where, "the base64 data cannot be decoded") from None
    require(len(content) <= INPUT_MAX_BYTES, where, f"file size must not exceed 10MB, got {len(content)} bytes")
    least, most = INPUT_SIDE_PX
    try:
        with _decoding, Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "BMP", "WEBP")) as picture:
            width, height = picture.size
            is_allowed = all(least <= side <= most for side in picture.size)
            require(is_allowed, where, f"width and height must be {least} to {most} pixels, got {width}*{height}")
            is_allowed = picture.format != "PNG" or not picture.has_transparency_data
            require(is_allowed, where, "PNG with a transparency channel is not supported")
            if picture.getexif().get(0x0112, 1) in (5, 6, 7, 8):  # turned by its orientation
                width, height = height, width
            picture.draft("RGB", (KEPT_SIDE_PX, KEPT_SIDE_PX))  # a JPEG is decoded at a fraction of its size
            small = ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, *_BOMB) as problem:
        raise invalid(where, f"the picture cannot be decoded ({type(problem).__name__})") from None
    small.thumbnail((KEPT_SIDE_PX, KEPT_SIDE_PX), Image.Resampling.BICUBIC, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=88)
    return (width, height), base64.b64encode(buffer.getvalue()).decode()


def _document(body: bytes, provider: Provider) -> dict[str, Any]:
    """Parse a body, and bring the gateway's "params" envelope to the flat form (WAN_API §2)."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("body", "must be valid JSON") from None
    match document:
        case {"input": dict()}:
            return dict(document)
        case {"input": [{"params": dict(params)}]} if provider == "gateway":
            return {**params, "model": document.get("model")}
    raise invalid("input", "must be an object")
