"""The methods paragraph of a paper: what made the pictures, in fixed words, from the record alone."""

import datetime as dt
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import StrictUndefined, Template

from ..database import JobRow
from ..jobs import cost_of
from ..money import Source, Total, format_amount
from ..session import Session
from ..text import pluralize, ranges
from ..validation import Mode, limits_of
from .notebook_file import ids_of, read_notebook, select_jobs

_SERVICES: Final = {"gateway": "the Vtrix gateway", "dashscope": "Alibaba Cloud Model Studio (DashScope)"}
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
    CellError, StoreError
        If there is no finished picture, or the file is not a notebook.
    """
    named = read_notebook(notebook).without(cells_run).named() if notebook else []
    database = session.project().database
    rows, _ = select_jobs(database, [*ids_of(named, database), *shown], tags=tags, notebook=str(notebook or ""))
    escape = _latex if latex else _markdown
    real = [row for row in rows if not row.is_simulated]
    # Where the service rewrites prompts: in edits, of some models in others too.
    rewritable = [row for row in rows if "prompt_extend" in limits_of(row.model, row.mode).options]
    sizes = Counter(f"{p.width_px}×{p.height_px} px" for row in rows for p in row.pictures if p.saved_at and p.width_px)
    total = Total.of([cost_of(row) for row in real])
    costs = [
        f"{format_amount(amount, '').strip()} {escape(currency)} as "
        f"{'billed' if source is Source.REPORTED else 'estimated'}"
        for source, currency, amount in total.amounts
    ]
    costs += [f"an unknown amount for {pluralize(total.unknown, 'request')}"] * bool(total.unknown)
    versions = {
        name: sorted({str(row.versions.get(name, "")) for row in rows} - {""})
        for name in ("wan-notebook", "python", "pillow", "httpx")
    }
    text = render(
        "methods.txt",
        rows=rows,
        real=real,
        practice=[row for row in rows if row.is_simulated],
        models=[escape(name) for name in sorted({row.model for row in real})],
        services=[escape(_SERVICES.get(name, name)) for name in sorted({row.provider for row in real})],
        when=_days,
        modes=Counter(escape(row.mode) for row in rows for _ in range(row.picture_count)).most_common(),
        sizes=[f"{escape(size)} ({pluralize(count, 'picture')})" for size, count in sizes.most_common()],
        prompts=len({row.prompt for row in rows}),
        imported=sum(row.imported_at is not None for row in rows),
        negative=sum(bool(row.negative_prompt) for row in rows),
        inputs=len({record.sha256 for row in rows for record in row.inputs if not record.source_job}),
        watermarks=sum(bool(row.parameters.get("watermark")) for row in rows),
        rewritable=len(rewritable),
        rewritable_noun="editing request" if {row.mode for row in rewritable} == {Mode.EDIT} else "rewritable request",
        rewritten=sum(row.rewrite is not False for row in rewritable),
        seeds=ranges(sorted({row.seed for row in rows if row.seed is not None}), "--" if latex else "–"),
        chosen=sum(row.request_hash != row.request_hash_with_seed for row in rows),
        costs=costs,
        software=[f"{name} {' and '.join(map(escape, found))}" for name, found in versions.items() if found],
    )
    return " ".join(text.split())


def render(name: str, **context: Any) -> str:
    """Return a text template filled in; nothing is escaped, the caller does what its format needs."""
    source = (Path(__file__).parent / "templates" / f"{name}.j2").read_text("utf-8")
    template = Template(source, undefined=StrictUndefined, trim_blocks=True)
    return str(template.render(pluralize=pluralize, **context))


def _days(rows: Sequence[JobRow]) -> str:
    """Return the days (UTC) of jobs: ``on 2026-11-24``."""
    days = sorted({str(dt.datetime.fromtimestamp(row.created_at, tz=dt.UTC).date()) for row in rows})
    return f"on {days[0]}" if len(days) == 1 else f"between {days[0]} and {days[-1]}"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text if char.isprintable())


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]#|~$<>&])", r"\\\1", "".join(char for char in text if char.isprintable()))
