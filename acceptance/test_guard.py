"""Which tool calls each phase allows, asked through the command as a host's hook would."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from acceptance.model import PHASES
from acceptance.world import TOOLS, World


@pytest.mark.parametrize("phase", PHASES)
def test_source_is_written_in_implement_only(world: World, phase: str) -> None:
    world.given_task("T", phase)

    reply = world.guard("T", "Write", file_path="src/records.py", content="x = 1\n")

    if phase == "IMPLEMENT":
        assert reply.status == 0, reply
    else:
        assert (reply.status, reply.codes) == (1, ["tool_out_of_phase"])
        assert "IMPLEMENT" in reply.json["refusals"][0]["fix"]


@pytest.mark.parametrize("phase", PHASES)
def test_reading_is_always_allowed(world: World, phase: str) -> None:
    world.given_task("T", phase)

    assert world.guard("T", "Read", file_path="src/records.py").status == 0


@pytest.mark.parametrize("phase", PHASES)
def test_the_current_phases_evidence_is_always_writable_and_no_others(world: World, phase: str) -> None:
    world.given_task("T", phase)

    own = world.guard("T", "Write", file_path=f"state/evidence/T/{phase.lower()}/note.md", content="…")
    assert own.status == 0, own
    for other in PHASES:
        if other != phase:
            path = f"state/evidence/T/{other.lower()}/note.md"
            assert world.guard("T", "Write", file_path=path, content="…").codes == ["tool_out_of_phase"]


@pytest.mark.parametrize("phase", PHASES)
def test_a_shell_command_needs_run_and_write(world: World, phase: str) -> None:
    """Until shell commands are parsed, one is judged as if it ran and wrote."""
    world.given_task("T", phase)

    reply = world.guard("T", "Bash", command="python -m pytest -q")

    allowed = {"run", "write"} <= set(TOOLS.get(phase, ()))
    assert reply.status == (0 if allowed else 1)


@pytest.mark.parametrize(
    "path",
    [
        "enforcer.toml",
        ".git/config",
        ".git/hooks/pre-commit",
        "state/ledger/ledger.json",
        "state/leases/T",
        "state/evidence/T/../../ledger/lock",
        "state/evidence/U/implement/note.md",
        "src/../state/ledger/lock",
        "./enforcer.toml",
        "process.toml",
        ".claude/settings.json",
    ],
)
def test_what_governs_the_work_is_never_written_through_a_tool(world: World, path: str) -> None:
    world.given_task("T", "IMPLEMENT")

    assert world.guard("T", "Write", file_path=path, content="x").codes == ["tool_out_of_phase"]
    assert world.guard("T", "Write", file_path=str(world.root / path), content="x").codes == ["tool_out_of_phase"]


@pytest.mark.parametrize(
    "command",
    ["enforcer status T", "enforcer explain T", "enforcer advance T", "enforcer scaffold T", "enforcer lease claim T"],
)
def test_a_worker_may_always_move_its_own_task(world: World, command: str) -> None:
    world.given_task("T")

    assert world.guard("T", "Bash", command=command).status == 0


@pytest.mark.parametrize(
    "command",
    [
        "enforcer baseline accept T VERIFY --reason x --approver bob",
        "enforcer process adopt T --reason x --approver bob",
        "enforcer lease release T --force --reason x",
        "enforcer init",
    ],
)
def test_what_an_operator_decides_never_goes_through_a_tool(world: World, command: str) -> None:
    world.given_task("T", "IMPLEMENT")

    assert world.guard("T", "Bash", command=command).codes == ["tool_out_of_phase"]


@pytest.mark.parametrize(
    "command",
    [
        "enforcer open T2 --process state/evidence/T/implement/q.toml",
        "enforcer open T2 --process lean",
        "enforcer open T2 --base HEAD",
    ],
)
def test_a_worker_opens_a_task_and_never_chooses_what_it_is_judged_by(world: World, command: str) -> None:
    world.given_task("T", "IMPLEMENT")

    assert world.guard("T", "Bash", command="enforcer open T2 --title more").status == 0
    assert world.guard("T", "Bash", command=command).codes == ["tool_out_of_phase"]


@pytest.mark.parametrize("phase", ["SPEC", "IMPLEMENT", "VERIFY"])
def test_the_command_is_called_by_its_name_and_not_as_a_module(world: World, phase: str) -> None:
    """Python would first look into the project for every module that the command imports."""
    world.given_task("T", phase)

    for command in ("python -m enforcer advance T", "python -I -m enforcer advance T", "python -Im enforcer init"):
        reply = world.guard("T", "Bash", command=command)
        assert reply.codes == ["tool_out_of_phase"]
        assert "by its bare name" in reply.json["refusals"][0]["fix"]


NEW_FILE = """diff --git a/{0} b/{0}
new file mode 100644
--- /dev/null
+++ b/{0}
@@ -0,0 +1 @@
+a
"""


@pytest.mark.parametrize(
    "section",
    [
        "diff --git a/enforcer.toml b/enforcer.toml\nindex 1..2 100644\nGIT binary patch\nliteral 0\nHcmV?d00001\n\n",
        "diff --git a/enforcer.toml b/enforcer.toml\nold mode 100644\nnew mode 100755\n",
        "diff --git a/enforcer.toml b/enforcer.toml\ndeleted file mode 100644\n",
        "diff --git a/src/a b/enforcer.toml\nsimilarity index 100%\ncopy from src/a\ncopy to enforcer.toml\n",
        "  *** Update File: enforcer.toml\n@@\n-a\n+b\n",
        "*** UPDATE FILE: enforcer.toml\n@@\n-a\n+b\n",
    ],
    ids=["binary", "mode", "deleted", "copied", "indented", "shouted"],
)
def test_no_section_of_a_patch_goes_unseen(world: World, section: str) -> None:
    world.given_task("T", "IMPLEMENT")
    plain = NEW_FILE.format("src/new.py")

    assert world.guard("T", "apply_patch", patch=plain).status == 0
    assert world.guard("T", "apply_patch", patch=plain + section).codes == ["tool_out_of_phase"]
    assert world.guard("T", "apply_patch", patch=section + plain).codes == ["tool_out_of_phase"]


@pytest.mark.parametrize("phase", PHASES)
def test_a_patch_that_cannot_be_read_is_denied_with_a_way_out(world: World, phase: str) -> None:
    world.given_task("T", phase)
    own = NEW_FILE.format(f"state/evidence/T/{phase.lower()}/note.md")

    reply = world.guard("T", "apply_patch", patch=own + "diff --git a/my o b/n\nold mode 100644\nnew mode 100755\n")

    assert world.guard("T", "apply_patch", patch=own).status == 0
    assert reply.codes == ["tool_out_of_phase"]
    assert "plain unified diff" in reply.json["refusals"][0]["fix"]


def test_a_second_name_does_not_carry_a_file_past_the_guard(world: World) -> None:
    world.given_task("T", "IMPLEMENT")
    (world.root / "src").mkdir(exist_ok=True)
    (world.root / "src" / "fields.py").write_text("x = 1\n", encoding="utf-8")
    own = world.write("T", "IMPLEMENT", name="note.md")
    own.unlink()
    os.link(world.root / "enforcer.toml", world.root / "src" / "zz.toml")
    os.link(world.root / "src" / "fields.py", own)

    for path in ("src/zz.toml", "state/evidence/T/implement/note.md"):
        reply = world.guard("T", "Write", file_path=path, content="x")
        assert reply.codes == ["tool_out_of_phase"]
        assert "several names" in reply.json["refusals"][0]["message"]


@pytest.mark.parametrize("more", [{"path": "enforcer.toml"}, {"edits": [{"file_path": "enforcer.toml"}]}])
def test_every_path_of_a_call_is_judged(world: World, more: dict[str, Any]) -> None:
    world.given_task("T", "IMPLEMENT")

    assert world.guard("T", "MultiEdit", file_path="src/a.py", **more).codes == ["tool_out_of_phase"]


@pytest.mark.parametrize(
    "given", [{}, {"file_path": None}, {"file_path": ["src/a.py"]}, {"file_path": "a", "cwd": "/"}]
)
def test_a_writing_tool_without_a_readable_path_gets_no_yes(world: World, given: dict[str, Any]) -> None:
    world.given_task("T", "IMPLEMENT")

    for tool in ("Write", "Edit", "MultiEdit", "NotebookEdit"):
        reply = world.guard("T", tool, **given)
        assert (reply.status, reply.codes) == (2, ["bad_tool_call"])


@pytest.mark.parametrize("stdin", ["", "not json", "[]", '{"tool": 1}', '{"tool": "Write", "tool": "Read"}', "{}"])
def test_a_tool_call_that_cannot_be_read_is_not_allowed(world: World, stdin: str) -> None:
    world.given_task("T", "IMPLEMENT")

    reply = world.ask("guard", "T", stdin=stdin)

    assert reply.status == 2
    assert reply.codes


def test_an_unknown_tool_is_denied(world: World) -> None:
    world.given_task("T", "IMPLEMENT")

    assert world.guard("T", "TimeMachine", when="yesterday").status == 1


def test_a_denial_is_an_event_with_what_was_asked(world: World) -> None:
    world.given_task("T", "SPEC")

    world.guard("T", "Write", session="s7", call="c9", file_path="src/records.py", content="x")

    data = world.events("tool.refused", "T")[0]["data"]
    assert (data["tool"], data["phase"], data["session"], data["call"]) == ("Write", "SPEC", "s7", "c9")
    assert data["paths"] == ["src/records.py"]


def test_every_answer_is_a_line_of_the_sessions_guard_file(world: World) -> None:
    world.given_task("T", "SPEC")
    world.guard("T", "Read", call="c1", file_path="a.py")
    world.guard("T", "Write", call="c2", file_path="a.py", content="x")

    lines = (world.root / "state" / "guard" / "s1.jsonl").read_text(encoding="utf-8").splitlines()

    assert [json.loads(line)["call"] for line in lines] == ["c1", "c2"]


def test_a_closed_task_allows_reading_only(world: World) -> None:
    world.given_task("T", "IMPLEMENT")
    world.ask("abandon", "T", "--reason", "Not needed any more")

    assert world.guard("T", "Read", file_path="a.py").status == 0
    assert world.guard("T", "Write", file_path="a.py", content="x").status == 1


@pytest.mark.parametrize(
    "beside", [{"env": {"ENFORCER_ACTOR": "bob"}}, {"environment": {"PATH": "/elsewhere"}}, {"script": "rm -rf /"}]
)
def test_a_call_of_the_gate_with_anything_unknown_beside_it_is_denied(world: World, beside: dict) -> None:
    world.given_task("T", "SPEC")
    assert world.guard("T", "Bash", command="enforcer status T", timeout=60).status == 0
    assert world.guard("T", "Bash", command="enforcer status T", **beside).status == 1


def test_different_shell_commands_are_different_denials(world: World) -> None:
    world.given_task("T", "SPEC")
    for _ in range(12):
        world.guard("T", "Bash", command="ls")
    told = world.guard("T", "Bash", command="git push --force")
    assert told.json["coalesced"] is False
