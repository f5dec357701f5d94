"""What a decision may know besides the task's state: time, actor, randomness and observations, all as values.

The gate gathers them. Nothing in `workflow/` looks at the world itself, so every decision can be made again from the
same facts, in a test, in a simulation, or by a verifier.
"""

from __future__ import annotations

from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from enforcer.workflow.events import Notes, Refusal


class LeaseFacts(Record):
    """The expiry of the lease that the ledger names, and the token this command began with.

    `live`: the ledger's lease has not expired. `remaining_us`: how long it still has. `began_with`: the token the
    actor held when the command began, or was handed by a lease block; None when it held none. `auto`: a free or
    expired lease may be claimed by the command itself.
    """

    live: bool = False
    remaining_us: int = 0
    began_with: int | None = None
    auto: bool = True


class FileFact(Record):
    """One artifact that was read: the digest and size of the very bytes that were judged."""

    artifact: str
    digest: str
    size: int
    origin: str


class Verdict(Record):
    """What one rule said of one artifact: `refusals` is empty when it passed."""

    rule: str
    artifact: str
    mode: str
    refusals: tuple[Refusal, ...] = ()


class EvidenceFacts(Record, kw_only=True):
    """What stood in a phase's folder, as judged by the process in force.

    `attempt_id` is the attempt it was judged for, `process` the digest of the process it was judged by. `problems` are
    files that are missing or cannot be read safely. `standing` maps the `phase/artifact` names of accepted files that
    the phase stands on to their digests as they are now, "" where a file is gone. `labels` name what the answer rests
    on only by declaration. `risks` are the risk classes that the change touches, and `working` is the tree of the
    working files; both only where the phase asks for them.
    """

    attempt_id: str
    process: str
    files: tuple[FileFact, ...] = ()
    problems: tuple[Refusal, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    standing: Mapping[str, str] = {}
    tree: str = ""
    commit: str = ""
    labels: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    working: str = ""


class Facts(Record, kw_only=True):
    """Everything a decision may know besides the state.

    `now` is UTC microseconds; `fresh_id` 32 random hex digits, for a new attempt; `evidence` is None until a
    decision asks for it.
    """

    actor: str
    now: int
    request: str
    fresh_id: str
    lease: LeaseFacts = LeaseFacts()
    evidence: EvidenceFacts | None = None
    notes: Notes | None = None
