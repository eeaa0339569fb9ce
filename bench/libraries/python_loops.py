"""Loops for libraries that have none: Python runs each step, so each step costs what Python costs."""

from collections.abc import Callable
from typing import Any

from bench.library import Function


def scan_with(stack: Callable[[list[Any]], Any]) -> Function:
    """JAX's `scan`, where `stack` makes one array of a list of arrays."""

    def scan(
        f: Function,
        init: Any,
        xs: Any = None,
        length: int | None = None,
        reverse: bool = False,
        checkpoint: int | None = None,
    ) -> Any:
        steps = length if length is not None else len(first_leaf(xs))
        carry, ys = init, []
        for step in reversed(range(steps)) if reverse else range(steps):
            carry, y = f(carry, at(xs, step))
            ys.append(y)
        return carry, stacked(ys[::-1] if reverse else ys, stack)

    return scan


def first_leaf(tree: Any) -> Any:
    while isinstance(tree, list | tuple | dict):
        tree = next(iter(tree.values() if isinstance(tree, dict) else tree))
    return tree


def at(tree: Any, step: int) -> Any:
    """Entry number `step` of each array of the tree."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {key: at(value, step) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(at(value, step) for value in tree)
    return tree[step]


def stacked(trees: list[Any], stack: Callable[[list[Any]], Any]) -> Any:
    """One tree of stacked arrays for a list of trees."""
    first = trees[0]
    if first is None:
        return None
    if isinstance(first, list | tuple):
        return type(first)(stacked(list(branches), stack) for branches in zip(*trees, strict=True))
    return stack(trees)


def vmap_with(stack: Callable[[list[Any]], Any]) -> Function:
    """`vmap` over the first axis of each argument, one entry after the other."""

    def vmap(f: Function) -> Function:
        def mapped(*arguments: Any) -> Any:
            lanes = range(len(first_leaf(arguments)))
            return stacked([f(*at(arguments, lane)) for lane in lanes], stack)

        return mapped

    return vmap


def while_loop(goes_on: Function, step: Function, state: Any) -> Any:
    while goes_on(state):
        state = step(state)
    return state


def fori_loop(start: Any, end: Any, step: Function, state: Any) -> Any:
    for number in range(int(start), int(end)):
        state = step(number, state)
    return state


def cond(condition: Any, if_true: Function, if_false: Function, *operands: Any) -> Any:
    return if_true(*operands) if condition else if_false(*operands)
