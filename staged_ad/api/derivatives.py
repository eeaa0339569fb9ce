"""Derivatives of Python functions: grad, jvp, vjp, linearize, hvp. Public through ``staged_ad``.

Invariant: each traces its function once, rewrites the program, and runs the result: at arrays with NumPy, at
traced values by recording it, so that all of them nest in any order.
Start at ``value_and_grad``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.api.calling import (
    Traced,
    argument_name,
    check_callable,
    check_match,
    function_name,
    leaf_name,
    trace_call,
)
from staged_ad.api.transformed import transforming
from staged_ad.errors import ArgumentError, NotDifferentiableError
from staged_ad.ir import ArrayType, Program
from staged_ad.tracing import run
from staged_ad.tracing.trees import unflatten
from staged_ad.transforms.jvp import jvp_program
from staged_ad.transforms.transpose import transpose_program
from staged_ad.transforms.vjp import linearize_program, value_and_grad_program, vjp_program

Argnums = int | Sequence[int]


def argument_positions(
    f: Callable[..., Any], argnums: Argnums, args: Sequence[Any], name: str = "argnums"
) -> list[int]:
    """The positions that `argnums` means, counted from the front; raises ArgumentError for what is not there."""
    try:
        numbers = [operator.index(k) for k in (argnums if isinstance(argnums, Sequence) else [argnums])]
    except TypeError:
        raise ArgumentError(f"{name} must be an integer or a sequence of integers, got {argnums!r}") from None
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise ArgumentError(
                f"{name}={argnums} needs {number + 1 if number >= 0 else -number} positional arguments of "
                f"{function_name(f)}, {len(args)} given; what is differentiated is passed by position, not by name"
            )
    found = [number % len(args) for number in numbers]
    for number in found:
        if args[number] is None:
            raise ArgumentError(f"{argument_name(f, number)} is None: there is nothing to differentiate")
    if len(set(found)) != len(found):
        raise ArgumentError(f"{name}={argnums} names an argument twice")
    return found


def check_differentiable(
    what: str, f: Callable[..., Any], traced: Traced, positions: Sequence[int], holomorphic: bool
) -> None:
    """Inputs must be floating-point or complex, with `holomorphic` complex; the error names the argument."""
    types = traced.program.input_types[len(traced.captures) :]
    for k, type in enumerate(types):
        if not type.inexact:
            name = leaf_name(f, positions, unflatten(traced.in_spec, traced.leaves), k)
            raise NotDifferentiableError(
                f"{what} needs floating-point inputs, but {name} has dtype {type.dtype}. Write 3.0 instead of 3, "
                "x.astype(float), or leave it out of argnums"
            )
        if holomorphic and not type.is_complex:
            name = leaf_name(f, positions, unflatten(traced.in_spec, traced.leaves), k)
            raise NotDifferentiableError(
                f"{what}: holomorphic=True needs complex inputs, {name} is real; write x.astype(complex), or leave "
                "holomorphic=True away"
            )


def check_result(what: str, f: Callable[..., Any], type: ArrayType, holomorphic: bool) -> None:
    """Results must be real, with `holomorphic` complex: the derivative of a complex result is no one number."""
    if type.is_complex != holomorphic:
        raise NotDifferentiableError(
            f"{what}: holomorphic=True needs a complex result, but {function_name(f)} returned {type}"
            if holomorphic
            else f"{what} needs a real result, but {function_name(f)} returned {type}. Return a real number, such as "
            "np.abs(z) or z.real, set holomorphic=True for the complex derivative of a holomorphic function, or use "
            "jvp or vjp"
        )


def as_given(argnums: Argnums, parts: Sequence[Any]) -> Any:
    """One part where `argnums` is a number, a tuple of parts where it is a sequence."""
    return tuple(parts) if isinstance(argnums, Sequence) else parts[0]


def value_and_grad(
    f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """A function that returns the value of `f` and its gradient, by reverse mode.

    Parameters
    ----------
    f
        Returns a scalar (0-d) of floating point; with `has_aux`, a pair (scalar, anything made of arrays).
    argnums
        The positional argument, or arguments, to differentiate with respect to: arrays or nests of arrays
        (tuples, lists, dicts, named tuples, dataclasses) of dtype float16, float32, float64, complex64 or complex128.
    holomorphic
        Whether f is a holomorphic function of complex arguments with a complex result: the gradient is then its
        complex derivative. It is not checked that f satisfies the Cauchy-Riemann equations.

    Returns
    -------
    A function of the arguments of `f` that returns ``(value, gradient)``, or ``((value, aux), gradient)``. The
    gradient has the structure, shapes and dtypes of the argument; it is a tuple when `argnums` is a sequence.

    For a complex argument z = x + iy and a real result the gradient is ``df/dx - i df/dy``, so that the change of f
    along dz is ``Re(sum(gradient * dz))``. The direction of steepest descent is ``-np.conj(gradient)``: a step
    ``z - rate * np.conj(gradient)`` goes downhill, one along ``-gradient`` may not. See docs/complex.md.

    Raises
    ------
    NotDifferentiableError
        When the result is not a scalar, an argument in `argnums` is neither of floating point nor complex, or the
        result is complex without ``holomorphic=True``.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> value, gradient = sad.value_and_grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    >>> print(value, gradient)
    5.0 [2. 4.]
    >>> value, gradient = sad.value_and_grad(lambda z: abs(z) ** 2)(3.0 + 4.0j)
    >>> print(value, np.conj(gradient))
    25.0 (6+8j)
    """

    @transforming(value_and_grad, f, argnums, has_aux, holomorphic)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        positions = argument_positions(f, argnums, args)
        traced = trace_call(f, args, kwargs, positions, has_aux)
        check_differentiable("grad", f, traced, positions, holomorphic)
        type = traced.program.outputs[0].type
        children = traced.out_spec.children()
        single = children[0].num_leaves if has_aux else traced.out_spec.num_leaves
        if single != 1 or type.shape or not type.inexact:
            raise NotDifferentiableError(
                f"grad needs a function whose result is a floating-point scalar, but {function_name(f)} returned "
                f"{type if single == 1 else f'{single} arrays'}. Sum it (np.sum), or use jacrev, jacfwd or vjp"
                + ("" if has_aux or single == 1 else "; for further results return (value, aux) and set has_aux=True")
            )
        check_result("grad", f, type, holomorphic)
        program = value_and_grad_program(traced.program, traced.active())
        results = run(program, traced.values)
        count = len(traced.program.outputs)
        value = unflatten(traced.out_spec, results[:count])
        return value, as_given(argnums, unflatten(traced.in_spec, results[count:]))

    return differentiated


def grad(
    f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient of the scalar function `f`, by reverse mode.

    Parameters (`argnums`, `has_aux`, `holomorphic`) and errors are those of `value_and_grad`; keyword arguments are
    passed on. With `has_aux` it returns ``(gradient, aux)``. Of a complex argument z = x + iy the gradient is
    ``df/dx - i df/dy``: steepest descent goes along ``-np.conj(gradient)``.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(sad.grad(np.tanh)(0.5))
    0.7864477329659274
    >>> print(sad.grad(lambda z: z**2, holomorphic=True)(1.0 + 2.0j))
    (2+4j)
    """
    check_callable("grad", f)
    both = value_and_grad(f, argnums, has_aux, holomorphic)

    @transforming(grad, f, argnums, has_aux, holomorphic)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return differentiated


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """The value of `f` at `primals` and its derivative along `tangents`, by forward mode.

    Parameters
    ----------
    primals, tangents
        Tuples with the arguments of f and the direction; equal structure, shapes and dtypes.

    Returns
    -------
    ``(y, y_dot)``, or ``(y, y_dot, aux)``. Tangents of integer results are zeros of float64.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> y, y_dot = sad.jvp(np.sin, (0.0,), (2.0,))
    >>> print(y, y_dot)
    0.0 2.0
    """
    _check_tuples(primals, tangents)
    positions = range(len(primals))
    traced = trace_call(f, primals, {}, has_aux=has_aux)
    check_differentiable("jvp", f, traced, positions, False)
    types = [type.strong() for type in traced.program.input_types[len(traced.captures) :]]
    x_dots = check_match("tangents", tuple(tangents), traced.in_spec, types)
    results = run(jvp_program(traced.program, traced.active()), [*traced.values, *x_dots])
    count = len(traced.program.outputs)
    y_dots = _with_integer_zeros(traced.program.output_types, results[count:])
    y, y_dot = unflatten(traced.out_spec, results[:count]), unflatten(traced.out_spec, y_dots)
    return (y[0], y_dot[0], y[1]) if has_aux else (y, y_dot)


def _check_tuples(primals: Any, tangents: Any) -> None:
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, tuple | list):
            raise ArgumentError(f"{name} must be a tuple of arguments, got {type(value).__name__}; write (x,) for one")
    if len(primals) != len(tangents):
        raise ArgumentError(f"{len(primals)} primals, but {len(tangents)} tangents")


def _with_integer_zeros(types: Sequence[ArrayType], dots: Sequence[Any]) -> list[Any]:
    rest = iter(dots)
    return [next(rest) if type.inexact else np.zeros(type.shape)[()] for type in types]


def linearize(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of `f` at `primals` and its derivative there as a linear function of tangents.

    The function is run once; the linear function may be called many times, with tangents as separate arguments.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> y, f_lin = sad.linearize(lambda x: x**3, 2.0)
    >>> print(y, f_lin(1.0))
    8.0 12.0
    """
    traced = trace_call(f, primals, {})
    check_differentiable("linearize", f, traced, range(len(primals)), False)
    split = linearize_program(traced.program, traced.active())
    results = run(split.known, traced.values)
    count = len(traced.program.outputs)
    residuals = results[count:]
    types = [type.strong() for type in traced.program.input_types[len(traced.captures) :]]

    def linear(*tangents: Any) -> Any:
        x_dots = check_match("tangents", tuple(tangents), traced.in_spec, types)
        y_dots = run(split.unknown, [*residuals, *x_dots])
        return unflatten(traced.out_spec, _with_integer_zeros(traced.program.output_types, y_dots))

    return unflatten(traced.out_spec, results[:count]), linear


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `f` at `primals` and its pullback, by reverse mode.

    Returns
    -------
    ``(y, pullback)``, or ``(y, pullback, aux)``; the pullback takes a cotangent with the structure of y (parts
    for integer results are ignored) and returns a tuple with the cotangent of each argument.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> y, pullback = sad.vjp(lambda x, y: x * y, 2.0, 3.0)
    >>> print(y, *pullback(1.0))
    6.0 3.0 2.0
    """
    traced = trace_call(f, primals, {}, has_aux=has_aux)
    check_differentiable("vjp", f, traced, range(len(primals)), False)
    pullback = vjp_program(traced.program, traced.active())
    results = run(pullback.forward, traced.values)
    types = traced.program.output_types
    y = unflatten(traced.out_spec, results[: len(types)])
    residuals = results[len(types) :]
    main_spec = traced.out_spec.child(0) if has_aux else traced.out_spec
    main_types, aux_types = types[: main_spec.num_leaves], types[main_spec.num_leaves :]

    def pull(cotangent: Any) -> Any:
        expected = [type.strong() if type.inexact else ArrayType(type.shape, np.dtype(float)) for type in main_types]
        bars = check_match("the cotangent", cotangent, main_spec, expected)
        given = [bar for bar, type in zip(bars, main_types, strict=True) if type.inexact]
        zeros = [np.zeros(type.shape, type.dtype) for type in aux_types if type.inexact]
        return tuple(unflatten(traced.in_spec, run(pullback.backward, [*residuals, *given, *zeros])))

    return (y[0], pull, y[1]) if has_aux else (y, pull)


def linear_transpose(f: Callable[..., Any], *primals: Any) -> Callable[..., Any]:
    """The transpose of a function that is linear in its arguments; `primals` give only shapes and dtypes.

    Raises NotDifferentiableError where f is seen not to be linear; a constant term is not seen.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> a = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> (x_bar,) = sad.linear_transpose(lambda x: a @ x, np.zeros(2))(np.array([1.0, 0.0]))
    >>> print(x_bar)
    [1. 2.]
    """
    traced = trace_call(f, primals, {}, by_value=False)
    check_differentiable("linear_transpose", f, traced, range(len(primals)), False)
    program = transpose_program(traced.program, traced.active())
    types = [type.strong() for type in traced.program.output_types]

    def transposed(cotangent: Any) -> Any:
        bars = check_match("the cotangent", cotangent, traced.out_spec, types)
        return tuple(unflatten(traced.in_spec, run(program, [*traced.captures, *bars])))

    return transposed


def hvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of the scalar function `f` at `primals` times `tangents`, forward over reverse.

    It costs a small multiple of a gradient, whatever the dimension (Pearlmutter 1994). With one argument the
    result has its structure; with several it is a tuple.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(sad.hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 1.0]),)))
    [ 6. 12.]
    """
    _check_tuples(primals, tangents)
    gradient = grad(f, tuple(range(len(primals))))
    products = jvp(gradient, primals, tangents)[1]
    return products[0] if len(primals) == 1 else products


def trace(f: Callable[..., Any]) -> Callable[..., Program]:
    """A function that returns the program of `f` for the given arguments, to print or to look at.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> program = sad.trace(lambda x: x + 1.0)(np.zeros(3))
    >>> [equation.primitive.name for equation in program.equations]
    ['add']
    """

    @transforming(trace, f)
    def traced(*args: Any, **kwargs: Any) -> Program:
        return trace_call(f, args, kwargs).program

    return traced
