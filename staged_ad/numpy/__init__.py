"""NumPy on traced values: the functions behind ``np.*``, and those that np cannot reach.

Invariant: importing this package fills the table of the NumPy protocols (``tracing/protocol.py``).
Use ``import numpy as np`` in your code; this namespace has what works on traced values where NumPy and SciPy would ask
for their numbers. Start at table.py.
"""

from staged_ad.numpy import table as _table  # noqa: F401  # fills the table
from staged_ad.numpy.assignment import at as at
from staged_ad.numpy.assignment import setitem as setitem
from staged_ad.numpy.assignment import ufunc_at as ufunc_at
from staged_ad.numpy.counting import bincount as bincount
from staged_ad.numpy.counting import unique as unique
from staged_ad.numpy.creation import array as array
from staged_ad.numpy.creation import asarray as asarray
from staged_ad.numpy.creation import full as full
from staged_ad.numpy.exponentials import log_softmax as log_softmax
from staged_ad.numpy.exponentials import logsumexp as logsumexp
from staged_ad.numpy.exponentials import softmax as softmax
from staged_ad.numpy.ordering import top_k as top_k
from staged_ad.numpy.taking import take as take
from staged_ad.numpy.ufuncs import polygamma as polygamma
