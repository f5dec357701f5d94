"""Keys hand over without a moment in which nobody can sign, whatever happens on the way."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest

from enforcer.attestation.signatures import verify_ed25519
from enforcer.enforcer import Enforcer
from enforcer.errors import DamagedError, EnforcerError, RequestError, UnavailableError
from enforcer.initialize import initialize
from enforcer.keyring import key_here, read_keyring, rotate, rotation_leaves
from enforcer.ledger.entry import format_event
from enforcer.ledger.note import format_vkey, parse_note, parse_vkey, verified_by
from enforcer.verification import Asked
from enforcer.workflow.events import KeyRotated
from tests.keeping import DoomedDisk, Killed, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "one").begin("T")


def vkeys(enforcer: Enforcer) -> list[str]:
    enforcer.ledger.catch_up()
    return [format_vkey(term.key.name, term.key.public) for term in read_keyring(enforcer.ledger).terms]


def signed_by(enforcer: Enforcer, vkey: str) -> bool:
    note = parse_note(enforcer.sealer.seal().note)
    return bool(verified_by(note, [parse_vkey(vkey)], verify_ed25519))


def pinned(enforcer: Enforcer, vkey: str) -> tuple[str, str]:
    report = enforcer.verify(Asked(keys=(vkey,), require_key=True))
    return report.verdict, report.key


def test_three_changes_in_a_row_are_followed_from_any_key(place: Place) -> None:
    with place.open() as enforcer:
        for overlap in (3, 1024, 0):
            rotate(enforcer, overlap=overlap)
        enforcer.open_task("U")
        enforcer.sealer.seal()
        keys = vkeys(enforcer)
        assert len(keys) == 4
        assert key_here(enforcer) == keys[-1]
        for vkey in keys:
            assert pinned(enforcer, vkey) == ("verified", "pinned")


def test_in_the_overlap_both_keys_sign_and_at_its_end_the_new_one_alone(place: Place) -> None:
    with place.open() as enforcer:
        event = rotate(enforcer, overlap=2)
        assert event.cap == event.seq + 3
        while enforcer.ledger.head.size < event.cap:
            assert signed_by(enforcer, event.old)
            enforcer.open_task(f"V{enforcer.ledger.head.size}")
        assert signed_by(enforcer, event.old)
        enforcer.open_task("W")
        assert not signed_by(enforcer, event.old)
        assert signed_by(enforcer, event.new)
        assert pinned(enforcer, event.old) == ("verified", "pinned")


def test_a_change_without_overlap_leaves_no_moment_in_which_nobody_can_sign(place: Place) -> None:
    with place.open() as enforcer:
        event = rotate(enforcer, overlap=0)
        assert signed_by(enforcer, event.new)
        assert signed_by(enforcer, event.old)
        enforcer.open_task("U")
        assert signed_by(enforcer, event.new)
        assert not signed_by(enforcer, event.old)


@pytest.mark.parametrize("overlap", [-1, (1 << 20) + 1])
def test_an_overlap_has_its_bounds(place: Place, overlap: int) -> None:
    with place.open() as enforcer, pytest.raises(RequestError) as caught:
        rotate(enforcer, overlap=overlap)
    assert caught.value.code == "bad_overlap"


def test_a_history_that_the_key_would_not_sign_for_is_not_handed_over(place: Place, tmp_path: Path) -> None:
    """Whoever puts back an older ledger gets no entry signed by the new key in it."""
    older = place.copy(tmp_path / "older")
    with place.open() as enforcer:
        enforcer.open_task("U")
        enforcer.sealer.seal()
    for name in ("seg/00000000000000000000.jsonl", "commit", "checkpoint"):
        (place.state / "ledger" / name).write_bytes((older.state / "ledger" / name).read_bytes())

    with place.open() as enforcer:
        with pytest.raises(DamagedError) as caught:
            rotate(enforcer)
        assert list(rotation_leaves(enforcer.ledger)) == []
    assert caught.value.code == "ledger_rolled_back"


def test_an_entry_that_the_keys_have_not_signed_changes_nothing(place: Place) -> None:
    """Whoever writes the ledger without the key can claim a change; it counts for nothing, and is told of."""
    with place.open() as enforcer:
        vkey = key_here(enforcer)
        forged = KeyRotated(actor="eve", old=vkey, new=vkey, seq=2, cap=99, old_signature="AAAA", new_signature="AAAA")
        with enforcer.ledger.writing():
            data = format_event(forged, task=None, key=".forged", source=enforcer.identity.origin)
            enforcer.ledger.append(forged, data, task=None, key=".forged")
        keyring = read_keyring(enforcer.ledger)
        assert [format_vkey(term.key.name, term.key.public) for term in keyring.terms] == [vkey]
        assert [(one.seq, one.code) for one in keyring.findings] == [(2, "rotation_invalid")]
        assert keyring.terms[0].cap is None


def test_of_two_who_rotate_at_once_each_has_its_turn_or_is_told_to_ask_again(place: Place) -> None:
    answers: list[str] = []
    busy: list[str] = []

    def turn() -> None:
        with place.open() as enforcer:
            for _ in range(4):
                try:
                    answers.append(rotate(enforcer, overlap=5).new)
                except UnavailableError as error:
                    busy.append(error.code)

    threads = [threading.Thread(target=turn) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(busy) <= {"signer_busy"}
    with place.open() as enforcer:
        enforcer.sealer.seal()
        keys = vkeys(enforcer)
        assert keys[1:] == [parse_rotation(leaf) for leaf in rotation_leaves(enforcer.ledger)]
        assert set(answers) == set(keys[1:])
        assert answers
        assert key_here(enforcer) == keys[-1]
        assert pinned(enforcer, keys[0]) == ("verified", "pinned")


def parse_rotation(leaf: bytes) -> str:
    return leaf.split(b'"new":"')[1].split(b'"')[0].decode()


@pytest.mark.parametrize("dies", [True, False], ids=["killed", "EIO"])
def test_a_change_that_stops_anywhere_is_finished_or_forgotten_by_the_next_who_signs(
    place: Place, tmp_path: Path, dies: bool
) -> None:
    ends: set[tuple[bool, bool, int]] = set()
    for nth in itertools.count(1):
        other = place.copy(tmp_path / f"{dies}-{nth}")
        disk = DoomedDisk(nth, dies=dies)
        enforcer, answered = other.open(disk=disk), None
        disk.arm()
        try:
            answered = rotate(enforcer, overlap=1)
        except (Killed, EnforcerError, OSError):
            pass
        disk.bury()
        if disk.spared:
            break
        end = (answered is not None, check_signs(other, answered), len(other.keys(enforcer.identity.id)))
        if end not in ends:
            check_goes_on(other)
        ends.add(end)
    assert {end[:2] for end in ends} == {(False, False), (False, True)} | (set() if dies else {(True, True)})


def check_signs(place: Place, answered: KeyRotated | None) -> bool:
    """The ledger can be signed, by the key that it says; whether that is the new one."""
    with place.open() as enforcer:
        enforcer.open_task("U")
        enforcer.open_task("V")
        keys = vkeys(enforcer)
        assert signed_by(enforcer, keys[-1])
        assert key_here(enforcer) == keys[-1]
        assert len(keys) == 2 or answered is None
        assert answered is None or keys[1:] == [answered.new]
        return len(keys) == 2


def check_goes_on(place: Place) -> None:
    """The whole is verified from the first key, and keys can be changed again."""
    with place.open() as enforcer:
        event = rotate(enforcer)
        assert signed_by(enforcer, event.new)
        assert pinned(enforcer, vkeys(enforcer)[0]) == ("verified", "pinned")


# Asking --------------------------------------------------------------------------------------------------------------


def test_asking_for_the_key_finishes_nothing(place: Place) -> None:
    with place.open() as enforcer:
        before = key_here(enforcer)
        signer = enforcer.signer()
        with signer.changing():
            pass
        assert key_here(enforcer) == before
    assert "next-key.pem" in place.keys(enforcer.identity.id)


def test_without_the_users_folder_there_is_no_key_here(place: Place, tmp_path: Path) -> None:
    environ = {**place.environ, "ENFORCER_HOME": str(tmp_path / "none")}
    with Enforcer.open(root=str(place.root), environ=environ) as enforcer:
        for ask in (lambda: key_here(enforcer), lambda: rotate(enforcer)):
            with pytest.raises(UnavailableError) as caught:
                ask()
            assert caught.value.code == "key_missing"
    assert not (tmp_path / "none").exists()


def test_a_ledger_that_was_begun_without_a_key_is_given_none(tmp_path: Path) -> None:
    place = Place(tmp_path / "one")
    (tmp_path / "one").mkdir()
    place.home.write_text("a file, so that no key can be kept")
    place.root.mkdir()
    initialize(str(place.root), environ=place.environ)
    with place.open() as enforcer:
        assert read_keyring(enforcer.ledger).terms == ()
        with pytest.raises(RequestError) as caught:
            rotate(enforcer)
    assert caught.value.code == "ledger_keyless"
