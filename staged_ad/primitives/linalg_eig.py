"""eig: eigenvalues and eigenvectors of matrices that need not be symmetric.

The derivatives are those of M. Giles (2008), section 3.1, for vectors of length 1. What happens where eigenvalues
coincide is as in linalg_gaps.py, and docs/linalg.md has the reasoning.

Invariant: results are complex, whatever the eigenvalues are: dtypes cannot depend on values.
Start at ``eig``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from staged_ad.ir import ArrayType, Linear, Primitive, filled
from staged_ad.ir.lowerings import Kernel
from staged_ad.ir.primitive import not_linear
from staged_ad.ir.types import complex_dtype_of
from staged_ad.primitives import linalg_lapack as code
from staged_ad.primitives.arithmetic import and_, div, gt, neg, not_, sub
from staged_ad.primitives.complexes import conj, modulus
from staged_ad.primitives.exponential import sqrt
from staged_ad.primitives.linalg import (
    ERRORS,
    all_of,
    as_columns,
    as_rows,
    batch_all,
    composed,
    diagonal,
    failure,
    masked,
    matmul,
    matrices,
    on_diagonal,
    real_part,
    require,
    with_real,
)
from staged_ad.primitives.linalg_code import cube_cost, stack
from staged_ad.primitives.linalg_gaps import denominators, grouped, largest, small, turned_groups
from staged_ad.primitives.linalg_solving import lu, lu_solve
from staged_ad.primitives.makers import Operation, mul, plus, scale, select, typeof, zeros
from staged_ad.primitives.reductions import reduce_sum
from staged_ad.primitives.shaping import cast, stop_gradient


# eig(a) -> (w, v), or (w,) without `vectors`: a v = v diag(w), in the order of LAPACK; columns of v have length 1.
def _abstract_eig(a: ArrayType, *, vectors: bool) -> list[ArrayType]:
    matrices("eig", a, square=True)
    dtype = complex_dtype_of(a.real.dtype)
    values = ArrayType(a.shape[:-1], dtype)
    return [values, ArrayType(a.shape, dtype)] if vectors else [values]


def _evaluate_eig(a: Any, *, vectors: bool) -> list[Any]:
    if not np.all(np.isfinite(a)):
        raise failure("infinite")
    dtype = np.result_type(a, np.complex64)
    try:
        found = np.linalg.eig(a) if vectors else [np.linalg.eigvals(a)]
    except np.linalg.LinAlgError:
        raise failure("eigenvalues") from None
    return [np.asarray(x, dtype) for x in found]


def _jvp_eig(primals: Sequence[Any], tangents: Sequence[Any], *, vectors: bool) -> tuple[list[Any], list[Any]]:
    """With ``p = v^-1 a_dot v``: ``w_dot = diag(p)``, and v moves by ``v g``, where ``g_ij = p_ij / (w_j - w_i)``.

    Of that the part along v itself is taken away: lengths stay 1, and phases, which are free, do not turn.
    """
    w, v = eig(primals[0], vectors=True)
    results = [w, v] if vectors else [w]
    if 0 in typeof(v).shape:
        return results, [zeros(typeof(x).strong()) for x in results]
    v = _generic(v, w)
    a_dot = cast(tangents[0], dtype=typeof(v).dtype, weak=False)
    p = lu_solve(*_factored(v), v, matmul(a_dot, v), trans=False)
    if not vectors:
        return [w], [diagonal(p)]
    p = grouped(p, w, check=False, zeros=0)
    g = difference_quotient(p, w)
    w_dot = with_real(mul, diagonal(g), _extent(w))
    moved = matmul(v, masked(g, not_(on_diagonal(g))))
    along = reduce_sum(scale(moved, conj(v)), axes=(typeof(v).ndim - 2,))
    return [w, v], [w_dot, sub(moved, scale(as_rows(along, typeof(v).shape[-1]), v))]


def _generic(v: Any, w: Any) -> Any:
    """Vectors of equal values turned in a fixed way, of length 1 again."""
    _, same = denominators(w, False)
    turned = matmul(v, turned_groups(same, True, real_part(v)))
    rows = typeof(v).ndim - 2
    lengths = sqrt(reduce_sum(real_part(mul(turned, conj(turned))), axes=(rows,)))
    members = reduce_sum(cast(same, dtype=typeof(lengths).dtype, weak=False), axes=(rows,))
    lengths = select(gt(members, 1.0), lengths, filled(1, typeof(lengths).strong()))
    return with_real(div, turned, as_rows(lengths, typeof(v).shape[-1]))


def _factored(v: Any) -> tuple[Any, Any]:
    """What ``lu_solve`` takes. Where there is no basis, errors may make a bad one of the vectors."""
    factors, _, order = lu(stop_gradient(v))
    pivots = diagonal(factors)
    least = 10 * float(np.finfo(typeof(pivots).dtype).eps) ** 0.5
    return require(factors, gt(modulus(pivots), least), error="defective"), order


eig: Operation = Operation(
    Primitive(
        "eig",
        abstract_eval=_abstract_eig,
        evaluate=_evaluate_eig,
        jvp=_jvp_eig,
        transpose=not_linear("eig"),
        batch=batch_all(lambda: eig.primitive),
        lower=Kernel(
            partial(code.emit_eig, error=ERRORS["eigenvalues"], infinite=ERRORS["infinite"]),
            items=stack,
            scratch=code.eig_scratch,
            cost=cube_cost(40),
            interleaved=True,
            fails=lambda **params: True,
        ),
        multiple_results=True,
    )
)


def _extent(w: Any) -> Any:
    """The largest modulus, a constant; 1 where all values are 0."""
    top = stop_gradient(largest(w, 1))
    return select(gt(top, 0.0), top, filled(1, typeof(top).strong()))


# difference_quotient(x, w): x_ij / (w_j - w_i), and 0 where that is zero: then x_ij must vanish too. The diagonal is
# divided by the extent of w, so that all of it has one unit: what vanishes is judged by the largest.
# Linear in x, and its own transpose.
def _difference_quotient(x: Any, w: Any) -> Any:
    d, close = denominators(w, False)
    off = not_(on_diagonal(x))
    forbidden = all_of(close, off, not_(small(x, largest(x, 2))))
    extent = cast(as_rows(_extent(w), typeof(w).shape[-1]), dtype=typeof(x).dtype, weak=False)
    quotient = div(x, select(off, select(close, filled(1, typeof(d).strong()), d), extent))
    return require(select(and_(close, off), zeros(typeof(x).strong()), quotient), not_(forbidden), error="gap")


def _jvp_difference_quotient(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (x, w), (x_dot, w_dot) = primals, tangents
    y = difference_quotient(x, w)
    y_dot = None if x_dot is None else difference_quotient(x_dot, w)
    if w_dot is not None:
        n = typeof(w).shape[-1]
        d_dot = sub(as_rows(w_dot, n), as_columns(w_dot, n))
        y_dot = plus(y_dot, neg(difference_quotient(scale(d_dot, y), w)))
    return y, y_dot


def _transpose_difference_quotient(ct: Any, inputs: Sequence[Any]) -> Any:
    w = inputs[1]
    if isinstance(w, Linear):
        return not_linear("difference_quotient")(ct, inputs)
    return [difference_quotient(ct, w), None]


difference_quotient: Operation = composed(
    "difference_quotient", _difference_quotient, _jvp_difference_quotient, _transpose_difference_quotient
)
