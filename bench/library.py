"""The libraries that are compared, behind one face, so that a problem is written once.

Invariant: each library is given its arrays as its users hold them (NumPy arrays here, float64 arrays on the device
for JAX), and a call is over when its result can be read. Start reading at `Library`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any, TypeAlias

import numpy
import scipy.special

try:
    import jax
except ImportError:
    jax = None

Function: TypeAlias = Callable[..., Any]


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
    array: Function  # from a NumPy array to what a user of the library holds
    wait: Function  # returns its argument when it can be read
    clear_caches: Callable[[], Any]

    def arguments(self, data: Any) -> Any:
        """The same tree of tuples, lists and dicts, with the library's arrays for NumPy's."""
        if isinstance(data, dict):
            return {key: self.arguments(value) for key, value in data.items()}
        if isinstance(data, list | tuple):
            return type(data)(self.arguments(value) for value in data)
        return self.array(data)

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


def returned_as_it_is(result: Any) -> Any:
    return result


def this_project() -> Library:
    """The package of this repository."""
    import staged_ad as sad  # here, so that the other commands and `--help` work while the package does not

    return Library(
        name="staged_ad",
        np=numpy,
        special=scipy.special,
        jit=sad.jit,
        grad=sad.grad,
        value_and_grad=sad.value_and_grad,
        hvp=sad.hvp,
        array=numpy.asarray,
        wait=returned_as_it_is,
        clear_caches=getattr(sad, "clear_caches", lambda: None),
    )


def jax_library() -> Library | None:
    """JAX on the CPU with float64, or None where it is not installed."""
    if jax is None:
        return None
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_enable_compilation_cache", False)

    def hvp(f: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return jax.jvp(jax.grad(f), primals, tangents)[1]

    return Library(
        name="JAX",
        np=jax.numpy,
        special=jax.scipy.special,
        jit=jax.jit,
        grad=jax.grad,
        value_and_grad=jax.value_and_grad,
        hvp=hvp,
        array=jax.numpy.asarray,
        wait=jax.block_until_ready,
        clear_caches=jax.clear_caches,
    )
