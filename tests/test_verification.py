"""What a ledger is held against when it is verified, and what is remembered of it afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enforcer.attestation.keys import parse_private
from enforcer.attestation.signer import Key
from enforcer.errors import DamagedError, EnforcerError, RequestError
from enforcer.evidence.git.refs import Blob, Refs
from enforcer.keyring import rotate
from enforcer.ledger.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from enforcer.ledger.note import COSIGNATURE, format_note, format_vkey, parse_note
from enforcer.ledger.report import Report
from enforcer.pinned import read_keys
from enforcer.publication import anchor_to_file, publish
from tests.publishing import House, git


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.work("T")
    return made


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def told(report: Report, code: str) -> tuple[int, bool]:
    """The exit status, and whether a finding is among those that the report has."""
    return report.exit_status, code in codes(report)


def refused(house: House, **asked: Any) -> str:
    with pytest.raises(EnforcerError) as caught:
        house.verify(**asked)
    return caught.value.code


def refs_of(house: House) -> Refs:
    refs = Refs.find(str(house.top))
    assert refs is not None
    return refs


def commit(house: House, files: dict[str, bytes], ref: str = "refs/enforcer/forged") -> str:
    """A commit of files by whoever can push."""
    refs = refs_of(house)
    return refs.advance(ref, {path: refs.store(data) for path, data in files.items()}, before=None, message="m\n")


def cut(house: House, lines: int) -> None:
    """Only the first lines stay, and nothing beside them tells of more."""
    house.enforcer.close()
    data = house.segment.read_bytes().splitlines(keepends=True)
    house.segment.write_bytes(b"".join(data[:lines]))
    for name in ("checkpoints", "anchors", ".cache"):
        shutil.rmtree(house.state / "ledger" / name, ignore_errors=True)
    (house.state / "ledger" / "checkpoint").unlink(missing_ok=True)


# A published ledger


def test_a_published_ledger_is_verified_without_the_one_in_state(house: House) -> None:
    done = publish(house.enforcer)
    entries = house.enforcer.ledger.head.size
    house.enforcer.close()
    shutil.rmtree(house.state)

    for name in (house.ref, done.commit):
        report = house.verify(ref=name)
        assert (report.verdict, report.entries, report.sealed_to) == ("verified", entries, done.size)


@pytest.mark.parametrize(
    "ref, code",
    [
        ("refs/enforcer/none", "ref_missing"),
        ("-x", "ref_missing"),
        ("a\0b", "ref_missing"),
        ("main", "not_published"),
    ],
)
def test_a_ref_that_is_no_ledger_is_told(house: House, ref: str, code: str) -> None:
    commit(house, {"README": b"x"}, "refs/heads/main")
    publish(house.enforcer)

    assert refused(house, ref=ref) == code
    if code != "ref_missing":
        assert refused(house, base=ref) == code


def test_a_ref_outside_of_git_is_told(tmp_path: Path) -> None:
    assert refused(House(tmp_path, repository=False), ref="HEAD") == "no_repository"


def test_paths_that_lead_out_of_the_folder_are_not_written(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git itself makes no such tree; whoever sends one writes it by hand."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    published = publish(house.enforcer)
    blob = git(house.top, "rev-parse", f"{published.commit}:ledger/ledger.json")
    inner = hand_made(house, [("100644", "planted", blob)], "tree")
    tree = git(house.top, "rev-parse", f"{published.commit}:ledger")
    objects = git(house.top, "rev-parse", f"{published.commit}:objects")
    top = hand_made(
        house,
        [
            ("40000", "..", inner),
            ("120000", "guard", blob),
            ("40000", "ledger", tree),
            ("40000", "objects", objects),
            ("40000", "state", inner),
        ],
        "tree",
    )
    made = git(house.top, "commit-tree", "-m", "m", top)

    report = house.verify(ref=made)

    assert report.verdict == "verified"
    assert not list(tmp_path.rglob("planted"))
    assert not list((tmp_path / "temporary").iterdir())


def hand_made(house: House, entries: list[tuple[str, str, str]], kind: str) -> str:
    data = b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(blob) for mode, name, blob in entries)
    command = ("git", "hash-object", "-t", kind, "-w", "--stdin", "--literally")
    return subprocess.run(command, cwd=house.top, input=data, check=True, capture_output=True).stdout.decode().strip()


def test_a_file_larger_than_any_ledgers_is_told_before_it_is_read(house: House) -> None:
    seed = (house.state / "ledger" / "ledger.json").read_bytes()
    made = commit(house, {"ledger/ledger.json": seed, "ledger/checkpoint": b"x" * 1_000_001})

    assert refused(house, ref=made) == "publication_oversized"
    assert refused(house, base=made) == "publication_oversized"


def test_a_commit_whose_files_are_not_here_is_told(house: House) -> None:
    refs = refs_of(house)
    identity = refs.store((house.state / "ledger" / "ledger.json").read_bytes())
    made = refs.advance("refs/x", {"ledger/ledger.json": identity}, before=None, message="m\n")
    path = house.top / ".git" / "objects" / identity.name[:2] / identity.name[2:]
    path.chmod(0o644)
    path.unlink()

    assert refused(house, ref=made) == "git_object_missing"
    assert Blob(identity.name, -1) in refs.files(made).values()


def test_another_ledger_under_the_name_of_a_ledger_is_told(house: House, tmp_path: Path) -> None:
    publish(house.enforcer)
    other = House(tmp_path / "other")
    commit(house, other.files(publish(other.enforcer).commit), f"refs/pull/{house.ledger}")

    assert told(house.verify(ref=f"refs/pull/{house.ledger}"), "ledger_replaced") == (1, True)


# A base


def test_how_a_ledger_stands_to_another_copy(house: House) -> None:
    first = publish(house.enforcer).commit
    house.work("U")
    second = publish(house.enforcer).commit

    assert house.verify(base=second).base == "same"
    assert house.verify(base=first).base == "extends"
    behind = house.verify(ref=first, base=second)
    assert (behind.base, behind.exit_status) == ("behind", 0)


@pytest.mark.parametrize("longer", [True, False])
def test_a_copy_that_tells_something_else_is_forked(house: House, longer: bool) -> None:
    """Also where it has more entries than this ledger, which alone would pass for a later state of it."""
    publish(house.enforcer)
    first = house.files(house.ref)
    if longer:
        house.work("U")
    else:
        first = {}
    house.lose_key()
    house.rewrite()
    path = f"ledger/seg/{house.segment.name}"
    forged = commit(house, {**house.files(house.ref), path: house.segment.read_bytes()})
    base, ref = (forged, house.ref) if first else (house.ref, forged)

    report = house.verify(ref=ref, base=base)

    assert (report.base, report.exit_status, "forked" in codes(report)) == ("forked", 1, True)
    assert "base_behind" not in codes(report)


def test_a_base_that_is_not_there_answers_nothing(house: House) -> None:
    report = house.verify(base="refs/enforcer/none")

    assert (report.base, *told(report, "base_absent")) == ("absent", 2, True)


def test_a_base_without_lines_is_none(house: House) -> None:
    made = commit(house, {"ledger/ledger.json": (house.state / "ledger" / "ledger.json").read_bytes()})

    assert refused(house, base=made) == "not_published"


# Keys


def vkey_of(house: House) -> str:
    return str(house.enforcer.identity.key)


def test_a_key_is_pinned_as_it_stands_or_from_a_file(house: House, tmp_path: Path) -> None:
    house.enforcer.sealer.seal()
    file = tmp_path / "keys"
    file.write_text(f"# of the ledger\n\n{vkey_of(house)}  (signs trees of more than 0 entries)\r\n")

    for key in (vkey_of(house), str(file)):
        report = house.verify(keys=(key,), require_key=True)
        assert (report.verdict, report.key) == ("verified", "pinned")


def test_the_key_of_a_witness_is_taken_and_is_not_the_ledgers(house: House, tmp_path: Path) -> None:
    house.enforcer.sealer.seal()
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()

    report = house.verify(keys=(format_vkey("witness", public, COSIGNATURE),), require_key=True)

    assert told(report, "key_required") == (2, True)


def test_a_key_of_another_ledger_is_told(house: House) -> None:
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    house.enforcer.sealer.seal()

    assert told(house.verify(keys=(format_vkey("enforcer/other", public),)), "key_mismatch") == (1, True)


@pytest.mark.parametrize("kind", ["none", "folder", "pipe", "zeros", "binary", "long", "empty", "wrong", "nul"])
def test_what_is_no_key_is_told_at_once(kind: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "long").write_text("# x\n" * 40_000)
    (tmp_path / "empty").write_text("\n# nothing\n")
    (tmp_path / "wrong").write_text("enforcer/x+00000000+AAAA\n")
    text = {"zeros": "/dev/zero", "nul": "a\0b"}.get(kind, str(tmp_path / kind))

    with pytest.raises(RequestError) as caught:
        read_keys(text)
    assert caught.value.code == "bad_vkey"


# Anchors


def test_an_anchor_out_of_reach_counts_and_bounds_what_follows(house: House, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    size = anchor_to_file(house.enforcer, str(anchor)).size
    house.work("U")
    later = house.enforcer.ledger.head.size - size
    given = {"anchors": (str(anchor),), "require_anchor": True}

    report = house.verify(**given, max_unanchored=later)
    assert (report.verdict, report.anchoring, report.anchored_to) == ("verified", "anchored", size)
    assert told(house.verify(**given, max_unanchored=later - 1), "unanchored_too_many") == (2, True)


def test_an_anchor_within_reach_is_shown_and_does_not_count(house: House) -> None:
    anchor_to_file(house.enforcer, str(house.root / "anchor"))

    report = house.verify(anchors=(str(house.root / "anchor"),), require_anchor=True)

    assert (report.anchoring, *told(report, "anchor_required")) == ("local", 2, True)


def test_an_anchor_of_more_or_of_other_entries_is_told(house: House, tmp_path: Path) -> None:
    house.work("U")
    anchor = tmp_path / "anchor"
    size = anchor_to_file(house.enforcer, str(anchor)).size
    house.lose_key()
    cut(house, size - 1)
    assert told(house.verify(anchors=(str(anchor),)), "rolled_back") == (1, True)


def test_an_anchor_of_a_history_before_it_was_rewritten_is_told(house: House, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    anchor_to_file(house.enforcer, str(anchor))
    house.lose_key()
    house.rewrite()
    for name in ("checkpoints", "anchors"):
        shutil.rmtree(house.state / "ledger" / name, ignore_errors=True)
    (house.state / "ledger" / "checkpoint").unlink()

    assert told(house.verify(), "anchor_mismatch") == (0, False)
    assert told(house.verify(anchors=(str(anchor),)), "anchor_mismatch") == (1, True)


def test_an_anchor_of_another_ledger_and_one_that_is_none_are_told(house: House, tmp_path: Path) -> None:
    other = tmp_path / "foreign"
    anchor_to_file(House(tmp_path / "other").enforcer, str(other))
    (tmp_path / "garbage").write_bytes(b"\0" * 2_000_000)
    (tmp_path / "empty").write_bytes(b"")

    assert told(house.verify(anchors=(str(other),)), "anchor_foreign") == (1, True)
    for name in ("garbage", "empty"):
        report = house.verify(anchors=(str(tmp_path / name),), require_anchor=True)
        assert told(report, "anchor_unreadable") == (2, True)
    assert refused(house, anchors=("git:/nowhere",)) == "remote_unreachable"


def test_the_anchors_of_a_ledger_that_is_gone_are_found_by_what_was_here(house: House, tmp_path: Path) -> None:
    publish(house.enforcer)
    git(tmp_path, "init", "--quiet", "--bare", "far.git")
    git(house.top, "push", "--quiet", str(tmp_path / "far.git"), "refs/enforcer/*:refs/enforcer/*")
    house.enforcer.close()
    shutil.rmtree(house.state / "ledger")

    report = house.verify(anchors=(f"git:{tmp_path / 'far.git'}",))

    assert told(report, "ledger_missing") == (2, True)


# What is remembered


def test_a_ledger_that_was_put_back_is_told_by_what_was_seen(house: House) -> None:
    house.lose_key()
    size = house.verify().entries
    cut(house, size - 1)

    assert told(house.verify(), "rolled_back") == (1, True)
    assert json.loads((house.user / "seen").read_bytes())["size"] == size


def test_a_ledger_that_was_put_back_is_told_by_what_was_signed(house: House) -> None:
    size = house.enforcer.sealer.seal().size
    cut(house, size - 1)
    assert not (house.user / "seen").exists()

    assert told(house.verify(), "rolled_back") == (1, True)


def test_a_history_that_was_rewritten_since_it_was_seen_is_told(house: House) -> None:
    house.lose_key()
    house.verify()
    house.rewrite()

    assert told(house.verify(), "rewritten") == (1, True)


def test_a_published_ledger_may_lag_behind_and_not_differ(house: House) -> None:
    publish(house.enforcer)
    house.work("U")
    house.verify()
    assert house.verify(ref=house.ref).verdict == "verified"

    path = f"ledger/seg/{house.segment.name}"
    house.lose_key()
    house.verify()
    house.rewrite()
    forged = commit(house, {**house.files(house.ref), path: house.segment.read_bytes()})
    assert told(house.verify(ref=forged), "rewritten") == (1, True)


def test_a_published_ledger_is_nothing_that_was_seen_here(house: House) -> None:
    """Anybody can publish a longer one, and the true one would be the one that is accused."""
    house.lose_key()
    publish(house.enforcer)
    before = house.segment.read_bytes()
    house.work("U")
    files = house.files(house.ref)
    forged = commit(house, {**files, f"ledger/seg/{house.segment.name}": house.segment.read_bytes()})
    cut(house, before.count(b"\n"))

    assert house.verify(ref=forged).entries > before.count(b"\n")
    assert not (house.user / "seen").exists()
    assert house.verify().verdict == "verified"


def test_an_illegal_history_is_not_remembered(house: House) -> None:
    house.lose_key()
    data = house.segment.read_bytes()
    last = json.loads(data.splitlines()[-1])
    assert last["event"]["type"].endswith("phase.advanced")
    house.segment.write_bytes(data.replace(b'"to":"BUILD"', b'"to":"BUILT"'))

    assert house.verify().exit_status == 1
    assert not (house.user / "seen").exists()


def test_incremental_says_where_it_began_and_is_not_for_what_was_published(house: House) -> None:
    assert house.verify(incremental=True).checked_from in (None, 0)
    size = house.enforcer.ledger.head.size
    house.work("U")
    report = house.verify(incremental=True)

    assert (report.checked_from, report.verdict) == (size, "verified")
    assert house.verify().checked_from in (None, 0)
    publish(house.enforcer)
    assert refused(house, ref=house.ref, incremental=True) == "usage"


# What is kept for the next time


def size_of(path: Path) -> int:
    return parse_checkpoint(parse_note(path.read_bytes()).text).size


def test_what_holds_is_kept_and_held_against_the_ledger_the_next_time(house: House, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    first = house.enforcer.sealer.seal().size
    assert house.verify(keep=str(kept)).verdict == "verified"
    assert size_of(kept) == first
    house.work("U")
    second = house.enforcer.sealer.seal().size

    report = house.verify(keep=str(kept), require_anchor=True)

    assert (report.verdict, report.anchored_to) == ("verified", first)
    assert size_of(kept) == second
    place = kept.stat().st_ino
    assert house.verify(keep=str(kept)).verdict == "verified"
    assert kept.stat().st_ino == place
    house.lose_key()
    house.rewrite()
    assert house.verify(keep=str(kept)).exit_status == 1
    assert size_of(kept) == second


def test_an_older_checkpoint_does_not_replace_what_was_kept(house: House, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    older = house.enforcer.sealer.seal().note
    house.work("U")
    newer = house.enforcer.sealer.seal().note
    kept.write_bytes(newer)
    for name in ("checkpoints", "anchors"):
        shutil.rmtree(house.state / "ledger" / name, ignore_errors=True)
    (house.state / "ledger" / "checkpoint").write_bytes(older)

    assert house.verify(keep=str(kept)).verdict == "verified"
    assert kept.read_bytes() == newer


def test_the_largest_checkpoint_that_somebody_signed_is_kept_whatever_it_is_called(
    house: House, tmp_path: Path
) -> None:
    sealed = house.enforcer.sealer.seal()
    head = parse_note(sealed.note)
    forged = head.text + b"\n\xe2\x80\x94 mallory bWFsbG9yeQ==\n"
    (house.state / "ledger" / "checkpoint").write_bytes(forged)

    report = house.verify(keep=str(tmp_path / "kept"))

    assert told(report, "checkpoint_unverified") == (0, True)
    assert (tmp_path / "kept").read_bytes() == sealed.note


def test_a_note_of_the_same_size_and_another_tree_is_not_kept(house: House, tmp_path: Path) -> None:
    """The key is the ledger's, and by now it counts for no tree of this size."""
    origin = house.enforcer.identity.origin
    old = Key(origin, parse_private((house.user / "signing-key.pem").read_bytes(), "x"))
    rotate(house.enforcer, overlap=0)
    house.reopen()
    house.work("U")
    sealed = house.enforcer.sealer.seal()
    text = format_checkpoint(Checkpoint(origin, sealed.size, b"\7" * 32))
    for name in ("checkpoint", "checkpoints/zz"):  # Before and behind the true one, however they are sorted.
        (house.state / "ledger" / name).write_bytes(format_note(text, [old.note_signature(text)]))

    report = house.verify(keep=str(tmp_path / "kept"))

    assert told(report, "key_not_in_force") == (0, True)
    assert (tmp_path / "kept").read_bytes() == sealed.note


@pytest.mark.parametrize(
    "paths, data",
    [
        ([f"ledger/checkpoints/{number}" for number in range(1, 301)], b"x" * 1_000_000),
        ([f"ledger/checkpoints/{number}" for number in range(1, 20_002)], b"x"),
        (["guard/s.jsonl"], b"\0" * ((64 << 20) + 1)),
        ([f"guard/{number}.jsonl" for number in range(33)], b"\0" * (32 << 20)),
    ],
    ids=["a note too long", "too many notes", "a margin too long", "margins too long together"],
)
def test_a_ref_with_more_than_any_ledger_has_is_refused(house: House, paths: list[str], data: bytes) -> None:
    refs = refs_of(house)
    publish(house.enforcer)
    blob = refs.store(data)
    made = refs.advance("refs/x", {**refs.files(house.ref), **dict.fromkeys(paths, blob)}, before=None, message="m\n")

    assert refused(house, ref=made) == "publication_oversized"


def test_without_a_checkpoint_there_is_nothing_to_keep(house: House, tmp_path: Path) -> None:
    house.lose_key()
    cut(house, 2)

    assert told(house.verify(keep=str(tmp_path / "kept")), "checkpoint_missing") == (2, True)
    assert not (tmp_path / "kept").exists()


def test_a_file_that_is_no_checkpoint_is_not_replaced(house: House, tmp_path: Path) -> None:
    house.enforcer.sealer.seal()
    outside, inside = tmp_path / "notes.txt", house.root / "notes.txt"
    for path in (outside, inside):
        path.write_bytes(b"mine\n")

    assert told(house.verify(keep=str(outside)), "anchor_unreadable") == (2, True)
    assert told(house.verify(keep=str(inside)), "anchor_unreadable") == (2, True)
    assert outside.read_bytes() == inside.read_bytes() == b"mine\n"
    assert refused(house, keep=str(tmp_path / "none" / "\0")) == "anchor_unwritable"


def test_every_entry_can_be_asked_to_be_sealed(house: House) -> None:
    house.enforcer.sealer.seal()
    assert house.verify(require_sealed=True).verdict == "verified"
    house.lose_key()
    house.enforcer.open_task("V")

    assert told(house.verify(require_sealed=True), "unsealed") == (2, True)
    assert house.verify().verdict == "verified"


def test_a_damaged_note_of_what_was_seen_is_told(house: House) -> None:
    (house.user / "seen").write_text("{")

    with pytest.raises(DamagedError) as caught:
        house.verify()
    assert caught.value.code == "user_state_damaged"
