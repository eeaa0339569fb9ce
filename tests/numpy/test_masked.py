"""What a traced mask selects in vmap and staged loops, where nobody knows its length: x[mask] += y[mask] and the like.

Start at ``SELECTING``; each function there is compared with NumPy, a slice at a time, and with finite differences.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.errors import ArgumentError, IndexingError, ShapeError, StagedADError, UnsupportedError

RNG = np.random.default_rng(0)
X, Y, P = RNG.normal(size=(3, 7)), RNG.normal(size=(3, 7)), RNG.normal(size=(3, 7, 2))


def add_selected(x: Any, y: Any) -> Any:
    x, mask = x.copy(), y > 0
    x[mask] += y[mask]
    return x


def assign_by_equal_masks(x: Any, y: Any) -> Any:
    x = x.copy()
    x[y > 0] = np.exp(y[y > 0]) * 2
    x[y < 0] *= 3
    return x


def outside_of_the_domain(x: Any, y: Any) -> Any:
    x, mask = x.copy(), x > 0
    x[mask] = np.log(x[mask]) * np.sqrt(x[mask]) + 1
    return x


def change_the_selection(x: Any, y: Any) -> Any:
    chosen, x = x[y > 0], x.copy()
    chosen[chosen < 0] = 0
    chosen += 1
    chosen[chosen > 2] *= 3
    chosen[...] = chosen**2
    x[y > 0] = chosen
    return x


def selections_are_copies(x: Any, y: Any) -> Any:
    mask, x = y > 0, x.copy()
    chosen = np.copy(x[mask].copy("C"))
    mask[0] = False
    x[mask] = 1
    return x + np.sum(chosen)


def both_halves(x: Any, y: Any) -> Any:
    result, mask = np.zeros(7), x > 0
    result[mask] = x[mask] ** 2
    result[~mask] = -x[~mask]
    return result


def rows(p: Any, y: Any) -> Any:
    q, mask = p.copy(), y > 0
    q[mask, 0] = p[mask, 1] * 2
    q[mask] /= np.linalg.norm(q[mask], axis=1)[:, None]
    q[mask] -= q[mask].mean(axis=0)
    return q


def columns(p: Any, y: Any) -> Any:
    q, mask = p.T.copy(), y > 0
    q[:, mask] += p.T[:, mask] * np.array([[1.0], [2.0]])
    q[0, mask] = 3.0
    np.add.at(q, (0, mask), p[mask, 1])
    return q


def covariance(p: Any, y: Any) -> Any:
    q = p[y > 0] - p[y > 0].mean(axis=0)
    return q.T @ q + (q @ np.ones((2, 2))).sum() + (q @ np.ones(2)).max()


def planes(p: Any, y: Any) -> Any:
    q = p.copy()
    q[p > 0] = np.where(p[p > 0] > 1, 1.0, p[p > 0] ** 3)
    return q


def counts(x: Any, y: Any) -> Any:
    mask = y > 0
    return np.sum(x[mask]) / mask.sum() + x[mask].sum() / x[mask].size + np.count_nonzero(x[mask] > 0) * x[0]


def table(x: Any, y: Any) -> Any:
    mask, k = y > 0, np.argsort(y)
    return np.sum((2 * x)[k[mask]] * x[mask]) + np.sum(np.interp(x[mask], [-1.0, 0.0, 1.0], [0.0, 2.0, 1.0]))


def remainders(c: Any) -> Any:
    whole = c.copy()
    np.divmod(c, 2.0, out=(whole, c))
    np.modf(c, out=(c, None))
    return whole + c


SELECTING: list[tuple[Any, Any]] = [
    *((f, X) for f in (add_selected, assign_by_equal_masks, outside_of_the_domain, change_the_selection)),
    *((f, X) for f in (selections_are_copies, both_halves, counts, table)),
    *((f, P) for f in (rows, columns, covariance)),
    (lambda x, y: np.sum(x[y > 0]) + np.prod(x[y > 0]) + x[y > 0].mean(), X),
    (lambda x, y: np.mean(np.log(x[x > 0])) + np.add.reduce(x[x > 0]), X),
    (lambda x, y: np.max(x[y > 0]) * x[y > 0].min() + np.ptp(x[y < 0]) + np.max(x[y > 0], initial=0.5), X),
    (lambda x, y: x[y > 0].var() + np.std(x[y > 0], ddof=1) + np.average(x[y > 0], weights=y[y > 0]), X),
    (lambda x, y: x[y > 0] @ y[y > 0] + np.dot(x[y > 0], x[y > 0]) + np.vdot(y[y < 0], x[y < 0]), X),
    (lambda x, y: np.sum(np.sqrt(x[y > 0][x[y > 0] > 0])), X),
    (lambda x, y: np.linalg.norm(x[y > 0]) + np.linalg.norm(x[y > 0], 1), X),
    (lambda x, y: np.sum(np.clip(x[y > 0], -0.5, 0.5)) + x[y > 0].clip(0, 1).sum() + abs(-x[y < 0]).sum(), X),
    (lambda x, y: np.where(np.any(x[y > 0] > 1), x[y > 0].sum(), np.all(x[y < 0] < 2) * x[0]), X),
    (lambda x, y: divmod(x[y > 0], 2.0)[1].sum() + np.modf(x[y > 0])[0].sum(), X),
    (lambda x, y: (1.0 / x[y > 0] - 2.0 * x[y > 0] + x[1] * x[y > 0] ** 2).sum(), X),
    (lambda x, y: np.where(y > 0, x, 0)[x > 0].sum(), X),
    (lambda x, y: remainders(x[y > 0]).sum(), X),
]


@pytest.mark.parametrize(("f", "first"), SELECTING, ids=range(len(SELECTING)))
def test_selections_by_traced_masks_are_numpys_and_differentiate(f: Any, first: Any):
    expected = np.stack(list(map(f, first, Y)))
    np.testing.assert_allclose(sad.jit(sad.vmap(f))(first, Y), expected, rtol=1e-12)
    np.testing.assert_allclose(sad.scan(lambda c, a: (c, f(*a)), 0.0, (first, Y))[1], expected, rtol=1e-12)

    def total(x: Any, y: Any) -> Any:
        return np.sum(f(x, y) ** 2)

    v = RNG.normal(size=first.shape)
    ahead = lambda h: sad.vmap(total)(first + h * v, Y)  # is NumPy's, as was just seen
    gradient, curvature = (
        sad.vmap(sad.grad(total)),
        sad.vmap(lambda x, y, v: sad.hvp(lambda x: total(x, y), (x,), (v,))),
    )
    slopes = np.sum(gradient(first, Y) * v, axis=tuple(range(1, v.ndim)))
    np.testing.assert_allclose(slopes, (ahead(1e-6) - ahead(-1e-6)) / 2e-6, rtol=1e-5, atol=1e-6)
    change = (gradient(first + 1e-6 * v, Y) - gradient(first - 1e-6 * v, Y)) / 2e-6
    np.testing.assert_allclose(curvature(first, Y, v), change, rtol=1e-4, atol=1e-4)


@settings(max_examples=30)
@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=2, max_size=2))
def test_every_mask_selects_what_it_does_in_numpy(masks: list[list[bool]]):
    mask, x = np.array(masks), X[:2, :4]

    def f(x: Any, mask: Any) -> Any:
        y = x.copy()
        y[mask] = np.cumsum(x)[mask] - x[mask].sum()
        return y, x[mask].sum(), x[mask].prod(), np.any(x[mask] > 0), np.count_nonzero(x[mask] < 0), x[mask].size

    for k, found in enumerate(zip(*sad.vmap(f)(x, mask), strict=True)):
        for one, other in zip(found, f(x[k], mask[k]), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-14, atol=1e-14)


def test_masks_of_several_axes_select_along_all_of_them():
    with pytest.raises(IndexingError, match=r"boolean index did not match.*\(7, 2\).*\(2, 7\)"):
        sad.vmap(lambda p: np.sum(np.stack([p, p])[p > 0]))(P)
    np.testing.assert_allclose(sad.vmap(planes)(P, Y), np.stack(list(map(planes, P, Y))))
    stacked = lambda p: np.stack([p, p * p], axis=-1)[p > 0].sum(axis=0)
    np.testing.assert_allclose(sad.vmap(stacked)(P), np.stack(list(map(stacked, P))))


def test_at_takes_selections_by_traced_masks():
    def f(x: Any, y: Any) -> Any:
        mask = y > 0
        return x.at[mask].add(y[mask]) + x.at[mask].set(np.sin(y[mask])) * x.at[mask].get().sum() + x.at[mask].mul(2.0)

    total = np.sum(np.where(Y > 0, X, 0), axis=1, keepdims=True)
    expected = np.where(Y > 0, X + Y, X) + np.where(Y > 0, np.sin(Y), X) * total + np.where(Y > 0, 2 * X, X)
    np.testing.assert_allclose(sad.vmap(f)(X, Y), expected)


def test_nothing_selected_has_the_limits_of_an_empty_set():
    found = sad.vmap(lambda x: (x[x > 9].max(), x[x > 9].min(), x[x > 9].sum(), x[x > 9].mean(), x[x > 9].size))(X)
    np.testing.assert_array_equal(np.stack(found)[:, 0], [-np.inf, np.inf, 0, np.nan, 0])


def test_long_masks_need_no_variants_of_compiled_code():
    f = sad.jit(sad.grad(lambda x: np.sum(x[x > 0] ** 2)))
    for x in (np.linspace(-1, 1, 5000), np.linspace(1, -2, 5000)):
        np.testing.assert_array_equal(f(x), np.where(x > 0, 2 * x, 0))


REFUSED: list[tuple[Any, type[StagedADError], str]] = [
    (lambda x: np.sort(x[x > 0]), UnsupportedError, r"np.sort.*np.where\(mask, x, 0\)"),
    (lambda x: np.concatenate([x[x > 0], x[x <= 0]]), UnsupportedError, "np.concatenate"),
    (lambda x: len(x[x > 0]), UnsupportedError, r"np.count_nonzero\(mask\)"),
    (lambda x: x[x > 0].shape, UnsupportedError, r"np.count_nonzero\(mask\)"),
    (lambda x: list(x[x > 0]), UnsupportedError, "np.sum, np.max instead of sum, max"),
    (lambda x: 1.0 if x[x > 0] else 2.0, UnsupportedError, r"np.where\(condition"),
    (lambda x: x[x > 0][:2], UnsupportedError, "an element by position"),
    (lambda x: x[x > 0].reshape(-1), UnsupportedError, "reshape"),
    (lambda x: np.array(x[x > 0]), UnsupportedError, "a plain array"),
    (lambda x: np.maximum.accumulate(x[x > 0]), UnsupportedError, "maximum.accumulate"),
    (lambda x: np.max(x[x > 0].astype(int)), UnsupportedError, "initial="),
    (lambda x: np.sum(x[x > 0], where=x > 0), UnsupportedError, r"x\[mask & where\]"),
    (lambda x: x[x > 0] @ x, UnsupportedError, "same mask"),
    (lambda x: x[x > 0] + x, ShapeError, r"shape \(7,\).*y\[mask\]"),
    (lambda x: np.where(x[x > 0] > 1, x, 0.0), ShapeError, r"shape \(7,\)"),
    (lambda x: x[x > 0] + x[x < 0], ShapeError, "mask = x > 0"),
    (lambda x: x.copy().__setitem__(x > 0, x[x < 0]), ShapeError, "mask = x > 0"),
    (lambda x: x.copy().__setitem__(x > 0, x), ShapeError, r"np.where\(mask, value, x\)"),
    (lambda x: x.copy().__setitem__(slice(None), x[x < 0]), UnsupportedError, r"y\[mask\] = x\[mask\]"),
    (lambda x: x[x[:3] > 0], IndexingError, r"boolean index did not match.*\(3,\).*\(7,\)"),
    (lambda x: x[x[x > 0]], UnsupportedError, "index of another array"),
]


@pytest.mark.parametrize(("f", "error", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_needs_the_length_is_refused_with_advice(f: Any, error: type[StagedADError], said: str):
    with pytest.raises(error, match=said) as caught:
        sad.vmap(f)(X)
    assert f"{__file__}:{f.__code__.co_firstlineno}" in str(caught.value)


def test_a_selection_does_not_leave_the_traced_function():
    with pytest.raises(ArgumentError, match=r"result of <lambda> must be an array.*np.where\(mask, x, 0\)"):
        sad.vmap(lambda x: x[x > 0])(X)


@pytest.mark.parametrize("compare", ["__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"])
def test_comparisons_with_what_a_mask_selects_are_those_of_its_elements(compare: str) -> None:
    def f(x: Any) -> Any:
        result, mask = np.zeros(7), x > 0
        result[mask] = getattr(operator, compare)(x[0], x[mask])
        return result

    np.testing.assert_array_equal(sad.jit(sad.vmap(f))(X), np.stack([f(x) for x in X]))


def test_parts_of_a_selection_are_not_assigned():
    def f(z: Any) -> Any:
        selected = z[abs(z) > 1]
        selected.real = 1.0
        return selected.sum()

    with pytest.raises(UnsupportedError, match=r"an assignment to the attribute real .*write c = a \+ 1j"):
        sad.vmap(f)(np.array([[3 + 1j, 0.1j], [0.1, 2j]]))
