"""A machine in memory: files whose written bytes are not stored until they are synced, processes that stop at any call.

What the model keeps apart is what a real machine keeps apart: bytes that readers see and bytes that are on the device;
names in a folder and names on the device; a lock and the open file that holds it. After a sync that failed the bytes
are seen as before and count as clean: no later sync stores them.
"""

from __future__ import annotations

import errno
import os


class Stopped(BaseException):
    """The process is no more. Nothing that it would still do has an effect."""


class _File:
    """One inode. `dirty` holds the changes since the last sync in order: (offset, bytes), or (size, None) for a cut.

    `holder` is the open file that has the lock.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.seen = bytearray()
        self.stored = bytearray()
        self.dirty: list[tuple[int, bytes | None]] = []
        self.holder: tuple[Process, int] | None = None

    def change(self, offset: int, data: bytes | None) -> None:
        _apply(self.seen, offset, data)
        self.dirty.append((offset, data))

    def store(self) -> None:
        for offset, data in self.dirty:
            _apply(self.stored, offset, data)
        self.dirty.clear()


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


class Machine:
    """The files, and the boot that they have seen. Names map to an inode, or to None for a folder."""

    def __init__(self) -> None:
        self.boot = 1
        self.names: dict[str, _File | None] = {"/": None}
        self.stored: dict[str, _File | None] = {"/": None}
        self._count = 0

    def new_file(self) -> _File:
        self._count += 1
        return _File(self._count)

    def lose_power(self, *, keep: float = 0.0, names: bool = False) -> None:
        """All processes end. Of what was not synced, the first part remains: 0.0 nothing, 1.0 everything.

        `names`: those that were not synced are there nevertheless, as a device may have been quick by chance.
        """
        files = {file for file in (*self.names.values(), *self.stored.values()) if file is not None}
        for file in files:
            _keep_some(file, keep)
            file.holder = None
        self.names = dict(self.names if names else self.stored)
        self.stored = dict(self.names)
        self.boot += 1

    def list(self, path: str) -> list[str]:
        return sorted(os.path.basename(name) for name in self.names if os.path.dirname(name) == path != name)

    def read(self, path: str) -> bytes:
        file = self.names[path]
        assert file is not None
        return bytes(file.seen)

    def write(self, path: str, data: bytes) -> None:
        """Somebody changes a file behind everybody's back; synced, so that it stays."""
        file = self.names[path]
        assert file is not None
        file.seen[:] = file.stored[:] = data
        file.dirty.clear()


def _keep_some(file: _File, keep: float) -> None:
    """The first changes reach the device, and a part of the next one."""
    count = len(file.dirty) * keep
    for offset, data in file.dirty[: int(count)]:
        _apply(file.stored, offset, data)
    if count % 1 and (change := file.dirty[int(count)])[1] is not None:
        _apply(file.stored, change[0], change[1][: int(len(change[1]) * (count % 1))])
    file.dirty.clear()
    file.seen[:] = file.stored


class Fault:
    """What happens at the `nth` call, counted from 1, of these kinds (none named: of all).

    `stop`: the process ends before it · `stop-short`: a write puts down half of its bytes, then the process ends ·
    `short`: a write puts down half of its bytes and fails for want of space · `eio`, `enospc`: the call fails.
    """

    def __init__(self, kind: str, nth: int = 1, calls: tuple[str, ...] = ()) -> None:
        self.kind, self.nth, self.calls = kind, nth, calls
        self.met = ""

    def meets(self, call: str) -> bool:
        if self.met or (self.calls and call not in self.calls):
            return False
        self.nth -= 1
        if not self.nth:
            self.met = call
        return bool(self.met)


WRITES = ("append", "replace", "overwrite")


class Process:
    """A process on the machine: a `Disk`. `calls` are those that it made."""

    def __init__(self, machine: Machine, fault: Fault | None = None) -> None:
        self.machine, self.fault = machine, fault
        self.calls: list[str] = []
        self.alive = True
        self._open: dict[int, tuple[_File, int, str]] = {}
        self._next = 3

    def stop(self) -> None:
        """As SIGKILL: what is open is closed, locks with it, and nothing else happens."""
        self.alive = False
        for fd in list(self._open):
            self._close(fd)

    def _meet(self, call: str) -> bool:
        """Whether only half of what the call does is to be done."""
        if not self.alive:
            raise Stopped
        self.calls.append(call)
        if self.fault is None or not self.fault.meets(call):
            return False
        kind = self.fault.kind
        if kind in ("short", "stop-short") and call in WRITES:
            return True
        if kind in ("stop", "stop-short"):
            self.stop()
            raise Stopped
        error = errno.EIO if kind == "eio" else errno.ENOSPC
        raise OSError(error, os.strerror(error))

    def _file(self, fd: int) -> _File:
        if fd not in self._open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._open[fd][0]

    # Files

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        self._meet("open")
        names = self.machine.names
        file = names.get(path)
        if path in names and file is None:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if file is None:
            if not flags & os.O_CREAT:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            if os.path.dirname(path) not in names:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            file = names[path] = self.machine.new_file()
        elif flags & os.O_EXCL:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        self._next += 1
        self._open[self._next] = (file, flags, path)
        return self._next

    def close(self, fd: int) -> None:
        if self.alive:
            self._close(fd)

    def _close(self, fd: int) -> None:
        file, _, _ = self._open.pop(fd)
        if file.holder == (self, fd):
            file.holder = None

    def size(self, fd: int) -> int:
        self._meet("size")
        return len(self._file(fd).seen)

    def identify(self, fd: int) -> tuple[int, int]:
        self._meet("identify")
        return 1, self._file(fd).number

    def look(self, path: str) -> tuple[int, int, int]:
        self._meet("look")
        file = self.machine.names.get(path)
        if file is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return 1, file.number, len(file.seen)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        self._meet("read")
        return bytes(self._file(fd).seen[offset : offset + size])

    def append(self, fd: int, data: bytes) -> None:
        self._write("append", fd, data, len(self._file(fd).seen))

    def overwrite(self, fd: int, data: bytes) -> None:
        self._write("overwrite", fd, data, 0)
        self._file(fd).change(len(data), None)

    def replace(self, fd: int, data: bytes, offset: int) -> None:
        self._write("replace", fd, data, offset)

    def _write(self, call: str, fd: int, data: bytes, offset: int) -> None:
        file = self._file(fd)
        appends = bool(self._open[fd][1] & os.O_APPEND)
        assert appends == (call == "append"), "the system would put these bytes elsewhere"
        if not self._meet(call):
            file.change(offset, data)
            return
        file.change(offset, data[: len(data) // 2])
        if self.fault is not None and self.fault.kind == "stop-short":
            self.stop()
            raise Stopped
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def truncate(self, fd: int, size: int) -> None:
        self._meet("truncate")
        self._file(fd).change(size, None)

    def datasync(self, fd: int) -> None:
        self._sync("datasync", fd)

    def sync(self, fd: int) -> None:
        self._sync("sync", fd)

    def _sync(self, call: str, fd: int) -> None:
        file = self._file(fd)
        try:
            self._meet(call)
        except OSError:
            file.dirty.clear()
            raise
        file.store()

    # Folders

    def sync_folder(self, path: str) -> None:
        self._meet("sync_folder")
        machine = self.machine
        inside = [name for name in {*machine.names, *machine.stored} if os.path.dirname(name) == path and name != path]
        for name in inside:
            if name in machine.names:
                machine.stored[name] = machine.names[name]
            else:
                del machine.stored[name]

    def rename(self, source: str, target: str) -> None:
        self._meet("rename")
        names = self.machine.names
        names[target] = names.pop(source)

    def unlink(self, path: str) -> None:
        self._meet("unlink")
        del self.machine.names[path]

    def make_folder(self, path: str) -> None:
        if path in self.machine.names:
            return
        self.make_folder(os.path.dirname(path))
        self._meet("make_folder")
        self.machine.names[path] = None
        self.sync_folder(os.path.dirname(path))

    def listing(self, path: str) -> list[str]:
        self._meet("listing")
        return self.machine.list(path)

    def exists(self, path: str) -> bool:
        self._meet("exists")
        return path in self.machine.names

    # Locks

    def lock(self, fd: int) -> None:
        self._meet("lock")
        if not self._take(fd):
            raise AssertionError("this would wait for ever: whoever holds the lock does not run meanwhile")

    def try_lock(self, fd: int) -> bool:
        self._meet("try_lock")
        return self._take(fd)

    def await_unlock(self, fd: int) -> None:
        self._meet("await_unlock")
        assert self._file(fd).holder in (None, (self, fd)), "this would wait for ever"

    def unlock(self, fd: int) -> None:
        if self.alive and self._file(fd).holder == (self, fd):
            self._file(fd).holder = None

    def _take(self, fd: int) -> bool:
        file = self._file(fd)
        if file.holder not in (None, (self, fd)):
            return False
        file.holder = (self, fd)
        return True


class MachineClock:
    """The clock of a machine: each boot has an id of its own."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.time = 1_700_000_000_000_000

    def now(self) -> int:
        self.time += 1
        return self.time

    def boot(self) -> tuple[str, int]:
        return f"boot-{self._machine.boot}", 5_000_000_000_000
