"""The layers of the package and the borders of its packages, checked by reading the source.

A module imports only from its own row of `LAYERS` and the rows before it, wherever the import stands, and no import
leads back. Other packages and the tests import only what a package exports. A new module needs a place in a row.
"""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.environment import ROOT

PACKAGE = "wan_notebook"

# A name is a module or a package directly in wan_notebook/.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("_version", "errors", "lazy", "models", "money", "text", "files"),
    ("environment", "settings", "request", "validation", "images", "metadata"),
    ("providers", "database", "storage"),
    ("jobs",),
    ("session", "project", "replay", "budget", "resolver", "kernel", "template", "figure", "batch"),
    ("display",),
    ("magics", "panel", "research", "api", "history", "export"),
    ("__init__", "__main__", "testing", "demo", "exporter"),
)
ALONE = "simulator"
"""Imports nothing of ours: it is a second reading of the services' documentation."""

PEOPLE = frozenset(name for names in LAYERS[5:] for name in names)

# Who may import a library; nobody else may, whatever the row.
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "simulator": frozenset({"providers", "__main__", "demo"}),
    "httpx": frozenset({"providers"}),
    "sqlalchemy": frozenset({"database"}),
    "starlette": frozenset({"simulator"}),
    "uvicorn": frozenset({"simulator"}),
    "jinja2": frozenset({"display", "panel", "research"}),
    "nest_asyncio": frozenset({"magics"}),
    # Everything up to the session works in a plain script.
    **dict.fromkeys(("IPython", "ipykernel", "ipywidgets", "anywidget"), PEOPLE),
}

HEAVY = ("httpx", "sqlalchemy", "pandas", "anywidget", "ipywidgets", "PIL", "pydantic", "starlette", "numpy", "jinja2")


class Import(NamedTuple):
    """One import: the dotted module that it stands in, the module that it asks for, the names, and the line."""

    importer: str
    target: str
    names: tuple[str, ...]
    line: int
    is_ours: bool
    for_types: bool


class Tree:
    """The modules in one package's folder and what they import. Names are dotted, inside the package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {self._dotted(path.relative_to(folder)): path for path in sorted(folder.rglob("*.py"))}

    @staticmethod
    def _dotted(path: Path) -> str:
        parts = path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)

    def where(self, found: Import) -> str:
        """Return file and line of an import."""
        return f"{self.files[found.importer].relative_to(self.folder.parent)}:{found.line}"

    def imports(self) -> Iterator[Import]:
        """Yield every import of every module, lazy ones and those for type checkers included."""
        for module, path in self.files.items():
            is_package = path.name == "__init__.py"
            base = [] if module == "__init__" else module.split(".") if is_package else module.split(".")[:-1]
            parsed = ast.parse(path.read_text("utf-8"), str(path))
            nodes = list(ast.walk(parsed))
            guarded = {id(inner) for node in nodes if _is_guard(node) for inner in ast.walk(node)}
            for node in nodes:
                yield from self._of(node, module, base, for_types=id(node) in guarded)

    def _of(self, node: ast.AST, module: str, base: list[str], *, for_types: bool) -> Iterator[Import]:
        match node:
            case ast.Import(names=names):
                sources = [(name.name, ()) for name in names]
            case ast.ImportFrom(level=0, module=str(source), names=names):
                sources = [(source, tuple(name.name for name in names))]
            case ast.ImportFrom(level=level, module=source, names=names) if level:
                parts = [self.folder.name, *base[: len(base) - level + 1], *([source] if source else [])]
                sources = [(".".join(parts), tuple(name.name for name in names))]
            case ast.Call(args=[ast.Constant(value=str(source)), *_], func=func) if _called(func) == "import_module":
                sources = [(source, ())]
            case _:
                return
        for source, names in sources:
            for target, wanted, is_ours in self._targets(source, names):
                yield Import(module, target, wanted, node.lineno, is_ours, for_types)

    def _targets(self, source: str, names: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...], bool]]:
        if source != self.folder.name and not source.startswith(f"{self.folder.name}."):
            yield source, names, False
            return
        inner = source.removeprefix(self.folder.name).lstrip(".")
        others = []
        for name in names:  # `from .jobs import worker` asks for a module if there is one
            asked = f"{inner}.{name}".lstrip(".")
            if asked in self.files and asked != "__init__":
                yield asked, (), True
            else:
                others.append(name)
        if others or not names:
            yield inner or "__init__", tuple(others), True


def _is_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and _called(node.test) == "TYPE_CHECKING"


def _called(func: ast.expr) -> str:
    return func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""


def layer_problems(
    folder: Path, layers: tuple[tuple[str, ...], ...] = LAYERS, may_import: Mapping[str, frozenset[str]] = MAY_IMPORT
) -> list[str]:
    """Return every import against the layers, and every circle, each with file and line."""
    tree = Tree(folder)
    row = {ALONE: -1, **{name: number for number, names in enumerate(layers) for name in names}}
    problems = [
        f"{module}: {unit!r} has no row in LAYERS" for module in tree.files if (unit := _unit(module)) not in row
    ]
    graph: dict[str, set[str]] = {}
    for found in tree.imports():
        unit, target = _unit(found.importer), _unit(found.target)
        if target in may_import and unit not in may_import[target] and unit != target:
            allowed = ", ".join(sorted(may_import[target]))
            problems.append(f"{tree.where(found)}: {unit} imports {target}, which is only for {allowed}")
        elif found.is_ours and target != ALONE and unit in row and row.get(target, len(layers)) > row[unit]:
            problems.append(f"{tree.where(found)}: {unit} imports {target}, which is in a higher layer")
        elif found.is_ours and found.target != found.importer and not found.for_types:
            same = unit == target
            graph.setdefault(found.importer if same else unit, set()).add(found.target if same else target)
    return problems + circles(graph)


def border_problems(folder: Path, exports: Mapping[str, frozenset[str]]) -> list[str]:
    """Return every import from another package that does not go through the names it exports."""
    tree = Tree(folder)
    problems = []
    for found in tree.imports():
        unit, target = _unit(found.importer), _unit(found.target)
        if not found.is_ours or unit == target or target not in exports:
            continue
        inner = found.target.removeprefix(target).lstrip(".")
        if inner in exports[target]:
            continue  # a function that has its module's name
        if inner:
            problems.append(f"{tree.where(found)}: {unit} imports the inner module {found.target}")
        elif hidden := sorted(set(found.names) - exports[target]):
            problems.append(f"{tree.where(found)}: {target} does not export {', '.join(hidden)}")
    return problems


def _unit(module: str) -> str:
    return module.split(".")[0]


def circles(graph: Mapping[str, set[str]]) -> list[str]:
    """Return a line for what imports itself in the end, if anything does."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"circle: {' -> '.join(reversed(error.args[1]))}"]
    return []


# ------------------------------------------------------------------ the package


def packages() -> dict[str, frozenset[str]]:
    """Return the names that each package in wan_notebook/ exports."""
    names = sorted(path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py"))
    return {name: frozenset(importlib.import_module(f"{PACKAGE}.{name}").__all__) for name in names}


def test_modules_import_only_from_their_layer_and_below() -> None:
    """The directions hold, nothing is circular, every module has its row, and libraries stay in their packages."""
    problems = layer_problems(ROOT / PACKAGE)
    assert not problems


def test_packages_use_each_other_through_exported_names() -> None:
    """What a package does not export may change without a look outside of it."""
    problems = border_problems(ROOT / PACKAGE, packages())
    assert not problems


def test_exported_names_exist() -> None:
    """Every name in a package's `__all__`, lazily loaded ones included, can be had."""
    missing = []
    for package, names in packages().items():
        module = importlib.import_module(f"{PACKAGE}.{package}")
        missing += [f"{package}.{name}" for name in names if not hasattr(module, name)]
    assert not missing


def test_the_tests_import_only_exported_names() -> None:
    """A test that reaches into a package holds its inner code in place."""
    exports, tree, problems = packages(), Tree(ROOT / "tests"), []
    for found in tree.imports():
        unit, _, inner = found.target.removeprefix(f"{PACKAGE}.").partition(".")
        if not found.is_ours and found.target.startswith(f"{PACKAGE}."):
            hidden = [name for name in found.names if name not in exports.get(unit, found.names)]
            hidden += [name for name in found.names if name.startswith("_")]
            if inner or hidden:
                problems.append(f"{tree.where(found)}: {found.target} is inner, or does not export {', '.join(hidden)}")
    assert not problems


@pytest.mark.process
@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import wan_notebook", HEAVY),
        ("import wan_notebook.images as i; i.looks_like_image(3); i.InputImage", ("PIL", "numpy")),
        ("from wan_notebook.database import count_open", ("sqlalchemy",)),
    ],
)
def test_importing_the_package_loads_nothing_heavy(statement: str, heavy: tuple[str, ...]) -> None:
    """`import wan_notebook` and `%load_ext` are next to free; what is heavy is loaded when it is first needed."""
    code = f"import sys; {statement}; print(*sorted(set(sys.modules) & set({heavy!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []


# ------------------------------------------------------------------ the check itself

SMALL = (("low",), ("middle", "aside"), ("pack",), ("__init__",))


def check(folder: Path, **sources: str) -> list[str]:
    """Return the problems of a small package, where `a__b` is the module b of the package a; only `low` has httpx."""
    package = folder / "small"
    for name, source in {"__init__": "", **sources}.items():
        path = package / f"{name if name.startswith('__') else name.replace('__', '/', 1)}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    layers = layer_problems(package, SMALL, {"httpx": frozenset({"low"})})
    return layers + border_problems(package, {"pack": frozenset({"shown"})})


@pytest.mark.parametrize(
    "source",
    [
        *("from .middle import x", "from . import middle", "import small.middle as m", "from small import middle"),
        *("from small.middle import x", "def f():\n    from .middle import x", "from . import version", "import small"),
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .middle import x",
        "import importlib\nimportlib.import_module('small.middle')",
    ],
)
def test_an_upward_import_is_found_in_every_form(tmp_path: Path, source: str) -> None:
    """However it is written, an import from a higher layer is a problem that names the file and the line."""
    (problem,) = check(tmp_path, low=source, middle="")
    assert problem.startswith(f"small/low.py:{source.count(chr(10)) + 1}: low imports")
    assert "higher layer" in problem


def test_what_else_goes_around_the_layers_is_found(tmp_path: Path) -> None:
    """Inner modules and unexported names of a package, circles, modules without a row, libraries out of place."""
    lazy = "def f():\n    from . import a"
    cases = [
        ("inner module pack.one", {"pack__one": "", "pack____init__": "", "__init__": "from .pack.one import x"}),
        ("does not export x", {"pack____init__": "", "__init__": "from .pack import x"}),
        ("pack.a -> pack.b -> pack.a", {"pack__a": "from .b import x", "pack__b": lazy}),
        ("circle: aside -> middle -> aside", {"middle": "from .aside import x", "aside": "from .middle import x"}),
        ("novel: 'novel' has no row in LAYERS", {"novel": ""}),
        ("middle imports httpx, which is only for low", {"middle": "def f():\n    import httpx.client"}),
    ]
    for number, (words, sources) in enumerate(cases):
        (problem,) = check(tmp_path / str(number), **sources)
        assert words in problem
