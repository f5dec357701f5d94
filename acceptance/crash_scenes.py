"""What is going on when the disk fails or the process dies: projects in a certain state, and what is done to them then.

A scene is made once and copied for each case. Its steps are commands through the library, each with an idempotency key,
and each acknowledged over a socket only after the library has returned: whatever was acknowledged has to be there ever
after. A step that gets an error is tried once more with the same key, by the same process, as a client would.
"""

from __future__ import annotations

import json
import shutil
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from acceptance.doubles import FailingDisk, ManualClock, QuickDisk
from acceptance.world import GOOD, plain_process
from enforcer import Enforcer, EnforcerError, RequestError
from enforcer import enforcer as composition
from enforcer.attestation.signatures import verify_ed25519
from enforcer.evidence.objects import Objects
from enforcer.evidence.processes import StoredProcesses
from enforcer.initialize import initialize
from enforcer.ledger import verify as ledger_verify
from enforcer.ledger.files import FileLedger
from enforcer.ledger.heads import Demands
from enforcer.ledger.note import parse_vkey
from enforcer.ledger.report import Report
from enforcer.ports import Disk, SystemDisk, SystemEntropy
from enforcer.userstate import UserState

TASK, ACTOR = "T", "ada"
SHORT = 8  # Lines of a segment, where a scene crosses the end of one.
USUAL = 65_536
BLOCK = 256  # Entries after which a tile is full and a snapshot is due.

Ack = dict[str, Any]


class Place:
    """A project and its user's folder, always below the same path: the user's folder knows the project by it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root, self.home = folder / "project", folder / "home"
        self.state = self.root / "state"
        self.ledger = self.state / "ledger"

    @property
    def environ(self) -> dict[str, str]:
        return {"ENFORCER_HOME": str(self.home), "HOME": str(self.home)}

    def segments(self) -> list[Path]:
        return sorted((self.ledger / "seg").glob("*.jsonl"))

    def lines(self) -> tuple[list[bytes], bytes]:
        """The complete lines, and the bytes after the last one; read without the package."""
        *lines, rest = b"".join(path.read_bytes() for path in self.segments()).split(b"\n")
        return lines, rest

    def keep(self, copy: Path) -> None:
        shutil.copytree(self.folder, copy, symlinks=True)

    def restore(self, copy: Path) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(copy, self.folder, symlinks=True)

    def verify(self, lines: int) -> Report:
        """What the library's `verify` says, with the ledger's key pinned and what the user has seen."""
        disk, entropy = SystemDisk(), SystemEntropy()
        objects = Objects(str(self.state / "objects"), disk, entropy)
        memory = UserState(str(self.home), disk, entropy)
        known = memory.ledger_of(str(self.state))
        demands = Demands()
        if (self.ledger / "ledger.json").exists():
            identity = json.loads((self.ledger / "ledger.json").read_bytes())
            pinned = () if identity["key"] is None else (parse_vkey(identity["key"]),)
            demands = Demands(keys=pinned, seen=memory.seen(identity["id"]))
        return ledger_verify.verify(
            str(self.ledger),
            disk=disk,
            objects=objects,
            processes=StoredProcesses(objects),
            known=known,
            demands=demands,
            check=verify_ed25519,
            cores=1,
            segment_lines=lines,
        )


class Session:
    """A process's use of a project: opened at the first step that needs it, and kept, whatever fails, until the end."""

    def __init__(self, place: Place, lines: int, disk: Disk | None = None) -> None:
        self.place, self.disk = place, disk or SystemDisk()
        # The table of the composition root is where a store is chosen, and so where the length of a segment is.
        composition.STORES[""] = partial(FileLedger, segment_lines=lines)  # type: ignore[assignment]
        self._enforcer: Enforcer | None = None

    @property
    def enforcer(self) -> Enforcer:
        if self._enforcer is None:
            given: dict[str, Any] = {"disk": self.disk, "clock": ManualClock(), "environ": self.place.environ}
            self._enforcer = Enforcer.open(root=str(self.place.root), actor=ACTOR, **given)
        return self._enforcer

    @property
    def task(self) -> Any:
        return self.enforcer.task(TASK)

    def close(self) -> None:
        if self._enforcer is not None:
            self._enforcer.close()


class Step(NamedTuple):
    """One call of a client; `key` is empty where it appends nothing of its own."""

    name: str
    key: str
    act: Callable[[Session], Ack]


def _placed(outcome: Any) -> Ack:
    return {"seq": outcome.seq, "hash": outcome.hash}


def claim(key: str) -> Step:
    return Step("claim", key, lambda session: _placed(session.task.claim(key=key)))


def release(key: str) -> Step:
    return Step("release", key, lambda session: _placed(session.task.release(key=key)))


def attest(key: str) -> Step:
    return Step("attest", key, lambda session: _placed(session.task.attest({"header": key}, key=key)))


def advance(key: str) -> Step:
    return Step("advance", key, lambda session: _placed(session.task.advance(key=key)))


def open_task(key: str) -> Step:
    return Step("open", key, lambda session: _placed(session.enforcer.submit_open(TASK, title="Keep it", key=key)))


def seal() -> Step:
    def act(session: Session) -> Ack:
        if session.enforcer.identity.key is None:
            return {"unsealed": True}  # No key could be made when the ledger was begun, which `init` says.
        sealed = session.enforcer.sealer.seal()
        return {"size": sealed.size, "root": sealed.root.hex()}

    return Step("seal", "", act)


def begin() -> Step:
    def act(session: Session) -> Ack:
        place = session.place
        initialize(str(place.root), process="p.toml", actor=ACTOR, environ=place.environ, disk=session.disk)
        session.enforcer.ledger.catch_up()
        return {"seq": 0, "hash": session.enforcer.ledger.entry(0).hash}

    return Step("begin", "", act)


class Scenario(NamedTuple):
    """A state of a project, and the steps during which something happens to it."""

    name: str
    prepare: Callable[[Place], None]
    steps: tuple[Step, ...]
    lines: int = USUAL
    begun: bool = True

    def make(self, place: Place) -> None:
        """Lay the scene."""
        place.root.mkdir(parents=True)
        place.home.mkdir()
        (place.root / "p.toml").write_text(plain_process(), encoding="utf-8")
        self.prepare(place)


def play(session: Session, steps: tuple[Step, ...], tell: Callable[[Ack], None]) -> None:
    """Take the steps, and tell of each acknowledgement and of each error; the first that fails twice is the last."""
    try:
        try:
            done = all(_took(session, number, step, tell) for number, step in enumerate(steps))
        finally:
            session.close()
        if done:
            tell({"end": True})
    except BaseException:
        tell({"crash": traceback.format_exc()})


def _took(session: Session, number: int, step: Step, tell: Callable[[Ack], None], tries: int = 2) -> bool:
    for _ in range(tries):
        try:
            acknowledged = step.act(session)
        except EnforcerError as error:
            tell({"step": number, "error": error.code, "request": isinstance(error, RequestError)})
        else:
            tell({"step": number, "key": step.key, **acknowledged})
            return True
    return False


# The scenes -----------------------------------------------------------------------------------------------------------


def _nothing(place: Place) -> None:
    """A folder with a process file: nobody has been here."""


def _begun(place: Place, lines: int = USUAL, entries: int = 2, *, sealed: bool = False) -> None:
    """A ledger of so many entries: its first one, a task, and the claims and releases of its lease."""
    session = Session(place, lines, QuickDisk())
    for step in (begin(), open_task("o")):
        step.act(session)
    for number in range(entries - 2):
        (release if number % 2 else claim)(f"p{number}").act(session)
    if sealed:
        session.enforcer.sealer.seal()
    session.close()


def _with_evidence(place: Place) -> None:
    _begun(place, sealed=True)
    note = place.state / "evidence" / TASK / "strategize" / "note.md"
    note.parent.mkdir(parents=True)
    note.write_text(GOOD, encoding="utf-8")


def _torn(place: Place, lines: int, entries: int) -> None:
    """The last line stopped half way; where `entries` fill a segment it is the first one of the next."""
    _begun(place, lines, entries)
    last = place.segments()[-1]
    if entries % lines == 0:
        last = last.with_name(f"{entries:020}.jsonl")
    with last.open("ab") as file:
        file.write(b'{"event":{"data":{"actor":"ada","kind":"' + b"x" * 200)


def _unsynced(place: Place, lines: int = USUAL, entries: int = 4) -> None:
    """A sync has failed after the last line: it is there, and nobody was told that it is."""
    _begun(place, lines, entries)
    disk = FailingDisk("datasync")
    session = Session(place, lines, disk)
    session.enforcer.ledger.catch_up()
    disk.armed = True
    told: list[Ack] = []
    _took(session, 0, attest("unheard"), told.append, tries=1)
    session.close()
    assert [one.get("error") for one in told] == ["sync_failed"], told


def _unsynced_and_torn(place: Place) -> None:
    _unsynced(place)
    with place.segments()[-1].open("ab") as file:
        file.write(b'{"event":{"data":')


SCENARIOS = {
    one.name: one
    for one in (
        Scenario("begin a ledger", _nothing, (begin(), open_task("k1")), begun=False),
        Scenario("append", partial(_begun, entries=4), (claim("k1"), attest("k2"))),
        Scenario("advance", _with_evidence, (advance("k1"),)),
        Scenario("checkpoint", partial(_begun, entries=BLOCK - 2, sealed=True), (claim("k1"), attest("k2"), seal())),
        Scenario("rotate", partial(_begun, lines=SHORT, entries=SHORT - 1), (attest("k1"), attest("k2")), SHORT),
        Scenario("cut a torn tail", partial(_torn, lines=USUAL, entries=4), (claim("k1"),)),
        Scenario("cut a torn first line", partial(_torn, lines=SHORT, entries=SHORT), (claim("k1"),), SHORT),
        Scenario("write anew", _unsynced, (attest("k1"),)),
        Scenario("write anew, torn", _unsynced_and_torn, (attest("k1"),)),
        Scenario(
            "write anew, full segment", partial(_unsynced, lines=SHORT, entries=SHORT - 1), (attest("k1"),), SHORT
        ),
    )
}


def healing(scenario: Scenario) -> Iterator[Step]:
    """What the next process does: the same calls with the same keys, one more, and a checkpoint of all of it."""
    yield from scenario.steps
    yield attest("after")
    yield seal()
