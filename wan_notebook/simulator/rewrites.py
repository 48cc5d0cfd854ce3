"""Faults that change what an answer says: polls that lie, pictures that are spoilt."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

from .replies import storage_error
from .tasks import Dialect, TaskState

FORCED = {
    "failed": TaskState.FAILED,
    "failed_plain": TaskState.FAILED,
    "canceled": TaskState.CANCELED,
}
ONLY_ON_SUCCESS = frozenset({"fewer_images", "no_urls"})
BOMB_SIDE_PX = 60_000

_Document = dict[str, Any]


def rewrite_poll(name: str, dialect: Dialect, task_id: str, body: bytes) -> bytes | None:
    """Return the body that a poll fault makes of an answer, or None if it does not apply to it."""
    document: _Document = json.loads(body)
    if name in ONLY_ON_SUCCESS and not _is_success(document):
        return None
    changed = _REWRITES[name](dialect, task_id, document)
    return json.dumps(changed, ensure_ascii=False).encode()


def _is_success(document: _Document) -> bool:
    output = document.get("output")
    if isinstance(output, dict):
        return output.get("task_status") == TaskState.SUCCEEDED
    return document.get("status") == "completed"


def _same(_dialect: Dialect, _task_id: str, document: _Document) -> _Document:
    return document


def _unknown(dialect: Dialect, task_id: str, document: _Document) -> _Document:
    if dialect == "gateway":
        return {"error": {"code": "not_found", "message": f"task {task_id} not found"}}
    return {**document, "output": {"task_id": task_id, "task_status": "UNKNOWN"}}


def _failed_plain(dialect: Dialect, _task_id: str, document: _Document) -> _Document:
    if dialect == "gateway":
        return {**document, "error": "Something went wrong."}
    output = {name: value for name, value in document["output"].items() if name != "code"}
    return {**document, "output": {**output, "message": "Something went wrong."}}


def _odd_status(dialect: Dialect, _task_id: str, document: _Document) -> _Document:
    if dialect == "gateway":
        return {**document, "status": "under_review"}
    return {**document, "output": {**document["output"], "task_status": "SUSPENDED"}}


def _contents(document: _Document) -> list[list[_Document]]:
    """Find the lists of content items of a success, in either dialect."""
    output = document["output"]
    if isinstance(output, list):
        return [group["content"] for group in output]
    return [choice["message"]["content"] for choice in output["choices"]]


def _fewer_images(_dialect: Dialect, _task_id: str, document: _Document) -> _Document:
    for content in reversed(_contents(document)):
        for item in reversed(content):
            if item["type"] == "image":
                content.remove(item)
                return document
    return document


def _no_urls(_dialect: Dialect, _task_id: str, document: _Document) -> _Document:
    for content in _contents(document):
        for item in content:
            if item["type"] == "image":
                item.pop("url", None)
                item.pop("image", None)
    return document


_REWRITES: dict[str, Callable[[Dialect, str, _Document], _Document]] = {
    "unknown": _unknown,
    "failed": _same,
    "failed_plain": _failed_plain,
    "canceled": _same,
    "odd_status": _odd_status,
    "fewer_images": _fewer_images,
    "no_urls": _no_urls,
}


def spoil_picture(name: str, content: bytes) -> bytes:
    """Return the bytes that a download fault makes of a picture."""
    return _SPOILS[name](content)


def _truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]


def _bomb(_content: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", BOMB_SIDE_PX, BOMB_SIDE_PX, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _xml(_content: bytes) -> bytes:
    return bytes(storage_error(200, "NoSuchKey", "The specified key does not exist.").body)


def _empty(_content: bytes) -> bytes:
    return b""


_SPOILS: dict[str, Callable[[bytes], bytes]] = {
    "truncate": _truncate,
    "corrupt_crc": _flip_bit,
    "bomb": _bomb,
    "xml_200": _xml,
    "empty_200": _empty,
}
