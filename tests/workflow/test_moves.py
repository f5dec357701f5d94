"""Every ordered pair of phases under both moves, and what each move does to what was accepted."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from enforcer.errors import InternalError, RequestError
from enforcer.workflow.commands import Abandon, Advance, Backtrack
from enforcer.workflow.decide import EVIDENCE_NEEDED, decide
from enforcer.workflow.facts import FileFact, Verdict
from enforcer.workflow.process import Artifact, Rule
from tests.workflow.scene import (
    ADA,
    BOB,
    MINUTE,
    PHASES,
    TTL,
    Scene,
    bad,
    codes,
    digest_of,
    done,
    phase,
    process,
    refused,
)

PAIRS = list(product(range(9), range(9)))


def named(pair: tuple[int, int]) -> str:
    return f"{PHASES[pair[0]]}-{PHASES[pair[1]]}"


def outcome(decision: object) -> str:
    """What became of a move: the type of its event, the codes of its refusal, or `no-op`."""
    return "no-op" if decision is None else ",".join(codes(decision)) or getattr(decision, "type", "")


def test_of_81_pairs_advance_passes_8_and_backtrack_36() -> None:
    scenes = {name: Scene().at(name) for name in PHASES}
    advanced = Counter(outcome(scenes[PHASES[a]].ask(Advance(PHASES[b]))) for a, b in PAIRS)
    backtracked = Counter(outcome(scenes[PHASES[a]].ask(Backtrack(PHASES[b], "Why not"))) for a, b in PAIRS)

    assert advanced == {"phase.advanced": 8, "no-op": 9, "phase_skip": 28, "phase_direction": 36}
    assert backtracked == {"phase.backtracked": 36, "phase_direction": 45}


@pytest.mark.parametrize("pair", PAIRS, ids=named)
def test_a_move_that_is_allowed_arrives_and_every_other_stays(pair: tuple[int, int]) -> None:
    start, to = (PHASES[number] for number in pair)
    step = pair[1] - pair[0]

    scene = Scene().at(start)
    decision = scene.advance(to=to)
    assert outcome(decision) == (
        {0: "no-op", 1: "phase.advanced"}.get(step) or ("phase_skip" if step > 0 else "phase_direction")
    )
    assert scene.task.phase == (to if step == 1 else start)

    scene = Scene().at(start)
    decision = scene.backtrack(to)
    assert outcome(decision) == ("phase.backtracked" if step < 0 else "phase_direction")
    assert scene.task.phase == (to if step < 0 else start)


def test_without_a_target_advance_goes_to_the_phase_that_follows() -> None:
    scene = Scene()

    event = done(scene.advance())

    assert (event.start, event.to, event.completed) == ("STRATEGIZE", "SPEC", False)


def test_leaving_the_last_phase_completes_the_task_and_frees_its_lease() -> None:
    scene = Scene().at("MONITOR")

    event = done(scene.advance())

    assert (event.to, event.completed, event.attempt_id) == ("", True, "")
    assert (scene.task.status, scene.task.phase, scene.task.lease) == ("completed", "MONITOR", None)


@pytest.mark.parametrize("command", [Advance("SHIP"), Backtrack("SHIP", "Because"), Advance("spec"), Advance("")])
def test_a_phase_that_the_process_does_not_have_is_the_callers_mistake(command: Advance | Backtrack) -> None:
    with pytest.raises(RequestError) as caught:
        Scene().ask(command)

    assert caught.value.code == "unknown_phase"
    assert "STRATEGIZE" in caught.value.fix


@pytest.mark.parametrize("command", [Backtrack("STRATEGIZE", "  "), Abandon(""), Abandon("\n")])
def test_going_back_and_giving_up_need_a_reason(command: Backtrack | Abandon) -> None:
    with pytest.raises(RequestError) as caught:
        Scene().at("SPEC").ask(command)

    assert caught.value.code == "reason_missing"


def test_a_command_on_a_task_that_was_never_opened_is_the_callers_mistake() -> None:
    scene = Scene(opened=False)

    with pytest.raises(RequestError) as caught:
        decide(None, Advance(), scene.facts(Advance(), ADA), None)

    assert caught.value.code == "unknown_task"


# Stages --------------------------------------------------------------------------------------------------------------


def test_a_skip_by_a_non_holder_without_evidence_is_a_skip_and_nothing_else() -> None:
    scene = Scene()
    scene.claim(ADA)

    event = refused(scene.advance(BOB, to="PLAN", evidence=scene.evidence(files=(), verdicts=(bad(),))))

    assert (event.stage, codes(event)) == ("order", ["phase_skip"])
    assert "SPEC" in event.refusals[0].message


def test_a_skip_reads_no_evidence() -> None:
    scene = Scene()
    facts = scene.facts(Advance("PLAN"), ADA)

    assert codes(decide(scene.state, Advance("PLAN"), facts, scene.process)) == ["phase_skip"]


@pytest.mark.parametrize("to", [None, "SPEC"])
def test_an_advance_that_passed_every_cheap_stage_asks_for_evidence(to: str | None) -> None:
    scene = Scene()

    assert decide(scene.state, Advance(to), scene.facts(Advance(to), ADA), scene.process) is EVIDENCE_NEEDED


def test_evidence_of_another_attempt_answers_nothing() -> None:
    scene = Scene()
    facts = scene.facts(Advance(), ADA, evidence=scene.evidence(attempt_id="0" * 32))

    assert decide(scene.state, Advance(), facts, scene.process) is EVIDENCE_NEEDED


def test_evidence_judged_by_another_process_answers_nothing() -> None:
    """A process may be adopted between the reading of evidence and the append lock."""
    scene = Scene()
    facts = scene.facts(Advance(), ADA, evidence=scene.evidence(process="0" * 64))

    assert decide(scene.state, Advance(), facts, scene.process) is EVIDENCE_NEEDED


def test_the_lease_is_asked_for_before_the_prompt_and_the_prompt_before_the_evidence() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="one")
    scene.attest(header="two")
    poor = scene.evidence(verdicts=(bad(),))

    assert codes(scene.ask(Advance(), BOB, evidence=poor)) == ["lease_held"]
    assert codes(scene.ask(Advance(), ADA, evidence=poor)) == ["prompt_drift"]
    scene.attest(header="one")
    assert codes(scene.ask(Advance(), ADA, evidence=poor)) == ["evidence_invalid"]


def test_a_refusal_at_the_evidence_stage_lists_every_reason() -> None:
    scene = Scene().at("SPEC")
    missing = bad("evidence_missing").refusals
    evidence = scene.evidence(
        problems=missing, verdicts=(bad(), bad("evidence_stale")), standing={"STRATEGIZE/note.md": ""}
    )

    event = refused(scene.advance(evidence=evidence))

    assert event.stage == "evidence"
    assert codes(event) == ["evidence_missing", "evidence_invalid", "evidence_stale", "upstream_changed"]


def test_what_refuses_names_the_phase_and_the_way_out() -> None:
    scene = Scene().at("SPEC")

    for command in (Advance("THINK"), Advance("STRATEGIZE"), Backtrack("PLAN", "Because")):
        [refusal] = refused(scene.ask(command)).refusals
        assert refusal.phase == "SPEC"
        assert refusal.fix


# Evidence ------------------------------------------------------------------------------------------------------------


def test_a_rule_that_observes_is_recorded_as_would_refuse_and_one_that_is_off_is_not() -> None:
    scene = Scene()
    good = scene.evidence().verdicts
    verdicts = (*good, bad(mode="observe"), bad("evidence_stale", mode="off"))

    event = done(scene.advance(evidence=scene.evidence(verdicts=verdicts)))

    assert [one.code for one in event.warnings] == ["evidence_invalid"]


def test_a_phase_without_rules_lets_nothing_pass() -> None:
    scene = Scene(process(phases=(phase("STRATEGIZE", rules=()), phase("SPEC"))))

    assert codes(scene.advance()) == ["evidence_missing"]


def test_a_required_artifact_that_was_not_read_lets_nothing_pass() -> None:
    scene = Scene()

    with pytest.raises(InternalError) as caught:
        scene.ask(Advance(), evidence=scene.evidence(files=()))

    assert caught.value.code == "evidence_unjudged"


def test_an_enforced_rule_that_was_not_asked_lets_nothing_pass() -> None:
    scene = Scene()

    with pytest.raises(InternalError) as caught:
        scene.ask(Advance(), evidence=scene.evidence(verdicts=()))

    assert caught.value.code == "evidence_unjudged"


def test_an_optional_artifact_may_be_absent_with_its_rules() -> None:
    artifacts = (Artifact("note.md", "markdown"), Artifact("extra.md", "markdown", required=False))
    rules = (Rule("note", "sections", "note.md"), Rule("extra", "sections", "extra.md"))
    scene = Scene(process(phases=(phase("STRATEGIZE", artifacts=artifacts, rules=rules), phase("SPEC"))))
    files = (FileFact("note.md", digest_of("x"), 5, "claimed"),)

    evidence = scene.evidence(files=files, verdicts=(Verdict("note", "note.md", "enforce"),))

    assert done(scene.advance(evidence=evidence)).to == "SPEC"


def test_accepted_evidence_that_changed_or_went_is_refused_and_says_which() -> None:
    scene = Scene().at("PLAN")
    standing = {"STRATEGIZE/note.md": digest_of("edited"), "SPEC/note.md": ""}

    event = refused(scene.advance(evidence=scene.evidence(standing=standing)))

    assert codes(event) == ["upstream_changed", "upstream_changed"]
    assert [one.phase for one in event.refusals] == ["STRATEGIZE", "SPEC"]
    assert "differs" in event.refusals[0].message
    assert "is gone" in event.refusals[1].message
    assert "evidence restore" in event.refusals[0].fix


def test_an_earlier_file_that_was_not_looked_at_counts_as_gone() -> None:
    scene = Scene().at("PLAN")

    assert codes(scene.advance(evidence=scene.evidence(standing={}))) == ["upstream_changed", "upstream_changed"]


def test_an_artifact_stands_only_on_what_its_process_names() -> None:
    artifact = Artifact("note.md", "markdown", stands_on=("SPEC/note.md",))
    lone = Artifact("note.md", "markdown", stands_on=())
    phases = (phase("STRATEGIZE"), phase("SPEC", artifacts=(lone,)), phase("PLAN", artifacts=(artifact,)))
    scene = Scene(process(phases=phases)).at("PLAN")
    changed = {"STRATEGIZE/note.md": "", "SPEC/note.md": digest_of("SPEC")}

    assert done(scene.advance(evidence=scene.evidence(standing=changed))).completed


def test_what_stands_on_a_chosen_artifact_stands_on_its_foundations_as_well() -> None:
    artifact = Artifact("note.md", "markdown", stands_on=("SPEC/note.md",))
    phases = (phase("STRATEGIZE"), phase("SPEC"), phase("PLAN", artifacts=(artifact,)))
    scene = Scene(process(phases=phases)).at("PLAN")
    changed = {"STRATEGIZE/note.md": "", "SPEC/note.md": digest_of("SPEC")}

    assert codes(scene.advance(evidence=scene.evidence(standing=changed))) == ["upstream_changed"]


def test_what_was_accepted_is_recorded_by_digest_with_what_it_rests_on() -> None:
    scene = Scene()
    evidence = scene.evidence(tree="t" * 40, commit="c" * 40, labels=("claimed:note.md",))

    event = done(scene.advance(evidence=evidence))

    [accepted] = event.evidence
    assert (accepted.artifact, accepted.digest, accepted.size) == ("note.md", digest_of("STRATEGIZE"), 100)
    assert (event.tree, event.commit, event.labels) == ("t" * 40, "c" * 40, ("claimed:note.md",))
    assert (scene.task.tree, scene.task.commit) == ("t" * 40, "c" * 40)


def test_an_advance_that_binds_no_tree_keeps_the_tree_that_was_bound() -> None:
    scene = Scene()
    scene.advance(evidence=scene.evidence(tree="t" * 40, commit="c" * 40))
    scene.advance()

    assert (scene.task.tree, scene.task.commit) == ("t" * 40, "c" * 40)


# Attempts ------------------------------------------------------------------------------------------------------------


def test_every_entry_of_a_phase_is_a_new_attempt() -> None:
    scene = Scene().at("SPEC")
    first = scene.task.attempt_id
    scene.backtrack("STRATEGIZE")
    scene.advance()

    assert scene.task.attempts == {"STRATEGIZE": 2, "SPEC": 2}
    assert scene.task.attempt == 2
    assert scene.task.attempt_id != first


def test_a_backtrack_sets_aside_what_was_accepted_in_the_target_and_later() -> None:
    scene = Scene().at("VERIFY")

    scene.backtrack("PLAN")

    assert set(scene.task.accepted) == {"STRATEGIZE", "SPEC"}
    assert scene.task.walked == ("STRATEGIZE", "SPEC")
    assert scene.task.invalidated == ("PLAN/note.md", "THINK/note.md", "IMPLEMENT/note.md")


def test_what_is_earned_again_is_no_longer_invalidated() -> None:
    scene = Scene().at("VERIFY")
    scene.backtrack("PLAN")

    scene.at("IMPLEMENT")

    assert scene.task.invalidated == ("IMPLEMENT/note.md",)
    assert scene.task.walked == ("STRATEGIZE", "SPEC", "PLAN", "THINK")


def test_two_backtracks_name_what_fell_once() -> None:
    scene = Scene().at("THINK")
    scene.backtrack("PLAN")
    scene.at("THINK")
    scene.backtrack("SPEC")

    assert sorted(scene.task.invalidated) == ["PLAN/note.md", "SPEC/note.md"]


def test_the_same_bytes_are_reaffirmed_across_a_backtrack_and_others_are_not() -> None:
    scene = Scene().at("PLAN")
    scene.backtrack("STRATEGIZE")
    scene.files["SPEC"] = "rewritten"

    same, other = done(scene.advance()), done(scene.advance())

    assert same.evidence[0].reaffirmed
    assert not other.evidence[0].reaffirmed
    assert scene.task.previous["SPEC/note.md"] == digest_of("rewritten")


def test_a_first_acceptance_is_not_a_reaffirmation() -> None:
    assert not done(Scene().advance()).evidence[0].reaffirmed


def test_a_failed_verification_does_not_hold_up_a_backtrack() -> None:
    scene = Scene().at("VERIFY")
    refused(scene.advance(evidence=scene.evidence(verdicts=(bad(),))))

    assert done(scene.backtrack("IMPLEMENT")).to == "IMPLEMENT"


def test_a_move_is_progress_and_a_refusal_is_not() -> None:
    scene = Scene().wait(MINUTE)
    scene.advance(to="PLAN")
    assert scene.task.progress_ts == scene.now - MINUTE

    scene.advance()
    assert scene.task.progress_ts == scene.now

    scene.wait(TTL + MINUTE).backtrack("STRATEGIZE")
    assert scene.task.progress_ts == scene.now
