"""Answers in the shapes of the two dialects and of object storage (WAN_API §2, §3, §4)."""

from __future__ import annotations

import json
import uuid
from typing import Any
from xml.sax.saxutils import escape

from starlette.responses import Response

from .errors import GATEWAY_CODES, ApiError
from .tasks import Dialect

JSON_TYPE = "application/json"
GATEWAY_PATH, DASHSCOPE_PATH = "/model/v1", "/api/v1"


def new_request_id() -> str:
    """Make the id that DashScope puts into every answer."""
    return str(uuid.uuid4())


def json_reply(document: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with JSON."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status, headers, media_type=JSON_TYPE)


def dialect_of(path: str) -> Dialect:
    """Tell which service a path belongs to; the gateway answers for the rest."""
    return "dashscope" if path.startswith(DASHSCOPE_PATH + "/") else "gateway"


def error_document(dialect: Dialect, code: str, message: str) -> dict[str, Any]:
    """Word an error as a dialect does."""
    if dialect == "dashscope":
        return {"code": code, "message": message, "request_id": new_request_id()}
    return {"error": {"code": GATEWAY_CODES.get(code, code), "message": message}}


def error_reply(dialect: Dialect, error: ApiError) -> Response:
    """Answer with an error of a dialect."""
    return json_reply(error_document(dialect, error.code, error.message), error.status)


def storage_error(status: int, code: str, message: str) -> Response:
    """Answer with the XML error of object storage."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n'
        f"  <Code>{escape(code)}</Code>\n  <Message>{escape(message)}</Message>\n"
        f"  <RequestId>{uuid.uuid4().hex[:24].upper()}</RequestId>\n  <HostId>results.simulator</HostId>\n</Error>\n"
    )
    return Response(body, status, media_type="application/xml")
