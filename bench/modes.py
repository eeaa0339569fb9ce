"""Closer looks: one question each, on one or two problems."""

from collections.abc import Callable, Sequence
from functools import partial

from bench.library import Library
from bench.measure import first_calls, steady, warm_up
from bench.problems import chains, helmholtz
from bench.table import Outcome, plain, shown

Libraries = Sequence[Library]  # ours first, then JAX where it is installed
Report = Callable[[int, int, str], None]  # steps done, steps in all, what comes next


def gradient_ratio(libraries: Libraries, report: Report) -> Outcome:
    """Cost of the gradient of Helmholtz's energy over the cost of the energy, both compiled and interleaved."""
    sizes = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    used = list(libraries)
    rows, figures = [], []
    for number, size in enumerate(sizes):
        report(number, len(sizes), f"n = {size}")
        seconds = steady(
            [
                library.caller(library.jit(make(library)), library.arguments(helmholtz.data(size)))
                for library in used
                for make in (helmholtz.energy, helmholtz.gradient)
            ]
        )
        cells = [str(size)]
        for library, f, gradient in zip(used, seconds[::2], seconds[1::2], strict=True):
            cells += [shown(f), shown(gradient), f"{gradient / f:.2f}"]
            figures.append({"n": size, "library": library.name, "f": f, "gradient": gradient, "ratio": gradient / f})
        rows.append(cells)
    columns = ["n", *(f"{library.name}\n{figure}" for library in used for figure in ("f", "gradient", "ratio"))]
    return Outcome(partial(plain, "Helmholtz: cost of the gradient over f", columns, rows), {"ratio": figures}, [])


def compile_time(libraries: Libraries, report: Report) -> Outcome:
    """First call (trace, transform, emit, compile, run once on 1000 elements) of gradients of longer and longer chains.

    The last column of each side is the time per equation, relative to the first line's: 1 where growth is linear.
    """
    counts = (100, 200, 400, 800, 1600, 3000)
    used = list(libraries)
    data = chains.data(1000)
    warm_up(used, partial(chains.gradient, steps=5), data)
    values = [library.arguments(data) for library in used]
    rows, figures = [], []
    per_equation: dict[str, float] = {}
    for number, count in enumerate(counts):
        report(number, len(counts), f"{count} equations")
        cells = [str(count)]
        make = partial(chains.gradient, steps=chains.steps_with_equations(count))
        for library, seconds in zip(used, first_calls(used, make, values), strict=True):
            growth = seconds / count / per_equation.setdefault(library.name, seconds / count)
            cells += [shown(seconds), shown(seconds / count), f"{growth:.2f}"]
            figures.append({"equations": count, "library": library.name, "seconds": seconds, "growth": growth})
        rows.append(cells)
    columns = [
        "equations of f",
        *(f"{lib.name}\n{c}" for lib in used for c in ("first call", "per equation", "growth")),
    ]
    title = "First call of the gradient of a chain"
    return Outcome(partial(plain, title, columns, rows), {"compile": figures}, [])
