"""From a task to its row in the ledger and to the recipe in its pictures."""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .._version import __version__
from ..inputs import InputImage, PendingImage
from ..jobs.outcome import cost_of_row
from ..jobs.waiting import input_records
from ..ledger import InputRecord, JobDraft, JobRow, PictureRecord
from ..recipe import Recipe, RecipeInput, RecipeParameters, RecipePicture
from ..settings import Settings
from ..store import Store
from .caps import Price
from .meetings import MEETING_KEY, RUN_KEY
from .order import Order
from .replay import Part

EMBED_KEY = "embed"
"""Where a job's ``versions`` keep what ``--no-embed`` said, so that a later kernel obeys it too."""


def draft_of(part: Part, settings: Settings, order: Order, unit: Price | None, store: Store, run: str) -> JobDraft:
    """Return the row that is committed before anything is sent; its inputs are on disk then too."""
    request, provider = part.request, settings.provider
    parameters = request.parameters()
    notes = (*order.hints, *(note for i in request.images if isinstance(i, InputImage) for note in i.notes))
    return JobDraft(
        provider=provider.name,
        base_url=provider.base_url,
        simulated=provider.name == "simulator",
        model=request.model,
        mode=request.mode.value,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        parameters=parameters,
        request=request.canonical(with_seed=True),
        fp_asked=part.fp_asked,
        fp_sent=part.fp_sent,
        seed=request.seed,
        n=request.pictures_asked,
        size_tier=str(parameters.get("size", "")),
        name=order.name,
        tags=order.tags,
        notebook=order.place.notebook,
        cell_id=order.place.cell_id,
        user=settings.user,
        key_fingerprint=provider.key.fingerprint if provider.key else "",
        versions={**software(), **_made_by(part, order, run)},
        reserved_amount=unit[0] * request.pictures_asked if unit else None,
        reserved_currency=unit[1] if unit else "",
        notes=notes,
        pending_inputs=tuple(_pending(i) for i in request.images if isinstance(i, PendingImage)),
        inputs=input_records(request, store),
    )


def _made_by(part: Part, order: Order, run: str) -> dict[str, Any]:
    meeting = {MEETING_KEY: str(part.meeting)} if part.meeting else {}
    return {RUN_KEY: run, **meeting, **({} if order.embed is None else {EMBED_KEY: order.embed})}


def _pending(image: PendingImage) -> dict[str, Any]:
    return {"name": image.name, "job": image.job_id, "index": image.index}


@cache
def software() -> dict[str, str]:
    """Return the versions of what makes a picture's record."""
    found = {"wan-notebook": __version__, "python": platform.python_version()}
    for name in ("pillow", "httpx", "ipykernel"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def recipe_of(row: JobRow, picture: PictureRecord) -> Recipe:
    """Return what a picture's file says about itself: never a key, a signed address or a local path."""
    known = {f.name for f in fields(RecipeParameters)}
    times = {"created": row.created_at, "accepted": row.accepted_at, "finished": row.finished_at}
    return Recipe(
        model=row.model,
        provider=row.provider,
        mode=row.mode,
        prompt=row.prompt,
        negative_prompt=row.negative_prompt,
        job_id=row.id,
        task_id=row.task_id,
        parameters=RecipeParameters(**{k: v for k, v in row.parameters.items() if k in known}),
        picture=RecipePicture(
            index=picture.idx,
            count=max(1, len(row.pictures)),
            sha256=picture.sha256,
            width_px=picture.width_px,
            height_px=picture.height_px,
        ),
        seeds=() if row.seed is None else (row.seed,),
        inputs=tuple(_recipe_input(record) for record in row.inputs),
        times={name: _iso(at) for name, at in times.items() if at is not None},
        cost=cost_of_row(row),
        fingerprints={"asked": row.fp_asked, "sent": row.fp_sent},
        versions={k: str(v) for k, v in row.versions.items() if k not in (RUN_KEY, MEETING_KEY, EMBED_KEY)},
    )


def _recipe_input(record: InputRecord) -> RecipeInput:
    return RecipeInput(
        name=record.name,
        identity=record.identity,
        sha256=record.sha256,
        width_px=record.width_px,
        height_px=record.height_px,
    )


def _iso(at: float) -> str:
    return dt.datetime.fromtimestamp(at, tz=dt.UTC).isoformat(timespec="seconds")


def _wants_recipe(row: JobRow, settings: Callable[[], Settings]) -> bool:
    """Whether this job's pictures carry their recipe: as the cell said, else as configured."""
    return bool(row.versions[EMBED_KEY]) if EMBED_KEY in row.versions else settings().embed


def recipe_writer(settings: Callable[[], Settings]) -> Callable[[JobRow, PictureRecord], Recipe | None]:
    """Return what writes a picture's recipe, unless that is switched off."""
    return lambda row, picture: recipe_of(row, picture) if _wants_recipe(row, settings) else None
