"""Which tool calls each phase allows, asked through the command as a host's hook would."""

from __future__ import annotations

import json

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
