"""cond, switch, while_loop: control flow that depends on values is that of Python; and checkpoint changes nothing.

Invariant: every function is compared with plain Python over NumPy arrays, values and derivatives.
Start at ``PIECES``, the table of branches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.tracing.trees import flatten, tree_map
from tests.backends import MODES, in_mode
from tests.numerics import assert_close, assert_same, gradient, jacobian

Function = Callable[..., Any]
by_mode = pytest.mark.parametrize("mode", MODES)
X = np.array([0.3, -0.7, 1.1])
A = np.array([[0.5, -0.3, 0.1], [0.2, 0.7, -0.4]])
XS = np.linspace(-1, 1, 10).reshape(5, 2)


def assert_trees_same(found: Any, expected: Any) -> None:
    """Equal structure; leaves equal up to rounding, dtypes equal."""
    leaves, spec = flatten(found)
    others, other_spec = flatten(expected)
    assert spec == other_spec
    for one, other in zip(leaves, others, strict=True):
        assert_same(one, other)


def plain_scan(f: Function, c: Any, xs: Any) -> Any:
    ys = []
    for x in xs:
        c, y = f(c, x)
        ys.append(y)
    return c, np.stack(ys)


# branches of one structure, each a function of (x, scale)
PIECES: list[Function] = [
    lambda x, scale: {"sum": np.sum(np.sin(x)) * scale, "pair": (x * x, ())},
    lambda x, scale: {"sum": 0.0, "pair": (np.exp(x) * scale, ())},
    lambda x, scale: {"sum": np.prod(x) + scale, "pair": (x, ())},
]


def loss(tree: Any) -> Any:
    return tree["sum"] ** 2 + np.sum(np.cos(tree["pair"][0]))


@by_mode
@pytest.mark.parametrize("index", [-3, 0, 1, 2, 9])
def test_switch_calls_one_branch(index: int, mode: str):
    expected = tree_map(np.asarray, PIECES[min(max(index, 0), 2)](X, 2.0))
    traced = in_mode(mode, lambda k, x, s: sad.switch(k, PIECES, x, s))(index, X, 2.0)
    assert_trees_same(tree_map(np.asarray, traced), expected)
    known = in_mode(mode, lambda x, s: sad.switch(index, PIECES, x, s))(X, 2.0)
    assert_trees_same(tree_map(np.asarray, known), expected)


@by_mode
@pytest.mark.parametrize("index", [0, 1, 2])
def test_derivatives_of_switch_are_those_of_the_branch(index: int, mode: str):
    f = lambda x, k: loss(sad.switch(k + (np.sum(x) > 1e9), PIECES, x, x[0]))  # the index is traced
    plain = lambda x, k: loss(PIECES[k](x, x[0]))
    for derivative in (
        sad.grad,
        sad.jacfwd,
        sad.hessian,
        lambda g: sad.jacrev(sad.grad(g)),
        lambda g: sad.jacfwd(sad.jacfwd(g)),
    ):
        found = in_mode(mode, lambda x, d=derivative: d(f)(x, index))(X)
        assert_close(found, derivative(plain)(X, index))


@by_mode
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64", "int64"])
def test_the_index_may_have_any_integer_dtype(dtype: str, mode: str):
    f = in_mode(mode, sad.vmap(lambda k: sad.switch(k, [lambda: 1.0, lambda: 2.0, lambda: 3.0])))
    largest = np.iinfo(dtype).max
    assert_same(f(np.array([0, 1, 2, largest], dtype)), np.array([1.0, 2.0, 3.0, 3.0]))


@by_mode
def test_lanes_of_a_mapped_index_take_their_own_branches(mode: str):
    keys = np.array([2, 0, 5, 1, -1])
    xs = np.stack([X * k for k in range(5)])
    f = lambda k, x: sad.switch(k, PIECES, x, np.sum(x))
    found = in_mode(mode, sad.vmap(f))(keys, xs)
    lanes = [PIECES[min(max(int(k), 0), 2)](x, np.sum(x)) for k, x in zip(keys, xs, strict=True)]
    assert_trees_same(found, tree_map(lambda *parts: np.stack(parts), *lanes))
    slopes = in_mode(mode, sad.vmap(sad.grad(lambda x, k: loss(f(k, x))), in_axes=(0, 0)))(xs, keys)
    plain = [
        sad.grad(lambda x, k=k: loss(PIECES[min(max(int(k), 0), 2)](x, np.sum(x))))(x)
        for k, x in zip(keys, xs, strict=True)
    ]
    assert_close(slopes, plain)


def chosen(pred: Any, x: Any) -> Any:
    """The branches capture different values of the function around them."""
    y, z = np.sin(x), np.exp(x)
    return sad.cond(pred, lambda v: np.sum(v * y) + np.sum(A @ y), lambda v: np.sum(v * z), x)


def plain_chosen(pred: Any, x: Any) -> Any:
    y, z = np.sin(x), np.exp(x)
    return np.sum(x * y) + np.sum(A @ y) if pred else np.sum(x * z)


@by_mode
@pytest.mark.parametrize("pred", [True, False, np.True_, np.array(False)])
def test_cond_calls_one_function(pred: Any, mode: str):
    assert_close(in_mode(mode, chosen)(pred, X), plain_chosen(pred, X))
    assert_close(in_mode(mode, lambda x: chosen(pred, x))(X), plain_chosen(pred, X))
    for derivative in (sad.grad, sad.jacfwd, sad.hessian):
        traced = lambda x: chosen((x[0] < 9) == bool(pred), x)
        expected = derivative(lambda x: plain_chosen(pred, x))(X)
        assert_close(in_mode(mode, derivative(traced))(X), expected)


@by_mode
def test_gradients_of_cond_agree_with_finite_differences(mode: str):
    f = lambda x: chosen(np.sum(x) > 0, x) + chosen(np.sum(x) < 0, x)
    assert_close(in_mode(mode, sad.grad(f))(X), gradient(f, X), 1e-10)


@by_mode
def test_the_branch_not_taken_puts_no_nan_into_derivatives(mode: str):
    f = lambda x: sad.cond(x > 0, np.sqrt, lambda x: 0.0, x)
    assert in_mode(mode, sad.grad(f))(-1.0) == 0
    assert in_mode(mode, sad.grad(f))(0.0) == 0
    assert_close(in_mode(mode, sad.vmap(sad.grad(f)))(np.array([0.0, 4.0, -1.0])), [0, 0.25, 0])


def test_only_the_function_that_a_known_value_chooses_is_called():
    def never(x: Any) -> Any:
        raise AssertionError

    assert sad.cond(True, np.negative, never, 1.0) == -1
    assert sad.switch(1, [never, np.negative, never], 1.0) == -1
    assert sad.switch(np.uint8(7), [never, np.negative], 1.0) == -1
    assert sad.grad(lambda x: sad.cond(np.bool_(False), never, np.sin, x))(0.0) == 1


@by_mode
def test_python_numbers_take_the_dtype_of_the_other_branch(mode: str):
    def result(*branches: Any) -> Any:
        f = sad.vmap(lambda k: sad.switch(k, [lambda b=b: b for b in branches]))
        return in_mode(mode, f)(np.arange(len(branches)))

    assert_same(result(0, np.float32(1.5)), np.array([0, 1.5], "f4"))
    assert_same(result(np.float32(1.5), 0.5), np.array([1.5, 0.5], "f4"))
    assert_same(result(0, 0.5), np.array([0, 0.5]))
    assert_same(result(7, 0.5, np.float32(1)), np.array([7, 0.5, 1], "f4"))
    assert_same(result(7, np.int8(1)), np.array([7, 1], "i1"))
    assert_same(result(True, np.False_), np.array([True, False]))


@by_mode
def test_branches_without_arrays_return_their_structure(mode: str):
    f = lambda x: (sad.cond(x > 0, lambda: (None, {}), lambda: (None, {})), x)
    assert in_mode(mode, f)(1.0) == ((None, {}), 1.0)


def test_branches_are_recorded_as_one_equation():
    program = sad.trace(lambda k, x: sad.switch(k, PIECES, x, 1.0))(1, X)
    assert [equation.primitive.name for equation in program.equations] == ["switch"]


@by_mode
def test_branches_and_loops_nest(mode: str):
    def total(scan: Function, cond: Function) -> Function:
        def body(c: Any, x: Any) -> Any:
            return cond(x[0] > 0, lambda c: c * np.sin(x[1] + c), lambda c: c + x[1] ** 2, c), c

        return lambda c, xs: np.sum(scan(body, c, xs)[1] ** 2)

    f = total(sad.scan, sad.cond)
    signs = XS[:, 0] > 0

    def plain(c: Any, xs: Any) -> Any:
        known = iter(signs)
        return total(plain_scan, lambda pred, one, other, c: one(c) if next(known) else other(c))(c, xs)

    c = np.float64(0.4)
    assert_close(in_mode(mode, f)(c, XS), plain(c, XS))
    for derivative in (lambda g: sad.grad(g, (0, 1)), lambda g: sad.jacfwd(g, (0, 1))):
        for one, other in zip(in_mode(mode, derivative(f))(c, XS), derivative(plain)(c, XS), strict=True):
            assert_close(one, other, 1e-11)
    assert_close(in_mode(mode, sad.hessian(f))(c, XS), sad.hessian(plain)(c, XS), 1e-11)


# -- while_loop ---------------------------------------------------------------------------------------------------


def plain_while(cond: Function, body: Function, carry: Any) -> Any:
    while cond(carry):
        carry = body(carry)
    return carry


def collatz(loop: Function) -> Function:
    return lambda n: loop(
        lambda c: c[0] != 1, lambda c: (np.where(c[0] % 2 == 0, c[0] // 2, 3 * c[0] + 1), c[1] + 1), (n, 0)
    )


@by_mode
@pytest.mark.parametrize("n", [1, 7, 27])
def test_while_loop_is_a_python_loop(n: int, mode: str):
    assert_trees_same(in_mode(mode, collatz(sad.while_loop))(n), tree_map(np.int64, collatz(plain_while)(n)))


def growth(loop: Function, **options: Any) -> Function:
    """Its number of iterations depends on the argument; condition and body capture other parts of it."""

    def f(p: Any) -> Any:
        start = {"x": p[0], "path": (p * 0.1, None)}
        step = lambda c: {"x": c["x"] * p[1] + 0.1, "path": (np.sin(c["path"][0] * np.tanh(p) + 0.1 * c["x"]), None)}
        end = loop(lambda c: c["x"] < p[2], step, start, **options)
        return end["x"] * np.sum(end["path"][0])

    return f


P = np.array([0.5, 1.3, 10.0])
by_checkpoint = pytest.mark.parametrize("options", [{}, {"checkpoint": 1}, {"checkpoint": 3}], ids=str)


@by_mode
@by_checkpoint
@pytest.mark.parametrize("start", [0.5, 3.0, 20.0])
def test_derivatives_of_while_loop_are_those_of_the_python_loop(start: float, options: dict[str, Any], mode: str):
    p = np.array([start, 1.3, 10.0])
    f, plain = growth(sad.while_loop, **options), growth(plain_while)
    assert_close(in_mode(mode, f)(p), plain(p))
    for derivative in (sad.grad, sad.jacfwd, sad.hessian, lambda g: sad.jacrev(sad.grad(g))):
        assert_close(in_mode(mode, derivative(f))(p), derivative(plain)(p), 1e-10)


@by_mode
def test_gradients_of_while_loop_agree_with_finite_differences(mode: str):
    assert_close(in_mode(mode, sad.grad(growth(sad.while_loop)))(P), gradient(growth(sad.while_loop), P, 1e-4), 1e-8)
    assert_close(
        in_mode(mode, sad.hessian(growth(sad.while_loop)))(P), jacobian(sad.grad(growth(plain_while)), P), 1e-8
    )


@by_mode
def test_lanes_of_a_mapped_while_loop_run_as_long_as_each_needs(mode: str):
    numbers = np.array([1, 6, 27, 7])
    found = in_mode(mode, sad.vmap(lambda n: collatz(sad.while_loop)(n)[1]))(numbers)
    assert_same(found, np.array([collatz(plain_while)(n)[1] for n in numbers]))
    batch = np.stack([P, P * [3, 1, 1], P * [30, 1, 2]])
    slopes = in_mode(mode, sad.vmap(sad.grad(growth(sad.while_loop))))(batch)
    assert_close(slopes, [sad.grad(growth(plain_while))(p) for p in batch])


@by_mode
def test_a_while_loop_inside_a_scan_has_derivatives(mode: str):
    def total(loop: Function, inner: Function) -> Function:
        def f(a: Any) -> Any:
            body = lambda c, x: (c + inner(lambda v: v < 2.0, lambda v: v * a, np.exp(x)), c)
            return loop(body, 0.0 * a, XS[:, 0])[0]

        return f

    f, plain = total(sad.scan, sad.while_loop), total(plain_scan, plain_while)
    for derivative in (sad.grad, sad.jacfwd, lambda g: sad.grad(sad.grad(g))):
        assert_close(in_mode(mode, derivative(f))(1.7), derivative(plain)(1.7), 1e-11)


# -- checkpoint --------------------------------------------------------------------------------------------------


@by_mode
def test_checkpoint_changes_neither_values_nor_derivatives(mode: str):
    def layer(w: Any, data: Any, power: int = 2, kind: str = "") -> Any:
        assert kind in ("", "sin")
        hidden = np.sin(w["a"] * data) if kind else w["a"] * data
        return {"out": np.sum(hidden**power), "none": None}, w["b"] * hidden

    def loss(f: Function) -> Function:
        def of(w: Any) -> Any:
            first, second = f(w, XS, power=3, kind="sin")
            return first["out"] * w["b"] + np.sum(np.exp(second))

        return of

    w = {"a": np.array([0.3, 0.9]), "b": np.float64(1.5)}
    found, expected = (in_mode(mode, sad.value_and_grad(loss(f)))(w) for f in (sad.checkpoint(layer), layer))
    assert_trees_same(found, expected)
    v = {"a": np.array([1.0, -2.0]), "b": np.float64(0.2)}
    for product in (lambda f: sad.hvp(f, (w,), (v,)), lambda f: sad.jvp(f, (w,), (v,))):
        assert_trees_same(product(loss(sad.checkpoint(layer))), product(loss(layer)))
    lanes = tree_map(lambda x: np.stack([x, 2 * x]), w)
    batched = [in_mode(mode, sad.vmap(sad.grad(loss(f))))(lanes) for f in (sad.checkpoint(layer), layer)]
    assert_trees_same(*batched)


def test_checkpoint_records_one_equation_and_results_are_owned():
    deep = sad.checkpoint(lambda x: np.sin(np.exp(np.cos(x))))
    program = sad.trace(lambda x: deep(deep(x)))(XS)
    assert [equation.primitive.name for equation in program.equations] == ["checkpoint"] * 2
    same = sad.checkpoint(lambda x: x)(XS)
    assert same is not XS
    assert same.flags.writeable


# -- numbers from the literature (reference.md, Loops) ------------------------------------------------------------


def euler(loop: str) -> Function:
    def f(p: Any) -> Any:
        h = 1.5 / 10
        if loop == "scan":
            return sad.scan(lambda y, _: (y - h * p * y, None), 3.0, length=10)[0]
        if loop == "fori_loop":
            return sad.fori_loop(0, 10, lambda i, y: y - h * p * y, 3.0)
        return sad.while_loop(lambda c: c[0] < 10, lambda c: (c[0] + 1, c[1] - h * p * c[1]), (0, 3.0))[1]

    return f


by_loop = pytest.mark.parametrize("loop", ["scan", "fori_loop", "while_loop"])
by_first = pytest.mark.parametrize("derivative", [sad.grad, sad.jacfwd], ids=["reverse", "forward"])


@by_mode
@by_loop
@by_first
def test_ten_steps_of_euler(derivative: Function, loop: str, mode: str):
    assert_close(in_mode(mode, derivative(euler(loop)))(2.0), -0.1815912315, 1e-9)


@by_mode
@by_first
def test_gradient_descent_as_a_program(derivative: Function, mode: str):
    def loss_after(a: Any) -> Any:
        loss = lambda w: 2 * w**2 / 2
        return loss(sad.fori_loop(0, 10, lambda _, w: w - a * sad.grad(loss)(w), 1.0))

    assert_close(in_mode(mode, derivative(loss_after))(0.1), -0.57646075230342349)


def newton_root(a: Any) -> Any:
    return sad.while_loop(lambda x: np.abs(x * x - a) > 1e-14 * a, lambda x: (x + a / x) / 2, a)


@by_mode
def test_newtons_iteration_for_the_square_root(mode: str):
    assert_close(in_mode(mode, newton_root)(4.0), 2.0)
    assert_close(in_mode(mode, sad.grad(newton_root))(4.0), 0.25)
    for second in (sad.hessian(newton_root), sad.grad(sad.grad(newton_root)), sad.jacfwd(sad.jacfwd(newton_root))):
        assert_close(in_mode(mode, second)(4.0), -1 / 32)


@by_mode
@by_first
def test_a_fixed_point_by_iteration(derivative: Function, mode: str):
    def fixed_point(a: Any) -> Any:
        unsettled = lambda c: np.abs(c[0] - c[1]) > 1e-15
        return sad.while_loop(unsettled, lambda c: (np.cos(a * c[0]), c[0]), (0.5 * a, a))[0]

    assert_close(in_mode(mode, fixed_point)(1.0), 0.73908513321516064)
    assert_close(in_mode(mode, derivative(fixed_point))(1.0), -0.29747434150983226, 1e-10)


@pytest.mark.parametrize("mode", MODES)
def test_what_a_branch_computes_from_values_around_it_is_done_in_that_branch_only(mode):
    def f(x):  # the loop would not end where x is not positive
        return sad.cond(x > 0, lambda: sad.while_loop(lambda y: y < 1.0, lambda y: y + x, 0.0), lambda: x * 2)

    assert in_mode(mode, f)(-1.0) == -2.0
    assert in_mode(mode, sad.grad(f))(-1.0) == 2.0
    assert in_mode(mode, f)(0.75) == 1.5


def test_a_loop_body_records_what_it_computes_from_values_around_it():
    program = sad.trace(lambda x: sad.fori_loop(0, 3, lambda i, y: y + np.sin(x), 0.0))(0.5)
    assert [equation.primitive.name for equation in program.equations] == ["scan"]
