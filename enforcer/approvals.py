"""`enforcer approve`: what somebody says of exactly what is there, signed, and put on the record.

The statement is made from the very bytes that are shown, and what is recorded is what was signed. Whether it counts is
the gate's to say: a signature that does not hold is refused on the record like anything else.
"""

from __future__ import annotations

from enforcer.attestation import ssh
from enforcer.attestation.admission import identify
from enforcer.attestation.approval import ADOPT, APPROVE, WAIVE, ApprovalFault, Statement, render, statement_bytes
from enforcer.attestation.circumstances import NOTHING
from enforcer.beholding import evidence_circumstances, move_circumstances
from enforcer.errors import RequestError
from enforcer.workflow import adoption
from enforcer.workflow.approving import Ballot, describe, given_evidence
from enforcer.workflow.commands import Vouch
from enforcer.workflow.record import Record
from enforcer.workflow.state import OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from enforcer.attestation.circumstances import Circumstances
    from enforcer.gate import Outcome
    from enforcer.task import Task

DAY_US = 86_400_000_000


class Wish(Record, kw_only=True):
    """What is to be said: `kind` is approve, reject, waive or adopt.

    `principal` is who says it; empty for the one whose key signs. `lasting_us` is for how long it counts. `rules` of
    `artifact` are what `waive` waives, and `process` (a shipped name or a path) is what the task may `adopt`.
    """

    kind: str = APPROVE
    principal: str = ""
    lasting_us: int = DAY_US
    reason: str = ""
    artifact: str = ""
    rules: tuple[str, ...] = ()
    process: str = ""


class Draft(Record):
    """A statement that waits for its signature, the bytes of the evidence that it names, and what to know besides."""

    statement: Statement
    contents: Mapping[str, bytes]
    around: Circumstances = NOTHING

    @property
    def text(self) -> str:
        """What a person is shown before they sign. Raises `RequestError` where it cannot be shown truly."""
        _check_whole(self.statement)
        try:
            return render(self.statement, self.contents, self.around)
        except ApprovalFault as error:
            raise RequestError("content_changed", error.message, fix="Ask for it anew.") from None


def draft(task: Task, wish: Wish, key_file: str = "") -> Draft:
    """The statement over what is there now. Raises `RequestError` and `UnavailableError` where there is none to make.

    With a `key_file` it is said by the principal whose key that is.
    """
    enforcer, state = task.enforcer, task.state()
    if state.status != OPEN:
        raise RequestError("task_is_closed", f"The task is {state.status}.", where=state.task, fix="Open a new task.")
    principal = _principal(task, wish, key_file)
    about_evidence = wish.kind not in (WAIVE, ADOPT)
    facts = task.evidence() if about_evidence else None
    files, problems = enforcer.folder.read(state.task, state.phase, [each.name for each in task.phase().artifacts])
    unsafe = [each for each in problems if each.code != "evidence_missing"]
    if about_evidence and unsafe:
        raise RequestError("evidence_unsafe", unsafe[0].message, where=unsafe[0].name, fix=unsafe[0].fix)
    shown = files if about_evidence else {}
    digest, around = state.digest, NOTHING
    digests = {name: file.digest for name, file in shown.items()}
    if wish.kind == ADOPT:
        name = wish.process or enforcer.settings.process
        loaded = enforcer.load_process(name)
        digest, around = loaded.digest, move_circumstances(task, name, loaded)
    elif about_evidence:
        around = evidence_circumstances(task, digests)
    statement = Statement(
        kind=wish.kind,
        ledger=enforcer.identity.id,
        task=state.task,
        phase=state.phase,
        attempt_id=state.attempt_id,
        process=digest,
        principal=principal,
        expires=enforcer.clock.now() + wish.lasting_us,
        nonce=enforcer.entropy.token(16).hex(),
        evidence=given_evidence(state.phase, digests),
        tree=enforcer.working_tree() if about_evidence else "",
        commit=enforcer.head_commit() if about_evidence else "",
        risks=tuple(sorted(facts.risks)) if facts is not None else (),
        reason=wish.reason,
        artifact=wish.artifact,
        rules=tuple(sorted(set(wish.rules))),
    )
    _check_whole(statement)
    return Draft(statement, {f"{state.phase}/{name}": file.data for name, file in shown.items()}, around)


def sign(task: Task, made: Draft, key_file: str, *, key: str = "") -> Outcome:
    """Sign the draft with an SSH key and put it on the record, as a yes or, where it does not count, as a no.

    `key` is the idempotency key. Raises `UnavailableError` (`signing_failed`, `ssh_keygen_missing`, …) where nothing
    was signed, and nothing is recorded.
    """
    return record(task, made.statement, ssh.sign(statement_bytes(made.statement), key_file), key=key)


def record(task: Task, statement: Statement, signature: str, *, key: str = "") -> Outcome:
    """Put a statement and its signature on the record; it may have been signed anywhere."""
    enforcer, in_force = task.enforcer, task.state().digest
    _check_whole(statement)
    data, signers = statement_bytes(statement), enforcer.process(in_force).signers.encode("ascii")
    shown: dict[str, Any]
    try:
        _check_place(task, statement, in_force)
        fingerprint = ssh.verify(data, signature, signers, statement.principal, at_us=enforcer.clock.now())
        signer = identify(fingerprint, signers)
        shown = {"fingerprint": fingerprint, "valid_after": signer.valid_after, "valid_before": signer.valid_before}
    except ApprovalFault as error:
        shown = {"fault": f"{error.code}: {error.message}"}
    digests = enforcer.objects.put_many((data, signature.encode("ascii", "replace")))
    said = _command(statement, in_force).replace(statement=digests[0], signature=digests[1], **shown)
    return _submit(task, said, key)


def declare(task: Task, made: Draft, *, key: str = "") -> Outcome:
    """Put a draft on the record without a signature: it is a mere declaration, and is shown as one."""
    return _submit(task, _command(made.statement, task.state().digest), key)


class Standing(Record):
    """How a word that was recorded stands: whether it `counts` for anything that is asked for, and by demand, in words,
    how many principals have met it and how many have to."""

    counts: bool
    demands: tuple[tuple[str, int, int], ...] = ()


def standing(task: Task, said: Statement) -> Standing | None:
    """How an approval stands now; None of what nobody asks for, and of all but approvals."""
    state, process, now = task.state(), task.process(), task.enforcer.clock.now()
    word = state.words.get(said.nonce)
    if word is None or said.kind not in (APPROVE, ADOPT):
        return None
    if said.kind == ADOPT:
        words = adoption.moving_words(state, process, said.process, actor="", now=now)
        counted, counts = adoption.tally(words.values(), process), adoption.counts(word, process)
    else:
        ballot = Ballot(state, process.phase(state.phase), said.evidence, said.tree, actor="", now=now)
        counted, counts = ballot.tally(said.risks), said.nonce in ballot.used(said.risks)
    if not counted:
        return None
    return Standing(counts, tuple((describe(demand), count, demand.count) for demand, count in counted))


def _check_place(task: Task, statement: Statement, in_force: str) -> None:
    if statement.ledger != task.enforcer.identity.id or statement.task != task.name:
        raise ApprovalFault("statement_other", "It speaks of another task or ledger.")
    # It is held against the keys of the process in force, which have to be the ones it was signed under.
    if statement.kind != ADOPT and statement.process != in_force:
        raise ApprovalFault("statement_other", "It speaks of another process than the one in force.")


def _command(statement: Statement, in_force: str) -> Vouch:
    # A statement names the process that it was made under, unless it names the one that the task may move to.
    adopts = statement.kind == ADOPT
    return Vouch(
        kind=APPROVE if adopts else statement.kind,
        phase=statement.phase,
        attempt_id=statement.attempt_id,
        principal=statement.principal,
        nonce=statement.nonce,
        expires=statement.expires,
        under=in_force if adopts else statement.process,
        evidence=dict(statement.evidence),
        tree=statement.tree,
        process=statement.process if adopts else "",
        artifact=statement.artifact,
        rules=statement.rules,
        reason=statement.reason,
    )


def _submit(task: Task, command: Vouch, key: str) -> Outcome:
    return task.enforcer.gate.submit(task.name, command, actor=task.actor, key=key)


def _principal(task: Task, wish: Wish, key_file: str) -> str:
    """Who says it. A key that nobody is listed with is told as such before anybody is asked to sign."""
    if not key_file:
        return wish.principal or task.actor.partition("/")[0]
    signers = task.process().signers.encode("ascii")
    try:
        found = ssh.find_signer(key_file, signers).principal
    except ApprovalFault as error:
        if wish.principal:
            return wish.principal  # It is signed and refused on the record, as what it is.
        raise RequestError("signer_unknown", error.message, where=key_file, fix=_LIST) from None
    if wish.principal and wish.principal != found:
        message = f"This is the key of {found}, and not of {wish.principal}."
        raise RequestError("signer_unknown", message, where=key_file, fix="Leave --as out, or use the other key.")
    return found


def _check_whole(statement: Statement) -> None:
    """What cannot be signed is told before anybody is asked to sign it."""
    try:
        statement_bytes(statement)
    except ApprovalFault as error:
        raise RequestError("statement_malformed", error.message, fix="Correct what was asked for.") from None


_LIST = "List the key in the process's file of `signers`, and adopt the process; or use a key that is listed."
