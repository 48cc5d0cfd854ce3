"""The layers of the package: a module imports only from rows above its own in `LAYERS`, wherever the import stands.

A new module needs a row here. Modules of one package (`jobs/`, `wire/` …) share its row and may import each other as
long as no import leads back; two names of one row never import each other.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.environment import ROOT

PACKAGE = "wan_notebook"

# Lowest first. A name is a module or a package directly under wan_notebook/.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("simulator",),  # an independent service: imports nothing of ours, see MAY_IMPORT
    ("secret",),  # errors mask what looks like a key
    # Data, words and rules that know nothing else; a text on its way to a request.
    (
        "_version",
        "errors",
        "catalog",
        "money",
        "runtime",
        "schedule",
        "inputs",
        "states",
        "text",
        "interrupts",
        "rendering",
    ),
    ("folders",),
    ("rules", "keys", "words", "options", "transform"),
    ("request", "call_rules", "settings", "images", "recipe", "line", "usage", "evaluate"),
    ("cell_images", "template", "subcommands"),
    ("cell", "cell_text", "wire"),
    # What reaches out, and what is kept.
    ("client", "ledger", "store"),
    ("replay", "budget"),
    ("jobs",),
    ("session",),
    # What people see and type.
    ("views", "host", "bundle", "data_out", "doctor", "login", "fetching", "greeting", "completion", "likeness"),
    ("present",),
    ("panel", "past"),
    ("api", "show"),
    ("commands", "displaying"),
    ("runner",),
    ("magic", "testing", "demo"),
    ("__main__",),
    ("__init__",),  # the public names; nobody inside imports from here
)
PEOPLE = frozenset(name for names in LAYERS[LAYERS.index(("session",)) + 1 :] for name in names)

# Who may import this; everybody else may not, whatever the row.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "simulator": frozenset({"session", "__main__"}),
    "httpx": frozenset({"client"}),
    "sqlalchemy": frozenset({"ledger"}),
    # Everything up to the session works in a plain script.
    **dict.fromkeys(("IPython", "ipykernel", "ipywidgets", "anywidget"), PEOPLE),
}

HEAVY = ("httpx", "sqlalchemy", "pandas", "anywidget", "ipywidgets", "PIL", "pydantic", "starlette", "numpy")


@dataclass(frozen=True)
class Import:
    """One import statement: the dotted module that it stands in, what it asks for, and where."""

    importer: str
    target: str
    line: int


class Tree:
    """The modules under one package folder and what they import."""

    def __init__(self, folder: Path) -> None:
        self.package = folder.name
        self.files = {self._dotted(path.relative_to(folder)): path for path in sorted(folder.rglob("*.py"))}

    @staticmethod
    def _dotted(path: Path) -> str:
        parts = path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)

    def imports(self) -> Iterator[Import]:
        """Yield every import, ours as a dotted name inside the package with `.` in front, others as they are."""
        for module, path in self.files.items():
            base = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
            base = [] if module == "__init__" else base
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
                for target in self._targets(node, base):
                    yield Import(module, target, node.lineno)

    def _targets(self, node: ast.AST, base: list[str]) -> list[str]:
        match node:
            case ast.Import(names=names):
                return [self._ours(name.name) for name in names]
            case ast.ImportFrom(level=0, module=str(source), names=names):
                root = self._ours(source)
                return self._members(root, names) if root.startswith(".") else [root]
            case ast.ImportFrom(level=level, module=source, names=names) if level:
                parts = base[: len(base) - level + 1] + (source.split(".") if source else [])
                return self._members("." + ".".join(parts), names)
            case ast.Call(args=[ast.Constant(value=str(source)), *_], func=ast.Name(id="__import__" | "import_module")):
                return [self._ours(source)]
            case ast.Call(args=[ast.Constant(value=str(source)), *_], func=ast.Attribute(attr="import_module")):
                return [self._ours(source)]
        return []

    def _ours(self, name: str) -> str:
        if name == self.package:
            return ".__init__"
        return name.removeprefix(self.package) if name.startswith(f"{self.package}.") else name

    def _members(self, source: str, names: list[ast.alias]) -> list[str]:
        # `from .jobs import live` asks for a module if there is one, else for a name of the package's __init__.
        source = source.removesuffix(".__init__").rstrip(".") or "."
        found = []
        for name in names:
            inner = f"{source.rstrip('.')}.{name.name}"
            found.append(inner if inner[1:] in self.files else source if source != "." else ".__init__")
        return sorted(set(found))


def problems_of(
    folder: Path,
    layers: tuple[tuple[str, ...], ...] = LAYERS,
    may_import: dict[str, frozenset[str]] = MAY_IMPORT,
) -> list[str]:
    """Return every broken rule of a package folder, each naming file and line."""
    tree = Tree(folder)
    row = {name: number for number, names in enumerate(layers) for name in names}
    problems = [
        f"{path.relative_to(folder.parent)}: {module.split('.')[0]!r} has no row in LAYERS"
        for module, path in tree.files.items()
        if module.split(".")[0] not in row
    ]
    inside: dict[str, set[str]] = {}
    for found in tree.imports():
        where = f"{tree.files[found.importer].relative_to(folder.parent)}:{found.line}"
        unit, target = found.importer.split(".")[0], found.target.lstrip(".").split(".")[0]
        if found.target.startswith(".") and target == unit:
            inside.setdefault(found.importer, set()).add(found.target[1:])
            continue
        if target in may_import and unit not in may_import[target]:
            allowed = ", ".join(sorted(may_import[target]))
            problems.append(f"{where}: {unit} imports {target}, which is only for {allowed}")
        elif found.target.startswith(".") and unit in row and row.get(target, len(layers)) >= row[unit]:
            problems.append(f"{where}: {unit} imports {target}, which is not in a lower layer")
    return problems + cycles(inside)


def cycles(graph: dict[str, set[str]]) -> list[str]:
    """Return one line for each way back to a module on which the search stands."""
    found: list[str] = []
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            found.append("cycle: " + " -> ".join((*path[path.index(module) :], module)))
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                visit(target, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())
    return found


# ------------------------------------------------------------------ the package


def test_modules_import_only_from_lower_layers() -> None:
    """The import directions hold, packages have no cycles, and every module has its row."""
    problems = problems_of(ROOT / PACKAGE)
    assert not problems, "\n".join(["", *problems])


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import wan_notebook` is next to free; what is heavy is loaded when it is first needed."""
    code = f"import sys, {PACKAGE}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []


# ------------------------------------------------------------------ the check itself

SMALL = (("low",), ("middle", "aside"), ("pack",), ("__init__",))


def small_tree(folder: Path, **sources: str) -> Path:
    """Write a package `small` of modules; `a__b` is the module b of the package a."""
    package = folder / "small"
    for name, source in {"__init__": "", **sources}.items():
        path = package.joinpath(*name.split("__", 1)) if not name.startswith("__") else package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name + ".py").write_text(source)
    return package


def check(folder: Path, **sources: str) -> list[str]:
    """Return the problems of a small tree, in which only `low` may import httpx."""
    return problems_of(small_tree(folder, **sources), SMALL, {"httpx": frozenset({"low"})})


def test_a_sound_tree_passes(tmp_path: Path) -> None:
    """Downward imports of every form, siblings of a package and foreign modules are allowed."""
    assert not check(
        tmp_path,
        low="import httpx, os.path",
        middle="from . import low\nfrom .low import x\nfrom small.low import y\nimport small.low",
        pack__one="from ..middle import x\nfrom .. import low",
        pack__two="from .one import x\nfrom . import one",
        pack____init__="from .two import x\nfrom . import one",
        __init__="def f():\n    from .pack import two",
    )


@pytest.mark.parametrize(
    "source",
    [
        "from .middle import x",
        "from . import middle",
        "import small.middle",
        "import small.middle as m",
        "from small import middle",
        "from small.middle import x",
        "def f():\n    from .middle import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .middle import x",
        "import importlib\nimportlib.import_module('small.middle')",
        "from .pack.one import x",
        "from .pack import one",
        "from . import version",
        "import small",
    ],
)
def test_an_upward_import_is_found_in_every_form(tmp_path: Path, source: str) -> None:
    """However it is written, an import from a higher layer is a problem that names the file and the line."""
    (problem,) = check(tmp_path, low=source, middle="", pack__one="", pack____init__="")
    assert problem.startswith(f"small/low.py:{source.count(chr(10)) + 1}: low imports")
    assert "not in a lower layer" in problem


def test_two_names_of_one_row_do_not_import_each_other(tmp_path: Path) -> None:
    """A row is one layer: its members are strangers."""
    (problem,) = check(tmp_path, middle="from .aside import x", aside="")
    assert "middle imports aside" in problem


def test_a_file_of_a_package_cannot_import_upward_either(tmp_path: Path) -> None:
    """Two dots lead out of the package, and the package's row counts there."""
    (problem,) = check(tmp_path, pack__one="from .. import version")
    assert "pack imports __init__" in problem


def test_a_cycle_inside_a_package_is_found(tmp_path: Path) -> None:
    """Siblings may import each other in one direction only, type-checking imports and __init__ included."""
    (problem,) = check(
        tmp_path, pack__a="from .b import x", pack__b="from . import c", pack__c="def f():\n    from . import a"
    )
    assert problem == "cycle: pack.a -> pack.b -> pack.c -> pack.a"
    again = tmp_path / "again"
    (problem,) = check(again, pack____init__="from .a import x", pack__a="from . import y")
    assert problem == "cycle: pack -> pack.a -> pack"


def test_a_module_without_a_row_is_named(tmp_path: Path) -> None:
    """A new file must be given a layer."""
    (problem,) = check(tmp_path, novel="")
    assert problem == "small/novel.py: 'novel' has no row in LAYERS"


def test_a_reserved_library_is_refused_elsewhere(tmp_path: Path) -> None:
    """One home for each of the libraries that the rest must not know."""
    for source in ("import httpx", "from httpx import Client", "def f():\n    import httpx._client"):
        (problem,) = check(tmp_path, middle=source)
        assert "middle imports httpx, which is only for low" in problem
