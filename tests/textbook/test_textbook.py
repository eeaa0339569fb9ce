"""Ten codes as textbooks have them, which know of NumPy alone: their derivatives against finite differences.

Invariant: nothing in the modules under test says that they will be differentiated.
Start at ``test_values_and_gradients``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import StagedADError
from tests.backends import through_program
from tests.numerics import assert_close, assert_same, directional, inner
from tests.textbook.cases import CASES, COMPILED_TWICE, Case

ALL = [
    pytest.param(
        case,
        id=f"{module}-{case.name}",
        marks=[pytest.mark.xfail(reason=case.missing, raises=StagedADError)] if case.missing else [],
    )
    for module, cases in CASES.items()
    for case in cases
]
SMOOTH = [parameter for parameter in ALL if parameter.values[0].smooth]


def parts(y: Any) -> list[Any]:
    return list(y) if isinstance(y, tuple | list) else [y]


def random_like(values: Any, seed: int) -> tuple[Any, ...]:
    """Directions: complex ones for complex arguments."""
    rng = np.random.default_rng(seed)

    def one(x: Any) -> Any:
        direction = rng.uniform(-1, 1, np.shape(x))
        return direction + 1j * rng.uniform(-1, 1, np.shape(x)) if np.iscomplexobj(x) else direction

    return tuple(map(one, values))


def weighed(case: Case) -> Callable[..., Any]:
    """A random linear functional of the results, and the results."""
    weights = random_like(parts(case.f(*case.args)), 1)

    def total(*args: Any) -> Any:
        y = case.f(*args)
        return sum(np.sum((w * part).real) for w, part in zip(weights, parts(y), strict=True)), y

    return total


def units(args: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """One direction for each real number in the arguments."""
    found = []
    for k, x in enumerate(args):
        for place in np.ndindex(np.shape(x)):
            for one in (1.0, 1j) if np.iscomplexobj(x) else (1.0,):
                v = tuple(np.zeros_like(np.asarray(a)) for a in args)
                v[k][place] = one
                found.append(v)
    return found


@pytest.mark.parametrize("case", ALL)
def test_values_and_gradients(case: Case) -> None:
    """Traced and compiled code gives NumPy's results; the gradient in every argument is that of finite differences."""
    expected = parts(case.f(*case.args))
    total, every = weighed(case), tuple(range(len(case.args)))
    differentiate = sad.value_and_grad(total, every, has_aux=True)
    (_, compiled), compiled_gradient = sad.jit(differentiate)(*case.args)
    for found in (through_program(case.f, *case.args), compiled):
        for one, other in zip(parts(found), expected, strict=True):
            assert_same(one, other, 1e-11)
    _, gradient = differentiate(*case.args)
    for one, other in zip(compiled_gradient, gradient, strict=True):
        assert_same(one, other, 1e-10)
    slopes = [directional(lambda *a: total(*a)[0], case.args, v, case.step) for v in units(case.args)]
    assert_close([inner(gradient, v) for v in units(case.args)], slopes, 1e-7)


@pytest.mark.parametrize("case", SMOOTH)
def test_second_derivatives(case: Case) -> None:
    """Forward over reverse and reverse over forward are the finite difference of the gradient."""
    total, every = weighed(case), tuple(range(len(case.args)))
    f = lambda *args: total(*args)[0]
    v, h = random_like(case.args, 2), case.step / 10
    product = parts(sad.hvp(f, case.args, v))
    there, back = (sad.grad(f, every)(*moved(case.args, v, step)) for step in (h, -h))
    swapped = sad.grad(lambda *args: sad.jvp(f, args, v)[1], every)(*case.args)
    for found, other, one, two in zip(product, swapped, there, back, strict=True):
        assert_close(found, other, 1e-9)
        assert_close(found, (one - two) / (2 * h), 1e-5)


def moved(args: tuple[Any, ...], v: tuple[Any, ...], step: float) -> tuple[Any, ...]:
    return tuple(x + step * dx for x, dx in zip(args, v, strict=True))


@pytest.mark.parametrize("case", [p for p in SMOOTH if p.id in COMPILED_TWICE])
def test_compiled_second_derivatives(case: Case) -> None:
    total, v = weighed(case), random_like(case.args, 2)
    product = lambda *args: sad.hvp(lambda *xs: total(*xs)[0], args, v)
    for found, expected in zip(parts(sad.jit(product)(*case.args)), parts(product(*case.args)), strict=True):
        assert_close(found, expected, 1e-9)


@pytest.mark.parametrize("module", CASES)
def test_the_codes_know_of_numpy_and_scipy_alone(module: str) -> None:
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {a.name for node in imports for a in node.names} if imports else set()
    sources = {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    assert sources <= {"scipy", "scipy.linalg"}
    assert {"numpy"} <= names | sources
    assert not any("staged" in str(name) for name in names | sources)
