"""The table of the NumPy protocols is filled: what each module has to offer, by its name in NumPy.

Invariant: a module says in FUNCTIONS, METHODS and PROPERTIES what it offers; of two that offer the same, the later
counts.
Start at ``MODULES``.
"""

from __future__ import annotations

from types import ModuleType

from staged_ad.numpy import (
    assignment,
    attributes,
    counting,
    creation,
    diagonals,
    dtypes,
    elements,
    flat,
    floats,
    fourier,
    histograms,
    indexing,
    inplace,
    interpolating,
    joining,
    limiting,
    linalg_norms,
    masked,
    masked_functions,
    multiplying,
    nan_reducing,
    of_lists,
    of_math,
    ordering,
    padding,
    polynomials,
    products,
    promotion,
    quantiles,
    reducing,
    refusing,
    scanning,
    selecting,
    shaping,
    spacing,
    statistics,
    taking,
    ufunc_methods,
    ufuncs,
    windows,
)
from staged_ad.tracing.libraries import when_imported
from staged_ad.tracing.operations import OPERATIONS

MODULES: tuple[ModuleType, ...] = (
    refusing,
    ufuncs,
    shaping,
    limiting,
    taking,
    scanning,
    ordering,
    counting,
    quantiles,
    fourier,
    reducing,
    multiplying,
    linalg_norms,
    interpolating,
    joining,
    histograms,
    diagonals,
    padding,
    spacing,
    selecting,
    nan_reducing,
    products,
    polynomials,
    dtypes,
    floats,
    statistics,
    windows,
    creation,
    attributes,
    flat,
)

for _module in MODULES:
    OPERATIONS.functions.update(getattr(_module, "FUNCTIONS", {}))
    OPERATIONS.methods.update(getattr(_module, "METHODS", {}))
    OPERATIONS.properties.update(getattr(_module, "PROPERTIES", {}))
OPERATIONS.ufunc_methods.update(ufunc_methods.UFUNC_METHODS)
OPERATIONS.operators.update(ufuncs.OPERATORS, matmul=multiplying.matmul, getitem=masked.getitem)
OPERATIONS.operators.update(setitem=assignment.setitem, at=assignment.ufunc_at, strong=promotion.strong)
OPERATIONS.operators.update(known=indexing.read_mask)
_creators = refusing.CREATORS | creation.CREATORS | of_lists.CREATORS | polynomials.CREATORS
OPERATIONS.creators.update({f"numpy.{name}": f for name, f in _creators.items()})
OPERATIONS.creators.update(of_math.CREATORS | elements.CREATORS)
OPERATIONS.views.update(inplace.VIEWS)
OPERATIONS.arrays.update(creation.ARRAYS)
OPERATIONS.same.update(inplace.SAME)
OPERATIONS.laid_out.update(inplace.LAID_OUT)
OPERATIONS.changes.update(inplace.CHANGES)
OPERATIONS.of_masked.update(masked_functions.FUNCTIONS)
when_imported("numpy.random", "staged_ad.numpy.drawing")
when_imported("numpy.polynomial", "staged_ad.numpy.series")
