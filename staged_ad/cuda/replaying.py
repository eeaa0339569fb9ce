"""Replaying: what a program asks of the device, recorded for the addresses that it works on, and asked for at once.

What can be recorded is a row of kernels, copies and products by cuBLAS between which the host decides nothing: mostly
all of a program. Programs of such rows and of questions whether a guard has failed run from recordings. Where the
products cannot be recorded, as without a cuBLAS of the same version as CuPy, the rows between them still are. Memory
comes and goes in a pool, so calls of one kind soon find themselves at the same addresses again.

Invariant: a recording is used at the very addresses that it was made for.
Start at ``Replaying.__call__``.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from staged_ad.cuda.actions import Action, Ask, Launch, Move, Product, Repeat, Retrace, all_actions
from staged_ad.cuda.executor import Engine, Executor
from staged_ad.cuda.program import DeviceModule
from staged_ad.cuda.retracing import retraced

KEPT = 8
"""Sets of addresses that one program has recordings for; that used longest ago goes first."""
LEAST, MOST = 2, 20_000
"""Steps of a row that is recorded: fewer are asked for as fast, and a recording of more takes too much memory."""

Slots = tuple[int, ...]
Replay = Callable[[], object]


@dataclass(frozen=True, slots=True)
class _Part:
    """Actions of a program in a row, and whether they are recorded."""

    executor: Executor
    recorded: bool


class Replaying:
    """Runs a program as its executor does, from recordings where there are any."""

    def __init__(self, module: DeviceModule, engine: Engine) -> None:
        self._engine = engine
        self._executor = Executor(module, engine)
        self._ways = [] if module.grows else _ways(module, engine)
        self._seen: OrderedDict[Slots, list[Replay | None] | None] = OrderedDict()
        self._one = threading.Lock()  # threads that call one program record one after another

    def __call__(self, slots: Sequence[int], status: int) -> int:
        """Run with these addresses; returns the status at the end."""
        with self._one:
            parts = self._ways[0] if self._ways else []
            replays = self._replays(parts, slots, status) if parts else None
        if replays is None:
            return self._executor.run(slots, status)
        for part, replay in zip(parts, replays, strict=True):
            if replay is not None:
                replay()
            elif found := part.executor.run(slots, status):
                return found
        return 0

    def _replays(self, parts: Sequence[_Part], slots: Sequence[int], status: int) -> list[Replay | None] | None:
        """For each part its recording, or None where it has none; made when addresses are met for the second time."""
        seen, key = self._seen, (*slots, status)
        if key not in seen:
            seen[key] = None
            if len(seen) > KEPT:
                seen.popitem(last=False)
            return None
        replays = seen.get(key)
        if replays is None:
            replays = []
            for part in parts:
                replay = self._engine.recorded(partial(part.executor.run, slots, status)) if part.recorded else None
                if replay is None and part.recorded:
                    del self._ways[0]  # what cannot be recorded once is not tried again
                    seen.clear()
                    return None
                replays.append(replay)
        seen[key] = replays
        seen.move_to_end(key)
        return replays


def _ways(module: DeviceModule, engine: Engine) -> list[list[_Part]]:
    """The parts of a program with its products recorded, and without; those of which nothing is recorded left out."""
    ways = [_parts(module, engine, products=True)]
    if any(isinstance(action, Product) for action in all_actions(module.actions)):
        ways.append(_parts(module, engine, products=False))
    return [parts for parts in ways if any(part.recorded for part in parts)]


def _parts(module: DeviceModule, engine: Engine, products: bool) -> list[_Part]:
    """The parts of a program; none where the host decides between them."""
    parts = []
    for fixed, row in groupby(module.actions, key=lambda action: _steps([action], products) is not None):
        actions = list(row)
        steps = _steps(actions, products) or 0
        if not fixed and not all(isinstance(action, Product | Ask) for action in actions):
            return []
        parts.append(_Part(Executor(replace(module, actions=actions), engine), LEAST <= steps <= MOST))
    return parts


def _steps(actions: Sequence[Action], products: bool) -> int | None:
    """The number of steps in which a device is asked for actions; None where they cannot be recorded."""
    total = 0
    for action in actions:
        match action:
            case Launch() | Move():
                total += 1
            case Product() if products:
                total += 1
            case Repeat(plan):
                inside = _steps(action.body, products)
                counted = plan.count is None and plan.cond is None and plan.trips is None
                if inside is None or plan.length is None or not counted:
                    return None
                total += plan.length * inside + len(plan.carry)
            case Retrace(plan, _, blocks):
                inner = {name: _steps(block, products) for name, block in blocks.items()}
                if plan.length is None or any(steps is None for steps in inner.values()):
                    return None
                total += retraced(plan, {name: steps or 0 for name, steps in inner.items()})
            case _:
                return None
    return total
