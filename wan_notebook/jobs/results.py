"""What a task's end means for the ledger: state, texts and pictures in their order, usage, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..ledger import JobRow, PictureRecord
from ..states import JobState
from ..wire import Output, Phase, TaskState
from .outcome import Price, cost_of_task


@dataclass(frozen=True)
class End:
    """The transition that a finished task asks for."""

    state: JobState
    columns: Mapping[str, Any]
    pictures: tuple[PictureRecord, ...] = ()


def read_end(state: TaskState, row: JobRow, price: Price | None) -> End:
    """Read a task that ended. ``usage`` and ``metadata`` are recorded, never computed with."""
    seen: dict[str, Any] = {
        "request_id": state.request_id or row.request_id,
        "service_submit_text": state.submitted_at_text,
        "service_end_text": state.ended_at_text,
        "duration_s": state.duration_s,
    }
    if state.phase is not Phase.SUCCEEDED:
        new = JobState.CANCELLED if state.phase is Phase.CANCELLED else JobState.FAILED
        return End(new, {**seen, "error_code": state.error_code, "error_message": state.error_message})
    items, pictures = _items(row, state.outputs)
    cost = cost_of_task(state, simulated=row.simulated, price=price, pictures=len(pictures))
    seen |= {
        "items": items,
        "usage": dict(state.usage),
        "metadata": dict(state.metadata),
        "cost_amount": cost.amount,
        "cost_currency": cost.currency,
        "cost_source": cost.source.value,
        "cost_note": cost.note,
    }
    return End(JobState.SUCCEEDED, seen, tuple(pictures))


def _items(row: JobRow, outputs: Sequence[Output]) -> tuple[list[dict[str, Any]], list[PictureRecord]]:
    """Return the order of texts and pictures, and a record for each picture that is to be fetched."""
    items: list[dict[str, Any]] = []
    pictures: list[PictureRecord] = []
    for output in outputs:
        if output.kind == "text":
            items.append({"text": output.text})
            continue
        items.append({"picture": len(pictures)})
        pictures.append(
            PictureRecord(
                job_id=row.id, idx=len(pictures), kind=output.kind, url=output.url, remote_id=output.remote_id
            )
        )
    return items, pictures
