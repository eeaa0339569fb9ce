"""What a jitted function was told beside its function: which arguments are static, which are given away.

Invariant: positions and names of one argument go together, where the function has a signature.
Start at ``Options``.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from staged_ad.api.calling import argument_name, describe_arguments, function_name
from staged_ad.api.placement import PLACEMENTS, Placement
from staged_ad.api.prepared import Prepared
from staged_ad.errors import ArgumentError
from staged_ad.ir.types import describe
from staged_ad.tracing.fixed import Fixed
from staged_ad.tracing.trees import flatten, order


class Chosen(NamedTuple):
    """Some arguments of a function, by position and by name."""

    positions: frozenset[int] = frozenset()
    names: frozenset[str] = frozenset()

    @property
    def of_method(self) -> Chosen:
        """The same arguments after `self` was bound."""
        return Chosen(frozenset(k - 1 for k in self.positions if k > 0), self.names)


class Options(NamedTuple):
    """The options of `jit`, for a function that has parameters of the names `parameters`."""

    static: Chosen
    donated: Chosen
    precise: bool = False
    parameters: frozenset[str] = frozenset()
    device: str | None = None

    @property
    def of_method(self) -> Options:
        """The same options after `self` was bound."""
        return self._replace(static=self.static.of_method, donated=self.donated.of_method)

    @property
    def placement(self) -> Placement:
        """Where the function runs."""
        return PLACEMENTS[self.device]

    def prepare(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Prepared:
        """A call of `f`, flattened and typed."""
        fixed = self.static
        positions = [k for k in range(len(args)) if k not in fixed.positions]
        dynamic = [args[k] for k in positions]
        free = tuple([k for k in kwargs if k not in self.parameters])  # whose order ``**kwargs`` of `f` shows
        names = (*sorted(kwargs.keys() & self.parameters), *free)
        named = {k: kwargs[k] for k in names if k not in fixed.names}
        static: tuple[tuple[int | str, Any], ...] = tuple((k, a) for k, a in enumerate(args) if k in fixed.positions)
        static += tuple((k, v) for k, v in sorted(kwargs.items()) if k in fixed.names)
        leaves, spec = flatten([dynamic, named])

        def name(number: int) -> Callable[[], str]:
            return lambda: describe_arguments(f, positions, dynamic, named, number)

        leaf_type = self.placement.leaf_type
        types = tuple([leaf_type(leaf, name(k)) for k, leaf in enumerate(leaves)])
        try:
            known = tuple([(k, Fixed(value)) for k, value in static])
        except TypeError:
            raise ArgumentError(_unhashable(f, static)) from None
        key = spec, order([dynamic, named]), names, types, known
        return Prepared(key, leaves, spec, types, positions, static, free)

    def donated_leaves(self, prepared: Prepared) -> frozenset[int]:
        """The numbers of the leaves that the caller gives away."""
        arguments, named = prepared.spec.children()
        given = [position in self.donated.positions for position in prepared.positions]
        given += [name in self.donated.names for name in named.entries()]
        flags = [
            flag
            for flag, child in zip(given, (*arguments.children(), *named.children()), strict=True)
            for _ in range(child.num_leaves)
        ]
        return frozenset(number for number, flag in enumerate(flags) if flag)


def parameters(f: Callable[..., Any]) -> frozenset[str]:
    """The names of what `f` takes other than by ``**kwargs``."""
    try:
        found = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return frozenset()
    spread = inspect.Parameter.VAR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY
    return frozenset([parameter.name for parameter in found if parameter.kind not in spread])


def chosen(f: Callable[..., Any], option: str, numbers: int | Sequence[int], names: str | Sequence[str]) -> Chosen:
    """The arguments that ``{option}_argnums`` and ``{option}_argnames`` name, each completed by the other."""
    try:
        positions = {operator.index(k) for k in (numbers if isinstance(numbers, Iterable) else [numbers])}
    except TypeError:
        raise ArgumentError(
            f"{option}_argnums must be an integer or a sequence of integers, got {numbers!r}; names go into "
            f"{option}_argnames"
        ) from None
    keywords = {names} if isinstance(names, str) else set(names)
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return Chosen(frozenset(positions), frozenset(keywords))
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ordered = [parameter.name for parameter in parameters if parameter.kind in kinds]
    spread = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    if any(number < -len(ordered) or (number >= len(ordered) and not spread) for number in positions):
        raise ArgumentError(
            f"{option}_argnums={numbers!r}, but {function_name(f)} has {len(ordered)} positional parameters"
        )
    positions = {number % len(ordered) if number < 0 else number for number in positions}
    known = {parameter.name for parameter in parameters}
    unknown = sorted(keywords - known)
    if unknown and not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        raise ArgumentError(f"{option}_argnames: {function_name(f)} has no parameter {', '.join(map(repr, unknown))}")
    keywords |= {ordered[number] for number in positions if number < len(ordered)}
    positions |= {ordered.index(name) for name in keywords if name in ordered}
    return Chosen(frozenset(positions), frozenset(keywords))


def _unhashable(f: Callable[..., Any], static: Sequence[tuple[Any, Any]]) -> str:
    """What is wrong with the first static argument that has no hash."""
    for key, value in static:
        try:
            hash(value)
        except TypeError:
            name = argument_name(f, key) if isinstance(key, int) else f"argument {key} of {function_name(f)}"
            return (
                f"{name} is {describe(value)}: static arguments must be hashable, such as numbers, strings and tuples; "
                "arrays, lists of them and dicts are arguments that are not static"
            )
    return f"static arguments of {function_name(f)} must be hashable"
