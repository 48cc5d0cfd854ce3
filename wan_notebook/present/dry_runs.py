"""What a call would send, before it does: the exact request, and what is known of its result and cost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..inputs import InputImage, PendingImage
from ..money import format_amount
from ..request import ImageRequest
from ..session import Order, Session
from ..session.caps import Caps, pictures_of
from ..session.home import Home
from ..session.replay import Part
from ..settings import Provider
from ..views.model import DryRunImage, DryRunView
from ..wire import dialect_for
from . import words
from .facts import expected_text


def dry_run(session: Session, home: Home | None, order: Order) -> DryRunView:
    """Return the exact request, its expected size and the most it can cost; nothing is sent, fetched or created."""
    settings, parts = session.plan(order)
    request, provider = parts[0].request, settings.provider
    dialect = dialect_for(provider.name)
    call = dialect.submit(
        _without_pixels(request), envelope=_first_envelope(session.providers.envelope(settings), dialect.envelopes)
    )
    ledger = home.ledger if home else None
    caps = Caps(session.settings(order.provider), ledger, session.sources, session.place().notebook)
    answered = [part.answer for part in parts if part.answer is not None]
    return DryRunView(
        request_json=json.dumps(_shown(call.body, request, order, parts), indent=2, ensure_ascii=False),
        mode=request.mode.value,
        endpoint=f"{call.method} {dialect.base_url(provider.base_url)}{call.path}",
        expected_size_text=f"shape of {order.size_follows}" if order.size_follows else expected_text(request),
        most_text=_most_text(session, caps, [part for part in parts if part.answer is None], provider),
        calls=len(parts),
        seeds_text=_seeds_text(order, parts),
        images=tuple(_image(image) for image in request.images),
        notes=order.hints,
        answered_text=f"from store · $0.00 · {words.day_text(answered[0].created_at)}" if answered else "",
    )


def _most_text(session: Session, caps: Caps, parts: Sequence[Part], provider: Provider) -> str:
    """Return the most it can cost; of practice, what it would cost too."""
    text = caps.most_text(parts, provider.name)
    price = session.providers.practice_price(provider)
    count = pictures_of(parts)
    return f"{text} (would cost up to {format_amount(price * count)})" if price is not None and count else text


def _seeds_text(order: Order, parts: Sequence[Part]) -> str:
    if order.requests[0].seed is None and parts[0].answer is None:
        return ""
    seeds = [str(part.request.seed) for part in parts[:12]]
    return f": {', '.join(seeds)}{', …' if len(parts) > 12 else ''}"


def _first_envelope(setting: str, known: Sequence[str]) -> str:
    return setting if setting in known else known[0]


def _without_pixels(request: ImageRequest) -> ImageRequest:
    """Return the request with empty uploads: the body is built without megabytes that are not shown."""
    images = tuple(
        InputImage(name=i.name, identity="", data=b"", mime="", width_px=0, height_px=0) for i in request.images
    )
    return request.model_construct(**{**dict(request), "images": images})


def _shown(body: Any, request: ImageRequest, order: Order, parts: Sequence[Part]) -> Any:
    """Return the body with each picture as its name, size, bytes and hash, and with words for what is not known yet."""
    unknown = {}
    if order.requests[0].seed is None and parts[0].answer is None:
        unknown["seed"] = "(chosen when it is sent)"
    if order.size_follows:
        unknown["size"] = f"(the shape of {order.size_follows}, which is not here yet)"
    return _with(body, unknown, iter([_described(image) for image in request.images]))


def _with(node: Any, unknown: dict[str, str], pictures: Iterator[str]) -> Any:
    if isinstance(node, dict):
        shown = {k: next(pictures, v) if k == "image" else _with(v, unknown, pictures) for k, v in node.items()}
        return {**shown, **unknown} if "enable_interleave" in shown else shown
    return [_with(item, unknown, pictures) for item in node] if isinstance(node, list | tuple) else node


def _described(image: InputImage | PendingImage) -> str:
    if isinstance(image, PendingImage):
        return f"<{image.name}: not here yet>"
    return f"<{image.name}: {image.width_px}×{image.height_px}, {image.size_bytes} bytes, sha256 {image.sha256[:12]}…>"


def _image(image: InputImage | PendingImage) -> DryRunImage:
    if isinstance(image, PendingImage):
        why = "a dry run fetches nothing" if image.is_address else "a dry run waits for no job"
        return DryRunImage(
            name=image.name, width_px=0, height_px=0, size_bytes=0, sha256="", note=f"not here yet: {why}"
        )
    return DryRunImage(
        name=image.name,
        width_px=image.width_px,
        height_px=image.height_px,
        size_bytes=image.size_bytes,
        sha256=image.sha256,
        mime=image.mime,
        note="; ".join(image.notes),
    )
