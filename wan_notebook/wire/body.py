"""A request's fields as both services take them (WAN_API §1), and JSON as bytes."""

from __future__ import annotations

import base64
import json
from typing import Any

from wan_notebook.errors import Problem, RequestError
from wan_notebook.inputs import InputImage, PendingImage
from wan_notebook.request import ImageRequest
from .base import Call


def task_fields(request: ImageRequest) -> dict[str, Any]:
    """Return ``input`` and ``parameters``: one message with exactly one text, then the pictures in their order."""
    content: list[dict[str, str]] = [{"text": request.prompt}]
    content += [{"image": _data_url(image)} for image in request.images]
    return {"input": {"messages": [{"role": "user", "content": content}]}, "parameters": request.parameters()}


def encode_body(call: Call) -> bytes:
    """Return a call's body as UTF-8 JSON, empty if it has none. Build it once: with pictures it is megabytes long."""
    if call.body is None:
        return b""
    return json.dumps(call.body, ensure_ascii=False, separators=(",", ":")).encode()


def _data_url(image: InputImage | PendingImage) -> str:
    if isinstance(image, PendingImage):
        raise RequestError([Problem("images", image.name, "is not finished yet.", "Wait for its job first.")])
    return f"data:{image.mime};base64,{base64.b64encode(image.data).decode('ascii')}"
