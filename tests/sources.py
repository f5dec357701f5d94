"""The package's source as data: which module imports what, where, and when."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# `from importlib import metadata` imports a module of the standard library, which its name alone does not show.
STANDARD_SUBMODULES = {"importlib.metadata", "importlib.resources", "concurrent.futures", "os.path", "xml.etree"}


@dataclass(frozen=True)
class Import:
    """One imported module; `when` is "load", "call" (inside a function) or "check" (for the type checker only)."""

    target: str
    line: int
    when: str

    @property
    def root(self) -> str:
        return self.target.partition(".")[0]


@dataclass(frozen=True)
class Module:
    name: str
    tree: ast.Module
    imports: tuple[Import, ...]

    def at(self, line: int) -> str:
        return f"{self.name}:{line}"


Package = Mapping[str, Module]


def read_package() -> Package:
    sources = {}
    for file in sorted((ROOT / "enforcer").rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = (file.read_text(encoding="utf-8"), parts[-1] == "__init__")
    return parse_package(sources)


def parse_package(sources: Mapping[str, tuple[str, bool]]) -> Package:
    """`sources` maps a module's name to its text and whether it is the `__init__` of a package."""
    package = {}
    for name, (text, is_folder) in sources.items():
        tree = ast.parse(text)
        anchor = name if is_folder else name.rpartition(".")[0]
        package[name] = Module(name, tree, tuple(_imports(tree.body, "load", anchor, sources.keys())))
    return package


def _imports(body: list[ast.stmt], when: str, anchor: str, known: Collection[str]) -> Iterator[Import]:
    for statement in body:
        yield from _imports_of(statement, when, anchor, known)


def _imports_of(node: ast.AST, when: str, anchor: str, known: Collection[str]) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, node.lineno, when) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (Import(target, node.lineno, when) for target in _targets(node, anchor, known))
    elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        yield from _imports(node.body, "check", anchor, known)
        yield from _imports(node.orelse, when, anchor, known)
    else:
        if isinstance(node, ast.Call) and (target := _dynamic_target(node)):
            # A name computed at run time is an import inside a function wherever it stands.
            yield Import(target, node.lineno, "call")
        inner = "call" if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else when
        for child in ast.iter_child_nodes(node):
            yield from _imports_of(child, inner, anchor, known)


def _targets(node: ast.ImportFrom, anchor: str, known: Collection[str]) -> Iterator[str]:
    base = node.module or ""
    if node.level:
        parts = anchor.split(".")
        kept = parts[: len(parts) - node.level + 1]
        base = ".".join([*kept, base] if base else kept)
    for alias in node.names:
        submodule = f"{base}.{alias.name}"
        yield submodule if submodule in known or submodule in STANDARD_SUBMODULES else base


def _dynamic_target(call: ast.Call) -> str:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in ("import_module", "__import__"):
        return ""
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else "<computed>"
