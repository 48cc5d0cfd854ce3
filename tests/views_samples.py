"""Cards and tables for the tests of the views, and a reader that says what a page would make of their HTML."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from typing import Any

from PIL import Image

from wan_notebook.views.model import CardView, JobView, PictureView, Preview, TextView

HOSTILE = (
    "<img src=x onerror=\"document.title='pwned'\"></script><b>`x` \u202eevil\u202c\u2066 \u200fعربى 🦊 \x00\x1b[31m "
    "\ud800 &amp; ' onload='x' javascript:x ](x) "
)
# What the output is made of, and nothing else.
TAGS = frozenset(
    re.findall(r"\w+", "a b bdi br code details div img p pre span summary table tbody td tfoot th thead tr")
)
ATTRIBUTES = frozenset(
    re.findall(
        r"\w+", "align alt cellpadding colspan dir height href open rel scope src style target title valign width"
    )
)


@cache
def picture_bytes(number: int = 0, size: tuple[int, int] = (320, 240), kind: str = "PNG") -> bytes:
    """Return a picture that is not easy to compress, different for each number."""
    noise = Image.effect_noise((max(1, size[0] // 8), max(1, size[1] // 8)), 90).resize(size)
    plain = Image.new("L", size, (number * 37) % 256)
    image = Image.merge("RGB", (noise, plain, noise.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def picture(index: int = 0, **changes: Any) -> PictureView:
    """Return a picture with everything that a caption can say."""
    known: dict[str, Any] = {
        "job_id": "a3f9c2",
        "index": index,
        "expr": f"fox[{index}]",
        "seed": 5,
        "width_px": 320,
        "height_px": 240,
        "file": f"wan-pictures/2026-11-24/1432-a-fox-s5-{index + 1}.png",
        "full_path": f"/home/ann/wan-pictures/2026-11-24/1432-a-fox-s5-{index + 1}.png",
        "data": picture_bytes(index % 4),
        "cost_text": "$0.03",
        "time_text": "3.2 s",
        "sha256": f"{index:064x}",
    }
    return PictureView(**{**known, **changes})


def job(state: str = "saved", **changes: Any) -> JobView:
    """Return a job with a prompt."""
    known: dict[str, Any] = {
        "job_id": "a3f9c2",
        "state": state,
        "mode": "text to image",
        "prompt": "A fox asleep in fresh snow",
        "seed": 5,
        "model": "wan2.6-image",
        "provider": "gateway",
        "when_text": "24 Nov 14:32",
        "fingerprint_asked": "wan1:sha256:" + "a" * 64,
        "fingerprint_sent": "wan1:sha256:" + "b" * 64,
    }
    return JobView(**{**known, **changes})


def card(*jobs: JobView, **changes: Any) -> CardView:
    """Return a card of jobs."""
    return CardView(jobs=jobs or (job(items=(picture(),)),), **changes)


def sweep(count: int, **changes: Any) -> CardView:
    """Return a card of many jobs with one picture each."""
    jobs = [
        job(job_id=f"a{i:05x}", seed=i, items=(picture(i, job_id=f"a{i:05x}", expr=f"s[{i}]", seed=i, **changes),))
        for i in range(count)
    ]
    return card(*jobs, title=f"seeds 0–{count - 1}", total_text="$6.00 reported")


def batch(count: int, **changes: Any) -> CardView:
    """Return a card of one edit with several pictures of one seed."""
    items = tuple(picture(i, seed_note=f"{i + 1} of {count}, one batch", **changes) for i in range(count))
    return card(job(mode="edit", rewrite=True, items=items))


def article() -> CardView:
    """Return a card of an illustrated text."""
    items = (TextView(text="# First\n\nBefore **dawn**."), picture(0), TextView(text="Then noon."), picture(1))
    return card(job(mode="illustrated text", items=items))


def as_previews(picture_view: PictureView, max_px: int, max_bytes: int) -> PictureView:
    """Return a picture that has only a ready-made preview."""
    from wan_notebook.images import preview

    assert picture_view.data is not None
    data, width, height = preview(picture_view.data, max_px=max_px, max_bytes=max_bytes)
    made = Preview(data=data, width_px=width, height_px=height)
    return dataclasses.replace(picture_view, data=None, previews=(made,))


def each_picture(card_view: CardView, change: Callable[[PictureView], PictureView]) -> CardView:
    """Return a card with every picture changed."""
    jobs = [
        dataclasses.replace(j, items=tuple(change(i) if isinstance(i, PictureView) else i for i in j.items))
        for j in card_view.jobs
    ]
    return dataclasses.replace(card_view, jobs=tuple(jobs))


def poisoned(value: Any, text: str = HOSTILE, keep: frozenset[str] = frozenset({"state", "kind", "mime"})) -> Any:
    """Return plain data with every text in it replaced, but for the few that name kinds of things."""
    if isinstance(value, str):
        return text
    if isinstance(value, tuple):
        return tuple(poisoned(inner, text, keep) for inner in value) or ()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        changed = {n: v if n in keep else poisoned(v, text, keep) for n, v in fields.items()}
        for name, inner in fields.items():
            if inner == () and name in ("notes", "error_lines", "tags"):
                changed[name] = (text,)
        return dataclasses.replace(value, **changed)
    return value


class Page(HTMLParser):
    """What a page would make of some HTML: its tags, attributes and text, in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._break(tag)
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag
        self._break(tag)

    def _break(self, tag: str) -> None:
        if tag not in ("a", "b", "bdi", "code", "img", "span"):
            self.pieces.append(" ")  # a block, a cell or a break parts words without any style

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    @property
    def text(self) -> str:
        """The text, with spaces that do not break as spaces."""
        return " ".join("".join(self.pieces).replace("\u00a0", " ").split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]

    def assert_harmless(self) -> None:
        """Fail if there is anything but layout, text, pictures as data and links to files."""
        for tag, attributes in self.tags:
            assert tag in TAGS, f"<{tag}>"
            assert not set(attributes) - ATTRIBUTES, f"<{tag} {sorted(set(attributes) - ATTRIBUTES)}>"
            assert not any(word in (attributes.get("style") or "") for word in ("url(", "expression", "@import"))
            if "src" in attributes:
                assert (attributes["src"] or "").startswith("data:image/")
            if "href" in attributes:
                target = attributes["href"] or ""
                assert ":" not in target
                assert not target.startswith("/")


def size_of(bundle: tuple[dict[str, str], dict[str, Any]]) -> int:
    """Return how many bytes an output takes in a notebook's file."""
    return len(json.dumps(bundle, ensure_ascii=False).encode("utf-8"))
