"""in-toto Statements (v1) about the accepted phases of a task: who vouches for which bytes, and how far.

One statement for each phase whose acceptance still counts. Its subjects are the accepted artifacts, each by the SHA-256
of its bytes, named by where it lies below `state/evidence/`. Two predicates of the in-toto catalogue say all there is
to say, so none is invented here:

    test-result/v0.1   where the phase's evidence holds `test_results.json`
    svr/v0.1           (Simple Verification Result) elsewhere: the gate is the verifier, its decision the result

Neither may be read for more than is known, also by a reader who ignores every extension:

- Results that the worker wrote itself are `WARNED`, never `PASSED`: `PASSED` is for a run that Enforcer observed, with
  nothing failed, something passed, and no warning on the phase.
- The properties of an SVR are all positive, so to ignore one never turns a "no" into a "yes":
  `ENFORCER_PHASE_ACCEPTED_<PHASE>` always, `ENFORCER_EVIDENCE_OBSERVED` where Enforcer made all of the evidence itself,
  `ENFORCER_NO_WARNINGS` where no rule spoke against it, not even one that is only watched.
- The tree is a subject of a test result, as the tree that was tested, only where the run was observed.

Every predicate has the extension `enforcer_entry`: where the acceptance stands on the ledger (origin, number, leaf
hash), attempt, actor, commit and tree, the labels of the decision, and for each artifact whether it is `claimed` or
`observed`. What a signature over a statement adds to the ledger is a form that other tools read, no more: it is made
with the ledger's key, by whoever can use it.
"""

from __future__ import annotations

import binascii

from enforcer.attestation.dsse import format_envelope, sign_envelope
from enforcer.attestation.moments import format_moment
from enforcer.attestation.walk import path_of
from enforcer.ledger.codec import JsonFault, canonical, parse
from enforcer.workflow.process import OBSERVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from enforcer.attestation.dsse import Sign
    from enforcer.attestation.walk import Step, Walk
    from enforcer.workflow.events import Accepted

    Get = Callable[[str], bytes]

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
VERIFICATION = "https://in-toto.io/attestation/svr/v0.1"

# The verifier of an SVR. The number changes with what an acceptance means, not with releases.
VERIFIER = "https://enforcer.dev/verifiers/gate/v1"

TEST_RESULTS = "test_results.json"
PASSED, WARNED, FAILED = "PASSED", "WARNED", "FAILED"

_COUNTS = ("total", "passed", "failed", "errors", "skipped", "xfailed", "xpassed")


def export_statements(walk: Walk, *, get: Get, sign: Sign, public: bytes) -> bytes:
    """The statements of a walk as an in-toto bundle: one DSSE envelope a line, in the order of the phases.

    `get` gives the bytes of an object by digest, of test results alone; `sign` and `public` are the ledger's key.
    """
    payloads = (canonical(statement_of(walk, step, get)) for step in walk.steps)
    return b"".join(format_envelope(sign_envelope(one, sign=sign, public=public)) + b"\n" for one in payloads)


def statement_of(walk: Walk, step: Step, get: Get) -> dict[str, Any]:
    """The statement about one accepted phase. What `get` raises passes through."""
    subjects = [_subject(path_of(walk.task, name), one) for name, one in step.products.items()]
    results = step.products.get(f"{step.phase}/{TEST_RESULTS}")
    if results is None:
        kind, predicate = VERIFICATION, _verification(step)
    else:
        kind, predicate = TEST_RESULT, _test_result(step, results, get(results.digest))
        subjects += _tested(step) if results.origin == OBSERVED else []
    predicate["enforcer_entry"] = _entry(walk, step)
    return {"_type": STATEMENT, "subject": subjects, "predicateType": kind, "predicate": predicate}


def _subject(name: str, one: Accepted) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": one.digest}}


def _tested(step: Step) -> list[dict[str, Any]]:
    """The tree that was tested, and the commit that holds it where there was one."""
    if not step.event.tree:
        return []
    commit = {"gitCommit": step.event.commit} if step.event.commit else {}
    return [{"name": "source", "digest": {"gitTree": step.event.tree, **commit}}]


def _verification(step: Step) -> dict[str, Any]:
    properties = [f"ENFORCER_PHASE_ACCEPTED_{step.phase}"]
    if step.event.evidence and all(one.origin == OBSERVED for one in step.event.evidence):
        properties.append("ENFORCER_EVIDENCE_OBSERVED")
    if not step.event.warnings:
        properties.append("ENFORCER_NO_WARNINGS")
    return {
        "verifier": {"id": VERIFIER, "policy": _policy(step)},
        "timeCreated": format_moment(step.entry.ts),
        "properties": properties,
    }


def _test_result(step: Step, results: Accepted, data: bytes) -> dict[str, Any]:
    counts = _counts(data)
    predicate: dict[str, Any] = {
        "result": _result(step, results, counts),
        "configuration": [_policy(step), *_command(step)],
        "enforcer_test_origin": results.origin,
    }
    if counts:
        predicate["enforcer_test_counts"] = counts
    return predicate


def _result(step: Step, results: Accepted, counts: dict[str, int]) -> str:
    if counts.get("failed", 0) + counts.get("errors", 0):
        return FAILED
    if results.origin != OBSERVED or step.event.warnings or not counts.get("passed", 0):
        return WARNED
    return PASSED


def _counts(data: bytes) -> dict[str, int]:
    """The counts that the results give; none where they cannot be read as such."""
    try:
        members = parse(data)
    except JsonFault:
        return {}
    if not isinstance(members, dict):
        return {}
    counts = {name: members[name] for name in _COUNTS if name in members}
    return counts if all(type(count) is int and 0 <= count < 1 << 53 for count in counts.values()) else {}


def _policy(step: Step) -> dict[str, Any]:
    """The process that was in force, as a resource descriptor."""
    return {"name": step.process.name, "digest": {"sha256": step.digest}, "mediaType": "application/json"}


def _command(step: Step) -> list[dict[str, Any]]:
    """The command whose run counts as an observation of the test results, where the process names one."""
    observation = step.process.observe.get(TEST_RESULTS)
    if observation is None:
        return []
    content = binascii.b2a_base64(canonical(observation.pack(complete=True)), newline=False).decode()
    return [{"name": f"observe/{TEST_RESULTS}", "content": content, "mediaType": "application/json"}]


def _entry(walk: Walk, step: Step) -> dict[str, Any]:
    entry, event = step.entry, step.event
    return {
        "origin": walk.origin,
        "seq": entry.seq,
        "leaf_hash": entry.hash,
        "ts": entry.ts,
        "task": walk.task,
        "phase": step.phase,
        "attempt": step.attempt,
        "attempt_id": step.attempt_id,
        "actor": event.actor,
        "process": step.digest,
        "commit": event.commit,
        "tree": event.tree,
        "labels": list(event.labels),
        "warnings": [{"code": one.code, "artifact": one.artifact} for one in event.warnings],
        "evidence": {
            path_of(walk.task, name): {"origin": one.origin, "size": one.size, "reaffirmed": one.reaffirmed}
            for name, one in step.products.items()
        },
    }
