"""What is true of one task now: the fold of its events, and nothing else.

Deletable and rebuildable at any time. Equal histories give equal states.
"""

from __future__ import annotations

from enforcer.workflow.events import AUTHORING, Accepted, Refusal
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import ClassVar

OPEN, COMPLETED, ABANDONED = "open", "completed", "abandoned"


def principal(actor: str) -> str:
    """The part of `principal[/session]` that stays the same across sessions."""
    return actor.partition("/")[0]


def same_principal(actor: str, other: str) -> bool:
    """Whether two names may stand for one principal: what sets apart has to be more than letter case or a last dot."""
    return folded(actor) == folded(other)


def is_among(actor: str, principals: Iterable[str]) -> bool:
    """Whether the principal of `actor` is, in whatever spelling, one of `principals`."""
    return any(same_principal(actor, one) for one in principals)


def folded(actor: str) -> str:
    """The one spelling of a principal that all its spellings share."""
    return principal(actor).casefold().rstrip(".")


class Lease(Record):
    """Who holds the task by the ledger's word. Whether it still lives is the expiry file's to say."""

    holder: str
    token: int


class Streak(Record):
    """Refusals of one actor in a row. `count` are identical ones, `codes` how often each code came in a row."""

    signature: str
    count: int
    codes: Mapping[str, int]
    seq: int
    hash: str
    ts: int


class Attestation(Record):
    """What a principal last presented in a phase."""

    phase: str
    attempt_id: str
    parts: Mapping[str, str]


class Run(Record):
    """What Enforcer saw last of an artifact: the digest it made in entry `seq`, of which attempt and tree.

    `observation` names the object that tells of the run; a run that is not `configured` proves nothing. `labels` are
    what whoever relies on it should look at.
    """

    seq: int
    attempt_id: str
    digest: str
    tree: str
    observation: str
    configured: bool = False
    labels: tuple[str, ...] = ()


class Word(Record):
    """An approval, rejection or waiver of the current attempt. `kind` is `approve`, `reject` or `waive`.

    One that is `spent` was said under another process than the one in force, and counts no more.
    """

    kind: str
    seq: int
    principal: str
    expires: int
    signed: bool
    evidence: Mapping[str, str] = {}
    tree: str = ""
    process: str = ""
    artifact: str = ""
    rules: tuple[str, ...] = ()
    reason: str = ""
    spent: bool = False


class TaskState(Record, kw_only=True):
    """One task.

    `accepted` maps phases to what was accepted in their current attempt, and `walked` names them in the order in which
    they were left, which a stored mapping does not keep. `invalidated` lists `phase/artifact` names that a backtrack
    set aside and that were not earned again. `previous` maps `phase/artifact` to the digest accepted last, in whatever
    attempt. `authoring` names the phases whose holders count as authors, and `held` the principals that held the lease
    in each phase. `keys` names the entry (`seq`) of each idempotency key that a caller chose. `coalesced` (how many
    refusals), `refused_to` (byte offset) and `guarded` (session → byte offset) tell what earlier entries have sealed.
    `runs` maps `phase/artifact` to what Enforcer saw of it last, and `words` nonces to what was said of this attempt.
    `risks` names the risk classes that each phase was accepted with, where there were any.
    `seq`, `task_seq`, `head` and `ts` are of the last entry.
    """

    task: str
    title: str
    process: str
    digest: str
    base: str
    phase: str
    attempt_id: str
    opened: str
    status: str = OPEN
    attempts: Mapping[str, int] = {}
    accepted: Mapping[str, tuple[Accepted, ...]] = {}
    walked: tuple[str, ...] = ()
    invalidated: tuple[str, ...] = ()
    previous: Mapping[str, str] = {}
    tree: str = ""
    commit: str = ""
    lease: Lease | None = None
    token: int = 0
    authoring: tuple[str, ...] = AUTHORING
    held: Mapping[str, tuple[str, ...]] = {}
    streaks: Mapping[str, Streak] = {}
    last_refusal: Refusal | None = None
    attestations: Mapping[str, Attestation] = {}
    baselines: Mapping[str, str] = {}
    keys: Mapping[str, int] = {}
    coalesced: int = 0
    refused_to: int = 0
    guarded: Mapping[str, int] = {}
    opened_seq: int = 0
    opened_ts: int = 0
    progress_ts: int = 0
    seq: int = -1
    task_seq: int = 0
    head: str = ""
    ts: int = 0
    runs: Mapping[str, Run] = {}
    words: Mapping[str, Word] = {}
    risks: Mapping[str, tuple[str, ...]] = {}

    nested: ClassVar[Mapping[str, type[Record]]] = {"lease": Lease, "last_refusal": Refusal}
    nested_maps: ClassVar[Mapping[str, type[Record]]] = {
        "accepted": Accepted,
        "streaks": Streak,
        "attestations": Attestation,
        "runs": Run,
        "words": Word,
    }

    @property
    def attempt(self) -> int:
        """The number of the current attempt of the current phase, from 1."""
        return self.attempts[self.phase]

    @property
    def implementers(self) -> tuple[str, ...]:
        """The principals that held the lease in an authoring phase, in any attempt."""
        return tuple(dict.fromkeys(who for phase in self.authoring for who in self.held.get(phase, ())))

    @property
    def risks_before(self) -> frozenset[str]:
        """The risk classes that the change touched where a phase was left, of the phases that count."""
        return frozenset(name for classes in self.risks.values() for name in classes)

    def accepted_files(self) -> dict[str, Accepted]:
        """What counts now, by `phase/artifact`."""
        return {f"{phase}/{one.artifact}": one for phase in self.walked for one in self.accepted[phase]}
