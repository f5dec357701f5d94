"""A proof that stands alone: an entry, its place in the tree and the checkpoint, in one file (c2sp.org/tlog-proof).

    c2sp.org/tlog-proof@v1
    extra eyJldmVudCI6…                               base64 of bytes of one's own; left out where there are none
    index 73894                                       the number of the leaf, from 0
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=      the inclusion proof (RFC 6962), the nearest sibling first
    …

    enforcer/2b…                                      the checkpoint, as it was signed
    109482
    …

Extra data is vouched for by nobody. A ledger writes the leaf into it, and whoever checks the proof hashes it: what the
proof then leads to a signed root is exactly those bytes.
"""

from __future__ import annotations

from enforcer.ledger.checkpoint import MAX_SIZE, parse_checkpoint, parse_decimal, parse_hash
from enforcer.ledger.note import MAX_NOTE, NoteFault, decode_base64, encode_base64, parse_note, read_text
from enforcer.workflow.record import Record

_HEADER = "c2sp.org/tlog-proof@v1"
# A note, and before it a leaf of 65,535 bytes in base64 and at most 63 hashes, with room to spare.
MAX_PROOF = MAX_NOTE + 100_000


class InclusionProof(Record):
    """The leaf `index`, the hashes that lead from it to the root, and the checkpoint, a signed note, with that root."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""


def format_proof(proof: InclusionProof) -> bytes:
    """The file. Raises `NoteFault` for what would not be read back as the same proof."""
    lines = [_HEADER]
    if proof.extra:
        lines.append(f"extra {encode_base64(proof.extra)}")
    lines.append(f"index {proof.index}")
    lines += map(encode_base64, proof.hashes)
    data = "".join(f"{line}\n" for line in lines).encode() + b"\n" + proof.checkpoint
    if parse_proof(data) != proof:
        raise NoteFault("the proof would be read back as another one")
    return data


def parse_proof(data: bytes) -> InclusionProof:
    """The only reading of a proof. Its form alone is checked, and that of the checkpoint. Raises `NoteFault`."""
    if len(data) > MAX_PROOF:
        raise NoteFault(f"the proof is longer than {MAX_PROOF} bytes")
    head, separator, checkpoint = data.partition(b"\n\n")
    if not separator:
        raise NoteFault("the proof has no empty line before its checkpoint")
    header, *lines = read_text(head, "the proof").split("\n")
    if header != _HEADER:
        raise NoteFault(f"the proof does not begin with {_HEADER}")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "), "the extra data")
        if not extra:
            raise NoteFault("the extra data is empty")
    if not lines or not lines[0].startswith("index "):
        raise NoteFault("the proof does not say which leaf it is of")
    index = parse_decimal(lines.pop(0).removeprefix("index "), "the index")
    if len(lines) > MAX_SIZE.bit_length():
        raise NoteFault(f"the proof has {len(lines)} hashes, more than any tree is high")
    parse_checkpoint(parse_note(checkpoint).text)
    return InclusionProof(
        index=index, hashes=tuple(parse_hash(line, "a hash") for line in lines), checkpoint=checkpoint, extra=extra
    )
