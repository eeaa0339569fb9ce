"""The address of everything that machine code may call, by its name in the code.

Addresses differ from process to process, so code names what it calls, and is linked with this process's addresses.

Invariant: a name means the same function in every process.
Start at ``address``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from staged_ad.native import blas, linking, thread_pool, vecmath
from staged_ad.native.interrupts import interrupt_symbols
from staged_ad.native.tape import tape_symbols


def addresses(names: Iterable[str], serial: bool = False) -> Mapping[str, int]:
    """The addresses of those of these names that have one."""
    found = ((name, address(name, serial)) for name in names)
    return {name: place for name, place in found if place is not None}


def address(name: str, serial: bool = False) -> int | None:
    """The address of one function; `serial` ones run in the calling thread alone."""
    family, _, rest = name.partition(".")
    match family:
        case "lapack":
            return blas.lapack_address(rest)
        case "special":
            return vecmath.special_address(rest)
        case "ufunc":
            return vecmath.ufunc_address(rest)
        case "staged_parallel":
            return (thread_pool.serial_symbols() if serial else thread_pool.parallel_symbols())[name]
        case "staged_gemm_f32" | "staged_gemm_f64" | "staged_gemv_f32" | "staged_gemv_f64":
            return blas.product_address(name, serial)
        case "staged_interrupted":
            return interrupt_symbols()[name]
        case _ if name.startswith("staged_tape"):
            return tape_symbols()[name]
        case _ if name.startswith("staged_sweep"):
            from staged_ad.native import sweep_calls  # with the schedules, which few programs need

            return sweep_calls.symbols()[name]
        case _:
            return vecmath.library_address(name) or linking.address_of(name)
