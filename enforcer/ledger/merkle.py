"""The Merkle tree over the ledger's leaves: RFC 6962 section 2.1 and RFC 9162 section 2.1, with SHA-256.

    leaf hash = SHA-256(0x00 ‖ leaf)      node hash = SHA-256(0x01 ‖ left ‖ right)      empty root = SHA-256()

A node is named by (level, index): the root of the complete subtree of 2^level leaves that begins at leaf
index · 2^level. The right edge of a tree whose size is no power of two is made of such subtrees too, the largest
first, and those are the frontier: all that appending needs to know of everything before.

Proving and checking climb the same path. One node is where it begins, and each level has at most one sibling: to the
left it is always complete, to the right it ends where the tree ends. How many hashes a proof has follows from the
sizes alone, so a proof with one too many or too few is refused whatever they hash to.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Node = Callable[[int, int], bytes]

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()

# How many leaf hashes are folded at once: enough that a fold costs little more than its hashing, in bounded memory.
_BATCH = 65_536


class ProofFault(ValueError):
    """A proof that does not show what it was given for."""


def leaf_hash(leaf: bytes) -> bytes:
    """The 32 bytes that stand for a leaf."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The 32 bytes that stand for two subtrees, the left one complete and at least as large as the right one."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree of which only the right edge is kept: the roots of its complete subtrees, the largest first."""

    __slots__ = ("nodes", "size")

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        """A frontier as it was kept. Raises `ValueError` where the nodes cannot be those of a tree of `size` leaves."""
        self.size = size
        self.nodes = list(nodes)
        if size < 0 or len(self.nodes) != size.bit_count():
            raise ValueError(f"a frontier of {size} leaves does not have {len(self.nodes)} nodes")
        if any(len(node) != HASH_SIZE for node in self.nodes):
            raise ValueError(f"a node of a frontier does not have {HASH_SIZE} bytes")

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf, in amortized constant time."""
        self.append_subtree(0, leaf_hash)

    def append_subtree(self, level: int, root: bytes) -> None:
        """Add a complete subtree of 2^level leaves. Raises `ValueError` where none of that level can begin here."""
        if self.size & ((1 << level) - 1):
            raise ValueError(f"no subtree of level {level} begins at leaf {self.size}")
        index = self.size >> level
        while index & 1:
            root = node_hash(self.nodes.pop(), root)
            index >>= 1
        self.nodes.append(root)
        self.size += 1 << level

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Add many leaves. Level by level, so that nearly all of the work is the hashing itself."""
        remaining = iter(leaf_hashes)
        while row := list(islice(remaining, _BATCH)):
            self._extend(row)

    def _extend(self, row: list[bytes]) -> None:
        """`row` holds the nodes of one level that are new, and `index` is where the first of them stands."""
        index, self.size = self.size, self.size + len(row)
        edge = []
        while row:
            if index & 1:
                row.insert(0, self.nodes.pop())
            if len(row) & 1:
                edge.append(row.pop())
            row = [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)]
            index >>= 1
        self.nodes.extend(reversed(edge))

    def root(self) -> bytes:
        """The root hash of the tree, in logarithmic time."""
        return _fold(self.nodes)

    def copy(self) -> Frontier:
        """A frontier that grows on its own."""
        return Frontier(self.size, self.nodes)


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root hash of the tree of these leaves."""
    tree = Frontier()
    tree.extend(leaf_hashes)
    return tree.root()


def frontier_at(size: int, node: Node) -> Frontier:
    """The frontier of a tree of `size` leaves, read from a larger one or its own."""
    return Frontier(size, [node(*place) for place in _cover(0, size)])


def prove_inclusion(index: int, size: int, node: Node) -> list[bytes]:
    """The inclusion proof (RFC 9162 section 2.1.3) of a leaf in a tree of `size` leaves, its nearest sibling first.

    `node` is asked for complete subtrees within those `size` leaves only, O(log size) of them. Raises `ValueError`
    where the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    return [_node_at(level, beside, size, node) for level, beside, _ in _climb(0, index, size)]


def check_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Returns where `proof` shows that the leaf with the hash `leaf` stands at `index` below `root`.

    Raises `ProofFault` otherwise.
    """
    if not 0 <= index < size:
        raise ProofFault(f"a tree of {size} leaves has no leaf {index}")
    path = list(_climb(0, index, size))
    _check_count(proof, len(path))
    _check_width(leaf, root, *proof)
    for (_, _, is_left), beside in zip(path, proof, strict=True):
        leaf = node_hash(beside, leaf) if is_left else node_hash(leaf, beside)
    if leaf != root:
        raise ProofFault("the inclusion proof leads to another root")


def prove_consistency(old: int, new: int, node: Node) -> list[bytes]:
    """The consistency proof (RFC 9162 section 2.1.4) from a tree of `old` leaves to one of `new` leaves.

    `node` is asked as by `prove_inclusion`. Raises `ValueError` unless 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ValueError(f"a tree of {new} leaves is not proven to extend one of {old}")
    if old == new:
        return []
    level, index = _last_subtree(old)
    proof = [_node_at(level, beside, new, node) for level, beside, _ in _climb(level, index, new)]
    # Where the whole old tree is complete, its root is known to whoever checks, and is left out.
    return [node(level, index), *proof] if index else proof


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Returns where `proof` shows that the tree with `new_root` begins with the leaves of the one with `old_root`.

    Raises `ProofFault` otherwise. Anything extends the empty tree, which makes `old` = 0 a question without meaning:
    who has no earlier root must know it, and is refused here.
    """
    if not 0 < old <= new:
        raise ProofFault(f"a tree of {new} leaves is not proven to extend one of {old}")
    if old == new:
        _check_count(proof, 0)
        if old_root != new_root:
            raise ProofFault(f"two different roots of {old} leaves")
        return
    level, index = _last_subtree(old)
    path = list(_climb(level, index, new))
    _check_count(proof, len(path) + (index > 0))
    _check_width(old_root, new_root, *proof)
    of_old = of_new = proof[0] if index else old_root
    for (_, _, is_left), beside in zip(path, proof[index > 0 :], strict=True):
        # What lies to the left belongs to both trees, what lies to the right to the new one alone.
        if is_left:
            of_old, of_new = node_hash(beside, of_old), node_hash(beside, of_new)
        else:
            of_new = node_hash(of_new, beside)
    if of_old != old_root:
        raise ProofFault("the consistency proof leads to another old root")
    if of_new != new_root:
        raise ProofFault("the consistency proof leads to another new root")


def _check_count(proof: Sequence[bytes], count: int) -> None:
    if len(proof) != count:
        raise ProofFault(f"the proof has {len(proof)} hashes and not {count}")


def _check_width(*hashes: bytes) -> None:
    """Hashes of any other width could be cut anew, so that one node stands for several pairs."""
    for each in hashes:
        if len(each) != HASH_SIZE:
            raise ProofFault(f"a hash has {len(each)} bytes and not {HASH_SIZE}")


def _climb(level: int, index: int, size: int) -> Iterator[tuple[int, int, bool]]:
    """The siblings from a node up to the root: level, index, whether to the left. A node without one moves up alone."""
    last = (size - 1) >> level
    while last:
        if index & 1:
            yield level, index - 1, True
        elif index < last:
            yield level, index + 1, False
        level, index, last = level + 1, index >> 1, last >> 1


def _last_subtree(size: int) -> tuple[int, int]:
    """The smallest subtree of the frontier of a tree that is not empty."""
    level = (size & -size).bit_length() - 1
    return level, (size >> level) - 1


def _node_at(level: int, index: int, size: int, node: Node) -> bytes:
    """The root of what there is of a subtree in a tree of `size` leaves."""
    begin, end = index << level, (index + 1) << level
    return node(level, index) if end <= size else _fold([node(*place) for place in _cover(begin, size)])


def _cover(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees of the leaves from `begin` to `end`; the largest must be able to begin at `begin`."""
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield level, begin >> level
        begin += 1 << level


def _fold(nodes: Sequence[bytes]) -> bytes:
    if not nodes:
        return EMPTY_ROOT
    root = nodes[-1]
    for left in reversed(nodes[:-1]):
        root = node_hash(left, root)
    return root
