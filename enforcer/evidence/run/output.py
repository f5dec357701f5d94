"""The output of a command as it comes: redacted, then shown and kept, up to a limit."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from enforcer.evidence.run.redaction import Redaction

OUTPUT_LIMIT = "output_limit"


class Output:
    """What was written so far. What is shown is what is kept."""

    def __init__(self, limit: int, show: Callable[[bytes], None], redact: Redaction) -> None:
        self._limit, self._show = limit, show
        self._redact = redact.stream()
        self._kept = bytearray()
        self._written = 0
        self._is_cut = False

    @property
    def overflow(self) -> str:
        """Why the output is cut, or empty. Redaction may lengthen it, and must not lead past the limit either."""
        return OUTPUT_LIMIT if self._is_cut or self._written > self._limit else ""

    def take(self, data: bytes) -> None:
        """Keep and show it, as far as there is room. What comes after the limit is read, and thrown away."""
        if not self.overflow:
            self._written += len(data)
            self._keep(self._redact.feed(data))

    def finish(self) -> bytes:
        """All of it, with what redaction still held back."""
        self._keep(self._redact.finish())
        return bytes(self._kept)

    def _keep(self, data: bytes) -> None:
        room = self._limit - len(self._kept)
        self._is_cut = self._is_cut or len(data) > room
        if data := data[:room]:
            self._kept += data
            self._show(data)
