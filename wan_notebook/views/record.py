"""The folded part of a card: the prompt in full and every parameter, so that the picture can be asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from wan_notebook.views import html as h
from wan_notebook.views.model import JobView

PROMPT_CHARACTERS: Final = 2_500
_JOBS: Final = 12
_ROWS: Final = 40


def record(jobs: Sequence[JobView], *, text_scale: float = 1.0) -> str:
    """Return prompt and parameters in a ``<details>``; jobs that share a prompt share its place."""
    limit = max(60, int(PROMPT_CHARACTERS * text_scale))
    if len(jobs) == 1:
        return h.details("Prompt and parameters", _whole(jobs[0], limit))
    prompts = list(dict.fromkeys(job.prompt for job in jobs))
    if len(prompts) == 1:
        seeds = [str(job.seed) for job in jobs if job.seed is not None]
        shown = ", ".join(seeds[:24]) + (f" and {len(seeds) - 24} more" if len(seeds) > 24 else "")
        return h.details("Prompt and parameters", _whole(jobs[0], limit, seeds=shown))
    each = max(60, limit // min(len(prompts), _JOBS))
    pieces = [(f"Prompt {i + 1}", _text(p, each)) for i, p in enumerate(prompts[:_JOBS])]
    if len(prompts) > _JOBS:
        pieces.append(("", f"and {len(prompts) - _JOBS} more prompts"))
    return h.details("Prompts and parameters", h.rows([*pieces, *_parameters(jobs[0], seeds="")]))


def _text(text: str, limit: int) -> str:
    cut = text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"
    # The break stands for a newline where the style that keeps newlines was removed.
    return (
        f'<div dir="auto" style="text-align:start;overflow-wrap:anywhere">{h.esc(cut).replace(chr(10), "<br>")}</div>'
    )


def _whole(job: JobView, limit: int, *, seeds: str | None = None) -> str:
    pairs = [
        ("Prompt", _text(job.prompt, limit) if job.prompt else ""),
        ("Negative prompt", _text(job.negative_prompt, limit) if job.negative_prompt else ""),
        *_parameters(job, seeds=str(job.seed) if seeds is None and job.seed is not None else seeds or ""),
    ]
    text = job.cell_text if len(job.cell_text) <= limit + 400 else job.cell_text[: limit + 400] + "…"
    cell = h.div("The cell that asks the same:", "margin-top:8px", h.MUTED) + h.pre(text)
    return h.rows(pairs) + (cell if job.cell_text else "")


def _parameters(job: JobView, *, seeds: str) -> list[tuple[str, str]]:
    rewrite = "" if job.rewrite is None else "on (the service rewrote the prompt)" if job.rewrite else "off"
    pairs = [
        ("Mode", job.mode),
        ("Seed" if "," not in seeds else "Seeds", seeds),
        ("Rewrite", rewrite),
        ("Model", h.facts((job.model, job.provider))),
        *job.parameters[:_ROWS],
        ("Tags", ", ".join(job.tags)),
    ]
    return [(h.one_line(name, 60), h.bdi(h.one_line(value, 400))) for name, value in pairs if value]
