"""explain_cache_misses: why a jitted function is compiled again. Public through ``staged_ad``.

Invariant: what is said is the difference from the most similar call that is in the cache.
Start at ``explain_cache_misses``.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from staged_ad.api.calling import Traced, argument_name, describe_arguments, function_name
from staged_ad.api.prepared import Key, Prepared
from staged_ad.api.structures import structure_difference
from staged_ad.api.variants import LIMIT, Variants
from staged_ad.ir import ArrayType, Source
from staged_ad.tracing.fixed import Fixed
from staged_ad.tracing.source import location, user_source
from staged_ad.tracing.trees import TreeSpec, unflatten

SHOWN = 5
"""Differences that are listed; the others are counted."""

_listeners: tuple[_Listener, ...] = ()


@contextmanager
def explain_cache_misses(report: Callable[[str], object] | None = None) -> Iterator[None]:
    """Within it, say why each time that a jitted function has to be compiled again, in any thread.

    A function is compiled again for arguments of another shape, dtype or structure, for other static arguments, and
    where Python takes another path than before (``if x > 0:``); and when `jit` is applied again, to the same function
    too, since each jitted function has a cache of its own.

    Parameters
    ----------
    report
        Called with the text of each explanation; by default it is a warning of the logger ``staged_ad``, which Python
        writes to the standard error stream.

    Returns
    -------
    A context manager.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> f = sad.jit(lambda x: np.sum(x * x))
    >>> with sad.explain_cache_misses(lambda text: print(text.splitlines()[-1].strip())):
    ...     _ = f(np.ones(3))
    ...     _ = f(np.ones(3, np.float32))
    ...     _ = f(np.ones((3, 1)))
    argument 0 (x) of <lambda>: dtype float32, before float64
    argument 0 (x) of <lambda>: shape (3, 1), before (3,)
    """
    global _listeners
    listener = _Listener(report or _log)
    _listeners += (listener,)
    try:
        yield
    finally:
        _listeners = tuple(other for other in _listeners if other is not listener)


def _log(text: str) -> None:
    import logging  # slow to load, and seldom asked for

    logging.getLogger("staged_ad").warning(text)


class _Listener:
    """Who asked, and which jitted functions it has seen compile, by where they were made."""

    def __init__(self, report: Callable[[str], object]) -> None:
        self.report = report
        self.seen: dict[tuple[Source | None, str], tuple[WeakSet[Any], int]] = {}

    def see(self, jitted: Any, place: tuple[Source | None, str]) -> tuple[bool, int]:
        """Whether a jitted function was seen before, and how many of the same place have been seen with it."""
        known, count = self.seen.get(place, (WeakSet(), 0))
        again = jitted in known
        known.add(jitted)
        self.seen[place] = known, count + (not again)
        return again, self.seen[place][1]


def explain_miss(
    jitted: Any,
    f: Callable[..., Any],
    made: Source | None,
    keys: Sequence[Key],
    prepared: Prepared,
    variants: Variants,
    traced: Traced,
) -> None:
    """Tell those who asked why `jitted`, made of `f` at `made`, is compiled for a call.

    `keys` are the signatures in its cache, the one of this call among them, whose `variants` have been compiled.
    """
    for listener in _listeners:
        again, count = listener.see(jitted, (made, function_name(f)))
        earlier = [key for key in keys if key != prepared.key]
        if variants.known:
            reasons = _other_path(variants, traced)
        elif earlier:
            compared = [_differences(f, prepared, key) for key in reversed(earlier)]
            reasons = min(compared, key=lambda reasons: sum(1 + reason.count(";") for reason in reasons))
        elif again:
            reasons = ["its cache has been cleared"]
        elif count > 1:
            reasons = [
                f"jit has been applied here {count} times, and each jitted function has a cache of its own: apply "
                "it once and keep what it returns; a method is compiled for each instance"
            ]
        else:
            continue
        listed = [*reasons[:SHOWN], *([f"and {len(reasons) - SHOWN} more"] if len(reasons) > SHOWN else [])]
        head = (
            f"{function_name(f)}, jitted at {location(made)}, is compiled again for the call at "
            f"{location(user_source())}:"
        )
        listener.report(os.linesep.join([head, *(f"    {reason}" for reason in listed)]))


def _other_path(variants: Variants, traced: Traced) -> list[str]:
    """The first guard at which the path leaves those that were compiled."""
    outcomes = traced.outcomes

    def shared(other: tuple[bool | int, ...]) -> int:
        return next((k for k, (a, b) in enumerate(zip(outcomes, other, strict=False)) if a != b), 0)

    closest = max((variant.outcomes for variant in variants.known), key=shared)
    number = shared(closest)
    guard = traced.guards[number]
    kept = f"; the {LIMIT} paths used last are kept" if len(variants.known) >= LIMIT else ""
    return [
        f"Python read {guard.expected} at {location(guard.source)}, which no compiled path has there: "
        f"{closest[number]} before{kept}"
    ]


def _differences(f: Callable[..., Any], prepared: Prepared, key: Key) -> list[str]:
    """What a call has otherwise than those of the signature `key`."""
    spec, ordered, names, types, static = key
    found = list(_static_differences(f, prepared.key[4], static))
    if prepared.spec == spec:
        dynamic, keywords = unflatten(prepared.spec, prepared.leaves)
        found += [
            f"{describe_arguments(f, prepared.positions, dynamic, keywords, k)}: {_difference(new, old)}"
            for k, (new, old) in enumerate(zip(prepared.types, types, strict=True))
            if new != old
        ]
        return found + list(_order_differences(f, prepared, ordered, names))
    (args, named), (args_before, named_before) = prepared.spec.children(), spec.children()
    if args.num_children != args_before.num_children:
        found.append(f"{args.num_children} positional arguments, before {args_before.num_children}")
    pairs = zip(prepared.positions, args.children(), args_before.children(), strict=False)
    parts = [(argument_name(f, k), _parameter(f, k), new, old) for k, new, old in pairs]
    by_name = dict(zip(named.entries(), named.children(), strict=True))
    by_name_before = dict(zip(named_before.entries(), named_before.children(), strict=True))
    both = [name for name in by_name if name in by_name_before]
    parts += [(f"argument {name}", name, by_name[name], by_name_before[name]) for name in both]
    found += [
        f"{about}: {structure_difference(name, ('now', new), ('before', old))}"
        for about, name, new, old in parts
        if new != old
    ]
    if added := [name for name in by_name if name not in by_name_before]:
        found.append(f"given by name now: {', '.join(added)}")
    if missing := [name for name in by_name_before if name not in by_name]:
        found.append(f"given by name before: {', '.join(missing)}")
    return found


def _parameter(f: Callable[..., Any], position: int) -> str:
    try:
        return list(inspect.signature(f).parameters)[position]
    except (TypeError, ValueError, IndexError):
        return f"args[{position}]"


def _difference(new: ArrayType, old: ArrayType) -> str:
    """``shape (3,), before (2,)``."""
    parts = []
    if new.shape != old.shape:
        parts.append(f"shape {new.shape}, before {old.shape}")
    if new.dtype != old.dtype:
        parts.append(f"dtype {new.dtype}, before {old.dtype}")
    if new.weak != old.weak:
        kinds = "a Python number", "an array or NumPy scalar"
        parts.append("{}, before {}".format(*(kinds if new.weak else kinds[::-1])))
    return "; ".join(parts)


def _order_differences(
    f: Callable[..., Any], prepared: Prepared, before: tuple[TreeSpec, Any], names: tuple[str, ...]
) -> Iterator[str]:
    """Where the arguments of a call have the same keys as others, in another order or of other types."""
    _, (spec, odd), names_now, _, _ = prepared.key
    if names_now != names:
        yield f"order of keywords: {', '.join(names_now)}, before {', '.join(names)}"
    (args, named), (args_before, named_before) = spec.children(), before[0].children()
    parts = [
        (argument_name(f, k), new, old)
        for k, new, old in zip(prepared.positions, args.children(), args_before.children(), strict=True)
    ]
    by_name = dict(zip(named_before.entries(), named_before.children(), strict=True))
    parts += [
        (f"argument {name} of {function_name(f)}", new, by_name[name])
        for name, new in zip(named.entries(), named.children(), strict=True)
    ]
    for about, new, old in parts:
        for where, keys, keys_before in _orders(new, old):
            listed = ", ".join(map(repr, keys)), ", ".join(map(repr, keys_before))
            yield f"{about}{where}: order of keys {listed[0]}, before {listed[1]}"
    if odd != before[1]:
        yield "types of keys: 1, 1.0 and True are different keys here"


def _orders(new: TreeSpec, old: TreeSpec, where: str = "") -> Iterator[tuple[str, list[Any], list[Any]]]:
    """The places where two structures of the same keys have them in another order, and these keys."""
    keys, keys_before = new.entries(), old.entries()
    if keys != keys_before:
        yield (f" at {where}" if where else ""), keys, keys_before
    others = dict(zip(keys_before, old.children(), strict=True))
    for key, child in zip(keys, new.children(), strict=True):
        yield from _orders(child, others[key], f"{where}[{key!r}]")


def _static_differences(
    f: Callable[..., Any], new: Sequence[tuple[int | str, Fixed]], old: Sequence[tuple[int | str, Fixed]]
) -> Iterator[str]:
    before = dict(old)
    for place, value in new:
        name = argument_name(f, place) if isinstance(place, int) else f"argument {place} of {function_name(f)}"
        if place not in before:
            yield f"static {name}: {value!r}, before not given in this way"
        elif before[place] != value:
            yield f"static {name}: {value!r}, before {before[place]!r}"
