"""Every exception the package raises on purpose.

Each message says what happened, where in the user's file, and what to write instead.
They derive from the built-in class a NumPy user would catch for the same mistake.
"""

from __future__ import annotations

import numpy as np

from staged_ad.frames import user_frame


class StagedADError(Exception):
    """Base class of all errors raised by staged_ad.

    said
        The message, to the end of which the user's present line is added where it names no place.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_located(message))
        self.said = message


def _located(message: str) -> str:
    frame = user_frame()
    if frame is None or "(at " in message:
        return message
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return message if place in message else f"{message} (at {place}, in {frame.f_code.co_qualname})"


class ArgumentError(StagedADError, TypeError):
    """An argument of a public function has the wrong kind: the message names it."""


class ShapeError(StagedADError, ValueError):
    """Shapes, axes or lengths do not fit."""


class DTypeError(StagedADError, TypeError):
    """A dtype is not supported, or cannot be cast as asked."""


class ConcretizationError(StagedADError, TypeError):
    """Python asked a traced value for its number (``if``, ``float``, ``int``, an element of a NumPy array)."""


class LeakedTracerError(StagedADError, RuntimeError):
    """A traced value was used after the function that it belongs to had returned."""


class InvalidValueError(StagedADError, ValueError):
    """An argument of a function of NumPy has a value that is not allowed."""


class OutOfRangeError(StagedADError, OverflowError):
    """A Python integer does not fit into the dtype that it meets."""


class IndexingError(StagedADError, IndexError):
    """An index is out of bounds or of a kind that is not supported."""


class UnsupportedError(StagedADError, NotImplementedError, TypeError):
    """A NumPy function, argument or feature that staged_ad does not support."""


class MutationError(StagedADError, TypeError):
    """A write to what may not be written to: an argument, an array from outside, a number, a shape, ..."""


class NotDifferentiableError(StagedADError, TypeError):
    """A derivative was asked of an operation, or with respect to a value, that has none."""


class LinAlgError(StagedADError, np.linalg.LinAlgError):
    """A matrix is singular, not positive definite, or an iteration of LAPACK did not converge."""


class DegenerateError(LinAlgError):
    """A derivative depends on the gap between eigenvalues or singular values that coincide: it does not exist."""


class ZeroWeightsError(StagedADError, ZeroDivisionError):
    """Weights of an average sum to zero."""


class IntegerDivisionError(StagedADError, ZeroDivisionError):
    """A Python integer is divided by zero."""


class VerificationError(StagedADError, AssertionError):
    """A program is not well formed; a fault of this package, never of its user."""


class LoweringError(StagedADError, NotImplementedError):
    """A program cannot be compiled; the message names the equation and the reason."""


class GuardFailure(StagedADError, AssertionError):  # noqa: N818  # not the user's error: another variant is needed
    """A program was evaluated at values for which Python would have taken another path."""

    def __init__(self, number: int, expected: bool | int, found: bool | int) -> None:
        super().__init__(f"guard {number} expects {expected}, the value is {found}")
        self.number = number
        self.expected = expected
        self.found = found


class VariantsWarning(UserWarning):
    """A jitted function is compiled again and again, because what ``if``, ``while`` or ``range`` read varies."""


class CompileTimeWarning(UserWarning):
    """A program is so long, mostly because Python ran a loop while it was traced, that compiling it takes seconds."""


class CacheWarning(UserWarning):
    """Compiled code cannot be kept for the next process: the directory is not the user's alone, full, or read-only."""


class DeviceError(StagedADError, RuntimeError):
    """A GPU cannot be used: there is none, its driver or a package lacks, or its memory is full."""


class TapeOverflowError(StagedADError, MemoryError):
    """A loop of unknown length keeps more for its reverse than `staged_ad.set_tape_limit` allows."""
