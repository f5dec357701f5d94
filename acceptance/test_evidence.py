"""What stands in the evidence folder, and what is only made to look as if it stood there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from acceptance.walks import Walk
from acceptance.world import BAD, GOOD, World, digest

LARGE = 1 << 30


def test_a_phase_without_its_evidence_cannot_be_left(world: World) -> None:
    world.given_task("T")

    reply = world.ask("advance", "T")

    assert (reply.status, reply.codes) == (1, ["evidence_missing"])
    refusal = reply.json["refusals"][0]
    assert (refusal["phase"], refusal["artifact"]) == ("STRATEGIZE", "note.md")
    assert refusal["fix"]


def test_a_document_without_its_section_cannot_leave_the_phase(world: World) -> None:
    world.given_task("T")
    world.write("T", "STRATEGIZE", BAD)

    assert world.ask("advance", "T").codes == ["evidence_invalid"]


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"## Findings\n\xff\xfe broken\n", b"## Findings\n\nwith a \x00 byte\n"]
)
def test_empty_and_undecodable_documents_are_invalid(world: World, content: bytes) -> None:
    world.given_task("T")
    world.write("T", "STRATEGIZE", content)

    reply = world.ask("advance", "T")

    assert (reply.status, reply.codes) == (1, ["evidence_invalid"])


def test_an_untouched_scaffold_is_refused(world: World) -> None:
    world.given_task("T")
    assert world.ask("scaffold", "T").status == 0

    assert world.ask("advance", "T").status == 1
    assert world.status()["phase"] == "STRATEGIZE"


def test_evidence_of_the_wrong_phase_folder_does_not_count(world: World) -> None:
    world.given_task("T")
    world.write("T", "SPEC")

    assert world.ask("advance", "T").codes == ["evidence_missing"]


def test_evidence_of_another_task_does_not_count(world: World) -> None:
    world.given_task("T")
    world.given_task("U")
    world.write("U", "STRATEGIZE")

    assert world.ask("advance", "T").codes == ["evidence_missing"]


def symlink(path: Path) -> None:
    outside = path.parent.parent / "elsewhere.md"
    outside.write_text(GOOD, encoding="utf-8")
    path.symlink_to(outside)


def hard_link(path: Path) -> None:
    outside = path.parent.parent / "elsewhere.md"
    outside.write_text(GOOD, encoding="utf-8")
    os.link(outside, path)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def oversized(path: Path) -> None:
    with open(path, "wb") as file:
        file.write(GOOD.encode())
        file.truncate(LARGE)


def folder(path: Path) -> None:
    path.mkdir()


def dangling(path: Path) -> None:
    path.symlink_to("nowhere.md")


@pytest.mark.parametrize("make", [symlink, hard_link, fifo, oversized, folder, dangling])
def test_what_is_no_plain_file_of_modest_size_is_refused_as_unsafe(world: World, make) -> None:
    world.given_task("T")
    path = world.evidence("T", "STRATEGIZE")
    path.parent.mkdir(parents=True)
    make(path)

    reply = world.ask("advance", "T")

    assert (reply.status, reply.codes) == (1, ["evidence_unsafe"])
    assert world.status()["phase"] == "STRATEGIZE"


def test_a_symlinked_phase_folder_is_refused_as_unsafe(world: World, tmp_path: Path) -> None:
    world.given_task("T")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "note.md").write_text(GOOD, encoding="utf-8")
    path = world.evidence("T", "STRATEGIZE")
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    path.parent.symlink_to(elsewhere)

    reply = world.ask("advance", "T")

    assert (reply.status, reply.codes) == (1, ["evidence_unsafe"])


def test_the_bytes_judged_are_the_bytes_recorded_and_stored(world: World) -> None:
    world.given_task("T")
    world.write("T", "STRATEGIZE")

    assert world.ask("advance", "T").status == 0
    world.write("T", "STRATEGIZE", "changed afterwards")

    [accepted] = world.events("phase.advanced")[0]["data"]["evidence"]
    assert accepted["digest"] == digest(GOOD)
    assert accepted["size"] == len(GOOD.encode())
    objects = [path.read_bytes() for path in (world.root / "state" / "objects").rglob("*") if path.is_file()]
    assert GOOD.encode() in objects


def test_changing_an_accepted_document_refuses_every_later_advance(world: World) -> None:
    world.given_task("T", "THINK")
    world.write("T", "THINK")
    world.write("T", "SPEC", GOOD + "\nOne more thought.\n")

    reply = world.ask("advance", "T")

    assert reply.codes == ["upstream_changed"]
    refusal = reply.json["refusals"][0]
    assert (refusal["phase"], refusal["artifact"]) == ("SPEC", "note.md")


def test_deleting_an_accepted_document_refuses_every_later_advance(world: World) -> None:
    world.given_task("T", "THINK")
    world.write("T", "THINK")
    world.evidence("T", "PLAN").unlink()

    assert world.ask("advance", "T").codes == ["upstream_changed"]


def test_a_refusal_names_every_fault_of_the_evidence_at_once(world: World) -> None:
    world.given_task("T", "THINK")
    world.evidence("T", "STRATEGIZE").unlink()
    world.write("T", "SPEC", "changed")

    reply = world.ask("advance", "T")

    found = {(refusal["code"], refusal["phase"]) for refusal in reply.json["refusals"]}
    assert found == {
        ("evidence_missing", "THINK"),
        ("upstream_changed", "STRATEGIZE"),
        ("upstream_changed", "SPEC"),
    }


def test_restore_puts_accepted_evidence_back_and_keeps_what_it_replaced(world: World) -> None:
    world.given_task("T", "THINK")
    world.write("T", "THINK")
    world.write("T", "SPEC", "changed")
    world.evidence("T", "PLAN").unlink()

    assert world.ask("evidence", "restore", "T").status == 0

    assert world.evidence("T", "SPEC").read_text(encoding="utf-8") == GOOD
    assert world.evidence("T", "PLAN").read_text(encoding="utf-8") == GOOD
    data = world.events("evidence.restored")[0]["data"]
    assert data["restored"] == {"SPEC/note.md": digest(GOOD), "PLAN/note.md": digest(GOOD)}
    assert data["replaced"]["SPEC/note.md"] == digest("changed")
    assert world.ask("advance", "T").status == 0
    assert world.verdict() == "verified"


def test_restore_with_nothing_to_restore_writes_nothing(world: World) -> None:
    world.given_task("T", "THINK")
    before = world.lines()

    assert world.ask("evidence", "restore", "T").status == 0
    assert world.lines() == before


def test_status_and_audit_show_what_falls_with_a_changed_document(world: World) -> None:
    world.given_task("T", "THINK")
    world.write("T", "SPEC", "changed")

    audit = world.ask("audit", "T")

    assert audit.status == 1
    assert "SPEC/note.md" in audit.out
    assert "SPEC/note.md" in world.ask("explain", "T", text=True).out


def test_checking_evidence_records_nothing(world: World) -> None:
    world.given_task("T")
    before = world.snapshot()

    world.ask("evidence", "check", "T", actor=None)
    world.ask("evidence", "list", "T", actor=None)
    world.ask("advance", "T", "--dry-run")

    assert world.snapshot() == before


@pytest.mark.parametrize(
    "text",
    [
        '{"files": [], "files": [{"path": "a.py", "action": "modify", "why": "It is wrong."}]}',
        '{"files": [{"path": "a.py", "action": "modify", "why": "x", "why": "It is wrong."}]}',
        '{"files": NaN}',
        '{"files": [1e999]}',
        '{"files": ["\\ud800"]}',
        '{"files": ' + "[" * 5_000 + "]" * 5_000 + "}",
        '\ufeff{"files": []}',
        '{"files": []} trailing',
        "",
    ],
    ids=["duplicate key", "nested duplicate key", "NaN", "1e999", "surrogate", "deep", "BOM", "trailing", "empty"],
)
def test_what_only_a_lenient_parser_reads_is_refused(repository: World, text: str) -> None:
    Walk(repository, "T", seed=1).to("PLAN").write()
    repository.write("T", "PLAN", text, "file_map.json")

    reply = repository.ask("advance", "T")

    assert reply.status == 1
    faults = {(refusal["code"], refusal["artifact"]) for refusal in reply.json["refusals"]}
    assert faults == {("evidence_invalid", "file_map.json")}
