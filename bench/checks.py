"""What a row must keep besides its speed: the cost of derivatives, accuracy, the same bits on any number of threads.

Invariant: each check goes through the rows it is given and says which of them fail. Start at `cost`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy

from bench.agreement import leaves
from bench.libraries import this_project
from bench.libraries.of_autograd import witness
from bench.measure import by_rounds, ratio_by_rounds
from bench.modes import Report
from bench.problems.row import UNROLLED, Row
from bench.table import Outcome, geometric_mean, plain, shown

ERRORS_OF_NUMPY = 4.0  # how many times NumPy's error is allowed
THREADS = (1, 2, 4)


def each(
    rows: Sequence[Row], report: Report, figure: Callable[[Row], dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The figures of each row, with its name; which rows failed, and how."""
    figures, problems = [], []
    for number, row in enumerate(rows):
        report(number, len(rows), row.name)
        try:
            figures.append({"name": row.name, **figure(row)})
        except NotImplementedError:  # autograd lacks a rule
            continue
        except Exception as error:  # noqa: BLE001  a row that fails is shown as failed, and the others go on
            problems.append(f"{row.name}: {type(error).__name__}: {error}")
    return figures, problems


def cost(rows: Sequence[Row], report: Report) -> Outcome:
    """Time of each derivative over the time of what it is the derivative of, both compiled and interleaved.

    The ratio is the median of those of the rounds: from one to another the machine may become slower as a whole.
    """
    library = this_project()

    def times(row: Row) -> dict[str, Any]:
        data = row.data()
        functions = [library.jit(make(library)) for make in (row.base, row.function) if make]
        base, derivative = by_rounds([library.caller(f, data) for f in functions])
        ratio = ratio_by_rounds(derivative, base)
        return {"base": median(base), "derivative": median(derivative), "ratio": ratio, "limit": row.limit}

    figures, failures = each([row for row in rows if row.base], report, times)
    over = [f for f in figures if f["ratio"] > f["limit"]]
    cells = [
        [f["name"], shown(f["base"]), shown(f["derivative"]), coloured(f["ratio"], f["limit"]), str(f["limit"])]
        for f in figures
    ]
    mean = geometric_mean(f["ratio"] for f in figures)
    cells.append(["geometric mean", "", "", f"{mean:.2f}" if mean else "", ""])
    columns = ["row", "function", "derivative", "ratio", "limit"]
    title = "Cost of a gradient over its function's, of an HVP over its gradient's"
    problems = [f"{f['name']}: {f['ratio']:.2f} times the cost, over {f['limit']}" for f in over]
    return Outcome(partial(plain, title, columns, cells), {"cost": figures}, failures + problems)


def coloured(value: float, limit: float) -> str:
    return f"{value:.2f}" if value <= limit else f"[bold red]{value:.2f}[/]"


def accuracy(rows: Sequence[Row], report: Report) -> Outcome:
    """Error of each result, relative to the largest entry of each array, beside the error of NumPy's float64.

    The reference is HIPS autograd in extended precision (`numpy.longdouble`), NumPy's error that of HIPS autograd in
    float64: an independent program, run operation by operation. Long loops are made shorter, large data smaller.
    """
    library = this_project()

    def errors(row: Row) -> dict[str, Any]:
        data, function = row.small or (row.data, row.function)
        values = data()
        exact, rounded = (witness(dtype) for dtype in (numpy.longdouble, numpy.float64))
        reference, numpys = (function(side)(*side.arguments(values)) for side in (exact, rounded))
        ours = error(library.jit(function(library))(*values), reference)
        theirs = error(numpys, reference)
        return {"ours": ours, "numpy": theirs, "ratio": ours / max(theirs, numpy.finfo(float).eps / 2)}

    checked = [row for row in rows if row.small or row.steps <= UNROLLED]
    figures, failures = each(checked, report, errors)
    cells = [
        [f["name"], f"{f['ours']:.1e}", f"{f['numpy']:.1e}", coloured(f["ratio"], ERRORS_OF_NUMPY)] for f in figures
    ]
    problems = [
        f"{f['name']}: {f['ratio']:.1f} times the error of NumPy" for f in figures if not f["ratio"] <= ERRORS_OF_NUMPY
    ]
    columns = ["row", "error", "NumPy's", "ratio"]
    return Outcome(
        partial(plain, "Error against extended precision", columns, cells), {"accuracy": figures}, failures + problems
    )


def error(result: Any, reference: Any) -> float:
    """The largest error of any entry, relative to the largest entry of its array."""
    pairs = zip(leaves(result), leaves(reference), strict=True)
    return max(float(numpy.max(abs(a - b)) / (numpy.max(abs(b)) or 1.0)) for a, b in pairs if b.size)


def determinism(rows: Sequence[Row], report: Report) -> Outcome:
    """Whether results are the same, bit for bit, on each number of THREADS; the process needs a pool of the largest."""
    import staged_ad as sad  # here, for the same reason as in this_project

    library = this_project()

    def identical(row: Row) -> dict[str, Any]:
        data, f = row.data(), library.jit(row.function(library))
        bits = []
        for count in THREADS:
            sad.set_num_threads(count)
            bits.append([leaf.tobytes() for leaf in leaves(f(*data))])
        return {"identical": all(b == bits[0] for b in bits)}

    figures, failures = each(rows, report, identical)
    cells = [[f["name"], "identical" if f["identical"] else "[bold red]different[/]"] for f in figures]
    problems = [f"{f['name']}: the bits depend on the number of threads" for f in figures if not f["identical"]]
    columns = ["row", f"threads {', '.join(map(str, THREADS))}"]
    return Outcome(
        partial(plain, "Results, bit for bit", columns, cells), {"determinism": figures}, failures + problems
    )
