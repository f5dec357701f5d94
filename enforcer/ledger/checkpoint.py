"""What a checkpoint says: the text of a signed note in the form of C2SP tlog-checkpoint (c2sp.org/tlog-checkpoint).

    enforcer/2b…                                      the origin: which log this is
    20852163                                          its size, a decimal number of leaves
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=      the root of its tree (RFC 6962) at that size, in base64

Lines after these are extensions, opaque and not empty; a ledger writes none. There is one way to write a checkpoint
down, since what is signed is its bytes.
"""

from __future__ import annotations

from enforcer.ledger.merkle import HASH_SIZE
from enforcer.ledger.note import NoteFault, decode_base64, encode_base64, read_text
from enforcer.workflow.record import Record

# Sizes are signed 64-bit numbers wherever checkpoints are read.
MAX_SIZE = 2**63 - 1


class Checkpoint(Record):
    """The head of a tree: of the log `origin`, `size` leaves whose root hash has 32 bytes."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


def format_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The text to be signed. Raises `NoteFault` for what would not be read back as the same checkpoint."""
    lines = (checkpoint.origin, str(checkpoint.size), encode_base64(checkpoint.root), *checkpoint.extensions)
    try:
        text = "".join(f"{line}\n" for line in lines).encode()
    except UnicodeEncodeError as error:
        raise NoteFault("the checkpoint has a lone surrogate") from error
    if parse_checkpoint(text) != checkpoint:
        raise NoteFault("the checkpoint would be read back as another one")
    return text


def parse_checkpoint(text: bytes) -> Checkpoint:
    """The only reading of the text of a note as a checkpoint. Raises `NoteFault`."""
    *lines, rest = read_text(text, "the checkpoint").split("\n")
    if rest or len(lines) < 3:
        raise NoteFault("a checkpoint has at least three lines, each with its newline")
    if not all(lines):
        raise NoteFault("a line of the checkpoint is empty")
    origin, size, root, *extensions = lines
    return Checkpoint(
        origin=origin,
        size=parse_decimal(size, "the size of the tree"),
        root=parse_hash(root, "the root"),
        extensions=tuple(extensions),
    )


def parse_decimal(text: str, what: str) -> int:
    """A number below 2^63 in ASCII digits without leading zeros. Raises `NoteFault`."""
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0"):
        raise NoteFault(f"{what} is not a plain decimal number")
    # The number of digits comes first, so that no long text is ever converted.
    if len(text) > 19 or int(text) > MAX_SIZE:
        raise NoteFault(f"{what} is larger than {MAX_SIZE}")
    return int(text)


def parse_hash(text: str, what: str) -> bytes:
    """32 bytes in canonical base64. Raises `NoteFault`."""
    data = decode_base64(text, what)
    if len(data) != HASH_SIZE:
        raise NoteFault(f"{what} has {len(data)} bytes and not {HASH_SIZE}")
    return data
