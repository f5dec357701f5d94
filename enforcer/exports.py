"""What leaves the ledger in forms that others read: proofs, receipts, statements, layouts, events, a static log.

A proof or a receipt is made of entries that a checkpoint covers, which is made first where this user has the key. What
is signed here (statements, layouts) is signed only once the ledger was proven to extend what the key has signed before,
and each line to stand in that tree: nobody gets a signature for a history that he put in the place of another one. The
forms themselves are worked out in `ledger` and `attestation`; here they are given a task and a place.
"""

from __future__ import annotations

import os

from enforcer.attestation.cloudevents import export_cloudevents
from enforcer.attestation.layout import export_layout
from enforcer.attestation.page import Cover, export_page
from enforcer.attestation.signatures import verify_ed25519
from enforcer.attestation.statements import export_statements
from enforcer.attestation.walk import walk_of
from enforcer.errors import DamagedError, RequestError, UnavailableError
from enforcer.keyring import keys_in_force, rotation_leaves
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.entry import parse_leaf
from enforcer.ledger.merkle import ProofFault, check_inclusion, leaf_hash, prove_inclusion, root_of
from enforcer.ledger.note import MAX_NOTE, NoteFault, format_vkey, parse_note, verified_by
from enforcer.ledger.proof import InclusionProof, format_proof
from enforcer.ledger.receipt import build_receipt
from enforcer.ledger.seal import read_sealed
from enforcer.ledger.tree import TileTree
from enforcer.ports import write_durably
from enforcer.sealing import read_anchored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from enforcer.enforcer import Enforcer
    from enforcer.ledger.merkle import Node
    from enforcer.ledger.seal import Sealed

RECEIPT, STATEMENTS, LAYOUT, CLOUDEVENTS, HTML = "receipt", "statements", "layout", "cloudevents", "html"
FORMATS = (RECEIPT, STATEMENTS, LAYOUT, CLOUDEVENTS, HTML)

_CHECKPOINT = "checkpoint"


def prove_entry(enforcer: Enforcer, seq: int) -> bytes:
    """The `.tlog-proof` of an entry, which carries the line itself, so that the file can be checked alone.

    Raises `RequestError` `unknown_entry`; `UnavailableError` `unsealed` where no checkpoint covers it; `DamagedError`
    `checkpoint_contradicted` where the newest one is not of the lines that are here.
    """
    enforcer.ledger.catch_up()
    enforcer.ledger.entry(seq)
    sealed = _covering(enforcer, seq + 1)
    line = next(iter(enforcer.ledger.leaves(seq)))
    hashes = prove_inclusion(seq, sealed.size, _node(enforcer, sealed, {seq: line}))
    return format_proof(InclusionProof(index=seq, hashes=tuple(hashes), checkpoint=sealed.note, extra=line))


def export_task(enforcer: Enforcer, task: str, form: str, *, embed: bool = False) -> dict[str, bytes]:
    """File names and contents of a task in one of `FORMATS`. `embed`: a receipt takes the evidence's bytes along.

    Raises `RequestError` `unknown_task`, `nothing_accepted` where there is nothing to make statements about;
    `UnavailableError` `unsealed` where nothing signs for what a receipt shows, `key_missing`, … where statements or a
    layout cannot be signed; `DamagedError` as `prove_entry` does.
    """
    leaves = list(task_leaves(enforcer, task))
    if form == CLOUDEVENTS:
        return {f"{task}.cloudevents.jsonl": export_cloudevents(leaves)}
    if form == RECEIPT:
        return {f"{task}.receipt.json": _receipt(enforcer, leaves, embed)}
    if form == HTML:
        return {f"{task}.html": _page(enforcer, leaves)}
    key = enforcer.signer().key
    sealed = enforcer.sealer.seal()
    _node(enforcer, sealed, {parse_leaf(leaf).seq: leaf for leaf in leaves})
    walk = walk_of(map(parse_leaf, leaves), enforcer.process)
    if form == LAYOUT:
        return export_layout(walk, sign=key.sign, public=key.public)
    if not walk.steps:
        message = "No phase of this task was accepted so far, so there is nothing to make a statement about."
        fix = f"Leave a phase first: enforcer advance {task}; or export another form."
        raise RequestError("nothing_accepted", message, where=task, fix=fix)
    data = export_statements(walk, get=enforcer.objects.get, sign=key.sign, public=key.public)
    return {f"{task}.intoto.jsonl": data}


def export_site(enforcer: Enforcer, folder: str) -> Sealed:
    """The whole ledger as a static C2SP tlog-tiles site in a folder of its own.

    A site of this ledger that is there already grows. Raises `RequestError` `site_foreign` where the folder holds
    anything else; `UnavailableError` `unsealed`, `export_unwritable`; `DamagedError` `checkpoint_contradicted`.
    """
    enforcer.ledger.catch_up()
    sealed = _covering(enforcer, 1)
    try:
        os.makedirs(folder, exist_ok=True)
        _check_own_site(enforcer, os.path.abspath(folder))
        _tiles(enforcer).write_site(os.path.abspath(folder), sealed.size, sealed.note)
    except (OSError, ValueError) as error:
        raise _unwritable(folder, error) from error
    return sealed


def _check_own_site(enforcer: Enforcer, folder: str) -> None:
    """Refuse a folder that holds a log of another origin, or something that is no log: it would be mixed with this."""
    names = set(enforcer.disk.listing(folder))
    if names <= {"tile"}:
        return  # Nothing, or a site that was interrupted: its checkpoint comes last, and every tile is put anew.
    try:
        fd = enforcer.disk.open(f"{folder}/{_CHECKPOINT}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            origin = parse_checkpoint(parse_note(enforcer.disk.read(fd, MAX_NOTE + 1, 0)).text).origin
        finally:
            enforcer.disk.close(fd)
    except (OSError, NoteFault):
        raise _foreign_site(folder, "The folder holds something that is no site of a log.") from None
    if origin != enforcer.identity.origin:
        raise _foreign_site(folder, f"The folder holds the site of another log, {origin[:80]!a}.")


def _foreign_site(folder: str, message: str) -> RequestError:
    fix = "Nothing was written. Name a folder that is empty, or one that holds an earlier site of this ledger."
    return RequestError("site_foreign", message, where=folder, fix=fix)


def write_files(enforcer: Enforcer, folder: str, files: dict[str, bytes]) -> list[str]:
    """Put exported files in place in a folder, which is made where there is none; their paths.

    Raises `UnavailableError` `export_unwritable`; `DamagedError` `export_unsafe` for a name that is none of a file in
    that folder: names come from the ledger.
    """
    for name in files:
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            message = f"The ledger gives {name[:80]!a} as a name, and no file is called so."
            raise DamagedError("export_unsafe", message, fix="Nothing was written. Look at it with: enforcer verify")
    try:
        os.makedirs(folder, exist_ok=True)
        for name, data in files.items():
            write_durably(enforcer.disk, os.path.join(os.path.abspath(folder), name), data, entropy=enforcer.entropy)
    except (OSError, ValueError) as error:
        raise _unwritable(folder, error) from error
    return [os.path.join(folder, name) for name in files]


def task_leaves(enforcer: Enforcer, task: str) -> Iterator[bytes]:
    """The lines of a task, in order. Raises `RequestError` `unknown_task`; `DamagedError` `ledger_task_chain_broken`
    where they are not all those that its last one follows."""
    enforcer.ledger.catch_up()
    if enforcer.ledger.task(task) is None:
        fix = "enforcer status lists the tasks there are."
        raise RequestError("unknown_task", "There is no such task on this ledger.", where=task, fix=fix)
    return enforcer.ledger.task_leaves(task)


def _receipt(enforcer: Enforcer, leaves: list[bytes], embed: bool) -> bytes:
    sealed = _covering(enforcer, parse_leaf(leaves[-1]).seq + 1)
    rotations = list(rotation_leaves(enforcer.ledger, sealed.size))
    shown = {parse_leaf(leaf).seq: leaf for leaf in (*leaves, *rotations)}
    return build_receipt(
        leaves,
        checkpoint=sealed.note,
        node=_node(enforcer, sealed, shown),
        get=enforcer.objects.get,
        key=enforcer.identity.key,
        rotations=rotations,
        embed=embed,
    )


def _page(enforcer: Enforcer, leaves: list[bytes]) -> bytes:
    entries = [parse_leaf(leaf) for leaf in leaves]
    walk = walk_of(entries, enforcer.process)
    try:
        sealed = _covering(enforcer, entries[-1].seq + 1)
    except UnavailableError as error:
        if error.code != "unsealed":
            raise
        return export_page(walk, entries, None)  # Which says that nobody has signed for them.
    _node(enforcer, sealed, {entry.seq: leaf for entry, leaf in zip(entries, leaves, strict=True)})
    able = [key for key, above, cap in keys_in_force(enforcer) if above < sealed.size <= (cap or sealed.size)]
    try:
        signers = verified_by(parse_note(sealed.note), able, verify_ed25519)
    except NoteFault as fault:
        raise _of_other_lines(enforcer) from fault
    return export_page(
        walk,
        entries,
        Cover(
            size=sealed.size,
            root=sealed.root,
            note=sealed.note,
            signers=tuple(format_vkey(key.name, key.public) for key in signers),
            anchored=read_anchored(enforcer),
        ),
    )


# The tree under what is shown ----------------------------------------------------------------------------------------


def _covering(enforcer: Enforcer, size: int) -> Sealed:
    """The newest checkpoint, which has to be of at least `size` entries. Made now where this user can."""
    try:
        sealed = enforcer.sealer.newest()
    except OSError:  # It was made, and nothing can be written beside the ledger.
        sealed = read_sealed(enforcer.ledger_folder, enforcer.disk)
    if sealed is None or sealed.size < size:
        message = "No checkpoint covers what was asked for, and this user has no key to make one."
        fix = "Run it as the user who has the key, or have a checkpoint made there: enforcer checkpoint"
        raise UnavailableError("unsealed", message, where=enforcer.ledger_folder, fix=fix)
    if sealed.size > enforcer.ledger.head.size:
        raise _of_other_lines(enforcer)
    return sealed


def _node(enforcer: Enforcer, sealed: Sealed, shown: dict[int, bytes]) -> Node:
    """The subtrees of the checkpoint's tree, in which each of the lines that are shown is proven to stand.

    Tiles are trusted by nobody: where one does not fit, the tree is made of the lines themselves.
    """
    node = _tiles(enforcer).node(sealed.size)
    if _holds(node, sealed, shown):
        return node
    hashes = [leaf_hash(leaf) for _, leaf in zip(range(sealed.size), enforcer.ledger.leaves(), strict=False)]
    node = _node_of(hashes)
    if not _holds(node, sealed, shown):
        raise _of_other_lines(enforcer)
    return node


def _node_of(hashes: list[bytes]) -> Node:
    return lambda level, index: root_of(hashes[index << level : (index + 1) << level])


def _holds(node: Node, sealed: Sealed, shown: dict[int, bytes]) -> bool:
    try:
        for seq, line in shown.items():
            proof = prove_inclusion(seq, sealed.size, node)
            check_inclusion(seq, sealed.size, leaf_hash(line), proof, sealed.root)
    except ProofFault:
        return False
    return True


def _tiles(enforcer: Enforcer) -> TileTree:
    """The tree of the ledger, of which nothing is written: who exports may have no right to."""
    return TileTree(
        enforcer.ledger_folder,
        disk=enforcer.disk,
        entropy=enforcer.entropy,
        leaves=enforcer.ledger.leaves,
        writes=False,
    )


def _of_other_lines(enforcer: Enforcer) -> DamagedError:
    message = "The newest checkpoint is not of the entries that are here."
    fix = "Look at it with: enforcer verify"
    return DamagedError("checkpoint_contradicted", message, where=enforcer.ledger_folder, fix=fix)


def _unwritable(folder: str, error: OSError | ValueError) -> UnavailableError:
    message = f"The export cannot be written: {getattr(error, 'strerror', None) or error}."
    return UnavailableError("export_unwritable", message, where=folder, fix="Name a folder that can be written.")
