"""From a SARIF log to evidence: how many results of which level static analysis left.

Source: Static Analysis Results Interchange Format 2.1.0 (OASIS, 27 March 2020): §3.13 sarifLog, §3.14 run, §3.20.14
executionSuccessful, §3.27 result (kind, level, baselineState, suppressions), §3.35 suppression, §3.50
reportingConfiguration.
"""

from __future__ import annotations

from enforcer.evidence.readers.fault import Unreadable, parse_json, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_RESULTS = 200_000

_LEVELS = {"error": "errors", "warning": "warnings", "note": "notices", "none": "others"}
_COUNTS = (*_LEVELS.values(), "suppressed", "incomplete_runs")


def read_findings(reader: str, data: bytes) -> dict[str, Any]:
    """A document of `schemas/evidence/static_analysis.schema.json`, counted from the results. Raises `Unreadable`."""
    if reader != "sarif":
        raise Unreadable(f"{shown(reader)} reads no static analysis; sarif does")
    document = parse_json(data)
    if not isinstance(document, dict) or document.get("version") != "2.1.0":
        raise Unreadable("it is no SARIF log of version 2.1.0")
    runs = _objects(document, "runs", "the log")
    if not runs:
        raise Unreadable("it tells of no run of a tool")
    counts = dict.fromkeys(_COUNTS, 0)
    for index, run in enumerate(runs):
        _count(run, f"runs[{index}]", counts)
    total = sum(counts[name] for name in _LEVELS.values())
    tool = ", ".join(dict.fromkeys(name for run in runs if (name := _tool(run))))[:200]
    return {"total": total, **counts, "runs": len(runs)} | ({"tool": tool} if tool else {})


def _count(run: dict[str, Any], where: str, counts: dict[str, int]) -> None:
    counts["incomplete_runs"] += not _is_complete(run, where)
    results = _objects(run, "results", where) if run.get("results") is not None else []
    if len(results) > MAX_RESULTS:
        raise Unreadable(f"{where} has more than {MAX_RESULTS} results")
    rules = _Rules(run, where)
    for index, result in enumerate(results):
        if result.get("baselineState") == "absent":  # It was there in an earlier run, and is not there now.
            continue
        if _is_suppressed(result, f"{where}.results[{index}]"):
            counts["suppressed"] += 1
        else:
            counts[_LEVELS[rules.level(result, f"{where}.results[{index}]")]] += 1


def _is_complete(run: dict[str, Any], where: str) -> bool:
    """Whether the tool says that it looked, and nothing that it did not get to the end."""
    invocations = _objects(run, "invocations", where) if run.get("invocations") is not None else []
    return run.get("results") is not None and all(one.get("executionSuccessful") is True for one in invocations)


def _is_suppressed(result: dict[str, Any], where: str) -> bool:
    """All of its suppressions hold: none waits for a review, and none was rejected (§3.27.23)."""
    if result.get("suppressions") is None:
        return False
    held = _objects(result, "suppressions", where)
    return bool(held) and all(one.get("status", "accepted") == "accepted" for one in held)


class _Rules:
    """The levels that a run gives its rules: of the driver, and of the extensions it names."""

    def __init__(self, run: dict[str, Any], where: str) -> None:
        tool = _object(run, "tool", where)
        driver = _object(tool, "driver", f"{where}.tool")
        extensions = _objects(tool, "extensions", f"{where}.tool") if tool.get("extensions") is not None else []
        self._components = [
            _objects(one, "rules", f"{where}.tool") if one.get("rules") is not None else []
            for one in (driver, *extensions)
        ]
        self._by_id = {rule.get("id"): rule for rules in reversed(self._components) for rule in reversed(rules)}

    def level(self, result: dict[str, Any], where: str) -> str:
        """The level of a result (§3.27.10): its own, else that of its rule, else `warning`; `none` for no failure."""
        level = result.get("level")
        if level is None:
            level = "none" if result.get("kind", "fail") != "fail" else self._default(result)
        if not isinstance(level, str) or level not in _LEVELS:
            raise Unreadable(f"{where} has the level {shown(level)}, which is none")
        return level

    def _default(self, result: dict[str, Any]) -> Any:
        rule = self._rule(result)
        return _part(rule or {}, "defaultConfiguration").get("level", "warning")

    def _rule(self, result: dict[str, Any]) -> dict[str, Any] | None:
        told = _part(result, "rule")
        extension = _part(told, "toolComponent").get("index", -1)
        index = result.get("ruleIndex", told.get("index", -1))
        place = extension + 1 if type(extension) is int else 0
        rules = self._components[place] if 0 <= place < len(self._components) else []
        if type(index) is int and 0 <= index < len(rules):
            return rules[index]
        name = result.get("ruleId", told.get("id"))
        return self._by_id.get(name) if isinstance(name, str) else None


def _part(value: dict[str, Any], name: str) -> dict[str, Any]:
    """An object that need not be there."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _tool(run: dict[str, Any]) -> str:
    driver = run["tool"]["driver"]
    words = [driver.get("name"), driver.get("semanticVersion") or driver.get("version")]
    return " ".join(ascii(word)[1:-1][:80] for word in words if isinstance(word, str) and word)


def _object(value: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    found = value.get(name)
    if not isinstance(found, dict):
        raise Unreadable(f"{where} has no object {shown(name)}")
    return found


def _objects(value: dict[str, Any], name: str, where: str) -> list[dict[str, Any]]:
    found = value.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Unreadable(f"{where} has no list of objects {shown(name)}")
    return found
