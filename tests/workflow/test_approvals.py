"""Approvals: who may say yes, to exactly what, how often and for how long; rejections, waivers, and other processes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.errors import RequestError
from enforcer.workflow.commands import AdoptProcess
from enforcer.workflow.events import ApprovalGranted, ApprovalRejected, RulesWaived
from enforcer.workflow.process import Approval, Artifact, Process, Rule
from tests.workflow.scene import (
    ADA,
    BOB,
    CARL,
    MINUTE,
    PHASES,
    Scene,
    adopting,
    bad,
    codes,
    digest,
    done,
    phase,
    process,
    refused,
)

HOUR = 60 * MINUTE
MARIA, ZOE = "maria", "zoe"
TREE, EDITED = "a" * 40, "b" * 40
RISKS = {"ci": (".github/**",), "secrets": ("*.pem",)}


def demanding(*demands: Approval, name: str = "PR", **changes: Any) -> Process:
    """`name` cannot be left without approvals; the rules of REVIEW keep authors from reviewing."""
    phases = {one: phase(one) for one in PHASES}
    review = Rule("independent", "reviewer", "note.md")
    phases["REVIEW"] = phases["REVIEW"].replace(rules=(*phases["REVIEW"].rules, review))
    phases[name] = phases[name].replace(approvals=demands)
    usual: dict[str, Any] = {"phases": tuple(phases.values()), "risks": RISKS, "break_glass": (MARIA,)}
    return process(**(usual | changes))


ONE = demanding(Approval())


def standing(governing: Process = ONE, name: str = "PR") -> Scene:
    """A task that ada wrote and bob reviewed, where it stands before `name` is left. Bob holds it."""
    scene = Scene(governing)
    scene.tree = TREE
    for each in PHASES[: PHASES.index(name)]:
        done(scene.advance(BOB if each in PHASES[6:] else ADA))
        if each == "VERIFY":
            done(scene.release(ADA))
    if name in PHASES[6:] and scene.task.lease is None:
        done(scene.claim(BOB))
    return scene


# Exactly this ---------------------------------------------------------------------------------------------------------


def test_a_phase_is_left_with_the_approval_that_it_asks_for_and_not_without() -> None:
    scene = standing()
    event = refused(scene.advance(BOB))
    assert codes(event) == ["approval_missing"]
    assert "It takes 1 signed approval, and there is none" in event.refusals[0].message

    granted = done(scene.say(MARIA))
    left = done(scene.advance(BOB))

    assert isinstance(granted, ApprovalGranted)
    assert left.approved == (granted.nonce,)
    assert not [label for label in left.labels if "approval" in label]
    assert scene.task.words == {}


def test_an_approval_of_one_digest_does_not_count_for_another() -> None:
    scene = standing()
    done(scene.say(MARIA))
    scene.files["PR"] = "something else"

    assert codes(scene.advance(BOB)) == ["approval_missing"]


def test_an_approval_on_one_tree_does_not_count_for_another() -> None:
    scene = standing()
    done(scene.say(MARIA))
    scene.tree = EDITED

    assert codes(scene.advance(BOB)) == ["approval_missing"]


@pytest.mark.parametrize(
    "changed",
    [{"PR/note.md": "0" * 64, "PR/other.md": "0" * 64}, {}, {"REVIEW/note.md": "0" * 64}],
    ids=["more", "nothing", "another phase"],
)
def test_an_approval_of_more_less_or_something_else_does_not_count(changed: dict[str, str]) -> None:
    scene = standing()
    done(scene.say(MARIA, evidence=changed))

    assert codes(scene.advance(BOB)) == ["approval_missing"]


def test_an_approval_is_used_once() -> None:
    scene = standing()
    said = scene.word(MARIA)
    done(scene.do(said, MARIA))

    assert codes(scene.do(said, MARIA)) == ["approval_invalid"]
    assert codes(scene.do(said.replace(principal=ZOE), ZOE)) == ["approval_invalid"]


def test_an_approval_of_another_attempt_does_not_count() -> None:
    scene = standing()
    said = scene.word(MARIA)
    done(scene.do(said, MARIA))
    done(scene.backtrack("REVIEW", BOB))
    done(scene.advance(BOB))

    assert codes(scene.advance(BOB)) == ["approval_missing"]
    event = refused(scene.do(said, MARIA))
    assert codes(event) == ["approval_invalid"]
    assert "another attempt" in event.refusals[0].message


def test_an_approval_of_another_phase_of_this_attempt_does_not_count() -> None:
    scene = standing()

    assert codes(scene.say(MARIA, phase="MONITOR")) == ["approval_invalid"]


def test_an_approval_counts_until_the_microsecond_before_it_expires() -> None:
    scene = standing()
    done(scene.say(MARIA, expires=scene.now + HOUR))

    scene.wait(HOUR)
    assert codes(scene.advance(BOB)) == ["approval_missing"]
    scene.now -= 1
    done(scene.advance(BOB))


def test_what_has_expired_is_not_taken() -> None:
    scene = standing()

    assert codes(scene.say(MARIA, expires=scene.now)) == ["approval_invalid"]
    done(scene.say(MARIA, expires=scene.now + 1))


def test_a_signature_that_proves_nothing_is_refused_with_the_reason() -> None:
    event = refused(standing().say(MARIA, fault="The process lists no key SHA256:x."))

    assert codes(event) == ["approval_invalid"]
    assert event.refusals[0].message == "The process lists no key SHA256:x."


def test_every_reason_is_told_at_once() -> None:
    scene = standing()

    event = refused(scene.say(ADA, fault="It is forged.", expires=scene.now, attempt_id="0" * 32))

    assert codes(event) == ["approval_invalid"] * 3 + ["reviewer_is_author"]


# Who ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", [ADA, "Ada", "ADA.", "ada/session-2"])
def test_an_author_does_not_approve_in_whatever_spelling(spelling: str) -> None:
    scene = standing()

    assert codes(scene.say(spelling)) == ["reviewer_is_author"]


def test_who_held_the_task_in_this_phase_wrote_its_evidence() -> None:
    scene = standing()

    assert codes(scene.say(BOB)) == ["reviewer_is_author"]


def test_who_takes_the_task_after_approving_it_is_an_author_after_all() -> None:
    scene = standing()
    done(scene.say(CARL))
    done(scene.release(BOB))

    done(scene.claim(CARL))

    assert codes(scene.advance(CARL)) == ["approval_missing"]


def test_who_leaves_the_phase_does_not_rest_on_their_own_approval() -> None:
    """The lease may be claimed by the very entry that leaves it."""
    scene = standing()
    done(scene.release(BOB))
    done(scene.say(CARL))

    event = refused(scene.advance(CARL))

    assert codes(event) == ["approval_missing"]
    assert event.lease.holder == CARL


def test_a_reviewer_signs_the_review_that_they_leave() -> None:
    scene = standing(demanding(Approval(), name="REVIEW"), "REVIEW")
    assert codes(scene.say(ADA)) == ["reviewer_is_author"]
    done(scene.say(BOB))

    left = done(scene.advance(BOB))

    assert len(left.approved) == 1
    assert "declared: reviewer" not in left.labels


def test_a_review_that_nobody_signed_is_a_declared_one() -> None:
    scene = standing(process(phases=ONE.phases), "REVIEW")

    assert "declared: reviewer" in done(scene.advance(BOB)).labels


@pytest.mark.parametrize(
    "changes",
    [{"kind": "reject", "reason": "No"}, {"evidence": {}}, {"tree": EDITED}, {"process": "0" * 64, "evidence": {}}],
    ids=["a rejection", "other evidence", "another tree", "another process"],
)
def test_a_signature_over_something_else_signs_no_review(changes: dict[str, Any]) -> None:
    scene = standing(demanding(Approval(), name="MONITOR"), "REVIEW")
    done(scene.say(BOB, **{"kind": "approve", **changes}))
    scene.files["REVIEW"] = "mended" if changes.get("kind") else "REVIEW"

    assert "declared: reviewer" in done(scene.advance(BOB)).labels


def test_a_review_that_was_only_declared_to_be_approved_is_a_declared_one() -> None:
    scene = standing(demanding(Approval(signed=False), name="REVIEW"), "REVIEW")
    done(scene.declare(BOB))

    assert set(done(scene.advance(BOB)).labels) == {"declared: reviewer", "declared: approval by bob"}


def test_only_those_approve_who_are_named() -> None:
    scene = standing(demanding(Approval(by=(MARIA,))))
    done(scene.say(ZOE))
    assert "1 signed approval of maria, and there is none" in refused(scene.advance(BOB)).refusals[0].message

    done(scene.say("Maria"))
    assert len(done(scene.advance(BOB)).approved) == 1


def test_two_approvals_come_from_two_principals() -> None:
    scene = standing(demanding(Approval(2)))
    for spelling in (MARIA, "MARIA", "maria/other", "maria."):
        done(scene.say(spelling))
    assert "It takes 2 signed approvals, and there is 1" in refused(scene.advance(BOB)).refusals[0].message

    done(scene.say(ZOE))
    assert len(done(scene.advance(BOB)).approved) == 5


def test_every_demand_has_to_be_met() -> None:
    scene = standing(demanding(Approval(by=(MARIA,)), Approval(by=(ZOE,))))
    assert codes(scene.advance(BOB)) == ["approval_missing"] * 2
    done(scene.say(MARIA))
    assert codes(scene.advance(BOB)) == ["approval_missing"]


def test_one_approval_meets_every_demand_that_it_can() -> None:
    scene = standing(demanding(Approval(by=(MARIA, ZOE)), Approval(by=(MARIA,))))
    done(scene.say(MARIA))

    assert len(done(scene.advance(BOB)).approved) == 1


# Declarations ---------------------------------------------------------------------------------------------------------


def test_a_declaration_is_no_signature() -> None:
    scene = standing()
    done(scene.declare(MARIA))

    assert codes(scene.advance(BOB)) == ["approval_missing"]


def test_a_declaration_counts_where_it_is_enough_and_is_labelled() -> None:
    scene = standing(demanding(Approval(signed=False)))
    done(scene.declare(MARIA))

    assert "declared: approval by maria" in done(scene.advance(BOB)).labels


def test_a_label_speaks_of_what_was_needed_only() -> None:
    """A declaration beside the signature that was asked for is not what the answer rests on."""
    scene = standing()
    done(scene.declare(ZOE))
    signed = done(scene.say(MARIA))

    left = done(scene.advance(BOB))

    assert left.approved == (signed.nonce,)
    assert not [label for label in left.labels if "approval" in label]


def test_nobody_declares_in_the_name_of_somebody_else() -> None:
    scene = standing(demanding(Approval(signed=False)))
    said = scene.word(MARIA, statement="", signature="", fingerprint="")

    event = refused(scene.do(said, BOB))

    assert codes(event) == ["approval_invalid"]
    assert "bob says it for maria" in event.refusals[0].message


def test_a_signature_is_recorded_by_whoever_brings_it() -> None:
    scene = standing()
    done(scene.do(scene.word(MARIA), BOB))

    done(scene.advance(BOB))


# Risk classes ---------------------------------------------------------------------------------------------------------


def test_an_approval_for_a_risk_class_is_asked_of_a_change_that_touches_it() -> None:
    scene = standing(demanding(Approval(by=(MARIA,), risks=("secrets",))))
    risky = scene.evidence(risks=("ci", "secrets"))
    event = refused(scene.advance(BOB, evidence=risky))
    assert "(the change touches secrets)" in event.refusals[0].message

    done(scene.advance(BOB, evidence=scene.evidence(risks=("ci",))))


def test_an_approval_that_was_not_asked_for_is_not_what_leaving_rests_on() -> None:
    scene = standing(demanding(Approval(risks=("secrets",))))
    done(scene.say(MARIA))

    assert done(scene.advance(BOB)).approved == ()


def test_an_artifact_is_required_of_a_change_that_touches_its_risk_class() -> None:
    plan = Artifact("plan.md", "text", risks=("secrets",))
    governing = demanding()
    phases = tuple(
        one.replace(artifacts=(*one.artifacts, plan)) if one.name == "PR" else one for one in governing.phases
    )
    scene = standing(governing.replace(phases=phases))
    here = scene.evidence()
    without = here.replace(files=here.files[:1])

    done(scene.advance(BOB, evidence=without))
    assert scene.task.phase == "MONITOR"


# Rejections -----------------------------------------------------------------------------------------------------------


def test_a_rejection_stands_until_the_evidence_changes() -> None:
    scene = standing()
    rejected = done(scene.say(ZOE, "reject", reason="It cannot be undone"))
    done(scene.say(MARIA))
    event = refused(scene.advance(BOB))
    assert isinstance(rejected, ApprovalRejected)
    assert codes(event) == ["approval_missing"]
    assert event.refusals[0].message == "zoe rejected this evidence: It cannot be undone"

    scene.files["PR"] = "mended"
    done(scene.say(MARIA))
    done(scene.advance(BOB))


def test_a_rejection_outlives_its_time_an_edit_elsewhere_and_another_process() -> None:
    scene = standing(demanding())
    mild = demanding(Approval(), name="MONITOR")
    scene.processes[digest(mild)] = mild
    done(scene.say(ZOE, "reject", expires=scene.now + 1))
    scene.tree = EDITED
    scene.wait(MINUTE)
    done(scene.do(AdoptProcess(**adopting(mild), reason="Quick", approver="dora"), BOB))

    assert codes(scene.advance(BOB)) == ["approval_missing"]


def test_a_rejection_needs_no_demand_and_an_author_may_reject() -> None:
    scene = standing(demanding())
    done(scene.declare(ADA, "reject"))

    assert codes(scene.advance(BOB)) == ["approval_missing"]


def test_nobody_stops_by_a_declaration_what_takes_signatures() -> None:
    scene = standing()
    done(scene.say(MARIA))
    done(scene.declare(ZOE, "reject"))

    done(scene.advance(BOB))


def test_who_said_no_takes_it_back_and_nobody_else_does() -> None:
    scene = standing(demanding(Approval(by=(MARIA, ZOE))))
    done(scene.say(ZOE, "reject", reason="Not yet"))
    done(scene.say(MARIA))
    assert codes(scene.advance(BOB)) == ["approval_missing"]
    done(scene.declare("Zoe"))
    assert codes(scene.advance(BOB)) == ["approval_missing"], "a declaration takes no signature back"

    done(scene.say("Zoe"))
    done(scene.advance(BOB))


def test_a_no_after_a_yes_stands() -> None:
    scene = standing()
    done(scene.say(ZOE))
    done(scene.say(ZOE, "reject", reason="I have looked again"))

    assert codes(scene.advance(BOB)) == ["approval_missing"]


@pytest.mark.parametrize("kind", ["reject", "waive"])
def test_a_no_takes_a_reason(kind: str) -> None:
    scene = standing()

    assert "approval_invalid" in codes(scene.say(MARIA, kind, reason=" "))


# Waivers --------------------------------------------------------------------------------------------------------------


def waiver(scene: Scene, who: str = MARIA, **changes: Any) -> Any:
    return scene.say(who, "waive", **{"artifact": "note.md", "rules": ("pr-note",), **changes})


def failing(scene: Scene, rule: str = "pr-note", artifact: str = "note.md") -> Any:
    """The evidence, and one rule of it that does not hold."""
    return scene.evidence(verdicts=(bad(artifact=artifact).replace(rule=rule),))


def test_a_waived_rule_does_not_refuse_and_what_it_said_stays_on_the_record() -> None:
    scene = standing(demanding())
    assert codes(scene.advance(BOB, evidence=failing(scene))) == ["evidence_invalid"]

    waived = done(waiver(scene))
    left = done(scene.advance(BOB, evidence=failing(scene)))

    assert isinstance(waived, RulesWaived)
    assert "waived: pr-note" in left.labels
    assert [one.code for one in left.warnings] == ["evidence_invalid"]


def test_a_waived_rule_that_holds_is_not_said_to_be_passed_over() -> None:
    scene = standing(demanding())
    done(waiver(scene))

    assert not [label for label in done(scene.advance(BOB)).labels if label.startswith("waived")]


def test_a_waiver_ends_at_its_time() -> None:
    scene = standing(demanding())
    done(waiver(scene, expires=scene.now + HOUR))

    scene.wait(HOUR)
    assert codes(scene.advance(BOB, evidence=failing(scene))) == ["evidence_invalid"]
    scene.now -= 1
    done(scene.advance(BOB, evidence=failing(scene)))


def test_a_waiver_ends_with_its_attempt() -> None:
    scene = standing(demanding())
    done(waiver(scene))
    done(scene.backtrack("REVIEW", BOB))
    done(scene.advance(BOB))

    assert codes(scene.advance(BOB, evidence=failing(scene))) == ["evidence_invalid"]


@pytest.mark.parametrize("changed", [{"rule": "other"}, {"artifact": "other.md"}])
def test_other_rules_and_the_rule_over_other_artifacts_refuse_still(changed: dict[str, str]) -> None:
    scene = standing(demanding())
    done(waiver(scene))

    assert codes(scene.advance(BOB, evidence=failing(scene, **changed))) == ["evidence_invalid"]


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": ()},
        {"rules": ("pr-note", "format")},
        {"rules": ("schema",)},
        {"rules": ("review-note",)},
        {"artifact": "other.md"},
        {"artifact": ""},
    ],
    ids=["none", "one more", "what always holds", "of another phase", "of another artifact", "of no artifact"],
)
def test_only_rules_that_the_phase_has_over_the_artifact_are_waived(changes: dict[str, Any]) -> None:
    scene = standing(demanding())

    event = refused(waiver(scene, **changes))

    assert codes(event) == ["approval_invalid"]
    assert "PR has no rule" in event.refusals[0].message


def test_only_who_may_break_the_glass_waives() -> None:
    scene = standing(demanding())

    assert "lets maria waive rules, and zoe is none of them" in refused(waiver(scene, ZOE)).refusals[0].message
    nobody = standing(demanding(break_glass=()))
    assert "lets nobody waive" in refused(waiver(nobody)).refusals[0].message


def test_nobody_waives_rules_over_their_own_work() -> None:
    scene = standing(demanding(break_glass=(ADA,)))

    assert codes(waiver(scene, ADA)) == ["reviewer_is_author"]


def test_a_declaration_waives_nothing() -> None:
    scene = standing(demanding())

    event = refused(waiver(scene, statement="", signature="", fingerprint=""))

    assert [one.message for one in event.refusals] == ["Waiving rules takes a signature."]


def test_neither_the_order_nor_a_missing_file_nor_what_stands_below_can_be_waived() -> None:
    scene = standing(demanding(Approval()))
    done(waiver(scene))
    gone = scene.evidence(problems=bad("evidence_missing").refusals, files=(), standing={})

    assert codes(scene.advance(BOB, to="MONITOR", evidence=gone))[:2] == ["evidence_missing", "upstream_changed"]
    assert "approval_missing" in codes(scene.advance(BOB, evidence=gone))
    done(scene.backtrack("REVIEW", BOB))
    assert codes(scene.advance(BOB, to="MONITOR")) == ["phase_skip"]


def test_waiving_the_rule_over_a_run_lets_a_claim_pass_as_what_it_is() -> None:
    seen = Rule("seen", "observed", "note.md")
    governing = demanding()
    phases = tuple(one.replace(rules=(seen,)) if one.name == "PR" else one for one in governing.phases)
    scene = standing(governing.replace(phases=phases))
    assert codes(scene.advance(BOB)) == ["evidence_unobserved"]

    done(waiver(scene, rules=("seen",)))
    left = done(scene.advance(BOB))

    assert left.evidence[0].origin == "claimed"
    assert "waived: seen" in left.labels


# Another process ------------------------------------------------------------------------------------------------------


def adopt(scene: Scene, new: Process, approver: str = MARIA, actor: str = BOB) -> Any:
    scene.processes[digest(new)] = new
    return scene.do(AdoptProcess(**adopting(new), reason="It is lighter", approver=approver), actor)


def allow(scene: Scene, new: Process, who: str = MARIA, **changes: Any) -> Any:
    """Say that the task may move to `new`."""
    return scene.say(who, process=digest(new), **changes)


MILD = demanding(Approval(), name="MONITOR")


def test_a_process_that_asks_for_approvals_is_left_with_one() -> None:
    scene = standing()
    event = refused(adopt(scene, MILD))
    assert (event.stage, codes(event)) == ("approval", ["approval_missing"])

    done(allow(scene, MILD))
    assert done(adopt(scene, MILD)).approver == MARIA


def test_only_those_let_a_task_leave_a_process_whom_it_asks() -> None:
    """Whoever is listed, and is asked for nothing, cannot do away with what is asked of others."""
    scene = standing(demanding(Approval(2, by=(CARL, "dora")), Approval(by=("dora",), risks=("ci",))))
    done(allow(scene, MILD, ZOE))
    event = refused(adopt(scene, MILD, ZOE))
    assert codes(event) == ["approval_missing"] * 2
    assert "It takes 2 signed approvals of carl, dora, and there is none" in event.refusals[0].message
    done(allow(scene, MILD, CARL))
    assert codes(adopt(scene, MILD, CARL)) == ["approval_missing"] * 2

    last = done(allow(scene, MILD, "dora"))
    adopted = done(adopt(scene, MILD, "dora"))

    assert len(adopted.approved) == 2
    assert last.nonce in adopted.approved
    assert (adopted.labels, adopted.vouched) == ((), "signed")


def test_who_may_break_the_glass_lets_a_task_leave_alone_and_with_a_signature() -> None:
    scene = standing(demanding(Approval(2, by=(CARL, "dora"))))
    done(allow(scene, MILD, MARIA, statement="", signature="", fingerprint=""))
    assert codes(adopt(scene, MILD)) == ["approval_missing"]

    signed = done(allow(scene, MILD))

    assert done(adopt(scene, MILD)).approved == (signed.nonce,)


def test_a_demand_of_another_phase_and_of_other_risks_holds_a_task_all_the_same() -> None:
    scene = standing(demanding(Approval(by=(ZOE,), risks=("secrets",)), name="MONITOR", break_glass=()))
    done(allow(scene, MILD))
    assert codes(adopt(scene, MILD)) == ["approval_missing"]

    done(allow(scene, MILD, ZOE))
    done(adopt(scene, MILD, ZOE))


def test_an_adoption_that_took_no_approval_is_a_declared_one() -> None:
    adopted = done(adopt(standing(demanding()), MILD, "dora"))

    assert (adopted.approved, adopted.vouched) == ((), "declared")


def test_a_process_that_asks_for_none_is_left_as_before() -> None:
    done(adopt(standing(demanding()), MILD, "dora"))


@pytest.mark.parametrize(
    "changes",
    [{"process": "0" * 64}, {"process": ""}, {"expires": "now"}],
    ids=["of another process", "of the evidence", "expired"],
)
def test_an_approval_of_something_else_moves_no_task(changes: dict[str, Any]) -> None:
    scene = standing()
    if changes.get("expires"):
        changes = {"expires": scene.now + 1}
    done(scene.say(MARIA, **{"process": digest(MILD), **changes}))
    scene.wait(MINUTE)

    assert codes(adopt(scene, MILD)) == ["approval_missing"]


def test_an_approval_to_move_does_not_let_the_task_leave_its_phase() -> None:
    scene = standing()
    evidence = scene.word(MARIA).evidence
    done(allow(scene, MILD, evidence=evidence, tree=TREE))

    assert codes(scene.advance(BOB)) == ["approval_missing"]


def test_who_is_named_as_approver_is_who_approved() -> None:
    scene = standing()
    done(allow(scene, MILD, ZOE))

    assert codes(adopt(scene, MILD, MARIA)) == ["approval_missing"]
    done(adopt(scene, MILD, "Zoe"))


def test_who_approves_another_process_and_then_takes_the_task_has_not_approved_it() -> None:
    scene = standing()
    done(allow(scene, MILD, CARL))
    done(scene.release(BOB))
    done(scene.claim(CARL))
    done(scene.release(CARL))

    assert codes(adopt(scene, MILD, CARL)) == ["approval_missing"]


def test_a_declaration_moves_a_task_only_where_declarations_are_all_that_is_asked_for() -> None:
    unsigned = {"statement": "", "signature": "", "fingerprint": ""}
    strict, lenient = standing(), standing(demanding(Approval(signed=False)))
    for scene in (strict, lenient):
        done(allow(scene, MILD, **unsigned))

    assert codes(adopt(strict, MILD)) == ["approval_missing"]
    done(adopt(lenient, MILD))


def test_an_approval_to_move_is_used_once() -> None:
    scene = standing()
    back = ONE
    moved = demanding(Approval(), Approval(by=(ZOE,)))
    said = scene.word(MARIA, process=digest(moved))
    done(scene.do(said, MARIA))
    done(adopt(scene, moved))
    done(allow(scene, back))
    done(adopt(scene, back))

    assert codes(adopt(scene, moved)) == ["approval_missing"]
    assert codes(scene.do(said, MARIA)) == ["approval_invalid"]


def test_what_was_said_under_another_process_counts_no_more() -> None:
    scene = standing(demanding())
    done(scene.say(MARIA))
    done(waiver(scene))
    late = scene.word(MARIA)
    done(adopt(scene, ONE, "dora"))

    assert codes(scene.advance(BOB)) == ["approval_missing"]
    assert "evidence_invalid" in codes(scene.advance(BOB, evidence=failing(scene)))
    event = refused(scene.do(late, MARIA))
    assert "another process" in event.refusals[0].message


def test_a_closed_task_hears_nothing_more() -> None:
    scene = standing()
    done(scene.say(MARIA))
    done(scene.abandon(BOB))

    assert codes(scene.do(scene.word(MARIA), MARIA)) == ["task_closed"]
    assert scene.task.words == {}


def test_a_process_is_not_adopted_without_a_reason_or_an_approver() -> None:
    for changes in ({"reason": " "}, {"approver": ""}):
        command = AdoptProcess(**adopting(MILD), reason="Because", approver=MARIA).replace(**changes)
        with pytest.raises(RequestError):
            standing().do(command, BOB)


# Always ---------------------------------------------------------------------------------------------------------------

words = st.lists(
    st.tuples(
        st.sampled_from([MARIA, "Maria", ZOE, "zoe.", CARL, ADA, BOB]),
        st.booleans(),
        st.sampled_from([TREE, EDITED]),
        st.sampled_from([1, HOUR]),
    ),
    max_size=6,
)


@given(said=words, count=st.integers(1, 3), signed=st.booleans(), by=st.sampled_from([(), (MARIA, ZOE), (CARL,)]))
def test_a_phase_is_left_exactly_when_enough_others_approved_what_is_there(
    said: list[Any], count: int, signed: bool, by: tuple[str, ...]
) -> None:
    scene = standing(demanding(Approval(count, by, signed=signed)))
    for who, with_key, tree, lasting in said:
        say = scene.say if with_key else scene.declare
        say(who, tree=tree, expires=scene.now + lasting)
    scene.wait(MINUTE)

    left = scene.advance(BOB)

    people = {
        who.casefold().rstrip(".")
        for who, with_key, tree, lasting in said
        if (with_key or not signed) and tree == TREE and lasting == HOUR and who not in (ADA, BOB)
    }
    enough = len(people & set(by) if by else people) >= count
    assert codes(left) == ([] if enough else ["approval_missing"])
