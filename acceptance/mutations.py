"""Ledgers that something was done to: the material on which two verifiers have to agree.

A `Case` is the files of a ledger's folder, the anchors and the pinned keys that a verifier is given, all in memory. A
mutation changes one thing about it, led by a seeded source of chance, and returns nothing: what should be said of the
result is for the two verifiers to find out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FIRST, SECOND, STRANGER = 1, 2, 9  # Keys by number: the ledger's own ones, and one that it knows nothing of.
TILE = 256
DASH = "—"


class Signer(NamedTuple):
    """A key of a ledger, made from its number."""

    number: int
    origin: str

    @property
    def secret(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(bytes([self.number]) * 32)

    @property
    def key_id(self) -> bytes:
        return verifier_key(self.origin, self.secret.public_key().public_bytes_raw())[0]

    @property
    def vkey(self) -> str:
        return verifier_key(self.origin, self.secret.public_key().public_bytes_raw())[1]

    def sign(self, message: bytes) -> bytes:
        return self.secret.sign(message)


class Case:
    """A ledger's `files` by their path in its folder; `anchors` and `pins` are what else the verifier is given."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = dict(files)
        self.anchors: list[bytes] = []
        self.pins: list[str] = []

    def copy(self) -> Case:
        other = Case(self.files)
        other.anchors, other.pins = [*self.anchors], [*self.pins]
        return other

    @property
    def origin(self) -> str:
        found = re.search(rb"enforcer/[0-9a-f]{32}", self.seed)
        return found[0].decode() if found else "enforcer/" + "0" * 32

    @property
    def seed(self) -> bytes:
        return self.files.get("ledger.json", b"")

    @property
    def segments(self) -> list[str]:
        return sorted(name for name in self.files if name.startswith("seg/"))

    @property
    def heads(self) -> list[str]:
        return sorted(name for name in self.files if re.match("checkpoint|anchors/", name))

    @property
    def tiles(self) -> list[str]:
        return sorted(name for name in self.files if name.startswith("tile/"))

    def lines(self) -> list[bytes]:
        return [line for name in self.segments for line in self.files[name].split(b"\n") if line]

    def put(self, lines: Sequence[bytes]) -> None:
        """Spread lines over the segments that there are, by their names; the last one takes the rest."""
        starts = [int(re.sub(r"\D", "", name)) for name in self.segments] or [0]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            self.files[segment(start)] = b"".join(line + b"\n" for line in lines[start : max(start, end)])

    def signer(self, number: int = FIRST) -> Signer:
        return Signer(number, self.origin)

    def note(
        self,
        size: int,
        *,
        keys: Iterable[int] = (FIRST,),
        root: bytes | None = None,
        origin: str = "",
        written: str = "",
        more: str = "",
    ) -> bytes:
        """A checkpoint of the first `size` lines as they are now; the rest is for whoever forges one."""
        hashed = tree_root(self.lines()[:size]) if root is None else root
        text = f"{origin or self.origin}\n{written or size}\n{base64.b64encode(hashed).decode()}\n{more}".encode()
        signers = [self.signer(number) for number in keys]
        values = [base64.b64encode(signer.key_id + signer.sign(text)).decode() for signer in signers]
        return text + b"\n" + "".join(f"{DASH} {self.origin} {value}\n" for value in values).encode()

    def rotation(self, seq: int, old: int, new: int, cap: int, forged: dict[str, Any]) -> dict[str, Any]:
        """The `data` of an entry that passes on from one key to another; both sign whatever is `forged` as well."""
        words = {"old": self.signer(old).vkey, "new": self.signer(new).vkey, "seq": seq, "cap": cap, **forged}
        text = ["enforcer/key-rotation/v1", self.origin, *(words[name] for name in ("old", "new", "seq", "cap"))]
        statement = "".join(f"{each}\n" for each in text).encode()
        signed = {
            "old_signature": base64.b64encode(self.signer(old).sign(statement)).decode(),
            "new_signature": base64.b64encode(self.signer(new).sign(statement)).decode(),
        }
        return {"actor": "ada", **signed, **words, **forged}

    def rechain(self, change: Callable[[int, dict[str, Any]], Any] | None = None) -> None:
        """Tell the history anew: every line through `change`, and every hash and number made to fit."""
        self.put(rechained(self.lines(), self.seed, self.origin, change))


def verifier_key(name: str, public: bytes) -> tuple[bytes, str]:
    """The key id and the verifier key of a public key."""
    data = b"\1" + public
    key_id = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    return key_id, f"{name}+{key_id.hex()}+{base64.b64encode(data).decode()}"


def segment(first: int) -> str:
    return f"seg/{first:020}.jsonl"


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\0" + leaf).digest()


def tree_root(leaves: Sequence[bytes]) -> bytes:
    return _root([leaf_hash(leaf) for leaf in leaves])


def _root(nodes: Sequence[bytes]) -> bytes:
    if len(nodes) < 2:
        return nodes[0] if nodes else hashlib.sha256().digest()
    half = 1 << (len(nodes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _root(nodes[:half]) + _root(nodes[half:])).digest()


def tile(lines: Sequence[bytes], index: int = 0) -> bytes:
    return b"".join(leaf_hash(line) for line in lines[index * TILE : (index + 1) * TILE])


def rechained(
    lines: Sequence[bytes], seed: bytes, origin: str, change: Callable[[int, dict[str, Any]], Any] | None = None
) -> list[bytes]:
    """What whoever can write the files can do: nothing of it needs a key. Lines that are no JSON are left out."""
    prev = hashlib.sha256(b"enforcer/ledger/v1\n" + seed).hexdigest()
    tasks: dict[str, tuple[str | None, int]] = {}
    written: list[bytes] = []
    for entry in _entries(lines):
        entry["event"]["source"] = origin
        entry |= {"seq": len(written), "prev": prev}
        task = entry["event"].get("subject")
        before, count = tasks.get(task, (None, 0))
        if task is not None:
            entry |= {"task_prev": before, "task_seq": count + 1}
        if change is not None:
            change(len(written), entry)
        leaf = canonical(entry)
        prev = leaf_hash(leaf).hex()
        tasks[task] = prev, count + 1
        written.append(leaf)
    return written


def _entries(lines: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("event"), dict):
            yield entry


def flip(data: bytes, chance: Random) -> bytes:
    """One bit of it changed."""
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


class Mutation(NamedTuple):
    """A kind of thing to do; `apply` changes the case, or leaves it where there is nothing to do it to."""

    name: str
    apply: Callable[[Case, Random], None]


KINDS: dict[str, Mutation] = {}


def kind(apply: Callable[[Case, Random], None]) -> Callable[[Case, Random], None]:
    """Register a function as a kind of mutation by its name."""
    name = apply.__name__.replace("_", " ").strip()
    KINDS[name] = Mutation(name, apply)
    return apply
