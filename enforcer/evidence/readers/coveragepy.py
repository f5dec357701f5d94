"""The JSON report of coverage.py (`coverage json`, formats 2 and 3)."""

from __future__ import annotations

from enforcer.evidence.readers.fault import Unreadable, parse_json, shown
from enforcer.evidence.readers.lines import Lines, Report, check_told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SUMS = ("covered_lines", "num_statements", "missing_lines")


def read(data: bytes) -> Report:
    """What the report lists. Raises `Unreadable`."""
    document = parse_json(data)
    files = _member(document, "files", dict, "the report")
    listed = tuple((path, _lines(path, entry)) for path, entry in files.items())
    _check_sums(_member(document, "totals", dict, "the report"), [lines for _, lines in listed], "totals")
    return Report(listed, tool=_tool(document))


def _lines(path: str, entry: Any) -> Lines:
    where = f"the file {shown(path)}"
    lines = Lines(_numbers(entry, "executed_lines", where), _numbers(entry, "missing_lines", where))
    if both := lines.executed & lines.missing:
        raise Unreadable(f"{where} has line {min(both)} both as executed and as missing")
    _check_sums(_member(entry, "summary", dict, where), [lines], where)
    return lines


def _numbers(entry: Any, name: str, where: str) -> frozenset[int]:
    listed = _member(entry, name, list, where)
    # Line 0 stands for an empty module in some releases; nothing can change there.
    if not all(type(number) is int and number >= 0 for number in listed):
        raise Unreadable(f"{where} has {name} that are not all numbers of lines")
    return frozenset(listed)


def _check_sums(summary: dict[str, Any], lines: list[Lines], where: str) -> None:
    covered = sum(len(one.executed) for one in lines)
    missing = sum(len(one.missing) for one in lines)
    for name, found in zip(_SUMS, (covered, covered + missing, missing), strict=True):
        check_told(_member(summary, name, int, where), [found], f"{name} of {where}")


def _member(value: Any, name: str, kind: type, where: str) -> Any:
    if not isinstance(value, dict) or type(value.get(name)) is not kind:
        raise Unreadable(f"{where} has no {kind.__name__} {shown(name)}; is it the output of `coverage json`?")
    return value[name]


def _tool(document: dict[str, Any]) -> str:
    meta = document.get("meta")
    version = meta.get("version") if isinstance(meta, dict) else None
    is_plain = isinstance(version, str) and len(version) <= 40 and version.isascii() and version.isprintable()
    return f"coverage.py {version}" if version and is_plain else ""
