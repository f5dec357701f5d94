"""How far a ledger is sealed and anchored, as far as can be told at a glance and without cryptography.

This is local knowledge, for people who work here: nothing is verified. It says what checkpoints stand beside the lines,
and why the next one could not be made here. What they are worth is for `verify` to say.
"""

from __future__ import annotations

import os

from enforcer.errors import DamagedError, EnforcerError, UnavailableError
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.note import NoteFault, parse_note
from enforcer.ports import read_file
from enforcer.userstate import SIGNING_KEY_NAME, read_secret
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.enforcer import Enforcer

_SIZE_DIGITS = 16


class Sealing(Record, kw_only=True):
    """The sizes of the newest checkpoint and of the largest anchor that was kept here; why no more can be sealed here.

    None: there is none.
    """

    sealed_to: int | None = None
    anchored_to: int | None = None
    trouble: EnforcerError | None = None


def read_sealing(enforcer: Enforcer) -> Sealing:
    """The state of a ledger that was caught up with."""
    return Sealing(
        sealed_to=_size_of(f"{enforcer.ledger_folder}/checkpoint", enforcer),
        anchored_to=read_anchored(enforcer),
        trouble=_trouble(enforcer),
    )


def read_anchored(enforcer: Enforcer) -> int | None:
    """The size of the largest copy of a head that this ledger says was kept elsewhere."""
    folder = f"{enforcer.ledger_folder}/anchors"
    names = [name for name in enforcer.disk.listing(folder) if name.isdecimal() and len(name) <= _SIZE_DIGITS]
    for size in sorted(map(int, names), reverse=True):
        if _size_of(f"{folder}/{size}", enforcer) == size:
            return size
    return None


def _size_of(path: str, enforcer: Enforcer) -> int | None:
    """The size in a head of this ledger; None where there is none to be read."""
    try:
        fd = enforcer.disk.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            head = parse_checkpoint(parse_note(enforcer.disk.read(fd, 1 << 20, 0)).text)
        finally:
            enforcer.disk.close(fd)
    except (OSError, NoteFault):
        return None
    ours = head.origin == enforcer.identity.origin and head.size <= enforcer.ledger.head.size
    return head.size if ours else None


def _trouble(enforcer: Enforcer) -> EnforcerError | None:
    """Why this user cannot seal this ledger as it is now, as far as that shows without using the key."""
    if enforcer.identity.key is None:
        return UnavailableError("key_missing", "This ledger has no key.", fix="It stays unsealed.")
    try:
        enforcer.check_home()
    except UnavailableError as error:
        return error
    own = os.path.join(enforcer.user_folder, enforcer.identity.id)
    path = os.path.join(own, SIGNING_KEY_NAME)
    try:
        read_secret(path)
    except UnavailableError as error:
        return error
    except FileNotFoundError:
        fix = "Sign where the key is."
        return UnavailableError("key_missing", "This user has no key of this ledger.", where=path, fix=fix)
    except OSError as error:
        fix = "Sign as the user who owns the key."
        return UnavailableError("key_unreadable", f"It cannot be read: {error.strerror}.", where=path, fix=fix)
    return _head_trouble(os.path.join(own, "head"), enforcer)


def _head_trouble(path: str, enforcer: Enforcer) -> EnforcerError | None:
    """Whether the signer's own last head is of more than there is, or does not say of what."""
    fix = "Nothing is signed. Look at it with: enforcer verify"
    try:
        size = parse_checkpoint(parse_note(read_file(enforcer.disk, path)).text).size
    except FileNotFoundError:
        return None
    except (OSError, NoteFault):
        message = "What the signer remembers to have signed last cannot be read."
        return DamagedError("signer_head_damaged", message, where=path, fix=fix)
    entries = enforcer.ledger.head.size
    if size > entries:
        message = f"{size} entries were signed for, and the ledger has {entries}: its end was cut off."
        return DamagedError("ledger_rolled_back", message, where=path, fix=fix)
    return None
