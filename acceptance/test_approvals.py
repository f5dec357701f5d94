"""Approvals by SSH keys: bound to exactly what is there, once, until they expire, and never of one's own work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from acceptance import tampering as forger
from acceptance.doubles import ManualClock
from acceptance.world import ADA, BOB, GOOD, World, digest
from acceptance.world import codes as codes_of
from enforcer import approvals
from enforcer.errors import RequestError

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


def given(base: Path, keys: Path, *, count: int = 1, options: str = "", process: str = PROCESS) -> World:
    """A task of Ada's in RELEASE, with a good note; `options` are those of Bob's key in the list."""
    world = World(base, process=process.replace("COUNT", str(count)), git=True)
    (world.root / "process").mkdir()
    listed = (keys / "signers").read_text().replace("bob ssh-", f"bob {options} ssh-" if options else "bob ssh-")
    (world.root / "process" / "signers").write_text(listed)
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
    assert world.ask("approve", "T", "--unsigned", "--yes", actor=BOB).status == 0
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
    assert world.ask("approve", "T", "--unsigned", "--yes", actor=BOB).status == 0
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


def test_a_waived_rule_is_a_note_of_an_audit_and_no_violation(world: World, keys: Path) -> None:
    world.write("T", "RELEASE", GOOD)
    approve(world, keys, LEAD, "--waive", "long", "--artifact", "note.md", "--reason", "the site is down")
    approve(world, keys, BOB)
    assert world.ask("advance", "T").status == 0
    seq, _ = event_of(world, "rules.waived")
    report = world.ask("audit", "T", "--rejudge")
    assert (report.status, report.json["verdict"]) == (0, "clean")
    [note] = report.json["findings"]
    assert (note["level"], note["code"]) == ("note", "evidence_invalid")
    assert f"lead had waived long in entry {seq}." in note["message"]


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


def test_nothing_is_signed_that_nobody_said_yes_to(world: World, keys: Path) -> None:
    before = world.lines()
    for how in (("--sign-with", str(keys / BOB)), ("--unsigned",)):
        for text in (True, False):
            reply = world.ask("approve", "T", *how, actor=BOB, text=text)
            assert (reply.status, "confirmation_missing" in reply.err) == (2, True)
    assert answered(world, keys, "n\n") == (2, "error not_confirmed: Nothing was signed.")
    assert world.lines() == before
    assert answered(world, keys, "y\n")[0] == 0
    assert len(world.lines()) == len(before) + 1


def answered(world: World, keys: Path, words: str) -> tuple[int, str]:
    """The exit status of an approval by Bob, who answers so on a terminal, and the last line of what it says to him."""
    ours, theirs = os.openpty()
    try:
        os.write(ours, words.encode())
        command = (sys.executable, "-m", "enforcer", "approve", "T", "--sign-with", str(keys / BOB), "--actor", BOB)
        environment = world.process_environment()
        done = subprocess.run(
            command, stdin=theirs, capture_output=True, text=True, check=False, cwd=world.root, env=environment
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1].rpartition("]: ")[2]


def test_how_far_a_demand_is_met_is_told(tmp_path: Path, keys: Path) -> None:
    world = given(tmp_path, keys, count=2)
    reply = world.ask("approve", "T", "--sign-with", str(keys / BOB), "--yes", actor=BOB, text=True)
    assert "  1 of 2: 2 signed approvals of bob, carla, lead, ada" in reply.out
    reply = world.ask("approve", "T", "--unsigned", "--yes", actor=CARLA, text=True)
    assert "it will not count: signatures are asked for here, and it has none" in reply.out
    told = approve(world, keys, CARLA)
    assert (told["counts"], [(one["met"], one["needed"]) for one in told["demands"]]) == (True, [(2, 2)])


def test_a_reviewer_is_shown_the_change_and_what_was_accepted_before(tmp_path: Path, keys: Path) -> None:
    diff = """[[phases.artifacts]]
name = "change.patch"
format = "diff"
rules = [{ id = "current", kind = "diff" }]

[[phases]]
name = "RELEASE"
"""
    before, _, after = PROCESS.partition('[[phases]]\nname = "RELEASE"\n')
    world = World(tmp_path, process=(before + diff + after).replace("COUNT", "1"), git=True)
    (world.root / "process").mkdir()
    (world.root / "process" / "signers").write_text((keys / "signers").read_text())
    (world.root / "code.py").write_text("x = 1\n")
    world.init()
    world.git("add", "--all")
    world.git("commit", "--quiet", "--message", "begin")
    assert world.ask("open", "T").status == 0
    (world.root / "code.py").write_text("x = 'the change\x1b[2J'\n")
    world.write("T", "IMPLEMENT")
    world.write("T", "IMPLEMENT", world.git("diff", "--binary", "--no-renames", "--", "code.py"), name="change.patch")
    assert world.ask("advance", "T").status == 0
    world.write("T", "RELEASE", LONG)

    shown = world.ask("approve", "T", "--show", actor=BOB, text=True).out
    assert "  | +x = 'the change\\u{1B}[2J'" in shown
    assert "it leads from the base to exactly the tree that is signed" in shown
    assert "accepted in earlier phases, not named by this signature:\nIMPLEMENT/note.md\n" in shown
    assert "claimed by the worker, entry 2" in shown

    (world.root / "code.py").write_text("x = 'something else'\n")
    shown = world.ask("approve", "T", "--show", actor=BOB, text=True).out
    assert "ANOTHER TREE:" in shown


def test_who_lets_a_task_move_is_shown_what_asks_for_less(world: World) -> None:
    weak = PROCESS.replace('approvals = [{ count = COUNT, by = ["bob", "carla", "lead", "ada"] }]\n', "")
    (world.root / "weak.toml").write_text(weak)
    words = ("approve", "T", "--show", "--adopt", "weak.toml", "--reason", "simpler")
    shown = world.ask(*words, actor=BOB, text=True).out
    assert "name of it:\n  | weak.toml (approved)\nWEAKER THAN THE PROCESS IN FORCE:\n  | RELEASE" in shown
    assert "tree:          the files are no part of this statement" in shown


# Another process


def test_a_process_that_asks_for_approvals_is_not_left_without_one(world: World, keys: Path) -> None:
    weak = PROCESS.replace('approvals = [{ count = COUNT, by = ["bob", "carla", "lead", "ada"] }]\n', "")
    (world.root / "weak.toml").write_text(weak)
    adopt = ("process", "adopt", "T", "--process", "weak.toml", "--reason", "simpler", "--approver", BOB)
    refused = world.ask(*adopt)
    assert (refused.status, refused.codes) == (1, ["approval_missing"])
    approve(world, keys, BOB, "--adopt", "weak.toml", "--reason", "it is only a draft")
    adopted = world.ask(*adopt)
    assert (adopted.status, adopted.json["approval"]) == (0, "signed")
    assert "(approved by bob, signed)" in world.ask("log", "T", text=True).out
    assert world.ask("advance", "T").status == 0
    assert world.ask("verify").json["verdict"] == "verified"


def test_a_signer_whom_the_process_does_not_ask_cannot_do_away_with_what_it_asks(tmp_path: Path, keys: Path) -> None:
    strict = PROCESS.replace("COUNT", "2").replace('by = ["bob", "carla", "lead", "ada"]', 'by = ["bob", "carla"]')
    world = given(tmp_path, keys, process=strict.replace('break_glass = ["lead"]', "break_glass = []"))
    (world.root / "weak.toml").write_text(PROCESS.replace("approvals = [{ count = COUNT, by", "# approvals = [{ by"))
    for who in (LEAD, BOB):
        approve(world, keys, who, "--adopt", "weak.toml", "--reason", "simpler")
        adopt = ("process", "adopt", "T", "--process", "weak.toml", "--reason", "simpler", "--approver", who)
        refused = world.ask(*adopt)
        assert (refused.status, refused.codes) == (1, ["approval_missing"])
        assert "It takes 2 signed approvals of bob, carla" in refused.out
    told = approve(world, keys, CARLA, "--adopt", "weak.toml", "--reason", "simpler")
    assert [(one["met"], one["needed"]) for one in told["demands"]] == [(2, 2)]
    assert world.ask(*adopt).status == 0


def test_who_may_break_the_glass_lets_a_task_move(tmp_path: Path, keys: Path) -> None:
    world = given(tmp_path, keys, count=2)
    (world.root / "weak.toml").write_text(PROCESS.replace("approvals = [{ count = COUNT, by", "# approvals = [{ by"))
    approve(world, keys, LEAD, "--adopt", "weak.toml", "--reason", "the site is down")
    adopt = ("process", "adopt", "T", "--process", "weak.toml", "--reason", "the site is down", "--approver", LEAD)
    assert world.ask(*adopt).status == 0
    assert world.ask("verify").json["verdict"] == "verified"


# A forger who can write everything, and has the ledger's key


def event_of(world: World, kind: str) -> tuple[int, dict[str, Any]]:
    """Number and data of the one entry of a type."""
    found = [(seq, json.loads(line)["event"]) for seq, line in enumerate(world.lines())]
    [one] = [(seq, event["data"]) for seq, event in found if event["type"] == forger.PREFIX + kind]
    return one


def put_object(world: World, data: bytes) -> str:
    name = digest(data)
    path = world.state / "objects" / name[:2] / name[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return name


def found_by_somebody_else(world: World, base: Path) -> tuple[dict[str, Any], dict[int, str]]:
    """What `verify` says to a user who has nothing but the files: the report, and what it calls a forged approval."""
    (base / "elsewhere").mkdir(exist_ok=True)
    report = World.at(world.root, base / "elsewhere").ask("verify").json
    told = {one["seq"]: one["message"] for one in report["findings"] if one["code"] == "approval_forged"}
    return report, told


def test_an_approval_that_was_written_into_the_ledger_is_found(world: World, keys: Path, tmp_path: Path) -> None:
    """It is like any other, but for the signature, and every hash fits: a command goes by it, and `verify` does not."""
    approve(world, keys, BOB)
    seq, said = event_of(world, "approval.granted")
    line = json.loads(world.lines()[seq])
    kept = world.lines()[:seq]
    invented = stored(world, said["statement"]).replace(said["nonce"].encode(), b"f" * 32)
    line["event"]["data"] |= {"nonce": "f" * 32, "statement": put_object(world, invented)}
    seed = (world.state / "ledger" / "ledger.json").read_bytes()
    world.segments()[-1].write_bytes(b"".join(each + b"\n" for each in (*kept, forger.fit(kept, line, seed))))
    for gone in (world.state / "ledger" / "checkpoint", *(world.state / "ledger" / "checkpoints").glob("*")):
        gone.unlink(missing_ok=True)
    world.forget_caches()
    mine = World.at(world.root, tmp_path / "mine")
    mine.home.mkdir()
    assert mine.ask("advance", "T").status == 0
    report, told = found_by_somebody_else(world, tmp_path)
    assert (report["verdict"], report["integrity"], report["legality"]) == ("tampered", "verified", "tampered")
    assert list(told) == [seq]
    assert "signature_mismatch" in told[seq]


def test_an_approval_of_one_text_is_not_turned_into_one_of_another(world: World, keys: Path, tmp_path: Path) -> None:
    """The history is told anew, with everything that it names, and sealed with the ledger's own key."""
    approve(world, keys, BOB)
    assert world.ask("advance", "T").status == 0
    other = (LONG + "And one more sentence that nobody has seen.\n").encode()
    name, size = put_object(world, other), len(other)
    approved, _ = event_of(world, "approval.granted")

    def edit(number: int, entry: dict[str, Any]) -> None:
        data = entry["event"]["data"]
        if number == approved:
            data["evidence"] = {"RELEASE/note.md": name}
        elif data.get("start") == "RELEASE":
            data["evidence"] = [{**one, "digest": name, "size": size} for one in data["evidence"]]

    ledger = world.state / "ledger"
    seed = (ledger / "ledger.json").read_bytes()
    lines = forger.rewrite(world.lines(), seed, edit)
    assert lines != world.lines()
    world.segments()[-1].write_bytes(b"".join(line + b"\n" for line in lines))
    identity = json.loads(seed)
    signer = forger.Signer.stolen(world.home / "enforcer" / identity["id"] / "signing-key.pem")
    for old in (ledger / "checkpoints").glob("*"):
        old.unlink()
    (ledger / "checkpoint").write_bytes(signer.checkpoint(identity["origin"], lines))
    world.forget_caches()

    report, told = found_by_somebody_else(world, tmp_path)
    assert (report["verdict"], report["integrity"], report["sealed_to"]) == ("tampered", "verified", len(lines))
    assert list(told) == [approved]
    assert told[approved].endswith("What was signed has another evidence than the entry.")


def test_without_the_objects_nobody_is_accused(world: World, keys: Path) -> None:
    told = approve(world, keys, BOB)
    (world.state / "objects" / told["signature"][:2] / told["signature"][2:]).unlink()
    reply = world.ask("verify")
    assert (reply.status, reply.json["verdict"]) == (2, "unverifiable")
    assert {one["code"] for one in reply.json["findings"]} == {"object_missing", "approval_unchecked"}


# What is recorded of a signature that does not hold


def test_the_ledger_names_the_fault_of_a_signature(world: World, keys: Path) -> None:
    approve(world, keys, MALLORY, "--as", BOB, status=1)
    [refused] = [event for event in world.events("command.refused") if event["data"]["command"] == "approve"]
    assert refused["data"]["refusals"][0]["message"].startswith("signer_unknown: ")


def test_a_key_that_is_over_by_the_time_of_the_ledger_approves_nothing(tmp_path: Path, keys: Path) -> None:
    """A clock that was set back makes no key valid again: the entry would be dated after its end."""
    world = given(tmp_path, keys, options='valid-before="21000101Z"')
    clock = ManualClock()  # It begins with the year 2100, and the key ends with that moment.
    clock.passing(60)
    with world.library(ADA, clock=clock) as enforcer:
        assert not enforcer.task("T").advance(), "so much for the time of the ledger"
    clock.passing(-3600)
    with world.library(BOB, clock=clock) as enforcer:
        task = enforcer.task("T")
        made = approvals.draft(task, approvals.Wish(), str(keys / BOB))
        outcome = approvals.sign(task, made, str(keys / BOB))
        assert [one.message for one in outcome.refusals] == ["The key that signed it is not valid at this time."]
    assert world.ask("verify").json["verdict"] == "verified"


def test_what_was_signed_under_another_process_is_not_held_against_this_one(world: World, keys: Path) -> None:
    with world.library(BOB) as enforcer:
        task = enforcer.task("T")
        made = approvals.draft(task, approvals.Wish(), str(keys / BOB))
        moved = approvals.Draft(made.statement.replace(process="e" * 64), made.contents)
        outcome = approvals.sign(task, moved, str(keys / BOB))
        assert codes_of(outcome) == {"approval_invalid"}
        assert outcome.refusals[0].message.startswith("statement_other: ")
        assert approvals.sign(task, made, str(keys / BOB))


def test_what_has_changed_meanwhile_is_not_shown_for_what_would_be_signed(world: World) -> None:
    with world.library(BOB) as enforcer:
        made = approvals.draft(enforcer.task("T"), approvals.Wish())
    assert LONG.splitlines()[0] in made.text
    changed = approvals.Draft(made.statement, {"RELEASE/note.md": b"# Another note\n"})
    with pytest.raises(RequestError) as caught:
        _ = changed.text
    assert caught.value.code == "content_changed"
