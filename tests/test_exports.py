"""What leaves the ledger is proven before it is given away, and lands where it was asked for."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from enforcer.attestation.signatures import verify_ed25519
from enforcer.enforcer import Enforcer
from enforcer.errors import DamagedError, EnforcerError, RequestError, UnavailableError
from enforcer.exports import FORMATS, RECEIPT, export_site, export_task, prove_entry, task_leaves, write_files
from enforcer.keyring import rotate
from enforcer.ledger.note import VerifierKey, parse_vkey
from enforcer.ledger.vouching import check_file
from tests.keeping import Place
from tests.ledger.histories import rewrite

SEGMENT = "seg/00000000000000000000.jsonl"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "one").begin("T", "U")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A ledger with more than one tile's worth of entries."""
    place = Place(tmp_path_factory.mktemp("many") / "one").begin("T", "U")
    with place.open() as enforcer:
        for number in range(300):
            enforcer.open_task(f"N{number}")
        enforcer.sealer.seal()
    return place


def keys(place: Place) -> list[VerifierKey]:
    with place.open() as enforcer:
        return [parse_vkey(enforcer.identity.key or "")]


def keyless(place: Place) -> Place:
    for key in place.home.glob("*/signing-key.pem"):
        key.unlink()
    return place


def holds(data: bytes, place: Place) -> int:
    return check_file(data, keys(place), verify_ed25519).exit_status


def test_a_receipt_leads_from_the_first_key_through_every_change(place: Place) -> None:
    with place.open() as enforcer:
        for overlap in (0, 3, 0):
            rotate(enforcer, overlap=overlap)
            for number in range(3):
                enforcer.open_task(f"V{enforcer.ledger.head.size}-{number}")
        data = export_task(enforcer, "T", RECEIPT)["T.receipt.json"]
    assert len(json.loads(data)["rotations"]) == 3
    assert holds(data, place) == 0


def test_a_proof_of_a_later_key_is_not_called_forged_by_who_has_the_first(place: Place) -> None:
    with place.open() as enforcer:
        rotate(enforcer, overlap=0)
        enforcer.open_task("V")
        data = prove_entry(enforcer, 1)
        later = parse_vkey(enforcer.signer().key.vkey)
    assert holds(data, place) == 2
    assert check_file(data, [later], verify_ed25519).exit_status == 0


def test_every_entry_can_be_proven(many: Place) -> None:
    with many.open() as enforcer:
        for seq in (0, 1, 254, 255, 256, 302):
            assert holds(prove_entry(enforcer, seq), many) == 0
        with pytest.raises(RequestError) as caught:
            prove_entry(enforcer, 303)
    assert caught.value.code == "unknown_entry"


@pytest.mark.parametrize("damage", ["wrong", "short", "gone"])
def test_a_tile_that_is_wrong_is_not_believed_and_not_needed(many: Place, tmp_path: Path, damage: str) -> None:
    place = many.copy(tmp_path / "copy")
    tile = place.state / "ledger" / "tile" / "0" / "000"
    if damage == "gone":
        tile.unlink()
    else:
        data = tile.read_bytes()
        tile.write_bytes(data[:-1] if damage == "short" else data[:-32] + bytes(32))
    keyless(place)
    with place.open() as enforcer:
        for seq in (3, 255, 280):
            assert holds(prove_entry(enforcer, seq), place) == 0
        assert holds(export_task(enforcer, "N254", RECEIPT)["N254.receipt.json"], place) == 0


def test_whoever_exports_writes_nothing_beside_the_ledger(place: Place, tmp_path: Path) -> None:
    keyless(place)

    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in place.state.rglob("*") if path.is_file()}

    before = content()
    with place.open() as enforcer:
        prove_entry(enforcer, 1)
        export_task(enforcer, "T", RECEIPT)
        export_site(enforcer, str(tmp_path / "site"))
    assert content() == before


def forge(place: Place) -> None:
    """The history with another title, every hash made to fit; tiles, checkpoint and the user's folder as they were."""

    def change(seq: int, entry: dict[str, Any]) -> None:
        if seq == 1:
            entry["event"]["data"]["title"] = "forged"

    segment = place.state / "ledger" / SEGMENT
    identity = (place.state / "ledger" / "ledger.json").read_bytes()
    lines = rewrite(segment.read_bytes().splitlines(), change, identity)
    segment.write_bytes(b"".join(line + b"\n" for line in lines))
    shutil.rmtree(place.state / "ledger" / ".cache", ignore_errors=True)


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "cloudevents"])
@pytest.mark.parametrize("with_key", [True, False])
def test_nobody_gets_a_signature_or_a_proof_for_a_history_put_in_the_place_of_another(
    place: Place, form: str, with_key: bool
) -> None:
    forge(place)
    if not with_key:
        keyless(place)
    with place.open() as enforcer:
        with pytest.raises(EnforcerError) as caught:
            export_task(enforcer, "T", form)
        with pytest.raises(EnforcerError):
            prove_entry(enforcer, 1)
    assert caught.value.code in ("history_rewritten", "checkpoint_contradicted", "key_missing")


def test_nor_for_a_single_line_below_what_a_process_has_read(place: Place) -> None:
    """A process that knows the head from before does not take in the lines below it again; they are proven though."""
    with place.open() as enforcer:
        enforcer.sealer.seal()
        segment = place.state / "ledger" / SEGMENT
        lines = segment.read_bytes().splitlines(keepends=True)
        lines[1] = lines[1].replace(b'"actor":"ada"', b'"actor":"eve"')
        with open(segment, "r+b") as file:
            file.write(b"".join(lines))
        for form in ("receipt", "statements", "layout"):
            with pytest.raises(DamagedError):
                export_task(enforcer, "T", form)
        with pytest.raises(DamagedError) as caught:
            prove_entry(enforcer, 1)
    assert caught.value.code == "ledger_chain_broken"


def test_a_task_whose_lines_are_gone_is_not_exported_as_far_as_it_goes(place: Place) -> None:
    with place.open() as enforcer:
        enforcer.task("T").claim().require()
        segment = place.state / "ledger" / SEGMENT
        lines = segment.read_bytes().splitlines(keepends=True)
        lines[-1] = lines[-1].replace(b'"subject":"T"', b'"subject":"X"').replace(b'"id":"T/', b'"id":"X/')
        with open(segment, "r+b") as file:
            file.write(b"".join(lines))
        with pytest.raises(DamagedError) as caught:
            list(task_leaves(enforcer, "T"))
    assert caught.value.code == "ledger_task_chain_broken"


def test_a_task_newer_than_the_last_checkpoint_is_unsealed_where_nobody_can_seal(place: Place) -> None:
    keyless(place)
    with place.open() as enforcer:
        enforcer.open_task("V")
        with pytest.raises(UnavailableError) as caught:
            export_task(enforcer, "V", RECEIPT)
        assert holds(export_task(enforcer, "T", RECEIPT)["T.receipt.json"], place) == 0
    assert caught.value.code == "unsealed"


def test_a_ledger_that_was_never_sealed_gives_no_proof_and_no_site(tmp_path: Path) -> None:
    place = Place(tmp_path / "one").begin()
    (place.state / "ledger" / "checkpoint").unlink()
    keyless(place)
    with place.open() as enforcer:
        for ask in (lambda: prove_entry(enforcer, 0), lambda: export_site(enforcer, str(tmp_path / "site"))):
            with pytest.raises(UnavailableError) as caught:
                ask()
            assert caught.value.code == "unsealed"
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", "..", ".", "", "a\0b"])
def test_no_name_leads_out_of_the_folder(place: Place, tmp_path: Path, name: str) -> None:
    with place.open() as enforcer, pytest.raises(DamagedError) as caught:
        write_files(enforcer, str(tmp_path / "out"), {"good": b"", name: b"x"})
    assert caught.value.code == "export_unsafe"
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_written_is_said_so(place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with place.open() as enforcer:
        for folder in (str(tmp_path / "file"), str(tmp_path / "file" / "below"), "a\0b"):
            for write in (lambda to: write_files(enforcer, to, {"x": b""}), lambda to: export_site(enforcer, to)):
                with pytest.raises(UnavailableError) as caught:
                    write(folder)
                assert caught.value.code == "export_unwritable"


def test_an_unknown_task_is_a_request_error_in_every_form(place: Place) -> None:
    with place.open() as enforcer:
        for form in FORMATS:
            for task in ("NONE", "../T", 'T","x":"', ""):
                with pytest.raises(RequestError) as caught:
                    export_task(enforcer, task, form)
                assert caught.value.code == "unknown_task"


def test_a_task_of_which_nothing_was_accepted_has_no_statements(place: Place) -> None:
    with place.open() as enforcer, pytest.raises(RequestError) as caught:
        export_task(enforcer, "T", "statements")
    assert caught.value.code == "nothing_accepted"


def test_a_site_grows_and_begins_again_where_it_was_interrupted(place: Place, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with place.open() as enforcer:
        export_site(enforcer, str(site))
        (site / "checkpoint").unlink()
        export_site(enforcer, str(site))
        (site / "index.html").write_text("of whoever serves it")
        enforcer.open_task("V")
        assert export_site(enforcer, str(site)).size == enforcer.ledger.head.size
    assert (site / "index.html").exists()


@pytest.mark.parametrize("kind", ["another log", "a file", "a folder", "no note", "a pipe", "a link"])
def test_a_site_is_never_mixed_with_something_else(place: Place, tmp_path: Path, kind: str) -> None:
    site = tmp_path / "site"
    if kind == "another log":
        with Place(tmp_path / "other").begin("T").open() as other:
            export_site(other, str(site))
    else:
        site.mkdir()
    checkpoint = site / "checkpoint"
    match kind:
        case "a file":
            (site / "notes.txt").write_text("mine")
        case "a folder":
            checkpoint.mkdir()
        case "no note":
            checkpoint.write_text("mine")
        case "a pipe":
            os.mkfifo(checkpoint)
        case "a link":
            checkpoint.symlink_to(place.state / "ledger" / "checkpoint")
    before = sorted(site.rglob("*"))

    with place.open() as enforcer, pytest.raises(RequestError) as caught:
        export_site(enforcer, str(site))

    assert caught.value.code == "site_foreign"
    assert sorted(site.rglob("*")) == before


def test_another_user_checks_what_was_exported_with_nothing_but_the_key(place: Place, tmp_path: Path) -> None:
    with Enforcer.open(root=str(place.root), environ={"ENFORCER_HOME": str(tmp_path / "nobody")}) as enforcer:
        data = export_task(enforcer, "T", RECEIPT, embed=True)["T.receipt.json"]
    assert holds(data, place) == 0
