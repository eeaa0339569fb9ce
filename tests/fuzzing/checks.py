"""What a case is compared with: loops over slices, finite differences, and NumPy up to rounding.

Invariant: differences that rounding explains are none, as perturbed arguments show.
Start at ``difference``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import partial, reduce
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.linalg import _linalg

import staged_ad as sad
from tests.backends import through_program as through_program
from tests.fuzzing.infinite import is_inherent


class Mismatch(Exception):  # noqa: N818  # what a check says, no error of the program
    """Two values differ."""


def unfailing() -> AbstractContextManager[Any]:
    """NumPy with NaN for what it cannot factor or solve, in place of an error."""
    names = [name for name in vars(_linalg) if name.startswith("_raise_linalgerror_")]
    return patch.multiple(_linalg, **dict.fromkeys(names, lambda *args: None))


def without_numbers(place: int) -> AbstractContextManager[Any]:
    """NumPy with `place` for where the largest number is among NaN alone, in place of an error."""
    names = ("nanargmax", "nanargmin")
    kept = {name: getattr(np, name) for name in names}

    def found(name: str, a: Any, axis: Any = None, **options: Any) -> Any:
        nothing = np.all(np.isnan(a), axis=axis, keepdims=True)
        places = kept[name](np.where(nothing, 0.0, a), axis, **options)
        return places + place * nothing.reshape(np.shape(places))

    return patch.multiple(np, **{name: partial(found, name) for name in names})


def first_of_zeros() -> AbstractContextManager[Any]:
    """NumPy with the first one as the larger and the smaller one of equal numbers: 0.0 and -0.0 are equal."""
    kept = {name: getattr(np, name) for name in ("maximum", "minimum")}

    def first(name: str, a: Any, b: Any, **options: Any) -> Any:
        found = kept[name](a, b, **options)
        return np.where(np.equal(a, b), a, found).astype(found.dtype)[()]

    return patch.multiple(np, **{name: partial(first, name) for name in kept})


def sums_before_products() -> AbstractContextManager[Any]:
    """NumPy with sums over what one operand of np.einsum alone has before the products: docs/linalg.md."""
    kept = np.einsum

    def einsum(text: Any, *operands: Any, **options: Any) -> Any:
        if not isinstance(text, str) or "->" not in text:
            return kept(text, *operands, **options)
        left, result = text.split("->")
        terms, summed = left.split(","), []
        for k, (term, x) in enumerate(zip(terms, operands, strict=True)):
            needed = {"...", *result, *"".join(terms[:k] + terms[k + 1 :])}
            terms[k] = "".join(label for label in dict.fromkeys(re.findall(r"\.\.\.|\w", term)) if label in needed)
            summed.append(kept(f"{term}->{terms[k]}", x))
        return kept(f"{','.join(terms)}->{result}", *summed, **options)

    return patch.multiple(np, einsum=einsum)


def other_signs_of_nan() -> AbstractContextManager[Any]:
    """NumPy with NaN of the other sign."""
    signbit, copysign = np.signbit, np.copysign
    return patch.multiple(
        np,
        signbit=lambda x, **options: signbit(x, **options) ^ np.isnan(x),
        copysign=lambda a, b, **options: copysign(a, np.where(np.isnan(b), -b, b)[()], **options),
    )


def hold_nothing_finite(y: Any, z: Any) -> bool:
    """Whether no element of either result is a finite number, of as many and the same shapes."""
    parts, others = leaves(y), leaves(z)
    alike = [x.shape for x in parts] == [x.shape for x in others]
    return alike and not any(np.any(np.isfinite(x)) for x in (*parts, *others))


def free_of_nan(y: Any) -> bool:
    """Whether all results are numbers of a kind that could be NaN, and none is."""
    return all(leaf.dtype.kind in "fc" and not np.any(np.isnan(leaf)) for leaf in leaves(y))


def leaves(y: Any) -> list[Any]:
    """The arrays of a result."""
    return [leaf for part in y for leaf in leaves(part)] if isinstance(y, tuple | list) else [np.asarray(y)]


def sliced(args: Sequence[Any], axes: Sequence[int | None], k: int) -> list[Any]:
    return [x if axis is None else x[(slice(None),) * axis + (k, ...)] for x, axis in zip(args, axes, strict=True)]


def each(f: Callable[..., Any], args: Sequence[Any], axes: Sequence[int | None]) -> Any:
    """What vmap means: `f` of every slice, stacked."""
    results = [leaves(f(*sliced(args, axes, k))) for k in range(2)]
    return [np.stack(parts) for parts in zip(*results, strict=True)]


def widened(y: Any, found: Any) -> list[Any]:
    """The arrays of a result, NaN of single precision in double precision where it was found so."""
    parts, others = leaves(y), leaves(found)
    wide = [np.any(np.isnan(x)) and (x.dtype, z.dtype) == ("f4", "f8") for x, z in zip(parts, others, strict=False)]
    return [x.astype(float) if is_wide else x for x, is_wide in zip(parts, wide, strict=False)]


def as_number(x: Any) -> Any:
    """An array without axes as the number that NumPy would have."""
    return x[()] if isinstance(x, np.ndarray) else x


def each_of_numbers(f: Callable[..., Any], args: Sequence[Any], axes: Sequence[int | None]) -> Any:
    """The same with numbers for slices without axes, for which vmapped ones pass."""
    return each(lambda *xs: f(*map(as_number, xs)), args, axes)


def scanned(f: Callable[..., Any], args: Sequence[Any], axes: Sequence[int | None]) -> Any:
    """`f` of every slice by a scan."""
    moved = tuple(np.moveaxis(x, axis, 0) for x, axis in zip(args, axes, strict=True) if axis is not None)

    def step(count: Any, parts: Any) -> Any:
        given = iter(parts)
        return count + 1, f(*(x if axis is None else np.array(next(given)) for x, axis in zip(args, axes, strict=True)))

    return sad.scan(step, 0, moved)[1]


def np_first(y: Any) -> list[Any]:
    """The last axes of results in front."""
    return [np.moveaxis(leaf, -1, 0) for leaf in leaves(y)]


def looped(f: Callable[..., Any], n: Any, xs: Sequence[Any]) -> Any:
    """`f` again and again, `n` times."""
    return sad.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, f(*xs)), (0, f(*xs)))[1]


def recalled(f: Callable[..., Any], args: Sequence[Any]) -> Any:
    """What a compiled function gives that has taken other branches before."""
    compiled = sad.jit(f)
    for change in (np.flip, np.negative, np.ones_like):
        with suppress(Exception):  # of other arguments
            compiled(*(change(x) if isinstance(x, np.ndarray) and x.dtype != bool else x for x in args))
    return compiled(*args)


def donated(f: Callable[..., Any], args: Sequence[Any]) -> Any:
    """Results in the memory of arguments, of which those that are arrays have copies."""
    compiled = sad.jit(f, donate_argnums=tuple(range(len(args))))
    for _ in range(2):
        given = [x.copy(order="K") if isinstance(x, np.ndarray) else x for x in args]
        found = compiled(*given)
    return found


def in_threads(f: Callable[..., Any], args: Sequence[Any]) -> Any:
    """Three calls at once, of which the last one's result counts."""
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: f(*args), range(3)))
    if any(a.tobytes() != b.tobytes() for one in found for a, b in zip(leaves(one), leaves(found[0]), strict=True)):
        raise Mismatch("threads differ")
    return found[-1]


def mapped_twice(f: Callable[..., Any], args: Sequence[Any], axes: Sequence[int | None]) -> Any:
    """vmap of vmap, the outer one of one slice in the last place."""
    whole = sad.vmap(sad.vmap(f, in_axes=tuple(axes)), in_axes=tuple(None if axis is None else -1 for axis in axes))
    given = [x if axis is None else x[..., None] for x, axis in zip(args, axes, strict=True)]
    return [y[0] for y in leaves(whole(*given))]


def difference(
    found: Any, expected: Any, perturbed: Callable[[], list[Any]], low: bool, slack: float = 0.0
) -> str | None:
    """How results differ, or None."""
    found, expected = leaves(found), leaves(expected)
    if len(found) != len(expected):
        return f"{len(found)} results instead of {len(expected)}"
    others = None
    if [y.shape for y in found] != [y.shape for y in expected]:  # a length may be a number rounded to an integer
        others = perturbed()
        shapes = [y.shape for y in found]
        expected = next((o for o in map(leaves, others) if [y.shape for y in o] == shapes), expected)
    for k, (one, two) in enumerate(zip(found, expected, strict=True)):
        if one.dtype.newbyteorder("=") != two.dtype.newbyteorder("="):
            return f"dtype {one.dtype} instead of {two.dtype}"
        if one.shape != two.shape:
            return f"shape {one.shape} instead of {two.shape}"
        if close(one, two, slack, low):
            continue
        others = perturbed() if others is None else others
        if not explained(one, two, [leaves(o)[k] for o in others if o is not None], low):
            return f"value {one.tolist()} instead of {two.tolist()}"
    return None


def close(one: Any, two: Any, slack: Any, low: bool) -> bool:
    """Equality up to rounding, and `slack`."""
    if two.dtype.kind not in "fc":
        return bool(np.array_equal(one, two))
    half, narrow = two.dtype.name == "float16", low or two.dtype.name in ("float32", "complex64")
    one, two = (np.asarray(x, float) if half else x for x in (one, two))
    finite = np.isfinite(two)
    if two.dtype.kind == "c":  # which part of a complex number is not finite, depends on the order of products
        if not np.array_equal(finite, np.isfinite(one)):
            return False
    elif not np.array_equal(one[~finite], two[~finite], equal_nan=True):
        return False
    one, two = one[finite], two[finite]
    tolerance = 3e-3 if half else 3e-5 if narrow else 1e-9
    scale = np.minimum(np.max(np.abs(two), initial=0.0), 1e6 * np.abs(two) + 1.0) if two.size else 0.0
    tiny = 1e-7 if half else 1e-37 if narrow else 1e-300
    return bool(np.all(np.abs(one - two) <= tolerance * (np.abs(two) + 1e-2 * scale) + slack + tiny))


def nudged(y: Any, rng: np.random.Generator, low: bool, computed: bool = False) -> Any:
    """`y` with other last digits; of what is `computed`, zeros may be differences of large numbers, and such zeros."""
    if isinstance(y, tuple):
        return tuple(nudged(part, rng, low, computed) for part in y)
    if getattr(y, "dtype", np.dtype(int)).kind not in "fc":
        return y
    eps = 1e-3 if y.dtype.name == "float16" else 2e-7 if low else 1e-15
    with np.errstate(all="ignore"):
        largest = np.max(np.abs(y[np.isfinite(y)]), initial=1.0) if computed else 0.0
        largest = largest * (1 + 1j) if y.dtype.kind == "c" else largest  # zeros at branch cuts have any sign
        moved = y * (1 + eps * rng.integers(-2, 3, np.shape(y))) + eps / 4 * largest * rng.integers(-1, 2, np.shape(y))
        vanishing = (np.abs(moved) <= 2 * eps * np.abs(largest)) & (rng.integers(0, 3, np.shape(y)) == 0)
        return np.where(vanishing, 0.0, moved).astype(y.dtype)


def in_order(y: Any) -> Any:
    """Arrays in C order."""
    return tuple(map(in_order, y)) if isinstance(y, tuple) else np.array(y, order="C")[()]


def explained(one: Any, two: Any, others: Sequence[Any], low: bool) -> bool:
    """Whether small changes of the arguments change the result as much, and at the same places."""
    others = [o for o in others if o.shape == two.shape]
    if two.dtype.kind not in "fc":
        return bool(np.all((one == two) | _anywhere(o != two for o in others)))
    with np.errstate(all="ignore"):
        jumps = [(np.isfinite(o) != np.isfinite(two)) | (abs(o - two) > 1e-3 * (1 + abs(two))) for o in others]
    steady = ~_anywhere(jumps) & np.ones(two.shape, bool)
    one, two, others = one[steady], two[steady], [o[steady] for o in others]
    finite = np.isfinite(two)
    moved = max((float(np.max(np.abs(o[finite] - two[finite]), initial=0.0)) for o in others), default=0.0)
    return close(one, two, 100 * moved, low)


def _anywhere(masks: Iterable[Any]) -> Any:
    """Where one of the masks is true."""
    return reduce(np.logical_or, masks, np.False_)


# -- derivatives ------------------------------------------------------------------------------------------------------


def vector(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` with its real results of double precision as one vector of bounded numbers."""

    def flat(*xs: Any) -> Any:
        y = f(*xs)
        parts = [np.asarray(p) if isinstance(p, float) else p for p in (y if isinstance(y, tuple | list) else [y])]
        parts = [p for p in parts if getattr(p, "dtype", None) is not None]
        parts = [np.reshape(p, (-1,)) for p in parts if p.dtype.name == "float64"]
        return np.concatenate([p * (0.3 + np.arange(p.shape[0])) for p in parts]) if parts else np.zeros(0)

    return flat


def slope(g: Callable[..., Any], args: Sequence[Any], v: Sequence[Any]) -> Any:
    """The derivative by differences; NaN where they do not agree on one."""

    def at(t: float) -> Any:
        with np.errstate(all="ignore"):
            return np.asarray(g(*(np.asarray(x + t * d) for x, d in zip(args, v, strict=True))))

    h = 1e-5
    odd = np.sqrt(3) * h  # of no simple ratio: what turns, as in np.unwrap, may turn twice as often within two steps
    y, *others = (at(t) for t in (0.0, h, -h, 2 * h, -2 * h, odd, -odd))
    up, down, up2, down2, ahead, behind = others
    if any(z.shape != y.shape for z in others):
        return np.full(y.shape, np.nan)
    with np.errstate(all="ignore"):
        central, wide = (up - down) / (2 * h), (up2 - down2) / (4 * h)
        scale = 1 + np.abs(central)
        noise = 1e-14 * np.abs(y) / h
        good = np.abs(central - wide) <= 1e-5 * scale
        good &= np.abs((up - y) / h - central) <= 1e-4 * scale  # else a kink
        good &= np.abs((ahead - behind) / (2 * odd) - central) <= 1e-5 * scale
        return np.where(good & (noise < 1e-5 * scale), central, np.nan)


def compare(what: str, found: Any, expected: Any, tolerance: float) -> None:
    """Equality where both are numbers."""
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape:
        raise Mismatch(f"{what}: shape {found.shape} instead of {expected.shape}")
    known = np.isfinite(expected)
    scale = 1 + np.max(np.abs(expected[known]), initial=0.0)
    if np.any(np.isnan(found[known])) or np.any(np.abs(found[known] - expected[known]) > tolerance * scale):
        raise Mismatch(f"{what}: {found.tolist()} instead of {expected.tolist()}")


def directions(args: Sequence[Any]) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    return tuple(np.asarray(rng.uniform(-1, 1, np.shape(x))) for x in args)


def check_derivatives(f: Callable[..., Any], args: Sequence[Any]) -> None:
    """jvp is the slope, vjp its adjoint, and compiled ones are the same."""
    args = tuple(np.asarray(x) for x in args)
    g, v = vector(f), directions(args)
    expected = slope(g, args, v)
    rounding = 1e-5 if ":f32" in str(sad.trace(g)(*args)) else 1e-8
    _, y_dot = sad.jvp(g, args, v)
    compare("jvp", y_dot, expected, 1e-4)
    w = np.cos(np.arange(len(expected)))
    every = tuple(range(len(args)))
    total = lambda *xs: np.sum(g(*xs) * w)
    gradient = sad.grad(total, argnums=every)
    parts = gradient(*args)
    pairs = sum(np.sum(p * d) for p, d in zip(parts, v, strict=True))
    if np.all(np.isfinite(expected)) and not (np.isnan(pairs) and is_inherent(g, args, w)):
        compare("vjp", pairs, np.sum(y_dot * w), rounding)
    compiled = sad.jit(lambda *xs: (gradient(*xs), sad.jvp(g, xs, v)[1]))(*args)
    for k, (one, two) in enumerate(zip(compiled[0], parts, strict=True)):
        compare(f"jit(grad) {k}", one, two, rounding)
    compare("jit(jvp)", compiled[1], y_dot, rounding)


def check_second_derivatives(f: Callable[..., Any], args: Sequence[Any]) -> None:
    """The derivative of a gradient is its slope, and that of a derivative by reverse mode its adjoint."""
    args = tuple(np.asarray(x) for x in args)
    g, v = vector(f), directions(args)
    every = tuple(range(len(args)))
    total = lambda *xs: np.sum(np.sin(g(*xs)))
    if not np.isfinite(total(*args)):
        return  # what is NaN or infinite has no second derivative
    gradient = sad.grad(total, argnums=every)
    found = sad.jit(lambda *xs: sad.jvp(gradient, xs, v)[1])(*args)
    back = sad.grad(lambda *xs: sad.jvp(total, xs, v)[1], argnums=every)(*args)
    for k in every:
        expected = slope(lambda *xs, k=k: gradient(*xs)[k], args, v)
        compare(f"forward over reverse {k}", found[k], expected, 1e-4)
        if np.all(np.isfinite(expected)):
            compare(f"reverse over forward {k}", back[k], found[k], 1e-6)
