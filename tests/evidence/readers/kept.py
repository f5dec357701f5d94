"""The real outputs that the tests of all readers begin from, and the rules that evidence made of them must pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema

from enforcer.evidence.readers import Unreadable
from enforcer.workflow.rules import members
from enforcer.workflow.rules.subject import Subject, Surroundings

FOLDER = Path(__file__).parent / "outputs"
ROOT = "/project"

_SCHEMAS = Path(__file__).parents[3] / "schemas" / "evidence"


def output(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def answer(read: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[Any, str]:
    """What a reader makes of its arguments, or why it refuses them. Anything else that it raises is a fault of it."""
    try:
        return read(*arguments, **named), ""
    except Unreadable as error:
        return None, str(error) or "no reason given\n"


def check_schema(name: str, document: dict[str, Any]) -> None:
    """The document is one of that schema, also once it has been written and read back."""
    schema = json.loads((_SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads(json.dumps(document)))


def faults(rule: str, document: dict[str, Any], **params: Any) -> tuple[str, ...]:
    """What a rule of the process says of a document."""
    subject = Subject("a.json", "json", b"", value=json.loads(json.dumps(document)), origin="observed")
    check = getattr(members, f"check_{rule}")
    return tuple(fault.message for fault in check(subject, Surroundings(attempt_id="0" * 32, actor="a"), params))
