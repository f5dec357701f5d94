"""Whether SSH signatures hold, by arithmetic: what stock ssh-keygen takes is taken, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enforcer.attestation import signatures, ssh
from enforcer.attestation.approval import ApprovalFault
from enforcer.attestation.sshcheck import check_signature
from enforcer.attestation.sshsig import SignatureFault, UnknownSignature, parse_signature
from enforcer.errors import UnavailableError
from tests.attestation.sshkeys import (
    HardwareKey,
    armor,
    base64,
    make_key,
    number,
    public,
    sshsig,
    stock_sign,
    stock_verify,
    string,
)

DATA, OTHER = b'{"kind":"approve"}', b'{"kind":"reject"}'

TYPES = {
    "ed25519": ("-t", "ed25519"),
    "ecdsa-256": ("-t", "ecdsa", "-b", "256"),
    "ecdsa-384": ("-t", "ecdsa", "-b", "384"),
    "ecdsa-521": ("-t", "ecdsa", "-b", "521"),
    "rsa": ("-t", "rsa", "-b", "2048"),
}
HARDWARE = ("ed25519", "ecdsa")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name, *options) for name, options in TYPES.items()}


@pytest.fixture(scope="module")
def signed(keys: dict[str, Path]) -> dict[str, str]:
    """One signature over `DATA` of each type of key."""
    stock = {name: stock_sign(key, DATA) for name, key in keys.items()}
    return stock | {f"sk-{curve}": HardwareKey(curve).sign(DATA) for curve in HARDWARE}


def holds(armored: str, data: bytes = DATA) -> bool:
    return check_signature(data, parse_signature(armored))


# What holds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*TYPES, "sk-ed25519", "sk-ecdsa"])
def test_a_signature_of_every_type_holds_for_what_was_signed_and_nothing_else(
    signed: dict[str, str], name: str
) -> None:
    assert holds(signed[name])
    assert not holds(signed[name], OTHER)
    assert not holds(signed[name], b"")


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_both_hashes_of_the_message_that_ssh_keygen_knows_hold(keys: dict[str, Path], hash_name: str) -> None:
    key = keys["ed25519"]
    ours = parse_signature(stock_sign(key, DATA, "file", "-O", f"hashalg={hash_name}"))
    assert (ours.hash_name, ours.namespace) == (hash_name, "file")
    assert check_signature(DATA, ours)


@pytest.mark.parametrize("algorithm", ["rsa-sha2-256", "rsa-sha2-512"])
def test_both_hashes_of_rsa_hold_and_are_not_taken_for_each_other(tmp_path: Path, algorithm: str) -> None:
    key = Rsa()
    signature = armor(key.signature(algorithm))
    assert stock_verify(tmp_path, DATA, signature, key.allowed, "ada").returncode == 0
    assert holds(signature)
    other = "rsa-sha2-512" if algorithm.endswith("256") else "rsa-sha2-256"
    assert not holds(armor(key.signature(algorithm, named=other)))


def test_rsa_without_its_leading_zeros_holds_here_as_it_does_for_ssh_keygen(tmp_path: Path) -> None:
    """Some agents make numbers of it; one signature in 256 is then shorter than its key."""
    key = Rsa()
    data = next(data for data in map(str.encode, map(str, range(100_000))) if key.sign(data)[0] == 0)
    short = key.sign(data).lstrip(b"\0")
    signature = armor(key.around(short))
    assert stock_verify(tmp_path, data, signature, key.allowed, "ada").returncode == 0
    assert holds(signature, data)
    assert not holds(armor(key.around(b"\0" + key.sign(data))), data), "and not with more of them"


class Rsa:
    """An RSA key whose parts a test can put together as it likes."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self.private.public_key().public_numbers()
        self.key = string(b"ssh-rsa") + number(numbers.e) + number(numbers.n)
        self.allowed = f"ada ssh-rsa {base64(self.key)}\n"

    def sign(self, data: bytes, algorithm: str = "rsa-sha2-512") -> bytes:
        hash_ = hashes.SHA512() if algorithm.endswith("512") else hashes.SHA256()
        return self.private.sign(message(data), padding.PKCS1v15(), hash_)

    def around(self, value: bytes, named: str = "rsa-sha2-512") -> bytes:
        return sshsig(self.key, string(named.encode()) + string(value))

    def signature(self, algorithm: str, named: str = "") -> bytes:
        return self.around(self.sign(DATA, algorithm), named or algorithm)


def message(data: bytes) -> bytes:
    """What is signed for `data`."""
    digest = hashlib.sha512(data).digest()
    return b"SSHSIG" + b"".join(map(string, (b"enforcer-approval", b"", b"sha512", digest)))


# What does not -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*TYPES, "sk-ed25519", "sk-ecdsa"])
def test_no_signature_holds_with_one_bit_flipped(signed: dict[str, str], name: str) -> None:
    """One bit of every byte: key, namespace, hash, signature, flags and counter are all of it."""
    raw = parse_signature(signed[name])
    whole = sshsig(raw.key, string(raw.algorithm.encode()) + string(raw.value) + raw.state)
    assert holds(armor(whole))
    checked = 0
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << at % 8
        try:
            assert not holds(armor(bytes(changed))), f"byte {at}"
            checked += 1
        except SignatureFault:
            pass  # It is not even one.
    assert checked > len(raw.value) - 10


@pytest.mark.parametrize("name", [*TYPES, "sk-ed25519", "sk-ecdsa"])
def test_a_signature_for_another_purpose_or_hash_does_not_hold_for_this_one(signed: dict[str, str], name: str) -> None:
    raw = parse_signature(signed[name])
    assert not check_signature(DATA, raw.replace(namespace="file"))
    assert not check_signature(DATA, raw.replace(hash_name="sha256"))


@pytest.mark.parametrize("curve", HARDWARE)
def test_the_state_of_a_hardware_key_and_what_it_is_for_are_signed(curve: str) -> None:
    key = HardwareKey(curve)
    raw = parse_signature(key.sign(DATA))
    assert check_signature(DATA, raw)
    assert not check_signature(DATA, raw.replace(state=b"\5" + raw.state[1:]))
    assert not check_signature(DATA, raw.replace(state=raw.state[:4] + b"\x08"))
    assert not check_signature(DATA, raw.replace(key=raw.key.replace(b"ssh:", b"ssh;")))


@pytest.mark.parametrize("name", TYPES)
def test_the_key_of_somebody_else_does_not_vouch(keys: dict[str, Path], signed: dict[str, str], name: str) -> None:
    options = TYPES[name]
    other = make_key(keys[name].parent, f"other-{name}", *options)
    raw = parse_signature(signed[name])
    theirs = parse_signature(stock_sign(other, DATA))
    assert not check_signature(DATA, raw.replace(key=theirs.key))


def test_a_point_that_is_on_no_curve_is_a_no() -> None:
    key = string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\4" + b"\1" * 64)
    blob = string(b"ecdsa-sha2-nistp256") + string(number(1) + number(1))
    assert not holds(armor(sshsig(key, blob)))


@pytest.mark.parametrize("point", [b"\0" * 32, b"\1" + b"\0" * 31])
def test_an_ed25519_key_of_low_order_vouches_for_nothing(point: bytes) -> None:
    """The identity as a key, with the signature that holds under it for every message."""
    key = string(b"ssh-ed25519") + string(point)
    blob = string(b"ssh-ed25519") + string(b"\1" + b"\0" * 63)
    assert not holds(armor(sshsig(key, blob)))


def test_an_ed25519_signature_with_another_scalar_of_the_same_kind_is_a_no(signed: dict[str, str]) -> None:
    """RFC 8032 has one signature for a key and a message: the scalar is reduced."""
    order = 2**252 + 27742317777372353535851937790883648493
    raw = parse_signature(signed["ed25519"])
    scalar = int.from_bytes(raw.value[32:], "little") + order
    assert not check_signature(DATA, raw.replace(value=raw.value[:32] + scalar.to_bytes(32, "little")))


def test_an_rsa_key_that_changes_nothing_vouches_for_nothing() -> None:
    """With the exponent 1 whatever is padded well (RFC 8017 §9.2) is its own signature, for everybody to make."""
    digest = hashlib.sha512(message(DATA)).digest()
    info = bytes.fromhex("3051300d060960864801650304020305000440") + digest
    padded = b"\0\1" + b"\xff" * (253 - len(info)) + b"\0" + info
    key = string(b"ssh-rsa") + number(1) + number((1 << 2047) + 1)
    assert not holds(armor(sshsig(key, string(b"rsa-sha2-512") + string(padded))))


# One form ------------------------------------------------------------------------------------------------------------


ODD: dict[str, Callable[[int, int], bytes]] = {
    "a zero": lambda r, s: number(0) + number(s),
    "a negative number": lambda r, s: number(r) + string(b"\xff" * 32),
    "a number with more zeros than it needs": lambda r, s: string(b"\0\0" + r.to_bytes(32, "big")) + number(s),
    "a third number": lambda r, s: number(r) + number(s) + number(1),
    "one number": lambda r, s: number(r),
}


@pytest.mark.parametrize("odd", ODD)
def test_an_ecdsa_signature_has_one_form(odd: str) -> None:
    """ssh-keygen takes some of these; nobody makes them but who wants one signature to look like several."""
    private = generate_private_key(SECP256R1())
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    key = b"".join(map(string, (b"ecdsa-sha2-nistp256", b"nistp256", point)))
    r, s = decode_dss_signature(private.sign(message(DATA), ECDSA(hashes.SHA256())))
    name = string(b"ecdsa-sha2-nistp256")
    assert holds(armor(sshsig(key, name + string(number(r) + number(s)))))
    with pytest.raises(SignatureFault):
        parse_signature(armor(sshsig(key, name + string(ODD[odd](r, s)))))


# What a later release may know ---------------------------------------------------------------------------------------


def test_what_a_later_release_may_know_is_told_from_what_is_none(signed: dict[str, str]) -> None:
    raw = parse_signature(signed["ed25519"])
    whole = sshsig(raw.key, string(b"ssh-ed25519") + string(raw.value))
    quantum = string(b"ssh-mldsa-65@openssh.com") + string(b"x" * 1952)
    web = sshsig(raw.key, string(b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com") + string(raw.value))
    for later in (
        sshsig(quantum, string(b"ssh-mldsa-65@openssh.com") + string(b"x")),
        web,
        whole.replace(b"SSHSIG\0\0\0\1", b"SSHSIG\0\0\0\2"),
        whole.replace(b"sha512", b"sha3-5"),
    ):
        with pytest.raises(UnknownSignature):
            parse_signature(armor(later))
    for none in (
        b"SSHSIH" + whole[6:],
        sshsig(string(b"ssh-dss") + string(b"x"), b""),
        sshsig(string(b"ssh-ed25519-cert-v01@openssh.com") + string(b"x"), b""),
        sshsig(raw.key, string(b"rsa-sha2-512") + string(raw.value)),
        whole[:-1],
    ):
        with pytest.raises(SignatureFault) as caught:
            parse_signature(armor(none))
        assert not isinstance(caught.value, UnknownSignature)


def test_a_library_that_cannot_tell_is_no_answer(signed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Unsupported:
        @staticmethod
        def from_public_bytes(data: bytes) -> None:
            raise UnsupportedAlgorithm("not in this build")

    monkeypatch.setattr(signatures, "Ed25519PublicKey", Unsupported)
    with pytest.raises(UnavailableError, match="signature_unchecked"):
        holds(signed["ed25519"])


# Recording -----------------------------------------------------------------------------------------------------------


def test_a_program_that_says_yes_to_everything_is_not_believed(
    keys: dict[str, Path], signed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is recorded is what every later verification takes: both have to say yes."""
    program = tmp_path / "ssh-keygen"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    monkeypatch.setattr(ssh, "_SYSTEM", (str(tmp_path),))
    allowed = f"ada {public(keys['ed25519'])}\n".encode()
    assert ssh.verify(DATA, signed["ed25519"], allowed, "ada", at_us=1)
    with pytest.raises(ApprovalFault) as caught:
        ssh.verify(OTHER, signed["ed25519"], allowed, "ada", at_us=1)
    assert caught.value.code == "signature_mismatch"
