"""Finds what stands twice among many, in a few bytes each.

A set of the texts would take ten times the memory, and at a million entries that is most of what there is. What is kept
of a text is eight bytes of its SHA-256: two that are not equal meet there about once in 10^13 pairs of histories of
a thousand, and whoever searches for a pair that does accuses nobody but themselves.
"""

from __future__ import annotations

from array import array
from hashlib import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Repeats:
    """Texts, each with the entry in which it stands; entries ascend."""

    __slots__ = ("_marks", "_seqs")

    def __init__(self, kept: bytes = b"") -> None:
        """`kept` is what `pack` gave. Raises `ValueError` where it cannot be."""
        self._marks, self._seqs = array("Q"), array("Q")
        if len(kept) % 16:
            raise ValueError("this is not what was kept")
        self._marks.frombytes(kept[: len(kept) // 2])
        self._seqs.frombytes(kept[len(kept) // 2 :])

    def add(self, text: str, seq: int) -> None:
        """`text` is found to repeat another only where both were added alike."""
        self._marks.append(int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]))
        self._seqs.append(seq)

    def add_random(self, text: str, seq: int) -> None:
        """The same for what is 32 hex digits of randomness by its form, of which half are as good as a hash."""
        try:
            self._marks.append(int(text[-16:], 16))
        except (ValueError, OverflowError):
            self.add(text, seq)
        else:
            self._seqs.append(seq)

    def found(self) -> Iterator[int]:
        """The entries whose text stood in an earlier one, ascending."""
        if len(set(self._marks)) == len(self._marks):
            return
        seen: set[int] = set()
        for mark, seq in zip(self._marks, self._seqs, strict=True):
            if mark in seen:
                yield seq
            seen.add(mark)

    def pack(self) -> bytes:
        return self._marks.tobytes() + self._seqs.tobytes()
