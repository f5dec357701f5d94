"""What can be done to the lines of a ledger, class by class, and which of it leaves a history that could have been."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, overload

from acceptance import tampering as forger
from acceptance.tampering_base import LENGTH, Ground
from acceptance.tampering_bench import ALONE, COMBINED, NOBODY, OTHER, OWN, TIERS, Bench, Case, Outcome, View


class Family(NamedTuple):
    """A class of cases. `attacks` are the rows of the threat model that it is about, `what` says it in words.

    `longer`: on the longer ledger, with tiles and snapshots. `then` is what is done after each.
    """

    name: str
    attacks: tuple[str, ...]
    what: str
    views: tuple[View, ...]
    cases: Callable[[Ground], Sequence[Case]]
    longer: bool = False
    then: Callable[[Bench, Case, tuple[View, ...]], dict[View, Outcome]] = Bench.try_case

    def do(self, bench: Bench, case: Case) -> dict[View, Outcome]:
        """One case, from the deed to what every view makes of it."""
        return self.then(bench, case, self.views)


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
        if index >= len(self):
            raise IndexError(index)
        offset, bit = divmod(self._start + index, 8)
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


# Single entries ----------------------------------------------------------------------------------------------------------


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
        new = forger.fit(ground.lines[:at], {"event": _opened(ground, f"x{at}")}, ground.seed)
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
    """A line of another ledger in the place of each: as it is, with fitting links, and everything after it rewritten."""
    cases = []
    for seq in range(LENGTH):
        line = ground.foreign[seq]
        fitted = forger.fit(ground.lines[:seq], json.loads(line), ground.seed)
        after = forger.rewrite([*ground.lines[:seq], fitted, *ground.lines[seq + 1 :]], ground.seed, _nothing, seq)
        cases.append(_case(f"{seq} from another ledger", _with(ground, seq, seq + 1, line), seq))
        cases.append(_case(f"{seq} from another ledger, fitted", _with(ground, seq, seq + 1, fitted), seq))
        cases.append(_case(f"{seq} from another ledger, and all after it fitted", after, seq))
    return cases


def _encodings(ground: Ground) -> list[Case]:
    cases = []
    for seq, line in enumerate(ground.lines):
        for name, form in forger.encodings(line).items():
            assert json.loads(form) == json.loads(line), name
            cases.append(_case(f"{name}, line {seq}", _with(ground, seq, seq + 1, form), seq))
    return cases


def _with(ground: Ground, start: int, stop: int, *new: bytes) -> list[bytes]:
    return [*ground.lines[:start], *new, *ground.lines[stop:]]


def _nothing(seq: int, entry: dict[str, Any]) -> None:
    """The forger changes no word."""


# The end -----------------------------------------------------------------------------------------------------------------


def _cuts(ground: Ground) -> list[Case]:
    """At each record boundary, with the checkpoints as they were."""
    return [
        Case(f"the first {size}", _cutter(ground, size), intact=size, at=size, plausible=size > 0)
        for size in range(LENGTH)
    ]


def _cuts_unsealed(ground: Ground) -> list[Case]:
    """The same, and no checkpoint is left."""
    cases = []
    for size in range(LENGTH):

        def change(bench: Bench, cut: Callable[[Bench], None] = _cutter(ground, size)) -> None:
            cut(bench)
            put_checkpoints(bench, None)

        known: dict[str, Any] = {"at": size, "plausible": size > 0, "sealed": 0, "signed": NOBODY}
        cases.append(Case(f"the first {size}, unsealed", change, intact=size, **known))
    return cases


def _cuts_inside(ground: Ground) -> list[Case]:
    cases = []
    for seq, line in enumerate(ground.lines):
        for size in (1, len(line) // 2, len(line)):
            change = _cutter(ground, seq, line[:size])
            cases.append(
                Case(f"{size} bytes of line {seq}", change, intact=seq, at=seq, plausible=seq > 0)
            )
    return cases


def _cutter(ground: Ground, size: int, tail: bytes = b"") -> Callable[[Bench], None]:
    return lambda bench: bench.put_lines(ground.lines[:size], tail)


def _older(ground: Ground) -> list[Case]:
    """Lines, checkpoints and anchors as they were at each size."""
    cases = []
    for size in range(1, LENGTH):
        sealed, note = ground.note_before(size)

        def change(bench: Bench, size: int = size, note: bytes | None = note) -> None:
            bench.put_lines(ground.lines[:size])
            put_checkpoints(bench, note)

        signed = OWN if note else NOBODY
        cases.append(Case(f"as of {size}", change, intact=size, plausible=True, sealed=sealed, signed=signed))
    return cases


def put_checkpoints(bench: Bench, *notes: bytes | None) -> None:
    """Let these be all the checkpoints there are; the last one is the newest."""
    for path in (*(bench.ledger / "checkpoints").iterdir(), *(bench.ledger / "anchors").iterdir()):
        bench.put(str(path.relative_to(bench.state)), None)
    for note in notes:
        if note is not None:
            bench.put(f"ledger/checkpoints/{forger.size_of(note)}", note)
    bench.put("ledger/checkpoint", notes[-1] if notes else None)


# New entries at the end --------------------------------------------------------------------------------------------------


def _appended(ground: Ground) -> list[Case]:
    """What could have been decided: an opening, and evidence accepted that nobody has judged."""
    opened = _opened(ground, "x")
    note = next(one for line in ground.lines for one in json.loads(line)["event"]["data"].get("evidence", ()))
    accepted = {key: note[key] for key in ("artifact", "digest", "size")}
    claimed = {"actor": "a", "holder": "a", "token": 1, "request": "0" * 64}
    moved = {
        "actor": "a",
        "request": "0" * 64,
        "start": "SPEC",
        "to": "IMPLEMENT",
        "attempt_id": "1" * 32,
        "token": 1,
        "evidence": [accepted],
    }
    walk = [opened, _event(ground, "lease.claimed", "x", "2", claimed), _event(ground, "phase.advanced", "x", "3", moved)]
    cases = []
    for number in range(1, len(walk) + 1):
        cases.append(_appending(ground, f"{walk[number - 1]['type']}, well made", walk[:number], plausible=True))
    return cases


def _appended_illegal(ground: Ground) -> list[Case]:
    """What could not: a skip, a move without evidence or lease, a task that was closed, a key that nobody handed over."""
    opened = _opened(ground, "x")
    moved = {"actor": "a", "request": "0" * 64, "start": "SPEC", "attempt_id": "1" * 32, "token": 1}
    lease = {"holder": "a", "token": 1}
    thief = forger.Signer.own("thief")
    origin, seq = ground.identity["origin"], LENGTH
    rotation = {"old": ground.identity["key"], "new": thief.vkey(origin), "seq": seq, "cap": seq + 1}
    said = "".join(f"{one}\n" for one in ("enforcer/key-rotation/v1", origin, *rotation.values())).encode()
    signature = forger.base64.b64encode(thief.sign(said)).decode()
    rotated = {"actor": "a", **rotation, "old_signature": signature, "new_signature": signature}
    illegal = {
        "a phase skipped": (opened, _event(ground, "phase.advanced", "x", "2", {**moved, "lease": lease, "to": "REVIEW"})),
        "no evidence": (opened, _event(ground, "phase.advanced", "x", "2", {**moved, "lease": lease, "to": "IMPLEMENT"})),
        "no lease": (opened, _event(ground, "phase.advanced", "x", "2", {**moved, "to": "IMPLEMENT"})),
        "a task opened twice": (opened, {**opened, "id": "x/2"}),
        "a key used twice": (opened, opened),
        "a task that never was": (_event(ground, "lease.claimed", "y", "1", {"actor": "a", "holder": "a", "token": 1}),),
        "the ledger begun again": (_event(ground, "ledger.created", None, "2", {"actor": "a", "version": "0.1.0"}),),
        "a key nobody handed over": (_event(ground, "key.rotated", None, "2", rotated),),
        "an unknown event": (_event(ground, "task.approved", "t1", "z", {"actor": "a"}),),
    }
    return [_appending(ground, name, list(events)) for name, events in illegal.items()]


def _appending(ground: Ground, name: str, events: list[dict[str, Any]], *, plausible: bool = False) -> Case:
    lines = list(ground.lines)
    for one in events:
        lines.append(forger.fit(lines, {"event": one}, ground.seed))
    at = None if plausible else len(lines) - 1
    return Case(name, lambda bench: bench.put_lines(lines), intact=LENGTH, at=at, plausible=plausible)


def _event(ground: Ground, kind: str, task: str | None, key: str, data: dict[str, Any]) -> dict[str, Any]:
    return forger.event(ground.identity["origin"], kind, task, key, data)


def _opened(ground: Ground, task: str) -> dict[str, Any]:
    """The opening of a new task, after the example of one that is there."""
    example = next(json.loads(line)["event"] for line in ground.lines if b'"type":"dev.enforcer.task.opened"' in line)
    data = {**example["data"], "attempt_id": forger.hashlib.sha256(task.encode()).hexdigest()[:32]}
    return _event(ground, "task.opened", task, "1", data)


# The whole told anew -----------------------------------------------------------------------------------------------------


def _without_key(ground: Ground) -> Iterator[Case]:
    """The checkpoints stay as they were."""
    for seq in range(LENGTH):
        yield Case(f"from {seq}", _rewriter(ground, seq), intact=seq, plausible=True)


def _without_key_unsealed(ground: Ground) -> Iterator[Case]:
    """The checkpoints are those that it still agrees with."""
    for seq in range(LENGTH):
        sealed, note = ground.note_before(seq)

        def change(bench: Bench, seq: int = seq, note: bytes | None = note) -> None:
            _rewriter(ground, seq)(bench)
            put_checkpoints(bench, note)

        signed = OWN if note else NOBODY
        yield Case(f"from {seq}", change, intact=seq, plausible=True, sealed=sealed, signed=signed)


def _with_key(ground: Ground) -> Iterator[Case]:
    """Everything is signed anew by the ledger's own key."""
    signer = forger.Signer.stolen(ground.key_file)
    for seq in range(LENGTH):

        def change(bench: Bench, seq: int = seq) -> None:
            lines = _rewritten(ground, seq, ground.seed)
            bench.put_lines(lines)
            put_checkpoints(bench, signer.checkpoint(ground.identity["origin"], lines))

        yield Case(f"from {seq}", change, intact=seq, plausible=True, sealed=0)


def _with_new_key(ground: Ground) -> Iterator[Case]:
    """A new key in a new `ledger.json`, under the old id and under a new one."""
    thief = forger.Signer.own("thief")
    for seq in range(0, LENGTH, 5):
        for same in (True, False):
            name = ground.identity["id"] if same else "f" * 32
            origin = f"enforcer/{name}"
            seed = forger.identity_with(ground.seed, id=name, origin=origin, key=thief.vkey(origin))

            def change(bench: Bench, seq: int = seq, seed: bytes = seed, origin: str = origin) -> None:
                lines = _rewritten(ground, seq, seed, origin)
                bench.put("ledger/ledger.json", seed)
                bench.put_lines(lines)
                put_checkpoints(bench, thief.checkpoint(origin, lines))

            whose = "the old id" if same else "a new id"
            yield Case(f"from {seq}, {whose}", change, plausible=True, sealed=0, signed=OTHER, same=same)


def _rewriter(ground: Ground, seq: int) -> Callable[[Bench], None]:
    return lambda bench: bench.put_lines(_rewritten(ground, seq, ground.seed))


def _rewritten(ground: Ground, first: int, seed: bytes, origin: str = "") -> list[bytes]:
    """One entry says something else, and every hash after it fits."""

    def edit(seq: int, entry: dict[str, Any]) -> None:
        if origin:
            entry["event"]["source"] = origin
        if seq == first:
            data = entry["event"]["data"]
            if "request" in data:
                data["request"] = "f" * 64
            elif "version" in data:
                data["version"] = "0.0.9"
            else:
                data["actor"] = "somebody"

    return forger.rewrite(ground.lines, seed, edit, 0 if origin else first)


def _listed(cases: Callable[[Ground], Iterator[Case]]) -> Callable[[Ground], Sequence[Case]]:
    return lambda ground: list(cases(ground))


BITS = Family("a bit of a line", ("16",), "every bit of lines 0 to 198, line ends included", (ALONE,), _bits)

LINES = (
    BITS,
    Family("a bit of the last line", ("16",), "every bit of line 199, which no checkpoint covers", TIERS, _bits_of_last),
    Family("an entry deleted", ("17",), "each but the last", (ALONE,), _deletions),
    Family("an entry repeated", ("17",), "each, behind itself", (ALONE,), _duplicates),
    Family("neighbours swapped", ("17",), "each pair", (ALONE,), _swaps),
    Family("a copy inserted", ("17",), "of another entry, at every place", (ALONE,), _copies),
    Family("a new entry inserted", ("17",), "well formed, with right links, before each entry", (ALONE,), _inventions),
    Family("a foreign line inserted", ("17", "21"), "at every place: as it is, and with right links", (ALONE,), _foreign),
    Family("a line re-encoded", ("16",), "equal as JSON: white space, order, escapes, numbers", (ALONE,), _encodings),
    Family("a line of another ledger", ("21",), "in place of each: as it is, linked, all after it too", (ALONE,), _splices),
    Family("a cut between lines", ("18",), "after 0 to 199 lines, checkpoints left", TIERS, _cuts),
    Family("a cut, and no checkpoint left", ("18",), "after 0 to 199 lines", TIERS, _cuts_unsealed),
    Family("a cut inside a line", ("18",), "of each line the first byte, half of it, all but its end", TIERS, _cuts_inside),
    Family("an older copy", ("20",), "as of 1 to 199 entries, with the checkpoints of then", COMBINED, _older),
    Family("well-made entries appended", ("22",), "evidence accepted that nobody judged", TIERS, _appended),
    Family("impossible entries appended", ("22", "37"), "well linked, and never decided so", (ALONE,), _appended_illegal),
    Family("rewritten without the key", ("19",), "from each entry on; checkpoints left", COMBINED, _listed(_without_key)),
    Family(
        "rewritten without the key, unsealed",
        ("19",),
        "from each entry on; later checkpoints gone",
        COMBINED,
        _listed(_without_key_unsealed),
    ),
    Family("rewritten with the key", ("19", "37"), "from each entry on; signed anew", COMBINED, _listed(_with_key)),
    Family("rewritten under a new key", ("19", "21"), "from every fifth entry on", COMBINED, _listed(_with_new_key)),
)
