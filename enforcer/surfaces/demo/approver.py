"""The approval in the demonstration: a key made for it, and the process that asks for its signature.

Where there is no ssh-keygen, the process asks for a declaration instead, and the story says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from enforcer.errors import UnavailableError
from enforcer.surfaces.demo.desk import GRACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.surfaces.demo.desk import Desk

PROCESS, SIGNERS = "process/default.toml", "process/signers"

_TOP, _REVIEW = "self_review = false\n", 'name = "REVIEW"\ndrift = "enforce"\n'


def admit(desk: Desk) -> tuple[str, ...]:
    """Have the process ask for Grace's approval of a review; the options with which she gives it."""
    path = os.path.join(desk.place.project, PROCESS)
    with open(path, encoding="utf-8") as file:
        before = file.read()
    signed = shutil.which("ssh-keygen") is not None
    demand = f'approvals = [{{ by = ["{GRACE}"] }}]' if signed else "approvals = [{ signed = false }]"
    after = before.replace(_REVIEW, f"{_REVIEW}{demand}\n", 1)
    if signed:
        after = after.replace(_TOP, f'{_TOP}signers = "{SIGNERS}"\n', 1)
        _list_key(desk)
    with open(path, "w", encoding="utf-8") as file:
        file.write(after)
    desk.screen.difference(before, after)
    if signed:
        return ("--sign-with", desk.place.beside("grace-key"))
    desk.screen.say("There is no ssh-keygen here, so she can only declare it, and it is shown as declared.")
    return ("--unsigned",)


def _list_key(desk: Desk) -> None:
    """A key without a passphrase, for this story alone, and the list of whose key it is."""
    key = os.path.join(desk.place.home, "grace-key")
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", GRACE, "-f", key]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
    if done.returncode != 0:
        raise UnavailableError("demo_program_failed", f"ssh-keygen made no key: {done.stderr.strip()[-200:]}")
    with open(f"{key}.pub", encoding="ascii") as file:
        public = " ".join(file.read().split()[:2])
    with open(os.path.join(desk.place.project, SIGNERS), "w", encoding="ascii") as file:
        file.write(f"{GRACE} {public}\n")
