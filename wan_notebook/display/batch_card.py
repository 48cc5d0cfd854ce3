"""The card of a batch: counts, money and time while it runs, then its figure or first pictures, and what failed.

Counts come from ``Batch.progress``, which costs the same for any number of rows; rows are read only for what is shown.
"""

from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ..errors import WanError
from ..images import data_url
from ..text import pluralize
from . import gallery
from .formatting import STYLES, StatusStyle, Tone, join_facts, relative_path, safe_line
from .html import plain_text, render
from .table import Bundle, Column, Table, table_bundle

if TYPE_CHECKING:
    from ..batch import Batch, BatchPlan, BatchProgress

PICTURES_SHOWN: Final = 24
FAILED_SHOWN: Final = 20
_COLUMNS_SHOWN: Final = 8
_COUNTS: Final = {
    **{name: STYLES[name] for name in ("saved", "running", "failed", "cancelled")},
    "waiting": STYLES["queued"]._replace(word="waiting"),
    "in_doubt": STYLES["in doubt"],
    "from_store": StatusStyle("↺", "from store", "", Tone.GREY),
}
"""What is counted, by the fields of ``BatchProgress``."""
_ORDER: Final = ("saved", "running", "waiting", "failed", "in_doubt", "cancelled", "from_store")


def style_of(progress: "BatchProgress") -> StatusStyle:
    """Return the style that stands for a whole batch."""
    if progress.paused and progress.waiting:  # what was cancelled only runs out
        return StatusStyle("‖", "paused", "", Tone.AMBER)
    if progress.is_over and 0 < progress.saved < progress.total:
        return StatusStyle("◑", "partly saved", "", Tone.AMBER)
    order = ("in_doubt", "failed", "cancelled", "saved") if progress.is_over else ("running", "waiting")
    return next((_COUNTS[name] for name in order if getattr(progress, name)), _COUNTS[order[-1]])


def money_and_time(progress: "BatchProgress") -> list[str]:
    """Return what is spent and still to come, the pace, and the time left; each may be empty."""
    rate, left_s, most = progress.rate_per_min, progress.left_s, progress.most.partition(" (")[0]
    pace = "" if rate is None else f"{rate:.{0 if rate >= 10 else 1}f} a minute"
    left = "" if left_s is None or progress.paused else f"{_about(left_s)} more"
    return [f"spent {progress.spent}", most and f"to come: {most}", pace, left]


def _about(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(5, round(seconds / 5) * 5)} s"
    return f"about {round(seconds / 60)} min" if seconds < 90 * 60 else f"about {seconds / 3600:.1f} h"


def batch_facts(progress: "BatchProgress") -> list[str]:
    """Return how many tasks stand where, money and time, as far as there is something to say."""
    counts = [f"{count:,} {_COUNTS[name].word}" for name in _ORDER[1:] if (count := getattr(progress, name))]
    facts = [f"{progress.saved:,} of {progress.total:,} saved", *counts, *reversed(money_and_time(progress))]
    return [safe_line(fact, 120) for fact in facts if fact]


def show_command(batch: "Batch") -> str:
    """Return what brings a batch into any kernel."""
    return f'wan.batch("{batch.name or batch.id}")'


def batch_title(batch: "Batch") -> str:
    """Return what a batch is called."""
    return safe_line(batch.name or f"batch {batch.id}", 80)


def batch_text(batch: "Batch") -> str:
    """Return a batch in one line."""
    progress = batch.progress
    style = style_of(progress)
    return join_facts([f"{style.icon} {style.word}", batch_title(batch), *batch_facts(progress)])


def _plan_facts(plan: "BatchPlan") -> list[str]:
    at_once = f" at {plan.in_flight} at once" if plan.in_flight else ""
    time = f"{_about(plan.duration_s)}{at_once}" if plan.duration_s else ""
    stored = f"{plan.from_store:,} from store" if plan.from_store else ""
    return [f"{plan.new_tasks:,} new", *filter(None, [stored]), plan.cost_text, *filter(None, [time])]


def batch_state(batch: "Batch") -> dict[str, Any]:
    """Return what the live card shows, as plain JSON."""
    progress = batch.progress
    names = _ORDER if progress.from_store else _ORDER[:-1]
    counts = [(getattr(progress, name), _COUNTS[name]) for name in names]
    return {
        **{name: getattr(style_of(progress), name) for name in ("icon", "word", "tone")},
        "name": batch_title(batch),
        "plan": [pluralize(len(batch), "row"), *(_plan_facts(batch.plan) if batch.plan else ())],
        "done": progress.total - progress.running - progress.waiting,
        "total": progress.total,
        "counts": [{"icon": look.icon, "word": look.word, "tone": look.tone, "count": n} for n, look in counts],
        "facts": [safe_line(fact, 120) for fact in money_and_time(progress)],
        "paused": safe_line(progress.paused, 600),
        "is_over": progress.is_over,
        "show": show_command(batch),
    }


# The static output ---------------------------------------------------------------------------------------------------


def _columns_text(columns: Mapping[str, Any], seed: int | None) -> str:
    given = {**columns, "seed": columns.get("seed", seed)}.items()
    said = (f"{safe_line(name, 40)} {safe_line(value, 80)}" for name, value in given if value is not None)
    return join_facts(list(islice(said, _COLUMNS_SHOWN)))


def _failures(batch: "Batch", progress: "BatchProgress") -> list[str]:
    """Return a line for each of the first rows without pictures: its number, its columns, and the reason."""
    failures = batch.failures() if progress.failed + progress.in_doubt else []
    rows = [(at, batch[at], reason) for at, reason in failures[:FAILED_SHOWN]]
    lines = [f"✕ row {at + 1} · {_columns_text(job.columns, job.seed)} · `{job.id}`: {why}" for at, job, why in rows]
    return [*lines, *([f"and {len(failures) - len(rows):,} more"] if len(failures) > len(rows) else [])]


def _figure(batch: "Batch") -> dict[str, str]:
    """Return the figure of a grid of two axes, also beside seeds; nothing for other batches and large ones."""
    axes = batch.axes if len(batch.axes) == 2 else [axis for axis in batch.axes if axis != "seed"]
    with suppress(WanError):  # there is no picture
        if len(axes) == 2 and len(batch) <= gallery.MAX_SHOWN:
            return gallery.compare_bundle(batch.figure())[0]
    return {}


def batch_bundle(batch: "Batch") -> Bundle:
    """Return the static output of a batch, at most 400 KB: counts and cost, its figure or first pictures, what failed.

    ``metadata["wan"]`` names the first jobs for verification, and counts those that have no room.
    """
    storage, progress, first = batch.session.project().storage, batch.progress, batch[: gallery.MAX_SHOWN]
    named = {row.id: (row, [one for one in row.pictures if one.saved_at]) for job in first for row in job.rows}
    metadata = gallery.jobs_metadata(list(named.values())[: gallery.MAX_SHOWN], progress.total)
    metadata["wan"]["batch"] = batch.id
    found = [(at, job, picture) for at, job in enumerate(first, 1) for picture in job.saved_pictures]
    shown = found[:PICTURES_SHOWN]
    layout, limits = gallery.layout_of(len(shown))
    records = [picture.row for *_, picture in shown]
    copies = [gallery.small_copy(storage, record, **limits) for record in records]
    urls = [data_url(copy, "image/webp") if copy else "" for copy in copies]
    captions = [
        (f"row {at}", f"{picture.tracked.id}[{picture.position}]", _columns_text(job.columns, job.seed))
        for at, job, picture in shown
    ]
    paths = [relative_path(storage.path(record.file)) for record in records]
    lines = [progress.paused] if progress.paused else []
    lines.append(f"All of it: `{show_command(batch)}` · `%wan history --batch {batch.name or batch.id}`")
    failures = [safe_line(line, 400) for line in _failures(batch, progress)]
    said = [join_facts([*caption, path]) for caption, path in zip(captions, paths, strict=True)]
    text = "\n  ".join(safe_line(plain_text(line), 400) for line in (batch_text(batch), *lines, *failures, *said))
    for figure in (_figure(batch), {}):  # one that is too large is left out
        html = render(
            "batch",
            style=style_of(progress),
            title=batch_title(batch),
            about=batch_facts(progress),
            lines=lines,
            failures=failures,
            figures=[] if figure else list(zip(captions, paths, records, urls, strict=True)),
            more=0 if figure else progress.saved - len(shown),
            layout=layout,
            shown_size=gallery.shown_size,
        )
        html += figure.get("text/html", "")
        data = {**gallery.sheet_data(storage, records, copies), **figure, "text/plain": text, "text/html": html}
        if gallery.json_bytes([data, metadata]) <= gallery.OUTPUT_MAX_BYTES:
            break
    return data, metadata


def plan_bundle(plan: "BatchPlan") -> Bundle:
    """Show what a batch would do: how many tasks are new, the most that they can cost, the time, and the first rows."""
    table = Table(
        title="◇ dry run",
        facts=["nothing was sent", pluralize(len(plan.rows), "row"), *_plan_facts(plan)],
        lines=[f"At most {pluralize(plan.pictures_max, 'new picture')}."],
        columns=[Column(title="Row", is_number=True), Column(title="Columns"), Column(title="Prompt", is_wide=True)],
        rows=[
            [str(at), _columns_text(row.columns, row.request.seed), safe_line(row.request.prompt, 200)]
            for at, row in enumerate(plan.rows[:10], 1)
        ],
        notes=[f"and {len(plan.rows) - 10:,} more"] if len(plan.rows) > 10 else [],
    )
    return table_bundle(table, "dry run")
