"""Read values out of JSON that may be anything. Nothing here raises; what cannot be read is empty or None."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from wan_notebook.errors import SettingsError
from wan_notebook.money import to_decimal

from .base import Output, Phase, ServiceFault

log = logging.getLogger(__name__)

MESSAGE_MAX_CHARACTERS: Final = 500
NAME_MAX_CHARACTERS: Final = 256
RECORD_MAX_BYTES: Final = 64 * 1024
COST_MAX_USD: Final = Decimal(1_000_000)
COST_DIGITS_MAX: Final = 20

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a JSON object as it is, and an empty one for everything else."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """Return a JSON array as it is, nothing as an empty one, and a single object as an array of one."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict) else []


def text(value: Any) -> str:
    """Return a text that can be stored: lone surrogates become question marks; not a string: empty."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def words(value: Any, limit: int = MESSAGE_MAX_CHARACTERS) -> str:
    """Return a text or number as one harmless line: no control characters, no escape sequences, not endless."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    try:
        shown = value if isinstance(value, str) else str(value)
    except ValueError:  # an integer of thousands of digits
        return ""
    line = _CONTROL.sub(" ", text(shown[: 4 * limit])).strip()
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def first_words(body: Mapping[str, Any], *names: str, limit: int = NAME_MAX_CHARACTERS) -> str:
    """Return the first of several fields that holds a text or a number."""
    return next((found for name in names if (found := words(body.get(name), limit))), "")


def number(value: Any) -> float | None:
    """Read a finite number, also when it is written as a text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def whole(value: Any) -> int | None:
    """Read a count or an id's number, cut to an integer."""
    found = number(value)
    return None if found is None or abs(found) > 2**53 else int(found)


def fraction(value: Any) -> float | None:
    """Read a progress of 0.0–1.0; one of 1–100 can only be meant in percent."""
    found = number(value)
    if found is None or not 0 <= found <= 100:
        return None
    return found if found <= 1 else found / 100


def unix_seconds(value: Any) -> int | None:
    """Read a unix time in seconds, or in milliseconds as DashScope's task list writes it."""
    found = number(value)
    if found is None or not 0 < found < 1e14:
        return None
    return int(found / 1000 if found > 1e11 else found)


def dollars(value: Any) -> Decimal | None:
    """Read an amount in USD (WAN_API §2: a decimal string); None for what no price can be."""
    try:
        amount = to_decimal(value)
    except ValueError:
        return None
    if amount is None or amount >= COST_MAX_USD or -int(amount.as_tuple().exponent) > COST_DIGITS_MAX:
        return None
    return amount


def seconds_between(start: Any, end: Any) -> float | None:
    """Subtract two times of one clock, written without a zone (WAN_API §3); None if either is missing or they cross."""
    try:
        begun, ended = (datetime.fromisoformat(words(value)).replace(tzinfo=UTC) for value in (start, end))
    except ValueError:
        return None
    passed = (ended - begun).total_seconds()
    return passed if passed >= 0 else None


def record(value: Any) -> Mapping[str, Any]:
    """Return an object that is only recorded, never computed with; empty if it could not be stored."""
    found = mapping(value)
    try:
        size = len(json.dumps(found, ensure_ascii=False, allow_nan=False).encode()) if found else 0
    except (ValueError, RecursionError, TypeError):
        return {}
    return found if size <= RECORD_MAX_BYTES else {}


# What several services share -----------------------------------------------------------------------------------------

_URL_FIELDS: Final[tuple[tuple[str, Literal["image", "video"] | None], ...]] = (
    ("url", None),
    ("image", "image"),
    ("image_url", "image"),
    ("video", "video"),
    ("video_url", "video"),
)
_VIDEO_SUFFIXES = (".mp4", ".webm", ".mov")


def read_outputs(items: Any) -> Iterator[Output]:
    """Read a result's items in order: pictures, videos, and the text between them (WAN_API §2, §3)."""
    if isinstance(items, str):
        items = [{"text": items}]
    for item in sequence(items):
        found = mapping(item)
        url, field_kind = _url_of(found)
        if url:
            kind = _kind_of(words(found.get("type")).lower(), field_kind, url)
            yield Output(kind, url=url, remote_id=first_words(found, "jobId", "job_id", "id"))
        elif shown := text(found.get("text")):
            yield Output("text", text=shown)
        elif found:
            log.debug("result item not understood, its fields: %s", [words(name, 40) for name in list(found)[:20]])


def _url_of(item: Mapping[str, Any]) -> tuple[str, Literal["image", "video"] | None]:
    for name, kind in _URL_FIELDS:
        value = item.get(name)
        if url := text(mapping(value).get("url") if isinstance(value, dict) else value).strip():
            return url, kind
    return "", None


def _kind_of(stated: str, field_kind: Literal["image", "video"] | None, url: str) -> Literal["image", "video"]:
    if stated.startswith("video"):
        return "video"
    if stated or field_kind:
        return field_kind or "image"
    return "video" if url.split("?", 1)[0].lower().endswith(_VIDEO_SUFFIXES) else "image"


def read_phase(raw_status: Any, known: Mapping[str, Phase]) -> Phase:
    """Read a status; a value that is not known means that the task is still running (WAN_API §2)."""
    name = words(raw_status).lower()
    if name not in known:
        log.debug("status %r is not known, taken for still running", name)
    return known.get(name, Phase.RUNNING)


def read_fault(body: Any, http_status: int | None = None) -> ServiceFault:
    """Read an error: ``{"error": {code, message}}``, ``{"error": "…"}``, ``{code, message}``, a text, or nothing."""
    if isinstance(body, str):
        return ServiceFault(message=words(body))
    found = mapping(body)
    error = found.get("error")
    inner = mapping(error)
    output = mapping(found.get("output"))
    code = first_words(inner, "code", "type") or first_words(found, "code", "error_code") or first_words(output, "code")
    message = (
        first_words(inner, "message", "msg", "detail", limit=MESSAGE_MAX_CHARACTERS)
        or words(error)
        or first_words(found, "message", "msg", "detail", "error_message", limit=MESSAGE_MAX_CHARACTERS)
        or first_words(output, "message", limit=MESSAGE_MAX_CHARACTERS)
    )
    if code == str(http_status):  # no news: the status is shown anyway
        code = ""
    return ServiceFault(
        code, message, first_words(found, "request_id", "requestId") or first_words(inner, "request_id")
    )


def refusal(body: Any) -> ServiceFault | None:
    """Read the error in a submit's reply that has no id; None if it names none (then nobody knows what happened)."""
    fault = read_fault(body, 200)
    return fault if mapping(body).get("error") or fault.code not in ("", "0") else None


def find_quoted(partial: bytes, *names: str) -> str:
    """Find the complete value of a text field in the beginning of a JSON text; empty if it is not there whole."""
    for name in names:
        pattern = rb'"' + name.encode() + rb'"\s*:\s*"([A-Za-z0-9][A-Za-z0-9._:-]{3,127})"'
        if match := re.search(pattern, partial):
            return match[1].decode()
    return ""


def check_envelope(envelope: str, known: Sequence[str]) -> None:
    """Raise ``SettingsError`` for a form of the body that the service does not have."""
    if envelope not in known:
        hint = f"Known: {', '.join(known)}."
        raise SettingsError(f"{envelope!r} is no envelope of this service.", hint=hint)


def read_base_url(url: str) -> str:
    """Check a base URL and return it without what follows the path. Raises ``SettingsError``."""
    try:
        parts = urlsplit(url.strip())
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        hint = "Set WAN_BASE_URL to something like https://host or http://127.0.0.1:8000, or leave it out."
        raise SettingsError(f"The base URL {words(url)!r} is no http(s) address.", hint=hint)
    if parts.username is not None or parts.password is not None:
        raise SettingsError("The base URL contains a user name or password.", hint="Leave it out: the key suffices.")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
