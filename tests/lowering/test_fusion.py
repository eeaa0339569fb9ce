"""Which loops a program becomes.

Invariant: tests count loops and look at what is stored; that results are right is tested elsewhere.
Start at ``regions``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import staged_ad as sad
from staged_ad.lowering.fusion import fuse
from staged_ad.lowering.indexing import Affine, reshaped, splits_only
from staged_ad.lowering.matrices import canonical
from staged_ad.lowering.module import emit
from staged_ad.lowering.regions import Apply, MatrixProduct, Nest
from staged_ad.passes import optimize


def regions(f: Callable[..., Any], *args: Any) -> list[Any]:
    return fuse(canonical(optimize(sad.trace(f)(*args)))).regions


def calls(nest: Nest, name: str) -> int:
    return sum(isinstance(node, Apply) and node.equation.primitive.name == name for node in nest.nodes)


def test_elementwise_operations_are_one_loop_without_temporaries() -> None:
    (nest,) = regions(lambda x: np.exp(np.sin(x) * 2 + x), np.ones(9))
    assert len(nest.stores) == 1


def test_a_gradient_shares_the_loop_and_the_work_of_its_function() -> None:
    found = regions(sad.value_and_grad(lambda x: np.sum(np.exp(np.sin(x)))), np.ones(9))
    (nest,) = found
    assert calls(nest, "exp") == 1
    assert calls(nest, "sin") == 1


def test_views_are_index_maps() -> None:
    (nest,) = regions(lambda x: x.T[::-1][1:] * x[1:, ::-1][:, 0][:, None], np.ones((5, 5)))
    assert len(nest.stores) == 1


def test_a_costly_value_with_readers_in_other_orders_is_stored() -> None:
    found = regions(lambda x: np.exp(x)[::-1] + np.exp(x), np.ones(50))
    assert sum(calls(nest, "exp") for nest in found) == 1


def test_a_cheap_value_is_computed_again() -> None:
    found = regions(lambda x: (x + 1)[::-1] + (x + 1), np.ones(50))
    assert len(found) == 1


def test_what_fills_short_rows_is_computed_before_them() -> None:
    weighted = lambda x, y, z: (x / y)[:, :, None] * z
    first, second = regions(weighted, np.ones((9, 10)), np.ones((9, 10)), np.ones((9, 10, 3)))
    assert (calls(first, "div"), calls(second, "div")) == (1, 0)
    (nest,) = regions(lambda x, z: (x + 1)[:, :, None] * z, np.ones((9, 10)), np.ones((9, 10, 3)))
    assert calls(nest, "add") == 1


def test_a_value_that_is_stored_for_one_reader_is_computed_for_none_again() -> None:
    def weighted(x, y, z):  # type: ignore[no-untyped-def]
        quotient = x / y
        return np.sum(quotient[:, :, None] * z, axis=1), np.sum(z * z, axis=2) * (quotient / y)

    found = regions(weighted, np.ones((9, 10)), np.ones((9, 10)), np.ones((9, 10, 3)))
    assert sum(calls(nest, "div") for nest in found) == 2


def test_a_padded_value_is_not_stored() -> None:
    rosenbrock = lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)  # one line
    assert len(regions(sad.grad(rosenbrock), np.ones(50))) == 1


def test_a_costly_operand_of_an_inline_product_is_stored() -> None:
    found = regions(lambda x, a: np.exp(x) @ a, np.ones(40), np.ones((40, 10)))
    assert [calls(nest, "exp") for nest in found] == [1, 0]


def test_large_products_go_to_blas_and_small_ones_do_not() -> None:
    (large,) = regions(np.matmul, np.ones((40, 30)), np.ones((30, 20)))
    (small,) = regions(np.matmul, np.ones((4, 3)), np.ones((3, 2)))
    assert isinstance(large, MatrixProduct)
    assert isinstance(small, Nest)


def test_transposed_operands_of_blas_are_not_copied() -> None:
    found = regions(lambda a, b: a.T @ b.T, np.ones((30, 40)), np.ones((20, 30)))
    assert [type(region) for region in found] == [MatrixProduct]


def test_equal_steps_of_an_unrolled_loop_are_one_function() -> None:
    def steps(count: int) -> str:
        def f(w: Any, a: Any) -> Any:
            for _ in range(count):
                w = np.tanh(a @ w)
            return w

        return emit(optimize(sad.trace(f)(np.ones(5), np.ones((5, 5))))).text

    assert steps(40).count("define internal") == steps(20).count("define internal")


def test_the_text_of_a_program_is_the_same_every_time() -> None:
    def text() -> str:
        f = sad.grad(lambda x, y: np.sum(np.exp(x @ y) / (1 + np.sum(x, axis=0))))
        return emit(optimize(sad.trace(f)(np.ones((6, 5)), np.ones((5, 5))))).text

    assert text() == text()


def test_reshapes_that_split_axes_are_affine_and_those_that_merge_are_not() -> None:
    assert splits_only((2, 3), (6,))
    assert not splits_only((6,), (2, 3))
    index = (Affine(0, ((0, 1),)), Affine(0, ((1, 1),)))
    assert reshaped(index, (2, 3), (6,)) == (Affine(0, ((0, 3), (1, 1))),)
