"""How the regions of a program run on the device.

A loop or branch over few numbers is run by one thread; of any other the host runs the steps.

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
from staged_ad.ir.lowerings import Outside
from staged_ad.lowering.blocks import Planner, Step
from staged_ad.lowering.matrices import wants_blas
from staged_ad.lowering.regions import Nest, Region, Rows


class DevicePlanner:
    """Points of nests, and items of kernels, are spread over threads; the host runs the steps."""

    stack = False

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry

    def grouped(self, regions: Sequence[Region], outputs: Sequence[Atom]) -> list[Region]:
        return row_local(regions, outputs, self.geometry)

    def steps(self, nest: Nest) -> list[Step]:
        return spread(nest, self.geometry)

    def row_steps(self, rows: Rows) -> list[Step]:
        return [row_step(rows, self.geometry)]

    def pieces(self, equation: Equation, items: int, cost: float) -> int:
        return max(items, 1) if is_small(equation) else 1  # of other loops the host runs the iterations

    def inside(self, equation: Equation) -> Planner:
        return ALONE if is_small(equation) else self


class Alone:
    """All of a loop or branch in one thread."""

    stack = True

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
    return all(map(fits_a_thread, equation.programs))


def fits_a_thread(program: Program) -> bool:
    """Whether there is code for all that it does, and it works on few numbers."""
    return all(
        is_small(equation)
        and not isinstance(equation.primitive.lower, Outside)
        and not wants_blas(equation)
        and is_little(equation)
        for equation in program.equations
    )
