"""Rules over the bytes and the text of one artifact: that it can be read, that it was filled in, and what it says.

None of them looks for words that sound good or bad. They ask for structure, because "0 failed" contains "failed".
"""

from __future__ import annotations

import re

from enforcer.ledger import codec
from enforcer.workflow.process import DIFF, JSON, MARKDOWN
from enforcer.workflow.rules import markdown, prose
from enforcer.workflow.rules.subject import Fault, Subject, Surroundings, bounded, invalid, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

MAX_MARKDOWN = 256 << 10
MAX_URL = 2048

FILLED = ("{attempt_id}", "{actor}")  # What `scaffold` fills in by itself, which is no work of the worker.

_EXIT = r"(?i)exit status: (-?[0-9]{1,9})"
_URL = r"https://(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}\.?(?::[0-9]{1,5})?(?:[/?#][!-~]*)?"


def read(name: str, format_name: str, data: bytes, origin: str = "claimed") -> tuple[Subject | None, tuple[Fault, ...]]:
    """The artifact, ready to be judged, or the faults that keep it from being read at all."""
    if not data.strip():
        return None, (invalid("is empty", "Write it; `enforcer scaffold TASK` makes a form to start from."),)
    if format_name == DIFF:
        return Subject(name, format_name, data, origin=origin), ()
    if format_name == JSON:
        try:
            return Subject(name, format_name, data, value=codec.parse(data), origin=origin), ()
        except codec.JsonFault as fault:
            return None, (invalid(f"is not strict JSON: {fault}", "Write one JSON value, each key once."),)
    if format_name == MARKDOWN and len(data) > MAX_MARKDOWN:
        return None, (invalid(f"has {len(data)} bytes; a document has at most {MAX_MARKDOWN}", "Shorten it."),)
    return _read_text(name, format_name, data, origin)


def _read_text(name: str, format_name: str, data: bytes, origin: str) -> tuple[Subject | None, tuple[Fault, ...]]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return None, (invalid(f"is not UTF-8 at byte {error.start} ({error.reason})", "Save it as UTF-8."),)
    if "\0" in text:
        return None, (invalid(f"holds a NUL at byte {data.index(0)}", "Save it as plain text in UTF-8."),)
    return Subject(name, format_name, data, text=text, origin=origin), ()


def check_format(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """The bytes can be read as what the process says they are."""
    return read(subject.name, params["format"], subject.data)[1]


def check_scaffold(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """It is no longer the form that `scaffold` wrote, whatever that filled in by itself."""
    template = params["template"]
    if not template or not _is_untouched(subject, template):
        return ()
    return (
        invalid(
            "is still the form that `enforcer scaffold` wrote", "Fill it in: replace every line that begins with TODO."
        ),
    )


def _is_untouched(subject: Subject, template: str) -> bool:
    if subject.format == JSON:
        try:
            return _same_form(subject.value, codec.parse(template.encode()))
        except codec.JsonFault:
            return False
    pattern = re.escape(" ".join(template.split()))
    for field in FILLED:
        pattern = pattern.replace(re.escape(field), r"\S*")
    text = subject.text or subject.data.decode(errors="replace")
    return re.fullmatch(pattern, " ".join(text.split())) is not None


def _same_form(value: Any, template: Any) -> bool:
    """Equal but for what was filled in. `template` is written with the process and no deeper than its schema."""
    if isinstance(template, str) and template in FILLED:
        return True
    if isinstance(template, dict) and isinstance(value, dict):
        return value.keys() == template.keys() and all(_same_form(value[key], template[key]) for key in template)
    if isinstance(template, list) and isinstance(value, list):
        return len(value) == len(template) and all(map(_same_form, value, template))
    return type(value) is type(template) and bool(value == template)


def check_sections(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Each heading stands there with real text below it."""
    document = markdown.sections(subject.text)
    headings, least = params["headings"], params.get("words", 3)
    faults = []
    for heading in headings:
        lines = markdown.named(document, heading, headings)
        if lines is None:
            fix = f'Add the heading "## {heading}" and write below it.'
            faults.append(invalid(f"has no heading {shown(heading)}", fix))
            continue
        joined = markdown.sharing(document, heading, headings)
        asked = least * joined
        if (found := markdown.words(lines, asked)) < asked:
            names = f", whose heading joins {joined} names" if joined > 1 else ""
            fix = "Write it. Comments and placeholders do not count; where there is nothing, say so and why."
            message = f"has {_counted(found, 'word')} of text below {shown(heading)}{names}, not {asked}"
            faults.append(invalid(message, fix))
    return bounded(faults)


def check_list(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Below each heading stands a list."""
    document = markdown.sections(subject.text)
    headings, least = params["headings"], params.get("items", 1)
    faults = []
    for heading in headings:
        found = markdown.items(markdown.named(document, heading, headings) or ())
        if found < least:
            message = f"has {_counted(found, 'list item')} below {shown(heading)}, not {least}"
            faults.append(invalid(message, 'Begin each item with "- " or "1. ".'))
    return bounded(faults)


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def check_no_placeholder(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Nothing still waits for its text."""
    found = _members(subject.value, params.get("members", ())) if subject.format == JSON else _lines(subject)
    return bounded([_waiting(where, mark) for where, text in found if (mark := prose.placeholder(text))])


def _lines(subject: Subject) -> Iterator[tuple[str, str]]:
    for section in markdown.sections(subject.text):
        if section.level:
            yield f"line {section.number}", section.title
        for line in section.lines:
            if line.kind == markdown.TEXT:
                yield f"line {line.number}", line.text


def _members(value: Any, members: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The lines of all strings that are members of one of these names, at any depth, in order."""
    waiting: list[tuple[str, Any, bool]] = [("$", value, False)]
    while waiting:
        where, item, wanted = waiting.pop()
        if isinstance(item, str) and wanted:
            yield from ((where, line) for line in item.split("\n"))
        elif isinstance(item, dict):
            waiting += [(f"{where}.{key}"[:200], inner, key in members) for key, inner in reversed(item.items())]
        elif isinstance(item, (list, tuple)):
            waiting += [(f"{where}[{index}]"[:200], inner, wanted) for index, inner in reversed(tuple(enumerate(item)))]


def _waiting(where: str, mark: str) -> Fault:
    fix = "Write the text. If it speaks about the word itself, put the word in `backticks`."
    return invalid(f"holds a placeholder at {shown(where)[1:-1]}: {shown(mark)}", fix)


def check_url(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """The file is one https URL and nothing else."""
    lines = [line for line in subject.text.removeprefix("\ufeff").split("\n") if line.strip()]
    fix = "Write the URL on one line: https://host/path"
    if len(lines) != 1:
        return (invalid(f"has {len(lines)} lines; one URL is asked for", fix),)
    url = lines[0].strip(" \t\r")
    if len(url) > MAX_URL or not re.fullmatch(_URL, url):
        return (invalid(f"is not an https URL: {shown(url)}", fix),)
    return ()


def check_exit_status(subject: Subject, surroundings: Surroundings, params: Mapping[str, Any]) -> tuple[Fault, ...]:
    """The last line of a log names the exit status of the command, and it is the one asked for."""
    wanted = params.get("status", 0)
    last = subject.text.rstrip().rpartition("\n")[2].strip()
    found = re.fullmatch(_EXIT, last)
    fix = (
        'End the log with the line `exit status: N` of the real run: COMMAND > LOG 2>&1; echo "exit status: $?" >> LOG'
    )
    if found is None:
        return (invalid(f"does not end with a line `exit status: N`; its last line is {shown(last)}", fix),)
    if int(found[1]) != wanted:
        return (
            invalid(f"ends with exit status {found[1]}; {wanted} is asked for", "Mend the build and run it again."),
        )
    return ()
