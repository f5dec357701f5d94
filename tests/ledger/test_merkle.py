"""The Merkle tree against the RFCs' own definitions, written out a second time, and against vectors of others."""

from __future__ import annotations

import base64
import json
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofFault,
    check_consistency,
    check_inclusion,
    frontier_at,
    leaf_hash,
    node_hash,
    prove_consistency,
    prove_inclusion,
    root_of,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "rfc6962-merkle"
INCLUSION = sorted((VECTORS / "testdata/inclusion").rglob("*.json"))
CONSISTENCY = sorted((VECTORS / "testdata/consistency").rglob("*.json"))
KNOWN = json.loads((VECTORS / "derived/roots.json").read_text(encoding="utf-8"))

LARGEST = 70
LEAVES = tuple(leaf_hash(b"leaf %d" % number) for number in range(LARGEST))


# RFC 6962 section 2.1, word by word: MTH, PATH, PROOF and SUBPROOF over ranges of LEAVES.


def split_of(count: int) -> int:
    """The largest power of two smaller than `count`."""
    power = 1
    while power * 2 < count:
        power *= 2
    return power


@cache
def mth(begin: int, end: int) -> bytes:
    if end == begin:
        return sha256(b"").digest()
    if end - begin == 1:
        return LEAVES[begin]
    middle = begin + split_of(end - begin)
    return sha256(b"\x01" + mth(begin, middle) + mth(middle, end)).digest()


def path(number: int, begin: int, end: int) -> list[bytes]:
    if end - begin == 1:
        return []
    half = split_of(end - begin)
    middle = begin + half
    if number < half:
        return [*path(number, begin, middle), mth(middle, end)]
    return [*path(number - half, middle, end), mth(begin, middle)]


def subproof(old: int, begin: int, end: int, known: bool) -> list[bytes]:
    if old == end - begin:
        return [] if known else [mth(begin, end)]
    half = split_of(end - begin)
    middle = begin + half
    if old <= half:
        return [*subproof(old, begin, middle, known), mth(middle, end)]
    return [*subproof(old - half, middle, end, False), mth(begin, middle)]


def node(level: int, index: int) -> bytes:
    """What a proof may ask for: a complete subtree of the leaves there are."""
    begin, end = index << level, (index + 1) << level
    assert end <= LARGEST
    return mth(begin, end)


def bits_flipped(proof: list[bytes]):
    """The proof with each of its bits flipped in turn."""
    for at, each in enumerate(proof):
        for bit in range(8 * len(each)):
            changed = bytearray(each)
            changed[bit // 8] ^= 1 << bit % 8
            yield [*proof[:at], bytes(changed), *proof[at + 1 :]]


def hashes_changed(proof: list[bytes]):
    """The proof with a hash dropped, doubled, added or swapped with its neighbour, each place in turn."""
    for at in range(len(proof)):
        yield [*proof[:at], *proof[at + 1 :]]
        yield [*proof[: at + 1], *proof[at:]]
        yield [*proof[:at], proof[at][:31], *proof[at + 1 :]]
        yield [*proof[:at], proof[at] + b"\0", *proof[at + 1 :]]
    for at in range(len(proof) - 1):
        yield [*proof[:at], proof[at + 1], proof[at], *proof[at + 2 :]]
    for at in range(len(proof) + 1):
        yield [*proof[:at], bytes(32), *proof[at:]]


def refused(check, *args) -> bool:
    try:
        check(*args)
    except ProofFault:
        return True
    return False


# --- What others say -------------------------------------------------------------------------------------------------


def decoded(vector: dict, name: str) -> bytes:
    return base64.b64decode(vector[name] or "")


def proof_of(vector: dict) -> list[bytes]:
    return [base64.b64decode(each) for each in vector["proof"] or ()]


def test_there_are_all_the_vectors():
    assert len(INCLUSION) == 98
    assert len(CONSISTENCY) == 98


@pytest.mark.parametrize("file", INCLUSION, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_published_inclusion_proof_is_judged_as_its_authors_do(file):
    vector = json.loads(file.read_text(encoding="utf-8"))
    leaf, root = decoded(vector, "leafHash"), decoded(vector, "root")
    judged = refused(check_inclusion, vector["leafIdx"], vector["treeSize"], leaf, proof_of(vector), root)
    assert judged is vector["wantErr"], vector["desc"]


@pytest.mark.parametrize("file", CONSISTENCY, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_published_consistency_proof_is_judged_as_its_authors_do(file):
    vector = json.loads(file.read_text(encoding="utf-8"))
    old, new = decoded(vector, "root1"), decoded(vector, "root2")
    judged = refused(check_consistency, vector["size1"], vector["size2"], old, new, proof_of(vector))
    assert judged is vector["wantErr"], vector["desc"]


def test_the_hashes_are_the_published_ones():
    hasher = KNOWN["hasher"]
    assert EMPTY_ROOT.hex() == hasher["empty_root"]
    assert leaf_hash(b"").hex() == hasher["leaf_of_empty"]
    assert leaf_hash(b"L123456").hex() == hasher["leaf('L123456')"]
    assert node_hash(b"N123", b"N456").hex() == hasher["node('N123','N456')"]


@pytest.mark.parametrize("size", range(9))
def test_a_published_root_comes_out(size):
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in KNOWN["leaf_inputs_hex"]]
    assert len(leaves) == 8
    assert root_of(leaves[:size]).hex() == KNOWN["root_hashes_hex_by_size"][size]


# --- The frontier ----------------------------------------------------------------------------------------------------


def test_every_way_to_grow_leads_to_the_same_tree():
    for size in range(LARGEST + 1):
        appended = Frontier()
        for leaf in LEAVES[:size]:
            appended.append(leaf)
        assert appended.root() == mth(0, size) == root_of(LEAVES[:size])
        for cut in range(size + 1):
            grown = Frontier()
            grown.extend(LEAVES[:cut])
            grown.extend(iter(LEAVES[cut:size]))
            assert (grown.size, grown.nodes) == (size, appended.nodes)
        assert frontier_at(size, node).nodes == appended.nodes


def test_a_batch_longer_than_what_is_folded_at_once_is_taken_whole():
    leaves = [number.to_bytes(32) for number in range(2 * 65_536 + 77)]
    grown, appended = Frontier(), Frontier()
    grown.extend(leaves[:5])
    grown.extend(leaves[5:])
    for leaf in leaves:
        appended.append(leaf)
    assert (grown.size, grown.nodes) == (len(leaves), appended.nodes)


def test_whole_subtrees_are_taken_where_they_can_begin():
    for begin in range(0, LARGEST, 2):
        for level in range(6):
            tree = Frontier()
            tree.extend(LEAVES[:begin])
            end = begin + (1 << level)
            if end > LARGEST:
                continue
            if begin % (1 << level):
                with pytest.raises(ValueError, match="no subtree"):
                    tree.append_subtree(level, mth(begin, end))
                assert (tree.size, tree.root()) == (begin, mth(0, begin))
            else:
                tree.append_subtree(level, mth(begin, end))
                assert (tree.size, tree.root()) == (end, mth(0, end))


def test_a_copy_grows_on_its_own():
    tree = Frontier()
    tree.extend(LEAVES[:5])
    copied = tree.copy()
    copied.append(LEAVES[5])
    assert (tree.size, tree.root()) == (5, mth(0, 5))
    assert (copied.size, copied.root()) == (6, mth(0, 6))


@pytest.mark.parametrize(
    "size, nodes", [(-1, []), (0, [bytes(32)]), (1, []), (3, [bytes(32)]), (4, [bytes(32)] * 2), (1, [bytes(31)])]
)
def test_nodes_that_cannot_belong_to_the_size_are_refused(size, nodes):
    with pytest.raises(ValueError, match="frontier"):
        Frontier(size, nodes)


# --- Proofs ----------------------------------------------------------------------------------------------------------


def test_every_inclusion_proof_is_the_one_that_the_rfc_defines_and_is_accepted():
    for size in range(1, LARGEST + 1):
        for index in range(size):
            proof = prove_inclusion(index, size, node)
            assert proof == path(index, 0, size)
            check_inclusion(index, size, LEAVES[index], proof, mth(0, size))


def test_every_consistency_proof_is_the_one_that_the_rfc_defines_and_is_accepted():
    for new in range(1, LARGEST + 1):
        for old in range(1, new + 1):
            proof = prove_consistency(old, new, node)
            assert proof == subproof(old, 0, new, True)
            check_consistency(old, new, mth(0, old), mth(0, new), proof)


def test_every_dropped_added_cut_or_swapped_hash_is_refused():
    for size in range(1, LARGEST + 1, 3):
        for number in range(1, size + 1):
            inclusion = prove_inclusion(number - 1, size, node)
            for changed in hashes_changed(inclusion):
                assert refused(check_inclusion, number - 1, size, LEAVES[number - 1], changed, mth(0, size))
            consistency = prove_consistency(number, size, node)
            for changed in hashes_changed(consistency):
                assert refused(check_consistency, number, size, mth(0, number), mth(0, size), changed)


@pytest.mark.parametrize("size", [2, 7, 8, 13, 70])
def test_every_flipped_bit_is_refused(size):
    for number in {1, size // 2, size - 1, size}:
        for changed in bits_flipped(prove_inclusion(number - 1, size, node)):
            assert refused(check_inclusion, number - 1, size, LEAVES[number - 1], changed, mth(0, size))
        for changed in bits_flipped(prove_consistency(number, size, node)):
            assert refused(check_consistency, number, size, mth(0, number), mth(0, size), changed)


@given(st.data())
def test_no_proof_serves_another_leaf_place_or_root(data):
    size = data.draw(st.integers(2, LARGEST))
    index, other = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))
    proof = prove_inclusion(index, size, node)
    assert refused(check_inclusion, index, size, LEAVES[other], proof, mth(0, size))
    assert refused(check_inclusion, other, size, LEAVES[index], proof, mth(0, size))
    assert refused(check_inclusion, index, size, LEAVES[index], proof, mth(0, size - 1))


@given(st.data())
def test_no_proof_serves_other_roots(data):
    new = data.draw(st.integers(2, LARGEST))
    old = data.draw(st.integers(1, new - 1))
    wrong = data.draw(st.binary(min_size=32, max_size=32))
    proof = prove_consistency(old, new, node)
    assert refused(check_consistency, old, new, wrong, mth(0, new), proof)
    assert refused(check_consistency, old, new, mth(0, old), wrong, proof)
    assert refused(check_consistency, old, new, mth(0, new), mth(0, old), proof)


@pytest.mark.parametrize("index, size", [(0, 0), (-1, 1), (1, 1), (5, 4), (0, -1)])
def test_a_leaf_that_no_tree_has_is_neither_proven_nor_accepted(index, size):
    with pytest.raises(ValueError, match="no leaf"):
        prove_inclusion(index, size, node)
    assert refused(check_inclusion, index, size, LEAVES[0], [], LEAVES[0])


@pytest.mark.parametrize("old, new", [(0, 0), (0, 5), (-1, 5), (6, 5)])
def test_extending_nothing_or_shrinking_is_neither_proven_nor_accepted(old, new):
    with pytest.raises(ValueError, match="not proven to extend"):
        prove_consistency(old, new, node)
    assert refused(check_consistency, old, new, EMPTY_ROOT, EMPTY_ROOT if new == 0 else mth(0, 5), [])


def test_a_tree_extends_itself_and_no_other_of_its_size():
    check_consistency(5, 5, mth(0, 5), mth(0, 5), [])
    assert refused(check_consistency, 5, 5, mth(0, 5), mth(0, 6), [])
    assert refused(check_consistency, 5, 5, mth(0, 5), mth(0, 5), [bytes(32)])


def test_hashes_cut_at_another_place_are_refused():
    """One byte moved from a sibling to the leaf leaves the hashed bytes, and so the root, as they were."""
    leaf, beside = LEAVES[:2]
    root = node_hash(leaf, beside)
    check_inclusion(0, 2, leaf, [beside], root)
    assert node_hash(leaf + beside[:1], beside[1:]) == root
    assert refused(check_inclusion, 0, 2, leaf + beside[:1], [beside[1:]], root)
    assert refused(check_consistency, 1, 2, leaf + beside[:1], root, [beside[1:]])


def test_an_enormous_tree_asks_for_no_more_than_its_height():
    size = 2**63 - 1
    asked: list[tuple[int, int]] = []

    def note_down(level: int, index: int) -> bytes:
        assert (index + 1) << level <= size
        asked.append((level, index))
        return bytes(32)

    prove_inclusion(size // 3, size, note_down)
    prove_consistency(size // 3, size, note_down)
    assert len(asked) < 4 * 64
