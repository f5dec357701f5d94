"""What differs between two processes, in words, and which of it asks for less than before.

A task that moves to another process has this on its record, so it errs on the safe side: a change that is not known to
ask for as much counts as a weakening.
"""

from __future__ import annotations

from enforcer.workflow.process import ENFORCE, OBSERVE, OFF, UNCONFINED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from enforcer.workflow.process import Approval, Artifact, Observation, Phase, Process, Rule

LIMIT = 100  # Differences named one by one; an entry of the ledger has a bound.

_STRENGTH = {ENFORCE: 2, OBSERVE: 1, OFF: 0}

# What a larger value of a parameter does: asks for more, or accepts more.
_MORE = frozenset({"words", "items", "headings", "names", "parts", "outside", "members"})
_LESS = frozenset({"values", "within_bp", "optional"})


class _Found:
    """Collects differences; a weakening is one of them."""

    def __init__(self) -> None:
        self.differences: list[str] = []
        self.weakenings: list[str] = []

    def add(self, text: str, *, weaker: bool = False) -> None:
        self.differences.append(text)
        if weaker:
            self.weakenings.append(text)


def difference(old: Process, new: Process) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All differences, in the order of the process, and those of them that are weakenings."""
    found = _Found()
    if old.name != new.name:
        found.add(f"name: {old.name} → {new.name}")
    if old.self_review != new.self_review:
        found.add(f"self_review: {_said(old.self_review)} → {_said(new.self_review)}", weaker=new.self_review)
    _phases(old, new, found)
    _authoring(old, new, found)
    for phase in old.phases:
        if new.has(phase.name):
            _phase(old, new, phase, new.phase(phase.name), found)
    _rules(old, new, found)
    _personas(old.personas, new.personas, found)
    _entries("pins", old.pins, new.pins, found)
    _observed(old, new, found)
    _risks(old.risks, new.risks, found)
    _signers(old.signers, new.signers, found)
    _changed_set("break_glass:", old.break_glass, new.break_glass, found)
    return _bounded(found.differences), _bounded(found.weakenings)


def _phases(old: Process, new: Process, found: _Found) -> None:
    for name in old.order:
        if not new.has(name):
            found.add(f"phase {name}: gone", weaker=True)
    for name in new.order:
        if not old.has(name):
            found.add(f"phase {name}: new")
    kept = [name for name in old.order if new.has(name)]
    order = [name for name in new.order if old.has(name)]
    if kept != order:
        found.add(f"phases: another order, {', '.join(order)}", weaker=True)


def _authoring(old: Process, new: Process, found: _Found) -> None:
    for name in old.authoring:
        if name not in new.authoring:
            found.add(f"{name}: who holds the task in it is no author any more", weaker=True)
    for name in new.authoring:
        if name not in old.authoring:
            found.add(f"{name}: who holds the task in it is an author")


def _phase(old: Process, new: Process, before: Phase, after: Phase, found: _Found) -> None:
    if before.drift != after.drift:
        text = f"{before.name}: drift {before.drift} → {after.drift}"
        found.add(text, weaker=_STRENGTH[after.drift] < _STRENGTH[before.drift])
    _changed_set(f"{before.name}: tool", before.tools, after.tools, found)
    for artifact in before.artifacts:
        other = after.artifact(artifact.name)
        name = f"{before.name}/{artifact.name}"
        if other is None:
            found.add(f"{name}: gone", weaker=True)
            continue
        _artifact(name, artifact, other, found)
        there = {f"{place.name}/{each.name}" for place, each in new.artifacts()}
        gone = (old.foundations(before, artifact) & there) - new.foundations(after, other)
        if gone:
            found.add(f"{name}: no longer stands on {', '.join(sorted(gone))}", weaker=True)
    for artifact in after.artifacts:
        if before.artifact(artifact.name) is None:
            found.add(f"{before.name}/{artifact.name}: new")
    _approvals(before, after, found)


def _artifact(name: str, before: Artifact, after: Artifact, found: _Found) -> None:
    if before.required != after.required:
        found.add(f"{name}: {'no longer' if before.required else 'now'} required", weaker=before.required)
    if before.risks != after.risks:
        where = ", ".join(after.risks) or "every change"
        found.add(f"{name}: required of {where}", weaker=not _asked_as_often(before.risks, after.risks))
    if before.format != after.format:
        found.add(f"{name}: format {before.format} → {after.format}", weaker=True)
    if before.schema != after.schema:
        says = "another schema" if before.schema and after.schema else "schema gone" if before.schema else "schema new"
        found.add(f"{name}: {says}", weaker=bool(before.schema))
    if before.scaffold != after.scaffold:
        found.add(f"{name}: another form to start from")


def _approvals(before: Phase, after: Phase, found: _Found) -> None:
    """A demand stays where another one asks for as much, of as many changes, from nobody else."""
    for demand in before.approvals:
        if demand not in after.approvals:
            weaker = not any(_covers_demand(other, demand) for other in after.approvals)
            found.add(f"{before.name}: no longer takes {_demanded(demand)}", weaker=weaker)
    for demand in after.approvals:
        if demand not in before.approvals:
            found.add(f"{before.name}: takes {_demanded(demand)}")


def _covers_demand(other: Approval, demand: Approval) -> bool:
    return (
        other.count >= demand.count
        and other.signed >= demand.signed
        and (not demand.by or (bool(other.by) and set(other.by) <= set(demand.by)))
        and _asked_as_often(demand.risks, other.risks)
    )


def _asked_as_often(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """Whether what was asked of changes that touch one of `before` (every change, where empty) still is."""
    return not after or (bool(before) and set(before) <= set(after))


def _demanded(demand: Approval) -> str:
    whose = f" of {', '.join(demand.by)}" if demand.by else ""
    where = f" of a change that touches {', '.join(demand.risks)}" if demand.risks else ""
    how = "signed" if demand.signed else "declared"
    return f"{demand.count} {how} approval{'s' * (demand.count != 1)}{whose}{where}"


def _rules(old: Process, new: Process, found: _Found) -> None:
    before = {rule.id: (phase.name, rule) for phase in old.phases for rule in phase.rules}
    after = {rule.id: (phase.name, rule) for phase in new.phases for rule in phase.rules}
    for name, (phase, rule) in before.items():
        if name not in after:
            found.add(f"rule {name}: gone", weaker=rule.mode != OFF)
            continue
        elsewhere, other = after[name]
        places = f"{phase}/{rule.artifact}", f"{elsewhere}/{other.artifact}"
        if places[0] != places[1]:
            found.add(f"rule {name}: {places[0]} → {places[1]}", weaker=True)
        _rule(rule, other, found)
    for name in after:
        if name not in before:
            found.add(f"rule {name}: new")


def _rule(before: Rule, after: Rule, found: _Found) -> None:
    if before.mode != after.mode:
        text = f"rule {before.id}: mode {before.mode} → {after.mode}"
        found.add(text, weaker=_STRENGTH[after.mode] < _STRENGTH[before.mode])
    if before.kind != after.kind:
        found.add(f"rule {before.id}: kind {before.kind} → {after.kind}", weaker=True)
        return
    if before.version != after.version:
        found.add(f"rule {before.id}: version {before.version} → {after.version}")
    for param in dict.fromkeys((*before.params, *after.params)):
        was, now = before.params.get(param), after.params.get(param)
        if was != now:
            weaker = not _asks_as_much(before.kind, param, was, now)
            found.add(f"rule {before.id}: {param} {_said(was)} → {_said(now)}", weaker=weaker)


def _asks_as_much(kind: str, param: str, was: Any, now: Any) -> bool:
    """Whether a parameter that changed is known to ask for as much as before."""
    if param in ("value", "ratio_bp") and isinstance(was, int) and isinstance(now, int):
        return now >= was if kind == "minimum" else kind == "maximum" and now <= was
    if param in _MORE:
        return _covers(now, was)
    return param in _LESS and _covers(was, now)


def _covers(larger: Any, smaller: Any) -> bool:
    if isinstance(larger, (list, tuple)) and isinstance(smaller, (list, tuple)):
        return all(item in larger for item in smaller)
    return isinstance(larger, int) and isinstance(smaller, int) and larger >= smaller


def _observed(old: Process, new: Process, found: _Found) -> None:
    for name in dict.fromkeys((*old.observe, *new.observe)):
        before, after = old.observe.get(name), new.observe.get(name)
        if before is None or after is None:
            found.add(f"observe {name}: {'new' if before is None else 'gone'}", weaker=after is None)
        else:
            _observation(f"observe {name}", before, after, found)


def _observation(what: str, before: Observation, after: Observation, found: _Found) -> None:
    """Another command proves something else. How long it may run and how much it may write proves nothing."""
    for field in ("argv", "folder", "reader", "report", "path"):
        was, now = getattr(before, field), getattr(after, field)
        if was != now:
            found.add(f"{what}: {field} {_said(was)} → {_said(now)}", weaker=True)
    for field in ("timeout", "output"):
        was, now = getattr(before, field), getattr(after, field)
        if was != now:
            found.add(f"{what}: {field} {was} → {now}")
    if before.sandbox != after.sandbox:
        text = f"{what}: sandbox {before.sandbox} → {after.sandbox}"
        found.add(text, weaker=before.sandbox != UNCONFINED)
    _changed_set(f"{what}: variable", before.environment, after.environment, found)
    _changed_set(f"{what}: kept folder", before.keep, after.keep, found)


def _risks(old: Mapping[str, tuple[str, ...]], new: Mapping[str, tuple[str, ...]], found: _Found) -> None:
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            found.add(f"risk class {name}: gone", weaker=True)
        elif name not in old:
            found.add(f"risk class {name}: new")
        else:
            for pattern in sorted(set(old[name]) - set(new[name])):
                found.add(f"risk class {name}: {pattern} gone", weaker=True)
            for pattern in sorted(set(new[name]) - set(old[name])):
                found.add(f"risk class {name}: {pattern} new")


def _signers(old: str, new: str, found: _Found) -> None:
    """Each key by the principal it is listed for and by its end; a line with other options is another one."""
    before, after = _listed_keys(old), _listed_keys(new)
    for line in before:
        if line not in after:
            found.add(f"signers: a key of {_key(line)} gone")
    for line in after:
        if line not in before:
            found.add(f"signers: a key of {_key(line)} new", weaker=True)


def _listed_keys(text: str) -> list[str]:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _key(line: str) -> str:
    principal, _, rest = line.partition(" ")
    key = next((word for word in rest.split() if word.startswith("AAAA")), "")
    return f"{principal} (…{key[-12:]})"


def _personas(old: Mapping[str, Iterable[str]], new: Mapping[str, Iterable[str]], found: _Found) -> None:
    for name in dict.fromkeys((*old, *new)):
        # A persona that is not named may only read, so naming one widens it.
        _changed_set(f"persona {name}: tool", old.get(name, ()), new.get(name, ()), found)


def _changed_set(what: str, old: Iterable[str], new: Iterable[str], found: _Found) -> None:
    before, after = set(old), set(new)
    for item in sorted(before - after):
        found.add(f"{what} {item} gone")
    for item in sorted(after - before):
        found.add(f"{what} {item} new", weaker=True)


def _entries(what: str, old: Mapping[str, Any], new: Mapping[str, Any], found: _Found) -> None:
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            found.add(f"{what} {name}: gone", weaker=True)
        elif name not in old:
            found.add(f"{what} {name}: new")
        elif old[name] != new[name]:
            found.add(f"{what} {name}: another one", weaker=True)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        text = ", ".join(str(item) for item in value)
        return f"[{text}]" if len(text) <= 100 else f"[{text[:97]}...]"
    return "none" if value is None else str(value)[:100]


def _bounded(texts: list[str]) -> tuple[str, ...]:
    if len(texts) <= LIMIT:
        return tuple(texts)
    return (*texts[:LIMIT], f"and {len(texts) - LIMIT} more")
