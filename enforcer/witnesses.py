"""Both sides of a cosignature: a witness that goes to look at a log, and a log that takes back what the witness made.

A witness needs no project: it knows logs by their origin and finds them where they were made public. Run by another
user, better on another host, it is what keeps whoever has the log's key from showing two histories to two readers.
"""

from __future__ import annotations

from enforcer.attestation.signatures import verify_ed25519
from enforcer.attestation.witness import Witness
from enforcer.errors import DamagedError, RequestError
from enforcer.keyring import keys_in_force
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.cosignatures import merge_cosignatures
from enforcer.ledger.note import NoteFault, parse_note, verified_by
from enforcer.ledger.seal import Sealed, read_sealed
from enforcer.ports import SystemClock, SystemDisk, SystemEntropy, write_durably
from enforcer.project import user_folder
from enforcer.sources import found_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enforcer.attestation.witness import Witnessed
    from enforcer.enforcer import Enforcer
    from enforcer.ledger.checkpoint import Checkpoint
    from enforcer.ledger.cosignatures import Cosignature
    from enforcer.ledger.note import Note, VerifierKey
    from enforcer.ports import Clock, Disk, Entropy


def create_witness(name: str, environ: Mapping[str, str]) -> Witness:
    """Make this user's witness. Raises what `Witness.create` raises."""
    return Witness.create(user_folder(environ), name, disk=SystemDisk(), entropy=SystemEntropy(), clock=SystemClock())


def open_witness(
    environ: Mapping[str, str], *, disk: Disk | None = None, entropy: Entropy | None = None, clock: Clock | None = None
) -> Witness:
    """This user's witness. Raises `UnavailableError` `witness_missing`, `key_exposed`."""
    ports = (disk or SystemDisk(), entropy or SystemEntropy(), clock or SystemClock())
    return Witness(user_folder(environ), disk=ports[0], entropy=ports[1], clock=ports[2])


def cosign_log(witness: Witness, where: str, keys: Sequence[VerifierKey]) -> Witnessed:
    """Look at a log where it was made public, and cosign its newest head.

    Raises what `sources.found_at` and `Witness.cosign` raise.
    """
    given = [key.name for key in keys]
    known = given or [log.origin for log in witness.logs()]
    with found_at(where, known, disk=SystemDisk()) as source:
        return witness.cosign(source.note, source.batches(), keys)


def take_cosignatures(
    enforcer: Enforcer, data: bytes, witnesses: Sequence[VerifierKey]
) -> tuple[Sealed, tuple[Cosignature, ...]]:
    """Add a note's cosignatures to the checkpoint of this ledger that it was made for; all that it carries then.

    The log need not have stood still: what a checkpoint of the same size would say follows from the lines. Raises
    `RequestError` `cosigned_malformed`, `cosigned_foreign`; `DamagedError` `cosigned_contradicted`.
    """
    try:
        given = parse_note(data)
        head = parse_checkpoint(given.text)
        standing = _standing(enforcer, given, head)
        note, told = merge_cosignatures(standing, given, witnesses, verify_ed25519)
    except NoteFault as fault:
        message, fix = f"Nothing of this note is taken over: {fault}.", "Give the note that the witness wrote."
        raise RequestError("cosigned_malformed", message, fix=fix) from fault
    sealed = Sealed(head.size, head.root, note)
    _keep(enforcer, sealed)
    return sealed, told


def _standing(enforcer: Enforcer, given: Note, head: Checkpoint) -> Note:
    """The checkpoint of the same size that stands here; where none is kept any more, the log's own part of the note.

    Raises `NoteFault` where the note does not carry the log's signature either.
    """
    if head.origin != enforcer.identity.origin:
        message = f"The note is of another ledger, {head.origin[:80]!a}."
        raise RequestError("cosigned_foreign", message, fix="Name this project with --root, or give its own note.")
    enforcer.ledger.catch_up()
    if not _is_of_lines(enforcer, head):
        message = f"A witness has cosigned {head.size} entries that are not the ones that are here."
        fix = "Keep the note: it tells that history was rewritten. Give it to enforcer verify --anchor FILE"
        raise DamagedError("cosigned_contradicted", message, where=enforcer.ledger_folder, fix=fix)
    for name in (f"checkpoints/{head.size}", "checkpoint"):
        sealed = read_sealed(enforcer.ledger_folder, enforcer.disk, name)
        if sealed is not None and sealed.size == head.size:
            return parse_note(sealed.note)
    terms = keys_in_force(enforcer)
    able = [key for key, above, cap in terms if above < head.size and (cap is None or head.size <= cap)]
    signed = {key.name for key in verified_by(given, able, verify_ed25519)}
    if not signed:
        raise NoteFault("no checkpoint of its size stands here, and it is not signed by a key of this ledger")
    return given.replace(signatures=tuple(line for line in given.signatures if line.name in signed))


def _is_of_lines(enforcer: Enforcer, head: Checkpoint) -> bool:
    """Whether the lines that are here make a head's tree. Before a "no" the tiles are made anew: one may be wrong."""
    if head.size > enforcer.ledger.head.size:
        return False
    if enforcer.sealer.root_at(head.size) == head.root:
        return True
    enforcer.sealer.tree.drop()
    return enforcer.sealer.root_at(head.size) == head.root


def _keep(enforcer: Enforcer, sealed: Sealed) -> None:
    """Durable, unlike other checkpoints: nobody here could make it again."""
    folder, disk = enforcer.ledger_folder, enforcer.disk
    disk.make_folder(f"{folder}/checkpoints")
    write_durably(disk, f"{folder}/checkpoints/{sealed.size}", sealed.note, entropy=enforcer.entropy)
    newest = read_sealed(folder, disk)
    if newest is not None and newest.size == sealed.size:
        write_durably(disk, f"{folder}/checkpoint", sealed.note, entropy=enforcer.entropy)
