"""The chapters of a task's page: what is known at a glance, the evidence, every entry, the process and the prompts."""

from __future__ import annotations

from enforcer.attestation.circumstances import ORIGINS
from enforcer.attestation.markup import Html, quoted, tag
from enforcer.attestation.moments import format_moment
from enforcer.attestation.telling import origin_of, tell
from enforcer.workflow import events
from enforcer.workflow.evolve import evolve
from enforcer.workflow.record import Record
from enforcer.workflow.state import principal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from enforcer.attestation.markup import Child
    from enforcer.attestation.walk import Step, Walk
    from enforcer.ledger.entry import Entry
    from enforcer.workflow.events import Accepted
    from enforcer.workflow.state import TaskState

_COLUMNS = ("Origin", "Bytes", "SHA-256")
_PROMPT_COLUMNS = ("Phase", "Who", "Drift")


class Moment(Record):
    """An entry, and the task before and after it."""

    before: TaskState | None
    entry: Entry
    after: TaskState


def follow(entries: Iterable[Entry]) -> list[Moment]:
    """The task at each of its entries. `walk_of` has found that each can follow the one before."""
    moments: list[Moment] = []
    state: TaskState | None = None
    for entry in entries:
        before, state = state, evolve(state, entry.event, entry.place)
        moments.append(Moment(before, entry, state))
    return moments


# Facts ---------------------------------------------------------------------------------------------------------------


def tell_facts(walk: Walk, moments: Sequence[Moment]) -> Html:
    state, all_events = walk.state, [each.entry.event for each in moments]
    refused = sum(bool(event.refused) for event in all_events)
    coalesced = f", and {state.coalesced} without an entry" if state.coalesced else ""
    back = sum(isinstance(event, events.PhaseBacktracked) for event in all_events)
    return section(
        "facts",
        "At a glance",
        pairs(
            ("Opened", _time(state.opened_ts)),
            ("Last entry", _time(state.ts)),
            ("Implemented by", _names(state.implementers, " (held the lease in an authoring phase)")),
            ("Reviewed by", _names(_reviewers(walk), " (left the reviewing phase; declared, not signed)")),
            ("Refusals", f"{refused} on the ledger{coalesced}"),
            ("Ways back", str(back)),
            ("Prompt drift", _drift_count(moments)),
            ("Base", code(state.base or "none")),
            ("Last tree", code(state.tree or "none")),
            ("Last commit", code(state.commit or "none")),
        ),
    )


def _reviewers(walk: Walk) -> tuple[str, ...]:
    return tuple(principal(step.event.actor) for step in walk.steps if step.process.phase(step.phase).reviews)


def _names(names: Iterable[str], how: str = "") -> str:
    """Who it was, and by what that is known; nobody needs no reason."""
    told = ", ".join(dict.fromkeys(names))
    return f"{told}{how}" if told else "nobody yet"


# Phases --------------------------------------------------------------------------------------------------------------


def phases_of(walk: Walk) -> tuple[str, ...]:
    """The phases of the process in force, and those of an earlier one that still count."""
    return tuple(dict.fromkeys((*walk.process.order, *walk.state.walked)))


def tell_phases(walk: Walk) -> Html:
    steps = {step.phase: step for step in walk.steps}
    told = (_phase(walk, phase, steps.get(phase)) for phase in phases_of(walk))
    return section(
        "phases",
        "Accepted evidence",
        tag(
            "p",
            "What counts now, phase by phase. ",
            tag("em", "Claimed"),
            " evidence was written by the worker, and nothing here shows that it is true. ",
            tag("em", "Observed"),
            " evidence is what a command printed that Enforcer ran itself.",
        ),
        told,
    )


def _phase(walk: Walk, phase: str, step: Step | None) -> Iterator[Child]:
    yield tag("h3", phase)
    if step is None:
        aside = [name for name in walk.state.invalidated if name.startswith(f"{phase}/")]
        yield tag("p", "Nothing is accepted here now.", class_="soft")
        if aside:
            yield tag("p", "Set aside by a way back: ", quoted(", ".join(aside)), ".")
        return
    yield tag(
        "p",
        f"Accepted in attempt {step.attempt}, by ",
        quoted(step.event.actor),
        ", in entry ",
        tag("a", str(step.entry.seq), href=f"#entry-{step.entry.seq}"),
        ", ",
        _time(step.entry.ts),
        ".",
    )
    if step.event.evidence:
        yield tag(
            "table",
            tag("caption", f"Evidence of {phase}"),
            tag("thead", tag("tr", (tag("th", name, scope="col") for name in ("Artifact", *_COLUMNS)))),
            tag("tbody", (_row(one) for one in step.event.evidence)),
        )
    else:
        yield tag("p", "The phase asked for no evidence.", class_="soft")


def _row(one: Accepted) -> Html:
    style = one.origin if one.origin in ORIGINS else None
    return tag(
        "tr",
        tag("th", quoted(one.artifact), scope="row"),
        tag("td", tag("span", origin_of(one), class_=style), data_label=_COLUMNS[0]),
        tag("td", str(one.size), class_="number", data_label=_COLUMNS[1]),
        tag("td", code(one.digest), data_label=_COLUMNS[2]),
    )


# Timeline ------------------------------------------------------------------------------------------------------------


def tell_timeline(moments: Sequence[Moment]) -> Html:
    return section(
        "timeline",
        "Timeline",
        tag("p", "Every entry of the task, in order. Times are UTC and never go back."),
        tag("ol", map(_entry, moments), class_="timeline"),
    )


def _entry(moment: Moment) -> Html:
    entry, told = moment.entry, tell(moment.entry.event)
    at = moment.before or moment.after
    token = getattr(entry.event, "token", 0)
    place = f"{at.phase}, attempt {at.attempt}" + (f", token {token}" if token else "")
    facts = tag("ul", told.facts, class_="facts") if told.facts else None
    return tag(
        "li",
        tag("div", tag("a", f"Entry {entry.seq}", href=f"#entry-{entry.seq}"), _time(entry.ts), class_="when"),
        tag(
            "div",
            tag("p", tag("span", told.kind, class_="kind"), " ", told.what),
            tag("p", quoted(entry.event.actor), f" · {place}", class_="place"),
            facts,
            tag("p", "Leaf hash ", tag("code", entry.hash), class_="hash"),
            tag("p", f"No. {entry.task_seq} of the task, key ", tag("code", entry.key), class_="hash"),
            class_="what",
        ),
        id=f"entry-{entry.seq}",
        class_=told.style or None,
    )


# Process and prompts -------------------------------------------------------------------------------------------------


def tell_process(walk: Walk, moments: Sequence[Moment]) -> Html:
    adopted = [each.entry for each in moments if isinstance(each.entry.event, events.ProcessAdopted)]
    weaker = [one for entry in adopted for one in getattr(entry.event, "weakenings", ())]
    found = tag("ul", (tag("li", quoted(one)) for one in weaker)) if weaker else tag("p", "None that was adopted.")
    return section(
        "process",
        "Process",
        pairs(
            ("Name", quoted(walk.state.process)),
            ("Digest", code(walk.state.digest)),
            ("Adopted later", _names(f"entry {entry.seq}" for entry in adopted) if adopted else "never changed"),
            ("Review of own work", "allowed" if walk.process.self_review else "not allowed"),
        ),
        tag("h3", "Weakenings"),
        found,
    )


def tell_prompts(moments: Sequence[Moment]) -> Html:
    shown = [each for each in moments if _presents(each)]
    intro = tag("p", "A digest shows what was presented, not that a model has read or obeyed it.")
    if not shown:
        return section("prompts", "Prompts", tag("p", "No prompt was attested."), intro)
    head = tag("tr", (tag("th", name, scope="col") for name in ("Entry", *_PROMPT_COLUMNS)))
    table = tag(
        "table",
        tag("caption", "Prompts that were presented"),
        tag("thead", head),
        tag("tbody", map(_prompt, shown)),
    )
    return section("prompts", "Prompts", intro, table)


def _presents(moment: Moment) -> bool:
    event = moment.entry.event
    return isinstance(event, events.PromptAttested) or (
        isinstance(event, events.CommandRefused) and bool(event.attested)
    )


def _drift(moment: Moment) -> str:
    """The parts that differ, or what a refusal says of them; empty where none does."""
    event = moment.entry.event
    if isinstance(event, events.PromptAttested):
        return ", ".join(event.drift)
    return "; ".join(one.message for one in event.refused if one.code == "prompt_drift")


def _drift_count(moments: Sequence[Moment]) -> str:
    count = sum(bool(_drift(each)) for each in moments if _presents(each))
    return f"{count} of {sum(map(_presents, moments))} attestations"


def _prompt(moment: Moment) -> Html:
    entry, drift = moment.entry, _drift(moment)
    return tag(
        "tr",
        tag("th", tag("a", str(entry.seq), href=f"#entry-{entry.seq}"), scope="row"),
        tag("td", (moment.before or moment.after).phase, data_label=_PROMPT_COLUMNS[0]),
        tag("td", quoted(entry.event.actor), data_label=_PROMPT_COLUMNS[1]),
        tag("td", tag("strong", "drift: ", quoted(drift)) if drift else "none", data_label=_PROMPT_COLUMNS[2]),
    )


# Pieces --------------------------------------------------------------------------------------------------------------


def section(name: str, heading: str, *children: Child) -> Html:
    return tag(
        "section", tag("h2", heading, id=f"{name}-heading"), *children, id=name, aria_labelledby=f"{name}-heading"
    )


def pairs(*named: tuple[str, Child]) -> Html:
    return tag(
        "dl", ((tag("dt", name), tag("dd", quoted(value) if type(value) is str else value)) for name, value in named)
    )


def code(text: str) -> Html:
    return tag("code", quoted(text))


def _time(microseconds: int) -> Html:
    """A time as RFC 3339 writes it, to the second for people and whole for programs. No line can hold a later one."""
    shown = format_moment(microseconds, fraction=False).replace("T", " ").replace("Z", " UTC")
    return tag("time", shown, datetime=format_moment(microseconds))
