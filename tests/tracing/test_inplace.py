"""Arrays changed in place inside a traced function hold what NumPy's would, views and all.

Invariant: every program of the property tests runs on NumPy arrays and on traced ones, by the same code.
Start at ``STEPS``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.errors import ConcretizationError, DTypeError, MutationError, ShapeError

Pool = list[Any]


def _set_row(pool: Pool, a: int, b: int) -> None:
    pool[a][0] = pool[b][0]


def _set_slice(pool: Pool, a: int, b: int) -> None:
    pool[a][1:] = 2.0 * pool[b][: len(pool[a]) - 1][-1]


def _add_into_slice(pool: Pool, a: int, b: int) -> None:
    pool[a][1:] += np.sum(pool[b])


def _scale(pool: Pool, a: int, b: int) -> None:
    pool[a] *= 1.5


def _shift(pool: Pool, a: int, b: int) -> None:
    pool[a][1:] = pool[a][:-1]


def _swap(pool: Pool, a: int, b: int) -> None:
    x = pool[a]
    x[0], x[-1] = x[-1], x[0]


def _out(pool: Pool, a: int, b: int) -> None:
    np.multiply(pool[a], 0.5, out=pool[a])


def _masked_out(pool: Pool, a: int, b: int) -> None:
    np.subtract(pool[a], 1.0, out=pool[a], where=np.arange(pool[a].size).reshape(pool[a].shape) % 2 == 0)


def _fill(pool: Pool, a: int, b: int) -> None:
    pool[a][-1:].fill(3.0)


def _reverse_in_place(pool: Pool, a: int, b: int) -> None:
    pool[a][::-1] += np.arange(len(pool[a])).reshape(-1, *[1] * (pool[a].ndim - 1))


def _rows(pool: Pool, a: int, b: int) -> None:
    for k, row in enumerate(pool[a]):
        row += k  # a number where the array has one axis, a view where it has more


def _copyto(pool: Pool, a: int, b: int) -> None:
    np.copyto(pool[a], np.mean(pool[b]), where=pool[a] > 1.03)


def _scatter(pool: Pool, a: int, b: int) -> None:
    pool[a][[0, -1]] = -1.0


def _accumulate(pool: Pool, a: int, b: int) -> None:
    np.add.at(pool[a], [0, 0, -1], 0.25)


MAKERS: dict[str, Callable[[Any], Any]] = {
    "the array again": lambda x: x,
    "a slice": lambda x: x[1:],
    "a slice with a step": lambda x: x[::2],
    "reversed": lambda x: x[::-1],
    "transposed": lambda x: x.T,
    "flat": lambda x: x.reshape(-1),
    "ravel": np.ravel,
    "a copy": lambda x: x.copy(),
    "flatten": lambda x: x.flatten(),
    "an axis more": lambda x: x[None],
    "squeezed": np.squeeze,
    "the last row": lambda x: x[-1:],
    "fancy": lambda x: x[[0, -1]],
    "itself": lambda x: np.asarray(x),
    "np.copy": np.copy,
    "deepcopy": copy.deepcopy,
    "a sum": lambda x: x + 0.0,
    "astype": lambda x: x.astype(float),
    "half": lambda x: np.split(x[: len(x) // 2 * 2], 2)[1] if len(x) > 1 else x,
    "zeros": np.zeros_like,
}
STEPS: list[Callable[[Pool, int, int], None]] = [
    _set_row, _set_slice, _add_into_slice, _scale, _shift, _swap, _out, _masked_out, _fill, _reverse_in_place, _rows,
    _copyto, _scatter, _accumulate,
]  # fmt: skip

Instruction = tuple[Any, int, int]
programs = st.lists(
    st.tuples(st.one_of(st.sampled_from(sorted(MAKERS)), st.sampled_from(STEPS)), st.integers(0, 9), st.integers(0, 9)),
    min_size=3,
    max_size=12,
)
X = np.array([[0.5, 1.5, -1.0], [2.0, 0.25, 3.0], [-0.5, 1.0, 0.75], [1.25, -2.0, 0.1]])


def run(program: list[Instruction], x: Any) -> Pool:
    """The arrays that a program leaves; steps that NumPy refuses for their shapes are left out."""
    pool: Pool = [x.copy(), np.zeros(3)]
    for what, a, b in program:
        if isinstance(what, str):
            if pool[a % len(pool)].size:
                pool.append(MAKERS[what](pool[a % len(pool)]))
        elif pool[a % len(pool)].size and pool[b % len(pool)].size and pool[a % len(pool)].ndim:
            what(pool, a % len(pool), b % len(pool))
    return pool


def runs(program: list[Instruction]) -> bool:
    try:
        run(program, X)
    except (ValueError, IndexError, TypeError):
        return False
    return True


@given(programs.filter(runs))
def test_in_place_programs_leave_what_numpy_leaves(program: list[Instruction]):
    expected = run(program, X)
    found, tangents = sad.jvp(lambda x: run(program, x), (X,), (np.ones_like(X),))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b, t in zip(run(program, X + 1e-6), run(program, X - 1e-6), tangents, strict=True):
        np.testing.assert_allclose(t, (a - b) / 2e-6, rtol=1e-6, atol=1e-6)


COMPILED = [
    [("a slice", 0, 0), (_add_into_slice, 2, 0), ("transposed", 0, 0), (_rows, 3, 0), (_shift, 0, 0)],
    [("reversed", 0, 0), ("a slice with a step", 2, 0), (_out, 3, 0), (_accumulate, 0, 0), (_scatter, 2, 0)],
    [("flat", 0, 0), (_masked_out, 2, 0), (_copyto, 2, 0), ("a copy", 2, 0), (_fill, 2, 0), (_swap, 3, 0)],
]


@pytest.mark.parametrize("program", COMPILED)
def test_compiled_programs_do_too(program: list[Instruction]):
    found = sad.jit(lambda x: run(program, x))(X)
    for a, b in zip(found, run(program, X), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)
    gradient = sad.jit(sad.grad(lambda x: sum(np.sum(y * y) for y in run(program, x))))(X)
    np.testing.assert_allclose(gradient, sad.grad(lambda x: sum(np.sum(y * y) for y in run(program, x)))(X))


# -- what is refused ----------------------------------------------------------------------------------------------

OUTSIDE = np.ones(3)


def _change_argument(x: Any) -> Any:
    x[0] = 1.0
    return np.sum(x)


def _change_view_of_argument(x: Any) -> Any:
    row = x[1:]
    row *= 2.0
    return np.sum(x)


def _add_to_argument(x: Any) -> Any:
    x += 1.0
    return np.sum(x)


def _out_is_argument(x: Any) -> Any:
    return np.sum(np.exp(x, out=x))


def _sort_argument(x: Any) -> Any:
    x.sort()
    return np.sum(x)


def _change_outside(x: Any) -> Any:
    OUTSIDE[:] += x
    return np.sum(x)


def _change_read_only(x: Any) -> Any:
    wide = np.broadcast_to(x.copy(), (2, 3))
    wide[0] = 1.0
    return np.sum(wide)


def _change_from_inner(x: Any) -> Any:
    kept = np.zeros(3)

    def inner(y: Any) -> Any:
        kept[0] = y
        return y * y

    return sad.grad(inner)(x[0]) + np.sum(kept)


@pytest.mark.parametrize("transform", [sad.grad, sad.jit, lambda f: lambda x: sad.vmap(f)(x[None])])
@pytest.mark.parametrize(
    ("f", "line", "advice"),
    [
        (_change_argument, 1, "x.copy()"),
        (_change_view_of_argument, 2, "x.copy()"),
        (_add_to_argument, 1, "x.copy()"),
        (_out_is_argument, 1, "x.copy()"),
        (_sort_argument, 1, "x.copy()"),
        (_change_outside, 1, "u = np.array("),
        (_change_read_only, 2, "x.copy()"),
        (_change_from_inner, 4, "carry"),
    ],
)
def test_arrays_of_others_are_not_changed(f: Any, line: int, advice: str, transform: Any):
    x = np.array([1.0, 2.0, 3.0])
    with pytest.raises((MutationError, ConcretizationError)) as caught:
        transform(f)(x)
    assert advice in str(caught.value)
    assert f"{__file__}:{f.__code__.co_firstlineno + line}" in str(caught.value)
    np.testing.assert_array_equal(x, [1, 2, 3])
    np.testing.assert_array_equal(OUTSIDE, 1)


def test_what_numpy_cannot_cast_or_broadcast_is_refused():
    def floats_into_integers(x: Any) -> Any:
        counts = np.zeros(3, int)
        counts += x
        return counts

    def too_long(x: Any) -> Any:
        short = np.zeros(2)
        short += x
        return short

    with pytest.raises(DTypeError, match="same_kind"):
        sad.jit(floats_into_integers)(np.ones(3))
    with pytest.raises(ShapeError, match="non-broadcastable"):
        sad.jit(too_long)(np.ones((3, 2)))


def test_loop_bodies_change_their_carry_in_place():
    def f(x: Any) -> Any:
        def body(i: Any, y: Any) -> Any:
            y[i] += np.sum(y)
            y[1:] *= 0.5
            return y

        return sad.fori_loop(0, 3, body, x)

    def expected(x: Any) -> Any:
        y = x.copy()
        for i in range(3):
            y[i] += np.sum(y)
            y[1:] *= 0.5
        return y

    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(sad.jit(f)(x), expected(x))
    np.testing.assert_allclose(sad.jacobian(f)(x), sad.jacobian(expected)(x))
    np.testing.assert_array_equal(x, [1, 2, 3])


def test_branches_do_not_change_their_operands():
    def change(x: Any) -> Any:
        x += 1.0
        return x

    x = np.ones(2)
    for choose in (lambda x: x[0] > 0, lambda x: True):
        with pytest.raises(MutationError, match="copy"):
            sad.jit(lambda x, choose=choose: sad.cond(choose(x), change, change, x))(x)


def test_a_pullback_keeps_the_values_it_was_made_at():
    def f(x: Any) -> Any:
        y = x * 1.0
        _, pullback = sad.vjp(lambda y: np.sum(y**3), y)
        y[0] = 100.0
        return pullback(1.0)[0]

    np.testing.assert_array_equal(sad.jit(f)(np.array([1.0, 2.0])), [3.0, 12.0])


@pytest.mark.parametrize(
    "write",
    [
        lambda x: np.copyto(x, 3.0),
        lambda x: x.__setitem__(..., 3.0),
        lambda x: np.add.at(x, (), 1.0),
        lambda x: np.negative(x, out=x),
        lambda x: np.sum(np.ones(3), out=x),
        lambda x: np.ones(3).sum(out=x),
        lambda x: np.place(x, [True], [3.0]),
    ],
)
def test_numbers_are_not_written_to(write: Any) -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        write(y)
        return y

    with pytest.raises((TypeError, AttributeError)):
        f(np.float64(2.0))
    with pytest.raises(MutationError, match="number cannot be written to"):
        sad.jit(f)(2.0)


def test_an_ellipsis_makes_an_array_of_a_number() -> None:
    def f(x: Any) -> Any:
        total, first = np.sum(x), x[0][...]
        y = total[...]
        z = np.asarray(y)
        z /= 2.0
        first[...] = 7.0
        return total, y, first

    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(sad.jit(f)(x), f(x))


def test_an_element_at_an_array_without_axes_and_an_ellipsis_is_an_array() -> None:
    def f(x: Any) -> Any:
        y = x[1, np.array(2), ..., 3]
        y.ravel()[:] = 8.0
        return y

    x = np.arange(24.0).reshape(2, 3, 4)
    assert f(x.copy()) == sad.jit(f)(x) == 8.0
