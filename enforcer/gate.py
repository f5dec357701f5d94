"""The one write path: observe → decide → append → acknowledge.

Everything that changes a task goes through `Gate.submit`. Its order is the guarantee:

1. catch up with the ledger's tail; answer a repeated idempotency key with the first receipt;
2. decide on cheap facts; read evidence only when every stage before it has passed;
3. make accepted bytes durable before the entry that names them;
4. under the append lock: catch up again, decide again if the task has moved, look at the lease once more, and write
   the one line (the commit point);
5. release the lock, sync, and only then acknowledge.

What follows (caches, checkpoints, telemetry) changes no answer.
"""

from __future__ import annotations

from hashlib import sha256

from enforcer.errors import DamagedError, InternalError, RequestError
from enforcer.ledger.codec import MAX_INTEGER, JsonFault, canonical
from enforcer.ledger.entry import format_event
from enforcer.workflow.commands import Vouch
from enforcer.workflow.decide import EvidenceNeeded, coalesces, decide, stalled_minutes
from enforcer.workflow.events import (
    REFUSAL_LIMIT,
    CommandRefused,
    LeaseClaimed,
    LeaseTakenOver,
    Notes,
    PhaseAdvanced,
    WorkEvent,
)
from enforcer.workflow.evolve import GENERATED_KEY
from enforcer.workflow.facts import Facts, LeaseFacts
from enforcer.workflow.record import Record
from enforcer.workflow.state import OPEN, principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Protocol

    from enforcer.ledger.entry import Entry
    from enforcer.ledger.store import Store
    from enforcer.ports import Clock, Entropy
    from enforcer.workflow.commands import Command
    from enforcer.workflow.decide import Decision
    from enforcer.workflow.events import Event, Refusal, Sealed
    from enforcer.workflow.facts import EvidenceFacts
    from enforcer.workflow.process import Process
    from enforcer.workflow.state import TaskState

    class Leases(Protocol):
        """When leases end. See `leases.files`."""

        def remaining_us(self, task: str, token: int) -> int: ...
        def grant(self, task: str, token: int) -> None: ...
        def due(self, remaining_us: int) -> bool: ...

    class Reading(Protocol):
        """What was observed: the facts to decide on, and the bytes they were made from."""

        @property
        def facts(self) -> EvidenceFacts: ...
        @property
        def files(self) -> Mapping[str, Any]: ...

    class Observer(Protocol):
        """Reads and judges a phase's evidence. See `evidence.judge`."""

        def observe(self, state: TaskState, process: Process, actor: str) -> Reading: ...

    class Objects(Protocol):
        """Durable copies by digest. See `evidence.objects`."""

        def put_many(self, contents: Iterable[bytes]) -> list[str]: ...

    class Unsealed(Protocol):
        """What stands beside the ledger and no entry has sealed; `lost` names files shorter than what was sealed."""

        @property
        def refusals(self) -> Sealed | None: ...
        @property
        def guard(self) -> tuple[Sealed, ...]: ...
        @property
        def lost(self) -> tuple[str, ...]: ...

    class Margins(Protocol):
        """Lines beside the ledger. See `ledger.margins`."""

        def refuse(self, task: str, line: Mapping[str, Any]) -> None: ...
        def unsealed(self, task: str, *, guarded: Mapping[str, int], refused_to: int) -> Unsealed: ...


class Outcome(Record, kw_only=True):
    """The answer to a command. True unless it was refused; `require` raises where an answer of "no" is not expected.

    `event` is None when what was asked for was already so; `seq` and `hash` are then -1 and "". `repeated`: the entry
    is the one that the same key wrote before. `coalesced`: the refusal was counted beside the ledger, and `seq` and
    `hash` are those of the last recorded one of its kind. `state` is the task's after it.
    """

    task: str
    event: Event | None = None
    seq: int = -1
    hash: str = ""
    key: str = ""
    repeated: bool = False
    coalesced: bool = False
    state: TaskState | None = None

    def __bool__(self) -> bool:
        return not self.refusals

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Every reason of the first stage that failed; empty for a yes."""
        return self.event.refused if self.event is not None else ()

    def require(self) -> Outcome:
        """Itself, or `Refused` with the same reasons."""
        if not self:
            raise Refused(self)
        return self


class Refused(Exception):
    """Raised by `Outcome.require` alone: the gate itself answers with values."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("; ".join(f"{one.code}: {one.message}" for one in outcome.refusals))
        self.outcome = outcome
        self.refusals = outcome.refusals


class Gate:
    """Binds the pure rules to a ledger and to the world. Sees protocols only."""

    def __init__(
        self,
        *,
        store: Store,
        leases: Leases,
        observer: Observer,
        objects: Objects,
        margins: Margins,
        processes: Callable[[str], Process],
        clock: Clock,
        entropy: Entropy,
        lease_auto: bool = True,
        follow: Callable[[Event | None], None] = lambda event: None,
    ) -> None:
        """`follow` is told of each answer once it is durable, and changes none."""
        self._follow = follow
        self.store, self.leases, self._observer, self._objects, self._margins = (
            store,
            leases,
            observer,
            objects,
            margins,
        )
        self._processes, self._clock, self._entropy, self._auto = processes, clock, entropy, lease_auto
        self.answered = False  # Whether a writing command was answered here, so that caches may be written as well.

    def submit(self, task: str, command: Command, *, actor: str, key: str = "", token: int | None = None) -> Outcome:
        """Carry out a command, or refuse it on the record. Returns once the answer is on stable storage.

        `key` is the caller's idempotency key; `token` the fencing token of a lease block, inside which nothing is
        claimed anew. Raises `RequestError` (nothing recorded), `DamagedError` or `UnavailableError` (nothing
        acknowledged).
        """
        call = _Call(task, command, actor, key, self._request(command), self._entropy.token(32).hex())
        call.token = token
        self.store.catch_up()
        while (outcome := self._attempt(call)) is None:
            self.store.catch_up()
        self.store.sync()
        self.answered = True
        self.store.save_caches()
        self._follow(None if outcome.repeated or outcome.coalesced else outcome.event)
        return outcome

    def repeated(self, task: str, command: Command, *, actor: str, key: str) -> Outcome | None:
        """The first answer, where the key was used before; for commands that act on files before they are recorded."""
        self.store.catch_up()
        first = self._repeated(_Call(task, command, actor, key, self._request(command), ""))
        if first is not None:
            self.store.sync()
        return first

    def preview(self, task: str, command: Command, *, actor: str) -> tuple[Event | None, TaskState]:
        """What `submit` would answer now. Writes nothing."""
        call = _Call(task, command, actor, "", self._request(command), self._entropy.token(32).hex())
        self.store.catch_up()
        decision = self._decide(call)
        state = self.store.task(task)
        if state is None or isinstance(decision, EvidenceNeeded):
            raise InternalError("preview_unanswered", f"{command.name} found no answer.")
        return decision, state

    # One attempt -----------------------------------------------------------------------------------------------------

    def _attempt(self, call: _Call) -> Outcome | None:
        """The outcome, or None when the task moved on in the meantime so far that it has to be looked at again."""
        first = self._repeated(call)
        if first is not None:
            return first
        decided = self._decide(call)
        self._keep(decided, call)
        state = self.store.task(call.task)
        if decided is None:
            return self._satisfied(call, state)
        with self.store.writing():
            decision: Decision = decided
            moved = self.store.task(call.task) is not state
            if moved or self._lease_ended(decided, call) or self._word_lapsed(state, call):
                first = self._repeated(call)
                if first is not None:
                    return first
                decision = self._again(call)
            if isinstance(decision, EvidenceNeeded):
                return None
            if decision is None:
                return self._satisfied(call, self.store.task(call.task))
            return self._write(decision, call)

    def _decide(self, call: _Call) -> Event | None:
        """A decision on fresh facts, evidence included where it matters."""
        decision = self._again(call)
        if isinstance(decision, EvidenceNeeded):
            state = self.store.task(call.task)
            assert state is not None
            call.reading = self._observer.observe(state, self._process_of(state), call.actor)
            decision = self._again(call)
        if isinstance(decision, EvidenceNeeded):
            raise InternalError("evidence_unread", "Evidence was read, and the decision asks for it again.")
        return decision

    def _again(self, call: _Call) -> Decision:
        """A decision on what the ledger says now, without looking at evidence again."""
        state = self.store.task(call.task)
        process = self._process_of(state) if state is not None else None
        decision = decide(state, call.command, self._facts(call, state), process)
        if isinstance(decision, CommandRefused) and len(decision.refusals) > REFUSAL_LIMIT:
            call.reasons = canonical([one.pack() for one in decision.refusals])
            digest = sha256(call.reasons).hexdigest()
            return decision.replace(refusals=decision.refusals[:REFUSAL_LIMIT], reasons=digest)
        return decision

    def _process_of(self, state: TaskState) -> Process:
        """The process in force. A store that could not load it when it read the task's lines could not judge them."""
        process = self._processes(state.digest)
        if not process.has(state.phase):
            message = f"The task stands in {state.phase[:80]!a}, and its process has no such phase."
            fix = "Nothing was written. Look at it with: enforcer verify"
            raise DamagedError("ledger_illegal", message, where=f"{state.task}, entry {state.seq}", fix=fix)
        return process

    def _keep(self, decision: Event | None, call: _Call) -> None:
        """Make durable what the entry is going to name."""
        contents = [call.reasons] if call.reasons else []
        if isinstance(decision, PhaseAdvanced) and call.reading is not None:
            contents += [file.data for file in call.reading.files.values()]
        if contents:
            self._objects.put_many(contents)

    def _write(self, event: Event, call: _Call) -> Outcome:
        """Under the append lock: one line, or one more of a long streak counted beside the ledger."""
        state = self.store.task(call.task)
        if state is not None and coalesces(state, event, call.clock):
            return self._coalesce(event, state, call)
        key = call.key or GENERATED_KEY + call.fresh_id[32:]
        data = format_event(event, task=call.task, key=key, source=self.store.identity.origin)
        self._sign_of_life(event, state, call)
        place = self.store.append(event, data, task=call.task, key=key, now=call.now)
        after = self.store.task(call.task)
        return Outcome(task=call.task, event=event, seq=place.seq, hash=place.hash, key=key, state=after)

    def _coalesce(self, event: Event, state: TaskState, call: _Call) -> Outcome:
        streak = state.streaks[event.actor]
        codes = sorted({one.code for one in event.refused})
        line = {"actor": event.actor, "codes": codes, "command": call.command.name, "ts": self._clock.now()}
        self._margins.refuse(call.task, {**line, "seq": streak.seq, "hash": streak.hash})
        return Outcome(task=call.task, event=event, seq=streak.seq, hash=streak.hash, coalesced=True, state=state)

    def _satisfied(self, call: _Call, state: TaskState | None) -> Outcome:
        if state is not None and state.lease is not None and state.lease.holder == call.actor:
            self.renew(call.task, state.lease.token, always=call.command.name == "lease renew")
        return Outcome(task=call.task, state=state)

    # Leases ----------------------------------------------------------------------------------------------------------

    def renew(self, task: str, token: int, *, always: bool = False) -> bool:
        """A sign of life for a lease that still lives. False when it has ended or was passed on."""
        remaining = self.leases.remaining_us(task, token)
        if remaining and not (always or self.leases.due(remaining)):
            return True
        with self.store.writing():
            state = self.store.task(task)
            lease = state.lease if state else None
            if lease is None or lease.token != token or not self.leases.remaining_us(task, token):
                return False
            self.leases.grant(task, token)
            return True

    def _lease_ended(self, event: Event, call: _Call) -> bool:
        """Whether the lease that the decision relied on has run out since: a pause may come at any point."""
        if not isinstance(event, WorkEvent) or event.lease is not None or not event.token:
            return False
        # The boot clock is enough: while the ledger names the same token, its expiry can only have been put off.
        return self._clock.boot()[1] >= call.expires_ns

    def _word_lapsed(self, state: TaskState | None, call: _Call) -> bool:
        """Whether an approval has expired by the time that the entry will carry: others may have written since."""
        words = () if state is None else state.words.values()
        until = [word.expires for word in words]
        if isinstance(call.command, Vouch):
            # The key is still valid at its last moment, and whatever expires is over at its own.
            until += (call.command.expires, call.command.valid_before + 1)
        return any(call.now < expires <= self.store.head.ts for expires in until)

    def _sign_of_life(self, event: Event, state: TaskState | None, call: _Call) -> None:
        if isinstance(event, (LeaseClaimed, LeaseTakenOver)):
            self.leases.grant(call.task, event.token)
        elif isinstance(event, WorkEvent) and event.lease is not None:
            self.leases.grant(call.task, event.lease.token)
        elif isinstance(event, WorkEvent) and event.token and self.leases.due(call.remaining_us):
            self.leases.grant(call.task, event.token)

    # Facts -----------------------------------------------------------------------------------------------------------

    def _facts(self, call: _Call, state: TaskState | None) -> Facts:
        now = self._clock.now()
        lease = state.lease if state else None
        call.remaining_us = self.leases.remaining_us(call.task, lease.token) if lease else 0
        call.expires_ns = self._clock.boot()[1] + call.remaining_us * 1000
        if not call.begun:
            # The token that counts is the one held when the command began, whatever is true when it is written.
            call.begun = True
            if call.token is None and lease is not None and lease.holder == call.actor and call.remaining_us:
                call.token = lease.token
        # What expires is held against the time that the entry will carry, which never goes back as a clock may.
        call.clock, call.now = now, max(now, self.store.head.ts)
        return Facts(
            actor=call.actor,
            now=call.now,
            request=call.request,
            fresh_id=call.fresh_id[:32],
            lease=LeaseFacts(call.remaining_us > 0, call.remaining_us, call.token, self._auto),
            evidence=call.reading.facts if call.reading else None,
            notes=self._notes(state, now),
        )

    def _notes(self, state: TaskState | None, now: int) -> Notes | None:
        back = min(max(0, self.store.head.ts - now), MAX_INTEGER)
        rejected = self.store.cache_rejected
        if state is None:
            return Notes(clock_back_us=back, cache_rejected=rejected) if back or rejected else None
        beside = self._margins.unsealed(state.task, guarded=state.guarded, refused_to=state.refused_to)
        stalled = stalled_minutes(state, now)
        if not (back or rejected or stalled or beside.refusals or beside.guard or beside.lost):
            return None
        return Notes(
            coalesced=beside.refusals.count if beside.refusals is not None else 0,
            refusals=beside.refusals,
            guard=beside.guard,
            margin_lost=beside.lost,
            stalled_minutes=stalled,
            clock_back_us=back,
            cache_rejected=rejected,
        )

    # Idempotency -----------------------------------------------------------------------------------------------------

    def _request(self, command: Command) -> str:
        try:
            return sha256(canonical(command.request())).hexdigest()
        except JsonFault as fault:
            message = f"What was asked for cannot be written down: {fault}."
            raise RequestError("bad_text", message, fix="Give text that UTF-8 can express.") from fault

    def _repeated(self, call: _Call) -> Outcome | None:
        """The first answer to a key that was used before on this task."""
        state = self.store.task(call.task)
        if not call.key:
            return None
        entry = self._entry_of(call.key, state) if state is not None else None
        if entry is None and call.key.startswith(GENERATED_KEY):
            message = f"No entry of {call.task} has the key {call.key}, and keys that begin so are made by Enforcer."
            raise RequestError("bad_key", message, fix="Use a key that does not begin with a full stop.")
        if entry is None:
            return None
        same = entry.event.request == call.request and principal(entry.event.actor) == principal(call.actor)
        if not same:
            message = f"The key {call.key} was used for another call on {call.task} (entry {entry.seq})."
            raise RequestError("key_reused", message, fix="Use a new key for a new call.")
        return Outcome(
            task=call.task, event=entry.event, seq=entry.seq, hash=entry.hash, key=call.key, repeated=True, state=state
        )

    def _entry_of(self, key: str, state: TaskState) -> Entry | None:
        seq = state.keys.get(key)
        if seq is not None:
            return self.store.entry(seq)
        if state.status == OPEN and not key.startswith(GENERATED_KEY):
            return None
        # The keys of a closed task, and those that were made here, are found along the task's own chain.
        return next((entry for entry in self.store.task_entries(state.task) if entry.key == key), None)


class _Call:
    """One command on its way through the gate, with what was gathered for it so far."""

    __slots__ = (
        "actor",
        "begun",
        "clock",
        "command",
        "expires_ns",
        "fresh_id",
        "key",
        "now",
        "reading",
        "reasons",
        "remaining_us",
        "request",
        "task",
        "token",
    )

    def __init__(self, task: str, command: Command, actor: str, key: str, request: str, fresh_id: str) -> None:
        self.task, self.command, self.actor, self.key = task, command, actor, key
        self.request, self.fresh_id = request, fresh_id
        self.begun = False
        self.token: int | None = None
        self.remaining_us = 0
        self.expires_ns = 0
        self.clock = self.now = 0
        self.reading: Reading | None = None
        self.reasons = b""
