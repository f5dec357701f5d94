"""Certificates: a task that is verifiably complete, and a change that a task has verified, or nobody has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from acceptance.test_ci import git
from acceptance.world import ADA, BOB, GOOD, World, digest
from enforcer.watching import Watch
from tests.surfaces.test_cli_outputs import faults

CHECK = """\
grep -q good src/app.py && failed=0 || failed=1
{ echo '<testsuite name="app">'
  [ $failed = 0 ] && echo '<testcase classname="app" name="works"/>'
  [ $failed = 0 ] || echo '<testcase classname="app" name="works"><failure message="it is bad"/></testcase>'
  echo '</testsuite>'
} > "$1/junit.xml"
exit $failed
"""

PROCESS = """\
name = "short"

[risks]
tests = ["tests/**"]

[observe."test_results.json"]
argv = ["sh", "check.sh", "{out}"]
reader = "junit"
report = "junit.xml"

[observe."build_output.log"]
argv = ["sh", "-c", "grep -c '' src/app.py"]
reader = "log"

[[phases]]
name = "PLAN"

[[phases.artifacts]]
name = "note.md"
format = "markdown"
rules = [{ id = "plan", kind = "sections", headings = ["Findings"] }]

[[phases]]
name = "IMPLEMENT"
tools = ["write", "run", "commit"]
artifacts = [{ name = "git_diff.patch", format = "diff", rules = [{ id = "diff", kind = "diff" }] }]

[[phases]]
name = "VERIFY"
tools = ["run"]

[[phases.artifacts]]
name = "test_results.json"
format = "json"
schema = "test_results"
rules = [
  { id = "tests-ran", kind = "minimum", field = "passed", value = 1 },
  { id = "tests-none-failed", kind = "maximum", field = "failed", value = 0 },
  { id = "tests-observed", kind = "observed" },
  { id = "tests-tree", kind = "tree" },
]

[[phases.artifacts]]
name = "build_output.log"
format = "text"
rules = [{ id = "build", kind = "exit_status", status = 0 }, { id = "build-observed", kind = "observed" }]

[[phases]]
name = "REVIEW"

[[phases.artifacts]]
name = "note.md"
format = "markdown"
rules = [{ id = "review", kind = "sections", headings = ["Findings"] }]

[[phases]]
name = "PR"
tools = ["commit", "push"]

[[phases.artifacts]]
name = "note.md"
format = "markdown"
rules = [{ id = "pr", kind = "sections", headings = ["Findings"] }]
"""

ORDER = ("PLAN", "IMPLEMENT", "VERIFY", "REVIEW", "PR")


def shop(folder: Path, process: str = PROCESS) -> World:
    """A governed repository with one file of code, one of tests, and a script that stands for the test command."""
    world = World(folder, process=process, git=True)
    put(world, "check.sh", CHECK)
    put(world, "src/app.py", "print('good')  # one\n")
    put(world, "tests/test_app.py", "assert True\n")
    world.init()
    commit(world, "Begin")
    return world


def put(world: World, name: str, text: str) -> None:
    path = world.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def commit(world: World, message: str) -> str:
    world.git("add", "-A")
    world.git("commit", "--quiet", "--allow-empty", "-m", message)
    return world.git("rev-parse", "HEAD").strip()


def opened(world: World, task: str = "T") -> Any:
    """A task, and a change of the code that it is about."""
    handle = world.library().open_task(task)
    put(world, "src/app.py", f"print('good')  # {task}\n")
    return handle


def lead(world: World, handle: Any, to: str | None) -> Any:
    """Lead a task honestly to a phase, or to its end."""
    while (state := handle.state()).status == "open" and state.phase != to:
        if state.phase == "VERIFY":
            assert all(handle.run())
        elif state.phase == "IMPLEMENT":
            world.git("add", "-AN")
            patch = world.git("diff", "--binary", "--no-renames", state.base)
            world.write(handle.name, state.phase, patch, "git_diff.patch")
        else:
            world.write(handle.name, state.phase, GOOD)
        handle.advance().require()
    return handle


def certify(world: World, *words: str, status: int) -> Any:
    reply = world.ask("certify", *words, actor=None)
    assert reply.status == status, reply
    assert faults("certify", reply.json) == []
    return reply.json


def verdicts(answer: Any) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in answer["checks"]}


def reasons(answer: Any) -> list[tuple[str, str]]:
    return [(check["name"], one["code"]) for check in answer["checks"] for one in check["reasons"]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return shop(tmp_path)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A task that came to PR with its change committed."""
    made = shop(tmp_path_factory.mktemp("walked"))
    lead(made, opened(made), "PR")
    commit(made, "The change")
    return made


@pytest.fixture
def done(walked: World, tmp_path: Path) -> World:
    """The same in a folder of its own; a copy of a ledger works, and seals nothing."""
    for one in (walked.root, walked.home):
        shutil.copytree(one, tmp_path / one.name, symlinks=True)
    return World.at(tmp_path / walked.root.name, tmp_path / walked.home.name)


# Changes


def test_a_change_that_a_task_has_verified_is_certified_by_its_name(done: World) -> None:

    answer = certify(done, "--change", status=0)

    assert (answer["ok"], answer["task"], answer["nearest"]) == (True, "T", None)
    assert verdicts(answer) == {"ledger": "passed", "governed": "passed"}
    assert certify(done, "--change", "HEAD", status=0)["change"]["revision"] == "HEAD"


def test_a_change_that_nobody_walked_is_refused(done: World) -> None:
    put(done, "src/other.py", "print('smuggled')\n")
    commit(done, "Another one")

    answer = certify(done, "--change", status=1)

    assert reasons(answer) == [("governed", "change_ungoverned")]
    assert (answer["task"], answer["nearest"]["task"], answer["nearest"]["differing"]) == (None, "T", ["src/other.py"])
    assert "src/other.py" in answer["checks"][1]["reasons"][0]["message"]
    assert certify(done, "--change", "HEAD~1", status=0)["task"] == "T"


def test_a_change_that_was_edited_after_its_verification_is_refused_and_names_the_file(world: World) -> None:
    lead(world, opened(world), "PR")
    put(world, "src/app.py", "print('good')  # and something else\n")
    commit(world, "The change")

    assert certify(world, "--change", status=1)["nearest"]["differing"] == ["src/app.py"]


def test_what_was_verified_and_has_not_come_to_pr_is_not_governed_yet(world: World) -> None:
    handle = lead(world, opened(world), "REVIEW")
    commit(world, "The change")

    answer = certify(world, "--change", status=1)
    assert (answer["nearest"]["differing"], answer["nearest"]["against"]) == ([], "the task has not reached PR")

    lead(world, handle, "PR")
    assert certify(world, "--change", status=0)["task"] == "T"


def test_a_task_that_went_back_does_not_speak_for_its_change_any_more(world: World) -> None:
    handle = lead(world, opened(world), "PR")
    commit(world, "The change")
    handle.backtrack("VERIFY", "Something was missed").require()

    answer = certify(world, "--change", status=1)
    assert answer["nearest"]["against"] == "the task went back to before it since"

    lead(world, handle, None)
    assert certify(world, "--change", status=0)["task"] == "T"


def test_an_abandoned_task_does_not_speak_for_its_change(world: World) -> None:
    lead(world, opened(world), "PR").abandon("Not wanted").require()
    commit(world, "The change")

    assert certify(world, "--change", status=1)["nearest"]["against"] == "the task was abandoned"


def test_only_content_counts_in_a_merge_and_in_a_revert(done: World) -> None:
    first = done.git("rev-parse", "HEAD").strip()
    done.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    put(done, "docs.md", "Something beside it\n")
    commit(done, "Beside")
    done.git("checkout", "--quiet", "main")
    done.git("merge", "--quiet", "--no-ff", "-m", "Merge", "side")
    assert certify(done, "--change", status=1)["nearest"]["differing"] == ["docs.md"]

    done.git("rm", "--quiet", "docs.md")
    commit(done, "Take it back")
    assert (
        certify(done, "--change", status=0)["change"]["tree"]
        == certify(done, "--change", first, status=0)["change"]["tree"]
    )
    assert certify(done, "--change", f"{first}~1", status=1)["task"] is None, "what was there before anybody worked"


def test_state_that_a_team_commits_is_no_part_of_a_change(done: World) -> None:
    done.git("add", "-A")
    done.git("add", "--force", "state")
    done.git("commit", "--quiet", "-m", "The change, and the state")

    assert certify(done, "--change", status=0)["task"] == "T"


def test_a_ledger_that_does_not_verify_certifies_nothing(done: World) -> None:
    segment = done.segments()[0]
    segment.write_bytes(segment.read_bytes().replace(b'"start":"PLAN"', b'"start":"SPEC"'))

    answer = certify(done, "--change", status=1)

    assert verdicts(answer) == {"ledger": "failed", "governed": "unknown"}
    assert certify(done, "--change", "HEAD~1", status=1)["task"] is None


def test_with_a_process_that_is_asked_for_no_other_one_counts(done: World) -> None:

    assert certify(done, "--change", "--process", str(done.root / "process.toml"), status=0)["task"] == "T"
    answer = certify(done, "--change", "--process", "default", status=1)
    assert "another process" in answer["nearest"]["against"]


def test_evidence_that_nobody_observed_binds_no_tree(tmp_path: Path) -> None:
    """A process that takes the worker's word for the tests governs no change."""
    world = shop(tmp_path, PROCESS.replace('kind = "observed" }', 'kind = "observed", mode = "observe" }'))
    lead(world, opened(world), None)
    commit(world, "The change")

    assert certify(world, "--change", status=1)["nearest"] is None


def test_a_published_ledger_is_asked_without_any_state(world: World, tmp_path: Path) -> None:
    lead(world, opened(world), "PR")
    commit(world, "The change")
    published = world.ask("publish").json
    clone, home = tmp_path / "clone", tmp_path / "nobody"
    git(tmp_path, "clone", "--quiet", str(world.root), "clone")
    home.mkdir()
    ci = World.at(clone, home)
    ci.git("fetch", "--quiet", "origin", f"{published['ref']}:{published['ref']}")
    vkey = world.ask("key", "show").json["here"]

    assert not (clone / "state").exists()
    assert certify(ci, "--change", "--ref", published["ref"], "--key", vkey, status=0)["task"] == "T"
    put(ci, "src/app.py", "print('good')  # edited\n")
    commit(ci, "Edited in the pull request")
    assert certify(ci, "--change", "--ref", published["ref"], status=1)["nearest"]["differing"] == ["src/app.py"]
    assert not (clone / "state").exists()
    other = "enforcer/x+00000000+AAAA"
    assert ci.ask("certify", "--change", "--ref", published["ref"], "--key", other).status == 2
    assert ci.ask("certify", "--change", "--ref", "refs/enforcer/none").status == 2

    shallow = World.at(tmp_path / "shallow", home)
    put(world, "src/app.py", "print('good')  # edited here\n")
    commit(world, "Edited")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{world.root}", "shallow")
    shallow.git("fetch", "--quiet", "origin", f"{published['ref']}:{published['ref']}")
    near = certify(shallow, "--change", "--ref", published["ref"], status=1)["nearest"]
    assert (near["differing"], "shallow" in near["untold"]) == (None, True), "the base commit is not there"


def test_a_question_that_is_none_has_no_answer(world: World, tmp_path: Path) -> None:
    assert world.ask("certify").codes == ["usage"]
    assert world.ask("certify", "T", "--ref", "refs/x").codes == ["usage"]
    assert world.ask("certify", "--change", "nothing").codes == ["unknown_revision"]
    assert world.ask("certify", "T").codes == ["unknown_task"]
    bare = World(tmp_path / "bare", process=PROCESS).init()
    assert bare.ask("certify", "--change").codes == ["no_repository"]


# Tasks


def test_a_task_that_came_to_pr_is_certified_and_nothing_is_written(done: World) -> None:
    before, lines = done.snapshot(), done.lines()

    answer = certify(done, "T", status=0)

    names = ("ledger", "progress", "files", "evidence", "open work", "commands")
    assert verdicts(answer) == dict.fromkeys(names, "passed")
    assert "sh check.sh" in answer["checks"][-1]["note"]
    assert done.lines() == lines
    after = done.snapshot()
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {Path(name).parent.name for name in changed if "/project/" in name} == set()


def test_a_completed_task_is_certified_while_its_files_stand(world: World) -> None:
    lead(world, opened(world), None)
    commit(world, "The change")
    assert certify(world, "T", status=0)["verdict"] == "passed"

    put(world, "docs.md", "Something else\n")
    answer = certify(world, "T", status=1)
    assert verdicts(answer)["files"] == "failed"
    assert "docs.md" in answer["checks"][2]["reasons"][0]["message"]


def test_a_task_on_its_way_is_not_complete(world: World) -> None:
    lead(world, opened(world), "VERIFY")

    found = reasons(certify(world, "T", status=1))

    assert found == [("progress", "task_unfinished"), ("files", "evidence_unobserved")]


def test_tests_that_fail_now_are_told_whatever_was_accepted(done: World) -> None:
    put(done, "src/app.py", "print('bad')\n")

    answer = certify(done, "T", status=1)

    assert ("files", "evidence_stale") in reasons(answer)
    assert ("commands", "command_failed") in reasons(answer)
    assert ("commands", "evidence_invalid") in reasons(answer), "the report says so as well"
    assert verdicts(answer)["progress"] == "passed"


OPEN_WORK = {
    "src/app.py": "print('good')\n\n\ndef f():  # fixme later\n    pass\n",
    "src/new.c": "int main() { /* XXX */ return 0; }\n",
    "größe.py": "# TODO\n",
    ".gitattributes": "src/hidden.py binary\n",
    "src/hidden.py": "# TODO: git is told that this is no text\n",
}
NONE_OPEN = {
    "tests/test_app.py": "assert True  # TODO: more\n",
    "NOTES.md": "TODO: write this\n",
    "src/names.py": "todo = 'good'  # the list; 'TODO' is a word\n",
}


def test_open_work_in_what_is_added_to_production_files_is_found(world: World) -> None:
    put(world, "src/old.py", "# TODO: some day\n")
    commit(world, "An old debt is none of this change")
    handle = opened(world)
    put(world, "src/old.py", "# TODO: some day\nx = 1\n")
    for name, text in (OPEN_WORK | NONE_OPEN).items():
        put(world, name, text)
    lead(world, handle, "PR")

    answer = certify(world, "T", status=1)

    assert set(reasons(answer)) == {("open work", "work_open")}
    told = [one["message"] for check in answer["checks"] for one in check["reasons"]]
    assert sorted(told) == [
        "gr\\xf6\\xdfe.py, line 1, says TODO.",
        "src/app.py, line 4, says fixme.",
        "src/hidden.py, line 1, says TODO.",
        "src/new.c, line 1, says XXX.",
    ]


def test_evidence_that_was_edited_is_not_current(done: World) -> None:
    done.write("T", "PLAN", GOOD + "\nMore of it.\n")

    assert reasons(certify(done, "T", status=1)) == [("evidence", "evidence_changed")]


def test_a_command_that_is_not_there_is_no_answer(world: World) -> None:
    lead(world, opened(world), "PR")
    process = PROCESS.replace('"sh", "check.sh"', '"no-such-command", "check.sh"')
    put(world, "process.toml", process)
    adopted = world.ask("process", "adopt", "T", "--reason", "r", "--approver", BOB)
    assert adopted.status == 0, adopted
    world.git("checkout", "--quiet", "HEAD", "--", "process.toml")

    answer = certify(world, "T", status=2)

    assert reasons(answer) == [("commands", "command_missing")]
    assert verdicts(answer)["commands"] == "unknown"


def test_a_process_without_commands_certifies_no_task(tmp_path: Path) -> None:
    start, end = PROCESS.index("[observe."), PROCESS.index("[[phases]]")
    text = (PROCESS[:start] + PROCESS[end:]).replace('kind = "observed" }', 'kind = "observed", mode = "observe" }')
    world = shop(tmp_path, text)
    handle = lead(world, opened(world), "VERIFY")
    results = {"total": 1, "passed": 1, "failed": 0, "errors": 0, "skipped": 0}
    world.write("T", "VERIFY", json.dumps(results), "test_results.json")
    world.write("T", "VERIFY", "built\nexit status: 0\n", "build_output.log")
    handle.advance().require()
    lead(world, handle, "PR")

    found = reasons(certify(world, "T", status=1))

    assert ("files", "evidence_unobserved") in found
    assert ("commands", "nothing_to_run") in found


def test_on_a_damaged_ledger_no_command_of_it_is_run(done: World, monkeypatch: pytest.MonkeyPatch) -> None:
    name = digest(GOOD)
    path = done.root / "state" / "objects" / name[:2] / name[2:]
    path.chmod(0o644)
    path.write_bytes(b"# Something else\n")
    monkeypatch.setattr(Watch, "observe", lambda *_: pytest.fail("a command was run"))

    answer = certify(done, "T", status=1)

    assert list(verdicts(answer).values()) == ["failed", *["unknown"] * 5]


def test_people_are_told_the_same(done: World) -> None:
    assert "certified: T" in done.ask("certify", "T", actor=None, text=True).out
    put(done, "docs.md", "Something else\n")
    told = done.ask("certify", "T", actor=None, text=True).out
    assert "refused: T" in told
    assert "failed   files" in told
    assert "backtrack T --to VERIFY" in told
    assert ADA not in told
