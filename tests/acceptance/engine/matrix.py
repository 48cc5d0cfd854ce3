"""The fault matrix as data: what strikes where, and what must come of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """``faults`` strike one job; then its state, the tasks that the service created, the pictures on disk.

    ``corrupt``: files kept aside. ``missing``: pictures asked for and not delivered.
    ``providers``: where it applies, if not in all.
    """

    faults: str
    state: str
    tasks: int
    pictures: int
    corrupt: int = 0
    missing: int = 0
    stopped: bool = False
    edit: bool = False
    providers: tuple[str, ...] = ()
    only_socket: bool = False

    @property
    def ways(self) -> tuple[str, ...]:
        """The providers that it is tried with: a fetched picture knows none."""
        return self.providers or (("gateway",) if self.faults.startswith("download") else ("gateway", "dashscope"))


def _all(phase: str, names: str, state: str, tasks: int, pictures: int, **more: object) -> list[Case]:
    return [Case(f"{phase}.{name}", state, tasks, pictures, **more) for name in names.split()]  # type: ignore[arg-type]


UNSENT = ("dns", "connect_refused", "connect_timeout")
NEVER_RESENT = [
    *_all("submit", "reset_before", "in_doubt", 0, 0, only_socket=True),
    *_all("submit", "stall_before 500 502_html 503 504_html html_200", "in_doubt", 0, 0),
    *_all("submit", "reset_after fin_after stall_after 500_after 502_html_after 504_html_after", "in_doubt", 1, 0),
    *_all("submit", "cut_early truncated_json_early no_task_id", "in_doubt", 1, 0),
]
SENT_AGAIN = [  # nothing had left: no connection, no such host
    *(Case(f"submit.{name}:4 poll.{name}:3 download.{name}:3", "saved", 1, 1) for name in UNSENT),
    *_all("submit", "dns:always connect_refused:always connect_timeout:always", "refused", 0, 0),
]
SALVAGED = [
    *_all("submit", "cut_body truncated_json", "saved", 1, 1),
    *_all("submit", "reset_mid_body stall_mid_body", "saved", 1, 1, only_socket=True, providers=("gateway",)),
    # DashScope's reply names the task in its second half: nothing to salvage.
    *_all("submit", "reset_mid_body stall_mid_body", "in_doubt", 1, 0, only_socket=True, providers=("dashscope",)),
    # Salvaged, but the service cannot be asked: not believed.
    Case("submit.truncated_json poll.500:always", "in_doubt", 1, 0),
    Case("submit.truncated_json poll.500:2", "saved", 1, 1),
]
REFUSED = [
    *_all("submit", "401 403 404 redirect redirect_away error_200", "refused", 0, 0),
    Case("submit.503_retry_after:always", "refused", 0, 0),
    Case("submit.400", "refused", 0, 0, providers=("dashscope",)),
    Case("submit.400:2", "refused", 0, 0, providers=("gateway",)),
    Case("submit.400", "saved", 1, 1, providers=("gateway",)),  # the other envelope
]
RESENT = _all("submit", "429 429:5 429_retry_after 429_retry_after_date 503_retry_after trickle", "saved", 1, 1)
POLLED_ON = [
    *_all("poll", "reset_after fin_after stall_before stall_after cut_body cut_early trickle", "saved", 1, 1),
    *_all("poll", "reset_before stall_mid_body reset_mid_body reset_after:4", "saved", 1, 1, only_socket=True),
    *_all("poll", "400 404 500 500:6 500_after 502_html 502_html_after 503 503_retry_after 504_html", "saved", 1, 1),
    *_all("poll", "504_html_after 429 429_retry_after 429_retry_after_date 429:3 html_200 redirect", "saved", 1, 1),
    *_all("poll", "redirect_away truncated_json truncated_json_early no_task_id odd_status", "saved", 1, 1),
    *_all("poll", "unknown unknown:5 404:5 no_urls no_urls:2 fewer_images error_200 failed_200", "saved", 1, 1),
    *_all("poll", "401 403 401:2", "saved", 1, 1),  # paused until a person acts; a look every minute
]
ENDED = [
    *_all("poll", "failed failed_plain", "failed", 1, 0),
    Case("poll.canceled", "cancelled", 1, 0, providers=("dashscope",)),
    Case("poll.canceled", "failed", 1, 0, providers=("gateway",)),  # it has no such status
    *_all("poll", "unknown:always 404:always", "expired", 1, 0),
    Case("poll.no_urls:always", "failed", 1, 0),  # a success without any picture is none
    Case("poll.fewer_images:2", "saved", 1, 2, edit=True),
    Case("poll.fewer_images:always", "saved", 1, 1, missing=1, edit=True),
]
FETCHED_ON = [
    *_all("download", "fin_after cut_body cut_early trickle", "saved", 1, 1),
    *_all("download", "reset_before reset_after stall_before stall_after", "saved", 1, 1, only_socket=True),
    *_all("download", "stall_mid_body reset_mid_body", "saved", 1, 1, only_socket=True),
    *_all("download", "400 401 403 404 429 429_retry_after 429_retry_after_date 500 500_after", "saved", 1, 1),
    *_all("download", "502_html 502_html_after 503 503_retry_after 504_html 504_html_after", "saved", 1, 1),
    *_all("download", "redirect redirect_away html_200 html_200:6", "saved", 1, 1),
    *_all("download", "truncate truncate:4 xml_200 empty_200", "saved", 1, 1),
    *_all("download", "corrupt_crc corrupt_crc:2 expired_url 403:5 404:5", "saved", 1, 1),
    Case("download.reset_mid_body download.no_range", "saved", 1, 1, only_socket=True),
    # One of two pictures is struck: the other one is not held back.
    Case("download.500:3", "saved", 1, 2, edit=True),
]
KEPT_ASIDE = [
    *_all("download", "corrupt_crc:always truncate:always", "saved", 1, 0, corrupt=1, missing=1),
    Case("download.bomb", "saved", 1, 0, corrupt=1, missing=1),
    Case("download.corrupt_crc:3@1", "saved", 1, 1, corrupt=1, missing=1, edit=True),
]
LEFT = [
    # Somebody on the way answers: the picture itself still lies there, so the job stays open.
    *_all("download", "403_html:always html_200:always", "succeeded", 1, 0, stopped=True),
    *_all("download", "xml_200:always empty_200:always", "succeeded", 1, 0, stopped=True),
    Case("download.endless", "succeeded", 1, 0, stopped=True),
]
GONE = _all("download", "expired_url:always 403:always 404:always", "expired", 1, 0)

MATRIX: dict[str, list[Case]] = {
    "never resent": NEVER_RESENT,
    "salvaged": SALVAGED,
    "refused": REFUSED,  # before any success: what a service took once is not tried in the other envelope
    "sent again": SENT_AGAIN,
    "resent": RESENT,
    "polled on": POLLED_ON,
    "ended": ENDED,
    "fetched on": FETCHED_ON,
    "kept aside": KEPT_ASIDE,
    "left": LEFT,
    "gone": GONE,
}
