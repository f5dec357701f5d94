"""`enforcer checkpoint`, `anchor`, `publish`: what lets others check the ledger later."""

from __future__ import annotations

import click

from enforcer.ledger.note import COSIGNATURE, MAX_NOTE
from enforcer.pinned import read_keys
from enforcer.publication import anchor_to_file, anchor_to_git
from enforcer.publication import publish as publish_ledger
from enforcer.surfaces.cli.options import opened, read_bytes, reading
from enforcer.surfaces.cli.output import counted, line, show_json
from enforcer.surfaces.cli.witnessing import moment
from enforcer.witnesses import take_cosignatures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.ledger.seal import Sealed


@click.command()
@click.option("--cosigned", metavar="FILE", help="Instead: take over the cosignatures of a note that a witness wrote.")
@click.option("--key", "keys", multiple=True, metavar="VKEY|FILE", help="The key of a witness, to check them with.")
@reading
def checkpoint(cosigned: str | None, keys: tuple[str, ...], root: str | None, as_json: bool) -> int:
    """Sign the ledger's head as it is now, and print the note."""
    witnesses = [key for text in keys for key in read_keys(text, (COSIGNATURE,))]
    given = read_bytes(cosigned, MAX_NOTE) if cosigned is not None else None
    with opened(root) as enforcer:
        sealed, told = (enforcer.sealer.seal(), ()) if given is None else take_cosignatures(enforcer, given, witnesses)
    if as_json:
        show_json({**_told(sealed), "cosignatures": [one.pack(complete=True) for one in told]})
        return 0
    for text in sealed.note.decode().splitlines():
        line(text)
    for one in told:
        doubt = "" if one.verified else ", unverified: its key is not known"
        line(f"cosigned by {one.name} at {moment(one.time)}{doubt}")
    return 0


@click.group()
def anchor() -> None:
    """Keep the ledger's head where its writer cannot reach. An anchor is worth what its place is worth."""


@anchor.command("file")
@click.argument("path")
@reading
def anchor_file(path: str, root: str | None, as_json: bool) -> int:
    """Copy the newest checkpoint to PATH. An earlier one there has to be of this history."""
    with opened(root) as enforcer:
        sealed = anchor_to_file(enforcer, path)
    if as_json:
        show_json({**_told(sealed), "where": path})
        return 0
    line(f"anchored {counted(sealed.size, 'entry')} in {path}")
    line(f"next, from where the file cannot be changed: enforcer verify --require-anchor --anchor {path}")
    return 0


@anchor.command("git")
@reading
def anchor_git(root: str | None, as_json: bool) -> int:
    """Commit the newest checkpoint to refs/enforcer/anchors/<ledger>. It counts once it was pushed elsewhere."""
    with opened(root) as enforcer:
        sealed, ref = anchor_to_git(enforcer)
    if as_json:
        show_json({**_told(sealed), "where": ref})
        return 0
    line(f"anchored {counted(sealed.size, 'entry')} in {ref}")
    line(f"next: git push origin {ref}")
    return 0


@click.command()
@reading
def publish(root: str | None, as_json: bool) -> int:
    """Commit ledger and evidence objects to refs/enforcer/<ledger>, fast-forward only. Pushing is yours."""
    with opened(root) as enforcer:
        done = publish_ledger(enforcer)
    if as_json:
        show_json(done.pack(complete=True))
        return 0
    line(f"{'published' if done.moved else 'nothing new since'} {done.commit[:12]} in {done.ref}")
    line(
        f"sealed to {counted(done.size, 'entry')}"
        if done.size is not None
        else "unsealed: there is no checkpoint in it"
    )
    line(f"next: git push origin {done.ref}")
    return 0


def _told(sealed: Sealed) -> dict[str, object]:
    return {"size": sealed.size, "root": sealed.root.hex(), "checkpoint": sealed.note.decode()}
