"""Enforcer: the work process that an agent cannot skip, evidence that it cannot invent, a record that anyone can check.

    from enforcer import Enforcer

    enforcer = Enforcer.open(".", actor="agent-1")
    task = enforcer.open_task("TASK-1", title="Say what a bad line was")
    with task.lease():
        outcome = task.advance()
        outcome.require()

Importing this package loads nothing heavy: each public name is fetched from its module when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.enforcer import Enforcer as Enforcer
    from enforcer.errors import DamagedError as DamagedError
    from enforcer.errors import EnforcerError as EnforcerError
    from enforcer.errors import InternalError as InternalError
    from enforcer.errors import RequestError as RequestError
    from enforcer.errors import UnavailableError as UnavailableError
    from enforcer.gate import Outcome as Outcome
    from enforcer.gate import Refused as Refused
    from enforcer.task import Task as Task
    from enforcer.workflow.events import Refusal as Refusal

__version__ = "0.1.0"

_HOMES = {
    "Enforcer": "enforcer.enforcer",
    "Task": "enforcer.task",
    "Outcome": "enforcer.gate",
    "Refused": "enforcer.gate",
    "Refusal": "enforcer.workflow.events",
    "EnforcerError": "enforcer.errors",
    "InternalError": "enforcer.errors",
    "RequestError": "enforcer.errors",
    "DamagedError": "enforcer.errors",
    "UnavailableError": "enforcer.errors",
}

__all__ = [  # noqa: RUF022 - in the order in which a reader meets them
    "Enforcer",
    "Task",
    "Outcome",
    "Refused",
    "Refusal",
    "EnforcerError",
    "InternalError",
    "RequestError",
    "DamagedError",
    "UnavailableError",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(__import__(_HOMES[name], fromlist=[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
