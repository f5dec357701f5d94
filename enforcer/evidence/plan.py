"""What will be asked of a phase's evidence, worked out once for a process: rules, their digests, what they need.

A rule's digest names the question, as an artifact's names the answerer: a verdict that is kept under both holds for as
long as neither changes.
"""

from __future__ import annotations

import hashlib

from enforcer.ledger.codec import canonical
from enforcer.workflow.facts import Verdict
from enforcer.workflow.process import OFF
from enforcer.workflow.record import Record
from enforcer.workflow.rules.subject import INVALID, Fault, RuleKind
from enforcer.workflow.rules.table import FORMAT, IMPLIED, RULES, SCHEMA, implied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from enforcer.workflow.process import Artifact, Phase, Process, Rule
    from enforcer.workflow.rules.subject import Subject, Surroundings


class Check(Record):
    """One rule, ready to be asked. `held` is the verdict where it holds; it is the same every time."""

    rule: Rule
    kind: RuleKind
    digest: str
    held: Verdict


class Asked(Record):
    """All that is asked of one artifact: `form` that it can be read, `alone` of its bytes, `across` of the rest."""

    artifact: Artifact
    form: Check
    alone: tuple[Check, ...]
    across: tuple[Check, ...]


class Plan(Record):
    """All that is asked when a phase is left.

    `standing` maps earlier phases to the names of their artifacts that this one stands on; `documents` are the
    `phase/artifact` names whose content a rule looks at.
    """

    phase: Phase
    names: tuple[str, ...]
    asked: tuple[Asked, ...]
    standing: Mapping[str, tuple[str, ...]]
    documents: frozenset[str]


def plan(process: Process, phase: Phase) -> Plan:
    """The plan of a phase; rules of mode `off` are not in it."""
    asked = tuple(_asked(phase, artifact) for artifact in phase.artifacts)
    across = [check for one in asked for check in one.across]
    documents = frozenset(check.rule.params[check.kind.earlier] for check in across if check.kind.reads)
    below = process.standing_on(phase) | documents
    standing = {
        before.name: tuple(each.name for each in before.artifacts if f"{before.name}/{each.name}" in below)
        for before in process.earlier(phase.name)
    }
    return Plan(phase, tuple(artifact.name for artifact in phase.artifacts), asked, standing, documents)


def _asked(phase: Phase, artifact: Artifact) -> Asked:
    rules = [rule for rule in phase.rules if rule.artifact == artifact.name and rule.mode != OFF]
    checks = [_check(rule) for rule in (*implied(artifact), *rules)]
    form = next(check for check in checks if check.rule.kind == FORMAT)
    alone = tuple(check for check in checks if check.kind.alone and check is not form)
    return Asked(artifact, form, alone, tuple(check for check in checks if not check.kind.alone))


def _check(rule: Rule) -> Check:
    kind = RULES.get(rule.kind) or IMPLIED.get(rule.kind) or (_BY_SCHEMA if rule.kind == SCHEMA else _UNKNOWN)
    if kind is not _UNKNOWN and rule.version != kind.version:
        kind = _UNKNOWN
    digest = hashlib.sha256(canonical({"rule": rule.pack(), "version": kind.version})).hexdigest()
    return Check(rule, kind, digest, Verdict(rule.id, rule.artifact, rule.mode))


def _check_nothing(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """A question that this release does not understand is not answered with yes."""
    fix = "Use the release that the process was written for, or move the task: enforcer process adopt TASK"
    return (Fault(INVALID, "is held to a rule that this release does not know, by its kind or version", fix),)


def _check_schema(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    raise AssertionError("a schema is judged by the judge, who can load it")


_UNKNOWN = RuleKind(_check_nothing, version=0, alone=False)
_BY_SCHEMA = RuleKind(_check_schema)
