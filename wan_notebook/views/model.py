"""The plain data that views show; session and magic fill it, and nothing here knows where it came from.

Texts are as a person reads them and may be hostile: every view escapes them. In notes, errors and hints a piece between
backticks is a command or expression to paste, and is shown as code. Lengths are pixels, times seconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A ready-made smaller copy of a picture (made when it was saved), so that showing it decodes nothing."""

    data: bytes
    width_px: int
    height_px: int
    mime: str = "image/webp"


@dataclass(frozen=True, kw_only=True)
class PictureView:
    """One picture with its caption.

    ``previews`` are tried first (the best fitting one is used as it is); ``data``, the file's own bytes, is decoded
    only where no preview fits. With neither, the card says that the file is missing and where it was looked for.
    """

    job_id: str
    index: int = 0
    expr: str = ""
    """What to paste to get it: ``fox[0]``."""
    seed: int | None = None
    seed_note: str = ""
    """``3 of 4, one batch`` where several share one seed."""
    width_px: int = 0
    height_px: int = 0
    file: str = ""
    """Path from the notebook's folder, with ``/``: the link."""
    full_path: str = ""
    """Absolute path, for a terminal."""
    data: bytes | None = None
    mime: str = "image/png"
    previews: tuple[Preview, ...] = ()
    cost_text: str = ""
    time_text: str = ""
    sha256: str = ""
    starred: bool = False
    rejected: bool = False
    note: str = ""
    """A dimension that differs, a repaired download."""
    kind: str = "image"
    """``video`` is kept as bytes and linked, never shown."""


@dataclass(frozen=True, kw_only=True)
class TextView:
    """Text that the service wrote between the pictures of an illustrated text."""

    text: str


@dataclass(frozen=True, kw_only=True)
class JobView:
    """One job: one task at the service. Only ``job_id`` and ``state`` (a state's name) are needed."""

    job_id: str
    state: str
    mode: str = ""
    """As people see it: ``edit``, ``text to image``, ``illustrated text``."""
    prompt: str = ""
    negative_prompt: str = ""
    seed: int | None = None
    model: str = ""
    provider: str = ""
    items: tuple[PictureView | TextView, ...] = ()
    """In the service's order."""
    cost_text: str = ""
    """What it cost, once known: ``$0.03``, ``≈$0.03 (as billed 24 Nov)``, ``price unknown``."""
    most_text: str = ""
    """Before that: ``up to $0.12``, ``price unknown``."""
    elapsed_s: float | None = None
    eta_text: str = ""
    """``about 8–14 s more``."""
    progress: float | None = None
    """0 to 1, if the service tells it."""
    when_text: str = ""
    """``24 Nov 14:32``."""
    expires_text: str = ""
    """``until 25 Nov 14:32``: how long the service keeps the result."""
    expected_size_text: str = ""
    """``≈1108×1478, shape of image 3 (ref)``."""
    can_cancel: bool = False
    cancel_requested: bool = False
    notes: tuple[str, ...] = ()
    """Hints and reductions, one line each."""
    error_lines: tuple[str, ...] = ()
    """What happened, in the error's own lines."""
    next_text: str = ""
    """What to do next, if the error knows better than the state does."""
    replay_text: str = ""
    """``from store · $0.00 · 24 Nov``."""
    again_text: str = ""
    """``run again for a new picture``."""
    name: str = ""
    """The variable it is bound to (``--as``)."""
    rewrite: bool | None = None
    """True: the service rewrote the prompt. None: the mode has no rewriting."""
    fingerprint_asked: str = ""
    fingerprint_sent: str = ""
    missing: int = 0
    """How many pictures were asked for and not delivered."""
    tags: tuple[str, ...] = ()
    simulated_note: str = ""
    """``practice picture: no key · `%wan login```."""
    task_id: str = ""
    request_id: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    """Further rows for "prompt and parameters": name and value."""
    cell_text: str = ""
    """The `%%wan` cell that asks the same."""

    @property
    def pictures(self) -> tuple[PictureView, ...]:
        """Return the items that are pictures."""
        return tuple(item for item in self.items if isinstance(item, PictureView))


@dataclass(frozen=True, kw_only=True)
class CardView:
    """What one cell shows: one job, or several as one labelled grid. ``sheet`` is a ready-made JPEG of all pictures."""

    jobs: tuple[JobView, ...]
    title: str = ""
    total_text: str = ""
    """The price of all jobs together: ``$0.24 reported``."""
    show_command: str = ""
    """What shows it again, if not ``%wan show FIRST-JOB``."""
    sheet: bytes | None = None

    def __post_init__(self) -> None:
        if not self.jobs:
            raise ValueError("a card shows at least one job")

    @property
    def pictures(self) -> tuple[PictureView, ...]:
        """Return the pictures of all jobs, in order."""
        return tuple(picture for job in self.jobs for picture in job.pictures)


# ------------------------------------------------------------------ tables


@dataclass(frozen=True, kw_only=True)
class HistoryRowView:
    """One job in the history; ``picture`` is its first one, for a thumbnail of 64 px."""

    job_id: str
    state: str
    when_text: str = ""
    prompt: str = ""
    mode: str = ""
    size_text: str = ""
    seed: int | None = None
    n: int = 1
    """Pictures delivered, or asked for while it runs."""
    duration_text: str = ""
    cost_text: str = ""
    cost_source: str = ""
    """``reported``, ``estimated``, ``unknown``, ``simulated``, ``stored``."""
    picture: PictureView | None = None
    starred: bool = False
    tags: tuple[str, ...] = ()
    name: str = ""
    notebook: str = ""
    is_trashed: bool = False


@dataclass(frozen=True, kw_only=True)
class HistoryView:
    """A page of the history with the totals of everything that matched, not only of the page."""

    rows: tuple[HistoryRowView, ...]
    total_rows: int
    total_pictures: int = 0
    total_text: str = ""
    filter_text: str = ""
    """What was searched for: ``"fox", since 7 d``."""
    more_text: str = ""
    """How to see the rest: `` `%wan history --limit 100` ``."""
    trash_text: str = ""
    """``1 job in the trash: `%wan history --trash```."""


@dataclass(frozen=True, kw_only=True)
class CostRowView:
    """One bar: a day, a notebook, a tag or a person. ``amount`` is what the bar's length shows, in ``currency``."""

    label: str
    amount: float
    currency: str = "USD"
    amount_text: str = ""
    """``$1.20 reported + $0.36 estimated + 2 unknown``."""
    jobs: int = 0
    pictures: int = 0


@dataclass(frozen=True, kw_only=True)
class CostSection:
    """One way of cutting the spend: ``by day``. An incomplete one says so in ``note``."""

    title: str
    rows: tuple[CostRowView, ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class CostView:
    """The spend, with its total and what the caps still allow."""

    sections: tuple[CostSection, ...]
    total_text: str
    jobs: int = 0
    pictures: int = 0
    reserved_text: str = ""
    budget_lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CompareItem:
    """One picture of a comparison: ``label`` above it (its expression if empty), the prompt below."""

    picture: PictureView
    label: str = ""
    prompt: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    """Name and value; what differs between the pictures is set in bold."""


@dataclass(frozen=True, kw_only=True)
class DryRunImage:
    """One input picture of a request that is not sent; without a size it is not here yet, as ``note`` says."""

    name: str
    width_px: int
    height_px: int
    size_bytes: int
    sha256: str
    mime: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class DryRunView:
    """What would be sent: ``request_json`` is the exact body, with pictures by name, size, bytes and hash."""

    request_json: str
    mode: str
    endpoint: str = ""
    """``POST https://…/model/v1/…``."""
    expected_size_text: str = ""
    most_text: str = ""
    calls: int = 1
    """How many such requests: one a picture in text to image, one a seed."""
    seeds_text: str = ""
    """Which seeds those have, where they are known: ``: 5, 9, 12``."""
    images: tuple[DryRunImage, ...] = ()
    notes: tuple[str, ...] = ()
    answered_text: str = ""
    """If the store already holds the answer: ``from store · $0.00 · 24 Nov``."""


@dataclass(frozen=True, kw_only=True)
class StatusView:
    """Where one stands (bare ``%wan``): a few labelled lines and what to type next."""

    lines: tuple[tuple[str, str], ...]
    next_lines: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DoctorLine:
    """One check: ``level`` is ``ok``, ``warning``, ``problem`` or ``info``; ``hint`` says what to do."""

    name: str
    level: str
    text: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class DoctorView:
    """What the checks found."""

    lines: tuple[DoctorLine, ...]
    title: str = "wan doctor"
