"""A sign of life at regular times while a block of work runs, so that a long phase does not lose its lease."""

from __future__ import annotations

from threading import Event, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Heartbeat:
    """Calls `renew` every `seconds` until stopped, or until it answers False: the lease is gone, and stays gone."""

    def __init__(self, renew: Callable[[], bool], seconds: float) -> None:
        self._renew, self._seconds = renew, seconds
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="enforcer-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                if not self._renew():
                    return
            except Exception:
                return
