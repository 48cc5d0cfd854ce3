"""The tables of the commands: history, cost, status, budget, config, doctor, and the dry run."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from ..database import FREE, CostKey, Database, HistoryPage, HistoryQuery, JobRow, Spend, Status, count_open
from ..images import InputImage, PendingImage, data_url
from ..jobs import cost_of, seeds_text, status_words
from ..money import Total, format_amount
from ..providers import dialect_for
from ..session import Plan, Session
from ..settings import LEDGER_NAME
from ..storage import Storage
from ..text import file_size, pluralize
from .formatting import (
    STYLES,
    Tone,
    duration_of,
    format_duration,
    format_expected_size,
    format_time,
    join_facts,
    other_model,
    relative_path,
    safe_line,
    size_of,
)
from .gallery import shown_size, small_copy
from .table import Bundle, Cell, Column, Table, table_bundle

_ROWS_MAX: Final = 150
"""More rows than this do not fit into one output with their thumbnails."""


def history_table(session: Session, query: HistoryQuery, *, everywhere: bool = False) -> Table:
    """Return a page of the history, of this folder or of all folders of the person.

    Raises ``StoreError`` for a sort or status that does not exist.
    """
    pages, found = list[HistoryPage](), list[tuple[JobRow, Storage, dict[str, str]]]()
    for database, storage in folders_of(session, everywhere=everywhere):
        pages.append(page := database.history(query))
        found += [(row, storage, history_facts(row, database, page)) for row in page.rows[:_ROWS_MAX]]
    if everywhere:
        found.sort(key=lambda item: item[0].created_at, reverse=query.descending)
    shown = found[: min(query.limit, _ROWS_MAX)]
    count, pictures = sum(page.lines for page in pages), sum(page.pictures for page in pages)
    jobs, total = sum(page.total_rows for page in pages), str(sum((page.total for page in pages), Total()))
    lines = pluralize(count, "line") + f", {jobs:,} jobs" if count < jobs else pluralize(jobs, "job")
    notes = {
        join_facts([f"{len(shown)} of {lines}", pluralize(pictures, "picture"), total]): shown,
        f"More: `%wan history --limit {min(count, query.limit * 5)}`": count > len(shown),
        "`%wan trash JOB --undo` takes a job out; after 30 days pictures, inputs and prompt are deleted": (
            query.only_trashed
        ),
    }
    return Table(
        title="History",
        columns=[
            *(Column(), Column(title="When / job"), Column(title="Prompt", is_wide=True)),
            *(Column(title="Seed", is_number=True), Column(title="n", is_number=True)),
            *(Column(title="State"), Column(title="Cost", is_number=True)),
        ],
        rows=[_history_row(*one) for one in shown],
        lines=[] if shown else ["Nothing found."],
        notes=[note for note, holds in notes.items() if holds],
    )


_WORDS: Final = {Status.INTENT: "waiting", Status.IN_DOUBT: "in doubt"}


def history_facts(row: JobRow, database: Database | None = None, page: HistoryPage | None = None) -> dict[str, str]:
    """Return what a line of the history says of a job, or of the batch that it stands for, each as text."""
    saved, style, cost = sum(1 for picture in row.pictures if picture.saved_at), STYLES[status_words(row)], cost_of(row)
    amount = str(replace(cost, note="")) if row.is_simulated or row.status not in FREE else "not billed"
    facts = {
        "id": row.id,
        "when": format_time(row.created_at),
        "prompt": safe_line(row.prompt, 200),
        "status": style.word,
        "icon": style.icon,
        "tone": style.tone,
        "mode": row.mode,
        "size": size_of(row),
        "seed": "" if row.seed is None else str(row.seed),
        "pictures": str(saved or row.n),
        "took": format_duration(duration_of(row)),
        "cost": amount,
        "source": "" if amount == "not billed" or cost.source.value in amount else cost.source.value,
        "tags": safe_line(" ".join(f"#{tag}" for tag in row.tags), 60),
        "batch": "",
    }
    if database and page and (batch := page.batches.get(row.seq)):
        counts, name = database.batch_counts(batch), safe_line(batch.name or batch.id, 60)
        statuses = sorted(counts, key=lambda status: status is not Status.SAVED)
        words = [f"{counts[status]:,} {_WORDS.get(status, status)}" for status in statuses]
        facts |= dict.fromkeys(("mode", "size", "seed", "took", "source", "tags"), "")
        facts |= {"batch": name, "status": "batch", "icon": "▦", "tone": Tone.GREY}
        facts["prompt"] = f"{name}: {', '.join([pluralize(batch.row_count, 'row'), *words])}"
        facts |= {"pictures": str(counts[Status.SAVED]), "cost": str(database.batch_spend(batch).total)}
    return facts


def _history_row(row: JobRow, storage: Storage, said: dict[str, str]) -> list[Cell | str]:
    thumb = Cell()
    for record in row.pictures[:1]:
        if copy := small_copy(storage, record, max_px=64, max_bytes=1_800):
            image = (data_url(copy, "image/webp"), *shown_size(record.width_px, record.height_px, 64, 48))
            thumb = Cell(text=row.id, thumb=image, path=relative_path(storage.path(record.file)))
    if said["batch"]:
        text = Cell(text=said["prompt"], below=f"`%wan history --batch {said['batch']}`")
        return [thumb, Cell(text=said["when"], below="newest of a batch"), text, "", said["pictures"], "", said["cost"]]
    is_starred = row.is_starred or any(picture.is_starred for picture in row.pictures)
    marks = f"{'★ ' if is_starred else ''}{'(in the trash) ' if row.trashed_at is not None else ''}"
    facts = [
        *(other_model(row), said["mode"], said["size"], f"`{row.name}`" if row.name else "", said["tags"]),
        *("imported" if row.imported_at is not None else "", f"damaged: {row.damage}" if row.damage else ""),
    ]
    return [
        thumb,
        Cell(text=said["when"], below=f"`{row.id}`"),
        Cell(text=f"{marks}{safe_line(row.prompt, 90)}", below=join_facts(facts)),
        said["seed"],
        said["pictures"],
        Cell(status=status_words(row), below=said["took"]),
        Cell(text=said["cost"], below=cost_of(row).note or said["source"]),
    ]


def folders_of(session: Session, *, everywhere: bool = False) -> Iterator[tuple[Database, Storage]]:
    """Yield the ledger and the pictures of this folder, and of every other one of the person, open while it is read."""
    project = session.known_project()
    if project is not None:
        yield project.database, project.storage
    for folder in session.loader.known_folders() if everywhere else ():
        if folder != session.settings().folder:
            with Database.open(folder / LEDGER_NAME, read_only=True) as database:
                yield database, Storage(folder)


def cost_table(session: Session, *, by: CostKey | None = None, everywhere: bool = False) -> Table:
    """Return what was spent: by day, notebook and tag, or by one of day, notebook, tag and user.

    Where there is only practice, it is what that would have cost, so that a newcomer sees what this looks like.
    """
    folders = [database for database, _ in folders_of(session, everywhere=everywhere)]
    spends = [database.spend() for database in folders]
    practised = [database.spend(simulated=True) for database in folders]
    practice = sum(spend.pictures_saved for spend in practised)
    is_practice = practice > 0 and not any(spend.jobs - spend.free for spend in spends)
    counted, noun = (practised, "practice picture") if is_practice else (spends, "picture")
    held = [
        format_amount(amount, currency) for spend in spends for currency, amount in spend.reserved.items() if amount
    ]
    held += [f"{spend.reserved_unknown} unknown" for spend in spends if spend.reserved_unknown]
    names: tuple[CostKey, ...] = (by,) if by else ("day", "notebook", "tag")
    sections = [_cost_section(name, folders, is_practice=is_practice) for name in names]
    notes = {
        f"No job has a {by} yet.": by and not sections[0].rows,
        f"Not counted: {pluralize(practice, 'practice picture')} (simulator, free).": practice and not is_practice,
    }
    return Table(
        title="Cost",
        facts=[
            str(sum((spend.total for spend in spends), Total())),
            pluralize(sum(spend.pictures_saved for spend in counted), noun),
            pluralize(sum(spend.jobs - spend.free for spend in counted), "job"),
            f"{' + '.join(held)} reserved for running jobs" if held else "",
        ],
        lines=session.budgets.lines(),
        parts=[section for section in sections if section.rows],
        notes=[note for note, holds in notes.items() if holds],
    )


def _cost_section(name: CostKey, folders: Sequence[Database], *, is_practice: bool) -> Table:
    """Return the sums of all folders by one key; bars of different currencies have scales of their own."""
    sums: dict[str, Spend] = {}
    for row in (row for database in folders for row in database.cost_by(name, simulated=is_practice)):
        known = sums.setdefault(row.key, Spend(key=row.key))
        known.jobs, known.pictures_saved = known.jobs + row.jobs - row.free, known.pictures_saved + row.pictures_saved
        known.total += row.would_cost if is_practice else row.total
    shown = list(sums.values())[:60]
    firsts = [amount for row in shown for amount in row.total.amounts[:1]]
    most = {currency: max(a for _, other, a in firsts if other == currency) or 1 for _, currency, _ in firsts}
    titles = ["Would cost" if is_practice else "Spent", "Pictures", "Jobs"]
    return Table(
        title=f"{'practice ' if is_practice else ''}by {name}",
        columns=[Column(), Column(is_wide=True), *(Column(title=title, is_number=True) for title in titles)],
        rows=[
            [
                row.key or "(none)",
                Cell(bar=sum(float(amount / most[currency]) for _, currency, amount in row.total.amounts[:1])),
                str(row.total),
                str(row.pictures_saved),
                str(row.jobs),
            ]
            for row in shown
        ],
        notes=[f"and {len(sums) - len(shown)} more"] if len(sums) > len(shown) else [],
    )


_PAIR: Final = (Column(), Column(is_wide=True))


def status_table(session: Session) -> Table:
    """Return the status in five lines, and what to type next."""
    settings, project = session.settings(), session.known_project()
    summary = count_open(settings.folder / LEDGER_NAME)
    made = project.database.history(HistoryQuery(limit=1)).pictures if project else 0
    spent = project.database.spend().total if project else Total()
    running = summary.sending + summary.running
    jobs = f"{running} running, {summary.to_fetch} to fetch, {summary.in_doubt} in doubt" if summary else "none open"
    jobs += f", {summary.unsent} not sent: run the cell again" if summary.unsent else ""
    ways = {
        "`%wan history --state in_doubt`, then `%wan resolve JOB`": summary.in_doubt,
        "`%wan resume` to fetch what is finished": running or summary.to_fetch,
        "`%wan login` for real pictures": settings.provider == "simulator" or not settings.key,
        "`%wan history`": True,
    }
    first = next(way for way, holds in ways.items() if holds)
    return Table(
        columns=_PAIR,
        rows=[
            [
                "service",
                f"{settings.provider} ({settings.chosen_because}){'' if settings.key else ': no key was found'}",
            ],
            ["pictures", f"{made} in {relative_path(settings.folder)}, {spent} spent"],
            ["jobs", summary.problem or jobs],
            ["budget", "; ".join(session.budgets.lines())],
            ["next", f"{first} · `%wan make a fox in snow` · `%wan?` for everything"],
        ],
    )


_LEVELS: Final = {
    "problem": ("✕ problem", Tone.RED),
    "warning": ("! warning", Tone.AMBER),
    "ok": ("✓ ok", Tone.GREEN),
    "info": ("· info", Tone.GREY),
}
"""From the worst."""


def doctor_table(lines: Sequence[tuple[str, str, str, str]]) -> Table:
    """Return checks as rows of name, level (ok, info, warning or problem), text and hint."""
    worst = min((level for _, level, _, _ in lines), key=list(_LEVELS).index, default="ok")
    rows: list[list[Cell | str]] = [
        [Cell(text=_LEVELS[level][0], tone=_LEVELS[level][1]), name, Cell(text=text, below=f"→ {hint}" if hint else "")]
        for name, level, text, hint in lines
    ]
    columns = (Column(), Column(title="Check"), Column(title="Found", is_wide=True, is_whole=True))
    return Table(title="wan doctor", columns=columns, rows=rows, tone=_LEVELS[worst][1])


def dry_run_bundle(plan: Plan) -> Bundle:
    """Show the exact request that a call would send, how many pictures it makes and the most it can cost."""
    first, count, settings = plan.jobs[0], len(plan.jobs), plan.settings
    request, answered = first.request, sum(job.result is not None for job in plan.jobs)
    is_open_seed = plan.submission.requests[0].seed is None and first.result is None
    pictures = pluralize(sum(job.request.pictures_asked for job in plan.jobs), "picture")
    if count > 1:
        seeds = "each with its own seed" if is_open_seed else seeds_text([job.request.seed for job in plan.jobs])
        pictures += f" in {count} requests, {seeds}"
    # The first request as the service would get it, without the pictures' megabytes.
    empty = InputImage(name="", identity="", data=b"", mime="", width_px=0, height_px=0)
    dialect = dialect_for(settings.provider, settings.envelope)
    sent = request.model_copy(update={"images": (empty,) * len(request.images)})
    call = dialect.submit(sent, envelope=dialect.envelopes_for(request.model)[0])
    unknown = {"seed": "(chosen when it is sent)"} if is_open_seed else {}
    images = iter(request.images)

    def in_words(node: dict[str, Any]) -> dict[str, Any]:
        """Put words in the place of each picture, and of what is not known yet."""
        if "image" in node:
            node["image"] = f"<{next(images).name}>"
        return {**node, **unknown} if "watermark" in node else node

    shown = json.dumps(json.loads(json.dumps(call.body), object_hook=in_words), indent=2, ensure_ascii=False)
    pairs = [
        ("In the store", f"{answered} of {count} · $0.00" if answered else ""),
        ("Request", f"`{call.method} {dialect.base_url(settings.base_url)}{call.path}`"),
        ("How many", pictures),
        ("Expected size", format_expected_size(request)),
        ("At most", plan.cost_text),
        *(("Note", note) for note in plan.submission.notes[:20]),
    ]
    columns = [
        *(Column(), Column(title="Name", is_wide=True), Column(title="Size")),
        *(Column(title="Bytes", is_number=True), Column(title="SHA-256")),
    ]
    inputs = [_input_row(position, image) for position, image in enumerate(request.images, 1)]
    table = Table(
        title="◇ dry run",
        facts=["nothing was sent", request.mode.value],
        columns=_PAIR,
        rows=[pair for pair in pairs if pair[1]],
        parts=[Table(title="input pictures", columns=columns, rows=inputs)] if inputs else [],
        code=shown[:20_000] + "…" * (len(shown) > 20_000),
    )
    return table_bundle(table, "dry run")


def _input_row(number: int, image: InputImage | PendingImage) -> list[Cell | str]:
    if isinstance(image, PendingImage):
        return [f"image {number}", Cell(text=image.name, below="not here yet: a dry run fetches nothing"), "", "", ""]
    size = f"{image.width_px}×{image.height_px} px {image.mime.removeprefix('image/').upper()}"
    return [
        f"image {number}",
        Cell(text=image.name, below="; ".join(image.notes)),
        size,
        file_size(len(image.data)),
        f"`{image.sha256[:16]}`",
    ]
