"""SSH signatures: what stock ssh-keygen makes is taken, what is made here it takes, and every lie has its name."""

from __future__ import annotations

import binascii
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from enforcer.attestation import ssh
from enforcer.attestation.approval import ApprovalFault, Statement, parse_statement, statement_bytes
from enforcer.attestation.signers import parse_allowed_signers
from enforcer.attestation.ssh import find_signer, sign, verify
from enforcer.attestation.sshsig import parse_signature
from enforcer.errors import UnavailableError
from tests.attestation.sshkeys import HardwareKey, armor, make_key, public, sshsig, stock_sign, stock_verify, string
from tests.sources import ROOT

JULY_2026 = 1_782_907_200_000_000  # 2026-07-01T12:00:00Z
DAY = 86_400_000_000

STATEMENT = Statement(
    kind="approve",
    ledger="1" * 32,
    task="TASK-1",
    phase="REVIEW",
    attempt_id="2" * 32,
    process="3" * 64,
    principal="ada",
    expires=JULY_2026 + DAY,
    nonce="4" * 32,
    evidence={"REVIEW/review_rubric.json": "5" * 64},
    tree="6" * 40,
)
DATA = statement_bytes(STATEMENT)
FOR_B = statement_bytes(STATEMENT.replace(evidence={"REVIEW/review_rubric.json": "b" * 64}))


@dataclass(frozen=True)
class Keys:
    folder: Path
    ada: Path
    bob: Path
    eve: Path
    ecdsa: Path
    rsa: Path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    return Keys(
        folder,
        make_key(folder, "ada"),
        make_key(folder, "bob"),
        make_key(folder, "eve"),
        make_key(folder, "ecdsa", "-t", "ecdsa", "-b", "521"),
        make_key(folder, "rsa", "-t", "rsa", "-b", "2048"),
    )


@pytest.fixture
def allowed(keys: Keys) -> str:
    return f"# who approves\nada {public(keys.ada)} laptop\nbob {public(keys.bob)}\n"


def refused(signature: str, allowed: str, principal: str = "ada", data: bytes = DATA, at: int = JULY_2026) -> str:
    with pytest.raises(ApprovalFault) as caught:
        verify(data, signature, allowed.encode(), principal, at_us=at)
    assert caught.value.message.isprintable()
    return caught.value.code


# Both ways -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ada", "ecdsa", "rsa"])
def test_what_stock_ssh_keygen_signs_verifies_here(keys: Keys, name: str) -> None:
    key = getattr(keys, name)
    allowed = f"ada {public(key)}\n"
    [signer] = parse_allowed_signers(allowed.encode())
    assert verify(DATA, stock_sign(key, DATA), allowed.encode(), "ada", at_us=JULY_2026) == signer.fingerprint


@pytest.mark.parametrize("name", ["ada", "ecdsa", "rsa"])
def test_what_is_signed_here_verifies_with_stock_ssh_keygen(keys: Keys, tmp_path: Path, name: str) -> None:
    key = getattr(keys, name)
    signature = sign(DATA, str(key))
    done = stock_verify(tmp_path, DATA, signature, f"ada {public(key)}\n", "ada")
    assert done.returncode == 0, done.stderr
    assert stock_verify(tmp_path, FOR_B, signature, f"ada {public(key)}\n", "ada").returncode != 0


def test_the_fingerprint_is_the_one_that_ssh_keygen_shows(keys: Keys, allowed: str) -> None:
    shown = subprocess.run(["ssh-keygen", "-l", "-f", keys.ada], capture_output=True, text=True, check=True).stdout
    assert verify(DATA, sign(DATA, str(keys.ada)), allowed.encode(), "ada", at_us=JULY_2026) == shown.split()[1]


def test_a_key_that_only_an_agent_holds_signs_by_its_public_half(
    keys: Keys, allowed: str, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    subprocess.run(["ssh-add", "-q", str(keys.ada)], check=True)
    with tempfile.TemporaryDirectory() as elsewhere:
        half = Path(elsewhere, "ada.pub")
        half.write_bytes(keys.ada.with_suffix(".pub").read_bytes())
        signature = sign(DATA, str(half))
        subprocess.run(["ssh-add", "-q", "-D"], check=True, capture_output=True)
        with pytest.raises(UnavailableError, match="signing_failed"):
            sign(DATA, str(half))
    assert verify(DATA, signature, allowed.encode(), "ada", at_us=JULY_2026)


@pytest.fixture
def agent() -> Iterator[str]:
    # The path of a socket has to be short.
    with tempfile.TemporaryDirectory(prefix="agent-", dir="/tmp") as folder:
        socket = os.path.join(folder, "socket")
        told = subprocess.run(["ssh-agent", "-s", "-a", socket], capture_output=True, text=True, check=True).stdout
        pid = told.split("SSH_AGENT_PID=")[1].split(";")[0]
        try:
            yield socket
        finally:
            os.kill(int(pid), 15)


@pytest.mark.parametrize("curve", ["ed25519", "ecdsa"])
def test_a_touched_hardware_key_counts_here_as_it_does_for_ssh_keygen(tmp_path: Path, curve: str) -> None:
    key = HardwareKey(curve)
    allowed, signature = f"ada {key.public}\n", key.sign(DATA)
    assert stock_verify(tmp_path, DATA, signature, allowed, "ada").returncode == 0
    assert verify(DATA, signature, allowed.encode(), "ada", at_us=JULY_2026)
    assert refused(signature, allowed, data=FOR_B) == "signature_mismatch"


@pytest.mark.parametrize("curve", ["ed25519", "ecdsa"])
def test_a_hardware_key_that_nobody_touched_does_not_count(tmp_path: Path, curve: str) -> None:
    """ssh-keygen takes such a signature: whether a touch is needed is for the one who asks."""
    key = HardwareKey(curve)
    allowed, signature = f"ada {key.public}\n", key.sign(DATA, flags=0)
    assert stock_verify(tmp_path, DATA, signature, allowed, "ada").returncode == 0
    assert refused(signature, allowed) == "signature_malformed"


def test_a_touch_that_was_written_in_afterwards_does_not_count() -> None:
    key = HardwareKey()
    untouched, touched = (key.sign(DATA, flags=flags) for flags in (0, 1))
    blob = string(key.key_type.encode()) + string(b"\0" * 64) + b"\1" + (7).to_bytes(4, "big")
    assert untouched != touched
    assert refused(armor(sshsig(key.key, blob)), f"ada {key.public}\n") == "signature_mismatch"


# Every lie has its name ----------------------------------------------------------------------------------------------


def test_an_approval_of_one_digest_is_none_of_another(keys: Keys, allowed: str) -> None:
    assert refused(stock_sign(keys.ada, DATA), allowed, data=FOR_B) == "signature_mismatch"


def test_a_signature_that_was_made_for_something_else_is_no_approval(keys: Keys, allowed: str) -> None:
    assert refused(stock_sign(keys.ada, DATA, "file"), allowed) == "signature_namespace"
    assert refused(stock_sign(keys.ada, DATA, "\x1b[2J"), allowed) == "signature_malformed"


def test_a_namespace_that_was_exchanged_afterwards_does_not_hold(keys: Keys, allowed: str) -> None:
    other = stock_sign(keys.ada, DATA, "enforcer-approvaL")
    raw = parse_signature(other)
    assert raw.namespace == "enforcer-approvaL"
    data = _dearmored(other).replace(b"enforcer-approvaL", b"enforcer-approval")
    assert refused(armor(data), allowed) == "signature_mismatch"


def test_a_key_that_the_process_does_not_list_signs_for_nobody(keys: Keys, allowed: str) -> None:
    assert refused(stock_sign(keys.eve, DATA), allowed) == "signer_unknown"


def test_the_key_of_one_principal_does_not_sign_for_another(keys: Keys, allowed: str) -> None:
    signature = stock_sign(keys.bob, DATA)
    assert refused(signature, allowed) == "signer_other"
    assert refused(signature, allowed, "\x1b[2J") == "signer_other"
    assert verify(DATA, signature, allowed.encode(), "bob", at_us=JULY_2026)


def test_a_signature_is_not_passed_off_as_the_one_of_a_listed_key(keys: Keys, allowed: str) -> None:
    """Eve signs, and writes Ada's key into the signature."""
    [ada, _] = parse_allowed_signers(allowed.encode())
    [eve] = parse_allowed_signers(f"eve {public(keys.eve)}".encode())
    raw = _dearmored(stock_sign(keys.eve, DATA))
    forged = raw.replace(_bytes(eve.key), _bytes(ada.key))
    assert forged != raw
    assert refused(armor(forged), allowed) == "signature_mismatch"


@pytest.mark.parametrize(
    "options, code",
    [
        ('valid-before="20260630Z"', "signer_expired"),
        ('valid-after="20260702Z"', "signer_early"),
        ('namespaces="git,file"', "signer_namespace"),
    ],
)
def test_a_key_counts_only_when_and_for_what_the_list_says(keys: Keys, options: str, code: str) -> None:
    allowed = f"ada {options} {public(keys.ada)}\n"
    assert refused(stock_sign(keys.ada, DATA), allowed) == code


TIMES = ["20260630235959", "20260701000000", "20260715000000", "20260801000000", "20260801000001"]


@pytest.mark.parametrize("at", TIMES)
@pytest.mark.parametrize(
    "options",
    [
        "",
        'valid-after="20260701Z" ',
        'valid-before="202608010000Z",namespaces="git,enforcer-approval" ',
        'valid-after="20260701000000Z",VALID-BEFORE="20260801Z" ',
    ],
)
def test_ssh_keygen_gives_the_same_answer_at_every_time(keys: Keys, tmp_path: Path, options: str, at: str) -> None:
    allowed, signature = f"ada {options}{public(keys.ada)}\n", stock_sign(keys.ada, DATA)
    stock = stock_verify(tmp_path, DATA, signature, allowed, "ada", "-O", f"verify-time={at}Z").returncode == 0
    # The option and the list are read by one parser, which `tests/attestation/test_signers.py` holds to the calendar.
    moment = parse_allowed_signers(f'x valid-after="{at}Z" {public(keys.ada)}'.encode())[0].valid_after
    try:
        ours = bool(verify(DATA, signature, allowed.encode(), "ada", at_us=moment))
    except ApprovalFault:
        ours = False
    assert ours is stock


def test_no_flipped_bit_of_a_signature_counts(keys: Keys, allowed: str) -> None:
    """One bit of every byte; ssh-keygen is asked only where everything around the signature itself holds."""
    raw = _dearmored(stock_sign(keys.ada, DATA))
    asked = 0
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 1 << at % 8
        if at < len(raw) - 64 or at % 16 == 0:
            code = refused(armor(bytes(changed)), allowed)
            asked += code == "signature_mismatch"
    assert asked >= 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes",
        "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
        armor(b""),
        armor(b"SSHSIG"),
        armor(b"SSHSIG\0\0\0\2" + b"\0" * 40),
        armor(sshsig(string(b"ssh-dss") + string(b""), b"")),
        armor(sshsig(string(b"ssh-ed25519-cert-v01@openssh.com"), b"")),
        armor(b"x" * (16 << 10)),
        "é",
    ],
    ids=range(10),
)
def test_what_is_no_signature_is_called_so(allowed: str, text: str) -> None:
    assert refused(text, allowed) == "signature_malformed"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"\0",
        lambda data: data.replace(b"sha512", b"sha384"),
        lambda data: data.replace(string(b""), string(b"x")),
        lambda data: data.replace(b"\0\0\0\x53\0", b"\0\0\0\x52\0").replace(b"\0\0\0\x40", b"\0\0\0\x3f")[:-1],
    ],
)
def test_a_signature_with_something_else_in_it_is_no_signature(keys: Keys, allowed: str, change) -> None:
    raw = _dearmored(stock_sign(keys.ada, DATA))
    assert change(raw) != raw
    assert refused(armor(change(raw)), allowed) == "signature_malformed"


def test_an_unusable_list_lets_nobody_sign(keys: Keys) -> None:
    assert refused(stock_sign(keys.ada, DATA), f"* {public(keys.ada)}\n") == "signers_malformed"


def test_a_signed_statement_is_read_back_as_it_was(keys: Keys, allowed: str) -> None:
    signature = sign(DATA, str(keys.ada))
    assert verify(DATA, signature, allowed.encode(), parse_statement(DATA).principal, at_us=JULY_2026)
    assert parse_statement(DATA) == STATEMENT


# Whose key -----------------------------------------------------------------------------------------------------------


def test_the_signer_of_a_key_file_is_found_without_its_passphrase(keys: Keys, tmp_path: Path) -> None:
    locked = make_key(tmp_path, "locked")
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", locked], check=True, capture_output=True)
    allowed = f"ada {public(locked)}\nbob {public(keys.bob)}\n".encode()
    locked.with_suffix(".pub").unlink()
    assert find_signer(str(locked), allowed).principal == "ada"
    assert find_signer(str(keys.bob.with_suffix(".pub")), allowed).principal == "bob"
    with pytest.raises(ApprovalFault) as caught:
        find_signer(str(keys.eve), allowed)
    assert caught.value.code == "signer_unknown"


@pytest.mark.parametrize("name", ["missing", "-x", "text", "."])
def test_what_holds_no_key_is_an_error_with_a_fix(tmp_path: Path, allowed: str, name: str) -> None:
    (tmp_path / "text").write_text("\x1b[2J", encoding="ascii")
    for ask in (lambda path: find_signer(path, allowed.encode()), lambda path: sign(DATA, path)):
        with pytest.raises(UnavailableError) as caught:
            ask(str(tmp_path / name))
        assert caught.value.code in ("key_file_unreadable", "signing_failed")
        assert caught.value.message.isprintable()
        assert caught.value.fix


# The surroundings ----------------------------------------------------------------------------------------------------


def test_an_askpass_program_unlocks_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path, "locked")
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", key], check=True, capture_output=True)
    monkeypatch.setenv("SSH_ASKPASS", _script(tmp_path, "ask", "echo secret"))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    assert verify(DATA, sign(DATA, str(key)), f"ada {public(key)}".encode(), "ada", at_us=JULY_2026)


def test_a_person_at_a_terminal_is_asked_for_the_passphrase(tmp_path: Path) -> None:
    key = make_key(tmp_path, "locked")
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", key], check=True, capture_output=True)
    program = "import sys; from enforcer.attestation.ssh import sign; sys.stdout.write(sign(b'x', sys.argv[1]))"
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", program, str(key)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
        cwd=ROOT,
    ) as asking:
        os.close(theirs)
        shown = b""
        while b"passphrase" not in shown:
            shown += os.read(ours, 1024)
        os.write(ours, b"secret\n")
        answer, _ = asking.communicate(timeout=60)
    os.close(ours)
    assert asking.returncode == 0
    assert verify(b"x", answer.decode(), f"ada {public(key)}".encode(), "ada", at_us=JULY_2026)


def test_a_program_on_the_search_path_does_not_say_what_holds(
    keys: Keys, allowed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _script(tmp_path, "ssh-keygen", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert subprocess.run(["ssh-keygen", "-Y", "verify"], check=False).returncode == 0
    assert refused(_system_sign(keys.ada), allowed, data=FOR_B) == "signature_mismatch"


def _system_sign(key: Path) -> str:
    """Signed by the system's ssh-keygen, whatever the search path."""
    command = ["/usr/bin/ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", "enforcer-approval"]
    return subprocess.run(command, input=DATA, capture_output=True, check=True).stdout.decode("ascii")


@pytest.mark.parametrize(
    "body",
    [
        "exit 0",
        "for last; do :; done; echo yes > $last.sig",
        "for last; do :; done; printf '\\377' > $last.sig",
        "printf 'no\\033[2J\\nway' >&2; exit 3",
        "kill -9 $$",
    ],
)
def test_what_is_no_ssh_keygen_signs_nothing(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    _script(tmp_path, "ssh-keygen", body)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(UnavailableError) as caught:
        sign(DATA, str(keys.ada))
    assert caught.value.code == "signing_failed"
    assert caught.value.message.isprintable()


def test_a_program_that_signs_for_another_purpose_is_not_believed(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = f"for last; do :; done; exec /usr/bin/ssh-keygen -q -Y sign -f {keys.ada} -n file $last"
    _script(tmp_path, "ssh-keygen", body)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(UnavailableError, match="for another purpose"):
        sign(DATA, str(keys.ada))


def test_a_relative_folder_of_the_search_path_is_not_looked_into(
    keys: Keys, allowed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _script(tmp_path, "ssh-keygen", "exit 3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}/usr/bin:/bin")
    assert verify(DATA, sign(DATA, str(keys.ada)), allowed.encode(), "ada", at_us=JULY_2026)


def test_without_ssh_keygen_there_is_no_answer(keys: Keys, allowed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    signature = stock_sign(keys.ada, DATA)
    monkeypatch.setattr(ssh, "_SYSTEM", ())
    monkeypatch.setenv("PATH", "/nowhere")
    for ask in (
        lambda: sign(DATA, str(keys.ada)),
        lambda: verify(DATA, signature, allowed.encode(), "ada", at_us=JULY_2026),
        lambda: find_signer(str(keys.ada), allowed.encode()),
    ):
        with pytest.raises(UnavailableError, match="ssh_keygen_missing"):
            ask()


@pytest.mark.parametrize("body", ["echo 'unknown option -- Y' >&2; exit 1", "kill -9 $$"])
def test_a_signature_that_could_not_be_checked_is_neither_good_nor_forged(
    keys: Keys, allowed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    signature = stock_sign(keys.ada, DATA)
    _script(tmp_path, "ssh-keygen", body)
    monkeypatch.setattr(ssh, "_SYSTEM", (str(tmp_path),))
    with pytest.raises(UnavailableError, match="signature_unchecked"):
        verify(DATA, signature, allowed.encode(), "ada", at_us=JULY_2026)


def test_nothing_of_the_callers_environment_reaches_the_check(
    keys: Keys, allowed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = stock_sign(keys.ada, DATA)
    _script(tmp_path, "ssh-keygen", f"env > {tmp_path}/seen")
    monkeypatch.setattr(ssh, "_SYSTEM", (str(tmp_path), "/usr/bin", "/bin"))
    monkeypatch.setenv("LD_PRELOAD_LIKE", "1")
    monkeypatch.setenv("SSH_SK_PROVIDER", "/tmp/evil.so")
    verify(DATA, signature, allowed.encode(), "ada", at_us=JULY_2026)
    seen = {line.split("=")[0] for line in (tmp_path / "seen").read_text(encoding="utf-8").splitlines()}
    assert {"LC_ALL", "TZ", "PATH"} <= seen <= {"LC_ALL", "TZ", "PATH", "PWD", "SHLVL", "_", "OLDPWD"}


def test_no_statement_and_no_signature_is_left_lying_about(
    keys: Keys, allowed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    verify(DATA, sign(DATA, str(keys.ada)), allowed.encode(), "ada", at_us=JULY_2026)
    with pytest.raises(UnavailableError):
        sign(DATA, str(tmp_path / "missing"))
    assert list(tmp_path.iterdir()) == []


# The page ------------------------------------------------------------------------------------------------------------


def test_the_recipes_of_the_page_work_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key made by the first recipe signs here; the last one verifies what was signed, and nothing else."""
    page = (ROOT / "docs" / "approvals.md").read_text(encoding="utf-8")
    make, check = (part.split("```\n")[0] for part in page.split("```sh\n")[1:])
    (tmp_path / ".ssh").mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    _shell(make)
    listed = (tmp_path / "allowed_signers").read_bytes()
    data = statement_bytes(STATEMENT.replace(principal="ada@example.org"))
    (tmp_path / "statement").write_bytes(data)
    signature = sign(data, str(tmp_path / ".ssh" / "approvals"))
    (tmp_path / "signature").write_text(signature, encoding="ascii")
    assert verify(data, signature, listed, "ada@example.org", at_us=JULY_2026)
    assert b'Good "enforcer-approval" signature for ada@example.org' in _shell(check).stdout
    (tmp_path / "statement").write_bytes(data.replace(b"TASK-1", b"TASK-2"))
    with pytest.raises(subprocess.CalledProcessError):
        _shell(check)


def _shell(script: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh", "-euc", script], stdin=subprocess.DEVNULL, capture_output=True, check=True)


def _script(folder: Path, name: str, body: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def _dearmored(signature: str) -> bytes:
    return _bytes("".join(signature.splitlines()[1:-1]))


def _bytes(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)
