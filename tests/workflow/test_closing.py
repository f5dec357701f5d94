"""Opening, closing, restoring and adopting: what happens around the walk."""

from __future__ import annotations

import pytest

from enforcer.errors import InternalError, RequestError
from enforcer.workflow.answering import EVIDENCE, refuse
from enforcer.workflow.commands import (
    Abandon,
    AcceptBaseline,
    AdoptProcess,
    Advance,
    Attest,
    Backtrack,
    ClaimLease,
    Command,
    Open,
    ReleaseLease,
    RenewLease,
    RestoreEvidence,
    UseTool,
)
from enforcer.workflow.process import Process
from tests.workflow.scene import (
    ADA,
    BOB,
    CARL,
    PHASES,
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

OPEN = Open(process="plain", digest=digest_of("now"), phase="STRATEGIZE", title="A change")


def closed(how: str) -> Scene:
    scene = Scene().at("MONITOR" if how == "completed" else "SPEC")
    done(scene.advance() if how == "completed" else scene.abandon())
    return scene


# Opening -------------------------------------------------------------------------------------------------------------


def test_a_task_opens_in_the_first_phase_of_the_process_it_names() -> None:
    scene = Scene(opened=False)

    command = Open(process="plain", digest=digest(scene.process), phase="STRATEGIZE", title="x", base="c0")
    event = done(scene.do(command))

    assert (event.phase, event.title, event.process, event.base) == ("STRATEGIZE", "x", "plain", "c0")
    task = scene.task
    assert (task.status, task.phase, task.attempt, task.attempt_id) == ("open", "STRATEGIZE", 1, event.attempt_id)
    assert (task.opened_ts, task.progress_ts, task.task_seq, task.lease) == (scene.now, scene.now, 1, None)


def test_opening_again_with_the_same_arguments_is_no_event_whatever_they_stand_for_now() -> None:
    scene = Scene()

    assert scene.do(OPEN) is None
    assert scene.do(OPEN.replace(digest=digest_of("edited"), base="c1"), BOB) is None


@pytest.mark.parametrize("change", [{"title": "Another"}, {"process": "lean"}, {"revision": "v1"}])
def test_opening_again_with_other_arguments_is_refused(change: dict[str, str]) -> None:
    event = refused(Scene().do(OPEN.replace(**change)))

    assert (event.stage, codes(event)) == ("task", ["task_exists"])


def test_a_closed_task_is_not_opened_again() -> None:
    scene = closed("completed")

    assert scene.do(OPEN) is None
    assert codes(scene.do(OPEN.replace(title="Another"))) == ["task_exists"]
    assert scene.task.status == "completed"


# Closing -------------------------------------------------------------------------------------------------------------


def test_abandoning_closes_a_task_in_any_phase_on_the_record() -> None:
    for name in PHASES:
        scene = Scene().at(name)

        event = done(scene.abandon())

        assert (event.phase, event.reason) == (name, "Not needed any more")
        assert (scene.task.status, scene.task.phase, scene.task.lease) == ("abandoned", name, None)


@pytest.mark.parametrize("how", ["completed", "abandoned"])
@pytest.mark.parametrize(
    "command",
    [
        Advance(),
        Advance("SPEC"),
        Advance("MONITOR"),
        Backtrack("STRATEGIZE", "Because"),
        Abandon("Because"),
        ClaimLease(),
        RenewLease(),
        Attest({"header": "h"}),
        AcceptBaseline("SPEC", "Because", CARL),
        AdoptProcess("other", "d", "Because", CARL),
    ],
    ids=lambda command: command.name,
)
def test_a_closed_task_refuses_what_would_change_it(how: str, command: Command) -> None:
    scene = closed(how)

    event = refused(scene.do(command))

    assert (event.stage, codes(event)) == ("task", ["task_closed"])
    assert how in event.refusals[0].message
    assert scene.task.lease is None


@pytest.mark.parametrize("how", ["completed", "abandoned"])
def test_releasing_the_lease_of_a_closed_task_is_a_no_op(how: str) -> None:
    assert closed(how).release() is None


@pytest.mark.parametrize("how", ["completed", "abandoned"])
def test_an_unknown_phase_is_the_callers_mistake_on_a_closed_task_too(how: str) -> None:
    with pytest.raises(RequestError):
        closed(how).do(Advance("SHIP"))


def test_what_was_accepted_can_be_put_back_after_the_end() -> None:
    scene = closed("completed")
    restored = {"SPEC/note.md": digest_of("SPEC")}

    assert done(scene.do(RestoreEvidence("", restored, {"SPEC/note.md": ""}))).restored == restored


def test_a_closed_task_allows_reading_and_nothing_else() -> None:
    scene = closed("abandoned")

    assert scene.tool("read") is None
    assert codes(scene.do(UseTool(tool="Write", needs=("write",)))) == ["tool_out_of_phase"]


def test_closing_forgets_keys_and_streaks_and_keeps_none_of_later_refusals() -> None:
    scene = Scene()
    scene.do(ClaimLease(), key="k1")
    assert set(scene.task.keys) == {"k1"}
    scene.advance(to="PLAN")

    scene.do(Abandon("Because"), key="k2")
    assert (scene.task.keys, scene.task.streaks) == ({}, {})
    scene.do(Advance(), key="k3")
    assert scene.task.keys == {}


def test_a_key_that_a_caller_chose_is_kept_with_its_entry_and_a_generated_one_is_not() -> None:
    scene = Scene()
    scene.do(ClaimLease(), "ada/one", key="k1")
    scene.advance("ada/one")

    assert scene.task.keys == {"k1": 1}


# Restoring -----------------------------------------------------------------------------------------------------------


def test_restoring_needs_no_lease_and_nothing_to_restore_is_a_no_op() -> None:
    scene = Scene().at("SPEC", BOB)

    assert scene.do(RestoreEvidence("", {}, {}), ADA) is None
    restored = {"STRATEGIZE/note.md": digest_of("STRATEGIZE")}
    event = done(scene.do(RestoreEvidence("", restored, {"STRATEGIZE/note.md": digest_of("edited")}), ADA))
    assert event.replaced == {"STRATEGIZE/note.md": digest_of("edited")}
    assert scene.task.lease is not None


# Adopting ------------------------------------------------------------------------------------------------------------


def adopt(scene: Scene, new: Process, approver: str = CARL, actor: str = BOB, **more: object) -> object:
    scene.processes[digest(new)] = new
    return scene.do(AdoptProcess(**(adopting(new) | more), reason="A better one", approver=approver), actor)


def test_adopting_moves_the_task_and_records_difference_and_weakenings() -> None:
    scene = Scene().at("PLAN")
    old = scene.task.digest
    new = process(name="other", phases=(*(phase(name) for name in PHASES[:4]), phase("SHIP")))

    event = done(adopt(scene, new, difference=("VERIFY: gone",), weakenings=("VERIFY: gone",)))

    assert (event.previous, event.digest, event.process) == (old, digest(new), "other")
    assert (event.difference, event.weakenings) == (("VERIFY: gone",), ("VERIFY: gone",))
    assert (scene.task.digest, scene.task.phase) == (digest(new), "PLAN")
    assert done(scene.at("SHIP").advance()).completed


def test_adopting_what_governs_already_is_a_no_op() -> None:
    scene = Scene()

    assert adopt(scene, scene.process) is None
    assert adopt(scene, scene.process, approver=BOB) is None


@pytest.mark.parametrize(
    "order", [("STRATEGIZE", "PLAN"), ("SPEC", "STRATEGIZE", "PLAN"), ("STRATEGIZE", "EXTRA", "SPEC"), ("STRATEGIZE",)]
)
def test_a_process_without_the_phases_that_were_walked_is_unfit(order: tuple[str, ...]) -> None:
    scene = Scene().at("SPEC")

    with pytest.raises(RequestError) as caught:
        adopt(scene, process(phases=tuple(phase(name) for name in order)))

    assert caught.value.code == "process_unfit"


@pytest.mark.parametrize("approver", [ADA, "ada/two", BOB, "bob/two", "ADA", "Bob."])
def test_neither_the_holder_nor_who_asks_approves_the_change(approver: str) -> None:
    scene = Scene()
    scene.claim(ADA)

    with pytest.raises(RequestError) as caught:
        adopt(scene, process(name="other"), approver=approver, actor=BOB)

    assert caught.value.code == "approver_is_holder"


@pytest.mark.parametrize("reason, approver", [("", CARL), ("Because", " ")])
def test_adopting_needs_a_reason_and_an_approver(reason: str, approver: str) -> None:
    new = process(name="other")

    with pytest.raises(RequestError) as caught:
        Scene().do(AdoptProcess(**adopting(new), reason=reason, approver=approver), BOB)

    assert caught.value.code in ("reason_missing", "approver_missing")


# Invariants ----------------------------------------------------------------------------------------------------------


def test_a_no_without_a_reason_is_our_own_bug() -> None:
    scene = Scene()

    with pytest.raises(InternalError) as caught:
        refuse(scene.task, Advance(), scene.facts(Advance(), ADA), EVIDENCE, ())

    assert caught.value.code == "empty_refusal"


def test_a_refused_move_keeps_where_it_wanted_to_go() -> None:
    scene = Scene()

    assert refused(scene.advance(to="PLAN")).to == "PLAN"
    assert refused(scene.backtrack("PLAN")).to == "PLAN"
    assert refused(scene.advance(evidence=scene.evidence(verdicts=(bad(),)))).to == ""
    assert done(scene.do(ReleaseLease())).type == "lease.released"
