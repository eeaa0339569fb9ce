"""scipy.linalg on traced values: ``from staged_ad.scipy import linalg`` instead of ``from scipy import linalg``.

Invariant: without a traced argument these are SciPy's functions themselves. Options that only save memory or checks
(``overwrite_a``, ``check_finite``, drivers of LAPACK) change nothing.
Start at ``solve``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from staged_ad.errors import ArgumentError, ShapeError, UnsupportedError
from staged_ad.ir.types import FLOAT16, FLOAT32
from staged_ad.numpy import linalg as numpy_linalg
from staged_ad.numpy.arrays import asarray, is_traced
from staged_ad.numpy.assignment import plain
from staged_ad.numpy.linalg import as_matrix, static_number, with_columns
from staged_ad.numpy.linalg_norms import norm as numpy_norm
from staged_ad.numpy.of_lists import taking_lists
from staged_ad.numpy.promotion import as_value, promote_dtypes, to_dtype, to_float
from staged_ad.numpy.shaping import broadcast_to, concatenate, flip, ravel, stack
from staged_ad.numpy.ufuncs import real
from staged_ad.primitives import linalg as parts
from staged_ad.primitives import linalg_functions as functions
from staged_ad.primitives import linalg_minors as minors
from staged_ad.primitives import linalg_solving as solving
from staged_ad.primitives import linalg_spectral as spectral
from staged_ad.primitives.arithmetic import ne
from staged_ad.primitives.linalg import permute_rows
from staged_ad.primitives.makers import add, typeof
from staged_ad.primitives.shaping import iota, pad, reshape, stop_gradient
from staged_ad.tracing import Tracer
from staged_ad.tracing.operations import OPERATIONS

BATCHED = np.lib.NumpyVersion(scipy.__version__) >= "1.17.0"
_OF_HALVES = {"norm", "block_diag", "toeplitz"}
"""Functions whose results are float16 if what they are given is."""
_OF_SHORT_INTEGERS = {
    "inv", "pinv", "lu", "lu_factor", "lu_solve", "qr", "svd", "svdvals", "eigh", "eigvalsh", "cholesky", "cho_factor",
    "cho_solve", "solve_triangular",
}  # fmt: skip
"""Functions that compute with integers of 16 bits and fewer in single precision."""
_DEFINITE = {"pos", "positive definite"}
_WITHOUT_MEANING = {"overwrite_a", "overwrite_b", "check_finite", "lwork", "lapack_driver", "driver"}


FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""All of this module, by the names in SciPy."""


def _in_single(x: Any, integers: bool) -> Any:
    """float16 as float32, as SciPy's functions take it, and short `integers`."""
    short = isinstance(x, Tracer) and (x.dtype == FLOAT16 or (integers and x.dtype.kind in "iub" and x.itemsize < 4))
    return to_dtype(x, FLOAT32) if short else x


def _as_in_scipy(f: Callable[..., Any]) -> Callable[..., Any]:
    """SciPy's own function for plain arrays, `f` for traced values, under SciPy's signature and documentation."""
    original = getattr(scipy.linalg, f.__name__)
    signature = inspect.signature(original)
    many = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())

    @functools.wraps(f)
    def function(*args: Any, **kwargs: Any) -> Any:
        if not is_traced(*args, *kwargs.values()):
            return original(*args, **kwargs)
        if not many:
            args, kwargs = (), signature.bind(*args, **kwargs).arguments
        options = {name: value for name, value in kwargs.items() if name not in _WITHOUT_MEANING}
        if f.__name__ not in _OF_HALVES:
            integers = f.__name__ in _OF_SHORT_INTEGERS
            args = tuple(_in_single(x, integers) for x in args)
            options = {name: _in_single(x, integers) for name, x in options.items()}
        return f(*args, **options)

    FUNCTIONS[f.__name__] = function
    return function


def _refused(name: str, reason: str) -> Callable[..., Any]:
    original = getattr(scipy.linalg, name)

    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        if not is_traced(*args, *kwargs.values()):
            return original(*args, **kwargs)
        raise UnsupportedError(f"scipy.linalg.{name} is not supported on traced values: {reason}")

    FUNCTIONS[name] = function
    return function


def _columns(name: str, solve: Callable[[Any], Any], a: Any, b: Any) -> Any:
    """`solve` of columns, for one vector or for columns; `a` is the matrix of the system."""
    shape = typeof(b).shape
    if shape and shape[-2:][0] != typeof(a).shape[-1]:
        raise ShapeError(f"{name}: shapes {typeof(a).shape} and {shape} do not fit")
    if len(shape) != 1:
        return solve(b)
    found = solve(reshape(b, shape=(*shape, 1)))
    return reshape(found, shape=typeof(found).shape[:-1])


# -- systems ------------------------------------------------------------------------------------------------------


@_as_in_scipy
def solve(a: Any, b: Any, lower: bool = False, *, assume_a: str | None = None, transposed: bool = False) -> Any:
    """x with ``a x = b``, or ``a^T x = b`` where `transposed`.

    With ``assume_a='pos'``, ``'sym'`` or ``'her'`` one triangle of the matrix is read, and it is symmetric or hermitian
    in derivatives. The method for ``'pos'`` is Cholesky's, for ``'sym'`` and ``'her'`` that for general matrices.
    """
    a, b = promote_dtypes(as_matrix(a, square=True), to_float(b))
    solve = _definite_columns if assume_a in _DEFINITE else numpy_linalg.solve_columns
    a = _structured(a, assume_a, lower)
    return _columns("solve", lambda columns: solve(a, columns, trans=transposed), a, b)


def _definite_columns(a: Any, b: Any, trans: bool = False) -> Any:
    """x with ``a x = b`` or ``a^T x = b`` for positive definite matrices."""
    factor = solving.cholesky(stop_gradient(a))
    return with_columns(lambda *values: solving.cholesky_solve(*values, trans=trans), (factor, a), b)


def _structured(a: Any, structure: str | None, lower: bool) -> Any:
    match structure:
        case None | "gen" | "general" | "banded":
            return a
        case "sym" | "symmetric":
            half = parts.tril(a, -1) if lower else parts.mtranspose(parts.triu(a, 1))
            return add(add(half, parts.mtranspose(half)), parts.masked(a, parts.on_diagonal(a)))
        case "pos" | "her" | "positive definite" | "hermitian":
            return parts.from_lower(a if lower else parts.ctranspose(a))
        case "lower triangular":
            return parts.tril(a)
        case "upper triangular":
            return parts.triu(a)
        case "diagonal":
            return parts.masked(a, parts.on_diagonal(a))
        case "tridiagonal":
            return parts.tril(parts.triu(a, -1), 1)
        case _:
            raise ArgumentError(f"assume_a={structure!r} is no structure of matrices that scipy.linalg knows")


@_as_in_scipy
def solve_triangular(a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False) -> Any:
    """x with ``a x = b`` for a triangular matrix, of which the other triangle is not read."""
    a, b = promote_dtypes(as_matrix(a, square=True), to_float(b))
    if not unit_diagonal:
        a = parts.require(a, ne(parts.diagonal(a), 0.0), error="singular")
    turned, a = _turned(trans, a)
    flags = bool(lower), turned, bool(unit_diagonal)
    return _columns("solve_triangular", lambda columns: _triangular(a, columns, *flags), a, b)


def _turned(trans: Any, a: Any) -> tuple[bool, Any]:
    """Whether a system is transposed, and its matrix, conjugated where it is the conjugate transpose that counts."""
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ValueError(f"trans must be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}")
    return trans not in (0, "N"), parts.conjugate(a) if trans in (2, "C") else a


def _triangular(a: Any, b: Any, lower: bool, trans: bool, unit: bool = False) -> Any:
    return with_columns(lambda *values: solving.triangular_solve(*values, lower=lower, trans=trans, unit=unit), (a,), b)


@_as_in_scipy
def inv(a: Any, *, assume_a: str | None = None, lower: bool = False) -> Any:
    """The inverse; with `assume_a` of what ``solve`` takes the matrix for."""
    a = _structured(as_matrix(a, square=True), assume_a, lower)
    if assume_a not in _DEFINITE:
        return numpy_linalg.inv(a)
    n = typeof(a).shape[-1]
    return _definite_columns(a, parts.identity_like(a, n, n))


@_as_in_scipy
def det(a: Any) -> Any:
    """The determinant, in double precision as in SciPy."""
    value = as_matrix(a, square=True)
    return numpy_linalg.det(to_dtype(value, np.dtype(complex if typeof(value).is_complex else float)))


@_as_in_scipy
def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: bool = False) -> Any:
    """The Moore-Penrose inverse of matrices of constant rank; `atol` must be left out."""
    if atol is not None or return_rank:
        raise UnsupportedError("pinv(atol=..., return_rank=True) is not supported on traced values")
    value = as_matrix(a)
    if rtol is None:
        rtol = max(typeof(value).shape[-2:]) * float(np.finfo(typeof(value).dtype).eps)
    return minors.pinv(value, rtol=static_number(rtol, "rtol"), hermitian=False)


# -- factorisations -----------------------------------------------------------------------------------------------


@_as_in_scipy
def cholesky(a: Any, lower: bool = False) -> Any:
    return numpy_linalg.cholesky(a, upper=not lower)


@_as_in_scipy
def cho_factor(a: Any, lower: bool = False) -> tuple[Any, bool]:
    """What ``cho_solve`` takes; the other triangle is zero."""
    return numpy_linalg.cholesky(a, upper=not lower), bool(lower)


@_as_in_scipy
def cho_solve(c_and_lower: Any, b: Any) -> Any:
    """x with ``a x = b`` where ``c c^H = a``, or ``c^H c = a`` where c is upper triangular."""
    c, lower = c_and_lower
    c, b = promote_dtypes(as_matrix(c, square=True), to_float(b))
    adjoint = parts.conjugate(c)

    def both(columns: Any) -> Any:
        first = _triangular(c if lower else adjoint, columns, bool(lower), not lower)
        return _triangular(adjoint if lower else c, first, bool(lower), bool(lower))

    return _columns("cho_solve", both, c, b)


@_as_in_scipy
def lu(a: Any, permute_l: bool = False, *, p_indices: bool = False) -> Any:
    """``(p, l, u)`` with ``a = p l u``, or ``(p l, u)``; with `p_indices` p is the order of the rows of l."""
    factors, _, order = solving.lu(as_matrix(a))
    m, n = typeof(factors).shape[-2:]
    k = min(m, n)
    unit = parts.identity_like(factors, m, k)
    lower = add(parts.tril(parts.part(factors, (0, m), (0, k)), -1), unit)
    upper = parts.triu(parts.part(factors, (0, k), (0, n)))
    if permute_l:
        return permute_rows(lower, order, inverse=True), upper
    if p_indices:
        shape = (*typeof(order).shape, 1)
        rows = iota(shape, np.dtype("int32"), len(shape) - 2, near=(order,))
        return reshape(permute_rows(rows, order, inverse=True), shape=typeof(order).shape), lower, upper
    return permute_rows(real(parts.identity_like(factors, m, m)), order, inverse=True), lower, upper


@_as_in_scipy
def lu_factor(a: Any) -> tuple[Any, Any]:
    """What ``lu_solve`` takes: both factors in one array, and the row that each row was swapped with."""
    factors, pivots, _ = solving.lu(as_matrix(a))
    return factors, pivots


@_as_in_scipy
def lu_solve(lu_and_piv: Any, b: Any, trans: int = 0) -> Any:
    factors, pivots = lu_and_piv
    factors, b = promote_dtypes(as_matrix(factors, square=True), to_float(b))
    order = solving.row_order(to_dtype(as_value(pivots), np.dtype("int32")))
    turned, factors = _turned(trans, factors)

    def both(columns: Any) -> Any:
        if turned:
            first = _triangular(factors, columns, lower=False, trans=True)
            second = _triangular(factors, first, lower=True, trans=True, unit=True)
            return _permuted(second, order, inverse=True)
        first = _triangular(factors, _permuted(columns, order, inverse=False), lower=True, trans=False, unit=True)
        return _triangular(factors, first, lower=False, trans=False)

    return _columns("lu_solve", both, factors, b)


def _permuted(x: Any, order: Any, inverse: bool) -> Any:
    """Rows in another order; the leading axes of the order are broadcast."""
    as_matrix_of = reshape(order, shape=(*typeof(order).shape, 1))

    def permute(matrix: Any, columns: Any) -> Any:
        return permute_rows(columns, reshape(matrix, shape=typeof(matrix).shape[:-1]), inverse=inverse)

    return with_columns(permute, (as_matrix_of,), x)


@_as_in_scipy
def qr(a: Any, *, mode: str = "full", pivoting: bool = False) -> Any:
    if pivoting or mode not in ("full", "r", "economic"):
        raise UnsupportedError(f"qr(mode={mode!r}, pivoting={pivoting}) is not supported on traced values")
    value = as_matrix(a)
    if mode == "r":
        m, n = typeof(value).shape[-2:]
        r = numpy_linalg.qr(value, mode="r")
        missing = m - min(m, n)
        ndim = typeof(r).ndim
        return (pad(r, low=(0,) * ndim, high=(*(0,) * (ndim - 2), missing, 0)),)
    q, r = numpy_linalg.qr(value, mode="complete" if mode == "full" else "reduced")
    return q, r


@_as_in_scipy
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    found = numpy_linalg.svd(a, full_matrices=full_matrices, compute_uv=compute_uv)
    return tuple(found) if compute_uv else found


@_as_in_scipy
def svdvals(a: Any) -> Any:
    return numpy_linalg.svdvals(a)


@_as_in_scipy
def eigh(a: Any, b: Any = None, *, lower: bool = True, eigvals_only: bool = False, **options: Any) -> Any:
    """Eigenvalues and vectors; the signs of vectors are those of np.linalg.eigh."""
    if b is not None:
        raise UnsupportedError(
            "eigh(b=...) is not supported on traced values; with c = cholesky(b) the problem is that of "
            "solve(c, solve(c, a).T)"
        )
    if given := [name for name, value in options.items() if value is not None and name != "type"]:
        raise UnsupportedError(
            f"eigh({given[0]}=...) is not supported on traced values; take those of all: w[:k], v[:, :k]"
        )
    found = spectral.eigh(as_matrix(a, square=True), vectors=not eigvals_only, lower=bool(lower))
    return found[0] if eigvals_only else tuple(found)


@_as_in_scipy
def eigvalsh(a: Any, b: Any = None, *, lower: bool = True, **options: Any) -> Any:
    return eigh(a, b, lower=lower, eigvals_only=True, **options)


# -- functions, special matrices ----------------------------------------------------------------------------------


@_as_in_scipy
def expm(A: Any) -> Any:  # SciPy's name
    """The exponential of matrices; of every order of derivative it is the exponential of a block matrix."""
    return functions.exponential(as_matrix(A, square=True))


@_as_in_scipy
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return numpy_norm(a, ord, axis, keepdims)


@_as_in_scipy
def block_diag(*arrs: Any) -> Any:
    """The matrices along a diagonal; vectors count as rows."""
    blocks = promote_dtypes(*arrs)
    blocks = [reshape(b, shape=(1,) * (2 - typeof(b).ndim) + typeof(b).shape) for b in blocks]
    if any(typeof(b).ndim > 2 for b in blocks):
        raise UnsupportedError("block_diag of stacks is not supported on traced values; write vmap")
    width, before = sum(typeof(b).shape[1] for b in blocks), 0
    rows = []
    for block in blocks:
        n = typeof(block).shape[1]
        rows.append(pad(block, low=(0, before), high=(0, width - before - n)))
        before += n
    return concatenate(rows, axis=0)


@_as_in_scipy
def toeplitz(c: Any, r: Any = None) -> Any:
    """The matrix with first column c and first row r, which is the conjugate of c if it is not given."""
    column, row = map(plain, promote_dtypes(*[_rows(x) for x in (c, asarray(c).conj() if r is None else r)]))
    m, n = column.shape[-1], row.shape[-1]
    lead = np.broadcast_shapes(column.shape[:-1], row.shape[:-1])
    if 0 in lead:
        raise ShapeError("toeplitz: there are no rows to make matrices of")
    if not m:
        return np.zeros((*lead, 0, n), column.dtype)
    column, row = plain(broadcast_to(column, (*lead, m))), plain(broadcast_to(row, (*lead, n)))
    values = concatenate([flip(column, -1), row[..., 1:]], -1)
    return stack([values[..., m - 1 - i : m - 1 - i + n] for i in range(m)], -2)


def _rows(x: Any) -> Any:
    """SciPy 1.17 makes a matrix of each row, those before it one of all elements."""
    value = asarray(x)
    return as_value(value if value.ndim > 1 and BATCHED else ravel(value))


sqrtm = _refused("sqrtm", "for symmetric matrices write (v * np.sqrt(w)) @ v.T with w, v = np.linalg.eigh(a)")
logm = _refused("logm", "for symmetric matrices write (v * np.log(w)) @ v.T with w, v = np.linalg.eigh(a)")
null_space = _refused("null_space", "the shape of the result depends on the rank; use np.linalg.svd")
orth = _refused("orth", "the shape of the result depends on the rank; use np.linalg.qr or svd")
schur = _refused("schur", "use np.linalg.eigh for symmetric matrices")

OPERATIONS.stand_in(scipy.linalg, {name: taking_lists(f) for name, f in FUNCTIONS.items()})
