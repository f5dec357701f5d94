"""The form that a worker starts from: for each artifact one, derived from its rules and its schema.

Whoever writes a process need not write forms, and a form never asks for less or more than the rules do. A form is
refused as long as it is untouched (`workflow.rules.text.check_scaffold`), so it holds no answers, only what is not
work: the attempt's id and who asks.
"""

from __future__ import annotations

import json

from enforcer.workflow.process import DIFF, JSON, MARKDOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from enforcer.workflow.process import Artifact, Rule

ATTEMPT, ACTOR = "{attempt_id}", "{actor}"
_FILLED_BY = {"attempt": ("attempt_id", ATTEMPT), "reviewer": ("reviewer", ACTOR)}

_DIFF = """TODO: replace this file by what git says:
git add -AN && git diff --binary --no-renames BASE
BASE is the commit that the task started from; `enforcer status` shows it.
"""


def scaffold(artifact: Artifact, attempt_id: str, actor: str) -> bytes:
    """The form of an artifact for one attempt; `actor` is the principal who asks."""
    text = artifact.scaffold
    for field, value in ((ATTEMPT, attempt_id), (ACTOR, actor)):
        text = text.replace(field, json.dumps(value)[1:-1] if artifact.format == JSON else value)
    return text.encode()


def derive(format_name: str, rules: Iterable[Rule], schema: Any = None) -> str:
    """The form that rules and schema ask for, with the fields that `scaffold` fills in left as `{…}`."""
    kinds = {rule.kind: rule.params for rule in rules}
    if format_name == JSON:
        filled = {kinds[kind].get("field", field): mark for kind, (field, mark) in _FILLED_BY.items() if kind in kinds}
        return json.dumps(_form(schema, schema, filled, 0), indent=2) + "\n"
    if format_name == MARKDOWN:
        return _document(kinds)
    if format_name == DIFF:
        return _DIFF
    if "exit_status" in kinds:
        return "TODO: the output of the build\nexit status: TODO\n"
    return "TODO: https://\n" if "url" in kinds else "TODO: the text\n"


def _document(kinds: dict[str, Any]) -> str:
    listed = kinds.get("list", {}).get("headings", ())
    headings = dict.fromkeys((*kinds.get("sections", {}).get("headings", ()), *listed))
    parts = [
        f"## {name}\n\n{'- TODO: an item of the list' if name in listed else 'TODO: the text'}\n" for name in headings
    ]
    return "\n".join(parts) or "TODO: the text\n"


def _form(schema: Any, whole: Any, filled: dict[str, str], depth: int) -> Any:
    """A value in the shape of a schema, with its required members and nothing that could pass for an answer."""
    schema = _followed(schema, whole)
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        members = schema.get("properties", {})
        names = [name for name in members if name in schema.get("required", ())] if depth < 8 else []
        return {
            name: filled[name] if name in filled and not depth else _form(members[name], whole, filled, depth + 1)
            for name in names
        }
    if kind == "array":
        return (
            [_form(schema.get("items", {}), whole, filled, depth + 1)] if schema.get("minItems") and depth < 8 else []
        )
    if kind in ("integer", "number"):
        return 0
    if kind == "boolean":
        return False
    return f"TODO: {_hint(schema)}"


def _followed(schema: Any, whole: Any) -> dict[str, Any]:
    """The schema itself, or the one of the same document that it refers to, a few steps far."""
    for _ in range(8):
        if not isinstance(schema, dict) or not str(schema.get("$ref", "")).startswith("#/"):
            break
        target: Any = whole
        for part in schema["$ref"][2:].split("/"):
            target = target.get(part, {}) if isinstance(target, dict) else {}
        schema = target
    return schema if isinstance(schema, dict) else {}


def _hint(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    return str(schema.get("description", "the text")).split(". ")[0].rstrip(".")
