"""What of a process can be asked of evidence away from the moment at which it was handed in, and what cannot.

A rule that looks at git looked at files and commits as they were then, and nobody can see those again. Such a rule is
taken out of the process before the judge sees it, and is named: a question that was not asked is never a yes.
"""

from __future__ import annotations

from enforcer.workflow.process import OFF
from enforcer.workflow.record import Record
from enforcer.workflow.rules.table import RULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from enforcer.workflow.process import Phase, Process, Rule

OF_THEN = "it looks at git as it was then"
UNKNOWN = "this release does not know its kind or version"


class Left(Record):
    """A rule that is not asked, and why."""

    rule: Rule
    why: str


class Reach:
    """Cuts processes down to what can be asked. `beyond` names kinds of rule that cannot be asked here, and why.

    A kind with an empty reason is left out without a word: whoever says so answers it by other means.
    """

    def __init__(self, beyond: Mapping[str, str]) -> None:
        self._beyond = beyond
        self._cut: dict[int, tuple[Process, Process, Mapping[str, tuple[Left, ...]]]] = {}

    def cut(self, process: Process) -> tuple[Process, Mapping[str, tuple[Left, ...]]]:
        """The process as far as it can be asked, and by phase what cannot."""
        known = self._cut.get(id(process))
        # An id names an object only while it lives, which is why the process is kept beside what was made of it.
        if known is None:
            left = {phase.name: [one for rule in phase.rules if (one := self._left(rule))] for phase in process.phases}
            kept = process.replace(phases=tuple(_without(phase, left[phase.name]) for phase in process.phases))
            named = {phase: tuple(one for one in gone if one.why) for phase, gone in left.items()}
            known = self._cut[id(process)] = (process, kept, named)
        return known[1], known[2]

    def _left(self, rule: Rule) -> Left | None:
        kind = RULES.get(rule.kind)
        if rule.mode == OFF:
            return None
        if kind is None or kind.version != rule.version:
            return Left(rule, UNKNOWN)
        if rule.kind in self._beyond:
            return Left(rule, self._beyond[rule.kind])
        return Left(rule, OF_THEN) if kind.needs else None


def _without(phase: Phase, left: list[Left]) -> Phase:
    # Not by id: a process that somebody forged may give one id to two rules.
    return phase.replace(rules=tuple(rule for rule in phase.rules if not any(one.rule is rule for one in left)))
