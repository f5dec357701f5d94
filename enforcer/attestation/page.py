"""A task as one HTML file: it opens without a network, runs nothing, and asks nothing of anybody.

It is a rendering and not the record. What it says is what the task's entries say, all of them, in their order; what
was checked as it was made, and what was not, stands on it, with the commands that check the rest. A policy in its head
admits the one style by its digest, and no other resource of any kind. Nothing in it is a link that leads outside: an
address is text. The same entries under the same checkpoint give the same bytes.
"""

from __future__ import annotations

import binascii
from hashlib import sha256

from enforcer.attestation.chapters import (
    code,
    follow,
    pairs,
    phases_of,
    section,
    tell_facts,
    tell_phases,
    tell_process,
    tell_prompts,
    tell_timeline,
)
from enforcer.attestation.markup import Html, lines, quoted, raw_style, tag
from enforcer.attestation.style import SHEET
from enforcer.workflow.record import Record
from enforcer.workflow.state import ABANDONED, COMPLETED, OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from enforcer.attestation.markup import Child
    from enforcer.attestation.walk import Walk
    from enforcer.ledger.entry import Entry

_STATES = {OPEN: "Open", COMPLETED: "Completed", ABANDONED: "Abandoned"}


class Cover(Record, kw_only=True):
    """The checkpoint under which every entry that is shown was proven to stand, and who is known to have signed it.

    `signers` are vkeys of the ledger for which its signature was checked and holds. `anchored` is the size of the
    largest copy that this ledger says was kept elsewhere; None for none. Whether it was, only its place can tell.
    """

    size: int
    root: bytes
    note: bytes
    signers: tuple[str, ...] = ()
    anchored: int | None = None


def export_page(walk: Walk, entries: Sequence[Entry], cover: Cover | None) -> bytes:
    """The page of a task. `entries` are all of them, those that `walk` was made of; without `cover` nothing vouches."""
    moments = follow(entries)
    body = tag(
        "body",
        tag("a", "To the timeline", href="#timeline", class_="skip"),
        tag(
            "div",
            tag("header", _head(walk, entries, cover)),
            tag(
                "main",
                tell_facts(walk, moments),
                tell_phases(walk),
                tell_timeline(moments),
                tell_process(walk, moments),
                tell_prompts(moments),
                _integrity(walk, entries, cover),
            ),
            tag("footer", tag("p", f"{_range(entries)} of the task {walk.task}, of ", quoted(walk.origin), ".")),
            class_="page",
        ),
    )
    policy = f"default-src 'none'; style-src '{_digest(SHEET)}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{walk.task}: {walk.state.title or 'no title'}"),
        raw_style(SHEET),
    )
    return b"<!doctype html>\n" + tag("html", head, body, lang="en").encode()


# The head ------------------------------------------------------------------------------------------------------------


def _head(walk: Walk, entries: Sequence[Entry], cover: Cover | None) -> Iterator[Child]:
    state = walk.state
    phase = f" in {state.phase}" if state.status != COMPLETED else ""
    yield tag("p", "Task ", tag("strong", walk.task), " of ", tag("code", quoted(walk.origin)), class_="kicker")
    yield tag("h1", quoted(state.title or walk.task))
    yield tag("p", tag("span", f"{_STATES[state.status]}{phase}", class_=f"state {state.status}"))
    yield tag("ol", (_stop(walk, phase) for phase in phases_of(walk)), class_="strip", aria_label="Phases")
    yield tag(
        "aside",
        tag(
            "p",
            tag("strong", "What this page is. "),
            f"A rendering of {_range(entries)} of a ledger. It is not the "
            "record, and it bears no signature: whoever gave it to you could have changed it. ",
            _checked(cover),
            " Whether the moves were legal, whether the evidence still has these digests, and whose "
            "keys these are was not checked for this page. ",
            tag("a", "How to check", href="#integrity"),
            ".",
        ),
        class_="note",
        aria_label="What this page is",
    )


def _checked(cover: Cover | None) -> str:
    if cover is None:
        return "No checkpoint covers these entries, so nobody has signed for them."
    signed = "its signature held for the key named below" if cover.signers else "its signature was not checked"
    return (
        f"When it was made, each entry was proven to stand under the checkpoint of {cover.size} entries, and {signed}."
    )


def _range(entries: Sequence[Entry]) -> str:
    first, last = entries[0].seq, entries[-1].seq
    return f"entry {first}" if first == last else f"entries {first} to {last} ({len(entries)} of them)"


def _stop(walk: Walk, phase: str) -> Html:
    state = walk.state
    if phase in state.accepted:
        style, word = "done", "accepted"
    elif phase == state.phase:
        style, word = "now", "given up here" if state.status == ABANDONED else "now"
    else:
        style, word = "", "ahead" if phase not in state.attempts else "to be done again"
    tries = state.attempts.get(phase, 0)
    return tag("li", tag("b", phase), word, f", attempt {tries}" if tries > 1 else "", class_=style or None)


# Integrity -----------------------------------------------------------------------------------------------------------


def _integrity(walk: Walk, entries: Sequence[Entry], cover: Cover | None) -> Html:
    task = walk.task
    commands = (
        f"enforcer export {task} --format receipt                  # where the ledger is",
        f"enforcer verify-proof {task}.receipt.json --key VKEY     # anywhere, with nothing but the key",
        "enforcer verify --key VKEY --anchor FILE                 # the whole ledger, against a head kept elsewhere",
        f"enforcer audit {task} --rejudge                          # the evidence, against what was accepted",
        f"enforcer log {task} --format jsonl                       # the entries that stand above",
    )
    return section(
        "integrity",
        "Integrity, and how to check it",
        _cover(cover, entries),
        tag("p", "Get the verifier key (VKEY) by another way than this page. Then, with the ledger or its receipt:"),
        lines(*commands),
        tag(
            "p",
            "Compare the leaf hashes above with those of the receipt: they are what a signature under the "
            "checkpoint commits to.",
        ),
    )


def _cover(cover: Cover | None, entries: Sequence[Entry]) -> Iterator[Child]:
    if cover is None:
        yield tag("p", "No checkpoint covers these entries. A cut or rewritten history would not show.")
        return
    after = cover.size - (cover.anchored or 0)
    far = (
        f"the first {cover.anchored} entries, by the ledger's own word; {after} of the checkpoint's came later"
        if cover.anchored is not None
        else "nowhere that this ledger knows of: a cut or rewritten end would not show"
    )
    yield pairs(
        ("Checkpoint", f"{cover.size} entries, of which {entries[-1].seq} is the last that is shown here"),
        ("Root", code(cover.root.hex())),
        ("Signed by", [code(signer) for signer in cover.signers] or "no key that this ledger names"),
        ("Anchored", far),
    )
    yield lines(*cover.note.decode().splitlines())


def _digest(sheet: str) -> str:
    """How a Content-Security-Policy names the one style that it admits."""
    return "sha256-" + binascii.b2a_base64(sha256(sheet.encode()).digest(), newline=False).decode()
