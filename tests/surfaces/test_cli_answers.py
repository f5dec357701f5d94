"""What commands about keys, anchors and proofs tell people, and what they ask of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from enforcer.surfaces.cli.keys import SHOWN
from tests.surfaces.command import Project


def rotated(project: Project) -> list[str]:
    """The keys of a ledger that has changed hands once, the one in force last."""
    project.given()
    project.done("key", "rotate", "--overlap", "0")
    project.done("checkpoint")
    return [one["vkey"] for one in project.done("key", "show")["keys"]]


def test_the_key_to_pin_is_one_bare_line(project: Project) -> None:
    old, new = rotated(project)
    assert project.call("key", "show", "--current").out == f"{new}\n"
    assert [one["vkey"] for one in project.done("key", "show", "--current")["keys"]] == [new]
    shown = project.call("key", "show").out.splitlines()
    assert (shown[0], shown[2]) == (old, new)
    assert "retired" in shown[1]
    assert [line[:4] for line in (shown[1], shown[3])] == ["    "] * 2


def test_a_ledger_without_a_key_has_none_to_pin(project: Project) -> None:
    project.given()
    identity = project.root / "state" / "ledger" / "ledger.json"
    vkey = project.done("key", "show")["here"]
    identity.write_bytes(identity.read_bytes().replace(f'"{vkey}"'.encode(), b"null"))
    for path in (project.root / "state" / "ledger" / "seg").iterdir():
        path.unlink()
    reply = project.call("key", "show", "--current")
    assert (reply.status, reply.out) == (2, "")


def test_a_key_may_be_pasted_with_its_remark(project: Project, tmp_path: Path) -> None:
    _, new = rotated(project)
    pasted = "\n".join(project.call("key", "show").out.splitlines()[2:4])
    (tmp_path / "keys").write_text(pasted, encoding="utf-8")
    for given in (new, pasted, f"  {new}  (a remark)", str(tmp_path / "keys")):
        assert project.ask("verify", "--require-key", "--key", given).json["key"] == "pinned"


def test_to_give_up_a_key_without_an_anchor_has_to_be_said(project: Project) -> None:
    subprocess.run(["git", "init", "-q", str(project.root)], check=True)
    project.given()
    words = ("key", "compromised", "--reason", "stolen")
    bare = project.ask(*words).json["error"]
    project.done("anchor", "git")
    project.done("open", "U")
    project.done("anchor", "file", str(project.home / "kept"))
    before = project.done("status")
    hinted = project.ask(*words).json["error"]

    assert {bare["code"], hinted["code"]} == {"anchor_needed"}
    assert "tells of" not in bare["message"]
    assert "anchors of 2, 3 entries" in hinted["message"]
    assert f"refs/enforcer/anchors/{before['ledger']} is in this clone" in hinted["message"]
    assert "--no-anchor" in hinted["fix"]
    assert project.done("status") == before
    assert project.done(*words, "--no-anchor")["trusted"] == 0


def test_what_is_next_after_a_key_was_given_up_fits_a_screen(project: Project) -> None:
    project.given()
    for number in range(SHOWN + 1):
        project.done("open", f"U{number}")
    told = project.call("key", "compromised", "--reason", "stolen", "--no-anchor").out.splitlines()
    steps = [line for line in told if line.startswith("next: ")]
    assert len(steps) == SHOWN
    assert [word in step for word, step in zip(("pin", "publish", "anchor"), steps[-3:], strict=True)] == [True] * 3
    assert "      and 5 tasks more; --json lists all" in told


def test_verify_names_the_witnesses_and_counts_in_words(project: Project, tmp_path: Path) -> None:
    project.done("init", "--process", "process.toml")
    project.done("checkpoint")
    witness = project.done("witness", "init", "--name", "host.example/w1")["vkey"]
    key, note = project.done("key", "show")["here"], str(tmp_path / "note")
    project.done("witness", "cosign", str(project.root / "state" / "ledger"), "--key", key, "--out", note)
    project.done("checkpoint", "--cosigned", note, "--key", witness)

    told = project.call("verify", "--key", key, "--key", witness, "--require-anchor").out
    assert told.startswith("unverifiable, with 1 finding below: 1 entry, head ")
    assert "  cosigned   by host.example/w1, to 1 entry\n" in told
    assert "  sealed to 1 entry\n" in told


def test_a_proof_says_how_far_evidence_was_compared(project: Project, tmp_path: Path) -> None:
    project.given(phase="CHECK")
    key = project.done("key", "show")["here"]
    for more, bytes_in in (((), 0), (("--embed",), 1)):
        project.done("export", "T", "--out", str(tmp_path), *more)
        told = project.call("verify-proof", str(tmp_path / "T.receipt.json"), "--key", key).out
        assert f"  evidence   verified (digests; bytes of {bytes_in} of 1 in the file)\n" in told


def test_what_is_neither_receipt_nor_proof_is_told_what_is(project: Project) -> None:
    told = project.call("verify-proof", "process.toml").out
    assert "a receipt (enforcer export TASK) or a .tlog-proof (enforcer prove SEQ)" in told
