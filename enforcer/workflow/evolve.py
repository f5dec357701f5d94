"""How an event changes a task. Total over the events of a task, and free of judgement: what was decided is done.

`evolve` is the only way in which state comes about, for the gate, for every reader and for the verifier.
"""

from __future__ import annotations

from hashlib import sha256

from enforcer.workflow import events
from enforcer.workflow.state import (
    ABANDONED,
    COMPLETED,
    OPEN,
    Attestation,
    Lease,
    Run,
    Streak,
    TaskState,
    Word,
    principal,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

GENERATED_KEY = "."  # Keys that the gate makes begin so; nobody can repeat a key that was never shown before.

STATIC_PARTS = ("header", "model", "persona")  # One baseline a task and principal.
PHASE_PARTS = ("role", "tools")  # One baseline a task, phase and principal.


def baseline_name(who: str, phase: str, part: str) -> str:
    """Where the baseline of a prompt part is kept."""
    return f"{who}/{phase}/{part}" if part in PHASE_PARTS else f"{who}/{part}"


class Place:
    """Where an entry stands: what an event cannot know of itself."""

    __slots__ = ("hash", "key", "seq", "task", "task_seq", "ts")

    def __init__(self, task: str, seq: int, task_seq: int, hash: str, ts: int, key: str) -> None:
        self.task, self.seq, self.task_seq = task, seq, task_seq
        self.hash, self.ts, self.key = hash, ts, key


def evolve(state: TaskState | None, event: Any, place: Place) -> TaskState:
    """The state after `event`. Raises `ValueError` where an event cannot follow: the first one must open the task."""
    kind = type(event)
    if kind is events.TaskOpened:
        if state is not None:
            raise ValueError(f"task {place.task} is opened twice")
        return _opened(event, place)
    if state is None:
        raise ValueError(f"task {place.task} was never opened")
    changes: dict[str, Any] = {
        "seq": place.seq,
        "task_seq": place.task_seq,
        "head": place.hash,
        "ts": place.ts,
    }
    if kind in _WORK and event.lease is not None:
        changes |= _claimed(state, event.lease.holder, event.lease.token)
    apply = _APPLY.get(kind)
    if apply is not None:
        changes |= apply(state, event, place)
    if event.refused or event.actor in state.streaks:
        changes["streaks"] = _streaks(state, event, place)
    if state.status == OPEN and not place.key.startswith(GENERATED_KEY):
        changes["keys"] = {**state.keys, place.key: place.seq}
    if event.notes is not None:
        changes |= _noted(state, event.notes)
    if changes.get("status") in (COMPLETED, ABANDONED):
        changes |= {"keys": {}, "streaks": {}}
    return state.replace(**changes)


def _opened(event: events.TaskOpened, place: Place) -> TaskState:
    return TaskState(
        task=place.task,
        title=event.title,
        process=event.process,
        digest=event.digest,
        base=event.base,
        phase=event.phase,
        attempt_id=event.attempt_id,
        opened=event.request,
        attempts={event.phase: 1},
        authoring=event.authoring,
        keys={} if place.key.startswith(GENERATED_KEY) else {place.key: place.seq},
        opened_seq=place.seq,
        opened_ts=place.ts,
        progress_ts=place.ts,
        seq=place.seq,
        task_seq=place.task_seq,
        head=place.hash,
        ts=place.ts,
    )


def _claimed(state: TaskState, holder: str, token: int) -> dict[str, Any]:
    return {"lease": Lease(holder, token), "token": token, "held": _held(state.held, state.phase, holder)}


def _held(held: Mapping[str, tuple[str, ...]], phase: str, holder: str) -> Mapping[str, tuple[str, ...]]:
    who, before = principal(holder), held.get(phase, ())
    return held if who in before else {**held, phase: (*before, who)}


def _advanced(state: TaskState, event: events.PhaseAdvanced, place: Place) -> dict[str, Any]:
    names = {f"{event.start}/{one.artifact}": one.digest for one in event.evidence}
    changes: dict[str, Any] = {
        "accepted": {**state.accepted, event.start: event.evidence},
        "walked": (*(phase for phase in state.walked if phase != event.start), event.start)
        if event.start in state.walked
        else (*state.walked, event.start),
        "previous": {**state.previous, **names},
        "invalidated": state.invalidated and tuple(name for name in state.invalidated if name not in names),
        "progress_ts": place.ts,
    }
    if event.tree:
        changes |= {"tree": event.tree, "commit": event.commit}
    if event.risks or event.start in state.risks:
        changes["risks"] = {**state.risks, event.start: event.risks}
    if event.completed:
        return {**changes, "status": COMPLETED, "lease": None, "words": {}}
    return {**changes, **_entered(state, event.to, event.attempt_id, event.lease)}


def _entered(state: TaskState, phase: str, attempt_id: str, claim: events.Claim | None) -> dict[str, Any]:
    holder = claim.holder if claim else state.lease.holder if state.lease else ""
    # Who takes the lease with the entry that leaves a phase has held it in both.
    held = _held(state.held, state.phase, claim.holder) if claim else state.held
    return {
        "phase": phase,
        "attempt_id": attempt_id,
        "attempts": {**state.attempts, phase: state.attempts.get(phase, 0) + 1},
        "held": _held(held, phase, holder) if holder else held,
        "words": {},  # What was said was said of the attempt that is over.
    }


def _backtracked(state: TaskState, event: events.PhaseBacktracked, place: Place) -> dict[str, Any]:
    # Phases are left in order, so whatever was left after the target stands behind it.
    cut = state.walked.index(event.to) if event.to in state.walked else len(state.walked)
    kept, set_aside = state.walked[:cut], state.walked[cut:]
    fallen = tuple(f"{phase}/{one.artifact}" for phase in set_aside for one in state.accepted[phase])
    return {
        "accepted": {phase: state.accepted[phase] for phase in kept},
        "walked": kept,
        "risks": {phase: classes for phase, classes in state.risks.items() if phase in kept},
        "invalidated": (*(name for name in state.invalidated if name not in fallen), *fallen),
        "progress_ts": place.ts,
        **_entered(state, event.to, event.attempt_id, event.lease),
    }


def _abandoned(state: TaskState, event: events.TaskAbandoned, place: Place) -> dict[str, Any]:
    return {"status": ABANDONED, "lease": None, "progress_ts": place.ts, "words": {}}


def _leased(state: TaskState, event: events.LeaseClaimed | events.LeaseTakenOver, place: Place) -> dict[str, Any]:
    return _claimed(state, event.holder, event.token)


def _released(state: TaskState, event: events.LeaseReleased, place: Place) -> dict[str, Any]:
    return {"lease": None}


def _attested(state: TaskState, event: events.PromptAttested, place: Place) -> dict[str, Any]:
    who = principal(event.actor)
    first = {baseline_name(who, event.phase, part): event.parts[part] for part in event.first}
    return {
        "attestations": _presented(state, who, event.phase, event.attempt_id, event.parts),
        "baselines": {**state.baselines, **first},
    }


def _presented(
    state: TaskState, who: str, phase: str, attempt_id: str, parts: Mapping[str, str]
) -> dict[str, Attestation]:
    return {**state.attestations, f"{who}/{phase}": Attestation(phase, attempt_id, parts)}


def _refused(state: TaskState, event: events.CommandRefused, place: Place) -> dict[str, Any]:
    changes: dict[str, Any] = {"last_refusal": event.refusals[0]}
    if event.attested:
        who = principal(event.actor)
        changes["attestations"] = _presented(state, who, state.phase, state.attempt_id, event.attested)
    return changes


def _tool_refused(state: TaskState, event: events.ToolRefused, place: Place) -> dict[str, Any]:
    return {"last_refusal": event.refusals[0]}


def _baseline(state: TaskState, event: events.BaselineAccepted, place: Place) -> dict[str, Any]:
    accepted = {baseline_name(event.principal, event.phase, part): digest for part, digest in event.parts.items()}
    dropped = {baseline_name(event.principal, event.phase, part) for part in event.dropped}
    kept = {name: digest for name, digest in state.baselines.items() if name not in dropped}
    return {"baselines": {**kept, **accepted}}


def _adopted(state: TaskState, event: events.ProcessAdopted, place: Place) -> dict[str, Any]:
    # Whose key counts, what a rule is and what is to be run: all of it was asked under the process that is left. What
    # was said stays known, so that it cannot be said again, and a "no" stays one.
    return {
        "process": event.process,
        "digest": event.digest,
        "authoring": event.authoring,
        "words": {nonce: word.replace(spent=word.kind != "reject") for nonce, word in state.words.items()},
        "runs": {name: run.replace(configured=False) for name, run in state.runs.items()},
    }


def _ran(state: TaskState, event: events.RunObserved, place: Place) -> dict[str, Any]:
    made = {
        f"{event.phase}/{one.artifact}": Run(
            place.seq, event.attempt_id, one.digest, event.tree, event.observation, event.configured, event.labels
        )
        for one in event.made
    }
    return {"runs": {**state.runs, **made}} if made else {}


def _vouched(kind: str) -> Callable[[TaskState, Any, Place], dict[str, Any]]:
    def apply(state: TaskState, event: Any, place: Place) -> dict[str, Any]:
        word = Word(
            kind,
            place.seq,
            event.principal,
            event.expires,
            bool(event.signature),
            event.evidence,
            event.tree,
            getattr(event, "process", ""),
            getattr(event, "artifact", ""),
            getattr(event, "rules", ()),
            event.reason,
        )
        return {"words": {**state.words, event.nonce: word}}

    return apply


def _streaks(state: TaskState, event: events.Event, place: Place) -> dict[str, Streak]:
    """Any other answer than a refusal ends the streak of whom it was given to."""
    if not event.refused:
        return {actor: streak for actor, streak in state.streaks.items() if actor != event.actor}
    before = state.streaks.get(event.actor)
    return {**state.streaks, event.actor: _lengthened(before, event, state.phase, place)}


def signature(event: events.Event, phase: str) -> str:
    """What makes two refusals of one actor identical: command, phase and set of codes.

    The command of a denial is the tool call: the tool, what it needs and what it writes.
    """
    codes = ",".join(sorted({one.code for one in event.refused}))
    if isinstance(event, events.CommandRefused):
        return f"{event.command}{' ' if event.to else ''}{event.to}|{phase}|{codes}"
    return f"guard {_call_digest(event)}|{phase}|{codes}"


def _call_digest(event: events.Event) -> str:
    """Names a tool call briefly. Names and paths hold no line break: the guard escapes what cannot be printed."""
    if not isinstance(event, events.ToolRefused):
        return ""
    words = (event.tool, *sorted(set(event.capabilities)), "", *sorted(set(event.paths)), "", event.text)
    return sha256("\n".join(words).encode()).hexdigest()[:32]


def codes_in_a_row(before: Streak | None, event: events.Event) -> dict[str, int]:
    """How often each code of `event` has now been the answer without a break."""
    earlier = before.codes if before else {}
    return {code: earlier.get(code, 0) + 1 for code in sorted({one.code for one in event.refused})}


def _lengthened(before: Streak | None, event: events.Event, phase: str, place: Place) -> Streak:
    mark = signature(event, phase)
    count = before.count + 1 if before and before.signature == mark else 1
    return Streak(mark, count, codes_in_a_row(before, event), place.seq, place.hash, place.ts)


def _noted(state: TaskState, notes: events.Notes) -> dict[str, Any]:
    kept = {name: end for name, end in state.guarded.items() if f"guard/{name}" not in notes.margin_lost}
    refused_to = 0 if f"refusals/{state.task}.jsonl" in notes.margin_lost else state.refused_to
    return {
        "coalesced": state.coalesced + notes.coalesced,
        "refused_to": notes.refusals.end if notes.refusals is not None else refused_to,
        "guarded": {**kept, **{one.session: one.end for one in notes.guard}},
    }


# Kinds are looked up: `isinstance` asks the metaclass of records each time, and this is done for every line.
_WORK = frozenset(kind for kind in events.EVENTS.values() if issubclass(kind, events.WorkEvent))

_APPLY: dict[type[events.Event], Callable[[TaskState, Any, Place], dict[str, Any]]] = {
    events.PhaseAdvanced: _advanced,
    events.PhaseBacktracked: _backtracked,
    events.TaskAbandoned: _abandoned,
    events.LeaseClaimed: _leased,
    events.LeaseTakenOver: _leased,
    events.LeaseReleased: _released,
    events.PromptAttested: _attested,
    events.CommandRefused: _refused,
    events.ToolRefused: _tool_refused,
    events.BaselineAccepted: _baseline,
    events.ProcessAdopted: _adopted,
    events.RunObserved: _ran,
    events.ApprovalGranted: _vouched("approve"),
    events.ApprovalRejected: _vouched("reject"),
    events.RulesWaived: _vouched("waive"),
}
