"""Every kind of rule there is, by the name that a process file uses. This table is what evidence can be held to.

A rule is a pure function `(subject, surroundings, params) -> faults`; no faults means that it holds. It gives every
reason, never only the first, and it never raises, whatever the evidence holds.
"""

from __future__ import annotations

from enforcer.workflow.process import Rule
from enforcer.workflow.rules.across import (
    check_attempt,
    check_bound,
    check_commit,
    check_diff,
    check_files,
    check_observed,
    check_planned,
    check_reviewer,
    check_tree,
)
from enforcer.workflow.rules.members import (
    check_criteria,
    check_every,
    check_maximum,
    check_minimum,
    check_one_of,
    check_part,
    check_paths,
    check_rate,
    check_sum,
)
from enforcer.workflow.rules.subject import RuleKind
from enforcer.workflow.rules.text import (
    check_exit_status,
    check_format,
    check_list,
    check_no_placeholder,
    check_scaffold,
    check_sections,
    check_url,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.workflow.process import Artifact

# Kinds that a process file may name.
RULES: dict[str, RuleKind] = {
    "sections": RuleKind(check_sections),
    "list": RuleKind(check_list),
    "no_placeholder": RuleKind(check_no_placeholder),
    "url": RuleKind(check_url),
    "exit_status": RuleKind(check_exit_status),
    "sum": RuleKind(check_sum),
    "minimum": RuleKind(check_minimum),
    "maximum": RuleKind(check_maximum),
    "rate": RuleKind(check_rate),
    "part": RuleKind(check_part),
    "one_of": RuleKind(check_one_of),
    "every": RuleKind(check_every),
    "criteria": RuleKind(check_criteria),
    "paths": RuleKind(check_paths),
    "attempt": RuleKind(check_attempt, alone=False),
    "diff": RuleKind(check_diff, alone=False, needs=("tree", "changes", "patched"), binds=True),
    "files": RuleKind(check_files, alone=False, needs=("changes",)),
    "planned": RuleKind(check_planned, alone=False, earlier="map", reads=True),
    "bound": RuleKind(check_bound, alone=False, earlier="to"),
    "reviewer": RuleKind(check_reviewer, alone=False),
    "commit": RuleKind(check_commit, alone=False, needs=("tree", "head"), binds=True),
    "tree": RuleKind(check_tree, alone=False, needs=("tree",)),
    "observed": RuleKind(check_observed, alone=False, needs=("tree", "contents"), binds=True),
}

# Kinds that hold for every artifact, whatever the process file says. `schema` is judged outside the pure core.
FORMAT, SCAFFOLD, SCHEMA = "format", "scaffold", "schema"
IMPLIED: dict[str, RuleKind] = {FORMAT: RuleKind(check_format), SCAFFOLD: RuleKind(check_scaffold)}
RESERVED = (FORMAT, SCAFFOLD, SCHEMA)


def implied(artifact: Artifact) -> tuple[Rule, ...]:
    """The rules that no process file can leave out: it can be read, it was filled in, and it keeps to its schema."""
    found = [
        Rule(FORMAT, FORMAT, artifact.name, params={"format": artifact.format}),
        Rule(SCAFFOLD, SCAFFOLD, artifact.name, params={"template": artifact.scaffold}),
    ]
    if artifact.schema:
        found.append(Rule(SCHEMA, SCHEMA, artifact.name, params={"schema": artifact.schema}))
    return tuple(found)
