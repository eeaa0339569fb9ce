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
    jacfwd: Function
    vmap: Function
    scan: Any  # JAX's, with `checkpoint`: how many states a gradient may keep
    while_loop: Any
    fori_loop: Any
    cond: Any
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
        jacfwd=sad.jacfwd,
        vmap=sad.vmap,
        scan=sad.scan,
        while_loop=sad.while_loop,
        fori_loop=sad.fori_loop,
        cond=sad.cond,
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
        jacfwd=jax.jacfwd,
        vmap=jax.vmap,
        scan=scan_of_jax,
        while_loop=jax.lax.while_loop,
        fori_loop=jax.lax.fori_loop,
        cond=jax.lax.cond,
        array=jax.numpy.asarray,
        wait=jax.block_until_ready,
        clear_caches=jax.clear_caches,
    )


def scan_of_jax(
    f: Function,
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    checkpoint: int | None = None,
) -> Any:
    """`jax.lax.scan`; with `checkpoint`, as its users write it: a scan over so many pieces, each recomputed."""
    if checkpoint is None:
        return jax.lax.scan(f, init, xs, length=length, reverse=reverse)
    pieces = jax.tree.map(lambda x: x.reshape(checkpoint, -1, *x.shape[1:]), xs)

    def piece(carry: Any, xs: Any) -> Any:
        return jax.lax.scan(f, carry, xs, length=length and length // checkpoint, reverse=reverse)

    carry, ys = jax.lax.scan(jax.checkpoint(piece), init, pieces, length=checkpoint, reverse=reverse)
    return carry, jax.tree.map(lambda y: y.reshape(-1, *y.shape[2:]), ys)
