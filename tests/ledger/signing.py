"""Keys, and ledgers that are signed with them, for tests of whoever verifies."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enforcer.ledger.checkpoint import Checkpoint, format_checkpoint
from enforcer.ledger.entry import format_event
from enforcer.ledger.heads import Demands
from enforcer.ledger.merkle import leaf_hash, root_of
from enforcer.ledger.note import (
    COSIGNATURE,
    Signature,
    VerifierKey,
    cosignature_value,
    cosigned_message,
    format_note,
    format_vkey,
    key_id,
)
from enforcer.ledger.report import Report
from enforcer.ledger.terms import rotation_statement
from enforcer.ledger.verify import verify
from enforcer.ports import SystemDisk
from enforcer.workflow.events import KeyRotated
from tests.ledger.histories import IDENTITY, History, rewrite

ORIGIN = IDENTITY.origin


class Key:
    """An Ed25519 key under a name; of a witness where it cosigns."""

    def __init__(self, number: int, name: str = ORIGIN, *, cosigns: bool = False) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.verifier = VerifierKey(name, public, COSIGNATURE if cosigns else 1)

    @property
    def vkey(self) -> str:
        return format_vkey(self.verifier.name, self.verifier.public, self.verifier.algorithm)

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    def line(self, text: bytes) -> Signature:
        key = self.verifier
        value = self.sign(text)
        if key.algorithm == COSIGNATURE:
            value = cosignature_value(1_700_000_000, self.sign(cosigned_message(text, 1_700_000_000)))
        return Signature(key.name, key_id(key.name, key.public, key.algorithm), value)


OWN, NEXT, STRANGER = Key(1), Key(2), Key(3)
WITNESS = Key(4, "witness.example", cosigns=True)


def note_of(lines: Iterable[bytes], size: int, *keys: Key, origin: str = ORIGIN) -> bytes:
    """A checkpoint of the first `size` lines, signed by all of `keys`."""
    root = root_of([leaf_hash(line) for line in lines][:size])
    text = format_checkpoint(Checkpoint(origin, size, root))
    return format_note(text, [key.line(text) for key in keys])


class Signed:
    """A history whose `ledger.json` names a key, and what stands beside its lines."""

    def __init__(self, history: History, key: Key | None = OWN) -> None:
        self.history = history
        self.identity = IDENTITY.replace(key=key.vkey if key is not None else None)
        (history.state / "ledger" / "ledger.json").write_bytes(self.identity.data())
        self.put(history.lines())

    def put(self, lines: Iterable[bytes], change: Any = lambda seq, entry: None) -> None:
        """These lines, with every hash made to fit."""
        self.history.put(rewrite(lines, change, self.identity.data()))

    def lines(self) -> list[bytes]:
        return self.history.lines()

    def place(self, name: str, data: bytes) -> None:
        path = self.history.state / "ledger" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

    def seal(self, size: int, *keys: Key, name: str = "") -> None:
        """A checkpoint where checkpoints are kept."""
        self.place(name or f"checkpoints/{size}", note_of(self.lines(), size, *(keys or (OWN,))))

    def rotate(self, cap: int, old: Key = OWN, new: Key = NEXT, changes: Mapping[str, Any] | None = None) -> int:
        """Append the entry by which `new` follows `old`, with `changes` to what it says; its number."""
        changes = changes or {}
        seq = len(self.lines())
        event = KeyRotated(
            actor="ada", old=old.vkey, new=new.vkey, seq=seq, cap=cap, old_signature="", new_signature=""
        ).replace(**{name: value for name, value in changes.items() if not name.endswith("signature")})
        statement = rotation_statement(ORIGIN, event)
        event = event.replace(
            old_signature=base64.b64encode(old.sign(statement)).decode(),
            new_signature=base64.b64encode(new.sign(statement)).decode(),
        ).replace(**changes)
        ts = 1_700_009_000_000_000 + seq
        data = format_event(event, task=None, key=f".rotated{seq}", source=ORIGIN)
        line = b'{"event":%b,"prev":"","seq":0,"task_prev":null,"task_seq":null,"ts":%d,"v":1}' % (data, ts)
        self.put([*self.lines(), line])
        return seq

    def verify(self, **demands: Any) -> Report:
        history = self.history
        return verify(
            history.folder,
            disk=SystemDisk(),
            objects=history.objects,
            processes=history.process,
            demands=Demands(**demands),
        )


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}
