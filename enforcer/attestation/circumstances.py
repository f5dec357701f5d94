"""What somebody should know before they sign and the signature does not name: how the evidence came about, what was
accepted before, the change itself, and what another process would ask for less.

It is shown with the statement and stands in no signed byte, which is said of each part. What comes from outside is
quoted like the documents are.
"""

from __future__ import annotations

from hashlib import sha256

from enforcer.attestation.display import counted, escaped, excerpt, quote, read_text, remarks
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ORIGINS = {"claimed": "claimed by the worker", "observed": "observed by Enforcer"}

_NOT_NAMED = "not named by this signature"


class Making(Record):
    """How an artifact of the phase came about: its `origin`, the rules over it that are `waived`, and the `labels` of
    the run that made it."""

    origin: str
    waived: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


class Earlier(Record):
    """One artifact that was accepted in a phase before: its `name` is `PHASE/artifact`, `seq` the entry."""

    name: str
    digest: str
    size: int
    origin: str
    seq: int


class Change(Record):
    """An accepted diff. `data` is None where its bytes are not here; `tree` is the one that it leads to, empty where
    it does not apply, and None where that was not asked."""

    name: str
    digest: str
    data: bytes | None
    tree: str | None = None


class Move(Record):
    """Another process: what differs from the one in force, and which of it asks for less."""

    name: str
    difference: tuple[str, ...] = ()
    weakenings: tuple[str, ...] = ()


class Circumstances(Record, kw_only=True):
    """All of it. `makings` are by the names of the evidence."""

    makings: Mapping[str, Making] = {}
    earlier: tuple[Earlier, ...] = ()
    changes: tuple[Change, ...] = ()
    move: Move | None = None


NOTHING = Circumstances()


def tell_making(making: Making) -> Iterator[str]:
    """Rows below an artifact that is signed."""
    yield field("origin", ORIGINS.get(making.origin, escaped(making.origin)))
    yield from _quoted("rules waived", making.waived)
    yield from _quoted("to be looked at", making.labels)


def tell_move(move: Move) -> Iterator[str]:
    """Rows about another process: its name, and every difference."""
    yield from _quoted("name of it", (move.name,))
    yield from _quoted("WEAKER THAN THE PROCESS IN FORCE", move.weakenings)
    others = tuple(one for one in move.difference if one not in move.weakenings)
    yield from _quoted("other differences", others)
    if not move.difference:
        yield field("differences", "none")


def tell_earlier(earlier: Iterable[Earlier]) -> Iterator[str]:
    """A list of what was accepted before."""
    for number, one in enumerate(earlier):
        if not number:
            yield f"accepted in earlier phases, {_NOT_NAMED}:"
        yield escaped(one.name)
        yield field("sha256", escaped(one.digest))
        origin = ORIGINS.get(one.origin, escaped(one.origin))
        yield field("size", f"{counted(one.size, 'byte')}, {origin}, entry {one.seq}")


def tell_change(change: Change, signed_tree: str) -> Iterator[str]:
    """The change as it was accepted, and how it stands to the tree that is signed."""
    yield f"the change, {escaped(change.name)}, {_NOT_NAMED}"
    yield field("sha256", escaped(change.digest))
    if change.data is None or sha256(change.data).hexdigest() != change.digest:
        yield field("NOT SHOWN", "its bytes are not here")
        return
    yield field(*_bound(change.tree, signed_tree))
    text = read_text(change.data)
    yield field("size", counted(len(change.data), "byte"))
    yield from (field("note", remark) for remark in remarks(text))
    if change.data:
        yield from excerpt(text)


def _bound(tree: str | None, signed: str) -> tuple[str, str]:
    if tree is None or not signed:
        return "NOT BOUND", "no tree is signed, so the files may be others"
    if tree == signed:
        return "bound", "it leads from the base to exactly the tree that is signed"
    return "ANOTHER TREE", "the files that are signed are others than this makes"


def field(name: str, value: str) -> str:
    """One row of ours."""
    return f"{name + ':':<15}{value}"


def _quoted(title: str, texts: Iterable[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        if not number:
            yield f"{title}:"
        yield from quote(text)
