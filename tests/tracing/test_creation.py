"""Arrays that NumPy makes inside of a traced function can hold traced values, and share memory as NumPy's do.

Start anywhere: each test stands alone.
"""

from __future__ import annotations

import copy
import functools
import importlib
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.special

import staged_ad as sad
from staged_ad.errors import ArgumentError, ConcretizationError, MutationError, ShapeError, UnsupportedError

# -- arrays that NumPy makes --------------------------------------------------------------------------------------


def test_arrays_made_inside_hold_traced_values():
    def f(x: Any) -> Any:
        a, b, c, d = np.zeros(3), np.ones((2, 2)), np.empty(2), np.full(2, 4.0)
        e, g, h = np.eye(2), np.array([1.0, 2.0]), np.zeros_like(np.arange(3.0))
        a[1], b[0], c[:], d[1], e[0, 1], g[0], h[2] = x[0], x, x * 2, x[1], x[0], x[1], x[0] * x[1]
        return [a, b, c, d, e, g, h]

    x = np.array([3.0, 5.0])
    for found, expected in zip(sad.jit(f)(x), f(x), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype


def test_names_that_an_installed_module_has_imported_stand_for_ours_too(tmp_path: Any, monkeypatch: Any):
    installed = tmp_path / "site-packages"
    (installed / "halving").mkdir(parents=True)
    (installed / "halving" / "__init__.py").write_text("from halving.core import halved\n")
    (installed / "halving" / "core.py").write_text(
        "from numpy import zeros\n\ndef halved(x):\n    y = zeros(2)\n    y[0] = x[0] / 2\n    return y\n"
    )
    monkeypatch.syspath_prepend(installed)
    module = importlib.import_module("halving")
    zeros = sys.modules["halving.core"].zeros
    names = {"halving": module, "halved": module.halved, "__name__": "a_module_of_the_user"}
    for text in ("lambda x: halving.halved(x)", "lambda x: halved(x)"):
        np.testing.assert_array_equal(sad.jacobian(eval(text, names))(np.ones(2)), [[0.5, 0], [0, 0]])
    assert sys.modules["halving.core"].zeros is zeros


def test_nested_lists_of_traced_values_are_arrays():
    def f(x: Any) -> Any:
        return np.array([[x[0], 1.0], [0.0, x[1]]]) @ np.asarray([x[1], 2]) + np.array(x)

    x = np.array([3.0, 5.0])
    np.testing.assert_array_equal(sad.jit(f)(x), f(x))
    np.testing.assert_array_equal(sad.jacobian(f)(x), [[6.0, 3.0], [0.0, 3.0]])


def test_constants_made_inside_are_known_to_python():
    def f(x: Any) -> Any:
        sizes = np.zeros(2, dtype=int)
        sizes[0] = 3
        table = np.array([2.0, 4.0])
        table[1] += 1
        if table[1] > 4 and sizes[0] == 3:
            return x * np.ones(sizes[0]) * float(table[1]) * len(range(sizes[0])) + [1, 2, 3][sizes[1]]
        return x

    np.testing.assert_array_equal(sad.jit(f)(2.0), f(2.0))
    np.testing.assert_array_equal(sad.vmap(f)(np.ones(2)), np.full((2, 3), 16.0))


def test_numpy_is_left_as_it_was():
    before = np.zeros, np.array
    sad.grad(lambda x: np.zeros(1)[0] + x)(1.0)
    with pytest.raises(ZeroDivisionError):
        sad.grad(lambda x: x / (1 // 0))(1.0)
    assert (np.zeros, np.array) == before
    assert type(np.zeros(2)) is np.ndarray


def test_libraries_called_inside_get_arrays_of_numpy():
    def f(x: Any) -> Any:
        nodes, weights = np.polynomial.legendre.leggauss(5)
        assert type(nodes) is np.ndarray
        return np.sum(weights * np.exp(x * nodes))

    np.testing.assert_allclose(sad.grad(f)(0.0), 0.0, atol=1e-15)


def test_arrays_are_made_however_numpy_is_called():
    def f(x: Any) -> Any:
        rng = np.random.default_rng(7)  # compiled code, which makes arrays of its own
        make = np.zeros
        a, b = make(2), np.zeros(3) + rng.normal(size=3)
        a[1], b[0] = x, x
        rows = list(map(np.array, [[x, 1.0], [2.0, x]]))
        c = np.array(
            [
                x,
                a[1],
            ]
        ).sum()
        return a[1] * b[0] + c + sum(np.full(2, 1.0)[0] * row[0] for row in rows)

    assert sad.jit(f)(2.0) == f(2.0) == 12.0
    assert sad.grad(f)(2.0) == 7.0


def test_functions_of_scipy_take_traced_arrays():
    def f(a: Any, b: Any) -> Any:
        factor = scipy.linalg.cho_factor(a @ a.T + 3 * np.eye(2))
        return scipy.special.logsumexp(scipy.linalg.cho_solve(factor, b)) + np.sum(scipy.special.softmax(b) ** 2)

    a, b = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([1.0, 3.0])
    np.testing.assert_allclose(sad.jit(f)(a, b), f(a, b), rtol=1e-14)
    np.testing.assert_allclose(
        np.sum(sad.grad(f)(a, b)), np.sum([f(a + h, b) - f(a - h, b) for h in (1e-6,)]) / 2e-6, rtol=1e-7
    )
    assert not isinstance(scipy.linalg.solve(np.eye(2), b), sad.tracing.Tracer)


def test_dtypes_without_programs_stay_numpys():
    def f(x: Any) -> Any:
        names = np.array(["a", "b"])
        parts = np.empty(2, dtype=object)
        parts[0], parts[1] = x, names[1]
        return parts[0] * 2.0

    assert sad.grad(f)(1.0) == 2.0


def test_arrays_without_axes_are_written_to_and_numbers_are_not():
    def add_to(total: Any, value: Any) -> None:
        total += value

    def f(x: Any) -> Any:
        total, number = np.zeros(()), x[0]
        for value in x:
            add_to(total, value)
            add_to(number, value)
        other = total
        other *= 2.0
        return total + number

    x = np.arange(1.0, 5.0)
    assert sad.jit(f)(x) == f(x) == 21.0
    np.testing.assert_array_equal(sad.grad(f)(x), [3.0, 2.0, 2.0, 2.0])


ALIASES: list[Any] = [
    lambda y: +y,
    lambda y: np.asarray(y, copy=True),
    lambda y: np.array(y),
    lambda y: np.asarray(y),
    lambda y: y.astype(float, copy=False),
    lambda y: np.array(y, copy=None),
    lambda y: np.tile(y, (2, 1)),
    lambda y: np.repeat(y[None], 2, 0),
    lambda y: np.meshgrid(y, y)[0],
    lambda y: np.positive(y),
    lambda y: y.reshape(2, 2),
]


@pytest.mark.parametrize("alias", ALIASES, ids=range(len(ALIASES)))
def test_results_share_memory_where_numpys_do(alias: Any):
    def f(x: Any) -> Any:
        y = x * 1.0
        z = alias(y)
        z[0] = 5.0
        y[1] = 7.0
        return np.concatenate([np.ravel(y), np.ravel(z)])

    x = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(sad.jit(f)(x), f(x))


def test_constants_made_inside_outlive_the_function():
    @functools.lru_cache
    def matrix(n: int) -> Any:
        made = np.zeros((n, n))
        made[0, 0] = 2.0
        return made

    def f(x: Any) -> Any:
        return np.sum((matrix(2) @ x) ** 2)

    x = np.array([1.0, 3.0])
    for _ in range(2):
        np.testing.assert_array_equal(sad.grad(f)(x), [8.0, 0.0])
        assert sad.jit(f)(x) == f(x) == 4.0
    with pytest.raises(MutationError):
        matrix(2)[0, 0] = 1.0


def test_functions_of_constants_alone_are_numpys():
    def f(x: Any) -> Any:
        codes, counts = np.unique(np.array([1, 2, 2]), return_counts=True)
        order = np.random.default_rng(0).permutation(np.ones(3))
        text = f"{np.array([1.0, 2.0])[1]:.2f} {np.array([1.0]).nbytes}"
        assert text == "2.00 8"
        return x * codes.size * counts[1] * np.roots(np.array([1.0, -3.0]))[0] * order.sum()

    assert sad.jit(f)(2.0) == pytest.approx(f(2.0))


@pytest.mark.parametrize("kind", [lambda x: x, sad.jit, lambda f: lambda x: sad.jvp(f, (x,), (x,))[0]])
def test_masks_choose_what_is_assigned(kind: Any):
    def f(x: Any) -> Any:
        y = x.copy()
        y[y < 0] *= 0.5
        mask = x > 0
        y[mask] = np.sqrt(x[mask])
        y[mask] += 1.0
        return y

    x = np.array([4.0, -2.0, 9.0])
    np.testing.assert_array_equal(kind(f)(x), [3.0, -1.0, 4.0])


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_masked_arrays_and_matrices_are_refused():
    for other in (np.ma.array([1.0, 2.0], mask=[0, 1]), np.matrix([[1.0, 2.0]])):
        with pytest.raises(ArgumentError, match=r"np\.asarray|x\.filled"):
            sad.jit(lambda x, other=other: np.sum(x * other))(np.ones(2))


def test_the_function_of_an_associative_scan_does_not_change_what_it_is_given():
    def combine(a: Any, b: Any) -> Any:
        a *= b
        return a

    x = np.arange(1.0, 5.0)
    with pytest.raises((MutationError, ValueError)):
        sad.associative_scan(combine, x)
    np.testing.assert_array_equal(x, [1, 2, 3, 4])


def test_functions_are_pickled_and_copied_by_name_while_others_are_traced():
    kept: list[Any] = []

    def f(x: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:  # another thread gets what np.zeros is now
            kept.append(
                pool.submit(lambda: pickle.dumps([np.zeros, np.random.normal, np.r_, scipy.linalg.solve])).result()
            )
        kept.append(np.zeros)
        assert copy.deepcopy({"make": np.zeros})["make"](1).shape == (1,)
        return x

    sad.grad(f)(1.0)
    assert pickle.loads(kept[0]) == [np.zeros, np.random.normal, np.r_, scipy.linalg.solve]
    assert pickle.loads(pickle.dumps(kept[1])) is np.zeros


ruled = sad.custom_jvp(scipy.linalg.det)
ruled.defjvp(
    lambda primals, tangents: (ruled(*primals), ruled(*primals) * np.sum(np.linalg.inv(primals[0]).T * tangents[0]))
)


@pytest.mark.parametrize(
    "f",
    [
        scipy.special.logsumexp,
        scipy.linalg.det,
        functools.partial(scipy.special.logsumexp, b=np.array([1.0, 2.0])),
        np.linalg.det,
        np.sum,
        lambda a: np.sum(sad.map(scipy.special.softmax, a) ** 2),
        lambda a: sad.cond(a[0, 0] > 0, scipy.linalg.det, np.sum, a),
        ruled,
    ],
)
def test_functions_of_libraries_are_transformed_themselves(f: Any):
    a = np.array([[2.0, 0.5], [-1.0, 3.0]])
    for found in (sad.jit(f)(a), sad.vmap(f)(a[None])[0], sad.jit(sad.vmap(sad.jit(f)))(a[None])[0]):
        np.testing.assert_allclose(found, f(a), rtol=1e-14)
    e = 1e-6 * np.cos(np.arange(4.0)).reshape(2, 2)
    for gradient in (sad.grad(f)(a), sad.jit(sad.grad(f))(a), sad.jacfwd(f)(a), sad.vjp(f, a)[1](1.0)[0]):
        np.testing.assert_allclose(np.sum(gradient * e), (f(a + e) - f(a - e)) / 2, rtol=1e-7)
    assert sad.hessian(f)(a).shape == (2, 2, 2, 2)


MAKERS = {
    "a traced value": lambda lib, x: lib.array(x),
    "a traced value and axes": lambda lib, x: lib.array(x, ndmin=2, order="F"),
    "a traced value as it is": lambda lib, x: lib.asarray(x * 1),
    "a traced value as integers": lambda lib, x: lib.array(x, dtype=int),
    "a list of traced values": lambda lib, x: lib.array([x, 2 * x]),
    "numbers": lambda lib, x: lib.array([[1.0, 2.0], [3.0, 4.0]]),
    "one number": lambda lib, x: lib.array(2),
    "numbers as they are": lambda lib, x: lib.asarray([1.0, 2.0]),
    "an array from outside": lambda lib, x: lib.array(np.arange(3.0)),
    "an array from outside as another dtype": lambda lib, x: lib.asarray(np.arange(3), np.float32),
    "one value everywhere": lambda lib, x: lib.full((2, *x.shape), x),
    "one value without axes": lambda lib, x: lib.full((), 3.0, np.float32),
}


@pytest.mark.parametrize("x", [3.0, np.arange(3.0)], ids=["number", "vector"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_arrays_of_this_package_are_those_of_numpy(make: Any, x: Any) -> None:
    """They are copies, can hold traced values, share what they are with other names for them, and keep their dtype."""

    def f(lib: Any, x: Any) -> Any:
        y = make(lib, x)
        z = y
        y += 1
        y[...] = y * x.max()
        return x, y, z

    expected = f(np, np.asarray(x)[()])
    for found, value in zip(sad.jit(lambda x: f(sad.numpy, x))(x), expected, strict=True):
        np.testing.assert_array_equal(found, value)
        assert found.dtype == value.dtype
    if value.dtype.kind == "i":
        return
    slopes = [sad.jvp(functools.partial(f, lib), (x,), (np.ones_like(x),))[1][2] for lib in (np, sad.numpy)]
    slopes.append(sad.jit(sad.jacfwd(lambda t: f(sad.numpy, x + t)[2]))(0.0))
    for slope in slopes[1:]:
        np.testing.assert_array_equal(slope, slopes[0])


def test_arrays_from_outside_as_they_are_belong_to_the_caller() -> None:
    table = np.arange(3.0)

    def f(x: Any) -> Any:
        y = sad.numpy.asarray(table)
        y[0] = x
        return y

    with pytest.raises(MutationError, match="belongs to the caller"):
        sad.jit(f)(1.0)
    np.testing.assert_array_equal(table, np.arange(3.0))
    assert sad.numpy.asarray(table) is table


def test_negative_lengths_are_refused() -> None:
    for make in (lambda x: sad.numpy.full(-1, x), lambda x: np.full((2, -1), x), lambda x: x + np.zeros(-1)):
        with pytest.raises(ShapeError, match="negative dimensions are not allowed"):
            sad.jit(make)(1.0)


@pytest.mark.parametrize(
    "fill",
    [
        lambda x: [x[:2], x[2:]],
        lambda x: [[x[0]], [x[1]]],
        lambda x: np.array([[x[0], x[1]], [1, 2]]),
        lambda x: [[[1.0, 2.0], [3.0, 4.0]]] * 2,
    ],
)
def test_fills_of_more_axes_than_the_array_are_refused(fill: Any) -> None:
    for f in (lambda x: np.full((2,), fill(x)), lambda x: np.full_like(np.zeros(2), fill(x)) * x[0]):
        with pytest.raises(ValueError, match="could not broadcast input array"):
            sad.jit(f)(np.arange(4.0))
        with pytest.raises(ValueError, match="could not broadcast input array"):
            f(np.arange(4.0))


def filled_and_written(x: Any) -> Any:
    a, b, c = np.full((2, 2), [1.0, 2.0]), np.full(3, [0.0]), np.full((), [x[0]])
    d, e = np.full((1, 3), np.arange(3)), np.zeros_like([x[0], 1.0])
    a[0, 0], b[:], d[0, 1] = x[0], x, 7
    a[1] = 5.0
    e += x[1]
    return a, b, c, d, e, np.copy([x[0], 1.0])


def nothing_shared(x: Any) -> Any:
    n, k = np.ones(3, int), x.astype(int)
    first, second = np.nan_to_num(n), np.nan_to_num(k)
    first += 1
    second[0] = 7
    return n * x, k * x, first, second


def by_flat_positions(x: Any) -> Any:
    y, p = x.copy(), np.argsort(-x)
    y.flat[p[:2]] = 2.0
    y.flat[p[2]] = x[0]
    y.flat[y > 1.5] = 0.5
    return y


def functions_of_one(x: Any) -> Any:
    y = x.copy()
    np.negative.at(y, [0, 2])
    np.exp.at(y, x > 1)
    np.sqrt.at(y, slice(1, 2))
    return y


@pytest.mark.parametrize("f", [filled_and_written, nothing_shared, by_flat_positions, functions_of_one])
def test_what_is_written_is_what_numpy_writes(f: Any) -> None:
    x = np.array([1.0, 2.0, 3.0])
    found = sad.jit(f)(x)
    for y, expected in zip(found, f(x), strict=True) if isinstance(found, tuple) else [(found, f(x))]:
        np.testing.assert_allclose(y, expected, rtol=1e-15)
        assert np.asarray(y).dtype == np.asarray(expected).dtype


@pytest.mark.parametrize(
    "make", [lambda a: np.array(a, copy=False), lambda a: sad.numpy.array(a, copy=None, ndmin=2)[0]]
)
def test_arrays_that_are_not_copied_stay_numpys(make: Any) -> None:
    table = np.zeros(3)

    def f(x: Any) -> Any:
        y = make(table)
        y[0] = x
        return table + x

    with pytest.raises(ConcretizationError, match="cannot be written into this NumPy array"):
        sad.jit(f)(1.0)
    np.testing.assert_array_equal(table, np.zeros(3))


def test_functions_of_one_are_not_applied_twice() -> None:
    def f(x: Any) -> Any:
        y = x.copy()
        np.negative.at(y, [0, 0])
        return y

    with pytest.raises(UnsupportedError, match=r"write x\[index\] = np.negative\(x\[index\]\)"):
        sad.jit(f)(np.ones(3))
