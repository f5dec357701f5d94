"""One task as a replay walks it, and one line of it on its way through the steps.

Closed tasks are many and seldom looked at again, so their states are kept folded up.
"""

from __future__ import annotations

import pickle
import zlib

from enforcer.ledger.repeats import Repeats
from enforcer.workflow.state import OPEN, TaskState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enforcer.ledger.frames import Frame

# More lines than any ledger has.
ENDLESS = 1 << 62

_TOGETHER = 16  # States folded up together take a quarter of the time and of the space.


class Folded:
    """States of closed tasks, folded up together once there are enough of them."""

    __slots__ = ("_data", "_states")

    def __init__(self) -> None:
        self._states: list[TaskState] | None = []
        self._data = b""

    def add(self, state: TaskState) -> int | None:
        """The number under which `get` gives it back; None where there is no more room."""
        if self._states is None:
            return None
        self._states.append(state)
        number = len(self._states) - 1
        if len(self._states) == _TOGETHER:
            self._data, self._states = zlib.compress(pickle.dumps(self._states), 1), None
        return number

    def get(self, number: int) -> TaskState:
        states = self._states if self._states is not None else pickle.loads(zlib.decompress(self._data))
        state: TaskState = states[number]
        return state


class Closed:
    """Takes in the states of closed tasks. What no task refers to any more goes."""

    def __init__(self) -> None:
        self._open = Folded()

    def keep(self, state: TaskState) -> tuple[Folded, int]:
        """Where the state can be had again."""
        number = self._open.add(state)
        if number is None:
            self._open = Folded()
            return self.keep(state)
        return self._open, number


class TaskWalk:
    """One task so far. Its lines are judged before number `judged_to` of all; `lost` says where and why that ends.

    All tasks of a replay share `closed`.
    """

    __slots__ = (
        "_closed",
        "_kept",
        "_state",
        "attempts",
        "count",
        "head",
        "judged_to",
        "keys",
        "lost",
        "processes",
        "unjudged",
    )

    def __init__(self, closed: Closed) -> None:
        self.head: str | None = None
        self.count = 0
        self._state: TaskState | None = None
        self._kept: tuple[Folded, int] | None = None
        self._closed = closed
        self.judged_to = ENDLESS
        self.lost: tuple[int, str] | None = None
        self.unjudged = False
        self.processes: tuple[str, ...] = ()
        self.keys, self.attempts = Repeats(), Repeats()

    @property
    def state(self) -> TaskState | None:
        """None before it is opened."""
        if self._kept is not None:
            folded, number = self._kept
            return folded.get(number)
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
    def unpack(cls, packed: dict[str, Any], closed: Closed) -> TaskWalk:
        task = cls(closed)
        task.head, task.count = packed["head"], packed["count"]
        task.keys, task.attempts = (Repeats(bytes.fromhex(packed[name])) for name in ("keys", "attempts"))
        task.enter(TaskState.unpack(packed["state"]) if packed["state"] is not None else None)
        return task

    def enter(self, state: TaskState | None) -> None:
        """The state from here on."""
        if state is None or state.status == OPEN:
            self._state, self._kept = state, None
        else:
            self._state, self._kept = None, self._closed.keep(state)


class Step:
    """One line of a task on its way: the `state` before it, and why it is `unfit` to be followed, if it is."""

    __slots__ = ("event", "frame", "leaf_hash", "number", "state", "task", "unfit")

    def __init__(self, number: int, frame: Frame, leaf_hash: str) -> None:
        self.number, self.frame, self.leaf_hash = number, frame, leaf_hash
        self.task: TaskWalk | None = None
        self.event: Any = None
        self.state: TaskState | None = None
        self.unfit = ""
