"""forward: what was written into an array is read from where it came; arrays made element by element are put together.

For code like ``y[i] = f(y[i - 1])`` with numbers for i: a slice of an updated array is what was written there, or a
slice of the array before. A chain of updates that nothing reads in between is one concatenation.

Invariant: values are unchanged, save that -0.0 plus the zero of a pad was 0.0.
Start at ``forward``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from staged_ad.ir import Atom, Equation, Literal, Primitive, Program, Source, Var
from staged_ad.ir.rewriting import Substitution
from staged_ad.ir.types import Shape
from staged_ad.passes.dce import dce
from staged_ad.primitives.indexing import update
from staged_ad.primitives.makers import add
from staged_ad.primitives.shaping import _pad, _reshape, concatenate, slice_

FEWEST = 3
"""Updates from which a chain becomes a concatenation."""
GAPS = 4
"""Elements per update that the concatenation may have to copy from the array before."""
SMALL_PART = 4
"""A padded piece that is added becomes an update where it is at most this part of the array."""


@dataclass(frozen=True, slots=True)
class _Block:
    """What was written: `value` at ``start::step``."""

    start: tuple[int, ...]
    step: tuple[int, ...]
    value: Atom

    @property
    def shape(self) -> Shape:
        return self.value.type.shape

    def within(self, start: tuple[int, ...], shape: Shape, step: tuple[int, ...]) -> tuple[int, ...] | None:
        """Where a region that does not stick out of this one begins in `value`; its steps are multiples."""
        found = []
        for a, n, s, b, m, t in zip(self.start, self.shape, self.step, start, shape, step, strict=True):
            first, rest = divmod(b - a, s)
            if rest or first < 0 or (m > 1 and t % s) or first + (m - 1) * (t // s if m > 1 else 0) >= n:
                return None
            found.append(first)
        return tuple(found)

    def apart(self, start: tuple[int, ...], shape: Shape, step: tuple[int, ...]) -> bool:
        """Whether a region surely has no element in common with this one."""
        for a, n, s, b, m, t in zip(self.start, self.shape, self.step, start, shape, step, strict=True):
            if b > a + (n - 1) * s or a > b + (m - 1) * t:
                return True
            if (m == 1 and (b - a) % s) or (n == 1 and (a - b) % t) or (s == t and (b - a) % s):
                return True
        return False


@dataclass(frozen=True, slots=True)
class _Chain:
    """`base` with blocks written into it that do not overlap; those of one element are in `points`."""

    base: Atom
    points: dict[tuple[int, ...], _Block] = field(default_factory=dict)
    blocks: tuple[_Block, ...] = ()

    def written(self, block: _Block) -> _Chain | None:
        """The chain with one more block, in the place of one at the same place; None where it overlaps others."""
        point = math.prod(block.shape) == 1
        region = (block.start, block.shape, block.step)
        same = [b for b in self.blocks if (b.start, b.shape, b.step) == region]
        if not all(b.apart(*region) for b in self.blocks if b not in same):
            return None
        if point:
            return _Chain(self.base, {**self.points, block.start: block}, self.blocks)
        if not all(b.apart(*region) for b in self.points.values()):
            return None
        return _Chain(self.base, self.points, (*(b for b in self.blocks if b not in same), block))


def forward(program: Program) -> Program:
    if not any(equation.primitive is update.primitive for equation in program.equations):
        return program
    forwarding = _Forwarding(program)
    return _joined(dce(forwarding.run()), forwarding.chains)


class _Forwarding:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.names = Substitution()
        self.chains: dict[Atom, _Chain] = {}
        self.made: dict[Atom, Equation] = {}
        self.equations: list[Equation] = []

    def run(self) -> Program:
        for equation in self.program.equations:
            equation = equation.with_inputs(self.names.atoms(equation.inputs))
            if equation.primitive is add.primitive:
                equation = self._added(equation)
            if equation.primitive is update.primitive:
                x, u = equation.inputs
                if not u.type.size:
                    self.names[equation.outputs[0]] = x
                    continue
                self._written(equation)
            if equation.primitive is slice_.primitive:
                (x,), params = equation.inputs, equation.params
                shape = equation.outputs[0].type.shape
                found = self._read(x, params["start"], shape, params["step"], equation.source)
                if found is not None:
                    self.names[equation.outputs[0]] = found
                    continue
            self.made.update(dict.fromkeys(equation.outputs, equation))
            self.equations.append(equation)
        outputs = self.names.atoms(self.program.outputs)
        return Program(self.program.inputs, tuple(self.equations), outputs, self.program.name)

    def _written(self, equation: Equation) -> None:
        x, u = equation.inputs
        block = _Block(equation.params["start"], equation.params["step"], u)
        chain = self.chains.get(x, _Chain(x)).written(block) or _Chain(x).written(block)
        assert chain is not None
        self.chains[equation.outputs[0]] = chain

    def _added(self, equation: Equation) -> Equation:
        """A sum of an updated array and a small padded piece adds there alone."""
        for x, piece in (equation.inputs, equation.inputs[::-1]):
            pad = self.made.get(piece)
            if x not in self.chains or pad is None or pad.primitive is not _pad.primitive:
                continue
            (value,), low = pad.inputs, pad.params["low"]
            if not 0 < value.type.size * SMALL_PART <= x.type.size:
                continue
            ones = (1,) * len(low)
            old = self._read(x, low, value.type.shape, ones, equation.source) or self._slice(
                x, low, value.type.shape, ones, equation.source
            )
            new = self._emit(add.primitive, (old, value), {}, equation.source)
            return Equation(update.primitive, (x, new), {"start": low, "step": ones}, equation.outputs, equation.source)
        return equation

    def _read(
        self, x: Atom, start: tuple[int, ...], shape: Shape, step: tuple[int, ...], source: Source | None
    ) -> Atom | None:
        """The elements of an updated array, without it; None where they come from several places."""
        if x not in self.chains or 0 in shape:
            return None
        while x in self.chains:
            chain = self.chains[x]
            point = chain.points.get(start) if math.prod(shape) == 1 else None
            if point is not None:
                return point.value
            others = chain.blocks if math.prod(shape) == 1 else (*chain.blocks, *chain.points.values())
            for block in others:
                if block.apart(start, shape, step):
                    continue
                first = block.within(start, shape, step)
                if first is None:
                    return None
                own = tuple(max(1, t // s) for t, s in zip(step, block.step, strict=True))
                return self._slice(block.value, first, shape, own, source)
            x = chain.base
        return self._slice(x, start, shape, step, source)

    def _slice(
        self, x: Atom, start: tuple[int, ...], shape: Shape, step: tuple[int, ...], source: Source | None
    ) -> Atom:
        if x.type.shape == shape:
            return x
        if isinstance(x, Literal) and x.is_splat:
            return Literal(x.value, x.type.strong().with_shape(shape))
        stop = tuple(a + (n - 1) * s + 1 for a, n, s in zip(start, shape, step, strict=True))
        return self._emit(slice_.primitive, (x,), {"start": start, "stop": stop, "step": step}, source)

    def _emit(
        self, primitive: Primitive, inputs: tuple[Atom, ...], params: dict[str, Any], source: Source | None
    ) -> Var:
        result = Var(primitive.abstract_eval(*[atom.type for atom in inputs], **params))
        self.equations.append(Equation(primitive, inputs, params, (result,), source))
        self.made[result] = self.equations[-1]
        return result


# -- arrays made element by element -------------------------------------------------------------------------------


def _joined(program: Program, chains: dict[Atom, _Chain]) -> Program:
    """Chains of updates that only each other read, and that leave little of the array before, as concatenations."""
    uses = program.uses
    length: dict[Atom, int] = {}  # of the chain of updates that would vanish with this one
    inner: set[Atom] = set()
    for equation in program.equations:
        if equation.primitive is update.primitive:
            x = equation.inputs[0]
            alone = isinstance(x, Var) and uses[x] == 1
            length[equation.outputs[0]] = 1 + (length.get(x, 0) if alone else 0)
            if alone:
                inner.add(x)
    equations: list[Equation] = []
    for equation in program.equations:
        output = equation.outputs[0] if equation.outputs else None
        count = length.get(output, 0) if output is not None and output not in inner else 0
        parts = _parts(chains[output], output, count) if output is not None and count >= FEWEST else None
        if parts is None or output is None:
            equations.append(equation)
        else:
            equations += _concatenation(parts, chains[output].base, output, equation.source)
    return dce(Program(program.inputs, tuple(equations), program.outputs, program.name))


def _parts(chain: _Chain, output: Var, count: int) -> list[tuple[int, Atom]] | None:
    """Where each block begins in the flat array, in order; None where they do not lie one after another in it."""
    shape = output.type.shape
    found = []
    for block in (*chain.points.values(), *chain.blocks):
        if not _contiguous(block, shape):
            return None
        place = 0
        for k, n in zip(block.start, shape, strict=True):
            place = place * n + k
        found.append((place, block.value))
    if output.type.size - sum(value.type.size for _, value in found) > GAPS * count:
        return None
    return sorted(found, key=lambda part: part[0])


def _contiguous(block: _Block, shape: Shape) -> bool:
    long = [k for k, n in enumerate(block.shape) if n != 1]
    if not long:
        return True
    whole = all(n == m for n, m in zip(block.shape[long[0] + 1 :], shape[long[0] + 1 :], strict=True))
    return whole and all(block.step[k] == 1 for k in long)


def _concatenation(parts: Sequence[tuple[int, Atom]], base: Atom, output: Var, source: Source | None) -> list[Equation]:
    equations: list[Equation] = []

    def emit(primitive: Primitive, inputs: tuple[Atom, ...], params: dict[str, Any]) -> Var:
        result = Var(primitive.abstract_eval(*[atom.type for atom in inputs], **params))
        equations.append(Equation(primitive, inputs, params, (result,), source))
        return result

    def gap(start: int, stop: int) -> list[Atom]:
        """What stays of the array before."""
        if start == stop:
            return []
        if isinstance(base, Literal) and base.is_splat:
            return [Literal(base.value, base.type.strong().with_shape((stop - start,)))]
        flat = emit(_reshape.primitive, (base,), {"shape": (base.type.size,)})
        return [emit(slice_.primitive, (flat,), {"start": (start,), "stop": (stop,), "step": (1,)})]

    pieces: list[Atom] = []
    reached = 0
    for place, value in parts:
        pieces += gap(reached, place)
        pieces.append(emit(_reshape.primitive, (value,), {"shape": (value.type.size,)}))
        reached = place + value.type.size
    pieces += gap(reached, output.type.size)
    whole = emit(concatenate.primitive, tuple(pieces), {"axis": 0})
    return [*equations, Equation(_reshape.primitive, (whole,), {"shape": output.type.shape}, (output,), source)]
