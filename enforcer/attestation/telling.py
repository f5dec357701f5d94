"""What one entry of a task says, for people: a word for its kind, a sentence, and every particular below.

Whatever the entry states is told, its digests included, so that whoever reads the page can hold it against the line. A
class of the style goes with each kind, and says nothing that the word does not.
"""

from __future__ import annotations

from enforcer.attestation.circumstances import ORIGINS
from enforcer.attestation.markup import join, quoted, tag
from enforcer.attestation.moments import format_moment
from enforcer.workflow import events
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from enforcer.attestation.markup import Child, Html
    from enforcer.workflow.events import Event, Notes, Refusal, Sealed


class Told(Record):
    """`kind` is a word or two, `style` a class, `what` the rest of the sentence, `facts` the particulars."""

    kind: str
    style: str
    what: Html
    facts: tuple[Html, ...] = ()


def tell(event: Event) -> Told:
    """One event of a task."""
    told = _tell(event)
    claim = _claim(event.lease) if isinstance(event, events.WorkEvent) and event.lease is not None else ()
    return told.replace(facts=(*told.facts, *claim, *(_notes(event.notes) if event.notes is not None else ())))


def _tell(event: Any) -> Told:
    match event:
        case events.TaskOpened():
            return _opened(event)
        case events.PhaseAdvanced():
            return _advanced(event)
        case events.PhaseBacktracked():
            return Told(
                "Went back",
                "back",
                join([f"from {event.start} to {event.to}: ", quoted(event.reason)]),
                _facts(("Id of the attempt", event.attempt_id)),
            )
        case events.TaskAbandoned():
            return Told("Abandoned", "denied", join([f"in {event.phase}: ", quoted(event.reason)]))
        case events.CommandRefused():
            return _refused(event)
        case events.ToolRefused():
            return _denied(event)
        case events.PromptAttested():
            return _attested(event)
        case events.BaselineAccepted():
            return _baseline(event)
        case events.ProcessAdopted():
            return _adopted(event)
        case events.EvidenceRestored():
            facts = (*_digests("Restored", event.restored), *_digests("Replaced", event.replaced))
            return Told("Evidence restored", "", join([f"{len(event.restored)} of it"]), facts)
        case events.RunObserved():
            return _ran(event)
        case events.Vouched():
            return _said(event)
    return _lease(event)


def _ran(event: events.RunObserved) -> Told:
    ended = f"ended by {event.signal}" if event.signal else f"exit status {event.status}"
    made = ", ".join(one.artifact for one in event.made) or "no evidence"
    counts = "yes" if event.configured else "no: the process names another command, so it proves nothing"
    facts = (
        *map(_made, event.made),
        *_facts(
            ("Configured", counts),
            ("Duration", f"{event.duration_us} microseconds"),
            ("Sandbox", event.sandbox),
            ("Tree", event.tree),
            ("Id of the attempt", event.attempt_id),
            ("Record of the run", event.observation),
        ),
        *_listed("To be looked at", event.labels),
    )
    failed = bool(event.status or event.signal)
    what = join([f"in {event.phase}, and made ", quoted(made), f": {ended}"])
    return Told("Ran", "denied" if failed else "moved", what, facts)


def _made(one: events.Made) -> Html:
    reader = [", read as ", quoted(one.reader)] if one.reader else []
    return tag("li", quoted(one.artifact), f": {one.size} bytes", reader, ", SHA-256 ", tag("code", one.digest))


def _said(event: events.Vouched) -> Told:
    title, tone = {
        events.ApprovalGranted: ("Approved", "moved"),
        events.ApprovalRejected: ("Rejected", "denied"),
    }.get(type(event), ("Rules waived", "denied"))
    how = f"signed with {event.fingerprint}" if event.signature else "declared, not signed"
    artifact = getattr(event, "artifact", "")
    moves = getattr(event, "process", "")
    about = [
        "another process" if moves else f"leaving {event.phase}",
        *([" on ", quoted(artifact)] if artifact else []),
    ]
    what = join([*about, " by ", quoted(event.principal), ", ", quoted(how), ": ", quoted(event.reason or "no reason")])
    facts = (
        *_listed("Rules", getattr(event, "rules", ())),
        *_digests("Evidence", event.evidence),
        *_facts(
            ("Process digest", getattr(event, "process", "")),
            ("Tree", event.tree),
            ("Counts until", f"{_moment(event.expires)} ({event.expires})"),
            ("Id of the attempt", event.attempt_id),
            ("Nonce", event.nonce),
            ("Statement", event.statement),
            ("Signature", event.signature),
        ),
    )
    return Told(title, tone, what, facts)


def _moment(microseconds: int) -> str:
    return format_moment(microseconds) if microseconds >= 0 else "a time that has no date"


def _lease(event: Any) -> Told:
    match event:
        case events.LeaseClaimed():
            return Told("Lease claimed", "", join(["by ", quoted(event.holder), f", token {event.token}"]))
        case events.LeaseTakenOver():
            what = [
                "by ",
                quoted(event.holder),
                " from ",
                quoted(event.previous),
                f", token {event.token}: it had expired",
            ]
            return Told("Lease taken over", "", join(what))
        case events.LeaseReleased():
            what = ["of ", quoted(event.holder), f", token {event.token}"]
            forced = [", by force: ", quoted(event.reason)] if event.forced else []
            return Told("Lease released", "", join([*what, *forced]))
    return Told(event.type.replace(".", " ").capitalize(), "", join([""]))


def _opened(event: events.TaskOpened) -> Told:
    facts = _facts(("Process digest", event.digest), ("Base", event.base), ("Id of the attempt", event.attempt_id))
    authors = _listed("Phases whose holders are authors", event.authoring)
    what = join(
        [f"in {event.phase} under the process ", quoted(event.process), ": ", quoted(event.title or "no title")]
    )
    return Told("Opened", "moved", what, (*facts, *authors))


def _advanced(event: events.PhaseAdvanced) -> Told:
    count = len(event.evidence)
    on = f" on {count} artifact{'' if count == 1 else 's'}" if count else " on no evidence"
    facts = (
        *map(_accepted, event.evidence),
        *_facts(("Tree", event.tree), ("Commit", event.commit), ("Id of the attempt", event.attempt_id)),
        *_listed("Labels", event.labels),
        *_listed("Risk classes that the change touches", event.risks),
        *_listed("Rests on the approvals", event.approved),
        *(_reason(one, "Would be refused under enforce: ") for one in event.warnings),
    )
    if event.completed:
        return Told("Completed", "moved", join([f"with {event.start}{on}"]), facts)
    return Told("Advanced", "moved", join([f"from {event.start} to {event.to}{on}"]), facts)


def _accepted(one: events.Accepted) -> Html:
    return tag("li", quoted(one.artifact), f", {origin_of(one)}: {one.size} bytes, SHA-256 ", tag("code", one.digest))


def origin_of(one: events.Accepted) -> str:
    """Where evidence comes from, in words."""
    return ORIGINS.get(one.origin, one.origin) + (", the bytes of an earlier attempt" if one.reaffirmed else "")


def _refused(event: events.CommandRefused) -> Told:
    to = f" to {event.to}" if event.to else ""
    facts = (
        *(_reason(one) for one in event.refusals),
        *_digests("Presented", event.attested),
        *_listed("Escalated, the third time in a row", event.escalation),
        *_facts(("The other reasons are the object", event.reasons), ("Record of the run", event.observation)),
    )
    return Told(
        "Refused", "refused", join([f"{event.command}{to} in {event.phase}, at the stage {event.stage}"]), facts
    )


def _denied(event: events.ToolRefused) -> Told:
    facts = (
        *(_reason(one) for one in event.refusals),
        *_listed("It would need", event.capabilities),
        *_listed("It would write", event.paths),
        *_facts(("Session", event.session), ("Call", event.call), ("SHA-256 of the command", event.text)),
        *_listed("Escalated, the third time in a row", event.escalation),
        *(_facts(("Besides", "for no guarded tool, in whatever phase")) if event.forbidden else ()),
    )
    return Told("Tool call denied", "denied", join([quoted(event.tool), f" in {event.phase}"]), facts)


def _attested(event: events.PromptAttested) -> Told:
    drift = f"; drift in {', '.join(event.drift)}" if event.drift else "; no drift"
    facts = (
        *_digests("Presented", event.parts),
        *_listed("Became a baseline", event.first),
        *_listed("Drift", event.drift),
        *_facts(("Id of the attempt", event.attempt_id)),
    )
    style = "refused" if event.drift else ""
    return Told("Prompt attested", style, join([f"in {event.phase}", quoted(drift)]), facts)


def _baseline(event: events.BaselineAccepted) -> Told:
    what = ["of ", quoted(event.principal), f" in {event.phase}: ", quoted(event.reason), *_approved(event.approver)]
    facts = (*_digests("Accepted", event.parts), *_listed("Has none any more", event.dropped))
    return Told("Prompt baseline accepted", "", join(what), facts)


def _adopted(event: events.ProcessAdopted) -> Told:
    what = [quoted(event.process), ": ", quoted(event.reason), *_approved(event.approver, event.vouched)]
    facts = (
        *_facts(("Process digest", event.digest), ("Before", event.previous)),
        *(tag("li", tag("strong", "Weakening: "), quoted(one)) for one in event.weakenings),
        *(tag("li", "Difference: ", quoted(one)) for one in event.difference if one not in event.weakenings),
        *_listed("Phases whose holders are authors", event.authoring),
        *_listed("Rests on the approvals", event.approved),
        *_listed("Labels", event.labels),
    )
    return Told("Process adopted", "back" if event.weakenings else "", join(what), facts)


def _approved(approver: str, vouched: str = "declared") -> list[Child]:
    return [" (approved by ", quoted(approver), f", {vouched})"]


def _claim(claim: events.Claim) -> Iterator[Html]:
    how = "Claimed the lease with this entry" if claim.how == "claimed" else "Took the lease over with this entry"
    before = [", from ", quoted(claim.previous)] if claim.previous else []
    yield tag("li", f"{how}: ", quoted(claim.holder), f", token {claim.token}", before)


def _notes(notes: Notes) -> Iterator[Html]:
    if notes.coalesced:
        yield tag("li", f"{notes.coalesced} refusals of the same kind before it have no entry of their own.")
    if notes.stalled_minutes:
        yield tag("li", f"The task had made no progress for {notes.stalled_minutes} minutes.")
    if notes.clock_back_us:
        yield tag("li", f"The clock had gone back by {notes.clock_back_us} microseconds.")
    yield from _facts(("A cache was rejected", notes.cache_rejected))
    for one in (*notes.guard, *((notes.refusals,) if notes.refusals is not None else ())):
        yield _margin(one)
    for name in notes.margin_lost:
        yield tag("li", "Shorter than what was sealed of it, and sealed anew: ", quoted(name))


def _margin(one: Sealed) -> Html:
    place = f": {one.count} lines, bytes {one.start} to {one.end}, SHA-256 "
    return tag("li", "Sealed beside the ledger, of ", quoted(one.session), place, tag("code", one.digest))


def _reason(one: Refusal, before: str = "") -> Html:
    """A refusal: its code, what it is about, why, and what to do."""
    about = "/".join(part for part in (one.phase, one.artifact) if part)
    where = [" at ", quoted(about)] if about else []
    fix = [" ", tag("span", "Fix: ", quoted(one.fix))] if one.fix else []
    return tag("li", before, tag("code", one.code), where, ": ", quoted(one.message), fix)


def _facts(*named: tuple[str, str]) -> tuple[Html, ...]:
    return tuple(tag("li", f"{name}: ", tag("code", quoted(value))) for name, value in named if value)


def _listed(name: str, values: Iterable[str]) -> tuple[Html, ...]:
    text = ", ".join(values)
    return (tag("li", f"{name}: ", quoted(text)),) if text else ()


def _digests(name: str, named: Mapping[str, str]) -> tuple[Html, ...]:
    """Names and digests; one that is empty stands for a file that was not there."""
    return tuple(
        tag("li", f"{name}: ", quoted(one), " ", tag("code", quoted(digest or "nothing was there")))
        for one, digest in sorted(named.items())
    )
