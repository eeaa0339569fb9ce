"""Draws of numpy.random inside a traced function: constants, in arrays that can hold traced values.

Invariant: this module is imported after numpy.random, which NumPy itself imports late.
Start at ``DRAWING``.
"""

from __future__ import annotations

from staged_ad.numpy.of_lists import making
from staged_ad.tracing.operations import OPERATIONS

DRAWING = (
    "rand randn random random_sample ranf sample uniform normal standard_normal lognormal exponential gamma beta "
    "laplace standard_exponential standard_gamma standard_cauchy standard_t chisquare logistic weibull rayleigh "
    "triangular multivariate_normal dirichlet permutation choice"
)
"""Functions of numpy.random."""

OPERATIONS.creators.update({f"numpy.random.{name}": making for name in DRAWING.split()})
