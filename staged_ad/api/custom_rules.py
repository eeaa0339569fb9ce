"""custom_jvp and custom_vjp: functions whose derivatives the user writes. Public through ``staged_ad``.

Invariant: a rule is called when a derivative is taken, with traced values; its results are checked leaf by leaf.
Start at ``custom_jvp``; what the two share is in ruled.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial, reduce
from itertools import islice
from typing import Any

import numpy as np

from staged_ad.api.bodies import apart, check_function, named, results_of
from staged_ad.api.calling import function_name, leaf_type, with_zeros
from staged_ad.api.ruled import Ruled, RuledCall, checked, floating
from staged_ad.api.structures import place
from staged_ad.control.custom_jvp import custom_jvp as jvp_equation
from staged_ad.control.custom_vjp import custom_vjp as vjp_equation
from staged_ad.control.deferred import Deferred
from staged_ad.control.layout import chosen
from staged_ad.errors import ArgumentError
from staged_ad.ir import Program
from staged_ad.ir.types import describe
from staged_ad.primitives.makers import zeros
from staged_ad.tracing.trees import TreeSpec, flatten, tree_map, unflatten


def custom_jvp(f: Callable[..., Any] | None = None, *, nondiff_argnums: int | Sequence[int] = ()) -> Any:
    """`f` with a derivative of your own, for both modes and all orders.

    Parameters
    ----------
    f
        A function of arrays, numbers, or nests of them. Keyword arguments and defaults are passed by position.
    nondiff_argnums
        Arguments that are passed as they are and have no derivative: functions, strings, shapes, `self`.

    Returns
    -------
    A function with the same arguments and results, and two methods that take the rule. ``defjvp(rule)``:
    ``rule(*nondiff, primals, tangents)`` returns ``(y, y_dot)``, with y as `f` returns it, and y_dot of the same
    structure, shapes and dtypes, linear in `tangents`. ``defjvps(*rules)``: one ``rule(x_dot, y, *primals)`` for
    each argument, or None where the derivative is zero; their results are added up. Tangents of integers are zeros of
    float64. It can be used as a decorator, ``@custom_jvp`` or ``@custom_jvp(nondiff_argnums=(0,))``.

    The rule is traced when a derivative is first taken, and differentiated itself for higher orders: where it calls
    functions with rules, theirs are used. Reverse mode transposes what the rule computes of the tangents. `f` and the
    rule may use traced values from around them; the derivative with respect to these is that of `f` itself.

    Raises
    ------
    ArgumentError
        When the function is called without a rule, or the rule returns what does not fit; the message compares it leaf
        by leaf.
    NotDifferentiableError
        When the rule is not linear in the tangents: reverse mode says so with the line.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> @sad.custom_jvp
    ... def log1pexp(x):
    ...     return np.log1p(np.exp(x))
    >>> @log1pexp.defjvp
    ... def log1pexp_jvp(primals, tangents):
    ...     (x,), (x_dot,) = primals, tangents
    ...     return log1pexp(x), x_dot * (1 - 1 / (1 + np.exp(x)))
    >>> print(sad.grad(log1pexp)(100.0))
    1.0
    """
    return partial(custom_jvp, nondiff_argnums=nondiff_argnums) if f is None else _CustomJvp(f, nondiff_argnums)


class _CustomJvp(Ruled):
    maker = "custom_jvp"
    _rule: Callable[..., Any] | None = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set ``rule(*nondiff, primals, tangents) -> (y, y_dot)``; returns it, so that it can be a decorator."""
        check_function("defjvp", "the rule", rule, None)
        self._rule = rule
        return rule

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """Set one ``rule(x_dot, y, *primals) -> y_dot`` for each argument; None where the derivative is zero."""
        for k, rule in enumerate(rules):
            if rule is not None:
                check_function("defjvps", f"rule {k}", rule, None)
        if self._nondiff != ():
            raise ArgumentError(f"defjvps cannot be used with nondiff_argnums={self._nondiff!r}; use defjvp")

        def sum_of_rules(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
            if len(rules) != len(primals):
                raise ArgumentError(
                    f"defjvps of {named(self._f)} was given {len(rules)} rules, but there are {len(primals)} "
                    "arguments: write None for one without derivative"
                )
            y = self(*primals)
            parts = [rule(t, y, *primals) for rule, t in zip(rules, tangents, strict=True) if rule is not None]
            add = lambda a, b: tree_map(lambda x, y: x + y, a, b)
            return y, reduce(add, parts) if parts else tree_map(np.zeros_like, y)

        self._rule = sum_of_rules

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        rule = self._rule
        if rule is None:
            raise ArgumentError(f"{named(self._f)} has no rule yet: call defjvp or defjvps first")
        args = self.positional(args, kwargs)
        call = self.traced(args, [rule])
        if call is None:
            return apart(self._f(*args), args)
        deferred = Deferred(function_name(rule), self.about(rule), lambda: self._jvp_program(call, rule))
        results = jvp_equation(call.program, deferred, len(call.captures), *call.values)
        return unflatten(call.out_spec, results_of(results, call.leaves))

    def _jvp_program(self, call: RuledCall, rule: Callable[..., Any]) -> Program:
        """``(captures, x, x_dot) -> (y, y_dot)``."""
        about, types, outputs = self.about(rule), call.types, call.program.output_types

        def flat(*tracers: Any) -> list[Any]:
            primals = unflatten(call.spec, tracers[: len(types)])
            tangents = unflatten(call.spec, with_zeros(types, tracers[len(types) :]))
            result = rule(*call.static.values(), tuple(primals), tuple(tangents))
            y, y_dot = _pair(about, result, "(y, y_dot)")
            ys = checked(about, "y", y, call.result, call.out_spec, outputs)
            y_dots = checked(about, "y_dot", y_dot, "y", call.out_spec, outputs)
            return [*ys, *[t for t, type in zip(y_dots, outputs, strict=True) if type.inexact]]

        return self.rule_program(call, rule, [*types, *floating(types)], flat)


def custom_vjp(f: Callable[..., Any] | None = None, *, nondiff_argnums: int | Sequence[int] = ()) -> Any:
    """`f` with a pullback of your own.

    Parameters
    ----------
    f, nondiff_argnums
        As for `custom_jvp`.

    Returns
    -------
    A function with the same arguments and results, and the method ``defvjp(forward, backward)``. ``forward``, called
    as `f`, returns ``(y, residuals)``, with y as `f` returns it, and any nest of arrays. ``backward(*nondiff,
    residuals, y_bar)`` returns a tuple with the cotangent of each differentiable argument, of its structure, shapes
    and dtypes, or None for zero; cotangents of integers are ignored. Of integer results, y_bar holds zeros of float64.

    The rule is traced when a derivative is first taken. Second derivatives differentiate `forward` and `backward`.
    Forward mode transposes `backward`, where that is linear in y_bar. `f` and the rule may use traced values from
    around them; the derivative with respect to these is that of `f` itself.

    Raises
    ------
    ArgumentError
        When the function is called without a rule, or the rule returns what does not fit; the message compares it leaf
        by leaf.
    NotDifferentiableError
        In forward mode, when `backward` is not linear in y_bar.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> @sad.custom_vjp
    ... def clip_gradient(x, limit):
    ...     return x
    >>> clip_gradient.defvjp(
    ...     lambda x, limit: (x, limit),
    ...     lambda limit, y_bar: (np.clip(y_bar, -limit, limit), None),
    ... )
    >>> print(sad.grad(lambda x: clip_gradient(x, 0.5) ** 2)(3.0))
    0.5
    """
    return partial(custom_vjp, nondiff_argnums=nondiff_argnums) if f is None else _CustomVjp(f, nondiff_argnums)


class _CustomVjp(Ruled):
    maker = "custom_vjp"
    _rules: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Set ``forward(*args) -> (y, residuals)`` and ``backward(*nondiff, residuals, y_bar) -> x_bars``."""
        check_function("defvjp", "forward", forward, None)
        check_function("defvjp", "backward", backward, None)
        self._rules = forward, backward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        rules = self._rules
        if rules is None:
            raise ArgumentError(f"{named(self._f)} has no rule yet: call defvjp first")
        args = self.positional(args, kwargs)
        call = self.traced(args, rules)
        if call is None:
            return apart(self._f(*args), args)
        halves = _Halves(self, call, *rules)
        name, about = function_name(rules[0]), self.about(*rules)
        forward = Deferred(name, about, lambda: halves.forward_program)
        backward = Deferred(name, about, halves.backward_program)
        results = vjp_equation(call.program, forward, backward, len(call.captures), *call.values)
        return unflatten(call.out_spec, results_of(results, call.leaves))


class _Halves:
    """The two halves of a rule at one call; the second is traced at the residuals that the first returns."""

    def __init__(
        self, ruled: Ruled, call: RuledCall, forward: Callable[..., Any], backward: Callable[..., Any]
    ) -> None:
        self._ruled, self._call = ruled, call
        self._forward, self._backward = forward, backward

    @property
    def forward_program(self) -> Program:
        """``(captures, x) -> (y, residuals)``."""
        return self._traced_forward[0]

    @cached_property
    def _traced_forward(self) -> tuple[Program, TreeSpec]:
        """The program, and the structure of the residuals."""
        call, about = self._call, self._ruled.about(self._forward)
        specs: list[TreeSpec] = []

        def flat(*tracers: Any) -> list[Any]:
            y, residuals = _pair(about, self._forward(*call.arguments(tracers)), "(y, residuals)")
            ys = checked(about, "y", y, call.result, call.out_spec, call.program.output_types)
            leaves, spec = flatten(residuals)
            specs.append(spec)
            for k, leaf in enumerate(leaves):
                leaf_type(leaf, lambda k=k: f"{about}: {place('residuals', spec, k)}")  # type: ignore[misc]
            return [*ys, *leaves]

        return self._ruled.rule_program(call, self._forward, call.types, flat), specs[0]

    def backward_program(self) -> Program:
        """``(captures, residuals, y_bar) -> x_bar``."""
        call, about = self._call, self._ruled.about(self._backward)
        forward, spec = self._traced_forward
        outputs = call.program.output_types
        types = forward.output_types[len(outputs) :]

        def flat(*tracers: Any) -> list[Any]:
            residuals = unflatten(spec, tracers[: len(types)])
            y_bar = unflatten(call.out_spec, with_zeros(outputs, tracers[len(types) :]))
            return _x_bars(about, call, self._backward(*call.static.values(), residuals, y_bar))

        return self._ruled.rule_program(call, self._backward, [*types, *floating(outputs)], flat)


def _x_bars(about: str, call: RuledCall, result: Any) -> list[Any]:
    """The cotangents of the floating-point leaves of all arguments."""
    specs = call.spec.children()
    if not isinstance(result, tuple | list) or len(result) != len(specs):
        found = f"{len(result)} entries" if isinstance(result, tuple | list) else describe(result)
        arguments = ", ".join(f"x{k}_bar" for k in range(len(specs))) + ("," if len(specs) == 1 else "")
        raise ArgumentError(
            f"{about} must return a tuple with a cotangent for each of its {len(specs)} differentiable arguments, "
            f"({arguments}), with None for zero; got {found}"
        )
    bars: list[Any] = []
    types = iter(call.types)
    for k, (bar, spec) in enumerate(zip(result, specs, strict=True)):
        own = list(islice(types, spec.num_leaves))
        leaves = map(zeros, own) if bar is None else checked(about, f"x{k}_bar", bar, f"argument {k}", spec, own)
        bars += chosen(leaves, [type.inexact for type in own])
    return bars


def _pair(about: str, result: Any, form: str) -> Any:
    if not isinstance(result, tuple | list) or len(result) != 2:
        found = f"{len(result)} entries" if isinstance(result, tuple | list) else describe(result)
        raise ArgumentError(f"{about} must return a pair {form}, got {found}")
    return result
