"""Mistakes with arrays inside of a traced function: the error says what is wrong, and shows the user's line.

Invariant: each row stands on one line, which its message names.
Start at ``WRONG``.
"""

from __future__ import annotations

import pickle
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.signal
import scipy.sparse
import scipy.sparse.linalg
import scipy.special

import staged_ad as sad
from staged_ad.errors import (
    ArgumentError,
    ConcretizationError,
    DTypeError,
    IndexingError,
    InvalidValueError,
    LinAlgError,
    OutOfRangeError,
    ShapeError,
    StagedADError,
    UnsupportedError,
)

LU = scipy.sparse.linalg.splu(scipy.sparse.eye(3, format="csc"))
X, A, K = np.array([1.0, 2.0, 3.0]), np.arange(6.0).reshape(2, 3), np.arange(3)

# the function, what it is applied to, the error and what it says
WRONG: list[tuple[Any, Any, type[StagedADError], str]] = [
    (lambda x: x.reshape(2, 2), X, ShapeError, r"cannot reshape array of size 3 into shape \(2, 2\)"),
    (lambda x: np.reshape(x, (-1, -1)), X, ShapeError, r"one unknown dimension, got the shape \(-1, -1\)"),
    (lambda x: pickle.dumps(x), X, ArgumentError, "cannot be pickled"),
    (lambda x: np.put_along_axis(x.copy(), A.astype(int), 1.0, 5), A, ShapeError, "axis 5 is out of bounds"),
    (lambda x: np.put_along_axis(x.copy(), K, 1.0, 0), A, ShapeError, "indices of 1 axes for an array of 2"),
    (lambda x: x.astype(int).fill(np.float64(-1e30)), X, DTypeError, "the number -1e.30 does not fit into int64"),
    (lambda x: x.astype(np.int8).fill(np.int64(300)), X, OutOfRangeError, "Python integer 300 out of bounds for int8"),
    (
        lambda x: x[0] * scipy.sparse.eye(3, format="csr") @ x,
        X,
        UnsupportedError,
        r"multiply .*: a \* \(S @ x\)",
    ),
    (lambda x: LU.solve(x), X, UnsupportedError, "takes NumPy arrays alone.*staged_ad.pure_callback"),
    (lambda x: np.sum(x[:1], where=X > 1), X, ShapeError, r"where= has shape \(3,\), the array \(1,\)"),
    (lambda x: x.sum(axis=1), X, ShapeError, "axis 1 is out of bounds for an array with 1 dim"),
    (lambda x: np.cumsum(x, axis=2), X, ShapeError, "axis 2 is out of bounds"),
    (lambda x: np.concatenate([x, x], axis=1), X, ShapeError, "axis 1 is out of bounds"),
    (lambda x: x.swapaxes(0, 2), A, ShapeError, "axis 2 is out of bounds"),
    (lambda x: x.sum(axis=(0, 0)), A, ShapeError, "duplicate"),
    (lambda x: x.sum(axis=0.5), X, ArgumentError, "an axis must be an integer, got float 0.5"),
    (lambda x: np.mean(x, axis="rows"), X, ArgumentError, "an axis must be an integer, got str 'rows'"),
    (lambda x: np.argmax(x, axis=1.0), A, ArgumentError, "an axis must be an integer, got float 1.0"),
    (lambda x: x.sum(axis=x[0]), X, ConcretizationError, r"only integer scalar arrays .*write int\(x\)"),
    (lambda x: x[:0].max(), X, ShapeError, r"zero-size .* np.max\(x, initial=...\)"),
    (lambda x: np.argmax(x[:0]), X, ShapeError, "argmax of an empty sequence"),
    (lambda x: x[5], X, IndexingError, "index 5 is out of bounds for axis 0 with size 3"),
    (lambda x: x[1.0], X, IndexingError, "only integers, slices.* got float 1.0"),
    (lambda x: x["a"], X, IndexingError, "only integers, slices.* got str 'a'"),
    (lambda x: x[0, 0], X, IndexingError, "too many indices"),
    (lambda x: x[x], X, IndexingError, "must be of integer"),
    (lambda x: A.T @ x, X, ShapeError, r"matmul: shapes \(3, 2\) and \(3,\) do not fit"),
    (lambda x: x.dot(x), A, ShapeError, r"dot: shapes \(2, 3\) and \(2, 3\) do not fit"),
    (lambda x: x @ 2.0, X, ShapeError, r"write \* instead"),
    (lambda x: np.tensordot(x, x, axes=1), A, ShapeError, "tensordot: shapes"),
    (lambda x: np.tensordot(x, x, axes=([0, -2], [0, 1])), A[:, :2], ShapeError, "tensordot: duplicate axes"),
    (lambda x: np.einsum("ij,jk->ik", x, x), A, ShapeError, "label 'j' has lengths 3 and 2"),
    (lambda x: np.einsum("ij,jk->ik", x), A, ShapeError, "2 operands in the subscripts, 1 given"),
    (lambda x: np.einsum("ijk->i", x), A, ShapeError, "operand 'ijk' has 2 dimensions"),
    (lambda x: np.einsum("ij->k", x), A, ShapeError, "output has a label that no operand has"),
    (lambda x: np.einsum("ij->ii", x), A, ShapeError, "the output names a label twice"),
    (lambda x: np.einsum("i*->i", x), A, ShapeError, r"invalid subscript '\*'"),
    (lambda x: np.einsum(x, "ij->i"), A, ArgumentError, "subscripts first"),
    (lambda x: np.concatenate([x, np.ones((2, 2, 2))]), A, ShapeError, r"different numbers of axes, f64\[2,3\]"),
    (lambda x: np.concatenate([x, np.ones((3, 2))]), A, ShapeError, r"along axis 0: .*differ along another one"),
    (lambda x: np.concatenate([x[0], x]), X, ShapeError, "np.stack for numbers"),
    (lambda x: np.concatenate(x, x), X, ArgumentError, r"np.concatenate\(\[x, y\]\)"),
    (lambda x: np.stack([x, x[:2]]), X, ShapeError, r"same shape, got \(3,\) \(2,\)"),
    (lambda x: np.array([x, x[:2]]), X, ArgumentError, r"different shapes \(3,\), \(2,\)"),
    (lambda x: x + np.ones(4), X, ShapeError, r"broadcast together with shapes \(3,\) \(4,\)"),
    (lambda x: np.where(x > 0, x, np.ones(4)), X, ShapeError, r"broadcast together with shapes \(3,\) \(3,\) \(4,\)"),
    (lambda x: np.broadcast_to(x, (3, 2)), X, ShapeError, r"cannot broadcast shape \(3,\) to \(3, 2\)"),
    (lambda x: x.copy().__setitem__(slice(2), x), X, ShapeError, r"from shape \(3,\) into shape \(2,\)"),
    (lambda x: np.linalg.solve(x, np.ones(2)), A, LinAlgError, r"must be square, the shape is \(2, 3\)"),
    (lambda x: np.linalg.det(x), A, LinAlgError, "must be square"),
    (lambda x: np.linalg.cholesky(x), X, LinAlgError, "at least two-dimensional"),
    (lambda x: np.linalg.lstsq(x, X)[0], A[None], LinAlgError, "^3-dimensional array given. Array must be two-dim"),
    (lambda x: np.linalg.matrix_rank(x, tol=1, rtol=1) * x, A, InvalidValueError, "`tol` and `rtol` can't be both"),
    (lambda x: np.sum(np.linalg.inv(0 * x @ x.T)), A, LinAlgError, "Singular matrix"),
    (lambda x: np.linalg.norm(x, "nuc"), X, InvalidValueError, "np.linalg.norm: Invalid norm order"),
    (lambda x: np.fft.fft(x, norm="foo"), X, InvalidValueError, "np.fft.fft: Invalid norm value foo"),
    (lambda x: scipy.special.gammainc(1j * x, x), X, DTypeError, "scipy.special.gammainc: ufunc 'gammainc' not supp"),
    (lambda x: scipy.special.kolmogorov(x), X, UnsupportedError, "^scipy.special.kolmogorov is not .*pure_callback"),
    (lambda x: x.transpose(0, 0), A, ShapeError, r"axes \(0, 0\) are not a permutation"),
    (lambda x: x.squeeze(0), A, ShapeError, r"axis=0 of shape \(2, 3\)"),
    (lambda x: np.expand_dims(x, (0, -3)), X, ShapeError, r"repeated axis in axis=\(0, -3\)"),
    (lambda x: np.moveaxis(x, [0, 1], [0]), A, ShapeError, "must have the same number of elements"),
    (lambda x: np.split(x, 2), X, ShapeError, "equal division: 3 by 2; write np.array_split"),
    (lambda x: np.repeat(x, [1, 2]), X, InvalidValueError, r"np.repeat: .*shape \(3,\) \(2,\)"),
    (lambda x: np.tile(x, -1), X, InvalidValueError, "non-negative"),
    (lambda x: np.pad(x, ((1, 1), (1, 1))), X, InvalidValueError, "np.pad: "),
    (lambda x: np.take(x, K, mode="foo"), X, InvalidValueError, "np.take: mode must be one of .*got 'foo'"),
    (lambda x: np.choose(K, [x, x, x], mode="foo"), X, InvalidValueError, "np.choose: mode must be one of"),
    (lambda x: np.put(x.copy(), K, x, mode="foo"), X, InvalidValueError, "np.put: mode must be one of"),
    (lambda x: np.place(x.copy(), x > 1, []), X, InvalidValueError, "np.place: Cannot insert from an empty array"),
    (lambda x: np.place(x.copy(), x[:2] > 1, [1.0]), X, ShapeError, "mask and data must be the same size"),
    (lambda x: np.multiply.at(x * 1j, [0, 0], 2), X, UnsupportedError, "^np.multiply.at of complex128.*fori_loop"),
    (lambda x: np.packbits(x > 1, bitorder="foo"), X, InvalidValueError, "bitorder must be either 'little' or 'big'"),
    (lambda x: np.round(x, 1.5), X, ArgumentError, "np.round: 'float' object cannot be interpreted as an integer"),
    (lambda x: np.vander(x, -1), X, ShapeError, "negative dimensions are not allowed, got N=-1"),
    (lambda x: np.geomspace(x, [1.0, 0.0, 2.0]), X, InvalidValueError, "Geometric sequence cannot include zero"),
    (lambda x: np.interp(x, X, X, period=0), X, InvalidValueError, "np.interp: period must be a non-zero value"),
    (lambda x: np.polyfit(x, x, -1), X, InvalidValueError, "np.polyfit: expected deg >= 0"),
    (lambda x: np.polyfit(x, x, 1, w=x[:2]), X, ArgumentError, r"vector of the length of y, got shape \(2,\)"),
    (lambda x: np.cov(x, fweights=[1, -2, 1]), A, InvalidValueError, "np.cov: fweights cannot be negative"),
    (lambda x: np.cov(x, fweights=[1, 1.5, 1]), A, ArgumentError, "np.cov: fweights must be integer"),
    (lambda x: np.cov(x, aweights=[1.0, 2.0]), A, ShapeError, r"np.cov: aweights of shape \(2,\) for 3 samples"),
    (lambda x: x.sum(banana=1), X, ArgumentError, "x.sum: .*unexpected keyword argument 'banana'"),
    (lambda x: x.astype("banana"), X, ArgumentError, "x.astype: .*'banana' not understood"),
    (lambda x: x.astype(object), X, DTypeError, "dtype object is not supported"),
    (lambda x: x + None, X, ArgumentError, "must be an array or a number, got NoneType None"),
    (lambda x: x + "a", X, ArgumentError, "must be an array or a number, got str 'a'"),
    (lambda x: x * np.sin, X, ArgumentError, "must be an array or a number, got ufunc"),
    (lambda x: float(x[0]), X, ConcretizationError, r"Leave the float\(\) away"),
    (lambda x: f"{x[0]:.3f}", X, ConcretizationError, "Print values outside"),
    (lambda x: x if x > 0 else -x, X, ShapeError, r"ambiguous. Use a.any\(\) or a.all\(\)"),
    (lambda x: {x: 1}, X, ArgumentError, "unhashable type: a traced array is no key of a dict"),
    (lambda x: lru_cache(lambda y: y)(x), X, ArgumentError, "functools.lru_cache"),
    (lambda x: list(x.sum()), X, ArgumentError, "iteration over a 0-d array"),
    (lambda x: len(x.sum()), X, ArgumentError, r"len\(\) of unsized object"),
    (lambda x: int(1j * x[0]), X, ArgumentError, r"write int\(z.real\)"),
    (lambda x: x << 1, X, DTypeError, "left_shift"),
    (lambda x: ~x, X, DTypeError, "invert"),
    (
        lambda x: x.astype("u1") + 300,
        X,
        OutOfRangeError,
        "Python integer 300 out of bounds for uint8; an array of a wider dtype",
    ),
    (lambda x: x.astype(int) ** -1, X, InvalidValueError, r"negative integer powers .*astype"),
    (lambda x: np.save("nowhere.npy", x), X, UnsupportedError, "np.save is not supported"),
    (lambda x: scipy.signal.lfilter(X, x, X), X, UnsupportedError, r"lfilter takes no .*np.convolve.*scan"),
    (lambda x: scipy.signal.lfilter([1.0], [1.0, 0.5], x), X, ConcretizationError, "lfilter asks .*np.convolve.*scan"),
    (lambda x: scipy.sparse.diags(x) @ X, X, UnsupportedError, r"diags takes no .*[^.]\. Write the .*np.diag\(d\)"),
    (lambda x: scipy.sparse.diags([x, x[1:]], [0, 1]) @ X, X, ConcretizationError, r"diags asks .*np.diag\(d\)"),
    (lambda x: scipy.sparse.csr_matrix(x), A, UnsupportedError, r"csr_matrix takes no .*np.add.at\(y, rows"),
    (lambda x: scipy.sparse.lil_array(x), A, UnsupportedError, r"lil_array takes no .*a dense matrix"),
    (lambda x: scipy.sparse.coo_array((x, (K, K))), X, ConcretizationError, r"coo_array asks .*np.add.at\(y, rows"),
    (lambda x: scipy.sparse.kron(x, scipy.sparse.coo_array(A)), A, UnsupportedError, r"kron takes no .*a dense matrix"),
]


@pytest.mark.parametrize(("f", "x", "error", "said"), WRONG, ids=range(len(WRONG)))
def test_mistakes_with_arrays_are_described_with_the_users_line(f: Any, x: Any, error: type[StagedADError], said: str):
    for derivative in (sad.grad, lambda f: sad.jit(sad.jacfwd(f))):
        with pytest.raises(error, match=said) as caught:
            derivative(f)(x)
        assert f"{__file__}:{f.__code__.co_firstlineno}" in str(caught.value)
        assert str(caught.value).count(__file__) == 1


OUTSIDE: list[Any] = [
    lambda x, k: x[k],
    lambda x, k: np.take(x, k),
    lambda x, k: x.at[k].set(1.0),
    lambda x, k: np.stack([x, x])[1, k],
    lambda x, k: sad.fori_loop(k, k + 1, lambda i, c: c + x[i], 0.0),
    lambda x, k: sad.map(lambda i: x[i], np.stack([0, k])),
]


@pytest.mark.parametrize("f", OUTSIDE, ids=range(len(OUTSIDE)))
@pytest.mark.parametrize("k", [3, 1000, -5])
def test_an_index_out_of_bounds_is_shown_where_it_is_written(f: Any, k: int):
    compiled, eager = sad.jit(f), sad.jacfwd(f)
    for run in (compiled, eager):
        with pytest.raises(IndexingError, match=f"index {k} is out of bounds for axis . with size 3") as caught:
            run(X, k)
        assert f"{__file__}:{f.__code__.co_firstlineno}" in str(caught.value)
        run(X, 1)


def test_what_users_functions_raise_is_not_disturbed_by_numpys_functions():
    def part(x: Any) -> Any:
        raise ValueError("mine")

    for call in (lambda x: np.piecewise(x, [x > 0], [part]), lambda x: np.apply_along_axis(part, 0, x)):
        with pytest.raises(ValueError, match=r"^mine$") as caught:
            sad.grad(call)(X)
        assert type(caught.value) is ValueError
        assert caught.value.__cause__ is None


def test_errors_of_scipy_and_of_functions_that_it_calls_stay_theirs():
    def part(y: Any) -> Any:
        raise ValueError("mine")

    for call, said in (
        (lambda x: scipy.optimize.minimize(part, [0.0]), "^mine$"),
        (lambda x: x * scipy.sparse.diags(X, [0, 1]).sum(), "^Different number of diagonals"),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            sad.grad(call)(X)
        assert type(caught.value) is ValueError


def test_the_product_written_by_hand_is_that_of_the_sparse_matrix():
    rows, columns = np.array([0, 2, 2]), np.array([1, 0, 1])

    def by_hand(entries: Any) -> Any:
        y = np.zeros(3)
        np.add.at(y, rows, entries * X[columns])
        return y

    def of_diagonals(d: Any) -> Any:
        y = d * X
        y[:-1] += d[1:] * X[1:]
        return y

    np.testing.assert_array_equal(sad.jit(by_hand)(X), scipy.sparse.coo_array((X, (rows, columns)), (3, 3)) @ X)
    np.testing.assert_array_equal(sad.jit(of_diagonals)(X), scipy.sparse.diags([X, X[1:]], [0, 1]) @ X)


@pytest.mark.filterwarnings("ignore:you are shuffling")
def test_rows_are_not_shuffled_by_assignments() -> None:
    def shuffled(x: Any) -> Any:
        y = x.copy()
        np.random.default_rng(0).shuffle(y)
        return y

    assert np.array_equal(sad.jit(shuffled)(X), shuffled(X))  # of numbers they do what is meant
    with pytest.raises(UnsupportedError, match=r"rng.shuffle of rows .*test_bad_arrays.*permutation"):
        sad.jit(shuffled)(np.arange(12.0).reshape(4, 3))
