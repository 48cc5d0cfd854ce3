"""Pictures side by side, captioned, as a static output: what differs between them stands out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from wan_notebook.views import html as h
from wan_notebook.views.figures import SMALL, Layout, figure, grid, layout_for
from wan_notebook.views.gallery import Bundle, bundle_of
from wan_notebook.views.looks import GREY, plural
from wan_notebook.views.model import CompareItem, JobView
from wan_notebook.views.terminal_tables import compare_text
from wan_notebook.views.thumbs import MAX_SHOWN, Thumb


def compare_bundle(items: Sequence[CompareItem], *, title: str = "") -> Bundle:
    """Return pictures side by side with their labels; of their facts, those that differ are bold."""
    shown = tuple(items[:MAX_SHOWN])
    # Each item may show the same picture object: a copy of its own keeps their thumbnails apart.
    mine = tuple(replace(item, picture=replace(item.picture)) for item in shown)

    def draw(thumbs: dict[int, Thumb], text_scale: float) -> str:
        return _html(mine, title, len(items), thumbs, text_scale)

    metadata = {"schema": 1, "view": "compare", "sha256": [h.one_line(item.picture.sha256, 80) for item in mine]}
    return bundle_of(
        draw, tuple(item.picture for item in mine), text=compare_text(items, title), metadata={"wan": metadata}
    )


def _html(items: Sequence[CompareItem], title: str, count: int, thumbs: dict[int, Thumb], text_scale: float) -> str:
    base = layout_for(max(2, len(items)))
    layout = Layout(base.width, min(base.max_width, 480), base.max_height, per_row=2 if len(items) <= 4 else 3)
    common = _common(items)
    cells = [_cell(item, common, thumbs, layout, int(400 * text_scale)) for item in items]
    head = h.facts((f"<b>{h.bdi(h.one_line(title, 80)) if title else 'Compare'}</b>", plural(count, "picture")))
    more = h.div(f"and {count - len(items)} more") if count > len(items) else ""
    same = h.facts(f"{h.esc(name)} {h.bdi(h.one_line(value, 80))}" for name, value in sorted(common))
    return h.frame(h.div(head) + h.div(f"all: {same}" if same else "", h.MUTED) + grid(cells, layout) + more, GREY)


def _common(items: Sequence[CompareItem]) -> frozenset[tuple[str, str]]:
    counts = Counter(fact for item in items for fact in set(item.facts))
    return frozenset(fact for fact, n in counts.items() if n == len(items) and len(items) > 1)


def _cell(
    item: CompareItem, common: frozenset[tuple[str, str]], thumbs: dict[int, Thumb], layout: Layout, limit: int
) -> str:
    job = JobView(job_id=item.picture.job_id, state="saved", prompt=item.prompt)
    differs = [(n, v) for n, v in item.facts if (n, v) not in common]
    facts = h.facts(f"{h.esc(h.one_line(n, 40))} <b>{h.bdi(h.one_line(v, 80))}</b>" for n, v in differs)
    prompt = h.bdi(h.one_line(item.prompt, max(40, limit))) if item.prompt else ""
    below = h.div(facts, SMALL) + h.div(prompt, SMALL, h.MUTED, "overflow-wrap:anywhere")
    label = f"<b>{h.bdi(h.one_line(item.label, 80))}</b>" if item.label else ""
    return figure(
        item.picture, job, thumbs.get(id(item.picture)), layout, above=h.div(label, "padding:0 0 4px"), below=below
    )
