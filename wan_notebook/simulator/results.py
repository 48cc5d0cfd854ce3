"""Result files, as object storage serves them: no key, a signed URL, ranges, 24 hours (WAN_API §4)."""

from __future__ import annotations

import re
from email.utils import formatdate

from starlette.requests import Request
from starlette.responses import Response

from .core import Simulator
from .order import Order
from .replies import storage_error
from .signing import RESULTS_PATH
from .tasks import Task, TaskState

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")
_STEPS = (
    "The scene opens",
    "A little later",
    "Seen from closer",
    "The light changes",
    "How it ends",
)


def result_url(simulator: Simulator, task: Task, index: int, request: Request) -> str:
    """Return the absolute URL of one result, on the host that the request named."""
    host = request.headers.get("host", "simulator")
    return f"{request.url.scheme}://{host}{simulator.signer.path(task, index)}"


def text_for(order: Order, index: int) -> str:
    """Write the text that goes before a picture of an illustrated text, the same for the same request.

    Plain text to image (no input, one picture) comes without a text.
    """
    if order.mode == "interleave" and not order.inputs and order.images_n == 1:
        return ""
    if not order.images_n:
        return f"Simulated text without a picture, for: {order.prompt[:200]}"
    step = _STEPS[index % len(_STEPS)]
    return f"{index + 1}. {step} (simulated text): {order.prompt[:200]}"


async def serve_result(request: Request) -> Response:
    """Serve one picture; needs no key, and notes when one was sent."""
    simulator: Simulator = request.app.state.simulator
    if "authorization" in request.headers:
        simulator.keys_leaked.append(request.url.path)
    task_id, index = request.path_params["task_id"], request.path_params["index"]
    task = simulator.find_any(task_id)
    refusal = _refusal(simulator, task, index, request)
    if refusal is not None or task is None:
        return refusal or storage_error(404, "NoSuchKey", "The specified key does not exist.")
    file = await simulator.picture(task, index)
    content = file.content
    headers = {
        "etag": file.etag,
        "last-modified": formatdate(task.finished_at, usegmt=True),
        "accept-ranges": "bytes",
    }
    reply = _ranged(request, content, headers)
    served_range = reply.headers.get("content-range", "")
    last_byte = f"-{len(content) - 1}/{len(content)}"
    reaches_end = reply.status_code == 200 or (reply.status_code == 206 and served_range.endswith(last_byte))
    request.scope["wan.whole_picture"] = request.method == "GET" and reaches_end
    return reply


def _refusal(simulator: Simulator, task: Task | None, index: int, request: Request) -> Response | None:
    expires = request.query_params.get("Expires", "")
    signature = request.query_params.get("Signature", "")
    if not expires.isdigit() or not signature:
        return storage_error(403, "AccessDenied", "You have no right to access this object.")
    if simulator.now() > int(expires):
        return storage_error(403, "AccessDenied", "Request has expired.")
    if task is None or index >= task.order.images_n:
        return storage_error(404, "NoSuchKey", "The specified key does not exist.")
    if not simulator.signer.is_valid(task.task_id, index, expires, signature):
        return storage_error(403, "AccessDenied", "Request has expired.")
    if simulator.state(task) is not TaskState.SUCCEEDED:
        return storage_error(404, "NoSuchKey", "The specified key does not exist.")
    return None


def _ranged(request: Request, content: bytes, headers: dict[str, str]) -> Response:
    """Answer a GET or HEAD, with the one range asked for if it stands (RFC 9110 §14)."""
    total = len(content)
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    condition = request.headers.get("if-range")
    stale = condition is not None and condition not in (headers["etag"], headers["last-modified"])
    if match is None or stale or match.groups() == ("", ""):
        return Response(content, 200, headers, media_type="image/png")
    if match[1]:
        first, last = int(match[1]), min(int(match[2] or total), total - 1)
    else:
        first, last = max(0, total - int(match[2])), total - 1
    if first >= total or last < first:
        refused = storage_error(416, "InvalidRange", "The requested range cannot be satisfied.")
        refused.headers["content-range"] = f"bytes */{total}"
        return refused
    headers["content-range"] = f"bytes {first}-{last}/{total}"
    return Response(content[first : last + 1], 206, headers, media_type="image/png")


RESULT_ROUTE = RESULTS_PATH + "{task_id}/{index:int}.png"
