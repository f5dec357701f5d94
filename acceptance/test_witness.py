"""A witness by the real commands: another user, who finds a log where it was made public and cosigns its heads."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from acceptance.world import World

LEDGER = "state/ledger"


class Other(World):
    """Another user on the same machine, with a folder of its own and no project: only `enforcer witness` is called."""

    def __init__(self, base: Path, world: World) -> None:
        self.root, self.home = world.root, base / "other"
        self.home.mkdir(parents=True, exist_ok=True)

    def _arguments(self, args: tuple[str, ...], actor: str | None, text: bool) -> list[str]:
        return ["witness", *args, *([] if text else ["--json"])]


@pytest.fixture
def other(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> Other:
    """A witness that has been made, beside a ledger with a task."""
    monkeypatch.chdir(world.root)
    world.given_task("T", "PLAN")
    made = Other(tmp_path, world)
    assert made.ask("init", "--name", "host.example/w").status == 0
    return made


def vkey(world: World) -> str:
    key: str = world.ask("key", "show", actor=None).json["keys"][-1]["vkey"]
    return key


def sealed(world: World) -> dict[str, Any]:
    answer: dict[str, Any] = world.ask("checkpoint", actor=None).json
    return answer


def test_a_log_that_was_cosigned_is_cosigned_for_whoever_knows_the_witness(other: Other, world: World) -> None:
    head = sealed(world)
    note = world.root / "cosigned"
    done = other.ask("cosign", LEDGER, "--key", vkey(world), "--out", str(note)).json
    assert (done["size"], done["root"], done["file"]) == (head["size"], head["root"], str(note))
    assert note.read_text() == done["checkpoint"]

    taken = world.ask("checkpoint", "--cosigned", str(note), "--key", done["vkey"], actor=None).json
    assert [(one["name"], one["verified"]) for one in taken["cosignatures"]] == [("host.example/w", True)]
    assert taken["checkpoint"] == done["checkpoint"]
    report = world.ask("verify", "--key", done["vkey"], actor=None).json
    assert report["cosigned"] == [{"witness": "host.example/w", "size": head["size"]}]
    assert report["verdict"] == "verified"


def test_a_witness_whose_key_is_not_given_says_unverified(other: Other, world: World) -> None:
    sealed(world)
    other.ask("cosign", LEDGER, "--key", vkey(world), "--out", "cosigned")

    taken = world.ask("checkpoint", "--cosigned", "cosigned", actor=None)
    assert [one["verified"] for one in taken.json["cosignatures"]] == [False]
    assert "unverified" in world.ask("checkpoint", "--cosigned", "cosigned", actor=None, text=True).out


def test_a_cosignature_stays_while_the_log_goes_on(other: Other, world: World) -> None:
    """It may come late, and neither the next checkpoint nor asking for this one again drops it."""
    size = sealed(world)["size"]
    witness = other.ask("cosign", LEDGER, "--key", vkey(world), "--out", "cosigned").json["vkey"]
    world.ask("open", "U")
    sealed(world)
    assert world.ask("checkpoint", "--cosigned", "cosigned", actor=None).status == 0
    sealed(world)
    world.ask("open", "V")
    newest = sealed(world)["size"]

    assert world.ask("verify", "--key", witness, actor=None).json["cosigned"][0]["size"] == size
    other.ask("cosign", LEDGER, "--out", "cosigned")
    world.ask("checkpoint", "--cosigned", "cosigned", actor=None)
    assert "host.example/w" in sealed(world)["checkpoint"]
    world.ask("open", "W")
    sealed(world)
    assert world.ask("verify", "--key", witness, actor=None).json["cosigned"][0]["size"] == newest


def test_a_site_and_a_published_ledger_are_cosigned_as_the_folder_is(
    tmp_path: Path, repository: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository.root)
    repository.ask("open", "T")
    head, other = sealed(repository), Other(tmp_path, repository)
    other.ask("init")
    ref = repository.ask("publish", actor=None).json["ref"]
    repository.ask("export", "--tiles", "../site", actor=None)
    key = vkey(repository)

    remote = f"git:{repository.root}"
    assert other.ask("cosign", remote).codes == ["source_ambiguous"]
    for place in (remote, f"git:{ref}", "../site", LEDGER):
        done = other.ask("cosign", place, "--key", key).json
        assert (done["size"], done["root"]) == (head["size"], head["root"]), place
    monkeypatch.chdir(tmp_path)
    assert other.ask("cosign", remote).json["size"] == head["size"]


def test_a_rewritten_an_older_and_a_foreign_log_are_not_cosigned(tmp_path: Path, other: Other, world: World) -> None:
    sealed(world)
    shutil.copytree(world.root / "state", tmp_path / "older")
    world.ask("open", "U")
    sealed(world)
    first = other.ask("cosign", LEDGER, "--key", vkey(world)).json

    assert other.ask("cosign", str(tmp_path / "older" / "ledger")).codes == ["rolled_back"]
    segment = world.segments()[0]
    before = segment.read_bytes()
    segment.write_bytes(before.replace(b"Keep the last field", b"Lose the last field"))
    assert other.ask("cosign", LEDGER).codes == ["checkpoint_contradicted"]
    segment.write_bytes(before)

    foreign = World(tmp_path / "foreign", process=(world.root / "process.toml").read_text()).init()
    sealed(foreign)
    assert other.ask("cosign", str(foreign.root / LEDGER)).codes == ["log_key_needed"]
    assert other.ask("cosign", str(foreign.root / LEDGER), "--key", vkey(world)).codes == ["log_key_needed"]
    assert other.ask("show").json["logs"] == [{name: first[name] for name in ("origin", "size", "root", "time", "key")}]


def test_whoever_holds_the_logs_key_cannot_show_a_second_history(tmp_path: Path, other: Other, world: World) -> None:
    """The log's own signer forgets, and signs a history that begins as the first one did and goes on differently."""
    shutil.copytree(world.root / "state", tmp_path / "before")
    shutil.copytree(world.home / "enforcer", tmp_path / "keys")
    world.ask("open", "U")
    sealed(world)
    other.ask("cosign", LEDGER, "--key", vkey(world))

    for place, copy in ((world.root / "state", "before"), (world.home / "enforcer", "keys")):
        shutil.rmtree(place)
        shutil.copytree(tmp_path / copy, place)
    for name in ("X", "Y"):
        world.ask("open", name)
    forked = sealed(world)
    assert world.verdict() == "verified"

    assert other.ask("cosign", LEDGER).codes == ["history_rewritten"]
    assert other.ask("show").json["logs"][0]["root"] != forked["root"]


def test_a_rotated_key_is_followed_and_another_one_is_not(other: Other, world: World) -> None:
    sealed(world)
    first = vkey(world)
    other.ask("cosign", LEDGER, "--key", first)
    assert world.ask("key", "rotate", "--overlap", "0", actor=None).status == 0
    world.ask("open", "U")
    sealed(world)

    assert other.ask("cosign", LEDGER).json["key"] == first
    assert other.ask("cosign", LEDGER, "--key", vkey(world)).status == 0
    stranger = other.ask("cosign", LEDGER, "--key", first.replace("enforcer/", "enforcer-"))
    assert stranger.codes == ["bad_vkey"]


@pytest.mark.parametrize(
    "words, code",
    [
        (("cosign", "nowhere"), "source_unknown"),
        (("cosign", "state/evidence"), "source_unknown"),
        (("cosign", "git:refs/none"), "no_repository"),
        (("cosign", LEDGER, "--key", "nonsense"), "bad_vkey"),
        (("cosign", LEDGER, "--key", "GIVEN", "--out", "no/such/folder"), "note_unwritable"),
        (("init", "--name", "again"), "key_exists"),
    ],
)
def test_a_mistake_is_an_error_with_a_fix(other: Other, world: World, words: tuple[str, ...], code: str) -> None:
    sealed(world)
    reply = other.ask(*(vkey(world) if word == "GIVEN" else word for word in words))

    assert (reply.status, reply.codes) == (2, [code])
    assert reply.json["error"]["fix"]


def test_there_is_no_witness_until_one_is_made(tmp_path: Path, world: World) -> None:
    stranger = Other(tmp_path / "stranger", world)
    for words in (("show",), ("cosign", LEDGER)):
        assert stranger.ask(*words).codes == ["witness_missing"]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\x00"])
def test_a_note_that_is_none_is_not_taken_over(world: World, content: bytes) -> None:
    (world.root / "note").write_bytes(content)
    reply = world.ask("checkpoint", "--cosigned", str(world.root / "note"), actor=None)
    assert (reply.status, reply.codes) == (2, ["cosigned_malformed"])


def test_a_note_of_another_history_is_kept_as_evidence_and_not_taken_over(
    tmp_path: Path, other: Other, world: World
) -> None:
    foreign = World(tmp_path / "foreign", process=(world.root / "process.toml").read_text()).init()
    note = tmp_path / "note"
    note.write_text(sealed(foreign)["checkpoint"])
    assert world.ask("checkpoint", "--cosigned", str(note), actor=None).codes == ["cosigned_foreign"]

    head = sealed(world)
    note.write_text(head["checkpoint"].replace(f"\n{head['size']}\n", f"\n{head['size'] + 9}\n"))
    assert world.ask("checkpoint", "--cosigned", str(note), actor=None).codes == ["cosigned_contradicted"]
    note.write_text(head["checkpoint"].replace(f"\n{head['size']}\n", f"\n{head['size'] - 1}\n"))
    assert world.ask("checkpoint", "--cosigned", str(note), actor=None).codes == ["cosigned_contradicted"]


# The page of a task


class Text(HTMLParser):
    def __init__(self, data: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.names: set[str] = set()
        self.feed(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def test_the_page_of_a_task_says_what_the_ledger_says_and_is_the_same_again(world: World) -> None:
    world.given_task("T", "PLAN")
    world.ask("open", "X", "--title", "<script>alert('\u202e')</script>")
    assert world.ask("advance", "T", "--to", "REVIEW").status == 1
    world.ask("backtrack", "T", "--to", "STRATEGIZE", "--reason", "<b>Once more</b>")

    written = world.ask("export", "T", "--format", "html", "--out", str(world.root / "out"), actor=None).json
    [path] = map(Path, written["files"])
    assert (path.name, written["format"]) == ("T.html", "html")
    data = path.read_bytes()
    world.ask("export", "T", "--format", "html", "--out", str(world.root / "out"), actor=None)
    assert path.read_bytes() == data

    page, head = Text(data.decode()), sealed(world)
    text = "".join(page.parts)
    for entry in world.ask("log", "T", actor=None).json["entries"]:
        assert entry["hash"] in text
    for word in ("phase_skip", "Went back", "<b>Once more</b>", "claimed by the worker", vkey(world), head["root"]):
        assert word in text
    assert "its signature held for the key named below" in text
    hostile = world.ask("export", "X", "--format", "html", "--out", "-", actor=None, text=True)
    assert "script" not in Text(hostile.out).names
    assert "<script>alert('\\u202e')</script>" in "".join(Text(hostile.out).parts)


def test_a_page_is_not_made_of_lines_that_are_not_those_that_were_signed(world: World) -> None:
    world.given_task("T", "PLAN")
    sealed(world)
    segment = world.segments()[0]
    segment.write_bytes(segment.read_bytes().replace(b"Keep the last field", b"Lose the last field"))

    reply = world.ask("export", "T", "--format", "html", "--out", str(world.root / "out"), actor=None)
    assert reply.status == 2
    assert not (world.root / "out").exists()


def test_the_page_of_a_ledger_without_a_key_claims_nothing(world: World) -> None:
    world.given_task("T", "PLAN")
    shutil.rmtree(world.home / "enforcer")
    for path in ("checkpoint", "checkpoints"):
        place = world.root / "state" / "ledger" / path
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    reply = world.ask("export", "T", "--format", "html", "--out", str(world.root / "out"), actor=None)
    assert reply.status == 0, reply
    assert b"nobody has signed for them" in (world.root / "out" / "T.html").read_bytes()
