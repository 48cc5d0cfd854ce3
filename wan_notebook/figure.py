"""``Comparison``: pictures side by side, or as a table whose rows and columns are what they were made with.

It knows no display: how it looks in a cell comes through the hook of the jobs. Files of it are drawn here.
"""

import io
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from .database import SETTLED, JobRow, Status
from .errors import CellError, StoreError
from .images import BadImageError, open_image, plain_rgb
from .jobs import DISPLAY, Job, Picture, TrackedJob, cost_of, status_words
from .money import Source, format_amount
from .storage import write_file
from .text import did_you_mean, one_line, pluralize

Facts = tuple[tuple[str, str], ...]

_GAP_PX: Final = 8
_AREA_MAX_PX: Final = 40_000_000
"""Of all boxes of pictures of one drawing: about 120 MB while it is made."""
_SIDE_MAX_PX: Final = 65_000
"""JPEG ends at 65,535."""
_GREY: Final = "#6a6a6a"


class CompareItem(NamedTuple):
    """One picture of a comparison, with ``label`` and the facts in which it differs.

    It is a picture of a job or the bytes of any other; or it is ``missing``, which is the reason.
    """

    label: str
    data: bytes = b""
    size_px: tuple[int, int] = (0, 0)
    facts: Facts = ()
    picture: Picture | None = None
    missing: str = ""

    @property
    def caption(self) -> list[str]:
        """The label and the facts, a line each."""
        return [self.label, *(f"{name} {value}" for name, value in self.facts)]

    def image(self, side_px: int) -> Image.Image | None:
        """Return a copy of at most so many pixels a side; None if there is none, or none that can be read."""
        try:
            picture = None if self.missing else self.picture.image if self.picture else open_image(self.data)
        except (StoreError, BadImageError):
            return None
        if picture is not None:
            picture = plain_rgb(picture)[0]
            picture.thumbnail((side_px, side_px), reducing_gap=2.0)
        return picture


class Axis(NamedTuple):
    """The rows or the columns of a table: what they are called, their values, and a note on each (its price).

    Without a name it is the only row or column, and has no head.
    """

    name: str = ""
    values: tuple[str, ...] = ("",)
    notes: tuple[str, ...] = ("",)


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
    cells: tuple[tuple[tuple[int, ...], ...], ...] = ()

    @property
    def title(self) -> str:
        """What it is: ``style × animal``, or ``Compare``."""
        return " × ".join(axis.name for axis in self.axes or () if axis.name) or "Compare"

    def place(self, at: int) -> list[str]:
        """Return where an item of a table stands: ``["style ink", "animal fox"]``."""
        rows, columns = self.axes or (Axis(), Axis())
        for value, line in zip(rows.values, self.cells, strict=False):
            for other, cell in zip(columns.values, line, strict=True):
                if at in cell:
                    return [f"{name} {said}" for name, said in ((rows.name, value), (columns.name, other)) if name]
        return []

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
        rows, columns = self.axes
        per_line = min(max(len(cell) for line in self.cells for cell in line), 4 if columns.name else 6)
        down = sum(max(-(-len(cell) // per_line) for cell in line) for line in self.cells)
        side_px = _fitting(per_line * len(columns.values), down)
        shape = next((item.size_px for item in self.items if item.size_px[0]), (1, 1))

        def draw_line(line: Sequence[Sequence[int]]) -> list[Image.Image]:
            return [drawn([self.items[at] for at in cell], per_line, side_px, shape) for cell in line]

        with ThreadPoolExecutor(4) as pool:
            blocks = list(pool.map(draw_line, self.cells))
        return _with_heads(blocks, rows, columns, side_px)


# What differs --------------------------------------------------------------------------------------------------------


def side_by_side(items: Sequence[CompareItem], columns: int | None = None) -> Comparison:
    """Return a comparison in which what all pictures of jobs share is said once."""
    made = [item for item in items if item.picture]
    shared = set(made[0].facts).intersection(*(item.facts for item in made)) if len(made) > 1 else set()
    # A photo beside them has a size and nothing else.
    shared = {fact for fact in shared if fact[0] != "size" or all(fact in item.facts for item in items)}
    items = [item._replace(facts=tuple(fact for fact in item.facts if fact not in shared)) for item in items]
    usual = {fact for fact in shared if fact[0] == "model"}  # one that all share is news to nobody
    return Comparison(tuple(items), tuple(sorted(shared - usual)), columns)


def items_of(pictures: Iterable[tuple[str, Picture]]) -> list[CompareItem]:
    """Return pictures of jobs with all facts about them, given the label of each."""
    each = list(pictures)
    inputs = {(given.name, given.sha256) for _, picture in each for given in picture.tracked.row.inputs}
    names = Counter(name for name, _ in inputs)
    return [_item(label, picture, names) for label, picture in each]


def _item(label: str, picture: Picture, names: Counter[str]) -> CompareItem:
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
    return CompareItem(label, b"", (record.width_px or 0, record.height_px or 0), said, picture)


# Tables --------------------------------------------------------------------------------------------------------------

FACTS: Final[Mapping[str, Callable[[Job, JobRow], object]]] = {
    "model": lambda _, row: row.model,
    "prompt": lambda _, row: row.prompt,
    "negative_prompt": lambda _, row: row.negative_prompt,
    "image": lambda _, row: ", ".join(given.name for given in row.inputs),
    "size": lambda _, row: _size_of(row),
    "n": lambda job, _: job.request.n,
    "seed": lambda _, row: row.seed,
    "tag": lambda _, row: ", ".join(row.tags),
    "name": lambda job, row: job.name or row.name,
    "provider": lambda _, row: row.provider,
}
"""What can be an axis beside the columns of a batch."""


def _size_of(row: JobRow) -> str:
    """Return the size that was asked for, or else the one that came."""
    made = next((f"{picture.width_px}×{picture.height_px}" for picture in row.pictures if picture.width_px), "")
    return str(row.parameters.get("size") or made).replace("*", "×")


class _Shot(NamedTuple):
    """One task of a job, with those of its pictures that are meant."""

    job: Job
    tracked: TrackedJob
    pictures: Sequence[Picture]

    def value(self, axis: str) -> str:
        """Return its place on an axis; no axis is one place that all share."""
        known = FACTS[axis](self.job, self.tracked.row) if axis in FACTS else "" if axis else " "
        value = self.job.columns.get(axis, known)
        return "(none)" if value is None or value == "" else str(value)


def comparison_of(
    jobs: Sequence[Job | Picture], *, rows: str | None = None, columns: str | None = None, axes: Sequence[str] = ()
) -> Comparison:
    """Return jobs as a table, as far as they are done: what is missing says why. Waits for nothing.

    Parameters
    ----------
    jobs
        Jobs with all their pictures, or single pictures of jobs.
    rows, columns
        Each an axis: a column of their batch, or a fact of the jobs (see `FACTS`). Where neither is given the first
        two of ``axes`` that have several values are taken; without such it is no table.
    axes
        What the jobs were multiplied by; of pictures in one cell it comes first in their labels.

    Raises
    ------
    CellError
        If an axis does not exist, or there are no jobs.
    """
    shots = [shot for job in jobs for shot in _shots(job)]
    if not shots:
        raise CellError("There are no jobs to show.", hint="Give jobs, or pictures of jobs.")
    names = list(dict.fromkeys((*axes, *(name for shot in shots for name in shot.job.columns), *FACTS)))
    for parameter, axis in (("rows", rows), ("columns", columns)):
        if axis is not None and axis not in names:
            hint = f"{did_you_mean(str(axis), names)} There are: {', '.join(names)}.".lstrip()
            raise CellError(f"{parameter} = {one_line(repr(axis))}: there is no such axis.", hint=hint)
    if rows is not None and rows == columns:
        raise CellError(f"rows and columns are both {rows!r}.", hint="Leave one out, or name another axis.")
    if rows is None and columns is None:
        several = [axis for axis in axes if len({shot.value(axis) for shot in shots}) > 1]
        rows, columns = (several[0], several[1]) if len(several) > 1 else (None, several[0] if several else None)
    cells: dict[tuple[str, str], list[_Shot]] = {}
    for shot in shots:
        cells.setdefault((shot.value(rows or ""), shot.value(columns or "")), []).append(shot)
    lines, heads = (_axis(axis or "", shots) for axis in (rows, columns))
    told = _telling([name for name in names if name not in (rows, columns)], cells.values())
    # In the order of rows and columns, so that a person reads what a program reads.
    groups = [[cells.get((line, head), []) for head in heads.values] for line in lines.values]
    numbers, items = list[list[tuple[int, ...]]](), list[CompareItem]()
    absent = "not in this batch" if any(shot.job.columns for shot in shots) else "not asked for"
    for group in groups:
        numbers.append([])
        for cell in group:
            found = [item for shot in cell for item in _items(shot, told)] or [CompareItem("", missing=absent)]
            numbers[-1].append(tuple(range(len(items), len(items) + len(found))))
            items += found
    common = side_by_side(items_of(("", item.picture) for item in items if item.picture)).common
    named = {rows, columns} | ({"input"} if "image" in (rows, columns) else set())
    common = tuple(fact for fact in common if fact[0].replace(" ", "_") not in named)
    if rows is None and columns is None:
        return Comparison(tuple(items), common)
    return Comparison(tuple(items), common, axes=(lines, heads), cells=tuple(map(tuple, numbers)))


def _shots(job: Job | Picture) -> list[_Shot]:
    if isinstance(job, Picture):
        return [_Shot(job.job, job.tracked, (job,))]
    made = job.saved_pictures
    return [_Shot(job, task, [picture for picture in made if picture.tracked is task]) for task in job.tracked]


def _axis(name: str, shots: Sequence[_Shot]) -> Axis:
    values = dict.fromkeys(shot.value(name) for shot in shots)
    prices = {value: _price(shot for shot in shots if shot.value(name) == value) for value in values if name == "model"}
    return Axis(name, tuple(values), tuple(prices.get(value, "") for value in values))


def _price(shots: Iterable[_Shot]) -> str:
    """Return what a picture cost, as the jobs say it; empty where they do not, or not in one currency."""
    rows = {shot.tracked.id: shot.tracked.row for shot in shots if shot.pictures}.values()
    costs = [cost_of(row) for row in rows]
    amounts = [cost.amount for cost in costs if cost.amount is not None]
    kinds = {(cost.source, cost.currency) for cost in costs}
    if len(kinds) != 1 or len(amounts) < len(costs):
        return ""
    source, currency = kinds.pop()
    total, pictures = sum(amounts, Decimal(0)), sum(row.picture_count or 1 for row in rows)
    each = format_amount(round(total / pictures, 4), currency)
    if source is Source.SIMULATED:
        return "$0.00 simulated"
    return f"{'≈' if source is Source.ESTIMATED else ''}{each} a picture"


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
    label, count = " · ".join(f"{name} {shot.value(name)}" for name in told), len(shot.pictures)
    if not shot.pictures:
        return [CompareItem(label, missing=_reason(shot.tracked))]
    which = [f"{number} of {count}" if count > 1 else "" for number in range(1, count + 1)]
    labels = [" · ".join(filter(None, (label, one))) for one in which]
    sizes = [(picture.row.width_px or 0, picture.row.height_px or 0) for picture in shot.pictures]
    return [
        CompareItem(each, size_px=size, picture=picture)
        for each, size, picture in zip(labels, sizes, shot.pictures, strict=True)
    ]


def _reason(task: TrackedJob) -> str:
    """Return in a few words why a task has no picture."""
    row, words = task.row, status_words(task.row)
    if row.status not in SETTLED:
        unsent = "not sent" if task.stopped else "waiting"
        return unsent if row.status is Status.INTENT else words
    if row.status is Status.SAVED:
        return "deleted" if row.purged_at else "it came without a picture"
    said = row.error_message if row.status is not Status.CANCELLED else ""
    return f"{words}: {one_line(said, 160)}" if said else words


# Files ---------------------------------------------------------------------------------------------------------------


def save_pages(path: str | Path, pages: Callable[[str], Iterable[Image.Image]]) -> Path:
    """Write what is drawn for an ending: one picture for .png and .jpg, pages for .pdf. Raise ``StoreError``."""
    kind, buffer = Path(path).suffix.lower(), io.BytesIO()
    if kind not in (".png", ".jpg", ".jpeg", ".pdf"):
        raise StoreError(f"{Path(path).name}: unknown ending.", hint="Use .png, .jpg, .pdf or .html.")
    for number, page in enumerate(pages(kind)):  # one after the other: together they can be gigabytes
        more = {"append": number > 0, "resolution": 150} if kind == ".pdf" else {}
        page.save(buffer, "JPEG" if kind == ".jpg" else kind[1:].upper(), **more)
    return write_file(path, buffer.getvalue())


def drawn(
    items: Sequence[CompareItem],
    per_line: int,
    side_px: int = 480,
    shape: tuple[int, int] = (1, 1),
    title: str = "",
) -> Image.Image:
    """Draw pictures in lines, each over its caption; ``shape`` is that of the box where one is missing."""
    inner_px, font = side_px - 2 * _GAP_PX, _font(side_px // 28, *(item.caption for item in items))
    scale = inner_px / max(shape)
    box = Image.new("RGB", (math.ceil(shape[0] * scale), math.ceil(shape[1] * scale)), "#f0f0f0")
    if len(items) > 1:
        with ThreadPoolExecutor(4) as pool:
            pictures = list(pool.map(lambda item: item.image(inner_px), items))
    else:
        pictures = [item.image(inner_px) for item in items]
    texts = [[line for said in item.caption for line in _wrapped(said, font, inner_px, 3)] for item in items]
    cells = list(zip(items, pictures, texts, strict=True))
    lines = [cells[start : start + per_line] for start in range(0, len(cells), per_line)]
    heights = [
        max((picture or box).height + len(text) * _line_px(font) for _, picture, text in line) + 2 * _GAP_PX
        for line in lines
    ]
    top = 2 * _GAP_PX + _line_px(font) if title else _GAP_PX
    sheet = Image.new("RGB", (per_line * side_px, top - _GAP_PX + sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP_PX, _GAP_PX), title, fill=_GREY, font=font)
    for line, height in zip(lines, heights, strict=True):
        for at, (item, picture, text) in enumerate(line):
            left, shown = at * side_px + _GAP_PX, picture or box
            sheet.paste(shown, (left, top))
            if picture is None:
                why = _wrapped(item.missing or "its file is missing or damaged", font, inner_px - 2 * _GAP_PX, 4)
                draw.text((left + _GAP_PX, top + _GAP_PX), "\n".join(why), fill=_GREY, font=font)
            draw.text((left, top + shown.height + _GAP_PX // 2), "\n".join(text), fill="black", font=font)
        top += height
    return sheet


def _with_heads(blocks: Sequence[Sequence[Image.Image]], rows: Axis, columns: Axis, side_px: int) -> Image.Image:
    """Put drawn cells into a table under the heads of its columns and beside those of its rows."""
    width_px = blocks[0][0].width
    font, small = (_font(side_px // part, *rows, *columns) for part in (22, 28))
    line_px, gap_px = _line_px(font), 2 * _GAP_PX
    row_heads = [[rows.name], *([*_wrapped(value, font, 240, 6)] for value in rows.values)] if rows.name else [[""]]
    widest_px = max(font.getlength(line) for head in row_heads for line in head)
    widest_px = max([widest_px, *(small.getlength(note) for note in rows.notes)])
    left_px = math.ceil(widest_px) + 2 * gap_px if rows.name else 0
    column_heads = [_wrapped(value, font, width_px - gap_px, 4) for value in columns.values]
    noted = any(columns.notes)
    top_px = (max(map(len, column_heads)) + 1) * line_px + noted * _line_px(small) + gap_px if columns.name else 0
    top_px = max(top_px, line_px + gap_px if rows.name else 0)
    heights = [max(block.height for block in line) for line in blocks]
    size = (left_px + width_px * len(columns.values), top_px + sum(heights))
    if max(size) > _SIDE_MAX_PX:
        raise StoreError(f"The figure would be {size[0]}×{size[1]} px.", hint="Show fewer jobs in it.")
    figure = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(figure)
    middle_px = left_px + (size[0] - left_px) // 2
    draw.text((middle_px, _GAP_PX), columns.name, fill=_GREY, font=font, anchor="ma")
    draw.text((gap_px, top_px - line_px - _GAP_PX), rows.name, fill=_GREY, font=font)
    for at, (head, note) in enumerate(zip(column_heads, columns.notes, strict=True)):
        center_px = left_px + at * width_px + width_px // 2
        draw.multiline_text((center_px, _GAP_PX + line_px), "\n".join(head), "black", font, "ma", align="center")
        draw.text((center_px, _GAP_PX + (1 + len(head)) * line_px), note, fill=_GREY, font=small, anchor="ma")
    draw.line((0, top_px - 1, size[0], top_px - 1), fill="#b0b0b0")
    top = top_px
    for line, height, head, note in zip(blocks, heights, row_heads[1:] or [[""]], rows.notes, strict=True):
        draw.multiline_text((gap_px, top + _GAP_PX), "\n".join(head), "black", font)
        draw.text((gap_px, top + _GAP_PX + len(head) * line_px), note, fill=_GREY, font=small)
        for at, block in enumerate(line):
            figure.paste(block, (left_px + at * width_px, top))
        top += height
    return figure


def _fitting(across: int, down: int) -> int:
    """Return the side of a picture's box in px: as large as so many of them may be together."""
    return max(64, min(480, math.isqrt(_AREA_MAX_PX // (across * down))))


def _font(size_px: int, *texts: object) -> Any:
    """Return Pillow's own font; for texts that it has no letters for, one of the system's, if there is any."""
    size_px = max(11, size_px)
    if any(ord(char) > 0x2FF and char.isalpha() for char in "".join(map(str, texts))):
        for name in ("NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc", "DejaVuSans.ttf"):
            with suppress(OSError):
                return ImageFont.truetype(name, size_px)
    return ImageFont.load_default(size=size_px)


def _line_px(font: Any) -> int:
    return int(font.size * 1.35)


def _wrapped(text: str, font: Any, width_px: int, most: int) -> list[str]:
    """Break a text into lines of a width, between words where that goes; what is more than ``most`` lines is cut."""
    lines, rest = list[str](), one_line(text, 400)
    while rest and len(lines) < most:
        count = bisect_right(range(1, len(rest) + 1), width_px, key=lambda many: font.getlength(rest[:many])) or 1
        if count < len(rest) and (space := rest.rfind(" ", 1, count + 1)) > 0:
            count = space
        lines, rest = [*lines, rest[:count].rstrip()], rest[count:].lstrip()
    if rest:
        lines[-1] = f"{lines[-1][:-1].rstrip()}…"
    return lines
