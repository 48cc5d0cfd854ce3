"""The same as Python: ``generate``, ``compare``, ``panel``. None of them needs IPython."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PIL import Image

from .errors import CellError, ImageInputError, JobError, Problem, RequestError
from .figure import CompareItem, Comparison, comparison_of, items_of, side_by_side
from .history import History, whole_number
from .images import load_image, saved
from .jobs import Job, Picture
from .kernel import current_shell
from .magics import show_jobs_in_cells
from .models import MODEL
from .replay import Submission
from .request import ImageRequest, build_requests
from .session import Session, default_session
from .validation import (
    mode_for,
    name_problems,
    refuse_unknown,
    shown_value,
    size_from_image,
    size_text,
    split_seeds,
    unknown_parameters,
)

if TYPE_CHECKING:
    from .resolver import Resolver


def generate(
    prompt: str,
    images: object = (),
    *,
    negative_prompt: str = "",
    size: str | tuple[int, int] | None = None,
    like: object = None,
    n: int = 1,
    max_images: int | None = None,
    interleave: bool = False,
    prompt_extend: bool | None = None,
    watermark: bool = False,
    seed: int | Iterable[int] | None = None,
    model: str = MODEL,
    name: str = "",
    tags: str | Sequence[str] = (),
    fresh: bool = False,
    provider: str | None = None,
    embed: bool | None = None,
    session: Session | None = None,
    **unknown: object,
) -> Job:
    """Order pictures and return their job at once.

    ``job.result()``, ``job.images`` and ``await job`` wait for it; ``asyncio.create_task`` takes a coroutine only, so
    wrap the job with ``asyncio.ensure_future(job)``. A request that was answered before is shown from the store and
    costs nothing.

    Parameters
    ----------
    prompt : str
        Description of the picture, or of the edit; at most 2000 characters.
    images : picture or sequence of pictures
        1 to 4 input pictures to edit: PIL images, arrays, bytes, paths, addresses, figures, jobs or pictures of jobs.
        Without any, the picture is made from text alone.
    negative_prompt : str
        Description of what to avoid; at most 500 characters.
    size : str or (int, int), optional
        ``1K`` or ``2K`` (edits), ``1280x720`` or ``(1280, 720)`` in pixels, or a ratio such as ``16:9``. By default
        the service decides: the shape of the last input, or 1280×1280.
    like : picture, optional
        A picture whose shape the result gets.
    n : int
        Number of pictures, 1 to 4 in edits; without inputs each is a task of its own with seeds s … s+n−1. Default 1.
    max_images : int, optional
        Most pictures in illustrated text, 1 to 5. Default 5.
    interleave : bool
        Make illustrated text: paragraphs and pictures in turn. Default False.
    prompt_extend : bool, optional
        Let the service rewrite the prompt (edits only). Default True.
    watermark : bool
        Let the service mark the picture as generated. Default False.
    seed : int or iterable of int, optional
        0 to 2147483647; several make one job each. Without a seed one is drawn, and stays in ``job.seed``.
    model : str
        Name of the model. Default ``wan2.6-image``.
    name : str
        A name for the history, as ``--as`` gives it.
    tags : str or sequence of str
        Tags for the history.
    fresh : bool
        Ask for a new picture, whatever the store has. Default False.
    provider : str, optional
        ``gateway``, ``dashscope`` or ``simulator`` for this call.
    embed : bool, optional
        Write metadata into the picture files. Default as configured: True.
    session : Session, optional
        The session to use; this process's own by default.
    **unknown
        Nothing: a misspelled parameter is refused, with the nearest name.

    Returns
    -------
    Job
        A handle of the pictures.

    Raises
    ------
    RequestError
        With every problem at once.
    BudgetError
        If the call could exceed a budget.
    ReplayError
        If nothing may be bought and the store has no answer.
    SettingsError, StoreError
        If a setting or the folder of pictures is wrong. In each case nothing was sent.

    Examples
    --------
    >>> fox = wan.generate("a fox in snow", size="16:9", seed=5)
    >>> night = wan.generate("make it night", images=[fox], n=2)
    >>> night.images[0]
    """
    given = dict(locals())
    session = session or default_session()
    resolver = _resolver(session)
    problems = unknown_parameters(generate, unknown)
    # "no" is true, and would buy a picture anew.
    flags = [flag for flag in ("fresh", "embed") if not isinstance(given[flag], bool | None)]
    problems += [Problem(flag, shown_value(given[flag]), "must be True or False.") for flag in flags]
    words: Any = (tags,) if isinstance(tags, str) or not isinstance(tags, Iterable) else tuple(tags)
    texts = [("name", name), ("provider", "" if provider is None else provider), *(("tags", tag) for tag in words)]
    problems += [
        Problem(field, shown_value(value), "must be text.") for field, value in texts if not isinstance(value, str)
    ]
    inputs, former_inputs, refused = resolver.inputs(images, "image")
    mode = mode_for(inputs, interleave=interleave is True)
    if like is not None:
        shapes, _, more = resolver.inputs(like, "like")
        if not more:
            shown = like if isinstance(like, str) else "like"
            size, more = size_from_image(shapes, shown=shown, size=size_text(size), mode=mode)
        problems += more
    problems += name_problems(name) if isinstance(given["name"], str) else []
    seeds = split_seeds(seed, n=n, mode=mode)
    fields = {name: given[name] for name in ImageRequest.model_fields if name != "seed"}
    fields |= {"images": inputs, "size": size}
    submission = Submission(
        requests=(),
        name=name,
        tags=words if not problems else (),
        fresh=fresh,
        provider=provider,
        embed=embed,
        notes=seeds.notes,
        cell=session.cell(),
    )
    try:
        submission = replace(submission, requests=build_requests(fields, seeds, [*problems, *refused]))
    except RequestError as error:
        if problems or not former_inputs:
            raise
        # The first edition took these pictures: what it made of them is shown, whatever is refused today.
        former = build_requests({**fields, "images": former_inputs}, seeds)
        submission = replace(submission, former=former, refusal=error)
    return session.submit(submission)


def _resolver(session: Session) -> "Resolver":
    shell = current_shell()
    return session.resolver(shell.user_ns if shell is not None else {})


# Side by side --------------------------------------------------------------------------------------------------------


def compare(
    *pictures: object,
    rows: str | None = None,
    columns: int | str | None = None,
    session: Session | None = None,
    **unknown: object,
) -> Comparison:
    """Put pictures side by side, or into a table by what they were made with.

    Side by side each has its label and the facts in which it differs from the others. In a table the rows and columns
    have heads, further differences stand as small labels, and what is missing says why.

    Parameters
    ----------
    *pictures
        Pictures of jobs, jobs for all of theirs (waits), a batch or a history, or anything that is an image: PIL
        images, arrays, paths, bytes, figures; also lists of these.
    rows : str, optional
        What the rows of a table are: a column of the batch, or ``seed``, ``size``, ``model``, ``prompt``,
        ``negative_prompt``, ``n``, ``image``, ``tag``, ``name`` or ``provider``. A table needs jobs.
    columns : str or int, optional
        The same for the columns; or, without a table, the number of pictures in a row: by default as many as fit.
    session : Session, optional
        The session to use; this process's own by default.
    **unknown
        Nothing: a misspelled parameter is refused, with the nearest name.

    Returns
    -------
    Comparison
        Shows itself; ``save`` writes it as PNG, PDF or HTML.

    Raises
    ------
    CellError
        If there is nothing to compare, an axis does not exist, or a parameter is misspelled.
    ImageInputError
        If something is not a picture.

    Examples
    --------
    >>> wan.compare(photo, fox[0], night[0])
    >>> wan.compare(variations, columns=4).save("variations.png")
    >>> wan.compare(jobs, rows="prompt", columns="seed").save("figure.pdf")
    """
    refuse_unknown(compare, unknown)
    if rows is not None or isinstance(columns, str):
        return _table(pictures, rows, columns)
    if not (flat := _flat(pictures)):
        raise CellError("compare needs pictures.", hint="Write for example wan.compare(a[0], b[2]).")
    columns = whole_number("columns", columns, 1)
    resolver = _resolver(session or default_session())
    labels = [resolver.label(value) or f"image {number}" for number, value in enumerate(flat, 1)]
    pairs = list(zip(labels, flat, strict=True))
    made = iter(items_of((label, value) for label, value in pairs if isinstance(value, Picture)))
    return side_by_side([next(made) if isinstance(v, Picture) else _other(v, label) for label, v in pairs], columns)


def _table(pictures: object, rows: str | None, columns: int | str | None) -> Comparison:
    """Return a table of jobs, once they are over."""
    if isinstance(columns, int):
        hint = "Leave rows out for so many pictures in a row."
        raise CellError(f"columns = {columns}: beside rows it is the name of an axis, such as 'seed'.", hint=hint)
    jobs = _parts(pictures)
    if odd := [value for value in jobs if not isinstance(value, Job | Picture)]:
        hint = f"Leave out rows and columns: {type(odd[0]).__name__} was not made by a job."
        raise CellError("Only jobs and their pictures have rows and columns.", hint=hint)
    for job in jobs:
        with suppress(JobError):  # what does not go on is missing, and says so
            (job.job if isinstance(job, Picture) else job).wait()
    return comparison_of(jobs, rows=rows, columns=columns)


def _parts(value: Any) -> list[Any]:
    """Return what lists, batches and histories hold, however deep, in their order."""
    is_several = isinstance(value, list | tuple | History) or hasattr(value, "jobs")
    return [each for part in value for each in _parts(part)] if is_several else [value]


def _flat(value: object) -> list[object]:
    """Return the pictures of jobs and lists, however deep, in their order."""
    return [each for part in _parts(value) for each in (part.pictures if isinstance(part, Job) else (part,))]


def _other(value: object, label: str) -> CompareItem:
    """Return a picture that no job made."""
    try:
        image = load_image(value, name=label)
        data, size = image.data, (image.width_px, image.height_px)
    except ImageInputError:  # too small to be sent is not too small to be looked at
        if not isinstance(value, Image.Image):
            raise
        data, size = saved(value.convert("RGBA"), "PNG"), value.size
    return CompareItem(label, data, size, (("size", f"{size[0]}×{size[1]}"),))


def panel(**options: Any) -> Any:
    """Return the panel: the same requests with the mouse.

    Parameters
    ----------
    **options
        What the form starts with: the parameters of ``generate``.

    Returns
    -------
    Panel
        A widget that shows itself.

    Examples
    --------
    >>> wan.panel(prompt="a fox in snow", size="16:9")
    """
    from .panel import Panel

    return Panel(default_session(), **options)


show_jobs_in_cells()
