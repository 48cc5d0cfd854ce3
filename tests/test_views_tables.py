"""History, cost, comparison, dry run, status and doctor: every fact is in the table, and the table survives saving."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import pytest
from PIL import Image

from tests.views_samples import HOSTILE, Page, picture, picture_bytes, poisoned, size_of
from wan_notebook.views.compare import compare_bundle
from wan_notebook.views.costs import bar, cost_bundle
from wan_notebook.views.dryrun import dry_run_bundle
from wan_notebook.views.model import (
    CompareItem,
    CostRowView,
    CostSection,
    CostView,
    DoctorLine,
    DoctorView,
    DryRunImage,
    DryRunView,
    HistoryRowView,
    HistoryView,
    StatusView,
)
from wan_notebook.views.tables import doctor_bundle, history_bundle, status_bundle
from wan_notebook.views.terminal_tables import block_bar, bytes_text
from wan_notebook.views.thumbs import HTML_BYTES


def history(count: int = 3, **changes: Any) -> HistoryView:
    """Return a page of the history."""
    rows = tuple(
        HistoryRowView(
            job_id=f"a{i:05x}",
            state=("saved", "failed", "running")[i % 3],
            when_text=f"24 Nov 14:{i % 60:02}",
            prompt=f"A fox number {i}",
            mode="text to image",
            size_text="1280×1280",
            seed=1000 + i,
            n=4,
            duration_text="14.2 s",
            cost_text="$0.03",
            cost_source="reported",
            picture=picture(i) if i % 3 == 0 else None,
            tags=("figure-2",),
            name="fox",
        )
        for i in range(count)
    )
    known: dict[str, Any] = {
        "rows": rows,
        "total_rows": 1204,
        "total_pictures": 2210,
        "total_text": "$1.20 reported + $0.36 estimated + 2 unknown",
        "filter_text": "“fox”, since 7 d",
        "more_text": "`%wan history --limit 100` shows more",
    }
    return HistoryView(**{**known, **changes})


DAYS = CostSection(
    title="by day",
    rows=(
        CostRowView(label="24 Nov", amount=1.2, amount_text="$1.20 reported", jobs=30, pictures=40),
        CostRowView(label="23 Nov", amount=0.3, amount_text="$0.30 reported", jobs=9, pictures=10),
        CostRowView(label="22 Nov", amount=0, amount_text="2 unknown", jobs=2, pictures=2),
        CostRowView(label="21 Nov", amount=7, currency="CNY", amount_text="¥7.00 reported", jobs=1, pictures=1),
    ),
    note="times are local",
)
COST = CostView(
    sections=(DAYS,),
    total_text="$1.50 reported + 2 unknown",
    jobs=42,
    pictures=53,
    reserved_text="$0.12 reserved",
    budget_lines=("$5.00 a day: $1.20 spent, $3.68 left",),
    notes=("`%wan config price=0.03` sets a price",),
)
COMPARED = (
    CompareItem(picture=picture(0), label="a[0]", prompt="snow", facts=(("rewrite", "off"), ("size", "1K"))),
    CompareItem(picture=picture(1), label="b[2]", prompt="rain", facts=(("rewrite", "on"), ("size", "1K"))),
)
DRY = DryRunView(
    request_json=json.dumps({"model": "wan2.6-image", "parameters": {"seed": 5}}, indent=2),
    mode="edit",
    endpoint="POST https://dashscope-intl.aliyuncs.com/api/v1/x",
    expected_size_text="≈1108×1478, shape of image 2 (ref)",
    most_text="up to $0.12",
    calls=3,
    images=(
        DryRunImage(name="photo", width_px=1200, height_px=800, size_bytes=312_000, sha256="9f" * 32),
        DryRunImage(
            name="ref", width_px=800, height_px=1200, size_bytes=2_400_000, sha256="1c" * 32, note="was reduced"
        ),
    ),
    notes=("`(fox:1.3)` has no meaning here",),
    answered_text="from store · $0.00 · 24 Nov",
)
STATUS = StatusView(
    lines=(("Provider", "simulator"), ("Running", "1 in doubt: `%wan show a3f9c2`")), next_lines=("Type `%%wan`.",)
)
DOCTOR = DoctorView(
    lines=(
        DoctorLine(name="Key", level="ok", text="from the environment"),
        DoctorLine(name="Service", level="problem", text="answered 401", hint="`%wan login`"),
    )
)
ALL = {
    "history": history_bundle(history()),
    "cost": cost_bundle(COST),
    "compare": compare_bundle(COMPARED),
    "dry run": dry_run_bundle(DRY),
    "status": status_bundle(STATUS),
    "doctor": doctor_bundle(DOCTOR),
}


@pytest.mark.parametrize("name", ALL)
def test_tables_need_no_styles_and_no_scripts(name: str) -> None:
    """Every table is real rows and columns: readable with all styles removed, with nothing that acts."""
    data, metadata = ALL[name]
    page = Page(data["text/html"])
    page.assert_harmless()
    assert Page(re.sub(r' style="[^"]*"', "", data["text/html"])).text == page.text
    assert data["text/plain"]
    assert metadata["wan"]["schema"] == 1
    assert size_of(ALL[name]) <= HTML_BYTES


def test_hostile_text_in_tables_stays_text() -> None:
    """Prompts, file names, labels and messages hold markup and overrides; nothing of it acts."""
    made = (
        history_bundle(poisoned(history())),
        cost_bundle(poisoned(COST)),
        compare_bundle(poisoned(COMPARED), title=HOSTILE),
        dry_run_bundle(poisoned(DRY)),
        status_bundle(poisoned(STATUS)),
        doctor_bundle(poisoned(DOCTOR, keep=frozenset({"level"}))),
    )
    for data, metadata in made:
        page = Page(data["text/html"])
        page.assert_harmless()
        assert "onerror" in page.text
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", data["text/html"] + data["text/plain"])
        json.dumps([data, metadata], ensure_ascii=False).encode("utf-8")


def test_history_says_everything_in_both_forms() -> None:
    """Time, prompt, mode, size, seed, n, state, duration, cost and its source, and totals of all that matched."""
    data, _ = history_bundle(history())
    said = ["24 Nov 14:00", "A fox number 0", "text to image", "1280×1280", "1000", "4", "✓ saved", "14.2 s", "$0.03"]
    said += ["reported", "a00000", "3 of 1204 jobs", "2210 pictures", "$1.20 reported + $0.36 estimated + 2 unknown"]
    said += ["%wan history --limit 100 shows more"]
    for text in (Page(data["text/html"]).text, data["text/plain"]):
        for each in said:
            assert each in text, each
    (thumb,) = Page(data["text/html"]).all("img")
    assert (thumb["width"], thumb["height"]) == ("64", "48")
    image = Image.open(io.BytesIO(base64.b64decode((thumb["src"] or "").split(",")[1])))
    assert max(image.size) == 64


def test_history_of_nothing_and_of_very_much() -> None:
    """No row is said to be none; many rows keep within the bytes by smaller thumbnails, at last without."""
    assert "Nothing was made yet." in Page(history_bundle(HistoryView(rows=(), total_rows=0))[0]["text/html"]).text
    none = HistoryView(rows=(), total_rows=0, filter_text="“dog”")
    assert "Nothing found." in history_bundle(none)[0]["text/plain"]
    big = history_bundle(history(300))
    assert len(big[0]["text/html"].encode()) <= HTML_BYTES
    shown = big[0]["text/html"].count("A fox number")
    assert 200 < shown < 300
    assert f"{shown} of 1204 jobs" in big[0]["text/html"]


def test_a_cost_source_is_not_said_twice() -> None:
    """`price unknown` needs no `unknown` below it."""
    row = HistoryRowView(job_id="a", state="saved", cost_text="price unknown", cost_source="unknown")
    data, _ = history_bundle(HistoryView(rows=(row,), total_rows=1))
    assert Page(data["text/html"]).text.count("unknown") == 1


def test_bars_have_lengths_in_proportion_with_and_without_styles() -> None:
    """A bar is a block by its style, characters where styles are removed; each currency has its own scale."""
    html = cost_bundle(COST)[0]["text/html"]
    assert [float(w) for w in re.findall(r"width:([\d.]+)%;height:12px", html)] == [100, 25, 100]
    assert re.findall("█+", Page(html).text) == ["█" * 20, "█" * 5, "█" * 20]
    assert 'style="display:none"' in html
    text = cost_bundle(COST)[0]["text/plain"]
    assert re.findall("█+", text) == ["█" * 24, "█" * 6, "█" * 24]
    assert "$5.00 a day: $1.20 spent, $3.68 left" in text
    assert bar(0) == "&nbsp;"


@pytest.mark.parametrize(
    ("share", "bar_text"), [(0, ""), (0.001, "▏"), (0.5, "██"), (0.53, "██▏"), (1, "████"), (9, "████")]
)
def test_block_bars_are_exact_to_an_eighth(share: float, bar_text: str) -> None:
    """Anything above nothing shows, and nothing is longer than the whole."""
    assert block_bar(share, 4) == bar_text


def test_a_comparison_sets_apart_what_differs() -> None:
    """What all share is said once; what differs is bold under its own picture; the same picture may come twice."""
    data, metadata = compare_bundle(COMPARED)
    page = Page(data["text/html"])
    assert page.text.startswith("Compare · 2 pictures all: size 1K")
    assert "rewrite <b><bdi>off</bdi></b>" in data["text/html"]
    order = [page.text.index(piece) for piece in ("a[0]", "fox[0]", "snow", "b[2]", "fox[1]", "rain")]
    assert order == sorted(order)
    assert len(metadata["wan"]["sha256"]) == 2
    twice = compare_bundle((COMPARED[0], COMPARED[0]))
    assert len(Page(twice[0]["text/html"]).all("img")) == 2
    many = compare_bundle([CompareItem(picture=picture(i, data=picture_bytes(kind="JPEG"))) for i in range(80)])
    assert size_of(many) <= HTML_BYTES
    assert "and 16 more" in Page(many[0]["text/html"]).text


def test_a_dry_run_shows_the_request_and_sends_nothing() -> None:
    """The exact JSON, pictures by name, size, bytes and hash, the expected size and whose shape, the most it costs."""
    data, _ = dry_run_bundle(DRY)
    for text in (Page(data["text/html"]).text, data["text/plain"]):
        for said in (
            "nothing was sent",
            "edit",
            "≈1108×1478, shape of image 2 (ref)",
            "up to $0.12",
            "photo",
            "312 KB",
            "9f9f9f9f9f9f9f9f",
            "2.4 MB",
            "was reduced",
            '"model": "wan2.6-image"',
            "from store · $0.00",
        ):
            assert said in text, said
    assert "3 such requests" in Page(data["text/html"]).text


def test_status_and_doctor_say_what_to_do() -> None:
    """A problem is a word beside its icon, with the hint; the status ends with what to type next."""
    html, plain = Page(ALL["doctor"][0]["text/html"]).text, ALL["doctor"][0]["text/plain"]
    assert "✕ problem" in html
    assert "→ %wan login" in html
    assert "→ %wan login" in plain
    assert "Type %%wan." in ALL["status"][0]["text/plain"]
    assert bytes_text(999) == "999 B"
