"""Result URLs with a signed query string and an end, as object storage gives them out (WAN_API §4)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import Counter
from urllib.parse import quote

from .tasks import LIFETIME_S, Task

RESULTS_PATH = "/results/"
_SECRET = b"a simulator has no secrets"  # the same in every process, so that a URL outlives the one that made it


class Signer:
    """Make and check result URLs; a URL can be voided, after which a task's next URLs are different ones."""

    def __init__(self) -> None:
        self._generations: Counter[str] = Counter()

    def path(self, task: Task, index: int) -> str:
        """Return path and query of one result."""
        expires = int(task.finished_at + LIFETIME_S)
        signature = self._signature(task.task_id, index, str(expires))
        query = f"Expires={expires}&OSSAccessKeyId=SIMULATED&Signature={quote(signature, safe='')}"
        return f"{RESULTS_PATH}{task.task_id}/{index}.png?{query}"

    def is_valid(self, task_id: str, index: int, expires: str, signature: str) -> bool:
        """Tell whether this simulator gave out such a URL and still stands by it."""
        expected = self._signature(task_id, index, expires).encode()
        return hmac.compare_digest(expected, signature.encode())

    def void(self, task_id: str) -> None:
        """Void the URLs given out for a task."""
        self._generations[task_id] += 1

    def _signature(self, task_id: str, index: int, expires: str) -> str:
        content = f"{task_id}/{index}/{expires}/{self._generations[task_id]}".encode()
        return base64.b64encode(hmac.digest(_SECRET, content, hashlib.sha1)).decode()
