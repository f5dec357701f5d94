"""A receipt checks out alone, and nothing that was done to one does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from enforcer.attestation.signatures import verify_ed25519
from enforcer.errors import DamagedError, RequestError
from enforcer.ledger.checkpoint import Checkpoint, format_checkpoint
from enforcer.ledger.codec import canonical
from enforcer.ledger.entry import genesis_hash, leaf_hash, parse_leaf
from enforcer.ledger.merkle import prove_inclusion, root_of
from enforcer.ledger.note import (
    COSIGNATURE,
    Signature,
    VerifierKey,
    format_note,
    format_vkey,
    key_id,
    parse_vkey,
    signed_message,
)
from enforcer.ledger.proof import InclusionProof, format_proof
from enforcer.ledger.receipt import build_receipt
from enforcer.ledger.report import TAMPERED, UNVERIFIABLE, VERIFIED
from enforcer.ledger.vouching import ReceiptReport, check_file, check_proof, check_receipt
from tests.attestation.walks import FOREIGN_KEY, LEDGER_KEY, Signer, leaves_of, told
from tests.ledger.histories import IDENTITY, History, digest, rewrite
from tests.sources import ROOT

ORIGIN = IDENTITY.origin
VKEY = format_vkey(ORIGIN, LEDGER_KEY.public)
KEY = parse_vkey(VKEY)
SCHEMAS = ROOT / "schemas" / "output"
Members = dict[str, Any]


@pytest.fixture(scope="module")
def history(tmp_path_factory) -> History:
    return told(tmp_path_factory.mktemp("told"))


@pytest.fixture(scope="module")
def good(history) -> bytes:
    return receipt(history, embed=True)


def node_of(lines: list[bytes]) -> Callable[[int, int], bytes]:
    hashes = [bytes.fromhex(leaf_hash(line)) for line in lines]
    return lambda level, index: root_of(hashes[index << level : (index + 1) << level])


def root(lines: list[bytes]) -> bytes:
    return root_of([bytes.fromhex(leaf_hash(line)) for line in lines])


def note(lines: list[bytes], *, origin: str = ORIGIN, name: str = "", signer: Signer = LEDGER_KEY) -> bytes:
    text = format_checkpoint(Checkpoint(origin, len(lines), root(lines)))
    name = name or origin
    return format_note(text, [Signature(name, key_id(name, signer.public), signer(text))])


def receipt(history: History, task: str = "T", *, lines: list[bytes] | None = None, **more: Any) -> bytes:
    lines = history.lines() if lines is None else lines
    leaves = [line for line in lines if parse_leaf(line).task == task]
    more = {"checkpoint": note(lines), "key": VKEY, **more}
    return build_receipt(leaves, node=node_of(lines), get=history.objects.get, **more)


def checked(data: bytes, *keys: VerifierKey) -> ReceiptReport:
    return check_file(data, keys or (KEY,), verify_ed25519)


def changed(data: bytes, change: Callable[[Members], None]) -> bytes:
    members = json.loads(data)
    change(members)
    return canonical(members) + b"\n"


def codes(report: ReceiptReport) -> set[str]:
    return {finding.code for finding in report.findings}


# --- An honest one ---------------------------------------------------------------------------------------------------


def test_an_honest_receipt_is_verified(history, good) -> None:
    report = checked(good)
    lines = leaves_of(history)
    assert (report.verdict, report.integrity, report.legality, report.evidence) == (VERIFIED,) * 4
    assert (report.exit_status, report.kind, report.key, report.signers) == (0, "receipt", "pinned", (ORIGIN,))
    assert (report.task, report.origin, report.entries) == ("T", ORIGIN, len(lines))
    assert (report.first, report.last) == (parse_leaf(lines[0]).seq, parse_leaf(lines[-1]).seq)
    assert (report.head, report.size) == (leaf_hash(lines[-1]), len(history.lines()))
    assert report.root == root(history.lines()).hex()
    assert (report.status, report.closed, report.artifacts, report.embedded) == ("completed", True, 6, 6)
    assert report.findings == ()


def test_a_receipt_of_a_task_that_is_open_says_that_more_may_follow(history) -> None:
    report = checked(receipt(history, "U"))
    assert (report.verdict, report.status, report.closed, report.phase) == (VERIFIED, "open", False, "PLAN")
    assert codes(report) == {"task_open"}


def test_a_receipt_that_ends_before_the_task_did_says_so(history) -> None:
    """What comes later cannot be told from what is here: that is declared, not found."""
    short = leaves_of(history)[:-2]
    data = build_receipt(
        short, checkpoint=note(history.lines()), node=node_of(history.lines()), get=history.objects.get
    )
    report = checked(data)
    assert (report.verdict, report.closed) == (VERIFIED, False)
    assert codes(report) == {"task_open"}


def test_without_embedding_the_evidence_is_listed_by_digest(history) -> None:
    data = receipt(history)
    report = checked(data)
    assert (report.verdict, report.artifacts, report.embedded) == (VERIFIED, 6, 0)
    listed = json.loads(data)["evidence"]
    assert [one["artifact"] for one in listed][:3] == ["SPEC/note.md", "PLAN/note.md", "PLAN/note.md"]
    assert listed[0]["digest"] == digest(b"# SPEC\n")
    assert len(json.loads(data)["objects"]) == 2  # The processes, without which nothing could be judged.


def test_the_hashes_of_the_proofs_are_shared(good) -> None:
    members = json.loads(good)
    assert sum(map(len, members["proofs"])) > len(members["hashes"]) == len(set(members["hashes"]))


def test_receipt_and_report_keep_to_their_schemas(good, history) -> None:
    jsonschema.validate(json.loads(good), json.loads((ROOT / "schemas/receipt.schema.json").read_text("utf-8")))
    answers = [checked(good), checked(b"x"), checked(proof_of(history, 3)), checked(receipt(history, "U"), FOREIGN)]
    for report in answers:
        assert faults("verify-proof", report.pack(complete=True)) == []


def faults(name: str, value: Any) -> list[str]:
    schemas = [json.loads((SCHEMAS / f"{each}.schema.json").read_text("utf-8")) for each in ("common", name)]
    registry: Registry = Registry().with_resources(
        [(schema["$id"], Resource.from_contents(schema)) for schema in schemas]
    )
    return [
        fault.message for fault in jsonschema.Draft202012Validator(schemas[1], registry=registry).iter_errors(value)
    ]


# --- Keys ------------------------------------------------------------------------------------------------------------

FOREIGN = VerifierKey(ORIGIN, FOREIGN_KEY.public)


def test_without_a_key_the_signature_is_only_self_declared(good) -> None:
    report = check_receipt(good, (), verify_ed25519)
    assert (report.verdict, report.exit_status, report.key) == (UNVERIFIABLE, 2, "self-declared")
    assert codes(report) == {"key_not_given"}
    assert report.integrity == VERIFIED


def test_without_any_key_nobody_vouches(history) -> None:
    report = check_receipt(receipt(history, key=None), (), verify_ed25519)
    assert (report.exit_status, report.key, report.signers) == (2, "none", ())


def test_a_key_that_has_not_signed_vouches_for_nothing_and_contradicts_nothing(good) -> None:
    """It may be a later key than the checkpoint, as well as one of another ledger."""
    report = checked(good, FOREIGN)
    assert (report.verdict, report.exit_status, report.key) == (UNVERIFIABLE, 2, "none")
    assert codes(report) == {"key_unproven"}


def test_one_right_key_among_others_is_enough(good) -> None:
    assert checked(good, FOREIGN, KEY).exit_status == 0


def test_a_receipt_made_up_with_another_key_is_refused(history) -> None:
    forged = receipt(history, checkpoint=note(history.lines(), signer=FOREIGN_KEY), key=None)
    assert checked(forged).exit_status == 2
    named = receipt(
        history,
        checkpoint=note(history.lines(), signer=FOREIGN_KEY),
        key=format_vkey(ORIGIN, FOREIGN_KEY.public),
    )
    assert (checked(named).exit_status, codes(checked(named))) == (2, {"key_unproven"})


def test_a_key_of_another_ledger_vouches_for_none_of_this_one(history) -> None:
    other = VerifierKey("enforcer/" + "f" * 32, LEDGER_KEY.public)
    data = receipt(history, checkpoint=note(history.lines(), name=other.name), key=None)
    report = checked(data, other)
    assert (report.exit_status, report.key) == (1, "none")
    assert codes(report) == {"origin_mismatch"}


def test_a_checkpoint_of_another_origin_is_refused(history) -> None:
    elsewhere = "enforcer/" + "f" * 32
    data = receipt(history, checkpoint=note(history.lines(), origin=elsewhere), key=None)
    report = checked(data, VerifierKey(elsewhere, LEDGER_KEY.public))
    assert (report.exit_status, codes(report)) == (1, {"origin_mismatch"})


def test_a_witness_that_was_given_vouches_as_well(history) -> None:
    text = format_checkpoint(Checkpoint(ORIGIN, len(history.lines()), root(history.lines())))
    witness = VerifierKey("witness.example", FOREIGN_KEY.public, COSIGNATURE)
    time = (1_700_000_000).to_bytes(8, "big")
    message, _ = signed_message(text, witness, time + bytes(64))
    value = time + FOREIGN_KEY(message)
    lines = [
        Signature(ORIGIN, key_id(ORIGIN, LEDGER_KEY.public), LEDGER_KEY(text)),
        Signature(witness.name, key_id(witness.name, witness.public, COSIGNATURE), value),
    ]
    data = receipt(history, checkpoint=format_note(text, lines), key=None)
    report = checked(data, witness)
    assert (report.exit_status, report.signers) == (0, ("witness.example",))


def test_the_key_that_a_receipt_names_has_to_be_of_its_ledger(good) -> None:
    other = format_vkey("enforcer/" + "f" * 32, LEDGER_KEY.public)
    assert codes(checked(changed(good, lambda members: members.update(key=other)))) == {"origin_mismatch"}


# --- Tampering -------------------------------------------------------------------------------------------------------


def test_a_flipped_bit_is_refused_wherever_it_stands(history) -> None:
    data = receipt(history, "U", embed=True)
    assert checked(data).exit_status == 0
    for at in flips(data):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        assert checked(bytes(flipped)).exit_status != 0, (at, bytes(flipped[at // 8 - 20 : at // 8 + 20]))


def flips(data: bytes) -> range:
    """One bit of every byte, a different one from byte to byte."""
    return range(0, len(data) * 8, 9)


def test_every_cut_and_every_addition_is_refused(history) -> None:
    data = receipt(history, "U")
    for length in range(0, len(data), 7):
        assert checked(data[:length]).exit_status != 0
    for more in (b"\n", b" ", b"x"):
        assert checked(data + more).exit_status != 0
        assert checked(more + data).exit_status != 0


def drop(at: int) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        del members["lines"][at], members["proofs"][at]
        _renumber(members)
        _relist(members)

    return change


def _renumber(members: Members) -> None:
    """The hashes that are still used, numbered as they would be in an honest receipt."""
    old = members["hashes"]
    used = list(dict.fromkeys(number for proof in members["proofs"] for number in proof))
    members["hashes"] = [old[number] for number in used]
    members["proofs"] = [[used.index(number) for number in proof] for proof in members["proofs"]]


def _relist(members: Members) -> None:
    """The evidence of the lines that are left."""
    seqs = {json.loads(line)["seq"] for line in members["lines"]}
    members["evidence"] = [one for one in members["evidence"] if one["seq"] in seqs]


def test_a_dropped_entry_is_found_wherever_it_stood(history, good) -> None:
    for at in range(len(leaves_of(history)) - 1):
        report = checked(changed(good, drop(at)))
        assert report.exit_status == 1
        assert "task_chain_broken" in codes(report)


def test_a_dropped_last_entry_leaves_a_task_that_is_not_closed(good) -> None:
    report = checked(changed(good, drop(-1)))
    assert report.closed is False
    assert codes(report) == {"task_open", "object_unnamed"}


def test_a_line_of_another_task_is_found(history, good) -> None:
    other = leaves_of(history, "U")[0]

    def change(members: Members) -> None:
        proof = prove_inclusion(parse_leaf(other).seq, len(history.lines()), node_of(history.lines()))
        pool = dict.fromkeys([*members["hashes"], *(each.hex() for each in proof)])
        members["hashes"] = list(pool)
        members["lines"].insert(1, other.decode())
        members["proofs"].insert(1, [list(pool).index(each.hex()) for each in proof])
        _renumber(members)

    report = checked(changed(good, change))
    assert report.exit_status == 1
    assert codes(report) >= {"task_chain_broken"}
    assert "inclusion_unproven" not in codes(report)


def test_a_line_of_another_ledger_is_found(good, tmp_path) -> None:
    other = told(tmp_path)
    lines = rewrite(other.lines(), lambda _, entry: entry["event"].update(source="enforcer/" + "f" * 32), b"seed")
    stranger = next(line for line in lines if parse_leaf(line).task == "T")
    report = checked(changed(good, lambda members: members["lines"].__setitem__(0, stranger.decode())))
    assert codes(report) >= {"origin_mismatch", "inclusion_unproven", "task_chain_broken"}


def test_swapped_proofs_are_found(good) -> None:
    def change(members: Members) -> None:
        members["proofs"][0], members["proofs"][3] = members["proofs"][3], members["proofs"][0]
        _renumber(members)

    report = checked(changed(good, change))
    assert codes(report) == {"inclusion_unproven"}
    assert len(report.findings) == 2


def test_swapped_hashes_are_found(good) -> None:
    def change(members: Members) -> None:
        members["hashes"][0], members["hashes"][1] = members["hashes"][1], members["hashes"][0]

    assert "inclusion_unproven" in codes(checked(changed(good, change)))


def test_a_history_told_anew_without_the_key_is_found(history) -> None:
    """Every hash fits and the tree is another: only the signature stands in the way."""

    def change(seq: int, entry: Members) -> None:
        if entry["event"]["data"].get("actor") == "bob/2":
            entry["event"]["data"]["actor"] = "eve"

    lines = rewrite(history.lines(), change, IDENTITY.data())
    forged = receipt(history, lines=lines)
    honest = json.loads(receipt(history))["checkpoint"]
    report = checked(changed(forged, lambda members: members.update(checkpoint=honest)))
    assert codes(report) >= {"inclusion_unproven"}


def test_an_illegal_history_is_found_though_the_key_signed_it(history) -> None:
    """The writer has the key. What nobody could have decided is told by the receipt alone."""

    def change(seq: int, entry: Members) -> None:
        if entry["event"]["data"].get("to") == "REVIEW" and "start" in entry["event"]["data"]:
            entry["event"]["data"].update(start="SPEC")

    lines = rewrite(history.lines(), change, IDENTITY.data())
    report = checked(receipt(history, lines=lines))
    assert (report.integrity, report.legality, report.exit_status) == (VERIFIED, TAMPERED, 1)
    assert "illegal" in codes(report)


def acceptance(entry: Members, start: str) -> bool:
    return entry["event"]["type"] == "dev.enforcer.phase.advanced" and entry["event"]["data"]["start"] == start


def lose_evidence(seq: int, entry: Members) -> None:
    if acceptance(entry, "IMPLEMENT"):
        del entry["event"]["data"]["evidence"]


def turn_back_time(seq: int, entry: Members) -> None:
    if acceptance(entry, "IMPLEMENT"):
        entry["ts"] -= 1_000_000


def repeat_key(seq: int, entry: Members) -> None:
    if acceptance(entry, "IMPLEMENT"):
        entry["event"]["id"] = "T/open-1"


def misstate_size(seq: int, entry: Members) -> None:
    if acceptance(entry, "IMPLEMENT"):
        entry["event"]["data"]["evidence"][0]["size"] += 1


@pytest.mark.parametrize(
    "change,code",
    [
        (lose_evidence, "illegal"),
        (turn_back_time, "task_chain_broken"),
        (repeat_key, "key_repeated"),
        (misstate_size, "object_mismatch"),
    ],
)
def test_what_the_gate_never_writes_is_found_though_every_hash_fits(history, change, code) -> None:
    lines = rewrite(history.lines(), change, IDENTITY.data())
    report = checked(receipt(history, lines=lines, embed=True))
    assert (report.exit_status, report.key) == (1, "pinned")
    assert codes(report) == {code}


def test_a_forged_process_that_stands_on_itself_is_an_answer_and_no_crash(history) -> None:
    """`check_file` is run on whatever somebody sends."""
    process = json.loads(canonical(history.process(history.state_of("T").digest).pack()))
    for phase in process["phases"]:
        for artifact in phase["artifacts"]:
            artifact["stands_on"] = [f"{each['name']}/note.md" for each in process["phases"]]
    forged = history.objects.put(canonical(process))

    def change(seq: int, entry: Members) -> None:
        data = entry["event"]["data"]
        if entry["event"]["type"] == "dev.enforcer.process.adopted":
            data["previous"] = forged
        if "digest" in data and entry["event"]["type"] in ("dev.enforcer.task.opened", "dev.enforcer.process.adopted"):
            data["digest"] = forged

    lines = rewrite(history.lines(), change, IDENTITY.data())
    assert checked(receipt(history, lines=lines)).exit_status in (0, 1, 2)


def test_neighbours_have_to_name_each_other(history) -> None:
    lines = history.lines()
    seqs = [parse_leaf(line).seq for line in leaves_of(history)]
    at = next(seq for seq in seqs if seq - 1 in seqs and seq == seqs[-1])
    last = json.loads(lines[at])
    last["prev"] = "0" * 64
    lines[at] = canonical(last)
    report = checked(receipt(history, lines=lines))
    assert codes(report) == {"task_chain_broken"}
    assert [finding.seq for finding in report.findings] == [at]


def test_a_gap_in_the_task_is_found_though_every_hash_fits(history) -> None:
    def renumbered(seq: int, entry: Members) -> None:
        if entry["event"].get("subject") == "T" and entry["task_seq"] > 2:
            entry["task_seq"] += 1

    parsed = [json.loads(line) for line in history.lines()]
    prev, gapped = genesis_hash(IDENTITY.data()), []
    heads: dict[str, str] = {}
    for seq, entry in enumerate(parsed):
        renumbered(seq, entry)
        task = entry["event"].get("subject")
        entry |= {"prev": prev, "task_prev": heads.get(task) if task else None}
        gapped.append(canonical(entry))
        prev = leaf_hash(gapped[-1])
        heads[task] = prev
    report = checked(receipt(history, lines=gapped))
    assert codes(report) == {"task_chain_broken"}


@pytest.mark.parametrize(
    "change,code",
    [
        (lambda m: m.update(task="U"), "task_chain_broken"),
        (lambda m: m["evidence"].pop(), "evidence_mismatch"),
        (lambda m: m["evidence"][0].update(origin="observed"), "evidence_mismatch"),
        (lambda m: m["evidence"].reverse(), "evidence_mismatch"),
        (lambda m: m["objects"].update({digest(b"# SPEC\n"): "IyBTUEVD"}), "object_mismatch"),
        (lambda m: m["objects"].update({digest(b"more"): "bW9yZQ=="}), "object_unnamed"),
        (lambda m: m.update(checkpoint="enforcer\n"), "checkpoint_malformed"),
        (lambda m: m.update(checkpoint=m["checkpoint"].replace("\n\n", "\n1\n\n")), "signature_invalid"),
        (lambda m: m.update(key="x"), "malformed"),
        (lambda m: m.update(lines=[], proofs=[], hashes=[], evidence=[], objects={}), "task_chain_broken"),
        (lambda m: m["lines"].__setitem__(0, m["lines"][0].replace(",", ", ", 1)), "not_canonical"),
        (lambda m: m["lines"].__setitem__(0, "{}"), "malformed"),
    ],
)
def test_a_changed_member_is_found_and_named(good, change, code) -> None:
    report = checked(changed(good, change))
    assert report.exit_status == 1
    assert code in codes(report)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(more=1),
        lambda m: m.pop("key"),
        lambda m: m.update(task=1),
        lambda m: m.update(lines="x"),
        lambda m: m.update(lines=[1]),
        lambda m: m["proofs"].pop(),
        lambda m: m["proofs"].__setitem__(0, ["x"]),
        lambda m: m["proofs"].__setitem__(0, [10_000]),
        lambda m: m["proofs"].__setitem__(0, 1),
        lambda m: m["proofs"][0].__setitem__(0, False),
        lambda m: m["hashes"].append("0" * 64),
        lambda m: m["hashes"].__setitem__(0, "0" * 63),
        lambda m: m["hashes"].__setitem__(0, m["hashes"][0].upper() if not m["hashes"][0].isdigit() else "X" * 64),
        lambda m: m.update(objects=[]),
        lambda m: m.update(objects={"a": 1}),
        lambda m: m.update(objects={"a": "AB=="}),
        lambda m: m.update(evidence={}),
    ],
)
def test_a_receipt_out_of_form_is_refused_with_its_reason(good, change) -> None:
    report = checked(changed(good, change))
    assert (report.exit_status, codes(report)) == (1, {"malformed"})
    assert (report.legality, report.evidence) == (UNVERIFIABLE, UNVERIFIABLE)  # Nobody has looked.


@pytest.mark.parametrize("data", [b"", b"\x00", b"[]", b"{}", b'{"format":"enforcer/receipt/v2"}', b"hello"])
def test_what_is_no_receipt_accuses_nobody(data) -> None:
    report = checked(data)
    assert (report.exit_status, codes(report)) == (2, {"malformed"})


def test_a_hash_stands_once(good) -> None:
    """There is one receipt for each set of facts, so that two different files never say the same."""

    def change(members: Members) -> None:
        last = members["proofs"][-1]
        members["hashes"].append(members["hashes"][last[-1]])
        last[-1] = len(members["hashes"]) - 1

    assert codes(checked(changed(good, change))) == {"malformed"}


def test_a_receipt_in_other_bytes_is_refused(good) -> None:
    members = json.loads(good)
    for data in (json.dumps(members).encode(), good[:-1], json.dumps(members, sort_keys=True, indent=1).encode()):
        assert codes(checked(data)) == {"malformed"}


def test_a_process_that_is_missing_leaves_legality_unjudged(history, good) -> None:
    def change(members: Members) -> None:
        members["objects"] = {}

    report = checked(changed(good, change))
    assert (report.verdict, report.legality) == (UNVERIFIABLE, UNVERIFIABLE)
    assert codes(report) == {"process_unreadable"}


def test_a_line_of_a_later_release_is_not_judged_and_no_accusation(history) -> None:
    def change(seq: int, entry: Members) -> None:
        if entry["event"]["type"] == "dev.enforcer.phase.backtracked":
            entry["event"]["type"] = "dev.enforcer.phase.transcended"

    lines = rewrite(history.lines(), change, IDENTITY.data())
    honest = json.loads(receipt(history))
    leaves = [line for line in lines if json.loads(line)["event"].get("subject") == "T"]
    proofs = [prove_inclusion(json.loads(line)["seq"], len(lines), node_of(lines)) for line in leaves]
    hashes = list(dict.fromkeys(each.hex() for proof in proofs for each in proof))
    entries = [json.loads(line) for line in leaves]
    accepting = [entry["seq"] for entry in entries if entry["event"]["data"].get("evidence")]
    members = {
        **honest,
        "checkpoint": note(lines).decode(),
        "evidence": [{**one, "seq": seq} for one, seq in zip(honest["evidence"], accepting, strict=True)],
        "hashes": hashes,
        "lines": [line.decode() for line in leaves],
        "proofs": [[hashes.index(each.hex()) for each in proof] for proof in proofs],
    }
    report = checked(canonical(members) + b"\n")
    assert (report.verdict, report.integrity, report.legality) == (UNVERIFIABLE, VERIFIED, UNVERIFIABLE)
    assert codes(report) == {"unknown_event", "legality_unchecked"}


# --- Building --------------------------------------------------------------------------------------------------------


def test_a_task_without_entries_has_no_receipt(history) -> None:
    with pytest.raises(RequestError, match="unknown_task"):
        receipt(history, "V")


def test_an_entry_that_no_checkpoint_covers_has_no_receipt(history) -> None:
    older = history.lines()[:-1]
    with pytest.raises(RequestError, match="receipt_unsealed"):
        receipt(history, checkpoint=note(older))


def test_lines_that_are_not_in_the_tree_have_no_receipt(history) -> None:
    lines = history.lines()
    foreign = rewrite(lines, lambda _, entry: entry["event"]["data"].update(actor="eve"), IDENTITY.data())
    for wrong in (note(foreign), b"no checkpoint"):
        with pytest.raises(DamagedError, match="receipt_unprovable"):
            receipt(history, checkpoint=wrong)
    with pytest.raises(DamagedError, match="receipt_unprovable"):
        build_receipt([b"{}"], checkpoint=note(lines), node=node_of(lines), get=history.objects.get)


# --- Proofs of one entry ---------------------------------------------------------------------------------------------


def proof_of(history: History, seq: int, **more: Any) -> bytes:
    lines = history.lines()
    hashes = tuple(prove_inclusion(seq, len(lines), node_of(lines)))
    proof = InclusionProof(index=seq, hashes=hashes, checkpoint=note(lines), extra=lines[seq])
    return format_proof(proof.replace(**more))


def test_the_proof_of_an_entry_is_verified(history) -> None:
    for seq, line in enumerate(history.lines()):
        report = checked(proof_of(history, seq))
        assert (report.verdict, report.kind, report.key) == (VERIFIED, "proof", "pinned")
        assert (report.integrity, report.legality, report.evidence) == (VERIFIED, "unchecked", "unchecked")
        assert (report.first, report.last, report.entries) == (seq, seq, 1)
        assert (report.head, report.task) == (leaf_hash(line), parse_leaf(line).task)


def test_a_proof_without_its_line_shows_nothing_alone(history) -> None:
    report = checked(proof_of(history, 3, extra=b""))
    assert (report.exit_status, codes(report)) == (2, {"line_absent"})


def test_a_proof_of_another_place_is_found(history) -> None:
    lines = history.lines()
    report = checked(proof_of(history, 3, extra=lines[4]))
    assert codes(report) == {"line_mismatch", "inclusion_unproven"}
    hashes = tuple(prove_inclusion(4, len(lines), node_of(lines)))
    assert codes(checked(proof_of(history, 3, extra=lines[4], hashes=hashes))) >= {"line_mismatch"}


def test_a_proof_is_held_against_the_key(history) -> None:
    data = proof_of(history, 3)
    assert codes(check_proof(data, (), verify_ed25519)) == {"key_not_given"}
    assert codes(checked(data, FOREIGN)) == {"key_unproven"}
    other = note(history.lines(), origin="enforcer/" + "f" * 32)
    assert codes(checked(proof_of(history, 3, checkpoint=other))) == {"origin_mismatch", "key_unproven"}


def test_a_flipped_bit_of_a_proof_is_refused_wherever_it_stands(history) -> None:
    data = proof_of(history, 3)
    for at in flips(data):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        assert checked(bytes(flipped)).exit_status != 0, at


def test_bytes_in_a_tree_that_are_no_line_are_named(history) -> None:
    lines = [*history.lines(), b"not a line"]
    hashes = tuple(prove_inclusion(len(lines) - 1, len(lines), node_of(lines)))
    proof = InclusionProof(index=len(lines) - 1, hashes=hashes, checkpoint=note(lines), extra=b"not a line")
    report = checked(format_proof(proof))
    assert (report.exit_status, codes(report)) == (1, {"malformed"})


@pytest.mark.parametrize("data", [b"c2sp.org/tlog-proof@v1\n", b"c2sp.org/tlog-proof@v9\nindex 1\n"])
def test_what_is_no_proof_accuses_nobody(data) -> None:
    report = checked(data)
    assert (report.exit_status, codes(report)) == (2, {"malformed"})
