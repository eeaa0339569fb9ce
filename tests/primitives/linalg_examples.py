"""Example rows of the primitives of linear algebra.

Invariant: matrices are well conditioned, values do not coincide; small matrices and larger ones, which take different
code, stacks, matrices of one element and empty ones are among the rows.
Start at ``LINALG``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.linalg

from tests.primitives.row import Row, generator

SQUARE = ((2, 3, 3), (10, 10), (1, 1), (0, 0))
RECTANGULAR = ((3, 4), (2, 3, 2), (3, 0))
STACK = SQUARE[0]
ONE_OF_EACH = (STACK, *RECTANGULAR, (0, 0))
"""For what is LAPACK's work whatever the size is."""
DIFFERENTIABLE = 50
"""Elements up to which rows are compared with finite differences; larger ones show that sizes do not matter.

Of rows that have one rule one is `smooth`, the others are about values: each is many compiled programs.
"""


def matrix(name: str, shape: tuple[int, ...], dtype: str = "float64") -> Any:
    """Well conditioned, with singular values apart."""
    rng = generator(f"{name}{shape}")
    x = rng.uniform(-1, 1, shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.uniform(-1, 1, shape)
    spread = np.diag(np.arange(3.0, 3.0 + 2 * max(shape[-2:]), 2.0))[: shape[-2], : shape[-1]]
    return (x + spread).astype(dtype)


def symmetric(x: Any) -> Any:
    """The symmetric or hermitian part of matrices."""
    return (x + np.conj(np.swapaxes(x, -1, -2))) / 2 if np.ndim(x) > 1 else x


def multiples(x: Any) -> Any:
    """Multiples of a matrix are as regular as it is; permutations stay what they are."""
    x = np.asarray(x)
    return np.stack([x, x * 2, x * 3]) if x.dtype.kind in "fc" else np.stack([x] * 3)


def vectorised(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` of each matrix of a stack, by a loop."""

    def apply(*stacks: Any, **params: Any) -> Any:
        lead = stacks[0].shape[:-2]
        if 0 in stacks[-1].shape:
            return np.zeros_like(stacks[-1])
        results = [f(*(x[index] for x in stacks), **params) for index in np.ndindex(*lead)]
        return np.reshape(results, (*lead, *np.shape(results[0])))

    return apply


def rows(
    primitive: str,
    label: str,
    arguments: tuple[Any, ...],
    expected: Callable[..., Any],
    linear: tuple[tuple[int, ...], ...] = (),
    smooth: bool = True,
    direction: Callable[[Any], Any] = lambda x: x,
    **params: Any,
) -> Iterator[Row]:
    suffix = "-".join(f"{value}" for value in params.values() if not isinstance(value, str))
    size = max(np.size(x) for x in arguments)
    yield Row(
        primitive,
        f"{label}-{suffix}",
        arguments,
        expected,
        params,
        smooth and 0 < size <= DIFFERENTIABLE,
        linear,
        direction=direction,
        stack=multiples,
    )


@vectorised
def _triangular(a: Any, b: Any, *, lower: bool, trans: bool, unit: bool) -> Any:
    return scipy.linalg.solve_triangular(a, b, lower=lower, trans=int(trans), unit_diagonal=unit)


@vectorised
def _lu(a: Any) -> Any:
    return scipy.linalg.lu_factor(a)[0]


@vectorised
def _pivots(a: Any) -> Any:
    return scipy.linalg.lu_factor(a)[1]


def _order(a: Any) -> Any:
    permutation = scipy.linalg.lu(a, p_indices=True)[0] if a.size else np.zeros(a.shape[:-1])
    return np.argsort(permutation, axis=-1).astype(np.int64)


def _factored(a: Any) -> list[Any]:
    if not a.size:
        return [
            a,
            np.zeros((*a.shape[:-2], min(a.shape[-2:])), np.int32),
            np.broadcast_to(np.arange(a.shape[-2]), a.shape[:-1]),
        ]
    return [_lu(a), _pivots(a).astype(np.int32), _order(a)]


def _solved(lu: Any, order: Any, a: Any, b: Any, *, trans: bool) -> Any:
    return np.linalg.solve(np.swapaxes(a, -1, -2) if trans else a, b)


def _of_definite(factor: Any, a: Any, b: Any, *, trans: bool) -> Any:
    return np.linalg.solve(np.swapaxes(a, -1, -2) if trans else a, b)


def _systems() -> Iterator[Row]:
    ways = ((True, False, False), (False, True, False), (True, True, True), (False, False, True))
    for shape in SQUARE:
        a, label = matrix("solve", shape), str(list(shape))
        b = generator(f"right{shape}").uniform(-1, 1, (*shape[:-1], 2))
        for lower, trans, unit in ways if shape == STACK else ways[:1]:
            params = {"lower": lower, "trans": trans, "unit": unit}
            scaled = a / 10 if unit else a  # the diagonal is not read then
            smooth = not (lower and trans)
            yield from rows("triangular_solve", label, (scaled, b), _triangular, ((1,),), smooth=smooth, **params)
        lu, _, order = _factored(a)
        for trans in (False, True) if shape == STACK else (False,):
            yield from rows("lu_solve", label, (lu, order, a, b), _solved, ((3,),), smooth=False, trans=trans)
        yield from rows("lu", label, (a,), _factored)
        spd = symmetric(a) + shape[-1] * np.eye(shape[-1])
        yield from rows("cholesky", label, (spd,), np.linalg.cholesky, direction=symmetric)
        factor = np.linalg.cholesky(spd)
        yield from rows(
            "cholesky_solve", label, (factor, spd, b), _of_definite, ((2,),), smooth=False, trans=shape == STACK
        )
    for shape in RECTANGULAR:
        yield from rows("lu", str(list(shape)), (matrix("lu", shape),), _factored)
    a, b = matrix("solve", (3, 3), "float32"), np.ones((3, 2), np.float32)
    yield from rows("triangular_solve", "f32", (a, b), _triangular, ((1,),), lower=True, trans=False, unit=False)
    yield from rows("lu", "f32", (matrix("lu", (10, 10), "float32"),), _factored)
    yield from rows("cholesky", "f32", (symmetric(matrix("spd", (10, 10), "float32")),), np.linalg.cholesky)


def _permuted(x: Any, order: Any, *, inverse: bool) -> Any:
    return np.take_along_axis(x, (np.argsort(order) if inverse else order)[..., None], axis=-2)


def _checks() -> Iterator[Row]:
    x = matrix("require", (2, 3))
    yield from rows("require", "all", (x, np.array([True, True])), lambda x, ok, error: x, ((0,),), error="singular")
    yield from rows(
        "require", "none", (np.float64(2.0), np.zeros(0, bool)), lambda x, ok, error: x, ((0,),), error="gap"
    )
    for shape in ((4, 3), (2, 3, 1), (0, 2), (3, 0)):
        order = np.argsort(generator("order").random(shape[:-1]))
        for inverse in (False, True):
            yield from rows(
                "permute_rows", str(list(shape)), (matrix("rows", shape), order), _permuted, ((0,),), inverse=inverse
            )


def _qr(a: Any, *, complete: bool) -> list[Any]:
    return list(np.linalg.qr(a, "complete" if complete else "reduced"))


def _eigh(a: Any, *, vectors: bool, lower: bool) -> list[Any]:
    uplo = "L" if lower else "U"
    return list(np.linalg.eigh(a, uplo)) if vectors else [np.linalg.eigvalsh(a, uplo)]


def _eig(a: Any, *, vectors: bool) -> list[Any]:
    found = list(np.linalg.eig(a)) if vectors else [np.linalg.eigvals(a)]
    return [x.astype(np.result_type(x, np.complex64)) for x in found]


def _svd(a: Any, *, vectors: bool, full: bool) -> list[Any]:
    return list(np.linalg.svd(a, full_matrices=full)) if vectors else [np.linalg.svd(a, compute_uv=False)]


def _factorisations() -> Iterator[Row]:
    for shape in ONE_OF_EACH:
        a, label = matrix("factors", shape), str(list(shape))
        yield from rows("qr", label, (a,), _qr, complete=False)
        yield from rows("svd", label, (a,), _svd, smooth=shape in RECTANGULAR, vectors=True, full=False)
    a = matrix("factors", (3, 4))
    yield from rows("qr", "[3, 4]", (a,), _qr, smooth=False, complete=True)
    yield from rows("svd", "[3, 4]", (a,), _svd, smooth=False, vectors=False, full=False)
    for shape in (STACK, (0, 0)):
        a, label = matrix("eigh", shape), str(list(shape))
        for vectors, lower in ((True, True), (True, False), (False, True))[: 3 if shape == STACK else 1]:
            params = {"vectors": vectors, "lower": lower}
            yield from rows("eigh", label, (symmetric(a),), _eigh, smooth=lower, direction=symmetric, **params)
        for vectors in (True, False):
            yield from rows("eig", label, (a,), _eig, smooth=vectors, vectors=vectors)
    for name, f in (("qr", _qr), ("svd", _svd), ("eigh", _eigh)):
        params = {"qr": {"complete": False}, "svd": {"vectors": True, "full": False}}.get(
            name, {"vectors": True, "lower": True}
        )
        a = symmetric(matrix(name, (4, 4), "float32"))
        yield from rows(name, "f32", (a,), f, direction=symmetric if name == "eigh" else lambda x: x, **params)


def _pinv(a: Any, *, rtol: float, hermitian: bool) -> Any:
    return np.linalg.pinv(a, rcond=rtol, hermitian=hermitian)


def _cofactor(a: Any) -> Any:
    minors = [
        [np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) * (-1) ** (i + j) for j in range(len(a))]
        for i in range(len(a))
    ]
    return np.array(minors).reshape(a.shape)


def _gap_quotient(x: Any, w: Any, *, skew: bool, total: bool) -> Any:
    d = w[None, :] + w[:, None] if total else w[None, :] - w[:, None] + np.eye(len(w))
    part = (x - x.conj().T if skew else x + x.conj().T) / 2
    return part / d * (1 if total else 1 - np.eye(len(w)))


def _compositions() -> Iterator[Row]:
    for shape in SQUARE:
        a, label = matrix("det", shape), str(list(shape))
        yield from rows("det", label, (a,), np.linalg.det)
    a = symmetric(matrix("det", STACK))
    yield from rows("pinv", str(list(STACK)), (a,), _pinv, direction=symmetric, rtol=1e-15, hermitian=True)
    for shape in ONE_OF_EACH:
        smooth = shape in RECTANGULAR
        yield from rows(
            "pinv", str(list(shape)), (matrix("pinv", shape),), _pinv, (), smooth, rtol=1e-15, hermitian=False
        )
    yield from rows("cofactor", "4", (matrix("cofactor", (4, 4)),), _cofactor)
    a, x, w = matrix("tangent", (4, 4)), matrix("moved", (4, 4)), np.array([1.0, 2.0, 4.0, 5.0])
    expected = lambda a, x: _directional(_cofactor, a, x)
    yield from rows("cofactor_tangent", "4", (a, x), expected, ((1,),), smooth=False)
    for skew, total in ((False, False), (True, False), (True, True)):
        yield from rows("gap_quotient", "4", (x, w), _gap_quotient, ((0,),), smooth=not skew, skew=skew, total=total)
    yield from rows("column_quotient", "4", (x, w), lambda x, s: x / s, ((0,),))
    yield from rows("grouped", "4", (x, w), lambda x, w, **params: x, ((0,),), check=True, zeros=0)


def _directional(f: Callable[[Any], Any], x: Any, direction: Any) -> Any:
    """The derivative of a polynomial of degree 3, exactly: by four values on a line."""
    return (8 * (f(x + direction) - f(x - direction)) - (f(x + 2 * direction) - f(x - 2 * direction))) / 12


def _row_order(pivots: Any) -> Any:
    order = np.arange(len(pivots))
    for k, pivot in enumerate(pivots):
        order[[k, pivot]] = order[[pivot, k]]
    return order


def _functions() -> Iterator[Row]:
    for shape in SQUARE:
        a, smooth = matrix("expm", shape) / 4, shape == STACK
        yield from rows("expm", str(list(shape)), (a,), lambda a: scipy.linalg.expm(a) if a.size else a, smooth=smooth)
    a, e = matrix("expm", (3, 3)) / 4, matrix("moved", (3, 3))
    yield from rows("frechet", "3", (a, e), lambda a, e: scipy.linalg.expm_frechet(a, e)[1], ((1,),), False)
    for pivots in ([2, 2, 2], [0], []):
        yield from rows("row_order", str(pivots), (np.array(pivots, np.int32),), _row_order)


def _difference_quotient(x: Any, w: Any) -> Any:
    d = w[None, :] - w[:, None]
    return x / np.where(np.eye(len(w)), np.max(np.abs(w)), d)


def _complex() -> Iterator[Row]:
    """Phases of the vectors of eigh, svd and eig are no functions of the matrix: their derivatives, and what else is
    made of others, are in tests/numpy/test_linalg_complex.py.
    """
    for dtype in ("complex128", "complex64"):
        a, b = matrix("complex", (3, 3), dtype), matrix("right", (3, 2), dtype)
        params = {"lower": True, "trans": True, "unit": False}
        yield from rows("triangular_solve", dtype, (a, b), _triangular, ((1,),), False, **params)
        lu, _, order = _factored(a)
        yield from rows("lu_solve", dtype, (lu, order, a, b), _solved, ((3,),), False, trans=dtype == "complex128")
        yield from rows("lu", dtype, (a,), _factored)
        spd = symmetric(a) + 3 * np.eye(3, dtype=dtype)
        yield from rows("cholesky", dtype, (spd,), np.linalg.cholesky, direction=symmetric)
        factor, trans = np.linalg.cholesky(spd), dtype == "complex128"
        yield from rows("cholesky_solve", dtype, (factor, spd, b), _of_definite, ((2,),), False, trans=trans)
        yield from rows("qr", dtype, (a,), _qr, complete=False)
        yield from rows("svd", dtype, (a,), _svd, (), False, vectors=True, full=False)
        yield from rows("eigh", dtype, (symmetric(a),), _eigh, (), False, vectors=True, lower=True)
        yield from rows("eig", dtype, (a,), _eig, (), False, vectors=True)
    a, x, w = matrix("one", (3, 3), "complex128"), matrix("moved", (3, 3), "complex128"), np.array([1.0, 2.0, 4.0])
    yield from rows("pinv", "complex", (a[:2],), _pinv, (), False, rtol=1e-15, hermitian=False)
    expected = lambda a, x: _directional(_cofactor, a, x)
    yield from rows("cofactor_tangent", "complex", (a, x), expected, ((1,),), False)
    for skew in (False, True):
        yield from rows("gap_quotient", "complex", (x, w), _gap_quotient, ((0,),), False, skew=skew, total=skew)
    yield from rows("column_quotient", "complex", (x, w), lambda x, s: x / s, ((0,),), False)
    yield from rows("grouped", "complex", (x, w), lambda x, w, **_: x, ((0,),), False, check=True, zeros=0)
    yield from rows("difference_quotient", "complex", (x, w + 1j), _difference_quotient, ((0,),), False)
    yield from rows("require", "complex", (x, np.array([True])), lambda x, ok, error: x, ((0,),), False, error="gap")
    order = np.array([2, 0, 1])
    yield from rows("permute_rows", "complex", (x, order), _permuted, ((0,),), False, inverse=True)


LINALG: list[Row] = [
    *_systems(),
    *_checks(),
    *_factorisations(),
    *_compositions(),
    *_functions(),
    *_complex(),
]
