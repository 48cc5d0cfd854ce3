"""Small helpers that turn hostile text into safe HTML: nothing from outside reaches a page except through here.

Everything is inline style, since a sanitiser drops ``<style>`` and classes mean nothing on GitHub. Separators are real
text (`` · ``), so that what remains without any style can still be read.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote

SEPARATOR: Final = " · "
BORDER: Final = "1px solid rgba(128,128,128,.4)"
MUTED: Final = "opacity:.75"
LEFT: Final = "text-align:left;vertical-align:top;line-height:1.5"

# Embeddings, overrides and isolates would reorder what stands around them; marks (LRM, RLM) cannot leave a <bdi>.
_SUSPICIOUS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb]")
_UNBROKEN: Final = 24
_CODE: Final = re.compile(r"(`+)(.+?)\1(?!`)", re.DOTALL)
_MATH: Final = re.compile(r"<[^>]*>|[$\\]")
_LINES: Final = re.compile("\r\n?|[\u2028\u2029\x0b\x0c\x85]")


def _visible(match: re.Match[str]) -> str:
    character = match[0]
    point = ord(character)
    if 0xD800 <= point <= 0xDFFF:
        return "\ufffd"  # half a pair cannot be written as UTF-8 at all
    return f"[U+{point:04X}]"


def safe_text(text: object) -> str:
    """Return text whose control and reordering characters can be seen instead of act; newlines and tabs stay."""
    return _SUSPICIOUS.sub(_visible, _LINES.sub("\n", str(text)))


def one_line(text: object, limit: int = 0) -> str:
    """Return safe text on one line, cut to ``limit`` characters (0: not cut) with an ellipsis."""
    flat = " ".join(safe_text(text).split())
    return flat if not limit or len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def cell_width(text: str) -> int:
    """Return how many columns text takes in a terminal: wide East Asian characters two, combining ones none."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    none = sum(bool(unicodedata.combining(c)) or c in "\u200b\u200c\u200d\ufe0e\ufe0f\u200e\u200f" for c in text)
    return len(text) + wide - none


def esc(text: object) -> str:
    """Escape text for an element or a quoted attribute."""
    return html.escape(safe_text(text), quote=True)


def bdi(text: object) -> str:
    """Escape text and isolate its direction, so that it cannot reorder its neighbours."""
    return f"<bdi>{esc(text)}</bdi>"


def unbroken(text: str) -> str:
    """Escape a short fact so that it does not break across lines (``3.2 s``), by characters and not by style."""
    return bdi(text.replace(" ", "\u00a0") if len(text) <= _UNBROKEN else text) if text else ""


def code(text: object) -> str:
    """Show a command or an expression to paste."""
    # Always left to right: code that a person is to type must read in the order of typing.
    return f'<code dir="ltr">{esc(text)}</code>'


def rich(text: object) -> str:
    """Escape text, with what stands between backticks as code and newlines as breaks."""
    pieces = []
    end = 0
    source = safe_text(text)
    for match in _CODE.finditer(source):
        pieces += [_plain(source[end : match.start()]), code(match[2].strip())]
        end = match.end()
    return "".join([*pieces, _plain(source[end:])])


def _plain(text: str) -> str:
    return f"<bdi>{html.escape(text, quote=True)}</bdi>".replace("\n", "<br>") if text.strip() else text


def plain_of(text: object) -> str:
    """Return the text of ``rich`` for a terminal: without the backticks."""
    return _CODE.sub(lambda m: m[2].strip(), safe_text(text))


def without_math(page: str) -> str:
    """Return finished HTML in which no ``$`` or backslash of a text can begin a formula.

    Notebooks typeset what stands between two of them in one element (``$0.03 … $0.06``); each gets its own element,
    since a class that says so would not survive everywhere.
    """
    return _MATH.sub(lambda m: m[0] if m[0][0] == "<" else f"<span>{m[0]}</span>", page)


def style(*rules: str) -> str:
    """Return a style attribute of the rules that are not empty."""
    joined = ";".join(rule for rule in rules if rule)
    return f' style="{joined}"' if joined else ""


def div(inner: str, *rules: str) -> str:
    """Wrap HTML in a block; nothing comes from nothing."""
    return f"<div{style(*rules)}>{inner}</div>" if inner else ""


def facts(parts: Iterable[str]) -> str:
    """Join pieces of HTML with the separator, leaving out empty ones."""
    return SEPARATOR.join(part for part in parts if part)


def href(path: str) -> str:
    """Return a relative link to a file, or nothing where a safe one cannot be made.

    Jupyter serves what lies under the notebook; a colon is quoted too, so that no name becomes a scheme.
    """
    text = path.replace("\\", "/")
    if not text or text.startswith("/") or re.match(r"^[A-Za-z]:/", text) or "\0" in text:
        return ""
    return quote(str(PurePosixPath(text)), safe="/", encoding="utf-8", errors="replace")


def link(path: str, label: str) -> str:
    """Link to a file of the store; just its label where there is no link to be had."""
    target = href(path)
    return f'<a href="{target}" target="_blank" rel="noopener">{label}</a>' if target else label


def details(summary: str, inner: str, *, is_open: bool = False) -> str:
    """Fold HTML under a line that opens it by click or keyboard, without JavaScript."""
    if not inner:
        return ""
    opened = " open" if is_open else ""
    return (
        f'<details{opened} style="margin:10px 0 0">'
        f'<summary style="cursor:pointer;padding:2px 0;{MUTED}">{esc(summary)}</summary>'
        f'<div style="padding:8px 0 2px">{inner}</div></details>'
    )


def pre(text: str) -> str:
    """Show code or JSON as it stands, wrapped; always left to right."""
    look = (
        "white-space:pre-wrap;overflow-wrap:break-word;word-break:normal;margin:4px 0 0;font-size:92%;line-height:1.5;"
        "background:rgba(128,128,128,.12);border-radius:4px;padding:8px 10px;color:inherit;text-align:left"
    )
    return f'<pre dir="ltr" style="{look}">{esc(text)}</pre>'


def rows(pairs: Iterable[tuple[str, str]], *, label_width: str = "8.2em") -> str:
    """Lay out names and HTML values in two columns."""
    first = f"{LEFT};width:{label_width};padding:2px 14px 2px 0;white-space:nowrap;{MUTED}"
    second = f"{LEFT};padding:2px 0;overflow-wrap:anywhere"
    cells = "".join(
        f'<tr style="background:none"><td width="112" style="{first}">{esc(name)}</td>'
        f'<td style="{second}">{value}</td></tr>'
        for name, value in pairs
        if value
    )
    if not cells:
        return ""
    return f'<table width="100%" style="{TABLE};table-layout:fixed">{cells}</table>'


TABLE: Final = (
    "border-collapse:collapse;border:none;margin:0;font-size:inherit;color:inherit;line-height:1.5;width:100%"
)


def frame(inner: str, tone: str) -> str:
    """Draw the card around HTML; the live card has the same outline, so that nothing jumps when it is replaced."""
    return (
        f'<div style="border:{BORDER};border-left:3px solid {tone};border-radius:6px;padding:10px 14px 12px;'
        f'margin:2px 0 6px;max-width:1056px;line-height:1.5;text-align:left">{inner}</div>'
    )
