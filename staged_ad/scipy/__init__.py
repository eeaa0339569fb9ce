"""SciPy on traced values, module by module: what its functions do not hand over to the NumPy protocols.

Invariant: names and signatures are SciPy's; on plain arrays the functions give what SciPy's give. While a function is
traced they stand in for SciPy's own, as in ``scipy.linalg.solve(a, b)``.
Start at linalg.py or special.py: ``from staged_ad.scipy import linalg, special``.
"""

from collections.abc import Callable as _Callable
from typing import Any as _Any

import scipy.linalg as _linalg
import scipy.special as _special

from staged_ad.numpy.creation import holds_tracers as _holds_tracers
from staged_ad.numpy.shaping import array as _array
from staged_ad.scipy import linalg as linalg
from staged_ad.scipy import special as special
from staged_ad.tracing.operations import OPERATIONS as _OPERATIONS


def _instead(function: _Callable[..., _Any]) -> _Callable[..., _Any]:
    return lambda original, *args, **kwargs: function(*map(_listed, args), **kwargs)


def _listed(value: _Any) -> _Any:
    """An array where lists hold traced values; tuples, as those of cho_factor, stay."""
    return _array(value) if isinstance(value, list) and _holds_tracers(value) else value


for _theirs, _ours in ((_linalg, linalg.FUNCTIONS), (_special, special.FUNCTIONS)):
    _OPERATIONS.creators.update(
        {f"{_theirs.__name__}.{name}": _instead(f) for name, f in _ours.items() if hasattr(_theirs, name)}
    )
