"""A task's walk as in-toto layout and links, the form that `in-toto-verify` judges without knowing Enforcer.

The layout is what the process demands: a step for every phase, in order, whether the task has come there or not. A link
is what the ledger holds of one accepted phase. So in-toto's own verification fails

- for a phase that was skipped or is not reached: its link is missing;
- for a link, or a layout, of a foreign key: only the ledger's key is authorized;
- where evidence changed between phases: a material has to MATCH the product of the phase it comes from, byte for byte,
  and whatever no rule accounts for is disallowed;
- for a link of another attempt: each phase also produces its ledger entry, and takes in that of the phase before.

Artifacts are named by their places below `state/evidence/`. The entry of a phase is called `<task>/<phase>.entry`, and
its hash stands under the name `rfc6962`, because a leaf hash is the SHA-256 of 0x00 and the line.

Both are DSSE envelopes (in-toto enhancement ITE-5). The link of a phase lies in `<PHASE>.<first 8 digits of the key
id>.link`, where in-toto looks for it, and the layout beside them in `root.layout`.

A link says what Enforcer accepted, not that the bytes are true: claimed evidence is claimed here as well, and each link
lists in its `byproducts` which is which.
"""

from __future__ import annotations

from enforcer.attestation.dsse import format_envelope, key_id, sign_envelope
from enforcer.attestation.moments import LATEST, format_moment
from enforcer.attestation.walk import path_of
from enforcer.ledger.codec import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from enforcer.attestation.dsse import Sign
    from enforcer.attestation.walk import Step, Walk
    from enforcer.workflow.events import Accepted
    from enforcer.workflow.process import Phase, Process

LAYOUT_NAME = "root.layout"


def export_layout(walk: Walk, *, sign: Sign, public: bytes, expires: int = LATEST) -> dict[str, bytes]:
    """File names and contents: the signed layout and one signed link for each accepted phase.

    `sign` and `public` are the ledger's key. `expires` is in UTC microseconds: in-toto refuses a layout that has
    expired, and history does not expire, so by default it is the last second that can be written.
    """
    made = {LAYOUT_NAME: layout_of(walk, public, expires)}
    made |= {link_name(step.phase, public): link_of(walk, step) for step in walk.steps}
    return {
        name: format_envelope(sign_envelope(canonical(members), sign=sign, public=public)) + b"\n"
        for name, members in made.items()
    }


def link_name(phase: str, public: bytes) -> str:
    """The file in which in-toto looks for a link of this step by this key."""
    return f"{phase}.{key_id(public)[:8]}.link"


def layout_of(walk: Walk, public: bytes, expires: int) -> dict[str, Any]:
    """The layout: what the walk of this task has to be. The only functionary is the ledger's key."""
    keyid = key_id(public)
    key = {"keyid": keyid, "keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public.hex()}}
    # A phase is held to the process that it was accepted under, which an adoption may have replaced since.
    judged = {step.phase: step.process for step in walk.steps}
    return {
        "_type": "layout",
        "readme": f"Task {walk.task} of {walk.origin}, process {walk.state.digest}.",
        "expires": format_moment(expires, fraction=False),
        "keys": {keyid: key},
        "steps": [_step(walk, phase, judged.get(phase.name, walk.process), keyid) for phase in walk.process.phases],
        "inspect": [],
    }


def link_of(walk: Walk, step: Step) -> dict[str, Any]:
    """The link of one accepted phase."""
    before = _before(walk, step.phase)
    entries = [one for one in walk.steps if one.phase == before]
    return {
        "_type": "link",
        "name": step.phase,
        "command": [],
        "materials": {**_artifacts(walk, step.materials), **_entries(walk, entries)},
        "products": {**_artifacts(walk, step.products), **_entries(walk, [step])},
        "byproducts": {
            "origin": walk.origin,
            "seq": step.entry.seq,
            "attempt": step.attempt,
            "attempt_id": step.attempt_id,
            "actor": step.event.actor,
            "claimed": sorted(path_of(walk.task, name) for name, one in step.products.items() if _is_claimed(one)),
            "observed": sorted(path_of(walk.task, name) for name, one in step.products.items() if not _is_claimed(one)),
            "labels": list(step.event.labels),
        },
        "environment": {},
    }


def _step(walk: Walk, phase: Phase, process: Process, keyid: str) -> dict[str, Any]:
    """What in-toto holds the link of a phase to. Rules are tried in order; the last one refuses what is left."""
    phase = process.phase(phase.name) if process.has(phase.name) else phase
    products = [
        rule
        for artifact in phase.artifacts
        for rule in _product(walk, phase, artifact.name, artifact.required_of(_risks(walk, phase.name)))
    ]
    return {
        "_type": "step",
        "name": phase.name,
        "pubkeys": [keyid],
        "threshold": 1,
        "expected_command": [],
        "expected_materials": [*_materials(walk, process, phase), ["DISALLOW", "*"]],
        "expected_products": [*products, *_required(_entry_name(walk, phase.name)), ["DISALLOW", "*"]],
    }


def _materials(walk: Walk, process: Process, phase: Phase) -> list[list[str]]:
    rules = []
    standing = process.standing_on(phase)
    for below, artifact in process.artifacts():
        name = f"{below.name}/{artifact.name}"
        if name in standing:
            path = path_of(walk.task, name)
            rules += [["REQUIRE", path]] if artifact.required_of(_risks(walk, below.name)) else []
            rules.append(["MATCH", path, "WITH", "PRODUCTS", "FROM", below.name])
    before = _before(walk, phase.name)
    if before:
        path = _entry_name(walk, before)
        rules += [["REQUIRE", path], ["MATCH", path, "WITH", "PRODUCTS", "FROM", before]]
    return rules


def _product(walk: Walk, phase: Phase, artifact: str, required: bool) -> list[list[str]]:
    path = path_of(walk.task, f"{phase.name}/{artifact}")
    return _required(path) if required else [["ALLOW", path]]


def _risks(walk: Walk, phase: str) -> tuple[str, ...]:
    """The risk classes that the change touched when the phase was accepted; none where it is still ahead."""
    return next((step.event.risks for step in walk.steps if step.phase == phase), ())


def _required(path: str) -> list[list[str]]:
    return [["REQUIRE", path], ["ALLOW", path]]


def _before(walk: Walk, phase: str) -> str:
    """The phase before, in the process in force now; empty before the first."""
    order = walk.process.order
    position = order.index(phase) if phase in order else 0
    return order[position - 1] if position else ""


def _artifacts(walk: Walk, named: Mapping[str, Accepted]) -> dict[str, dict[str, str]]:
    return {path_of(walk.task, name): {"sha256": one.digest} for name, one in named.items()}


def _entries(walk: Walk, steps: Iterable[Step]) -> dict[str, dict[str, str]]:
    return {_entry_name(walk, step.phase): {"rfc6962": step.entry.hash} for step in steps}


def _entry_name(walk: Walk, phase: str) -> str:
    return f"{walk.task}/{phase.lower()}.entry"


def _is_claimed(one: Accepted) -> bool:
    return one.origin != "observed"
