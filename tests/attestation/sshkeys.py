"""SSH keys for tests: real ones from ssh-keygen, and hardware keys in software, since no test can touch a real one."""

from __future__ import annotations

import binascii
import hashlib
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

TOUCHED = 0x01


def make_key(folder: Path, name: str, *options: str) -> Path:
    """A key pair without a passphrase, `options` as ssh-keygen takes them."""
    path = folder / name
    command = ["ssh-keygen", "-q", "-N", "", "-C", name, "-f", str(path), *(options or ("-t", "ed25519"))]
    subprocess.run(command, check=True)
    return path


def public(key: Path) -> str:
    """Type and key, as a line of allowed signers ends."""
    return " ".join(key.with_suffix(".pub").read_text(encoding="ascii").split()[:2])


def stock_sign(key: Path, data: bytes, namespace: str = "enforcer-approval", *options: str) -> str:
    """The signature of ssh-keygen itself."""
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, *options]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode("ascii")


def stock_verify(
    folder: Path, data: bytes, signature: str, allowed: str, principal: str, *options: str
) -> subprocess.CompletedProcess[bytes]:
    """The answer of ssh-keygen itself, asked as its manual page tells."""
    (folder / "allowed").write_text(allowed, encoding="ascii")
    (folder / "signature").write_text(signature, encoding="ascii")
    command = ["ssh-keygen", "-Y", "verify", "-f", str(folder / "allowed"), "-I", principal]
    command += ["-n", "enforcer-approval", "-s", str(folder / "signature"), *options]
    return subprocess.run(command, input=data, capture_output=True, check=False)


def string(data: bytes) -> bytes:
    """A `string` of RFC 4251."""
    return len(data).to_bytes(4, "big") + data


def number(value: int) -> bytes:
    """An `mpint` of RFC 4251."""
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def armor(data: bytes) -> str:
    return f"-----BEGIN SSH SIGNATURE-----\n{base64(data)}\n-----END SSH SIGNATURE-----\n"


def sshsig(key: bytes, blob: bytes, namespace: bytes = b"enforcer-approval", hash_name: bytes = b"sha512") -> bytes:
    """A signature of PROTOCOL.sshsig, put together from its parts."""
    head = b"SSHSIG" + (1).to_bytes(4, "big")
    return head + b"".join(map(string, (key, namespace, b"", hash_name, blob)))


@dataclass
class HardwareKey:
    """What an `sk-` key does (OpenSSH's PROTOCOL.u2f), without the hardware."""

    curve: str = "ed25519"
    ed25519: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    ecdsa: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def key_type(self) -> str:
        return "sk-ssh-ed25519@openssh.com" if self.curve == "ed25519" else "sk-ecdsa-sha2-nistp256@openssh.com"

    @property
    def key(self) -> bytes:
        if self.curve == "ed25519":
            parts = [self.ed25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)]
        else:
            point = self.ecdsa.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            parts = [b"nistp256", point]
        return b"".join(map(string, (self.key_type.encode(), *parts, b"ssh:")))

    @property
    def public(self) -> str:
        return f"{self.key_type} {base64(self.key)}"

    def sign(self, data: bytes, flags: int = TOUCHED, namespace: bytes = b"enforcer-approval") -> str:
        digest = hashlib.sha512(data).digest()
        message = b"SSHSIG" + b"".join(map(string, (namespace, b"", b"sha512", digest)))
        state = bytes([flags]) + (7).to_bytes(4, "big")
        signed = hashlib.sha256(b"ssh:").digest() + state + hashlib.sha256(message).digest()
        blob = string(self.key_type.encode()) + string(self._raw(signed)) + state
        return armor(sshsig(self.key, blob, namespace))

    def _raw(self, signed: bytes) -> bytes:
        if self.curve == "ed25519":
            return self.ed25519.sign(signed)
        r, s = decode_dss_signature(self.ecdsa.sign(signed, ec.ECDSA(hashes.SHA256())))
        return number(r) + number(s)
