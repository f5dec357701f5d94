"""Rules over the value of one JSON artifact: counts, rates, choices, lists of checks and of paths.

They hold without a schema as well: a member that is missing or of another kind is a fault, never an exception, and
never taken for a zero that passes. A boolean is no number. Ratios are compared as the whole basis points they are
stored as, and never through a rounded product.
"""

from __future__ import annotations

from enforcer.workflow.rules import markdown
from enforcer.workflow.rules.subject import Fault, Subject, Surroundings, bounded, invalid, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

ONE = 10_000  # Basis points in a whole.


class _Missing:
    """Stands for a member that is not there, which is not the same as null."""


MISSING = _Missing()


def member(value: Any, field: str) -> Any:
    """The member `field` of a value, through objects where it is dotted; `MISSING` where there is none."""
    for key in field.split("."):
        if not isinstance(value, dict) or key not in value:
            return MISSING
        value = value[key]
    return value


def absent(field: str, found: Any, wanted: str) -> Fault:
    """The fault of a member that is not what a rule can judge."""
    if found is MISSING:
        return invalid(f"has no {shown(field)}; {wanted} is asked for", f"Add {shown(field)}.")
    return invalid(f"has {shown(found)} as {shown(field)}; {wanted} is asked for", f"Put {wanted} there.")


def whole(value: Any) -> int | None:
    """A count, which is written as an integer; None for everything else, `2.0`, `1e3` and booleans too."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def is_number(value: Any) -> bool:
    """A finite number that is no boolean."""
    if isinstance(value, float):
        return value - value == 0.0
    return isinstance(value, int) and not isinstance(value, bool)


def check_sum(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """A total is the sum of its parts; a part that is left out is 0."""
    faults = []
    total = whole(member(subject.value, params["total"]))
    if total is None:
        faults.append(absent(params["total"], member(subject.value, params["total"]), "an integer"))
    parts = []
    for field in params["parts"]:
        found = member(subject.value, field)
        count = 0 if found is MISSING else whole(found)
        if count is None or count < 0:
            faults.append(absent(field, found, "an integer from 0"))
        parts.append(count or 0)
    if not faults and sum(parts) != total:
        terms = " + ".join(params["parts"])
        message = f"does not add up: {terms} is {shown(sum(parts))}, and {params['total']} says {shown(total)}"
        faults.append(invalid(message, "Take the counts from the report of one run."))
    return bounded(faults)


def check_minimum(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """A number is no smaller than a threshold."""
    return _bound(subject, params, "at least", lambda found, limit: found >= limit)


def check_maximum(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """A number is no greater than a threshold."""
    return _bound(subject, params, "at most", lambda found, limit: found <= limit)


def _bound(subject: Subject, params: Mapping[str, Any], words: str, holds: Any) -> tuple[Fault, ...]:
    field = params["field"]
    found = member(subject.value, field)
    # A quotient of two integers is rounded once, exactly as the same decimal is when it is read: 0.57 meets 0.57.
    limit = params["value"] if "value" in params else params["ratio_bp"] / ONE
    if not is_number(found):
        return (absent(field, found, f"a number of {words} {limit}"),)
    if holds(found, limit):
        return ()
    return (
        invalid(
            f"has {shown(found)} as {shown(field)}; {words} {limit} is asked for",
            f"Improve the work until {field} is {words} {limit}.",
        ),
    )


def check_rate(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """A rate is what its counts say, within the rounding that is allowed for; of nothing it is 1."""
    rate, covered, total = (member(subject.value, params[name]) for name in ("rate", "covered", "total"))
    part, all_of_it = whole(covered), whole(total)
    faults = []
    if not is_number(rate) or not 0 <= rate <= 1:
        faults.append(absent(params["rate"], rate, "a number from 0 to 1"))
    if part is None or part < 0:
        faults.append(absent(params["covered"], covered, "an integer from 0"))
    if all_of_it is None or all_of_it < 0:
        faults.append(absent(params["total"], total, "an integer from 0"))
    if faults or part is None or all_of_it is None:
        return tuple(faults)
    if part > all_of_it:
        return (
            invalid(
                f"counts more covered ({shown(part)}) than there are ({shown(all_of_it)})",
                "Take both counts from one report.",
            ),
        )
    above, below = rate.as_integer_ratio()
    if all_of_it == 0:
        agrees, says = above == below, "1"
    else:
        difference = abs(above * all_of_it - part * below) * ONE
        agrees, says = (
            difference <= params.get("within_bp", 50) * below * all_of_it,
            f"{shown(part)} of {shown(all_of_it)}",
        )
    if agrees:
        return ()
    return (
        invalid(
            f"has {shown(rate)} as {shown(params['rate'])}, and its counts say {says}",
            "Take rate and counts from one report.",
        ),
    )


def check_part(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """A count is no greater than the count that it is a part of."""
    faults = []
    counts = []
    for field in (params["field"], params["of"]):
        found = member(subject.value, field)
        counts.append(number := whole(found))
        if number is None or number < 0:
            faults.append(absent(field, found, "an integer from 0"))
    part, all_of_it = counts
    if faults or part is None or all_of_it is None or part <= all_of_it:
        return tuple(faults)
    message = f"has {shown(part)} as {shown(params['field'])}, more than {shown(all_of_it)} as {shown(params['of'])}"
    return (invalid(message, "Take both counts from one report."),)


def check_one_of(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """A member has one of the accepted values, as a whole: "not healthy" is not "healthy"."""
    found = member(subject.value, params["field"])
    if isinstance(found, str) and found in params["values"]:
        return ()
    return (absent(params["field"], found, " or ".join(shown(value) for value in params["values"])),)


def check_every(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """A list has at least one entry, and each has an accepted value."""
    entries = member(subject.value, params["list"])
    wanted = " or ".join(shown(value) for value in params["values"])
    if not isinstance(entries, (list, tuple)):
        return (absent(params["list"], entries, "a list"),)
    if not entries:
        return (
            invalid(
                f"has nothing in {shown(params['list'])}; at least one entry is asked for",
                "Run the checks and name each.",
            ),
        )
    faults = []
    for index, entry in enumerate(entries):
        found = member(entry, params["member"])
        if isinstance(found, str) and found in params["values"]:
            continue
        name = member(entry, "name")
        which = f"{params['list']}[{index}]" + (f" {shown(name)}" if isinstance(name, str) else "")
        says = "no " + shown(params["member"]) if found is MISSING else shown(found)
        faults.append(
            invalid(f"has {says} at {which}; {wanted} is asked for", "Mend what failed and run the checks again.")
        )
    return bounded(faults)


def check_criteria(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Each respect of a review passed, and a note says what was seen."""
    field, least = params["field"], params.get("words", 2)
    criteria = member(subject.value, field)
    faults = []
    for name in params["names"]:
        judged = criteria.get(name, MISSING) if isinstance(criteria, dict) else MISSING
        passed = member(judged, "pass")
        if passed is not True:
            faults.append(absent(f"{field}.{name}.pass", passed, "true"))
        if not has_words(member(judged, "note"), least):
            faults.append(
                invalid(f"has no note at {field}.{name}.note", f"Say what was seen, in at least {least} words.")
            )
    return bounded(faults)


def has_words(value: Any, least: int) -> bool:
    """Whether a value is a text of at least that many words that no longer waits to be written."""
    if not isinstance(value, str):
        return False
    lines = (markdown.Line(number, line) for number, line in enumerate(value.split("\n"), 1))
    return markdown.words(lines, least) >= least


def check_paths(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Each path of a list stays in the repository, out of `.git` and the folders named, and stands there once."""
    entries = member(subject.value, params["list"])
    if not isinstance(entries, (list, tuple)) or not entries:
        return (absent(params["list"], entries, "a list with at least one entry"),)
    faults = []
    seen: set[str] = set()
    for index, path in paths(subject.value, params["list"], params.get("member", "")):
        where = f"{params['list']}[{index}]"
        reason = unsafe(path, params.get("outside", ()))
        if reason:
            faults.append(
                invalid(
                    f"has {shown(None if path is MISSING else path)} at {where}, which {reason}",
                    "Write it relative to the top of the repository, as git does.",
                )
            )
        elif path in seen:
            faults.append(invalid(f"names {shown(path)} twice, again at {where}", "Name each file once."))
        else:
            seen.add(path)
    return bounded(faults)


def paths(value: Any, field: str, of: str) -> Iterator[tuple[int, Any]]:
    """The paths of a list, each by its index: its entries, or the member `of` of each entry."""
    entries = member(value, field)
    for index, entry in enumerate(entries if isinstance(entries, (list, tuple)) else ()):
        yield index, member(entry, of) if of else entry


def unsafe(path: Any, outside: Sequence[str] = ()) -> str:
    """Why a value is no path of a file below the top of the repository, or below a folder that it must stay out of."""
    if not isinstance(path, str) or not path:
        return "is no path"
    if any(character < " " or character == "\x7f" for character in path):
        return "holds a control character"
    parts = path.split("/")
    if path.startswith("/"):
        return "is absolute"
    if any(part in ("", ".", "..") for part in parts):
        return "has an empty part, `.` or `..`"
    if any(part.casefold() == ".git" for part in parts):
        return "leads into .git"
    within = next((folder for folder in outside if f"{path}/".startswith(f"{folder}/")), None)
    return f"leads into {shown(within)[1:-1]}/, which is no part of the change" if within else ""
