"""A task's receipt: one file that shows, to whoever has it and the ledger's key, what a task's record is.

A receipt is RFC 8785 canonical JSON and one newline:

    checkpoint  the signed note (C2SP tlog-checkpoint) that all proofs lead to, as text
    evidence    every acceptance, in order: `artifact` (phase/name), `digest`, `origin`, `seq` of the entry, `size`
    format      "enforcer/receipt/v1"
    hashes      the hashes that the proofs are made of, in hex, each once, in the order in which they are first used
    key         the vkey that the ledger names as its own, or null; it finds a key and vouches for nothing
    lines       the task's ledger lines, each the leaf as text, from its opening on
    objects     digest → base64 of the bytes: the processes that were in force, and the evidence where it was asked for
    proofs      for each of `lines`, then for each of `rotations`, the positions in `hashes` of its inclusion proof
                (RFC 9162 section 2.1.3), nearest first
    rotations   the ledger's `key.rotated` lines in the tree, in order: they lead from `key` to the keys that signed it
    task        the task's name

Each line keeps a proof of its own, in the standard form, so that nothing but RFC 9162 is needed to check one; sharing
the hashes takes away what repeating them would cost.

What a receipt that checks out shows: the ledger's key signed a tree that holds these lines; they are all of the task's
entries up to the last of them, without a gap; each could have been decided as it was, under the process it names.

Whoever has an earlier key of the ledger follows from it to the one that signed, by the rules of the ledger's keys
(`terms`): a rotation is an entry that both keys have signed, and the proofs show that it stands in the same tree.

What it does not show: that the task has no later entry (where the last word is `completed` or `abandoned`, nothing that
came later can have changed it); anything of other tasks; that the tree is the only one that was signed (ask for
consistency with a checkpoint from elsewhere), or that no key was changed after it; that claimed evidence is true; and
what evidence that is not among `objects` says. Expiries, the repository and every other fact from outside the ledger
cannot be asked again.
"""

from __future__ import annotations

from enforcer.errors import DamagedError, RequestError
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.codec import JsonFault, canonical, parse
from enforcer.ledger.entry import BadLine, parse_leaf
from enforcer.ledger.merkle import ProofFault, check_inclusion, leaf_hash, prove_inclusion
from enforcer.ledger.note import NoteFault, decode_base64, encode_base64, parse_note
from enforcer.workflow.events import PhaseAdvanced, ProcessAdopted, TaskOpened
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from enforcer.ledger.entry import Entry
    from enforcer.ledger.merkle import Node

    Get = Callable[[str], bytes]

FORMAT = "enforcer/receipt/v1"
MAX_RECEIPT = 1 << 28

_MEMBERS = {"checkpoint", "evidence", "format", "hashes", "key", "lines", "objects", "proofs", "rotations", "task"}


class Receipt(Record, kw_only=True):
    """A receipt, read and in form, with nothing in it believed.

    `proofs` are resolved: one tuple of hashes for each of `lines`, and `rotation_proofs` for each of `rotations`.
    """

    task: str
    lines: tuple[bytes, ...]
    proofs: tuple[tuple[bytes, ...], ...]
    checkpoint: bytes
    key: str | None
    evidence: tuple[Mapping[str, Any], ...]
    objects: Mapping[str, bytes]
    rotations: tuple[bytes, ...] = ()
    rotation_proofs: tuple[tuple[bytes, ...], ...] = ()


class ReceiptFault(ValueError):
    """Bytes that are no receipt. `foreign` where they do not even say that they are one."""

    def __init__(self, message: str, *, foreign: bool = False) -> None:
        super().__init__(message)
        self.foreign = foreign


def build_receipt(
    leaves: Iterable[bytes],
    *,
    checkpoint: bytes,
    node: Node,
    get: Get,
    key: str | None = None,
    rotations: Iterable[bytes] = (),
    embed: bool = False,
) -> bytes:
    """The receipt of one task.

    `leaves` are all of its leaves, in order, and `rotations` those of the changes of keys in the tree. `checkpoint` is
    a signed note that covers them, `node` gives the subtrees of the tree that it signs, `get` the bytes of an object by
    digest, and `key` is the vkey in `ledger.json`. With `embed`, the bytes of every accepted artifact go along.

    Raises `RequestError` `unknown_task` without leaves and `receipt_unsealed` where the checkpoint is older than the
    last of them; `DamagedError` `receipt_unprovable` where lines, tree and checkpoint do not belong together. What
    `get` and `node` raise passes through.
    """
    lines, changes = list(leaves), list(rotations)
    if not lines:
        message, fix = "There is no entry of such a task.", "enforcer status lists the tasks there are."
        raise RequestError("unknown_task", message, fix=fix)
    try:
        entries = [parse_leaf(line) for line in lines]
        proofs = _prove([*entries, *map(parse_leaf, changes)], [*lines, *changes], checkpoint, node)
    except (BadLine, NoteFault, ProofFault) as fault:
        message = f"The task's lines cannot be shown to stand in the tree of the checkpoint: {fault}."
        raise DamagedError(
            "receipt_unprovable", message, where=f"checkpoint of {key}", fix="enforcer verify"
        ) from fault
    hashes = list(dict.fromkeys(each for proof in proofs for each in proof))
    position = {each: number for number, each in enumerate(hashes)}
    members = {
        "checkpoint": checkpoint.decode(),
        "evidence": evidence_of(entries),
        "format": FORMAT,
        "hashes": [each.hex() for each in hashes],
        "key": key,
        "lines": [line.decode() for line in lines],
        "objects": {digest: encode_base64(get(digest)) for digest in _embedded(entries, embed)},
        "proofs": [[position[each] for each in proof] for proof in proofs],
        "rotations": [line.decode() for line in changes],
        "task": entries[0].task,
    }
    return canonical(members) + b"\n"


def _prove(entries: list[Entry], lines: list[bytes], note: bytes, node: Node) -> list[list[bytes]]:
    checkpoint = parse_checkpoint(parse_note(note).text)
    last = max(entry.seq for entry in entries)
    if last >= checkpoint.size:
        message = f"The newest checkpoint covers {checkpoint.size} entries, and what is to be shown goes to {last}."
        raise RequestError("receipt_unsealed", message, fix="enforcer checkpoint")
    proofs = []
    for entry, line in zip(entries, lines, strict=True):
        proof = prove_inclusion(entry.seq, checkpoint.size, node)
        check_inclusion(entry.seq, checkpoint.size, leaf_hash(line), proof, checkpoint.root)
        proofs.append(proof)
    return proofs


def evidence_of(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """What the entries accepted, as a receipt lists it."""
    return [
        {
            "artifact": f"{entry.event.start}/{one.artifact}",
            "digest": one.digest,
            "origin": one.origin,
            "seq": entry.seq,
            "size": one.size,
        }
        for entry in entries
        if isinstance(entry.event, PhaseAdvanced)
        for one in entry.event.evidence
    ]


def processes_of(entries: Iterable[Entry]) -> list[str]:
    """The digests of the processes that were in force, each once, in order."""
    governing = (entry.event.digest for entry in entries if isinstance(entry.event, (TaskOpened, ProcessAdopted)))
    return list(dict.fromkeys(governing))


def _embedded(entries: list[Entry], embed: bool) -> list[str]:
    evidence = [one["digest"] for one in evidence_of(entries)] if embed else []
    return list(dict.fromkeys([*processes_of(entries), *evidence]))


def parse_receipt(data: bytes) -> Receipt:
    """The only reading of a receipt: one spelling for each. Raises `ReceiptFault`."""
    try:
        members = parse(data, max_bytes=MAX_RECEIPT)
    except JsonFault as fault:
        raise ReceiptFault(f"it is not JSON: {fault}", foreign=True) from None
    if not isinstance(members, dict) or members.get("format") != FORMAT:
        raise ReceiptFault(f"it does not say that its format is {FORMAT}", foreign=True)
    if members.keys() != _MEMBERS:
        raise ReceiptFault("it does not have the members of a receipt")
    _check_canonical(members, data)
    key = members["key"]
    if not isinstance(members["task"], str) or not (key is None or isinstance(key, str)):
        raise ReceiptFault("its task or its key is not text")
    lines = tuple(text.encode() for text in _texts(members["lines"], "lines"))
    rotations = tuple(text.encode() for text in _texts(members["rotations"], "rotations"))
    proofs = _proofs(members["proofs"], _hashes(members["hashes"]), len(lines) + len(rotations))
    return Receipt(
        task=members["task"],
        lines=lines,
        proofs=proofs[: len(lines)],
        checkpoint=_texts([members["checkpoint"]], "checkpoint")[0].encode(),
        key=key,
        evidence=tuple(_list(members["evidence"], "evidence")),
        objects=_objects(members["objects"]),
        rotations=rotations,
        rotation_proofs=proofs[len(lines) :],
    )


def _check_canonical(members: dict[str, Any], data: bytes) -> None:
    try:
        written = canonical(members) + b"\n"
    except JsonFault as fault:
        raise ReceiptFault(f"it holds what no receipt holds: {fault}") from None
    if written != data:
        raise ReceiptFault("its bytes are not in canonical form with one newline")


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ReceiptFault(f"{what} is not an array")
    return value


def _texts(value: Any, what: str) -> list[str]:
    texts = _list(value, what)
    if not all(type(text) is str for text in texts):
        raise ReceiptFault(f"{what} does not hold text")
    return texts


def _hashes(value: Any) -> list[bytes]:
    texts = _texts(value, "hashes")
    if not all(len(text) == 64 and set(text) <= set("0123456789abcdef") for text in texts):
        raise ReceiptFault("one of hashes is not 64 hex digits")
    return [bytes.fromhex(text) for text in texts]


def _proofs(value: Any, hashes: list[bytes], count: int) -> tuple[tuple[bytes, ...], ...]:
    """The proofs with their hashes put in. There is one way to number the hashes, so that none can hide or repeat."""
    proofs = [_list(proof, "a proof") for proof in _list(value, "proofs")]
    if len(proofs) != count:
        raise ReceiptFault(f"it has {len(proofs)} proofs for {count} lines")
    used = list(dict.fromkeys(number for proof in proofs for number in proof if type(number) is int))
    if used != list(range(len(hashes))) or len(set(hashes)) != len(hashes):
        raise ReceiptFault("its proofs do not use its hashes, each of them and in order")
    if not all(type(number) is int for proof in proofs for number in proof):
        raise ReceiptFault("a proof does not hold numbers")
    return tuple(tuple(hashes[number] for number in proof) for proof in proofs)


def _objects(value: Any) -> dict[str, bytes]:
    if not isinstance(value, dict):
        raise ReceiptFault("objects is not an object")
    texts = _texts(list(value.values()), "objects")
    try:
        return {digest: decode_base64(text, "an object") for digest, text in zip(value, texts, strict=True)}
    except NoteFault as fault:
        raise ReceiptFault(str(fault)) from None
