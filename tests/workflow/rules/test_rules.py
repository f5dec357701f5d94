"""Each kind of rule: holds, is broken, meets nothing; and none ever raises."""

from __future__ import annotations

import string
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer import process_file
from enforcer.workflow.events import Accepted
from enforcer.workflow.rules.subject import (
    AUTHOR,
    INVALID,
    STALE,
    UNOBSERVED,
    Fault,
    GitFacts,
    Patched,
    Seen,
    Subject,
    Surroundings,
)
from enforcer.workflow.rules.table import IMPLIED, RESERVED, RULES

ATTEMPT = "0123456789abcdef0123456789abcdef"
DIGEST = "9" * 64
TREE, OTHER_TREE, HEAD = "a" * 40, "b" * 40, "c" * 40
GIT = GitFacts(tree=TREE, head=HEAD, head_tree=TREE, changes=("a.py", "b.py"), patched={"evidence": Patched(TREE)})
AROUND = Surroundings(
    attempt_id=ATTEMPT,
    actor="bob/1",
    implementers=("ann",),
    accepted={"IMPLEMENT/git_diff.patch": Accepted("git_diff.patch", DIGEST, 9)},
    documents={"PLAN/file_map.json": {"files": [{"path": "a.py", "action": "modify", "why": "it is wrong"}]}},
    bound_tree=TREE,
    git=GIT,
)


def ask(
    kind: str, params: dict, value: Any = None, *, text: str = "", around: Surroundings = AROUND, **more
) -> tuple[Fault, ...]:
    subject = Subject("evidence", more.pop("format", "json"), more.pop("data", b""), text=text, value=value, **more)
    found = {**RULES, **IMPLIED}[kind].check(subject, around, params)
    assert all(fault.message and fault.message.isprintable() for fault in found)
    return found


def codes(found: tuple[Fault, ...]) -> list[str]:
    return [fault.code for fault in found]


# One example of parameters for each kind, a value that holds, and values that do not.
EXAMPLES: dict[str, tuple[dict, Any, list[Any]]] = {
    "sum": (
        {"total": "t", "parts": ["a", "b"]},
        {"t": 3, "a": 1, "b": 2},
        [
            {"t": 3, "a": 1, "b": 2.0},
            {"t": 3.0, "a": 3},
            {"t": 1e308, "a": 1e308},
            {"t": 3, "a": 1},
            {"t": True, "a": 1},
            {"a": 0},
            {"t": 0, "a": 1, "b": -1},
            {"t": 1, "a": "1"},
            [],
            None,
        ],
    ),
    "minimum": (
        {"field": "n", "value": 70},
        {"n": 70},
        [{"n": 69.999}, {"n": True}, {"n": "70"}, {"n": None}, {}, {"n": float("nan")}, {"n": float("inf")}],
    ),
    "maximum": ({"field": "n", "value": 0}, {"n": 0}, [{"n": 1}, {"n": False}, {}, {"n": "0"}, {"n": 10**400}]),
    "rate": (
        {"rate": "r", "covered": "c", "total": "t"},
        {"r": 0.667, "c": 2, "t": 3},
        [
            {"r": 0.66, "c": 2, "t": 3},
            {"r": 1, "c": 4, "t": 3},
            {"r": 1, "c": 201, "t": 200},
            {"r": 0, "c": 0, "t": 0},
            {"r": True, "c": 1, "t": 1},
            {},
        ],
    ),
    "part": (
        {"field": "p", "of": "w"},
        {"p": 3, "w": 3},
        [{"p": 4, "w": 3}, {"p": -1, "w": 3}, {"p": 1.0, "w": 3}, {"p": 1, "w": True}, {"p": 1}, {"w": 1}, []],
    ),
    "one_of": (
        {"field": "s", "values": ["healthy"]},
        {"s": "healthy"},
        [{"s": "not healthy"}, {"s": ["healthy"]}, {}, []],
    ),
    "every": (
        {"list": "l", "member": "s", "values": ["passed"]},
        {"l": [{"s": "passed"}]},
        [{"l": []}, {"l": [{"s": "not passed"}]}, {"l": ["passed"]}, {"l": {"s": "passed"}}, {}, {"l": [{"s": True}]}],
    ),
    "criteria": (
        {"field": "c", "names": ["x"], "words": 2},
        {"c": {"x": {"pass": True, "note": "looks right"}}},
        [
            {"c": {"x": {"pass": "true", "note": "looks right"}}},
            {"c": {"x": {"pass": False, "note": "looks right"}}},
            {"c": {"x": {"pass": True, "note": "right"}}},
            {"c": {"x": {"pass": True}}},
            {"c": {}},
            {"c": [True]},
            {},
        ],
    ),
    "paths": (
        {"list": "f", "member": "", "outside": ["state"]},
        {"f": ["a.py", "b/.github/c", "statement"]},
        [
            {"f": []},
            {"f": ["/a"]},
            {"f": ["a/../b"]},
            {"f": ["x/.Git/y"]},
            {"f": ["state/x"]},
            {"f": ["a", "a"]},
            {"f": [1]},
            {},
        ],
    ),
    "no_placeholder": (
        {"members": ["note"]},
        {"note": "done", "x": "TODO"},
        [{"note": "TODO"}, [{"note": ["x", "tbd"]}]],
    ),
    "attempt": (
        {"field": "attempt_id"},
        {"attempt_id": ATTEMPT},
        [{"attempt_id": "f" * 32}, {"attempt_id": 1}, {}, None],
    ),
    "files": (
        {"list": "files"},
        {"files": ["b.py", "a.py"]},
        [{"files": ["a.py"]}, {"files": ["a.py", "b.py", "c.py"]}, {"files": []}, {}],
    ),
    "planned": (
        {"map": "PLAN/file_map.json"},
        {"files": ["a.py", "b.py"], "deviations": [{"path": "b.py", "reason": "it was needed"}]},
        [
            {"files": ["a.py", "b.py"]},
            {"files": ["b.py"], "deviations": [{"path": "b.py", "reason": "needed"}]},
            {"files": ["a.py"], "deviations": [{"path": "c.py", "reason": "it was needed"}]},
            {"files": ["b.py"], "deviations": "b.py"},
        ],
    ),
    "bound": (
        {"field": "diff_digest", "to": "IMPLEMENT/git_diff.patch"},
        {"diff_digest": DIGEST},
        [{"diff_digest": "8" * 64}, {"diff_digest": None}, {}],
    ),
    "reviewer": ({}, {"reviewer": "bob"}, [{"reviewer": "ann"}, {"reviewer": ["bob"]}, {}]),
    "commit": ({}, {"commit": HEAD}, [{"commit": HEAD[:12]}, {"commit": TREE}, {"commit": 1}, {}]),
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_rule_over_json_holds_for_what_it_asks_for(kind: str) -> None:
    params, good, _ = EXAMPLES[kind]
    assert ask(kind, params, good) == ()


@pytest.mark.parametrize("kind, bad", [(kind, bad) for kind, (_, _, cases) in EXAMPLES.items() for bad in cases])
def test_a_rule_over_json_refuses_everything_else_and_says_how_to_mend_it(kind: str, bad: Any) -> None:
    found = ask(kind, EXAMPLES[kind][0], bad)
    assert found
    assert all(fault.fix for fault in found)


def test_all_reasons_are_given_and_beyond_fifty_they_are_counted() -> None:
    every = EXAMPLES["every"][0]
    assert len(ask("every", every, {"l": [{"s": "failed", "name": "x"}, {"s": "passed"}, {}]})) == 2
    found = ask("every", every, {"l": [{"s": "failed"}] * 80})
    assert len(found) == 51
    assert "30 more" in found[-1].message


def test_a_ratio_is_met_by_the_same_decimal() -> None:
    for basis_points in range(10_001):
        value = float(f"{basis_points / 10_000:.4f}")
        assert ask("minimum", {"field": "n", "ratio_bp": basis_points}, {"n": value}) == ()
        if basis_points < 10_000:
            assert ask("minimum", {"field": "n", "ratio_bp": basis_points + 1}, {"n": value}) != ()


def test_stale_evidence_is_told_from_wrong_evidence() -> None:
    assert codes(ask("attempt", {"field": "attempt_id"}, {"attempt_id": "f" * 32})) == [STALE]
    assert codes(ask("attempt", {"field": "attempt_id"}, {})) == [INVALID]
    assert ask("attempt", {"field": "attempt_id", "optional": True}, {}) == ()
    assert codes(ask("attempt", {"field": "attempt_id", "optional": True}, {"attempt_id": None})) == [INVALID]
    assert codes(ask("bound", EXAMPLES["bound"][0], {"diff_digest": "8" * 64})) == [STALE]
    assert codes(ask("bound", {"field": "d", "to": "IMPLEMENT/none"}, {"d": DIGEST})) == [INVALID]


def test_who_implemented_does_not_review_unless_the_process_says_so() -> None:
    author = AROUND.replace(actor="ann/2")
    assert codes(ask("reviewer", {}, {"reviewer": "ann"}, around=author)) == [AUTHOR]
    assert codes(ask("reviewer", {}, {"reviewer": "bob"}, around=author)) == [INVALID, AUTHOR]
    assert ask("reviewer", {}, {"reviewer": "ann/1"}, around=author.replace(self_review=True)) == ()


@pytest.mark.parametrize("actor", ["ANN", "Ann/2", "ann."])
def test_an_author_does_not_review_in_another_spelling(actor: str) -> None:
    around = AROUND.replace(actor=actor)

    assert codes(ask("reviewer", {}, {"reviewer": actor.partition("/")[0]}, around=around)) == [AUTHOR]


def test_a_diff_leads_from_the_base_to_the_files_as_they_are() -> None:
    def diff(git: GitFacts | None) -> list[str]:
        return codes(ask("diff", {}, format="diff", around=AROUND.replace(git=git, git_problem="no repository")))

    assert diff(GIT) == []
    assert diff(GIT.replace(tree=OTHER_TREE)) == [STALE]
    assert diff(GIT.replace(patched={"evidence": Patched("", "patch does not apply")})) == [INVALID]
    assert diff(GIT.replace(patched={})) == [INVALID]
    assert diff(GIT.replace(changes=())) == [INVALID]
    assert diff(None) == [INVALID]


def test_ci_speaks_of_the_commit_that_holds_what_was_reviewed() -> None:
    def commit(git: GitFacts | None, bound: str = TREE) -> list[str]:
        return codes(ask("commit", {}, {"commit": HEAD}, around=AROUND.replace(git=git, bound_tree=bound)))

    assert commit(GIT) == []
    assert commit(GIT.replace(tree=OTHER_TREE)) == []
    assert commit(GIT, bound="") == []
    assert commit(GIT.replace(head_tree=OTHER_TREE)) == [STALE]
    assert commit(GIT.replace(head="d" * 40, head_tree=OTHER_TREE)) == [STALE, STALE]
    assert commit(GIT.replace(head="")) == [INVALID]
    assert commit(None) == [INVALID]


def test_the_tree_is_the_one_that_was_accepted() -> None:
    assert ask("tree", {}) == ()
    assert codes(ask("tree", {}, around=AROUND.replace(bound_tree=OTHER_TREE))) == [STALE]
    assert codes(ask("tree", {}, around=AROUND.replace(bound_tree=""))) == [STALE]
    assert codes(ask("tree", {}, around=AROUND.replace(git=None))) == [INVALID]


def test_a_repository_without_a_commit_is_told_by_every_rule_that_looks_at_the_files() -> None:
    around = AROUND.replace(git=GIT.replace(unborn=("inner/", "other/")))
    for kind in ("diff", "files", "tree"):
        found = ask(kind, {"list": "files"}, {"files": ["a.py", "b.py"]}, around=around)
        assert codes(found) == [INVALID, INVALID]
        assert "'inner/' contains a git repository without a commit" in found[0].message
        assert "commit in it" in found[0].fix
    assert ask("commit", {}, {"commit": HEAD}, around=around) == ()
    assert codes(ask("commit", {}, {"commit": HEAD}, around=around.replace(bound_tree=""))) == [INVALID, INVALID]


def test_without_git_the_fix_is_told() -> None:
    around = AROUND.replace(git=None, git_problem="there is no git repository here")
    for kind in ("diff", "files", "commit", "tree"):
        (fault,) = ask(kind, {"list": "files"}, {"files": ["a.py"], "commit": HEAD}, around=around)
        assert "git init" in fault.fix
        assert "no git repository" in fault.message


def test_a_form_of_text_is_untouched_whatever_was_filled_in_and_filled_in_otherwise() -> None:
    template = "Attempt {attempt_id} of {actor}\n\nTODO: what was seen\n"
    filled = template.replace("{attempt_id}", "f" * 32).replace("{actor}", "bob")
    for text in (template, filled, filled.replace("\n", "\r\n")):
        assert ask("scaffold", {"template": template}, text=text, format="text")
    assert ask("scaffold", {"template": template}, text=filled.replace("TODO: ", ""), format="text") == ()
    assert ask("scaffold", {"template": ""}, text=filled, format="text") == ()


SEEN = Seen(seq=7, attempt_id=ATTEMPT, digest=sha256(b"made").hexdigest(), tree=TREE, configured=True)


def seen(data: bytes = b"made", **changes: Any) -> tuple[Fault, ...]:
    """What is said of an artifact that holds `data`, of which Enforcer saw a run."""
    return ask("observed", {}, data=data, around=AROUND.replace(runs={"evidence": SEEN.replace(**changes)}))


def test_what_a_configured_run_made_here_and_now_is_observed() -> None:
    assert seen() == ()


def test_claimed_evidence_is_not_observed_whatever_it_says_of_itself() -> None:
    assert codes(ask("observed", {})) == [UNOBSERVED]
    assert codes(ask("observed", {}, origin="observed")) == [UNOBSERVED]
    other = AROUND.replace(runs={"other": SEEN})
    assert codes(ask("observed", {}, data=b"made", around=other)) == [UNOBSERVED]


def test_what_was_written_over_or_run_otherwise_is_not_observed_and_the_entry_is_named() -> None:
    for found in (seen(b"forged"), seen(configured=False)):
        assert codes(found) == [UNOBSERVED]
        assert "entry 7" in found[0].message


def test_what_another_attempt_made_is_stale() -> None:
    (fault,) = seen(attempt_id="f" * 32)
    assert (fault.code, "another attempt" in fault.message) == (STALE, True)


def test_what_was_seen_before_an_edit_is_stale_and_names_the_files() -> None:
    found = seen(tree=OTHER_TREE, differing=("a.py", "b\x1b.py"))
    assert codes(found) == [STALE, STALE]
    assert found[0].message == "was observed before 'a.py' was changed"
    for unknown in (None, ()):
        (fault,) = seen(tree=OTHER_TREE, differing=unknown)
        assert (fault.code, "entry 7" in fault.message) == (STALE, True)


def test_more_files_than_can_be_named_are_counted() -> None:
    found = seen(tree=OTHER_TREE, differing=tuple(f"{number}.py" for number in range(99)))
    assert set(codes(found)) == {STALE}
    assert found[-1].message == "and 49 more of the kind"


def test_nothing_is_observed_where_nobody_can_tell_the_files() -> None:
    around = AROUND.replace(git=None, runs={"evidence": SEEN.replace(tree="")})
    (fault,) = ask("observed", {}, data=b"made", around=around)
    assert (fault.code, "git init" in fault.fix) == (INVALID, True)


def test_a_plan_that_cannot_be_read_plans_nothing() -> None:
    around = AROUND.replace(documents={})
    assert codes(ask("planned", {"map": "PLAN/file_map.json"}, {"files": ["a.py"]}, around=around)) == [INVALID]
    around = AROUND.replace(documents={"PLAN/file_map.json": 7})
    assert codes(ask("planned", {"map": "PLAN/file_map.json"}, {"files": ["a.py"]}, around=around)) == [INVALID]


def test_a_process_file_can_name_every_kind_and_no_other() -> None:
    assert set(process_file.KINDS) == set(RULES)
    assert not set(RULES) & set(RESERVED)


def _all_names() -> set[str]:
    names = {"files", "path", "deviations", "reason", "pass", "note", "name", "reviewer", "commit", "attempt_id"}
    for params, good, _ in EXAMPLES.values():
        names |= {
            value for value in params.values() if isinstance(value, str) and set(value) <= set(string.ascii_letters)
        }
        names |= set(good)
    return names


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(sorted(_all_names())), inner),
    max_leaves=20,
)


@given(value=JSON_VALUES, seed=st.dictionaries(st.sampled_from(sorted(_all_names())), JSON_VALUES))
def test_no_rule_raises_on_any_json(value: Any, seed: Any) -> None:
    for kind, (params, _, _) in EXAMPLES.items():
        for each in (value, seed):
            ask(kind, params, each)
            ask(kind, params, each, around=AROUND.replace(git=None, documents={"PLAN/file_map.json": value}))


@pytest.mark.parametrize(
    "text", ["https://" + "a" * 2000 + "!", "https://" + "a." * 1000 + "!", "https://" + "-" * 63 + "\\"]
)
def test_a_hostile_url_is_answered_at_once(text: str) -> None:
    """An explosion would outlast the test run, which is how it would show."""
    assert ask("url", {}, text=text, format="text")


@given(data=st.binary() | st.text().map(str.encode))
def test_no_rule_raises_on_any_bytes(data: bytes) -> None:
    text = data.decode(errors="replace")
    headings = {"headings": ["Problem", "Risks"]}
    ask("sections", headings, text=text, format="markdown")
    ask("list", headings, text=text, format="markdown")
    ask("no_placeholder", {}, text=text, format="markdown")
    ask("url", {}, text=text, format="text")
    ask("exit_status", {}, text=text, format="text")
    for name in ("markdown", "json", "text", "diff"):
        ask("format", {"format": name}, data=data, format=name)
        ask("scaffold", {"template": "TODO {attempt_id}\n"}, text=text, data=data, format=name)


def test_no_rule_raises_on_a_number_that_cannot_be_printed() -> None:
    for kind, (params, good, _) in EXAMPLES.items():
        ask(kind, params, 10**5000)
        if isinstance(good, dict):
            for field in good:
                ask(kind, params, {**good, field: 10**5000})
                ask(kind, params, {**good, field: [10**5000]})
