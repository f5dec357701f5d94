"""Runs from the side of whoever makes them: how they are set up, asked for again, cut short, and explained."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from acceptance.test_forgeries import given, in_verify, results, run
from acceptance.world import ADA, World
from enforcer.evidence.governed import GIVEN_UP, NOT_REACHED, OTHER_PROCESS, way_on

TWO_RUNS = """\
name = "two"

[observe."test_results.json"]
argv = ["sh", "check.sh"]
reader = "junit"
report = "junit.xml"

[observe."build_output.log"]
argv = ["sh", "build.sh"]
reader = "log"

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
rules = [{ id = "seen", kind = "observed" }]

[[phases.artifacts]]
name = "build_output.log"
format = "text"
rules = [{ id = "build-seen", kind = "observed" }, { id = "build-status", kind = "exit_status", status = 0 }]

[[phases.artifacts]]
name = "summary.md"
format = "markdown"
rules = [{ id = "summary", kind = "sections", headings = ["Findings"], words = 3 }]
"""

PASSES = """\
echo ran >> ../ran.txt
printf '<testsuite tests="1"><testcase classname="c" name="a"/></testsuite>' > "$ENFORCER_OUT/junit.xml"
"""


@pytest.fixture
def two(tmp_path: Path) -> World:
    """A task in VERIFY, where two commands have to be run."""
    world = World(tmp_path, process=TWO_RUNS, git=True)
    (world.root / "check.sh").write_text(PASSES)
    (world.root / "build.sh").write_text("echo built >> ../ran.txt\n")
    world.init()
    world.git("add", "--all")
    world.git("commit", "--quiet", "--message", "begin")
    in_verify(world, "T")
    return world


def ran(world: World) -> list[str]:
    """What was really run, in order."""
    path = world.root.parent / "ran.txt"
    return path.read_text().split() if path.exists() else []


def runs(world: World, *args: str, status: int = 0) -> list[dict[str, Any]]:
    reply = world.ask("run", "T", *args)
    assert reply.status == status, reply
    found: list[dict[str, Any]] = reply.json["runs"]
    return found


# Asked for again


def test_a_retry_with_the_same_key_answers_every_run_and_repeats_none(two: World) -> None:
    first = runs(two, "--key", "k")
    assert [one["artifacts"][0]["artifact"] for one in first] == ["test_results.json", "build_output.log"]
    assert runs(two, "--key", "k") == first
    assert ran(two) == ["ran", "built"]


def test_a_retry_carries_out_the_runs_that_an_interruption_left_out(two: World) -> None:
    first = runs(two, "--as", "test_results.json", "--key", "other")
    with pytest.raises(KeyboardInterrupt):
        _interrupted_before_the_second(two)
    again = runs(two, "--key", "k")
    assert [one["artifacts"][0]["artifact"] for one in again] == ["test_results.json", "build_output.log"]
    assert ran(two) == ["ran", "ran", "built"], "the first run of the call was answered, and not made again"
    assert first[0]["seq"] not in [one["seq"] for one in again]


def _interrupted_before_the_second(world: World) -> None:
    """The call is cut off where the second run would show its output for the first time."""
    (world.root / "build.sh").write_text("echo about to build\n")
    world.git("commit", "--quiet", "--all", "--message", "loud")

    def show(data: bytes) -> None:
        if b"about to build" in data:
            (world.root / "build.sh").write_text("echo built >> ../ran.txt\n")
            raise KeyboardInterrupt

    with world.library() as enforcer:
        enforcer.task("T").run(key="k", show=show)


def test_the_exit_status_of_a_retry_is_that_of_all_its_runs(two: World) -> None:
    (two.root / "build.sh").write_text("exit 3\n")
    first = runs(two, "--key", "k", status=1)
    assert [one["ok"] for one in first] == [True, False]
    assert runs(two, "--key", "k", status=1) == first


def test_a_retry_after_the_phase_was_left_is_answered_and_runs_nothing(two: World) -> None:
    first = runs(two, "--key", "k")
    two.write("T", "VERIFY", name="summary.md")
    assert two.ask("advance", "T").status == 0
    assert runs(two, "--key", "k") == first
    assert ran(two) == ["ran", "built"]


# What is said of it


def test_what_enforcer_has_to_see_is_run_and_not_written_by_hand(two: World) -> None:
    missing = {one["artifact"]: one for one in two.ask("advance", "T").json["refusals"]}
    assert missing["test_results.json"]["fix"].endswith("enforcer run T")
    assert "scaffold" in missing["summary.md"]["fix"]
    told = two.ask("scaffold", "T").json
    assert [Path(each).name for each in told["written"]] == ["summary.md"]
    assert told["observed"] == ["test_results.json", "build_output.log"]
    assert not results(two).exists()


def test_it_is_told_whether_evidence_is_to_be_observed_was_observed_or_is_claimed(two: World) -> None:
    assert "test_results.json (to be observed)" in two.ask("explain", "T", text=True).out
    runs(two)
    assert "test_results.json (observed)" in two.ask("explain", "T", text=True).out
    assert _origins(two) == {"build_output.log": "observed", "test_results.json": "observed"}
    two.write("T", "VERIFY", json.dumps({"passed": 9}), "test_results.json")
    assert "test_results.json (claimed)" in two.ask("explain", "T", text=True).out
    assert _origins(two)["test_results.json"] == "claimed"


def _origins(world: World) -> dict[str, str]:
    reply = world.ask("evidence", "list", "T", "VERIFY", actor=None)
    assert reply.status == 0, reply
    return {one["artifact"]: one["origin"] for one in reply.json["evidence"]}


def test_outside_the_phase_with_commands_it_is_said_which_one_runs_them(two: World) -> None:
    assert two.ask("open", "U").status == 0
    reply = two.ask("run", "U")
    assert (reply.status, reply.codes) == (2, ["nothing_to_run"])
    assert "run in VERIFY" in json.dumps(reply.json)
    assert "one of VERIFY" in json.dumps(two.ask("run", "U", "--as", "build_output.log").json)


def test_a_missing_report_is_explained_by_what_ran_and_what_was_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = given(tmp_path, check="exit 4\n")
    monkeypatch.setenv("PATH", os.pathsep.join([str(world.root / ".venv/bin"), os.environ["PATH"]]))
    told = run(world, status=1)["refusals"][0]
    assert told["code"] == "evidence_missing"
    assert "/sh ended with exit status 4" in told["message"] or "dash ended with exit status 4" in told["message"]
    assert "left off its search path: .venv/bin" in told["message"]


def test_a_missing_program_that_the_project_has_is_named_with_its_folder(world: World) -> None:
    programs = world.root / "tools"
    programs.mkdir()
    (programs / "check-it").symlink_to("/bin/true")
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    with world.library() as enforcer:
        enforcer.environ = {**enforcer.environ, "PATH": path}
        with pytest.raises(Exception, match="There is one in 'tools'") as refused:
            enforcer.task("T").run(argv=["check-it"])
    assert 'path = ["tools"]' in getattr(refused.value, "fix", "")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return given(tmp_path)


# Setting it up


def test_commands_can_be_named_one_after_the_other_and_init_says_what_is_missing(tmp_path: Path) -> None:
    world = World(tmp_path, git=True)
    told = world.ask("init").json
    assert told["unnamed"] == ["test_results.json", "build_output.log", "coverage_report.json"]
    fix = world.ask("open", "T").json["error"]["fix"]
    words = fix.removeprefix("Name them: enforcer init ").replace("COMMAND", "make {out}").replace("'", "").split(" --")
    for number, each in enumerate(words):
        reply = world.ask("init", "--observe", each.removeprefix("--").removeprefix("observe "))
        assert reply.status == 0, reply
        assert len(reply.json["unnamed"]) == 2 - number
    assert world.ask("open", "T").status == 0


def test_another_process_than_the_one_in_force_is_not_taken_in_silence(tmp_path: Path) -> None:
    world = World(tmp_path, git=True)
    assert world.ask("init").status == 0
    assert world.ask("init", "--process", "nope").codes == ["process_settled"]
    assert world.ask("init", "--process", "default").status == 0


# Certificates of what was run


def test_a_clone_without_a_ledger_is_told_to_name_a_published_one(world: World, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(world.root), str(tmp_path / "clone")], check=True)
    answer = World.at(tmp_path / "clone", world.home).ask("certify", "--change", actor=None)
    assert answer.status == 2
    assert "certify --change --ref refs/enforcer/" in answer.json["checks"][0]["reasons"][0]["fix"]


def test_a_task_that_came_to_a_process_late_is_told_to_walk_it_from_its_first_phase() -> None:
    assert "enforcer backtrack T" in way_on("T", OTHER_PROCESS)
    assert "another task" in way_on("T", GIVEN_UP)
    assert way_on("T", NOT_REACHED) == "Lead the task on: enforcer status T"


# Cut short


def test_a_run_that_is_told_to_end_leaves_no_folder_and_no_process(tmp_path: Path) -> None:
    world = given(tmp_path / "w", check="echo $$\nexec sleep 600\n")
    folders = tmp_path / "temporary"
    folders.mkdir()
    argv = [sys.executable, "-m", "enforcer", "run", "T", "--root", str(world.root), "--actor", ADA]
    environment = {**world.process_environment(), "TMPDIR": str(folders)}
    started = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
    assert started.stdout is not None
    command = int(started.stdout.readline())
    assert list(folders.iterdir())
    started.send_signal(signal.SIGTERM)
    _, told = started.communicate(timeout=60)
    assert started.returncode == 2
    assert "interrupted" in told
    assert list(folders.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(command, 0)


def test_the_handlers_of_signals_are_put_back(world: World) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(world)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not [name for name in os.listdir(tempfile.gettempdir()) if name.startswith(f"enforcer-run-{os.getpid()}")]
