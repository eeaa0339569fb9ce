"""Sparse matrices of SciPy times traced arrays: each number times the element that it meets, added up by rows.

Invariant: the matrix is constant; a sparse matrix holds no traced values. Start at ``product``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

from staged_ad.errors import ShapeError, UnsupportedError
from staged_ad.numpy.arrays import asarray, is_traced
from staged_ad.numpy.creation import made
from staged_ad.tracing.operations import OPERATIONS


def product(matrix: Any, x: Any) -> Any:
    """``matrix @ x`` for a vector, or a matrix of columns."""
    x = asarray(x)
    if x.ndim == 0:
        raise UnsupportedError(
            "a sparse matrix holds no traced values, so it cannot be multiplied by a traced number; "
            "multiply what comes out: a * (S @ x)"
        )
    if x.ndim not in (1, 2) or matrix.shape[-1] != x.shape[0]:
        raise ShapeError(f"a sparse matrix of shape {matrix.shape} cannot be multiplied by an array of shape {x.shape}")
    entries = matrix.tocoo()
    rows, columns = (np.asarray(places, np.int64) for places in entries.coords)
    numbers = entries.data.reshape(-1, *(1,) * (x.ndim - 1))
    kind = np.result_type(numbers.dtype, x.dtype)
    sums = made(np.zeros((matrix.shape[0], *x.shape[1:]), kind))
    np.add.at(sums, rows, (numbers * x[columns]).astype(kind))
    return sums


def _dispatch(original: Callable[..., Any], self: Any, other: Any, *args: Any) -> Any:
    """What ``S @ x``, ``x @ S``, ``S.dot(x)`` and, of a sparse matrix, ``S * x`` come to."""
    return product(self, other) if is_traced(other) and self.ndim == 2 else original(self, other, *args)


for _class in {base for kind in (scipy.sparse.csr_array, scipy.sparse.coo_array) for base in kind.__mro__}:
    if "_matmul_dispatch" in vars(_class):  # no public name: another SciPy may have another one
        OPERATIONS.creators[f"{_class.__module__}.{_class.__name__}._matmul_dispatch"] = _dispatch
