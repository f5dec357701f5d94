"""How long a worker needs to find a way that is allowed: from a denied tool call to its session's next allowed one.

The guard writes every answer as a line of `state/guard/<session>.jsonl`; denials alone are entries of the ledger. A run
of denials is one episode, dated from its first, because the worker was stuck from then on. The durations are kept as a
histogram, so that the memory of it is bounded and the mean and the share within thirty seconds stay exact.
"""

from __future__ import annotations

from bisect import bisect_left

from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

ALLOW, DENY = "allow", "deny"
LIMIT_US = 30_000_000

# Upper bounds, inclusive, in microseconds; what is longer than the last falls into one bucket more.
BOUNDS_US = tuple(
    tenths * 100_000 for tenths in (1, 5, 10, 20, 50, 100, 300, 600, 1200, 3000, 6000)
)  # 0.1 s to 600 s; thirty seconds must be among them


class Repairs(Record, kw_only=True):
    """Repaired episodes and, in `denied`, the time at which each open one began. All durations in microseconds.

    `calls` and `denials` count the guard's answers; `unreadable` the lines that were not one.
    """

    buckets: tuple[int, ...] = (0,) * (len(BOUNDS_US) + 1)
    total_us: int = 0
    least_us: int = 0
    most_us: int = 0
    denied: Mapping[str, int] = {}
    calls: int = 0
    denials: int = 0
    unreadable: int = 0

    @property
    def count(self) -> int:
        return sum(self.buckets)

    @property
    def within_limit(self) -> int:
        """Episodes repaired within thirty seconds."""
        return sum(self.buckets[: BOUNDS_US.index(LIMIT_US) + 1])

    def follow(self, call: object) -> Repairs:
        """With one more line of the guard: `{"session", "ts" (UTC µs), "verdict": "allow" | "deny", …}`."""
        match call:
            case {"session": str(session), "ts": int(ts), "verdict": "deny"}:
                denied = self.denied if session in self.denied else {**self.denied, session: ts}
                return self.replace(denied=denied, calls=self.calls + 1, denials=self.denials + 1)
            case {"session": str(session), "ts": int(ts), "verdict": "allow"}:
                after = self.replace(calls=self.calls + 1)
                return after._repaired(session, ts) if session in self.denied else after
        return self.replace(unreadable=self.unreadable + 1)

    def _repaired(self, session: str, ts: int) -> Repairs:
        # Lines of a session are dated by the wall clock, which may have been set back between two of them.
        took = max(0, ts - self.denied[session])
        place = bisect_left(BOUNDS_US, took)
        return self.replace(
            buckets=(*self.buckets[:place], self.buckets[place] + 1, *self.buckets[place + 1 :]),
            total_us=self.total_us + took,
            least_us=min(self.least_us, took) if self.count else took,
            most_us=max(self.most_us, took),
            denied={name: since for name, since in self.denied.items() if name != session},
        )
