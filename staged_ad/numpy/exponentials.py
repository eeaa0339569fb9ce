"""logsumexp, softmax and log_softmax, stable in value and derivative; signatures are SciPy's.

Invariant: the greatest element is taken out before exponentials are formed, and held fixed in derivatives.
Start at ``logsumexp``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from staged_ad.ir import ArrayType, filled
from staged_ad.numpy.assignment import plain
from staged_ad.numpy.halves import in_single
from staged_ad.numpy.promotion import as_value, promote, to_float
from staged_ad.numpy.reducing import Axis, max, normalize_axes, sum
from staged_ad.numpy.shaping import broadcast_to
from staged_ad.primitives import exponential as e
from staged_ad.primitives.arithmetic import abs_, div, eq, gt, lt, minimum, ne, sign
from staged_ad.primitives.complexes import complex_, imag, modulus, phase, real
from staged_ad.primitives.makers import add, neg, scale, select, sub, typeof, zeros
from staged_ad.primitives.shaping import reshape, stop_gradient


@in_single
def logsumexp(a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """log(sum(b * exp(a))) without overflow: scipy.special.logsumexp for traced values, complex ones too.

    The derivative in `a` is the softmax, exactly, infinities included; that in `b` holds where `b` is 0 too.

    Parameters
    ----------
    a : array_like, shape (...)
    axis : int, tuple of int or None
        The axes that are summed; all of them by default.
    b : array_like, optional
        Weights, broadcast against `a`. Where one is 0 its element adds nothing, be it infinite or NaN.
    keepdims : bool
        Whether summed axes stay, with length 1.
    return_sign : bool
        Whether to return the logarithm of the absolute value of the sum, and its sign (of a complex sum its
        phase). Otherwise a negative sum of real terms gives NaN.

    Returns
    -------
    floating-point or complex array, or a pair of them

    Examples
    --------
    >>> import numpy as np
    >>> import staged_ad as sad
    >>> sad.grad(sad.scipy.special.logsumexp)(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    value = to_float(a)
    weights = None
    if b is not None:
        value, weights = promote(value, as_value(b))
        value, weights = to_float(value), to_float(weights)
    shape = typeof(value).shape
    axes = normalize_axes(axis, len(shape))
    kept = tuple(1 if k in axes else n for k, n in enumerate(shape))
    if typeof(value).size == 0:
        empty = filled(-np.inf, typeof(value).strong().with_shape(kept))
        logarithm, signs = empty, phase(empty) if typeof(value).is_complex else sign(empty)
    else:
        logarithm, signs = _logarithm_of_sum(value, weights, axes, return_sign)
    if not return_sign and weights is not None and not typeof(value).is_complex:
        logarithm = select(lt(signs, 0.0), filled(np.nan, typeof(logarithm)), logarithm)
    final = kept if keepdims else tuple(n for k, n in enumerate(shape) if k not in axes)
    results = [plain(reshape(x, shape=final)) for x in (logarithm, signs)]
    return tuple(results) if return_sign else results[0]


def _logarithm_of_sum(value: Any, weights: Any, axes: tuple[int, ...], apart: bool) -> tuple[Any, Any]:
    """Of complex numbers the sign is the phase; the logarithm is real where they are wanted `apart`."""
    if not typeof(value).is_complex:
        return _logsumexp(value, weights, axes)
    size = real(value)
    counted = size if weights is None else select(ne(weights, 0.0), size, filled(-np.inf, typeof(size)))
    shift = _finite(stop_gradient(max(counted, axis=axes, keepdims=True)))
    terms = e.exp(sub(value, _widened(shift, typeof(value))))
    total = sum(terms if weights is None else scale(weights, terms), axis=axes, keepdims=True)
    direction = phase(total)
    if apart:
        return add(e.log(modulus(total)), shift), direction
    return add(e.log(total), complex_(shift, zeros(typeof(shift)))), direction


def _finite(largest: Any) -> Any:
    """By what exponents are shifted: beside infinity no finite one is large; beside its opposite none is."""
    type = typeof(largest)
    return select(gt(largest, -np.inf), minimum(largest, filled(np.finfo(type.dtype).max, type)), zeros(type))


def _widened(x: Any, to: ArrayType) -> Any:
    """`x` in the shape and the dtype of a type."""
    wide = broadcast_to(x, to.shape)
    return complex_(wide, zeros(typeof(wide))) if to.is_complex and not typeof(wide).is_complex else wide


def _greatest(value: Any, axis: Axis) -> Any:
    """The greatest element, held fixed; of complex numbers by their real parts, then by their imaginary parts."""
    if not typeof(value).is_complex:
        return stop_gradient(max(value, axis=axis, keepdims=True))
    first, second = real(value), imag(value)
    largest = max(first, axis=axis, keepdims=True)
    ties = eq(first, broadcast_to(largest, typeof(first).shape))
    among = max(select(ties, second, filled(-np.inf, typeof(second))), axis=axis, keepdims=True)
    return stop_gradient(complex_(largest, among))


def _logsumexp(value: Any, weights: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """The logarithm and the sign of the sum. The greatest terms are summed apart from the others, so that what is
    small beside 1 is not lost: Blanchard, Higham & Higham, IMA J. Numer. Anal. 41 (2021), algorithm 4.1.
    """
    shape = typeof(value).shape
    none = filled(-np.inf, typeof(value))
    counted = value if weights is None else select(ne(weights, 0.0), value, none)
    largest = stop_gradient(max(counted, axis=axes, keepdims=True))
    shift = _finite(largest)
    terms = e.exp(sub(value, broadcast_to(shift, shape)))
    if weights is not None:
        terms = scale(weights, terms)  # 0 * inf = 0
    at_top = eq(counted, broadcast_to(largest, shape))
    nothing = zeros(typeof(terms))
    top = sum(select(at_top, terms, nothing), axis=axes, keepdims=True)
    rest = sum(select(at_top, nothing, terms), axis=axes, keepdims=True)
    ratio = select(eq(rest, 0.0), rest, div(rest, top))
    if weights is None:
        logarithm = add(e.log1p(ratio), e.log(top))
        signs = select(gt(top, 0.0), filled(1, typeof(top)), sign(add(top, rest)))
    else:
        signs = sign(add(top, rest))
        reflected = select(lt(ratio, -1.0), sub(neg(ratio), 2.0), ratio)
        whole = e.log(abs_(add(top, rest)))
        logarithm = select(eq(top, 0.0), whole, add(e.log1p(reflected), e.log(abs_(top))))
    return add(logarithm, shift), signs


@in_single
def softmax(x: Any, axis: Axis = None) -> Any:
    """exp(x) / sum(exp(x)) without overflow; scipy.special.softmax for traced values.

    Parameters
    ----------
    x : array_like, shape (...)
    axis : int, tuple of int or None
        The axes that are summed; all of them by default.

    Returns
    -------
    floating-point or complex array of the shape of x

    Raises
    ------
    ShapeError
        Where there is no such axis, or x has no elements.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> sad.numpy.softmax(np.array([1000.0, 1000.0]))
    array([0.5, 0.5])
    """
    value = to_float(x)
    shape = typeof(value).shape
    largest = _greatest(value, axis)
    weights = e.exp(sub(value, broadcast_to(largest, shape)))
    return div(weights, broadcast_to(sum(weights, axis=axis, keepdims=True), shape))


@in_single
def log_softmax(x: Any, axis: Axis = None) -> Any:
    """x - log(sum(exp(x))) without overflow; scipy.special.log_softmax for traced values.

    Parameters, results and errors are those of `softmax`, of which it is the logarithm.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> sad.numpy.log_softmax(np.array([1000.0, 0.0]))
    array([    0., -1000.])
    """
    value = to_float(x)
    shape = typeof(value).shape
    largest = _greatest(value, axis)
    size = modulus(largest) if typeof(largest).is_complex else abs_(largest)
    shift = select(lt(size, np.inf), largest, zeros(typeof(largest)))
    centered = sub(value, broadcast_to(shift, shape))
    return sub(centered, broadcast_to(e.log(sum(e.exp(centered), axis=axis, keepdims=True)), shape))
