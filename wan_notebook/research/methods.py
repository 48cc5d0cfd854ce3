"""The methods paragraph of a paper: what made the pictures, in fixed words, from the record alone."""

import datetime as dt
import re
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..database import JobRow
from ..errors import RecipeError
from ..jobs import cost_of
from ..money import Source, Total, format_amount
from ..session import Session
from ..text import pluralize, ranges
from ..validation import Mode
from .notebook_file import read_notebook, select_jobs

_SERVICES: Final = {"gateway": "the Vtrix gateway", "dashscope": "Alibaba Cloud Model Studio (DashScope)"}
_SOFTWARE: Final = {"wan-notebook": "wan-notebook", "python": "Python", "pillow": "Pillow", "httpx": "httpx"}
_SEEDS_MAX: Final = 40
_SIZES_MAX: Final = 8
# strftime's names depend on the machine's language.
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_LATEX: Final = {char: f"\\{char}" for char in "{}$&#%_"} | {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "×": r"$\times$",
    "–": "--",
}


def methods_paragraph(
    session: Session,
    notebook: Path | None,
    *,
    tags: Sequence[str] = (),
    latex: bool = False,
    shown: Sequence[str] = (),
    cells_run: Collection[str] = (),
) -> str:
    """Return the paragraph about the pictures that a notebook shows, as Markdown or LaTeX.

    The same jobs give the same words. Parameters are those of `verify_notebook`, and ``tags`` to choose by.

    Raises
    ------
    CellError
        If there is no finished picture.
    """
    saved: list[str] = []
    with suppress(RecipeError):
        document = read_notebook(notebook).without(cells_run) if notebook else None
        saved = [item.job_id for item in document.named() if item.job_id] if document else []
    database = session.project().database
    rows, _ = select_jobs(database, [*saved, *shown], tags=tags, notebook=str(notebook or ""))
    return describe_methods(rows, latex=latex)


def describe_methods(rows: Sequence[JobRow], *, latex: bool = False) -> str:
    """Return the paragraph about these jobs."""
    escape, code = (_latex_text, _latex_code) if latex else (_markdown_text, _markdown_code)
    dash = "--" if latex else "–"
    real = [row for row in rows if not row.is_simulated]
    practice = [row for row in rows if row.is_simulated]
    edits = [row for row in rows if row.mode == Mode.EDIT]
    sizes = Counter(f"{p.width_px}×{p.height_px} px" for row in rows for p in row.pictures if p.saved_at and p.width_px)
    seeds = ranges(sorted({row.seed for row in rows if row.seed is not None}), dash)
    total = Total.of([cost_of(row) for row in real])
    costs = [
        f"{format_amount(amount, '').strip()} {escape(currency)} as "
        f"{'billed' if source is Source.REPORTED else 'estimated'}"
        for source, currency, amount in total.amounts
    ]
    if total.unknown:
        costs.append(f"an unknown amount for {pluralize(total.unknown, 'request')} whose price was not reported")
    versions = {
        name: sorted({str(row.versions[key]) for row in rows if row.versions.get(key)})
        for key, name in _SOFTWARE.items()
    }
    text = render(
        "methods.txt",
        rows=rows,
        real=real,
        practice=practice,
        pictures=pictures_of,
        models=listed([code(name) for name in sorted({row.model for row in real})]),
        services=listed([escape(_SERVICES.get(name, name)) for name in sorted({row.provider for row in real})]),
        when=lambda some: _days([row.created_at for row in some], dash),
        modes=[(mode, pictures_of([row for row in rows if row.mode == mode])) for mode in Mode],
        sizes=[(escape(size), count) for size, count in sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))],
        sizes_max=_SIZES_MAX,
        prompts=len({row.prompt for row in rows}),
        imported=sum(row.imported_at is not None for row in rows),
        negative=sum(bool(row.negative_prompt) for row in rows),
        inputs=len({record.sha256 for row in rows for record in row.inputs if not record.source_job}),
        watermarks=sum(bool(row.parameters.get("watermark")) for row in rows),
        edits=edits,
        rewritten=sum(row.rewrite is not False for row in edits),
        seeds=seeds[:_SEEDS_MAX],
        seeds_left=max(0, len(seeds) - _SEEDS_MAX),
        chosen=sum(row.request_hash != row.request_hash_with_seed for row in rows),
        costs=costs,
        software=[f"{name} {' and '.join(map(escape, found))}" for name, found in versions.items() if found],
    )
    return " ".join(text.split())


def pictures_of(rows: Sequence[JobRow]) -> int:
    """Return how many pictures jobs have."""
    return sum(row.picture_count for row in rows)


def render(name: str, **context: Any) -> str:
    """Return a text template filled in; nothing is escaped, the caller does what its format needs."""
    return _environment().get_template(f"{name}.j2").render(**context)


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701 - texts, no HTML
        loader=FileSystemLoader(Path(__file__).parent / "templates"), undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(listed=listed, pluralize=pluralize)
    return environment


def listed(parts: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)


def _days(times: Sequence[float], dash: str) -> str:
    """Return the days (UTC) that times span: ``on 24–26 November 2026``."""
    first, last = (dt.datetime.fromtimestamp(at, tz=dt.UTC).date() for at in (min(times), max(times)))
    begin, end = f"{first.day} {_MONTHS[first.month - 1]}", f"{last.day} {_MONTHS[last.month - 1]} {last.year}"
    if first == last:
        return f"on {end}"
    if (first.year, first.month) == (last.year, last.month):
        return f"on {first.day}{dash}{end}"
    return f"between {begin}{f' {first.year}' if first.year != last.year else ''} and {end}"


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text if char.isprintable())


def _latex_code(text: str) -> str:
    return rf"\texttt{{{_latex_text(text)}}}"


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]#|~$<>&])", r"\\\1", "".join(char for char in text if char.isprintable()))


def _markdown_code(text: str) -> str:
    return f"`{''.join(char for char in text if char.isprintable() and char != '`')}`"
