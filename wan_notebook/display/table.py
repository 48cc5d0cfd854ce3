"""``Table``: rows and columns that render to HTML and to text, so that every command has one look."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..text import safe_text
from .formatting import STYLES, Tone, join_facts, safe_line, terminal_width
from .html import block_bar, plain_text, render

Bundle = tuple[dict[str, str], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's head and how its cells stand; ``is_wide`` takes the width that the others leave, and alone wraps.

    ``is_whole`` cells are never cut in text: who cannot read a hint to its end cannot follow it.
    """

    title: str = ""
    is_number: bool = False
    is_wide: bool = False
    is_whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell. In ``text`` and ``below`` a piece between backticks is shown as code.

    ``status`` shows a status with its icon, ``bar`` a share from 0 to 1, ``thumb`` (a data URL with its size in CSS px)
    a picture that links to ``path``.
    """

    text: str = ""
    below: str = ""
    status: str = ""
    tone: str = ""
    bar: float | None = None
    thumb: tuple[str, int, int] | None = None
    path: str = ""

    def as_text(self, max_chars: int) -> list[str]:
        """Return the cell's two text columns: what stands in it, and what stands below that."""
        said = block_bar(self.bar, 20) if self.bar is not None else "" if self.thumb else self.text
        if self.status:
            said = f"{STYLES[self.status].icon} {STYLES[self.status].word}"
        return [safe_line(plain_text(text), max_chars) for text in (said, self.below)]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A titled table, with lines above it, parts (tables of their own) and notes below it.

    Parameters
    ----------
    title, facts
        The head: a name, and short facts beside it.
    columns, rows
        The body; a row is a sequence of `Cell` or text. Columns that are empty in every row are left out.
    lines, notes
        Lines above the body and muted ones below it; pieces between backticks are commands.
    parts
        Further tables under headings of their own.
    code
        Preformatted text at the end.
    tone
        The colour of the frame's edge.
    """

    title: str = ""
    facts: Sequence[str] = ()
    columns: Sequence[Column] = ()
    rows: Sequence[Sequence[Cell | str]] = ()
    lines: Sequence[str] = ()
    notes: Sequence[str] = ()
    parts: Sequence["Table"] = ()
    code: str = ""
    tone: str = Tone.GREY

    @property
    def cells(self) -> list[list[Cell]]:
        """The rows with every text as a cell."""
        return [[cell if isinstance(cell, Cell) else Cell(text=cell) for cell in row] for row in self.rows]

    @property
    def kept_columns(self) -> list[int]:
        """The positions of the columns in which any cell says something."""
        return [at for at in range(len(self.columns)) if any(row[at] != Cell() for row in self.cells)]

    @property
    def has_head(self) -> bool:
        return any(column.title for column in self.columns)

    def to_html(self) -> str:
        """Return the table as HTML that needs no style to be read."""
        return render("table", table=self)

    def to_text(self) -> str:
        """Return the table as aligned text."""
        return safe_text("\n".join(self.text_lines()))

    def text_lines(self) -> list[str]:
        """Return the lines of the text, of which the last one may have several."""
        head, kept = join_facts([self.title, *self.facts]), self.kept_columns
        # A list of names and values is read whole, too.
        most = {at: 60 if self.has_head and not self.columns[at].is_whole else 400 for at in kept}
        cells = [[text for at in kept for text in row[at].as_text(most[at])] for row in self.cells]
        if self.has_head and cells:  # the second text of a column has no head of its own
            cells.insert(0, [text for at in kept for text in (self.columns[at].title, "")])
        widths = [max(map(terminal_width, column)) for column in zip(*cells, strict=True)]

        def aligned(text: str, at: int) -> str:
            """Pad a text by its width in a terminal, numbers to the right."""
            padding = " " * (widths[at] - terminal_width(text))
            return padding + text if self.columns[kept[at // 2]].is_number and not at % 2 else text + padding

        lines = ["  ".join(aligned(text, at) for at, text in enumerate(row) if widths[at]) for row in cells]
        return [
            *(safe_line(plain_text(line), 400) for line in ([head] if head else []) + [*self.lines]),
            *(f"{'  ' if head else ''}{line}".rstrip() for line in lines),
            *(line for part in self.parts for line in ("", *part.text_lines())),
            *(safe_line(plain_text(line), 400) for line in self.notes),
            *filter(None, [self.code]),
        ]


def table_bundle(table: Table, view: str = "table") -> Bundle:
    """Return a table's MIME bundle; ``view`` names it to programs."""
    return {"text/html": table.to_html(), "text/plain": table.to_text()}, {"wan": {"schema": 1, "view": view}}
