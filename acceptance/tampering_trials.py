"""One case from the deed to what comes of it: done on a bench, asked about, and put back.

A trial says how a case ended. What must be noticed follows from the case alone (see `tampering_views`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from acceptance.tampering import root_in, root_of, size_of
from acceptance.tampering_base import Ground
from acceptance.tampering_bench import Bench
from acceptance.tampering_views import (
    ALONE,
    CACHED,
    CRASHED,
    DECLARED,
    DETECTED,
    HARMLESS,
    MEMORY,
    MISNAMED,
    SILENT,
    Case,
    Outcome,
    View,
)
from enforcer import EnforcerError

Outcomes = dict[View, Outcome]
Report = dict[str, Any]


# Verifying ------------------------------------------------------------------------------------------------------------


def verifying(bench: Bench, case: Case, views: tuple[View, ...]) -> Outcomes:
    """Every view is asked for its verdict."""
    for view in views:
        _honest(bench, view)
    try:
        case.change(bench)
        return {view: _verified(bench, case, view) for view in views}
    finally:
        bench.restore()


def _honest(bench: Bench, view: View) -> Report:
    """The report on the ledger as it was."""
    if view not in bench.known:
        bench.known[view] = bench.verify(view)
        assert bench.known[view]["verdict"] == "verified", bench.known[view]
    report: Report = bench.known[view]
    return report


def _verified(bench: Bench, case: Case, view: View) -> Outcome:
    try:
        report = bench.verify(view)
    except EnforcerError as error:
        return Outcome(DETECTED, (error.code,))
    except Exception as error:  # whatever else is raised is a fault of the verifier
        return Outcome(CRASHED, detail=f"{type(error).__name__}: {error}")
    codes, named = _codes(report), _names(report, case.at)
    if report["verdict"] != "verified":
        # Who has more may be told of that instead: that the head seen is another, or the key.
        misnamed = not codes or (case.at is not None and not named and view == ALONE)
        return Outcome(MISNAMED if misnamed else DETECTED, codes, named)
    fault = _misled(bench, report, view) if case.advisory else _trusting(bench, case, report, view)
    kind = HARMLESS if case.advisory else DECLARED
    return Outcome(SILENT if fault else kind, codes, named, fault)


def _trusting(bench: Bench, case: Case, report: Report, view: View) -> str:
    """Why the verdict may not be `verified`; empty where nobody who has this view could know better."""
    if case.must_be_noticed(view, len(bench.lines)):
        return "verified"
    if (report["anchored_to"] or 0) > case.intact:
        return f"said to be anchored to {report['anchored_to']}"
    return ""


def _misled(bench: Bench, report: Report, view: View) -> str:
    """What of a report about untouched lines is not so; empty where all is."""
    honest = _honest(bench, view)
    for member in ("entries", "head", "root", "anchored_to", "unanchored", "key"):
        if report[member] != honest[member]:
            return f"{member} is {report[member]}, and was {honest[member]}"
    if report["sealed_to"] not in (None, *bench.ground.checkpoints, honest["sealed_to"]):
        return f"sealed_to is {report['sealed_to']}"
    return ""


def _codes(report: Report) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one["code"] for one in report["findings"]))


def _names(report: Report, seq: int | None) -> bool:
    """Whether a finding is of that entry, or of the one beside it."""
    places = [one["seq"] for one in report["findings"] if one["seq"] is not None]
    return seq is not None and any(abs(place - seq) <= 1 for place in places)


# With caches ----------------------------------------------------------------------------------------------------------


def reading(bench: Bench, case: Case, views: tuple[View, ...]) -> Outcomes:
    """Somebody reads who has the key of the caches: no answer may be another one, and nobody is stopped."""
    if "answers" not in bench.known:
        bench.known["answers"] = _answers(bench)[0]
        bench.restore_caches()
    honest = bench.known["answers"]
    try:
        case.change(bench)
        answers, codes = _answers(bench)
        differing = [name for name in answers if answers[name] != honest[name]]
        outcome = Outcome(SILENT if differing else HARMLESS, codes, detail=", ".join(differing))
    except Exception as error:  # a cache that does not hold is as good as absent
        outcome = Outcome(CRASHED, detail=f"{type(error).__name__}: {error}")
    finally:
        bench.restore()
        bench.restore_caches()
    return dict.fromkeys(views, outcome)


def _answers(bench: Bench) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What reading commands say, and `verify --incremental`; and which caches were found not to hold."""
    with bench.open() as enforcer:
        states = {state.task: state.pack(complete=True) for state in enforcer.states()}
        head = (enforcer.ledger.head.size, enforcer.ledger.head.hash, enforcer.ledger.root().hex())
        settings = enforcer.settings.pack(complete=True)
        rejected = ("cache_rejected",) if enforcer.ledger.cache_rejected else ()
    report = {**bench.verify(CACHED, incremental=True), "checked_from": None}
    found = report.pop("findings")
    others = [one for one in found if one["code"] != "checked_fully"]
    answers = {"states": states, "head": head, "settings": settings, "report": report, "findings": others}
    return answers, (*rejected, "checked_fully") if len(others) < len(found) else rejected


def resuming(bench: Bench, case: Case, views: tuple[View, ...]) -> Outcomes:
    """`verify --incremental` goes on where it ended before: it says from where on it has read, and no more."""
    try:
        case.change(bench)
        report = bench.verify(CACHED, incremental=True)
    finally:
        bench.restore()
        bench.restore_caches()
    codes, named = _codes(report), _names(report, case.at)
    if report["verdict"] != "verified":
        return dict.fromkeys(views, Outcome(DETECTED if named else MISNAMED, codes, named))
    unread = report["checked_from"] is not None and (case.at or 0) < report["checked_from"]
    return dict.fromkeys(views, Outcome(DECLARED if unread else SILENT, codes, named))


# Writing --------------------------------------------------------------------------------------------------------------


def writing(bench: Bench, case: Case, views: tuple[View, ...]) -> Outcomes:
    """Somebody writes and seals the next entry: it goes behind everything that was acknowledged, or is refused.

    An entry that tells of a repair is declared: nobody needed one, and nothing shows that.
    """
    try:
        case.change(bench)
        outcome = _written(bench, _write(bench))
    except Exception as error:  # whatever else is raised is a fault of the writer
        outcome = Outcome(CRASHED, detail=f"{type(error).__name__}: {error}")
    finally:
        bench.restore_all()
    return dict.fromkeys(views, outcome)


def _write(bench: Bench) -> str:
    """Open a task and seal that; why not, in a word, where it is refused."""
    try:
        with bench.open() as enforcer:
            enforcer.open_task("next", title="Next")
            enforcer.sealer.seal()
    except EnforcerError as error:
        return error.code
    return ""


def _written(bench: Bench, code: str) -> Outcome:
    lines, note = bench.stored(), (bench.ledger / "checkpoint").read_bytes()
    whole = lines[: len(bench.lines)] == bench.lines and (code or len(lines) > len(bench.lines))
    sealed = root_in(note) == root_of(lines[: size_of(note)]) and (code or size_of(note) == len(lines))
    report = bench.verify(MEMORY)
    codes = (*([code] if code else ()), *_codes(report))
    if not whole or not sealed:
        return Outcome(SILENT, codes, detail=f"{len(lines)} lines, sealed: {sealed}")
    if code or report["verdict"] != "verified":
        return Outcome(DETECTED, codes)
    told = any(b'"type":"dev.enforcer.ledger.recovered"' in line for line in lines[len(bench.lines) :])
    return Outcome(DECLARED if told else HARMLESS, codes)


# Classes of cases -----------------------------------------------------------------------------------------------------


class Family(NamedTuple):
    """A class of cases: its name, which the threat model uses, what it does in words, and who is asked.

    `longer`: on the longer ledger, with tiles and snapshots. `then` is the trial that each is put to.
    """

    name: str
    what: str
    views: tuple[View, ...]
    cases: Callable[[Ground], Sequence[Case]]
    longer: bool = False
    then: Callable[[Bench, Case, tuple[View, ...]], Outcomes] = verifying

    def do(self, bench: Bench, case: Case) -> Outcomes:
        """One case, from the deed to what every view makes of it."""
        return self.then(bench, case, self.views)
