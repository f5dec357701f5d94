"""The four ways in which a question can go unanswered, and the one way to be told "no".

A refusal is a value (`workflow.events.Refusal`) and not an error: it is recorded and returned. What stands here is
raised where no answer could be given. Every error carries a stable `code`, a message that says what happened and
where, and a `fix` that says what to do next. Surfaces turn each of them into exit status 2.
"""

from __future__ import annotations


class EnforcerError(Exception):
    """Base of all errors that a caller may want to catch."""

    def __init__(self, code: str, message: str, *, fix: str = "", where: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix
        self.where = where

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        fix = f" Fix: {self.fix}" if self.fix else ""
        return f"{self.code}: {self.message}{where}{fix}"


class InternalError(EnforcerError):
    """A bug of ours: an invariant of the package does not hold."""


class RequestError(EnforcerError):
    """The caller's mistake: an unknown task or phase, a malformed argument, process or settings file."""


class DamagedError(EnforcerError):
    """Stored data is damaged or has been tampered with; `where` names the file and position."""


class UnavailableError(EnforcerError):
    """Something needed is not there now: a disk that cannot be written, a missing program, a full device."""
