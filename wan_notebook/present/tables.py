"""The ledger as tables: history, cost, where one stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from ..folders import LEDGER_NAME, known_folders
from ..jobs.outcome import cost_of_row, was_never_sent
from ..ledger import HistoryPage, HistoryQuery, JobRow, Ledger, Reserved, nothing_found, peek_open
from ..money import Cost, Total, format_amount
from ..session import Session
from ..session.caps import Caps
from ..session.home import Home
from ..store import Store
from ..views.looks import NEVER_SENT
from ..views.model import (
    CostRowView,
    CostSection,
    CostView,
    HistoryRowView,
    HistoryView,
    PictureView,
    StatusView,
)
from ..views.tables import THUMB_BYTES, THUMB_PX
from . import words
from .previews import Previews

SECTIONS = ("day", "notebook", "tag")


class Tables:
    """Makes the plain data of tables. ``base`` is the notebook's folder: links start there.

    ``home`` is None where nothing was made yet: the tables are empty then, and nothing is created for them.
    """

    def __init__(self, session: Session, home: Home | None, *, base: Path) -> None:
        self._session, self._home, self._base = session, home, base

    def history(self, query: HistoryQuery, *, everywhere: bool = False) -> HistoryView:
        """Return a page of the history, of this folder or of all the person's."""
        rows: list[tuple[float, HistoryRowView]] = []
        totals: list[Total] = []
        count = pictures = trashed = 0
        if self._home is None:
            nothing_found(query)  # raises for a wrong question
        for ledger, store in self._places(everywhere=everywhere):
            page: HistoryPage = ledger.history(query)
            rows += [(row.created_at, self._row(row, store)) for row in page.rows]
            totals.append(page.total)
            count, pictures = count + page.total_rows, pictures + page.pictures
            trashed += 0 if query.only_trashed else ledger.history(HistoryQuery(only_trashed=True, limit=1)).total_rows
        rows.sort(key=lambda pair: pair[0], reverse=query.descending)
        shown = tuple(view for _, view in rows[: query.limit])
        more = f"`%wan history --limit {min(count, query.limit * 5)}`" if count > len(shown) else ""
        return HistoryView(
            rows=shown,
            total_rows=count,
            total_pictures=pictures,
            total_text=str(sum(totals, Total())),
            filter_text=_filter_text(query),
            more_text=more,
            trash_text=_trash_text(trashed, query),
        )

    def cost(self, *, by: str | None = None, everywhere: bool = False) -> CostView:
        """Return the spend, cut as asked: by day, notebook and tag if nothing is said."""
        sections: dict[str, dict[str, CostRowView]] = {name: {} for name in ([by] if by else SECTIONS)}
        totals: list[Total] = []
        jobs = pictures = 0
        reserved: list[Reserved] = []
        for ledger, _ in self._places(everywhere=everywhere):
            spend = ledger.spend()
            totals.append(spend.total)
            jobs, pictures = jobs + spend.jobs, pictures + spend.pictures_saved
            reserved.append(spend.reserved)
            for name, found in sections.items():
                for row in ledger.cost_by(name):  # type: ignore[arg-type] # the grammar allows only its keys
                    view = _bar(row.key, row.total, row.jobs, row.pictures)
                    found[row.key] = _joined(found[row.key], view) if row.key in found else view
        return CostView(
            sections=tuple(
                CostSection(title=f"by {name}", rows=tuple(found.values())) for name, found in sections.items() if found
            ),
            total_text=str(sum(totals, Total())),
            jobs=jobs,
            pictures=pictures,
            reserved_text=_reserved_text(reserved),
            budget_lines=tuple(self._caps().lines()),
            notes=tuple(self._practice()),
        )

    def _practice(self) -> Iterator[str]:
        """Say what was made without a bill, so that an empty sum does not look like an empty folder."""
        spend = self._home.ledger.spend(simulated=True) if self._home else None
        if spend is not None and spend.jobs:
            count = spend.pictures_saved
            yield f"Besides, {count} practice picture{'' if count == 1 else 's'} by the simulator, which bills nothing."

    def status(self) -> StatusView:
        """Return in five lines where one stands, and what to type next."""
        settings = self._session.settings()
        provider = settings.provider
        summary = peek_open(settings.folder / LEDGER_NAME)
        made = self._home.ledger.history(HistoryQuery(limit=1)).pictures if self._home else 0
        spent = self._home.ledger.spend().total if self._home else Total()
        running = (
            f"{summary.sending + summary.running} running, {summary.unfetched} to fetch, {summary.in_doubt} in doubt"
        )
        first = "`%wan login` for real pictures" if provider.name == "simulator" else "`%wan history`"
        if summary and summary.in_doubt:
            first = "`%wan history --state in_doubt`, then `%wan resolve JOB`"
        elif summary:
            first = "`%wan resume` to fetch what is finished"
        folder = words.relative_link(settings.folder, self._base)
        return StatusView(
            lines=(
                ("service", f"{provider.name} ({provider.chosen_because})"),
                ("pictures", f"{made} in {folder}, {spent} spent"),
                ("jobs", running if summary else "none open"),
                ("budget", "; ".join(self._caps().lines())),
                ("next", f"{first} · `%wan make a fox in snow` · `%wan?` for everything"),
            ),
        )

    # ------------------------------------------------------------------------------------------------------------------

    def _row(self, row: JobRow, store: Store) -> HistoryRowView:
        shown, source = _cost_cells(cost_of_row(row))
        saved = [p for p in row.pictures if p.saved_at]
        return HistoryRowView(
            job_id=row.id,
            state=NEVER_SENT if was_never_sent(row) else row.state.value,
            when_text=words.when_text(row.created_at),
            prompt=row.prompt,
            mode=row.mode,
            size_text=f"{saved[0].width_px}×{saved[0].height_px}" if saved else row.size_tier,
            seed=row.seed,
            n=len(saved) if saved else row.n,
            duration_text=words.duration_text(row.duration_s),
            cost_text=shown,
            cost_source=source,
            picture=self._thumb(row, store),
            starred=row.starred,
            tags=row.tags,
            name=row.name,
            notebook=Path(row.notebook).name,
        )

    def _thumb(self, row: JobRow, store: Store) -> PictureView | None:
        record = next((p for p in row.pictures if p.saved_at), None)
        if record is None:
            return None
        path = store.folder / record.file
        return PictureView(
            job_id=row.id,
            index=record.idx,
            width_px=record.width_px or 0,
            height_px=record.height_px or 0,
            file=words.relative_link(path, self._base),
            full_path=str(path),
            previews=Previews(store).of_size(record, THUMB_PX, THUMB_BYTES),
            kind=record.kind,
        )

    @contextmanager
    def _opened(self, folder: Path) -> Iterator[Ledger]:
        ledger = Ledger.open(folder / LEDGER_NAME)
        try:
            yield ledger
        finally:
            ledger.close()

    def _places(self, *, everywhere: bool) -> Iterator[tuple[Ledger, Store]]:
        if self._home is not None:
            yield self._home.ledger, self._home.store
        for folder in known_folders() if everywhere else ():
            if folder != self._session.settings().folder:
                with self._opened(folder) as ledger:
                    yield ledger, Store(folder)

    def _caps(self) -> Caps:
        place = self._session.place()
        ledger = self._home.ledger if self._home else None
        return Caps(self._session.settings(), ledger, self._session.sources, place.notebook)


def _cost_cells(cost: Cost) -> tuple[str, str]:
    """Return an amount and where it comes from, apart: together they are too long for a column."""
    if not cost.note:
        return str(cost), cost.source.value
    return str(cost).removesuffix(f" ({cost.note})"), cost.note


def _reserved_text(found: Sequence[Reserved]) -> str:
    """Return what open jobs, those in doubt included, may still cost; currencies apart, nothing unknown as nothing."""
    sums: dict[str, Decimal] = {}
    for reserved in found:
        for currency, amount in reserved.amounts:
            sums[currency] = sums.get(currency, Decimal(0)) + amount
    parts = [format_amount(amount, currency) for currency, amount in sorted(sums.items()) if amount]
    if unknown := sum(reserved.unknown for reserved in found):
        parts.append(f"{unknown} unknown")
    return f"{' + '.join(parts)} reserved for running jobs" if parts else ""


def _bar(key: str, total: Total, jobs: int, pictures: int) -> CostRowView:
    currency = total.amounts[0][1] if total.amounts else "USD"
    return CostRowView(
        label=key or "(none)",
        amount=float(total.known(currency)),
        currency=currency,
        amount_text=str(total),
        jobs=jobs,
        pictures=pictures,
    )


def _joined(one: CostRowView, other: CostRowView) -> CostRowView:
    return CostRowView(
        label=one.label,
        amount=one.amount + other.amount,
        currency=one.currency,
        amount_text=f"{one.amount_text} + {other.amount_text}",
        jobs=one.jobs + other.jobs,
        pictures=one.pictures + other.pictures,
    )


def _trash_text(trashed: int, query: HistoryQuery) -> str:
    if query.only_trashed:
        return "`%wan trash JOB --undo` takes a job out; after 30 days pictures, inputs and prompt go"
    return f"{trashed} job{'' if trashed == 1 else 's'} in the trash: `%wan history --trash`" if trashed else ""


def _filter_text(query: HistoryQuery) -> str:
    parts = [
        f"“{query.words}”" if query.words else "",
        "in the trash" if query.only_trashed else "",
        "starred" if query.starred else "",
        "running" if query.running else "",
        f"since {words.when_text(query.since)}" if query.since is not None else "",
        *[f"tag {tag}" for tag in query.tags],
        f"notebook {Path(query.notebook).name}" if query.notebook else "",
        f"seed {query.seed}" if query.seed is not None else "",
        f"state {query.state}" if query.state else "",
    ]
    return ", ".join(part for part in parts if part)
