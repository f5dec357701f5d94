"""Test results are counted from the cases of real reports; one that contradicts its own cases proves nothing."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enforcer.evidence.readers import Unreadable, read_tests
from enforcer.evidence.readers.junit import MAX_CASES
from tests.evidence.readers.kept import answer, check_schema, faults, output

PARTS = ("passed", "failed", "errors", "skipped", "xfailed", "xpassed")

# By hand from what the tests do: passed, failed, errors, skipped, xfailed. jest's `todo` is one that passed where
# another failed, because the report does not say which of them it does not count.
COUNTS = {
    "pytest.xml": (12, 4, 4, 1, 2),
    "pytest-xunit1.xml": (12, 4, 4, 1, 2),
    "pytest-green.xml": (4, 0, 0, 1, 1),
    "pytest-uncollectable.xml": (0, 0, 1, 0, 0),
    "pytest-empty.xml": (0, 0, 0, 0, 0),
    "jest-green.xml": (1, 0, 0, 2, 0),
    "jest.xml": (5, 1, 0, 1, 0),
    "jest-suite-error.xml": (5, 2, 1, 1, 0),
    "vitest.xml": (3, 1, 0, 2, 0),
    "mocha.xml": (2, 2, 0, 1, 0),
    "mocha-xunit.xml": (2, 2, 0, 1, 0),
    "node.xml": (3, 1, 0, 2, 0),
    "gotestsum.xml": (3, 3, 0, 1, 0),
    "surefire.xml": (4, 1, 1, 2, 0),
    "surefire-hook.xml": (0, 0, 1, 0, 0),
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_counts_of_a_real_report_are_those_of_its_cases(name):
    document = read_tests("junit", output(name))
    assert tuple(document[part] for part in PARTS) == (*COUNTS[name], 0)
    check_schema("test_results", document)
    assert not faults("sum", document, total="total", parts=PARTS)


def test_several_reports_of_one_run_are_counted_together():
    document = read_tests("junit", output("surefire.xml"), output("surefire-hook.xml"))
    assert (document["total"], document["errors"]) == (9, 2)


def test_a_report_without_a_test_shows_none_and_is_refused_by_the_rule_that_asks_for_one():
    document = read_tests("junit", b"<testsuites/>")
    assert document["total"] == 0
    assert faults("minimum", document, field="passed", value=1)


def test_a_test_that_passed_when_tried_again_passed_and_the_notes_say_so():
    data = _suite('<testcase name="a"><flakyFailure message="once"/></testcase>')
    document = read_tests("junit", data)
    assert (document["passed"], document["failed"]) == (1, 0)
    assert "tried again" in document["notes"]


def test_reruns_of_some_tests_leave_the_others_counted():
    cases = '<testcase name="a"/>' * 50 + '<testcase name="b" time="1"><flakyError message="once"/></testcase>'
    document = read_tests("junit", _suite(cases, tests=1, failures=0, errors=0, skipped=0))
    assert document["passed"] == 51


def test_a_case_that_the_writer_does_not_count_as_a_test_is_not_believed_to_have_passed():
    data = _suite('<testcase name="a" time="0.1"/><testcase name="todo" time="0"/>', tests=1)
    document = read_tests("junit", data)
    assert (document["passed"], document["skipped"]) == (1, 1)
    assert "not count" in document["notes"]


def test_several_marks_on_one_case_are_one_case_and_the_worst_of_them_counts():
    data = _suite('<testcase name="a"><skipped/><failure/><failure/><error/></testcase>')
    assert _bad(read_tests("junit", data)) == (1, 0, 1)


def test_cases_of_one_name_are_counted_one_by_one():
    assert read_tests("junit", _suite('<testcase classname="c" name="n"/>' * 3, tests=3))["total"] == 3


def test_a_test_that_failed_and_could_not_be_torn_down_is_two_cases_and_one_test_of_pytest():
    cases = '<testcase name="a" time="1"><failure/></testcase><testcase name="a" time="1"><error/></testcase>'
    suite = f'<testsuite tests="1" failures="1" errors="1" skipped="0">{cases}</testsuite>'
    assert _bad(read_tests("junit", f'<testsuites name="pytest tests">{suite}</testsuites>'.encode())) == (2, 1, 1)


def test_a_suite_may_count_a_nested_one_as_one_test_or_as_all_of_its_cases():
    cases = '<testcase name="a" time="1"/>' * 2
    for told in (3, 4):
        data = _suite(f'{cases}<testsuite tests="2">{cases}</testsuite>', tests=told)
        assert read_tests("junit", data)["passed"] == 4
    with pytest.raises(Unreadable, match="counts 2 tests and holds 4 cases"):
        read_tests("junit", _suite(f"{cases}<testsuite>{cases}</testsuite>", tests=2))


def test_what_a_test_wrote_is_never_taken_for_a_case():
    inner = "<![CDATA[<testcase><failure/></testcase>]]>"
    data = _suite(f"<testcase><system-out>{inner}</system-out></testcase><system-err>{inner}</system-err>", tests=1)
    assert _bad(read_tests("junit", data)) == (1, 0, 0)


@pytest.mark.parametrize("mark", ["failure", "error"])
def test_a_suite_that_could_not_be_set_up_is_an_error(mark):
    document = read_tests("junit", _suite(f'<testcase name="a" time="1"/><{mark} message="no database"/>'))
    assert _bad(document) == (2, 0, 1)


@pytest.mark.parametrize(
    "attributes, part",
    [
        ('status="notrun" result="suppressed"', "skipped"),
        ('status="run" result="skipped"', "skipped"),
        ('status="run" result="completed"', "passed"),
        ('status="failed"', "failed"),
        ('result="error" status="failed"', "errors"),
    ],
)
def test_an_attribute_says_how_a_case_ended_where_no_child_does(attributes, part):
    document = read_tests("junit", _suite(f'<testcase name="a" time="1" {attributes}/>'))
    assert [name for name in PARTS if document[name]] == [part]


# --- Contradictions --------------------------------------------------------------------------------------------------


def test_a_failure_taken_out_of_a_real_report_is_noticed():
    data = output("vitest.xml").decode()
    start, end = data.index("<failure"), data.index("</failure>") + len("</failure>")
    with pytest.raises(Unreadable, match="cut or edited"):
        read_tests("junit", (data[:start] + data[end:]).encode())


@pytest.mark.parametrize("name", ["vitest.xml", "gotestsum.xml", "pytest-xunit1.xml", "node.xml", "mocha-xunit.xml"])
def test_a_failed_case_taken_out_of_a_real_report_is_noticed(name):
    data = output(name).decode()
    end = data.index("</testcase>", data.index("<failure")) + len("</testcase>")
    start = data.rindex("<testcase", 0, data.index("<failure"))
    with pytest.raises(Unreadable, match="cut or edited"):
        read_tests("junit", (data[:start] + data[end:]).encode())


def test_a_case_that_passed_and_was_taken_out_is_noticed():
    data = output("vitest.xml").decode()
    start, end = data.index("<testcase"), data.index("</testcase>") + len("</testcase>")
    with pytest.raises(Unreadable, match="tells of 6 tests, and its cases show 5"):
        read_tests("junit", (data[:start] + data[end:]).encode())


def test_cases_that_were_put_in_are_noticed():
    forged = output("vitest.xml").replace(b"</testsuite>", b'<testcase name="x" time="0.1"/>' * 9 + b"</testsuite>")
    with pytest.raises(Unreadable, match="counts 6 tests and holds 15 cases"):
        read_tests("junit", forged)


def test_attributes_that_deny_a_failure_are_noticed():
    with pytest.raises(Unreadable, match="says that nothing failed, and 1 case of it did"):
        read_tests("junit", _suite('<testcase name="a"><failure/></testcase>', tests=1, failures=0, errors=0))


def test_skipped_tests_that_are_not_there_are_noticed():
    with pytest.raises(Unreadable, match="2 skipped"):
        read_tests("junit", _suite('<testcase name="a"/>', skipped=2))


def test_subtests_that_only_pytest_counts_are_no_reason_to_doubt_pytest_alone():
    data = output("pytest-green.xml")
    assert b'tests="8"' in data
    with pytest.raises(Unreadable, match="tells of 8 tests"):
        read_tests("junit", data.replace(b'name="pytest tests"', b'name="other tests"'))


def test_pytest_cannot_list_more_cases_than_it_counts():
    data = output("pytest-green.xml").replace(b"</testsuite>", b'<testcase name="x" time="1"/>' * 3 + b"</testsuite>")
    with pytest.raises(Unreadable, match="counts 8 tests and holds 9 cases"):
        read_tests("junit", data)


@pytest.mark.parametrize("name", ["gotestsum-broken.xml", "mocha-no-pending.xml"])
def test_a_report_that_tells_of_more_than_it_lists_is_refused_with_what_it_may_be(name):
    with pytest.raises(Unreadable, match="a build for example"):
        read_tests("junit", output(name))


# --- What is no report -----------------------------------------------------------------------------------------------

_LAUGHS = "".join(f'<!ENTITY a{n} "&a{n - 1};&a{n - 1};&a{n - 1};&a{n - 1};">' for n in range(1, 40))

DANGEROUS = {
    "billion laughs": f'<!DOCTYPE t [<!ENTITY a0 "ha">{_LAUGHS}]><testsuite name="&a39;"/>',
    "external entity": '<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite>&x;</testsuite>',
    "parameter entity": '<!DOCTYPE t [<!ENTITY % x SYSTEM "http://localhost/x"> %x;]><testsuite/>',
    "default attribute": '<!DOCTYPE t [<!ATTLIST testcase status CDATA "passed">]><testsuite><testcase/></testsuite>',
    "entity of a document type elsewhere": '<!DOCTYPE t SYSTEM "x.dtd"><testsuite><testcase/>&x;</testsuite>',
}


@pytest.mark.parametrize("name", DANGEROUS)
def test_entities_and_internal_subsets_are_refused(name):
    with pytest.raises(Unreadable, match="an entity of its own"):
        read_tests("junit", DANGEROUS[name].encode())


NO_REPORT = {
    "nothing": (b"", "not XML"),
    "text": (b"312 passed", "not XML"),
    "cut": (b"<testsuite><testcase/>", "not XML"),
    "two documents": (b"<testsuite/><testsuite/>", "not XML"),
    "unknown encoding": (b'<?xml version="1.0" encoding="nonsense"?><testsuite/>', "unknown encoding|decoded"),
    "multi-byte encoding": (b'<?xml version="1.0" encoding="shift_jis"?><testsuite/>', "not XML"),
    "other root": (b"<html/>", "outermost element is 'html'"),
    "other case": (b"<TestSuite/>", "outermost element"),
    "case as root": (b"<testcase/>", "outermost element"),
    "case within a case": (b"<testsuite><testcase><testcase/></testcase></testsuite>", "not known"),
    "case within output": (b"<testsuite><system-out><testcase/></system-out></testsuite>", "none belongs"),
    "unknown child": (b"<testsuite><testcase><Failure/></testcase></testsuite>", "'Failure' that is not known"),
    "no count": (b'<testsuite tests="many"/>', "'many', which is no count"),
    "negative count": (b'<testsuite tests="-1"/>', "no count"),
    "other digits": ('<testsuite tests="\u0661"/>'.encode(), "no count"),
    "deep": (b"<testsuite>" * 65, "nested more than 64 deep"),
}


@pytest.mark.parametrize("name", NO_REPORT)
def test_what_is_no_report_is_refused_with_the_reason(name):
    data, reason = NO_REPORT[name]
    with pytest.raises(Unreadable, match=reason):
        read_tests("junit", data)


def test_a_report_in_another_encoding_that_xml_knows_is_read():
    text = '<?xml version="1.0" encoding="{}"?><testsuite tests="1"><testcase name="ü"/></testsuite>'
    for encoding in ("utf-16", "iso-8859-1", "windows-1252"):
        assert read_tests("junit", text.format(encoding).encode(encoding))["passed"] == 1


def test_the_number_of_cases_is_bounded():
    with pytest.raises(Unreadable, match="more than 200000 test cases"):
        read_tests("junit", _suite("<testcase/>" * (MAX_CASES + 1)))


def test_the_size_is_bounded_before_anything_is_parsed():
    with pytest.raises(Unreadable, match="at most 67108864"):
        read_tests("junit", b"<" * ((64 << 20) + 1))


def test_a_reader_of_another_name_is_refused():
    with pytest.raises(Unreadable, match="'lcov' reads no test reports"):
        read_tests("lcov", b"<testsuite/>")


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_unreadable(data):
    _, refusal = answer(read_tests, "junit", data)
    assert refusal.isprintable()


@given(st.sampled_from(sorted(COUNTS)), st.data())
@settings(max_examples=150)
def test_a_damaged_report_is_read_or_refused_and_never_worse(name, data):
    report = bytearray(output(name))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(report)))
        end = data.draw(st.integers(start, min(start + 30, len(report))))
        report[start:end] = data.draw(st.sampled_from([b"", b"<", b">", b'"', b"&#1;", b"<skipped/>", b"9", b"\xff"]))
    document, refusal = answer(read_tests, "junit", bytes(report))
    assert refusal.isprintable()
    if not refusal:
        assert document["total"] == sum(document[part] for part in PARTS)
        assert min(document[part] for part in PARTS) >= 0


OUTCOMES = {
    "passed": "",
    "failed": "<failure/>",
    "errors": "<error/>",
    "skipped": "<skipped/>",
    "xfailed": '<skipped type="pytest.xfail"/>',
}
_TREE = st.recursive(
    st.lists(st.sampled_from(sorted(OUTCOMES)), max_size=6),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=12,
)


@given(_TREE, st.text("a<&\"]>'", max_size=5))
@example((["failed"], (["passed"], ["xfailed"])), "]]>")
def test_suites_nested_in_any_way_are_counted_whole(tree, name):
    """What is written is what is counted, whatever is nested in what and however cases are called."""
    ended: list[str] = []

    def write(node):
        if isinstance(node, tuple):
            return "".join(f"<testsuite>{write(inner)}</testsuite>" for inner in node)
        ended.extend(node)
        return "".join(f"<testcase name={quoteattr(name)}>{OUTCOMES[one]}</testcase>" for one in node)

    document = read_tests("junit", f"<testsuites>{write(tree)}</testsuites>".encode())
    assert {part: document[part] for part in OUTCOMES} == {part: ended.count(part) for part in OUTCOMES}


def _suite(content: str, **attributes: int) -> bytes:
    told = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<testsuite name="s"{told}>{content}</testsuite>'.encode()


def _bad(document) -> tuple[int, int, int]:
    return document["total"], document["failed"], document["errors"]
