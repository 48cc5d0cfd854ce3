"""The panel: requests with the mouse, in a notebook. All rules are those of the cell that it stands for."""

from .form import FIELDS, SIZES, cell_of_values, read_values, values_of_cell
from .panel import Panel, latest

__all__ = ["FIELDS", "SIZES", "Panel", "cell_of_values", "latest", "read_values", "values_of_cell"]
