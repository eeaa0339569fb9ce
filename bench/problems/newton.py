"""One step of Newton's method on a logistic regression, the system solved by ten steps of conjugate gradients."""

from functools import partial
from typing import Any

from bench.library import Function, Library
from bench.problems import logistic
from bench.problems.row import Row


def newton_step(library: Library, iterations: int) -> Function:
    """``(w, b, X, y) -> w`` after the step; b stays."""
    np, loss = library.np, logistic.loss(library)

    def f(w: Any, b: Any, X: Any, y: Any) -> Any:
        def of_weights(w: Any) -> Any:
            return loss(w, b, X, y)

        def step(state: Any, _: Any) -> Any:
            p, r, d, square = state
            Hd = library.hvp(of_weights, (w,), (d,))
            length = square / np.sum(d * Hd)
            p, r = p + length * d, r - length * Hd
            after = np.sum(r * r)
            return (p, r, r + after / square * d, after), None

        r = -library.grad(of_weights)(w)
        start = np.zeros_like(w), r, r, np.sum(r * r)
        return w + library.scan(step, start, None, length=iterations)[0][0]

    return f


ROWS = [
    Row(
        "Newton-CG step, logistic 1e4 x 50",
        "optimisation",
        partial(logistic.data, 10_000),
        partial(newton_step, iterations=10),
        steps=10,
    )
]
