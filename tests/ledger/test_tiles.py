"""Names and contents of tiles, against the specification's words and examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.ledger.merkle import leaf_hash, root_of
from enforcer.ledger.tiles import (
    ENTRIES,
    TILE_SIZE,
    Edge,
    TileFault,
    decode_bundle,
    decode_tile,
    encode_bundle,
    encode_tile,
    tile_path,
)

hashes = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize(
    "level, index, width, path",
    [
        (0, 0, 256, "tile/0/000"),
        (0, 999, 256, "tile/0/999"),
        (0, 1000, 256, "tile/0/x001/000"),
        (0, 1_234_067, 256, "tile/0/x001/x234/067"),
        (0, 273, 112, "tile/0/273.p/112"),
        (1, 1067, 1, "tile/1/x001/067.p/1"),
        (63, 0, 255, "tile/63/000.p/255"),
        (ENTRIES, 0, 5, "tile/entries/000.p/5"),
        (ENTRIES, 1_234_067, 256, "tile/entries/x001/x234/067"),
    ],
)
def test_a_tile_has_its_name(level, index, width, path):
    assert tile_path(level, index, width) == path


@pytest.mark.parametrize(
    "level, index, width", [(-1, 0, 256), (64, 0, 256), ("data", 0, 256), (0, -1, 256), (0, 0, 0), (0, 0, 257)]
)
def test_what_is_no_tile_has_no_name(level, index, width):
    with pytest.raises(ValueError, match="there is no tile"):
        tile_path(level, index, width)


@given(st.lists(hashes, min_size=1, max_size=256))
def test_every_tile_is_read_back(row):
    data = encode_tile(row)
    assert len(data) == 32 * len(row)
    assert decode_tile(data) == row


@pytest.mark.parametrize("size", [0, 1, 31, 33, TILE_SIZE - 1, TILE_SIZE + 1, TILE_SIZE + 32])
def test_what_is_no_tile_is_refused(size):
    with pytest.raises(TileFault):
        decode_tile(bytes(size))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_every_bundle_is_read_back(leaves):
    data = encode_bundle(leaves)
    assert data == b"".join(bytes(divmod(len(leaf), 256)) + leaf for leaf in leaves)
    assert decode_bundle(data) == leaves


def test_a_bundle_takes_the_longest_leaf_and_no_longer_one():
    assert decode_bundle(encode_bundle([b"", b"x" * 65_535])) == [b"", b"x" * 65_535]
    with pytest.raises(TileFault, match="65536 bytes"):
        encode_bundle([b"x" * 65_536])


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=9), st.data())
def test_a_bundle_that_is_cut_within_an_entry_is_refused(leaves, data):
    whole = encode_bundle(leaves)
    ends = [len(encode_bundle(leaves[:count])) for count in range(len(leaves) + 1)]
    cut = data.draw(st.sampled_from([at for at in range(len(whole)) if at not in ends]))
    with pytest.raises(TileFault, match="ends within an entry"):
        decode_bundle(whole[:cut])


@pytest.mark.parametrize("count", [0, 257])
def test_a_bundle_has_as_many_entries_as_a_tile(count):
    with pytest.raises(TileFault, match=f"{count} entries"):
        decode_bundle(bytes(2 * count))


# --- The edge --------------------------------------------------------------------------------------------------------


def leaf_row(index: int) -> list[bytes]:
    return [leaf_hash(b"%d/%d" % (index, place)) for place in range(256)]


ROWS = [leaf_row(index) for index in range(258)]
ROOTS = [root_of(row) for row in ROWS]


def test_full_tiles_come_out_from_the_leaves_upwards():
    edge = Edge()
    for index, row in enumerate(ROWS[:255]):
        assert edge.add(row) == [(0, index, row)]
    assert edge.add(ROWS[255]) == [(0, 255, ROWS[255]), (1, 0, ROOTS[:256])]
    assert (edge.count, edge.rows) == (256, [[], [root_of(ROOTS[:256])]])
    assert edge.add(ROWS[256]) == [(0, 256, ROWS[256])]
    assert edge.rows == [[ROOTS[256]], [root_of(ROOTS[:256])]]


def test_a_full_tile_above_stands_for_those_below_it():
    edge = Edge()
    assert edge.add(ROOTS[:256], 1) == [(1, 0, ROOTS[:256])]
    assert (edge.count, edge.rows) == (256, [[], [root_of(ROOTS[:256])]])
    assert edge.add(ROWS[256]) == [(0, 256, ROWS[256])]
    with pytest.raises(ValueError, match="no full tile of level 1"):
        edge.add(ROOTS[:256], 1)
    with pytest.raises(ValueError, match="no full tile of level 0"):
        edge.add(ROWS[257][:255])


def test_tiles_of_every_level_complete_the_one_above():
    edge = Edge()
    for index in range(255):
        assert edge.add(ROWS[index], 2) == [(2, index, ROWS[index])]
    assert [(level, index) for level, index, _ in edge.add(ROWS[255], 2)] == [(2, 255), (3, 0)]
    assert (edge.count, edge.rows) == (1 << 24, [[], [], [], [root_of(ROOTS[:256])]])


@given(st.integers(0, 2**40), st.data())
def test_every_edge_is_read_back_and_no_other_length_is(count, data):
    widths, rest = [], count
    while rest:
        widths.append(rest % 256)
        rest //= 256
    edge = Edge(count, [[bytes([place]) * 32 for place in range(width)] for width in widths])
    kept = edge.encode()
    read = Edge.decode(kept)
    assert (read.count, read.rows) == (edge.count, edge.rows)
    cut = data.draw(st.integers(0, len(kept) - 1))
    for other in (kept[:cut], kept + b"\0", kept + bytes(32)):
        with pytest.raises(TileFault):
            Edge.decode(other)
