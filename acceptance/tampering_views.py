"""What is done to a ledger, what whoever verifies it has besides, and what must then be noticed.

A view is what a verifier has besides the project's `state/`. What it must notice follows from what a case has left
intact and from nothing that the verifier says:

    alone       nothing. The attacker is the same user and has been everywhere                                   T0
    memory      the user's folder: which ledger belongs here, the largest head seen, the signer's last head      T0
    pinned      the memory, and the key by other means; neither is in the attacker's reach                       T1
    anchored    the key, and a head that was kept elsewhere                                                      T2
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from acceptance.tampering_base import ANCHORED as ANCHOR_SIZE
from acceptance.tampering_base import SEALED as SEALED_AT

if TYPE_CHECKING:
    from acceptance.tampering_bench import Bench

OWN, OTHER, NOBODY = "own", "other", "nobody"
DETECTED, HARMLESS, DECLARED = "detected", "harmless", "declared"
SILENT, MISNAMED, CRASHED = "silent", "misnamed", "crashed"
FAILURES = (SILENT, MISNAMED, CRASHED)

SEEN, SIGNED, PATH = "seen", "signed", "path"


class View(NamedTuple):
    """What a verifier has."""

    name: str
    memory: tuple[str, ...] = ()
    pinned: bool = False
    anchored: bool = False

    @property
    def anchor(self) -> int:
        """How many entries are anchored."""
        return ANCHOR_SIZE if self.anchored else 0

    def remembered(self, seen: int) -> int:
        """How many entries the user knows of, of a ledger that was seen at `seen`."""
        sizes = {SEEN: seen, SIGNED: SEALED_AT[-1]}
        return max([sizes.get(part, 0) for part in self.memory], default=0)


WHOLE = (PATH, SEEN, SIGNED)
ALONE = View("alone")
MEMORY = View("memory", WHOLE)
PINNED = View("pinned", WHOLE, pinned=True)
ANCHORED = View("anchored", pinned=True, anchored=True)
CACHED = View("the user", ("whole",))  # With the key of the caches, that is.
TIERS = (ALONE, MEMORY, PINNED, ANCHORED)
COMBINED = (
    *TIERS,
    View("what was seen", (SEEN,)),
    View("what was signed", (SIGNED,)),
    View("key alone", pinned=True),
    View("anchor alone", anchored=True),
    View("memory, anchor", WHOLE, anchored=True),
    View("memory, key, anchor", WHOLE, pinned=True, anchored=True),
)


class Case(NamedTuple):
    """One thing that is done to the files, and what is left of the truth then.

    `intact` first entries are as they were; `sealed` of them are still under a checkpoint that was made of them.
    `plausible`: it is a history that could have been, by itself. `signed`: by whose key its checkpoints are. `same`:
    it goes by the id of the ledger that was there. `at` is the entry to be named. `advisory`: no line was touched.
    """

    name: str
    change: Callable[[Bench], None]
    intact: int = 0
    at: int | None = None
    plausible: bool = False
    sealed: int = SEALED_AT[-1]
    signed: str = OWN
    same: bool = True
    advisory: bool = False

    def must_be_noticed(self, view: View, seen: int) -> bool:
        """Whether nobody who has this view may take it for the ledger that was there. `seen`: how long that was."""
        # The memory goes by the ledger's id, and an anchor is a head signed by the ledger's key.
        vouched = max(view.anchor, view.remembered(seen) if self.same else 0)
        signed = self.signed == OWN or (self.signed == NOBODY and 0 < view.anchor <= self.intact)
        return (
            not self.plausible
            or self.intact < max(self.sealed, vouched)
            or (view.pinned and not signed)
            or (PATH in view.memory and not self.same)
        )


class Outcome(NamedTuple):
    """How a case ended; `codes` are those of the findings, `named` whether one names the entry."""

    kind: str
    codes: tuple[str, ...] = ()
    named: bool = False
    detail: str = ""

    @property
    def failed(self) -> bool:
        return self.kind in FAILURES
