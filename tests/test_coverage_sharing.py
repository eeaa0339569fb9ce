"""Every supported function: what shares memory in NumPy does so when traced, and nothing else does.

Invariant: the oracle is NumPy, by what is seen after something was written.
Start at ``test_writes_are_seen_where_numpy_shares_memory``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import MutationError
from tests.backends import through_program
from tests.coverage.example import Example
from tests.numerics import assert_same
from tests.test_coverage import NAMES, examples, leaves, quietly


def _fill(arrays: Any) -> None:
    for array in arrays:
        if getattr(array, "shape", ()) and 0 not in array.shape and not isinstance(array, np.generic):
            array[...] = 7


WRITES: dict[str, Callable[[Any, Any], None]] = {
    "results": lambda results, operands: _fill(results),
    "operands": lambda results, operands: _fill(operands),
    "the first result": lambda results, operands: _fill(results[:1]),
}


def _after(example: Example, write: Callable[[Any, Any], None]) -> Callable[..., Any]:
    """Operands and results of a call after something was written."""

    def f(*args: Any) -> Any:
        operands = [np.copy(x) for x in args]
        results = leaves(example.call(*operands))
        write(results, operands)
        return [y for y in (*operands, *results) if isinstance(y, int | float | complex) or hasattr(y, "dtype")]

    return f


@pytest.mark.parametrize("name", sorted({*NAMES} - {"numpy.broadcast_arrays"}))  # NumPy only warns of writing to it
def test_writes_are_seen_where_numpy_shares_memory(name: str):
    for example in examples(name):
        if not all(map(np.ndim, example.args)):
            continue  # numbers, which share no memory
        for write in WRITES.values():
            f = _after(example, write)
            try:
                expected = quietly(f, *example.args)
            except ValueError:  # what is written to is read-only
                with pytest.raises(MutationError, match="read-only"):
                    sad.trace(f)(*example.args)
                continue
            for one, other in zip(through_program(f, *example.args), expected, strict=True):
                assert_same(one, other, 1e-11)
