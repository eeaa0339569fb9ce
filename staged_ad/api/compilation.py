"""jit: traces a function once per tuple of argument types and calls machine code from then on.

Invariant: a compiled entry is used only for arguments of exactly the types it was made for, and for which Python
would take the path that was traced. Start at ``Jitted.__call__``; what is slow is in ``_miss``.
"""

from __future__ import annotations

import sys
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import numpy as np

from staged_ad.api.calling import (
    Traced,
    describe_arguments,
    function_name,
    leaf_type,
    static_arguments,
    trace_prepared,
)
from staged_ad.api.variants import MANY, Variant, Variants, advice, rivals
from staged_ad.errors import ArgumentError, VariantsWarning
from staged_ad.ir import ArrayType, Program, Source, evaluate
from staged_ad.lowering.once import LOCK
from staged_ad.tracing import Trace, Tracer
from staged_ad.tracing.trees import TreeSpec, flatten, unflatten
from staged_ad.transforms.call import call

if TYPE_CHECKING:
    from staged_ad.lowering.compiled import Compiled

KEPT = 256
"""Signatures kept per function; the least recently used one goes first."""
FLIPS = 16
"""Times that one call is traced anew, because machine code saw a guard otherwise than NumPy."""

_INLINE = frozenset(
    [float, complex, int, bool, np.float64, np.float32, np.complex128, np.complex64, np.bool_]
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
        self._static, self._static_names = static_arguments(f, static_argnums, static_argnames)
        self._precise = precise_math
        self._variants: OrderedDict[Any, Variants] = OrderedDict()
        self._traced: OrderedDict[Any, Traced] = OrderedDict()
        # the native function of the last call whose arguments and result were plain arrays, and where it came from
        self._last: Callable[..., Any] = _never
        self._recent: tuple[Variants, Variant, tuple[type, ...]] | None = None
        self._warned: set[Source] = set()
        _jitted.add(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            result = self._last(*args)
            if type(result) is int:  # a guard failed; results are arrays and NumPy scalars
                result = self._other_path(result, args)
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
        traced = self._trace(prepared)
        if not traced.reusable:
            raise ArgumentError(
                f"{function_name(self._f)} reads values of a trace around it, so it has no code of its own"
            )
        return Lowered(self._joined(prepared, traced).compiled)

    # -- the slow path ------------------------------------------------------------------------------------------

    def _other_path(self, status: int, args: tuple[Any, ...]) -> Any:
        """The result by another variant, after a guard of the last one failed; NotImplemented where none fits."""
        recent = self._recent
        if recent is None:  # another thread cleared it
            return NotImplemented
        variants, failed, kinds = recent
        among = rivals(variants.known, failed, failed.failed_guard(status))
        found = variants.first(lambda variant: variant.compiled.entry(kinds)(*args), {}, among)
        if found is None or found[1] is NotImplemented:
            return NotImplemented
        variant, result = found
        if variant.plain_result:
            self._recent = variants, variant, kinds
            self._last = variant.compiled.entry(kinds)
        return variant.restore(result)

    def _miss(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        prepared = self._prepare(args, kwargs)
        leaves = prepared.leaves
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            return self._record(self._trace(prepared), leaves)
        kinds = tuple(map(type, leaves))
        direct = all(kind is np.ndarray or kind in _INLINE for kind in kinds)

        def attempt(variant: Variant) -> Any:
            result = variant.compiled.entry(kinds)(*leaves) if direct else NotImplemented
            return variant.compiled.run(*leaves) if result is NotImplemented else result

        variants = self._variants.get(prepared.key)
        tried: dict[Variant, int] = {}
        found: tuple[Variant | None, Any] | None = None
        if variants is not None:
            with suppress(KeyError):  # another thread may have dropped it
                self._variants.move_to_end(prepared.key)
            found = variants.first(attempt, tried)
        if found is None:
            found = self._new_path(prepared, attempt, tried)
        variant, result = found
        if variant is None:
            return result
        if direct and prepared.plain and variant.plain_result and kinds == tuple(map(type, args)):
            self._recent = self._variants.get(prepared.key, Variants()), variant, kinds
            self._last = variant.compiled.entry(kinds)
        return variant.restore(result)

    def _new_path(
        self, prepared: _Prepared, attempt: Callable[[Variant], Any], tried: dict[Variant, int]
    ) -> tuple[Variant | None, Any]:
        """Trace along the path that Python takes at these values; the new variant and its result.

        Where rounding decides, machine code may see a guard otherwise than NumPy, by which the function is traced.
        Then the path that the machine code takes is traced. Where this leads nowhere either, NumPy has the last word:
        the result is evaluated, without a variant.
        """
        forced: tuple[bool | int, ...] = ()
        seen = {forced}
        first = None
        while True:
            traced = self._trace(prepared, forced)
            first = first or traced
            if not traced.reusable:  # it reads values of a trace around it
                return None, self._record(traced, prepared.leaves)
            variant = self._joined(prepared, traced)
            if variant not in tried:
                result = attempt(variant)
                if type(result) is not int:
                    return variant, result
                tried[variant] = variant.failed_guard(result)
            number = tried[variant]
            outcome = variant.outcomes[number]
            forced = (*variant.outcomes[:number], not outcome)
            if not isinstance(outcome, bool) or forced in seen or len(seen) > FLIPS:
                return None, unflatten(first.out_spec, evaluate(first.program, *prepared.leaves))
            seen.add(forced)

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

    def _trace(self, prepared: _Prepared, forced: tuple[bool | int, ...] = ()) -> Traced:
        known = self._traced.get(prepared.key)
        if known is not None:
            return known
        leaves = prepared.leaves
        trace = Trace(guarded=not any(isinstance(leaf, Tracer) for leaf in leaves), forced=forced)
        apply = self._applied(prepared)
        traced = trace_prepared(apply, prepared.spec, prepared.types, {}, f=self._f, meanings=leaves, trace=trace)
        if not traced.reusable:
            return traced.without_guards()
        if not traced.guards:
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

    def _joined(self, prepared: _Prepared, traced: Traced) -> Variant:
        """The variant for a traced path, compiled where it is new."""
        with LOCK:
            variants = self._variants.get(prepared.key)
            if variants is None:
                variants = Variants()
                _remember(self._variants, prepared.key, variants)
            variant = variants.find(traced.outcomes)
            if variant is None:
                # LLVM, and what writes code for it, are loaded by the first function that is compiled
                from staged_ad.lowering.compiled import compile_program  # see above

                variant = Variant(traced, compile_program(traced.program, self._precise))
                variants.add(variant)
        if len(variants.known) >= MANY:
            self._warn(variants)
        return variant

    def _warn(self, variants: Variants) -> None:
        found = variants.most_varied()
        if found is None or found[0] in self._warned:
            return
        source, kind = found
        self._warned.add(source)
        text = advice(function_name(self._f), source, kind, len(variants.known))
        warnings.warn_explicit(text, VariantsWarning, source.file, source.line)

    def clear_cache(self) -> None:
        """Forget all compiled variants."""
        with LOCK:
            self._variants.clear()
            self._traced.clear()
            self._last = _never
            self._recent = None


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

    Python's own control flow works on traced values: what `if`, `while`, `range` and `int` read is noted as a guard,
    and a later call for which it would be different is traced and compiled along its own path. Paths are kept, so a
    function with few of them is compiled a few times; with many, a VariantsWarning names the line.

    Returns
    -------
    A function with the signature of `f`, and the method ``lower(*args).text(stage)``. It may be used inside `grad`,
    `vmap` and the others, and they inside of it.

    Raises
    ------
    ConcretizationError
        When Python asks a traced value for its number by ``float(x)``, or by ``if x > 0`` where `x` has no single
        value: inside `vmap` and in the bodies of staged loops.
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
