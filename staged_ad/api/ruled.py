"""Functions with a derivative rule of the user's: one call, traced, and what the user's rule returns, checked.

Invariant: what reaches a primitive has the structure, shapes and dtypes of the function that the rule is for.
Start at ``Ruled``; custom_rules.py makes the public classes of it.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial, update_wrapper
from typing import Any, NamedTuple

from staged_ad.api.arguments import argument_positions
from staged_ad.api.bodies import advice, check_function, convert, join, named
from staged_ad.api.calling import function_name, leaf_name, leaf_type
from staged_ad.api.structures import place, structure_difference
from staged_ad.api.transformed import name_of
from staged_ad.errors import ArgumentError, LeakedTracerError
from staged_ad.ir import ArrayType, Program, Var
from staged_ad.ir.types import describe
from staged_ad.tracing import Tracer, trace_flat
from staged_ad.tracing.creation import called
from staged_ad.tracing.source import location
from staged_ad.tracing.tracer import is_captured
from staged_ad.tracing.trees import TreeSpec, flatten, unflatten


class RuledCall(NamedTuple):
    """One call: ``program: (captures, leaves) -> output leaves``; `spec` arranges leaves as the list of arguments."""

    program: Program
    captures: list[Tracer]
    leaves: list[Any]
    spec: TreeSpec
    out_spec: TreeSpec
    static: dict[int, Any]

    @property
    def types(self) -> list[ArrayType]:
        """Of the leaves."""
        return self.program.input_types[len(self.captures) :]

    @property
    def result(self) -> str:
        """What messages call the result of `f`."""
        return f"the result of {self.program.name}"

    @property
    def values(self) -> list[Any]:
        """What the program is applied to."""
        return [*self.captures, *self.leaves]

    def arguments(self, leaves: Sequence[Any]) -> list[Any]:
        """Those of `f`: the static ones where they were, between them `leaves`."""
        return merged(self.static, unflatten(self.spec, leaves))


class Ruled(ABC):
    """A function with a rule: what custom_jvp and custom_vjp have in common."""

    maker = ""

    def __init__(self, f: Callable[..., Any], nondiff_argnums: int | Sequence[int]) -> None:
        check_function(self.maker, "f", f, None)
        update_wrapper(self, f, updated=())
        self._f = f
        self._nondiff = nondiff_argnums

    def __repr__(self) -> str:
        return f"<{self.maker} of {function_name(self._f)}>"

    def __reduce__(self) -> Any:
        """Pickled by name where it has one, else with its function and rules."""
        return name_of(self) or (_restored, (type(self), vars(self)))

    def __get__(self, instance: Any, owner: type) -> Any:
        """As a method: `self` is argument 0, which belongs in nondiff_argnums."""
        return self if instance is None else partial(self, instance)

    @abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The result of `f`, as one equation with its rule where an argument is traced."""

    def about(self, *rules: Callable[..., Any]) -> str:
        """``the rule f_jvp (model.py:12) of f``."""
        return f"the rule {' and '.join(map(named, rules))} of {function_name(self._f)}"

    def positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by position, defaults among them: rules take them so."""
        try:
            bound = inspect.signature(self._f).bind(*args, **kwargs)
        except ValueError:  # written in C
            if kwargs:
                raise ArgumentError(
                    f"{function_name(self._f)} has no signature: pass all arguments of it by position"
                ) from None
            return args
        bound.apply_defaults()
        if bound.kwargs:
            raise ArgumentError(
                f"{self.maker}: {', '.join(bound.kwargs)} of {named(self._f)} can only be given by keyword, but rules "
                "take their arguments by position; leave out the * in its signature"
            )
        return bound.args

    def traced(self, args: tuple[Any, ...], rules: Sequence[Callable[..., Any]]) -> RuledCall | None:
        """The program of `f` at these arguments; None where none of them is traced."""
        f = self._f
        fixed = argument_positions(f, self._nondiff, args, "nondiff_argnums")
        positions = [k for k in range(len(args)) if k not in fixed]
        dynamic = [args[k] for k in positions]
        static = {k: args[k] for k in fixed}
        leaves, spec = flatten(dynamic)
        if not any(isinstance(leaf, Tracer) for leaf in leaves):
            return None
        types = [_leaf_type(leaf, partial(leaf_name, f, positions, dynamic, k)) for k, leaf in enumerate(leaves)]
        specs: list[TreeSpec] = []

        def flat(*tracers: Tracer) -> list[Any]:
            result = called(f)(*merged(static, unflatten(spec, tracers)))
            out_leaves, out_spec = flatten(result)
            specs.append(out_spec)
            for k, leaf in enumerate(out_leaves):
                leaf_type(leaf, lambda k=k: place(f"the result of {named(f)}, result", out_spec, k))  # type: ignore[misc]
            if not out_leaves:
                raise ArgumentError(f"{named(f)} returned {describe(result)}, which holds no array")
            return out_leaves

        program, captures = trace_flat(flat, types, function_name(f), leaves, staged=True)
        # what only the rules use: they are traced when the trace around may be closed, so it must be an operand
        unused = {tracer.atom: tracer for tracer in around((f, *rules, *static.values()))}
        added = [tracer for atom, tracer in unused.items() if atom not in {tracer.atom for tracer in captures}]
        count = len(captures)
        inputs = (*program.inputs[:count], *[Var(tracer.type) for tracer in added], *program.inputs[count:])
        program = Program(inputs, program.equations, program.outputs, program.name)
        return RuledCall(program, [*captures, *added], leaves, spec, specs[0], static)

    def rule_program(
        self, call: RuledCall, rule: Callable[..., Any], types: Sequence[ArrayType], flat: Callable[..., Any]
    ) -> Program:
        """The program of `flat`, which calls the user's `rule`, behind the captures of the call."""
        name = function_name(self._f)
        advice = f"{self.about(rule)} uses a traced value from around it. Pass it to {name} as an argument"
        try:
            program, captures = trace_flat(flat, types, function_name(rule), staged=True, captured=call.captures)
        except LeakedTracerError as error:
            raise LeakedTracerError(f"{advice}: {error}") from None
        if len(captures) > len(call.captures):
            place = location(captures[-1].source)
            raise LeakedTracerError(f"{advice} (it was made at {place})")
        return program


def _leaf_type(leaf: Any, name: Callable[[], str]) -> ArrayType:
    try:
        return leaf_type(leaf, name)
    except ArgumentError as error:
        raise ArgumentError(f"{error}. Arguments that are no arrays belong in nondiff_argnums") from None


def _restored(kind: type[Ruled], state: dict[str, Any]) -> Ruled:
    """A pickled function with its rules."""
    ruled = kind.__new__(kind)
    vars(ruled).update(state)
    return ruled


def merged(static: dict[int, Any], dynamic: Sequence[Any]) -> list[Any]:
    """`dynamic` with the static arguments at their positions between them."""
    rest = iter(dynamic)
    return [static[k] if k in static else next(rest) for k in range(len(static) + len(dynamic))]


def around(objects: Sequence[Any]) -> list[Tracer]:
    """The traced values that functions find in their closures, and those among other `objects`."""
    found: list[Any] = []
    for value in objects:
        inner: Any = value.func if isinstance(value, partial) else value
        parts = [*value.args, value.keywords] if isinstance(value, partial) else []
        for cell in getattr(inner, "__closure__", None) or ():
            try:
                parts.append(cell.cell_contents)
            except ValueError:  # not assigned yet
                continue
        found += flatten([value, parts])[0]
    tracers = [leaf for leaf in found if isinstance(leaf, Tracer) and isinstance(leaf.atom, Var)]
    return [tracer for tracer in tracers if tracer.owner.open or is_captured(tracer)]


def floating(types: Sequence[ArrayType]) -> list[ArrayType]:
    """The types of tangents: those of floating-point values."""
    return [type.strong() for type in types if type.inexact]


def checked(about: str, name: str, given: Any, like: str, spec: TreeSpec, types: Sequence[ArrayType]) -> list[Any]:
    """The leaves of `given`, called `name`, which must have the structure and types of what is called `like`."""
    leaves, found = flatten(given)
    if found != spec:
        difference = structure_difference(name, ("the rule returns", found), (f"{like} is", spec))
        raise ArgumentError(f"{about}: {name}: {difference}")
    faults = []
    for k, (leaf, type) in enumerate(zip(leaves, types, strict=True)):
        where = place(name, spec, k)
        has = leaf_type(leaf, lambda where=where: f"{about}: {where}")  # type: ignore[misc]
        if join(has, type) is None and type.inexact:
            made = f" (made at {location(leaf.source)})" if isinstance(leaf, Tracer) else ""
            expected = f"must be {type.strong()} as {place(like, spec, k)} is"
            faults.append(f"{where} is {has.strong()}{made}, {expected}{advice([has, type])}")
    if faults:
        listed = "\n  ".join(faults)
        raise ArgumentError(f"{about} returns what does not fit:\n  {listed}")
    return [convert(leaf, type) if type.inexact else leaf for leaf, type in zip(leaves, types, strict=True)]
