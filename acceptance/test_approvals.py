"""Approvals by SSH keys: bound to exactly what is there, once, until they expire, and never of one's own work."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from acceptance.doubles import ManualClock
from acceptance.world import ADA, BOB, GOOD, World
from enforcer import approvals

PROCESS = """\
name = "approved"
signers = "process/signers"
break_glass = ["lead"]

[[phases]]
name = "IMPLEMENT"
tools = ["write", "run", "commit"]

[[phases.artifacts]]
name = "note.md"
format = "markdown"
rules = [{ id = "note", kind = "sections", headings = ["Findings"], words = 3 }]

[[phases]]
name = "RELEASE"
approvals = [{ count = COUNT, by = ["bob", "carla", "lead", "ada"] }]

[[phases.artifacts]]
name = "note.md"
format = "markdown"
rules = [
  { id = "plan", kind = "sections", headings = ["Findings"], words = 3 },
  { id = "long", kind = "sections", headings = ["Findings"], words = 900 },
]

[[phases]]
name = "DONE"

[[phases.artifacts]]
name = "note.md"
format = "markdown"
rules = [{ id = "done", kind = "sections", headings = ["Findings"], words = 3 }]
"""
CARLA, LEAD, MALLORY = "carla", "lead", "mallory"
LONG = "# Note\n\n## Findings\n\n" + "The parser drops the last field of a record, and a guard keeps it. " * 80 + "\n"


def keygen(*args: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ssh-keygen", *args], input=data, capture_output=True, check=False)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for who in (ADA, BOB, CARLA, LEAD, MALLORY):
        assert keygen("-q", "-t", "ed25519", "-N", "", "-C", who, "-f", str(folder / who)).returncode == 0
    listed = [f"{who} {(folder / f'{who}.pub').read_text()}" for who in (ADA, BOB, CARLA, LEAD)]
    (folder / "signers").write_text("".join(listed))
    return folder


def given(base: Path, keys: Path, *, count: int = 1) -> World:
    """A task of Ada's in RELEASE, with a good note."""
    world = World(base, process=PROCESS.replace("COUNT", str(count)), git=True)
    (world.root / "process").mkdir()
    (world.root / "process" / "signers").write_text((keys / "signers").read_text())
    (world.root / "code.py").write_text("x = 1\n")
    world.init()
    world.git("add", "--all")
    world.git("commit", "--quiet", "--message", "begin")
    assert world.ask("open", "T").status == 0
    world.write("T", "IMPLEMENT")
    assert world.ask("advance", "T").status == 0
    world.write("T", "RELEASE", LONG)
    return world


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    return given(tmp_path, keys)


def approve(world: World, keys: Path, who: str, *args: str, status: int = 0) -> dict[str, Any]:
    reply = world.ask("approve", "T", "--sign-with", str(keys / who), "--yes", *args, actor=who)
    assert reply.status == status, reply
    told: dict[str, Any] = reply.json
    return told


def codes(told: dict[str, Any]) -> list[str]:
    return [refusal["code"] for refusal in told["refusals"]]


def advance(world: World) -> list[str]:
    return world.ask("advance", "T").codes


def stored(world: World, digest: str) -> bytes:
    return (world.root / "state" / "objects" / digest[:2] / digest[2:]).read_bytes()


# What counts


def test_nothing_passes_that_nobody_approved(world: World) -> None:
    assert advance(world) == ["approval_missing"]


def test_an_approval_of_exactly_this_lets_it_pass(world: World, keys: Path) -> None:
    told = approve(world, keys, BOB)
    assert (told["signed"], told["principal"]) == (True, BOB)
    assert world.ask("advance", "T").status == 0
    assert world.ask("verify").json["verdict"] == "verified"
    assert world.ask("audit", "T").status == 0


def test_what_was_signed_is_verified_by_the_stock_tool(world: World, keys: Path, tmp_path: Path) -> None:
    told = approve(world, keys, BOB)
    signature = tmp_path / "signature"
    signature.write_bytes(stored(world, told["signature"]))
    options = ("-Y", "verify", "-f", str(keys / "signers"), "-I", BOB, "-n", "enforcer-approval", "-s", str(signature))
    statement = stored(world, told["statement"])
    assert keygen(*options, data=statement).returncode == 0
    assert keygen(*options, data=statement.replace(b'"T"', b'"U"')).returncode != 0


def test_the_statement_names_exactly_what_is_there(world: World, keys: Path) -> None:
    told = approve(world, keys, BOB)
    statement = json.loads(stored(world, told["statement"]))
    assert list(statement["evidence"]) == ["RELEASE/note.md"]
    assert (statement["task"], statement["phase"], statement["principal"]) == ("T", "RELEASE", BOB)


def test_two_of_several_have_to_be_two(tmp_path: Path, keys: Path) -> None:
    world = given(tmp_path, keys, count=2)
    approve(world, keys, BOB)
    approve(world, keys, BOB)
    assert advance(world) == ["approval_missing"]
    approve(world, keys, CARLA)
    assert world.ask("advance", "T").status == 0


# What does not


def test_an_approval_of_one_text_is_none_of_another(world: World, keys: Path) -> None:
    approve(world, keys, BOB)
    world.write("T", "RELEASE", LONG + "And one more sentence that nobody has seen.\n")
    assert advance(world) == ["approval_missing"]


def test_an_approval_of_one_tree_is_none_of_another(world: World, keys: Path) -> None:
    approve(world, keys, BOB)
    (world.root / "code.py").write_text("x = 2\n")
    assert advance(world) == ["approval_missing"]


def test_an_approval_is_not_used_twice(world: World, keys: Path) -> None:
    approve(world, keys, BOB)
    assert world.ask("advance", "T").status == 0
    assert world.ask("backtrack", "T", "--to", "RELEASE", "--reason", "the same once more").status == 0
    assert advance(world) == ["approval_missing"]


def test_an_approval_that_has_expired_counts_no_more(tmp_path: Path, keys: Path) -> None:
    world = given(tmp_path, keys)
    clock = ManualClock()
    with world.library(BOB, clock=clock) as enforcer:
        task = enforcer.task("T")
        made = approvals.draft(task, approvals.Wish(lasting_us=60_000_000), str(keys / BOB))
        assert approvals.sign(task, made, str(keys / BOB))
    with world.library(ADA, clock=clock) as enforcer:
        clock.passing(60)
        assert [one.code for one in enforcer.task("T").advance().refusals] == ["approval_missing"]


def test_nobody_approves_their_own_work(world: World, keys: Path) -> None:
    assert codes(approve(world, keys, ADA, status=1)) == ["reviewer_is_author"]
    assert advance(world) == ["approval_missing"]


def test_an_unknown_key_is_refused(world: World, keys: Path) -> None:
    reply = world.ask("approve", "T", "--sign-with", str(keys / MALLORY), "--yes", actor=MALLORY)
    assert (reply.status, reply.codes) == (2, ["signer_unknown"])
    told = approve(world, keys, MALLORY, "--as", BOB, status=1)
    assert codes(told) == ["approval_invalid"]
    assert "approval_invalid" in world.ask("log", "T").out, "whoever tried it in another's name is on the record"
    assert advance(world) == ["approval_missing"]


def test_a_declaration_does_not_count_where_a_signature_is_asked_for(world: World) -> None:
    assert world.ask("approve", "T", "--unsigned", actor=BOB).status == 0
    assert advance(world) == ["approval_missing"]


def test_a_declaration_is_labelled_where_it_counts(tmp_path: Path, keys: Path) -> None:
    unsigned = PROCESS.replace('count = COUNT, by = ["bob", "carla", "lead", "ada"]', "signed = false")
    world = World(tmp_path, process=unsigned)
    (world.root / "process").mkdir()
    (world.root / "process" / "signers").write_text((keys / "signers").read_text())
    world.init()
    assert world.ask("open", "T").status == 0
    world.write("T", "IMPLEMENT")
    assert world.ask("advance", "T").status == 0
    world.write("T", "RELEASE", LONG)
    assert advance(world) == ["approval_missing"]
    assert world.ask("approve", "T", "--unsigned", actor=BOB).status == 0
    reply = world.ask("advance", "T", text=True)
    assert "declared: approval by bob" in reply.out


def test_a_rejection_stands_until_the_evidence_changes(world: World, keys: Path) -> None:
    approve(world, keys, BOB)
    approve(world, keys, CARLA, "--reject", "--reason", "the migration cannot be undone")
    refused = world.ask("advance", "T")
    assert refused.codes == ["approval_missing"]
    assert "cannot be undone" in refused.out
    world.write("T", "RELEASE", LONG + "It can be undone by the script beside it.\n")
    approve(world, keys, BOB)
    assert world.ask("advance", "T").status == 0


# Break-glass


def test_whoever_may_break_the_glass_waives_named_rules_for_a_while(world: World, keys: Path) -> None:
    world.write("T", "RELEASE", GOOD)
    waived = ("--waive", "long", "--artifact", "note.md", "--reason", "the site is down", "--expires", "1h")
    assert codes(approve(world, keys, BOB, *waived, status=1)) == ["approval_invalid"]
    assert set(advance(world)) == {"evidence_invalid", "approval_missing"}
    approve(world, keys, LEAD, *waived)
    assert advance(world) == ["approval_missing"], "a waiver is no approval"
    approve(world, keys, BOB)
    reply = world.ask("advance", "T", text=True)
    assert (reply.status, "waived: long" in reply.out) == (0, True)
    assert world.ask("verify").json["verdict"] == "verified"


def test_no_glass_is_broken_for_the_order(world: World, keys: Path) -> None:
    waived = ("--waive", "long", "--artifact", "note.md", "--reason", "the site is down")
    approve(world, keys, LEAD, *waived)
    assert world.ask("backtrack", "T", "--to", "IMPLEMENT", "--reason", "x").status == 0
    assert world.ask("advance", "T", "--to", "DONE").codes == ["phase_skip"]


# What is shown


def test_what_is_shown_obeys_no_character_of_the_evidence(world: World) -> None:
    world.write("T", "RELEASE", LONG + "\x1b[2J\x1b[1;1HAPPROVED\u202egnp.exe\r\x07\n")
    reply = world.ask("approve", "T", "--show", actor=BOB, text=True)
    assert reply.status == 0
    assert not {"\x1b", "\u202e", "\x07"} & set(reply.out)
    assert "APPROVED" in reply.out


def test_showing_records_nothing(world: World) -> None:
    before = world.ask("log", "T").json
    assert world.ask("approve", "T", "--show", actor=BOB).status == 0
    assert world.ask("log", "T").json == before


# Another process


def test_a_process_that_asks_for_approvals_is_not_left_without_one(world: World, keys: Path) -> None:
    weak = PROCESS.replace('approvals = [{ count = COUNT, by = ["bob", "carla", "lead", "ada"] }]\n', "")
    (world.root / "weak.toml").write_text(weak)
    adopt = ("process", "adopt", "T", "--process", "weak.toml", "--reason", "simpler", "--approver", BOB)
    refused = world.ask(*adopt)
    assert (refused.status, refused.codes) == (1, ["approval_missing"])
    approve(world, keys, BOB, "--adopt", "weak.toml", "--reason", "it is only a draft")
    assert world.ask(*adopt).status == 0
    assert world.ask("advance", "T").status == 0
    assert world.ask("verify").json["verdict"] == "verified"
