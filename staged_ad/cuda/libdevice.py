"""NVIDIA's libdevice: the mathematical functions of the device, as text of LLVM.

Invariant: a function is given with all that it calls; its text means the same in every module.
Start at ``Libdevice``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from staged_ad.errors import LoweringError
from staged_ad.native.once import once
from staged_ad.native.vecmath import Symbol
from staged_ad.tracing.libraries import Late

llvm: Any = Late("llvmlite.binding")

FILE = "libdevice.10.bc"
RENAMED = {
    "fabs": "fabs", "lgamma": "lgamma", "gamma": "tgamma", "tgamma": "tgamma", "i0": "cyl_bessel_i0",
    "i1": "cyl_bessel_i1", "ndtr": "normcdf", "ndtri": "normcdfinv", "erfcx": "erfcx", "erfinv": "erfinv",
    "erfcinv": "erfcinv", "exp10": "exp10", "gammaln": "lgamma",
}  # fmt: skip
"""Names of libm and scipy.special that libdevice has otherwise."""
_SETTINGS = {"__CUDA_FTZ": 0, "__CUDA_PREC_SQRT": 1, "__CUDA_PREC_DIV": 1, "__CUDA_FAST_MATH": 0}
"""What its functions ask for: subnormal numbers are kept, roots and quotients correctly rounded."""


class Libdevice:
    """Mathematical functions of the device, for ``Externals.library``."""

    def vector_function(self, name: str, item: Any, lanes: int) -> Symbol | None:
        return None

    def scalar_function(self, name: str, item: Any) -> Symbol | None:
        symbol = f"__nv_{RENAMED.get(name, name)}{'f' if item == 'float' else ''}"
        text = _functions().get(symbol, "")
        real = re.match(rf"define internal {item} @{symbol}\(({item} %\w+(, |\)))+", text)  # not of integers, as yn is
        return (symbol, 0) if real and "i32 %" not in text.split("\n", 1)[0] else None

    def special_function(self, name: str, item: Any, result: int) -> Symbol | None:
        return self.scalar_function(name, item) if result == 0 else None


def texts(names: Iterable[str]) -> str:
    """The definitions of some functions, of all they call and read, and of the types and attributes these have."""
    found: dict[str, str] = {}
    waiting = [name for name in names if name.startswith("__nv_")]
    if not waiting:
        return ""
    known = _functions() | _variables()
    while waiting:
        name = waiting.pop()
        if name not in found and name in known:
            found[name] = known[name]
            waiting += re.findall(r"@([\w.$]+)", known[name])
    return "\n".join([*_notation(), *found.values()])


def location() -> Path:
    """The file of libdevice: of NVIDIA's wheels or of a CUDA toolkit.

    Raises
    ------
    LoweringError
        Where there is none; the message says what to install.
    """
    roots = [Path(folder) / "nvidia" for folder in sys.path if folder]
    toolkits = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    places = [path / "nvvm" / "libdevice" / FILE for root in roots if root.is_dir() for path in sorted(root.iterdir())]
    places += [Path(root) / "nvvm" / "libdevice" / FILE for root in (*toolkits, "/usr/local/cuda", "/opt/cuda")]
    for place in places:
        if place.is_file():
            return place
    raise LoweringError(
        f"{FILE}, NVIDIA's mathematical functions for the GPU, was found neither beside the installed packages nor in "
        "a CUDA toolkit; write: python -m pip install 'staged-ad[cuda]'"
    )


@once
def _text() -> str:
    return str(llvm.parse_bitcode(location().read_bytes(), llvm.create_context()))


@once
def _functions() -> dict[str, str]:
    """The definition of each function, without notes for debuggers, the questions that it asks answered."""
    found: dict[str, str] = {}
    for text in re.findall(r"^define .*?^}", _text(), re.MULTILINE | re.DOTALL):
        name = re.search(r"@([\w.$]+)\(", text)
        assert name is not None
        text = (
            re.sub(r", ![\w.]+ !\d+", "", text)
            .replace("define internal ", "define ")
            .replace("define ", "define internal ")
        )
        found[name[1]] = re.sub(r"call i32 @__nvvm_reflect\(ptr @([\w.]+)\)( #\d+)?", _answer, text)
    declared = re.findall(r"^declare .*?@([\w.$]+)\(.*$", _text(), re.MULTILINE)
    lines = re.findall(r"^declare .*$", _text(), re.MULTILINE)
    return found | {name: line for name, line in zip(declared, lines, strict=True) if name != "__nvvm_reflect"}


def _answer(question: re.Match[str]) -> str:
    name = re.search(r'c"(\w+)\\00"', _variables()[question[1]])
    assert name is not None
    return f"add i32 0, {_SETTINGS.get(name[1], 900)}"  # what is asked besides is the architecture, of 3.5 or later


@once
def _variables() -> dict[str, str]:
    lines = re.findall(r"^@([\w.$]+) = (.*)$", _text(), re.MULTILINE)
    return {name: f"@{name} = {text}" for name, text in lines}


@once
def _notation() -> list[str]:
    return re.findall(r"^(?:attributes #|%[\w.]+ = type ).*$", _text(), re.MULTILINE)
