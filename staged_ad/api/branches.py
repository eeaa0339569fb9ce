"""cond and switch. Public through ``staged_ad``.

Invariant: all branches take the same operands and return results of the same types.
Start at ``switch``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from staged_ad.api.bodies import (
    Body,
    advice,
    check_function,
    convert,
    join,
    named,
    results_of,
    trace_body,
    with_output_types,
)
from staged_ad.api.calling import leaf_type, own
from staged_ad.api.structures import place, structure_difference
from staged_ad.control.switch import switch as switch_programs
from staged_ad.errors import ArgumentError, ShapeError
from staged_ad.ir import ArrayType, Program, Var
from staged_ad.ir.types import BOOL, INT64, describe
from staged_ad.numpy.promotion import to_dtype
from staged_ad.primitives.shaping import cast
from staged_ad.tracing import Tracer, lent
from staged_ad.tracing.creation import called
from staged_ad.tracing.trees import flatten, tree_map, unflatten


def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """``true_fun(*operands) if pred else false_fun(*operands)``, where `pred` may be a traced value.

    Parameters
    ----------
    pred
        A boolean scalar (0-d, of dtype bool). When it is not traced, the function that it chooses is called, and
        the other is ignored. When it is traced, both functions are traced and one of them runs.
    true_fun, false_fun
        Functions of `operands`, which may also use traced values around them. They return results of one structure,
        shapes and dtypes; a Python number in a result takes the dtype of what the other function returns there.
    operands
        Arrays, numbers, or nests of them.

    Returns
    -------
    What the chosen function returns. Under `vmap` with a mapped `pred` each lane runs its own function only.

    Raises
    ------
    ArgumentError
        When `pred` is not a boolean, a function is not callable with these operands, or the functions return
        different structures, shapes or dtypes: the message compares them leaf by leaf.
    ShapeError
        When `pred` has dimensions.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> f = lambda x: sad.cond(x > 0, np.sqrt, lambda x: -x, x)
    >>> print(sad.grad(f)(4.0), sad.grad(f)(-4.0))
    0.25 -1.0
    """
    names = [f"operand {k}" for k in range(len(operands))]
    check_function("cond", "true_fun", true_fun, names)
    check_function("cond", "false_fun", false_fun, names)
    type = leaf_type(pred, lambda: "cond: pred")
    if type.shape:
        raise ShapeError(
            f"cond: pred must be a scalar, got {type}. Write pred[0] or pred.all() for one decision, or "
            "np.where(pred, a, b) for one per element"
        )
    if type.dtype != BOOL:
        raise ArgumentError(f"cond: pred must be a boolean, got {type.strong()}. Write x != 0 for a number x")
    if not isinstance(pred, Tracer):
        return _called(true_fun if pred else false_fun, operands)
    index = cast(pred, dtype=INT64, weak=False)
    return _branch("cond", {"false_fun": false_fun, "true_fun": true_fun}, index, operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """``branches[index](*operands)``, where `index` may be a traced value.

    Parameters
    ----------
    index
        An integer scalar; below 0 it means the first branch, beyond the end the last one. When it is not traced,
        the branch that it chooses is called, and the others are ignored. When it is traced, all branches are traced
        and one of them runs.
    branches
        One or more functions of `operands`, which may also use traced values around them. They return results of one
        structure, shapes and dtypes; a Python number in a result takes the dtype of what other branches return there.
    operands
        Arrays, numbers, or nests of them.

    Returns
    -------
    What the chosen branch returns.

    Raises
    ------
    ArgumentError
        When `index` is not an integer, `branches` is empty, a branch is not callable with these operands, or branches
        return different structures, shapes or dtypes: the message compares them leaf by leaf.
    ShapeError
        When `index` has dimensions.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> f = lambda k: sad.switch(k, [np.cos, lambda x: x * x], 3.0)
    >>> print(f(1), f(7), sad.vmap(f)(np.array([0, 1, 2])))
    9.0 9.0 [-0.9899925  9.         9.       ]
    """
    if not isinstance(branches, list | tuple) or not branches:
        raise ArgumentError(f"switch: branches must be a list of one or more functions, got {describe(branches)}")
    names = [f"operand {k}" for k in range(len(operands))]
    for k, branch in enumerate(branches):
        check_function("switch", f"branches[{k}]", branch, names)
    type = leaf_type(index, lambda: "switch: index")
    if type.shape:
        raise ShapeError(f"switch: index must be a scalar, got {type}. Use vmap for one decision per element")
    if type.dtype.kind not in "iu":
        advice = "Use cond for a boolean" if type.dtype == BOOL else "Write x.astype(int)"
        raise ArgumentError(f"switch: index must be an integer, got {type.strong()}. {advice}")
    last = len(branches) - 1
    if not isinstance(index, Tracer):
        return _called(branches[max(0, min(int(index), last))], operands)
    if type.dtype == np.uint64:
        index = np.minimum(index, np.uint64(last))  # what exceeds int64 means the last
    return _branch(
        "switch", {f"branches[{k}]": f for k, f in enumerate(branches)}, to_dtype(index, INT64, type.weak), operands
    )


def _called(f: Callable[..., Any], operands: Sequence[Any]) -> Any:
    """``f(*operands)``, as in a traced branch: the operands are not to be changed in place."""
    return tree_map(own, called(f)(*tree_map(lent, tuple(operands))))


def _branch(what: str, functions: dict[str, Callable[..., Any]], index: Any, operands: Sequence[Any]) -> Any:
    """The switch among traced functions, each given with what messages call it."""
    leaves, spec = flatten(list(operands))
    types = [leaf_type(leaf, lambda k=k: f"{what}: {place('operands', spec, k)}") for k, leaf in enumerate(leaves)]  # type: ignore[misc]
    bodies = [trace_body(f, f, spec, types) for f in functions.values()]
    common = _common_types(what, [f"{role} {named(f)}" for role, f in functions.items()], bodies)
    captures = {tracer.atom: tracer for body in bodies for tracer in body.captures}
    programs = [with_output_types(_with_captures(body, captures), common) for body in bodies]
    values = [*captures.values(), *[convert(leaf, type) for leaf, type in zip(leaves, types, strict=True)]]
    results = switch_programs(programs, index, values) if common else []
    shown = bodies[-1 if what == "cond" else 0]  # the order of keys is that of the function written first
    return unflatten(shown.out_spec, results_of(results, values))


def _common_types(what: str, names: Sequence[str], bodies: Sequence[Body]) -> list[ArrayType]:
    """The types that the results of all branches join in."""
    first = bodies[0].out_spec
    faults = []
    for name, body in zip(names[1:], bodies[1:], strict=True):
        if body.out_spec != first:
            faults.append(
                structure_difference("result", (f"{names[0]} returns", first), (f"{name} returns", body.out_spec))
            )
    joined: list[ArrayType | None] = []
    if not faults:
        for k, types in enumerate(zip(*[body.program.output_types for body in bodies], strict=True)):
            joined.append(reduce(lambda a, b: a and join(a, b), types[1:], types[0]))
            if joined[-1] is None:
                found: dict[ArrayType, str] = {}
                for type, name in zip(types, names, strict=True):
                    found.setdefault(type.strong(), name)
                listed = ", ".join(f"{type} from {name}" for type, name in found.items())
                faults.append(f"{place('result', first, k)}: {listed}{advice(list(found))}")
    if faults:
        listed = "\n  ".join(faults)
        raise ArgumentError(f"{what}: all branches must return the same structure, shapes and dtypes, but\n  {listed}")
    return [type for type in joined if type is not None]


def _with_captures(body: Body, captures: dict[Any, Tracer]) -> Program:
    """The program of `body`, taking the captures of all branches instead of its own alone."""
    program, count = body.program, len(body.captures)
    mine = dict(zip([tracer.atom for tracer in body.captures], program.inputs[:count], strict=True))
    first = [mine.get(atom) or Var(atom.type) for atom in captures]
    return Program((*first, *program.inputs[count:]), program.equations, program.outputs, program.name)
