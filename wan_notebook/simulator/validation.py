"""The rules of a request (WAN_API §1): a JSON body becomes a `TaskRequest`, or an `ApiError` that names the field."""

import base64
import hashlib
import io
import math
import re
import reprlib
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from PIL import Image
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, ValidationInfo, model_validator
from starlette.exceptions import HTTPException

Provider = Literal["gateway", "dashscope"]
Size = tuple[int, int]

MODELS: Mapping[Provider, str] = {"gateway": "wan26_image", "dashscope": "wan2.6-image"}
BODY_MAX_BYTES = 16 * 1024 * 1024  # all pictures of a request together, decoded
INPUT_MAX_BYTES = 10 * 1024 * 1024
TIERS_PX: Mapping[str, int] = {"1K": 1280**2, "2K": 2048**2}  # total pixels; only in editing

ERRORS: Mapping[str, tuple[int, str]] = {
    "AccessDenied": (403, "current user api does not support asynchronous calls"),
    "Arrearage": (400, "Access denied, please make sure your account is in good standing."),
    "DataInspectionFailed": (400, "Input data may contain inappropriate content."),
    "InternalError.Algo": (500, "inference error"),
    "TaskCanceled": (400, "The task was canceled."),
    "Throttling.AllocationQuota": (429, "Too many tasks in process, please try again later."),
    "UnsupportedOperation": (400, "Failed to cancel the task, please confirm if the task is in PENDING status."),
    "Throttling.RateQuota": (429, "Requests rate limit exceeded, please try again later."),
}
"""Of each code of WAN_API §2 and §3: DashScope's HTTP status, and what the services say."""


class ApiError(HTTPException):
    """A refused request: an HTTP status, DashScope's code, and a detail that names the field."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(status, detail)
        self.code = code

    @classmethod
    def of(cls, code: str) -> "ApiError":
        """Return the error that the services give with a code."""
        status, detail = ERRORS.get(code, (400, "An internal error has occurred, please try again later."))
        return cls(status, code, detail)


def require(is_allowed: bool, field: str, problem: str) -> None:
    """Raise the 400 for a field unless its value is allowed."""
    if not is_allowed:
        raise ApiError(400, "InvalidParameter", f"{field}: {problem}")


class TaskRequest(BaseModel, frozen=True):
    """An accepted request; `images_n` pictures are made, and `withheld_n` more are replaced by a reason."""

    model: str
    is_interleaved: bool
    prompt: str
    width_px: int
    height_px: int
    images_n: int
    withheld_n: int = 0
    seed: int


def _read_picture(source: Any) -> tuple[Size, int]:
    """Check an `image` value; return its size as people see it in pixels, and in bytes.

    An http address is never fetched, and stands for a picture of 1024×768 pixels.
    """
    if str(source).startswith(("http://", "https://")):
        return (1024, 768), 0
    match = re.match(r"(?ai)data:image/(jpeg|jpg|png|bmp|webp);base64,", str(source))
    if match is None:
        raise ValueError("must be an http(s) URL or data:{MIME};base64,{data} of a JPEG, PNG, BMP or WEBP picture")
    content = base64.b64decode(source[match.end() :], validate=True)
    if len(content) > INPUT_MAX_BYTES:
        raise ValueError(f"file size must not exceed 10MB, got {len(content)} bytes")
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "BMP", "WEBP")) as picture:
            picture.load()
            (width, height), turned = picture.size, picture.getexif().get(0x0112, 1)
            is_clear = picture.format == "PNG" and picture.has_transparency_data
    except Exception as problem:  # noqa: BLE001 - decoders raise whatever they like
        raise ValueError(f"the picture cannot be used: {type(problem).__name__}") from None
    if is_clear or not all(240 <= side <= 8000 for side in (width, height)):
        raise ValueError(f"must have 240 to 8000 pixels a side, and no transparency in a PNG, got {width}*{height}")
    return ((height, width) if turned in (5, 6, 7, 8) else (width, height)), len(content)


class _Content(BaseModel, strict=True):
    text: str = ""
    image: Annotated[tuple[Size, int] | None, BeforeValidator(_read_picture)] = None


class _Message(BaseModel, strict=True):
    role: Literal["user"]
    content: list[_Content]


class _Input(BaseModel, strict=True):
    messages: Annotated[list[_Message], Field(min_length=1, max_length=1)]


class _Parameters(BaseModel, strict=True):
    enable_interleave: bool = False
    n: Annotated[int, Field(ge=1, le=4)] | None = None
    max_images: Annotated[int, Field(ge=1, le=5)] = 5
    size: str | None = None
    negative_prompt: str = ""
    prompt_extend: bool = True
    watermark: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None


class _Request(BaseModel, strict=True):
    model: str
    input: _Input
    parameters: _Parameters = _Parameters()

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, document: Any, info: ValidationInfo) -> Any:
        """Bring the gateway's "params" envelope to the flat form (WAN_API §2)."""
        match document:
            case {"input": [{"params": dict(params)}]} if info.context == "gateway":
                return {**params, "model": document.get("model")}
        return document


def read_request(body: bytes, provider: Provider) -> TaskRequest:
    """Check a request body and return the request; a prompt that is too long is cut, as the services do.

    Raises
    ------
    ApiError
        A rule is broken.
    """
    try:
        asked = _Request.model_validate_json(body, context=provider)
    except ValidationError as problem:
        first = problem.errors()[0]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        detail = f"{field[1:] or 'body'}: {first['msg'].removeprefix('Value error, ')}"
        raise ApiError(400, "InvalidParameter", detail) from None
    require(asked.model == MODELS[provider], "model", f"{reprlib.repr(asked.model)} does not exist")
    given, items = asked.parameters, asked.input.messages[0].content
    is_interleaved = given.enable_interleave
    texts, pictures = [item.text for item in items if item.text.strip()], [item.image for item in items if item.image]
    least, most = (0, 1) if is_interleaved else (1, 4)
    require(
        len(texts) == 1 and len(items) == 1 + len(pictures) and least <= len(pictures) <= most,
        "input.messages[0].content",
        f"must contain one text object and, in this mode, {least} to {most} images",
    )
    n = given.n or (4 if provider == "dashscope" and not is_interleaved else 1)
    require(n == 1 or not is_interleaved, "parameters.n", f"must be 1 when enable_interleave is true, got {n}")
    if sum(size_bytes for _, size_bytes in pictures) > BODY_MAX_BYTES:
        raise ApiError(413, "BadRequest.TooLarge", f"Payload Too Large: at most {BODY_MAX_BYTES} bytes of pictures")
    width, height = _output_size(given.size, pictures[-1][0] if pictures else None, is_interleaved=is_interleaved)
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    if is_interleaved:  # an illustrated text may stop before its limit
        n = min(given.max_images, 2 + hashlib.sha256(f"{seed} {texts[0]}".encode()).digest()[0] % 4)
    withheld = 1 if n > 1 and "[[partial]]" in texts[0] else 0
    return TaskRequest(
        model=asked.model,
        is_interleaved=is_interleaved,
        prompt=texts[0][:2000],
        width_px=width,
        height_px=height,
        images_n=0 if "[[empty]]" in texts[0] else n - withheld,
        withheld_n=withheld,
        seed=seed,
    )


def _output_size(size: str | None, last_input_px: Size | None, *, is_interleaved: bool) -> Size:
    """Return width and height of the results; raise ApiError for a size that the mode does not allow."""
    width, height = last_input_px or (1, 1)
    scale, side = 1.0, 1280 if is_interleaved else 2048
    if size is None or (size in TIERS_PX and not is_interleaved):
        total_px = TIERS_PX[size or "1K"]
        if last_input_px and is_interleaved and width * height <= total_px:
            return last_input_px
        scale = math.sqrt(total_px / (width * height))
    else:
        width, height = map(int, size.split("*")) if re.fullmatch(r"[0-9]{1,5}\*[0-9]{1,5}", size) else (0, 0)
        require(
            768**2 <= width * height <= side**2 and max(width, height) <= 4 * min(width, height),
            "parameters.size",
            f"must be W*H of 768*768 to {side}*{side} pixels in all and an aspect ratio of 1:4 to 4:1",
        )
    columns, rows = (max(1, math.floor(side * scale / 16 + 0.5)) for side in (width, height))
    return columns * 16, rows * 16
