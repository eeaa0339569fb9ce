"""What is said when Python asks for the number of a traced value that has none.

Invariant: each message names the type, the user's line, and what to write instead.
Start at ``concretization_error``.
"""

from __future__ import annotations

from typing import Any

from staged_ad.errors import ConcretizationError
from staged_ad.tracing.source import location, user_source


def concretization_error(kind: str, advice: str, tracer: Any) -> ConcretizationError:
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
