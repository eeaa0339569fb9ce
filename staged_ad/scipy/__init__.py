"""SciPy on traced values, module by module: what its functions do not hand over to the NumPy protocols.

Invariant: names and signatures are SciPy's; on plain arrays the functions give what SciPy's give.
Start at linalg.py or special.py: ``from staged_ad.scipy import linalg, special``.
"""

from staged_ad.scipy import linalg as linalg
from staged_ad.scipy import special as special
