"""Every error that wan_notebook raises, as one tree.

::

    WanError
    ├── RequestError (also ValueError)      the request breaks rules; carries all problems at once
    │   └── ImageInputError                 one input picture cannot be used
    ├── CellError                           the magic line or the cell's text cannot be read
    │   └── NoSuchPictureError (also IndexError)  a job has no picture of this index
    ├── ArgumentError (also TypeError)      a method was given what it cannot use
    ├── SettingsError                       a setting, folder or key is missing or wrong
    │   └── MissingKeyError                 no key where one is needed
    ├── BudgetError                         the call could exceed a cap, so it was not sent
    ├── ReplayError                         WAN_REPLAY=only, and the answer is not in the store
    ├── StoreError                          the folder of pictures or the ledger cannot be read or written
    ├── RecipeError                         a picture's metadata, a sidecar or a bundle cannot be read
    ├── ServiceError                        the service answered with an error
    │   ├── AuthError                       401: key missing, invalid, or of another region
    │   ├── ForbiddenError                  403: balance or permission
    │   ├── RateLimitError                  429
    │   ├── InvalidRequestError             400, 404, 422 and the other 4xx
    │   ├── ServerError                     5xx
    │   └── UnexpectedReplyError            a redirect, HTML, cut or unreadable body
    ├── ConnectionFailedError               the service could not be reached
    │   ├── NotSentError                    certain: nothing was sent (refused, DNS, TLS)
    │   └── ConnectionLostError             uncertain: it may have arrived
    ├── DownloadError                       a result could not be fetched, or not as a picture
    └── JobError                            a job ended without its pictures; carries the job's id
        ├── JobRefused                      never accepted; nothing was paid
        │   └── JobNotSent                  never left this machine; nothing was paid
        ├── JobFailed                       the service could not make it; nothing was paid
        ├── JobCancelled
        ├── JobInDoubt                      it may have arrived: a person decides
        ├── JobExpired                      the 24 hours are over
        └── JobTimeout                      only the waiting ended; the job goes on

In a notebook each one shows as a few lines (``_render_traceback_``); in Python it is a normal exception whose
attributes hold what its text says. ``hint`` is what to do next.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass, field
from importlib import import_module
from types import UnionType
from typing import Any

from .text import mask_keys, one_line, pluralize, safe_text


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a request: which field, which value, why, and what to do."""

    field: str
    value: str
    message: str
    hint: str = ""

    def masked(self) -> Problem:
        """Return the problem without keys and controls: what was typed is repeated, which may be a key by mistake."""
        return Problem(self.field, *(safe_text(mask_keys(text)) for text in (self.value, self.message, self.hint)))

    def __str__(self) -> str:
        shown = f" = {self.value}" if self.value else ""
        return f"{self.field}{shown}: {self.message}" + (f" {self.hint}" if self.hint else "")


@dataclass(eq=False, repr=False, kw_only=True)
class WanError(Exception):
    """What happened, and what to do next."""

    message: str = field(kw_only=False)
    hint: str = ""

    def __post_init__(self) -> None:
        self.message, self.hint = safe_text(mask_keys(self.message)), safe_text(mask_keys(self.hint))
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def lines(self) -> list[str]:
        """Return the text as a person reads it, one line a thought."""
        return [self.message, *([f"  → {self.hint}"] if self.hint else [])]

    def _render_traceback_(self) -> list[str]:
        # IPython shows exactly these lines; UsageError would be invisible to nbval.
        first, *rest = self.lines()
        # Wrapped between words, since a notebook breaks long lines in the middle of a word.
        wrapper = textwrap.TextWrapper(88, "", "    ", break_long_words=False, break_on_hyphens=False)
        return [part for line in (f"{type(self).__name__}: {first}", *rest) for part in wrapper.wrap(line) or [""]]


class RequestError(WanError, ValueError):
    """A request breaks one or more rules; nothing was sent."""

    def __init__(self, problems: list[Problem] | tuple[Problem, ...], *, more: str = "") -> None:
        self.problems, self.more = tuple(problem.masked() for problem in problems), more
        super().__init__("; ".join([*map(str, self.problems), *filter(None, [more])]))

    def lines(self) -> list[str]:
        """Return one line a problem, and that nothing was sent; ``more`` says what is not listed."""
        count = f"{pluralize(len(self.problems), 'problem')}{' and more' if self.more else ''}"
        told = [*map(str, self.problems), *filter(None, [self.more])]
        return [f"{count}, nothing was sent", *(f"  • {line}" for line in told)]


class ImageInputError(RequestError):
    """One input picture cannot be used; ``problems[0]`` names it."""

    def __init__(self, name: str, message: str, *, hint: str = "") -> None:
        super().__init__([Problem(field="image", value=name, message=message, hint=hint)])


class CellError(WanError):
    """The magic line or the cell's text cannot be read; nothing was sent."""


class NoSuchPictureError(CellError, IndexError):
    """A job has no picture of this index."""


class ArgumentError(WanError, TypeError):
    """A method of a job or picture was given what it cannot use."""


def require(name: str, value: object, kinds: type | UnionType, wanted: str, *, least: float = -math.inf) -> None:
    """Raise ``ArgumentError`` for an argument that is not what is ``wanted``: ``a number of pixels, such as 512``."""
    if not isinstance(value, kinds) or (isinstance(value, int | float) and not value >= least):  # nor not-a-number
        raise ArgumentError(f"{name} = {one_line(repr(value), 60)} cannot be used.", hint=f"Give {wanted}.")


class SettingsError(WanError):
    """A setting, a folder or a key is missing or wrong."""


class MissingKeyError(SettingsError):
    """No key is set where one is needed."""


class BudgetError(WanError):
    """The call could exceed a cap, so it was not sent."""


class ReplayError(WanError):
    """Only stored answers are allowed, and this request has none."""


class StoreError(WanError):
    """The folder of pictures or the ledger cannot be read or written."""


class RecipeError(WanError):
    """A picture's metadata, a sidecar or a bundle cannot be read."""


@dataclass(eq=False, repr=False, kw_only=True)
class ServiceError(WanError):
    """The service answered with an error.

    ``http_status`` is None when the error came inside a successful reply; ``code``, ``request_id`` and
    ``service_message`` are the service's own words, empty if it gave none. ``is_page`` says that a web page came, so
    that a proxy may have answered instead of the service.
    """

    code: str = ""
    request_id: str = ""
    http_status: int | None = None
    retry_after_s: float | None = None
    is_page: bool = False
    service_message: str = field(init=False)

    def __post_init__(self) -> None:
        self.service_message = self.message
        named = {"HTTP ": self.http_status, "": self.code, "request id ": self.request_id}
        if facts := ", ".join(f"{name}{value}" for name, value in named.items() if value):
            self.message += f" ({facts})"
        super().__post_init__()


class AuthError(ServiceError):
    """401: the key is missing, invalid, or belongs to another region."""


class ForbiddenError(ServiceError):
    """403: the balance does not suffice, or the key lacks a permission."""


class RateLimitError(ServiceError):
    """429: too many requests; ``retry_after_s`` is how long the service asks to wait."""


class InvalidRequestError(ServiceError):
    """The service refused the request as such: 400, 404, 422 and the other 4xx."""


class ServerError(ServiceError):
    """5xx: the service itself failed."""


class UnexpectedReplyError(ServiceError):
    """The reply is a redirect, HTML, cut or unreadable; ``salvaged_task_id`` may be read from a cut one."""

    salvaged_task_id = ""


@dataclass(eq=False, repr=False, kw_only=True)
class ConnectionFailedError(WanError):
    """The service could not be reached."""

    kind: str = ""


class NotSentError(ConnectionFailedError):
    """It is certain that nothing was sent: connection refused, unknown host, TLS failure."""


class ConnectionLostError(ConnectionFailedError):
    """The connection broke or timed out after sending began: the request may have arrived."""


@dataclass(eq=False, repr=False, kw_only=True)
class DownloadError(WanError):
    """A result could not be fetched, or not as a picture; ``kind`` names the fault, ``http_status`` what was said."""

    kind: str = ""
    http_status: int | None = None
    retry_after_s: float | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class JobError(WanError):
    """A job ended without its pictures; ``job_id`` finds it in the history."""

    job_id: str = ""


class JobRefused(JobError):
    """The service never accepted the job; nothing was paid."""


class JobNotSent(JobRefused):
    """The job never left this machine (network, proxy, certificate); the same call sends it once that works."""


class JobFailed(JobError):
    """The service could not make it; failed jobs cost nothing (WAN_API §4)."""


class JobCancelled(JobError):
    """The job was cancelled."""


class JobInDoubt(JobError):
    """The submit may or may not have arrived; it is never repeated by itself."""


class JobExpired(JobError):
    """The service's 24 hours were over before the pictures were fetched."""


class JobTimeout(JobError, TimeoutError):
    """Only the waiting ended; the job goes on and its pictures will be fetched."""


def import_optional(name: str) -> Any:
    """Import what only exports need. Raise ``CellError`` where it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        hint = 'Run `pip install "wan-notebook[pandas]"`; Excel needs `pip install openpyxl` too.'
        raise CellError(f"{name.partition('.')[0]} is not installed.", hint=hint) from error
