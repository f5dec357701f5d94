"""What an entry is told as."""

from __future__ import annotations

from enforcer.telemetry import ids
from enforcer.telemetry.metrics import Measures
from enforcer.telemetry.spans import Span, span_of, tell, trace_of
from enforcer.workflow import events
from enforcer.workflow.events import Accepted, Refusal
from tests.telemetry.story import ADA, LEDGER, SECOND, START, Story, walk


def told(story: Story) -> list[Span]:
    """The spans of a whole ledger."""
    measures = Measures()
    spans: list[Span] = []
    for entry in story.entries():
        spans += tell(entry, measures.course(entry.task))
        measures.add(entry)
    return spans


def named(spans: list[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


def test_a_walk_is_told_as_its_transitions_judgings_and_violations() -> None:
    names = [span.name.rpartition(".")[2] for span in told(walk())]

    assert names == [
        "transition",  # opened
        "violation",  # the skip
        "transition",
        "violation",  # VERIFY failed
        "verify",
        "transition",  # back
        "transition",
        "transition",  # VERIFY passed
        "verify",
        "violation",  # the tool
        "transition",  # completed
    ]


def test_a_transition_lasts_since_the_one_before() -> None:
    moves = named(told(walk()), "agent.state.transition")

    lasting = [(span.end - span.start) // 1_000_000_000 for span in moves]
    assert lasting == [0, 60, 7, 31, 7, 2]
    assert [span.start for span in moves[1:]] == [span.end for span in moves[:-1]]


def test_a_judging_of_verify_lasts_since_the_phase_was_entered_or_judged_before() -> None:
    story = Story()
    story.open(phase="VERIFY")
    story.fail("VERIFY", "a.json", after=5 * SECOND)
    story.fail("VERIFY", "a.json", after=3 * SECOND)
    story.advance("VERIFY", "REVIEW", after=2 * SECOND)

    rounds = named(told(story), "agent.verify")

    assert [(span.end - span.start) // 1_000_000_000 for span in rounds] == [5, 3, 2]
    assert [span.error for span in rounds] == ["evidence_invalid", "evidence_invalid", ""]


def test_spans_are_dated_by_the_ledger_in_nanoseconds() -> None:
    story = walk()

    ends = {span.end for span in told(story)}

    assert ends <= {entry.ts * 1000 for entry in story.entries()}
    assert min(span.start for span in told(story)) >= START * 1000


def test_a_violation_is_a_moment() -> None:
    assert all(span.start == span.end for span in named(told(walk()), "process.violation"))


def test_a_success_has_no_error_and_a_refusal_its_first_code() -> None:
    story = Story()
    story.open()
    story.refuse(
        "evidence", Refusal("evidence_missing", "m", "SPEC", "a"), Refusal("evidence_invalid", "m"), phase="SPEC"
    )

    opened, refused = told(story)

    assert (opened.error, refused.error) == ("", "evidence_missing")
    assert "error.type" not in opened.attributes
    assert refused.attributes["error.type"] == "evidence_missing"
    assert refused.attributes["enforcer.refusal.codes"] == ("evidence_missing", "evidence_invalid")
    assert refused.attributes["enforcer.refusal.count"] == 2
    assert refused.attributes["enforcer.refusal.artifacts"] == ("SPEC/a",)


def test_spans_and_entries_lead_to_each_other() -> None:
    story = walk()
    by_span = {span_of(entry): entry for entry in story.entries() if span_of(entry)}

    for span in told(story):
        if span.name != "agent.verify":
            entry = by_span[span.span]
            assert span.attributes["enforcer.entry.seq"] == entry.seq
            assert span.attributes["enforcer.entry.hash"] == entry.hash
            assert span.trace == trace_of(entry)
            assert span.attributes["enforcer.ledger.id"] == LEDGER


def test_an_entry_that_is_no_transition_and_no_refusal_has_no_span() -> None:
    story = Story()
    story.open()
    released = story.add(events.LeaseReleased(actor=ADA, holder=ADA, token=1))

    assert span_of(released) is None
    assert tell(released, None) == ()


def test_the_spans_of_a_task_are_one_trace_below_its_opening() -> None:
    spans = told(walk())
    root = spans[0]

    assert {span.trace for span in spans} == {ids.trace_id(LEDGER, "T")}
    assert root.parent == ""
    assert {span.parent for span in spans[1:]} == {root.span}


def test_all_span_ids_differ() -> None:
    spans = told(walk())
    assert len({span.span for span in spans}) == len(spans)


def test_a_judging_links_to_the_other_span_of_its_entry() -> None:
    spans = told(walk())
    failed, passed = named(spans, "agent.verify")

    assert failed.links == ((failed.trace, spans[3].span),)
    assert passed.links == ((passed.trace, spans[7].span),)


def test_a_judging_carries_the_evaluation_as_an_event() -> None:
    failed, passed = named(told(walk()), "agent.verify")

    labels = [span.moments[0].attributes["gen_ai.evaluation.score.label"] for span in (failed, passed)]
    assert labels == ["fail", "pass"]
    assert failed.moments[0].time == failed.end
    assert passed.moments[0].name == "gen_ai.evaluation.result"


def test_an_advance_out_of_verify_that_a_cheaper_stage_refused_judges_nothing() -> None:
    story = Story()
    story.open(phase="VERIFY")
    story.skip("VERIFY", "MONITOR")
    story.refuse("evidence", Refusal("evidence_invalid", "m", "VERIFY", "a"), phase="VERIFY", command="other")

    assert named(told(story), "agent.verify") == []


def test_a_transition_says_where_from_where_to_which_attempt_and_by_whom() -> None:
    story = walk()
    moves = named(told(story), "agent.state.transition")
    said = [{name.removeprefix("enforcer."): value for name, value in span.attributes.items()} for span in moves]

    assert [(one.get("phase.from"), one.get("phase.to"), one["transition"]) for one in said] == [
        (None, "IMPLEMENT", "open"),
        ("IMPLEMENT", "VERIFY", "advance"),
        ("VERIFY", "IMPLEMENT", "backtrack"),
        ("IMPLEMENT", "VERIFY", "advance"),
        ("VERIFY", "REVIEW", "advance"),
        ("REVIEW", None, "advance"),
    ]
    assert [(one["attempt"], one.get("attempt.to")) for one in said] == [
        (1, 1),
        (1, 1),
        (1, 2),
        (2, 2),
        (2, 1),
        (1, None),
    ]
    assert [one["attempt.id"] for one in said][:3] == ["T-IMPLEMENT-1", "T-IMPLEMENT-1", "T-VERIFY-n"]
    assert {one["gen_ai.agent.id"] for one in said} == {ADA}
    assert said[-1]["completed"] is True


def test_an_advance_says_what_it_stood_on() -> None:
    story = Story()
    story.open()
    story.advance(
        "SPEC",
        "PLAN",
        evidence=(Accepted("spec.md", "0" * 64, 3),),
        warnings=(Refusal("evidence_unobserved", "m"),),
        tree="a" * 40,
        commit="b" * 40,
        labels=("claimed",),
    )

    said = told(story)[-1].attributes

    assert said["enforcer.evidence.artifacts"] == ("spec.md",)
    assert said["enforcer.warning.codes"] == ("evidence_unobserved",)
    assert (said["enforcer.tree"], said["vcs.ref.head.revision"]) == ("a" * 40, "b" * 40)
    assert said["enforcer.evidence.labels"] == ("claimed",)


def test_a_denied_tool_call_is_named_in_the_terms_of_the_genai_conventions() -> None:
    story = Story()
    story.open()
    story.deny("SPEC", escalation=("tool_out_of_phase",))

    said = told(story)[-1].attributes

    assert said["gen_ai.tool.name"] == "Bash"
    assert said["gen_ai.tool.call.id"] == "call-1"
    assert said["gen_ai.conversation.id"] == "s1"
    assert said["enforcer.refusal.stage"] == "tool"
    assert said["enforcer.refusal.escalation"] == ("tool_out_of_phase",)


def test_free_text_stays_on_the_ledger() -> None:
    story = walk()
    assert "ecret" in repr(story.entries())
    assert "ecret" not in repr(told(story))
    assert "it fails" not in repr(told(story))


def test_a_refusal_on_a_closed_task_is_told_without_a_parent() -> None:
    story = walk()
    story.refuse("task", Refusal("task_closed", "m"), phase="REVIEW")

    late = told(story)[-1]

    assert (late.name, late.parent, late.error) == ("process.violation", "", "task_closed")
    assert late.trace == ids.trace_id(LEDGER, "T")


def test_an_abandoned_task_is_told() -> None:
    story = Story()
    story.open()
    story.abandon("SPEC")

    span = told(story)[-1]

    assert span.attributes["enforcer.transition"] == "abandon"
    assert "enforcer.phase.to" not in span.attributes


def test_a_refusal_without_a_reason_is_not_told_as_a_success() -> None:
    """The gate writes none; who edits a ledger might."""
    empty = events.CommandRefused(actor=ADA, command="advance", stage="evidence", phase="VERIFY", refusals=())
    entry = Story().open(phase="VERIFY").replace(event=empty)

    assert tell(entry, None) == ()
