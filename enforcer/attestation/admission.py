"""Who may sign: whether the key of a signature is, by the list of the process, that of the principal who is named.

Everything that can be said of a signature without arithmetic is said here, each fault under a name of its own and with
the same answer in every replay. Whether the key really signed the bytes is left to `attestation.ssh` and `sshcheck`.
"""

from __future__ import annotations

import binascii
from functools import lru_cache

from enforcer.attestation.approval import NAMESPACE, ApprovalFault
from enforcer.attestation.moments import format_moment
from enforcer.attestation.signers import SignersFault, parse_allowed_signers
from enforcer.attestation.sshkeys import fingerprint
from enforcer.attestation.sshsig import SignatureFault, UnknownSignature, parse_signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from enforcer.attestation.signers import Signer


def admit(signature: str, allowed_signers: bytes, principal: str, *, at_us: int, namespace: str = NAMESPACE) -> Signer:
    """The key that `signature` says it is from, if it may sign for `principal` in `namespace` at `at_us` (UTC µs).

    Raises `ApprovalFault`: `signature_malformed`, `signature_namespace` (made for another purpose), `signer_unknown`
    (a key that the list does not have), `signer_other` (the key of another principal), `signer_namespace` (the list
    keeps it for other purposes), `signer_early`, `signer_expired` (outside of the list's times), `signers_malformed`.
    A signature, and a list that names somebody, may be of a later release: the fault is then `unknown`.
    """
    try:
        claimed = parse_signature(signature)
    except SignatureFault as fault:
        later = isinstance(fault, UnknownSignature)
        message = f"This is no SSH signature that counts: {fault}."
        raise ApprovalFault("signature_malformed", message, unknown=later) from None
    if claimed.namespace != namespace:
        purpose = ascii(claimed.namespace[:60])
        raise ApprovalFault("signature_namespace", f"The signature was made for {purpose}, and not for {namespace}.")
    key = binascii.b2a_base64(claimed.key, newline=False).decode("ascii")
    signer = _find(allowed_signers, lambda each: each.key == key, fingerprint(claimed.key))
    _check(signer, principal, at_us, namespace)
    return signer


def identify(key_fingerprint: str, allowed_signers: bytes) -> Signer:
    """Whose key has this fingerprint. Raises `ApprovalFault`: `signer_unknown`, `signers_malformed`."""
    return _find(allowed_signers, lambda each: each.fingerprint == key_fingerprint, key_fingerprint)


def _find(allowed_signers: bytes, wanted: Callable[[Signer], bool], shown: str) -> Signer:
    try:
        signers = _parse(allowed_signers)
    except SignersFault as fault:
        message = f"The list of allowed signers cannot be used: {fault}."
        raise ApprovalFault("signers_malformed", message, unknown=bool(allowed_signers)) from None
    signer = next(filter(wanted, signers), None)
    if signer is None:
        raise ApprovalFault("signer_unknown", f"The process lists no key {ascii(shown)[1:-1]}.")
    return signer


# Whoever reads a whole ledger asks the same few lists for every approval.
_parse = lru_cache(maxsize=8)(parse_allowed_signers)


def _check(signer: Signer, principal: str, at_us: int, namespace: str) -> None:
    key = f"The key {signer.fingerprint}"
    if signer.principal != principal:
        raise ApprovalFault(
            "signer_other", f"{key} is the one of {signer.principal}, and not of {ascii(principal)[1:-1]}."
        )
    if signer.namespaces and namespace not in signer.namespaces:
        named = ", ".join(signer.namespaces)
        raise ApprovalFault("signer_namespace", f"{key} may sign for {named} alone, and not for {namespace}.")
    if signer.valid_after and at_us < signer.valid_after:
        since = format_moment(signer.valid_after, fraction=False)
        raise ApprovalFault("signer_early", f"{key} is valid from {since} on, which was not yet.")
    if signer.valid_before and at_us > signer.valid_before:
        until = format_moment(signer.valid_before, fraction=False)
        raise ApprovalFault("signer_expired", f"{key} was valid until {until}.")
