"""What can be done to a history as a whole: put back, gone on with, and told anew."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from acceptance import tampering as forger
from acceptance.tampering_base import LENGTH, Ground
from acceptance.tampering_bench import Bench
from acceptance.tampering_trials import Family
from acceptance.tampering_views import ALONE, COMBINED, NOBODY, OTHER, OWN, TIERS, Case


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


# New entries at the end ---------------------------------------------------------------------------------------------


def _appended(ground: Ground) -> list[Case]:
    """What could have been decided: an opening, and evidence accepted that nobody has judged."""
    first = opened(ground, "x")
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
    walk = [
        first,
        _event(ground, "lease.claimed", "x", "2", claimed),
        _event(ground, "phase.advanced", "x", "3", moved),
    ]
    cases = []
    for number in range(1, len(walk) + 1):
        cases.append(_appending(ground, f"{walk[number - 1]['type']}, well made", walk[:number], plausible=True))
    return cases


def _appended_illegal(ground: Ground) -> list[Case]:
    """What could not: a skip, a move without evidence or without the lease, a key that nobody handed over."""
    first = opened(ground, "x")
    moved = {"actor": "a", "request": "0" * 64, "start": "SPEC", "attempt_id": "1" * 32, "token": 1}
    lease = {"holder": "a", "token": 1}
    thief = forger.Signer.own("thief")
    origin, seq = ground.identity["origin"], LENGTH
    rotation = {"old": ground.identity["key"], "new": thief.vkey(origin), "seq": seq, "cap": seq + 1}
    said = "".join(f"{one}\n" for one in ("enforcer/key-rotation/v1", origin, *rotation.values())).encode()
    signature = base64.b64encode(thief.sign(said)).decode()
    rotated = {"actor": "a", **rotation, "old_signature": signature, "new_signature": signature}
    illegal = {
        "a phase skipped": (
            first,
            _event(ground, "phase.advanced", "x", "2", {**moved, "lease": lease, "to": "REVIEW"}),
        ),
        "no evidence": (
            first,
            _event(ground, "phase.advanced", "x", "2", {**moved, "lease": lease, "to": "IMPLEMENT"}),
        ),
        "no lease": (first, _event(ground, "phase.advanced", "x", "2", {**moved, "to": "IMPLEMENT"})),
        "a task first twice": (first, {**first, "id": "x/2"}),
        "a key used twice": (first, first),
        "a task that never was": (
            _event(ground, "lease.claimed", "y", "1", {"actor": "a", "holder": "a", "token": 1}),
        ),
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


def opened(ground: Ground, task: str) -> dict[str, Any]:
    """The opening of a new task, after the example of one that is there."""
    example = next(json.loads(line)["event"] for line in ground.lines if b'"type":"dev.enforcer.task.opened"' in line)
    data = {**example["data"], "attempt_id": hashlib.sha256(task.encode()).hexdigest()[:32]}
    return _event(ground, "task.opened", task, "1", data)


# The whole told anew ------------------------------------------------------------------------------------------------


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


HISTORIES = (
    Family("an older copy", "as of 1 to 199 entries, with the checkpoints of then", COMBINED, _older),
    Family("well-made entries appended", "evidence accepted that nobody judged", TIERS, _appended),
    Family("impossible entries appended", "well linked, and never decided so", (ALONE,), _appended_illegal),
    Family("rewritten without the key", "from each entry on; checkpoints left", COMBINED, _listed(_without_key)),
    Family(
        "rewritten without the key, unsealed",
        "from each entry on; later checkpoints gone",
        COMBINED,
        _listed(_without_key_unsealed),
    ),
    Family("rewritten with the key", "from each entry on; signed anew", COMBINED, _listed(_with_key)),
    Family("rewritten under a new key", "from every fifth entry on", COMBINED, _listed(_with_new_key)),
)
