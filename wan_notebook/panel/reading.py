"""Reading the form as the magic reads the equivalent cell: the request, every problem beside its field, and its price.

The panel has no rules of its own: what a cell cannot do, it cannot do either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ..cell import CellCall, read_cell
from ..cell_images import Resolver
from ..errors import CellError, Problem, RequestError, WanError
from ..money import format_amount
from ..present.facts import expected_text
from ..rules import Mode
from ..session import Order, Place, Session
from ..session.caps import Caps, pictures_of
from ..session.home import Home
from ..session.replay import Part
from ..template import expand, split_negative
from .form import Cell, Form, cell_of

_FIELDS: Final = {
    "prompt": "prompt",
    "negative_prompt": "negative",
    "image": "images",
    "images": "images",
    "size": "size",
    "n": "n",
    "max_images": "n",
    "seed": "seed",
    "prompt_extend": "rewrite",
    "--as": "name",
    "tag": "tags",
    "--provider": "provider",
}
_PIECE: Final = re.compile(r"\{\{|\}\}|\{[^{}\n]{0,200}\}")
PREVIEW_MAX: Final = 2400


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the form means now. ``problems`` maps a field to its lines; ``preview`` is the prompt with names resolved.

    ``is_untouched``: nothing is wrong but that there is no prompt yet.
    """

    form: Form
    cell: Cell
    call: CellCall | None
    problems: Mapping[str, tuple[str, ...]]
    preview: tuple[tuple[str, str], ...] = ()
    characters: int | None = None
    negative_characters: int | None = None
    expected_size: str = ""
    hints: tuple[str, ...] = ()

    @property
    def is_untouched(self) -> bool:
        """Whether only the prompt is missing."""
        return not self.form.prompt.strip() and set(self.problems) == {"prompt"}


def read_form(form: Form, resolver: Resolver) -> Reading:
    """Read a form without sending or fetching anything; never raises for what a person typed."""
    cell = cell_of(form)
    found = list(cell.problems)
    call: CellCall | None = None
    try:
        call = read_cell(cell.line, cell.body, resolver)
    except RequestError as error:
        found += error.problems
    except CellError as error:
        found.append(Problem("cell", "", error.message, error.hint))
    if found:
        call = None
    request = call.requests[0] if call else None
    return Reading(
        form=form,
        cell=cell,
        call=call,
        problems=_by_field(found),
        preview=preview_of(form.prompt, resolver.namespace),
        characters=_length(split_negative(form.prompt)[0], resolver.namespace),
        negative_characters=_length(form.negative, resolver.namespace),
        expected_size=expected_text(request) if request else "",
        hints=call.hints if call else (),
    )


def preview_of(text: str, namespace: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the pieces of a text as ``(kind, text)``: ``text``, a name's ``value``, or ``unknown`` as it was typed.

    Empty for a text without braces: there is nothing to resolve.
    """
    if "{" not in text and "}" not in text:
        return ()
    pieces: list[tuple[str, str]] = []
    position = 0
    for match in _PIECE.finditer(text):
        pieces.append(("text", text[position : match.start()]))
        position = match.end()
        if match[0] in ("{{", "}}"):
            pieces.append(("text", match[0][0]))
            continue
        expanded = expand(match[0], namespace)
        pieces.append(("unknown", match[0]) if expanded.problems else ("value", expanded.text))
    pieces.append(("text", text[position:]))
    return _cut([piece for piece in pieces if piece[1]])


def _cut(pieces: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    left, kept = PREVIEW_MAX, []
    for kind, text in pieces:
        if left <= 0:
            kept.append(("text", "…"))
            break
        kept.append((kind, text[:left]))
        left -= len(text)
    return tuple(kept)


def _length(text: str, namespace: Mapping[str, Any]) -> int:
    return len(expand(text.strip(), namespace).text)


def _by_field(problems: list[Problem]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for problem in problems:
        is_named = problem.value and not problem.value.endswith("…")  # a long value is seen in its field
        line = problem.message if not is_named else f"{problem.value}: {problem.message}"
        line = line if is_named else f"{line[:1].upper()}{line[1:]}"
        if problem.field == "prompt" and not problem.value and problem.message == "is empty.":
            line, problem = "Write what the picture shows.", replace(problem, hint="")
        text = f"{line} {problem.hint}".rstrip().replace(", or add --raw", "")  # the panel has no such option
        lines = found.setdefault(_FIELDS.get(problem.field, "form"), [])
        if text not in lines:
            lines.append(text)
    return {field: tuple(lines) for field, lines in found.items()}


# What it costs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What the button says: ``label`` with the most it can cost, ``detail`` in a smaller line below."""

    label: str
    detail: str
    order: Order | None = None
    is_free: bool = False


def order_of(reading: Reading, session: Session, place: Place) -> Order | None:
    """Return what a click would order. An empty seed field means a new picture each time, whatever the store has."""
    if reading.call is None:
        return None
    settings = session.settings(reading.call.provider)
    fresh = reading.form.is_seedless and session.replay_mode(settings) != "only"
    return replace(Order.of_cell(reading.call, place), fresh=fresh)


def offer_of(reading: Reading, session: Session, home: Home, place: Place) -> Offer:
    """Return what the button says about a form that can be sent; an error in the settings is said there too."""
    try:
        order = order_of(reading, session, place)
        if order is None:
            return Offer(label="Generate", detail="")
        settings, parts = session.plan(order)
    except WanError as error:
        return Offer(label="Generate", detail=str(error))
    simulated_ok = settings.provider.name == "simulator"
    wanted = [part for part in parts if part.answer is None and not _is_open(part, home, order, simulated_ok)]
    if not wanted:
        joined = any(part.answer is None for part in parts)
        detail = (
            "it runs already: you will see its result" if joined else "answered before: shown again, nothing is sent"
        )
        label = "Join the running job · $0.00" if joined else "From store · $0.00"
        return Offer(label=label, detail=detail, order=order, is_free=True)
    provider = settings.provider.name
    caps = Caps(settings, home.ledger, session.sources, place.notebook)
    return _priced(order, parts, wanted, caps, provider)


def _priced(order: Order, parts: list[Part], wanted: list[Part], caps: Caps, provider: str) -> Offer:
    count = pictures_of(wanted)
    counted = f"{count} picture{'' if count == 1 else 's'}"
    mode = wanted[0].request.mode
    details = [f"at most {counted}" if mode is Mode.ILLUSTRATED else counted]
    if stored := len(parts) - len(wanted):
        details.append(f"{stored} more from the store")
    if provider == "simulator":
        label = "Generate · practice (free)"
    elif (price := caps.unit_price(provider)) is None:
        label = "Generate · price unknown"
    else:
        label = f"Generate · up to {format_amount(price[0] * count, price[1])}"
        details.append(price[2])
    return Offer(label=label, detail=" · ".join(details), order=order, is_free=provider == "simulator")


def _is_open(part: Part, home: Home, order: Order, simulated_ok: bool) -> bool:
    if order.fresh:
        return False
    return home.ledger.find_open(part.fp_sent, by="sent", simulated_ok=simulated_ok) is not None
