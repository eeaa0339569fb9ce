"""np.linalg: systems, inverses, determinants, factorisations, eigenvalues.

Invariant: signatures, dtypes, named tuples and errors are NumPy's. Where values coincide derivatives are right or
DegenerateError is raised: docs/linalg.md. Norms and the rest of the namespace are in linalg_norms.py.
Start at ``solve``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, LinAlgError, UnsupportedError
from staged_ad.ir.types import FLOAT16, INT64
from staged_ad.numpy.multiplying import dot
from staged_ad.numpy.multiplying import matmul as stacked_matmul
from staged_ad.numpy.promotion import as_value, common_shape, promote_dtypes, to_float, to_shape
from staged_ad.numpy.reducing import max as maximum_of
from staged_ad.numpy.reducing import square_of_modulus
from staged_ad.numpy.reducing import sum as sum_of
from staged_ad.numpy.ufuncs import UFUNCS, absolute, multiply
from staged_ad.primitives import linalg as parts
from staged_ad.primitives import linalg_eig as nonsymmetric
from staged_ad.primitives import linalg_minors as minors
from staged_ad.primitives import linalg_orthogonal as orthogonal
from staged_ad.primitives import linalg_solving as solving
from staged_ad.primitives import linalg_spectral as spectral
from staged_ad.primitives.arithmetic import eq, gt
from staged_ad.primitives.linalg import permute_rows
from staged_ad.primitives.makers import mul, typeof
from staged_ad.primitives.shaping import cast, reshape, stop_gradient, transpose
from staged_ad.tracing import Tracer

sign = UFUNCS[np.sign]

_SAMPLE = np.eye(1)
EigResult, EighResult = type(np.linalg.eig(_SAMPLE)), type(np.linalg.eigh(_SAMPLE))
SVDResult = type(np.linalg.svd(_SAMPLE))
SlogdetResult, QRResult = type(np.linalg.slogdet(_SAMPLE)), type(np.linalg.qr(_SAMPLE))


def as_matrix(a: Any, square: bool = False, half: bool = False) -> Any:
    """`a` as a stack of floating-point matrices, real or complex, and if `half` also of float16.

    Raises LinAlgError where it is none.
    """
    value = to_float(a) if half else _not_half(to_float(a))
    shape = typeof(value).shape
    if len(shape) < 2:
        raise LinAlgError(f"{len(shape)}-dimensional array given. Array must be at least two-dimensional")
    if square and shape[-1] != shape[-2]:
        raise LinAlgError(f"Last 2 dimensions of the array must be square, the shape is {shape}")
    return value


def _not_half(value: Any) -> Any:
    """`value`, which must not be of float16. Raises DTypeError, as NumPy does a TypeError."""
    if typeof(value).dtype == FLOAT16:
        raise DTypeError("array type float16 is unsupported in linalg; write a.astype(np.float32)")
    return value


# -- systems ------------------------------------------------------------------------------------------------------


def solve(a: Any, b: Any) -> Any:
    """x with ``a x = b``; b is one vector where it is 1-d, else a stack of matrices (NumPy 2)."""
    a, b = promote_dtypes(as_matrix(a, square=True), _not_half(to_float(b)))
    vector = typeof(b).ndim == 1
    if vector:
        b = reshape(b, shape=(*typeof(b).shape, 1))
    if typeof(b).ndim == 0 or typeof(b).shape[-2] != typeof(a).shape[-1]:
        raise LinAlgError(f"solve: shapes {typeof(a).shape} and {typeof(b).shape[: 1 if vector else None]} do not fit")
    x = solve_columns(a, b)
    return reshape(x, shape=typeof(x).shape[:-1]) if vector else x


def solve_columns(a: Any, b: Any, trans: bool = False) -> Any:
    """x with ``a x = b`` or ``a^T x = b``, for stacks of matrices whose leading axes are broadcast."""
    factors, order = minors.factored(a)
    return with_columns(lambda *values: solving.lu_solve(*values, trans=trans), (factors, order, a), b)


def with_columns(solve: Callable[..., Any], factors: Sequence[Any], b: Any) -> Any:
    """``solve(*factors, b)`` with leading axes broadcast; right-hand sides of one matrix become its columns."""
    matrix = typeof(factors[-1])
    lead, columns = matrix.shape[:-2], typeof(b).shape
    if lead == columns[:-2]:
        return solve(*factors, b)
    if not lead:
        n, k, stack = columns[-2], columns[-1], len(columns) - 2
        flat = reshape(
            transpose(b, permutation=(stack, *range(stack), stack + 1)), shape=(n, typeof(b).size // n if n else 0)
        )
        x = reshape(solve(*factors, flat), shape=(n, *columns[:-2], k))
        return transpose(x, permutation=(*range(1, stack + 1), 0, stack + 1))
    common = common_shape([matrix.with_shape(lead), matrix.with_shape(columns[:-2])])
    spread = [to_shape(x, (*common, *typeof(x).shape[len(lead) :])) for x in factors]
    return solve(*spread, to_shape(b, (*common, *columns[-2:])))


def inv(a: Any) -> Any:
    return minors.inverse(as_matrix(a, square=True))


def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    """The Moore-Penrose inverse. Its derivative is for matrices of constant rank."""
    value = as_matrix(a)
    *batch, m, n = typeof(value).shape
    if m * n == 0:  # of the dtype of `a`, also if that is an integer one
        return np.zeros((*batch, n, m), typeof(as_value(a)).dtype)
    if rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else rtol
    elif rtol is not np._NoValue:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    if rcond is None:
        rcond = max(typeof(value).shape[-2:]) * np.finfo(typeof(value).dtype).eps
    return minors.pinv(value, rtol=static_number(rcond, "rcond"), hermitian=bool(hermitian))


def static_number(x: Any, name: str) -> float:
    """A tolerance: a number known while tracing."""
    if isinstance(x, Tracer) or np.ndim(x):
        raise UnsupportedError(f"{name} must be one number that is known while tracing")
    return float(x)


def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    a, b = as_value(a), as_value(b)
    ndim = typeof(a).ndim
    if axes is not None:
        moved = [int(k) % ndim for k in axes]
        a = transpose(a, permutation=(*(k for k in range(ndim) if k not in moved), *moved))
    rest = typeof(a).shape[typeof(b).ndim :]
    size = int(np.prod(rest, dtype=int))
    if size != typeof(b).size or typeof(a).size != size * size:
        raise LinAlgError("Input arrays must satisfy the requirement prod(a.shape[b.ndim:]) == prod(a.shape[:b.ndim])")
    return reshape(solve(reshape(a, shape=(size, size)), reshape(b, shape=(size,))), shape=rest)


def tensorinv(a: Any, ind: int = 2) -> Any:
    if ind <= 0:
        raise ValueError("Invalid ind argument.")
    value = as_value(a)
    shape = typeof(value).shape
    rows = int(np.prod(shape[:ind], dtype=int))
    columns = int(np.prod(shape[ind:], dtype=int))
    return reshape(inv(reshape(value, shape=(rows, columns))), shape=(*shape[ind:], *shape[:ind]))


def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Any, Any, Any, Any]:
    """The solution of least norm of least squares, the sums of squared residuals, the rank, the singular values.

    As in NumPy there are no sums where a has not more rows than columns, or not full rank. The latter is read while
    tracing, as by an ``if``; where it has no single value, as in vmap, full rank is taken for granted.
    """
    a, b = promote_dtypes(as_matrix(a), _not_half(to_float(b)))
    for operand, ndims in ((a, (2,)), (b, (1, 2))):
        if typeof(operand).ndim not in ndims:
            ndim = typeof(operand).ndim
            raise LinAlgError(f"{ndim}-dimensional array given. Array must be two-dimensional")
    (m, n), vector = typeof(a).shape, typeof(b).ndim == 1
    if typeof(b).shape[0] != m:
        raise LinAlgError("Incompatible dimensions")
    b = reshape(b, shape=(m, 1)) if vector else b
    rtol = np.finfo(typeof(a).dtype).eps * (max(m, n) if rcond is None else 1)
    if rcond is not None and static_number(rcond, "rcond") >= 0:
        rtol = static_number(rcond, "rcond")
    s = spectral.svd(stop_gradient(a), vectors=True, full=False)[1]  # those that pinv finds
    large = gt(s, to_shape(mul(float(rtol), maximum_of(s, keepdims=True)), typeof(s).shape)) if min(m, n) else s
    rank = sum_of(cast(large, dtype=np.dtype("int32"), weak=False), dtype=np.int32)
    x = stacked_matmul(minors.pinv(a, rtol=float(rtol), hermitian=False), b)
    residuals = sum_of(square_of_modulus(b - stacked_matmul(a, x)), axis=0)
    if m <= n or _is_deficient(rank, n):
        residuals = np.zeros(0, typeof(a).real.dtype)
    return (reshape(x, shape=(n,)) if vector else x), residuals, rank, svdvals(a)


def _is_deficient(rank: Any, n: int) -> bool:
    if not isinstance(rank, Tracer):
        return int(as_value(rank).value) < n
    return bool(rank.owner.concretize(rank < n, bool))


# -- determinants -------------------------------------------------------------------------------------------------


def det(a: Any) -> Any:
    """The determinant; first and second derivatives are right for singular matrices too."""
    return minors.det(as_matrix(a, square=True))


def slogdet(a: Any) -> Any:
    """The sign, of complex matrices the phase, and the logarithm of the modulus of the determinant."""
    value = as_matrix(a, square=True)
    factors, pivots, order = solving.lu(stop_gradient(value))
    if typeof(value).is_complex:
        sign = minors.det_phase(factors, pivots, order, value)
    else:
        sign = minors.det_sign(factors, pivots)
    return SlogdetResult(sign, minors.log_abs_det(factors, order, value))


# -- factorisations -----------------------------------------------------------------------------------------------


def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """The Cholesky factor. One triangle is read, and the matrix is hermitian in derivatives."""
    value = as_matrix(a, square=True)
    if not upper:
        return solving.cholesky(value)
    return parts.ctranspose(solving.cholesky(parts.ctranspose(value)))


def qr(a: Any, mode: str = "reduced") -> Any:
    if mode not in ("reduced", "complete", "r"):
        raise UnsupportedError(f"np.linalg.qr(mode={mode!r}) is not supported on traced values")
    q, r = orthogonal.qr(as_matrix(a), complete=mode == "complete")
    return r if mode == "r" else QRResult(q, r)


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    value = as_matrix(a)
    if hermitian:
        return _hermitian_svd(value, compute_uv)
    if not compute_uv:
        return spectral.svd(value, vectors=False, full=False)[0]
    m, n = typeof(value).shape[-2:]
    return SVDResult(*spectral.svd(value, vectors=True, full=bool(full_matrices) and m != n))


def _hermitian_svd(a: Any, vectors: bool) -> Any:
    """From the eigenvalues, in descending order of their moduli."""
    found = spectral.eigh(a, vectors=vectors, lower=True)
    sizes = absolute(found[0])
    rank = descending_rank(sizes)
    s = _reordered(sizes, rank)
    if not vectors:
        return s
    w, v = found
    u = parts.mtranspose(permute_rows(parts.mtranspose(v), rank, inverse=True))
    signs = parts.as_rows(_reordered(sign(w), rank), typeof(a).shape[-1])
    return SVDResult(u, s, parts.ctranspose(multiply(u, signs)))


def _reordered(x: Any, rank: Any) -> Any:
    """Vectors with element i moved to place rank[i]."""
    shape = typeof(x).shape
    return reshape(permute_rows(reshape(x, shape=(*shape, 1)), rank, inverse=True), shape=shape)


def descending_rank(x: Any) -> Any:
    """The place of each element in descending order; of equal ones the last comes first, as in NumPy."""
    shape = typeof(x).shape
    n = shape[-1]
    mine, other = parts.as_columns(x, n), parts.as_rows(x, n)
    later = parts.triu(cast(eq(mine, other), dtype=INT64, weak=False), 1)
    greater = cast(gt(other, mine), dtype=INT64, weak=False)
    return sum_of(greater + later, axis=-1)


def svdvals(x: Any, /) -> Any:
    return svd(x, compute_uv=False)


def eigh(a: Any, UPLO: str = "L") -> Any:  # NumPy's name
    """Eigenvalues and vectors. One triangle is read, and the matrix is hermitian in derivatives."""
    value, lower = as_matrix(a, square=True), _is_lower(UPLO)
    return EighResult(*spectral.eigh(value, vectors=True, lower=lower))


def eigvalsh(a: Any, UPLO: str = "L") -> Any:  # NumPy's name
    return spectral.eigh(as_matrix(a, square=True), vectors=False, lower=_is_lower(UPLO))[0]


def eig(a: Any) -> Any:
    """Eigenvalues and vectors of square matrices, complex whatever they are.

    NumPy gives real arrays where all eigenvalues are real. Traced code cannot know that: take ``.real``.
    """
    return EigResult(*nonsymmetric.eig(as_matrix(a, square=True), vectors=True))


def eigvals(a: Any) -> Any:
    """Eigenvalues of square matrices, complex as those of ``eig``."""
    return nonsymmetric.eig(as_matrix(a, square=True), vectors=False)[0]


def _is_lower(uplo: str) -> bool:
    if uplo.upper() not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return uplo.upper() == "L"


# -- products -----------------------------------------------------------------------------------------------------


def matrix_power(a: Any, n: int) -> Any:
    """Products by repeated squaring; of the inverse, where n is negative."""
    value = as_value(a)
    if not isinstance(n, int | np.integer):
        raise TypeError("exponent must be an integer")
    shape = typeof(as_matrix(value, square=True, half=True)).shape
    if n < 0:
        value, n = inv(value), -n
    if n == 0:
        return to_shape(as_value(np.eye(shape[-1], dtype=typeof(value).dtype)), shape)
    result = None
    while n:
        if n & 1:
            result = value if result is None else stacked_matmul(result, value)
        n >>= 1
        if n:
            value = stacked_matmul(value, value)
    return result


def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """A product of several matrices in the cheapest order; the first and the last may be vectors."""
    if out is not None:
        raise UnsupportedError("np.linalg.multi_dot(..., out=...) is not supported on traced values")
    values = [as_value(x) for x in arrays]
    if len(values) < 2:
        raise ValueError("Expecting at least two arrays.")
    row, column = typeof(values[0]).ndim == 1, typeof(values[-1]).ndim == 1
    if row:
        values[0] = reshape(values[0], shape=(1, typeof(values[0]).size))
    if column:
        values[-1] = reshape(values[-1], shape=(typeof(values[-1]).size, 1))
    if any(typeof(v).ndim != 2 for v in values):
        raise LinAlgError("multi_dot: all arrays but the first and the last must be matrices")
    product = _chain(tuple(values))
    kept = tuple(k for k, vector in zip(typeof(product).shape, (row, column), strict=True) if not vector)
    return reshape(product, shape=kept)


def _chain(values: tuple[Any, ...]) -> Any:
    """The product with the least number of multiplications (Cormen et al., section 15.2)."""
    sizes = [typeof(values[0]).shape[0], *(typeof(v).shape[1] for v in values)]

    @functools.cache
    def best(i: int, j: int) -> tuple[int, int]:
        """The cost of the product of matrices i to j, and where to cut it."""
        if i == j:
            return 0, i
        return min((best(i, k)[0] + best(k + 1, j)[0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j))

    def product(i: int, j: int) -> Any:
        if i == j:
            return values[i]
        k = best(i, j)[1]
        return dot(product(i, k), product(k + 1, j))

    return product(0, len(values) - 1)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    getattr(np.linalg, f.__name__): f
    for f in (
        solve,
        inv,
        pinv,
        tensorsolve,
        tensorinv,
        lstsq,
        det,
        slogdet,
        cholesky,
        qr,
        svd,
        svdvals,
        eig,
        eigvals,
        eigh,
        eigvalsh,
        matrix_power,
        multi_dot,
    )
}
"""Functions of np.linalg that work on traced values."""
