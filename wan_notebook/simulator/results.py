"""Result files as object storage serves them: no key, a signed address, ranges, 24 hours (WAN_API §4)."""

import asyncio
import hashlib
import hmac
import re
from email.utils import formatdate

from starlette.requests import Request
from starlette.responses import Response

from .service import Simulator
from .tasks import LIFETIME_S, Task, TaskState

RESULT_PATH = "/results/{task_id}/{index:int}.png"

_STEPS = ("The scene opens", "A little later", "Seen from closer", "The light changes", "How it ends")
_SECRET = b"a simulator has no secrets"  # the same in every process, so that an address outlives its process
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")  # one range of RFC 9110 §14, counted from the start


def contents(request: Request, task: Task, url_field: str, **fields: str) -> list[list[dict[str, str]]]:
    """Return what a task made, as groups of content items in order; `fields` are added to each picture.

    Editing gives one group a picture; an illustrated text is one group with a text before each picture.
    """
    asked, expires = task.request, str(int(task.ends_at + LIFETIME_S))
    host = f"{request.url.scheme}://{request.headers.get('host', 'simulator')}"
    pictures, texts = [], []
    for index in range(asked.images_n):
        signature = _signature(task.task_id, index, expires)
        query = f"Expires={expires}&OSSAccessKeyId=SIMULATED&Signature={signature}"
        pictures.append({"type": "image", url_field: f"{host}/results/{task.task_id}/{index}.png?{query}", **fields})
        texts.append({"type": "text", "text": f"{index + 1}. {_STEPS[index]} (simulated text): {asked.prompt[:200]}"})
    if not asked.is_interleaved or asked.is_text_to_image:
        return [[picture] for picture in pictures]
    if not pictures:
        return [[{"type": "text", "text": f"Simulated text without a picture, for: {asked.prompt[:200]}"}]]
    return [[item for pair in zip(texts, pictures, strict=True) for item in pair]]


async def serve_result(request: Request) -> Response:
    """Serve one picture, whole or in part; note where a key was sent along."""
    simulator: Simulator = request.app.state.simulator
    if "authorization" in request.headers:
        simulator.keys_leaked.append(request.url.path)
    task_id, index = request.path_params["task_id"], request.path_params["index"]
    expires, signature = request.query_params.get("Expires", ""), request.query_params.get("Signature", "")
    if not hmac.compare_digest(signature.encode(), _signature(task_id, index, expires).encode()):
        return storage_error(403, "AccessDenied", "You have no right to access this object.")
    if simulator.now() > int(expires):
        return storage_error(403, "AccessDenied", "Request has expired.")
    task = simulator.find(task_id)
    if task is None or index >= task.request.images_n or task.state(simulator.now()) is not TaskState.SUCCEEDED:
        return storage_error(404, "NoSuchKey", "The specified key does not exist.")
    content, etag = await asyncio.to_thread(simulator.result, task, index)
    headers = {"etag": etag, "last-modified": formatdate(task.ends_at, usegmt=True), "accept-ranges": "bytes"}
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or request.headers.get("if-range", etag) != etag:
        simulator.images_served += 1
        return Response(content, 200, headers, media_type="image/png")
    first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
    if first > last:
        return storage_error(416, "InvalidRange", "The requested range cannot be satisfied.")
    simulator.images_served += last == len(content) - 1
    headers["content-range"] = f"bytes {first}-{last}/{len(content)}"
    return Response(content[first : last + 1], 206, headers, media_type="image/png")


def storage_error(status: int, code: str, message: str) -> Response:
    """Return the XML error of object storage."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>\n'
    return Response(body, status, media_type="application/xml")


def _signature(task_id: str, index: int, expires: str) -> str:
    return hmac.digest(_SECRET, f"{task_id}/{index}/{expires}".encode(), hashlib.sha1).hex()
