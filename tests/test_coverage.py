"""Every function that the table of coverage calls supported, on its examples: values, derivatives, batches, compiled.

Invariant: what is supported has an example here, and docs/coverage.md is what the command writes.
Start at ``test_values_are_those_of_numpy``; the examples are in tests/coverage.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.diagnostics import coverage
from staged_ad.diagnostics.coverage import Entry
from staged_ad.diagnostics.reasons import DISCRETE, REASONS, Status
from tests.backends import through_program
from tests.coverage.elementwise import METHODS
from tests.coverage.example import Example
from tests.coverage.tables import EXAMPLES
from tests.numerics import assert_close, assert_same, directional, inner

DOCUMENT = Path(__file__).parent.parent / "docs" / "coverage.md"


def function_of(name: str) -> Any:
    """The function of a full name; None where this version of NumPy or this package has none."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError:
        return None


SUPPORTED = [entry for entry in coverage.entries() if entry.status in (Status.SUPPORTED, Status.DISCRETE)]
KNOWN: set[Any] = {id(function_of(e.qualified)) for e in SUPPORTED} | {
    f"{coverage.OWN.get(e.module)}.{e.name}" for e in SUPPORTED
}
NAMES = [name for name in EXAMPLES if {id(function_of(name)), name} & KNOWN] + [f"ufunc.{name}" for name in METHODS]


def examples(name: str) -> list[Example]:
    return METHODS[name.removeprefix("ufunc.")] if name.startswith("ufunc.") else EXAMPLES[name]


def leaves(y: Any) -> list[Any]:
    """The arrays of a result."""
    if isinstance(y, tuple | list):
        return [leaf for part in y for leaf in leaves(part)]
    return [y]


def quietly(f: Callable[..., Any], *args: Any) -> Any:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return f(*args)


def variants(name: str) -> Iterator[Example]:
    """Each example, and what is left of it in other dtypes: NumPy does not take all of them."""
    for example in examples(name):
        yield example
        for dtype in example.dtypes:
            other = example.cast(dtype)
            try:
                quietly(other.reference, *other.args)
            except (TypeError, ValueError, IndexError):
                continue
            yield other


def both(many: list[Example]) -> Callable[..., Any]:
    """The results of several examples, as the leaves of one program."""
    return lambda arguments: [leaves(e.call(*args)) for e, args in zip(many, arguments, strict=True)]


@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_numpy(name: str):
    many = list(variants(name))
    arguments = [example.args for example in many]
    expected = [leaves(quietly(example.reference, *example.args)) for example in many]
    eager = [through_program(lambda *xs, e=e: leaves(e.call(*xs)), *e.args) for e in many]
    compiled = sad.jit(both(many))(arguments)
    for k, (wanted, example) in enumerate(zip(expected, many, strict=True)):
        for found in (eager[k], compiled[k]):
            assert len(found) == len(wanted)
            for one, other in zip(found, wanted, strict=True):
                assert_same(one, other, 5e-5 if any(np.asarray(x).dtype == np.float32 for x in example.args) else 1e-11)


def complexly(example: Example) -> Example | None:
    """The same of complex numbers; None where an argument is of integers or NumPy refuses it."""
    if any(np.asarray(x).dtype.kind != "f" for x in example.args):
        return None
    args = tuple(quietly(lambda x: x + 0.5j * np.flip(x) if np.ndim(x) else x + 0.25j, x) for x in example.args)
    try:
        results = leaves(quietly(example.reference, *args))
    except (TypeError, ValueError, IndexError):
        return None
    return replace(example, args=args) if all(np.asarray(y).dtype.kind in "cfbiu" for y in results) else None


REAL_ONLY = r"no order|histogram needs|drops the imaginary part|real numbers|scipy\.special"
"""What our errors say of functions that NumPy gives complex numbers to, and we do not."""


@pytest.mark.parametrize("name", NAMES)
def test_values_of_complex_numbers_are_those_of_numpy(name: str):
    many = [other for other in map(complexly, examples(name)) if other is not None]
    taken, eager = [], []
    for example in many:
        try:
            eager.append(through_program(lambda *xs, e=example: leaves(e.call(*xs)), *example.args))
            taken.append(example)
        except sad.errors.StagedADError as error:
            assert re.search(REAL_ONLY, str(error))  # noqa: PT017  # of those that raise
    if not taken:
        return
    compiled = sad.jit(both(taken))([example.args for example in taken])
    for example, *results in zip(taken, eager, compiled, strict=True):
        wanted = leaves(quietly(example.reference, *example.args))
        for found in results:
            for one, other in zip(found, wanted, strict=True):
                assert_same(one, other, 1e-11)


def vector(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` with all of its floating-point results as one vector."""

    def flat(*xs: Any) -> Any:
        parts = [y for y in leaves(call(*xs)) if y.dtype.kind == "f"]
        return np.concatenate([np.reshape(y, -1) for y in parts])

    return flat


def smooth(name: str) -> list[Example]:
    return [
        e
        for e in examples(name)
        if e.smooth and any(np.asarray(y).dtype == float for y in leaves(quietly(e.reference, *e.args)))
    ]


def directions(example: Example, seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    return tuple(rng.uniform(-1, 1, np.shape(x)) for x in example.args)


def weights(example: Example) -> Any:
    """The cotangent of its results, as one vector."""
    return np.random.default_rng(2).uniform(-1, 1, len(quietly(vector(example.reference), *example.args)))


def derivatives(example: Example, args: Any, v: Any, w: Any) -> dict[str, Any]:
    """First derivatives along `v` and of the results weighed by `w`, second derivatives, and the value of a batch."""
    f = vector(example.call)
    every = tuple(range(len(v)))
    weighed = lambda *xs: np.sum(f(*xs) * w)
    gradient = sad.grad(weighed, argnums=every)
    along = lambda *xs: sad.jvp(weighed, xs, v)[1]
    return {
        "jvp": sad.jvp(f, args, v)[1],
        "vjp": gradient(*args),
        "forward over reverse": sad.jvp(gradient, args, v)[1],
        "reverse over forward": sad.grad(along, argnums=every)(*args),
        "batch": sad.vmap(f)(*[np.stack([x, np.flip(x)]) for x in args]),
    }


@pytest.mark.parametrize("name", [name for name in NAMES if smooth(name)])
def test_derivatives_are_those_of_finite_differences(name: str):
    many = smooth(name)
    fixed = [(directions(e, 1), weights(e)) for e in many]
    found = [derivatives(e, e.args, *rest) for e, rest in zip(many, fixed, strict=True)]
    for example, got in zip(many, found, strict=True):
        check(example, got)
    compiled = sad.jit(lambda xs: [derivatives(e, a, *r) for e, a, r in zip(many, xs, fixed, strict=True)])
    for got, other in zip(found, compiled([e.args for e in many]), strict=True):
        for key in got:
            for one, two in zip(leaves(got[key]), leaves(other[key]), strict=True):
                assert_close(two, one, 1e-10)


def check(example: Example, got: dict[str, Any]) -> None:
    f, v = vector(example.reference), directions(example, 1)
    w = weights(example)
    assert_close(got["jvp"], quietly(directional, f, example.args, v), 1e-7)
    assert_close(inner(got["vjp"], v), inner([got["jvp"]], [w]), 1e-10)
    gradient = sad.grad(lambda *xs: np.sum(vector(example.call)(*xs) * w), argnums=tuple(range(len(v))))
    for k in range(len(v)):
        second = directional(lambda *xs, k=k: gradient(*xs)[k], example.args, v)
        assert_close(got["forward over reverse"][k], second, 1e-6)
        assert_close(got["reverse over forward"][k], got["forward over reverse"][k], 1e-9)
    batch = [quietly(f, *(g(x) for x in example.args)) for g in (lambda x: x, np.flip)]
    assert_close(got["batch"], np.stack(batch), 1e-11)


def test_every_supported_function_has_an_example():
    shown = {id(function_of(name)) for name in EXAMPLES}
    own = {f"{coverage.OWN.get(e.module, '')}.{e.name}": e.qualified for e in SUPPORTED}
    known = {own.get(name, name) for name in EXAMPLES}
    missing = {e.qualified for e in SUPPORTED if id(function_of(e.qualified)) not in shown and e.qualified not in known}
    assert missing == set()


def test_functions_said_to_have_no_derivative_have_none():
    discrete = {id(function_of(e.qualified)): e.qualified for e in SUPPORTED if e.status is Status.DISCRETE}
    wrong = [name for name in EXAMPLES if id(function_of(name)) in discrete and any(inexact(e) for e in examples(name))]
    assert wrong == []


def inexact(example: Example) -> bool:
    """Whether what the function gives has a derivative: a result of its own, without what the example makes of it."""
    return example.smooth and any(np.asarray(y).dtype.kind == "f" for y in leaves(quietly(example.call, *example.args)))


def written() -> tuple[str, dict[str, str]]:
    """What docs/coverage.md says: the versions it was made with, and the status of each function."""
    text = DOCUMENT.read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        module = section.split("\n", 1)[0]
        for line in section.splitlines():
            if line.startswith("|") and "`" in line:
                status, names = line.split("|")[1].strip(), line.split("|")[3]
                found.update({f"{module}.{name}": status for name in re.findall(r"`([^`]+)`", names)})
    return text, found


def is_newer(entry: Entry) -> bool:
    """Whether another version of NumPy or SciPy than that of docs/coverage.md added the function."""
    text, known = written()
    return coverage.versions() not in text and entry.qualified not in known


def test_every_function_is_supported_or_has_a_reason():
    undecided = {e.qualified for e in coverage.entries() if e.status is Status.MISSING and not is_newer(e)}
    assert undecided == set()


def test_the_document_is_what_the_command_writes():
    text, known = written()
    if coverage.versions() in text:
        assert text == coverage.text(), "run python -m staged_ad coverage --write docs/coverage.md"
    for entry in coverage.entries():
        if entry.qualified in known:
            assert known[entry.qualified].startswith(entry.status.value)


def test_no_reason_is_given_for_what_is_supported():
    reasons = [f"{module}.{name}" for module, _, _, names in REASONS for name in names.split()]
    assert len(reasons) == len(set(reasons))
    assert all(len(names.split()) == len(set(names.split())) for names in DISCRETE.values())


X = np.array([3.0, 1.0, 2.0])
ONE = "asarray_chkfinite asfortranarray require trim_zeros unique unique_all unique_counts"
ONE += " unique_inverse unique_values roots"
TWO = "intersect1d setdiff1d setxor1d union1d polydiv"
REFUSED: dict[str, Callable[..., Any]] = {
    **{name: lambda x, name=name: getattr(np, name)(x) for name in ONE.split()},
    **{name: lambda x, name=name: getattr(np, name)(x, X) for name in TWO.split()},
    "frompyfunc": lambda x: np.frompyfunc(abs, 1, 1)(x),
}


def test_what_is_refused_raises_an_error_of_ours():
    refused = {
        e.name for e in coverage.entries() if e.module == "numpy" and e.status in (Status.REFUSED, Status.DYNAMIC)
    }
    assert refused - {"argwhere", "flatnonzero", "nonzero"} == {name for name in REFUSED if hasattr(np, name)}
    for name in refused & set(REFUSED):
        with pytest.raises(sad.errors.StagedADError, match=r"test_coverage\.py"):
            sad.jvp(REFUSED[name], (X,), (X,))


def test_nearly_all_functions_of_numpy_are_supported():
    good, whole = coverage.share()
    assert good / whole >= 0.95
