"""The folder of pictures: every file in it has a name that says what it is, and none is ever overwritten."""

from .files import Files
from .model import Saved, Staged, Usage
from .names import picture_name, safe_relative
from .store import Store

__all__ = ["Files", "Saved", "Staged", "Store", "Usage", "picture_name", "safe_relative"]
