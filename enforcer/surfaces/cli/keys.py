"""`enforcer key`: which key signs for the ledger, and changing it."""

from __future__ import annotations

import click

from enforcer.enforcer import locate
from enforcer.errors import EnforcerError, RequestError
from enforcer.keyring import OVERLAP, check_keyed, key_here, read_keyring
from enforcer.keyring import rotate as rotate_key
from enforcer.ledger.note import format_vkey
from enforcer.ports import SystemClock, SystemDisk, SystemEntropy
from enforcer.publication import anchors_in_sight, load_anchors
from enforcer.succession import compromise, resume
from enforcer.surfaces.cli.options import acting, opened, reading
from enforcer.surfaces.cli.output import counted, line, show_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.enforcer import Enforcer
    from enforcer.succession import Condemned

SHOWN = 20  # Suspect entries and next steps that are listed for people; --json has all of them.


@click.group()
def key() -> None:
    """Show and change the key that signs for the ledger."""


@key.command()
@click.option("--current", is_flag=True, help="Nothing but the key in force, on one line: the one to pin.")
@reading
def show(current: bool, root: str | None, as_json: bool) -> int:
    """The verifier keys of the ledger. The last one is in force, and the one to pin."""
    with opened(root) as enforcer:
        enforcer.ledger.catch_up()
        keyring = read_keyring(enforcer.ledger)
        here, trouble = _here(enforcer)
    rows = [
        {"vkey": format_vkey(term.key.name, term.key.public), "above": max(0, term.after), "cap": term.cap}
        for term in (keyring.terms[-1:] if current else keyring.terms)
    ]
    if current and not rows:
        message = "This ledger has no key that its heads could be held to."
        raise RequestError("ledger_keyless", message, fix="There is none to pin: it stays unsealed.")
    if as_json:
        told = {"code": trouble.code, "message": trouble.message, "fix": trouble.fix} if trouble else None
        findings = [one.pack(complete=True) for one in keyring.findings]
        show_json({"keys": rows, "here": here, "trouble": told, "findings": findings})
        return 0
    if current:
        line(rows[0]["vkey"])
        return 0
    for row in rows:
        # Alone on its line, so that whoever copies the line has the key and nothing else.
        line(row["vkey"])
        upto = f" and at most {row['cap']}: retired, do not pin it" if row["cap"] is not None else ": pin this one"
        line(f"    signs trees of more than {row['above']} entries{upto}")
    for one in keyring.findings:
        line(f"{one.code} at entry {one.seq}: {one.message}")
    if not rows:
        line("This ledger has no key: it stays unsealed.")
    elif trouble is not None:
        line(f"It cannot be used here: {trouble.code}: {trouble.message}")
    else:
        line(f"This user signs with {(here or '').split('+')[1]}.")
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
    line("next: tell those who pin the key to pin the new one: enforcer key show --current")
    line("      They can follow from the old one by themselves, and are not safe from whoever steals that one.")
    return 0


@key.command()
@click.option("--reason", required=True, metavar="TEXT", help="What happened; it goes on the record.")
@click.option("--anchor", "anchors", multiple=True, metavar="SOURCE", help="A checkpoint kept elsewhere, see verify.")
@click.option("--no-anchor", is_flag=True, help="There is none: nothing of this ledger is trusted then.")
@reading
@acting
def compromised(
    reason: str, anchors: tuple[str, ...], no_anchor: bool, root: str | None, as_json: bool, actor: str | None
) -> int:
    """Give up a stolen key: list what is suspect, and go on under a new ledger that cites this one.

    Where a change was interrupted it is finished, with the reason and the anchors that it was begun with.
    """
    if anchors and no_anchor:
        raise click.UsageError("Give --anchor, or --no-anchor where there is none.")
    done = _finish(root)
    if done is None:
        with opened(root, actor) as enforcer:
            check_keyed(enforcer.identity)
            if not anchors and not no_anchor:
                raise _anchor_needed(enforcer)
            notes = [note for source in anchors for note in _anchors(source, enforcer)]
            done = compromise(enforcer, reason=reason, anchors=notes)
    if as_json:
        show_json(done.pack(complete=True))
    else:
        _tell(done)
    return 0


def _finish(root: str | None) -> Condemned | None:
    project, user = locate(root=root)
    return resume(project.state, user, disk=SystemDisk(), clock=SystemClock(), entropy=SystemEntropy())


def _anchor_needed(enforcer: Enforcer) -> RequestError:
    """What an anchor would have saved cannot be had back later, so to go without one has to be said."""
    hints = anchors_in_sight(enforcer)
    message = "Only what was anchored out of the thief's reach is still trusted, and no anchor was given."
    seen = f" This ledger tells of some: {'; '.join(hints)}." if hints else ""
    fix = "Name each copy that was kept elsewhere: --anchor SOURCE. If there is none: --no-anchor"
    return RequestError("anchor_needed", message + seen, fix=f"{fix} (nothing of this ledger is trusted then).")


def _anchors(source: str, enforcer: Enforcer) -> list[bytes]:
    project = enforcer.project
    found = load_anchors(
        source, project=project.root, state=project.state, user=enforcer.user_folder, ledger=enforcer.identity.id
    )
    if any(anchor.local for anchor in found):
        message = "This anchor does not hold: whoever writes the ledger can write it as well."
        fix = "Name a copy that was kept elsewhere, or none: then nothing of the old ledger is trusted."
        raise RequestError("anchor_not_held", message, where=source, fix=fix)
    return [anchor.note for anchor in found]


def _here(enforcer: Enforcer) -> tuple[str | None, EnforcerError | None]:
    """The vkey that this user signs with, or why there is none."""
    try:
        return key_here(enforcer), None
    except EnforcerError as error:
        return None, error


def _tell(done: Condemned) -> None:
    if done.resumed:
        line("a change that was interrupted is finished, with the reason and the anchors that it was begun with")
    vouched = (
        f"an anchor vouches for its first {counted(done.trusted, 'entry')}"
        if done.trusted
        else "nothing vouches for it"
    )
    line(f"{done.former} is given up; {vouched}")
    for one in done.suspects[:SHOWN]:
        line(f"  suspect: entry {one.seq} {one.type} {one.task or ''}")
    if len(done.suspects) > SHOWN:
        line(f"  and {len(done.suspects) - SHOWN} more; --json lists all")
    if done.damage is not None:
        line(f"  from there on it cannot be read: {done.damage}")
    line(f"kept as it was: {done.archive}")
    line(f"ledger {done.ledger} goes on, with the key {done.key}")
    _tell_next(done)


def _tell_next(done: Condemned) -> None:
    """At most `SHOWN` steps, the last of which are for those who relied on the key."""
    last = (
        "tell those who pin the old key, by the way they got it, to pin the new one: enforcer key show --current",
        "publish the new ledger: enforcer publish, and push its ref",
        "keep its head out of a thief's reach: enforcer anchor",
    )
    room = SHOWN - len(last)
    for task in done.open_tasks[:room]:
        line(f"next: judge and reopen: enforcer open {task}")
    if len(done.open_tasks) > room:
        line(f"      and {counted(len(done.open_tasks) - room, 'task')} more; --json lists all")
    for step in last:
        line(f"next: {step}")
