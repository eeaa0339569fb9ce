"""From a Python call with nested arguments to a program of flat arrays, and back.

Invariant: every argument leaf is checked here, once, with an error that names the argument.
Start at ``trace_call``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from staged_ad.api.structures import leaves_of_one, structure_text
from staged_ad.errors import ArgumentError, DTypeError, ShapeError
from staged_ad.ir import ArrayType, Literal, Program, type_of
from staged_ad.ir.types import DTYPES, as_plain, describe, is_bfloat16, is_on_device, is_other_kind
from staged_ad.primitives.shaping import cast
from staged_ad.tracing import Guard, Trace, Tracer, guard, lent, literal_of, trace_flat, traced_constant, unshared
from staged_ad.tracing.creation import called
from staged_ad.tracing.trees import TreeSpec, flatten, paths, tree_map, unflatten

BESIDE = (
    "; what is no array is a static argument of jit (static_argnums, static_argnames), a field of a dataclass marked "
    'dataclasses.field(metadata={"static": True}), or belongs to a function around this one, as in lambda x: f(x, flag)'
)
"""What to write for arguments that are no arrays."""

_ELSEWHERE = (
    "lies in the memory of a GPU, and this function runs on the processor: write jit(f, device='cuda'), or "
    "jit(grad(f), device='cuda') of a derivative, or move the array: cupy.asnumpy(x) of CuPy's, x.numpy(force=True) of "
    "PyTorch's, np.asarray(x) of JAX's arrays"
)


class Traced(NamedTuple):
    """A traced call: ``program: (captures, leaves) -> output leaves``.

    The program checks `guards`; where it is `pinned`, it holds for the present values alone.
    """

    program: Program
    captures: list[Tracer]
    leaves: list[Any]
    in_spec: TreeSpec
    out_spec: TreeSpec
    guards: tuple[Guard, ...] = ()
    pinned: bool = False

    @property
    def outcomes(self) -> tuple[bool | int, ...]:
        """What the guards expect."""
        return tuple([guard.expected for guard in self.guards])

    @property
    def reusable(self) -> bool:
        """Whether the program is right for other arguments of the same types for which its guards hold."""
        return not self.captures and not self.pinned

    def without_guards(self) -> Traced:
        """The program as part of another one, at these very values."""
        kept = tuple([equation for equation in self.program.equations if equation.primitive is not guard])
        program = Program(self.program.inputs, kept, self.program.outputs, self.program.name)
        return self._replace(program=program, guards=())

    @property
    def values(self) -> list[Any]:
        """What the program is applied to."""
        return [*self.captures, *self.leaves]

    def active(self, flags: Sequence[bool] | None = None) -> list[bool]:
        """Flags over the program's inputs: captures are never active, leaves as given (default: all)."""
        return [False] * len(self.captures) + (list(flags) if flags is not None else [True] * len(self.leaves))


def function_name(f: Any) -> str:
    """What error messages call a function."""
    return getattr(f, "__name__", type(f).__name__)


def check_callable(what: str, f: Any) -> None:
    """Raises ArgumentError unless `f`, of which the transform `what` is asked, is a function."""
    if not callable(f):
        raise ArgumentError(f"{what} needs a function, got {describe(f)}; write {what}(f)(x), not {what}(f(x))")


def leaf_type(value: Any, where: Callable[[], str]) -> ArrayType:
    """The type of one argument leaf. `where` names it, and is only called for an error."""
    if isinstance(value, Tracer):
        return value.type
    if is_other_kind(value):
        raise ArgumentError(f"{where()} is a {type(value).__name__}; pass a plain array: {as_plain(value)}")
    try:
        return type_of(value)
    except DTypeError as error:
        if isinstance(value, np.ndarray | np.generic | int):
            raise DTypeError(f"{where()}: {error}") from None
        if is_on_device(value):
            raise ArgumentError(f"{where()} {_ELSEWHERE}") from None
        said = f"{where()} must be an array, a number, or a nest of them, got {describe(value)}"
        raise ArgumentError(said + (BESIDE if said.startswith("argument") else "")) from None


def argument_name(f: Callable[..., Any], position: int) -> str:
    """``argument 0 (x) of f``."""
    try:
        name = list(inspect.signature(f).parameters.values())[position].name
        return f"argument {position} ({name}) of {function_name(f)}"
    except (TypeError, ValueError, IndexError):
        return f"argument {position} of {function_name(f)}"


def leaf_name(f: Callable[..., Any], positions: Sequence[int], args: Sequence[Any], number: int) -> str:
    """The name of leaf `number` of the arguments at `positions`."""
    for position, arg in zip(positions, args, strict=True):
        places = paths(arg)
        if number < len(places):
            return f"{argument_name(f, position)}{' at ' + places[number] if places[number] else ''}"
        number -= len(places)
    return f"an argument of {function_name(f)}"


def describe_arguments(
    f: Callable[..., Any], positions: Sequence[int], args: Sequence[Any], named: Mapping[str, Any], number: int
) -> str:
    """The name of leaf `number` of positional and then keyword arguments (sorted by name)."""
    for value in args:
        number -= len(paths(value))
    if number < 0:
        return leaf_name(f, positions, args, number + sum(len(paths(value)) for value in args))
    for name in sorted(named):
        places = paths(named[name])
        if number < len(places):
            return f"argument {name} of {function_name(f)}{' at ' + places[number] if places[number] else ''}"
        number -= len(places)
    return f"an argument of {function_name(f)}"


def trace_call(
    f: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    positions: Sequence[int] | None = None,
    has_aux: bool = False,
    by_value: bool = True,
) -> Traced:
    """Trace ``f(*args, **kwargs)``; the arguments at `positions` (default: all) are inputs, arrays among the others are
    constants.

    With `has_aux`, f returns a pair, and the leaves of its second part follow those of the first. Python may branch on
    the values of the arguments, unless `by_value` is False: the program is then used at others.
    """
    if not callable(f):
        raise ArgumentError(f"{describe(f)} is no function, so it has no derivative")
    chosen = range(len(args)) if positions is None else positions
    dynamic = tuple([args[k] for k in chosen])
    leaves, in_spec = flatten(dynamic)
    types = [leaf_type(leaf, lambda k=k: leaf_name(f, chosen, dynamic, k)) for k, leaf in enumerate(leaves)]  # type: ignore[misc]

    def apply(*values: Any) -> Any:
        inputs = dict(zip(chosen, values, strict=True))
        full = [inputs[k] if k in inputs else constants(arg) for k, arg in enumerate(args)]
        return called(f)(*full, **{name: constants(arg) for name, arg in kwargs.items()})

    traced = trace_prepared(apply, in_spec, types, {}, has_aux, f, leaves if by_value else ())
    return traced._replace(leaves=leaves)


def constants(arg: Any) -> Any:
    """An argument whose arrays have known values, but belong to the caller, and can be copied to hold traced ones."""
    if not any(isinstance(leaf, np.ndarray | Tracer) for leaf in flatten(arg)[0]):
        return arg
    return tree_map(lambda leaf: lent(_constant(leaf)), arg)


def _constant(leaf: Any) -> Any:
    known = type(leaf) is np.ndarray and (leaf.dtype.newbyteorder("=") in DTYPES or is_bfloat16(leaf.dtype))
    return traced_constant(literal_of(leaf)) if known else leaf


def trace_prepared(
    apply: Callable[..., Any],
    in_spec: TreeSpec,
    types: Sequence[ArrayType],
    kwargs: Mapping[str, Any],
    has_aux: bool = False,
    f: Callable[..., Any] | None = None,
    meanings: Sequence[Any] = (),
    trace: Trace | None = None,
) -> Traced:
    """Trace `apply` at leaves of the given types, arranged by `in_spec`; `f` is what error messages name.

    `meanings` and `trace` are those of `trace_flat`.
    """
    f = f or apply
    trace = trace or Trace()
    specs: list[TreeSpec] = []

    def flat(*tracers: Tracer) -> list[Any]:
        result = called(apply)(*unflatten(in_spec, tracers), **kwargs)
        if has_aux and not (isinstance(result, tuple) and len(result) == 2):
            raise ArgumentError(f"{function_name(f)} must return a pair (value, aux) because has_aux=True")
        out_leaves, out_spec = flatten(result)
        specs.append(out_spec)
        _check_outputs(f, result, out_leaves)
        return out_leaves

    program, captures = trace_flat(flat, types, function_name(f), meanings, trace)
    leaves = [None] * len(types)
    return Traced(program, captures, leaves, in_spec, specs[0], tuple(trace.guards or ()), trace.pinned)


def _check_outputs(f: Callable[..., Any], result: Any, leaves: Sequence[Any]) -> None:
    if not leaves:
        raise ArgumentError(
            f"{function_name(f)} returned {describe(result)}, which holds no array; does a return statement lack?"
        )
    for k, leaf in enumerate(leaves):
        leaf_type(leaf, lambda k=k: f"the result of {function_name(f)}{_place(result, k)}")  # type: ignore[misc]


def _place(tree: Any, number: int) -> str:
    place = paths(tree)[number]
    return f" at {place}" if place else ""


def check_match(what: str, given: Any, spec: TreeSpec, types: Sequence[ArrayType]) -> list[Any]:
    """The leaves of `given`, which must have the structure `spec` and the given types."""
    leaves, found = flatten(given)
    if found != spec:
        expected, given_text = structure_text(spec), structure_text(found)
        lacking = leaves_of_one(what.removeprefix("the "), spec, found)
        raise ArgumentError(f"{what} must have the structure {expected}, got {given_text}{lacking}")
    values = []
    for k, (leaf, type) in enumerate(zip(leaves, types, strict=True)):
        where = f"{what}{_place(given, k)}"
        leaf_found = leaf_type(leaf, lambda where=where: where)  # type: ignore[misc]
        if leaf_found.shape != type.shape:
            raise ShapeError(f"{where} must have shape {type.shape}, got {leaf_found.shape}")
        narrower = leaf_found.is_complex and not type.is_complex
        if narrower or (leaf_found.dtype != type.dtype and not leaf_found.weak and leaf_found.inexact):
            raise DTypeError(f"{where} must have dtype {type.dtype}, got {leaf_found.dtype}")
        if isinstance(leaf, Tracer):
            values.append(leaf if leaf_found.dtype == type.dtype else cast(leaf, dtype=type.dtype, weak=False))
        else:
            values.append(np.asarray(leaf, type.dtype))
    return values


def with_zeros(types: Sequence[ArrayType], tangents: Sequence[Any]) -> list[Any]:
    """Tangents of all values; those of integers and booleans are zeros of float64."""
    rest = iter(tangents)
    return [next(rest) if type.inexact else np.zeros(type.shape)[()] for type in types]


def own(value: Any) -> Any:
    """A result as an array that the user may write to, or as a number."""
    value = unshared(value)
    if isinstance(value, Literal):
        value = value.array
    if isinstance(value, np.ndarray) and (value.base is not None or not value.flags.writeable):
        return np.array(value) if value.ndim else value[()]
    return value
