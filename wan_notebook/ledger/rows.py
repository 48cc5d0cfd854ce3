"""What is written into the ledger, as plain data: times are Unix seconds in UTC, money is ``Decimal``, None unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from wan_notebook.states import JobState


@dataclass(frozen=True, kw_only=True)
class InputRecord:
    """One picture that a job was given; ``identity`` is the tagged hash of what the person gave (see inputs.py).

    ``sha256`` is of the bytes that are sent, ``file`` the kept copy relative to the store; ``source_job`` and
    ``source_index`` say which earlier result it was, if any.
    """

    position: int
    name: str
    identity: str
    sha256: str
    file: str
    width_px: int
    height_px: int
    mime: str
    source_job: str = ""
    source_index: int | None = None


@dataclass(frozen=True, kw_only=True)
class PictureRecord:
    """One picture (or video) that the service delivered.

    ``url`` is kept until the picture is saved, then cleared. ``sha256`` is of the bytes as the service sent them,
    ``recipe_sha256`` of what the file says of itself (see ``recipe.changed_in``), ``file_sha256`` of all of it where an
    older version wrote that. ``corrupt_file`` names bytes that are no picture.
    """

    idx: int
    job_id: str = ""
    kind: str = "image"
    url: str = ""
    remote_id: str = ""
    sha256: str = ""
    file: str = ""
    file_sha256: str = ""
    width_px: int | None = None
    height_px: int | None = None
    size_bytes: int | None = None
    mime: str = ""
    note: str = ""
    corrupt_file: str = ""
    saved_at: float | None = None
    starred: bool = False
    rejected: bool = False
    recipe_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The kernel that works on a job. ``token`` is unique to this run of it; the rest tells whether it still lives."""

    host: str
    pid: int
    started: float
    token: str


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a job; events are only ever added. ``state`` is set if it moved the job."""

    at: float
    kind: str
    state: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class JobDraft:
    """A job to be created. ``request`` is the canonical JSON as sent; ``reserved_amount`` None means no known price.

    Drafts of one call that name no batch belong together: they share the first one's id as ``batch_id``, and
    ``part`` is their position.
    """

    provider: str
    model: str
    mode: str
    prompt: str
    request: Mapping[str, Any]
    fp_asked: str
    fp_sent: str
    n: int = 1
    seed: int | None = None
    state: JobState = JobState.INTENT
    batch_id: str = ""
    part: int = 0
    base_url: str = ""
    simulated: bool = False
    negative_prompt: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    size_tier: str = ""
    envelope: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    notebook: str = ""
    cell_id: str = ""
    user: str = ""
    key_fingerprint: str = ""
    versions: Mapping[str, Any] = field(default_factory=dict)
    reserved_amount: Decimal | None = None
    reserved_currency: str = ""
    notes: tuple[str, ...] = ()
    pending_inputs: tuple[Mapping[str, Any], ...] = ()
    inputs: tuple[InputRecord, ...] = ()
    created_at: float | None = None
