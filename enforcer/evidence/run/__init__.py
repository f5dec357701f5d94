"""How a command is run so that what it shows can be believed: its program, its surroundings, its output, its end."""

from __future__ import annotations

from enforcer.evidence.run.executables import Executable, left_off, locate, resolve
from enforcer.evidence.run.execution import Command, Ran, execute
from enforcer.evidence.run.redaction import Redaction
from enforcer.evidence.run.sandbox import BUBBLEWRAP, Sandbox
from enforcer.evidence.run.surroundings import environment, salted

__all__ = [
    "BUBBLEWRAP",
    "Command",
    "Executable",
    "Ran",
    "Redaction",
    "Sandbox",
    "environment",
    "execute",
    "left_off",
    "locate",
    "resolve",
    "salted",
]
