"""The card of a batch: counts, time and money while it runs, then its figure or first pictures, and what failed.

Counts come from ``Batch.progress``, which costs the same for any number of rows; rows are read only for what is shown.
"""

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ..database import SETTLED, JobRow, PictureRow, Status
from ..errors import WanError
from ..images import data_url
from ..jobs import Job, error_of, status_words
from ..text import pluralize
from .formatting import (
    STYLES,
    StatusStyle,
    Tone,
    format_duration,
    format_eta,
    join_facts,
    relative_path,
    safe_line,
)
from .gallery import (
    MAX_SHOWN,
    OUTPUT_MAX_BYTES,
    jobs_metadata,
    json_bytes,
    layout_of,
    sheet_data,
    shown_size,
    small_copy,
)
from .html import plain_text, render
from .table import Bundle, Cell, Column, Table, table_bundle

if TYPE_CHECKING:
    from ..batch import Batch, BatchPlan, BatchProgress  # type: ignore[import-untyped, import-not-found, unused-ignore]

PICTURES_SHOWN: Final = 24
FAILED_SHOWN: Final = 20
_COLUMNS_SHOWN: Final = 8
_PAUSED: Final = StatusStyle("‖", "paused", "", Tone.AMBER)
_PARTLY: Final = StatusStyle("◑", "partly saved", "", Tone.AMBER)
_COUNTS: Final = {
    "saved": STYLES["saved"],
    "running": STYLES["running"],
    "waiting": STYLES["queued"]._replace(word="waiting"),
    "failed": STYLES["failed"],
    "in_doubt": STYLES["in doubt"],
    "cancelled": STYLES["cancelled"],
    "from_store": StatusStyle("↺", "from store", "", Tone.GREY),
}
"""What is counted, by the fields of ``BatchProgress``."""


def done_of(progress: "BatchProgress") -> int:
    """Return how many tasks are over."""
    return int(progress.total - progress.running - progress.waiting)


def _style_of(progress: "BatchProgress") -> StatusStyle:
    if progress.paused:
        return _PAUSED
    if progress.is_over and 0 < progress.saved < progress.total:
        return _PARTLY
    order = ("in_doubt", "failed", "cancelled", "saved") if progress.is_over else ("running", "waiting")
    return next((_COUNTS[name] for name in order if getattr(progress, name)), _COUNTS[order[-1]])


def _left_text(left_s: float | None) -> str:
    if left_s is None or left_s < 90 * 60:
        return format_eta(None if left_s is None else (left_s, left_s))
    return f"about {left_s / 3600:.1f} h more"


def _rate_text(rate_per_min: float | None) -> str:
    return "" if rate_per_min is None else f"{rate_per_min:.{0 if rate_per_min >= 10 else 1}f} a minute"


def show_command(batch: "Batch") -> str:
    """Return what brings a batch into any kernel."""
    return f'wan.batch("{batch.name or batch.id}")'


def _plan_facts(plan: "BatchPlan") -> list[str]:
    stored = f"{plan.from_store:,} from store" if plan.from_store else ""
    time_left = f"about {format_duration(plan.duration_s)} at {plan.in_flight} at once" if plan.duration_s else ""
    facts = [pluralize(len(plan.rows), "row"), f"{plan.new_tasks:,} new", stored, plan.cost_text, time_left]
    return [fact for fact in facts if fact]


def batch_state(batch: "Batch") -> dict[str, Any]:
    """Return what the live card shows, as plain JSON."""
    progress = batch.progress
    style, done = _style_of(progress), done_of(progress)
    counts = [
        {"icon": look.icon, "word": look.word, "tone": look.tone, "count": getattr(progress, name)}
        for name, look in _COUNTS.items()
    ]
    return {
        "icon": style.icon,
        "word": style.word,
        "tone": style.tone,
        "name": safe_line(batch.name or f"batch {batch.id}", 80),
        "plan": [safe_line(fact, 120) for fact in _plan_facts(batch.plan)] if batch.plan else [],
        "done": done,
        "total": progress.total,
        "counts": counts,
        "facts": [
            f"spent {progress.spent}",
            progress.most,
            _rate_text(progress.rate_per_min),
            "" if progress.paused else _left_text(progress.left_s),
        ],
        "paused": safe_line(progress.paused, 600),
        "is_over": progress.is_over,
        "show": show_command(batch),
    }


# The static output ---------------------------------------------------------------------------------------------------


def _head(batch: "Batch") -> tuple[StatusStyle, list[str], list[str]]:
    """Return the style, the facts and the lines of the head."""
    progress, name = batch.progress, batch.name or batch.id
    counts = [
        f"{count:,} {look.word}"
        for key, look in _COUNTS.items()
        if (count := getattr(progress, key)) and key != "saved"
    ]
    facts = [f"{progress.saved:,} of {progress.total:,} saved", *counts, f"total {progress.spent}"]
    lines = [progress.paused] if progress.paused else []
    if not progress.is_over:
        lines.append(join_facts(["goes on", _left_text(progress.left_s), progress.most]))
    lines.append(f"All of it: `{show_command(batch)}` · `%wan history --batch {name}`")
    return _style_of(progress), facts, lines


def _columns_text(job: Job) -> str:
    given = {**job.columns, "seed": job.columns.get("seed", job.seed)}
    said = [f"{safe_line(key, 40)} {safe_line(value, 80)}" for key, value in given.items() if value not in (None, "")]
    return join_facts(said[:_COLUMNS_SHOWN])


def _failed_rows(batch: "Batch") -> list[tuple[int, Job, JobRow]]:
    """Return the first rows that ended badly, with their numbers, counted from 1; nobody lists what was cancelled."""
    progress = batch.progress
    if not progress.failed + progress.in_doubt:
        return []
    bad = SETTLED - {Status.SAVED, Status.CANCELLED}
    found = ((at, job, row) for at, job in enumerate(batch, 1) for row in job.rows if row.status in bad)
    return list(islice(found, FAILED_SHOWN))


def _failed_table(batch: "Batch") -> Table | None:
    if not (failed := _failed_rows(batch)):
        return None
    progress, name = batch.progress, batch.name or batch.id
    left = progress.failed + progress.in_doubt - len(failed)
    notes = [f"and {left:,} more: `%wan history --batch {name} --state failed`"] if left > 0 else []
    errors = [(at, job, row, error_of(row)) for at, job, row in failed]
    return Table(
        title="Rows without pictures",
        columns=[
            *(Column(title="Row", is_number=True), Column(title="State")),
            *(Column(title="Columns"), Column(title="Reason", is_wide=True, is_whole=True)),
        ],
        rows=[
            [
                str(at),
                Cell(status=status_words(row)),
                Cell(text=safe_line(_columns_text(job), 60), below=f"`{row.id}`"),
                Cell(text=safe_line(error.message, 300), below=f"→ {safe_line(error.hint, 300)}"),
            ]
            for at, job, row, error in errors
        ],
        notes=notes,
        tone=Tone.RED,
    )


def _figure_bundle(batch: "Batch") -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the figure of a grid of two axes beside seeds; None for other batches, and for one that is too large."""
    axes = [axis for axis in batch.axes if axis != "seed"] if len(batch.axes) != 2 else batch.axes
    if len(axes) != 2 or len(batch) > MAX_SHOWN:
        return None
    with suppress(WanError):  # there is no picture
        bundle: tuple[dict[str, Any], dict[str, Any]] = batch.figure()._repr_mimebundle_()
        return bundle
    return None


def batch_bundle(batch: "Batch", *, full_paths: bool = False) -> Bundle:
    """Return the static output of a batch, at most 400 KB: counts and cost, its figure or first pictures, what failed.

    ``metadata["wan"]`` names the first jobs for verification, and counts those that have no room.
    """
    first, storage = batch[:MAX_SHOWN], batch.session.project().storage
    style, facts, lines = _head(batch)
    failed, title = _failed_table(batch), batch.name or f"batch {batch.id}"
    named = {row.id: (row, [one for one in row.pictures if one.saved_at]) for job in first for row in job.rows}
    metadata = jobs_metadata(list(named.values())[:MAX_SHOWN], batch.progress.total)
    found = [(at, job, picture) for at, job in enumerate(first, 1) for picture in job.saved_pictures]
    shown = found[:PICTURES_SHOWN]
    layout, limits = layout_of(len(shown))
    copies = [small_copy(storage, picture.row, **limits) for *_, picture in shown]

    def path_of(record: PictureRow) -> str:
        path = storage.path(record.file)
        return str(path) if full_paths else relative_path(path)

    pictures = [
        {
            "label": f"row {at}",
            "expression": f"{picture.tracked.id}[{picture.position}]",
            "columns": _columns_text(job),
            "alt": f"row {at}: {safe_line(_columns_text(job) or job.prompt, 160)}",
            "url": data_url(copy, "image/webp") if copy else "",
            "path": path_of(picture.row),
            "record": picture.row,
        }
        for (at, job, picture), copy in zip(shown, copies, strict=True)
    ]
    texts = [join_facts([f"{style.icon} {style.word}", title, *facts]), *lines]
    texts += [join_facts([one["label"], one["expression"], one["columns"], one["path"]]) for one in pictures]
    plain = "\n  ".join(safe_line(plain_text(line), 400) for line in texts)
    data = {"text/plain": "\n".join([plain, *([failed.to_text()] if failed else [])])}
    data |= sheet_data(storage, [picture.row for *_, picture in shown], copies)
    context: dict[str, Any] = {"style": style, "title": title, "facts_of_batch": facts, "lines": lines}
    context |= {"layout": layout, "shown_size": shown_size}
    more = max(batch.progress.saved - len(shown), 0)

    def html(pictures: Sequence[Any], figure: str, more: int) -> str:
        head = render("batch", **context, pictures=pictures, more=more)
        return "\n".join(filter(None, [head, figure, failed.to_html() if failed else ""]))

    if figure := _figure_bundle(batch):
        whole = {
            **data,
            **figure[0],
            "text/plain": data["text/plain"],
            "text/html": html((), figure[0]["text/html"], 0),
        }
        if json_bytes([whole, metadata]) <= OUTPUT_MAX_BYTES:
            return whole, metadata
    return {**data, "text/html": html(pictures, "", more)}, metadata


def batch_text(batch: "Batch") -> str:
    """Return a batch in one line."""
    state = batch_state(batch)
    counts = [f"{one['count']:,} {one['word']}" for one in state["counts"] if one["count"]]
    done = f"{state['done']:,} of {state['total']:,}"
    return join_facts([f"{state['icon']} {state['name']}", done, *counts, *state["facts"][2:], state["paused"]])


def plan_bundle(plan: "BatchPlan") -> Bundle:
    """Show what a batch would do: how many rows are new, the most that they can cost, the time, and the first rows."""
    pairs = [
        ("In the store", f"{plan.from_store:,} · $0.00" if plan.from_store else ""),
        ("New", f"{pluralize(plan.new_tasks, 'task')}, at most {pluralize(plan.pictures_max, 'picture')}"),
        ("At most", plan.cost_text),
        ("Time", f"about {format_duration(plan.duration_s)} at {plan.in_flight} at once" if plan.duration_s else ""),
    ]
    names = list(dict.fromkeys(name for row in plan.rows[:10] for name in row.columns))[:_COLUMNS_SHOWN]
    head = [Column(title="Row", is_number=True), *(Column(title=safe_line(name, 40)) for name in names)]
    given = [[row.columns.get(name) for name in names] for row in plan.rows[:10]]
    rows = [
        [
            str(at),
            *(safe_line("" if value is None else value, 40) for value in values),
            safe_line(row.request.prompt, 160),
        ]
        for at, (row, values) in enumerate(zip(plan.rows, given, strict=False), 1)
    ]
    left = len(plan.rows) - len(rows)
    part = Table(
        title="first rows" if left else "rows",
        columns=[*head, Column(title="Prompt", is_wide=True)],
        rows=rows,
        notes=[f"and {left:,} more"] if left else [],
    )
    columns, facts = (Column(), Column(is_wide=True)), ["nothing was sent", pluralize(len(plan.rows), "row")]
    table = Table(title="◇ dry run", facts=facts, columns=columns, rows=[p for p in pairs if p[1]], parts=[part])
    return table_bundle(table, "dry run")
