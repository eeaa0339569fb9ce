"""det with its cofactors, and pinv: derivatives that hold for singular matrices too.

Invariant: no derivative up to the second divides by a pivot, a singular value or a gap.
Start at ``det``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.ir import Linear, filled
from staged_ad.ir.primitive import not_linear
from staged_ad.primitives.arithmetic import abs_, add, div, eq, gt, lt, ne, neg, not_, or_, remainder, sub
from staged_ad.primitives.complexes import complex_, imag, phase
from staged_ad.primitives.exponential import log
from staged_ad.primitives.linalg import (
    as_columns,
    as_rows,
    composed,
    conjugate,
    ctranspose,
    diagonal,
    from_lower,
    hermitian_part,
    identity_like,
    masked,
    matmul,
    mtranspose,
    on_diagonal,
    part,
    real_part,
    require,
    size_of,
    spread,
    with_real,
)
from staged_ad.primitives.linalg_solving import lu, lu_solve
from staged_ad.primitives.linalg_spectral import eigh, svd
from staged_ad.primitives.makers import Operation, mul, plus, scale, select, typeof, zeros
from staged_ad.primitives.reductions import reduce_max, reduce_prod, reduce_sum
from staged_ad.primitives.shaping import broadcast, cast, concatenate, iota, stop_gradient


def parity(pivots: Any, dtype: Any) -> Any:
    """1 or -1: the determinant of the permutation that these exchanges of rows make."""
    shape = typeof(pivots).shape
    moved = ne(pivots, iota(shape, typeof(pivots).dtype, len(shape) - 1, near=(pivots,)))
    count = reduce_sum(cast(moved, dtype=np.dtype("int64"), weak=False), axes=(len(shape) - 1,))
    return sub(1.0, mul(2.0, cast(remainder(count, 2), dtype=dtype, weak=False)))


def _product(x: Any) -> Any:
    return reduce_prod(x, axes=(typeof(x).ndim - 1,))


def _det(a: Any) -> Any:
    factors, pivots, _ = lu(a)
    return mul(parity(pivots, typeof(a).dtype), _product(diagonal(factors)))


def _jvp_det(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Jacobi's formula: the sum of the tangent times the cofactors."""
    (a,), (a_dot,) = primals, tangents
    ndim = typeof(a).ndim
    return det(a), reduce_sum(scale(a_dot, cofactors(a)), axes=(ndim - 2, ndim - 1))


det: Operation = composed("det", _det, _jvp_det, not_linear("det"))


def cofactors(a: Any) -> Any:
    """The matrix of cofactors, the gradient of the determinant."""
    return _small_cofactors(a) if typeof(a).shape[-1] in (2, 3) else cofactor(a)


def _small_cofactors(a: Any) -> Any:
    """By the polynomials themselves, whose derivatives of every order are right."""
    ndim, n = typeof(a).ndim, typeof(a).shape[-1]

    def entry(i: int, j: int) -> Any:
        return part(a, (i % n, i % n + 1), (j % n, j % n + 1))

    def minor(i: int, j: int) -> Any:
        if n == 2:
            return entry(i + 1, j + 1) if i == j else neg(entry(i + 1, j + 1))
        return sub(mul(entry(i + 1, j + 1), entry(i + 2, j + 2)), mul(entry(i + 1, j + 2), entry(i + 2, j + 1)))

    rows = [concatenate(*[minor(i, j) for j in range(n)], axis=ndim - 1) for i in range(n)]
    return concatenate(*rows, axis=ndim - 2)


# cofactor(a) from a = u s v^H: det(u) det(v^H) conj(u) c conj(v^H), where c_i is the product of the s_k with k != i.
def _turned(a: Any) -> tuple[Any, Any, Any, Any]:
    u, s, vh = svd(a, vectors=True, full=False)
    return spread(mul(_det(u), _det(vh)), typeof(a).shape), u, s, vh


def _cofactor(a: Any) -> Any:
    sign, u, s, vh = _turned(a)
    n = typeof(s).shape[-1]
    others = as_rows(s, n)
    c = _product(select(on_diagonal(others), filled(1, typeof(others).strong()), others))
    return mul(sign, matmul(with_real(mul, conjugate(u), as_rows(c, n)), conjugate(vh)))


def _jvp_cofactor(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    return cofactor(primals[0]), cofactor_tangent(primals[0], tangents[0])


cofactor: Operation = composed("cofactor", _cofactor, _jvp_cofactor, not_linear("cofactor"))


# cofactor_tangent(a, x): the second derivative of det along x. Between the singular vectors, p = u^H x v, it is
# k_ii = sum over j != i of c_ij p_jj and k_ij = -c_ij p_ji, where c_ij is the product of the other s_k.
# Linear in x and its own transpose, since second derivatives are symmetric.
def _cofactor_tangent(a: Any, x: Any) -> Any:
    sign, u, s, vh = _turned(a)
    n = typeof(s).shape[-1]
    p = matmul(ctranspose(u), matmul(x, ctranspose(vh)))
    lead = len(typeof(s).shape) - 1
    shape = (*typeof(s).shape[:-1], n, n, n)
    first, second, third = (iota(shape, np.int64, lead + k, near=(x,)) for k in range(3))
    left_out = or_(eq(first, third), eq(second, third))
    values = broadcast(s, shape=shape, dims=(*range(lead), lead + 2))
    c = _product(select(left_out, filled(1, typeof(values).strong()), values))
    off = masked(c, not_(on_diagonal(c)))
    own = reduce_sum(with_real(mul, as_rows(diagonal(p), n), off), axes=(lead + 1,))
    k = sub(masked(as_columns(own, n), on_diagonal(p)), with_real(mul, mtranspose(p), off))
    return mul(sign, matmul(conjugate(u), matmul(k, conjugate(vh))))


def _jvp_cofactor_tangent(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The third derivative, for matrices that are not singular: of ``det (tr(t^T x) t - t x^T t)`` with t = a^-T."""
    (a, x), (a_dot, x_dot) = primals, tangents
    y = cofactor_tangent(a, x)
    y_dot = None if x_dot is None else cofactor_tangent(a, x_dot)
    if a_dot is None:
        return y, y_dot
    shape = typeof(a).shape
    t = mtranspose(inverse(a))
    size = spread(det(a), shape)

    def trace(m: Any, z: Any) -> Any:
        return spread(reduce_sum(mul(m, z), axes=(len(shape) - 2, len(shape) - 1)), shape)

    t_dot = neg(matmul(t, matmul(mtranspose(a_dot), t)))
    xt = matmul(mtranspose(x), t)
    turned = add(matmul(t_dot, xt), matmul(matmul(t, mtranspose(x)), t_dot))
    change = sub(add(mul(trace(t_dot, x), t), mul(trace(t, x), t_dot)), turned)
    return y, plus(y_dot, add(mul(trace(t, a_dot), y), mul(size, change)))


def _transpose_cofactor_tangent(ct: Any, inputs: Sequence[Any]) -> Any:
    a, _ = inputs
    if isinstance(a, Linear):
        return not_linear("cofactor_tangent")(ct, inputs)
    return [None, cofactor_tangent(a, ct)]


cofactor_tangent: Operation = composed(
    "cofactor_tangent", _cofactor_tangent, _jvp_cofactor_tangent, _transpose_cofactor_tangent
)


def factored(a: Any) -> tuple[Any, Any]:
    """What ``lu_solve`` takes before the matrix; a singular one is an error."""
    factors, _, order = lu(stop_gradient(a))
    return require(factors, ne(diagonal(factors), 0.0), error="singular"), order


def inverse(a: Any) -> Any:
    factors, order = factored(a)
    n = typeof(a).shape[-1]
    return lu_solve(factors, order, a, identity_like(a, n, n), trans=False)


def det_sign(factors: Any, pivots: Any) -> Any:
    """The sign of the determinant of a factored matrix; a real NaN counts as positive, as in NumPy."""
    d = diagonal(factors)
    if typeof(d).is_complex:
        return mul(parity(pivots, typeof(factors).dtype), _product(phase(d)))
    one, zero = filled(1, typeof(d).strong()), zeros(typeof(d).strong())
    signs = select(lt(d, 0.0), filled(-1, typeof(d).strong()), select(eq(d, 0.0), zero, one))
    return mul(parity(pivots, typeof(factors).dtype), _product(signs))


# log_abs_det(lu, order, a): the logarithm of the modulus of det a, where a[order] = l u. As in ``lu_solve`` the
# derivatives with respect to lu and order are those of a.
def _log_abs_det(factors: Any, order: Any, a: Any) -> Any:
    return reduce_sum(log(size_of(diagonal(factors))), axes=(typeof(a).ndim - 2,))


def _jvp_log_abs_det(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The trace of ``a^-1 a_dot``, of which the real part."""
    factors, order, a = primals
    y = log_abs_det(factors, order, a)
    return y, None if tangents[2] is None else real_part(_trace_of_quotient(factors, order, a, tangents[2]))


def _trace_of_quotient(factors: Any, order: Any, a: Any, a_dot: Any) -> Any:
    n, ndim = typeof(a).shape[-1], typeof(a).ndim
    transposed = lu_solve(factors, order, a, identity_like(a, n, n), trans=True)
    return reduce_sum(scale(a_dot, transposed), axes=(ndim - 2, ndim - 1))


log_abs_det: Operation = composed("log_abs_det", _log_abs_det, _jvp_log_abs_det, not_linear("log_abs_det"))


# det_phase(lu, pivots, order, a): det a / |det a| of complex matrices, with derivatives as in ``log_abs_det``.
def _jvp_det_phase(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """It turns by the imaginary part of the trace of ``a^-1 a_dot``."""
    factors, pivots, order, a = primals
    y = det_phase(factors, pivots, order, a)
    if tangents[3] is None:
        return y, None
    turn = imag(_trace_of_quotient(factors, order, a, tangents[3]))
    return y, scale(complex_(zeros(typeof(turn).strong()), turn), y)


det_phase: Operation = composed(
    "det_phase",
    lambda factors, pivots, order, a: det_sign(factors, pivots),
    _jvp_det_phase,
    not_linear("det_phase"),
)


# pinv(a): singular values up to `rtol` times the largest count as zero; where `hermitian`, of a the lower triangle is
# read, and the matrix is hermitian in derivatives. They are for matrices of constant rank (G. Golub and V. Pereyra,
# "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate", 1973).
def _pinv(a: Any, *, rtol: float, hermitian: bool) -> Any:
    if 0 in typeof(a).shape:
        return mtranspose(a)
    if hermitian:
        s, u = eigh(a, vectors=True, lower=True)
        vh = ctranspose(u)
    else:
        u, s, vh = svd(a, vectors=True, full=False)
    inverses = reciprocals(s, rtol)
    v = ctranspose(vh)
    return matmul(with_real(mul, v, as_rows(inverses, typeof(v).shape[-2])), ctranspose(u))


def reciprocals(s: Any, rtol: float) -> Any:
    """1 / s, and 0 where s is at most `rtol` times the largest."""
    sizes = abs_(s)
    shape = typeof(s).shape
    largest = broadcast(reduce_max(sizes, axes=(len(shape) - 1,)), shape=shape, dims=tuple(range(len(shape) - 1)))
    large = gt(sizes, mul(rtol, largest))
    return masked(div(1.0, s), large)


def _jvp_pinv(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    """``-p a_dot p + p p^H a_dot^H (1 - a p) + (1 - p a) a_dot^H p^H p``."""
    (a,), (a_dot,) = primals, tangents
    if params["hermitian"]:
        a, a_dot = _hermitian(a), hermitian_part(a_dot)
    p = pinv(primals[0], **params)
    ph, moved = ctranspose(p), ctranspose(a_dot)
    left = matmul(matmul(p, ph), sub(moved, matmul(matmul(moved, a), p)))
    right = matmul(sub(moved, matmul(p, matmul(a, moved))), matmul(ph, p))
    return p, add(sub(left, matmul(p, matmul(a_dot, p))), right)


def _hermitian(a: Any) -> Any:
    """The matrix of which `a` has the lower triangle; its derivative is the hermitian part, as where eigh reads one."""
    moved = sub(a, stop_gradient(a))  # 0, or NaN beside the triangle
    return add(from_lower(stop_gradient(a)), hermitian_part(masked(moved, eq(moved, 0.0))))


pinv: Operation = composed("pinv", _pinv, _jvp_pinv, not_linear("pinv"))
