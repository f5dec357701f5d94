"""Signed tree heads and the demands of whoever verifies, held against the tree that the lines give.

A head vouches for the lines up to its size when a key in force at that size has signed it. The ledger's own heads lie
beside its lines (`checkpoint`, `checkpoints/`, `anchors/`), so they are as easily deleted as the lines, and one that
nobody known has signed may be what a crash has left: it is told of and decides nothing. An anchor that the verifier
brings comes from out of the writer's reach: whoever signed it, a ledger that contradicts it is not the one it was.
"""

from __future__ import annotations

import os
from hashlib import sha256

from enforcer.ledger.checkpoint import Checkpoint, parse_checkpoint
from enforcer.ledger.note import COSIGNATURE, ED25519, MAX_NOTE, NoteFault, parse_note, verified_by
from enforcer.ledger.report import ANCHORING, INTEGRITY, KEY, Cosigned
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from enforcer.ledger.note import Check, Note, VerifierKey
    from enforcer.ledger.report import Findings
    from enforcer.ledger.terms import Term
    from enforcer.ports import Disk


_RESTORE = "Restore the ledger from a copy that has them, and find out who has cut it."


class Anchor(Record):
    """A copy of a checkpoint that was kept elsewhere. `local`: within the reach of the ledger's writer, so that it is
    shown and does not count. `source` says where it is from."""

    source: str
    note: bytes
    local: bool = False


class Demands(Record, kw_only=True):
    """What whoever verifies knows by other means than the ledger, and asks of it.

    `keys` are pinned: of the ledger (Ed25519), or of witnesses (cosignatures). `max_unanchored` bounds the entries
    after the last anchor that counts. `seen` and `base` are size and root of a tree that this ledger was once, and
    of another copy of it.
    """

    keys: tuple[VerifierKey, ...] = ()
    require_key: bool = False
    anchors: tuple[Anchor, ...] = ()
    require_anchor: bool = False
    max_unanchored: int | None = None
    seen: tuple[int, bytes] | None = None
    base: tuple[int, bytes] | None = None

    @property
    def sizes(self) -> set[int]:
        """Of trees whose roots are asked for by their size."""
        return {known[0] for known in (self.seen, self.base) if known is not None}


class Head(Record):
    """A head as it was found: `given` by the verifier, or `anchor` or checkpoint of the ledger's folder."""

    source: str
    note: Note
    checkpoint: Checkpoint
    anchor: bool = False
    given: bool = False

    @property
    def part(self) -> str:
        """What a contradiction to it speaks against."""
        return ANCHORING if self.given else INTEGRITY

    @property
    def size(self) -> int:
        return self.checkpoint.size


def collect_heads(folder: str, origin: str | None, demands: Demands, *, disk: Disk, found: Findings) -> list[Head]:
    """Every head that can be read, smallest first. What cannot be is told of."""
    heads = []
    known: dict[bytes, Head] = {}  # By content: of many copies of one note, one is read and held.
    for source, anchor, data in _own_notes(folder, disk, found):
        digest = sha256(data).digest()
        try:
            if digest not in known:
                known[digest] = _head(source, data, origin, anchor=anchor, given=False)
            heads.append(known[digest].replace(source=source, anchor=anchor))
        except NoteFault as fault:
            code = "anchor_unreadable" if anchor else "checkpoint_unreadable"
            found.note(None, code, f"{source} vouches for nothing: {fault}.")
    for given in demands.anchors:
        try:
            heads.append(_head(given.source, given.note, origin, anchor=True, given=not given.local))
        except _Foreign as fault:
            found.contradiction(ANCHORING, None, "anchor_foreign", f"{given.source}: {fault}.")
        except NoteFault as fault:
            found.gap(ANCHORING, None, "anchor_unreadable", f"{given.source} vouches for nothing: {fault}.")
    return sorted(heads, key=lambda head: (head.size, head.source))


class _Foreign(NoteFault):
    """A head of another ledger."""


def _head(source: str, data: bytes, origin: str | None, *, anchor: bool, given: bool) -> Head:
    note = parse_note(data)
    checkpoint = parse_checkpoint(note.text)
    if origin is not None and checkpoint.origin != origin:
        raise _Foreign(f"it is of another ledger, {checkpoint.origin[:80]!a}")
    return Head(source, note, checkpoint, anchor, given)


def _own_notes(folder: str, disk: Disk, found: Findings) -> Iterator[tuple[str, bool, bytes]]:
    names = [("checkpoint", False)] if disk.exists(f"{folder}/checkpoint") else []
    for inner, anchor in (("checkpoints", False), ("anchors", True)):
        # Names that end so are of writes that did not come to their end.
        kept = [name for name in disk.listing(f"{folder}/{inner}") if not name.endswith(".new")]
        names += [(f"{inner}/{name}", anchor) for name in kept]
    for name, anchor in names:
        shown = name if name.isprintable() else ascii(name)
        try:
            fd = disk.open(f"{folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                data = disk.read(fd, MAX_NOTE + 1, 0)
            finally:
                disk.close(fd)
        except OSError as error:
            code = "anchor_unreadable" if anchor else "checkpoint_unreadable"
            found.note(None, code, f"{shown}: {error.strerror}.")
        else:
            yield shown, anchor, data


class Judgement:
    """Holds heads against the roots of a ledger that reaches to `entries`, one after the other, smallest first.

    `roots` are by size; one that is missing cannot be held against anything, because lines are missing too. `trusted`
    are the pinned keys and, once the ledger's keys lead from or to one of those, these as well.
    """

    def __init__(
        self,
        terms: list[Term],
        roots: Mapping[int, bytes],
        entries: int,
        demands: Demands,
        *,
        check: Check,
        found: Findings,
    ) -> None:
        self._terms, self._roots, self._entries, self._demands = terms, roots, entries, demands
        self._check, self._found = check, found
        self._witnesses = [key for key in demands.keys if key.algorithm == COSIGNATURE]
        self._agreed = 0
        self.sealed: int | None = None
        self.sealed_by: tuple[VerifierKey, ...] = ()
        self.anchored: int | None = None
        self.anchored_locally = False
        self._cosigned: dict[str, int] = {}
        self._known: dict[Note, tuple[VerifierKey, ...] | NoteFault] = {}
        self.vouching: list[Head] = []  # Those that a key in force has signed and that agree, smallest first.

    @property
    def cosigned(self) -> tuple[Cosigned, ...]:
        return tuple(Cosigned(name, size) for name, size in sorted(self._cosigned.items()))

    def take(self, heads: Iterable[Head]) -> None:
        for head in heads:
            signers = self._signers(head)
            if signers is not None:
                self._take(head, signers)

    def _signers(self, head: Head) -> tuple[VerifierKey, ...] | None:
        """The known keys that have signed a head; None where it is not to be held against anything."""
        if head.note not in self._known:
            self._known[head.note] = self._verified(head.note)
        signers = self._known[head.note]
        if isinstance(signers, NoteFault):
            self._found.contradiction(head.part, None, "checkpoint_forged", f"{head.source}: {signers}.")
            return None
        return signers

    def _verified(self, note: Note) -> tuple[VerifierKey, ...] | NoteFault:
        """A line that stands often is checked once: each check costs whoever verifies, and nothing whoever forges."""
        keys = {(key.name, key.public, key.algorithm): key for key in (*self._ledger_keys(), *self._demands.keys)}
        try:
            lines = tuple(dict.fromkeys(note.signatures))
            return verified_by(note.replace(signatures=lines), keys.values(), self._check)
        except NoteFault as fault:
            return fault

    def _ledger_keys(self) -> list[VerifierKey]:
        return [term.key for term in self._terms]

    def _take(self, head: Head, signers: tuple[VerifierKey, ...]) -> None:
        own = [key for key in signers if key in self._ledger_keys()]
        in_force = tuple(term.key for term in self._terms if term.key in own and term.covers(head.size))
        witnesses = [key for key in signers if key in self._witnesses]
        if own and not in_force:
            message = f"{head.source} is signed by a key of the ledger that does not count for {head.size} entries."
            self._tell(head, "key_not_in_force", message)
            return
        if not in_force and not witnesses:
            self._tell_unverified(head)
            if not head.given:
                return
        if not self._agrees(head):
            return
        if not in_force and not witnesses:
            return
        self._agreed = head.size
        if in_force:
            self.sealed, self.sealed_by = head.size, in_force
            self.vouching.append(head)
        for key in witnesses:
            self._cosigned[key.name] = head.size
        if head.given:
            self.anchored = head.size
        elif head.anchor:
            self.anchored_locally = True

    def _tell_unverified(self, head: Head) -> None:
        message = f"{head.source} is signed by no key that is known here, and vouches for nothing."
        self._tell(head, "anchor_unverified" if head.anchor else "checkpoint_unverified", message)

    def _tell(self, head: Head, code: str, message: str) -> None:
        """A head that counts for nothing: an anchor that somebody gave was to show something, and shows it not."""
        if head.given:
            self._found.gap(ANCHORING, None, code, message)
        else:
            self._found.note(None, code, message)

    def _agrees(self, head: Head) -> bool:
        if head.size > self._entries:
            code = "rolled_back" if head.given else "checkpoint_ahead"
            message = f"{head.source} is of {head.size} entries, and there are {self._entries}: the others are gone."
            message += f" {_RESTORE}" if head.given else ""
            self._found.contradiction(head.part, self._entries, code, message)
            return False
        root = self._roots.get(head.size)
        if root is not None and root != head.checkpoint.root:
            code = "anchor_mismatch" if head.given else "checkpoint_mismatch"
            message = (
                f"{head.source} is of another tree: of the entries {self._agreed} to {head.size - 1}, one was changed."
            )
            self._found.contradiction(head.part, self._agreed, code, message)
            return False
        return root is not None


def judge_demands(
    judgement: Judgement, demands: Demands, roots: Mapping[int, bytes], reach: int, entries: int, found: Findings
) -> str:
    """What is asked of the ledger as a whole, and found wanting. How it stands to the base; empty without one.

    `entries` were read, and there may be as many as `reach`.
    """
    if demands.seen is not None:
        _judge_seen(*demands.seen, roots, reach, found)
    if demands.require_anchor and judgement.anchored is None:
        message = (
            "No anchor out of the writer's reach vouches for this ledger. "
            "Give a checkpoint that was kept elsewhere: --anchor SOURCE; enforcer anchor makes them."
        )
        found.gap(ANCHORING, None, "anchor_required", message)
    after = entries - (judgement.anchored or 0)
    if demands.max_unanchored is not None and after > demands.max_unanchored:
        message = (
            f"{after} entries follow the last anchor, and {demands.max_unanchored} may. "
            "Anchor the head where the ledger is (enforcer anchor), and give that anchor."
        )
        found.gap(ANCHORING, judgement.anchored or 0, "unanchored_too_many", message)
    return _judge_base(*demands.base, roots, reach, found) if demands.base is not None else ""


def _judge_seen(size: int, root: bytes, roots: Mapping[int, bytes], entries: int, found: Findings) -> None:
    if size > entries:
        message = f"This ledger was seen here with {size} entries, and has {entries}: the others are gone. {_RESTORE}"
        found.contradiction(INTEGRITY, entries, "rolled_back", message)
    elif roots.get(size, root) != root:
        message = f"Of the first {size} entries, which were seen here before, one was changed."
        found.contradiction(INTEGRITY, None, "rewritten", message)


def _judge_base(size: int, root: bytes, roots: Mapping[int, bytes], entries: int, found: Findings) -> str:
    if size > entries:
        message = f"The base has {size} entries, and this ledger {entries}: it is an earlier state, or another one."
        found.note(None, "base_behind", message)
        return "behind"
    if roots.get(size) == root:
        return "same" if size == entries else "extends"
    if size not in roots:
        found.gap(
            INTEGRITY, None, "base_unchecked", f"Lines are missing, so the {size} of the base cannot be compared."
        )
        return ""
    found.contradiction(INTEGRITY, None, "forked", f"The first {size} entries are not those of the base.")
    return "forked"


def judge_key(terms: list[Term], judgement: Judgement, demands: Demands, found: Findings, *, declared: bool) -> str:
    """`pinned`, `self-declared` or `none`: how far the ledger's keys are known by other means than its own word.

    A pinned key counts where it has signed, or handed over to one that has. `declared`: it names one, be it one that
    can be used or not.
    """
    pinned = [key for key in demands.keys if key.algorithm == ED25519]
    vouched = [number for number, term in enumerate(terms) if term.key in pinned]
    if pinned and not vouched:
        message = "The key that was pinned is none of this ledger's: it is another ledger, or was signed anew."
        found.contradiction(KEY, None, "key_mismatch", message)
    known = [term.key for term in terms[vouched[0] :]] if vouched else []
    if any(key in known for key in judgement.sealed_by):
        return "pinned"
    message = "No checkpoint of this ledger is signed by a pinned key, or by one that such a key has passed on to."
    if demands.require_key:
        next_step = "Pin its newest key (enforcer key show --current), or have its head signed: enforcer checkpoint"
        found.gap(KEY, None, "key_required", f"{message} {next_step}")
    elif vouched:
        found.note(None, "key_unused", message)  # Anybody can name a key.
    return "self-declared" if declared else "none"
