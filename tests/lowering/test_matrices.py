"""Products by BLAS: operands with their axes in any order, read where they lie.

Invariant: the oracle is NumPy; sizes are such that the products go to BLAS.
Start at ``test_products_with_axes_in_any_order_are_numpys``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import staged_ad as sad


@settings(max_examples=60)
@given(data=st.data())
def test_products_with_axes_in_any_order_are_numpys(data: Any) -> None:
    groups = [data.draw(st.integers(low, 2)) for low in (0, 1, 1, 1)]
    names = iter("abcdefgh")
    stack, rows, columns, summed = ([next(names) for _ in range(n)] for n in groups)
    sizes = {name: data.draw(st.integers(1, 3)) for name in stack}
    sizes |= {name: data.draw(st.sampled_from([4, 5])) for name in (*rows, *columns, *summed)}
    sizes |= {group[0]: 26 for group in (rows, columns, summed) if len(group) == 1}
    left, right, out = (
        "".join(data.draw(st.permutations(letters)))
        for letters in (stack + rows + summed, stack + columns + summed, stack + rows + columns)
    )
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    random = np.random.default_rng(0)
    x, y = (random.normal(size=[sizes[name] for name in axes]).astype(dtype) for axes in (left, right))
    computed = data.draw(st.booleans())

    def f(x: Any, y: Any) -> Any:
        if computed:
            x, y = np.sin(x), y * y
        return np.einsum(f"{left},{right}->{out}", x, y) * 2

    compiled = sad.jit(f)
    assert "BLAS" in compiled.lower(x, y).text("loops")
    np.testing.assert_allclose(compiled(x, y), f(x, y), rtol=1e-3 if dtype == np.float32 else 1e-11, atol=1e-4)


@pytest.mark.parametrize("subscripts", ["sbd,btd->sbt", "sbd,tbd->bst", "sbd,sbe->bde", "btd,sbd->sbt"])
def test_stacks_between_other_axes_are_read_where_they_lie(subscripts: str) -> None:
    sizes = {"s": 40, "t": 30, "b": 6, "d": 16, "e": 18}
    left, right = subscripts.split("->")[0].split(",")
    x, y = (np.ones([sizes[name] for name in axes]) for axes in (left, right))
    text = sad.jit(lambda x, y: np.einsum(subscripts, x, y)).lower(x, y).text("loops")
    product = next(line for line in text.splitlines() if "BLAS" in line)
    assert {"in0", "in1"} == {word.removesuffix("^T") for word in product.split() if word.startswith("in")}


def test_a_result_is_stored_as_what_reads_it_has_its_rows() -> None:
    def f(a: Any, x: Any) -> Any:
        return np.tanh(np.einsum("kij,nkj->nki", a, x))

    a, x = np.ones((6, 16, 16)), np.ones((40, 6, 16))
    assert "6 of 40 x 16 x 16" in sad.jit(f).lower(a, x).text("loops")


def test_a_transposed_product_is_the_product_of_swapped_operands() -> None:
    text = sad.jit(lambda a, b: (a @ b).T).lower(np.ones((100, 30)), np.ones((30, 50))).text("loops")
    assert "out0 = in1^T @ in0^T    # BLAS: 1 of 50 x 30 x 100" in text
    assert "for" not in text


def test_an_expensive_value_that_is_broadcast_is_stored_once() -> None:
    def f(x: Any, y: Any) -> Any:
        scaled = np.sum(np.exp(x) * y, axis=2)
        return scaled, np.sum(np.exp(x) * (y + np.sum(scaled, axis=1)[:, None, None]), axis=0)

    lowered = sad.jit(f).lower(np.ones((25, 10)), np.ones((1000, 25, 10)))
    assert lowered.memory().workspace < 100_000
