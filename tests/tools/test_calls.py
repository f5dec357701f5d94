"""Tool calls as hosts send them: capabilities, the places that they write, and what is not a call at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.errors import RequestError
from enforcer.tools.calls import MAX_CALL, MAX_NAME, MAX_PATH, UNKNOWN, read_call
from enforcer.workflow.commands import UseTool
from enforcer.workflow.guard import judge
from enforcer.workflow.process import CAPABILITIES
from tests.workflow.scene import Scene


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "project"
    (folder / "state" / "evidence" / "T" / "spec").mkdir(parents=True)
    (folder / "src").mkdir()
    return folder


def read(root: Path, tool: str, *, protected: tuple[str, ...] = (), state: str = "", **given: Any) -> UseTool:
    data = json.dumps({"tool": tool, "input": given}).encode()
    return read_call(data, root=str(root), protected=protected, state=state)


def written(root: Path, path: str) -> tuple[str, ...]:
    return read(root, "Write", file_path=path).writes


def allowed(root: Path, phase: str, tool: str, **given: Any) -> bool:
    """Whether the guard would allow a call in a phase."""
    scene = Scene().at(phase)
    return not judge(read(root, tool, **given), scene.task, scene.process)


# Tools ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tool, needs",
    [
        *((tool, ("read",)) for tool in ("Read", "Glob", "Grep", "LS", "NotebookRead", "TodoWrite", "Task", "read")),
        *((tool, ("network",)) for tool in ("WebFetch", "WebSearch", "fetch")),
        ("commit", ("commit",)),
        ("push", ("push",)),
        ("deploy", ("deploy",)),
        ("KillShell", ("run",)),
    ],
)
def test_a_known_tool_needs_what_it_does(root: Path, tool: str, needs: tuple[str, ...]) -> None:
    call = read(root, tool, file_path="anything", url="https://example.org")

    assert (call.needs, call.writes, call.opaque, call.enforcer) == (needs, (), False, ())


@pytest.mark.parametrize(
    "tool",
    ["mcp__files__write", "mcp__files__read", "SlashCommand", "TimeMachine", "READ", "write ", "bash2", "Écrire"],
)
def test_a_tool_that_is_not_known_needs_what_no_phase_gives(root: Path, tool: str) -> None:
    call = read(root, tool, file_path="src/a.py")

    assert call.needs == (UNKNOWN,)
    assert UNKNOWN not in CAPABILITIES
    assert not allowed(root, "IMPLEMENT", tool)


@pytest.mark.parametrize(
    "tool, member",
    [
        ("Write", "file_path"),
        ("Edit", "file_path"),
        ("MultiEdit", "file_path"),
        ("NotebookEdit", "notebook_path"),
        ("write", "path"),
        ("write", "file_path"),
        ("edit", "path"),
    ],
)
def test_a_writing_tool_writes_the_file_that_it_names(root: Path, tool: str, member: str) -> None:
    given: dict[str, Any] = {member: "src/a.py", "content": "x = 1\n"}
    call = read(root, tool, **given)

    assert (call.needs, call.writes, call.opaque) == (("write",), ("src/a.py",), False)


def test_every_file_that_a_call_may_mean_is_judged(root: Path) -> None:
    assert read(root, "Write", file_path="src/a.py", path="enforcer.toml").writes == ("src/a.py", "enforcer.toml")


def test_what_belongs_to_the_call_is_kept(root: Path) -> None:
    sent = {"tool": "Read", "input": {}, "session": "s1", "call": "c1", "persona": "tester"}

    call = read_call(json.dumps(sent).encode(), root=str(root), protected=("a.toml",))

    assert (call.tool, call.session, call.call, call.persona, call.protected) == (
        "Read",
        "s1",
        "c1",
        "tester",
        ("a.toml",),
    )


@pytest.mark.parametrize("member", ["path", "filePath", "target_file", "new-path", "absolute_path", "notebook", "uri"])
@pytest.mark.parametrize("tool", ["Write", "Edit", "MultiEdit", "write", "edit"])
def test_a_path_under_another_name_is_judged_as_well(root: Path, tool: str, member: str) -> None:
    more: dict[str, Any] = {member: "enforcer.toml"}

    assert read(root, tool, file_path="src/a.py", **more).writes == ("src/a.py", "enforcer.toml")
    assert not allowed(root, "IMPLEMENT", tool, file_path="src/a.py", **more)


def test_every_edit_of_several_is_judged_by_its_own_path(root: Path) -> None:
    edits: list[Any] = [{"old_string": "a", "new_string": "b", "replace_all": True}]

    assert allowed(root, "IMPLEMENT", "MultiEdit", file_path="src/a.py", edits=edits)
    edits.append({"file_path": "enforcer.toml", "old_string": "a", "new_string": "b"})
    assert not allowed(root, "IMPLEMENT", "MultiEdit", file_path="src/a.py", edits=edits)
    with pytest.raises(RequestError, match="names no file"):
        read(root, "MultiEdit", edits=edits)


@pytest.mark.parametrize("path", [["src/a.py"], {"a": "src/a.py"}, None, 7, "", "file:///etc/passwd", "vscode://x/y"])
@pytest.mark.parametrize(
    "tool, member", [("Write", "file_path"), ("MultiEdit", "path"), ("NotebookEdit", "notebook_path"), ("edit", "file")]
)
def test_a_writing_tool_whose_path_cannot_be_read_is_not_a_call(root: Path, tool: str, member: str, path: Any) -> None:
    given: dict[str, Any] = {"file_path": "src/a.py", member: path}

    with pytest.raises(RequestError) as caught:
        read(root, tool, **given)
    assert caught.value.code == "bad_tool_call"


@pytest.mark.parametrize("folder", ["/", "state", "..", ["."]])
def test_paths_that_begin_elsewhere_are_not_judged_as_if_they_began_here(root: Path, folder: Any) -> None:
    with pytest.raises(RequestError, match="do not begin"):
        read(root, "Write", file_path="a.py", cwd=folder)
    assert read(root, "Write", file_path="a.py", cwd=str(root)).writes == ("a.py",)


# What is not a call --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b"{}",
        b'{"tool": ""}',
        b'{"tool": 1}',
        b'{"tool": "Read", "tool": "Write"}',
        b'{"tool": "Read", "input": []}',
        b'{"tool": "Read", "input": null}',
        b'{"tool": "Read", "session": 7}',
        b'{"tool": "Read", "call": null}',
        b'{"tool": "Read", "persona": ["a"]}',
        b'{"tool": "Read", "personna": "tester"}',
        b'{"tool": "Read", "input": {"x": NaN}}',
        b'{"tool": "Read", "input": {"x": "\\ud800"}}',
        b'{"tool": "Write", "input": {}}',
        b'{"tool": "Write", "input": {"file_path": ""}}',
        b'{"tool": "Write", "input": {"file_path": 1}}',
        b'{"tool": "Write", "input": {"file_path": ["a"]}}',
        b'{"tool": "Write", "input": {"file_path": "a", "path": 1}}',
        b'{"tool": "Write", "input": {"file_path": "a\\u0000b"}}',
        b'{"tool": "Write", "input": {"notebook_path": "a"}}',
        b'{"tool": "Bash", "input": {}}',
        b'{"tool": "Bash", "input": {"command": ""}}',
        b'{"tool": "Bash", "input": {"command": " "}}',
        b'{"tool": "Bash", "input": {"command": 1}}',
        b'{"tool": "Bash", "input": {"command": []}}',
        b'{"tool": "Bash", "input": {"command": ["ls", 1]}}',
        b'{"tool": "apply_patch", "input": {}}',
        b'{"tool": "apply_patch", "input": {"patch": 1}}',
        b'{"tool": "apply_patch", "input": {"patch": "a", "input": "b"}}',
        b"\xff",
        b"[" * 100_000,
        b'{"tool": "' + b"x" * (MAX_NAME + 1) + b'"}',
        b'{"tool": "Write", "input": {"file_path": "' + b"x" * (MAX_PATH + 1) + b'"}}',
        b'{"tool": "Read", "input": {"x": "' + b"x" * MAX_CALL + b'"}}',
    ],
    ids=lambda data: ascii(data[:60]),
)
def test_what_is_not_a_call_is_the_callers_mistake_and_never_a_yes(root: Path, data: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        read_call(data, root=str(root), protected=())

    assert caught.value.code == "bad_tool_call"
    assert caught.value.fix
    assert caught.value.message.isprintable()


@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_arbitrary_bytes_are_a_call_or_a_mistake(data: bytes) -> None:
    try:
        read_call(data, root="/nowhere", protected=())
    except RequestError as error:
        caught = error
    else:
        return
    assert caught.code == "bad_tool_call"


# Places --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path, place",
    [
        ("src/a.py", "src/a.py"),
        ("./src/a.py", "src/a.py"),
        ("src//a.py", "src/a.py"),
        ("new/deep/a.py", "new/deep/a.py"),
        ("src/../state/ledger/lock", "state/ledger/lock"),
        ("missing/../state/ledger/lock", "state/ledger/lock"),
        ("state/evidence/T/spec/../../../ledger/lock", "state/ledger/lock"),
        (".", "."),
        ("src/", "src"),
    ],
)
def test_a_path_inside_the_project_is_told_relative_to_it(root: Path, path: str, place: str) -> None:
    assert written(root, path) == (place,)
    assert written(root, str(root / path)) == (place,)


def test_a_path_outside_the_project_is_told_absolute(root: Path) -> None:
    assert written(root, "../other/a.py") == (str(root.parent / "other" / "a.py"),)
    assert written(root, f"{root}2/a.py") == (f"{root}2/a.py",)
    assert written(root, "/") == ("/",)


def test_a_link_is_judged_by_where_it_leads_and_by_where_it_stands(root: Path) -> None:
    (root / "src" / "link").symlink_to(root / "state" / "ledger")
    (root / "src" / "file").symlink_to(root / "enforcer.toml")
    (root / "src" / "out").symlink_to("/etc")

    assert written(root, "src/link/lock") == ("state/ledger/lock",)
    assert written(root, "src/file") == ("enforcer.toml", "src/file")
    assert written(root, "src/out/passwd") == ("/etc/passwd",)
    for path in ("src/link/lock", "src/file"):
        assert not allowed(root, "IMPLEMENT", "Write", file_path=path)


def test_a_link_where_evidence_should_be_makes_it_no_evidence(root: Path) -> None:
    evidence = root / "state" / "evidence" / "T" / "spec"
    (evidence / "spec.md").symlink_to(root / "src" / "a.py")
    (evidence / "folder").symlink_to(root / "src")

    assert allowed(root, "SPEC", "Write", file_path="state/evidence/T/spec/other.md")
    assert not allowed(root, "SPEC", "Write", file_path="state/evidence/T/spec/spec.md")
    assert not allowed(root, "SPEC", "Write", file_path="state/evidence/T/spec/folder/a.py")


def test_a_file_with_a_second_name_is_told_as_shared_by_either(root: Path) -> None:
    (root / "src" / "a.py").write_text("x = 1\n")
    own = "state/evidence/T/spec/spec.md"
    assert allowed(root, "IMPLEMENT", "Write", file_path="src/a.py")

    os.link(root / "src" / "a.py", root / own)

    for path in ("src/a.py", own, f"src/../{own}", str(root / own)):
        assert len(read(root, "Write", file_path=path).shared) == 1
    assert not allowed(root, "SPEC", "Write", file_path=own)
    assert not allowed(root, "IMPLEMENT", "Write", file_path="src/a.py")
    (root / own).unlink()
    assert allowed(root, "IMPLEMENT", "Write", file_path="src/a.py")


def test_a_protected_file_is_not_written_by_another_name(root: Path) -> None:
    (root / "enforcer.toml").write_text("")
    os.link(root / "enforcer.toml", root / "src" / "zz.toml")
    (root / "src" / "soft").symlink_to("zz.toml")
    patch = "--- a/src/zz.toml\n+++ b/src/zz.toml\n@@ -0,0 +1 @@\n+x\n"

    assert not allowed(root, "IMPLEMENT", "Write", file_path="src/zz.toml")
    assert not allowed(root, "IMPLEMENT", "Edit", file_path="src/soft")
    assert not allowed(root, "IMPLEMENT", "apply_patch", patch=patch)


def test_a_folder_has_many_names_and_is_not_shared(root: Path) -> None:
    (root / "src" / "inner").mkdir()

    assert read(root, "Write", file_path="src").shared == ()


def test_both_readings_of_dots_behind_a_link_are_judged(root: Path) -> None:
    """`link/../x` is `x` by the text, and beside the link's target by the folders that are there."""
    (root / "deep" / "er").mkdir(parents=True)
    (root / "link").symlink_to(root / "state" / "evidence")

    assert set(written(root, "link/../ledger")) == {"state/ledger", "ledger"}
    assert not allowed(root, "IMPLEMENT", "Write", file_path="link/../ledger")


def test_a_loop_of_links_is_told_and_not_followed_for_ever(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")

    assert all(place in ("a", "b", "a/x", "b/x") for place in written(root, "a/x"))


def test_a_home_folder_is_meant_by_its_sign_or_by_its_letter(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")

    assert set(written(root, "~/.claude/settings.json")) == {
        "~/.claude/settings.json",
        "/home/ada/.claude/settings.json",
    }
    assert not allowed(root, "IMPLEMENT", "Write", file_path="~/.claude/settings.json")


def test_the_project_in_other_letters_may_be_the_same_project(root: Path) -> None:
    """Some file systems ignore case, so what would be protected there is protected; what is allowed is not widened."""
    shouted = str(root).upper()

    assert written(root, f"{shouted}/state/ledger/lock") == (f"{shouted}/state/ledger/lock", "state/ledger/lock")
    assert not allowed(root, "IMPLEMENT", "Write", file_path=f"{shouted}/enforcer.toml")
    assert not allowed(root, "SPEC", "Write", file_path=f"{shouted}/state/evidence/T/spec/spec.md")


def test_the_state_folder_of_a_linked_worktree_is_told_as_state(root: Path) -> None:
    main = root.parent / "main" / "state"
    (main / "evidence" / "T" / "spec").mkdir(parents=True)

    call = read(root, "Write", state=str(main), file_path=str(main / "evidence" / "T" / "spec" / "spec.md"))
    assert call.writes == ("state/evidence/T/spec/spec.md",)
    assert read(root, "Write", state=str(main), file_path="../main/state/ledger/x").writes == ("state/ledger/x",)


def test_a_link_in_the_place_of_state_is_not_the_state_folder(root: Path, tmp_path: Path) -> None:
    os.rename(root / "state", tmp_path / "elsewhere")
    (root / "state").symlink_to(tmp_path / "elsewhere")

    assert written(root, "state/evidence/T/spec/spec.md") == (
        str(tmp_path.resolve() / "elsewhere/evidence/T/spec/spec.md"),
    )


def test_a_project_behind_a_link_is_the_project(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)

    assert written(root, str(tmp_path / "alias" / "src" / "a.py")) == ("src/a.py",)
    assert written(tmp_path / "alias", str(root / "state" / "x")) == ("state/x",)


# Shell commands ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["Bash", "bash", "shell", "run"])
@pytest.mark.parametrize(
    "command", ["ls", "pytest -q", "cat a > b", "x'", "python -m pytest", ["ls", "-l"], "rm -rf state"]
)
def test_a_shell_command_may_run_and_write_anything(root: Path, tool: str, command: str | list[str]) -> None:
    call = read(root, tool, command=command)

    assert (call.needs, call.writes, call.opaque, call.enforcer, call.mixed) == (
        ("run", "write"),
        (),
        True,
        (),
        False,
    )


@pytest.mark.parametrize(
    "command, words",
    [
        ("enforcer advance T", ("advance", "T")),
        (" enforcer advance T\n", ("advance", "T")),
        ("enforcer backtrack T --to SPEC --reason 'a; b'", ("backtrack", "T", "--to", "SPEC", "--reason", "a; b")),
        ("enforcer", ()),
        (["enforcer", "status", "T"], ("status", "T")),
        ("enforcer lease release T --force", ("lease", "release", "T", "--force")),
    ],
)
def test_a_plain_call_of_enforcer_needs_no_capability(root: Path, command: Any, words: tuple[str, ...]) -> None:
    call = read(root, "Bash", command=command)

    assert (call.needs, call.opaque, call.enforcer, call.mixed) == ((), False, words, False)


@pytest.mark.parametrize("meta", [*";&|()<>$`\\*?[]{}~#\t", "\n", "&&", "$(x)", ">x"])
def test_a_metacharacter_in_any_place_makes_a_call_of_enforcer_opaque(root: Path, meta: str) -> None:
    plain = "enforcer status T"
    for at in range(1, len(plain)):
        call = read(root, "Bash", command=plain[:at] + meta + plain[at:])
        assert call.opaque
        assert call.needs == ("run", "write")
        assert call.enforcer == ()


@pytest.mark.parametrize(
    "command",
    [
        "cd /x && enforcer advance T",
        "ENFORCER_ACTOR=bob enforcer advance T",
        ".venv/bin/enforcer status",
        "sudo enforcer init",
    ],
)
def test_enforcer_among_other_things_is_never_allowed(root: Path, command: str) -> None:
    assert read(root, "Bash", command=command).mixed
    assert not allowed(root, "IMPLEMENT", "Bash", command=command)


@pytest.mark.parametrize("words", ["python -m enforcer status", "python3 -m enforcer status", "python -I -m enforcer"])
def test_the_module_is_run_by_a_shell_like_any_other_and_its_bare_name_is_asked_for(root: Path, words: str) -> None:
    """Python looks into the working folder first: a `click.py` planted there would run inside of the call."""
    for command in (words, words.split()):
        call = read(root, "Bash", command=command)
        assert (call.needs, call.opaque, call.enforcer, call.mixed) == (("run", "write"), True, (), True)
    scene = Scene().at("IMPLEMENT")
    [refusal] = judge(call, scene.task, scene.process)
    assert "bare name" in refusal.fix


@pytest.mark.parametrize("member", ["cwd", "workdir", "working_directory", "workingDir", "working-dir"])
def test_enforcer_is_not_called_from_another_folder(root: Path, member: str) -> None:
    elsewhere: list[Any] = ["/", "src", "..", ["/"], {"a": 1}]
    for folder in elsewhere:
        assert not allowed(root, "IMPLEMENT", "Bash", command="enforcer status T", **{member: folder})
    for folder in (str(root), ".", "", None):
        assert allowed(root, "SPEC", "Bash", command="enforcer status T", **{member: folder})
    assert allowed(root, "IMPLEMENT", "Bash", command="pytest -q", **{member: "src"})


@pytest.mark.parametrize(
    "form", ["--root {} status T", "status T --root {}", "--root={} status T", "status --root={} T"]
)
def test_naming_this_very_project_is_harmless_and_another_one_is_not(root: Path, form: str) -> None:
    assert read(root, "Bash", command="enforcer " + form.format(root)).enforcer == ("status", "T")
    for other in ("/elsewhere", ".", f"{root}/src", ""):
        words = read(root, "Bash", command=["enforcer", *form.format(other).split()]).enforcer
        assert any("--root" in word for word in words)
        assert not allowed(root, "IMPLEMENT", "Bash", command=["enforcer", *form.format(other).split()])


def test_naming_another_project_after_this_one_is_noticed(root: Path) -> None:
    command = f"enforcer advance T --root {root} --root /elsewhere"

    assert not allowed(root, "IMPLEMENT", "Bash", command=command)


def test_an_empty_root_at_the_end_is_left_to_the_command(root: Path) -> None:
    assert not allowed(root, "IMPLEMENT", "Bash", command="enforcer status T --root")


@pytest.mark.parametrize("command", ["enforcer advance T --actor bob", "enforcer --actor=bob advance T"])
def test_acting_as_somebody_else_is_never_allowed(root: Path, command: str) -> None:
    assert not allowed(root, "IMPLEMENT", "Bash", command=command)


def test_a_forced_release_is_never_allowed(root: Path) -> None:
    assert allowed(root, "SPEC", "Bash", command="enforcer lease release T")
    assert not allowed(root, "IMPLEMENT", "Bash", command="enforcer lease release T --force --reason x")


def test_what_enforcer_would_run_is_judged_as_itself(root: Path) -> None:
    call = read(root, "Bash", command="enforcer run T -- pytest -q")

    assert (call.needs, call.opaque, call.enforcer) == (("run", "write"), True, ("run", "T", "--", "pytest", "-q"))
    assert read(root, "Bash", command="enforcer run T --as test_results.json").needs == ()
    assert allowed(root, "SPEC", "Bash", command="enforcer run T --as test_results.json")
    assert not allowed(root, "SPEC", "Bash", command="enforcer run T -- pytest")
    assert allowed(root, "IMPLEMENT", "Bash", command="enforcer run T -- pytest")
    assert not allowed(root, "IMPLEMENT", "Bash", command="enforcer run T -- enforcer init")


def test_a_root_behind_the_dashes_belongs_to_the_other_command(root: Path) -> None:
    command = f"enforcer run T -- tool --root {root}"

    assert read(root, "Bash", command=command).enforcer[-2:] == ("--root", str(root))


# Patches -------------------------------------------------------------------------------------------------------------

ENVELOPE = """*** Begin Patch
*** Update File: src/a.py
@@
-x = 1
+x = 2
*** Add File: src/b.py
+y = 1
*** Delete File: src/c.py
*** Update File: src/d.py
*** Move to: src/e.py
*** End Patch
"""

UNIFIED = """diff --git a/src/a.py b/src/a.py
--- a/src/a.py
+++ b/src/a.py
@@ -1 +1 @@
-x = 1
+x = 2
diff --git a/src/old.py b/src/new.py
similarity index 100%
rename from src/old.py
rename to src/new.py
--- /dev/null
+++ b/src/f.py\t2025-06-15 12:00:00
@@ -0,0 +1 @@
+z = 1
"""


@pytest.mark.parametrize("member", ["patch", "input", "diff"])
def test_a_patch_writes_every_file_that_it_names(root: Path, member: str) -> None:
    envelope: dict[str, Any] = {member: ENVELOPE}
    unified: dict[str, Any] = {member: UNIFIED}

    call = read(root, "apply_patch", **envelope)
    assert (call.needs, call.opaque) == (("write",), False)
    assert call.writes == ("src/a.py", "src/b.py", "src/c.py", "src/d.py", "src/e.py")

    call = read(root, "apply_patch", **unified)
    assert call.writes == ("src/a.py", "src/old.py", "src/new.py", "src/f.py")


@pytest.mark.parametrize("phase", ["SPEC", "IMPLEMENT", "VERIFY"])
def test_a_patch_that_names_no_file_plainly_is_denied_everywhere(root: Path, phase: str) -> None:
    call = read(root, "apply_patch", patch="x = 1\n")

    assert (call.needs, call.writes, call.opaque, call.unreadable) == (("write",), (), False, True)
    assert not allowed(root, phase, "apply_patch", patch="x = 1\n")


def test_a_patch_is_judged_by_its_other_members_too(root: Path) -> None:
    assert not allowed(root, "IMPLEMENT", "apply_patch", patch=ENVELOPE, path="enforcer.toml")
    with pytest.raises(RequestError):
        read(root, "apply_patch", patch=ENVELOPE, cwd="state")


def test_one_protected_file_spoils_a_patch(root: Path) -> None:
    assert allowed(root, "IMPLEMENT", "apply_patch", patch=ENVELOPE)
    assert not allowed(root, "IMPLEMENT", "apply_patch", patch=ENVELOPE.replace("src/e.py", "src/../enforcer.toml"))
    assert not allowed(root, "IMPLEMENT", "apply_patch", patch=UNIFIED.replace("b/src/f.py", "b/state/ledger/x"))


def test_evidence_may_be_written_by_a_patch(root: Path) -> None:
    patch = "*** Begin Patch\n*** Add File: state/evidence/T/spec/spec.md\n+# Spec\n*** End Patch\n"

    assert allowed(root, "SPEC", "apply_patch", patch=patch)
    assert not allowed(root, "PLAN", "apply_patch", patch=patch)
