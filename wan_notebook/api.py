"""The same as Python: ``generate``, ``compare``, ``panel``. None of them needs IPython."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .display import CompareItem, compare_bundle
from .errors import CellError, ImageInputError, Problem, RequestError, StoreError
from .export import write_file
from .history import whole_number
from .images import InputImage, PendingImage, load_image, open_image, saved
from .jobs import Job, Picture, cost_of
from .kernel import current_shell
from .magics import show_jobs_in_cells
from .models import MODEL
from .replay import Submission
from .request import ImageRequest, build_requests
from .resolver import Resolver
from .session import Session, default_session
from .text import one_line, pluralize
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

Inputs = tuple[InputImage | PendingImage, ...]


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
    inputs, former_inputs, refused = _inputs(resolver, images, "image")
    mode = mode_for(inputs, interleave=interleave is True)
    if like is not None:
        shapes, _, more = _inputs(resolver, like, "like")
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
    job = session.submit(submission)
    for note in job.notes:
        if note not in seeds.notes:  # a list of jobs shows no cards; several may have been meant
            warnings.warn(note, stacklevel=2)
    return job


def _resolver(session: Session) -> Resolver:
    shell = current_shell()
    return session.resolver(shell.user_ns if shell is not None else {})


def _inputs(resolver: Resolver, given: object, field: str) -> tuple[Inputs, Inputs, list[Problem]]:
    """Return the pictures that a value is, the same as the first edition took them if some are refused, and why."""
    values = list(given) if isinstance(given, list | tuple) else [] if given is None else [given]
    found: list[InputImage | PendingImage] = []
    former: list[InputImage | PendingImage | None] = []
    problems: list[Problem] = []
    for number, value in enumerate(values, 1):
        label = _label(resolver, value) or (f"{field} {number}" if field == "image" else field)
        try:
            images = resolver.image(value, label)
            found += images
            former += images
        except ImageInputError as error:
            problems += [replace(problem, field=field) for problem in error.problems]
            found.append(PendingImage(name=label, job_id=""))  # keeps the count, and so the mode
            former.append(resolver.former_image(value, label))
    whole = tuple(image for image in former if image is not None)
    return tuple(found), whole if problems and len(whole) == len(former) else (), problems


def _label(resolver: Resolver, value: object) -> str:
    """Return what a person calls a value: the file's name, its text, or the variable that holds it."""
    if isinstance(value, str | Path):
        text = str(value)
        name = text if "://" in text or text[:5] == "data:" else Path(text).name  # records hold no local folders
        return name if len(name) < 200 else ""
    if name := resolver.variable_name(value):
        return name
    if isinstance(value, Picture):
        return f"{value.job.name or value.job.id}[{value.index}]"
    return value.name or value.id if isinstance(value, Job) else ""


# Side by side --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """Pictures side by side; it shows itself, and ``save`` writes it as PNG, PDF or HTML."""

    items: tuple[CompareItem, ...]
    common: tuple[tuple[str, str], ...] = ()
    columns: int | None = None

    def save(self, path: str | Path) -> Path:
        """Write the comparison; the ending says the format: .png, .jpg, .pdf or .html.

        Raises
        ------
        StoreError
            If the ending is not known or the place cannot be written.

        Examples
        --------
        >>> wan.compare(cat, fox, columns=2).save("figure.pdf")
        """
        kind = Path(path).suffix.lower()
        if kind == ".html":
            html = self._repr_mimebundle_()[0]["text/html"]
            page = f'<!doctype html>\n<meta charset="utf-8">\n<title>Comparison</title>\n{html}'
            return write_file(path, page.encode())
        if kind not in (".png", ".jpg", ".jpeg", ".pdf"):
            raise StoreError(f"{Path(path).name}: unknown ending.", hint="Use .png, .jpg, .pdf or .html.")
        return write_file(path, self._figure("JPEG" if kind == ".jpg" else kind[1:].upper()))

    def _repr_mimebundle_(self, **_: Any) -> "tuple[dict[str, Any], dict[str, Any]]":
        return compare_bundle(self.items, common=self.common, columns=self.columns)

    def _figure(self, format: str) -> bytes:
        """Draw the pictures in a grid, each over its label and the facts that tell it from the others."""
        cell_px, margin_px, line_px = 480, 8, 22
        columns = self.columns or min(len(self.items), 4)
        captions = [[item.label, *(f"{name} {value}" for name, value in item.facts)] for item in self.items]
        height_px = cell_px + (max(map(len, captions)) + 1) * line_px
        figure = Image.new("RGB", (columns * cell_px, -(-len(self.items) // columns) * height_px), "white")
        draw, font = ImageDraw.Draw(figure), ImageFont.load_default(size=16)
        for at, (item, caption) in enumerate(zip(self.items, captions, strict=True)):
            left, top = at % columns * cell_px + margin_px, at // columns * height_px + margin_px
            picture = open_image(item.data).convert("RGB")
            picture.thumbnail((cell_px - 2 * margin_px, cell_px - 2 * margin_px))
            figure.paste(picture, (left, top))
            text = "\n".join(one_line(line, 56) for line in caption)
            draw.text((left, top + picture.height + margin_px), text, fill="black", font=font)
        return saved(figure, format)


def compare(
    *pictures: object, columns: int | None = None, session: Session | None = None, **unknown: object
) -> Comparison:
    """Put pictures side by side, each with its label and the facts in which it differs from the others.

    Parameters
    ----------
    *pictures
        Pictures of jobs, jobs for all of theirs (waits), or anything that is an image: PIL images, arrays, paths,
        bytes, figures; also lists of these.
    columns : int, optional
        Pictures in a row; by default as many as fit.
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
        If there is nothing to compare, or a parameter is misspelled.
    ImageInputError
        If something is not a picture.

    Examples
    --------
    >>> wan.compare(photo, fox[0], night[0])
    >>> wan.compare(variations, columns=4).save("variations.png")
    """
    refuse_unknown(compare, unknown)
    if not (flat := _flat(pictures)):
        raise CellError("compare needs pictures.", hint="Write for example wan.compare(a[0], b[2]).")
    columns = whole_number("columns", columns, 1)
    resolver = _resolver(session or default_session())
    rows = [value.tracked.row for value in flat if isinstance(value, Picture)]
    names = Counter(name for name, _ in {(given.name, given.sha256) for row in rows for given in row.inputs})
    items = [_compare_item(value, number, resolver, names) for number, value in enumerate(flat, 1)]
    made = [item for item in items if item.job_id]
    shared = set(made[0].facts).intersection(*(item.facts for item in made)) if len(made) > 1 else set()
    # A photo beside them has a size and nothing else.
    shared = {fact for fact in shared if fact[0] != "size" or all(fact in item.facts for item in items)}
    items = [item._replace(facts=tuple(fact for fact in item.facts if fact not in shared)) for item in items]
    return Comparison(tuple(items), tuple(sorted(shared)), columns)


def _flat(value: object) -> list[object]:
    """Return the pictures of jobs and lists, however deep, in their order."""
    inner = value.pictures if isinstance(value, Job) else value
    return [each for part in inner for each in _flat(part)] if isinstance(inner, list | tuple) else [value]


def _compare_item(value: object, number: int, resolver: Resolver, names: Counter[str]) -> CompareItem:
    label = _label(resolver, value) or f"image {number}"
    if isinstance(value, Picture):
        row, picture = value.tracked.row, value.row
        facts = {
            # Two inputs of one name, as a loop makes them, are told apart by their hashes.
            "input": ", ".join(f"{i.name} ({i.sha256[:6]})" if names[i.name] > 1 else i.name for i in row.inputs),
            "seed": str(row.seed),
            "size": f"{picture.width_px}×{picture.height_px}" if picture.width_px else "",
            "mode": row.mode,
            "prompt": row.prompt,
            "negative prompt": row.negative_prompt,
            f"cost of {pluralize(row.picture_count, 'picture')}" if row.picture_count > 1 else "cost": str(
                cost_of(row)
            ),
            "record": "" if row.imported_at is None else "imported",
        }
        said = tuple((name, fact) for name, fact in facts.items() if fact)
        size = (picture.width_px or 0, picture.height_px or 0)
        return CompareItem(label, value.data, size, said, row.id, picture.sha256)
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
