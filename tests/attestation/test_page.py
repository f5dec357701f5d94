"""The page of a task: everything that its entries say, nothing that runs, loads or leads anywhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from enforcer.attestation.markup import Html, quoted, raw_style, tag
from enforcer.attestation.page import Cover, export_page
from enforcer.attestation.style import DARK, LIGHT, SHEET
from enforcer.attestation.telling import tell
from enforcer.attestation.walk import Walk, walk_of
from enforcer.ledger.entry import Entry, format_event, format_leaf, parse_leaf
from enforcer.workflow import events
from enforcer.workflow.events import EVENTS, Accepted, Claim, Event, Made, Notes, Refusal, Sealed
from tests.attestation.walks import entries_of, told, verified, walk_in
from tests.ledger.histories import a_process
from tests.telemetry.story import START

COVER = Cover(
    size=40,
    root=bytes(range(32)),
    note="enforcer/0123\n40\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n\u2014 enforcer/0123 c2ln\n".encode(),
    signers=("enforcer/0123+01020304+AQID",),
    anchored=7,
)
VOID = {"meta"}

# Words of a worker that would be markup, a script, another direction of writing, or a command to a terminal.
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><style>*{display:none}</style>",
    "</title></head><body>",
    "javascript:alert(1)",
    "<a href=javascript:alert(1)>x</a>",
    "<!-- & &lt; &#60;script&#62; -->",
    "https://evil.example/x.css",
    "\u202egnp.exe\u202c \u2066\u2069\u200f\u200b\ufeff",
    "\x1b[2J\x1b]8;;x\x07\x00\r\n\u2028\u2029\x85",
    "\u0600\U000e0041\ue000",
)


class Page(HTMLParser):
    """What a browser would make of it: nesting is checked, text, tags and attributes are kept."""

    def __init__(self, data: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.declared: list[str] = []
        self.feed(data.decode("utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raise AssertionError(f"<{tag}/> closes nothing")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError("there is a comment")

    def handle_decl(self, decl: str) -> None:
        self.declared.append(decl)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Walk, list[Entry]]:
    history = told(tmp_path_factory.mktemp("story"))
    return walk_in(history), entries_of(history)


def rewritten(*changes: Event) -> tuple[Walk, list[Entry]]:
    """A task whose entries are these events, whoever would have refused them."""
    entries: list[Entry] = []
    for number, event in enumerate(changes):
        data = format_event(event, task="T", key=f"k-{number}", source="enforcer/" + "a" * 32)
        leaf = format_leaf(
            data,
            prev="0" * 64,
            seq=number + 3,
            task_prev=entries[-1].hash if entries else None,
            task_seq=number + 1,
            ts=1_700_000_000_000_000 + number,
        )
        entries.append(parse_leaf(leaf))
    return walk_of(entries, lambda _: a_process()), entries


def opened(title: str = "Keep the last field") -> events.TaskOpened:
    return events.TaskOpened(
        actor="ada/1", title=title, process="short", digest="d" * 64, phase="SPEC", attempt_id="1" * 32, base="b" * 40
    )


# What it is


def test_the_page_is_well_formed_and_has_its_landmarks(story: tuple[Walk, list[Entry]]) -> None:
    page = Page(export_page(*story, COVER))

    assert page.declared == ["doctype html"]
    assert page.all("html") == [{"lang": "en"}]
    for name in ("header", "main", "footer", "h1", "title"):
        assert len(page.all(name)) == 1, name
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    named = {attributes["aria-labelledby"] for attributes in page.all("section")}
    assert len(named) == len(page.all("section"))
    assert named <= set(ids)


def test_every_table_has_headers_and_a_caption(story: tuple[Walk, list[Entry]]) -> None:
    page = Page(export_page(*story, COVER))

    assert page.all("table")
    assert len(page.all("caption")) == len(page.all("thead")) == len(page.all("table"))
    assert {attributes["scope"] for attributes in page.all("th")} == {"col", "row"}


def test_the_page_runs_nothing_and_loads_nothing(story: tuple[Walk, list[Entry]]) -> None:
    data = export_page(*story, COVER)
    page = Page(data)

    assert not {name for name, _ in page.tags} & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert {name for _, attributes in page.tags for name in attributes} <= {
        *("aria-label", "aria-labelledby", "charset", "class", "content", "data-label", "datetime"),
        *("href", "http-equiv", "id", "lang", "name", "scope"),
    }
    assert b"http:" not in data
    assert b"https:" not in data
    assert "url(" not in SHEET
    assert "@import" not in SHEET


def test_links_lead_to_places_in_the_page_alone(story: tuple[Walk, list[Entry]]) -> None:
    page = Page(export_page(*story, COVER))

    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [attributes["href"] for attributes in page.all("a")]
    assert len(links) > len(story[1])
    assert {link.removeprefix("#") for link in links if link.startswith("#")} == {link[1:] for link in links} <= ids


def test_the_policy_admits_the_one_style_and_nothing_else(story: tuple[Walk, list[Entry]]) -> None:
    data = export_page(*story, COVER).decode()
    [sheet] = re.findall(r"<style>(.*?)</style>", data, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()

    metas = Page(data.encode()).all("meta")
    [policy] = [meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert data.index("Content-Security-Policy") < data.index("<style>")
    assert not any("style" in attributes for _, attributes in Page(data.encode()).tags)


def test_the_same_ledger_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (told(tmp_path / name) for name in ("one", "two"))

    pages = [export_page(walk_in(history), entries_of(history), COVER) for history in (first, second)]
    assert pages[0] == pages[1]
    assert pages[0] != export_page(walk_in(first), entries_of(first), COVER.replace(size=41))


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK, {**LIGHT, "paper": "#ffffff"}], ids=["light", "dark", "print"])
def test_every_text_can_be_told_from_its_ground(colours: dict[str, str]) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for ground in ("paper", "panel"):
        for text in ("ink", "soft", "good", "bad", "back", "link"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def test_every_class_that_is_used_has_no_meaning_without_its_word(story: tuple[Walk, list[Entry]]) -> None:
    """Refusals, ways back and origins are told in words; with the style gone all of it is still there."""
    text = Page(export_page(*story, COVER)).text

    for word in ("Refused", "Went back", "Advanced", "Completed", "claimed by the worker"):
        assert word in text


# What it says


def facts_in(value: Any) -> Iterator[str]:
    """Every text and number of an event; flags are told as words."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("request", "how"):  # A digest of the command; and a word that is told as a sentence.
                yield from facts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from facts_in(inner)
    elif value and not isinstance(value, bool):
        yield str(value)


def test_every_fact_of_the_task_is_on_the_page(story: tuple[Walk, list[Entry]]) -> None:
    walk, entries = story
    text = Page(export_page(walk, entries, COVER)).text

    for entry in entries:
        for fact in (str(entry.seq), entry.hash, entry.key, *facts_in(entry.event.pack())):
            assert fact in text, (entry.seq, fact)
    for fact in (walk.origin, walk.task, walk.process.name, walk.state.digest, "40 entries", COVER.root.hex()):
        assert fact in text
    assert COVER.signers[0] in text
    assert COVER.note.decode().splitlines()[-1] in text
    assert "the first 7 entries" in text


def test_times_are_utc(story: tuple[Walk, list[Entry]]) -> None:
    page = Page(export_page(*story, COVER))

    assert "2023-11-14 22:13:20 UTC" in page.text
    assert {"datetime": "2023-11-14T22:13:20.001000Z"} in page.all("time")


def test_who_implemented_and_who_reviewed_is_told(story: tuple[Walk, list[Entry]]) -> None:
    text = Page(export_page(*story, COVER)).text

    assert "Implemented by\nada (held" in text
    assert "Reviewed by\nbob (left" in text


def test_claimed_and_observed_evidence_are_told_apart() -> None:
    walk, _ = verified()
    entries = [step.entry for step in walk.steps]
    first = opened().replace(phase="IMPLEMENT")
    walk, entries = rewritten(first, *(entry.event for entry in entries[:1]))
    claimed = Page(export_page(walk, entries, None)).text
    assert "claimed by the worker" in claimed

    one = Accepted("test_results.json", "e" * 64, 12, "observed", reaffirmed=True)
    walk, entries = rewritten(opened(), advanced(evidence=(one,)))
    text = Page(export_page(walk, entries, None)).text
    assert "observed by Enforcer, the bytes of an earlier attempt" in text
    assert "claimed by the worker" not in text


def test_an_open_task_says_what_is_ahead_and_what_was_set_aside(tmp_path: Path) -> None:
    accepted = Accepted("note.md", "e" * 64, 12)
    back = events.PhaseBacktracked(actor="ada", start="PLAN", to="SPEC", reason="Again.", attempt_id="3" * 32)
    walk, entries = rewritten(opened(), advanced(evidence=(accepted,)), back)

    text = Page(export_page(walk, entries, None)).text
    assert "Open in SPEC" in text
    assert "Set aside by a way back: SPEC/note.md." in text
    assert "IMPLEMENT\nahead" in text.replace("IMPLEMENTahead", "IMPLEMENT\nahead")


def test_without_a_checkpoint_the_page_claims_nothing(story: tuple[Walk, list[Entry]]) -> None:
    text = Page(export_page(*story, None)).text

    assert "nobody has signed for them" in text
    assert "No checkpoint covers these entries." in text
    assert "proven" not in text


def test_a_signature_that_was_not_checked_is_not_claimed(story: tuple[Walk, list[Entry]]) -> None:
    text = Page(export_page(*story, COVER.replace(signers=(), anchored=None))).text

    assert "its signature was not checked" in text
    assert "no key that this ledger names" in text
    assert "nowhere that this ledger knows of" in text
    assert "its signature was not checked" not in Page(export_page(*story, COVER)).text


def advanced(**more: Any) -> events.PhaseAdvanced:
    return events.PhaseAdvanced(actor="ada", start="SPEC", to="PLAN", attempt_id="2" * 32, token=1, **more)


REASON = Refusal("evidence_invalid", "It has no section.", "SPEC", "note.md", "Write it.")
SEAL = Sealed("session-1", 3, 10, 20, "5" * 64)
NOTES = Notes(
    coalesced=4,
    guard=(SEAL,),
    stalled_minutes=95,
    clock_back_us=17,
    cache_rejected="it was foreign",
    refusals=SEAL.replace(session="T", digest="6" * 64),
    margin_lost=("guard/session-9.jsonl",),
)
CLAIM = Claim("ada", 21, "taken_over", "bob/7")
VOUCHED: dict[str, Any] = {
    "actor": "maria",
    "phase": "REVIEW",
    "attempt_id": "5" * 32,
    "principal": "maria@example.org",
    "nonce": "9a" * 16,
    "expires": START + 1,
    "statement": "bc" * 32,
    "signature": "de" * 32,
    "fingerprint": "SHA256:abc",
    "evidence": {"REVIEW/note.md": "f0" * 32},
    "tree": "14" * 20,
    "reason": "The database is on fire.",
}
WHOLE: list[Event] = [
    opened().replace(notes=NOTES),
    advanced(
        evidence=(Accepted("note.md", "e" * 64, 1234),),
        warnings=(REASON,),
        tree="7" * 40,
        commit="8" * 40,
        labels=("self-review",),
        approved=("nonce-1", "nonce-2"),
        risks=("migrations",),
        lease=CLAIM,
        notes=NOTES,
    ),
    events.PhaseBacktracked(actor="ada", start="PLAN", to="SPEC", reason="Wrong.", attempt_id="3" * 32, token=33),
    events.TaskAbandoned(actor="ada", phase="SPEC", reason="Not needed.", token=34),
    events.CommandRefused(
        actor="eve",
        command="attest",
        stage="attestation",
        phase="SPEC",
        refusals=(REASON, REASON.replace(code="prompt_drift", message="header differs")),
        to="PLAN",
        attested={"header": "9" * 64},
        escalation=("prompt_drift",),
        reasons="a" * 64,
        observation="2" * 64,
        lease=CLAIM,
    ),
    events.ToolRefused(
        actor="ada",
        phase="SPEC",
        tool="Bash",
        refusals=(REASON.replace(code="tool_out_of_phase"),),
        capabilities=("run", "network"),
        paths=("src/a.py",),
        call="call-1",
        session="session-1",
        escalation=("tool_out_of_phase",),
        text="b" * 64,
        forbidden=True,
    ),
    events.LeaseClaimed(actor="ada", holder="ada/3", token=41),
    events.LeaseTakenOver(actor="ada", holder="ada/4", token=42, previous="carl/5"),
    events.LeaseReleased(actor="root", holder="ada/6", token=43, forced=True, reason="It hung."),
    events.PromptAttested(
        actor="ada",
        phase="SPEC",
        attempt_id="1" * 32,
        parts={"header": "c" * 64, "tools": "f" * 64},
        first=("tools",),
        drift=("header",),
    ),
    events.BaselineAccepted(
        actor="eve",
        phase="SPEC",
        principal="ada",
        parts={"header": "0" * 64},
        reason="A new model.",
        approver="dora",
        dropped=("persona",),
    ),
    events.ProcessAdopted(
        actor="eve",
        process="other",
        digest="ab" * 32,
        previous="cd" * 32,
        reason="We publish.",
        approver="dora",
        difference=("words: 3 to 2", "name: a to b"),
        weakenings=("words: 3 to 2",),
    ),
    events.EvidenceRestored(actor="ada", restored={"SPEC/note.md": "ef" * 32}, replaced={"SPEC/note.md": ""}),
    events.RunObserved(
        actor="ada",
        phase="VERIFY",
        attempt_id="4" * 32,
        observation="12" * 32,
        configured=True,
        made=(Made("test_results.json", "34" * 32, 567, "junit"),),
        status=3,
        duration_us=1_234_567,
        tree="56" * 20,
        sandbox="bubblewrap",
        labels=("ignored: 2 files",),
        lease=CLAIM,
    ),
    events.RunObserved(actor="ada", phase="VERIFY", attempt_id="4" * 32, observation="13" * 32, signal="SIGKILL"),
    events.ApprovalGranted(**VOUCHED, process="78" * 32),
    events.ApprovalRejected(**{**VOUCHED, "statement": "", "signature": "", "fingerprint": ""}),
    events.RulesWaived(**VOUCHED, artifact="note.md", rules=("sections", "written")),
]  # fmt: skip


def test_the_samples_have_every_kind_of_entry_that_a_task_can_have() -> None:
    outside = {events.LedgerCreated, events.LedgerRecovered, events.KeyRotated}
    assert {type(event) for event in WHOLE} == set(EVENTS.values()) - outside


@pytest.mark.parametrize("event", WHOLE, ids=lambda event: event.type)
def test_an_entry_is_told_with_all_that_it_says(event: Event) -> None:
    one = tell(event)
    text = Page(tag("div", one.kind, one.what, one.facts).encode()).text

    for fact in facts_in({**event.pack(), "actor": ""}):
        if fact not in ("33", "34", "1", "1234"):  # Of these the page tells beside the entry, and in the table.
            assert fact in text.lower() or fact in text, fact


def test_drift_and_weakenings_stand_out() -> None:
    adopted, attested = WHOLE[11], WHOLE[9]
    walk, entries = rewritten(opened(), attested, WHOLE[4], adopted)
    text = Page(export_page(walk, entries, None)).text

    assert "Prompt drift\n2 of 2 attestations" in text
    assert "drift: header" in text
    assert "Weakenings\nwords: 3 to 2" in text
    assert "Weakening: words: 3 to 2" in text
    assert "Difference: words: 3 to 2" not in text


# Hostile texts


def _key(text: str) -> str:
    """A member's name, which on a ledger is ASCII."""
    return text.encode("ascii", "replace").decode()


def hostile_events(text: str) -> list[Event]:
    refusal = Refusal("evidence_invalid", text, text, text, text)
    return [
        opened(text).replace(actor=text, process=text, base=text, authoring=(text,)),
        advanced(
            evidence=(Accepted(text, text, 3, text),),
            warnings=(refusal,),
            labels=(text,),
            tree=text,
            lease=Claim(text, 4, text, text),
            notes=NOTES.replace(cache_rejected=text, margin_lost=(text,), guard=(SEAL.replace(session=text),)),
        ),
        events.CommandRefused(
            actor=text,
            command=text,
            stage=text,
            phase=text,
            refusals=(refusal,),
            attested={_key(text): text},
            reasons=text,
        ),
        events.ToolRefused(
            actor=text,
            phase=text,
            tool=text,
            refusals=(refusal,),
            paths=(text,),
            capabilities=(text,),
            call=text,
            session=text,
            text=text,
        ),
        events.LeaseReleased(actor=text, holder=text, token=9, forced=True, reason=text),
        events.PromptAttested(actor=text, phase=text, attempt_id=text, parts={"header": text}, drift=(text,)),
        events.BaselineAccepted(
            actor=text, phase=text, principal=text, parts={"role": text}, reason=text, approver=text
        ),
        events.ProcessAdopted(
            actor=text,
            process=text,
            digest=text,
            previous=text,
            reason=text,
            approver=text,
            difference=(text,),
            weakenings=(text,),
            approved=(text,),
            labels=(text,),
        ),
        events.EvidenceRestored(actor=text, restored={"SPEC/note.md": text}, replaced={"SPEC/note.md": text}),
        events.RunObserved(
            actor=text,
            phase=text,
            attempt_id=text,
            observation=text,
            made=(Made(text, text, 5, text),),
            signal=text,
            tree=text,
            sandbox=text,
            labels=(text,),
        ),
        events.RulesWaived(
            actor=text,
            phase=text,
            attempt_id=text,
            principal=text,
            nonce=text,
            expires=-1,
            statement=text,
            signature=text,
            fingerprint=text,
            evidence={_key(text): text},
            tree=text,
            reason=text,
            artifact=text,
            rules=(text,),
        ),
        events.PhaseBacktracked(actor=text, start="PLAN", to="SPEC", reason=text, attempt_id=text),
        events.TaskAbandoned(actor=text, phase=text, reason=text),
    ]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_of_a_ledger_becomes_anything_but_text(text: str) -> None:
    walk, entries = rewritten(*hostile_events(text))
    cover = COVER.replace(signers=(text,), note=COVER.note + text.encode("utf-8", "replace"))
    calm, calm_entries = rewritten(*hostile_events("calm"))

    page, plain = (
        Page(export_page(walk, entries, cover)),
        Page(export_page(calm, calm_entries, COVER.replace(signers=("calm",)))),
    )

    def shape(one: Page) -> list[tuple[str, list[str]]]:
        return [(name, sorted(attributes)) for name, attributes in one.tags]

    assert shape(page) == shape(plain), "the same elements with the same attributes, whatever the words"
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    assert page.text.count(shown) >= 40
    assert all(letter.isprintable() or letter == "\n" for letter in page.text)


# The builder


def test_pieces_put_together_in_another_way_are_text_again() -> None:
    piece = tag("b", "x")

    assert isinstance(piece, Html)
    assert tag("p", piece + "<i>") == "<p>&lt;b&gt;x&lt;/b&gt;&lt;i&gt;</p>\n"
    assert tag("p", f"{piece}") == "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"
    assert tag("p", piece, "<i>", None, ["a", quoted("b")]) == "<p><b>x</b>&lt;i&gt;a<bdi>b</bdi></p>\n"


def test_an_attribute_cannot_be_left() -> None:
    assert tag("a", "x", href='"><script>', class_=None) == '<a href="&quot;&gt;&lt;script&gt;">x</a>'


def test_a_style_cannot_close_its_element() -> None:
    with pytest.raises(ValueError, match="close"):
        raw_style("a{}</style><script>")


@pytest.mark.parametrize(
    "approved, labels, how",
    [((), (), "declared"), (("4" * 32,), (), "signed"), (("4" * 32,), ("declared: approval by dora",), "declared")],
)
def test_an_adoption_says_whether_it_was_signed(approved: tuple[str, ...], labels: tuple[str, ...], how: str) -> None:
    [adopted] = [event for event in WHOLE if isinstance(event, events.ProcessAdopted)]
    told = tell(adopted.replace(approved=approved, labels=labels))
    assert f"</bdi>, {how})" in str(told.what)
    assert ("Rests on the approvals" in "".join(map(str, told.facts))) == bool(approved)
