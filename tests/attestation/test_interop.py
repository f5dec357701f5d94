"""What we export, judged by verifiers that nobody here wrote: securesystemslib for envelopes, in-toto for walks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_toto.exceptions import (  # type: ignore[import-untyped]
    LayoutExpiredError,
    LinkNotFoundError,
    RuleVerificationError,
    SignatureVerificationError,
    ThresholdVerificationError,
)
from in_toto.models.metadata import Metadata  # type: ignore[import-untyped]
from in_toto.verifylib import in_toto_verify  # type: ignore[import-untyped]
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from enforcer.attestation.dsse import IN_TOTO, format_envelope, key_id, parse_envelope, sign_envelope
from enforcer.attestation.layout import LAYOUT_NAME, export_layout, link_name
from enforcer.attestation.statements import STATEMENT, export_statements
from enforcer.attestation.walk import walk_of
from enforcer.ledger.codec import canonical
from enforcer.workflow.events import PhaseBacktracked
from tests.attestation.walks import FOREIGN_KEY, LEDGER_KEY, Signer, entries_of, told, walk_in
from tests.ledger.histories import History, digest
from tests.telemetry.story import START

Members = dict[str, Any]


@pytest.fixture
def history(tmp_path: Path) -> History:
    return told(tmp_path / "project")


@pytest.fixture
def links(tmp_path: Path, history: History) -> Path:
    return written(tmp_path / "links", history)


def written(folder: Path, history: History, task: str = "T", **more: Any) -> Path:
    folder.mkdir()
    walk = walk_in(history, task)
    for name, data in export_layout(walk, sign=LEDGER_KEY, public=LEDGER_KEY.public, **more).items():
        (folder / name).write_bytes(data)
    return folder


def key_of(signer: Signer) -> SSlibKey:
    return SSlibKey.from_crypto(signer.public_key)


def verify(folder: Path, signer: Signer = LEDGER_KEY) -> None:
    key = key_of(signer)
    keys = {key.keyid: {**key.to_dict(), "keyid": key.keyid}}
    in_toto_verify(Metadata.load(str(folder / LAYOUT_NAME)), keys, link_dir_path=str(folder))


def resign(path: Path, change: Callable[[Members], None], signer: Signer = LEDGER_KEY) -> None:
    """Change what an envelope says, and sign it again as someone would who has the key."""
    members = json.loads(parse_envelope(path.read_bytes()).payload)
    change(members)
    path.write_bytes(format_envelope(sign_envelope(canonical(members), sign=signer, public=signer.public)))


# --- securesystemslib ------------------------------------------------------------------------------------------------


def test_the_key_id_is_the_one_that_others_derive_from_the_key() -> None:
    assert key_of(LEDGER_KEY).keyid == key_id(LEDGER_KEY.public)


def test_securesystemslib_verifies_an_envelope_of_ours(history: History) -> None:
    walk = walk_in(history)
    for line in export_statements(
        walk, get=history.objects.get, sign=LEDGER_KEY, public=LEDGER_KEY.public
    ).splitlines():
        envelope = Envelope.from_dict(json.loads(line))
        assert envelope.verify([key_of(LEDGER_KEY)], 1).keys() == {key_id(LEDGER_KEY.public)}
        assert envelope.payload_type == IN_TOTO
        assert json.loads(envelope.payload)["_type"] == STATEMENT
        with pytest.raises(VerificationError):
            envelope.verify([key_of(FOREIGN_KEY)], 1)
        envelope.payload += b" "
        with pytest.raises(VerificationError):
            envelope.verify([key_of(LEDGER_KEY)], 1)


# --- in-toto ---------------------------------------------------------------------------------------------------------


def test_in_toto_verifies_a_walk(links: Path) -> None:
    verify(links)


def test_the_command_of_in_toto_verifies_a_walk_with_the_key_in_pem(links: Path) -> None:
    (links / "ledger.pem").write_bytes(LEDGER_KEY.pem())
    (links / "foreign.pem").write_bytes(FOREIGN_KEY.pem())
    program = "from in_toto.in_toto_verify import main; main()"
    command = [sys.executable, "-c", program, "--layout", LAYOUT_NAME, "--verification-keys"]
    statuses = [
        subprocess.run([*command, key], cwd=links, capture_output=True, check=False).returncode
        for key in ("ledger.pem", "foreign.pem")
    ]
    assert statuses == [0, 1]


@pytest.mark.parametrize("phase", ["SPEC", "PLAN", "IMPLEMENT", "REVIEW", "PR"])
def test_in_toto_refuses_a_skipped_phase(links: Path, phase: str) -> None:
    (links / link_name(phase, LEDGER_KEY.public)).unlink()
    with pytest.raises(LinkNotFoundError, match=phase):
        verify(links)


def test_in_toto_refuses_a_task_that_has_not_come_to_its_end(tmp_path: Path) -> None:
    history = told(tmp_path / "project", to_the_end=False)
    with pytest.raises(LinkNotFoundError, match="REVIEW"):
        verify(written(tmp_path / "links", history))


def test_in_toto_refuses_a_layout_for_a_foreign_key(links: Path) -> None:
    with pytest.raises(SignatureVerificationError):
        verify(links, FOREIGN_KEY)


def test_in_toto_refuses_a_link_of_a_foreign_key(links: Path) -> None:
    foreign = links / link_name("PLAN", FOREIGN_KEY.public)
    own = links / link_name("PLAN", LEDGER_KEY.public)
    own.rename(foreign)
    resign(foreign, lambda _: None, FOREIGN_KEY)
    with pytest.raises(LinkNotFoundError, match="PLAN"):
        verify(links)
    foreign.rename(own)  # Under the name at which the ledger's own link would lie.
    with pytest.raises(ThresholdVerificationError, match="PLAN"):
        verify(links)


@pytest.mark.parametrize("phase", ["PLAN", "IMPLEMENT", "REVIEW", "PR"])
def test_in_toto_refuses_evidence_that_changed_between_phases(links: Path, phase: str) -> None:
    """Whoever has the key signs the link again, and in-toto still sees that the phases do not fit each other."""

    def change(link: Members) -> None:
        link["materials"]["T/spec/note.md"] = {"sha256": digest(b"# Another\n")}

    resign(links / link_name(phase, LEDGER_KEY.public), change)
    with pytest.raises(RuleVerificationError, match="DISALLOW"):
        verify(links)


def test_in_toto_refuses_evidence_that_was_exchanged_after_its_phase(links: Path) -> None:
    def change(link: Members) -> None:
        link["products"]["T/spec/note.md"] = {"sha256": digest(b"# Another\n")}

    resign(links / link_name("SPEC", LEDGER_KEY.public), change)
    with pytest.raises(RuleVerificationError, match="DISALLOW"):
        verify(links)


@pytest.mark.parametrize(
    "phase,name", [("PLAN", "T/spec/note.md"), ("PR", "T/review/note.md"), ("PR", "T/review.entry")]
)
def test_in_toto_refuses_a_phase_that_stands_on_less_than_it_has_to(links: Path, phase: str, name: str) -> None:
    resign(links / link_name(phase, LEDGER_KEY.public), lambda link: link["materials"].pop(name))
    with pytest.raises(RuleVerificationError, match="REQUIRE"):
        verify(links)


def test_in_toto_refuses_a_phase_that_leaves_out_its_evidence(links: Path) -> None:
    resign(links / link_name("PR", LEDGER_KEY.public), lambda link: link["products"].pop("T/pr/note.md"))
    with pytest.raises(RuleVerificationError, match="REQUIRE"):
        verify(links)


def test_in_toto_refuses_a_file_that_no_phase_made(links: Path) -> None:
    more = {"T/plan/more.md": {"sha256": digest(b"more")}}
    resign(links / link_name("PLAN", LEDGER_KEY.public), lambda link: link["products"].update(more))
    with pytest.raises(RuleVerificationError, match="DISALLOW"):
        verify(links)


def test_in_toto_refuses_the_link_of_an_attempt_that_no_longer_counts(links: Path, history: History) -> None:
    """The link of the first PLAN is signed by the right key and fits in itself; the phases after it tell it apart."""
    entries = entries_of(history)
    back = next(number for number, entry in enumerate(entries) if isinstance(entry.event, PhaseBacktracked))
    first = walk_of(entries[:back], history.process)
    name = link_name("PLAN", LEDGER_KEY.public)
    (links / name).write_bytes(export_layout(first, sign=LEDGER_KEY, public=LEDGER_KEY.public)[name])
    with pytest.raises(RuleVerificationError, match="DISALLOW"):
        verify(links)


def test_in_toto_refuses_the_links_of_another_task(links: Path, tmp_path: Path, history: History) -> None:
    other = written(tmp_path / "other", history, "U")
    name = link_name("SPEC", LEDGER_KEY.public)
    (links / name).write_bytes((other / name).read_bytes())
    with pytest.raises(RuleVerificationError):
        verify(links)


def test_in_toto_refuses_a_layout_that_has_expired(tmp_path: Path, history: History) -> None:
    with pytest.raises(LayoutExpiredError):
        verify(written(tmp_path / "expired", history, expires=START))
