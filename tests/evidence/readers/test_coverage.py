"""Coverage is counted from the lines of real reports, the same whichever form a tool writes it in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.evidence.readers import Coverage, Lines, Unreadable, coverage_document, read_coverage, unmeasured
from tests.evidence.readers.kept import ROOT, answer, check_schema, faults, output

PYTHON = {
    "extra.py": (3, 3),
    "pkg/__init__.py": (0, 0),
    "pkg/inner.py": (3, 6),
    "shop.py": (10, 15),
    "test_green.py": (15, 16),
    "test_more.py": (4, 4),
}
SHOP = {"src/shop.js": (7, 12), "src/shop.node.mjs": (11, 11)}

# By file: how many lines ran, and of how many.
REPORTS = {
    "coverage.json": ("coverage-json", PYTHON),
    "coverage.xml": ("cobertura", PYTHON),
    "coverage-py.lcov": ("lcov", PYTHON),
    "jest.lcov": ("lcov", {"src/shop.js": (3, 5)}),
    "jest-cobertura.xml": ("cobertura", {"src/shop.js": (3, 5)}),
    "c8.lcov": ("lcov", SHOP),
    "c8-cobertura.xml": ("cobertura", SHOP),
    "node.lcov": ("lcov", SHOP),
    "gcc.lcov": ("lcov", {"shop.c": (6, 8)}),
}


@pytest.mark.parametrize("name", REPORTS)
def test_the_lines_of_a_real_report_are_counted_by_file(name):
    reader, files = REPORTS[name]
    coverage = read_coverage(reader, output(name), root=ROOT)
    assert {path: (len(lines.executed), lines.total) for path, lines in coverage.files.items()} == files
    assert coverage.outside == 0


def test_one_measurement_is_the_same_in_all_three_forms():
    forms = [
        read_coverage(reader, output(name), root=ROOT).files
        for name, reader in (
            ("coverage.json", "coverage-json"),
            ("coverage.xml", "cobertura"),
            ("coverage-py.lcov", "lcov"),
        )
    ]
    assert forms[0] == forms[1] == forms[2]
    assert forms[0]["pkg/inner.py"] == Lines(frozenset({1, 2, 5}), frozenset({6, 7, 8}))


@pytest.mark.parametrize("name", REPORTS)
def test_a_damaged_report_is_read_or_refused_and_never_worse(name):
    reader, _ = REPORTS[name]

    @given(st.data())
    @settings(max_examples=25, database=None)
    def damage(data):
        report = bytearray(output(name))
        for _ in range(data.draw(st.integers(1, 3))):
            start = data.draw(st.integers(0, len(report)))
            end = data.draw(st.integers(start, min(start + 20, len(report))))
            report[start:end] = data.draw(
                st.sampled_from([b"", b"-1", b"9", b"\n", b"}", b'"', b"null", b"\xff", b"1e9"])
            )
        coverage, refusal = answer(read_coverage, reader, bytes(report), root=ROOT)
        assert refusal.isprintable()
        if not refusal:
            check_schema("coverage_report", coverage_document(coverage, {}))

    damage()


@given(st.sampled_from(["coverage-json", "cobertura", "lcov"]), st.binary(max_size=100))
def test_no_bytes_are_more_than_unreadable(reader, data):
    _, refusal = answer(read_coverage, reader, data, root=ROOT)
    assert refusal
    assert refusal.isprintable()


# --- Contradictions --------------------------------------------------------------------------------------------------


def _edited(name: str, old: str, new: str) -> bytes:
    data = output(name).decode()
    assert old in data
    return data.replace(old, new, 1).encode()


EDITS = {
    "a hit that was none (cobertura)": ("coverage.xml", '<line number="10" hits="0"/>', '<line number="10" hits="1"/>'),
    "a hit that was none (istanbul)": ("jest-cobertura.xml", '<line number="9" hits="0"', '<line number="9" hits="1"'),
    "a line gone (cobertura)": ("c8-cobertura.xml", '<line number="9" hits="0" branch="false"/>', ""),
    "another sum (cobertura)": ("coverage.xml", 'lines-valid="44"', 'lines-valid="35"'),
    "another rate (cobertura)": ("coverage.xml", 'line-rate="0.7955"', 'line-rate="0.99"'),
    "a rate that is none": ("coverage.xml", 'line-rate="0.7955"', 'line-rate="nan"'),
    "a rate of a class": ("coverage.xml", 'complexity="0" line-rate="0.6667"', 'complexity="0" line-rate="1"'),
    "a hit that was none (lcov)": ("coverage-py.lcov", "DA:6,0", "DA:6,1"),
    "a line gone (lcov)": ("jest.lcov", "DA:9,0\n", ""),
    "another sum (lcov)": ("c8.lcov", "LH:7", "LH:12"),
    "a section cut": ("gcc.lcov", "end_of_record\n", ""),
    "an executed line more": ("coverage.json", '"missing_lines": [6, 7, 8]', '"missing_lines": [6, 7]'),
    "another sum (json)": ("coverage.json", '"covered_lines": 35', '"covered_lines": 44'),
    "both executed and missing": ("coverage.json", '"missing_lines": [6, 7, 8]', '"missing_lines": [5, 7, 8]'),
    "a line twice": ("coverage.json", '"missing_lines": [6, 7, 8]', '"missing_lines": [6, 7, 7]'),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_report_contradicts_itself_and_is_refused(edit):
    name, old, new = EDITS[edit]
    with pytest.raises(Unreadable, match=r"cut or edited|no number|was cut|both as executed"):
        read_coverage(REPORTS[name][0], _edited(name, old, new), root=ROOT)


NO_REPORT = {
    "not json": ("coverage-json", b"{", "not strict JSON"),
    "a key twice": ("coverage-json", b'{"files": {}, "files": {}}', "stands twice"),
    "no files": ("coverage-json", b'{"totals": {}}', "has no dict 'files'"),
    "a boolean as a line": (
        "coverage-json",
        b'{"files": {"a.py": {"executed_lines": [true], "missing_lines": []}}, "totals": {}}',
        "not all numbers",
    ),
    "another root": ("cobertura", b"<report/>", "outermost element"),
    "an internal subset": ("cobertura", b'<!DOCTYPE coverage [<!ENTITY a "b">]><coverage/>', "entity"),
    "a class without a file": ("cobertura", b"<coverage><class/></coverage>", "names no file"),
    "a class in a class": (
        "cobertura",
        b'<coverage><class filename="a"><class filename="b"/></class></coverage>',
        "inside",
    ),
    "line 0": ("lcov", b"SF:a\nDA:0,1\nend_of_record", "counted from 1"),
    "negative": ("lcov", b"SF:a\nDA:1,-1\nend_of_record", "no count"),
    "no record": ("lcov", b"SF:a\nhello\nend_of_record", "no record"),
    "lines of no file": ("lcov", b"DA:1,1\n", "outside of a section"),
    "sections that overlap": ("lcov", b"SF:a\nDA:1,1\nSF:b\nend_of_record", "has no end before line 3"),
    "an end without a beginning": ("lcov", b"end_of_record", "no record"),
    "nothing": ("lcov", b"", "no section"),
    "another reader": ("junit", b"", "'junit' reads no coverage"),
}


@pytest.mark.parametrize("name", NO_REPORT)
def test_what_is_no_report_is_refused_with_the_reason(name):
    reader, data, reason = NO_REPORT[name]
    with pytest.raises(Unreadable, match=reason):
        read_coverage(reader, data, root=ROOT)


def test_a_report_that_measured_no_line_proves_nothing():
    for reader, data in (
        ("lcov", b"SF:a.py\nend_of_record\n"),
        ("cobertura", b'<coverage lines-valid="0" lines-covered="0" line-rate="1"/>'),
    ):
        with pytest.raises(Unreadable, match="no executable line"):
            read_coverage(reader, data, root=ROOT)


# --- Sections, classes and paths -------------------------------------------------------------------------------------


def test_sections_of_one_file_are_merged_and_a_line_ran_if_it_ran_in_one():
    data = (
        b"TN:one\nSF:a.c\nDA:1,1\nDA:2,0\nDA:3,0\nend_of_record\nTN:two\nSF:./a.c\nDA:2,4,sum\nDA:4,0\nend_of_record\n"
    )
    assert read_coverage("lcov", data, root=ROOT).files == {"a.c": Lines(frozenset({1, 2}), frozenset({3, 4}))}


def test_classes_of_one_file_are_merged_and_lines_of_methods_alone_count_for_nothing():
    """As gocover-cobertura writes it: a class for each receiver, and a source folder that is none."""
    data = b"""<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
    <coverage line-rate="0.5" lines-covered="2" lines-valid="4"><sources><source>$GOMODCACHE</source></sources>
    <packages><package name="m"><classes>
    <class name="A" filename="a.go" line-rate="1"><methods><method name="F"><lines><line number="9" hits="0"/></lines>
    </method></methods><lines><line number="1" hits="1"/><line number="2" hits="3"/></lines></class>
    <class name="-" filename="a.go" line-rate="0"><methods/>
    <lines><line number="5" hits="0"/><line number="6" hits="0"/></lines></class>
    </classes></package></packages></coverage>"""
    coverage = read_coverage("cobertura", data, root=ROOT)
    assert coverage.files == {"a.go": Lines(frozenset({1, 2}), frozenset({5, 6}))}


def _lcov(*paths: str) -> bytes:
    return "".join(f"SF:{path}\nDA:1,1\nend_of_record\n" for path in paths).encode()


PATHS = {
    "src/a.py": "src/a.py",
    "./src//a.py": "src/a.py",
    "src/x/../a.py": "src/a.py",
    "/project/src/a.py": "src/a.py",
    "/project/./src/../a.py": "a.py",
    "src\\a.py": "src/a.py",
}
OUTSIDE = ["/usr/include/stdio.h", "../other/a.py", "/projects/a.py", "/project", "C:\\work\\a.py", "/project/../a.py"]


@pytest.mark.parametrize("path", PATHS)
def test_paths_are_made_relative_to_the_project(path):
    assert set(read_coverage("lcov", _lcov(path), root=ROOT).files) == {PATHS[path]}


def test_files_outside_of_the_project_count_for_nothing_and_are_said_to():
    coverage = read_coverage("lcov", _lcov("a.py", *OUTSIDE), root=ROOT)
    assert (set(coverage.files), coverage.outside) == ({"a.py"}, len(OUTSIDE))
    document = coverage_document(coverage, {})
    assert document["lines_total"] == 1
    assert f"{len(OUTSIDE)} files outside" in document["notes"]


def test_paths_are_relative_to_the_folder_that_the_tool_ran_in():
    coverage = read_coverage("lcov", _lcov("src/a.ts", "../shared/b.ts"), root=ROOT, folder="web/app")
    assert set(coverage.files) == {"web/app/src/a.ts", "web/shared/b.ts"}


def _cobertura(path: str, *sources: str) -> bytes:
    folders = "".join(f"<source>{source}</source>" for source in sources)
    lines = '<lines><line number="1" hits="1"/></lines>'
    return (
        f"<coverage><sources>{folders}</sources><packages><package><classes>"
        f'<class filename="{path}">{lines}</class></classes></package></packages></coverage>'
    ).encode()


def test_a_path_is_below_the_source_folder_of_its_report():
    for source in ("/project/src/pkg", "src/pkg", "src\\pkg"):
        assert set(read_coverage("cobertura", _cobertura("a.py", source), root=ROOT).files) == {"src/pkg/a.py"}


def test_a_path_below_one_of_several_source_folders_is_that_of_the_file_that_is_there():
    data = _cobertura("a.py", "/project/src", "/project/lib")
    with pytest.raises(Unreadable, match=r"may name 'src/a.py' or 'lib/a.py'"):
        read_coverage("cobertura", data, root=ROOT)
    assert set(read_coverage("cobertura", data, root=ROOT, files={"lib/a.py"}).files) == {"lib/a.py"}
    with pytest.raises(Unreadable, match="may name"):
        read_coverage("cobertura", data, root=ROOT, files={"lib/a.py", "src/a.py"})


def test_a_compiled_copy_is_not_taken_for_the_file_that_it_was_made_from():
    coverage = read_coverage("lcov", _lcov("dist/src/a.js", "src/b.js"), root=ROOT, files={"src/a.js", "src/b.js"})
    assert "src/a.js" not in coverage.files


def test_a_report_about_files_that_are_not_there_is_refused():
    with pytest.raises(Unreadable, match="names no file of the project"):
        read_coverage("lcov", _lcov("example.org/shop/shop.go"), root=ROOT, files={"shop.go"})


# --- The document ----------------------------------------------------------------------------------------------------

_RULES = (
    ("rate", {"rate": "line_rate", "covered": "lines_covered", "total": "lines_total"}),
    ("rate", {"rate": "changed_line_rate", "covered": "changed_lines_covered", "total": "changed_lines_total"}),
    ("part", {"field": "changed_lines_covered", "of": "lines_covered"}),
    ("part", {"field": "changed_lines_total", "of": "lines_total"}),
)
_NUMBERS = st.frozensets(st.integers(1, 300), max_size=300)


@given(st.lists(st.tuples(_NUMBERS, _NUMBERS, _NUMBERS), min_size=1, max_size=4))
def test_what_is_written_passes_the_schema_and_every_rule_about_its_counts(files):
    coverage = Coverage({f"{i}.py": Lines(ran, missed - ran) for i, (ran, missed, _) in enumerate(files)})
    document = coverage_document(coverage, {f"{i}.py": changed for i, (_, _, changed) in enumerate(files)})
    check_schema("coverage_report", document)
    assert [faults(rule, document, **params) for rule, params in _RULES] == [()] * len(_RULES)
    expected = sum(len(changed & (ran | missed)) for ran, missed, changed in files)
    assert document["changed_lines_total"] == expected


@given(st.integers(1, 2000), st.integers(0, 10_000))
def test_a_threshold_is_met_exactly_when_the_counts_meet_it(total, threshold):
    """No rounding lets 79.996 percent pass for 80, and none keeps 80 percent from passing."""
    for covered in {min(total, max(0, total * threshold // 10_000 + step)) for step in (-1, 0, 1)}:
        coverage = Coverage({"a.py": Lines(frozenset(range(covered)), frozenset(range(covered, total)))})
        refused = faults("minimum", coverage_document(coverage, {}), field="line_rate", ratio_bp=threshold)
        assert bool(refused) == (covered * 10_000 < threshold * total)


def test_only_executable_lines_of_the_change_count():
    coverage = read_coverage("coverage-json", output("coverage.json"), root=ROOT)
    document = coverage_document(coverage, {"pkg/inner.py": frozenset({1, 3, 4, 6}), "README.md": frozenset({1})})
    assert (document["changed_lines_covered"], document["changed_lines_total"]) == (1, 2)
    assert document["changed_line_rate"] == 0.5
    assert document["tool"] == "coverage.py 7.17.3"


def test_a_change_without_an_executable_line_has_the_rate_1():
    coverage = read_coverage("coverage-json", output("coverage.json"), root=ROOT)
    document = coverage_document(coverage, {"README.md": frozenset({1})})
    assert (document["changed_line_rate"], document["changed_lines_total"]) == (1, 0)
    assert "notes" not in document
    assert not faults("minimum", document, field="changed_line_rate", ratio_bp=8000)


def test_changed_code_that_was_not_measured_is_named():
    coverage = read_coverage("coverage-json", output("coverage.json"), root=ROOT)
    changed = {"never_imported.py": frozenset({1}), "shop.py": frozenset({4}), "README.md": frozenset({1})}
    assert unmeasured(coverage, changed) == ("never_imported.py",)
    assert coverage_document(coverage, changed)["notes"] == "Changed, and not in the report: never_imported.py."


def test_notes_are_bounded_and_hold_no_control_character():
    coverage = read_coverage("lcov", _lcov("a.py"), root=ROOT)
    changed = {f"\x1b[31m{'x' * 500}{number}.py": frozenset({1}) for number in range(500)}
    document = coverage_document(coverage, changed)
    check_schema("coverage_report", document)
    assert document["notes"].isprintable()
    assert "and 480 more" in document["notes"]


def test_a_version_that_is_no_plain_text_is_left_out():
    data = json.loads(output("coverage.json"))
    data["meta"]["version"] = "7\n\x1b[0m"
    assert read_coverage("coverage-json", json.dumps(data).encode(), root=ROOT).tool == ""
