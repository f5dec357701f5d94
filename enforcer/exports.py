"""What leaves the ledger in forms that others read: proofs, receipts, statements, layouts, events, a static log.

Every one of these is made of entries that a checkpoint covers, which is made first where this user has the key. The
forms themselves are worked out in `ledger` and `attestation`; here they are given a task and a place.
"""

from __future__ import annotations

import os

from enforcer.attestation.cloudevents import export_cloudevents
from enforcer.attestation.layout import export_layout
from enforcer.attestation.statements import export_statements
from enforcer.attestation.walk import walk_of
from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.ledger.entry import parse_leaf
from enforcer.ledger.merkle import prove_inclusion
from enforcer.ledger.proof import InclusionProof, format_proof
from enforcer.ledger.receipt import build_receipt
from enforcer.ports import write_durably

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.attestation.walk import Walk
    from enforcer.enforcer import Enforcer
    from enforcer.ledger.seal import Sealed

RECEIPT, STATEMENTS, LAYOUT, CLOUDEVENTS = "receipt", "statements", "layout", "cloudevents"
FORMATS = (RECEIPT, STATEMENTS, LAYOUT, CLOUDEVENTS)


def prove_entry(enforcer: Enforcer, seq: int) -> bytes:
    """The `.tlog-proof` of an entry, which carries the line itself, so that the file can be checked alone.

    Raises `RequestError` `unknown_entry`, `UnavailableError` `unsealed` where no checkpoint covers it.
    """
    enforcer.ledger.catch_up()
    enforcer.ledger.entry(seq)
    sealed = _covering(enforcer, seq + 1)
    line = next(iter(enforcer.ledger.leaves(seq)))
    hashes = prove_inclusion(seq, sealed.size, enforcer.sealer.tree.node(sealed.size))
    return format_proof(InclusionProof(index=seq, hashes=tuple(hashes), checkpoint=sealed.note, extra=line))


def export_task(enforcer: Enforcer, task: str, form: str, *, embed: bool = False) -> dict[str, bytes]:
    """File names and contents of a task in one of `FORMATS`. `embed`: a receipt takes the evidence's bytes along.

    Raises `RequestError` `unknown_task`; `UnavailableError` where nothing signs for the ledger.
    """
    leaves = list(task_leaves(enforcer, task))
    if form == CLOUDEVENTS:
        return {f"{task}.cloudevents.jsonl": export_cloudevents(leaves)}
    if form == RECEIPT:
        sealed = _covering(enforcer, parse_leaf(leaves[-1]).seq + 1)
        node = enforcer.sealer.tree.node(sealed.size)
        data = build_receipt(
            leaves,
            checkpoint=sealed.note,
            node=node,
            get=enforcer.objects.get,
            key=enforcer.identity.key,
            embed=embed,
        )
        return {f"{task}.receipt.json": data}
    walk, key = _walk(enforcer, leaves), enforcer.signer().key
    if form == LAYOUT:
        return export_layout(walk, sign=key.sign, public=key.public)
    data = export_statements(walk, get=enforcer.objects.get, sign=key.sign, public=key.public)
    return {f"{task}.intoto.jsonl": data}


def export_site(enforcer: Enforcer, folder: str) -> Sealed:
    """The whole ledger as a static C2SP tlog-tiles site in a folder of its own."""
    sealed = _covering(enforcer, 1)
    try:
        os.makedirs(folder, exist_ok=True)
        enforcer.sealer.tree.write_site(os.path.abspath(folder), sealed.size, sealed.note)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return sealed


def write_files(enforcer: Enforcer, folder: str, files: dict[str, bytes]) -> list[str]:
    """Put exported files in place below a folder; their paths."""
    try:
        os.makedirs(folder, exist_ok=True)
        for name, data in files.items():
            write_durably(enforcer.disk, os.path.join(os.path.abspath(folder), name), data, entropy=enforcer.entropy)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return [os.path.join(folder, name) for name in files]


def task_leaves(enforcer: Enforcer, task: str) -> Iterator[bytes]:
    """The lines of a task, in order. Raises `RequestError` `unknown_task`."""
    enforcer.ledger.catch_up()
    state = enforcer.ledger.task(task)
    if state is None:
        fix = "enforcer status lists the tasks there are."
        raise RequestError("unknown_task", "There is no such task on this ledger.", where=task, fix=fix)
    mark, left = f'"subject":"{task}"'.encode(), state.task_seq
    for leaf in enforcer.ledger.leaves(state.opened_seq):
        if mark in leaf and parse_leaf(leaf).task == task:
            yield leaf
            left -= 1
            if not left:
                return


def _walk(enforcer: Enforcer, leaves: list[bytes]) -> Walk:
    return walk_of(map(parse_leaf, leaves), enforcer.process)


def _covering(enforcer: Enforcer, size: int) -> Sealed:
    """The newest checkpoint, which has to be of at least `size` entries and of the lines that are here."""
    sealed = enforcer.sealer.newest()
    if sealed is None or sealed.size < size:
        message = "No checkpoint covers what was asked for, and this user has no key to make one."
        fix = "Run it as the user who has the key, or have a checkpoint made there: enforcer checkpoint"
        raise UnavailableError("unsealed", message, where=enforcer.ledger_folder, fix=fix)
    if sealed.size > enforcer.ledger.head.size or enforcer.sealer.root_at(sealed.size) != sealed.root:
        enforcer.sealer.tree.drop()
        if sealed.size > enforcer.ledger.head.size or enforcer.sealer.root_at(sealed.size) != sealed.root:
            message = "The newest checkpoint is not of the entries that are here."
            fix = "Look at it with: enforcer verify"
            raise DamagedError("checkpoint_contradicted", message, where=enforcer.ledger_folder, fix=fix)
    return sealed


def _unwritable(folder: str, error: OSError) -> UnavailableError:
    message = f"The export cannot be written: {error.strerror}."
    return UnavailableError("export_unwritable", message, where=folder, fix="Name a folder that can be written.")
