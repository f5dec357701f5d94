"""Runs that Enforcer saw: which of them prove an artifact, and which prove nothing."""

from __future__ import annotations

from typing import Any

from enforcer.workflow.commands import AdoptProcess, Run
from enforcer.workflow.events import Made, RunObserved
from enforcer.workflow.process import Observation, Process, Rule
from tests.workflow.scene import (
    ADA,
    BOB,
    PHASES,
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

TREE, EDITED = "a" * 40, "b" * 40
SEEN = Rule("seen", "observed", "note.md")


def observing(mode: str = "enforce", **changes: Any) -> Process:
    """The note of VERIFY has to be made by a run."""
    phases = tuple(
        phase(name, rules=(SEEN.replace(mode=mode),)) if name == "VERIFY" else phase(name) for name in PHASES
    )
    usual: dict[str, Any] = {"phases": phases, "observe": {"note.md": Observation(("make", "check"), reader="log")}}
    return process(**(usual | changes))


def verifying(mode: str = "enforce", **changes: Any) -> Scene:
    """A task of ada's that stands in VERIFY, on files that git knows."""
    scene = Scene(observing(mode, **changes)).at("VERIFY")
    scene.tree = TREE
    return scene


def test_a_configured_run_of_this_attempt_and_tree_proves_what_it_made() -> None:
    scene = verifying()
    done(scene.run())

    (accepted,) = done(scene.advance()).evidence

    assert accepted.origin == "observed"


def test_nothing_was_observed_without_a_run() -> None:
    event = refused(verifying().advance())

    assert codes(event) == ["evidence_unobserved"]
    assert "claimed" in event.refusals[0].message


def test_what_was_written_over_is_not_what_was_seen() -> None:
    scene = verifying()
    done(scene.run())
    scene.files["VERIFY"] = "312 passed"

    event = refused(scene.advance())

    assert codes(event) == ["evidence_unobserved"]
    assert "entry" in event.refusals[0].message


def test_what_was_seen_on_other_files_is_stale() -> None:
    scene = verifying()
    done(scene.run())
    scene.tree = EDITED

    assert codes(scene.advance()) == ["evidence_stale"]


def test_what_an_earlier_attempt_saw_proves_nothing_when_it_is_copied_back() -> None:
    scene = verifying()
    done(scene.run())
    done(scene.advance())
    done(scene.backtrack("IMPLEMENT"))
    scene.at("VERIFY")

    event = refused(scene.advance())

    assert codes(event) == ["evidence_stale"]
    assert "another attempt" in event.refusals[0].message


def test_what_an_earlier_attempt_saw_is_claimed_where_observing_is_not_enforced() -> None:
    scene = verifying("observe")
    done(scene.run())
    assert done(scene.advance()).evidence[0].origin == "observed"
    done(scene.backtrack("VERIFY"))

    assert done(scene.advance()).evidence[0].origin == "claimed"


def test_a_run_of_another_command_cannot_make_what_has_to_be_observed() -> None:
    scene = verifying()

    event = refused(scene.run(configured=False))

    assert codes(event) == ["evidence_unobserved"]
    assert event.observation == digest_of("observation")
    assert scene.task.runs == {}


def test_a_run_of_a_command_of_ones_own_is_recorded_and_proves_nothing() -> None:
    scene = verifying()

    event = done(scene.run(configured=False, artifacts=()))

    assert isinstance(event, RunObserved)
    assert codes(scene.advance()) == ["evidence_unobserved"]


def test_where_observing_is_not_enforced_an_unconfigured_run_is_recorded_as_such() -> None:
    scene = verifying("observe")
    done(scene.run(configured=False))

    event = done(scene.advance())

    assert event.evidence[0].origin == "claimed"
    assert [one.code for one in event.warnings] == ["evidence_unobserved"]


def test_the_last_run_counts() -> None:
    scene = verifying("observe")
    done(scene.run())
    done(scene.run(configured=False))

    assert done(scene.advance()).evidence[0].origin == "claimed"


def test_a_run_that_the_watcher_found_wanting_is_refused_and_its_record_is_named() -> None:
    scene = verifying()
    done(scene.run())
    faults = (refused(verifying().advance()).refusals[0].replace(code="evidence_invalid", message="It timed out."),)

    event = refused(scene.run(faults=faults))

    assert (event.command, event.stage, event.refusals) == ("run", "evidence", faults)
    assert event.observation == digest_of("observation")
    assert scene.task.runs["VERIFY/note.md"].configured


def test_a_run_that_began_in_another_attempt_is_stale() -> None:
    scene = verifying()
    began = scene.task.attempt_id
    done(scene.backtrack("IMPLEMENT"))
    scene.at("VERIFY")

    assert codes(scene.run(attempt_id=began)) == ["evidence_stale"]


def test_a_run_that_began_under_another_process_is_stale() -> None:
    scene = verifying()

    assert codes(scene.run(process="0" * 64)) == ["evidence_stale"]


def test_a_run_takes_the_lease_like_any_work() -> None:
    scene = verifying()
    done(scene.release())

    event = done(scene.run(BOB))

    assert (event.lease.holder, event.token) == (BOB, scene.task.token)
    assert codes(scene.run(ADA)) == ["lease_held"]


def test_one_run_makes_several_artifacts() -> None:
    scene = verifying()
    named = ("note.md", "build.log")
    event = scene.ask(Run(configured=True, attempt_id=scene.task.attempt_id, process=scene.task.digest))
    made = tuple(Made(name, digest_of(name), 1, "log") for name in named)
    scene.fold(done(event).replace(made=made, tree=TREE))

    assert set(scene.task.runs) == {"VERIFY/note.md", "VERIFY/build.log"}
    assert {run.seq for run in scene.task.runs.values()} == {scene.task.seq}


def test_a_run_proves_nothing_under_a_process_that_was_adopted_after_it() -> None:
    """It may name another command; nobody asked the run for that one."""
    scene = verifying()
    other = observing(observe={"note.md": Observation(("make", "all"), reader="log")})
    scene.processes[digest(other)] = other
    done(scene.run())
    done(scene.do(AdoptProcess(**adopting(other), reason="Another build", approver="dora")))

    event = refused(scene.advance())

    assert codes(event) == ["evidence_unobserved"]
    assert "not configured" in event.refusals[0].message
    done(scene.run())
    done(scene.advance())
