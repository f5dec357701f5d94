"""Who may import whom, held against the source of the package.

Each rule is a row: what it forbids, a small function that finds every breach, and two examples. The first example
must be caught and the second must pass, because a check that cannot fail protects nothing.

The last tests start an interpreter and look at what is really loaded, which no reading of the source can replace.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sources import ROOT, Module, Package, parse_package, read_package

# --- The agreement, as data ------------------------------------------------------------------------------------------

# A name stands for the module and for everything below it.
PURE = (
    "enforcer.workflow",
    "enforcer.ledger.entry",
    "enforcer.ledger.merkle",
    "enforcer.ledger.note",
    "enforcer.ledger.tiles",
    "enforcer.ledger.codec",
    "enforcer.ledger.frames",
    "enforcer.ledger.terms",
    "enforcer.ledger.checkpoint",
    "enforcer.ledger.cosignatures",
    "enforcer.ledger.signers",
    "enforcer.ledger.terms",
    "enforcer.ledger.law",
    "enforcer.ledger.proof",
    "enforcer.ledger.receipt",
    "enforcer.ledger.report",
    "enforcer.ledger.vouching",
    "enforcer.attestation.admission",
    "enforcer.attestation.approval",
    "enforcer.attestation.chapters",
    "enforcer.attestation.circumstances",
    "enforcer.attestation.cloudevents",
    "enforcer.attestation.display",
    "enforcer.attestation.dsse",
    "enforcer.attestation.layout",
    "enforcer.attestation.markup",
    "enforcer.attestation.moments",
    "enforcer.attestation.page",
    "enforcer.attestation.prompt",
    "enforcer.attestation.signers",
    "enforcer.attestation.sshkeys",
    "enforcer.attestation.sshsig",
    "enforcer.attestation.statements",
    "enforcer.attestation.style",
    "enforcer.attestation.telling",
    "enforcer.attestation.walk",
)
PURE_STANDARD = {
    "__future__", "base64", "binascii", "bisect", "collections", "enum", "functools", "hashlib", "heapq", "hmac",
    "itertools", "json", "math", "operator", "re", "string", "struct", "types", "unicodedata",
}  # fmt: skip
IMPURE_BUILTINS = {"__import__", "breakpoint", "compile", "eval", "exec", "input", "open", "print"}

HOMES: Mapping[str, tuple[str, ...]] = {
    "click": ("enforcer.surfaces.cli",),
    "cryptography": ("enforcer.attestation",),
    "jsonschema": ("enforcer.evidence", "enforcer.policies"),
    "mcp": ("enforcer.surfaces.mcp",),
    "opentelemetry": ("enforcer.telemetry",),
    "psycopg": ("enforcer.ledger.postgres", "enforcer.leases.postgres", "enforcer.evidence.postgres"),
    "pydantic": ("enforcer.policies", "enforcer.process_file", "enforcer.settings_file", "enforcer.surfaces"),
    "pydantic_core": ("enforcer.policies", "enforcer.process_file", "enforcer.settings_file", "enforcer.surfaces"),
    "referencing": ("enforcer.evidence", "enforcer.policies"),
    "tree_sitter": ("enforcer.tools",),
    "tree_sitter_bash": ("enforcer.tools",),
    # Of the standard library, what starts processes is confined as well.
    "multiprocessing": (),
    "pty": (),
    "subprocess": (
        "enforcer.evidence.run",
        "enforcer.evidence.git",
        "enforcer.attestation.ssh",
        "enforcer.ledger.workers",
        "enforcer.surfaces.doctor",
        "enforcer.surfaces.demo",
    ),
}

# What the gate may see: values, the pure core and protocols.
GATE = "enforcer.gate"
GATE_SEES = ("enforcer.errors", "enforcer.ports", "enforcer.ledger.store", *PURE)

# The command table names the other surfaces and loads each when it is asked for.
COMMAND_TABLE = "enforcer.surfaces.cli"

# `python -m enforcer` is the command, and no other surface.
MAIN = "enforcer.__main__"

# Where an import may stand inside a function, and which ones (none named: any).
DEFERRED: Mapping[str, tuple[str, ...]] = {
    "enforcer": (),
    "enforcer.enforcer": (),
    COMMAND_TABLE: (),
    "enforcer.telemetry": ("opentelemetry",),
}

LIGHT = (
    "enforcer.errors",
    "enforcer.ports",
    "enforcer.clone",
    "enforcer.project",
    "enforcer.resources",
    "enforcer.settings",
    "enforcer.userstate",
    "enforcer.gate",
    "enforcer.enforcer",
    "enforcer.workflow",
    "enforcer.ledger.entry",
    "enforcer.ledger.codec",
    "enforcer.ledger.merkle",
    "enforcer.ledger.note",
    "enforcer.ledger.checkpoint",
    "enforcer.ledger.proof",
    "enforcer.ledger.tiles",
    "enforcer.ledger.tree",
    "enforcer.ledger.store",
    "enforcer.ledger.fold",
    "enforcer.ledger.files",
    "enforcer.ledger.segments",
    "enforcer.ledger.tail",
    "enforcer.ledger.locks",
    "enforcer.ledger.commit",
    "enforcer.ledger.repair",
    "enforcer.ledger.recovery",
    "enforcer.ledger.past",
    "enforcer.ledger.memory",
    "enforcer.leases",
    "enforcer.evidence.descent",
    "enforcer.evidence.folder",
    "enforcer.evidence.objects",
    "enforcer.evidence.processes",
    "enforcer.tools",
)
HEAVY = {
    "argparse", "asyncio", "dataclasses", "importlib.metadata", "importlib.resources", "inspect", "logging", "pathlib",
    "random", "shutil", "subprocess", "tempfile", "tomllib", "typing", "uuid",
}  # fmt: skip

# Importing any of these in a fresh interpreter loads none of the things below.
LOADED_LIGHT = ("enforcer", "enforcer.workflow.decide", "enforcer.ledger.files", "enforcer.gate", "enforcer.enforcer")
NEVER_LOADED = {
    "click", "cryptography", "dataclasses", "jsonschema", "opentelemetry", "pydantic", "typing",
}  # fmt: skip


# --- The rules -------------------------------------------------------------------------------------------------------


def within(name: str, places: tuple[str, ...] | set[str]) -> bool:
    """Whether `name` is one of `places` or stands below one."""
    return any(name == place or name.startswith(place + ".") for place in places)


def impure_imports(package: Package) -> Iterator[str]:
    """Typing-only imports count too: what a pure module must not use, it has no reason to name."""
    for module in package.values():
        if not within(module.name, PURE):
            continue
        for each in module.imports:
            typing_only = each.when == "check" and each.root == "typing"
            if (
                not typing_only
                and each.root not in PURE_STANDARD
                and not within(each.target, ("enforcer.errors", *PURE))
            ):
                yield f"{module.at(each.line)} is pure and imports {each.target}"


def impure_calls(package: Package) -> Iterator[str]:
    for module in package.values():
        if not within(module.name, PURE):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS:
                yield f"{module.at(node.lineno)} is pure and calls {node.func.id}()"


def strays_from_home(package: Package) -> Iterator[str]:
    for module in package.values():
        for each in module.imports:
            if each.root not in HOMES:
                if each.root not in sys.stdlib_module_names and each.root not in ("enforcer", "<computed>"):
                    yield f"{module.at(each.line)} imports {each.target}, which has no home"
            elif not within(module.name, HOMES[each.root]):
                yield f"{module.at(each.line)} imports {each.target}, whose home is {HOMES[each.root]}"


def gate_sees_adapters(package: Package) -> Iterator[str]:
    for module in package.values():
        if not within(module.name, (GATE,)):
            continue
        for each in module.imports:
            if each.root == "enforcer" and not within(each.target, (GATE, *GATE_SEES)):
                yield f"{module.at(each.line)} imports {each.target}, which is no protocol"


def surfaces_mixed(package: Package) -> Iterator[str]:
    for module in package.values():
        if within(module.name, (COMMAND_TABLE,)):
            continue
        if module.name == MAIN:
            yield from _other_than(module, COMMAND_TABLE)
            continue
        for each in module.imports:
            if within(each.target, ("enforcer.surfaces",)) and _surface(each.target) != (_surface(module.name) or None):
                yield f"{module.at(each.line)} imports the surface {each.target}"


def _other_than(module: Module, surface: str) -> Iterator[str]:
    for each in module.imports:
        if within(each.target, ("enforcer.surfaces",)) and each.target != surface:
            yield f"{module.at(each.line)} imports {each.target}, and is the command alone"


def _surface(name: str) -> str:
    """The surface that a module belongs to: `hooks` for `enforcer.surfaces.hooks.shell`; empty outside of surfaces."""
    parts = name.split(".")
    return parts[2] if parts[:2] == ["enforcer", "surfaces"] and len(parts) > 2 else ""


def cycles(package: Package) -> Iterator[str]:
    """Imports inside functions count, so that none hides a cycle.

    Those of the package's own `__init__` do not: it hands out names at first use, and is above all that it names.
    """
    edges = {
        module.name: {
            each.target
            for each in module.imports
            if each.target in package and (each.when == "load" or (each.when == "call" and module.name != "enforcer"))
        }
        for module in package.values()
    }
    while True:
        # Whatever imports nothing that is left, or that nothing left imports, is on no cycle.
        aimed = set().union(*edges.values()) if edges else set()
        free = {name for name, targets in edges.items() if not targets or name not in aimed}
        if not free:
            break
        edges = {name: targets - free for name, targets in edges.items() if name not in free}
    if edges:
        yield "a cycle among " + ", ".join(f"{name} → {sorted(targets)}" for name, targets in sorted(edges.items()))


def deferred_imports(package: Package) -> Iterator[str]:
    for module in package.values():
        for each in module.imports:
            if each.when == "call" and not _may_defer(module.name, each.target):
                yield f"{module.at(each.line)} imports {each.target} inside a function or by a computed name"


def _may_defer(name: str, target: str) -> bool:
    for place, targets in DEFERRED.items():
        is_place = name == place if place == "enforcer" else within(name, (place,))
        if is_place and (not targets or within(target, targets)):
            return True
    return False


def heavy_imports(package: Package) -> Iterator[str]:
    for module in package.values():
        if within(module.name, LIGHT):
            for each in module.imports:
                if each.when == "load" and within(each.target, HEAVY):
                    yield f"{module.at(each.line)} is light and loads {each.target}"


# --- The rows --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """`breach` and `honest` map module names to source; a name that ends in `.__init__` is a package's own file."""

    find: Callable[[Package], Iterator[str]]
    breach: tuple[Mapping[str, str], ...]
    honest: Mapping[str, str]


RULES = {
    "a pure module imports only what is pure": Rule(
        impure_imports,
        (
            {"enforcer.workflow.rules": "import os"},
            {"enforcer.workflow.rules": "import time"},
            {"enforcer.workflow.rules": "from enforcer.ports import Clock", "enforcer.ports": ""},
            {"enforcer.workflow.rules": "from enforcer import ports", "enforcer.ports": ""},
            {"enforcer.workflow.rules": "from ..ledger import files", "enforcer.ledger.files": ""},
            {"enforcer.workflow.rules": "from typing import Any"},
            {"enforcer.workflow.rules": "if TYPE_CHECKING:\n    from pathlib import Path"},
            {"enforcer.ledger.codec": "def f():\n    import random"},
            {"enforcer.attestation.prompt": "class C:\n    try:\n        import ssl\n    finally:\n        pass"},
        ),
        {
            "enforcer.workflow.rules": "import json\nfrom collections.abc import Mapping\n"
            "from enforcer.errors import E\nfrom . import record\nif TYPE_CHECKING:\n    from typing import Any\n",
            "enforcer.workflow.record": "",
            "enforcer.ledger.files": "import os",
        },
    ),
    "a pure module calls no builtin that reaches outside": Rule(
        impure_calls,
        ({"enforcer.workflow.rules": "x = open('f')"}, {"enforcer.ledger.note": "def f():\n    return [print(1)]"}),
        {"enforcer.workflow.rules": "def f(disk): return disk.open('f')", "enforcer.ledger.files": "open('f')"},
    ),
    "a third-party package stays in its home": Rule(
        strays_from_home,
        (
            {"enforcer.gate": "import pydantic"},
            {"enforcer.ledger.memory": "import filelock"},
            {"enforcer.surfaces.hooks": "import click"},
            {"enforcer.surfaces.clicker": "import click"},
            {"enforcer.policies": "if TYPE_CHECKING:\n    import requests"},
            {"enforcer.evidence.readers": "from subprocess import run"},
            {"enforcer.evidence.readers": "def f():\n    __import__('cryptography.x509')"},
        ),
        {
            "enforcer.surfaces.cli.__init__": "import click",
            "enforcer.surfaces.cli.status": "import click.testing",
            "enforcer.evidence.git": "import subprocess",
            "enforcer.gate": "import json, os",
        },
    ),
    "the gate sees protocols only": Rule(
        gate_sees_adapters,
        (
            {"enforcer.gate": "import enforcer.ledger.files"},
            {"enforcer.gate": "from enforcer.ledger import memory", "enforcer.ledger.memory": ""},
            {"enforcer.gate": "if TYPE_CHECKING:\n    from enforcer.evidence.folder import Folder"},
            {"enforcer.gate": "from enforcer.leases.files import FileLeases"},
            {"enforcer.gate": "from enforcer.telemetry import follower"},
        ),
        {
            "enforcer.gate": "from enforcer.ledger.store import Store\nfrom enforcer.workflow.decide import decide",
            "enforcer.enforcer": "from enforcer.ledger.files import FileStore",
        },
    ),
    "surfaces know neither each other nor are known": Rule(
        surfaces_mixed,
        (
            {"enforcer.gate": "import enforcer.surfaces"},
            {"enforcer.gate": "from enforcer.surfaces.cli import main"},
            {"enforcer.surfaces.hooks": "from . import cli", "enforcer.surfaces.cli": ""},
            {"enforcer.__main__": "from enforcer.surfaces.demo import run"},
            {"enforcer.surfaces.mcp.server": "def f():\n    import enforcer.surfaces.hooks"},
        ),
        {
            "enforcer.__main__": "from enforcer.surfaces.cli import main",
            "enforcer.surfaces.cli": "from enforcer.surfaces.hooks import run",
            "enforcer.surfaces.demo.walk": "from enforcer.surfaces.demo import script",
            "enforcer.surfaces.hooks": "from enforcer.enforcer import Enforcer",
        },
    ),
    "no import cycles": Rule(
        cycles,
        (
            {"enforcer.a": "import enforcer.b", "enforcer.b": "from enforcer import a"},
            {"enforcer.a": "import enforcer.b", "enforcer.b": "def f():\n    import enforcer.a"},
            {"enforcer.a": "import enforcer.b", "enforcer.b": "import enforcer.c", "enforcer.c": "import enforcer.a"},
            {"enforcer.a": "import enforcer.a"},
        ),
        {
            "enforcer.__init__": "def __getattr__(name):\n    import enforcer.a",
            "enforcer.a": "import enforcer.b, enforcer.c",
            "enforcer.b": "import enforcer.c",
            "enforcer.c": "if TYPE_CHECKING:\n    import enforcer.a\nimport enforcer",
        },
    ),
    "imports inside functions stand in four places": Rule(
        deferred_imports,
        (
            {"enforcer.gate": "def f():\n    import json"},
            {"enforcer.gate": "class C:\n    async def f(self):\n        if self:\n            from os import path"},
            {"enforcer.gate": "json = __import__('json')"},
            {"enforcer.gate": "def f(name):\n    return importlib.import_module(name)"},
            {"enforcer.telemetry.spans": "def f():\n    import enforcer.gate"},
        ),
        {
            "enforcer.__init__": "def f(name):\n    return import_module(name)",
            "enforcer.enforcer": "def f():\n    import enforcer.ledger.files",
            "enforcer.surfaces.cli": "def f():\n    import enforcer.surfaces.demo",
            "enforcer.telemetry.spans": "def f():\n    from opentelemetry.sdk import trace",
            "enforcer.gate": "if TYPE_CHECKING:\n    import typing\nimport json",
        },
    ),
    "a light module loads nothing heavy": Rule(
        heavy_imports,
        (
            {"enforcer.gate": "from dataclasses import dataclass"},
            {"enforcer.enforcer": "import typing"},
            {"enforcer.ledger.files": "if X:\n    from pathlib import Path"},
            {"enforcer.tools.shell": "from importlib import metadata"},
            {"enforcer.leases.files": "if TYPE_CHECKING:\n    import typing\nelse:\n    import logging.handlers"},
        ),
        {
            "enforcer.gate": "import json\nif TYPE_CHECKING:\n    from typing import Any",
            "enforcer.enforcer": "def f():\n    import tomllib",
            "enforcer.policies": "import tomllib",
        },
    ),
}

BREACHES = [
    pytest.param(rule, each, id=f"{name} {i}") for name, rule in RULES.items() for i, each in enumerate(rule.breach)
]


def _example(files: Mapping[str, str]) -> Package:
    return parse_package(
        {name.removesuffix(".__init__"): (text, name.endswith(".__init__")) for name, text in files.items()}
    )


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    breaches = list(rule.find(read_package()))
    assert not breaches, "\n".join(breaches)


@pytest.mark.parametrize("rule,files", BREACHES)
def test_a_breach_of_the_rule_is_found(rule: Rule, files: Mapping[str, str]) -> None:
    assert len(list(rule.find(_example(files)))) == 1


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_honest_code_keeps_the_rule(rule: Rule) -> None:
    assert list(rule.find(_example(rule.honest))) == []


@pytest.mark.parametrize("name", ["enforcer", "enforcer.workflow.decide", "enforcer.ledger.entry", GATE, COMMAND_TABLE])
def test_the_rules_speak_of_modules_that_exist(name: str) -> None:
    """A renamed module would otherwise slip out from under its rules."""
    assert name in sorted(read_package())


# --- What is really loaded -------------------------------------------------------------------------------------------

PROBE = """
import sys
root, name, *path = sys.argv[1:]
sys.path[:] = [root, *path]
__import__(name)
print(*sorted(sys.modules))
"""


def loaded_by(name: str, root: Path = ROOT) -> set[str]:
    """The modules of a fresh interpreter after `import name`.

    `site` is left out, because `.pth` files of installed tools may load modules before any of ours does; the folders
    of installed packages are passed on, so that an import guarded by `try` has what it looks for.
    """
    command = [sys.executable, "-I", "-S", "-c", PROBE, str(root), name, *sys.path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("name", LOADED_LIGHT)
def test_a_light_import_loads_nothing_heavy(name: str) -> None:
    loaded = loaded_by(name)
    assert name in loaded
    assert {each for each in loaded if within(each, NEVER_LOADED)} == set()


@pytest.mark.parametrize("heavy", sorted(NEVER_LOADED))
def test_a_heavy_module_that_is_loaded_is_seen(heavy: str, tmp_path: Path) -> None:
    (tmp_path / "careless.py").write_text(
        f"try:\n    import {heavy}\nexcept ImportError:\n    pass\n", encoding="utf-8"
    )
    assert heavy in loaded_by("careless", tmp_path)
