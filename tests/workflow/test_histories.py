"""What holds after every command of every history: random commands, actors, times and observations, played in memory.

`Scene` itself holds each event against `structure` and `legality`, and each event and state against its packed form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.errors import RequestError
from enforcer.workflow.commands import (
    Abandon,
    AcceptBaseline,
    AdoptProcess,
    Advance,
    Attest,
    Backtrack,
    ClaimLease,
    Command,
    Open,
    ReleaseLease,
    RenewLease,
    RestoreEvidence,
    Run,
    UseTool,
    Vouch,
)
from enforcer.workflow.decide import PARTS, decide
from enforcer.workflow.events import PREFIX, CommandRefused, Event, Made, Notes, PhaseAdvanced, PhaseBacktracked, parse
from enforcer.workflow.evolve import Place, evolve
from enforcer.workflow.process import CAPABILITIES, Approval, Observation, Phase, Process, Rule
from enforcer.workflow.state import TaskState
from tests.workflow.scene import (
    MINUTE,
    PHASES,
    TASK,
    TTL,
    Scene,
    adopting,
    bad,
    digest,
    digest_of,
    phase,
    process,
    through_json,
)

ACTORS = ("ada", "ada", "ada", "ada", "ada/two", "bob", "carl")


def watched() -> Process:
    """A third of the phases wants the word of somebody else, some of it signed; the others want their note observed."""

    def demanding(number: int, name: str) -> Phase:
        seen = (Rule(f"{name.lower()}-seen", "observed", "note.md"),)
        asked = {"approvals": (Approval(signed=number % 2 == 1),)} if number % 3 == 0 else {"rules": seen}
        return phase(name, drift="observe", **asked)

    return process(
        name="watched",
        phases=tuple(demanding(number, name) for number, name in enumerate(PHASES)),
        observe={"note.md": Observation(("make",), reader="log")},
        break_glass=("bob", "eve"),
    )


PROCESSES = (
    process(),
    watched(),
    process(name="mild", phases=tuple(phase(name, drift="observe") for name in PHASES)),
    process(name="strict", phases=tuple(phase(name, drift="enforce") for name in PHASES)),
    process(name="short", phases=tuple(phase(name) for name in PHASES[:4])),
    process(name="pinned", pins={"header": digest_of("h0")}),
)

digests = st.sampled_from(["h0", "h1", "h2"]).map(digest_of)
parts = st.dictionaries(st.sampled_from(PARTS), digests, min_size=1, max_size=3)
names = st.sampled_from(PHASES)
reasons = st.just("Because")

COMMANDS: st.SearchStrategy[Command] = st.one_of(
    *(st.just(Advance()) for _ in range(8)),
    names.map(Advance),
    st.builds(Backtrack, names, reasons),
    st.just(ClaimLease()),
    st.just(RenewLease()),
    st.just(ReleaseLease()),
    st.builds(ReleaseLease, st.booleans(), reasons),
    parts.map(Attest),
    st.builds(AcceptBaseline, names, reasons, st.sampled_from(ACTORS), st.sampled_from(["", "ada", "bob"])),
    st.sampled_from(PROCESSES).map(lambda new: AdoptProcess(**adopting(new), reason="Because", approver="dora")),
    st.builds(UseTool, tool=st.just("T"), needs=st.lists(st.sampled_from(CAPABILITIES), max_size=2).map(tuple)),
    st.builds(Open, process=st.just("plain"), digest=digests, phase=st.just("STRATEGIZE"), title=st.text(max_size=3)),
    # Seldom, so that most histories go on.
    st.integers(0, 15).map(lambda number: Advance() if number else Abandon("Because")),
)


def edited(scene: Scene) -> dict[str, Any]:
    """Somebody changes the files, or writes the phase's note anew."""
    scene.tree = {"f" * 40: "e" * 40}.get(scene.tree, "f" * 40)
    scene.files[scene.task.phase] = f"note {len(scene.events) % 3}"
    return {}


MARKS: tuple[Callable[[Scene], dict[str, Any]], ...] = (
    *[lambda scene: {}] * 6,
    lambda scene: {"verdicts": (*scene.evidence().verdicts, bad(mode="observe"))},
    lambda scene: {"verdicts": (bad(),)},
    lambda scene: {"verdicts": (bad(), bad("evidence_stale"))},
    lambda scene: {"problems": bad("evidence_missing").refusals, "files": ()},
    lambda scene: {"standing": {}},
    lambda scene: {"commit": "c" * 40},
    lambda scene: edited(scene),
)


# What a caller cannot know beforehand is filled in when the step is played.
def runs() -> st.SearchStrategy[Command]:
    made = (Made("note.md", "", 9, "log"),)
    return st.builds(Run, configured=st.sampled_from([True, True, False]), made=st.sampled_from([(), made, made, made]))


def words() -> st.SearchStrategy[Command]:
    return st.builds(
        Vouch,
        kind=st.sampled_from([*["approve"] * 10, "reject", "waive", "waive"]),
        phase=st.just(""),
        attempt_id=st.just(""),
        principal=st.sampled_from(["bob", "eve", "Eve", "carl", "ada"]),
        nonce=st.integers(0, 99).map(lambda number: f"{number:032x}"),
        expires=st.sampled_from([0, 1, TTL, 100 * TTL, 100 * TTL]),
        under=st.just(""),
        signature=st.sampled_from(["", "d" * 64, "d" * 64]),
        process=st.sampled_from([*[""] * 12, *map(digest, PROCESSES)]),
        reason=reasons,
    )


# One strategy given twice is drawn from once, so each is made anew.
STATED = st.one_of(*(runs() for _ in range(8)), *(words() for _ in range(14)))

STEP = st.tuples(
    COMMANDS | STATED,
    st.sampled_from(ACTORS),
    st.sampled_from(MARKS),
    st.sampled_from([0, 0, 0, 1, MINUTE, TTL]),
    st.sampled_from([*["honest"] * 8, "none", "old"]),
    st.sampled_from(["", "", "k1", "k2"]),
    st.sampled_from([None, None, Notes(coalesced=2, stalled_minutes=91)]),
)

# Short ones are easy to read when they fail, and long ones get far.
STEPS = st.lists(STEP, max_size=15) | st.lists(STEP, min_size=40, max_size=90)


def staged(governing: Process | None = None, *, auto: bool = True) -> Scene:
    """A scene on which every process can be adopted."""
    scene = Scene(governing, auto=auto)
    scene.tree = "f" * 40
    scene.processes |= {digest(one): one for one in PROCESSES}
    return scene


def stated(scene: Scene, command: Command) -> Command:
    """A run or a word as it would be made of what is there now."""
    if isinstance(command, Run):
        made = tuple(one.replace(digest=digest_of(scene.content)) for one in command.made)
        configured = command.configured and bool(made) and "note.md" in scene.processes[scene.task.digest].observe
        return command.replace(
            attempt_id=scene.task.attempt_id,
            process=scene.task.digest,
            configured=configured,
            made=made,
            tree=scene.tree,
        )
    if isinstance(command, Vouch):
        signed = {"statement": "d" * 64, "fingerprint": "SHA256:x"} if command.signature else {}
        word = scene.word(command.principal, command.kind)
        about: dict[str, Any] = (
            {} if command.process or command.kind == "waive" else {"evidence": word.evidence, "tree": word.tree}
        )
        rules = tuple(rule.id for rule in scene.here.rules) if command.kind == "waive" else ()
        return command.replace(
            phase=word.phase,
            attempt_id=word.attempt_id,
            expires=scene.now + command.expires,
            under=word.under,
            process=command.process if command.kind == "approve" else "",
            artifact="note.md" if rules else "",
            rules=rules,
            **about,
            **signed,
        )
    return command


def play(scene: Scene, step: Any, after: Callable[[TaskState, Any, Command], None]) -> None:
    """One command on the scene; `after` sees the state before it and what was decided."""
    command, actor, mark, wait, began, key, notes = step
    scene.wait(wait)
    before = scene.task
    command = stated(scene, command)
    known: dict[str, Any] = {"notes": notes}
    if before.status == "open":
        known["evidence"] = scene.evidence(**mark(scene))
    if began != "honest":
        known["began_with"] = None if began == "none" else before.token - 1
    written = len(scene.events)
    try:
        decision = scene.do(command, actor, key=key, **known)
    except RequestError:
        assert scene.task == before
        decision = None
    # One command appends at most one entry, and only what was appended changes the task.
    assert len(scene.events) - written in (0, 1)
    assert (scene.task == before) == (len(scene.events) == written)
    after(before, decision, command)


@settings(max_examples=150)
@given(steps=STEPS, auto=st.booleans())
def test_tokens_only_grow_and_phases_go_one_forward_or_back(steps: list[Any], auto: bool) -> None:
    scene = staged(auto=auto)

    def check(before: TaskState, decision: Any, command: Command) -> None:
        now, governing = scene.task, scene.processes[before.digest]
        assert now.token in (before.token, before.token + 1)
        assert now.lease is None or now.lease.token == now.token
        assert now.phase in governing.order
        moved = governing.index(now.phase) - governing.index(before.phase)
        assert moved <= 1
        assert (moved > 0) <= isinstance(decision, PhaseAdvanced)
        assert (moved < 0) <= isinstance(decision, PhaseBacktracked)
        assert (now.attempt_id != before.attempt_id) == (moved != 0)

    for step in steps:
        play(scene, step, check)


@settings(max_examples=100)
@given(steps=STEPS)
def test_what_counts_was_accepted_phase_by_phase_up_to_the_current_one(steps: list[Any]) -> None:
    scene = staged()

    def check(before: TaskState, decision: Any, command: Command) -> None:
        now = scene.task
        order = scene.processes[now.digest].order
        walked = order[: order.index(now.phase)] + ((now.phase,) if now.status == "completed" else ())
        assert now.walked == walked
        assert set(now.accepted) == set(walked)
        assert not set(now.invalidated) & set(now.accepted_files())
        assert all(now.attempts[name] >= 1 for name in (*walked, now.phase))

    for step in steps:
        play(scene, step, check)


@settings(max_examples=100)
@given(steps=STEPS)
def test_a_closed_task_stays_as_it_ended(steps: list[Any]) -> None:
    scene = staged().at("MONITOR")
    scene.advance()

    def check(before: TaskState, decision: Any, command: Command) -> None:
        now = scene.task
        assert (now.status, now.phase, now.lease, now.token) == ("completed", "MONITOR", None, before.token)
        assert (now.accepted, now.attempts, now.digest) == (before.accepted, before.attempts, before.digest)

    for step in steps:
        play(scene, step, check)


@settings(max_examples=100)
@given(steps=STEPS)
def test_a_refusal_changes_nothing_but_lease_streak_and_what_was_presented(steps: list[Any]) -> None:
    scene = staged()
    kept = ("status", "phase", "attempt_id", "attempts", "accepted", "walked", "invalidated", "previous", "baselines")

    def check(before: TaskState, decision: Any, command: Command) -> None:
        if isinstance(decision, Event) and decision.refused:
            assert all(getattr(scene.task, field) == getattr(before, field) for field in kept)
            if isinstance(decision, CommandRefused) and decision.stage in ("task", "order", "lease"):
                assert scene.task.lease == before.lease

    for step in steps:
        play(scene, step, check)


@settings(max_examples=100)
@given(steps=STEPS)
def test_a_command_decided_twice_on_the_same_facts_is_answered_twice_the_same(steps: list[Any]) -> None:
    scene = staged()
    for asked, actor, mark, wait, _, _, _ in steps:
        scene.wait(wait)
        command = stated(scene, asked)
        known: dict[str, Any] = {"evidence": scene.evidence(**mark(scene))} if scene.task.status == "open" else {}
        try:
            facts = scene.facts(command, actor, **known)
            first = decide(scene.state, command, facts, scene.governing)
            assert decide(scene.state, command, facts, scene.governing) == first
            scene.do(command, actor, **known)
        except RequestError:
            continue


@settings(max_examples=60)
@given(steps=STEPS)
def test_a_history_that_is_read_again_gives_the_state_that_was_lived(steps: list[Any]) -> None:
    scene = staged(watched())
    places: list[Place] = []

    def note(before: TaskState, decision: Any, command: Command) -> None:
        if scene.task.seq > before.seq:
            now = scene.task
            key = next((name for name, seq in now.keys.items() if seq == now.seq), ".")
            places.append(Place(TASK, now.seq, now.task_seq, now.head, now.ts, key))

    opened = Place(TASK, 0, 1, scene.task.head, scene.task.ts, ".")
    for step in steps:
        play(scene, step, note)
    again: TaskState | None = None
    for event, place in zip(scene.events, [opened, *places], strict=True):
        again = evolve(again, parse(PREFIX + event.type, through_json(event.pack())), place)

    assert again == scene.state


MOVES = (Advance("SPEC"), ClaimLease(), ReleaseLease(), RestoreEvidence("", {}, {}), Backtrack("STRATEGIZE", "Because"))


@settings(max_examples=60)
@given(steps=STEPS, command=st.sampled_from(MOVES))
def test_what_is_already_so_appends_nothing(steps: list[Any], command: Command) -> None:
    """A named target, a lease that is held or free: asking for it again is harmless."""
    scene = staged()
    for step in steps:
        play(scene, step, lambda before, decision, command: None)
    try:
        first = scene.do(command)
    except RequestError:
        return
    if isinstance(first, Event) and not first.refused and not isinstance(command, Backtrack):
        assert scene.do(command) is None


def test_the_commands_of_these_histories_are_all_that_there_are() -> None:
    """A new command has to be played as well."""
    played = {Open, Advance, Backtrack, Abandon, ClaimLease, RenewLease, ReleaseLease, Attest, AcceptBaseline}

    assert played | {AdoptProcess, RestoreEvidence, UseTool, Run, Vouch} == set(Command.__subclasses__())
