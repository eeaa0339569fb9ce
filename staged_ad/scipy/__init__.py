"""SciPy on traced values, module by module: what its functions do not hand over to the NumPy protocols.

Invariant: names and signatures are SciPy's; on plain arrays the functions give what SciPy's give. While a function is
traced they stand in for SciPy's own, as in ``scipy.linalg.solve(a, b)``. Nothing here is imported before SciPy is.
Start at linalg.py or special.py: ``from staged_ad.scipy import linalg, special``.
"""

import importlib as _importlib
from typing import Any as _Any

from staged_ad.tracing.libraries import when_imported as _when_imported

_MODULES = ("linalg", "special")

for _name in (*_MODULES, "fft", "sparse"):
    _when_imported(f"scipy.{_name}", f"{__name__}.{_name}")


def __getattr__(name: str) -> _Any:
    if name in _MODULES:
        return _importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*_MODULES]
