"""Compiled: a program as machine code that takes and returns NumPy arrays.

Invariant: inputs are never modified; results are new arrays, 0-d ones NumPy scalars.
Start at ``compile_program``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from staged_ad.errors import StagedADError
from staged_ad.ir import ArrayType, Program
from staged_ad.lowering.calls import FAILED, FOUND, Failure
from staged_ad.lowering.entry import InputSpec, make_entry
from staged_ad.lowering.module import Module, emit
from staged_ad.lowering.native import NativeCode, compile_ir
from staged_ad.lowering.regions import MatrixProduct, Nest, Opaque
from staged_ad.lowering.report import loops_text
from staged_ad.passes import optimize

QUICK = 2000
"""Points of all loops together up to which the GIL is kept: releasing it takes as long as running them."""


class Compiled:
    """Machine code of one program, and entries into it for the kinds of arguments it was called with."""

    def __init__(self, program: Program, precise: bool = False) -> None:
        self.types = program.input_types
        self._results = [(type.shape, type.dtype) for type in program.output_types]
        self.program = optimize(program)
        self.module: Module = emit(self.program, precise)
        self.native: NativeCode = compile_ir(self.module.text, self.module.symbols)
        self._entries: dict[tuple[type, ...], Callable[..., Any]] = {}
        self._arrays = self.entry((np.ndarray,) * len(self.types))

    def entry(self, kinds: tuple[type, ...]) -> Callable[..., Any]:
        """The native function for arguments of the given Python types; it returns NotImplemented for others."""
        known = self._entries.get(kinds)
        if known is None:
            specs = [_spec(kind, type) for kind, type in zip(kinds, self.types, strict=True)]
            results, storage = self._results, self.module.storage
            owners = self.native, self.module.failures  # of code, and of what it calls
            known = self._entries[kinds] = make_entry(
                self.native.address, specs, storage.constants, results, storage.workspace, self._slow(), owners
            )
        return known

    def _slow(self) -> bool:
        if any(rule.unbounded(**equation.params) for rule, equation in self.module.block.kernels):
            return True
        points = 0.0
        for step in self.module.block.steps:
            match step.region:
                case MatrixProduct():
                    return True
                case Nest() as nest:
                    points += math.prod(nest.domain)
                case Opaque() as region if region.equation.params.get("length", 0) is None or region.blocks[1:]:
                    return True  # nobody knows how long it runs
                case _:
                    points += step.cost
        return points > QUICK

    def run(self, *values: Any) -> Any:
        """What the entry returns: a status, the output or a tuple; arguments are converted to what the code needs."""
        return self._arrays(*[_canonical(v, t) for v, t in zip(values, self.types, strict=True)])

    def __call__(self, *values: Any) -> list[Any]:
        """The outputs, in a list."""
        result = self.run(*values)
        if type(result) is int:
            raise_status(result, self.module.failures)
        if result is NotImplemented:
            raise StagedADError(f"compiled code refused its arguments: {result!r}")  # a fault of this package
        return [result] if len(self.program.outputs) == 1 else list(result)

    def text(self, stage: str) -> str:
        """``program``, ``loops``, ``llvm`` or ``asm``."""
        match stage:
            case "program":
                return str(self.program)
            case "loops":
                return loops_text(self.module)
            case "llvm":
                return self.native.optimised_ir
            case "asm":
                return self.native.assembly
            case _:
                raise ValueError(f"no stage {stage!r}; there are 'program', 'loops', 'llvm' and 'asm'")


def raise_status(status: int, failures: Sequence[Failure]) -> NoReturn:
    """Raise what a status means that is no failed guard; `failures` are those of the module."""
    number, found = status & (2 * FAILED - 1), status >> FOUND
    if FAILED <= number < FAILED + len(failures):
        failure = failures[number - FAILED]
        raise failure.make(*failure.arguments, *[found] * failure.reads)
    raise StagedADError(f"compiled code stopped with status {status}")


def _spec(kind: type, type: ArrayType) -> InputSpec:
    if kind is np.ndarray:
        return InputSpec(np.ndarray, type.dtype, type.shape)
    return InputSpec(kind)


def _canonical(value: Any, type: ArrayType) -> np.ndarray[Any, Any]:
    """A C-contiguous, aligned array in native byte order; the argument itself where it is one."""
    array = np.array(value, dtype=type.dtype, order="C", copy=None, subok=False)
    if not array.flags.aligned or array.dtype is not type.dtype:
        array = np.array(array, dtype=type.dtype, order="C", copy=True)
    return array


def compile_program(program: Program, precise: bool = False) -> Compiled:
    """Optimise and compile a program.

    Raises
    ------
    LoweringError
        When an operation has no machine code; the message names it.
    """
    return Compiled(program, precise)
