"""Which tool calls a phase allows: by capability, by path, and for calls of `enforcer` itself."""

from __future__ import annotations

from typing import Any

import pytest

from enforcer.workflow.commands import UseTool
from enforcer.workflow.guard import LISTED, PROTECTED, SHOWN, allowed_now, judge, shown
from enforcer.workflow.invocation import ALLOWED, allowed, command_of
from enforcer.workflow.process import CAPABILITIES
from tests.workflow.scene import PHASES, Scene, codes, process, refused

# The table of the design, written down a second time.
ALLOWS = {
    "STRATEGIZE": "read",
    "SPEC": "read",
    "PLAN": "read",
    "THINK": "read",
    "IMPLEMENT": "read write run commit",
    "VERIFY": "read run",
    "REVIEW": "read",
    "PR": "read commit push network",
    "MONITOR": "read run network deploy",
}

SCENES = {name: Scene().at(name) for name in PHASES}


def judged(name: str = "IMPLEMENT", **call: Any) -> list[str]:
    """The codes of the guard's answer in a phase; empty where the call is allowed."""
    scene = SCENES[name]
    usual: dict[str, Any] = {"tool": "Tool", "needs": ()}
    return [one.code for one in judge(UseTool(**(usual | call)), scene.task, scene.process)]


def writes(name: str, *paths: str, **call: Any) -> list[str]:
    return judged(name, needs=("write",), writes=paths, **call)


DENIED = ["tool_out_of_phase"]


# Capabilities --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("name", PHASES)
def test_a_phase_allows_what_the_table_says(name: str, capability: str) -> None:
    assert (judged(name, needs=(capability,)) == []) == (capability in ALLOWS[name].split())


@pytest.mark.parametrize("name", PHASES)
def test_what_is_allowed_now_is_the_table(name: str) -> None:
    assert allowed_now("", SCENES[name].task, SCENES[name].process) == tuple(ALLOWS[name].split())


@pytest.mark.parametrize("name", PHASES)
def test_a_tool_that_nobody_knows_is_denied_everywhere(name: str) -> None:
    [refusal] = judge(UseTool(tool="TimeMachine", needs=("unknown",)), SCENES[name].task, SCENES[name].process)

    assert refusal.message == "TimeMachine is not a tool that the guard knows."


def test_every_capability_that_is_missing_is_named_once_with_the_phases_that_have_it() -> None:
    call = UseTool(tool="Bash", needs=("run", "write", "run", "push"))

    reasons = judge(call, SCENES["SPEC"].task, SCENES["SPEC"].process)

    assert [one.fix for one in reasons] == [
        "It is allowed in IMPLEMENT, VERIFY, MONITOR.",
        "It is allowed in IMPLEMENT.",
        "It is allowed in PR.",
    ]


def test_a_capability_that_no_phase_has_says_so() -> None:
    scene = Scene(process(phases=SCENES["SPEC"].process.phases[:4]))

    [refusal] = judge(UseTool(tool="Bash", needs=("run",)), scene.task, scene.process)

    assert refusal.fix == "No phase of this process allows it."


def test_a_denial_is_recorded_and_an_answer_of_yes_is_not() -> None:
    scene = Scene()

    assert scene.tool("read") is None
    event = refused(scene.tool("write", writes=("src/a.py",), call="c1", session="s1"))
    assert (event.phase, event.tool, event.capabilities, event.paths) == (
        "STRATEGIZE",
        "Tool",
        ("write",),
        ("src/a.py",),
    )
    assert (event.call, event.session) == ("c1", "s1")


# Personas ------------------------------------------------------------------------------------------------------------

PERSONAS = {"tester": ("run",), "pusher": ("push", "write")}


@pytest.mark.parametrize(
    "persona, needs, allowed",
    [
        ("", ("write", "run"), True),
        ("tester", ("run",), True),
        ("tester", ("read",), True),
        ("tester", ("write",), False),
        ("pusher", ("push",), False),
        ("pusher", ("write",), True),
        ("nobody", ("read",), True),
        ("nobody", ("run",), False),
    ],
)
def test_a_persona_narrows_what_the_phase_allows_and_never_widens_it(
    persona: str, needs: tuple[str, ...], allowed: bool
) -> None:
    scene = Scene(process(personas=PERSONAS)).at("IMPLEMENT")

    assert (scene.tool(*needs, persona=persona) is None) == allowed


def test_a_persona_may_write_the_phases_evidence_and_call_enforcer() -> None:
    scene = Scene(process(personas=PERSONAS)).at("IMPLEMENT")

    assert scene.tool("write", writes=("state/evidence/T/implement/x",), persona="tester") is None
    assert scene.tool(enforcer=("advance", "T"), persona="nobody") is None


# Closed tasks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_closed_task_allows_reading_only(capability: str) -> None:
    scene = Scene().at("IMPLEMENT")
    scene.abandon()

    assert (scene.tool(capability) is None) == (capability == "read")


def test_the_evidence_of_a_closed_task_is_not_written_any_more() -> None:
    scene = Scene().at("IMPLEMENT")
    scene.abandon()

    assert codes(scene.tool("write", writes=("state/evidence/T/implement/x",))) == DENIED


# Paths ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PHASES)
def test_the_current_phases_evidence_is_always_writable_and_no_other_phases(name: str) -> None:
    for other in PHASES:
        path = f"state/evidence/T/{other.lower()}/note.md"
        assert (writes(name, path) == []) == (other == name)


@pytest.mark.parametrize(
    "path",
    [
        "state/evidence/U/implement/note.md",
        "state/evidence/t/implement/note.md",
        "state/evidence/T/IMPLEMENT/note.md",
        "State/evidence/T/implement/note.md",
        "state/evidence/T/implement",
        "state/evidence/T/implement2/note.md",
        "state/evidence/T",
        "state/evidence/T2/implement/note.md",
        "state",
        "state/ledger/ledger.json",
        "STATE/ledger/ledger.json",
        "state/leases/T",
        "state/.gitignore",
    ],
)
def test_everything_else_below_state_is_never_written(path: str) -> None:
    assert writes("IMPLEMENT", path) == DENIED


@pytest.mark.parametrize(
    "path",
    [
        "enforcer.toml",
        "Enforcer.TOML",
        "packages/inner/enforcer.toml",
        ".git",
        ".git/config",
        ".GIT/hooks/pre-commit",
        "vendor/lib/.git/config",
        ".claude/settings.json",
        "sub/.claude/settings.local.json",
        "/home/ada/.claude/settings.json",
        ".codex/hooks.json",
        ".cursor/hooks.json",
        ".gemini/settings.json",
        ".github/hooks/pre.json",
        "/other/project/.git/hooks/pre-push",
    ],
)
def test_what_governs_the_work_is_never_written(path: str) -> None:
    assert writes("IMPLEMENT", path) == DENIED


@pytest.mark.parametrize(
    "path",
    [
        "src/a.py",
        "enforcer.toml.md",
        "docs/enforcer.toml.txt",
        ".gitignore",
        ".github/workflows/ci.yml",
        "statement.md",
        "src/state/machine.py",
        "claude/settings.json",
        "/tmp/out",
    ],
)
def test_what_only_looks_like_it_is_source(path: str) -> None:
    assert writes("IMPLEMENT", path) == []


@pytest.mark.parametrize(
    "path", ["process/mine.toml", "Process/MINE.toml", "process", "/keys/ada", "/keys/ada/ed25519"]
)
def test_further_paths_are_protected_in_any_case_with_all_below_them(path: str) -> None:
    protected = ("process/mine.toml", "/keys/ada")

    assert (writes("IMPLEMENT", path, protected=protected) == DENIED) == (path != "process")


@pytest.mark.parametrize("path", ["src/a.py", "state/evidence/T/implement/note.md", "/tmp/out"])
def test_a_file_with_several_names_is_never_written_and_the_answer_says_why(path: str) -> None:
    call = UseTool(tool="Write", needs=("write",), writes=(path,), shared=(path,))

    [refusal] = judge(call, SCENES["IMPLEMENT"].task, SCENES["IMPLEMENT"].process)

    assert "several names" in refusal.message
    assert refusal.artifact == path
    assert refusal.fix


@pytest.mark.parametrize("name", PHASES)
def test_a_patch_that_cannot_be_read_is_denied_in_every_phase_with_a_way_out(name: str) -> None:
    call = UseTool(tool="apply_patch", needs=("write",), unreadable=True)

    first = judge(call, SCENES[name].task, SCENES[name].process)[0]

    assert "apply_patch" in first.message
    assert "plain unified diff" in first.fix


def test_what_cannot_be_read_or_has_several_names_is_no_evidence() -> None:
    own = "state/evidence/T/spec/spec.md"

    for call in ({"unreadable": True}, {"shared": (own,)}):
        asked: dict[str, Any] = {"tool": "Write", "needs": ("write",), "writes": (own,), **call}
        messages = [one.message for one in judge(UseTool(**asked), SCENES["SPEC"].task, SCENES["SPEC"].process)]
        assert len(messages) == 2
        assert "needs write" in messages[1]


def test_one_path_that_is_not_evidence_makes_the_call_need_write() -> None:
    own = "state/evidence/T/spec/spec.md"

    assert writes("SPEC", own, own) == []
    assert writes("SPEC", own, "src/a.py") == DENIED


def test_evidence_stays_writable_only_where_it_is_known_what_is_written() -> None:
    own = "state/evidence/T/spec/spec.md"

    assert writes("SPEC", own, opaque=True) == DENIED
    assert writes("SPEC") == DENIED


def test_writing_evidence_does_not_allow_what_else_the_call_needs() -> None:
    own = "state/evidence/T/spec/spec.md"

    [refusal] = judge(
        UseTool(tool="Tool", needs=("write", "run"), writes=(own,)), SCENES["SPEC"].task, SCENES["SPEC"].process
    )

    assert "needs run" in refusal.message


def test_the_answer_about_a_shell_says_that_its_writes_were_not_judged() -> None:
    reasons = judge(
        UseTool(tool="Bash", needs=("run", "write"), opaque=True), SCENES["SPEC"].task, SCENES["SPEC"].process
    )

    assert [("cannot be told" in one.message) for one in reasons] == [False, True]


def test_a_denial_names_no_more_than_a_line_of_the_ledger_holds() -> None:
    scene = Scene()
    paths = tuple("𝄞" * 4000 + str(number) for number in range(500))

    event = refused(scene.tool("write", writes=("state/" + paths[0], *(f"state/{path}" for path in paths))))

    assert len(event.refusals) == LISTED
    assert len(event.paths) == LISTED
    assert len(str(event.pack()).encode()) < 60_000


def test_what_is_shown_of_a_name_is_printable_and_short() -> None:
    assert shown("src/a.py") == "src/a.py"
    assert shown("a\x1b[31m\u202eb") == "a\\x1b[31m\\u202eb"
    assert len(shown("x" * 5000)) == SHOWN
    assert len(shown("\u202e" * 5000)) == SHOWN


def test_the_protected_names_are_written_as_they_are_compared() -> None:
    assert all(name == name.casefold() for name in PROTECTED)


# Calls of `enforcer` -------------------------------------------------------------------------------------------------


def words(call: str) -> tuple[str, ...]:
    return tuple(call.split())


@pytest.mark.parametrize(
    "call",
    [
        "status",
        "status T --json",
        "--version",
        "--help",
        "advance --help",
        "explain T",
        "open T --title x --key k1",
        "open T --title=x",
        "verify --base HEAD~1",
        "scaffold T",
        "advance T",
        "advance T --to SPEC --dry-run --json --key k1",
        "advance --to SPEC T",
        "backtrack T --to SPEC --reason because",
        "backtrack T --to SPEC --reason --force",
        "attest T --prompt prompt.txt",
        "attest T --header - --role r --tools t --model m --persona p --volatile v",
        "evidence list T",
        "evidence check T SPEC",
        "evidence restore T",
        "evidence --help",
        "lease claim T",
        "lease renew T",
        "lease release T",
        "leases",
        "run T --as test_results.json",
        "run T -- pytest --root x",
        "log T --format jsonl",
        "verify --incremental",
        "verify --ref refs/enforcer/x",
        "audit",
        "prove 7",
        "verify-proof proof.json",
        "baseline show T",
        "process show T",
        "key show",
        "doctor",
    ],
)
def test_a_worker_may_move_its_own_task_and_look_at_anything(call: str) -> None:
    assert allowed(words(call))
    assert judged("STRATEGIZE", enforcer=words(call)) == []


@pytest.mark.parametrize(
    "call",
    [
        # What a person decides.
        "abandon T --reason because",
        "approve T",
        "baseline accept T VERIFY --reason r --approver bob",
        "process adopt T --reason r --approver bob",
        "key rotate",
        "key compromised",
        "anchor",
        "checkpoint",
        "publish",
        "init",
        "uninstall",
        "move --to postgres",
        "guard T",
        "hook claude",
        "demo",
        "demo --keep /tmp/x",
        "telemetry",
        "export T",
        "mcp",
        # What does not exist.
        "frobnicate",
        "ADVANCE T",
        "lease steal T",
        "evidence forge T",
        "-",
        # Options that are not a worker's.
        "lease release T --force --reason x",
        "lease release --force T",
        "--root /elsewhere status",
        "advance T --root /elsewhere",
        "advance T --root=/elsewhere",
        "advance T --actor bob",
        "--actor bob advance T",
        "advance T --actor=bob",
        "status T --actor bob",
        "advance T --approver bob",
        "advance T --tofu",
        "advance T -x",
        "--json=yes status",
        "advance T -- anything",
        "-- advance T",
        "verify --output /etc/passwd",
        # What the work is judged by is not for the worker to choose.
        "open T --process lean",
        "open T --process state/evidence/T/verify/q.toml",
        "open --process=lean T",
        "open T --base HEAD",
        "open T --base=HEAD",
        "--process lean open T",
        # The value of an option does not become the command, and a command not the value.
        "--key status init",
        "--title x init",
        "--to advance init",
    ],
)
def test_everything_else_of_enforcer_is_never_called_through_a_tool(call: str) -> None:
    assert not allowed(words(call))
    for name in ("STRATEGIZE", "IMPLEMENT", "MONITOR"):
        assert judged(name, enforcer=words(call)) == DENIED


def test_a_group_alone_only_shows_its_help() -> None:
    assert allowed(("baseline",))
    assert not allowed(("baseline", "--reason"))


def test_a_refused_call_names_the_command_and_what_to_leave_out() -> None:
    scene = SCENES["IMPLEMENT"]

    [refusal] = judge(
        UseTool(tool="Bash", needs=(), enforcer=("lease", "release", "--force")), scene.task, scene.process
    )
    assert "lease release" in refusal.message
    assert "--force" in refusal.fix
    [refusal] = judge(UseTool(tool="Bash", needs=(), enforcer=("init",)), scene.task, scene.process)
    assert "person" in refusal.fix
    [refusal] = judge(UseTool(tool="Bash", needs=(), enforcer=("x\x1b[2J" * 99,)), scene.task, scene.process)
    assert refusal.message.isprintable()
    assert len(refusal.message) < 2 * SHOWN


def test_calling_enforcer_among_other_commands_is_never_allowed() -> None:
    [refusal] = judge(
        UseTool(tool="Bash", needs=("run", "write"), opaque=True, mixed=True),
        SCENES["IMPLEMENT"].task,
        SCENES["IMPLEMENT"].process,
    )

    assert "on its own" in refusal.fix


@pytest.mark.parametrize("name", PHASES)
def test_what_enforcer_would_run_is_judged_as_itself(name: str) -> None:
    call = {"enforcer": words("run T -- pytest"), "needs": ("run", "write"), "opaque": True}

    assert (judged(name, **call) == []) == (name == "IMPLEMENT")


def test_the_command_of_a_call_is_told_without_its_options() -> None:
    assert command_of(words("--json lease --key k release T --force")) == "lease release"
    assert command_of(words("--root /x advance T")) == "advance"
    assert command_of(()) == ""


def test_the_table_of_calls_has_no_command_that_a_person_decides() -> None:
    firsts = {name.partition(" ")[0] for name in ALLOWED}

    assert not firsts & {
        "init",
        "abandon",
        "approve",
        "anchor",
        "publish",
        "uninstall",
        "move",
        "guard",
        "hook",
        "demo",
    }
    assert not any("force" in option or "actor" in option for options in ALLOWED.values() for option in options)
