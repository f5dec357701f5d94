"""Runs and words on a real ledger: what they name is held against the objects, and what expires against its entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from enforcer.evidence.objects import Objects
from enforcer.gate import Gate
from enforcer.workflow.commands import Advance, Run, Vouch
from enforcer.workflow.events import Made, Refusal
from enforcer.workflow.process import Approval, Observation, Process
from tests.ledger.histories import ADA, History, a_process, digest

HOUR = 3_600_000_000
MARIA = "maria"


def approved_process() -> Process:
    """The first phase is left with an approval, and its note may be made by a run."""
    plain = a_process()
    first = plain.phases[0].replace(approvals=(Approval(signed=False),))
    return plain.replace(phases=(first, *plain.phases[1:]), observe={"note.md": Observation(("make",), reader="log")})


@pytest.fixture
def history(tmp_path):
    history = History(tmp_path)
    history.open_task("T", approved_process())
    yield history
    history.ledger.close()


def ran(history: History, **seen: Any) -> Any:
    """A configured run that made the note."""
    state, made = history.state_of(), history.objects.put(history.note)
    command = Run(
        attempt_id=state.attempt_id,
        process=state.digest,
        observation=history.objects.put(b"all that was seen"),
        configured=True,
        made=(Made("note.md", made, len(history.note), "log"),),
    )
    return history.do(command.replace(**seen))


def said(history: History, **changes: Any) -> Any:
    """Maria declares that she approves the note."""
    state = history.state_of()
    word = Vouch(
        kind="approve",
        phase=state.phase,
        attempt_id=state.attempt_id,
        principal=MARIA,
        nonce=history.entropy.token(16).hex(),
        expires=history.clock.now() + HOUR,
        under=state.digest,
        evidence={f"{state.phase}/note.md": digest(history.note)},
    )
    return history.do(word.replace(**changes), actor=MARIA)


def legal(history: History) -> Any:
    report = history.verify()
    assert report.legality == "verified", report.findings
    return report


# Objects --------------------------------------------------------------------------------------------------------------


def test_an_honest_ledger_of_runs_and_words_verifies(history):
    ran(history).require()
    said(history).require()
    said(history, kind="reject", reason="No").require()
    outcome = ran(history, faults=(Refusal("evidence_invalid", "It timed out."),))

    assert not outcome
    report = legal(history)
    assert (report.integrity, report.evidence) == ("verified", "verified")


@pytest.mark.parametrize(
    "content, named",
    [
        (b"all that was seen", "the observation of a run"),
        (b"# A note\n", "SPEC/note.md, as the run made it"),
        (b"the statement", "the statement that was signed"),
        (b"the signature", "the signature"),
    ],
)
def test_an_object_that_a_run_or_a_word_names_and_that_is_gone_is_missed(history, content, named):
    signed = {
        "statement": history.objects.put(b"the statement"),
        "signature": history.objects.put(b"the signature"),
        "fingerprint": "SHA256:key",
    }
    ran(history).require()
    said(history, **signed).require()
    name = digest(content)
    (history.state / "objects" / name[:2] / name[2:]).unlink()

    report = history.verify()

    assert report.evidence == "unverifiable"
    assert any(named in finding.message for finding in report.findings), report.findings


def test_the_record_of_a_run_that_was_refused_is_missed_as_well(history):
    ran(history, faults=(Refusal("evidence_invalid", "It timed out."),))
    name = digest(b"all that was seen")
    (history.state / "objects" / name[:2] / name[2:]).unlink()

    assert history.verify().evidence == "unverifiable"


# Time -----------------------------------------------------------------------------------------------------------------


def test_what_expires_is_held_against_the_time_of_the_entry_though_the_clock_was_set_back(history):
    """The ledger's time does not go back, so by its time the approval is over."""
    said(history, expires=history.clock.now() + HOUR).require()
    history.clock.pass_us(2 * HOUR)
    history.open_task("U", a_process())
    history.clock.time -= 3 * HOUR

    outcome = history.do(Advance())

    assert [one.code for one in outcome.refusals] == ["approval_missing"]
    legal(history)


class Slow(Objects):
    """While evidence is made durable, somebody else writes, and time goes by."""

    meanwhile: Any = None

    def put_many(self, contents: Iterable[bytes]) -> list[str]:
        stored = super().put_many(contents)
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            act()
        return stored


def test_an_approval_that_ends_before_the_entry_is_written_does_not_count(history):
    said(history, expires=history.clock.now() + HOUR).require()
    slow = Slow(str(history.state / "objects"), history.disk, history.entropy)
    history.objects = slow
    other = Gate(
        store=history.open_ledger(),
        leases=history.leases,
        observer=history,
        objects=Objects(str(history.state / "objects"), history.disk, history.entropy),
        margins=history.margins,
        processes=history.process,
        clock=history.clock,
        entropy=history.entropy,
    )

    def meanwhile() -> None:
        history.clock.pass_us(2 * HOUR)
        history_open(other, history)

    history.gate._objects = slow
    slow.meanwhile = meanwhile

    outcome = history.do(Advance(), actor=ADA)

    assert [one.code for one in outcome.refusals] == ["approval_missing"]
    legal(history)


def history_open(gate: Gate, history: History) -> None:
    """Another task, opened through another gate."""
    first, history.gate = history.gate, gate
    try:
        history.open_task("U", a_process())
    finally:
        history.gate = first
