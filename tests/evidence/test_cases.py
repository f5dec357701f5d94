"""Evidence as people write it, and as they fake it: one file a case, judged by the rules over single artifacts.

`cases/honest/<phase>/<artifact>/` must pass every such rule of the default process. A file of `cases/liars/` is named
after the rule that must refuse it, then two hyphens, then what it tries.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from enforcer import policies
from enforcer.evidence import schema
from enforcer.evidence.plan import plan
from enforcer.workflow.rules.subject import INVALID, Surroundings
from enforcer.workflow.rules.table import SCHEMA
from enforcer.workflow.rules.text import read

CASES = Path(__file__).parent / "cases"
HONEST = sorted(path for path in (CASES / "honest").rglob("*") if path.is_file())
LIARS = sorted(path for path in (CASES / "liars").rglob("*") if path.is_file())

LOADED = policies.load("default", root=str(CASES))


def _name(path: Path) -> str:
    return str(path.relative_to(CASES))


def _refusing(path: Path) -> dict[str, list[str]]:
    """The rules over the artifact alone that refuse a case, with their messages."""
    phase = LOADED.process.phase(path.parent.parent.name.upper())
    asked = next(one for one in plan(LOADED.process, phase).asked if one.artifact.name == path.parent.name)
    subject, faults = read(asked.artifact.name, asked.artifact.format, path.read_bytes())
    if subject is None:
        assert all(fault.code == INVALID for fault in faults)
        return {"format": [fault.message for fault in faults]}
    refusing = {}
    for check in asked.alone:
        if check.rule.kind == SCHEMA:
            document = next(one for one in LOADED.objects if policies.digest(one) == check.rule.params["schema"])
            messages = list(schema.faults(document, subject.value))
        else:
            around = Surroundings(attempt_id="", actor="")
            messages = [fault.message for fault in check.kind.check(subject, around, check.rule.params)]
        if messages:
            refusing[check.rule.id] = messages
    return refusing


@pytest.mark.parametrize("path", HONEST, ids=_name)
def test_honest_evidence_passes(path: Path) -> None:
    assert _refusing(path) == {}


@pytest.mark.parametrize("path", LIARS, ids=_name)
def test_a_lie_is_refused_by_the_rule_that_is_there_for_it(path: Path) -> None:
    refusing = _refusing(path)
    assert path.name.partition("--")[0] in refusing
    for messages in refusing.values():
        assert all(message.isprintable() and len(message) < 600 for message in messages)


def test_every_artifact_of_the_default_process_but_the_diff_has_honest_cases() -> None:
    covered = {(path.parent.parent.name.upper(), path.parent.name) for path in HONEST}
    named = {(phase.name, artifact.name) for phase, artifact in LOADED.process.artifacts() if artifact.format != "diff"}
    assert covered == named


def test_every_rule_over_a_single_artifact_refuses_some_case() -> None:
    alone = {
        check.rule.id
        for phase in LOADED.process.phases
        for one in plan(LOADED.process, phase).asked
        for check in one.alone
    }
    assert alone - {"scaffold"} <= {path.name.partition("--")[0] for path in LIARS}
