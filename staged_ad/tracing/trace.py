"""Tracing: running a Python function once on tracers, which records its program.

Invariant: a trace has a tag greater than that of every trace opened before it; an operation is recorded
in the operand trace with the greatest tag, and operands of older traces become extra inputs there
(captures). So a derivative with respect to a trace's inputs can never confuse perturbations.
Start at ``bind``, then ``Trace``; the operators of tracers come from ``staged_ad/numpy`` by ``protocol.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np

from staged_ad.errors import LeakedTracerError
from staged_ad.ir import ArrayType, Atom, Equation, Literal, Primitive, Program, Source, Var, type_of
from staged_ad.ir.evaluate import evaluate
from staged_ad.tracing.protocol import ArrayProtocol
from staged_ad.tracing.snapshots import literal_of
from staged_ad.tracing.source import location, user_source

_tags = count(1)


class Tracer(ArrayProtocol):
    """Stands for an array while a function is traced."""

    __slots__ = ("atom", "source", "trace")

    def __init__(self, trace: Trace, atom: Atom, source: Source | None = None) -> None:
        self.trace = trace
        self.atom = atom
        self.source = source

    @property
    def type(self) -> ArrayType:
        return self.atom.type

    @property
    def shape(self) -> tuple[int, ...]:
        return self.atom.type.shape

    @property
    def ndim(self) -> int:
        return len(self.atom.type.shape)

    @property
    def size(self) -> int:
        return self.atom.type.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.atom.type.dtype

    def __repr__(self) -> str:
        return f"Tracer<{self.type}>"


class Trace:
    """Records equations. `source` is given by transforms; without it each equation finds the user's line."""

    def __init__(self) -> None:
        self.tag = next(_tags)
        self.open = True
        self.inputs: list[Var] = []
        self.equations: list[Equation] = []
        self.captured: dict[Var, tuple[Tracer, Var]] = {}
        self.source: Source | None = None
        self.rewriting = False

    def add_input(self, type: ArrayType) -> Tracer:
        var = Var(type)
        self.inputs.append(var)
        return Tracer(self, var)

    def add_inputs(self, types: Iterable[ArrayType]) -> list[Tracer]:
        return [self.add_input(type) for type in types]

    def constant(self, literal: Literal) -> Tracer:
        """A literal as a value with operators."""
        return Tracer(self, literal)

    def atom_of(self, value: Any) -> Atom:
        """The atom of this trace that stands for `value`: its own, a captured one, or a literal."""
        if isinstance(value, Tracer):
            if value.trace is self:
                return value.atom
            _check_open(value)
            if isinstance(value.atom, Literal):
                return value.atom
            known = self.captured.get(value.atom)
            if known is None:
                known = self.captured[value.atom] = (value, Var(value.type))
            return known[1]
        return literal_of(value)

    def emit(self, primitive: Primitive, values: Sequence[Any], params: dict[str, Any]) -> Any:
        """Record one equation; returns a tracer, or a list of them where the primitive has several results."""
        atom_of = self.atom_of
        atoms = tuple([atom_of(value) for value in values])
        result = primitive.abstract_eval(*[atom.type for atom in atoms], **params)
        source = self.source if self.rewriting else user_source()
        if primitive.multiple_results:
            outputs = tuple([Var(type) for type in result])
            self.equations.append(Equation(primitive, atoms, params, outputs, source))
            return [Tracer(self, var, source) for var in outputs]
        output = Var(result)
        self.equations.append(Equation(primitive, atoms, params, (output,), source))
        return Tracer(self, output, source)

    def finish(self, outputs: Iterable[Any], name: str = "f") -> tuple[Program, list[Tracer]]:
        """Close the trace: the program, its captures as first inputs, and the tracers captured."""
        atoms = tuple([self.atom_of(value) for value in outputs])
        self.open = False
        tracers = [tracer for tracer, _ in self.captured.values()]
        captures = [var for _, var in self.captured.values()]
        return Program((*captures, *self.inputs), tuple(self.equations), atoms, name), tracers


def _check_open(tracer: Tracer) -> None:
    if not tracer.trace.open:
        raise LeakedTracerError(
            f"a traced value of type {tracer.type}, made at {location(tracer.source)}, was used after the traced "
            "function had returned. Return the value from the function instead of keeping it in a global, a list or "
            "an attribute"
        )


def innermost(values: Iterable[Any]) -> Trace | None:
    """The open trace with the greatest tag among the tracers in `values`."""
    found: Trace | None = None
    for value in values:
        if isinstance(value, Tracer):
            _check_open(value)
            if found is None or value.trace.tag > found.tag:
                found = value.trace
    return found


def bind(primitive: Primitive, *values: Any, **params: Any) -> Any:
    """Apply a primitive: recorded where an operand is a tracer, else evaluated with NumPy."""
    trace = innermost(values)
    if trace is not None:
        return trace.emit(primitive, values, params)
    arrays = [value.array if isinstance(value, Literal) else value for value in values]
    primitive.abstract_eval(*map(type_of, arrays), **params)
    with np.errstate(all="ignore"):
        return primitive.evaluate(*arrays, **params)


def run(program: Program, values: Sequence[Any]) -> list[Any]:
    """The outputs of `program` at `values`: evaluated, or inlined into the innermost trace among them."""
    trace = innermost(values)
    if trace is None:
        return evaluate(program, *[value.array if isinstance(value, Literal) else value for value in values])
    return inline(trace, program, values)


def inline(trace: Trace, program: Program, values: Sequence[Any]) -> list[Any]:
    """Record the equations of `program`, applied to `values`, in `trace`; returns tracers."""
    environment: dict[Var, Any] = dict(zip(program.inputs, values, strict=True))

    def read(atom: Atom) -> Any:
        return environment[atom] if isinstance(atom, Var) else atom

    with rewriting(trace):
        for equation in program.equations:
            if equation.source is not None:
                trace.source = equation.source
            result = trace.emit(equation.primitive, [read(atom) for atom in equation.inputs], dict(equation.params))
            results = result if equation.primitive.multiple_results else [result]
            environment.update(zip(equation.outputs, results, strict=True))
        outputs = [read(atom) for atom in program.outputs]
    return [trace.constant(value) if isinstance(value, Literal) else value for value in outputs]


@contextmanager
def rewriting(trace: Trace):  # type: ignore[no-untyped-def]  # a generator-based context manager
    """Within it, equations recorded in `trace` carry `trace.source` instead of the current Python line."""
    before = trace.rewriting, trace.source
    trace.rewriting = True
    try:
        yield trace
    finally:
        trace.rewriting, trace.source = before


@contextmanager
def building():  # type: ignore[no-untyped-def]  # a generator-based context manager
    """A fresh trace for a transform to write its program into."""
    trace = Trace()
    trace.rewriting = True
    try:
        yield trace
    finally:
        trace.open = False


def trace_flat(f: Callable[..., Sequence[Any]], types: Sequence[ArrayType], name: str) -> tuple[Program, list[Tracer]]:
    """Trace `f`, which takes and returns a flat list of arrays; captures come first among the inputs."""
    trace = Trace()
    try:
        outputs = f(*trace.add_inputs(types))
        return trace.finish(outputs, name)
    finally:
        trace.open = False
