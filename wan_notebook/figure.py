"""``Comparison``: pictures side by side, or as a table whose rows and columns are what they were made with.

It knows no display: how it looks in a cell comes through the hook of the jobs. Files of it are drawn here.
"""

import io
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from itertools import accumulate, zip_longest
from math import isqrt
from pathlib import Path
from typing import Any, Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from .database import SETTLED, Status
from .errors import CellError, StoreError
from .images import BadImageError, open_image, plain_rgb
from .jobs import DISPLAY, Job, Picture, TrackedJob, cost_of, status_words
from .money import Cost
from .storage import write_file
from .text import did_you_mean, one_line, pluralize

Facts = tuple[tuple[str, str], ...]

_GAP_PX: Final = 8
_AREA_MAX_PX: Final = 30_000_000
"""Of the boxes of all pictures of one drawing, which takes about 300 MB while it is made."""
_SIDE_MAX_PX: Final = 65_000
"""JPEG ends at 65,535."""
_GREY: Final = "#6a6a6a"


class CompareItem(NamedTuple):
    """One picture of a comparison, with ``label`` and the facts in which it differs.

    It is a picture of a job or the bytes of any other; or it is ``missing``, which is the reason. In a table ``place``
    names its row and column.
    """

    label: str
    data: bytes = b""
    size_px: tuple[int, int] = (0, 0)
    facts: Facts = ()
    picture: Picture | None = None
    missing: str = ""
    place: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """The label and the facts, a line each."""
        return "\n".join(one_line(said, 400) for said in (self.label, *map(" ".join, self.facts)) if said)

    def image(self, side_px: int) -> Image.Image | None:
        """Return a copy of at most so many pixels a side; None if there is none, or none that can be read."""
        with suppress(StoreError, BadImageError):
            if not self.missing:
                picture = self.picture.image if self.picture else plain_rgb(open_image(self.data))[0]
                picture.thumbnail((side_px, side_px), reducing_gap=2.0)
                return picture
        return None


class Axis(NamedTuple):
    """The rows or the columns of a table: what they are called, their values, and a note on each (its price).

    Without a name it is the only row or column, and has no head.
    """

    name: str
    values: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Pictures side by side, or in a table; it shows itself, and ``save`` writes it as PNG, PDF or HTML.

    Attributes
    ----------
    items
        Every picture in its order, and what stands for one that is missing.
    common
        Facts that all share, as pairs of name and value.
    columns
        Pictures in a row, if it is no table.
    axes, cells
        The rows and columns of a table, and the numbers of the items in each cell, row by row.
    """

    items: tuple[CompareItem, ...]
    common: Facts = ()
    columns: int | None = None
    axes: tuple[Axis, Axis] | None = None
    cells: tuple[tuple[range, ...], ...] = ()

    @property
    def title(self) -> str:
        """What it is: ``style × animal``, or ``Compare``."""
        return " × ".join(axis.name for axis in self.axes or () if axis.name) or "Compare"

    @property
    def per_line(self) -> int:
        """How many pictures stand side by side in a cell of a table; lines are about equally long."""
        most, across = max(len(cell) for line in self.cells for cell in line), len(self.cells[0])
        lines = -(-most // (6 if across == 1 else max(1, min(3, 8 // across))))
        return -(-most // lines)

    def save(self, path: str | Path) -> Path:
        """Write the comparison; the ending says the format: .png, .jpg, .pdf or .html.

        Raises
        ------
        StoreError
            If the ending is not known, the place cannot be written, or the picture would be too large.

        Examples
        --------
        >>> wan.compare(cat, fox, columns=2).save("figure.pdf")
        """
        if Path(path).suffix.lower() == ".html":
            html = self._repr_mimebundle_()[0]["text/html"]
            page = f'<!doctype html>\n<meta charset="utf-8">\n<title>{escape(one_line(self.title))}</title>\n{html}'
            return write_file(path, page.encode("utf-8", "replace"))
        return save_pages(path, lambda _: [self._drawn()])

    def _repr_mimebundle_(self, **_: Any) -> Any:
        return DISPLAY["bundle"](self)

    def _drawn(self) -> Image.Image:
        if self.axes is None:
            return drawn(self.items, self.columns or min(len(self.items), 4))
        (rows, columns), per_line = self.axes, self.per_line
        down = sum(max(-(-len(cell) // per_line) for cell in line) for line in self.cells)
        side_px = max(64, min(480, isqrt(_AREA_MAX_PX // (per_line * len(columns.values) * down))))
        shape = next((item.size_px for item in self.items if item.size_px[0]), (1, 1))
        across_px = per_line * side_px * len(columns.values)
        text_px = max(9, min(side_px // 12, max(side_px // 28, across_px // 110)))  # on paper a wide one is smaller

        def heads(axis: Axis, width_px: int) -> list[Image.Image]:
            texts = (f"{one_line(value, 400)}\n{note}" for value, note in zip(*axis[1:], strict=True))
            return [written(text, text_px * 5 // 4, width_px) for text in texts]

        names = [written(name, text_px * 5 // 4, 14 * text_px, _GREY) for name in ("", columns.name, rows.name)]
        table = [names[:2], [names[2], *heads(columns, per_line * side_px)]]
        for head, line in zip(heads(rows, 14 * text_px), self.cells, strict=True):
            cells = [drawn([self.items[at] for at in cell], per_line, side_px, text_px, shape) for cell in line]
            table.append([head, *cells])
        return pasted(table)


# What differs --------------------------------------------------------------------------------------------------------


def side_by_side(items: Sequence[CompareItem], columns: int | None = None) -> Comparison:
    """Return a comparison in which pictures of jobs have their facts, and what all share is said once."""
    inputs = [given for item in items if item.picture for given in item.picture.tracked.row.inputs]
    names = Counter(name for name, _ in {(given.name, given.sha256) for given in inputs})
    items = [_with_facts(item, item.picture, names) if item.picture else item for item in items]
    made = [item for item in items if item.picture]
    shared = set(made[0].facts).intersection(*(item.facts for item in made)) if len(made) > 1 else set()
    # A photo beside them has a size and nothing else.
    shared = {fact for fact in shared if fact[0] != "size" or all(fact in i.facts or i.missing for i in items)}
    items = [item._replace(facts=tuple(fact for fact in item.facts if fact not in shared)) for item in items]
    # Which model it was is news only where there are several.
    return Comparison(tuple(items), tuple(sorted(fact for fact in shared if fact[0] != "model")), columns)


def _with_facts(item: CompareItem, picture: Picture, names: Counter[str]) -> CompareItem:
    row, record = picture.tracked.row, picture.row
    facts = {
        # Two inputs of one name, as a loop makes them, are told apart by their hashes.
        "input": ", ".join(f"{i.name} ({i.sha256[:6]})" if names[i.name] > 1 else i.name for i in row.inputs),
        "seed": str(row.seed),
        "size": f"{record.width_px}×{record.height_px}" if record.width_px else "",
        "model": row.model,
        "mode": row.mode,
        "prompt": row.prompt,
        "negative prompt": row.negative_prompt,
        f"cost of {pluralize(row.picture_count, 'picture')}" if row.picture_count > 1 else "cost": str(cost_of(row)),
        "record": "" if row.imported_at is None else "imported",
    }
    said = tuple((name, fact) for name, fact in facts.items() if fact)
    return item._replace(facts=said, size_px=(record.width_px or 0, record.height_px or 0))


# Tables --------------------------------------------------------------------------------------------------------------


class _Shot(NamedTuple):
    """One task of a job: its place on every axis, and those of its pictures that are meant."""

    values: Mapping[str, object]
    tracked: TrackedJob
    pictures: Sequence[Picture]

    def value(self, axis: str | None) -> str:
        """Return its place on an axis; no axis is one place that all share."""
        value = self.values.get(axis) if axis else " "
        return "(none)" if value in (None, "") else str(value)


def _shot(job: Job, task: TrackedJob, pictures: Sequence[Picture]) -> _Shot:
    row = task.row
    made = next((f"{picture.width_px}×{picture.height_px}" for picture in row.pictures if picture.width_px), "")
    facts = {
        **{name: getattr(row, name) for name in ("prompt", "model", "seed", "negative_prompt", "provider")},
        "size": str(row.parameters.get("size") or made).replace("*", "×"),
        "tag": ", ".join(row.tags),
        "image": ", ".join(i.name for i in row.inputs),
        "n": job.request.n,
        "name": job.name or row.name,
    }
    return _Shot(
        {**job.columns, **facts, **job.columns}, task, [picture for picture in pictures if picture.tracked is task]
    )


def comparison_of(
    jobs: Sequence[Job | Picture], *, rows: str | None = None, columns: str | None = None, axes: Sequence[str] = ()
) -> Comparison:
    """Return jobs as a table, as far as they are done: what is missing says why. Waits for nothing.

    Parameters
    ----------
    jobs
        Jobs with all their pictures, or single pictures of jobs.
    rows, columns
        Each an axis: a column of their batch, or a fact of the jobs: ``prompt``, ``model``, ``seed``, ``provider``,
        ``negative_prompt``, ``size``, ``tag``, ``image``, ``n`` or ``name``. Where neither is given the first
        two of ``axes`` that have several values are taken; without such it is no table.
    axes
        What the jobs were multiplied by; of pictures in one cell it comes first in their labels.

    Raises
    ------
    CellError
        If an axis does not exist, or there are no jobs.
    """
    shots = [
        *(_shot(job, task, job.saved_pictures) for job in jobs if isinstance(job, Job) for task in job.tracked),
        *(_shot(one.job, one.tracked, [one]) for one in jobs if isinstance(one, Picture)),
    ]
    if not shots:
        raise CellError("There are no jobs to show.", hint="Give jobs, or pictures of jobs.")
    names = list(dict.fromkeys((*axes, *(name for shot in shots for name in shot.values))))
    for parameter, axis in (("rows", rows), ("columns", columns)):
        if axis is not None and axis not in names:
            hint = f"{did_you_mean(str(axis), names)} There are: {', '.join(names)}.".lstrip()
            raise CellError(f"{parameter} = {one_line(repr(axis))}: there is no such axis.", hint=hint)
    if rows is None and columns is None:
        several = [axis for axis in axes if len({shot.value(axis) for shot in shots}) > 1]
        rows, columns = (*several[:2],) if len(several) > 1 else (None, next(iter(several), None))
    placed: dict[tuple[str, str], list[_Shot]] = {}
    for shot in shots:
        placed.setdefault((shot.value(rows), shot.value(columns)), []).append(shot)
    told = _telling([name for name in names if name not in (rows, columns)], placed.values())
    lines, heads = _axis(rows or "", shots), _axis(columns or "", shots)
    has_batch = any((job if isinstance(job, Job) else job.job).columns for job in jobs)
    absent = CompareItem("", missing="not in this batch" if has_batch else "not asked for")
    items, cells = list[CompareItem](), list[list[range]]()
    for line in lines.values:
        cells.append([])
        for head in heads.values:
            found = [item for shot in placed.get((line, head), ()) for item in _items(shot, told)] or [absent]
            place = tuple(f"{name} {value}" for name, value in ((rows, line), (columns, head)) if name)
            cells[-1].append(range(len(items), len(items) + len(found)))
            items += [item._replace(place=place) for item in found]
    plain = side_by_side(items)
    common = tuple(fact for fact in plain.common if fact[0] not in (rows, columns))
    items = [item._replace(facts=()) for item in plain.items]
    table = (lines, heads) if rows or columns else None
    return Comparison(tuple(items), common, axes=table, cells=tuple(map(tuple, cells)))


def _axis(name: str, shots: Sequence[_Shot]) -> Axis:
    """Return an axis with its values as first met; models have their prices, as far as the jobs say them."""
    prices: dict[str, list[str]] = {shot.value(name): [] for shot in shots}
    for shot in shots:
        cost, count = cost_of(shot.tracked.row), shot.tracked.row.picture_count
        if name == "model" and count and cost.amount is not None:
            each = Cost(round(cost.amount / count, 4), cost.currency, cost.source)
            prices[shot.value(name)].append(f"{each} a picture")
    return Axis(name, tuple(prices), tuple(" or ".join(dict.fromkeys(said)) for said in prices.values()))


def _telling(names: Sequence[str], cells: Iterable[Sequence[_Shot]]) -> list[str]:
    """Return the first axes that tell apart what stands in one cell; what follows from others is not said again."""
    told, placed = list[str](), [(number, shot) for number, cell in enumerate(cells) for shot in cell]
    keys: list[tuple[object, ...]] = [(number,) for number, _ in placed]
    for name in names:
        longer = [(*key, shot.value(name)) for key, (_, shot) in zip(keys, placed, strict=True)]
        if len(set(longer)) > len(set(keys)):
            told, keys = [*told, name], longer
    return told


def _items(shot: _Shot, told: Sequence[str]) -> list[CompareItem]:
    """Return the pictures of a task with their labels, or why there are none."""
    label, count = [f"{name} {shot.value(name)}" for name in told], len(shot.pictures)
    if not count:
        return [CompareItem(" · ".join(label), missing=_reason(shot.tracked))]
    which = [[f"{number} of {count}"] if count > 1 else [] for number in range(1, count + 1)]
    pairs = zip(which, shot.pictures, strict=True)
    return [CompareItem(" · ".join([*label, *number]), picture=picture) for number, picture in pairs]


def _reason(task: TrackedJob) -> str:
    """Return in a few words why a task has no picture."""
    row, words = task.row, status_words(task.row)
    if row.status is Status.INTENT:
        return "not sent" if task.stopped else "waiting"
    if row.status is Status.SAVED:
        return "deleted" if row.purged_at else "it came without a picture"
    is_told = row.status in SETTLED and row.status is not Status.CANCELLED and row.error_message
    return f"{words}: {one_line(row.error_message, 160)}" if is_told else words


# Files ---------------------------------------------------------------------------------------------------------------


def save_pages(path: str | Path, pages: Callable[[str], Iterable[Image.Image]]) -> Path:
    """Write what is drawn for an ending: one picture for .png and .jpg, pages for .pdf. Raise ``StoreError``."""
    kind, buffer = Path(path).suffix.lower(), io.BytesIO()
    if kind not in (".png", ".jpg", ".jpeg", ".pdf"):
        raise StoreError(f"{Path(path).name}: unknown ending.", hint="Use .png, .jpg or .pdf; a figure also .html.")
    for number, page in enumerate(pages(kind)):  # one after the other: together they can be gigabytes
        more = {"append": number > 0, "resolution": 150} if kind == ".pdf" else {}
        page.save(buffer, "JPEG" if kind == ".jpg" else kind[1:].upper(), **more)
    return write_file(path, buffer.getvalue())


def drawn(
    items: Sequence[CompareItem], per_line: int, side_px: int = 480, text_px: int = 17, shape: tuple[int, int] = (1, 1)
) -> Image.Image:
    """Draw pictures in lines, each over its caption; ``shape`` is that of the box where one is missing."""
    inner_px = side_px - 2 * _GAP_PX

    def block(item: CompareItem) -> Image.Image:
        if (picture := item.image(inner_px)) is None:
            picture = Image.new("RGB", [max(1, side * inner_px // max(shape)) for side in shape], "#f0f0f0")
            why = item.missing or "its file is missing or damaged"
            picture.paste(written(why, text_px, inner_px, _GREY, "#f0f0f0"))
        framed = Image.new("RGB", (side_px, picture.height + _GAP_PX), "white")
        framed.paste(picture, (_GAP_PX, _GAP_PX))
        return pasted([[framed], [written(item.caption, text_px, side_px)]])

    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(block, items))
    return pasted([blocks[at : at + per_line] for at in range(0, len(blocks), per_line)])


def written(text: str, text_px: int, width_px: int, colour: str = "black", ground: str = "white") -> Image.Image:
    """Draw lines of text as wide as they are, at most ``width_px``: long ones are broken, and cut in the end."""
    font = _font(text_px, text)
    lines = [part for line in text.splitlines() for part in _wrapped(line, font, width_px - 2 * _GAP_PX)]
    wide_px = max([0, *map(font.getlength, lines)])
    block = Image.new("RGB", (int(wide_px) + 2 * _GAP_PX, len(lines) * text_px * 4 // 3 + _GAP_PX), ground)
    ImageDraw.Draw(block).text((_GAP_PX, _GAP_PX // 2), "\n".join(lines), fill=colour, font=font)
    return block


def pasted(table: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Put pictures into rows and columns, each as large as its largest. Raise ``StoreError`` if it is too large."""
    widths = [max(block.width for block in column if block) for column in zip_longest(*table)]
    heights = [max(block.height for block in line) for line in table]
    if max(sum(widths), sum(heights)) > _SIDE_MAX_PX:
        message = f"The picture would be {sum(widths)}×{sum(heights)} px."
        raise StoreError(message, hint=f"{_SIDE_MAX_PX} px a side are allowed: show fewer jobs in it.")
    sheet = Image.new("RGB", (sum(widths), sum(heights)), "white")
    for line, top in zip(table, accumulate(heights, initial=0), strict=False):
        for block, left in zip(line, accumulate(widths, initial=0), strict=False):
            sheet.paste(block, (left, top))
    return sheet


def _font(size_px: int, text: str) -> Any:
    """Return Pillow's own font; for a text that it has no letters for, one of the system's, if there is any."""
    if any(ord(char) > 0x2FF and char.isalpha() for char in text):
        for name in ("NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc", "DejaVuSans.ttf"):
            with suppress(OSError):
                return ImageFont.truetype(name, size_px)
    return ImageFont.load_default(size=size_px)


def _wrapped(line: str, font: Any, width_px: int) -> list[str]:
    """Break a line into at most four of a width; the rest is cut."""
    for chars in range(int(1.2 * len(line) * width_px / (font.getlength(line) or 1)), 1, -1):
        lines = textwrap.wrap(line, chars, max_lines=4, placeholder="…")
        if all(font.getlength(part) <= width_px for part in lines):
            return lines
    return [line[:1]]
