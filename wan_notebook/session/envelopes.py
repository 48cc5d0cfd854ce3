"""Which form of a submit's body worked at which address: remembered for later kernels (WAN_API §2).

Only what differs from the usual form is written; what is remembered wrongly costs one refused request, never a picture.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Final

from ..folders import data_dir, write_private

log = logging.getLogger(__name__)
USUAL: Final = "flat"
ADDRESSES_MAX: Final = 50


def recall(base_url: str) -> str:
    """Return what worked at an address, empty if nothing is known."""
    return _known().get(base_url.rstrip("/"), "")


def remember(base_url: str, envelope: str) -> None:
    """Note what worked; a note that cannot be written is not worth failing for."""
    base_url, known = base_url.rstrip("/"), _known()
    if known.get(base_url, USUAL) == envelope:
        return
    known.pop(base_url, None)
    if envelope != USUAL:
        known[base_url] = envelope
    try:
        write_private(_path(), json.dumps(dict(list(known.items())[-ADDRESSES_MAX:]), indent=1))
    except OSError as error:
        log.debug("%s could not be written: %s", _path(), error)


def _path() -> Path:
    return data_dir() / "envelopes.json"


def _known() -> dict[str, str]:
    try:
        found = json.loads(_path().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}
