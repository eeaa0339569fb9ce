"""Examples of functions that make arrays of traced values, and of those that change an array in place.

Invariant: what is changed is a copy, so the call gives the same on arrays.
Start at ``IN_PLACE``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.coverage.example import Q, Table, V, X, on, x

PLACES = np.array([3, 0, 1])


def changed(change: Callable[..., Any]) -> Callable[..., Any]:
    """A function that changes its first argument, as one that returns a changed copy."""

    def call(a: Any, *rest: Any) -> Any:
        y = a.copy()
        change(y, *rest)
        return y

    return call


IN_PLACE: Table = {
    "numpy.array": x(lambda x: np.array([[x[0, 0, 0], 1.0], [2.0, x[1, 1, 1]]]), lambda x: np.array(x, ndmin=4)),
    "numpy.asarray": x(lambda x: np.asarray(x), lambda x: np.asarray([x[0, 0, 0], 3.0])),
    "numpy.asanyarray": x(lambda x: np.asanyarray(x)),
    "numpy.ascontiguousarray": x(lambda x: np.ascontiguousarray(x.T)),
    "numpy.asfortranarray": x(lambda x: np.asfortranarray(x), lambda x: np.asfortranarray([x[0, 0, 0], 3.0])),
    "numpy.require": x(lambda x: np.require(x.T, requirements="C")),
    "numpy.copyto": on(X, V)(
        changed(lambda y, v: np.copyto(y, v[0])), changed(lambda y, v: np.copyto(y[0], v[1] * y[1]))
    ),
    "numpy.fill_diagonal": on(Q, V)(
        changed(lambda y, v: np.fill_diagonal(y, v[0])), changed(lambda y, v: np.fill_diagonal(y, v[:3]))
    ),
    "numpy.place": on(X, V)(changed(lambda y, v: np.place(y, X > 0, v))),
    "numpy.put": on(X, V)(
        changed(lambda y, v: np.put(y, PLACES, v[:3])), changed(lambda y, v: np.put(y, [-1, 14], v[0], mode="wrap"))
    ),
    "numpy.putmask": on(X, V)(changed(lambda y, v: np.putmask(y, X > 0, v))),
    "numpy.put_along_axis": on(Q, V)(
        changed(lambda y, v: np.put_along_axis(y, np.array([[2, 0, 1]]), v[:3], axis=0)),
    ),
    "numpy.real": x(lambda x: np.real(x) * x, lambda x: np.real(x + 2j * x)),
    "numpy.imag": x(lambda x: np.imag(x) + x, lambda x: np.imag((1 + 2j) * x)),
    "numpy.angle": x(
        lambda x: np.angle(np.where(x > 0, 1 + 2j, 3 - 1j) * x), lambda x: np.angle(x + 1j * x**2, deg=True)
    ),
    "numpy.conj": x(lambda x: np.conj(x) * x, lambda x: np.conj((1 + 2j) * x).imag),
    "numpy.iscomplex": on(X, smooth=False)(np.iscomplex, lambda x: np.iscomplex(x + 1j * np.maximum(x, 0))),
    "numpy.isreal": on(X, smooth=False)(np.isreal, lambda x: np.isreal(x + 1j * np.maximum(x, 0))),
    "numpy.iscomplexobj": on(X, smooth=False)(lambda x: x * np.iscomplexobj(x)),
    "numpy.isrealobj": on(X, smooth=False)(lambda x: x * np.isrealobj(x)),
}
