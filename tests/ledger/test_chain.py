"""The raw pass: runs of lines that are read apart and joined are as one run, in what they find and in their tree."""

from __future__ import annotations

import random

import pytest

from enforcer.ledger.chain import Chain, Run
from enforcer.ledger.lines import TOO_LONG, Lines
from enforcer.ledger.merkle import Frontier, leaf_hash, root_of
from enforcer.ledger.report import INTEGRITY, TAMPERED, VERIFIED, Findings
from enforcer.ledger.tilecheck import TileCheck
from enforcer.ledger.tiles import TILE_SIZE, tile_path
from enforcer.ports import SystemDisk

GENESIS = "0" * 64


def write(count: int, genesis: str = GENESIS) -> list[bytes]:
    """Lines of a ledger, as far as the raw pass looks at them."""
    lines, prev = [], genesis
    for seq in range(count):
        tail = f'"prev":"{prev}","seq":{seq},"task_prev":null,"task_seq":null,"ts":{1000 + seq},"v":1}}'
        lines.append(b'{"event":{"data":{"n":%d}},' % seq + tail.encode())
        prev = leaf_hash(lines[-1]).hex()
    return lines


def found_in(found: Findings) -> list[tuple[int | None, str]]:
    return [(finding.seq, finding.code) for finding in found.report().findings]


def read(lines: list[bytes], *cuts: int, wanted: tuple[int, ...] = (), apart: bool = False) -> tuple[Chain, Findings]:
    """Runs that end at `cuts`, each in pieces; `apart`: each grows a tree of its own."""
    found = Findings()
    chain = Chain(GENESIS, found)
    for first, end in zip((0, *cuts), (*cuts, len(lines)), strict=True):
        tree, offset = (Frontier(), first) if apart else (chain.tree.copy(), 0)
        run = Run(first, found, tree=tree, offset=offset, wanted=wanted)
        for start in range(first, end, 3):
            part = lines[start : min(start + 3, end)]
            run.take(part, [leaf_hash(line) for line in part])
        chain.join(Run.unpack(run.pack()) if apart else run)
    return chain, found


def test_an_honest_chain_is_found_to_be_one():
    lines = write(40)
    chain, found = read(lines)
    assert found_in(found) == []
    assert (chain.entries, chain.next, chain.ts) == (40, 40, 1039)
    assert chain.head == leaf_hash(lines[-1])
    assert chain.tree.root() == root_of([leaf_hash(line) for line in lines])


@pytest.mark.parametrize("apart", [False, True])
def test_roots_are_kept_at_the_sizes_that_are_wanted(apart):
    lines = write(40)
    hashes = [leaf_hash(line) for line in lines]
    sizes = (1, 2, 3, 8, 15, 16, 17, 31, 32, 40, 41)
    chain, _ = read(lines, 16, 32, wanted=sizes, apart=apart)
    assert chain.roots == {size: root_of(hashes[:size]) for size in (0, *sizes[:-1])}


def test_runs_that_are_read_apart_find_what_one_finds():
    """Random damage, several at a time."""
    chance = random.Random(3)
    for _ in range(150):
        lines = write(48)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(lines))
            line = bytearray(lines[at])
            line[chance.randrange(len(line))] ^= 1 << chance.randrange(8)
            lines[at] = bytes(line).replace(b"\n", b"?")
            other = chance.randrange(len(lines))
            if chance.random() < 0.3:
                lines[at], lines[other] = lines[other], lines[at]
        together, apart = read(lines, 16, 32), read(lines, 16, 32, apart=True)
        assert found_in(together[1]) == found_in(apart[1])
        assert together[0].tree.root() == apart[0].tree.root()
        assert together[0].next == apart[0].next


@pytest.mark.parametrize("seq", [0, 5, 15, 16, 17, 38])
def test_a_changed_line_is_named_by_the_link_to_it(seq):
    lines = write(40)
    lines[seq] = lines[seq].replace(b'"n":', b'"m":')
    assert found_in(read(lines, 16)[1]) == [(seq, "chain_broken")]


def test_another_genesis_is_named():
    assert found_in(read(write(5, "1" * 64))[1]) == [(0, "genesis_broken")]


def test_a_line_that_says_nothing_of_its_place_is_passed_over_and_counted():
    lines = write(10)
    lines[4] = TOO_LONG
    lines[7] = b"rubbish"
    chain, found = read(lines)
    assert found_in(found) == [(4, "chain_broken"), (7, "chain_broken")]
    assert chain.entries == 10


def test_after_a_departure_it_goes_on_from_what_the_line_says():
    lines = write(10)
    chain, found = read([*lines[:4], *lines[6:]])
    assert found_in(found) == [(3, "chain_broken"), (4, "out_of_order")]
    assert chain.next == 10


def test_time_may_stand_still_and_not_go_back():
    lines = write(10)
    still = [line.replace(b'"ts":1005', b'"ts":1004') for line in lines]
    assert (5, "time_reversed") not in found_in(read(still)[1])
    back = [line.replace(b'"ts":1005', b'"ts":1003') for line in lines]
    assert (5, "time_reversed") in found_in(read(back, 5)[1])
    assert (5, "time_reversed") in found_in(read(back, 4)[1])


def test_a_tail_inside_a_text_is_no_place():
    """A line cannot quote its way into the chain."""
    lines = write(3)
    tail = lines[2][lines[2].index(b',"prev"') :]
    quoting = b'{"event":{"data":{"n":"' + tail.replace(b'"', b'\\"') + b'"}}'
    assert found_in(read([*lines[:2], quoting + tail.replace(b'"seq":2', b'"seq":9')])[1]) == [(2, "out_of_order")]


# Lines


def test_lines_come_with_their_hashes_whatever_their_length(tmp_path):
    path = tmp_path / "lines"
    for data in (
        b"",
        b"a\n",
        b"\n\n",
        b"a",
        b"x" * 65535 + b"\n",
        b"x" * 65536 + b"\nb\n",
        b"y" * (3 << 20) + b"\nend",
    ):
        path.write_bytes(data)
        with path.open("rb") as file:
            lines = Lines(file.fileno(), len(data), SystemDisk())
            read = [(line, digest) for leaves, hashes in lines for line, digest in zip(leaves, hashes, strict=True)]
        *whole, rest = data.split(b"\n")
        assert [digest for _, digest in read] == [leaf_hash(line) for line in whole]
        assert [line for line, _ in read] == [line if len(line) <= 65535 else TOO_LONG for line in whole]
        assert lines.torn == len(rest)


# Tiles


@pytest.fixture(scope="module")
def many() -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(700)]


def put_tiles(folder, hashes: list[bytes]) -> None:
    for index in range(len(hashes) // 256):
        path = folder / tile_path(0, index)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(hashes[index * 256 : (index + 1) * 256]))


def check_tiles(folder, hashes: list[bytes]) -> Findings:
    found = Findings()
    tiles = TileCheck(str(folder), first=0, levels=range(3), disk=SystemDisk(), found=found)
    for start in range(0, len(hashes), 100):
        tiles.take(hashes[start : start + 100])
    return found


def test_tiles_that_are_right_or_not_there_are_no_finding(tmp_path, many):
    assert check_tiles(tmp_path, many).count == 0
    put_tiles(tmp_path, many)
    assert check_tiles(tmp_path, many).count == 0


def test_a_wrong_tile_is_damage_and_its_entry_is_named(tmp_path, many):
    put_tiles(tmp_path, many)
    path = tmp_path / tile_path(0, 1)
    data = bytearray(path.read_bytes())
    data[32 * 7 + 3] ^= 1
    path.write_bytes(data)
    found = check_tiles(tmp_path, many)
    assert found_in(found) == [(256 + 7, "tile_damaged")]
    assert found.word(INTEGRITY) == TAMPERED


@pytest.mark.parametrize("data", [b"", b"x", b"x" * (TILE_SIZE - 1), b"x" * (TILE_SIZE + 1)])
def test_a_tile_that_a_crash_left_accuses_nobody(tmp_path, many, data):
    put_tiles(tmp_path, many)
    (tmp_path / tile_path(0, 1)).write_bytes(data)
    found = check_tiles(tmp_path, many)
    assert found_in(found) == [(256, "tile_unusable")]
    assert found.word(INTEGRITY) == VERIFIED


def test_a_tile_of_roots_is_held_against_the_roots(tmp_path):
    hashes = [leaf_hash(b"%d" % number) for number in range(256 * 256)]
    path = tmp_path / tile_path(1, 0)
    path.parent.mkdir(parents=True)
    roots = [root_of(hashes[start : start + 256]) for start in range(0, len(hashes), 256)]
    path.write_bytes(b"".join(roots))
    assert check_tiles(tmp_path, hashes).count == 0
    path.write_bytes(b"".join([*roots[:3], roots[0], *roots[4:]]))
    assert found_in(check_tiles(tmp_path, hashes)) == [(3 * 256, "tile_damaged")]
