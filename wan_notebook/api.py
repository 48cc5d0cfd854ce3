"""The same as Python: ``generate``, ``compare``, ``panel``. None of them needs IPython."""

import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from PIL import Image

from .batch import Batch, BatchPlan, find_batch, plan_batch, start_batch
from .errors import CellError, ImageInputError, JobError, Problem, RequestError, require
from .figure import CompareItem, Comparison, comparison_of, side_by_side
from .history import History, whole_number
from .images import load_image, saved
from .jobs import Job, Picture
from .kernel import current_shell
from .magics import show_jobs_in_cells
from .models import MODEL
from .replay import Submission
from .request import ImageRequest, build_requests
from .resolver import Resolver
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
    sequential: bool = False,
    thinking: bool | None = None,
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
        Description of the picture, or of the edit; of Wan 2.6 Image at most 2000 characters.
    images : picture or sequence of pictures
        1 to 4 input pictures to edit (Wan 2.7: to 9): PIL images, arrays, bytes, paths, addresses, figures, jobs or
        pictures of jobs. Without any, the picture is made from text alone.
    negative_prompt : str
        Description of what to avoid; at most 500 characters. Wan 2.7 has none.
    size : str or (int, int), optional
        ``1K`` or ``2K`` (edits; Wan 2.7 always), ``1280x720`` or ``(1280, 720)`` in pixels, or a ratio such as
        ``16:9``. By default the service decides: the shape of the last input, or a square.
    like : picture, optional
        A picture whose shape the result gets.
    n : int
        Number of pictures, 1 to 4; without inputs each of Wan 2.6 Image's is a task of its own with seeds s … s+n−1,
        as many as you like. Default 1.
    max_images : int, optional
        Most pictures in illustrated text, 1 to 5. Default 5.
    interleave : bool
        Make illustrated text: paragraphs and pictures in turn. Default False.
    prompt_extend : bool, optional
        Let the service rewrite the prompt (edits, and ``wan2.6-t2i``). Default True.
    watermark : bool
        Let the service mark the picture as generated. Default False.
    seed : int or iterable of int, optional
        0 to 2147483647; several make one job each. Without a seed one is drawn, and stays in ``job.seed``.
    model : str
        ``wan2.6-image``, ``wan2.6-t2i``, ``wan2.7-image`` or ``wan2.7-image-pro``. Default ``wan2.6-image``.
    sequential : bool
        Make a set of pictures that belong together, at most ``n`` (2 to 12; Wan 2.7 only). Default False.
    thinking : bool, optional
        Let the model think before it draws (text to image by Wan 2.7). Default True.
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
    mode = mode_for(inputs, interleave=interleave is True, sequential=sequential is True)
    if like is not None:
        shapes, _, more = resolver.inputs(like, "like")
        if not more:
            shown = like if isinstance(like, str) else "like"
            size, more = size_from_image(shapes, shown=shown, size=size_text(size), mode=mode, model=str(model))
        problems += more
    problems += name_problems(name) if isinstance(given["name"], str) else []
    seeds = split_seeds(seed, n=n, mode=mode, model=str(model))
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
    job = session.submit(submission)
    for note in job.notes:
        if note not in seeds.notes:  # a list of jobs shows no cards; several may have been meant
            warnings.warn(note, stacklevel=2)
    return job


def map(
    rows: object,
    prompt: str | None = None,
    *,
    images: object = None,
    name: str = "",
    limit: int | None = None,
    dry_run: bool = False,
    fresh: bool = False,
    provider: str | None = None,
    embed: bool | None = None,
    raw: bool = False,
    session: Session | None = None,
    **parameters: object,
) -> Batch | BatchPlan:
    """Make pictures from every row of a table, and return their batch once all rows are checked.

    The same call again adds nothing: it shows what is there and runs what is missing. A batch is known by its notebook
    and name, without a name by its cell. Rows are sent in their order, as many at once as the account allows.

    Parameters
    ----------
    rows : table
        ``wan.grid(…)``, a list of dicts, a DataFrame of pandas or polars, an Arrow table, or the path of a CSV, JSON,
        JSONL or Parquet file. Columns that stand in the prompt's braces fill them; any other column with the name of
        a parameter (``prompt``, ``image``, ``seed``, ``size``, ``n``, ``negative_prompt``, ``model``, ``tags`` …) sets
        it for its row; the rest is kept with the pictures.
    prompt : str, optional
        A text whose ``{braces}`` are filled from the row, then from the notebook's variables. By default the column
        ``prompt``.
    images : picture, str or list, optional
        Input pictures for every row, or the names of the columns that hold them.
    name : str
        The name of the batch; ``wan.batch(name)`` finds it from any kernel.
    limit : int, optional
        Take the first so many rows only.
    dry_run : bool
        Return the plan (``BatchPlan``: tasks, price, time) and write and send nothing. Default False.
    fresh : bool
        Ask for new pictures, whatever the store has. Default False.
    provider : str, optional
        ``gateway``, ``dashscope`` or ``simulator`` for this call.
    embed : bool, optional
        Write metadata into the picture files. Default as configured: True.
    raw : bool
        Take the prompt as it stands, braces too. Default False.
    session : Session, optional
        The session to use; this process's own by default.
    **parameters
        Parameters of ``generate`` for all rows: ``size``, ``n``, ``negative_prompt``, ``model``, ``tags`` and so on.
        Several seeds (``seed=range(4)``) multiply the rows.

    Returns
    -------
    Batch
        A handle of all jobs; a ``BatchPlan`` with ``dry_run``.

    Raises
    ------
    RequestError
        With every problem of every row.
    BudgetError
        If the batch could exceed a budget; ``limit=`` makes it smaller.
    ReplayError
        If nothing may be bought and the store has no answer.
    SettingsError, StoreError
        If a setting or the folder of pictures is wrong. In each case nothing was written or sent.

    Examples
    --------
    >>> rows = wan.grid(animal=["fox", "owl"], style=["ink", "oil"], seed=[1, 2])
    >>> zoo = wan.map(rows, "A {animal} in {style}", size="1:1", name="zoo")
    >>> zoo.result().figure(rows="style", columns="animal").save("zoo.pdf")
    """
    given = dict(locals())
    session = session or default_session()
    problems: list[Problem] = []
    flags = [flag for flag in ("dry_run", "fresh", "embed", "raw") if not isinstance(given[flag], bool | None)]
    problems += [Problem(flag, shown_value(given[flag]), "must be True or False.") for flag in flags]
    texts = [("name", name), ("provider", "" if provider is None else provider)]
    problems += [Problem(field, shown_value(text), "must be text.") for field, text in texts if type(text) is not str]
    plan = plan_batch(
        session,
        rows,
        prompt,
        Submission((), name=name, fresh=fresh, provider=provider, embed=embed),
        images=images,
        limit=limit,
        resolver=_resolver(session, may_fetch=not dry_run),
        raw=raw,
        parameters=parameters,
        problems=problems,
    )
    for note in plan.submission.notes:
        warnings.warn(note, stacklevel=2)
    return plan if dry_run else start_batch(session, plan)


def batch(name: str, *, session: Session | None = None) -> Batch:
    """Return a batch by its name, from any kernel: this notebook's, else the newest of that name.

    Parameters
    ----------
    name : str
        The name that ``map`` gave it, or its id.
    session : Session, optional
        The session to use; this process's own by default.

    Raises
    ------
    StoreError
        If there is none; it names those that there are.

    Examples
    --------
    >>> wan.batch("zoo").wait()
    """
    require("name", name, str, "text, such as 'zoo'")
    return find_batch(session or default_session(), name)


def _resolver(session: Session, *, may_fetch: bool = True) -> "Resolver":
    shell = current_shell()
    return session.resolver(shell.user_ns if shell is not None else {}, may_fetch=may_fetch)


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
    parts = _parts(pictures)
    if rows is not None or isinstance(columns, str):
        if odd := [part for part in parts if not isinstance(part, Job | Picture)]:
            hint = f"Leave out rows and columns: {type(odd[0]).__name__} was not made by a job."
            raise CellError("Only jobs and their pictures have rows and columns.", hint=hint)
        for part in parts:
            with suppress(JobError):  # what does not go on is missing, and says so
                (part.job if isinstance(part, Picture) else part).wait()
        return comparison_of(parts, rows=rows, columns=columns)  # type: ignore[arg-type] # 3 is no axis, and told so
    flat = [each for part in parts for each in (part.pictures if isinstance(part, Job) else (part,))]
    if not flat:
        raise CellError("compare needs pictures.", hint="Write for example wan.compare(a[0], b[2]).")
    columns = whole_number("columns", columns, 1)
    resolver = _resolver(session or default_session())
    items = [_item(value, resolver.label(value) or f"image {number}") for number, value in enumerate(flat, 1)]
    return side_by_side(items, columns)


def _parts(value: Any) -> list[Any]:
    """Return what lists, batches and histories hold, however deep, in their order."""
    is_several = isinstance(value, list | tuple | History) or hasattr(value, "jobs")
    return [each for part in value for each in _parts(part)] if is_several else [value]


def _item(value: object, label: str) -> CompareItem:
    if isinstance(value, Picture):
        return CompareItem(label, picture=value)
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
