"""What functions of NumPy make of x[mask] for a traced mask: by element, reductions, products.

Invariant: results are those of the selection, whatever the mask is; what has no meaning without its length is not here,
and so is refused. Of no elements, the maximum of floating-point numbers is -inf, and the minimum inf.
Start at ``FUNCTIONS``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from staged_ad.numpy import multiplying, reducing
from staged_ad.numpy.masked import Masked, by_element, refusal


def _reduction(function: Callable[..., Any], empty: float | None = None) -> Callable[..., Any]:
    """A reduction along the axis of the mask, with its condition, or along others; `empty` is that of no elements."""

    def reduce(x: Any, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, Masked) or "where" in kwargs:
            raise refusal("a reduction with where=", "write x[mask & where]")
        axes = reducing.normalize_axes(axis, x.ndim)
        if x.axis not in axes:
            behind = 0 if kwargs.get("keepdims") else sum(k > x.axis for k in axes)
            return Masked(function(x.values, axis, *args, **kwargs), x.mask, x.rest - behind)
        if empty is not None and "initial" not in kwargs:
            if x.dtype.kind not in "f":
                raise refusal(
                    "the extremum of integers, of which there may be none,",
                    "give the result for that case: initial=...",
                )
            kwargs["initial"] = empty
        return function(x.values, axis, *args, where=x.condition, **kwargs)

    return reduce


_sum = _reduction(reducing.sum)
_max = _reduction(reducing.max, -np.inf)
_min = _reduction(reducing.min, np.inf)
_REDUCTIONS: dict[str | Callable[..., Any], Callable[..., Any]] = {
    "sum": _sum,
    "prod": _reduction(reducing.prod),
    "mean": _reduction(reducing.mean),
    "var": _reduction(reducing.var),
    "std": _reduction(reducing.std),
    "any": _reduction(reducing.any),
    "all": _reduction(reducing.all),
    "max": _max,
    "min": _min,
}
_BY_UFUNC = {np.add: "sum", np.multiply: "prod", np.maximum: "max", np.minimum: "min"} | {
    np.logical_or: "any",
    np.logical_and: "all",
}


def _reduce(ufunc: np.ufunc, x: Any, axis: Any = 0, *args: Any, **kwargs: Any) -> Any:
    if ufunc not in _BY_UFUNC:
        raise refusal(f"np.{ufunc.__name__}.reduce")
    return _REDUCTIONS[_BY_UFUNC[ufunc]](x, axis, *args, **kwargs)


def _count_nonzero(x: Any, axis: Any = None, **kwargs: Any) -> Any:
    return _sum(x != 0, axis, **kwargs)


def _ptp(x: Any, axis: Any = None, **kwargs: Any) -> Any:
    return _max(x, axis, **kwargs) - _min(x, axis, **kwargs)


def _average(a: Any, axis: Any = None, weights: Any = None) -> Any:
    if weights is None:
        return _REDUCTIONS["mean"](a, axis)
    return _sum(a * weights, axis) / _sum(weights, axis)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Zeros do not change a norm, save those of negative order."""
    found = partial(np.linalg.norm, ord=ord, axis=axis, keepdims=keepdims)
    axes = reducing.normalize_axes(axis, x.ndim)
    if x.axis not in axes:
        return Masked(found(x.values), x.mask, x.rest - (0 if keepdims else sum(k > x.axis for k in axes)))
    vector = ord is None or ord == "fro" or (len(axes) == 1 and not isinstance(ord, str) and ord >= 0)
    if not vector:
        raise refusal(f"np.linalg.norm(..., ord={ord!r})")
    return found(x.filled(0))


def _matmul(a: Any, b: Any) -> Any:
    """Products of matrices and vectors; sums over the elements that are chosen take zeros for the others."""
    if np.ndim(_values(a)) > 2 or np.ndim(_values(b)) > 2 or 0 in (np.ndim(_values(a)), np.ndim(_values(b))):
        raise refusal("the product of stacks of matrices")
    summed = (isinstance(a, Masked) and a.rest == 0, isinstance(b, Masked) and b.axis == 0)
    if all(summed):
        Masked(a.mask, a.mask, 0).beside(Masked(b.mask, b.mask, 0))
        return multiplying.matmul(a.filled(0), b.filled(0))
    if any(summed) or (isinstance(a, Masked) and isinstance(b, Masked)):
        raise refusal("the product with an array that is not selected by the same mask", "write x[mask] @ y[mask]")
    found = multiplying.matmul(_values(a), _values(b))
    return Masked(found, a.mask, np.ndim(found) - 1) if isinstance(a, Masked) else Masked(found, b.mask, 0)


def _values(x: Any) -> Any:
    return x.values if isinstance(x, Masked) else x


def _vdot(a: Any, b: Any) -> Any:
    return _sum(np.conj(a) * b)


def _transpose(x: Any, axes: Any = None) -> Any:
    order = [*range(x.ndim)][::-1] if axes is None else [int(k) % x.ndim for k in axes]
    return Masked(np.transpose(x.values, order), x.mask, x.ndim - 1 - order.index(x.axis))


def _of_one(function: Callable[..., Any], place: int = 0) -> Callable[..., Any]:
    """A function by element of one of its arguments alone, as np.interp is."""

    def apply(*args: Any, **kwargs: Any) -> Any:
        x = args[place]
        if not isinstance(x, Masked) or any(isinstance(a, Masked) for a in (*args[:place], *args[place + 1 :])):
            raise refusal(f"np.{function.__name__} of selected tables")
        return x.of(function(*args[:place], x.values, *args[place + 1 :], **kwargs))

    return apply


def _copy(a: Any, order: Any = None, subok: bool = False) -> Masked:
    """The order in memory is nobody's business here."""
    return a.of(a.values)


def _method(name: str) -> Callable[..., Any]:
    """A method by element."""
    return lambda x, *args, **kwargs: x.of(getattr(x.values, name)(*map(x.beside, args), **kwargs))


_BY_ELEMENT: list[Callable[..., Any]] = [
    *(np.where, np.clip, np.round, np.around, np.fix, np.real, np.imag, np.angle, np.nan_to_num, np.isclose, np.sinc),
    *(np.i0, np.isposinf, np.isneginf, np.zeros_like, np.ones_like, np.full_like, np.empty_like),
]

FUNCTIONS: dict[str | Callable[..., Any], Callable[..., Any]] = {
    **{f: partial(by_element, f) for f in _BY_ELEMENT},
    **{getattr(np, str(name)): f for name, f in _REDUCTIONS.items()},
    **_REDUCTIONS,
    "reduce": _reduce,
    "conj": _method("conj"),
    "conjugate": _method("conj"),
    "clip": lambda x, *args, **kwargs: by_element(np.clip, x, *args, **kwargs),
    "round": _method("round"),
    "astype": lambda x, dtype, *args, **kwargs: x.of(x.values.astype(dtype)),
    "copy": _copy,
    "real": lambda x: x.of(x.values.real),
    "imag": lambda x: x.of(x.values.imag),
    "T": _transpose,
    "transpose": lambda x, *axes: _transpose(x, axes or None),
    "dot": _matmul,
    np.copy: _copy,
    np.transpose: _transpose,
    np.count_nonzero: _count_nonzero,
    np.ptp: _ptp,
    np.average: _average,
    np.linalg.norm: _norm,
    np.dot: _matmul,
    np.matmul: _matmul,
    np.vdot: _vdot,
    np.interp: _of_one(np.interp),
    np.polyval: _of_one(np.polyval, 1),
}
"""By the function, ufunc or name of a method of NumPy."""
