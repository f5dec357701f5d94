"""An auditor comes later, and asks: is the evidence what was accepted, and would it be accepted again?"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from acceptance.doubles import QuickDisk
from acceptance.walks import Walk
from acceptance.world import BAD, GOOD, World, canonical, digest, plain_process


def codes(reply: Any) -> list[tuple[str, str]]:
    """Phase and code of everything that speaks against the evidence."""
    return [(one["phase"], one["code"]) for one in reply.json["findings"] if one["level"] == "violation"]


def keep(world: World, content: str) -> dict[str, Any]:
    """Store bytes as an object, as whoever can write the state folder can; how an entry names them."""
    name = digest(content)
    path = world.root / "state" / "objects" / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    return {"artifact": "note.md", "digest": name, "size": len(content.encode())}


def forge_advance(world: World, to: str, content: str) -> None:
    """Append an entry that chains and is in order: the task leaves its phase on bytes of the forger's choice."""
    last = json.loads(world.lines()[-1])
    assert last["event"]["type"].endswith("phase.advanced")
    leaf = hashlib.sha256(b"\0" + world.lines()[-1]).hexdigest()
    data = {**last["event"]["data"], "start": last["event"]["data"]["to"], "to": to, "attempt_id": "f" * 32}
    data.pop("lease", None)
    data["evidence"] = [keep(world, content)]
    event = {**last["event"], "id": "T/.forged", "data": data}
    forged = {**last, "event": event, "prev": leaf, "task_prev": leaf, "seq": last["seq"] + 1}
    forged["task_seq"] += 1
    with world.segments()[-1].open("ab") as file:
        file.write(canonical(forged) + b"\n")


# Judging again


def test_an_honest_walk_with_ways_back_is_clean_when_it_is_judged_again(repository: World) -> None:
    Walk(repository, "T", seed=3, backtracks=2).whole()

    reply = repository.ask("audit", "--rejudge")

    assert reply.status == 0, reply.out
    assert codes(reply) == []
    assert reply.json["judged"] >= 16
    assert {one["kind"] for one in reply.json["unjudged"]} == {"diff", "files", "tree", "commit"}
    assert repository.ask("audit", "T", "--rejudge", "--stored").status == 0


def test_a_forged_advance_that_chains_is_found_by_judging_its_bytes_again(world: World) -> None:
    world.given_task("T", "SPEC")
    forge_advance(world, "PLAN", BAD)
    world.write("T", "SPEC", BAD)

    assert world.ask("audit", "T").status == 0
    reply = world.ask("audit", "T", "--rejudge")

    assert (reply.status, codes(reply)) == (1, [("SPEC", "evidence_invalid")])
    finding = reply.json["findings"][0]
    assert (finding["task"], finding["artifact"]) == ("T", "note.md")
    assert finding["seq"] == len(world.lines()) - 1
    assert finding["fix"]


def test_a_kept_verdict_does_not_speak_for_forged_evidence(world: World) -> None:
    """Whatever the caches say, the bytes are put to the rules."""
    world.given_task("T", "SPEC")
    world.ask("evidence", "check", "T", actor=None)
    forge_advance(world, "PLAN", BAD)
    world.write("T", "SPEC", BAD)
    shutil.copytree(world.root / "state" / "ledger", world.root.parent / "copy")
    first = world.ask("audit", "--rejudge")
    world.forget_caches()

    assert codes(world.ask("audit", "--rejudge")) == codes(first) == [("SPEC", "evidence_invalid")]


def test_judging_again_asks_the_process_of_then(world: World) -> None:
    world.given_task("T", "SPEC")
    (world.root / "process.toml").write_text(plain_process(section="Conclusions"), encoding="utf-8")

    assert world.ask("audit", "--rejudge").status == 0
    reply = world.ask("process", "adopt", "T", "--process", "process.toml", "--reason", "r", "--approver", "eve")
    assert reply.status == 0, reply
    assert world.ask("audit", "--rejudge").status == 0


def test_a_line_that_was_edited_below_a_snapshot_is_told_to_nobody(world: World) -> None:
    """What a snapshot spares from being taken in again is held against the chain wherever it is read."""
    world.given_task("T", "PLAN", disk=QuickDisk())
    enforcer = world.library(disk=QuickDisk())
    for number in range(300):
        enforcer.open_task(f"U-{number}")
    enforcer.close()
    assert (world.root / "state" / "ledger" / ".cache" / "snapshot").exists()
    (segment,) = world.segments()
    lines = segment.read_bytes().splitlines(keepends=True)
    accepted = next(number for number, line in enumerate(lines) if b'"dev.enforcer.phase.advanced"' in line)
    forged = keep(world, BAD)
    lines[accepted] = lines[accepted].replace(digest(GOOD).encode(), forged["digest"].encode())
    assert forged["digest"].encode() in lines[accepted]
    segment.write_bytes(b"".join(lines))

    assert world.status("T")["phase"] == "PLAN"  # The snapshot is believed, and rightly so.
    for words in (("audit", "T", "--rejudge"), ("log", "T"), ("export", "T", "--format", "cloudevents")):
        reply = world.ask(*words)
        assert (reply.status, reply.json["error"]["code"]) == (2, "ledger_task_chain_broken"), words
        assert forged["digest"] not in reply.out
    for whole in (("audit",), ("audit", "--rejudge"), ("log",)):
        reply = world.ask(*whole)
        assert (reply.status, reply.json["error"]["code"]) == (2, "ledger_chain_broken"), whole
    told = world.ask("log", text=True)
    assert told.status == 2
    assert len(told.out.splitlines()) == accepted


# The working files


def test_a_named_task_whose_diff_is_no_longer_what_git_says_is_stale(repository: World) -> None:
    Walk(repository, "T", seed=5).to("REVIEW")
    assert codes(repository.ask("audit", "T")) == []
    (repository.root / "afterthought.py").write_text("x = 1\n", encoding="utf-8")

    named, whole = repository.ask("audit", "T"), repository.ask("audit")

    assert (named.status, codes(named)) == (1, [("IMPLEMENT", "evidence_stale")])
    assert whole.status == 0
    assert "evidence_stale" in {one["code"] for one in whole.json["findings"]}


def test_what_a_backtrack_left_in_the_folder_is_noted_as_stale(world: World) -> None:
    world.given_task("T", "THINK")
    assert world.ask("backtrack", "T", "--to", "SPEC", "--reason", "r").status == 0

    reply = world.ask("audit", "T")

    assert reply.status == 0
    assert [(one["phase"], one["code"], one["level"]) for one in reply.json["findings"]] == [
        ("SPEC", "evidence_stale", "note"),
        ("PLAN", "evidence_stale", "note"),
    ]


# No ledger


def test_a_folder_without_a_ledger_is_judged_like_at_the_gate(world: World, tmp_path: Path) -> None:
    for task, content in (("T", GOOD), ("U", BAD)):
        for phase in ("STRATEGIZE", "SPEC"):
            world.write(task, phase, content)
    folder = world.root.parent / "handed-over"
    shutil.move(world.root / "state" / "evidence", folder)
    shutil.rmtree(world.root / "state")
    (world.root / "enforcer.toml").unlink()

    reply = world.ask("audit", "--evidence", str(folder), "--process", str(world.root / "process.toml"))

    assert reply.status == 1
    assert [(one["task"], one["phase"], one["code"]) for one in reply.json["findings"]] == [
        ("U", "STRATEGIZE", "evidence_invalid"),
        ("U", "SPEC", "evidence_invalid"),
    ]
    honest, liar = reply.json["courses"]
    assert (honest["passed"], honest["refused"]) == (["STRATEGIZE", "SPEC"], [])
    assert (liar["passed"], liar["refused"]) == ([], ["STRATEGIZE", "SPEC"])
    one = world.ask("audit", "T", "--evidence", str(folder), "--process", str(world.root / "process.toml"))
    assert (one.status, one.json["tasks"]) == (0, 1)
    assert not (world.root / "state").exists()


def test_evidence_of_a_whole_walk_passes_the_shipped_process_without_its_ledger(repository: World) -> None:
    Walk(repository, "T", seed=8).whole()

    reply = repository.ask("audit", "--evidence", str(repository.root / "state" / "evidence"))

    assert (reply.status, codes(reply)) == (0, []), reply.out
    [course] = reply.json["courses"]
    assert course["refused"] == course["absent"] == []
    assert {"IMPLEMENT", "REVIEW", "PR"} <= set(course["partly"])


@pytest.mark.parametrize("name", ["nowhere", "empty", "T"])
def test_no_evidence_is_no_answer(bare: World, name: str) -> None:
    (bare.root / "empty").mkdir()
    words = ("T", "--evidence", str(bare.root / "empty")) if name == "T" else ("--evidence", str(bare.root / name))

    reply = bare.ask("audit", *words)

    assert reply.status == 2
    assert "no_evidence" in reply.out


# Answers


def test_the_three_formats_tell_the_same(world: World) -> None:
    world.given_task("T", "THINK")
    world.write("T", "SPEC", "changed")
    world.evidence("T", "PLAN").unlink()

    told = world.ask("audit")
    text = world.ask("audit", "--format", "text", text=True)
    log = json.loads(world.ask("audit", "--format", "sarif", text=True).out)

    assert world.ask("audit", "--format", "json", text=True).json == told.json
    assert text.status == told.status == 1
    found = [(one["code"], one["phase"]) for one in told.json["findings"]]
    results = log["runs"][0]["results"]
    assert found == [("evidence_changed", "SPEC"), ("evidence_missing", "PLAN")]
    assert [result["ruleId"] for result in results] == [code for code, _ in found]
    assert [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in results] == [
        "state/evidence/T/spec/note.md",
        "state/evidence/T/plan/note.md",
    ]
    lines = text.out.splitlines()
    assert lines[0] == "violated: 1 task, 3 accepted artifacts, 2 violations"
    assert lines[2:5] == ["T", "  SPEC", lines[4]]
    assert lines[4].startswith("    evidence_changed note.md: ")


def test_no_control_character_of_a_name_or_a_file_reaches_a_terminal(world: World) -> None:
    world.given_task("T", "THINK")
    for name in ("\x1b[2J", "a\u202eb"):
        (world.root / "state" / "evidence" / name).mkdir()
        (world.evidence("T", "SPEC").parent / name).write_text("x", encoding="utf-8")
    hostile = world.root / "\x1b[31m"
    shutil.copytree(world.root / "state" / "evidence", hostile, dirs_exist_ok=True)
    process = str(world.root / "process.toml")

    for words in ((), ("--evidence", str(hostile), "--process", process)):
        for form in ("text", "json", "sarif"):
            reply = world.ask("audit", *words, "--format", form, text=True)
            assert reply.status == 1
            assert "\x1b" not in reply.out + reply.err
            assert "\u202e" not in reply.out + reply.err


@pytest.mark.parametrize(
    "words",
    [
        ("--format", "sarif", "--json"),
        ("--process", "default"),
        ("--evidence", ".", "--rejudge"),
        ("--evidence", ".", "--stored"),
        ("--format", "xml"),
        ("--evidence", ".", "--process", "no-such-process"),
    ],
)
def test_a_mistaken_call_is_no_answer(world: World, words: tuple[str, ...]) -> None:
    reply = world.ask("audit", *words, text=True)
    assert reply.status == 2
    assert reply.err.startswith(("error usage", "error bad_process"))


def test_an_audit_writes_nothing(world: World) -> None:
    world.given_task("T", "THINK")
    world.write("T", "SPEC", "changed")
    before = world.snapshot()

    for words in ((), ("--rejudge",), ("--stored",), ("--format", "sarif"), ("--evidence", str(world.root / "state"))):
        world.ask("audit", *words, text="--format" in words)

    assert world.snapshot() == before


def test_a_guarded_worker_may_audit(world: World) -> None:
    world.given_task("T")
    assert world.guard("T", "Bash", command="enforcer audit T --rejudge --format sarif").json["verdict"] == "allow"
