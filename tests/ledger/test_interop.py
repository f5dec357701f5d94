"""What this package writes, judged by parts that nobody here wrote, and what those write, judged by it.

`openssl` verifies and makes the signature of a checkpoint. `tlog_scales` reads a site of tiles as an auditor of a log
would, and writes one to compare with. `proofbundle` verifies a `.tlog-proof` file. Each is shown something false as
well: a verifier that is wired up wrongly must not pass.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from proofbundle.tlogproof import verify_tlog_proof
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import PlainEd25519Signer, Vkey, VkeySet
from tlog_scales.tlog import (
    Checkpoint as TheirCheckpoint,
)
from tlog_scales.tlog import (
    ConsistencyProof,
    ConsistencyProofInvalid,
    InclusionProof,
    InclusionProofInvalid,
)
from tlog_scales.writer import TilesWriter

from enforcer.attestation.signatures import verify_ed25519
from enforcer.ledger.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from enforcer.ledger.merkle import (
    check_consistency,
    check_inclusion,
    leaf_hash,
    prove_consistency,
    prove_inclusion,
    root_of,
)
from enforcer.ledger.note import (
    COSIGNATURE,
    NoteFault,
    Signature,
    cosignature_value,
    cosigned_message,
    format_note,
    format_vkey,
    key_id,
    parse_note,
    parse_vkey,
    verified_by,
)
from enforcer.ledger.proof import InclusionProof as StandaloneProof
from enforcer.ledger.proof import format_proof, parse_proof
from enforcer.ledger.tree import TileTree
from enforcer.ports import SystemDisk
from tests.faults import CountingEntropy

ORIGIN = "enforcer/0123456789abcdef0123456789abcdef"
WITNESS = "witness.example/w1"
SIZE = 65_836
LEAVES = [b'{"seq":%d}' % number + b"x" * (number % 50) for number in range(SIZE)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]

LOG_KEY = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(bytes([8]) * 32)
STRANGER_KEY = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)


def raw(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


LOG_VKEY = format_vkey(ORIGIN, raw(LOG_KEY))
WITNESS_VKEY = format_vkey(WITNESS, raw(WITNESS_KEY), COSIGNATURE)
STRANGER_VKEY = format_vkey(ORIGIN, raw(STRANGER_KEY))


def checkpoint_text(size: int) -> bytes:
    return format_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=root_of(HASHES[:size])))


def checkpoint_note(size: int) -> bytes:
    """A checkpoint as a ledger signs it and a witness cosigns it."""
    text, time = checkpoint_text(size), 1_679_315_147
    cosigned = cosignature_value(time, WITNESS_KEY.sign(cosigned_message(text, time)))
    return format_note(
        text,
        [
            Signature(name=ORIGIN, key_id=key_id(ORIGIN, raw(LOG_KEY)), value=LOG_KEY.sign(text)),
            Signature(name=WITNESS, key_id=key_id(WITNESS, raw(WITNESS_KEY), COSIGNATURE), value=cosigned),
        ],
    )


def tree_in(folder: Path) -> TileTree:
    return TileTree(
        str(folder), disk=SystemDisk(), entropy=CountingEntropy(), leaves=lambda start: iter(LEAVES[start:])
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A published log of 65,836 entries: two levels of full tiles, three of partial ones. Not to be changed."""
    folder = tmp_path_factory.mktemp("log")
    tree_in(folder / "ledger").write_site(str(folder / "site"), SIZE, checkpoint_note(SIZE))
    return folder / "site"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    return tree_in(tmp_path_factory.mktemp("ledger")).node(SIZE)


# --- openssl ---------------------------------------------------------------------------------------------------------


def openssl(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def openssl_verifies(folder: Path, public: bytes, text: bytes, signature: bytes) -> bool:
    """As an auditor would on the command line: three files and one command."""
    (folder / "public.pem").write_bytes(public)
    (folder / "text").write_bytes(text)
    (folder / "signature").write_bytes(signature)
    code, said = openssl(
        *("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(folder / "public.pem")),
        *("-in", str(folder / "text"), "-sigfile", str(folder / "signature")),
    )
    assert ("Signature Verified Successfully" in said) == (code == 0), said
    assert code == 0 or "Signature Verification Failure" in said, said
    return code == 0


def test_openssl_verifies_a_checkpoint_and_refuses_every_change_of_it(tmp_path):
    note = parse_note(checkpoint_note(300))
    public = LOG_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text, signature = note.text, note.signatures[0].value
    assert len(signature) == 64
    assert openssl_verifies(tmp_path, public, text, signature)
    for at in (0, 31, 32, 63):
        changed = bytearray(signature)
        changed[at] ^= 1
        assert not openssl_verifies(tmp_path, public, text, bytes(changed))
    for changed_text in (text.replace(b"300", b"301"), text[:-1], text + b"\n", b"\x01" + text):
        assert not openssl_verifies(tmp_path, public, changed_text, signature)
    stranger = STRANGER_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert not openssl_verifies(tmp_path, stranger, text, signature)


def test_the_key_in_a_vkey_is_one_that_openssl_reads(tmp_path):
    """The twelve bytes that RFC 8410 puts before the 32 of an Ed25519 key make it what openssl calls DER."""
    public = parse_vkey(LOG_VKEY).public
    (tmp_path / "public.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + public)
    (tmp_path / "text").write_bytes(checkpoint_text(300))
    (tmp_path / "signature").write_bytes(parse_note(checkpoint_note(300)).signatures[0].value)
    code, said = openssl(
        *("pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", str(tmp_path / "public.der")),
        *("-in", str(tmp_path / "text"), "-sigfile", str(tmp_path / "signature")),
    )
    assert code == 0, said


def test_a_checkpoint_that_openssl_signed_holds(tmp_path):
    private = LOG_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "private.pem").write_bytes(private)
    (tmp_path / "text").write_bytes(checkpoint_text(300))
    code, said = openssl(
        *("pkeyutl", "-sign", "-rawin", "-inkey", str(tmp_path / "private.pem")),
        *("-in", str(tmp_path / "text"), "-out", str(tmp_path / "signature")),
    )
    assert code == 0, said
    code, pem = openssl("pkey", "-in", str(tmp_path / "private.pem"), "-pubout")
    assert code == 0
    public = load_pem_public_key(pem.encode()).public_bytes(Encoding.Raw, PublicFormat.Raw)
    key = parse_vkey(format_vkey(ORIGIN, public))
    value = (tmp_path / "signature").read_bytes()
    note = format_note(checkpoint_text(300), [Signature(ORIGIN, key_id(ORIGIN, public), value)])
    assert verified_by(parse_note(note), [key], verify_ed25519) == (key,)


# --- A log's auditor -------------------------------------------------------------------------------------------------


def audit(folder: Path, vkey: str) -> TilesReader:
    """What an auditor does with a site: signature, root out of all tiles, every entry. Raises or asserts."""
    reader = TilesReader(LocalBackend(folder))
    head = reader.get_checkpoint()
    head.verify(Vkey.from_string(vkey))
    assert reader.calculate_root_hash() == head.root_hash
    return reader


def test_an_outside_auditor_accepts_the_site(site):
    reader = audit(site, LOG_VKEY)
    head = reader.get_checkpoint()
    assert (head.origin, head.size, head.root_hash) == (ORIGIN, SIZE, root_of(HASHES))
    for index in (0, 1, 255, 256, 40_000, 65_535, 65_536, 65_791, 65_792, SIZE - 1):
        assert reader.get_entry(index) == LEAVES[index]
        reader.get_inclusion_proof(index, SIZE).check(leaf_hash(reader.get_entry(index)), head.root_hash)
    for old in (1, 255, 256, 257, 40_000, 65_536, 65_792, SIZE):
        reader.get_consistency_proof(old, SIZE).check(root_of(HASHES[:old]), head.root_hash)


def test_an_outside_auditor_finds_every_entry_below_the_root(site):
    """The root once more, from the bundles of entries alone."""
    reader = TilesReader(LocalBackend(site))
    head = reader.get_checkpoint()
    assert root_of([leaf_hash(reader.get_entry(index)) for index in range(SIZE)]) == head.root_hash


def test_an_outside_auditor_knows_the_log_and_its_witness_by_their_keys(site):
    head = TilesReader(LocalBackend(site)).get_checkpoint()
    log, witness = Vkey.from_string(LOG_VKEY), Vkey.from_string(WITNESS_VKEY)
    assert (log.serialize(), witness.serialize()) == (LOG_VKEY, WITNESS_VKEY)
    assert {vkey for vkey, _ in VkeySet(log, witness).verify(head.signatures, head)} == {log, witness}
    with pytest.raises(RuntimeError, match="no signature matched"):
        head.verify(Vkey.from_string(STRANGER_VKEY))


@pytest.mark.parametrize("name", ["tile/0/257.p/44", "tile/1/001.p/1", "tile/2/000.p/1"])
def test_an_outside_auditor_finds_another_root_where_a_tile_of_the_right_edge_was_changed(site, name):
    reader = TilesReader(ChangedBackend(site, name))
    assert reader.get_checkpoint().root_hash != reader.calculate_root_hash()


@pytest.mark.parametrize("name", ["tile/0/000", "tile/1/000"])
def test_an_outside_auditor_refuses_the_proof_out_of_a_changed_tile(site, name):
    for backend, accepted in ((LocalBackend(site), True), (ChangedBackend(site, name), False)):
        reader = TilesReader(backend)
        root = reader.get_checkpoint().root_hash
        assert holds(reader.get_inclusion_proof(300 if "1/" in name else 5, SIZE), root) is accepted


class ChangedBackend(LocalBackend):
    """A site in which the last bit of every hash of one tile is another."""

    def __init__(self, base: Path, name: str) -> None:
        super().__init__(base)
        self.name = name

    def get(self, *path: str) -> bytes | None:
        data = super().get(*path)
        if data is None or "/".join(path) != self.name:
            return data
        return b"".join(data[at : at + 31] + bytes([data[at + 31] ^ 1]) for at in range(0, len(data), 32))


def holds(proof: InclusionProof, root: bytes) -> bool:
    try:
        proof.check(HASHES[proof.leaf_index], root)
    except InclusionProofInvalid:
        return False
    return True


def test_an_outside_auditor_refuses_a_changed_signature(site):
    text = (site / "checkpoint").read_text(encoding="utf-8")
    changed = TheirCheckpoint.from_text(text.replace(f"\n{SIZE}\n", f"\n{SIZE - 1}\n"))
    with pytest.raises(InvalidSignature):
        changed.verify(Vkey.from_string(LOG_VKEY))


def test_an_outside_verifier_accepts_the_proofs_and_nothing_near_them(node):
    root = root_of(HASHES)
    for index in (0, 255, 256, 40_000, 65_535, 65_536, SIZE - 1):
        proof = prove_inclusion(index, SIZE, node)
        InclusionProof(index, SIZE, proof).check(HASHES[index], root)
        with pytest.raises(InclusionProofInvalid):
            InclusionProof(index, SIZE, [*proof[:-1], bytes(32)]).check(HASHES[index], root)
    for old in (1, 255, 256, 257, 40_000, 65_536, SIZE - 1):
        proof = prove_consistency(old, SIZE, node)
        ConsistencyProof(old, SIZE, proof).check(root_of(HASHES[:old]), root)
        with pytest.raises(ConsistencyProofInvalid):
            ConsistencyProof(old, SIZE, [*proof[:-1], bytes(32)]).check(root_of(HASHES[:old]), root)


@pytest.mark.parametrize("size", [1, 255, 256, 300, 1000])
def test_an_outside_log_of_the_same_entries_has_the_same_files(size, tmp_path):
    """Byte for byte: every tile, every bundle, and the checkpoint with its Ed25519 signature."""
    writer = TilesWriter.create(tmp_path / "theirs", ORIGIN)
    for leaf in LEAVES[:size]:
        writer.add_leaf(leaf)
    writer.commit([PlainEd25519Signer(ORIGIN, LOG_KEY)])
    text = checkpoint_text(size)
    signature = Signature(name=ORIGIN, key_id=key_id(ORIGIN, raw(LOG_KEY)), value=LOG_KEY.sign(text))
    tree_in(tmp_path / "ledger").write_site(str(tmp_path / "ours"), size, format_note(text, [signature]))
    theirs, ours = (
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "theirs", tmp_path / "ours")
    )
    assert ours == theirs


def test_what_an_outside_log_writes_is_read_and_holds(tmp_path):
    writer = TilesWriter.create(tmp_path / "theirs", ORIGIN)
    for leaf in LEAVES[:1000]:
        writer.add_leaf(leaf)
    writer.commit([PlainEd25519Signer(ORIGIN, LOG_KEY), PlainEd25519Signer("other.example", STRANGER_KEY)])
    note = parse_note((tmp_path / "theirs/checkpoint").read_bytes())
    key = parse_vkey(LOG_VKEY)
    assert verified_by(note, [key], verify_ed25519) == (key,)
    head = parse_checkpoint(note.text)
    reader = TilesReader(LocalBackend(tmp_path / "theirs"))
    reader.set_size(head.size)
    for index in (0, 255, 768, 999):
        check_inclusion(index, 1000, HASHES[index], reader.get_inclusion_proof(index, 1000).node_hashes, head.root)
    for old in (1, 256, 500, 999):
        proof = reader.get_consistency_proof(old, 1000).node_hashes
        check_consistency(old, 1000, root_of(HASHES[:old]), head.root, proof)


# --- A proof alone ---------------------------------------------------------------------------------------------------


def proof_file(index: int, node) -> bytes:
    hashes = tuple(prove_inclusion(index, SIZE, node))
    return format_proof(StandaloneProof(index, hashes, checkpoint_note(SIZE), extra=LEAVES[index]))


def outside_verdict(data: bytes, leaf: bytes, vkey: str = LOG_VKEY, witnesses: tuple[str, ...] = (), quorum: int = 0):
    return verify_tlog_proof(data.decode(), leaf, vkey, witnesses, threshold=quorum, expected_origin=ORIGIN)


@pytest.mark.parametrize("index", [0, 255, 40_000, 65_536, SIZE - 1])
def test_an_outside_verifier_accepts_the_proof_of_an_entry(index, node):
    data = proof_file(index, node)
    verdict = outside_verdict(data, parse_proof(data).extra)
    assert verdict["ok"], verdict
    assert (verdict["index"], verdict["tree_size"], verdict["origin"]) == (index, SIZE, ORIGIN)


def test_an_outside_verifier_counts_the_witness(node):
    data = proof_file(5, node)
    assert outside_verdict(data, LEAVES[5], witnesses=(WITNESS_VKEY,), quorum=1)["ok"]
    absent = format_vkey(WITNESS, raw(STRANGER_KEY), COSIGNATURE)
    assert not outside_verdict(data, LEAVES[5], witnesses=(absent,), quorum=1)["ok"]


def test_an_outside_verifier_refuses_what_is_not_proven(node):
    data = proof_file(5, node)
    assert not outside_verdict(data, LEAVES[6])["ok"]
    assert not outside_verdict(data, LEAVES[5], vkey=STRANGER_VKEY)["ok"]
    assert not outside_verdict(data.replace(b"index 5", b"index 4"), LEAVES[5])["ok"]
    assert not outside_verdict(data.replace(b"\n%d\n" % SIZE, b"\n%d\n" % (SIZE + 1)), LEAVES[5])["ok"]
    lines = data.split(b"\n")
    assert not outside_verdict(b"\n".join([*lines[:3], *lines[4:]]), LEAVES[5])["ok"]


def test_a_changed_signature_is_refused_here_as_it_is_outside(node):
    data = bytearray(proof_file(5, node))
    at = data.index(ORIGIN.encode() + b" ") + len(ORIGIN) + 20
    data[at] = ord("A") if data[at] != ord("A") else ord("B")
    assert not outside_verdict(bytes(data), LEAVES[5])["ok"]
    with pytest.raises(NoteFault, match="does not hold"):
        verified_by(parse_note(parse_proof(bytes(data)).checkpoint), [parse_vkey(LOG_VKEY)], verify_ed25519)
