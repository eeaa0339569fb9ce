"""expm: the exponential of matrices, with its derivatives of every order.

Invariant: derivatives are the exponential of a block matrix, so they are as accurate as the value.
Start at ``expm``, the primitive for real matrices; ``exponential`` takes complex ones too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.ir import ArrayType, Linear, Primitive, filled
from staged_ad.ir.lowerings import Kernel
from staged_ad.ir.primitive import not_linear
from staged_ad.primitives.arithmetic import abs_, div, gt, neg
from staged_ad.primitives.complexes import complex_, imag, real
from staged_ad.primitives.linalg import batch_all, composed, matrices, mtranspose, part, spread
from staged_ad.primitives.linalg_code import cube_cost, stack
from staged_ad.primitives.linalg_exponential import emit_expm, expm_scratch
from staged_ad.primitives.makers import Operation, check_kind, mul, plus, select, typeof, zeros
from staged_ad.primitives.reductions import reduce_max
from staged_ad.primitives.shaping import concatenate
from staged_ad.tracing.libraries import scipy_linalg


def _abstract_expm(a: ArrayType) -> ArrayType:
    check_kind("expm", a.dtype, "f")
    return matrices("expm", a, square=True).strong()


def _evaluate_expm(a: Any) -> Any:
    return scipy_linalg.expm(a) if np.size(a) else np.array(a)


def _jvp_expm(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    return expm(primals[0]), frechet(primals[0], tangents[0])


def exponential(a: Any) -> Any:
    """expm of real or complex matrices: ``x + iy`` acts on the two parts of vectors as ``[[x, -y], [y, x]]``."""
    if not typeof(a).is_complex:
        return expm(a)
    x, y = real(a), imag(a)
    last, n = typeof(a).ndim - 1, typeof(a).shape[-1]
    rows = [concatenate(x, neg(y), axis=last), concatenate(y, x, axis=last)]
    whole = expm(concatenate(*rows, axis=last - 1))
    return complex_(part(whole, (0, n), (0, n)), part(whole, (n, 2 * n), (0, n)))


expm: Operation = Operation(
    Primitive(
        "expm",
        abstract_eval=_abstract_expm,
        evaluate=_evaluate_expm,
        jvp=_jvp_expm,
        transpose=not_linear("expm"),
        batch=batch_all(lambda: expm.primitive),
        lower=Kernel(emit_expm, items=stack, scratch=expm_scratch, cost=cube_cost(20)),
    )
)


# frechet(a, e): the derivative of expm at a along e, which stands in the upper right corner of expm([[a, e], [0, a]])
# (R. Mathias, "A chain rule for matrix functions and applications", 1996). Linear in e; its transpose is
# frechet(a^T, ct). The derivative of the corner is the corner of the derivative, so the rule is closed.
def blocks(a: Any, e: Any, below: Any) -> Any:
    """``[[a, e], [below, a]]``."""
    last = typeof(a).ndim - 1
    return concatenate(concatenate(a, e, axis=last), concatenate(below, a, axis=last), axis=last - 1)


def corner(x: Any) -> Any:
    n = typeof(x).shape[-1] // 2
    return part(x, (0, n), (n, 2 * n))


def _frechet(a: Any, e: Any) -> Any:
    """A direction of any length is made one of length 1: the scaling in expm is for the norm of the whole."""
    shape = typeof(e).shape
    if 0 in shape:
        return e
    size = reduce_max(abs_(e), axes=(len(shape) - 2, len(shape) - 1))
    length = spread(select(gt(size, 0.0), size, filled(1, typeof(size))), shape)
    return mul(corner(expm(blocks(a, div(e, length), zeros(typeof(e).strong())))), length)


def _jvp_frechet(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (a, e), (a_dot, e_dot) = primals, tangents
    y_dot = None if e_dot is None else frechet(a, e_dot)
    if a_dot is not None:
        nothing = zeros(typeof(a).strong())
        y_dot = plus(y_dot, corner(frechet(blocks(a, e, nothing), blocks(a_dot, nothing, nothing))))
    return frechet(a, e), y_dot


def _transpose_frechet(ct: Any, inputs: Sequence[Any]) -> Any:
    a = inputs[0]
    if isinstance(a, Linear):
        return not_linear("frechet")(ct, inputs)
    return [None, frechet(mtranspose(a), ct)]


frechet: Operation = composed("frechet", _frechet, _jvp_frechet, _transpose_frechet)
