"""Errors of traced values that several places raise: what Python cannot read, what cannot be written, NumPy's own.

Invariant: what is raised inside of an operation names the user's line, save what the user's own functions raise.
Start at ``raise_located``.
"""

from __future__ import annotations

from typing import Any

from staged_ad.errors import ArgumentError, ConcretizationError, IndexingError, MutationError, ShapeError, StagedADError
from staged_ad.frames import is_internal
from staged_ad.tracing.source import location, user_source

_OURS: dict[type[Exception], type[StagedADError]] = {
    ValueError: ShapeError,
    TypeError: ArgumentError,
    IndexError: IndexingError,
}
PLAIN = tuple(_OURS)
"""Exceptions that NumPy raises for bad arguments."""


def raise_located(error: Exception, name: str) -> None:
    """Raise an error of NumPy or Python from within the operation `name` as ours, with the user's line."""
    kind = _OURS.get(type(error))
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if kind is not None and trace is not None and is_internal(trace.tb_frame.f_code):  # no function of the user
        raise kind(f"{name}: {error}") from error


def concretization_error(kind: str, advice: str, tracer: Any) -> Exception:
    tracer.check_open()
    return ConcretizationError(
        f"{kind} of a traced value is not known while the function is traced (value of type {tracer.type}, "
        f"at {location(user_source())}). {advice}"
    )


def no_single_value(kind: str, advice: str, tracer: Any) -> ConcretizationError:
    return ConcretizationError(
        f"{kind} of a traced value is not one number here (value of type {tracer.type}, at "
        f"{location(user_source())}): it differs between the slices of a vmap, the iterations of a staged loop, or the "
        f"points at which a linear function will be used. {advice}"
    )


def contents_error(tracer: Any) -> Exception:
    index, k = ("a traced mask", "mask") if tracer.dtype == bool else ("traced integers", "i")
    return concretization_error(
        "the contents",
        f"If a NumPy array is indexed by {index}, as in a[{k}]: write staged_ad.numpy.asarray(a)[{k}], or in a "
        "loop scan over the array, scan(f, init, a). If a traced value is assigned, as in a[i] = x: make the "
        "array inside the traced function, a = np.array(a). If a method of a NumPy array is given one, as in "
        "a.dot(x): write np.dot(a, x). If a function of NumPy or SciPy was imported by its own name, as in `from "
        "scipy.linalg import solve`: call it as scipy.linalg.solve, or import it from staged_ad.scipy.linalg "
        "(np.array: staged_ad.numpy). Computations of other libraries must stay outside, or go into "
        "staged_ad.pure_callback",
        tracer,
    )


def not_ours(name: str) -> MutationError:
    return MutationError(
        f"{name} cannot write a traced value into this NumPy array (at {location(user_source())}): it was made outside "
        "of the traced function, or computed from such arrays alone. Write y = y + x instead of y += x, or make the "
        "array inside the function, as in y = np.array(y)"
    )
