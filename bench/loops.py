"""Closer looks at loops: what their length costs in compile time, what their gradients hold in memory."""

from functools import partial

from bench import memory
from bench.agreement import disagreement
from bench.measure import first_calls, steady, warm_up
from bench.modes import Libraries, Report
from bench.problems import lorenz
from bench.table import Outcome, plain, shown


def compile_time(libraries: Libraries, report: Report) -> Outcome:
    """First call and a later call of the gradient of a scan; their difference is what tracing and compiling cost."""
    used = list(libraries)
    data = lorenz.data()
    values = [library.arguments(data) for library in used]
    warm_up(used, partial(lorenz.gradient, steps=2), data)
    rows, figures = [], []
    lengths = (10, 1_000_000)
    for number, steps in enumerate(lengths):
        report(number, len(lengths), f"{steps} steps")
        make = partial(lorenz.gradient, steps=steps)
        first = first_calls(used, make, values)
        later = steady([library.caller(library.jit(make(library)), v) for library, v in zip(used, values, strict=True)])
        cells = [str(steps)]
        for library, a, b in zip(used, first, later, strict=True):
            cells += [shown(a), shown(b), shown(a - b)]
            figures.append({"steps": steps, "library": library.name, "first": a, "later": b})
        rows.append(cells)
    columns = ["steps", *(f"{lib.name}\n{c}" for lib in used for c in ("first call", "later call", "difference"))]
    return Outcome(partial(plain, "Gradient of a scan (Lorenz, 3 scalars)", columns, rows), {"scan": figures}, [])


def peak_memory(libraries: Libraries, report: Report) -> Outcome:
    """Peak memory and time of the gradient of a recurrent network, plain and with 5% of the states kept.

    Ours checkpoints in `scan`; for JAX the loop is cut into as many pieces as there are checkpoints.
    """
    variants = [(library, slots) for library in libraries for slots in (None, memory.CHECKPOINTS)]
    names = [f"{library.name}, {f'{slots} checkpoints' if slots else 'plain'}" for library, slots in variants]
    peaks = []
    for number, (library, slots) in enumerate(variants):
        report(number, len(variants) + 1, names[number])
        peaks.append(memory.growth(library, slots))
    report(len(variants), len(variants) + 1, "time")
    data = memory.data()
    arguments = [library.arguments(data) for library, _ in variants]
    functions = [memory.gradient(library, slots) for library, slots in variants]
    results = [function(*values) for function, values in zip(functions, arguments, strict=True)]
    seconds = steady(
        [library.caller(f, values) for (library, _), f, values in zip(variants, functions, arguments, strict=True)],
        rounds=3,
    )
    rows, figures = [], []
    for number, (name, peak, time) in enumerate(zip(names, peaks, seconds, strict=True)):
        plain_one = number - number % 2
        rows.append(
            [
                name,
                f"{peak / 1e6:.1f} MB",
                f"{peak / peaks[plain_one]:.3f}",
                shown(time),
                f"{time / seconds[plain_one]:.2f}",
            ]
        )
        figures.append({"name": name, "peak_bytes": peak, "seconds": time})
    columns = ["", "peak", "of plain", "time", "of plain"]
    title = f"Gradient of an RNN, {memory.STEPS} steps, batch {memory.BATCH}, H = {memory.HIDDEN}"
    different = [
        f"{name}: the results differ from those of {names[0]}: {text}"
        for name, result in zip(names[1:], results[1:], strict=True)
        if (text := disagreement(result, results[0]))
    ]
    wasted = [
        f"{name}: takes {kept / everything:.0%} of the memory without checkpoints"
        for name, kept, everything in zip(names[1::2], peaks[1::2], peaks[::2], strict=True)
        if kept > everything / 2
    ]
    return Outcome(partial(plain, title, columns, rows), {"memory": figures}, different + wasted)
