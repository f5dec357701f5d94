"""Checkpoints: when one is due, how it is made, and how what a crash left half done is made whole.

A checkpoint follows an acknowledgement and never delays or changes one. It is due after a move of a task, or after 256
entries without one. Made of entries that are on stable storage, in this order:

1. the tiles that became full (derived from the lines; whatever is wrong with them is found and rebuilt);
2. the signer proves the new tree consistent with its last head, signs, and keeps the note: the one durable write;
3. `checkpoints/<size>` and `checkpoint`, copies of that note.

A crash between any two leaves something that the next call derives again, so nothing here needs repair by hand.
"""

from __future__ import annotations

import os

from enforcer.errors import DamagedError, EnforcerError, UnavailableError
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.cosignatures import cosignatures_in
from enforcer.ledger.merkle import frontier_at, prove_consistency
from enforcer.ledger.note import NoteFault, parse_note
from enforcer.ledger.tree import TileTree
from enforcer.ports import write_whole
from enforcer.workflow.events import PhaseAdvanced, PhaseBacktracked, TaskAbandoned
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from enforcer.ledger.checkpoint import Checkpoint
    from enforcer.ledger.store import Store
    from enforcer.ports import Clock, Disk, Entropy
    from enforcer.workflow.events import Event

    class Signer(Protocol):
        """Who signs heads. See `attestation.signer`."""

        def sign(self, size: int, root: bytes, prove: Callable[[int], Sequence[bytes]]) -> tuple[Checkpoint, bytes]: ...


DUE_AFTER = 256  # Entries; also how many share one kept checkpoint.
PAUSE_NS = 1_000_000_000  # A process that goes on working seals once a second at the most; the rest when it closes.
MAX_NOTE = 1 << 20

_MOVES = (PhaseAdvanced, PhaseBacktracked, TaskAbandoned)


class Sealed(Record):
    """The newest checkpoint: its size, its root and the signed note."""

    size: int
    root: bytes
    note: bytes


def read_sealed(folder: str, disk: Disk, name: str = "checkpoint") -> Sealed | None:
    """What `checkpoint`, or another file, says, unverified; None where nothing is that can be read as one."""
    try:
        fd = disk.open(f"{folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        note = disk.read(fd, MAX_NOTE, 0)
        head = parse_checkpoint(parse_note(note).text)
    except (OSError, NoteFault):
        return None
    finally:
        disk.close(fd)
    return Sealed(head.size, head.root, note)


class Sealer:
    """Makes the checkpoints of one ledger. `signer` is called when one is due; it raises where this user has no key."""

    def __init__(
        self,
        folder: str,
        store: Store,
        signer: Callable[[], Signer],
        *,
        disk: Disk,
        entropy: Entropy,
        clock: Clock,
    ) -> None:
        self._folder, self._store, self._signer = folder, store, signer
        self._disk, self._entropy, self._clock = disk, entropy, clock
        self.tree = TileTree(folder, disk=disk, entropy=entropy, leaves=store.leaves)
        self._sealed = -1  # The size of the newest checkpoint; -1 until it was looked up.
        self._moved = False
        self._since = clock.boot()[1]
        self.trouble: EnforcerError | None = None

    def follow(self, event: Event | None) -> None:
        """Take note of what was acknowledged, and seal in between where this process goes on for long."""
        self._moved = self._moved or isinstance(event, _MOVES)
        if self._clock.boot()[1] - self._since >= PAUSE_NS:
            self.settle()

    def settle(self) -> None:
        """Make a checkpoint if one is due. Whatever goes wrong is kept as `trouble` and changes no answer."""
        if not self._due():
            return
        self._since = self._clock.boot()[1]
        try:
            self.seal()
        except EnforcerError as error:
            self.trouble = error
        self._moved = False

    def seal(self) -> Sealed:
        """A checkpoint of everything that is on the ledger now.

        Raises what the signer and the store raise, and `UnavailableError` `checkpoint_unwritable` where the tiles or
        the copies of the note could not be written: the next call writes them.
        """
        signer = self._signer()
        self._store.catch_up()
        self._store.sync()
        try:
            head, note = self._sign(signer)
            sealed = self._publish(Sealed(head.size, head.root, note))
        except OSError as error:
            message = f"The checkpoint could not be written: {error.strerror}."
            fix = "Make the ledger's folder writable; then: enforcer checkpoint"
            raise UnavailableError("checkpoint_unwritable", message, where=self._folder, fix=fix) from error
        self._sealed, self._moved, self.trouble = sealed.size, False, None
        return sealed

    def newest(self) -> Sealed | None:
        """The newest checkpoint, made now where this user can and one is missing."""
        try:
            return self.seal()
        except UnavailableError:
            return read_sealed(self._folder, self._disk)

    def root_at(self, size: int) -> bytes:
        """The root of the tree of the first `size` entries, from the lines and the tiles made of them."""
        self.tree.grow(size)
        return frontier_at(size, self.tree.node(size)).root()

    def _due(self) -> bool:
        if self._sealed < 0:
            sealed = read_sealed(self._folder, self._disk)
            # Anybody can write a copy of a note; one of more than there is must not keep others from being made.
            size = sealed.size if sealed is not None else 0
            self._sealed = size if size <= self._store.head.size else 0
        return self._moved or self._store.head.size - self._sealed >= DUE_AFTER

    def _sign(self, signer: Signer) -> tuple[Checkpoint, bytes]:
        """The signer's newest head. What it refuses is looked at once more, from the lines themselves."""
        size = self._store.head.size
        self.tree.grow(size)
        try:
            return self._ask(signer, size)
        except DamagedError as error:
            if error.code == "ledger_rolled_back":
                # Somebody may have appended and signed in between.
                self._store.catch_up()
                self._store.sync()
            elif error.code == "history_rewritten":
                # The lines may be the ones that were signed, and only a tile is not.
                self.tree.drop()
            else:
                raise
            self.tree.grow(self._store.head.size)
            return self._ask(signer, self._store.head.size)

    def _ask(self, signer: Signer, size: int) -> tuple[Checkpoint, bytes]:
        return signer.sign(size, self._store.root(), lambda old: prove_consistency(old, size, self.tree.node(size)))

    def _publish(self, sealed: Sealed) -> Sealed:
        """Copy the signer's note to where others look for it; what stands there then, with cosignatures of it."""
        before = read_sealed(self._folder, self._disk)
        if before is not None and _carries(before, sealed):
            return before
        self._disk.make_folder(f"{self._folder}/checkpoints")
        self._put(f"{self._folder}/checkpoints/{sealed.size}", sealed.note)
        self._put(f"{self._folder}/checkpoint", sealed.note)
        if before is not None and _gives_way(before, sealed):
            self._drop(f"{self._folder}/checkpoints/{before.size}")
        return sealed

    def _put(self, path: str, data: bytes) -> None:
        """Unsynced: it is a copy of what the signer keeps."""
        write_whole(self._disk, path, data, entropy=self._entropy)

    def _drop(self, path: str) -> None:
        try:
            self._disk.unlink(path)
        except OSError:
            return


def _carries(standing: Sealed, sealed: Sealed) -> bool:
    """Whether a note is of the same text and has all the signatures of another, and perhaps those of witnesses."""
    there, signed = parse_note(standing.note), parse_note(sealed.note)
    return there.text == signed.text and set(signed.signatures) <= set(there.signatures)


def _gives_way(before: Sealed, sealed: Sealed) -> bool:
    """Whether the newer one is the one to keep of a block. What a witness has cosigned nobody here could make again."""
    same_block = before.size < sealed.size and _block(before.size) == _block(sealed.size)
    return same_block and not cosignatures_in(parse_note(before.note))


def _block(size: int) -> int:
    return (size - 1) // DUE_AFTER
