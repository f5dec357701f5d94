"""The second verifier: what it says by itself, and that it agrees with `enforcer verify` on mutated ledgers."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from acceptance import agree, second_verifier
from acceptance.agree import Answer, Bench
from acceptance.mutations import FIRST, KINDS, STRANGER, Case, segment

FILE = Path(second_verifier.__file__)
SAMPLE, SEED = 200, 1


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench(tmp_path_factory.mktemp("agree"))


@pytest.fixture(scope="module")
def sample(bench) -> list[Answer]:
    return [bench.answer(SEED, number) for number in range(SAMPLE)]


def ask(bench: Bench, case: Case, *more: str) -> tuple[int, dict[str, Any]]:
    """The command's exit status and what it prints as JSON."""
    argv = [sys.executable, str(FILE), str(bench.lay_out(case)), "--json", *more]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_it_is_one_short_file_that_shares_nothing_with_the_package():
    text = FILE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    imported = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {each.name for node in imported if isinstance(node, ast.Import) for each in node.names}
    names |= {str(node.module) for node in imported if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= {*sys.stdlib_module_names, "cryptography"}


def test_an_honest_ledger_is_verified_as_far_as_it_is_anchored(bench):
    case = bench.bases["anchored"].copy()
    kept = bench.lay_out(case).parent / "kept"
    kept.write_bytes(case.anchors[0])
    status, found = ask(bench, case, "--key", case.pins[0], "--anchor", str(kept))
    assert status == 0
    assert (found["verdict"], found["integrity"], found["anchoring"]) == ("verified", "verified", "anchored")
    assert (found["entries"], found["sealed_to"], found["anchored_to"], found["unanchored"]) == (22, 20, 15, 15)
    assert found["findings"] == []


def test_a_changed_byte_is_tampering_and_its_line_is_named(bench):
    case = bench.bases["signed"].copy()
    lines = case.lines()
    lines[5] = lines[5].replace(b'"actor":"', b'"actor":"x', 1)
    case.put(lines)
    status, found = ask(bench, case)
    assert (status, found["integrity"]) == (1, "tampered")
    assert 6 in {each["seq"] for each in found["findings"]}  # The first line that does not follow on what is there.


def test_a_rewritten_history_is_caught_by_an_anchor_alone(bench):
    honest = bench.bases["signed"].copy()
    kept = bench.lay_out(honest).parent / "kept"
    kept.write_bytes(honest.note(22))
    forged = Case({name: data for name, data in honest.files.items() if not name.startswith("checkpoint")})
    forged.rechain(lambda seq, entry: entry["event"]["data"].update(actor="mallory"))
    assert ask(bench, forged)[0] == 0
    status, found = ask(bench, forged, "--anchor", str(kept))
    assert (status, found["verdict"], found["anchoring"]) == (1, "tampered", "none")


def test_missing_lines_are_unverifiable_and_not_held_against_anyone(bench):
    case = bench.bases["segments"].copy()
    del case.files[segment(8)]
    status, found = ask(bench, case)
    assert (status, found["integrity"]) == (2, "unverifiable")


def test_a_pinned_key_that_the_ledger_does_not_name_is_a_contradiction(bench):
    case = bench.bases["signed"].copy()
    assert ask(bench, case, "--key", case.signer(FIRST).vkey)[0] == 0
    assert ask(bench, case, "--key", case.signer(STRANGER).vkey)[0] == 1


def test_it_prints_the_same_without_json(bench):
    folder = bench.lay_out(bench.bases["signed"].copy())
    done = subprocess.run([sys.executable, str(FILE), str(folder)], capture_output=True, text=True, check=False)
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert list(told) == second_verifier.REPORT
    assert (told["integrity"], told["entries"], told["sealed_to"]) == ("verified", "22", "22")


# Agreement


def test_both_verifiers_agree_on_a_sample_of_mutated_ledgers(sample):
    assert [answer for answer in sample if answer.difference] == []


def test_the_sample_holds_every_verdict_and_every_kind_of_anchoring(sample):
    assert {answer.integrity for answer in sample} == {"verified", "tampered", "unverifiable"}
    assert {answer.anchoring for answer in sample} == {"none", "local", "anchored"}
    assert {answer.base for answer in sample} == {"unsigned", "signed", "anchored", "segments", "rotated", "tiled"}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"nothing"}))
def test_each_kind_of_mutation_changes_a_ledger_or_what_is_held_against_it(bench, kind):
    def state(case: Case) -> tuple[Any, ...]:
        return case.files, case.anchors, case.pins

    changed = 0
    for number in range(8):
        case = bench.bases["tiled" if "tile" in kind else "segments"].copy()
        before = state(case.copy())
        KINDS[kind].apply(case, Random(number))
        changed += state(case) != before
    assert changed


def test_a_case_follows_from_seed_and_number_alone(bench, tmp_path):
    other = Bench(tmp_path)
    for number in range(20):
        base, kinds, case = bench.case(SEED, number)
        again = other.case(SEED, number)
        assert (base, kinds) == again[:2]
        assert (case.files, case.anchors, case.pins) == (again[2].files, again[2].anchors, again[2].pins)


def test_an_interrupted_run_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(agree, "CHUNK", 3)
    whole = agree.run(6, SEED, tmp_path, cores=1)
    chunks = sorted(tmp_path.glob("*/*.jsonl"))
    assert len(chunks) == 2
    kept = chunks[0].stat().st_mtime_ns
    chunks[1].unlink()
    again = agree.run(6, SEED, tmp_path, cores=1)
    assert (chunks[0].stat().st_mtime_ns, len(again)) == (kept, 6)
    assert [(each.number, each.kinds) for each in again] == [(each.number, each.kinds) for each in whole]


def test_a_difference_is_counted_and_told():
    same = Answer(0, "signed", ("nothing",), "verified", "none", "")
    differing = Answer(1, "signed", ("nothing", "lines deleted"), "tampered", "none", "integrity: verified / tampered")
    told = agree.report([same, differing], SEED)
    assert "2 ledgers, 1 agreements, 1 differences" in told
    assert "| lines deleted | 1 | 0 | 1 |" in told
    assert "| **ledgers** | 1 | 1 | 1 |" in told
