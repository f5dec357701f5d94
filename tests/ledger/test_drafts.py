"""`enforcer.ledger.drafts`: the quick way of replacing gives what the slow one gives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from enforcer.ledger.drafts import hasten
from enforcer.workflow.record import Record


class Colour(Record):
    red: int
    green: int
    name: str = ""


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    hasten(Colour)
    yield
    Colour.draft = None


def test_a_hastened_record_is_replaced_as_any_other() -> None:
    changed = Colour(1, 2).replace(green=3, name="leaf")
    assert changed == Colour(1, 3, "leaf")
    assert type(changed) is Colour
    assert hash(changed) == hash(Colour(1, 3, "leaf"))


def test_what_was_replaced_stays_as_it_was() -> None:
    before = Colour(1, 2)
    before.replace(red=9)
    assert before == Colour(1, 2)


def test_the_result_is_immutable() -> None:
    changed = Colour(1, 2).replace(red=9)
    with pytest.raises(AttributeError, match="immutable"):
        changed.red = 1  # type: ignore[misc]
    with pytest.raises(AttributeError, match="immutable"):
        del changed.red


@pytest.mark.parametrize("field", ["blue", "pack", "fields", "__dict__"])
def test_only_fields_can_be_replaced(field: str) -> None:
    with pytest.raises(TypeError, match=f"no field {field}"):
        Colour(1, 2).replace(**{field: 1})
