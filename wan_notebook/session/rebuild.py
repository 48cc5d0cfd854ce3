"""From the record back to the request: what recall, show and a handle of an old job need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import RequestError, WanError
from ..inputs import InputImage
from ..ledger import InputRecord, JobRow
from ..request import ImageRequest
from ..rules import Mode
from ..store import Store


def rebuild(row: JobRow, store: Store) -> ImageRequest:
    """Return the request that a row was made from.

    An input whose kept copy is gone stands as an empty picture of its recorded size and name: enough to show and to
    write a cell, and refused by the service if it were sent.
    """
    parameters: dict[str, Any] = dict(row.parameters)
    mode = Mode(row.mode)
    fields: dict[str, Any] = {
        "prompt": row.prompt,
        "negative_prompt": row.negative_prompt,
        "images": tuple(_image(record, store) for record in row.inputs),
        "size": parameters.get("size"),
        "watermark": bool(parameters.get("watermark", False)),
        "seed": row.seed,
        "interleave": mode is Mode.ILLUSTRATED,
    }
    if mode is Mode.EDIT:
        fields |= {"n": parameters.get("n", 1), "prompt_extend": parameters.get("prompt_extend")}
    elif mode is Mode.ILLUSTRATED:
        fields["max_images"] = parameters.get("max_images")
    try:
        return ImageRequest(**fields)
    except RequestError:
        # A record of other rules (an older version, a pending input): show what there is rather than nothing.
        return ImageRequest.model_construct(**fields)


def _image(record: InputRecord, store: Store) -> InputImage:
    kept = InputImage(
        name=record.name,
        identity=record.identity,
        data=b"",
        mime=record.mime,
        width_px=record.width_px,
        height_px=record.height_px,
        source_job=record.source_job,
        source_index=record.source_index,
    )
    try:
        return replace(kept, data=store.read(record.file))
    except WanError:
        return kept
