"""The tables of the commands: history, cost, status, budget, config, doctor, and the dry run."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..database import Database, HistoryQuery, count_open, nothing_found
from ..images import InputImage, PendingImage, data_url
from ..jobs import cost_of
from ..money import Total, format_amount
from ..providers import dialect_for
from ..storage import Storage
from ..text import file_size, pluralize
from .formatting import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    RED,
    duration_of,
    format_day,
    format_duration,
    format_expected_size,
    format_time,
    join_facts,
    relative_path,
    shown_status,
)
from .gallery import Thumbnails, shown_size
from .table import Bundle, Cell, Column, Table, Thumb, table_bundle

if TYPE_CHECKING:
    from ..database import CostKey, JobRow
    from ..session import Plan, Session

LEDGER_NAME: Final = "ledger.db"
COST_SECTIONS: Final[tuple["CostKey", ...]] = ("day", "notebook", "tag")
_THUMB_PX: Final = 64
_THUMB_MAX_BYTES: Final = 1_800
_ROWS_MAX: Final = 150
"""More rows than this do not fit into one output with their thumbnails."""

_HISTORY_COLUMNS: Final = (
    Column(is_html_only=True),
    Column(title="When / job", is_nowrap=True),
    Column(title="Prompt", is_wide=True),
    Column(title="Seed", is_number=True),
    Column(title="n", is_number=True),
    Column(title="State", is_nowrap=True),
    Column(title="Cost", is_number=True),
)


def history_table(session: "Session", query: HistoryQuery, *, everywhere: bool = False) -> Table:
    """Return a page of the history, of this folder or of all folders of the person.

    Raises ``StoreError`` for a sort or status that does not exist.
    """
    found: list[tuple[float, JobRow, Storage]] = []
    totals, count, pictures, trashed = [], 0, 0, 0
    nothing_found(query)  # raises for a wrong question, even where there is no ledger yet
    for database, storage in _folders(session, everywhere=everywhere):
        page = database.history(query)
        found += [(row.created_at, row, storage) for row in page.rows]
        totals.append(page.total)
        count, pictures = count + page.total_rows, pictures + page.pictures
        if not query.only_trashed:
            trashed += database.history(HistoryQuery(only_trashed=True, limit=1)).total_rows
    found.sort(key=lambda item: item[0], reverse=query.descending)
    shown = found[: min(query.limit, _ROWS_MAX)]
    words = _filter_words(query)
    shown_count = pluralize(count, "job") if len(shown) >= count else f"{len(shown)} of {count} jobs"
    footer = [join_facts([shown_count, pluralize(pictures, "picture"), str(sum(totals, Total()))])] if shown else []
    notes = [f"More: `%wan history --limit {min(count, query.limit * 5)}`"] if count > len(shown) else []
    if query.only_trashed:
        notes.append("`%wan trash JOB --undo` takes a job out; after 30 days pictures, inputs and prompt are deleted")
    elif trashed:
        notes.append(f"{pluralize(trashed, 'job')} in the trash: `%wan history --trash`")
    return Table(
        title="History",
        facts=[words] if words else [],
        columns=_HISTORY_COLUMNS,
        rows=[_history_row(row, storage) for _, row, storage in shown],
        footer=footer,
        notes=notes,
        empty_text="Nothing found." if words else "Nothing has been made yet.",
    )


def _history_row(row: "JobRow", storage: Storage) -> list[Cell | str]:
    saved = [picture for picture in row.pictures if picture.saved_at]
    size = f"{saved[0].width_px}×{saved[0].height_px}" if saved else row.size_tier.replace("*", "×")
    cost = cost_of(row)
    is_starred = row.is_starred or any(picture.is_starred for picture in row.pictures)
    marks = "".join(["★ " if is_starred else "", "(in the trash) " if row.trashed_at is not None else ""])
    facts = [row.mode, size, f"`{row.name}`" if row.name else "", *(f"#{tag}" for tag in row.tags[:6])]
    facts.append("imported" if row.imported_at is not None else "")
    facts.append(f"damaged: {row.damage}" if row.damage else "")
    amount = str(replace(cost, note=""))
    return [
        _thumb_cell(row, storage),
        Cell(text=format_time(row.created_at), below=f"`{row.id}`"),
        Cell(text=f"{marks}{' '.join(row.prompt.split())[:90]}", below=join_facts(facts)),
        "" if row.seed is None else str(row.seed),
        str(len(saved) if saved else row.n),
        Cell(status=shown_status(row), below=format_duration(duration_of(row))),
        Cell(text=amount, below=cost.note or (cost.source.value if cost.source.value not in amount else "")),
    ]


def _thumb_cell(row: "JobRow", storage: Storage) -> Cell:
    record = next((picture for picture in row.pictures if picture.saved_at), None)
    if record is None:
        return Cell()
    copy = Thumbnails(storage).get(record, max_px=_THUMB_PX, max_bytes=_THUMB_MAX_BYTES)
    if copy is None:
        return Cell()
    size = shown_size(record.width_px, record.height_px, _THUMB_PX, 48)
    path = relative_path(storage.path(record.file))
    return Cell(text=row.id, thumb=Thumb(data_url(copy, "image/webp"), *size), path=path)


def _filter_words(query: HistoryQuery) -> str:
    status = query.status if isinstance(query.status, str | None) else ", ".join(query.status)
    parts = [
        f"“{query.words}”" if query.words else "",
        "in the trash" if query.only_trashed else "",
        "starred" if query.starred else "",
        f"since {format_time(query.since)}" if query.since is not None else "",
        *(f"tag {tag}" for tag in query.tags),
        f"notebook {Path(query.notebook).name}" if query.notebook else "",
        f"user {query.user}" if query.user else "",
        f"seed {query.seed}" if query.seed is not None else "",
        f"state {str(status).replace('_', ' ')}" if status else "",
    ]
    return ", ".join(part for part in parts if part)


@contextmanager
def _opened(folder: Path) -> Iterator[Database]:
    database = Database.open(folder / LEDGER_NAME, read_only=True)
    try:
        yield database
    finally:
        database.close()


def _folders(session: "Session", *, everywhere: bool) -> Iterator[tuple[Database, Storage]]:
    project = session.project(create=False)
    if project is not None:
        yield project.database, project.storage
    for folder in session.loader.known_folders() if everywhere else ():
        if folder != session.settings().folder:
            with _opened(folder) as database:
                yield database, Storage(folder)


# Cost ----------------------------------------------------------------------------------------------------------------

_COST_COLUMNS: Final = (
    Column(is_nowrap=True),
    Column(is_wide=True),
    Column(title="Spent", is_number=True),
    Column(title="Pictures", is_number=True),
    Column(title="Jobs", is_number=True),
)


def cost_table(session: "Session", *, by: "CostKey | None" = None, everywhere: bool = False) -> Table:
    """Return what was spent: by day, notebook and tag, or by one of day, notebook, tag and user."""
    sections: dict[CostKey, dict[str, list[Any]]] = {name: {} for name in ([by] if by else COST_SECTIONS)}
    totals, reserved = [], dict[str, Decimal]()
    jobs = pictures = unknown = practice = 0
    for database, _ in _folders(session, everywhere=everywhere):
        spend = database.spend()
        totals.append(spend.total)
        jobs, pictures, unknown = jobs + spend.jobs, pictures + spend.pictures_saved, unknown + spend.reserved_unknown
        for currency, amount in spend.reserved.items():
            reserved[currency] = reserved.get(currency, Decimal(0)) + amount
        practice += database.spend(simulated=True).pictures_saved
        for name, rows in sections.items():
            for row in database.cost_by(name):
                known = rows.setdefault(row.key, [Total(), 0, 0])
                rows[row.key] = [known[0] + row.total, known[1] + row.pictures, known[2] + row.jobs]
    parts = [format_amount(amount, currency) for currency, amount in sorted(reserved.items()) if amount]
    parts += [f"{unknown} unknown"] if unknown else []
    total = sum(totals, Total())
    notes = [f"Not counted: {pluralize(practice, 'practice picture')} (simulator, free)."] if practice else []
    return Table(
        title="Cost",
        facts=[
            str(total),
            pluralize(pictures, "picture"),
            pluralize(jobs, "job"),
            f"{' + '.join(parts)} reserved for running jobs" if parts else "",
        ],
        lines=session.budgets.lines(),
        parts=[_cost_section(name, rows) for name, rows in sections.items() if rows],
        notes=notes,
        tone=BLUE,
    )


def _cost_section(name: str, rows: dict[str, list[Any]]) -> Table:
    """Return one section; bars of different currencies have scales of their own."""
    amounts = {key: (total.amounts[0][1] if total.amounts else "USD", total) for key, (total, _, _) in rows.items()}
    known = {key: (currency, float(total.known(currency))) for key, (currency, total) in amounts.items()}
    most = {currency: max(a for c, a in known.values() if c == currency) for currency, _ in known.values()}
    body: list[list[Cell | str]] = []
    for key, (total, pictures, jobs) in list(rows.items())[:60]:
        currency, amount = known[key]
        share = amount / most[currency] if most[currency] > 0 else 0.0
        body.append([key or "(none)", Cell(bar=share), str(total), str(pictures), str(jobs)])
    left = len(rows) - len(body)
    return Table(title=f"by {name}", columns=_COST_COLUMNS, rows=body, footer=[f"and {left} more"] if left > 0 else [])


# Status, budget, config, doctor --------------------------------------------------------------------------------------

_PAIR: Final = (Column(is_nowrap=True), Column(is_wide=True))


def status_table(session: "Session") -> Table:
    """Return the status in five lines, and what to type next."""
    settings, project = session.settings(), session.project(create=False)
    summary = count_open(settings.folder / LEDGER_NAME)
    made = project.database.history(HistoryQuery(limit=1)).pictures if project else 0
    spent = project.database.spend().total if project else Total()
    open_jobs = [
        f"{summary.sending + summary.running} running",
        f"{summary.to_fetch} to fetch",
        f"{summary.in_doubt} in doubt",
        f"{summary.unsent} not sent: run the cell again" if summary.unsent else "",
    ]
    first = "`%wan login` for real pictures" if settings.provider == "simulator" else "`%wan history`"
    if summary.in_doubt:
        first = "`%wan history --state in_doubt`, then `%wan resolve JOB`"
    elif summary.sending or summary.running or summary.to_fetch:
        first = "`%wan resume` to fetch what is finished"
    return Table(
        columns=_PAIR,
        rows=[
            ["service", f"{settings.provider} ({settings.chosen_because})"],
            ["pictures", f"{made} in {relative_path(settings.folder)}, {spent} spent"],
            ["jobs", summary.problem or (", ".join(part for part in open_jobs if part) if summary else "none open")],
            ["budget", "; ".join(session.budgets.lines())],
            ["next", f"{first} · `%wan make a fox in snow` · `%wan?` for everything"],
        ],
        tone=BLUE,
    )


def budget_table(session: "Session", message: str = "") -> Table:
    """Return the budgets in force with what is used of them; ``message`` says what was just changed."""
    return Table(title="Budget", facts=[message] if message else [], lines=session.budgets.lines(), tone=BLUE)


def config_table(rows: Sequence[tuple[str, str, str]], *, message: str = "", place: str = "") -> Table:
    """Return the settings as rows of name, value and where the value comes from."""
    return Table(
        title="Settings",
        facts=[message] if message else [],
        columns=(Column(title="Setting", is_nowrap=True), Column(title="Value", is_wide=True), Column(title="From")),
        rows=[[name, value, source] for name, value, source in rows],
        notes=[f"Stored in {place}"] if place else [],
        tone=BLUE,
    )


_LEVELS: Final = {
    "ok": ("✓ ok", GREEN),
    "warning": ("! warning", AMBER),
    "problem": ("✕ problem", RED),
    "info": ("· info", GREY),
}


def doctor_table(lines: Sequence[tuple[str, str, str, str]], title: str = "wan doctor") -> Table:
    """Return checks as rows of name, level (ok, info, warning or problem), text and hint."""
    levels = [level for _, level, _, _ in lines]
    worst = next((level for level in ("problem", "warning") if level in levels), "ok")
    rows: list[list[Cell | str]] = [
        [
            Cell(text=_LEVELS[level][0], tone=_LEVELS[level][1]),
            name,
            Cell(text=text, below=f"→ {hint}" if hint else ""),
        ]
        for name, level, text, hint in lines
    ]
    columns = (Column(is_nowrap=True), Column(title="Check", is_nowrap=True), Column(title="Found", is_wide=True))
    return Table(title=title, columns=columns, rows=rows, tone=_LEVELS[worst][1])


# Dry run -------------------------------------------------------------------------------------------------------------

_INPUT_COLUMNS: Final = (
    Column(is_nowrap=True),
    Column(title="Name", is_wide=True),
    Column(title="Size", is_nowrap=True),
    Column(title="Bytes", is_number=True),
    Column(title="SHA-256", is_nowrap=True),
)
_JSON_MAX_CHARS: Final = 20_000


def dry_run_table(plan: "Plan") -> Table:
    """Return the exact request that a call would send, how many pictures it makes and the most it can cost."""
    request, submission = plan.jobs[0].request, plan.submission
    endpoint, body = _first_call(plan)
    is_open_seed = submission.requests[0].seed is None and plan.jobs[0].result is None
    answered = [job.result for job in plan.jobs if job.result is not None]
    seeds = [str(job.request.seed) for job in plan.jobs[:12]]
    listed = f": seeds {', '.join(seeds)}{', …' if len(plan.jobs) > 12 else ''}" if not is_open_seed else ""
    pictures = sum(job.request.pictures_asked for job in plan.jobs)
    count = pluralize(pictures, "picture")
    several = f" in {len(plan.jobs)} requests, each with its seed{listed}" if len(plan.jobs) > 1 else ""
    size = f"shape of {submission.size_follows}" if submission.size_follows else format_expected_size(request)
    stored = f"{len(answered)} of {len(plan.jobs)} " if len(answered) < len(plan.jobs) else ""
    rows = [
        ["In the store", f"{stored}from store · $0.00 · {format_day(answered[0].created_at)}" if answered else ""],
        ["Request", f"`{endpoint}`"],
        ["How many", f"{count}{several}"],
        ["Expected size", size],
        ["At most", plan.cost_text],
        *(["Note", note] for note in plan.notes[:20]),
    ]
    shown = json.dumps(_shown_body(body, plan, is_open_seed=is_open_seed), indent=2, ensure_ascii=False)
    inputs = [_input_row(position, image) for position, image in enumerate(request.images)]
    title = pluralize(len(inputs), "input picture")
    return Table(
        title="◇ dry run",
        facts=["nothing was sent", request.mode.value],
        columns=_PAIR,
        rows=[row for row in rows if row[1]],
        parts=[Table(title=title, columns=_INPUT_COLUMNS, rows=inputs)] if inputs else [],
        code=shown[:_JSON_MAX_CHARS] + ("…" if len(shown) > _JSON_MAX_CHARS else ""),
    )


def dry_run_bundle(plan: "Plan") -> Bundle:
    """Return the MIME bundle of a dry run."""
    return table_bundle(dry_run_table(plan), "dry run")


def _first_call(plan: "Plan") -> tuple[str, Any]:
    """Return the endpoint and the body of a plan's first request, built without the pictures' megabytes."""
    request, settings = plan.jobs[0].request, plan.settings
    empty = tuple(
        InputImage(name=image.name, identity="", data=b"", mime="", width_px=0, height_px=0) for image in request.images
    )
    dialect = dialect_for(settings.provider)
    envelope = settings.envelope if settings.envelope in dialect.envelopes else dialect.envelopes[0]
    call = dialect.submit(request.model_copy(update={"images": empty}), envelope=envelope)
    return f"{call.method} {dialect.base_url(settings.base_url)}{call.path}", call.body


def _input_row(position: int, image: Any) -> list[Cell | str]:
    if isinstance(image, PendingImage):
        why = "a dry run fetches nothing" if image.is_address else "a dry run waits for no job"
        return [f"image {position + 1}", Cell(text=image.name, below=f"not here yet: {why}"), "", "", ""]
    size = f"{image.width_px}×{image.height_px} px {image.mime.removeprefix('image/').upper()}"
    name = Cell(text=image.name, below="; ".join(image.notes))
    return [f"image {position + 1}", name, size, file_size(image.size_bytes), f"`{image.sha256[:16]}`"]


def _shown_body(body: Any, plan: "Plan", *, is_open_seed: bool) -> Any:
    """Return a request's body with each picture in words, and with words for what is not known yet."""
    unknown = {"seed": "(chosen when it is sent)"} if is_open_seed else {}
    if plan.submission.size_follows:
        unknown["size"] = f"(the shape of {plan.submission.size_follows}, which is not here yet)"
    pictures = iter([_in_words(image) for image in plan.jobs[0].request.images])

    def described(node: Any) -> Any:
        if isinstance(node, list | tuple):
            return [described(item) for item in node]
        if not isinstance(node, dict):
            return node
        shown = {key: next(pictures, value) if key == "image" else described(value) for key, value in node.items()}
        return {**shown, **unknown} if "enable_interleave" in shown else shown

    return described(body)


def _in_words(image: Any) -> str:
    if isinstance(image, PendingImage):
        return f"<{image.name}: not here yet>"
    return f"<{image.name}: {image.width_px}×{image.height_px}, {image.size_bytes} bytes, sha256 {image.sha256[:12]}…>"
