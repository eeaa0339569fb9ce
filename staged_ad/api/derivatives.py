"""Derivatives of Python functions: grad, jvp, vjp, linearize, hvp. Public through ``staged_ad``.

Invariant: each traces its function once, rewrites the program, and runs the result: at arrays with NumPy, at
traced values by recording it, so that all of them nest in any order.
Start at ``value_and_grad``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.api.arguments import Argnums, argument_positions, as_given, check_differentiable, check_result
from staged_ad.api.calling import check_callable, check_match, function_name, trace_call, with_zeros
from staged_ad.api.transformed import transforming
from staged_ad.errors import ArgumentError, NotDifferentiableError
from staged_ad.ir import ArrayType, Program
from staged_ad.tracing import run
from staged_ad.tracing.trees import unflatten
from staged_ad.transforms.jvp import jvp_program
from staged_ad.transforms.transpose import transpose_program
from staged_ad.transforms.vjp import linearize_program, value_and_grad_program, vjp_program


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
    has_aux
        Whether f returns such a pair; the second part is not differentiated.
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
    f
        Returns an array or a nest of them; with `has_aux`, a pair (result, anything made of arrays).
    primals
        A tuple or list with the arguments of f: arrays or nests of arrays of any shape, of floating point or complex.
    tangents
        The direction, of the same structure, shapes and dtypes; Python numbers and integers take the dtype they meet.
    has_aux
        Whether f returns such a pair; the second part is not differentiated.

    Returns
    -------
    ``(y, y_dot)``, or ``(y, y_dot, aux)``. y_dot has the structure, shapes and dtypes of y; tangents of integer
    results are zeros of float64.

    Raises
    ------
    ArgumentError
        When primals and tangents are no tuples, or differ in length or structure: the message names the leaves.
    NotDifferentiableError
        When an argument is neither of floating point nor complex, or an operation has no derivative.
    ShapeError, DTypeError
        When a tangent has another shape or dtype than its primal.

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
    y_dots = with_zeros(traced.program.output_types, results[count:])
    y, y_dot = unflatten(traced.out_spec, results[:count]), unflatten(traced.out_spec, y_dots)
    return (y[0], y_dot[0], y[1]) if has_aux else (y, y_dot)


def _check_tuples(primals: Any, tangents: Any) -> None:
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, tuple | list):
            raise ArgumentError(f"{name} must be a tuple of arguments, got {type(value).__name__}; write (x,) for one")
    if len(primals) != len(tangents):
        raise ArgumentError(f"{len(primals)} primals, but {len(tangents)} tangents")


def linearize(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of `f` at `primals` and its derivative there as a linear function of tangents.

    The function is run once; the linear function may be called many times.

    Parameters
    ----------
    f
        Returns an array or a nest of them.
    primals
        The arguments of f, one by one: arrays or nests of arrays of any shape, of floating point or complex.

    Returns
    -------
    ``(y, f_lin)``. ``f_lin(*tangents)`` takes one tangent for each argument, of its structure, shapes and dtypes, and
    returns y_dot, as the second result of `jvp`.

    Raises
    ------
    NotDifferentiableError
        When an argument is neither of floating point nor complex, or an operation has no derivative.
    ArgumentError, ShapeError, DTypeError
        By f_lin, when a tangent has another structure, shape or dtype than its primal.

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
        return unflatten(traced.out_spec, with_zeros(traced.program.output_types, y_dots))

    return unflatten(traced.out_spec, results[:count]), linear


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `f` at `primals` and its pullback, by reverse mode.

    Parameters
    ----------
    f
        Returns an array or a nest of them; with `has_aux`, a pair (result, anything made of arrays).
    primals
        The arguments of f, one by one: arrays or nests of arrays of any shape, of floating point or complex.
    has_aux
        Whether f returns such a pair; the second part is not differentiated.

    Returns
    -------
    ``(y, pullback)``, or ``(y, pullback, aux)``. ``pullback(y_bar)`` takes a cotangent with the structure, shapes and
    dtypes of y (parts for integer results, zeros of float64, are ignored), and returns a tuple with the cotangent of
    each argument, of its structure, shapes and dtypes. It may be called many times.

    For all tangents ``Re(sum(y_bar * y_dot)) = Re(sum(x_bar * x_dot))``, without a conjugate: of a real scalar and
    y_bar = 1, x_bar is the gradient as `grad` gives it. See docs/complex.md.

    Raises
    ------
    NotDifferentiableError
        When an argument is neither of floating point nor complex, or an operation has no derivative.
    ArgumentError, ShapeError, DTypeError
        By the pullback, when the cotangent has another structure, shape or dtype than y: the message names the leaf.

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
    """The transpose of a function that is linear in its arguments.

    Parameters
    ----------
    f
        Linear in all arguments together; returns an array or a nest of them. A constant term is not noticed, and left
        out. Python may not branch on the arguments, whose values are not used.
    primals
        The arguments of f, one by one: arrays or nests of arrays, of floating point or complex, that give shapes and
        dtypes alone.

    Returns
    -------
    A function of a cotangent with the structure, shapes and dtypes of the result of `f`, which returns a tuple with
    the cotangent of each argument: ``Re(sum(y_bar * f(x))) = Re(sum(x_bar * x))`` for all x. There is no conjugate, so
    that the transpose of ``a @ x`` is ``a.T @ y_bar`` for complex ones too.

    Raises
    ------
    NotDifferentiableError
        When an operation of `f` is not linear, or an argument is neither of floating point nor complex.
    ConcretizationError
        When Python branches on the value of an argument.
    ArgumentError, ShapeError, DTypeError
        By the transpose, when the cotangent has another structure, shape or dtype than the result of `f`.

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

    It costs a small multiple of a gradient, whatever the dimension.

    Parameters
    ----------
    f
        Returns a scalar (0-d) of floating point.
    primals
        A tuple or list with the arguments of f: arrays or nests of arrays of any shape, of floating point or complex.
    tangents
        The direction, of the same structure, shapes and dtypes.

    Returns
    -------
    The product, with the structure, shapes and dtypes of the argument; with several arguments a tuple of such.

    Raises
    ------
    ArgumentError
        When primals and tangents are no tuples, or differ in length or structure: the message names the leaves.
    NotDifferentiableError
        When the result is not a scalar, or an argument is neither of floating point nor complex.
    ShapeError, DTypeError
        When a tangent has another shape or dtype than its primal.

    References
    ----------
    B. A. Pearlmutter, *Fast exact multiplication by the Hessian*, Neural Computation 6 (1994).

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

    Parameters
    ----------
    f
        Takes arrays, numbers, or nests of them, by position; what is passed by name is a constant of the program.
        Where Python branches on a value, the program is that of the branch which is taken.

    Returns
    -------
    A function of the arguments of `f` that returns a `Program`: its ``inputs`` (values of a trace around `f`, then one
    for each leaf of the arguments), ``equations`` and ``outputs``.

    Raises
    ------
    ArgumentError
        When `f` is no function or returns no array, or a positional argument is neither array nor number.

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
