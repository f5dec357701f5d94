"""An expiry file can end a lease or stretch it by one lifetime. It can never bring an old token back."""

from __future__ import annotations

import os

import pytest

from enforcer.errors import UnavailableError
from enforcer.leases.files import WIDTH, FileLeases
from enforcer.ports import SystemDisk
from tests.faults import FaultyDisk, ManualClock

TTL = 300_000_000


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state" / "leases"


@pytest.fixture
def leases(folder, clock):
    return FileLeases(str(folder), disk=SystemDisk(), clock=clock, ttl_us=TTL)


def forge(folder, expires: int) -> None:
    token, boot, _ = (folder / "T").read_text().split()
    (folder / "T").write_text(f"{token} {boot} {expires}")


def test_a_granted_lease_lives_for_its_lifetime_and_no_longer(leases, clock):
    leases.grant("T", 1)
    assert leases.remaining_us("T", 1) == TTL
    clock.pass_us(TTL - 1)
    assert leases.remaining_us("T", 1) == 1
    clock.pass_us(1)
    assert leases.remaining_us("T", 1) == 0
    clock.pass_us(10 * TTL)
    assert leases.remaining_us("T", 1) == 0


@pytest.mark.parametrize("jump", [-(10**15), -1, 1, 10**15])
def test_a_wall_clock_that_jumps_changes_nothing(leases, clock, jump):
    leases.grant("T", 1)
    clock.time += jump
    assert leases.remaining_us("T", 1) == TTL


def test_after_a_reboot_every_lease_has_ended(leases, clock):
    leases.grant("T", 1)
    clock.boot_id = "9f1f2c4e-0000-4000-8000-000000000000"
    assert leases.remaining_us("T", 1) == 0
    clock.boot_ns = 1
    assert leases.remaining_us("T", 1) == 0


def test_a_lease_from_before_the_boot_clock_began_again_is_capped(leases, clock):
    """The same boot id with less time gone: then nobody can say, and one lifetime is the most."""
    leases.grant("T", 1)
    clock.boot_ns = 0
    assert leases.remaining_us("T", 1) == TTL


def test_a_grant_renews(leases, clock):
    leases.grant("T", 1)
    clock.pass_us(TTL - 5)
    leases.grant("T", 1)
    assert leases.remaining_us("T", 1) == TTL


def test_an_old_token_is_never_revived(leases, folder):
    leases.grant("T", 1)
    old = (folder / "T").read_bytes()
    leases.grant("T", 2)
    assert (leases.remaining_us("T", 1), leases.remaining_us("T", 2)) == (0, TTL)
    (folder / "T").write_bytes(old)
    assert leases.remaining_us("T", 2) == 0
    assert leases.remaining_us("T", 3) == 0


def test_the_expiry_of_one_task_says_nothing_about_another(leases):
    leases.grant("T", 1)
    assert leases.remaining_us("U", 1) == 0
    assert leases.remaining_us("T-1", 1) == 0


@pytest.mark.parametrize("expires", [2**53 - 1, 10**18, 10**40])
def test_a_forged_expiry_is_capped_at_one_lifetime(leases, folder, expires):
    leases.grant("T", 1)
    forge(folder, expires)
    assert leases.remaining_us("T", 1) == TTL


@pytest.mark.parametrize("expires", [0, -1, -(10**40)])
def test_an_expiry_forged_into_the_past_ends_the_lease(leases, folder, expires):
    leases.grant("T", 1)
    forge(folder, expires)
    assert leases.remaining_us("T", 1) == 0


def test_a_shorter_lifetime_of_now_caps_a_longer_one_of_then(leases, folder, clock):
    leases.grant("T", 1)
    strict = FileLeases(str(folder), disk=SystemDisk(), clock=clock, ttl_us=1_000)
    assert strict.remaining_us("T", 1) == 1_000


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"\n" * 160,
        b"\0" * 160,
        b"\xff\xfe",
        b"1",
        b"1 BOOT",
        b"1 BOOT END more",
        b"1 BOOT -END",
        b"1 BOOT +END",
        b"1 BOOT END.5",
        b"1 BOOT 1e40",
        b"1 BOOT inf",
        b"1 BOOT 1_000_000_000_000_000_000",
        "1 BOOT ٩٩٩٩٩٩٩٩٩٩٩٩٩٩٩٩٩٩٩".encode(),
        b"1 boot END",
        b"01 BOOT END",
        b"+1 BOOT END",
        b"2 BOOT END",
        b"BOOT 1 END",
        b"1" * 1_000_000,
        b"[" * 4_000,
        b'{"boot":"BOOT","expires_ns":END,"token":1}',
    ],
    ids=lambda content: str(content[:40]),
)
def test_what_cannot_be_read_has_ended(leases, folder, clock, content):
    leases.grant("T", 1)
    (folder / "T").write_bytes(content.replace(b"BOOT", clock.boot_id.encode()).replace(b"END", b"9" * 18))
    assert leases.remaining_us("T", 1) == 0
    leases.grant("T", 1)
    assert leases.remaining_us("T", 1) == TTL


def test_a_missing_file_or_folder_has_ended(leases, folder):
    assert leases.remaining_us("T", 1) == 0
    leases.grant("T", 1)
    (folder / "T").unlink()
    assert leases.remaining_us("T", 1) == 0


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_not_a_file_is_neither_read_nor_written_through(leases, folder, tmp_path, kind):
    leases.grant("T", 1)
    target = tmp_path / "target"
    (folder / "T").rename(target)
    before = target.read_bytes()
    if kind == "link":
        (folder / "T").symlink_to(target)
    elif kind == "folder":
        (folder / "T").mkdir()
    else:
        os.mkfifo(folder / "T")
    assert leases.remaining_us("T", 1) == 0
    with pytest.raises(UnavailableError, match="lease_unwritable"):
        leases.grant("T", 2)
    assert target.read_bytes() == before


def test_every_rewrite_has_the_same_length(leases, folder, clock):
    """A reader without the lock would otherwise see the end of an older one behind the newer."""
    for token in (1, 9, 10, 123_456_789, 2**53 - 1):
        clock.pass_us(10**15)
        leases.grant("T", token)
        assert len((folder / "T").read_bytes()) == WIDTH + 1
        assert leases.remaining_us("T", token) == TTL


@pytest.mark.parametrize("call", ["open", "overwrite"])
def test_a_lease_that_cannot_be_written_is_an_error_with_a_code(folder, clock, call):
    disk = FaultyDisk()
    leases = FileLeases(str(folder), disk=disk, clock=clock, ttl_us=TTL)
    disk.fail(call)
    with pytest.raises(UnavailableError, match="lease_unwritable"):
        leases.grant("T", 1)
    leases.grant("T", 1)
    assert leases.remaining_us("T", 1) == TTL


def test_nothing_is_synced_for_a_lease(folder, clock):
    disk = FaultyDisk()
    leases = FileLeases(str(folder), disk=disk, clock=clock, ttl_us=TTL)
    leases.grant("T", 1)
    before = dict(disk.counts)
    leases.grant("T", 1)
    assert not {"sync", "datasync", "sync_folder"} & {
        call for call in disk.counts if disk.counts[call] != before.get(call)
    }


def test_a_sign_of_life_is_due_below_two_thirds(leases):
    assert not leases.due(TTL)
    assert not leases.due(TTL * 2 // 3)
    assert leases.due(TTL * 2 // 3 - 1)
    assert leases.due(0)
