"""The same as Python: ``generate``, ``history``, ``compare``, ``panel``. None of them needs IPython."""

from __future__ import annotations

import datetime as dt
import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from . import catalog as c
from . import data_out, host
from .call_rules import call_mode, distinct_seeds, like_size, name_problem, sweep_problems
from .errors import CellError, ImageInputError, Problem, RequestError
from .folders import LEDGER_NAME, known_folders
from .inputs import InputImage, PendingImage
from .jobs import Job, Picture
from .ledger import HistoryPage, HistoryQuery, JobRow, Ledger, nothing_found
from .present import Presenter, Tables
from .request import ImageRequest
from .session import Order, Session, default_session
from .subcommands import read_since
from .text import count_of

SHOWN = 20


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
    seed: int | Iterable[int] | None = None,
    name: str = "",
    tags: str | Sequence[str] = (),
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
    seeds, hints = _seeds(seed)
    mode = call_mode(inputs, interleave=interleave)
    if like is not None:
        shape, more = _inputs(session, like, "like")
        problems += more
        if not more:
            size, more = like_size(shape, _label(like, ""), size, mode)
            problems += more
    problems += [*sweep_problems(seeds, n, mode), *_name_problems(name)]
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
    words = (tags,) if isinstance(tags, str) else tuple(tags)
    order = Order(requests, name=name, tags=words, fresh=fresh, provider=provider, embed=embed,
                  hints=tuple(hints), place=session.place())  # fmt: skip
    return session.submit(order)


def _seeds(given: object) -> tuple[list[Any], list[str]]:
    """Return the seeds of a call: one, or each of several once."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        return [given], []
    try:
        items = list(islice(given, c.TASKS_PER_CALL_MAX + 1))
    except TypeError:  # an array without a dimension
        return [given], []
    return distinct_seeds(map(_plain, items))


def _plain(seed: Any) -> Any:
    """Return NumPy's integers as Python's, so that equal ones are found; the request judges all others."""
    try:
        return seed if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        return seed


def _name_problems(name: str) -> list[Problem]:
    why, remedy = name_problem(name) if name else ("", "")
    return [Problem("name", repr(name), why, remedy)] if why else []


def _label(value: object, name: str) -> str:
    return value if isinstance(value, str) and len(value) < 200 else name


def _inputs(
    session: Session, images: object, name: str = "image"
) -> tuple[list[InputImage | PendingImage], list[Problem]]:
    """Turn whatever was given into pictures, collecting what is wrong with any of them."""
    values = list(images) if isinstance(images, list | tuple) else [images]
    resolver = session.resolver({})
    found: list[InputImage | PendingImage] = []
    problems: list[Problem] = []
    for index, value in enumerate(values):
        label = _label(value, f"{name} {index + 1}" if name == "image" else name)
        try:
            found += resolver.image(value, label)
        except ImageInputError as error:
            problems += [replace(problem, field=name) for problem in error.problems]
            found.append(PendingImage(name=label, job_id=""))  # keeps the count, and so the mode
    return found, problems


def _requests(fields: Mapping[str, Any], seeds: Sequence[Any], problems: list[Problem]) -> tuple[ImageRequest, ...]:
    requests: list[ImageRequest] = []
    for seed in seeds[: c.TASKS_PER_CALL_MAX]:
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
    """A part of the history; it shows itself as a table, and the ``to_…`` methods give it as data.

    The table, ``len`` and iteration are the newest ``query.limit`` jobs. The data are every job that matched, unless a
    limit was asked for (``is_limited``). Their columns, with units, are ``wan_notebook.data_out.COLUMNS``.
    """

    session: Session
    query: HistoryQuery
    everywhere: bool = False
    is_limited: bool = True

    @cached_property
    def page(self) -> HistoryPage:
        """The rows of this page, with the totals of everything that matched."""
        home = self.session.home(create=False)
        return home.ledger.history(self.query) if home else nothing_found(self.query)

    def __iter__(self) -> Iterator[JobRow]:
        return iter(self.page.rows)

    def __len__(self) -> int:
        return len(self.page.rows)

    def __getitem__(self, index: int) -> Job:
        return self.session.job_of_row(self.page.rows[index])

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield one flat record a job, newest first."""
        home, own_folder = self.session.home(create=False), self.session.settings().folder
        if home is not None:
            yield from data_out.matching(home.ledger, own_folder, self.query, is_limited=self.is_limited)
        for folder in known_folders() if self.everywhere else ():
            if folder != own_folder:
                with Ledger.open(folder / LEDGER_NAME) as ledger:
                    yield from data_out.matching(ledger, folder, self.query, is_limited=self.is_limited)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the records as a list: times in Unix seconds, money as ``Decimal``, None for what is missing."""
        return list(self.records())

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame, one row a job; times are UTC, ``cost_amount`` stays ``Decimal``.

        Raises ``CellError`` without the ``pandas`` extra.
        """
        return data_out.to_pandas(self.records())

    def to_parquet(self, path: str | Path) -> Path:
        """Write a Parquet file (money as ``decimal128``) and return its path. Raises ``CellError``, ``StoreError``."""
        return data_out.to_parquet(self.records(), path)

    def to_csv(self, path: str | Path) -> Path:
        """Write a CSV file in UTF-8 and return its path. Raises ``StoreError``."""
        return data_out.to_csv(self.records(), path)

    def to_jsonl(self, path: str | Path) -> Path:
        """Write JSON Lines, one job a line, and return the path. Raises ``StoreError``."""
        return data_out.to_jsonl(self.records(), path)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        from .views.tables import history_bundle

        tables = Tables(self.session, self.session.home(create=False), base=host.notebook_folder())
        return history_bundle(tables.history(self.query, everywhere=self.everywhere))

    def __repr__(self) -> str:
        return f"<History: {len(self)} of {count_of(self.page.total_rows, 'job')}, {self.page.total}>"


def history(
    words: str = "",
    *,
    state: str | None = None,
    running: bool = False,
    since: float | dt.date | str | None = None,
    until: float | dt.date | str | None = None,
    tag: str | Sequence[str] = "",
    notebook: str = "",
    seed: int | None = None,
    starred: bool = False,
    trash: bool = False,
    limit: int | None = None,
    everywhere: bool = False,
    session: Session | None = None,
) -> History:
    """Return the jobs that match, newest first.

    ``since`` (inclusive) and ``until`` (exclusive) are Unix seconds, a ``datetime``, or a ``date``, which is local
    midnight; or such a day or moment in ISO form, or ``"7d"`` for so long ago. ``trash`` is what lies in the trash
    instead. Of several tags in ``tag`` a job bears every one. ``limit`` counts jobs; without one the table shows the
    newest 20 and the data are all of them.
    """
    if limit is not None and limit < 1:
        raise CellError(f"limit = {limit}: must be 1 or more.", remedy="Leave it out for all of the data.")
    query = HistoryQuery(
        words=words,
        state=state,
        running=running,
        since=_seconds(since),
        until=_seconds(until),
        tag=tag if isinstance(tag, str) else tuple(tag),
        notebook=notebook,
        seed=seed,
        starred=starred,
        only_trashed=trash,
        limit=SHOWN if limit is None else limit,
    )
    return History(session or default_session(), query, everywhere, is_limited=limit is not None)


def _seconds(when: object) -> float | None:
    found = read_since(when.strip()) if isinstance(when, str) else when
    if isinstance(found, dt.timedelta):
        found = dt.datetime.now(tz=dt.UTC) - found
    if isinstance(found, dt.date) and not isinstance(found, dt.datetime):
        found = dt.datetime.combine(found, dt.time())
    if isinstance(found, dt.datetime):
        return found.timestamp()
    if (found is None and when is None) or (isinstance(found, int | float) and math.isfinite(found)):
        return found
    message = f"{repr(when)[:60]} is no time."
    raise CellError(message, remedy="Write '2026-11-24', a date or datetime, Unix seconds, or '7d' for so long ago.")


@dataclass(frozen=True)
class Comparison:
    """Pictures side by side; it shows itself."""

    items: tuple[Any, ...]

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        from .views.compare import compare_bundle

        return compare_bundle(self.items)


def compare(*pictures: Any, session: Session | None = None) -> Comparison:
    """Return a static, captioned side-by-side: pictures of jobs, jobs for all of theirs, or anything that is an image.

    An image is what ``-i`` takes: a PIL image, an array, a path, bytes, a figure.
    """
    session = session or default_session()
    presenter = Presenter(session, session.need_home(), base=host.notebook_folder())
    flat = [p for item in pictures for p in (item.pictures if isinstance(item, Job) else _each(item))]
    if not flat:
        message = "compare needs pictures."
        raise CellError(message, remedy="Write e.g. wan.compare(a[0], b[2]), or wan.compare(photo, a[0]).")
    items = [
        presenter.compare_item(p, len(flat)) if isinstance(p, Picture) else presenter.compare_image(p, at)
        for at, p in enumerate(flat)
    ]
    return Comparison(tuple(items))


def _each(item: object) -> Sequence[Any]:
    return item if isinstance(item, list | tuple) else (item,)


def panel(**options: Any) -> Any:
    """Return the panel: the same requests with the mouse."""
    from .panel import Panel

    return Panel(default_session(), **options)


__all__ = ["Comparison", "History", "compare", "generate", "history", "panel"]
