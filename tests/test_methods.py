"""The methods paragraph: fixed words from the record alone, honest about practice pictures, prices and seeds."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests import bundle_kit
from tests.bundle_kit import NOON, Project, pack, png, shown, unpack
from wan_notebook.bundle import methods
from wan_notebook.bundle.prose import latex_text, markdown_text, span_of, version_key
from wan_notebook.inputs import InputImage
from wan_notebook.ledger import JobRow
from wan_notebook.text import runs_of

project, other = bundle_kit.project, bundle_kit.other

DAY = 86_400.0


def changed(row: JobRow, **columns: Any) -> JobRow:
    """Return a row with other columns and the same details."""
    details = row.details
    return replace(row, load=lambda _: details, **columns)


def test_the_whole_paragraph(project: Project) -> None:
    """Model, service, dates, modes, sizes, requests, seeds, cost, software and the caveat, word for word."""
    rows = [project.job(seed=seed, cost="0.03", at=NOON + seed * DAY) for seed in (5, 6, 7)]
    rows.append(project.job("an owl", seed=12, seedless=True, pictures=2, cost="0.0255", at=NOON + 8 * DAY))

    assert methods(rows) == (
        "5 pictures were made with `wan2.6-image` through the Vtrix gateway between 30 November and 3 December 2026. "
        "All were made from text alone. Each measures 48×48 px. The record holds 4 requests with 2 different prompts. "
        "Seeds were 5–7, 12 (in part chosen at random). The cost was 0.141 USD as billed. "
        "Software: wan-notebook 0.1.0, Python 3.11.2, Pillow 13.0.0. "
        "A seed makes a similar result likely and guarantees nothing: the service may return another picture for the "
        "same request and seed, and its model may change. What can be reproduced exactly is the record, in which each "
        "picture is kept with its request and its SHA-256 hash."
    )


def test_the_same_record_gives_the_same_words(project: Project, other: Project, tmp_path: Path) -> None:
    """Neither the order of the rows nor the machine changes a word: a bundle's reader gets the author's paragraph."""
    rows = [project.job(seed=seed) for seed in (9, 3)]
    project.write_notebook(shown(*rows))
    unpack(pack(project, tmp_path / "paper.zip"), other)
    there = [other.ledger.get(row.id) for row in rows]

    assert methods(rows) == methods(rows[::-1]) == methods(there)
    assert methods(rows, latex=True) == methods(there, latex=True)


def test_practice_pictures_are_called_that(project: Project) -> None:
    """Simulated pictures are no results and cost nothing, and are told beside real ones."""
    practice = project.job(simulated=True, provider="simulator", cost=None)
    real = project.job("an owl", seed=6, cost="0.03")
    alone, both = methods([practice]), methods([practice, real])

    assert "1 picture was drawn by the built-in simulator" in alone
    assert "a practice picture, which no image model made and which is no result" in alone
    assert "Nothing was paid." in alone
    assert "a real service promises no such thing" in alone
    assert both.startswith("1 picture was made with `wan2.6-image` through the Vtrix gateway")
    assert "1 more picture was drawn by the built-in simulator" in both
    assert "The cost was 0.03 USD as billed." in both
    assert "guarantees nothing" in both


def test_prices_are_told_by_source_and_never_as_nothing(project: Project) -> None:
    """Billed, estimated and unknown stand apart, each currency by itself; unknown is never 0."""
    rows = [
        project.job(seed=1, cost="0.03"),
        changed(project.job(seed=2), cost_source="estimated", cost_amount=Decimal("0.2"), cost_currency="CNY"),
        project.job(seed=3, cost=None),
    ]
    text = methods(rows)

    assert "0.20 CNY as estimated" in text
    assert "0.03 USD as billed" in text
    assert "an unknown amount for 1 request whose price was not reported" in text


def test_rewriting_and_the_rest_are_told(project: Project) -> None:
    """Rewriting changes the prompt, so it is told, as are negative prompts, watermarks and given pictures."""

    def edit(seed: int, **parameters: object) -> object:
        image = InputImage("photo", f"test:{seed}", b"x", "image/png", 300, 300)
        record = project.input("photo", png(50))
        return project.job("at night", seed=seed, inputs=[record], request={"images": (image,), **parameters})

    on, off = edit(1), edit(2, prompt_extend=False, negative_prompt="dogs", watermark=True)
    assert "rewriting of prompts was on, so that the model saw other words than those recorded" in methods([on])
    assert "rewriting of prompts was off in editing" in methods([off])
    mixed = methods([on, project.job("a fox", seed=9)])
    assert "In editing, the service's rewriting of prompts was on" in mixed
    assert "rewriting" not in methods([project.job("an owl", seed=10)])
    both = methods([on, off])
    assert "on in 1 of 2 editing requests" in both
    assert "A negative prompt was given in 1 request." in both
    assert "watermark was on in 1 request" in both
    assert "1 picture was given as input." in both
    assert "by editing given pictures" in both


def test_only_an_edit_was_rewritten(project: Project) -> None:
    """A record of text to image that carries the parameter, from whatever hand, is not said to be rewritten."""
    row = project.job("a fox", seed=5)
    details = replace(row.details, parameters={**row.parameters, "prompt_extend": True})
    there = replace(row, load=lambda _: details)
    assert there.parameters["prompt_extend"] is True
    assert there.rewrite is None
    assert "rewriting" not in methods([there])


def test_many_seeds_do_not_fill_the_page(project: Project) -> None:
    """Runs are written as ranges, and what is left of very many is counted."""
    row = project.job()
    rows = [changed(row, seed=seed * 2) for seed in range(60)]
    assert "and 20 more ranges" in methods(rows)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=30, unique=True).map(sorted))
def test_runs_name_exactly_the_numbers(numbers: list[int]) -> None:
    """Written and read again, the ranges are the numbers that they stand for."""
    read: list[int] = []
    for piece in ", ".join(runs_of(numbers, "–")).split(", "):
        first, _, last = piece.partition("–")
        read += range(int(first), int(last or first) + 1) if int(last or first) - int(first) < 100 else [int(first)]
    assert read == numbers


def test_dates_are_days_in_utc() -> None:
    """One day, some days of a month, of a year, of years; in English whatever the machine speaks."""
    assert span_of([NOON, NOON + 60], "–") == "on 25 November 2026"
    assert span_of([NOON, NOON + 2 * DAY], "–") == "on 25–27 November 2026"
    assert span_of([NOON + 9 * DAY, NOON], "–") == "between 25 November and 4 December 2026"
    assert span_of([NOON, NOON + 60 * DAY], "–") == "between 25 November 2026 and 24 January 2027"


def test_versions_are_sorted_as_versions() -> None:
    """0.9 comes before 0.10, and text of any kind can be compared."""
    assert sorted(["0.10.0", "0.9", "1.0rc1", "1.0", "x", "²"], key=version_key)[:2] == ["0.9", "0.10.0"]


# ------------------------------------------------------------------ escaping


@given(st.text(max_size=40))
def test_latex_is_escaped(text: str) -> None:
    """No character of a value acts in LaTeX: what is special is written as what it looks like."""
    bare = re.sub(r"\\(textbackslash|textasciicircum|textasciitilde|textless|textgreater|textbar|textquotedbl)\{\}", "",
                  latex_text(text))  # fmt: skip
    bare = re.sub(r"\\[{}$&#%_]|\$\\times\$", "", bare)
    assert not set(bare) & set("\\{}$&#%_^~\n")


@given(st.text(max_size=40))
def test_markdown_is_escaped(text: str) -> None:
    """No value becomes markup, a link or HTML."""
    assert not set(re.sub(r"\\[\\`*_{}\[\]#|~$<>&]", "", markdown_text(text))) & set("\\`*_[]<>#|&\n")


HOSTILE = r"\input{/etc/passwd} $x$ 100% a_b & <script>alert(1)</script> ![x](http://x.test) `q`"


def test_a_hostile_record_stays_text(project: Project) -> None:
    """Names of a record that came from somebody else act neither in LaTeX nor in Markdown."""
    row = project.job(model=HOSTILE, provider=HOSTILE, versions={"python": HOSTILE})
    row = changed(row, cost_currency=r"\bad")
    latex, markdown = methods([row], latex=True), methods([row])

    assert r"\input{" not in latex
    assert r"\bad" not in latex.replace(r"\textbackslash{}bad", "")
    assert "<script" not in markdown.replace(r"\<script", "").replace("`" + HOSTILE.replace("`", "") + "`", "")
