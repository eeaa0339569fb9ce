"""Transforms of transforms: each nest is another way to a gradient or to second derivatives that is known already.

Invariant: the oracle is the gradient as it is evaluated, which checks.py compares with differences.
Start at ``check_nests``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import staged_ad as sad
from tests.fuzzing.checks import Mismatch, compare, directions, vector

STEPS = 3


def _summed(f: Callable[..., Any]) -> Callable[..., Any]:
    g = vector(f)
    return lambda *xs: np.sum(np.sin(g(*xs)))


def _is_moderate(f: Callable[..., Any], args: Sequence[Any]) -> bool:
    """Whether there are sines to speak of: those of large numbers are rounding."""
    return bool(np.all(abs(vector(f)(*args)) < 1e4))


def _in_scan(total: Callable[..., Any], xs: Any) -> Any:
    return sad.scan(lambda c, k: (c + total(*xs), k), 0.0, np.arange(STEPS))[0]


def _in_carried_scan(total: Callable[..., Any], xs: Any) -> Any:
    """The arguments are carried, as they are, and each slice counts another time."""

    def step(c: Any, k: Any) -> Any:
        return (c[0] + k * total(*c[1]), c[1]), total(*c[1])

    (found, _), parts = sad.scan(step, (0.0, tuple(xs)), np.array([0.5, 0.5, 1.0]))
    return found + np.sum(parts) / STEPS


def _in_while(total: Callable[..., Any], xs: Any) -> Any:
    return sad.while_loop(lambda c: c[0] < STEPS, lambda c: (c[0] + 1, c[1] + total(*xs)), (0, 0.0))[1]


def _in_cond(total: Callable[..., Any], xs: Any) -> Any:
    return sad.cond(np.sum(xs[0]) < np.inf, lambda *ys: STEPS * total(*ys), lambda *ys: 0.0, *xs)


def _in_checkpoint(total: Callable[..., Any], xs: Any) -> Any:
    return STEPS * sad.checkpoint(total)(*xs)


def _in_vmap(total: Callable[..., Any], xs: Any) -> Any:
    return np.sum(sad.vmap(lambda k, *ys: k * total(*ys), in_axes=(0, *[None] * len(xs)))(np.ones(STEPS), *xs))


def _in_stacks(total: Callable[..., Any], xs: Any) -> Any:
    return np.sum(sad.map(lambda ys: total(*ys), tuple(np.stack([x] * STEPS) for x in xs)))


WAYS = {
    "scan": _in_scan,
    "carried scan": _in_carried_scan,
    "while": _in_while,
    "cond": _in_cond,
    "checkpoint": _in_checkpoint,
    "vmap": _in_vmap,
    "map": _in_stacks,
}


def check_nests(f: Callable[..., Any], args: Sequence[Any], way: str) -> None:
    """The gradient of `STEPS` times the function, through a loop, and mapped, and in threads."""
    args, total = tuple(np.asarray(x) for x in args), _summed(f)
    every = tuple(range(len(args)))
    if not _is_moderate(f, args):
        return
    expected = sad.grad(total, argnums=every)(*args)
    looped = lambda *xs: WAYS[way](total, xs)
    gradient = sad.grad(looped, argnums=every)
    mapped = sad.vmap(gradient)
    two = tuple(np.stack([x, x]) for x in args)
    compiled = sad.jit(lambda *xs: (gradient(*xs), looped(*xs)))
    with ThreadPoolExecutor(3) as pool:
        several = list(pool.map(lambda _: compiled(*args), range(3)))
    for found, value in several:
        compare(f"value through {way}", value, STEPS * total(*args), 1e-8)
        for k in every:
            compare(f"gradient {k} through {way}", found[k], STEPS * expected[k], 1e-7)
    for k, one in enumerate(sad.jit(mapped)(*two)):
        compare(f"mapped gradient {k} through {way}", one[1], STEPS * expected[k], 1e-7)
    if len({one[0][0].tobytes() for one in several}) > 1:
        raise Mismatch("threads differ")


def check_hessians(f: Callable[..., Any], args: Sequence[Any], way: str) -> None:
    """Second derivatives in the first argument are the same by every route."""
    args, total = tuple(np.asarray(x) for x in args), _summed(f)
    if not _is_moderate(f, args) or args[0].size > 40:
        return
    v = directions(args)[0]
    looped = lambda *xs: WAYS[way](total, xs)
    expected = sad.jacfwd(sad.grad(total))(*args)
    flat = expected.reshape(*args[0].shape, args[0].size) @ v.reshape(-1)
    compare("hessian", sad.jit(sad.hessian(total))(*args), expected, 1e-7)
    compare("reverse over forward", sad.jit(sad.jacrev(sad.jacfwd(total)))(*args), expected, 1e-7)
    compare("reverse over reverse", sad.jacrev(sad.grad(total))(*args), expected, 1e-7)
    compare(f"hessian through {way}", sad.jit(sad.hessian(looped))(*args), STEPS * expected, 1e-7)
    along = sad.jit(lambda x: sad.jvp(lambda y: sad.vjp(lambda z: looped(z, *args[1:]), y)[1](1.0)[0], (x,), (v,))[1])
    compare(f"jvp of vjp through {way}", along(args[0]), STEPS * flat, 1e-7)
    bent = sad.linearize(lambda y: sad.grad(total)(y, *args[1:]), args[0])[1]
    compare("linearized gradient", bent(v), flat, 1e-7)
