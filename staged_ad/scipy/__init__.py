"""SciPy on traced values, module by module: what its functions do not hand over to the NumPy protocols.

Invariant: names and signatures are SciPy's; on plain arrays the functions are SciPy's own. Start at special.py.
"""

from staged_ad.scipy import special as special
