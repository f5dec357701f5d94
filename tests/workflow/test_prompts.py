"""What the worker was told: first uses, drift, and what lets a changed prompt pass."""

from __future__ import annotations

import pytest

from enforcer.errors import RequestError
from enforcer.workflow.commands import AcceptBaseline, AdoptProcess, Attest
from enforcer.workflow.decide import PARTS, drift
from enforcer.workflow.legality import legality
from tests.workflow.scene import (
    ADA,
    BOB,
    CARL,
    PHASES,
    STRICT,
    Scene,
    adopting,
    codes,
    digest,
    digest_of,
    done,
    phase,
    process,
    refused,
)


def accept(name: str, approver: str = CARL, who: str = "") -> AcceptBaseline:
    return AcceptBaseline(name, "Order matters too", approver, who)


# First use -----------------------------------------------------------------------------------------------------------


def test_a_principals_first_use_of_each_part_becomes_its_baseline() -> None:
    scene = Scene()

    event = done(scene.attest(header="h", role="r", tools="t", model="m", persona="p", volatile="v"))

    assert set(event.first) == set(PARTS) - {"volatile"}
    assert event.drift == ()
    assert event.parts["volatile"] == digest_of("v")
    assert scene.task.baselines == {
        "ada/header": digest_of("h"),
        "ada/model": digest_of("m"),
        "ada/persona": digest_of("p"),
        "ada/STRATEGIZE/role": digest_of("r"),
        "ada/STRATEGIZE/tools": digest_of("t"),
    }


def test_a_part_that_is_known_is_not_first_again() -> None:
    scene = Scene()
    scene.attest(header="h")

    assert done(scene.attest(header="h", role="r")).first == ("role",)


@pytest.mark.parametrize("part", ["header", "model", "persona"])
def test_header_model_and_persona_have_one_baseline_for_the_task(part: str) -> None:
    scene = Scene()
    scene.attest(**{part: "one"})
    scene.at("VERIFY")

    assert codes(scene.attest(**{part: "two"})) == ["prompt_drift"]
    assert done(scene.attest(**{part: "one"})).first == ()


@pytest.mark.parametrize("part", ["role", "tools"])
def test_role_and_tools_have_a_baseline_in_each_phase(part: str) -> None:
    scene = Scene()
    scene.attest(**{part: "one"})
    scene.at("VERIFY")

    assert done(scene.attest(**{part: "two"})).first == (part,)
    assert codes(scene.attest(**{part: "three"})) == ["prompt_drift"]


def test_each_principal_has_baselines_of_its_own_and_its_sessions_share_them() -> None:
    scene = Scene().at("VERIFY", "ada/one")
    scene.attest("ada/one", header="one")
    scene.release("ada/one")

    assert done(scene.attest(BOB, header="two")).first == ("header",)
    scene.release(BOB)
    assert codes(scene.attest("ada/two", header="two")) == ["prompt_drift"]


@pytest.mark.parametrize("parts", [{}, {"footer": "f"}, {"header": "h", "footer": "f"}])
def test_a_prompt_has_known_parts_and_at_least_one(parts: dict[str, str]) -> None:
    with pytest.raises(RequestError) as caught:
        Scene().do(Attest(parts))

    assert caught.value.code == "bad_attestation"


# Drift ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PHASES)
def test_drift_is_recorded_everywhere_and_refused_where_the_phase_enforces(name: str) -> None:
    scene = Scene().at(name, header="one")
    scene.attest(header="one")

    decision = scene.attest(header="two", role="r")

    if name in STRICT:
        event = refused(decision)
        assert (event.stage, codes(event)) == ("attestation", ["prompt_drift"])
        assert event.refusals[0].artifact == "header"
        assert event.attested == {"header": digest_of("two"), "role": digest_of("r")}
    else:
        assert done(decision).drift == ("header",)


def test_every_part_that_drifted_is_named() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="h", role="r", tools="t", model="m", persona="p", volatile="v")

    event = refused(scene.attest(header="x", role="x", tools="x", model="x", persona="x", volatile="x"))

    assert {one.artifact for one in event.refusals} == set(PARTS) - {"volatile"}


def test_the_volatile_part_never_drifts() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="h", volatile="Monday")

    assert done(scene.attest(header="h", volatile="Tuesday")).drift == ()
    assert "ada/volatile" not in scene.task.baselines


@pytest.mark.parametrize("parts", [{"model": "m"}, {"volatile": "v"}])
def test_a_part_that_has_a_baseline_and_is_left_out_drifts(parts: dict[str, str]) -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="h", **{part: text for part, text in parts.items() if part != "volatile"})

    event = refused(scene.attest(**parts))

    assert [(one.code, one.artifact) for one in event.refusals] == [("prompt_drift", "header")]
    assert "was not presented" in event.refusals[0].message
    assert codes(scene.advance()) == ["prompt_drift"]


def test_what_one_principal_presents_is_not_asked_of_another() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="h", model="m")
    scene.release()

    assert done(scene.attest(BOB, header="h")).drift == ()
    assert done(scene.advance(BOB)).to == "REVIEW"


def test_a_role_of_another_phase_is_not_asked_for() -> None:
    scene = Scene()
    scene.attest(header="h", role="r", tools="t")
    scene.at("VERIFY")

    assert done(scene.attest(header="h")).drift == ()
    assert done(scene.advance()).to == "REVIEW"


def test_where_drift_is_only_observed_a_part_that_is_left_out_is_on_the_record() -> None:
    scene = Scene()
    scene.attest(header="h", model="m")

    assert done(scene.attest(header="h")).drift == ("model",)
    assert [one.artifact for one in done(scene.advance()).warnings] == ["model"]


def test_where_drift_is_off_nothing_is_compared() -> None:
    scene = Scene(process(phases=(phase("STRATEGIZE", drift="off"), phase("SPEC", drift="off"))))
    scene.attest(header="one")

    assert done(scene.attest(header="two")).drift == ()
    assert done(scene.advance()).warnings == ()


def test_a_refused_attestation_makes_no_baseline() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="one")

    refused(scene.attest(header="two", model="m"))

    assert scene.task.baselines == {"ada/header": digest_of("one")}


# What the process pins -----------------------------------------------------------------------------------------------


def test_a_pinned_part_drifts_from_its_first_use_on() -> None:
    scene = Scene(process(pins={"header": digest_of("pinned")})).at("VERIFY")

    assert codes(scene.attest(header="other")) == ["prompt_drift"]
    assert done(scene.attest(header="pinned")).drift == ()


def test_a_pin_counts_more_than_a_baseline() -> None:
    scene = Scene(process(pins={"header": digest_of("pinned")}))
    done(scene.attest(header="other"))
    scene.at("VERIFY")

    event = refused(scene.attest(header="other"))

    assert "pins" in event.refusals[0].message
    assert "process adopt" in event.refusals[0].fix


def test_a_pinned_part_cannot_be_left_out() -> None:
    scene = Scene(process(pins={"header": digest_of("pinned")})).at("VERIFY")

    event = refused(scene.attest(volatile="v"))

    assert [(one.code, one.artifact) for one in event.refusals] == [("prompt_drift", "header")]
    assert codes(scene.advance()) == ["prompt_drift"]
    scene.attest(header="pinned")
    assert done(scene.advance()).to == "REVIEW"


def test_a_process_with_pins_cannot_be_walked_without_an_attestation() -> None:
    scene = Scene(process(pins={"header": digest_of("pinned")}))
    scene.at("VERIFY")

    assert codes(scene.advance()) == ["attestation_missing"]


# Leaving a phase -----------------------------------------------------------------------------------------------------


def test_a_task_that_never_attested_needs_no_attestation() -> None:
    scene = Scene().at("VERIFY")

    assert done(scene.advance()).to == "REVIEW"


def test_after_a_first_attestation_an_enforcing_phase_needs_one_of_this_attempt() -> None:
    scene = Scene()
    scene.attest(header="h")
    scene.at("VERIFY")

    event = refused(scene.advance())

    assert (event.stage, codes(event)) == ("attestation", ["attestation_missing"])
    scene.attest(header="h")
    assert done(scene.advance()).to == "REVIEW"


def test_an_attestation_of_an_earlier_attempt_does_not_count() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="h")
    scene.backtrack("IMPLEMENT")
    scene.advance()

    assert codes(scene.advance()) == ["attestation_missing"]


def test_another_principals_attestation_does_not_count() -> None:
    scene = Scene().at("VERIFY", BOB)
    scene.attest(BOB, header="h")
    scene.release(BOB)

    assert codes(scene.advance(ADA)) == ["attestation_missing"]


def test_an_attestation_that_was_refused_counts_as_the_tasks_first() -> None:
    scene = Scene(process(pins={"header": digest_of("pinned")})).at("VERIFY")
    refused(scene.attest(header="other"))

    assert codes(scene.advance()) == ["prompt_drift"]


def test_a_phase_that_only_observes_needs_no_attestation_and_warns_of_drift() -> None:
    scene = Scene()
    scene.attest(header="one")
    scene.advance()
    assert done(scene.advance()).warnings == ()

    scene.attest(header="two")
    assert [one.code for one in done(scene.advance()).warnings] == ["prompt_drift"]


def test_the_latest_attestation_of_the_attempt_is_judged() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="one")
    scene.attest(header="two")
    assert codes(scene.advance()) == ["prompt_drift"]

    scene.attest(header="one")
    assert done(scene.advance()).to == "REVIEW"


# Accepting a baseline ------------------------------------------------------------------------------------------------


def test_drift_is_judged_again_after_its_baseline_was_accepted() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="one")
    scene.attest(header="two", role="r")

    event = done(scene.do(accept("VERIFY"), CARL))

    assert (event.principal, event.approver, event.reason) == (ADA, CARL, "Order matters too")
    assert event.parts == {"header": digest_of("two"), "role": digest_of("r")}
    assert done(scene.advance()).to == "REVIEW"


def test_a_part_that_was_left_out_of_what_is_accepted_has_no_baseline_any_more() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="h", model="m", role="r")
    refused(scene.attest(header="two"))

    event = done(scene.do(accept("VERIFY"), CARL))

    assert (event.parts, event.dropped) == ({"header": digest_of("two")}, ("role", "model")[::-1])
    assert scene.task.baselines == {"ada/header": digest_of("two")}
    assert scene.do(accept("VERIFY"), CARL) is None
    assert done(scene.advance()).to == "REVIEW"


@pytest.mark.parametrize("dropped", [(), ("header",), ("model", "role")])
def test_a_baseline_that_is_dropped_or_kept_against_what_was_presented_is_illegal(dropped: tuple[str, ...]) -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="h", model="m")
    refused(scene.attest(header="two"))
    event = done(scene.ask(accept("VERIFY"), CARL)).replace(dropped=dropped)

    assert any("drops" in fault for fault in legality(scene.task, event, scene.process, ts=scene.now))


def test_accepting_what_is_the_baseline_already_changes_nothing() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="one", volatile="v")

    assert scene.do(accept("VERIFY"), CARL) is None


@pytest.mark.parametrize("approver", [ADA, "ada/two", "ADA", "Ada./three"])
def test_nobody_accepts_a_change_of_its_own_prompt(approver: str) -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="one")
    scene.attest(header="two")

    with pytest.raises(RequestError) as caught:
        scene.do(accept("VERIFY", approver), CARL)

    assert caught.value.code == "approver_is_holder"


def test_the_holder_accepts_nobody_elses_prompt_either() -> None:
    scene = Scene().at("VERIFY", BOB)
    scene.attest(BOB, header="one")
    scene.attest(BOB, header="two")
    scene.release(BOB)
    scene.claim(ADA)

    with pytest.raises(RequestError) as caught:
        scene.do(accept("VERIFY", ADA, BOB), CARL)

    assert caught.value.code == "approver_is_holder"


@pytest.mark.parametrize("who", ["", BOB])
def test_nobody_accepts_a_change_of_its_own_prompt_after_giving_up_the_lease_either(who: str) -> None:
    scene = Scene().at("VERIFY", BOB)
    scene.attest(BOB, header="one")
    scene.attest(BOB, header="two")
    scene.release(BOB)

    with pytest.raises(RequestError) as caught:
        scene.do(accept("VERIFY", BOB, who), CARL)

    assert caught.value.code == "approver_is_holder"


@pytest.mark.parametrize("who", ["", BOB])
def test_what_was_never_presented_cannot_be_accepted(who: str) -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="one")

    with pytest.raises(RequestError) as caught:
        scene.do(accept("REVIEW" if not who else "VERIFY", CARL, who), CARL)

    assert caught.value.code == "nothing_attested"


@pytest.mark.parametrize("reason, approver", [(" ", CARL), ("Because", "")])
def test_a_baseline_is_accepted_with_a_reason_and_an_approver(reason: str, approver: str) -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="one")

    with pytest.raises(RequestError) as caught:
        scene.do(AcceptBaseline("VERIFY", reason, approver), CARL)

    assert caught.value.code in ("reason_missing", "approver_missing")


def test_a_phase_to_accept_for_must_exist() -> None:
    with pytest.raises(RequestError) as caught:
        Scene().do(accept("SHIP"), CARL)

    assert caught.value.code == "unknown_phase"


def test_with_no_holder_the_only_prompt_that_was_presented_is_meant() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="one")
    scene.attest(header="two")
    scene.release()

    assert done(scene.do(accept("VERIFY"), CARL)).principal == ADA


def test_where_several_presented_a_prompt_and_none_of_them_holds_the_task_one_is_named() -> None:
    scene = Scene().at("VERIFY")
    for who in (ADA, BOB):
        scene.attest(who, header=who)
        scene.release(who)

    with pytest.raises(RequestError) as caught:
        scene.do(accept("VERIFY"), CARL)

    assert caught.value.code == "principal_missing"
    assert scene.do(accept("VERIFY", CARL, BOB), CARL) is None


def test_an_adopted_process_brings_its_own_drift_rule() -> None:
    scene = Scene().at("VERIFY")
    scene.attest(header="one")
    refused(scene.attest(header="two"))
    milder = process(name="mild", phases=tuple(phase(name, drift="observe") for name in PHASES))
    scene.processes[digest(milder)] = milder
    scene.do(AdoptProcess(**adopting(milder), reason="Too strict", approver=CARL), BOB)

    assert [one.code for one in done(scene.advance()).warnings] == ["prompt_drift"]


def test_drift_compares_with_the_phase_that_is_asked_about() -> None:
    scene = Scene()
    scene.attest(role="one")
    scene.advance()
    scene.attest(role="two")
    two = {"role": digest_of("two")}

    assert drift(two, ADA, "STRATEGIZE", scene.task, scene.process) == ("role",)
    assert drift(two, ADA, "SPEC", scene.task, scene.process) == ()
