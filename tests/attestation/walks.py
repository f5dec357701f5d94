"""Walks to be exported: a real history by the real gate, and one whose VERIFY holds whatever a test says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enforcer.attestation.walk import Walk, walk_of
from enforcer.ledger.codec import canonical
from enforcer.ledger.entry import Entry, parse_leaf
from enforcer.workflow.commands import AdoptProcess, Advance, Backtrack
from enforcer.workflow.events import Accepted
from enforcer.workflow.process import Artifact, Observation, Phase, Process
from tests.ledger.histories import BOB, CARL, History, a_process, digest, phase
from tests.telemetry.story import Story


class Signer:
    """An Ed25519 key that is the same in every run."""

    def __init__(self, seed: int = 1) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public_key = self._private.public_key()
        self.public = self.public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)

    def __call__(self, message: bytes) -> bytes:
        return self._private.sign(message)

    def pem(self) -> bytes:
        return self.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


LEDGER_KEY, FOREIGN_KEY = Signer(1), Signer(2)


def told(folder: Path, *, to_the_end: bool = True) -> History:
    """A task `T` with a refused skip, a backtrack, a new process and a reviewer; and beside it a task `U`."""
    history = History(folder)
    history.open_task("T", key="open-1")
    history.open_task("U")
    assert not history.do(Advance(to="REVIEW"))
    for phase_name in ("SPEC", "PLAN"):
        history.note = f"# {phase_name}\n".encode()
        assert history.do(Advance())
    history.do(Advance(), task="U", actor=CARL)
    assert history.do(Backtrack("PLAN", "The plan was wrong."))
    for phase_name in ("PLAN again", "IMPLEMENT"):
        history.note = f"# {phase_name}\n".encode()
        assert history.do(Advance())
    more = a_process("longer", more=(phase("PR"),))
    history.do(AdoptProcess("longer", history.store(more), "We publish.", "dora", more.order), actor=CARL)
    if to_the_end:
        history.clock.pass_us(600_000_000)  # The lease of the one who implemented has expired.
        for phase_name in ("REVIEW", "PR"):
            history.note = f"# {phase_name}\n".encode()
            assert history.do(Advance(), actor=BOB)
    return history


def leaves_of(history: History, task: str = "T") -> list[bytes]:
    return [line for line in history.lines() if parse_leaf(line).task == task]


def walk_in(history: History, task: str = "T") -> Walk:
    return walk_of([parse_leaf(line) for line in leaves_of(history, task)], history.process)


def verified(
    *,
    origin: str = "observed",
    results: bytes = b'{"total": 3, "passed": 3, "failed": 0, "errors": 0, "skipped": 0}',
    observe: bool = True,
    stands_on: tuple[str, ...] | None = None,
    **more: Any,
) -> tuple[Walk, dict[str, bytes]]:
    """A walk of IMPLEMENT and VERIFY, and its objects; `more` are fields of the acceptance in VERIFY."""
    patch, log = b"diff", b"exit status: 0\n"
    process = Process(
        "tested",
        (
            Phase("IMPLEMENT", (Artifact("git_diff.patch", "diff"),)),
            Phase(
                "VERIFY",
                (
                    Artifact("test_results.json", "json", stands_on=stands_on),
                    Artifact("build_output.log", "text", stands_on=stands_on),
                ),
            ),
        ),
        observe={"test_results.json": Observation(("python", "-m", "pytest"), "src", "pytest")} if observe else {},
    )
    objects = {digest(one): one for one in (patch, log, results, canonical(process.pack()))}
    story = Story()
    story.open(phase="IMPLEMENT")
    story.advance("IMPLEMENT", "VERIFY", evidence=(_accepted("git_diff.patch", patch, "claimed"),))
    evidence = (_accepted("test_results.json", results, origin), _accepted("build_output.log", log, "claimed"))
    story.complete("VERIFY", evidence=evidence, **{"tree": "e" * 40, "commit": "c" * 40, **more})
    return walk_of(story.entries(), lambda _: process), objects


def _accepted(name: str, data: bytes, origin: str) -> Accepted:
    return Accepted(name, digest(data), len(data), origin)


def entries_of(history: History, task: str = "T") -> list[Entry]:
    return [parse_leaf(line) for line in leaves_of(history, task)]
