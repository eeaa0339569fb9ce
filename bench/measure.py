"""Timing, with the sides interleaved so that a change of the machine's mood falls on all of them.

First call: a new function object, every cache cleared before the clock starts; trace, transform, compile and run
once, until the result can be read. The median of several, fewer where they are long. The very first compile of each
side in the process is not counted: `warm_up` spends it, with the start of thread pools and compilers.

Steady: rounds over all sides; in each round a side is called again and again and its least time is kept. The median
over the rounds, of which there are fewer for a side that is slow. A sample is at least 100 us long, so short functions
are called many times between two readings of the clock.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from statistics import median
from time import perf_counter
from typing import Any

from bench.library import Function, Library

FIRST_CALLS = 5
SECONDS_OF_FIRST_CALLS = 3.0  # after so long there are no more
ROUNDS = 7
SAMPLE = 100e-6
SECONDS_PER_SIDE = 0.4
SLOW = 0.1  # a call of so many seconds is repeated less

Runner = Callable[[int], None]  # calls something so many times


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def compile_and_call(library: Library, make: Callable[[Library], Function], arguments: tuple[Any, ...]) -> float:
    """Seconds of the first call of a new function object."""
    library.clear_caches()
    with no_garbage_collection():
        started = perf_counter()
        library.wait(library.jit(make(library))(*arguments))
        return perf_counter() - started


def warm_up(libraries: Sequence[Library], make: Callable[[Library], Function], data: tuple[Any, ...]) -> None:
    """Compile one function in each library and throw it away."""
    for library in libraries:
        compile_and_call(library, make, library.arguments(data))


def first_calls(
    libraries: Sequence[Library],
    make: Callable[[Library], Function],
    arguments: Sequence[tuple[Any, ...]],
    repeats: int = FIRST_CALLS,
) -> list[float]:
    """Seconds of a first call, one figure for each library."""
    seconds: list[list[float]] = [[] for _ in libraries]
    for _ in range(repeats):
        for library, values, side in zip(libraries, arguments, seconds, strict=True):
            if sum(side) < SECONDS_OF_FIRST_CALLS:
                side.append(compile_and_call(library, make, values))
    return [median(side) for side in seconds]


def seconds_of(run: Runner, count: int) -> float:
    started = perf_counter()
    run(count)
    return (perf_counter() - started) / count


def steady(runners: Sequence[Runner], seconds_per_side: float = SECONDS_PER_SIDE, rounds: int = ROUNDS) -> list[float]:
    """Seconds of one call, one figure for each runner."""
    return [median(side) for side in by_rounds(runners, seconds_per_side, rounds)]


def by_rounds(
    runners: Sequence[Runner], seconds_per_side: float = SECONDS_PER_SIDE, rounds: int = ROUNDS
) -> list[list[float]]:
    """Seconds of one call in each round, a list for each runner."""
    counts = [calls_per_sample(run) for run in runners]
    least: list[list[float]] = [[] for _ in runners]
    for turn in range(rounds):
        order = range(len(runners)) if turn % 2 == 0 else reversed(range(len(runners)))
        for side in order:
            if turn >= 3 and least[side][0] > SLOW:
                continue
            with no_garbage_collection():
                least[side].append(least_in(runners[side], counts[side], seconds_per_side / rounds))
    return least


def ratio_by_rounds(side: Sequence[float], other: Sequence[float]) -> float:
    """The median of the rounds' ratios of one side to another; of a slow side there are fewer rounds."""
    return median(one / two for one, two in zip(side, other, strict=False))


def calls_per_sample(run: Runner) -> int:
    run(1)
    count = 1
    while (each := seconds_of(run, count)) * count < SAMPLE:
        count = max(2 * count, min(10 * count, ceil(SAMPLE / each)))
    return count


def least_in(run: Runner, count: int, seconds: float) -> float:
    """The least time of a call, in samples of `count` calls that fill `seconds`; at least three if calls are short."""
    first = seconds_of(run, 1)  # the other side left the caches cold, which a slow function does not notice
    if first > SLOW:
        return first
    least, samples, end = float("inf"), 0, perf_counter() + seconds
    while samples < 3 or perf_counter() < end:
        least = min(least, seconds_of(run, count))
        samples += 1
    return least
