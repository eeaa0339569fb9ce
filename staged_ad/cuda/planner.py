"""How the regions of a program run on the device.

A loop or branch over few numbers is run by one thread, a checkpointed one too; of any other the host runs the steps.

Invariant: what one thread runs has code for all it does.
Start at ``DevicePlanner``.
"""

from __future__ import annotations

from collections.abc import Sequence

from staged_ad.control.groups import is_little
from staged_ad.cuda.geometry import Geometry
from staged_ad.cuda.row_threads import row_local, row_step
from staged_ad.cuda.threads import alone, spread
from staged_ad.ir import Atom, Equation, Program
from staged_ad.ir.lowerings import Outside, Sweep
from staged_ad.lowering.blocks import Planner, Step
from staged_ad.lowering.matrices import wants_blas
from staged_ad.lowering.regions import Nest, Region, Rows


class DevicePlanner:
    """Points of nests, and items of kernels, are spread over threads; the host runs the steps."""

    stack = False
    goes_on = True  # kernels have been asked for when the one before has failed

    def __init__(self, geometry: Geometry, nested: bool = False) -> None:
        self.geometry = geometry
        self.nested = nested  # whether a block of a loop or branch is planned

    def grouped(self, regions: Sequence[Region], outputs: Sequence[Atom]) -> list[Region]:
        return row_local(regions, outputs, self.geometry)

    def steps(self, nest: Nest) -> list[Step]:
        return spread(nest, self.geometry, self.nested)

    def row_steps(self, rows: Rows) -> list[Step]:
        return [row_step(rows, self.geometry)]

    def pieces(self, equation: Equation, items: int, cost: float) -> int:
        return max(items, 1) if is_small(equation) else 1  # of other loops the host runs the iterations

    def inside(self, equation: Equation) -> Planner:
        return ALONE if is_small(equation) else DevicePlanner(self.geometry, nested=True)


class Alone:
    """All of a loop or branch in one thread."""

    stack = True
    goes_on = False

    def grouped(self, regions: Sequence[Region], outputs: Sequence[Atom]) -> list[Region]:
        return list(regions)

    def steps(self, nest: Nest) -> list[Step]:
        return alone(nest)

    def row_steps(self, rows: Rows) -> list[Step]:
        raise AssertionError("one thread runs nests one by one")

    def pieces(self, equation: Equation, items: int, cost: float) -> int:
        return 1

    def inside(self, equation: Equation) -> Planner:
        return self


ALONE = Alone()


def is_small(equation: Equation) -> bool:
    """Whether one thread can run a loop or branch, and little is to do in each of its steps."""
    return not is_online(equation) and all(map(fits_a_thread, equation.programs))


def is_online(equation: Equation) -> bool:
    """Whether it reverses a checkpointed loop of unknown length, by a table that the host makes when that is known."""
    params = equation.params
    return isinstance(equation.primitive.lower, Sweep) and "adjoint" in params and params["length"] is None


def fits_a_thread(program: Program) -> bool:
    """Whether there is code for all that it does, and it works on few numbers."""
    return all(
        is_small(equation)
        and not isinstance(equation.primitive.lower, Outside)
        and not wants_blas(equation)
        and is_little(equation)
        for equation in program.equations
    )
