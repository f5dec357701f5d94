"""Times as text agree with those of the standard library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.attestation.moments import LATEST, format_moment

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.integers(0, LATEST))
def test_a_moment_is_written_as_the_standard_library_writes_it(microseconds: int) -> None:
    moment = EPOCH + timedelta(microseconds=microseconds)
    assert format_moment(microseconds) == moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert format_moment(microseconds, fraction=False) == moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def test_every_day_of_the_calendar_is_right() -> None:
    for days in range(0, 2_932_896, 7):
        day = EPOCH + timedelta(days=days)
        assert format_moment(days * 86_400_000_000, fraction=False) == f"{day:%Y-%m-%d}T00:00:00Z"


@pytest.mark.parametrize("microseconds", [-1, LATEST + 1])
def test_what_cannot_be_written_is_refused(microseconds: int) -> None:
    with pytest.raises(ValueError, match="beyond the years"):
        format_moment(microseconds)
