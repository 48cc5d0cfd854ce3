"""The rules of a request (WAN_API §1): a JSON body becomes a `TaskRequest`, or an `ApiError` that names the field."""

import base64
import hashlib
import io
import math
import re
import reprlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from PIL import Image
from pydantic import BaseModel, BeforeValidator, Field, ValidationError, ValidationInfo, model_validator
from starlette.exceptions import HTTPException

Provider = Literal["gateway", "dashscope"]
Size = tuple[int, int]

NAMES = ("wan2.6-image", "wan2.6-t2i", "wan2.7-image", "wan2.7-image-pro")
MODELS: Mapping[Provider, Mapping[str, str]] = {
    "gateway": {name.replace(".", "").replace("-", "_"): name for name in NAMES},
    "dashscope": {name: name for name in NAMES},
}
"""The names at each service, with the name of the model."""
BODY_MAX_BYTES = 16 * 1024 * 1024  # all pictures of a request together, decoded
T2I_SIZES = ("1280*1280", "1104*1472", "1472*1104", "960*1696", "1696*960")
"""What the page of wan2.6-t2i recommends: three of them have fewer pixels than it says."""
NEWER = frozenset({"enable_sequential", "thinking_mode"})
OPTIONS: Mapping[str, frozenset[str]] = {
    "wan2.6-image": frozenset({"enable_interleave", "max_images", "negative_prompt", "prompt_extend"}),
    "wan2.6-t2i": frozenset({"negative_prompt", "prompt_extend"}),
    **dict.fromkeys(("wan2.7-image", "wan2.7-image-pro"), NEWER),
}
"""The parameters that not every model has."""

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
    is_set: bool = False
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
    enable_sequential: bool = False
    thinking_mode: bool = True
    n: Annotated[int, Field(ge=1, le=12)] | None = None
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
    require(asked.model in MODELS[provider], "model", f"{reprlib.repr(asked.model)} does not exist")
    model, given, items = MODELS[provider][asked.model], asked.parameters, asked.input.messages[0].content
    for name in sorted(frozenset().union(*OPTIONS.values()) - OPTIONS[model]):
        require(name not in given.model_fields_set, f"parameters.{name}", f"is not supported by {model}")
    texts, pictures = [item.text for item in items if item.text.strip()], [item.image for item in items if item.image]
    rules = _rules_of(model, given, has_pictures=bool(pictures))
    least, most = rules.images
    require(
        len(texts) == 1 and len(items) == 1 + len(pictures) and least <= len(pictures) <= most,
        "input.messages[0].content",
        f"must contain one text object and, in this mode, {least} to {most} images",
    )
    for at, item in enumerate(items):
        if item.image is not None:
            (width, height), size_bytes = item.image
            shape = max(width, height) / min(width, height)
            is_fit = size_bytes <= rules.file_mb * 1024**2 and shape <= rules.input_aspect
            wrong = f"must have at most {rules.file_mb}MB and an aspect ratio of at most {rules.input_aspect:g}:1"
            require(is_fit, f"input.messages[0].content[{at}].image", wrong)
    # The pages of the newer models do not agree on 1 or 4: whoever forgets it pays for 4 here.
    usual = 1 if given.enable_interleave or asked.model == "wan26_image" else 12 if given.enable_sequential else 4
    n = given.n or usual
    require(n <= rules.n_max, "parameters.n", f"must be 1 to {rules.n_max}, got {n}")
    if sum(size_bytes for _, size_bytes in pictures) > BODY_MAX_BYTES:
        raise ApiError(413, "BadRequest.TooLarge", f"Payload Too Large: at most {BODY_MAX_BYTES} bytes of pictures")
    width, height = _output_size(given.size, [size for size, _ in pictures], rules)
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    if given.enable_interleave or given.enable_sequential:  # it may stop before its limit
        most = n if given.enable_sequential else given.max_images
        n = min(most, 2 + hashlib.sha256(f"{seed} {texts[0]}".encode()).digest()[0] % 4)
    withheld = 1 if n > 1 and "[[partial]]" in texts[0] else 0
    return TaskRequest(
        model=asked.model,
        is_interleaved=given.enable_interleave,
        is_set=given.enable_sequential,
        prompt=texts[0][: rules.prompt_chars],
        width_px=width,
        height_px=height,
        images_n=0 if "[[empty]]" in texts[0] else n - withheld,
        withheld_n=withheld,
        seed=seed,
    )


class _Rules(NamedTuple):
    """What a model takes in a mode (WAN_API §1 and §5). ``follows``: small inputs keep their size."""

    images: tuple[int, int]
    n_max: int
    prompt_chars: int
    tiers: Mapping[str, int]
    usual_px: int
    pixels: tuple[int, int]
    aspect: float = 4.0
    file_mb: int = 10
    input_aspect: float = 34.0
    listed: Sequence[str] = ()
    follows: bool = False
    step_px: int = 16


def _rules_of(model: str, given: _Parameters, *, has_pictures: bool) -> _Rules:
    if model == "wan2.6-t2i":
        return _Rules((0, 0), 4, 2100, {}, 1280**2, (1280**2, 1440**2), listed=T2I_SIZES, step_px=1)
    if model == "wan2.6-image":
        if given.enable_interleave:
            return _Rules((0, 1), 1, 2000, {}, 1280**2, (768**2, 1280**2), follows=True)
        return _Rules((1, 4), 4, 2000, {"1K": 1280**2, "2K": 2048**2}, 1280**2, (768**2, 2048**2))
    tiers, most = {"1K": 1024**2, "2K": 2048**2}, 2048**2
    if model == "wan2.7-image-pro" and not has_pictures and not given.enable_sequential:
        tiers["4K"] = most = 4096**2
    n_max = 12 if given.enable_sequential else 4
    return _Rules((0, 9), n_max, 5000, tiers, 2048**2, (768**2, most), 8.0, 20, 8.0, step_px=1)


def _output_size(size: str | None, inputs_px: Sequence[Size], rules: _Rules) -> Size:
    """Return width and height of the results; raise ApiError for a size that the mode does not allow."""
    width, height = inputs_px[-1] if inputs_px else (1, 1)
    scale = 1.0
    if size is None or size in rules.tiers:
        total_px = rules.tiers[size] if size else rules.usual_px
        if inputs_px and rules.follows and width * height <= total_px:
            return width, height
        scale = math.sqrt(total_px / (width * height))
    else:
        width, height = map(int, size.split("*")) if re.fullmatch(r"[0-9]{1,5}\*[0-9]{1,5}", size) else (0, 0)
        least, most = rules.pixels
        is_total = least <= width * height <= most or size in rules.listed
        require(
            is_total and max(width, height) <= rules.aspect * min(width, height),
            "parameters.size",
            f"total pixels must be between {least} and {most}, the aspect ratio at most {rules.aspect:g}:1",
        )
    columns, rows = (max(1, math.floor(side * scale / rules.step_px + 0.5)) for side in (width, height))
    return columns * rules.step_px, rows * rules.step_px
