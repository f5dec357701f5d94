"""`enforcer checkpoint`, `anchor`, `publish`: what lets others check the ledger later."""

from __future__ import annotations

import click

from enforcer.publication import anchor_to_file, anchor_to_git
from enforcer.publication import publish as publish_ledger
from enforcer.surfaces.cli.options import opened, reading
from enforcer.surfaces.cli.output import line, show_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.ledger.seal import Sealed


@click.command()
@reading
def checkpoint(root: str | None, as_json: bool) -> int:
    """Sign the ledger's head as it is now, and print the note."""
    with opened(root) as enforcer:
        sealed = enforcer.sealer.seal()
    if as_json:
        show_json(_told(sealed))
        return 0
    for text in sealed.note.decode().splitlines():
        line(text)
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
    line(f"anchored {sealed.size} entries in {path}")
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
    line(f"anchored {sealed.size} entries in {ref}")
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
    line(f"sealed to {done.size} entries" if done.size is not None else "unsealed: there is no checkpoint in it")
    line(f"next: git push origin {done.ref}")
    return 0


def _told(sealed: Sealed) -> dict[str, object]:
    return {"size": sealed.size, "root": sealed.root.hex(), "checkpoint": sealed.note.decode()}
