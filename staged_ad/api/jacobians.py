"""Jacobians and Hessians of Python functions. Public through ``staged_ad``.

Invariant: a block [output leaf][input leaf] has the shape of the output, then that of the input.
Start at ``_jacobian_forward``: a Jacobian is a jvp or a vjp mapped over the unit arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.api.arguments import Argnums, argument_positions, as_given, check_differentiable, check_result
from staged_ad.api.calling import Traced, check_callable, function_name, own, trace_call
from staged_ad.api.transformed import transforming
from staged_ad.errors import NotDifferentiableError
from staged_ad.ir import ArrayType, Program
from staged_ad.primitives.arithmetic import eq
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import broadcast, cast, iota, reshape, transpose
from staged_ad.tracing import run
from staged_ad.tracing.trees import unflatten
from staged_ad.transforms.jvp import jvp_program
from staged_ad.transforms.vjp import vjp_program
from staged_ad.transforms.vmap import vmap_program


def _basis(type: ArrayType, near: Sequence[Any]) -> Any:
    """The unit arrays of a type, along a new axis 0."""
    n = type.size
    same = eq(iota((n, n), np.int64, 0, near=near), iota((n, n), np.int64, 1, near=near))
    return reshape(cast(same, dtype=type.dtype, weak=False), shape=(n, *type.shape))


def _jacobian_forward(traced: Traced) -> list[list[Any]]:
    """Blocks [output leaf][input leaf] of shape (output shape, input shape)."""
    columns = []
    count = len(traced.program.outputs)
    for k in range(len(traced.leaves)):
        active = traced.active([j == k for j in range(len(traced.leaves))])
        program = jvp_program(traced.program, active)
        type = traced.program.input_types[len(traced.captures) + k].strong()
        outputs = Program(program.inputs, program.equations, program.outputs[count:], program.name)
        flags = [False] * len(traced.program.inputs) + [True]
        columns.append(_mapped(outputs, flags, [*traced.values, _basis(type, traced.values)], type.size))
    blocks: list[list[Any]] = []
    for row, out in enumerate(t for t in traced.program.output_types if t.inexact):
        blocks.append([])
        for k, column in enumerate(columns):
            shape = traced.program.input_types[len(traced.captures) + k].shape
            # (n, output shape) -> (output shape, n) -> (output shape, input shape)
            turned = transpose(column[row], permutation=(*range(1, out.ndim + 1), 0))
            blocks[-1].append(reshape(turned, shape=(*out.shape, *shape)))
    return blocks


def _jacobian_reverse(traced: Traced) -> list[list[Any]]:
    pullback = vjp_program(traced.program, traced.active())
    results = run(pullback.forward, traced.values)
    residuals = results[len(traced.program.outputs) :]
    outs = [type.strong() for type in traced.program.output_types if type.inexact]
    blocks = []
    for k, out in enumerate(outs):
        seeds = [_basis(t, residuals) if j == k else np.zeros(t.shape, t.dtype) for j, t in enumerate(outs)]
        flags = [False] * len(residuals) + [j == k for j in range(len(outs))]
        rows = _mapped(pullback.backward, flags, [*residuals, *seeds], out.size)
        types = traced.program.input_types[len(traced.captures) :]
        blocks.append([reshape(row, shape=(*out.shape, *t.shape)) for row, t in zip(rows, types, strict=True)])
    return blocks


def _mapped(program: Program, batched: Sequence[bool], values: Sequence[Any], size: int) -> list[Any]:
    mapped, flags = vmap_program(program, batched, size)
    results = run(mapped, values)
    return [r if flag else _repeat(r, size) for r, flag in zip(results, flags, strict=True)]


def _repeat(value: Any, size: int) -> Any:
    type = typeof(value)
    return broadcast(value, shape=(size, *type.shape), dims=tuple(range(1, type.ndim + 1)))


def _jacobian(
    make: Callable[..., Any],
    f: Callable[..., Any],
    argnums: Argnums,
    holomorphic: bool,
    choose: Callable[[Traced], Any],
    what: str = "",
) -> Callable[..., Any]:
    """What ``make(f, argnums, holomorphic)`` returns; `what` is its name in errors, where that is another one."""
    what = what or make.__name__

    @transforming(make, f, argnums, holomorphic)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        positions = argument_positions(f, argnums, args)
        traced = trace_call(f, args, kwargs, positions)
        check_differentiable(what, f, traced, positions, holomorphic)
        if not all(type.inexact for type in traced.program.output_types):
            raise NotDifferentiableError(f"{what}: {function_name(f)} returned an integer or boolean array")
        mode = choose(traced)
        _check_real(what, f, traced, mode is _jacobian_forward, holomorphic)
        rows = [as_given(argnums, unflatten(traced.in_spec, list(map(own, row)))) for row in mode(traced)]
        return unflatten(traced.out_spec, rows)

    return differentiated


def _check_real(what: str, f: Callable[..., Any], traced: Traced, forward: bool, holomorphic: bool) -> None:
    """A Jacobian that is not holomorphic needs real arguments in forward mode, real results in reverse mode."""
    if holomorphic or not forward:
        for type in traced.program.output_types:
            check_result(what, f, type, holomorphic)
    elif any(type.is_complex for type in traced.program.input_types[len(traced.captures) :]):
        raise NotDifferentiableError(
            f"{what} needs real arguments, but {function_name(f)} was given complex ones. Set holomorphic=True for the "
            "complex derivative of a holomorphic function, use jacrev where the result is real, or differentiate with "
            "respect to the real and the imaginary part: lambda x, y: f(x + 1j * y)"
        )


def jacfwd(f: Callable[..., Any], argnums: Argnums = 0, holomorphic: bool = False) -> Callable[..., Any]:
    """The Jacobian of `f` by forward mode: its cost grows with the number of inputs.

    Parameters
    ----------
    f
        Returns an array or a nest of them, of floating point or complex.
    argnums
        The positional argument, or arguments, to differentiate with respect to: arrays or nests of arrays of floating
        point, with `holomorphic` complex.
    holomorphic
        Whether f is a holomorphic function of complex arguments with complex results: the Jacobian is then that of
        its complex derivatives. That f is holomorphic is not checked.

    Returns
    -------
    A function of the arguments of `f` that returns the Jacobian. For a result of shape s and an argument of shape t
    it is a block of shape s + t, of the dtype of the result. Nests of results and arguments give nests of blocks, the
    result's structure outside; the inner one is a tuple when `argnums` is a sequence.

    Raises
    ------
    NotDifferentiableError
        When an argument in `argnums` is not of floating point, one is complex without ``holomorphic=True``, or a
        result is an integer or a boolean.
    ArgumentError
        When there is no such positional argument.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(sad.jacfwd(lambda x: x**2)(np.array([1.0, 2.0])))
    [[2. 0.]
     [0. 4.]]
    """
    return _jacobian(jacfwd, f, argnums, holomorphic, lambda traced: _jacobian_forward)


def jacrev(f: Callable[..., Any], argnums: Argnums = 0, holomorphic: bool = False) -> Callable[..., Any]:
    """The Jacobian of `f` by reverse mode: its cost grows with the number of outputs.

    Parameters
    ----------
    f
        Returns an array or a nest of them, of floating point; with `holomorphic` complex.
    argnums
        The positional argument, or arguments, to differentiate with respect to: arrays or nests of arrays of floating
        point or complex.
    holomorphic
        As for `jacfwd`.

    Returns
    -------
    A function of the arguments of `f` that returns the Jacobian, in blocks as `jacfwd` does, but of the dtype of the
    argument. Where that is complex and the result real, a row is a gradient as `grad` gives it.

    Raises
    ------
    NotDifferentiableError
        When an argument in `argnums` is neither of floating point nor complex, or a result is an integer, a boolean,
        or complex without ``holomorphic=True``.
    ArgumentError
        When there is no such positional argument.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(sad.jacrev(lambda x: x[0] * x[1:])(np.array([2.0, 3.0, 4.0])))
    [[3. 2. 0.]
     [4. 0. 2.]]
    """
    return _jacobian(jacrev, f, argnums, holomorphic, lambda traced: _jacobian_reverse)


def jacobian(f: Callable[..., Any], argnums: Argnums = 0, holomorphic: bool = False) -> Callable[..., Any]:
    """The Jacobian of `f`, by the cheaper of `jacfwd` (no more inputs than outputs) and `jacrev`.

    Where only one of them takes the dtypes it is that one: `jacfwd` for complex results, `jacrev` for complex
    arguments.

    Parameters
    ----------
    f, argnums, holomorphic
        As for `jacfwd`.

    Returns
    -------
    A function of the arguments of `f` that returns the Jacobian, in blocks as `jacfwd` and `jacrev` do.

    Raises
    ------
    NotDifferentiableError
        When an argument in `argnums` is neither of floating point nor complex, a result is an integer or a boolean, or
        arguments and results are complex without ``holomorphic=True``.
    ArgumentError
        When there is no such positional argument.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> dx, dy = sad.jacobian(lambda x, y: x * y, argnums=(0, 1))(np.array([1.0, 2.0]), 3.0)
    >>> print(dx, dy)
    [[3. 0.]
     [0. 3.]] [1. 2.]
    """

    def choose(traced: Traced) -> Any:
        inputs = traced.program.input_types[len(traced.captures) :]
        outputs = traced.program.output_types
        if not holomorphic and any(type.is_complex for type in (*inputs, *outputs)):
            return _jacobian_forward if any(type.is_complex for type in outputs) else _jacobian_reverse
        fewer = sum(type.size for type in inputs) <= sum(type.size for type in outputs)
        return _jacobian_forward if fewer else _jacobian_reverse

    return _jacobian(jacobian, f, argnums, holomorphic, choose)


def hessian(f: Callable[..., Any], argnums: Argnums = 0, holomorphic: bool = False) -> Callable[..., Any]:
    """The Hessian of `f`, forward over reverse.

    Parameters
    ----------
    f
        Returns an array or a nest of them, of floating point; with `holomorphic` complex.
    argnums
        The positional argument, or arguments, to differentiate with respect to: arrays or nests of arrays of floating
        point, with `holomorphic` complex.
    holomorphic
        As for `jacfwd`.

    Returns
    -------
    A function of the arguments of `f` that returns the Hessian. For a result of shape s and arguments of shapes t and
    u it is a block of shape s + t + u, of the dtype of the former. Nests give nests of blocks, the result's structure
    outside, then the argument's, twice: ``hessian(f, (0, 1))(x, y)[0][1]`` holds the derivatives in x and y.

    Raises
    ------
    NotDifferentiableError
        When an argument in `argnums` is not of floating point, one or a result is complex without
        ``holomorphic=True``, or a result is an integer or a boolean.
    ArgumentError
        When there is no such positional argument.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> rosenbrock = lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    >>> print(sad.hessian(rosenbrock)(np.array([-1.2, 1.0])))
    [[1330.  480.]
     [ 480.  200.]]
    """
    check_callable("hessian", f)
    rows = _jacobian(jacrev, f, argnums, holomorphic, lambda traced: _jacobian_reverse, "hessian")
    return _jacobian(jacfwd, rows, argnums, holomorphic, lambda traced: _jacobian_forward, "hessian")
