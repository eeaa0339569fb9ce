"""What a call costs before any work: compiled functions of vectors of two, as many as there are, and nests of them."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy

from bench.library import Library
from bench.measure import steady
from bench.modes import Libraries, Report
from bench.problems import rosenbrock
from bench.table import Outcome, plain, ratio, shown

Case = tuple[str, Callable[[Library], Any], tuple[Any, ...]]  # its name, the function, and its arguments


def dispatch_time(libraries: Libraries, report: Report) -> Outcome:
    """A whole call, whose kernel takes some nanoseconds."""
    used = list(libraries)
    rows, figures = [], []
    for number, (name, make, data) in enumerate(known := list(cases())):
        report(number, len(known), name)
        runners = [library.caller(library.jit(make(library)), library.arguments(data)) for library in used]
        seconds = steady(runners)
        pair = (seconds[0], seconds[1] if len(seconds) > 1 else None)
        faster = ratio(pair)
        rows.append([name, *map(shown, pair), f"{faster:.2f}x" if faster else ""])
        figures.append({"name": name, "ours": pair[0], "jax": pair[1]})
    columns = ["on vectors of two", "ours", "JAX", "faster"]
    return Outcome(partial(plain, "Time of one call", columns, rows), {"dispatch": figures}, [])


def cases() -> Iterator[Case]:
    """Gradients of one argument; sums of several and their gradients; the same of dicts of dicts."""
    vector = numpy.array([0.5, -1.5])
    yield "gradient of a sum of squares", lambda library: library.grad(squares(library)), (vector,)
    yield "gradient of Rosenbrock's function", rosenbrock.gradient, rosenbrock.data(2, 1)
    for count in (1, 5, 20):
        places, plural = tuple(range(count)), "s" if count > 1 else ""
        yield f"{count} argument{plural}", squares, (vector,) * count
        yield f"gradient in {count} argument{plural}", partial(gradient, argnums=places), (vector,) * count
    for count in (2, 10):
        nest = {f"layer {k}": {"weights": vector, "bias": vector} for k in range(count)}
        yield f"dict of {count} dicts of 2 arrays", layers, (nest, vector)
        yield f"gradient in a dict of {count} dicts of 2 arrays", partial(gradient, of=layers), (nest, vector)


def squares(library: Library) -> Callable[..., Any]:
    return lambda *xs: sum(library.np.sum(x * x) for x in xs)


def layers(library: Library) -> Callable[..., Any]:
    def f(nest: Any, x: Any) -> Any:
        for layer in nest.values():
            x = layer["weights"] * x + layer["bias"]
        return library.np.sum(x)

    return f


def gradient(
    library: Library, of: Callable[[Library], Callable[..., Any]] = squares, argnums: Any = 0
) -> Callable[..., Any]:
    return library.grad(of(library), argnums=argnums)
