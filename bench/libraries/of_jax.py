"""JAX with float64, on the CPU or on a GPU."""

import os
from typing import Any

from bench.library import Function, Library


def jax_library(platform: str = "cpu") -> Library:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # or it would take most of a GPU from the others
    import jax  # here, so that the table can be made without it

    jax.config.update("jax_platforms", platform)
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_enable_compilation_cache", False)

    def hvp(f: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        everything = tuple(range(len(primals)))
        product = jax.jvp(jax.grad(f, everything), primals, tangents)[1]
        return product[0] if len(primals) == 1 else product

    def scan(
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

    return Library(
        name="JAX",
        np=jax.numpy,
        special=jax.scipy.special,
        jit=jax.jit,
        grad=jax.grad,
        value_and_grad=jax.value_and_grad,
        hvp=hvp,
        jacfwd=jax.jacfwd,
        jacrev=jax.jacrev,
        vmap=jax.vmap,
        scan=scan,
        while_loop=jax.lax.while_loop,
        fori_loop=jax.lax.fori_loop,
        cond=jax.lax.cond,
        array=jax.numpy.asarray,
        wait=jax.block_until_ready,
        clear_caches=jax.clear_caches,
    )
