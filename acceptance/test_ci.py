"""A CI job checks what was pushed: with its own install, its own copy of the key, and what it kept of the last run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from acceptance.world import BAD, GIT, World, canonical, digest, plain_process, rewrite
from enforcer.ledger.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from enforcer.ledger.merkle import leaf_hash, root_of
from enforcer.ledger.note import Signature, format_note, format_vkey, key_id, parse_note

SCRIPT = Path(__file__).parent.parent / "docs" / "ci" / "check-ledger"
PUBLISHED = ("ledger", "objects", "refusals", "guard")


class Shop:
    """A remote, an agent's clone that has worked, published and pushed twice, and what a job kept of the first time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = folder / "remote.git"
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        self.world = World(folder, process=plain_process(), git=True).init()
        self.world.git("add", "-A")
        self.world.git("commit", "--quiet", "-m", "Begin")
        self.world.git("push", "--quiet", str(self.remote), "HEAD:main")
        identity = json.loads((self.state / "ledger" / "ledger.json").read_bytes())
        self.ledger, self.origin, self.vkey = identity["id"], identity["origin"], identity["key"]
        self.ref = f"refs/enforcer/{self.ledger}"
        self.key = folder / "enforcer.key"
        self.key.write_text(self.vkey + "\n", encoding="utf-8")
        self.world.given_task("T", "PLAN")
        self.first = self.publish()
        self.kept = (self.state / "ledger" / "checkpoint").read_bytes()
        self.world.given_task("U", "IMPLEMENT")
        self.second = self.publish()

    @property
    def state(self) -> Path:
        return self.world.root / "state"

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        path = self.world.home / "enforcer" / self.ledger / "signing-key.pem"
        key = load_pem_private_key(path.read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        return key

    def publish(self) -> str:
        reply = self.world.ask("publish")
        assert reply.status == 0, reply
        assert reply.json["moved"]
        return str(reply.json["commit"])

    def push(self, commit: str) -> None:
        self.world.git("push", "--quiet", "--force", str(self.remote), f"{commit}:{self.ref}")

    def commit(self, state: Path) -> str:
        """A commit of a state folder as it stands, made by somebody who needs no Enforcer for it."""
        index = {"GIT_INDEX_FILE": str(state / "index"), "GIT_WORK_TREE": str(state)}
        there = [name for name in PUBLISHED if (state / name).exists()]
        repository = str(self.world.root / ".git")
        git(state, f"--git-dir={repository}", "add", "--force", "--", *there, **index)
        tree = git(state, f"--git-dir={repository}", "write-tree", **index)
        return git(state, f"--git-dir={repository}", "commit-tree", "-m", "Forged", tree)


def git(folder: Path, *args: str, **environ: str) -> str:
    done = subprocess.run(
        ["git", *args], cwd=folder, env={**os.environ, **GIT, **environ}, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


class Job:
    """A runner: a fresh clone, no state, no user's folder, and a folder that the next run gets back."""

    def __init__(self, shop: Shop, folder: Path) -> None:
        self.shop, self.folder, self.clone = shop, folder, folder / "clone"
        self.kept = folder / "kept"
        (folder / "bin").mkdir()
        command = folder / "bin" / "enforcer"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m enforcer "$@"\n', encoding="utf-8")
        command.chmod(0o755)
        git(folder, "clone", "--quiet", "--depth=1", f"file://{shop.remote}", str(self.clone))

    def remember(self, note: bytes) -> None:
        self.kept.mkdir(exist_ok=True)
        (self.kept / "checkpoint").write_bytes(note)

    def check(self, *args: str, **environ: str) -> tuple[int, str]:
        """Run the very script; its exit status and everything it said."""
        given = args or (self.shop.ledger, str(self.shop.key), str(self.kept))
        package = str(Path(__file__).resolve().parent.parent)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ENFORCER_", "GIT_"))}
        own = {
            **GIT,
            "HOME": str(self.folder / "nobody"),
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH", "")))),
            "TMPDIR": str(self.folder),
            "ENFORCER_CHANGE": "off",  # What the change is worth is asked in `test_ci_change.py`.
        }
        done = subprocess.run(
            ["/bin/sh", str(SCRIPT), *given],
            cwd=self.clone,
            env={**inherited, **own, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def size(self) -> int:
        """How many entries the kept checkpoint is of."""
        return parse_checkpoint(parse_note((self.kept / "checkpoint").read_bytes()).text).size


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def job(shop: Shop, tmp_path: Path) -> Job:
    """A runner that has seen the first push."""
    made = Job(shop, tmp_path)
    made.remember(shop.kept)
    shop.push(shop.second)
    return made


# Forgers

Forger = Callable[[Shop, Path], None]


def segment(state: Path) -> Path:
    return state / "ledger" / "seg" / f"{0:020}.jsonl"


def lines_of(state: Path) -> list[bytes]:
    return segment(state).read_bytes().splitlines()


def put(state: Path, lines: list[bytes]) -> None:
    segment(state).write_bytes(b"".join(line + b"\n" for line in lines))


def seal(state: Path, key: Ed25519PrivateKey, origin: str) -> None:
    """A signed checkpoint of the lines as they are; no other one stays."""
    lines = lines_of(state)
    text = format_checkpoint(Checkpoint(origin, len(lines), root_of([leaf_hash(line) for line in lines])))
    public = key.public_key().public_bytes_raw()
    note = format_note(text, [Signature(origin, key_id(origin, public), key.sign(text))])
    forget_heads(state)
    (state / "ledger" / "checkpoint").write_bytes(note)


def forget_heads(state: Path) -> None:
    (state / "ledger" / "checkpoint").unlink(missing_ok=True)
    for folder in ("checkpoints", "anchors"):
        shutil.rmtree(state / "ledger" / folder, ignore_errors=True)


def cut(shop: Shop, state: Path) -> None:
    """The end is cut off below what was kept; the checkpoints of before are in place and true."""
    size = parse_checkpoint(parse_note(shop.kept).text).size - 1
    put(state, lines_of(state)[:size])
    shutil.rmtree(state / "ledger" / "checkpoints")
    seal(state, shop.signing_key, shop.origin)


def rewritten(shop: Shop, state: Path) -> None:
    """One early entry tells something else, every hash is made anew, and who has the key signs it."""
    seed = (state / "ledger" / "ledger.json").read_bytes()
    put(state, rewrite(lines_of(state), seed, {1: {"title": "Something else"}}))
    seal(state, shop.signing_key, shop.origin)


def other_key(shop: Shop, state: Path) -> None:
    """The same ledger by its name, that names a key of the forger's."""
    key = Ed25519PrivateKey.generate()
    path = state / "ledger" / "ledger.json"
    identity = json.loads(path.read_bytes())
    identity["key"] = format_vkey(shop.origin, key.public_key().public_bytes_raw())
    path.write_bytes(canonical(identity) + b"\n")
    put(state, rewrite(lines_of(state), path.read_bytes()))
    seal(state, key, shop.origin)


def replaced(shop: Shop, state: Path) -> None:
    """Another ledger altogether, sealed by its own key."""
    other = World(state.parent / "other", process=plain_process()).init()
    other.given_task("T", "PLAN")
    for name in PUBLISHED:
        shutil.rmtree(state / name, ignore_errors=True)
        if (other.root / "state" / name).exists():
            shutil.copytree(other.root / "state" / name, state / name)


def damaged_object(shop: Shop, state: Path) -> None:
    """The evidence that was accepted is not what it was."""
    name = digest((shop.state / "evidence" / "T" / "spec" / "note.md").read_bytes())
    path = state / "objects" / name[:2] / name[2:]
    path.chmod(0o644)
    path.write_bytes(b"# Something else\n")


def forged_evidence(shop: Shop, state: Path) -> None:
    """A task goes on with evidence that the rules would refuse; the entry chains, and is sealed."""
    lines = lines_of(state)
    last = json.loads(lines[-1])
    leaf = hashlib.sha256(b"\0" + lines[-1]).hexdigest()
    name = digest(BAD)
    path = state / "objects" / name[:2] / name[2:]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(BAD.encode())
    data = {**last["event"]["data"], "start": "IMPLEMENT", "to": "VERIFY", "attempt_id": "f" * 32}
    data.pop("lease", None)
    data["evidence"] = [{"artifact": "note.md", "digest": name, "size": len(BAD.encode())}]
    event = {**last["event"], "id": "U/.forged", "data": data}
    forged = {**last, "event": event, "prev": leaf, "task_prev": leaf, "seq": last["seq"] + 1}
    forged["task_seq"] += 1
    put(state, [*lines, canonical(forged)])
    seal(state, shop.signing_key, shop.origin)


def no_checkpoint(shop: Shop, state: Path) -> None:
    forget_heads(state)


def unsigned(shop: Shop, state: Path) -> None:
    """A claim is added by somebody who has no key; everything else is as it was."""
    lines = lines_of(state)
    last = json.loads(lines[-1])
    leaf = hashlib.sha256(b"\0" + lines[-1]).hexdigest()
    event = {**last["event"], "id": "V/.added", "type": "dev.enforcer.task.opened", "subject": "V"}
    opened = next(json.loads(line)["event"]["data"] for line in lines if b"task.opened" in line)
    event["data"] = {**opened, "attempt_id": "e" * 32}
    added = {**last, "event": event, "prev": leaf, "task_prev": None, "task_seq": 1, "seq": last["seq"] + 1}
    put(state, [*lines, canonical(added)])


def no_lines(shop: Shop, state: Path) -> None:
    shutil.rmtree(state / "ledger" / "seg")


def no_ledger(shop: Shop, state: Path) -> None:
    (state / "ledger" / "ledger.json").unlink()


REFUSED: dict[str, tuple[Forger, int, str]] = {
    "cut tail": (cut, 1, "rolled_back"),
    "rewritten and signed again": (rewritten, 1, "anchor_mismatch"),
    "another key": (other_key, 1, "key_mismatch"),
    "another ledger": (replaced, 1, "key_mismatch"),
    "damaged object": (damaged_object, 1, "object_damaged"),
    "forged evidence": (forged_evidence, 1, "evidence_invalid"),
    "deleted checkpoints": (no_checkpoint, 2, "unsealed"),
    "entries that nobody signed": (unsigned, 2, "unsealed"),
    "deleted lines": (no_lines, 1, "rolled_back"),
    "deleted identity": (no_ledger, 2, "not_published"),
}


# Runs that hold


def test_the_first_run_says_what_it_cannot_show_and_keeps_the_checkpoint(shop: Shop, tmp_path: Path) -> None:
    job = Job(shop, tmp_path)
    shop.push(shop.first)

    status, said = job.check()

    assert status == 0, said
    assert "no checkpoint was kept by an earlier run" in said
    assert "key        pinned" in said
    assert (job.kept / "checkpoint").read_bytes() == shop.kept


def test_a_run_after_more_work_passes_and_keeps_the_newer_checkpoint(shop: Shop, job: Job) -> None:
    before = job.size

    status, said = job.check()

    assert status == 0, said
    assert f"anchored to {before}" in said
    assert job.size == len(shop.world.lines()) > before


def test_nothing_is_written_outside_the_folders_of_the_job(shop: Shop, job: Job) -> None:
    assert job.check()[0] == 0

    assert sorted(path.name for path in job.folder.iterdir()) == ["bin", "clone", "kept"]
    assert git(job.clone, "status", "--porcelain") == ""
    assert git(job.clone, "for-each-ref", "--format=%(refname)", "refs/enforcer", "refs/check-ledger").splitlines() == [
        f"refs/check-ledger/{shop.ledger}"
    ]


def test_a_folder_inside_the_clone_may_be_the_one_that_is_kept(job: Job) -> None:
    """The caches of many runners have to lie there; git has to ignore them, and the job to own them."""
    kept = job.clone / "cache"
    shutil.move(job.kept, kept)

    status, said = job.check(job.shop.ledger, str(job.shop.key), "cache")

    assert status == 0, said
    assert "anchored to" in said


def test_the_same_push_passes_again_and_nothing_moves(job: Job) -> None:
    assert job.check()[0] == 0
    kept = (job.kept / "checkpoint").read_bytes()

    assert job.check()[0] == 0
    assert (job.kept / "checkpoint").read_bytes() == kept


# Runs that do not


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_hold_is_refused_and_what_was_kept_stays(name: str, shop: Shop, job: Job, tmp_path: Path) -> None:
    forge, expected, code = REFUSED[name]
    state = tmp_path / "state"
    shutil.copytree(shop.state, state)
    forge(shop, state)
    shop.push(shop.commit(state))

    status, said = job.check()

    assert (status, code in said) == (expected, True), said
    assert (job.kept / "checkpoint").read_bytes() == shop.kept


def test_a_clone_that_stays_sees_a_history_that_was_forced_over_the_former_one(
    shop: Shop, job: Job, tmp_path: Path
) -> None:
    assert job.check()[0] == 0
    kept = (job.kept / "checkpoint").read_bytes()
    shop.push(shop.first)  # True at its time, and a ledger whose end is gone now.

    status, said = job.check()

    assert (status, "rolled_back" in said) == (1, True), said
    assert (job.kept / "checkpoint").read_bytes() == kept
    shop.push(shop.commit(shop.state))  # Without a parent, and with everything that was there.
    assert job.check()[0] == 0


def test_an_older_checkpoint_in_the_place_of_the_newest_does_not_set_back_what_is_kept(
    shop: Shop, job: Job, tmp_path: Path
) -> None:
    """Whoever pushes could otherwise have an old one kept, and cut the ledger back to it the next time."""
    assert job.check()[0] == 0
    kept = (job.kept / "checkpoint").read_bytes()
    state = tmp_path / "state"
    shutil.copytree(shop.state, state)
    forget_heads(state)
    (state / "ledger" / "checkpoint").write_bytes(shop.kept)
    shop.push(shop.commit(state))

    assert job.check()[0] == 0
    assert (job.kept / "checkpoint").read_bytes() == kept
    shop.push(shop.first)
    assert job.check()[0] == 1


def test_a_checkpoint_that_nobody_signed_is_not_kept(shop: Shop, job: Job, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(shop.state, state)
    path = state / "ledger" / "checkpoint"
    text = parse_note(path.read_bytes()).text
    path.write_bytes(format_note(text, [Signature("mallory", b"1234", b"x" * 64)]))
    shop.push(shop.commit(state))

    assert job.check()[0] == 0
    assert b"mallory" not in (job.kept / "checkpoint").read_bytes()
    assert job.check()[0] == 0


# Runs that cannot judge


@pytest.mark.parametrize("args", [(), ("0" * 32,), ("../x", "k", "d"), ("0" * 31 + "g", "k", "d"), ("", "k", "d")])
def test_a_call_that_is_none_is_no_pass(args: tuple[str, ...], job: Job) -> None:
    status, said = job.check(*(args or ("only-one",)))

    assert (status, said.startswith("check-ledger: ")) == (2, True)


def test_what_cannot_be_reached_or_read_is_no_pass(shop: Shop, job: Job, tmp_path: Path) -> None:
    kept = (job.kept / "checkpoint").read_bytes()
    nowhere = {"ENFORCER_REMOTE": str(tmp_path / "nowhere.git")}
    (tmp_path / "bad.key").write_text("enforcer/x+00000000+AAAA\n")

    assert job.check(**nowhere)[0] == 2
    assert job.check("0" * 32, str(shop.key), str(job.kept))[0] == 2
    assert job.check(shop.ledger, str(tmp_path / "none.key"), str(job.kept))[0] == 2
    assert job.check(shop.ledger, str(tmp_path / "bad.key"), str(job.kept))[0] == 2
    assert job.check(PATH="/usr/bin:/bin")[0] == 2
    assert (job.kept / "checkpoint").read_bytes() == kept


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"\xff" * 2_000_000])
def test_a_kept_file_that_is_no_checkpoint_is_no_pass_and_stays(content: bytes, job: Job) -> None:
    job.remember(content)

    assert job.check()[0] == 2
    assert (job.kept / "checkpoint").read_bytes() == content


def test_what_cannot_be_kept_is_no_pass(shop: Shop, job: Job, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    status, said = job.check(shop.ledger, str(shop.key), str(tmp_path / "file" / "kept"))

    assert (status, "cannot be kept" in said) == (2, True)


def test_what_a_commit_brings_along_was_not_kept(shop: Shop, job: Job) -> None:
    (job.clone / "cache").mkdir()
    (job.clone / "cache" / "checkpoint").write_bytes(shop.kept)
    git(job.clone, "add", "--force", "cache")

    status, said = job.check(shop.ledger, str(shop.key), "cache")

    assert (status, "is part of what is checked here" in said) == (2, True)


@pytest.mark.parametrize("given", ["cache", "cache/", "./cache//", "deep/kept", "deep/kept/", "../clone/cache", "full"])
def test_a_link_in_a_commit_does_not_say_where_the_checkpoint_lies(shop: Shop, job: Job, given: str) -> None:
    """A link to a folder that the commit brings along as well; the folder that is named stays empty of files."""
    (job.clone / ".k" / "kept").mkdir(parents=True)
    for path in (job.clone / ".k" / "checkpoint", job.clone / ".k" / "kept" / "checkpoint"):
        path.write_bytes(shop.kept)
    (job.clone / "cache").symlink_to(".k")
    (job.clone / "deep").symlink_to(".k")
    git(job.clone, "add", "--force", "cache", "deep", ".k")
    given = str(job.clone / "cache") if given == "full" else given

    status, said = job.check(shop.ledger, str(shop.key), given)

    assert (status, said.count("\n"), "is a symbolic link" in said) == (2, 1, True), said


def test_a_name_that_is_a_link_in_a_commit_is_refused_when_a_folder_stands_in_its_stead(shop: Shop, job: Job) -> None:
    (job.clone / "deep").symlink_to(".k")
    git(job.clone, "add", "--force", "deep")
    (job.clone / "deep").unlink()
    (job.clone / "deep" / "kept").mkdir(parents=True)

    status, said = job.check(shop.ledger, str(shop.key), "deep/kept/")

    assert (status, "deep is part of what is checked here" in said) == (2, True), said


def test_an_index_that_cannot_be_read_is_no_pass(shop: Shop, job: Job) -> None:
    (job.clone / ".git" / "index").write_bytes(b"garbage")

    status, said = job.check(shop.ledger, str(shop.key), "cache")

    assert (status, "check-ledger: git does not say" in said) == (2, True), said


def test_another_ledger_is_refused_although_its_key_is_in_the_file(shop: Shop, job: Job, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(shop.state, state)
    replaced(shop, state)
    shop.push(shop.commit(state))
    keys = tmp_path / "two.keys"
    other = json.loads((state / "ledger" / "ledger.json").read_bytes())
    keys.write_text(f"{shop.vkey}\n{other['key']}\n", encoding="utf-8")
    shutil.rmtree(job.kept)

    status, said = job.check(shop.ledger, str(keys), str(job.kept))
    assert (status, "ledger_replaced" in said) == (1, True), said
    keys.write_text(f"{other['key']}\n", encoding="utf-8")
    status, said = job.check(shop.ledger, str(keys), str(job.kept))
    assert (status, f"has no key of the ledger {shop.ledger}" in said) == (2, True), said
    assert not job.kept.exists()


def test_what_is_said_names_the_file_that_was_kept(job: Job) -> None:
    job.remember(b"garbage\n")

    status, said = job.check()

    assert (status, f"{job.kept}/checkpoint vouches for nothing" in said) == (2, True), said


def test_another_pinned_key_is_refused(shop: Shop, job: Job, tmp_path: Path) -> None:
    key = tmp_path / "other.key"
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    key.write_text(format_vkey(shop.origin, public) + "\n", encoding="utf-8")

    status, said = job.check(shop.ledger, str(key), str(job.kept))

    assert (status, "key_mismatch" in said) == (1, True)
