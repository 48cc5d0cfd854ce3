"""The lasting output of a cell: a card of one or several jobs as a MIME bundle that needs no JavaScript and no styles.

``bundle`` is the one renderer for magic, panel, scripts and exported pages. Its parts: the state and its facts, the
pictures (or why there are none), notes, and the prompt with its parameters folded away.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from wan_notebook.views import html as h
from wan_notebook.views.article import article
from wan_notebook.views.figures import figure, grid, layout_for, placeholder, seed_text, state_mark
from wan_notebook.views.looks import card_state, headline, look, plural, served_lines, summary, total_phrase
from wan_notebook.views.model import CardView, JobView, PictureView
from wan_notebook.views.record import record
from wan_notebook.views.terminal import card_text
from wan_notebook.views.thumbs import (
    HTML_BYTES,
    MAX_SHOWN,
    Thumb,
    as_thumb,
    contact_sheet,
    sheet_limit,
    side_px,
    small_copies,
)
from wan_notebook.views.trouble import trouble

Bundle = tuple[dict[str, str], dict[str, Any]]

SCHEMA: Final = 1
_METADATA_BYTES: Final = 40_000
_LEAST_PICTURE_BYTES: Final = 2_400
_TEXT_SCALES: Final = (1.0, 0.4, 0.15, 0.05)


def bundle(card: CardView, *, max_bytes: int = HTML_BYTES) -> Bundle:
    """Return ``(data, metadata)`` of a card: HTML, plain text and, with pictures, one JPEG contact sheet.

    The whole stays within ``max_bytes`` for any number of pictures and any length of text. ``metadata["wan"]`` names
    jobs, fingerprints and hashes, for verification.
    """
    return bundle_of(
        lambda thumbs, text_scale: card_html(card, thumbs, text_scale=text_scale),
        card.pictures,
        text=card_text(card),
        metadata={"wan": card_metadata(card)},
        sheet=card.sheet,
        max_bytes=max_bytes,
    )


def bundle_of(
    draw: Callable[[dict[int, Thumb], float], str],
    pictures: Sequence[PictureView],
    *,
    text: str,
    metadata: dict[str, Any],
    sheet: bytes | None = None,
    max_bytes: int = HTML_BYTES,
) -> Bundle:
    """Return an output with pictures, within its bytes.

    ``draw`` makes the HTML from thumbnails (by ``id`` of the picture) and a scale for long texts; it is drawn without
    pictures first, to know the bytes that are left for them.
    """
    data = {"text/plain": text}
    sheet_bytes = sheet_limit(len(pictures))
    left = max_bytes - _json_bytes(data) - _json_bytes(metadata) - (sheet_bytes * 4 // 3 if pictures else 0) - 200
    shown = pictures[:MAX_SHOWN]
    scale, shell = 1.0, 0
    for scale in _TEXT_SCALES:
        shell = _json_bytes(h.without_math(draw({}, scale)))
        if shell + len(shown) * _LEAST_PICTURE_BYTES <= left:
            break
    each = max(300, (left - shell) // max(1, len(shown)) - 120)
    small = small_copies(shown, max_px=side_px(len(shown)), bytes_each=each * 3 // 4)
    thumbs = {id(p): t for p, s in zip(shown, small, strict=True) if (t := as_thumb(s))}
    for fitting in (s for s in _TEXT_SCALES if s <= scale):  # what a picture's tags take was only estimated
        data["text/html"] = h.without_math(draw(thumbs, fitting))
        if _json_bytes(data["text/html"]) <= left:
            break
    if sheet is None or len(sheet) > sheet_bytes:
        # Its cells are no larger than what was just made, which is cheaper to read than the files.
        kept = [replace(p, previews=(*p.previews, s)) for p, s in zip(shown, small, strict=True) if s]
        sheet = contact_sheet(kept, max_bytes=sheet_bytes)
    if sheet:
        data["image/jpeg"] = base64.b64encode(sheet).decode("ascii")
    return data, metadata


def pages(card: CardView) -> list[Bundle]:
    """Return as many outputs as all pictures need, each within the bytes of one (``%wan show JOB --all``)."""
    parts: list[list[JobView]] = [[]]
    count = 0
    for job in card.jobs:
        weight = max(1, len(job.pictures))
        if parts[-1] and count + weight > MAX_SHOWN // 2:
            parts.append([])
            count = 0
        parts[-1].append(job)
        count += weight
    if len(parts) == 1:
        return [bundle(card)]
    titles = [f"{card.title + ' · ' if card.title else ''}part {i + 1} of {len(parts)}" for i in range(len(parts))]
    return [
        bundle(CardView(jobs=tuple(jobs), title=title, total_text=card.total_text, show_command=card.show_command))
        for jobs, title in zip(parts, titles, strict=True)
    ]


def card_metadata(card: CardView) -> dict[str, Any]:
    """Return what names this output's jobs and pictures to a program; jobs beyond its bytes are counted."""
    entries: list[dict[str, Any]] = []
    size = 0
    for job in card.jobs:
        entry = {
            "id": h.one_line(job.job_id, 80),
            "state": h.one_line(job.state, 80),
            "fingerprint_asked": h.one_line(job.fingerprint_asked, 120),
            "fingerprint_sent": h.one_line(job.fingerprint_sent, 120),
            "sha256": [h.one_line(picture.sha256, 80) for picture in job.pictures],
        }
        size += _json_bytes(entry)
        if size > _METADATA_BYTES:
            break
        entries.append(entry)
    left_off = len(card.jobs) - len(entries)
    return {"schema": SCHEMA, "jobs": entries, **({"jobs_left_off": left_off} if left_off else {})}


def _json_bytes(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8"))


# ------------------------------------------------------------------ HTML


def card_html(card: CardView, thumbs: Mapping[int, Thumb], *, text_scale: float = 1.0) -> str:
    """Return a card's HTML; ``thumbs`` are by ``id`` of the picture, and what has none is described."""
    tone = look(card_state(card)).tone
    if len(card.jobs) == 1:
        return h.frame(_one(card, card.jobs[0], thumbs, text_scale), tone)
    return h.frame(_several(card, thumbs, text_scale), tone)


def _one(card: CardView, job: JobView, thumbs: Mapping[int, Thumb], text_scale: float) -> str:
    return "".join(
        (
            _header(card, job),
            _served((job,)),
            trouble(job),
            _pictures(job, thumbs, text_scale),
            _missing(job),
            _notes((job,)),
            record((job,), text_scale=text_scale),
        )
    )


def _header(card: CardView, job: JobView) -> str:
    many = len(job.pictures) > 1
    parts = (
        state_mark(job.state),
        h.esc(headline(job)),
        h.bdi(h.one_line(card.title, 80)) if card.title else "",
        h.esc(job.mode),
        plural(len(job.pictures), "picture") if many else "",
        h.esc(h.one_line(job.cost_text, 80)) if many and not job.replay_text else "",
        h.esc(h.one_line(job.when_text, 40)) if not job.replay_text else "",
        f'<span style="{h.MUTED}">job {h.code(job.job_id)}</span>',
    )
    return h.div(h.facts(parts))


def _served(jobs: Sequence[JobView]) -> str:
    """Say what came without a price: from the store, or from the simulator."""
    # The title keeps the words whole, for a hint and for whoever searches: in the text a dollar sign stands apart.
    replays = [
        f'<div title="{h.esc(text)}">{h.facts((f"↺ {h.esc(text)}", h.rich(again)))}</div>'
        for text, again in served_lines(jobs)
    ]
    practice = dict.fromkeys(h.rich(h.one_line(job.simulated_note, 400)) for job in jobs if job.simulated_note)
    return "".join([*replays, *(h.div(f"◇ {note}", h.MUTED) for note in practice)])


def _pictures(job: JobView, thumbs: Mapping[int, Thumb], text_scale: float) -> str:
    if len(job.items) > len(job.pictures):
        return article(job, thumbs, text_scale=text_scale)
    shown = job.pictures[:MAX_SHOWN]
    layout = layout_for(len(shown))
    return grid([figure(p, job, thumbs.get(id(p)), layout) for p in shown], layout) + _more(
        len(job.pictures), job.job_id
    )


def _more(count: int, job_id: str, command: str = "") -> str:
    if count <= MAX_SHOWN:
        return ""
    return h.div(
        f"and {count - MAX_SHOWN} more: {h.code((command or f'%wan show {job_id}') + ' --all')}", "margin-top:4px"
    )


def _missing(job: JobView) -> str:
    if not job.missing:
        return ""
    were = "was" if job.missing == 1 else "were"
    return h.div(f"{plural(job.missing, 'picture')} that {were} asked for {were} not delivered.", "margin-top:6px")


def _notes(jobs: Sequence[JobView]) -> str:
    lines = dict.fromkeys(h.one_line(note, 400) for job in jobs for note in job.notes)
    return h.div(
        "".join(h.div(f"Note: {h.rich(n)}", h.MUTED) for n in list(lines)[:12]), "margin-top:8px", "font-size:92%"
    )


# ------------------------------------------------------------------ several jobs


def _several(card: CardView, thumbs: Mapping[int, Thumb], text_scale: float) -> str:
    first = card.jobs[0]
    count = len(card.pictures)
    same_mode = first.mode if all(j.mode == first.mode for j in card.jobs) else ""
    state = card_state(card)
    alike = all(job.state == state for job in card.jobs)
    mark = state_mark(state) if alike else f"{_icon(state)} <b>{h.esc(summary(card.jobs))}</b>"
    header = h.facts(
        (
            mark,
            h.bdi(h.one_line(card.title, 80)) if card.title else "",
            h.esc(same_mode),
            plural(count, "picture"),
            h.bdi(h.one_line(total_phrase(card), 140)) if card.total_text else "",
            f'<span style="{h.MUTED}">{plural(len(card.jobs), "job")}, first {h.code(first.job_id)}</span>',
        )
    )
    if any(len(job.items) > 1 or len(job.items) > len(job.pictures) for job in card.jobs):
        body = _sections(card, thumbs, text_scale)
    else:
        body = _grid(card, thumbs)
    return "".join(
        (h.div(header), _served(card.jobs), body, _notes(card.jobs), record(card.jobs, text_scale=text_scale))
    )


def _icon(state: str) -> str:
    seen = look(state)
    return f'<span style="color:{seen.tone};font-weight:bold">{h.esc(seen.icon)}</span>'


def _figure_or_state(
    job: JobView, pictures: Sequence[PictureView], thumbs: Mapping[int, Thumb], count: int
) -> list[str]:
    layout = layout_for(max(2, count))
    if not pictures:
        return [placeholder(job, layout)]
    return [figure(p, job, thumbs.get(id(p)), layout) for p in pictures]


def _grid(card: CardView, thumbs: Mapping[int, Thumb]) -> str:
    """Show one picture (or state) a job: a seed sweep."""
    shown = card.jobs[:MAX_SHOWN]
    cells = [cell for job in shown for cell in _figure_or_state(job, job.pictures, thumbs, len(shown))]
    return grid(cells, layout_for(max(2, len(shown)))) + _more(len(card.jobs), card.jobs[0].job_id, card.show_command)


def _sections(card: CardView, thumbs: Mapping[int, Thumb], text_scale: float) -> str:
    """Show each job's pictures, or its article, under a line that names it."""
    pieces: list[str] = []
    left = MAX_SHOWN
    total = sum(max(1, len(job.pictures)) for job in card.jobs)
    share = text_scale / len(card.jobs)
    for job in card.jobs:
        if left <= 0:
            break
        label = (f"<b>{h.esc(seed_text(job.seed) or job.job_id)}</b>", h.esc(h.one_line(job.cost_text, 80)))
        pieces.append(h.div(h.facts(label), "margin-top:14px"))
        if len(job.items) > len(job.pictures):
            pieces.append(article(job, thumbs, text_scale=share))
            left -= max(1, len(job.pictures))
        else:
            cells = _figure_or_state(job, job.pictures[:left], thumbs, min(total, MAX_SHOWN))
            left -= len(cells)
            pieces.append(grid(cells, layout_for(max(2, min(total, MAX_SHOWN)))))
    return "".join(pieces) + _more(total, card.jobs[0].job_id, card.show_command)
