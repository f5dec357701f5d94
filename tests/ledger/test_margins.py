"""Lines beside the ledger: counted, sealed where they begin and end, and leading nowhere outside their folder."""

from __future__ import annotations

import json
import os
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.errors import UnavailableError
from enforcer.ledger.codec import canonical
from enforcer.ledger.margins import Margins, Unsealed, count_refusals, session_file
from enforcer.ports import SystemDisk
from enforcer.workflow.events import Sealed
from tests.faults import FaultyDisk


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def margins(state):
    return Margins(str(state), disk=SystemDisk())


def unsealed(margins, task="T", *, guarded=None):
    return margins.unsealed(task, guarded=guarded or {}, refused_to=0).guard


def a_refusal(number):
    return {"actor": "ada", "codes": ["phase_skip"], "command": "advance", "hash": "a" * 64, "seq": number, "ts": 7}


def count(margins, task="T", refused_to=0):
    seal = margins.unsealed(task, guarded={}, refused_to=refused_to).refusals
    return seal.count if seal is not None else 0


def test_refusals_are_counted_by_task(margins, state):
    assert count(margins) == 0
    for number in range(3):
        margins.refuse("T", a_refusal(number))
    margins.refuse("U", a_refusal(9))
    assert (count(margins), count(margins, "U"), count(margins, "V")) == (3, 1, 0)
    lines = (state / "refusals" / "T.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [0, 1, 2]


def test_refusals_are_sealed_by_where_they_stand_and_what_they_are(margins, state):
    margins.refuse("T", a_refusal(0))
    data = (state / "refusals" / "T.jsonl").read_bytes()
    first = margins.unsealed("T", guarded={}, refused_to=0).refusals
    assert first == Sealed("T.jsonl", 1, 0, len(data), sha256(data).hexdigest())
    assert margins.unsealed("T", guarded={}, refused_to=first.end) == Unsealed()

    margins.refuse("T", a_refusal(1))
    more = (state / "refusals" / "T.jsonl").read_bytes()[first.end :]
    later = margins.unsealed("T", guarded={}, refused_to=first.end)
    assert later == Unsealed(refusals=Sealed("T.jsonl", 1, first.end, first.end + len(more), sha256(more).hexdigest()))


@pytest.mark.parametrize("junk", [b"\n" * 5000, b"{}\n", b"\xff\n", b'{"a":1', b"[]\nnull\n", b"x" * 200_000 + b"\n"])
def test_what_is_no_refusal_is_sealed_among_them_and_not_counted(margins, state, junk):
    margins.refuse("T", a_refusal(0))
    path = state / "refusals" / "T.jsonl"
    path.write_bytes(path.read_bytes() + junk)
    seal = margins.unsealed("T", guarded={}, refused_to=0).refusals
    assert seal.count == 1
    assert seal.end == path.read_bytes().rfind(b"\n") + 1


@given(st.binary(max_size=400), st.integers(1, 50))
def test_refusals_are_counted_alike_however_they_are_read(junk, size):
    line = canonical(a_refusal(3)) + b"\n"
    data = line + junk + b"\n" + line + junk
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert count_refusals(pieces) == count_refusals([data]) == 2


@pytest.mark.parametrize("how", ["cut", "emptied", "removed"])
def test_a_file_below_its_seal_is_lost_and_told_of_anew(margins, state, how):
    margins.refuse("T", a_refusal(0))
    margins.answer("T", "s", {"call": "1"}, durable=False)
    ends = {}
    for path in (state / "refusals" / "T.jsonl", state / "guard" / "s.jsonl"):
        data = path.read_bytes()
        ends[path.name] = len(data)
        if how == "removed":
            path.unlink()
        else:
            path.write_bytes(b"" if how == "emptied" else data[:-1])

    found = margins.unsealed("T", guarded={"s.jsonl": ends["s.jsonl"]}, refused_to=ends["T.jsonl"])
    assert found == Unsealed(lost=("refusals/T.jsonl", "guard/s.jsonl"))

    if how != "cut":
        margins.refuse("T", {**a_refusal(1), "actor": "a"})
        again = margins.unsealed("T", guarded={}, refused_to=ends["T.jsonl"])
        assert (again.lost, again.refusals.start, again.refusals.count) == (("refusals/T.jsonl",), 0, 1)


def test_a_session_taken_off_the_list_of_its_task_is_missed(margins, state):
    margins.answer("T", "s", {"call": "1"}, durable=False)
    (state / "guard" / "s.jsonl").unlink()
    (state / "guard" / ".tasks" / "T").unlink()
    assert margins.unsealed("T", guarded={"s.jsonl": 9}, refused_to=0).lost == ("guard/s.jsonl",)


def test_a_refusal_is_durable_before_it_is_answered(state):
    disk = FaultyDisk()
    Margins(str(state), disk=disk).refuse("T", {})
    assert disk.counts["datasync"] == 1
    assert disk.counts["sync_folder"] >= 1


def test_a_seal_tells_where_its_lines_stand_and_what_they_are(margins, state):
    margins.answer("T", "s", {"call": "1"}, durable=True)
    margins.answer("T", "s", {"call": "2"}, durable=True)
    data = (state / "guard" / "s.jsonl").read_bytes()

    [seal] = unsealed(margins)
    assert seal == Sealed("s.jsonl", 2, 0, len(data), sha256(data).hexdigest())

    margins.answer("T", "s", {"call": "3"}, durable=False)
    [later] = unsealed(margins, guarded={"s.jsonl": seal.end})
    more = (state / "guard" / "s.jsonl").read_bytes()[seal.end :]
    assert later == Sealed("s.jsonl", 1, seal.end, seal.end + len(more), sha256(more).hexdigest())
    assert unsealed(margins, guarded={"s.jsonl": later.end}) == ()


def test_a_line_that_is_not_complete_is_sealed_when_it_is(margins, state):
    margins.answer("T", "s", {"call": "1"}, durable=True)
    path = state / "guard" / "s.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"call"')
    [seal] = unsealed(margins)
    assert (seal.count, seal.end) == (1, len(whole))


def test_the_sessions_of_a_task_are_its_own(margins):
    margins.answer("T", "one", {}, durable=False)
    margins.answer("T", "two", {}, durable=False)
    margins.answer("U", "three", {}, durable=False)
    assert [seal.session for seal in unsealed(margins)] == ["one.jsonl", "two.jsonl"]
    assert [seal.session for seal in unsealed(margins, "U")] == ["three.jsonl"]
    assert unsealed(margins, "V") == ()


def test_a_session_that_asks_about_two_tasks_is_sealed_for_each(margins):
    margins.answer("T", "s", {}, durable=False)
    margins.answer("U", "s", {}, durable=False)
    assert unsealed(margins)[0].count == unsealed(margins, "U")[0].count == 2


def test_a_file_that_was_cut_below_its_seal_yields_nothing(margins, state):
    margins.answer("T", "s", {"call": "1"}, durable=False)
    [seal] = unsealed(margins)
    (state / "guard" / "s.jsonl").write_bytes(b"")
    assert unsealed(margins, guarded={"s.jsonl": seal.end}) == ()


@pytest.mark.parametrize(
    "session",
    ["../../ledger/lock", "/etc/passwd", ".hidden", "", "a/b", "a\0b", "x" * 200, "Ünï", "\ud800", "a\nb", "."],
)
def test_any_session_id_becomes_a_plain_file_name(margins, state, session):
    name = session_file(session)
    assert name == os.path.basename(name)
    assert name.isascii()
    assert name.isprintable()
    assert name.startswith("x-")
    margins.answer("T", session, {"call": "1"}, durable=False)
    assert [seal.session for seal in unsealed(margins)] == [name]
    assert {path.name for path in (state / "guard").iterdir()} == {name, ".tasks"}


def test_different_sessions_never_share_a_file():
    sessions = ["a", "A", "a.jsonl", "x-a", "../a", "..a", "", " ", "a ", "a\n"]
    assert len({session_file(session) for session in sessions}) == len(sessions)


def test_what_somebody_writes_into_the_list_of_sessions_leads_nowhere(margins, state, tmp_path):
    margins.answer("T", "s", {"call": "1"}, durable=False)
    (tmp_path / "secret").write_bytes(b"a line elsewhere\n")
    path = state / "guard" / ".tasks" / "T"
    path.write_bytes(path.read_bytes() + b"../../secret\n.tasks/T\n/etc/passwd\n\xff\n\ns.jsonl\n")
    assert [seal.session for seal in unsealed(margins)] == ["s.jsonl"]


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_not_a_file_is_an_error_and_never_read(margins, state, tmp_path, kind):
    margins.refuse("T", {})
    path = state / "refusals" / "T.jsonl"
    path.rename(tmp_path / "moved")
    before = (tmp_path / "moved").read_bytes()
    if kind == "link":
        path.symlink_to(tmp_path / "moved")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(UnavailableError, match="margin_unwritable"):
        margins.refuse("T", {})
    if kind != "pipe":
        with pytest.raises(UnavailableError, match="margin_unreadable"):
            count(margins)
    assert (tmp_path / "moved").read_bytes() == before


@pytest.mark.parametrize("call", ["open", "append", "datasync"])
def test_a_disk_that_fails_answers_nothing(state, call):
    disk = FaultyDisk()
    margins = Margins(str(state), disk=disk)
    disk.fail(call)
    with pytest.raises(UnavailableError, match="margin_unwritable"):
        margins.refuse("T", {})
