"""What a card says when there is no picture (yet): what happened, what it cost, what to do next. Never a guess."""

from __future__ import annotations

from wan_notebook.states import JobState
from wan_notebook.views import html as h
from wan_notebook.views.looks import choices, cost_sentence, is_final, next_sentence
from wan_notebook.views.model import JobView

_LINES = 12


def trouble(job: JobView) -> str:
    """Return the body of a card without pictures; nothing for a saved one."""
    if job.state == JobState.SAVED:
        return ""
    if not is_final(job.state) and job.state != JobState.IN_DOUBT:
        return _open(job)
    pairs = [
        ("What happened", happened(job)),
        ("Cost", h.rich(cost_sentence(job))),
        ("What next", _next(job)),
        ("Service ids", _ids(job)),
    ]
    return h.div(h.rows(pairs), "margin-top:8px")


def happened(job: JobView) -> str:
    """Return the error's lines; a state that came without any is explained."""
    lines = [h.one_line(line, 600) for line in job.error_lines[:_LINES] if line.strip()]
    if lines:
        return "<br>".join(h.rich(line) for line in lines)
    match job.state:
        case JobState.IN_DOUBT:
            return "The connection broke while the request was being sent. It is not sent again by itself."
        case JobState.EXPIRED:
            return "The service keeps results for 24 hours; these were not fetched in that time."
        case JobState.CANCELLED:
            return "It was cancelled before the service made anything."
    return "The service gave no reason."


def _next(job: JobView) -> str:
    if job.state != JobState.IN_DOUBT:
        return h.rich(next_sentence(job))
    ways = "".join(
        f'<div style="padding:0 0 5px">{h.code(command)} · {h.esc(what)}</div>' for command, what in choices(job)
    )
    return (h.div(h.rich(job.next_text), "padding:0 0 5px") if job.next_text else "") + ways


def _ids(job: JobView) -> str:
    task = f"task {h.code(h.one_line(job.task_id, 80))}" if job.task_id else ""
    request = f"request {h.code(h.one_line(job.request_id, 80))}" if job.request_id else ""
    return h.facts((task, request))


def _open(job: JobView) -> str:
    pairs = [
        ("Price", h.esc(job.most_text)),
        ("Seed", h.esc(job.seed) if job.seed is not None else ""),
        ("Expected size", h.bdi(job.expected_size_text) if job.expected_size_text else ""),
        ("Time left", h.esc(job.eta_text)),
        ("Result kept", h.esc(job.expires_text)),
        ("See it", f"{h.code(f'%wan show {job.job_id}')} shows how it stands, and the pictures once they are saved"),
    ]
    return h.div(h.rows(pairs), "margin-top:8px")
