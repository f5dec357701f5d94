"""Allowed signers (ssh-keygen(1), ALLOWED SIGNERS): whose key is which, read more strictly than ssh-keygen does.

    ada@example.org ssh-ed25519 AAAAC3Nza… Ada's laptop
    bob namespaces="enforcer-approval",valid-after="20260101Z",valid-before="20270101Z" ssh-ed25519 AAAAC3Nza…

What counts here is that nobody approves their own work and that two approvals come from two people. So every line says
plainly whose key it is: a principal is a name, never a pattern; a key stands once and belongs to one principal; there
are no certificates, because their issuer would name the principals. Times end in `Z`, for without it they would mean
something else in every time zone. Every file that is accepted here means the same to ssh-keygen.
"""

from __future__ import annotations

import re

from enforcer.attestation.moments import format_moment
from enforcer.attestation.sshkeys import KEY_TYPES, KeyFault, decode_base64, fingerprint, parse_key
from enforcer.workflow.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 64 << 10
MAX_SIGNERS = 256

PRINCIPAL_PATTERN = r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,63}"
NAMESPACE_PATTERN = r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,127}"

_OPTION = r'([A-Za-z-]+)(?:="([^"]*)")?(?:,|\Z)'
_TIME = r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?Z"


class SignersFault(ValueError):
    """A text that is no list of allowed signers. `problems` are all that is wrong, each with its line."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems[:10]) + ("; …" if len(problems) > 10 else ""))
        self.problems = problems


class Signer(Record):
    """A key and whose it is.

    `key` is the encoded public key in base64. `namespaces` it may sign in: all, where empty. It is valid from
    `valid_after` to `valid_before`, both included: UTC microseconds, 0 for no bound. `line` counts from 1.
    """

    principal: str
    key_type: str
    key: str
    fingerprint: str
    namespaces: tuple[str, ...] = ()
    valid_after: int = 0
    valid_before: int = 0
    line: int = 0


def parse_allowed_signers(data: bytes) -> tuple[Signer, ...]:
    """The signers of a file, in its order. Raises `SignersFault` with everything that is wrong with it.

    At most 64 KiB of ASCII and 256 keys; lines that are empty or begin with `#` are skipped.
    """
    _check_text(data)
    signers: list[Signer] = []
    problems: list[str] = []
    for number, line in enumerate(data.decode("ascii").split("\n"), start=1):
        try:
            if line.strip(" \t") and not line.lstrip(" \t").startswith("#"):
                signers.append(_parse_line(line, number))
        except (KeyFault, ValueError) as fault:
            problems.append(f"line {number}: {fault}")
    problems += _clashes(signers)
    if not signers and not problems:
        problems.append("it names nobody")
    if len(signers) > MAX_SIGNERS:
        problems.append(f"it has {len(signers)} keys, the limit is {MAX_SIGNERS}")
    if problems:
        raise SignersFault(tuple(problems))
    return tuple(signers)


def _check_text(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise SignersFault((f"it has {len(data)} bytes, the limit is {MAX_BYTES}",))
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.isascii():
            raise SignersFault((f"line {number}: it is not ASCII",))
        if not line.replace(b"\t", b" ").decode("ascii").isprintable():
            raise SignersFault((f"line {number}: it holds a control character; lines end with a line feed alone",))


def _parse_line(line: str, number: int) -> Signer:
    principal, _, rest = line.strip(" \t").replace("\t", " ").partition(" ")
    _check_principal(principal)
    options = ""
    if not _begins_with_type(rest := rest.lstrip(" ")):
        options, _, rest = rest.partition(" ")
    words = rest.split(maxsplit=2)
    if len(words) < 2 or words[0] not in KEY_TYPES:
        raise ValueError(_no_key(options, words))
    key = decode_base64(words[1])
    if parse_key(key) != words[0]:
        raise ValueError(f"the key is not of the type {words[0]}")
    namespaces, after, before = _parse_options(options)
    return Signer(principal, words[0], words[1], fingerprint(key), namespaces, after, before, number)


def _check_principal(principal: str) -> None:
    if re.search(r"[*?!]", principal):
        raise ValueError(f"{_shown(principal)} is a pattern; name whose key it is")
    if "," in principal:
        raise ValueError(f"{_shown(principal)} gives one key to several principals, who could not be told apart")
    if not re.fullmatch(PRINCIPAL_PATTERN, principal):
        raise ValueError(
            f"{_shown(principal)} is no principal: up to 64 letters, digits and @ . _ + -, a letter or digit first"
        )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _begins_with_type(text: str) -> bool:
    return text.partition(" ")[0] in KEY_TYPES


def _no_key(options: str, words: list[str]) -> str:
    for word in (options, *words[:1]):
        if "-cert-v" in word or "cert-authority" in word.lower():
            return "certificates are not taken, since whoever signs them would decide who approves: name the keys"
    types = ", ".join(KEY_TYPES)
    return (
        f"a line is a principal, options without spaces where there are any, and a key of one of these types: {types}"
    )


def _parse_options(text: str) -> tuple[tuple[str, ...], int, int]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        option = re.compile(_OPTION).match(text, at)
        if option is None or (option[0].endswith(",") and option.end() == len(text)):
            raise ValueError(f'the options {_shown(text)} are not of the form name="value",name="value"')
        name, at = option[1].lower(), option.end()
        if name in found:
            raise ValueError(f"the option {name} stands twice")
        if name not in ("namespaces", "valid-after", "valid-before") or option[2] is None:
            raise ValueError(_bad_option(name))
        found[name] = option[2]
    after, before = (_parse_time(found, name) for name in ("valid-after", "valid-before"))
    if after and before and before <= after:
        raise ValueError("valid-before is not after valid-after")
    return _parse_namespaces(found), after, before


def _bad_option(name: str) -> str:
    if name == "cert-authority":
        return _no_key(name, [])
    return f"the option {name} is not one of namespaces, valid-after and valid-before, each with a value in quotes"


def _parse_namespaces(options: dict[str, str]) -> tuple[str, ...]:
    if "namespaces" not in options:
        return ()
    names = tuple(options["namespaces"].split(","))
    for name in names:
        if not re.fullmatch(NAMESPACE_PATTERN, name):
            raise ValueError(f"{_shown(name)} is no namespace; patterns are not taken")
    return names


def _parse_time(options: dict[str, str], name: str) -> int:
    """UTC microseconds since 1970; 0 where the option is not there."""
    if name not in options:
        return 0
    text = options[name]
    written = re.fullmatch(_TIME, text)
    if written is None:
        raise ValueError(f"{name} is {_shown(text)} and not a time in UTC, as 20260131Z or 20260131235959Z")
    year, month, day, hour, minute, second = (int(part or 0) for part in written.groups())
    if not (year >= 1971 and 1 <= month <= 12 and hour < 24 and minute < 60 and second < 60):
        raise ValueError(f"{name} is {_shown(text)}, which is no time from 1971 on")
    micro = ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000
    if format_moment(micro, fraction=False) != f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z":
        raise ValueError(f"{name} is {_shown(text)}, and that month has no such day")
    return micro


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970 in the Gregorian calendar, with years that begin in March so that a leap day comes last."""
    year -= month <= 2
    day_of_year = (153 * ((month - 3) % 12) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + day_of_year - 719_468


def _clashes(signers: list[Signer]) -> Iterator[str]:
    """Keys that stand twice, and names that differ only in what is overlooked when principals are compared."""
    keys: dict[str, Signer] = {}
    names: dict[str, Signer] = {}
    for signer in signers:
        first = keys.setdefault(signer.key, signer)
        if first is not signer:
            whose = f"as the key of {first.principal}" if first.principal != signer.principal else "already"
            yield f"line {signer.line}: the key of {signer.principal} stands in line {first.line} {whose}"
        first = names.setdefault(signer.principal.lower().rstrip("."), signer)
        if first.principal != signer.principal:
            yield f"line {signer.line}: {signer.principal} is spelled {first.principal} in line {first.line}"
