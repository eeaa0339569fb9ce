"""jit: traces a function once per tuple of argument types and calls machine code from then on.

Invariant: a compiled entry is used only for arguments of exactly the types it was made for, and for which Python
would take the path that was traced. Start at ``Jitted.__call__``; what is slow is in ``_miss``.
"""

from __future__ import annotations

import inspect
import warnings
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import update_wrapper
from typing import Any

from staged_ad.api.calling import (
    Traced,
    argument_name,
    check_callable,
    function_name,
    trace_prepared,
)
from staged_ad.api.explaining import explain_miss
from staged_ad.api.lowered import Lowered
from staged_ad.api.options import Options, chosen, parameters
from staged_ad.api.placement import check_device
from staged_ad.api.prepared import Key, Prepared
from staged_ad.api.routes import Route
from staged_ad.api.transformed import name_of
from staged_ad.api.variants import MANY, Variant, Variants, advice, rivals, unrolled
from staged_ad.errors import ArgumentError, CompileTimeWarning, VariantsWarning
from staged_ad.ir import Source
from staged_ad.native.once import LOCK
from staged_ad.tracing import Trace, Tracer, on_device
from staged_ad.tracing.creation import called
from staged_ad.tracing.source import user_source
from staged_ad.tracing.trees import unflatten
from staged_ad.transforms.call import call

KEPT = 256
"""Signatures kept per function; the least recently used one goes first."""
ROUTES = 8
"""Routes that a call tries before its arguments are looked at."""
FLIPS = 16
"""Times that one call is traced anew, because machine code saw a guard otherwise than NumPy."""

_jitted: weakref.WeakSet[Jitted] = weakref.WeakSet()


class Jitted:
    """A function compiled on first call for each combination of argument types."""

    def __init__(self, f: Callable[..., Any], options: Options, made: Source | None = None) -> None:
        update_wrapper(self, f, updated=())
        self._f = f
        self._options = options
        self._made = made or user_source()
        # other threads read these while one adds to them: it adds and drops whole entries, and moves none
        self._variants: dict[Key, Variants] = {}
        self._traced: dict[tuple[Key, bool], Traced] = {}
        # what recent calls found, the latest first, and its native function, where that takes and gives what calls do
        self._routes: tuple[Route, ...] = ()
        self._last: Callable[..., Any] = _never
        self._warned: set[tuple[type[Warning], Source]] = set()
        _jitted.add(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        last = _never if kwargs else self._last
        result = last(*args)
        if result is NotImplemented or type(result) is int:  # a failed guard: results are NumPy's
            return self._again(last, result, args, kwargs)
        return result

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
            with suppress(TypeError, ValueError):
                signature = inspect.signature(function)
                method.__signature__ = signature.replace(parameters=[*signature.parameters.values()][1:])  # type: ignore[attr-defined]  # no self
            bound[number] = Jitted(method, self._options.of_method, self._made)
        return _BoundMethod(instance, bound[number])

    def __reduce__(self) -> Any:
        """Pickled without its machine code: by name where it has one, else with its function."""
        return name_of(self) or (Jitted, (self._f, self._options))

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """The compiled stages for these arguments, without running them."""
        prepared = self._options.prepare(self._f, args, kwargs)
        if any(isinstance(leaf, Tracer) for leaf in prepared.leaves):
            raise ArgumentError("lower needs arrays, not traced values")
        traced = self._trace(prepared)
        if not traced.reusable:
            raise ArgumentError(
                f"{function_name(self._f)} reads values of a trace around it, so it has no code of its own"
            )
        variant = self._joined(prepared, traced)
        return Lowered(variant.compiled, variant.donated)

    # -- the slow path ------------------------------------------------------------------------------------------

    def _again(self, tried: Callable[..., Any], found: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result by a route that an earlier call took; the entry that was `tried` already has `found` that."""
        routes = self._routes  # another thread may forget them
        for route in routes:
            leaves = route.read(args, kwargs)
            if leaves is not None:
                result = found if route.entry is tried else route.entry(*leaves)
                if result is not NotImplemented:
                    break
        else:
            return self._converted(args, kwargs)
        if type(result) is int:
            route, result = self._other_path(route, result, leaves)
        if result is NotImplemented:
            return self._miss(args, kwargs)
        if route is not routes[0]:
            self._prefer(route)
        return route.variant.restore(result)

    def _converted(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result by such a route with arrays that machine code cannot take as they are: strided ones, say."""
        for route in self._routes:
            leaves = route.read(args, kwargs)
            if leaves is not None and route.fits(leaves):
                result = route.variant.compiled.run(*leaves)
                if type(result) is not int:
                    return route.variant.restore(result)
        return self._miss(args, kwargs)

    def _other_path(self, route: Route, status: int, leaves: Sequence[Any]) -> tuple[Route, Any]:
        """The route to another variant, after a guard of one failed, and the result; NotImplemented where none fits."""
        variants, failed, kinds = route.variants, route.variant, route.kinds
        among = rivals(variants.known, failed, failed.failed_guard(status))
        found = variants.first(lambda variant: variant.entry(kinds)(*leaves), {}, among)
        if found is None:
            return route, NotImplemented
        return route.with_variant(found[0]), found[1]

    def _prefer(self, route: Route) -> None:
        """Let the next call try this route first."""
        others = [r for r in self._routes if r.variants is not route.variants or r.kinds != route.kinds]
        self._routes = (route, *others[: ROUTES - 1])
        self._last = route.entry if route.direct else _never

    def _miss(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        prepared = self._options.prepare(self._f, args, kwargs)
        leaves = prepared.leaves
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            return self._record(self._trace(prepared), leaves)
        kinds = tuple(map(type, leaves))
        direct = self._options.placement.takes(kinds)

        def attempt(variant: Variant) -> Any:
            result = variant.entry(kinds)(*leaves) if direct else NotImplemented
            return variant.compiled.run(*leaves) if result is NotImplemented else result

        variants = self._variants.get(prepared.key)
        tried: dict[Variant, int] = {}
        found: tuple[Variant | None, Any] | None = None
        if variants is not None:
            found = variants.first(attempt, tried)
        if found is None:
            found = self._new_path(prepared, attempt, tried)
        variant, result = found
        if variant is None:
            return result
        # a nest of containers gets a route, for which code is written, when it comes again
        known, variants = variants is not None, self._variants.get(prepared.key)
        if direct and variants is not None and (known or prepared.plain):
            read = variants.reader(prepared)
            if read is not None:
                self._prefer(Route(read, variant.entry(kinds), variants, variant, kinds))
        return variant.restore(result)

    def _new_path(
        self, prepared: Prepared, attempt: Callable[[Variant], Any], tried: dict[Variant, int]
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
                placement = self._options.placement
                return None, unflatten(first.out_spec, placement.evaluated(first.program, prepared.leaves))
            seen.add(forced)

    def _trace(self, prepared: Prepared, forced: tuple[bool | int, ...] = ()) -> Traced:
        leaves = prepared.leaves
        outermost = not any(isinstance(leaf, Tracer) for leaf in leaves)
        device = self._options.device if outermost else None  # inside of another trace, where that will run
        key = prepared.key, device is not None or on_device()
        known = self._traced.get(key)
        if known is not None:
            return known
        trace = Trace(guarded=outermost, forced=forced, device=device)
        apply = self._applied(prepared)
        meanings = self._options.placement.meanings(leaves)
        traced = trace_prepared(apply, prepared.spec, prepared.types, {}, f=self._f, meanings=meanings, trace=trace)
        if not traced.reusable:
            return traced.without_guards()
        if not traced.guards:
            _remember(self._traced, key, traced)
        return traced

    def _applied(self, prepared: Prepared) -> Callable[..., Any]:
        f = self._f
        fixed = {k: v for k, v in prepared.static if isinstance(k, int)}
        named_fixed = {k: v for k, v in prepared.static if isinstance(k, str)}

        names = prepared.key[2]

        def apply(dynamic: list[Any], named: dict[str, Any]) -> Any:
            rest = iter(dynamic)
            count = len(dynamic) + len(fixed)
            args = [fixed[k] if k in fixed else next(rest) for k in range(count)]
            return called(f)(*args, **{k: named_fixed[k] if k in named_fixed else named[k] for k in names})

        return apply

    @staticmethod
    def _record(traced: Traced, leaves: Sequence[Any]) -> Any:
        """Inside of a trace: one call equation."""
        return unflatten(traced.out_spec, call(traced.program, *traced.captures, *leaves))

    def _joined(self, prepared: Prepared, traced: Traced) -> Variant:
        """The variant for a traced path, compiled where it is new."""
        with LOCK:
            variants = self._variants.get(prepared.key)
            if variants is None:
                variants = Variants(prepared.types)
                _remember(self._variants, prepared.key, variants, lambda key: self._variants[key].used)
            variant = variants.find(traced.outcomes)
            if variant is None:
                explain_miss(self, self._f, self._made, list(self._variants), prepared, variants, traced)
                if long := unrolled(function_name(self._f), traced.program):
                    self._warn(CompileTimeWarning, *long)
                compiled = self._options.placement.compiled(traced.program, self._options.precise)
                # where a guard may fail, another path wants the arguments as they were
                donated = frozenset[int]() if traced.guards else self._options.donated_leaves(prepared)
                variant = Variant(traced, compiled, donated)
                variants.add(variant)
        if len(variants.known) >= MANY:
            varied = variants.most_varied()
            if varied is not None:
                text = advice(function_name(self._f), *varied, len(variants.known))
                self._warn(VariantsWarning, varied[0], text)
        return variant

    def _warn(self, category: type[Warning], source: Source, text: str) -> None:
        if (category, source) not in self._warned:
            self._warned.add((category, source))
            warnings.warn_explicit(text, category, source.file, source.line)

    def clear_cache(self) -> None:
        """Forget all compiled variants."""
        with LOCK:
            self._variants.clear()
            self._traced.clear()
            self._routes = ()
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


def _never(*args: Any) -> Any:
    return NotImplemented


def _remember(cache: dict[Any, Any], key: Any, value: Any, used: Callable[[Any], Any] | None = None) -> None:
    """Add an entry; beyond KEPT, the one that was `used` least recently goes before, else the oldest one."""
    keys = list(cache)
    if len(keys) >= KEPT:
        cache.pop(min(keys, key=used) if used else keys[0], None)
    cache[key] = value


def jit(
    f: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
    donate_argnums: int | Sequence[int] = (),
    donate_argnames: str | Sequence[str] = (),
    precise_math: bool = False,
    device: str | None = None,
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
    donate_argnums, donate_argnames
        Positions and names of arguments that the caller has no use for after the call. A result of the same shape and
        dtype may be written into such an array, and is then this array: ``w = step(w, g)`` makes no new one. Other
        arguments are never changed. Where it cannot be (the old values are needed until later, the array is read-only
        or shares memory with another argument, Python's `if` has read values), the result is a new array.
    precise_math
        Call the C library element by element for exp, sin, ... (error below 1 ulp) instead of its vector functions
        (below 4 ulp).
    device
        ``"cuda"``: compile kernels for an NVIDIA GPU, by ``pip install 'staged-ad[cuda]'``. Arrays of CuPy, PyTorch and
        JAX that lie there are used where they are, NumPy's are moved; results are CuPy arrays. None: the processor.

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
    DeviceError
        When there is no GPU that can be used; the message says what lacks.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> f = sad.jit(lambda x: np.sum(np.sin(x) ** 2))
    >>> print(f(np.zeros(3)))
    0.0
    """

    def jitted(f: Callable[..., Any]) -> Jitted:
        check_callable("jit", f)
        static = chosen(f, "static", static_argnums, static_argnames)
        donated = chosen(f, "donate", donate_argnums, donate_argnames)
        check_device(device, bool(donated.positions or donated.names))
        both = sorted(static.positions & donated.positions)
        if both:
            raise ArgumentError(f"{argument_name(f, both[0])} cannot be both static and donated")
        return Jitted(f, Options(static, donated, precise_math, parameters(f), device))

    return jitted if f is None else jitted(f)


def clear_caches() -> None:
    """Forget everything that was traced and compiled, and free the memory that is kept for results.

    The next call of each jitted function traces anew, and compiles what is not found in the directory of
    `configure_cache`.

    Examples
    --------
    >>> import staged_ad as sad
    >>> f = sad.jit(lambda x: x + 1.0)
    >>> before = f(1.0)
    >>> sad.clear_caches()
    >>> print(f(1.0) == before)
    True
    """
    from staged_ad.native.buffers import clear_buffers  # here: it brings the linker, which no import needs

    for jitted in list(_jitted):
        jitted.clear_cache()
    clear_buffers()
