"""Reproducible research: bundles of a notebook with its pictures, their verification, and the methods paragraph."""

from .bundle import write_bundle
from .methods import methods_paragraph
from .notebook_file import NotebookFile, find_notebook, read_notebook
from .unbundle import open_bundle
from .verify import verify_notebook

__all__ = ["NotebookFile", "find_notebook", "methods_paragraph", "open_bundle", "read_notebook"]
__all__ += ["verify_notebook", "write_bundle"]
