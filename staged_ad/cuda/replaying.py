"""Replaying: what a program asks of the device, recorded for the addresses that it works on, and asked for at once.

A program can be recorded where the host decides nothing: it launches kernels and copies bytes, and asks at most at the
end whether a guard has failed. Memory comes and goes in a pool, so calls of one kind soon find themselves at the same
addresses again.

Invariant: a recording is used at the very addresses that it was made for.
Start at ``Replaying.__call__``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from staged_ad.cuda.actions import Action, Ask, Launch, Move, Repeat
from staged_ad.cuda.executor import Engine, Executor
from staged_ad.cuda.program import DeviceModule

KEPT = 8
"""Recordings of one program; the one used longest ago goes first."""
LEAST, MOST = 2, 20_000
"""Steps of a program that is recorded: fewer are asked for as fast, and of more the recording takes too much memory."""

Slots = tuple[int, ...]


class Replaying:
    """Runs a program as its executor does, from recordings where there are any."""

    def __init__(self, module: DeviceModule, engine: Engine) -> None:
        actions = module.actions
        self._asks = bool(actions) and isinstance(actions[-1], Ask)
        fixed = actions[: len(actions) - self._asks]
        steps = _steps(fixed)
        self._recorded = steps is not None and LEAST <= steps <= MOST and not module.grows
        self._engine = engine
        self._executor = Executor(module, engine)
        self._fixed = Executor(replace(module, actions=fixed), engine)
        self._seen: OrderedDict[Slots, Callable[[], None] | None] = OrderedDict()

    def __call__(self, slots: Sequence[int], status: int) -> int:
        """Run with these addresses; returns the status at the end."""
        if not self._recorded:
            return self._executor.run(slots, status)
        key = (*slots, status)
        replay = self._known(key, slots, status)
        if replay is None:
            return self._executor.run(slots, status)
        replay()
        return self._engine.number(status, np.dtype("int64")) if self._asks else 0

    def _known(self, key: Slots, slots: Sequence[int], status: int) -> Callable[[], None] | None:
        """The recording for these addresses; it is made when they are met for the second time."""
        seen = self._seen
        if key not in seen:
            seen[key] = None
            if len(seen) > KEPT:
                seen.popitem(last=False)
            return None
        replay = seen.get(key)
        if replay is None:
            replay = self._engine.recorded(lambda: self._fixed.run(slots, status))
            self._recorded = replay is not None  # what cannot be recorded once is not tried again
        seen[key] = replay
        seen.move_to_end(key)
        return replay


def _steps(actions: Sequence[Action]) -> int | None:
    """The number of steps in which a device is asked for actions; None where the host decides between them."""
    total = 0
    for action in actions:
        match action:
            case Launch() | Move():
                total += 1
            case Repeat(plan):
                inside = _steps(action.body)
                counted = plan.count is None and plan.cond is None and plan.trips is None
                if inside is None or plan.length is None or not counted:
                    return None
                total += plan.length * inside + len(plan.carry)
            case _:
                return None
    return total
