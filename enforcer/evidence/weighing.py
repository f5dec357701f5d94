"""What a change weighs: the risk classes that it touches, and what an answer over it rests on by declaration only.

Apart from `judge`, which gathers what is looked at here.
"""

from __future__ import annotations

from enforcer.workflow.approving import REVIEWER_DECLARED
from enforcer.workflow.paths import matches
from enforcer.workflow.process import OBSERVED, REVIEWER
from enforcer.workflow.state import is_among

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enforcer.evidence.plan import Check
    from enforcer.workflow.process import Phase, Process
    from enforcer.workflow.rules.subject import GitFacts, Subject, Surroundings

SELF_REVIEW, CLAIM, RISK = "self-review", "claimed: ", "risk: "


def looks_for_risks(process: Process, phase: Phase) -> bool:
    """Whether git has to be asked what has changed: where it counts, and where the change is made that will count."""
    return phase.weighs_risks or (phase.name in process.authoring and any(each.weighs_risks for each in process.phases))


def touched(process: Process, phase: Phase, git: GitFacts | None, before: frozenset[str]) -> tuple[str, ...]:
    """The risk classes that the change touches, in order, where git was asked for it.

    A phase that asks for more of a risky change takes it to be as risky as it was when earlier phases were left
    (`before`), though the working files are others now; and to be risky in every way where nobody can tell what has
    changed.
    """
    if git is None:
        return tuple(sorted(process.risks)) if phase.weighs_risks else ()
    found = {
        name
        for name, patterns in process.risks.items()
        if any(matches(pattern.casefold(), path.casefold()) for path in git.changes for pattern in patterns)
    }
    return tuple(sorted(found | before.intersection(process.risks) if phase.weighs_risks else found))


def labels(
    across: Sequence[tuple[Check, Subject]],
    around: Surroundings,
    origins: Mapping[str, str],
    risks: tuple[str, ...],
) -> tuple[str, ...]:
    """What the answer rests on by declaration only, and what whoever reads it should look at.

    `origins` maps artifacts to who made them. The reviewer is a declared one until a signature over exactly this
    evidence is found, which the decision looks for.
    """
    wanted = [subject.name for check, subject in across if check.rule.kind == OBSERVED]
    found = [f"{CLAIM}{name}" for name in wanted if origins[name] != OBSERVED]
    if any(check.rule.kind == REVIEWER for check, _ in across):
        found.append(REVIEWER_DECLARED)
        if is_among(around.actor, around.implementers):
            found.append(SELF_REVIEW)
    found += [f"{RISK}{name}" for name in risks]
    found += [label for name in wanted if origins[name] == OBSERVED for label in around.runs[name].labels]
    return tuple(dict.fromkeys(found))
