"""Tracing: running a Python function once on tracers, which records its program.

Invariant: a trace has a tag greater than that of every trace opened before it; an operation is recorded
in the operand trace with the greatest tag, and operands of older traces become extra inputs there
(captures). So a derivative with respect to a trace's inputs can never confuse perturbations.
Start at ``bind``, then ``Trace``; the operators of tracers come from ``staged_ad/numpy`` by ``protocol.py``, and what
``if`` reads of a tracer from ``Trace.concretize``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import numpy as np

from staged_ad.errors import ConcretizationError, StagedADError
from staged_ad.ir import ArrayType, Atom, Equation, Literal, Primitive, Program, Source, Stack, Var, type_of
from staged_ad.ir.evaluate import evaluate
from staged_ad.ir.types import FLOAT16, FLOAT32
from staged_ad.tracing.creation import creating
from staged_ad.tracing.guards import Guard, guard
from staged_ad.tracing.halves import in_single, read
from staged_ad.tracing.hidden import hidden_in
from staged_ad.tracing.records import missing_attribute
from staged_ad.tracing.snapshots import literal_of
from staged_ad.tracing.source import user_source
from staged_ad.tracing.tracer import OPEN, Tracer, check_open

_tags = count(1)


class Trace:
    """Records equations. `source` is given by transforms; without it each equation finds the user's line.

    meanings
        What variables stand for: an array, or a tracer of an older trace. Without an entry a variable that no equation
        defines has no single value: it is mapped, or changes from one iteration of a loop to the next.
    guards
        What Python read of arrays that later runs replace by others, and the equations ``guard`` check; None where
        the arrays are all that the program will ever run on. The first answers are `forced`.
    pinned
        Whether Python read a value that no guard of this trace checks: the program holds for that value alone.
    device
        What the program will run on; None is the processor.
    """

    def __init__(self, guarded: bool = False, forced: Sequence[bool | int] = (), device: str | None = None) -> None:
        self.tag = next(_tags)
        self.open = True
        self.inputs: list[Var] = []
        self.equations: list[Equation] = []
        self.captured: dict[Var, tuple[Tracer, Var]] = {}
        self.source: Source | None = None
        self.rewriting = False
        self.staged = False
        self.meanings: dict[Var, Any] = {}
        self.guards: list[Guard] | None = [] if guarded else None
        self.pinned = False
        self.device = device
        self._forced = forced
        self._read: dict[tuple[Var, type], bool | int] = {}
        self._makers: dict[Var, int] = {}
        self._indexed = 0  # equations whose outputs stand there

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
            if value.owner is self:
                return value.atom
            check_open(value)
            if isinstance(value.atom, Literal):
                return value.atom
            known = self.captured.get(value.atom)
            if known is None:
                known = self.captured[value.atom] = (value.handle(), Var(value.type))
                self.meanings[known[1]] = known[0]
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

    def concretize(self, tracer: Tracer, kind: type[bool] | type[int]) -> bool | int | None:
        """What Python reads of a tracer of this trace; None where it has no single value."""
        check_open(tracer)
        atom = tracer.atom
        if isinstance(atom, Literal):
            return _number(atom.value, kind)
        self.pinned = self.pinned or self.guards is None
        for trace in OPEN.get():
            trace.pinned = trace.pinned or trace.tag > self.tag
        known = self._read.get((atom, kind))
        if known is not None:
            return known
        meaning = self._meaning(atom)
        if meaning is None:
            return None
        if isinstance(meaning, Tracer):
            number = meaning.owner.concretize(meaning, kind)
        elif self.guards is None:
            number = _number(meaning, kind)
        else:
            number = self._guarded(tracer, kind, meaning)
        if number is not None:
            self._read[atom, kind] = number
        return number

    def _guarded(self, tracer: Tracer, kind: type[bool] | type[int], meaning: Any) -> bool | int:
        guards: Any = self.guards
        position = len(guards)
        number = self._forced[position] if position < len(self._forced) else _number(meaning, kind)
        if not -(2**63) <= number < 2**63:
            raise ConcretizationError(f"int() of a traced value: {number} does not fit into int64")
        within = OPEN.get()
        opened = OPEN.set(within[: within.index(self) + 1])  # else the body of a loop that asks would record it
        try:
            operand = _read_as(tracer, kind)
        finally:
            OPEN.reset(opened)
        guards.append(Guard(number, user_source()))
        self.emit(guard, [operand], {"expected": number, "number": position})
        return number

    def _meaning(self, atom: Var) -> Any:
        """What `atom` stands for, computed from what it depends on: each equation once in the life of the trace."""
        meanings, makers = self.meanings, self._positions()
        pending, needed = [atom], set[int]()
        while pending:
            var = pending.pop()
            if var in meanings:
                if callable(meanings[var]):
                    meanings[var] = meanings[var]()
                continue
            maker = makers.get(var)
            if maker is None:
                return None
            if maker not in needed:
                needed.add(maker)
                pending += [atom for atom in self.equations[maker].inputs if isinstance(atom, Var)]
        for position in sorted(needed):
            equation = self.equations[position]
            values = [meanings[atom] if isinstance(atom, Var) else atom for atom in equation.inputs]
            result = _replay(equation, values)
            meanings.update(
                zip(equation.outputs, result if equation.primitive.multiple_results else [result], strict=True)
            )
        return meanings[atom]

    def _positions(self) -> dict[Var, int]:
        """The position of the equation that defines a variable, by variable."""
        for position in range(self._indexed, len(self.equations)):
            self._makers.update(dict.fromkeys(self.equations[position].outputs, position))
        self._indexed = len(self.equations)
        return self._makers

    def equation_of(self, var: Var) -> Equation | None:
        """The equation that defines `var`; None for inputs."""
        position = self._positions().get(var)
        return None if position is None else self.equations[position]

    def close(self) -> None:
        self.open = False
        self.meanings.clear()  # a compiled function keeps its captures, and they their traces
        self._read.clear()

    def finish(self, outputs: Iterable[Any], name: str = "f") -> tuple[Program, list[Tracer]]:
        """Close the trace: the program, its captures as first inputs, and the tracers captured."""
        atoms = tuple([self.atom_of(value) for value in outputs])
        self.close()
        tracers = [tracer for tracer, _ in self.captured.values()]
        captures = [var for _, var in self.captured.values()]
        return Program((*captures, *self.inputs), tuple(self.equations), atoms, name), tracers


def _read_as(tracer: Any, kind: type[bool] | type[int]) -> Any:
    """The number of which a guard says that it is the same again."""
    operand = tracer.reshape(()) if tracer.shape else tracer
    if kind is bool:
        return operand if tracer.dtype == np.bool_ else operand != 0
    if tracer.dtype.kind == "f":  # NaN and what does not fit must not pass for a number
        operand = operand.astype(FLOAT32) if tracer.dtype == FLOAT16 else operand
        operand = np.where(abs(operand) < 2.0**63, operand, -(2.0**63))
    return operand.astype(np.int64)


def _number(value: Any, kind: type[bool] | type[int]) -> bool | int:
    return kind(np.asarray(value).reshape(-1)[0])


def _replay(equation: Equation, values: Sequence[Any]) -> Any:
    """The equation at other values: evaluated, or recorded in the innermost trace among them with its own source."""
    trace = innermost(values)
    if trace is None:
        return bind(equation.primitive, *values, **equation.params)
    with rewriting(trace):
        trace.source = equation.source
        return trace.emit(equation.primitive, values, dict(equation.params))


def innermost(values: Iterable[Any]) -> Trace | None:
    """The open trace with the greatest tag among the tracers in `values`."""
    found: Trace | None = None
    for value in values:
        if isinstance(value, Tracer):
            check_open(value)
            if not value.owner.open and isinstance(value.atom, Literal):  # a constant that outlived its function
                continue
            if found is None or value.owner.tag > found.tag:
                found = value.owner
    return found


def traced_constant(literal: Literal) -> Any:
    """A constant with the operators of traced values, where a function is being traced; else its array."""
    opened = OPEN.get()
    return opened[-1].constant(literal) if opened else np.array(literal.array)[()]


def tracing_here() -> bool:
    """Whether this thread is tracing a function."""
    return bool(OPEN.get())


def compiling() -> bool:
    """Whether what is traced now will be machine code: a trace of `jit` is open."""
    return any(trace.guards is not None for trace in OPEN.get())


def on_device() -> bool:
    """Whether what is traced now will run on another device than the processor."""
    return any(trace.device is not None for trace in OPEN.get())


def _recorder(values: Iterable[Any]) -> Trace | None:
    """Where an operation on `values` is recorded: in the body of a loop or branch also what does not depend on it."""
    found = innermost(values)
    if found is not None:
        for trace in reversed(OPEN.get()):
            if trace.staged and trace.tag > found.tag:
                return trace
    return found


def bind(primitive: Primitive, *values: Any, **params: Any) -> Any:
    """Apply a primitive: recorded where an operand is a tracer, else evaluated with NumPy.

    Operations compute with float16 as NumPy's do: in float32, and what is float16 of the result is rounded once.
    """
    if primitive.lower.computes:
        for value in values:
            if getattr(value, "dtype", None) is FLOAT16:
                return in_single(bind, primitive, values, params)
    trace = _recorder(values)
    if trace is not None:
        known = None if trace.rewriting else _known(primitive, values)
        if known is not None:
            with suppress(StagedADError, ValueError, IndexError):  # it may stand in a branch that is not taken
                return _folded(trace, primitive, known, params)
        return trace.emit(primitive, values, params)
    arrays = [value.array if isinstance(value, Literal | Tracer) else value for value in values]
    primitive.abstract_eval(*[a.type if isinstance(a, Stack) else type_of(a) for a in arrays], **params)
    with np.errstate(all="ignore"):
        return primitive.evaluate(*arrays, **params)


def _known(primitive: Primitive, values: Sequence[Any]) -> list[Literal] | None:
    """The operands, where none of them depends on an argument of a traced function."""
    if primitive.multiple_results or not values:
        return None
    literals = []
    for value in values:
        atom = value.atom if isinstance(value, Tracer) else value
        if isinstance(atom, Var | Stack):
            return None
        literals.append(literal_of(atom))
    return literals


def _folded(trace: Trace, primitive: Primitive, literals: Sequence[Literal], params: dict[str, Any]) -> Tracer:
    """What NumPy computes from constants, as a constant."""
    type = primitive.abstract_eval(*[literal.type for literal in literals], **params)
    with np.errstate(all="ignore"):
        result = np.asarray(primitive.evaluate(*[literal.array for literal in literals], **params), type.dtype)
    if result.size and not any(result.strides):  # all of its elements are one
        return trace.constant(Literal(result.flat[0], type))
    result = np.array(result)
    result.flags.writeable = False
    return trace.constant(Literal(result, type))


def run(program: Program, values: Sequence[Any]) -> list[Any]:
    """The outputs of `program` at `values`: evaluated, or recorded as `bind` does."""
    trace = _recorder(values)
    if trace is None:
        return evaluate(program, *[value.array if isinstance(value, Literal | Tracer) else value for value in values])
    return inline(trace, program, values)


def inline(trace: Trace, program: Program, values: Sequence[Any]) -> list[Any]:
    """Record the equations of `program`, applied to `values`, in `trace`; returns tracers, none of them a value."""
    operands = [value if isinstance(value, Tracer) else literal_of(value) for value in values]
    given = dict(zip(program.inputs, operands, strict=True))
    same = all(value.type == var.type for var, value in given.items())
    outputs = (_copied if same else _emitted)(trace, program, given)
    return [trace.constant(value) if isinstance(value, Literal) else unshared(value) for value in outputs]


def _copied(trace: Trace, program: Program, given: dict[Var, Any]) -> list[Any]:
    """The outputs for values of the types of the inputs: all other types are those of the program, too."""

    def copy(atom: Atom) -> Atom:
        found = atoms.get(atom)
        if found is None:
            found = atoms[atom] = trace.atom_of(given[atom]) if isinstance(atom, Var) else atom
        return found

    atoms, places, source = dict[Atom, Atom](), dict[Atom, Source | None](), trace.source
    for primitive, inputs, params, outputs, place in program.equations:
        source = place or source
        new = tuple([Var(var.type) for var in outputs])
        trace.equations.append(Equation(primitive, tuple([copy(atom) for atom in inputs]), params, new, source))
        for var, made in zip(outputs, new, strict=True):
            atoms[var], places[var] = made, source
    return [given[atom] if atom in given else Tracer(trace, copy(atom), places.get(atom)) for atom in program.outputs]


def _emitted(trace: Trace, program: Program, given: dict[Var, Any]) -> list[Any]:
    """The outputs for values of other types, a Python number in place of an array for one."""

    def read(atom: Atom) -> Any:
        return given[atom] if isinstance(atom, Var) else atom

    with rewriting(trace):
        for equation in program.equations:
            if equation.source is not None:
                trace.source = equation.source
            result = trace.emit(equation.primitive, [read(atom) for atom in equation.inputs], dict(equation.params))
            results = result if equation.primitive.multiple_results else [result]
            given.update(zip(equation.outputs, results, strict=True))
        return [read(atom) for atom in program.outputs]


def unshared(value: Any) -> Any:
    """Of a tracer another one with its value: what is then written to one of them does not change the other."""
    return value.handle() if isinstance(value, Tracer) else value


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


def trace_flat(
    f: Callable[..., Sequence[Any]],
    types: Sequence[ArrayType],
    name: str,
    meanings: Sequence[Any] = (),
    trace: Trace | None = None,
    staged: bool = False,
    lent: bool = True,
    captured: Sequence[Tracer] = (),
) -> tuple[Program, list[Tracer]]:
    """Trace `f`, which takes and returns a flat list of arrays; captures come first among the inputs.

    `meanings` are what the arguments stand for: arrays or tracers, or functions that fetch an array where Python reads
    of it; None, or their lack, for arguments that have no single value. `trace`, where given, is a fresh one to record
    in. With `staged`, for the body of a loop or branch, all that `f` does is recorded here, so that it happens in this
    body only. Arguments that are `lent` belong to the caller: `f` may not change them in place. Tracers in `captured`
    are the first captures, used or not, also when their traces have been closed.
    """
    trace = trace or Trace()
    trace.staged = staged
    trace.captured.update((tracer.atom, (tracer, Var(tracer.type))) for tracer in captured)  # type: ignore[misc]  # no literals
    opened = OPEN.set((*OPEN.get(), trace))
    try:
        tracers = [read(bind, tracer) for tracer in trace.add_inputs(types)]
        if lent:
            for tracer in tracers:
                tracer.home = None
        for var, meaning in zip(trace.inputs, meanings, strict=False):
            if meaning is not None:
                known = isinstance(meaning, Tracer) or callable(meaning)
                trace.meanings[var] = meaning if known else np.asarray(meaning, var.type.dtype)
        with creating(f, tracing_here):
            outputs = f(*tracers)
        return trace.finish(outputs, name)
    except AttributeError as error:
        if note := missing_attribute(error):
            error.add_note(note)
        raise
    except (TypeError, ValueError, SystemError) as error:
        hidden = hidden_in(error)
        if hidden is None:
            raise
        raise hidden from None
    finally:
        trace.close()
        OPEN.reset(opened)
