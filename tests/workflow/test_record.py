"""The base of every value: immutable, equal by content, and read from JSON without trust."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.ledger.codec import canonical
from enforcer.workflow.events import (
    EVENTS,
    PREFIX,
    Accepted,
    Claim,
    Event,
    LeaseReleased,
    PhaseAdvanced,
    Refusal,
    parse,
)
from enforcer.workflow.process import Process
from enforcer.workflow.record import Record, UnknownField
from enforcer.workflow.state import TaskState
from tests.workflow.scene import ADA, PHASES, Scene, process, through_json


class Point(Record):
    x: int
    y: int = 0


class Shape(Record):
    name: str
    corners: tuple[Point, ...] = ()
    centre: Point | None = None
    marks: Mapping[str, Point] = {}
    layers: Mapping[str, tuple[Point, ...]] = {}
    counts: Mapping[str, int] = {}
    tags: tuple[str, ...] | None = None
    solid: bool = False

    nested: ClassVar[Mapping[str, type[Record]]] = {"corners": Point, "centre": Point}
    nested_maps: ClassVar[Mapping[str, type[Record]]] = {"marks": Point, "layers": Point}


FULL = Shape(
    "square",
    (Point(1), Point(2, 3)),
    Point(0),
    {"a": Point(4)},
    {"top": (Point(5), Point(6)), "none": ()},
    {"n": 4},
    ("t",),
    True,
)


def test_fields_are_given_by_place_or_by_name_and_default_otherwise() -> None:
    assert Point(1, 2) == Point(x=1, y=2)
    assert Point(1).y == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Point(),  # type: ignore[call-arg]
        lambda: Point(1, 2, 3),  # type: ignore[call-arg]
        lambda: Point(1, z=3),  # type: ignore[call-arg]
        lambda: Point(1, x=1),  # type: ignore[misc]
        lambda: Point(1).replace(z=3),
    ],
    ids=["missing", "too many", "unknown", "twice", "replacing an unknown one"],
)
def test_a_wrong_set_of_fields_is_an_error(make: Any) -> None:
    with pytest.raises(TypeError):
        make()


def test_a_record_cannot_be_changed() -> None:
    point = Point(1)

    with pytest.raises(AttributeError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del point.x
    with pytest.raises(AttributeError):
        point.z = 2
    assert point == Point(1)


def test_replacing_a_field_makes_another_record() -> None:
    point = Point(1, 2)

    assert point.replace(y=3) == Point(1, 3)
    assert point == Point(1, 2)


def test_records_are_equal_when_of_one_class_with_equal_fields() -> None:
    class Other(Record):
        x: int
        y: int = 0

    assert Point(1) == Point(1, 0)
    assert Point(1) != Point(2)
    assert Point(1) != Other(1)
    assert Point(1) != (1, 0)
    assert len({Point(1), Point(1, 0), Point(2)}) == 2


def test_a_record_shows_its_fields() -> None:
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"


def test_defaults_are_left_out_unless_all_is_asked_for() -> None:
    assert Point(1).pack() == {"x": 1}
    assert Point(1).pack(complete=True) == {"x": 1, "y": 0}
    assert Shape("s", centre=Point(1)).pack(complete=True)["centre"] == {"x": 1, "y": 0}


def test_packing_and_unpacking_gives_the_same_record() -> None:
    assert Shape.unpack(through_json(FULL.pack())) == FULL
    assert Shape.unpack(through_json(FULL.pack(complete=True))) == FULL
    assert Shape.unpack({"name": "s"}) == Shape("s")


def test_fields_of_a_base_class_come_first() -> None:
    assert PhaseAdvanced.fields[:5] == ("actor", "request", "notes", "token", "lease")


@pytest.mark.parametrize(
    "packed",
    [
        [],
        None,
        "square",
        {},
        {"name": 1},
        {"name": None},
        {"name": "s", "solid": 1},
        {"name": "s", "solid": None},
        {"name": "s", "corners": {}},
        {"name": "s", "corners": None},
        {"name": "s", "corners": [None]},
        {"name": "s", "corners": [[]]},
        {"name": "s", "corners": ["x"]},
        {"name": "s", "corners": [{"x": 1, "y": True}]},
        {"name": "s", "corners": [{"x": 1.0}]},
        {"name": "s", "centre": []},
        {"name": "s", "centre": [{"x": 1}]},
        {"name": "s", "centre": {}},
        {"name": "s", "marks": []},
        {"name": "s", "marks": {"a": None}},
        {"name": "s", "marks": {"a": 1}},
        {"name": "s", "marks": {"a": [{"x": 1}]}},
        {"name": "s", "layers": {"top": {"x": 1}}},
        {"name": "s", "layers": {"top": [None]}},
        {"name": "s", "layers": {"top": None}},
        {"name": "s", "counts": {"n": "4"}},
        {"name": "s", "counts": {"n": True}},
        {"name": "s", "counts": [1]},
        {"name": "s", "tags": [1]},
        {"name": "s", "tags": "t"},
        {"name": "s", "tags": {"t": "t"}},
    ],
    ids=lambda packed: json.dumps(packed),
)
def test_what_is_of_another_kind_is_refused(packed: Any) -> None:
    with pytest.raises(ValueError, match=r"Shape|Point"):
        Shape.unpack(packed)


def test_an_unknown_member_is_told_apart_because_a_later_release_may_know_it() -> None:
    with pytest.raises(UnknownField):
        Point.unpack({"x": 1, "colour": "red"})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def shaped(kind: type[Record]) -> st.SearchStrategy[Any]:
    """JSON that has some members of a record, most of them wrong."""
    record = st.fixed_dictionaries({}, optional=dict.fromkeys(kind.fields, anything))
    inner = {field: shaped(other) for field, other in {**kind.nested, **kind.nested_maps}.items()}
    nested = st.fixed_dictionaries({}, optional={field: held(one) for field, one in inner.items()})
    return st.builds(lambda outer, deep: {**outer, **deep}, record, nested)


def held(one: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One value, or an array or an object of some."""
    some = st.lists(one, max_size=2)
    return one | some | st.dictionaries(st.text(max_size=3), one | some, max_size=2)


@given(packed=anything | shaped(Shape))
def test_arbitrary_json_is_unpacked_or_refused_with_a_value_error(packed: Any) -> None:
    try:
        shape = Shape.unpack(packed)
    except ValueError:
        return
    assert Shape.unpack(through_json(shape.pack())) == shape


@pytest.mark.parametrize("kind", [*EVENTS.values(), TaskState, Process], ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_reading_an_event_state_or_process_raises_nothing_else(kind: type[Record], data: st.DataObject) -> None:
    packed: Any = data.draw(anything | shaped(kind))
    try:
        read = kind.unpack(packed)
    except ValueError:
        return
    assert kind.unpack(read.pack()) == read


@given(name=st.text(max_size=30), packed=anything)
def test_an_event_of_an_unknown_type_is_refused_with_a_value_error(name: str, packed: Any) -> None:
    with pytest.raises(ValueError, match="unknown event type"):
        parse(name, packed)


def test_an_event_is_read_by_its_full_type_only() -> None:
    event = LeaseReleased(actor=ADA, holder=ADA, token=1)

    assert parse(PREFIX + "lease.released", event.pack()) == event
    for name in ("lease.released", PREFIX + "lease.stolen", PREFIX, PREFIX + PREFIX + "lease.released"):
        with pytest.raises(ValueError, match="unknown event type"):
            parse(name, event.pack())


def test_the_types_of_events_are_a_wire_format() -> None:
    assert set(EVENTS) == {
        "ledger.created",
        "ledger.recovered",
        "key.rotated",
        "task.opened",
        "phase.advanced",
        "phase.backtracked",
        "task.abandoned",
        "command.refused",
        "tool.refused",
        "lease.claimed",
        "lease.taken_over",
        "lease.released",
        "prompt.attested",
        "baseline.accepted",
        "process.adopted",
        "evidence.restored",
        "run.observed",
        "approval.granted",
        "approval.rejected",
        "rules.waived",
    }
    assert all(EVENTS[name].type == name for name in EVENTS)


def test_an_event_of_every_field_reads_back() -> None:
    event = PhaseAdvanced(
        actor=ADA,
        token=3,
        lease=Claim(ADA, 3),
        start="SPEC",
        to="PLAN",
        attempt_id="a" * 32,
        evidence=(Accepted("note.md", "d" * 64, 5),),
        warnings=(Refusal("evidence_invalid", "It says nothing."),),
    )

    assert parse(PREFIX + event.type, json.loads(canonical(event.pack()))) == event


def test_a_process_is_the_same_after_a_round_trip() -> None:
    governing = process(pins={"header": "d" * 64}, personas={"reviewer": ("run",)}, self_review=True)

    assert Process.unpack(through_json(governing.pack())) == governing


def test_the_state_of_a_long_walk_is_the_same_after_a_round_trip() -> None:
    """A stored mapping comes back in another order; nothing may depend on it."""
    scene = Scene().at("MONITOR")
    again = TaskState.unpack(through_json(scene.task.pack()))

    assert again == scene.task
    assert list(again.accepted) != list(again.walked)
    assert list(again.accepted_files()) == [f"{name}/note.md" for name in PHASES[:-1]]


def test_only_refusals_are_refused() -> None:
    for kind in EVENTS.values():
        assert isinstance(kind.refused, property)
    assert Event(actor=ADA).refused == ()
