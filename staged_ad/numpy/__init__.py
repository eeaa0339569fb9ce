"""NumPy on traced values: the functions behind ``np.*``, and those that np cannot reach.

Invariant: importing this package fills the table of the NumPy protocols (``tracing/protocol.py``).
Use ``import numpy as np`` in your code; this namespace has ``array``, ``full``, ``logsumexp`` and ``softmax``,
which work on traced values where NumPy and SciPy would ask for their numbers.
"""

import numpy as _np

from staged_ad.numpy import counting as _counting
from staged_ad.numpy import creation as _creation
from staged_ad.numpy import diagonals as _diagonals
from staged_ad.numpy import dtypes as _dtypes
from staged_ad.numpy import floats as _floats
from staged_ad.numpy import fourier as _fourier
from staged_ad.numpy import histograms as _histograms
from staged_ad.numpy import inplace as _inplace
from staged_ad.numpy import interpolating as _interpolating
from staged_ad.numpy import joining as _joining
from staged_ad.numpy import linalg_norms as _linalg_norms
from staged_ad.numpy import multiplying as _multiplying
from staged_ad.numpy import nan_reducing as _nan_reducing
from staged_ad.numpy import of_lists as _of_lists
from staged_ad.numpy import ordering as _ordering
from staged_ad.numpy import padding as _padding
from staged_ad.numpy import polynomials as _polynomials
from staged_ad.numpy import products as _products
from staged_ad.numpy import quantiles as _quantiles
from staged_ad.numpy import reducing as _reducing
from staged_ad.numpy import refusing as _refusing
from staged_ad.numpy import scanning as _scanning
from staged_ad.numpy import selecting as _selecting
from staged_ad.numpy import shaping as _shaping
from staged_ad.numpy import spacing as _spacing
from staged_ad.numpy import special as _special
from staged_ad.numpy import statistics as _statistics
from staged_ad.numpy import taking as _taking
from staged_ad.numpy import ufunc_methods as _ufunc_methods
from staged_ad.numpy import windows as _windows
from staged_ad.numpy.assignment import at as at
from staged_ad.numpy.assignment import setitem as setitem
from staged_ad.numpy.assignment import ufunc_at as ufunc_at
from staged_ad.numpy.counting import bincount as bincount
from staged_ad.numpy.counting import unique as unique
from staged_ad.numpy.exponentials import log_softmax as log_softmax
from staged_ad.numpy.exponentials import logsumexp as logsumexp
from staged_ad.numpy.exponentials import softmax as softmax
from staged_ad.numpy.indexing import getitem as _getitem
from staged_ad.numpy.ordering import top_k as top_k
from staged_ad.numpy.shaping import array as array
from staged_ad.numpy.shaping import asarray as asarray
from staged_ad.numpy.shaping import full as full
from staged_ad.numpy.taking import take as take
from staged_ad.numpy.ufuncs import FUNCTIONS as _FUNCTIONS
from staged_ad.numpy.ufuncs import OPERATORS as _OPERATORS
from staged_ad.numpy.ufuncs import UFUNCS as _UFUNCS
from staged_ad.numpy.ufuncs import conjugate as _conjugate
from staged_ad.numpy.ufuncs import imag as _imag
from staged_ad.numpy.ufuncs import polygamma as polygamma
from staged_ad.numpy.ufuncs import real as _real
from staged_ad.tracing.protocol import OPERATIONS as _OPERATIONS

_REDUCTIONS = ["sum", "prod", "max", "min", "any", "all", "argmax", "argmin", "mean", "var", "std", "ptp", "average"]
_PRODUCTS = ["matmul", "dot", "inner", "outer", "vdot", "tensordot", "einsum"]

_OPERATIONS.functions.update(_refusing.FUNCTIONS)
_OPERATIONS.functions.update(dict(_UFUNCS.items()))
_OPERATIONS.functions.update(_FUNCTIONS)
_OPERATIONS.functions.update(_shaping.FUNCTIONS)
_OPERATIONS.functions.update(_taking.FUNCTIONS)
_OPERATIONS.functions.update(_scanning.FUNCTIONS)
_OPERATIONS.functions.update(_ordering.FUNCTIONS)
_OPERATIONS.functions.update(_counting.FUNCTIONS)
_OPERATIONS.functions.update(_quantiles.FUNCTIONS)
_OPERATIONS.functions.update(_special.FUNCTIONS)
_OPERATIONS.functions.update(_fourier.FUNCTIONS)
_OPERATIONS.functions.update({getattr(_np, name): getattr(_reducing, name) for name in _REDUCTIONS})
_OPERATIONS.functions.update({getattr(_np, name): getattr(_multiplying, name) for name in _PRODUCTS})
_OPERATIONS.functions.update({_np.amax: _reducing.max, _np.amin: _reducing.min})
_OPERATIONS.functions.update(_linalg_norms.FUNCTIONS)

_OPERATIONS.functions.update(_interpolating.FUNCTIONS)
_OPERATIONS.functions.update(_joining.FUNCTIONS)
_OPERATIONS.functions.update(_histograms.FUNCTIONS)
_OPERATIONS.functions.update(_diagonals.FUNCTIONS)
_OPERATIONS.functions.update(_padding.FUNCTIONS)
_OPERATIONS.functions.update(_spacing.FUNCTIONS)
_OPERATIONS.functions.update(_selecting.FUNCTIONS)
_OPERATIONS.functions.update(_nan_reducing.FUNCTIONS)
_OPERATIONS.functions.update(_products.FUNCTIONS)
_OPERATIONS.functions.update(_polynomials.FUNCTIONS)
_OPERATIONS.functions.update(_dtypes.FUNCTIONS)
_OPERATIONS.functions.update(_floats.FUNCTIONS)
_OPERATIONS.functions.update(_statistics.FUNCTIONS)
_OPERATIONS.ufunc_methods.update(_ufunc_methods.METHODS, accumulate=_scanning.accumulate)

_OPERATIONS.operators.update(_OPERATORS)
_OPERATIONS.operators.update(matmul=_multiplying.matmul, getitem=_getitem)

_OPERATIONS.methods.update(
    {name: getattr(_reducing, name) for name in _REDUCTIONS if name != "average" and hasattr(_np.ndarray, name)},
    dot=_multiplying.dot,
    reshape=_shaping.reshape,
    ravel=_shaping.ravel,
    flatten=_shaping.ravel,
    transpose=lambda x, *axes: _shaping.transpose(x, *(axes if axes != (None,) else ())),
    swapaxes=_shaping.swapaxes,
    squeeze=_shaping.squeeze,
    astype=_shaping.astype,
    copy=_shaping.copy,
    clip=lambda x, min=None, max=None: _shaping.clip(x, min, max),
    round=_shaping.round_,
    diagonal=_diagonals.diagonal,
    trace=_diagonals.trace,
    repeat=_joining.repeat,
    conj=_conjugate,
    conjugate=_conjugate,
)
_OPERATIONS.methods.update(_taking.METHODS)
_OPERATIONS.properties.update(_taking.PROPERTIES)
_OPERATIONS.methods.update(_scanning.METHODS)
_OPERATIONS.methods.update(_ordering.METHODS)
_OPERATIONS.properties.update(
    T=_shaping.transpose,
    mT=_shaping.matrix_transpose,
    real=_real,
    imag=_imag,
)
_OPERATIONS.creators.update(_creation.CREATORS)
_OPERATIONS.creators.update(_of_lists.CREATORS)
_OPERATIONS.functions.update(_windows.FUNCTIONS)
_OPERATIONS.functions.update(_creation.FUNCTIONS)
_OPERATIONS.views.update(_inplace.VIEWS)
_OPERATIONS.changes.update(_inplace.CHANGES)
_OPERATIONS.operators.update(setitem=_inplace.setitem, at=ufunc_at)
