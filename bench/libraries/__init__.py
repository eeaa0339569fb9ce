"""Each library that is compared, made when it is asked for. `peers` gives those that are installed."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec

from bench.libraries.of_autograd import autograd_library
from bench.libraries.of_jax import jax_library
from bench.libraries.of_torch import torch_library
from bench.libraries.ours import this_project, this_project_on_gpu
from bench.library import Library

PEERS: dict[str, tuple[str, Callable[[], Library]]] = {
    "jax": ("jax", jax_library),
    "torch": ("torch", torch_library),
    "autograd": ("autograd", autograd_library),
}

ON_GPU: dict[str, Callable[[], Library]] = {
    "staged_ad": this_project_on_gpu,
    "JAX": partial(jax_library, "cuda"),
    "PyTorch": partial(torch_library, "cuda"),
}

__all__ = ["ON_GPU", "PEERS", "peers", "this_project"]


def peers(names: Sequence[str]) -> list[Library]:
    """Those of the names in PEERS that are installed."""
    return [make() for module, make in (PEERS[name] for name in names if name in PEERS) if find_spec(module)]
