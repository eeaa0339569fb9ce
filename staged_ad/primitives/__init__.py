"""The primitives, one file per family, each in one declaration with all its rules.

Invariant: a family is imported by those who use it; here are the ones whose primitives others look up by name.
Start at makers.py.
"""

from staged_ad.primitives import arithmetic as arithmetic
from staged_ad.primitives import complexes as complexes
from staged_ad.primitives import makers as makers
from staged_ad.primitives import reductions as reductions
from staged_ad.primitives import shaping as shaping
