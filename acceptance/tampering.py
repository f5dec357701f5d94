"""The forger: everything that can be done to a ledger's files by whoever knows the published format.

Nothing here is taken from the package: what a forger needs stands in `docs/format.md`, and a key, where it has one, in
a file that it found. So what the forger makes says nothing of how the verifier goes about its work.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

Edit = Callable[[int, dict[str, Any]], None]

PREFIX = "dev.enforcer."


def canonical(value: Any) -> bytes:
    """RFC 8785 for values without floats and with ASCII keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\0" + leaf).digest()


def genesis_hash(seed: bytes) -> str:
    return hashlib.sha256(b"enforcer/ledger/v1\n" + seed).hexdigest()


def root_of(lines: Sequence[bytes]) -> bytes:
    """The root of RFC 6962, section 2.1."""
    level = [leaf_hash(line) for line in lines]
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        odd = level[-1:] if len(level) % 2 else []
        level = [hashlib.sha256(b"\1" + left + right).digest() for left, right in pairs] + odd
    return level[0]


def rewrite(lines: Iterable[bytes], seed: bytes, edit: Edit, first: int = 0) -> list[bytes]:
    """The history told anew: `edit` changes lines as JSON from `first` on, and every hash and number is made to fit."""
    tasks: dict[str | None, tuple[str | None, int]] = {}
    prev, written = genesis_hash(seed), []
    for seq, line in enumerate(lines):
        entry = json.loads(line)
        task = entry["event"].get("subject")
        head, count = tasks.get(task, (None, 0))
        if seq >= first:
            edit(seq, entry)
            entry |= {"seq": seq, "prev": prev}
            if task is not None:
                entry |= {"task_prev": head, "task_seq": count + 1}
            line = canonical(entry)
        prev = leaf_hash(line).hex()
        tasks[task] = (prev, count + 1)
        written.append(line)
    return written


def fit(lines: Sequence[bytes], entry: Mapping[str, Any], seed: bytes) -> bytes:
    """An entry with the links that it needs to stand after `lines`. Its source is left as it is."""
    task = entry["event"].get("subject")
    of_task = [line for line in lines if json.loads(line)["event"].get("subject") == task] if task else []
    dated = max([json.loads(line)["ts"] for line in lines[-1:]], default=0)
    return canonical(
        {
            "event": entry["event"],
            "prev": leaf_hash(lines[-1]).hex() if lines else genesis_hash(seed),
            "seq": len(lines),
            "task_prev": leaf_hash(of_task[-1]).hex() if of_task else None,
            "task_seq": len(of_task) + 1 if task else None,
            "ts": max(dated, entry.get("ts", 0)),
            "v": 1,
        }
    )


def event(origin: str, kind: str, task: str | None, key: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The `event` member of a line that the forger invents."""
    made = {
        "specversion": "1.0",
        "id": f"{task or '-'}/{key}",
        "source": origin,
        "type": PREFIX + kind,
        "data": dict(data),
    }
    return {**made, "subject": task} if task is not None else made


class Signer:
    """An Ed25519 key in somebody's hands, and what can be signed with it."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def stolen(cls, path: Path) -> Signer:
        """The key of a file, as `enforcer init` leaves it."""
        private = load_pem_private_key(path.read_bytes(), None)
        assert isinstance(private, Ed25519PrivateKey)
        return cls(private)

    @classmethod
    def own(cls, seed: str) -> Signer:
        """A key that nobody else knows, always the same one for a seed."""
        return cls(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest()))

    def key_id(self, name: str) -> bytes:
        return hashlib.sha256(name.encode() + b"\n\x01" + self.public).digest()[:4]

    def vkey(self, name: str) -> str:
        return f"{name}+{self.key_id(name).hex()}+{base64.b64encode(bytes((1,)) + self.public).decode()}"

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    def checkpoint(self, origin: str, lines: Sequence[bytes]) -> bytes:
        """A signed head of the tree of these lines."""
        text = f"{origin}\n{len(lines)}\n{base64.b64encode(root_of(lines)).decode()}\n"
        signature = base64.b64encode(self.key_id(origin) + self.sign(text.encode())).decode()
        return f"{text}\n— {origin} {signature}\n".encode()


def size_of(note: bytes) -> int:
    """How many entries a checkpoint is of."""
    return int(note.split(b"\n")[1])


def root_in(note: bytes) -> bytes:
    """The root that a checkpoint is of."""
    return base64.b64decode(note.split(b"\n")[2])


def identity_with(seed: bytes, **members: Any) -> bytes:
    """The bytes of a `ledger.json` with some members changed."""
    return canonical({**json.loads(seed), **members}) + b"\n"


# The same JSON in other bytes ---------------------------------------------------------------------------------------


def encodings(line: bytes) -> dict[str, bytes]:
    """Every way to say the same that applies to a line, by name. A plain parser takes each for the same value."""
    text, entry = line.decode(), json.loads(line)
    backwards = dict(reversed(entry.items()))
    inside = {**entry, "event": dict(reversed(entry["event"].items()))}
    ts, seq = f'"ts":{entry["ts"]}', f'"seq":{entry["seq"]},'
    made = {
        "space before": " " + text,
        "space after": text + " ",
        "tab inside": text.replace('{"event":', '{\t"event":', 1),
        "carriage return after": text + "\r",
        "spaces throughout": json.dumps(entry, sort_keys=True, ensure_ascii=False),
        "members in reverse": _compact(backwards),
        "members of the event in reverse": _compact(inside),
        "a letter as \\u": text.replace('"actor"', '"\\u0061ctor"', 1),
        "a value as \\u": text.replace('"specversion":"1', '"specversion":"\\u0031', 1),
        "escaped solidus": text.replace("/", "\\/", 1),
        "escapes for what is not ASCII": json.dumps(entry, sort_keys=True, separators=(",", ":")),
        "1.0 for 1": text.removesuffix('"v":1}') + '"v":1.0}',
        "1e0 for 1": text.removesuffix('"v":1}') + '"v":1e0}',
        "a fraction of nothing": text.replace(ts, f"{ts}.0", 1),
        "an exponent of nothing": text.replace(ts, f"{ts}E0", 1),
        "a shifted exponent": text.replace(ts, f'"ts":{entry["ts"] // 10}.{entry["ts"] % 10}e1', 1),
        "a negative nothing": text.replace(seq, seq.replace(":0,", ":-0,"), 1),
        "a member twice": text.replace(seq, seq + seq, 1),
        "a full stop as \\u": text.replace('"1.0"', '"1\\u002e0"', 1),
    }
    return {name: form.encode() for name, form in made.items() if form != text}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
