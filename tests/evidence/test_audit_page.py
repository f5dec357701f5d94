"""`docs/audit.md` names the codes that an audit gives, no others, and describes each of them in SARIF."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from enforcer.evidence import sarif

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("audit", "findings", "rejudge", "staleness", "unledgered", "history", "copies")

# Codes that stand in errors and verdicts, and reach an audit from there.
PASSED_ON = {
    *("evidence_invalid", "evidence_stale", "evidence_unsafe", "evidence_unreadable", "evidence_missing"),
    *("object_missing", "object_damaged", "object_unreadable", "process_damaged", "reviewer_is_author"),
    "evidence_unobserved",
}


def on_the_page() -> set[str]:
    text = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)}


def in_the_source() -> set[str]:
    """The constants that look like codes among the arguments of calls."""
    found = set()
    for name in MODULES:
        tree = ast.parse((ROOT / "enforcer" / "evidence" / f"{name}.py").read_text(encoding="utf-8"))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            parts = [each.value.elts if isinstance(each, ast.Starred) and isinstance(each.value, ast.Tuple) else [each]
                     for each in call.args]  # fmt: skip
            values = [value.value for part in parts for value in part if isinstance(value, ast.Constant)]
            found |= {
                value for value in values if isinstance(value, str) and re.fullmatch(r"[a-z]+(_[a-z]+)+|illegal", value)
            }
    return found - {"ledger_illegal", "unknown_task"}  # Errors: there is no report then.


def test_the_page_names_every_code_of_an_audit_and_no_other() -> None:
    assert on_the_page() == in_the_source() | PASSED_ON


def test_every_code_of_the_page_is_described_in_sarif() -> None:
    assert on_the_page() == sarif.RULES.keys()
