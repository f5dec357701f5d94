"""What has happened. Past tense, complete in itself, never changed.

The `type` strings and the field names are a wire format: they stand on ledgers that outlive every release. Fields that
hold their default are not written, so a default may never change either. A new kind of fact is a new field with a
default, or a new type.
"""

from __future__ import annotations

from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar

    Nested = Mapping[str, type[Record]]

PREFIX = "dev.enforcer."

REFUSAL_LIMIT = 50  # More reasons than this go into an object, so that a line keeps its bound.

AUTHORING = ("IMPLEMENT",)  # The phases whose holders are authors, where an event names none.


class Refusal(Record):
    """One reason for a "no". `code` is stable; `fix` says what to do next."""

    code: str
    message: str
    phase: str = ""
    artifact: str = ""
    fix: str = ""


class Claim(Record):
    """A lease taken by the entry that carries it. `how` is `claimed` or `taken_over`."""

    holder: str
    token: int
    how: str = "claimed"
    previous: str = ""


class Accepted(Record):
    """One artifact as it was accepted. `reaffirmed`: these bytes were accepted last as well, in an earlier attempt."""

    artifact: str
    digest: str
    size: int
    origin: str = "claimed"
    reaffirmed: bool = False


class Sealed(Record):
    """Lines of one file beside the ledger: the byte offsets `start` and `end`, how many stand there, and their SHA-256.

    `session` is the file's name: of a guard session, or of a task's refusals.
    """

    session: str
    count: int
    start: int
    end: int
    digest: str


class Notes(Record, kw_only=True):
    """What else became known when the entry was written, none of it asked for by the command.

    `refusals` seals the refusals that `coalesced` counts; whatever else stands among them is sealed and not counted.
    `margin_lost` names files beside the ledger (`guard/…`, `refusals/…`) that are shorter than what was sealed of
    them: they are sealed anew from their beginning.
    """

    coalesced: int = 0
    guard: tuple[Sealed, ...] = ()
    stalled_minutes: int = 0
    clock_back_us: int = 0
    cache_rejected: str = ""
    refusals: Sealed | None = None
    margin_lost: tuple[str, ...] = ()

    nested: ClassVar[Nested] = {"guard": Sealed, "refusals": Sealed}


class Event(Record, kw_only=True):
    """Base of all events. `request` is the digest of the command's canonical form."""

    type: ClassVar[str]
    nested: ClassVar[Nested] = {"notes": Notes}
    actor: str
    request: str = ""
    notes: Notes | None = None

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """The reasons, if this event is a "no"."""
        return ()


class Predecessor(Record, kw_only=True):
    """The ledger that another one continues, as far as it was still trusted: `size` entries under `root` (hex).

    `key` is the vkey that can no longer be trusted, `checkpoint` the note that vouches for size and root.
    """

    origin: str
    size: int
    root: str
    key: str
    reason: str
    checkpoint: str = ""


class LedgerCreated(Event, kw_only=True):
    type: ClassVar[str] = "ledger.created"
    nested: ClassVar[Nested] = {**Event.nested, "predecessor": Predecessor}
    version: str
    predecessor: Predecessor | None = None


class LedgerRecovered(Event, kw_only=True):
    """The ledger's tail was repaired, and nothing that was acknowledged was touched.

    `kind` is `torn` (bytes after the last complete line were cut off) or `unsynced` (a sync had failed, and every line
    from `offset` on was written anew). `size` counts the bytes cut off, which lie under `quarantine`, or rewritten;
    `digest` is their SHA-256.
    """

    type: ClassVar[str] = "ledger.recovered"
    kind: str
    segment: str
    offset: int
    size: int
    digest: str
    quarantine: str = ""


class KeyRotated(Event, kw_only=True):
    """From the next entry on `new` signs checkpoints; `old` still counts for trees of up to `cap` entries.

    `seq` is this entry's own number. Both keys signed the same statement, see `docs/format.md`; base64.
    """

    type: ClassVar[str] = "key.rotated"
    old: str
    new: str
    seq: int
    cap: int
    old_signature: str
    new_signature: str


class TaskOpened(Event, kw_only=True):
    """`authoring` names the phases of the process whose holders are authors."""

    type: ClassVar[str] = "task.opened"
    title: str
    process: str
    digest: str
    phase: str
    attempt_id: str
    base: str = ""
    authoring: tuple[str, ...] = AUTHORING


class WorkEvent(Event, kw_only=True):
    """An event that needed the lease: `token` is the one it was written under, `lease` the claim, if it made one."""

    nested: ClassVar[Nested] = {**Event.nested, "lease": Claim}
    token: int = 0
    lease: Claim | None = None


class PhaseAdvanced(WorkEvent, kw_only=True):
    """`start` → `to`; leaving the last phase has `completed` and no `to`. `warnings` would refuse under `enforce`.

    `approved` are the nonces of the approvals that it rests on, and `risks` the risk classes that the change touches,
    as far as they were asked for.
    """

    type: ClassVar[str] = "phase.advanced"
    nested: ClassVar[Nested] = {**WorkEvent.nested, "evidence": Accepted, "warnings": Refusal}
    start: str
    to: str = ""
    attempt_id: str = ""
    completed: bool = False
    evidence: tuple[Accepted, ...] = ()
    warnings: tuple[Refusal, ...] = ()
    tree: str = ""
    commit: str = ""
    labels: tuple[str, ...] = ()
    approved: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()


class PhaseBacktracked(WorkEvent, kw_only=True):
    """`start` → `to`, an earlier phase; what was accepted in `to` and later no longer counts."""

    type: ClassVar[str] = "phase.backtracked"
    start: str
    to: str
    reason: str
    attempt_id: str


class TaskAbandoned(WorkEvent, kw_only=True):
    type: ClassVar[str] = "task.abandoned"
    phase: str
    reason: str


class CommandRefused(WorkEvent, kw_only=True):
    """A recorded "no": every reason of the first stage that failed.

    `reasons` names the object that holds the rest where there are more than fifty. `escalation` names the codes that
    the holder met for the third time in a row. `attested` keeps what a refused attestation presented, and
    `observation` names the object that tells of a run that was refused.
    """

    type: ClassVar[str] = "command.refused"
    nested: ClassVar[Nested] = {**WorkEvent.nested, "refusals": Refusal}
    command: str
    stage: str
    phase: str
    refusals: tuple[Refusal, ...]
    to: str = ""
    attested: Mapping[str, str] = {}
    escalation: tuple[str, ...] = ()
    reasons: str = ""
    observation: str = ""

    @property
    def refused(self) -> tuple[Refusal, ...]:
        return self.refusals


class ToolRefused(Event, kw_only=True):
    """A tool call that the guard denied. `forbidden`: some of it is for no guarded tool, in whatever phase.

    `text` is the SHA-256 of a shell command's text, which tells two of them apart without repeating what they say.
    """

    type: ClassVar[str] = "tool.refused"
    nested: ClassVar[Nested] = {**Event.nested, "refusals": Refusal}
    phase: str
    tool: str
    refusals: tuple[Refusal, ...]
    capabilities: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    call: str = ""
    session: str = ""
    escalation: tuple[str, ...] = ()
    text: str = ""
    forbidden: bool = False

    @property
    def refused(self) -> tuple[Refusal, ...]:
        return self.refusals


class LeaseClaimed(Event, kw_only=True):
    type: ClassVar[str] = "lease.claimed"
    holder: str
    token: int


class LeaseTakenOver(Event, kw_only=True):
    """An expired lease of `previous` passed to `holder`."""

    type: ClassVar[str] = "lease.taken_over"
    holder: str
    token: int
    previous: str


class LeaseReleased(Event, kw_only=True):
    type: ClassVar[str] = "lease.released"
    holder: str
    token: int
    forced: bool = False
    reason: str = ""


class PromptAttested(WorkEvent, kw_only=True):
    """`parts` were presented; `first` of them became baselines, `drift` of them differ from theirs."""

    type: ClassVar[str] = "prompt.attested"
    phase: str
    attempt_id: str
    parts: Mapping[str, str]
    first: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()


class BaselineAccepted(Event, kw_only=True):
    """`parts` became baselines; `dropped` had one and were not among what was presented, so they have none any more."""

    type: ClassVar[str] = "baseline.accepted"
    phase: str
    principal: str
    parts: Mapping[str, str]
    reason: str
    approver: str
    dropped: tuple[str, ...] = ()


class ProcessAdopted(Event, kw_only=True):
    """The task moved from the process `previous` to `digest`; `authoring` as at the opening.

    `approved` are the nonces of the approvals that it rests on, where the process that it left asks for approvals; the
    `labels` say which of them are declarations.
    """

    type: ClassVar[str] = "process.adopted"
    process: str
    digest: str
    previous: str
    reason: str
    approver: str
    difference: tuple[str, ...] = ()
    weakenings: tuple[str, ...] = ()
    authoring: tuple[str, ...] = AUTHORING
    approved: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def vouched(self) -> str:
        """How the approver is known: `signed`, or `declared` where anything of it rests on a name alone."""
        return "signed" if self.approved and not self.labels else "declared"


class EvidenceRestored(Event, kw_only=True):
    """`restored` and `replaced` map `phase/artifact` to digests; what was replaced is kept as an object."""

    type: ClassVar[str] = "evidence.restored"
    restored: Mapping[str, str]
    replaced: Mapping[str, str]


class Made(Record):
    """One artifact that a run made: what its `reader` made of the report, stored under `digest`."""

    artifact: str
    digest: str
    size: int
    reader: str = ""


class RunObserved(WorkEvent, kw_only=True):
    """Enforcer ran a command itself. `observation` names the object that tells all of it.

    `configured`: argv, working folder and reader are those that the process names for what it `made`; any other run
    proves nothing. It ended with `status`, or by `signal`, and `tree` is the working files' tree, which it left as it
    was; empty without git.
    """

    type: ClassVar[str] = "run.observed"
    nested: ClassVar[Nested] = {**WorkEvent.nested, "made": Made}
    phase: str
    attempt_id: str
    observation: str
    configured: bool = False
    made: tuple[Made, ...] = ()
    status: int = 0
    signal: str = ""
    duration_us: int = 0
    tree: str = ""
    sandbox: str = "none"
    labels: tuple[str, ...] = ()


class Vouched(Event, kw_only=True):
    """Base of what a principal says of a task, signed or by mere declaration.

    `statement` names the object with the very bytes that were signed, and `signature` that of the SSH signature by the
    key with `fingerprint`; both are empty for a declaration. The other fields repeat the statement. `evidence` maps
    `phase/artifact` to digests. It counts until `expires` (UTC microseconds), in this attempt alone.
    """

    phase: str
    attempt_id: str
    principal: str
    nonce: str
    expires: int
    statement: str = ""
    signature: str = ""
    fingerprint: str = ""
    evidence: Mapping[str, str] = {}
    tree: str = ""
    reason: str = ""


class ApprovalGranted(Vouched, kw_only=True):
    """The task may leave the phase on exactly this evidence; with `process`, it may move to that one."""

    type: ClassVar[str] = "approval.granted"
    process: str = ""


class ApprovalRejected(Vouched, kw_only=True):
    """The task may not leave the phase on this evidence, for a reason."""

    type: ClassVar[str] = "approval.rejected"


class RulesWaived(Vouched, kw_only=True):
    """Break-glass: these rules over one artifact do not refuse in this attempt until `expires`."""

    type: ClassVar[str] = "rules.waived"
    artifact: str
    rules: tuple[str, ...]


EVENTS: dict[str, type[Event]] = {
    kind.type: kind
    for kind in (
        LedgerCreated,
        LedgerRecovered,
        KeyRotated,
        TaskOpened,
        PhaseAdvanced,
        PhaseBacktracked,
        TaskAbandoned,
        CommandRefused,
        ToolRefused,
        LeaseClaimed,
        LeaseTakenOver,
        LeaseReleased,
        PromptAttested,
        BaselineAccepted,
        ProcessAdopted,
        EvidenceRestored,
        RunObserved,
        ApprovalGranted,
        ApprovalRejected,
        RulesWaived,
    )
}


def parse(type_name: str, data: Mapping[str, Any]) -> Event:
    """The event of a CloudEvents `type` and `data`. Raises `ValueError` on an unknown type or field."""
    kind = EVENTS.get(type_name.removeprefix(PREFIX)) if type_name.startswith(PREFIX) else None
    if kind is None:
        raise ValueError(f"unknown event type {type_name!r}")
    return kind.unpack(data)
