"""What is published: the ledger and nothing else, whole at every moment, and never over another history."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from enforcer import Enforcer
from enforcer.errors import DamagedError, EnforcerError, RequestError, UnavailableError
from enforcer.evidence.git.refs import Refs
from enforcer.ledger.checkpoint import parse_checkpoint
from enforcer.ledger.note import parse_note
from enforcer.publication import anchor_to_file, anchor_to_git, load_anchors, publish
from tests.publishing import House, QuickDisk, git


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path)
    made.work("T")
    return made


def code_of(caught: pytest.ExceptionInfo[EnforcerError]) -> str:
    return caught.value.code


def size_of(note: bytes) -> int:
    return parse_checkpoint(parse_note(note).text).size


# What is in it


def test_what_is_published_is_the_ledger_byte_for_byte_and_nothing_else(house: House) -> None:
    for stray in ("ledger/.cache/x", "ledger/notes.txt", "ledger/seg/x.jsonl", "objects/ab/short", "guard/.tasks/T"):
        path = house.state / stray
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("stray")
    (house.state / "guard" / "s1.jsonl").write_bytes(b'{"a":1}\n{"half')
    (house.state / "refusals").mkdir()
    (house.state / "refusals" / "T.jsonl").write_bytes(b'{"b":2}\n')

    done = publish(house.enforcer)
    files = house.files(done.commit)

    assert (done.moved, done.ref, done.size) == (True, house.ref, house.enforcer.ledger.head.size)
    assert files["ledger/seg/" + house.segment.name] == house.segment.read_bytes()
    for name in ("ledger/ledger.json", "ledger/checkpoint"):
        assert files[name] == (house.state / name).read_bytes()
    objects = {path.relative_to(house.state).as_posix() for path in (house.state / "objects").glob("??/" + "?" * 62)}
    assert {name for name in files if name.startswith("objects/")} == objects != set()
    assert files["guard/s1.jsonl"] == b'{"a":1}\n'
    assert files["refusals/T.jsonl"] == b'{"b":2}\n'
    kinds = {name.split("/")[1] for name in files if name.startswith("ledger/")}
    assert kinds == {"ledger.json", "checkpoint", "checkpoints", "seg"}


def test_neither_branch_nor_index_nor_work_tree_is_touched(house: House) -> None:
    before = git(house.top, "status", "--porcelain", "--ignored"), (house.top / ".git" / "HEAD").read_bytes()
    publish(house.enforcer)

    assert (git(house.top, "status", "--porcelain", "--ignored"), (house.top / ".git" / "HEAD").read_bytes()) == before
    assert git(house.top, "for-each-ref", "--format=%(refname)") == house.ref
    assert not (house.top / ".git" / "index").exists()


def test_settings_that_change_bytes_change_none(house: House) -> None:
    (house.top / ".gitattributes").write_text("* text eol=crlf ident filter=spoil working-tree-encoding=UTF-16\n")
    info = house.top / ".git" / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text("* text eol=lf filter=spoil\n")
    git(house.top, "config", "core.autocrlf", "input")
    git(house.top, "config", "filter.spoil.clean", "tr a-z A-Z")
    task = house.enforcer.open_task("CR")
    path = house.state / "evidence" / "CR" / "spec" / "n.md"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"# Note\r\n\r\n## Findings\r\n\r\nA guard clause keeps it. $Id$\r\n")
    task.advance().require()
    publish(house.enforcer)

    assert house.verify(ref=house.ref).verdict == "verified"


def test_no_link_is_followed(house: House, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "s1.jsonl").write_text("secret\n")
    (house.state / "guard").symlink_to(secret)
    (house.state / "refusals").mkdir()
    (house.state / "refusals" / "T.jsonl").symlink_to(secret / "s1.jsonl")
    (house.state / "ledger" / "quarantine").mkdir()
    (house.state / "ledger" / "quarantine" / "q").symlink_to(secret / "s1.jsonl")
    (house.state / "objects" / "ab").symlink_to(secret)
    (secret / ("c" * 62)).write_text("secret\n")
    files = house.files(publish(house.enforcer).commit)

    assert not any(b"secret" in data for data in files.values())


def test_a_ledger_behind_a_link_is_not_published(house: House, tmp_path: Path) -> None:
    shutil.move(house.state / "ledger" / "seg", tmp_path / "seg")
    (house.state / "ledger" / "seg").symlink_to(tmp_path / "seg")

    with pytest.raises(RequestError) as caught:
        publish(house.enforcer)
    assert code_of(caught) == "state_is_link"


def test_bytes_that_are_not_those_of_their_name_are_no_object(house: House) -> None:
    name = next((house.state / "objects").glob("??/" + "?" * 62))
    name.chmod(0o644)
    whole = name.read_bytes()
    name.write_bytes(b"changed")
    path = name.relative_to(house.state).as_posix()

    assert path not in house.files(publish(house.enforcer).commit)
    name.write_bytes(whole)
    assert house.files(publish(house.enforcer).commit)[path] == whole


# When it is published again


def test_without_news_nothing_moves(house: House) -> None:
    first = publish(house.enforcer)
    again = publish(house.enforcer)

    assert (again.commit, again.moved, again.size) == (first.commit, False, first.size)


def test_what_is_new_follows_on_what_was_published(house: House) -> None:
    first = publish(house.enforcer)
    house.work("U")
    second = publish(house.enforcer)
    before, after = house.files(first.commit), house.files(second.commit)

    assert git(house.top, "rev-list", second.commit).split() == [second.commit, first.commit]
    for name in before:
        if name != "ledger/checkpoint":
            assert after[name].startswith(before[name])
    assert house.verify(ref=second.commit, base=first.commit).base == "extends"


def test_what_is_gone_here_stays_published(house: House) -> None:
    first = publish(house.enforcer)
    before = house.files(first.commit)
    shutil.rmtree(house.state / "objects")
    shutil.rmtree(house.state / "ledger" / "checkpoints")
    (house.state / "objects").mkdir()
    house.work("U")
    after = house.files(publish(house.enforcer).commit)

    assert before.keys() <= after.keys()
    assert house.verify(ref=house.ref).verdict == "verified"


def test_objects_that_are_known_are_not_read_again(house: House) -> None:
    publish(house.enforcer)
    for path in (house.state / "objects").glob("??/*"):
        path.unlink()
        os.mkfifo(path)  # Whoever reads it gets nothing that fits its name.

    assert not publish(house.enforcer).moved
    assert house.verify(ref=house.ref).verdict == "verified"


@pytest.mark.parametrize("keyed", [True, False])
def test_a_history_that_was_rewritten_is_not_published(house: House, keyed: bool) -> None:
    first = publish(house.enforcer)
    if not keyed:
        house.lose_key()
    house.rewrite()

    with pytest.raises(DamagedError) as caught:
        publish(house.enforcer)
    assert code_of(caught) == "publish_forked"
    assert git(house.top, "rev-parse", house.ref) == first.commit


def test_a_history_that_was_rewritten_after_what_was_published_is_not_signed(house: House) -> None:
    publish(house.enforcer)
    before = house.segment.read_bytes()
    house.work("U")
    house.enforcer.close()
    house.segment.write_bytes(before)
    shutil.rmtree(house.state / "ledger" / ".cache", ignore_errors=True)
    house.enforcer = house.open()
    house.work("V")

    with pytest.raises(DamagedError) as caught:
        publish(house.enforcer)
    assert code_of(caught) in ("history_rewritten", "ledger_rolled_back")


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("published", [True, False])
def test_a_line_that_was_edited_below_a_snapshot_is_not_published(
    house: House, monkeypatch: pytest.MonkeyPatch, keyed: bool, published: bool
) -> None:
    """Nobody takes that line in again; what is published is held against the head nevertheless."""
    monkeypatch.setattr("enforcer.ledger.files.SNAPSHOT_EVERY", 1)
    first = publish(house.enforcer).commit if published else ""
    house.reopen()
    house.work("U")
    house.reopen()
    assert (house.state / "ledger" / ".cache" / "snapshot").exists()
    if not keyed:
        house.lose_key()
        (house.state / "ledger" / "checkpoint").unlink()
    lines = house.segment.read_bytes().splitlines(keepends=True)
    number = max(number for number, line in enumerate(lines[:-1]) if b'"subject":"U"' in line)
    lines[number] = lines[number].replace(b'"actor":"a', b'"actor":"b')
    house.segment.write_bytes(b"".join(lines))
    house.reopen()
    assert house.enforcer.ledger.cache_rejected == ""

    with pytest.raises(DamagedError) as caught:
        publish(house.enforcer)
    assert code_of(caught) == "publish_contradicted"
    assert git(house.top, "for-each-ref", "--format=%(objectname)") == first


def test_lines_that_are_not_those_of_the_checkpoint_are_not_published_with_it(house: House) -> None:
    """Whoever has no key and no cache has the checkpoint alone to tell it by."""
    house.enforcer.sealer.seal()
    house.lose_key()
    house.rewrite()

    with pytest.raises(DamagedError) as caught:
        publish(house.enforcer)
    assert code_of(caught) == "publish_contradicted"
    assert git(house.top, "for-each-ref") == ""


def test_an_older_copy_is_not_published_over_a_newer_one(house: House, tmp_path: Path) -> None:
    house.enforcer.close()
    shutil.copytree(house.state, tmp_path / "older")
    house.reopen()
    house.work("U")
    newer = publish(house.enforcer)
    house.enforcer.close()
    shutil.rmtree(house.state)
    shutil.copytree(tmp_path / "older", house.state)
    house.lose_key()

    with pytest.raises(DamagedError) as caught:
        publish(house.enforcer)
    assert code_of(caught) == "publish_forked"
    assert git(house.top, "rev-parse", house.ref) == newer.commit


def test_something_else_under_the_name_of_the_ref_is_left_alone(house: House) -> None:
    refs = Refs.find(str(house.top))
    assert refs is not None
    foreign = refs.advance(house.ref, {"README": refs.store(b"x")}, before=None, message="m\n")

    with pytest.raises(DamagedError) as caught:
        publish(house.enforcer)
    assert code_of(caught) == "publish_forked"
    assert git(house.top, "rev-parse", house.ref) == foreign


def test_the_published_checkpoint_never_goes_back(house: House) -> None:
    older = house.enforcer.sealer.seal().note
    house.work("U")
    newer = publish(house.enforcer)
    house.lose_key()
    (house.state / "ledger" / "checkpoint").write_bytes(older)
    house.enforcer.open_task("V")
    done = publish(house.enforcer)

    assert done.moved
    assert done.size == newer.size
    assert size_of(house.files(done.commit)["ledger/checkpoint"]) == newer.size


def test_a_user_without_the_key_publishes_every_line(house: House) -> None:
    house.lose_key()
    house.enforcer.open_task("U")
    done = publish(house.enforcer)

    assert house.files(done.commit)["ledger/seg/" + house.segment.name] == house.segment.read_bytes()
    assert house.verify(ref=house.ref, require_sealed=True).verdict == "unverifiable"


def test_margins_grow_and_what_a_crash_took_of_them_stays_published(house: House) -> None:
    path = house.state / "guard" / "s1.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"1\n2\n")
    publish(house.enforcer)
    path.write_bytes(b"1\n")
    assert house.files(publish(house.enforcer).commit)["guard/s1.jsonl"] == b"1\n2\n"
    path.write_bytes(b"1\n2\n3\n")
    assert house.files(publish(house.enforcer).commit)["guard/s1.jsonl"] == b"1\n2\n3\n"


def test_without_a_repository_there_is_nothing_to_publish_to(tmp_path: Path) -> None:
    house = House(tmp_path, repository=False)
    for call in (publish, anchor_to_git):
        with pytest.raises(RequestError) as caught:
            call(house.enforcer)
        assert code_of(caught) == "no_repository"


class Meanwhile(QuickDisk):
    """A disk on which somebody else has just written whenever a folder was listed or lines were looked at."""

    def __init__(self) -> None:
        self.write: Callable[[], None] | None = None
        self._lines: set[int] = set()

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        fd = super().open(path, flags, mode)
        (self._lines.add if path.endswith(".jsonl") else self._lines.discard)(fd)
        return fd

    def listing(self, path: str) -> list[str]:
        names = super().listing(path)
        self._let_write()
        return names

    def size(self, fd: int) -> int:
        size = super().size(fd)
        if fd in self._lines:
            self._let_write()
        return size

    def _let_write(self) -> None:
        write, self.write = self.write, None
        if write is not None:
            write()
            self.write = write


def test_what_comes_in_between_does_not_make_what_is_published_less_than_whole(house: House) -> None:
    """New objects, lines and checkpoints appear after every look at a folder or at lines."""
    house.enforcer.close()
    disk = Meanwhile()
    publisher = Enforcer.open(root=str(house.root), actor="a", environ=house.environ, disk=disk)
    count = 0

    def write() -> None:
        nonlocal count
        count += 1
        house.enforcer = house.open()
        house.work(f"M{count}")
        house.enforcer.close()

    for _ in range(2):
        disk.write, before = write, count
        done = publish(publisher)
        disk.write = None
        report = house.verify(ref=done.commit, require_sealed=True)

        assert count > before + 2
        assert report.verdict == "verified", report.findings
    publisher.close()


def test_what_is_published_while_others_write_always_verifies(house: House) -> None:
    going = threading.Event()

    def write(name: str) -> None:
        with house.open() as enforcer:
            for number in range(400):
                if going.is_set():
                    return
                task = enforcer.open_task(f"{name}{number}")
                path = house.state / "evidence" / f"{name}{number}" / "spec" / "n.md"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"# Note\n\n## Findings\n\nA guard clause keeps {name} {number}.\n")
                task.advance().require()

    writers = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    commits: list[str] = []
    try:
        while len(commits) < 4:
            before = house.enforcer.ledger.head.size
            commits.append(publish(house.enforcer).commit)
            while house.enforcer.ledger.head.size == before and any(writer.is_alive() for writer in writers):
                house.enforcer.ledger.catch_up()
    finally:
        going.set()
        for writer in writers:
            writer.join()

    assert len(commits) == 4
    for commit in set(commits):
        report = house.verify(ref=commit, require_sealed=True)
        assert report.verdict == "verified", report.findings


# Anchors


def test_an_anchor_in_a_file_moves_forward_alone(house: House, tmp_path: Path) -> None:
    path = tmp_path / "kept" / "anchor"
    first = anchor_to_file(house.enforcer, str(path))
    assert path.read_bytes() == first.note
    house.work("U")
    second = anchor_to_file(house.enforcer, str(path))
    assert path.read_bytes() == second.note
    assert second.size > first.size
    assert [name.name for name in path.parent.iterdir()] == ["anchor"]
    assert anchor_to_file(house.enforcer, str(path)) == second


@pytest.mark.parametrize("kind", ["garbage", "foreign", "ahead", "forked"])
def test_an_anchor_that_tells_of_another_history_is_not_replaced(house: House, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "anchor"
    note = anchor_to_file(house.enforcer, str(path)).note
    other = House(tmp_path / "other").enforcer.sealer.seal().note
    size = size_of(note)
    stands = {
        "garbage": b"not a checkpoint\n",
        "foreign": other,
        "ahead": note.replace(b"\n%d\n" % size, b"\n%d\n" % (size + 1)),
        "forked": note.replace(note.split(b"\n")[2], other.split(b"\n")[2]),
    }[kind]
    path.write_bytes(stands)
    house.work("U")

    with pytest.raises(DamagedError) as caught:
        anchor_to_file(house.enforcer, str(path))
    assert code_of(caught) == "anchor_conflict"
    assert path.read_bytes() == stands


def test_an_anchor_goes_through_a_link_to_the_place_that_was_meant(house: House, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far" / "anchor")
    anchor_to_file(house.enforcer, str(tmp_path / "near"))

    assert (tmp_path / "near").is_symlink()
    assert (tmp_path / "far" / "anchor").is_file()


@pytest.mark.parametrize("place", ["folder", "pipe", "below a file", "nul"])
def test_an_anchor_that_cannot_be_written_is_told(house: House, tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    path = {"below a file": "file/anchor", "nul": "a\0b"}.get(place, place)

    with pytest.raises(UnavailableError) as caught:
        anchor_to_file(house.enforcer, f"{tmp_path}/{path}")
    assert code_of(caught) == "anchor_unwritable"


def test_an_anchor_in_git_moves_forward_alone(house: House) -> None:
    first, ref = anchor_to_git(house.enforcer)
    commit = git(house.top, "rev-parse", ref)
    assert house.files(ref) == {"checkpoint": first.note}
    anchor_to_git(house.enforcer)
    assert git(house.top, "rev-parse", ref) == commit
    house.work("U")
    second, _ = anchor_to_git(house.enforcer)
    assert house.files(ref) == {"checkpoint": second.note}
    assert git(house.top, "rev-list", ref).split()[1:] == [commit]

    git(house.top, "update-ref", ref, git(house.top, "commit-tree", "-m", "m", git(house.top, "mktree", "/dev/null")))
    with pytest.raises(DamagedError) as caught:
        anchor_to_git(house.enforcer)
    assert code_of(caught) == "anchor_conflict"


# Where an anchor counts


def anchors(house: House, source: str) -> list[bool]:
    found = load_anchors(
        source, project=str(house.root), state=str(house.state), user=str(house.home), ledger=house.ledger
    )
    return [anchor.local for anchor in found]


def test_an_anchor_within_reach_of_the_writer_is_local(house: House, tmp_path: Path) -> None:
    note = house.enforcer.sealer.seal().note
    inside = [house.root / "anchor", house.state / "anchor", house.home / "anchor", house.top / ".git" / "anchor"]
    for path in (*inside, tmp_path / "outside"):
        path.write_bytes(note)
    (tmp_path / "link").symlink_to(inside[0])
    (house.root / "out").symlink_to(tmp_path / "outside")

    assert [anchors(house, str(path)) for path in inside] == [[True]] * 4
    assert anchors(house, str(tmp_path / "link")) == [True]
    assert anchors(house, str(tmp_path / "outside")) == anchors(house, str(house.root / "out")) == [False]


def test_both_refs_of_another_repository_are_anchors(house: House, tmp_path: Path) -> None:
    anchor_to_git(house.enforcer)
    publish(house.enforcer)
    git(tmp_path, "init", "--quiet", "--bare", "far.git")
    git(house.top, "remote", "add", "origin", "../far.git")
    git(house.top, "push", "--quiet", "origin", "refs/enforcer/*:refs/enforcer/*")
    shutil.copytree(tmp_path / "far.git", house.top / "near.git")

    for source in ("origin", str(tmp_path / "far.git"), f"file://{tmp_path}/far.git"):
        assert anchors(house, f"git:{source}") == [False, False]
    for source in (str(house.top / "near.git"), f"file://{house.top}/near%2Egit", str(house.top)):
        assert anchors(house, f"git:{source}") == [True, True]
    assert anchors(house, f"git:refs/enforcer/anchors/{house.ledger}") == [True]


def lent(house: House, tmp_path: Path, kind: str) -> str:
    """A place that leads back to the clone; the address it is asked for by."""
    if kind in ("bundle", "bundle by a name"):
        path = house.state / "x.bundle"
        git(house.top, "bundle", "create", "--quiet", str(path), house.ref)
        git(house.top, "config", "remote.near.url", str(path))
        return str(path) if kind == "bundle" else "near"
    if kind == "worktree":
        git(house.top, "commit", "--quiet", "--allow-empty", "--message=m")
        git(house.top, "worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
        return str(tmp_path / "tree")
    if kind == "git file":
        (tmp_path / "file").mkdir()
        (tmp_path / "file" / ".git").write_text(f"gitdir: {house.top / '.git'}\n")
        return str(tmp_path / "file")
    far = tmp_path / "far.git"
    git(tmp_path, "init", "--quiet", "--bare", str(far))
    git(house.top, "push", "--quiet", str(far), f"{house.ref}:{house.ref}")
    if kind in ("refs", "objects"):
        shutil.rmtree(far / kind)
        (far / kind).symlink_to(house.top / ".git" / kind)
    elif kind == "one ref":
        (far / house.ref).unlink()
        (far / house.ref).symlink_to(house.top / ".git" / house.ref)
    elif kind == "alternates":
        (far / "objects" / "info" / "alternates").write_text(f"{house.top / '.git' / 'objects'}\n")
    elif kind == "name without suffix":
        (tmp_path / "short.git").symlink_to(house.top / ".git")
        return str(tmp_path / "short")
    return str(far)


PLACES = ["bundle", "bundle by a name", "worktree", "git file", "refs", "objects", "one ref"]


@pytest.mark.parametrize("kind", [*PLACES, "alternates", "name without suffix"])
def test_a_repository_that_leads_back_into_reach_is_local(house: House, tmp_path: Path, kind: str) -> None:
    publish(house.enforcer)
    assert anchors(house, f"git:{lent(house, tmp_path, kind)}") == [True]


def test_a_repository_of_its_own_and_a_bundle_elsewhere_count(house: House, tmp_path: Path) -> None:
    publish(house.enforcer)
    git(house.top, "bundle", "create", "--quiet", str(tmp_path / "x.bundle"), house.ref)

    assert anchors(house, f"git:{lent(house, tmp_path, 'nothing')}") == [False]
    assert anchors(house, f"git:{tmp_path / 'x.bundle'}") == [False]


def test_an_address_that_settings_turn_into_reach_is_local(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(house.enforcer)
    settings = tmp_path / "settings"
    settings.write_text(f'[url "{house.top}/"]\n\tinsteadOf = https://far.invalid/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))

    assert anchors(house, "git:https://far.invalid/.git") == [True]


@pytest.mark.parametrize(
    "source, code",
    [
        ("none", "anchor_unreadable"),
        ("a\0b", "anchor_unreadable"),
        ("/", "anchor_unreadable"),
        ("/dev/zero", "anchor_unreadable"),
        ("git:refs/heads/none", "anchor_missing"),
        ("git:refs/enforcer/../../x", "anchor_missing"),
        ("git:", "bad_remote"),
        ("git:--upload-pack=x", "bad_remote"),
        ("git:/nowhere/at/all", "remote_unreachable"),
        ("git:ext::sh -c true", "remote_unreachable"),
    ],
)
def test_an_anchor_that_is_none_is_told(house: House, source: str, code: str) -> None:
    with pytest.raises(EnforcerError) as caught:
        anchors(house, source)
    assert code_of(caught) == code
