"""The faults a simulator can be asked for, in one table, and the plan of those that are armed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

PHASES = ("submit", "poll", "download", "list", "cancel")
CALLS = ("submit", "poll", "list", "cancel")


@dataclass(frozen=True, slots=True)
class Fault:
    """Describe one fault: its name, the phases it can strike, and what it does."""

    name: str
    phases: tuple[str, ...]
    about: str


FAULTS = (
    Fault("reset_before", PHASES, "connection reset before the request is read; nothing was done"),
    Fault("reset_after", PHASES, "request done (a submit has created its task), then connection reset, no answer"),
    Fault("fin_after", PHASES, "request done, then connection closed in good order, no answer"),
    Fault("stall_before", PHASES, "never answers; nothing was done"),
    Fault("stall_after", PHASES, "request done, but never answers"),
    Fault("stall_mid_body", PHASES, "request done, half of the answer, then silence"),
    Fault("reset_mid_body", PHASES, "request done, half of the answer, then connection reset"),
    Fault("cut_body", PHASES, "request done, Content-Length promises more than is sent (task id is), then closed"),
    Fault("cut_early", PHASES, "the same, cut after eight bytes, before any task id"),
    Fault("trickle", PHASES, "request done, the answer comes in small pieces with pauses"),
    Fault("400", PHASES, "answers 400, nothing was done"),
    Fault("401", PHASES, "answers 401, nothing was done"),
    Fault("403", PHASES, "answers 403, nothing was done"),
    Fault("404", PHASES, "answers 404, nothing was done"),
    Fault("429", PHASES, "answers 429 without Retry-After, nothing was done"),
    Fault("429_retry_after", PHASES, "answers 429 with Retry-After in seconds, nothing was done"),
    Fault("429_retry_after_date", PHASES, "answers 429 with Retry-After as a date, nothing was done"),
    Fault("500", PHASES, "answers 500, nothing was done"),
    Fault("500_after", PHASES, "request done, but answers 500"),
    Fault("502_html", PHASES, "answers 502 with an HTML body, nothing was done"),
    Fault("502_html_after", PHASES, "request done, but answers 502 with an HTML body"),
    Fault("503", PHASES, "answers 503 without Retry-After, nothing was done"),
    Fault("503_retry_after", PHASES, "answers 503 with Retry-After, nothing was done"),
    Fault("504_html", PHASES, "answers 504 with an HTML body, nothing was done"),
    Fault("504_html_after", PHASES, "request done, but answers 504 with an HTML body"),
    Fault("redirect", PHASES, "answers 302 to the same host, where it works"),
    Fault("redirect_away", PHASES, "answers 302 to another host name, which notes a key sent there"),
    Fault("html_200", PHASES, "answers 200 with HTML, as a captive portal does; nothing was done"),
    Fault("truncated_json", CALLS, "request done, 200 whose JSON stops in mid-way, after the task id"),
    Fault("truncated_json_early", CALLS, "request done, 200 whose JSON stops before the task id"),
    Fault("no_task_id", ("submit", "poll"), "request done, 200 with JSON that has none of the expected fields"),
    Fault("error_200", ("submit", "poll"), "200 with an error object, nothing was done"),
    Fault("unknown", ("poll",), "the task is not known (yet)"),
    Fault("failed", ("poll",), "the task has failed, for good"),
    Fault("failed_plain", ("poll",), "the task has failed, for good, with its error as plain words"),
    Fault("canceled", ("poll",), "the task was cancelled, for good"),
    Fault("odd_status", ("poll",), "a status that no page documents"),
    Fault("fewer_images", ("poll",), "a success that lists one picture fewer than were made"),
    Fault("no_urls", ("poll",), "a success whose pictures have no URL"),
    Fault("truncate", ("download",), "the first half of the picture, with a Content-Length to match"),
    Fault("corrupt_crc", ("download",), "the picture with one bit flipped"),
    Fault("bomb", ("download",), "a PNG that says it has 60000*60000 pixels"),
    Fault("xml_200", ("download",), "200 with the XML error of object storage"),
    Fault("empty_200", ("download",), "200 without a byte"),
    Fault("endless", ("download",), "a picture that goes on for 96 MiB, without Content-Length"),
    Fault("no_range", ("download",), "the whole picture, whatever range was asked for"),
    Fault("403_html", ("download",), "a proxy on the way answers 403 with a page"),
    Fault("expired_url", ("download",), "403, and the URL is void for good: the next poll gives a fresh one"),
)
BY_NAME = {fault.name: fault for fault in FAULTS}


@dataclass(slots=True)
class Armed:
    """Hold a fault that waits for its phase: how often it still strikes (None = always), how many it lets pass."""

    fault: Fault
    phases: tuple[str, ...]
    left: int | None
    skip: int = 0


class FaultPlan:
    """Hold the armed faults, in order; `struck` counts `phase.name` of those that have happened."""

    def __init__(self, faults: tuple[str, ...] = ()) -> None:
        self.struck: Counter[str] = Counter()
        self._armed: list[Armed] = []
        for fault in faults:
            self.add(fault)

    def add(self, text: str) -> None:
        """Arm `[PHASE.]NAME[:COUNT|:always][@SKIP]`; raise ValueError if it makes no sense."""
        self._armed.append(parse_fault(text))

    def take(self, phase: str) -> Armed | None:
        """Return the next fault for a request of a phase, and count it as struck."""
        for armed in self._armed:
            if phase not in armed.phases or armed.left == 0:
                continue
            if armed.skip > 0:
                armed.skip -= 1
                continue
            if armed.left is not None:
                armed.left -= 1
            self.struck[f"{phase}.{armed.fault.name}"] += 1
            return armed
        return None

    def put_back(self, armed: Armed, phase: str) -> None:
        """Undo `take` for a fault that had nothing to strike yet."""
        if armed.left is not None:
            armed.left += 1
        self.struck[f"{phase}.{armed.fault.name}"] -= 1


def parse_fault(text: str) -> Armed:
    """Read `[PHASE.]NAME[:COUNT|:always][@SKIP]`, or NAME_PHASE; without a phase it strikes any it can."""
    rest, _, skip = text.strip().partition("@")
    name, _, count = rest.partition(":")
    fault, phases = _find(name)
    if count == "always":
        left = None
    elif count.isdecimal() or not count:
        left = int(count or 1)
    else:
        raise ValueError(f"fault {text!r}: the count must be a number or 'always', got {count!r}")
    if skip and not skip.isdecimal():
        raise ValueError(f"fault {text!r}: after @ comes how many requests pass first, got {skip!r}")
    return Armed(fault, phases, left, int(skip or 0))


def _find(name: str) -> tuple[Fault, tuple[str, ...]]:
    if name in BY_NAME:
        return BY_NAME[name], BY_NAME[name].phases
    for phase in PHASES:
        for bare in (name.removeprefix(f"{phase}."), name.removesuffix(f"_{phase}")):
            if bare != name and bare in BY_NAME:
                if phase not in BY_NAME[bare].phases:
                    raise ValueError(f"fault {bare!r} cannot strike {phase}: it is for {_names(bare)}")
                return BY_NAME[bare], (phase,)
    raise ValueError(f"unknown fault {name!r}; known are: {', '.join(BY_NAME)}")


def _names(bare: str) -> str:
    return ", ".join(BY_NAME[bare].phases)


def describe_faults() -> str:
    """Write the table of faults for `--help`."""
    width = max(len(fault.name) for fault in FAULTS)
    lines = []
    for fault in FAULTS:
        phases = "any phase" if fault.phases == PHASES else "/".join(fault.phases)
        lines.append(f"  {fault.name:<{width}}  {fault.about} [{phases}]")
    return "\n".join(lines)
