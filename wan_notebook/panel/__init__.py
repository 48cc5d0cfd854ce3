"""The panel: requests with the mouse, in a notebook. All rules are those of the cell that it stands for."""

from .form import Form
from .panel import Panel, latest
from .plan import SIZES

__all__ = ["SIZES", "Form", "Panel", "latest"]
