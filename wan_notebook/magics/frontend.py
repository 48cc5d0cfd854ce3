"""Which front end shows the outputs of this kernel, and what it has run."""

import os
import sys
from typing import TYPE_CHECKING, Any

from ..kernel import is_watched

if TYPE_CHECKING:
    from ..display import FrontEnd


def front_end(shell: Any) -> "FrontEnd":
    """Return the front end of a shell, which decides who waits: the cell or the person."""
    from ..display import FrontEnd

    if getattr(shell, "kernel", None) is None:
        return FrontEnd.TERMINAL
    if not is_watched(shell):  # nbclient, nbconvert, papermill, nbval, Voilà
        return FrontEnd.HEADLESS
    if "google.colab" in sys.modules or "VSCODE_PID" in os.environ or "__vsc_ipynb_file__" in shell.user_ns:
        return FrontEnd.UNTESTED
    return FrontEnd.LIVE


def cells_run(shell: Any) -> frozenset[str]:
    """Return the texts of the cells that this kernel has run, as they were typed."""
    history = getattr(getattr(shell, "history_manager", None), "input_hist_raw", ())
    return frozenset(text.strip() for text in history if isinstance(text, str) and text.strip())


def writes_bare_out(shell: Any) -> bool:
    """Say whether a terminal runs a ``%wan`` line by itself: it writes ``Out[n]`` for any value, shown or not."""
    if getattr(shell, "kernel", None) is not None or not hasattr(shell, "simple_prompt"):
        return False
    history = getattr(getattr(shell, "history_manager", None), "input_hist_raw", ())
    text = history[-1] if history else ""
    return isinstance(text, str) and text.rstrip().rpartition("\n")[2].lstrip().startswith("%wan")
