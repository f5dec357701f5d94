"""Events that are well formed and were never decided: what a verifier says of runs, words and what rests on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from enforcer.workflow.answering import coalesces
from enforcer.workflow.commands import AdoptProcess, Advance, Run
from enforcer.workflow.events import CommandRefused, Event, Made, Notes, Refusal
from enforcer.workflow.legality import legality
from enforcer.workflow.process import Approval, Artifact, Observation, Process, Rule
from enforcer.workflow.structure import structure
from tests.workflow.scene import (
    ADA,
    BOB,
    MINUTE,
    PHASES,
    SECOND,
    Scene,
    adopting,
    digest,
    digest_of,
    done,
    phase,
    process,
    refused,
)

TREE, EDITED = "a" * 40, "b" * 40
HOUR = 60 * MINUTE
MARIA, ZOE = "maria", "zoe"
NONCE = "0" * 32

SEEN = Rule("seen", "observed", "note.md")
LOG = Observation(("make", "check"), reader="log")


def governing(*demands: Approval, **changes: Any) -> Process:
    """VERIFY is left with a run and, in PR, with approvals; a rollback plan is required where secrets are touched."""
    phases = {one: phase(one) for one in PHASES}
    phases["VERIFY"] = phases["VERIFY"].replace(rules=(SEEN,))
    plan = Artifact("plan.md", "text", risks=("secrets",))
    phases["PR"] = phases["PR"].replace(approvals=demands, artifacts=(*phases["PR"].artifacts, plan))
    usual: dict[str, Any] = {
        "phases": tuple(phases.values()),
        "observe": {"note.md": LOG, "other.md": LOG.replace(argv=("make", "other"))},
        "risks": {"ci": (".github/**",), "secrets": ("*.pem",)},
        "break_glass": (MARIA,),
    }
    return process(**(usual | changes))


def at(name: str, *demands: Approval, **changes: Any) -> Scene:
    """Ada's task, honestly walked up to a phase; bob holds it from REVIEW on."""
    scene = Scene(governing(*demands, **changes))
    scene.tree = TREE
    for each in PHASES[: PHASES.index(name)]:
        if each == "VERIFY":
            done(scene.run())
        if each == "REVIEW":
            done(scene.release(ADA))
        done(scene.advance(BOB if each in PHASES[6:] else ADA))
    return scene


def faults(scene: Scene, event: Any, *, later: int = 0) -> list[str]:
    """What is wrong with an event that somebody else wrote next, `later` microseconds from now."""
    found = list(structure(scene.state, event))
    found += legality(scene.state, event, scene.governing, ts=scene.now + later, attempts=scene.attempts)
    return found


def leaving(scene: Scene, actor: str = BOB, **known: Any) -> Any:
    """The honest event that leaves the phase now; it is not appended."""
    event = done(scene.ask(Advance(), actor, **known))
    assert faults(scene, event) == []
    return event


# Runs -----------------------------------------------------------------------------------------------------------------


def running(scene: Scene, **seen: Any) -> Any:
    """The honest event of a run; it is not appended."""
    made = (Made("note.md", digest_of(scene.content), 100, "log"),)
    usual: dict[str, Any] = {
        "attempt_id": scene.task.attempt_id,
        "process": scene.task.digest,
        "configured": True,
        "made": made,
        "tree": TREE,
    }
    event = done(scene.ask(Run(**(usual | seen)), ADA))
    assert faults(scene, event) == []
    return event


MADE = Made("note.md", "0" * 64, 1, "log")

FORGED_RUNS: dict[str, tuple[dict[str, Any], str]] = {
    "of another attempt": ({"attempt_id": "0" * 32}, "another attempt"),
    "of another phase": ({"phase": "PLAN"}, "another attempt"),
    "of another reader": ({"made": (MADE.replace(reader="junit"),)}, "the process names no such run"),
    "of nothing": ({"made": ()}, "made nothing"),
    "of the same thing twice": ({"made": (MADE, MADE)}, "makes an artifact twice"),
    "of what the phase does not ask for": ({"made": (Made("other.md", "0" * 64, 1, "log"),)}, "not evidence of VERIFY"),
    "that was not configured": ({"configured": False}, "by another one"),
    "outside of the sandbox": ({"sandbox": "bubblewrap"}, "in the sandbox bubblewrap, and the process names none"),
    "by two commands": (
        {"made": (MADE, Made("other.md", "0" * 64, 1, "log"))},
        "it makes other.md by the command of something else",
    ),
    "of somebody without the lease": ({"actor": BOB}, "not the newest token of its own lease"),
}


@pytest.mark.parametrize("name", FORGED_RUNS)
def test_a_forged_run_is_named(name: str) -> None:
    changed, told = FORGED_RUNS[name]
    scene = at("VERIFY")

    found = faults(scene, running(scene).replace(**changed))

    assert any(told in fault for fault in found), found


def test_a_run_of_what_the_process_does_not_name_is_not_configured() -> None:
    scene = at("VERIFY", observe={})

    (fault,) = faults(scene, running(at("VERIFY")).replace(token=scene.task.token))

    assert fault == "it says that note.md was configured, and the process names no such run"


# Leaving what has to be observed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed, told",
    [
        ({"tree": EDITED}, "observed on other files"),
        ({"tree": ""}, "observed on other files"),
        ({"labels": ("waived: seen",)}, "passes over the rule seen, and nobody had waived it"),
        ({"risks": ("money",)}, "names the risk classes money"),
    ],
)
def test_a_forged_acceptance_of_what_was_observed_is_named(changed: dict[str, Any], told: str) -> None:
    scene = at("VERIFY")
    done(scene.run())

    found = faults(scene, leaving(scene, ADA).replace(**changed))

    assert any(told in fault for fault in found), found


def test_what_is_said_to_be_observed_was_made_by_a_run_that_counts() -> None:
    scene, other = at("VERIFY"), at("VERIFY")
    done(other.run())
    event = leaving(other, ADA).replace(token=scene.task.token)
    claimed = event.replace(evidence=tuple(one.replace(origin="claimed") for one in event.evidence))
    edited = event.replace(evidence=tuple(one.replace(digest="0" * 64) for one in event.evidence))

    assert "note.md is said to be observed, and no run that counts made it" in faults(scene, event)
    assert "note.md was claimed where an observation is required" in faults(other, claimed)
    assert "note.md is said to be observed, and no run that counts made it" in faults(other, edited)


def test_a_waiver_lets_a_claim_pass_until_its_microsecond() -> None:
    scene = at("VERIFY")
    said = scene.say(MARIA, "waive", artifact="note.md", rules=("seen",), expires=scene.now + HOUR)
    done(said)
    event = leaving(scene, ADA)

    assert faults(scene, event, later=HOUR - 1) == []
    found = faults(scene, event, later=HOUR)
    assert "note.md was claimed where an observation is required" in found
    assert "it passes over the rule seen, and nobody had waived it" in found


def test_a_risk_class_that_was_touched_before_is_not_forgotten() -> None:
    scene = Scene(governing())
    scene.tree = TREE
    scene.at("IMPLEMENT")
    done(scene.advance(ADA, evidence=scene.evidence(risks=("ci", "secrets"))))
    done(scene.run())
    done(scene.advance(ADA))
    done(scene.release(ADA))
    done(scene.advance(BOB))
    here = scene.evidence(risks=("ci", "secrets"))

    event = leaving(scene, BOB, evidence=here)

    assert scene.task.risks_before == {"ci", "secrets"}
    assert faults(scene, event.replace(risks=("ci",))) == [
        "it leaves out the risk classes secrets, which the change has touched"
    ]
    without = event.replace(evidence=event.evidence[:1])
    assert faults(scene, without) == ["plan.md was not among the evidence"]
    done(scene.backtrack("THINK", BOB))
    assert scene.task.risks_before == set()


# Approvals ------------------------------------------------------------------------------------------------------------


def saying(scene: Scene, who: str = MARIA, kind: str = "approve", **changes: Any) -> Any:
    """The honest event of a word; it is not appended."""
    event = done(scene.ask(scene.word(who, kind, **changes), who))
    assert faults(scene, event) == []
    return event


WAIVER = {"kind": "waive", "artifact": "note.md", "rules": ("pr-note",)}

FORGED_WORDS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "of another attempt": ({}, {"attempt_id": "0" * 32}, "another attempt"),
    "of another phase": ({}, {"phase": "MONITOR"}, "another attempt"),
    "that had expired": ({}, {"expires": 1}, "It has expired"),
    "of an author": ({}, {"principal": "Ada."}, "reviewer_is_author"),
    "of somebody who did not sign": (
        {},
        {"signature": "", "statement": "", "fingerprint": "", "actor": ZOE},
        "zoe says it for maria",
    ),
    "with a statement and no signature": ({}, {"signature": "", "actor": MARIA}, "not all of them"),
    "with a signature and no key": ({}, {"fingerprint": ""}, "not all of them"),
    "without a nonce": ({}, {"nonce": ""}, "'' is no nonce"),
    "a rejection without a reason": ({"kind": "reject"}, {"reason": ""}, "To reject takes a reason"),
    "a waiver by nobody in particular": (WAIVER, {"principal": ZOE}, "lets maria waive rules"),
    "a waiver of a rule that there is not": (WAIVER, {"rules": ("schema",)}, "PR has no rule schema over note.md"),
    "a waiver of no rule": (WAIVER, {"rules": ()}, "PR has no rule"),
    "a waiver that nobody signed": (
        WAIVER,
        {"signature": "", "statement": "", "fingerprint": "", "actor": MARIA},
        "takes a signature",
    ),
    "a waiver without a reason": (WAIVER, {"reason": ""}, "To waive takes a reason"),
}


@pytest.mark.parametrize("name", FORGED_WORDS)
def test_a_forged_word_is_named(name: str) -> None:
    honest, changed, told = FORGED_WORDS[name]
    scene = at("PR", Approval())

    found = faults(scene, saying(scene, **honest).replace(**changed))

    assert any(told in fault for fault in found), found


def test_a_nonce_that_was_used_is_named() -> None:
    scene = at("PR", Approval())
    event = saying(scene)
    scene.append(event)

    assert faults(scene, event) == ["it counts in spite of approval_invalid: It was used before; each counts once."]


def test_a_word_is_held_against_the_microsecond_of_its_entry() -> None:
    scene = at("PR", Approval())
    event = saying(scene, expires=scene.now + HOUR)

    assert faults(scene, event, later=HOUR - 1) == []
    assert faults(scene, event, later=HOUR) == ["it counts in spite of approval_invalid: It has expired."]


FORGED_LEAVES: dict[str, tuple[Callable[[Any], dict[str, Any]], str]] = {
    "without an approval": (lambda event: {"approved": ()}, "in spite of approval_missing"),
    "on an approval that there is not": (lambda event: {"approved": (NONCE,)}, "an approval that did not count"),
    "on one more that there is not": (
        lambda event: {"approved": (*event.approved, NONCE)},
        "an approval that did not count",
    ),
    "with other evidence": (
        lambda event: {"evidence": tuple(one.replace(digest="0" * 64) for one in event.evidence)},
        "an approval that did not count",
    ),
    "with less evidence": (lambda event: {"evidence": event.evidence[:1]}, "an approval that did not count"),
}


@pytest.mark.parametrize("name", FORGED_LEAVES)
def test_a_phase_left_without_what_it_demands_is_named(name: str) -> None:
    change, told = FORGED_LEAVES[name]
    scene = at("PR", Approval())
    done(scene.say(MARIA))
    event = leaving(scene)

    found = faults(scene, event.replace(**change(event)))

    assert any(told in fault for fault in found), found


def test_an_approval_that_has_expired_by_then_is_named() -> None:
    scene = at("PR", Approval())
    done(scene.say(MARIA, expires=scene.now + HOUR))
    event = leaving(scene)

    assert faults(scene, event, later=HOUR - 1) == []
    assert "it rests on an approval that did not count" in faults(scene, event, later=HOUR)


def test_approvals_of_two_trees_do_not_add_up() -> None:
    scene = at("PR", Approval(2))
    done(scene.say(MARIA))
    scene.tree = EDITED
    done(scene.say(ZOE))
    twin = at("PR", Approval(2))
    done(twin.say(MARIA))
    done(twin.say(ZOE))
    nonces = tuple(scene.task.words)

    found = faults(scene, leaving(twin).replace(token=scene.task.token, approved=nonces))

    assert "it rests on approvals of other files than those that it was accepted with" in found


def test_an_approval_of_other_files_than_the_run_saw_is_named() -> None:
    governed = governing()
    phases = tuple(one.replace(approvals=(Approval(),)) if one.name == "VERIFY" else one for one in governed.phases)
    scene, twin = (at("VERIFY", phases=phases) for _ in range(2))
    for one in (scene, twin):
        done(one.run())
    done(twin.say(MARIA))
    done(scene.say(MARIA, tree=EDITED))
    event = leaving(twin, ADA)

    found = faults(scene, event.replace(approved=tuple(scene.task.words)))

    assert "it rests on approvals of other files than those that it was accepted with" in found


def test_an_approval_by_who_leaves_the_phase_is_named() -> None:
    scene = at("PR", Approval())
    done(scene.say(MARIA))
    done(scene.release(BOB))
    event = leaving(scene, BOB)

    found = faults(scene, event.replace(actor=MARIA, lease=event.lease.replace(holder=MARIA)))

    assert "it rests on an approval that did not count" in found


def test_a_phase_left_over_a_rejection_is_named() -> None:
    scene, twin = at("PR"), at("PR")
    done(scene.say(ZOE, "reject", reason="It cannot be undone"))

    (fault,) = faults(scene, leaving(twin))

    assert fault == "it leaves PR in spite of approval_missing: zoe rejected this evidence: It cannot be undone"


def test_a_declaration_that_is_passed_off_as_more_is_named() -> None:
    scene = at("PR", Approval(signed=False))
    done(scene.declare(MARIA))
    event = leaving(scene)

    assert faults(scene, event.replace(labels=())) == ["it does not say what it rests on: declared: approval by maria"]


# Another process ------------------------------------------------------------------------------------------------------


def test_leaving_a_process_that_asks_for_approvals_without_one_is_named() -> None:
    lighter = governing()
    scene = at("PR", Approval())
    scene.processes[digest(lighter)] = lighter
    command = AdoptProcess(**adopting(lighter), reason="It is lighter", approver=MARIA)
    done(scene.say(MARIA, process=digest(lighter), expires=scene.now + HOUR))
    event = done(scene.ask(command, BOB))

    assert faults(scene, event, later=HOUR - 1) == []
    [told] = faults(scene, event, later=HOUR)
    assert told.startswith("it leaves a process that asks for approvals: It takes 1 signed approval, and there is none")
    assert faults(at("PR", Approval()), event) == [told]
    assert faults(scene, event.replace(approved=())) == [told]
    [other] = faults(scene, event.replace(approver=ZOE))
    assert "zoe is named as approver" in other


def test_what_an_adoption_is_said_to_rest_on_is_what_it_rests_on() -> None:
    lighter = governing()
    scene = at("PR", Approval(signed=False))
    scene.processes[digest(lighter)] = lighter
    done(scene.declare(MARIA, process=digest(lighter)))
    event = done(scene.ask(AdoptProcess(**adopting(lighter), reason="It is lighter", approver=MARIA), BOB))

    assert (event.labels, event.vouched) == (("declared: approval by maria",), "declared")
    assert faults(scene, event) == []
    assert faults(scene, event.replace(labels=())) == ["it says that it rests on nothing"]
    more = event.replace(approved=(*event.approved, "f" * 32))
    assert faults(scene, more) == ["it rests on an approval that did not count"]


# Refusals -------------------------------------------------------------------------------------------------------------


def turned_down(scene: Scene, **changes: Any) -> CommandRefused:
    """The honest refusal of an approval by an author."""
    event: CommandRefused = refused(scene.ask(scene.word(ADA), ADA))
    assert faults(scene, event) == []
    return event.replace(**changes)


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"command": "advance"}, "advance is never refused at the stage approval"),
        ({"refusals": (Refusal("phase_skip", "No."),)}, "refused for something else than somebody's word"),
        ({"token": 3}, "has no lease, and this one names a token"),
        ({"observation": "0" * 64}, "approve tells of a run"),
        (
            {"command": "process adopt", "refusals": (Refusal("approval_missing", "No."),)},
            "for want of an approval, and the process asks for none",
        ),
    ],
)
def test_a_forged_refusal_is_named(changes: dict[str, Any], told: str) -> None:
    scene = at("PR")

    found = faults(scene, turned_down(scene, **changes))

    assert any(told in fault for fault in found), found


def test_a_refusal_recorded_while_the_clock_stood_back_is_told_by_its_notes() -> None:
    """The entry's time cannot go back, so the same refusal seems to be recorded again at once."""
    scene = Scene()
    done(scene.claim())
    for _ in range(9):
        refused(scene.advance(to="PLAN"))
    event: Any = scene.ask(Advance("PLAN"))
    assert isinstance(event, Event)
    assert scene.state is not None
    assert coalesces(scene.state, event, scene.now)

    assert "recorded again" in faults(scene, event)[0]
    assert faults(scene, event.replace(notes=Notes(clock_back_us=SECOND))) == []
