"""Lines beside the ledger: counted, sealed where they begin and end, and leading nowhere outside their folder."""

from __future__ import annotations

import json
import os
from hashlib import sha256

import pytest

from enforcer.errors import UnavailableError
from enforcer.ledger.margins import Margins, session_file
from enforcer.ports import SystemDisk
from enforcer.workflow.events import Sealed
from tests.faults import FaultyDisk


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def margins(state):
    return Margins(str(state), disk=SystemDisk())


def test_refusals_are_counted_by_task(margins, state):
    assert margins.refused("T") == 0
    for number in range(3):
        margins.refuse("T", {"number": number})
    margins.refuse("U", {"number": 9})
    assert (margins.refused("T"), margins.refused("U"), margins.refused("V")) == (3, 1, 0)
    lines = (state / "refusals" / "T.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1, 2]


def test_a_refusal_is_durable_before_it_is_answered(state):
    disk = FaultyDisk()
    Margins(str(state), disk=disk).refuse("T", {})
    assert disk.counts["datasync"] == 1
    assert disk.counts["sync_folder"] >= 1


def test_a_seal_tells_where_its_lines_stand_and_what_they_are(margins, state):
    margins.answer("T", "s", {"call": "1"}, durable=True)
    margins.answer("T", "s", {"call": "2"}, durable=True)
    data = (state / "guard" / "s.jsonl").read_bytes()

    [seal] = margins.unsealed("T", {})
    assert seal == Sealed("s.jsonl", 2, 0, len(data), sha256(data).hexdigest())

    margins.answer("T", "s", {"call": "3"}, durable=False)
    [later] = margins.unsealed("T", {"s.jsonl": seal.end})
    more = (state / "guard" / "s.jsonl").read_bytes()[seal.end :]
    assert later == Sealed("s.jsonl", 1, seal.end, seal.end + len(more), sha256(more).hexdigest())
    assert margins.unsealed("T", {"s.jsonl": later.end}) == ()


def test_a_line_that_is_not_complete_is_sealed_when_it_is(margins, state):
    margins.answer("T", "s", {"call": "1"}, durable=True)
    path = state / "guard" / "s.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"call"')
    [seal] = margins.unsealed("T", {})
    assert (seal.count, seal.end) == (1, len(whole))


def test_the_sessions_of_a_task_are_its_own(margins):
    margins.answer("T", "one", {}, durable=False)
    margins.answer("T", "two", {}, durable=False)
    margins.answer("U", "three", {}, durable=False)
    assert [seal.session for seal in margins.unsealed("T", {})] == ["one.jsonl", "two.jsonl"]
    assert [seal.session for seal in margins.unsealed("U", {})] == ["three.jsonl"]
    assert margins.unsealed("V", {}) == ()


def test_a_session_that_asks_about_two_tasks_is_sealed_for_each(margins):
    margins.answer("T", "s", {}, durable=False)
    margins.answer("U", "s", {}, durable=False)
    assert margins.unsealed("T", {})[0].count == margins.unsealed("U", {})[0].count == 2


def test_a_file_that_was_cut_below_its_seal_yields_nothing(margins, state):
    margins.answer("T", "s", {"call": "1"}, durable=False)
    [seal] = margins.unsealed("T", {})
    (state / "guard" / "s.jsonl").write_bytes(b"")
    assert margins.unsealed("T", {"s.jsonl": seal.end}) == ()


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
    assert [seal.session for seal in margins.unsealed("T", {})] == [name]
    assert {path.name for path in (state / "guard").iterdir()} == {name, ".tasks"}


def test_different_sessions_never_share_a_file():
    sessions = ["a", "A", "a.jsonl", "x-a", "../a", "..a", "", " ", "a ", "a\n"]
    assert len({session_file(session) for session in sessions}) == len(sessions)


def test_what_somebody_writes_into_the_list_of_sessions_leads_nowhere(margins, state, tmp_path):
    margins.answer("T", "s", {"call": "1"}, durable=False)
    (tmp_path / "secret").write_bytes(b"a line elsewhere\n")
    path = state / "guard" / ".tasks" / "T"
    path.write_bytes(path.read_bytes() + b"../../secret\n.tasks/T\n/etc/passwd\n\xff\n\ns.jsonl\n")
    assert [seal.session for seal in margins.unsealed("T", {})] == ["s.jsonl"]


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
            margins.refused("T")
    assert (tmp_path / "moved").read_bytes() == before


@pytest.mark.parametrize("call", ["open", "append", "datasync"])
def test_a_disk_that_fails_answers_nothing(state, call):
    disk = FaultyDisk()
    margins = Margins(str(state), disk=disk)
    disk.fail(call)
    with pytest.raises(UnavailableError, match="margin_unwritable"):
        margins.refuse("T", {})
