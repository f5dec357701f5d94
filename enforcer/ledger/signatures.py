"""Whether the signatures hold under the approvals of a ledger: asked once all of it was read.

`ledger.approvals` has judged what each one is said to be over and whose key it names. What is left is arithmetic, and
is done by whoever verifies, for all that was read on any core.
"""

from __future__ import annotations

from enforcer.attestation.sshcheck import check_signature
from enforcer.attestation.sshkeys import fingerprint
from enforcer.attestation.sshsig import parse_signature
from enforcer.errors import EnforcerError
from enforcer.ledger.approvals import FORGED, UNCHECKED
from enforcer.ledger.report import LEGALITY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.ledger.approvals import Signings
    from enforcer.ledger.holdings import Objects
    from enforcer.ledger.report import Findings


def check_signatures(signings: Signings, objects: Objects, found: Findings) -> None:
    """Tell of each signature that does not hold, and of each that nobody can tell of here."""
    for seq, statement, signature in signings:
        try:
            signed = parse_signature(objects.get(signature).decode("ascii"))
            holds = check_signature(objects.get(statement), signed)
        except EnforcerError as error:
            found.gap(LEGALITY, seq, UNCHECKED, f"The signature of the approval is not checked: {error.message}")
            continue
        if not holds:
            message = f"The key {fingerprint(signed.key)} did not sign what the entry says that it signed."
            found.contradiction(LEGALITY, seq, FORGED, f"signature_mismatch: {message}")
