"""A job's row as JSON can hold it, without what only the ledger needs and without what names a key or an address."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from ..ledger import JobRow

_LEFT_OUT: Final = frozenset(
    {"seq", "owner_host", "owner_pid", "owner_started", "owner_token", "lease_until", "key_fingerprint", "purged_at"}
)
_TIMES: Final = frozenset(
    {"created_at", "sending_at", "accepted_at", "first_running_at", "finished_at", "saved_at", "expires_at"}
    | {"imported_at", "trashed_at"}
)


def plain_row(row: JobRow) -> dict[str, Any]:
    """Return a row as JSON-ready data: times in ISO 8601 UTC, money as decimal text, None for what is unknown.

    A picture's address is left out: it is a signed one as long as it is kept.
    """
    made = {name: _plain(name, value) for name, value in row.to_dict().items() if name not in _LEFT_OUT}
    made["pictures"] = [{k: v for k, v in picture.items() if k != "url"} for picture in made["pictures"]]
    return made


def _plain(name: str, value: Any) -> Any:
    if name in _TIMES and isinstance(value, int | float):
        return dt.datetime.fromtimestamp(value, tz=dt.UTC).isoformat(timespec="microseconds")
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain("", item) for item in value]
    return value
