"""Every code that the package gives its answers, from its source: refusals by their constructor, errors likewise.

A code is an argument of a constructor. Where that is a parameter, the function around it hands a code on, and
its callers are looked at instead. Where it is put together, `COMPUTED` says from what; an expression that is in neither
group is reported, so that no code can hide in one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.sources import Module, Package

# Constructor → which of its arguments is the code.
ERRORS = dict.fromkeys(("EnforcerError", "RequestError", "DamagedError", "UnavailableError", "InternalError"), 0)
REFUSALS = {"Refusal": 0, "Fault": 0, "Problem": 1}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Codes:
    """What was found: each code with the places that give it, and places whose code could not be told."""

    known: Mapping[str, list[str]]
    unknown: list[str]


def errors(package: Package, kind: str = "") -> Codes:
    """Of every kind, or of one class alone."""
    bad_lines = _gather(package, {"BadLine": 0}, {}).known
    computed = {
        "f'{field}_missing'": ["reason_missing", "approver_missing"],
        "f'ledger_{bad.code}'": [f"ledger_{code}" for code in bad_lines],
        "f'ledger_{code}'": ["ledger_torn", *(f"ledger_{code}" for code in bad_lines)],
    }
    return _gather(package, {kind: 0} if kind else ERRORS, computed)


def refusals(package: Package) -> Codes:
    # The faults of rules and the problems of folders are turned into refusals under the codes that they have.
    return _gather(package, REFUSALS, {"one.code": [], "problem.code": [], "faults[0].code": []})


def _gather(package: Package, makers: Mapping[str, int], computed: Mapping[str, list[str]]) -> Codes:
    constants = _visible(package)
    known: dict[str, list[str]] = {}
    unknown: list[str] = []
    givers = dict(makers)
    seen: set[tuple[str, int, int]] = set()
    while True:
        before = len(givers)
        for module, call, around in _calls(package):
            position = givers.get(_called(call))
            spot = (module.name, call.lineno, call.col_offset)
            if position is None or spot in seen or len(call.args) <= position:
                continue
            seen.add(spot)
            code = call.args[position]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                known.setdefault(code.value, []).append(module.at(call.lineno))
            elif isinstance(code, ast.Name) and around is not None and code.id in _parameters(around):
                givers[around.name] = _parameters(around).index(code.id)
            elif isinstance(code, ast.Name) and code.id in constants[module.name]:
                known.setdefault(constants[module.name][code.id], []).append(module.at(call.lineno))
            elif ast.unparse(code) in computed:
                for each in computed[ast.unparse(code)]:
                    known.setdefault(each, []).append(module.at(call.lineno))
            else:
                unknown.append(f"{module.at(call.lineno)}: {ast.unparse(code)}")
        if len(givers) == before:
            return Codes(known, unknown)


def _calls(package: Package) -> Iterator[tuple[Module, ast.Call, Function | None]]:
    """Every call, with the innermost function around it."""

    def walk(
        module: Module, node: ast.AST, around: Function | None
    ) -> Iterator[tuple[Module, ast.Call, Function | None]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                yield module, child, around
            yield from walk(module, child, child if isinstance(child, Function) else around)

    for module in package.values():
        yield from walk(module, module.tree, None)


def _called(call: ast.Call) -> str:
    return _last(call.func) if isinstance(call.func, ast.Name | ast.Attribute) else ""


def _last(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr


def _parameters(function: Function) -> list[str]:
    """The names of what a caller gives by position."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def _visible(package: Package) -> dict[str, dict[str, str]]:
    """By module: the names that stand for a text in it, those that it imports by their own name too."""
    own = {name: _constants(module) for name, module in package.items()}
    visible = {name: dict(names) for name, names in own.items()}
    for module in package.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and node.module in own:
                for alias in node.names:
                    if alias.name in own[node.module]:
                        visible[module.name][alias.asname or alias.name] = own[node.module][alias.name]
    return visible


def _constants(module: Module) -> dict[str, str]:
    """The names that stand for a text in a module: a code may be given by such a name."""
    return {
        name: value
        for node in module.tree.body
        if isinstance(node, ast.Assign)
        for name, value in _assigned(node.targets[0], node.value)
    }


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, str]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts, strict=False):
            yield from _assigned(one, other)
    elif isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield target.id, value.value
