"""Judges again what was accepted: the very bytes, by the very process, for the attempt and the actor of that moment.

The gate's own judge is asked, and no verdict that was kept is believed. It finds what was accepted and would not be
today, and what the gate can never have accepted: an entry can be written by anybody who can write the file, and it
chains, but the bytes that it names must still hold up.
"""

from __future__ import annotations

from enforcer.errors import EnforcerError
from enforcer.evidence.copies import Shelf
from enforcer.evidence.findings import NOTE, UNANSWERED, VIOLATION, Finding
from enforcer.evidence.judge import Judge
from enforcer.evidence.reach import UNKNOWN, Left, Reach
from enforcer.evidence.verdicts import MemoryVerdicts
from enforcer.workflow.process import ENFORCE, OFF
from enforcer.workflow.rules.table import RULES
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from enforcer.evidence.copies import Copies
    from enforcer.evidence.findings import Findings
    from enforcer.evidence.folder import File
    from enforcer.evidence.history import Acceptance, History
    from enforcer.workflow.facts import EvidenceFacts
    from enforcer.workflow.process import Phase, Process
    from enforcer.workflow.state import Word

    Absent = Mapping[tuple[str, str], EnforcerError]
    SchemaFaults = Callable[[bytes, Any], tuple[str, ...]]

# The ledger says of each artifact where it comes from, and the audit asks that of every one.
_ANSWERED = {"observed": ""}


class Rejudge:
    """Judges the acceptances of task after task. `schema_faults` is `schema.faults`."""

    def __init__(
        self, copies: Copies, processes: Callable[[str], Process], schema_faults: SchemaFaults, found: Findings
    ) -> None:
        self._processes, self._found = processes, found
        self._reach, self._shelf = Reach(_ANSWERED), Shelf(copies)
        self._judge = Judge(self._shelf, copies, MemoryVerdicts(), schema_faults=schema_faults, repository=lambda: None)

    def check(
        self, history: History, acceptances: Iterable[Acceptance], changed: Mapping[str, Mapping[str, File]]
    ) -> None:
        """Judge `acceptances` of a task, those whose process can be read.

        `changed` are, by phase, the files whose bytes are no longer the accepted ones; they are judged as well.
        """
        counting = {one.seq for one in history.counting().values()}
        for acceptance in acceptances:
            counts = acceptance.seq in counting
            over = changed.get(acceptance.phase, {}) if counts else {}
            try:
                self._check(history, acceptance, over, counts=counts)
            except EnforcerError as error:
                self._found.no_answer(history.state.task, acceptance.phase, "", error)

    def _check(self, history: History, acceptance: Acceptance, over: Mapping[str, File], *, counts: bool) -> None:
        process = self._processes(acceptance.before.digest)
        phase, fix = process.phase(acceptance.phase), _fix(history, acceptance)
        facts, left = self._judged(acceptance, process, {})
        absent = self._shelf.absent
        blind = _blind(phase, absent)
        self._found.judged += len(facts.files)
        self._leave(acceptance, (*left, *blind))
        if not counts:  # The audit looks for the copies that count by itself.
            self._miss(acceptance, absent)
        refused = list(_refusals(facts, acceptance, phase, absent, blind))
        aside = "" if counts else " A backtrack has set that aside since."
        for code, artifact, message, level in refused:
            told = f"{message} Entry {acceptance.seq} left {phase.name} nonetheless.{aside}"
            self._add(acceptance, artifact, code, told, fix, level)
        over_now = self._judged(acceptance, process, over)[0] if over else None
        now = _refusals(over_now, acceptance, phase, absent, blind) if over_now is not None else ()
        for code, artifact, message, level in now:
            if (code, artifact, message, level) not in refused:
                told = f"{message} So it stands in the folder now, where it was not accepted."
                self._add(acceptance, artifact, code, told, "", NOTE)

    def _miss(self, acceptance: Acceptance, absent: Absent) -> None:
        for (phase, name), error in absent.items():
            if phase == acceptance.phase:
                message = f"{error.message} Entry {acceptance.seq} accepted it; a backtrack has set it aside since."
                self._add(acceptance, name, error.code, message, error.fix, VIOLATION)

    def _judged(
        self, acceptance: Acceptance, process: Process, over: Mapping[str, File]
    ) -> tuple[EvidenceFacts, tuple[Left, ...]]:
        cut, left = self._reach.cut(process)
        self._shelf.turn(acceptance, over)
        facts = self._judge.observe(acceptance.before, cut, acceptance.actor).facts
        return facts, left[acceptance.phase]

    def _leave(self, acceptance: Acceptance, left: tuple[Left, ...]) -> None:
        """Say what is not asked. A rule of another release is one that somebody else could ask: that is no answer."""
        accepted = {one.artifact for one in acceptance.evidence}
        for one in left:
            rule = one.rule
            if rule.artifact not in accepted:
                continue
            self._found.leave(acceptance.phase, rule.artifact, rule.id, rule.kind, one.why)
            if one.why == UNKNOWN and rule.mode == ENFORCE:
                message = f"{rule.artifact} is held to {rule.id}, and {one.why}."
                fix = "Audit it with the release that the process was written for."
                self._add(acceptance, rule.artifact, "rule_unknown", message, fix, UNANSWERED)

    def _add(self, acceptance: Acceptance, artifact: str, code: str, message: str, fix: str, level: str) -> None:
        finding = Finding(acceptance.before.task, acceptance.phase, artifact, code, message, fix, level, acceptance.seq)
        self._found.add(finding)


def _blind(phase: Phase, absent: Absent) -> tuple[Left, ...]:
    """The rules that look at the content of an earlier artifact whose copy is not there."""
    gone = {f"{before}/{name}" for before, name in absent}
    kinds = ((rule, RULES.get(rule.kind)) for rule in phase.rules if rule.mode != OFF)
    return tuple(
        Left(rule, "the copy that it looks at is not there")
        for rule, kind in kinds
        if kind is not None and kind.reads and rule.params[kind.earlier] in gone
    )


def _refusals(
    facts: EvidenceFacts, acceptance: Acceptance, phase: Phase, absent: Absent, blind: tuple[Left, ...]
) -> Iterator[tuple[str, str, str, str]]:
    """Code, artifact, message and level of everything that speaks against a phase's evidence.

    A copy that is not there says nothing of what was accepted, and neither does a rule that would look at it. A rule
    that was waived when the phase was left did not refuse, and who waived it is worth knowing.
    """
    for problem in facts.problems:
        if (phase.name, problem.artifact) not in absent:
            yield problem.code, problem.artifact, problem.message, VIOLATION
    waivers = acceptance.waivers
    unseen = {(one.rule.id, one.rule.artifact) for one in blind}
    for verdict in facts.verdicts:
        waiver = waivers.get((verdict.artifact, verdict.rule))
        for refusal in verdict.refusals if (verdict.rule, verdict.artifact) not in unseen else ():
            level = VIOLATION if verdict.mode == ENFORCE and waiver is None else NOTE
            told = f" {told_waiver(verdict.rule, waiver)}" if waiver is not None else ""
            yield refusal.code, refusal.artifact, refusal.message + told, level
    if not phase.rules:
        message = f"The process asks nothing of {phase.name}, so there was nothing to accept."
        yield "evidence_missing", "", message, VIOLATION


def told_waiver(rule: str, waiver: Word) -> str:
    """Who had waived a rule, and by which entry."""
    return f"{waiver.principal} had waived {rule} in entry {waiver.seq}."


def _fix(history: History, acceptance: Acceptance) -> str:
    task = history.state.task
    look = f"See who wrote it: enforcer log {task}."
    if history.state.status != OPEN:
        return f"{look} A closed task is not mended; do the work again in a new one."
    return f"{look} Then earn it again: enforcer backtrack {task} --to {acceptance.phase} --reason …"
