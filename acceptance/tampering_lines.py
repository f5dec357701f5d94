"""What can be done to single lines of a ledger and to its end, and what of it leaves a history that could have been."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, overload

from acceptance import tampering as forger
from acceptance.tampering_base import LENGTH, Ground
from acceptance.tampering_bench import Bench
from acceptance.tampering_histories import opened, put_checkpoints
from acceptance.tampering_trials import Family
from acceptance.tampering_views import ALONE, NOBODY, TIERS, Case

Change = Callable[[Bench], None]


class Bits(Sequence[Case]):
    """Every bit of some lines and their line ends."""

    def __init__(self, ground: Ground, lines: range) -> None:
        self._offsets, self._lines = ground.offsets, lines
        self._data = b"".join(line + b"\n" for line in ground.lines)
        self._start = 8 * ground.offsets[lines.start]

    def __len__(self) -> int:
        return 8 * self._offsets[self._lines.stop] - self._start

    @overload
    def __getitem__(self, index: int) -> Case: ...
    @overload
    def __getitem__(self, index: slice) -> list[Case]: ...
    def __getitem__(self, index: int | slice) -> Case | list[Case]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        offset, bit = divmod(self._start + range(len(self))[index], 8)
        seq = self.line_of(offset)
        flipped = bytes((self._data[offset] ^ 1 << bit,))
        last = seq == LENGTH - 1
        name = f"bit {bit} of byte {offset - self._offsets[seq]} of line {seq}"
        return Case(name, lambda bench: bench.poke(offset, flipped), intact=seq, at=seq, plausible=last)

    def line_of(self, offset: int) -> int:
        return next(seq for seq in self._lines if offset < self._offsets[seq + 1])


def _bits(ground: Ground) -> Sequence[Case]:
    return Bits(ground, range(LENGTH - 1))


def _bits_of_last(ground: Ground) -> Sequence[Case]:
    return Bits(ground, range(LENGTH - 1, LENGTH))


def _case(name: str, lines: list[bytes], at: int, **known: Any) -> Case:
    return Case(name, lambda bench: bench.put_lines(lines), intact=min(at, LENGTH), at=at, **known)


# Single entries -----------------------------------------------------------------------------------------------------


def _deletions(ground: Ground) -> list[Case]:
    """The last one is a cut."""
    lines = ground.lines
    return [_case(f"without {seq}", lines[:seq] + lines[seq + 1 :], seq) for seq in range(LENGTH - 1)]


def _duplicates(ground: Ground) -> list[Case]:
    lines = ground.lines
    return [_case(f"{seq} twice", lines[: seq + 1] + lines[seq:], seq + 1) for seq in range(LENGTH)]


def _swaps(ground: Ground) -> list[Case]:
    cases = []
    for seq in range(LENGTH - 1):
        first, second = ground.lines[seq : seq + 2]
        cases.append(_case(f"{seq} after {seq + 1}", _with(ground, seq, seq + 2, second, first), seq))
    return cases


def _copies(ground: Ground) -> list[Case]:
    """A copy of another entry at every place."""
    cases = []
    for at in range(LENGTH + 1):
        seq = (at * 7 + 3) % LENGTH
        cases.append(_case(f"a copy of {seq} before {at}", _with(ground, at, at, ground.lines[seq]), at))
    return cases


def _inventions(ground: Ground) -> list[Case]:
    """A new entry with right links at every place but the end, where it is followed by what was written before."""
    cases = []
    for at in range(LENGTH):
        new = forger.fit(ground.lines[:at], {"event": opened(ground, f"x{at}")}, ground.seed)
        cases.append(_case(f"a new entry before {at}", _with(ground, at, at, new), at))
    return cases


def _foreign(ground: Ground) -> list[Case]:
    """A line of another ledger at every place: as it is, and with the links that it needs there."""
    cases = []
    for at in range(LENGTH + 1):
        line = ground.foreign[min(at, LENGTH - 1)]
        fitted = forger.fit(ground.lines[:at], json.loads(line), ground.seed)
        cases.append(_case(f"a foreign line before {at}", _with(ground, at, at, line), at))
        cases.append(_case(f"a foreign line, fitted, before {at}", _with(ground, at, at, fitted), at))
    return cases


def _splices(ground: Ground) -> list[Case]:
    """A line of another ledger in the place of each: as it is, with fitting links, and with everything after it too."""
    cases = []
    for seq in range(LENGTH):
        line = ground.foreign[seq]
        fitted = forger.fit(ground.lines[:seq], json.loads(line), ground.seed)
        name, spliced = f"{seq} from another ledger", _with(ground, seq, seq + 1, fitted)
        cases.append(_case(name, _with(ground, seq, seq + 1, line), seq))
        cases.append(_case(f"{name}, fitted", spliced, seq))
        cases.append(Case(f"{name}, and all after it fitted", _fitting(ground, spliced, seq), intact=seq, at=seq))
    return cases


def _fitting(ground: Ground, lines: list[bytes], first: int) -> Change:
    """Every hash after `first` fits again, and no word is changed."""
    return lambda bench: bench.put_lines(forger.rewrite(lines, ground.seed, lambda seq, entry: None, first))


def _encodings(ground: Ground) -> list[Case]:
    cases = []
    for seq, line in enumerate(ground.lines):
        for name, form in forger.encodings(line).items():
            assert json.loads(form) == json.loads(line), name
            cases.append(_case(f"{name}, line {seq}", _with(ground, seq, seq + 1, form), seq))
    return cases


def _with(ground: Ground, start: int, stop: int, *new: bytes) -> list[bytes]:
    return [*ground.lines[:start], *new, *ground.lines[stop:]]


# The end ------------------------------------------------------------------------------------------------------------


def _cuts(ground: Ground) -> list[Case]:
    """At each record boundary, with the checkpoints as they were."""
    return [_cut(size, _cutter(ground, size)) for size in range(LENGTH)]


def _cuts_unsealed(ground: Ground) -> list[Case]:
    """The same, and no checkpoint is left."""
    return [_cut(size, _unsealing(_cutter(ground, size)), sealed=0, signed=NOBODY) for size in range(LENGTH)]


def _cut(size: int, change: Change, **known: Any) -> Case:
    """A cut to `size` lines; where nothing is left, that is said of no entry in particular."""
    return Case(f"the first {size}", change, intact=size, at=size or None, plausible=size > 0, **known)


def _unsealing(cut: Change) -> Change:
    def change(bench: Bench) -> None:
        cut(bench)
        put_checkpoints(bench, None)

    return change


def _cuts_inside(ground: Ground) -> list[Case]:
    cases = []
    for seq, line in enumerate(ground.lines):
        for size in (1, len(line) // 2, len(line)):
            change = _cutter(ground, seq, line[:size])
            cases.append(Case(f"{size} bytes of line {seq}", change, intact=seq, at=seq, plausible=seq > 0))
    return cases


def _cutter(ground: Ground, size: int, tail: bytes = b"") -> Change:
    return lambda bench: bench.put_lines(ground.lines[:size], tail)


BITS = Family("a bit of a line", "every bit of lines 0 to 198, line ends included", (ALONE,), _bits)

LINES = (
    BITS,
    Family("a bit of the last line", "every bit of line 199, which no checkpoint covers", TIERS, _bits_of_last),
    Family("an entry deleted", "each but the last", (ALONE,), _deletions),
    Family("an entry repeated", "each, behind itself", (ALONE,), _duplicates),
    Family("neighbours swapped", "each pair", (ALONE,), _swaps),
    Family("a copy inserted", "of another entry, at every place", (ALONE,), _copies),
    Family("a new entry inserted", "well formed, with right links, before each entry", (ALONE,), _inventions),
    Family("a foreign line inserted", "at every place: as it is, and with right links", (ALONE,), _foreign),
    Family("a line re-encoded", "equal as JSON: white space, order, escapes, numbers", (ALONE,), _encodings),
    Family("a line of another ledger", "in place of each: as it is, linked, all after it too", (ALONE,), _splices),
    Family("a cut between lines", "after 0 to 199 lines, checkpoints left", TIERS, _cuts),
    Family("a cut, and no checkpoint left", "after 0 to 199 lines", TIERS, _cuts_unsealed),
    Family("a cut inside a line", "of each line the first byte, half of it, all but its end", TIERS, _cuts_inside),
)
