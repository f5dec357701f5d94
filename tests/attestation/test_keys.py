"""The keys of a ledger: complete, private, durable, and never overwritten."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from enforcer.attestation.keys import create_keys, load_private
from enforcer.errors import DamagedError, InternalError, RequestError, UnavailableError
from enforcer.ledger.note import parse_vkey
from enforcer.ports import SystemDisk

LEDGER = "0123456789abcdef" * 2
ORIGIN = f"enforcer/{LEDGER}"


class CountingEntropy:
    """The same bytes in every run, and never the same twice in one."""

    def __init__(self, start: int = 0) -> None:
        self.count = start

    def token(self, size: int) -> bytes:
        self.count += 1
        return hashlib.sha512(str(self.count).encode()).digest()[:size]


class FailingDisk(SystemDisk):
    """A disk whose nth call to one operation fails; counts from 0."""

    def __init__(self, operation: str, nth: int = 0) -> None:
        self.operation, self.left = operation, nth

    def fail(self, operation: str) -> None:
        if operation == self.operation:
            self.left -= 1
            if self.left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        self.fail("open")
        return super().open(path, flags, mode)

    def append(self, fd: int, data: bytes) -> None:
        self.fail("append")
        super().append(fd, data)

    def sync(self, fd: int) -> None:
        self.fail("sync")
        super().sync(fd)

    def rename(self, source: str, target: str) -> None:
        self.fail("rename")
        super().rename(source, target)


class RecordingDisk(SystemDisk):
    """Notes, in order, what makes names and bytes durable."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def rename(self, source: str, target: str) -> None:
        self.calls.append(("rename", os.path.basename(target)))
        super().rename(source, target)

    def sync(self, fd: int) -> None:
        self.calls.append(("sync", ""))
        super().sync(fd)

    def sync_folder(self, path: str) -> None:
        self.calls.append(("sync_folder", os.path.basename(path)))
        super().sync_folder(path)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "user" / "enforcer"


def create(folder, *, disk=None, start=0) -> str:
    return create_keys(str(folder), LEDGER, ORIGIN, CountingEntropy(start), disk or SystemDisk())


def load(folder):
    return load_private(str(folder), LEDGER)


def mode(path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_vkey_names_the_ledger_and_the_key_that_was_stored(folder):
    key = parse_vkey(create(folder))
    assert key.name == ORIGIN
    assert load(folder).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) == key.public


def test_what_the_stored_key_signs_holds_under_the_vkey(folder):
    key = parse_vkey(create(folder))
    signature = load(folder).sign(b"head")
    Ed25519PublicKey.from_public_bytes(key.public).verify(signature, b"head")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_can_reach_the_keys_whatever_the_umask(folder, umask):
    before = os.umask(umask)
    try:
        create(folder)
    finally:
        os.umask(before)
    own = folder / LEDGER
    assert sorted(os.listdir(own)) == ["cache-key", "signing-key.pem"]
    assert (mode(folder), mode(own)) == (0o700, 0o700)
    assert (mode(own / "cache-key"), mode(own / "signing-key.pem")) == (0o600, 0o600)


def test_the_cache_key_is_32_bytes_and_independent_of_the_signing_key(folder):
    create(folder)
    cache_key = (folder / LEDGER / "cache-key").read_bytes()
    seed = load(folder).private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    assert len(cache_key) == 32
    assert cache_key != seed


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_reads_the_key_and_finds_the_same_public_key(folder):
    key = parse_vkey(create(folder))
    pem = str(folder / LEDGER / "signing-key.pem")
    checked = subprocess.run(["openssl", "pkey", "-in", pem, "-check", "-noout"], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    der = subprocess.run(["openssl", "pkey", "-in", pem, "-pubout", "-outform", "DER"], capture_output=True, check=True)
    assert der.stdout[-32:] == key.public


def test_existing_keys_are_never_overwritten(folder):
    create(folder)
    before = contents(folder)
    with pytest.raises(RequestError) as caught:
        create(folder, start=100)
    assert caught.value.code == "key_exists"
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["signing-key.pem", "cache-key"])
def test_one_key_alone_is_not_overwritten_or_completed(folder, name):
    create(folder)
    (folder / LEDGER / name).unlink()
    before = contents(folder)
    with pytest.raises(RequestError) as caught:
        create(folder, start=100)
    assert caught.value.code == "key_exists"
    assert contents(folder) == before


def test_keys_that_appear_meanwhile_are_not_overwritten(folder):
    class Overtaken(SystemDisk):
        def rename(self, source: str, target: str) -> None:
            if target.endswith(LEDGER):
                create(folder)
            super().rename(source, target)

    with pytest.raises(RequestError) as caught:
        create(folder, disk=Overtaken(), start=100)
    assert caught.value.code == "key_exists"
    other = folder.parent / "other"
    create(other)
    assert contents(folder) == contents(other)


@pytest.mark.parametrize(
    "operation, nth",
    [*((name, nth) for name in ("open", "append", "sync") for nth in (0, 1)), *(("rename", nth) for nth in (0, 1, 2))],
)
def test_a_disk_that_fails_leaves_no_key_behind_and_the_next_attempt_succeeds(folder, operation, nth):
    with pytest.raises(UnavailableError) as caught:
        create(folder, disk=FailingDisk(operation, nth))
    assert caught.value.code == "user_state_unwritable"
    assert "ENFORCER_HOME" in caught.value.fix
    assert list(folder.iterdir()) == []
    assert parse_vkey(create(folder)).name == ORIGIN


def test_a_folder_that_cannot_be_made_is_unwritable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError) as caught:
        create(tmp_path / "file" / "enforcer")
    assert caught.value.code == "user_state_unwritable"


def test_the_keys_are_synced_before_they_appear_and_their_name_after(folder):
    disk = RecordingDisk()
    create(folder, disk=disk)
    appeared = disk.calls.index(("rename", LEDGER))
    before, after = disk.calls[:appeared], disk.calls[appeared + 1 :]
    assert before.count(("sync", "")) == 2
    # The folder that was renamed has been synced since the last name in it changed.
    last_name = max(at for at, call in enumerate(before) if call[0] == "rename")
    assert any(kind == "sync_folder" and name.startswith(LEDGER) for kind, name in before[last_name:])
    assert after == [("sync_folder", "enforcer")]


# Loading


def test_a_missing_key_is_unavailable(folder):
    with pytest.raises(UnavailableError) as caught:
        load(folder)
    assert (caught.value.code, caught.value.where) == ("key_missing", str(folder / LEDGER / "signing-key.pem"))


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_key_that_others_may_use_is_refused(folder, bits):
    create(folder)
    path = folder / LEDGER / "signing-key.pem"
    path.chmod(bits)
    with pytest.raises(UnavailableError) as caught:
        load(folder)
    assert (caught.value.code, caught.value.where) == ("key_exposed", str(path))
    assert f"{bits:04o}" in caught.value.message


def test_a_key_that_only_its_owner_may_read_is_taken(folder):
    create(folder)
    (folder / LEDGER / "signing-key.pem").chmod(0o400)
    assert load(folder).sign(b"head")


def test_a_symlink_to_a_key_is_not_followed(folder):
    create(folder)
    path = folder / LEDGER / "signing-key.pem"
    path.rename(folder / "moved.pem")
    path.symlink_to(folder / "moved.pem")
    with pytest.raises(UnavailableError) as caught:
        load(folder)
    assert caught.value.code == "key_unreadable"


def test_a_fifo_in_the_place_of_a_key_is_refused_and_not_waited_for(folder):
    create(folder)
    path = folder / LEDGER / "signing-key.pem"
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(UnavailableError) as caught:
        load(folder)
    assert caught.value.code == "key_exposed"


OTHER_KIND = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("data", [b"", b"no key", b"\xff" * 100, OTHER_KIND], ids=["empty", "text", "bytes", "ecdsa"])
def test_a_file_that_holds_no_ed25519_key_is_damaged(folder, data):
    create(folder)
    path = folder / LEDGER / "signing-key.pem"
    path.write_bytes(data)
    with pytest.raises(DamagedError) as caught:
        load(folder)
    assert (caught.value.code, caught.value.where) == ("key_damaged", str(path))


def test_a_damaged_key_is_not_quoted(folder):
    create(folder)
    path = folder / LEDGER / "signing-key.pem"
    pem = path.read_text()
    path.write_text(pem[:60] + pem[61:])
    with pytest.raises(DamagedError) as caught:
        load(folder)
    assert pem.splitlines()[1][:12] not in str(caught.value)


@pytest.mark.parametrize("ledger_id", ["", "..", "../" + "0" * 29, "0" * 31, "0" * 33, "A" * 32, "0" * 31 + "\n"])
def test_no_ledger_id_leads_out_of_the_users_folder(folder, ledger_id):
    with pytest.raises(InternalError):
        load_private(str(folder), ledger_id)
    with pytest.raises(InternalError):
        create_keys(str(folder), ledger_id, ORIGIN, CountingEntropy(), SystemDisk())
    assert not folder.exists()
