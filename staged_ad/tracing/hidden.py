"""Errors of NumPy and SciPy that hide what has happened: a traced value was there, which they do not know.

Invariant: an error of the user's own functions, or of this package, stays what it is.
Start at ``hidden_in``.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

from staged_ad.errors import ConcretizationError, StagedADError, UnsupportedError
from staged_ad.frames import is_internal
from staged_ad.ir import Source
from staged_ad.tracing.advice import stored_error
from staged_ad.tracing.creation import holds_traced
from staged_ad.tracing.foreign import called_at, takes_none
from staged_ad.tracing.imports import package_of
from staged_ad.tracing.source import location

_STORING = "setting an array element with a sequence"
"""How NumPy's error begins that hides the one which a traced value has raised."""

_TYPED = "must be numpy.ndarray, not Tracer"
"""How the error of Python's C functions ends that check the types of their arguments."""


def hidden_in(error: Exception) -> StagedADError | None:
    """What to raise instead of an error that says nothing of the traced value which it is about."""
    if isinstance(error, StagedADError):
        return None
    if isinstance(error, SystemError):  # of compiled code, which asked a traced value for its number and went on
        causes = list(_causes(error))
        return next((cause for cause in causes if isinstance(cause, ConcretizationError)), None)
    if isinstance(error.__cause__, ConcretizationError) and str(error).startswith(_STORING):
        return stored_error(_place(error)).with_traceback(error.__traceback__)
    if isinstance(error, TypeError) and str(error).endswith(_TYPED):
        message = (
            f"compiled code of a library takes NumPy arrays alone, and is given a traced value (at {_place(error)}): "
            f"{error}. Call it in staged_ad.pure_callback, inside of a function with a derivative by "
            "staged_ad.custom_vjp"
        )
        return UnsupportedError(message).with_traceback(error.__traceback__)
    return _misread(error)


def _misread(error: Exception) -> UnsupportedError | None:
    """Of SciPy, which finds fault with a traced value before it asks for its numbers."""
    user, library = _split(error)
    if user is None or not library or package_of(library[0].tb_frame.f_globals) != "scipy":
        return None
    if not any(holds_traced(entry.tb_frame.f_locals.values()) for entry in library):
        return None
    name, instead = called_at(user.tb_frame.f_code, user.tb_lasti, library[0].tb_frame)
    if not instead:
        return None
    said = str(error).rstrip(".")
    message = f"{name} {takes_none(name, instead)} (at {_place(error)}); it says: {said}. Write {instead}"
    return UnsupportedError(message).with_traceback(error.__traceback__)


def _place(error: Exception) -> str:
    user, _ = _split(error)
    if user is None:
        return location(None)
    code = user.tb_frame.f_code
    return location(Source(code.co_filename, user.tb_lineno, code.co_qualname))


def _split(error: Exception) -> tuple[TracebackType | None, list[TracebackType]]:
    """The user's last entry of the traceback, and those behind it, of libraries."""
    user, library = None, list[TracebackType]()
    for entry in _entries(error.__traceback__):
        if is_internal(entry.tb_frame.f_code):
            library.append(entry)
        else:
            user, library = entry, []
    return user, library


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next
