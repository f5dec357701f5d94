"""The keys of a ledger: the Ed25519 pair that signs its checkpoints and the HMAC key that guards its caches.

They lie in the user's folder, outside the project, so that whoever may write the ledger need not be able to sign for
it. Private keys are PKCS #8 in PEM (RFC 5958, RFC 8410), which `openssl pkey` reads. Only `init` and signers load this
module: it is the home of `cryptography`, whose import alone costs more than a whole guard call may.
"""

from __future__ import annotations

import errno
import os

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from enforcer.errors import DamagedError, InternalError, RequestError, UnavailableError
from enforcer.ledger.note import format_vkey
from enforcer.ports import write_durably
from enforcer.userstate import (
    CACHE_KEY_NAME,
    CACHE_KEY_SIZE,
    SIGNING_KEY_NAME,
    is_ledger_id,
    make_private_folder,
    read_secret,
    unwritable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.ports import Disk, Entropy

_SEED_SIZE = 32


def create_keys(folder: str, ledger_id: str, origin: str, entropy: Entropy, disk: Disk) -> str:
    """Make both keys of a new ledger in `<folder>/<ledger_id>/` and return the vkey, named after the ledger's origin.

    Both are written into a folder beside and appear with one rename: there is never one without the other, and keys
    that are already there stay, since no folder can be renamed onto one that holds something. When this returns they
    are on stable storage. Raises `RequestError` `key_exists`, `UnavailableError` `user_state_unwritable`.
    """
    target = _key_folder(folder, ledger_id)
    private = Ed25519PrivateKey.from_private_bytes(entropy.token(_SEED_SIZE))
    vkey = format_vkey(origin, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    secrets = {
        SIGNING_KEY_NAME: private_pem(private),
        CACHE_KEY_NAME: entropy.token(CACHE_KEY_SIZE),
    }
    _refuse_existing(disk, target)
    try:
        make_private_folder(disk, folder)
        _put_in_place(target, secrets, entropy, disk)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            _refuse_existing(disk, target)
        raise unwritable(folder, error) from error
    return vkey


def load_private(folder: str, ledger_id: str) -> Ed25519PrivateKey:
    """The key that signs for a ledger.

    Raises `UnavailableError` `key_missing`, `key_unreadable` or, where group or others have any permission on it,
    `key_exposed`; `DamagedError` `key_damaged` for a file that holds no Ed25519 key.
    """
    path = os.path.join(_key_folder(folder, ledger_id), SIGNING_KEY_NAME)
    try:
        data = read_secret(path)
    except FileNotFoundError as error:
        raise UnavailableError(
            "key_missing", "This user has no key of this ledger.", fix="sign where the key is", where=path
        ) from error
    except OSError as error:
        raise UnavailableError(
            "key_unreadable",
            f"The key cannot be read: {error.strerror}.",
            fix="sign as the user who owns the key",
            where=path,
        ) from error
    return parse_private(data, path)


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """A private key as it is stored: PKCS #8 in PEM, without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def parse_private(data: bytes, path: str) -> Ed25519PrivateKey:
    """The inverse. Raises `DamagedError` `key_damaged`; `path` is where it was read."""
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise DamagedError(
            "key_damaged", "The file holds no Ed25519 private key in PEM.", fix="restore it from a copy", where=path
        )
    return key


def _put_in_place(target: str, secrets: dict[str, bytes], entropy: Entropy, disk: Disk) -> None:
    new = f"{target}.{entropy.token(8).hex()}.new"
    make_private_folder(disk, new)
    try:
        for name, data in secrets.items():
            write_durably(disk, os.path.join(new, name), data, entropy=entropy, mode=0o600)
        disk.rename(new, target)
    except OSError:
        for name in disk.listing(new):
            disk.unlink(os.path.join(new, name))
        os.rmdir(new)
        raise
    disk.sync_folder(os.path.dirname(target))


def _refuse_existing(disk: Disk, target: str) -> None:
    if any(disk.exists(os.path.join(target, name)) for name in (SIGNING_KEY_NAME, CACHE_KEY_NAME)):
        raise RequestError(
            "key_exists", "This ledger already has keys, and they are never overwritten.", fix="keep them", where=target
        )


def _key_folder(folder: str, ledger_id: str) -> str:
    if not is_ledger_id(ledger_id):
        raise InternalError("bad_ledger_id", f"{ledger_id!a} is no ledger id.")
    return os.path.join(folder, ledger_id)
