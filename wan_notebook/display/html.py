"""The one Jinja2 environment: everything is escaped, and hostile characters are made visible first.

Styles are inline, since sanitisers drop ``<style>`` and classes mean nothing on GitHub; separators are real text, so
that a page without any style can still be read.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ..text import safe_text
from .formatting import SEPARATOR, STYLES, format_time, safe_line

_CODE: Final = re.compile(r"(`+)(.+?)\1(?!`)", re.DOTALL)
_MATH: Final = re.compile(r"<[^>]*>|[$\\]")
STATIC: Final = Path(__file__).parent / "static"


def static_module(*paths: Path) -> str:
    """Return an ES module for anywidget: the shared helpers, then the widget's own files."""
    return "\n".join(path.read_text("utf-8") for path in (STATIC / "shared.js", *paths))


def render(template: str, **context: Any) -> str:
    """Return a template's HTML, in which no ``$`` or backslash of a text can begin a formula.

    Notebooks typeset what stands between two of them in one element (``$0.03 … $0.06``), and a class that forbids it
    would not survive everywhere: so each has an element of its own.
    """
    page = _ENVIRONMENT.get_template(f"{template}.html.j2").render(**context).strip()
    return _MATH.sub(lambda match: match[0] if match[0][0] == "<" else f"<span>{match[0]}</span>", page)


def bdi(text: object) -> Markup:
    """Escape text and isolate its direction, so that it cannot reorder its neighbours."""
    return Markup("<bdi>{}</bdi>").format(safe_text(text)) if str(text) else Markup("")


def nobreak(text: str) -> Markup:
    """Return a short fact that does not break across lines, by its characters and not by style."""
    return bdi(text.replace(" ", "\u00a0") if len(text) <= 24 else text)


def code(text: object) -> Markup:
    """Show a command or expression to paste; always left to right, in the order of typing."""
    shown = text if isinstance(text, Markup) else safe_text(text)
    return Markup('<code dir="ltr">{}</code>').format(shown) if shown else Markup("")


def rich(text: object) -> Markup:
    """Escape text, with what stands between backticks as code and newlines as breaks."""
    shown = _CODE.sub(lambda match: str(code(Markup(match[2].strip()))), str(breaks(text)))  # noqa: S704 - escaped
    return Markup("<bdi>{}</bdi>").format(Markup(shown)) if shown else Markup("")  # noqa: S704


def plain_text(text: object) -> str:
    """Return the text of `rich` for a terminal: without the backticks."""
    return _CODE.sub(lambda match: match[2].strip(), safe_text(text))


def breaks(text: object) -> Markup:
    """Escape text with newlines as breaks, which remain where the style that keeps newlines was removed."""
    return escape(safe_text(text)).replace("\n", Markup("<br>"))


def facts(parts: Iterable[object]) -> Markup:
    """Join pieces of HTML or text with the separator, leaving out empty ones."""
    return escape(SEPARATOR).join(part if isinstance(part, Markup) else bdi(part) for part in parts if part)


def link(path: str, label: object) -> Markup:
    """Link to a file of the store by its relative path; just its label where a safe link cannot be made.

    Jupyter serves what lies under the notebook; a colon is quoted too, so that no name becomes a scheme.
    """
    shown, path = label if isinstance(label, Markup) else bdi(label), path.replace("\\", "/")
    if not path or path.startswith("/") or re.match(r"[A-Za-z]:/", path):
        return shown
    tag = Markup('<a href="{}" target="_blank" rel="noopener">{}</a>')
    return tag.format(quote(path, safe="/", errors="replace"), shown)


def block_bar(share: float, width: int) -> str:
    """Return a bar of block characters for a share from 0 to 1."""
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("wan_notebook.display"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: safe_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
)
_ENVIRONMENT.filters.update(line=safe_line, bdi=bdi, breaks=breaks, code=code, nobreak=nobreak, rich=rich)
_ENVIRONMENT.globals.update(STYLES=STYLES, block_bar=block_bar, facts=facts, format_time=format_time, link=link)
