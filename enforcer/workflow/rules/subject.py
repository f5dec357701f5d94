"""What a rule is given, and what it answers: one artifact, its surroundings, and the faults found.

Everything here is a value. Whoever judges gathers it first, so a rule can be asked again, by a test or by a verifier,
and answers the same.
"""

from __future__ import annotations

from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ClassVar

    from enforcer.workflow.events import Accepted

INVALID, STALE, UNOBSERVED, AUTHOR = "evidence_invalid", "evidence_stale", "evidence_unobserved", "reviewer_is_author"

FAULT_LIMIT = 50  # Faults that one rule names one by one; the rest are counted.


class Fault(Record):
    """One reason why a rule does not hold. `message` follows the artifact's name; `fix` says what to do."""

    code: str
    message: str
    fix: str = ""


class Subject(Record):
    """One artifact as it was read: `text` is its text, where its format has one, and `value` what its JSON holds."""

    name: str
    format: str
    data: bytes
    text: str = ""
    value: Any = None
    origin: str = "claimed"


class Patched(Record):
    """What a diff makes of the base commit: the tree it leads to, or why it does not apply."""

    tree: str
    problem: str = ""


class Seen(Record, kw_only=True):
    """What Enforcer saw last of an artifact: in entry `seq` a run of the attempt `attempt_id` made it with `digest`.

    `differing` are the files that are others now than those that the run saw; None where only that is known. `labels`
    are what whoever relies on the run should look at.
    """

    seq: int
    attempt_id: str
    digest: str
    tree: str
    configured: bool
    differing: tuple[str, ...] | None = None
    labels: tuple[str, ...] = ()


class GitFacts(Record, kw_only=True):
    """What git says now. `changes` are the paths that differ between the base and the working files.

    `contents` maps each of `changes` to mode and object id, "" where it is gone. `unborn` are the git repositories
    among the working files that hold no commit, whose files are in no tree. `tree` is the id of the working files'
    tree, `head` the commit that is checked out ("" before the first) and `head_tree` its tree; `patched` maps the names
    of diffs to what they lead to. What no rule needs is left empty.
    """

    tree: str = ""
    head: str = ""
    head_tree: str = ""
    changes: tuple[str, ...] = ()
    contents: Mapping[str, str] = {}
    unborn: tuple[str, ...] = ()
    patched: Mapping[str, Patched] = {}

    nested_maps: ClassVar[Mapping[str, type[Record]]] = {"patched": Patched}


class Surroundings(Record, kw_only=True):
    """What stands around an artifact.

    `accepted` maps `phase/artifact` names of earlier phases to what was accepted in the attempts that count, and
    `documents` those of them that a rule of the phase names to their values. `base` is the task's base commit, empty
    where there was none, and `bound_tree` the tree that the last accepted diff leads to. `git` is None where there is
    no repository, and `git_problem` says why. `runs` maps the names of artifacts to what Enforcer saw of them last.
    """

    attempt_id: str
    actor: str
    implementers: tuple[str, ...] = ()
    self_review: bool = False
    base: str = ""
    accepted: Mapping[str, Accepted] = {}
    documents: Mapping[str, Any] = {}
    bound_tree: str = ""
    git: GitFacts | None = None
    git_problem: str = ""
    runs: Mapping[str, Seen] = {}


class RuleKind(Record):
    """How one kind of rule is judged.

    `version` grows when its answers change. `alone`: the answer depends on the artifact's bytes and the rule only, so
    it may be kept by their digests. `needs` names the fields of `GitFacts` that it looks at; `earlier` the parameter
    that names an artifact of an earlier phase, whose value it looks at if `reads`. `binds`: when it holds, the tree
    it was judged with is the task's tree.
    """

    check: Callable[[Subject, Surroundings, Mapping[str, Any]], tuple[Fault, ...]]
    version: int = 1
    alone: bool = True
    needs: tuple[str, ...] = ()
    earlier: str = ""
    reads: bool = False
    binds: bool = False


def invalid(message: str, fix: str = "") -> Fault:
    return Fault(INVALID, message, fix)


def stale(message: str, fix: str = "") -> Fault:
    return Fault(STALE, message, fix)


def bounded(faults: list[Fault]) -> tuple[Fault, ...]:
    """All faults, up to the limit; one more says how many there are beyond it."""
    if len(faults) <= FAULT_LIMIT:
        return tuple(faults)
    rest = len(faults) - FAULT_LIMIT
    return (*faults[:FAULT_LIMIT], Fault(faults[0].code, f"and {rest} more of the kind", faults[0].fix))


def shown(value: Any) -> str:
    """A value from outside as a short ASCII literal, so that a message carries no control character."""
    if isinstance(value, str):
        return ascii(value if len(value) <= 60 else value[:57] + "...")
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 256 else "a huge integer"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "an array"
    return "an object" if isinstance(value, dict) else "no JSON value"
