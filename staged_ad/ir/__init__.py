"""The language: types, programs, primitives, their text form, verifier and meaning.

Invariant: nothing here knows about Python functions, transforms or machines.
Start at program.py.
"""

from staged_ad.ir.evaluate import evaluate as evaluate
from staged_ad.ir.primitive import PRIMITIVES as PRIMITIVES
from staged_ad.ir.primitive import Linear as Linear
from staged_ad.ir.primitive import Primitive as Primitive
from staged_ad.ir.program import UNKNOWN as UNKNOWN
from staged_ad.ir.program import Atom as Atom
from staged_ad.ir.program import Equation as Equation
from staged_ad.ir.program import Literal as Literal
from staged_ad.ir.program import Program as Program
from staged_ad.ir.program import Source as Source
from staged_ad.ir.program import Var as Var
from staged_ad.ir.program import filled as filled
from staged_ad.ir.ragged import Stack as Stack
from staged_ad.ir.types import ArrayType as ArrayType
from staged_ad.ir.types import type_of as type_of
from staged_ad.ir.verify import verify as verify
