"""`enforcer key`: which key signs for the ledger, and changing it."""

from __future__ import annotations

import click

from enforcer.enforcer import Enforcer, locate
from enforcer.errors import EnforcerError, RequestError
from enforcer.keyring import OVERLAP, compromise, keys_in_force, resume
from enforcer.keyring import rotate as rotate_key
from enforcer.ledger.note import format_vkey
from enforcer.ports import SystemDisk, SystemEntropy
from enforcer.publication import load_anchor
from enforcer.surfaces.cli.options import acting, opened, reading
from enforcer.surfaces.cli.output import line, show_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.keyring import Condemned

SHOWN = 20  # Suspect entries that are listed for people; --json has all of them.


@click.group()
def key() -> None:
    """Show and change the key that signs for the ledger."""


@key.command()
@reading
def show(root: str | None, as_json: bool) -> int:
    """The verifier keys of the ledger, for whoever wants to pin one. The last one is in force."""
    with opened(root) as enforcer:
        rows = [
            {"vkey": format_vkey(one.name, one.public), "above": above, "cap": cap}
            for one, above, cap in keys_in_force(enforcer)
        ]
        here = _here(enforcer)
    if as_json:
        show_json({"keys": rows, "here": here})
        return 0
    for row in rows:
        upto = f" up to {row['cap']} entries" if row["cap"] is not None else ""
        line(f"{row['vkey']}  (signs trees of more than {row['above']} entries{upto})")
    line(here if rows else "This ledger has no key: it stays unsealed.")
    return 0


@key.command()
@click.option("--overlap", default=OVERLAP, show_default=True, metavar="N", help="Entries for which both keys sign.")
@reading
@acting
def rotate(overlap: int, root: str | None, as_json: bool, actor: str | None) -> int:
    """Hand over to a new key, in an entry that both sign. Not for a key that was stolen: see compromised."""
    with opened(root, actor) as enforcer:
        event = rotate_key(enforcer, overlap=overlap)
    if as_json:
        show_json({"old": event.old, "new": event.new, "seq": event.seq, "cap": event.cap})
        return 0
    line(f"entry {event.seq} hands over to {event.new}")
    line(f"the old key still counts for trees of up to {event.cap} entries")
    line("next: tell those who pin the key; they can follow from the old one by themselves")
    return 0


@key.command()
@click.option("--reason", required=True, metavar="TEXT", help="What happened; it goes on the record.")
@click.option("--anchor", "anchors", multiple=True, metavar="SOURCE", help="A checkpoint kept elsewhere, see verify.")
@reading
@acting
def compromised(reason: str, anchors: tuple[str, ...], root: str | None, as_json: bool, actor: str | None) -> int:
    """Give up a stolen key: list what is suspect, and go on under a new ledger that cites this one."""
    finished = _finish(root)
    if finished is not None:
        raise RequestError(
            "change_finished",
            f"A change of ledgers that was interrupted is finished now: this is the ledger {finished}.",
            fix="enforcer status",
        )
    with opened(root, actor) as enforcer:
        project = enforcer.project
        notes = [
            load_anchor(
                source,
                project=project.root,
                state=project.state,
                user=enforcer.user_folder,
                ledger=enforcer.identity.id,
            ).note
            for source in anchors
        ]
        done = compromise(enforcer, reason=reason, anchors=notes)
    if as_json:
        show_json(done.pack(complete=True))
    else:
        _tell(done)
    return 0


def _finish(root: str | None) -> str | None:
    project, user = locate(root=root)
    return resume(project.state, user, disk=SystemDisk(), entropy=SystemEntropy())


def _here(enforcer: Enforcer) -> str:
    try:
        signer = enforcer.signer()
    except EnforcerError as error:
        return f"It cannot be used here: {error.message}"
    return f"This user signs with {signer.key.vkey.split('+')[1]}."


def _tell(done: Condemned) -> None:
    line(f"{done.former} is given up; its first {done.trusted} entries are vouched for by the anchor")
    for one in done.suspects[:SHOWN]:
        line(f"  suspect: entry {one.seq} {one.type} {one.task or ''}")
    if len(done.suspects) > SHOWN:
        line(f"  and {len(done.suspects) - SHOWN} more; --json lists all")
    line(f"kept as it was: {done.archive}")
    line(f"ledger {done.ledger} goes on, {'with a new key' if done.key else 'unsealed: no key could be made'}")
    for task in done.open_tasks:
        line(f"next: judge and reopen: enforcer open {task}")
