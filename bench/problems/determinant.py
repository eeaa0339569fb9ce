"""GradBench's det: the determinant by expansion by minors, written as the recursion it is, and its gradient.

The problem of B. Bell's cmpad (det_by_minor). Every minor is expanded anew, so the program has some e n! products.
"""

from functools import partial
from typing import Any

import numpy

from bench.library import Function, Library
from bench.problems.row import Row


def determinant(library: Library) -> Function:
    """``(n, n) -> scalar``."""

    def minor(A: Any, row: int, columns: list[int]) -> Any:
        if len(columns) == 1:
            return A[row, columns[0]]
        total = 0.0
        for place, column in enumerate(columns):
            term = A[row, column] * minor(A, row + 1, columns[:place] + columns[place + 1 :])
            total = total - term if place % 2 else total + term
        return total

    return lambda A: minor(A, 0, list(range(A.shape[0])))


def gradient(library: Library) -> Function:
    return library.grad(determinant(library))


def data(size: int) -> tuple[Any, ...]:
    return (numpy.random.default_rng(0).normal(size=(size, size)),)


ROWS = [Row("det by minors, 5 x 5", "GradBench", partial(data, 5), gradient, base=determinant, steps=325)]
