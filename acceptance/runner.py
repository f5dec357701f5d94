"""The checks of the small package that walks change: they build it, test it, and measure which of its lines ran.

A copy of this file stands in each repository, and is what Enforcer runs there, with `--dialect=` and `--coverage=`. It
is a test runner in earnest, if a small one. Every module is compiled and loaded, each of its functions is called, each
`test_…` is run, and the reports in `$ENFORCER_OUT` say what happened, in the dialect of one tool or another.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

BANNER = Path("data/banner.txt")  # What the build prints first.
DOWN = Path.home() / "database-is-down"  # While this stands outside of the project, no test can reach what it needs.

Case = tuple[str, str, str, str]  # Module, name, "" or "failure" or "error" or "skipped", and why.


class Skip(Exception):
    """Raised by a test that cannot be run here. Tests name it by nothing but its name."""


class Package:
    """The package as it stands, and which of its lines were run."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.executable: dict[str, set[int]] = {}
        self.executed: dict[str, set[int]] = {}
        self._codes: dict[str, CodeType] = {}

    def build(self) -> None:
        """Compile every module. Raises `SyntaxError`."""
        for path in sorted((*self._root.glob("src/**/*.py"), *self._root.glob("tests/**/*.py"))):
            name = path.relative_to(self._root).as_posix()
            self._codes[name] = code = compile(path.read_bytes(), str(path), "exec")
            self.executable[name], self.executed[name] = set(_lines(code)), set()
            print(f"compiled {name}: 0 errors, 0 warnings")

    def test(self) -> Iterator[Case]:
        """Load each module and call all that it defines."""
        for name, code in self._codes.items():
            space: dict[str, Any] = {"__name__": name}
            yield self._case(name, "loads", code, partial(exec, code, space))
            functions = [(key, value) for key, value in space.items() if callable(value) and not key.startswith("_")]
            for key, function in functions:
                arguments = () if key.startswith("test_") else (1,)
                yield self._case(name, key, code, partial(function, *arguments))

    def _case(self, module: str, name: str, code: CodeType, call: Callable[[], object]) -> Case:
        if DOWN.exists():
            return module, name, "error", "ConnectionRefusedError: the database does not answer"
        seen = self.executed[module]

        def trace(frame: FrameType, event: str, _argument: object) -> Any:
            if frame.f_code.co_filename != code.co_filename:
                return None
            if event == "line":
                seen.add(frame.f_lineno)
            return trace

        sys.settrace(trace)
        try:
            call()
        except AssertionError:
            return module, name, "failure", traceback.format_exc(limit=1)
        except Exception as error:
            is_skip = type(error).__name__ == Skip.__name__
            return module, name, "skipped" if is_skip else "error", str(error)
        finally:
            sys.settrace(None)
        return module, name, "", ""


def _lines(code: CodeType) -> Iterator[int]:
    """The lines on which statements begin, of a module and of all that is defined in it."""
    yield from (line for _, _, line in code.co_lines() if line)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            # The line of `def` belongs to the code around it.
            yield from (line for line in _lines(constant) if line != constant.co_firstlineno)


# Reports of tests


def junit(dialect: str, cases: list[Case]) -> bytes:
    """What the tool of that name would write of these cases."""
    root = Element("testsuites", {"name": f"{dialect} tests"})
    if dialect == "maven":
        root = Element("testsuite", {"name": "org.example.Records", **_counts(dialect, cases)})
        SubElement(SubElement(root, "properties"), "property", {"name": "größe", "value": "0 failed"})
        _write_cases(root, cases)
    elif dialect == "pytest":
        suite = SubElement(root, "testsuite", {"name": "pytest", "hostname": "host", **_counts(dialect, cases)})
        _write_cases(suite, cases)
    else:
        for module in dict.fromkeys(module for module, *_ in cases):
            own = [case for case in cases if case[0] == module]
            _write_cases(SubElement(root, "testsuite", {"name": module, **_counts(dialect, own)}), own)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _counts(dialect: str, cases: list[Case]) -> dict[str, str]:
    ended = [case[2] for case in cases]
    counts = {"tests": len(cases), "failures": ended.count("failure"), "errors": ended.count("error")}
    return {key: str(value) for key, value in counts.items()} | (
        {"skipped": str(ended.count("skipped")), "time": "0.042"} if dialect != "go" else {}
    )


def _write_cases(suite: Element, cases: list[Case]) -> None:
    for module, name, ended, why in cases:
        case = SubElement(suite, "testcase", {"classname": module, "name": name, "time": "0.001"})
        if ended:
            SubElement(case, ended, {"message": why[:200]}).text = why
        else:
            SubElement(case, "system-out").text = "kept: größer als zuvor"


# Reports of coverage


def lcov(package: Package) -> bytes:
    sections = []
    for name, lines in package.executable.items():
        executed = package.executed[name]
        hits = [f"DA:{line},{int(line in executed)}" for line in sorted(lines)]
        sums = [f"LF:{len(lines)}", f"LH:{len(lines & executed)}"]
        sections.append("\n".join(["TN:", f"SF:{name}", *hits, *sums, "end_of_record"]))
    return ("\n".join(sections) + "\n").encode()


def cobertura(package: Package) -> bytes:
    total = sum(len(lines) for lines in package.executable.values())
    covered = sum(len(lines & package.executed[name]) for name, lines in package.executable.items())
    root = Element("coverage", {"lines-valid": str(total), "lines-covered": str(covered)})
    SubElement(SubElement(root, "sources"), "source").text = os.getcwd()
    classes = SubElement(SubElement(SubElement(root, "packages"), "package", {"name": "."}), "classes")
    for name, lines in package.executable.items():
        listed = SubElement(SubElement(classes, "class", {"name": name, "filename": name}), "lines")
        for line in sorted(lines):
            SubElement(listed, "line", {"number": str(line), "hits": str(int(line in package.executed[name]))})
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def coverage_json(package: Package) -> bytes:
    files = {}
    covered = missed = 0
    for name, lines in package.executable.items():
        executed, missing = sorted(lines & package.executed[name]), sorted(lines - package.executed[name])
        summary = _summary(len(executed), len(missing))
        files[name] = {"executed_lines": executed, "missing_lines": missing, "summary": summary}
        covered, missed = covered + len(executed), missed + len(missing)
    document = {"meta": {"format": 3, "version": "7.10.0"}, "files": files, "totals": _summary(covered, missed)}
    return json.dumps(document, ensure_ascii=False).encode()


def _summary(covered: int, missing: int) -> dict[str, int]:
    return {"covered_lines": covered, "num_statements": covered + missing, "missing_lines": missing}


DIALECTS = ("pytest", "jest", "go", "maven")
REPORTS = {"lcov": lcov, "cobertura": cobertura, "coverage-json": coverage_json}


def main(dialect: str, coverage: str) -> int:
    if BANNER.exists():
        sys.stdout.write(BANNER.read_text(encoding="utf-8"))
    package = Package(Path.cwd())
    package.build()
    cases = list(package.test())
    out = Path(os.environ["ENFORCER_OUT"])
    (out / "junit.xml").write_bytes(junit(dialect, cases))
    (out / "coverage").write_bytes(REPORTS[coverage](package))
    bad = sum(ended in ("failure", "error") for _, _, ended, _ in cases)
    print(f"{len(cases) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    raise SystemExit(main(*(word.partition("=")[2] for word in sys.argv[1:])))
