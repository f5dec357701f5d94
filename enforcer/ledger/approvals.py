"""What a ledger says that somebody signed, held against the statement and the signature that it names.

That an approval was there when it was needed, by somebody who could give it, is replayed from the entries alone. That
it was given is told by its signature: the entry names the very bytes that were signed, which have to say what the entry
says and nothing else, and the key has to be one that the process then in force lists, for that principal and that time.
"""

from __future__ import annotations

from enforcer.attestation.admission import admit
from enforcer.attestation.approval import ADOPT, APPROVE, ApprovalFault, parse_statement
from enforcer.attestation.sshcheck import check_signature
from enforcer.attestation.sshsig import parse_signature
from enforcer.errors import UnavailableError
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


class Approvals:
    """Checks one after the other. `origin` is the ledger's, None where it is not known."""

    def __init__(self, origin: str | None, *, holdings: Holdings, found: Findings) -> None:
        self._origin, self._holdings, self._found = origin, holdings, found

    def check(self, event: Vouched, frame: Frame, process: Process, digest: str) -> None:
        """Tell what is wrong with a signed word. `process`, with `digest`, is the one in force when it was written.

        A mere declaration says nothing that could be checked. What may be of a later release is not called forged.
        """
        if not (event.statement and event.signature):
            return
        who = f"{event.type} by {event.principal[:80]!a}"
        statement, signature = (self._holdings.read(name) for name in (event.statement, event.signature))
        if statement is None or signature is None:
            self._unchecked(frame.seq, f"{who}: what was signed, or the signature, cannot be read")
            return
        faults = [*self._statement_faults(event, frame, digest, statement)]
        try:
            faults += _signature_faults(event, frame, process, statement, signature)
        except UnavailableError as error:
            self._unchecked(frame.seq, f"{who}: {error.message}")
        forged = [fault for fault in faults if not fault.unknown]
        if forged:
            told = " ".join(f"{fault.code}: {fault.message}" for fault in forged)
            self._found.contradiction(LEGALITY, frame.seq, "approval_forged", f"{who} does not hold. {told}")
        elif faults:
            self._unchecked(frame.seq, f"{who}: {faults[0].message}")

    def _unchecked(self, seq: int, why: str) -> None:
        self._found.gap(LEGALITY, seq, "approval_unchecked", f"Not checked: {why.rstrip('.')}.")

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


_ALIKE = ("phase", "attempt_id", "principal", "nonce", "expires", "tree", "reason")


def _signature_faults(
    event: Vouched, frame: Frame, process: Process, statement: bytes, signature: bytes
) -> Iterator[ApprovalFault]:
    """Raises `UnavailableError` where it could not be found out."""
    armored = signature.decode("latin-1")  # What is not ASCII is no signature, which its parser says.
    try:
        signer = admit(armored, process.signers.encode(), event.principal, at_us=frame.ts)
    except ApprovalFault as fault:
        yield fault
        return
    if signer.fingerprint != event.fingerprint:
        message = f"It is by the key {signer.fingerprint}, and the entry names another."
        yield ApprovalFault("signer_other", message)
    if not check_signature(statement, parse_signature(armored)):
        message = f"The key {signer.fingerprint} did not sign what the entry names."
        yield ApprovalFault("signature_mismatch", message)
