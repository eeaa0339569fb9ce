"""Lowered: the stages on the way from a function to its machine code, as text.

Invariant: looking at them runs nothing.
Start at ``Lowered.text``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from staged_ad.ir import Program

if TYPE_CHECKING:
    from staged_ad.lowering.compiled import Compiled


class Lowered:
    """What a function became: ``text("program" | "loops" | "llvm" | "asm")``."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled

    @property
    def program(self) -> Program:
        """The optimised program."""
        return self._compiled.program

    def text(self, stage: str = "program") -> str:
        """The text of one stage: the program, its fused loops, the LLVM code, or the assembly."""
        return self._compiled.text(stage)
