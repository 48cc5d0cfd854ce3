"""The live card's state as plain JSON, and when it may be sent. No widget library is needed here.

Everything that a front end shows is worded in Python, so that card, gallery and terminal say the same; the browser only
counts the seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from wan_notebook.states import JobState
from wan_notebook.views import html as h
from wan_notebook.views.figures import alt_text, seed_text, size_text
from wan_notebook.views.looks import (
    card_state,
    choices,
    cost_sentence,
    headline,
    is_final,
    look,
    next_sentence,
    plural,
    summary,
    total_phrase,
)
from wan_notebook.views.model import CardView, JobView, PictureView
from wan_notebook.views.thumbs import small_copies

MAX_JOBS: Final = 24
"""More rows than this nobody reads: then those that still want something are shown, and the rest is counted."""
MAX_THUMBS: Final = 8
THUMB_PX: Final = 256
THUMB_BYTES: Final = 8_000
_CLOCK_DRIFT_S: Final = 1.5
_LINES: Final = 8


def _safe(value: Any) -> Any:
    """Return plain data with every text in it safe to show and to encode."""
    if isinstance(value, str):
        return h.safe_text(value)
    if isinstance(value, dict):
        return {key: _safe(inner) for key, inner in value.items()}
    return [_safe(inner) for inner in value] if isinstance(value, list) else value


def live_state(card: CardView) -> dict[str, Any]:
    """Return what the live card shows; texts keep their backticks, which the browser turns into code."""
    state = card_state(card)
    seen = look(state)
    one = card.jobs[0] if len(card.jobs) == 1 else None
    served = dict.fromkeys(h.one_line(f"◇ {j.simulated_note}", 400) for j in card.jobs if j.simulated_note)
    notes = dict.fromkeys(h.one_line(n, 400) for j in card.jobs for n in j.notes)
    shown = {
        "state": str(state),
        "icon": seen.icon,
        "word": seen.word if one else summary(card.jobs),
        "tone": seen.tone,
        "facts": [text for text in (_one_facts(card, one) if one else _several_facts(card)) if text],
        "lines": [*list(served)[:3], *(f"Note: {n}" for n in list(notes)[:_LINES])],
        "jobs": [live_job(job) for job in _worth_a_row(card.jobs)],
        "jobs_left_off": max(0, len(card.jobs) - MAX_JOBS),
        "can_cancel": any(job.can_cancel for job in card.jobs),
        "done": all(is_final(job.state) or job.state == JobState.IN_DOUBT for job in card.jobs),
        "show": card.show_command or f"%wan show {card.jobs[0].job_id}",
        "pictures": len(card.pictures),
        "thumbs": [],
    }
    return {name: _safe(value) for name, value in shown.items()}


def _worth_a_row(jobs: Sequence[JobView]) -> list[JobView]:
    """Return the jobs that have rows: all of a few; of many those that are not saved, then the others, in order."""
    if len(jobs) <= MAX_JOBS:
        return list(jobs)
    at = sorted(range(len(jobs)), key=lambda i: (jobs[i].state == JobState.SAVED, i))[:MAX_JOBS]
    return [jobs[i] for i in sorted(at)]


def _one_facts(card: CardView, job: JobView) -> tuple[str, ...]:
    return (_headline(job), h.one_line(card.title, 80), job.mode, f"job {job.job_id}")


def _headline(job: JobView) -> str:
    """Return a state's meaning; while it runs a card is filled without pictures, which is not to have none."""
    return "" if job.state == JobState.SAVED and not job.items else headline(job)


def _several_facts(card: CardView) -> tuple[str, ...]:
    return (h.one_line(card.title, 80), card.jobs[0].mode, total_phrase(card), plural(len(card.jobs), "job"))


def live_job(job: JobView) -> dict[str, Any]:
    """Return one job's row. ``elapsed_s`` counts on in the browser while ``ticking``."""
    seen = look(job.state)
    over = is_final(job.state) or job.state == JobState.IN_DOUBT
    requested = job.cancel_requested and not over
    return {
        "id": job.job_id,
        "state": str(job.state),
        "icon": seen.icon,
        "word": "cancel requested" if requested else seen.word,
        "tone": seen.tone,
        "label": seed_text(job.seed) or job.job_id,
        "elapsed_s": _final(job.elapsed_s) if over else job.elapsed_s,
        "ticking": not over and job.elapsed_s is not None,
        "progress": 1.0 if job.state == JobState.SAVED else job.progress,
        "eta": h.one_line(job.eta_text, 60) if not over else "",
        "facts": [h.one_line(text, 120) for text in _job_facts(job) if text],
        "reason": h.one_line(_reason(job), 200) if over else "",
        "can_cancel": job.can_cancel and not over,
        "cancel_requested": requested,
        "lines": [h.one_line(text, 600) for text in _job_lines(job) if text],
    }


def _job_facts(job: JobView) -> tuple[str, ...]:
    return (
        seed_text(job.seed),
        job.cost_text or (job.most_text if not is_final(job.state) else ""),
        job.expected_size_text,
        f"result kept {job.expires_text}" if job.expires_text else "",
    )


def _reason(job: JobView) -> str:
    """Return why a job of a grid has no picture, on one line."""
    if job.state == JobState.IN_DOUBT:
        return f"{look(job.state).meaning}: `%wan show {job.job_id}`"
    return job.error_lines[0] if job.error_lines else _headline(job)


def _job_lines(job: JobView) -> list[str]:
    """Return what happened, what it cost and what to do next, for a job that ended without pictures."""
    if not (is_final(job.state) or job.state == JobState.IN_DOUBT) or job.state == JobState.SAVED:
        return []
    lines = [*job.error_lines[:_LINES], f"Cost: {cost_sentence(job)}"]
    if job.state == JobState.IN_DOUBT:
        return lines + [f"`{command}` · {what}" for command, what in choices(job)]
    following = next_sentence(job)
    return [*lines, f"Next: {following}" if following else ""]


def thumbs_of(card: CardView) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Return captions and small copies of the first pictures, for a page that was reloaded while it ran."""
    pairs = [(picture, job) for job in card.jobs for picture in job.pictures][:MAX_THUMBS]
    made = small_copies([p for p, _ in pairs], max_px=THUMB_PX, bytes_each=THUMB_BYTES)
    kept = [(p, j, small) for (p, j), small in zip(pairs, made, strict=True) if small is not None]
    captions = [
        {
            "alt": alt_text(p, j),
            "code": h.one_line(p.expr, 60),
            "facts": _thumb_facts(p, j),
            "width_px": small.width_px,
            "height_px": small.height_px,
            "mime": small.mime,
        }
        for p, j, small in kept
    ]
    return [_safe(caption) for caption in captions], [small.data for _, _, small in kept]


def _thumb_facts(picture: PictureView, job: JobView) -> list[str]:
    rewrite = "rewrite on" if job.rewrite else ""
    texts = (
        seed_text(picture.seed),
        picture.seed_note,
        rewrite,
        size_text(picture),
        picture.cost_text,
        picture.time_text,
    )
    return [h.one_line(text, 80) for text in texts if text]


def _final(elapsed_s: float | None) -> float | None:
    """Round a duration as captions do: a browser, which counts, only cuts off."""
    return elapsed_s if elapsed_s is None else round(elapsed_s, 1 if elapsed_s < 60 else None)


def same_but_for_time(old: Mapping[str, Any], new: Mapping[str, Any], passed_s: float) -> bool:
    """Say whether ``new`` shows nothing that the browser does not show already, ``passed_s`` after ``old``."""
    if {**old, "jobs": None, "sent_at": None} != {**new, "jobs": None, "sent_at": None}:
        return False
    jobs = zip(old["jobs"], new["jobs"], strict=False)
    return len(old["jobs"]) == len(new["jobs"]) and all(_same_job(a, b, passed_s) for a, b in jobs)


def _same_job(old: Mapping[str, Any], new: Mapping[str, Any], passed_s: float) -> bool:
    if {**old, "elapsed_s": None} != {**new, "elapsed_s": None}:
        return False
    before, after = old["elapsed_s"], new["elapsed_s"]
    if before is None or after is None:
        return bool(before == after)
    counted = before + passed_s if old["ticking"] else before
    return bool(abs(counted - after) <= _CLOCK_DRIFT_S)


class Throttle:
    """Says how long to wait before the next update may be sent; the caller waits, and sends only the newest."""

    def __init__(self, *, interval_s: float = 0.1, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._sent_at: float | None = None

    def wait_s(self) -> float:
        """Return the seconds that are left; 0 means now."""
        if self._sent_at is None:
            return 0.0
        return max(0.0, self._sent_at + self._interval_s - self._clock())

    def sent(self) -> None:
        """Note that an update was sent."""
        self._sent_at = self._clock()
