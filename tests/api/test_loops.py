"""scan, fori_loop, map, associative_scan: each is the Python loop that it stands for.

Invariant: every loop is compared with plain Python over NumPy arrays, values and derivatives.
Start at ``SCANS``, the table of bodies. test_branches.py has while_loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.tracing.trees import flatten, tree_map, unflatten
from tests.backends import MODES, in_mode
from tests.numerics import assert_close, assert_same, directional, gradient, jacobian

Function = Callable[..., Any]
by_mode = pytest.mark.parametrize("mode", MODES)
by_checkpoint = pytest.mark.parametrize("options", [{}, {"checkpoint": 1}, {"checkpoint": 3}], ids=str)
A = np.array([[0.5, -0.3], [0.2, 0.7]])
H = np.array([0.1, -0.4])
XS = np.linspace(-1, 1, 10).reshape(5, 2)


def plain_scan(f: Function, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False) -> Any:
    """What scan means."""
    leaves, spec = flatten(xs)
    steps = range(len(leaves[0]) if length is None else length)
    carry, ys = init, []
    for k in reversed(steps) if reverse else steps:
        carry, y = f(carry, unflatten(spec, [leaf[k] for leaf in leaves]))
        ys.append(y)
    return carry, tree_map(lambda *parts: np.stack(parts), *(ys[::-1] if reverse else ys))


def assert_trees_same(found: Any, expected: Any) -> None:
    """Equal structure; leaves equal up to rounding, dtypes equal."""
    leaves, spec = flatten(found)
    others, other_spec = flatten(expected)
    assert spec == other_spec
    for one, other in zip(leaves, others, strict=True):
        assert_same(one, other)


@dataclasses.dataclass
class Body:
    place: Any
    speed: Any


def recurrent(h: Any, x: Any) -> Any:
    h = np.tanh(A @ h + x)
    return h, np.sum(h * x)


def with_dict(carry: Any, x: Any) -> Any:
    first, (second, scale) = x["a"], x["b"]
    v = np.sin(carry["v"]) * scale + second
    return {"n": carry["n"] + 1, "v": v, "none": None}, (v[0], {"sum": np.sum(v * first)})


def with_dataclass(body: Body, force: Any) -> Any:
    speed = body.speed + 0.1 * (force - np.sin(body.place))
    return Body(body.place + 0.1 * speed, speed), Body(speed * speed, None)


# name: body, carry, slices; all are smooth in the floating-point parts of carry and slices
SCANS: dict[str, tuple[Function, Any, Any]] = {
    "array": (recurrent, H, XS),
    "dict": (with_dict, {"v": H, "n": 3, "none": None}, {"a": XS, "b": (XS[::-1], np.arange(1.0, 6))}),
    "dataclass": (with_dataclass, Body(np.array([0.3, 0.1]), np.zeros(2)), XS),
    "no carry": (lambda c, x: (None, x * np.exp(x)), None, XS),
    "empty carry": (lambda c, x: ((), np.cos(x[0])), (), XS),
    "no result": (lambda c, x: (c * np.cos(np.sum(x)), None), np.float64(2.0), XS),
    "numbers": (lambda c, x: ((c[0] * x[0] + c[1], c[0]), c[0] - c[1]), (1.0, np.float64(0.5)), XS),
    "single precision": (lambda c, x: (c * x + 1.0, c), np.ones(2, "f4"), XS.astype("f4")),
    "swapped": (lambda c, x: ((c[1], c[0] + x), c[0]), (H, 2 * H), XS),
}
by_scan = pytest.mark.parametrize("name", SCANS)


def floats(tree: Any) -> tuple[list[Any], Function]:
    """The floating-point leaves of a tree, and the tree for other ones."""
    leaves, spec = flatten(tree)
    kept = [k for k, leaf in enumerate(leaves) if np.asarray(leaf).dtype.kind == "f"]

    def rebuild(values: Any) -> Any:
        full = list(leaves)
        for k, value in zip(kept, values, strict=True):
            full[k] = value
        return unflatten(spec, full)

    return [np.asarray(leaves[k]) for k in kept], rebuild


def loss_of(loop: Function, name: str, **options: Any) -> tuple[Function, list[Any]]:
    """A scalar function of all the floating-point inputs of a scan, and these inputs."""
    f, init, xs = SCANS[name]
    values, rebuild = floats((init, xs))

    def loss(values: Any) -> Any:
        leaves = flatten(loop(f, *rebuild(values), **options))[0]
        results = [y for y in leaves if getattr(y, "dtype", np.dtype(int)).kind == "f"]
        return sum(np.sum(np.sin(y) * (k + 1)) for k, y in enumerate(results))

    return loss, values


@by_mode
@by_scan
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
def test_scan_is_a_python_loop(name: str, reverse: bool, mode: str):
    f, init, xs = SCANS[name]
    found = in_mode(mode, lambda init, xs: sad.scan(f, init, xs, reverse=reverse))(init, xs)
    assert_trees_same(found, tree_map(np.asarray, plain_scan(f, init, xs, reverse=reverse)))


@by_mode
@by_scan
@pytest.mark.parametrize("options", [{}, {"reverse": True}, {"checkpoint": 2}], ids=["forward", "backward", "kept 2"])
def test_derivatives_of_scan_are_those_of_the_python_loop(name: str, options: dict[str, Any], mode: str):
    loss, values = loss_of(sad.scan, name, **options)
    plain, _ = loss_of(plain_scan, name, reverse=options.get("reverse", False))
    tolerance = 2e-4 if name == "single precision" else 1e-11
    value, slopes = in_mode(mode, sad.value_and_grad(loss))(values)
    expected, expected_slopes = sad.value_and_grad(plain)(values)
    assert_close(value, expected, tolerance)
    for one, other in zip(slopes, expected_slopes, strict=True):
        assert_close(one, other, tolerance)
    directions = [np.cos(1 + np.arange(x.size)).reshape(x.shape).astype(x.dtype) for x in values]
    dot = in_mode(mode, lambda v, d: sad.jvp(loss, (v,), (d,))[1])(values, directions)
    assert_close(dot, sad.jvp(plain, (values,), (directions,))[1], tolerance)
    product = in_mode(mode, lambda v, d: sad.hvp(loss, (v,), (d,)))(values, directions)
    for one, other in zip(product, sad.hvp(plain, (values,), (directions,)), strict=True):
        assert_close(one, other, tolerance)


def energy(loop: Function) -> Function:
    """Of two parameters; the body captures one of them, and the other starts the loop."""

    def f(p: Any) -> Any:
        carry, ys = loop(lambda h, x: (np.tanh(A @ h * p[0] + x), h[0] * p[1]), p * H, XS)
        return np.sum(carry) + np.sum(ys * ys)

    return f


ORDERS: list[Function] = [sad.grad, sad.jacfwd, sad.hessian]
ORDERS += [lambda f, d=d, e=e: d(e(f)) for d in (sad.jacfwd, sad.jacrev) for e in (sad.jacfwd, sad.grad, sad.hessian)]


@by_mode
@pytest.mark.parametrize("derivative", ORDERS, ids=range(len(ORDERS)))
def test_a_body_may_capture_what_is_differentiated(derivative: Function, mode: str):
    p = np.array([0.8, -1.2])
    assert_close(in_mode(mode, derivative(energy(sad.scan)))(p), derivative(energy(plain_scan))(p), 1e-11)


@by_mode
def test_gradients_of_scan_agree_with_finite_differences(mode: str):
    p = np.array([0.8, -1.2])
    f = energy(sad.scan)
    assert_close(in_mode(mode, sad.grad(f))(p), gradient(f, p), 1e-9)
    v = np.array([0.3, 1.0])
    assert_close(in_mode(mode, lambda p, v: sad.hvp(f, (p,), (v,)))(p, v), directional(sad.grad(f), [p], [v]), 1e-9)


@by_mode
def test_derivatives_with_respect_to_several_traces_do_not_mix(mode: str):
    """d/dx of x * d/dy (sum of a loop in x * y + y) at y = 2."""

    def f(x: Any) -> Any:
        inner = sad.grad(lambda y: sad.scan(lambda c, t: (c * x * y + y + t, None), y, np.arange(2.0))[0])(2.0)
        return x * inner

    def expected(x: Any) -> Any:  # c2 = (y x y + y) x y + y + 1 = x^2 y^3 + x y^2 + y + 1
        return x * (3 * x**2 * 4 + 2 * x * 2 + 1)

    assert_close(in_mode(mode, f)(0.7), expected(0.7))
    assert_close(in_mode(mode, sad.grad(f))(0.7), gradient(expected, 0.7), 1e-10)


@by_mode
def test_vmap_of_scan_is_a_loop_over_lanes(mode: str):
    batch = np.stack([H, 2 * H, -H])
    f = lambda h, xs: sad.scan(recurrent, h, xs)
    found = in_mode(mode, sad.vmap(f, in_axes=(0, None)))(batch, XS)
    lanes = [plain_scan(recurrent, h, XS) for h in batch]
    assert_trees_same(found, tree_map(lambda *parts: np.stack(parts), *lanes))
    slices = [XS, XS + 1, XS * 2]
    both = in_mode(mode, sad.vmap(f, in_axes=(0, 1)))(batch, np.stack(slices, axis=1))
    lanes = [plain_scan(recurrent, h, x) for h, x in zip(batch, slices, strict=True)]
    assert_trees_same(both, tree_map(lambda *parts: np.stack(parts), *lanes))
    slopes = in_mode(mode, sad.vmap(sad.grad(lambda h: np.sum(f(h, XS)[1]))))(batch)
    assert_close(slopes, [sad.grad(lambda h: np.sum(plain_scan(recurrent, h, XS)[1]))(h) for h in batch])


@by_mode
def test_scans_nest(mode: str):
    def outer(loop: Function) -> Function:
        def body(c: Any, row: Any) -> Any:
            total, parts = loop(lambda t, x: (t + np.sin(x * c), t), c, row)
            return total * 0.5, parts

        return body

    c = np.float64(0.3)
    assert_trees_same(
        in_mode(mode, lambda c: sad.scan(outer(sad.scan), c, XS))(c), plain_scan(outer(plain_scan), c, XS)
    )
    f = lambda loop: lambda c: np.sum(loop(outer(loop), c, XS)[1] ** 2)
    for derivative in (sad.grad, lambda g: sad.grad(sad.grad(g)), lambda g: sad.jacfwd(sad.grad(g))):
        found = in_mode(mode, derivative(f(sad.scan)))(c)
        assert_close(found, derivative(f(plain_scan))(c), 1e-11)


@by_mode
def test_a_scan_of_length_zero_returns_its_carry_and_empty_results(mode: str):
    carry, ys = in_mode(mode, lambda h, xs: sad.scan(recurrent, h, xs))(H, XS[:0])
    assert_same(carry, H)
    assert carry is not H
    assert_same(ys, np.zeros(0))
    slope = in_mode(mode, sad.grad(lambda h: np.sum(sad.scan(recurrent, h, XS[:0])[0] ** 2)))(H)
    assert_close(slope, 2 * H)


@by_mode
def test_a_scan_over_nothing_needs_a_length_alone(mode: str):
    double = lambda c, x: (2 * c, c) if x is None else (c, None)
    carry, ys = in_mode(mode, lambda c: sad.scan(double, c, None, length=4))(1.5)
    assert_same(carry, np.float64(24.0))
    assert_same(ys, np.array([1.5, 3.0, 6.0, 12.0]))
    assert_same(sad.scan(double, 1, length=np.int32(3))[1], np.array([1, 2, 4]))
    assert_same(sad.scan(lambda c, x: (c, x), None, {"a": XS}, length=5)[1]["a"], XS)


def test_python_numbers_in_the_carry_take_the_dtype_that_leaves():
    for dtype in ("f4", "f8", "i4", "u1"):
        xs = np.arange(1, 4).astype(dtype)
        assert_same(sad.scan(lambda c, x: (c + x, None), 0, xs)[0], xs.dtype.type(6))
    assert_same(sad.scan(lambda c, x: (c + x, None), 0.5, XS.ravel().astype("f4"))[0], np.float32(0.5))
    assert_same(sad.scan(lambda c, x: (c / 2, c), 1, length=2)[1], np.array([1.0, 0.5]))
    assert_same(sad.scan(lambda c, x: (c + 1, c), 1, length=2)[1], np.array([1, 2]))
    assert_same(sad.scan(lambda c, x: (0, c), np.float32(2), length=2)[1], np.array([2, 0], "f4"))
    found, _ = sad.scan(lambda c, x: ((c[1], c[2], c[2] * x), None), (0, 0.0, 1), XS[:, 0].astype("f4"))
    assert [np.asarray(x).dtype for x in found] == [np.dtype("f4")] * 3


def test_results_may_be_written_to_and_arguments_stay():
    h, xs = H.copy(), XS.copy()
    carry, ys = sad.scan(lambda c, x: (c, x), (h, h), xs)
    for array in (*carry, ys):
        assert array.flags.writeable
        assert array.base is None
        array[:] = 7
    assert_same(h, H)
    assert_same(xs, XS)


def test_a_body_is_traced_once_whatever_the_length():
    calls = []

    def body(c: Any, x: Any) -> Any:
        calls.append(c)
        return c + x, None

    program = sad.trace(lambda xs: sad.scan(body, np.float64(0), xs)[0])(np.zeros(300))
    assert len(calls) == len(program.equations) == 1


# -- fori_loop ----------------------------------------------------------------------------------------------------


def polynomial(loop: Function, **options: Any) -> Function:
    return lambda x, low, high: loop(low, high, lambda i, c: c * x + np.sin(x * i), 0.1 * x, **options)


def plain_fori(low: Any, high: Any, body: Function, carry: Any) -> Any:
    for i in range(low, high):
        carry = body(i, carry)
    return carry


@by_mode
@by_checkpoint
@pytest.mark.parametrize(("low", "high"), [(0, 5), (-2, 2), (3, 3), (4, 1), (0, 1)])
def test_fori_loop_is_a_python_loop(low: int, high: int, options: dict[str, Any], mode: str):
    x = np.array([0.3, -0.8])
    expected = polynomial(plain_fori)(x, low, high)
    slope = sad.grad(lambda x: np.sum(polynomial(plain_fori)(x, low, high) ** 2))(x)
    f = polynomial(sad.fori_loop, **options)
    fixed = lambda x: f(x, low, high)
    assert_close(in_mode(mode, fixed)(x), expected)
    assert_close(in_mode(mode, sad.grad(lambda x: np.sum(fixed(x) ** 2)))(x), slope)
    traced = lambda x, low, high: np.sum(f(x, low, high) ** 2)
    assert_close(in_mode(mode, traced)(x, low, high), np.sum(expected**2))
    assert_close(in_mode(mode, sad.grad(traced))(x, low, high), slope)
    second = in_mode(mode, sad.hessian(traced))(x, low, high)
    assert_close(second, jacobian(sad.grad(lambda x: np.sum(polynomial(plain_fori)(x, low, high) ** 2)), x), 1e-9)


@by_mode
def test_lanes_of_a_mapped_fori_loop_may_differ_in_length(mode: str):
    lengths, x = np.array([3, 0, 5]), np.array([0.3, -0.8])
    f = lambda n: polynomial(sad.fori_loop)(x, 0, n)
    found = in_mode(mode, sad.vmap(f))(lengths)
    assert_close(found, [polynomial(plain_fori)(x, 0, int(n)) for n in lengths])
    slopes = sad.vmap(sad.grad(lambda x, n: np.sum(polynomial(sad.fori_loop)(x, 0, n))), in_axes=(None, 0))
    plain = sad.grad(lambda x, n: np.sum(polynomial(plain_fori)(x, 0, n)))
    assert_close(in_mode(mode, slopes)(x, lengths), [plain(x, int(n)) for n in lengths])


def test_the_counter_has_the_dtype_of_the_bounds():
    single = np.ones(2, "f4")
    assert_same(sad.fori_loop(1, 4, lambda i, c: c * i, single), np.full(2, 6, "f4"))  # as `for i in range(1, 4)`
    assert_same(sad.fori_loop(np.int8(1), np.int8(4), lambda i, c: c + i, np.int8(0)), np.int8(6))
    assert_same(sad.fori_loop(np.uint8(250), np.uint8(253), lambda i, c: i, np.uint8(0)), np.uint8(252))
    assert_same(sad.fori_loop(np.array(0), 3, lambda i, c: i, np.int64(9)), np.int64(2))
    assert_same(sad.fori_loop(0, 3, lambda i, c: i, 9.0), np.float64(2))


def test_a_counter_that_the_body_ignores_is_not_in_the_program():
    def carried(body: Function) -> int:
        return len(sad.trace(lambda x: sad.fori_loop(0, 9, body, x))(1.0).equations[-1].outputs)

    assert carried(lambda i, x: np.cos(x)) == 1
    assert carried(lambda i, x: x * i) == 2


def test_a_loop_without_carry_returns_its_structure():
    assert sad.fori_loop(0, 3, lambda i, c: c, (None, {})) == (None, {})
    assert sad.scan(lambda c, x: (c, None), (), XS) == ((), None)


# -- map ----------------------------------------------------------------------------------------------------------


@by_mode
def test_map_is_a_python_loop(mode: str):
    f = lambda x: {"sum": np.sum(x["a"] * x["b"]), "sin": np.sin(x["a"])}
    xs = {"a": XS, "b": np.arange(5.0)}
    rows = [f({"a": a, "b": b}) for a, b in zip(xs["a"], xs["b"], strict=True)]
    expected = {key: np.stack([row[key] for row in rows]) for key in ("sum", "sin")}
    assert_trees_same(in_mode(mode, lambda xs: sad.map(f, xs))(xs), expected)
    slope = in_mode(mode, sad.grad(lambda a: np.sum(sad.map(np.sin, a) ** 2)))(XS)
    assert_close(slope, np.sin(2 * XS))


# -- associative_scan ---------------------------------------------------------------------------------------------


@given(n=st.integers(0, 33), axis=st.integers(-2, 1), reverse=st.booleans())
def test_associative_scans_of_numbers_are_those_of_numpy(n: int, axis: int, reverse: bool):
    shape = [3, 3]
    shape[axis] = n
    x = np.random.default_rng(n).uniform(0.5, 1.5, shape)
    for fn, plain in ((np.add, np.cumsum), (np.multiply, np.cumprod), (np.maximum, np.maximum.accumulate)):
        expected = np.flip(plain(np.flip(x, axis), axis=axis), axis) if reverse else plain(x, axis=axis)
        assert_same(sad.associative_scan(fn, x, reverse, axis), expected)


@by_mode
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8])
def test_associative_scan_of_matrices_gives_their_products(n: int, mode: str):
    x = np.random.default_rng(0).normal(size=(n, 2, 2))
    products = [x[0]]
    for k in range(1, n):
        products.append(products[-1] @ x[k])
    found = in_mode(mode, lambda x: sad.associative_scan(np.matmul, x))(x)
    assert_same(found, np.stack(products))


def linear_recurrence(loop: str) -> Function:
    """``h = a h + b`` from 0 on."""
    if loop == "scan":
        return lambda a, b: sad.scan(lambda h, x: (x[0] * h + x[1], x[0] * h + x[1]), 0.0 * b[0], (a, b))[1]
    join = lambda p, q: {"a": p["a"] * q["a"], "b": (p["b"][0] * q["a"] + q["b"][0],)}
    return lambda a, b: sad.associative_scan(join, {"a": a, "b": (b,)})["b"][0]


@by_mode
@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_a_linear_recurrence_is_an_associative_scan(n: int, mode: str):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, n))
    one, other = linear_recurrence("scan"), linear_recurrence("associative")
    assert_close(in_mode(mode, other)(a, b), one(a, b))
    loss = lambda f: lambda a, b: np.sum(f(a, b) ** 2)
    for derivative in (lambda f: sad.grad(f, (0, 1)), lambda f: sad.jacfwd(f, (0, 1))):
        for x, y in zip(in_mode(mode, derivative(loss(other)))(a, b), derivative(loss(one))(a, b), strict=True):
            assert_close(x, y, 1e-11)
    batched = in_mode(mode, sad.vmap(other))(np.stack([a, -a]), np.stack([b, b]))
    assert_close(batched, [one(a, b), one(-a, b)])
