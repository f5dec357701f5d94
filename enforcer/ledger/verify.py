"""Reads a ledger from its first byte to its last and says what holds: `enforcer verify`.

It uses no state of a running store and no lock, and no cache unless it is told to, and it does not stop at the first
fault: after a damaged line the next one is held against the bytes that stand there. So every finding comes out, and
whoever repairs knows how far the damage goes. Memory is bounded by the tasks and the digests that the ledger names, and
some bytes an entry.

    survey    one verification, from what is known before to the report
    passes    reads the bytes, once, for both of
    chain       the raw pass: links, numbers, times, tree
    replay      the strict reading of every line, the walk of every task, and what `holdings` has of it
    approvals     what somebody is said to have signed, and `signatures`, whether they did
    heads     holds signed tree heads, and the demands of whoever verifies, against the tree
    share     is what one of two cores does of it, and `workers` the other core
"""

from __future__ import annotations

import os

from enforcer.attestation.signatures import verify_ed25519
from enforcer.errors import DamagedError
from enforcer.ledger.chain import SEGMENT_LINES, Chain, Run
from enforcer.ledger.entry import genesis_hash
from enforcer.ledger.heads import Anchor, Demands
from enforcer.ledger.holdings import Holdings
from enforcer.ledger.passes import Passes, list_segments, uncollected
from enforcer.ledger.replay import Replay
from enforcer.ledger.report import EVIDENCE, INTEGRITY, KEY, LEGALITY, VERIFIED, Finding, Findings, Report
from enforcer.ledger.sharing import read_raw
from enforcer.ledger.signatures import check_signatures
from enforcer.ledger.store import parse_identity
from enforcer.ledger.survey import Survey
from enforcer.ports import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from enforcer.ledger.cache import Cache
    from enforcer.ledger.heads import Head
    from enforcer.ledger.holdings import Objects
    from enforcer.ledger.note import Check
    from enforcer.ledger.replay import Processes
    from enforcer.ports import Disk

__all__ = ["Anchor", "Demands", "Finding", "Report", "raw_pass", "replay_pass", "roots_at", "verify"]


def verify(
    folder: str,
    *,
    disk: Disk,
    objects: Objects,
    processes: Processes,
    known: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    demands: Demands | None = None,
    check: Check = verify_ed25519,
    cache: Cache | None = None,
    cores: int = 1,
    segment_lines: int = SEGMENT_LINES,
    vouching: list[Head] | None = None,
) -> Report:
    """Verify the ledger in `folder` (`state/ledger`), with `objects` and the margins beside it.

    `processes` loads a stored process by digest. `known` is the id of the ledger last seen here, remembered where who
    writes `state` need not be able to write: another one in its place is a contradiction. `progress` is called with
    the bytes read so far and those there are. `demands` are what the caller knows of the ledger and asks of it, and
    `check` is what verifies Ed25519 signatures.

    With a `cache` it begins where the last verification of this user with one ended, if that found nothing wrong, and
    says so; whoever has to be sure gives none. With two `cores` or more it shares the work of a long ledger with
    another process, which reads `objects` from the folder of that name beside `folder`; what it finds is the same.
    A full segment has `segment_lines` lines, a power of two. To `vouching` are added the heads that agree with the
    lines under a key in force, smallest first.

    Whatever is found is in the report; a ledger that is not there is `unverifiable`.
    """
    found = Findings()
    try:
        data = read_file(disk, f"{folder}/ledger.json")
    except OSError as error:
        return _nothing(found, *_unread_identity(error))
    try:
        identity = parse_identity(data, f"{folder}/ledger.json")
    except DamagedError as error:
        if error.code == "ledger_unknown_format":
            return _nothing(found, error.code, error.message)
        found.contradiction(INTEGRITY, None, error.code, error.message)
        identity = None
    if identity is not None and known not in (None, identity.id):
        message = f"This is the ledger {identity.id}, and {known} was the one seen here before."
        found.contradiction(KEY, None, "ledger_replaced", message)
    survey = Survey(
        folder,
        genesis_hash(data),
        identity,
        demands or Demands(),
        disk=disk,
        objects=objects,
        processes=processes,
        found=found,
        segment_lines=segment_lines,
    )
    if cache is not None:
        survey.resume(cache)
    survey.read(progress, cores=cores)
    report = survey.judge(check, vouching)
    if cache is not None and report.verdict == VERIFIED:
        survey.keep(cache)
    return report


def roots_at(folder: str, sizes: Iterable[int], *, disk: Disk) -> dict[int, bytes]:
    """The roots of the trees of the ledger's first lines, by how many, as far as there are so many. `OSError` passes.

    Nothing is verified but that there are lines: this is for whoever holds the roots against something.
    """
    wanted = set(sizes)
    chain = Chain("", Findings())
    passes = Passes(f"{folder}/seg", None, disk=disk)
    for segment in list_segments(f"{folder}/seg", disk, Findings()):
        run = Run(segment.first, Findings(), tree=chain.tree.copy(), wanted=sorted(wanted))
        passes.read(segment, run)
        chain.join(run)
    return {size: root for size, root in chain.roots.items() if size in wanted}


def raw_pass(folder: str, *, disk: Disk, cores: int = 1) -> tuple[int, str]:
    """The raw pass alone, as a part of `verify`: how many entries there are, and the root of their tree in hex.

    Raises `DamagedError` `ledger_damaged` where anything was found.
    """
    data = read_file(disk, f"{folder}/ledger.json")
    found = Findings()
    chain = read_raw(folder, genesis_hash(data), disk=disk, found=found, cores=cores)
    _check_nothing(found, folder)
    return chain.entries, chain.tree.root().hex()


def replay_pass(folder: str, *, disk: Disk, objects: Objects, processes: Processes) -> None:
    """The replay alone, as a part of `verify`. Raises `DamagedError` `ledger_damaged` where anything was found."""
    found = Findings()
    origin = parse_identity(read_file(disk, f"{folder}/ledger.json"), f"{folder}/ledger.json").origin
    holdings = Holdings(os.path.dirname(folder), disk=disk, objects=objects, found=found)
    replay = Replay(found, holdings, processes, origin=origin)
    passes = Passes(f"{folder}/seg", replay, disk=disk)
    with uncollected():
        for segment in list_segments(f"{folder}/seg", disk, found):
            passes.read(segment, None)
    replay.finish()
    check_signatures(replay.approvals.signings, objects, found)
    _check_nothing(found, folder)


def _check_nothing(found: Findings, folder: str) -> None:
    if found.count:
        first = found.report().findings[0]
        fix = "Ask enforcer verify for everything that was found."
        raise DamagedError("ledger_damaged", f"{first.code}: {first.message}", where=folder, fix=fix)


def _unread_identity(error: OSError) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        message = "There is no `ledger.json`, so there is no ledger here to verify."
        return "ledger_missing", f"{message} Restore state/ledger from a copy, or name the project with --root."
    return "ledger_unreadable", f"`ledger.json` cannot be read: {error.strerror}."


def _nothing(found: Findings, code: str, message: str) -> Report:
    """Nothing could be verified, and nothing is claimed of any part."""
    found.gap(INTEGRITY, None, code, message)
    found.doubt(LEGALITY, EVIDENCE)
    return found.report()
