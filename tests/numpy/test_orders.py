"""``order=`` of reshape, ravel and flatten: C, F, and A and K of views.

Invariant: the oracle is NumPy.
Start at ``test_orders_of_views_are_numpys``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import staged_ad as sad
from tests.checks import assert_derivatives, assert_value

M = np.arange(24.0).reshape(2, 3, 4)

VIEWS: list[Callable[[Any], Any]] = [
    lambda x: x,
    lambda x: x.T,
    lambda x: np.swapaxes(x, 0, 1),
    lambda x: x[:, 1],
    lambda x: x[:, :, ::-1].T,
    lambda x: x[0].T[:2, 1:],
    lambda x: x[..., None].transpose(3, 2, 0, 1),
    lambda x: np.broadcast_to(x[0, 0], (2, 4)),
    lambda x: np.broadcast_to(x[0][:, None], (3, 2, 4)).T,
    lambda x: np.broadcast_to(x.T[:, None], (4, 2, 3, 2)).swapaxes(0, 2),
    lambda x: x[0, 0, 0],
    lambda x: x[:, :0],
]


@given(view=st.sampled_from(VIEWS), order=st.sampled_from("CFAKfk"))
def test_orders_of_views_are_numpys(view: Callable[[Any], Any], order: str) -> None:
    assert_value(lambda x: view(x).ravel(order), M)
    assert_value(lambda x: view(x).flatten(order), M)
    assert_value(lambda x: np.ravel(view(x), order=order), M)


@given(view=st.sampled_from(VIEWS[:7]), order=st.sampled_from("CFAfa"))
def test_orders_of_new_shapes_are_numpys(view: Callable[[Any], Any], order: str) -> None:
    assert_value(lambda x: np.reshape(view(x), (-1, 2), order=order), M)
    assert_value(lambda x: view(x).reshape(2, 1, -1, order=order), M)
    assert_value(lambda x: view(x).reshape(-1, order=order), M)


def test_derivatives_follow_the_order() -> None:
    assert_derivatives(lambda x: np.sin(x.T).reshape(4, -1, order="F") * np.arange(6), M / 10)
    assert_derivatives(lambda x: np.cos(x).swapaxes(0, 2).ravel("K") * np.arange(24), M / 10)


def test_what_numpy_reads_as_a_view_is_one() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        y.T.ravel("F")[1] = 7.0  # the memory of y
        y.ravel("F")[2] = 9.0  # a copy
        y.T.reshape(-1, 2, order="F")[0] = x[0, 0, :2]
        y.T.flatten("F")[3] = 5.0
        return y

    assert_value(f, M)


def test_what_numpy_copies_in_an_order_is_laid_out_in_it() -> None:
    def f(x: Any) -> Any:
        y = x.reshape(4, 6, order="F")  # a copy, in that order
        y.T.reshape(-1)[0] = 7.0  # so this is a view
        y.reshape(-1)[1] = 9.0  # and this a copy
        return y, y.ravel("K"), np.reshape(x, (2, 12), order="F").ravel("A")

    assert_value(f, M)


def test_unknown_orders_are_refused_as_by_numpy() -> None:
    with pytest.raises(ValueError, match="order must be one of"):
        sad.jit(lambda x: x.ravel("Z"))(M)
    with pytest.raises(ValueError, match="not permitted for reshaping"):
        sad.jit(lambda x: x.reshape(-1, order="K"))(M)


@pytest.mark.parametrize("order", "CFA")
@pytest.mark.parametrize("shape", [(), (1,), (12,), (2, 6), (1, 12), (2, 3, 2), (0,), (0, 3)])
def test_arrays_of_any_shape_are_read_and_written_in_an_order(shape: tuple[int, ...], order: Any):
    x = np.arange(float(np.prod(shape, dtype=int))).reshape(shape)
    targets = [(-1,), (x.size, 1), (1, x.size, 1), *([(2, -1), (-1, 3), (2, 2, -1)] if x.size == 12 else [])]
    for target in targets:

        def f(x: Any, target: Any = target) -> Any:
            y = np.copy(x)
            z = y.reshape(target, order=order)
            z[...] = z * 2 + 1
            return y, z, np.reshape(x, target, order=order), np.reshape(x.T, target, order=order)

        for one, other in zip(sad.jit(f)(x), f(x), strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


COPIES: list[Callable[[Any], Any]] = [
    np.copy,
    np.zeros_like,
    lambda x: x.astype(np.float32),
    lambda x: x.copy("K"),
    np.negative,
    lambda x: np.sort(x, axis=-1),
    lambda x: np.concatenate([x, x]),
    lambda x: np.stack([x, x], axis=-1),
    lambda x: np.cumsum(x, axis=0),
    lambda x: x.cumsum(axis=-1),
    lambda x: x.sum(axis=0),
    lambda x: np.maximum.accumulate(x),
    lambda x: np.diff(x, axis=0),
    lambda x: np.gradient(x, axis=-1),
    lambda x: np.where(x > 1, x, 0.0),
    lambda x: np.select([x > 1], [x], 0.0),
    lambda x: np.pad(x, 1),
    lambda x: np.fft.fft(x, axis=0),
    lambda x: np.median(x, axis=-1, keepdims=True),
    lambda x: x[..., [0, 0, 1]],
    lambda x: x[np.array([[0, 0], [0, 0]]).T],
    lambda x: x[None, :, [0, 0]] if x.ndim > 1 else x,
    lambda x: x[np.argsort(x, axis=0)[:2], 0] if x.ndim > 1 else x,
    lambda x: x[:, np.ones(x.shape[1], bool)] if x.ndim > 1 else x,
    lambda x: x[:, [0] * x.shape[2], np.ones(x.shape[2], bool)] if x.ndim > 2 else x,
    lambda x: x[True, :, [0, 0, 0]] if x.ndim > 1 else x,
]


@given(view=st.sampled_from(VIEWS[:10]), copy=st.sampled_from(COPIES))
def test_what_numpy_lays_out_as_its_operand_is_read_and_written_so(
    view: Callable[[Any], Any], copy: Callable[[Any], Any]
) -> None:
    def written(x: Any) -> Any:
        y = copy(view(x))
        flat = y.reshape(-1)  # a view of y where its elements follow each other, a copy elsewhere
        flat[1:2] = 7.0
        return y

    assert_value(lambda x: copy(view(x)).ravel("K"), M)
    assert_value(written, M)
