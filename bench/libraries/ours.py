"""The package of this repository, as one of the libraries."""

import numpy
import scipy.special

from bench.library import Library, returned_as_it_is


def this_project() -> Library:
    """Without its cache on disk."""
    import staged_ad as sad  # here, so that the other commands and `--help` work while the package does not

    sad.configure_cache(enabled=False)  # as JAX's is: a first call compiles
    return Library(
        name="staged_ad",
        np=numpy,
        special=scipy.special,
        jit=sad.jit,
        grad=sad.grad,
        value_and_grad=sad.value_and_grad,
        hvp=sad.hvp,
        jacfwd=sad.jacfwd,
        jacrev=sad.jacrev,
        vmap=sad.vmap,
        scan=sad.scan,
        while_loop=sad.while_loop,
        fori_loop=sad.fori_loop,
        cond=sad.cond,
        array=numpy.asarray,
        wait=returned_as_it_is,
        clear_caches=sad.clear_caches,
    )
