"""A worker who would rather write results than earn them: each way is refused, or labelled, by its code."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from acceptance.world import ADA, World

PROCESS = """\
name = "watched"

[observe."test_results.json"]
argv = ["sh", "check.sh"]
reader = "junit"
report = "junit.xml"
environment = ["FEATURE"]

[[phases]]
name = "IMPLEMENT"
tools = ["write", "run", "commit"]

[[phases.artifacts]]
name = "note.md"
format = "markdown"
rules = [{ id = "note", kind = "sections", headings = ["Findings"], words = 3 }]

[[phases]]
name = "VERIFY"
tools = ["run"]

[[phases.artifacts]]
name = "test_results.json"
format = "json"
schema = "test_results"
rules = [
  { id = "ran", kind = "minimum", field = "passed", value = 1 },
  { id = "none-failed", kind = "maximum", field = "failed", value = 0 },
  { id = "seen", kind = "observed" },
]

[[phases]]
name = "REVIEW"

[[phases.artifacts]]
name = "note.md"
format = "markdown"
rules = [{ id = "review", kind = "sections", headings = ["Findings"], words = 3 }]
"""

# The one test of this project: does answer.txt hold 42?
CHECK = """\
if [ "$(cat answer.txt)" = 42 ]; then inner= failures=0; else inner='<failure message="no"/>' failures=1; fi
printf '<testsuites><testsuite name="s" tests="1" failures="%s" errors="0" skipped="0">' "$failures" > "$ENFORCER_OUT/junit.xml"
printf '<testcase classname="c" name="answer">%s</testcase></testsuite></testsuites>' "$inner" >> "$ENFORCER_OUT/junit.xml"
exit "$failures"
"""  # noqa: E501 - a program

HONEST = {"total": 1, "passed": 1, "failed": 0, "errors": 0, "skipped": 0}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A project whose test fails and whose task stands in VERIFY."""
    return given(tmp_path)


def given(base: Path, *, answer: str = "42", check: str = CHECK) -> World:
    world = World(base, process=PROCESS, git=True)
    (world.root / "answer.txt").write_text(f"{answer}\n")
    (world.root / "check.sh").write_text(check)
    world.init()
    world.git("add", "--all")
    world.git("commit", "--quiet", "--message", "begin")
    in_verify(world, "T")
    return world


def in_verify(world: World, task: str) -> None:
    assert world.ask("open", task).status == 0
    world.write(task, "IMPLEMENT")
    assert world.ask("advance", task).status == 0


def results(world: World, task: str = "T") -> Path:
    return world.evidence(task, "VERIFY", "test_results.json")


def write_results(world: World, **changes: Any) -> None:
    world.write("T", "VERIFY", json.dumps({**HONEST, **changes}), "test_results.json")


def run(world: World, *args: str, status: int = 0, task: str = "T") -> dict[str, Any]:
    reply = world.ask("run", task, *args)
    assert reply.status == status, reply
    told: dict[str, Any] = reply.json["runs"][-1]
    return told


def messages(world: World) -> str:
    return " ".join(refusal["message"] for refusal in world.ask("advance", "T").json["refusals"])


# The honest way


def test_what_enforcer_ran_itself_lets_the_phase_be_left(world: World) -> None:
    told = run(world)
    assert told["configured"]
    assert [label for label in told["labels"] if not label.startswith("home: ")] == [], (
        "the tests' own home is labelled"
    )
    reply = world.ask("advance", "T")
    assert reply.status == 0, reply
    accepted = world.ask("status", "T").json["accepted"]
    assert {one["artifact"]: one["origin"] for one in accepted}["test_results.json"] == "observed"


def test_a_run_that_failed_is_recorded_and_refused_for_what_it_shows(tmp_path: Path) -> None:
    world = given(tmp_path, answer="41")
    told = run(world, status=1)
    assert (told["status"], told["refusals"]) == (1, [])
    assert world.ask("advance", "T").codes == ["evidence_invalid"]


def test_committing_the_same_content_keeps_a_run_fresh(world: World) -> None:
    (world.root / "more.txt").write_text("more\n")
    run(world)
    world.git("add", "--all")
    world.git("commit", "--quiet", "--message", "the same content")
    assert world.ask("advance", "T").status == 0


# The forgeries


def test_results_written_by_hand_are_unobserved(world: World) -> None:
    write_results(world)
    assert world.ask("advance", "T").codes == ["evidence_unobserved"]


def test_results_edited_after_the_run_are_unobserved(tmp_path: Path) -> None:
    world = given(tmp_path, answer="41")
    run(world, status=1)
    written = json.loads(results(world).read_text())
    results(world).write_text(json.dumps({**written, "passed": 1, "failed": 0}))
    assert world.ask("advance", "T").codes == ["evidence_unobserved"]
    assert "written over" in messages(world)


def test_a_run_on_other_files_is_stale_and_the_files_are_named(world: World) -> None:
    run(world)
    (world.root / "answer.txt").write_text("43\n")
    (world.root / "new.py").write_text("x = 1\n")
    assert world.ask("advance", "T").codes == ["evidence_stale"]
    assert "'answer.txt'" in messages(world)
    assert "'new.py'" in messages(world)
    assert "check.sh" not in messages(world)


def test_a_run_that_was_undone_by_an_edit_counts_again_when_the_edit_is_undone(world: World) -> None:
    run(world)
    (world.root / "answer.txt").write_text("43\n")
    assert world.ask("advance", "T").codes == ["evidence_stale"]
    (world.root / "answer.txt").write_text("42\n")
    assert world.ask("advance", "T").status == 0


def test_results_copied_back_after_a_backtrack_are_of_another_attempt(world: World) -> None:
    run(world)
    kept = results(world).read_bytes()
    assert world.ask("backtrack", "T", "--to", "IMPLEMENT", "--reason", "once more").status == 0
    assert world.ask("advance", "T").status == 0
    results(world).write_bytes(kept)
    assert world.ask("advance", "T").codes == ["evidence_stale"]


def test_results_of_another_task_are_unobserved_here(world: World) -> None:
    in_verify(world, "OTHER")
    run(world, task="OTHER")
    results(world).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(results(world, "OTHER"), results(world))
    assert world.ask("advance", "T").codes == ["evidence_unobserved"]


def test_an_exit_status_of_zero_beside_a_failed_test_is_refused(tmp_path: Path) -> None:
    world = given(tmp_path, answer="41", check=CHECK.replace('exit "$failures"', "exit 0"))
    told = run(world, status=1)
    assert [one["code"] for one in told["refusals"]] == ["evidence_invalid"]
    assert "contradict" in told["refusals"][0]["message"]
    assert not results(world).exists()


def test_a_report_whose_numbers_are_not_those_of_its_cases_is_refused(tmp_path: Path) -> None:
    world = given(
        tmp_path, answer="41", check=CHECK.replace('failures="%s"', 'failures="0"').replace("exit ", "exit 0 #")
    )
    told = run(world, status=1)
    assert [one["code"] for one in told["refusals"]] == ["evidence_invalid"]


def test_a_report_without_a_test_proves_nothing(tmp_path: Path) -> None:
    world = given(tmp_path, check="""printf '<testsuites/>' > "$ENFORCER_OUT/junit.xml"\n""")
    assert run(world)["refusals"] == [], "the report is a whole one, and exit status 0 does not contradict it"
    assert world.ask("advance", "T").codes == ["evidence_invalid"]


def test_a_run_that_leaves_no_report_makes_nothing(tmp_path: Path) -> None:
    world = given(tmp_path, check="exit 0\n")
    told = run(world, status=1)
    assert [one["code"] for one in told["refusals"]] == ["evidence_missing"]


def test_a_command_of_ones_own_is_observed_not_configured(world: World) -> None:
    (world.root / "forge.sh").write_text(CHECK.replace('"$(cat answer.txt)" = 42', "1 = 1"))
    told = run(world, "--as", "test_results.json", "--", "sh", "forge.sh", status=1)
    assert [one["code"] for one in told["refusals"]] == ["evidence_unobserved"]
    assert "not configured" in told["refusals"][0]["message"]
    assert not results(world).exists()
    assert "evidence_unobserved" in world.ask("log", "T").out


def test_an_artifact_that_no_command_is_named_for_is_what_the_run_left_under_its_name(tmp_path: Path) -> None:
    process = PROCESS.replace('[observe."test_results.json"]', '[observe."other.json"]').replace(
        '[[phases]]\nname = "REVIEW"',
        """[[phases.artifacts]]
name = "other.json"
format = "json"
required = false
rules = [{ id = "other", kind = "minimum", field = "passed", value = 1 }]

[[phases]]
name = "REVIEW\"""",
    )
    process = process.replace('  { id = "seen", kind = "observed" },\n', "")
    world = World(tmp_path, process=process, git=True)
    (world.root / "code.py").write_text("x = 1\n")
    world.init()
    world.git("add", "--all")
    world.git("commit", "--quiet", "--message", "begin")
    in_verify(world, "T")
    left = json.dumps(HONEST)
    told = run(world, "--as", "test_results.json", "--", "sh", "-c", f"echo '{left}' > $ENFORCER_OUT/test_results.json")
    assert (told["configured"], "observed, not configured" in told["labels"]) == (False, True)
    assert json.loads(results(world).read_text()) == HONEST
    assert world.ask("advance", "T").status == 0
    accepted = world.ask("status", "T").json["accepted"]
    assert {one["artifact"]: one["origin"] for one in accepted}["test_results.json"] == "claimed"


def test_the_configured_command_in_a_callers_words_is_the_configured_one(world: World) -> None:
    told = run(world, "--as", "test_results.json", "--", "sh", "check.sh")
    assert told["configured"]
    assert world.ask("advance", "T").status == 0


def test_a_command_that_changes_the_files_it_judges_is_refused_and_they_are_named(tmp_path: Path) -> None:
    world = given(tmp_path, answer="41", check="echo 42 > answer.txt\n" + CHECK)
    told = run(world, status=1)
    assert [one["code"] for one in told["refusals"]] == ["evidence_invalid"]
    assert "answer.txt" in told["refusals"][0]["message"]


def test_a_report_that_is_rewritten_after_the_run_changes_nothing(tmp_path: Path) -> None:
    later = """(setsid sh -c 'sleep 30; echo forged > "$ENFORCER_OUT/junit.xml"' > /dev/null 2>&1 &)\n"""
    world = given(tmp_path, answer="41", check=later + CHECK)
    told = run(world, status=1)
    record = json.loads(stored(world, told["observation"]))
    assert record["orphans"] >= 1, "what it left running was ended with it"
    assert world.ask("advance", "T").codes == ["evidence_invalid"]


def test_a_report_that_stood_in_the_project_before_is_not_of_this_run(tmp_path: Path) -> None:
    process = PROCESS.replace('report = "junit.xml"', 'report = "project:report/junit.xml"')
    world = World(tmp_path, process=process, git=True)
    (world.root / "check.sh").write_text("exit 0\n")
    (world.root / ".gitignore").write_text("report/\n")
    (world.root / "report").mkdir()
    (world.root / "report" / "junit.xml").write_text(
        '<testsuite name="s" tests="1" failures="0"><testcase classname="c" name="n"/></testsuite>'
    )
    world.init()
    world.git("add", "--all")
    world.git("commit", "--quiet", "--message", "begin")
    in_verify(world, "T")
    told = run(world, status=1)
    assert [one["code"] for one in told["refusals"]] == ["evidence_invalid"]
    assert "before the run" in told["refusals"][0]["message"]


# Shims


def shim(folder: Path, name: str) -> Path:
    """A program that would forge the report, and leaves a mark where it is run."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\ntouch {folder}/was-here\n" + CHECK.replace('"$(cat answer.txt)" = 42', "1 = 1"))
    program.chmod(0o755)
    return folder


def test_a_program_of_the_project_does_not_stand_in_for_the_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = given(tmp_path, answer="41")
    folder = shim(world.root / "bin", "sh")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    run(world, status=1)
    assert not (folder / "was-here").exists()
    assert world.ask("advance", "T").codes == ["evidence_invalid"]


def test_a_program_from_a_place_that_is_none_of_the_systems_is_labelled(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shim(tmp_path / "elsewhere", "sh")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    told = run(world)
    assert any(str(folder) in label for label in told["labels"]), told["labels"]
    assert str(folder) in world.ask("log", "T").out, "the label is on the record"


def test_what_python_would_load_from_elsewhere_is_not_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = given(tmp_path, check=f"{sys.executable} -c 'import forged' || exit 7\n" + CHECK)
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "forged.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    told = run(world, status=1)
    assert told["refusals"], "exit status 7, and no report"


def test_only_variables_that_the_process_names_are_passed_on_and_their_values_are_no_ones_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = given(tmp_path, check='[ "$FEATURE" = on ] && [ -z "$SECRET" ] || exit 7\n' + CHECK)
    monkeypatch.setenv("FEATURE", "on")
    monkeypatch.setenv("SECRET", "hunter2")
    told = run(world)
    record = json.loads(stored(world, told["observation"]))
    assert {"FEATURE", "PATH", "ENFORCER_OUT"} <= {name for name, _ in record["environment"]}
    assert "hunter2" not in json.dumps(record)
    assert '"on"' not in json.dumps(record)


def test_what_a_pattern_matches_is_stored_and_shown_nowhere(tmp_path: Path) -> None:
    world = given(tmp_path, check="echo token=hunter2\n" + CHECK.replace('name="answer"', 'name="token=hunter2"'))
    reply = world.ask("run", "T", "--redact", "token=[a-z0-9]+")
    assert reply.status == 0, reply
    assert "hunter2" not in reply.out + reply.err
    for path in (world.root / "state").rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path


def test_a_process_without_its_command_is_refused_at_the_door(tmp_path: Path) -> None:
    world = World(tmp_path, git=True).init()
    reply = world.ask("open", "T")
    assert (reply.status, reply.codes) == (2, ["command_unnamed"])
    assert "enforcer init --observe" in reply.json["error"]["fix"]


def test_the_phase_asks_for_nothing_to_be_run_where_the_process_names_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, process=PROCESS, git=True).init()
    assert world.ask("open", "T").status == 0
    reply = world.ask("run", "T")
    assert (reply.status, reply.codes) == (2, ["nothing_to_run"])


def test_somebody_else_cannot_run_for_the_holder(world: World) -> None:
    reply = world.ask("run", "T", actor="bob")
    assert reply.status == 1
    assert reply.json["runs"][0]["refusals"][0]["code"] == "lease_held"


def test_the_same_key_runs_once(world: World) -> None:
    first = world.ask("run", "T", "--key", "once")
    again = world.ask("run", "T", "--key", "once")
    assert (first.status, again.status) == (0, 0)
    assert first.json["runs"][0]["seq"] == again.json["runs"][0]["seq"]
    assert world.ask("verify").json["verdict"] == "verified"


def test_the_record_of_runs_verifies(world: World) -> None:
    run(world)
    run(world, "--", "true")
    assert world.ask("advance", "T").status == 0
    assert world.ask("verify").json["verdict"] == "verified"
    assert world.ask("audit", "T").status == 0
    assert ADA in world.ask("log", "T", text=True).out


def stored(world: World, digest: str) -> bytes:
    return (world.root / "state" / "objects" / digest[:2] / digest[2:]).read_bytes()
