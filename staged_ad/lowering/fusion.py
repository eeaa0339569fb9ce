"""Fusion: which values are stored, and which loop nest computes what.

A value is stored when it is an output, the result of a reduction, product or concatenation, or when computing it
anew for each of its readers would cost more than a store. All other values are expressions inside the nests of
their readers. Results with the same loops share a nest, unless one reads the other in another order.

Invariant: regions come in an order in which all they read is stored before.
Start at ``fuse``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from staged_ad.ir import Atom, Equation, Program, Var
from staged_ad.ir.lowerings import (
    Alias,
    ArgFold,
    Branch,
    Check,
    Entries,
    Fold,
    Gather,
    Kernel,
    Loop,
    Map,
    Outside,
    Overwrite,
    Pieces,
    Product,
    Sweep,
    View,
)
from staged_ad.lowering.costs import CHEAP, OFTEN, TRIVIAL, costs_of, fills_rows, grows, repeats
from staged_ad.lowering.domains import domain, product_domain
from staged_ad.lowering.expressions import Expressions
from staged_ad.lowering.indexing import splits_only
from staged_ad.lowering.matrices import matrix_product, wants_blas
from staged_ad.lowering.overwriting import beginning, harmless, is_long, overwrites, read_too_late, read_while_written
from staged_ad.lowering.regions import Copy, Nest, Opaque, Region

APART = 4096
"""Points from which an inline product has loops of its own: its best order is rarely that of stores over its domain."""

Uses = dict[Var, bool]
"""Stored values that an expression reads, and whether always at the very index it is computed at."""


@dataclass(slots=True)
class _Result:
    """One result before it has a nest: `value` over `domain` goes to `target`."""

    target: Var | None
    value: Atom | None
    domain: tuple[int, ...]
    reduced: frozenset[int]
    uses: Uses
    equation: Equation | None = None
    piece: int | None = None

    @property
    def alone(self) -> bool:
        """Whether it is a region of its own, in the order of the program."""
        if self.equation is None:
            return self.value is not None and self.value.type.ragged
        return is_opaque(self.equation) or wants_blas(self.equation) or self.overwrites

    @property
    def overwrites(self) -> bool:
        return self.equation is not None and overwrites(self.equation)

    @property
    def targets(self) -> tuple[Var, ...]:
        if self.target is None:
            assert self.equation is not None
            return self.equation.outputs
        return (self.target,)


def is_opaque(equation: Equation) -> bool:
    """Whether an equation has a region of its own that is no loop nest."""
    return isinstance(equation.primitive.lower, Loop | Branch | Sweep | Check | Entries | Kernel | Outside)


@dataclass(slots=True)
class Fused:
    """The regions of a program; `copies` are outputs that get an array of their own from another value."""

    program: Program
    regions: list[Region]
    stored: set[Var]
    copies: dict[int, Var] = field(default_factory=dict)


def fuse(program: Program) -> Fused:
    return _Fusion(program).run()


class _Fusion:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.definitions = {var: equation for equation in program.equations for var in equation.outputs}
        self.stored: set[Var] = set()
        self.copies: dict[int, Var] = {}
        self.uses: dict[Var, Uses] = {}

    def run(self) -> Fused:
        self._store_necessary()
        for _ in range(3):
            results = self._results()
            placed = self._placed(results)
            if not self._store_costly(placed):
                break
        else:
            placed = self._placed(self._results())
        regions = [region for group in placed for region in self._regions(group)]
        self._drop_unread(regions)
        return Fused(self.program, regions, self.stored, self.copies)

    def _drop_unread(self, regions: Sequence[Region]) -> None:
        """What only its own nest uses need not be stored after all."""
        needed: set[Atom] = {*self.program.outputs, *self.copies.values()}
        needed.update(atom for region in regions for atom in region.reads)
        for region in regions:
            if isinstance(region, Nest):
                region.stores = [store for store in region.stores if store.array in needed]

    # -- what is stored -----------------------------------------------------------------------------------------

    def _store_necessary(self) -> None:
        seen: set[Var] = set()
        for k, atom in enumerate(self.program.outputs):
            if isinstance(atom, Var) and atom in self.definitions and atom not in seen:
                self.stored.add(atom)
                seen.add(atom)
            else:  # an input, a literal, or an output that appears twice
                self.copies[k] = Var(atom.type)
        for equation in reversed(self.program.equations):
            if is_opaque(equation):
                self.stored.update(equation.outputs)
                for atom in equation.inputs:
                    self._store(atom)
                continue
            (output,) = equation.outputs
            match equation.primitive.lower:
                case Fold() | ArgFold() | Product() | Pieces():
                    self.stored.add(output)
                case Overwrite():
                    self.stored.add(output)
                    self._store(equation.inputs[0])
                case Alias() if not splits_only(output.type.shape, equation.inputs[0].type.shape):
                    self._store(equation.inputs[0])
                case _:
                    pass
            if wants_blas(equation):
                for atom in equation.inputs:
                    self._store(self._source(atom))
        for equation in self.program.equations:
            if overwrites(equation):
                clashing = list(read_while_written(equation, self.definitions, self.stored))
                if clashing and not self._may_overwrite(equation):
                    for atom in clashing:
                        self._store(atom)
        for var in read_too_late(self.program.equations, self.stored):
            self.stored.add(var)

    def _store(self, atom: Atom) -> None:
        if isinstance(atom, Var) and atom in self.definitions:
            self.stored.add(atom)

    def _source(self, atom: Atom) -> Atom:
        """What is read where `atom` is: reshapes need no copy."""
        while isinstance(atom, Var) and atom not in self.stored:
            equation = self.definitions.get(atom)
            if equation is None or not isinstance(equation.primitive.lower, Alias):
                break
            atom = equation.inputs[0]
        return atom

    def _store_costly(self, placed: list[list[_Result]]) -> bool:
        """Store expressions that several nests, or several indices of one, would compute; whether there were any."""
        costs = costs_of(self.program, self.stored)
        contexts: dict[Var, set[tuple[int, int]]] = {}
        added = False
        for number, group in enumerate(placed):
            for result in group:
                shift = self._shift(result)
                for atom in self._operands(result):
                    reading = {(number, shift)}
                    if self._multiplies(result, atom):
                        reading.add((number, hash((shift, 1))))
                        added |= self._kept(atom, costs)
                    elif self._spreads(result):
                        reading.add((number, hash((shift, 1))))
                    self._add(contexts, atom, reading)
        for equation in reversed(self.program.equations):
            if is_opaque(equation):
                continue
            (output,) = equation.outputs
            found = contexts.get(output)
            if not found or output in self.stored:
                continue
            lower = equation.primitive.lower
            costly = (costs[output] > CHEAP and len(found) > 1) or costs[output] * (len(found) - 1) > OFTEN
            if costly and not grows(equation):  # of a broadcast the operand, which is smaller
                self._store(self._source(output))
                added = True
                found = {(-1 - len(self.stored), 0)}
            if isinstance(lower, Map):
                below = found
            elif isinstance(lower, View | Alias | Gather):
                step = hash((equation.primitive.name, id(equation)))
                below = {(nest, hash((shift, step))) for nest, shift in found}
                if repeats(equation):
                    below |= {(nest, hash((shift, step, 1))) for nest, shift in found}
            else:
                continue
            for atom in equation.inputs:
                added |= fills_rows(equation) and self._kept(atom, costs)
                self._add(contexts, atom, below)
        return added

    def _kept(self, atom: Atom, costs: dict[Var, float]) -> bool:
        """Store an expression that is not trivial; whether it was none before."""
        if not isinstance(atom, Var) or atom in self.stored or costs.get(atom, 0) <= TRIVIAL:
            return False
        self._store(self._source(atom))
        return True

    def _add(self, contexts: dict[Var, set[tuple[int, int]]], atom: Atom, new: set[tuple[int, int]]) -> None:
        if isinstance(atom, Var) and atom in self.definitions and atom not in self.stored:
            contexts.setdefault(atom, set()).update(new)

    def _shift(self, result: _Result) -> int:
        """0 where operands are read at the very index of the loops."""
        if result.equation is None or not isinstance(result.equation.primitive.lower, Product):
            return 0
        return hash(result.target) or 1

    def _multiplies(self, result: _Result, atom: Atom) -> bool:
        """Whether an inline product reads each element of an operand more than once."""
        equation = result.equation
        if equation is None or not isinstance(equation.primitive.lower, Product):
            return False
        loops = 1
        for n in result.domain:
            loops *= n
        return loops > atom.type.size

    def _spreads(self, result: _Result) -> bool:
        """Whether a stored value is a broadcast that would compute its operand for each of its elements."""
        if result.equation is not None or result.value is not result.target or result.target is None:
            return False
        definition = self.definitions.get(result.target)
        views = View | Gather
        return definition is not None and isinstance(definition.primitive.lower, views) and repeats(definition)

    # -- results and their nests --------------------------------------------------------------------------------

    def _operands(self, result: _Result) -> Iterable[Atom]:
        if result.value is not None:
            value = result.value
            if isinstance(value, Var) and value in self.stored and value is result.target:
                return self.definitions[value].inputs
            return [value]
        assert result.equation is not None
        return result.equation.inputs

    def _reads(self, atom: Atom) -> Uses:
        if not isinstance(atom, Var) or atom not in self.definitions:
            return {}
        return {atom: True} if atom in self.stored else self.uses[atom]

    def _expression_uses(self, equation: Equation) -> Uses:
        exact = isinstance(equation.primitive.lower, Map)
        uses: Uses = {}
        for atom in equation.inputs:
            for var, same in self._reads(atom).items():
                uses[var] = uses.get(var, True) and same and exact
        return uses

    def _results(self) -> list[_Result]:
        self.uses = {}
        results: list[_Result] = []
        for equation in self.program.equations:
            if is_opaque(equation):
                apart = {atom: False for atom in equation.inputs if isinstance(atom, Var) and atom in self.stored}
                results.append(_Result(None, None, (), frozenset(), apart, equation))
                continue
            (output,) = equation.outputs
            match equation.primitive.lower:
                case Fold() | ArgFold():
                    (x,) = equation.inputs
                    axes = equation.params["axes"] if "axes" in equation.params else (equation.params["axis"],)
                    results.append(_Result(output, None, *domain(x.type.shape, axes), self._reads(x), equation))
                case Product():
                    apart = {var: False for atom in equation.inputs for var in self._product_reads(equation, atom)}
                    results.append(_Result(output, None, *product_domain(equation), apart, equation))
                case Overwrite():
                    apart = {var: False for atom in equation.inputs for var in self._reads(atom)}
                    results.append(_Result(output, None, *domain(equation.inputs[1].type.shape, ()), apart, equation))
                case Pieces():
                    for k, x in enumerate(equation.inputs):
                        loops, reduced = domain(x.type.shape, ())
                        results.append(_Result(output, None, loops, reduced, self._reads(x), equation, k))
                case _:
                    self.uses[output] = self._expression_uses(equation)
                    if output in self.stored:
                        loops, reduced = domain(output.type.shape, ())
                        results.append(_Result(output, output, loops, reduced, self.uses[output]))
        for k, target in self.copies.items():
            atom = self.program.outputs[k]
            loops, reduced = domain(atom.type.shape, ())
            results.append(_Result(target, atom, loops, reduced, self._reads(atom)))
        return results

    def _product_reads(self, equation: Equation, atom: Atom) -> Iterable[Var]:
        return self._reads(self._source(atom) if wants_blas(equation) else atom)

    def _placed(self, results: list[_Result]) -> list[list[_Result]]:
        """Results grouped into regions, in order: each joins the latest nest with its loops that it may join."""
        groups: list[list[_Result]] = []
        keys: list[object] = []
        ready: dict[Var, tuple[int, bool]] = {}  # region that completes a value; whether it stores it point by point
        for result in results:
            earliest = 0
            for var, same in result.uses.items():
                place, pointwise = ready[var]
                earliest = max(earliest, place if same and pointwise else place + 1)
            key = None if result.alone else (result.domain, result.reduced)
            found = self._find(groups, keys, result, earliest)
            place = len(groups) if found is None else found
            if found is None:
                groups.append([])
                keys.append(key)
            groups[place].append(result)
            if result.reduced:
                keys[place] = key
            pointwise = result.equation is None
            for target in result.targets:
                before = ready.get(target, (0, True))[0]
                ready[target] = max(place, before), pointwise
        return groups

    def _find(self, groups: list[list[_Result]], keys: list[object], result: _Result, earliest: int) -> int | None:
        if result.alone:
            return None
        for place in range(len(groups) - 1, earliest - 1, -1):
            key = keys[place]
            if not isinstance(key, tuple) or key[0] != result.domain:
                continue
            if result.reduced and key[1] and key[1] != result.reduced:
                continue
            if math.prod(result.domain) >= APART and _contracts(result) != any(map(_contracts, groups[place])):
                continue
            return place
        return None

    # -- regions ------------------------------------------------------------------------------------------------

    def _regions(self, group: list[_Result]) -> list[Region]:
        first = group[0]
        if first.equation is not None and first.overwrites:
            written = [self._overwriting(first.equation)] if first.equation.inputs[1].type.size else []
            return [beginning(first.equation), *written]
        return [self._region(group)]

    def _may_overwrite(self, equation: Equation) -> bool:
        """Whether what an overwriting equation writes can be computed where it is written, as far as one looks."""
        if is_long(equation, self.definitions, self.stored):
            return False
        return harmless(self._overwriting(equation), equation.inputs[0])

    def _overwriting(self, equation: Equation) -> Nest:
        nest = Nest(domain(equation.inputs[1].type.shape, ())[0], frozenset())
        nest.stores.append(Expressions(self.definitions, self.stored, set(), nest).overwriting(equation))
        return nest

    def _region(self, group: list[_Result]) -> Region:
        first = group[0]
        if first.equation is not None and is_opaque(first.equation):
            return Opaque(first.equation)
        if first.alone and first.equation is None:
            assert first.value is not None
            assert first.target is not None
            return Copy(first.value, first.target)
        if first.equation is not None and wants_blas(first.equation):
            a, b = (self._source(atom) for atom in first.equation.inputs)
            return matrix_product(first.equation, a, b)
        reduced = next((result.reduced for result in group if result.reduced), frozenset[int]())
        nest = Nest(first.domain, reduced)
        own = {result.target for result in group if result.equation is None and result.target is not None}
        expressions = Expressions(self.definitions, self.stored, own, nest)
        for result in group:
            self._add_result(nest, expressions, result)
        return nest

    def _add_result(self, nest: Nest, expressions: Expressions, result: _Result) -> None:
        equation, target = result.equation, result.target
        assert target is not None
        if equation is None:
            assert result.value is not None
            nest.stores.append(expressions.whole(result.value, target))
            return
        match equation.primitive.lower:
            case Pieces():
                assert result.piece is not None
                if equation.inputs[result.piece].type.size or not target.type.size:  # a kernel may read what is empty
                    nest.stores.append(expressions.piece(equation, result.piece))
            case Product():
                nest.reduces.append(expressions.product(equation))
            case _:
                nest.reduces.append(expressions.fold(equation))


def _contracts(result: _Result) -> bool:
    """Whether it is a matrix product that sums."""
    product = result.equation is not None and isinstance(result.equation.primitive.lower, Product)
    return product and bool(result.reduced)
