"""`enforcer prove`, `verify-proof`, `export`: what others can check without this ledger, and checking it."""

from __future__ import annotations

import os
import sys

import click

from enforcer.attestation.signatures import verify_ed25519
from enforcer.errors import RequestError
from enforcer.exports import FORMATS, RECEIPT, export_site, export_task, prove_entry, write_files
from enforcer.ledger.receipt import MAX_RECEIPT
from enforcer.ledger.vouching import check_file
from enforcer.surfaces.cli.options import opened, read_bytes, reading
from enforcer.surfaces.cli.output import line, show_json
from enforcer.verification import read_keys


@click.command()
@click.argument("seq", type=click.IntRange(min=0))
@click.option("--out", metavar="FILE", help="Write it to a file, by custom *.tlog-proof, and not to stdout.")
@reading
def prove(seq: int, out: str | None, root: str | None, as_json: bool) -> int:
    """The proof that entry SEQ stands in the signed ledger, as C2SP tlog-proof; it carries the entry itself."""
    with opened(root) as enforcer:
        proof = prove_entry(enforcer, seq)
        if out is not None:
            path = os.path.abspath(out)
            write_files(enforcer, os.path.dirname(path), {os.path.basename(path): proof})
    if as_json:
        show_json({"seq": seq, "file": out, "proof": proof.decode()})
    elif out is not None:
        line(f"wrote {out}")
        line(f"next, anywhere: enforcer verify-proof {out} --key VKEY")
    else:
        for text in proof.decode().splitlines():
            line(text)
    return 0


@click.command("verify-proof")
@click.argument("file")
@click.option("--key", "keys", multiple=True, metavar="VKEY|FILE", help="A verifier key that you were given.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def verify_proof(file: str, keys: tuple[str, ...], as_json: bool) -> int:
    """Check a proof or a receipt with nothing but the file and a key. Exit 1: it does not hold; 2: not judged."""
    pinned = [key for text in keys for key in read_keys(text)]
    report = check_file(read_bytes(file, MAX_RECEIPT), pinned, verify_ed25519)
    if as_json:
        show_json(report.pack(complete=True))
        return report.exit_status
    what = f"entry {report.first}" if report.kind == "proof" else f"{report.task}, {report.entries} entries"
    line(f"{report.verdict}: {report.kind} of {what}, in {report.origin or 'no ledger'} of {report.size} entries")
    for part in ("integrity", "legality", "evidence", "key"):
        line(f"  {part:10} {getattr(report, part)}")
    if report.status is not None:
        line(f"  the task is {report.status}{f' in {report.phase}' if report.phase else ''} after its last entry here")
    for finding in report.findings:
        where = "file" if finding.seq is None else f"entry {finding.seq}"
        line(f"  {finding.code} at {where}: {finding.message}")
    return report.exit_status


@click.command()
@click.argument("task", required=False)
@click.option("--format", "form", type=click.Choice(FORMATS), default=RECEIPT, show_default=True, help="What to write.")
@click.option("--embed", is_flag=True, help="Put the bytes of the evidence into the receipt as well.")
@click.option("--tiles", metavar="DIR", help="Instead of a task: the whole ledger as a static tlog-tiles site.")
@click.option("--out", default=".", show_default=True, metavar="DIR", help="The folder to write to; - for stdout.")
@reading
def export(
    task: str | None, form: str, embed: bool, tiles: str | None, out: str, root: str | None, as_json: bool
) -> int:
    """Export TASK: a receipt, in-toto statements, an in-toto layout with links, or CloudEvents lines."""
    if (task is None) == (tiles is None):
        raise RequestError("usage", "Name a task, or --tiles DIR.", fix="See: enforcer export --help")
    with opened(root) as enforcer:
        if tiles is not None:
            sealed = export_site(enforcer, tiles)
            files = [tiles]
            told = f"wrote {sealed.size} entries as a static log to {tiles}"
        else:
            made = export_task(enforcer, task or "", form, embed=embed)
            if out == "-":
                return _print(made)
            files = write_files(enforcer, out, made)
            told = "\n".join(f"wrote {path}" for path in files)
    if as_json:
        show_json({"task": task, "format": "tiles" if tiles is not None else form, "files": files})
        return 0
    for text in told.splitlines():
        line(text)
    return 0


def _print(files: dict[str, bytes]) -> int:
    """One file to stdout, as bytes."""
    if len(files) != 1:
        raise RequestError("usage", "This format is several files.", fix="Name a folder: --out DIR")
    sys.stdout.buffer.write(*files.values())
    return 0
