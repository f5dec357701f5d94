"""Approvals that were forged into a ledger whose every hash fits: `verify` asks what was signed, by whom and when."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enforcer.attestation.approval import ADOPT, APPROVE, REJECT, WAIVE, Statement, parse_statement, statement_bytes
from enforcer.attestation.signers import parse_allowed_signers
from enforcer.ledger.approvals import Signings
from enforcer.ledger.codec import canonical
from enforcer.ledger.report import Report
from enforcer.workflow.commands import Advance, Vouch
from enforcer.workflow.events import ApprovalGranted
from enforcer.workflow.process import Process
from tests.attestation.sshkeys import HardwareKey, armor, sshsig, string
from tests.ledger.histories import ADA, ID, IDENTITY, History, a_process, digest, rewrite
from tests.ledger.test_verify import codes, edit, forge
from tests.ledger.test_workers import check as check_on
from tests.ledger.test_workers import put_in_segments

HOUR = 3_600_000_000
CAROL, DORA, EVE = (HardwareKey(curve) for curve in ("ed25519", "ecdsa", "ed25519"))


def fingerprint(key: HardwareKey) -> str:
    [signer] = parse_allowed_signers(f"x {key.public}".encode())
    return signer.fingerprint


class Office:
    """A task under a process that lists Carol's and Dora's keys, and what they say of it."""

    def __init__(self, folder: Path, *, options: str = "") -> None:
        self.history = History(folder)
        self.process = listing(f"carol {options}{CAROL.public}\ndora {DORA.public}\n")
        self.history.open_task("T", self.process)
        self.count = 0

    def statement(self, kind: str = APPROVE, principal: str = "carol", task: str = "T", **changes: Any) -> Statement:
        """What there is to sign of a task now."""
        state = self.history.state_of(task)
        self.count += 1
        usual: dict[str, Any] = {
            "kind": kind,
            "ledger": ID,
            "task": task,
            "phase": state.phase,
            "attempt_id": state.attempt_id,
            "process": state.digest,
            "principal": principal,
            "expires": self.history.clock.now() + HOUR,
            "nonce": f"{self.count:032x}",
            "evidence": {f"{state.phase}/note.md": digest(self.history.note)},
            "tree": "6" * 40,
            "reason": "" if kind == APPROVE else "Because.",
        }
        if kind == WAIVE:
            usual |= {"artifact": "note.md", "rules": ("sections",), "evidence": {}, "tree": ""}
        return Statement(**{**usual, **changes})

    def say(self, statement: Statement, key: HardwareKey = CAROL) -> None:
        """As the gate records it, once it has checked the signature."""
        data, signature = statement_bytes(statement), key.sign(statement_bytes(statement))
        adopts = statement.kind == ADOPT
        state = self.history.state_of(statement.task)
        objects = self.history.objects
        said = Vouch(
            kind=APPROVE if adopts else statement.kind,
            phase=statement.phase,
            attempt_id=statement.attempt_id,
            principal=statement.principal,
            nonce=statement.nonce,
            expires=statement.expires,
            under=state.digest,
            statement=objects.put(data),
            signature=objects.put(signature.encode()),
            fingerprint=fingerprint(key),
            evidence=dict(statement.evidence),
            tree=statement.tree,
            process=statement.process if adopts else "",
            artifact=statement.artifact,
            rules=statement.rules,
            reason=statement.reason,
        )
        assert self.history.do(said, task=statement.task, actor=statement.principal), "it is refused"

    # The forger

    def resigned(self, statement: Statement | bytes, key: HardwareKey = CAROL, **data: Any) -> Report:
        """The entry of the approval names this statement, signed by that key."""
        written = statement if isinstance(statement, bytes) else statement_bytes(statement)
        names = {"statement": self.history.objects.put(written), "fingerprint": fingerprint(key)}
        return self.naming(key.sign(written), **names, **data)

    def naming(self, signature: str, **data: Any) -> Report:
        """The entry of the approval names this signature."""
        return self.editing(signature=self.history.objects.put(signature.encode("utf-8")), **data)

    def editing(self, **data: Any) -> Report:
        return forge(self.history, edit(self.history.seq_of("approval.granted"), **data))


def listing(signers: str, name: str = "short") -> Process:
    return a_process(name).replace(signers=signers, break_glass=("dora",))


@pytest.fixture
def office(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    office.say(office.statement())
    assert office.history.do(Advance())
    return office


def forged(report: Report) -> str:
    """What `approval_forged` says, where the verdict is that the ledger was tampered with and nothing else is."""
    told = [one for one in report.findings if one.code == "approval_forged"]
    assert (report.verdict, report.exit_status, report.legality) == ("tampered", 1, "tampered"), report.findings
    assert (report.integrity, len(told)) == ("verified", 1), report.findings
    return told[0].message


def unchecked(report: Report) -> str:
    """What `approval_unchecked` says, where nobody is accused."""
    told = [one for one in report.findings if one.code == "approval_unchecked"]
    assert (report.verdict, report.exit_status, report.legality) == ("unverifiable", 2, "unverifiable")
    assert len(told) == 1
    return told[0].message


def seq(report: Report) -> int | None:
    return next(one.seq for one in report.findings if one.code.startswith("approval_"))


# Honest approvals ----------------------------------------------------------------------------------------------------


def test_everything_that_can_be_signed_is_verified(office: Office) -> None:
    other = office.history.store(listing(f"carol {CAROL.public}\n", "other"))
    office.say(office.statement(REJECT, "dora"), DORA)
    office.say(office.statement(WAIVE, "dora"), DORA)
    office.say(office.statement(ADOPT, process=other, evidence={}, tree="", reason="Simpler."))
    report = office.history.verify()
    assert (report.verdict, report.findings) == ("verified", ())


def test_a_mere_declaration_has_nothing_to_be_checked(tmp_path: Path) -> None:
    office = Office(tmp_path)
    said = office.statement()
    fields = ("kind", "phase", "attempt_id", "principal", "nonce", "expires", "evidence", "tree")
    declared = Vouch(under=said.process, **{name: getattr(said, name) for name in fields})
    assert office.history.do(declared, actor="carol")
    assert office.history.verify().findings == ()


# Forged ones ---------------------------------------------------------------------------------------------------------


def test_a_signature_of_another_statement_is_found(office: Office) -> None:
    other = office.statement(nonce="f" * 32)
    report = office.naming(CAROL.sign(statement_bytes(other)))
    assert forged(report).startswith("signature_mismatch: ")
    assert seq(report) == office.history.seq_of("approval.granted")


def test_a_made_up_signature_by_a_listed_key_is_found(office: Office) -> None:
    blob = string(CAROL.key_type.encode()) + string(b"\1" * 64) + b"\1" + b"\0\0\0\7"
    assert "signature_mismatch" in forged(office.naming(armor(sshsig(CAROL.key, blob))))


@pytest.mark.parametrize("text", ["yes", "é", ""])
def test_what_is_no_signature_is_found(office: Office, text: str) -> None:
    assert "signature_malformed" in forged(office.naming(text))


def test_a_key_that_the_process_does_not_list_is_found(office: Office) -> None:
    said = office.statement(nonce="1".zfill(32))
    assert "signer_unknown" in forged(office.resigned(said, EVE, expires=said.expires))


def test_the_key_of_another_principal_is_found(office: Office) -> None:
    said = office.statement(nonce="1".zfill(32))
    assert "signer_other" in forged(office.resigned(said, DORA, expires=said.expires))


def test_a_signature_for_another_purpose_is_found(office: Office) -> None:
    [statement] = statements(office)
    assert "signature_namespace" in forged(office.naming(CAROL.sign(statement, namespace=b"file")))


def test_a_key_that_no_hand_has_touched_is_found(office: Office) -> None:
    [statement] = statements(office)
    assert "signature_malformed" in forged(office.naming(CAROL.sign(statement, flags=0)))


def test_a_fingerprint_of_somebody_else_is_found(office: Office) -> None:
    assert "signer_other" in forged(office.editing(fingerprint=fingerprint(DORA)))


def test_a_key_counts_at_the_time_of_the_entry(tmp_path: Path) -> None:
    """It is valid for a minute; before and after it somebody else has written that Carol approves."""
    office = Office(tmp_path, options='valid-after="20231114221400Z",valid-before="20231114221500Z" ')
    office.history.clock.time = 1_700_000_000_000_000  # 2023-11-14T22:13:20Z
    told = []
    for code in ("signer_early", "", "signer_expired"):
        office.say(office.statement())
        told += [(office.history.ledger.head.size - 1, code)] if code else []
        office.history.clock.pass_us(60_000_000)
    found = office.history.verify().findings
    assert [(one.seq, one.code) for one in found] == [(seq, "approval_forged") for seq, _ in told]
    assert all(code in one.message for one, (_, code) in zip(found, told, strict=True))


def test_a_process_that_lists_nobody_is_not_approved_by_anybody(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.history.open_task("U", a_process())
    office.say(office.statement(task="U"))
    assert "signers_malformed" in forged(office.history.verify())


def statements(office: Office) -> list[bytes]:
    """The bytes that the approvals on the ledger name."""
    return [office.history.objects.get(event.statement) for event in granted(office)]


def granted(office: Office) -> list[ApprovalGranted]:
    events = [entry.event for entry in office.history.ledger.entries()]
    return [event for event in events if isinstance(event, ApprovalGranted)]


OTHERS: dict[str, Any] = {
    "ledger": "e" * 32,
    "task": "U",
    "phase": "PLAN",
    "attempt_id": "e" * 32,
    "process": "e" * 64,
    "expires": 4_000_000_000_000_000,
    "nonce": "e" * 32,
    "evidence": {"SPEC/note.md": "e" * 64},
    "tree": "e" * 40,
    "reason": "Another.",
}


@pytest.mark.parametrize("field", OTHERS)
def test_a_statement_that_says_something_else_than_the_entry_is_found(office: Office, field: str) -> None:
    """A true signature, of something that Carol did sign: for another task, of other evidence, in another ledger."""
    said = parse_statement(statements(office)[0]).replace(**{field: OTHERS[field]})
    assert forged(office.resigned(said)).endswith(
        f"statement_other: What was signed has another {field} than the entry."
    )


@pytest.mark.parametrize("kind", [REJECT, ADOPT])
def test_what_was_said_is_not_taken_for_something_else(office: Office, kind: str) -> None:
    said = parse_statement(statements(office)[0]).replace(kind=kind, reason="No.")
    assert "another kind" in forged(office.resigned(said, reason="No."))


@pytest.mark.parametrize("field", ["evidence", "expires", "nonce", "reason", "tree"])
def test_an_entry_that_says_something_else_than_was_signed_is_found(office: Office, field: str) -> None:
    """Only what a single entry does not contradict by itself; the rest is found in other ways as well."""
    report = office.editing(**{field: OTHERS[field]})
    told = [one.message for one in report.findings if one.code == "approval_forged"]
    assert len(told) == 1
    assert f"another {field} than the entry" in told[0]
    assert report.verdict == "tampered"


def test_a_process_that_was_not_the_one_to_adopt_is_found(office: Office) -> None:
    one, other = (office.history.store(listing(f"carol {CAROL.public}\n", name)) for name in ("one", "other"))
    office.say(office.statement(ADOPT, process=one, evidence={}, tree="", reason="Simpler."))
    report = forge(office.history, edit(office.history.seq_of("approval.granted", 1), process=other))
    assert "another process" in forged(report)


@pytest.mark.parametrize("changes", [{"rules": ["reviewer"]}, {"artifact": "other.md"}])
def test_other_rules_than_were_waived_are_found(tmp_path: Path, changes: dict[str, Any]) -> None:
    office = Office(tmp_path)
    office.say(office.statement(WAIVE, "dora"), DORA)
    report = forge(office.history, edit(office.history.seq_of("rules.waived"), **changes))
    assert "approval_forged" in codes(report)
    assert report.verdict == "tampered"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"\n",
        lambda data: data.replace(b'"kind":"approve"', b'"kind":"bless"'),
        lambda data: b"yes",
        lambda data: data.replace(b"enforcer/approval/v1", b"something/else"),
    ],
)
def test_a_statement_that_is_none_is_found(office: Office, change: Callable[[bytes], bytes]) -> None:
    assert "statement_malformed" in forged(office.resigned(change(statements(office)[0])))


def test_everything_that_is_wrong_is_told(office: Office) -> None:
    said = parse_statement(statements(office)[0]).replace(task="U")
    told = forged(office.resigned(said, EVE))
    assert "another task" in told
    assert "signer_unknown" in told


def test_a_forger_writes_nothing_into_the_terminal(office: Office) -> None:
    report = office.editing(principal="\x1b[2Jcarol")
    assert "approval_forged" in codes(report)
    assert all(one.message.isprintable() for one in report.findings)


# Nobody can tell -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["statement", "signature"])
def test_without_its_objects_an_approval_is_not_checked_and_not_called_forged(office: Office, field: str) -> None:
    [event] = granted(office)
    name = getattr(event, field)
    (office.history.state / "objects" / name[:2] / name[2:]).unlink()
    report = office.history.verify()
    assert "cannot be read" in unchecked(report)
    assert (report.evidence, "object_missing" in codes(report)) == ("unverifiable", True)


def test_an_object_that_was_changed_is_damage_and_its_signature_is_not_checked(office: Office) -> None:
    [event] = granted(office)
    path = office.history.state / "objects" / event.signature[:2] / event.signature[2:]
    path.chmod(0o600)
    path.write_bytes(b"x")
    report = office.history.verify()
    assert {"object_damaged", "approval_unchecked"} == codes(report)
    assert (report.verdict, report.legality, report.evidence) == ("tampered", "unverifiable", "tampered")


def test_a_signature_of_a_later_kind_is_not_called_forged(office: Office) -> None:
    key = string(b"ssh-mldsa-65@openssh.com") + string(b"x" * 1952)
    later = armor(sshsig(key, string(b"ssh-mldsa-65@openssh.com") + string(b"x" * 3309)))
    assert "ssh-mldsa-65" in unchecked(office.naming(later))


def test_a_statement_of_a_later_format_is_not_called_forged(office: Office) -> None:
    later = statements(office)[0].replace(b"enforcer/approval/v1", b"enforcer/approval/v2")
    assert "enforcer/approval/v1" in unchecked(office.resigned(later))


def test_a_list_with_a_key_of_a_later_kind_is_not_called_forged(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.history.open_task("U", listing(f"carol {CAROL.public}\neve ssh-mldsa-65@openssh.com AAAA\n"))
    office.say(office.statement(task="U"))
    assert "list of allowed signers" in unchecked(office.history.verify())


def test_under_a_process_that_is_gone_nothing_more_is_said(office: Office) -> None:
    name = digest(canonical(office.process.pack()))
    (office.history.state / "objects" / name[:2] / name[2:]).unlink()
    report = office.history.verify()
    assert (report.verdict, codes(report)) == ("unverifiable", {"object_missing", "legality_unchecked"})


# On two cores --------------------------------------------------------------------------------------------------------


def test_two_cores_find_the_approvals_that_one_finds(office: Office) -> None:
    """Of tasks of both, each of which has honest approvals and forged ones."""
    second = next(name for name in "UVWXYZ" if zlib.crc32(name.encode()) % 2 != zlib.crc32(b"T") % 2)
    office.history.open_task(second, office.process)
    for task in ("T", second) * 3:
        office.say(office.statement(task=task))
        office.say(office.statement(REJECT, task=task))
        assert not office.history.do(Advance(), task=task, actor=ADA), "it was rejected"
    honest = office.history.lines()
    put_in_segments(office.history, [*honest])
    assert check_on(office.history, 1).verdict == "verified"
    assert check_on(office.history, 2) == check_on(office.history, 1)

    bad = office.history.objects.put(CAROL.sign(b"something else").encode())
    at = [seq for seq, line in enumerate(honest) if b"approval.rejected" in line]
    assert len(at) == 6

    def change(number: int, entry: dict[str, Any]) -> None:
        if number in at:
            entry["event"]["data"]["signature"] = bad

    put_in_segments(office.history, rewrite(honest, change, IDENTITY.data()))
    one = check_on(office.history, 1)
    assert [(each.seq, each.code) for each in one.findings] == [(seq, "approval_forged") for seq in at]
    assert check_on(office.history, 2) == one


def test_signings_are_what_they_were_in_another_process() -> None:
    signings, other = Signings(), Signings()
    signings.add(7, "a" * 64, "b" * 64)
    signings.add(1 << 40, "c" * 64, "d" * 64)
    other.merge(signings.pack())
    assert list(other) == list(signings) == [(7, "a" * 64, "b" * 64), (1 << 40, "c" * 64, "d" * 64)]
    for packed in ("00", "x", signings.pack() + "00"):
        with pytest.raises(ValueError, match=r"whole signings|non-hexadecimal"):
            other.merge(packed)
