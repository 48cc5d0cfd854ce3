"""The one Jinja2 environment: everything is escaped, and hostile characters are made visible first.

Styles are inline, since sanitisers drop ``<style>`` and classes mean nothing on GitHub; separators are real text, so
that a page without any style can still be read.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from .formatting import SEPARATOR, format_time, link_target, parameter_facts, safe_line, safe_text
from .status_style import cost_sentence, style_of

MUTED: Final = "opacity:.75"
_CODE: Final = re.compile(r"(`+)(.+?)\1(?!`)", re.DOTALL)
_MATH: Final = re.compile(r"<[^>]*>|[$\\]")
_HEADING: Final = re.compile(r"^#{1,6}\s+(.*)$")
_BOLD: Final = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
_NOBREAK_CHARS: Final = 24


def render(template: str, **context: Any) -> str:
    """Return a template's HTML, in which no ``$`` or backslash of a text can begin a formula."""
    return without_math(_environment().get_template(f"{template}.html.j2").render(**context))


def without_math(page: str) -> str:
    """Put each ``$`` and backslash outside tags into an element of its own.

    Notebooks typeset what stands between two of them in one element (``$0.03 … $0.06``), and a class that forbids it
    would not survive everywhere.
    """
    return _MATH.sub(lambda match: match[0] if match[0][0] == "<" else f"<span>{match[0]}</span>", page)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("wan_notebook.display"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters.update(
        bdi=bdi, bold=bold, breaks=breaks, code=code, line=safe_line, nobreak=nobreak, paragraphs=paragraphs, rich=rich
    )
    environment.globals.update(
        block_bar=block_bar,
        cost_sentence=cost_sentence,
        facts=facts,
        format_time=format_time,
        job_count=job_count,
        job_id=job_id,
        link=link,
        mark=status_mark,
        muted=MUTED,
        parameter_facts=parameter_facts,
        rows_of=rows_of,
        style_word=lambda status: style_of(status).word,
    )
    return environment


def _finalize(value: Any) -> Any:
    return safe_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def bdi(text: object) -> Markup:
    """Escape text and isolate its direction, so that it cannot reorder its neighbours."""
    return Markup("<bdi>{}</bdi>").format(safe_text(text)) if str(text) else Markup("")


def nobreak(text: str) -> Markup:
    """Return a short fact that does not break across lines, by its characters and not by style."""
    return bdi(text.replace(" ", "\u00a0") if len(text) <= _NOBREAK_CHARS else text)


def bold(text: object) -> Markup:
    """Escape a text and set it in bold; nothing for an empty one."""
    return Markup("<b>{}</b>").format(bdi(text)) if str(text) else Markup("")


def code(text: object) -> Markup:
    """Show a command or expression to paste; always left to right, in the order of typing."""
    return Markup('<code dir="ltr">{}</code>').format(safe_text(text)) if str(text) else Markup("")


def rich(text: object) -> Markup:
    """Escape text, with what stands between backticks as code and newlines as breaks."""
    source, end, pieces = safe_text(text), 0, []
    for match in _CODE.finditer(source):
        pieces += [_plain(source[end : match.start()]), code(match[2].strip())]
        end = match.end()
    return Markup("").join([*pieces, _plain(source[end:])])


def plain_text(text: object) -> str:
    """Return the text of `rich` for a terminal: without the backticks."""
    return _CODE.sub(lambda match: match[2].strip(), safe_text(text))


def _plain(text: str) -> Markup:
    return Markup("<bdi>{}</bdi>").format(breaks(text)) if text.strip() else escape(text)


def breaks(text: str) -> Markup:
    """Escape text with newlines as breaks, which remain where the style that keeps newlines was removed."""
    return escape(safe_text(text)).replace("\n", Markup("<br>"))


def paragraphs(text: str) -> list[Markup]:
    """Return text as paragraphs; of its Markdown only headings and bold are read, all else stays as it is."""
    found = []
    for block in re.split(r"\n\s*\n", safe_text(text).strip()):
        lines = []
        for line in block.split("\n"):
            heading = _HEADING.match(line.strip())
            escaped = Markup(_BOLD.sub(r"<b>\1</b>", str(escape(heading[1] if heading else line))))  # noqa: S704
            lines.append(Markup("<b>{}</b>").format(escaped) if heading else escaped)
        if block.strip():
            found.append(Markup("<br>").join(lines))
    return found


def facts(parts: Iterable[object]) -> Markup:
    """Join pieces of HTML or text with the separator, leaving out empty ones."""
    return escape(SEPARATOR).join(part if isinstance(part, Markup) else bdi(part) for part in parts if part)


def link(path: str, label: object) -> Markup:
    """Link to a file of the store; just its label where no link can be made."""
    shown = label if isinstance(label, Markup) else bdi(label)
    target = link_target(path)
    page = Markup('<a href="{}" target="_blank" rel="noopener">{}</a>')
    return page.format(target, shown) if target else shown


def rows_of(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return the pairs of name and value whose value is not empty."""
    return [(name, value) for name, value in pairs if str(value).strip()]


def job_id(text: str) -> Markup:
    """Return ``job a3f9c2`` with the id to paste."""
    return Markup('<span style="{}">job {}</span>').format(MUTED, code(text))


def job_count(count: int, first: str) -> Markup:
    """Return ``4 jobs, first a3f9c2``."""
    return Markup('<span style="{}">{} jobs, first {}</span>').format(MUTED, count, code(first))


def block_bar(share: float, width: int) -> str:
    """Return a bar of block characters for a share from 0 to 1."""
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")


def status_mark(status: str, *, bold: bool = True) -> Markup:
    """Return a status as coloured icon and word."""
    style = style_of(status)
    word = Markup("<b>{}</b>").format(style.word) if bold else nobreak(style.word)
    return Markup('<span style="color:{};font-weight:bold">{}</span> {}').format(style.tone, style.icon, word)
