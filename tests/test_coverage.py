"""Every function that the table of coverage calls supported, on its examples: values, eager and compiled.

Invariant: what is supported has an example here, and docs/coverage.md is what the command writes.
Start at ``test_values_are_those_of_numpy``; the examples are in tests/coverage, their derivatives in
test_coverage_derivatives.py.
"""

from __future__ import annotations

import functools
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
from staged_ad.api.calling import trace_call
from staged_ad.diagnostics import coverage
from staged_ad.diagnostics.coverage import Entry
from staged_ad.diagnostics.reasons import DISCRETE, REASONS, Status
from tests.backends import through_program
from tests.coverage.complexes import BY_NUMPY, COMPLEX, DROPPED, REAL_ONLY
from tests.coverage.elementwise import METHODS
from tests.coverage.example import Example
from tests.coverage.tables import EXAMPLES
from tests.numerics import assert_same

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


def complexly(example: Example) -> Iterator[Example]:
    """The same of complex numbers, and of one complex argument among real ones; what NumPy takes of that."""
    if any(np.asarray(x).dtype.kind != "f" for x in example.args):
        return
    alone = [[k == j for k in range(len(example.args))] for j in range(len(example.args))]
    for flags in [[True] * len(alone), *alone] if len(alone) > 1 else alone:
        args = tuple(off_the_axis(x) if flag else x for x, flag in zip(example.args, flags, strict=True))
        try:
            quietly(example.reference, *args)
        except (TypeError, ValueError, IndexError):
            continue
        yield replace(example, args=args)


def off_the_axis(x: Any) -> Any:
    return quietly(lambda: x + (0.5j * np.flip(x) if np.ndim(x) else 0.25j))


def is_mixed(example: Example) -> bool:
    """Whether some arguments are complex and others real."""
    return len({np.iscomplexobj(x) for x in example.args}) > 1


def of_complex_numbers(name: str) -> list[Example]:
    return [*(other for example in examples(name) for other in complexly(example)), *COMPLEX.get(name, [])]


REFUSALS = "|".join({reason for reason, _, _ in REAL_ONLY} - {BY_NUMPY})
"""What our errors say of complex numbers that NumPy takes, and we do not."""


@functools.cache
def taken(name: str) -> list[Example]:
    """Examples of complex numbers that are not refused."""
    found = []
    for example in of_complex_numbers(name):
        try:
            trace_call(lambda *xs, e=example: leaves(e.call(*xs)), example.args, {})
            found.append(example)
        except sad.errors.StagedADError as error:
            assert re.search(f"{REFUSALS}|{DROPPED}", str(error))  # noqa: PT017  # of those that raise
    return found


@pytest.mark.parametrize("name", NAMES)
def test_values_of_complex_numbers_are_those_of_numpy(name: str):
    many = taken(name)
    eager = [through_program(lambda *xs, e=e: leaves(e.call(*xs)), *e.args) for e in many]
    chosen = [e for e in many if not is_mixed(e)] or many
    compiled = sad.jit(both(chosen))([e.args for e in chosen]) if chosen else []
    for example, found in [*zip(many, eager, strict=True), *zip(chosen, compiled, strict=True)]:
        for one, other in zip(found, leaves(quietly(example.reference, *example.args)), strict=True):
            assert_same(one, other, 1e-11)


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
    return example.smooth and any(
        np.asarray(y).dtype.kind in "fc" for y in leaves(quietly(example.call, *example.args))
    )


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
ONE = "asarray_chkfinite trim_zeros unique unique_all unique_counts"
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
