"""The main table: every row, for this project, its peers, and code written by hand.

Invariant: a side that has no figure in a row either cannot do it (a dash), or failed (a star). Start at `compare`.
"""

from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any

from bench.agreement import disagreement
from bench.library import Function, Library, NotOfferedError
from bench.measure import Runner, by_rounds, compile_and_call, first_calls, ratio_by_rounds, warm_up
from bench.modes import Report
from bench.problems import rosenbrock
from bench.problems.row import COMPILED, UNROLLED, Row
from bench.table import BY_HAND, Outcome, Result, comparison


def compare(libraries: Sequence[Library], report: Report, rows: Sequence[Row], by_hand: bool = True) -> Outcome:
    """First call and steady time of every row, and whether all sides agree on the result."""
    warm_up([library for library in libraries if library.compiles], rosenbrock.gradient, rosenbrock.data(3, 1))
    results = []
    for number, row in enumerate(rows):
        report(number, len(rows), row.name)
        results.append(compare_row(libraries, row, by_hand))
    return Outcome(
        table=partial(comparison, results, [library.name for library in libraries] + [BY_HAND] * by_hand),
        figures={"rows": [result.as_json() for result in results]},
        problems=[f"{result.name}: {result.problem}" for result in results if result.problem],
    )


def can_run(library: Library, row: Row) -> bool:
    """Whether the library is asked at all: a peer has reverse mode for the row's loops, or Python for few steps."""
    return row.has_peer and has_loops_of(library, row)


def has_loops_of(library: Library, row: Row) -> bool:
    """Whether the library has loops, or Python can run the steps of the row's."""
    return library.loops or row.steps <= UNROLLED


def compiled(library: Library, row: Row, make: Function) -> Function:
    """A new function, compiled where that does not mean to compile hundreds of steps one after the other."""
    function = make(library)
    return library.jit(function) if library.loops or row.steps <= COMPILED else function


def compare_row(libraries: Sequence[Library], row: Row, by_hand: bool) -> Result:
    data = row.data()
    runners: dict[str, Runner] = {}
    results: dict[str, Any] = {}
    problems = []
    compiling = []
    for number, library in enumerate(libraries):
        if number and not can_run(library, row):
            continue
        arguments = library.arguments(data)
        try:
            if library.compiles:
                compile_and_call(library, row.function, arguments)  # a failure shows here; later calls are timed
            function = compiled(library, row, row.function)
            results[library.name] = function(*arguments)
        except (NotOfferedError, NotImplementedError):
            continue
        except Exception as error:  # noqa: BLE001  a row that fails is shown as failed, and the others go on
            problems.append(f"{library.name}: {type(error).__name__}: {error}")
            continue
        runners[library.name] = library.caller(function, arguments)
        compiling += [library] * library.compiles
    first = first_calls(compiling, row.function, [library.arguments(data) for library in compiling])
    if by_hand and row.by_hand:
        results[BY_HAND] = row.by_hand(*data)
        runners[BY_HAND] = libraries[0].caller(row.by_hand, data)
    if row.check and len(libraries) > 1:
        peer = libraries[1]
        results[peer.name] = peer.jit(row.check(peer))(*peer.arguments(data))
    problems += disagreements(results)
    rounds = dict(zip(runners, by_rounds(list(runners.values())), strict=True))
    ours = rounds.get(libraries[0].name)
    return Result(
        row.name,
        row.group,
        dict(zip((library.name for library in compiling), first, strict=True)),
        {name: median(side) for name, side in rounds.items()},
        {name: ratio_by_rounds(side, ours) for name, side in rounds.items() if ours and side is not ours},
        "; ".join(problems),
    )


def disagreements(results: dict[str, Any]) -> list[str]:
    """What each side has to say against the first one's result."""
    (first, result), *others = results.items() if results else [("", None)]
    different = ((name, disagreement(result, other)) for name, other in others)
    return [f"{name}'s result is not {first}'s: {text}" for name, text in different if text]
