"""The passes, one by one: what they remove, and that they keep the meaning (random programs do the rest).

Invariant: each test runs ``verify`` on what a pass made.
Start at ``after``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.ir import Program, evaluate, verify
from staged_ad.ir.cse import cse
from staged_ad.passes.assemble import assemble
from staged_ad.passes.dce import dce
from staged_ad.passes.factors import factors
from staged_ad.passes.fold import fold
from staged_ad.passes.forward import forward
from staged_ad.passes.inline import inline_calls
from staged_ad.passes.quotients import quotients
from staged_ad.passes.simplify import simplify
from staged_ad.primitives.shearing import windows


def after(rewrite: Callable[[Program], Program], f: Callable[..., Any], *args: Any) -> list[str]:
    """The names of the equations left, once the result is known to be well formed and to mean the same."""
    before = sad.trace(f)(*args)
    program = verify(rewrite(before))
    for found, expected in zip(evaluate(program, *args), evaluate(before, *args), strict=True):
        np.testing.assert_array_equal(found, expected)
    return [equation.primitive.name for equation in program.equations]


def unused(x: Any) -> Any:
    np.sin(x)
    return np.cos(x)


def test_dce_removes_what_no_output_needs() -> None:
    assert after(dce, unused, np.ones(3)) == ["cos"]


def test_cse_computes_equal_expressions_once() -> None:
    assert after(cse, lambda x: np.sin(x) * np.sin(x), np.ones(3)) == ["sin", "mul"]


def test_fold_computes_literals() -> None:
    zeros = np.zeros(3)
    assert after(fold, lambda x: x + sad.numpy.array(np.exp(zeros)) * 2.0, np.ones(3)) == ["add"]


def test_fold_keeps_the_zeros_that_views_insert() -> None:
    sheared = sad.grad(lambda x: np.sum(windows(x, 3) * 2.0))
    np.testing.assert_array_equal(sad.jit(sheared)(np.ones(6)), [2.0, 4.0, 6.0, 6.0, 4.0, 2.0])


def test_fold_leaves_what_raises_in_a_branch_that_is_not_taken() -> None:
    def f(p: Any, x: Any) -> Any:
        return sad.cond(p, lambda x: np.average(x, weights=np.zeros_like(x)), lambda x: x.sum(), x)

    assert sad.jit(f)(False, np.ones(3)) == 3.0
    with pytest.raises(ZeroDivisionError, match="Weights sum to zero"):
        sad.jit(f)(True, np.ones(3))


def test_factors_of_a_sum_that_is_known_come_out_of_it() -> None:
    x, c = np.arange(24.0).reshape(2, 3, 4), np.array([[2.0], [-4.0], [0.5]])

    def rows(x: Any, c: Any) -> Any:
        return np.sum(x, axis=(0, 2)), np.sum(-(c * x) * 2.0, axis=(0, 2))

    left = after(lambda program: dce(factors(program)), rows, x, c)
    assert left.count("reduce_sum") == 1
    assert left.count("mul") == 2


def test_factors_that_differ_stay_inside_of_a_sum() -> None:
    x, c = np.arange(24.0).reshape(2, 3, 4), np.array([[2.0], [-4.0], [0.5]])
    f = lambda x, c: (np.sum(x, axis=1), np.sum(c * x, axis=1), np.sum(x, axis=(0, 1, 2)), np.sum(x * x))
    assert after(factors, f, x, c).count("reduce_sum") == 4


def written(x: Any) -> Any:
    y = x.copy()
    for k in range(3):
        y[k + 1 :] = y[k + 1 :] / y[k]
    return y


def test_forward_writes_no_empty_part() -> None:
    assert after(forward, written, np.arange(1.0, 4.0)).count("update") == 2


def test_inline_leaves_no_call() -> None:
    inner = sad.jit(lambda x: np.sin(x) + 1)
    assert after(inline_calls, lambda x: inner(inner(x)), np.ones(3)) == ["sin", "add", "sin", "add"]


def test_simplify_merges_views() -> None:
    assert after(simplify, lambda x: x.T.T, np.ones((2, 3))) == ["transpose"]
    assert after(lambda p: dce(simplify(p)), lambda x: x.T.T, np.ones((2, 3))) == []
    assert after(lambda p: dce(simplify(p)), lambda x: x.reshape(6).reshape(3, 2), np.ones((2, 3))) == ["reshape"]


def test_simplify_moves_transposes_into_products() -> None:
    names = after(lambda p: dce(simplify(p)), lambda a, b: a.T @ b.T, np.ones((3, 2)), np.ones((4, 3)))
    assert names == ["dot_general"]


def test_simplify_removes_units_and_double_negation() -> None:
    assert after(lambda p: dce(simplify(p)), lambda x: np.negative(-(x * 1.0)), np.ones(3)) == []


EXTREME = np.array([1.5, -3.0, 0.0, -0.0, np.inf, -np.inf, np.nan, 1.7e308, -9e307, 5e-324, -2e-308])


@pytest.mark.parametrize("x", [EXTREME, np.array([1.5, -0.0, np.inf, np.nan, 3e38, -2e38, 1e-45], "float32")])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: 100 * (2 * x),
        lambda x: (x * 4) * -3,
        lambda x: -(7.5 * x),
        lambda x: 3 * -x,
        lambda x: -(2 * (3 * (2 * x))),
    ],
)
def test_simplify_joins_constant_factors_where_that_is_exact(f: Any, x: Any) -> None:
    with np.errstate(over="ignore"):
        expected = f(x)
        found = evaluate(dce(simplify(sad.trace(f)(x))), x)[0]
    assert np.array_equal(found.view(f"u{x.itemsize}")[x == x], expected.view(f"u{x.itemsize}")[x == x])
    assert np.isnan(found[x != x]).all()
    assert after(lambda p: dce(simplify(p)), f, x).count("neg") == 0


def test_simplify_keeps_what_is_not_exact() -> None:
    assert after(simplify, lambda x: 0.5 * (2 * x), EXTREME) == ["mul", "mul"]
    assert after(simplify, lambda x: 2 * (0.5 * x), EXTREME) == ["mul", "mul"]
    assert after(simplify, lambda x: 3 * (5 * x), EXTREME) == ["mul", "mul"]
    assert after(simplify, lambda x: 1e300 * (2.0**60 * x), EXTREME) == ["mul", "mul"]
    minus_zero = np.array([-0.0])
    assert after(simplify, lambda x: x + 0.0, minus_zero) == ["add"]
    assert after(simplify, lambda x: x * 0.0, np.array([np.inf])) == ["mul"]


POWERS = np.array([0.25, 2.0, -4.0, 0.0, -0.0, np.inf, np.nan])  # whose quotients are exact


def nested(x: Any) -> Any:
    y = 1.0 / x
    return 4.0 / y, 1.0 / y, 2.0 / x


def test_quotients_divides_once() -> None:
    with np.errstate(all="ignore"):
        assert after(quotients, lambda x: (1.0 / x, 0.5 / x, -2.0 / x), POWERS) == ["div", "mul", "mul"]
        assert after(quotients, lambda x: -(0.5 / x) / x / x, POWERS) == ["div", "neg", "mul", "mul", "mul"]
        assert after(quotients, nested, POWERS).count("div") == 2


def test_quotients_leaves_other_numerators() -> None:
    with np.errstate(all="ignore"):
        assert after(quotients, lambda x: (1.0 / x, 3.0 / x, x / x), POWERS) == ["div"] * 3
        assert after(quotients, lambda x: (2.0**1000 / x, 2.0**-1000 / x), POWERS) == ["div"] * 2
        assert after(quotients, lambda x, y: (1.0 / x, y / x, 1.0 / y), POWERS, POWERS) == ["div"] * 3


def test_assemble_makes_a_concatenation_of_disjoint_pads() -> None:
    gradient = sad.grad(lambda p: np.sin(p[0]) * np.exp(p[2]) + p[2] * p[3])
    names = after(lambda p: dce(assemble(simplify(p))), gradient, np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert "pad" not in names
    assert names.count("concatenate") == 1


def elements(x: Any) -> Any:
    return x[0, 0] * x[1, 1] * x[0, 0] - x[0, 1] * x[1, 0] + x[2, 1] + np.sum(x[1:, 1] * 2.0) + np.sum(x[0])


def test_assemble_joins_the_elements_of_a_matrix() -> None:
    names = after(lambda p: dce(assemble(p)), sad.grad(elements), np.arange(1.0, 7.0).reshape(3, 2))
    assert names.count("pad") == 1  # two rows of one column
    assert names.count("concatenate") == 4  # three rows, and the matrix of them


def test_assemble_leaves_overlapping_pads() -> None:
    gradient = sad.grad(lambda x: np.sum(np.sin(x[1:]) * x[:-1]))
    names = after(lambda p: dce(assemble(simplify(p))), gradient, np.linspace(1, 2, 5))
    assert names.count("pad") == 2
