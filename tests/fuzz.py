"""Random calls of public functions against NumPy: ``python -m tests.fuzz --minutes 10 --seed 0``.

Each case is a function of one to four random lines, called as it is, compiled, mapped, in loops and branches, or
differentiated. NumPy says what it gives; where NumPy raises, so must we; where we alone raise it has to be an error of
ours, a refusal, which is counted. Cases run in processes of their own, so that a crash is a finding too.

Invariant: case k of a seed is the same in every run.
Start at ``judge`` (one case) and ``main``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from queue import Empty, Queue
from threading import Thread
from typing import Any

import numpy as np

import staged_ad as sad
from staged_ad.errors import StagedADError, VerificationError
from tests.fuzzing import checks, nesting
from tests.fuzzing.cases import SCOPE, Case, draw_case
from tests.fuzzing.checks import Mismatch, difference

NUDGES = 12
"""Perturbations of a case that show what rounding does to it."""

HALF = 3e-3
"""Relative error of a few units of half precision."""

LIMIT = 90.0
"""Seconds that a case may take, and five times as long as NumPy does."""

ORDINARY = (TypeError, ValueError, IndexError, ZeroDivisionError, np.linalg.LinAlgError)

PRODUCTS = re.compile(
    r"prod\(|einsum\(|poly\(|@|(cov|corrcoef|dot|matmul|inner|correlate|convolve|kron|outer)\(|multiply\.(reduce|accumulate)"
)

POWERS = re.compile(r"\*\*|\bpow\(")
"""Negative numbers of Python have complex powers, those of NumPy none."""

ROOTS = re.compile(r"(\*\*|pow\(\w+,) 0\.5")
"""Of arrays they are np.sqrt, and of numbers powers, which minus infinity has."""

SIGNS = re.compile("signbit|copysign")
"""They may ask for the sign of NaN, which means nothing."""

FITTED = re.compile("lstsq|polyfit")
"""Whether they make infinity or NaN of infinity, is a matter of how they factor."""

CANCELLING = re.compile(r"-= np\.sum\(|-= \w+\.sum\(")
"""After it the sum is 0, or what the order of terms makes of it."""

ORDERED = re.compile("quantile|percentile")
"""Of NaN in single precision they are in single precision, and else in double precision."""

ZEROS = re.compile(r"np\.(maximum|minimum)\(")
"""Which of 0.0 and -0.0 they give, NumPy leaves to the processor, and to the dtype."""

OTHERWISE = (
    (SIGNS, checks.other_signs_of_nan),
    (ZEROS, checks.first_of_zeros),
    (re.compile("einsum"), checks.sums_before_products),
)
"""What NumPy leaves open, and NumPy when it answers otherwise."""

OF_NUMBERS = re.compile(
    "is not subscriptable|does not support item assignment|integer modulo by zero|define __round__|"
    "Cannot cast scalar.*'safe'|must be a numpy.ndarray, not|return arrays must be|"
    "negative shift count|is not iterable"
)
"""Errors of numbers, and of arrays without axes, that are none of the other."""

UNCHECKED = re.compile("cannot convert float (NaN|infinity) to integer|must not contain infs or NaNs|Partition index")
"""What a number is refused for and an array is not, checks of scipy.linalg, which are left out: its docstring, and
quantiles of unsigned integers, which NumPy computes where there is one number alone."""

BY_VALUE = (np.linalg.LinAlgError, IndexError)
BY_NUMBER = re.compile(r"negative integer powers|Python integer .* out of bounds")
"""What depends on values, which compiled code leaves out where nothing depends on them."""


OF_ELEMENTS = re.compile(r"v\d+\[.*\] = np\.array")
"""An array of NumPy's own takes a traced one without axes as its number, which may not fit."""


def judge(case: Case, known: Callable[[], None] = lambda: None) -> tuple[str, str]:
    """A verdict ('same', 'both raise', 'refused', 'failed') and what is to be said of it.

    It is `known` what NumPy gives, before anything of ours runs.
    """
    space, args = _ready(case)
    before = [np.array(x) for x in args]
    seen: list[str] = []
    expected, wrong = _attempt(case.expected, space, args, seen)
    known()
    found, error = _attempt(case.found, space, args, [])
    if any(x.tobytes() != np.array(y).tobytes() for x, y in zip(before, args, strict=True)):
        return "failed", "an argument was changed" if wrong is None or error is None else "both changed"
    if isinstance(error, Mismatch):
        # differences do not tell the slope at 2**31
        for other in (case.tamed(), case.in_order(), case.positive(), case.with_axes()):
            if other != case:
                return judge(other)
        return "failed", f"derivative: {error}"
    if wrong is not None:
        if error is None and isinstance(wrong, AttributeError | ZeroDivisionError):
            return "both raise", ""  # numbers of Python lack what arrays have, and raise where arrays warn
        if error is None and isinstance(wrong, np.linalg.LinAlgError):
            with checks.unfailing():  # what nothing uses is not computed, so it does not fail: docs/linalg.md
                expected, still = _attempt(case.expected, space, args, [])
            if still is None and checks.free_of_nan(expected) and difference(found, expected, list, False) is None:
                return "same", ""
        if error is None and "All-NaN slice" in str(wrong) and _of_no_place(case, space, args, found):
            return "same", ""
        if error is None and (OF_NUMBERS.search(str(wrong)) or UNCHECKED.search(str(wrong))):
            return "both raise", ""  # numbers are arrays without axes here
        by_value = isinstance(wrong, BY_VALUE) or BY_NUMBER.search(str(wrong)) is not None
        for rest in (case.without_dead_lines(), case.without_empty_lines()) if error is None and by_value else ():
            if rest != case:
                return judge(rest)
        if error is None:
            return "failed", f"no error instead of {type(wrong).__name__}: {wrong}"
        good = isinstance(error, (StagedADError, type(wrong), *ORDINARY)) and not isinstance(error, VerificationError)
        return ("both raise", "") if good else ("failed", f"{type(error).__name__}: {error}")
    if error is not None:
        ours = isinstance(error, StagedADError) and not isinstance(error, VerificationError) and str(error)
        if ours:
            return "refused", f"{type(error).__name__}: {error}"
        if case.expected == "None" and _attempt("f(*args)", space, args, [])[1] is not None:
            return "both raise", ""
        if OF_NUMBERS.search(str(error)):
            return "both raise", ""  # of arrays without axes, in constants too
        if OF_ELEMENTS.search(case.source) and BY_NUMBER.search(str(error)):
            return "refused", f"{type(error).__name__}: {error}"
        return "failed", f"{type(error).__name__}: {error}"
    if case.expected == "None" or any("cast" in message for message in seen):
        return "same", ""
    narrow = re.compile("float32|complex64|int8|int16")  # ufuncs of short integers give float32
    low = any(map(narrow.search, (case.source, *case.args)))
    slack = (1e-6 if low else 1e-14) if "slogdet" in case.source else 0.0  # the logarithm of what is nearly 1
    slack = max(slack, _cancelled(args, low)) if CANCELLING.search(case.source) else slack
    perturbed = lambda: [_perturbed(case, space, args, low, k) for k in range(NUDGES)]
    said = difference(found, expected, perturbed, low, slack)
    if said is not None and case.tamed() != case and (PRODUCTS.search(case.source) or _rounded(expected, args)):
        return judge(case.tamed())  # products overflow, and sums lose digits, as their operands are ordered
    if said is not None and case.finite() != case and any(p.search(case.source) for p in (SIGNS, FITTED, ROOTS)):
        return judge(case.finite())
    if said is not None and case.with_one_zero() != case and SIGNS.search(case.source):
        return judge(case.with_one_zero())
    if said is not None and case.searching_sorted() != case:
        return judge(case.searching_sorted())
    for pattern, other in OTHERWISE:
        if said is not None and pattern.search(case.source):
            with other():
                again, wrong = _attempt(case.expected, space, args, [])
            if wrong is None and difference(found, again, list, low, slack) is None:
                return "same", ""
    if said is not None and case.expected != "None":  # arguments without axes pass for numbers: docs/arrays.md
        numbers = {**space, "each": checks.each_of_numbers}
        expected, wrong = _attempt(case.expected, numbers, list(map(checks.as_number, args)), [])
        if wrong is None and difference(found, expected, list, low, slack) is None:
            return "same", ""
    if said is not None and POWERS.search(case.source):
        scalars = [np.asarray(x)[()] if isinstance(x, int | float) else x for x in args]
        again, wrong = _attempt(case.expected, space, scalars, [])
        if wrong is None and difference(found, again, list, low, slack) is None:
            return "same", ""
    wide = checks.widened(expected, found) if said is not None and ORDERED.search(case.source) else None
    if wide is not None and difference(found, wide, list, low) is None:
        return "same", ""
    positive = case.with_one_zero_of(PRODUCTS)
    if said is not None and positive != case and "+ 0.0" not in case.source and judge(positive)[0] == "same":
        return "same", ""
    if said is not None and FITTED.search(case.source) and checks.hold_nothing_finite(found, expected):
        return "same", ""
    if said is not None and case.in_order() != case:
        return judge(case.in_order())
    if said is not None and _in_half(case, space, args):
        units = HALF * max([1.0, *(np.max(abs(y[np.isfinite(y)]), initial=0.0) for y in checks.leaves(expected))])
        said = difference(found, expected, perturbed, low, units)
    return ("same", "") if said is None else ("failed", said)


def _ready(case: Case) -> tuple[dict[str, Any], list[Any]]:
    """What a case calls by name, its function among it, and its arguments."""
    space: dict[str, Any] = {**SCOPE, "sad": sad, **vars(checks), **vars(nesting), "axes": case.axes}
    exec(compile(case.source, "<fuzz>", "exec"), space)
    return space, [eval(text, space) for text in case.args]


def _in_half(case: Case, space: dict[str, Any], args: Any) -> bool:
    """Whether something is computed in half precision, as functions of short integers are."""
    axes = case.axes if "each(" in case.expected else [None] * len(args)
    try:
        return "f16" in str(sad.trace(space["f"])(*checks.sliced(args, axes, 0)))
    except Exception:  # noqa: BLE001  # whatever cannot be traced
        return False


def _attempt(text: str, space: dict[str, Any], args: Any, seen: list[str]) -> tuple[Any, Exception | None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            return eval(text, {**space, "args": tuple(args)}), None
        except Exception as error:  # noqa: BLE001  # whatever it is, the verdict names it
            return None, error
        finally:
            seen += [str(w.message) for w in caught]


def _of_no_place(case: Case, space: dict[str, Any], args: Any, found: Any) -> bool:
    """Whether results are the same wherever the largest number is among NaN alone: nothing depends on the failure."""
    for place in (0, 1):
        with checks.without_numbers(place):
            expected, wrong = _attempt(case.expected, space, args, [])
        if wrong is not None or difference(found, expected, list, False) is not None:
            return False
    return True


def _rounded(y: Any, args: Any) -> bool:
    """Whether results are floats of integers so large that no float holds their squares."""
    large = any(x.dtype.kind in "iu" and np.any(abs(x.astype(float)) > 2.0**26) for x in map(np.asarray, args))
    return large and any(leaf.dtype.kind in "fc" for leaf in checks.leaves(y))


def _cancelled(args: Any, low: bool) -> float:
    """What may be left of a sum of moderate numbers and its opposite."""
    finite = [np.max(abs(x[np.isfinite(x)]), initial=0.0) for x in map(np.asarray, args) if x.dtype.kind in "fc"]
    largest = max(finite, default=0.0)
    return float((1e-6 if low else 1e-15) * largest) if largest < 100 else 0.0


def _perturbed(case: Case, space: dict[str, Any], args: Any, low: bool, seed: int) -> Any:
    """NumPy's result for arguments, and factorizations, that differ by rounding."""
    rng = np.random.default_rng(seed)
    space = {**space, "nudged": lambda y: checks.nudged(y, rng, low, computed=True)}
    exec(compile(case.nudged().source, "<fuzz>", "exec"), space)
    moved = []
    for x in args:
        y = checks.nudged(np.asarray(x), rng, low)
        moved.append(y if isinstance(x, np.ndarray) else type(x)(y[()]))
    return _attempt(case.expected, space, moved, [])[0]


# -- processes --------------------------------------------------------------------------------------------------------


def work(seed: int, start: int, step: int) -> None:
    """Judge cases until nobody listens."""
    np.seterr(all="warn")
    out = open(os.dup(1), "w")  # noqa: SIM115  # open as long as the process; libraries print to the other one
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    number = start

    def tell(*news: Any) -> None:
        print(json.dumps(news), file=out, flush=True)

    while True:
        tell("begin", number, "", "")
        case = draw_case(seed * 10_000_019 + number)
        verdict, said = judge(case, partial(tell, "known", number, "", ""))
        tell("end", number, verdict, said)
        if number // step % 200 == 199:
            sad.clear_caches()
        number += step


class Worker:
    """A process that judges each `step`-th case."""

    def __init__(self, seed: int, start: int, step: int) -> None:
        self.seed, self.step = seed, step
        self.begin(start)

    def begin(self, number: int) -> None:
        self.current, self.since, self.known = number, time.monotonic(), False
        command = [sys.executable, "-m", "tests.fuzz", "--work", f"{self.seed},{number},{self.step}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines: Queue[str] = Queue()
        Thread(target=self._read, args=(self.process.stdout, self.lines), daemon=True).start()

    @staticmethod
    def _read(stream: Any, lines: Queue[str]) -> None:
        for line in stream:
            lines.put(line)
        lines.put("")

    def listen(self) -> list[tuple[int, str, str]]:
        """Verdicts that have come in."""
        try:
            line = self.lines.get(timeout=0.05)
        except Empty:
            if time.monotonic() - self.since < LIMIT:
                return []
            verdict = "failed" if self.known else "slow in NumPy"
            return [self.lost(f"no result after {LIMIT:.0f} seconds", verdict)]
        if not line:
            why = f"the process ended with status {self.process.wait()}"
            alone = not self.known and crashes_without_us(self.seed, self.current)
            return [self.lost(why, "crashed in NumPy" if alone else "failed")]
        word, number, verdict, said = json.loads(line)
        before, now = self.since, time.monotonic()
        self.current, self.known, self.since = number, word == "known", now
        if self.known:
            self.since += 5 * (now - before)
        return [(number, verdict, said)] if word == "end" else []

    def lost(self, why: str, verdict: str = "failed") -> tuple[int, str, str]:
        lost = self.current
        self.stop()
        self.begin(lost + self.step)
        return lost, verdict, why

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def crashes_without_us(seed: int, number: int) -> bool:
    """Whether the process ends before anything of ours runs."""
    command = [sys.executable, "-m", "tests.fuzz", "--seed", str(seed), "--case", str(number), "--expected"]
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode < 0


def kind(said: str) -> str:
    """What is said without what differs from case to case."""
    text = re.sub(r"\(at [^)]*\)|value (\[.*|.*)|jvp.*|derivative: .*", "", said.replace("\n", " "))
    return re.sub(r"[\d.]+", "#", text)[:110] or said[:20]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--case", type=int, help="show and judge this case alone")
    parser.add_argument("--expected", action="store_true", help="of this case what NumPy gives")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(*map(int, options.work.split(",")))
    if options.case is not None:
        case = draw_case(options.seed * 10_000_019 + options.case)
        if options.expected:
            print(_attempt(case.expected, *_ready(case), []))
        else:
            print(case.script, *judge(case), sep="\n")
        return 0
    return report(options.seed, options.minutes, options.workers)


def report(seed: int, minutes: float, workers: int) -> int:
    verdicts: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    first: dict[str, int] = {}
    end = time.monotonic() + 60 * minutes
    running = [Worker(seed, k, workers) for k in range(workers)]
    while time.monotonic() < end:
        for worker in running:
            for number, verdict, said in worker.listen():
                verdicts[verdict] += 1
                if verdict == "refused":
                    refusals[kind(said)] += 1
                    first.setdefault(kind(said), number)
                if verdict == "failed":
                    print(f"-- case {number}: {said[:600]}\n{draw_case(seed * 10_000_019 + number).script}", flush=True)
    for worker in running:
        worker.stop()
    common = refusals.most_common(60)
    print("refusals:", *(f"{count:6} {text} (case {first[text]})" for text, count in common), sep="\n")
    print(f"seed {seed}: {sum(verdicts.values())} cases, {dict(verdicts)}")
    return 1 if verdicts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
