"""Quotients by gaps between eigenvalues or singular values: what the derivatives of their vectors are made of.

In a group of values that coincide a quotient is 0 / 0 or does not exist. It is 0 where its numerator vanishes up to
rounding; otherwise DegenerateError is raised. The bases of such groups are turned in a fixed generic way when
derivatives are taken (``generic_basis``), so that a symmetric matrix whose diagonal is constant in the basis is a
multiple of the identity: then what the gaps hide of a cotangent is zero, and ``grouped`` checks just that. The
reasoning is in docs/linalg.md.

Invariant: a derivative that these let pass is right; none depends on the choice of a basis.
Start at ``gap_quotient``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.ir import Linear, filled
from staged_ad.ir.primitive import not_linear
from staged_ad.ir.types import complex_dtype_of
from staged_ad.primitives.arithmetic import abs_, add, and_, div, eq, ge, gt, le, neg, not_, or_, sub
from staged_ad.primitives.linalg import (
    all_of,
    as_columns,
    as_rows,
    composed,
    conjugate,
    diagonal,
    hermitian_part,
    identity_like,
    masked,
    matmul,
    on_diagonal,
    real_part,
    require,
    size_of,
    skew_part,
    spread,
    tril,
    with_real,
)
from staged_ad.primitives.makers import Operation, mul, plus, scale, select, typeof
from staged_ad.primitives.reductions import reduce_max, reduce_sum
from staged_ad.primitives.shaping import broadcast, cast, slice_


def largest(x: Any, axes: int) -> Any:
    """The largest modulus over the last axes, repeated over them."""
    shape = typeof(x).shape
    if 0 in shape:
        return size_of(x)
    kept = len(shape) - axes
    top = reduce_max(size_of(x), axes=tuple(range(kept, len(shape))))
    return broadcast(top, shape=shape, dims=tuple(range(kept)))


def small(x: Any, size: Any) -> Any:
    """Whether x is rounding beside numbers of that size: less than the square root of the precision."""
    return le(size_of(x), mul(float(np.finfo(typeof(x).dtype).eps) ** 0.5, size))


def gap_tolerance(w: Any) -> float:
    """Relative to the largest value; LAPACK's errors grow with the size."""
    return 10 * max(typeof(w).shape[-1], 10) * float(np.finfo(typeof(w).dtype).eps)


def vanishing(s: Any) -> Any:
    """Whether singular values are zero up to rounding."""
    return le(abs_(s), mul(gap_tolerance(s), largest(s, 1)))


def denominators(w: Any, total: bool) -> tuple[Any, Any]:
    """``w_j - w_i``, or ``w_j + w_i`` where `total`, and whether that is zero up to rounding."""
    n = typeof(w).shape[-1]
    first, second = as_columns(w, n), as_rows(w, n)
    d = add(second, first) if total else sub(second, first)
    top = as_columns(largest(w, 1), n)
    return d, le(size_of(d), mul(gap_tolerance(w), top))


# gap_quotient(x, w): the hermitian part of x, or its skew part where `skew`, divided by w_j - w_i, or w_j + w_i where
# `total`. Zero where that is zero. Linear in x. On the diagonal the skew part is imaginary: how the phase of a vector
# turns, which is free, or how the phases of two vectors turn against each other (`total`).
def _gap_quotient(x: Any, w: Any, *, skew: bool, total: bool) -> Any:
    if 0 in typeof(x).shape:
        return x
    d, close = denominators(w, total)
    numerator = (skew_part if skew else hermitian_part)(x)
    forbidden = and_(close, not_(small(numerator, largest(x, 2))))
    if not total:
        forbidden = and_(forbidden, not_(on_diagonal(x)))
    quotient = with_real(div, numerator, select(close, filled(1, typeof(d).strong()), d))
    return require(masked(quotient, not_(close)), not_(forbidden), error="gap")


def _jvp_gap_quotient(primals: Sequence[Any], tangents: Sequence[Any], *, skew: bool, total: bool) -> tuple[Any, Any]:
    (x, w), (x_dot, w_dot) = primals, tangents
    y = gap_quotient(x, w, skew=skew, total=total)
    y_dot = None if x_dot is None else gap_quotient(x_dot, w, skew=skew, total=total)
    if w_dot is not None:
        n = typeof(w).shape[-1]
        first, second = as_columns(w_dot, n), as_rows(w_dot, n)
        d_dot = add(second, first) if total else sub(second, first)
        moved = with_real(lambda y, d_dot: scale(d_dot, y), y, d_dot)
        y_dot = plus(y_dot, neg(gap_quotient(moved, w, skew=skew, total=total)))
    return y, y_dot


def _transpose_gap_quotient(ct: Any, inputs: Sequence[Any], *, skew: bool, total: bool) -> Any:
    """Division by what is antisymmetric turns hermitian matrices into skew ones."""
    w = inputs[1]
    if isinstance(w, Linear):
        return not_linear("gap_quotient")(ct, inputs)
    return [gap_quotient(ct, w, skew=skew if total else not skew, total=total), None]


gap_quotient: Operation = composed("gap_quotient", _gap_quotient, _jvp_gap_quotient, _transpose_gap_quotient)


# column_quotient(x, s): column j of x divided by s_j; zero where s_j is. Linear in x.
def _column_quotient(x: Any, s: Any) -> Any:
    if 0 in typeof(x).shape:
        return x
    m = typeof(x).shape[-2]
    d = as_rows(s, m)
    close = as_rows(vanishing(s), m)
    forbidden = and_(close, not_(small(x, largest(x, 2))))
    quotient = with_real(div, x, select(close, filled(1, typeof(d).strong()), d))
    return require(masked(quotient, not_(close)), not_(forbidden), error="gap")


def _jvp_column_quotient(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (x, s), (x_dot, s_dot) = primals, tangents
    y = column_quotient(x, s)
    y_dot = None if x_dot is None else column_quotient(x_dot, s)
    if s_dot is not None:
        moved = with_real(lambda y, s_dot: scale(s_dot, y), y, as_rows(s_dot, typeof(x).shape[-2]))
        y_dot = plus(y_dot, neg(column_quotient(moved, s)))
    return y, y_dot


def _transpose_column_quotient(ct: Any, inputs: Sequence[Any]) -> Any:
    s = inputs[1]
    if isinstance(s, Linear):
        return not_linear("column_quotient")(ct, inputs)
    return [column_quotient(ct, s), None]


column_quotient: Operation = composed(
    "column_quotient", _column_quotient, _jvp_column_quotient, _transpose_column_quotient
)


# grouped(x, w): x itself. Its transpose checks (`check`) that the diagonal of the cotangent, for real w the real part
# of it, is constant in groups of equal w, and, where `zeros` (a number) singular values or more vanish, that it is
# zero there.
def _grouped(x: Any, w: Any, *, check: bool, zeros: int) -> Any:
    if not check or 0 in typeof(x).shape:
        return x
    n = typeof(w).shape[-1]
    d = diagonal(x) if typeof(w).is_complex else real_part(diagonal(x))
    size = largest(x, 2)
    _, close = denominators(w, False)
    ok = or_(not_(close), small(sub(as_rows(d, n), as_columns(d, n)), size))
    if zeros:
        nothing = vanishing(w)
        count = reduce_sum(cast(nothing, dtype=np.dtype("int64"), weak=False), axes=(typeof(w).ndim - 1,))
        many = spread(ge(count, zeros), typeof(x).shape)
        inside = all_of(as_rows(nothing, n), on_diagonal(x), many)
        ok = and_(ok, or_(not_(inside), small(real_part(x), size)))
    return require(x, ok, error="gap")


def _jvp_grouped(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    (x, w), (x_dot, _) = primals, tangents
    return grouped(x, w, **params), None if x_dot is None else grouped(x_dot, w, **params)


def _transpose_grouped(ct: Any, inputs: Sequence[Any], *, check: bool, zeros: int) -> list[Any]:
    return [grouped(ct, inputs[1], check=not check, zeros=zeros), None]


grouped: Operation = composed("grouped", _grouped, _jvp_grouped, _transpose_grouped)


# -- bases --------------------------------------------------------------------------------------------------------


def _groups(w: Any) -> Any:
    """The number of the group of each value; values come in order."""
    shape = typeof(w).shape
    n = shape[-1]
    lead = (0,) * (len(shape) - 1)
    one = (1,) * len(shape)
    before = slice_(w, start=(*lead, 0), stop=(*shape[:-1], n - 1), step=one)
    after = slice_(w, start=(*lead, 1), stop=shape, step=one)
    gaps = abs_(sub(after, before))
    top = slice_(largest(w, 1), start=(*lead, 0), stop=(*shape[:-1], n - 1), step=one)
    apart = cast(gt(gaps, mul(gap_tolerance(w), top)), dtype=typeof(w).dtype, weak=False)
    below = tril(as_rows(apart, n), -1)  # row i holds the gaps before value i
    return reduce_sum(below, axes=(len(shape),))


def generic_basis(w: Any, complex: bool, other: Any = None) -> Any:
    """Orthogonal or unitary matrices that turn the groups of equal values among themselves, and nothing else.

    Each is a product of two reflections of every group, in directions that have nothing to do with the coordinates.
    Where the mask `other` holds, the directions are others, and so are the phases of complex vectors.
    """
    n = typeof(w).shape[-1]
    number = _groups(w) if n > 1 else w
    basis = turned_groups(eq(as_rows(number, n), as_columns(number, n)), complex, as_rows(w, n), other)
    if other is None or not complex:
        return basis
    phase = _direction(w, 7.0, complex)
    phase = with_real(div, phase, size_of(phase))
    return mul(basis, as_rows(select(other, phase, filled(1, typeof(phase).strong())), n))


def turned_groups(same: Any, complex: bool, like: Any, other: Any = None) -> Any:
    """What turns groups; `same` says whether values i and j are of one group. Real parts are of the type of `like`."""
    n = typeof(same).shape[-1]
    dtype = complex_dtype_of(typeof(like).dtype) if complex else typeof(like).dtype
    members = cast(same, dtype=typeof(like).dtype, weak=False)
    unit = identity_like(cast(same, dtype=dtype, weak=False), n, n)
    if n < 2:
        return unit
    values = reduce_sum(members, axes=(typeof(same).ndim - 1,))
    reflections = []
    for root in (2.0, 3.0):
        u = _direction(values, root, complex)
        if other is not None:
            u = select(other, _direction(values, root + 3, complex), u)
        outer = with_real(mul, mul(as_rows(conjugate(u), n), as_columns(u, n)), members)
        norms = reduce_sum(mul(members, as_rows(real_part(mul(u, conjugate(u))), n)), axes=(typeof(same).ndim - 1,))
        projector = with_real(div, outer, as_columns(norms, n))
        reflections.append(sub(mul(2.0, projector), unit))
    return matmul(*reflections)


def _direction(w: Any, root: float, complex: bool) -> Any:
    """Numbers of moduli between 1/2 and 3/2 without a pattern."""
    shape, type = typeof(w).shape, typeof(w)
    count = np.arange(1, shape[-1] + 1)
    numbers = 0.5 + np.modf(count * np.sqrt(root))[0]
    if complex:
        numbers = numbers * np.exp(2j * np.pi * np.modf(count * np.sqrt(root + 8))[0])
    numbers = numbers.astype(complex_dtype_of(type.dtype) if complex else type.dtype)
    return broadcast(numbers, shape=shape, dims=(len(shape) - 1,))
