"""What a verification says, and how its findings add up to a verdict.

Three words, for the whole and for each part: `verified`; `tampered` where two things that were both read contradict
each other; `unverifiable` where something could not be read, is missing, or is of a release that this one does not
know. A verifier that guessed between the last two would accuse honest people.
"""

from __future__ import annotations

from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar

VERIFIED, TAMPERED, UNVERIFIABLE = "verified", "tampered", "unverifiable"
INTEGRITY, LEGALITY, EVIDENCE, KEY, ANCHORING = "integrity", "legality", "evidence", "key", "anchoring"
PARTS = (INTEGRITY, LEGALITY, EVIDENCE, KEY, ANCHORING)

LISTED = 1000  # Findings beyond these are counted: whoever breaks every line breaks no verifier.
LONGEST = 500  # Characters of a message.

_EXIT = {VERIFIED: 0, TAMPERED: 1, UNVERIFIABLE: 2}
_SEVERITY = (VERIFIED, UNVERIFIABLE, TAMPERED)


class Finding(Record):
    """One thing that was found; `seq` is the entry it concerns, None where it concerns none in particular."""

    seq: int | None
    code: str
    message: str


class Cosigned(Record):
    """What a pinned witness has put its name to: `size` entries are the most of its cosignatures that hold."""

    witness: str
    size: int


class Report(Record, kw_only=True):
    """The answer of `enforcer verify`.

    `integrity`, `legality` and `evidence` are each one of the three words. `anchoring` is `anchored` (a copy of a tree
    head that the ledger's writer cannot reach agrees), `local` (only copies within reach do) or `none`. `key` is
    `pinned` (the ledger's keys lead from or to one that the caller gave), `self-declared` (the ledger names one, which
    vouches for nothing) or `none`. `head` is the hex leaf hash of the last complete line and `root` that of the tree.
    `sealed_to` is the largest size under a signature in force, `anchored_to` under an anchor that counts.
    `unanchored` is the first entry that no copy out of the writer's reach commits to: from there on, whoever can write
    the files could have cut or rewritten the history, and nothing in it would tell. `checked_from` is the first entry
    that was read. `base` is how this ledger stands to the one it was held against: `same`, `extends`, `behind`,
    `forked`, or empty where there was none.
    """

    verdict: str
    integrity: str
    legality: str
    evidence: str
    anchoring: str = "none"
    key: str = "none"
    entries: int = 0
    head: str | None = None
    root: str | None = None
    sealed_to: int | None = None
    anchored_to: int | None = None
    unanchored: int | None = None
    checked_from: int | None = None
    base: str = ""
    cosigned: tuple[Cosigned, ...] = ()
    findings: tuple[Finding, ...] = ()

    nested: ClassVar[Mapping[str, type[Record]]] = {"cosigned": Cosigned, "findings": Finding}

    @property
    def exit_status(self) -> int:
        return _EXIT[self.verdict]


class Findings:
    """Collects findings, and what each says of the part that it belongs to.

    However they come in, from one process or several, the same ones are listed: the first by entry, code and text.
    """

    def __init__(self) -> None:
        self._listed: list[Finding] = []
        self.count = 0
        self._words = dict.fromkeys(PARTS, VERIFIED)

    def contradiction(self, part: str, seq: int | None, code: str, message: str) -> None:
        """Two things that were read cannot both be so."""
        self._words[part] = TAMPERED
        self.note(seq, code, message)

    def gap(self, part: str, seq: int | None, code: str, message: str) -> None:
        """Something could not be judged."""
        self.doubt(part)
        self.note(seq, code, message)

    def doubt(self, *parts: str) -> None:
        """Nothing is known against these parts, and not enough for them."""
        for part in parts:
            if self._words[part] == VERIFIED:
                self._words[part] = UNVERIFIABLE

    def note(self, seq: int | None, code: str, message: str) -> None:
        """Worth saying, and without effect on the verdict."""
        self._listed.append(Finding(seq, code, _printable(message)))
        self.count += 1
        if len(self._listed) > 2 * LISTED:
            self._shorten()

    def word(self, part: str) -> str:
        return self._words[part]

    def pack(self) -> dict[str, Any]:
        """All of it as JSON, for another process to `merge`."""
        self._shorten()
        listed = [finding.pack(complete=True) for finding in self._listed]
        return {"count": self.count, "listed": listed, "words": self._words}

    def merge(self, packed: Mapping[str, Any]) -> None:
        """Take in what another process has found. Raises `ValueError` or `KeyError` for anything else than `pack`."""
        listed = [Finding.unpack(finding) for finding in packed["listed"]]
        for part in PARTS:
            word = packed["words"][part]
            if word not in _EXIT:
                raise ValueError(f"{word!a} says nothing of a part")
            self._words[part] = max(self._words[part], word, key=_SEVERITY.index)
        self._listed += listed
        self.count += max(packed["count"], len(listed))
        self._shorten()

    def report(self, **known: Any) -> Report:
        """`known` are fields of the report that are no findings."""
        self._shorten()
        verdict = max(self._words.values(), key=_SEVERITY.index)
        findings = list(self._listed)
        if self.count > len(findings):
            more = f"There are {self.count - len(findings)} more findings."
            findings.append(Finding(None, "findings_omitted", more))
        words = {part: self._words[part] for part in (INTEGRITY, LEGALITY, EVIDENCE)}
        return Report(**{**known, **words, "verdict": verdict, "findings": tuple(findings)})

    def _shorten(self) -> None:
        self._listed.sort(key=_place)
        del self._listed[LISTED:]


def _place(finding: Finding) -> tuple[int, str, str]:
    """What concerns no entry in particular comes first."""
    return (-1 if finding.seq is None else finding.seq, finding.code, finding.message)


def _printable(message: str) -> str:
    """A message may quote what a forger wrote: no control character of it reaches a terminal, and no novel."""
    short = message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"
    return short if short.isprintable() else ascii(short)[1:-1]
