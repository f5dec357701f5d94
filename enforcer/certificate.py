"""What `enforcer certify` answers: checks, each passed, failed or unknown, with reasons, and what they add up to.

A certificate is as good as the weakest of its checks. One that could not be made is no pass, and none at all is none.
"""

from __future__ import annotations

from enforcer.ledger.report import TAMPERED, VERIFIED
from enforcer.workflow.events import Refusal
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar

    from enforcer.errors import EnforcerError
    from enforcer.ledger.report import Report

PASSED, FAILED, UNKNOWN = "passed", "failed", "unknown"

LEDGER = "ledger"  # The check that comes first: without it, nothing else says anything.

MOST_REASONS = 50  # Reasons of one check that are listed.


class Reason(Refusal):
    """Why a check did not pass, in the form of a refusal. Its codes are findings of a check, of an audit, or errors."""


class Check(Record):
    """One question, its answer, and why; `note` says what an answer without reasons rests on."""

    name: str
    verdict: str
    reasons: tuple[Refusal, ...] = ()
    note: str = ""

    nested: ClassVar[Mapping[str, type[Record]]] = {"reasons": Refusal}


class Nearest(Record):
    """The task whose verified tree is nearest to a change that no task speaks for.

    Entry `seq` accepted the tree; `against` says why the task would not speak for it either way. `differing` are the
    files that differ, sorted; None where they cannot be told, and then `untold` says why.
    """

    task: str
    seq: int
    tree: str
    against: str
    differing: tuple[str, ...] | None
    untold: str = ""


class Certificate(Record, kw_only=True):
    """The answer about a task, or about a change: then `revision` is what was asked, `commit` what it names, and `tree`
    the id of its files without `state/`; `task` is the one that speaks for it, empty for none."""

    task: str
    checks: tuple[Check, ...]
    revision: str = ""
    commit: str = ""
    tree: str = ""
    nearest: Nearest | None = None

    nested: ClassVar[Mapping[str, type[Record]]] = {"checks": Check, "nearest": Nearest}

    @property
    def verdict(self) -> str:
        verdicts = {check.verdict for check in self.checks}
        if FAILED in verdicts:
            return FAILED
        return PASSED if verdicts == {PASSED} else UNKNOWN

    @property
    def exit_status(self) -> int:
        return {PASSED: 0, FAILED: 1, UNKNOWN: 2}[self.verdict]


def ledger_check(report: Report) -> Check:
    """A verification as a check: contradictions are failures, and open questions are open."""
    if report.verdict == VERIFIED:
        return Check(LEDGER, PASSED, note=f"{report.entries} entries, key {report.key}")
    reasons = tuple(
        Reason(one.code, one.message, fix="See all of it: enforcer verify") for one in report.findings[:MOST_REASONS]
    )
    return Check(LEDGER, FAILED if report.verdict == TAMPERED else UNKNOWN, reasons)


def unasked(names: tuple[str, ...], why: str) -> tuple[Check, ...]:
    """Checks that were not made, because an earlier one did not pass."""
    return tuple(Check(name, UNKNOWN, note=why) for name in names)


def no_answer(name: str, error: EnforcerError) -> Check:
    return Check(name, UNKNOWN, (reason(error),))


def reason(error: EnforcerError) -> Reason:
    """An error as a reason of a check."""
    where = f" ({error.where})" if error.where else ""
    return Reason(error.code, f"{error.message}{where}", fix=error.fix)
