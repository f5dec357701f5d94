"""The tree on disk: right for every size, cheap to grow, and worth nothing that the lines could not restore."""

from __future__ import annotations

import errno
import os
import shutil
from itertools import islice
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enforcer.errors import DamagedError
from enforcer.ledger.checkpoint import Checkpoint, format_checkpoint
from enforcer.ledger.merkle import (
    Frontier,
    ProofFault,
    check_consistency,
    check_inclusion,
    frontier_at,
    leaf_hash,
    prove_consistency,
    prove_inclusion,
    root_of,
)
from enforcer.ledger.note import Signature, format_note, key_id
from enforcer.ledger.tiles import ENTRIES, decode_bundle, decode_tile, encode_tile, tile_path
from enforcer.ledger.tree import TileTree
from enforcer.ports import SystemDisk
from tests.faults import CountingEntropy, FaultyDisk

LARGE = 1_000_000
# Around the edges of tiles of levels 0 and 1, and beyond them.
SIZES = (0, 1, 2, 255, 256, 257, 511, 512, 1000, 65_535, 65_536, 65_537, 66_304, 70_000)
HASHES = [leaf_hash(b"%d" % number) for number in range(70_000)]
ROOTS = {size: root_of(HASHES[:size]) for size in SIZES}
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))


class Lines:
    """A ledger of `size` leaves that counts how many were read."""

    def __init__(self, size: int = LARGE) -> None:
        self.size, self.read = size, 0

    def __call__(self, start: int):
        for number in range(start, self.size):
            self.read += 1
            yield b"%d" % number


class Bench:
    """A tree, as a new process finds it."""

    def __init__(self, folder: Path, lines: Lines | None = None, *, seed: int = 0, writes: bool = True) -> None:
        self.folder, self.disk, self.lines = folder, FaultyDisk(), lines or Lines()
        entropy = CountingEntropy(seed)
        self.tree = TileTree(str(folder), disk=self.disk, entropy=entropy, leaves=self.lines, writes=writes)

    def root(self, size: int) -> bytes:
        return frontier_at(size, self.tree.node(size)).root()

    def tile(self, level: int, index: int) -> Path:
        return self.folder / tile_path(level, index)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A tree of 70,000 leaves, to be copied and not to be touched."""
    folder = tmp_path_factory.mktemp("grown")
    Bench(folder).tree.grow(70_000)
    return folder


@pytest.fixture
def bench(grown, tmp_path):
    folder = tmp_path / "ledger"
    shutil.copytree(grown, folder, copy_function=os.link)
    return Bench(folder, seed=1)


def rewrite(path: Path, data: bytes) -> None:
    """New bytes in a new file: the old one is shared with other tests."""
    path.unlink()
    path.write_bytes(data)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- What it holds ---------------------------------------------------------------------------------------------------


def test_only_full_tiles_are_kept_and_the_edge(grown):
    kept = files(grown)
    expected = {tile_path(0, index) for index in range(273)} | {tile_path(1, 0), "tile/edge"}
    assert set(kept) == expected
    for index in range(273):
        assert decode_tile(kept[tile_path(0, index)]) == HASHES[256 * index : 256 * (index + 1)]
    roots = [root_of(HASHES[begin : begin + 256]) for begin in range(0, 65_536, 256)]
    assert kept[tile_path(1, 0)] == encode_tile(roots)


@pytest.mark.parametrize("size", SIZES)
def test_every_size_has_its_root_from_a_tree_that_is_empty_exact_or_ahead(size, grown, tmp_path):
    assert Bench(grown).root(size) == ROOTS[size]
    fresh = Bench(tmp_path / "fresh")
    assert fresh.root(size) == ROOTS[size]
    assert Bench(tmp_path / "fresh").root(size) == ROOTS[size]


def test_growing_in_steps_and_at_once_leads_to_the_same_files(grown, tmp_path):
    step = Bench(tmp_path)
    for size in SIZES:
        step.tree.grow(size)
        step = Bench(tmp_path, seed=size)
    assert files(tmp_path) == files(grown)


@pytest.mark.parametrize("size", [size for size in SIZES if size])
def test_proofs_out_of_tiles_hold(size, grown):
    node = Bench(grown).tree.node(size)
    places = {place for edge in SIZES for place in (edge - 1, edge) if 0 <= place < size}
    for index in places:
        check_inclusion(index, size, HASHES[index], prove_inclusion(index, size, node), ROOTS[size])
    for old in SIZES:
        if 0 < old <= size:
            check_consistency(old, size, ROOTS[old], ROOTS[size], prove_consistency(old, size, node))


def test_a_subtree_that_is_not_complete_is_not_made_up(bench):
    node = bench.tree.node(1000)
    assert node(3, 124) == root_of(HASHES[992:1000])
    with pytest.raises(ValueError, match="no complete subtree"):
        node(3, 125)
    with pytest.raises(ValueError, match="no complete subtree"):
        node(10, 0)


# --- What it costs ---------------------------------------------------------------------------------------------------


def test_growing_reads_the_new_leaves_alone(bench):
    bench.tree.grow(70_000)
    assert bench.lines.read == 0
    bench.tree.grow(70_144)
    assert bench.lines.read == 256
    assert bench.disk.counts["rename"] == 2
    again = Bench(bench.folder, seed=2)
    again.tree.grow(70_144)
    assert (again.lines.read, again.disk.counts.get("rename", 0)) == (0, 0)


OLD = (1, 255, 256, 65_537, 500_000, 983_040, 999_743, 999_999, LARGE)


@pytest.fixture(scope="module")
def huge(tmp_path_factory):
    """The tree of a million leaves on disk, and the roots at the sizes in `OLD`, made without it."""
    folder = tmp_path_factory.mktemp("huge")
    Bench(folder).tree.grow(LARGE)
    leaves, tree, roots = map(leaf_hash, Lines()(0)), Frontier(), {}
    for size in OLD:
        tree.extend(islice(leaves, size - tree.size))
        roots[size] = tree.root()
    return folder, roots


def assert_cheap(bench: Bench) -> None:
    # The edge, the last tile of each of the two levels, and at most two tiles a level on the way up.
    assert bench.disk.counts["open"] <= 3 + 2 * 2
    assert bench.lines.read < 256


@pytest.mark.parametrize("index", [0, 255, 256, 65_535, 500_000, 983_039, 983_040, 999_935, 999_936, 999_999])
def test_a_proof_among_a_million_leaves_reads_a_few_tiles_and_fewer_lines_than_one_holds(huge, index):
    folder, roots = huge
    proving = Bench(folder)
    proof = prove_inclusion(index, LARGE, proving.tree.node(LARGE))
    assert_cheap(proving)
    check_inclusion(index, LARGE, leaf_hash(b"%d" % index), proof, roots[LARGE])


@pytest.mark.parametrize("old", OLD)
def test_a_consistency_proof_to_a_million_leaves_costs_no_more(huge, old):
    folder, roots = huge
    proving = Bench(folder)
    proof = prove_consistency(old, LARGE, proving.tree.node(LARGE))
    assert_cheap(proving)
    check_consistency(old, LARGE, roots[old], roots[LARGE], proof)


# --- What can happen to it -------------------------------------------------------------------------------------------


def damage_gone(path: Path) -> None:
    path.unlink()


def damage_cut(path: Path) -> None:
    rewrite(path, path.read_bytes()[:-1])


def damage_emptied(path: Path) -> None:
    rewrite(path, b"")


def damage_lengthened(path: Path) -> None:
    rewrite(path, path.read_bytes() + bytes(32))


def damage_made_a_link(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def damage_made_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES = (damage_gone, damage_cut, damage_emptied, damage_lengthened, damage_made_a_link, damage_made_a_pipe)


@pytest.mark.parametrize("name", ["tile/0/000", "tile/0/100", "tile/0/272", "tile/1/000", "tile/edge"])
def test_what_is_missing_or_torn_is_made_again_from_the_lines(bench, name):
    before = files(bench.folder)
    for seed, damage in enumerate(DAMAGES):
        damage(bench.folder / name)
        damaged = Bench(bench.folder, seed=100 + seed)
        for size in (70_000, 65_536):
            node = damaged.tree.node(size)
            for index in (0, 25_699, size - 1):
                check_inclusion(index, size, HASHES[index], prove_inclusion(index, size, node), ROOTS[size])
        assert not any(path.is_symlink() for path in (bench.folder / "tile").rglob("*"))
        assert {name: data for name, data in files(bench.folder).items() if "elsewhere" not in name} == before


def test_all_tiles_of_a_level_can_be_missing(bench):
    before = files(bench.folder)
    shutil.rmtree(bench.folder / "tile/0")
    assert Bench(bench.folder, seed=4).root(70_000) == ROOTS[70_000]
    again = Bench(bench.folder, seed=5)
    check_inclusion(5, 70_000, HASHES[5], prove_inclusion(5, 70_000, again.tree.node(70_000)), ROOTS[70_000])
    Bench(bench.folder, seed=6).tree.drop()
    Bench(bench.folder, seed=7).tree.grow(70_000)
    shutil.rmtree(bench.folder / "tile/1")
    Bench(bench.folder, seed=8).tree.grow(70_000)
    assert files(bench.folder) == before


def test_tiles_of_lines_that_are_gone_are_not_taken_for_those_of_new_ones(bench):
    """A ledger that was put back to 800 lines and went on differently."""
    (bench.folder / "tile/edge").unlink()
    restored = Bench(bench.folder, Lines(800), seed=11)
    assert restored.root(800) == root_of(HASHES[:800])

    def other(start: int):
        return (b"%d" % number if number < 800 else b"other %d" % number for number in range(start, 2000))

    tree = TileTree(str(bench.folder), disk=SystemDisk(), entropy=CountingEntropy(12), leaves=other)
    assert frontier_at(2000, tree.node(2000)).root() == root_of([leaf_hash(leaf) for leaf in other(0)])


def test_an_edge_that_claims_tiles_that_are_not_there_is_not_believed(bench):
    rewrite(bench.folder / "tile/edge", (2**40).to_bytes(8))
    assert bench.root(70_000) == ROOTS[70_000]


def test_tiles_are_found_again_without_the_edge_and_without_the_lines(bench):
    before = files(bench.folder)
    (bench.folder / "tile/edge").unlink()
    bench.tree.grow(70_144)
    assert bench.lines.read == 256
    after = files(bench.folder)
    assert {name: after[name] for name in before if name != "tile/edge"} == {
        name: data for name, data in before.items() if name != "tile/edge"
    }


def test_a_wrong_hash_is_caught_by_the_root_and_gone_after_a_drop(bench):
    before = files(bench.folder)
    tile = bench.tile(0, 100)
    data = bytearray(tile.read_bytes())
    data[7] ^= 1
    rewrite(tile, bytes(data))
    proof = prove_inclusion(25_700, 70_000, bench.tree.node(70_000))
    with pytest.raises(ProofFault):
        check_inclusion(25_700, 70_000, HASHES[25_700], proof, ROOTS[70_000])
    bench.tree.drop()
    assert files(bench.folder) == {}
    proof = prove_inclusion(25_700, 70_000, bench.tree.node(70_000))
    check_inclusion(25_700, 70_000, HASHES[25_700], proof, ROOTS[70_000])
    assert files(bench.folder) == before


def test_dropping_follows_no_link_and_needs_no_tiles(bench, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_bytes(b"mine")
    (bench.folder / "tile/0/link").symlink_to(kept)
    bench.tree.drop()
    bench.tree.drop()
    assert not (bench.folder / "tile").exists()
    assert (kept / "file").read_bytes() == b"mine"
    (bench.folder / "tile").symlink_to(kept)
    bench.tree.drop()
    assert (kept / "file").read_bytes() == b"mine"


def test_a_reader_that_must_not_write_works_from_the_lines(bench, tmp_path):
    shutil.rmtree(bench.folder / "tile/1")
    damage_cut(bench.tile(0, 3))
    before = files(bench.folder)
    reader = Bench(bench.folder, writes=False)
    check_inclusion(800, 70_000, HASHES[800], prove_inclusion(800, 70_000, reader.tree.node(70_000)), ROOTS[70_000])
    assert reader.root(70_000) == ROOTS[70_000]
    assert files(bench.folder) == before
    nothing = tmp_path / "nothing"
    assert Bench(nothing, writes=False).root(70_000) == ROOTS[70_000]
    assert not nothing.exists()


@pytest.mark.parametrize("call", ["open", "append", "rename"])
def test_growing_that_fails_leaves_no_part_of_a_file_and_goes_on_later(tmp_path, call):
    for nth in range(1, 6):
        folder = tmp_path / str(nth)
        failing = Bench(folder)
        failing.tree.grow(300)
        failing.disk.fail(call, nth=nth, error=errno.ENOSPC, short=5 if call == "append" else None)
        with pytest.raises(OSError, match="No space left"):
            failing.tree.grow(300 + 256 * nth)
        assert all(len(data) == 8192 for name, data in files(folder).items() if name != "tile/edge")
        assert not [name for name in files(folder) if name.endswith(".new")]
        failing.tree.grow(2000)
        assert set(files(folder)) == {tile_path(0, index) for index in range(7)} | {"tile/edge"}
        assert failing.root(2000) == Bench(folder, seed=9).root(2000) == root_of(HASHES[:2000])


def test_a_tile_that_cannot_be_put_back_is_no_reason_not_to_prove(bench):
    bench.tile(0, 100).unlink()
    node = bench.tree.node(70_000)
    bench.disk.fail("append", error=errno.ENOSPC)
    check_inclusion(25_700, 70_000, HASHES[25_700], prove_inclusion(25_700, 70_000, node), ROOTS[70_000])
    assert not bench.tile(0, 100).exists()


def test_a_size_beyond_the_lines_is_refused_and_leaves_the_tree_as_it_was(tmp_path):
    short = Bench(tmp_path, Lines(1000))
    for ask in (lambda: short.tree.grow(1024), lambda: short.root(1001), lambda: short.tree.node(1001)(0, 1000)):
        with pytest.raises(DamagedError) as caught:
            ask()
        assert caught.value.code == "lines_missing"
        assert caught.value.fix
    assert short.root(1000) == ROOTS[1000]


# --- The site --------------------------------------------------------------------------------------------------------


def note_of(size: int, root: bytes) -> bytes:
    text = format_checkpoint(Checkpoint(origin="enforcer/x", size=size, root=root))
    public = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = Signature(name="enforcer/x", key_id=key_id("enforcer/x", public), value=PRIVATE.sign(text))
    return format_note(text, [signature])


def test_the_example_of_the_specification_has_its_tiles(tmp_path):
    """A tree of 70,000: 273 full tiles and one of width 112, one full and one of width 17, and one of width 1."""
    note = note_of(70_000, ROOTS[70_000])
    Bench(tmp_path / "ledger").tree.write_site(str(tmp_path / "site"), 70_000, note)
    site = files(tmp_path / "site")
    hash_tiles = {tile_path(0, index) for index in range(273)} | {"tile/0/273.p/112"}
    hash_tiles |= {"tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"}
    bundles = {tile_path(ENTRIES, index) for index in range(273)} | {"tile/entries/273.p/112"}
    assert set(site) == hash_tiles | bundles | {"checkpoint"}
    assert site["checkpoint"] == note
    assert decode_tile(site["tile/2/000.p/1"]) == [root_of(HASHES[:65_536])]
    assert [len(site[name]) // 32 for name in ("tile/1/001.p/17", "tile/0/273.p/112", "tile/1/000")] == [17, 112, 256]
    for name in bundles:
        tile = decode_tile(site[name.replace(ENTRIES, "0")])
        assert [leaf_hash(leaf) for leaf in decode_bundle(site[name])] == tile
    assert not (tmp_path / "ledger").exists()


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512])
def test_a_site_of_any_size_has_no_empty_tile(size, tmp_path):
    Bench(tmp_path).tree.write_site(str(tmp_path / "site"), size, note_of(size, ROOTS[size]))
    site = files(tmp_path / "site")
    assert site.pop("checkpoint")
    assert all(site.values())
    widths = {level: size // 256**level % 256 for level in range(3)}
    partial = {name for name in site if ".p/" in name and ENTRIES not in name}
    assert partial == {tile_path(level, size // 256 ** (level + 1), width) for level, width in widths.items() if width}


def test_a_site_grows_and_what_was_published_full_stays_as_it_is(tmp_path):
    tree = Bench(tmp_path / "ledger").tree
    site = tmp_path / "site"
    tree.write_site(str(site), 1000, note_of(1000, ROOTS[1000]))
    before = files(site)
    tree.write_site(str(site), 65_537, note_of(65_537, ROOTS[65_537]))
    after = files(site)
    assert {name: after[name] for name in before if name != "checkpoint"} == {
        name: data for name, data in before.items() if name != "checkpoint"
    }
    assert after["checkpoint"] == note_of(65_537, ROOTS[65_537])


@pytest.mark.parametrize(
    "checkpoint, code",
    [
        (note_of(1000, ROOTS[1000]), "checkpoint_contradicted"),
        (note_of(512, ROOTS[1000]), "checkpoint_contradicted"),
        (note_of(1000, ROOTS[512]), "checkpoint_contradicted"),
        (note_of(512, ROOTS[512])[:-1], "checkpoint_damaged"),
        (b"", "checkpoint_damaged"),
    ],
)
def test_no_site_is_written_below_a_checkpoint_that_is_not_of_these_lines(checkpoint, code, tmp_path):
    with pytest.raises(DamagedError) as caught:
        Bench(tmp_path).tree.write_site(str(tmp_path / "site"), 512, checkpoint)
    assert caught.value.code == code
    assert caught.value.fix
    assert not (tmp_path / "site").exists()
