"""Signing and checking with ssh-keygen, so that people approve with the keys that they have, hardware keys too.

ssh-keygen is asked two things only: to sign these bytes, and whether this one key signed these bytes for this purpose.
Which key may sign, in whose name and when is decided by `attestation.admission` from the list of the stored process, so
the answer is the same whatever version of ssh-keygen, time zone or configuration there is. ssh-keygen reads no
configuration of the user; it is given an environment of its own, and files in a folder that nobody else can enter.
What it takes has to hold in `attestation.sshcheck` as well, which is what every later verification asks.

To sign, the ssh-keygen that the user's own search path finds is taken, because it may be the one that knows their
hardware. To check, the system's is, because whoever can put a program on a path must not answer for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

from enforcer.attestation.admission import admit, identify
from enforcer.attestation.approval import NAMESPACE, ApprovalFault
from enforcer.attestation.sshcheck import check_signature
from enforcer.attestation.sshsig import parse_signature
from enforcer.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enforcer.attestation.signers import Signer

_SYSTEM = ("/usr/bin", "/bin", "/usr/local/bin", "/opt/homebrew/bin", "/run/current-system/sw/bin")

# What a person needs to unlock a key: the agent, a window or terminal to ask on, and the driver of a hardware key.
_TO_SIGN = (
    *("HOME", "USER", "LOGNAME", "TERM", "SSH_AUTH_SOCK"),
    *("SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR"),
    *("DBUS_SESSION_BUS_ADDRESS", "SSH_SK_PROVIDER", "SSH_SK_HELPER"),
)
_WRONG = "incorrect signature"  # What OpenSSH calls a signature that does not hold, in every version that has `-Y`.
_CHECK_SECONDS = 30


def sign(statement: bytes, key_file: str, namespace: str = NAMESPACE) -> str:
    """An armored signature over `statement` by the key in `key_file`: a private key, or a public one that an agent has.

    ssh-keygen may ask for a passphrase, or a touch, on the terminal: standard input is left to it, and standard error
    where that is a terminal, since it does not ask for a touch otherwise. Raises `UnavailableError` `signing_failed`,
    with its words where they were not on the terminal already, and `ssh_keygen_missing`.
    """
    with tempfile.TemporaryDirectory(prefix="enforcer-sign-") as folder:
        path = _write(folder, "statement", statement)
        done = _run(
            ("-q", "-Y", "sign", "-f", os.path.abspath(key_file), "-n", namespace, path),
            folders=(*_search_path(), *_SYSTEM),
            environment=_chosen(),
            stdin=None,
            stderr=None if _is_terminal() else subprocess.PIPE,
        )
        if done.returncode != 0:
            raise _unsigned(key_file, _words(done))
        return _read_signature(f"{path}.sig", key_file, namespace)


def _read_signature(path: str, key_file: str, namespace: str) -> str:
    """What ssh-keygen wrote, looked at: a program of another kind may stand under its name."""
    try:
        with open(path, encoding="ascii") as file:
            armored = file.read()
        made = parse_signature(armored)
    except (OSError, ValueError) as error:
        raise _unsigned(key_file, f"what it wrote is no signature that counts: {error}") from None
    if made.namespace != namespace:
        raise _unsigned(key_file, "it signed for another purpose")
    return armored


def find_signer(key_file: str, allowed_signers: bytes) -> Signer:
    """Whose key `key_file` holds, private or public, by its fingerprint; no passphrase is needed.

    Where `key_file`.pub stands beside a private key, ssh-keygen believes it. Raises `ApprovalFault` (`signer_unknown`),
    and `UnavailableError` `key_file_unreadable` and `ssh_keygen_missing`.
    """
    done = _run(
        ("-l", "-E", "sha256", "-f", os.path.abspath(key_file)),
        folders=(*_search_path(), *_SYSTEM),
        environment=_chosen(),
        stdin=subprocess.DEVNULL,
    )
    words = done.stdout.split()
    if done.returncode != 0 or len(words) < 2:
        raise UnavailableError(
            "key_file_unreadable",
            f"ssh-keygen finds no key: {_words(done)}.",
            fix="name an SSH key, private or public, that you may read: --sign-with ~/.ssh/id_ed25519",
            where=key_file,
        )
    return identify(words[1].decode("ascii", "replace"), allowed_signers)


def verify(
    statement: bytes,
    signature: str,
    allowed_signers: bytes,
    principal: str,
    *,
    at_us: int,
    namespace: str = NAMESPACE,
) -> str:
    """The fingerprint of the key with which `principal` signed exactly `statement`.

    `allowed_signers` says whose key is which, and `at_us` (UTC microseconds) is the time at which the key has to be
    valid. Raises `ApprovalFault` where it is not so, by the codes of `admission.admit` and with `signature_mismatch`
    for a signature over other bytes; `UnavailableError` `signature_unchecked` and `ssh_keygen_missing` where it could
    not be found out, which is no yes.
    """
    signer = admit(signature, allowed_signers, principal, at_us=at_us, namespace=namespace)
    with tempfile.TemporaryDirectory(prefix="enforcer-check-") as folder:
        line = f"{signer.principal} {signer.key_type} {signer.key}\n"
        listed = _write(folder, "allowed_signers", line.encode("ascii"))
        signed = _write(folder, "signature", signature.encode("ascii"))
        question = ("-Y", "verify", "-f", listed, "-I", signer.principal, "-n", namespace, "-s", signed)
        done = _run(question, folders=(*_SYSTEM, *_search_path()), environment={}, data=statement)
    if done.returncode == 0 and check_signature(statement, parse_signature(signature)):
        return signer.fingerprint
    if done.returncode == 0 or _WRONG in _words(done):
        raise ApprovalFault(
            "signature_mismatch", f"The key of {principal} signed other bytes than these ({signer.fingerprint})."
        )
    raise UnavailableError(
        "signature_unchecked",
        f"ssh-keygen could not tell whether the signature holds: {_words(done)}.",
        fix="check it where ssh-keygen of OpenSSH 8.2 or later runs and knows this type of key",
    )


# Running it ----------------------------------------------------------------------------------------------------------


def _run(
    arguments: Sequence[str],
    *,
    folders: Sequence[str],
    environment: Mapping[str, str],
    stdin: int | None = None,
    stderr: int | None = subprocess.PIPE,
    data: bytes | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen without a shell. With `data` it is asked a question and has to answer in good time."""
    program = shutil.which("ssh-keygen", path=os.pathsep.join(folders))
    if program is None:
        raise UnavailableError(
            "ssh_keygen_missing", "There is no ssh-keygen here.", fix="install OpenSSH 8.2 or later (openssh-client)"
        )
    surroundings = {**environment, "LC_ALL": "C", "TZ": "UTC", "PATH": os.pathsep.join(folders)}
    try:
        if data is None:
            return subprocess.run(
                [program, *arguments], stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, env=surroundings, check=False
            )
        return subprocess.run(
            [program, *arguments],
            input=data,
            capture_output=True,
            env=surroundings,
            timeout=_CHECK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(arguments, -1, b"", str(error).encode())


def _search_path() -> tuple[str, ...]:
    """The folders of the user's search path; relative ones would depend on where the command was given."""
    return tuple(folder for folder in os.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(folder))


def _chosen() -> dict[str, str]:
    return {name: os.environ[name] for name in _TO_SIGN if name in os.environ}


def _is_terminal() -> bool:
    return sys.stderr is not None and os.isatty(2)


def _write(folder: str, name: str, data: bytes) -> str:
    path = os.path.join(folder, name)
    with open(path, "xb") as file:
        file.write(data)
    return path


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    """What ssh-keygen said on standard error, as printable ASCII; where nobody caught it, how it ended."""
    text = (done.stderr or b"").decode("utf-8", "replace").strip()
    told = "; ".join(ascii(line.strip())[1:-1] for line in text.splitlines()[:3])[:400].rstrip(".")
    return told or f"exit status {done.returncode}"


def _unsigned(key_file: str, why: str) -> UnavailableError:
    return UnavailableError(
        "signing_failed",
        f"ssh-keygen did not sign: {why}.",
        fix="name a key that you can use, or the .pub file of one that your agent holds (ssh-add -l)",
        where=key_file,
    )
