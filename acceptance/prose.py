"""Documents as honest people write them: other words, another layout and another language each time, from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

SUBJECTS = (
    "The parser",
    "A reader of the file",
    "Every caller",
    "The release",
    "Der Prüfer",
    "La función",
    "Пользователь",
    "מנתח הקבצים",
    "المحلل",
    "新しい解析器",
    "One of the maintainers",
    "The nightly job",
    "`parse_record()`",
    "The to-do list widget",
)
VERBS = (
    "keeps",
    "drops",
    "reports",
    "returns",
    "verliert",
    "comprueba",
    "должен видеть",
    "は記録を保つ",
    "does not touch",
)
OBJECTS = (
    "the last field of a record",
    "an empty line at the end",
    "0 errors and 0 warnings",
    "what was failed before (now fixed)",
    "naïve dates — e.g. “2025-06-03”",
    "every value ≤ 2³¹",
    "the `# TODO` comments that users write",
    "paths such as `C:\\temp\\x` and /usr/lib",
    "emoji 🙂 and combining marks é",
    "more than 95 % of the cases",
    "rows <b>without</b> a key & value",
)
ENDS = (".", ".", "!", " (see #12).", ", as agreed.", "; nothing else changes.")

# What a section says that has nothing to say, and whole paragraphs of languages that put no space between words.
NOTHING_TO_SAY = (
    "None beyond the standard library.",
    "TODO comments are removed by this change.",
    "Keine, die wir kennen.",
    "この変更は最後のフィールドを保持します。既存のファイルは以前と同じように読み込まれます。",
    "解析器保留每条记录的最后一个字段。现有文件的读取方式不变。",
)

SHORT = ("KPIs",)  # a section beside listed ones that needs no list

LOG_LINES = (
    "Compiling 12 files: 0 errors, 0 warnings",
    "test_no_error_is_raised_on_failure PASSED",
    "51 passed, 0 failed in 1.42s",
    "WARNING: deprecated option `--failed-first`",
    "\x1b[32mok\x1b[0m   records.parser",
    "error_handling.py ............ 100%",
    "Übersetze größe.py",
    "exit status: 1 is what the tool under test prints here",
)


def sentence(chance: random.Random) -> str:
    return f"{chance.choice(SUBJECTS)} {chance.choice(VERBS)} {chance.choice(OBJECTS)}{chance.choice(ENDS)}"


def paragraph(chance: random.Random) -> str:
    return chance.choice((" ", "\n")).join(sentence(chance) for _ in range(chance.randint(1, 4)))


def items(chance: random.Random) -> str:
    """A list in one of the forms of CommonMark, with continuation lines and nested items here and there."""
    marker = chance.choice(("- ", "* ", "+ ", "1. ", "1) ", "- [x] ", "- [ ] "))
    indent = " " * (3 if marker[0] == "1" else 2)
    lines = []
    for _ in range(chance.randint(1, 5)):
        lines.append(marker + sentence(chance))
        if chance.random() < 0.2:
            lines.append(indent + sentence(chance))
        if chance.random() < 0.2:
            lines.append(f"{indent}- {sentence(chance)}")
    return chance.choice(("\n", "\n\n")).join(lines)


def code(chance: random.Random) -> str:
    fence = chance.choice(("```", "~~~", "````"))
    return f"{fence}{chance.choice(('', 'python', 'text'))}\n# {sentence(chance)}\nx = 1\n{fence}"


def table(chance: random.Random) -> str:
    return f"| what | how much |\n|---|---|\n| {sentence(chance).replace('|', '/')} | {chance.randint(1, 9)} d |"


def heading(chance: random.Random, level: int, name: str, number: int) -> str:
    """A heading as people set it: underlined, numbered, in other letters, with a colon or emphasis."""
    text = chance.choice((name, name, name, name.lower(), name.upper(), f"{number}. {name}", f"{name}:", f"**{name}**"))
    if level <= 2 and text[0] != str(number) and chance.random() < 0.15:  # an underlined number would begin a list
        return f"{text}\n{'=-'[level - 1] * len(text)}"
    close = f" {'#' * level}" if chance.random() < 0.1 else ""
    return f"{'#' * level} {text}{close}"


def document(chance: random.Random, sections: Sequence[str], lists: Sequence[str] = ()) -> str:
    """A document with these sections, each with real text; those in `lists` hold a list."""
    level = chance.choice((1, 2, 2, 2, 3))
    parts = [f"# {sentence(chance)}"] if level > 1 and chance.random() < 0.7 else []
    if parts and chance.random() < 0.3:
        parts.append(paragraph(chance))
    names = _ordered(chance, sections)
    if len(names) == 2 and set(names) <= set(lists) and chance.random() < 0.2:
        names = [" and ".join(names)]
    for number, name in enumerate(names, 1):
        parts += [heading(chance, level, name, number), *section(chance, listed=bool(lists) and name not in SHORT)]
        if chance.random() < 0.2:
            title = chance.choice(("Details", "Background", "Offene Fragen"))
            parts += [f"{'#' * (level + 1)} {title}", paragraph(chance)]
    text = "\n\n".join(parts) + chance.choice(("", "\n", "\n\n"))
    return text.replace("\n", "\r\n") if chance.random() < 0.1 else text


def appendix(chance: random.Random) -> str:
    """A long one: what a document of this size has in it is found all the same."""
    return "\n\n# Appendix\n\n" + "\n\n".join(paragraph(chance) for _ in range(1_000))


def section(chance: random.Random, *, listed: bool) -> list[str]:
    """The blocks of a section, with a list among them where one is asked for."""
    if not listed and chance.random() < 0.15:
        return [chance.choice(NOTHING_TO_SAY)]
    body = [items(chance)] if listed else []
    body.append(chance.choice((paragraph, paragraph, items))(chance))
    if chance.random() < 0.2:
        body.append(chance.choice((code, table))(chance))
    chance.shuffle(body)
    return body


def banner(chance: random.Random) -> str:
    """What a build prints, now and then more of it than a log holds."""
    number = 60_000 if chance.random() < 0.1 else chance.randint(0, 30)
    return "".join(f"{line}\n" for line in chance.choices(LOG_LINES, k=number))


def _ordered(chance: random.Random, sections: Sequence[str]) -> list[str]:
    """Nearly always as asked for; some people think in another order."""
    names = list(sections)
    if chance.random() < 0.15:
        chance.shuffle(names)
    return names
