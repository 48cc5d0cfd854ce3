"""Files that come from the browser in pieces."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

FILE_MAX_BYTES: Final = 200_000_000
_OPEN_MAX: Final = 16


@dataclass(frozen=True)
class Upload:
    """A whole file; ``how`` is ``chosen``, ``dropped`` or ``pasted``."""

    id: str
    name: str
    data: bytes = field(repr=False)
    how: str


@dataclass
class _Pieces:
    parts: dict[int, bytes] = field(default_factory=dict)
    size_bytes: int = 0


class Uploads:
    """Puts the pieces of several files together. What breaks off is forgotten when others come."""

    def __init__(self) -> None:
        self._open: dict[str, _Pieces] = {}
        self._guard = threading.Lock()

    def take(self, message: Mapping[str, Any], piece: bytes) -> Upload | None:
        """Take one piece; return the file once it is whole. Nonsense and what is too large is dropped."""
        id_, name, part, parts = (message.get(key) for key in ("id", "name", "part", "parts"))
        if not (isinstance(id_, str) and isinstance(part, int) and isinstance(parts, int) and 0 <= part < parts):
            return None
        with self._guard:
            pieces = self._open.setdefault(id_, _Pieces())
            pieces.size_bytes += len(piece)
            pieces.parts[part] = piece
            if pieces.size_bytes > FILE_MAX_BYTES:
                del self._open[id_]
                return None
            if len(pieces.parts) < parts:
                while len(self._open) > _OPEN_MAX:
                    self._open.pop(next(iter(self._open)))
                return None
            del self._open[id_]
        data = b"".join(pieces.parts[k] for k in range(parts))
        return Upload(id_, str(name or "upload")[:200], data, str(message.get("how") or "chosen"))
