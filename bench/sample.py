"""Samples of one figure, and the line that is printed of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

MICRO = 1000

T = TypeVar("T")


@dataclass
class Figure:
    """One figure. `ratio` is the median of the samples over the median of the floor; `limit` None is only printed."""

    name: str
    limit: float | None
    samples: list[int] = field(default_factory=list)
    floor: list[int] = field(default_factory=list)
    extra: dict[str, float | int | str] = field(default_factory=dict)
    ok: bool = True

    def time(self, call: Callable[[], T]) -> T:
        """Run `call` once as a sample, in nanoseconds; what it returned."""
        began = time.perf_counter_ns()
        answer = call()
        self.samples.append(time.perf_counter_ns() - began)
        return answer

    @property
    def ratio(self) -> float:
        return percentile(self.samples, 50) / percentile(self.floor, 50)

    @property
    def holds(self) -> bool:
        return self.ok and (self.limit is None or self.ratio <= self.limit)

    def line(self) -> str:
        """One JSON object: times in microseconds."""
        values = {
            "name": self.name,
            "ratio": round(self.ratio, 2),
            "limit": self.limit,
            "ok": self.holds,
            "n": len(self.samples),
            "p50_us": round(percentile(self.samples, 50) / MICRO, 1),
            "p95_us": round(percentile(self.samples, 95) / MICRO, 1),
            "p99_us": round(percentile(self.samples, 99) / MICRO, 1),
            "floor_p50_us": round(percentile(self.floor, 50) / MICRO, 1),
        }
        return json.dumps({**values, **self.extra})


def percentile(samples: list[int], share: int) -> float:
    """The smallest sample that `share` per cent of them do not exceed."""
    ranked = sorted(samples)
    return float(ranked[min(len(ranked) - 1, -(-len(ranked) * share // 100) - 1)])
