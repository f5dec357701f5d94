"""What exactly is approved: the canonical statement that is signed, and what a person is shown before signing it.

    {"artifact":"","attempt_id":"…","commit":"…","evidence":{"REVIEW/review_rubric.json":"…"},"expires":1767225600000000,
     "format":"enforcer/approval/v1","kind":"approve","ledger":"…","nonce":"…","phase":"REVIEW","principal":"ada",
     "process":"…","reason":"","risks":[],"rules":[],"task":"TASK-1","tree":"…"}

The signed bytes are this object in RFC 8785 form, without white space and with every member, and nothing else: there is
one text for one statement, so what was signed can be compared with what stands on the ledger byte by byte. They are
signed as SSH signatures in the namespace `enforcer-approval`, so that no signature over a file, a commit or a login can
pass for one.

What is shown comes from the statement's own fields and from the bytes whose digests it names, never from a summary.
"""

from __future__ import annotations

import re
from hashlib import sha256

from enforcer.attestation.circumstances import NOTHING, field, tell_change, tell_earlier, tell_making, tell_move
from enforcer.attestation.display import counted, excerpt, quote, read_text, remarks
from enforcer.attestation.moments import format_moment
from enforcer.attestation.signers import PRINCIPAL_PATTERN
from enforcer.ledger.codec import MAX_INTEGER, JsonFault, canonical, parse_line
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from enforcer.attestation.circumstances import Circumstances, Making

FORMAT = "enforcer/approval/v1"
_FORMATS = "enforcer/approval/"
NAMESPACE = "enforcer-approval"

APPROVE, REJECT, WAIVE, ADOPT = "approve", "reject", "waive", "adopt"
KINDS = (APPROVE, REJECT, WAIVE, ADOPT)

MAX_REASON = 4096
MAX_EVIDENCE = 1000
MAX_NAMES = 100

_HEX32, _HEX64, _OBJECT = "[0-9a-f]{32}", "[0-9a-f]{64}", "([0-9a-f]{40}|[0-9a-f]{64})?"
_ARTIFACT = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_PHASE = "[A-Z][A-Z0-9_]{0,31}"
_ID = "[a-z0-9][a-z0-9._-]{0,63}"
_TEXTS = {
    "kind": "|".join(KINDS),
    "ledger": _HEX32,
    "task": "[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
    "phase": _PHASE,
    "attempt_id": _HEX32,
    "process": _HEX64,
    "tree": _OBJECT,
    "commit": _OBJECT,
    "principal": PRINCIPAL_PATTERN,
    "nonce": _HEX32,
    "artifact": f"({_ARTIFACT})?",
}


class ApprovalFault(ValueError):
    """Why a signature, or what it is said to be over, does not count. `code` is stable.

    `unknown`: it may be of a later release, which this one could not tell.
    """

    def __init__(self, code: str, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.unknown = unknown


class Statement(Record, kw_only=True):
    """What one principal says of a task.

    `process` is the digest of the process in force; with `adopt`, of the one that the task may move to. `evidence` maps
    `PHASE/artifact` to digests, `tree` and `commit` are git ids or empty without git, `risks` are the risk classes that
    the change touches. It counts until `expires` (UTC microseconds), once: `nonce` is 32 random hex digits. A reason is
    required of all but `approve`; `rules` of `artifact` are what `waive` waives.
    """

    kind: str
    ledger: str
    task: str
    phase: str
    attempt_id: str
    process: str
    principal: str
    expires: int
    nonce: str
    evidence: Mapping[str, str] = {}
    tree: str = ""
    commit: str = ""
    risks: tuple[str, ...] = ()
    reason: str = ""
    artifact: str = ""
    rules: tuple[str, ...] = ()


# The bytes -----------------------------------------------------------------------------------------------------------


def statement_bytes(statement: Statement) -> bytes:
    """The bytes that are signed. Raises `ApprovalFault` (`statement_malformed`) for a statement that says nothing."""
    problems = tuple(_problems(statement))
    if problems:
        raise _malformed("; ".join(problems))
    try:
        return canonical({"format": FORMAT, **statement.pack(complete=True)})
    except JsonFault as fault:
        raise _malformed(fault.message) from None


def parse_statement(data: bytes) -> Statement:
    """The statement that `data` is. Raises `ApprovalFault` (`statement_malformed`) for all but its exact bytes."""
    try:
        value = parse_line(data)
        found = value.pop("format", None) if isinstance(value, dict) else None
        if found != FORMAT:
            later = isinstance(found, str) and found.startswith(_FORMATS)
            raise _malformed(f"it is no object of the format {FORMAT}", unknown=later)
        statement = Statement.unpack(value)
    except ApprovalFault:
        raise
    except ValueError as fault:
        raise _malformed(str(fault)) from None
    if statement_bytes(statement) != data:
        raise _malformed("its bytes are not in the one form that it has")
    return statement


def _malformed(why: str, *, unknown: bool = False) -> ApprovalFault:
    shown = why[:400] if why.isprintable() else ascii(why[:400])[1:-1]  # Names of members come from outside.
    message = f"This is no statement that could be signed: {shown}."
    return ApprovalFault("statement_malformed", message, unknown=unknown)


def _problems(statement: Statement) -> Iterator[str]:
    for name, pattern in _TEXTS.items():
        if not re.fullmatch(pattern, getattr(statement, name)):
            yield f"{name} has another form"
    if not 0 < statement.expires <= MAX_INTEGER:
        yield "expires is no time that can be written"
    if len(statement.reason) > MAX_REASON:
        yield f"reason has more than {MAX_REASON} characters"
    if statement.kind != APPROVE and not statement.reason.strip():
        yield "all but approve takes a reason"
    yield from _evidence_problems(statement.evidence)
    for name in ("risks", "rules"):
        yield from _name_problems(name, getattr(statement, name))
    if {bool(statement.artifact), bool(statement.rules)} != {statement.kind == WAIVE}:
        yield "artifact and rules go with waive, and only with it"


def _evidence_problems(evidence: Mapping[str, Any]) -> Iterator[str]:
    if len(evidence) > MAX_EVIDENCE:
        yield f"evidence has more than {MAX_EVIDENCE} entries"
    for name, digest in evidence.items():
        if not re.fullmatch(f"{_PHASE}/{_ARTIFACT}", name):
            yield "evidence names something else than PHASE/artifact"
        if not isinstance(digest, str) or not re.fullmatch(_HEX64, digest):
            yield "evidence holds something else than digests"


def _name_problems(field: str, names: tuple[str, ...]) -> Iterator[str]:
    if len(names) > MAX_NAMES or not all(re.fullmatch(_ID, name) for name in names):
        yield f"{field} are not at most {MAX_NAMES} names"
    if tuple(sorted(set(names))) != names:
        yield f"{field} are not in order, each once"


# What a person is shown ----------------------------------------------------------------------------------------------


def render(statement: Statement, contents: Mapping[str, bytes], around: Circumstances = NOTHING) -> str:
    """What a person is shown before they sign `statement`; `contents` are the bytes of the evidence by its names.

    `around` is what they should know besides; none of it is signed, and it says so.

    No character of a document is obeyed (see `attestation.display`), long ones are abridged and say by how much, and
    what is not in `contents` is named as not shown. Two different statements never look the same: every field stands
    there, and the digest of all. Raises `ApprovalFault` `statement_malformed`, and `content_changed` for bytes that
    are not those the statement names; `ValueError` for bytes of which it says nothing.
    """
    unnamed = sorted(contents.keys() - statement.evidence.keys())
    if unnamed:
        raise ValueError(f"the statement says nothing of {', '.join(unnamed)}")
    digest = sha256(statement_bytes(statement)).hexdigest()
    rows = [_headline(statement), "", *_fields(statement, digest)]
    rows += tell_move(around.move) if around.move is not None else ()
    for name in sorted(statement.evidence):
        rows += ["", *_document(name, statement.evidence[name], contents.get(name), around.makings.get(name))]
    if around.earlier:
        rows += ["", *tell_earlier(around.earlier)]
    for change in around.changes:
        rows += ["", *tell_change(change, statement.tree)]
    return "\n".join(rows) + "\n"


def _headline(statement: Statement) -> str:
    task, phase = statement.task, statement.phase
    return {
        APPROVE: f"APPROVE: {task} may leave {phase} on exactly this evidence",
        REJECT: f"REJECT: {task} may not leave {phase} on this evidence",
        WAIVE: f"WAIVE: rules of {phase} that do not refuse {task} in this attempt",
        ADOPT: f"ADOPT: {task} may go on under another process",
    }[statement.kind]


def _fields(statement: Statement, digest: str) -> Iterator[str]:
    process = "new process" if statement.kind == ADOPT else "process"
    without = "the files are no part of this statement" if statement.kind in (ADOPT, WAIVE) else ""
    named = {
        "who signs": statement.principal,
        "counts until": format_moment(statement.expires),
        "ledger": statement.ledger,
        "task": statement.task,
        "phase": statement.phase,
        "attempt": statement.attempt_id,
        process: statement.process,
        "tree": statement.tree or without or "none: there is no git",
        "commit": statement.commit or without or "none",
        "risk classes": ", ".join(statement.risks) or without or "none",
        "nonce": statement.nonce,
        "signed sha256": digest,
    }
    if statement.kind == WAIVE:
        named |= {"artifact": statement.artifact}
    yield from (field(name, value) for name, value in named.items())
    if statement.rules:
        yield "rules waived:"
        yield from (f"{'':<15}{rule}" for rule in statement.rules)
    if statement.reason:
        yield "reason:"
        yield from quote(statement.reason)


def _document(name: str, digest: str, data: bytes | None, making: Making | None) -> Iterator[str]:
    yield name
    yield field("sha256", digest)
    if making is not None:
        yield from tell_making(making)
    if data is None:
        yield field("NOT SHOWN", "its bytes are not here; this signs for its digest alone")
        return
    if sha256(data).hexdigest() != digest:
        raise ApprovalFault("content_changed", f"{name} is not what the statement names: its bytes have changed.")
    text = read_text(data)
    lines = text.count("\n") + (not text.endswith("\n") and bool(text))
    yield field("size", f"{counted(len(data), 'byte')}, {counted(lines, 'line')}")
    yield from (field("note", remark) for remark in remarks(text))
    if data:
        yield from excerpt(text)
