"""A ledger whose key was stolen is given up whole, and the work goes on under one that cites it."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest

from enforcer.enforcer import Enforcer
from enforcer.errors import DamagedError, EnforcerError, RequestError, UnavailableError
from enforcer.initialize import initialize
from enforcer.keyring import rotate
from enforcer.ledger.checkpoint import Checkpoint, format_checkpoint
from enforcer.ledger.entry import format_event
from enforcer.ledger.merkle import EMPTY_ROOT, leaf_hash, root_of
from enforcer.ledger.note import Signature, format_note, key_id
from enforcer.ports import SystemClock, SystemEntropy
from enforcer.succession import Condemned, compromise, resume
from enforcer.verification import Asked
from enforcer.workflow.events import LedgerCreated, PhaseAdvanced, Predecessor
from tests.attestation.walks import FOREIGN_KEY
from tests.keeping import DoomedDisk, Killed, Place, QuickDisk
from tests.ledger.histories import rewrite


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "one").begin("T")


def anchor(place: Place) -> bytes:
    with place.open() as enforcer:
        return enforcer.sealer.seal().note


def give_up(place: Place, *anchors: bytes, reason: str = "stolen") -> Condemned:
    with place.open() as enforcer:
        return compromise(enforcer, reason=reason, anchors=anchors)


def finish(place: Place) -> Condemned | None:
    return resume(str(place.state), str(place.home), disk=QuickDisk(), clock=SystemClock(), entropy=SystemEntropy())


def predecessor(enforcer: Enforcer) -> Predecessor:
    enforcer.ledger.catch_up()
    event = enforcer.ledger.entry(0).event
    assert isinstance(event, LedgerCreated)
    assert event.predecessor is not None
    return event.predecessor


def archived(place: Place, done: Condemned, base: Path) -> Place:
    """The old ledger, put together as `docs/keys.md` says."""
    old = Place(base)
    shutil.copytree(done.archive, old.state)
    shutil.copytree(place.state / "objects", old.state / "objects")
    shutil.copy(place.root / "enforcer.toml", old.root)
    return old


def test_the_new_ledger_cites_the_old_one_up_to_the_anchor(place: Place, tmp_path: Path) -> None:
    note = anchor(place)
    with place.open() as enforcer:
        former = enforcer.identity
        trusted = enforcer.sealer.seal().size
        enforcer.open_task("U")
    done = give_up(place, note, reason="laptop stolen")

    assert (done.former, done.trusted, done.resumed, done.damage) == (former.id, 2, False, None)
    assert [(one.seq, one.task, one.type) for one in done.suspects] == [(2, "U", "task.opened")]
    assert done.open_tasks == ("T", "U")
    with place.open() as enforcer:
        old = predecessor(enforcer)
        assert (old.origin, old.size, old.key) == (former.origin, trusted, former.key)
        assert (old.reason, old.checkpoint) == ("laptop stolen", note.decode())
        assert enforcer.identity.id == done.ledger
        assert enforcer.sealer.seal().size == 1
        report = enforcer.verify(Asked(keys=(done.key,), require_key=True))
        assert (report.verdict, report.key) == ("verified", "pinned")
        assert "continues" in {finding.code for finding in report.findings}


def test_the_archive_can_be_verified_by_itself(place: Place, tmp_path: Path) -> None:
    note = anchor(place)
    key = place.open().identity.key
    assert key is not None
    done = give_up(place, note)
    (tmp_path / "kept").write_bytes(note)

    environ = {"ENFORCER_HOME": str(tmp_path / "another user")}
    with Enforcer.open(root=str(archived(place, done, tmp_path / "old").root), environ=environ) as old:
        asked = Asked(keys=(key,), require_key=True, anchors=(str(tmp_path / "kept"),), require_anchor=True)
        report = old.verify(asked)
    assert (report.verdict, report.anchored_to, report.sealed_to) == ("verified", 2, 2)


def test_without_an_anchor_nothing_is_trusted(place: Place) -> None:
    done = give_up(place)
    assert (done.trusted, [one.seq for one in done.suspects]) == (0, [0, 1])
    with place.open() as enforcer:
        old = predecessor(enforcer)
        assert (old.size, old.root, old.checkpoint) == (0, EMPTY_ROOT.hex(), "")


def test_the_largest_of_several_anchors_counts(place: Place) -> None:
    first = anchor(place)
    with place.open() as enforcer:
        enforcer.open_task("U")
    assert give_up(place, anchor(place), first).trusted == 3


def test_an_anchor_of_a_key_that_came_by_a_change_holds(place: Place) -> None:
    with place.open() as enforcer:
        rotate(enforcer, overlap=0)
        enforcer.open_task("U")
        last = enforcer.signer().key.vkey
    assert give_up(place, anchor(place)).trusted == 4
    with place.open() as enforcer:
        assert predecessor(enforcer).key == last


def untouched(place: Place, note: bytes, *more: bytes) -> str:
    """Why an anchor is refused, which changes nothing."""
    with place.open() as enforcer:
        before = enforcer.identity
        with pytest.raises(RequestError) as caught:
            compromise(enforcer, reason="r", anchors=(note, *more))
    with place.open() as enforcer:
        assert enforcer.identity == before
        assert enforcer.sealer.seal().size == enforcer.ledger.head.size
    assert not (place.state / "archive").exists()
    assert caught.value.code == "anchor_not_held"
    return caught.value.message


def test_a_forged_anchor_is_refused_and_changes_nothing(place: Place, tmp_path: Path) -> None:
    note = anchor(place)
    with place.open() as enforcer:
        origin = enforcer.identity.origin
        enforcer.ledger.catch_up()
        leaves = list(enforcer.ledger.leaves())
    text = format_checkpoint(Checkpoint(origin, 2, root_of(list(map(leaf_hash, leaves)))))
    stranger = format_note(text, [Signature(origin, key_id(origin, FOREIGN_KEY.public), FOREIGN_KEY(text))])

    assert "not signed by a key" in untouched(place, stranger)
    assert "not signed by a key" in untouched(place, note, stranger)
    assert untouched(place, b"x")
    flipped = bytearray(note)
    flipped[-5] ^= 1
    assert untouched(place, bytes(flipped))
    assert "not signed by a key" in untouched(place, anchor(Place(tmp_path / "other").begin("T")))


def test_a_history_that_was_rewritten_with_the_key_does_not_hold_against_the_anchor(place: Place) -> None:
    """The tiles and the signer's head are within the thief's reach; the lines are asked."""
    note = anchor(place)
    segment = place.state / "ledger" / "seg" / "00000000000000000000.jsonl"

    def change(seq: int, entry: dict[str, Any]) -> None:
        if seq == 1:
            entry["event"]["data"]["title"] = "another"

    identity = (place.state / "ledger" / "ledger.json").read_bytes()
    lines = rewrite(segment.read_bytes().splitlines(), change, identity)
    segment.write_bytes(b"".join(line + b"\n" for line in lines))
    shutil.rmtree(place.state / "ledger" / ".cache", ignore_errors=True)
    with place.open() as enforcer, pytest.raises(RequestError) as caught:
        compromise(enforcer, reason="r", anchors=[note])
    assert "not the ones" in caught.value.message
    assert give_up(place).trusted == 0


def test_the_old_key_never_signs_again(place: Place) -> None:
    with place.open() as enforcer:
        rotate(enforcer)
        signer, former = enforcer.signer(), enforcer.identity.id
        root, size = enforcer.ledger.root(), enforcer.ledger.head.size
        done = compromise(enforcer, reason="r")
        with pytest.raises(UnavailableError) as caught:
            signer.sign(size, root, lambda old: [])
        assert caught.value.code == "key_missing"
    assert all(name.startswith("compromised-") for name in place.keys(former))
    assert place.keys(done.ledger) == {"signing-key.pem"}


def test_a_key_that_others_could_read_is_given_up(place: Place) -> None:
    ledger = place.open().identity.id
    (place.home / ledger / "signing-key.pem").chmod(0o644)
    give_up(place)
    assert place.keys(ledger) == {"compromised-signing-key.pem"}


def test_a_thief_cannot_hold_it_off_with_a_line_that_nobody_could_have_decided(place: Place) -> None:
    with place.open() as enforcer:
        thief = enforcer.ledger
        forged = PhaseAdvanced(actor="eve", start="MONITOR", to="", attempt_id="0" * 32, completed=True, token=1)
        data = format_event(forged, task="T", key=".x", source=enforcer.identity.origin)
        with thief.writing():
            leaf, _ = thief._fold.next_leaf(data, task="T", now=SystemClock().now())
    with open(place.state / "ledger" / "seg" / "00000000000000000000.jsonl", "ab") as file:
        file.write(leaf + b"\n")
    with place.open() as enforcer, pytest.raises(DamagedError):
        enforcer.open_task("V")

    done = give_up(place)
    assert done.trusted == 0
    with place.open() as enforcer:
        enforcer.open_task("T")
        assert enforcer.verify().verdict == "verified"


def test_a_line_that_cannot_be_read_is_told_of(place: Place) -> None:
    with open(place.state / "ledger" / "seg" / "00000000000000000000.jsonl", "ab") as file:
        file.write(b"{}\n")
    done = give_up(place)
    assert done.damage
    assert [one.seq for one in done.suspects] == [0, 1]


# Others --------------------------------------------------------------------------------------------------------------


def test_a_process_that_is_still_at_the_old_ledger_writes_into_neither(place: Place) -> None:
    before = place.open()
    before.open_task("U")
    idle = place.open()
    idle.ledger.catch_up()
    done = give_up(place)
    seen = {path: path.read_bytes() for path in place.state.rglob("*") if path.is_file() and path.name != "init.lock"}

    for old in (before, idle):
        with pytest.raises(EnforcerError) as caught:
            old.open_task("W")
        assert caught.value.code in ("ledger_replaced", "ledger_cut", "ledger_foreign")
        with pytest.raises(EnforcerError):
            old.sealer.seal()
        old.close()

    for path, data in seen.items():
        assert path.read_bytes() == data, path
    with place.open() as enforcer:
        enforcer.open_task("W")
        assert enforcer.verify().verdict == "verified"
        assert enforcer.identity.id == done.ledger


@pytest.mark.parametrize("grown", [0, 1, 30])
def test_not_even_where_the_new_ledger_has_grown_as_long_as_the_old(place: Place, grown: int) -> None:
    before = place.open()
    before.open_task("U")
    give_up(place)
    with place.open() as enforcer:
        for number in range(grown):
            enforcer.open_task(f"N{number}")
    segment = place.state / "ledger" / "seg" / "00000000000000000000.jsonl"
    data = segment.read_bytes()

    with pytest.raises(EnforcerError), before.ledger.writing():
        raise AssertionError
    before.close()

    assert segment.read_bytes() == data
    assert not (place.state / "ledger" / "quarantine").exists()


def test_leases_and_telemetry_of_the_old_tasks_do_no_harm(place: Place) -> None:
    with place.open() as enforcer:
        enforcer.task("T").claim().require()
        enforcer.follower().run()
    give_up(place)
    environ = {**place.environ, "ENFORCER_ACTOR": "bob"}
    with Enforcer.open(root=str(place.root), environ=environ) as enforcer:
        task = enforcer.open_task("T")
        assert task.status().lease is None
        task.claim().require()
        lease = task.status().lease
        assert lease is not None
        assert (lease.holder, lease.token) == ("bob", 1)
        assert enforcer.follower().run().entries == 3
        assert enforcer.verify().verdict == "verified"


# Interruptions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dies", [True, False], ids=["killed", "EIO"])
def test_an_interrupted_change_is_begun_anew_or_finished_and_says_which(
    place: Place, tmp_path: Path, dies: bool
) -> None:
    note, ends = anchor(place), set()
    (place.state / "refusals").mkdir()
    (place.state / "refusals" / "T.jsonl").write_text("")
    with place.open() as enforcer:
        former = enforcer.identity.id
        enforcer.open_task("U")
    for nth in itertools.count(1):
        other = place.copy(tmp_path / f"{dies}-{nth}")
        disk = DoomedDisk(nth, dies=dies)
        enforcer, done = other.open(disk=disk), None
        disk.arm()
        try:
            done = compromise(enforcer, reason="first", anchors=[note])
        except (Killed, EnforcerError, OSError):
            pass
        disk.bury()
        if disk.spared:
            break
        end = "answered" if done is not None else state_of(other, former)
        if end == "changed":
            continue  # All was done, and only the telling failed.
        done = done or go_on(other, note)
        if end not in ends:
            check_changed(other, done, former, tmp_path / f"old-{dies}-{nth}")
        ends.add(end)
    assert ends >= {"as before", "old keys gone", "unfinished", "unfinished, without a ledger"}


def state_of(place: Place, former: str) -> str:
    """Where it was interrupted. Every command says what to do, and none makes it worse."""
    code = fix = ""
    try:
        with place.open() as enforcer:
            if enforcer.identity.id != former:
                return "changed"
            enforcer.open_task("X")
            return "as before" if "signing-key.pem" in place.keys(former) else "old keys gone"
    except UnavailableError as error:
        code, fix = error.code, error.fix
    assert code == "change_unfinished"
    assert "enforcer key compromised" in fix
    for new, accept in ((False, False), (True, False), (False, True)):
        with pytest.raises(UnavailableError) as caught:
            initialize(str(place.root), environ=place.environ, new_ledger=new, accept_ledger=accept)
        assert caught.value.code == "change_unfinished"
    return "unfinished" if (place.state / "ledger").exists() else "unfinished, without a ledger"


def go_on(place: Place, note: bytes) -> Condemned:
    """What `enforcer key compromised` does, asked once more."""
    resumed = finish(place)
    if resumed is not None:
        assert resumed.resumed
        return resumed
    with place.open() as enforcer:
        return compromise(enforcer, reason="second", anchors=[note])


def check_changed(place: Place, done: Condemned, former: str, base: Path) -> None:
    with place.open() as enforcer:
        assert enforcer.identity.id == done.ledger != former
        assert predecessor(enforcer).size == done.trusted == 2
        enforcer.open_task("T")
        enforcer.sealer.seal()
        assert enforcer.verify(Asked(keys=(done.key,), require_key=True)).verdict == "verified"
    assert not (place.state / "ledger.next").exists()
    assert not (place.state / "refusals").exists()
    assert all(name.startswith("compromised-") for name in place.keys(former))
    assert done.former == former
    with Enforcer.open(root=str(archived(place, done, base).root), environ={"ENFORCER_HOME": str(base)}) as old:
        assert old.verify().verdict == "verified"
    assert finish(place) is None


def test_a_ledger_that_somebody_else_has_put_there_is_not_taken_for_an_unfinished_change(
    place: Place, tmp_path: Path
) -> None:
    """Who writes `state/` alone can lay a ledger beside the one that stands there, and take that away."""
    other = Place(tmp_path / "other").begin("T")
    shutil.copytree(other.state / "ledger", place.state / "ledger.next")
    assert finish(place) is None
    shutil.rmtree(place.state / "ledger")
    assert finish(place) is None
    with pytest.raises(UnavailableError) as caught:
        place.open()
    assert caught.value.code == "ledger_missing"


def test_without_a_place_for_the_new_key_nothing_is_changed(place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environ = {**place.environ, "ENFORCER_HOME": str(tmp_path / "file")}
    with (
        Enforcer.open(root=str(place.root), environ=environ) as enforcer,
        pytest.raises(UnavailableError) as caught,
    ):
        compromise(enforcer, reason="r")
    assert caught.value.code == "user_state_unwritable"
    with place.open() as enforcer:
        assert enforcer.sealer.seal().size == 2


def test_a_reason_that_cannot_be_written_down_changes_nothing(place: Place) -> None:
    for reason in ("\udcff", "x" * 70_000):
        with place.open() as enforcer, pytest.raises(RequestError):
            compromise(enforcer, reason=reason)
        with place.open() as enforcer:
            assert enforcer.sealer.seal().size == 2
    assert give_up(place).trusted == 0
