"""The two runs of a checkpointed loop: forwards, storing; and backwards, by a table of actions.

``run_forward: (trips, cond_consts, consts, carry, xs, table) -> (carry, count, ys, cache)``
``run_backward: (cache, trips, consts, state, xs, back_consts, back_carry, back_xs, table) -> (back_carry, back_ys)``

`advance` maps ``(consts, carry, x) -> (carry, y)``, `tape` gives also what a residual set holds, `adjoint` maps
``(back_consts, back_carry, back_x, residual set) -> (back_carry, back_y)``. The cache is one array of bytes, laid out
by a ``Layout``. Without a length (``length=None``) there are no xs and ys, the table of ``run_forward`` says which
states to store, and ``run_backward`` has none: its actions follow from the number of iterations.

Invariant: these two have no derivatives; they stand in programs only where those have been taken.
Start at ``_evaluate_backward``; lowering/sweeps.py writes the same as machine code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from staged_ad.control.layout import chosen
from staged_ad.control.schedules import INITIAL, Action
from staged_ad.control.sweep_plan import Layout, decoded, online_table
from staged_ad.ir import ArrayType, Equation, Primitive, Program, evaluate
from staged_ad.ir.lowerings import Sweep
from staged_ad.ir.primitive import not_linear
from staged_ad.ir.ragged import stacked
from staged_ad.ir.types import INT64


class Forward(NamedTuple):
    """Operands, or their types, of ``run_forward``."""

    trips: list[Any]
    cond: list[Any]
    consts: list[Any]
    tape_consts: list[Any]
    carry: list[Any]
    xs: list[Any]
    table: Any


class Backward(NamedTuple):
    """Operands, or their types, of ``run_backward``."""

    cache: Any
    trips: list[Any]
    consts: list[Any]
    tape_consts: list[Any]
    state: list[Any]
    xs: list[Any]
    back_consts: list[Any]
    back_carry: list[Any]
    back_xs: list[Any]
    table: Any


def _cut(operands: Sequence[Any], sizes: Sequence[int]) -> list[list[Any]]:
    groups, start = [], 0
    for size in sizes:
        groups.append(list(operands[start : start + size]))
        start += size
    return [*groups, list(operands[start:])]


def forward_operands(operands: Sequence[Any], params: dict[str, Any]) -> Forward:
    trips = int(params["length"] is None and params["cond"] is None)
    *most, table = operands
    parts = _cut(most, [trips, *params["sizes"]])
    return Forward._make([*parts, table])


def backward_operands(operands: Sequence[Any], params: dict[str, Any]) -> Backward:
    cache, *rest = operands
    online = params["length"] is None
    table = None if online else rest.pop()
    parts = _cut(rest, [int(online), *params["sizes"]])
    return Backward._make([cache, *parts, table])


def with_consts(equation: Equation, old: Program, new: Program, operands: Sequence[Any]) -> Equation:
    """A run in which `new` stands for `old`, with further consts in front of the others."""
    params = dict(equation.params)
    name = next(key for key, value in params.items() if value is old)
    sizes = list(params["sizes"])
    if equation.primitive is RUN_FORWARD:
        group, first = ("cond", "advance", "tape").index(name), int(params["length"] is None and params["cond"] is None)
    else:
        group, first = {"advance": 0, "tape": 1, "adjoint": 4}[name], 1 + int(params["length"] is None)
    start = first + sum(sizes[:group])
    sizes[group] += len(operands)
    inputs = (*equation.inputs[:start], *operands, *equation.inputs[start:])
    params |= {name: new, "sizes": tuple(sizes)}
    return Equation(equation.primitive, inputs, params, equation.outputs, equation.source)


def fixed_operands(equation: Equation) -> list[tuple[Program, list[Any]]]:
    """The programs of a run with their consts."""
    params, atoms = dict(equation.params), equation.inputs
    if equation.primitive is RUN_FORWARD:
        forward = forward_operands(atoms, params)
        pairs = [(params["cond"], forward.cond), (params["advance"], forward.consts)]
        pairs.append((params["tape"], forward.tape_consts))
        return [pair for pair in pairs if pair[0] is not None]
    parts = backward_operands(atoms, params)
    pairs = [(params["advance"], parts.consts), (params["tape"], parts.tape_consts)]
    return [*pairs, (params["adjoint"], parts.back_consts)]


# -- types --------------------------------------------------------------------------------------------------------


def _abstract_forward(*types: ArrayType, **params: Any) -> list[ArrayType]:
    parts = forward_operands(types, params)
    carries = len(parts.carry)
    ys = [type.stacked(params["length"]) for type in params["advance"].output_types[carries:]]
    count = [] if params["cond"] is None else [ArrayType((), INT64)]
    return [*parts.carry, *count, *ys, cache_type(params["layout"])]


def _abstract_backward(*types: ArrayType, **params: Any) -> list[ArrayType]:
    carries = len(backward_operands(types, params).back_carry)
    outputs = params["adjoint"].output_types
    return [*outputs[:carries], *(type.stacked(params["length"]) for type in outputs[carries:])]


def cache_type(layout: Layout) -> ArrayType:
    return ArrayType((layout.bytes,), np.dtype("uint8"))


# -- meaning ------------------------------------------------------------------------------------------------------


class _Memory:
    """The slots: states and residual sets in one array of bytes."""

    def __init__(self, layout: Layout, buffer: Any, states: Sequence[ArrayType], kept: Sequence[ArrayType]) -> None:
        self.layout, self.buffer = layout, buffer
        self.states, self.kept = states, kept

    def _view(self, offset: int, type: ArrayType) -> Any:
        part = self.buffer[offset : offset + type.size * type.dtype.itemsize]
        return part.view(type.dtype).reshape(type.shape)

    def state(self, place: int) -> list[Any]:
        start = self.layout.first_state + place * self.layout.state_bytes
        return [self._view(start + offset, type) for offset, type in zip(self.layout.states, self.states, strict=True)]

    def residuals(self, slot: int) -> list[Any]:
        start = slot * self.layout.set_bytes
        return [self._view(start + offset, type) for offset, type in zip(self.layout.residuals, self.kept, strict=True)]


def _store(targets: Sequence[Any], values: Sequence[Any]) -> None:
    for target, value in zip(targets, values, strict=True):
        target[...] = value


def step(program: Program, values: Sequence[Any]) -> list[Any]:
    """One iteration of the loop itself, plain or taped."""
    return evaluate(program, *values)


def _index(k: int, count: int, reverse: bool) -> int:
    return count - 1 - k if reverse else k


def _evaluate_forward(*arrays: Any, **params: Any) -> list[Any]:
    parts = forward_operands(arrays, params)
    layout, advance = params["layout"], params["advance"]
    carries = len(parts.carry)
    kept = params["tape"].output_types[len(advance.outputs) :] if params["tape"] else []
    offsets = [layout.residuals[k] for k in params["written"]]
    buffer = np.zeros(layout.bytes, np.uint8)
    inner = Layout(tuple(offsets), layout.set_bytes, layout.sets, *_states_of(layout))
    memory = _Memory(inner, buffer, [parts_type(advance, parts, k) for k in params["state"]], kept)
    if params["length"] is None:
        return [*_online(parts, params, memory), buffer]
    length, reverse = params["length"], params["reverse"]
    carry = parts.carry
    ys: list[list[Any]] = [[None] * length for _ in advance.outputs[carries:]]

    def run(program: Program, consts: list[Any], k: int) -> list[Any]:
        nonlocal carry
        i = _index(k, length, reverse)
        results = step(program, [*consts, *carry, *(x[i] for x in parts.xs)])
        carry = results[:carries]
        for found, y in zip(ys, results[carries : len(advance.outputs)], strict=True):
            found[i] = y
        return results[len(advance.outputs) :]

    now = 0
    for row in parts.table.tolist():
        action, slot, number = decoded(row)
        if action == Action.ADVANCE:
            for k in range(now, number):
                run(advance, parts.consts, k)
            now = number
        elif action == Action.SAVE:
            _store(memory.state(slot), [carry[k] for k in params["state"]])
        else:
            _store(memory.residuals(slot), run(params["tape"], parts.tape_consts, now))
            if number != INITIAL:
                _store(memory.state(number), [carry[k] for k in params["state"]])
            now += 1
    types = advance.output_types[carries:]
    return [*carry, *(stacked(found, type, length) for found, type in zip(ys, types, strict=True)), buffer]


def _states_of(layout: Layout) -> tuple[tuple[int, ...], int, int, int]:
    return layout.states, layout.state_bytes, layout.first_state, layout.bytes


def parts_type(program: Program, parts: Forward, carry: int) -> ArrayType:
    """The type of a carry."""
    return program.input_types[len(parts.consts) + carry]


def _online(parts: Forward, params: dict[str, Any], memory: _Memory) -> list[Any]:
    """The loop of unknown length: carries, and the count where a condition ends it."""
    advance, cond = params["advance"], params["cond"]
    carry, k = parts.carry, 0
    rows = iter(parts.table.tolist())
    target, slot = next(rows)
    going: Callable[[], Any] = lambda: (
        k < int(parts.trips[0]) if cond is None else evaluate(cond, *parts.cond, *carry)[0]
    )
    while going():
        if k == target:
            _store(memory.state(slot), [carry[j] for j in params["state"]])
            target, slot = next(rows)
        carry = step(advance, [*parts.consts, *carry])
        k += 1
    return [*carry, *([] if cond is None else [np.int64(k)])]


def _evaluate_backward(*arrays: Any, **params: Any) -> list[Any]:
    parts = backward_operands(arrays, params)
    length, reverse, layout = params["length"], params["reverse"], params["layout"]
    advance, tape, adjoint = params["advance"], params["tape"], params["adjoint"]
    count = int(parts.trips[0]) if length is None else length
    table = online_table(count, params["slots"]) if length is None else parts.table
    states, carries = len(parts.state), len(parts.back_carry)
    kept = adjoint.input_types[len(adjoint.inputs) - len(layout.residuals) :]
    types = advance.input_types[len(parts.consts) : len(parts.consts) + states]
    memory = _Memory(layout, np.array(parts.cache), types, kept)
    state, carry = parts.state, parts.back_carry
    ys: list[list[Any]] = [[None] * count for _ in adjoint.outputs[carries:]]
    now, left = 0, count
    for row in table.tolist():
        action, slot, number = decoded(row)
        match action:
            case Action.ADVANCE:
                for k in range(now, number):
                    i = _index(k, count, reverse)
                    state = step(advance, [*parts.consts, *state, *(x[i] for x in parts.xs)])
                now = number
            case Action.SAVE:
                _store(memory.state(slot), state)
            case Action.RESTORE:
                state = parts.state if slot == INITIAL else memory.state(slot)
                now = number
            case Action.TAPE:
                i = _index(now, count, reverse)
                results = step(tape, [*parts.tape_consts, *state, *(x[i] for x in parts.xs)])
                state = results[:states]
                sets = memory.residuals(slot)
                _store([sets[k] for k in params["written"]], results[states:])
                if number != INITIAL:
                    _store(memory.state(number), state)
                now += 1
            case Action.ADJOINT:
                left -= 1
                i = _index(left, count, reverse)
                xs = [x[i] for x in parts.back_xs]
                results = evaluate(adjoint, *parts.back_consts, *carry, *xs, *memory.residuals(slot))
                carry = results[:carries]
                for found, y in zip(ys, results[carries:], strict=True):
                    found[i] = y
    outputs = adjoint.output_types[carries:]
    return [*carry, *(stacked(found, type, length) for found, type in zip(ys, outputs, strict=True))]


def _no_rule(*values: Any, **params: Any) -> Any:
    raise AssertionError("a sweep is transformed before it is made into its runs")


def _prune(equation: Equation, used: Sequence[bool]) -> Equation:
    """Without the ys that nothing needs."""
    params = dict(equation.params)
    advance, tape, carries = params["advance"], params["tape"], params["sizes"][3]
    ys = len(advance.outputs) - carries
    if not ys or all(used[carries:-1]):
        return equation
    kept = [*[True] * carries, *used[carries:-1]]
    params["advance"] = Program(advance.inputs, advance.equations, tuple(chosen(advance.outputs, kept)), advance.name)
    flags = [*kept, *[True] * (len(tape.outputs) - len(kept))]
    params["tape"] = Program(tape.inputs, tape.equations, tuple(chosen(tape.outputs, flags)), tape.name)
    return Equation(
        RUN_FORWARD, equation.inputs, params, tuple(chosen(equation.outputs, [*kept, True])), equation.source
    )


RUN_FORWARD = Primitive(
    "run_forward",
    abstract_eval=_abstract_forward,
    evaluate=_evaluate_forward,
    jvp=_no_rule,
    transpose=not_linear("run_forward"),
    batch=_no_rule,
    lower=Sweep(),
    multiple_results=True,
    prune=_prune,
)
RUN_BACKWARD = Primitive(
    "run_backward",
    abstract_eval=_abstract_backward,
    evaluate=_evaluate_backward,
    jvp=_no_rule,
    transpose=not_linear("run_backward"),
    batch=_no_rule,
    lower=Sweep(),
    multiple_results=True,
)
