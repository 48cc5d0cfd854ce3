"""The same as Python: ``generate``, ``history``, ``compare``, ``panel``. None of them needs IPython."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from . import host
from .errors import CellError, ImageInputError, Problem, RequestError
from .inputs import InputImage, PendingImage
from .jobs import Job, Picture
from .ledger import HistoryPage, HistoryQuery, JobRow
from .present import Presenter, Tables
from .request import ImageRequest
from .rules import Mode, size_like
from .session import Order, Session, default_session


def generate(
    prompt: str,
    images: object = (),
    *,
    negative_prompt: str = "",
    size: str | None = None,
    like: object = None,
    n: int = 1,
    max_images: int | None = None,
    interleave: bool = False,
    prompt_extend: bool | None = None,
    watermark: bool = False,
    seed: int | Sequence[int] | None = None,
    name: str = "",
    tags: Sequence[str] = (),
    fresh: bool = False,
    provider: str | None = None,
    embed: bool | None = None,
    session: Session | None = None,
) -> Job:
    """Order pictures and return their job at once; ``job.result()``, ``job.images`` or ``await job`` wait for it.

    ``images`` is one picture or several, of any kind: PIL, NumPy, bytes, a path, a URL, a figure, an earlier ``Job`` or
    one of its pictures; with pictures the mode is editing, without it is text to image (``n`` tasks of one picture,
    seeds s … s+n−1), with ``interleave`` illustrated text. ``size`` is ``1K``, ``2K``, ``1280x720`` in pixels or a
    ratio such as ``16:9``; ``like`` gives the result the shape of that picture. Several seeds make one job each.
    What was answered before comes from the store and costs nothing, unless ``fresh``. The rules are WAN_API §1.

    Raises ``RequestError`` with every problem at once, ``BudgetError``, ``ReplayError``, ``SettingsError`` or
    ``StoreError``; in each case nothing was sent.
    """
    session = session or default_session()
    inputs, problems = _inputs(session, images)
    seeds: list[Any] = list(seed) if isinstance(seed, list | tuple | range | set) else [seed]
    if like is not None:
        shape, more = _inputs(session, like, "like")
        problems += more
        mode = Mode.ILLUSTRATED if interleave else Mode.EDIT if inputs else Mode.TEXT_TO_IMAGE
        size = size_like(shape[0], size, mode) if shape and isinstance(shape[0], InputImage) else size
    fields: dict[str, Any] = {
        "prompt": prompt,
        "images": tuple(inputs),
        "negative_prompt": negative_prompt,
        "size": size,
        "n": n,
        "max_images": max_images,
        "interleave": interleave,
        "prompt_extend": prompt_extend,
        "watermark": watermark,
    }
    requests = _requests(fields, seeds, problems)
    order = Order(requests, name=name, tags=tuple(tags), fresh=fresh, provider=provider, embed=embed,
                  place=session.place())  # fmt: skip
    return session.submit(order)


def _inputs(
    session: Session, images: object, name: str = "image"
) -> tuple[list[InputImage | PendingImage], list[Problem]]:
    """Turn whatever was given into pictures, collecting what is wrong with any of them."""
    values = list(images) if isinstance(images, list | tuple) else [images]
    resolver = session.resolver({})
    found: list[InputImage | PendingImage] = []
    problems: list[Problem] = []
    for index, value in enumerate(values):
        label = value if isinstance(value, str) and len(value) < 200 else f"{name} {index + 1}"
        try:
            found += resolver.image(value, label)
        except ImageInputError as error:
            problems += error.problems
            found.append(PendingImage(name=label, job_id=""))  # keeps the count, and so the mode
    return found, problems


def _requests(fields: Mapping[str, Any], seeds: Sequence[Any], problems: list[Problem]) -> tuple[ImageRequest, ...]:
    requests: list[ImageRequest] = []
    for seed in seeds:
        try:
            requests.append(ImageRequest(**fields, seed=seed))
        except RequestError as error:
            problems += [p for p in error.problems if p not in problems]
    if not seeds:
        problems.append(Problem("seed", "[]", "is an empty list.", "Give at least one seed, or leave it out."))
    if problems:
        raise RequestError(problems)
    return tuple(requests)


@dataclass(frozen=True)
class History:
    """A part of the history; it shows itself as a table, and ``to_pandas`` gives it as data."""

    session: Session
    query: HistoryQuery
    everywhere: bool = False

    @cached_property
    def page(self) -> HistoryPage:
        """The rows of this page, with the totals of everything that matched."""
        return self.session.need_home().ledger.history(self.query)

    def __iter__(self) -> Iterator[JobRow]:
        return iter(self.page.rows)

    def __len__(self) -> int:
        return len(self.page.rows)

    def __getitem__(self, index: int) -> Job:
        return self.session.job_of_row(self.page.rows[index])

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one flat record a job; the columns are those of ``to_pandas``."""
        return [record_of(row) for row in self.page.rows]

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame, one row a job.

        Times are UTC, durations seconds, sizes pixels; ``cost_amount`` stays ``Decimal`` in ``cost_currency``, and is
        missing where nobody said. Raises ``CellError`` without the ``pandas`` extra.
        """
        try:
            import pandas as pd
        except ImportError as error:
            message = "pandas is not installed."
            raise CellError(message, remedy='Run `pip install "wan-notebook[pandas]"`.') from error
        frame = pd.DataFrame(self.to_dicts(), columns=list(COLUMNS))
        for column, kind in COLUMNS.items():
            if kind == "time":
                frame[column] = pd.to_datetime(frame[column], unit="s", utc=True)
            elif kind != "object":
                frame[column] = frame[column].astype(kind)
        return frame

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        from .views.tables import history_bundle

        tables = Tables(self.session, self.session.need_home(), base=host.notebook_folder())
        return history_bundle(tables.history(self.query, everywhere=self.everywhere))

    def __repr__(self) -> str:
        return f"<History: {len(self)} of {self.page.total_rows} jobs, {self.page.total}>"


COLUMNS: dict[str, str] = {
    "id": "string",
    "created_at": "time",
    "state": "string",
    "mode": "string",
    "prompt": "string",
    "negative_prompt": "string",
    "seed": "Int64",
    "n": "Int64",
    "pictures": "Int64",
    "missing": "Int64",
    "width_px": "Int64",
    "height_px": "Int64",
    "size": "string",
    "rewrite": "boolean",
    "model": "string",
    "provider": "string",
    "simulated": "boolean",
    "task_id": "string",
    "duration_s": "Float64",
    "cost_amount": "object",
    "cost_currency": "string",
    "cost_source": "string",
    "tags": "object",
    "name": "string",
    "notebook": "string",
    "user": "string",
    "starred": "boolean",
    "files": "object",
    "sha256": "object",
    "error_code": "string",
    "error_message": "string",
}
"""The columns of ``to_pandas`` with their types."""


def record_of(row: JobRow) -> dict[str, Any]:
    """Return one job as a flat record."""
    saved = [p for p in row.pictures if p.saved_at]
    cost = row.cost
    return {
        "id": row.id,
        "created_at": row.created_at,
        "state": row.state.value,
        "mode": row.mode,
        "prompt": row.prompt,
        "negative_prompt": row.negative_prompt,
        "seed": row.seed,
        "n": row.n,
        "pictures": len(saved),
        "missing": row.missing,
        "width_px": saved[0].width_px if saved else None,
        "height_px": saved[0].height_px if saved else None,
        "size": row.parameters.get("size"),
        "rewrite": row.parameters.get("prompt_extend"),
        "model": row.model,
        "provider": row.provider,
        "simulated": row.simulated,
        "task_id": row.task_id,
        "duration_s": row.duration_s,
        "cost_amount": cost.amount if cost.amount is None else Decimal(cost.amount),
        "cost_currency": cost.currency,
        "cost_source": cost.source.value,
        "tags": list(row.tags),
        "name": row.name,
        "notebook": row.notebook,
        "user": row.user,
        "starred": row.starred,
        "files": [p.file for p in saved],
        "sha256": [p.sha256 for p in saved],
        "error_code": row.error_code,
        "error_message": row.error_message,
    }


def history(
    words: str = "",
    *,
    state: str | None = None,
    running: bool = False,
    since: float | None = None,
    tag: str = "",
    notebook: str = "",
    seed: int | None = None,
    starred: bool = False,
    limit: int = 20,
    everywhere: bool = False,
    session: Session | None = None,
) -> History:
    """Return the newest jobs that match. ``since`` is in Unix seconds; ``limit`` counts rows."""
    query = HistoryQuery(
        words=words,
        state=state,
        running=running,
        since=since,
        tag=tag,
        notebook=notebook,
        seed=seed,
        starred=starred,
        limit=limit,
    )
    return History(session or default_session(), query, everywhere)


@dataclass(frozen=True)
class Comparison:
    """Pictures side by side; it shows itself."""

    items: tuple[Any, ...]

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        from .views.compare import compare_bundle

        return compare_bundle(self.items)


def compare(*pictures: Picture | Job, session: Session | None = None) -> Comparison:
    """Return a static, captioned side-by-side of pictures; a job stands for all of its pictures."""
    session = session or default_session()
    presenter = Presenter(session, session.need_home(), base=host.notebook_folder())
    flat = [p for item in pictures for p in (item.pictures if isinstance(item, Job) else (item,))]
    if not flat or not all(isinstance(p, Picture) for p in flat):
        message = "compare needs pictures of jobs."
        raise CellError(message, remedy="Write e.g. wan.compare(a[0], b[2]).")
    return Comparison(tuple(presenter.compare_item(picture, len(flat)) for picture in flat))


def panel(**options: Any) -> Any:
    """Return the panel: the same requests with the mouse."""
    from .views.panel import Panel

    return Panel(default_session(), **options)


__all__ = ["COLUMNS", "Comparison", "History", "compare", "generate", "history", "panel", "record_of"]
