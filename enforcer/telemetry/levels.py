"""The service levels: three promises about the process as a whole, each a fraction held against a limit.

They are computed from the counts and stored nowhere, so that a limit can change without history changing with it.
"""

from __future__ import annotations

from enforcer.telemetry.counters import CLOSED, COMPLETED, LOOPED, OPENED
from enforcer.telemetry.repairs import LIMIT_US
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.telemetry.metrics import Measures


class Level(Record, kw_only=True):
    """`part` of `whole` (integers), to be at least or at most `limit` hundredths of a `unit`."""

    name: str
    meaning: str
    unit: str
    part: int
    whole: int
    limit: int
    at_least: bool

    @property
    def value(self) -> float | None:
        """The fraction; None while there is nothing to measure."""
        return round(self.part / self.whole, 6) if self.whole else None

    @property
    def target(self) -> float:
        return self.limit / 100

    @property
    def met(self) -> bool | None:
        """Whether the level holds, compared exactly; None while there is nothing to measure."""
        if not self.whole:
            return None
        have, need = self.part * 100, self.limit * self.whole
        return have >= need if self.at_least else have <= need


def levels(measures: Measures) -> tuple[Level, ...]:
    """The service levels as they stand."""
    repairs = measures.repairs
    return (
        Level(
            name="task_success_ratio",
            meaning="Completed tasks among the closed ones",
            unit="1",
            part=measures.by(CLOSED).get((COMPLETED,), 0),
            whole=measures.total(CLOSED),
            limit=95,
            at_least=True,
        ),
        Level(
            name="task_loop_ratio",
            meaning="Tasks with three or more attempts of one phase among all opened",
            unit="1",
            part=measures.total(LOOPED),
            whole=measures.total(OPENED),
            limit=2,
            at_least=False,
        ),
        Level(
            name="tool_repair_mean",
            meaning="Mean time from a denied tool call to the session's next allowed one",
            unit="s",
            part=repairs.total_us,
            whole=repairs.count * 1_000_000,
            limit=LIMIT_US // 10_000,
            at_least=False,
        ),
    )
