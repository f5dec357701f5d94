"""What a ledger says that somebody signed, held against the statement and the signature that it names.

That an approval was there when it was needed, by somebody who could give it, is replayed from the entries alone. That
it was given is told by its signature: the entry names the very bytes that were signed, which have to say what the entry
says and nothing else, and the key has to be one that the process then in force lists, for that principal and that time.

The arithmetic is left for when everything was read, by `ledger.signatures`: so a second core, which does a share of the
reading, needs no cryptographic library.
"""

from __future__ import annotations

from enforcer.attestation.admission import admit
from enforcer.attestation.approval import ADOPT, APPROVE, ApprovalFault, parse_statement
from enforcer.ledger.report import LEGALITY
from enforcer.workflow.approving import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from enforcer.ledger.frames import Frame
    from enforcer.ledger.holdings import Holdings
    from enforcer.ledger.report import Findings
    from enforcer.workflow.events import Vouched
    from enforcer.workflow.process import Process

FORGED, UNCHECKED = "approval_forged", "approval_unchecked"

_SEQ, _DIGEST = 8, 32
_SIZE = _SEQ + 2 * _DIGEST


class Signings:
    """Signatures that wait to be checked, in 72 bytes each: the entry, and the digests of statement and signature."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, seq: int, statement: str, signature: str) -> None:
        self._data += seq.to_bytes(_SEQ, "big") + bytes.fromhex(statement) + bytes.fromhex(signature)

    def __iter__(self) -> Iterator[tuple[int, str, str]]:
        for at in range(0, len(self._data), _SIZE):
            one = self._data[at : at + _SIZE]
            digests = one[_SEQ : _SEQ + _DIGEST].hex(), one[_SEQ + _DIGEST :].hex()
            yield int.from_bytes(one[:_SEQ], "big"), *digests

    def pack(self) -> str:
        return self._data.hex()

    def merge(self, packed: str) -> None:
        """Add those of another process. Raises `ValueError` for anything else than `pack`."""
        data = bytes.fromhex(packed)
        if len(data) % _SIZE:
            raise ValueError(f"{len(data)} bytes are not whole signings")
        self._data += data


class Approvals:
    """Judges one after the other. `origin` is the ledger's, None where it is not known.

    `signings` are the signatures of those that are left to be checked: they are by a key that may sign.
    """

    def __init__(self, origin: str | None, *, holdings: Holdings, found: Findings) -> None:
        self._origin, self._holdings, self._found = origin, holdings, found
        self.signings = Signings()

    def check(self, event: Vouched, frame: Frame, process: Process, digest: str) -> None:
        """Tell what is wrong with a signed word. `process`, with `digest`, is the one in force when it was written.

        A mere declaration says nothing that could be checked. What may be of a later release is not called forged.
        """
        if not (event.statement and event.signature):
            return
        statement, signature = (self._holdings.read(name) for name in (event.statement, event.signature))
        if statement is None or signature is None:
            self._unchecked(event, frame, "what was signed, or the signature, cannot be read")
            return
        faults = [*self._statement_faults(event, frame, digest, statement)]
        try:
            _check_key(event, frame, process, signature)
            self.signings.add(frame.seq, event.statement, event.signature)
        except ApprovalFault as fault:
            faults.append(fault)
        forged = [f"{fault.code}: {fault.message}" for fault in faults if not fault.unknown]
        if forged:
            message = f"{_told(event)} does not hold. {' '.join(forged)}"
            self._found.contradiction(LEGALITY, frame.seq, FORGED, message)
        elif faults:
            self._unchecked(event, frame, faults[0].message)

    def _unchecked(self, event: Vouched, frame: Frame, why: str) -> None:
        self._found.gap(LEGALITY, frame.seq, UNCHECKED, f"{_told(event)} is not checked: {why.rstrip('.')}.")

    def _statement_faults(self, event: Vouched, frame: Frame, digest: str, data: bytes) -> Iterator[ApprovalFault]:
        try:
            statement = parse_statement(data)
        except ApprovalFault as fault:
            yield fault
            return
        said = _said(event, frame, digest)
        if self._origin is not None:
            said["ledger"] = self._origin.removeprefix("enforcer/")
        others = [name for name in sorted(said) if getattr(statement, name) != said[name]]
        if others:
            message = f"What was signed has another {', another '.join(others)} than the entry."
            yield ApprovalFault("statement_other", message)


_ALIKE = ("phase", "attempt_id", "principal", "nonce", "expires", "tree", "reason")


def _said(event: Any, frame: Frame, digest: str) -> dict[str, Any]:
    """The fields of the statement, as the entry tells them."""
    kind, adopts = kind_of(event), getattr(event, "process", "")
    return {
        "kind": ADOPT if kind == APPROVE and adopts else kind,
        "task": frame.task,
        "process": adopts or digest,
        "artifact": getattr(event, "artifact", ""),
        "rules": getattr(event, "rules", ()),
        "evidence": dict(event.evidence),
        **{name: getattr(event, name) for name in _ALIKE},
    }


def _check_key(event: Vouched, frame: Frame, process: Process, signature: bytes) -> None:
    """Raises `ApprovalFault` unless the signature says that it is by a key that may sign, and by the one told."""
    armored = signature.decode("latin-1")  # What is not ASCII is no signature, which its parser says.
    signer = admit(armored, process.signers.encode(), event.principal, at_us=frame.ts)
    if signer.fingerprint != event.fingerprint:
        message = f"It is by the key {signer.fingerprint}, and the entry names another."
        raise ApprovalFault("signer_other", message)


def _told(event: Vouched) -> str:
    return f"{event.type} by {ascii(event.principal[:80])[1:-1]}"
