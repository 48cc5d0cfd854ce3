"""The methods paragraph of a paper: what made the pictures, in fixed words, from the record alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from ..jobs.outcome import cost_of_row
from ..ledger import JobRow
from ..money import Source, Total, format_amount
from ..rules import Mode
from ..text import count_of, runs_of, was
from .prose import LATEX, MARKDOWN, Style, listed, span_of, version_key

_SEEDS_SHOWN: Final = 40
_SIZES_SHOWN: Final = 8
_SOFTWARE: Final = (("wan-notebook", "wan-notebook"), ("python", "Python"), ("pillow", "Pillow"), ("httpx", "httpx"))
_MODES: Final = (
    (Mode.TEXT_TO_IMAGE, "from text alone"),
    (Mode.EDIT, "by editing given pictures"),
    (Mode.ILLUSTRATED, "as illustrated text"),
)
_NAMES: Final = {"gateway": "the Vtrix gateway", "dashscope": "Alibaba Cloud Model Studio (DashScope)"}
_CAVEAT: Final = (
    "A seed makes a similar result likely and guarantees nothing: the service may return another picture for the same "
    "request and seed, and its model may change. What can be reproduced exactly is the record, in which each picture "
    "is kept with its request and its SHA-256 hash."
)
_CAVEAT_SIMULATED: Final = (
    "The simulator draws the same picture for the same request and seed; a real service promises no such thing."
)


def methods(rows: Sequence[JobRow], *, latex: bool = False) -> str:
    """Return the paragraph about these jobs, as Markdown or LaTeX. The same jobs give the same words."""
    style = LATEX if latex else MARKDOWN
    real = [row for row in rows if not row.simulated]
    practice = [row for row in rows if row.simulated]
    sentences = [
        *_made(real, style),
        *_practice(practice, style, is_all=not real),
        *_modes(rows),
        *_sizes(rows, style),
        *_requests(rows),
        *_rewriting([row for row in rows if row.mode == Mode.EDIT], is_all=all(row.mode == Mode.EDIT for row in rows)),
        *_seeds(rows, style),
        *_cost(real, style),
        *_software(rows, style),
        _CAVEAT if real else _CAVEAT_SIMULATED,
    ]
    return " ".join(sentences)


def _made(real: Sequence[JobRow], style: Style) -> list[str]:
    if not real:
        return []
    count = _pictures(real)
    models = listed([style.code(name) for name in sorted({row.model for row in real})])
    services = listed([style.text(_NAMES.get(name, name)) for name in sorted({row.provider for row in real})])
    when = span_of([row.created_at for row in real], style.dash)
    return [f"{count_of(count, 'picture')} {was(count)} made with {models} through {services} {when}."]


def _practice(practice: Sequence[JobRow], style: Style, *, is_all: bool) -> list[str]:
    if not practice:
        return []
    count = _pictures(practice)
    when = span_of([row.created_at for row in practice], style.dash)
    kind = "a practice picture, which no image model made and which is no result"
    if count != 1:
        kind = "practice pictures, which no image model made and which are no results"
    more = "" if is_all else " more"
    subject = f"{count}{more} {'picture' if count == 1 else 'pictures'}"
    return [f"{subject} {was(count)} drawn by the built-in simulator of wan-notebook {when}: {kind}."]


def _modes(rows: Sequence[JobRow]) -> list[str]:
    counts = {mode: sum(row.picture_count for row in rows if row.mode == mode) for mode, _ in _MODES}
    known = [(counts[mode], words) for mode, words in _MODES if counts[mode]]
    if not known:
        return []
    if len(known) > 1:
        return [f"Of all pictures, {listed([f'{count} {was(count)} made {words}' for count, words in known])}."]
    count, words = known[0]
    return [f"{'It was' if count == 1 else 'All were'} made {words}."]


def _sizes(rows: Sequence[JobRow], style: Style) -> list[str]:
    sizes = Counter(
        f"{p.width_px}{style.times}{p.height_px} px"
        for row in rows
        for p in row.pictures
        if p.saved_at and p.width_px and p.height_px
    )
    if not sizes:
        return []
    ordered = sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))
    if len(ordered) == 1:
        return [f"{'It measures' if ordered[0][1] == 1 else 'Each measures'} {ordered[0][0]}."]
    shown = [f"{size} ({count_of(count, 'picture')})" for size, count in ordered[:_SIZES_SHOWN]]
    left = len(ordered) - _SIZES_SHOWN
    return [f"They measure {listed(shown)}{f' and {left} other sizes' if left > 0 else ''}."]


def _requests(rows: Sequence[JobRow]) -> list[str]:
    prompts = len({row.prompt for row in rows})
    negative = sum(bool(row.negative_prompt) for row in rows)
    marked = sum(bool(row.parameters.get("watermark")) for row in rows)
    given = len({record.sha256 for row in rows for record in row.inputs if not record.source_job})
    text = f"The record holds {count_of(len(rows), 'request')} with "
    text += "one prompt" if prompts == 1 else f"{prompts} different prompts"
    made = [f"{text}."]
    if negative:
        made.append(f"A negative prompt was given in {count_of(negative, 'request')}.")
    if given:
        made.append(f"{count_of(given, 'picture')} {was(given)} given as input.")
    if marked:
        made.append(f"The service's watermark was on in {count_of(marked, 'request')}.")
    return made


def _rewriting(edits: Sequence[JobRow], *, is_all: bool) -> list[str]:
    """Say it of the edits alone: no other mode has rewriting (WAN_API §1)."""
    on = sum(row.rewrite is not False for row in edits)
    if not edits:
        return []
    if on == len(edits):
        head = (
            "The service's rewriting of prompts was on"
            if is_all
            else "In editing, the service's rewriting of prompts was on"
        )
        return [f"{head}, so that the model saw other words than those recorded."]
    if not on:
        return ["The service's rewriting of prompts was off in editing."]
    where = f"in {on} of {len(edits)} editing requests, where the model saw other words than those recorded"
    return [f"The service's rewriting of prompts was on {where}."]


def _seeds(rows: Sequence[JobRow], style: Style) -> list[str]:
    seeds = sorted({row.seed for row in rows if row.seed is not None})
    if not seeds:
        return ["No seeds are recorded."]
    runs = runs_of(seeds, style.dash)
    more = f" and {len(runs) - _SEEDS_SHOWN} more ranges" if len(runs) > _SEEDS_SHOWN else ""
    name = "The seed was" if len(seeds) == 1 else "Seeds were"
    chosen = sum(row.fp_asked != row.fp_sent for row in rows)
    how = "" if not chosen else (" (chosen at random)" if chosen == len(rows) else " (in part chosen at random)")
    return [f"{name} {', '.join(runs[:_SEEDS_SHOWN])}{more}{how}."]


def _cost(real: Sequence[JobRow], style: Style) -> list[str]:
    if not real:
        return ["Nothing was paid."]
    total = Total.of([cost_of_row(row) for row in real])
    parts = [_amount(source, style.text(currency), amount) for source, currency, amount in total.amounts]
    if total.unknown:
        parts.append(f"an unknown amount for {count_of(total.unknown, 'request')} whose price was not reported")
    return [f"The cost was {listed(parts)}." if parts else "Nothing was paid."]


def _amount(source: Source, currency: str, amount: Decimal) -> str:
    shown = format_amount(amount, "").strip()
    return f"{shown} {currency} as {'billed' if source is Source.REPORTED else 'estimated'}"


def _software(rows: Sequence[JobRow], style: Style) -> list[str]:
    parts = []
    for key, name in _SOFTWARE:
        found = sorted({str(row.versions[key]) for row in rows if row.versions.get(key)}, key=version_key)
        if found:
            parts.append(f"{name} {' and '.join(style.text(v) for v in found)}")
    return [f"Software: {', '.join(parts)}."] if parts else []


def _pictures(rows: Sequence[JobRow]) -> int:
    return sum(row.picture_count for row in rows)
