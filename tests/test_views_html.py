"""Text from outside reaches a page as text, whatever is in it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.views_samples import HOSTILE, Page
from wan_notebook.views import html as h

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)  # lone surrogates too


@given(ANY_TEXT)
def test_no_text_becomes_markup(text: str) -> None:
    """Escaped, isolated, rich and code text hold no element but ours, and can always be written to a file."""
    for made in (h.esc(text), h.bdi(text), h.rich(text), h.code(text), h.pre(text), h.unbroken(text)):
        made.encode("utf-8")
        page = Page(made)
        page.assert_harmless()
        assert {tag for tag, _ in page.tags} <= {"bdi", "code", "pre", "br"}


@given(ANY_TEXT)
def test_nothing_reorders_or_hides_what_stands_around_it(text: str) -> None:
    """Control characters, overrides and isolates are shown as code points instead of acting."""
    safe = h.safe_text(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", safe)
    assert h.safe_text(safe) == safe


@given(ANY_TEXT)
def test_a_link_never_leaves_the_folder_by_a_scheme_or_a_host(path: str) -> None:
    """A file's name makes a relative link or none: no scheme, no host, nothing that ends the attribute."""
    target = h.href(path)
    assert not re.search(r"""[:"'<>\s\\?#]""", target)
    assert not target.startswith("/")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("wan-pictures/2026-11-24/a fox #1?.png", "wan-pictures/2026-11-24/a%20fox%20%231%3F.png"),
        ("wan-pictures\\狐.png", "wan-pictures/%E7%8B%90.png"),
        ("../wan-pictures/a.png", "../wan-pictures/a.png"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("/etc/passwd", ""),
        ("//evil.example/x.png", ""),
        ("C:/Users/ann/x.png", ""),
        ("", ""),
    ],
)
def test_links_are_relative_and_quoted(path: str, target: str) -> None:
    """Jupyter serves paths from the notebook's folder; every name gives one link, an absolute path none."""
    assert h.href(path) == target
    assert ("<a " in h.link(path, "full file")) is bool(target)


def test_backticks_are_code_and_nothing_else() -> None:
    """Commands in notes can be pasted; markup inside and around them stays text."""
    made = h.rich("Type `%wan <b>login</b>`, then <i>wait</i>\nfor it")
    page = Page(made)
    assert [tag for tag, _ in page.tags] == ["bdi", "code", "bdi", "br"]
    assert "%wan <b>login</b>" in page.pieces
    assert h.plain_of("Type `%wan login`, then") == "Type %wan login, then"


def test_hostile_text_is_still_readable() -> None:
    """What was neutralised can be read and recognised."""
    text = Page(h.bdi(HOSTILE)).text
    assert "<img src=x onerror=\"document.title='pwned'\"></script><b>" in text
    assert "[U+202E]evil[U+202C]" in text
    assert "عربى 🦊" in text


def test_one_line_and_width() -> None:
    """Terminal columns count what a terminal shows: wide characters twice, combining ones not at all."""
    assert h.one_line("a\n b\t\tc", 4) == "a b…"
    assert h.one_line("a" * 9, 9) == "a" * 9
    assert h.cell_width("狐fox") == 5
    assert h.cell_width("e\u0301") == 1
    assert h.unbroken("3.2 s") == "<bdi>3.2\u00a0s</bdi>"
