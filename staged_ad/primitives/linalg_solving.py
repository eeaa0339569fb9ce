"""Factorisations that solve systems: Cholesky, LU, and solutions with triangular and factored matrices.

Derivatives follow M. Giles, "An extended collection of matrix derivative results for forward and reverse mode
algorithmic differentiation" (2008), and I. Murray, "Differentiation of the Cholesky decomposition" (2016).

Invariant: a derivative uses the factorisation that the value has made; nothing is factored twice.
Start at ``lu_solve``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, ShapeError
from staged_ad.ir import ArrayType, Linear, Primitive
from staged_ad.ir.lowerings import Kernel
from staged_ad.ir.primitive import not_linear
from staged_ad.primitives import linalg_code as code
from staged_ad.primitives.arithmetic import add, neg, sub
from staged_ad.primitives.linalg import (
    ERRORS,
    batch_all,
    composed,
    conjugate,
    ctranspose,
    failure,
    hermitian_part,
    identity_like,
    masked,
    matmul,
    matrices,
    mtranspose,
    on_diagonal,
    part,
    permute_rows,
    tril,
    triu,
)
from staged_ad.primitives.makers import Operation, mul, plus, typeof
from staged_ad.primitives.shaping import concatenate, reshape, transpose
from staged_ad.tracing.libraries import scipy_linalg

INT32, INT64 = np.dtype("int32"), np.dtype("int64")


def each(f: Callable[..., Any], *arrays: Any, dtypes: Sequence[Any], shapes: Sequence[Any]) -> list[Any]:
    """`f` of the matrices of each stack; its results go to arrays of these dtypes and shapes (of one matrix)."""
    arrays = tuple(np.asarray(x) for x in arrays)
    lead = arrays[0].shape[:-2]
    results = [np.zeros((*lead, *shape), dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    if all(x.size for x in arrays):
        for index in np.ndindex(*lead):
            for result, value in zip(results, f(*(x[index] for x in arrays)), strict=True):
                result[index] = value
    return results


def _right_sides(name: str, a: ArrayType, b: ArrayType) -> ArrayType:
    matrices(name, a, square=True)
    if b.dtype != a.dtype:
        raise DTypeError(f"{name}: the matrix is {a.dtype}, the right-hand side {b.dtype}")
    if b.ndim != a.ndim or b.shape[:-1] != a.shape[:-1]:
        raise ShapeError(f"{name}: shapes {a.shape} and {b.shape} do not fit")
    return b.strong()


def folded_batch(operation: Callable[[], Operation], factors: int) -> Callable[..., Any]:
    """Batches of right-hand sides of one matrix become more columns: one solution instead of many."""

    def batch(size: int, values: Sequence[Any], batched: Sequence[bool], **params: Any) -> tuple[Any, bool]:
        solve, b = operation(), values[-1]
        if any(batched[:factors]) or not batched[-1]:
            return batch_all(lambda: solve.primitive)(size, values, batched, **params)
        *lead, n, k = typeof(b).shape[1:]
        order = (*range(1, len(lead) + 2), 0, len(lead) + 2)
        columns = reshape(transpose(b, permutation=order), shape=(*lead, n, size * k))
        x = reshape(solve(*values[:-1], columns, **params), shape=(*lead, n, size, k))
        back = (len(lead) + 1, *range(len(lead) + 1), len(lead) + 2)
        return transpose(x, permutation=back), True

    return batch


# -- triangular_solve ---------------------------------------------------------------------------------------------
# x with a x = b, or a^T x = b where `trans`, for a triangular a, of which the other triangle is not read. `unit`: the
# diagonal is taken for ones. A zero on it gives inf or NaN.
def _evaluate_triangular(a: Any, b: Any, *, lower: bool, trans: bool, unit: bool) -> Any:
    (trsm,) = scipy_linalg.get_blas_funcs(("trsm",), (np.asarray(a), np.asarray(b)))

    def one(a: Any, b: Any) -> Any:
        return (trsm(1.0, a, b, lower=lower, trans_a=trans, diag=unit),)

    b = np.asarray(b)
    return each(one, a, b, dtypes=[b.dtype], shapes=[b.shape[-2:]])[0]


def applied(a: Any, x: Any, trans: bool) -> Any:
    """``op(a) x``."""
    return matmul(mtranspose(a) if trans else a, x)


def _jvp_triangular(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    """``op(a) x_dot = b_dot - op(a_dot) x``."""
    (a, b), (a_dot, b_dot) = primals, tangents
    x = triangular_solve(a, b, **params)
    right = b_dot
    if a_dot is not None:
        triangle = tril if params["lower"] else triu
        moved = triangle(a_dot, (-1 if params["lower"] else 1) if params["unit"] else 0)
        change = applied(moved, x, params["trans"])
        right = neg(change) if b_dot is None else sub(b_dot, change)
    return x, triangular_solve(a, right, **params)


def _transpose_triangular(ct: Any, inputs: Sequence[Any], **params: Any) -> Any:
    a = inputs[0]
    if isinstance(a, Linear):
        return not_linear("triangular_solve")(ct, inputs)
    return [None, triangular_solve(a, ct, **{**params, "trans": not params["trans"]})]


triangular_solve: Operation = Operation(
    Primitive(
        "triangular_solve",
        abstract_eval=lambda a, b, **params: _right_sides("triangular_solve", a, b),
        evaluate=_evaluate_triangular,
        jvp=_jvp_triangular,
        transpose=_transpose_triangular,
        batch=folded_batch(lambda: triangular_solve, 1),
        lower=Kernel(code.emit_triangular, items=code.stack, cost=code.solve_cost, interleaved=True),
    )
)


def right_divide(b: Any, r: Any, lower: bool = False) -> Any:
    """``b r^-1`` for a triangular r."""
    return mtranspose(triangular_solve(r, mtranspose(b), lower=lower, trans=True, unit=False))


# -- cholesky -----------------------------------------------------------------------------------------------------
# The lower triangular l with l l^H = a. Of a the lower triangle is read; the matrix is hermitian in derivatives.
def _evaluate_cholesky(a: Any) -> Any:
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        raise failure("definite") from None


def _jvp_cholesky(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """``l Phi(l^-1 a_dot l^-H)``, where Phi takes the lower triangle and half of the diagonal (Murray, eq. 8)."""
    l = cholesky(primals[0])  # noqa: E741  # as in the literature
    left = triangular_solve(l, hermitian_part(tangents[0]), lower=True, trans=False, unit=False)
    both = triangular_solve(l, ctranspose(left), lower=True, trans=False, unit=False)  # hermitian
    phi = sub(tril(both), mul(0.5, masked(both, on_diagonal(both))))
    return l, tril(matmul(l, phi))  # where the factor is NaN, the product is so above the diagonal too


cholesky: Operation = Operation(
    Primitive(
        "cholesky",
        abstract_eval=lambda a: matrices("cholesky", a, square=True).strong(),
        evaluate=_evaluate_cholesky,
        jvp=_jvp_cholesky,
        transpose=not_linear("cholesky"),
        batch=batch_all(lambda: cholesky.primitive),
        lower=Kernel(
            partial(code.emit_cholesky, error=ERRORS["definite"]),
            items=code.stack,
            cost=code.cube_cost(0.3),
            interleaved=True,
            fails=lambda **params: True,
        ),
    )
)


# -- lu -----------------------------------------------------------------------------------------------------------
# lu(a) -> (l and u in one array, the row that each row was swapped with, the order of rows): a[order] = l u.
def _abstract_lu(a: ArrayType) -> list[ArrayType]:
    matrices("lu", a)
    *lead, m, n = a.shape
    return [
        a.strong(),
        ArrayType((*lead, min(m, n)), INT32),
        ArrayType((*lead, m), INT64),
    ]


def exchanged(pivots: Any, rows: int) -> Any:
    """The order of so many rows after row k has changed places with row ``pivots[..., k]``, for each k in turn."""
    orders = []
    for exchanges in pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1]).tolist():
        order = list(range(rows))
        for k, pivot in enumerate(exchanges):
            order[k], order[pivot] = order[pivot], order[k]
        orders.append(order)
    return np.array(orders, np.int64).reshape(*pivots.shape[:-1], rows)


def _evaluate_lu(a: Any) -> list[Any]:
    a = np.asarray(a)
    m, n = a.shape[-2:]
    (getrf,) = scipy_linalg.get_lapack_funcs(("getrf",), (a,))

    def one(a: Any) -> Any:
        factors, pivots, _ = getrf(a)
        return factors, pivots, exchanged(pivots, m)

    results = each(one, a, dtypes=[a.dtype, INT32, INT64], shapes=[(m, n), (min(m, n),), (m,)])
    if not a.size:
        results[2][...] = np.arange(m)
    return results


def _jvp_lu(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """With ``f = l^-1 a_dot[order] u^-1`` of the square part: ``l_dot = l tril(f, -1)``, ``u_dot = triu(f) u``.

    The rows below it follow from ``l2 = a2 u^-1``, the columns right of it from ``u2 = l^-1 a2``.
    """
    lu_, pivots, order = lu(primals[0])
    a_dot = permute_rows(tangents[0], order, inverse=False)
    m, n = typeof(lu_).shape[-2:]
    k = min(m, n)
    square, moved = part(lu_, (0, k), (0, k)), part(a_dot, (0, k), (0, k))
    low = {"lower": True, "trans": False, "unit": True}
    f = right_divide(triangular_solve(square, moved, **low), square)
    unit_lower = add(tril(square, -1), identity_like(square, k, k))
    l_dot, u_dot = matmul(unit_lower, tril(f, -1)), matmul(triu(f), triu(square))
    result = add(tril(l_dot, -1), triu(u_dot))
    if m > n:
        below, moved = part(lu_, (n, m), (0, n)), part(a_dot, (n, m), (0, n))
        rest = right_divide(sub(moved, matmul(below, u_dot)), square)
        result = concatenate(result, rest, axis=typeof(result).ndim - 2)
    if n > m:
        beside, moved = part(lu_, (0, m), (m, n)), part(a_dot, (0, m), (m, n))
        rest = triangular_solve(square, sub(moved, matmul(l_dot, beside)), **low)
        result = concatenate(result, rest, axis=typeof(result).ndim - 1)
    return [lu_, pivots, order], [result, None, None]


lu: Operation = Operation(
    Primitive(
        "lu",
        abstract_eval=_abstract_lu,
        evaluate=_evaluate_lu,
        jvp=_jvp_lu,
        transpose=not_linear("lu"),
        batch=batch_all(lambda: lu.primitive),
        lower=Kernel(
            code.emit_lu, items=code.stack, cost=code.cube_cost(0.6), scratch=code.lu_scratch, interleaved=True
        ),
        multiple_results=True,
    )
)


# -- lu_solve -----------------------------------------------------------------------------------------------------
# lu_solve(lu, order, a, b) is x with op(a) x = b, where a[order] = l u. It is a function of a and b: the derivatives
# with respect to lu and order are those of a. So no derivative, of whatever order, factors the matrix again.
def _abstract_lu_solve(lu: ArrayType, order: ArrayType, a: ArrayType, b: ArrayType, *, trans: bool) -> ArrayType:
    if lu.shape != a.shape or order.shape != a.shape[:-1]:
        raise ShapeError(f"lu_solve: {lu} and {order} do not factor {a}")
    return _right_sides("lu_solve", a, b)


def _evaluate_lu_solve(lu: Any, order: Any, a: Any, b: Any, *, trans: bool) -> Any:
    low, up = {"lower": True, "unit": True}, {"lower": False, "unit": False}
    if not trans:
        right = _rows(b, order)
        return _evaluate_triangular(lu, _evaluate_triangular(lu, right, trans=False, **low), trans=False, **up)
    y = _evaluate_triangular(lu, _evaluate_triangular(lu, b, trans=trans, **up), trans=trans, **low)
    return _rows(y, np.argsort(order, axis=-1))


def _rows(x: Any, order: Any) -> Any:
    return np.take_along_axis(np.asarray(x), np.asarray(order)[..., None], axis=-2)


def _rules(solve: Callable[[], Operation]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Jvp and transpose of what takes factors of a matrix, the matrix and right-hand sides."""

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], *, trans: bool) -> tuple[Any, Any]:
        """``op(a) x_dot = b_dot - op(a_dot) x``."""
        *known, _ = primals
        *_, a_dot, b_dot = tangents
        x = solve()(*primals, trans=trans)
        change = None if a_dot is None else neg(applied(a_dot, x, trans))
        right = plus(b_dot, change)
        return x, None if right is None else solve()(*known, right, trans=trans)

    def transpose(ct: Any, inputs: Sequence[Any], *, trans: bool) -> Any:
        *known, _ = inputs
        if any(isinstance(x, Linear) for x in known):
            return not_linear(solve().primitive.name)(ct, inputs)
        return [*[None for _ in known], solve()(*known, ct, trans=not trans)]

    return jvp, transpose


_jvp_lu_solve, _transpose_lu_solve = _rules(lambda: lu_solve)

lu_solve: Operation = Operation(
    Primitive(
        "lu_solve",
        abstract_eval=_abstract_lu_solve,
        evaluate=_evaluate_lu_solve,
        jvp=_jvp_lu_solve,
        transpose=_transpose_lu_solve,
        batch=folded_batch(lambda: lu_solve, 3),
        lower=Kernel(
            code.emit_lu_solve, items=code.stack, cost=code.solve_cost, scratch=code.solve_scratch, interleaved=True
        ),
    )
)


# -- cholesky_solve -----------------------------------------------------------------------------------------------
# cholesky_solve(l, a, b) is x with op(a) x = b, where a = l l^H. As in ``lu_solve`` the derivatives with respect to l
# are those of a.
def _cholesky_solve(l: Any, a: Any, b: Any, *, trans: bool) -> Any:  # noqa: E741  # as in the literature
    if trans:  # the matrix is conj(a)
        l = conjugate(l)  # noqa: E741
    y = triangular_solve(l, b, lower=True, trans=False, unit=False)
    return triangular_solve(conjugate(l), y, lower=True, trans=True, unit=False)


cholesky_solve: Operation = composed(
    "cholesky_solve",
    _cholesky_solve,
    *_rules(lambda: cholesky_solve),
    batch=folded_batch(lambda: cholesky_solve, 2),
)


# row_order(pivots): the order of as many rows after these exchanges: that of ``lu``.
def _abstract_row_order(pivots: ArrayType) -> ArrayType:
    if pivots.dtype != INT32 or not pivots.ndim:
        raise DTypeError(f"row_order needs pivots of type int32, got {pivots}")
    return ArrayType(pivots.shape, INT64)


def _evaluate_row_order(pivots: Any) -> Any:
    pivots = np.asarray(pivots)
    return exchanged(pivots, pivots.shape[-1])


row_order: Operation = Operation(
    Primitive(
        "row_order",
        abstract_eval=_abstract_row_order,
        evaluate=_evaluate_row_order,
        jvp=lambda primals, tangents: (row_order(primals[0]), None),
        transpose=not_linear("row_order"),
        batch=batch_all(lambda: row_order.primitive),
        lower=Kernel(code.emit_row_order, items=lambda pivots: math.prod(pivots.shape[:-1])),
    )
)
