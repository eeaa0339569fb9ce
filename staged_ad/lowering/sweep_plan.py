"""Plans of sweeps: the places of the values of their programs, and the working memory of a run.

Invariant: each program has a scope of its own; they share temporaries' memory, since one runs at a time.
Start at ``SweepPlan``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from staged_ad.control.sweep_plan import Layout
from staged_ad.control.sweep_run import Backward, Forward, backward_operands, forward_operands
from staged_ad.ir import ArrayType, Atom, Literal, Program, Var
from staged_ad.lowering.regions import Opaque
from staged_ad.lowering.scope import Scope, aligned, in_place
from staged_ad.lowering.storage import ALIGNMENT, Place, nbytes

if TYPE_CHECKING:
    from staged_ad.lowering.blocks import Block


class SweepPlan:
    """A run forwards or backwards: its programs by name, their scopes, and where its working memory lies.

    With `stack`, numbers and little arrays that live in one iteration lie on the stack.
    """

    def __init__(self, region: Opaque, stack: bool) -> None:
        params: dict[str, Any] = dict(region.equation.params)
        names = [key for key, value in params.items() if isinstance(value, Program)]
        self.params = params
        self.blocks: dict[str, Block] = dict(zip(names, region.blocks, strict=True))
        self.scopes = {name: Scope(stack=stack) for name in names}
        self.stack = stack
        self.literals: list[Literal] = []
        self.layout: Layout = params["layout"]
        self.length: int | None = params["length"]
        self.backward = "adjoint" in params
        self.modes: list[str] = []
        self.overwrites = False
        """Whether the cache is nobody's after this run, which then uses it as its slots."""
        for scope in self.scopes.values():
            self.literals = scope.add_literals(region.blocks)
        atoms = region.equation.inputs
        self.parts: Forward | Backward
        if self.backward:
            self.parts = backward = backward_operands(atoms, params)
            self.state_types = [atom.type for atom in backward.state]
            self.stored = list(range(len(backward.state)))
            self._place_step("advance", len(backward.consts), len(backward.state))
            self._place_step("tape", len(backward.tape_consts), len(backward.state))
            self._place_adjoint(backward)
        else:
            self.parts = forward = forward_operands(atoms, params)
            self.state_types = [atom.type for atom in forward.carry]
            self.stored = list(params["state"])
            self._place_step("advance", len(forward.consts), len(forward.carry))
            if "tape" in self.blocks:
                self._place_step("tape", len(forward.tape_consts), len(forward.carry))
            if "cond" in self.blocks:
                self._place_test(len(forward.cond))
        for name, block in self.blocks.items():
            self.scopes[name].add_temporaries(block, f"{name}.temp")
        self.work = aligned(max(scope.work for scope in self.scopes.values()))

    # -- working memory: temporaries, two buffers for each state, two for each cotangent that takes turns, slots -----

    @property
    def turns(self) -> list[int]:
        """The cotangents that are not changed in place."""
        return [k for k, mode in enumerate(self.modes) if mode == "turns"]

    @property
    def back_types(self) -> list[ArrayType]:
        assert isinstance(self.parts, Backward)
        return [atom.type for atom in self.parts.back_carry]

    @property
    def pairs(self) -> dict[str, tuple[int, int]]:
        """Where the two buffers lie between which a state ``%cur0``, or a cotangent ``%back.cur0``, alternates."""
        types = {f"%cur{k}": type for k, type in enumerate(self.state_types)}
        types |= {f"%back.cur{k}": self.back_types[k] for k in self.turns}
        found, offset = {}, self.work
        for name, type in types.items():
            size = aligned(nbytes(type))
            found[name] = offset, offset + size
            offset += 2 * size
        return found

    @property
    def buffers(self) -> int:
        """Bytes before the slots."""
        pairs = [*self.state_types, *(self.back_types[k] for k in self.turns)]
        return self.work + sum(2 * aligned(nbytes(type)) for type in pairs)

    @property
    def bytes(self) -> int:
        """The last of them say whether the loop goes on, where that has no cell."""
        copied = self.layout.bytes if self.backward and not self.overwrites else 0
        test = ALIGNMENT if "cond" in self.blocks and not self.stack else 0
        return aligned(self.buffers + copied) + test

    # -- operands and results -----------------------------------------------------------------------------------

    def atoms(self, region: Opaque) -> dict[str, Atom]:
        """What the region reads and writes outside, by the names that it has inside."""
        outputs, parts = region.equation.outputs, self.parts
        found: dict[str, Atom | None] = {"%work": region.scratch}

        def add(name: str, atoms: Iterable[Atom]) -> None:
            found.update((f"{name}{k}", atom) for k, atom in enumerate(atoms))

        add("%lit", self.literals)
        add("%advance.const", parts.consts)
        add("%tape.const", parts.tape_consts)
        add("%xs", parts.xs)
        add("%count.at", parts.trips)
        found["%table"] = parts.table
        if isinstance(parts, Forward):
            carries, counted = len(parts.carry), int("cond" in self.blocks)
            add("%init", parts.carry)
            add("%result", outputs[:carries])
            add("%trips", outputs[carries : carries + counted])
            add("%ys", outputs[carries + counted : -1])
            add("%test", parts.cond)
            found["%slots"] = outputs[-1]
        else:
            carries = len(parts.back_carry)
            add("%init", parts.state)
            add("%back", parts.back_consts)
            add("%back.xs", parts.back_xs)
            add("%back.init", parts.back_carry)
            add("%out", outputs[:carries])
            add("%back.ys", outputs[carries:])
            found["%cache"] = parts.cache
        return {name: atom for name, atom in found.items() if atom is not None}

    # -- places -------------------------------------------------------------------------------------------------

    def _place_step(self, name: str, consts: int, carries: int) -> None:
        block, places = self.blocks[name], self.scopes[name].places
        inputs, outputs = block.program.inputs, block.outputs
        _put(places, inputs[:consts], f"%{name}.const{{}}")
        _put(places, inputs[consts : consts + carries], f"%{name}.in{{}}")
        _put(places, inputs[consts + carries :], f"%{name}.x{{}}")
        sets = len(self.params["written"]) if name == "tape" else 0
        _put(places, outputs[:carries], f"%{name}.to{{}}")
        _put(places, outputs[carries : len(outputs) - sets], f"%{name}.y{{}}")
        _put(places, outputs[len(outputs) - sets :], f"%{name}.set{{}}")

    def _place_test(self, consts: int) -> None:
        block, scope = self.blocks["cond"], self.scopes["cond"]
        inputs = block.program.inputs
        _put(scope.places, inputs[:consts], "%test{}")
        _put(scope.places, inputs[consts:], "%cond.in{}")
        scope.places[block.outputs[0]] = Place("%going")
        if self.stack:
            scope.add_cell("%going", block.outputs[0].type)

    def _place_adjoint(self, parts: Backward) -> None:
        block, places = self.blocks["adjoint"], self.scopes["adjoint"].places
        inputs, outputs = block.program.inputs, block.outputs
        first, carries = len(parts.back_consts), len(parts.back_carry)
        second = first + carries + len(parts.back_xs)
        _put(places, inputs[:first], "%back{}")
        _put(places, inputs[first + carries : second], "%adjoint.x{}")
        _put(places, inputs[second:], "%adjoint.set{}")
        for k, (before, after) in enumerate(zip(inputs[first:], outputs[:carries], strict=False)):
            if in_place(block, before, after):
                self.modes.append("in place")
                places[before] = places[after] = Place(f"%out{k}")
            else:
                self.modes.append("turns")
                places[before], places[after] = Place(f"%adjoint.in{k}"), Place(f"%adjoint.to{k}")
        _put(places, outputs[carries:], "%adjoint.y{}")


def _put(places: dict[Any, Place], values: Sequence[Var], name: str) -> None:
    places.update((var, Place(name.format(k))) for k, var in enumerate(values))
