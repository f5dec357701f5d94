"""Small answers worth keeping, authenticated: input by an adversary until the HMAC under the user's key says otherwise.

Each lies in `ledger/.cache/<name>`: the hex HMAC-SHA-256 over ledger id, name and content, a newline, the content.
What does not hold is as good as absent. Nothing here is synced or ever needed.
"""

from __future__ import annotations

import hmac
import os
from hashlib import sha256

from enforcer.ports import write_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enforcer.ports import Disk, Entropy

_MAC_LENGTH = 64


class Cache:
    """`key` None: nothing is found and nothing is kept."""

    def __init__(self, folder: str, *, ledger: str, key: bytes | None, disk: Disk, entropy: Entropy) -> None:
        self._folder, self._ledger, self._key = folder, ledger, key
        self._disk, self._entropy = disk, entropy

    def get(self, name: str) -> bytes | None:
        """The content kept under a name; None when there is none that can be trusted."""
        if self._key is None:
            return None
        try:
            fd = self._disk.open(f"{self._folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            data = self._disk.read(fd, self._disk.size(fd), 0)
        except OSError:
            return None
        finally:
            self._disk.close(fd)
        mac, content = data[:_MAC_LENGTH], data[_MAC_LENGTH + 1 :]
        return content if hmac.compare_digest(mac, self._mac(name, content)) else None

    def put(self, name: str, content: bytes) -> None:
        """Keep content under a name. A disk that refuses costs time later, and nothing else."""
        if self._key is None:
            return
        path = f"{self._folder}/{name}"
        try:
            self._disk.make_folder(os.path.dirname(path))
            write_whole(self._disk, path, self._mac(name, content) + b"\n" + content, entropy=self._entropy)
        except OSError:
            return

    def _mac(self, name: str, content: bytes) -> bytes:
        assert self._key is not None
        message = f"enforcer/cache/v1\n{self._ledger}\n{name}\n".encode() + content
        return hmac.new(self._key, message, sha256).hexdigest().encode("ascii")
