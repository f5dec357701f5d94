"""What the gate asks of a ledger, wherever it is kept, and what is promised in return.

One conformance suite (`tests/ledger/conformance.py`) runs against every implementation.
"""

from __future__ import annotations

from enforcer.errors import DamagedError
from enforcer.ledger.codec import JsonFault, canonical, parse_line
from enforcer.ledger.entry import FORMAT, genesis_hash
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import Protocol

    from enforcer.ledger.entry import Entry
    from enforcer.ledger.fold import Head
    from enforcer.workflow.events import Event
    from enforcer.workflow.evolve import Place
    from enforcer.workflow.state import TaskState
else:
    Protocol = object


class Identity(Record):
    """What `ledger.json` says: `id` is 32 hex digits, `key` a C2SP vkey or None, `origin` is `enforcer/<id>`."""

    id: str
    key: str | None
    origin: str
    format: str = FORMAT

    def data(self) -> bytes:
        """The bytes of `ledger.json`."""
        members = {"format": self.format, "id": self.id, "key": self.key, "origin": self.origin}
        return canonical(members) + b"\n"

    @property
    def genesis(self) -> str:
        return genesis_hash(self.data())


def parse_identity(data: bytes, where: str) -> Identity:
    """Read `ledger.json`. Raises `DamagedError`: `ledger_unknown_format` or `ledger_identity_damaged`."""
    try:
        members = parse_line(data)
        if isinstance(members, dict) and isinstance(members.get("format"), str) and members["format"] != FORMAT:
            message = f"The ledger is of the format {members.get('format')!r}; this release reads {FORMAT}."
            raise DamagedError("ledger_unknown_format", message, where=where, fix="Use the release that wrote it.")
        identity = Identity.unpack(members)
    except (JsonFault, ValueError) as error:
        raise _damaged_identity(where) from error
    well_formed = len(identity.id) == 32 and set(identity.id) <= set("0123456789abcdef")
    well_formed = well_formed and identity.origin == f"enforcer/{identity.id}"
    if not well_formed or identity.data() != data:
        raise _damaged_identity(where)
    return identity


def _damaged_identity(where: str) -> DamagedError:
    message = "The file that names the ledger is damaged."
    fix = "Restore it from a copy; nothing was changed."
    return DamagedError("ledger_identity_damaged", message, where=where, fix=fix)


class Store(Protocol):
    """A ledger. Reading sees what `catch_up` saw last; writing happens inside `writing` alone."""

    identity: Identity

    @property
    def head(self) -> Head: ...

    def root(self) -> bytes:
        """The root hash (RFC 6962, 32 bytes) of the tree of the `head.size` entries seen so far."""
        ...

    @property
    def cache_rejected(self) -> str:
        """Why a cache was thrown away since the last written entry; empty when none was."""
        ...

    def catch_up(self) -> None:
        """Take in the lines that others wrote. Raises `DamagedError` with the position of a line that does not fit."""
        ...

    def task(self, name: str) -> TaskState | None: ...

    def tasks(self) -> Iterator[TaskState]:
        """Every task, in the order of their names."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Hold the append lock, caught up, on a ledger that is whole.

        What a crash left is repaired first, and the repair recorded (`ledger.recovered`): bytes after the last complete
        line, and lines whose sync failed. Damage anywhere else raises `DamagedError` with the place, and changes
        nothing; a repair that does not succeed raises `UnavailableError`.
        """
        ...

    def append(self, event: Event, data: bytes, *, task: str | None, key: str, now: int | None = None) -> Place:
        """Write one line in one write: the commit point. `data` is `format_event` of the event, and `now` when it was
        decided (UTC microseconds), where that is not this moment. Its time is not before the one of the line before.

        When this returns, every later reader of this machine sees the entry; it is durable only after `sync`. Nothing
        was written when it raises `RequestError` (`entry_too_long`) or `InternalError` (`illegal_event`: an event that
        could not be read back).
        """
        ...

    def sync(self) -> None:
        """When this returns, every entry seen so far is on stable storage. Raises `UnavailableError` when the device
        failed. No second sync of the same bytes ever counts, in whatever process, since it could report success for
        bytes that were lost: the next call, like the next `writing`, has everything written anew first.
        """
        ...

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """The entries from `start` on, in order, as `catch_up` saw them.

        All of them are those that the hash of the last one commits to, or `DamagedError` (`ledger_chain_broken`) is
        raised before the end. Each is yielded once the next one has borne it out: one that was edited alone is never
        yielded; where those after it were linked anew, the error comes after them.
        """
        ...

    def leaves(self, start: int = 0) -> Iterator[bytes]:
        """The lines of `entries`, without their newlines, under the same promise."""
        ...

    def task_entries(self, name: str) -> Iterator[Entry]:
        """The entries of one task, in order; none of a task that is not known.

        None is yielded unless they are exactly those that the task's last one commits to: else `DamagedError`
        (`ledger_task_chain_broken`).
        """
        ...

    def task_leaves(self, name: str) -> Iterator[bytes]:
        """The lines of `task_entries`, under the same promise."""
        ...

    def entry(self, seq: int) -> Entry:
        """One entry, borne out by the one after it alone. Raises `RequestError` `unknown_entry`.

        Who edited both is not noticed here: that takes reading to the end, or a proof in the tree.
        """
        ...

    def save_caches(self) -> None:
        """Keep what makes the next start quick. Called after an acknowledgement; its failure changes no answer."""
        ...

    def close(self) -> None: ...
