"""The panel: the parts put together, and what a change or a click means.

Callbacks come on any thread, so none of them waits: work goes to followers and to the runtime's callback threads.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets

from .. import host
from ..errors import WanError
from ..jobs import Job
from ..ledger import JobRow, PictureRecord
from ..present import Presenter
from ..session import Place, Session
from ..views.looks import plural
from ..views.panel_widgets import CellRecord, Message, RunBar
from .fields import Fields
from .form import Form, cell_of, form_of_cell
from .gallery import GalleryFeed
from .history import HistoryFeed
from .jobs import JobsFeed
from .layout import columns_of, head_of, shape_note, things_text
from .loop import Follower
from .reading import Offer, Reading, offer_of, order_of, read_form
from .recall import Recalled
from .sources import SourcesFeed

log = logging.getLogger(__name__)
SETTLE_S = 0.15  # a pause in typing after which the form is read
_latest: list[weakref.ref[Panel]] = []


class Panel(ipywidgets.VBox):  # type: ignore[misc]
    """Requests with the mouse. It displays itself; ``form`` is what stands in it, ``cell`` the cell that asks the same.

    ``shell`` is IPython's, whose variables are offered and followed; without one ``variables`` may be given.
    """

    def __init__(
        self,
        session: Session,
        *,
        shell: Any = None,
        variables: Mapping[str, Any] | None = None,
        base: Path | None = None,
    ) -> None:
        self._session, self._shell = session, shell if shell is not None else host.shell()
        self._variables = variables
        self._home = session.need_home()
        self._presenter = Presenter(session, self._home, base=base or host.notebook_folder())
        self._notebook = session.place().notebook or host.notebook_path(self._shell)
        self._ordering = threading.Lock()
        self._runs = 0
        self._reading: Reading | None = None
        self._notes: tuple[str, ...] = ()
        self._build()
        create = columns_of(
            self._run, self._jobs.widget, self._sources.widget, self._gallery.widget, self._cell, self._fields
        )
        self._tabs = ipywidgets.Tab([create, self._history.widget], titles=("Create", "History"))
        provider = session.settings().provider
        super().__init__([head_of(provider.name, provider.chosen_because), self._tabs])
        self.add_class("wan-panel")
        self._start()

    def _build(self) -> None:
        provider = self._session.settings().provider
        self._checker = Follower(self._session.runtime, self._check, settle_s=SETTLE_S)
        self._scanner = Follower(self._session.runtime, self._scan)
        self._fields = Fields(provider.name, self._on_change)
        self._run = RunBar(self._on_run)
        self._cell = CellRecord()
        self._jobs = JobsFeed(self._session, self._presenter, moved=self._on_moved, settled=self._on_settled)
        self._gallery = GalleryFeed(self._session, self._home, self._presenter, self._on_picture)
        self._history = HistoryFeed(
            self._session, self._home, self._presenter, recall=self._on_history, changed=self._on_settled
        )
        self._sources = SourcesFeed(
            self._session, self._home, self._namespace, link=self._presenter.link, changed=self._on_change,
            recall=self.recall,
        )  # fmt: skip

    def _start(self) -> None:
        _latest[:] = [weakref.ref(self)]
        if (events := getattr(self._shell, "events", None)) is not None:
            events.register("post_run_cell", self._on_cell_run)
        for name, button in self._fields.seed_buttons.items():
            button.on_click(partial(self._on_seed_click, name))
        self._scanner.touch()
        self._checker.touch()

    def close(self) -> None:
        """Take the panel away; jobs go on."""
        for part in (self._checker, self._scanner, self._jobs, self._gallery, self._history):
            part.close()
        if (events := getattr(self._shell, "events", None)) is not None and self._on_cell_run in events.callbacks.get(
            "post_run_cell", ()
        ):
            events.unregister("post_run_cell", self._on_cell_run)
        super().close()

    # ------------------------------------------------------------------ what a person may use

    @property
    def form(self) -> Form:
        """What stands in the fields now."""
        return self._fields.read(self._sources.chosen)

    @property
    def cell(self) -> str:
        """The ``%%wan`` cell that asks the same."""
        return cell_of(self.form).text

    def fill(self, form: Form) -> None:
        """Put values into the fields; nothing is sent."""
        self._fields.fill(form)
        self._sources.choose(form.images)
        self._checker.touch()

    def recall(self, recalled: Recalled) -> None:
        """Fill in what a recipe says; nothing runs, and what it does not say stays."""
        self._notes = recalled.notes
        self.fill(recalled.over(self.form))

    def recall_job(self, job: Job, index: int | None = None) -> None:
        """Fill in what made a job or one of its pictures, with its tags; the service stays as it is."""
        live = job.lives[0] if index is None else job[index].live
        self.fill(self._form_of(live.row))

    def __repr__(self) -> str:
        return "<Panel of wan_notebook>"

    # ------------------------------------------------------------------ changes

    def _namespace(self) -> Mapping[str, Any]:
        if self._variables is not None:
            return self._variables
        return getattr(self._shell, "user_ns", None) or {}

    def _on_change(self) -> None:
        self._checker.touch()

    def _on_cell_run(self, *_: object) -> None:
        self._scanner.touch()
        self._checker.touch()

    def _on_moved(self) -> None:
        running = self._jobs.running
        self._run.show(running=f"{plural(running, 'job')} running" if running else "")
        self._history.touch()

    def _on_settled(self) -> None:
        self._gallery.touch()
        self._history.touch()
        self._scanner.touch()
        self._checker.touch()

    def _scan(self) -> None:
        """Look at what cells have changed: variables, results, jobs."""
        for _place, job in self._session.last[-20:]:
            if not self._jobs.is_known(job.id):
                self._jobs.follow(job)
        self._sources.refresh()
        self._gallery.touch()
        self._history.touch()

    def _check(self) -> None:
        """Read the form and show what it means."""
        reading = read_form(self.form, self._sources.resolver())
        offer = offer_of(reading, self._session, self._home, self._place())
        self._show(reading, offer)

    def _show(self, reading: Reading, offer: Offer) -> None:
        self._reading = reading
        self._fields.show(reading)
        self._sources.show_facts(shape_note(reading), reading.problems.get("images", ()))
        self._cell.show(text=reading.cell.text, hint="\n".join(self._notes))
        count = sum(len(lines) for lines in reading.problems.values())
        detail = offer.detail if not count else "" if reading.is_untouched else things_text(count)
        lines = list(reading.problems.get("form", ()))
        self._run.show(label=offer.label, detail=detail, enabled=offer.order is not None, lines=lines)

    def _place(self) -> Place:
        return Place(self._notebook, "", f"panel-{id(self)}-{self._runs}", by_hand=True)

    # ------------------------------------------------------------------ gallery and history

    def _form_of(self, row: JobRow) -> Form:
        """Return the form with what made a job in it."""
        self._notes = ()
        form = form_of_cell(self._presenter.cell_text(self._session.request_of(row), row), self.form)
        for expression, known in zip(form.images, row.inputs, strict=False):
            self._sources.name(expression, known.name)
        return form if self._may_be_named(form.name, row) else replace(form, name="")

    def _may_be_named(self, name: str, row: JobRow) -> bool:
        """Whether a name is free, or this very job's: to generate must not bind anything else of the notebook anew."""
        held = self._namespace().get(name)
        return held is None or (isinstance(held, Job) and any(live.id == row.id for live in held.lives))

    def _on_history(self, row: JobRow) -> None:
        self.fill(self._form_of(row))
        self._tabs.selected_index = 0  # where the form is

    def _on_seed_click(self, name: str, _button: object) -> None:
        self._session.runtime.call_back(self._on_seed, name)

    def _on_seed(self, name: str) -> None:
        """Empty the seed, or take the newest picture's or the selected one's."""
        if name == "New":
            seed: int | None = None
        elif name == "Keep":
            seed = self._gallery.newest_seed()
        else:
            found = self._gallery.selected
            seed = found[0].seed if found else None
            if found is None:
                self._fields.notes["seed"].show(hint="Choose a picture in the gallery first.")
                return
        self._fields.fill(self.form, only={"seed": "" if seed is None else str(seed)})
        self._checker.touch()

    def _on_picture(self, what: str, row: JobRow, record: PictureRecord) -> None:
        """Carry out what a picture's button says; nothing is sent."""
        expression = f"{row.id}[{record.idx}]"
        match what:
            case "use" if expression not in self._sources.chosen:
                self._sources.choose([*self._sources.chosen, expression])
            case "edit":
                self.fill(replace(self.form, images=(expression,), prompt="", size="", seed="", interleave=False))
            case "seed":
                self._fields.fill(self.form, only={"seed": "" if row.seed is None else str(row.seed)})
            case "recall" | "newseed":
                form = self._form_of(row)
                self.fill(replace(form, seed="") if what == "newseed" else form)
        self._checker.touch()

    # ------------------------------------------------------------------ ordering

    def _on_run(self, message: Message, _buffers: Sequence[Any]) -> None:
        if message["kind"] == "generate" and isinstance(message.get("click"), int):
            self._session.runtime.call_back(self._generate, message)

    def _generate(self, message: Message) -> None:
        """Order what stands in the form, at the price that the person saw, and once a click."""
        with self._ordering:
            if message["click"] <= self._run.answered:
                return
            lines: list[str] = []
            try:
                lines = self._order(message)
            except WanError as error:
                lines = [line.strip() for line in error.lines()]
            except Exception as error:  # the thread's boundary: a click must be answered
                log.exception("an order of the panel")
                lines = [f"{type(error).__name__}: {error}"]
            self._run.show(answered=message["click"], lines=lines)

    def _order(self, message: Message) -> list[str]:
        self._runs += 1
        texts = message.get("texts")
        self._fields.take(texts if isinstance(texts, dict) else {})
        reading = read_form(self.form, self._session.resolver(self._namespace()))
        offer = offer_of(reading, self._session, self._home, self._place())
        self._show(reading, offer)
        order = order_of(reading, self._session, self._place())
        if order is None:
            return []
        if offer.label != message.get("shown") and not offer.is_free:
            return ["What it costs has changed: look at the button, then press it again."]
        job = self._session.submit(order)
        if order.name and self._shell is not None:
            self._shell.user_ns[order.name] = job
        self._jobs.follow(job, is_new=True)
        return []


def latest() -> Panel | None:
    """Return the panel that was opened last, if it is still there."""
    return _latest[0]() if _latest else None
