"""The libraries that are compared, behind one face, so that a problem is written once.

Invariant: each library is given its arrays as its users hold them (NumPy arrays here, float64 arrays on the device
for JAX), and a call is over when its result can be read. Start reading at `Library`; each is made in `libraries/`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NoReturn, TypeAlias

import numpy

Function: TypeAlias = Callable[..., Any]


class NotOfferedError(Exception):
    """The library has no such function, so it has no figure in the row."""


def not_offered(*_: Any, **__: Any) -> NoReturn:
    """Stands where a library has no function.

    Raises
    ------
    NotOfferedError
        Always.
    """
    raise NotOfferedError


def returned_as_it_is(result: Any) -> Any:
    return result


def mapped(f: Function, tree: Any) -> Any:
    """The same tree of tuples, lists and dicts, with ``f(leaf)`` for each leaf."""
    if isinstance(tree, dict):
        return {key: mapped(f, value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(mapped(f, value) for value in tree)
    return f(tree)


@dataclass(frozen=True)
class Library:
    """What a problem may use of a library."""

    name: str
    np: Any  # the module of array functions
    special: Any  # the module of special functions: erf, ...
    jit: Function
    grad: Function
    value_and_grad: Function
    hvp: Function  # hvp(f, primals, tangents): the Hessian of f at the primals, times the tangents
    jacfwd: Function
    jacrev: Function
    vmap: Function
    scan: Any  # JAX's, with `checkpoint`: how many states a gradient may keep
    while_loop: Any
    fori_loop: Any
    cond: Any
    array: Function  # from a NumPy array to what a user of the library holds
    wait: Function  # returns its argument when it can be read
    clear_caches: Callable[[], Any]
    compiles: bool = True  # whether the first call is a figure of its own
    loops: bool = True  # whether loops are compiled as loops; otherwise Python runs their steps
    to_numpy: Function = numpy.asarray  # from one of its arrays to one of NumPy
    spoil: Function = returned_as_it_is  # overwrites an array of a result, so that memory used again shows

    def arguments(self, data: Any) -> Any:
        """The same tree of tuples, lists and dicts, with the library's arrays for NumPy's."""
        return mapped(self.array, data)

    def caller(self, function: Function, arguments: tuple[Any, ...]) -> Callable[[int], None]:
        """Return ``run(count)``, which calls the function `count` times with as little as can be around each call."""
        times: Callable[[None, int], Iterable[None]] = repeat
        wait = self.wait

        def run(count: int) -> None:
            for _ in times(None, count):
                function(*arguments)

        def run_and_wait(count: int) -> None:
            for _ in times(None, count):
                wait(function(*arguments))

        def run_and_wait_for_one_array(count: int) -> None:
            for _ in times(None, count):
                function(*arguments).block_until_ready()

        if wait is returned_as_it_is:
            return run
        # The method costs less than jax.block_until_ready, which walks a tree.
        return run_and_wait_for_one_array if hasattr(function(*arguments), "block_until_ready") else run_and_wait
