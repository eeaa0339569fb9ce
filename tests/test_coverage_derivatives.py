"""Every supported function on its examples, of real and of complex arguments: derivatives, batches, compiled.

Invariant: complex results count with their real and imaginary parts; cotangents pair as in docs/complex.md.
Start at ``test_derivatives_are_those_of_finite_differences``; values are in test_coverage.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.api.calling import trace_call
from staged_ad.ir import evaluate
from tests.coverage.complexes import BY_NUMPY, REAL_ONLY
from tests.coverage.example import Example
from tests.numerics import assert_close, directional, inner
from tests.test_coverage import NAMES, examples, is_mixed, leaves, of_complex_numbers, quietly, taken


def vector(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` with all of its floating-point and complex results as one vector."""

    def flat(*xs: Any) -> Any:
        return flattened(y for y in leaves(call(*xs)) if y.dtype.kind in "fc")

    return flat


def flattened(parts: Any) -> Any:
    return np.concatenate([np.reshape(y, -1) for y in parts])


def smooth(many: list[Example]) -> list[Example]:
    """Examples with derivatives."""
    return [
        e
        for e in many
        if e.smooth and any(np.asarray(y).dtype in (float, complex) for y in leaves(quietly(e.reference, *e.args)))
    ]


def randomly(values: Any, seed: int) -> tuple[Any, ...]:
    """Random numbers of the shapes of `values`, complex where these are."""
    rng = np.random.default_rng(seed)
    draw = lambda x: rng.uniform(-1, 1, np.shape(x))
    return tuple(draw(x) + 1j * draw(x) if np.iscomplexobj(x) else draw(x) for x in values)


def directions(example: Example) -> tuple[Any, ...]:
    return randomly(example.args, 1)


def weights(example: Example) -> Any:
    """The cotangent of its results, as one vector."""
    return randomly([quietly(vector(example.reference), *example.args)], 2)[0]


def weighed(example: Example) -> Callable[..., Any]:
    """The real part of the sum of its results, weighed."""
    f, w = vector(example.call), weights(example)
    return lambda *xs: np.sum((f(*xs) * w).real)


def derivatives(example: Example, args: Any, v: Any, w: Any, scalar: Callable[..., Any]) -> dict[str, Any]:
    """First derivatives along `v` and of the results weighed by `w`, second derivatives, and the value of a batch."""
    f = vector(example.call)
    every = tuple(range(len(v)))
    gradient, along = sad.jvp(sad.grad(scalar, argnums=every), args, v)
    return {
        "jvp": sad.jvp(f, args, v)[1],
        "vjp": sad.vjp(f, *args)[1](w),
        "gradient": gradient,
        "forward over reverse": along,
        "reverse over forward": sad.grad(lambda *xs: sad.jvp(scalar, xs, v)[1], argnums=every)(*args),
        "batch": sad.vmap(f)(*[np.stack([x, np.flip(x)]) for x in args]),
    }


REAL = {name: many for name in NAMES if (many := smooth(examples(name)))}


@pytest.mark.parametrize("name", REAL)
def test_derivatives_are_those_of_finite_differences(name: str):
    check(REAL[name], REAL[name])


WITHOUT = {f"{module}.{name}": reason for reason, module, names in REAL_ONLY for name in names.split()}


@pytest.mark.parametrize("name", [name for name in REAL if name not in WITHOUT])
def test_derivatives_of_complex_arguments_are_those_of_finite_differences(name: str):
    many = smooth(taken(name))
    assert many
    check(many, ([e for e in many if not is_mixed(e)] or many)[:2])  # values of all are compiled in test_coverage.py


@pytest.mark.parametrize("name", WITHOUT)
def test_functions_said_to_take_no_complex_numbers_take_none(name: str):
    assert name in REAL
    reason = WITHOUT[name]
    refused = [e for e in smooth(of_complex_numbers(name)) if any(np.size(x) for x in e.args)]
    assert (refused == []) is (reason == BY_NUMPY)
    for example in refused:
        with pytest.raises(sad.errors.StagedADError, match=reason):
            trace_call(lambda *xs, e=example: leaves(e.call(*xs)), example.args, {})


def check(many: list[Example], compiled: list[Example]) -> None:
    """All of them as they are, and some of them compiled, as one program."""
    fixed = [(directions(e), weights(e), weighed(e)) for e in many]
    found = [derivatives(e, e.args, *rest) for e, rest in zip(many, fixed, strict=True)]
    for example, got in zip(many, found, strict=True):
        check_eager(example, got)
    rows = [row for row in zip(many, fixed, found, strict=True) if any(row[0] is e for e in compiled)]
    program = sad.jit(lambda xs: [derivatives(row[0], args, *row[1]) for row, args in zip(rows, xs, strict=True)])
    for (_, _, got), other in zip(rows, program([row[0].args for row in rows]), strict=True):
        for key in got:
            for one, two in zip(leaves(got[key]), leaves(other[key]), strict=True):
                assert_close(two, one, 1e-10)


def check_eager(example: Example, got: dict[str, Any]) -> None:
    f, v, w = vector(example.reference), directions(example), weights(example)
    assert_close(got["jvp"], quietly(directional, f, example.args, v), 1e-7)
    assert_close(inner(got["vjp"], v), inner([got["jvp"]], [w]), 1e-10)
    assert_close(flattened(got["gradient"]), flattened(got["vjp"]), 1e-11)
    assert [np.asarray(bar).dtype for bar in got["vjp"]] == [np.asarray(x).dtype for x in example.args]
    gradient = trace_call(sad.grad(weighed(example), argnums=tuple(range(len(v)))), example.args, {}).program
    second = directional(lambda *xs: flattened(evaluate(gradient, *xs)), example.args, v)
    assert_close(flattened(got["forward over reverse"]), second, 1e-6)
    assert_close(flattened(got["reverse over forward"]), flattened(got["forward over reverse"]), 1e-9)
    batch = [quietly(f, *(g(x) for x in example.args)) for g in (lambda x: x, np.flip)]
    assert_close(got["batch"], np.stack(batch), 1e-11)
