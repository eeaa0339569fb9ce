"""Replacing variables, as passes do.

Invariant: a substitution maps variables of the old program to atoms of the new one.
Start at ``Substitution``.
"""

from __future__ import annotations

from collections.abc import Iterable

from staged_ad.ir.program import Atom, Var


class Substitution(dict[Var, Atom]):
    """What stands for a variable now; variables that are not in it stand for themselves."""

    def atoms(self, atoms: Iterable[Atom]) -> tuple[Atom, ...]:
        get = self.get
        return tuple([get(atom, atom) if type(atom) is Var else atom for atom in atoms])
