"""The panel: requests with the mouse, in a notebook. All rules are those of the cell that it stands for."""

from .form import FIELDS, cell_of_values, model_facts, read_values, values_of_cell
from .panel import Panel, latest

__all__ = ["FIELDS", "Panel", "cell_of_values", "latest", "model_facts", "read_values", "values_of_cell"]
