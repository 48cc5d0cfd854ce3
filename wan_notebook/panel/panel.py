"""The panel: one widget whose parts follow what happens.

It is a single anywidget rather than boxes of stock widgets: one connection to the kernel instead of some sixty opens
faster, and what the page shows when that connection ends is ours to say.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from ..database import JobRow
from ..display import STATIC, Table, static_module, table_bundle
from ..errors import CellError, WanError
from ..jobs import Job, Picture
from ..kernel import current_shell
from ..magics import cell_of_row, last_resort
from ..session import Session
from .feeds import Feed
from .form import FIELDS, FormFeed, cell_of_values, read_values, values_of_cell
from .gallery import GalleryFeed
from .history import HistoryFeed, JobFeed
from .image_picker import PickerFeed

_STATIC: Final = Path(__file__).parent / "static"
_SCRIPTS: Final = ("kit", "size", "image_picker", "form", "jobs", "lightbox", "gallery", "history", "panel")
_open: list["Panel"] = []


class Panel(anywidget.AnyWidget):
    """The requests of cells with the mouse. It shows itself.

    Parameters
    ----------
    session : Session
        Where it submits.
    shell : InteractiveShell, optional
        Whose variables are offered and followed; by default the running one.
    **fields
        What the form starts with, as for ``fill``.

    Examples
    --------
    >>> panel = wan.panel(prompt="a fox in snow", size="16:9")
    >>> panel.fill(seed=5)
    >>> print(panel.cell)
    %%wan --size 16:9 --seed 5
    a fox in snow
    >>> job = panel.generate()
    """

    _esm = static_module(*(_STATIC / f"{name}.js" for name in _SCRIPTS))
    _css = "\n".join(
        path.read_text("utf-8")
        for path in (STATIC / "card.css", *(_STATIC / f"{name}.css" for name in ("panel", "gallery", "history")))
    )
    fixed = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict(dict(FIELDS)).tag(sync=True)
    check = traitlets.Dict().tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)
    choices = traitlets.Dict().tag(sync=True)
    jobs = traitlets.Dict().tag(sync=True)
    gallery = traitlets.Dict().tag(sync=True)
    history = traitlets.Dict().tag(sync=True)
    notice = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, session: Session, shell: Any = None, **fields: Any) -> None:
        self.session = session
        self.shell = shell if shell is not None else current_shell()
        self.lock = threading.RLock()
        self.parts: dict[str, Feed] = {}
        self._static: Any = None
        super().__init__()
        self.fill(**fields)
        self.picker = PickerFeed(self)
        self._form = FormFeed(self)
        for feed in (JobFeed, GalleryFeed, HistoryFeed):
            feed(self)
        self.observe(self._form.touch, "values")
        self.on_msg(self._receive)
        if self.shell is not None:
            self.shell.events.register("post_run_cell", self.refresh)
        _open.append(self)
        self.refresh()

    # What a person may use -------------------------------------------------------------------------------------------

    @property
    def cell(self) -> str:
        """The ``%%wan`` cell that asks the same."""
        return str(cell_of_values(read_values(self.values)))

    def fill(self, **fields: Any) -> None:
        """Put values into fields, named as the parameters of ``generate``; nothing is sent.

        ``images`` are pictures that variables hold, jobs' pictures, or expressions and paths as after ``-i``.

        Raises
        ------
        CellError
            If there is no such field, or a picture is not in a variable.
        """
        if "images" in fields:
            given = fields["images"] if isinstance(fields["images"], list | tuple) else [fields["images"]]
            fields["images"] = tuple(self._expression(value) for value in given)
        self.show(values={**self.values, **read_values(fields)})

    def generate(self) -> Job:
        """Submit what the form asks for, and return its job.

        Raises
        ------
        CellError
            If something is wrong with the form.
        WanError
            As ``wan.generate``; then nothing was sent.
        """
        return self._form.submit(self._form.plan(self.session.resolver(self.namespace)))

    def recall(self, cell: str, notes: Sequence[str] = (), **changes: Any) -> None:
        """Fill in what a cell asks for, with changes; ``notes`` are shown with it, and nothing is sent."""
        values = values_of_cell(cell)
        name = "" if values["name"] in self.namespace else values["name"]  # to generate must not bind other work anew
        self._form.notes = notes
        self.fill(**{**values, "name": name, **changes})
        self._form.touch()

    def refresh(self, *_: object) -> None:
        """Look again at variables, results and jobs, in every panel; after each cell this happens by itself."""
        for part in [part for panel in _open if panel.session is self.session for part in panel.parts.values()]:
            part.touch()

    def close(self) -> None:
        """Take the panel away; its jobs go on."""
        for part in self.parts.values():
            part.close()
        with suppress(ValueError):  # closed before
            _open.remove(self)
            if self.shell is not None:
                self.shell.events.unregister("post_run_cell", self.refresh)
        super().close()

    def __repr__(self) -> str:
        return "<Panel of wan_notebook>"

    # What its parts use ----------------------------------------------------------------------------------------------

    @property
    def namespace(self) -> dict[str, Any]:
        """The notebook's variables."""
        return {} if self.shell is None else self.shell.user_ns

    def show(self, **traits: Any) -> None:
        """Change traits, from any thread; what is the same is not sent again."""
        with self.lock:
            for name, value in traits.items():
                if getattr(self, name) != value:
                    setattr(self, name, value)

    def guarded(self, fn: Callable[..., object], *args: Any) -> None:
        """Call a function on a thread that nobody watches: what goes wrong is said in the panel."""
        try:
            with last_resort():
                fn(*args)
        except WanError as error:
            self.show(notice=[line.strip() for line in error.lines()])

    def cell_of(self, row: JobRow) -> str:
        """Return the cell that asks for a row."""
        return str(cell_of_row(self.session.request_of(row), row, self.session.project().storage.folder))

    def keep_static(self, job: Job) -> None:
        """Keep the last request in the saved notebook."""
        if self._static is not None:
            self._static.update(self._static_bundle(job), raw=True)

    # -----------------------------------------------------------------------------------------------------------------

    def _receive(self, _widget: object, content: Any, buffers: Sequence[bytes]) -> None:
        part = self.parts.get(str(content.get("to"))) if isinstance(content, dict) else None
        if method := getattr(part, f"on_{content.get('kind')}" if part else "", None):
            self.show(notice=[])
            self.session.background.call_back(self.guarded, method, content, *map(bytes, buffers))

    def _expression(self, value: Any) -> str:
        if isinstance(value, Picture):
            return f"{value.tracked.id}[{value.position}]"
        name = value if isinstance(value, str) else self.session.resolver(self.namespace).variable_name(value)
        if not name:
            raise CellError("the panel takes pictures by name.", hint="Put it into a variable, or give its path.")
        return name

    def _static_bundle(self, job: Job | None = None) -> dict[str, Any]:
        """Return what a reader sees without the kernel: what to do, and the last request."""
        asked = f"Last request: job {job.id}, `%wan show {job.id}`" if job else "The cell that asks the same:"
        lines = ["The panel works as long as its kernel: run this cell again to open it.", asked]
        data, _ = table_bundle(Table(lines=lines, code=self.cell), "panel")
        return {**data, "text/html": f'<div class="wan-panel-static">{data["text/html"]}</div>'}

    def _ipython_display_(self) -> None:
        """Display the panel, and below it what JupyterLab shows once the kernel is gone; until then it is hidden.

        JupyterLab shows "model not found" for a widget of an earlier kernel, whatever else its output holds.
        """
        from IPython.display import display

        data, metadata = self._repr_mimebundle_() or ({}, {})
        data["text/plain"] = ""  # where widgets are not shown, what stands below is
        display(data, raw=True, metadata=metadata)
        self._static = display(self._static_bundle(), raw=True, display_id=True)


def latest() -> Panel | None:
    """Return the panel that was opened last, if it is still there."""
    return _open[-1] if _open else None
