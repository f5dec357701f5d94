"""What a run's reports become: the artifacts of evidence that its readers make, or why they cannot.

The numbers in them are counted from the reports' own cases and lines. A report that contradicts itself, or the exit
status of the command that wrote it, proves nothing.
"""

from __future__ import annotations

import json

from enforcer.evidence.readers import (
    Unreadable,
    changed_lines,
    coverage_document,
    disagrees,
    log_text,
    read_coverage,
    read_findings,
    read_tests,
    unmeasured,
)
from enforcer.workflow.events import Refusal
from enforcer.workflow.process import LOG
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enforcer.evidence.readers import Coverage

TESTS = ("junit",)
_FINDINGS = ("sarif",)


class Raw(Record):
    """What a run left for the readers: what it wrote, the status it ended with, and what had changed since the base.

    `status` is None where a signal ended it. `top` is the absolute path of the folder that paths in the diff are
    relative to, `folder` relative to it the one in which the command ran, and `files` are the files there, where they
    are known. `tested`: the run made test results as well, so its exit status is theirs.
    """

    output: bytes
    status: int | None
    diff: bytes
    top: str
    folder: str = "."
    files: frozenset[str] | None = None
    tested: bool = False


def make(artifact: str, reader: str, report: bytes, raw: Raw, *, phase: str, attempt_id: str) -> bytes | Refusal:
    """The bytes of an artifact, or why the report does not make it. Without a reader the report is the artifact."""
    if not reader:
        return report
    try:
        if reader == LOG:
            return log_text(raw.output, raw.status)
        document = _document(reader, report, raw)
    except Unreadable as error:
        message = f"The report for {artifact} cannot be read: {error}."
        return Refusal(
            "evidence_invalid", message, phase, artifact, "Look at what the command writes, and at its reader."
        )
    # The coverage of tests that failed is no lie; that they failed is for the test results to say.
    explained = raw.tested and reader not in (*TESTS, *_FINDINGS)
    contradiction = "" if explained else disagrees(reader, document, raw.status)
    if contradiction:
        message = f"The report for {artifact} and the command's exit status contradict each other: {contradiction}."
        return Refusal("evidence_invalid", message, phase, artifact, "Find out which of them is wrong.")
    return json.dumps({**document, "attempt_id": attempt_id}, indent=2, sort_keys=True).encode() + b"\n"


def _document(reader: str, report: bytes, raw: Raw) -> dict[str, Any]:
    if reader in TESTS:
        return dict(read_tests(reader, report))
    if reader in _FINDINGS:
        return dict(read_findings(reader, report))
    return dict(coverage_document(_coverage(reader, report, raw), changed_lines(raw.diff)))


def never_measured(reader: str, report: bytes, raw: Raw) -> tuple[str, ...]:
    """The changed files of which a report of coverage says nothing, though it measures others of their kind.

    It is for people to judge: tests are often left out on purpose. Empty for any other reader.
    """
    if reader in ("", LOG, *TESTS, *_FINDINGS):
        return ()
    return unmeasured(_coverage(reader, report, raw), changed_lines(raw.diff))


def _coverage(reader: str, report: bytes, raw: Raw) -> Coverage:
    return read_coverage(reader, report, root=raw.top, folder=raw.folder, files=raw.files)
