"""complexes: a program on complex numbers becomes one on real numbers; what follows never meets a complex value.

Every complex variable becomes two real ones of its shape, its real and its imaginary part; how an operation acts on
such pairs is its rule ``split``. An operation that only moves elements moves both parts. Bodies of loops and branches
take and return the parts side by side: ``(carry, z) -> (carry, z)`` becomes ``(carry, x, y) -> (carry, x, y)``.

At the border the memory stays as NumPy has it, the parts of each number next to each other: an input c128[s] is read as
f64[s, 2], of which the parts are views, and an output is written as f64[s, 2]. A ``Kernel`` that calls a library on
complex numbers (``interleaved=True``) wants such memory too: its equation becomes one of the primitive ``interleaved``,
whose operands and results are f64[s, 2] where they were c128[s], while its ``emit`` sees buffers of type c128[s].

Invariant: inputs and outputs of the result lie in memory as those of the program did, and none of its types is complex.
Start at ``complexes``; ``_Writer`` writes one program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from staged_ad.control.layout import groups
from staged_ad.control.scan import SCAN
from staged_ad.control.sweep_run import RUN_FORWARD, backward_operands, forward_operands
from staged_ad.control.switch import SWITCH
from staged_ad.control.while_loop import WHILE
from staged_ad.errors import LoweringError
from staged_ad.ir import ArrayType, Atom, Equation, Literal, Program, Var
from staged_ad.ir.lowerings import Alias, Kernel, Pieces, Sweep, View
from staged_ad.ir.primitive import Pair
from staged_ad.passes.inline import inline_calls
from staged_ad.primitives.complexes import interleaved, interleaved_type
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import concatenate, reshape, slice_
from staged_ad.tracing import Trace, building


def complexes(program: Program) -> Program:
    if not _has_complex(program):
        return program
    return _written(program, whole=True)


def _has_complex(program: Program) -> bool:
    atoms: list[Atom] = [*program.inputs, *program.outputs]
    for equation in program.equations:
        atoms += [*equation.inputs, *equation.outputs]
    if any(atom.type.is_complex for atom in atoms):
        return True
    return any(_has_complex(inner) for equation in program.equations for inner in equation.programs)


def _body(program: Program) -> Program:
    """The body of a loop or a branch, with a pair of inputs or outputs for each complex one."""
    return _written(inline_calls(program), whole=False)


def _written(program: Program, whole: bool) -> Program:
    """`whole`: complex inputs and outputs are interleaved."""
    with building() as trace:
        writer = _Writer(trace)
        for var in program.inputs:
            writer.values[var] = writer.input(var, whole)
        for equation in program.equations:
            trace.source = equation.source
            writer.add(equation)
        if whole:
            found = [writer.interleaved(atom) for atom in program.outputs]
        else:
            found = _flat([writer.read(atom) for atom in program.outputs])
        return trace.finish(found, program.name)[0]


# -- pairs and memory ---------------------------------------------------------------------------------------------


def _interleave(value: Any) -> Any:
    """A pair as one array with the parts along a new last axis."""
    if not isinstance(value, Pair):
        return value
    if all(isinstance(part, Literal) for part in value):
        return np.stack([part.array for part in value], axis=-1)
    return concatenate(*[reshape(part, shape=(*typeof(part).shape, 1)) for part in value], axis=typeof(value.real).ndim)


def _deinterleave(value: Any) -> Pair:
    shape = typeof(value).shape[:-1]

    def part(k: int) -> Any:
        start, stop = ((0,) * len(shape)), shape
        piece = slice_(value, start=(*start, k), stop=(*stop, k + 1), step=(1,) * (len(shape) + 1))
        return reshape(piece, shape=shape)

    return Pair(part(0), part(1))


def _parts_of(literal: Literal) -> Pair:
    type = literal.type.real
    if literal.is_splat:
        return Pair(Literal(literal.value.real, type), Literal(literal.value.imag, type))
    if type.ragged:
        return Pair(Literal(literal.value, type), Literal(literal.value, type))  # refused where it would be stored
    parts = [np.array(part, order="C") for part in (literal.value.real, literal.value.imag)]
    for part in parts:
        part.flags.writeable = False
    return Pair(*[Literal(part, type) for part in parts])


def _flat(values: Sequence[Any]) -> list[Any]:
    """The parts of pairs side by side."""
    return [part for value in values for part in (value if isinstance(value, Pair) else [value])]


def _paired(values: Sequence[Any], types: Sequence[ArrayType]) -> list[Any]:
    """The inverse of `_flat`."""
    rest = iter(values)
    return [Pair(next(rest), next(rest)) if type.is_complex else next(rest) for type in types]


# -- equations ----------------------------------------------------------------------------------------------------


class _Writer:
    """`values` are what stands for the variables of the old program: values of the new one, or pairs of them; `memory`
    has those that lie in memory as NumPy has complex numbers.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.values: dict[Var, Any] = {}
        self.memory: dict[Atom, Any] = {}

    def input(self, var: Var, whole: bool) -> Any:
        type = var.type
        if not type.is_complex:
            return self.trace.add_input(type)
        if whole:
            self.memory[var] = self.trace.add_input(interleaved_type(type))
            return _deinterleave(self.memory[var])
        return Pair(*self.trace.add_inputs([type.real, type.real]))

    def read(self, atom: Atom) -> Any:
        if isinstance(atom, Var):
            return self.values[atom]
        return _parts_of(atom) if atom.type.is_complex else atom

    def interleaved(self, atom: Atom) -> Any:
        known = self.memory.get(atom)
        return _interleave(self.read(atom)) if known is None else known

    def add(self, equation: Equation) -> None:
        values = [self.read(atom) for atom in equation.inputs]
        results = self._results(equation, values)
        self.values.update(zip(equation.outputs, results, strict=True))

    def _results(self, equation: Equation, values: Sequence[Any]) -> list[Any]:
        primitive, params = equation.primitive, dict(equation.params)
        types = [var.type for var in equation.outputs]
        touched = any(atom.type.is_complex for atom in (*equation.inputs, *equation.outputs))
        if any(True for _ in equation.programs):
            rule = _CONTROL.get(primitive) or (_sweep if isinstance(primitive.lower, Sweep) else None)
            if rule is not None and (touched or any(map(_has_complex, equation.programs))):
                operands, changed = rule(equation, values)
                return _paired(self.trace.emit(primitive, operands, changed), types)
        if not touched:
            found = self.trace.emit(primitive, values, params)
            return found if primitive.multiple_results else [found]
        if primitive.split is not None:
            return [primitive.split(*values, **params)]
        if isinstance(primitive.lower, View | Alias | Pieces):
            parts = ([v[k] if isinstance(v, Pair) else v for v in values] for k in (0, 1))
            return [Pair(*[self.trace.emit(primitive, part, params) for part in parts])]
        if isinstance(primitive.lower, Kernel) and primitive.lower.interleaved:
            return self._kernel(equation)
        where = f" (at {equation.source})" if equation.source else ""
        raise LoweringError(
            f"{primitive.name} of complex numbers has no machine code{where}: compute it outside of jit, or write it "
            "with the real and the imaginary part, z.real and z.imag"
        )

    def _kernel(self, equation: Equation) -> list[Any]:
        params = {
            "of": equation.primitive,
            "operands": tuple(atom.type.is_complex for atom in equation.inputs),
            "params": tuple(sorted(equation.params.items())),
        }
        found = self.trace.emit(interleaved, [self.interleaved(atom) for atom in equation.inputs], params)
        complexes = [(var, y) for var, y in zip(equation.outputs, found, strict=True) if var.type.is_complex]
        self.memory.update(complexes)
        return [_deinterleave(y) if var.type.is_complex else y for y, var in zip(found, equation.outputs, strict=True)]


# -- loops and branches -------------------------------------------------------------------------------------------

Rewritten = tuple[list[Any], dict[str, Any]]
"""Operands and parameters of a loop or branch over parts."""


def _scan(equation: Equation, values: Sequence[Any]) -> Rewritten:
    params = dict(equation.params)
    parts = groups(values, params["length"] is None, params["consts"], params["carries"])
    sizes = {"consts": len(_flat(parts.consts)), "carries": len(_flat(parts.carry))}
    return _flat(values), {**params, "body": _body(params["body"]), **sizes}


def _while(equation: Equation, values: Sequence[Any]) -> Rewritten:
    params = dict(equation.params)
    tests = params["cond_consts"]
    sizes = {
        "cond_consts": len(_flat(values[:tests])),
        "body_consts": len(_flat(values[tests : tests + params["body_consts"]])),
    }
    return _flat(values), {**params, "cond": _body(params["cond"]), "body": _body(params["body"]), **sizes}


def _switch(equation: Equation, values: Sequence[Any]) -> Rewritten:
    return _flat(values), {"branches": tuple(map(_body, equation.params["branches"]))}


_CONTROL: dict[Any, Callable[[Equation, Sequence[Any]], Rewritten]] = {SCAN: _scan, WHILE: _while, SWITCH: _switch}


def _sweep(equation: Equation, values: Sequence[Any]) -> Rewritten:
    """A run of a checkpointed loop: what lies in its cache keeps its place, first all real parts, then the others."""
    params = dict(equation.params)
    layout, advance = params["layout"], params["advance"]
    if equation.primitive is RUN_FORWARD:
        forward = forward_operands(values, params)
        sized = [forward.cond, forward.consts, forward.tape_consts, forward.carry]
        carry = advance.input_types[len(forward.consts) :]
        states = [carry[k] for k in params["state"]]
        numbers = _expanded([type.is_complex for type in carry])
        params["state"] = tuple([n for k in params["state"] for n in numbers[k]])
        kept = [ArrayType((), np.dtype("uint8"))] * len(layout.residuals)  # what is not written here does not matter
        if params["tape"] is not None:
            for k, type in zip(params["written"], params["tape"].output_types[len(advance.outputs) :], strict=True):
                kept[k] = type
    else:
        backward = backward_operands(values, params)
        sized = [backward.consts, backward.tape_consts, backward.state]
        sized += [backward.xs, backward.back_consts, backward.back_carry]
        start = len(backward.consts)
        states = advance.input_types[start : start + len(backward.state)]
        kept = params["adjoint"].input_types[len(params["adjoint"].inputs) - len(layout.residuals) :]
    numbers = _expanded([type.is_complex for type in kept])
    params["written"] = tuple([n for k in params["written"] for n in numbers[k]])
    params["sizes"] = tuple([len(_flat(group)) for group in sized])
    params["layout"] = replace(layout, residuals=_halved(layout.residuals, kept), states=_halved(layout.states, states))
    for name in ("cond", "advance", "tape", "adjoint"):
        if isinstance(params.get(name), Program):
            params[name] = _body(params[name])
    return _flat(values), params


def _expanded(pairs: Sequence[bool]) -> list[tuple[int, ...]]:
    """For each value the numbers of its parts among all parts."""
    numbers: list[tuple[int, ...]] = []
    count = 0
    for flag in pairs:
        numbers.append((count, count + 1) if flag else (count,))
        count += 1 + flag
    return numbers


def _halved(offsets: Sequence[int], types: Sequence[ArrayType]) -> tuple[int, ...]:
    found: list[int] = []
    for offset, type in zip(offsets, types, strict=True):
        found.append(offset)
        if type.is_complex:
            found.append(offset + type.size * type.real.dtype.itemsize)
    return tuple(found)
