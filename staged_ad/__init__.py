"""Staged automatic differentiation: plain NumPy in, native derivative kernels out.

The public names; each is documented where it is defined.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from staged_ad import numpy as numpy
from staged_ad import scipy as scipy
from staged_ad.api.compilation import clear_caches as clear_caches
from staged_ad.api.compilation import jit as jit
from staged_ad.api.derivatives import grad as grad
from staged_ad.api.derivatives import hvp as hvp
from staged_ad.api.derivatives import jvp as jvp
from staged_ad.api.derivatives import linear_transpose as linear_transpose
from staged_ad.api.derivatives import linearize as linearize
from staged_ad.api.derivatives import trace as trace
from staged_ad.api.derivatives import value_and_grad as value_and_grad
from staged_ad.api.derivatives import vjp as vjp
from staged_ad.api.explaining import explain_cache_misses as explain_cache_misses
from staged_ad.api.jacobians import hessian as hessian
from staged_ad.api.jacobians import jacfwd as jacfwd
from staged_ad.api.jacobians import jacobian as jacobian
from staged_ad.api.jacobians import jacrev as jacrev
from staged_ad.native.disk import configure_cache as configure_cache
from staged_ad.native.threads import get_num_threads as get_num_threads
from staged_ad.native.threads import set_num_threads as set_num_threads

if _TYPE_CHECKING:
    from staged_ad import random as random
    from staged_ad.api.branches import cond as cond
    from staged_ad.api.branches import switch as switch
    from staged_ad.api.checking import check_derivatives as check_derivatives
    from staged_ad.api.checkpointing import checkpoint as checkpoint
    from staged_ad.api.custom_rules import custom_jvp as custom_jvp
    from staged_ad.api.custom_rules import custom_vjp as custom_vjp
    from staged_ad.api.foreign import ShapeDtypeStruct as ShapeDtypeStruct
    from staged_ad.api.foreign import numba_call as numba_call
    from staged_ad.api.foreign import pure_callback as pure_callback
    from staged_ad.api.loops import associative_scan as associative_scan
    from staged_ad.api.loops import fori_loop as fori_loop
    from staged_ad.api.loops import map as map
    from staged_ad.api.loops import scan as scan
    from staged_ad.api.loops import while_loop as while_loop
    from staged_ad.api.mapping import vmap as vmap
    from staged_ad.api.numba_functions import numba_function as numba_function
    from staged_ad.control.budget import get_tape_limit as get_tape_limit
    from staged_ad.control.budget import set_tape_limit as set_tape_limit

__version__ = "0.1.0"

_LATER = {
    "api.branches": ("cond", "switch"),
    "api.checking": ("check_derivatives",),
    "api.checkpointing": ("checkpoint",),
    "api.custom_rules": ("custom_jvp", "custom_vjp"),
    "api.foreign": ("ShapeDtypeStruct", "numba_call", "pure_callback"),
    "api.loops": ("associative_scan", "fori_loop", "map", "scan", "while_loop"),
    "api.mapping": ("vmap",),
    "api.numba_functions": ("numba_function",),
    "control.budget": ("get_tape_limit", "set_tape_limit"),
    "random": ("random",),
}
"""Modules that are loaded when one of their names is first asked for: control flow, foreign functions, random numbers.
"""
_MODULES = {name: f"staged_ad.{module}" for module, names in _LATER.items() for name in names}


if not _TYPE_CHECKING:  # checkers know the names from above, and no others

    def __getattr__(name: str) -> _Any:
        if name not in _MODULES:
            raise AttributeError(f"module 'staged_ad' has no attribute {name!r}")
        module = _import_module(_MODULES[name])
        globals()[name] = found = module if module.__name__ == f"staged_ad.{name}" else getattr(module, name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})


__all__ = [name for name in __dir__() if not name.startswith("_")]
