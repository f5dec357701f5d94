"""What the demonstration looks like: plain text, at most a hundred columns, colour for a terminal that wants it."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
import sys
import textwrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BOLD, DIM, RED, GREEN, CYAN = "1", "2", "31", "32", "36"

_WIDEST, _NARROWEST = 100, 60
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Screen:
    """Writes the story line by line; each line is out before the next step begins."""

    def __init__(self, out: Callable[[str], None], *, width: int = _WIDEST, colour: bool = False) -> None:
        self._out = out
        self._width = max(_NARROWEST, min(_WIDEST, width))
        self._colour = colour

    @classmethod
    def of_terminal(cls, out: Callable[[str], None]) -> Screen:
        """The screen for this process's standard output."""
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        return cls(out, width=shutil.get_terminal_size((_WIDEST, 24)).columns, colour=colour)

    def title(self, text: str) -> None:
        self._out(self._paint(text, BOLD))

    def heading(self, text: str) -> None:
        self._out("")
        self._out(self._paint(f"━━ {text} ".ljust(self._width, "━"), BOLD))

    def say(self, text: str) -> None:
        """A paragraph of the narrator's."""
        self._out("")
        for line in textwrap.wrap(text, self._width - 2):
            self._out(f"  {line}")

    def gap(self) -> None:
        self._out("")

    def note(self, text: str) -> None:
        """One line about what a worker does besides typing commands."""
        self._out("")
        for number, line in enumerate(_wrap(text, self._width - 4)):
            self._out(f"  {self._paint('·', CYAN) if number == 0 else ' '} {line}")

    def command(self, who: str, argv: Sequence[str], stdin: str = "") -> None:
        """A command as typed at the prompt of one worker, with what it is given to read."""
        prompt = f"  {who} $ "
        lines = _fold([*argv], self._width - len(prompt) - 2)
        self._out("")
        for number, line in enumerate(lines):
            before = prompt if number == 0 else " " * len(prompt)
            after = "" if number == len(lines) - 1 else " \\"
            here = " <<'END'" if stdin and not after else ""
            self._out(self._paint(before, CYAN) + self._paint(line + here, BOLD) + after)
        if stdin:
            for line in [*stdin.rstrip("\n").split("\n"), "END"]:
                self._out(f"  {line}")

    def answer(self, text: str, *, refused: bool = False, hang: int = 0) -> None:
        """What a command printed, unchanged but for the margin and the folding of lines that are too long."""
        margin = self._paint("  ✗ ", RED) if refused else self._paint("  │ ", DIM)
        for line in _CONTROL.sub("�", text).rstrip("\n").split("\n"):
            for part in _wrap(line, self._width - 4, hang):
                self._out((margin + part).rstrip())

    def difference(self, before: str, after: str) -> None:
        """The lines that differ between two versions of a file, with one line around each change."""
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
        self._out("")
        for line in list(lines)[2:]:
            colour = {"+": GREEN, "-": RED}.get(line[0], DIM)
            self._out(self._paint("  │ ", DIM) + self._paint(line, colour))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Rows of cells, the first row as the head."""
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        self._out("")
        for number, row in enumerate(rows):
            line = "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            self._out(self._paint(line, BOLD) if number == 0 else line)
            if number == 0:
                self._out(self._paint("  " + "  ".join("─" * width for width in widths), DIM))

    def facts(self, rows: Sequence[tuple[str, str]]) -> None:
        """Names and values, one pair a line."""
        widest = max(len(name) for name, _ in rows)
        for name, value in rows:
            head = f"  {name.ljust(widest)}  "
            for number, part in enumerate(_wrap(value, self._width - len(head))):
                self._out((self._paint(head, DIM) if number == 0 else " " * len(head)) + part)

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text


def _fold(argv: Sequence[str], width: int) -> list[str]:
    """The words of a command on as few lines as fit; an option stays with its value."""
    groups: list[str] = []
    for word in argv:
        quoted = shlex.quote(word)
        if groups and not word.startswith("-") and groups[-1].startswith("--") and " " not in groups[-1]:
            groups[-1] += f" {quoted}"
        else:
            groups.append(quoted)
    lines = [groups[0]]
    for group in groups[1:]:
        if len(lines[-1]) + 1 + len(group) > width:
            lines.append(group)
        else:
            lines[-1] += f" {group}"
    return lines


def _wrap(line: str, width: int, hang: int = 0) -> list[str]:
    """A line in parts that fit, the later ones indented by `hang`, or else a little more than its own beginning."""
    if len(line) <= width:
        return [line]
    indent = " " * min(hang or len(line) - len(line.lstrip()) + 2, width // 2)
    return textwrap.wrap(
        line, width, subsequent_indent=indent, drop_whitespace=True, break_on_hyphens=False, replace_whitespace=False
    )
