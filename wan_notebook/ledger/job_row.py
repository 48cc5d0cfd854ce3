"""One job as it is read from the ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from wan_notebook.money import Cost, Source
from wan_notebook.rules import Mode
from wan_notebook.states import FINAL, JobState

from .rows import InputRecord, Owner, PictureRecord

_HINT = "\n→ "


def with_hint(words: str, hint: str) -> str:
    """Return an ``error_message`` for the ledger that also holds what to do; ``JobRow`` parts them again."""
    return f"{words}{_HINT}{hint}" if hint else words


@dataclass(frozen=True, kw_only=True)
class JobDetails:
    """The long columns and the children of a job: read when asked for, since a state change needs none of them."""

    prompt: str
    negative_prompt: str
    base_url: str
    parameters: Mapping[str, Any]
    request: Mapping[str, Any]
    versions: Mapping[str, Any]
    usage: Mapping[str, Any]
    metadata: Mapping[str, Any]
    items: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    pending_inputs: tuple[Mapping[str, Any], ...]
    error_message: str
    service_submit_text: str
    service_end_text: str
    inputs: tuple[InputRecord, ...]
    pictures: tuple[PictureRecord, ...]


@dataclass(frozen=True)
class JobRow:
    """One job as the ledger knows it. The long columns and children are in ``details``, also under their own names.

    A row that comes from a write holds its own columns as they were committed, and reads ``details`` when first asked.
    ``picture_count`` counts pictures on disk, ``missing`` those asked for and not delivered.
    """

    seq: int
    id: str
    state: JobState
    simulated: bool
    created_at: float
    trashed_at: float | None
    imported_at: float | None
    cost_amount: Decimal | None
    cost_currency: str
    cost_source: str
    n: int
    picture_count: int
    seed: int | None
    duration_s: float | None
    starred: bool
    rejected: bool
    notebook: str
    user: str
    provider: str
    model: str
    mode: str
    size_tier: str
    batch_id: str
    part: int
    fp_asked: str
    fp_sent: str
    task_id: str
    request_id: str
    envelope: str
    name: str
    tags: tuple[str, ...]
    cell_id: str
    key_fingerprint: str
    reserved_amount: Decimal | None
    reserved_currency: str
    cost_note: str
    error_code: str
    sending_at: float | None
    accepted_at: float | None
    first_running_at: float | None
    finished_at: float | None
    saved_at: float | None
    expires_at: float | None
    owner_host: str
    owner_pid: int | None
    owner_started: float | None
    owner_token: str
    lease_until: float | None
    purged_at: float | None
    missing: int
    load: Callable[[int], JobDetails] = field(repr=False, compare=False)

    @cached_property
    def details(self) -> JobDetails:
        """The long columns and the children; read from the ledger on first use."""
        return self.load(self.seq)

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to it by itself and no money is reserved."""
        return self.state in FINAL

    @property
    def rewrite(self) -> bool | None:
        """Whether the service rewrote the prompt: None where it was not said, and in every mode but editing."""
        said = self.parameters.get("prompt_extend") if self.mode == Mode.EDIT else None
        return None if said is None else bool(said)

    @property
    def cost(self) -> Cost:
        """What it cost, as far as known."""
        if self.cost_amount is None:
            return Cost(None, self.cost_currency or "USD", Source.UNKNOWN, self.cost_note)
        return Cost(self.cost_amount, self.cost_currency, Source(self.cost_source), self.cost_note)

    @property
    def reserved(self) -> Cost:
        """The most it can cost, as estimated before it was sent."""
        if self.reserved_amount is None:
            return Cost()
        return Cost(self.reserved_amount, self.reserved_currency, Source.ESTIMATED)

    @property
    def owner(self) -> Owner | None:
        """The kernel that last held it; see ``lease_until`` for whether it still does."""
        if not self.owner_token:
            return None
        return Owner(
            host=self.owner_host,
            pid=self.owner_pid or 0,
            started=self.owner_started or 0.0,
            token=self.owner_token,
        )

    @property
    def prompt(self) -> str:
        """The prompt as sent."""
        return self.details.prompt

    @property
    def negative_prompt(self) -> str:
        """The negative prompt as sent."""
        return self.details.negative_prompt

    @property
    def base_url(self) -> str:
        """The service's address at the time."""
        return self.details.base_url

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The service's ``parameters`` as sent."""
        return self.details.parameters

    @property
    def request(self) -> Mapping[str, Any]:
        """The canonical request as sent: what ``fp_sent`` is the hash of."""
        return self.details.request

    @property
    def versions(self) -> Mapping[str, Any]:
        """Versions of the software that made it."""
        return self.details.versions

    @property
    def usage(self) -> Mapping[str, Any]:
        """The service's own usage figures."""
        return self.details.usage

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The service's metadata, recorded and never computed with."""
        return self.details.metadata

    @property
    def items(self) -> tuple[Mapping[str, Any], ...]:
        """Pictures and texts in their order: ``{"picture": idx}`` or ``{"text": "…"}``."""
        return self.details.items

    @property
    def notes(self) -> tuple[str, ...]:
        """Hints and reductions, one line each."""
        return self.details.notes

    @property
    def pending_inputs(self) -> tuple[Mapping[str, Any], ...]:
        """Inputs that wait for another job's picture."""
        return self.details.pending_inputs

    @property
    def error_message(self) -> str:
        """The service's words about a failure."""
        return self.details.error_message.partition(_HINT)[0]

    @property
    def error_hint(self) -> str:
        """What a person can do about it, empty if nothing is known."""
        return self.details.error_message.partition(_HINT)[2]

    @property
    def service_submit_text(self) -> str:
        """The service's own submit time, as it wrote it (its zone is unknown)."""
        return self.details.service_submit_text

    @property
    def service_end_text(self) -> str:
        """The service's own end time, as it wrote it."""
        return self.details.service_end_text

    @property
    def inputs(self) -> tuple[InputRecord, ...]:
        """The pictures it was given, in order."""
        return self.details.inputs

    @property
    def pictures(self) -> tuple[PictureRecord, ...]:
        """The pictures that the service delivered, in order; see ``saved_at`` for which are on disk."""
        return self.details.pictures

    def to_dict(self) -> dict[str, Any]:
        """Return every column and child as plain data."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "load"}
        return {**own, **dataclasses.asdict(self.details)}
