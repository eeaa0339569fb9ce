"""SciPy on traced values, module by module: what its functions do not hand over to the NumPy protocols.

Invariant: names and signatures are SciPy's; on plain arrays the functions give what SciPy's give. While a function is
traced they stand in for SciPy's own, as in ``scipy.linalg.solve(a, b)``. Nothing here is imported before SciPy is.
Start at linalg.py or special.py: ``from staged_ad.scipy import linalg, special``.
"""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from staged_ad.tracing.libraries import when_imported as _when_imported

if _TYPE_CHECKING:
    from staged_ad.scipy import linalg as linalg
    from staged_ad.scipy import special as special

_MODULES = ("linalg", "special")

for _name in (*_MODULES, "fft", "sparse"):
    _when_imported(f"scipy.{_name}", f"{__name__}.{_name}")


if not _TYPE_CHECKING:  # checkers know the modules from above, and no others

    def __getattr__(name: str) -> _Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        _importlib.import_module(f"scipy.{name}")  # first, as everywhere: else threads wait for each other
        return _importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return [*_MODULES]
