"""An audit as SARIF 2.1.0, so that a code host shows each finding at the file that it is about.

Source: Static Analysis Results Interchange Format 2.1.0 (OASIS, 27 March 2020): §3.13 sarifLog, §3.14 run, §3.19
toolComponent, §3.20 invocation, §3.27 result, §3.28 location, §3.49 reportingDescriptor; and what code hosts ask of it:
stable rule ids, locations relative to the root, a region, and fingerprints that stay the same from run to run.
"""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import quote

from enforcer.evidence.findings import CLEAN, NOTE, UNANSWERED, VIOLATED, VIOLATION
from enforcer.ledger.codec import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from enforcer.evidence.findings import AuditReport, Finding

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION = "2.1.0"

_LEVELS = {VIOLATION: "error", UNANSWERED: "warning", NOTE: "note"}

# What each code means in general. A code that is not here is described by itself.
RULES = {
    "evidence_changed": "Accepted evidence has other bytes than were accepted.",
    "evidence_invalid": "The content breaks a rule of the process.",
    "evidence_missing": "Evidence that the process needs, or that was accepted, is not there.",
    "evidence_stale": "Evidence belongs to another attempt, commit or state of the files.",
    "evidence_unasked": "The process asks for nothing of this name.",
    "evidence_unobserved": "A worker wrote what the process wants observed.",
    "evidence_unreadable": "The disk gave no answer.",
    "evidence_unrecorded": "The ledger does not know it.",
    "evidence_unsafe": "It is no plain file of evidence that can be read safely.",
    "findings_omitted": "More findings of a kind than are listed.",
    "illegal": "The ledger tells of something that could not have been decided.",
    "no_evidence": "There is no evidence to judge.",
    "object_damaged": "A stored copy has other bytes than its digest says.",
    "object_missing": "A stored copy is gone.",
    "object_unreadable": "A stored copy could not be read.",
    "process_damaged": "A stored process cannot be read by this release.",
    "process_unsound": "A stored process is none that evidence can be held to.",
    "reviewer_is_author": "An author reviewed their own work.",
    "rule_unknown": "A rule is of another release, and was not asked.",
    "size_wrong": "A stored copy has another size than is on record.",
    "tree_unknown": "The working files could not be compared.",
}

_NOT_JUDGED = {
    "id": "not_judged",
    "name": "NotJudged",
    "shortDescription": {"text": "A rule was not asked, because what it looks at is not here."},
}


def sarif(report: AuditReport, *, version: str, home: str) -> dict[str, Any]:
    """The report as a SARIF log of one run.

    `home` is the folder of evidence, relative to where whoever reads the log begins paths, or absolute. What could not
    be judged again stands among the notifications of the run.
    """
    codes = list(dict.fromkeys(finding.code for finding in report.findings))
    driver = {
        "name": "Enforcer",
        "version": version,
        "semanticVersion": version,
        "rules": [_rule(code) for code in codes],
        **({"notifications": [_NOT_JUDGED]} if report.unjudged else {}),
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [_invocation(report)],
        "results": [_result(finding, codes.index(finding.code), home) for finding in report.findings],
        "columnKind": "unicodeCodePoints",
        "properties": {
            "verdict": report.verdict,
            "tasks": report.tasks,
            "artifacts": report.artifacts,
            "judged": report.judged,
        },
    }
    return {"$schema": SCHEMA, "version": VERSION, "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    name = "".join(word.capitalize() for word in code.split("_"))
    return {"id": code, "name": name, "shortDescription": {"text": RULES.get(code, f"The audit found {code}.")}}


def _invocation(report: AuditReport) -> dict[str, Any]:
    notes = [
        {
            "descriptor": {"id": _NOT_JUDGED["id"], "index": 0},
            "level": "note",
            "message": {
                "text": f"{one.rule} ({one.kind}) of {one.phase}/{one.artifact} was not asked of {one.count}"
                f" {'artifact' if one.count == 1 else 'artifacts'}: {one.why}."
            },
        }
        for one in report.unjudged
    ]
    return {
        "executionSuccessful": report.verdict in (CLEAN, VIOLATED),
        "exitCode": report.exit_status,
        **({"toolExecutionNotifications": notes} if notes else {}),
    }


def _result(finding: Finding, index: int, home: str) -> dict[str, Any]:
    about = [part for part in (finding.task, finding.phase, finding.artifact) if part]
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _LEVELS[finding.level],
        "message": {"text": finding.message + (f"\nFix: {finding.fix}" if finding.fix else "")},
        "locations": [_location(finding, home, about)],
        "partialFingerprints": _fingerprints(finding),
        **({"properties": {"seq": finding.seq}} if finding.seq is not None else {}),
    }


def _location(finding: Finding, home: str, about: list[str]) -> dict[str, Any]:
    path = "/".join(part for part in (home, finding.task, finding.phase.lower(), finding.artifact) if part)
    physical = {"artifactLocation": {"uri": _uri(path)}, "region": {"startLine": 1}}
    if not about:
        return {"physicalLocation": physical}
    logical = [{"fullyQualifiedName": "/".join(about)}]
    return {"physicalLocation": physical, "logicalLocations": logical}


def _uri(path: str) -> str:
    """A relative reference (RFC 3986), or a `file` URI of an absolute path."""
    quoted = quote(path, safe="/")
    return f"file://{quoted}" if path.startswith("/") else quoted


def _fingerprints(finding: Finding) -> dict[str, str]:
    """The same finding has the same fingerprint in every run. Hosts look at the name that they give a line's hash."""
    mark = _digest((finding.code, finding.task, finding.phase, finding.artifact, finding.message))
    return {"enforcerFinding/v1": mark, "primaryLocationLineHash": f"{mark[:16]}:1"}


def _digest(parts: Iterable[str]) -> str:
    return sha256(canonical(list(parts))).hexdigest()
