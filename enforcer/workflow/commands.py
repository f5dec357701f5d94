"""What may be asked of a task. Imperative, and without time, actor or observation: those come as `Facts`.

The canonical form of a command (`request`) decides whether two calls with one idempotency key are the same call.
"""

from __future__ import annotations

from enforcer.workflow.events import AUTHORING
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar

    from enforcer.workflow.events import Made, Refusal


class Command(Record):
    """Base of all commands; `name` is what the journal calls it."""

    name: ClassVar[str]

    def request(self) -> dict[str, Any]:
        """What makes two calls the same call."""
        return {"command": self.name, **self.pack()}


class Open(Command, kw_only=True):
    """Open a task. `process` is the name or path that was asked for, `digest` and `base` what they stood for now.
    `phase` is the first phase of the process, `authoring` those whose holders are authors.

    What was looked up is left out of the request: opening again in the same words is the same request, though the
    process file or the branch has moved on since.
    """

    name: ClassVar[str] = "open"
    process: str
    digest: str
    phase: str
    title: str = ""
    revision: str = ""
    base: str = ""
    authoring: tuple[str, ...] = AUTHORING

    def request(self) -> dict[str, Any]:
        return {"command": self.name, "process": self.process, "title": self.title, "revision": self.revision}


class Advance(Command):
    """Leave the phase for `to`; without `to`, for the one that follows."""

    name: ClassVar[str] = "advance"
    to: str | None = None


class Backtrack(Command):
    name: ClassVar[str] = "backtrack"
    to: str
    reason: str


class Abandon(Command):
    name: ClassVar[str] = "abandon"
    reason: str


class ClaimLease(Command):
    name: ClassVar[str] = "lease claim"


class RenewLease(Command):
    name: ClassVar[str] = "lease renew"


class ReleaseLease(Command):
    name: ClassVar[str] = "lease release"
    force: bool = False
    reason: str = ""


class Attest(Command):
    """Present the digests of what the worker was given: `parts` maps part names to digests."""

    name: ClassVar[str] = "attest"
    parts: Mapping[str, str]


class AcceptBaseline(Command):
    """Take what `principal` last presented in `phase` as the new baseline."""

    name: ClassVar[str] = "baseline accept"
    phase: str
    reason: str
    approver: str
    principal: str = ""


class AdoptProcess(Command):
    """Move the task to another stored process. `phases` and `authoring` are those of the new one, in order."""

    name: ClassVar[str] = "process adopt"
    process: str
    digest: str
    reason: str
    approver: str
    phases: tuple[str, ...] = ()
    difference: tuple[str, ...] = ()
    weakenings: tuple[str, ...] = ()
    authoring: tuple[str, ...] = AUTHORING

    def request(self) -> dict[str, Any]:
        return {"command": self.name, "process": self.process, "reason": self.reason, "approver": self.approver}


class RestoreEvidence(Command):
    """Put accepted evidence back, of one phase or (empty) of all.

    `restored` and `replaced` map `phase/artifact` to digests ("" where no file stood). They are what was found, not
    what was asked for, so they are no part of the request.
    """

    name: ClassVar[str] = "evidence restore"
    phase: str
    restored: Mapping[str, str] = {}
    replaced: Mapping[str, str] = {}

    def request(self) -> dict[str, Any]:
        return {"command": self.name, "phase": self.phase}


class Run(Command, kw_only=True):
    """Have it recorded what Enforcer saw of a command that it ran, as `artifact` or (empty) as what the process says.

    Only `argv` and `artifact` are what was asked for; the rest is what was seen, in the attempt and under the process
    (by digest) in which it began.
    `faults` say why the run proves nothing.
    """

    name: ClassVar[str] = "run"
    artifact: str = ""
    argv: tuple[str, ...] = ()
    attempt_id: str = ""
    process: str = ""
    observation: str = ""
    configured: bool = False
    made: tuple[Made, ...] = ()
    status: int = 0
    signal: str = ""
    duration_us: int = 0
    tree: str = ""
    sandbox: str = "none"
    labels: tuple[str, ...] = ()
    faults: tuple[Refusal, ...] = ()

    def request(self) -> dict[str, Any]:
        return {"command": self.name, "artifact": self.artifact, "argv": list(self.argv)}


class Vouch(Command, kw_only=True):
    """Say something of the task as `principal`: approve, reject or waive. See `events.Vouched` for the fields.

    `fault` says why the signature proves nothing; it is empty for one that does, and for a mere declaration. `under` is
    the digest of the process whose keys it was held against. The key is valid from `valid_after` to `valid_before`,
    both included: UTC microseconds, 0 for no bound.
    """

    name: ClassVar[str] = "approve"
    kind: str
    phase: str
    attempt_id: str
    principal: str
    nonce: str
    expires: int
    under: str
    statement: str = ""
    signature: str = ""
    fingerprint: str = ""
    evidence: Mapping[str, str] = {}
    tree: str = ""
    process: str = ""
    artifact: str = ""
    rules: tuple[str, ...] = ()
    reason: str = ""
    fault: str = ""
    valid_after: int = 0
    valid_before: int = 0

    def request(self) -> dict[str, Any]:
        asked = ("kind", "principal", "artifact", "process", "reason")
        return {"command": self.name, "rules": list(self.rules), **{name: getattr(self, name) for name in asked}}


class UseTool(Command, kw_only=True):
    """Ask the guard whether a tool call may be made now.

    `needs` are the capabilities it would use. `writes` are the paths it would write: below the project relative to
    it, elsewhere absolute, links resolved. `protected` are further paths that no tool may write (process files, the
    user's key folder). `opaque`: what it writes cannot be told. `enforcer` holds the words of a call of `enforcer`
    that was read in full; `mixed`: a shell command calls `enforcer` in a way that cannot be read. `text` is the digest
    of a shell command. `shared` are those of `writes` that lead to a file with another name as well; `unreadable`: a
    patch does not say plainly what it writes.
    """

    name: ClassVar[str] = "guard"
    tool: str
    needs: tuple[str, ...]
    writes: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    enforcer: tuple[str, ...] = ()
    mixed: bool = False
    opaque: bool = False
    text: str = ""
    shared: tuple[str, ...] = ()
    unreadable: bool = False
    persona: str = ""
    call: str = ""
    session: str = ""
