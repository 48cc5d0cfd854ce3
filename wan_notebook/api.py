"""The same as Python: ``generate``, ``history``, ``compare``, ``panel``. None of them needs IPython."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from . import catalog as c
from . import host
from .call_rules import call_mode, distinct_seeds, like_size, name_problem, sweep_problems
from .errors import CellError, ImageInputError, Problem, RequestError
from .inputs import InputImage, PendingImage
from .jobs import Job, Picture
from .past import History, history
from .present import Presenter
from .request import ImageRequest
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
    why, hint = name_problem(name) if name else ("", "")
    return [Problem("name", repr(name), why, hint)] if why else []


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
        raise CellError(message, hint="Write e.g. wan.compare(a[0], b[2]), or wan.compare(photo, a[0]).")
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
