"""The recipe of `docs/format.md` for openssl runs as it is printed there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enforcer.ledger.checkpoint import Checkpoint, format_checkpoint
from enforcer.ledger.note import Signature, format_note, format_vkey, key_id
from tests.docs.pages import DOCS

ORIGIN = f"enforcer/{'0' * 31}1"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


def recipe() -> str:
    [block] = re.findall(r"```sh\n(.*?)```", (DOCS / "format.md").read_text(encoding="utf-8"), re.DOTALL)
    return str(block)


def with_pluses(count: int) -> tuple[Ed25519PrivateKey, ...]:
    """The first private keys whose public halves have a `+` of their own in base64."""
    found: list[Ed25519PrivateKey] = []
    for seed in range(1000):
        key = Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32))
        if vkey_of(key).count("+") > 2 and len(found) < count:
            found.append(key)
    return tuple(found)


def vkey_of(key: Ed25519PrivateKey) -> str:
    return format_vkey(ORIGIN, key.public_key().public_bytes_raw())


def signed(*keys: Ed25519PrivateKey) -> bytes:
    """A checkpoint with an extension line, signed by each of the keys under the one name."""
    text = format_checkpoint(Checkpoint(ORIGIN, 1203, bytes(range(32)), ("an extension line",)))
    ids = [key_id(ORIGIN, key.public_key().public_bytes_raw()) for key in keys]
    return format_note(text, [Signature(ORIGIN, number, key.sign(text)) for number, key in zip(ids, keys, strict=True)])


def follow(folder: Path, note: bytes, vkey: str) -> tuple[int, str]:
    """The exit status and output of the recipe, in a folder in which it may have run before."""
    (folder / "kept checkpoint").write_bytes(note)
    words = ["sh", "-c", recipe(), "check-note", "kept checkpoint", vkey]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_the_recipe_verifies_the_signature_of_each_key(tmp_path: Path) -> None:
    keys = with_pluses(2)
    note = signed(*keys)
    for key in keys:
        assert follow(tmp_path, note, vkey_of(key)) == (0, "Signature Verified Successfully\n")
    assert (tmp_path / "text").read_bytes() + b"\n" == note[: note.index(b"\n\n") + 2]


@pytest.mark.parametrize("place", ["origin", "size", "extension", "signature"])
def test_the_recipe_finds_one_flipped_byte(tmp_path: Path, place: str) -> None:
    [key] = with_pluses(1)
    note = bytearray(signed(key))
    at = {"origin": 3, "size": note.index(b"1203"), "extension": note.index(b"an ext"), "signature": len(note) - 20}
    note[at[place]] = ord("A") if note[at[place]] != ord("A") else ord("B")
    status, told = follow(tmp_path, bytes(note), vkey_of(key))
    assert (status != 0, "Successfully" in told) == (True, False)


def test_a_key_that_has_not_signed_gets_nothing_from_an_earlier_run(tmp_path: Path) -> None:
    signer, other = with_pluses(2)
    assert follow(tmp_path, signed(signer, other), vkey_of(signer))[0] == 0
    assert follow(tmp_path, signed(other), vkey_of(signer))[0] != 0
