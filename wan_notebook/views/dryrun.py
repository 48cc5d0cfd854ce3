"""What would be sent, before anything is: the exact request, its mode, the expected size, the most it can cost."""

from __future__ import annotations

from typing import Final

from wan_notebook.views import html as h
from wan_notebook.views.looks import GREY, plural
from wan_notebook.views.model import DryRunImage, DryRunView
from wan_notebook.views.tables import Bundle, Column, as_bundle, data_table
from wan_notebook.views.terminal_tables import bytes_text, dry_run_text

_JSON_CHARACTERS: Final = 20_000
_IMAGES: Final = (
    Column("", is_unbroken=True),
    Column("Name", is_spare=True),
    Column("Size", is_unbroken=True),
    Column("Bytes", is_number=True),
    Column("SHA-256", is_unbroken=True),
)


def dry_run_bundle(view: DryRunView) -> Bundle:
    """Return the request that a cell would send."""
    head = h.facts(("◇ <b>dry run</b>", "nothing was sent", h.esc(view.mode)))
    calls = f"{view.calls} such requests, each with its seed{view.seeds_text}" if view.calls > 1 else ""
    pairs = [
        ("In the store", h.rich(view.answered_text)),
        ("Request", h.code(view.endpoint) if view.endpoint else ""),
        ("How many", h.esc(calls)),
        ("Expected size", h.bdi(view.expected_size_text) if view.expected_size_text else ""),
        ("At most", h.bdi(h.one_line(view.most_text, 120)) if view.most_text else ""),
        *(("Note", h.rich(h.one_line(note, 400))) for note in view.notes[:20]),
    ]
    images = data_table(_IMAGES, [_image(i, image) for i, image in enumerate(view.images)]) if view.images else ""
    shown = view.request_json[:_JSON_CHARACTERS]
    cut = len(view.request_json) - len(shown)
    body = h.pre(shown + (f"… ({cut} more characters)" if cut else ""))
    label = h.div(f"{plural(len(view.images), 'input picture')}:" if view.images else "", "margin-top:10px", h.MUTED)
    html = h.frame(h.div(head) + h.rows(pairs) + label + images + body, GREY)
    return as_bundle(html, dry_run_text(view), "dry run")


def _image(index: int, image: DryRunImage) -> tuple[str, ...]:
    note = h.div(h.rich(h.one_line(image.note, 300)), "font-size:85%", h.MUTED) if image.note else ""
    kind = f" {image.mime.removeprefix('image/').upper()}" if image.mime else ""
    head = (h.unbroken(f"image {index + 1}"), h.bdi(h.one_line(image.name, 80)) + note)
    if not image.width_px:
        return (*head, "", "", "")
    return (
        *head,
        h.unbroken(f"{image.width_px}×{image.height_px} px{kind}"),
        h.unbroken(bytes_text(image.size_bytes)),
        h.code(image.sha256[:16]),
    )
