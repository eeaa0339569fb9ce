"""The package of this repository, as one of the libraries."""

import os
from dataclasses import replace
from typing import Any

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


def this_project_on_gpu() -> Library:
    """The same with ``device="cuda"`` and arrays of CuPy."""
    os.environ.setdefault("CUDA_CACHE_DISABLE", "1")  # the driver's, on disk
    import cupy  # here, so that everything else works without a GPU

    import staged_ad as sad  # with it, for the reason above

    def wait(result: Any) -> Any:
        cupy.cuda.get_current_stream().synchronize()
        return result

    def clear_caches() -> None:
        sad.clear_caches()
        cupy.get_default_memory_pool().free_all_blocks()

    options: dict[str, Any] = {"device": "cuda"}
    return replace(
        this_project(),
        jit=lambda f: sad.jit(f, **options),
        array=cupy.asarray,
        wait=wait,
        clear_caches=clear_caches,
        to_numpy=cupy.asnumpy,
        spoil=lambda x: x.fill(numpy.nan),
    )
