"""PyTorch with float64, on the CPU or on a GPU: torch.func, compiled by torch.compile where it compiles.

Invariant: a problem says `np.sum(x, axis=1)` and means it; `NumPyNames` holds what PyTorch calls otherwise.
"""

import logging
from functools import partial
from typing import Any

from bench.libraries.python_loops import cond, scan_with
from bench.library import Function, Library, not_offered, returned_as_it_is


class NumPyNames:
    """The functions of NumPy that the problems use, for tensors."""

    def __init__(self, torch: Any):
        self.torch = torch

    def __getattr__(self, name: str) -> Any:
        return getattr(self.torch, name)  # those that PyTorch has with the same names and keywords

    def tensor(self, x: Any) -> Any:
        return x if isinstance(x, self.torch.Tensor) else self.torch.tensor(x, dtype=self.torch.float64)

    def max(self, x: Any, axis: int, keepdims: bool = False) -> Any:
        return self.torch.amax(x, axis, keepdims)

    def min(self, x: Any, axis: int, keepdims: bool = False) -> Any:
        return self.torch.amin(x, axis, keepdims)

    def maximum(self, x: Any, y: Any) -> Any:
        if isinstance(y, int | float):
            return self.torch.clamp(x, min=y)
        return self.torch.maximum(self.tensor(x), self.tensor(y))

    def logaddexp(self, x: Any, y: Any) -> Any:
        return self.torch.logaddexp(self.tensor(x), self.tensor(y))


def torch_library(device: str = "cpu") -> Library:
    import torch  # here, so that the table can be made without it

    torch.set_default_dtype(torch.float64)
    torch._dynamo.config.suppress_errors = True  # what does not compile runs uncompiled,
    torch._logging.set_logs(dynamo=logging.ERROR, inductor=logging.ERROR)  # without a page about it
    torch._inductor.config.compile_threads = 1  # no pool of processes beside what is measured

    def jit(f: Function) -> Function:
        torch._dynamo.reset()  # so that no function counts as a recompilation of the one before
        return torch.compile(f, dynamic=False)

    def value_and_grad(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
        both = torch.func.grad_and_value(f, argnums)
        return lambda *arguments: both(*arguments)[::-1]

    def hvp(f: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        everything = tuple(range(len(primals)))
        product = torch.func.jvp(torch.func.grad(f, everything), primals, tangents)[1]
        return product[0] if len(primals) == 1 else product

    def wait(result: Any) -> Any:
        torch.cuda.synchronize()
        return result

    on_cpu = device == "cpu"
    return Library(
        name="PyTorch",
        np=NumPyNames(torch),
        special=torch.special,
        jit=jit,
        grad=lambda f, argnums=0: torch.func.grad(f, argnums),
        value_and_grad=value_and_grad,
        hvp=hvp,
        jacfwd=lambda f, argnums=0: torch.func.jacfwd(f, argnums),
        jacrev=lambda f, argnums=0: torch.func.jacrev(f, argnums),
        vmap=torch.func.vmap,
        scan=scan_with(torch.stack),
        while_loop=not_offered,
        fori_loop=not_offered,
        cond=cond,
        array=partial(torch.tensor, device=device),
        wait=returned_as_it_is if on_cpu else wait,
        clear_caches=(lambda: None) if on_cpu else torch.cuda.empty_cache,
        compiles=False,
        loops=False,
        to_numpy=lambda x: x.numpy(force=True),
    )
