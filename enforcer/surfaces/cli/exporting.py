"""`enforcer prove`, `verify-proof`, `export`: what others can check without this ledger, and checking it."""

from __future__ import annotations

import os

import click

from enforcer.attestation.signatures import verify_ed25519
from enforcer.exports import FORMATS, LAYOUT, RECEIPT, export_site, export_task, prove_entry, write_files
from enforcer.ledger.receipt import MAX_RECEIPT
from enforcer.ledger.report import VERIFIED
from enforcer.ledger.vouching import PROOF, check_file
from enforcer.pinned import read_keys
from enforcer.surfaces.cli.options import opened, read_bytes, reading
from enforcer.surfaces.cli.output import counted, line, show_bytes, show_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.ledger.vouching import ReceiptReport


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
        show_bytes(proof)
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
    line(f"{report.verdict}: {_what(report)}")
    for part in ("integrity", "legality", "evidence", "key"):
        line(f"  {part:10} {getattr(report, part)}{_how(report) if part == 'evidence' else ''}")
    if report.status is not None:
        line(f"  the task is {report.status}{f' in {report.phase}' if report.phase else ''} after its last entry here")
    for finding in report.findings:
        where = "file" if finding.seq is None else f"entry {finding.seq}"
        line(f"  {finding.code} at {where}: {finding.message}")
    return report.exit_status


def _what(report: ReceiptReport) -> str:
    """What the file shows, as far as it can be told."""
    what = f"entry {report.first}" if report.kind == PROOF else f"{report.task}, {counted(report.entries, 'entry')}"
    shown = f"{report.kind} of {what}" if report.entries else report.kind
    return f"{shown}, in {report.origin} of {counted(report.size or 0, 'entry')}" if report.origin else shown


def _how(report: ReceiptReport) -> str:
    """What "verified" says of evidence: digests always, and bytes where the file has them."""
    if report.evidence != VERIFIED:
        return ""
    return f" (digests; bytes of {report.embedded} of {report.artifacts} in the file)"


@click.command()
@click.argument("task", required=False)
@click.option("--format", "form", type=click.Choice(FORMATS), help="What to write.  [default: receipt]")
@click.option("--embed", is_flag=True, help="Put the bytes of the evidence into the receipt as well.")
@click.option("--tiles", metavar="DIR", help="Instead of a task: the whole ledger as a static tlog-tiles site.")
@click.option("--out", metavar="DIR", help="The folder to write to; - for stdout.  [default: .]")
@reading
def export(
    task: str | None,
    form: str | None,
    embed: bool,
    tiles: str | None,
    out: str | None,
    root: str | None,
    as_json: bool,
) -> int:
    """Export TASK: a receipt, in-toto statements, an in-toto layout with links, CloudEvents lines, or a page."""
    if (task is None) == (tiles is None):
        raise click.UsageError("Name a task, or --tiles DIR.")
    if tiles is not None and (form is not None or embed or out is not None):
        raise click.UsageError("--format, --embed and --out are about a task, and --tiles is the whole ledger.")
    if embed and form not in (None, RECEIPT):
        raise click.UsageError(f"--embed is for receipts, and not for {form}.")
    if out == "-" and (as_json or form == LAYOUT):
        other = "--json asks for another answer" if as_json else "a layout is several files"
        raise click.UsageError(f"--out - prints one file, and {other}.")
    with opened(root) as enforcer:
        if tiles is not None:
            sealed = export_site(enforcer, tiles)
            form, files = "tiles", [tiles]
            told = [f"wrote {counted(sealed.size, 'entry')} as a static log to {tiles}"]
        else:
            form = form or RECEIPT
            made = export_task(enforcer, task or "", form, embed=embed)
            if out == "-":
                show_bytes(b"".join(made.values()))
                return 0
            files = write_files(enforcer, "." if out is None else out, made)
            told = [f"wrote {path}" for path in files]
    if as_json:
        show_json({"task": task, "format": form, "files": files})
        return 0
    for text in told:
        line(text)
    return 0
