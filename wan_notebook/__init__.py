"""Make pictures with Wan 2.6 Image inside a Jupyter notebook."""

from ._version import __version__

__all__ = ["__version__"]
