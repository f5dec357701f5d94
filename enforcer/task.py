"""One task as a worker sees it: what to do next, what was answered, and how it stands."""

from __future__ import annotations

from contextlib import contextmanager
from hashlib import sha256

from enforcer.errors import RequestError
from enforcer.project import check_actor, check_key
from enforcer.workflow.commands import (
    Abandon,
    AcceptBaseline,
    AdoptProcess,
    Advance,
    Attest,
    Backtrack,
    ClaimLease,
    ReleaseLease,
    RenewLease,
    RestoreEvidence,
)
from enforcer.workflow.decide import PARTS, stalled_minutes
from enforcer.workflow.guard import allowed_now
from enforcer.workflow.record import Record
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from enforcer.enforcer import Enforcer
    from enforcer.gate import Outcome
    from enforcer.workflow.commands import Command
    from enforcer.workflow.cost import Cost
    from enforcer.workflow.events import Event
    from enforcer.workflow.facts import EvidenceFacts
    from enforcer.workflow.process import Phase, Process
    from enforcer.workflow.state import TaskState


class LeaseStatus(Record):
    """Who holds the task, under which fencing token, and for how many microseconds yet; 0 has expired."""

    holder: str
    token: int
    remaining_us: int


class Status(Record, kw_only=True):
    """How a task stands. `changed`: accepted files that are not what was accepted; `falls`: what stands on them.

    `cost` is what that costs, and how it is undone or earned back; None where nothing has changed.
    """

    task: str
    title: str
    state: str
    process: str
    phase: str
    next: str | None
    attempt: int
    attempt_id: str
    base: str
    lease: LeaseStatus | None
    accepted: tuple[dict[str, Any], ...]
    invalidated: tuple[str, ...]
    changed: tuple[str, ...]
    falls: tuple[str, ...]
    tools: tuple[str, ...]
    stalled_minutes: int
    last_refusal: dict[str, str] | None
    entries: int
    head: str
    cost: Cost | None = None


class Task:
    """A handle on one task for one actor. Cheap; holds no state of its own but the token of a lease block."""

    def __init__(self, enforcer: Enforcer, name: str, actor: str) -> None:
        self._enforcer, self.name, self.actor = enforcer, name, actor
        self._token: int | None = None

    @property
    def enforcer(self) -> Enforcer:
        return self._enforcer

    # Moves -----------------------------------------------------------------------------------------------------------

    def advance(self, to: str | None = None, *, key: str = "") -> Outcome:
        """Leave the phase, on its evidence, for the next one; out of the last, complete the task."""
        return self._submit(Advance(to.upper() if to else None), key)

    def backtrack(self, to: str, reason: str, *, key: str = "") -> Outcome:
        """Go back to an earlier phase; what was accepted there and later has to be earned again."""
        return self._submit(Backtrack(to.upper(), reason), key)

    def abandon(self, reason: str, *, key: str = "") -> Outcome:
        return self._submit(Abandon(reason), key)

    # Leases ----------------------------------------------------------------------------------------------------------

    def claim(self, *, key: str = "") -> Outcome:
        return self._submit(ClaimLease(), key)

    def renew(self, *, key: str = "") -> Outcome:
        """Let an own, live lease live for a whole lifetime from now."""
        return self._submit(RenewLease(), key)

    def release(self, *, force: bool = False, reason: str = "", key: str = "") -> Outcome:
        """Give the lease back; with `force` and a reason, somebody else's."""
        return self._submit(ReleaseLease(force, reason), key)

    @contextmanager
    def lease(self) -> Iterator[Task]:
        """Hold the task while the block runs, with a heartbeat. Raises `Refused` when somebody else holds it.

        Every command in the block is fenced by the token of this claim: once it has expired or was passed on, they are
        refused as `lease_stale`, and nothing is claimed anew.
        """
        state = self.claim().require().state
        assert state is not None
        assert state.lease is not None
        token = self._token = state.lease.token
        gate = self._enforcer.gate
        heartbeat = self._enforcer.heartbeat(lambda: gate.renew(self.name, token))
        heartbeat.start()
        try:
            yield self
        finally:
            heartbeat.stop()
            try:
                if self.state().status == OPEN:
                    self.release()
            finally:
                self._token = None

    # Prompts and processes -------------------------------------------------------------------------------------------

    def attest(self, parts: Mapping[str, bytes | str], *, key: str = "") -> Outcome:
        """Present the bytes that the worker was given, by part: header, role, tools, model, persona, volatile.

        `prompt` stands for `header` where a prompt is one piece. It proves that these digests were presented, not that
        a model obeyed the text.
        """
        given = {("header" if part == "prompt" else part): text for part, text in parts.items()}
        if len(given) != len(parts) or not set(given) <= set(PARTS):
            message = f"A prompt has the parts {', '.join(PARTS)}; `prompt` alone stands for the header."
            raise RequestError("bad_attestation", message, where=", ".join(parts))
        digests = {part: sha256(_bytes(text)).hexdigest() for part, text in given.items()}
        return self._submit(Attest(digests), key)

    def accept_baseline(self, phase: str, *, reason: str, approver: str, principal: str = "", key: str = "") -> Outcome:
        """Take what `principal` (by default the holder) last attested in `phase` as its baseline."""
        command = AcceptBaseline(phase.upper(), reason, check_actor(approver), principal)
        return self._submit(command, key)

    def adopt_process(self, process: str, *, reason: str, approver: str, key: str = "") -> Outcome:
        """Move the task to a process as its file is now; the difference and each weakening go on the record."""
        enforcer, loaded = self._enforcer, self._enforcer.load_process(process)
        current = enforcer.process(self.state().digest)
        difference, weakenings = enforcer.differences(current, loaded.process)
        enforcer.objects.put_many((loaded.data, *loaded.objects))
        command = AdoptProcess(
            process,
            loaded.digest,
            reason,
            check_actor(approver),
            loaded.process.order,
            difference,
            weakenings,
            loaded.process.authoring,
        )
        return self._submit(command, key)

    # Evidence --------------------------------------------------------------------------------------------------------

    def run(
        self,
        artifact: str = "",
        argv: Sequence[str] = (),
        *,
        redact: Sequence[str] = (),
        show: Callable[[bytes], None] = lambda data: None,
        key: str = "",
    ) -> tuple[Outcome, ...]:
        """Let Enforcer run what the process names for the phase (or for `artifact`), or `argv`; an answer a run.

        `show` is given the output as it comes, without what the patterns in `redact` match. The lease is held while
        the commands run, and kept. Raises `RequestError` (`nothing_to_run`, `unknown_artifact`, `bad_pattern`) and
        `UnavailableError` (`command_missing`, `sandbox_missing`).
        """
        outcomes: tuple[Outcome, ...] = self._enforcer.observing().run(
            self, artifact=artifact, argv=argv, redact=redact, show=show, key=_checked(key), token=self._token
        )
        return outcomes

    def scaffold(self) -> tuple[str, ...]:
        """Write a starting text for each artifact of the phase that is not there; the names that were written.

        What Enforcer has to see being made is left out: a form of it could only be a lie.
        """
        state, enforcer = self.state(), self._enforcer
        phase = enforcer.process(state.digest).phase(state.phase)
        present = {entry.name for entry in enforcer.folder.listing(self.name, phase.name)[0]}
        written = []
        for artifact in phase.artifacts:
            if artifact.name not in present and artifact.name not in phase.observed:
                form = enforcer.scaffold(artifact, state, self.actor)
                enforcer.folder.write(self.name, phase.name, artifact.name, form)
                written.append(artifact.name)
        return tuple(written)

    def evidence(self) -> EvidenceFacts:
        """The phase's evidence as the gate would judge it now."""
        state = self.state()
        facts: EvidenceFacts = self._enforcer.observe(state, self._enforcer.process(state.digest), self.actor).facts
        return facts

    def changed(self) -> tuple[str, ...]:
        """The `phase/artifact` names of accepted files that are no longer what was accepted."""
        state = self.state()
        names = []
        for phase in state.walked:
            accepted = state.accepted[phase]
            files, _ = self._enforcer.folder.read(self.name, phase, [one.artifact for one in accepted])
            now = {name: file.digest for name, file in files.items()}
            names += [f"{phase}/{one.artifact}" for one in accepted if now.get(one.artifact) != one.digest]
        return tuple(names)

    def restore(self, phase: str = "", *, key: str = "") -> Outcome:
        """Put accepted files back as they were accepted. What stands in their place is kept as an object first."""
        state, enforcer = self.state(), self._enforcer
        if phase and phase.upper() not in enforcer.process(state.digest).order:
            order = ", ".join(enforcer.process(state.digest).order)
            raise RequestError("unknown_phase", f"The process has no phase {phase.upper()}.", fix=f"One of: {order}")
        asked = RestoreEvidence(phase.upper())
        first = self._enforcer.gate.repeated(self.name, asked, actor=self.actor, key=_checked(key))
        if first is not None:
            return first
        accepted = state.accepted_files()
        restored, replaced = {}, {}
        for name in self.changed():
            where, _, artifact = name.partition("/")
            if phase and where != phase.upper():
                continue
            files, _ = enforcer.folder.read(self.name, where, [artifact])
            replaced[name] = enforcer.objects.put(files[artifact].data) if artifact in files else ""
            restored[name] = accepted[name].digest
            enforcer.folder.write(self.name, where, artifact, enforcer.objects.get(accepted[name].digest))
        return self._submit(asked.replace(restored=restored, replaced=replaced), key)

    # Answers ---------------------------------------------------------------------------------------------------------

    def state(self) -> TaskState:
        """The fold of the task's entries, as of now. Raises `RequestError` (`unknown_task`)."""
        self._enforcer.ledger.catch_up()
        state = self._enforcer.ledger.task(self.name)
        if state is None:
            message = "There is no such task on this ledger."
            raise RequestError("unknown_task", message, where=self.name, fix=f"Open it: enforcer open {self.name}")
        return state

    def process(self) -> Process:
        """The process that governs the task."""
        return self._enforcer.process(self.state().digest)

    def cost(self, *names: str) -> Cost:
        """What an edit of these accepted documents (`phase/artifact`) would cost, and how it is earned back.

        Raises `RequestError` (`unknown_artifact`).
        """
        return self._enforcer.cost(self.state(), self.process(), *names)

    def status(self) -> Status:
        state, process = self.state(), self.process()
        changed = self.changed()
        falls = [name for base in changed for name in process.fallen_with(base)]
        remaining = self._enforcer.leases.remaining_us(self.name, state.lease.token) if state.lease else 0
        return Status(
            task=state.task,
            title=state.title,
            state=state.status,
            process=state.process,
            phase=state.phase,
            next=process.following(state.phase) if state.status == OPEN else None,
            attempt=state.attempt,
            attempt_id=state.attempt_id,
            base=state.base,
            lease=LeaseStatus(state.lease.holder, state.lease.token, remaining) if state.lease else None,
            accepted=tuple(
                {"phase": phase, **one.pack(complete=True)} for phase in state.walked for one in state.accepted[phase]
            ),
            invalidated=state.invalidated,
            changed=changed,
            falls=tuple(dict.fromkeys(falls)),
            tools=allowed_now("", state, process),
            stalled_minutes=stalled_minutes(state, self._enforcer.clock.now()),
            last_refusal=state.last_refusal.pack(complete=True) if state.last_refusal else None,
            entries=state.task_seq,
            head=state.head,
            cost=self._enforcer.cost(state, process, *changed) if changed else None,
        )

    def preview(self, to: str | None = None) -> tuple[Event | None, TaskState]:
        """What `advance` would answer now. Writes nothing."""
        return self._enforcer.gate.preview(self.name, Advance(to.upper() if to else None), actor=self.actor)

    def phase(self) -> Phase:
        state = self.state()
        return self._enforcer.process(state.digest).phase(state.phase)

    def guard(self, call: bytes, *, session: str = "") -> tuple[Outcome, bool]:
        """Ask whether a tool call (JSON: tool, input, session, call, persona) may be made now; a denial is recorded.

        Returns the answer, and whether it is about a shell command whose paths were not judged. Every answer is also a
        line of the session in `state/guard/`. Raises `RequestError` (`bad_tool_call`).
        """
        command = self._enforcer.read_call(call)
        outcome = self._submit(command, "")
        line = {
            "call": command.call,
            "digest": sha256(call).hexdigest(),
            "session": command.session or session or self.actor,
            "task": self.name,
            "tool": command.tool,
            "ts": self._enforcer.clock.now(),
            "verdict": "allow" if outcome else "deny",
        }
        self._enforcer.margins.answer(self.name, str(line["session"]), line, durable=outcome.coalesced)
        return outcome, command.opaque

    def _submit(self, command: Command, key: str) -> Outcome:
        gate = self._enforcer.gate
        return gate.submit(self.name, command, actor=self.actor, key=_checked(key), token=self._token)


def _checked(key: str) -> str:
    return check_key(key) if key else ""


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
