"""Loops of Python functions: scan, map, while_loop, fori_loop, associative_scan. Public through ``staged_ad``.

Invariant: a body is traced, never run once per iteration; its carry leaves with the types with which it enters.
Start at ``scan``; ``trace_loop_body`` (bodies.py) finds the types of the carry.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.api.bodies import (
    Body,
    LoopBody,
    check_function,
    convert,
    lengths_along,
    lengths_text,
    named,
    results_of,
    trace_body,
    trace_loop_body,
)
from staged_ad.api.calling import leaf_type
from staged_ad.api.checkpointing import check_slots
from staged_ad.api.structures import place, structure_text
from staged_ad.control.scan import scan as scan_program
from staged_ad.control.while_loop import while_loop as while_program
from staged_ad.errors import ArgumentError, ConcretizationError, ShapeError
from staged_ad.ir import ArrayType, Equation, Literal, Program, Var
from staged_ad.ir.types import BOOL, INT64, describe
from staged_ad.numpy.promotion import result_dtype
from staged_ad.primitives.makers import add, typeof
from staged_ad.tracing import Tracer, lent
from staged_ad.tracing.creation import called
from staged_ad.tracing.trees import flatten, unflatten


def scan(
    f: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    checkpoint: int | None = None,
) -> tuple[Any, Any]:
    """A loop over the leading axis of arrays that carries values along and stacks results.

    It means::

        carry, ys = init, []
        for x in xs:
            carry, y = f(carry, x)
            ys.append(y)
        return carry, np.stack(ys)

    but `f` is traced, not run once per iteration, and becomes one native loop under `jit`; so do its derivatives.

    Parameters
    ----------
    f
        A function ``(carry, x) -> (carry, y)``. It may use traced values around it.
    init
        The carry at the start: an array, a number, or a nest of them. `f` returns a carry of the same structure,
        shapes and dtypes; a Python number in `init` takes the dtype of what `f` returns in its place.
    xs
        Arrays of shape (length, ...), or a nest of them; `f` is given slices of shape (...). None for a loop over
        nothing: then `f` is given None, and `length` is needed.
    length
        The number of iterations, an integer.
    reverse
        Whether the iterations go from the last slice to the first; y of each goes to the place of its x.
    checkpoint
        Memory for that many iterations' residuals; the rest is computed again in reverse mode, by the schedule with
        the fewest recomputed steps. None keeps the residuals of all iterations.

    Returns
    -------
    ``(carry, ys)``: the carry after the last iteration, and each result of `f` stacked along a new leading axis.

    Raises
    ------
    ArgumentError
        When `f` does not return a pair, or the carry leaves with another structure, shape or dtype than it entered
        with: the message compares them leaf by leaf.
    ShapeError
        When the leading axes of `xs` differ in length, or contradict `length`.

    References
    ----------
    A. Griewank, A. Walther, *Algorithm 799: revolve*, ACM TOMS 26 (2000); A. Gruslys et al., *Memory-efficient
    backpropagation through time*, NeurIPS (2016).

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> total, partial = sad.scan(lambda total, x: (total + x, total), 0.0, np.array([1.0, 2.0, 3.0]))
    >>> print(total, partial)
    6.0 [0. 1. 3.]
    """
    check_function("scan", "f", f, ("carry", "x"))

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        result = f(carry, x)
        if not (isinstance(result, tuple) and len(result) == 2):
            lack = "; does a return statement lack?" if result is None else ""
            raise ArgumentError(
                f"scan: f must return a pair (carry, y), but {named(f)} returned {describe(result)}{lack}"
            )
        return result

    return _scan("scan", f, step, init, xs, length, reverse, checkpoint)


def map(f: Callable[..., Any], xs: Any) -> Any:
    """`f` applied to each slice of `xs` along the leading axis, one after the other; `vmap` does all at once.

    Parameters
    ----------
    f
        A function of one slice. It may use traced values around it.
    xs
        Arrays of shape (length, ...), or a nest of them.

    Returns
    -------
    The results of `f`, each stacked along a new leading axis.

    Raises
    ------
    ShapeError, ArgumentError
        As `scan`.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(sad.map(lambda x: np.sum(x) * x, np.array([[1.0, 2.0], [3.0, 4.0]])))
    [[ 3.  6.]
     [21. 28.]]
    """
    check_function("map", "f", f, ("x",))
    return _scan("map", f, lambda _, x: (None, called(f)(x)), None, xs)[1]


def _scan(
    what: str,
    f: Callable[..., Any],
    step: Callable[..., Any],
    init: Any,
    xs: Any,
    length: int | None = None,
    reverse: bool = False,
    checkpoint: int | None = None,
) -> tuple[Any, Any]:
    slots = check_slots(what, checkpoint)
    leaves, x_spec = flatten(xs)
    steps = _steps(what, lengths_along(what, "xs", leaves, x_spec), length)
    slices = [convert(leaf, typeof(leaf)) for leaf in leaves]
    types = [typeof(x).with_shape(typeof(x).shape[1:]) for x in slices]
    loop = trace_loop_body(what, f, step, init, (x_spec, types))
    results = []
    if loop.program.outputs:
        results = scan_program(
            loop.program, loop.captures, loop.carry, slices, length=steps, reverse=bool(reverse), checkpoint=slots
        )
    return loop.restore(results, [*loop.carry, *slices])


def _steps(what: str, lengths: dict[str, int], length: Any) -> int:
    """The number of iterations of a scan."""
    if length is None:
        if not lengths:
            raise ArgumentError(f"{what}: xs holds no array, so the number of iterations is needed: length=...")
        return next(iter(lengths.values()))
    steps = _check_integer(what, "length", length)
    if steps < 0:
        raise ShapeError(f"{what}: length must not be negative, got {steps}")
    if any(n != steps for n in lengths.values()):
        raise ShapeError(f"{what}: length={steps}, but {lengths_text(lengths)}")
    return steps


def _check_integer(what: str, name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except ConcretizationError:
        raise
    except TypeError:
        raise ArgumentError(f"{what}: {name} must be an integer, got {describe(value)}") from None


def while_loop(
    cond_fun: Callable[..., Any], body_fun: Callable[..., Any], init: Any, checkpoint: int | None = None
) -> Any:
    """``while cond_fun(carry): carry = body_fun(carry)``, from ``carry = init`` on; returns the last carry.

    Both functions are traced, not run once per iteration. It has derivatives in forward and in reverse mode, with no
    bound on the number of iterations.

    Parameters
    ----------
    cond_fun
        A function ``carry -> bool``, a scalar. It may use traced values around it, as may `body_fun`.
    body_fun
        A function ``carry -> carry`` that keeps structure, shapes and dtypes.
    init
        The carry at the start, as for `scan`.
    checkpoint
        Memory for that many iterations; the rest is computed again in reverse mode, by an online schedule, since the
        number of iterations is not known beforehand. None keeps the residuals of all iterations.

    Returns
    -------
    The last carry, with the structure, shapes and dtypes of `init`; Python numbers in `init` as for `scan`.

    Raises
    ------
    ArgumentError
        When `cond_fun` does not return a boolean scalar, or the carry leaves with another structure, shape or dtype
        than it entered with: the message compares them leaf by leaf.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> def root(a):  # Newton's iteration
    ...     return sad.while_loop(lambda x: abs(x * x - a) > 1e-9, lambda x: (x + a / x) / 2, a)
    >>> print(round(sad.grad(root)(4.0), 6))
    0.25
    """
    check_function("while_loop", "cond_fun", cond_fun, ("carry",))
    check_function("while_loop", "body_fun", body_fun, ("carry",))
    slots = check_slots("while_loop", checkpoint)
    step = lambda carry, _: (body_fun(carry), None)
    loop = trace_loop_body("while_loop", body_fun, step, init, (flatten(None)[1], []))
    types = loop.program.input_types[len(loop.captures) :]
    test = trace_body(cond_fun, cond_fun, flatten((init,))[1], types)
    _check_test(cond_fun, test)
    results = while_program(test.program, loop.program, test.captures, loop.captures, loop.carry, checkpoint=slots)
    return loop.restore(results, loop.carry)[0]


def _check_test(f: Callable[..., Any], test: Body) -> None:
    """The condition of a while loop must be one boolean that can become false."""
    found = f"while_loop: cond_fun must return a boolean scalar, but {named(f)} returned"
    if test.out_spec != flatten(0)[1]:
        raise ArgumentError(f"{found} {structure_text(test.out_spec)}")
    (output,) = test.program.outputs
    if output.type.shape:
        raise ArgumentError(f"{found} {output.type}. Write np.all(...), np.any(...), or [0]")
    if output.type.dtype != BOOL:
        raise ArgumentError(f"{found} {output.type.strong()}. Write x != 0 for a number x")
    if isinstance(output, Literal) and output.value:
        raise ArgumentError(f"{found} True whatever the carry is, so the loop would never end")


def fori_loop(lower: Any, upper: Any, body_fun: Callable[..., Any], init: Any, checkpoint: int | None = None) -> Any:
    """``for i in range(lower, upper): carry = body_fun(i, carry)``, from ``carry = init`` on; returns the last carry.

    Parameters
    ----------
    lower, upper
        Integer scalars, which may be traced. The counter has their dtype; where both are Python integers, it takes
        part in arithmetic as a Python integer does.
    body_fun
        A function ``(i, carry) -> carry`` that keeps structure, shapes and dtypes. It may use traced values around it.
    init
        The carry at the start, as for `scan`.
    checkpoint
        As for `scan`.

    Returns
    -------
    The last carry, with the structure, shapes and dtypes of `init`; Python numbers in `init` as for `scan`.

    Raises
    ------
    ArgumentError
        When a bound is not an integer scalar, or the carry leaves with another structure, shape or dtype than it
        entered with: the message compares them leaf by leaf.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> power = lambda x, n: sad.fori_loop(0, n, lambda i, y: y * x, 1.0)
    >>> print(power(2.0, 10), sad.grad(power)(2.0, 10))
    1024.0 5120.0
    """
    check_function("fori_loop", "body_fun", body_fun, ("i", "carry"))
    slots = check_slots("fori_loop", checkpoint)
    bounds = [_check_bound("lower", lower), _check_bound("upper", upper)]
    counter = ArrayType((), *result_dtype(bounds))
    step = lambda carry, i: (body_fun(i, carry), None)
    loop = trace_loop_body("fori_loop", body_fun, step, init, (flatten(0)[1], [counter]))
    if not loop.carry:
        return init
    if isinstance(lower, Tracer) or isinstance(upper, Tracer):
        low, high = (ArrayType((), INT64, type.weak) for type in bounds)
        length, count = None, np.maximum(convert(upper, high) - convert(lower, low), 0)
    else:
        length, count = max(int(upper) - int(lower), 0), None
    program, start = _with_counter(loop, convert(lower, counter))
    carry = [*start, *loop.carry]
    results = scan_program(program, loop.captures, carry, [], length=length, count=count, checkpoint=slots)
    return loop.restore(results[len(start) :], loop.carry)[0]


def _check_bound(name: str, value: Any) -> ArrayType:
    type = leaf_type(value, lambda: f"fori_loop: {name}")
    if type.shape or type.dtype.kind not in "iu":
        found = type.strong() if isinstance(value, Tracer) else describe(value)
        advice = "; write int(x), or x.astype(int) for a traced value" if type.inexact and not type.shape else ""
        raise ArgumentError(f"fori_loop: {name} must be an integer scalar, got {found}{advice}")
    return type


def _with_counter(loop: LoopBody, lower: Any) -> tuple[Program, list[Any]]:
    """The body with its counter, so far the last input, as first part of the carry; without it where it is unused."""
    program, number = loop.program, len(loop.captures)
    *inputs, counter = program.inputs
    used = {atom for equation in program.equations for atom in equation.inputs} | set(program.outputs)
    if counter not in used:
        return Program(tuple(inputs), program.equations, program.outputs, program.name), []
    following = Var(counter.type)
    one = Literal(counter.type.dtype.type(1), counter.type)
    equations = (*program.equations, Equation(add.primitive, (counter, one), {}, (following,)))
    inputs.insert(number, counter)
    return Program(tuple(inputs), equations, (following, *program.outputs), program.name), [lower]


def associative_scan(fn: Callable[..., Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All partial results of an associative operation, as in ``np.cumsum``, in about 2 log2(n) vectorised steps.

    Parameters
    ----------
    fn
        An associative function ``(a, b) -> c`` of two nests with the structure of `elems`, each of which stacks any
        number of elements along `axis`; `fn` works on all of them at once and keeps shapes and dtypes.
    elems
        Arrays of one length along `axis`, or a nest of them.
    reverse
        Whether it goes from the last element to the first; `fn` is given what it meets first as a.
    axis
        The axis along which elements follow one another, an integer; negative ones count from the end.

    Returns
    -------
    A nest like `elems`, whose element k combines the elements 0 to k; with `reverse`, the last one down to k.

    Raises
    ------
    ArgumentError
        When `fn` returns another structure, shape or dtype than it is given.
    ShapeError
        When lengths differ, or there is no such axis.

    References
    ----------
    G. E. Blelloch, *Prefix sums and their applications*, CMU-CS-90-190 (1990).

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(sad.associative_scan(np.multiply, np.array([1.0, 2.0, 3.0, 4.0])))
    [ 1.  2.  6. 24.]
    """
    check_function("associative_scan", "fn", fn, ("a", "b"))
    leaves, spec = flatten(elems)
    number = _check_integer("associative_scan", "axis", axis)
    lengths_along("associative_scan", "elems", leaves, spec, number)
    arrays = [convert(leaf, typeof(leaf)) for leaf in leaves]
    places = [number % typeof(x).ndim for x in arrays]

    def combine(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
        found, out_spec = flatten(fn(unflatten(spec, [lent(x) for x in a]), unflatten(spec, [lent(x) for x in b])))
        said = f"associative_scan: fn must return what it is given, but {named(fn)} returned"
        if out_spec != spec:
            raise ArgumentError(f"{said} {structure_text(out_spec)}, given {structure_text(spec)}")
        for k, (x, y) in enumerate(zip(a, found, strict=True)):
            before, after = typeof(x), leaf_type(y, lambda k=k: place(f"the result of {named(fn)}, elems", spec, k))  # type: ignore[misc]
            if (before.shape, before.dtype) != (after.shape, after.dtype):
                raise ArgumentError(f"{said} {place('elems', spec, k)} as {after.strong()}, given {before.strong()}")
        return found

    flipped = [np.flip(x, k) for x, k in zip(arrays, places, strict=True)] if reverse else arrays
    results = _prefixes(combine, flipped, places)
    ordered = [np.flip(x, k) for x, k in zip(results, places, strict=True)] if reverse else results
    return unflatten(spec, results_of(ordered, leaves))


def _prefixes(combine: Callable[..., list[Any]], elems: list[Any], places: Sequence[int]) -> list[Any]:
    """Neighbours are combined, the prefixes of these pairs are the odd results, and one more step gives the even."""
    n = elems[0].shape[places[0]] if elems else 0
    if n < 2:
        return elems

    def cut(xs: Sequence[Any], *bounds: int | None) -> list[Any]:
        return [x[(slice(None),) * k + (slice(*bounds),)] for x, k in zip(xs, places, strict=True)]

    odd = _prefixes(combine, combine(cut(elems, 0, -1, 2), cut(elems, 1, None, 2)), places)
    even = cut(elems, 0, 1)
    if n > 2:
        later = combine(odd if n % 2 else cut(odd, 0, -1), cut(elems, 2, None, 2))
        even = [np.concatenate(parts, axis=k) for *parts, k in zip(even, later, places, strict=True)]
    results = []
    for x, y, tail, k in zip(cut(even, 0, n // 2), odd, cut(even, n // 2, None), places, strict=True):
        both = np.stack([x, y], axis=k + 1).reshape(*x.shape[:k], n // 2 * 2, *x.shape[k + 1 :])
        results.append(np.concatenate([both, tail], axis=k) if n % 2 else both)
    return results
