"""Operations that have no code for the device, or none that is good: they are computed from whole arrays, outside of
kernels.

Whether there is code is found out by writing it: a function that libdevice lacks, or a routine of LAPACK, has none.

Invariant: the meaning of the program does not change.
Start at ``outside``.
"""

from __future__ import annotations

from typing import Any

from staged_ad.cuda.libdevice import Libdevice
from staged_ad.cuda.library import is_long
from staged_ad.errors import LoweringError
from staged_ad.ir import Equation, Program
from staged_ad.ir.lowerings import Kernel, Map
from staged_ad.lowering.calls import Functions
from staged_ad.lowering.code import Code
from staged_ad.lowering.kernels import KernelWriter
from staged_ad.lowering.values import Externals, Value
from staged_ad.primitives import outside as primitives


def outside(program: Program) -> Program:
    """`program`, its operations without code marked; so the programs inside."""
    return Program(program.inputs, tuple(map(_marked, program.equations)), program.outputs, program.name)


def _marked(equation: Equation) -> Equation:
    equation = equation.with_programs(outside)
    if _has_code(equation) and not is_long(equation):
        return equation
    params = {"of": equation.primitive, "params": tuple(equation.params.items())}
    return equation._replace(primitive=primitives.outside, params=params)


def _has_code(equation: Equation) -> bool:
    rule = equation.primitive.lower
    externals = Externals(precise=True, library=Libdevice())
    match rule:
        case Map():
            code = Code(externals, 1, 1)
            operands = [Value(f"%x{k}", x.type.dtype, 1, 0) for k, x in enumerate(equation.inputs)]
            try:
                rule.emit(code, *operands, **equation.params)
            except LoweringError:
                return False
        case Kernel():
            kernel = KernelWriter(equation, Functions(externals, _no_text, _no_text, asks=False))
            try:
                rule.emit(kernel, **equation.params)
            except LoweringError:
                return False
    return all(name.startswith(("llvm.", "__nv_")) for name in externals.declarations)


def _no_text(*arguments: Any) -> Any:
    raise AssertionError("a kernel holds no blocks")
