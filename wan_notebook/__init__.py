"""Make pictures with Alibaba's Wan 2.6 Image model inside a Jupyter notebook.

In a notebook: ``%load_ext wan_notebook``, then ``%%wan`` and a prompt. In Python: ``wan.generate("a fox in snow")``.
Importing this package imports nothing heavy; each name is loaded when it is first used.
"""

import logging
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import errors
from ._version import __version__
from .errors import WanError

if TYPE_CHECKING:  # the same names for type checkers, which do not run __getattr__
    from .api import batch, compare, generate, map, panel
    from .batch import Batch, BatchPlan, grid
    from .figure import Comparison
    from .history import History, history
    from .jobs import Job, Picture
    from .request import ImageRequest

# What the background thread logs must not be printed into whatever cell runs now.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = ["Comparison", "History", "ImageRequest", "Job", "Picture", "WanError", "__version__", "errors"]
__all__ += ["Batch", "BatchPlan", "batch", "compare", "generate", "grid", "history", "map", "panel"]
_MODULE_OF = {
    **dict.fromkeys(("batch", "compare", "generate", "map", "panel"), "api"),
    **dict.fromkeys(("Batch", "BatchPlan", "grid"), "batch"),
    **dict.fromkeys(("History", "history"), "history"),
    **dict.fromkeys(("Job", "Picture"), "jobs"),
    "Comparison": "figure",
    "ImageRequest": "request",
}
_EXTENSION = "_wan_notebook_extension"


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)  # what is public, not every module that happens to be loaded


class _Package(ModuleType):
    """Keeps ``wan.history`` and ``wan.panel`` functions: importing the modules of these names would bind them here."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _MODULE_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def load_ipython_extension(ip: Any) -> None:
    """Register ``%wan`` and ``%%wan`` (``%load_ext wan_notebook``)."""
    from .magics import Extension

    if getattr(ip, _EXTENSION, None) is None:
        setattr(ip, _EXTENSION, Extension(ip, panel=lambda: import_module(f"{__name__}.panel")))
    getattr(ip, _EXTENSION).load()


def unload_ipython_extension(ip: Any) -> None:
    """Take everything back (``%unload_ext wan_notebook``); jobs at the service go on."""
    if (extension := getattr(ip, _EXTENSION, None)) is not None:
        extension.unload()
