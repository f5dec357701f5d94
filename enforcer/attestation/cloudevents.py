"""The ledger's entries as CloudEvents 1.0 in JSON, one a line: for brokers and lakes that read those and no ledger.

An entry's `event` is a CloudEvents object already. Added are `time`, and as extension attributes its place in the
chains, so that nothing is lost: a line of the ledger can be written again from its event, byte for byte.

    sequence        the entry's number as 20 decimal digits (CloudEvents "sequence" extension: sorts as text)
    leafhash        hex leaf hash of the line
    prevhash        hex leaf hash of the line before, or the genesis hash
    tasksequence    its number within the task, as 20 digits; absent where there is no task
    taskprevhash    hex leaf hash of the task's line before; absent at its first
    lineversion     the `v` of the line

Numbers are text because a CloudEvents Integer has 32 bits and `sequence` is text by its own specification.

Whoever forwards CloudEvents must take 64 KiB, and need not take more. An entry that would be larger goes without its
`data`, and `dataref` ("claim check" extension) says where it stands: `<origin>#<number>`.
"""

from __future__ import annotations

from enforcer.attestation.moments import format_moment
from enforcer.ledger.codec import canonical
from enforcer.ledger.entry import leaf_hash, parse_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MAX_EVENT = 1 << 16


def export_cloudevents(leaves: Iterable[bytes]) -> bytes:
    """One line for each leaf, in the order given. Raises `BadLine` for a leaf that is no line of a ledger."""
    return b"".join(canonical(event_of(leaf)) + b"\n" for leaf in leaves)


def event_of(leaf: bytes) -> dict[str, Any]:
    """The CloudEvents object of one leaf, at most 64 KiB in JSON. Also of a type that this release does not know."""
    line = parse_frame(leaf)
    event: dict[str, Any] = {
        **line["event"],
        "time": format_moment(line["ts"]),
        "sequence": f"{line['seq']:020}",
        "leafhash": leaf_hash(leaf),
        "prevhash": line["prev"],
        "lineversion": line["v"],
    }
    if line["task_seq"] is not None:
        event["tasksequence"] = f"{line['task_seq']:020}"
    if line["task_prev"] is not None:
        event["taskprevhash"] = line["task_prev"]
    if len(canonical(event)) > MAX_EVENT:
        del event["data"]
        event["dataref"] = f"{event['source']}#{line['seq']}"
    return event
