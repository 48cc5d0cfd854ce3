"""Names of packages that are loaded when they are first used: `%load_ext` needs few of them."""

from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any


def lazily(package: str, modules: Collection[str], names: Collection[str]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__``, which looks for one of its names in these modules, in their order."""

    def find(name: str) -> Any:
        for module in modules if name in names else ():
            if hasattr(found := import_module(f"{package}.{module}"), name):
                return getattr(found, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
