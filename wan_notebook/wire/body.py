"""A request's fields as both services take them (WAN_API §1), and JSON as bytes."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from wan_notebook.errors import Problem, RequestError
from wan_notebook.inputs import InputImage, PendingImage
from wan_notebook.request import ImageRequest

from .base import Call


@dataclass(frozen=True)
class DataUrl:
    """A picture in a body, turned into base64 only when the bytes are built."""

    mime: str
    data: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return ``data:{mime};base64,…`` (WAN_API §1 `image`)."""
        return b"data:" + self.mime.encode("ascii") + b";base64," + base64.b64encode(self.data)


def task_fields(request: ImageRequest) -> dict[str, Any]:
    """Return ``input`` and ``parameters``: one message with exactly one text, then the pictures in their order."""
    content: list[dict[str, Any]] = [{"text": request.prompt}]
    content += [{"image": _data_url(image)} for image in request.images]
    return {"input": {"messages": [{"role": "user", "content": content}]}, "parameters": request.parameters()}


def encode_body(call: Call) -> bytes:
    """Return a call's body as UTF-8 JSON, empty if it has none. Build it once: with pictures it is megabytes long."""
    if call.body is None:
        return b""
    # json.dumps would search megabytes of base64 for characters to escape: the pictures are put in afterwards.
    pictures: list[DataUrl] = []
    mark = secrets.token_hex(16)

    def leave_a_mark(value: DataUrl) -> str:
        pictures.append(value)
        return mark

    text = json.dumps(call.body, ensure_ascii=False, separators=(",", ":"), default=leave_a_mark).encode()
    pieces = text.split(mark.encode())
    joined = [pieces[0]]
    for picture, piece in zip(pictures, pieces[1:], strict=True):
        joined += (picture.encode(), piece)
    return b"".join(joined)


def _data_url(image: InputImage | PendingImage) -> DataUrl:
    if isinstance(image, PendingImage):
        raise RequestError([Problem("images", image.name, "is not finished yet.", "Wait for its job first.")])
    return DataUrl(image.mime, image.data)
