"""What an edit of an accepted document costs: what falls with it, and the shortest way to earn it back.

Two ways lead back. Putting the document back as it was accepted costs nothing else. Where the edit is meant, the task
goes back to the document's phase and is led through every phase since, once more: what is the same then as before is
reaffirmed as it stands, and only what speaks of an attempt, of a run or of a changed digest has to be made anew.
"""

from __future__ import annotations

from enforcer.errors import RequestError
from enforcer.workflow.process import ENFORCE, OBSERVED
from enforcer.workflow.record import Record
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import ClassVar

    from enforcer.workflow.process import Phase, Process, Rule
    from enforcer.workflow.state import TaskState

RUN = "a configured command has to make it in the new attempt"
ATTEMPT = "it names its attempt"
PERHAPS = "it names its attempt, if it names one"
BOUND = "it names the digest of {}"

OTHERS = "by somebody who wrote none of it"


class Anew(Record):
    """An artifact (`phase/artifact`) that is refused as it stands, and `why`."""

    name: str
    why: str


class Step(Record):
    """One command of the way back, in `phase`. `artifacts` are those that it makes, or that are to be written before it
    is of use; `note` says what the command alone does not."""

    phase: str
    command: str
    artifacts: tuple[str, ...] = ()
    note: str = ""


class Cost(Record, kw_only=True):
    """What the edit of accepted documents (`names`, each `phase/artifact`) costs.

    With them falls what stands on them and was accepted (`falls`), and going back to the phase `to` takes along
    everything that was accepted since: `phases` have to be left once more, `runs` to be made and `approvals` (phases)
    to be given once more. Of what was accepted there, `reaffirmed` is accepted again as it stands and `anew` is not.
    `restore` are the commands that undo the edit, and `steps` those that earn it, up to where the task stands now. A
    task that is closed goes nowhere: it has no steps.
    """

    names: tuple[str, ...]
    to: str
    falls: tuple[str, ...]
    phases: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    reaffirmed: tuple[str, ...] = ()
    anew: tuple[Anew, ...] = ()
    restore: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()

    nested: ClassVar[Mapping[str, type[Record]]] = {"anew": Anew, "steps": Step}


def cost(state: TaskState, process: Process, *names: str) -> Cost:
    """What the edit of these accepted documents costs. Raises `RequestError` `unknown_artifact`."""
    accepted = state.accepted_files()
    for name in names:
        if name not in accepted:
            message = f"{name[:80]!a} is not accepted in this task, so nothing stands on it."
            known = ", ".join(accepted) or "Nothing is accepted yet; edit it as you like."
            raise RequestError("unknown_artifact", message, fix=f"One of: {known}" if accepted else known)
    walked = [phase for phase in process.phases if phase.name in state.walked]
    edited = {name.partition("/")[0] for name in names}
    first = next((number for number, phase in enumerate(walked) if phase.name in edited), len(walked))
    again = walked[first:]
    fallen = {one for name in names for one in process.fallen_with(name)}
    falls = tuple(name for name in accepted if name in fallen and name not in names)
    restore = tuple(f"enforcer evidence restore {state.task} {phase.name}" for phase in again if phase.name in edited)
    if not again or state.status != OPEN:
        to = again[0].name if again else ""
        return Cost(names=tuple(names), to=to, falls=falls, restore=restore)
    anew = _anew(state, again, names)
    remade = {one.name for one in anew}
    redone = [name for phase in again for name in _accepted(state, phase)]
    return Cost(
        names=tuple(names),
        to=again[0].name,
        falls=falls,
        phases=tuple(phase.name for phase in again),
        runs=(*(one.name for one in anew if one.why == RUN), *_runs_now(state)),
        approvals=tuple(_approved(state, process, again)),
        reaffirmed=tuple(name for name in redone if name not in remade and name not in names),
        anew=anew,
        restore=restore,
        steps=tuple(_steps(state, process, again, anew)),
    )


def _accepted(state: TaskState, phase: Phase) -> list[str]:
    return [f"{phase.name}/{one.artifact}" for one in state.accepted[phase.name]]


def _anew(state: TaskState, again: list[Phase], names: tuple[str, ...]) -> tuple[Anew, ...]:
    """What a new attempt does not take as it stands, in order: what is bound to something comes after it."""
    changed = set(names)
    found = []
    for phase in again:
        for name in _accepted(state, phase):
            rules = [rule for rule in phase.rules if f"{phase.name}/{rule.artifact}" == name and rule.mode == ENFORCE]
            why = next((why for rule in _by_weight(rules) if (why := _why(rule, changed))), "")
            if why:
                changed.add(name)
                found.append(Anew(name, why))
    return tuple(found)


def _by_weight(rules: list[Rule]) -> list[Rule]:
    """What has to be observed is made by a run, whatever else it says of itself."""
    return sorted(rules, key=lambda rule: rule.kind != OBSERVED)


def _why(rule: Rule, changed: set[str]) -> str:
    """Why a rule refuses what was accepted before, in a new attempt; "" where it holds as it did."""
    if rule.kind == OBSERVED:
        return RUN
    if rule.kind == "attempt":
        return PERHAPS if rule.params.get("optional") else ATTEMPT
    if rule.kind == "bound" and rule.params["to"] in changed:
        return BOUND.format(rule.params["to"])
    return ""


def _runs_now(state: TaskState) -> tuple[str, ...]:
    """What was observed in the attempt that is left by going back."""
    here = f"{state.phase}/"
    return tuple(
        name for name, run in state.runs.items() if name.startswith(here) and run.attempt_id == state.attempt_id
    )


def _approved(state: TaskState, process: Process, again: list[Phase]) -> Iterator[str]:
    """The phases that demand approvals, and the current one where somebody has spoken of it."""
    for phase in again:
        if phase.approvals:
            yield phase.name
    if any(word.kind == "approve" for word in state.words.values()):
        yield state.phase


# The way back --------------------------------------------------------------------------------------------------------


def _steps(state: TaskState, process: Process, again: list[Phase], anew: tuple[Anew, ...]) -> Iterator[Step]:
    task = state.task
    yield Step(again[0].name, f'enforcer backtrack {task} --to {again[0].name} --reason "..."')
    for phase in again:
        yield from _through(state, process, phase, [one for one in anew if one.name.startswith(f"{phase.name}/")])


def _through(state: TaskState, process: Process, phase: Phase, anew: list[Anew]) -> Iterator[Step]:
    """The steps of one phase, until it is left."""
    task, name = state.task, phase.name
    apart = phase.reviews and not process.self_review
    if apart:
        yield Step(name, f"enforcer lease release {task}", note=f"what follows in {name} is done {OTHERS}")
    runs = tuple(one.name for one in anew if one.why == RUN)
    if runs:
        yield Step(name, f"enforcer run {task}", runs)
    written = tuple(one.name for one in anew if one.why != RUN)
    if written:
        speaks = any(one.why in (ATTEMPT, PERHAPS) for one in anew)
        note = "write them anew, with the attempt id that it shows" if speaks else "write them anew, as it says"
        yield Step(name, f"enforcer {'status' if speaks else 'explain'} {task}", written, note)
    if _attests(state, process, phase):
        yield Step(name, f"enforcer attest {task} --prompt FILE", note="with every part that was presented before")
    if phase.approvals:
        yield Step(name, f"enforcer approve {task}", note=_demanded(phase))
    yield Step(name, f"enforcer advance {task}")
    if apart:
        yield Step(name, f"enforcer lease release {task}", note="so that the work goes on where it was")


def _attests(state: TaskState, process: Process, phase: Phase) -> bool:
    """Whether the phase cannot be left without an attestation of its new attempt."""
    return phase.drift == ENFORCE and bool(state.attestations or process.pins)


def _demanded(phase: Phase) -> str:
    """How many approvals leaving a phase takes, as far as the process alone tells."""
    told = []
    for demand in phase.approvals:
        whose = f" of {', '.join(demand.by)}" if demand.by else ""
        where = f" where the change touches {', '.join(demand.risks)}" if demand.risks else ""
        told.append(f"{demand.count}{whose}{where}")
    return f"{'; '.join(told)}; {OTHERS}"
