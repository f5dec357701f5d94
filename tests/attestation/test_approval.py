"""Statements: one text for one statement, and no two statements that look the same to who signs them."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import assume, given
from hypothesis import strategies as st

from enforcer.attestation.approval import (
    FORMAT,
    KINDS,
    ApprovalFault,
    Statement,
    parse_statement,
    render,
    statement_bytes,
)
from enforcer.attestation.circumstances import Change, Circumstances, Earlier, Making, Move
from enforcer.ledger.codec import MAX_INTEGER

DOCUMENT = b'{"reviewer": "ada"}\n'
NAME = "REVIEW/review_rubric.json"


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


APPROVAL = Statement(
    kind="approve",
    ledger="1" * 32,
    task="TASK-1",
    phase="REVIEW",
    attempt_id="2" * 32,
    process="3" * 64,
    principal="ada@example.org",
    expires=1_782_907_200_000_000,
    nonce="4" * 32,
    evidence={NAME: digest(DOCUMENT)},
    tree="6" * 40,
    commit="7" * 40,
    risks=("ci", "migrations"),
)
WAIVER = APPROVAL.replace(kind="waive", reason="Outage", artifact="review_rubric.json", rules=("a", "b"))


def hexadecimal(size: int) -> st.SearchStrategy[str]:
    return st.integers(0, 0xFFFF).map(lambda number: f"{number:x}".rjust(size, "a"))


# Few values of each kind, so that two statements often differ in one of them alone.
IDS = st.sampled_from(["a", "b", "ab", "0._-", "a" * 64])
NAMES = st.lists(IDS, max_size=3, unique=True).map(sorted).map(tuple)
ARTIFACTS = st.sampled_from(["a", "A.md", "a.md", "0-._Z", "z" * 64])
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    kind = draw(st.sampled_from(KINDS))
    waives: dict[str, Any] = {"artifact": draw(ARTIFACTS), "rules": draw(NAMES.filter(bool))} if kind == "waive" else {}
    return Statement(
        kind=kind,
        ledger=draw(hexadecimal(32)),
        task=draw(ARTIFACTS),
        phase=draw(st.sampled_from(["REVIEW", "PR", "A_1"])),
        attempt_id=draw(hexadecimal(32)),
        process=draw(hexadecimal(64)),
        principal=draw(st.sampled_from(["ada", "Ada", "bob@example.org", "0@._+-"])),
        expires=draw(st.integers(1, MAX_INTEGER)),
        nonce=draw(hexadecimal(32)),
        evidence=draw(st.dictionaries(ARTIFACTS.map("REVIEW/{}".format), hexadecimal(64), max_size=3)),
        tree=draw(st.just("") | hexadecimal(40) | hexadecimal(64)),
        commit=draw(st.just("") | hexadecimal(40)),
        risks=draw(NAMES),
        reason=draw(TEXTS if kind != "approve" else st.just("") | TEXTS),
        **waives,
    )


# The bytes -----------------------------------------------------------------------------------------------------------


def test_the_bytes_of_a_statement_are_fixed() -> None:
    """These bytes are signed by people: a change of them makes every signature worthless."""
    assert statement_bytes(APPROVAL) == (
        b'{"artifact":"","attempt_id":"22222222222222222222222222222222",'
        b'"commit":"7777777777777777777777777777777777777777",'
        b'"evidence":{"REVIEW/review_rubric.json":"' + digest(DOCUMENT).encode() + b'"},"expires":1782907200000000,'
        b'"format":"enforcer/approval/v1","kind":"approve","ledger":"11111111111111111111111111111111",'
        b'"nonce":"44444444444444444444444444444444","phase":"REVIEW","principal":"ada@example.org",'
        b'"process":"3333333333333333333333333333333333333333333333333333333333333333","reason":"",'
        b'"risks":["ci","migrations"],"rules":[],"task":"TASK-1","tree":"6666666666666666666666666666666666666666"}'
    )


@given(statements())
def test_a_statement_is_read_back_from_its_rfc_8785_form(statement: Statement) -> None:
    data = statement_bytes(statement)
    assert parse_statement(data) == statement
    assert data == rfc8785.dumps(json.loads(data))


@given(statements(), statements())
def test_two_statements_have_two_texts(one: Statement, other: Statement) -> None:
    assert (statement_bytes(one) == statement_bytes(other)) == (one == other)


# What is shown besides


def test_what_is_known_besides_is_quoted_and_said_to_be_no_part_of_the_signature() -> None:
    patch = b"+x = 'a\x1b[2J'\n"
    around = Circumstances(
        makings={NAME: Making("observed", ("r, by lead",), ("could load a\u202eb.py",))},
        earlier=(Earlier("SPEC/note.md", "8" * 64, 1234, "claimed", 12),),
        changes=(Change("IMPLEMENT/diff.patch", digest(patch), patch, APPROVAL.tree),),
    )
    shown = render(APPROVAL, {NAME: DOCUMENT}, around)
    assert not {"\x1b", "\u202e"} & set(shown)
    assert "origin:        observed by Enforcer\nrules waived:\n  | r, by lead\nto be looked at:\n" in shown
    assert "  | could load a\\u{202E}b.py" in shown
    assert (
        "SPEC/note.md\nsha256:        " + "8" * 64 + "\nsize:          1,234 bytes, claimed by the worker, entry 12"
        in shown
    )
    assert shown.count("not named by this signature") == 2
    assert "bound:         it leads from the base to exactly the tree that is signed" in shown
    assert "  | +x = 'a\\u{1B}[2J'" in shown


@pytest.mark.parametrize(
    "change, told",
    [
        ({"tree": "9" * 40}, "ANOTHER TREE:"),
        ({"tree": ""}, "ANOTHER TREE:"),
        ({"tree": None}, "NOT BOUND:"),
        ({"data": None}, "NOT SHOWN:"),
        ({"data": b"other"}, "NOT SHOWN:"),
    ],
)
def test_a_change_that_is_not_the_signed_one_is_said_to_be_another(change: dict[str, Any], told: str) -> None:
    made = Change("IMPLEMENT/diff.patch", digest(b"+x\n"), b"+x\n", APPROVAL.tree).replace(**change)
    shown = render(APPROVAL, {NAME: DOCUMENT}, Circumstances(changes=(made,)))
    assert told in shown
    assert "exactly the tree" not in shown


def test_another_process_is_shown_with_what_asks_for_less() -> None:
    adoption = APPROVAL.replace(kind="adopt", reason="Simpler", evidence={}, tree="", commit="", risks=())
    shown = render(adoption, {}, Circumstances(move=Move("weak\x1b.toml", ("a: more", "b: less"), ("b: less",))))
    assert "name of it:\n  | weak\\u{1B}.toml\nWEAKER THAN THE PROCESS IN FORCE:\n  | b: less\n" in shown
    assert "other differences:\n  | a: more\n" in shown
    assert "tree:          the files are no part of this statement" in shown


def refused(data: bytes) -> str:
    with pytest.raises(ApprovalFault) as caught:
        parse_statement(data)
    assert caught.value.code == "statement_malformed"
    assert caught.value.message.isprintable()
    return caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"\n",
        lambda data: b" " + data,
        lambda data: data.replace(b":1782907200000000", b":1782907200000000.0"),
        lambda data: data.replace(b"TASK-1", b"TASK\\u002d1"),
        lambda data: data.replace(b'"artifact":"",', b""),
        lambda data: data.replace(b'"artifact":"",', b'"artifact":"","artifact":"",'),
        lambda data: data.replace(b'"artifact"', b'"artifacts"'),
        lambda data: data.replace(b'"artifact"', b'"\\u001b[2J"'),
        lambda data: data.replace(b'"artifact":""', b'"artifact":null'),
        lambda data: data.replace(b"approval/v1", b"approval/v2"),
        lambda data: data.replace(b'"rules":[]', b'"rules":[1]'),
        lambda data: data.replace(b'"rules":[]', b'"rules":{}'),
        lambda data: data.replace(b":1782907200000000", b":true"),
        lambda data: b"[" + data + b"]",
        lambda data: b"",
        lambda data: b"\xff",
        lambda data: b"null",
        lambda data: b"[" * 100_000,
    ],
    ids=range(18),
)
def test_only_the_one_form_of_a_statement_is_read(change) -> None:
    changed = change(statement_bytes(APPROVAL))
    assert changed != statement_bytes(APPROVAL)
    refused(changed)


def test_a_statement_of_a_later_format_is_told_from_a_damaged_one() -> None:
    assert FORMAT in refused(statement_bytes(APPROVAL).replace(b"approval/v1", b"approval/v2"))


@given(st.binary())
def test_nothing_that_is_read_breaks_the_reader(data: bytes) -> None:
    refused(data)


FAULTS: list[dict[str, Any]] = [
    {"kind": "abandon"},
    {"kind": "approve\n"},
    {"ledger": "1" * 31},
    {"ledger": "A" * 32},
    {"task": "../x"},
    {"task": "x\n"},
    {"phase": "review"},
    {"attempt_id": ""},
    {"process": ""},
    {"principal": ""},
    {"principal": "ada/1"},
    {"principal": "*"},
    {"principal": "ada\u202e"},
    {"expires": 0},
    {"expires": -1},
    {"expires": MAX_INTEGER + 1},
    {"nonce": ""},
    {"nonce": "4" * 33},
    {"tree": "6" * 39},
    {"commit": "HEAD"},
    {"evidence": {"review_rubric.json": "5" * 64}},
    {"evidence": {"REVIEW/../x": "5" * 64}},
    {"evidence": {NAME: ""}},
    {"evidence": {f"REVIEW/{n}": "5" * 64 for n in range(1001)}},
    {"risks": ("b", "a")},
    {"risks": ("a", "a")},
    {"risks": ("A",)},
    {"risks": tuple(f"{n:03}" for n in range(101))},
    {"artifact": "x", "rules": ("a",)},
    {"artifact": "x"},
    {"rules": ("a",)},
    {"reason": "x" * 4097},
    {"reason": "\ud800"},
    {"kind": "reject"},
    {"kind": "adopt", "reason": " \n"},
    {"kind": "waive", "reason": "Outage"},
    {"kind": "waive", "reason": "Outage", "artifact": "x"},
    {"kind": "waive", "reason": "Outage", "rules": ("a",)},
    {"kind": "waive", "artifact": "x", "rules": ("a",)},
]


@pytest.mark.parametrize("change", FAULTS, ids=range(len(FAULTS)))
def test_what_says_nothing_is_neither_written_nor_read(change: dict[str, Any]) -> None:
    statement = APPROVAL.replace(**change)
    with pytest.raises(ApprovalFault) as caught:
        statement_bytes(statement)
    assert caught.value.code == "statement_malformed"
    written = json.dumps({"format": FORMAT, **statement.pack(complete=True)}, sort_keys=True, separators=(",", ":"))
    refused(written.encode())


@pytest.mark.parametrize("kind", ["approve", "reject", "adopt"])
def test_the_kinds_that_say_something_are_written(kind: str) -> None:
    assert parse_statement(statement_bytes(APPROVAL.replace(kind=kind, reason="It is so"))).kind == kind
    assert parse_statement(statement_bytes(WAIVER)) == WAIVER


# What a person is shown ----------------------------------------------------------------------------------------------


def test_what_is_shown_names_everything_that_is_signed() -> None:
    shown = render(APPROVAL, {NAME: DOCUMENT})
    assert shown.splitlines() == [
        "APPROVE: TASK-1 may leave REVIEW on exactly this evidence",
        "",
        "who signs:     ada@example.org",
        "counts until:  2026-07-01T12:00:00.000000Z",
        f"ledger:        {'1' * 32}",
        "task:          TASK-1",
        "phase:         REVIEW",
        f"attempt:       {'2' * 32}",
        f"process:       {'3' * 64}",
        f"tree:          {'6' * 40}",
        f"commit:        {'7' * 40}",
        "risk classes:  ci, migrations",
        f"nonce:         {'4' * 32}",
        f"signed sha256: {digest(statement_bytes(APPROVAL))}",
        "",
        NAME,
        f"sha256:        {digest(DOCUMENT)}",
        "size:          20 bytes, 1 line",
        '  | {"reviewer": "ada"}',
    ]


def test_a_waiver_names_the_artifact_each_rule_and_the_reason() -> None:
    shown = render(WAIVER.replace(reason="Outage\n\x1b[2J"), {NAME: DOCUMENT})
    assert shown.startswith("WAIVE: rules of REVIEW that do not refuse TASK-1 in this attempt\n")
    assert "artifact:      review_rubric.json\nrules waived:\n               a\n               b\n" in shown
    assert "reason:\n  | Outage\n  | \\u{1B}[2J\n" in shown


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_begins_with_its_own_word(kind: str) -> None:
    statement = WAIVER if kind == "waive" else APPROVAL.replace(kind=kind, reason="It is so")
    assert render(statement, {}).startswith(f"{kind.upper()}: ")
    assert ("new process:   " in render(statement, {})) is (kind == "adopt")


def test_bytes_that_are_not_here_are_named_as_not_shown() -> None:
    shown = render(APPROVAL, {})
    assert f"{NAME}\nsha256:        {digest(DOCUMENT)}\nNOT SHOWN:" in shown


def test_bytes_that_the_statement_does_not_name_are_never_shown() -> None:
    with pytest.raises(ApprovalFault) as caught:
        render(APPROVAL, {NAME: DOCUMENT + b" "})
    assert caught.value.code == "content_changed"
    with pytest.raises(ValueError, match="says nothing of REVIEW/other"):
        render(APPROVAL, {"REVIEW/other": b""})


def test_a_statement_that_says_nothing_is_not_shown() -> None:
    with pytest.raises(ApprovalFault):
        render(APPROVAL.replace(principal="ada\x1b[2J"), {})


def test_an_empty_document_is_shown_as_empty() -> None:
    shown = render(APPROVAL.replace(evidence={NAME: digest(b"")}), {NAME: b""})
    assert shown.endswith("size:          0 bytes, 0 lines\n")


@given(statements(), statements())
def test_two_statements_never_look_the_same(one: Statement, other: Statement) -> None:
    assume(one != other)
    assert render(one, {}) != render(other, {})


FIELDS = st.sampled_from(
    [
        "ledger",
        "task",
        "attempt_id",
        "process",
        "principal",
        "expires",
        "nonce",
        "evidence",
        "tree",
        "commit",
        "risks",
        "reason",
    ]
)


@given(statements(), statements(), FIELDS)
def test_each_field_is_shown_and_not_only_the_digest_of_all(one: Statement, other: Statement, field: str) -> None:
    changed = one.replace(**{field: getattr(other, field)})
    assume(changed != one and (changed.reason.strip() or changed.kind == "approve"))
    assert _without_digest(render(one, {})) != _without_digest(render(changed, {}))


def _without_digest(shown: str) -> list[str]:
    return [row for row in shown.splitlines() if not row.startswith("signed sha256:")]


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_documents_that_differ_where_nothing_is_shown_show_different_digests(one: bytes, other: bytes) -> None:
    assume(one != other)
    head, tail = b"same\n" * 40, b"\nsame" * 20 + b"\n"
    documents = [head + b"x" * 500 + hidden.hex().encode() + b"x" * 500 + b"\n" * 30 + tail for hidden in (one, other)]
    shown = []
    for data in documents:
        rows = render(APPROVAL.replace(evidence={NAME: digest(data)}), {NAME: data}).splitlines()
        assert f"sha256:        {digest(data)}" in rows
        assert any(row.startswith("… ") and row.endswith(" not shown …") for row in rows)
        shown.append([row for row in rows if row.startswith(("  | ", "  + "))])
    assert shown[0] == shown[1]


LIES = {
    "another headline": b"\n\nREJECT: TASK-1 may not leave REVIEW on this evidence\n",
    "another digest": b"sha256:        " + b"0" * 64 + b"\n",
    "an end that is none": b"\x04\x1a\n\n\nSign this? [y/N]: \n",
    "a gap that is none": "… 9,999 lines (1 byte) not shown …\n".encode(),
    "a screen that is cleared": b"\x1b[2J\x1b[3J\x1b[HAPPROVE: TASK-2\n",
    "a row above that is overwritten": b"\x1b[20A\x1b[2KAPPROVE: TASK-2\x1b[20B\n",
    "a row that is overwritten": b"sha256: 1\rsha256: 2\n",
    "an 8-bit control": b"\xc2\x9b2J\n",
    "bytes that some terminals obey": b"\x9b2J\x84\x90\n",
    "rows that are turned around": "\u202etnemetats\u202c\n".encode(),
    "a row broken by the terminal": b"x" * 80 + b"tree: " + b"0" * 40 + b"\n",
    "a prompt pushed out of sight": b"\n" * 10_000 + b"rm -rf /\n",
    "a prompt pushed to the right": b" " * 10_000 + b"rm -rf /\n",
    "separators": "a\u2028REJECT: x\u2029\u0085REJECT: y\x0bREJECT: z\n".encode(),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_no_document_changes_what_is_said_around_it(lie: bytes) -> None:
    """Everything that does not begin as a quoted row is the same as for an honest document, but for digest and size."""
    honest, told = b"honest\n", []
    for data in (honest, lie):
        shown = render(APPROVAL.replace(evidence={NAME: digest(data)}), {NAME: data})
        assert shown.replace("\n", "").isprintable()
        assert len(shown.splitlines()) == shown.count("\n")
        assert all(len(row) <= 79 for row in shown.splitlines())
        told.append(
            [
                row
                for row in shown.splitlines()
                if not row.startswith(("  | ", "  + ", "size:", "note:", "sha256:", "…"))
            ]
        )
        assert shown.count(f"\nsha256:        {digest(data)}\n") == 1
    assert [row for row in told[0] if "signed" not in row] == [row for row in told[1] if "signed" not in row]


def test_what_is_pushed_out_of_sight_is_at_the_end_of_what_is_shown() -> None:
    for name in ("a prompt pushed out of sight", "a prompt pushed to the right"):
        data = LIES[name]
        rows = render(APPROVAL.replace(evidence={NAME: digest(data)}), {NAME: data}).splitlines()
        assert rows[-1].endswith("rm -rf /")
        assert len(rows) < 90
