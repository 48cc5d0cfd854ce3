"""What a row of the ledger means to a person: its cost, its error, its one line. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from ..errors import JobCancelled, JobError, JobExpired, JobFailed, JobInDoubt, JobRefused
from ..ledger import JobRow
from ..money import Cost, Source, format_amount
from ..rules import Mode
from ..states import FREE, OPEN, JobState
from ..wire import TaskState

Price = tuple[Decimal, str, str]
"""Amount of one picture, currency, where it comes from."""


def cost_of_row(row: JobRow) -> Cost:
    """Return what a job cost. Failed, refused and cancelled jobs cost nothing (WAN_API §4)."""
    state = JobState(row.state)
    if state in FREE:
        return Cost.zero(Source.SIMULATED if row.simulated else Source.REPORTED)
    if row.cost_amount is None and row.simulated:
        return Cost.zero(Source.SIMULATED)
    return row.cost


def cost_of_task(state: TaskState, *, simulated: bool, price: Price | None, pictures: int) -> Cost:
    """Return what a finished task cost: as reported, else the unit price × pictures made, else unknown (WAN_API §4).

    ``price`` is (amount a picture, currency, where it comes from).
    """
    if simulated:
        would = f"would cost {format_amount(state.cost_usd)}" if state.cost_usd is not None else ""
        return Cost.zero(Source.SIMULATED, would)
    if state.cost_usd is not None:
        return Cost(state.cost_usd, "USD", Source.REPORTED)
    if not pictures:
        return Cost.zero(Source.ESTIMATED, "no picture was made")
    if price is None:
        return Cost()
    amount, currency, note = price
    return Cost(amount * pictures, currency, Source.ESTIMATED, note)


def fewest_pictures(parameters: Mapping[str, object], mode: str) -> int:
    """Return how many pictures a success promises at least: ``n`` when editing, else 1 (WAN_API §1)."""
    asked = parameters.get("n")
    return asked if mode == Mode.EDIT and isinstance(asked, int) else 1


def missing_of(row: JobRow, delivered: int) -> int:
    """Return how many pictures were asked for and not delivered; illustrated text promises only an upper limit."""
    least = fewest_pictures(row.parameters, row.mode) if row.mode != Mode.ILLUSTRATED else min(delivered, row.n)
    return max(0, least - delivered)


_KIND: dict[JobState, tuple[type[JobError], str, str]] = {
    JobState.REFUSED: (JobRefused, "was not accepted; nothing was paid", "Mend what the message names and run again."),
    JobState.FAILED: (JobFailed, "failed; failed jobs cost nothing", "Change the prompt or the picture and run again."),
    JobState.CANCELLED: (JobCancelled, "was cancelled", "Run the cell again to ask anew."),
    JobState.EXPIRED: (
        JobExpired,
        "expired: the service keeps results for 24 hours",
        "What is on disk stays; run with --fresh to ask (and pay) anew.",
    ),
    JobState.IN_DOUBT: (
        JobInDoubt,
        "may or may not have reached the service; it is not sent again by itself, since that could be paid twice",
        "Decide with `%wan resolve {id}`: adopt the task, send again knowingly, or abandon.",
    ),
}


_LOOK_AGAIN = (  # a proxy may have refused the address, or another account's key been asked with
    "Its 24 hours are not over: `%wan resolve {id} adopt {task}` asks and fetches once more. "
    "With --fresh it is asked (and paid) anew."
)

_REFUSALS = (  # what a service's code holds, and what helps then
    (
        ("401", "key", "unauthorized", "auth"),
        "Check the key: `%wan doctor` shows which is used, `%wan login` sets one.",
    ),
    (("403", "denied", "arrearage", "balance"), "Check the account's balance and rights, then run again."),
    (("429", "throttling", "ratelimit", "ratequota"), "Wait a little, then run again."),
)


def _refusal_hint(row: JobRow) -> str:
    code = "".join(filter(str.isalnum, row.error_code)).lower()
    if not code:  # no service spoke: the network or an input
        return "Mend that and run again; `%wan doctor` checks address and network."
    found = (hint for names, hint in _REFUSALS if any(name in code for name in names))
    return next(found, _KIND[JobState.REFUSED][2])


NEVER_SENT = "never sent: the program ended first; nothing was paid"
"""The error of a job that nobody refused. It stands among the refused ones, since no service ever had it."""


def was_never_sent(row: JobRow) -> bool:
    """Whether the program ended before a job was sent."""
    return row.state == JobState.REFUSED and row.error_message == NEVER_SENT


def error_of(row: JobRow) -> JobError:
    """Return the error that a job which did not end with its pictures is."""
    state = JobState(row.state)
    if was_never_sent(row):
        return JobRefused(
            f"job {row.id} was {NEVER_SENT}.", job_id=row.id, hint="Ask again: run the same cell or line."
        )
    kind, text, hint = _KIND.get(state, (JobError, f"is {state}", "Wait for it with `%wan wait {id}`."))
    if state is JobState.REFUSED:
        hint = _refusal_hint(row)
    service = ": ".join(part for part in (row.error_code, row.error_message) if part)
    if not row.error_code:  # our own words; a service's code stands as it came
        service = service[:1].upper() + service[1:]
    said = f" {service.rstrip('.')}." if service else ""
    asked = f" Request id {row.request_id}." if row.request_id and state is not JobState.CANCELLED else ""
    if state is JobState.EXPIRED and row.task_id and (row.finished_at or 0.0) < (row.expires_at or 0.0):
        hint = _LOOK_AGAIN
    hint = _hint(state, row.error_hint, hint.format(id=row.id, task=row.task_id))
    return kind(f"job {row.id} {text}.{said}{asked}", job_id=row.id, hint=hint)


def _hint(state: JobState, told: str, usual: str) -> str:
    """Return what to do: what the fault tells, instead of the usual advice, or before it where one must decide."""
    if not told or state not in (JobState.REFUSED, JobState.IN_DOUBT):
        return usual
    return f"{told} {usual}" if state is JobState.IN_DOUBT else told


def seeds_text(seeds: Sequence[int | None]) -> str:
    """Write seeds so that none is claimed which was not asked: ``seeds 5…8`` only where they count up."""
    known = [seed for seed in seeds if seed is not None]
    if len(known) > 1 and known == list(range(known[0], known[0] + len(known))):
        return f"seeds {known[0]}…{known[-1]}"
    shown = ", ".join(map(str, known[:6])) + (", …" if len(known) > 6 else "")
    return f"seed{'s' if len(known) > 1 else ''} {shown}"


def status_line(rows: Sequence[JobRow], mode: str) -> str:
    """Return one line about one or several jobs that belong together."""
    first = rows[0]
    words = first.prompt.split()
    prompt = " ".join(words)[:40] + ("…" if len(" ".join(words)) > 40 else "")
    pictures = sum(1 for row in rows for picture in row.pictures if picture.saved_at)
    states = " ".join(sorted({row.state for row in rows}))
    seeds = seeds_text([row.seed for row in rows])
    count = f"{pictures} picture{'' if pictures == 1 else 's'}"
    return f"<Job {first.id}: {states}, {mode}, {count}, {seeds}, {prompt!r}>"


def is_open(row: JobRow) -> bool:
    """Whether it still costs or owes something."""
    return JobState(row.state) in OPEN
