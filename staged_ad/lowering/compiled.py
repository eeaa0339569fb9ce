"""Compiled: a program as machine code that takes and returns NumPy arrays.

Invariant: inputs are not modified, save those given away; results are new arrays or these, 0-d ones NumPy scalars.
Start at ``compile_program``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from staged_ad.errors import StagedADError
from staged_ad.ir import ArrayType, Program
from staged_ad.lowering.machine import machine_code
from staged_ad.native.entry import InputSpec, make_entry
from staged_ad.native.failures import raise_status
from staged_ad.native.tape import GROW

if TYPE_CHECKING:
    from staged_ad.lowering.module import Module


class Compiled:
    """Machine code of one program, and entries into it for the kinds of arguments it was called with."""

    def __init__(self, program: Program, precise: bool = False) -> None:
        self.traced = program
        self.types = program.input_types
        self._precise = precise
        self._results = [(type.shape, type.dtype) for type in program.output_types]
        self._code = machine_code(program, precise)
        self.failures = self._code.artifact.failures
        self._entries: dict[tuple[tuple[type, ...], tuple[tuple[int, int], ...]], Callable[..., Any]] = {}
        self._arrays = self.entry((np.ndarray,) * len(self.types))

    @cached_property
    def program(self) -> Program:
        """The optimised program."""
        from staged_ad.passes import optimize  # the compiler, which stored code does without

        return optimize(self.traced)

    @cached_property
    def module(self) -> Module:
        """The program as text; made for those who ask, since stored code is loaded without it."""
        from staged_ad.lowering.module import emit  # the compiler, which stored code does without

        return emit(self.program, self._precise)

    @property
    def workspace(self) -> int:
        """Bytes of working memory of a call."""
        return self._code.artifact.workspace

    @property
    def constants(self) -> int:
        """Bytes of the arrays that the code reads and no argument is."""
        return sum(constant.nbytes for constant in self._code.artifact.constants)

    @property
    def grows(self) -> bool:
        """Whether loops keep values whose number is known only when they have run."""
        return GROW in self._code.artifact.names

    def entry(self, kinds: tuple[type, ...], donated: Collection[int] = ()) -> Callable[..., Any]:
        """The native function for arguments of the given Python types; it returns NotImplemented for others.

        Results may take the memory of the arguments `donated`.
        """
        plain = self._entry(kinds, {})
        donors = self.donors([number for number in donated if kinds[number] is np.ndarray])
        return into_donors(self._entry(kinds, donors), plain, set(donors.values())) if donors else plain

    def _entry(self, kinds: tuple[type, ...], donors: Mapping[int, int]) -> Callable[..., Any]:
        key = kinds, tuple(donors.items())
        known = self._entries.get(key)
        if known is None:
            specs = [_spec(kind, type) for kind, type in zip(kinds, self.types, strict=True)]
            native, artifact = self._code.native, self._code.artifact
            owners = native, artifact.failures  # of code, and of what it calls
            known = self._entries[key] = make_entry(
                native.address,
                specs,
                artifact.constants,
                self._results,
                artifact.workspace,
                artifact.slow,
                owners,
                donors,
            )
        return known

    def donors(self, donated: Collection[int]) -> dict[int, int]:
        """For outputs that may be made in the memory of one of the inputs `donated`, this input; none is used twice."""
        found: dict[int, int] = {}
        for output, number in self._code.artifact.successions:
            type = self.types[number]
            fits = (type.shape, type.dtype) == self._results[output] and type.shape
            if fits and number in donated and output not in found and number not in found.values():
                found[output] = number
        return found

    def run(self, *values: Any) -> Any:
        """What the entry returns: a status, the output or a tuple; arguments are converted to what the code needs."""
        return self._arrays(*[_canonical(v, t) for v, t in zip(values, self.types, strict=True)])

    def __call__(self, *values: Any) -> list[Any]:
        """The outputs, in a list."""
        result = self.run(*values)
        if type(result) is int:
            raise_status(result, self.failures)
        if result is NotImplemented:
            raise StagedADError(f"compiled code refused its arguments: {result!r}")  # a fault of this package
        return [result] if len(self._results) == 1 else list(result)

    def text(self, stage: str) -> str:
        """``program``, ``loops``, ``llvm`` or ``asm``."""
        from staged_ad.lowering import report  # the compiler, which stored code does without
        from staged_ad.native import llvm  # the compiler, which stored code does without

        match stage:
            case "program":
                return str(self.program)
            case "loops":
                return report.loops_text(self.module.block, self.module.storage.workspace)
            case "llvm":
                return llvm.optimised_ir(self.module.text)
            case "asm":
                return llvm.assembly(self.module.text)
            case _:
                raise ValueError(f"no stage {stage!r}; there are 'program', 'loops', 'llvm' and 'asm'")


def _spec(kind: type, type: ArrayType) -> InputSpec:
    if kind is np.ndarray:
        return InputSpec(np.ndarray, type.dtype, type.shape)
    return InputSpec(kind)


def into_donors(native: Callable[..., Any], plain: Callable[..., Any], donors: Collection[int]) -> Callable[..., Any]:
    """`native`, which writes into its arguments `donors`; `plain` where other arguments look into their memory."""

    def call(*leaves: Any) -> Any:
        arrays = [(k, leaf) for k, leaf in enumerate(leaves) if isinstance(leaf, np.ndarray)]
        shared = any(np.may_share_memory(leaves[d], leaf) for d in donors for k, leaf in arrays if k != d)
        result = NotImplemented if shared else native(*leaves)
        return plain(*leaves) if result is NotImplemented else result

    return call


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
