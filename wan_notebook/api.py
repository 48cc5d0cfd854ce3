"""The same as Python: ``generate``, ``compare``, ``panel``. None of them needs IPython."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .errors import CellError, ImageInputError, Problem, RequestError, StoreError
from .export import write_file
from .history import whole_number
from .images import InputImage, PendingImage, load_image
from .jobs import Job, Picture, cost_of
from .kernel import current_shell
from .magics import show_jobs_in_cells
from .models import MODEL
from .replay import Submission
from .request import build_requests
from .session import Session, default_session
from .text import one_line
from .validation import (
    mode_for,
    name_problem,
    refuse_unknown,
    shown_value,
    size_from_image,
    size_text,
    split_seeds,
    unknown_parameters,
)

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

    from .display import CompareItem
    from .resolver import Resolver

_SHOWN_NAME_CHARS: Final = 200


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
    session = session or default_session()
    shell = current_shell()
    resolver = session.resolver(shell.user_ns if shell is not None else {})
    tags = _as_tags(tags)
    problems = [*unknown_parameters(generate, unknown), *_type_problems({"fresh": fresh, "embed": embed}, tags)]
    inputs, former_inputs, refused = _inputs(resolver, images, "image")
    mode = mode_for(inputs, interleave=interleave)
    if like is not None:
        shapes, _, more = _inputs(resolver, like, "like")
        problems += more
        if not more:
            shown = like if isinstance(like, str) else "like"
            size, more = size_from_image(shapes, shown=shown, size=size_text(size), mode=mode)
            problems += more
    if name and (problem := name_problem(name)):
        problems.append(problem)
    seeds = split_seeds(seed, n=n, mode=mode)
    fields: dict[str, Any] = {
        "prompt": prompt,
        "images": inputs,
        "negative_prompt": negative_prompt,
        "size": size,
        "n": n,
        "max_images": max_images,
        "interleave": interleave,
        "prompt_extend": prompt_extend,
        "watermark": watermark,
        "model": model,
    }
    submission = Submission(
        requests=(),
        name=name,
        tags=tags,
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


def _as_tags(given: object) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)


def _type_problems(flags: Mapping[str, object], tags: Iterable[object]) -> list[Problem]:
    """Refuse what is truthy by accident: ``fresh="no"`` would buy a picture anew."""
    problems = [
        Problem(name, shown_value(value), "must be True or False.")
        for name, value in flags.items()
        if not isinstance(value, bool | None)
    ]
    return problems + [Problem("tags", shown_value(tag), "must be text.") for tag in tags if not isinstance(tag, str)]


Inputs = tuple[InputImage | PendingImage, ...]


def _inputs(resolver: "Resolver", given: object, field: str) -> tuple[Inputs, Inputs, list[Problem]]:
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


def _label(resolver: "Resolver", value: object) -> str:
    """Return what a person calls a value: the file's name, its text, or the variable that holds it."""
    if isinstance(value, str | Path):
        text = str(value)
        name = text if "://" in text or text[:5] == "data:" else Path(text).name  # records hold no local folders
        return name if len(name) < _SHOWN_NAME_CHARS else ""
    name = resolver.variable_name(value)
    if isinstance(value, Picture):
        return name or f"{value.job.name or value.job.id}[{value.index}]"
    return name or (value.name or value.id if isinstance(value, Job) else "")


# Side by side --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """Pictures side by side; it shows itself, and ``save`` writes it as PNG, PDF or HTML."""

    items: "tuple[CompareItem, ...]"
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
            page = (
                f'<!doctype html>\n<meta charset="utf-8">\n<title>Comparison</title>\n{self._bundle()[0]["text/html"]}'
            )
            data = page.encode()
        elif kind in _FIGURE_FORMATS:
            buffer = io.BytesIO()
            self._figure().save(buffer, _FIGURE_FORMATS[kind])
            data = buffer.getvalue()
        else:
            raise StoreError(f"{Path(path).name}: unknown ending.", hint="Use .png, .jpg, .pdf or .html.")
        return write_file(path, data)

    def _bundle(self) -> "tuple[dict[str, Any], dict[str, Any]]":
        from .display import compare_bundle

        return compare_bundle(self.items, common=self.common, columns=self.columns)

    def _repr_mimebundle_(self, **_: Any) -> "tuple[dict[str, Any], dict[str, Any]]":
        return self._bundle()

    def _figure(self) -> "PillowImage":
        """Draw the pictures in a grid, each over its label and the facts that tell it from the others."""
        from PIL import Image, ImageDraw, ImageFont

        from .images import open_image

        columns = self.columns or min(len(self.items), 4)
        font = ImageFont.load_default(size=_FONT_PX)
        captions = [[item.label, *(f"{name} {value}" for name, value in item.facts)] for item in self.items]
        lines_max = max(len(caption) for caption in captions)
        cell_width, cell_height = _CELL_PX, _CELL_PX + (lines_max + 1) * _LINE_PX
        rows = -(-len(self.items) // columns)
        figure = Image.new("RGB", (columns * cell_width, rows * cell_height), "white")
        draw = ImageDraw.Draw(figure)
        for at, (item, caption) in enumerate(zip(self.items, captions, strict=True)):
            left, top = at % columns * cell_width, at // columns * cell_height
            picture = open_image(item.data).convert("RGB")
            picture.thumbnail((_CELL_PX - 2 * _MARGIN_PX, _CELL_PX - 2 * _MARGIN_PX))
            figure.paste(picture, (left + (cell_width - picture.width) // 2, top + _MARGIN_PX))
            for number, line in enumerate(caption):
                below = top + _MARGIN_PX * 2 + picture.height + number * _LINE_PX
                draw.text((left + _MARGIN_PX, below), one_line(line, _CAPTION_CHARS), fill="black", font=font)
        return figure


_FIGURE_FORMATS: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".pdf": "PDF"}
_CELL_PX: Final = 480
_MARGIN_PX: Final = 8
_FONT_PX: Final = 16
_LINE_PX: Final = 22
_CAPTION_CHARS: Final = 56


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
    flat = list(_flat(pictures))
    if not flat:
        raise CellError("compare needs pictures.", hint="Write for example wan.compare(a[0], b[2]).")
    columns = whole_number("columns", columns, 1)
    resolver = (session or default_session()).resolver(shell.user_ns if (shell := current_shell()) is not None else {})
    items = [_compare_item(value, number, resolver) for number, value in enumerate(flat, 1)]
    shared = set(items[0].facts).intersection(*(item.facts for item in items)) if len(items) > 1 else set()
    items = [item._replace(facts=tuple(fact for fact in item.facts if fact not in shared)) for item in items]
    return Comparison(tuple(items), tuple(sorted(shared)), columns)


def _flat(given: Iterable[object]) -> Iterator[object]:
    for value in given:
        if isinstance(value, Job):
            yield from value.pictures
        elif isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def _compare_item(value: object, number: int, resolver: "Resolver") -> "CompareItem":
    from .display import CompareItem

    if not isinstance(value, Picture):
        label = _label(resolver, value) or f"image {number}"
        data, mime, width_px, height_px = _looked_at(value, label)
        size = ("size", f"{width_px}×{height_px}")
        return CompareItem(label=label, data=data, mime=mime, width_px=width_px, height_px=height_px, facts=(size,))
    row, picture = value.tracked.row, value.row
    facts = {
        "input": ", ".join(given.name for given in row.inputs),
        "seed": str(row.seed),
        "size": f"{picture.width_px}×{picture.height_px}",
        "mode": row.mode,
        "prompt": row.prompt,
        "negative prompt": row.negative_prompt,
        "cost": str(cost_of(row)),
    }
    return CompareItem(
        label=_label(resolver, value),
        data=value.data,
        mime=picture.mime,
        width_px=picture.width_px or 0,
        height_px=picture.height_px or 0,
        facts=tuple((name, said) for name, said in facts.items() if said),
        job_id=row.id,
        sha256=picture.sha256,
    )


def _looked_at(value: object, label: str) -> tuple[bytes, str, int, int]:
    """Return any image as bytes with its size; too small to be sent is not too small to be looked at."""
    from PIL import Image

    try:
        image = load_image(value, name=label)
    except ImageInputError:
        if not isinstance(value, Image.Image):
            raise
        buffer = io.BytesIO()
        value.convert("RGBA").save(buffer, "PNG")
        return buffer.getvalue(), "image/png", *value.size
    return image.data, image.mime, image.width_px, image.height_px


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
