"""What the rules of linear algebra are made of: products and parts of stacks of matrices, and checks on the way.

Invariant: matrices are the last two axes; operands of one function have equal leading axes.
Start at ``composed``, a primitive that is a composition with rules of its own, and ``require``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from staged_ad.errors import (
    DegenerateError,
    DTypeError,
    IntegerDivisionError,
    InvalidValueError,
    LinAlgError,
    OutOfRangeError,
    ShapeError,
    StagedADError,
    ZeroWeightsError,
)
from staged_ad.ir import ArrayType, Primitive, Program, evaluate
from staged_ad.ir.lowerings import Inlined, Kernel
from staged_ad.primitives.arithmetic import abs_, add, and_, eq, ge, le, sub
from staged_ad.primitives.complexes import complex_, conj, imag, modulus, real
from staged_ad.primitives.linalg_code import emit_permute, emit_require
from staged_ad.primitives.makers import Operation, mul, select, typeof, with_batch, zeros
from staged_ad.primitives.products import dot_general
from staged_ad.primitives.reductions import reduce_sum
from staged_ad.primitives.shaping import broadcast, cast, iota, slice_, transpose
from staged_ad.tracing import building
from staged_ad.tracing.trace import bind

ERRORS: dict[str, tuple[type[StagedADError], str]] = {
    "singular": (LinAlgError, "Singular matrix"),
    "definite": (
        LinAlgError,
        "Matrix is not positive definite (no `except` in a traced function sees this; ask before, as by `if "
        "np.linalg.eigvalsh(a)[0] <= 0`)",
    ),
    "eigenvalues": (LinAlgError, "Eigenvalues did not converge"),
    "infinite": (LinAlgError, "Array must not contain infs or NaNs"),
    "svd": (LinAlgError, "SVD did not converge"),
    "rank": (
        DegenerateError,
        "the derivative of qr needs a matrix of full rank: its columns are linearly dependent",
    ),
    "gap": (
        DegenerateError,
        "a derivative depends on the gap between eigenvalues or singular values that coincide, so it does not exist "
        "or cannot be found from the vectors; see docs/linalg.md. Use what does not depend on the vectors inside an "
        "eigenspace (eigvalsh, svdvals, det, solve, pinv, expm), or perturb the matrix",
    ),
    "defective": (
        DegenerateError,
        "the derivative of eig and eigvals needs a basis of eigenvectors, and those of this matrix are linearly "
        "dependent; see docs/linalg.md",
    ),
    "range": (OutOfRangeError, "Python integer out of bounds for the integers that it meets; write x.astype(int)"),
    "overflow": (
        OutOfRangeError,
        "a Python integer that is computed here does not fit into int64; write float(n) in its place, or pass n as a "
        "static argument: jit(f, static_argnums=...)",
    ),
    "zero": (IntegerDivisionError, "integer division or modulo by zero"),
    "nan": (InvalidValueError, "All-NaN slice encountered"),
    "flat": (InvalidValueError, "np.unravel_index: an index is negative, or out of bounds for an array of that shape"),
    "coordinates": (
        InvalidValueError,
        "np.ravel_multi_index: invalid entry in coordinates array; mode='wrap' and mode='clip' take them",
    ),
    "choice": (
        InvalidValueError,
        "np.choose: invalid entry in choice array; mode='wrap' and mode='clip' take them",
    ),
    "quantiles": (InvalidValueError, "Quantiles must be in the range [0, 1], percentiles in [0, 100]"),
    "weights": (ZeroWeightsError, "Weights sum to zero, can't be normalized"),
}
"""What ``require`` and the factorisations raise, by the names that stand in programs."""


def failure(name: str) -> StagedADError:
    make, message = ERRORS[name]
    return make(message)


def matrices(name: str, type: ArrayType, square: bool = False) -> ArrayType:
    """Checks that a type is one of matrices."""
    if type.dtype.kind not in "fc":
        raise DTypeError(f"{name} needs floating-point matrices, got {type.dtype}")
    if type.ndim < 2:
        raise ShapeError(f"{name}: {type.ndim}-dimensional array given. Array must be at least two-dimensional")
    if square and type.shape[-1] != type.shape[-2]:
        raise ShapeError(f"{name}: last 2 dimensions of the array must be square, the shape is {type.shape}")
    return type


def batch_all(primitive: Callable[[], Primitive]) -> Callable[..., Any]:
    """A batch is one more leading axis of every operand."""

    def batch(size: int, values: Sequence[Any], batched: Sequence[bool], **params: Any) -> tuple[Any, Any]:
        operation = primitive()
        result = bind(operation, *[with_batch(size, v, b) for v, b in zip(values, batched, strict=True)], **params)
        return result, [True] * len(result) if operation.multiple_results else True

    return batch


# -- compositions -------------------------------------------------------------------------------------------------


def conjugate(x: Any) -> Any:
    return conj(x) if typeof(x).is_complex else x


def with_real(operation: Callable[[Any, Any], Any], x: Any, w: Any) -> Any:
    """``operation(x, w)``, linear in x, for real w; x may be complex."""
    if typeof(x).is_complex and not typeof(w).is_complex:
        return complex_(operation(real(x), w), operation(imag(x), w))
    return operation(x, w)


def real_part(x: Any) -> Any:
    return real(x) if typeof(x).is_complex else x


def size_of(x: Any) -> Any:
    return modulus(x) if typeof(x).is_complex else abs_(x)


def ctranspose(x: Any) -> Any:
    """The conjugate transpose of each matrix."""
    return conjugate(mtranspose(x))


def mtranspose(x: Any) -> Any:
    ndim = typeof(x).ndim
    return transpose(x, permutation=(*range(ndim - 2), ndim - 1, ndim - 2))


def matmul(a: Any, b: Any) -> Any:
    ndim = typeof(a).ndim
    axes = tuple(range(ndim - 2))
    return dot_general(a, b, contract=((ndim - 1,), (ndim - 2,)), batch=(axes, axes))


def _indices(x: Any) -> list[Any]:
    """The row and the column of each element."""
    shape = typeof(x).shape
    return [iota(shape, np.int64, axis, near=(x,)) for axis in (len(shape) - 2, len(shape) - 1)]


def masked(x: Any, mask: Any) -> Any:
    return select(mask, x, zeros(typeof(x).strong()))


def tril(x: Any, k: int = 0) -> Any:
    """On and below diagonal `k`."""
    row, column = _indices(x)
    return masked(x, ge(add(row, k) if k else row, column))


def triu(x: Any, k: int = 0) -> Any:
    row, column = _indices(x)
    return masked(x, le(add(row, k) if k else row, column))


def on_diagonal(x: Any) -> Any:
    """The mask of the diagonal of the matrices of `x`."""
    row, column = _indices(x)
    return eq(row, column)


def identity_like(x: Any, rows: int, columns: int) -> Any:
    """Identity matrices of the dtype and leading axes of `x`."""
    type = typeof(x)
    shape = (*type.shape[:-2], rows, columns)
    row, column = (iota(shape, np.int64, type.ndim - k, near=(x,)) for k in (2, 1))
    return cast(eq(row, column), dtype=type.dtype, weak=False)


def diagonal(x: Any) -> Any:
    return reduce_sum(masked(x, on_diagonal(x)), axes=(typeof(x).ndim - 1,))


def as_rows(w: Any, count: int) -> Any:
    """Vectors repeated: element j of w in column j of each of `count` rows."""
    shape = typeof(w).shape
    return broadcast(w, shape=(*shape[:-1], count, shape[-1]), dims=(*range(len(shape) - 1), len(shape)))


def as_columns(w: Any, count: int) -> Any:
    """Vectors repeated: element i of w in row i of each of `count` columns."""
    shape = typeof(w).shape
    return broadcast(w, shape=(*shape, count), dims=tuple(range(len(shape))))


def spread(x: Any, shape: tuple[int, ...]) -> Any:
    """One number for each matrix, repeated over the matrix."""
    return broadcast(x, shape=shape, dims=tuple(range(typeof(x).ndim)))


def hermitian_part(x: Any) -> Any:
    return mul(0.5, add(x, ctranspose(x)))


def from_lower(x: Any) -> Any:
    """The hermitian matrix of which `x` has the lower triangle."""
    half, diagonal = tril(x, -1), masked(x, on_diagonal(x))
    return add(add(half, ctranspose(half)), hermitian_part(diagonal) if typeof(x).is_complex else diagonal)


def skew_part(x: Any) -> Any:
    return mul(0.5, sub(x, ctranspose(x)))


def part(x: Any, rows: tuple[int, int], columns: tuple[int, int]) -> Any:
    """Some rows and columns of each matrix."""
    lead = typeof(x).shape[:-2]
    zero = (0,) * len(lead)
    return slice_(
        x,
        start=(*zero, rows[0], columns[0]),
        stop=(*lead, rows[1], columns[1]),
        step=(1,) * typeof(x).ndim,
    )


def all_of(*conditions: Any) -> Any:
    result = conditions[0]
    for condition in conditions[1:]:
        result = and_(result, condition)
    return result


# -- primitives ---------------------------------------------------------------------------------------------------


def composed(
    name: str,
    f: Callable[..., Any],
    jvp: Callable[..., Any],
    transpose: Callable[..., Any],
    batch: Callable[..., Any] | None = None,
) -> Operation:
    """A primitive whose meaning is the composition `f`, with a jvp and a transpose of its own."""

    @lru_cache(maxsize=256)
    def program(types: tuple[ArrayType, ...], params: tuple[tuple[str, Any], ...]) -> Program:
        with building() as trace:
            result: Program = trace.finish([f(*trace.add_inputs(types), **dict(params))], name)[0]
        return result

    def program_of(types: Sequence[ArrayType], params: Any) -> Program:
        return program(tuple(t.strong() for t in types), tuple(sorted(params.items())))

    def run(*arrays: Any, **params: Any) -> Any:
        return evaluate(program_of([typeof(x) for x in arrays], params), *arrays)[0]

    operation = Operation(
        Primitive(
            name,
            abstract_eval=lambda *types, **params: program_of(types, params).outputs[0].type,
            evaluate=run,
            jvp=jvp,
            transpose=transpose,
            batch=batch or batch_all(lambda: operation.primitive),
            lower=Inlined(lambda equation: program_of([atom.type for atom in equation.inputs], equation.params)),
        )
    )
    return operation


# require(x, ok): x, where every element of ok holds; else the error of that name is raised. Linear in x.
def _evaluate_require(x: Any, ok: Any, *, error: str) -> Any:
    if not np.all(ok):
        raise failure(error)
    return x


def _batch_require(size: int, values: Sequence[Any], batched: Sequence[bool], **params: Any) -> tuple[Any, bool]:
    return require(*values, **params), batched[0]


require: Operation = Operation(
    Primitive(
        "require",
        abstract_eval=lambda x, ok, *, error: x,
        evaluate=_evaluate_require,
        jvp=lambda primals, tangents, **params: (require(*primals, **params), tangents[0]),
        transpose=lambda ct, inputs, **params: [ct, None],
        batch=_batch_require,
        lower=Kernel(
            lambda kernel, *, error: emit_require(kernel, *ERRORS[error]),
            interleaved=True,
            fails=lambda **params: True,
        ),
    )
)


# permute_rows(x, p): row i of the result is row p[i] of x; with `inverse`, row p[i] of the result is row i of x.
def _abstract_permute(x: ArrayType, p: ArrayType, *, inverse: bool) -> ArrayType:
    if p.shape != x.shape[:-1]:
        raise ShapeError(f"permute_rows: rows of {x} cannot be permuted by {p}")
    return x


def _evaluate_permute(x: Any, p: Any, *, inverse: bool) -> Any:
    order = np.argsort(p, axis=-1) if inverse else p
    return np.take_along_axis(np.asarray(x), np.asarray(order)[..., None], axis=-2)


def _jvp_permute(primals: Sequence[Any], tangents: Sequence[Any], *, inverse: bool) -> tuple[Any, Any]:
    x, p = primals
    return permute_rows(x, p, inverse=inverse), permute_rows(tangents[0], p, inverse=inverse)


def _transpose_permute(ct: Any, inputs: Sequence[Any], *, inverse: bool) -> list[Any]:
    return [permute_rows(ct, inputs[1], inverse=not inverse), None]


permute_rows: Operation = Operation(
    Primitive(
        "permute_rows",
        abstract_eval=_abstract_permute,
        evaluate=_evaluate_permute,
        jvp=_jvp_permute,
        transpose=_transpose_permute,
        batch=batch_all(lambda: permute_rows.primitive),
        lower=Kernel(emit_permute, items=lambda x, p, *, inverse: p.size, interleaved=True),
    )
)
