"""jit: traces a function once per tuple of argument types and calls machine code from then on.

Invariant: a compiled entry is used only for arguments of exactly the types it was made for.
Start at ``Jitted.__call__``; what is slow is in ``_miss``.
"""

from __future__ import annotations

import inspect
import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import update_wrapper
from typing import Any

import numpy as np

from staged_ad.api.calling import Traced, describe_arguments, function_name, leaf_type, trace_prepared
from staged_ad.errors import ArgumentError
from staged_ad.ir import ArrayType, Program
from staged_ad.lowering import Compiled, compile_program
from staged_ad.lowering.once import LOCK
from staged_ad.tracing import Tracer
from staged_ad.tracing.trees import TreeSpec, flatten, unflatten
from staged_ad.transforms.call import call

KEPT = 256
"""Compiled variants kept per function; the least recently used one goes first."""

_INLINE = frozenset(
    [float, int, bool, np.float64, np.float32, np.bool_]
    + [np.dtype(name).type for name in ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]]
)
_jitted: weakref.WeakSet[Jitted] = weakref.WeakSet()


class Jitted:
    """A function compiled on first call for each combination of argument types."""

    def __init__(
        self,
        f: Callable[..., Any],
        static_argnums: int | Sequence[int] = (),
        static_argnames: str | Sequence[str] = (),
        precise_math: bool = False,
    ) -> None:
        update_wrapper(self, f, updated=())
        self._f = f
        self._static, self._static_names = _static_arguments(f, static_argnums, static_argnames)
        self._precise = precise_math
        self._variants: OrderedDict[Any, _Variant] = OrderedDict()
        self._traced: OrderedDict[Any, Traced] = OrderedDict()
        # the native function of the last call whose arguments and result were plain arrays
        self._last: Callable[..., Any] = _never
        _jitted.add(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            result = self._last(*args)
            if result is not NotImplemented:
                return result
        return self._miss(args, kwargs)

    def __repr__(self) -> str:
        return f"<jit of {function_name(self._f)}>"

    def __get__(self, instance: Any, owner: type) -> Any:
        """As a method: `self` is static, by identity; what it holds is read when the method is traced."""
        if instance is None:
            return self
        bound: dict[int, Jitted] = self.__dict__.setdefault("_bound", {})
        number = id(instance)
        if number not in bound:
            try:
                reference = weakref.ref(instance, lambda _: bound.pop(number, None))
            except TypeError:
                raise ArgumentError(
                    f"a method of {type(instance).__name__} cannot be jitted, because its instances have no weak "
                    "references: add '__weakref__' to __slots__, or jit a function"
                ) from None
            function = self._f

            def method(*args: Any, **kwargs: Any) -> Any:
                return function(reference(), *args, **kwargs)

            update_wrapper(method, function, updated=())
            static = [k - 1 for k in self._static if k > 0]
            bound[number] = Jitted(method, static, tuple(self._static_names), self._precise)
        return _BoundMethod(instance, bound[number])

    def __reduce__(self) -> Any:
        """Pickled without its machine code: by name where it has one, else with its function."""
        name: str = getattr(self._f, "__qualname__", "")
        found: Any = sys.modules.get(getattr(self._f, "__module__", ""))
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name
        names = tuple(self._static_names)
        return Jitted, (self._f, tuple(self._static), names, self._precise)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """The compiled stages for these arguments, without running them."""
        prepared = self._prepare(args, kwargs)
        if any(isinstance(leaf, Tracer) for leaf in prepared.leaves):
            raise ArgumentError("lower needs arrays, not traced values")
        compiled = self._variant(prepared).compiled
        if compiled is None:
            raise ArgumentError(
                f"{function_name(self._f)} reads values of a trace around it, so it has no code of its own"
            )
        return Lowered(compiled)

    # -- the slow path ------------------------------------------------------------------------------------------

    def _miss(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        prepared = self._prepare(args, kwargs)
        leaves = prepared.leaves
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            return self._record(self._trace(prepared), leaves)
        variant = self._variant(prepared)
        if variant.compiled is None:  # it reads values of a trace around it
            return self._record(variant.traced, leaves)
        kinds = tuple(map(type, leaves))
        if all(kind is np.ndarray or kind in _INLINE for kind in kinds):
            entry = variant.compiled.entry(kinds)
            result = entry(*leaves)
            if result is not NotImplemented:
                if prepared.plain and variant.plain_result and kinds == tuple(map(type, args)):
                    self._last = entry
                return variant.restore(result)
        return variant.restore_list(variant.compiled(*leaves))

    def _prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Prepared:
        f = self._f
        dynamic = [a for k, a in enumerate(args) if k not in self._static]
        named = {k: v for k, v in kwargs.items() if k not in self._static_names}
        static: tuple[tuple[int | str, Any], ...] = tuple((k, a) for k, a in enumerate(args) if k in self._static)
        static += tuple((k, v) for k, v in sorted(kwargs.items()) if k in self._static_names)
        leaves, spec = flatten([dynamic, named])
        positions = [k for k in range(len(args)) if k not in self._static]

        def name(number: int) -> Callable[[], str]:
            return lambda: describe_arguments(f, positions, dynamic, named, number)

        types = tuple([leaf_type(leaf, name(k)) for k, leaf in enumerate(leaves)])
        key = spec, types, tuple((k, type(value), value) for k, value in static)  # 1, 1.0 and True differ
        try:
            hash(key)
        except TypeError:
            raise ArgumentError(f"static arguments of {function_name(f)} must be hashable, got {static!r}") from None
        plain = not named and not static and len(leaves) == len(args)
        return _Prepared(key, leaves, spec, types, static, plain)

    def _trace(self, prepared: _Prepared) -> Traced:
        traced = self._traced.get(prepared.key)
        if traced is None:
            traced = trace_prepared(self._applied(prepared), prepared.spec, prepared.types, {}, f=self._f)
            if not traced.captures:
                _remember(self._traced, prepared.key, traced)
        return traced

    def _applied(self, prepared: _Prepared) -> Callable[..., Any]:
        f = self._f
        fixed = {k: v for k, v in prepared.static if isinstance(k, int)}
        named_fixed = {k: v for k, v in prepared.static if isinstance(k, str)}

        def apply(dynamic: list[Any], named: dict[str, Any]) -> Any:
            rest = iter(dynamic)
            count = len(dynamic) + len(fixed)
            args = [fixed[k] if k in fixed else next(rest) for k in range(count)]
            return f(*args, **named, **named_fixed)

        return apply

    @staticmethod
    def _record(traced: Traced, leaves: Sequence[Any]) -> Any:
        """Inside of a trace: one call equation."""
        return unflatten(traced.out_spec, call(traced.program, *traced.captures, *leaves))

    def _variant(self, prepared: _Prepared) -> _Variant:
        variant = self._variants.get(prepared.key)
        if variant is not None:
            with suppress(KeyError):  # another thread may have dropped it
                self._variants.move_to_end(prepared.key)
        else:
            traced = self._trace(prepared)  # not under the lock: it runs the user's code
            with LOCK:
                variant = self._variants.get(prepared.key)
                if variant is None:
                    compiled = None if traced.captures else compile_program(traced.program, self._precise)
                    variant = _Variant(traced, compiled)
                    if compiled is not None:
                        _remember(self._variants, prepared.key, variant)
        return variant

    def clear_cache(self) -> None:
        """Forget all compiled variants."""
        with LOCK:
            self._variants.clear()
            self._traced.clear()
            self._last = _never


class _BoundMethod:
    """A jitted method and the instance that it keeps alive."""

    __slots__ = ("_instance", "_jitted")

    def __init__(self, instance: Any, jitted: Jitted) -> None:
        self._instance = instance
        self._jitted = jitted

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._jitted(*args, **kwargs)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        return self._jitted.lower(*args, **kwargs)


class _Prepared:
    """A call, flattened and typed."""

    __slots__ = ("key", "leaves", "plain", "spec", "static", "types")

    def __init__(
        self,
        key: Any,
        leaves: list[Any],
        spec: TreeSpec,
        types: tuple[ArrayType, ...],
        static: tuple[tuple[int | str, Any], ...],
        plain: bool,
    ) -> None:
        self.key = key
        self.leaves = leaves
        self.spec = spec
        self.types = types
        self.static = static
        self.plain = plain


class _Variant:
    """The machine code for one combination of argument types, and the structure of its result."""

    def __init__(self, traced: Traced, compiled: Compiled | None) -> None:
        self.traced = traced
        self.compiled = compiled
        spec = traced.out_spec
        self.single = spec.num_leaves == 1
        leaf = spec.is_leaf()
        plain_tuple = spec.type is tuple and spec.num_leaves > 1 and all(c.is_leaf() for c in spec.children())
        self.plain_result = leaf or plain_tuple

    def restore(self, result: Any) -> Any:
        if self.plain_result:
            return result
        return unflatten(self.traced.out_spec, [result] if self.single else result)

    def restore_list(self, results: list[Any]) -> Any:
        return unflatten(self.traced.out_spec, results)


class Lowered:
    """What a function became: ``text("program" | "loops" | "llvm" | "asm")``."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled

    @property
    def program(self) -> Program:
        """The optimised program."""
        return self._compiled.program

    def text(self, stage: str = "program") -> str:
        """The text of one stage: the program, its fused loops, the LLVM code, or the assembly."""
        return self._compiled.text(stage)


def _static_arguments(
    f: Callable[..., Any], numbers: int | Sequence[int], names: str | Sequence[str]
) -> tuple[frozenset[int], frozenset[str]]:
    """Positions and names of the static arguments, each completed by the other where `f` has a signature."""
    positions = {numbers} if isinstance(numbers, int) else set(numbers)
    keywords = {names} if isinstance(names, str) else set(names)
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return frozenset(positions), frozenset(keywords)
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ordered = [parameter.name for parameter in parameters if parameter.kind in kinds]
    spread = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    if any(number < -len(ordered) or (number >= len(ordered) and not spread) for number in positions):
        raise ArgumentError(
            f"static_argnums={numbers!r}, but {function_name(f)} has {len(ordered)} positional parameters"
        )
    positions = {number % len(ordered) if number < 0 else number for number in positions}
    known = {parameter.name for parameter in parameters}
    unknown = sorted(keywords - known)
    if unknown and not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        raise ArgumentError(f"static_argnames: {function_name(f)} has no parameter {', '.join(map(repr, unknown))}")
    keywords |= {ordered[number] for number in positions if number < len(ordered)}
    positions |= {ordered.index(name) for name in keywords if name in ordered}
    return frozenset(positions), frozenset(keywords)


def _never(*args: Any) -> Any:
    return NotImplemented


def _remember(cache: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    cache[key] = value
    if len(cache) > KEPT:
        cache.popitem(last=False)


def jit(
    f: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
    precise_math: bool = False,
) -> Any:
    """Compile `f` to native code, once for each combination of shapes and dtypes of its arguments.

    `f` is run once on traced values; what it does with NumPy is recorded, fused into loops, and compiled. Results
    are new NumPy arrays (0-d ones NumPy scalars). Side effects happen while tracing only, and what `f` reads besides
    its arguments (closures, globals, `self` of a method) keeps the value it had then.

    Parameters
    ----------
    f
        A function of arrays, numbers, and nests of them (tuples, lists, dicts, named tuples, dataclasses).
    static_argnums, static_argnames
        Positions and names of arguments that are passed to `f` as they are; one compilation per value. They must be
        hashable: strings, flags, lengths.
    precise_math
        Call the C library element by element for exp, sin, ... (error below 1 ulp) instead of its vector functions
        (below 4 ulp).

    Returns
    -------
    A function with the signature of `f`, and the method ``lower(*args).text(stage)``. It may be used inside `grad`,
    `vmap` and the others, and they inside of it.

    Raises
    ------
    ConcretizationError
        When Python asks a traced value for its number, as in ``if x > 0``.
    LoweringError
        When an operation cannot be compiled.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> f = sad.jit(lambda x: np.sum(np.sin(x) ** 2))
    >>> print(f(np.zeros(3)))
    0.0
    """
    if f is None:
        return lambda g: Jitted(g, static_argnums, static_argnames, precise_math)
    if not callable(f):
        raise ArgumentError(f"jit needs a function, got {type(f).__name__}")
    return Jitted(f, static_argnums, static_argnames, precise_math)


def clear_caches() -> None:
    """Forget everything that was traced and compiled; the next call of each jitted function compiles anew."""
    for jitted in list(_jitted):
        jitted.clear_cache()
