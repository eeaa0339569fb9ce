"""From programs to machine code. The flow is drawn in README.md beside this file.

Invariant: what compiled code returns is what ``evaluate`` returns, up to rounding.
Start at compiled.py.
"""

from staged_ad.lowering.compiled import Compiled as Compiled
from staged_ad.lowering.compiled import compile_program as compile_program
