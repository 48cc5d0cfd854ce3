"""Names that may leave the machine: no folder, no signature, no host."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_QUOTED: Final = re.compile(r"""(["'])(.*?)\1""", re.DOTALL)
_MAX_CHARACTERS: Final = 120


def public_name(name: str) -> str:
    """Reduce a path or URL to its last part, also inside an expression: ``open("a/b.png")`` is ``open("b.png")``."""
    text = name.strip()
    if text[:5].lower() == "data:":
        return "data URL"
    text = _QUOTED.sub(lambda match: f"{match[1]}{_last_part(match[2])}{match[1]}", text)
    return _last_part(text)[:_MAX_CHARACTERS].strip() or "image"


def _last_part(text: str) -> str:
    if "://" in text:
        text = re.split(r"[?#]", text, maxsplit=1)[0].rstrip("/")
        if text.count("/") <= 2:  # a host alone
            return ""
        text = unquote(text)
    return re.split(r"[/\\]", text.rstrip("/\\"))[-1] if re.search(r"[/\\]", text) else text


def without_places(text: str) -> str:
    """Reduce a text to its last part if it is an address or an absolute path; leave any other as it is."""
    place = "://" in text or re.match(r"[/\\~]|[A-Za-z]:[/\\]", text)
    return public_name(text) if place else text
