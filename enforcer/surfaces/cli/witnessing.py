"""`enforcer witness`: cosign the heads of logs that somebody else keeps. It needs a user's folder and no project."""

from __future__ import annotations

import os

import click

from enforcer.attestation.moments import format_moment
from enforcer.errors import UnavailableError
from enforcer.pinned import read_keys
from enforcer.ports import SystemDisk, SystemEntropy, write_durably
from enforcer.surfaces.cli.output import line, show_json
from enforcer.witnesses import cosign_log, create_witness, open_witness

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enforcer.attestation.witness import Witness, Witnessed

as_json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group()
def witness() -> None:
    """Cosign the heads of logs that others keep, and never two of one log that contradict each other."""


@witness.command()
@click.option("--name", default="", metavar="N", help="Its name, by custom host/what. [default: a random one]")
@as_json_option
def init(name: str, as_json: bool) -> int:
    """Make the key of this user's witness, and print its verifier key."""
    made = create_witness(name, os.environ)
    return _show(made, as_json=as_json)


@witness.command()
@as_json_option
def show(as_json: bool) -> int:
    """This user's witness: its verifier key, and the last head that it cosigned of each log."""
    return _show(open_witness(os.environ), as_json=as_json)


@witness.command()
@click.argument("source")
@click.option("--key", "keys", multiple=True, metavar="VKEY|FILE", help="The log's key; needed when it is new here.")
@click.option("--out", metavar="FILE", help="Write the note to a file, and not to stdout.")
@as_json_option
def cosign(source: str, keys: tuple[str, ...], out: str | None, as_json: bool) -> int:
    """Cosign the newest head of the log at SOURCE, if it extends the one that was cosigned before.

    SOURCE is state/ledger, a site of `enforcer export --tiles`, git:refs/…, or git:<remote, URL or path>.
    """
    given = [key for text in keys for key in read_keys(text)]
    made = open_witness(os.environ)
    done = cosign_log(made, source, given)
    if out is not None:
        _write(out, done.note)
    if as_json:
        show_json({**_told(done), "vkey": made.vkey, "file": out, "checkpoint": done.note.decode()})
    elif out is not None:
        line(f"cosigned {done.size} entries of {done.origin}: wrote {out}")
        line(f"next, where the log is: enforcer checkpoint --cosigned {out}")
    else:
        for text in done.note.decode().splitlines():
            line(text)
    return 0


def moment(seconds: int) -> str:
    """A time as RFC 3339 writes it, or as a number where that cannot write it."""
    try:
        return format_moment(seconds * 1_000_000, fraction=False)
    except ValueError:
        return f"second {seconds}"


def _show(made: Witness, *, as_json: bool) -> int:
    logs = made.logs()
    if as_json:
        show_json({"vkey": made.vkey, "name": made.name, "logs": [_told(log) for log in logs]})
        return 0
    line(made.vkey)
    for log in logs:
        line(f"  {log.origin}: {log.size} entries at {moment(log.time)}, root {log.root.hex()}")
        line(f"    known by {log.key}")
    return 0


def _told(log: Witnessed) -> dict[str, Any]:
    return {"origin": log.origin, "size": log.size, "root": log.root.hex(), "time": log.time, "key": log.key}


def _write(path: str, data: bytes) -> None:
    try:
        write_durably(SystemDisk(), os.path.abspath(path), data, entropy=SystemEntropy())
    except OSError as error:
        message, fix = f"The note cannot be written: {error.strerror}.", "Name a file that can be written."
        raise UnavailableError("note_unwritable", message, where=path, fix=fix) from error
