"""What to write where NumPy or Python asks a traced value for its number: it depends on what the line does.

Invariant: the first error that a user sees is one of this package.
Start at ``contents_error`` and ``number_error``.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from staged_ad.errors import ConcretizationError, UnsupportedError
from staged_ad.frames import user_frame
from staged_ad.tracing.foreign import asked_by, takes_none
from staged_ad.tracing.source import called_name, instruction_at, location, user_source

INDEXED = (
    "A NumPy array cannot be indexed by it: write np.take(a, i, axis=0) or staged_ad.numpy.asarray(a)[i], or in a "
    "loop scan over the array, scan(f, init, a)"
)
_MASKED = (
    "A NumPy array cannot be indexed by a mask that is not known: write np.where(mask, a, 0), or a[mask] with a an "
    "argument of the function or staged_ad.numpy.asarray(a)"
)
_COMBINED = "A list holds it, as in a * [x, y]: write a * np.array([x, y])"
_CALLED = (
    "If a method of a NumPy array is given one, as in a.dot(x): write np.dot(a, x). If a NumPy array is written to, as "
    "by a.fill(x): make it inside the traced function, a = np.array(a). If a function of NumPy or SciPy has another "
    "name, as in table['solve'](a, b): write scipy.linalg.solve(a, b) itself, by its module, or take it from "
    "staged_ad.scipy.linalg (np.array: staged_ad.numpy). Computations of other libraries must stay outside, or go "
    "into staged_ad.pure_callback"
)
DTYPES = ("float64", "float32", "double", "single", "int64", "int32", "int_", "bool_", "complex128", "complex64")
"""Names of NumPy's types of numbers, which people call to convert."""


def concretization_error(kind: str, advice: str, tracer: Any) -> ConcretizationError:
    tracer.check_open()
    return ConcretizationError(
        f"{kind} of a traced value is not known while the function is traced (value of type {tracer.type}, "
        f"at {location(user_source())}). {advice}"
    )


_ATTRIBUTES = {
    "strides flags data base ctypes setflags": (
        "it is not in memory yet; x.copy() is an array of its own, and np.ascontiguousarray(x) one in C order"
    ),
    "tobytes tofile dump dumps getfield byteswap": (
        "its numbers are not known while the function is traced; return the array, and do this outside"
    ),
    "resize": "its shape does not change; write y = np.resize(y, shape), which repeats elements, or np.pad",
    "setfield": "write z.real = x or z.imag = x for the parts of complex numbers, x[index] = value for others",
}


def missing_attribute(name: str) -> AttributeError:
    """What to raise where a traced array has no attribute of that name."""
    reason = next((text for names, text in _ATTRIBUTES.items() if name in names.split()), "")
    if not reason and hasattr(np.ndarray, name):
        reason = "although ndarray has: it is not supported"
    message = f"a traced array has no attribute {name!r}"
    return AttributeError(f"{message} (at {location(user_source())}){f': {reason}' if reason else ''}")


def no_single_value(kind: str, advice: str, tracer: Any) -> ConcretizationError:
    return ConcretizationError(
        f"{kind} of a traced value is not one number here (value of type {tracer.type}, at "
        f"{location(user_source())}): it differs between the slices of a vmap, the iterations of a staged loop, or the "
        f"points at which a linear function will be used. {advice}"
    )


def stored_error(where: str) -> ConcretizationError:
    """What to raise where a traced value is written into an array of NumPy's own."""
    return ConcretizationError(
        f"a traced value cannot be written into this NumPy array (at {where}): it was made outside of the traced "
        "function, or computed from such arrays or numbers alone. Wrap what makes it in np.array, as in "
        "u = np.array(np.sin(grid)), whose result can be written to, or pass it as an argument"
    )


def contents_error(tracer: Any) -> ConcretizationError:
    """What to raise where NumPy asks a traced array for its contents."""
    doing = _doing()
    if doing.startswith("STORE_"):
        return stored_error(location(user_source()))
    frame = user_frame()
    called = called_name(frame.f_code, frame.f_lasti) if frame is not None else None
    if called in DTYPES:
        return concretization_error(f"np.{called}()", f"Write x.astype(np.{called})", tracer)
    foreign = _foreign_error("the contents", tracer)
    if foreign is not None:
        return foreign
    if called is not None and _is_ufunc(called):
        advice = f"A list holds it, as in {called}([x, y]): write {called}(np.array([x, y]))"
    elif is_looking_up():
        advice = _MASKED if tracer.type.dtype.kind == "b" else INDEXED
    else:
        advice = _COMBINED if doing in ("BINARY_OP", "COMPARE_OP") else _CALLED
    return concretization_error("the contents", advice, tracer)


def is_looking_up() -> bool:
    """Whether the user's code is at ``array[index]``."""
    return _doing() == "BINARY_SUBSCR"


def _foreign_error(kind: str, tracer: Any) -> ConcretizationError | None:
    """Where a function of another library asks, as scipy.integrate.quad does; None where nobody knows which."""
    name, instead = asked_by()
    if not instead and not name.startswith("scipy."):
        return None
    instead = instead or "it outside of the traced function, or in staged_ad.pure_callback with a rule by custom_jvp"
    said = f"{name} asks for numbers: it {takes_none(name, instead)}. Write {instead}"
    return concretization_error(kind, said, tracer)


def _is_ufunc(name: str) -> bool:
    """Whether a function of that name is a ufunc, or a method that only these have."""
    found = getattr(np, name, getattr(sys.modules.get("scipy.special"), name, None))
    return isinstance(found, np.ufunc) or name in ("reduce", "accumulate", "outer")


_LEAVE = {
    "float()": "write np.sin for a function of another library: traced 0-d arrays work as numbers",
    "complex()": (
        "write np.exp for a function of another library: traced 0-d arrays work as numbers; x.astype(complex) makes a "
        "real one complex"
    ),
}


_OF_NUMPY = {
    "dist": "np.linalg.norm(a - b), of arrays",
    "remainder": "x - y * np.rint(x / y), or np.remainder(x, y), which has the sign of y",
    "ldexp": "np.ldexp(x, n)",
    "ulp": "np.spacing(np.abs(x))",
    "polar": "np.abs(z) and np.angle(z)",
    "rect": "r * np.exp(1j * phi)",
}
"""What to write for functions of math and cmath that take no traced numbers."""


def number_error(kind: str, tracer: Any) -> ConcretizationError:
    """What to raise where a traced value is asked for its 'float()' or 'complex()'."""
    if _doing().startswith("STORE_"):
        return stored_error(location(user_source()))
    foreign = _foreign_error(kind, tracer)
    if foreign is not None:
        return foreign
    frame = user_frame()
    called = called_name(frame.f_code, frame.f_lasti) if frame is not None and _doing().startswith("CALL") else None
    if called in _OF_NUMPY:
        return concretization_error(kind, f"{called} takes no traced values. Write {_OF_NUMPY[called]}", tracer)
    return concretization_error(kind, f"Leave the {kind} away, and {_LEAVE[kind]}", tracer)


def refuse_shuffling() -> None:
    """Raise where NumPy's ``rng.shuffle`` exchanges rows by two assignments: the second reads what the first wrote."""
    frame = user_frame()
    if frame is not None and _doing().startswith("CALL") and called_name(frame.f_code, frame.f_lasti) == "shuffle":
        where = location(user_source())
        raise UnsupportedError(f"rng.shuffle of rows of a traced array (at {where}): use x[rng.permutation(len(x))]")


def _doing() -> str:
    frame = user_frame()
    return "" if frame is None else instruction_at(frame.f_code, frame.f_lasti)
