"""The kernel that runs this code, as far as the front end says: its shell, notebook and cell."""

import os
import sys
from contextlib import suppress
from typing import Any

from .replay import CellId


def current_shell() -> Any:
    """Return the running IPython shell, or None. IPython is not imported for asking."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def notebook_path(shell: Any) -> str:
    """Return the notebook's path where the front end says it, else an empty text."""
    if shell is not None and (path := shell.user_ns.get("__vsc_ipynb_file__")):
        return str(path)
    name = os.environ.get("JPY_SESSION_NAME", "").encode("utf-8", "replace").decode()  # names of files may be any bytes
    return name if name.endswith(".ipynb") else ""


def is_watched(shell: Any) -> bool:
    """Say whether somebody watches: a front end that cannot answer ``input()`` has no person in front of it."""
    return bool(_parent(shell).get("content", {}).get("allow_stdin", False))


def current_cell() -> CellId:
    """Return the notebook, cell and execution that run now."""
    shell = current_shell()
    if shell is None:
        return CellId()
    execution = str(getattr(shell, "execution_count", ""))
    if getattr(shell, "kernel", None) is None:
        return CellId(execution=execution, is_interactive=True)
    parent = _parent(shell)
    cell_id = str(parent.get("metadata", {}).get("cellId") or "")
    return CellId(
        notebook=notebook_path(shell),
        cell_id=cell_id,
        # A cell that is run again may keep its execution count; the message's id is new each time.
        execution=str(parent.get("header", {}).get("msg_id") or execution),
        is_interactive=not cell_id and is_watched(shell),
    )


def _parent(shell: Any) -> dict[str, Any]:
    with suppress(Exception):  # another kernel than ipykernel may have no such thing
        return dict(shell.kernel.get_parent())
    return {}
