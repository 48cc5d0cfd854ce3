"""Every rule of a request (WAN_API §1): JSON in, an Order out, or an ApiError that names the field."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import ApiError, invalid, shown
from .inputs import InputPicture
from .order import Mode, Order, images_made
from .sizes import output_size

MOST_TEXT, MOST_NEGATIVE = 2000, 500
MOST_INPUTS = {"edit": 4, "interleave": 1}
MOST_N, MOST_MAX_IMAGES, MOST_SEED = 4, 5, 2**31 - 1

CONTENT = "input.messages[0].content"


@dataclass(frozen=True, slots=True)
class Service:
    """Hold what differs between the two services: the model's name and the default of `n`."""

    model: str
    default_n: int


GATEWAY = Service("wan26_image", default_n=1)
DASHSCOPE = Service("wan2.6-image", default_n=4)


def parse_json(body: bytes) -> dict[str, Any]:
    """Read a request body; raise ApiError unless it is a JSON object."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid("body", "must be valid JSON") from None
    if not isinstance(document, dict):
        raise invalid("body", "must be a JSON object")
    return document


def unwrap(document: dict[str, Any], envelope: str) -> dict[str, Any]:
    """Bring the gateway's two envelopes to the flat one (WAN_API §2)."""
    given = document.get("input")
    if not isinstance(given, list):
        if envelope == "params" and given is not None:
            raise invalid("input", 'must be an array of one {"params": {...}}')
        return document
    if envelope == "flat":
        raise invalid("input", "must be an object")
    if len(given) != 1 or not isinstance(given[0], dict) or not isinstance(given[0].get("params"), dict):
        raise invalid("input", 'must be an array of one {"params": {...}}')
    return {**given[0]["params"], "model": document.get("model")}


def read_order(document: dict[str, Any], service: Service, read_picture: Callable[[str, str], InputPicture]) -> Order:
    """Check a flat request and make it an Order; `read_picture(source, field)` checks one image."""
    _check_model(document.get("model"), service)
    parameters = _parameters(document)
    interleave = _flag(parameters, "enable_interleave", default=False)
    mode: Mode = "interleave" if interleave else "edit"
    text, sources = _content(document, mode)
    most_n = _most_images(parameters, mode, service)
    size = _optional(parameters, "size", str, "a string")
    negative = _clean(_optional(parameters, "negative_prompt", str, "a string") or "")
    seed = _integer(parameters, "seed", 0, MOST_SEED, default=None)
    flags = {
        "prompt_extend": _flag(parameters, "prompt_extend", default=True),
        "watermark": _flag(parameters, "watermark", default=False),
    }
    pictures = [read_picture(source, where) for where, source in sources]
    last = (pictures[-1].width_px, pictures[-1].height_px) if pictures else None
    width, height = output_size(size, mode=mode, last_input=last)
    prompt = text[:MOST_TEXT]  # the service cuts the excess silently, and so does its double
    seed = secrets.randbelow(MOST_SEED + 1) if seed is None else seed
    return Order(
        model=service.model,
        mode=mode,
        prompt=prompt,
        negative_prompt=negative[:MOST_NEGATIVE],
        inputs=tuple(picture.input_id for picture in pictures),
        width_px=width,
        height_px=height,
        images_n=images_made(prompt, mode, most_n, seed),
        seed=seed,
        **flags,
    )


def _check_model(model: object, service: Service) -> None:
    if model is None:
        raise invalid("model", "is required")
    if model != service.model:
        raise ApiError(400, "ModelNotFound", f"model: {shown(model)} does not exist, use {service.model!r}")


def _parameters(document: dict[str, Any]) -> dict[str, Any]:
    parameters = document.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise invalid("parameters", "must be an object")
    return parameters


def _content(document: dict[str, Any], mode: Mode) -> tuple[str, list[tuple[str, str]]]:
    """Return the text and the images with the names of their fields."""
    texts: list[str] = []
    sources: list[tuple[str, str]] = []
    for index, item in enumerate(_content_items(document)):
        where = f"{CONTENT}[{index}]"
        if not isinstance(item, dict) or ("text" in item) == ("image" in item):
            raise invalid(where, "must hold exactly one of text and image")
        kind = "text" if "text" in item else "image"
        value = item[kind]
        if not isinstance(value, str) or not value.strip():
            raise invalid(f"{where}.{kind}", "must be a non-empty string")
        if kind == "text":
            texts.append(_clean(value))
        else:
            sources.append((f"{where}.image", value))
    if len(texts) != 1:
        raise invalid(CONTENT, f"must contain exactly one text object, got {len(texts)}")
    least, most = (1 if mode == "edit" else 0), MOST_INPUTS[mode]
    if not least <= len(sources) <= most:
        flag = str(mode == "interleave").lower()
        raise invalid(
            CONTENT,
            f"must contain {least} to {most} images when enable_interleave is {flag}, got {len(sources)}",
        )
    return texts[0], sources


def _clean(text: str) -> str:
    """Replace halves of surrogate pairs: JSON can carry them, nothing after it can."""
    return text.encode(errors="replace").decode()


def _content_items(document: dict[str, Any]) -> list[Any]:
    given = document.get("input")
    if not isinstance(given, dict):
        raise invalid("input", "must be an object")
    messages = given.get("messages")
    if not isinstance(messages, list) or len(messages) != 1:
        raise invalid("input.messages", "must be an array of exactly one message")
    message = messages[0]
    if not isinstance(message, dict) or message.get("role") != "user":
        raise invalid("input.messages[0].role", "must be 'user'")
    items = message.get("content")
    if not isinstance(items, list):
        raise invalid(CONTENT, "must be an array")
    return items


def _most_images(parameters: dict[str, Any], mode: Mode, service: Service) -> int:
    max_images = _integer(parameters, "max_images", 1, MOST_MAX_IMAGES, default=MOST_MAX_IMAGES)
    if mode == "interleave":
        if _integer(parameters, "n", 1, MOST_N, default=1) != 1:
            raise invalid("parameters.n", f"must be 1 when enable_interleave is true, got {shown(parameters['n'])}")
        return max_images or 1
    return _integer(parameters, "n", 1, MOST_N, default=service.default_n) or 1


def _optional(parameters: dict[str, Any], name: str, kind: type, called: str) -> Any:
    value = parameters.get(name)
    if value is not None and type(value) is not kind:
        raise invalid(f"parameters.{name}", f"must be {called}, got {shown(value)}")
    return value


def _flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    value = _optional(parameters, name, bool, "a boolean")
    return default if value is None else bool(value)


def _integer(parameters: dict[str, Any], name: str, least: int, most: int, *, default: int | None) -> int | None:
    value = _optional(parameters, name, int, "an integer")
    if value is None:
        return default
    if not least <= value <= most:
        raise invalid(f"parameters.{name}", f"must be between {least} and {most}, got {shown(value)}")
    return int(value)
