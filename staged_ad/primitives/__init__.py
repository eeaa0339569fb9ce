"""The primitives, one file per family, each in one declaration with all its rules.

Invariant: importing this package declares every primitive there is.
Start at makers.py.
"""

from staged_ad.primitives import arithmetic as arithmetic
from staged_ad.primitives import bounds as bounds
from staged_ad.primitives import exponential as exponential
from staged_ad.primitives import indexing as indexing
from staged_ad.primitives import makers as makers
from staged_ad.primitives import ordering as ordering
from staged_ad.primitives import products as products
from staged_ad.primitives import reductions as reductions
from staged_ad.primitives import scans as scans
from staged_ad.primitives import shaping as shaping
from staged_ad.primitives import special as special
from staged_ad.primitives import trigonometric as trigonometric
