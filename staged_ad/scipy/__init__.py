"""Functions of SciPy that traced values reach by these names only: SciPy's own do not look at NumPy's protocols.

Invariant: on plain arrays each gives what SciPy's gives.
Start at linalg.py: ``from staged_ad.scipy import linalg``.
"""

from staged_ad.scipy import linalg as linalg
