"""check_derivatives: derivatives against finite differences, and the two modes against each other. Public.

Invariant: the same function and arguments give the same verdict: directions are random, but always the same.
Start at ``check_derivatives``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.api.bodies import named
from staged_ad.api.calling import leaf_name, leaf_type
from staged_ad.api.derivatives import jvp, vjp
from staged_ad.api.structures import place
from staged_ad.errors import ArgumentError
from staged_ad.tracing.trees import TreeSpec, flatten, unflatten

_STENCIL = ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280))  # central differences of order 8
_MODES = ("forward", "reverse")
Arrays = list[Any]
Flat = Callable[..., Arrays]


def check_derivatives(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = _MODES,
    tolerance: float | None = None,
    step: float | None = None,
) -> None:
    """Raise AssertionError unless the derivatives of `f` at `args` agree with finite differences and one another.

    Along a random direction v the derivative J v by finite differences of order 8 is compared with forward mode, and
    for a random cotangent w the number <w, J v>, its real part, with <J^T w, v> of reverse mode: the two are adjoint.
    Up to `order`, the derivatives are checked in the same way, each mode over each.

    Parameters
    ----------
    f
        A function of arrays, numbers, or nests of them, smooth at `args`. Integers and booleans stay as they are.
    args
        A tuple or list with the arguments of f.
    order
        The highest derivative that is checked, an integer.
    modes
        ``"forward"``, ``"reverse"``, or both. A function with `custom_vjp` has reverse mode only.
    tolerance
        What may differ, relative to the largest number compared or to 1; default 1e-6, or 2e-3 in single precision.
    step
        Of the differences, which move the arguments up to four times as far; default 2e-3, or 0.05 in single precision.

    Raises
    ------
    AssertionError
        The message says which derivative differs, where, and by how much.
    ArgumentError
        When no argument is of floating point, or one is of float16, or a mode has another name.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> sad.check_derivatives(lambda x: np.sin(x) * x, (np.array([0.3, 1.2]),))
    """
    if not isinstance(args, tuple | list):
        raise ArgumentError(f"args must be a tuple of arguments, got {type(args).__name__}; write (x,) for one")
    if not modes or not set(modes) <= set(_MODES):
        raise ArgumentError(f"modes must be among {_MODES}, got {modes!r}")
    if (tolerance is not None and not tolerance >= 0) or (step is not None and not step > 0):
        raise ArgumentError(f"tolerance must not be negative, step must be positive, got {tolerance} and {step}")
    leaves, spec = flatten(list(args))
    types = [leaf_type(leaf, lambda k=k: leaf_name(f, range(len(args)), args, k)) for k, leaf in enumerate(leaves)]  # type: ignore[misc]
    moving = [type.inexact for type in types]
    if not any(moving):
        raise ArgumentError(f"check_derivatives of {named(f)}: no argument is of floating point")
    specs: list[tuple[TreeSpec, list[int]]] = []

    def flat(*xs: Any) -> Arrays:
        rest = iter(xs)
        full = [next(rest) if flag else leaf for leaf, flag in zip(leaves, moving, strict=True)]
        results, out_spec = flatten(f(*unflatten(spec, full)))
        found = [k for k, y in enumerate(results) if leaf_type(y, lambda: f"the result of {named(f)}").inexact]
        specs[:] = [(out_spec, found)]
        return [results[k] for k in found]

    xs = [np.asarray(leaf) for leaf, flag in zip(leaves, moving, strict=True) if flag]
    if any(x.dtype == np.float16 for x in xs):
        raise ArgumentError(
            f"check_derivatives of {named(f)}: differences of float16 tell nothing; check it with x.astype(np.float32)"
        )
    ys = flat(*xs)
    single = any(np.asarray(x).dtype in (np.float32, np.complex64) for x in [*xs, *ys])
    out_spec, kept = specs[0]
    names = [place("result", out_spec, k) for k in kept]
    if tolerance is None:
        tolerance = 2e-3 if single else 1e-6
    if step is None:
        step = 0.05 if single else 2e-3
    check = _Check(modes, tolerance, step)
    check.compare(named(f), flat, xs, names, order)


class _Check:
    """The comparison of one function and of its derivatives."""

    def __init__(self, modes: Sequence[str], tolerance: float, step: float) -> None:
        self._modes, self._tolerance, self._step = modes, tolerance, step
        self._rng = np.random.default_rng(0)

    def compare(self, about: str, f: Flat, xs: Arrays, names: Sequence[str], order: int) -> None:
        """`f` is what `about` says; its results have `names`."""
        x_dots = self._random(xs)
        expected = self._differences(f, xs, x_dots)
        y_bars = self._random(expected)

        def forward(*at: Any) -> Arrays:
            return list(jvp(f, at, tuple(x_dots))[1])

        def reverse(*at: Any) -> Arrays:
            return list(vjp(f, *at)[1](y_bars))

        if "forward" in self._modes:
            for name, found, wanted in zip(names, forward(*xs), expected, strict=True):
                self._agree(f"forward mode of {about}, {name}", found, wanted, wanted)
            if order > 1:
                self.compare(f"the forward derivative of {about}", forward, xs, names, order - 1)
        if "reverse" in self._modes:
            x_bars = reverse(*xs)
            scale = sum(float(np.sum(np.abs(a * b))) for a, b in zip(y_bars, expected, strict=True))
            self._agree(f"reverse mode of {about}", _inner(x_bars, x_dots), _inner(y_bars, expected), scale)
            if order > 1:
                places = [f"the cotangent of input {k}" for k in range(len(xs))]
                self.compare(f"the pullback of {about}", reverse, xs, places, order - 1)

    def _random(self, like: Sequence[Any]) -> Arrays:
        return [self._direction(np.asarray(x)) for x in like]

    def _direction(self, x: Any) -> Any:
        real, imaginary = self._rng.uniform(-1, 1, (2, *x.shape))
        return (real + 1j * imaginary if x.dtype.kind == "c" else np.asarray(real)).astype(x.dtype)[()]

    def _differences(self, f: Flat, xs: Arrays, x_dots: Arrays) -> Arrays:
        """The derivative of `f` along `x_dots`."""

        def at(t: float) -> Arrays:
            moved = [np.asarray(x + np.asarray(t * v, x.dtype), x.dtype)[()] for x, v in zip(xs, x_dots, strict=True)]
            return [np.asarray(y) for y in f(*moved)]

        pairs = [(weight / self._step, at(k * self._step), at(-k * self._step)) for k, weight in _STENCIL]
        parts = [[weight * (a - b) for a, b in zip(above, below, strict=True)] for weight, above, below in pairs]
        return [np.sum(terms, axis=0) for terms in zip(*parts, strict=True)]

    def _agree(self, what: str, found: Any, expected: Any, scale: Any) -> None:
        largest = max(1.0, float(np.max(np.abs(scale), initial=0)))
        difference = float(np.max(np.abs(np.asarray(found) - expected), initial=0))
        if not difference <= self._tolerance * largest:
            raise AssertionError(
                f"{what} is {np.asarray(found)!s}, by finite differences {np.asarray(expected)!s}: they differ by "
                f"{difference:.2g}"
            )


def _inner(xs: Arrays, ys: Arrays) -> float:
    return sum(float(np.sum(np.asarray(x) * y).real) for x, y in zip(xs, ys, strict=True))
