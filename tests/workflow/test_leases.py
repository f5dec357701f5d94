"""Who may act on a task, and what a claim leaves on the record."""

from __future__ import annotations

import pytest

from enforcer.errors import RequestError
from enforcer.workflow.commands import (
    Abandon,
    AdoptProcess,
    Advance,
    Attest,
    Backtrack,
    ClaimLease,
    Command,
    ReleaseLease,
    RenewLease,
)
from enforcer.workflow.events import Claim, TaskOpened
from enforcer.workflow.facts import LeaseFacts
from enforcer.workflow.legality import adoption, legality
from enforcer.workflow.process import Rule
from enforcer.workflow.state import Lease, is_among, principal, same_principal
from tests.workflow.scene import (
    ADA,
    BOB,
    CARL,
    TTL,
    Scene,
    adopting,
    bad,
    codes,
    digest,
    digest_of,
    done,
    phase,
    process,
    refused,
)

NEEDING = [
    Advance(),
    Backtrack("STRATEGIZE", "A case is missing"),
    Abandon("Not needed any more"),
    Attest({"header": digest_of("header")}),
]


def label(command: Command) -> str:
    return command.name


@pytest.mark.parametrize("command", NEEDING, ids=label)
def test_a_command_claims_a_free_lease_in_its_own_entry(command: Command) -> None:
    scene = Scene().at("SPEC", BOB)
    scene.release(BOB)
    before = len(scene.events)

    event = done(scene.do(command))

    assert event.lease == Claim(ADA, 2, "claimed", "")
    assert event.token == 2
    assert len(scene.events) == before + 1
    assert scene.task.token == 2


@pytest.mark.parametrize("command", NEEDING, ids=label)
def test_a_command_takes_over_an_expired_lease_and_names_its_holder(command: Command) -> None:
    scene = Scene().at("SPEC", BOB).wait(TTL)

    assert done(scene.do(command)).lease == Claim(ADA, 2, "taken_over", BOB)


@pytest.mark.parametrize("command", NEEDING, ids=label)
def test_a_live_lease_of_another_refuses_with_holder_and_time_and_claims_nothing(command: Command) -> None:
    scene = Scene().at("SPEC", BOB).wait(TTL // 3)

    event = refused(scene.do(command))

    assert (event.stage, codes(event), event.lease, event.token) == ("lease", ["lease_held"], None, 0)
    assert "bob" in event.refusals[0].message
    assert "200 s" in event.refusals[0].message
    assert scene.task.lease == Lease(BOB, 1)


@pytest.mark.parametrize("command", NEEDING, ids=label)
def test_without_automatic_claims_a_command_needs_a_lease(command: Command) -> None:
    scene = Scene(auto=False)
    scene.claim()
    scene.advance()
    scene.release()

    event = refused(scene.do(command))

    assert (event.stage, codes(event), event.lease) == ("lease", ["lease_required"], None)
    scene.claim()
    assert done(scene.do(command)).lease is None


@pytest.mark.parametrize("command", NEEDING, ids=label)
def test_a_lease_that_was_passed_on_is_stale(command: Command) -> None:
    scene = Scene().at("SPEC")
    stale = scene.task.token
    scene.wait(TTL).claim(BOB)

    event = refused(scene.do(command, ADA, began_with=stale))

    assert (event.stage, codes(event), event.lease) == ("lease", ["lease_stale"], None)
    assert "token 1" in event.refusals[0].message
    assert "newest token is 2" in event.refusals[0].message


@pytest.mark.parametrize("command", NEEDING, ids=label)
def test_a_lease_that_expired_while_the_command_ran_is_stale_though_nobody_took_it(command: Command) -> None:
    scene = Scene().at("SPEC")
    began_with = scene.task.token

    assert codes(scene.wait(TTL).do(command, began_with=began_with)) == ["lease_stale"]
    assert scene.task.token == began_with


def test_a_token_that_was_released_and_claimed_again_is_stale() -> None:
    scene = Scene().at("SPEC")
    began_with = scene.task.token
    scene.release()
    scene.claim()

    assert codes(scene.advance(began_with=began_with)) == ["lease_stale"]


def test_a_token_of_a_released_lease_is_stale() -> None:
    scene = Scene().at("SPEC")
    scene.release()

    assert codes(scene.advance(began_with=1)) == ["lease_stale"]


def test_somebody_elses_token_is_stale() -> None:
    scene = Scene().at("SPEC", BOB)

    assert codes(scene.advance(ADA, began_with=scene.task.token)) == ["lease_stale"]


def test_two_processes_of_one_actor_are_one_holder() -> None:
    scene = Scene()
    scene.claim()

    assert scene.claim() is None
    assert done(scene.advance(began_with=None)).lease is None


def test_two_sessions_of_one_principal_are_two_holders() -> None:
    scene = Scene()
    scene.claim("ada/one")

    assert codes(scene.claim("ada/two")) == ["lease_held"]


def test_ones_own_expired_lease_is_claimed_and_not_taken_over() -> None:
    scene = Scene().at("SPEC").wait(TTL)

    assert done(scene.advance()).lease == Claim(ADA, 2, "claimed", "")


def test_under_its_own_live_lease_a_command_claims_nothing() -> None:
    scene = Scene().at("SPEC")

    event = done(scene.advance())

    assert (event.lease, event.token) == (None, 1)


# Claims of commands that were not carried out ------------------------------------------------------------------------


def test_a_command_refused_after_the_lease_stage_claims_in_its_refusal() -> None:
    scene = Scene().at("SPEC", BOB).wait(TTL)

    event = refused(scene.advance(evidence=scene.evidence(verdicts=(bad(),))))

    assert (event.stage, event.lease, event.token) == ("evidence", Claim(ADA, 2, "taken_over", BOB), 2)
    assert scene.task.lease == Lease(ADA, 2)


def test_an_attestation_refused_for_drift_claims_in_its_refusal() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="one")
    scene.wait(TTL)

    event = refused(scene.attest(header="two"))

    assert (event.stage, event.lease) == ("attestation", Claim(ADA, 2, "claimed", ""))


@pytest.mark.parametrize("command", [Advance("THINK"), Backtrack("PLAN", "Because")], ids=label)
def test_a_command_refused_before_the_lease_stage_claims_nothing(command: Command) -> None:
    scene = Scene().at("SPEC", BOB).wait(TTL)

    event = refused(scene.do(command))

    assert (event.stage, event.lease, event.token) == ("order", None, 0)
    assert scene.task.lease == Lease(BOB, 1)


def test_a_no_op_claims_nothing() -> None:
    scene = Scene()

    assert scene.advance(to="STRATEGIZE") is None
    assert scene.task.lease is None


# Commands about the lease --------------------------------------------------------------------------------------------


def test_a_free_lease_is_claimed() -> None:
    event = done(Scene().claim())

    assert (event.type, event.holder, event.token) == ("lease.claimed", ADA, 1)


def test_claiming_needs_no_automatic_claims() -> None:
    assert done(Scene(auto=False).claim()).token == 1


def test_an_expired_lease_is_taken_over() -> None:
    scene = Scene()
    scene.claim(BOB)

    event = done(scene.wait(TTL).claim(ADA))

    assert (event.type, event.holder, event.token, event.previous) == ("lease.taken_over", ADA, 2, BOB)


def test_a_live_lease_is_not_claimed_from_another() -> None:
    scene = Scene()
    scene.claim(BOB)

    assert codes(scene.claim(ADA)) == ["lease_held"]


def test_a_lease_lives_to_the_last_microsecond_and_no_longer() -> None:
    scene = Scene()
    scene.claim(BOB)
    scene.wait(TTL - 1)
    assert "for another 1 s" in refused(scene.claim(ADA)).refusals[0].message

    scene.wait(1)
    assert done(scene.claim(ADA)).previous == BOB


def test_renewing_a_live_lease_of_ones_own_is_no_entry() -> None:
    scene = Scene()
    scene.claim()

    assert scene.do(RenewLease()) is None


@pytest.mark.parametrize("claimed", [True, False])
def test_an_expired_or_missing_lease_is_not_renewed(claimed: bool) -> None:
    scene = Scene()
    if claimed:
        scene.claim()

    assert codes(scene.wait(TTL).do(RenewLease())) == ["lease_stale"]


def test_only_the_holder_renews() -> None:
    scene = Scene()
    scene.claim(BOB)

    assert codes(scene.do(RenewLease(), ADA)) == ["lease_held"]


def test_an_old_token_is_not_renewed() -> None:
    scene = Scene()
    scene.claim()
    scene.release()
    scene.claim()

    assert codes(scene.do(RenewLease(), began_with=1)) == ["lease_stale"]


def test_a_released_lease_is_free_and_its_token_stays_spent() -> None:
    scene = Scene()
    scene.claim()

    event = done(scene.release())

    assert (event.holder, event.token, event.forced) == (ADA, 1, False)
    assert (scene.task.lease, scene.task.token) == (None, 1)
    assert done(scene.claim(BOB)).token == 2


def test_only_the_holder_releases_a_live_lease() -> None:
    scene = Scene()
    scene.claim(BOB)

    assert codes(scene.release(ADA)) == ["lease_held"]


def test_releasing_what_is_not_held_is_a_no_op() -> None:
    scene = Scene()
    assert scene.release() is None

    scene.claim(BOB)
    assert scene.wait(TTL).release(ADA) is None
    assert scene.task.lease == Lease(BOB, 1)


def test_a_process_that_began_under_an_older_token_does_not_release_the_newer_lease() -> None:
    scene = Scene()
    scene.claim()
    scene.release()
    scene.claim()

    assert scene.release(began_with=1) is None
    assert scene.task.lease == Lease(ADA, 2)


def test_a_forced_release_of_anothers_lease_is_recorded_with_its_reason() -> None:
    scene = Scene()
    scene.claim(BOB)

    event = done(scene.do(ReleaseLease(force=True, reason="Its host is gone"), CARL))

    assert (event.holder, event.forced, event.reason) == (BOB, True, "Its host is gone")
    assert scene.task.lease is None


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_forced_release_needs_a_reason(reason: str) -> None:
    scene = Scene()
    scene.claim(BOB)

    with pytest.raises(RequestError) as caught:
        scene.do(ReleaseLease(force=True, reason=reason), CARL)

    assert caught.value.code == "reason_missing"


def test_releasing_ones_own_lease_with_force_is_not_forced() -> None:
    scene = Scene()
    scene.claim()

    assert not done(scene.do(ReleaseLease(force=True, reason="Done for today"))).forced


def test_claiming_again_within_a_live_lease_changes_nothing() -> None:
    scene = Scene()
    scene.claim()
    before = scene.task

    assert scene.do(ClaimLease()) is None
    assert scene.task == before


# Implementers --------------------------------------------------------------------------------------------------------


def test_implementers_are_the_principals_that_held_the_lease_in_implement() -> None:
    scene = Scene().at("IMPLEMENT", "ada/one")
    assert list(scene.task.implementers) == [ADA]

    scene.release("ada/one")
    scene.claim("bob/two")
    scene.claim("ada/three", lease=LeaseFacts())
    assert scene.task.implementers == (ADA, BOB)


def test_holding_the_lease_elsewhere_makes_nobody_an_implementer() -> None:
    scene = Scene().at("THINK", BOB)
    scene.release(BOB)
    scene.at("VERIFY", ADA)
    scene.release(ADA)
    scene.claim(CARL)

    assert scene.task.implementers == (ADA,)


def test_whoever_claims_in_the_entry_that_leaves_implement_held_the_lease_in_it() -> None:
    scene = Scene().at("IMPLEMENT", ADA)
    scene.release(ADA)

    done(scene.advance(BOB))

    assert scene.task.implementers == (ADA, BOB)


def test_implementers_are_kept_across_backtracks() -> None:
    scene = Scene().at("VERIFY", ADA)
    scene.release(ADA)
    scene.backtrack("SPEC", BOB)

    assert list(scene.task.implementers) == [ADA]
    scene.backtrack("STRATEGIZE", BOB)
    scene.at("IMPLEMENT", BOB)
    assert scene.task.implementers == (ADA, BOB)


def test_who_goes_back_into_implement_with_the_lease_is_an_implementer() -> None:
    scene = Scene().at("VERIFY", ADA)
    scene.release(ADA)

    scene.backtrack("IMPLEMENT", BOB)

    assert scene.task.implementers == (ADA, BOB)


def test_the_process_says_in_which_phases_the_holders_are_authors() -> None:
    order = (phase("STRATEGIZE"), phase("BUILD", authors=True), phase("IMPLEMENT"), phase("REVIEW"))
    scene = Scene(process(phases=order)).at("BUILD", ADA)
    scene.release(ADA)
    scene.at("REVIEW", BOB)

    assert scene.task.authoring == ("BUILD",)
    assert scene.task.implementers == (ADA, BOB)  # Bob left BUILD, so he held the task in it.
    scene.release(BOB)
    scene.claim(CARL)
    assert scene.task.implementers == (ADA, BOB)


def test_without_a_word_in_the_process_authors_are_where_writing_is_allowed() -> None:
    review = phase("REVIEW", tools=("write",), rules=(Rule("review", "reviewer", "note.md"),))
    named = process(phases=(phase("STRATEGIZE"), phase("BUILD", tools=("write", "run")), review))

    assert named.authoring == ("BUILD",)
    assert process().authoring == ("IMPLEMENT",)
    assert process(phases=(phase("STRATEGIZE"),)).authoring == ()


def test_who_held_a_phase_that_an_adopted_process_calls_authoring_is_an_author() -> None:
    scene = Scene(process(phases=(phase("DRAFT"), phase("BUILD", authors=True), phase("REVIEW"))))
    scene.claim(ADA)
    scene.release(ADA)
    scene.at("BUILD", CARL)
    scene.release(CARL)
    scene.at("REVIEW", BOB)
    assert list(scene.task.implementers) == [CARL, BOB]
    both = (phase("DRAFT", authors=True), phase("BUILD", authors=True), phase("REVIEW"))
    new = process(name="new", phases=both)
    scene.processes[digest(new)] = new

    done(scene.do(AdoptProcess(**adopting(new), reason="Drafts count", approver="dora"), CARL))

    assert scene.task.implementers == (ADA, CARL, BOB)


def test_an_opening_or_adoption_that_names_other_authoring_phases_is_illegal() -> None:
    built = process(phases=(phase("STRATEGIZE"), phase("BUILD", authors=True)))
    scene = Scene(built)
    opened = scene.events[0]
    assert isinstance(opened, TaskOpened)

    faults = legality(None, opened.replace(authoring=()), built, ts=scene.now)
    assert any("has authors in" in fault for fault in faults)
    new = process(name="new", phases=(phase("STRATEGIZE"), phase("BUILD", authors=True), phase("REVIEW")))
    scene.processes[digest(new)] = new
    adopted = done(scene.ask(AdoptProcess(**adopting(new), reason="More", approver=CARL), BOB))
    assert list(adoption(scene.task, adopted, built, new)) == []
    forged = adopted.replace(authoring=("STRATEGIZE",))
    assert any("has authors in" in fault for fault in adoption(scene.task, forged, built, new))


@pytest.mark.parametrize("one, other", [("ada", "ADA"), ("ada/1", "Ada/2"), ("ada.", "ada"), ("STRASSE", "straße")])
def test_spelling_alone_makes_nobody_independent(one: str, other: str) -> None:
    assert same_principal(one, other)
    assert is_among(one, ("bob", other))


def test_different_names_are_different_principals() -> None:
    assert not same_principal("ada", "adam")
    assert not is_among("ada", ("bob", "a.da"))


def test_a_principal_is_an_actor_without_its_session() -> None:
    assert (principal("ada"), principal("ada/one"), principal("ada/one/two")) == (ADA, ADA, ADA)
