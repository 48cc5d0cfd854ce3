# ruff: noqa: ARG002 - the arguments are TypeDecorator's
"""Column types: how a value is stored, and which values a column accepts.

Values are checked when they are set and when they are read. A stored value that cannot be decoded comes back as it
is, so that the check finds it: one bad row does not stop a query.
"""

import json
import math
import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Dialect, Float, Integer, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from ..money import to_decimal

YEAR_3000_S: Final = 32_503_680_000
INTEGER_MAX: Final = 2**31 - 1
DIGITS_MAX: Final = 30

_MARK: Final = "wan-escaped:"
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


class StoredText(TypeDecorator[str]):
    """Text. NUL and lone surrogates, which databases refuse or cut, are stored escaped behind a mark."""

    impl = Text
    cache_ok = True

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if value is not None and (_UNSTORABLE.search(value) or value.startswith(_MARK)):
            return _MARK + value.encode("unicode_escape").decode("ascii")
        return value if value is None else str(value)  # drivers want a plain text, not a StrEnum

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if not isinstance(value, str) or not value.startswith(_MARK):
            return value
        return value[len(_MARK) :].encode("ascii", "replace").decode("unicode_escape", "replace")


class Enumerated(StoredText):
    """One of several words, as a member of ``kind``."""

    cache_ok = True

    def __init__(self, words: Collection[str], kind: type[str] = str) -> None:
        super().__init__()
        self.words, self.kind = tuple(words), kind

    def accepts(self, value: Any) -> bool:
        return isinstance(value, self.kind) and value in self.words

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return self.kind(value) if value in self.words else value


class Amount(TypeDecorator[Decimal]):
    """A decimal amount of money, stored as text exactly as it was reported."""

    impl = Text
    cache_ok = True

    def accepts(self, value: Any) -> bool:
        return isinstance(value, Decimal) and is_plausible(value)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return value if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        amount = to_decimal(value)
        return value if amount is None else amount


class JsonObject(TypeDecorator[Mapping[str, Any]]):
    """A JSON object, stored as text."""

    impl = Text
    cache_ok = True

    def accepts(self, value: Any) -> bool:
        return isinstance(value, Mapping)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        text = json.dumps(value, ensure_ascii=False, default=_plain)
        return json.dumps(value, default=_plain) if _SURROGATES.search(text) else text

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        try:
            return json.loads(value)
        except (TypeError, ValueError, RecursionError):
            return value


class JsonList(JsonObject):
    """A JSON list of items of one type, stored as text and read as a tuple."""

    cache_ok = True

    def __init__(self, item: type = str) -> None:
        super().__init__()
        self.item = item

    def accepts(self, value: Any) -> bool:
        return isinstance(value, tuple | list) and all(isinstance(item, self.item) for item in value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        found = super().process_result_value(value, dialect)
        return tuple(found) if isinstance(found, list) else found


class Flag(TypeDecorator[bool]):
    """True or false, stored as 1 or 0 (partial indexes say ``= 1``)."""

    impl = Integer
    cache_ok = True

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bool)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return int(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return bool(value) if value in (0, 1) else value


class Whole(TypeDecorator[int]):
    """A whole number of 32 bits."""

    impl = Integer
    cache_ok = True

    def accepts(self, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= INTEGER_MAX


class Seconds(TypeDecorator[float]):
    """A time in Unix seconds up to the year 3000, or a duration."""

    impl = Float
    cache_ok = True

    def accepts(self, value: Any) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and math.isfinite(value) and 0 <= value <= YEAR_3000_S


def accepts(column_type: TypeEngine[Any], value: object) -> bool:
    """Say whether a column of this type may hold a value (None aside)."""
    checked = StoredText | Amount | JsonObject | Flag | Whole | Seconds
    return not isinstance(column_type, checked) or column_type.accepts(value)


def is_plausible(amount: Decimal) -> bool:
    """Say whether an amount can be a price: ``1e999999`` is a number, and writing it out takes a megabyte."""
    is_short = amount.is_finite() and len(amount.as_tuple().digits) <= DIGITS_MAX
    return is_short and amount >= 0 and abs(amount.adjusted()) <= DIGITS_MAX


def to_nano(amount: object) -> int | None:
    """Return an amount in billionths if it is a whole number of them below a million, so that sums stay exact."""
    if not isinstance(amount, Decimal) or not is_plausible(amount) or amount >= 1_000_000:
        return None
    exponent = amount.as_tuple().exponent
    return int(amount * 10**9) if isinstance(exponent, int) and exponent >= -9 else None


def search_text(*parts: object) -> str:
    """Return what the history's search looks through: case-folded, one line a part."""
    return _UNSTORABLE.sub(" ", "\n".join(str(part) for part in parts if part not in (None, ""))).casefold()


def _plain(value: object) -> Any:
    return str(value) if isinstance(value, Decimal) else dict(value)  # type: ignore[call-overload]
