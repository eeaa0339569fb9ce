"""From the functions in loops and branches to programs of agreed types.

Invariant: programs that stand for one another take the same inputs and return the same types, weakness included.
Start at ``trace_body``; ``join`` says which types agree.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from staged_ad.api.calling import function_name, leaf_type, own
from staged_ad.api.structures import place, structure_difference
from staged_ad.errors import ArgumentError, ShapeError
from staged_ad.ir import ArrayType, Atom, Equation, Literal, Program, Var
from staged_ad.ir.types import describe
from staged_ad.numpy.promotion import to_dtype
from staged_ad.primitives.shaping import cast
from staged_ad.tracing import Tracer, trace_flat
from staged_ad.tracing.creation import called
from staged_ad.tracing.trees import TreeSpec, flatten, tree_map, unflatten


class Body(NamedTuple):
    """A traced function: ``program: (captures, arguments) -> results``."""

    program: Program
    captures: list[Tracer]
    out_spec: TreeSpec


def named(f: Callable[..., Any]) -> str:
    """``step (model.py:12)``: the name of a function and where it is defined."""
    inner: Any = inspect.unwrap(f.func if isinstance(f, partial) else f)
    code = getattr(inner, "__code__", None) or getattr(type(inner).__call__, "__code__", None)
    name = function_name(f if hasattr(f, "__name__") else inner)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name


def check_function(what: str, role: str, f: Any, arguments: Sequence[str] | None) -> None:
    """`f` must be callable with these positional arguments, if given; `role` is its name in the signature of `what`."""
    listed = f"({', '.join(arguments or [])})"
    if not callable(f):
        of = f" of {listed}" if arguments is not None else ""
        raise ArgumentError(f"{what}: {role} must be a function{of}, got {describe(f)}")
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):  # written in C
        return
    if arguments is None:
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise ArgumentError(
            f"{what} calls {role} {named(f)} with {len(arguments)} positional arguments {listed}, but its signature "
            f"is {signature}: {error}"
        ) from None


def trace_body(
    f: Callable[..., Any], apply: Callable[..., Any], spec: TreeSpec, types: Sequence[ArrayType], lent: bool = True
) -> Body:
    """Trace `apply`, which calls the user's `f`, at leaves of the given types, arranged by `spec`.

    `f` may not change arguments that are `lent` in place.
    """
    specs: list[TreeSpec] = []

    def flat(*tracers: Tracer) -> list[Any]:
        leaves, out_spec = flatten(called(apply)(*unflatten(spec, tracers)))
        specs.append(out_spec)
        for k, leaf in enumerate(leaves):
            leaf_type(leaf, lambda k=k: place(f"the result of {named(f)}, result", out_spec, k))  # type: ignore[misc]
        return leaves

    program, captures = trace_flat(flat, types, function_name(f), staged=True, lent=lent)
    return Body(program, captures, specs[0])


def lengths_along(what: str, tree: str, leaves: Sequence[Any], spec: TreeSpec, axis: int = 0) -> dict[str, int]:
    """The one length of all leaves along `axis`, by the name of the leaf."""
    lengths: dict[str, int] = {}
    for k, leaf in enumerate(leaves):
        name = place(tree, spec, k)
        type = leaf_type(leaf, lambda name=name: f"{what}: {name}")  # type: ignore[misc]
        if not -type.ndim <= axis < type.ndim:
            number = "; write np.array(...) for a list of numbers" if not type.shape else ""
            raise ShapeError(f"{what}: {name} has shape {type.shape}, it has no axis {axis}{number}")
        lengths[name] = type.shape[axis]
    if len(set(lengths.values())) > 1:
        raise ShapeError(f"{what}: {tree} must have one length along axis {axis}, but {lengths_text(lengths)}")
    return lengths


def lengths_text(lengths: dict[str, int]) -> str:
    """``xs['a'] has length 2, xs['b'] has length 3``."""
    return ", ".join(f"{name} has length {n}" for name, n in lengths.items())


def join(one: ArrayType, other: ArrayType) -> ArrayType | None:
    """The type that values of both types take where they meet: Python numbers adapt, arrays do not. Else None."""
    if one.shape != other.shape:
        return None
    if one.weak == other.weak:
        if one.dtype == other.dtype:
            return one
        return max(one, other, key=_rank) if one.weak else None
    weak, strong = (one, other) if one.weak else (other, one)
    return strong if _rank(weak) <= _rank(strong) else None


def _rank(type: ArrayType) -> int:
    """Which Python numbers arrays of a type take in: integers, real numbers, complex ones."""
    return {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}[type.dtype.kind]


def convert(value: Any, type: ArrayType) -> Any:
    """`value`, whose type joins with `type`, as one of exactly that type."""
    if isinstance(value, Tracer):
        return to_dtype(value, type.dtype, type.weak)
    if type.weak:
        return type.dtype.type(value).item()
    return np.asarray(value, type.dtype) if type.shape else type.dtype.type(value)


def with_output_types(program: Program, types: Sequence[ArrayType]) -> Program:
    """`program` with its outputs cast to types that they join with."""
    equations, outputs = list(program.equations), list[Atom]()
    for atom, type in zip(program.outputs, types, strict=True):
        if isinstance(atom, Literal):
            atom = to_dtype(atom, type.dtype, type.weak)
        elif atom.type != type:
            params = {"dtype": type.dtype, "weak": type.weak}
            equations.append(Equation(cast.primitive, (atom,), params, (Var(type),)))
            (atom,) = equations[-1].outputs
        outputs.append(atom)
    return Program(program.inputs, tuple(equations), tuple(outputs), program.name)


def results_of(values: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    """Results that the user may write to: no view, and none of the arrays that were `given`."""
    inputs = {id(x) for x in given if isinstance(x, np.ndarray)}
    arrays = [np.asarray(value)[()] if isinstance(value, int | float | complex) else value for value in values]
    return [np.array(value) if id(value) in inputs else own(value) for value in arrays]


def apart(result: Any, given: Any) -> Any:
    """A result of plain Python with copies of what are arrays of the tree `given`, as traced ones are."""
    inputs = {id(x) for x in flatten(given)[0] if isinstance(x, np.ndarray)}
    return tree_map(lambda x: np.array(x) if id(x) in inputs else x, result)


def advice(types: Sequence[ArrayType]) -> str:
    """How values of these types, which do not join, can be made to."""
    if len({type.shape for type in types}) > 1:
        return "; np.zeros, np.full_like and np.broadcast_to give one the shape of the other"
    names = [f".astype(np.{type.dtype})" for type in types]
    if len({type.dtype.kind for type in types}) == 1:
        return "; cast one of them: " + " or ".join(names)
    widest = min(types, key=lambda type: "cfiub".index(type.dtype.kind))
    return f"; cast the other: .astype(np.{widest.dtype}), or begin with a number of that type"


class LoopBody(NamedTuple):
    """A traced loop body, ``program: (captures, carry, further arguments) -> (carry, further results)``."""

    program: Program
    captures: list[Tracer]
    carry: list[Any]
    carry_spec: TreeSpec
    rest_spec: TreeSpec

    def restore(self, results: Sequence[Any], given: Sequence[Any]) -> tuple[Any, Any]:
        """The carry and the further results as the user's trees."""
        owned, count = results_of(results, given), len(self.carry)
        return unflatten(self.carry_spec, owned[:count]), unflatten(self.rest_spec, owned[count:])


def trace_loop_body(
    what: str, f: Callable[..., Any], step: Callable[..., Any], init: Any, rest: tuple[TreeSpec, Sequence[ArrayType]]
) -> LoopBody:
    """Trace ``step: (carry, rest) -> (carry, further results)``, which calls the user's `f`.

    Python numbers in the carry adapt to what leaves in their place: `step` is traced again until nothing changes.
    """
    leaves, spec = flatten(init)
    types = [leaf_type(leaf, lambda k=k: f"{what}: {place('init', spec, k)}") for k, leaf in enumerate(leaves)]  # type: ignore[misc]
    in_spec = flatten((init, unflatten(rest[0], [0] * len(rest[1]))))[1]
    while True:
        body = trace_body(f, step, in_spec, [*types, *rest[1]], lent=False)
        out_spec, rest_spec = body.out_spec.children()
        found = body.program.output_types
        joined = _carry_types(what, f, spec, types, out_spec, found)
        if joined == types:
            break
        types = joined
    program = with_output_types(body.program, [*types, *found[len(types) :]])
    carry = [convert(leaf, type) for leaf, type in zip(leaves, types, strict=True)]
    return LoopBody(program, body.captures, carry, spec, rest_spec)


def _carry_types(
    what: str,
    f: Callable[..., Any],
    spec: TreeSpec,
    types: Sequence[ArrayType],
    out_spec: TreeSpec,
    found: Sequence[ArrayType],
) -> list[ArrayType]:
    """The types in which the carry that enters and the carry that leaves join, else an error that compares them."""
    if out_spec != spec:
        faults = [structure_difference("carry", ("enters as", spec), ("leaves as", out_spec))]
        if not out_spec.num_leaves:
            faults[0] += "; does a return statement lack?"
    else:
        joined = [join(before, after) for before, after in zip(types, found, strict=False)]
        faults = [
            f"{place('carry', spec, k)}: enters as {types[k].strong()}, leaves as {found[k].strong()}"
            + advice([types[k], found[k]])
            for k, type in enumerate(joined)
            if type is None
        ]
        if not faults:
            return [type for type in joined if type is not None]
    listed = "\n  ".join(faults)
    raise ArgumentError(
        f"{what}: the carry must leave {named(f)} with the structure, shapes and dtypes with which it entered, but\n"
        f"  {listed}"
    )
