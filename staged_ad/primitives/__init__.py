"""The primitives, one file per family, each in one declaration with all its rules.

Invariant: importing this package declares every primitive there is.
Start at makers.py.
"""

from staged_ad.primitives import arithmetic as arithmetic
from staged_ad.primitives import bessel as bessel
from staged_ad.primitives import bits as bits
from staged_ad.primitives import bounds as bounds
from staged_ad.primitives import complexes as complexes
from staged_ad.primitives import exact as exact
from staged_ad.primitives import exponential as exponential
from staged_ad.primitives import fourier as fourier
from staged_ad.primitives import gammas as gammas
from staged_ad.primitives import incomplete as incomplete
from staged_ad.primitives import indexing as indexing
from staged_ad.primitives import information as information
from staged_ad.primitives import integrals as integrals
from staged_ad.primitives import linalg_functions as linalg_functions
from staged_ad.primitives import linalg_minors as linalg_minors
from staged_ad.primitives import linalg_orthogonal as linalg_orthogonal
from staged_ad.primitives import makers as makers
from staged_ad.primitives import ordering as ordering
from staged_ad.primitives import outside as outside
from staged_ad.primitives import polynomials as polynomials
from staged_ad.primitives import products as products
from staged_ad.primitives import quadrature as quadrature
from staged_ad.primitives import random_bits as random_bits
from staged_ad.primitives import reductions as reductions
from staged_ad.primitives import scans as scans
from staged_ad.primitives import shaping as shaping
from staged_ad.primitives import shearing as shearing
from staged_ad.primitives import special as special
from staged_ad.primitives import trigonometric as trigonometric
