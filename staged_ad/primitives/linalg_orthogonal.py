"""qr: an orthonormal and a triangular factor.

The derivative follows S. Walter and L. Lehmann, "Algorithmic differentiation of linear algebra functions with
application in optimum experimental design" (2010).

Invariant: signs are LAPACK's, in derivatives too.
Start at ``qr``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.errors import NotDifferentiableError
from staged_ad.ir import ArrayType, Primitive
from staged_ad.ir.lowerings import Kernel
from staged_ad.ir.primitive import not_linear
from staged_ad.primitives.arithmetic import add, gt, sub
from staged_ad.primitives.linalg import (
    batch_all,
    ctranspose,
    diagonal,
    masked,
    matmul,
    matrices,
    on_diagonal,
    part,
    require,
    size_of,
    skew_part,
    tril,
)
from staged_ad.primitives.linalg_code import cube_cost, stack
from staged_ad.primitives.linalg_lapack import emit_qr, qr_scratch
from staged_ad.primitives.linalg_solving import right_divide
from staged_ad.primitives.makers import Operation, mul, typeof
from staged_ad.primitives.reductions import reduce_max
from staged_ad.primitives.shaping import broadcast, concatenate


# qr(a) -> (q, r), reduced: q is (m, k), r is (k, n) with k = min(m, n); with `complete` q is (m, m) and r (m, n).
def _abstract_qr(a: ArrayType, *, complete: bool) -> list[ArrayType]:
    matrices("qr", a)
    *lead, m, n = a.shape
    k = m if complete else min(m, n)
    return [ArrayType((*lead, m, k), a.dtype), ArrayType((*lead, k, n), a.dtype)]


def _evaluate_qr(a: Any, *, complete: bool) -> list[Any]:
    return list(np.linalg.qr(a, mode="complete" if complete else "reduced"))


def _jvp_qr(primals: Sequence[Any], tangents: Sequence[Any], *, complete: bool) -> tuple[list[Any], list[Any]]:
    """With ``c = a_dot r^-1`` and ``s = q^H c``: ``q_dot = q o + (c - q s)`` and ``r_dot = (s - o) r``.

    ``o`` is the skew matrix with the part of s below the diagonal, and the imaginary part on it: LAPACK's r has a real
    diagonal. Of a wide matrix the square part decides.
    """
    (a_dot,) = tangents
    m, n = typeof(a_dot).shape[-2:]
    if complete and m > n:
        raise NotDifferentiableError(
            "the last columns of q in np.linalg.qr(mode='complete') of a tall matrix are any basis of the complement, "
            "and have no derivative; use mode='reduced'"
        )
    q, r = qr(primals[0], complete=complete)
    k = min(m, n)
    square = of_full_rank(part(r, (0, k), (0, k)), max(m, n))
    c = right_divide(part(a_dot, (0, m), (0, k)), square)
    s = matmul(ctranspose(q), c)
    low = tril(s, -1)
    o = sub(low, ctranspose(low))
    if typeof(s).is_complex:
        o = add(o, masked(skew_part(s), on_diagonal(s)))
    q_dot = matmul(q, o)
    if m > n:
        q_dot = add(q_dot, sub(c, matmul(q, s)))
    r_dot = matmul(sub(s, o), square)
    if n > m:
        beside = sub(matmul(ctranspose(q), part(a_dot, (0, m), (m, n))), matmul(o, part(r, (0, m), (m, n))))
        r_dot = concatenate(r_dot, beside, axis=typeof(r).ndim - 1)
    return [q, r], [q_dot, r_dot]


def of_full_rank(r: Any, size: int) -> Any:
    """`r`, triangular, whose diagonal must not vanish."""
    if 0 in typeof(r).shape:
        return r
    sizes = size_of(diagonal(r))
    shape = typeof(sizes).shape
    least = size * float(np.finfo(typeof(sizes).dtype).eps)
    largest = broadcast(reduce_max(sizes, axes=(len(shape) - 1,)), shape=shape, dims=tuple(range(len(shape) - 1)))
    return require(r, gt(sizes, mul(least, largest)), error="rank")


qr: Operation = Operation(
    Primitive(
        "qr",
        abstract_eval=_abstract_qr,
        evaluate=_evaluate_qr,
        jvp=_jvp_qr,
        transpose=not_linear("qr"),
        batch=batch_all(lambda: qr.primitive),
        lower=Kernel(emit_qr, items=stack, scratch=qr_scratch, cost=cube_cost(2), interleaved=True),
        multiple_results=True,
    )
)
