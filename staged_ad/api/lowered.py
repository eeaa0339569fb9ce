"""Lowered: the stages on the way from a function to its machine code, as text, and the memory it takes.

Invariant: looking at them runs nothing.
Start at ``Lowered.text``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from staged_ad.ir import ArrayType, Program

if TYPE_CHECKING:
    from staged_ad.cuda.compiled import DeviceCompiled
    from staged_ad.lowering.compiled import Compiled


class Memory(NamedTuple):
    """Bytes that a compiled function takes.

    arguments, results
        The arrays that go in, and those that are made and come out: a result in the memory of an argument that was
        given away is none of them.
    workspace
        Intermediate values, among them what loops of known length keep for reverse mode. Of it up to 64 MB are kept
        from one call for the next.
    constants
        Arrays that belong to the function; they are there between calls, too.
    unknown
        Whether loops of unknown length (`while_loop`, `fori_loop` to a traced bound) keep values on top of it for
        reverse mode, as many as they turn out to need.
    """

    arguments: int
    results: int
    workspace: int
    constants: int
    unknown: bool

    @property
    def peak(self) -> int:
        """What a call takes beside its arguments and the function's constants."""
        return self.results + self.workspace

    def __str__(self) -> str:
        parts = [f"{name} {getattr(self, name):,}" for name in ("arguments", "results", "workspace", "constants")]
        more = ", and what loops of unknown length keep" if self.unknown else ""
        return f"{', '.join(parts)} bytes; peak of a call {self.peak:,} bytes{more}"


class Lowered:
    """What a function became: ``text("program" | "loops" | "llvm" | "asm")``, and the ``memory()`` it takes."""

    def __init__(self, compiled: Compiled | DeviceCompiled, donated: Collection[int] = ()) -> None:
        self._compiled = compiled
        self._donated = donated

    @property
    def program(self) -> Program:
        """The optimised program."""
        return self._compiled.program

    def text(self, stage: str = "program") -> str:
        """The text of one stage: the program, its fused loops, the LLVM code, or the assembly (for a GPU ``ptx``)."""
        return self._compiled.text(stage)

    def memory(self) -> Memory:
        """The memory that a call takes.

        ```python
        import numpy as np
        import staged_ad as sad

        memory = sad.jit(lambda x: np.sort(x) + x).lower(np.zeros(1000)).memory()
        assert memory.results == 8000
        assert memory.peak == memory.results + memory.workspace
        ```
        """
        compiled = self._compiled
        made = [t for k, t in enumerate(compiled.traced.output_types) if k not in compiled.donors(self._donated)]
        return Memory(
            sum(map(_bytes, compiled.types)),
            sum(map(_bytes, made)),
            compiled.workspace,
            compiled.constants,
            compiled.grows,
        )


def _bytes(type: ArrayType) -> int:
    return type.size * type.dtype.itemsize
