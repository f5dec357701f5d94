"""One task as a replay walks it, and one line of it on its way through the steps.

Closed tasks are many and seldom looked at again, so the state of one is kept folded up.
"""

from __future__ import annotations

import json
import zlib

from enforcer.ledger.repeats import Repeats
from enforcer.workflow.state import OPEN, TaskState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enforcer.ledger.frames import Frame

# More lines than any ledger has.
ENDLESS = 1 << 62


class TaskWalk:
    """One task so far. Its lines are judged before number `judged_to` of all; `lost` says where and why that ends."""

    __slots__ = ("_closed", "_state", "attempts", "count", "head", "judged_to", "keys", "lost", "processes", "unjudged")

    def __init__(self) -> None:
        self.head: str | None = None
        self.count = 0
        self._state: TaskState | None = None
        self._closed = b""
        self.judged_to = ENDLESS
        self.lost: tuple[int, str] | None = None
        self.unjudged = False
        self.processes: tuple[str, ...] = ()
        self.keys, self.attempts = Repeats(), Repeats()

    @property
    def state(self) -> TaskState | None:
        """None before it is opened."""
        if self._closed:
            return TaskState.unpack(json.loads(zlib.decompress(self._closed)))
        return self._state

    def lose(self, number: int, seq: int, why: str) -> None:
        """From line `number` on nothing is judged: the state there would be a guess."""
        if number < self.judged_to:
            self.judged_to, self.lost = number, (seq, why)

    def pack(self) -> dict[str, Any]:
        state = self.state
        return {
            "head": self.head,
            "count": self.count,
            "state": state.pack() if state is not None else None,
            "keys": self.keys.pack().hex(),
            "attempts": self.attempts.pack().hex(),
        }

    @classmethod
    def unpack(cls, packed: dict[str, Any]) -> TaskWalk:
        task = cls()
        task.head, task.count = packed["head"], packed["count"]
        task.keys, task.attempts = (Repeats(bytes.fromhex(packed[name])) for name in ("keys", "attempts"))
        task.enter(TaskState.unpack(packed["state"]) if packed["state"] is not None else None)
        return task

    def enter(self, state: TaskState | None) -> None:
        """The state from here on. Closed tasks are many and seldom looked at again, so theirs is folded up."""
        self._state, self._closed = state, b""
        if state is not None and state.status != OPEN:
            self._state, self._closed = None, zlib.compress(json.dumps(state.pack()).encode(), 1)


class Step:
    """One line of a task on its way: the `state` before it, and why it is `unfit` to be followed, if it is."""

    __slots__ = ("event", "frame", "leaf_hash", "number", "state", "task", "unfit")

    def __init__(self, number: int, frame: Frame, leaf_hash: str) -> None:
        self.number, self.frame, self.leaf_hash = number, frame, leaf_hash
        self.task: TaskWalk | None = None
        self.event: Any = None
        self.state: TaskState | None = None
        self.unfit = ""
