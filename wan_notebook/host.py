"""Where the code runs: which front end watches, which notebook and cell it is, and who therefore waits (DESIGN)."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from .session import Place


class FrontEnd(StrEnum):
    """How an output may be shown, and whether the cell waits for its job."""

    LIVE = "live"
    """JupyterLab and Notebook: the cell returns at once, a card shows what goes on."""
    HEADLESS = "headless"
    """Nobody watches (nbclient, papermill, nbval, Voilà): the cell waits, then shows the lasting result."""
    UNPROVEN = "unproven"
    """VS Code and Colab: the cell waits with a card that is not relied upon."""
    TERMINAL = "terminal"
    """IPython in a terminal: the cell waits with lines of text."""


def shell() -> Any:
    """Return the running IPython shell, or None. IPython is not imported for asking."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def front_end(ip: Any) -> FrontEnd:
    """Tell who watches a shell."""
    kernel = getattr(ip, "kernel", None)
    if kernel is None:
        return FrontEnd.TERMINAL
    # A front end that cannot answer input() is none that somebody looks at (verified for the five tools above).
    if not _parent(kernel).get("content", {}).get("allow_stdin", False):
        return FrontEnd.HEADLESS
    if "google.colab" in sys.modules or "VSCODE_PID" in os.environ or "__vsc_ipynb_file__" in ip.user_ns:
        return FrontEnd.UNPROVEN
    return FrontEnd.LIVE


def place(ip: Any) -> Place:
    """Return the notebook, cell and execution that run now, as far as the front end says."""
    if ip is None:
        return Place()
    kernel = getattr(ip, "kernel", None)
    execution = str(getattr(ip, "execution_count", ""))
    if kernel is None:
        return Place(execution=execution, by_hand=True)
    parent = _parent(kernel)
    cell_id = str(parent.get("metadata", {}).get("cellId") or "")
    # Re-running a cell keeps its execution count apart; the message's id is new each time.
    execution = str(parent.get("header", {}).get("msg_id") or execution)
    by_hand = not cell_id and front_end(ip) is not FrontEnd.HEADLESS
    return Place(notebook_path(ip), cell_id, execution, by_hand)


def notebook_path(ip: Any) -> str:
    """Return the notebook's path where the front end says it, else an empty text."""
    if ip is not None and (path := ip.user_ns.get("__vsc_ipynb_file__")):
        return str(path)
    name = os.environ.get("JPY_SESSION_NAME", "")
    return name if name.endswith(".ipynb") else ""


def cells_run(ip: Any) -> frozenset[str]:
    """Return the texts of the cells that this kernel has run, as they were typed."""
    history = getattr(getattr(ip, "history_manager", None), "input_hist_raw", ())
    return frozenset(text.strip() for text in history if isinstance(text, str) and text.strip())


def writes_bare_out(ip: Any) -> bool:
    """Say whether a terminal runs a ``%wan`` line by itself: it writes ``Out[n]`` for any value, shown or not."""
    if getattr(ip, "kernel", None) is not None or not hasattr(ip, "simple_prompt"):
        return False
    history = getattr(getattr(ip, "history_manager", None), "input_hist_raw", ())
    text = history[-1] if history else ""
    return isinstance(text, str) and text.rstrip().rpartition("\n")[2].lstrip().startswith("%wan")


def notebook_folder() -> Path:
    """Return the folder that links in an output start from: a kernel runs in its notebook's folder."""
    return Path.cwd()


def _parent(kernel: Any) -> dict[str, Any]:
    with suppress(Exception):  # another kernel than ipykernel may have no such thing
        found = kernel.get_parent()
        return found if isinstance(found, dict) else {}
    return {}
