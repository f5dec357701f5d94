"""The profile `bubblewrap`: a command runs on a copy of the project, and sees little else that it could change or take.

Inside, `/` is read-only. The scratch copy stands at the very path of the project, so nothing that names the project has
to know; it can be written, as can `$ENFORCER_OUT`, `/tmp` and an empty home folder, and all but the first two are gone
afterwards. There is no network and no other process, no capability, and no way to gain privileges.

- Empty: the home folder, `/tmp`, `/var/tmp`, and `/run`, where the sockets of daemons are: a socket can be spoken to
  although it stands on a read-only file system.
- Readable below an empty folder: the folders of the search path, and the installations that what runs belongs to. An
  installation is the folder above a `bin`; whatever else lies in it can be read as well.
- Readable of the project besides the copy: the folders that the process lists in `keep`.
- Hidden, wherever they lie: the folders given as `hidden`, which are the user's keys and the project's `state/`.

It does not limit memory or processor time, and the kernel is shared: it is a wall against lies and accidents, not
against an exploit of the kernel. A signal that ends a command inside shows outside as the status 128 + its number.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys

from enforcer.errors import RequestError, UnavailableError
from enforcer.evidence.run.executables import locate, missing, programs
from enforcer.evidence.run.surroundings import PATH, below, inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from enforcer.evidence.run.execution import Command

BUBBLEWRAP = "bubblewrap"

# bubblewrap is not searched for: a search path can be bent, and what confines must not come from what is confined.
PROGRAMS = ("/usr/bin/bwrap", "/bin/bwrap", "/usr/local/bin/bwrap", "/run/current-system/sw/bin/bwrap")

# Enough for large test suites and for the desktop of a user, whose processes count as well; far too few to choke a
# machine. No file of more than 4 GiB, and no memory image of a crash, which may hold what the output does not.
LIMITS: Mapping[str, int] = {"RLIMIT_NPROC": 8192, "RLIMIT_FSIZE": 4 << 30, "RLIMIT_CORE": 0}

EMPTIED = ("/tmp", "/var/tmp", "/run")

# Readable again below what was emptied, where they exist: programs of NixOS, and toolchains that `bin` folders in a
# home folder only point to.
SYSTEM = ("/run/current-system",)
TOOLCHAINS = (".rustup", ".pyenv", ".local/share/uv/python", ".local/share/mise/installs", ".nvm/versions", ".sdkman")

_CONFINED = ("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--ro-bind", "/", "/")
_SYSTEM_FOLDERS = ("--proc", "/proc", "--dev", "/dev")
_PROGRAM_FOLDERS = ("bin", "sbin", "shims")
_TRIAL_S = 10


class Sandbox:
    """Commands in bubblewrap. `hidden` are absolute folders that nothing inside may read."""

    def __init__(self, *, hidden: Sequence[str] = (), programs: Sequence[str] = PROGRAMS) -> None:
        self._hidden = tuple(os.path.realpath(folder) for folder in hidden)
        self._programs = tuple(programs)
        self._reason: str | None = None

    def available(self) -> str:
        """Empty, or why there is no sandbox here. It is tried once, with all that a run will ask of it."""
        if self._reason is None:
            self._reason = self._try()
        return self._reason

    def wrap(self, command: Command, *, project: str, scratch: str, out: str, keep: Sequence[str] = ()) -> Command:
        """The command that runs `command` inside.

        `scratch` is a copy of `project` and stands in its place; `out` can be written; `keep` are folders below the
        project that can be read although the copy does not hold them. All paths but these last are
        absolute, links followed.

        Raises `UnavailableError` `sandbox_missing` where there is no sandbox and `command_missing` where the program
        cannot be seen from inside, and `RequestError` `bad_folder` where `keep` leads elsewhere.
        """
        self.require()
        kept = list(self._kept(project, keep))
        program = locate(command.argv[0], command.environment, command.folder)
        _require_visible(program, command, project, scratch, [place for place, _ in kept])
        options = [
            *_CONFINED,
            *_SYSTEM_FOLDERS,
            *self._emptied(command.environment),
            *_readable(command, project),
            *self._hiding(project),
            *("--bind", scratch, project),
            *(word for place, source in kept for word in ("--ro-bind", source, place)),
            *("--bind", out, out),
            *("--chdir", command.folder),
            *_loaded(command.environment),
        ]
        argv = (self._program(), *options, "--", program, *command.argv[1:])
        # What makes programs load code must not reach bubblewrap, which stands outside: it is set inside.
        outside = {name: value for name, value in command.environment.items() if not name.startswith("LD_")}
        return command.replace(argv=argv, environment=outside, limits=LIMITS)

    def require(self) -> None:
        """Raises `UnavailableError` `sandbox_missing` where there is no sandbox here."""
        if reason := self.available():
            fix = "Install bubblewrap and allow unprivileged user namespaces, or run it where they are."
            message = f"The process demands the sandbox {BUBBLEWRAP!r}, and it cannot be had: {reason}."
            raise UnavailableError("sandbox_missing", message, fix=fix)

    def _program(self) -> str:
        return next((path for path in self._programs if os.access(path, os.X_OK)), "")

    def _try(self) -> str:
        if sys.platform != "linux":
            return "it exists on Linux alone"
        if not (program := self._program()):
            return "bubblewrap is not installed"
        argv = (program, *_CONFINED, *_SYSTEM_FOLDERS, "--tmpfs", "/tmp", "--", "/bin/sh", "-c", ":")
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TRIAL_S, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            return f"bubblewrap does not run: {error}"
        if done.returncode:
            said = ascii(done.stderr[:200].decode(errors="replace").strip())[1:-1]
            return f"bubblewrap does not work here: {said or f'status {done.returncode}'}"
        return ""

    def _emptied(self, environment: Mapping[str, str]) -> Iterator[str]:
        for folder in _emptied(environment):
            yield from ("--tmpfs", folder)

    def _kept(self, project: str, keep: Sequence[str]) -> Iterator[tuple[str, str]]:
        """The folders to keep that exist, where they stand and where they really are."""
        for folder in keep:
            place = below(project, folder)
            source = os.path.realpath(place)
            inward = source.startswith(os.path.realpath(project) + "/")
            if not inward or any(inside(source, each) or inside(each, source) for each in self._hidden):
                message = f"{folder!a} in `keep` is the project itself, leads out of it, or holds what is hidden."
                fix = "Name folders below the project; put a folder there, and not a link."
                raise RequestError("bad_folder", message, where=place, fix=fix)
            if os.path.isdir(source):
                yield place, source

    def _hiding(self, project: str) -> Iterator[str]:
        """What hides the hidden folders; the copy stands before those in the project."""
        for folder in self._hidden:
            if os.path.isdir(folder) and not folder.startswith(os.path.realpath(project) + "/"):
                yield from ("--tmpfs", folder)


def _emptied(environment: Mapping[str, str]) -> list[str]:
    """The folders of the system that are empty inside, home folders among them; outer ones first."""
    homes = (environment.get("HOME", ""), pwd.getpwuid(os.getuid()).pw_dir)
    # A folder that holds the system's own programs cannot be emptied; `/` is the home folder of some accounts.
    real = [os.path.realpath(folder) for folder in (*EMPTIED, *filter(os.path.isabs, homes)) if os.path.isdir(folder)]
    return sorted({folder for folder in real if not any(inside(system, folder) for system in ("/usr/bin", "/etc"))})


def _readable(command: Command, project: str) -> Iterator[str]:
    """What has to be seen again of the emptied folders, for the command to run."""
    emptied = _emptied(command.environment)
    home = command.environment.get("HOME", "")
    wanted = [*SYSTEM, *(os.path.join(home, each) for each in TOOLCHAINS if home)]
    wanted += filter(None, command.environment[PATH].split(os.pathsep))
    for path in programs(command.argv[0], command.environment, command.folder):
        wanted += [_installation(path, emptied), _installation(os.path.realpath(path), emptied)]
    for folder in sorted(set(wanted)):
        if os.path.isdir(folder) and not inside(folder, project) and _uncovers(folder, emptied):
            yield from ("--ro-bind", folder, folder)


def _uncovers(folder: str, emptied: list[str]) -> bool:
    """Whether the folder lies below an emptied one, and shows no emptied one whole."""
    return any(inside(folder, each) for each in emptied) and not any(inside(each, folder) for each in emptied)


def _installation(program: str, emptied: list[str]) -> str:
    """The folder that a program belongs to: the one above its `bin`, unless that is a place for everything."""
    folder = os.path.dirname(program)
    above = os.path.dirname(folder)
    shared = any(inside(each, above) for each in emptied) or os.path.basename(above) == ".local"
    return above if os.path.basename(folder) in _PROGRAM_FOLDERS and not shared else folder


def _require_visible(program: str, command: Command, project: str, scratch: str, kept: list[str]) -> None:
    """A program in the project has to stand in the copy or in a folder that is kept."""
    prefix = project.rstrip("/") + "/"
    if not program.startswith(prefix) or any(program.startswith(folder + "/") for folder in kept):
        return
    if not os.path.lexists(os.path.join(scratch, program.removeprefix(prefix))):
        raise missing(command.argv[0], command.folder, "is ignored by git, and `keep` does not name its folder")


def _loaded(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if name.startswith("LD_"):
            yield from ("--setenv", name, value)
