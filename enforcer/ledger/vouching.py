"""Checks a file that shows entries of a ledger by itself: a task's receipt, or a `.tlog-proof` of one entry.

Nothing is needed but the file and the key of the ledger, given by other means. The answer is a report like that of
`verify`: `tampered` where two things that were read contradict each other, `unverifiable` where something could not be
judged, else `verified`. Without a key, or with none that vouches, the answer is `unverifiable` at best: see `signers`.
"""

from __future__ import annotations

from hashlib import sha256

from enforcer.ledger.codec import JsonFault, parse_line
from enforcer.ledger.entry import BadLine, entry_of, leaf_hash, parse_frame, parse_leaf
from enforcer.ledger.law import Law
from enforcer.ledger.merkle import ProofFault, check_inclusion
from enforcer.ledger.note import NoteFault
from enforcer.ledger.proof import parse_proof
from enforcer.ledger.receipt import ReceiptFault, evidence_of, parse_receipt, processes_of
from enforcer.ledger.report import (
    EVIDENCE,
    INTEGRITY,
    LEGALITY,
    TAMPERED,
    UNVERIFIABLE,
    VERIFIED,
    Finding,
    Findings,
)
from enforcer.ledger.signers import Vouched, judge_head, read_head
from enforcer.workflow.events import KeyRotated
from enforcer.workflow.evolve import evolve
from enforcer.workflow.process import Process
from enforcer.workflow.record import Record
from enforcer.workflow.state import OPEN
from enforcer.workflow.structure import structure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, ClassVar

    from enforcer.ledger.checkpoint import Checkpoint
    from enforcer.ledger.entry import Entry
    from enforcer.ledger.note import Check, Note, VerifierKey
    from enforcer.ledger.receipt import Receipt
    from enforcer.workflow.state import TaskState

RECEIPT, PROOF = "receipt", "proof"
UNCHECKED = "unchecked"

# A line whose event or version is of a later release says nothing against anybody.
_UNKNOWN = ("unknown_event", "unknown_version")
# What code that expects a sound state or process raises on a forged one; a forged process may stand on itself.
_UNFIT = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
ACCEPTED = " What can be checked is a receipt (enforcer export TASK) or a .tlog-proof (enforcer prove SEQ)."

_PROOF_HEADER = b"c2sp.org/tlog-proof@"
_EXIT = {VERIFIED: 0, TAMPERED: 1, UNVERIFIABLE: 2}


class ReceiptReport(Record, kw_only=True):
    """The answer of `enforcer verify-proof`. `verdict` and its parts are words of `report`.

    `kind` is `receipt` or `proof`; of a proof, `legality` and `evidence` are `unchecked`, because a single entry does
    not tell. `key` is one of `pinned`, `self-declared`, `none`; `signers` are the names of the keys
    whose signature held; `size` and `root` (hex) are of the checkpoint, `head` is the hex leaf hash of the last line,
    `first` and `last` are the numbers of the first and the last. `status` and `phase` are the task's after the last
    line, `closed` says whether that is its end; None where this could not be told, and for a proof of a single entry.
    `artifacts` counts acceptances, `embedded` those whose bytes are in the file and were compared.
    """

    kind: str
    verdict: str
    integrity: str
    legality: str
    evidence: str
    key: str
    signers: tuple[str, ...] = ()
    origin: str | None = None
    size: int | None = None
    root: str | None = None
    task: str | None = None
    entries: int = 0
    first: int | None = None
    last: int | None = None
    head: str | None = None
    status: str | None = None
    phase: str | None = None
    closed: bool | None = None
    artifacts: int = 0
    embedded: int = 0
    findings: tuple[Finding, ...] = ()

    nested: ClassVar[Mapping[str, type[Record]]] = {"findings": Finding}

    @property
    def exit_status(self) -> int:
        """0 where everything holds, 1 for a contradiction, 2 where something could not be judged."""
        return _EXIT[self.verdict]


def check_file(data: bytes, keys: Iterable[VerifierKey], check: Check) -> ReceiptReport:
    """Check a receipt or a `.tlog-proof`, whichever it is. Never raises on what the file holds."""
    kind = check_proof if data.startswith(_PROOF_HEADER) else check_receipt
    return kind(data, keys, check)


def check_receipt(data: bytes, keys: Iterable[VerifierKey], check: Check) -> ReceiptReport:
    """Everything that a receipt shows, and every reason why it does not. `check` verifies an Ed25519 signature."""
    case = _Case(RECEIPT)
    try:
        receipt = parse_receipt(data)
    except ReceiptFault as fault:
        report = case.found.gap if fault.foreign else case.found.contradiction
        report(INTEGRITY, None, "malformed", f"This is no receipt: {fault}.{ACCEPTED if fault.foreign else ''}")
        case.found.doubt(LEGALITY, EVIDENCE)
        return case.report()
    case.task = receipt.task
    case.take_head(receipt.checkpoint)
    case.check_lines(receipt.lines, receipt.proofs)
    case.judge_key(receipt.key, case.check_rotations(receipt.rotations, receipt.rotation_proofs), keys, check)
    case.check_chain()
    case.check_evidence(receipt)
    case.replay(receipt.objects)
    return case.report()


def check_proof(data: bytes, keys: Iterable[VerifierKey], check: Check) -> ReceiptReport:
    """Everything that the proof of one entry shows. The line is taken from the proof's `extra`."""
    case = _Case(PROOF)
    try:
        proof = parse_proof(data)
    except NoteFault as fault:
        case.found.gap(INTEGRITY, None, "malformed", f"This is no proof: {fault}.")
        return case.report()
    case.take_head(proof.checkpoint)
    case.judge_key(None, (), keys, check)
    if not proof.extra:
        message = "The proof does not carry the line that it is of, so there is nothing to hold against the tree."
        case.found.gap(INTEGRITY, proof.index, "line_absent", message)
        return case.report()
    case.check_lines((proof.extra,), (proof.hashes,), proof.index)
    case.task = case.frames[0]["event"].get("subject") if case.frames else None
    return case.report()


class _Case:
    """One file while it is checked: what was read of it so far, and what was found."""

    def __init__(self, kind: str) -> None:
        self.kind, self.found = kind, Findings()
        self.task: str | None = None
        self.read_head: tuple[Note, Checkpoint] | None = None
        self.head: Checkpoint | None = None
        self.vouched = Vouched()
        self.frames: list[dict[str, Any]] = []
        self.entries: list[Entry] = []
        self.hashes: list[str] = []
        self.unread = 0
        self.state: TaskState | None = None
        self.artifacts = self.embedded = 0

    def take_head(self, note: bytes) -> None:
        """The checkpoint that everything is held against."""
        self.read_head = read_head(note, self.found)
        self.head = self.read_head[1] if self.read_head is not None else None

    def judge_key(
        self,
        named: str | None,
        rotations: Iterable[tuple[int, KeyRotated]],
        keys: Iterable[VerifierKey],
        check: Check,
    ) -> None:
        """Who vouches for it."""
        self.vouched = judge_head(self.read_head, named, rotations, tuple(keys), check, self.found)

    def check_rotations(
        self, lines: Sequence[bytes], proofs: Sequence[tuple[bytes, ...]]
    ) -> list[tuple[int, KeyRotated]]:
        """The changes of keys, with the numbers of their entries: those of which it is shown where they stand.

        What the lines say of keys is for `signers`. One that is no change of keys has no business here.
        """
        rotations: list[tuple[int, KeyRotated]] = []
        for line, proof in zip(lines, proofs, strict=True):
            try:
                entry = parse_leaf(line)
            except BadLine as bad:
                self._unread_line(bad, None)
                continue
            self._check_source(entry.source, entry.seq)
            in_order = not rotations or rotations[-1][0] < entry.seq
            if not isinstance(entry.event, KeyRotated) or not in_order:
                message = "A line that stands among the changes of keys is none, or not in order."
                self.found.contradiction(INTEGRITY, entry.seq, "malformed", message)
            elif self._check_place(entry.seq, entry.hash, proof):
                rotations.append((entry.seq, entry.event))
        return rotations

    # The lines

    def check_lines(
        self, lines: Sequence[bytes], proofs: Sequence[tuple[bytes, ...]], index: int | None = None
    ) -> None:
        """Each line by itself: its form, its origin, and its place in the tree. `index` is stated apart in a proof."""
        for line, proof in zip(lines, proofs, strict=True):
            hashed = leaf_hash(line)
            self.hashes.append(hashed)
            frame = self._read(line, hashed)
            place = frame["seq"] if frame is not None else index
            if frame is not None and index is not None and index != place:
                message = f"The proof is of entry {index}, and the line says that it is {place}."
                self.found.contradiction(INTEGRITY, index, "line_mismatch", message)
                place = index
            if frame is not None:
                self._check_source(frame["event"]["source"], frame["seq"])
            if place is not None:
                self._check_place(place, hashed, proof)

    def _read(self, line: bytes, hash: str) -> dict[str, Any] | None:
        try:
            frame = parse_frame(line)
        except BadLine as bad:
            self._unread_line(bad, None)
            return None
        self.frames.append(frame)
        try:
            self.entries.append(entry_of(frame, hash))
        except BadLine as bad:
            self._unread_line(bad, frame["seq"])
        return frame

    def _unread_line(self, bad: BadLine, seq: int | None) -> None:
        self.unread += 1
        if bad.code in _UNKNOWN:
            self.found.gap(LEGALITY, seq, bad.code, f"This release does not know the line: {bad}.")
        else:
            self.found.contradiction(INTEGRITY, seq, bad.code, f"A line cannot be read: {bad}.")

    def _check_source(self, source: str, seq: int) -> None:
        if self.head is not None and source != self.head.origin:
            message = f"The line is of {source!a}, and the checkpoint of {self.head.origin!a}."
            self.found.contradiction(INTEGRITY, seq, "origin_mismatch", message)

    def _check_place(self, seq: int, hash: str, proof: tuple[bytes, ...]) -> bool:
        """Whether a line is shown to stand where it says."""
        if self.head is None:
            return False
        try:
            check_inclusion(seq, self.head.size, bytes.fromhex(hash), proof, self.head.root)
        except ProofFault as fault:
            message = f"The line is not shown to stand in the tree of the checkpoint: {fault}."
            self.found.contradiction(INTEGRITY, seq, "inclusion_unproven", message)
            return False
        return True

    # The task

    def check_chain(self) -> None:
        """The lines together: all of this task, and each the one after the one before, from the first on."""
        if not self.hashes:
            self.found.contradiction(INTEGRITY, None, "task_chain_broken", "There is no line of the task.")
        if len(self.frames) != len(self.hashes):
            return  # A line that cannot be read at all was reported, and leaves no chain to follow.
        before: dict[str, Any] | None = None
        for number, (frame, link) in enumerate(zip(self.frames, [None, *self.hashes], strict=False), 1):
            for fault in _link_faults(frame, before, link, number, self.task):
                self.found.contradiction(INTEGRITY, frame["seq"], "task_chain_broken", fault)
            before = frame
        keys = [frame["event"]["id"] for frame in self.frames]
        if len(set(keys)) != len(keys):
            self.found.contradiction(INTEGRITY, None, "key_repeated", "Two lines have one idempotency key.")

    def check_evidence(self, receipt: Receipt) -> None:
        """What is listed and embedded against what the lines say was accepted."""
        accepted = evidence_of(self.entries)
        self.artifacts = len(accepted)
        if not self.unread and list(receipt.evidence) != accepted:
            message = "The list of evidence is not what the lines accept."
            self.found.contradiction(EVIDENCE, None, "evidence_mismatch", message)
        wanted = {one["digest"]: one["size"] for one in accepted} | dict.fromkeys(processes_of(self.entries))
        for digest, data in receipt.objects.items():
            if sha256(data).hexdigest() != digest or wanted.get(digest) not in (None, len(data)):
                message = f"The embedded bytes of {digest[:64]} are others."
                self.found.contradiction(EVIDENCE, None, "object_mismatch", message)
            elif digest not in wanted and not self.unread:
                message = f"The embedded object {digest} is nothing that the lines name."
                self.found.contradiction(EVIDENCE, None, "object_unnamed", message)
        self.embedded = sum(one["digest"] in receipt.objects for one in accepted)

    def replay(self, objects: Mapping[str, bytes]) -> None:
        """Whether each entry could have been decided, under the processes that the receipt embeds."""
        if self.unread or len(self.entries) != len(self.hashes):
            message = "Whether the entries could have been decided is not judged: not all of them could be read."
            self.found.gap(LEGALITY, None, "legality_unchecked", message)
            return
        law = Law(self._processes(objects).__getitem__)
        for entry in self.entries:
            try:
                faults = [*structure(self.state, entry.event), *law(self.state, entry)]
                self.state = evolve(self.state, entry.event, entry.place)
            except _UNFIT as error:
                self.state, faults = None, [f"it cannot follow what was before it ({type(error).__name__})"]
            for fault in faults:
                self.found.contradiction(LEGALITY, entry.seq, "illegal", f"{fault[:1].upper()}{fault[1:]}.")
            if self.state is None:
                return
        if self.state is not None and self.state.status == OPEN:
            message = "The task is open after its last entry here, so later ones may exist."
            self.found.note(self.entries[-1].seq, "task_open", message)

    def _processes(self, objects: Mapping[str, bytes]) -> dict[str, Process]:
        processes = {}
        for digest in processes_of(self.entries):
            try:
                processes[digest] = Process.unpack(parse_line(objects[digest]))
            except (KeyError, JsonFault, *_UNFIT):
                message = f"The process {digest} is not in the file or cannot be read, so nothing is held against it."
                self.found.gap(LEGALITY, None, "process_unreadable", message)
        return processes

    # The answer

    def report(self) -> ReceiptReport:
        base, head, state = self.found.report(), self.head, self.state
        whole = self.kind == RECEIPT
        return ReceiptReport(
            kind=self.kind,
            verdict=base.verdict,
            integrity=base.integrity,
            legality=base.legality if whole or base.legality != VERIFIED else UNCHECKED,
            evidence=base.evidence if whole else UNCHECKED,
            key=self.vouched.key,
            signers=self.vouched.signers,
            origin=head.origin if head is not None else None,
            size=head.size if head is not None else None,
            root=head.root.hex() if head is not None else None,
            task=self.task,
            entries=len(self.hashes),
            first=self.frames[0]["seq"] if self.frames else None,
            last=self.frames[-1]["seq"] if self.frames else None,
            head=self.hashes[-1] if self.hashes else None,
            status=state.status if state is not None else None,
            phase=state.phase if state is not None else None,
            closed=state.status != OPEN if state is not None else None,
            artifacts=self.artifacts,
            embedded=self.embedded,
            findings=base.findings,
        )


def _link_faults(
    frame: dict[str, Any], before: dict[str, Any] | None, hash: str | None, number: int, task: str | None
) -> Iterable[str]:
    """Why a line is not the task's next one. `before` is the line before, and `hash` the leaf hash of that."""
    if frame["event"].get("subject") != task:
        yield f"The line is of {frame['event'].get('subject')!a}, and the receipt of {task!a}."
    if frame["task_seq"] != number:
        yield f"It is the task's entry {frame['task_seq']}, and stands here as the {number}th."
    if frame["task_prev"] != hash:
        yield "It does not follow the line before it."
    if before is None:
        return
    if frame["seq"] <= before["seq"] or frame["ts"] < before["ts"]:
        yield "It is not later than the line before it."
    if frame["seq"] == before["seq"] + 1 and frame["prev"] != hash:
        yield "It is next to the line before it, and does not name it."
