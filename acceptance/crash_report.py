"""The committed table of a whole run of `crashes`: what was done to which call, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Result = dict[str, Any]

FAULTS = ("kill", "EIO", "EIO on", "ENOSPC", "ENOSPC on", "short")
ENDINGS = ("killed", "unharmed", "retried", "refused")

HEAD = """\
# What crashes and failing disks do to a ledger

Written by `make crashes`: real processes on a real file system, with faults put on their system calls by `strace`. In
each case a process takes the steps of a scene through the library, and something happens to one of its calls on a file
of the project or of the user's folder. Then, with nothing of the package, it is looked up whether every entry that was
acknowledged stands at its place with its hash; `verify` is asked; and the next process makes the same calls with the
same keys, one more, and a checkpoint of all of it.

**Faults.** *kill*: the process ends before the call. *EIO*, *ENOSPC*: this call fails, the next ones do not. *on*: so
does every later call of its kind. *short*: of a write, none, one, half or all but one of its bytes arrive (a limit on
the size of files, `RLIMIT_FSIZE`, makes the kernel cut it short).

**Endings of the process that it happened to.** *killed*; *unharmed*: every call was acknowledged all the same, because
what failed was a cache, a checkpoint that follows the answer, or a file that need not be there; *retried*: a call
answered with an error that has a code, and with the same key it was acknowledged; *refused*: the second try failed as
well, with a code. *Healed* counts the cases in which the **next** process went on, each key had one entry, no line that
was ever complete had changed, and `verify` said `verified` before (but for a torn tail) and after, without findings.
"""

TAIL = """\
## What no test here can show

- A device that says it has synced, and has not (`fdatasync` and `fsync` answered with success, then the power goes): it
  cannot be noticed by whoever writes. The entries are gone, and what is left is a valid shorter ledger. It is noticed
  where a signed head vouches for more, in `checkpoint`, in the signer's folder or in an anchor: see *lies* above.
- A loss of power. What was written and not synced survives a kill, because the system keeps it. What a device may lose
  then is played through in memory, at every call: `tests/ledger/test_crashes.py`.
- A process that is killed between a sync that fails and the record of it, before any other process syncs: the next one
  is told by the system that all is well.
"""


def write_report(path: Path, results: Iterable[Result]) -> None:
    """Write the page. Scenes and calls come in the order in which they are listed first."""
    results = list(results)
    faults = sorted((one for one in results if "fault" in one), key=_order)
    parts = [HEAD, _totals(results), _faults(faults), _codes(faults), _others(results), TAIL]
    path.write_text("\n".join(parts), encoding="utf-8")


def _order(one: Result) -> tuple[str, str]:
    return one["scenario"], one["call"]


def _totals(results: list[Result]) -> str:
    wrong = sum(bool(one["wrong"]) for one in results)
    lost = sum(one["lost"] for one in results)
    return f"**{len(results)} cases; acknowledged entries lost: {lost}; cases that ended otherwise: {wrong}.**\n"


def _faults(results: list[Result]) -> str:
    head = ["scene", "call", *FAULTS, *ENDINGS, "healed", "lost"]
    rows = []
    for scenario, call in dict.fromkeys(map(_order, results)):
        mine = [one for one in results if _order(one) == (scenario, call)]
        rows.append([scenario, f"`{call}`", *_counts(mine)])
    rows.append(["**all**", "", *_counts(results)])
    return "## Every call, every fault\n\n" + _table(head, rows)


def _counts(results: list[Result]) -> list[str]:
    faults, endings = Counter(one["fault"] for one in results), Counter(one["first"] for one in results)
    healed = sum(one["next"] == "healed" and not one["wrong"] for one in results)
    lost = sum(one["lost"] for one in results)
    known = [faults[name] for name in FAULTS] + [endings[name] for name in ENDINGS]
    return [str(count) if count else "·" for count in known] + [str(healed), str(lost)]


def _codes(results: list[Result]) -> str:
    """Which codes the failing process answered with, of all the errors that it gave."""
    codes = Counter(code for one in results for code in one["codes"])
    rows = [[f"`{code}`", str(count)] for code, count in sorted(codes.items())]
    unsealed = sum(one["unsealed"] for one in results)
    note = f"\nIn {unsealed} cases no key could be made as the ledger was begun: it is whole, and stays unsealed.\n"
    return "## The codes of the answers\n\n" + _table(["code", "cases"], rows) + note


def _others(results: list[Result]) -> str:
    rows = [
        _row(results, "order|", "without a fault: all that an acknowledgement stands on was synced before", _ordered),
        _row(results, "cut|last line|", "the last line cut at every byte", _healing),
        _row(results, "cut|middle line|", "a line in the middle cut at every byte", _refusing),
        _row(results, "full|", "a disk (tmpfs) with 0 to 12 free pages, and room again", _healing),
        _row(results, "rounds|", "a writer of two killed at a random moment, and replaced", _rounds),
        _row(results, "lie|", "lies: syncs that do nothing, then the lines are gone", _lying),
    ]
    return "## More than one call\n\n" + _table(["what", "cases", "ended", "lost"], rows)


def _row(results: list[Result], begins: str, what: str, ended: Callable[[list[Result]], str]) -> list[str]:
    mine = [one for one in results if one["id"].startswith(begins) and "skipped" not in one]
    skipped = [one["skipped"] for one in results if one["id"].startswith(begins) and "skipped" in one]
    return [what, str(len(mine)), ended(mine) if mine else "; ".join(skipped), str(sum(one["lost"] for one in mine))]


def _ordered(results: list[Result]) -> str:
    return f"{sum(not one['wrong'] for one in results)} in order, files and names"


def _healing(results: list[Result]) -> str:
    healed = sum(one["next"] == "healed" and not one["wrong"] for one in results)
    codes = sorted({code for one in results for code in one["codes"]})
    told = f"; answers meanwhile: {', '.join(f'`{code}`' for code in codes)}" if codes else ""
    return f"{healed} healed{told}"


def _refusing(results: list[Result]) -> str:
    codes = Counter(code for one in results for code in one["refused"])
    unchanged = sum(not one["wrong"] for one in results)
    return f"{unchanged} refused, nothing changed: {', '.join(f'`{code}` {count}' for code, count in codes.items())}"


def _rounds(results: list[Result]) -> str:
    rounds, acknowledged = (sum(one[name] for one in results) for name in ("rounds", "acknowledged"))
    return f"{rounds} kills, {acknowledged} acknowledgements, each with its one entry"


def _lying(results: list[Result]) -> str:
    words = [f"{one['id'].removeprefix('lie|')}: verify says {one['said']['verdict']}" for one in results]
    return f"declared, {sum(one['declared'] for one in results)} entries; {'; '.join(words)}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) + "\n"
