"""Kepler's equation E - e sin(E) = M by Newton's method to a tolerance, each of 10 000 lanes with its own count."""

from functools import partial
from typing import Any

import numpy

from bench.library import Function, Library
from bench.problems.row import Row, inf

TOLERANCE = 1e-12


def anomaly(library: Library) -> Function:
    """``(e, M) -> E``, for one orbit; from pi the iteration converges for every e < 1."""
    np = library.np

    def f(e: Any, M: Any) -> Any:
        def newton(state: Any) -> Any:
            E, _ = state
            step = (E - e * np.sin(E) - M) / (1.0 - e * np.cos(E))
            return E - step, abs(step)

        E, _ = library.while_loop(lambda state: state[1] > TOLERANCE, newton, (numpy.pi, numpy.inf))
        return E

    return f


def anomalies(library: Library) -> Function:
    """``(e (n,), M (n,)) -> (n,)``."""
    return library.vmap(anomaly(library))


def total(library: Library) -> Function:
    f = anomalies(library)
    return lambda e, M: library.np.sum(f(e, M))


def gradient(library: Library) -> Function:
    g = library.grad(total(library), argnums=(0, 1))
    return lambda e, M, *_: g(e, M)


def hessian_vector(library: Library) -> Function:
    f = total(library)
    return lambda e, M, v, w: library.hvp(f, (e, M), (v, w))


def forward_gradient(library: Library) -> Function:
    """`gradient`, lane by lane in forward mode."""
    lane = library.vmap(library.jacfwd(anomaly(library), argnums=(0, 1)))
    return lambda e, M, *_: lane(e, M)


def forward_hessian_vector(library: Library) -> Function:
    """`hessian_vector`, lane by lane in forward mode."""
    lane = library.vmap(library.jacfwd(library.jacfwd(anomaly(library), argnums=(0, 1)), argnums=(0, 1)))

    def f(e: Any, M: Any, v: Any, w: Any) -> Any:
        return tuple(row[0] * v + row[1] * w for row in lane(e, M))

    return f


def data(lanes: int = 10_000) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    return random.uniform(0.1, 0.95, lanes), random.uniform(0.01, numpy.pi, lanes)


def data_with_direction(lanes: int = 10_000) -> tuple[Any, ...]:
    return *data(lanes), *numpy.random.default_rng(1).normal(size=(2, lanes))


ROWS = [
    Row("Kepler 1e4, while_loop", "loops", data, anomalies, small=(partial(data, 5), anomalies), steps=inf),
    Row(
        "Kepler 1e4, while_loop gradient",
        "loops",
        data,
        gradient,
        forward_gradient,
        total,
        small=(partial(data, 5), gradient),
        steps=inf,
    ),
    Row(
        "Kepler 1e4, while_loop HVP",
        "loops",
        data_with_direction,
        hessian_vector,
        forward_hessian_vector,
        base=gradient,
        limit=2.5,
        small=(partial(data_with_direction, 5), hessian_vector),
        steps=inf,
    ),
]
