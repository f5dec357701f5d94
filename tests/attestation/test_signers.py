"""Lists of allowed signers: plain ones mean here what they mean to ssh-keygen, and the others are refused."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.attestation.signers import MAX_BYTES, MAX_SIGNERS, Signer, SignersFault, parse_allowed_signers
from tests.attestation.sshkeys import HardwareKey, base64, make_key, number, public, stock_sign, stock_verify, string

ED = "ssh-ed25519 " + base64(string(b"ssh-ed25519") + string(b"\1" * 32))
ED_2 = "ssh-ed25519 " + base64(string(b"ssh-ed25519") + string(b"\2" * 32))
NOON = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)


def rsa(bits: int, *, padding: bytes = b"", behind: bytes = b"") -> str:
    modulus = number((1 << bits - 1) + 1)
    if padding:
        modulus = string(padding + modulus[4:])
    return "ssh-rsa " + base64(string(b"ssh-rsa") + number(65537) + modulus + behind)


def only(text: str) -> Signer:
    [signer] = parse_allowed_signers(text.encode())
    return signer


def problems(text: str | bytes) -> tuple[str, ...]:
    with pytest.raises(SignersFault) as caught:
        parse_allowed_signers(text if isinstance(text, bytes) else text.encode())
    assert all(each.isprintable() and len(each) < 600 for each in caught.value.problems)
    return caught.value.problems


# What is taken -------------------------------------------------------------------------------------------------------


def test_a_signer_is_read_with_everything_that_the_line_says() -> None:
    times = 'valid-after="20260101Z",valid-before="202612312359Z"'
    signer = only(f'\n# ada\n  ada@example.org\tnamespaces="git,enforcer-approval",{times} {ED} her "laptop"\n')
    assert signer.principal == "ada@example.org"
    assert f"{signer.key_type} {signer.key}" == ED
    assert signer.namespaces == ("git", "enforcer-approval")
    assert signer.valid_after == _us(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    assert signer.valid_before == _us(datetime.datetime(2026, 12, 31, 23, 59, tzinfo=datetime.UTC))
    assert signer.line == 3


@pytest.mark.parametrize("key", [ED, rsa(2048), HardwareKey("ed25519").public, HardwareKey("ecdsa").public])
def test_a_key_of_each_type_is_taken(key: str) -> None:
    assert only(f"ada {key}").key_type == key.split()[0]


@pytest.mark.parametrize("bits", [256, 384, 521])
def test_a_key_of_each_curve_is_taken(tmp_path: Path, bits: int) -> None:
    key = make_key(tmp_path, "key", "-t", "ecdsa", "-b", str(bits))
    assert only(f"ada {public(key)}").key_type == f"ecdsa-sha2-nistp{bits}"


def test_one_principal_may_have_several_keys() -> None:
    assert [each.principal for each in parse_allowed_signers(f"ada {ED}\nada {ED_2}\n".encode())] == ["ada", "ada"]


@pytest.mark.parametrize(
    "line",
    [
        "ada {}",
        "  ada   {}   ",
        "\tada\t{}\tcomment",
        "ada {} * ? ! , comment",
        'ada NameSpaces="enforcer-approval" {}',
        'ada namespaces="git,enforcer-approval",valid-after="20200101Z",valid-before="29991231235959Z" {} c',
        "# first\n\n   # second\nada {}\n#",
    ],
)
def test_ssh_keygen_takes_what_is_taken_here(tmp_path: Path, line: str) -> None:
    key = make_key(tmp_path, "key")
    allowed = line.replace(" ", " ").format(public(key)) + "\n"
    assert only(allowed).principal == "ada"
    assert stock_verify(tmp_path, b"x", stock_sign(key, b"x"), allowed, "ada").returncode == 0


@given(seconds=st.integers(31_536_000, 253_402_300_799))
def test_every_time_is_read_as_the_calendar_has_it(seconds: int) -> None:
    utc = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    assert only(f'ada valid-after="{utc:%4Y%m%d%H%M%S}Z" {ED}').valid_after == _us(utc)


def _us(moment: datetime.datetime) -> int:
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("principal", ["*", "*@example.org", "ad?", "!eve", "ada,*"])
def test_a_principal_is_no_pattern(principal: str) -> None:
    [problem] = problems(f"{principal} {ED}")
    assert "is a pattern" in problem


def test_one_key_does_not_have_two_names() -> None:
    assert "could not be told apart" in problems(f"ada,ada@example.org {ED}")[0]
    [problem] = problems(f"ada {ED}\nbob {ED}\n")
    assert problem == "line 2: the key of bob stands in line 1 as the key of ada"
    [problem] = problems(f'ada {ED}\nada valid-after="20260101Z" {ED}\n')
    assert problem.endswith("stands in line 1 already")


@pytest.mark.parametrize("other", ["Ada", "ADA", "ada.", "ada.."])
def test_two_spellings_of_one_name_are_refused(other: str) -> None:
    """Principals are compared without regard to case and dots at the end, so these are one person."""
    [problem] = problems(f"ada {ED}\n{other} {ED_2}\n")
    assert problem == f"line 2: {other} is spelled ada in line 1"


@pytest.mark.parametrize(
    "line",
    [
        f"ada cert-authority {ED}",
        f'ada CERT-AUTHORITY,namespaces="git" {ED}',
        "ada ssh-ed25519-cert-v01@openssh.com AAAA",
        "ada ssh-ed25519 " + base64(string(b"ssh-ed25519-cert-v01@openssh.com")),
    ],
)
def test_certificates_are_refused_by_name(line: str) -> None:
    assert "certificate" in problems(line)[0]


@pytest.mark.parametrize(
    "key",
    [
        "ssh-dss AAAAB3NzaC1kc3M=",
        rsa(2047),
        rsa(16385),
        rsa(2048, padding=b"\0"),
        rsa(2048, behind=b"\0"),
        ED.replace("ssh-ed25519", "ssh-rsa", 1),
        ED[:-4],
        ED[:-1],
        ED + "=",
        "ssh-ed25519 " + base64(string(b"ssh-ed25519") + string(b"\1" * 31)),
        "ssh-ed25519 " + base64(string(b"ssh-ed25519") + string(b"\1" * 32) + b"\0"),
        rsa(2056).replace("Q==", "R=="),
        "ssh-ed25519 " + base64(b"\xff\xff\xff\xff"),
        "ssh-ed25519 é",
        "ecdsa-sha2-nistp256 "
        + base64(string(b"ecdsa-sha2-nistp256") + string(b"nistp384") + string(b"\4" + b"\1" * 64)),
        "ecdsa-sha2-nistp256 "
        + base64(string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\2" + b"\1" * 32)),
        "ecdsa-sha2-nistp256 "
        + base64(string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\2" + b"\1" * 64)),
        "sk-ssh-ed25519@openssh.com "
        + base64(string(b"sk-ssh-ed25519@openssh.com") + string(b"\1" * 32) + string(b"")),
        "sk-ssh-ed25519@openssh.com " + base64(string(b"sk-ssh-ed25519@openssh.com") + string(b"\1" * 32)),
        "",
        "ssh-ed25519",
    ],
    ids=range(21),
)
def test_a_key_that_is_weak_or_has_two_forms_or_none_is_refused(key: str) -> None:
    assert len(problems(f"ada {key}\n")) == 1


@pytest.mark.parametrize(
    "options",
    [
        'namespaces="*"',
        'namespaces="git,!enforcer-approval"',
        'namespaces=""',
        'namespaces="a b"',
        "namespaces=git",
        "namespaces",
        'namespaces="a",namespaces="b"',
        'valid-after="20260131"',
        'valid-after="now"',
        'valid-after="20260230Z"',
        'valid-after="20250229Z"',
        'valid-after="20261301Z"',
        'valid-after="20260100Z"',
        'valid-after="202601012400Z"',
        'valid-after="20260101000060Z"',
        'valid-after="19700101Z"',
        'valid-after="\u0662\u0660\u0662\u0666\u0660\u0661\u0660\u0661Z"',
        'valid-after="20260102Z",valid-before="20260102Z"',
        'zone="1"',
        'namespaces="git",',
        ',namespaces="git"',
        'namespaces="git',
        "no-touch-required",
    ],
)
def test_an_option_that_is_no_plain_one_is_refused(options: str) -> None:
    assert len(problems(f"ada {options} {ED}")) == 1


@pytest.mark.parametrize("principal", ["", '"ada"', '"a b"', "é", "-ada", "@ada", ".", "a" * 65, "a/b", "a:b"])
def test_a_principal_is_a_name_that_actors_have(principal: str) -> None:
    assert len(problems(f"{principal} {ED}")) == 1


@pytest.mark.parametrize("data", [b"\0", b"\r\n", b"\x1b[2J", b"\x7f", b"\xef\xbb\xbf", "ä".encode(), b"\xff"])
def test_only_plain_ascii_is_read(data: bytes) -> None:
    [problem] = problems(b"ada " + ED.encode() + b" " + data)
    assert problem.startswith("line 1: ")


@pytest.mark.parametrize("text", ["", "\n", "# nobody\n"])
def test_a_list_of_nobody_is_refused(text: str) -> None:
    assert problems(text) == ("it names nobody",)


def test_a_list_has_bounds() -> None:
    assert "limit" in problems(b"#" * (MAX_BYTES + 1))[0]
    key = "ssh-ed25519 {}"
    lines = [
        f"a{n} " + key.format(base64(string(b"ssh-ed25519") + string(n.to_bytes(32, "big"))))
        for n in range(MAX_SIGNERS + 1)
    ]
    assert len(parse_allowed_signers("\n".join(lines[:-1]).encode())) == MAX_SIGNERS
    assert "limit" in problems("\n".join(lines))[0]


def test_everything_that_is_wrong_is_told_at_once_with_its_line() -> None:
    found = problems(f"* {ED}\nada {ED}\nbob {ED}\neve x y\n")
    assert [each.split(":")[0] for each in found] == ["line 1", "line 4", "line 3"]


@given(st.binary(max_size=200) | st.text(alphabet='ad*,?!"= \t\n#ssh-ed25519AZ', max_size=200).map(str.encode))
def test_nothing_that_is_read_breaks_the_reader(data: bytes) -> None:
    if not _is_taken(data):
        assert problems(data)


def _is_taken(data: bytes) -> bool:
    try:
        return bool(parse_allowed_signers(data))
    except SignersFault:
        return False
