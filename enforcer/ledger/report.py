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
    from typing import ClassVar

VERIFIED, TAMPERED, UNVERIFIABLE = "verified", "tampered", "unverifiable"
INTEGRITY, LEGALITY, EVIDENCE, KEY = "integrity", "legality", "evidence", "key"

LISTED = 1000  # Findings beyond these are counted: whoever breaks every line breaks no verifier.
LONGEST = 500  # Characters of a message.

_EXIT = {VERIFIED: 0, TAMPERED: 1, UNVERIFIABLE: 2}


class Finding(Record):
    """One thing that was found; `seq` is the entry it concerns, None where it concerns none in particular."""

    seq: int | None
    code: str
    message: str


class Report(Record, kw_only=True):
    """The answer of `enforcer verify`.

    `integrity`, `legality` and `evidence` are each one of the three words. `anchoring` is `none` and `key` is
    `self-declared` (the ledger names one, which vouches for nothing) or `none`. `head` is the hex leaf hash of the last
    complete line. `unanchored` is the first entry that no copy out of the writer's reach commits to: from there on,
    whoever can write the files could have cut or rewritten the history, and nothing in it would tell.
    """

    verdict: str
    integrity: str
    legality: str
    evidence: str
    anchoring: str = "none"
    key: str = "none"
    entries: int = 0
    head: str | None = None
    sealed_to: int | None = None
    anchored_to: int | None = None
    unanchored: int | None = None
    findings: tuple[Finding, ...] = ()

    nested: ClassVar[Mapping[str, type[Record]]] = {"findings": Finding}

    @property
    def exit_status(self) -> int:
        return _EXIT[self.verdict]


class Findings:
    """Collects findings, and what each says of the part that it belongs to."""

    def __init__(self) -> None:
        self._listed: list[Finding] = []
        self._unlisted = 0
        self._words = {INTEGRITY: VERIFIED, LEGALITY: VERIFIED, EVIDENCE: VERIFIED, KEY: VERIFIED}

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
        if len(self._listed) < LISTED:
            self._listed.append(Finding(seq, code, _printable(message)))
        else:
            self._unlisted += 1

    def report(self, *, entries: int = 0, head: str | None = None, key: str = "none") -> Report:
        words = set(self._words.values())
        verdict = TAMPERED if TAMPERED in words else UNVERIFIABLE if UNVERIFIABLE in words else VERIFIED
        findings = list(self._listed)
        if self._unlisted:
            findings.append(Finding(None, "findings_omitted", f"There are {self._unlisted} more findings."))
        return Report(
            verdict=verdict,
            integrity=self._words[INTEGRITY],
            legality=self._words[LEGALITY],
            evidence=self._words[EVIDENCE],
            key=key,
            entries=entries,
            head=head,
            unanchored=0 if entries else None,
            findings=tuple(findings),
        )


def _printable(message: str) -> str:
    """A message may quote what a forger wrote: no control character of it reaches a terminal, and no novel."""
    short = message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"
    return short if short.isprintable() else ascii(short)[1:-1]
