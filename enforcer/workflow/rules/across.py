"""Rules that hold an artifact against something else: the attempt, git, what earlier phases accepted, who acts.

Their answers change while the artifact's bytes do not, so they are asked every time.
"""

from __future__ import annotations

from hashlib import sha256

from enforcer.workflow.rules.members import MISSING, absent, has_words, member, paths
from enforcer.workflow.rules.subject import (
    AUTHOR,
    UNOBSERVED,
    Fault,
    GitFacts,
    Subject,
    Surroundings,
    bounded,
    invalid,
    shown,
    stale,
)
from enforcer.workflow.state import is_among, principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

EMPTY_TREE = "$(git hash-object -t tree /dev/null)"
NO_GIT_FIX = "Work in a git repository: run `git init`, commit what there is, and open the task again."


def check_attempt(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """It was made in the attempt that is now left."""
    field = params.get("field", "attempt_id")
    found = member(subject.value, field)
    if found is MISSING and params.get("optional"):
        return ()
    fix = f"Do the work of this attempt, then write {field} {surroundings.attempt_id}, as `enforcer status TASK` shows."
    if not isinstance(found, str):
        return (absent(field, found, "the id of this attempt").replace(fix=fix),)
    if found == surroundings.attempt_id:
        return ()
    return (stale(f"carries {field} {shown(found)}; the attempt now is {surroundings.attempt_id}", fix),)


def check_diff(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """The diff, applied to the task's base commit, gives the files as they are now."""
    git = surroundings.git
    if git is None:
        return (_no_git(surroundings),)
    if git.unborn:
        return _unborn(git)
    if not git.changes:
        return (invalid("cannot be right: nothing has changed since the task's base commit", "Make the change first."),)
    fix = f"Write it again: git add -AN && git diff --binary --no-renames {surroundings.base or EMPTY_TREE}"
    patched = git.patched.get(subject.name)
    if patched is None or patched.problem:
        return (
            invalid(
                f"does not apply to the task's base commit: {shown(patched.problem if patched else 'not tried')[1:-1]}",
                fix,
            ),
        )
    if patched.tree == git.tree:
        return ()
    return (
        stale(
            "is not what git says: applied to the task's base commit it does not give the files as they are now",
            f"{fix} (with `git -c core.fileMode=true`, if the repository says that modes do not count)",
        ),
    )


def check_files(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """The files named are exactly those that git names as changed since the task's base commit."""
    git = surroundings.git
    if git is None:
        return (_no_git(surroundings),)
    if git.unborn:
        return _unborn(git)
    named = {
        path for _, path in paths(subject.value, params["list"], params.get("member", "")) if isinstance(path, str)
    }
    changed = set(git.changes)
    faults = [
        stale(
            f"does not name {shown(path)}, which has changed since the task's base commit",
            f"Add it to {params['list']}, or undo the change.",
        )
        for path in sorted(changed - named)
    ]
    faults += [
        stale(
            f"names {shown(path)}, which has not changed since the task's base commit",
            f"Take it out of {params['list']}.",
        )
        for path in sorted(named - changed)
    ]
    return bounded(faults)


def check_planned(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """A file outside the plan's map is named as a deviation, with a reason."""
    plan = surroundings.documents.get(params["map"], MISSING)
    if plan is MISSING:
        return (
            invalid(
                f"cannot be held against {params['map']}, which is not there as accepted",
                "Restore it: enforcer evidence restore TASK",
            ),
        )
    planned = {path for _, path in paths(plan, "files", "path") if isinstance(path, str)}
    named = {path for _, path in paths(subject.value, "files", "") if isinstance(path, str)}
    deviations = member(subject.value, "deviations")
    entries = deviations if isinstance(deviations, (list, tuple)) else ()
    explained = {path: member(entry, "reason") for entry in entries if isinstance(path := member(entry, "path"), str)}
    least = params.get("words", 2)
    faults = [
        invalid(
            f"names {shown(path)}, which {params['map']} does not plan, without saying why",
            f'Add {{"path", "reason"}} to deviations, with a reason of at least {least} words.',
        )
        for path in sorted(named - planned)
        if not has_words(explained.get(path), least)
    ]
    faults += [
        invalid(f"explains {shown(path)} as a deviation, but does not name it in files", "Take it out of deviations.")
        for path in sorted(explained.keys() - named)
    ]
    return bounded(faults)


def check_bound(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """It names, by digest, the accepted artifact that it speaks of."""
    field, name = params["field"], params["to"]
    found = member(subject.value, field)
    accepted = surroundings.accepted.get(name)
    if accepted is None:
        return (invalid(f"is bound to {name}, and nothing is accepted there", "Backtrack and earn it."),)
    fix = f"Look at {name} as it was accepted, then write {field} {accepted.digest}."
    if not isinstance(found, str):
        return (absent(field, found, f"the digest of {name}").replace(fix=fix),)
    if found == accepted.digest:
        return ()
    return (stale(f"speaks of {name} {shown(found)}; {accepted.digest} was accepted", fix),)


def check_reviewer(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """The reviewer is who leaves the phase, and is none of those who implemented."""
    field = params.get("field", "reviewer")
    found = member(subject.value, field)
    who = principal(surroundings.actor)
    faults = []
    if not isinstance(found, str):
        faults.append(absent(field, found, "who reviewed"))
    elif principal(found) != who:
        faults.append(
            invalid(
                f"names {shown(found)} as {field}, and it is {shown(who)} who leaves the phase",
                f"Let {shown(found)} advance the task, or let {shown(who)} review.",
            )
        )
    if is_among(who, surroundings.implementers) and not surroundings.self_review:
        fix = "Let somebody else review and advance: release the lease, and use another --actor."
        faults.append(
            Fault(
                AUTHOR,
                f"comes from {shown(who)}, who held the task where it was written; nobody reviews their own work",
                fix,
            )
        )
    return tuple(faults)


def check_commit(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """It speaks of the commit that is checked out, and that commit holds exactly what was reviewed."""
    git = surroundings.git
    if git is None:
        return (_no_git(surroundings),)
    if git.unborn and not surroundings.bound_tree:
        return _unborn(git)
    if not git.head:
        return (invalid("cannot speak of a commit: nothing is committed yet", "Commit the change."),)
    field = params.get("field", "commit")
    found = member(subject.value, field)
    faults = []
    if not isinstance(found, str):
        faults.append(absent(field, found, f"the commit {git.head}"))
    elif found != git.head:
        fix = f"Run the checks for the commit that is checked out, then write {field} {git.head}."
        faults.append(stale(f"speaks of commit {shown(found)}; {git.head} is checked out", fix))
    if git.head_tree != (surroundings.bound_tree or git.tree):
        fix = "Commit exactly what was reviewed; with other changes, backtrack to IMPLEMENT."
        faults.append(
            stale(
                f"speaks of a commit that does not hold what was accepted in IMPLEMENT: {git.head} has other content",
                fix,
            )
        )
    return tuple(faults)


def check_tree(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """The working files are those that the accepted diff leads to."""
    git = surroundings.git
    if git is None:
        return (_no_git(surroundings),)
    if git.unborn:
        return _unborn(git)
    if surroundings.bound_tree and git.tree == surroundings.bound_tree:
        return ()
    fix = "Ignore or remove what tools left behind (`git status` shows it); with other changes, backtrack to IMPLEMENT."
    return (stale("speaks of files that have changed since IMPLEMENT was left", fix),)


def check_observed(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Enforcer ran the configured command that made it, in this attempt, on the files as they are now."""
    seen = surroundings.runs.get(subject.name)
    again = "Let Enforcer run what the process names for it: enforcer run TASK"
    if seen is None:
        return (Fault(UNOBSERVED, "is claimed: no command that Enforcer ran made it", again),)
    if seen.attempt_id != surroundings.attempt_id:
        return (stale(f"was made in another attempt; entry {seen.seq} saw it", again),)
    if seen.digest != sha256(subject.data).hexdigest():
        return (Fault(UNOBSERVED, f"is not what Enforcer saw in entry {seen.seq}: it was written over since", again),)
    if not seen.configured:
        message = (
            f"was observed in entry {seen.seq}, not configured: that is not the run which the process names for it"
        )
        return (Fault(UNOBSERVED, message, again),)
    git = surroundings.git
    if git is None:
        return (_no_git(surroundings),)
    if git.tree == seen.tree:
        return ()
    if not seen.differing:
        return (stale(f"was observed on other files than those that stand here now, in entry {seen.seq}", again),)
    return bounded([stale(f"was observed before {shown(path)} was changed", again) for path in seen.differing])


def _unborn(git: GitFacts) -> tuple[Fault, ...]:
    """Files that no diff can hold would be a change that nobody sees."""
    faults = []
    for path in git.unborn:
        message = f"cannot speak of all files: {shown(path)} contains a git repository without a commit"
        faults.append(invalid(message, f"Remove {shown(path)}, ignore it in .gitignore, or commit in it."))
    return bounded(faults)


def _no_git(surroundings: Surroundings) -> Fault:
    why = f" ({shown(surroundings.git_problem)[1:-1]})" if surroundings.git_problem else ""
    return invalid(f"cannot be held against git{why}", NO_GIT_FIX)
